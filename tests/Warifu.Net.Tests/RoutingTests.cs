using System;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Net.Tests.Lab;
using Warifu.Policy;
using Xunit;

namespace Warifu.Net.Tests;

/// <summary>What a node changes on its machine, and that it is all gone afterwards.</summary>
[Trait("Item", "1.12")]
public sealed class RoutingTests
{
    [LabFact]
    public async Task Routes_rules_devices_and_the_table_are_made_as_designed_and_gone_afterwards()
    {
        await using var world = new World();
        // new devices would filter by reverse path here
        world.Left.Exec("bash -c 'echo 1 > /proc/sys/net/ipv4/conf/default/rp_filter'");
        var before = State(world.Left);
        var settings = Settings(world.Left);
        var site = new Site
        {
            Children =
            [
                Site.Lan(false, StartAction.Trap), Site.Lan(true, StartAction.Trap) with { Name = "lan6" },
                new SiteChild("web", ["10.10.1.0/24[tcp]"], ["10.30.0.0/16[tcp/80]"]) { LeftStart = StartAction.Trap },
                new SiteChild("bound", ["10.10.1.0/24"], ["10.40.0.0/16"]) { LeftStart = StartAction.Trap, Bind = "vti7" },
                new SiteChild("open", ["10.10.1.0/24"], ["10.50.0.0/16"]) { LeftStart = StartAction.Trap, Bind = "vti7", Leak = true },
                new SiteChild("ssh", ["10.10.1.0/24"], ["10.10.2.0/24[tcp/22]"]) { Mode = ChildMode.Pass },
            ],
        };
        var node = await world.StartAsync(left: true, site);
        var rules = world.Left.Ip("rule show");
        Assert.Contains("8750:\tnot from all fwmark 0x57 lookup 8757 proto 87", rules, StringComparison.Ordinal);
        Assert.Contains("8748:\tfrom 10.10.1.0/24 to 10.10.2.0/24 ipproto tcp dport 22 lookup main proto 87", rules, StringComparison.Ordinal);
        Assert.Contains("8749:\tfrom 10.10.1.0/24 to 10.30.0.0/16 ipproto tcp dport 80 lookup 8758 proto 87", rules, StringComparison.Ordinal);
        Assert.Contains("8749:\tfrom all to 10.30.0.0/16 iif lo ipproto tcp dport 80 lookup 8758 proto 87", rules, StringComparison.Ordinal);
        Assert.Contains("not from all fwmark 0x57 lookup 8757 proto 87", world.Left.Ip("-6 rule show"), StringComparison.Ordinal);
        var routes = Lines(world.Left.Ip("route show table 8757"));
        Assert.Contains("10.10.2.0/24 dev warifu0 proto 87 scope link src 10.10.1.1", routes);
        Assert.Contains("unreachable 10.10.2.0/24 proto 87 metric 4294967280", routes);
        Assert.Contains("10.40.0.0/16 dev vti7 proto 87 scope link src 10.10.1.1", routes);
        Assert.Contains("unreachable 10.40.0.0/16 proto 87 metric 4294967280", routes);
        Assert.Contains("10.50.0.0/16 dev vti7 proto 87 scope link src 10.10.1.1", routes);
        Assert.DoesNotContain(routes, line => line.StartsWith("unreachable 10.50.0.0", StringComparison.Ordinal));
        Assert.Contains(Lines(world.Left.Ip("-6 route show table 8757")), line => line.StartsWith("fd10:2::/64 dev warifu0 proto 87 src fd10:1::1", StringComparison.Ordinal));
        Assert.Contains(Lines(world.Left.Ip("route show table 8758")), line => line.StartsWith("10.30.0.0/16 dev warifu0 proto 87", StringComparison.Ordinal));
        Assert.Contains("table inet warifu", world.Left.Exec("nft list tables"), StringComparison.Ordinal);
        // the devices: no link-local address, no reverse-path filter, everything else of the machine as it was
        Assert.DoesNotContain("fe80", world.Left.Ip("-6 addr show dev warifu0"), StringComparison.Ordinal);
        Assert.Equal("0", world.Left.Exec("cat /proc/sys/net/ipv4/conf/warifu0/rp_filter").Trim());
        Assert.Equal(settings, Settings(world.Left));
        await node.DisposeAsync();
        Assert.Equal(before, State(world.Left));
        Assert.Equal(settings, Settings(world.Left));
    }

