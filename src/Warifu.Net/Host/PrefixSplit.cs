using System;
using System.Collections.Generic;
using Warifu.Primitives;

namespace Warifu.Net.Host;

/// <summary>Ranges as prefixes, for routes and rules.</summary>
internal static class PrefixSplit
{
    /// <summary>The fewest prefixes that make up the range, in order: at most 62 for IPv4, 254 for IPv6. None when the range is empty.</summary>
    public static List<IpPrefix> Of(IpAddress first, IpAddress last)
    {
        var prefixes = new List<IpPrefix>();
        if (first.IsNone || first.Version != last.Version) return prefixes;
        var width = first.BitLength;
        var at = first.Bits;
        while (at <= last.Bits)
        {
            var hostBits = at == 0 ? width : Math.Min(width, (int)UInt128.TrailingZeroCount(at));
            while (hostBits > 0 && End(at, hostBits) > last.Bits) hostBits--;
            prefixes.Add(new IpPrefix(IpAddress.FromBits(at, first.Version), width - hostBits));
            var end = End(at, hostBits);
            if (end >= last.Bits) break;
            at = end + 1;
        }

        return prefixes;
    }

    private static UInt128 End(UInt128 first, int hostBits) => hostBits >= 128 ? UInt128.MaxValue : first | ((UInt128.One << hostBits) - 1);
}
