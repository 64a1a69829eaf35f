using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Warifu.Ipsec;
using Xunit;

namespace Warifu.Tests.Ipsec;

/// <summary>Replay and extended sequence numbers between two data paths with real ciphers, counters set near the edges (RFC 4303 sections 2.2.1, 3.3.3, 3.4.3 and appendix A).</summary>
[Trait("Item", "1.20")]
public sealed class SequenceEdgeTests
{
    private const ulong Edge = 1UL << 32;
    private static readonly byte[] ToB = Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2));
    private static readonly byte[] ToA = Packets.V4("10.2.0.1", "10.1.0.1", 17, Packets.Udp(2, 1));

    public static TheoryData<int, ulong, bool> Windows
    {
        get
        {
            var data = new TheoryData<int, ulong, bool>();
            foreach (var size in new[] { 64, 128, 1024, 8192 })
            {
                foreach (var edge in new[] { Edge, 8 * Edge }) data.Add(size, edge, size % 128 == 0);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Windows))]
    public void Each_position_around_the_edge_is_taken_once_and_refused_ever_after(int size, ulong edge, bool aToB)
    {
        var (gateways, from, to, inner) = At(size, edge - (ulong)size, aToB);
        var packets = Seal(gateways, from, inner, 2 * size);
        // every third gets lost at first; the rest comes in another order
        var random = new Random(size);
        var late = new List<int>();
        for (var i = 0; i < packets.Count; i += 16)
        {
            var order = Enumerable.Range(i, Math.Min(16, packets.Count - i)).ToArray();
            random.Shuffle(order);
            foreach (var at in order)
            {
                if (at % 3 == 0 && at != packets.Count - 1) late.Add(at);
                else Assert.Equal(inner, gateways.Deliver(to, packets[at], fromA: aToB));
            }
        }

        // the window ends at the last number: what is inside and was not seen is taken, once
        var taken = 0;
        foreach (var at in late)
        {
            var inside = packets.Count - 1 - at < size;
            Assert.Equal(inside, gateways.Deliver(to, packets[at], fromA: aToB) is not null);
            if (inside) taken++;
        }

        Assert.True(taken >= size / 3);
        var sa = to.Sad.ById(Gateways.PairId)!;
        Assert.Equal(edge + (ulong)size, sa.Inbound.Window.Highest);
        var before = sa.Counters.ReplayDrops + sa.Counters.IntegrityDrops;
        foreach (var packet in packets) Assert.Null(gateways.Deliver(to, packet, fromA: aToB));
        // left of the window a number means the next 2^32 (appendix A2.2), where the ICV is wrong: refused either way
        Assert.Equal((ulong)packets.Count, sa.Counters.ReplayDrops + sa.Counters.IntegrityDrops - before);
        Assert.True(sa.Counters.ReplayDrops >= (ulong)size);
        Assert.Equal(edge + (ulong)size, sa.Inbound.Window.Highest);
    }

    [Theory]
    [InlineData(64)]
    [InlineData(128)]
    [InlineData(1024)]
    [InlineData(8192)]
    public void A_loss_across_the_edge_changes_nothing(int size)
    {
        foreach (var aToB in new[] { true, false })
        {
            foreach (var lost in new[] { 1, size / 2, size - 1, size, size + 1, 3 * size })
            {
                foreach (var before in new[] { 0, 1, lost / 2, lost })
                {
                    var (gateways, from, to, inner) = At(size, Edge - 1 - (ulong)before, aToB);
                    var packets = Seal(gateways, from, inner, lost + 2);
                    Assert.NotNull(gateways.Deliver(to, packets[0], fromA: aToB));
                    Assert.NotNull(gateways.Deliver(to, packets[lost + 1], fromA: aToB));
                    // the one before it comes late
                    Assert.Equal(size > 1, gateways.Deliver(to, packets[lost], fromA: aToB) is not null);
                    Assert.Equal(Edge - 1 - (ulong)before + (ulong)lost + 2, to.Sad.ById(Gateways.PairId)!.Inbound.Window.Highest);
                }
            }
        }
    }

    [Theory]
    [InlineData(64)]
    [InlineData(8192)]
    public void Two_thousand_million_lost_packets_are_survived(int size)
    {
        var (gateways, from, to, inner) = At(size, 5, aToB: true);
        Assert.NotNull(gateways.Deliver(to, Seal(gateways, from, inner, 1)[0]));
        foreach (var jump in new[] { Edge / 2, Edge - (ulong)size - 2, Edge / 2 })
        {
            from.Sad.ById(Gateways.PairId)!.Outbound.StartAt(from.Sad.ById(Gateways.PairId)!.Outbound.Sequence + jump);
            Assert.NotNull(gateways.Deliver(to, Seal(gateways, from, inner, 1)[0]));
            Assert.Equal(from.Sad.ById(Gateways.PairId)!.Outbound.Sequence, to.Sad.ById(Gateways.PairId)!.Inbound.Window.Highest);
        }
    }

    [Theory]
    [InlineData(64, false)]
    [InlineData(128, true)]
    [InlineData(1024, true)]
    [InlineData(8192, true)]
    public void A_bad_ICV_with_a_high_number_does_not_move_the_window(int size, bool esn)
    {
        var start = esn ? Edge - 10 : 1000;
        var gateways = new Gateways(sa => Gateways.With(sa, esn: esn, window: size));
        gateways.SaA.Outbound.StartAt(start);
        gateways.SaB.Inbound.Window.StartAt(start);
        foreach (var low in new uint[] { 0xFFFF_FFF8, 0xFFFF_FFFF, 0, 1, 0x7FFF_FFFF, 0x8000_0000, (uint)size, 0xFFFF_0000 })
        {
            var good = gateways.Send(gateways.A, ToB)!;
            var forged = (byte[])good.Clone();
            BinaryPrimitives.WriteUInt32BigEndian(forged.AsSpan(4), low);
            var highest = gateways.SaB.Inbound.Window.Highest;
            if (low != BinaryPrimitives.ReadUInt32BigEndian(good.AsSpan(4))) Assert.Null(gateways.Deliver(gateways.B, forged));
            forged = (byte[])good.Clone();
            forged[^1] ^= 0x80;
            Assert.Null(gateways.Deliver(gateways.B, forged));
            Assert.Equal(PacketDrop.Integrity, gateways.Received.Drop);
            Assert.Equal(highest, gateways.SaB.Inbound.Window.Highest);
            Assert.Equal(ToB, gateways.Deliver(gateways.B, good));
            Assert.Equal(highest + 1, gateways.SaB.Inbound.Window.Highest);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Rekeying_is_asked_for_long_before_the_numbers_end_and_they_never_wrap(bool esn)
    {
        var end = esn ? ulong.MaxValue : uint.MaxValue;
        var gateways = new Gateways(sa => Gateways.With(sa, esn: esn));
        gateways.SaA.Outbound.StartAt(end - (1UL << 28) - 3);
        gateways.SaB.Inbound.Window.StartAt(end - (1UL << 28) - 3);
        Assert.NotNull(gateways.AToB(ToB));
        Assert.Empty(Gateways.Events(gateways.A));
        for (var i = 0; i < 4; i++) Assert.NotNull(gateways.AToB(ToB));
        Assert.Equal([new DataPlaneEvent.SoftLimit(Gateways.PairId)], Gateways.Events(gateways.A));
        gateways.SaA.Outbound.StartAt(end - 10);
        gateways.SaB.Inbound.Window.StartAt(end - 10);
        var numbers = new HashSet<ulong>();
        for (var i = 0; i < 40; i++)
        {
            if (gateways.AToB(ToB) is null) continue;
            Assert.True(numbers.Add(gateways.SaA.Outbound.Sequence));
            Assert.True(gateways.SaA.Outbound.Sequence > end - 10);
        }

        // the very last number may stay unused; none comes twice
        Assert.InRange(numbers.Count, 9, 10);
        Assert.Equal(PacketDrop.SequenceOverflow, Assert.Single(new HashSet<PacketDrop> { FirstRefusal(esn) }));
        Assert.Equal([new DataPlaneEvent.HardLimit(Gateways.PairId)], Gateways.Events(gateways.A));
        Assert.False(gateways.SaA.CarriesOutbound);
    }

    [Theory]
    [InlineData(64)]
    [InlineData(128)]
    [InlineData(1024)]
    [InlineData(8192)]
    public void The_window_agrees_with_a_naive_model(int size)
    {
        for (var seed = 0; seed < 20; seed++)
        {
            var random = new Random((size * 100) + seed);
            var start = (ulong)random.Next(1, 4) * Edge - (ulong)random.Next(2 * size);
            var window = new ReplayWindow(size, esn: true);
            window.StartAt(start);
            var (highest, seen) = (start, new HashSet<ulong>());
            for (var i = 0; i < 4000; i++)
            {
                var jump = random.Next(1000) switch
                {
                    < 600 => random.Next(1, 3),
                    < 950 => -random.Next(0, size + 2),
                    < 995 => random.Next(1, 2 * size),
                    _ => random.NextInt64(1, (long)Edge - size - 1),
                };
                var number = (ulong)((long)highest + jump);
                // left of the window there is no telling: the number is that of the next 2^32
                var inside = number > highest || highest - number < (ulong)size;
                var expected = number > highest || (inside && number > start && !seen.Contains(number));
                var inferred = window.Infer((uint)number);
                Assert.Equal(inside ? number : number + Edge, inferred);
                if (!inside) continue;
                Assert.Equal(expected, window.Check(inferred));
                // one in eight is a forgery, seen and never committed
                if (random.Next(8) == 0) continue;
                Assert.Equal(expected, window.Commit(inferred));
                if (!expected) continue;
                seen.Add(number);
                highest = Math.Max(highest, number);
                Assert.Equal(highest, window.Highest);
            }
        }
    }

    private static PacketDrop FirstRefusal(bool esn)
    {
        var gateways = new Gateways(sa => Gateways.With(sa, esn: esn));
        gateways.SaA.Outbound.StartAt(esn ? ulong.MaxValue : uint.MaxValue);
        Assert.Null(gateways.Send(gateways.A, ToB));
        return gateways.Sent.Drop;
    }

    private static (Gateways Gateways, PacketPath From, PacketPath To, byte[] Inner) At(int size, ulong start, bool aToB)
    {
        var gateways = new Gateways(sa => Gateways.With(sa, esn: true, window: size));
        var (from, to) = aToB ? (gateways.A, gateways.B) : (gateways.B, gateways.A);
        from.Sad.ById(Gateways.PairId)!.Outbound.StartAt(start);
        to.Sad.ById(Gateways.PairId)!.Inbound.Window.StartAt(start);
        return (gateways, from, to, aToB ? ToB : ToA);
    }

    private static List<byte[]> Seal(Gateways gateways, PacketPath from, byte[] inner, int count)
    {
        var packets = new List<byte[]>(count);
        for (var i = 0; i < count; i++) packets.Add(gateways.Send(from, inner)!);
        return packets;
    }
}
