using System;
using System.Collections.Immutable;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>A traffic selector of a type that we do not know (RFC 9478 has one), as it came.</summary>
/// <param name="Type">TS type, not 7 or 8.</param>
/// <param name="Protocol">The octet behind it.</param>
/// <param name="Octets">All behind the length field.</param>
internal readonly record struct UnknownSelector(byte Type, byte Protocol, ImmutableArray<byte> Octets);

/// <summary>TSi, TSr (RFC 7296 section 3.13). Selectors of types that we do not know are kept apart, as if they were not offered.</summary>
internal static class TsPayload
{
    private const byte Ipv4Range = 7;
    private const byte Ipv6Range = 8;

    public static ParseError Check(ReadOnlySpan<byte> body) => Walk(body, null, null);

    public static ParseError TryParse(ReadOnlySpan<byte> body, out ImmutableArray<TrafficSelector> selectors) => TryParse(body, out selectors, out _);

    public static ParseError TryParse(ReadOnlySpan<byte> body, out ImmutableArray<TrafficSelector> selectors, out ImmutableArray<UnknownSelector> unknown)
    {
        (selectors, unknown) = ([], []);
        var found = ImmutableArray.CreateBuilder<TrafficSelector>();
        var others = ImmutableArray.CreateBuilder<UnknownSelector>();
        var error = Walk(body, found, others);
        if (error != ParseError.None) return error;
        (selectors, unknown) = (found.ToImmutable(), others.ToImmutable());
        return ParseError.None;
    }

    /// <summary>The body: known selectors first.</summary>
    public static void Write(WireWriter writer, ReadOnlySpan<TrafficSelector> selectors, ReadOnlySpan<UnknownSelector> unknown = default)
    {
        writer.U8(checked((byte)(selectors.Length + unknown.Length)));
        writer.Octets([0, 0, 0]);
        foreach (var selector in selectors)
        {
            var size = selector.First.Length;
            writer.U8(size == 4 ? Ipv4Range : Ipv6Range);
            writer.U8(selector.Protocol);
            writer.U16((ushort)(8 + (2 * size)));
            writer.U16(selector.FirstPort);
            writer.U16(selector.LastPort);
            selector.First.Write(writer.Reserve(size));
            selector.Last.Write(writer.Reserve(size));
        }

        foreach (var selector in unknown)
        {
            writer.U8(selector.Type);
            writer.U8(selector.Protocol);
            writer.U16(checked((ushort)(4 + selector.Octets.Length)));
            writer.Octets(selector.Octets.AsSpan());
        }
    }

    private static ParseError Walk(ReadOnlySpan<byte> body, ImmutableArray<TrafficSelector>.Builder? found, ImmutableArray<UnknownSelector>.Builder? others)
    {
        var reader = new WireReader(body);
        var count = reader.U8();
        reader.Take(3);
        for (var i = 0; i < count; i++)
        {
            var type = reader.U8();
            var protocol = reader.U8();
            var length = reader.U16();
            if (reader.Failed || length < 4) return ParseError.BadSelector;
            var octets = reader.Take(length - 4);
            if (reader.Failed) return ParseError.BadSelector;
            if (type is not (Ipv4Range or Ipv6Range))
            {
                others?.Add(new UnknownSelector(type, protocol, [.. octets]));
                continue;
            }

            var inner = new WireReader(octets);
            var size = type == Ipv4Range ? 4 : 16;
            var first = inner.U16();
            var last = inner.U16();
            var low = IpAddress.FromOctets(inner.Take(size));
            var high = IpAddress.FromOctets(inner.Take(size));
            // 65535 to 0 is OPAQUE (RFC 4301 section 4.4.1.1)
            if (!inner.AtEnd || low > high || (first > last && !(first == ushort.MaxValue && last == 0))) return ParseError.BadSelector;
            found?.Add(new TrafficSelector(low, high, protocol, first, last));
        }

        return reader.AtEnd && count > 0 ? ParseError.None : ParseError.BadSelector;
    }
}
