using System;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Threading.Tasks;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Daemon;

/// <summary>Two daemons, one of them configured wrongly: each side's explanation names the cause, who can mend it, and the setting with its line.</summary>
[Trait("Item", "1.16")]
public sealed class ExplainTests
{
    [Fact]
    public async Task A_wrong_secret_is_named_on_both_sides()
    {
        await using var pair = await Pair.StartAsync(Side.Left with { Psk = "Kq7.vXe2-Lw9pRz5" }, Side.Right);
        await pair.InitiateAsync();
        pair.Expect(await pair.FailureOfLeft(), "authentication-failed", "either", "AUTHENTICATION_FAILED", ("secrets.ike-site.secret", "secret = "), ("connections.site.local.id", "id = left"), ("connections.site.remote.id", "id = right"));
        pair.Expect(await pair.FailureOfRight(), "authentication-failed", "either", "the pre-shared keys for right.example.org and left.example.org differ", ("secrets.ike-site.secret", "secret = "));
    }

    [Fact]
    public async Task An_initiator_without_a_secret_says_for_whom_it_looked()
    {
        await using var pair = await Pair.StartAsync(Side.Left with { Owners = "id-1 = somebody.example.org" }, Side.Right);
        await pair.InitiateAsync();
        var failure = pair.Expect(await pair.FailureOfLeft(), "no-secret", "here", "no pre-shared key for left.example.org and right.example.org");
        Assert.Contains("ike-site (somebody.example.org)", failure.Text("why"), StringComparison.Ordinal);
        pair.Expect(await pair.FailureOfRight(), "timeout", "peer", "did not finish the negotiation");
    }

    [Fact]
    public async Task A_responder_without_a_secret_says_what_to_add()
    {
        await using var pair = await Pair.StartAsync(Side.Left, Side.Right with { Owners = "id-1 = somebody.example.org" });
        await pair.InitiateAsync();
        var failure = pair.Expect(await pair.FailureOfRight(), "no-secret", "here", "no pre-shared key for right.example.org and left.example.org");
        Assert.Contains("id-2 = left.example.org", failure.Text("remedy"), StringComparison.Ordinal);
        pair.Expect(await pair.FailureOfLeft(), "authentication-failed", "either", "AUTHENTICATION_FAILED", ("secrets.ike-site.secret", "secret = "));
    }

    [Fact]
    public async Task A_remote_identity_that_does_not_fit_is_named_by_the_responder()
    {
        await using var pair = await Pair.StartAsync(Side.Left, Side.Right with { RemoteId = "lest.example.org" });
        await pair.InitiateAsync();
        pair.Expect(await pair.FailureOfRight(), "identity", "either", "the peer calls itself left.example.org", ("connections.site.remote.id", "id = lest"));
        pair.Expect(await pair.FailureOfLeft(), "authentication-failed", "either", "we are left.example.org", ("connections.site.local.id", "id = left"));
    }

    [Fact]
    public async Task An_own_identity_that_the_peer_does_not_ask_for_is_named_by_the_responder()
    {
        await using var pair = await Pair.StartAsync(Side.Left with { RemoteId = "rihgt.example.org" }, Side.Right);
        await pair.InitiateAsync();
        pair.Expect(await pair.FailureOfRight(), "identity", "either", "the peer asks for rihgt.example.org", ("connections.site.local.id", "id = right"));
        pair.Expect(await pair.FailureOfLeft(), "authentication-failed", "either", "asked for rihgt.example.org", ("connections.site.remote.id", "id = rihgt"));
    }

    [Fact]
    public async Task An_initiator_rejects_an_identity_that_its_pattern_does_not_fit()
    {
        await using var pair = await Pair.StartAsync(Side.Left with { RemoteId = "*.example.net" }, Side.Right);
        await pair.InitiateAsync();
        pair.Expect(await pair.FailureOfLeft(), "identity", "either", "the peer calls itself right.example.org", ("connections.site.remote.id", "id = *.example.net"));
        pair.Expect(await pair.FailureOfRight(), "authentication-failed", "either", "the peer could not authenticate us", ("connections.site.local.id", "id = right"));
    }

