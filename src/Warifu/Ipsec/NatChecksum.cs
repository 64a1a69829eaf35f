using System;
using System.Buffers.Binary;
using Warifu.Primitives;

namespace Warifu.Ipsec;

/// <summary>Transport mode behind a NAT: the checksums of TCP and UDP cover addresses that the NAT has changed, and the NAT cannot see them (RFC 3948 section 3.1.2).</summary>
internal static class NatChecksum
{
    /// <summary>Replaces the peer's addresses by those of the packet in its checksum. Nothing is verified: a wrong checksum stays wrong by as much.</summary>
    /// <param name="packet">With its IP header.</param>
    /// <param name="header">That header.</param>
    /// <param name="source">The source address as the peer knows it; none = the same.</param>
    /// <param name="destination">The destination as the peer knows it.</param>
    public static void Repair(Span<byte> packet, in IpHeader header, IpAddress source, IpAddress destination)
    {
        var at = header.Flow.Protocol switch { IpHeader.Tcp => header.UpperOffset + 16, IpHeader.Udp => header.UpperOffset + 6, _ => 0 };
        if (at == 0 || header.FragmentOffset != 0 || header.TotalLength < at + 2) return;
        var field = packet.Slice(at, 2);
        var checksum = BinaryPrimitives.ReadUInt16BigEndian(field);
        var isUdp = header.Flow.Protocol == IpHeader.Udp;
        // no checksum (RFC 768)
        if (isUdp && checksum == 0) return;
        checksum = Replace(checksum, source, header.Flow.Source);
        checksum = Replace(checksum, destination, header.Flow.Destination);
        BinaryPrimitives.WriteUInt16BigEndian(field, isUdp && checksum == 0 ? ushort.MaxValue : checksum);
    }

    private static ushort Replace(ushort checksum, IpAddress before, IpAddress after)
    {
        if (before.Version != after.Version || before == after) return checksum;
        Span<byte> old = stackalloc byte[16];
        Span<byte> now = stackalloc byte[16];
        before.Write(old);
        after.Write(now);
        for (var i = 0; i < after.Length; i += 2) checksum = InternetChecksum.Update(checksum, BinaryPrimitives.ReadUInt16BigEndian(old[i..]), BinaryPrimitives.ReadUInt16BigEndian(now[i..]));
        return checksum;
    }
}
