using System;
using System.Buffers.Binary;
using Warifu.Primitives;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>The identities of phase 2, called proxy IDs (RFC 2407 section 4.6.2): an address, a subnet or a range, with a protocol and a port. Port 0 is every port.</summary>
internal static class ProxyId
{
    /// <summary>False for identities that are no addresses, and for subnets whose mask has holes.</summary>
    public static bool TryRead(scoped in IdBody id, out TrafficSelector selector)
    {
        selector = default;
        var half = id.Data.Length / 2;
        IpAddress first, last;
        switch (id.Type)
        {
            case IdV1.Ipv4 or IdV1.Ipv6:
                first = last = IpAddress.FromOctets(id.Data);
                break;
            case IdV1.Ipv4Range or IdV1.Ipv6Range:
                (first, last) = (IpAddress.FromOctets(id.Data[..half]), IpAddress.FromOctets(id.Data[half..]));
                if (first > last) return false;
                break;
            case IdV1.Ipv4Subnet or IdV1.Ipv6Subnet:
                var (address, mask) = (IpAddress.FromOctets(id.Data[..half]), IpAddress.FromOctets(id.Data[half..]));
                var hosts = ~mask.Bits & (mask.IsV4 ? uint.MaxValue : UInt128.MaxValue);
                if ((hosts & (hosts + 1)) != 0) return false;
                (first, last) = (IpAddress.FromBits(address.Bits & ~hosts, address.Version), IpAddress.FromBits(address.Bits | hosts, address.Version));
                break;
            default:
                return false;
        }

        selector = id.Port == 0 ? new TrafficSelector(first, last, id.Protocol) : new TrafficSelector(first, last, id.Protocol, id.Port, id.Port);
        return true;
    }

    /// <summary>The body of an ID payload. False where IKEv1 has no form for it: a range of ports.</summary>
    public static bool TryWrite(TrafficSelector selector, out byte[] body)
    {
        body = [];
        if (!selector.AnyPort && (selector.FirstPort != selector.LastPort || selector.FirstPort == 0)) return false;
        var port = selector.AnyPort ? (ushort)0 : selector.FirstPort;
        var isV4 = selector.First.IsV4;
        Span<byte> head = stackalloc byte[4];
        head[1] = selector.Protocol;
        BinaryPrimitives.WriteUInt16BigEndian(head[2..], port);
        if (selector.First == selector.Last)
        {
            head[0] = (byte)(isV4 ? IdV1.Ipv4 : IdV1.Ipv6);
            body = [.. head, .. selector.First.ToOctets()];
        }
        else if (selector.TryGetPrefix(out _))
        {
            head[0] = (byte)(isV4 ? IdV1.Ipv4Subnet : IdV1.Ipv6Subnet);
            var hosts = selector.First.Bits ^ selector.Last.Bits;
            var mask = IpAddress.FromBits(~hosts & (isV4 ? uint.MaxValue : UInt128.MaxValue), selector.Version);
            body = [.. head, .. selector.First.ToOctets(), .. mask.ToOctets()];
        }
        else
        {
            head[0] = (byte)(isV4 ? IdV1.Ipv4Range : IdV1.Ipv6Range);
            body = [.. head, .. selector.First.ToOctets(), .. selector.Last.ToOctets()];
        }

        return true;
    }
}
