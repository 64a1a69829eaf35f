using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Warifu.Ipsec;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Ipsec;

/// <summary>RFC 4301 sections 8.1 and 8.2, and MSS clamping.</summary>
[Trait("Item", "1.11")]
public sealed class MtuTests
{
    [Theory]
    [InlineData(DfPolicy.Copy, false, false)]
    [InlineData(DfPolicy.Copy, true, true)]
    [InlineData(DfPolicy.Set, false, true)]
    [InlineData(DfPolicy.Set, true, true)]
    [InlineData(DfPolicy.Clear, false, false)]
    [InlineData(DfPolicy.Clear, true, false)]
    public void DF_is_copied_set_or_cleared(DfPolicy policy, bool inner, bool outer)
    {
        var gateways = new Gateways(sa => Gateways.With(sa, options: new ChildOptions { Df = policy }));
        Assert.NotNull(gateways.Send(gateways.A, Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2), df: inner)));
        Assert.Equal(outer, gateways.Sent.DontFragment);
        Assert.NotNull(gateways.Send(gateways.A, Packets.V6("fd01::1", "fd02::1", 17, Packets.Udp(1, 2))));
        Assert.Equal(policy != DfPolicy.Clear, gateways.Sent.DontFragment);
    }

    [Fact]
    public void Too_large_packets_with_DF_are_answered()
    {
        var gateways = new Gateways();
        gateways.A.IcmpSourceV4 = IpAddress.Parse("10.1.0.254");
        var reply = new byte[IcmpError.MaxLength];
        // 1500 - IP 20 - UDP 8 - ESP 8 - IV 8 - ICV 16 = 1440; less two octets of trailer
        const int Mtu = 1438;
        Assert.NotNull(gateways.Send(gateways.A, Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2, Mtu - 28), df: true), reply));
        Assert.Null(gateways.Send(gateways.A, Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2, Mtu - 27), df: true), reply));
        Assert.Equal(PacketDrop.TooBig, gateways.Sent.Drop);
        Assert.Equal(576, gateways.Sent.ReplyLength);
        Assert.Equal([3, 4], reply[20..22]);
        Assert.Equal(Mtu, BinaryPrimitives.ReadUInt16BigEndian(reply.AsSpan(26)));
        Assert.Equal(0, Packets.SlowChecksum(reply.AsSpan(20, 556)));
        Assert.Equal([10, 1, 0, 254, 10, 1, 0, 1], reply[12..20]);
        Assert.Equal(0x45, reply[28]);

        Assert.Null(gateways.Send(gateways.A, Packets.V6("fd01::1", "fd02::1", 17, Packets.Udp(1, 2, 1400)), reply));
        Assert.Equal(1280, gateways.Sent.ReplyLength);
        Assert.Equal([2, 0], reply[40..42]);
        Assert.Equal((uint)Mtu, BinaryPrimitives.ReadUInt32BigEndian(reply.AsSpan(44)));
        uint pseudo = 58 + 1240;
        for (var i = 8; i < 40; i += 2) pseudo += BinaryPrimitives.ReadUInt16BigEndian(reply.AsSpan(i));
        Assert.Equal(0, Packets.SlowChecksum(reply.AsSpan(40, 1240), pseudo));
    }

    [Fact]
    public void Nobody_is_told_of_less_than_the_least_MTU()
    {
        var gateways = new Gateways();
        gateways.A.LearnPathMtu(Gateways.OuterB.Address, 68, new Instant(1));
        Assert.Equal(576, gateways.SaA.Path.Mtu);
        var reply = new byte[IcmpError.MaxLength];
        Assert.NotNull(gateways.Send(gateways.A, Packets.V6("fd01::1", "fd02::1", 17, Packets.Udp(1, 2, 1232)), reply));
        Assert.False(gateways.Sent.DontFragment);
        Assert.Null(gateways.Send(gateways.A, Packets.V6("fd01::1", "fd02::1", 17, Packets.Udp(1, 2, 1233)), reply));
        Assert.Equal(1280u, BinaryPrimitives.ReadUInt32BigEndian(reply.AsSpan(44)));
        Assert.NotNull(gateways.Send(gateways.A, Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2, 548), df: true), reply));
        Assert.Null(gateways.Send(gateways.A, Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2, 549), df: true), reply));
        Assert.Equal(576, BinaryPrimitives.ReadUInt16BigEndian(reply.AsSpan(26)));
    }

    [Fact]
    public void What_was_learned_of_a_path_holds_for_the_pairs_that_come_after()
    {
        var gateways = new Gateways();
        gateways.A.LearnPathMtu(Gateways.OuterB.Address, 1400, new Instant(1));
        gateways.A.Install(Gateways.MakeChild(id: 8, spi: 0x2000));
        Assert.Equal(1400, gateways.A.Sad.ById(8)!.Path.Mtu);
    }

    [Fact]
    public void What_was_learned_of_a_path_is_forgotten_ten_minutes_after_it_was_told_last()
    {
        var gateways = new Gateways();
        var start = new Instant(1);
        gateways.A.LearnPathMtu(Gateways.OuterB.Address, 1400, start);
        Assert.False(gateways.A.ForgetPathMtus(start + TimeSpan.FromMinutes(9)));
        // told again: the ten minutes begin anew
        gateways.A.LearnPathMtu(Gateways.OuterB.Address, 1400, start + TimeSpan.FromMinutes(9));
        Assert.False(gateways.A.ForgetPathMtus(start + TimeSpan.FromMinutes(18)));
        Assert.Equal(1400, gateways.SaA.Path.Mtu);
        Assert.True(gateways.A.ForgetPathMtus(start + TimeSpan.FromMinutes(19)));
        Assert.Equal(1500, gateways.SaA.Path.Mtu);
        gateways.A.Install(Gateways.MakeChild(id: 8, spi: 0x2000));
        Assert.Equal(1500, gateways.A.Sad.ById(8)!.Path.Mtu);
        Assert.False(gateways.A.ForgetPathMtus(start + TimeSpan.FromHours(1)));
    }

    [Fact]
    public void A_pair_that_moves_to_another_path_takes_what_is_known_of_that()
    {
        var gateways = new Gateways();
        var (here, there) = (gateways.SaA.Path, new Endpoint(IpAddress.Parse("203.0.113.77"), 4500));
        gateways.A.LearnPathMtu(here.Remote.Address, 1400, new Instant(1));
        gateways.A.Move(gateways.SaA.Id, here.Local, here.Remote with { Port = 4501 }, true, false);
        Assert.Equal(1400, gateways.SaA.Path.Mtu);
        gateways.A.Move(gateways.SaA.Id, here.Local, there, true, false);
        Assert.Equal(1500, gateways.SaA.Path.Mtu);
        gateways.A.Move(gateways.SaA.Id, here.Local, here.Remote, false, false);
        Assert.Equal(1400, gateways.SaA.Path.Mtu);
    }

    [Fact]
    public void Packets_without_DF_are_cut_before_they_are_sealed()
    {
        var gateways = new Gateways();
        var packet = Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2, 4000), options: [0x94, 4, 0, 0, 7, 4, 4, 0]);
        Assert.Null(gateways.Send(gateways.A, packet));
        Assert.Equal(OutboundVerdict.Fragment, gateways.Sent.Verdict);
        Assert.True(IpHeader.TryParse(packet, out var header));
        var mtu = gateways.Sent.FragmentMtu;
        var sa = gateways.Sent.Sa!;
        var payload = new List<byte>();
        var buffer = new byte[2000];
        var at = 0;
        int length;
        while ((length = Ipv4Fragmenter.Next(packet, header, mtu, ref at, buffer.AsSpan(100))) > 0)
        {
            Assert.True(length <= mtu);
            gateways.A.ProtectFragment(sa, buffer, 100, length, Gateways.Now, out var sealedPiece);
            Assert.Equal(OutboundVerdict.Protect, sealedPiece.Verdict);
            var piece = gateways.Deliver(gateways.B, buffer.AsSpan(sealedPiece.Packet.Offset, sealedPiece.Packet.Length).ToArray())!;
            Assert.True(IpHeader.TryParse(piece, out var fragment));
            Assert.Equal(0, Packets.SlowChecksum(piece.AsSpan(0, fragment.UpperOffset)));
            Assert.Equal(payload.Count, fragment.FragmentOffset);
            // the router alert is copied, the record route is not
            Assert.Equal(payload.Count == 0 ? 28 : 24, fragment.UpperOffset);
            payload.AddRange(piece[fragment.UpperOffset..]);
            Assert.Equal(payload.Count < 4008, fragment.MoreFragments);
        }

        Assert.Equal(packet[28..], payload);
    }

    [Fact]
    public void With_port_selectors_the_outer_packet_is_fragmented_instead()
    {
        var gateways = new Gateways(sa => Gateways.With(sa, localSelectors: [Gateways.Selector("10.1.0.0/16", 17)], remoteSelectors: [Gateways.Selector("10.2.0.0/16", 17, 2, 2)], options: new ChildOptions { Df = DfPolicy.Set }));
        var packet = Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2, 4000));
        Assert.Equal(packet, gateways.AToB(packet));
        Assert.False(gateways.Sent.DontFragment);
    }

    [Theory]
    [InlineData(4, 0, 1460, 1398)]
    [InlineData(6, 0, 1440, 1378)]
    [InlineData(4, 0, 1000, 1000)]
    [InlineData(4, 1200, 1460, 1200)]
    [InlineData(4, -1, 1460, 1460)]
    public void The_MSS_of_SYNs_fits_the_tunnel(int version, int setting, int offered, int expected)
    {
        foreach (var odd in new[] { false, true })
        {
            var gateways = new Gateways(sa => Gateways.With(sa, options: new ChildOptions { Mss = setting }));
            var syn = Syn(version, "1", "2", offered, odd);
            var arrived = gateways.AToB(syn)!;
            var mssAt = (version == 4 ? 20 : 40) + 20 + (odd ? 3 : 2);
            Assert.Equal(expected, BinaryPrimitives.ReadUInt16BigEndian(arrived.AsSpan(mssAt)));
            Assert.Equal(0, TcpChecksum(arrived, version));
            // a peer that does not clamp: the packet is clamped when it comes in
            gateways = new Gateways();
            var open = new Gateways(sa => Gateways.With(sa, options: new ChildOptions { Mss = -1 }));
            arrived = gateways.Deliver(gateways.B, open.Send(open.A, syn)!)!;
            Assert.Equal(Math.Min(offered, version == 4 ? 1398 : 1378), BinaryPrimitives.ReadUInt16BigEndian(arrived.AsSpan(mssAt)));
            Assert.Equal(0, TcpChecksum(arrived, version));
        }
    }

    [Fact]
    public void Broken_options_are_left_alone()
    {
        for (var length = 0; length < 6; length++)
        {
            var packet = Syn(4, "1", "2", 1460, odd: false);
            packet[41] = (byte)length;
            if (length == 4) continue;
            var copy = (byte[])packet.Clone();
            Assert.True(IpHeader.TryParse(packet, out var header));
            Assert.False(TcpMss.Clamp(packet, header, 500));
            Assert.Equal(copy, packet);
        }
    }

    private static byte[] Syn(int version, string near, string far, int mss, bool odd)
    {
        byte[] options = odd ? [1, 2, 4, (byte)(mss >> 8), (byte)mss, 1, 1, 1] : [2, 4, (byte)(mss >> 8), (byte)mss, 4, 2, 1, 1];
        byte[] tcp = [0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x70, 0x02, 0xFF, 0xFF, 0, 0, 0, 0, .. options];
        var packet = version == 4 ? Packets.V4($"10.{near}.0.1", $"10.{far}.0.1", 6, tcp, df: true) : Packets.V6($"fd0{near}::1", $"fd0{far}::1", 6, tcp);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan((version == 4 ? 20 : 40) + 16), TcpChecksum(packet, version));
        return packet;
    }

    private static ushort TcpChecksum(byte[] packet, int version)
    {
        var start = version == 4 ? 20 : 40;
        uint pseudo = 6 + (uint)(packet.Length - start);
        for (var i = version == 4 ? 12 : 8; i < start; i += 2) pseudo += BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(i));
        return Packets.SlowChecksum(packet.AsSpan(start), pseudo);
    }
}
