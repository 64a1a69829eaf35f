using System;
using Warifu.Ipsec;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Ipsec;

/// <summary>RFC 4301 section 5.2 (R125): only what was negotiated comes out of an SA.</summary>
[Trait("Item", "1.11")]
public sealed class SelectorTests
{
    [Theory]
    [InlineData("10.1.0.1", "10.2.0.1", true)]
    [InlineData("10.1.255.255", "10.2.255.255", true)]
    [InlineData("10.3.0.1", "10.2.0.1", false)]
    [InlineData("10.0.255.255", "10.2.0.1", false)]
    [InlineData("10.1.0.1", "10.3.0.0", false)]
    [InlineData("10.1.0.1", "10.1.0.2", false)]
    [InlineData("10.2.0.1", "10.1.0.1", false)]
    public void Addresses_are_checked_after_decryption(string from, string to, bool passes) =>
        Assert.Equal(passes ? PacketDrop.None : PacketDrop.Selector, Unwrapped(new Gateways(), Packets.V4(from, to, 17, Packets.Udp(1, 2))));

    [Fact]
    public void Drops_are_counted_for_the_pair_and_for_all()
    {
        var gateways = new Gateways();
        Unwrapped(gateways, Packets.V4("10.3.0.1", "10.2.0.1", 17, Packets.Udp(1, 2)));
        Assert.Equal(1ul, gateways.SaB.Counters.SelectorDrops);
        Assert.Equal(1ul, gateways.B.Drops(PacketDrop.Selector));
        Assert.Equal(PacketDrop.Selector, Unwrapped(gateways, Packets.V6("fd03::1", "fd02::1", 17, Packets.Udp(1, 2))));
    }

    [Theory]
    [InlineData(6, 1000, 80, true)]
    [InlineData(6, 1000, 89, true)]
    [InlineData(6, 1000, 90, false)]
    [InlineData(6, 1000, 79, false)]
    [InlineData(17, 1000, 80, false)]
    public void Protocol_and_ports_are_checked(byte protocol, ushort from, ushort to, bool passes)
    {
        var gateways = Narrow(Gateways.Selector("10.1.0.0/16", 6), Gateways.Selector("10.2.0.0/16", 6, 80, 89));
        byte[] payload = [(byte)(from >> 8), (byte)from, (byte)(to >> 8), (byte)to, .. new byte[16]];
        Assert.Equal(passes ? PacketDrop.None : PacketDrop.Selector, Unwrapped(gateways, Packets.V4("10.1.0.1", "10.2.0.1", protocol, payload)));
    }

    [Theory]
    [InlineData(8, 0, true)]
    [InlineData(8, 1, false)]
    [InlineData(0, 0, false)]
    public void Icmp_type_and_code_are_the_ports(byte type, byte code, bool passes)
    {
        var gateways = Narrow(Gateways.Selector("10.1.0.0/16", 1, 0x0800, 0x0800), Gateways.Selector("10.2.0.0/16", 1, 0x0800, 0x0800));
        Assert.Equal(passes ? PacketDrop.None : PacketDrop.Selector, Unwrapped(gateways, Packets.V4("10.1.0.1", "10.2.0.1", 1, Packets.Icmp(type, code))));
    }

    [Fact]
    public void Fragments_without_ports_match_any_and_opaque_only()
    {
        var fragment = Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(80, 80), fragmentOffset: 80);
        Assert.Equal(PacketDrop.None, Unwrapped(new Gateways(), fragment));
        Assert.Equal(PacketDrop.Selector, Unwrapped(Narrow(Gateways.Selector("10.1.0.0/16", 17), Gateways.Selector("10.2.0.0/16", 17, 80, 80)), fragment));
        Assert.Equal(PacketDrop.Selector, Unwrapped(Narrow(Gateways.Selector("10.1.0.0/16", 17), Gateways.Selector("10.2.0.0/16", 17, 0, 65534)), fragment));
        Assert.Equal(PacketDrop.None, Unwrapped(Narrow(Gateways.Selector("10.1.0.0/16", 17), Gateways.Selector("10.2.0.0/16", 17, 65535, 0)), fragment));
        Assert.Equal(PacketDrop.Selector, Unwrapped(Narrow(Gateways.Selector("10.1.0.0/16", 17), Gateways.Selector("10.2.0.0/16", 17, 65535, 0)), Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(80, 80))));
    }

    [Theory]
    [InlineData("224.0.0.1")]
    [InlineData("127.0.0.1")]
    [InlineData("0.0.0.0")]
    [InlineData("255.255.255.255")]
    public void Sources_that_no_host_has_are_refused(string source)
    {
        var gateways = Narrow(Gateways.Selector("0.0.0.0/0"), Gateways.Selector("10.2.0.0/16"));
        Assert.Equal(PacketDrop.BadSource, Unwrapped(gateways, Packets.V4(source, "10.2.0.1", 17, Packets.Udp(1, 2))));
        Assert.Equal(PacketDrop.None, Unwrapped(gateways, Packets.V4("198.51.100.1", "10.2.0.1", 17, Packets.Udp(1, 2))));
    }

    [Fact]
    public void Several_selectors_are_alternatives_on_each_side()
    {
        var gateways = new Gateways(sa => Gateways.With(sa, localSelectors: [Gateways.Selector("10.1.1.0/24"), Gateways.Selector("10.1.2.0/24")], remoteSelectors: [Gateways.Selector("10.2.1.0/24", 17), Gateways.Selector("10.2.2.0/24", 6)]));
        Assert.Equal(PacketDrop.None, Unwrapped(gateways, Packets.V4("10.1.2.1", "10.2.1.1", 17, Packets.Udp(1, 2))));
        Assert.Equal(PacketDrop.Selector, Unwrapped(gateways, Packets.V4("10.1.2.1", "10.2.2.1", 17, Packets.Udp(1, 2))));
        Assert.Equal(PacketDrop.Selector, Unwrapped(gateways, Packets.V4("10.1.3.1", "10.2.1.1", 17, Packets.Udp(1, 2))));
    }

    private static Gateways Narrow(TrafficSelector a, TrafficSelector b) => new(sa => Gateways.With(sa, localSelectors: [a], remoteSelectors: [b]));

    /// <summary>Seals at A whatever the SPD there would say, and opens at B.</summary>
    private static PacketDrop Unwrapped(Gateways gateways, byte[] inner)
    {
        var buffer = new byte[1000];
        inner.CopyTo(buffer, 100);
        gateways.A.ProtectFragment(gateways.SaA, buffer, 100, inner.Length, Gateways.Now, out var result);
        Assert.Equal(OutboundVerdict.Protect, result.Verdict);
        gateways.Deliver(gateways.B, buffer.AsSpan(result.Packet.Offset, result.Packet.Length).ToArray());
        return gateways.Received.Drop;
    }
}
