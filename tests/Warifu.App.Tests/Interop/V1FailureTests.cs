using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>IKEv1 negotiations with strongSwan that must fail: nothing is left, and our explanation names the cause and the setting on whichever side begins. And what looks like one, and is none.</summary>
[Trait("Area", "interop")]
[Trait("Item", "3.11")]
public sealed class V1FailureTests
{
    /// <summary>Rows of the coverage.</summary>
    internal static IReadOnlyList<string> Scenarios => [.. s_failures.Select(failure => failure.Scenario), .. s_versions.Select(version => version.Scenario), "proxy IDs narrowed by a bit"];

    /// <summary>Scenario, what the peer has instead, what our explanation says when we begin, and when the peer begins. S stands for the connection.</summary>
    private static readonly (string Scenario, Site Site, Func<Site, Site> Spoil, string[] Ours, string[] Peers)[] s_failures =
    [
        ("wrong pre-shared key", StrongSwanV1Tests.Site, site => site with { RightSecret = "Qk3!vWn8-Lr5jYb6" },
            ["pre-shared key", "to the letter"],
            ["the pre-shared keys of", "correct secrets.ike-S.secret", "to the letter"]),
        ("wrong pre-shared key, aggressive mode", StrongSwanV1Tests.SiteOf("", aggressive: true), site => site with { RightSecret = "Qk3!vWn8-Lr5jYb6" },
            ["the pre-shared keys of", "to the letter"],
            ["the pre-shared keys of", "to the letter"]),
        ("no common phase 1 proposal", StrongSwanV1Tests.Site with { Ike = "aes256-sha256-modp2048" }, site => site with { Ike = "aes128-sha256-ecp256" },
            ["NO-PROPOSAL-CHOSEN", "connections.S.proposals", "aes256-sha256-"],
            ["nothing in common with connections.S.proposals", "encryption aes256 against aes128", "aes128-sha256-"]),
        ("no common phase 2 proposal", StrongSwanV1Tests.Site with { Esp = "aes256-sha256" }, site => site with { Esp = "aes128-sha1" },
            ["NO-PROPOSAL-CHOSEN", "connections.S.children.net.esp_proposals"],
            ["phase 2 proposals", "encryption aes256 against aes128", "connections.S.children.net.esp_proposals"]),
        ("PFS required, the peer has none", StrongSwanV1Tests.Site with { Esp = "aes256-sha256-modp2048" }, site => site with { Esp = "aes256-sha256" },
            ["NO-PROPOSAL-CHOSEN", "connections.S.children.net.esp_proposals", "its PFS group too"],
            ["asks for child net without PFS", "enable PFS"]),
        ("PFS of the peer, none of ours", StrongSwanV1Tests.Site, site => site with { Esp = "aes256-sha256-modp2048" },
            ["NO-PROPOSAL-CHOSEN", "connections.S.children.net.esp_proposals", "its PFS group too"],
            ["PFS group ", "against modp2048", "connections.S.children.net.esp_proposals"]),
        ("unknown identity", StrongSwanV1Tests.Site, site => site with { RightId = "stranger.example.org", LeftId = "nobody.example.org" },
            ["connections.S.local.id"],
            ["stranger.example.org", "connections.S.remote.id"]),
        ("main mode for aggressive mode", StrongSwanV1Tests.Site, site => site with { Connection = "aggressive = yes" },
            ["main mode, where it wants aggressive mode", ".aggressive"],
            ["begins with aggressive mode, connection S is configured for main mode", "connections.S.aggressive = yes"]),
        ("aggressive mode for main mode", StrongSwanV1Tests.SiteOf("", aggressive: true), site => site with { Connection = "" },
            ["in aggressive mode", "connections.S.local.id", ".aggressive"],
            ["begins with main mode, connection S is configured for aggressive mode", "connections.S.aggressive = no"]),
        ("proxy IDs swapped", StrongSwanV1Tests.Site, site => site with { LeftTs = site.RightTs, RightTs = site.LeftTs },
            ["INVALID-ID-INFORMATION", "local LEFT, remote RIGHT", "set its proxy IDs to local RIGHT, remote LEFT"],
            ["local RIGHT, remote LEFT", "child net has them the other way round", "net: local LEFT, remote RIGHT"]),
        // its pair is within ours: it answers for its own
        ("proxy IDs widened by a bit", Wide, site => site with { LeftTs = site.LeftInner },
            ["LEFT and RIGHT instead of WIDE and RIGHT"],
            ["local WIDE, remote RIGHT", "local LEFT, remote RIGHT"]),
    ];

    private static readonly (string Scenario, int Ours, int Peers)[] s_versions = [("version 1 for version 2", 1, 2), ("version 2 for version 1", 2, 1)];

    /// <summary>The pair that has one bit less than the other side's.</summary>
    private static Site Wide => StrongSwanV1Tests.Site with { LeftTs = "wide" };