    [LabFact]
    public async Task A_start_that_nobody_disturbs_puts_nothing_back()
    {
        await using var world = new World();
        var site = new Site { Children = [Site.Lan(false, StartAction.Trap), Site.Lan(true, StartAction.Trap, bind: "vti7") with { Name = "lan6" }] };
        await using var node = await world.Left.Run(() => IkeNode.StartAsync(PolicySet.Empty, World.Options(site)));
        var events = node.Listen();
        await world.Left.Run(() => node.LoadAsync(site.Policy(left: true)));
        await Task.Delay(500);
        while (events.Reader.TryRead(out var happening)) Assert.False(happening is Notice { Level: NoticeLevel.Warning }, $"{happening}");
    }

    [LabFact]
    public async Task The_routes_of_a_pair_that_is_not_wanted_go_with_it()
    {
        await using var world = new World();
        var (left, _) = await world.TunnelAsync(new Site { Children = [Site.Lan(false), Site.Lan(true) with { Name = "lan6" }] });
        var table = world.Left.Ip("route show table 8757") + world.Left.Ip("-6 route show table 8757");
        Assert.Contains("10.10.2.0/24 dev warifu0", table, StringComparison.Ordinal);
        Assert.Contains("fd10:2::/64 dev warifu0", table, StringComparison.Ordinal);
        await left.DownAsync("site", "lan");
        Assert.True(await World.Until(() => world.Left.Ip("route show table 8757").Length == 0));
        Assert.Contains("fd10:2::/64 dev warifu0", world.Left.Ip("-6 route show table 8757"), StringComparison.Ordinal);
        await left.DownAsync("site");
        Assert.True(await World.Until(() => world.Left.Ip("-6 route show table 8757").Length == 0));
    }

    [LabFact]
    public async Task Our_own_packets_do_not_follow_a_rule_with_a_protocol_into_the_tunnel()
    {
        await using var world = new World();
        var site = new Site { Encapsulated = true, Children = [new SiteChild("udp", ["10.10.1.0/24[udp]"], ["0.0.0.0/0[udp]"]) { LeftStart = StartAction.Trap }] };
        await world.TunnelAsync(site);
        Assert.Contains("iif lo ipproto udp lookup 8758", world.Left.Ip("rule show"), StringComparison.Ordinal);
        Assert.Equal(5, World.Send(world.Udp(world.Near, "10.10.1.2", 7000), world.Udp(world.Far, "10.10.2.2", 7000)));
    }

    [LabFact]
    public async Task What_others_remove_is_put_back()
    {
        await using var world = new World();
        var site = new Site { Children = [Site.Lan(false, StartAction.Trap), Site.Lan(true, StartAction.Trap) with { Name = "lan6" }, new SiteChild("web", ["10.10.1.0/24[tcp]"], ["10.30.0.0/16[tcp/80]"]) { LeftStart = StartAction.Trap }] };
        await world.TunnelAsync(site);
        var (near, far) = GatewayTests.Ends(world, false);
        var (near6, far6) = GatewayTests.Ends(world, true);
        var whole = State(world.Left);
        foreach (var attack in new[]
        {
            "ip route del 10.10.2.0/24 table 8757 dev warifu0", "ip route del unreachable 10.10.2.0/24 table 8757", "ip route flush table 8757", "ip -6 route del fd10:2::/64 table 8757 dev warifu0", "ip -6 route flush table 8757",
            "ip rule del priority 8750", "ip -6 rule del priority 8750", "nft delete table inet warifu", "nft flush ruleset", "nft flush chain inet warifu protect", "nft delete element inet warifu tuns '{ warifu0 }'",
            "ip link set warifu0 down", "ip link del warifu0", "ip addr del 10.10.1.1/24 dev lan; ip addr add 10.10.1.1/24 dev lan",
        })
        {
            world.Left.Exec($"bash -c \"{attack}\"");
            var back = await World.Until(() => State(world.Left) == whole);
            if (!back) Assert.Equal(attack + "\n" + whole, attack + "\n" + State(world.Left));
            Assert.True(World.Send(near, far, wait: 3000) == 5, attack);
            Assert.True(World.Send(near6, far6, wait: 3000) == 5, attack);
        }
    }

