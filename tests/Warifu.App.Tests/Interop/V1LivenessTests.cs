using System;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>One side vanishes without a word: dead peer detection (RFC 3706) of either side with strongSwan, and INITIAL-CONTACT when it is there again.</summary>
[Trait("Area", "interop")]
[Trait("Item", "3.11")]
public sealed partial class V1LivenessTests
{
    /// <summary>A check after 2 s of silence, then 1 s + 1.8 s + 3.24 s until the peer counts as dead.</summary>
    private const string Patience = "retransmit_timeout = 1s\nretransmit_tries = 2";

    private const double Longest = 2 + ((1 + 1.8 + 3.24) * 1.1);

    [StrongSwanFact]
    public async Task A_killed_peer_is_found_dead_and_a_new_one_is_welcome()
    {
        var site = StrongSwanV1Tests.Site with { LeftConnection = "dpd_delay = 2s" };
        (string, Site)[] cells =
        [
            ("peer killed: dead peer detection", site with { LeftChild = "dpd_action = clear" }),
            ("peer killed: dpd_action restart", site with { LeftConnection = "dpd_delay = 2s\nkeyingtries = 0", LeftChild = "dpd_action = restart" }),
        ];
        await using var bundle = await Bundle.StartAsync([.. StrongSwanV1Tests.InBothRoles(cells)], new Layout { Daemon = Patience });
        await bundle.ProveAllAsync(peer: null);
        var before = new ConcurrentDictionary<string, string>();
        await bundle.EachAsync(null, async strand => before[strand.Site.Name] = Assert.Single(await bundle.OursAsync(strand)).Spis);
        bundle.Peer.Kill();
        var killed = Stopwatch.StartNew();
        await bundle.EachAsync(StrongSwanV1Tests.Peer, async strand =>
        {
            var restart = strand.Scenario.EndsWith("restart", StringComparison.Ordinal);
            // the new one may be up already, since the peer is started again by whichever comes first
            await Until.HoldsAsync("no old SA of ours", () => bundle.OursAsync(strand), sas => restart ? sas is [var now] && now.Spis != before[strand.Site.Name] : sas.Count == 0, seconds: Longest + 2);
            Assert.InRange(killed.Elapsed.TotalSeconds, 3, Longest + 1.5);
            if (!restart)
            {
                Assert.Contains("does not answer any more", (await bundle.Ours.CliAsync("status", strand.Site.Name)).Output, StringComparison.Ordinal);
                return;
            }

            await bundle.StartPeerAsync();
            await bundle.SettledAsync(strand);
            Assert.True(await bundle.PingBothAsync(strand), "pings");
        });
    }

    [StrongSwanFact]
    public async Task Whoever_starts_anew_replaces_its_old_SAs()
    {
        await using var bundle = await Bundle.StartAsync([.. StrongSwanV1Tests.InBothRoles([("peer restarted: INITIAL-CONTACT", StrongSwanV1Tests.Site), ("we are killed: INITIAL-CONTACT", StrongSwanV1Tests.Site)])]);
        await bundle.ProveAllAsync(peer: null);
        bundle.Peer.Kill();
        await bundle.StartPeerAsync();
        // whoever began it the first time: the one that was started anew calls
        await AgainAsync("peer restarted: INITIAL-CONTACT", weInitiate: false);
        bundle.Ours.Kill();
        await bundle.StartOursAsync();
        await AgainAsync("we are killed: INITIAL-CONTACT", weInitiate: true);

        Task AgainAsync(string scenario, bool weInitiate) => bundle.EachAsync(StrongSwanV1Tests.Peer, async strand =>
        {
            await bundle.UpAsync(strand with { WeInitiate = weInitiate });
            await bundle.SettledAsync(strand);
            Assert.Single(await bundle.OursAsync(strand));
            Assert.Single(await bundle.PeersAsync(strand));
            Assert.True(await bundle.PingBothAsync(strand), "pings");
        }, strand => strand.Scenario == scenario);
    }

    [StrongSwanFact]
    public async Task When_we_are_killed_the_peer_notices_and_a_living_one_is_answered()
    {
        var site = StrongSwanV1Tests.Site with { RightConnection = "dpd_delay = 1s\ndpd_timeout = 4s" };
        await using var bundle = await Bundle.StartAsync([.. StrongSwanV1Tests.InBothRoles([("we are killed: its dead peer detection", site)])]);
        await bundle.ProveAllAsync(peer: null);
        await Until.HoldsAsync("answers to its checks", () => Task.FromResult(Ack().Count(bundle.Peer.Log)), count => count >= 4);
        foreach (var strand in bundle.Strands) await bundle.SettledAsync(strand);
        bundle.Ours.Kill();
        await bundle.EachAsync(StrongSwanV1Tests.Peer, async strand => await Until.HoldsAsync("no SA of the peer", () => bundle.PeersAsync(strand), sas => sas.Count == 0, seconds: 15));
    }

    [GeneratedRegex(@"parsed INFORMATIONAL_V1 request \d+ \[ HASH N\(DPD_ACK\) \]")]
    private static partial Regex Ack();
}
