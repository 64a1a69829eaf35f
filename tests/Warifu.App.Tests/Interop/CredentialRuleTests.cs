using System;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Rounds, methods that differ by direction, revocation and post-quantum keys with strongSwan, in both roles.</summary>
[Trait("Area", "interop")]
[Trait("Item", "2.20")]
public sealed class CredentialRuleTests
{
    private const string Ppk = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    private static readonly TestCa s_ca = TestCa.Root("Rules CA");

    private static readonly Site s_certified = new() { LeftAuth = "auth = pubkey\ncerts = left.pem", RightAuth = "auth = pubkey\ncerts = right.pem", LeftExpects = "auth = pubkey", RightExpects = "auth = pubkey", Connection = "send_cert = always" };

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task A_pre_shared_key_one_way_and_a_certificate_the_other_way(bool weInitiate) =>
        UpAsync("PSK one way, certificate the other", weInitiate, s_certified with { LeftAuth = "auth = psk", RightExpects = "auth = psk" });

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task A_certificate_one_way_and_a_pre_shared_key_the_other_way(bool weInitiate) =>
        UpAsync("certificate one way, PSK the other", weInitiate, s_certified with { RightAuth = "auth = psk", LeftExpects = "auth = psk" });

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task Two_rounds(bool weInitiate) => UpAsync("two rounds (RFC 4739)", weInitiate, s_certified with
    {
        LeftRounds = "local-2 {\nround = 2\nauth = psk\nid = left.example.org\n}\nremote-2 {\nround = 2\nauth = psk\nid = right.example.org\n}",
        RightRounds = "local-2 {\nround = 2\nauth = psk\nid = right.example.org\n}\nremote-2 {\nround = 2\nauth = psk\nid = left.example.org\n}",
    });

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task RSA_one_way_and_ECDSA_the_other_way(bool weInitiate)
    {
        foreach (var (left, right, scenario) in new[] { ("rsa", "ecdsa", "RSA of ours, ECDSA of the peer"), ("ecdsa", "rsa", "ECDSA of ours, RSA of the peer") })
        {
            await using var tunnel = await StartAsync(s_certified, s_ca.Issue("left", left, left == "rsa" ? 2048 : 256), s_ca.Issue("right", right, right == "rsa" ? 2048 : 256));
            await tunnel.UpAsync(weInitiate);
            await tunnel.PingBothAsync();
            await tunnel.AgreeAsync();
            Coverage.Passed(scenario, weInitiate, s_certified);
        }
    }

    /// <summary>With one name in both rounds strongSwan leaves out the second, which the first fulfils.</summary>
    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task Two_rounds_of_certificates(bool weInitiate) => UpAsync("two rounds (RFC 4739), both with certificates", weInitiate, s_certified with
    {
        LeftRounds = "local-2 {\nround = 2\nauth = pubkey\ncerts = left.pem\nid = left@example.org\n}\nremote-2 {\nround = 2\nauth = pubkey\nid = right@example.org\n}",
        RightRounds = "local-2 {\nround = 2\nauth = pubkey\ncerts = right.pem\nid = right@example.org\n}\nremote-2 {\nround = 2\nauth = pubkey\nid = left@example.org\n}",
    });

    /// <summary>Each side has certificates of two CAs and trusts one: the request for certificates says which is wanted.</summary>
    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Of_two_certificates_the_one_is_sent_that_the_other_side_asks_for(bool weInitiate)
    {
        var other = TestCa.Root("Other CA");
        foreach (var oursHasTwo in new[] { true, false })
        {
            var two = "auth = pubkey\ncerts = first.pem,second.pem";
            var site = oursHasTwo ? s_certified with { LeftAuth = two } : s_certified with { RightAuth = two };
            await using var tunnel = await Tunnel.StartAsync(site, new Layout { Files = folder => Write(folder, "left", oursHasTwo), PeerFiles = folder => Write(folder, "right", !oursHasTwo) });
            await tunnel.UpAsync(weInitiate);
            await tunnel.PingBothAsync();
            await tunnel.AgreeAsync();
            Coverage.Passed(oursHasTwo ? "two certificates of ours: CERTREQ chooses" : "two certificates of the peer: CERTREQ chooses", weInitiate, site);
        }

        void Write(string folder, string side, bool hasTwo)
        {
            s_ca.Own.TrustIn(folder);
            if (!hasTwo)
            {
                s_ca.Issue(side).WriteTo(folder);
                return;
            }

            // the wrong one comes first; the side itself knows both CAs
            other.Own.TrustIn(folder);
            var (first, second) = (other.Issue(side) with { Name = "first" }, s_ca.Issue(side, "ecdsa", 384) with { Name = "second" });
            first.WriteTo(folder);
            second.WriteTo(folder);
        }
    }

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_certificate_that_a_CRL_revokes_is_refused_and_the_reason_is_told(bool weInitiate)
    {
        var (left, right) = (s_ca.Issue("left"), s_ca.Issue("right"));
        await using var tunnel = await StartAsync(s_certified, left, right, folder => Credential.Write(folder, "x509crl", "ca.crl", s_ca.Crl(right)));
        Assert.False((await tunnel.TryUpAsync(weInitiate)).Ok, tunnel.Logs);
        var told = await tunnel.Ours.CliAsync("explain", "--last");
        Assert.Contains("right.example.org' was revoked at", told.Output, StringComparison.Ordinal);
        await tunnel.AllGoneAsync(seconds: 5);
        Coverage.Passed("revoked certificate of the peer", weInitiate, s_certified);
    }