    [LabFact]
    public async Task The_source_of_routes_follows_the_addresses_of_the_machine()
    {
        await using var world = new World();
        world.Left.Ip("addr del 10.10.1.1/24 dev lan");
        world.Left.Ip("addr del fd10:1::1/64 dev lan");
        await world.StartAsync(left: true, new Site { Children = [Site.Lan(false, StartAction.Trap), Site.Lan(true, StartAction.Trap) with { Name = "lan6" }] });
        Assert.DoesNotContain("src", world.Left.Ip("route show table 8757"), StringComparison.Ordinal);
        world.Left.Ip("addr add 10.10.1.1/24 dev lan");
        world.Left.Ip("addr add fd10:1::1/64 dev lan nodad");
        Assert.True(await World.Until(() => world.Left.Ip("route show table 8757").Contains("src 10.10.1.1", StringComparison.Ordinal)));
        Assert.True(await World.Until(() => world.Left.Ip("-6 route show table 8757").Contains("src fd10:1::1", StringComparison.Ordinal)));
        world.Left.Ip("addr add 10.10.1.77/24 dev lan");
        world.Left.Ip("addr del 10.10.1.1/24 dev lan");
        Assert.True(await World.Until(() => world.Left.Ip("route show table 8757").Contains("10.10.2.0/24 dev warifu0 proto 87", StringComparison.Ordinal)));
    }

    [LabFact]
    public async Task Children_share_devices_and_a_gateway_has_several()
    {
        await using var world = new World();
        world.Far.Ip("addr add 10.10.3.2/24 dev lan");
        world.Right.Ip("addr add 10.10.3.1/24 dev lan");
        var site = new Site
        {
            Children =
            [
                Site.Lan(false), new SiteChild("three", ["10.10.1.0/24"], ["10.10.3.0/24"]) { Bind = "vti7" }, Site.Lan(true, bind: "vti7") with { Name = "six" },
                new SiteChild("four", ["10.10.1.0/24"], ["10.99.0.0/16"]) { Bind = "vti8" },
            ],
        };
        world.Far.Ip("addr add 10.99.0.2/32 dev lan");
        await world.TunnelAsync(site);
        world.Right.Ip("route add 10.99.0.2/32 dev lan");
        var devices = Lines(world.Left.Ip("-o link show type tun")).Select(line => Regex.Match(line, @"\d+: (\S+):").Groups[1].Value).Order();
        Assert.Equal(["vti7", "vti8", "warifu0"], devices);
        using var wire = world.Watch(world.Router, "tol");
        var near = world.Udp(world.Near, "10.10.1.2", 7000);
        Assert.Equal(5, World.Send(near, world.Udp(world.Far, "10.10.2.2", 7000)));
        Assert.Equal(5, World.Send(near, world.Udp(world.Far, "10.10.3.2", 7000)));
        Assert.Equal(5, World.Send(near, world.Udp(world.Far, "10.99.0.2", 7000)));
        Assert.Equal(5, World.Send(world.Udp(world.Near, "fd10:1::2", 7000), world.Udp(world.Far, "fd10:2::2", 7000)));
        Assert.Equal(0, wire.Count("10.10.0.0/16", "10.99.0.0/16", "fd10::/16"));
        // whatever left through a device came back through the same on the other side
        foreach (var device in new[] { "warifu0", "vti7", "vti8" }) Assert.True(Received(world.Right, device) >= 5, device);
    }

