using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Crypto;
using Warifu.Ipsec;
using Warifu.Primitives;

namespace Warifu.Tests.Ipsec;

/// <summary>Two packet paths with one pair of AH SAs between them; whole IP packets go over the wire.</summary>
internal sealed class AhWorld
{
    public const uint PairId = 9;
    private const int Room = 200;

    private readonly byte[] _wire = new byte[70_000];

    public AhWorld(IntegId integ, bool v6 = false, IpsecMode mode = IpsecMode.Tunnel, bool esn = false, int window = 64, uint spi = 0x1000, ChildOptions? options = null, bool everything = false)
    {
        Integ = integ;
        Key = [.. Enumerable.Range(0, Algorithms.KeyLength(integ)).Select(i => (byte)((i * 7) + 3))];
        var (a, b) = v6 ? ("2001:db8::1", "2001:db8::2") : ("192.0.2.1", "192.0.2.2");
        A.Install(Child(a, b, near: "1", far: "2", spi + 1, spi));
        B.Install(Child(b, a, near: "2", far: "1", spi, spi + 1));

        ChildSa Child(string own, string peer, string near, string far, uint inbound, uint outbound) => new()
        {
            Id = PairId,
            IkeId = 1,
            Connection = "c",
            Name = "child",
            Protocol = ProtocolId.Ah,
            Mode = mode,
            InboundSpi = new(inbound),
            OutboundSpi = new(outbound),
            Encr = EncrId.None,
            Integ = integ,
            Esn = esn,
            InboundEncrKey = new Secret(0),
            InboundIntegKey = new Secret([.. Key]),
            OutboundEncrKey = new Secret(0),
            OutboundIntegKey = new Secret([.. Key]),
            Local = new(IpAddress.Parse(own), 0),
            Remote = new(IpAddress.Parse(peer), 0),
            LocalSelectors = everything ? [Gateways.Selector("0.0.0.0/0"), Gateways.Selector("::/0")] : mode == IpsecMode.Tunnel ? [Gateways.Selector($"10.{near}.0.0/16"), Gateways.Selector($"fd0{near}::/16")] : [TrafficSelector.Of(IpAddress.Parse(own))],
            RemoteSelectors = everything ? [Gateways.Selector("0.0.0.0/0"), Gateways.Selector("::/0")] : mode == IpsecMode.Tunnel ? [Gateways.Selector($"10.{far}.0.0/16"), Gateways.Selector($"fd0{far}::/16")] : [TrafficSelector.Of(IpAddress.Parse(peer))],
            ReplayWindow = window,
            Options = options ?? new ChildOptions(),
        };
    }

    public IntegId Integ { get; }

    public byte[] Key { get; }

    public PacketPath A { get; } = new(new CountingEntropy());

    public PacketPath B { get; } = new(new CountingEntropy());

    public IpsecSa SaA => A.Sad.ById(PairId)!;

    public IpsecSa SaB => B.Sad.ById(PairId)!;

    public OutboundResult Sent { get; private set; }

    public InboundResult Received { get; private set; }

    /// <summary>The IP packet that goes over the wire; null when it is not sent.</summary>
    public byte[]? Send(PacketPath path, byte[] inner)
    {
        inner.CopyTo(_wire, Room);
        path.Outbound(_wire, Room, inner.Length, null, Gateways.Now, default, out var result);
        Sent = result;
        return result.Verdict == OutboundVerdict.Protect ? _wire.AsSpan(result.Packet.Offset, result.Packet.Length).ToArray() : null;
    }

    public byte[]? Deliver(PacketPath path, byte[] packet)
    {
        packet.CopyTo(_wire, Room);
        path.InboundAh(_wire, Room, packet.Length, Gateways.Now, out var result);
        Received = result;
        return result.Drop == PacketDrop.None ? _wire.AsSpan(result.Offset, result.Length).ToArray() : null;
    }

    /// <summary>The ICV by another way: the platform's algorithms over what the caller says is covered.</summary>
    public byte[] Icv(byte[] covered, uint? sequenceHigh, byte[] iv) => Icv(Integ, Key, sequenceHigh is { } high ? [.. covered, (byte)(high >> 24), (byte)(high >> 16), (byte)(high >> 8), (byte)high] : covered, iv);

