using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>Rekeyings and deletes that go another way than usual (item 2.7): limits that strike in the middle, peers that forget, refuse or close the wrong thing.</summary>
[Trait("Item", "2.7")]
public sealed class RekeyCaseTests
{
    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    [InlineData(false, true)]
    public void Limits_of_the_old_pair_in_the_middle_of_its_rekeying_begin_nothing_new(bool onInitiator, bool hard)
    {
        using var pair = new CrossingPair();
        var olds = new[] { true, false }.ToDictionary(isLeft => isLeft, isLeft => pair.Of(isLeft).Installed.Values.Single(sa => sa.Name == "a").Id);
        pair.Do(true, "rekey a");
        pair.Deliver(toLeft: false);
        pair.Deliver(toLeft: true);
        // both have the new pair; the delete of the old one is on its way
        var host = pair.Of(onInitiator);
        DataPlaneEventOn(host, hard, olds[onInitiator], pair.Now);
        Assert.DoesNotContain(host.Engine.IkeSas.Single().Window.Queued, exchange => exchange.Task == "CHILD_REKEY");
        pair.ComeToRest();
        Assert.Null(pair.WhatIsWrong(["a", "b"]));
        Assert.Single(host.Events.OfType<ChildRekeyed>());
        Assert.DoesNotContain(host.Events, happening => happening is ChildDown);
    }

    [Fact]
    public void A_responder_that_deletes_the_old_pair_first_is_answered()
    {
        using var pair = new CrossingPair();
        var old = pair.Right.Installed.Values.Single(sa => sa.Name == "a").Id;
        pair.Do(true, "rekey a");
        pair.Deliver(toLeft: false);
        // it does not wait for our delete
        var sa = pair.Right.Engine.IkeSas.Single();
        Assert.True(sa.Children.TryGetValue(old, out var child));
        sa.Window.Start(new Warifu.V2.Exchanges.DeleteChildExchange(child, "rekeyed"));
        pair.Right.Drain(pair.Now);
        pair.ComeToRest();
        Assert.Null(pair.WhatIsWrong(["a", "b"]));
    }

    [Theory]
    [InlineData("rekey a")]
    [InlineData("rekey")]
    public void What_the_initiator_never_deletes_goes_after_its_time(string deed)
    {
        using var pair = new CrossingPair();
        pair.Do(true, deed);
        pair.Deliver(toLeft: false);
        pair.Deliver(toLeft: true);
        // the delete and all its repetitions are lost, with everything else on the old IKE SA
        var end = pair.Now + ProtocolTimes.DeleteWait + TimeSpan.FromSeconds(1);
        var before = pair.Right.Installed.Count;
        while (pair.Now < end)
        {
            while (pair.Drop(toLeft: false))
            {
                // all of them
            }

            if (!pair.Wait(end)) break;
        }

        if (deed == "rekey a") Assert.Equal(before - 1, pair.Right.Installed.Count);
        else Assert.Single(pair.Right.Engine.IkeSas);
    }

    [Fact]
    public void A_pair_that_the_peer_has_lost_goes_silently_and_a_new_one_is_made()
    {
        using var impostor = new Impostor();
        var old = impostor.Victim.Installed.Values.Single();
        var command = impostor.Victim.Command(id => new IkeCommand.Rekey(id, new SaTarget(Child: "net")), impostor.Now);
        var (request, view) = TakeRequest(impostor);
        Assert.True(view.HasNotify(NotifyType.RekeySa));
        // section 2.25
        Answer(impostor, request, ExchangeType.CreateChildSa, new MessageBuilder().Notify(ProtocolId.Esp, old.InboundSpi, NotifyType.ChildSaNotFound));
        Assert.Empty(impostor.Victim.Installed);
        (request, view) = TakeRequest(impostor);
        Assert.False(view.HasNotify(NotifyType.RekeySa));
        AcceptChild(impostor, request, view, new ChildSpi(0xC765_4321));
        Assert.True(impostor.Victim.Results[command].Success);
        Assert.Single(impostor.Victim.Installed);
        // nothing was deleted by message
        Assert.Empty(impostor.Victim.Outbox);
    }

    [Fact]
    public void A_peer_that_deletes_the_new_pair_instead_of_the_old_one_leaves_us_consistent()
    {
        using var impostor = new Impostor();
        var old = impostor.Victim.Installed.Values.Single();
        impostor.Victim.Command(id => new IkeCommand.Rekey(id, new SaTarget(Child: "net")), impostor.Now);
        var (request, view) = TakeRequest(impostor);
        AcceptChild(impostor, request, view, new ChildSpi(0xC765_4321));
        Assert.Equal(2, impostor.Victim.Installed.Count);
        var (delete, _) = TakeRequest(impostor);
        // the wrong one
        var chain = new MessageBuilder().Delete(ProtocolId.Esp, [new ChildSpi(0xC765_4321)]);
        Assert.NotNull(impostor.Request(ExchangeType.Informational, chain.First, chain.Chain));
        Assert.Equal([old.InboundSpi], impostor.Victim.Installed.Values.Select(sa => sa.InboundSpi));
        Answer(impostor, delete, ExchangeType.Informational, new MessageBuilder());
        Assert.Empty(impostor.Victim.Installed);
        Assert.True(impostor.IsUp);
        Assert.Equal(0, impostor.Victim.Engine.Holdings.ChildSpis);
    }

