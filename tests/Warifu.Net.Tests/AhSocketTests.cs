using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Threading.Tasks;
using Warifu.Ipsec;
using Warifu.Net.Tests.Lab;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Net.Tests;

/// <summary>AH over raw sockets and through a router: two gateways with keys entered by hand.</summary>
[Trait("Item", "3.9")]
public sealed class AhSocketTests
{
    private const ushort Port = 7000;

    /// <summary>Extension headers before UDP: what each begins with names the next one.</summary>
    private static readonly (string Name, byte[] Kinds, byte[] Octets)[] s_extensions =
    [
        ("hop-by-hop, immutable", [0], [17, 0, 0x1E, 4, 1, 2, 3, 4]),
        ("hop-by-hop, mutable", [0], [17, 0, 0x3E, 4, 1, 2, 3, 4]),
        ("hop-by-hop of two rows", [0], [17, 1, 0x3E, 4, 1, 2, 3, 4, 0x1E, 2, 5, 6, 1, 2, 0, 0]),
        ("destination", [60], [17, 0, 0x1E, 4, 1, 2, 3, 4]),
        ("destination, mutable", [60], [17, 0, 0x3E, 4, 1, 2, 3, 4]),
        ("routing, done", [43], [17, 2, 0, 0, 0, 0, 0, 0, 0x20, 1, 0x0D, 0xB8, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]),
        ("destination before routing", [60], [43, 0, 0x1E, 4, 1, 2, 3, 4, 17, 2, 0, 0, 0, 0, 0, 0, 0x20, 1, 0x0D, 0xB8, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]),
        ("all of them", [0], [60, 0, 0x3E, 4, 1, 2, 3, 4, 43, 0, 0x3E, 4, 5, 6, 7, 8, 60, 2, 0, 0, 0, 0, 0, 0, 0x20, 1, 0x0D, 0xB8, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 17, 0, 0x1E, 4, 9, 9, 9, 9]),
    ];

    [LabFact]
    public async Task Extension_headers_come_through_as_they_were()
    {
        await using var world = new World();
        var site = new ManualSite { OuterV6 = true, Mode = IpsecMode.Transport };
        var (left, right) = await StartAsync(world, site);
        using var wire = world.Watch(world.Router, "tor");
        using var inside = world.Watch(world.Right, "warifu0");
        using var receiver = world.Udp(world.Right, site.RightHost, Port);
        using var sender = world.Left.Run(() => new Socket(AddressFamily.InterNetworkV6, SocketType.Raw, ProtocolType.Raw));
        sender.SetRawSocketOption(41, 36, BitConverter.GetBytes(1));
        var count = 0ul;
        foreach (var (name, kinds, extensions) in s_extensions)
        {
            wire.Clear();
            inside.Clear();
            var text = System.Text.Encoding.ASCII.GetBytes(name);
            var packet = V6(site.LeftHost, site.RightHost, kinds[0], extensions, Udp(site.LeftHost, site.RightHost, text));
            _ = sender.SendTo(packet, new IPEndPoint(IPAddress.Parse(site.RightHost), 0));
            var got = new byte[100];
            Assert.Equal(text, got[..receiver.Receive(got)]);
            count++;
            Assert.Equal(count, Counters(right).PacketsIn);
            bool IsPlain(byte[] one) => one.Length > 40 && one[40..].AsSpan().EndsWith(text);
            Assert.True(await World.Until(() => inside.Count(IsPlain) > 0 && wire.Count(IsAh) > 0));
            var plain = Assert.Single(inside.Packets, IsPlain);
            // flow label and hop limit are the kernel's to tell, or not
            Assert.Equal(Convert.ToHexString(packet[4..7]), Convert.ToHexString(plain[4..7]));
            Assert.Equal(Convert.ToHexString(packet[8..]), Convert.ToHexString(plain[8..]));
            var seen = Assert.Single(wire.Packets, IsAh);
            Assert.Equal(packet.Length + 32, seen.Length);
        }

        Assert.Equal((0ul, count), (Counters(right).IntegrityDrops, Counters(left).PacketsOut));
    }

