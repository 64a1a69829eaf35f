using System;
using System.Diagnostics;
using System.Globalization;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;

namespace Warifu.Net.Tests.Lab;

/// <summary>
/// Two gateways with a host behind each and a router between them, each in a network namespace of its own. The router knows nothing of the LANs; whatever of them it sees has leaked.
/// <code>
///  [near] 10.10.1.2 -- 10.10.1.1 [left] 192.0.2.2 -- 192.0.2.1 [router] 198.51.100.1 -- 198.51.100.2 [right] 10.10.2.1 -- 10.10.2.2 [far]
///         fd10:1::2    fd10:1::1        2001:db8:1::2                            2001:db8:2::2                fd10:2::1    fd10:2::2
/// </code>
/// </summary>
internal sealed class World : IAsyncDisposable
{
    public static readonly byte[] LeftStation = [2, 0, 0, 0, 1, 1], RightStation = [2, 0, 0, 0, 2, 1];
    private static int s_count;

    private readonly System.Collections.Generic.List<IAsyncDisposable> _nodes = [];
    private readonly System.Collections.Generic.List<IDisposable> _owned = [];

    public World(int mtu = 1500)
    {
        var prefix = string.Create(CultureInfo.InvariantCulture, $"warifu-n{Environment.ProcessId}-{Interlocked.Increment(ref s_count)}");
        (Near, Left, Router, Right, Far) = (new(prefix + "-near"), new(prefix + "-left"), new(prefix + "-router"), new(prefix + "-right"), new(prefix + "-far"));
        var (n, l, m, r, f) = (Near.Name, Left.Name, Router.Name, Right.Name, Far.Name);
        var script = new StringBuilder("set -e\n");
        foreach (var ns in All)
        {
            script.Append(CultureInfo.InvariantCulture, $"""
                ip netns add {ns.Name}; ip -n {ns.Name} link set lo up
                ip netns exec {ns.Name} bash -c 'cd /proc/sys/net; echo 0 > ipv6/conf/default/accept_dad; echo 0 > ipv6/conf/all/accept_dad'

                """);
        }

        script.Append(CultureInfo.InvariantCulture, $"""
            for n in {l} {m} {r}; do ip netns exec $n bash -c 'cd /proc/sys/net; echo 1 > ipv4/ip_forward; echo 1 > ipv6/conf/all/forwarding'; done
            ip link add name wan netns {l} address 02:00:00:00:01:01 type veth peer name tol netns {m} address 02:00:00:00:01:02
            ip link add name wan netns {r} address 02:00:00:00:02:01 type veth peer name tor netns {m} address 02:00:00:00:02:02
            ip link add name lan netns {l} address 02:00:00:00:0a:01 type veth peer name lan netns {n} address 02:00:00:00:0a:02
            ip link add name lan netns {r} address 02:00:00:00:0b:01 type veth peer name lan netns {f} address 02:00:00:00:0b:02
            for n in {l} {r}; do ip -n $n link set dev wan mtu {mtu} up; ip -n $n link set dev lan up; done
            for n in {n} {f}; do ip -n $n link set dev lan up; done
            for i in tol tor; do ip -n {m} link set dev $i mtu {mtu} up; done
            ip -n {l} -b - <<'B'
            addr add 192.0.2.2/24 dev wan
            addr add 2001:db8:1::2/64 dev wan nodad
            addr add 10.10.1.1/24 dev lan
            addr add fd10:1::1/64 dev lan nodad
            route add default via 192.0.2.1
            route add default via 2001:db8:1::1
            B
            ip -n {r} -b - <<'B'
            addr add 198.51.100.2/24 dev wan
            addr add 2001:db8:2::2/64 dev wan nodad
            addr add 10.10.2.1/24 dev lan
            addr add fd10:2::1/64 dev lan nodad
            route add default via 198.51.100.1
            route add default via 2001:db8:2::1
            B
            ip -n {m} -b - <<'B'
            addr add 192.0.2.1/24 dev tol
            addr add 2001:db8:1::1/64 dev tol nodad
            addr add 198.51.100.1/24 dev tor
            addr add 2001:db8:2::1/64 dev tor nodad
            B
            ip -n {n} -b - <<'B'
            addr add 10.10.1.2/24 dev lan
            addr add fd10:1::2/64 dev lan nodad
            route add default via 10.10.1.1
            route add default via fd10:1::1
            B
            ip -n {f} -b - <<'B'
            addr add 10.10.2.2/24 dev lan
            addr add fd10:2::2/64 dev lan nodad
            route add default via 10.10.2.1
            route add default via fd10:2::1
            B

            """);
        try
        {
            Shell.Run(script.ToString());
        }
        catch
        {
            RemoveNamespaces();
            throw;
        }
    }

    public Namespace Near { get; }

    public Namespace Left { get; }

    public Namespace Router { get; }

    public Namespace Right { get; }

    public Namespace Far { get; }

    private Namespace[] All => [Near, Left, Router, Right, Far];

    /// <summary>A gateway in this process.</summary>
    public Task<IkeNode> StartAsync(bool left, Site site) => StartAsync(left, site.Policy(left), Options(site));

    public async Task<IkeNode> StartAsync(bool left, Policy.PolicySet policy, IkeNodeOptions options)
    {
        var node = await (left ? Left : Right).Run(() => IkeNode.StartAsync(policy, options));
        _nodes.Add(node);
        return node;
    }

