using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Connections to two strongSwans at once: policy-based, and route-based on one TUN.</summary>
[Trait("Area", "interop")]
[Trait("Item", "1.12")]
[Trait("Item", "1.19")]
public sealed class TwoPeersTests
{
    public static System.Collections.Generic.IEnumerable<TheoryDataRow<bool, bool>> Rows => Families.BothRoles;

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public Task Two_policy_based_connections(bool weInitiate, bool v6) => BothAsync("two peers, policy-based", weInitiate, v6, "");

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public Task Two_route_based_connections_on_one_TUN(bool weInitiate, bool v6) => BothAsync("two peers on one TUN", weInitiate, v6, "bind_interface = vpn7");

    private static async Task BothAsync(string scenario, bool weInitiate, bool v6, string child)
    {
        await using var lab = await Topology.CreateAsync();
        var third = await lab.AddThirdAsync();
        var right = new Site { OuterV6 = v6, InnerV6 = v6 };
        var other = right with { Name = "other", RightName = "third", RightHostIs = v6 ? "2001:db8:3::2" : "203.0.113.2", RightTs = v6 ? "fd10:3::/64" : "10.10.3.0/24", LeftSecret = "Pv5.mJt9-Hs2wQe7", RightSecret = "Pv5.mJt9-Hs2wQe7" };
        var starting = (StrongSwan.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), right.Right()), StrongSwan.StartAsync(third, Path.Combine(lab.Folder, "third"), other.Right()));
        await using var first = await starting.Item1;
        await using var second = await starting.Item2;
        await using var ours = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "ours"), (right with { LeftChild = child }).Left() + (other with { LeftChild = child }).Left());
        foreach (var (name, peer) in new[] { ("site", first), ("other", second) })
        {
            var up = weInitiate ? await ours.CliAsync("up", name) : await peer.ControlAsync("--initiate", "--ike", name, "--child", "net", "--timeout", "10");
            Assert.True(up.Ok, up.All + ours.Log + peer.Log);
        }

        string[] inner = [right.RightInner, v6 ? "fd10:3::1" : "10.10.3.1"];
        foreach (var (name, ns, address, elsewhere) in new[] { ("site", lab.Right, inner[0], "other"), ("other", third, inner[1], "site") })
        {
            var before = await CountersAsync(ours);
            var log = ours.Log + first.Log + second.Log;
            Assert.True(await Topology.PingAsync(lab.Left, right.LeftInner, address) == (5, 5), log);
            Assert.True(await Topology.PingAsync(ns, address, right.LeftInner) == (5, 5), log);
            var after = await CountersAsync(ours);
            // a slow answer makes ping send one more
            Assert.True(after[name].In >= before[name].In + 10 && after[name].Out >= before[name].Out + 10, $"{before[name]} -> {after[name]}");
            Assert.Equal(before[elsewhere], after[elsewhere]);
        }

        if (child.Length > 0)
        {
            var device = await Tool.RunAsync("ip", ["-n", lab.Left, v6 ? "-6" : "-4", "route", "show", "table", "8757"]);
            Assert.Equal(2, device.Output.Split('\n').Count(line => line.Contains("dev vpn7", System.StringComparison.Ordinal)));
            Assert.False((await Tool.RunAsync("ip", ["-n", lab.Left, "link", "show", "dev", "warifu0"])).Ok, "no other device is needed");
        }

        // one goes, the other stays
        Assert.True((await ours.CliAsync("down", "other")).Ok);
        Assert.Equal((5, 5), await Topology.PingAsync(lab.Right, inner[0], right.LeftInner));
        Assert.Equal("site", Assert.Single(await ours.SasAsync()).Connection);
        Assert.Equal(0, await lab.SeenAsync("inner"));
        Coverage.Passed(scenario, weInitiate, right);
    }

    private static async Task<System.Collections.Generic.Dictionary<string, (long In, long Out)>> CountersAsync(Gateway ours) =>
        (await ours.SasAsync()).ToDictionary(sa => sa.Connection, sa => (sa.Children.Sum(child => child.PacketsIn), sa.Children.Sum(child => child.PacketsOut)));
}
