using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>RFC 7296 from its text (item 1.10): message ids, retransmission, refusals, limits.</summary>
[Trait("Item", "1.10")]
public sealed class ExchangeTests
{
    private static readonly ExchangeType s_informational = ExchangeType.Informational;

    [Fact]
    public void Requests_are_repeated_octet_for_octet_with_growing_waits_and_then_given_up()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        var sent = new List<(Instant At, string Octets)>();
        pair.Wire = (_, _, message) =>
        {
            sent.Add((pair.Now, Convert.ToHexString(message.Message)));
            return 0;
        };
        Assert.False(pair.Up().Success);
        Assert.Equal(7, sent.Count);
        Assert.Single(sent.Select(one => one.Octets).Distinct());
        for (var i = 2; i < sent.Count; i++)
        {
            // section 2.4: exponential; each wait is 1.8 times the one before, 10 % more or less, at most half a minute
            var (before, wait) = (sent[i - 1].At - sent[i - 2].At, sent[i].At - sent[i - 1].At);
            Assert.InRange(wait / before, 1.8 * 0.9 / 1.1, 1.8 * 1.1 / 0.9);
        }

        Assert.Equal("timeout", pair.Left.LastReport!.Failure!.Reason);
        Assert.Equal(default, pair.Left.Engine.Holdings);
    }

    [Fact]
    public void A_repeated_request_gets_the_same_answer_and_a_changed_one_with_its_number_gets_none()
    {
        using var impostor = new Impostor();
        var request = impostor.Seal(s_informational, isResponse: false, 2, PayloadType.None, []);
        var first = Ask(impostor, request);
        Assert.NotNull(first);
        Assert.Equal(first, Ask(impostor, request));
        // the same number, other octets, and authentic (section 2.1: a retransmission is bitwise identical)
        Assert.Null(Ask(impostor, impostor.Seal(s_informational, isResponse: false, 2, PayloadType.None, [])));
        Assert.True(impostor.IsUp);
    }

    [Fact]
    public void Only_the_next_message_id_is_accepted()
    {
        using var impostor = new Impostor();
        foreach (var id in new uint[] { 3, 4, 0x7FFF_FFFF, uint.MaxValue }) Assert.Null(Ask(impostor, impostor.Seal(s_informational, false, id, PayloadType.None, [])));
        Assert.NotNull(Ask(impostor, impostor.Seal(s_informational, false, 2, PayloadType.None, [])));
        Assert.NotNull(Ask(impostor, impostor.Seal(s_informational, false, 3, PayloadType.None, [])));
        Assert.Null(Ask(impostor, impostor.Seal(s_informational, false, 2, PayloadType.None, [])));
        // an answer to nothing
        Assert.Null(Ask(impostor, impostor.Seal(s_informational, true, 0, PayloadType.None, [])));
        Assert.True(impostor.IsUp);
    }

    [Fact]
    public void A_rekeying_of_an_unknown_child_is_answered_with_CHILD_SA_NOT_FOUND_and_its_SPI()
    {
        using var impostor = new Impostor();
        var spi = new ChildSpi(0xC0FF_EE00);
        var answer = Refusal(impostor, ChildRequest(spi), NotifyType.ChildSaNotFound);
        Assert.Equal(new byte[] { 0xC0, 0xFF, 0xEE, 0x00 }, answer);
    }

    [Fact]
    public void While_the_IKE_SA_is_rekeyed_new_children_are_refused_for_now()
    {
        using var impostor = new Impostor();
        impostor.Victim.Command(id => new IkeCommand.Rekey(id, new SaTarget("net")), impostor.Now);
        Refusal(impostor, ChildRequest(null), NotifyType.TemporaryFailure);
        Refusal(impostor, ChildRequest(new ChildSpi(0xC0FF_EE00)), NotifyType.TemporaryFailure);
    }

    [Fact]
    public void Selectors_and_proposals_that_do_not_fit_are_refused_and_the_SA_stays()
    {
        using var impostor = new Impostor();
        Refusal(impostor, ChildRequest(null, "10.77.0.0/16"), NotifyType.TsUnacceptable);
        Refusal(impostor, ChildRequest(null, esp: "aes256gcm16"), NotifyType.NoProposalChosen);
        Assert.Single(impostor.Victim.Installed);
    }

    [Fact]
    public void Wider_selectors_are_narrowed_to_what_is_configured()
    {
        using var impostor = new Impostor();
        var chain = ChildRequest(null, "10.0.0.0/8");
        var inner = impostor.Open(impostor.Request(ExchangeType.CreateChildSa, chain.First, chain.Chain)!, out var first);
        Assert.Equal(ParseError.None, MessageView.TryParse(first, inner, out var view));
        Assert.True(view.TryGet(PayloadType.TsI, out var body));
        Assert.Equal(ParseError.None, TsPayload.TryParse(body, out var selectors));
        Assert.Equal("10.1.0.0/16", Selectors.Print(selectors));
    }

    [Fact]
    public void A_delete_of_an_unknown_SPI_is_answered_with_nothing()
    {
        using var impostor = new Impostor();
        var chain = new MessageBuilder().Delete(ProtocolId.Esp, [new ChildSpi(0x1234_5678)]);
        var inner = impostor.Open(impostor.Request(s_informational, chain.First, chain.Chain)!, out var first);
        Assert.Empty(inner);
        Assert.Equal(PayloadType.None, first);
        Assert.Single(impostor.Victim.Installed);
    }

    [Theory]
    [InlineData(NotifyType.NoProposalChosen)]
    [InlineData(NotifyType.InvalidSyntax)]
    [InlineData(NotifyType.InvalidMajorVersion)]
    public void A_forged_refusal_of_the_first_message_does_not_end_the_negotiation(NotifyType error)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        pair.Wire = (_, from, message) =>
        {
            if (from != pair.Left || !IkeHeader.TryRead(message.Message, out var header) || header.Exchange != ExchangeType.IkeSaInit) return 1;
            var forged = new MessageBuilder().Notify(error).ToMessage(IkeHeader.V2(header.InitiatorSpi, default, ExchangeType.IkeSaInit, false, true, 0));
            pair.Left.Receive(message.Local, message.Remote, forged, pair.Now);
            pair.Left.Receive(message.Local, message.Remote, forged, pair.Now);
            return 1;
        };
        Assert.True(pair.Up().Success);
    }

    [Fact]
    public void Demands_for_another_group_are_met_a_bounded_number_of_times()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway("aes128-sha256-x25519-ecp256"), null);
        var requests = new HashSet<string>();
        pair.Wire = (_, from, message) =>
        {
            if (from != pair.Left || !IkeHeader.TryRead(message.Message, out var header)) return 0;
            requests.Add(Convert.ToHexString(message.Message));
            Assert.Equal(ParseError.None, MessageView.TryParse(header.NextPayload, message.Message.AsSpan(IkeHeader.Length), out var view));
            Assert.True(view.TryGet(PayloadType.Ke, out var body));
            Assert.Equal(ParseError.None, KeView.TryParse(body, out var ke));
            // always the other one
            byte[] wanted = [0, (byte)(ke.Method == KeId.Curve25519 ? KeId.Ecp256 : KeId.Curve25519)];
            pair.Left.Receive(message.Local, message.Remote, new MessageBuilder().Notify(NotifyType.InvalidKePayload, wanted).ToMessage(IkeHeader.V2(header.InitiatorSpi, default, ExchangeType.IkeSaInit, false, true, 0)), pair.Now);
            return 0;
        };
        Assert.False(pair.Up().Success);
        Assert.Equal(1 + ProtocolTimes.InitRestarts, requests.Count);
        Assert.Equal(default, pair.Left.Engine.Holdings);
    }

    [Fact]
    public void Answers_that_come_three_times_do_not_disturb_cookies_and_other_groups()
    {
        using var pair = new EnginePair(right: new EngineOptions { CookieThreshold = 0 }) { Wire = (_, _, _) => 3 };
        pair.Load(EnginePair.LeftGateway("aes128-sha256-x25519-ecp256"), EnginePair.RightGateway("aes128-sha256-ecp256"));
        Assert.True(pair.Up().Success);
        Assert.Single(pair.Right.Installed);
    }

    [Fact]
    public void What_is_half_open_goes_after_its_time()
    {
        using var pair = new EnginePair { Wire = (number, _, _) => number == 0 ? 1 : 0 };
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.False(pair.Up().Success);
        Assert.Equal(default, pair.Right.Engine.Holdings);
        Assert.DoesNotContain(pair.Right.Events, happening => happening is IkeSaDown);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_forced_down_tells_the_peer_and_does_not_wait_for_it(bool silent)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        if (silent) pair.Wire = (_, _, _) => 0;
        var sent = pair.Sent.Count;
        var down = pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net"), Force: true), pair.Now);
        var result = pair.Left.Results[down];
        Assert.Equal((true, 1, 1), (result.Success, result.Matches, result.Done));
        Assert.Empty(pair.Left.Engine.Snapshot().IkeSas);
        pair.Run();
        // one DELETE, and nothing again
        Assert.Equal(silent ? 1 : 2, pair.Sent.Count - sent);
        Assert.Equal(silent ? 1 : 0, pair.Right.Engine.Snapshot().IkeSas.Length);
        Assert.Equal("down", pair.Left.Events.OfType<IkeSaDown>().Single().Reason);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_peer_that_lost_everything_replaces_its_old_SA_by_INITIAL_CONTACT(bool fromRight)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        var (lost, other) = fromRight ? (pair.Right, pair.Left) : (pair.Left, pair.Right);
        pair.Wire = (_, _, _) => 0;
        lost.Command(id => new IkeCommand.Down(id, new SaTarget("net"), Force: true), pair.Now);
        pair.Run(TimeSpan.FromMinutes(1));
        Assert.Single(other.Installed);
        pair.Wire = null;
        var up = lost.Up("net", "net", pair.Now);
        pair.Run();
        Assert.True(lost.Results[up].Success);
        Assert.Single(other.Installed);
        Assert.Single(other.Engine.Snapshot().IkeSas);
        Assert.Contains(other.Events.OfType<IkeSaDown>(), down => down.Reason == "replaced");
    }

    [Fact]
    public void Hard_lifetimes_end_what_nobody_rekeys()
    {
        using var pair = new EnginePair();
        var left = EnginePair.LeftGateway();
        pair.Load(left with { Children = [left.Children[0] with { RekeyTime = TimeSpan.Zero, LifeTime = TimeSpan.FromSeconds(50) }] }, EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        pair.Run(TimeSpan.FromSeconds(49));
        Assert.Single(pair.Left.Installed);
        pair.Run(TimeSpan.FromSeconds(2));
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
        Assert.Contains(pair.Left.Events.OfType<ChildDown>(), down => down.Reason == "expired");
    }

    [Fact]
    public void Limits_of_the_data_plane_rekey_and_end_a_pair()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        var old = pair.Left.Installed.Keys.Single();
        pair.Left.Engine.Handle(new DataPlaneEvent.SoftLimit(old), pair.Now);
        pair.Left.Engine.Handle(new DataPlaneEvent.SoftLimit(old), pair.Now);
        pair.Left.Drain(pair.Now);
        pair.Run(TimeSpan.FromSeconds(10));
        var made = pair.Left.Installed.Keys.Single();
        Assert.NotEqual(old, made);
        Assert.Single(pair.Left.Events.OfType<ChildRekeyed>());
        pair.Left.Engine.Handle(new DataPlaneEvent.HardLimit(made), pair.Now);
        pair.Left.Drain(pair.Now);
        pair.Run(TimeSpan.FromSeconds(10));
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
    }

    [Fact]
    public void Soft_limits_have_a_random_part_and_stay_below_the_hard_ones()
    {
        var seen = new HashSet<ulong>();
        for (var seed = 1UL; seed <= 8; seed++)
        {
            using var pair = new EnginePair(seed);
            var left = EnginePair.LeftGateway();
            pair.Load(left with { Children = [left.Children[0] with { RekeyBytes = 1_000_000, RekeyPackets = 1000 }] }, EnginePair.RightGateway());
            Assert.True(pair.Up().Success);
            var sa = pair.Left.Installed.Values.Single();
            Assert.InRange(sa.SoftBytes, 900_000UL, 1_000_000UL);
            Assert.InRange(sa.SoftPackets, 900UL, 1000UL);
            Assert.Equal((1_100_000UL, 1100UL), (sa.HardBytes, sa.HardPackets));
            seen.Add(sa.SoftBytes);
        }

        Assert.True(seen.Count > 4);
    }

    [Fact]
    public void Message_ids_never_run_out()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        var (left, right) = (pair.Left.Engine.IkeSas.Single(), pair.Right.Engine.IkeSas.Single());
        left.Window.ContinueAt(ProtocolTimes.MessageIdsSoft - 1, 0);
        right.Window.ContinueAt(0, ProtocolTimes.MessageIdsSoft - 1);
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget(Child: "net")), pair.Now);
        pair.Run(TimeSpan.FromSeconds(30));
        // section 2.2: rekeyed long before
        Assert.NotEmpty(pair.Left.Events.OfType<IkeSaRekeyed>());
        Assert.Single(pair.Left.Installed);
        var sa = pair.Left.Engine.IkeSas.Single();
        sa.Window.ContinueAt(uint.MaxValue, 0);
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget(Child: "net")), pair.Now);
        // or closed
        Assert.Empty(pair.Left.Engine.IkeSas);
    }

    [Fact]
    public void Closing_while_the_peer_may_hold_it_for_established_leaves_nothing_there()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        pair.Wire = (number, _, _) =>
        {
            if (number != 2) return 1;
            // IKE_AUTH is out
            pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net")), pair.Now);
            return 1;
        };
        var up = pair.Left.Up("net", "net", pair.Now);
        pair.Run();
        Assert.False(pair.Left.Results[up].Success);
        Assert.Empty(pair.Right.Engine.IkeSas);
        Assert.Empty(pair.Left.Engine.IkeSas);
        Assert.Empty(pair.Right.Installed);
    }

    [Fact]
    public void Questions_of_a_closed_SA_are_forgotten_and_late_answers_do_no_harm()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        pair.Left.HeldAsks = [];
        pair.Left.Up("net", "net", pair.Now);
        pair.Settle();
        var (id, question) = Assert.Single(pair.Left.HeldAsks);
        Assert.Equal(1, pair.Left.Engine.Holdings.Asks);
        pair.Left.Command(command => new IkeCommand.Down(command, new SaTarget("net")), pair.Now);
        Assert.Equal(0, pair.Left.Engine.Holdings.Asks);
        pair.Left.HeldAsks = null;
        pair.Left.Answer(id, question, pair.Now);
        Assert.Empty(pair.Left.Engine.IkeSas);
    }

    [Fact]
    public void A_lost_answer_to_the_delete_is_given_again()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        var lost = 0;
        pair.Wire = (_, from, _) => from == pair.Right && lost++ == 0 ? 0 : 1;
        var began = pair.Now;
        var down = pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net")), pair.Now);
        pair.Run();
        Assert.True(pair.Left.Results[down].Success);
        Assert.InRange(pair.Now - began, TimeSpan.Zero, TimeSpan.FromSeconds(3));
    }

    private static MessageBuilder ChildRequest(ChildSpi? rekey, string local = "10.1.0.0/16", string esp = "aes128gcm16")
    {
        var builder = new MessageBuilder();
        if (rekey is { } old) builder.Notify(ProtocolId.Esp, old, NotifyType.RekeySa);
        var proposal = EnginePair.Proposals(ProtocolId.Esp, esp)[0];
        return builder.Sa([new OfferedProposal(1, 0xC123_4567, 4, proposal)]).Nonce(new byte[32])
            .Ts(PayloadType.TsI, [EnginePair.Ts(local).Resolve(default)]).Ts(PayloadType.TsR, [EnginePair.Ts("10.2.0.0/16").Resolve(default)]);
    }

    private static byte[] Refusal(Impostor impostor, MessageBuilder chain, NotifyType expected)
    {
        var answer = impostor.Request(ExchangeType.CreateChildSa, chain.First, chain.Chain);
        Assert.NotNull(answer);
        var inner = impostor.Open(answer, out var first);
        Assert.Equal(ParseError.None, MessageView.TryParse(first, inner, out var view));
        Assert.True(view.TryGetError(out var error));
        Assert.Equal(expected, error.Type);
        Assert.True(impostor.IsUp);
        return error.Spi.ToArray();
    }

    private static byte[]? Ask(Impostor impostor, byte[] message)
    {
        impostor.Victim.Outbox.Clear();
        impostor.Victim.Receive(impostor.Local, impostor.Remote, message, impostor.Now);
        return impostor.Victim.Outbox.TryDequeue(out var sent) ? sent.Message : null;
    }
}
