using System;
using System.Buffers.Binary;
using Warifu.Crypto;
using Warifu.Primitives;

namespace Warifu.Ipsec;

/// <summary>What goes into the outer header of tunnel mode.</summary>
internal readonly record struct OuterHeader(IpAddress Source, IpAddress Target, byte Tos, bool DontFragment);

/// <summary>Puts AH into packets (RFC 4302 section 3.3), in place. The IP header before it is part of the work, since the ICV covers it.</summary>
internal sealed class AhOutbound(ChildSpi spi, bool esn, PacketMac mac, ushort firstIdentification, bool cycles = false) : SaOutbound(esn, cycles)
{
    private const byte HopLimit = 64;

    private ushort _identification = firstIdentification;

    public override int MaxPayload(int pathMtu, int ipLength, bool outerV6, bool udp) => Math.Max(pathMtu - ipLength - AhOverhead.Length(mac.FieldLength, outerV6), 0);

    /// <summary>Wraps a whole IP packet (tunnel mode).</summary>
    public PacketDrop SealTunnel(Span<byte> buffer, int offset, int length, byte nextHeader, in OuterHeader outer, out SealedPacket packet)
    {
        packet = default;
        var v6 = outer.Target.IsV6;
        if (outer.Source.Version != outer.Target.Version) return PacketDrop.BadSource;
        var ipLength = EspOverhead.OuterIpLength(v6);
        var ahLength = AhOverhead.Length(mac.FieldLength, v6);
        var start = offset - ahLength - ipLength;
        var total = offset + length - start;
        if (start < 0 || offset + length > buffer.Length || (v6 ? total - 40 : total) > ushort.MaxValue) return PacketDrop.NoRoom;
        var front = buffer.Slice(start, ipLength);
        if (v6) IpHeader.WriteV6(front, total - 40, outer.Tos, HopLimit, IpHeader.Ah, outer.Source, outer.Target);
        else IpHeader.WriteV4(front, total, outer.Tos, NextIdentification(), outer.DontFragment, HopLimit, IpHeader.Ah, outer.Source, outer.Target);
        packet = new SealedPacket(start, total, ipLength);
        return Seal(buffer.Slice(start, total), ipLength, ahLength, nextHeader);
    }

    /// <summary>Puts AH between IP header and payload (transport mode): behind hop-by-hop, routing and the first destination options (section 3.1.1).</summary>
    public PacketDrop SealTransport(Span<byte> buffer, int offset, in IpHeader header, out SealedPacket packet)
    {
        packet = default;
        if (header.IsFragment) return PacketDrop.TransportFragment;
        var v6 = header.Version == 6;
        if (header.FragmentHeaderOffset != 0)
        {
            // appendix A2: a fragment header of a packet that is no fragment goes away before anything is computed
            AhCoverage.RemoveFragmentHeader(buffer.Slice(offset, header.TotalLength), header);
            return IpHeader.TryParse(buffer.Slice(offset + 8, header.TotalLength - 8), out var without) ? SealTransport(buffer, offset + 8, without, out packet) : PacketDrop.Malformed;
        }

        var ahLength = AhOverhead.Length(mac.FieldLength, v6);
        var start = offset - ahLength;
        var total = header.TotalLength + ahLength;
        if (start < 0 || offset + header.TotalLength > buffer.Length || (v6 ? total - 40 : total) > ushort.MaxValue) return PacketDrop.NoRoom;
        var protocol = buffer[offset + header.NextHeaderOffset];
        buffer.Slice(offset, header.EspOffset).CopyTo(buffer[start..]);
        var moved = buffer.Slice(start, header.EspOffset);
        moved[header.NextHeaderOffset] = IpHeader.Ah;
        if (v6)
        {
            BinaryPrimitives.WriteUInt16BigEndian(moved[4..], (ushort)(total - 40));
        }
        else
        {
            BinaryPrimitives.WriteUInt16BigEndian(moved[2..], (ushort)total);
            // the kernel would fill in one of its own
            if (BinaryPrimitives.ReadUInt16BigEndian(moved[4..]) == 0) BinaryPrimitives.WriteUInt16BigEndian(moved[4..], NextIdentification());
            IpHeader.WriteV4Checksum(moved);
        }

        packet = new SealedPacket(start, total, header.EspOffset);
        return Seal(buffer.Slice(start, total), header.EspOffset, ahLength, protocol);
    }

    public override void Dispose() => mac.Dispose();

    /// <param name="packet">The whole packet, its headers final.</param>
    /// <param name="at">Where AH goes.</param>
    /// <param name="length">Octets of AH.</param>
    /// <param name="nextHeader">What stands behind it.</param>
    private PacketDrop Seal(Span<byte> packet, int at, int length, byte nextHeader)
    {
        if (Exhausted) return PacketDrop.SequenceOverflow;
        if (at > AhOverhead.MostHeaders) return PacketDrop.Malformed;
        Span<byte> headers = stackalloc byte[at];
        packet[..at].CopyTo(headers);
        if (!AhCoverage.TryPrepare(packet[..at])) return PacketDrop.Malformed;
        var sequence = NextSequence();
        var ah = packet.Slice(at, length);
        ah.Clear();
        ah[0] = nextHeader;
        ah[1] = (byte)((length / 4) - 2);
        BinaryPrimitives.WriteUInt32BigEndian(ah[4..], spi.Value);
        BinaryPrimitives.WriteUInt32BigEndian(ah[8..], (uint)sequence);
        mac.Seal(packet, at + AhOverhead.FixedLength, sequence, HighHalf(sequence));
        headers.CopyTo(packet);
        return PacketDrop.None;
    }

    private ushort NextIdentification()
    {
        _identification++;
        if (_identification == 0) _identification = 1;
        return _identification;
    }
}

/// <summary>How much larger AH makes a packet (RFC 4302 section 2).</summary>
internal static class AhOverhead
{
    /// <summary>Next header, length, reserved, SPI, sequence number.</summary>
    public const int FixedLength = 12;

    /// <summary>Octets of headers before AH; more would not fit into the first fragment of a smallest path (RFC 7112).</summary>
    public const int MostHeaders = 1280;

    /// <summary>Octets of AH with an ICV of <paramref name="icv"/>: a multiple of 4, for IPv6 of 8 (section 3.3.3.2.1).</summary>
    public static int Length(int icv, bool v6) => v6 ? (FixedLength + icv + 7) & ~7 : (FixedLength + icv + 3) & ~3;
}
