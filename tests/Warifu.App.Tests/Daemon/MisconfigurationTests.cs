using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Daemon;

/// <summary>Seeded misconfigurations between two daemons, each on either side: <c>explain</c> names the exact cause, who can mend it, and the line of the setting. The list is <see cref="Mistakes"/>.</summary>
[Trait("Item", "2.23")]
public sealed class MisconfigurationTests
{
    public static IEnumerable<TheoryDataRow<string, bool>> Rows => Mistakes.All.SelectMany(mistake => new[] { true, false }.Select(initiates => new TheoryDataRow<string, bool>(mistake.Name, initiates)));

    [Theory]
    [MemberData(nameof(Rows))]
    public Task The_exact_cause_is_named(string name, bool wrongInitiates) => TryAsync(Mistakes.All.Single(mistake => mistake.Name == name), wrongInitiates);

    internal static async Task TryAsync(Mistake mistake, bool wrongInitiates)
    {
        var (left, right) = (mistake.Both(Side.Left), mistake.Both(Side.Right));
        (left, right) = wrongInitiates ? (mistake.Wrong(left), mistake.Right(right)) : (mistake.Right(left), mistake.Wrong(right));
        await using var pair = await Pair.StartAsync(left, right);
        var answer = await pair.InitiateAsync();
        if (mistake.AtRekey)
        {
            Assert.True(answer.Text("success") == "yes", answer.Text("errmsg"));
            answer = await pair.Left.AskAsync("rekey", new ViciMessage().Add("ike", "site").Add("child", "net").Add("x-wait", "yes"));
        }

        Assert.Equal("no", answer.Text("success"));
        foreach (var (daemon, told) in wrongInitiates ? new[] { (pair.Left, mistake.AsInitiator), (pair.Right, mistake.OtherResponds) } : [(pair.Left, mistake.OtherInitiates), (pair.Right, mistake.AsResponder)])
        {
            if (told is null) continue;
            if (told.Reason == Told.LeftOut)
            {
                Assert.All(told.Why, part => Assert.Contains(part, answer.Text("errmsg"), StringComparison.Ordinal));
                continue;
            }

            var explained = await daemon.ExplainAsync(null, message => message.Text("result") == "failed");
            Check(daemon.File, explained, told);
        }
    }

    [Fact]
    public void There_are_forty_and_each_is_named_where_it_can_be_known()
    {
        Assert.True(Mistakes.All.Count >= 40, $"{Mistakes.All.Count}");
        Assert.Equal(Mistakes.All.Count, Mistakes.All.Select(mistake => mistake.Name).Distinct().Count());
        // in each role one side at least says the exact cause
        Assert.All(Mistakes.All, mistake => Assert.True((mistake.AsInitiator ?? mistake.OtherResponds) is not null && (mistake.AsResponder ?? mistake.OtherInitiates) is not null, mistake.Name));
    }

    private static void Check(string file, ViciMessage explained, Told told)
    {
        var text = string.Join('\n', explained.Items("text"));
        var failure = explained.Section("failure");
        Assert.True(failure is not null, text);
        Assert.True(failure.Text("reason") == told.Reason, $"reason {failure.Text("reason")}, expected {told.Reason}\n{text}");
        if (told.Who.Length > 0) Assert.True(failure.Text("side") == told.Who, $"side {failure.Text("side")}, expected {told.Who}\n{text}");
        foreach (var part in told.Why) Assert.True(text.Contains(part, StringComparison.Ordinal), $"'{part}' is not said\n{text}");
        foreach (var (setting, line) in told.Settings)
        {
            var place = failure.Section("settings")?.Elements.FirstOrDefault(element => element.Name.EndsWith("." + setting, StringComparison.Ordinal))?.Section;
            Assert.True(place is not null, $"{setting} is not pointed at\n{text}");
            Assert.True(line.Length == 0 || place.Text("at")!.StartsWith(Side.PlaceOf(file, line), StringComparison.Ordinal), $"{setting}: {place.Text("at")}, expected {Side.PlaceOf(file, line)}\n{text}");
        }
    }
}

/// <summary>As <see cref="MisconfigurationTests"/>, for IKEv1. The list is <see cref="MistakesV1"/>.</summary>
[Trait("Item", "3.15")]
public sealed class MisconfigurationV1Tests
{
    public static IEnumerable<TheoryDataRow<string, bool>> Rows => MistakesV1.All.SelectMany(mistake => new[] { true, false }.Select(initiates => new TheoryDataRow<string, bool>(mistake.Name, initiates)));

    [Theory]
    [MemberData(nameof(Rows))]
    public Task The_exact_cause_is_named(string name, bool wrongInitiates) => MisconfigurationTests.TryAsync(MistakesV1.All.Single(mistake => mistake.Name == name), wrongInitiates);

    [Fact]
    public void There_are_thirty_and_each_is_named_where_it_can_be_known()
    {
        Assert.True(MistakesV1.All.Count >= 30, $"{MistakesV1.All.Count}");
        Assert.Equal(MistakesV1.All.Count, MistakesV1.All.Select(mistake => mistake.Name).Distinct().Count());
        // in each role one side at least says the exact cause
        Assert.All(MistakesV1.All, mistake => Assert.True((mistake.AsInitiator ?? mistake.OtherResponds) is not null && (mistake.AsResponder ?? mistake.OtherInitiates) is not null, mistake.Name));
    }
}
