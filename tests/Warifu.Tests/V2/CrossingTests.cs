using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Simulation;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>
/// Crossing streams (item 2.7): both sides begin something at the same time, all orders of the first steps, each of the first messages lost, doubled or overtaken. What must hold in the end, and for each packet
/// meanwhile, says <see cref="Crossings"/>.
/// </summary>
[Trait("Item", "2.7")]
public sealed class CrossingTests
{
    private static readonly bool s_isLong = Environment.GetEnvironmentVariable("WARIFU_LONG") == "1";

    public static IEnumerable<TheoryDataRow<string, string>> Pairs => Crossings.Pairs.Select(pair => new TheoryDataRow<string, string>(pair.Left, pair.Right));

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Both_sides_at_the_same_time(string left, string right)
    {
        foreach (var passage in Crossings.Passages(s_isLong ? 9 : 5, s_isLong)) Ends(Crossings.Play(passage, left, right));
    }

    [Theory]
    [InlineData("rekey a", "rekey", "rekey")]
    [InlineData("rekey", "rekey a", "rekey a")]
    [InlineData("rekey", "rekey", "down a")]
    [InlineData("rekey", "rekey", "rekey")]
    [InlineData("rekey a", "rekey a", "rekey a")]
    [InlineData("rekey a", "rekey a", "rekey")]
    [InlineData("rekey", "up c", "rekey b")]
    [InlineData("reauth", "rekey", "rekey a")]
    [InlineData("reauth", "reauth", "rekey")]
    [InlineData("up c", "rekey", "up c")]
    public void Three_at_the_same_time(string left, string right, string then)
    {
        for (var order = 0; order < (s_isLong ? 512 : 64); order++) Ends(Crossings.Play(new Passage(order, 9), left, right, then));
    }

    [Theory]
    [InlineData("up a", "up a")]
    [InlineData("up a", "up c")]
    public void Both_sides_set_up_the_connection_at_the_same_time(string left, string right)
    {
        foreach (var passage in Crossings.Passages(s_isLong ? 10 : 6, s_isLong)) Ends(Crossings.PlayInitiation(passage, left, right));
    }

    [Theory]
    [InlineData("rekey a", 0)]
    [InlineData("rekey a", 1)]
    [InlineData("rekey a", 2)]
    [InlineData("rekey a", 3)]
    [InlineData("rekey", 0)]
    [InlineData("rekey", 1)]
    [InlineData("rekey", 2)]
    [InlineData("rekey", 3)]
    public void The_SA_that_was_made_with_the_lowest_of_the_four_nonces_goes(string deed, int lowest) => Ends(Crossings.Rekeyings(deed, lowest));

    private static void Ends(string? wrong) => Assert.True(wrong is null, wrong);
}
