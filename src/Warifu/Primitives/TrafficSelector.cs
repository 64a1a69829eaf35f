using System;

namespace Warifu.Primitives;

/// <summary>A traffic selector (RFC 7296 section 3.13.1): an address range, an IP protocol and a port range. For ICMP and ICMPv6 the "ports" are type * 256 + code.</summary>
/// <param name="First">Lowest address, inclusive.</param>
/// <param name="Last">Highest address, inclusive, of the same version.</param>
/// <param name="Protocol">IP protocol number; 0 = any.</param>
/// <param name="FirstPort">Lowest port, inclusive. 65535 with <paramref name="LastPort"/> 0 means OPAQUE.</param>
/// <param name="LastPort">Highest port, inclusive.</param>
public readonly record struct TrafficSelector(IpAddress First, IpAddress Last, byte Protocol = 0, ushort FirstPort = 0, ushort LastPort = ushort.MaxValue)
{
    /// <summary>All protocols and ports of a prefix.</summary>
    public static TrafficSelector Of(IpPrefix prefix) => new(prefix.Address, prefix.Last);

    /// <summary>All protocols and ports of one address.</summary>
    public static TrafficSelector Of(IpAddress address) => new(address, address);

    /// <summary>4 or 6.</summary>
    public int Version => First.Version;

    /// <summary>Ports are not visible (fragments, RFC 4301 section 4.4.1.1): only OPAQUE or ANY match them.</summary>
    public bool IsOpaque => FirstPort == ushort.MaxValue && LastPort == 0;

    /// <summary>Every port.</summary>
    public bool AnyPort => FirstPort == 0 && LastPort == ushort.MaxValue;

    /// <summary>True when the addresses are exactly those of a prefix.</summary>
    public bool TryGetPrefix(out IpPrefix prefix)
    {
        prefix = default;
        if (First.Version != Last.Version || First.IsNone || First > Last) return false;
        var span = First.Bits ^ Last.Bits;
        if ((span & (span + 1)) != 0 || (First.Bits & span) != 0) return false;
        var hostBits = 128 - (int)UInt128.LeadingZeroCount(span);
        prefix = new IpPrefix(First, First.BitLength - hostBits);
        return true;
    }

    /// <summary>"10.1.0.0/16[tcp/80]" with numbers for protocols other than icmp, tcp, udp, icmpv6.</summary>
    public override string ToString()
    {
        var addresses = TryGetPrefix(out var prefix) ? prefix.ToString() : $"{First}..{Last}";
        if (Protocol == 0 && AnyPort) return addresses;
        var protocol = Protocol switch { 1 => "icmp", 6 => "tcp", 17 => "udp", 58 => "ipv6-icmp", _ => Protocol.ToString(System.Globalization.CultureInfo.InvariantCulture) };
        if (AnyPort) return $"{addresses}[{protocol}]";
        if (IsOpaque) return $"{addresses}[{protocol}/OPAQUE]";
        if (Protocol is 1 or 58)
        {
            // whole types, else TYPE(CODE)
            var types = (FirstPort & 0xFF) == 0 && (LastPort & 0xFF) == 0xFF;
            var (first, last) = types ? ($"{FirstPort >> 8}", $"{LastPort >> 8}") : ($"{FirstPort >> 8}({FirstPort & 0xFF})", $"{LastPort >> 8}({LastPort & 0xFF})");
            return first == last ? $"{addresses}[{protocol}/{first}]" : $"{addresses}[{protocol}/{first}-{last}]";
        }

        return FirstPort == LastPort ? $"{addresses}[{protocol}/{FirstPort}]" : $"{addresses}[{protocol}/{FirstPort}-{LastPort}]";
    }
}
