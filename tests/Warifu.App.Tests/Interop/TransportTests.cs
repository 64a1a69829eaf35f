using System;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>What lies between us and strongSwan: narrow paths, floods, addresses that change.</summary>
[Trait("Area", "interop")]
public sealed class TransportTests
{
    private static readonly Lazy<(TestCa Root, TestCa Upper, TestCa Lower, Credential Left, Credential Right)> s_chain = new(() =>
    {
        var root = TestCa.Root("Wide Root", "rsa", 4096);
        var upper = root.Intermediate("Wide Upper CA", "rsa", 4096);
        var lower = upper.Intermediate("Wide Lower CA", "rsa", 4096);
        return (root, upper, lower, lower.Issue("left", "rsa", 4096), lower.Issue("right", "rsa", 4096));
    });

    /// <summary>Sixty further networks on our side (strongSwan's own would each need an address of it): IKE_AUTH takes more than a kilobyte in both directions.</summary>
    private static Site Wide(bool v6, bool weAreLeft)
    {
        var more = string.Concat(Enumerable.Range(0, 60).Select(i => v6 ? $",fd51:{2 * i:x}::/64" : $",10.51.{2 * i}.0/24"));
        var site = new Site { OuterV6 = v6, InnerV6 = v6 };
        return weAreLeft ? site with { LeftTs = site.LeftNet + more } : site with { RightTs = site.RightNet + more };
    }

    [StrongSwanTheory]
    [InlineData(true, false, false)]
    [InlineData(false, false, false)]
    [InlineData(true, true, false)]
    [InlineData(false, true, false)]
    // the path takes even less than the recommended size: smaller ones are tried
    [InlineData(true, false, true)]
    [Trait("Item", "2.11")]
    public async Task Large_messages_get_through_a_path_that_takes_neither_fragments_nor_large_packets(bool weInitiate, bool v6, bool narrow)
    {
        var most = v6 ? 1280 : narrow ? 450 : 600;
        await using var tunnel = await Tunnel.StartAsync(Wide(v6, weInitiate), new Layout { WeAreLeft = weInitiate, PeerDaemon = narrow ? "fragment_size = 440" : v6 ? "fragment_size = 1280" : "fragment_size = 576", Prepare = lab => NarrowAsync(lab, most) });
        await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        await tunnel.AgreeAsync();
        var seen = (await Topology.InAsync(tunnel.Lab.Router, "nft", "list", "table", "inet", "labnarrow")).OrThrow("nft list").Output;
        // nothing was lost but what was tried too large on purpose
        if (!narrow) Assert.DoesNotMatch("counter packets [1-9]", seen);
        // rekeying is as large
        var rekeyed = await tunnel.Ours.RequestAsync("rekey", new ViciMessage().Add("child", "net"));
        Assert.True(rekeyed.Bool("success"), tunnel.Logs);
        await tunnel.AgreeAsync();
        await tunnel.PingBothAsync();
        if (!narrow) Coverage.Passed("fragmentation", weInitiate, tunnel.Site);
    }