    [StrongSwanTheory]
    [Trait("Item", "2.8")]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_certificate_that_is_revoked_meanwhile_ends_the_tunnel_at_the_next_authentication(bool weInitiate)
    {
        var (left, right) = (s_ca.Issue("left"), s_ca.Issue("right"));
        await using var tunnel = await StartAsync(s_certified, left, right);
        await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        Credential.Write(System.IO.Path.Combine(tunnel.Lab.Folder, "ours"), "x509crl", "ca.crl", s_ca.Crl(right));
        await Until.HoldsAsync("the list is read", () => Task.FromResult(tunnel.Ours.Log), log => log.Contains("is loaded: ", StringComparison.Ordinal), seconds: 20);
        // a list alone ends nothing: the peer proves itself again
        await tunnel.PingBothAsync();
        await (weInitiate ? tunnel.Ours.CliAsync("reauth", "site") : tunnel.Peer.ControlAsync("--rekey", "--ike", "site", "--reauth"));
        await tunnel.AllGoneAsync(seconds: 10);
        Assert.Contains("right.example.org' was revoked at", (await tunnel.Ours.CliAsync("explain", "--last")).Output, StringComparison.Ordinal);
        Coverage.Passed("revoked meanwhile: the next authentication ends it", weInitiate, s_certified);
    }

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task With_a_CRL_that_does_not_revoke_strict_checks_pass(bool weInitiate) =>
        UpAsync("strict revocation with a CRL", weInitiate, s_certified with { LeftExpects = "auth = pubkey\nrevocation = strict" }, folder => Credential.Write(folder, "x509crl", "ca.crl", s_ca.Crl(s_ca.Issue("other"))));

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_post_quantum_key_is_used_by_both(bool weInitiate)
    {
        foreach (var required in new[] { "no", "yes" })
        {
            var site = new Site { Connection = $"ppk_id = lab-ppk\nppk_required = {required}", MoreSecrets = $"ppk-lab {{\nid = lab-ppk\nsecret = {Ppk}\n}}" };
            await UpAsync(required == "yes" ? "PPK, required" : "PPK, optional", weInitiate, site, check: async tunnel => Assert.True(Assert.Single(await tunnel.Peer.SasAsync()).Body.Bool("ppk"), "the peer did not use the PPK" + tunnel.Logs));
        }
    }

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_post_quantum_key_that_only_one_side_has_is_left_out_or_refused(bool weInitiate)
    {
        var have = $"ppk-lab {{\nid = lab-ppk\nsecret = {Ppk}\n}}";
        // optional: without it, as RFC 8784 section 3 has it
        var optional = new Site { LeftConnection = "ppk_id = lab-ppk", MoreSecrets = weInitiate ? have : "" };
        var peers = new Site { RightConnection = "ppk_id = lab-ppk", MoreSecrets = weInitiate ? "" : have };
        await using (var tunnel = await Tunnel.StartAsync(optional, new Layout { PeerSite = peers }))
        {
            await tunnel.UpAsync(weInitiate);
            await tunnel.PingBothAsync();
            await tunnel.AgreeAsync();
        }

        Coverage.Passed("PPK on one side, optional", weInitiate, optional);
        await using (var tunnel = await Tunnel.StartAsync(optional with { LeftConnection = "ppk_id = lab-ppk\nppk_required = yes" }, new Layout { PeerSite = peers }))
        {
            Assert.False((await tunnel.TryUpAsync(weInitiate)).Ok, tunnel.Logs);
            // an initiator that goes no further leaves a half-open SA at the peer, which forgets it after half a minute
            await Until.HoldsAsync("no SA here, none that is established there", async () => (await tunnel.Ours.SasAsync(), await tunnel.Peer.SasAsync()), seen => seen.Item1.Count == 0 && seen.Item2.All(sa => sa.State == "CONNECTING"), _ => tunnel.Logs, seconds: 6);
            Assert.Contains("post-quantum pre-shared key", (await tunnel.Ours.CliAsync("explain", "--last")).Output, StringComparison.Ordinal);
        }

        Coverage.Passed("PPK on one side, required here", weInitiate, optional);
    }

    private static async Task UpAsync(string scenario, bool weInitiate, Site site, Action<string>? ours = null, Func<Tunnel, Task>? check = null)
    {
        await using var tunnel = await StartAsync(site, s_ca.Issue("left"), s_ca.Issue("right"), ours);
        await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        await tunnel.AgreeAsync();
        if (check is not null) await check(tunnel);
        Coverage.Passed(scenario, weInitiate, site);
    }

    private static Task<Tunnel> StartAsync(Site site, Credential left, Credential right, Action<string>? ours = null) => Tunnel.StartAsync(site, new Layout
    {
        Files = folder =>
        {
            left.WriteTo(folder);
            s_ca.Own.TrustIn(folder);
            ours?.Invoke(folder);
        },
        PeerFiles = folder =>
        {
            right.WriteTo(folder);
            s_ca.Own.TrustIn(folder);
        },
    });
}