    [Fact]
    public void A_delete_of_the_pair_that_its_rekeying_is_about_crosses_it()
    {
        using var impostor = new Impostor();
        var old = impostor.Victim.Installed.Values.Single();
        var command = impostor.Victim.Command(id => new IkeCommand.Rekey(id, new SaTarget(Child: "net")), impostor.Now);
        var (request, _) = TakeRequest(impostor);
        var chain = new MessageBuilder().Delete(ProtocolId.Esp, [old.OutboundSpi]);
        var inner = impostor.Open(impostor.Request(ExchangeType.Informational, chain.First, chain.Chain)!, out var first);
        // section 2.25.1: as usual, with a Delete payload
        Assert.Equal(ParseError.None, MessageView.TryParse(first, inner, out var answer));
        Assert.True(answer.TryGet(PayloadType.Delete, out _));
        Assert.Empty(impostor.Victim.Installed);
        Answer(impostor, request, ExchangeType.CreateChildSa, new MessageBuilder().Notify(NotifyType.TemporaryFailure));
        impostor.Victim.Wake(impostor.Now + TimeSpan.FromSeconds(5));
        Assert.False(impostor.Victim.Results[command].Success);
        Assert.Empty(impostor.Victim.Installed);
        Assert.Equal(0, impostor.Victim.Engine.Holdings.ChildSpis);
    }

    [Theory]
    [InlineData(NotifyType.NoProposalChosen)]
    [InlineData(NotifyType.NoAdditionalSas)]
    [InlineData(NotifyType.TsUnacceptable)]
    public void A_pair_that_cannot_be_rekeyed_ends_the_IKE_SA_at_its_hard_lifetime(NotifyType refusal)
    {
        using var impostor = new Impostor();
        var victim = impostor.Victim;
        victim.Command(id => new IkeCommand.Rekey(id, new SaTarget(Child: "net")), impostor.Now);
        var (request, _) = TakeRequest(impostor);
        Answer(impostor, request, ExchangeType.CreateChildSa, new MessageBuilder().Notify(refusal));
        // what is there stays until then (section 2.8)
        Assert.Single(victim.Installed);
        victim.Engine.Handle(new Warifu.Ipsec.DataPlaneEvent.HardLimit(victim.Installed.Keys.Single()), impostor.Now);
        victim.Drain(impostor.Now);
        var (_, view) = TakeRequest(impostor);
        Assert.True(view.TryGet(PayloadType.Delete, out var body));
        Assert.Equal((byte)ProtocolId.Ike, body[0]);
    }

    [Fact]
    public void A_pair_that_nobody_refused_to_rekey_ends_alone()
    {
        using var impostor = new Impostor();
        impostor.Victim.Engine.Handle(new Warifu.Ipsec.DataPlaneEvent.HardLimit(impostor.Victim.Installed.Keys.Single()), impostor.Now);
        impostor.Victim.Drain(impostor.Now);
        var (_, view) = TakeRequest(impostor);
        Assert.True(view.TryGet(PayloadType.Delete, out var body));
        Assert.Equal((byte)ProtocolId.Esp, body[0]);
    }

    [Fact]
    public void Beyond_its_limit_an_IKE_SA_takes_no_further_children_and_still_rekeys_those_that_it_has()
    {
        using var impostor = new Impostor();
        for (var number = 1; number < ProtocolTimes.ChildrenPerIke; number++) Assert.Null(Ask(impostor, null, new ChildSpi(0xD000_0000 + (uint)number)));
        Assert.Equal(ProtocolTimes.ChildrenPerIke, impostor.Victim.Installed.Count);
        Assert.Equal(NotifyType.NoAdditionalSas, Ask(impostor, null, new ChildSpi(0xDF00_0000)));
        Assert.Null(Ask(impostor, new ChildSpi(0xD000_0001), new ChildSpi(0xDF00_0001)));
        Assert.Equal(ProtocolTimes.ChildrenPerIke + 1, impostor.Victim.Installed.Count);
        Assert.True(impostor.IsUp);
    }

