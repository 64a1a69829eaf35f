using System;
using Warifu.Ipsec;
using Xunit;

namespace Warifu.Tests.Ipsec;

[Trait("Item", "1.11")]
public sealed class TosFieldTests
{
    private const int NotEct = 0, Ect1 = 1, Ect0 = 2, Ce = 3, Drop = -1;

    [Theory]
    // RFC 6040 figure 4, row by row: inner, outer, outgoing
    [InlineData(NotEct, NotEct, NotEct)]
    [InlineData(NotEct, Ect0, NotEct)]
    [InlineData(NotEct, Ect1, NotEct)]
    [InlineData(NotEct, Ce, Drop)]
    [InlineData(Ect0, NotEct, Ect0)]
    [InlineData(Ect0, Ect0, Ect0)]
    [InlineData(Ect0, Ect1, Ect1)]
    [InlineData(Ect0, Ce, Ce)]
    [InlineData(Ect1, NotEct, Ect1)]
    [InlineData(Ect1, Ect0, Ect1)]
    [InlineData(Ect1, Ect1, Ect1)]
    [InlineData(Ect1, Ce, Ce)]
    [InlineData(Ce, NotEct, Ce)]
    [InlineData(Ce, Ect0, Ce)]
    [InlineData(Ce, Ect1, Ce)]
    [InlineData(Ce, Ce, Ce)]
    public void Decapsulation_is_figure_4_of_RFC_6040(int inner, int outer, int outgoing)
    {
        const byte InnerDscp = 46 << 2, OuterDscp = 10 << 2;
        var kept = TosField.TryUnwrap((byte)(InnerDscp | inner), (byte)(OuterDscp | outer), copyDscp: false, copyEcn: true, out var tos);
        Assert.Equal(outgoing != Drop, kept);
        if (!kept) return;
        Assert.Equal(InnerDscp | outgoing, tos);
        Assert.True(TosField.TryUnwrap((byte)(InnerDscp | inner), (byte)(OuterDscp | outer), copyDscp: true, copyEcn: true, out tos));
        Assert.Equal(OuterDscp | outgoing, tos);
    }

    [Theory]
    [InlineData(0xB9, true, true, 0xB9)]
    [InlineData(0xB9, false, true, 0x01)]
    [InlineData(0xBB, true, false, 0xB8)]
    [InlineData(0xBB, false, false, 0x00)]
    public void Encapsulation_copies_what_it_is_told(byte inner, bool dscp, bool ecn, byte outer) => Assert.Equal(outer, TosField.Wrap(inner, dscp, ecn));

    [Fact]
    public void Without_ecn_the_inner_field_stays()
    {
        Assert.True(TosField.TryUnwrap(0xB8, 0x03, copyDscp: false, copyEcn: false, out var tos));
        Assert.Equal(0xB8, tos);
    }

    [Fact]
    public void A_mark_on_the_way_reaches_the_inner_header_and_its_checksum()
    {
        var gateways = new Gateways();
        var inner = gateways.AToB(Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2), tos: 0xBA), outerTos: 0xBB);
        Assert.NotNull(inner);
        Assert.Equal(0xBB, inner[1]);
        Assert.Equal(0, Packets.SlowChecksum(inner.AsSpan(0, 20)));
        inner = gateways.AToB(Packets.V6("fd01::1", "fd02::1", 17, Packets.Udp(1, 2), trafficClass: 0xBA), outerTos: 0xBB);
        Assert.NotNull(inner);
        Assert.Equal([0x6B, 0xBA, 0xBC, 0xDE], inner.AsSpan(0, 4).ToArray());
        Assert.Null(gateways.AToB(Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2), tos: 0xB8), outerTos: 0xBB));
        Assert.Equal(PacketDrop.Ecn, gateways.Received.Drop);
    }
}
