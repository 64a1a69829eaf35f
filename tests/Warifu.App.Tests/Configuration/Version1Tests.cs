using System;
using Warifu.App.Configuration;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.App.Tests.Configuration;

/// <summary>Rules of IKEv1 connections (items 3.2, 3.3): R38, R42, R56, R60, R61, R167a, R168.</summary>
[Trait("Item", "3.2")]
public sealed class Version1Tests
{
    [Theory]
    [InlineData("proposals = aes128-sha256-ecp256, aes256-sha256-ecp256, aes128-sha1-modp2048, aes256-sha1-modp2048, 3des-sha1-modp1024", "", "5 proposals: an IKEv1 connection has at most 4; remove some")]
    [InlineData("proposals = aes128-aes256-sha256-modp2048", "", "names several algorithms for encryption: in IKEv1 each proposal names one of a kind; write several proposals, separated by commas")]
    [InlineData("proposals = aes128-sha1-sha256-modp2048", "", "in IKEv1 each proposal names one of a kind")]
    [InlineData("proposals = aes128-sha256-modp2048-ecp256", "", "names several algorithms for the group")]
    [InlineData("proposals = aes256gcm16-prfsha256-ecp256", "", "IKEv1 has no aes256gcm16 for phase 1")]
    [InlineData("proposals = aes128ctr-sha256-ecp256", "", "IKEv1 has no aes128ctr for phase 1")]
    [InlineData("proposals = aes128-sha256-x25519", "", "IKEv1 has no number for x25519")]
    [InlineData("proposals = aes128-aesxcbc-modp2048", "", "IKEv1 has no hash")]
    [InlineData("proposals = prime-128", "", "PRIME-128 is for IKEv2 only: IKEv1 has no AEAD (RFC 5282)")]
    [InlineData("", "esp_proposals = chacha20poly1305", "IKEv1 has no number for chacha20poly1305")]
    [InlineData("", "esp_proposals = aes128-aes256-sha256", "names several algorithms for encryption")]
    [InlineData("", "esp_proposals = aes128-sha256-x25519", "IKEv1 has no number for x25519")]
    public void What_IKEv1_cannot_do_is_an_error(string connection, string child, string error)
    {
        var conf = Conf.With($"{connection}\nversion = 1", child);
        Assert.Contains(conf.Errors, finding => finding.ToString().Contains(error, StringComparison.Ordinal));
    }

    /// <summary>R56, R57: four proposals of one group are right; the two that differ are named.</summary>
    [Fact]
    [Trait("Item", "3.3")]
    public void Aggressive_mode_takes_four_proposals_of_one_group_and_names_two_that_differ()
    {
        const string Four = "version = 1\naggressive = yes\nproposals = aes256-sha256-modp2048, aes128-sha256-modp2048, aes256-sha1-modp2048, aes128-sha1-modp2048";
        Assert.Empty(Conf.With(Four).Errors);
        Assert.Equal(4, Conf.With(Four).Only.Proposals.Length);
        var error = Assert.Single(Conf.With(Four.Replace("aes128-sha1-modp2048", "aes128-sha1-modp1024", StringComparison.Ordinal)).Errors);
        Assert.Contains("aggressive mode cannot negotiate the Diffie-Hellman group", error.Text, StringComparison.Ordinal);
        Assert.Contains("aes256-sha256", error.Text, StringComparison.Ordinal);
        Assert.Contains("modp2048", error.Text, StringComparison.Ordinal);
        Assert.Contains("aes128-sha1", error.Text, StringComparison.Ordinal);
        Assert.Contains("modp1024", error.Text, StringComparison.Ordinal);
        // in main mode they may
        Assert.Empty(Conf.With(Four.Replace("aggressive = yes", "", StringComparison.Ordinal).Replace("aes128-sha1-modp2048", "aes128-sha1-modp1024", StringComparison.Ordinal)).Errors);
    }

