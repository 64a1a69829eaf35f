using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Simulation;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>
/// Crossing streams of IKEv1 (item 3.14): quick mode with quick mode, phase 1 with phase 1, phase 1 with quick mode, deletes with all of them; all orders of the first steps, each of the first messages lost, doubled
/// or overtaken. What must hold in the end says <see cref="RestV1"/>; no packet may find a gap meanwhile.
/// </summary>
[Trait("Item", "3.14")]
public sealed class CrossingV1Tests
{
    private static readonly bool s_isLong = Environment.GetEnvironmentVariable("WARIFU_LONG") == "1";

    public static IEnumerable<TheoryDataRow<string, string>> Pairs => CrossingsV1.Pairs.Select(pair => new TheoryDataRow<string, string>(pair.Left, pair.Right));

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Both_sides_at_the_same_time(string left, string right)
    {
        foreach (var kind in s_isLong ? KindV1.All : KindV1.All[..2])
        {
            foreach (var passage in Crossings.Passages(s_isLong ? 8 : 4, s_isLong)) Ends(CrossingsV1.Play(passage, kind, left, right));
        }
    }

    [Theory]
    [InlineData("rekey a", "rekey", "rekey")]
    [InlineData("rekey", "rekey a", "rekey a")]
    [InlineData("rekey", "rekey", "down a")]
    [InlineData("rekey", "rekey", "rekey")]
    [InlineData("rekey a", "rekey a", "rekey a")]
    [InlineData("rekey", "up c", "rekey b")]
    [InlineData("up c", "rekey", "up c")]
    public void Three_at_the_same_time(string left, string right, string then)
    {
        for (var order = 0; order < (s_isLong ? 512 : 32); order++) Ends(CrossingsV1.Play(new Passage(order, 9), KindV1.All[order & 3], left, right, then));
    }

    [Theory]
    [InlineData("up a", "up a")]
    [InlineData("up a", "up c")]
    public void Both_sides_begin_phase_1_at_the_same_time(string left, string right)
    {
        foreach (var kind in KindV1.All)
        {
            foreach (var passage in Crossings.Passages(s_isLong ? 10 : 5, s_isLong)) Ends(CrossingsV1.PlayInitiation(passage, kind, left, right));
        }
    }

    private static void Ends(string? wrong) => Assert.True(wrong is null, wrong);
}
