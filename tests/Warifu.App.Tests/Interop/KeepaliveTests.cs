using System;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>The router forgets UDP flows after 5 s; the side behind it sends keepalives every 2 s (RFC 3948 section 4). After a silence the side outside speaks first.</summary>
[Trait("Area", "interop")]
[Trait("Item", "1.21")]
public sealed class KeepaliveTests
{
    private static readonly TimeSpan s_silence = TimeSpan.FromSeconds(Tool.IsLong ? 60 : 12);

    [StrongSwanFact]
    public Task Keepalives_hold_the_mapping_and_without_them_it_is_lost() => Task.WhenAll(
        AfterSilenceAsync(weAreHidden: true, keepalives: true),
        AfterSilenceAsync(weAreHidden: true, keepalives: false),
        AfterSilenceAsync(weAreHidden: false, keepalives: true),
        AfterSilenceAsync(weAreHidden: false, keepalives: false));

    private static async Task AfterSilenceAsync(bool weAreHidden, bool keepalives)
    {
        var interval = keepalives ? "2s" : "0";
        // only the hidden side may keep the mapping alive
        var layout = new Layout
        {
            WeAreLeft = weAreHidden,
            Daemon = $"keep_alive = {(weAreHidden ? interval : "0")}",
            PeerDaemon = $"keep_alive = {(weAreHidden ? "0" : interval)}",
            Prepare = async lab =>
            {
                await lab.MasqueradeLeftAsync();
                await lab.UdpTimeoutAsync(5);
            },
        };
        await using var tunnel = await Tunnel.StartAsync(new Site { LeftFromAnywhere = true }, layout);
        await tunnel.UpAsync(weInitiate: weAreHidden);
        await tunnel.PingBothAsync();
        if (keepalives)
        {
            // they go on for the IKE SA that replaces the first
            Assert.True((weAreHidden ? await tunnel.Ours.CliAsync("rekey", "site", "--ike") : await tunnel.Peer.ControlAsync("--rekey", "--ike", "site")).Ok, tunnel.Logs);
            await tunnel.AgreeAsync();
        }

        var before = await tunnel.Lab.SeenAsync("natt");
        await Task.Delay(s_silence);
        var sent = await tunnel.Lab.SeenAsync("natt") - before;
        var (ns, from, to) = (tunnel.Lab.Right, tunnel.Site.RightInner, tunnel.Site.LeftInner);
        var counts = await Topology.PingAsync(ns, from, to, count: 10, interval: 0.1, wait: 2);
        if (!keepalives)
        {
            Assert.Equal(0, sent);
            Assert.Equal((10, 0), counts);
            return;
        }

        Assert.InRange(sent, (s_silence.TotalSeconds / 2) - 2, (s_silence.TotalSeconds / 2) + 2);
        Assert.True(counts == (10, 10), $"{counts}{await tunnel.DescribeAsync()}{tunnel.Logs}");
        await tunnel.PingBothAsync();
        Coverage.Passed("keepalives hold the NAT mapping", weAreHidden, tunnel.Site);
    }
}
