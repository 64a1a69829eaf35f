using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Warifu.App.Tests.Vici;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Rekeying under traffic (item 2.21): a ping every 20 ms beside paced UDP, both ends rekey IKE SA and child with lifetimes of 20 s; half a minute, or three with WARIFU_LONG.</summary>
[Trait("Area", "interop")]
[Trait("Item", "2.21")]
[Collection(nameof(Alone))]
public sealed partial class RekeyUnderTrafficTests
{
    private const string Ike = "rekey_time = 20s\nover_time = 20s\nrand_time = 4s";

    private const string Child = "rekey_time = 20s\nlife_time = 40s\nrand_time = 4s";

    private const double Megabits = 50;

    private static readonly TimeSpan s_span = TimeSpan.FromSeconds(Tool.IsLong ? 180 : 30);

    /// <summary>Over IPv4 and over IPv6 at the same time.</summary>
    [LabFact]
    public Task Between_two_of_ours_nothing_is_lost() => Task.WhenAll(OursAsync(v6: false), OursAsync(v6: true));

    /// <summary>In both roles at the same time.</summary>
    [StrongSwanFact]
    public Task With_strongSwan_nothing_is_lost_around_a_rekeying() => Task.WhenAll(StrongSwanAsync("strongSwan", new Site(), weInitiate: true), StrongSwanAsync("strongSwan", new Site(), weInitiate: false));

    /// <summary>The same in IKEv1: phase 1 anew with phase 2 going on under it, and quick mode.</summary>
    [StrongSwanFact]
    [Trait("Item", "3.11")]
    public Task In_IKEv1_nothing_is_lost_around_a_rekeying_either() => Task.WhenAll(StrongSwanAsync(StrongSwanV1Tests.Peer, StrongSwanV1Tests.Site, weInitiate: true), StrongSwanAsync(StrongSwanV1Tests.Peer, StrongSwanV1Tests.Site with { Esp = "aes256gcm16-ecp256" }, weInitiate: false));

