using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Linq;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>Traffic selectors as people write them, and their algebra.</summary>
public static class Selectors
{
    /// <summary>Reads "dynamic", "10.0.0.0/8", "10.0.0.1", "10.0.0.1-10.0.0.9", each with an optional "[protocol/port]".</summary>
    /// <param name="text">One list item.</param>
    /// <param name="selector">The pattern.</param>
    /// <param name="error">What is wrong and what would be right.</param>
    public static bool TryParse(string text, out SelectorPattern selector, [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(text);
        (selector, error) = (default, null);
        text = text.Trim();
        var limits = default(TrafficSelector) with { LastPort = ushort.MaxValue };
        var bracket = text.IndexOf('[', StringComparison.Ordinal);
        if (bracket >= 0)
        {
            if (!SelectorText.TryParseLimits(text[bracket..], ref limits, out error)) return false;
            text = text[..bracket].TrimEnd();
        }

        if (text is "dynamic" or "%dynamic")
        {
            selector = new SelectorPattern(true, limits);
            return true;
        }

        if (!TryParseAddresses(text, out var first, out var last, out error)) return false;
        if (limits.Protocol == (first.IsV4 ? 58 : 1)) return Fail($"'{text}' is an IPv{first.Version} address, and {(first.IsV4 ? "ipv6-icmp" : "icmp")} is of the other IP version", out error);
        selector = SelectorPattern.Of(limits with { First = first, Last = last });
        return true;
    }

    /// <summary>Reads an address, a prefix or a range.</summary>
    public static bool TryParseAddresses(string text, out IpAddress first, out IpAddress last, [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(text);
        (first, last, error) = (default, default, null);
        // listings print ranges with two dots
        var dots = text.IndexOf("..", StringComparison.Ordinal);
        var dash = dots >= 0 ? dots : text.IndexOf('-', StringComparison.Ordinal);
        if (dash >= 0)
        {
            if (!IpAddress.TryParse(text.AsSpan(0, dash).Trim(), out first) || !IpAddress.TryParse(text.AsSpan(dash + (dots >= 0 ? 2 : 1)).Trim(), out last) || first.Version != last.Version || first > last)
                return Fail($"'{text}' is no address range; write LOWEST-HIGHEST of one IP version", out error);
            return true;
        }

        var slash = text.IndexOf('/', StringComparison.Ordinal);
        if (!IpAddress.TryParse(slash < 0 ? text : text.AsSpan(0, slash), out first)) return Fail($"'{text}' is no IP address, prefix or range; write ADDRESS, ADDRESS/BITS or LOWEST-HIGHEST", out error);
        last = first;
        if (slash < 0) return true;
        if (!int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var length) || length > first.BitLength)
            return Fail($"'{text}' has a prefix length that does not exist; write 0..{first.BitLength} for IPv{first.Version}", out error);
        var prefix = new IpPrefix(first, length);
        (first, last) = (prefix.Address, prefix.Last);
        return true;
    }

    /// <summary>What both select; null when nothing.</summary>
    public static TrafficSelector? Intersect(TrafficSelector left, TrafficSelector right)
    {
        if (left.Version != right.Version) return null;
        var first = left.First > right.First ? left.First : right.First;
        var last = left.Last < right.Last ? left.Last : right.Last;
        if (first > last) return null;
        if (left.Protocol != 0 && right.Protocol != 0 && left.Protocol != right.Protocol) return null;
        var protocol = left.Protocol == 0 ? right.Protocol : left.Protocol;
        if (left.IsOpaque || right.IsOpaque)
        {
            // OPAQUE is its own value: it meets itself and "any port"
            if ((left.IsOpaque || left.AnyPort) && (right.IsOpaque || right.AnyPort)) return new TrafficSelector(first, last, protocol, ushort.MaxValue, 0);
            return null;
        }

        var firstPort = Math.Max(left.FirstPort, right.FirstPort);
        var lastPort = Math.Min(left.LastPort, right.LastPort);
        return firstPort > lastPort ? null : new TrafficSelector(first, last, protocol, firstPort, lastPort);
    }

    /// <summary>True when everything that <paramref name="inner"/> selects is selected by <paramref name="outer"/>.</summary>
    public static bool Covers(TrafficSelector outer, TrafficSelector inner) => Intersect(outer, inner) == inner;

    /// <summary>True when all that <paramref name="inner"/> select is selected by <paramref name="outer"/> together: a peer may answer two neighbours as one.</summary>
    public static bool Covers(ImmutableArray<TrafficSelector> outer, ImmutableArray<TrafficSelector> inner) => inner.All(one => outer.Any(by => Covers(by, one)) || CoversTogether(outer, one));

    /// <summary>Each of <paramref name="inner"/> is covered by a single one of <paramref name="outer"/>: cheap, for what a peer may ask for often.</summary>
    internal static bool CoversEach(ImmutableArray<TrafficSelector> outer, ImmutableArray<TrafficSelector> inner) => inner.All(one => outer.Any(by => Covers(by, one)));

    /// <summary>What <paramref name="from"/> select and <paramref name="by"/> do not, at most as much as a TS payload holds.</summary>
    internal static ImmutableArray<TrafficSelector> Without(ImmutableArray<TrafficSelector> from, ImmutableArray<TrafficSelector> by)
    {
        var rest = from.Distinct().ToList();
        foreach (var taken in by)
        {
            // "all protocols" less one, and all ports less OPAQUE, cannot be said: they stay whole
            rest = [.. rest.SelectMany(part => taken.Protocol != 0 && part.Protocol == 0 || taken.IsOpaque != part.IsOpaque && !taken.AnyPort ? [part] : Subtract(part, taken))];
            if (rest.Count > 4096) break;
        }

        return [.. rest.Take(Narrowing.MaxSelectors)];
    }

    /// <summary>The parts of <paramref name="selectors"/> that select one address.</summary>
    internal static ImmutableArray<TrafficSelector> Of(ImmutableArray<TrafficSelector> selectors, IpAddress address) =>
        [.. selectors.Select(selector => Intersect(selector, TrafficSelector.Of(address))).OfType<TrafficSelector>().Distinct()];

    /// <summary>A list as people read it.</summary>
    public static string Print(IEnumerable<TrafficSelector> selectors) => string.Join(", ", selectors);

    /// <summary>Takes the parts that each of <paramref name="outer"/> covers out of <paramref name="inner"/>: addresses and ports are the two sides of a rectangle.</summary>
    private static bool CoversTogether(ImmutableArray<TrafficSelector> outer, TrafficSelector inner)
    {
        // "any protocol", "any port" and OPAQUE are covered by their likes only, so that the rest is geometry
        var useful = outer.Where(one => one.Version == inner.Version && (one.Protocol == 0 || one.Protocol == inner.Protocol) && (one.AnyPort || (!one.IsOpaque && !inner.IsOpaque && !inner.AnyPort) || (one.IsOpaque && inner.IsOpaque)));
        var rest = new List<TrafficSelector> { inner };
        foreach (var by in useful)
        {
            rest = [.. rest.SelectMany(part => Subtract(part, by))];
            if (rest.Count is 0 or > 4096) break;
        }

        return rest.Count == 0;
    }

    private static IEnumerable<TrafficSelector> Subtract(TrafficSelector part, TrafficSelector by)
    {
        if (Intersect(part, by) is not { } both)
        {
            yield return part;
            yield break;
        }

        if (part.First < both.First) yield return part with { Last = IpAddress.FromBits(both.First.Bits - 1, part.Version) };
        if (part.Last > both.Last) yield return part with { First = IpAddress.FromBits(both.Last.Bits + 1, part.Version) };
        if (part.IsOpaque) yield break;
        if (part.FirstPort < both.FirstPort) yield return both with { FirstPort = part.FirstPort, LastPort = (ushort)(both.FirstPort - 1) };
        if (part.LastPort > both.LastPort) yield return both with { FirstPort = (ushort)(both.LastPort + 1), LastPort = part.LastPort };
    }

    private static bool Fail(string message, out string? error)
    {
        error = message;
        return false;
    }
}
