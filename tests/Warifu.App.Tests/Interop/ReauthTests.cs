using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>
/// Re-authentication with strongSwan (items 2.8 and 2.20): on command from either side, by frequency and by time. No packet of ours goes out on a pair
/// after the message that ends it. (What has reached strongSwan before that message may still wait there for the one thread of its user-space ESP, and is lost with the pair: the capture shows when it came.)
/// </summary>
[Trait("Area", "interop")]
[Trait("Item", "2.8")]
[Trait("Item", "2.20")]
public sealed partial class ReauthTests
{
    /// <summary>What strongSwan may be behind on a busy machine.</summary>
    private static readonly TimeSpan s_queue = TimeSpan.FromMilliseconds(100);

    public static IEnumerable<TheoryDataRow<bool>> Roles => [new(true), new(false)];

    [StrongSwanTheory]
    [MemberData(nameof(Roles))]
    public async Task From_either_side_traffic_goes_on(bool weInitiate)
    {
        var site = new Site();
        await using var tunnel = await Tunnel.StartAsync(site, new Layout { PeerDaemon = "make_before_break = yes" });
        await tunnel.UpAsync(weInitiate);
        var before = await tunnel.AgreeAsync();
        await using var capture = await Lab.Capture.StartAsync(tunnel.OurNs, "wan", Path.Combine(tunnel.Lab.Folder, "reauth.pcap"), "udp port 4500");
        using var flow = PacedFlow.Start(tunnel.OurNs, tunnel.OurInner, tunnel.PeerNs, tunnel.PeerInner, megabits: 2, size: 200);
        var replaced = new List<IkeSaView>();
        foreach (var byUs in new[] { true, false, true, false })
        {
            var done = byUs ? await tunnel.Ours.CliAsync("reauth", "site") : await tunnel.Peer.ControlAsync("--rekey", "--ike", "site", "--reauth");
            Assert.True(done.Ok, done.All + tunnel.Logs);
            var old = before;
            await Until.HoldsAsync("another IKE SA", async () => (await tunnel.Ours.SasAsync()).FirstOrDefault(one => one.Spis != old.Spis && one.State == "ESTABLISHED"), one => one is not null, _ => tunnel.Logs);
            before = await tunnel.AgreeAsync();
            // everything is new
            Assert.NotEqual(old.Spis, before.Spis);
            Assert.NotEqual(old.Children[0].SpiIn, before.Children[0].SpiIn);
            replaced.Add(old);
        }

        var lost = flow.Stop();
        await capture.StopAsync();
        var ours = WireLog.Read(capture.File).Where(packet => packet.From == tunnel.Site.LeftHost).ToList();
        var ends = new List<DateTime>();
        foreach (var old in replaced)
        {
            var last = ours.FindLastIndex(packet => packet.IkeSpis == old.Spis);
            var after = ours.Skip(last + 1).Count(packet => packet.EspSpi == Convert.ToUInt32(old.Children[0].SpiOut, 16));
            Assert.True(last >= 0 && after == 0, $"{after} ESP packets of {old.Children[0].SpiOut} after the last message of {old.Spis}{tunnel.Logs}");
            ends.Add(ours[last].At);
        }

        // strongSwan drops what waits in its own queue for the thread of its user-space ESP when it deletes the pair: nothing else is lost
        Assert.True(lost.All(at => ends.Exists(end => at < end && end - at < s_queue)), $"{lost.Count} of {flow.Sent}, at {string.Join(' ', lost.Select(Show))}; pairs ended at {string.Join(' ', ends.Select(Show))}{await tunnel.DescribeAsync()}{tunnel.Logs}");
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
        var ends = Line().Matches(tunnel.Ours.Log).Select(match => DateTime.Today + TimeSpan.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture)).ToList();
        // as above; our log tells of the end when it is on its way
        Assert.True(lost.All(at => ends.Exists(end => (at - end).Duration() < s_queue)), $"{lost.Count} of {flow.Sent}, at {string.Join(' ', lost.Select(Show))}; pairs ended at {string.Join(' ', ends.Select(Show))}{await tunnel.DescribeAsync()}{tunnel.Logs}");
        if (settings.Contains("frequency", StringComparison.Ordinal)) Assert.InRange(Occurrences(tunnel.Ours.Log, "was rekeyed: now"), 2, 4);
    }

    private static string Show(DateTime at) => at.ToString("HH:mm:ss.ffffff", CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^(\d\d:\d\d:\d\d\.\d\d\d) .*was authenticated anew", RegexOptions.Multiline)]
    private static partial Regex Line();

    private static int Occurrences(string text, string what) => text.Split(what).Length - 1;
}
