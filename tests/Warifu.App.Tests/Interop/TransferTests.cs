using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.Json;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Packets around and beyond the path's MTU, and TCP.</summary>
[Trait("Area", "interop")]
[Trait("Item", "1.11")]
[Trait("Item", "1.19")]
public sealed class TransferTests
{
    public static IEnumerable<TheoryDataRow<bool, bool>> Rows => Families.BothRoles;

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public async Task Large_packets_cross_or_are_refused_by_name(bool weInitiate, bool v6)
    {
        var site = new Site { OuterV6 = v6, InnerV6 = v6 };
        await using var tunnel = await Tunnel.StartAsync(site, new Layout { Prepare = HostBehindLeftAsync });
        await tunnel.UpAsync(weInitiate);
        var mtu = await MtuAsync(tunnel.OurNs, "warifu0");
        Assert.InRange(mtu, 1380, 1460);
        var headers = v6 ? 48 : 28;
        var host = Host(tunnel.Lab);
        var from = HostAddress(v6);
        // the largest that fits goes as it is, one octet more is refused by ICMP to the host behind us, which learns the MTU
        Assert.Equal((3, 3), await Topology.PingAsync(host, from, tunnel.PeerInner, count: 3, size: mtu - headers, df: true));
        var refused = await Topology.InAsync(host, "ping", "-n", "-I", from, "-c", "1", "-W", "1", "-M", "do", "-s", (mtu - headers + 1).ToString(CultureInfo.InvariantCulture), tunnel.PeerInner);
        Assert.Contains(v6 ? $"mtu={mtu}" : $"mtu = {mtu}", refused.Output.Replace("mtu: ", "mtu=", StringComparison.Ordinal), StringComparison.Ordinal);
        foreach (var size in new[] { 1472, 4000 })
        {
            var ended = await Topology.InAsync(host, "ping", "-n", "-I", from, "-c", "1", "-W", "1", "-M", "do", "-s", size.ToString(CultureInfo.InvariantCulture), tunnel.PeerInner);
            Assert.Contains("message too long", ended.All, StringComparison.OrdinalIgnoreCase);
        }

        // without DF everything arrives (an IPv6 host fragments by itself, with the MTU that it has just learned)
        foreach (var (ns, source, target) in new[] { (tunnel.OurNs, tunnel.OurInner, tunnel.PeerInner), (tunnel.PeerNs, tunnel.PeerInner, tunnel.OurInner), (host, from, tunnel.PeerInner) })
        {
            foreach (var size in new[] { 1372 - (v6 ? 20 : 0), 1400, 4000 }) Assert.Equal((size, (3, 3)), (size, await Topology.PingAsync(ns, source, target, count: 3, size: size, df: false)));
        }

        var child = await tunnel.OurChildAsync();
        Assert.Equal(0, child.Drops);
        Assert.Equal(0, await tunnel.Lab.SeenAsync("inner"));
        Coverage.Passed("large packets", weInitiate, site);
    }

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public async Task Iperf3_carries_data_in_both_directions_with_a_clamped_MSS(bool weInitiate, bool v6)
    {
        var site = new Site { OuterV6 = v6, InnerV6 = v6 };
        await using var tunnel = await Tunnel.StartAsync(site, new Layout { Prepare = HostBehindLeftAsync });
        await tunnel.UpAsync(weInitiate);
        var mtu = await MtuAsync(tunnel.OurNs, "warifu0");
        // without our clamp the host would send what an Ethernet takes: the peer is made to announce that
        var route = (await Tool.RunAsync("ip", ["-n", tunnel.PeerNs, v6 ? "-6" : "-4", "route", "show", "table", "220"])).OrThrow("route").Output.Split('\n').Single(line => line.Contains("ipsec0", StringComparison.Ordinal));
        (await Tool.ShellAsync($"ip -n {tunnel.PeerNs} {(v6 ? "-6" : "-4")} route change {route} table 220 advmss {(v6 ? 1440 : 1460)}")).OrThrow("advmss");
        using var server = Tool.Start("ip", ["netns", "exec", tunnel.PeerNs, "iperf3", "--server", "--bind", tunnel.PeerInner]);
        _ = server.StandardOutput.ReadToEndAsync();
        await Until.HoldsAsync("iperf3 listens", () => Topology.InAsync(tunnel.PeerNs, "ss", "-Hltn", "sport", "=", "5201"), ended => ended.Output.Length > 0);
        try
        {
            foreach (var reverse in new[] { false, true })
            {
                var before = await tunnel.OurChildAsync();
                var run = await Topology.InAsync(Host(tunnel.Lab), ["iperf3", "--client", tunnel.PeerInner, "--bind", HostAddress(v6), "--time", "2", "--json", .. reverse ? new[] { "--reverse" } : []]);
                Assert.True(run.Ok, run.All + tunnel.Logs);
                using var result = JsonDocument.Parse(run.Output);
                var mss = result.RootElement.GetProperty("start").GetProperty("tcp_mss_default").GetInt32();
                Assert.InRange(mss, mtu - (v6 ? 60 : 40) - 12, mtu - (v6 ? 60 : 40));
                var octets = result.RootElement.GetProperty("end").GetProperty("sum_received").GetProperty("bytes").GetInt64();
                Assert.True(octets > 1_000_000, $"{octets} octets\n{run.Output}{tunnel.Logs}");
                var after = await tunnel.OurChildAsync();
                Assert.True((reverse ? after.Body.Number("bytes-in", 0) - before.Body.Number("bytes-in", 0) : after.Body.Number("bytes-out", 0) - before.Body.Number("bytes-out", 0)) >= octets, "the tunnel carried it");
                Assert.Equal(0, after.Body.Number("x-integrity-drops", 0) + after.Body.Number("x-selector-drops", 0));
            }
        }
        finally
        {
            server.Kill();
        }

        Assert.Equal(0, await tunnel.Lab.SeenAsync("inner"));
        Coverage.Passed("iperf3 in both directions", weInitiate, site);
    }

    private static string Host(Topology lab) => lab.Left + "-host";

    private static string HostAddress(bool v6) => v6 ? "fd10:1::10" : "10.10.1.10";

    /// <summary>A machine of its own in left's LAN, with the MTU of an Ethernet.</summary>
    private static async Task HostBehindLeftAsync(Topology lab)
    {
        var host = await lab.AddNamespaceAsync(Host(lab));
        (await Tool.ShellAsync($"""
            set -e
            ip -n {lab.Left} link set dev lan-p netns {host}
            ip -n {host} link set dev lan-p up
            ip -n {host} addr add 10.10.1.10/24 dev lan-p; ip -n {host} addr add fd10:1::10/64 dev lan-p nodad
            ip -n {host} route add default via 10.10.1.1; ip -n {host} route add default via fd10:1::1
            """)).OrThrow("host");
    }

    private static async Task<int> MtuAsync(string ns, string device)
    {
        using var links = JsonDocument.Parse((await Tool.RunAsync("ip", ["-n", ns, "-j", "link", "show", "dev", device])).OrThrow("ip link").Output);
        return links.RootElement.EnumerateArray().Single().GetProperty("mtu").GetInt32();
    }
}
