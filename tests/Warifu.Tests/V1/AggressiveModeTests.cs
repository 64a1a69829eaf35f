using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Aggressive mode (items 3.1, 3.3): three messages, only where it is configured, and with a pre-shared key only where that is asked for twice.</summary>
[Trait("Item", "3.1")]
[Trait("Item", "3.3")]
public sealed class AggressiveModeTests
{
    private static Connection Left(string ike = V1Pair.Ike) => V1Pair.Left(ike) with { Aggressive = true };

    private static Connection Right(string ike = V1Pair.Ike) => V1Pair.Right(ike) with { Aggressive = true, AggressivePsk = true };

    /// <summary>R54, R64.</summary>
    [Fact]
    public void Three_messages_and_three_of_quick_mode_bring_a_tunnel_up()
    {
        using var pair = V1Pair.Up(Left(), Right());
        V1Pair.AssertQuiet(pair);
        Assert.Equal([.. Enumerable.Repeat(ExchangeType.Aggressive, 3), .. Enumerable.Repeat(ExchangeType.QuickMode, 3)], pair.Sent.Select(sent => (ExchangeType)sent.Message.Message[18]));
        // message 3 is encrypted; the one answer to an address that nobody verified is at most three times as long
        Assert.Equal(1, pair.Sent[2].Message.Message[19]);
        Assert.True(pair.Sent[1].Message.Message.Length <= 3 * pair.Sent[0].Message.Message.Length);
    }

    /// <summary>Message 1 of quick mode follows at once: it is there while the responder still looks at message 3, and need not come again.</summary>
    [Fact]
    public void Quick_mode_may_begin_while_the_responder_still_looks_at_the_third_message()
    {
        using var pair = new EnginePair();
        pair.Load(Left(), Right());
        pair.Right.HeldAsks = [];
        pair.Left.Command(id => new IkeCommand.Up(id, "net", "net"), pair.Now);
        pair.Settle();
        while (pair.Right.HeldAsks is [var (id, question), ..])
        {
            pair.Right.HeldAsks.RemoveAt(0);
            pair.Right.Answer(id, question, pair.Now);
            pair.Settle();
        }

        V1Pair.AssertSame(pair);
        V1Pair.AssertQuiet(pair);
        Assert.Equal(6, pair.Sent.Count);
    }

    /// <summary>Some peers fill what they send in clear up to a multiple of four octets.</summary>
    [Theory]
    [InlineData(3, 0, true)]
    [InlineData(4, 0, false)]
    [InlineData(1, 1, false)]
    public void Messages_in_clear_may_be_filled_with_zeros(int count, byte value, bool good)
    {
        using var pair = V1Pair.Up(Left(), Right());
        foreach (var message in pair.Sent.Take(2).Select(sent => sent.Message.Message))
        {
            byte[] filled = [.. message[28..], .. Enumerable.Repeat(value, count)];
            Assert.Equal(good ? ParseError.None : ParseError.TrailingOctets, ChainView.TryParse((PayloadV1)message[16], filled, decrypted: false, out var view));
            if (good) Assert.Equal(message.Length - 28, view.Length);
        }
    }

    [Fact]
    public void Every_message_may_be_lost_once()
    {
        for (var lost = 0; lost < 6; lost++)
        {
            using var pair = new EnginePair();
            pair.Load(Left(), Right());
            var gone = lost;
            pair.Wire = (number, _, _) => number == gone ? 0 : 1;
            Assert.True(pair.Up().Success, $"without message {lost}");
            pair.Run(TimeSpan.FromMinutes(3));
            V1Pair.AssertSame(pair);
            V1Pair.AssertQuiet(pair);
        }
    }

    [Fact]
    public void The_third_message_comes_again_before_what_follows_until_the_peer_is_heard()
    {
        using var pair = new EnginePair();
        pair.Load(Left(), Right());
        pair.Wire = (number, _, message) => number < 8 && message.Message[18] == (byte)ExchangeType.Aggressive && (message.Message[19] & 1) == 1 ? 0 : 1;
        Assert.True(pair.Up().Success);
        pair.Run(TimeSpan.FromMinutes(3));
        V1Pair.AssertQuiet(pair);
    }

    /// <summary>Amplification: an answer that is more than three times as long as what it answers is not given, whatever makes it long.</summary>
    [Theory]
    [Trait("Item", "3.10")]
    [Trait("Attack", "T69")]
    [InlineData(20, true)]
    [InlineData(1000, false)]
    public void An_identity_that_makes_the_answer_too_long_is_not_told(int length, bool isRight)
    {
        using var pair = new EnginePair();
        var own = Identity.Fqdn(new string('r', length) + ".example.org");
        pair.Load(Left() with { Remote = new RemoteAuth { Id = IdentityPattern.Of(own) } }, Right() with { Local = new LocalAuth { Id = own } });
        Assert.Equal(isRight, pair.Up().Success);
        if (isRight) return;
        Assert.DoesNotContain(pair.Sent, sent => sent.From == pair.Right);
        Assert.Contains(pair.Right.Events.OfType<NegotiationEnded>(), ended => ended.Report.Failure?.Reason == "amplification");
        Assert.Empty(pair.Right.Engine.IsakmpSas);
    }

