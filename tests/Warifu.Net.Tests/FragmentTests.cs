using System;
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Threading.Tasks;
using Warifu.Net.Tests.Lab;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Net.Tests;

/// <summary>Fragments, in which the kernel's routing rules see no ports, where only some ports are protected. The outer link is watched from the router.</summary>
[Trait("Item", "1.13")]
public sealed class FragmentTests
{
    private const ushort Port = 4000, Other = 5000;

    private static readonly byte[] s_lanOfLeft = [2, 0, 0, 0, 0x0A, 1];

    [LabTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Fragments_to_where_some_ports_are_protected_do_not_leave_in_clear(bool v6)
    {
        await using var world = new World();
        var net = new Lans(v6);
        using var outer = world.Watch(world.Router, "tol");
        using var lan = world.Watch(world.Near, "lan");
        using var near = world.Udp(world.Near, net.Near, Port);
        // without a gateway they are seen
        Assert.True(await Sees(outer, net, () => Send(near, net.Far, Port, 3000)));
        await using var left = await world.StartAsync(left: true, new Site
        {
            Children =
            [
                new SiteChild("ports", [$"{net.LeftNet}[udp]"], [$"{net.RightNet}[udp/{Port}]"]) { LeftStart = StartAction.Trap },
                new SiteChild("protocol", [$"{net.LeftNet}[udp]"], [$"{net.Host(5)}[udp]"]) { LeftStart = StartAction.Trap },
                new SiteChild("whole", [net.LeftNet], [net.Host(6)]) { LeftStart = StartAction.Trap },
                new SiteChild("pass", [net.LeftNet], [net.Host(7)]) { Mode = ChildMode.Pass, LeftStart = StartAction.Trap },
            ],
        });

        // the child with ports: whole packets go into the device, fragments nowhere
        Assert.False(await Sees(outer, net, () => Send(near, net.Far, Port, 100)));
        Assert.Equal(0, left.FragmentDrops);
        Assert.False(await Sees(outer, net, () => Send(near, net.Far, Port, 3000, times: 4)));
        Assert.Equal(12, left.FragmentDrops);
        // of other ports only what is whole can be told apart
        Assert.True(await Sees(outer, net, () => Send(near, net.Far, Other, 100)));
        Assert.False(await Sees(outer, net, () => Send(near, net.Far, Other, 3000)));
        // without ports the rules lead fragments, too
        Assert.False(await Sees(outer, net, () => Send(near, net.Host(5), Port, 3000)));
        Assert.False(await Sees(outer, net, () => Send(near, net.Host(6), Port, 3000)));
        Assert.Equal(15, left.FragmentDrops);
        // what is not covered, and what is let pass
        Assert.True(await Sees(outer, net, () => Send(near, net.Host(8), Port, 3000)));
        Assert.True(await Sees(outer, net, () => Send(near, net.Host(7), Port, 3000)));
        Assert.Equal(15, left.FragmentDrops);

        // by hand: the first one, a later one, one of another protocol
        foreach (var (offset, more) in new[] { (0, true), (8, true), (1480, false) }) Assert.False(await Sees(outer, net, () => lan.Inject(net.Fragment(net.Near, net.Far, 17, offset, more), s_lanOfLeft)));
        Assert.True(await Sees(outer, net, () => lan.Inject(net.Fragment(net.Near, net.Far, 6, 1480, false), s_lanOfLeft)));
        if (v6)
        {
            // a whole one with a fragment header; and headers that hide what follows
            Assert.False(await Sees(outer, net, () => lan.Inject(net.Fragment(net.Near, net.Far, 17, 0, false), s_lanOfLeft)));
            foreach (byte hidden in new byte[] { 60, 43 })
            {
                Assert.False(await Sees(outer, net, () => lan.Inject(net.Fragment(net.Near, net.Far, hidden, 0, true), s_lanOfLeft)));
                Assert.False(await Sees(outer, net, () => lan.Inject(net.Fragment(net.Near, net.Host(5), hidden, 1480, false), s_lanOfLeft)));
                Assert.True(await Sees(outer, net, () => lan.Inject(net.Fragment(net.Near, net.Host(8), hidden, 1480, false), s_lanOfLeft)));
            }
        }

        // programs of this machine that make their fragments themselves; the mark is ours
        Assert.False(await Sees(outer, net, () => SendRaw(world.Left, net, mark: 0)));
        Assert.True(await Sees(outer, net, () => SendRaw(world.Left, net, mark: 0x57)));

        // and in clear from the other side
        var before = left.UnprotectedDrops;
        lan.Clear();
        for (var i = 0; i < 3; i++) outer.Inject(net.Fragment(net.Far, net.Near, 17, 1480, false), World.LeftStation);
        Assert.True(await World.Until(() => left.UnprotectedDrops == before + 3));
        Assert.Equal(0, lan.Count(packet => Lans.IsFragment(packet)));
    }

    [LabFact]
    public async Task The_rules_come_and_go_with_such_children_and_are_put_back()
    {
        await using var world = new World();
        var clean = RoutingTests.State(world.Left);
        var net = new Lans(false);
        var site = new Site { Children = [new SiteChild("whole", [net.LeftNet], [net.RightNet]) { LeftStart = StartAction.Trap }] };
        var left = await world.StartAsync(left: true, site);
        Assert.DoesNotContain("hook output", world.Left.Exec("nft list table inet warifu"), StringComparison.Ordinal);
        using var outer = world.Watch(world.Router, "tol");
        using var near = world.Udp(world.Near, net.Near, Port);
        await left.LoadAsync((site with { Children = [new SiteChild("ports", [$"{net.LeftNet}[udp]"], [$"{net.RightNet}[udp/{Port}-4999]"]) { LeftStart = StartAction.Trap }] }).Policy(left: true), TestContext.Current.CancellationToken);
        Assert.Contains("hook output", world.Left.Exec("nft list table inet warifu"), StringComparison.Ordinal);
        Assert.False(await Sees(outer, net, () => Send(near, net.Far, Port, 3000)));
        Assert.Equal(3, left.FragmentDrops);
        world.Left.Exec("nft flush ruleset");
        Assert.True(await World.Until(() => world.Left.Exec("nft list ruleset").Contains("hook output", StringComparison.Ordinal)));
        Assert.False(await Sees(outer, net, () => Send(near, net.Far, Port, 3000)));
        Assert.True(await World.Until(() => left.FragmentDrops >= 3));
        await left.LoadAsync(site.Policy(left: true), TestContext.Current.CancellationToken);
        Assert.False(await Sees(outer, net, () => Send(near, net.Far, Port, 3000)));
        await left.DisposeAsync();
        Assert.Equal(clean, RoutingTests.State(world.Left));
        Assert.True(await Sees(outer, net, () => Send(near, net.Far, Port, 3000)));
    }

    private static void Send(Socket from, string to, int port, int size, int times = 1)
    {
        for (var i = 0; i < times; i++) _ = from.SendTo(new byte[size], new IPEndPoint(IPAddress.Parse(to), port));
    }

    /// <summary>Packets of the LANs pass the outer link.</summary>
    private static async Task<bool> Sees(Capture outer, Lans net, Action action)
    {
        outer.Clear();
        try
        {
            action();
        }
        catch (SocketException)
        {
            // it was told that the way is closed
        }

        return await World.Until(() => outer.Count(net.Inner) > 0, 300);
    }

    private static void SendRaw(Namespace where, Lans net, uint mark)
    {
        using var socket = where.Run(() => new Socket(net.V6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork, SocketType.Raw, ProtocolType.Raw));
        // IPV6_HDRINCL, IP_HDRINCL
        socket.SetRawSocketOption(net.V6 ? 41 : 0, net.V6 ? 36 : 3, BitConverter.GetBytes(1));
        if (mark != 0) socket.SetRawSocketOption(1, 36, BitConverter.GetBytes(mark));
        _ = socket.SendTo(net.Fragment(net.LeftInner, net.Far, 17, 1480, false), new IPEndPoint(IPAddress.Parse(net.Far), 0));
    }

    /// <summary>The LANs of one family, and fragments between them.</summary>
    private sealed record Lans(bool V6)
    {
        public string[] Inner { get; } = V6 ? ["fd10::/16"] : ["10.10.0.0/16"];

        public string Near => V6 ? "fd10:1::2" : "10.10.1.2";

        public string LeftInner => V6 ? "fd10:1::1" : "10.10.1.1";

        public string Far => V6 ? "fd10:2::2" : "10.10.2.2";

        public string LeftNet => V6 ? "fd10:1::/64" : "10.10.1.0/24";

        public string RightNet => V6 ? "fd10:2::/64" : "10.10.2.0/24";

        public string Host(int net) => V6 ? $"fd10:{net}::2" : $"10.10.{net}.2";

        public byte[] Fragment(string from, string to, byte next, int offset, bool more)
        {
            byte[] part = [Port >> 8, Port & 255, Port >> 8, Port & 255, 0, 48, 0, 0, .. new byte[40]];
            // what a header that hides something looks like
            if (next is 43 or 60) part = [17, 0, next == 43 ? (byte)4 : (byte)1, next == 43 ? (byte)0 : (byte)4, 0, 0, 0, 0, .. part];
            var packet = new byte[(V6 ? 48 : 20) + part.Length];
            part.CopyTo(packet, packet.Length - part.Length);
            IpAddress.Parse(from).Write(packet.AsSpan(V6 ? 8 : 12));
            IpAddress.Parse(to).Write(packet.AsSpan(V6 ? 24 : 16));
            if (V6)
            {
                (packet[0], packet[6], packet[7], packet[40]) = (0x60, 44, 64, next);
                BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), (ushort)(packet.Length - 40));
                BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(42), (ushort)(offset | (more ? 1 : 0)));
                packet[47] = 9;
                return packet;
            }

            (packet[0], packet[5], packet[8], packet[9]) = (0x45, 9, 64, next);
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)packet.Length);
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(6), (ushort)((offset / 8) | (more ? 0x2000 : 0)));
            var sum = 0;
            for (var i = 0; i < 20; i += 2) sum += (packet[i] << 8) | packet[i + 1];
            while (sum > 0xFFFF) sum = (sum & 0xFFFF) + (sum >> 16);
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), (ushort)~sum);
            return packet;
        }

        public static bool IsFragment(byte[] packet) => packet[0] >> 4 == 6 ? packet[6] == 44 : (BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(6)) & 0x3FFF) != 0;
    }
}
