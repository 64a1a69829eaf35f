using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Simulation;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>Two engines on one wire (items 1.10, 1.18).</summary>
[Trait("Item", "1.10")]
public sealed class HandshakeTests
{
    [Theory]
    [InlineData("aes128-sha256-x25519", "aes128gcm16")]
    [InlineData("aes256gcm16-prfsha384-ecp384", "aes256-sha256")]
    [InlineData("chacha20poly1305-prfsha256-x25519", "chacha20poly1305")]
    [InlineData("aes256-sha512-modp2048", "aes128ctr-sha256")]
    [InlineData("3des-sha1-modp1024", "3des-md5")]
    [InlineData("aes128ccm16-prfaesxcbc-ecp256", "aes128ccm16-esn")]
    [InlineData("camellia128-aescmac-prfaescmac-x448", "null-sha256")]
    [InlineData("aes192ctr-sha384-ecp521", "aes192gmac")]
    public void Four_messages_make_a_tunnel_with_the_same_keys_on_both_sides(string ike, string esp)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(ike, esp), EnginePair.RightGateway(ike, esp));
        var result = pair.Up();
        Assert.True(result.Success, result.Message);
        // RFC 7296 section 1.2: no cookie, no KE retry: four messages (R13)
        Assert.Equal(4, pair.Sent.Count);
        var left = Assert.Single(pair.Left.Installed.Values);
        var right = Assert.Single(pair.Right.Installed.Values);
        Assert.Equal(left.OutboundSpi, right.InboundSpi);
        Assert.Equal(left.InboundSpi, right.OutboundSpi);
        Assert.True(left.OutboundEncrKey.FixedTimeEquals(right.InboundEncrKey.Span));
        Assert.True(left.InboundIntegKey.FixedTimeEquals(right.OutboundIntegKey.Span));
        Assert.Equal(left.LocalSelectors.Single(), right.RemoteSelectors.Single());
        Assert.Equal("ESTABLISHED", Assert.Single(pair.Right.Engine.Snapshot().IkeSas).State);
    }

    /// <summary>INITIAL_CONTACT of the second would end the first (RFC 7296 section 2.4).</summary>
    [Theory]
    [Trait("Item", "2.9")]
    [InlineData(false)]
    [InlineData(true)]
    public void Two_connections_between_the_same_identities_stay_beside_each_other(bool together)
    {
        using var pair = new EnginePair();
        var (left, right) = (EnginePair.LeftGateway(), EnginePair.RightGateway());
        pair.Left.Load(new PolicySet { Connections = [left, left with { Name = "lab", Children = [left.Children[0] with { LocalSelectors = [EnginePair.Ts("10.3.0.0/16")] }] }] }, pair.Now);
        pair.Right.Load(new PolicySet { Connections = [right with { Children = [right.Children[0], right.Children[0] with { Name = "lab", RemoteSelectors = [EnginePair.Ts("10.3.0.0/16")] }] }] }, pair.Now);
        foreach (var name in new[] { "net", "lab" })
        {
            pair.Left.Up(name, null, pair.Now);
            if (!together) pair.Run();
        }

        pair.Run();
        Assert.All(pair.Left.Results.Values, result => Assert.True(result.Success, result.Message));
        foreach (var host in new[] { pair.Left, pair.Right })
        {
            Assert.Equal(["ESTABLISHED", "ESTABLISHED"], host.Engine.Snapshot().IkeSas.Select(sa => sa.State));
            Assert.Equal(2, host.Installed.Count);
        }

        pair.Left.Command(id => new IkeCommand.Shutdown(id), pair.Now);
        pair.Run();
        Assert.Equal(default, pair.Left.Engine.Holdings);
    }

    [Fact]
    public void A_wrong_secret_leaves_nothing_and_says_why_on_both_sides()
    {
        using var pair = new EnginePair();
        pair.Right.SetPsk("ike-1", "tally-5tick/halves");
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        var result = pair.Up();
        Assert.False(result.Success);
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
        Assert.Empty(pair.Left.Engine.Snapshot().IkeSas);
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
        Assert.Equal("authentication-failed", pair.Left.LastReport!.Failure!.Reason);
        Assert.Contains("case", pair.Right.LastReport!.Failure!.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void No_common_proposal_is_refused_and_named()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway("aes128-sha256-x25519"), EnginePair.RightGateway("aes256-sha256-x25519"));
        Assert.False(pair.Up().Success);
        Assert.Contains(pair.Right.LastReport!.Failure!.FirstDifference, line => line.Contains("encryption aes256 not offered; the peer offers aes128", StringComparison.Ordinal));
        Assert.Equal("no-proposal", pair.Left.LastReport!.Failure!.Reason);
    }

    [Fact]
    public void A_child_that_fails_leaves_the_ike_sa_up()
    {
        using var pair = new EnginePair();
        var right = EnginePair.RightGateway();
        pair.Load(EnginePair.LeftGateway(), right with { Children = [right.Children[0] with { LocalSelectors = [EnginePair.Ts("10.9.0.0/16")] }] });
        Assert.False(pair.Up().Success);
        Assert.Equal("selectors", pair.Left.LastReport!.Failure!.Reason);
        Assert.Equal("ESTABLISHED", Assert.Single(pair.Left.Engine.Snapshot().IkeSas).State);
        Assert.Equal("ESTABLISHED", Assert.Single(pair.Right.Engine.Snapshot().IkeSas).State);
    }

    [Fact]
    public void Another_group_is_asked_for_once_and_used()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway("aes128-sha256-x25519-ecp256"), EnginePair.RightGateway("aes128-sha256-ecp256"));
        Assert.True(pair.Up().Success);
        Assert.Equal(6, pair.Sent.Count);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Any_message_may_be_lost(int lost)
    {
        using var pair = new EnginePair { Wire = (number, _, _) => number == lost ? 0 : 1 };
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        Assert.Single(pair.Left.Installed);
        Assert.Single(pair.Right.Installed);
        // the answer to a repeated request is the same, octet for octet
        var responses = pair.Sent.Where(sent => sent.From == pair.Right).Select(sent => Convert.ToHexString(sent.Message.Message)).ToArray();
        Assert.Equal(lost is 1 or 3 ? 3 : 2, responses.Length);
        Assert.Equal(2, responses.Distinct().Count());
    }

    [Fact]
    public void Every_message_may_come_three_times()
    {
        using var pair = new EnginePair { Wire = (_, _, _) => 3 };
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        Assert.Single(pair.Left.Installed);
        Assert.Single(pair.Right.Installed);
    }

    [Theory]
    [InlineData(false, "aes128gcm16")]
    [InlineData(true, "aes128gcm16")]
    [InlineData(false, "aes128gcm16-x25519")]
    [InlineData(true, "aes128gcm16-ecp256")]
    public void Children_are_rekeyed_from_either_side(bool fromRight, string esp)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(esp: esp), EnginePair.RightGateway(esp: esp));
        Assert.True(pair.Up().Success);
        var before = pair.Left.Installed.Values.Single().InboundSpi;
        var host = fromRight ? pair.Right : pair.Left;
        var id = host.Command(command => new IkeCommand.Rekey(command, new SaTarget(Child: "net")), pair.Now);
        pair.Run();
        Assert.True(host.Results[id].Success);
        var left = Assert.Single(pair.Left.Installed.Values);
        var right = Assert.Single(pair.Right.Installed.Values);
        Assert.NotEqual(before, left.InboundSpi);
        Assert.Equal(left.OutboundSpi, right.InboundSpi);
        Assert.True(left.OutboundEncrKey.FixedTimeEquals(right.InboundEncrKey.Span));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_ike_sa_is_rekeyed_and_the_children_move(bool fromRight)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        var spi = pair.Left.Engine.Snapshot().IkeSas.Single().InitiatorSpi;
        var host = fromRight ? pair.Right : pair.Left;
        var id = host.Command(command => new IkeCommand.Rekey(command, new SaTarget("net")), pair.Now);
        pair.Run();
        Assert.True(host.Results[id].Success);
        foreach (var side in new[] { pair.Left, pair.Right })
        {
            var sa = Assert.Single(side.Engine.Snapshot().IkeSas);
            Assert.NotEqual(spi, sa.InitiatorSpi);
            Assert.Single(sa.Children);
            Assert.Single(side.Installed);
        }

        // the new one works: the child can be rekeyed on it
        id = pair.Left.Command(command => new IkeCommand.Rekey(command, new SaTarget(Child: "net")), pair.Now);
        pair.Run();
        Assert.True(pair.Left.Results[id].Success);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Deletes_from_either_side_leave_nothing(bool fromRight)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        var host = fromRight ? pair.Right : pair.Left;
        host.Command(command => new IkeCommand.Down(command, new SaTarget(Child: "net")), pair.Now);
        pair.Run();
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
        Assert.Single(pair.Left.Engine.Snapshot().IkeSas);
        host.Command(command => new IkeCommand.Down(command, new SaTarget("net")), pair.Now);
        pair.Run();
        Assert.Empty(pair.Left.Engine.Snapshot().IkeSas);
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
    }

    [Fact]
    public void A_silent_peer_is_given_up_and_the_child_goes()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway() with { DpdDelay = TimeSpan.FromSeconds(10) }, EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        pair.Wire = (_, _, _) => 0;
        pair.Run(TimeSpan.FromMinutes(5));
        Assert.Empty(pair.Left.Installed);
        Assert.Contains(pair.Left.Events.OfType<IkeSaDown>(), down => down.Reason == "dead-peer");
    }

    [Fact]
    public void Lifetimes_rekey_for_hours_without_a_gap()
    {
        using var pair = new EnginePair();
        var (left, right) = (EnginePair.LeftGateway(), EnginePair.RightGateway());
        pair.Load(left with { RekeyTime = TimeSpan.FromMinutes(40) }, right with { RekeyTime = TimeSpan.FromMinutes(40) });
        Assert.True(pair.Up().Success);
        for (var i = 0; i < 200; i++)
        {
            pair.Run(TimeSpan.FromMinutes(2));
            Assert.NotEmpty(pair.Left.Installed);
            Assert.NotEmpty(pair.Right.Installed);
        }

        Assert.True(pair.Left.Events.OfType<ChildRekeyed>().Count() >= 5);
        Assert.True(pair.Left.Events.OfType<IkeSaRekeyed>().Count() >= 8);
        Assert.DoesNotContain(pair.Left.Events, happening => happening is IkeSaDown or ChildDown { Reason: not "rekeyed" });
    }

    [Fact]
    public void Cookies_are_demanded_beyond_the_threshold_and_sent_back()
    {
        using var pair = new EnginePair(right: new EngineOptions { CookieThreshold = 0 });
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        Assert.Equal(6, pair.Sent.Count);
    }

    [Fact]
    public void The_same_seed_gives_the_same_octets()
    {
        Assert.Equal(Transcript(7), Transcript(7));
        Assert.NotEqual(Transcript(7), Transcript(8));

        static string Transcript(ulong seed)
        {
            using var pair = new EnginePair(seed);
            pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
            pair.Up();
            return string.Join('\n', pair.Sent.Select(sent => Convert.ToHexString(sent.Message.Message)));
        }
    }
}
