using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;
using Warifu.Policy;

namespace Warifu.Simulation;

/// <summary>What came of many worlds.</summary>
internal sealed class Outcome
{
    public int Count { get; set; }

    public long Steps { get; set; }

    public List<BadEnding> Failures { get; } = [];

    public Coverage Coverage { get; } = new();
}

/// <summary>Plays many worlds, on all processors; each is its own and deterministic.</summary>
internal static class Worlds
{
    /// <param name="seed">Of all.</param>
    /// <param name="first">Number of the first world.</param>
    /// <param name="count">How many.</param>
    /// <param name="limit">Stop after this time of the real clock.</param>
    /// <param name="keepGoing">Go on after a bad ending.</param>
    /// <param name="onFailure">Told of each bad ending.</param>
    /// <param name="version">Only worlds that speak this one.</param>
    public static Outcome Run(ulong seed, int first, int count, TimeSpan? limit = null, bool keepGoing = true, Action<BadEnding>? onFailure = null, IkeVersion? version = null)
    {
        var outcome = new Outcome();
        var gate = new Lock();
        var watch = Stopwatch.StartNew();
        var next = first - 1;
        Parallel.For(0, Environment.ProcessorCount, _ =>
        {
            while (limit is null || watch.Elapsed < limit)
            {
                var turn = Interlocked.Increment(ref next);
                if (turn - first >= count) return;
                // every fourth one, or the three others
                var number = version switch { IkeVersion.V1 => (turn * 4) + 3, IkeVersion.V2 => (turn / 3 * 4) + (turn % 3), _ => turn };
                using var world = new World(seed, number);
                BadEnding? failure = null;
                try
                {
                    world.Run();
                }
                catch (BadEnding ending)
                {
                    failure = ending;
                }

                lock (gate)
                {
                    outcome.Count++;
                    outcome.Steps += world.Steps;
                    outcome.Coverage.Add(world.Reached);
                    if (failure is null) continue;
                    outcome.Failures.Add(failure);
                    onFailure?.Invoke(failure);
                    if (!keepGoing) Interlocked.Exchange(ref next, int.MaxValue / 2);
                }
            }
        });
        return outcome;
    }
}
