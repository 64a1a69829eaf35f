using System;
using System.Runtime.InteropServices;
using Warifu.Ipsec;
using Warifu.Net.Linux;
using Warifu.Primitives;

namespace Warifu.Net.Udp;

/// <summary>
/// The headers before an AH that came over IPv6. A raw socket gives what is behind them, put together again from fragments, and tells of them in ancillary data: hop-by-hop options, then destination options and
/// routing headers in their order. Flow label and hop limit are as good as any other, since the ICV does not cover them.
/// </summary>
internal static class Ipv6Front
{
    /// <summary>Writes the headers at the end of <paramref name="room"/>. Returns their octets, 0 when there is no room or the ancillary data make no sense.</summary>
    /// <param name="room">What lies before the datagram.</param>
    /// <param name="length">Octets of the datagram.</param>
    /// <param name="control">Ancillary data.</param>
    /// <param name="source">Sender.</param>
    /// <param name="target">Own address.</param>
    /// <param name="trafficClass">Its traffic class.</param>
    public static int Write(Span<byte> room, int length, ReadOnlySpan<byte> control, IpAddress source, IpAddress target, byte trafficClass)
    {
        if (!source.IsV6 || !target.IsV6) return 0;
        var extensions = 0;
        byte hopLimit = 64;
        for (var rest = control; TryNext(ref rest, out var kind, out var data);)
        {
            if (kind == Libc.Ipv6Hoplimit && data.Length >= 4) hopLimit = (byte)MemoryMarshal.Read<int>(data);
            if (HeaderOf(kind) >= 0) extensions += data.Length;
        }

        var before = 40 + extensions;
        if (before > room.Length || extensions % 8 != 0 || length + extensions > ushort.MaxValue) return 0;
        var front = room[^before..];
        IpHeader.WriteV6(front, length + extensions, trafficClass, hopLimit, IpHeader.Ah, source, target);
        var (named, at) = (6, 40);
        for (var rest = control; TryNext(ref rest, out var kind, out var data);)
        {
            if (HeaderOf(kind) is not (>= 0 and var header)) continue;
            if (data.Length < 8) return 0;
            front[named] = (byte)header;
            data.CopyTo(front[at..]);
            named = at;
            at += data.Length;
        }

        front[named] = IpHeader.Ah;
        return before;
    }

    private static int HeaderOf(int kind)
    {
        if (kind == Libc.Ipv6Hopopts) return IpHeader.HopByHop;
        if (kind == Libc.Ipv6Dstopts) return IpHeader.DestinationOptions;
        return kind == Libc.Ipv6Rthdr ? IpHeader.Routing : -1;
    }

    private static bool TryNext(ref ReadOnlySpan<byte> control, out int kind, out ReadOnlySpan<byte> data)
    {
        while (control.Length >= 16)
        {
            var length = (int)Math.Min(MemoryMarshal.Read<ulong>(control), int.MaxValue);
            if (length < 16 || length > control.Length) break;
            var level = MemoryMarshal.Read<int>(control[8..]);
            kind = MemoryMarshal.Read<int>(control[12..]);
            data = control[16..length];
            control = control[Math.Min((length + 7) & ~7, control.Length)..];
            if (level == Libc.IpprotoIpv6) return true;
        }

        kind = 0;
        data = default;
        return false;
    }
}