    [Fact]
    public void NO_ADDITIONAL_SAS_is_told_to_whoever_asked_and_the_IKE_SA_stays()
    {
        using var impostor = new Impostor();
        var victim = impostor.Victim;
        victim.Command(id => new IkeCommand.Down(id, new SaTarget("net", "net")), impostor.Now);
        var (request, _) = TakeRequest(impostor);
        Answer(impostor, request, ExchangeType.Informational, new MessageBuilder());
        var up = victim.Up("net", "net", impostor.Now);
        (request, _) = TakeRequest(impostor);
        Answer(impostor, request, ExchangeType.CreateChildSa, new MessageBuilder().Notify(NotifyType.NoAdditionalSas));
        Assert.False(victim.Results[up].Success);
        Assert.Equal("no-additional-sas", victim.Results[up].Report!.Failure!.Reason);
        Assert.Contains("NO_ADDITIONAL_SAS", victim.Results[up].Message, StringComparison.Ordinal);
        Assert.Equal(0, victim.Engine.Holdings.ChildSpis);
        Assert.True(impostor.IsUp);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Another_group_is_demanded_once_and_used_for_a_child_and_for_the_IKE_SA(bool ofIke)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway("aes128-sha256-x25519-ecp256", "aes128gcm16-x25519-ecp256"), EnginePair.RightGateway("aes128-sha256-ecp256-x25519", "aes128gcm16-ecp256-x25519"));
        Assert.True(pair.Up().Success);
        var sent = pair.Sent.Count;
        var command = pair.Left.Command(id => new IkeCommand.Rekey(id, ofIke ? new SaTarget("net") : new SaTarget(Child: "net")), pair.Now);
        pair.Run();
        Assert.True(pair.Left.Results[command].Success);
        // the responder prefers another group where the initiator offers both: two or three exchanges, the delete included
        Assert.InRange(pair.Sent.Count - sent, 4, 6);
        Assert.Single(pair.Left.Installed);
        Assert.Single(pair.Right.Installed);
        Assert.Single(pair.Right.Engine.IkeSas);
    }

    private static void DataPlaneEventOn(EngineHost host, bool hard, uint id, Instant now)
    {
        host.Engine.Handle(hard ? new Warifu.Ipsec.DataPlaneEvent.HardLimit(id) : new Warifu.Ipsec.DataPlaneEvent.SoftLimit(id), now);
        host.Drain(now);
    }

    /// <summary>The next request of the victim: its message id and what is in it.</summary>
    private static (uint Id, Inner View) TakeRequest(Impostor impostor)
    {
        while (impostor.Victim.Outbox.TryDequeue(out var sent))
        {
            if (!IkeHeader.TryRead(sent.Message, out var header) || header.IsResponse) continue;
            var chain = impostor.Open(sent.Message, out var first);
            return (header.MessageId, new Inner(first, chain));
        }

        throw new InvalidOperationException("the victim asks nothing");
    }

    private static void Answer(Impostor impostor, uint id, ExchangeType exchange, MessageBuilder chain) =>
        impostor.Victim.Receive(impostor.Local, impostor.Remote, impostor.Seal(exchange, isResponse: true, id, chain.First, chain.Chain), impostor.Now);

    private static void AcceptChild(Impostor impostor, uint id, Inner view, ChildSpi spi)
    {
        Assert.True(view.TryGet(PayloadType.TsI, out var tsi) & view.TryGet(PayloadType.TsR, out var tsr));
        Assert.Equal(ParseError.None, TsPayload.TryParse(tsi, out var own));
        Assert.Equal(ParseError.None, TsPayload.TryParse(tsr, out var other));
        var proposal = EnginePair.Proposals(ProtocolId.Esp, "aes128gcm16")[0];
        Answer(impostor, id, ExchangeType.CreateChildSa, new MessageBuilder().Sa([new OfferedProposal(1, spi.Value, 4, proposal)]).Nonce(new byte[32]).Ts(PayloadType.TsI, own.AsSpan()).Ts(PayloadType.TsR, other.AsSpan()));
    }

    /// <summary>Asks the victim for a pair, or to rekey one; its refusal, or null.</summary>
    private static NotifyType? Ask(Impostor impostor, ChildSpi? rekey, ChildSpi spi)
    {
        var builder = new MessageBuilder();
        if (rekey is { } old) builder.Notify(ProtocolId.Esp, old, NotifyType.RekeySa);
        var chain = builder.Sa([new OfferedProposal(1, spi.Value, 4, EnginePair.Proposals(ProtocolId.Esp, "aes128gcm16")[0])]).Nonce(new byte[32])
            .Ts(PayloadType.TsI, [EnginePair.Ts("10.1.0.0/16").Resolve(default)]).Ts(PayloadType.TsR, [EnginePair.Ts("10.2.0.0/16").Resolve(default)]);
        var inner = impostor.Open(impostor.Request(ExchangeType.CreateChildSa, chain.First, chain.Chain)!, out var first);
        Assert.Equal(ParseError.None, MessageView.TryParse(first, inner, out var view));
        return view.TryGetError(out var error) ? error.Type : null;
    }

    /// <summary>A decrypted message.</summary>
    private sealed class Inner(PayloadType first, byte[] chain)
    {
        public bool HasNotify(NotifyType type) => MessageView.TryParse(first, chain, out var view) == ParseError.None && view.HasNotify(type);

        public bool TryGet(PayloadType type, out byte[] body)
        {
            body = [];
            if (MessageView.TryParse(first, chain, out var view) != ParseError.None || !view.TryGet(type, out var found)) return false;
            body = found.ToArray();
            return true;
        }
    }
}
