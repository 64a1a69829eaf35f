using System;
using System.IO;
using System.Linq;
using Warifu.App.Cli.Ca;
using Warifu.App.Configuration;
using Warifu.App.Tests.Lab;
using Warifu.App.Vici;
using Warifu.Crypto.Signatures;
using Warifu.Policy;
using Xunit;

namespace Warifu.App.Tests.Configuration;

/// <summary>What the words for suites demand (R167a to R169, RFC 6380).</summary>
[Trait("Item", "2.18")]
public sealed class SuiteCheckTests
{
    [Theory]
    [InlineData("proposals = suiteb-gcm-128", "", "psk", "Suite-B-GCM-128 demands certificates, and local.auth of connection 'gw' is psk")]
    [InlineData("proposals = prime-256", "", "psk", "PRIME-256 demands certificates, and local.auth of connection 'gw' is psk")]
    [InlineData("proposals = cnsa", "", "psk", "CNSA demands certificates, and local.auth of connection 'gw' is psk")]
    [InlineData("proposals = suiteb-gcm-128, aes256-sha256-modp2048", "", "pubkey", "proposals: 'suiteb-gcm-128' stands for a whole list of proposals and cannot have others beside it")]
    [InlineData("proposals = suiteb-gcm-128-x25519", "", "pubkey", "proposals: 'suiteb-gcm-128' stands for a whole list of proposals and takes no further words; write suiteb-gcm-128 alone, or spell the algorithms out")]
    [InlineData("", "esp_proposals = default, standard", "psk", "esp_proposals: 'standard' stands for a whole list of proposals and cannot have others beside it")]
    [InlineData("proposals = suiteb-gcm-256", "esp_proposals = suiteb-gcm-128", "pubkey", "Suite-B-GCM-128 for ESP beside Suite-B-GCM-256 for IKE: RFC 6380 section 4 wants one level of security")]
    [InlineData("proposals = suiteb-gcm-128\nsuite_b = strict", "esp_proposals = aes256gcm16", "pubkey", "suite_b = strict, and esp_proposals of child 'net' is none of the four suites of RFC 6379")]
    [InlineData("proposals = prime-128\nsuite_b = strict", "esp_proposals = suiteb-gcm-128", "pubkey", "suite_b = strict, and proposals is none of the four suites of RFC 6379")]
    [InlineData("suite_b = strict", "esp_proposals = suiteb-gcm-128", "psk", "suite_b = strict, and proposals is none of the four suites of RFC 6379")]
    public void What_does_not_fit_is_an_error(string connection, string child, string auth, string error)
    {
        var conf = Read(connection, child, auth);
        Assert.Contains(conf.Errors, finding => finding.Text == error);
    }

    [Theory]
    [InlineData("proposals = prime-128\nversion = 1", "PRIME-128 is for IKEv2 only: IKEv1 has no AEAD (RFC 5282)")]
    [InlineData("proposals = suiteb-gcm-128\nsuite_b = strict\nversion = 1", "suite_b = strict forbids IKEv1 (RFC 6380 section 8)")]
    public void Version_1_is_refused_where_it_must_be(string connection, string error) =>
        Assert.Contains(Read(connection, "esp_proposals = suiteb-gcm-128", "pubkey", version: false).Errors, finding => finding.Text == error);

    [Fact]
    public void Suite_b_with_version_1_is_warned_of() =>
        Assert.Contains(Read("proposals = suiteb-gcm-128\nversion = 1", "esp_proposals = suiteb-gcm-128", "pubkey", version: false).Findings, finding => finding.Severity == Severity.Warning && finding.Text.Contains("RFC 6380 section 8 forbids it", StringComparison.Ordinal));

    [Theory]
    [InlineData("basic", "DES", "MD5", "SHA-1", "modp768")]
    [InlineData("compatible", "3DES", "DES", "MD5", "SHA-1", "modp1024")]
    [InlineData("standard", "3DES", "SHA-1", "modp1024")]
    public void Old_proposal_sets_work_with_a_secret_and_are_warned_of(string word, params string[] weak)
    {
        var conf = Conf.With($"proposals = {word}", $"esp_proposals = {word}");
        Assert.Empty(conf.Errors);
        Assert.Equal((word, word), (conf.Only.Suite, conf.Only.Children[0].Suite));
        foreach (var name in weak) Assert.Contains(conf.Findings, finding => finding.Severity == Severity.Warning && finding.Text.Contains($"names {name} in", StringComparison.Ordinal));
    }

    [Fact]
    public void The_names_of_RFC_6379_are_kept_for_listings_and_the_signature_is_bound()
    {
        var conf = Read("proposals = suiteb-gcm-128", "esp_proposals = suiteb-gmac-128", "pubkey");
        Assert.Empty(conf.Errors);
        var connection = conf.Only;
        Assert.Equal(("Suite-B-GCM-128", "Suite-B-GMAC-128", SuiteBPolicy.Normal), (connection.Suite, connection.Children[0].Suite, connection.SuiteB));
        Assert.Equal("ike:ecdsa-256-sha256", connection.Local.Schemes.Text);
        Assert.Equal("ike:ecdsa-256-sha256-ike:ecdsa-384-sha384", connection.Remote.Constraints.Text);
        var listed = ViciListings.Connection(connection).Section("gw")!;
        Assert.Equal("Suite-B-GCM-128", listed.Text("suite"));
        Assert.Equal("Suite-B-GMAC-128", listed.Section("children")!.Section("net")!.Text("suite"));
        connection = Read("proposals = suiteb-gcm-256\nsuite_b = strict", "esp_proposals = suiteb-gcm-256", "pubkey").Only;
        Assert.Equal(("Suite-B-GCM-256", SuiteBPolicy.Strict), (connection.Suite, connection.SuiteB));
        // the whole chain
        Assert.Equal("ecdsa-384-sha384", connection.Remote.Constraints.Text);
    }

