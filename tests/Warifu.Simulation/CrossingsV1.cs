using System;
using System.Collections.Generic;
using System.Linq;

namespace Warifu.Simulation;

/// <summary>
/// Crossing streams in IKEv1: quick mode with quick mode, phase 1 with phase 1, phase 1 with quick mode, deletes with all of them. Their messages arrive in every order of the first steps, once, twice, never or
/// overtaken by the next one. In the end both sides have what <see cref="RestV1"/> allows, and no packet found a gap meanwhile.
/// </summary>
internal static class CrossingsV1
{
    public static IReadOnlyList<string> Deeds { get; } = ["rekey a", "rekey b", "rekey", "down a", "down b", "down", "up c"];

    /// <summary>Each pair of deeds; those that differ also the other way round: who began phase 1 is not who answers it.</summary>
    public static IEnumerable<(string Left, string Right)> Pairs => from left in Deeds from right in Deeds select (left, right);

    /// <summary>Plays one; returns what is wrong in the end, with its story, or null.</summary>
    public static string? Play(Passage passage, KindV1 kind, string left, string right, string? then = null)
    {
        using var pair = new CrossingPair((ulong)(passage.Order & 3) + 1, traffic: (passage.Order & 1) == 0, v1: kind);
        pair.Do(true, left);
        pair.Do(false, right);
        if (then is not null) pair.Do(true, then);
        return End(pair, passage, then is null ? [left, right] : [left, right, then], ["a", "b"]) is { } wrong ? Tell(pair, $"{left} x {right}{(then is null ? "" : $" x {then}")}, {kind}, {passage}", wrong) : null;
    }

    /// <summary>Nothing is up and both sides begin phase 1 at the same time.</summary>
    public static string? PlayInitiation(Passage passage, KindV1 kind, string left, string right)
    {
        using var pair = new CrossingPair((ulong)(passage.Order & 3) + 1, isUp: false, v1: kind);
        pair.Do(true, left);
        pair.Do(false, right);
        return End(pair, passage, [left, right], []) is { } wrong ? Tell(pair, $"{left} x {right} from nothing, {kind}, {passage}", wrong) : null;
    }

    /// <summary>The first that goes wrong of all, or null: for planted bugs.</summary>
    public static string? PlayAll()
    {
        foreach (var kind in KindV1.All.Take(2))
        {
            foreach (var (left, right) in Pairs)
            {
                foreach (var passage in Crossings.Passages(4, isLong: false))
                {
                    if (Play(passage, kind, left, right) is { } wrong) return wrong;
                }
            }

            foreach (var passage in Crossings.Passages(4, isLong: false))
            {
                if ((PlayInitiation(passage, kind, "up a", "up a") ?? PlayInitiation(passage, kind, "up a", "up c")) is { } wrong) return wrong;
            }
        }

        return null;
    }

    private static string? End(CrossingPair pair, Passage passage, string[] deeds, string[] before)
    {
        var step = 0;
        bool LeftFirst() => ((passage.Order >> Math.Min(step, passage.Depth - 1)) & 1) == 0;
        while (!pair.IsSilent && step < 60)
        {
            var toLeft = LeftFirst();
            var times = step == passage.Lost ? 0 : step == passage.Doubled ? 2 : 1;
            if (!pair.Deliver(toLeft, times, step == passage.Overtaken)) pair.Deliver(!toLeft, times, step == passage.Overtaken);
            step++;
        }

        pair.ComeToRest(LeftFirst);
        var (sure, maybe) = Expected(deeds, before);
        // whether both agree that something is down cannot be known where a delete was lost; but the next 'up' mends it
        var hasLoss = passage.Lost >= 0;
        if (hasLoss && deeds.Any(deed => deed.StartsWith("down", StringComparison.Ordinal)))
        {
            foreach (var child in new[] { "a", "b" })
            {
                pair.Do(true, "up " + child);
                pair.ComeToRest(LeftFirst);
            }

            return pair.WhatIsWrongV1(["a", "b", .. maybe.Concat(sure).Where(name => name == "c" && pair.Has(name))], isLossless: false);
        }

        return pair.WhatIsWrongV1([.. sure, .. maybe.Where(pair.Has)], !hasLoss);
    }

    /// <summary>What must be up in the end, and what may be, as long as both sides agree: there IKEv1 does not say which of two deeds was the later one.</summary>
    private static (string[] Sure, string[] Maybe) Expected(string[] deeds, string[] before)
    {
        var up = before.ToHashSet(StringComparer.Ordinal);
        var maybe = new HashSet<string>(StringComparer.Ordinal);
        foreach (var deed in deeds)
        {
            if (deed.StartsWith("up ", StringComparison.Ordinal)) up.Add(deed[3..]);
        }

        foreach (var deed in deeds)
        {
            var closed = deed == "down" ? up.ToArray() : deed.StartsWith("down ", StringComparison.Ordinal) ? [deed[5..]] : [];
            foreach (var name in closed)
            {
                up.Remove(name);
                // a quick mode for it crosses the delete
                if (deeds.Contains("rekey " + name) || deeds.Contains("up " + name)) maybe.Add(name);
            }
        }

        return ([.. up], [.. maybe]);
    }

    private static string Tell(CrossingPair pair, string what, string wrong) => $"{what}: {wrong}\n{string.Join('\n', pair.Story.TakeLast(60))}";
}
