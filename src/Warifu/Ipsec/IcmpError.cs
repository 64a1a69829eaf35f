using System;
using System.Buffers.Binary;
using Warifu.Primitives;

namespace Warifu.Ipsec;

/// <summary>ICMP errors that a gateway gives to the hosts behind it (RFC 792, RFC 1191, RFC 4443; RFC 4301 sections 6 and 8.2).</summary>
internal static class IcmpError
{
    /// <summary>Room that every error fits: 576 octets for IPv4 (RFC 1812 section 4.3.2.3), 1280 for IPv6 (RFC 4443 section 2.4 c).</summary>
    public const int MaxLength = 1280;

    /// <summary>"Fragmentation needed" with the MTU, or "packet too big". Returns the length, 0 when the packet must not be answered.</summary>
    public static int TooBig(ReadOnlySpan<byte> packet, in IpHeader header, int mtu, IpAddress from, Span<byte> reply) =>
        header.Version == 4 ? Write(packet, header, 3, 4, (uint)Math.Clamp(mtu, 0, 0xFFFF), from, reply) : Write(packet, header, 2, 0, (uint)mtu, from, reply);

    /// <summary>"Communication administratively prohibited".</summary>
    public static int Prohibited(ReadOnlySpan<byte> packet, in IpHeader header, IpAddress from, Span<byte> reply) =>
        header.Version == 4 ? Write(packet, header, 3, 13, 0, from, reply) : Write(packet, header, 1, 1, 0, from, reply);

    private static int Write(ReadOnlySpan<byte> packet, in IpHeader header, byte type, byte code, uint data, IpAddress from, Span<byte> reply)
    {
        if (!MayAnswer(header)) return 0;
        var to = header.Flow.Source;
        if (from.Version != header.Version) from = header.Flow.Destination;
        var ipLength = header.Version == 4 ? 20 : 40;
        var quoted = Math.Min(header.TotalLength, (header.Version == 4 ? 576 : MaxLength) - ipLength - 8);
        var total = ipLength + 8 + quoted;
        if (reply.Length < total) return 0;
        var icmp = reply[ipLength..total];
        icmp[0] = type;
        icmp[1] = code;
        icmp[2] = 0;
        icmp[3] = 0;
        BinaryPrimitives.WriteUInt32BigEndian(icmp[4..], data);
        packet[..quoted].CopyTo(icmp[8..]);
        if (header.Version == 4)
        {
            IpHeader.WriteV4(reply, total, 0xC0, 0, true, 64, IpHeader.Icmp, from, to);
            BinaryPrimitives.WriteUInt16BigEndian(icmp[2..], InternetChecksum.Compute(icmp));
        }
        else
        {
            IpHeader.WriteV6(reply, icmp.Length, 0xC0, 64, IpHeader.IcmpV6, from, to);
            BinaryPrimitives.WriteUInt16BigEndian(icmp[2..], InternetChecksum.Compute(icmp, IpHeader.PseudoHeaderSum(from, to, IpHeader.IcmpV6, icmp.Length)));
        }

        return total;
    }

    /// <summary>No errors about errors, fragments but the first, group addresses or nobody (RFC 1122 section 3.2.2, RFC 4443 section 2.4 e).</summary>
    private static bool MayAnswer(in IpHeader header)
    {
        var flow = header.Flow;
        if (header.FragmentOffset != 0 || flow.Source.IsUnspecified || IsGroup(flow.Source) || IsGroup(flow.Destination)) return false;
        var type = flow.SourcePort >> 8;
        if (flow.Protocol == IpHeader.Icmp) return flow.HasPorts && type is 0 or 8 or 13 or 14;
        return flow.Protocol != IpHeader.IcmpV6 || (flow.HasPorts && type >= 128);
    }

    public static bool IsGroup(IpAddress address) => address.IsV4 ? (uint)address.Bits >= 0xE000_0000 : (byte)(address.Bits >> 120) == 0xFF;
}