    [Theory]
    [InlineData("aes256-sha256-x25519", "encryption aes128")]
    [InlineData("aes192-sha256-x25519", "encryption aes128")]
    [InlineData("aes128-sha256-prfsha512-x25519", "PRF prfsha256")]
    [InlineData("aes128-sha384-prfsha256-x25519", "integrity sha256")]
    [InlineData("aes128-sha256-prfsha256-modp2048", "key exchange x25519")]
    [InlineData("aes128gcm16-prfsha256-x25519", "encryption aes128")]
    public async Task Each_kind_of_transform_that_differs_in_an_IKE_proposal_is_named(string initiator, string difference)
    {
        await using var pair = await Pair.StartAsync(Side.Left with { Ike = initiator }, Side.Right with { Ike = "aes128-sha256-x25519" });
        await pair.InitiateAsync();
        var failure = pair.Expect(await pair.FailureOfRight(), "no-proposal", "either", "no IKE proposal in common", ("connections.site.proposals", "proposals = aes128"));
        Assert.Contains(difference + " not offered", string.Join('\n', failure.Items("first-difference")), StringComparison.Ordinal);
        Assert.Contains(initiator.Split('-')[0], failure.Items("offered").Single(), StringComparison.Ordinal);
        Assert.StartsWith("aes128-sha256", failure.Items("accepted").Single(), StringComparison.Ordinal);
        pair.Expect(await pair.FailureOfLeft(), "no-proposal", "either", "NO_PROPOSAL_CHOSEN", ("connections.site.proposals", "proposals = "));
    }

    [Fact]
    public async Task ESP_proposals_that_have_nothing_in_common_are_named_and_the_IKE_SA_stays()
    {
        await using var pair = await Pair.StartAsync(Side.Left with { Esp = "aes256-sha512" }, Side.Right);
        await pair.InitiateAsync();
        var failure = pair.Expect(await pair.FailureOfRight(), "no-proposal", "either", "no ESP proposal in common for child net", ("connections.site.children.net.esp_proposals", "esp_proposals = "));
        Assert.Contains("encryption aes128gcm16 not offered; the peer offers aes256", failure.Items("first-difference").Single(), StringComparison.Ordinal);
        pair.Expect(await pair.FailureOfLeft(), "no-proposal", "either", "refused all our ESP proposals for child net", ("connections.site.children.net.esp_proposals", "esp_proposals = "));
        Assert.Single(await pair.Left.ListAsync("list-sas", "list-sa"));
    }

    [Fact]
    public async Task A_PFS_group_that_differs_shows_only_at_the_rekeying_and_is_named_then()
    {
        await using var pair = await Pair.StartAsync(Side.Left with { Esp = "aes128gcm16-modp2048" }, Side.Right with { Esp = "aes128gcm16-x25519" });
        Assert.Equal("yes", (await pair.InitiateAsync()).Text("success"));
        var answer = await pair.Left.AskAsync("rekey", new ViciMessage().Add("ike", "site").Add("child", "net").Add("x-wait", "yes"));
        Assert.Equal("no", answer.Text("success"));
        var failure = pair.Expect(await pair.FailureOfRight(), "no-proposal", "either", "no ESP proposal in common for child net", ("connections.site.children.net.esp_proposals", "esp_proposals = "));
        Assert.Contains("key exchange x25519 not offered; the peer offers modp2048", failure.Items("first-difference").Single(), StringComparison.Ordinal);
        pair.Expect(await pair.FailureOfLeft(), "no-proposal", "either", "refused all our ESP proposals", ("connections.site.children.net.esp_proposals", "esp_proposals = "));
    }