    /// <summary>Both sides send three certificates of RSA 4096: their own and two CAs between it and the root.</summary>
    [StrongSwanTheory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    [InlineData(false, true)]
    [Trait("Item", "2.11")]
    public async Task A_chain_of_three_RSA_4096_certificates_gets_through_that_path(bool weInitiate, bool v6)
    {
        var (root, upper, lower, left, right) = s_chain.Value;
        var site = new Site { OuterV6 = v6, InnerV6 = v6, LeftAuth = "auth = pubkey\ncerts = left.pem", RightAuth = "auth = pubkey\ncerts = right.pem", LeftExpects = "auth = pubkey", RightExpects = "auth = pubkey", Connection = "send_cert = always" };
        await using var tunnel = await Tunnel.StartAsync(site, new Layout
        {
            WeAreLeft = weInitiate,
            PeerDaemon = v6 ? "fragment_size = 1280" : "fragment_size = 576",
            Prepare = lab => NarrowAsync(lab, v6 ? 1280 : 600),
            Files = folder => Write(folder, weInitiate ? left : right, ours: true),
            PeerFiles = folder => Write(folder, weInitiate ? right : left, ours: false),
        });
        await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        await tunnel.AgreeAsync();
        var seen = (await Topology.InAsync(tunnel.Lab.Router, "nft", "list", "table", "inet", "labnarrow")).OrThrow("nft list").Output;
        Assert.DoesNotMatch("counter packets [1-9]", seen);
        Coverage.Passed("fragmentation: three RSA-4096 certificates", weInitiate, site);

        void Write(string folder, Credential own, bool ours)
        {
            own.WriteTo(folder);
            root.Own.TrustIn(folder);
            // we take bundles; the peer reads the first certificate of a file only
            if (ours) Credential.Write(folder, "x509", own.Name + ".pem", string.Join('\n', own.Pem, lower.Own.Pem, upper.Own.Pem));
            else foreach (var between in new[] { lower, upper }) between.Own.TrustIn(folder);
        }
    }

    [StrongSwanFact]
    [Trait("Item", "2.11")]
    public async Task Without_fragmentation_that_path_carries_nothing()
    {
        await using var tunnel = await Tunnel.StartAsync(Wide(false, true) with { LeftConnection = "fragmentation = no" }, new Layout { Prepare = lab => NarrowAsync(lab, 600) });
        var up = await tunnel.Ours.RequestAsync("initiate", new ViciMessage().Add("child", "net").Add("timeout", 8_000));
        Assert.False(up.Bool("success"));
    }

    [StrongSwanFact]
    [Trait("Item", "2.14")]
    public async Task A_flood_of_first_messages_costs_thirty_key_exchanges_and_strongSwan_connects_meanwhile()
    {
        await using var tunnel = await Tunnel.StartAsync(new Site { LeftFromAnywhere = true }, new Layout { WeAreLeft = false });
        var flood = Flood.RunAsync(tunnel.Lab.Router, "198.51.100.2", 20_000, perSecond: 4_000);
        await Task.Delay(TimeSpan.FromSeconds(1.5));
        Assert.False(flood.IsCompleted);
        var open = (await tunnel.Ours.RequestAsync("stats")).Section("ikesas")!.Number("half-open", -1);
        Assert.Equal(30, open);
        await tunnel.UpAsync(weInitiate: false);
        await flood;
        // thirty of the flood, and strongSwan's own, which returned a cookie
        Assert.InRange((await tunnel.Ours.RequestAsync("get-counters")).Number("x-key-exchanges", -1), 31, 32);
        // half-open state lives ten seconds while the flood lasts
        await Until.HoldsAsync("the flood has left nothing", tunnel.Ours.SasAsync, sas => sas.Count == 1, sas => $"{sas.Count} IKE SAs", seconds: 12);
        await tunnel.PingBothAsync();
        await tunnel.AgreeAsync();
    }

    [StrongSwanTheory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    [InlineData(false, true)]
    [Trait("Item", "2.13")]
    public async Task The_initiator_moves_to_another_address(bool weInitiate, bool v6)
    {
        var (old, next) = v6 ? ("2001:db8:1::2", "2001:db8:1::3") : ("192.0.2.2", "192.0.2.3");
        var length = v6 ? 64 : 24;
        var site = new Site { OuterV6 = v6, InnerV6 = v6, LeftFromAnywhere = true, LeftLocal = $"{old},{next}", Connection = "mobike = yes" };
        await using var tunnel = await Tunnel.StartAsync(site, new Layout
        {
            WeAreLeft = weInitiate,
            Prepare = async lab =>
        {
            await Topology.InAsync(lab.Left, "sysctl", "-qw", "net.ipv4.conf.all.promote_secondaries=1", "net.ipv4.conf.wan.promote_secondaries=1");
            // the first address is the one that is taken
            (await Topology.InAsync(lab.Left, "bash", "-c", $"ip addr add {next}/{length} dev wan {(v6 ? "nodad preferred_lft 0" : "")}")).OrThrow("addr");
        }
        });
        await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        var before = await tunnel.OurSaAsync();
        Assert.Equal(old, weInitiate ? before.LocalHost : before.RemoteHost);
        (await Topology.InAsync(tunnel.Lab.Left, "bash", "-c", $"ip addr del {old}/{length} dev wan; {(v6 ? $"ip addr change {next}/64 dev wan preferred_lft forever" : "ip route replace default via 192.0.2.1")}")).OrThrow("addr del");
        await Until.HoldsAsync("the tunnel has moved", tunnel.OurSaAsync, sa => (weInitiate ? sa.LocalHost : sa.RemoteHost) == next, sa => $"{sa.LocalHost} {sa.RemoteHost}{tunnel.Logs}", seconds: 15);
        await Task.Delay(500);
        await tunnel.PingBothAsync();
        var after = await tunnel.AgreeAsync();
        Assert.Equal(before.Spis, after.Spis);
        Coverage.Passed("MOBIKE: address change", weInitiate, site);
    }

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Item", "2.15")]
    public async Task The_first_child_is_made_after_IKE_AUTH(bool weInitiate)
    {
        // strongSwan has no word for "prefer"
        var site = new Site { LeftConnection = weInitiate ? "childless = prefer" : "childless = force" };
        await using var tunnel = await Tunnel.StartAsync(site, new Layout { WeAreLeft = weInitiate });
        await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        await tunnel.AgreeAsync();
        Coverage.Passed("childless initiation", weInitiate, site);
    }

    /// <summary>The router drops IP fragments before anything puts them together, and every packet above a size.</summary>
    private static async Task NarrowAsync(Topology lab, int most)
    {
        await lab.NftAsync("add table inet labnarrow");
        await lab.NftAsync("add chain inet labnarrow early { type filter hook prerouting priority -450; }");
        await lab.NftAsync($"add rule inet labnarrow early udp dport {{500, 4500}} meta length > {most} counter drop");
        await lab.NftAsync("add rule inet labnarrow early ip frag-off & 0x3fff != 0 counter drop");
        await lab.NftAsync("add rule inet labnarrow early exthdr frag exists counter drop");
    }
}
