using System;
using System.Collections.Immutable;
using CsCheck;
using Warifu.Primitives;

namespace Warifu.Tests.Policy;

/// <summary>Values of policy for property tests.</summary>
internal static class Generators
{
    private static readonly byte[] s_protocols = [0, 1, 6, 17, 47, 132];

    /// <summary>Any traffic selector that can be written.</summary>
    public static Gen<TrafficSelector> Selector { get; } =
        from v6 in Gen.Bool
        from first in Gen.ULong
        from last in Gen.ULong
        from protocol in Gen.Int[0, s_protocols.Length - 1].Select(i => s_protocols[i])
        from ports in Ports(65535)
        select Make(v6, first, last, v6 && protocol == 1 ? (byte)58 : protocol, ports);

    /// <summary>Selectors in a small space, so that they meet often: 16 addresses, 3 protocols, 8 ports.</summary>
    public static Gen<TrafficSelector> SmallSelector { get; } =
        from first in Gen.Int[0, 15]
        from length in Gen.Int[0, 15]
        from protocol in Gen.Int[0, 2].Select(i => new byte[] { 0, 6, 17 }[i])
        from ports in Ports(7)
        select new TrafficSelector(Small(first), Small(Math.Min(15, first + length)), protocol, protocol == 0 ? (ushort)0 : ports.First, protocol == 0 ? ushort.MaxValue : ports.Last);

    public static Gen<ImmutableArray<TrafficSelector>> SmallSelectors { get; } = SmallSelector.Array[1, 4].Select(array => array.ToImmutableArray());

    public static IpAddress Small(int host) => IpAddress.V4(0x0A000000u + (uint)host);

    private static Gen<(ushort First, ushort Last)> Ports(int most) =>
        from kind in Gen.Int[0, 3]
        from one in Gen.Int[0, most]
        from other in Gen.Int[0, most]
        select kind switch { 0 => ((ushort)0, ushort.MaxValue), 1 => (ushort.MaxValue, (ushort)0), _ => ((ushort)Math.Min(one, other), (ushort)Math.Max(one, other)) };

    private static TrafficSelector Make(bool v6, ulong one, ulong other, byte protocol, (ushort First, ushort Last) ports)
    {
        var (low, high) = (Math.Min(one, other), Math.Max(one, other));
        var (first, last) = v6 ? (IpAddress.V6(((UInt128)low << 64) | one), IpAddress.V6(((UInt128)high << 64) | other)) : (IpAddress.V4((uint)(low >> 32)), IpAddress.V4((uint)(high >> 32)));
        if (first > last) (first, last) = (last, first);
        return protocol is 0 or 47 ? new TrafficSelector(first, last, protocol) : new TrafficSelector(first, last, protocol, ports.First, ports.Last);
    }
}
