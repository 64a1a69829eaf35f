using System;
using System.Diagnostics;
using System.Linq;
using Warifu.Policy;

namespace Warifu.Bench;

/// <summary>
/// IKEv2 against IKEv1 with the same algorithms, in turn in one run, engine to engine in memory with real data paths: setting up one tunnel (R15: the second version must not be the slower one), and rekeying a pair
/// with and without a Diffie-Hellman exchange of its own (R79).
/// </summary>
internal static class SetupBench
{
    /// <summary>AES-128-CBC, SHA-256 and P-256 in both versions.</summary>
    private const string Ike = "aes128-sha256-ecp256", Esp = "aes128gcm16", EspPfs = "aes128gcm16-ecp256";

    /// <summary>Latency of a path with this round trip, in milliseconds.</summary>
    private const double RoundTrip = 20;

    private static readonly (string Name, IkeVersion Version, bool Aggressive)[] s_ways = [("IKEv2", IkeVersion.V2, false), ("IKEv1 main + quick mode", IkeVersion.V1, false), ("IKEv1 aggressive + quick mode", IkeVersion.V1, true)];

    public static void Run(Options options, Report report)
    {
        var (count, runs) = options.Smoke ? (50, 1) : (500, options.Runs ?? 5);
        report.Table("set-up with a pre-shared key, engine to engine in memory", "way", "messages", "one-way trips", "initiator CPU ms", "responder CPU ms", $"latency at {RoundTrip:F0} ms, ms");
        // in turn, so that what the machine does besides meets all alike
        var samples = s_ways.Select(_ => new SetUp[runs]).ToArray();
        for (var run = -1; run < runs; run++)
        {
            for (var way = 0; way < s_ways.Length; way++)
            {
                var figures = Measure(s_ways[way], run < 0 ? Math.Min(count, 200) : count);
                if (run >= 0) samples[way][run] = figures;
            }
        }

        double Median(int way, Func<SetUp, double> pick) => new Samples([.. samples[way].Select(pick)]).Median;
        var latencies = new double[s_ways.Length];
        for (var way = 0; way < s_ways.Length; way++)
        {
            var first = samples[way][0];
            latencies[way] = (first.Trips * RoundTrip / 2) + Median(way, run => run.Seconds * 1000);
            report.Row(s_ways[way].Name, first.Messages, first.Trips, Median(way, run => run.Initiator), Median(way, run => run.Responder), latencies[way]);
        }

        report.Require(latencies[0] <= latencies[1], "IKEv2 sets up no slower than main and quick mode with the same algorithms");

        report.Table("rekeying of a pair (of the replaced one IKEv2 includes the delete, IKEv1 sends it five seconds later)", "way", "messages", "CPU ms, both", "without PFS x");
        foreach (var (name, version, aggressive) in s_ways.Take(2))
        {
            var medians = new[] { Esp, EspPfs }.Select(esp => Enumerable.Range(0, runs).Select(_ => Rekey((name, version, aggressive), esp, options.Smoke ? 50 : 300)).ToArray()).ToArray();
            var plain = new Samples([.. medians[0].Select(run => run.Cpu)]).Median;
            var pfs = new Samples([.. medians[1].Select(run => run.Cpu)]).Median;
            report.Row(name + ", without PFS", medians[0][0].Messages, plain, 1.0);
            report.Row(name + ", with PFS (ecp256)", medians[1][0].Messages, pfs, pfs / plain);
        }
    }

    private static (Peer Left, Peer Right) Peers((string Name, IkeVersion Version, bool Aggressive) way, string esp) => (
        new Peer(Policies.Left, Policies.As(Policies.Initiator(1, Ike), way.Version, way.Aggressive, esp)),
        // the responder of IKEv1 has the very selectors of the initiator: nothing is narrowed there
        new Peer(Policies.Right, Policies.As(Policies.Responder(Ike), way.Version, way.Aggressive, esp, remoteTs: "10.0.0.0/24")));

    private static SetUp Measure((string Name, IkeVersion Version, bool Aggressive) way, int count)
    {
        var (left, right) = Peers(way, Esp);
        using var initiator = left;
        using var responder = right;
        var connection = Policies.Name(0);
        var figures = new SetUp(0, 0, 0, 0, 0);
        var (cpu, other, seconds) = (0L, 0L, 0.0);
        for (var i = 0; i < count; i++)
        {
            left.ResetCounters();
            right.ResetCounters();
            var clock = Stopwatch.GetTimestamp();
            left.Up(connection);
            var (messages, trips) = Peer.Count(left, right, () => left.Path.Sad.Count == 1 && right.Path.Sad.Count == 1 && left.LastResult is { Success: true });
            seconds += Stopwatch.GetElapsedTime(clock).TotalSeconds;
            Peer.Settle(left, right);
            if (left.LastResult is not { Success: true } || left.Path.Sad.Count != 1 || right.Path.Sad.Count != 1) throw new InvalidOperationException($"{way.Name}: no tunnel: {left.LastResult?.Message}");
            (cpu, other) = (cpu + left.Cpu, other + right.Cpu);
            figures = figures with { Messages = messages, Trips = trips };
            left.Down(connection);
            Peer.Settle(left, right);
            if (left.Path.Sad.Count + right.Path.Sad.Count != 0) throw new InvalidOperationException("the tunnel stays");
        }

        return figures with { Initiator = cpu / 1e6 / count, Responder = other / 1e6 / count, Seconds = seconds / count };
    }

    private static (double Cpu, int Messages) Rekey((string Name, IkeVersion Version, bool Aggressive) way, string esp, int count)
    {
        const int PerTunnel = 10;
        var (left, right) = Peers(way, esp);
        using var initiator = left;
        using var responder = right;
        var connection = Policies.Name(0);
        var (cpu, messages) = (0L, 0);
        // one round before the first counts
        for (var i = -1; i < count / PerTunnel; i++)
        {
            left.Up(connection);
            Peer.Settle(left, right);
            left.ResetCounters();
            right.ResetCounters();
            for (var rekeying = 0; rekeying < PerTunnel; rekeying++)
            {
                left.Rekey(connection);
                messages = Peer.Count(left, right, () => false).Messages;
                if (left.LastResult is not { Success: true }) throw new InvalidOperationException($"{way.Name}: not rekeyed: {left.LastResult?.Message}");
            }

            if (i >= 0) cpu += left.Cpu + right.Cpu;
            left.Down(connection);
            Peer.Settle(left, right);
        }

        return (cpu / 1e6 / (count / PerTunnel * PerTunnel), messages);
    }

    /// <summary>One set-up: messages and one-way trips until both sides have the pair and the initiator knows it; milliseconds of CPU; seconds of computing on the way.</summary>
    private sealed record SetUp(int Messages, int Trips, double Initiator, double Responder, double Seconds);
}
