using System;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Negotiations that must fail: the right notify on the wire (as the peer decoded or sent it), no SA left, exit code 1, and an explanation that names the cause and the setting.</summary>
[Trait("Area", "interop")]
[Trait("Item", "1.19")]
[Trait("Item", "1.16")]
public sealed class FailureTests
{
    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task A_wrong_pre_shared_key(bool weInitiate) => FailAsync("wrong pre-shared key", weInitiate, new Site(), site => site with { LeftSecret = Site.Secret, RightSecret = "Qk3!vWn8-Lr5jYb6" }, "IKE_AUTH", "N(AUTH_FAILED)",
        weInitiate ? ["AUTHENTICATION_FAILED", "the pre-shared key differs", "left.example.org", "connections.site.local.id"] : ["the pre-shared keys for left.example.org and right.example.org differ", "case, blanks and the end of the line count"]);

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task No_common_IKE_proposal(bool weInitiate) => FailAsync("no common IKE proposal", weInitiate, new Site { Ike = "aes256gcm16-prfsha384-ecp384" }, site => site with { Ike = "aes128-sha256-modp2048" }, "IKE_SA_INIT", "N(NO_PROP)",
        weInitiate ? ["NO_PROPOSAL_CHOSEN", "aes256gcm16-prfsha384-ecp384", "connections.site.proposals"] : ["no IKE proposal in common", "encryption aes256gcm16", "aes128-sha256-prfsha256-modp2048", "aes256gcm16-prfsha384-ecp384", "connections.site.proposals"]);

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task No_common_ESP_proposal(bool weInitiate) => FailAsync("no common ESP proposal", weInitiate, new Site { Esp = "aes256gcm16" }, site => site with { Esp = "aes128-sha256" }, "IKE_AUTH", "N(NO_PROP)",
        weInitiate ? ["NO_PROPOSAL_CHOSEN", "aes256gcm16", "connections.site.children.net.esp_proposals"] : ["no ESP proposal in common", "aes128-sha256", "aes256gcm16", "connections.site.children.net.esp_proposals"], childOnly: true);

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task No_common_selectors(bool weInitiate) => FailAsync("no common selectors", weInitiate, new Site(), site => site with { LeftTs = "10.99.1.0/24" }, "IKE_AUTH", "N(TS_UNACCEPT)",
        weInitiate ? ["TS_UNACCEPTABLE", "10.10.1.0/24", "10.10.2.0/24", "connections.site.children.net.local_ts"] : ["10.99.1.0/24", "10.10.1.0/24", "connections.site.children"], childOnly: true);

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task An_unknown_identity(bool weInitiate) => FailAsync("unknown identity", weInitiate, new Site(), site => site with { LeftId = "nobody.example.org", RightId = weInitiate ? null : "stranger.example.org" }, "IKE_AUTH", "N(AUTH_FAILED)",
        weInitiate ? ["AUTHENTICATION_FAILED", "left.example.org", "connections.site.local.id"] : ["stranger.example.org", "right.example.org", "connections.site.remote.id"]);

    /// <param name="scenario">Row of the coverage.</param>
    /// <param name="weInitiate">Who begins.</param>
    /// <param name="site">Ours (left).</param>
    /// <param name="spoil">What the peer has instead.</param>
    /// <param name="exchange">Exchange whose response refuses.</param>
    /// <param name="notify">The refusal in the peer's short form.</param>
    /// <param name="explained">What our explanation must contain.</param>
    /// <param name="childOnly">Only the child fails: the IKE SA stays, without children (RFC 7296 section 1.2).</param>
    private static async Task FailAsync(string scenario, bool weInitiate, Site site, Func<Site, Site> spoil, string exchange, string notify, string[] explained, bool childOnly = false)
    {
        await using var tunnel = await Tunnel.StartAsync(site, new Layout { PeerSite = spoil(site) });
        var up = await tunnel.TryUpAsync(weInitiate);
        Assert.False(up.Ok, up.All + tunnel.Logs);
        if (weInitiate) Assert.Equal(1, up.ExitCode);
        var wire = $"{(weInitiate ? "generating" : "parsed")} {exchange} response {(exchange == "IKE_AUTH" ? 1 : 0)} [";
        Assert.Contains(tunnel.Peer.Log.Split('\n'), line => line.Contains(wire, StringComparison.Ordinal) && line.Contains(notify, StringComparison.Ordinal));

        // both commands name the cause and what to change; the one that failed says it at once
        foreach (var explain in weInitiate ? new[] { new[] { "explain", "site" }, ["explain", "--last"] } : [["explain", "--last"]])
        {
            var told = await tunnel.Ours.CliAsync(explain);
            Assert.True(told.Ok, told.All);
            Assert.Contains("FAILED", told.Output, StringComparison.Ordinal);
            Assert.Contains(weInitiate ? "initiator" : "responder", told.Output, StringComparison.Ordinal);
            Assert.Contains("to change:", told.Output, StringComparison.Ordinal);
            foreach (var part in explained) Assert.Contains(part, told.Output, StringComparison.Ordinal);
        }

        if (weInitiate)
        {
            foreach (var part in explained[^1..]) Assert.Contains(part, up.Error, StringComparison.Ordinal);
        }

        if (childOnly)
        {
            await tunnel.AgreeAsync(children: 0);
            await tunnel.NoRoutesAsync();
            Assert.True((await tunnel.Ours.CliAsync("down", "site")).Ok);
        }

        await tunnel.AllGoneAsync(seconds: 3);
        Coverage.Passed(scenario, weInitiate, site);
    }
}
