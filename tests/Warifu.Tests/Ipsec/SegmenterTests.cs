using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Warifu.Ipsec;
using Xunit;

namespace Warifu.Tests.Ipsec;

/// <summary>Packets that stand for many, cut and put together. Expected packets are written without the code under test.</summary>
[Trait("Item", "1.25")]
public sealed class SegmenterTests
{
    private const byte Fin = 1, Syn = 2, Rst = 4, Psh = 8, Ack = 16, Urg = 32, Ece = 64, Cwr = 128;

    [Theory]
    [InlineData(false, 1000, 1000)]
    [InlineData(false, 1001, 1000)]
    [InlineData(false, 64000, 1398)]
    [InlineData(true, 64000, 1378)]
    [InlineData(true, 2 * 1378, 1378)]
    [InlineData(false, 7, 3)]
    public void A_TCP_super_packet_becomes_the_packets_that_it_stands_for(bool v6, int data, int size)
    {
        var payload = Data(data);
        var super = Tcp(v6, 0xFFFF_F000, Ack | Psh, payload, id: 0xFFFE);
        var segments = Cut(super, v6 ? SegmentKind.TcpV6 : SegmentKind.TcpV4, size);
        Assert.Equal((data + size - 1) / size, segments.Count);
        for (var i = 0; i < segments.Count; i++)
        {
            var last = i == segments.Count - 1;
            var expected = Tcp(v6, unchecked(0xFFFF_F000 + (uint)(i * size)), (byte)(last ? Ack | Psh : Ack), payload[(i * size)..Math.Min(data, (i + 1) * size)], id: unchecked((ushort)(0xFFFE + i)));
            Assert.Equal(expected, segments[i]);
        }
    }

