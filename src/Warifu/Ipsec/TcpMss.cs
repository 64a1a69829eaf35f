using System;
using System.Buffers.Binary;

namespace Warifu.Ipsec;

/// <summary>Lowers the Maximum Segment Size of TCP SYNs (RFC 9293 section 3.7.1) so that segments fit through the tunnel where ICMP is lost.</summary>
internal static class TcpMss
{
    private const byte Syn = 0x02;

    /// <summary>The largest segment that fits an inner packet of <paramref name="mtu"/> octets.</summary>
    public static int ForMtu(int mtu, int version) => Math.Max(mtu - (version == 4 ? 40 : 60), 216);

    /// <summary>Changes the option in place when it is larger than <paramref name="limit"/>; the checksum follows. True when it changed.</summary>
    public static bool Clamp(Span<byte> packet, in IpHeader header, int limit)
    {
        if (header.Flow.Protocol != IpHeader.Tcp || header.FragmentOffset != 0 || limit is <= 0 or > ushort.MaxValue) return false;
        var tcp = packet[header.UpperOffset..header.TotalLength];
        if (tcp.Length < 20 || (tcp[13] & Syn) == 0) return false;
        var end = (tcp[12] >> 4) * 4;
        if (end > tcp.Length) return false;
        var at = 20;
        while (at < end)
        {
            var kind = tcp[at];
            if (kind == 0) return false;
            if (kind == 1)
            {
                at++;
                continue;
            }

            if (end - at < 2 || tcp[at + 1] < 2 || tcp[at + 1] > end - at) return false;
            if (kind == 2 && tcp[at + 1] == 4) return Lower(tcp, at + 2, (ushort)limit);
            at += tcp[at + 1];
        }

        return false;
    }

    private static bool Lower(Span<byte> tcp, int at, ushort limit)
    {
        var before = BinaryPrimitives.ReadUInt16BigEndian(tcp[at..]);
        if (before <= limit) return false;
        BinaryPrimitives.WriteUInt16BigEndian(tcp[at..], limit);
        var checksum = BinaryPrimitives.ReadUInt16BigEndian(tcp[16..]);
        // an option may start at an odd octet: then its value straddles two checksum words, each half moved to the other place
        if ((at & 1) != 0)
        {
            before = BinaryPrimitives.ReverseEndianness(before);
            limit = BinaryPrimitives.ReverseEndianness(limit);
        }

        BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], InternetChecksum.Update(checksum, before, limit));
        return true;
    }
}
