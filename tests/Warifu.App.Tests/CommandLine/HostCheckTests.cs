using System;
using System.Diagnostics;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.CommandLine;

/// <summary><c>warifu check --host</c> in a namespace that lacks things on purpose.</summary>
[Trait("Item", "1.12")]
public sealed class HostCheckTests
{
    [LabFact]
    public async Task What_a_host_lacks_is_told_and_nothing_else()
    {
        await using var lab = await Topology.CreateAsync();
        var good = await CheckAsync(lab.Left);
        foreach (var what in new[] { "CAP_NET_ADMIN", "CAP_NET_RAW", "UDP port 500 of IPv4", "UDP port 500 of IPv6", "UDP port 4500 of IPv6", "nftables expression fib", "no routing rule of others before ours" }) Assert.Equal("ok", Word(good, what));

        (await Topology.InAsync(lab.Left, "ip", "rule", "add", "priority", "220", "lookup", "220")).OrThrow("rule");
        (await Topology.InAsync(lab.Left, "ip", "-6", "rule", "add", "priority", "300", "lookup", "220")).OrThrow("rule");
        // one after ours does no harm
        (await Topology.InAsync(lab.Left, "ip", "rule", "add", "priority", "9000", "lookup", "220")).OrThrow("rule");
        await using var other = await Taken.StartAsync(lab.Left);
        var bad = await CheckAsync(lab.Left);
        Assert.Equal("missing", Word(bad, "no routing rule of others before ours"));
        Assert.Contains("rules 220 300 (ip rule) are asked first", bad, StringComparison.Ordinal);
        Assert.Equal("missing", Word(bad, "UDP port 4500 of IPv6"));
        Assert.Equal("ok", Word(bad, "UDP port 4500 of IPv4"));
        Assert.Equal("ok", Word(bad, "UDP port 500 of IPv6"));

        // without the right to raw sockets
        var weak = await Topology.InAsync(lab.Left, "setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", Gateway.Binary, "check", "--host");
        Assert.Equal("missing", Word(weak.Output, "CAP_NET_RAW"));
        Assert.Equal("ok", Word(weak.Output, "CAP_NET_ADMIN"));
        // it changed nothing
        Assert.DoesNotContain("warifu", (await Topology.InAsync(lab.Left, "nft", "list", "tables")).Output, StringComparison.Ordinal);
    }

    private static async Task<string> CheckAsync(string ns) => (await Topology.InAsync(ns, Gateway.Binary, "check", "--host")).Output;

    private static string Word(string output, string what) => output.Split('\n').Single(line => line.Contains(what, StringComparison.Ordinal)).Split(' ')[0];

    /// <summary>Somebody has UDP port 4500 of IPv6.</summary>
    private sealed class Taken(Process process) : IAsyncDisposable
    {
        public static async Task<Taken> StartAsync(string ns)
        {
            const string Script = "use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6 IPPROTO_IPV6 IPV6_V6ONLY); socket(S, AF_INET6, SOCK_DGRAM, 0) and setsockopt(S, IPPROTO_IPV6, IPV6_V6ONLY, 1) and bind(S, pack_sockaddr_in6(4500, inet_pton(AF_INET6, '::'))) or die; $| = 1; print \"ready\\n\"; sleep 60";
            var process = Tool.Start("ip", ["netns", "exec", ns, "perl", "-e", Script]);
            Assert.Equal("ready", await process.StandardOutput.ReadLineAsync());
            return new Taken(process);
        }

        public async ValueTask DisposeAsync()
        {
            process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
        }
    }
}