    [Fact]
    public async Task Selectors_that_do_not_meet_are_shown_with_those_of_the_peer()
    {
        await using var pair = await Pair.StartAsync(Side.Left with { RemoteTs = "10.20.0.0/16" }, Side.Right);
        await pair.InitiateAsync();
        var failure = pair.Expect(await pair.FailureOfRight(), "selectors", "either", "no child of connection site has the selectors", ("connections.site.children.net.local_ts", "local_ts = "), ("connections.site.children.net.remote_ts", "remote_ts = "));
        Assert.Contains("10.20.0.0/16", string.Join('\n', failure.Items("offered")), StringComparison.Ordinal);
        Assert.Contains("10.2.0.0/16", string.Join('\n', failure.Items("accepted")), StringComparison.Ordinal);
        pair.Expect(await pair.FailureOfLeft(), "selectors", "either", "TS_UNACCEPTABLE", ("connections.site.children.net.local_ts", "local_ts = "), ("connections.site.children.net.remote_ts", "remote_ts = "));
    }

    [Fact]
    public async Task A_peer_whose_connection_has_a_limit_says_that_it_is_left_out()
    {
        await using var pair = await Pair.StartAsync(Side.Left, Side.Right with { Connection = "mediation = yes" });
        await pair.InitiateAsync();
        var failure = pair.Expect(await pair.FailureOfRight(), "no-connection", "here", "no connection here is for");
        Assert.Contains("connection site is left out: " + Side.PlaceOf(pair.Right.File, "mediation = yes"), failure.Items("also").Single(), StringComparison.Ordinal);
        pair.Expect(await pair.FailureOfLeft(), "no-proposal", "either", "NO_PROPOSAL_CHOSEN", ("connections.site.proposals", "proposals = "));
    }

