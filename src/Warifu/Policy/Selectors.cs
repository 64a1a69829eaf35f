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
        byte protocol = 0;
        (ushort First, ushort Last) ports = (0, ushort.MaxValue);
        var bracket = text.IndexOf('[', StringComparison.Ordinal);
        if (bracket >= 0)
        {
            if (!text.EndsWith(']')) return Fail($"'{text}' has no closing bracket; write ADDRESS/PREFIX[protocol/port]", out error);
            if (!TryParseBracket(text[(bracket + 1)..^1], out protocol, out ports, out error)) return false;
            text = text[..bracket];
        }

        if (text == "dynamic")
        {
            selector = new SelectorPattern(true, new TrafficSelector(default, default, protocol, ports.First, ports.Last));
            return true;
        }

        if (!TryParseAddresses(text, out var first, out var last, out error)) return false;
        selector = SelectorPattern.Of(new TrafficSelector(first, last, protocol, ports.First, ports.Last));
        return true;
    }

    /// <summary>Reads an address, a prefix or a range.</summary>
    public static bool TryParseAddresses(string text, out IpAddress first, out IpAddress last, [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(text);
        (first, last, error) = (default, default, null);
        var dash = text.IndexOf('-', StringComparison.Ordinal);
        if (dash >= 0)
        {
            if (!IpAddress.TryParse(text.AsSpan(0, dash).Trim(), out first) || !IpAddress.TryParse(text.AsSpan(dash + 1).Trim(), out last) || first.Version != last.Version || first > last)
                return Fail($"'{text}' is not an address range; write LOWEST-HIGHEST of one IP version", out error);
            return true;
        }

        var slash = text.IndexOf('/', StringComparison.Ordinal);
        if (!IpAddress.TryParse(slash < 0 ? text : text.AsSpan(0, slash), out first)) return Fail($"'{text}' is not an IP address, prefix or range", out error);
        last = first;
        if (slash < 0) return true;
        if (!int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var length) || length > first.BitLength)
            return Fail($"prefix length '{text[(slash + 1)..]}' is out of range; an IPv{first.Version} prefix has 0 to {first.BitLength} bits", out error);
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

    /// <summary>True when each of <paramref name="inner"/> is covered by one of <paramref name="outer"/>.</summary>
    public static bool Covers(ImmutableArray<TrafficSelector> outer, ImmutableArray<TrafficSelector> inner) => inner.All(one => outer.Any(by => Covers(by, one)));

    /// <summary>A list as people read it.</summary>
    public static string Print(IEnumerable<TrafficSelector> selectors) => string.Join(", ", selectors);

    private static bool TryParseBracket(string text, out byte protocol, out (ushort First, ushort Last) ports, [NotNullWhen(false)] out string? error)
    {
        (protocol, ports, error) = (0, (0, ushort.MaxValue), null);
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        var name = slash < 0 ? text : text[..slash];
        if (!TryParseProtocol(name, out protocol)) return Fail($"unknown protocol '{name}'; write a number 0-255 or icmp, tcp, udp, ipv6-icmp, gre, sctp …", out error);
        if (slash < 0) return true;
        var port = text[(slash + 1)..];
        if (port is "any" or "") return true;
        if (port == "opaque")
        {
            ports = (ushort.MaxValue, 0);
            return true;
        }

        var dash = port.IndexOf('-', StringComparison.Ordinal);
        if (!TryParsePort(dash < 0 ? port : port[..dash], out var first)) return Fail($"unknown port '{port}'; write a number 0-65535, FROM-TO, any or opaque", out error);
        var last = first;
        if (dash >= 0 && (!TryParsePort(port[(dash + 1)..], out last) || last < first)) return Fail($"'{port}' is not a port range; write FROM-TO", out error);
        // ICMP: a value below 256 is a type, all codes; else type and code
        ports = protocol is 1 or 58 && first < 256 && last < 256 ? ((ushort)(first << 8), (ushort)((last << 8) | 0xFF)) : (first, last);
        return true;
    }

    private static bool TryParseProtocol(string name, out byte protocol)
    {
        protocol = name switch { "any" or "" => 0, "icmp" => 1, "igmp" => 2, "ipip" or "ipencap" => 4, "tcp" => 6, "udp" => 17, "ipv6" => 41, "gre" => 47, "esp" => 50, "ah" => 51, "ipv6-icmp" or "icmpv6" => 58, "ospf" => 89, "sctp" => 132, _ => 255 };
        return protocol != 255 || byte.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out protocol);
    }

    private static bool TryParsePort(string name, out ushort port)
    {
        port = name switch { "ftp" => 21, "ssh" => 22, "telnet" => 23, "smtp" => 25, "domain" => 53, "http" => 80, "ntp" => 123, "snmp" => 161, "bgp" => 179, "ldap" => 389, "https" => 443, "syslog" => 514, "l2tp" => 1701, "radius" => 1812, _ => 0 };
        return port != 0 || ushort.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out port);
    }

    private static bool Fail(string message, out string? error)
    {
        error = message;
        return false;
    }
}

