using System;
using System.Collections.Generic;
using System.Linq;

namespace Warifu.Simulation;

/// <summary>How the messages of a crossing arrive.</summary>
/// <param name="Order">Bit i: at step i the right side's turn comes first.</param>
/// <param name="Depth">Bits that count; the last one holds for all further steps.</param>
/// <param name="Lost">Number of the message that is lost; -1 = none.</param>
/// <param name="Doubled">Number of the message that comes twice.</param>
/// <param name="Overtaken">At this step the message behind the oldest one comes first.</param>
internal readonly record struct Passage(int Order, int Depth, int Lost = -1, int Doubled = -1, int Overtaken = -1)
{
    public override string ToString() => $"order {Convert.ToString(Order & ((1 << Depth) - 1), 2).PadLeft(Depth, '0')}, lost {Lost}, doubled {Doubled}, overtaken {Overtaken}";
}

/// <summary>
/// Crossing streams: both sides begin something at the same time, and their messages arrive in every order of the first steps, once, twice, never or overtaken by the next one. In the end there is one IKE SA, exactly
/// one pair for each child, no half without the other, no SPI that nobody uses; and no packet found a gap meanwhile.
/// </summary>
internal static class Crossings
{
    public static IReadOnlyList<string> Deeds { get; } = ["rekey a", "rekey b", "rekey", "down a", "down b", "down", "up c", "reauth", "probe"];

    /// <summary>Each pair of deeds once; where the side matters, both ways.</summary>
    public static IEnumerable<(string Left, string Right)> Pairs => from left in Deeds from right in Deeds where string.CompareOrdinal(left, right) <= 0 || left is "reauth" or "up c" or "rekey" select (left, right);

    /// <summary>All orders of the first steps, and for each of the first messages its loss, repetition and delay in some orders.</summary>
    public static IEnumerable<Passage> Passages(int depth, bool isLong)
    {
        for (var order = 0; order < 1 << depth; order++) yield return new Passage(order, depth);
        int[] orders = isLong ? [0b0101_0101, 0b1010_1010, 0, 0xFF, 0b0011_0011, 0b1100_1100] : [0b0101_0101, 0b1010_1010];
        for (var message = 0; message < 8; message++)
        {
            foreach (var order in orders)
            {
                yield return new Passage(order, 8, Lost: message);
                yield return new Passage(order, 8, Doubled: message);
                yield return new Passage(order, 8, Overtaken: message);
            }
        }
    }

    /// <summary>Plays one; returns what is wrong in the end, with its story, or null.</summary>
    public static string? Play(Passage passage, string left, string right, string? then = null)
    {
        // with little traffic the responder of a rekeying hears of the new pair by the delete of the old one only
        using var pair = new CrossingPair((ulong)(passage.Order & 3) + 1, traffic: (passage.Order & 1) == 0);
        pair.Do(true, left);
        pair.Do(false, right);
        if (then is not null) pair.Do(true, then);
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
        var wrong = pair.WhatIsWrong(Expected(then is null ? [left, right] : [left, right, then]));
        return wrong is null ? null : $"{left} x {right}{(then is null ? "" : $" x {then}")}, {passage}: {wrong}\n{string.Join('\n', pair.Story.TakeLast(60))}";
    }

    /// <summary>Nothing is up and both sides set up the connection at the same time: IKE_SA_INIT and IKE_AUTH cross.</summary>
    public static string? PlayInitiation(Passage passage, string left, string right)
    {
        using var pair = new CrossingPair((ulong)(passage.Order & 3) + 1, isUp: false);
        pair.Do(true, left);
        pair.Do(false, right);
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
        return pair.WhatIsWrong(left == right ? [left[3..]] : [left[3..], right[3..]]) is { } wrong ? $"{left} x {right} from nothing, {passage}: {wrong}\n{string.Join('\n', pair.Story.TakeLast(60))}" : null;
    }

    /// <summary>The first that goes wrong of all, or null: for planted bugs.</summary>
    public static string? PlayAll()
    {
        foreach (var (left, right) in Pairs)
        {
            foreach (var passage in Passages(4, isLong: false))
            {
                if (Play(passage, left, right) is { } wrong) return wrong;
            }
        }

        foreach (var passage in Passages(4, isLong: false))
        {
            if ((PlayInitiation(passage, "up a", "up a") ?? PlayInitiation(passage, "up a", "up c")) is { } wrong) return wrong;
        }

        foreach (var deed in new[] { "rekey a", "rekey" })
        {
            for (var lowest = 0; lowest < 4; lowest++)
            {
                if (Rekeyings(deed, lowest) is { } wrong) return wrong;
            }
        }

        return null;
    }

    /// <summary>
    /// Both sides rekey the same SA at the same time, and the lowest of the four nonces is 0: left's Ni, 1: right's Nr, 2: right's Ni, 3: left's Nr. The SA that was made with it goes, by who began it (RFC 7296
    /// section 2.8.1): returns what is wrong, or null.
    /// </summary>
    public static string? Rekeyings(string deed, int lowest)
    {
        foreach (var first in new[] { true, false })
        {
            using var pair = new CrossingPair();
            byte LeadOf(int nonce) => nonce == lowest ? (byte)0x10 : (byte)(0x80 + nonce);
            pair.Left.Entropy.Lead = LeadOf(0);
            pair.Do(true, deed);
            pair.Right.Entropy.Lead = LeadOf(2);
            pair.Do(false, deed);
            (pair.Left.Entropy.Lead, pair.Right.Entropy.Lead) = (LeadOf(3), LeadOf(1));
            pair.Deliver(first);
            pair.Deliver(!first);
            pair.Left.Entropy.Lead = pair.Right.Entropy.Lead = null;
            pair.ComeToRest(() => first);
            if (pair.WhatIsWrong(["a", "b"]) is { } wrong) return $"{deed} x {deed}, lowest nonce {lowest}: {wrong}\n{string.Join('\n', pair.Story)}";
            var leftSurvives = lowest >= 2;
            if (pair.SurvivorIsLefts(deed) != leftSurvives) return $"{deed} x {deed}: the lowest nonce is {(lowest switch { 0 => "left's Ni", 1 => "right's Nr", 2 => "right's Ni", _ => "left's Nr" })}, and the SA that {(leftSurvives ? "right" : "left")} began survives";
        }

        return null;
    }

    /// <summary>What is up in the end; null = the two deeds compete, and either may win, as long as both sides agree.</summary>
    private static string[]? Expected(string[] deeds)
    {
        if (deeds.Contains("down")) return deeds.Contains("reauth") || deeds.Contains("up c") ? null : [];
        if (deeds.Contains("reauth") && deeds.Any(deed => deed.StartsWith("down", StringComparison.Ordinal))) return null;
        var up = new List<string> { "a", "b" };
        if (deeds.Contains("up c")) up.Add("c");
        foreach (var deed in deeds) up.Remove(deed.StartsWith("down ", StringComparison.Ordinal) ? deed[5..] : "");
        return [.. up];
    }
}