    [Fact]
    public async Task A_peer_without_a_connection_for_us_says_which_to_add()
    {
        await using var pair = await Pair.StartAsync(Side.Left, Side.Right with { RemoteAddress = "127.0.0.9" });
        await pair.InitiateAsync();
        var failure = pair.Expect(await pair.FailureOfRight(), "no-connection", "here", "no connection here is for 127.0.0.1 and 127.0.0.1");
        Assert.Contains("add a connection whose remote_addrs contains 127.0.0.1", failure.Text("remedy"), StringComparison.Ordinal);
        var left = pair.Expect(await pair.FailureOfLeft(), "no-proposal", "either", "NO_PROPOSAL_CHOSEN", ("connections.site.proposals", "proposals = "));
        Assert.Contains("add a connection for 127.0.0.1 if it has none", left.Text("remedy"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_peer_that_does_not_answer_is_told_with_its_address_and_port()
    {
        using var silent = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        silent.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var port = ((IPEndPoint)silent.LocalEndPoint!).Port;
        await using var left = await LocalDaemon.StartAsync((Side.Left with { PeerPort = port }).Text);
        await left.AskAsync("initiate", new ViciMessage().Add("child", "net").Add("timeout", "8000"));
        var explained = await left.ExplainAsync("site", message => message.Text("result") == "failed");
        Pair.Expect(left.File, explained, "timeout", "either", $"127.0.0.1[{port}] did not answer: 4 IKE_SA_INIT requests were sent", ("connections.site.remote_addrs", "remote_addrs = "));
        Assert.Contains("UDP " + port, explained.Section("failure")!.Text("remedy"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_NAT_without_NAT_traversal_ends_the_negotiation_and_names_the_switch()
    {
        // a peer that forces UDP encapsulation looks like one behind a NAT
        await using var pair = await Pair.StartAsync(Side.Left with { Connection = "encap = yes" }, Side.Right with { Connection = "nat_traversal = no" });
        await pair.InitiateAsync();
        pair.Expect(await pair.FailureOfRight(), "nat", "here", "the peer is behind a NAT", ("connections.site.nat_traversal", "nat_traversal = no"));
        Assert.Equal("failed", (await pair.FailureOfLeft()).Text("result"));
        await using var other = await Pair.StartAsync(Side.Left with { Connection = "nat_traversal = no" }, Side.Right with { Connection = "encap = yes" });
        await other.InitiateAsync();
        other.Expect(await other.FailureOfLeft(), "nat", "here", "the peer is behind a NAT", ("connections.site.nat_traversal", "nat_traversal = no"));
    }

    [Fact]
    public async Task Transport_against_tunnel_mode_is_named_in_both_directions()
    {
        await using (var pair = await Pair.StartAsync(Side.Left with { Child = "mode = transport" }, Side.Right))
        {
            await pair.InitiateAsync();
            pair.Expect(await pair.FailureOfLeft(), "mode", "either", "child net wants transport mode", ("connections.site.children.net.mode", "mode = transport"));
        }

        await using (var pair = await Pair.StartAsync(Side.Left, Side.Right with { Child = "mode = transport" }))
        {
            await pair.InitiateAsync();
            pair.Expect(await pair.FailureOfRight(), "mode", "either", "child net wants transport mode, the peer wants tunnel mode", ("connections.site.children.net.mode", "mode = transport"));
            Assert.Equal("failed", (await pair.FailureOfLeft()).Text("result"));
        }
    }

    [Fact]
    public async Task A_setting_that_is_not_written_is_pointed_at_by_its_section()
    {
        await using var right = await LocalDaemon.StartAsync(Side.Right.Text.Replace("proposals = aes128gcm16-prfsha256-x25519", "", StringComparison.Ordinal));
        await using var left = await LocalDaemon.StartAsync((Side.Left with { Ike = "aes128-sha1-modp1024", PeerPort = right.Port }).Text);
        await left.AskAsync("initiate", new ViciMessage().Add("child", "net").Add("timeout", "8000"));
        var explained = await right.ExplainAsync("site", message => message.Text("result") == "failed");
        var setting = explained.Section("failure")!.Section("settings")!.Section("connections.site.proposals")!;
        Assert.Equal("no", setting.Text("written"));
        Assert.StartsWith(Side.PlaceOf(right.File, "site {"), setting.Text("at"), StringComparison.Ordinal);
        Assert.Contains(explained.Items("text"), line => line.Contains("not written there: the default holds", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_negotiation_that_succeeds_is_told_as_a_ladder_with_what_was_chosen()
    {
        await using var pair = await Pair.StartAsync(Side.Left, Side.Right);
        Assert.Equal("yes", (await pair.InitiateAsync()).Text("success"));
        foreach (var (daemon, role, first) in new[] { (pair.Left, "initiator", "out"), (pair.Right, "responder", "in") })
        {
            var explained = await daemon.ExplainAsync("site", message => message.Text("result") == "established");
            Assert.Equal(role, explained.Text("role"));
            var steps = explained.Section("steps")!.Elements.Select(element => element.Section!).ToList();
            Assert.StartsWith("IKE_SA_INIT request 0", steps[0].Text("title"), StringComparison.Ordinal);
            Assert.Equal(first, steps[0].Text("direction"));
            Assert.Contains(steps[0].Items("details"), line => line.Contains("aes128gcm16-prfsha256-x25519", StringComparison.Ordinal));
            Assert.Contains(steps, step => step.Text("direction") == "decision" && step.Text("title") == "chose IKE proposal aes128gcm16-prfsha256-x25519");
            Assert.Contains(steps, step => step.Text("title")!.StartsWith("IKE_AUTH request 1", StringComparison.Ordinal));
            Assert.Contains(steps, step => step.Text("title")!.StartsWith("child net installed", StringComparison.Ordinal));
            Assert.Null(explained.Section("failure"));
            Assert.DoesNotContain(Side.Secret, string.Join('\n', explained.Items("text")), StringComparison.Ordinal);
        }
    }
}
