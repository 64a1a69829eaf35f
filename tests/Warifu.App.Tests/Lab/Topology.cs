using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;

namespace Warifu.App.Tests.Lab;

/// <summary>
/// Two gateways and a router, each in a network namespace of its own:
/// <code>
///    LAN               WAN                            WAN               LAN
///  10.10.1.1   [left]  192.0.2.2 -- 192.0.2.1 [router] 198.51.100.1 -- 198.51.100.2  [right] 10.10.2.1
///  fd10:1::1           2001:db8:1::2                          2001:db8:2::2                  fd10:2::1
/// </code>
/// </summary>
internal sealed partial class Topology : IAsyncDisposable
{
    /// <summary>So many scenarios run at a time: they mostly wait, but their programs start on the same processors.</summary>
    private static readonly SemaphoreSlim s_slots = new(6);

    private static int s_count;
    private readonly string _prefix;
    private readonly List<string> _more = [];

    private Topology(string prefix, string folder) => (_prefix, Folder) = (prefix, folder);

    public string Left => _prefix + "-left";

    public string Router => _prefix + "-router";

    public string Right => _prefix + "-right";

    /// <summary>A folder for configurations, logs and sockets; removed at the end unless the test keeps it.</summary>
    public string Folder { get; }

    public static async Task<Topology> CreateAsync(int mtu = 1500)
    {
        await s_slots.WaitAsync();
        var prefix = string.Create(CultureInfo.InvariantCulture, $"warifu-t{Environment.ProcessId}-{Interlocked.Increment(ref s_count)}");
        var topology = new Topology(prefix, Directory.CreateTempSubdirectory(prefix + "-").FullName);
        var script = new StringBuilder("set -e\n");
        foreach (var ns in new[] { topology.Left, topology.Router, topology.Right })
        {
            script.Append(CultureInfo.InvariantCulture, $"""
                ip netns add {ns}
                ip -n {ns} link set lo up
                ip netns exec {ns} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0

                """);
        }

        var (l, m, r) = (topology.Left, topology.Router, topology.Right);
        script.Append(CultureInfo.InvariantCulture, $"""
            ip link add name wan netns {l} type veth peer name tol netns {m}
            ip link add name wan netns {r} type veth peer name tor netns {m}
            ip link add name lan netns {l} type veth peer name lan-p netns {l}
            ip link add name lan netns {r} type veth peer name lan-p netns {r}
            for n in {l} {r}; do for i in wan lan lan-p; do ip -n $n link set dev $i up; done; ip -n $n link set dev wan mtu {mtu}; done
            for i in tol tor; do ip -n {m} link set dev $i mtu {mtu}; ip -n {m} link set dev $i up; done
            ip -n {l} addr add 192.0.2.2/24 dev wan; ip -n {l} addr add 2001:db8:1::2/64 dev wan nodad
            ip -n {r} addr add 198.51.100.2/24 dev wan; ip -n {r} addr add 2001:db8:2::2/64 dev wan nodad
            ip -n {m} addr add 192.0.2.1/24 dev tol; ip -n {m} addr add 2001:db8:1::1/64 dev tol nodad
            ip -n {m} addr add 198.51.100.1/24 dev tor; ip -n {m} addr add 2001:db8:2::1/64 dev tor nodad
            ip -n {l} addr add 10.10.1.1/24 dev lan; ip -n {l} addr add fd10:1::1/64 dev lan nodad
            ip -n {r} addr add 10.10.2.1/24 dev lan; ip -n {r} addr add fd10:2::1/64 dev lan nodad
            ip -n {l} route add default via 192.0.2.1; ip -n {l} route add default via 2001:db8:1::1
            ip -n {r} route add default via 198.51.100.1; ip -n {r} route add default via 2001:db8:2::1
            ip netns exec {m} nft -f - <<'N'
            table inet lab {"{"}
              chain drops {"{"} type filter hook prerouting priority -500; {"}"}
              chain hole {"{"} type filter hook forward priority 0; {"}"}
              counter seen_ike {"{"} {"}"}
              counter seen_natt {"{"} {"}"}
              counter seen_esp {"{"} {"}"}
              counter seen_inner {"{"} {"}"}
              counter seen_clear {"{"} {"}"}
              chain seen {"{"} type filter hook prerouting priority -600;
                udp dport 500 counter name seen_ike
                udp dport 4500 counter name seen_natt
                meta l4proto 50 counter name seen_esp
                udp dport != {"{"} 500, 4500 {"}"} udp sport != {"{"} 500, 4500 {"}"} counter name seen_clear
                meta l4proto {"{"} 1, 6 {"}"} counter name seen_clear
                ip daddr 10.0.0.0/8 counter name seen_inner
                ip6 daddr fd10::/16 counter name seen_inner
              {"}"}
            {"}"}
            table ip labnat {"{"}
              chain forwards {"{"} type nat hook prerouting priority -100; {"}"}
              chain leaving {"{"} type nat hook postrouting priority 100; {"}"}
            {"}"}
            N

            """);
        var made = await Tool.ShellAsync(script.ToString());
        if (made.Ok) return topology;
        await topology.DisposeAsync();
        throw new InvalidOperationException("topology: " + made.All);
    }

    /// <summary>One more namespace, gone with the others.</summary>
    public async Task<string> AddNamespaceAsync(string name)
    {
        (await Tool.ShellAsync($"""
            set -e
            ip netns add {name}
            ip -n {name} link set lo up
            ip netns exec {name} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0
            """)).OrThrow("namespace");
        _more.Add(name);
        return name;
    }