    /// <summary>Nobody answers message 3: a peer that is not heard at all gets it four times, and no more.</summary>
    [Fact]
    public void The_third_message_goes_four_times_to_a_peer_that_is_silent()
    {
        using var pair = new EnginePair();
        pair.Load(Left() with { Children = [] }, Right());
        pair.Wire = (number, _, _) => number < 2 ? 1 : 0;
        pair.Left.Up("net", null, pair.Now);
        pair.Run(TimeSpan.FromMinutes(10));
        Assert.Equal("ESTABLISHED", pair.Left.Engine.Snapshot().IkeSas.Single().State);
        Assert.Equal(4, V1Pair.Messages(pair, pair.Left).Count(message => message[18] == (byte)ExchangeType.Aggressive && (message[19] & 1) == 1));
    }

    /// <summary>RFC 2407 section 4.6.3: a status notify counts only under protection. Message 3 may come in clear, and what it says beside its proof is nobody's word: what the peer has stays.</summary>
    [Theory]
    [Trait("Item", "3.10")]
    [Trait("Attack", "INITIAL-CONTACT")]
    [InlineData(true)]
    [InlineData(false)]
    public void INITIAL_CONTACT_counts_only_under_encryption(bool isSealed)
    {
        using var pair = V1Pair.Up(Left(), Right());
        var old = pair.Right.Installed.Keys.Single();
        using var fresh = new EngineHost(IpAddress.Parse("192.0.2.2"), 99, pair.Now);
        fresh.SetPsk("ike-1", EnginePair.Secret);
        fresh.Load(PolicySet.Of(Left()), pair.Now);
        fresh.Up("net", "net", pair.Now);
        var first = fresh.Outbox.Dequeue();
        pair.Right.Receive(Attack.Right, Attack.Left, first.Message, pair.Now);
        fresh.Receive(Attack.Left, Attack.Right, pair.Right.Outbox.Dequeue().Message, pair.Now);
        var third = fresh.Outbox.Dequeue().Message;
        var own = fresh.Engine.IsakmpSas.Single();
        IkeHeader.TryRead(third, out var header);
        if (!isSealed)
        {
            var victim = pair.Right.Engine.IsakmpSas.Single(sa => sa.CookieI == own.CookieI);
            Assert.Equal(ParseError.None, ChainView.TryParse((PayloadV1)third[16], ForgerV1.Open(own, third, ForgerV1.FirstIv(victim, victim.Mode!)), decrypted: true, out var view));
            Assert.True(view.TryGetNotify(NotifyV1.InitialContact, out _));
            third = ForgerV1.Rebuild(view, (_, type, body) => (type, body)).ToMessage(header with { Flags = 0 });
        }

        pair.Right.Receive(Attack.Right, Attack.Left, third, pair.Now);
        Assert.Equal(2, pair.Right.Events.OfType<IkeSaUp>().Count());
        Assert.Equal(!isSealed, pair.Right.Installed.ContainsKey(old));
    }

    /// <summary>R60: the answer would let anybody guess the key.</summary>
    [Fact]
    public void A_pre_shared_key_is_not_answered_unless_that_is_asked_for()
    {
        using var pair = new EnginePair();
        pair.Load(Left(), Right() with { AggressivePsk = false });
        Assert.False(pair.Up().Success);
        Assert.DoesNotContain(pair.Sent, sent => sent.From == pair.Right);
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
        Assert.Equal(0, pair.Right.Engine.Counters.KeyExchanges);
        Assert.Contains("aggressive_psk", pair.Right.LastReport!.Failure!.Remedy, StringComparison.Ordinal);
    }

    /// <summary>R44: silence, and no work.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_mode_that_is_not_configured_is_refused(bool peerIsAggressive)
    {
        using var pair = new EnginePair();
        pair.Load(peerIsAggressive ? Left() : V1Pair.Left(), peerIsAggressive ? V1Pair.Right() : Right());
        Assert.False(pair.Up().Success);
        Assert.DoesNotContain(pair.Sent, sent => sent.From == pair.Right);
        Assert.Equal("mode", pair.Right.LastReport!.Failure!.Reason);
        Assert.Equal(0, pair.Right.Engine.Counters.KeyExchanges);
    }

    /// <summary>R56.</summary>
    [Fact]
    public void Proposals_of_different_groups_cannot_be_offered()
    {
        using var pair = new EnginePair();
        pair.Load(Left() with { Proposals = EnginePair.Proposals(ProtocolId.Ike, "aes128-sha256-ecp256", "aes128-sha256-modp2048") }, Right());
        Assert.False(pair.Up().Success);
        Assert.Empty(pair.Sent);
        Assert.Contains("ecp256", pair.Left.LastReport!.Failure!.Sentence, StringComparison.Ordinal);
        Assert.Contains("modp2048", pair.Left.LastReport.Failure.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_secret_is_seen_by_the_initiator_at_once()
    {
        using var pair = new EnginePair();
        pair.Left.SetPsk("ike-1", "not-the-same-0ne");
        pair.Load(Left(), Right());
        Assert.False(pair.Up().Success);
        Assert.Equal("authentication-failed", pair.Left.LastReport!.Failure!.Reason);
        pair.Run(TimeSpan.FromMinutes(2));
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
        Assert.Empty(pair.Right.Installed);
    }
}
