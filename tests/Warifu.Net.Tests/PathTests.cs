using System;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Warifu.Ipsec;
using Warifu.Net.Tests.Lab;
using Warifu.Net.Udp;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Net.Tests;

/// <summary>Sizes, path MTU, NAT keepalives, and the sockets themselves.</summary>
[Trait("Item", "1.12")]
public sealed class PathTests
{
    [LabTheory]
    // path - IP - (UDP) - ESP 8 - IV 8 - ICV 16, down to a multiple of 4, less the trailer's 2
    [InlineData(false, true, 1500, 1438)]
    [InlineData(false, false, 1500, 1446)]
    [InlineData(true, true, 1500, 1418)]
    [InlineData(true, false, 1500, 1426)]
    public async Task The_device_takes_what_the_path_takes_less_the_overhead(bool outerV6, bool encapsulated, int path, int expected)
    {
        await using var world = new World(path);
        await world.TunnelAsync(new Site { OuterV6 = outerV6, Encapsulated = encapsulated });
        Assert.Equal(expected, MtuOf(world.Left, "warifu0"));
        var (near, far) = GatewayTests.Ends(world, false);
        near.DontFragment = true;
        Assert.Equal(2, World.Send(near, far, 2, expected - 28));
    }

    [LabTheory]
    [InlineData(false, true)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    [InlineData(true, false)]
    public async Task A_narrow_router_is_learned_and_told_to_the_hosts(bool outerV6, bool encapsulated)
    {
        await using var world = new World();
        var (left, _) = await world.TunnelAsync(new Site { OuterV6 = outerV6, Encapsulated = encapsulated });
        var (near, far) = GatewayTests.Ends(world, false);
        near.DontFragment = true;
        Assert.Equal(2, World.Send(near, far, 2, 1390));
        world.Router.Ip("link set tor mtu 1400");
        world.Right.Ip("link set wan mtu 1400");
        World.Send(near, far, 3, 1390, wait: 300);
        var least = 1400 - (outerV6 ? 40 : 20) - (encapsulated ? 8 : 0) - 34 - 3;
        Assert.True(await World.Until(() => MtuOf(world.Left, "warifu0") is var mtu && mtu >= least && mtu < 1390), $"MTU is {MtuOf(world.Left, "warifu0")}");
        // the host behind is told, and what it then sends arrives
        Assert.True(await World.Until(() => Refused(near, far, 1390)));
        Assert.Equal(3, World.Send(near, far, 3, MtuOf(world.Left, "warifu0") - 28));
        Assert.Equal(1400, left.Packets!.Sad.ById(left.Packets.PairIds()[0])!.Path.Mtu);
    }

    [LabTheory]
    [InlineData(false, true)]
    [InlineData(false, false)]
    [InlineData(true, false)]
    public async Task Packets_that_may_be_cut_cross_whatever_their_size(bool outerV6, bool encapsulated)
    {
        await using var world = new World();
        using var wire = world.Watch(world.Router, "tol");
        var (left, _) = await world.TunnelAsync(new Site { OuterV6 = outerV6, Encapsulated = encapsulated, Children = [new SiteChild("lan", ["10.10.1.0/24[udp]"], ["10.10.2.0/24[udp/7000]"]), Site.Lan(true) with { Name = "lan6" }] });
        var (near, far) = GatewayTests.Ends(world, false);
        near.DontFragment = false;
        Assert.Equal(3, World.Send(near, far, 3, 1300));
        // with ports in the selectors, pieces but the first match nothing (docs/host.md): they go nowhere
        var before = left.Packets!.Drops(PacketDrop.NoPolicy);
        Assert.Equal(0, World.Send(near, far, 3, 1440, wait: 300));
        Assert.True(left.Packets.Drops(PacketDrop.NoPolicy) - before >= 3);
        Assert.Equal(0, wire.Count("10.10.0.0/16"));
        var (near6, far6) = GatewayTests.Ends(world, true);
        // an IPv6 host learns the size from the first one
        World.Send(near6, far6, 1, 4000, wait: 200);
        Assert.Equal(3, World.Send(near6, far6, 3, 4000, wait: 3000));
        await using var plain = new World();
        await plain.TunnelAsync(new Site { OuterV6 = outerV6, Encapsulated = encapsulated });
        var ends = GatewayTests.Ends(plain, false);
        ends.Near.DontFragment = false;
        Assert.Equal(3, World.Send(ends.Near, ends.Far, 3, 1440));
        Assert.Equal(3, World.Send(ends.Near, ends.Far, 3, 8000));
    }

    [LabTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task With_df_clear_the_outer_packet_is_cut_instead(bool encapsulated)
    {
        await using var world = new World();
        foreach (var (where, device) in new[] { (world.Left, "wan"), (world.Right, "wan"), (world.Router, "tol"), (world.Router, "tor") }) where.Ip($"link set {device} mtu 1000");
        using var wire = world.Watch(world.Router, "tol");
        await world.TunnelAsync(new Site { Encapsulated = encapsulated, Children = [Site.Lan(false) with { Df = DfPolicy.Clear }] });
        var (near, far) = GatewayTests.Ends(world, false);
        near.DontFragment = true;
        Assert.Equal(3, World.Send(near, far, 3, 1200));
        Assert.Equal(3, World.Send(far, near, 3, 1200));
        Assert.True(wire.Count(packet => packet[0] == 0x45 && packet[9] == (encapsulated ? 17 : 50) && (packet[6] & 0x20) != 0) >= 6);
    }

    [LabFact]
    public async Task A_narrow_child_does_not_take_IPv6_off_the_shared_device()
    {
        await using var world = new World();
        await world.TunnelAsync(new Site { Children = [Site.Lan(false) with { Mtu = 900 }, Site.Lan(true) with { Name = "lan6" }] });
        Assert.Equal(1280, MtuOf(world.Left, "warifu0"));
        var (near, far) = GatewayTests.Ends(world, true);
        Assert.Equal(3, World.Send(near, far, 3));
    }

    [LabFact]
    public async Task The_side_behind_the_NAT_sends_keepalives_and_the_other_does_not()
    {
        await using var world = new World();
        world.Router.Exec("nft add table ip n");
        world.Router.Exec("nft add chain ip n p '{ type nat hook postrouting priority 100; }'");
        world.Router.Exec("nft add rule ip n p oifname tor ip saddr 192.0.2.0/24 masquerade");
        var site = new Site { Keepalive = TimeSpan.FromMilliseconds(200) };
        var right = await world.Right.Run(() => IkeNode.StartAsync(new PolicySet { Connections = [site.Policy(false).Connections[0] with { RemoteAddresses = [] }] }, World.Options(site)));
        try
        {
            using var inside = world.Watch(world.Router, "tol");
            var left = await world.StartAsync(left: true, site);
            await World.UpAsync(left, site);
            Assert.True(await World.Until(() => inside.Count(packet => IsKeepalive(packet) && packet[15] == 2 && packet[12] == 192) >= 4));
            Assert.Equal(0, inside.Count(packet => IsKeepalive(packet) && packet[12] == 198));
            var (near, far) = GatewayTests.Ends(world, false);
            Assert.Equal(3, World.Send(near, far, 3));
            Assert.Equal(3, World.Send(far, near, 3));
        }
        finally
        {
            await right.DisposeAsync();
        }
    }

    [Fact]
    public void Only_the_octet_FF_is_a_keepalive()
    {
        using var hub = new UdpHub(0, 0, 0, rawEsp: false);
        var (messages, packets) = (0, 0);
        hub.OnIke = (_, _, _) => messages++;
        hub.OnEsp = (Span<byte> _, int _, int _, in Arrival _, Instant _) => packets++;
        hub.Start();
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        var to = new IPEndPoint(IPAddress.Loopback, hub.SharedPort);
        socket.SendTo([0x00], to);
        socket.SendTo([], to);
        socket.SendTo([0xFF, 0xFF], to);
        socket.SendTo([0xFE], to);
        socket.SendTo([0xFF], to);
        socket.SendTo([0, 0, 0, 0, 1], to);
        socket.SendTo([0, 0, 0, 1, 1], to);
        Assert.True(System.Threading.SpinWait.SpinUntil(() => packets == 1 && messages == 1 && hub.KeepalivesReceived == 1, 3000));
        Assert.Equal(1, hub.KeepalivesReceived);
    }

    [Fact]
    public void A_port_that_another_daemon_has_is_an_error_in_both_families()
    {
        foreach (var v6 in new[] { false, true })
        {
            using var taken = new Socket(v6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            if (v6) taken.DualMode = false;
            taken.Bind(new IPEndPoint(v6 ? IPAddress.IPv6Any : IPAddress.Any, 0));
            var port = (ushort)((IPEndPoint)taken.LocalEndPoint!).Port;
            var exception = Assert.Throws<System.ComponentModel.Win32Exception>(() => new UdpHub(port, 0, 0, rawEsp: false));
            Assert.Contains(v6 ? "IPv6" : "IPv4", exception.Message, StringComparison.Ordinal);
        }
    }

    [LabFact]
    public void A_socket_tells_its_own_address_and_the_traffic_class_of_each_datagram()
    {
        using var netns = new OneNamespace();
        netns.Where.Ip("addr add 10.7.0.1/32 dev lo");
        netns.Where.Ip("addr add 10.7.0.2/32 dev lo");
        netns.Where.Ip("addr add fd07::1/128 dev lo");
        netns.Where.Ip("addr add fd07::2/128 dev lo");
        netns.Where.Run(() =>
        {
            foreach (var (v6, one, two) in new[] { (false, "10.7.0.1", "10.7.0.2"), (true, "fd07::1", "fd07::2") })
            {
                using var a = DatagramSocket.Udp(v6, 0, 0x57);
                using var b = DatagramSocket.Udp(v6, 0, 0x57);
                foreach (var (own, other, tos) in new[] { (one, two, (byte)0xB8), (two, one, (byte)0x03) })
                {
                    Assert.True(a.TrySend([1, 2], [3, 4, 5], IpAddress.Parse(own), new Endpoint(IpAddress.Parse(other), b.Port), tos));
                    using var batch = new ReceiveBatch();
                    Assert.True(System.Threading.SpinWait.SpinUntil(() => batch.Receive(b) == 1, 2000));
                    Assert.True(batch.TryRead(0, b, out var slot, out var arrival));
                    Assert.Equal(new Arrival(5, new Endpoint(IpAddress.Parse(other), b.Port), new Endpoint(IpAddress.Parse(own), a.Port), tos, 5), arrival);
                    Assert.Equal([1, 2, 3, 4, 5], slot.Slice(ReceiveBatch.Headroom, 5).ToArray());
                }
            }

            return 0;
        });
    }

    private static bool IsKeepalive(byte[] packet) => IpHeader.TryParse(packet, out var header) && header.Flow.Protocol == 17 && packet.Length >= 29 && header.TotalLength == 29 && packet[28] == 0xFF;

    private static bool Refused(Socket near, Socket far, int size)
    {
        try
        {
            near.SendTo(new byte[size], far.LocalEndPoint!);
            return false;
        }
        catch (SocketException exception)
        {
            return exception.SocketErrorCode == SocketError.MessageSize;
        }
    }

    private static int MtuOf(Namespace where, string device) => int.Parse(Regex.Match(where.Ip($"link show {device}"), @"mtu (\d+)").Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture);
}