/// <summary>What came out of narrowing.</summary>
/// <param name="Local">Our side's selectors; empty = nothing in common.</param>
/// <param name="Remote">The peer's side.</param>
/// <param name="MorePossible">The peer may ask for more in a further child (ADDITIONAL_TS_POSSIBLE).</param>
/// <param name="WhyNot">When empty: which configured and offered selectors do not meet.</param>
internal sealed record NarrowingResult(ImmutableArray<TrafficSelector> Local, ImmutableArray<TrafficSelector> Remote, bool MorePossible, string WhyNot)
{
    public bool IsEmpty => Local.IsEmpty || Remote.IsEmpty;
}

/// <summary>The responder's choice of traffic selectors (RFC 7296 section 2.9) as a pure function.</summary>
internal static class Narrowing
{
    /// <param name="local">Configured for our side, addresses filled in.</param>
    /// <param name="remote">Configured for the peer's side.</param>
    /// <param name="offeredLocal">TSr of a request.</param>
    /// <param name="offeredRemote">TSi of a request.</param>
    public static NarrowingResult Narrow(ImmutableArray<TrafficSelector> local, ImmutableArray<TrafficSelector> remote, ImmutableArray<TrafficSelector> offeredLocal, ImmutableArray<TrafficSelector> offeredRemote)
    {
        var nearLocal = Meet(local, offeredLocal);
        var nearRemote = Meet(remote, offeredRemote);
        // a pair needs one IP version and one protocol: selectors of the one side without a counterpart select nothing
        var pairedLocal = nearLocal.RemoveAll(one => !nearRemote.Any(other => Pairs(one, other)));
        var pairedRemote = nearRemote.RemoveAll(one => !nearLocal.Any(other => Pairs(one, other)));
        if (pairedLocal.IsEmpty || pairedRemote.IsEmpty)
        {
            var side = nearLocal.IsEmpty ? $"local_ts is {Selectors.Print(local)}, the peer asks for {Selectors.Print(offeredLocal)}"
                : nearRemote.IsEmpty ? $"remote_ts is {Selectors.Print(remote)}, the peer asks for {Selectors.Print(offeredRemote)}"
                : "the two sides have no selectors of the same IP version and protocol";
            return new NarrowingResult([], [], false, side);
        }

        return new NarrowingResult(pairedLocal, pairedRemote, false, "");
    }

    private static bool Pairs(TrafficSelector left, TrafficSelector right) => left.Version == right.Version && (left.Protocol == 0 || right.Protocol == 0 || left.Protocol == right.Protocol);

    private static ImmutableArray<TrafficSelector> Meet(ImmutableArray<TrafficSelector> ours, ImmutableArray<TrafficSelector> theirs)
    {
        var met = new List<TrafficSelector>();
        foreach (var own in ours)
        {
            foreach (var other in theirs)
            {
                if (Selectors.Intersect(own, other) is { } both && !met.Exists(have => Selectors.Covers(have, both)))
                {
                    met.RemoveAll(have => Selectors.Covers(both, have));
                    met.Add(both);
                }
            }
        }

        return [.. met];
    }
}