    [Theory]
    [InlineData("suiteb-gcm-128", 256, true)]
    [InlineData("suiteb-gcm-128", 384, false)]
    [InlineData("suiteb-gmac-128", 384, false)]
    [InlineData("suiteb-gcm-256", 256, false)]
    [InlineData("suiteb-gcm-256", 384, true)]
    [InlineData("suiteb-gmac-256", 384, true)]
    [InlineData("suiteb-gmac-256", 521, false)]
    [InlineData("prime-128", 256, true)]
    [InlineData("prime-128", 384, false)]
    [InlineData("prime-256", 256, false)]
    [InlineData("prime-256", 384, true)]
    [InlineData("cnsa", 256, false)]
    [InlineData("cnsa", 384, true)]
    public void A_certificate_of_another_curve_is_an_error_where_it_is_named(string word, int curve, bool fits)
    {
        var errors = Check(word, curve, "certs = left.pem", "");
        Assert.Equal(!fits, errors.Length > 0);
        if (fits) return;
        var error = Assert.Single(errors);
        Assert.EndsWith("warifu.conf", error.Position.File, StringComparison.Ordinal);
        Assert.Equal(7, error.Position.Line);
        Assert.Contains($"{Suite.Find(word)!.Name} wants an ECDSA key on P-{(word.Contains("128", StringComparison.Ordinal) ? 256 : 384)}", error.Text, StringComparison.Ordinal);
        Assert.Contains($"and this is ECDSA P-{curve}: the certificate 'C=CH, O=Warifu Lab, CN=left.example.org' of connection 'gw'", error.Text, StringComparison.Ordinal);
        Assert.StartsWith("get us a certificate with an ECDSA key on P-", error.Remedy, StringComparison.Ordinal);
        // the sister set that takes it is named, where there is one
        if (word != "cnsa" && curve < 521) Assert.EndsWith($"or write proposals = {(word.Contains("128", StringComparison.Ordinal) ? word.Replace("128", "256", StringComparison.Ordinal) : word.Replace("256", "128", StringComparison.Ordinal))}", error.Remedy, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("suiteb-gcm-128", 384, true)]
    [InlineData("suiteb-gcm-128", 521, false)]
    [InlineData("suiteb-gcm-256", 256, false)]
    [InlineData("prime-128", 384, false)]
    public void A_certificate_of_the_peer_that_is_named_must_fit_too(string word, int curve, bool fits)
    {
        // RFC 6380 section 4.3: at the level of 128 bits each side has the key that it has
        var errors = Check(word, curve, "", "certs = left.pem");
        Assert.Equal(!fits, errors.Length > 0);
        if (!fits) Assert.StartsWith("get the peer a certificate", Assert.Single(errors).Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void A_certificate_that_is_found_by_the_identity_is_judged_too()
    {
        Assert.Contains(Check("prime-256", 256, "id = left.example.org", ""), error => error.Text.Contains("and this is ECDSA P-256: the certificate for left.example.org, which connection 'gw' would use", StringComparison.Ordinal));
        Assert.Empty(Check("prime-128", 256, "id = left.example.org", ""));
    }

    [Theory]
    [InlineData("suiteb-gcm-128", "ecdsa-256-sha256", true)]
    [InlineData("suiteb-gcm-128", "ecdsa", true)]
    [InlineData("suiteb-gcm-128", "ecdsa-384-sha384", false)]
    [InlineData("prime-256", "rsa-3072-sha384", false)]
    [InlineData("cnsa", "rsa-3072-sha384", true)]
    public void What_auth_says_beside_a_suite_can_only_make_it_narrower(string word, string auth, bool fits)
    {
        var conf = Read($"proposals = {word}", "", auth);
        Assert.Equal(!fits, conf.Errors.Any(finding => finding.Text.Contains($"{Suite.Find(word)!.Name} demands", StringComparison.Ordinal)));
        if (!fits) return;
        foreach (var (curve, allowed) in new[] { (256, word == "suiteb-gcm-128"), (384, false), (521, false) })
        {
            using var key = PrivateKey.Parse(System.Text.Encoding.ASCII.GetBytes(KeyMaker.Generate("ecdsa", curve)));
            Assert.Equal(allowed, conf.Only.Local.Schemes.AllowsIkeKey(key.Public));
        }
    }

    private static Diagnostic[] Check(string word, int curve, string local, string remote)
    {
        var folder = Conf.Folder();
        try
        {
            var ca = TestCa.Root("Suite CA");
            ca.Own.TrustIn(folder);
            ca.Issue("left", "ecdsa", curve).WriteTo(folder);
            var file = Path.Combine(folder, "warifu.conf");
            File.WriteAllText(file, $"connections {{\ngw {{\nversion = 2\nproposals = {word}\nlocal {{\nauth = pubkey\n{local}\n}}\nremote {{\nauth = pubkey\n{remote}\n}}\n}}\n}}\n");
            return [.. ConfigurationReader.Read(file).Findings.Where(finding => finding.Severity == Severity.Error)];
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static Conf Read(string connection, string child, string auth, bool version = true) => Conf.Read(
        $"connections {{ gw {{ {(version ? "version = 2\n" : "")}{connection}\nlocal {{ auth = {auth}\n}}\nremote {{ auth = {auth}\n}}\nchildren {{ net {{ {child}\nlocal_ts = 10.1.0.0/16\nremote_ts = 10.2.0.0/16\n}} }} }} }}");
}