    private static byte[] Icv(IntegId integ, byte[] key, byte[] data, byte[] iv)
    {
#pragma warning disable CA5350, CA5351
        return integ switch
        {
            IntegId.HmacMd5_96 => HMACMD5.HashData(key, data)[..12],
            IntegId.HmacSha1_96 => HMACSHA1.HashData(key, data)[..12],
            IntegId.HmacSha256_128 => HMACSHA256.HashData(key, data)[..16],
            IntegId.HmacSha384_192 => HMACSHA384.HashData(key, data)[..24],
            IntegId.HmacSha512_256 => HMACSHA512.HashData(key, data)[..32],
            IntegId.AesXcbc96 => Xcbc(key, data)[..12],
            IntegId.AesCmac96 => Cmac(key, data)[..12],
            _ => Gmac(key, data, iv),
        };
#pragma warning restore CA5350, CA5351
    }

    private static byte[] Gmac(byte[] key, byte[] data, byte[] iv)
    {
        using var gcm = new AesGcm(key.AsSpan(..^4), 16);
        var tag = new byte[16];
        byte[] nonce = [.. key[^4..], .. iv];
        gcm.Encrypt(nonce, Array.Empty<byte>(), Array.Empty<byte>(), tag, data);
        return [.. iv, .. tag];
    }

    /// <summary>RFC 3566 section 4, block by block.</summary>
    private static byte[] Xcbc(byte[] key, byte[] data)
    {
        using var aes = Aes.Create();
        aes.Key = key;
        byte[] Derive(byte value) => aes.EncryptEcb(Enumerable.Repeat(value, 16).ToArray(), PaddingMode.None);
        var (k1, k2, k3) = (Derive(1), Derive(2), Derive(3));
        return CbcMac(k1, data, k2, k3);
    }

    /// <summary>RFC 4493 section 2.4.</summary>
    private static byte[] Cmac(byte[] key, byte[] data)
    {
        using var aes = Aes.Create();
        aes.Key = key;
        var k1 = Twice(aes.EncryptEcb(new byte[16], PaddingMode.None));
        return CbcMac(key, data, k1, Twice(k1));
    }

    private static byte[] Twice(byte[] block)
    {
        var value = BinaryPrimitives.ReadUInt128BigEndian(block);
        var doubled = new byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(doubled, (value << 1) ^ (value >> 127 == 0 ? 0u : 0x87u));
        return doubled;
    }

    private static byte[] CbcMac(byte[] key, byte[] data, byte[] whole, byte[] padded)
    {
        using var aes = Aes.Create();
        aes.Key = key;
        var full = data.Length > 0 && data.Length % 16 == 0;
        byte[] message = full ? data : [.. data, 0x80, .. new byte[15 - (data.Length % 16)]];
        var mask = full ? whole : padded;
        var state = new byte[16];
        for (var at = 0; at < message.Length; at += 16)
        {
            for (var i = 0; i < 16; i++) state[i] ^= (byte)(message[at + i] ^ (at + 16 == message.Length ? mask[i] : 0));
            state = aes.EncryptEcb(state, PaddingMode.None);
        }

        return state;
    }

    /// <summary>Where AH is in a packet.</summary>
    public static int AhOffset(byte[] packet)
    {
        if (packet[0] >> 4 == 4) return (packet[0] & 15) * 4;
        var (next, at) = (packet[6], 40);
        while (next != 51) (next, at) = (packet[at], at + 8 + (packet[at + 1] * 8));
        return at;
    }

    /// <summary>The packet without AH, as it was before or is behind it.</summary>
    public static byte[] WithoutAh(byte[] packet)
    {
        var at = AhOffset(packet);
        var length = (packet[at + 1] + 2) * 4;
        var next = packet[at];
        var result = packet.Take(at).Concat(packet.Skip(at + length)).ToArray();
        if (packet[0] >> 4 == 4)
        {
            result[9] = next;
            BinaryPrimitives.WriteUInt16BigEndian(result.AsSpan(2), (ushort)result.Length);
            (result[10], result[11]) = (0, 0);
            BinaryPrimitives.WriteUInt16BigEndian(result.AsSpan(10), Packets.SlowChecksum(result.AsSpan(0, at)));
            return result;
        }

        BinaryPrimitives.WriteUInt16BigEndian(result.AsSpan(4), (ushort)(result.Length - 40));
        var (named, where, header) = (result[6], 6, 40);
        while (named != 51) (named, where, header) = (result[header], header, header + 8 + (result[header + 1] * 8));
        result[where] = next;
        return result;
    }

    public static IEnumerable<IntegId> EveryAlgorithm => Algorithms.Integ.Keys.Concat(Algorithms.Gmac.Keys).Order();
}
