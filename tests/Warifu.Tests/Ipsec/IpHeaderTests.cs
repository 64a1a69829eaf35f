using System;
using Warifu.Ipsec;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Ipsec;

[Trait("Item", "1.11")]
public sealed class IpHeaderTests
{
    [Fact]
    public void The_checksum_is_that_of_RFC_1071()
    {
        // the example of RFC 1071 section 3
        Assert.Equal((ushort)(0xFFFF ^ 0xDDF2), InternetChecksum.Compute([0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]));
        var random = new Random(4);
        for (var length = 0; length < 200; length++)
        {
            var octets = new byte[length];
            random.NextBytes(octets);
            Assert.Equal(Packets.SlowChecksum(octets), InternetChecksum.Compute(octets));
            Array.Fill(octets, (byte)0xFF);
            Assert.Equal(Packets.SlowChecksum(octets), InternetChecksum.Compute(octets));
        }
    }

    [Fact]
    public void Ipv4_options_are_walked_over()
    {
        var packet = Packets.V4("10.1.0.1", "10.2.0.1", 6, [0x12, 0x34, 0x00, 0x50, .. new byte[16]], tos: 0x28, df: true, options: [0x94, 4, 0, 0]);
        Assert.True(IpHeader.TryParse(packet, out var header));
        Assert.Equal(24, header.UpperOffset);
        Assert.Equal(new PacketFlow(IpAddress.Parse("10.1.0.1"), IpAddress.Parse("10.2.0.1"), 6, 0x1234, 80, true), header.Flow);
        Assert.True(header.DontFragment);
        Assert.Equal(0x28, header.Tos);
        Assert.Equal(63, header.HopLimit);
    }

    [Fact]
    public void Ipv6_extension_headers_are_walked_and_ESP_goes_where_RFC_4303_says()
    {
        // hop-by-hop, destination options, routing, destination options, UDP
        byte[] chain = [60, 0, 1, 4, 0, 0, 0, 0, 43, 0, 1, 4, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0, .. Packets.Udp(7, 9)];
        Assert.True(IpHeader.TryParse(Packets.V6("fd01::1", "fd02::1", 0, chain, 0xA5), out var header));
        Assert.Equal(72, header.UpperOffset);
        Assert.Equal(64, header.EspOffset);
        Assert.Equal(56, header.NextHeaderOffset);
        Assert.Equal(0xA5, header.Tos);
        Assert.Equal(new PacketFlow(IpAddress.Parse("fd01::1"), IpAddress.Parse("fd02::1"), 17, 7, 9, true), header.Flow);
    }

    [Fact]
    public void Fragments_but_the_first_have_no_ports()
    {
        Assert.True(IpHeader.TryParse(Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2), more: true), out var header));
        Assert.True(header.IsFragment);
        Assert.True(header.Flow.HasPorts);
        Assert.True(IpHeader.TryParse(Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2), fragmentOffset: 800), out header));
        Assert.Equal(800, header.FragmentOffset);
        Assert.False(header.Flow.HasPorts);
        Assert.True(IpHeader.TryParse(Packets.V6("fd01::1", "fd02::1", 44, [17, 0, 0x03, 0x20, 0, 0, 0, 1, .. Packets.Udp(1, 2)]), out header));
        Assert.Equal(800, header.FragmentOffset);
        Assert.Equal(17, header.Flow.Protocol);
        Assert.False(header.Flow.HasPorts);
    }

    [Fact]
    public void Chains_and_lengths_that_lie_are_refused()
    {
        var endless = new byte[40 * 8];
        for (var i = 0; i < endless.Length; i += 8) endless[i] = 60;
        Assert.False(IpHeader.TryParse(Packets.V6("fd01::1", "fd02::1", 60, endless), out _));
        Assert.False(IpHeader.TryParse(Packets.V6("fd01::1", "fd02::1", 0, [17, 9, 0, 0, 0, 0, 0, 0]), out _));
        var packet = Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2));
        for (var length = 0; length < packet.Length; length++) Assert.False(IpHeader.TryParse(packet.AsSpan(0, length), out _));
        packet[0] = 0x44;
        Assert.False(IpHeader.TryParse(packet, out _));
        packet[0] = 0x75;
        Assert.False(IpHeader.TryParse(packet, out _));
    }
}
