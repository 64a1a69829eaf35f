using System;
using System.Diagnostics;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Warifu.Net;

namespace Warifu.Bench;

/// <summary>Two processes with all that a node is (sockets, threads, queue, data path), on loopback: connections are set up, sixteen at a time, and then deleted. CPU of each process.</summary>
internal static class SocketHandshake
{
    public const string ResponderVerb = "handshake-responder";
    private const int AtOnce = 16;

    public static async Task RunAsync(Options options, Report report)
    {
        report.Table("handshake, then delete, through UDP sockets, two processes on loopback", "suite", "per second", "initiator CPU ms", "responder CPU ms", "octets/initiator", "octets/responder", "delete CPU ms, both");
        foreach (var (name, ike) in EngineHandshake.Suites)
        {
            if (options.Smoke && !name.EndsWith("x25519", StringComparison.Ordinal)) continue;
            var figures = await MeasureAsync(ike, options);
            report.Row(name, figures.Rate, figures.Initiator, figures.Responder, figures.InitiatorOctets, figures.ResponderOctets, figures.Delete);
            if (!name.EndsWith("x25519", StringComparison.Ordinal)) continue;
            var bound = options.Smoke ? EngineHandshake.SmokeBound * 2 : EngineHandshake.Bound;
            report.Require(figures.Initiator <= bound && figures.Responder <= bound, $"{name} through sockets takes at most {bound} ms of CPU per side");
        }
    }

    /// <summary>The other process: tells its port, then its CPU time and allocations for each line that it reads.</summary>
    public static async Task<int> RespondAsync()
    {
        using var secrets = Secrets();
        await using var node = await IkeNode.StartAsync(Policies.Responder(string.Join('-', "aes128gcm16-prfsha256", "x25519-ecp256-modp2048"), encapsulate: true), Node(secrets));
        Console.WriteLine(node.PortNatT.ToString(CultureInfo.InvariantCulture));
        while (await Console.In.ReadLineAsync() is "count")
        {
            GC.Collect();
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Cpu(Process.GetCurrentProcess())} {GC.GetTotalAllocatedBytes()}"));
        }

        return 0;
    }

    private static async Task<Figures> MeasureAsync(string ike, Options options)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!, [ResponderVerb]) { RedirectStandardInput = true, RedirectStandardOutput = true };
        using var responder = Process.Start(start) ?? throw new InvalidOperationException("the responder does not start");
        try
        {
            var port = ushort.Parse(await responder.StandardOutput.ReadLineAsync() ?? "0", CultureInfo.InvariantCulture);
            using var secrets = Secrets();
            var count = options.Smoke ? 50 : 400;
            await using var node = await IkeNode.StartAsync(Policies.Initiator(count, ike, "127.0.0.1", port, encapsulate: true), Node(secrets));
            // the runtime compiles hot code anew while nothing else goes on: without the pauses its work is counted as the responder's
            for (var i = 0; i < (options.Smoke ? 1 : 8); i++)
            {
                await ForEachAsync(options.Smoke ? 50 : 250, number => UpAsync(node, number));
                await ForEachAsync(options.Smoke ? 50 : 250, number => DownAsync(node, number));
                await Task.Delay(options.Smoke ? 0 : 250);
            }

            var runs = new Figures[options.Smoke ? 1 : options.Runs ?? 5];
            for (var run = 0; run < runs.Length; run++) runs[run] = await RunOnceAsync(node, responder, count);
            double Median(Func<Figures, double> pick) => new Samples([.. runs.Select(pick)]).Median;
            return new Figures(Median(run => run.Rate), Median(run => run.Initiator), Median(run => run.Responder), Median(run => run.InitiatorOctets), Median(run => run.ResponderOctets), Median(run => run.Delete));
        }
        finally
        {
            responder.StandardInput.Close();
            if (!responder.WaitForExit(5000)) responder.Kill();
        }
    }

    private static async Task<Figures> RunOnceAsync(IkeNode node, Process responder, int count)
    {
        var own = Process.GetCurrentProcess();
        var before = await CountAsync(responder);
        var (cpu, octets) = (Cpu(own), GC.GetTotalAllocatedBytes());
        var clock = Stopwatch.StartNew();
        await ForEachAsync(count, number => UpAsync(node, number));
        var seconds = clock.Elapsed.TotalSeconds;
        var (spent, allocated) = (Cpu(own) - cpu, GC.GetTotalAllocatedBytes() - octets);
        var between = await CountAsync(responder);
        cpu = Cpu(own);
        await ForEachAsync(count, number => DownAsync(node, number));
        var deleting = Cpu(own) - cpu;
        var after = await CountAsync(responder);
        return new Figures(count / seconds, spent / count, (between.Cpu - before.Cpu) / count, (double)allocated / count, (between.Octets - before.Octets) / count, (deleting + after.Cpu - between.Cpu) / count);
    }

    private static async Task<(double Cpu, double Octets)> CountAsync(Process responder)
    {
        await responder.StandardInput.WriteLineAsync("count");
        await responder.StandardInput.FlushAsync();
        var fields = (await responder.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException("the responder ended")).Split(' ');
        return (double.Parse(fields[0], CultureInfo.InvariantCulture), double.Parse(fields[1], CultureInfo.InvariantCulture));
    }

    private static Task UpAsync(IkeNode node, int number) => node.UpAsync(Policies.Name(number), "net");

    private static Task DownAsync(IkeNode node, int number) => node.DownAsync(Policies.Name(number));

    private static Task ForEachAsync(int count, Func<int, Task> act)
    {
        var next = -1;
        return Task.WhenAll(Enumerable.Range(0, AtOnce).Select(async _ =>
        {
            while (Interlocked.Increment(ref next) is var number && number < count) await act(number);
        }));
    }

    private static IkeNodeOptions Node(SecretStore secrets) => new() { Port = 0, PortNatT = 0, Packets = new MemoryPacketPort(), Secrets = secrets, CookieThreshold = 1000, HalfOpenPerPrefix = 1000 };

    private static SecretStore Secrets()
    {
        var secrets = new SecretStore();
        secrets.SetPsk("ike", "Tally-5tick/halves");
        return secrets;
    }

    /// <summary>Milliseconds.</summary>
    private static double Cpu(Process process)
    {
        process.Refresh();
        return process.TotalProcessorTime.TotalMilliseconds;
    }

    private sealed record Figures(double Rate, double Initiator, double Responder, double InitiatorOctets, double ResponderOctets, double Delete);
}
