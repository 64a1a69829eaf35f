using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;

namespace Warifu.Bench;

/// <summary>iperf3 between two gateways that one veth joins, all kinds in one run and in turn: one processor for each side.</summary>
internal static class TunnelBench
{
    /// <summary>Required: at least this times kernel-libipsec in the same run.</summary>
    private const double Bound = 1.3;

    public static async Task RunAsync(Options options, Report report)
    {
        if (!Tool.IsRoot)
        {
            Console.Error.WriteLine("bench tunnel needs root: it makes network namespaces");
            Environment.Exit(2);
        }

        var site = new Site { Ike = "aes128gcm16-prfsha256-x25519", Esp = "aes128gcm16", Connection = "encap = yes" };
        var lanes = new List<Lane> { await Lane.BareAsync(options.Pin), await Lane.WarifuAsync("Warifu, ESP in UDP", site, options.Pin) };
        try
        {
            if (!options.Smoke) lanes.Add(await Lane.WarifuAsync("Warifu, ESP on IP", site with { Connection = "" }, options.Pin));
            if (StrongSwan.IsThere) lanes.Add(await Lane.StrongSwanAsync("strongSwan, kernel-libipsec", site, options.Pin));
            else Console.Error.WriteLine("no strongSwan here (build/peers.sh strongswan): no ratio");
            report.Table($"tunnel, aes128gcm16, iperf3 TCP, median of runs{(options.Pin ? ", one processor per side" : "")}", "kind", "streams", "Gbit/s", "min", "max", "left CPU s/GB", "right CPU s/GB", "x libipsec");
            foreach (var streams in options.Smoke ? [1] : new[] { 1, 4 }) await CompareAsync(lanes, streams, options, report);
        }
        finally
        {
            foreach (var lane in lanes) await lane.DisposeAsync();
        }
    }

    private static async Task CompareAsync(List<Lane> lanes, int streams, Options options, Report report)
    {
        var seconds = options.Smoke ? 1 : options.Seconds ?? 4;
        var figures = lanes.ToDictionary(lane => lane, _ => new List<Figures>());
        for (var run = 0; run < (options.Smoke ? 1 : options.Runs ?? 5); run++)
        {
            foreach (var lane in lanes) figures[lane].Add(await lane.MeasureAsync(streams, seconds));
        }

        double Rate(Lane lane) => new Samples([.. figures[lane].Select(one => one.Rate)]).Median;
        var reference = lanes.LastOrDefault(lane => lane.IsReference);
        foreach (var lane in lanes)
        {
            var rates = new Samples([.. figures[lane].Select(one => one.Rate)]);
            var ratio = reference is null ? 0 : rates.Median / Rate(reference);
            report.Row(lane.Name, streams, rates.Median, rates.Min, rates.Max, new Samples([.. figures[lane].Select(one => one.LeftCpu)]).Median, new Samples([.. figures[lane].Select(one => one.RightCpu)]).Median, ratio);
            if (lane.IsOurs && reference is not null) report.Require(ratio >= (options.Smoke ? 1 : Bound), $"{lane.Name} with {streams} stream(s) is at least {(options.Smoke ? 1 : Bound)} x kernel-libipsec (it is {ratio:F2})");
        }
    }

    /// <summary>Gbit/s of payload; CPU seconds of each gateway per 10^9 octets of payload.</summary>
    private sealed record Figures(double Rate, double LeftCpu, double RightCpu);

    /// <summary>Two namespaces with a gateway in each: left on processor 0, right on processor 1.</summary>
    private sealed class Lane : IAsyncDisposable
    {
        private static int s_count;
        private readonly string _folder = Directory.CreateTempSubdirectory("warifu-bench-").FullName;
        private readonly bool _pin;
        private readonly List<IAsyncDisposable> _gateways = [];
        private readonly List<int> _processes = [];
        private System.Diagnostics.Process? _server;

        private Lane(string name, bool pin) => (Name, _pin, Left, Right) = (name, pin, $"warifu-b{Environment.ProcessId}-{++s_count}-left", $"warifu-b{Environment.ProcessId}-{s_count}-right");

        public string Name { get; }

        public bool IsOurs { get; private init; }

        public bool IsReference { get; private init; }

        private string Left { get; }

        private string Right { get; }

        private string From { get; set; } = "10.10.1.1";

        private string To { get; set; } = "10.10.2.1";

        public static async Task<Lane> BareAsync(bool pin)
        {
            var lane = new Lane("bare veth", pin) { From = "192.0.2.2", To = "198.51.100.2" };
            await lane.ConnectAsync();
            return lane;
        }

