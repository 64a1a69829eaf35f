using System;
using System.Buffers.Binary;
using Warifu.Crypto;
using Warifu.Primitives;

namespace Warifu.Ipsec;

/// <summary>An ESP packet inside the caller's buffer.</summary>
/// <param name="Offset">Where the SPI is.</param>
/// <param name="Length">SPI to ICV.</param>
/// <param name="HeaderLength">Transport mode: octets of IP header, options and extension headers right before <paramref name="Offset"/>, already changed to announce ESP (protocol, lengths, checksum). Tunnel mode: 0.</param>
internal readonly record struct EspPacket(int Offset, int Length, int HeaderLength);

/// <summary>Seals packets (RFC 4303 section 3.3), in place. Not thread-safe: <see cref="IpsecSa"/> has the gate.</summary>
internal sealed class EspOutbound : IDisposable
{
    /// <summary>Numbers that are left when the soft limit is raised: at a million packets per second still four minutes with 32 bits.</summary>
    private const ulong SoftDistance = 1UL << 28;

    private readonly PacketCipher _cipher;
    private readonly uint _spi;
    private readonly bool _esn;
    private readonly int _alignment;
    private readonly ulong _lastSequence;

    public EspOutbound(ChildSpi spi, bool esn, PacketCipher cipher)
    {
        _spi = spi.Value;
        _esn = esn;
        _cipher = cipher;
        _alignment = EspOverhead.Alignment(cipher);
        // RFC 4303 section 3.3.3: never cycles; the last value is never used, so that counting on never wraps
        _lastSequence = (esn ? ulong.MaxValue : uint.MaxValue) - 1;
    }

    public PacketCipher Cipher => _cipher;

    /// <summary>The last number used; the first packet has 1.</summary>
    public ulong Sequence { get; private set; }

    public bool SoftSequence => Sequence >= _lastSequence - SoftDistance;

    public bool Exhausted => Sequence >= _lastSequence;

    internal void StartAt(ulong lastUsed) => Sequence = lastUsed;

    /// <summary>Wraps a whole IP packet (tunnel mode).</summary>
    public PacketDrop SealTunnel(Span<byte> buffer, int offset, int length, byte nextHeader, out EspPacket packet) => Seal(buffer, offset, length, nextHeader, 0, out packet);

    /// <summary>Puts ESP between IP header and payload (transport mode). The header in front is moved and rewritten.</summary>
    public PacketDrop SealTransport(Span<byte> buffer, int offset, in IpHeader header, out EspPacket packet)
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
    public PacketDrop SealDummy(Span<byte> buffer, int offset, int length, out EspPacket packet)
    {
        buffer.Slice(offset, length).Clear();
        return Seal(buffer, offset, length, IpHeader.NoNextHeader, 0, out packet);
    }

    public void Dispose() => _cipher.Dispose();

    private PacketDrop Seal(Span<byte> buffer, int offset, int length, byte nextHeader, int headerLength, out EspPacket packet)
    {
        packet = default;
        if (Exhausted) return PacketDrop.SequenceOverflow;
        var padding = EspOverhead.Padding(length, _alignment);
        var start = offset - _cipher.IvLength - EspOverhead.HeaderLength;
        var end = offset + length + padding + 2 + _cipher.IcvLength;
        if (start < headerLength || end > buffer.Length || end - start + headerLength > ushort.MaxValue) return PacketDrop.NoRoom;
        // The IP header of transport mode lies where ESP's own header goes: it moves out of the way first.
        if (headerLength != 0) buffer.Slice(offset - headerLength, headerLength).CopyTo(buffer[(start - headerLength)..]);
        var esp = buffer[start..end];
        var sequence = ++Sequence;
        BinaryPrimitives.WriteUInt32BigEndian(esp, _spi);
        BinaryPrimitives.WriteUInt32BigEndian(esp[4..], (uint)sequence);
        var trailer = buffer.Slice(offset + length, padding + 2);
        for (var i = 0; i < padding; i++) trailer[i] = (byte)(i + 1);
        trailer[padding] = (byte)padding;
        trailer[padding + 1] = nextHeader;
        _cipher.Seal(esp, EspOverhead.HeaderLength, sequence, _esn ? (uint)(sequence >> 32) : null);
        packet = new EspPacket(start, esp.Length, headerLength);
        return PacketDrop.None;
    }
}
