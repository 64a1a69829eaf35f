using System;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>IKEv1 with Libreswan in both roles: pre-shared key with rekeying of either side and delete, PFS, RSA certificates, AH, XAuth.</summary>
[Trait("Area", "interop")]
[Trait("Item", "3.12")]
public sealed class LibreswanV1Tests
{
    internal const string Peer = "Libreswan with a stand-in for the kernel, IKEv1";

    private const string Needs = LibreswanTests.Needs, Password = "Ar3etTnp-7x.q";

    private const string Version1 = "ikev2=no\nike=aes256-sha2_256-modp2048\n";

    private static readonly TestCa s_ca = TestCa.Root("Lab RSA CA of Libreswan in IKEv1", "rsa", 2048);

    private static Site Site => StrongSwanV1Tests.Site;

    [PeersTheory(Needs)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task With_a_pre_shared_key_it_comes_up_is_rekeyed_and_deleted(bool weInitiate)
    {
        await using var run = await LibreswanTests.Run.StartAsync(weInitiate, Site, "authby=secret\npfs=no", version: Version1 + "esp=aes256-sha2_256");
        await run.UpAsync();
        await run.PingAsync();
        Coverage.Passed(Peer, "main mode, pre-shared key", weInitiate);
        // on command it rekeys nothing in IKEv1
        foreach (var ike in new[] { false, true })
        {
            var before = Newest(await run.Ours.SasAsync());
            Assert.True((await run.Ours.CliAsync("rekey", "site", ike ? "--ike" : "--child")).Ok, run.Logs);
            await Until.HoldsAsync(ike ? "a new phase 1" : "a new pair", run.Ours.SasAsync, sas => Newest(sas) is { } now && now.Ike != before.Ike == ike && now.Child != before.Child == !ike, _ => run.Logs);
            await run.PingNewestAsync();
        }

        Coverage.Passed(Peer, "rekeying by us", weInitiate);
        if (weInitiate) Assert.True((await run.Ours.CliAsync("down", "site")).Ok, run.Logs);
        else await run.Pluto.ControlAsync("--name", "net", "--terminate");
        await Until.HoldsAsync("no SA", run.Ours.SasAsync, sas => sas.All(sa => sa.Children.Count == 0), _ => run.Logs);
        if (weInitiate) await Until.HoldsAsync("no SA at the peer", () => run.Pluto.ControlAsync("--trafficstatus"), shown => !shown.Output.Contains("\"net\"", StringComparison.Ordinal), shown => shown.All + run.Logs);
        Assert.Empty(run.Faults);
        Coverage.Passed(Peer, "delete by who initiated", weInitiate);
    }

    /// <summary>By time, both phases: it begins to replace what it began.</summary>
    [PeersTheory(Needs)]
    [MemberData(nameof(Families.PeersFirst), MemberType = typeof(Families))]
    public async Task It_rekeys_both_phases_by_itself(bool weInitiate)
    {
        await using var run = await LibreswanTests.Run.StartAsync(weInitiate, Site with { Esp = "aes256-sha256-modp2048" }, "authby=secret\npfs=yes\nsalifetime=9s\nikelifetime=14s\nrekeymargin=4s\nrekeyfuzz=0%", version: Version1 + "esp=aes256-sha2_256");
        await run.UpAsync();
        var before = Newest(await run.Ours.SasAsync());
        await Until.HoldsAsync("a new pair of the peer", run.Ours.SasAsync, sas => Newest(sas).Child is { Length: > 0 } child && child != before.Child, _ => run.Logs, 20);
        await run.PingNewestAsync();
        await Until.HoldsAsync("a new phase 1 of the peer", run.Ours.SasAsync, sas => Newest(sas).Ike is { Length: > 0 } ike && ike != before.Ike, _ => run.Logs, 20);
        await run.PingNewestAsync();
        foreach (var mode in new[] { "Quick", "Main" }) Assert.Matches($"initiating (IKEv1 )?{mode} Mode.* to replace #", run.Pluto.Log);
        Assert.Empty(run.Faults);
        Coverage.Passed(Peer, "rekeying by the peer", weInitiate);
    }

    [PeersTheory(Needs)]
    [MemberData(nameof(Families.OursFirst), MemberType = typeof(Families))]
    public async Task With_RSA_certificates_and_PFS_it_comes_up(bool weInitiate)
    {
        var (left, right) = (s_ca.Issue("left", "rsa", 2048), s_ca.Issue("right", "rsa", 2048));
        var site = Site with { Esp = "aes256-sha256-modp2048", LeftAuth = "auth = pubkey\ncerts = left.pem", LeftExpects = "auth = pubkey", LeftConnection = "send_cert = always" };
        await using var run = await LibreswanTests.Run.StartAsync(weInitiate, site, "authby=rsasig\nrightcert=own\nrightsendcert=always\nleftca=%same\npfs=yes", folder =>
        {
            left.WriteTo(folder);
            s_ca.Own.TrustIn(folder);
        }, right, s_ca.Own, version: Version1 + "esp=aes256-sha2_256");
        await run.UpAsync();
        await run.PingAsync();
        Assert.Equal("MODP_2048", Assert.Single(Assert.Single(await run.Ours.SasAsync()).Children).Body.Text("dh-group"));
        Assert.Empty(run.Faults);
        Coverage.Passed(Peer, "main mode, RSA, PFS", weInitiate);
    }

    [PeersTheory(Needs)]
    [MemberData(nameof(Families.PeersFirst), MemberType = typeof(Families))]
    public async Task Aggressive_mode_comes_up(bool weInitiate)
    {
        var site = Site with { Ike = "aes256-sha1-modp1536", Esp = "aes128-sha1-modp1536", LeftConnection = "aggressive = yes\naggressive_psk = yes" };
        await using var run = await LibreswanTests.Run.StartAsync(weInitiate, site, "authby=secret\npfs=yes\naggressive=yes", version: "ikev2=no\nike=aes256-sha1-modp1536\nesp=aes128-sha1");
        await run.UpAsync();
        await run.PingAsync();
        Assert.Empty(run.Faults);
        Coverage.Passed(Peer, "aggressive mode, pre-shared key, PFS", weInitiate);
    }

    [PeersTheory(Needs)]
    [MemberData(nameof(Families.OursFirst), MemberType = typeof(Families))]
    public async Task AH_carries_pings(bool weInitiate)
    {
        var (theirs, ours) = weInitiate ? ("sha2_256", "sha256") : ("sha1", "sha1");
        var site = Site with { Esp = "", LeftChild = $"ah_proposals = {ours}" };
        await using var run = await LibreswanTests.Run.StartAsync(weInitiate, site, $"authby=secret\npfs=no\nphase2=ah\nphase2alg={theirs}", version: Version1);
        await run.UpAsync();
        await run.PingAsync();
        Assert.Equal("AH", Assert.Single(Assert.Single(await run.Ours.SasAsync()).Children).Body.Text("protocol"));
        Assert.Empty(run.Faults);
        Coverage.Passed(Peer, "AH", weInitiate);
    }

    /// <summary>Who initiates is the client: it knows the user's password, the other side asks for it.</summary>
    [PeersTheory(Needs)]
    [MemberData(nameof(Families.PeersFirst), MemberType = typeof(Families))]
    public async Task Users_are_authenticated_by_XAuth(bool weInitiate)
    {
        var (client, server) = weInitiate ? ("left", "right") : ("right", "left");
        var site = weInitiate
            ? Site with { LeftRounds = "local-2 {\nauth = xauth\nxauth_id = carol\n}", MoreSecrets = $"xauth-carol {{\nid = carol\nsecret = \"{Password}\"\n}}" }
            : Site with { LeftRounds = "remote-2 {\nauth = xauth\n}", MoreSecrets = $"xauth-carol {{\nid = carol\nsecret = \"{Password}\"\n}}" };
        await using var run = await LibreswanTests.Run.StartAsync(
            weInitiate,
            site,
            $"authby=secret\npfs=no\n{client}xauthclient=yes\n{client}username=carol\n{client}modecfgclient=no\n{server}xauthserver=yes\nxauthby=file",
            secrets: $"@carol : XAUTH \"{Password}\"",
            version: Version1 + "esp=aes256-sha2_256",
            user: ("carol", Password));
        await run.UpAsync();
        await run.PingAsync();
        if (weInitiate) Assert.Contains("XAUTH: User carol: Authentication Successful", run.Pluto.Log, StringComparison.Ordinal);
        else Assert.Equal("carol", Assert.Single(await run.Ours.SasAsync()).Body.Text("remote-xauth-id"));
        Assert.Empty(run.Faults);
        Coverage.Passed(Peer, "XAuth", weInitiate);
    }

    private static (string Ike, string Child) Newest(System.Collections.Generic.IReadOnlyList<IkeSaView> sas)
    {
        var sa = sas.Where(one => one.State == "ESTABLISHED").MaxBy(one => one.Body.Number("uniqueid", 0));
        return (sa?.Spis ?? "", sas.SelectMany(one => one.Children).Where(child => child.State == "INSTALLED").MaxBy(child => child.Body.Number("uniqueid", 0))?.SpiIn ?? "");
    }
}