    [LabFact]
    public async Task A_bypass_entry_with_ports_lets_exactly_that_pass()
    {
        await using var world = new World();
        var site = new Site { Children = [Site.Lan(false), new SiteChild("dns", ["10.10.1.0/24"], ["10.10.2.0/24[udp/7001]"]) { Mode = ChildMode.Pass }, new SiteChild("own", ["10.10.1.1"], ["10.10.2.0/24[udp/7002]"]) { Mode = ChildMode.Pass }] };
        await world.TunnelAsync(site);
        using var wire = world.Watch(world.Router, "tol");
        var (near, far) = GatewayTests.Ends(world, false);
        Assert.Equal(5, World.Send(near, far));
        Assert.Equal(0, wire.Count("10.10.0.0/16"));
        World.SendTo(near, new(System.Net.IPAddress.Parse("10.10.2.2"), 7001), far, 4, wait: 300);
        Assert.True(await World.Until(() => wire.Count("10.10.0.0/16") == 4));
        // a bypass for the gateway's own address is none for the hosts behind it
        wire.Clear();
        Assert.Equal(5, World.Send(near, world.Udp(world.Far, "10.10.2.2", 7002)));
        Assert.Equal(0, wire.Count("10.10.0.0/16"));
        World.SendTo(world.Udp(world.Left, "10.10.1.1", 7000), new(System.Net.IPAddress.Parse("10.10.2.2"), 7002), far, 3, wait: 300);
        Assert.True(await World.Until(() => wire.Count("10.10.0.0/16") == 3));
    }

    [LabFact]
    public async Task A_protect_entry_with_ports_takes_exactly_that()
    {
        await using var world = new World();
        await world.TunnelAsync(new Site { Children = [new SiteChild("lan", ["10.10.1.0/24[udp]"], ["10.10.2.0/24[udp/7000]"])] });
        using var wire = world.Watch(world.Router, "tol");
        var (near, far) = GatewayTests.Ends(world, false);
        Assert.Equal(5, World.Send(near, far));
        Assert.Equal(5, World.Send(far, near));
        Assert.Equal(0, wire.Count("10.10.0.0/16"));
        World.SendTo(near, new(System.Net.IPAddress.Parse("10.10.2.2"), 7001), far, 4, wait: 300);
        Assert.True(await World.Until(() => wire.Count("10.10.0.0/16") == 4));
    }

