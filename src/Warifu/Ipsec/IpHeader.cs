using System;
using System.Buffers.Binary;
using Warifu.Primitives;

namespace Warifu.Ipsec;

/// <summary>What selectors look at (RFC 4301 section 4.4.1.1).</summary>
/// <param name="Protocol">Upper-layer protocol behind all IPv6 extension headers.</param>
/// <param name="SourcePort">For ICMP and Mobile IPv6: type * 256 + code, the same in both ports.</param>
/// <param name="HasPorts">False for protocols without ports and for fragments but the first: only ANY and OPAQUE selectors match them.</param>
internal readonly record struct PacketFlow(IpAddress Source, IpAddress Destination, byte Protocol, ushort SourcePort, ushort DestinationPort, bool HasPorts);

/// <summary>An IPv4 or IPv6 header as a value on the stack: options and extension headers walked, nothing copied but numbers.</summary>
internal readonly struct IpHeader
{
    public const byte HopByHop = 0, Icmp = 1, IpInIp = 4, Tcp = 6, Udp = 17, Ipv6InIp = 41, Routing = 43, Fragment = 44, Esp = 50, Ah = 51, IcmpV6 = 58, NoNextHeader = 59, DestinationOptions = 60, Mobility = 135;

    /// <summary>A real packet has two or three; a chain without end is an attack on whoever walks it.</summary>
    private const int MaxExtensionHeaders = 8;

    public int Version { get; private init; }

    /// <summary>Octets of the whole packet as the header says; never more than were there.</summary>
    public int TotalLength { get; private init; }

    /// <summary>Octets before the upper-layer header: options and extension headers included.</summary>
    public int UpperOffset { get; private init; }

    /// <summary>Where ESP and AH go in transport mode (RFC 4302 and RFC 4303 section 3.1.1): behind hop-by-hop, routing and fragment headers, before destination options for the last hop.</summary>
    public int EspOffset { get; private init; }

    /// <summary>Offset of the Protocol or Next Header octet that names what stands at <see cref="EspOffset"/>.</summary>
    public int NextHeaderOffset { get; private init; }

    /// <summary>Offset of the octet that names the upper-layer protocol.</summary>
    public int ProtocolOffset { get; private init; }

    /// <summary>IPv6: offset of the fragment header; 0 = there is none.</summary>
    public int FragmentHeaderOffset { get; private init; }

    /// <summary>Offset of the octet that names the fragment header.</summary>
    public int FragmentNamedOffset { get; private init; }

    /// <summary>Traffic class or TOS: DSCP and ECN.</summary>
    public byte Tos { get; private init; }

    public byte HopLimit { get; private init; }

    /// <summary>IPv6 is never fragmented on its way: always true there.</summary>
    public bool DontFragment { get; private init; }

    public bool MoreFragments { get; private init; }

    /// <summary>In octets.</summary>
    public int FragmentOffset { get; private init; }

    public bool IsFragment => MoreFragments || FragmentOffset != 0;

    public PacketFlow Flow { get; private init; }

    /// <summary>False for everything that is not one whole, well-formed IP packet at the start of <paramref name="packet"/>; octets behind it are allowed (TFC padding).</summary>
    public static bool TryParse(ReadOnlySpan<byte> packet, out IpHeader header)
    {
        header = default;
        if (packet.IsEmpty) return false;
        return (packet[0] >> 4) switch
        {
            4 => TryParseV4(packet, out header),
            6 => TryParseV6(packet, out header),
            _ => false,
        };
    }

    /// <summary>Writes an IPv4 header of 20 octets with its checksum.</summary>
    public static void WriteV4(Span<byte> destination, int totalLength, byte tos, ushort id, bool dontFragment, byte ttl, byte protocol, IpAddress source, IpAddress target)
    {
        destination[0] = 0x45;
        destination[1] = tos;
        BinaryPrimitives.WriteUInt16BigEndian(destination[2..], (ushort)totalLength);
        BinaryPrimitives.WriteUInt16BigEndian(destination[4..], id);
        BinaryPrimitives.WriteUInt16BigEndian(destination[6..], dontFragment ? (ushort)0x4000 : (ushort)0);
        destination[8] = ttl;
        destination[9] = protocol;
        destination.Slice(10, 2).Clear();
        source.Write(destination[12..]);
        target.Write(destination[16..]);
        WriteV4Checksum(destination[..20]);
    }

    /// <summary>Writes an IPv6 header of 40 octets.</summary>
    public static void WriteV6(Span<byte> destination, int payloadLength, byte trafficClass, byte hopLimit, byte nextHeader, IpAddress source, IpAddress target)
    {
        BinaryPrimitives.WriteUInt32BigEndian(destination, 0x6000_0000u | ((uint)trafficClass << 20));
        BinaryPrimitives.WriteUInt16BigEndian(destination[4..], (ushort)payloadLength);
        destination[6] = nextHeader;
        destination[7] = hopLimit;
        source.Write(destination[8..]);
        target.Write(destination[24..]);
    }

    public static void WriteV4Checksum(Span<byte> header)
    {
        header.Slice(10, 2).Clear();
        BinaryPrimitives.WriteUInt16BigEndian(header[10..], InternetChecksum.Compute(header));
    }

    /// <summary>Changes the TOS or traffic class in place; IPv4's checksum follows.</summary>
    public static void SetTos(Span<byte> packet, byte tos)
    {
        var before = BinaryPrimitives.ReadUInt16BigEndian(packet);
        var after = packet[0] >> 4 == 4 ? (ushort)((before & 0xFF00) | tos) : (ushort)((before & 0xF00F) | (tos << 4));
        BinaryPrimitives.WriteUInt16BigEndian(packet, after);
        if (packet[0] >> 4 != 4) return;
        var checksum = BinaryPrimitives.ReadUInt16BigEndian(packet[10..]);
        BinaryPrimitives.WriteUInt16BigEndian(packet[10..], InternetChecksum.Update(checksum, before, after));
    }

    /// <summary>Sum of the pseudo-header (RFC 793, RFC 8200 section 8.1).</summary>
    public static ulong PseudoHeaderSum(IpAddress source, IpAddress destination, byte protocol, int length)
    {
        Span<byte> octets = stackalloc byte[32];
        source.Write(octets);
        destination.Write(octets[source.Length..]);
        return InternetChecksum.Sum(octets[..(source.Length + destination.Length)]) + protocol + (ulong)length;
    }

    private static bool TryParseV4(ReadOnlySpan<byte> packet, out IpHeader header)
    {
        header = default;
        if (packet.Length < 20) return false;
        var headerLength = (packet[0] & 0xF) * 4;
        var total = BinaryPrimitives.ReadUInt16BigEndian(packet[2..]);
        if (headerLength < 20 || total < headerLength || total > packet.Length) return false;
        var flags = BinaryPrimitives.ReadUInt16BigEndian(packet[6..]);
        var fragmentOffset = (flags & 0x1FFF) * 8;
        var source = IpAddress.FromOctets(packet.Slice(12, 4));
        var destination = IpAddress.FromOctets(packet.Slice(16, 4));
        header = new IpHeader
        {
            Version = 4,
            TotalLength = total,
            UpperOffset = headerLength,
            EspOffset = headerLength,
            NextHeaderOffset = 9,
            ProtocolOffset = 9,
            Tos = packet[1],
            HopLimit = packet[8],
            DontFragment = (flags & 0x4000) != 0,
            MoreFragments = (flags & 0x2000) != 0,
            FragmentOffset = fragmentOffset,
            Flow = FlowOf(source, destination, packet[9], packet[headerLength..total], fragmentOffset == 0),
        };
        return true;
    }

    private static bool TryParseV6(ReadOnlySpan<byte> packet, out IpHeader header)
    {
        header = default;
        if (packet.Length < 40) return false;
        var total = 40 + BinaryPrimitives.ReadUInt16BigEndian(packet[4..]);
        if (total > packet.Length) return false;
        packet = packet[..total];
        var offset = 40;
        var next = packet[6];
        var nextAt = 6;
        var espOffset = 40;
        var espNextAt = 6;
        var fragmentAt = 0;
        var fragmentNamedAt = 0;
        var fragmentOffset = 0;
        var more = false;
        for (var walked = 0; next is HopByHop or Routing or Fragment or DestinationOptions && fragmentOffset == 0; walked++)
        {
            if (walked == MaxExtensionHeaders || packet.Length - offset < 8) return false;
            var length = next == Fragment ? 8 : 8 + (packet[offset + 1] * 8);
            if (length > packet.Length - offset) return false;
            if (next == Fragment)
            {
                var field = BinaryPrimitives.ReadUInt16BigEndian(packet[(offset + 2)..]);
                fragmentOffset = field & 0xFFF8;
                more = (field & 1) != 0;
                if (fragmentAt == 0) (fragmentAt, fragmentNamedAt) = (offset, nextAt);
            }

            nextAt = offset;
            var destinationOptions = next == DestinationOptions;
            next = packet[offset];
            offset += length;
            if (destinationOptions) continue;
            espOffset = offset;
            espNextAt = nextAt;
        }

        var source = IpAddress.FromOctets(packet.Slice(8, 16));
        var destination = IpAddress.FromOctets(packet.Slice(24, 16));
        header = new IpHeader
        {
            Version = 6,
            TotalLength = total,
            UpperOffset = offset,
            EspOffset = espOffset,
            NextHeaderOffset = espNextAt,
            ProtocolOffset = nextAt,
            FragmentHeaderOffset = fragmentAt,
            FragmentNamedOffset = fragmentNamedAt,
            Tos = (byte)(BinaryPrimitives.ReadUInt16BigEndian(packet) >> 4),
            HopLimit = packet[7],
            DontFragment = true,
            MoreFragments = more,
            FragmentOffset = fragmentOffset,
            Flow = FlowOf(source, destination, next, packet[offset..], fragmentOffset == 0),
        };
        return true;
    }

    private static PacketFlow FlowOf(IpAddress source, IpAddress destination, byte protocol, ReadOnlySpan<byte> upper, bool firstFragment)
    {
        if (!firstFragment) return new(source, destination, protocol, 0, 0, false);
        switch (protocol)
        {
            // TCP, UDP, DCCP, SCTP, UDP-Lite
            case Tcp or Udp or 33 or 132 or 136 when upper.Length >= 4:
                return new(source, destination, protocol, BinaryPrimitives.ReadUInt16BigEndian(upper), BinaryPrimitives.ReadUInt16BigEndian(upper[2..]), true);
            case Icmp or IcmpV6 when upper.Length >= 2:
                var typeCode = BinaryPrimitives.ReadUInt16BigEndian(upper);
                return new(source, destination, protocol, typeCode, typeCode, true);
            case Mobility when upper.Length >= 3:
                return new(source, destination, protocol, (ushort)(upper[2] << 8), (ushort)(upper[2] << 8), true);
            default:
                return new(source, destination, protocol, 0, 0, false);
        }
    }
}
