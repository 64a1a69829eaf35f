using System;
using System.Buffers.Binary;
using Warifu.Crypto;
using Warifu.Primitives;

namespace Warifu.Ipsec;

/// <summary>Seals packets (RFC 4303 section 3.3), in place. Not thread-safe: <see cref="IpsecSa"/> has the gate.</summary>
internal sealed class EspOutbound(ChildSpi spi, bool esn, PacketCipher cipher, bool cycles = false) : SaOutbound(esn, cycles)
{
    private readonly int _alignment = EspOverhead.Alignment(cipher);

    public PacketCipher Cipher => cipher;

    public override int MaxPayload(int pathMtu, int ipLength, bool outerV6, bool udp) => EspOverhead.MaxPayload(pathMtu, ipLength, udp, cipher);

    /// <summary>Wraps a whole IP packet (tunnel mode).</summary>
    public PacketDrop SealTunnel(Span<byte> buffer, int offset, int length, byte nextHeader, out SealedPacket packet) => Seal(buffer, offset, length, nextHeader, 0, out packet);

    /// <summary>Puts ESP between IP header and payload (transport mode). The header in front is moved and rewritten.</summary>
    public PacketDrop SealTransport(Span<byte> buffer, int offset, in IpHeader header, out SealedPacket packet)
    {
        packet = default;
        if (header.IsFragment) return PacketDrop.TransportFragment;
        var protocol = buffer[offset + header.NextHeaderOffset];
        var drop = Seal(buffer, offset + header.EspOffset, header.TotalLength - header.EspOffset, protocol, header.EspOffset, out packet);
        if (drop != PacketDrop.None) return drop;
        var moved = buffer.Slice(packet.Offset - header.EspOffset, header.EspOffset);
        moved[header.NextHeaderOffset] = IpHeader.Esp;
        if (header.Version == 4)
        {
            BinaryPrimitives.WriteUInt16BigEndian(moved[2..], (ushort)(header.EspOffset + packet.Length));
            IpHeader.WriteV4Checksum(moved);
        }
        else
        {
            BinaryPrimitives.WriteUInt16BigEndian(moved[4..], (ushort)(header.EspOffset - 40 + packet.Length));
        }

        return PacketDrop.None;
    }

    /// <summary>A dummy packet (RFC 4303 section 2.6): next header 59, to be thrown away by the peer.</summary>
    public PacketDrop SealDummy(Span<byte> buffer, int offset, int length, out SealedPacket packet)
    {
        buffer.Slice(offset, length).Clear();
        return Seal(buffer, offset, length, IpHeader.NoNextHeader, 0, out packet);
    }

    public override void Dispose() => cipher.Dispose();

    private PacketDrop Seal(Span<byte> buffer, int offset, int length, byte nextHeader, int headerLength, out SealedPacket packet)
    {
        packet = default;
        if (Exhausted) return PacketDrop.SequenceOverflow;
        var padding = EspOverhead.Padding(length, _alignment);
        var start = offset - cipher.IvLength - EspOverhead.HeaderLength;
        var end = offset + length + padding + 2 + cipher.IcvLength;
        if (start < headerLength || end > buffer.Length || end - start + headerLength > ushort.MaxValue) return PacketDrop.NoRoom;
        // The IP header of transport mode lies where ESP's own header goes: it moves out of the way first.
        if (headerLength != 0) buffer.Slice(offset - headerLength, headerLength).CopyTo(buffer[(start - headerLength)..]);
        var esp = buffer[start..end];
        var sequence = NextSequence();
        BinaryPrimitives.WriteUInt32BigEndian(esp, spi.Value);
        BinaryPrimitives.WriteUInt32BigEndian(esp[4..], (uint)sequence);
        var trailer = buffer.Slice(offset + length, padding + 2);
        for (var i = 0; i < padding; i++) trailer[i] = (byte)(i + 1);
        trailer[padding] = (byte)padding;
        trailer[padding + 1] = nextHeader;
        cipher.Seal(esp, EspOverhead.HeaderLength, sequence, HighHalf(sequence));
        packet = new SealedPacket(start, esp.Length, headerLength);
        return PacketDrop.None;
    }
}
