using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Rekeying on command from either side, in both roles, while a ping of 50 packets a second loses none. Each new pair must carry it: the counters of the new pair say so.</summary>
[Trait("Area", "interop")]
[Trait("Item", "1.19")]
public sealed class RekeyTests
{
    public static IEnumerable<TheoryDataRow<bool, bool>> Rows => Families.BothRoles;

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public Task Child_rekeys_lose_no_packet(bool weInitiate, bool v6) => ChildAsync("child rekey from both sides", new Site { OuterV6 = v6, InnerV6 = v6 }, weInitiate);

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public Task Child_rekeys_with_PFS_lose_no_packet(bool weInitiate, bool v6) => ChildAsync("child rekey with PFS from both sides", new Site { OuterV6 = v6, InnerV6 = v6, Esp = "aes256gcm16-x25519" }, weInitiate);

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public async Task IKE_rekeys_lose_no_packet(bool weInitiate, bool v6)
    {
        var site = new Site { OuterV6 = v6, InnerV6 = v6 };
        await using var tunnel = await Tunnel.StartAsync(site);
        await tunnel.UpAsync(weInitiate);
        var before = await tunnel.AgreeAsync();
        var ping = PingStream.Start(tunnel.OurNs, tunnel.OurInner, tunnel.PeerInner);
        foreach (var byUs in new[] { true, false, true })
        {
            var rekeyed = byUs ? await tunnel.Ours.CliAsync("rekey", "site", "--ike") : await tunnel.Peer.ControlAsync("--rekey", "--ike", "site");
            Assert.True(rekeyed.Ok, rekeyed.All + tunnel.Logs);
            var old = before;
            var sa = await Until.HoldsAsync("a new IKE SA", async () => (await tunnel.Ours.SasAsync()).FirstOrDefault(one => one.Spis != old.Spis && one.State == "ESTABLISHED"), one => one is { Children.Count: 1 }, _ => tunnel.Logs);
            before = await tunnel.AgreeAsync();
            // children move as they are (RFC 7296 section 2.8)
            Assert.Equal(old.Children[0].SpiIn, sa!.Children[0].SpiIn);
            Assert.NotEqual(old.Spis, before.Spis);
        }

        var counts = await ping.StopAsync();
        Assert.True(counts.Sent == counts.Received, $"{counts}{await tunnel.DescribeAsync()}{tunnel.Logs}");
        await tunnel.PingBothAsync();
        // the new keys work for a further exchange
        Assert.True((await tunnel.Ours.CliAsync("rekey", "site", "--child")).Ok);
        await tunnel.AgreeAsync();
        Coverage.Passed("IKE rekey from both sides", weInitiate, site);
    }

    private static async Task ChildAsync(string scenario, Site site, bool weInitiate)
    {
        await using var tunnel = await Tunnel.StartAsync(site);
        await tunnel.UpAsync(weInitiate);
        var before = (await tunnel.AgreeAsync()).Children[0];
        var ping = PingStream.Start(tunnel.OurNs, tunnel.OurInner, tunnel.PeerInner);
        foreach (var byUs in new[] { true, false, true, false })
        {
            var rekeyed = byUs ? await tunnel.Ours.CliAsync("rekey", "site", "--child") : await tunnel.Peer.ControlAsync("--rekey", "--child", "net");
            Assert.True(rekeyed.Ok, rekeyed.All + tunnel.Logs);
            var old = before;
            before = await Until.HoldsAsync("traffic on a new pair", tunnel.OurNewestAsync, child => child is not null && child.SpiIn != old.SpiIn && child.SpiOut != old.SpiOut && child is { PacketsIn: >= 10, PacketsOut: >= 10 }, child => Show(child) + tunnel.Logs) ?? old;
            await tunnel.AgreeAsync();
            if (site.Esp.Contains("x25519", StringComparison.Ordinal)) Assert.Equal("CURVE_25519", before.Body.Text("dh-group"));
        }

        var counts = await ping.StopAsync();
        Assert.True(counts.Sent == counts.Received, $"{counts}{await tunnel.DescribeAsync()}{tunnel.Logs}");
        await tunnel.PingBothAsync();
        Coverage.Passed(scenario, weInitiate, site);
    }

    private static string Show(ChildSaView? child) => child is null ? "none" : Cli.Json.Print(child.Body);
}

/// <summary>Rekeying by itself: by time, packets and octets on our side, by time on the peer's.</summary>
[Trait("Area", "interop")]
[Trait("Item", "1.19")]
public sealed class LifetimeTests
{
    public static IEnumerable<TheoryDataRow<bool, bool>> Rows => Families.BothRoles;

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public async Task Lifetimes_rekey_and_lose_no_packet(bool weInitiate, bool v6)
    {
        var site = new Site { OuterV6 = v6, InnerV6 = v6 };
        await Task.WhenAll(
            ExpireAsync("child rekey by time", site with { LeftChild = "rekey_time = 2s\nlife_time = 20s\nrand_time = 0s" }, weInitiate),
            ExpireAsync("child rekey by packets", site with { LeftChild = "rekey_packets = 60\nlife_packets = 600" }, weInitiate),
            ExpireAsync("child rekey by octets", site with { LeftChild = "rekey_bytes = 16k\nlife_bytes = 160k" }, weInitiate),
            ExpireAsync("child rekey by the peer's time", site with { RightChild = "rekey_time = 2s\nlife_time = 20s\nrand_time = 0s" }, weInitiate));
    }

    private static async Task ExpireAsync(string scenario, Site site, bool weInitiate)
    {
        await using var tunnel = await Tunnel.StartAsync(site);
        await tunnel.UpAsync(weInitiate);
        var seen = new HashSet<string> { (await tunnel.OurChildAsync()).SpiIn };
        var ping = PingStream.Start(tunnel.OurNs, tunnel.OurInner, tunnel.PeerInner, size: 200);
        await Until.HoldsAsync(
            "two rekeyings",
            async () =>
            {
                if (await tunnel.OurNewestAsync() is { PacketsIn: > 0, PacketsOut: > 0 } child) seen.Add(child.SpiIn);
                return seen.Count;
            },
            count => count >= 3,
            count => $"{count} pairs{tunnel.Logs}",
            seconds: 20);
        var counts = await ping.StopAsync();
        Assert.True(counts.Sent == counts.Received, $"{scenario}: {counts}{await tunnel.DescribeAsync()}{tunnel.Logs}");
        Coverage.Passed(scenario, weInitiate, site);
    }
}