    /// <summary>R60: answering aggressive mode with a pre-shared key is a setting of its own, and each step is warned of.</summary>
    [Theory]
    [InlineData("aggressive = yes", false, "with a pre-shared key whoever listens can guess it at leisure; peers that begin are not answered (aggressive_psk = no)")]
    [InlineData("aggressive = yes\naggressive_psk = yes", true, "whoever asks gets what it needs to guess the pre-shared key at leisure")]
    [Trait("Item", "3.3")]
    [Trait("Item", "3.10")]
    public void Aggressive_mode_with_a_pre_shared_key_is_warned_of_and_answered_only_when_that_is_asked_for(string lines, bool answers, string warning)
    {
        var conf = Conf.With("version = 1\nproposals = aes256-sha256-modp2048\n" + lines);
        Assert.Empty(conf.Errors);
        Assert.Contains(conf.Findings, finding => finding.Severity == Severity.Warning && finding.Text.Contains(warning, StringComparison.Ordinal));
        Assert.Equal((true, answers), (conf.Only.Aggressive, conf.Only.AggressivePsk));
    }

    /// <summary>R61: the mode means nothing in IKEv2.</summary>
    [Fact]
    [Trait("Item", "3.3")]
    public void Aggressive_mode_without_IKEv1_is_warned_of() =>
        Assert.Contains(Conf.With("aggressive = yes").Findings, finding => finding.Severity == Severity.Warning && finding.Text.Contains("aggressive mode is of IKEv1: it has no effect here", StringComparison.Ordinal));

    /// <summary>R53: the key is found by the address, so that a connection for all addresses is for one key.</summary>
    [Fact]
    public void A_pre_shared_key_for_peers_of_any_address_is_warned_of() =>
        Assert.Contains(Conf.With("version = 1\nproposals = aes256-sha256-modp2048").Findings, finding => finding.Severity == Severity.Warning && finding.Text.Contains("the pre-shared key is found by the peer's address", StringComparison.Ordinal));

    /// <summary>R42, R46: what is weak works when it is named, and is warned of.</summary>
    [Theory]
    [InlineData("des-md5-modp768", "DES")]
    [InlineData("3des-sha1-modp1024", "3DES")]
    [InlineData("aes128-md5-modp2048", "MD5")]
    [InlineData("aes128-sha1-modp2048", "SHA-1")]
    [InlineData("aes128-sha256-modp1536", "modp1536")]
    public void Weak_algorithms_work_when_they_are_named_and_are_warned_of(string proposal, string name)
    {
        var conf = Conf.With($"version = 1\nproposals = {proposal}");
        Assert.Empty(conf.Errors);
        Assert.Contains(conf.Findings, finding => finding.Severity == Severity.Warning && finding.Text.Contains(name, StringComparison.Ordinal));
    }

    /// <summary>The word "default" has nothing that IKEv1 cannot say, and nothing weak.</summary>
    [Theory]
    [InlineData("", "")]
    [InlineData("proposals = default", "esp_proposals = default")]
    public void The_default_fits_IKEv1(string connection, string child)
    {
        var conf = Conf.With($"version = 1\n{connection}", child);
        Assert.Empty(conf.Errors);
        Assert.InRange(conf.Only.Proposals.Length, 1, 4);
        Assert.All(conf.Only.Proposals, proposal => Assert.Equal(EncrId.AesCbc, (EncrId)proposal.Find(TransformType.Encr).Id));
        Assert.All(conf.Only.Children[0].Proposals, proposal => Assert.NotEqual(EncrId.ChaCha20Poly1305, (EncrId)proposal.Find(TransformType.Encr).Id));
    }

    /// <summary>R40, R41: the sets of old gateways.</summary>
    [Theory]
    [InlineData("standard")]
    [InlineData("compatible")]
    [InlineData("basic")]
    public void Predefined_sets_are_at_most_four_proposals(string word)
    {
        var conf = Conf.With($"version = 1\nproposals = {word}", $"esp_proposals = {word}");
        Assert.Empty(conf.Errors);
        Assert.InRange(conf.Only.Proposals.Length, 2, 4);
        Assert.Equal((word, word), (conf.Only.Suite, conf.Only.Children[0].Suite));
    }

    /// <summary>Both sides authenticate alike, without EAP and post-quantum keys; more than one round is of IKEv2.</summary>
    [Theory]
    [InlineData("ppk_id = quantum", "post-quantum pre-shared keys are of IKEv2 (RFC 8784)")]
    [InlineData("ppk_required = yes", "post-quantum pre-shared keys are of IKEv2 (RFC 8784)")]
    public void What_is_of_IKEv2_is_an_error(string line, string error) =>
        Assert.Contains(Conf.With($"version = 1\n{line}").Errors, finding => finding.Text.Contains(error, StringComparison.Ordinal));
}
