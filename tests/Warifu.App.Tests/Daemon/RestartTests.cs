using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Daemon;

/// <summary>A gateway is killed and started again (item 2.10): what it left is gone, what must be up comes up by itself, and the peer learns it by INITIAL_CONTACT or by the token of quick crash detection.</summary>
[Trait("Area", "daemon")]
[Trait("Item", "2.10")]
public sealed class RestartTests
{
    private const int Tunnels = 100;

    [LabFact]
    public async Task A_hundred_tunnels_are_back_three_seconds_after_the_start()
    {
        await using var lab = await Topology.CreateAsync();
        (await Tool.ShellAsync($"for i in $(seq 2 {Tunnels}); do ip -n {lab.Left} addr add 10.10.1.$i/24 dev lan; ip -n {lab.Right} addr add 10.10.2.$i/24 dev lan; done")).OrThrow("addresses");
        await using var right = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), Gateways(left: false));
        var folder = Path.Combine(lab.Folder, "left");
        var left = await Gateway.StartAsync(lab.Left, folder, Gateways(left: true));
        try
        {
            await UpAsync(left, right);
            var before = (await right.SasAsync()).Select(sa => sa.Spis).ToHashSet();
            left.Kill();
            await left.DisposeAsync();
            var watch = Stopwatch.StartNew();
            left = await Gateway.StartAsync(lab.Left, folder, Gateways(left: true));
            var started = watch.Elapsed;
            await UpAsync(left, right);
            var up = watch.Elapsed;
            TestContext.Current.TestOutputHelper?.WriteLine(string.Create(CultureInfo.InvariantCulture, $"counted from the start of the program: ready after {started.TotalSeconds:F2} s, {Tunnels} tunnels up on both sides after {up.TotalSeconds:F2} s"));
            Assert.True(up < TimeSpan.FromSeconds(3), $"{Tunnels} tunnels took {up.TotalSeconds:F2} s, the start {started.TotalSeconds:F2} s of it");
            // none of the old ones is left
            Assert.DoesNotContain(await right.SasAsync(), sa => before.Contains(sa.Spis));
            foreach (var number in new[] { 1, 42, Tunnels }) Assert.Equal((3, 3), await Topology.PingAsync(lab.Left, Inner(1, number), Inner(2, number), count: 3));
        }
        finally
        {
            await left.DisposeAsync();
        }
    }

    [LabFact]
    public async Task A_peer_that_must_not_be_called_first_learns_of_the_restart_by_its_token()
    {
        // nobody here begins after the restart: the peer's next message must tell it
        var site = new Site { LeftConnection = "dpd_delay = 2s\nkeyingtries = 0", LeftChild = "dpd_action = restart" };
        await using var lab = await Topology.CreateAsync();
        var folder = Path.Combine(lab.Folder, "right");
        var right = await Gateway.StartAsync(lab.Right, folder, site.Right());
        await using var left = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "left"), site.Left());
        try
        {
            Assert.True((await left.CliAsync("up", "site")).Ok, left.Log);
            var before = Assert.Single(await left.SasAsync()).Spis;
            right.Kill();
            await right.DisposeAsync();
            right = await Gateway.StartAsync(lab.Right, folder, site.Right());
            var watch = Stopwatch.StartNew();
            await Until.HoldsAsync("another IKE SA", left.SasAsync, sas => sas is [{ State: "ESTABLISHED", Children.Count: 1 }] && sas[0].Spis != before, _ => left.Log, 15);
            // without the token the retransmissions of the liveness check would take more than a minute
            Assert.InRange(watch.Elapsed.TotalSeconds, 0, 10);
            Assert.Contains("as its token proves", left.Log, StringComparison.Ordinal);
            Assert.Equal((3, 3), await Topology.PingAsync(lab.Left, site.LeftInner, site.RightInner, count: 3));
        }
        finally
        {
            await right.DisposeAsync();
        }
    }

    private static async Task UpAsync(Gateway left, Gateway right) => await Until.HoldsAsync(
        $"{Tunnels} tunnels on both sides",
        async () => (await left.SasAsync(), await right.SasAsync()),
        seen => seen.Item1.Count(sa => sa is { State: "ESTABLISHED", Children.Count: 1 }) == Tunnels && seen.Item1.Select(sa => sa.Spis).ToHashSet().SetEquals(seen.Item2.Select(sa => sa.Spis)),
        seen => $"left {seen.Item1.Count}, right {seen.Item2.Count}\n{left.Log}",
        30);

    private static string Inner(int side, int number) => string.Create(CultureInfo.InvariantCulture, $"10.10.{side}.{number}");

    /// <summary>A hundred connections of their own between the two gateways, each with its identities and a host on either side.</summary>
    private static string Gateways(bool left)
    {
        var text = new StringBuilder("connections {\n");
        var (own, peer, side, other) = left ? ("left", "right", 1, 2) : ("right", "left", 2, 1);
        for (var number = 1; number <= Tunnels; number++)
        {
            text.Append(CultureInfo.InvariantCulture, $$"""
                  t{{number}} {
                    version = 2
                    mobike = no
                    local_addrs = {{(left ? "192.0.2.2" : "198.51.100.2")}}
                    remote_addrs = {{(left ? "198.51.100.2" : "192.0.2.2")}}
                    proposals = aes128gcm16-prfsha256-x25519
                    {{(left ? "keyingtries = 0" : "")}}
                    local {
                      auth = psk
                      id = {{own}}{{number}}.example.org
                    }
                    remote {
                      auth = psk
                      id = {{peer}}{{number}}.example.org
                    }
                    children {
                      net {
                        local_ts = {{Inner(side, number)}}/32
                        remote_ts = {{Inner(other, number)}}/32
                        esp_proposals = aes128gcm16
                        {{(left ? "start_action = start" : "")}}
                      }
                    }
                  }

                """);
        }

        return text.Append("}\nsecrets {\n  ike-all {\n    secret = \"").Append(Site.Secret).Append("\"\n  }\n}\n").ToString();
    }
}
