using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Main mode and quick mode with pre-shared keys, engine to engine (items 3.1, 3.4).</summary>
[Trait("Item", "3.1")]
[Trait("Item", "3.4")]
public sealed class MainModeTests
{
    [Fact]
    public void Six_messages_of_main_mode_and_three_of_quick_mode_bring_a_tunnel_up()
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        V1Pair.AssertQuiet(pair);
        // R47, R64
        var exchanges = pair.Sent.Select(sent => (ExchangeType)sent.Message.Message[18]).ToArray();
        Assert.Equal([.. Enumerable.Repeat(ExchangeType.IdentityProtection, 6), .. Enumerable.Repeat(ExchangeType.QuickMode, 3)], exchanges);
        Assert.All(pair.Sent, sent => Assert.Equal(0x10, sent.Message.Message[17]));
        var left = pair.Left.Installed.Values.Single();
        Assert.Equal((EncrId.AesCbc, 128, IntegId.HmacSha256_128), (left.Encr, left.EncrKeyBits, left.Integ));
        Assert.Equal("left.example.org", pair.Right.Engine.Snapshot().IkeSas.Single().RemoteId!.ToString());
        Assert.Single(pair.Left.Events.OfType<IkeSaUp>());
        Assert.Single(pair.Right.Events.OfType<ChildUp>());
        Assert.True(pair.Left.LastReport!.Success);
        Assert.True(pair.Right.LastReport!.Success);
    }

    /// <summary>R4, R51: identities never leave in clear.</summary>
    [Fact]
    public void No_identity_is_sent_in_clear()
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        foreach (var message in pair.Sent.Select(sent => sent.Message.Message))
        {
            Assert.DoesNotContain("example.org", System.Text.Encoding.Latin1.GetString(message), StringComparison.Ordinal);
            Assert.True(IkeHeader.TryRead(message, out var header));
            if ((header.Flags & 1) != 0) continue;
            Assert.Equal(ParseError.None, ChainView.TryParse((PayloadV1)header.NextPayload, message.AsSpan(IkeHeader.Length), false, out var view));
            Assert.Equal(-1, view.IndexOf(PayloadV1.Id));
        }
    }

    [Theory]
    [InlineData("des-md5-modp768", "des-md5")]
    [InlineData("3des-sha1-modp1024", "3des-sha1")]
    [InlineData("aes128-sha1-modp1536", "aes128-sha1")]
    [InlineData("aes192-sha256-modp2048", "aes192-sha256")]
    [InlineData("aes256-sha384-ecp384", "aes256gcm16")]
    [InlineData("aes256-sha512-ecp521", "aes256-sha512")]
    [InlineData("aes128-md5-modp3072", "null-sha256")]
    [InlineData("aes256-sha256-modp4096", "aes128ctr-sha384")]
    [InlineData("3des-md5-modp2048s256", "aes128ccm16")]
    [InlineData("camellia128-sha256-ecp256bp", "camellia256-sha512")]
    [InlineData("aes128-sha256-modp2048", "aes128-aesxcbc")]
    [InlineData("aes256-sha1-modp6144", "aes128gmac")]
    public void Every_algorithm_comes_up(string ike, string esp)
    {
        using var pair = V1Pair.Up(V1Pair.Left(ike, esp), V1Pair.Right(ike, esp));
        V1Pair.AssertQuiet(pair);
    }

    [Theory]
    [InlineData("aes128-sha256-ecp256")]
    [InlineData("aes256gcm16-modp2048")]
    public void With_PFS_quick_mode_exchanges_keys_of_its_own(string esp)
    {
        using var pair = V1Pair.Up(V1Pair.Left(esp: esp), V1Pair.Right(esp: esp));
        Assert.Equal(2, pair.Left.Engine.Counters.KeyExchanges);
        Assert.Contains(pair.Left.Engine.Snapshot().IkeSas.Single().Children.Single().Proposal.Transforms, transform => transform.Type == TransformType.Ke);
    }

    /// <summary>R77.</summary>
    [Fact]
    public void A_peer_without_PFS_is_refused_where_it_is_required()
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(esp: "aes128-sha256"), V1Pair.Right(esp: "aes128-sha256-ecp256"));
        Assert.False(pair.Up().Success);
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
        Assert.Equal("no-proposal", pair.Left.LastReport!.Failure!.Reason);
        Assert.Contains("without PFS", pair.Right.LastReport!.Failure!.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_secret_is_told_on_both_sides()
    {
        using var pair = new EnginePair();
        pair.Left.SetPsk("ike-1", "not-the-same-0ne");
        pair.Load(V1Pair.Left(), V1Pair.Right());
        Assert.False(pair.Up().Success);
        Assert.Empty(pair.Left.Engine.Snapshot().IkeSas);
        Assert.Equal("authentication-failed", pair.Left.LastReport!.Failure!.Reason);
        Assert.Contains("pre-shared keys differ", pair.Left.LastReport.Failure.Sentence, StringComparison.Ordinal);
        Assert.Equal("authentication-failed", pair.Right.LastReport!.Failure!.Reason);
        pair.Run(TimeSpan.FromMinutes(2));
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
        Assert.Empty(pair.Right.Installed);
    }

    /// <summary>R53: the key is found by the address. A peer whose identity has a key of its own must not get by with the one of its address.</summary>
    [Fact]
    [Trait("Item", "3.10")]
    public void An_identity_that_has_a_key_of_its_own_cannot_use_that_of_its_address()
    {
        using var pair = new EnginePair();
        pair.Right.SetPsk("ike-1", EnginePair.Secret, IdentityPattern.Of(Identity.Of(IpAddress.Parse("192.0.2.2"))), IdentityPattern.Of(Identity.Of(IpAddress.Parse("198.51.100.2"))));
        pair.Right.SetPsk("ike-2", "An0ther/secret-of-left", IdentityPattern.Of(Identity.Fqdn("left.example.org")), IdentityPattern.Of(Identity.Fqdn("right.example.org")));
        pair.Load(V1Pair.Left(), V1Pair.Right() with { RemoteAddresses = [] });
        Assert.False(pair.Up().Success);
        Assert.Equal("identity", pair.Right.LastReport!.Failure!.Reason);
        Assert.Contains("has a pre-shared key of its own", pair.Right.LastReport.Failure.Sentence, StringComparison.Ordinal);
        Assert.Empty(pair.Right.Installed);
    }

    /// <summary>The responder picks one of what was offered (RFC 2409 section 5): anything else ends it, in both modes.</summary>
    [Theory]
    [Trait("Item", "3.2")]
    [InlineData(1, 5u, false)]
    [InlineData(14, 256u, false)]
    [InlineData(14, 256u, true)]
    [InlineData(2, 2u, false)]
    [InlineData(2, 2u, true)]
    [InlineData(4, 20u, false)]
    [InlineData(3, 3u, false)]
    [InlineData(3, 3u, true)]
    public void A_choice_that_was_not_offered_is_refused(int attribute, uint value, bool aggressive)
    {
        var type = (IsakmpAttribute)attribute;
        using var pair = new EnginePair();
        Connection With(Connection connection) => connection with { Aggressive = aggressive, AggressivePsk = true };
        pair.Load(With(V1Pair.Left()), With(V1Pair.Right()));
        pair.Wire = (number, _, message) =>
        {
            if (number != 1) return 1;
            IkeHeader.TryRead(message.Message, out var header);
            var writer = new WireWriter();
            SaBody.Write(writer, Attack.Offer(Attack.Suite((type, value), (IsakmpAttribute.KeyLength, type == IsakmpAttribute.Encryption ? 0u : type == IsakmpAttribute.KeyLength ? value : 128))));
            var other = ForgerV1.Rebuild(Attack.View(message.Message), (_, kind, body) => (kind, kind == PayloadV1.Sa ? writer.ToArray() : body));
            pair.Left.Receive(message.Remote, message.Local, other.ToMessage(header), pair.Now);
            return 0;
        };
        Assert.False(pair.Up().Success);
        Assert.Equal("no-proposal", pair.Left.LastReport!.Failure!.Reason);
        Assert.Contains("answered with something that we did not offer", pair.Left.LastReport.Failure.Sentence, StringComparison.Ordinal);
        Assert.Empty(pair.Left.Engine.IsakmpSas);
    }

    /// <summary>Who knows the cookies and is elsewhere has no part in it: its message 3 is not taken, and the true one is.</summary>
    [Fact]
    [Trait("Item", "3.10")]
    public void A_message_of_phase_1_from_another_address_is_dropped()
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(), V1Pair.Right() with { RemoteAddresses = [] });
        pair.Wire = (number, from, message) =>
        {
            if (number == 0) return 1;
            var host = from == pair.Left ? pair.Right : pair.Left;
            var before = host.Engine.Counters.Drops[(int)DropReason.UnexpectedResponse];
            if (message.Message[18] != (byte)ExchangeType.IdentityProtection) return 1;
            host.Receive(message.Remote, new Endpoint(IpAddress.Parse("203.0.113.66"), 500), message.Message, pair.Now);
            Assert.Equal(before + 1, host.Engine.Counters.Drops[(int)DropReason.UnexpectedResponse]);
            Assert.Empty(host.Outbox);
            return 1;
        };
        Assert.True(pair.Up().Success);
        V1Pair.AssertQuiet(pair);
    }

    /// <summary>The identity of message 5 leads to the connection, and that one allows what was negotiated, or it is not the one.</summary>
    [Theory]
    [Trait("Item", "3.2")]
    [InlineData("aes256-sha256-ecp256", false)]
    [InlineData("aes128-sha256-ecp256", true)]
    public void An_identity_leads_only_to_a_connection_that_allows_what_was_negotiated(string ike, bool isRight)
    {
        using var pair = new EnginePair();
        var anybody = V1Pair.Right() with { Name = "other", RemoteAddresses = [], Remote = new RemoteAuth { Id = IdentityPattern.Of(Identity.Fqdn("other.example.org")) } };
        pair.Left.Load(PolicySet.Of(V1Pair.Left()), pair.Now);
        pair.Right.Load(PolicySet.Of(anybody, V1Pair.Right(ike) with { RemoteAddresses = [] }), pair.Now);
        Assert.Equal(isRight, pair.Up().Success);
        Assert.Equal(isRight ? 1 : 0, pair.Right.Installed.Count);
        if (!isRight) Assert.Equal("identity", pair.Right.LastReport!.Failure!.Reason);
    }

    /// <summary>R39: nothing outside of the list is accepted, weaker or stronger.</summary>
    [Theory]
    [InlineData("aes256-sha256-ecp256")]
    [InlineData("aes128-sha512-ecp256")]
    [InlineData("aes128-sha256-ecp384")]
    [InlineData("des-md5-modp768")]
    public void What_is_not_configured_is_refused_and_leaves_nothing(string ike)
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(ike), V1Pair.Right());
        Assert.False(pair.Up().Success);
        Assert.Equal("no-proposal", pair.Left.LastReport!.Failure!.Reason);
        Assert.Equal("no-proposal", pair.Right.LastReport!.Failure!.Reason);
        Assert.NotEmpty(pair.Right.LastReport.Failure.FirstDifference);
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
        Assert.Equal(default, pair.Right.Engine.Holdings with { Lingering = 0 });
        // a refusal that nobody can authenticate does not end it at once
        Assert.Equal(3, V1Pair.Messages(pair, pair.Left).Length);
    }

    /// <summary>R37, R38: four go out in order, one comes back unchanged.</summary>
    [Fact]
    [Trait("Item", "3.2")]
    public void Four_proposals_are_four_transforms_in_order_and_one_comes_back_unchanged()
    {
        string[] words = ["aes256-sha512-modp3072", "aes128-sha256-ecp256", "3des-sha1-modp1024", "des-md5-modp768"];
        using var pair = V1Pair.Up(
            V1Pair.Left() with { Proposals = EnginePair.Proposals(ProtocolId.Ike, words) },
            V1Pair.Right() with { Proposals = EnginePair.Proposals(ProtocolId.Ike, words[2], words[1]) });
        var (offer, answer) = (SaOf(pair.Sent[0].Message.Message), SaOf(pair.Sent[1].Message.Message));
        Assert.Equal(words, Assert.Single(offer).Transforms.Select(transform => ProposalKeywords.Print(Warifu.V1.IsakmpSuite.Read(transform)!.AsProposal())).Select(text => string.Join('-', text.Split('-').Where(word => !word.StartsWith("prf", StringComparison.Ordinal)))));
        // the responder's order decides
        var chosen = Assert.Single(Assert.Single(answer).Transforms);
        Assert.Equal(offer[0].Transforms[2].Octets.ToArray(), chosen.Octets.ToArray());
        Assert.Equal(3, chosen.Number);
    }

    /// <summary>Whoever leaves a state zeroes its keys: when phase 1 is closed, replaced, over while its children live on, or has failed.</summary>
    [Theory]
    [Trait("Item", "3.10")]
    [InlineData("down")]
    [InlineData("renewed")]
    [InlineData("over")]
    [InlineData("failed")]
    public void Keys_of_phase_1_are_zeroed_when_it_is_gone(string how)
    {
        using var pair = new EnginePair();
        if (how == "failed") pair.Left.SetPsk("ike-1", "not-the-same-0ne");
        pair.Load(V1Pair.Left(), V1Pair.Right());
        var keys = new List<(bool IsLefts, IsakmpKeys Keys)>();
        pair.Wire = (_, _, _) =>
        {
            foreach (var host in new[] { pair.Left, pair.Right }) keys.AddRange(host.Engine.IsakmpSas.Where(sa => sa.Keys is not null && keys.All(known => known.Keys != sa.Keys)).Select(sa => (host == pair.Left, sa.Keys!)));
            return 1;
        };
        Assert.Equal(how != "failed", pair.Up().Success);
        var first = keys.ToArray();
        Assert.Equal(2, first.Length);
        if (how != "failed") Assert.All(first, one => Assert.False(one.Keys.Skeyid.IsDisposed || one.Keys.SkeyidD.IsDisposed || one.Keys.SkeyidA.IsDisposed || one.Keys.Encr.IsDisposed));
        if (how == "down") pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net")), pair.Now);
        if (how == "renewed") pair.Left.Command(id => new IkeCommand.Reauth(id, new SaTarget("net")), pair.Now);
        if (how == "over")
        {
            var sa = pair.Left.Engine.IsakmpSas.Single();
            sa.Inform(builder => builder.Delete(ProtocolId.Ike, sa.Cookies()));
            pair.Left.Drain(pair.Now);
        }

        pair.Run(TimeSpan.FromMinutes(2));
        Assert.Equal(how is "down" or "failed" ? 0 : 1, pair.Right.Installed.Count);
        foreach (var (isLefts, one) in first)
        {
            // who said that it is over goes on with it
            Assert.Equal(how != "over" || !isLefts, one.Skeyid.IsDisposed && one.SkeyidD.IsDisposed && one.SkeyidA.IsDisposed && one.Encr.IsDisposed);
        }
    }

    [Fact]
    public void Every_message_may_be_lost_once()
    {
        for (var lost = 0; lost < 9; lost++)
        {
            using var pair = new EnginePair();
            pair.Load(V1Pair.Left(), V1Pair.Right());
            var gone = lost;
            pair.Wire = (number, _, _) => number == gone ? 0 : 1;
            Assert.True(pair.Up().Success, $"without message {lost}");
            pair.Run(TimeSpan.FromMinutes(3));
            V1Pair.AssertSame(pair);
            V1Pair.AssertQuiet(pair);
        }
    }

    [Fact]
    public void Every_message_may_come_twice()
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(), V1Pair.Right());
        pair.Wire = (_, _, _) => 2;
        Assert.True(pair.Up().Success);
        pair.Run(TimeSpan.FromMinutes(3));
        V1Pair.AssertSame(pair);
        V1Pair.AssertQuiet(pair);
    }

    private static System.Collections.Immutable.ImmutableArray<ProposalV1> SaOf(byte[] message)
    {
        Assert.Equal(ParseError.None, ChainView.TryParse((PayloadV1)message[16], message.AsSpan(IkeHeader.Length), false, out var view));
        Assert.True(view.TryGet(PayloadV1.Sa, out var body));
        Assert.Equal(ParseError.None, SaBody.TryParse(body, out var proposals));
        return proposals;
    }
}
