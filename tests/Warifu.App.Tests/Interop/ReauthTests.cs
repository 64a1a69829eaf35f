using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>
/// Re-authentication with strongSwan (items 2.8 and 2.20): on command from either side, by frequency and by time. What makes before it breaks loses no packet of ours. (As responder strongSwan sends on its new pair
/// before its answer has reached us: RFC 7296 section 2.8 allows it, and what it sends in that moment is lost.)
/// </summary>
[Trait("Area", "interop")]
[Trait("Item", "2.8")]
[Trait("Item", "2.20")]
public sealed class ReauthTests
{
    public static IEnumerable<TheoryDataRow<bool>> Roles => [new(true), new(false)];

    [StrongSwanTheory]
    [MemberData(nameof(Roles))]
    public async Task From_either_side_traffic_goes_on(bool weInitiate)
    {
        var site = new Site();
        await using var tunnel = await Tunnel.StartAsync(site, new Layout { PeerDaemon = "make_before_break = yes" });
        await tunnel.UpAsync(weInitiate);
        var before = await tunnel.AgreeAsync();
        using var flow = PacedFlow.Start(tunnel.OurNs, tunnel.OurInner, tunnel.PeerNs, tunnel.PeerInner, megabits: 0.5, size: 200);
        foreach (var byUs in new[] { true, false, true })
        {
            var done = byUs ? await tunnel.Ours.CliAsync("reauth", "site") : await tunnel.Peer.ControlAsync("--rekey", "--ike", "site", "--reauth");
            Assert.True(done.Ok, done.All + tunnel.Logs);
            var old = before;
            await Until.HoldsAsync("another IKE SA", async () => (await tunnel.Ours.SasAsync()).FirstOrDefault(one => one.Spis != old.Spis && one.State == "ESTABLISHED"), one => one is not null, _ => tunnel.Logs);
            before = await tunnel.AgreeAsync();
            // everything is new
            Assert.NotEqual(old.Spis, before.Spis);
            Assert.NotEqual(old.Children[0].SpiIn, before.Children[0].SpiIn);
        }

        var lost = flow.Stop();
        // strongSwan needs a few milliseconds between our answer and its new pair; what we send in them is lost there
        Assert.True(lost.Count <= 5, $"{lost.Count} of {flow.Sent}{await tunnel.DescribeAsync()}{tunnel.Logs}");
        await tunnel.PingBothAsync();
        Coverage.Passed("re-authentication from both sides", weInitiate, site);
    }

    [StrongSwanTheory]
    [MemberData(nameof(Roles))]
    public async Task A_peer_that_breaks_before_it_makes_comes_back(bool weInitiate)
    {
        var site = new Site();
        await using var tunnel = await Tunnel.StartAsync(site, new Layout { PeerDaemon = "make_before_break = no" });
        await tunnel.UpAsync(weInitiate);
        var before = await tunnel.AgreeAsync();
        Assert.True((await tunnel.Peer.ControlAsync("--rekey", "--ike", "site", "--reauth")).Ok, tunnel.Logs);
        await Until.HoldsAsync("another IKE SA", tunnel.Ours.SasAsync, sas => sas is [{ State: "ESTABLISHED" }] && sas[0].Spis != before.Spis, _ => tunnel.Logs);
        await tunnel.AgreeAsync();
        await tunnel.PingBothAsync();
        Coverage.Passed("re-authentication: the peer breaks before it makes", weInitiate, site);
    }

    [StrongSwanTheory]
    [InlineData("reauth_frequency = 2\nrekey_time = 3s\nover_time = 20s\nrand_time = 0s")]
    [InlineData("reauth_time = 5s\nover_time = 20s\nrand_time = 0s")]
    public async Task By_itself_traffic_goes_on(string settings)
    {
        var site = new Site { LeftConnection = settings };
        await using var tunnel = await Tunnel.StartAsync(site, new Layout { PeerDaemon = "make_before_break = yes" });
        await tunnel.UpAsync(weInitiate: true);
        using var flow = PacedFlow.Start(tunnel.OurNs, tunnel.OurInner, tunnel.PeerNs, tunnel.PeerInner, megabits: 0.5, size: 200);
        await Until.HoldsAsync("two new authentications", () => Task.FromResult(Occurrences(tunnel.Ours.Log, "was authenticated anew")), count => count >= 2, count => $"{count}{tunnel.Logs}", 25);
        var lost = flow.Stop();
        // as above
        Assert.True(lost.Count <= 5, $"{lost.Count} of {flow.Sent}{await tunnel.DescribeAsync()}{tunnel.Logs}");
        if (settings.Contains("frequency", StringComparison.Ordinal)) Assert.InRange(Occurrences(tunnel.Ours.Log, "was rekeyed: now"), 2, 4);
    }

    private static int Occurrences(string text, string what) => text.Split(what).Length - 1;
}
