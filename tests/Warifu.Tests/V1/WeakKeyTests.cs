using System;
using System.Linq;
using Warifu.Crypto;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Keys that DES and 3DES must not have (item 3.1; RFC 2409 appendices A and B, RFC 2451 section 2.3).</summary>
[Trait("Item", "3.1")]
public sealed class WeakKeyTests
{
    private const string Good = "0123456789abcdef", Other = "fedcba9876543210", Third = "0011223344556677";

    public static TheoryData<string> Weak =>
    [
        "0101010101010101", "1f1f1f1fe0e0e0e0", "e0e0e0e01f1f1f1f", "fefefefefefefefe",
        "01fe01fe01fe01fe", "1fe01fe00ef10ef1", "01e001e001f101f1", "1ffe1ffe0efe0efe", "011f011f010e010e", "e0fee0fef1fef1fe",
        "fe01fe01fe01fe01", "e01fe01ff10ef10e", "e001e001f101f101", "fe1ffe1ffe0efe0e", "1f011f010e010e01", "fee0fee0fef1fef1",
    ];

    [Theory]
    [MemberData(nameof(Weak))]
    public void DES_takes_the_next_eight_octets_instead_of_a_weak_key(string weak)
    {
        // whatever its parity
        foreach (var flip in new byte[] { 0x00, 0x01 })
        {
            var key = Convert.ToHexString(Convert.FromHexString(weak).Select(octet => (byte)(octet ^ flip)).ToArray());
            Assert.True(WeakKeys.IsWeak(EncrId.Des, Convert.FromHexString(key)));
            Assert.Equal(Good, Des(key + Good));
            Assert.Equal(Good, Des(Good + key));
            Assert.Equal(Other, Des(key + key + Other));
            Assert.Null(Des(key + key));
        }

        // one other bit makes it a key like others
        for (var bit = 0; bit < 64; bit++)
        {
            if (bit % 8 == 7) continue;
            var octets = Convert.FromHexString(weak);
            octets[bit / 8] ^= (byte)(0x80 >> (bit % 8));
            Assert.False(WeakKeys.IsWeak(EncrId.Des, octets), $"{weak} {bit}");
        }
    }

    [Fact]
    public void Three_keys_of_which_two_are_the_same_are_no_3DES()
    {
        Assert.Equal(Good + Other + Third, TripleDes(Good + Other + Third));
        Assert.Equal(Good + Other + Good, TripleDes(Good + Other + Good));
        Assert.Null(TripleDes(Good + Good + Third));
        Assert.Null(TripleDes(Good + Third + Third));
        // they differ in parity only
        Assert.Null(TripleDes(Good + "0022446688aaccee" + Third));
        // a weak one among three different ones does no harm
        Assert.Equal("0101010101010101" + Other + Third, TripleDes("0101010101010101" + Other + Third));
    }

    [Fact]
    public void Other_ciphers_have_no_such_keys()
    {
        using var e = new Secret(Enumerable.Repeat((byte)1, 32).ToArray());
        using var key = KeyScheduleV1.CipherKey(PrfId.HmacSha256, e, EncrId.AesCbc, 256);
        Assert.Equal(e.Span.ToArray(), key!.Span.ToArray());
    }

    private static string? Des(string e) => Key(e, EncrId.Des);

    private static string? TripleDes(string e) => Key(e, EncrId.TripleDes);

    private static string? Key(string e, EncrId encr)
    {
        using var secret = new Secret(Convert.FromHexString(e));
        using var key = KeyScheduleV1.CipherKey(PrfId.HmacMd5, secret, encr, 0);
        return key is null ? null : Convert.ToHexStringLower(key.Span);
    }
}
