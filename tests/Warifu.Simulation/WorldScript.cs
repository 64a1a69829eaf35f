using System;
using System.Collections.Generic;
using System.Linq;

namespace Warifu.Simulation;

internal enum Deed
{
    Up,
    UpAll,
    RekeyChild,
    RekeyIke,
    DownChild,
    DownIke,
    Reload,
    DropChild,
    Crash,
    Outage,
    Rebind,
    Attack,
    Acquire,
    Reauth,
    Roam,
}

/// <summary>Something that happens to a world.</summary>
/// <param name="At">Since its beginning.</param>
/// <param name="OnLeft">On which side.</param>
/// <param name="Deed">What.</param>
/// <param name="Child">To which child.</param>
/// <param name="Span">How long.</param>
internal readonly record struct Act(TimeSpan At, bool OnLeft, Deed Deed, int Child = 0, TimeSpan Span = default);

/// <summary>Draws what operators, peers and the weather do: single deeds, and pairs of deeds on both sides within a round trip, which is where protocols break.</summary>
internal static class WorldScript
{
    private static readonly Deed[] s_crossing = [Deed.RekeyChild, Deed.RekeyChild, Deed.RekeyChild, Deed.RekeyIke, Deed.RekeyIke, Deed.DownChild, Deed.DownIke, Deed.Up, Deed.Reauth];

    public static List<Act> Draw(WorldPlan plan, SeededEntropy luck)
    {
        var acts = new List<Act>();
        TimeSpan Moment() => TimeSpan.FromMilliseconds(luck.Below((int)plan.Length.TotalMilliseconds));
        // without somebody who keeps it up, somebody must begin
        if (!plan.LeftKeeps && !plan.RightKeeps) acts.Add(new Act(TimeSpan.FromMilliseconds(luck.Below(500)), true, Deed.UpAll));
        var closes = plan.Closes;
        var roundTrip = (2 * (plan.Network.Delay + plan.Network.Jitter)) + TimeSpan.FromMilliseconds(5);
        for (var i = 2 + luck.Below(8); i > 0; i--)
        {
            var at = TimeSpan.FromSeconds(3) + Moment();
            var (first, second) = (s_crossing[luck.Below(s_crossing.Length)], s_crossing[luck.Below(s_crossing.Length)]);
            if (!closes) (first, second) = (Harmless(first), Harmless(second));
            var child = luck.Below(plan.Children);
            var side = luck.Chance(0.5);
            acts.Add(new Act(at, side, first, child));
            if (luck.Chance(0.6)) acts.Add(new Act(at + (luck.Chance(0.3) ? TimeSpan.Zero : luck.NextSpanBelow(roundTrip)), !side, second, luck.Chance(0.7) ? child : luck.Below(plan.Children)));
            if (luck.Chance(0.2)) acts.Add(new Act(at + luck.NextSpanBelow(roundTrip), side, first == Deed.RekeyIke ? Deed.RekeyChild : Deed.RekeyIke, child));
        }

        if (luck.Chance(0.2) && plan.Dpd > TimeSpan.Zero) acts.Add(new Act(Moment(), luck.Chance(0.5), Deed.Crash));
        if (luck.Chance(0.2)) acts.Add(new Act(Moment(), luck.Chance(0.5), Deed.Reload, luck.Below(plan.Children)));
        if (luck.Chance(0.1)) acts.Add(new Act(Moment(), luck.Chance(0.5), Deed.DropChild, luck.Below(plan.Children), TimeSpan.FromSeconds(1 + luck.Below(40))));
        if (luck.Chance(0.2)) acts.Add(new Act(Moment(), luck.Chance(0.5), Deed.Acquire, luck.Below(plan.Children)));
        if (plan.HasNat) for (var i = luck.Below(4); i >= 0; i--) acts.Add(new Act(Moment(), true, Deed.Rebind));
        if (plan.Outages) for (var i = luck.Below(4); i >= 0; i--) acts.Add(new Act(Moment(), true, Deed.Outage, 0, TimeSpan.FromSeconds(luck.Chance(0.2) ? 60 + luck.Below(120) : 1 + luck.Below(40))));
        if (plan.HasAdversary) for (var i = 5 + luck.Below(60); i > 0; i--) acts.Add(new Act(Moment(), true, Deed.Attack));
        return [.. acts.OrderBy(act => act.At)];
    }

    /// <summary>What a nervous operator does at the very moment when something comes up.</summary>
    public static Deed Nervous(WorldPlan plan, SeededEntropy luck)
    {
        var deed = s_crossing[luck.Below(s_crossing.Length)];
        return plan.Closes ? deed : Harmless(deed);
    }

    /// <summary>The left side gets other addresses now and then.</summary>
    public static IEnumerable<Act> Roaming(WorldPlan plan, SeededEntropy luck)
    {
        for (var i = 1 + luck.Below(4); i > 0; i--)
        {
            var at = TimeSpan.FromMilliseconds(luck.Below((int)plan.Length.TotalMilliseconds));
            yield return new Act(at, true, Deed.Roam);
            // and again before the first change is through
            if (luck.Chance(0.3)) yield return new Act(at + TimeSpan.FromMilliseconds(luck.Below(400)), true, Deed.Roam);
        }
    }

    private static Deed Harmless(Deed deed) => deed switch { Deed.DownChild => Deed.RekeyChild, Deed.DownIke => Deed.RekeyIke, _ => deed };

    private static TimeSpan NextSpanBelow(this SeededEntropy luck, TimeSpan bound) => TimeSpan.FromTicks((long)(luck.Next() % (ulong)Math.Max(1, bound.Ticks)));
}
