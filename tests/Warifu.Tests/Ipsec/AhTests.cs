using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Warifu.Crypto;
using Warifu.Ipsec;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Ipsec;

/// <summary>RFC 4302 in both directions.</summary>
[Trait("Item", "3.9")]
public sealed class AhTests
{
    private static readonly byte[] s_inner4 = Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1000, 2000), tos: 0xB8);
    private static readonly byte[] s_inner6 = Packets.V6("fd01::1", "fd02::1", 17, Packets.Udp(1000, 2000), 0x28);

    /// <summary>Kinds of options and headers, small lengths and pointers.</summary>
    private static readonly byte[] s_telling = [0, 1, 2, 3, 4, 5, 7, 8, 11, 12, 43, 44, 50, 51, 60, 68, 130, 131, 137, 148, 0x46, 0x47, 0x4F, 255];

    private static readonly byte[][] s_routes = [[131, 3, 0, 0], [137, 3, 3, 0], [131, 3, 4, 0], [131, 7, 8], [137, 7, 4], [131, 11, 4], [7, 3, 4], [68, 4, 5]];

    public static TheoryData<string> Records() => [.. AhRecords.All.Select(one => one.Name)];

    public static TheoryData<IntegId> EveryAlgorithm() => [.. AhWorld.EveryAlgorithm];

    [Theory]
    [MemberData(nameof(Records))]
    public void Packets_that_a_Linux_kernel_made_are_taken(string name)
    {
        var record = AhRecords.All.Single(one => one.Name == name);
        var world = WorldOf(record);
        var inner = world.Deliver(world.B, record.Octets);
        Assert.NotNull(inner);
        Assert.EndsWith("recorded from a Linux kernel", Encoding.ASCII.GetString(inner), StringComparison.Ordinal);
        if (!record.Tunnel) Assert.Equal(AhWorld.WithoutAh(record.Octets), inner);
        Assert.Equal((1ul, (ulong)(inner.Length - (record.Tunnel ? 0 : AhWorld.AhOffset(record.Octets)))), (world.SaB.Counters.PacketsIn, world.SaB.Counters.BytesIn));
        Assert.Null(world.Deliver(world.B, record.Octets));
        Assert.Equal(PacketDrop.Replay, world.Received.Drop);
    }

    [Theory]
    [MemberData(nameof(Records))]
    public void We_make_the_packets_that_a_Linux_kernel_made(string name)
    {
        // it puts AH behind the destination options for the last hop, we before them; RFC 4302 section 3.1.1 leaves that open
        if (name.Contains("destination", StringComparison.Ordinal)) return;
        var record = AhRecords.All.Single(one => one.Name == name);
        var expected = record.Octets;
        var at = AhWorld.AhOffset(expected);
        var sequence = BinaryPrimitives.ReadUInt32BigEndian(expected.AsSpan(at + 8));
        // it pads the ICV for IPv6 with what happened to be there, and covers that
        if (expected.AsSpan(at + 12 + Algorithms.Integ[record.Integ].IcvLength, ((expected[at + 1] + 2) * 4) - 12 - Algorithms.Integ[record.Integ].IcvLength).ContainsAnyExcept((byte)0)) return;
        var buffer = new byte[1000];
        var mac = PacketMac.Create(record.Integ, WorldOf(record).Key);
        var identification = BinaryPrimitives.ReadUInt16BigEndian(expected.AsSpan(4));
        using var ah = new AhOutbound(new(record.Spi), record.Esn, mac, (ushort)(identification - 1));
        ah.StartAt(sequence - 1);
        SealedPacket packet;
        if (record.Tunnel)
        {
            var inner = expected[(at + ((expected[at + 1] + 2) * 4))..];
            inner.CopyTo(buffer, 200);
            var outer = new OuterHeader(IpAddress.FromOctets(expected.AsSpan(at == 40 ? 8 : 12, at == 40 ? 16 : 4)), IpAddress.FromOctets(expected.AsSpan(at == 40 ? 24 : 16, at == 40 ? 16 : 4)), 0, true);
            Assert.Equal(PacketDrop.None, ah.SealTunnel(buffer, 200, inner.Length, (byte)(at == 40 ? 41 : 4), outer, out packet));
            // Linux copies the flow label of the inner packet, which the ICV does not cover
            if (at == 40) expected[1] = expected[2] = expected[3] = 0;
        }
        else
        {
            var plain = AhWorld.WithoutAh(expected);
            plain.CopyTo(buffer, 200);
            Assert.True(IpHeader.TryParse(plain, out var header));
            Assert.Equal(PacketDrop.None, ah.SealTransport(buffer, 200, header, out packet));
        }

        Assert.Equal(Convert.ToHexString(expected), Convert.ToHexString(buffer.AsSpan(packet.Offset, packet.Length)));
        Assert.Equal(at, packet.HeaderLength);
    }

    /// <summary>Every bit of every header of the recorded packets: what may change on the way may, all else must not.</summary>
    [Theory]
    [InlineData("plain v4 tunnel, HmacSha256_128", "1 6-8 10-11")]
    [InlineData("plain v4 transport, HmacSha256_128", "1 6-8 10-11")]
    [InlineData("plain v6 tunnel, HmacSha256_128", "0-3 7")]
    [InlineData("plain v6 transport, HmacSha256_128", "0-3 7")]
    [InlineData("router alert, HmacSha256_128", "1 6-8 10-11")]
    [InlineData("security, HmacSha256_128", "1 6-8 10-11")]
    [InlineData("record route, HmacSha256_128", "1 6-8 10-11 20 22-26")]
    [InlineData("timestamp, HmacSha256_128", "1 6-8 10-11 20 22-31")]
    [InlineData("no operation and end, HmacSha256_128", "1 6-8 10-11")]
    [InlineData("unknown option, HmacSha256_128", "1 6-8 10-11 20 22-23")]
    [InlineData("record route and router alert, HmacSha256_128", "1 6-8 10-11 24 26-30")]
    [InlineData("hop-by-hop router alert, HmacSha256_128", "0-3 7")]
    [InlineData("hop-by-hop with mutable option, HmacSha256_128", "0-3 7 44-47")]
    [InlineData("hop-by-hop immutable unknown, HmacSha256_128", "0-3 7")]
    [InlineData("destination options, HmacSha256_128", "0-3 7 44-47")]
    [InlineData("hop-by-hop and destination options, HmacSha256_128", "0-3 7 44-47")]
    public void Only_mutable_fields_may_change_on_the_way(string name, string mutable)
    {
        var record = AhRecords.All.Single(one => one.Name == name);
        var may = mutable.Split(' ').Select(part => part.Split('-')).SelectMany(ends => Enumerable.Range(int.Parse(ends[0]), int.Parse(ends[^1]) - int.Parse(ends[0]) + 1)).ToHashSet();
        var changed = new HashSet<int>();
        var v4 = record.Octets[0] >> 4 == 4;
        for (var at = 0; at < record.Octets.Length; at++)
        {
            for (var bit = 0; bit < 8; bit++)
            {
                var packet = record.Octets;
                packet[at] ^= (byte)(1 << bit);
                // the version; a fragment; an option that becomes another or grows (its kind decides, and that one octet may happen to be one that is zeroed as well)
                var other = (at == 0 && bit >= 4) || (v4 && ((at == 6 && bit != 6 && bit != 7) || at == 7)) || (v4 && at >= 20 && at < AhWorld.AhOffset(record.Octets) && (may.Contains(at) || may.Contains(at - 1)) && IsKind(record.Octets, at));
                var world = WorldOf(record);
                var taken = world.Deliver(world.B, packet) is not null;
                if (taken && !other) changed.Add(at);
                if (!other) Assert.True(taken == may.Contains(at), $"octet {at}, bit {bit}: {world.Received.Drop}");
            }
        }

        // those fields of which only some bits are to be seen here
        changed.UnionWith(may.Where(at => (v4 && at == 7) || (v4 && at >= 20 && IsKind(record.Octets, at))));
        Assert.Equal(may.Order(), changed.Order());
    }

    [Theory]
    [MemberData(nameof(EveryAlgorithm))]
    public void The_ICV_is_what_the_platform_computes_over_the_packet_with_zeroed_fields(IntegId integ)
    {
        foreach (var v6 in new[] { false, true })
        {
            foreach (var esn in new[] { false, true })
            {
                foreach (var inner in new[] { s_inner4, s_inner6 })
                {
                    var world = new AhWorld(integ, v6, esn: esn);
                    var start = esn ? 0x1234_5678_FFFF_FFF0ul : 0xFFF0;
                    world.SaA.Outbound.StartAt(start);
                    world.SaB.Inbound.Window.StartAt(start);
                    var packet = world.Send(world.A, inner)!;
                    var at = v6 ? 40 : 20;
                    var icvLength = Algorithms.Gmac.ContainsKey(integ) ? 24 : Algorithms.Integ[integ].IcvLength;
                    var ahLength = 12 + icvLength;
                    while (ahLength % (v6 ? 8 : 4) != 0) ahLength++;

                    // section 2, octet by octet
                    byte[] ah = [(byte)(inner == s_inner4 ? 4 : 41), (byte)((ahLength / 4) - 2), 0, 0, 0, 0, 0x10, 0, .. BigEndian((uint)(start + 1))];
                    Assert.Equal(ah, packet[at..(at + 12)]);
                    Assert.Equal(inner, packet[(at + ahLength)..]);
                    Assert.All(packet[(at + 12 + icvLength)..(at + ahLength)], octet => Assert.Equal(0, octet));
                    var iv = Algorithms.Gmac.ContainsKey(integ) ? packet[(at + 12)..(at + 20)] : [];
                    byte[] header = v6
                        ? [0x60, 0, 0, 0, .. BigEndian((uint)(packet.Length - 40))[2..], 51, 0, .. packet[8..40]]
                        : [0x45, 0, .. BigEndian((uint)packet.Length)[2..], packet[4], packet[5], 0, 0, 0, 51, 0, 0, .. packet[12..20]];
                    byte[] covered = [.. header, .. ah, .. iv, .. new byte[ahLength - 12 - iv.Length], .. inner];
                    Assert.Equal(world.Icv(covered, esn ? (uint)((start + 1) >> 32) : null, iv), packet[(at + 12)..(at + 12 + icvLength)]);
                    Assert.Equal(inner, world.Deliver(world.B, packet));
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(EveryAlgorithm))]
    public void Packets_of_every_length_are_carried_in_both_modes(IntegId integ)
    {
        foreach (var v6 in new[] { false, true })
        {
            var tunnel = new AhWorld(integ, v6, esn: true);
            var transport = new AhWorld(integ, v6, IpsecMode.Transport);
            for (var data = 0; data < 70; data++)
            {
                var inner = Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2, data));
                Assert.Equal(inner, tunnel.Deliver(tunnel.B, tunnel.Send(tunnel.A, inner)!));
                var back = v6 ? Packets.V6("2001:db8::2", "2001:db8::1", 17, Packets.Udp(1, 2, data)) : Packets.V4("192.0.2.2", "192.0.2.1", 17, Packets.Udp(1, 2, data), df: true);
                Assert.Equal(back, transport.Deliver(transport.A, transport.Send(transport.B, back)!));
            }

            var mtu = tunnel.SaA.InnerMtu(default);
            var largest = tunnel.Send(tunnel.A, Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2, mtu - 28), df: true))!;
            Assert.Equal(1500, largest.Length);
            Assert.Null(tunnel.Send(tunnel.A, Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2, mtu - 27), df: true)));
            Assert.Equal(PacketDrop.TooBig, tunnel.Sent.Drop);
            var whole = v6 ? Packets.V6("2001:db8::1", "2001:db8::2", 17, Packets.Udp(1, 2, mtu - 8)) : Packets.V4("192.0.2.1", "192.0.2.2", 17, Packets.Udp(1, 2, mtu - 8), df: true);
            Assert.Equal(1500, transport.Send(transport.A, whole)!.Length);
        }
    }

    [Fact]
    public void Another_key_is_refused_and_the_window_stays()
    {
        foreach (var integ in AhWorld.EveryAlgorithm)
        {
            var world = new AhWorld(integ);
            var packet = world.Send(world.A, s_inner4)!;
            for (var at = 20; at < packet.Length; at++)
            {
                var forged = (byte[])packet.Clone();
                forged[at] ^= 0x20;
                Assert.Null(world.Deliver(world.B, forged));
            }

            Assert.Equal(0ul, world.SaB.Inbound.Window.Highest);
            Assert.NotNull(world.Deliver(world.B, packet));
            Assert.Equal(1ul, world.SaB.Inbound.Window.Highest);
            Assert.Null(world.Deliver(world.B, packet));
            Assert.Equal(1ul, world.SaB.Counters.ReplayDrops);
        }
    }

    [Fact]
    public void The_upper_half_of_the_sequence_number_is_covered_and_inferred()
    {
        var world = new AhWorld(IntegId.HmacSha256_128, esn: true);
        world.SaA.Outbound.StartAt(0xFFFF_FFFE);
        world.SaB.Inbound.Window.StartAt(0xFFFF_FFF0);
        for (var i = 0; i < 4; i++) Assert.Equal(s_inner4, world.Deliver(world.B, world.Send(world.A, s_inner4)!));
        Assert.Equal(0x1_0000_0002ul, world.SaB.Inbound.Window.Highest);
        // the same 32 bits with another upper half
        var behind = new AhWorld(IntegId.HmacSha256_128, esn: true);
        behind.SaA.Outbound.StartAt(0x1_0000_0010);
        Assert.Null(behind.Deliver(behind.B, behind.Send(behind.A, s_inner4)!));
        Assert.Equal(PacketDrop.Integrity, behind.Received.Drop);
        // 32 bits never cycle
        var short32 = new AhWorld(IntegId.HmacSha256_128);
        short32.SaA.Outbound.StartAt(uint.MaxValue - 2);
        Assert.NotNull(short32.Send(short32.A, s_inner4));
        Assert.Null(short32.Send(short32.A, s_inner4));
        Assert.Equal(PacketDrop.SequenceOverflow, short32.Sent.Drop);
    }

    [Fact]
    [Trait("Item", "3.8")]
    public void Numbers_of_manual_SAs_begin_anew_and_are_not_checked()
    {
        using var ah = new AhOutbound(new(0x1000), esn: false, PacketMac.Create(IntegId.HmacSha256_128, new byte[32]), 1, cycles: true);
        using var esp = new EspOutbound(new(0x1000), esn: false, PacketCipher.Create(EncrId.AesCbc, 128, IntegId.HmacSha1_96, new byte[16], new byte[20], new CountingEntropy()), cycles: true);
        ah.StartAt(uint.MaxValue - 1);
        esp.StartAt(uint.MaxValue - 1);
        var buffer = new byte[400];
        foreach (var low in new[] { uint.MaxValue, 0u, 1u })
        {
            s_inner4.CopyTo(buffer, 200);
            Assert.Equal(PacketDrop.None, ah.SealTunnel(buffer, 200, s_inner4.Length, 4, new OuterHeader(IpAddress.Parse("192.0.2.1"), IpAddress.Parse("192.0.2.2"), 0, false), out var packet));
            Assert.Equal(low, BinaryPrimitives.ReadUInt32BigEndian(buffer.AsSpan(packet.Offset + 28)));
            s_inner4.CopyTo(buffer, 200);
            Assert.Equal(PacketDrop.None, esp.SealTunnel(buffer, 200, s_inner4.Length, 4, out packet));
            Assert.Equal(low, BinaryPrimitives.ReadUInt32BigEndian(buffer.AsSpan(packet.Offset + 4)));
        }

        // the receiver takes any number, 0 and one that came before included
        var world = new AhWorld(IntegId.HmacSha256_128, window: 0);
        var first = world.Send(world.A, s_inner4)!;
        for (var again = 0; again < 2; again++) Assert.Equal(s_inner4, world.Deliver(world.B, first));
        Assert.Equal(0ul, world.SaB.Counters.ReplayDrops);
    }

    [Fact]
    public void An_ICV_field_of_another_length_is_refused_but_for_the_padding_of_Linux()
    {
        foreach (var (integ, v6, extra, good) in new[] { (IntegId.HmacSha256_128, false, 4, true), (IntegId.HmacSha256_128, false, 8, false), (IntegId.HmacSha256_128, true, 8, false), (IntegId.HmacSha1_96, false, 4, false), (IntegId.Aes128Gmac, false, 4, true) })
        {
            var world = new AhWorld(integ, v6);
            var packet = world.Send(world.A, s_inner4)!;
            var at = v6 ? 40 : 20;
            var length = (packet[at + 1] + 2) * 4;
            byte[] longer = [.. packet[..(at + length)], .. new byte[extra], .. s_inner4];
            longer[at + 1] += (byte)(extra / 4);
            BinaryPrimitives.WriteUInt16BigEndian(longer.AsSpan(v6 ? 4 : 2), (ushort)(v6 ? longer.Length - 40 : longer.Length));
            // sealed anew with the padding in it
            var covered = (byte[])longer.Clone();
            if (v6) (covered[0], covered[1], covered[2], covered[3], covered[7]) = (0x60, 0, 0, 0, 0);
            else (covered[1], covered[6], covered[7], covered[8], covered[10], covered[11]) = (0, 0, 0, 0, 0, 0);
            var iv = Algorithms.Gmac.ContainsKey(integ) ? covered[(at + 12)..(at + 20)] : [];
            covered.AsSpan(at + 12 + iv.Length, length - 12 - iv.Length).Clear();
            world.Icv(covered, null, iv).CopyTo(longer, at + 12);
            Assert.Equal(good, world.Deliver(world.B, longer) is not null);
            if (!good) Assert.Equal(PacketDrop.Integrity, world.Received.Drop);
        }
    }

    [Fact]
    public void The_Identification_is_never_zero()
    {
        var tunnel = new AhWorld(IntegId.HmacSha1_96);
        var seen = new HashSet<int>();
        for (var i = 0; i < 65_600; i++)
        {
            var packet = tunnel.Send(tunnel.A, s_inner4)!;
            var identification = BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(4));
            Assert.NotEqual(0, identification);
            seen.Add(identification);
        }

        Assert.Equal(65_535, seen.Count);
        var transport = new AhWorld(IntegId.HmacSha1_96, mode: IpsecMode.Transport);
        var plain = Packets.V4("192.0.2.1", "192.0.2.2", 17, Packets.Udp(1, 2), df: true);
        Assert.Equal(plain[4..6], transport.Send(transport.A, plain)![4..6]);
        (plain[4], plain[5]) = (0, 0);
        var given = transport.Send(transport.A, plain)!;
        Assert.NotEqual([0, 0], given[4..6]);
        Assert.Equal(0, Packets.SlowChecksum(given.AsSpan(0, 20)));
        Assert.NotNull(transport.Deliver(transport.B, given));
    }

    [Fact]
    public void The_outer_header_is_that_of_a_tunnel()
    {
        var world = new AhWorld(IntegId.HmacSha256_128);
        var packet = world.Send(world.A, s_inner4)!;
        Assert.Equal(("192.0.2.1", "192.0.2.2"), (IpAddress.FromOctets(packet.AsSpan(12, 4)).ToString(), IpAddress.FromOctets(packet.AsSpan(16, 4)).ToString()));
        Assert.Equal((0xB8, 0, 64, 51), (packet[1], packet[6] & 0x40, packet[8], packet[9]));
        Assert.Equal(0, Packets.SlowChecksum(packet.AsSpan(0, 20)));
        Assert.Equal(0x40, world.Send(world.A, Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2), df: true))![6] & 0x40);
        // congestion on the way is told inside, although the ICV does not cover it (RFC 6040)
        var marked = world.Send(world.A, Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2), tos: 2))!;
        marked[1] |= 3;
        Assert.Equal(3, world.Deliver(world.B, marked)![1] & 3);
        // another place on the way, the same SA: mobile peers
        world.A.Move(AhWorld.PairId, new(IpAddress.Parse("198.51.100.7"), 0), new(IpAddress.Parse("192.0.2.2"), 0), false, false);
        var moved = world.Send(world.A, s_inner4)!;
        Assert.Equal("198.51.100.7", IpAddress.FromOctets(moved.AsSpan(12, 4)).ToString());
        Assert.Equal(s_inner4, world.Deliver(world.B, moved));
    }

    [Fact]
    public void Transport_mode_takes_whole_datagrams_and_stands_behind_extension_headers()
    {
        var world = new AhWorld(IntegId.HmacSha256_128, v6: true, IpsecMode.Transport);
        byte[] udp = Packets.Udp(1, 2);
        // hop-by-hop, destination options, routing that is done, destination options for the last hop
        byte[] extensions = [60, 0, 5, 2, 0, 0, 1, 0, 43, 0, 0x3E, 4, 1, 2, 3, 4, 60, 0, 4, 0, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0];
        var plain = Packets.V6("2001:db8::1", "2001:db8::2", 0, [.. extensions, .. udp]);
        var packet = world.Send(world.A, plain)!;
        Assert.Equal(64, world.Sent.Packet.HeaderLength);
        Assert.Equal((51, 60), (packet[56], packet[64]));
        Assert.Equal(plain, world.Deliver(world.B, packet));
        // one that the RFC calls a fragment of nothing: its header goes (appendix A2)
        var atomic = Packets.V6("2001:db8::1", "2001:db8::2", 0, [44, 0, 5, 2, 0, 0, 1, 0, 17, 0, 0, 0, 9, 9, 9, 9, .. udp]);
        var without = Packets.V6("2001:db8::1", "2001:db8::2", 0, [17, 0, 5, 2, 0, 0, 1, 0, .. udp]);
        var made = world.Send(world.A, atomic)!;
        Assert.Equal(without, world.Deliver(world.B, made));
        var again = world.Send(world.A, without)!;
        byte[] arrives = [.. again[..40], 44, .. again[41..48], 51, 0, 0, 0, 1, 2, 3, 4, .. again[48..]];
        BinaryPrimitives.WriteUInt16BigEndian(arrives.AsSpan(4), (ushort)(arrives.Length - 40));
        Assert.Equal(without, world.Deliver(world.B, arrives));
        Assert.Null(world.Send(world.A, Packets.V6("2001:db8::1", "2001:db8::2", 44, [17, 0, 0, 1, 9, 9, 9, 9, .. udp])));
        Assert.Equal(PacketDrop.TransportFragment, world.Sent.Drop);
        var four = new AhWorld(IntegId.HmacSha256_128, mode: IpsecMode.Transport);
        Assert.Null(four.Send(four.A, Packets.V4("192.0.2.1", "192.0.2.2", 17, udp, more: true)));
        Assert.Equal(PacketDrop.TransportFragment, four.Sent.Drop);
    }

    /// <summary>What each stop of a source route does to the packet is what the sender has foreseen.</summary>
    [Fact]
    public void Source_routes_are_covered_as_they_arrive()
    {
        var world = new AhWorld(IntegId.HmacSha256_128, mode: IpsecMode.Transport, everything: true);
        foreach (byte kind in new byte[] { 131, 137 })
        {
            byte[] route = [kind, 11, 4, 203, 0, 113, 1, 192, 0, 2, 2, 0];
            var packet = world.Send(world.A, Packets.V4("192.0.2.1", "203.0.113.9", 17, Packets.Udp(1, 2), options: route))!;
            // first stop: 203.0.113.9 writes itself down and sends on to 203.0.113.1; the next one to 192.0.2.2
            byte[] arrived = [.. packet[..16], 192, 0, 2, 2, kind, 11, 12, 203, 0, 113, 9, 203, 0, 113, 1, 0, .. packet[32..]];
            Assert.NotNull(world.Deliver(world.B, arrived));
            // another end of the route
            var other = world.Send(world.A, Packets.V4("192.0.2.1", "203.0.113.9", 17, Packets.Udp(1, 2), options: route))!;
            Assert.Null(world.Deliver(world.B, [.. other[..16], 192, 0, 2, 3, .. arrived[20..32], .. other[32..]]));
            Assert.Equal(PacketDrop.Integrity, world.Received.Drop);
        }

        // a route without addresses ends where it begins (RFC 791)
        Assert.NotNull(world.Deliver(world.B, world.Send(world.A, Packets.V4("192.0.2.1", "192.0.2.2", 17, Packets.Udp(1, 2), options: [131, 3, 4, 0]))!));
        foreach (var bad in new byte[][] { [131, 6, 4, 1, 2, 3, 0, 0], [131, 2, 0, 0], [131, 3, 3, 0], [137, 3, 0, 0], [137, 3, 1, 0], [131, 7, 3, 192, 0, 2, 2, 0], [131, 7, 5, 192, 0, 2, 2, 0], [131, 7, 0, 192, 0, 2, 2, 0], [7, 9, 4, 0], [7, 0, 0, 0], [7, 1, 0, 0], [1, 1, 1, 7] })
        {
            Assert.Null(world.Send(world.A, Packets.V4("192.0.2.1", "192.0.2.2", 17, Packets.Udp(1, 2), options: bad)));
            Assert.Equal(PacketDrop.Malformed, world.Sent.Drop);
        }
    }

    [Fact]
    public void Routing_headers_are_covered_as_they_arrive()
    {
        var world = new AhWorld(IntegId.HmacSha256_128, v6: true, IpsecMode.Transport, everything: true);
        byte[] Address(string text) => IpAddress.Parse(text).ToOctets();
        foreach (byte kind in new byte[] { 0, 2 })
        {
            byte[] routing = [17, 4, kind, 2, 0, 0, 0, 0, .. Address("2001:db8::a"), .. Address("2001:db8::2")];
            var packet = world.Send(world.A, Packets.V6("2001:db8::1", "2001:db8::9", 43, [.. routing, .. Packets.Udp(1, 2)]))!;
            Assert.Equal(2, packet[43]);
            // the stops 9 and a have swapped themselves in
            byte[] arrived = [.. packet[..24], .. Address("2001:db8::2"), 51, 4, kind, 0, 0, 0, 0, 0, .. Address("2001:db8::9"), .. Address("2001:db8::a"), .. packet[80..]];
            Assert.NotNull(world.Deliver(world.B, arrived));
            var other = world.Send(world.A, Packets.V6("2001:db8::1", "2001:db8::9", 43, [.. routing, .. Packets.Udp(1, 2)]))!;
            Assert.Null(world.Deliver(world.B, [.. other[..24], .. arrived[24..64], .. Address("2001:db8::b"), .. other[80..]]));
        }

        // half way: the first address is behind the packet already
        byte[] half = [17, 4, 0, 1, 0, 0, 0, 0, .. Address("2001:db8::a"), .. Address("2001:db8::2")];
        var halfWay = world.Send(world.A, Packets.V6("2001:db8::1", "2001:db8::9", 43, [.. half, .. Packets.Udp(1, 2)]))!;
        Assert.NotNull(world.Deliver(world.B, [.. halfWay[..24], .. Address("2001:db8::2"), 51, 4, 0, 0, 0, 0, 0, 0, .. Address("2001:db8::a"), .. Address("2001:db8::9"), .. halfWay[80..]]));
        // of other kinds nobody knows what the stops do; and more left than there are
        foreach (var (kind, left) in new (byte, byte)[] { (4, 1), (3, 2), (0, 3), (2, 9) })
        {
            byte[] routing = [17, 4, kind, left, 0, 0, 0, 0, .. Address("2001:db8::a"), .. Address("2001:db8::2")];
            Assert.Null(world.Send(world.A, Packets.V6("2001:db8::1", "2001:db8::9", 43, [.. routing, .. Packets.Udp(1, 2)])));
            Assert.Equal(PacketDrop.Malformed, world.Sent.Drop);
        }

        byte[] done = [17, 4, 4, 0, 0, 0, 0, 0, .. Address("2001:db8::a"), .. Address("2001:db8::2")];
        Assert.NotNull(world.Deliver(world.B, world.Send(world.A, Packets.V6("2001:db8::1", "2001:db8::2", 43, [.. done, .. Packets.Udp(1, 2)]))!));
    }

    [Fact]
    public void AH_and_ESP_do_not_take_each_others_packets()
    {
        var esp = new Gateways();
        var ah = new AhWorld(IntegId.HmacSha256_128);
        Assert.Null(ah.Deliver(ah.B, Packets.V4("192.0.2.1", "192.0.2.2", 50, esp.Send(esp.A, s_inner4)!)));
        Assert.Equal(PacketDrop.Malformed, ah.Received.Drop);
        Assert.Null(esp.Deliver(esp.B, ah.Send(ah.A, s_inner4)![24..]));
        Assert.Equal(PacketDrop.UnknownSpi, esp.Received.Drop);
        // outside of the selectors
        var narrow = new AhWorld(IntegId.HmacSha256_128, everything: true);
        Assert.Null(ah.Deliver(ah.B, narrow.Send(narrow.A, Packets.V4("10.9.0.1", "10.2.0.1", 17, Packets.Udp(1, 2)))!));
        Assert.Equal(PacketDrop.Selector, ah.Received.Drop);
        // not a whole packet
        Assert.Null(ah.Deliver(ah.B, Packets.V4("192.0.2.1", "192.0.2.2", 51, new byte[11])));
        Assert.Equal(PacketDrop.TooShort, ah.Received.Drop);
        Assert.Null(ah.Deliver(ah.B, Packets.V4("192.0.2.1", "192.0.2.2", 51, new byte[40], more: true)));
        Assert.Equal(PacketDrop.Malformed, ah.Received.Drop);
        Assert.Null(ah.Deliver(ah.B, Packets.V4("192.0.2.1", "192.0.2.2", 51, [4, 4, 0, 0, 0, 0, 0x77, 0, .. new byte[40]])));
        Assert.Equal(PacketDrop.UnknownSpi, ah.Received.Drop);
        Assert.IsType<DataPlaneEvent.UnknownSpi>(Assert.Single(Gateways.Events(ah.B)));
    }

    [Theory]
    [InlineData(IntegId.HmacSha256_128)]
    [InlineData(IntegId.AesXcbc96)]
    [InlineData(IntegId.Aes256Gmac)]
    public void Nothing_is_allocated_per_packet(IntegId integ)
    {
        var tunnel = new AhWorld(integ, v6: true, esn: true);
        var transport = new AhWorld(integ, mode: IpsecMode.Transport);
        var plain = Packets.V4("192.0.2.1", "192.0.2.2", 17, Packets.Udp(1, 2, 900), options: [148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0]);
        var buffer = new byte[2000];
        void Round(AhWorld world, byte[] inner, int i)
        {
            inner.CopyTo(buffer.AsSpan(200));
            world.A.Outbound(buffer, 200, inner.Length, null, Gateways.Now, default, out var sent);
            if ((i & 3) == 0) buffer[sent.Packet.Offset + sent.Packet.HeaderLength + 14] ^= 1;
            world.B.InboundAh(buffer, sent.Packet.Offset, sent.Packet.Length, Gateways.Now, out _);
        }

        void Both(int i)
        {
            Round(tunnel, s_inner6, i);
            Round(transport, plain, i);
        }

        for (var i = 0; i < 200; i++) Both(i);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 2000; i++) Both(i);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal((1650ul, 1650ul), (tunnel.SaB.Counters.PacketsIn, transport.SaB.Counters.PacketsIn));
    }

    [Fact]
    public void Rubbish_in_both_directions_never_throws()
    {
        var random = new Random(4302);
        var worlds = new[] { new AhWorld(IntegId.HmacSha256_128, everything: true, window: 0), new AhWorld(IntegId.Aes128Gmac, mode: IpsecMode.Transport, everything: true, window: 0) };
        var carried = 0;
        var seeds = AhRecords.All.Select(record => record.Octets).ToArray();
        for (var i = 0; i < 40_000; i++)
        {
            var world = worlds[i & 1];
            var packet = (byte[])seeds[random.Next(seeds.Length)].Clone();
            for (var flips = random.Next(6); flips > 0; flips--) packet[random.Next(random.Next(3) == 0 ? packet.Length : Math.Min(packet.Length, 72))] = (byte)(random.Next(2) == 0 ? random.Next(256) : s_telling[random.Next(s_telling.Length)]);
            if (random.Next(3) == 0 && packet[0] >> 4 == 4 && packet.Length > 24) packet.AsSpan(20, 4).Clear();
            if (random.Next(3) == 0 && packet.Length > 24) s_routes[random.Next(s_routes.Length)].CopyTo(packet, 20);
            if (random.Next(4) == 0) packet = packet[..random.Next(packet.Length)];
            if (random.Next(10) == 0) random.NextBytes(packet);
            world.Deliver(world.B, packet);
            if (world.Send(world.A, packet) is { } made && world.Deliver(world.B, made) is not null) carried++;
        }

        Assert.InRange(carried, 5_000, 39_000);
    }

    private static AhWorld WorldOf(AhRecord record) => new(record.Integ, record.Octets[0] >> 4 == 6, record.Tunnel ? IpsecMode.Tunnel : IpsecMode.Transport, record.Esn, spi: record.Spi);

    /// <summary>The octet is the kind or the length of an option.</summary>
    private static bool IsKind(byte[] packet, int wanted)
    {
        for (var at = 20; at < AhWorld.AhOffset(packet) && packet[at] != 0; at += packet[at] == 1 ? 1 : packet[at + 1])
        {
            if (at == wanted || at + 1 == wanted) return true;
        }

        return false;
    }

    private static byte[] BigEndian(uint value)
    {
        var octets = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(octets, value);
        return octets;
    }
}