    [LabTheory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public async Task Transport_mode_leads_the_peers_address_into_ESP(bool v6, bool encapsulated)
    {
        await using var world = new World();
        var site = new Site { OuterV6 = v6, Encapsulated = encapsulated };
        site = site with { Children = [new SiteChild("host", [site.LeftHost], [site.RightHost]) { Mode = ChildMode.Transport }] };
        using var wire = world.Watch(world.Router, "tol");
        await world.TunnelAsync(site);
        wire.Clear();
        var (left, right) = (world.Udp(world.Left, v6 ? "::" : "0.0.0.0", 7000), world.Udp(world.Right, site.RightHost, 7000));
        Assert.Equal(5, World.Send(left, right));
        Assert.Equal(5, World.SendTo(right, new(System.Net.IPAddress.Parse(site.LeftHost), 7000), left, 5));
        Assert.Equal(0, wire.Count(packet => IpHeader.TryParse(packet, out var header) && header.Flow.Protocol == 17 && (header.Flow.DestinationPort is 7000 || header.Flow.SourcePort is 7000)));
        // in UDP several may travel in one: the wire of a veth shows the segments of UDP_SEGMENT joined
        Assert.True(wire.Count(packet => IpHeader.TryParse(packet, out var header) && header.Flow.Protocol == (encapsulated ? 17 : 50)) >= (encapsulated ? 2 : 10));
    }

    [LabFact]
    public async Task The_connected_networks_stay_reachable_with_bypass_lan()
    {
        foreach (var bypass in new[] { false, true })
        {
            await using var world = new World();
            await world.StartAsync(left: true, new Site { Children = [new SiteChild("all", ["10.10.1.0/24"], ["0.0.0.0/0"]) { LeftStart = StartAction.Trap, BypassLan = bypass }] });
            var (near, gateway) = (world.Udp(world.Near, "10.10.1.2", 7000), world.Udp(world.Left, "10.10.1.1", 7000));
            Assert.Equal(bypass ? 3 : 0, World.Send(gateway, near, 3, wait: 500));
            Assert.Equal(bypass ? 3 : 0, World.Send(near, gateway, 3, wait: 500));
        }
    }

    [LabFact]
    public async Task Bypass_lan_follows_the_networks_that_the_machine_is_connected_to()
    {
        await using var world = new World();
        await world.StartAsync(left: true, new Site { Children = [new SiteChild("all", ["10.10.1.0/24"], ["0.0.0.0/0"]) { LeftStart = StartAction.Trap, BypassLan = true }] });
        Assert.DoesNotContain("10.77.0.0/24", world.Left.Ip("rule show"), StringComparison.Ordinal);
        world.Left.Ip("addr add 10.77.0.1/24 dev lan");
        Assert.True(await World.Until(() => world.Left.Ip("rule show").Contains("to 10.77.0.0/24 lookup main", StringComparison.Ordinal)));
        Assert.True(await World.Until(() => world.Left.Exec("nft list table inet warifu").Contains("10.77.0.0/24", StringComparison.Ordinal)));
        world.Left.Ip("addr del 10.77.0.1/24 dev lan");
        Assert.True(await World.Until(() => !world.Left.Ip("rule show").Contains("10.77.0.0/24", StringComparison.Ordinal)));
        Assert.True(await World.Until(() => !world.Left.Exec("nft list table inet warifu").Contains("10.77.0.0/24", StringComparison.Ordinal)));
        // what was there before is still excepted
        Assert.Contains("to 10.10.1.0/24 lookup main", world.Left.Ip("rule show"), StringComparison.Ordinal);
    }

    [LabFact]
    public async Task What_reaches_the_device_and_matches_nothing_is_counted_and_answered()
    {
        await using var world = new World();
        var (left, _) = await world.TunnelAsync(new Site { Children = [Site.Lan(false), Site.Lan(true) with { Name = "lan6" }] });
        world.Near.Ip("addr add 10.10.9.9/32 dev lan");
        world.Near.Ip("addr add fd10:9::9/128 dev lan nodad");
        world.Left.Ip("route add 10.10.9.9/32 dev lan");
        world.Left.Ip("-6 route add fd10:9::9/128 dev lan");
        using var lan = world.Watch(world.Near, "lan");
        using var wire = world.Watch(world.Router, "tol");
        var before = left.Packets!.Drops(PacketDrop.NoPolicy);
        World.SendTo(world.Udp(world.Near, "10.10.9.9", 7000), new(System.Net.IPAddress.Parse("10.10.2.2"), 7000), world.Udp(world.Far, "10.10.2.2", 7000), 3, wait: 200);
        World.SendTo(world.Udp(world.Near, "fd10:9::9", 7000), new(System.Net.IPAddress.Parse("fd10:2::2"), 7000), world.Udp(world.Far, "fd10:2::2", 7000), 3, wait: 200);
        Assert.True(await World.Until(() => left.Packets.Drops(PacketDrop.NoPolicy) - before >= 6));
        Assert.True(await World.Until(() => lan.Count(packet => packet[0] == 0x45 && packet[9] == 1 && packet[20] == 3 && packet[21] == 13) > 0));
        Assert.True(await World.Until(() => lan.Count(packet => packet[0] >> 4 == 6 && packet[6] == 58 && packet[40] == 1 && packet[41] == 1) > 0));
        Assert.Equal(0, wire.Count("10.10.0.0/16", "fd10::/16"));
    }

    [Fact]
    public void Nothing_of_it_is_done_by_other_programs()
    {
        foreach (var assembly in new[] { typeof(IkeNode).Assembly, typeof(PacketPath).Assembly }) Assert.DoesNotContain(assembly.GetReferencedAssemblies(), reference => reference.Name == "System.Diagnostics.Process");
    }

    /// <summary>Rules, routes, devices and tables, without what changes by itself.</summary>
    internal static string State(Namespace where) => Regex.Replace(
        where.Exec("bash -c \"ip rule; ip -6 rule; ip route show table all; ip -6 route show table all | grep -v -e ff00 -e fe80; ip -o link show type tun | cut -d: -f2; nft list ruleset | grep -v packets || true\""), @"\d+: |expires \d+sec|hoplimit \d+|linkdown|dead", "");

    /// <summary>All network settings but those of our own devices, and counters.</summary>
    private static string Settings(Namespace where) => where.Exec("bash -c \"grep -r . /proc/sys/net 2>/dev/null | grep -v -e /warifu0/ -e /vti7/ -e nf_conntrack -e stable_secret | sort\"");

    private static string[] Lines(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private static long Received(Namespace where, string device) => long.Parse(Regex.Match(where.Ip($"-s link show {device}"), @"RX:.*\n\s*\d+\s+(\d+)").Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture);
}