    [Fact]
    public void FIN_goes_to_the_last_segment_and_CWR_to_the_first()
    {
        var segments = Cut(Tcp(false, 1, Ack | Fin | Psh | Cwr | Ece, Data(3000)), SegmentKind.TcpV4, 1000);
        Assert.Equal([Ack | Cwr | Ece, Ack | Ece, Ack | Ece | Fin | Psh], segments.Select(segment => (int)segment[33]));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_UDP_super_packet_becomes_datagrams(bool v6)
    {
        var payload = Data(2500);
        var segments = Cut(Udp(v6, payload, id: 7), SegmentKind.Udp, 1200);
        Assert.Equal([Udp(v6, payload[..1200], 7), Udp(v6, payload[1200..2400], 8), Udp(v6, payload[2400..], 9)], segments);
    }

    [Fact]
    public void A_UDP_checksum_of_zero_is_sent_as_all_ones()
    {
        var super = Udp(false, new byte[64], 0);
        // find data whose checksum is 0: the complement of what the rest sums up to
        var sum = (ushort)~BinaryPrimitives.ReadUInt16BigEndian(Udp(false, new byte[32], 0).AsSpan(26));
        BinaryPrimitives.WriteUInt16BigEndian(super.AsSpan(28), (ushort)~sum);
        Assert.Equal([0xFF, 0xFF], Cut(super, SegmentKind.Udp, 32)[0][26..28]);
    }

    [Fact]
    public void IP_and_TCP_options_are_in_every_segment()
    {
        byte[] options = [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
        var super = Tcp(false, 5, Ack, Data(100), options: options, ipOptions: [0x94, 4, 0, 0]);
        foreach (var (segment, index) in Cut(super, SegmentKind.TcpV4, 50).Select((segment, index) => (segment, index)))
            Assert.Equal(Tcp(false, (uint)(5 + (index * 50)), Ack, Data(100)[(index * 50)..((index + 1) * 50)], id: (ushort)(0x1234 + index), options: options, ipOptions: [0x94, 4, 0, 0]), segment);
    }

    [Fact]
    public void What_is_not_what_it_claims_is_not_cut()
    {
        var tcp = Tcp(false, 1, Ack, Data(3000));
        Assert.False(Segmenter.TryStart(tcp, SegmentKind.TcpV6, 1000, out _));
        Assert.False(Segmenter.TryStart(tcp, SegmentKind.Udp, 1000, out _));
        Assert.False(Segmenter.TryStart(tcp, SegmentKind.TcpV4, 0, out _));
        Assert.False(Segmenter.TryStart(tcp, SegmentKind.None, 1000, out _));
        Assert.False(Segmenter.TryStart(tcp.AsSpan(0, 2000), SegmentKind.TcpV4, 1000, out _));
        Assert.False(Segmenter.TryStart(Packets.V4("10.1.0.1", "10.2.0.1", 6, Data(400), more: true), SegmentKind.TcpV4, 100, out _));
        tcp[32] = 0xF0;
        Assert.True(Segmenter.TryStart(tcp, SegmentKind.TcpV4, 1000, out _));
        tcp[32] = 0x40;
        Assert.False(Segmenter.TryStart(tcp, SegmentKind.TcpV4, 1000, out _));
        Assert.False(Segmenter.TryStart([], SegmentKind.TcpV4, 1000, out _));
    }

    [Theory]
    [InlineData(false, 1398, 40, 5)]
    [InlineData(true, 1378, 40, 1378)]
    [InlineData(false, 9, 64, 9)]
    public void Packets_of_a_flow_become_one_and_the_kernel_would_cut_it_into_the_same(bool v6, int size, int count, int lastSize)
    {
        var payload = Data(((count - 1) * size) + lastSize);
        var packets = Cut(Tcp(v6, 77, Ack | Psh, payload), v6 ? SegmentKind.TcpV6 : SegmentKind.TcpV4, size);
        var (super, run) = Join(packets);
        Assert.Equal((count, size, v6 ? SegmentKind.TcpV6 : SegmentKind.TcpV4), (run.Count, run.Size, run.Kind));
        AssertKernelCouldComplete(super, run);
        Assert.Equal(packets, Cut(super, run.Kind, run.Size));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Datagrams_of_a_flow_become_one(bool v6)
    {
        var packets = Cut(Udp(v6, Data(5100), 9), SegmentKind.Udp, 1000);
        var (super, run) = Join(packets);
        Assert.Equal((6, 1000, SegmentKind.Udp), (run.Count, run.Size, run.Kind));
        AssertKernelCouldComplete(super, run);
        Assert.Equal(packets, Cut(super, run.Kind, run.Size));
    }

    public static TheoryData<string> Differences => [.. s_next.Keys];

    [Theory]
    [MemberData(nameof(Differences))]
    public void A_packet_that_differs_is_not_joined(string what)
    {
        var first = Tcp(false, 1000, Ack, Data(100));
        var run = default(PacketRun);
        Assert.True(run.TryBegin(first));
        Assert.True(run.TryJoin(first, Next(_ => { })), "the undisturbed one must join");
        Assert.True(run.TryBegin(first));
        Assert.False(run.TryJoin(first, s_next[what]()));
    }

    [Theory]
    [InlineData(Ack | Syn)]
    [InlineData(Ack | Fin)]
    [InlineData(Ack | Rst)]
    [InlineData(Ack | Urg)]
    [InlineData(Ack | Cwr)]
    [InlineData(0)]
    public void Packets_with_special_flags_begin_no_run(byte flags) => Assert.False(default(PacketRun).TryBegin(Tcp(false, 1, flags, Data(10))));

    [Fact]
    public void Packets_of_other_kinds_begin_no_run()
    {
        var run = default(PacketRun);
        Assert.False(run.TryBegin(Packets.V4("10.1.0.1", "10.2.0.1", 1, Packets.Icmp(8, 0))));
        Assert.False(run.TryBegin(Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2))), "no checksum");
        Assert.False(run.TryBegin(Tcp(false, 1, Ack, [])), "no data");
        Assert.False(run.TryBegin(Tcp(false, 1, Ack, Data(10), ipOptions: [1, 1, 1, 0])), "options");
        var fragment = Tcp(false, 1, Ack, Data(1480));
        fragment[6] = 0x20;
        BinaryPrimitives.WriteUInt16BigEndian(fragment.AsSpan(10), 0);
        BinaryPrimitives.WriteUInt16BigEndian(fragment.AsSpan(10), Packets.SlowChecksum(fragment.AsSpan(0, 20)));
        Assert.False(run.TryBegin(fragment), "fragment");
        var wrong = Tcp(false, 1, Ack, Data(10));
        wrong[^1] ^= 1;
        Assert.False(run.TryBegin(wrong), "a wrong checksum must not be mended");
        wrong = Tcp(false, 1, Ack, Data(10));
        wrong[10] ^= 1;
        Assert.False(run.TryBegin(wrong), "a wrong header checksum must not be mended");
        Assert.False(run.TryBegin([]));
        Assert.Equal(0, run.Count);
    }

    [Fact]
    public void PSH_or_a_short_packet_ends_the_run()
    {
        var first = Tcp(false, 1000, Ack, Data(100));
        var run = default(PacketRun);
        run.TryBegin(first);
        Assert.True(run.TryJoin(first, Tcp(false, 1100, Ack | Psh, Data(100), id: 0x1235)));
        Assert.False(run.TryJoin(first, Tcp(false, 1200, Ack, Data(100), id: 0x1236)));
        run.TryBegin(first);
        Assert.True(run.TryJoin(first, Tcp(false, 1100, Ack, Data(99), id: 0x1235)));
        Assert.False(run.TryJoin(first, Tcp(false, 1199, Ack, Data(99), id: 0x1236)));
        Assert.True(run.TryBegin(Tcp(false, 1000, Ack | Psh, Data(100))));
        Assert.False(run.TryJoin(first, Tcp(false, 1100, Ack, Data(100), id: 0x1235)));
    }

    [Fact]
    public void A_run_never_grows_beyond_what_a_header_can_say()
    {
        var first = Tcp(false, 0, Ack, Data(9000));
        var run = default(PacketRun);
        run.TryBegin(first);
        var joined = 1;
        while (run.TryJoin(first, Tcp(false, (uint)(joined * 9000), Ack, Data(9000), id: (ushort)(0x1234 + joined)))) joined++;
        Assert.Equal(7, joined);
        Assert.True(run.Length <= ushort.MaxValue);
        first = Tcp(false, 0, Ack, Data(10));
        run.TryBegin(first);
        for (joined = 1; run.TryJoin(first, Tcp(false, (uint)(joined * 10), Ack, Data(10), id: (ushort)(0x1234 + joined)));) joined++;
        Assert.Equal(PacketRun.MaxCount, joined);
    }

    [Fact]
    public void With_DF_the_identification_does_not_matter_without_it_must_go_on()
    {
        var first = Tcp(false, 0, Ack, Data(10), df: true);
        var run = default(PacketRun);
        run.TryBegin(first);
        Assert.True(run.TryJoin(first, Tcp(false, 10, Ack, Data(10), df: true, id: 0)));
        first = Tcp(false, 0, Ack, Data(10));
        run.TryBegin(first);
        Assert.False(run.TryJoin(first, Tcp(false, 10, Ack, Data(10), id: 0x1234)));
    }

    [Fact]
    public void Sums_of_all_lengths_and_places_are_those_of_the_RFC()
    {
        var random = new Random(5);
        var octets = new byte[4096];
        random.NextBytes(octets);
        octets.AsSpan(100, 900).Fill(0xFF);
        var copy = new byte[4096];
        for (var length = 0; length < 400; length++)
        {
            for (var offset = 0; offset < 9; offset++)
            {
                var part = octets.AsSpan(90 + offset, length);
                var expected = Packets.SlowChecksum(part, 0x1234);
                Assert.Equal(expected, InternetChecksum.Compute(part, 0x1234));
                Assert.Equal(expected, InternetChecksum.Finish(InternetChecksum.CopyAndSum(part, copy.AsSpan(offset), 0x1234)));
                Assert.Equal(part, copy.AsSpan(offset, length));
            }
        }
    }

    private static readonly Dictionary<string, Func<byte[]>> s_next = new(StringComparer.Ordinal)
    {
        ["sequence number behind a gap"] = () => Tcp(false, 1101, Ack, Data(100), id: 0x1235),
        ["the same again"] = () => Tcp(false, 1000, Ack, Data(100), id: 0x1235),
        ["IPv6"] = () => Tcp(true, 1100, Ack, Data(100)),
        ["larger"] = () => Tcp(false, 1100, Ack, Data(101), id: 0x1235),
        ["no data"] = () => Tcp(false, 1100, Ack, [], id: 0x1235),
        ["options"] = () => Tcp(false, 1100, Ack, Data(88), id: 0x1235, options: [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]),
        ["DF"] = () => Tcp(false, 1100, Ack, Data(100), id: 0x1235, df: true),
        ["flags"] = () => Tcp(false, 1100, Ack | Ece, Data(100), id: 0x1235),
        ["TOS"] = () => Next(packet => packet[1] = 2),
        ["TTL"] = () => Next(packet => packet[8] = 9),
        ["source"] = () => Next(packet => packet[15] = 9),
        ["destination"] = () => Next(packet => packet[19] = 9),
        ["source port"] = () => Next(packet => packet[21]++),
        ["destination port"] = () => Next(packet => packet[23]++),
        ["acknowledgement"] = () => Next(packet => packet[31]++),
        ["reserved bits"] = () => Next(packet => packet[32] |= 1),
        ["window"] = () => Next(packet => packet[35]++),
        ["urgent pointer"] = () => Next(packet => packet[39] = 1),
        ["data changed and checksum not"] = () =>
        {
            var packet = Next(_ => { });
            packet[^1] ^= 1;
            return packet;
        },
    };

    /// <summary>The packet that would follow, changed, with right checksums.</summary>
    private static byte[] Next(Action<byte[]> change)
    {
        var packet = Tcp(false, 1100, Ack, Data(100), id: 0x1235);
        change(packet);
        packet.AsSpan(10, 2).Clear();
        packet.AsSpan(36, 2).Clear();
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), Packets.SlowChecksum(packet.AsSpan(0, 20)));
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(36), Packets.SlowChecksum(packet.AsSpan(20), Pseudo(packet.AsSpan(12, 8), 6, packet.Length - 20)));
        return packet;
    }

    private static byte[] Data(int length) => [.. Enumerable.Range(0, length).Select(i => (byte)((i * 31) + (i >> 8)))];

    private static byte[] Tcp(bool v6, uint sequence, byte flags, byte[] payload, ushort id = 0x1234, byte[]? options = null, byte[]? ipOptions = null, bool df = false)
    {
        options ??= [];
        var tcp = new byte[20 + options.Length + payload.Length];
        BinaryPrimitives.WriteUInt16BigEndian(tcp, 40000);
        BinaryPrimitives.WriteUInt16BigEndian(tcp.AsSpan(2), 443);
        BinaryPrimitives.WriteUInt32BigEndian(tcp.AsSpan(4), sequence);
        BinaryPrimitives.WriteUInt32BigEndian(tcp.AsSpan(8), 0xCAFE_F00D);
        tcp[12] = (byte)((20 + options.Length) / 4 * 16);
        tcp[13] = flags;
        BinaryPrimitives.WriteUInt16BigEndian(tcp.AsSpan(14), 0x7FFF);
        options.CopyTo(tcp, 20);
        payload.CopyTo(tcp, 20 + options.Length);
        return Wrap(v6, 6, tcp, 16, id, ipOptions, df);
    }

    private static byte[] Udp(bool v6, byte[] payload, ushort id)
    {
        var udp = new byte[8 + payload.Length];
        BinaryPrimitives.WriteUInt16BigEndian(udp, 1000);
        BinaryPrimitives.WriteUInt16BigEndian(udp.AsSpan(2), 2000);
        BinaryPrimitives.WriteUInt16BigEndian(udp.AsSpan(4), (ushort)udp.Length);
        payload.CopyTo(udp, 8);
        return Wrap(v6, 17, udp, 6, id, null, false);
    }

    private static byte[] Wrap(bool v6, byte protocol, byte[] upper, int checksumAt, ushort id, byte[]? ipOptions, bool df)
    {
        var packet = v6 ? Packets.V6("fd01::1", "fd02::1", protocol, upper) : Packets.V4("10.1.0.1", "10.2.0.1", protocol, upper, df: df, options: ipOptions);
        var at = v6 ? 40 : 20 + (ipOptions?.Length ?? 0);
        if (!v6)
        {
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), id);
            packet.AsSpan(10, 2).Clear();
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), Packets.SlowChecksum(packet.AsSpan(0, at)));
        }

        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(at + checksumAt), Packets.SlowChecksum(packet.AsSpan(at), Pseudo(v6 ? packet.AsSpan(8, 32) : packet.AsSpan(12, 8), protocol, upper.Length)));
        return packet;
    }

    private static uint Pseudo(ReadOnlySpan<byte> addresses, byte protocol, int length)
    {
        var sum = (uint)protocol + (uint)length;
        for (var i = 0; i < addresses.Length; i += 2) sum += BinaryPrimitives.ReadUInt16BigEndian(addresses[i..]);
        while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
        return sum;
    }

    private static List<byte[]> Cut(byte[] super, SegmentKind kind, int size)
    {
        var segments = new List<byte[]>();
        var before = (byte[])super.Clone();
        Assert.True(Segmenter.TryStart(super, kind, size, out var segmenter));
        while (segmenter.NextLength is var length and > 0)
        {
            var segment = new byte[length + 3];
            Assert.Equal(length, segmenter.Next(segment));
            Assert.Equal([0, 0, 0], segment[length..]);
            segments.Add(segment[..length]);
        }

        Assert.Equal(0, segmenter.Next(new byte[100]));
        Assert.Equal(before, super);
        return segments;
    }

    private static (byte[] Super, PacketRun Run) Join(List<byte[]> packets)
    {
        var run = default(PacketRun);
        Assert.True(run.TryBegin(packets[0]));
        var pieces = new List<byte>(packets[0]);
        foreach (var packet in packets.Skip(1))
        {
            Assert.True(run.TryJoin(packets[0], packet));
            pieces.AddRange(packet[run.HeaderLength..]);
        }

        var super = pieces.ToArray();
        Assert.Equal(super.Length, run.Length);
        run.Finish(super);
        return (super, run);
    }

    /// <summary>Lengths and IPv4 checksum are right, and adding up from the upper header on with what stands in the checksum's place gives the whole packet's checksum.</summary>
    private static void AssertKernelCouldComplete(byte[] super, PacketRun run)
    {
        var v6 = super[0] >> 4 == 6;
        Assert.Equal(super.Length, v6 ? 40 + BinaryPrimitives.ReadUInt16BigEndian(super.AsSpan(4)) : BinaryPrimitives.ReadUInt16BigEndian(super.AsSpan(2)));
        if (!v6) Assert.Equal(0, Packets.SlowChecksum(super.AsSpan(0, 20)));
        var upper = super.AsSpan(run.UpperOffset);
        var completed = Packets.SlowChecksum(upper);
        BinaryPrimitives.WriteUInt16BigEndian(upper[run.ChecksumOffset..], completed);
        Assert.Equal(0, Packets.SlowChecksum(upper, Pseudo(v6 ? super.AsSpan(8, 32) : super.AsSpan(12, 8), (byte)(run.Kind == SegmentKind.Udp ? 17 : 6), upper.Length)));
    }
}
