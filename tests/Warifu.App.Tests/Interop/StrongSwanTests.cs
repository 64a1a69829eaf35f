using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Tunnels with strongSwan, in both roles, judged by ping and by our own SA counters.</summary>
[Trait("Area", "interop")]
[Trait("Item", "1.19")]
public sealed class StrongSwanTests
{
    /// <summary>IKE and ESP proposals. The packaged kernel-libipsec carries what strongSwan's own crypto has; ESN it has not.</summary>
    internal static IReadOnlyList<(string Ike, string Esp)> Suites { get; } =
    [
        ("aes128-sha1-modp2048", "aes128-sha1"),
        ("aes256-sha256-modp2048", "aes256-sha256-modp2048"),
        ("aes256-sha512-ecp521", "aes256-sha512-ecp521"),
        ("aes192-sha384-modp3072", "aes192-sha384"),
        ("aes128gcm16-prfsha256-ecp256", "aes128gcm16-ecp256"),
        ("aes256gcm8-prfsha512-x25519", "aes256gcm8"),
        ("aes128gcm12-prfsha256-modp4096", "aes128gcm12"),
        ("aes256ccm16-prfsha256-x25519", "aes256ccm16"),
        ("aes128ccm8-prfsha384-ecp384", "aes128ccm8"),
        ("chacha20poly1305-prfsha256-x25519", "chacha20poly1305"),
        ("3des-sha1-modp2048", "3des-sha1"),
        ("aes256ctr-sha256-x25519", "aes256ctr-sha256"),
        ("aes128-aesxcbc-prfaesxcbc-ecp256", "aes128-aesxcbc"),
        ("aes128-aescmac-prfaescmac-x448", "aes128-aescmac"),
        ("camellia256-sha256-ecp256bp", "camellia256-sha256"),
        ("aes128-md5-modp1536", "aes128-md5"),
    ];

    public static IEnumerable<TheoryDataRow<string, string>> SuiteRows => Suites.Select(suite => new TheoryDataRow<string, string>(suite.Ike, suite.Esp));

    [StrongSwanTheory]
    [Trait("Smoke", "yes")]
    [InlineData(true)]
    [InlineData(false)]
    public Task A_ping_crosses_the_tunnel(bool weInitiate) => PingThroughAsync(new Site(), weInitiate, "ping");

    [StrongSwanTheory]
    [MemberData(nameof(SuiteRows))]
    public Task Every_suite_in_both_roles(string ike, string esp) => InBothRolesAsync(new Site { Ike = ike, Esp = esp }, $"suite {ike} / {esp}");

    [StrongSwanTheory]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public Task IPv4_and_IPv6_outside_and_inside(bool outerV6, bool innerV6) => InBothRolesAsync(new Site { OuterV6 = outerV6, InnerV6 = innerV6 }, "ping");

    /// <summary>Each side has several proposals of several transforms, and the responder does not know the group of the first KE payload.</summary>
    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Of_several_proposals_of_the_IKE_SA_one_is_chosen_and_another_group_is_asked_for(bool weInitiate)
    {
        const string Offers = "aes128-aes256-sha1-sha256-x448-ecp384-modp3072, aes256gcm16-aes128gcm16-prfsha384-prfsha256-x448-ecp256", Takes = "aes192-sha512-ecp521, aes256-sha256-sha384-ecp384-modp3072";
        var site = weInitiate ? new Site { LeftIke = Offers, RightIke = Takes } : new Site { LeftIke = Takes, RightIke = Offers };
        await using var tunnel = await Tunnel.StartAsync(site);
        await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        var sa = await tunnel.AgreeAsync();
        Assert.Equal(("AES_CBC", 256, "HMAC_SHA2_256_128", "ECP_384"), (sa.Body.Text("encr-alg"), (int)sa.Body.Number("encr-keysize", 0), sa.Body.Text("integ-alg"), sa.Body.Text("dh-group")));
        if (weInitiate) Assert.Contains("INVALID_KE_PAYLOAD", (await tunnel.Ours.CliAsync("explain", "--last")).Output, StringComparison.Ordinal);
        else Assert.Contains("peer didn't accept DH group CURVE_448, it requested ECP_384", tunnel.Peer.Log, StringComparison.Ordinal);
        Coverage.Passed("several IKE proposals, another group", weInitiate, site);
    }

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Of_several_proposals_of_the_child_one_is_chosen(bool weInitiate)
    {
        const string Offers = "aes128gcm16-aes256gcm16-ecp256, aes128-aes192-aes256-sha1-sha256-ecp256-modp3072", Takes = "chacha20poly1305, aes256ccm16, aes192-sha384-sha256-modp3072";
        var site = weInitiate ? new Site { LeftEsp = Offers, RightEsp = Takes } : new Site { LeftEsp = Takes, RightEsp = Offers };
        await using var tunnel = await Tunnel.StartAsync(site);
        await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        // the first child has no group of its own; its rekeying has
        var done = weInitiate ? await tunnel.Ours.CliAsync("rekey", "site/net") : await tunnel.Peer.ControlAsync("--rekey", "--child", "net");
        Assert.True(done.Ok, done.All + tunnel.Logs);
        var child = (await Until.HoldsAsync("the rekeyed child", tunnel.Ours.SasAsync, sas => sas is [{ Children: [{ State: "INSTALLED" } made] }] && made.Body.Text("dh-group") is not null, _ => tunnel.Logs))[0].Children[0];
        Assert.Equal(("AES_CBC", 192, "HMAC_SHA2_256_128", "MODP_3072"), (child.Body.Text("encr-alg"), (int)child.Body.Number("encr-keysize", 0), child.Body.Text("integ-alg"), child.Body.Text("dh-group")));
        await tunnel.PingBothAsync();
        Coverage.Passed("several ESP proposals", weInitiate, site);
    }

    private static Task InBothRolesAsync(Site site, string scenario) => Task.WhenAll(PingThroughAsync(site, true, scenario), PingThroughAsync(site, false, scenario));

    private static async Task PingThroughAsync(Site site, bool weInitiate, string scenario)
    {
        await using var tunnel = await Tunnel.StartAsync(site);
        if (scenario == "ping") Assert.True((await tunnel.TryUpAsync(weInitiate)).Ok, tunnel.Logs);
        else await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        await tunnel.AgreeAsync();
        Coverage.Passed(scenario, weInitiate, site);
    }
}
