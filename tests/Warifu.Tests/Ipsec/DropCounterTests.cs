using System;
using System.Collections.Generic;
using Warifu.Ipsec;
using Xunit;

namespace Warifu.Tests.Ipsec;

/// <summary>Every reason why a packet does not pass has its counter, for the pair and for the whole.</summary>
[Trait("Item", "1.11")]
public sealed class DropCounterTests
{
    private static readonly byte[] Good = Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2));

    [Fact]
    public void Each_inbound_reason_is_counted_once_where_it_happens()
    {
        var gateways = new Gateways();
        byte[] Sealed(byte[] inner, byte next = 4)
        {
            var buffer = new byte[600];
            inner.CopyTo(buffer, 100);
            Assert.Equal(PacketDrop.None, ((EspOutbound)gateways.SaA.Outbound).SealTunnel(buffer, 100, inner.Length, next, out var packet));
            return buffer.AsSpan(packet.Offset, packet.Length).ToArray();
        }

        var replay = Sealed(Good);
        Assert.NotNull(gateways.Deliver(gateways.B, replay));
        var broken = Sealed(Good);
        broken[^1] ^= 1;
        var dummy = new byte[600];
        ((EspOutbound)gateways.SaA.Outbound).SealDummy(dummy, 100, 50, out var dummyPacket);
        var cases = new List<(PacketDrop Reason, byte[] Esp, byte Tos)>
        {
            (PacketDrop.TooShort, replay[..20], 0),
            (PacketDrop.Replay, replay, 0),
            (PacketDrop.Integrity, broken, 0),
            (PacketDrop.Dummy, dummy.AsSpan(dummyPacket.Offset, dummyPacket.Length).ToArray(), 0),
            (PacketDrop.BadNextHeader, Sealed(Good, 17), 0),
            (PacketDrop.BadInner, Sealed([0x45, 0, 0, 5], 4), 0),
            (PacketDrop.Selector, Sealed(Packets.V4("10.9.0.1", "10.2.0.1", 17, Packets.Udp(1, 2))), 0),
            (PacketDrop.Ecn, Sealed(Good), 3),
        };
        foreach (var (reason, esp, tos) in cases)
        {
            var (own, all) = (gateways.SaB.Drops(reason), gateways.B.Drops(reason));
            var total = Total(gateways.B);
            Assert.Null(gateways.Deliver(gateways.B, esp, tos));
            Assert.Equal(reason, gateways.Received.Drop);
            Assert.Equal((own + 1, all + 1, total + 1), (gateways.SaB.Drops(reason), gateways.B.Drops(reason), Total(gateways.B)));
        }

        var counters = gateways.SaB.Counters;
        Assert.Equal((1ul, 1ul, 1ul), (counters.ReplayDrops, counters.IntegrityDrops, counters.SelectorDrops));
    }

    [Fact]
    public void Each_outbound_reason_is_counted_once()
    {
        var gateways = new Gateways(sa => Gateways.With(sa, hardPackets: 1));
        var reply = new byte[IcmpError.MaxLength];
        void Refused(PacketDrop reason, byte[] packet)
        {
            var (all, total) = (gateways.A.Drops(reason), Total(gateways.A));
            Assert.Null(gateways.Send(gateways.A, packet, reply));
            Assert.Equal(reason, gateways.Sent.Drop);
            Assert.Equal((all + 1, total + 1), (gateways.A.Drops(reason), Total(gateways.A)));
        }

        Refused(PacketDrop.Malformed, [0x45, 0, 0]);
        Refused(PacketDrop.NoPolicy, Packets.V4("10.1.0.1", "10.3.0.1", 17, Packets.Udp(1, 2)));
        Refused(PacketDrop.TooBig, Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2, 1500), df: true));
        Assert.NotNull(gateways.Send(gateways.A, Good));
        Refused(PacketDrop.HardLimit, Good);
        gateways.A.InstallPolicy(new TrafficPolicy { Connection = "c", Child = "trap", Action = TrafficAction.Protect, LocalSelectors = [Gateways.Selector("10.1.0.0/16")], RemoteSelectors = [Gateways.Selector("10.4.0.0/16")], Options = new ChildOptions() });
        Refused(PacketDrop.NoSa, Packets.V4("10.1.0.1", "10.4.0.1", 17, Packets.Udp(1, 2)));
        gateways.A.InstallPolicy(new TrafficPolicy { Connection = "c", Child = "drop", Action = TrafficAction.Discard, LocalSelectors = [Gateways.Selector("10.1.0.0/16")], RemoteSelectors = [Gateways.Selector("10.5.0.0/16")], Options = new ChildOptions() });
        Refused(PacketDrop.PolicyDiscard, Packets.V4("10.1.0.1", "10.5.0.1", 17, Packets.Udp(1, 2)));
    }

    [Theory]
    [InlineData("10.1.0.1", "10.2.0.1")]
    [InlineData("fd01::1", "fd02::1")]
    public void Pieces_without_ports_are_matched_without_ports(string from, string to)
    {
        var v6 = from.Contains(':', StringComparison.Ordinal);
        byte[] Piece(int offset) => v6
            ? Packets.V6(from, to, 44, [17, 0, (byte)(offset >> 8), (byte)((offset & 0xF8) | 1), 0, 0, 0, 1, .. Packets.Udp(80, 80)])
            : Packets.V4(from, to, 17, Packets.Udp(80, 80), fragmentOffset: offset, more: true);
        // no ports in the selectors: every piece goes; with ports: only the first, which has them (docs/host.md); OPAQUE takes the others
        var any = new Gateways();
        Assert.NotNull(any.AToB(Piece(0)));
        Assert.NotNull(any.AToB(Piece(64)));
        var (near, far) = v6 ? ("fd01::/16", "fd02::/16") : ("10.1.0.0/16", "10.2.0.0/16");
        var ports = new Gateways(sa => Gateways.With(sa, localSelectors: [Gateways.Selector(near, 17)], remoteSelectors: [Gateways.Selector(far, 17, 80, 80)]));
        Assert.NotNull(ports.AToB(Piece(0)));
        Assert.Null(ports.AToB(Piece(64)));
        Assert.Equal(PacketDrop.NoPolicy, ports.Sent.Drop);
        var opaque = new Gateways(sa => Gateways.With(sa, localSelectors: [Gateways.Selector(near, 17)], remoteSelectors: [Gateways.Selector(far, 17, 65535, 0)]));
        Assert.Null(opaque.AToB(Piece(0)));
        Assert.NotNull(opaque.AToB(Piece(64)));
    }

    [Theory]
    // RFC 6040 figure 3: normal mode copies, compatibility mode clears
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void The_outer_ECN_field_is_figure_3_of_RFC_6040(int inner)
    {
        foreach (var copy in new[] { true, false })
        {
            var gateways = new Gateways(sa => Gateways.With(sa, options: new ChildOptions { CopyEcn = copy }));
            Assert.NotNull(gateways.Send(gateways.A, Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2), tos: (byte)(0xB8 | inner))));
            Assert.Equal(0xB8 | (copy ? inner : 0), gateways.Sent.Tos);
            Assert.NotNull(gateways.Send(gateways.A, Packets.V6("fd01::1", "fd02::1", 17, Packets.Udp(1, 2), (byte)(0x28 | inner))));
            Assert.Equal(0x28 | (copy ? inner : 0), gateways.Sent.Tos);
        }
    }

    private static ulong Total(PacketPath path)
    {
        var sum = 0ul;
        for (var reason = PacketDrop.None + 1; reason < PacketDrop.Count; reason++) sum += path.Drops(reason);
        return sum;
    }
}
