using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>Each algorithm by itself, the node as initiator and as responder: docs/conformance.md, I.1.1.6 and R.1.1.6.</summary>
[Trait("Item", "2.22")]
public sealed class AlgorithmTests
{
    [Theory]
    [InlineData("A ENCR_AES_CBC", "aes128-sha1-modp1024")]
    [InlineData("B ENCR_AES_CTR", "aes128ctr-sha1-modp1024")]
    [InlineData("C PRF_AES128_XCBC", "3des-sha1-prfaesxcbc-modp1024")]
    [InlineData("D AUTH_AES_XCBC_96", "3des-aesxcbc-prfsha1-modp1024")]
    [InlineData("E group 14", "3des-sha1-modp2048")]
    [InlineData("F PRF_HMAC_SHA2_256", "3des-sha1-prfsha256-modp1024")]
    [InlineData("G AUTH_HMAC_SHA2_256_128", "3des-sha256-prfsha1-modp1024")]
    [InlineData("H group 24", "3des-sha1-modp2048s256")]
    public void IKE_algorithms(string part, string ike)
    {
        foreach (var nodeInitiates in new[] { true, false })
        {
            foreach (var setting in Parts.Of(part, ike, "3des-sha1"))
            {
                using var tester = new Tester(setting);
                tester.Establish(nodeInitiates);
                tester.IsAlive();
            }
        }
    }

    [Theory]
    [InlineData("A ENCR_AES_CBC", "aes128-sha1")]
    [InlineData("B ENCR_AES_CTR", "aes128ctr-sha1")]
    [InlineData("C ENCR_NULL", "null-sha1")]
    [InlineData("D AUTH_AES_XCBC_96", "3des-aesxcbc")]
    [InlineData("F ESN", "3des-sha1-esn")]
    [InlineData("G AUTH_HMAC_SHA2_256_128", "3des-sha256")]
    public void ESP_algorithms(string part, string esp)
    {
        foreach (var nodeInitiates in new[] { true, false })
        {
            foreach (var setting in Parts.Of(part, "3des-sha1-modp1024", esp))
            {
                using var tester = new Tester(setting);
                tester.Establish(nodeInitiates);
                EspCheck.BothWays(tester.Holds(tester.Child!), tester.Child!);
            }
        }
    }
}
