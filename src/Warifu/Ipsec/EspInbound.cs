using System;
using System.Buffers.Binary;
using Warifu.Crypto;

namespace Warifu.Ipsec;

/// <summary>Opens packets (RFC 4303 section 3.4), in place: replay check, ICV, replay commit, decryption, trailer. Not thread-safe: <see cref="IpsecSa"/> has the gate.</summary>
internal sealed class EspInbound(PacketCipher cipher, ReplayWindow window, bool esn) : SaInbound(window, esn)
{
    /// <summary>Opens <paramref name="esp"/> (SPI to ICV).</summary>
    /// <param name="esp">Decrypted in place.</param>
    /// <param name="payload">What was inside: offset and length in <paramref name="esp"/>, padding and trailer off.</param>
    /// <param name="nextHeader">Of the trailer.</param>
    /// <param name="newest">Authentic and the highest number so far: only such a packet may move the peer's address (RFC 7296 section 2.23).</param>
    /// <remarks>Of the answers only <see cref="PacketDrop.BadPadding"/> and <see cref="PacketDrop.Dummy"/> stand for authentic packets that are dropped.</remarks>
    public PacketDrop Open(Span<byte> esp, out Range payload, out byte nextHeader, out bool newest)
    {
        payload = default;
        nextHeader = 0;
        newest = false;
        if (esp.Length < EspOverhead.HeaderLength + cipher.IvLength + 2 + cipher.IcvLength) return PacketDrop.TooShort;
        var sequence = Window.Infer(BinaryPrimitives.ReadUInt32BigEndian(esp[4..]));
        if (!Window.Check(sequence)) return PacketDrop.Replay;
        var highest = Window.Highest;
        if (!cipher.Open(esp, EspOverhead.HeaderLength, HighHalf(sequence))) return PacketDrop.Integrity;
        if (!Window.Commit(sequence)) return PacketDrop.Replay;
        newest = sequence > highest;

        var start = EspOverhead.HeaderLength + cipher.IvLength;
        var end = esp.Length - cipher.IcvLength;
        var plain = esp[start..end];
        nextHeader = plain[^1];
        int padding = plain[^2];
        if (padding > plain.Length - 2) return PacketDrop.BadPadding;
        var pad = plain.Slice(plain.Length - 2 - padding, padding);
        for (var i = 0; i < pad.Length; i++)
        {
            // RFC 4303 section 2.4: 1, 2, 3, … The ICV was good, so that this tells an attacker nothing (no padding oracle).
            if (pad[i] != (byte)(i + 1)) return PacketDrop.BadPadding;
        }

        if (nextHeader == IpHeader.NoNextHeader) return PacketDrop.Dummy;
        payload = start..(end - 2 - padding);
        return PacketDrop.None;
    }

    public override void Dispose() => cipher.Dispose();
}
