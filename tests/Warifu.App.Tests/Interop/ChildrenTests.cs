using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Several children of one IKE SA, and narrowing (RFC 7296 section 2.9), with strongSwan.</summary>
[Trait("Area", "interop")]
[Trait("Item", "1.19")]
public sealed class ChildrenTests
{
    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Several_children_share_one_IKE_SA_and_count_for_themselves(bool weInitiate)
    {
        var site = new Site { More = [("second", "10.10.11.0/24", "10.10.12.0/24"), ("third", "10.10.21.1/32", "10.10.22.1/32")] };
        await using var tunnel = await Tunnel.StartAsync(site, new Layout { Prepare = lab => AddAsync(lab, ("10.10.11.1/24", "10.10.12.1/24"), ("10.10.21.1/24", "10.10.22.1/24")) });
        foreach (var child in new[] { "net", "second", "third" }) await tunnel.UpAsync(weInitiate, child);
        var sa = await tunnel.AgreeAsync(children: 3);
        Assert.Equal(6, sa.Children.SelectMany(child => new[] { child.SpiIn, child.SpiOut }).Distinct().Count());
        (string Name, string Ours, string Peers)[] nets = [("net", "10.10.1.1", "10.10.2.1"), ("second", "10.10.11.1", "10.10.12.1"), ("third", "10.10.21.1", "10.10.22.1")];
        foreach (var (name, ours, peers) in nets)
        {
            var others = (await tunnel.OurSaAsync()).Children.Where(child => child.Name != name).Sum(child => child.PacketsIn + child.PacketsOut);
            await tunnel.PingBothAsync(name, ours, peers);
            Assert.Equal(others, (await tunnel.OurSaAsync()).Children.Where(child => child.Name != name).Sum(child => child.PacketsIn + child.PacketsOut));
        }

        // one goes, the others stay
        Assert.True((await tunnel.Ours.CliAsync("down", "second")).Ok);
        await tunnel.AgreeAsync(children: 2);
        await tunnel.PingBothAsync("third", "10.10.21.1", "10.10.22.1");
        Coverage.Passed("several children", weInitiate, site);
    }

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task The_initiator_offers_more_and_the_responder_narrows(bool weInitiate) => NarrowAsync("narrowing: the initiator offers more", weInitiate, ourSideIsWide: weInitiate);

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task The_initiator_offers_less_and_the_responder_takes_that(bool weInitiate) => NarrowAsync("narrowing: the responder would take more", weInitiate, ourSideIsWide: !weInitiate);

    private static async Task NarrowAsync(string scenario, bool weInitiate, bool ourSideIsWide)
    {
        var wide = new Site { LeftTs = "10.10.0.0/23", RightTs = "10.10.2.0/23" };
        var narrow = new Site { LeftTs = "10.10.1.0/25", RightTs = "10.10.2.0/26" };
        var site = ourSideIsWide ? wide : narrow;
        await using var tunnel = await Tunnel.StartAsync(site, new Layout { PeerSite = ourSideIsWide ? narrow : wide, Prepare = lab => AddAsync(lab, ("10.10.1.200/32", "10.10.2.200/32")) });
        await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        var child = Assert.Single((await tunnel.AgreeAsync()).Children);
        Assert.Equal(("10.10.1.0/25", "10.10.2.0/26"), (child.LocalSelectors, child.RemoteSelectors));

        // what lies outside goes neither inside nor in clear: from a wrong source it reaches the TUN and is refused there, to a wrong destination our table has no route
        var refused = await DropsAsync(tunnel, "esp-no-policy");
        Assert.Equal((3, 0), await Topology.PingAsync(tunnel.OurNs, "10.10.1.200", "10.10.2.1", count: 3, wait: 1));
        Assert.True(await DropsAsync(tunnel, "esp-no-policy") > refused, "refused packets are counted");
        Assert.DoesNotContain("10.10.2.0/23", await tunnel.RoutesAsync(), System.StringComparison.Ordinal);
        var after = await tunnel.OurChildAsync();
        Assert.Equal((child.PacketsIn, child.PacketsOut), (after.PacketsIn, after.PacketsOut));
        Assert.Equal(0, await tunnel.Lab.SeenAsync("inner"));
        Coverage.Passed(scenario, weInitiate, site);
    }

    private static async Task<long> DropsAsync(Tunnel tunnel, string name) => (await tunnel.Ours.RequestAsync("get-counters")).Section("x-drops")!.Number(name, -1);

    /// <summary>Further own addresses: kernel-libipsec wants one in each local selector.</summary>
    private static async Task AddAsync(Topology lab, params (string Left, string Right)[] addresses)
    {
        foreach (var (left, right) in addresses)
        {
            (await Tool.RunAsync("ip", ["-n", lab.Left, "addr", "add", left, "dev", "lan"])).OrThrow("addr add");
            (await Tool.RunAsync("ip", ["-n", lab.Right, "addr", "add", right, "dev", "lan"])).OrThrow("addr add");
        }
    }
}
