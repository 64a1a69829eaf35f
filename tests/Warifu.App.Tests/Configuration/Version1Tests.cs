using System;
using System.Linq;
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
    [InlineData("proposals = aes128-aes256-sha256-modp2048-ecp256", "", "'aes128-aes256-sha256-modp2048-ecp256' names several algorithms for encryption and the group")]
    [InlineData("proposals = aes256-sha256-prfsha512-modp2048", "", "IKEv1 has one hash for integrity and keys, and sha256 and prfsha512 are two; write sha256 or sha512")]
    [InlineData("", "local_ts = 10.1.0.0/16[tcp/1000-2000]", "local_ts: IKEv1 cannot say 10.1.0.0/16[tcp/1000-2000]: a proxy ID has one port or all, and knows neither ICMP types nor OPAQUE; write one port, or none")]
    [InlineData("", "local_ts = 10.1.0.0/16[icmp/8]", "local_ts: IKEv1 cannot say 10.1.0.0/16[icmp/8]")]
    [InlineData("", "remote_ts = 10.2.0.0/16[udp/opaque]", "remote_ts: IKEv1 cannot say 10.2.0.0/16[udp/OPAQUE]")]
    [InlineData("", "remote_ts = dynamic[udp/1-9]", "remote_ts: IKEv1 cannot say these ports")]
    [InlineData("", "mode = transport\nlocal_ts = 10.1.0.0/16", "local_ts: transport mode is between the two ends, and 10.1.0.0/16 is a network; write mode = tunnel, or leave the addresses to dynamic")]
    [InlineData("encap = yes", "ah_proposals = sha256", "encap = yes puts packets into UDP, and child 'net' has ah_proposals: AH cannot go in UDP; remove encap")]
    [InlineData("dpd_timeout = 30s", "", "dpd_delay = 0 switches the checks off; set dpd_delay")]
    [InlineData("dpd_delay = 10s\ndpd_timeout = 30s\ndpd_threshold = 3", "", "dpd_threshold says already when the peer is dead; keep one of them")]
    [InlineData("reauth_frequency = 3", "", "re-authentication by frequency is for IKEv2; IKEv1 authenticates anew at each rekeying; remove it")]
    public void What_IKEv1_cannot_do_is_an_error(string connection, string child, string error)
    {
        var conf = Conf.With($"{connection}\nversion = 1", child);
        Assert.Contains(conf.Errors, finding => finding.ToString().Contains(error, StringComparison.Ordinal));
    }

    /// <summary>What was written wrong is told once, and nothing of what would have been there instead.</summary>
    [Theory]
    [InlineData("proposals = aes256-sha256", "", "'aes256-sha256' has no key exchange method; add one, for example -ecp256")]
    [InlineData("proposals = aes256-sha257-modp2048", "", "unknown algorithm 'sha257'; nearest known word: 'sha256'")]
    [InlineData("proposals = prime-128", "", "PRIME-128 is for IKEv2 only")]
    [InlineData("", "esp_proposals = aes256-sha257", "unknown algorithm 'sha257'")]
    [InlineData("reauth_frequency = 3\nrekey_time = 0\nreauth_time = 1h", "", "re-authentication by frequency is for IKEv2")]
    public void A_mistake_is_told_once(string connection, string child, string error)
    {
        var errors = Conf.With($"version = 1\n{connection}", child).Errors.Where(finding => !finding.Text.Contains("demands certificates", StringComparison.Ordinal)).ToList();
        Assert.Contains(error, Assert.Single(errors).ToString(), StringComparison.Ordinal);
    }

    /// <summary>What IKEv1 cannot do is no advice.</summary>
    [Fact]
    public void Advice_against_weak_algorithms_is_for_the_version()
    {
        const string Weak = "proposals = 3des-sha1-modp1024\n";
        var old = Conf.With("version = 1\n" + Weak, "esp_proposals = des-md5-modp768");
        Assert.Equal(6, old.Lines.Count(line => line.Contains("WEAK", StringComparison.Ordinal)));
        Assert.Contains(old.Lines, line => line.Contains("names 3DES in proposals", StringComparison.Ordinal) && line.EndsWith("write aes256 instead", StringComparison.Ordinal));
        Assert.Contains(old.Lines, line => line.Contains("names DES in esp_proposals", StringComparison.Ordinal) && line.EndsWith("write aes256gcm16 instead", StringComparison.Ordinal));
        Assert.DoesNotContain(old.Lines, line => line.Contains("x25519", StringComparison.Ordinal) || line.Contains("prfsha256", StringComparison.Ordinal));
        Assert.Contains(Conf.With(Weak).Lines, line => line.EndsWith("write x25519 or ecp256, or modp2048 for an old peer instead", StringComparison.Ordinal));
    }

    /// <summary>Keys that are right and change nothing here.</summary>
    [Theory]
    [InlineData("version = 1\nmobike = yes", Severity.Notice, "mobike has no effect: MOBIKE is of IKEv2")]
    [InlineData("version = 1\nchildless = force", Severity.Notice, "childless has no effect: childless initiation is of IKEv2")]
    [InlineData("version = 1\naggressive_psk = yes", Severity.Warning, "aggressive_psk has no effect: phase 1 is in main mode; remove it, or write aggressive = yes")]
    [InlineData("aggressive_psk = yes", Severity.Warning, "aggressive mode is of IKEv1: aggressive_psk has no effect here")]
    [InlineData("aggressive = true", Severity.Warning, "aggressive mode is of IKEv1: it has no effect here")]
    [InlineData("dpd_delay = 10s\ndpd_timeout = 30s", Severity.Notice, "dpd_timeout has no effect: it is for IKEv1")]
    [InlineData("version = 1\ndpd_delay = 10s\ndpd_timeout = 10s", Severity.Warning, "dpd_timeout = 10s is over when the first check is made, after dpd_delay = 10s")]
    public void What_has_no_effect_is_told(string lines, object severity, string text) =>
        Assert.Contains(Conf.With(lines).Findings, finding => finding.Severity == (Severity)severity && finding.ToString().Contains(text, StringComparison.Ordinal));

    /// <summary>RFC 3706 leaves it to each side when the peer is dead.</summary>
    [Fact]
    public void The_dead_peer_timeout_is_read_for_IKEv1()
    {
        var conf = Conf.With("version = 1\ndpd_delay = 10s\ndpd_timeout = 35s");
        Assert.DoesNotContain(conf.Lines, line => line.Contains("dpd_timeout", StringComparison.Ordinal));
        Assert.Equal(TimeSpan.FromSeconds(35), conf.Only.DpdTimeout);
        Assert.Equal(TimeSpan.Zero, Conf.With("dpd_delay = 10s\ndpd_timeout = 35s").Only.DpdTimeout);
    }

    /// <summary>Who may authenticate how: the finding stands where the wrong word does.</summary>
    [Theory]
    [InlineData("psk", "pubkey", "in IKEv1 both sides authenticate in the same way")]
    [InlineData("psk", "xauth", "with XAuth alone (hybrid authentication) the gateway proves itself by a certificate")]
    [InlineData("ed25519", "ed25519", "IKEv1 has no signatures of ed25519; write rsa, ecdsa or pubkey, or version = 2")]
    [InlineData("rsa/pss-sha256", "pubkey", "IKEv1 has no signatures of rsa/pss-sha256")]
    public void Authentication_that_IKEv1_has_not_is_an_error_at_its_word(string local, string remote, string error)
    {
        var text = Conf.Text("version = 1").Replace("version = 2", "", StringComparison.Ordinal);
        var at = text.IndexOf("auth = psk", StringComparison.Ordinal);
        text = text[..at] + "auth = " + local + text[(at + 10)..].Replace("auth = psk", "auth = " + remote, StringComparison.Ordinal);
        var found = Conf.Read(text).Errors.First(finding => finding.Text.Contains(error.Split(';')[0], StringComparison.Ordinal));
        Assert.Contains(error, found.ToString(), StringComparison.Ordinal);
        Assert.StartsWith("auth = ", text.Split('\n')[found.Position.Line - 1].Trim(), StringComparison.Ordinal);
    }

    /// <summary>The order of sections is that of the rounds.</summary>
    [Fact]
    public void XAuth_in_front_of_phase_1_is_told() =>
        Assert.Contains("XAuth comes behind phase 1, and the section with auth = xauth stands first; put it behind the other one, or write round = 2 in it", Assert.Single(Conf.With("version = 1\nremote-users { auth = xauth }").Errors).ToString(), StringComparison.Ordinal);

    /// <summary>The warning about a key that all users know stands at the users' section.</summary>
    [Fact]
    public void A_group_key_is_warned_of_where_the_users_are()
    {
        var text = Conf.Text("version = 1\nremote_addrs = 192.0.2.2\nremote-users { auth = xauth\nround = 2 }").Replace("version = 2", "", StringComparison.Ordinal);
        var found = Assert.Single(Conf.Read(text).Findings, finding => finding.Text.Contains("gets the passwords of its users", StringComparison.Ordinal));
        Assert.Contains("auth = xauth", text.Split('\n')[found.Position.Line - 1], StringComparison.Ordinal);
    }

    /// <summary>Aggressive mode cannot negotiate the group: its default has one.</summary>
    [Fact]
    [Trait("Item", "3.3")]
    public void The_default_of_aggressive_mode_has_one_group()
    {
        var conf = Conf.With("version = 1\naggressive = yes");
        Assert.Empty(conf.Errors);
        Assert.Equal((ushort)KeId.Modp2048, Assert.Single(conf.Only.Proposals.Select(proposal => proposal.Find(TransformType.Ke).Id).Distinct()));
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
        Assert.Contains("'aes256-sha256-modp2048' and 'aes128-sha1-modp1024'", error.Text, StringComparison.Ordinal);
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
