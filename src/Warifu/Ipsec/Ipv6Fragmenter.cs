using System;
using System.Buffers.Binary;

namespace Warifu.Ipsec;

/// <summary>Cuts an IPv6 packet into fragments (RFC 8200 section 4.5): for packets of our own whose IP header the kernel does not make, since AH covers it.</summary>
internal static class Ipv6Fragmenter
{
    private const int HeaderLength = 8;

    /// <summary>Writes the fragment that begins at <paramref name="at"/> octets behind the headers that each one repeats, and moves <paramref name="at"/> on; returns its length, 0 when all is written.</summary>
    /// <param name="packet">The whole packet.</param>
    /// <param name="repeated">Octets of the headers before the fragment header.</param>
    /// <param name="named">Offset of the octet in them that names what follows.</param>
    /// <param name="identification">The same for all fragments of the packet.</param>
    /// <param name="mtu">Octets that a fragment has at most.</param>
    /// <param name="at">0 at first.</param>
    /// <param name="destination">Room for <paramref name="mtu"/> octets.</param>
    public static int Next(ReadOnlySpan<byte> packet, int repeated, int named, uint identification, int mtu, ref int at, Span<byte> destination)
    {
        var payload = packet[repeated..];
        var room = (mtu - repeated - HeaderLength) & ~7;
        if (at >= payload.Length || room < 8) return 0;
        var length = Math.Min(room, payload.Length - at);
        var last = at + length == payload.Length;
        packet[..repeated].CopyTo(destination);
        destination[named] = IpHeader.Fragment;
        BinaryPrimitives.WriteUInt16BigEndian(destination[4..], (ushort)(repeated - 40 + HeaderLength + length));
        var fragment = destination[repeated..];
        fragment[0] = packet[named];
        fragment[1] = 0;
        BinaryPrimitives.WriteUInt16BigEndian(fragment[2..], (ushort)(at | (last ? 0 : 1)));
        BinaryPrimitives.WriteUInt32BigEndian(fragment[4..], identification);
        payload.Slice(at, length).CopyTo(fragment[HeaderLength..]);
        at += length;
        return repeated + HeaderLength + length;
    }
}
