using System;
using System.Linq;
using Warifu.App.Configuration;
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
        var conf = Read("proposals = suiteb-gcm-128\nsuite_b = strict", "esp_proposals = suiteb-gmac-128", "pubkey");
        Assert.Empty(conf.Errors);
        // whether certificates can be served is another matter
        var connection = conf.Built.Policy.Connections.SingleOrDefault();
        if (connection is null) return;
        Assert.Equal(("Suite-B-GCM-128", "Suite-B-GMAC-128", SuiteBPolicy.Strict), (connection.Suite, connection.Children[0].Suite, connection.SuiteB));
        Assert.Equal("ike:ecdsa-256-sha256", connection.Local.Schemes.Text);
        Assert.Equal("ike:ecdsa-256-sha256", connection.Remote.Constraints.Text);
    }

    private static Conf Read(string connection, string child, string auth, bool version = true) => Conf.Read(
        $"connections {{ gw {{ {(version ? "version = 2\n" : "")}{connection}\nlocal {{ auth = {auth}\n}}\nremote {{ auth = {auth}\n}}\nchildren {{ net {{ {child}\nlocal_ts = 10.1.0.0/16\nremote_ts = 10.2.0.0/16\n}} }} }} }}");
}