    /// <summary>A third gateway at the router: 203.0.113.2 and 2001:db8:3::2 with the LAN 10.10.3.1/24 and fd10:3::1/64.</summary>
    public async Task<string> AddThirdAsync()
    {
        var third = await AddNamespaceAsync(_prefix + "-third");
        (await Tool.ShellAsync($"""
            set -e
            ip link add name wan netns {third} type veth peer name to3 netns {Router}
            ip link add name lan netns {third} type veth peer name lan-p netns {third}
            for i in wan lan lan-p; do ip -n {third} link set dev $i up; done
            ip -n {Router} link set dev to3 up
            ip -n {Router} addr add 203.0.113.1/24 dev to3; ip -n {Router} addr add 2001:db8:3::1/64 dev to3 nodad
            ip -n {third} addr add 203.0.113.2/24 dev wan; ip -n {third} addr add 2001:db8:3::2/64 dev wan nodad
            ip -n {third} addr add 10.10.3.1/24 dev lan; ip -n {third} addr add fd10:3::1/64 dev lan nodad
            ip -n {third} route add default via 203.0.113.1; ip -n {third} route add default via 2001:db8:3::1
            """)).OrThrow("third gateway");
        return third;
    }

    /// <summary>Left is behind a NAT: the router masquerades it.</summary>
    public Task MasqueradeLeftAsync() => NftAsync("add rule ip labnat leaving oifname tor ip saddr 192.0.2.0/24 masquerade");

    /// <summary>Right is behind a NAT with a port forward: UDP 500 and 4500 of the router's address on left's side go to right, and right is masqueraded.</summary>
    public async Task ForwardToRightAsync()
    {
        await NftAsync("add rule ip labnat forwards iifname tol ip daddr 192.0.2.1 udp dport {500, 4500} dnat to 198.51.100.2");
        await NftAsync("add rule ip labnat leaving oifname tol ip saddr 198.51.100.0/24 masquerade");
    }

    /// <summary>The router drops every UDP and ESP packet.</summary>
    public Task BlackholeAsync(bool on) => on
        ? NftAsync("add rule inet lab hole meta l4proto {17, 50} drop")
        : NftAsync("flush chain inet lab hole");

    /// <summary>The router drops each N-th UDP packet that left (or right) sends.</summary>
    public Task DropEveryAsync(bool fromLeft, int n) => NftAsync($"add rule inet lab drops iifname {(fromLeft ? "tol" : "tor")} meta l4proto udp numgen inc mod {n.ToString(CultureInfo.InvariantCulture)} 0 drop");

    /// <summary>Forgets idle UDP flows after this many seconds, answered or not.</summary>
    public async Task UdpTimeoutAsync(int seconds)
    {
        foreach (var name in new[] { "nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream" })
            (await InAsync(Router, "sysctl", "-qw", $"net.netfilter.{name}={seconds.ToString(CultureInfo.InvariantCulture)}")).OrThrow("conntrack timeout");
    }

    /// <summary>Packets that the router saw: "ike" to UDP 500, "natt" to UDP 4500, "esp" protocol 50, "clear" neither of them, "inner" to an address of a LAN, which must not be seen here.</summary>
    public async Task<long> SeenAsync(string counter)
    {
        var listed = (await InAsync(Router, "nft", "list", "counter", "inet", "lab", "seen_" + counter)).OrThrow("nft list counter");
        return long.Parse(Packets().Match(listed.Output).Groups[1].ValueSpan, CultureInfo.InvariantCulture);
    }

    public async Task NftAsync(string command) => (await InAsync(Router, "nft", command)).OrThrow("nft " + command);

    public static Task<Ended> InAsync(string ns, params string[] command) => Tool.RunAsync("ip", ["netns", "exec", ns, .. command], TimeSpan.FromSeconds(60));

    /// <summary>
    /// Pings and returns (sent, received). Judged by sequence numbers: at its end ping waits no longer than two round trips for what is under way, which on a busy machine looks like a loss; with a
    /// deadline it goes on until it has as many answers as were asked for, and what it sent beyond the count is left out.
    /// </summary>
    public static async Task<(int Sent, int Received)> PingAsync(string ns, string from, string to, int count = 5, double interval = 0.1, int wait = 2, int size = 56, bool? df = null)
    {
        var deadline = (int)Math.Ceiling((count * interval) + wait);
        var ended = await InAsync(ns, "ping", "-n", "-I", from, "-c", count.ToString(CultureInfo.InvariantCulture), "-i", interval.ToString(CultureInfo.InvariantCulture),
            "-w", deadline.ToString(CultureInfo.InvariantCulture), "-s", size.ToString(CultureInfo.InvariantCulture), "-M", df switch { true => "do", false => "dont", null => "want" }, to);
        if (!ended.Output.Contains(" packets transmitted", StringComparison.Ordinal)) throw new InvalidOperationException("ping: " + ended.All);
        var answered = Answer().Matches(ended.Output).Select(match => int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture)).Where(number => number <= count).Distinct().Count();
        return (count, answered);
    }

    public async ValueTask DisposeAsync()
    {
        await Tool.ShellAsync($"""
            for n in {Left} {Router} {Right} {string.Join(' ', _more)}; do
              for p in $(ip netns pids $n 2>/dev/null); do kill -KILL $p 2>/dev/null; done
              ip netns del $n 2>/dev/null
            done
            """);
        if (Environment.GetEnvironmentVariable("WARIFU_KEEP") is null) Directory.Delete(Folder, recursive: true);
        s_slots.Release();
    }

    [GeneratedRegex(@"packets (\d+)")]
    private static partial Regex Packets();

    [GeneratedRegex(@"^\d+ bytes from .*icmp_seq=(\d+) ", RegexOptions.Multiline)]
    private static partial Regex Answer();
}