    [LabTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_a_router_may_change_passes_and_what_it_may_not_is_dropped(bool v6)
    {
        await using var world = new World();
        var site = new ManualSite { OuterV6 = v6, Mode = IpsecMode.Transport };
        var (_, right) = await StartAsync(world, site);
        world.Router.Exec("nft 'add table inet tamper; add chain inet tamper forward { type filter hook forward priority 0; }'");
        using var near = world.Udp(world.Left, site.LeftHost, Port);
        using var far = world.Udp(world.Right, site.RightHost, Port);
        foreach (var may in v6 ? ["ip6 dscp set af21", "ip6 hoplimit set 7", "ip6 flowlabel set 77", "ip6 ecn set ce"] : new[] { "ip dscp set af21", "ip ttl set 7", "ip ecn set ce" })
        {
            Tamper(may);
            Assert.True(World.Send(near, far, 3) == 3, may);
        }

        Assert.Equal((12ul - (v6 ? 0u : 3u), 0ul), (Counters(right).PacketsIn, Counters(right).IntegrityDrops));
        var dropped = 0ul;
        // the address, the Identification, reserved octets of AH, the number, the ICV, what is behind it
        var ah = v6 ? 320 : 160;
        foreach (var (what, change) in new[] { ("sender", v6 ? "ip6 saddr set 2001:db8:1::99" : "ip saddr set 192.0.2.99"), (v6 ? "" : "Identification", "ip id set 4711"), ("reserved", $"@nh,{ah + 16},16 set 1"), ("number", $"@nh,{ah + 64},32 set 77"), ("ICV", $"@nh,{ah + 96},32 set 1"), ("ICV's end", $"@nh,{ah + 192},32 set 1"), ("payload", $"@nh,{ah + 256 + 96},16 set 1") })
        {
            if (what.Length == 0) continue;
            Tamper(change);
            Assert.True(World.Send(near, far, 3, wait: 200) == 0, what);
            dropped += 3;
            Assert.True(await World.Until(() => Counters(right).IntegrityDrops == dropped), $"{what}: {Counters(right)}");
        }

        Tamper(null);
        Assert.Equal(3, World.Send(near, far, 3));

        void Tamper(string? change)
        {
            world.Router.Exec("nft flush chain inet tamper forward");
            if (change is not null) world.Router.Exec($"nft 'add rule inet tamper forward oifname tor {(v6 ? "ip6 nexthdr" : "ip protocol")} ah {change}'");
        }
    }

    /// <summary>Packets that with AH are larger than the path: we cut them, since the kernel cuts no packet whose header it did not make; the other kernel puts them together before we see them.</summary>
    [LabTheory]
    [InlineData(false, false, IpsecMode.Tunnel)]
    [InlineData(false, true, IpsecMode.Tunnel)]
    [InlineData(true, false, IpsecMode.Tunnel)]
    [InlineData(true, true, IpsecMode.Tunnel)]
    [InlineData(false, false, IpsecMode.Transport)]
    [InlineData(true, true, IpsecMode.Transport)]
    public async Task Own_packets_that_do_not_fit_the_path_are_cut_and_come_together_again(bool outerV6, bool innerV6, IpsecMode mode)
    {
        await using var world = new World(mtu: 1280);
        var site = new ManualSite { OuterV6 = outerV6, Mode = mode };
        var (left, right) = await StartAsync(world, site);
        using var wire = world.Watch(world.Router, "tor");
        var transport = mode == IpsecMode.Transport;
        using var near = transport ? world.Udp(world.Left, site.LeftHost, Port) : world.Udp(world.Near, innerV6 ? "fd10:1::2" : "10.10.1.2", Port);
        using var far = transport ? world.Udp(world.Right, site.RightHost, Port) : world.Udp(world.Far, innerV6 ? "fd10:2::2" : "10.10.2.2", Port);
        // IPv4: without DF
        if (!innerV6) near.SetRawSocketOption(0, 10, BitConverter.GetBytes(0));
        var size = 1280 - (innerV6 ? 48 : 28);
        // the first one tells how large the path is
        _ = World.Send(near, far, 1, size, wait: 300);
        Assert.True(await World.Until(() => World.Send(near, far, 1, size, wait: 300) == 1));
        // what is under way is seen by then
        await Task.Delay(200, TestContext.Current.CancellationToken);
        wire.Clear();
        var before = Counters(right);
        var octets = new byte[size];
        new Random(3).NextBytes(octets);
        for (var i = 0; i < 5; i++)
        {
            _ = near.SendTo(octets, far.LocalEndPoint!);
            var got = new byte[2000];
            Assert.Equal(Convert.ToHexString(octets), Convert.ToHexString(got[..far.Receive(got)]));
        }

        Assert.True(await World.Until(() => wire.Count(IsAh) >= 10));
        var seen = wire.Packets.Where(IsAh).ToList();
        Assert.All(seen, packet => Assert.InRange(packet.Length, 48, 1280));
        // IPv4 in a tunnel is cut before it is sealed
        var cutInside = !transport && !innerV6;
        Assert.Equal(10, seen.Count);
        Assert.Equal(cutInside ? 0 : 10, seen.Count(IsFragment));
        Assert.Equal(cutInside ? 10ul : 5ul, Counters(right).PacketsIn - before.PacketsIn);
        Assert.Equal((0ul, 0ul), (Counters(right).IntegrityDrops, Counters(left).IntegrityDrops));
    }

    private static async Task<(IkeNode Left, IkeNode Right)> StartAsync(World world, ManualSite site)
    {
        var nodes = new List<IkeNode>();
        foreach (var left in new[] { true, false })
        {
            var options = World.Options(new Site());
            nodes.Add(await world.StartAsync(left, site.Policy(left, options.Secrets), options));
            Assert.Null(Assert.Single(nodes[^1].Manual).WhyNot);
        }

        return (nodes[0], nodes[1]);
    }

    private static ChildCounters Counters(IkeNode node) => node.TryQuery(Assert.Single(node.Manual).Id, out var counters) ? counters : throw new InvalidOperationException("no such pair");

    private static bool IsAh(byte[] packet) => packet[0] >> 4 == 4 ? packet[9] == 51 : (packet[6] == 44 ? packet[40] == 51 : IpHeader.TryParse(packet, out var header) && header.Flow.Protocol == IpHeader.Ah);

    private static bool IsFragment(byte[] packet) => packet[0] >> 4 == 6 ? packet[6] == 44 : (BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(6)) & 0x3FFF) != 0;

    private static byte[] V6(string from, string to, byte next, byte[] extensions, byte[] upper)
    {
        byte[] packet = [0x60, 0, 0, 0, 0, 0, next, 64, .. IpAddress.Parse(from).ToOctets(), .. IpAddress.Parse(to).ToOctets(), .. extensions, .. upper];
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), (ushort)(packet.Length - 40));
        return packet;
    }

    private static byte[] Udp(string from, string to, byte[] data)
    {
        byte[] udp = [Port >> 8, Port & 255, Port >> 8, Port & 255, 0, (byte)(8 + data.Length), 0, 0, .. data];
        byte[] summed = [.. IpAddress.Parse(from).ToOctets(), .. IpAddress.Parse(to).ToOctets(), 0, 0, 0, (byte)udp.Length, 0, 0, 0, 17, .. udp, .. new byte[udp.Length & 1]];
        var sum = 0;
        for (var i = 0; i < summed.Length; i += 2) sum += (summed[i] << 8) | summed[i + 1];
        while (sum > 0xFFFF) sum = (sum & 0xFFFF) + (sum >> 16);
        BinaryPrimitives.WriteUInt16BigEndian(udp.AsSpan(6), (ushort)~sum);
        return udp;
    }
}