    [StrongSwanFact]
    [Trait("Item", "3.7")]
    public async Task Each_failure_is_explained_and_leaves_nothing()
    {
        var strands = s_failures.SelectMany(failure => new[] { true, false }.Select(weInitiate => new Strand(failure.Scenario, weInitiate, failure.Site) { Spoiled = failure.Spoil }))
            .Concat(s_versions.SelectMany(version => new[] { true, false }.Select(weInitiate => new Strand(version.Scenario, weInitiate, StrongSwanV1Tests.Site with { Version = version.Ours }) { Spoiled = site => site with { Version = version.Peers } })));
        await using var bundle = await StrongSwanV1Tests.StartAsync([.. strands], new Layout { Daemon = "retransmit_timeout = 1s\nretransmit_tries = 3" });
        await using var capture = await Capture.StartAsync(bundle.Lab.Router, "tol", Path.Combine(bundle.Lab.Folder, "wire.pcap"));
        await bundle.EachAsync(StrongSwanV1Tests.Peer, async strand =>
        {
            Assert.False((await bundle.TryUpAsync(strand)).Bool("success"), "it came up");
            var told = await ExplainedAsync(bundle, strand);
            if (s_failures.FirstOrDefault(one => one.Scenario == strand.Scenario) is { Scenario: not null } failure)
            {
                foreach (var part in strand.WeInitiate ? failure.Ours : failure.Peers) Assert.Contains(Filled(part, strand.Site), told, StringComparison.Ordinal);
            }
            else
            {
                var (ours, peers) = s_versions.Where(version => version.Scenario == strand.Scenario).Select(version => (version.Ours, version.Peers)).Single();
                Assert.Contains(strand.WeInitiate ? ours == 1 ? "NO-PROPOSAL-CHOSEN" : "NO_PROPOSAL_CHOSEN" : $"speaks IKEv{peers}, connection {strand.Site.Name} is IKEv{ours}: nothing falls back", told, StringComparison.Ordinal);
                Assert.Empty((await bundle.OursAsync(strand)).Concat(await bundle.PeersAsync(strand)));
            }

            // phase 1 may stay where only phase 2 failed
            foreach (var sa in (await bundle.OursAsync(strand)).Concat(await bundle.PeersAsync(strand))) Assert.Empty(sa.Children);
        });
        Assert.Equal("", (await Tool.RunAsync("ip", ["-n", bundle.Lab.Left, "route", "show", "table", "8757"])).Output);
        await capture.StopAsync();
        await NothingFellBackAsync(bundle, capture.File);
    }

    /// <summary>It is the responder that compares: a peer that has the wider pair takes ours when we ask for it, and is refused when it asks for its own.</summary>
    [StrongSwanFact]
    public async Task Narrower_proxy_IDs_are_taken_by_a_wider_peer_and_refused_to_it()
    {
        Strand[] strands = [.. new[] { true, false }.Select(weInitiate => new Strand("proxy IDs narrowed by a bit", weInitiate, StrongSwanV1Tests.Site) { Spoiled = site => site with { LeftTs = Bundle.Wider(site.LeftInner) } })];
        await using var bundle = await StrongSwanV1Tests.StartAsync(strands);
        await bundle.EachAsync(StrongSwanV1Tests.Peer, async strand =>
        {
            var up = await bundle.TryUpAsync(strand);
            Assert.Equal(strand.WeInitiate, up.Bool("success"));
            if (strand.WeInitiate)
            {
                Assert.True(await bundle.PingBothAsync(strand), "pings");
                return;
            }

            var told = await ExplainedAsync(bundle, strand);
            foreach (var part in new[] { "local LEFT, remote RIGHT", "local WIDE, remote RIGHT" }) Assert.Contains(Filled(part, strand.Site), told, StringComparison.Ordinal);
            Assert.Empty(Assert.Single(await bundle.OursAsync(strand)).Children);
        });
    }

    private static async Task<string> ExplainedAsync(Bundle bundle, Strand strand)
    {
        var told = (await bundle.Ours.CliAsync("explain", strand.Site.Name)).All;
        foreach (var part in new[] { "FAILED", strand.WeInitiate ? "initiator" : "responder", "to change:" }) Assert.Contains(part, told, StringComparison.Ordinal);
        return told;
    }

    private static string Filled(string part, Site site)
    {
        foreach (var (word, value) in new[] { ("connections.S.", $"connections.{site.Name}."), ("connection S ", $"connection {site.Name} "), ("ike-S.", $"ike-{site.Name}."), ("WIDE", Bundle.Wider(site.LeftInner)), ("LEFT", site.LeftInner + "/32"), ("RIGHT", site.RightInner + "/32") })
            part = part.Replace(word, value, StringComparison.Ordinal);
        return part;
    }

    /// <summary>Between ends of different versions there are first messages of the initiator's version, and their refusals; never another version, never a second exchange.</summary>
    private static async Task NothingFellBackAsync(Bundle bundle, string file)
    {
        const int MainMode = 2, InformationalV1 = 5, Init = 34;
        var listed = (await Tool.RunAsync("tshark", ["-n", "-r", file, "-Y", "isakmp", "-T", "fields", "-E", "occurrence=f", "-e", "ip.src", "-e", "isakmp.version", "-e", "isakmp.exchangetype"])).OrThrow("tshark");
        var seen = listed.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split('\t')).Select(field => (From: field[0], Version: Convert.ToInt32(field[1], 16) >> 4, Exchange: int.Parse(field[2], CultureInfo.InvariantCulture))).ToLookup(packet => packet.From);
        foreach (var strand in bundle.Strands.Where(strand => s_versions.Any(version => version.Scenario == strand.Scenario)))
        {
            var version = s_versions.Where(version => version.Scenario == strand.Scenario).Select(version => strand.WeInitiate ? version.Ours : version.Peers).Single();
            var (from, to) = strand.WeInitiate ? (strand.Site.LeftHost, strand.Site.RightHost) : (strand.Site.RightHost, strand.Site.LeftHost);
            Assert.NotEmpty(seen[from]);
            Assert.All(seen[from], packet => Assert.Equal((version, version == 1 ? MainMode : Init), (packet.Version, packet.Exchange)));
            Assert.All(seen[to], packet => Assert.Contains((packet.Version, packet.Exchange), version == 1 ? new[] { (1, InformationalV1) } : [(2, Init)]));
        }
    }
}
