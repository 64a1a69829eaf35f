using System;
using System.Globalization;
using System.Linq;
using System.Runtime.Versioning;
using System.Threading.Tasks;

[assembly: SupportedOSPlatform("linux")]

namespace Warifu.Bench;

/// <summary>./bench NAME [--json] [--smoke] [--seconds N] [--runs N]. Exit codes: 0 measured, 1 a bound that must hold does not, 2 usage.</summary>
internal static class Program
{
    private static async Task<int> Main(string[] args)
    {
        if (args is [SocketHandshake.ResponderVerb]) return await SocketHandshake.RespondAsync();
        if (!TryParse(args, out var name, out var options))
        {
            Console.Error.WriteLine("""
                usage: ./bench NAME [--json] [--smoke] [--seconds N] [--runs N] [--no-pin]
                  handshake   IKE_SA_INIT + IKE_AUTH with PSK: per second, CPU and memory allocated per side; in memory and through UDP sockets
                  esp         packets per second by suite and size; fails when a packet allocates
                  tunnel      iperf3 through two gateways in one run: bare veth, Warifu, strongSwan with kernel-libipsec (root)
                  setup       IKEv2 against IKEv1 with the same algorithms: messages, trips, CPU and latency of a set-up; rekeying with and without PFS
                  signatures  microseconds of a signature and of its verification, by kind of key and provider
                  memory      octets per IKE SA with one child, at 1,000 and 10,000
                --smoke: a few seconds, wide bounds, for ./test
                """);
            return 2;
        }

        var report = new Report(name, options.Json);
        switch (name)
        {
            case "handshake":
                EngineHandshake.Run(options, report);
                await SocketHandshake.RunAsync(options, report);
                break;
            case "esp":
                EspBench.Run(options, report);
                await NodePath.RunAsync(options, report);
                break;
            case "setup":
                SetupBench.Run(options, report);
                break;
            case "signatures":
                SignatureBench.Run(options, report);
                break;
            case "memory":
                MemoryBench.Run(options, report);
                break;
            default:
                await TunnelBench.RunAsync(options, report);
                break;
        }

        return report.Finish();
    }

    private static bool TryParse(string[] args, out string name, out Options options)
    {
        options = new Options();
        name = args.Length > 0 ? args[0] : "";
        if (name is not ("handshake" or "esp" or "tunnel" or "memory" or "signatures" or "setup")) return false;
        for (var at = 1; at < args.Length; at++)
        {
            switch (args[at])
            {
                case "--json":
                    options = options with { Json = true };
                    break;
                case "--smoke":
                    options = options with { Smoke = true };
                    break;
                case "--no-pin":
                    options = options with { Pin = false };
                    break;
                case "--seconds" when at + 1 < args.Length && double.TryParse(args[at + 1], NumberStyles.Float, CultureInfo.InvariantCulture, out var seconds) && seconds > 0:
                    options = options with { Seconds = seconds };
                    at++;
                    break;
                case "--runs" when at + 1 < args.Length && int.TryParse(args[at + 1], CultureInfo.InvariantCulture, out var runs) && runs > 0:
                    options = options with { Runs = runs };
                    at++;
                    break;
                default:
                    return false;
            }
        }

        return true;
    }
}

/// <param name="Json">One JSON document instead of tables.</param>
/// <param name="Smoke">Short, with wide bounds.</param>
/// <param name="Seconds">Length of one measurement; null = the benchmark's own.</param>
/// <param name="Runs">Measurements; the median counts.</param>
/// <param name="Pin">One processor per gateway.</param>
internal sealed record Options(bool Json = false, bool Smoke = false, double? Seconds = null, int? Runs = null, bool Pin = true);

/// <summary>Measurements of one thing.</summary>
internal sealed class Samples(double[] values)
{
    private readonly double[] _sorted = [.. values.Order()];

    public double Median => _sorted.Length % 2 == 1 ? _sorted[_sorted.Length / 2] : (_sorted[(_sorted.Length / 2) - 1] + _sorted[_sorted.Length / 2]) / 2;

    public double Min => _sorted[0];

    public double Max => _sorted[^1];
}
