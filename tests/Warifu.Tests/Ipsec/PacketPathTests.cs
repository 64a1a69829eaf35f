using System;
using System.Threading;
using Warifu.Ipsec;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Ipsec;

[Trait("Item", "1.11")]
public sealed class PacketPathTests
{
    [Theory]
    [InlineData(EncrId.AesGcm16, IntegId.None)]
    [InlineData(EncrId.AesCbc, IntegId.HmacSha256_128)]
    public void Nothing_is_allocated_per_packet(EncrId encr, IntegId integ)
    {
        var gateways = new Gateways(sa => Gateways.With(sa, esn: true), encr, 128, integ);
        var inner = Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2, 1000));
        var bad = Packets.V4("10.1.0.1", "172.16.0.1", 17, Packets.Udp(1, 2));
        var buffer = new byte[2000];
        var reply = new byte[IcmpError.MaxLength];
        var outer = new OuterInfo(Gateways.OuterB, Gateways.OuterA);
        void Round(int i)
        {
            inner.CopyTo(buffer.AsSpan(100));
            gateways.A.Outbound(buffer, 100, inner.Length, null, Gateways.Now, reply, out var sent);
            if ((i & 3) == 0) buffer[sent.Packet.Offset + 20] ^= 1;
            gateways.B.Inbound(buffer, sent.Packet.Offset, sent.Packet.Length, outer, Gateways.Now, out _);
            bad.CopyTo(buffer.AsSpan(100));
            gateways.A.Outbound(buffer, 100, bad.Length, null, Gateways.Now, reply, out _);
        }

        for (var i = 0; i < 200; i++) Round(i);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 2000; i++) Round(i);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(1650ul, gateways.SaB.Counters.PacketsIn);
    }

    [Fact]
    public void Rubbish_in_both_directions_never_throws()
    {
        var random = new Random(11);
        var gateways = new Gateways(sa => Gateways.With(sa, localSelectors: [Gateways.Selector("0.0.0.0/0"), Gateways.Selector("::/0")], remoteSelectors: [Gateways.Selector("0.0.0.0/0"), Gateways.Selector("::/0")]));
        var transport = new Gateways(sa => Gateways.With(sa, IpsecMode.Transport, localSelectors: [Gateways.Selector("0.0.0.0/0"), Gateways.Selector("::/0")], remoteSelectors: [Gateways.Selector("0.0.0.0/0"), Gateways.Selector("::/0")]));
        var reply = new byte[IcmpError.MaxLength];
        var seeds = new[]
        {
            Packets.V4("10.1.0.1", "10.2.0.1", 6, new byte[60]),
            Packets.V6("fd01::1", "fd02::1", 0, [60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 0, .. new byte[60]]),
            Packets.V4("10.1.0.1", "10.2.0.1", 1, Packets.Icmp(8, 0), options: [7, 7, 4, 0, 0, 0, 0, 0]),
        };
        var carried = 0;
        for (var i = 0; i < 60_000; i++)
        {
            var world = (i & 1) == 0 ? gateways : transport;
            var packet = (byte[])seeds[random.Next(seeds.Length)].Clone();
            for (var flips = random.Next(6); flips > 0; flips--) packet[random.Next(random.Next(3) == 0 ? packet.Length : Math.Min(packet.Length, 72))] = (byte)random.Next(256);
            if (random.Next(4) == 0) packet = packet[..random.Next(packet.Length)];
            if (random.Next(10) == 0) random.NextBytes(packet);
            // whatever the SPD lets through, and whatever a key holder puts into ESP
            if (world.Send(world.A, packet, reply) is { } esp && world.Deliver(world.B, esp, world.Sent.Tos) is not null) carried++;
            var buffer = new byte[400];
            packet.CopyTo(buffer, 100);
            ((EspOutbound)world.SaA.Outbound).SealTunnel(buffer, 100, packet.Length, (byte)random.Next(70), out var sealedPacket);
            esp = buffer.AsSpan(sealedPacket.Offset, sealedPacket.Length).ToArray();
            if (random.Next(3) == 0) esp[random.Next(esp.Length)] ^= 4;
            world.Deliver(world.B, random.Next(8) == 0 ? esp[..random.Next(esp.Length)] : esp, (byte)random.Next(256));
        }

        Assert.True(carried > 5_000);
    }

    [Fact]
    public void A_retired_pair_takes_what_is_under_way_and_sends_nothing_more()
    {
        var gateways = new Gateways();
        var inner = Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2));
        var underWay = gateways.Send(gateways.A, inner);
        gateways.B.Retire(Gateways.PairId);
        Assert.Equal(inner, gateways.Deliver(gateways.B, underWay!));
        Assert.Null(gateways.Deliver(gateways.B, underWay!));
        Assert.Equal(PacketDrop.Replay, gateways.Received.Drop);
        Assert.Null(gateways.Send(gateways.B, Packets.V4("10.2.0.1", "10.1.0.1", 17, Packets.Udp(2, 1))));
        gateways.B.Remove(Gateways.PairId);
        Assert.Null(gateways.Deliver(gateways.B, gateways.Send(gateways.A, inner)!));
        Assert.Equal(0, gateways.B.Sad.Count);
    }

    [Fact]
    public void Pairs_come_and_go_while_packets_flow()
    {
        var gateways = new Gateways();
        var stop = 0;
        Exception? failure = null;
        var sent = 0;
        var thread = new Thread(() =>
        {
            try
            {
                var buffer = new byte[400];
                var inner = Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2));
                while (Volatile.Read(ref stop) == 0)
                {
                    inner.CopyTo(buffer, 100);
                    gateways.A.Outbound(buffer, 100, inner.Length, null, Gateways.Now, default, out var result);
                    if (result.Verdict == OutboundVerdict.Protect) sent++;
                }
            }
            catch (Exception e)
            {
                failure = e;
            }
        });
        thread.Start();
        for (uint id = 100; id < 2_000; id++)
        {
            gateways.A.Install(Gateways.MakeChild(id: id, spi: id * 4));
            gateways.A.Remove(id == 100 ? Gateways.PairId : id - 1);
        }

        Volatile.Write(ref stop, 1);
        thread.Join();
        Assert.Null(failure);
        Assert.True(sent > 0);
        Assert.Equal(1, gateways.A.Sad.Count);
    }
}