    public static IkeNodeOptions Options(Site site)
    {
        var secrets = new SecretStore();
        secrets.SetPsk("site", Site.Secret);
        return new IkeNodeOptions { Secrets = secrets, KeepaliveInterval = site.Keepalive, RetransmitTimeout = TimeSpan.FromMilliseconds(300), RetransmitTries = 3 };
    }

    /// <summary>Both gateways, and the tunnel up.</summary>
    public async Task<(IkeNode Left, IkeNode Right)> TunnelAsync(Site site)
    {
        var right = await StartAsync(left: false, site);
        var left = await StartAsync(left: true, site);
        await UpAsync(left, site);
        return (left, right);
    }

    public static async Task UpAsync(IkeNode node, Site site)
    {
        foreach (var child in site.Children.Where(child => child.Mode is Policy.ChildMode.Tunnel or Policy.ChildMode.Transport))
        {
            try
            {
                await node.UpAsync("site", child.Name).WaitAsync(TimeSpan.FromSeconds(10));
            }
            catch (TimeoutException)
            {
                var snapshot = await node.SnapshotAsync().WaitAsync(TimeSpan.FromSeconds(5));
                throw new TimeoutException($"{child.Name} is not up after ten seconds: {string.Join("; ", snapshot.IkeSas.Select(sa => $"IKE SA {sa.Id} {sa.State}, initiator {sa.Initiator}, runs {string.Join(' ', sa.TasksActive)}, waits {string.Join(' ', sa.TasksQueued)}, children {string.Join(' ', sa.Children)}"))}");
            }
        }
    }

    /// <summary>A gateway in a process of its own, to be killed.</summary>
    public Process StartProcess(bool left, Site site)
    {
        var info = new ProcessStartInfo("ip") { RedirectStandardOutput = true, RedirectStandardInput = true };
        foreach (var argument in new[] { "netns", "exec", (left ? Left : Right).Name, Environment.ProcessPath!, "--node", left ? "left" : "right", JsonSerializer.Serialize(site) }) info.ArgumentList.Add(argument);
        var process = Process.Start(info)!;
        _owned.Add(process);
        if (process.StandardOutput.ReadLine() != "ready") throw new InvalidOperationException("the gateway does not start");
        return process;
    }

    public Capture Watch(Namespace where, string device)
    {
        var capture = new Capture(where, device);
        _owned.Add(capture);
        return capture;
    }

    public Socket Udp(Namespace where, string address, int port, byte tos = 0)
    {
        var socket = where.Udp(address, port, tos);
        _owned.Add(socket);
        return socket;
    }

    /// <summary>Sends datagrams and counts which ones arrive.</summary>
    public static int Send(Socket from, Socket to, int count = 5, int size = 32, int wait = 1500)
    {
        var target = to.LocalEndPoint!;
        return SendTo(from, (IPEndPoint)target, to, count, size, wait);
    }

    public static int SendTo(Socket from, IPEndPoint target, Socket to, int count, int size = 32, int wait = 1500)
    {
        while (to.Available > 0) _ = to.Receive(new byte[70000]);
        for (var i = 0; i < count; i++)
        {
            try
            {
                _ = from.SendTo(new byte[size], target);
            }
            catch (SocketException)
            {
                // unreachable by an earlier ICMP error
            }

            Thread.Sleep(2);
        }

        var seen = 0;
        to.ReceiveTimeout = wait;
        try
        {
            while (seen < count && to.Receive(new byte[70000]) >= 0) seen++;
        }
        catch (SocketException)
        {
            // no more
        }

        return seen;
    }

    /// <summary>An unprotected UDP packet as an attacker or a leak would have it.</summary>
    public static byte[] Clear(string from, string to, ushort port) => from.Contains(':')
        ? Packets.UdpV6(from, to, 4321, port, "in clear")
        : Packets.Udp(from, to, 4321, port, "in clear");

    /// <summary>Waits until something is so.</summary>
    public static async Task<bool> Until(Func<bool> condition, int milliseconds = 4000)
    {
        for (var waited = 0; waited < milliseconds; waited += 20)
        {
            if (condition()) return true;
            await Task.Delay(20);
        }

        return condition();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var owned in _owned)
        {
            if (owned is Process { HasExited: false } process) process.Kill(entireProcessTree: true);
            owned.Dispose();
        }

        foreach (var node in _nodes) await node.DisposeAsync();
        RemoveNamespaces();
    }

    private void RemoveNamespaces()
    {
        foreach (var ns in All) Shell.Run($"ip netns del {ns.Name} 2>/dev/null", mayFail: true);
    }
}

/// <summary>A gateway as a program of its own: says "ready" and lives until its input ends.</summary>
internal static class NodeProcess
{
    public static async Task<int> RunAsync(string side, string siteText)
    {
        var site = JsonSerializer.Deserialize<Site>(siteText)!;
        await using var node = await IkeNode.StartAsync(site.Policy(side == "left"), World.Options(site));
        Console.Out.WriteLine("ready");
        await Console.Out.FlushAsync();
        while (await Console.In.ReadLineAsync() is not null)
        {
            // until it ends
        }

        return 0;
    }
}
