using System.Collections.Immutable;
using Warifu.Primitives;

namespace Warifu.Ipsec;

/// <summary>
/// The traffic selectors of a pair: a packet is covered when its near address, protocol and port lie in one of the local selectors and its far ones in one of the remote selectors.
/// Fragments but the first have no ports: they match ANY and OPAQUE ports only (RFC 4301 section 7.1, stateless: a pair with port selectors carries no such fragments).
/// </summary>
internal sealed class SelectorSet(ImmutableArray<TrafficSelector> local, ImmutableArray<TrafficSelector> remote)
{
    private readonly TrafficSelector[] _local = [.. local];
    private readonly TrafficSelector[] _remote = [.. remote];

    /// <summary>No selector looks at ports: fragments pass.</summary>
    public bool TakesFragments { get; } = AllPorts(local) && AllPorts(remote);

    /// <summary>The one address of an end; none when there are several.</summary>
    public IpAddress OnlyLocal { get; } = Only(local);

    public IpAddress OnlyRemote { get; } = Only(remote);

    /// <summary>IPv6 packets may come.</summary>
    public bool HasV6 { get; } = AnyV6(local);

    public bool CoversOutbound(in PacketFlow flow) => Covers(_local, flow.Source, flow.Protocol, flow.SourcePort, flow.HasPorts) && Covers(_remote, flow.Destination, flow.Protocol, flow.DestinationPort, flow.HasPorts);

    public bool CoversInbound(in PacketFlow flow) => Covers(_local, flow.Destination, flow.Protocol, flow.DestinationPort, flow.HasPorts) && Covers(_remote, flow.Source, flow.Protocol, flow.SourcePort, flow.HasPorts);

    public static bool Covers(in TrafficSelector selector, IpAddress address, byte protocol, ushort port, bool hasPorts)
    {
        if (address.Version != selector.First.Version || address.Bits < selector.First.Bits || address.Bits > selector.Last.Bits) return false;
        if (selector.Protocol != 0 && selector.Protocol != protocol) return false;
        if (selector.AnyPort) return true;
        return hasPorts ? port >= selector.FirstPort && port <= selector.LastPort : selector.IsOpaque;
    }

    private static bool Covers(TrafficSelector[] selectors, IpAddress address, byte protocol, ushort port, bool hasPorts)
    {
        foreach (ref readonly var selector in System.MemoryExtensions.AsSpan(selectors))
        {
            if (Covers(selector, address, protocol, port, hasPorts)) return true;
        }

        return false;
    }

    private static IpAddress Only(ImmutableArray<TrafficSelector> selectors)
    {
        if (selectors.IsEmpty) return default;
        foreach (var selector in selectors)
        {
            if (selector.First != selectors[0].First || selector.Last != selector.First) return default;
        }

        return selectors[0].First;
    }

    private static bool AllPorts(ImmutableArray<TrafficSelector> selectors)
    {
        foreach (var selector in selectors)
        {
            if (!selector.AnyPort) return false;
        }

        return true;
    }

    private static bool AnyV6(ImmutableArray<TrafficSelector> selectors)
    {
        foreach (var selector in selectors)
        {
            if (selector.Version == 6) return true;
        }

        return false;
    }
}
