using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.V1;

/// <summary>Networks behind a gateway as Cisco's clients know them: address, netmask and six octets that nobody uses. Such clients negotiate 0.0.0.0/0 in quick mode, and both sides mean these networks.</summary>
internal static class UnitySplit
{
    private const int EntryLength = 14;

    private static readonly TrafficSelector s_everything = TrafficSelector.Of(new IpPrefix(IpAddress.AnyV4, 0));

    public static bool IsEverything(TrafficSelector selector) => selector == s_everything;

    /// <summary>The selector that goes over the wire in the place of these networks.</summary>
    public static TrafficSelector Everything => s_everything;

    /// <summary>What the children of a connection have on our side, unless it is everything or our own address.</summary>
    public static List<byte> Of(Connection connection)
    {
        var octets = new List<byte>();
        foreach (var selector in connection.Children.SelectMany(child => child.LocalSelectors).Where(pattern => !pattern.IsDynamic).Select(pattern => pattern.Selector).Distinct())
        {
            if (!selector.TryGetPrefix(out var prefix) || !prefix.Address.IsV4 || prefix.Length == 0) continue;
            octets.AddRange(prefix.Address.ToOctets());
            octets.AddRange(IpAddress.FromBits(uint.MaxValue & ~(((ulong)1 << (32 - prefix.Length)) - 1), 4).ToOctets());
            octets.AddRange(new byte[6]);
        }

        return octets;
    }

    public static void Read(ReadOnlySpan<byte> octets, List<TrafficSelector> networks, int most)
    {
        for (; octets.Length >= EntryLength && networks.Count < most; octets = octets[EntryLength..])
        {
            var (address, mask) = (IpAddress.FromOctets(octets[..4]), IpAddress.FromOctets(octets[4..8]));
            var hosts = ~mask.Bits & uint.MaxValue;
            if ((hosts & (hosts + 1)) != 0) continue;
            networks.Add(new TrafficSelector(IpAddress.FromBits(address.Bits & ~hosts, 4), IpAddress.FromBits(address.Bits | hosts, 4)));
        }
    }

    /// <summary>The client asks for everything through the tunnel, from its virtual address: what it means are all networks of the child.</summary>
    public static bool Means(IsakmpSa sa, Child config, (TrafficSelector Local, TrafficSelector Remote) asked) =>
        sa.Peer.Unity && config.Mode == ChildMode.Tunnel && sa.Virtual is { Remote.IsEmpty: false } && IsEverything(asked.Local)
        && config.LocalSelectors.All(pattern => !pattern.IsDynamic && pattern.Selector.First.IsV4) && !config.LocalSelectors.IsEmpty
        && ChildConfig.Resolve(config.RemoteSelectors, sa.RemoteEnds).Contains(asked.Remote);
}
