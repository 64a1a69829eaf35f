using System;
using System.Linq;
using Warifu.Policy;
using Warifu.Simulation;
using Xunit;

namespace Warifu.Tests.Simulation;

/// <summary>Two engines in deterministic worlds (item 1.18): a slice by default, ten thousand worlds with WARIFU_LONG=1.</summary>
[Trait("Item", "1.18")]
public sealed class WorldTests
{
    /// <summary>What the slice must reach, and in how many of 1,300 worlds at least.</summary>
    private static readonly (string State, int Least)[] s_mustReach =
    [
        ("RekeyChild while RekeyingThisChild", 100),
        ("RekeyChild while DeletingThisChild", 20),
        ("RekeyChild while RekeyingIke", 50),
        ("RekeyIke while RekeyingIke", 100),
        ("RekeyIke while CreatingChild", 10),
        ("RekeyIke while RekeyingOtherChild", 100),
        ("RekeyIke while DeletingOtherChild", 20),
        ("RekeyIke while DeletingIke", 5),
        ("CreateChild while CreatingChild", 10),
        ("CreateChild while RekeyingIke", 5),
        ("CreateChild while DeletingIke", 1),
        ("DeleteChild while DeletingThisChild", 3),
        ("DeleteChild while RekeyingOtherChild", 50),
        ("DeleteChild while RekeyingIke", 10),
        ("DeleteIke while RekeyingIke", 50),
        ("DeleteIke while DeletingIke", 100),
        ("rekey answer lost", 300),
        ("cookie demanded", 150),
        ("other group demanded", 100),
        ("NAT rebound", 150),
        ("peer followed", 100),
        ("address changed", 50),
        ("request repeated on a new path", 20),
        ("several requests at once", 50),
        ("message sent in fragments", 100),
        ("message too large for the path", 40),
        ("smaller fragments tried", 30),
        ("host crashed", 100),
        ("initial contact", 50),
        ("long outage", 50),
        ("message replayed", 150),
        ("bit flipped", 150),
        ("first message forged", 150),
        ("refusal of the first message forged", 100),
        ("impostor refused", 50),
        ("soft limit of packets", 100),
        ("hard limit of packets", 5),
        ("configuration changed", 100),
        ("child taken out of the configuration", 50),
        ("acquire", 50),
        ("signature", 300),
        ("virtual address", 200),
        ("authenticated anew", 300),
        ("acted at once", 100),
        ("peer restarted, as its token proves", 10),
        ("drop InProgress", 30),
        ("drop OutOfWindow", 30),
        ("drop BadIntegrity", 10),
    ];

    /// <summary>The same of IKEv1, of 250 worlds.</summary>
    private static readonly (string State, int Least)[] s_mustReachV1 =
    [
        ("quick mode x quick mode", 60),
        ("quick mode x phase 1", 20),
        ("phase 1 x quick mode", 20),
        ("phase 1 x phase 1", 40),
        ("delete x quick mode", 30),
        ("delete x phase 1", 10),
        ("phase 1 anew", 100),
        ("request repeated", 100),
        ("message sent in pieces", 10),
        ("NAT rebound", 30),
        ("peer followed", 15),
        ("host crashed", 20),
        ("initial contact", 5),
        ("long outage", 10),
        ("message replayed", 30),
        ("bit flipped", 20),
        ("sealed message spoiled", 20),
        ("first message forged", 30),
        ("refusal forged", 30),
        ("impostor refused", 10),
        ("soft limit of packets", 15),
        ("signature", 50),
        ("stranger answered", 12),
        ("drop BadIntegrity", 10),
        ("drop OutOfWindow", 20),
    ];

    [Fact]
    public void Handshakes_rekeyings_deletes_and_liveness_hold_in_random_worlds()
    {
        var isLong = Environment.GetEnvironmentVariable("WARIFU_LONG") == "1";
        var outcome = Worlds.Run(seed: 1, first: 0, count: isLong ? 10_000 : 1_300, version: IkeVersion.V2);
        Assert.True(outcome.Failures.Count == 0, $"{outcome.Failures.Count} of {outcome.Count} worlds came to a bad end:\n" + string.Join('\n', outcome.Failures.OrderBy(failure => failure.World).Take(5).Select(failure => failure.Message)));
        Reaches(outcome, s_mustReach);
    }

    /// <summary>Main and aggressive mode, quick mode, dead peer detection, phase 1 anew, NAT, crashes, deletes that nobody answers (item 3.14).</summary>
    [Fact]
    [Trait("Item", "3.14")]
    public void IKEv1_holds_in_random_worlds()
    {
        var isLong = Environment.GetEnvironmentVariable("WARIFU_LONG") == "1";
        var outcome = Worlds.Run(seed: 1, first: 0, count: isLong ? 1_250 : 250, version: IkeVersion.V1);
        Assert.True(outcome.Failures.Count == 0, $"{outcome.Failures.Count} of {outcome.Count} worlds came to a bad end:\n" + string.Join('\n', outcome.Failures.OrderBy(failure => failure.World).Take(5).Select(failure => failure.Message)));
        Reaches(outcome, s_mustReachV1);
    }

    /// <summary>A generator that does not get there proves nothing.</summary>
    private static void Reaches(Outcome outcome, (string State, int Least)[] states)
    {
        var missing = states.Where(row => outcome.Coverage.Of(row.State) < row.Least).Select(row => $"{row.State}: {outcome.Coverage.Of(row.State)} worlds, {row.Least} wanted").ToArray();
        Assert.True(missing.Length == 0, string.Join('\n', missing));
    }

    [Theory]
    [InlineData(1, 3)]
    [InlineData(1, 10)]
    [InlineData(77, 12345)]
    public void The_same_seed_plays_the_same_world(ulong seed, int number)
    {
        Assert.Equal(Play(seed, number), Play(seed, number));
        Assert.NotEqual(Play(seed, number), Play(seed, number + 1));

        static (ulong, long) Play(ulong seed, int number)
        {
            using var world = new World(seed, number);
            world.Run();
            return (world.TraceHash, world.Steps);
        }
    }

    [Fact]
    public void A_bad_ending_says_how_to_see_it_again()
    {
        using var world = new World(5, 17);
        var ending = Assert.Throws<BadEnding>(() => world.Fail("left has lost its keys"));
        Assert.Contains("left has lost its keys", ending.Message, StringComparison.Ordinal);
        Assert.EndsWith("./sim --seed 5 --world 17", ending.Message, StringComparison.Ordinal);
    }
}