        public static async Task<Lane> WarifuAsync(string name, Site site, bool pin)
        {
            var lane = new Lane(name, pin) { IsOurs = true };
            await lane.ConnectAsync();
            var right = await Gateway.StartAsync(lane.Right, Path.Combine(lane._folder, "right"), site.Right());
            lane._gateways.Add(right);
            var left = await Gateway.StartAsync(lane.Left, Path.Combine(lane._folder, "left"), site.Left());
            lane._gateways.Add(left);
            await lane.PinAsync(left.ProcessId, right.ProcessId);
            (await left.CliAsync("up", "net")).OrThrow("warifu up");
            return lane;
        }

        public static async Task<Lane> StrongSwanAsync(string name, Site site, bool pin)
        {
            var lane = new Lane(name, pin) { IsReference = true };
            await lane.ConnectAsync();
            var right = await StrongSwan.StartAsync(lane.Right, Path.Combine(lane._folder, "right"), site.Right());
            lane._gateways.Add(right);
            var left = await StrongSwan.StartAsync(lane.Left, Path.Combine(lane._folder, "left"), site.Left());
            lane._gateways.Add(left);
            await lane.PinAsync(left.ProcessId, right.ProcessId);
            (await left.ControlAsync("--initiate", "--child", "net", "--timeout", "10")).OrThrow("swanctl --initiate");
            return lane;
        }

        public async Task<Figures> MeasureAsync(int streams, double seconds)
        {
            var before = Cpu();
            string[] client = ["iperf3", "-J", "-c", To, "-B", From, "-t", seconds.ToString(CultureInfo.InvariantCulture), "-P", streams.ToString(CultureInfo.InvariantCulture)];
            var ended = (await Tool.RunAsync("ip", ["netns", "exec", Left, .. Pinned(0), .. client], TimeSpan.FromSeconds(seconds + 20))).OrThrow($"iperf3 through {Name}");
            using var json = JsonDocument.Parse(ended.Output);
            var sum = json.RootElement.GetProperty("end").GetProperty("sum_received");
            var after = Cpu();
            var gigabytes = sum.GetProperty("bytes").GetDouble() / 1e9;
            double Spent(int at) => after.Length > at ? (after[at] - before[at]) / gigabytes : 0;
            return new Figures(sum.GetProperty("bits_per_second").GetDouble() / 1e9, Spent(0), Spent(1));
        }

        public async ValueTask DisposeAsync()
        {
            if (_server is { HasExited: false }) _server.Kill();
            foreach (var gateway in _gateways) await gateway.DisposeAsync();
            await Tool.ShellAsync($"ip netns del {Left}; ip netns del {Right}");
            Directory.Delete(_folder, recursive: true);
        }

        private async Task ConnectAsync()
        {
            (await Tool.ShellAsync($$"""
                set -e
                for n in {{Left}} {{Right}}; do
                  ip netns add $n; ip -n $n link set lo up
                  ip netns exec $n sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
                  ip link add name lan netns $n type veth peer name lan-p netns $n
                  ip -n $n link set lan up; ip -n $n link set lan-p up
                done
                ip link add name wan netns {{Left}} type veth peer name wan netns {{Right}}
                ip -n {{Left}} link set wan up; ip -n {{Right}} link set wan up
                ip -n {{Left}} addr add 192.0.2.2/24 dev wan; ip -n {{Right}} addr add 198.51.100.2/24 dev wan
                ip -n {{Left}} route add default dev wan; ip -n {{Right}} route add default dev wan
                ip -n {{Left}} addr add 10.10.1.1/24 dev lan; ip -n {{Right}} addr add 10.10.2.1/24 dev lan
                """)).OrThrow("namespaces");
            _server = Tool.Start("ip", ["netns", "exec", Right, .. Pinned(1), "iperf3", "-s", "-B", To, "--forceflush"]);
            await _server.StandardOutput.ReadLineAsync();
        }

        private async Task PinAsync(int left, int right)
        {
            _processes.AddRange([left, right]);
            if (_pin) (await Tool.ShellAsync($"taskset -acp 0 {left} && taskset -acp {Environment.ProcessorCount - 1} {right}")).OrThrow("taskset");
        }

        private string[] Pinned(int side) => _pin ? ["taskset", "-c", side == 0 ? "0" : (Environment.ProcessorCount - 1).ToString(CultureInfo.InvariantCulture)] : [];

        /// <summary>User and system seconds of each gateway.</summary>
        private double[] Cpu() =>
        [
            .. _processes.Select(id =>
            {
                var stat = File.ReadAllText($"/proc/{id}/stat");
                var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
                return (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)) / 100.0;
            }),
        ];
    }
}
