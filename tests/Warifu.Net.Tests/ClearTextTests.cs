using System;
using System.Linq;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Warifu.Engine;
using Warifu.Net.Tests.Lab;
using Warifu.Policy;
using Xunit;

namespace Warifu.Net.Tests;

/// <summary>Nothing that a kept connection covers leaves or arrives in clear, whatever state the tunnel is in. The outer link is watched from the router, and the router is the attacker too.</summary>
[Trait("Item", "1.13")]
public sealed class ClearTextTests
{
    private static readonly string[] Inner = ["10.10.0.0/16", "fd10::/16"];

    [LabTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Without_a_gateway_the_same_packets_are_seen_and_arrive(bool v6)
    {
        // what the other tests count can be counted
        await using var world = new World();
        using var outer = world.Watch(world.Router, "tol");
        using var lan = world.Watch(world.Far, "lan");
        var (near, far) = GatewayTests.Ends(world, v6);
        World.Send(near, far, 3, wait: 200);
        Assert.True(await World.Until(() => outer.Count(Inner) >= 3));
        Spoof(world, v6, toRight: true, 4);
        Assert.True(await World.Until(() => lan.Count(packet => IsSpoofed(packet)) == 4));
    }

    [LabTheory]
    [InlineData(false, null, StartAction.Trap)]
    [InlineData(true, null, StartAction.Start)]
    [InlineData(false, "vti7", StartAction.Start)]
    [InlineData(true, "vti7", StartAction.Trap)]
    [InlineData(true, null, StartAction.Trap)]
    [InlineData(false, null, StartAction.Start)]
    public async Task Nothing_passes_in_clear_from_the_first_packet_to_the_death_of_the_peer(bool v6, string? bind, StartAction start)
    {
        await using var world = new World();
        var site = new Site { KeyingTries = 0, Children = [Site.Lan(v6, start, bind) with { RightStart = StartAction.Trap }] };
        using var outer = world.Watch(world.Router, "tol");
        using var nearLan = world.Watch(world.Near, "lan");
        using var farLan = world.Watch(world.Far, "lan");
        var (near, far) = GatewayTests.Ends(world, v6);

        // before there is a peer
        var left = await world.StartAsync(left: true, site);
        Assert.Equal(0, World.Send(near, far, 10, wait: 200));
        Assert.Equal(0, outer.Count(Inner));
        Spoof(world, v6, toRight: false, 5);
        Assert.True(await World.Until(() => left.UnprotectedDrops >= 5));

        // up
        var process = world.StartProcess(left: false, site);
        await World.UpAsync(left, site);
        Assert.Equal(5, World.Send(near, far));
        Assert.Equal(5, World.Send(far, near));
        Spoof(world, v6, toRight: false, 5);
        Spoof(world, v6, toRight: true, 5);
        Assert.True(await World.Until(() => left.UnprotectedDrops >= 10));

        // rekeying, with packets under way all the time
        var stop = 0;
        var flow = Task.Run(() =>
        {
            var sent = 0;
            for (; Volatile.Read(ref stop) == 0; sent++)
            {
                near.SendTo(new byte[64], far.LocalEndPoint!);
                Thread.Sleep(1);
            }

            return sent;
        });
        for (var i = 0; i < 4; i++)
        {
            Assert.True((await left.RunAsync(id => new IkeCommand.Rekey(id, new SaTarget("site", i % 2 == 0 ? "lan" : null)))).Success);
            await Task.Delay(100);
        }

        Volatile.Write(ref stop, 1);
        Assert.True(await flow > 100);
        Assert.Equal(0, Leaked(outer));

        // the peer dies; then the SA is given up here too
        process.Kill(entireProcessTree: true);
        await process.WaitForExitAsync();
        World.Send(near, far, 5, wait: 200);
        await left.RunAsync(id => new IkeCommand.Down(id, new SaTarget("site"), Force: true));
        World.Send(near, far, 10, wait: 300);
        Spoof(world, v6, toRight: false, 5);
        Assert.True(await World.Until(() => left.UnprotectedDrops >= 15));
        Assert.Equal(0, Leaked(outer));
        Assert.Equal(0, nearLan.Count(IsSpoofed));
        Assert.Equal(0, farLan.Count(IsSpoofed));
    }

    [LabTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_bound_interface_for_everything_is_guarded_by_the_administrators_routes(bool v6)
    {
        await using var world = new World();
        var everything = v6 ? "::/0" : "0.0.0.0/0";
        var (left, right) = await world.TunnelAsync(new Site { Children = [new SiteChild("all", [everything], [everything]) { Bind = "vti7" }] });
        world.Left.Ip(v6 ? "-6 route add fd10:2::/64 dev vti7" : "route add 10.10.2.0/24 dev vti7");
        world.Right.Ip(v6 ? "-6 route add fd10:1::/64 dev vti7" : "route add 10.10.1.0/24 dev vti7");
        using var farLan = world.Watch(world.Far, "lan");
        var (near, far) = GatewayTests.Ends(world, v6);
        Assert.Equal(5, World.Send(near, far));
        Assert.Equal(5, World.Send(far, near));
        Spoof(world, v6, toRight: true, 6);
        Assert.True(await World.Until(() => right.UnprotectedDrops == 6));
        Assert.Equal(0, farLan.Count(IsSpoofed));
        Assert.Equal(0, left.UnprotectedDrops);
    }

    [LabTheory]
    [InlineData(null)]
    [InlineData("vti7")]
    public async Task A_crash_leaves_the_machine_closed_and_a_restart_takes_over(string? bind)
    {
        await using var world = new World();
        var clean = RoutingTests.State(world.Left);
        // things of others, some of them as like ours as can be
        world.Left.Exec("bash -c \"ip rule add priority 8750 from 203.0.113.0/24 lookup 99 protocol 99; ip route add 203.0.113.0/24 dev lan table 8757 proto 99; ip -6 route add 2001:db8:77::/64 dev lan table 99 proto static; ip rule add priority 100 fwmark 0x57 lookup 99; nft add table inet warifu2; nft add table ip warifu\"");
        var foreign = RoutingTests.State(world.Left);
        Assert.NotEqual(clean, foreign);
        var site = new Site { KeyingTries = 0, Children = [Site.Lan(false, StartAction.Trap, bind), Site.Lan(true, StartAction.Trap, bind) with { Name = "lan6" }, new SiteChild("udp", ["10.10.1.0/24[udp]"], ["10.30.0.0/16[udp]"]) { LeftStart = StartAction.Trap }] };
        using var outer = world.Watch(world.Router, "tol");
        using var nearLan = world.Watch(world.Near, "lan");
        var (near, far) = GatewayTests.Ends(world, false);
        var (near6, far6) = GatewayTests.Ends(world, true);
        await world.StartAsync(left: false, site);
        var process = world.StartProcess(left: true, site);
        Assert.True(await World.Until(() => World.Send(near, far, 1, wait: 200) == 1));
        Assert.True(await World.Until(() => World.Send(near6, far6, 1, wait: 200) == 1));
        process.Kill(entireProcessTree: true);
        await process.WaitForExitAsync();

        // dead: neither out nor in
        World.Send(near, far, 5, wait: 100);
        World.Send(near6, far6, 5, wait: 100);
        Assert.Equal(0, outer.Count(Inner));
        Spoof(world, false, toRight: false, 5);
        Spoof(world, true, toRight: false, 5);
        await Task.Delay(300);
        Assert.Equal(0, nearLan.Count(IsSpoofed));

        // packets all the time while it starts again
        var stop = 0;
        var flow = Task.Run(() =>
        {
            while (Volatile.Read(ref stop) == 0)
            {
                Quietly(() => near.SendTo(new byte[64], far.LocalEndPoint!));
                Quietly(() => near6.SendTo(new byte[64], far6.LocalEndPoint!));
                Spoof(world, false, toRight: false, 1, outer);
            }
        });
        var left = await world.StartAsync(left: true, site);
        Assert.True(await World.Until(() => World.Send(near, far, 1, wait: 200) == 1));
        Volatile.Write(ref stop, 1);
        await flow;
        Assert.Equal(0, Leaked(outer));
        Assert.Equal(0, nearLan.Count(IsSpoofed));
        await left.DisposeAsync();
        Assert.Equal(foreign, RoutingTests.State(world.Left));
    }

    [LabFact]
    public async Task A_second_table_stands_while_the_first_is_replaced()
    {
        await using var world = new World();
        var site = new Site { Children = [Site.Lan(false, StartAction.Trap)] };
        var process = world.StartProcess(left: true, site);
        process.Kill(entireProcessTree: true);
        await process.WaitForExitAsync();
        using var monitor = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("ip", ["netns", "exec", world.Left.Name, "nft", "monitor"]) { RedirectStandardOutput = true })!;
        var output = monitor.StandardOutput.ReadToEndAsync();
        // it tells of everything from its first line on
        world.Left.Exec("nft add table inet other");
        await Task.Delay(300);
        await using var left = await world.StartAsync(left: true, site);
        await Task.Delay(300);
        monitor.Kill();
        var lines = (await output).Split('\n').ToList();
        int At(string line) => lines.FindIndex(other => other.StartsWith(line, StringComparison.Ordinal));
        var (stands, taken, built, gone) = (At("add rule inet warifu-standby protect"), lines.IndexOf("delete table inet warifu"), At("add rule inet warifu protect"), lines.FindLastIndex(line => line == "delete table inet warifu-standby"));
        Assert.True(stands >= 0 && stands < taken && taken < built && built < gone, string.Join('\n', lines));
    }

    [LabFact]
    public async Task A_start_without_some_of_the_connections_removes_what_the_crash_left_of_them()
    {
        await using var world = new World();
        var before = RoutingTests.State(world.Left);
        var both = new Site { Children = [Site.Lan(false, StartAction.Trap), Site.Lan(true, StartAction.Trap) with { Name = "lan6" }] };
        var process = world.StartProcess(left: true, both);
        process.Kill(entireProcessTree: true);
        await process.WaitForExitAsync();
        Assert.Contains("unreachable fd10:2::/64", RoutingTests.State(world.Left), StringComparison.Ordinal);
        var left = await world.StartAsync(left: true, both with { Children = both.Children[..1] });
        var state = RoutingTests.State(world.Left);
        Assert.DoesNotContain("fd10:2::/64", state, StringComparison.Ordinal);
        Assert.Contains("unreachable 10.10.2.0/24", state, StringComparison.Ordinal);
        await left.DisposeAsync();
        Assert.Equal(before, RoutingTests.State(world.Left));
    }

    private static void Spoof(World world, bool v6, bool toRight, int count, Capture? by = null)
    {
        var packet = (v6, toRight) switch
        {
            (false, true) => World.Clear("10.10.1.2", "10.10.2.2", 7999),
            (false, false) => World.Clear("10.10.2.2", "10.10.1.2", 7999),
            (true, true) => World.Clear("fd10:1::2", "fd10:2::2", 7999),
            (true, false) => World.Clear("fd10:2::2", "fd10:1::2", 7999),
        };
        using var own = by is null ? new Capture(world.Router, toRight ? "tor" : "tol") : null;
        for (var i = 0; i < count; i++) (by ?? own!).Inject(packet, toRight ? World.RightStation : World.LeftStation);
    }

    private static int Leaked(Capture outer) => outer.Count(Inner) - outer.Count(IsSpoofed);

    private static bool IsSpoofed(byte[] packet) => Ipsec.IpHeader.TryParse(packet, out var header) && header.Flow is { Protocol: 17, DestinationPort: 7999 };

    private static void Quietly(Action action)
    {
        try
        {
            action();
        }
        catch (SocketException)
        {
            // unreachable: just what it should be
        }
    }
}
