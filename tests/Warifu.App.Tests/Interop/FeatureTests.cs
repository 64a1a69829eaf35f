using System;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>What IKEv2 has beside authentication and rekeying, with strongSwan in both roles: virtual addresses, traps.</summary>
[Trait("Area", "interop")]
[Trait("Item", "2.20")]
public sealed class FeatureTests
{
    private const string Pools = "pools {\nv4 {\naddrs = 10.77.0.0/28\ndns = 10.10.2.53\n}\nv6 {\naddrs = fd77::/124\ndns = fd10:2::53\n}\n}";

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_client_gets_addresses_of_both_families_and_name_servers(bool weInitiate)
    {
        // left is the client and initiates: we are left or right
        var site = new Site
        {
            LeftTs = "dynamic",
            RightTs = "10.10.2.0/24,fd10:2::/64",
            LeftConnection = "vips = 0.0.0.0,::",
            RightConnection = "pools = v4,v6",
            RightSections = Pools,
            LeftFromAnywhere = true,
        };
        await using var tunnel = await Tunnel.StartAsync(site, new Layout { WeAreLeft = weInitiate });
        await tunnel.UpAsync(weInitiate);
        var sa = await tunnel.AgreeAsync();
        var addresses = sa.Body.Items(weInitiate ? "local-vips" : "remote-vips").ToList();
        Assert.True(addresses.Count == 2 && addresses[0].StartsWith("10.77.0.", StringComparison.Ordinal) && addresses[1].StartsWith("fd77::", StringComparison.Ordinal), string.Join(' ', addresses) + tunnel.Logs);
        foreach (var (from, to) in new[] { (addresses[0], "10.10.2.1"), (addresses[1], "fd10:2::1") })
        {
            var counts = (await Topology.PingAsync(tunnel.Lab.Left, from, to), await Topology.PingAsync(tunnel.Lab.Right, to, from));
            Assert.True(counts == ((5, 5), (5, 5)), $"{from} {to} {counts}{await tunnel.DescribeAsync()}{tunnel.Logs}");
        }

        if (!weInitiate)
        {
            var pools = await tunnel.Ours.RequestAsync("get-pools", new ViciMessage().Add("leases", "yes"));
            Assert.Equal(["1", "1"], pools.Elements.Select(pool => pool.Section!.Text("online")));
            Assert.Contains("left.example.org", (await tunnel.Ours.CliAsync("list", "pools")).Output, StringComparison.Ordinal);
        }

        Coverage.Passed("virtual IPs of both families with DNS", weInitiate, site);
    }

    [StrongSwanFact]
    public async Task The_first_packet_brings_the_tunnel_up()
    {
        var site = new Site { LeftChild = "start_action = trap" };
        await using var tunnel = await Tunnel.StartAsync(site);
        Assert.Empty(await tunnel.Ours.SasAsync());
        var counts = await Topology.PingAsync(tunnel.OurNs, tunnel.OurInner, tunnel.PeerInner, count: 15, interval: 0.2);
        // the packets of the negotiation are gone, those after it are not
        Assert.True(counts.Received >= 3, $"{counts}{tunnel.Logs}");
        await tunnel.AgreeAsync();
        await tunnel.PingBothAsync();
        Assert.Equal(0, await tunnel.Lab.SeenAsync("inner"));
        Coverage.Passed("trap: the first packet brings it up", true, site);
    }
}
