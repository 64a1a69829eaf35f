using System;
using System.Buffers.Binary;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Crypto;
using Warifu.Ipsec;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Ipsec;

/// <summary>RFC 4303 in both directions.</summary>
[Trait("Item", "1.11")]
public sealed class EspTests
{
    private static readonly byte[] V4Inner = Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1000, 2000), tos: 0xB8);
    private static readonly byte[] V6Inner = Packets.V6("fd01::1", "fd02::1", 17, Packets.Udp(1000, 2000), 0x28);

    [Fact]
    public void The_ESP_example_of_RFC_7634_opens()
    {
        var key = Convert.FromHexString("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3");
        var esp = Convert.FromHexString("01020304000000051011121314151617240394 28b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da9165b82829f641e076aaa8266b7fb0f7b11b369907e1ad43".Replace(" ", ""));
        var inner = Convert.FromHexString("45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637");
        using var inbound = new EspInbound(PacketCipher.Create(EncrId.ChaCha20Poly1305, 0, IntegId.None, key, [], new CountingEntropy()), new ReplayWindow(64, false), false);
        Assert.Equal(PacketDrop.None, inbound.Open(esp, out var payload, out var next, out var newest));
        Assert.Equal(4, next);
        Assert.True(newest);
        Assert.Equal(5ul, inbound.Window.Highest);
        Assert.Equal(inner, esp[payload]);
    }

    [Fact]
    public void Case_7_of_RFC_3602_opens()
    {
        var key = Convert.FromHexString("0123456789abcdef0123456789abcdef");
        var open = Convert.FromHexString("0000876500000002f4e765244f6407adf13dc1380f673f37773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8e4ecaec78ac53aad7a0f022b859243c647752e94a859352b8a4d4d2decd136e5c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d");
        var inner = Convert.FromHexString("45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d02a2040008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637");
        var integ = new byte[20];
        // the RFC's packet has no ICV: the platform's HMAC makes one
#pragma warning disable CA5350
        byte[] esp = [.. open, .. HMACSHA1.HashData(integ, open)[..12]];
#pragma warning restore CA5350
        using var inbound = new EspInbound(PacketCipher.Create(EncrId.AesCbc, 128, IntegId.HmacSha1_96, key, integ, new CountingEntropy()), new ReplayWindow(64, false), false);
        Assert.Equal(PacketDrop.None, inbound.Open(esp, out var payload, out var next, out _));
        Assert.Equal(4, next);
        Assert.Equal(inner, esp[payload]);
    }

    [Theory]
    [InlineData(0, 2)]
    [InlineData(1, 1)]
    [InlineData(2, 0)]
    [InlineData(3, 3)]
    [InlineData(100, 2)]
    public void Layout_padding_and_trailer_are_those_of_RFC_4303(int payloadLength, int padding)
    {
        using var outbound = new EspOutbound(new(0xA1B2C3D4), false, new VisibleCipher());
        var buffer = new byte[400];
        for (var i = 0; i < payloadLength; i++) buffer[100 + i] = 0xEE;
        Assert.Equal(PacketDrop.None, outbound.SealTunnel(buffer, 100, payloadLength, 4, out var packet));
        var esp = buffer.AsSpan(packet.Offset, packet.Length).ToArray();
        byte[] expected =
        [
            0xA1, 0xB2, 0xC3, 0xD4, 0, 0, 0, 1,
            0, 0, 0, 0, 0, 0, 0, 1,
            .. Enumerable.Repeat((byte)0xEE, payloadLength), .. Enumerable.Range(1, padding).Select(i => (byte)i), (byte)padding, 4,
            .. Enumerable.Repeat((byte)0xCC, 16),
        ];
        Assert.Equal(expected, esp);
        Assert.Equal(0, packet.HeaderLength);
    }

    [Theory]
    [InlineData(EncrId.AesGcm16, 128, IntegId.None)]
    [InlineData(EncrId.AesGcm8, 256, IntegId.None)]
    [InlineData(EncrId.AesCcm12, 256, IntegId.None)]
    [InlineData(EncrId.ChaCha20Poly1305, 0, IntegId.None)]
    [InlineData(EncrId.NullAesGmac, 128, IntegId.None)]
    [InlineData(EncrId.AesCbc, 256, IntegId.HmacSha256_128)]
    [InlineData(EncrId.AesCtr, 192, IntegId.AesXcbc96)]
    [InlineData(EncrId.TripleDes, 0, IntegId.HmacSha1_96)]
    [InlineData(EncrId.CamelliaCbc, 256, IntegId.HmacSha512_256)]
    [InlineData(EncrId.Null, 0, IntegId.AesCmac96)]
    public void Every_kind_of_suite_carries_packets_of_every_length(EncrId encr, int bits, IntegId integ)
    {
        foreach (var esn in new[] { false, true })
        {
            var gateways = new Gateways(sa => Gateways.With(sa, esn: esn), encr, bits, integ);
            for (var data = 0; data < 70; data++)
            {
                var inner = Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2, data));
                Assert.Equal(inner, gateways.AToB(inner));
                var back = Packets.V6("fd02::1", "fd01::1", 17, Packets.Udp(2, 1, data));
                Assert.Equal(back, gateways.BToA(back));
            }

            var mtu = gateways.SaA.InnerMtu(default);
            var largest = Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2, mtu - 28), df: true);
            Assert.Equal(largest, gateways.AToB(largest));
            var esp = gateways.Esp.Length + 20 + 8;
            Assert.True(esp <= 1500);
            // one octet more would not have fitted
            Assert.Null(gateways.AToB(Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 2, mtu - 27), df: true)));
            Assert.True(esp + EspOverhead.Alignment(((EspOutbound)gateways.SaA.Outbound).Cipher) > 1500);
        }
    }

    [Theory]
    [InlineData("192.0.2.1", "192.0.2.2")]
    [InlineData("2001:db8::1", "2001:db8::2")]
    public void Tunnel_mode_carries_both_families_in_both(string a, string b)
    {
        var gateways = new Gateways(sa => Gateways.With(sa, local: new(IpAddress.Parse(a), 4500), remote: new(IpAddress.Parse(b), 4500)));
        Assert.Equal(V4Inner, gateways.AToB(V4Inner));
        Assert.Equal(0xB8, gateways.Sent.Tos);
        Assert.Equal(b, gateways.Sent.Path!.Remote.Address.ToString());
        Assert.Equal(V6Inner, gateways.AToB(V6Inner));
        Assert.Equal(0x28, gateways.Sent.Tos);
        var counters = gateways.SaB.Counters;
        Assert.Equal(2ul, counters.PacketsIn);
        Assert.Equal((ulong)(V4Inner.Length + V6Inner.Length), counters.BytesIn);
        Assert.Equal(counters.BytesIn, gateways.SaA.Counters.BytesOut);
        Assert.Equal(Gateways.Now, counters.LastIn);
    }

    [Fact]
    public void Transport_mode_rewrites_the_header_and_the_peer_rebuilds_it()
    {
        var gateways = Transport("192.0.2.1", "192.0.2.2");
        var inner = Packets.V4("192.0.2.1", "192.0.2.2", 17, Packets.Udp(1, 2), tos: 0x20, df: true);
        var esp = gateways.Send(gateways.A, inner)!;
        var header = gateways.HeaderOfSent();
        var delivered = gateways.Deliver(gateways.B, esp, gateways.Sent.Tos);
        Assert.Equal(20, header.Length);
        Assert.Equal(50, header[9]);
        Assert.Equal(20 + gateways.Esp.Length, BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(2)));
        Assert.Equal(0, Packets.SlowChecksum(header));
        Assert.Equal(inner[12..20], header[12..20]);
        Assert.NotNull(delivered);
        Assert.Equal(inner[20..], delivered[20..]);
        Assert.Equal(17, delivered[9]);
        Assert.Equal(0x20, delivered[1]);
        Assert.Equal(0, Packets.SlowChecksum(delivered.AsSpan(0, 20)));
        Assert.Null(gateways.AToB(Packets.V4("192.0.2.1", "192.0.2.2", 17, Packets.Udp(1, 2), more: true)));
        Assert.Equal(PacketDrop.TransportFragment, gateways.Sent.Drop);
    }

    [Fact]
    public void Transport_mode_stands_behind_extension_headers()
    {
        var gateways = Transport("2001:db8::1", "2001:db8::2");
        byte[] payload = [17, 0, 1, 4, 0, 0, 0, 0, .. Packets.Udp(1, 2)];
        var inner = Packets.V6("2001:db8::1", "2001:db8::2", 0, payload);
        gateways.Send(gateways.A, inner);
        var header = gateways.HeaderOfSent();
        Assert.Equal(48, header.Length);
        Assert.Equal(50, header[40]);
        Assert.Equal(8 + gateways.Esp.Length, BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(4)));
        var from = new Endpoint(IpAddress.Parse("2001:db8::1"), 0);
        var buffer = new byte[500];
        gateways.Esp.CopyTo(buffer, 100);
        gateways.B.Inbound(buffer, 100, gateways.Esp.Length, new OuterInfo(new(IpAddress.Parse("2001:db8::2"), 0), from), Gateways.Now, out var result);
        Assert.Equal(PacketDrop.None, result.Drop);
        Assert.Equal(payload[8..], buffer.AsSpan(result.Offset + 40, result.Length - 40).ToArray());
        Assert.Equal(17, buffer[result.Offset + 6]);
    }

    [Fact]
    public void A_replay_is_dropped_and_counted()
    {
        var gateways = new Gateways();
        Assert.NotNull(gateways.AToB(V4Inner));
        Assert.Null(gateways.Deliver(gateways.B, gateways.Esp));
        Assert.Equal(PacketDrop.Replay, gateways.Received.Drop);
        Assert.Equal(1ul, gateways.SaB.Counters.ReplayDrops);
        Assert.Equal(1ul, gateways.B.Drops(PacketDrop.Replay));
        Assert.Equal(1ul, gateways.SaB.Counters.PacketsIn);
    }

    [Fact]
    public void A_forged_high_number_does_not_move_the_window()
    {
        var gateways = new Gateways();
        var old = gateways.Send(gateways.A, V4Inner)!;
        var forged = gateways.Send(gateways.A, V4Inner)!;
        BinaryPrimitives.WriteUInt32BigEndian(forged.AsSpan(4), 0xF0000000);
        Assert.Null(gateways.Deliver(gateways.B, forged));
        Assert.Equal(PacketDrop.Integrity, gateways.Received.Drop);
        Assert.Equal(0ul, gateways.SaB.Inbound.Window.Highest);
        Assert.NotNull(gateways.Deliver(gateways.B, old));
        Assert.Equal(1ul, gateways.SaB.Counters.IntegrityDrops);
    }

    [Fact]
    public void Every_flipped_bit_is_noticed()
    {
        var gateways = new Gateways(encr: EncrId.AesCbc, bits: 128, integ: IntegId.HmacSha256_128);
        var esp = gateways.Send(gateways.A, V4Inner)!;
        for (var bit = 32; bit < esp.Length * 8; bit++)
        {
            var changed = (byte[])esp.Clone();
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Null(gateways.Deliver(gateways.B, changed));
        }

        Assert.NotNull(gateways.Deliver(gateways.B, esp));
    }

    [Theory]
    [InlineData(0x0000_0000_FFFF_FFF0UL)]
    [InlineData(0x0000_0007_FFFF_FFF0UL)]
    public void Extended_numbers_cross_2_to_the_32_in_both_directions(ulong start)
    {
        var gateways = new Gateways(sa => Gateways.With(sa, esn: true));
        gateways.SaA.Outbound.StartAt(start);
        gateways.SaB.Inbound.Window.StartAt(start);
        gateways.SaB.Outbound.StartAt(start);
        gateways.SaA.Inbound.Window.StartAt(start);
        var late = gateways.Send(gateways.A, V4Inner)!;
        for (var i = 0; i < 40; i++)
        {
            Assert.Equal(V4Inner, gateways.AToB(V4Inner));
            var back = Packets.V4("10.2.0.1", "10.1.0.1", 17, Packets.Udp(1, 2));
            Assert.Equal(back, gateways.BToA(back));
        }

        Assert.Equal(start + 41, gateways.SaA.Outbound.Sequence);
        Assert.Equal(start + 41, gateways.SaB.Inbound.Window.Highest);
        // from before the border, still inside the window
        Assert.Equal(V4Inner, gateways.Deliver(gateways.B, late));
        Assert.Null(gateways.Deliver(gateways.B, late));
    }

    [Fact]
    public void Numbers_never_wrap()
    {
        var gateways = new Gateways();
        gateways.SaA.Outbound.StartAt(uint.MaxValue - (1u << 28) - 2);
        Assert.NotNull(gateways.Send(gateways.A, V4Inner));
        Assert.Equal([new DataPlaneEvent.SoftLimit(Gateways.PairId)], Gateways.Events(gateways.A));
        Assert.NotNull(gateways.Send(gateways.A, V4Inner));
        gateways.SaA.Outbound.StartAt(uint.MaxValue - 2);
        Assert.NotNull(gateways.Send(gateways.A, V4Inner));
        Assert.Null(gateways.Send(gateways.A, V4Inner));
        Assert.Equal(PacketDrop.SequenceOverflow, gateways.Sent.Drop);
        Assert.Equal([new DataPlaneEvent.HardLimit(Gateways.PairId)], Gateways.Events(gateways.A));
        Assert.Null(gateways.Send(gateways.A, V4Inner));
        Assert.Empty(Gateways.Events(gateways.A));
        Assert.False(gateways.SaA.CarriesOutbound);
        using var extended = new EspOutbound(new(0x1000), true, new VisibleCipher());
        extended.StartAt(ulong.MaxValue - 1);
        Assert.Equal(PacketDrop.SequenceOverflow, extended.SealTunnel(new byte[200], 100, 20, 4, out _));
    }

    [Fact]
    public void Soft_and_hard_limits_are_told_once()
    {
        var gateways = new Gateways(sa => Gateways.With(sa, softPackets: 2, hardPackets: 3));
        Assert.NotNull(gateways.AToB(V4Inner));
        Assert.Empty(Gateways.Events(gateways.A));
        Assert.NotNull(gateways.AToB(V4Inner));
        Assert.Equal([new DataPlaneEvent.SoftLimit(Gateways.PairId)], Gateways.Events(gateways.A));
        Assert.Equal([new DataPlaneEvent.SoftLimit(Gateways.PairId)], Gateways.Events(gateways.B));
        Assert.NotNull(gateways.AToB(V4Inner));
        Assert.Null(gateways.AToB(V4Inner));
        Assert.Equal(PacketDrop.HardLimit, gateways.Sent.Drop);
        Assert.Equal([new DataPlaneEvent.HardLimit(Gateways.PairId)], Gateways.Events(gateways.A));
        gateways = new Gateways(sa => Gateways.With(sa, hardBytes: (ulong)V4Inner.Length + 10));
        Assert.NotNull(gateways.AToB(V4Inner));
        Assert.Null(gateways.AToB(V4Inner));
    }

    [Fact]
    public void Dummies_TFC_padding_and_bad_trailers()
    {
        var gateways = new Gateways();
        var buffer = new byte[600];
        Assert.Equal(PacketDrop.None, ((EspOutbound)gateways.SaA.Outbound).SealDummy(buffer, 100, 100, out var packet));
        Assert.Null(gateways.Deliver(gateways.B, buffer.AsSpan(packet.Offset, packet.Length).ToArray()));
        Assert.Equal(PacketDrop.Dummy, gateways.Received.Drop);
        Assert.Equal(1ul, gateways.B.Drops(PacketDrop.Dummy));

        V4Inner.CopyTo(buffer, 100);
        ((EspOutbound)gateways.SaA.Outbound).SealTunnel(buffer, 100, V4Inner.Length + 133, 4, out packet);
        Assert.Equal(V4Inner, gateways.Deliver(gateways.B, buffer.AsSpan(packet.Offset, packet.Length).ToArray(), tos: 0xB8));

        // version and next header disagree
        V4Inner.CopyTo(buffer, 100);
        ((EspOutbound)gateways.SaA.Outbound).SealTunnel(buffer, 100, V4Inner.Length, 41, out packet);
        Assert.Null(gateways.Deliver(gateways.B, buffer.AsSpan(packet.Offset, packet.Length).ToArray()));
        Assert.Equal(PacketDrop.BadInner, gateways.Received.Drop);
        ((EspOutbound)gateways.SaA.Outbound).SealTunnel(buffer, 100, V4Inner.Length, 17, out packet);
        Assert.Null(gateways.Deliver(gateways.B, buffer.AsSpan(packet.Offset, packet.Length).ToArray()));
        Assert.Equal(PacketDrop.BadNextHeader, gateways.Received.Drop);
    }

    [Theory]
    [InlineData(new byte[] { 1, 2, 4, 3, 4 })]
    [InlineData(new byte[] { 0, 0, 0, 200, 4 })]
    [InlineData(new byte[] { 9, 1, 4 })]
    public void Padding_is_checked_after_the_ICV(byte[] tail)
    {
        using var inbound = new EspInbound(new VisibleCipher(), new ReplayWindow(64, false), false);
        byte[] esp = [0, 0, 0x10, 0, 0, 0, 0, 1, .. new byte[8], .. tail, .. Enumerable.Repeat((byte)0xCC, 16)];
        Assert.Equal(PacketDrop.BadPadding, inbound.Open(esp, out _, out _, out _));
    }

    [Fact]
    public void Short_packets_and_unknown_SPIs_are_counted()
    {
        var gateways = new Gateways();
        for (var length = 0; length < 64; length++)
        {
            var esp = new byte[length];
            if (length >= 4) BinaryPrimitives.WriteUInt32BigEndian(esp, 0x1001);
            Assert.Null(gateways.Deliver(gateways.B, esp));
        }

        Assert.Equal(8ul + 10 + 16, gateways.B.Drops(PacketDrop.TooShort) + 0);
        for (var i = 0; i < 100; i++) gateways.Deliver(gateways.B, [0xDE, 0xAD, 0xBE, 0xEF, 0, 0, 0, 1]);
        Assert.Equal(100ul, gateways.B.Drops(PacketDrop.UnknownSpi));
        var events = Gateways.Events(gateways.B);
        Assert.Equal(10, events.Count);
        Assert.Equal(new DataPlaneEvent.UnknownSpi(new(0xDEADBEEF), Gateways.OuterB, Gateways.OuterA), events[0]);
    }

    [Fact]
    public void Only_an_authentic_newest_packet_tells_of_a_move()
    {
        var gateways = new Gateways(sa => Gateways.With(sa, behindNat: true));
        var elsewhere = new Endpoint(IpAddress.Parse("198.51.100.9"), 1024);
        var old = gateways.Send(gateways.A, V4Inner)!;
        var forged = gateways.Send(gateways.A, V4Inner)!;
        var good = (byte[])forged.Clone();
        forged[^1] ^= 1;
        gateways.Deliver(gateways.B, forged, from: elsewhere);
        Assert.Empty(Gateways.Events(gateways.B));
        Assert.NotNull(gateways.Deliver(gateways.B, good));
        Assert.NotNull(gateways.Deliver(gateways.B, old, from: elsewhere));
        Assert.Empty(Gateways.Events(gateways.B));
        Assert.NotNull(gateways.Deliver(gateways.B, gateways.Send(gateways.A, V4Inner)!, from: elsewhere));
        Assert.Equal([new DataPlaneEvent.PeerMoved(Gateways.PairId, elsewhere)], Gateways.Events(gateways.B));
        Assert.NotNull(gateways.Deliver(gateways.B, gateways.Send(gateways.A, V4Inner)!, from: elsewhere));
        Assert.Empty(Gateways.Events(gateways.B));
        gateways.B.Move(Gateways.PairId, Gateways.OuterB, elsewhere, true, false);
        Assert.Equal(elsewhere, gateways.SaB.Path.Remote);
    }

    [Fact]
    public void A_removed_pair_carries_nothing_and_its_keys_are_gone()
    {
        var gateways = new Gateways();
        var sa = gateways.SaA;
        gateways.A.Remove(Gateways.PairId);
        Assert.True(sa.Child.OutboundEncrKey.IsDisposed);
        var buffer = new byte[300];
        V4Inner.CopyTo(buffer, 100);
        gateways.A.ProtectFragment(sa, buffer, 100, V4Inner.Length, Gateways.Now, out var result);
        Assert.Equal(PacketDrop.SaGone, result.Drop);
        Assert.Null(gateways.Send(gateways.A, V4Inner));
        Assert.Equal(PacketDrop.NoPolicy, gateways.Sent.Drop);
        gateways.A.Remove(Gateways.PairId);
    }

    private static Gateways Transport(string a, string b) => new(sa => Gateways.With(sa, IpsecMode.Transport, udp: false,
        local: new(IpAddress.Parse(a), 0), remote: new(IpAddress.Parse(b), 0),
        localSelectors: [TrafficSelector.Of(IpAddress.Parse(a))], remoteSelectors: [TrafficSelector.Of(IpAddress.Parse(b))]));

    /// <summary>No cipher: IV = counter, payload in clear, ICV = 16 octets of 0xCC.</summary>
    private sealed class VisibleCipher : PacketCipher
    {
        public VisibleCipher() => (IvLength, BlockLength, IcvLength) = (8, 1, 16);

        public override void Seal(Span<byte> packet, int headerLength, ulong counter, uint? sequenceHigh = null)
        {
            BinaryPrimitives.WriteUInt64BigEndian(packet[headerLength..], counter);
            packet[^16..].Fill(0xCC);
        }

        public override bool Open(Span<byte> packet, int headerLength, uint? sequenceHigh = null) => packet[^1] == 0xCC;

        public override void Dispose()
        {
        }
    }
}
