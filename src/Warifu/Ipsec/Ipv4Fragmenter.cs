using System;
using System.Buffers.Binary;

namespace Warifu.Ipsec;

/// <summary>Cuts an IPv4 packet into fragments (RFC 791 section 3.2), for packets without DF that do not fit a tunnel.</summary>
internal static class Ipv4Fragmenter
{
    /// <summary>Writes the fragment that begins at <paramref name="at"/> octets of payload and moves <paramref name="at"/> on; returns its length, 0 when all is written or the MTU has no room for 8 octets.</summary>
    public static int Next(ReadOnlySpan<byte> packet, in IpHeader header, int mtu, ref int at, Span<byte> destination)
    {
        var payload = packet[header.UpperOffset..header.TotalLength];
        if (at >= payload.Length) return 0;
        var headerLength = at == 0 ? WriteWholeHeader(packet[..header.UpperOffset], destination) : WriteCopiedHeader(packet[..header.UpperOffset], destination);
        var room = (mtu - headerLength) & ~7;
        if (room < 8) return 0;
        var length = Math.Min(room, payload.Length - at);
        if (destination.Length < headerLength + length) return 0;
        var last = at + length == payload.Length;
        payload.Slice(at, length).CopyTo(destination[headerLength..]);
        var offset = (header.FragmentOffset + at) / 8;
        BinaryPrimitives.WriteUInt16BigEndian(destination[2..], (ushort)(headerLength + length));
        BinaryPrimitives.WriteUInt16BigEndian(destination[6..], (ushort)(offset | (last && !header.MoreFragments ? 0 : 0x2000)));
        IpHeader.WriteV4Checksum(destination[..headerLength]);
        at += length;
        return headerLength + length;
    }

    private static int WriteWholeHeader(ReadOnlySpan<byte> header, Span<byte> destination)
    {
        header.CopyTo(destination);
        return header.Length;
    }

    /// <summary>Fragments but the first carry only the options with the copied flag.</summary>
    private static int WriteCopiedHeader(ReadOnlySpan<byte> header, Span<byte> destination)
    {
        header[..20].CopyTo(destination);
        var length = 20;
        for (var at = 20; at < header.Length && header[at] != 0;)
        {
            var size = header[at] == 1 ? 1 : at + 1 < header.Length ? header[at + 1] : 0;
            if (size < 1 || (header[at] != 1 && size < 2) || size > header.Length - at) break;
            if ((header[at] & 0x80) != 0)
            {
                header.Slice(at, size).CopyTo(destination[length..]);
                length += size;
            }

            at += size;
        }

        while ((length & 3) != 0) destination[length++] = 0;
        destination[0] = (byte)(0x40 | (length / 4));
        return length;
    }
}
