using System;
using System.Linq;

namespace Warifu.Bench;

/// <summary>Engine to engine in memory, with a pre-shared key and with certificates below one intermediate authority, one child, installed into a real data path. CPU of each side by the thread's clock.</summary>
internal static class EngineHandshake
{
    /// <summary>Required: at most this many milliseconds of CPU per side with x25519.</summary>
    public const double Bound = 0.6;

    /// <summary>In smoke runs the machine is busy with other things.</summary>
    public const double SmokeBound = 3.0;

    public static readonly (string Name, string Ike)[] Suites = [("PSK x25519", "aes128gcm16-prfsha256-x25519"), ("PSK ecp256", "aes128gcm16-prfsha256-ecp256"), ("PSK modp2048", "aes128gcm16-prfsha256-modp2048")];

    public static void Run(Options options, Report report)
    {
        report.Table("handshake, engine to engine in memory", "suite", "per second", "initiator CPU ms", "responder CPU ms", "delete CPU ms, both", "initiator octets", "responder octets");
        foreach (var (name, ike) in Suites)
        {
            var count = options.Smoke ? 100 : ike.EndsWith("modp2048", StringComparison.Ordinal) ? 300 : 1500;
            var runs = Enumerable.Range(0, options.Smoke ? 1 : options.Runs ?? 5).Select(_ => Measure(ike, count, options.Smoke ? 50 : 500)).ToArray();
            Samples Of(Func<Figures, double> pick) => new([.. runs.Select(pick)]);
            var (initiator, responder) = (Of(run => run.Initiator), Of(run => run.Responder));
            report.Row(name, Of(run => run.Rate).Median, initiator.Median, responder.Median, Of(run => run.Delete).Median, Of(run => run.InitiatorOctets).Median, Of(run => run.ResponderOctets).Median);
            if (!name.EndsWith("x25519", StringComparison.Ordinal)) continue;
            var bound = options.Smoke ? SmokeBound : Bound;
            report.Require(initiator.Median <= bound && responder.Median <= bound, $"{name} in memory takes at most {bound} ms of CPU per side");
        }

        foreach (var (name, kind, size) in new[] { ("ECDSA P-256 certificates x25519", "ecdsa", 256), ("RSA 2048 certificates x25519", "rsa", 2048) })
        {
            var runs = Enumerable.Range(0, options.Smoke ? 1 : options.Runs ?? 5).Select(_ => MeasureCertificates(kind, size, options.Smoke ? 50 : 500, options.Smoke ? 20 : 200)).ToArray();
            Samples Of(Func<Figures, double> pick) => new([.. runs.Select(pick)]);
            report.Row(name, Of(run => run.Rate).Median, Of(run => run.Initiator).Median, Of(run => run.Responder).Median, Of(run => run.Delete).Median, Of(run => run.InitiatorOctets).Median, Of(run => run.ResponderOctets).Median);
        }
    }

    private static Figures Measure(string ike, int count, int warmUp)
    {
        using var left = new Peer(Policies.Left, Policies.Initiator(1, ike));
        using var right = new Peer(Policies.Right, Policies.Responder(ike));
        return Measure(left, right, count, warmUp);
    }

    private static Figures MeasureCertificates(string kind, int size, int count, int warmUp)
    {
        var ike = Suites[0].Ike;
        using var certificates = new Certificates(kind, size);
        using var left = new Peer(Policies.Left, certificates.Of(Policies.Initiator(1, ike), "site0"), certificates.Key());
        using var right = new Peer(Policies.Right, certificates.Of(Policies.Responder(ike), "hub"), certificates.Key());
        return Measure(left, right, count, warmUp);
    }

    private static Figures Measure(Peer left, Peer right, int count, int warmUp)
    {
        var connection = Policies.Name(0);
        for (var i = 0; i < warmUp; i++)
        {
            Up(left, right, connection);
            Down(left, right, connection);
        }

        long deleteCpu = 0, upCpu = 0;
        left.ResetCounters();
        right.ResetCounters();
        var (initiator, responder) = ((Cpu: 0L, Octets: 0L), (Cpu: 0L, Octets: 0L));
        for (var i = 0; i < count; i++)
        {
            Up(left, right, connection);
            initiator = (initiator.Cpu + left.Cpu, initiator.Octets + left.Allocated);
            responder = (responder.Cpu + right.Cpu, responder.Octets + right.Allocated);
            upCpu += left.Cpu + right.Cpu;
            left.ResetCounters();
            right.ResetCounters();
            Down(left, right, connection);
            deleteCpu += left.Cpu + right.Cpu;
            left.ResetCounters();
            right.ResetCounters();
        }

        return new Figures(1e9 * count / upCpu, initiator.Cpu / 1e6 / count, responder.Cpu / 1e6 / count, deleteCpu / 1e6 / count, (double)initiator.Octets / count, (double)responder.Octets / count);
    }

    private static void Up(Peer left, Peer right, string connection)
    {
        left.Up(connection);
        Peer.Settle(left, right);
        if (left.LastResult is not { Success: true } || left.Path.Sad.Count != 1 || right.Path.Sad.Count != 1) throw new InvalidOperationException($"no tunnel: {left.LastResult?.Message}");
    }

    private static void Down(Peer left, Peer right, string connection)
    {
        left.Down(connection);
        Peer.Settle(left, right);
        if (left.Path.Sad.Count + right.Path.Sad.Count != 0) throw new InvalidOperationException("the tunnel stays");
    }

    /// <summary>Per handshake: milliseconds of CPU and octets allocated; the rate is that of one processor doing both sides.</summary>
    private sealed record Figures(double Rate, double Initiator, double Responder, double Delete, double InitiatorOctets, double ResponderOctets);
}
