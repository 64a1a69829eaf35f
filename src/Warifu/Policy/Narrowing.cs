using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>What came out of narrowing.</summary>
/// <param name="Local">Our side's selectors; empty = nothing in common.</param>
/// <param name="Remote">The peer's side.</param>
/// <param name="MorePossible">The peer may ask for more in a further child (ADDITIONAL_TS_POSSIBLE).</param>
/// <param name="WhyNot">When empty: which configured and offered selectors do not meet.</param>
internal sealed record NarrowingResult(ImmutableArray<TrafficSelector> Local, ImmutableArray<TrafficSelector> Remote, bool MorePossible, string WhyNot)
{
    public bool IsEmpty => Local.IsEmpty || Remote.IsEmpty;
}

/// <summary>
/// The responder's choice of traffic selectors (RFC 7296 section 2.9) as a pure function: everything that both sides select, in the order of the peer's wishes, so that its first choice stays first. Our policy and
/// the offer are products (each local with each remote), and so is what they have in common.
/// </summary>
internal static class Narrowing
{
    /// <summary>A TS payload has room for 255 selectors; what does not fit is possible in a further child.</summary>
    internal const int MaxSelectors = 255;

    /// <param name="local">Configured for our side, addresses filled in.</param>
    /// <param name="remote">Configured for the peer's side.</param>
    /// <param name="offeredLocal">TSr of a request.</param>
    /// <param name="offeredRemote">TSi of a request.</param>
    public static NarrowingResult Narrow(ImmutableArray<TrafficSelector> local, ImmutableArray<TrafficSelector> remote, ImmutableArray<TrafficSelector> offeredLocal, ImmutableArray<TrafficSelector> offeredRemote)
    {
        var nearLocal = Meet(local, offeredLocal, out var moreLocal);
        var nearRemote = Meet(remote, offeredRemote, out var moreRemote);
        // a pair needs one IP version and one protocol: selectors of the one side without a counterpart select nothing
        var pairedLocal = nearLocal.RemoveAll(one => !nearRemote.Any(other => Pairs(one, other)));
        var pairedRemote = nearRemote.RemoveAll(one => !nearLocal.Any(other => Pairs(one, other)));
        if (!pairedLocal.IsEmpty && !pairedRemote.IsEmpty) return new NarrowingResult(pairedLocal, pairedRemote, moreLocal || moreRemote, "");
        var side = nearLocal.IsEmpty ? $"local_ts is {Selectors.Print(local)}, the peer asks for {Selectors.Print(offeredLocal)}"
            : nearRemote.IsEmpty ? $"remote_ts is {Selectors.Print(remote)}, the peer asks for {Selectors.Print(offeredRemote)}"
            : $"{Selectors.Print(nearLocal)} and {Selectors.Print(nearRemote)} have no IP version and protocol in common";
        return new NarrowingResult([], [], false, side);
    }

    private static bool Pairs(TrafficSelector left, TrafficSelector right) => left.Version == right.Version && (left.Protocol == 0 || right.Protocol == 0 || left.Protocol == right.Protocol);

    private static ImmutableArray<TrafficSelector> Meet(ImmutableArray<TrafficSelector> ours, ImmutableArray<TrafficSelector> theirs, out bool more)
    {
        more = false;
        var met = new List<TrafficSelector>();
        foreach (var other in theirs)
        {
            foreach (var own in ours)
            {
                if (Selectors.Intersect(own, other) is not { } both || met.Exists(have => Selectors.Covers(have, both))) continue;
                // a wider one takes the place of the first that it covers: the packet that the peer begins with, then its net
                var place = met.FindIndex(have => Selectors.Covers(both, have));
                if (place >= 0) met[place] = both;
                else if (met.Count < MaxSelectors) met.Add(both);
                else more = true;
                if (place >= 0) RemoveCovered(met, both, place + 1);
            }
        }

        return [.. met];
    }

    private static void RemoveCovered(List<TrafficSelector> met, TrafficSelector by, int from)
    {
        for (var i = met.Count - 1; i >= from; i--)
        {
            if (Selectors.Covers(by, met[i])) met.RemoveAt(i);
        }
    }
}
