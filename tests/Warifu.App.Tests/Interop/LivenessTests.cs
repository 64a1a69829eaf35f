using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>One side vanishes without a word.</summary>
[Trait("Area", "interop")]
[Trait("Item", "1.19")]
public sealed class LivenessTests
{
    /// <summary>A check after 2 s of silence, then 1 s + 1.8 s + 3.24 s (each up to a tenth longer) until the peer counts as dead.</summary>
    private const string Patience = "retransmit_timeout = 1s\nretransmit_tries = 2";

    private const double Longest = 2 + ((1 + 1.8 + 3.24) * 1.1);

    public static IEnumerable<TheoryDataRow<bool, bool>> Rows => Families.BothRoles;

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public async Task A_killed_peer_is_found_dead_in_time_and_the_reason_says_so(bool weInitiate, bool v6)
    {
        var site = new Site { OuterV6 = v6, InnerV6 = v6, LeftConnection = "dpd_delay = 2s", LeftChild = "dpd_action = clear" };
        await using var tunnel = await Tunnel.StartAsync(site, new Layout { Daemon = Patience });
        await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        var asked = await tunnel.Ours.RequestAsync("get-counters");
        tunnel.Peer.Kill();
        var killed = Stopwatch.StartNew();
        await Until.HoldsAsync("no SA of ours", tunnel.Ours.SasAsync, sas => sas.Count == 0, _ => tunnel.Logs, Longest + 2);
        Assert.InRange(killed.Elapsed.TotalSeconds, 3, Longest + 1);
        // it was found by an unanswered INFORMATIONAL and its retransmissions
        var counted = (await tunnel.Ours.RequestAsync("get-counters")).Section("counters")!.Section("")!;
        Assert.True(counted.Number("info-out-req", 0) - asked.Section("counters")!.Section("")!.Number("info-out-req", 0) >= 3, "three INFORMATIONAL requests");
        var status = await tunnel.Ours.CliAsync("status", "site");
        Assert.Contains("site: down", status.Output, StringComparison.Ordinal);
        Assert.Contains("does not answer any more", status.Output, StringComparison.Ordinal);
        await tunnel.NoRoutesAsync();
        Coverage.Passed("peer killed: liveness", weInitiate, site);
    }

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public async Task With_dpd_action_restart_the_tunnel_comes_back_by_itself(bool weInitiate, bool v6)
    {
        var site = new Site { OuterV6 = v6, InnerV6 = v6, LeftConnection = "dpd_delay = 2s\nkeyingtries = 0", LeftChild = "dpd_action = restart" };
        await using var tunnel = await Tunnel.StartAsync(site, new Layout { Daemon = Patience });
        await tunnel.UpAsync(weInitiate);
        var before = await tunnel.AgreeAsync();
        tunnel.Peer.Kill();
        await Until.HoldsAsync("a new attempt", tunnel.Ours.SasAsync, sas => sas is [{ State: "CONNECTING" }], _ => tunnel.Logs, Longest + 2);
        await tunnel.StartPeerAsync();
        await Until.HoldsAsync("a tunnel", tunnel.Ours.SasAsync, sas => sas is [{ State: "ESTABLISHED", Children.Count: 1 }], _ => tunnel.Logs, 15);
        Assert.NotEqual(before.Spis, (await tunnel.AgreeAsync()).Spis);
        await tunnel.PingBothAsync();
        Coverage.Passed("peer killed: dpd_action restart", weInitiate, site);
    }

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public async Task A_peer_that_starts_anew_replaces_its_old_SAs_with_us(bool weInitiate, bool v6)
    {
        // weInitiate: the first time; the peer's INITIAL_CONTACT comes with its own attempt after its restart
        var site = new Site { OuterV6 = v6, InnerV6 = v6 };
        await using var tunnel = await Tunnel.StartAsync(site);
        await tunnel.UpAsync(weInitiate);
        var before = await tunnel.AgreeAsync();
        tunnel.Peer.Kill();
        await tunnel.StartPeerAsync();
        Assert.Equal(before.Spis, (await tunnel.OurSaAsync()).Spis);
        await tunnel.UpAsync(weInitiate: false);
        Assert.NotEqual(before.Spis, (await tunnel.AgreeAsync()).Spis);
        await tunnel.PingBothAsync();
        Coverage.Passed("peer restarted: INITIAL_CONTACT", weInitiate, site);
    }

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public async Task When_we_start_anew_the_peer_drops_our_old_SAs(bool weInitiate, bool v6)
    {
        var site = new Site { OuterV6 = v6, InnerV6 = v6 };
        await using var tunnel = await Tunnel.StartAsync(site);
        await tunnel.UpAsync(weInitiate);
        var before = await tunnel.AgreeAsync();
        tunnel.Ours.Kill();
        await tunnel.StartOursAsync();
        Assert.Equal(before.Spis, Assert.Single(await tunnel.Peer.SasAsync()).Spis);
        // what the killed one left on this machine is gone
        Assert.Empty(await tunnel.RoutesAsync());
        await tunnel.UpAsync(weInitiate: true);
        Assert.NotEqual(before.Spis, (await tunnel.AgreeAsync()).Spis);
        await tunnel.PingBothAsync();
        Coverage.Passed("we are killed: INITIAL_CONTACT", weInitiate, site);
    }

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public async Task When_we_are_killed_the_peer_notices_and_a_living_one_is_answered(bool weInitiate, bool v6)
    {
        var site = new Site { OuterV6 = v6, InnerV6 = v6, RightConnection = "dpd_delay = 1s" };
        await using var tunnel = await Tunnel.StartAsync(site);
        await tunnel.UpAsync(weInitiate);
        var before = await tunnel.AgreeAsync();
        // its checks are answered
        await Until.HoldsAsync("checks of the peer", () => tunnel.Ours.RequestAsync("get-counters"), counters => counters.Section("counters")!.Section("")!.Number("info-in-req", 0) >= 2, _ => tunnel.Logs);
        Assert.Equal(before.Spis, (await tunnel.AgreeAsync()).Spis);
        tunnel.Ours.Kill();
        await Until.HoldsAsync("no SA of the peer", tunnel.Peer.SasAsync, sas => sas.Count == 0, _ => tunnel.Logs, 15);
        Coverage.Passed("we are killed: its liveness", weInitiate, site);
    }
}