    private static async Task OursAsync(bool v6)
    {
        var site = new Site { OuterV6 = v6, InnerV6 = v6, Connection = Ike, Child = Child };
        await using var lab = await Topology.CreateAsync();
        await using var right = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), site.Right());
        await using var left = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "left"), site.Left());
        Assert.True((await left.CliAsync("up", "site")).Ok, left.Log);
        await LongQueuesAsync(lab);
        using var flow = PacedFlow.Start(lab.Right, site.RightInner, lab.Left, site.LeftInner, Megabits);
        var ping = PingStream.Start(lab.Left, site.LeftInner, site.RightInner);
        await Task.Delay(s_span);
        var lost = flow.Stop();
        var counts = await ping.StopAsync();
        var rekeyings = Rekeyings(left.Log);
        Assert.True(rekeyings.Count >= 2 * (s_span.TotalSeconds / 20) - 2, $"{rekeyings.Count} rekeyings\n{left.Log}");
        Assert.True(counts.Sent == counts.Received, $"{counts}\n{left.Log}");
        Assert.True(lost.Count == 0, $"{lost.Count} of {flow.Sent} lost, at {Show(lost)}; rekeyings at {Show(rekeyings)}\n{left.Log}\n{right.Log}");
        Tell(flow, lost, counts, rekeyings);
        Assert.Equal(0, await lab.SeenAsync("inner"));
    }

    private static async Task StrongSwanAsync(string peer, Site plain, bool weInitiate)
    {
        var site = plain with { Connection = Ike, Child = Child };
        await using var tunnel = await Tunnel.StartAsync(site);
        await tunnel.UpAsync(weInitiate);
        await LongQueuesAsync(tunnel.Lab);
        var before = await OverflowsAsync(tunnel.Lab);
        using var flow = PacedFlow.Start(tunnel.OurNs, tunnel.OurInner, tunnel.PeerNs, tunnel.PeerInner, Megabits);
        var ping = PingStream.Start(tunnel.OurNs, tunnel.OurInner, tunnel.PeerInner);
        await Task.Delay(s_span);
        var lost = flow.Stop();
        var counts = await ping.StopAsync();
        var overflows = await OverflowsAsync(tunnel.Lab) - before;
        var rekeyings = Rekeyings(tunnel.Ours.Log);
        Assert.True(rekeyings.Count >= 2 * (s_span.TotalSeconds / 20) - 2, $"{rekeyings.Count} rekeyings{tunnel.Logs}");
        var near = lost.Where(at => rekeyings.Exists(rekeying => Math.Abs((rekeying - at).TotalSeconds) < 1)).ToList();
        // what the kernel threw away because a program had no processor to read its socket is no loss of the rekeying, if it is all that was lost
        var isOverflow = lost.Count + counts.Sent - counts.Received <= overflows;
        Assert.True(near.Count == 0 || isOverflow, $"{near.Count} of {flow.Sent} lost near a rekeying, {lost.Count} in all, {overflows} by full queues, at {Show(near)}; rekeyings at {Show(rekeyings)}{tunnel.Logs}");
        Assert.True(isOverflow || !ping.Lossy.Any(began => rekeyings.Exists(rekeying => rekeying > began.AddSeconds(-1) && rekeying < began.AddSeconds(1.5))), $"{counts} at {Show(ping.Lossy)}; rekeyings at {Show(rekeyings)}; {overflows} by full queues{tunnel.Logs}");
        Tell(flow, lost, counts, rekeyings);
        Coverage.Passed(peer, "rekeying under traffic", weInitiate);
    }

    /// <summary>The flow kept its pace, to a twentieth; then what was measured.</summary>
    private static void Tell(PacedFlow flow, IReadOnlyCollection<DateTime> lost, (int Sent, int Received) pings, List<DateTime> rekeyings)
    {
        var megabits = 8.0 * flow.Sent * (flow.Size + 28) / s_span.TotalSeconds / 1e6;
        TestContext.Current.TestOutputHelper?.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{rekeyings.Count} rekeyings, {pings.Received} of {pings.Sent} pings answered, {flow.Sent} datagrams at {megabits:F1} Mbit/s, {lost.Count} lost"));
        Assert.True(megabits > Megabits * 0.95, $"{megabits} Mbit/s");
    }

    /// <summary>Local times of the lines that tell a rekeying.</summary>
    private static List<DateTime> Rekeyings(string log) =>
        [.. Line().Matches(log).Select(match => DateTime.Today + TimeSpan.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture))];

    private static string Show(IReadOnlyCollection<DateTime> times) => string.Join(' ', times.Take(20).Select(at => at.ToString("HH:mm:ss.fff", CultureInfo.InvariantCulture)));

    /// <summary>A busy machine lets our programs wait: queues of devices must not overflow meanwhile.</summary>
    private static async Task LongQueuesAsync(Topology lab) =>
        (await Tool.ShellAsync($"for n in {lab.Left} {lab.Right}; do for d in warifu0 ipsec0; do ip -n $n link set dev $d txqueuelen 20000 2>/dev/null; done; done; true")).OrThrow("txqueuelen");

    /// <summary>Datagrams that found the buffer of a socket, or the queue of a tunnel's device, full.</summary>
    private static async Task<long> OverflowsAsync(Topology lab)
    {
        const string Script = """
            awk '$1 == "Udp:" { if (seen++ == 0) for (i = 2; i <= NF; i++) if ($i == "RcvbufErrors") at = i; if (seen == 2) print $at }
              $1 == "Udp6RcvbufErrors" { print $2 }' /proc/net/snmp /proc/net/snmp6
            cat /sys/class/net/warifu0/statistics/tx_dropped /sys/class/net/ipsec0/statistics/tx_dropped 2>/dev/null; true
            """;
        var sum = 0L;
        foreach (var where in new[] { lab.Left, lab.Right })
        {
            var done = (await Tool.RunAsync("ip", ["netns", "exec", where, "sh", "-c", Script])).OrThrow("overflows");
            sum += done.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Sum(line => long.Parse(line, CultureInfo.InvariantCulture));
        }

        return sum;
    }

    [GeneratedRegex(@"^(\d\d:\d\d:\d\d\.\d\d\d) .*was (?:rekeyed|authenticated anew)", RegexOptions.Multiline)]
    private static partial Regex Line();
}
