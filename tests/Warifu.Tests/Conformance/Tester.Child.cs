using System.Collections.Generic;
using System.Linq;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>What the tester needs to remember between its CREATE_CHILD_SA request and the answer.</summary>
/// <param name="Payloads">The request.</param>
/// <param name="Spi">SPI of its end.</param>
internal sealed record Wish(List<Payload> Payloads, ulong Spi, byte[] Nonce, KeyExchange? KeyExchange);

/// <summary>CREATE_CHILD_SA and deletes, in both roles (RFC 7296 sections 1.3, 1.4, 2.8, 2.17 and 2.18).</summary>
internal sealed partial class Tester
{
    public Proposal Pfs => Esp with { Transforms = [.. Esp.Transforms.Where(transform => transform.Type != TransformType.Ke), Transform.Ke(GroupOf(Ike))] };

    // The tester asks.

    /// <summary>A request for a pair: a new one, or in the place of <paramref name="rekeys"/>.</summary>
    public Wish ChildRequest(TesterChild? rekeys = null, params Proposal[] esp)
    {
        if (esp.Length == 0) esp = [Esp];
        var group = GroupOf(esp[0]);
        var keyExchange = group == KeId.None ? null : KeyExchange.Generate(group, _luck);
        var (spi, nonce) = (NewSpi(), Random(32));
        List<Payload> payloads = [Offer(esp, spi.Value, 4), Payload.Nonce(nonce), Payload.Ts(PayloadType.TsI, Traffic(Setting.TesterTraffic)), Payload.Ts(PayloadType.TsR, Traffic(Setting.NodeTraffic)), .. Transport()];
        if (rekeys is not null) payloads.Insert(0, Payload.Notify(ProtocolId.Esp, rekeys.Own, NotifyType.RekeySa));
        if (keyExchange is not null) payloads.Add(Payload.Ke(group, keyExchange.PublicValue));
        return new Wish(payloads, spi.Value, nonce, keyExchange);
    }

    /// <summary>Takes the answer to it.</summary>
    public TesterChild TakeChild(Wish wish, Message answer, TesterSa? sa = null)
    {
        Assert.Null(answer.Error);
        Secret? shared = null;
        if (wish.KeyExchange is { } keyExchange) Assert.True(keyExchange.TryDerive(answer.Ke().Public, out shared));
        else Assert.False(answer.Has(PayloadType.Ke));
        using (shared) return TakeChild(sa ?? Sa, answer, new ChildSpi((uint)wish.Spi), testerInitiated: true, wish.Nonce, answer.Nonce, shared);
    }

    /// <summary>Makes or rekeys a pair.</summary>
    public TesterChild AskChild(TesterChild? rekeys = null, params Proposal[] esp)
    {
        var wish = ChildRequest(rekeys, esp);
        return TakeChild(wish, Ask(ExchangeType.CreateChildSa, wish.Payloads));
    }

    /// <summary>A request to rekey the IKE SA.</summary>
    public Wish IkeRequest(params Proposal[] ike)
    {
        if (ike.Length == 0) ike = [Ike];
        var keyExchange = KeyExchange.Generate(GroupOf(ike[0]), _luck);
        var (spi, nonce) = (_luck.Next() | 1, Random(32));
        return new Wish([Offer(ike, spi, 8), Payload.Nonce(nonce), Payload.Ke(keyExchange.Info.Id, keyExchange.PublicValue)], spi, nonce, keyExchange);
    }

    /// <summary>Takes the answer to it: the new IKE SA.</summary>
    public TesterSa TakeIke(Wish wish, Message answer, TesterSa old)
    {
        Assert.Null(answer.Error);
        var chosen = Assert.Single(answer.Proposals);
        Assert.Equal(8, chosen.SpiLength);
        Assert.True(wish.KeyExchange!.TryDerive(answer.Ke().Public, out var shared));
        using (shared) _sas.Add(old.Rekeyed(true, new IkeSpi(wish.Spi), new IkeSpi(chosen.Spi), chosen.Proposal, wish.Nonce, answer.Nonce, shared));
        return Sa;
    }

    /// <summary>Rekeys the IKE SA; the old one is not deleted yet.</summary>
    public TesterSa AskIke(params Proposal[] ike)
    {
        var wish = IkeRequest(ike);
        var old = Sa;
        return TakeIke(wish, Ask(ExchangeType.CreateChildSa, wish.Payloads), old);
    }

    // The node asks.

    public ulong RekeyChild() => Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")));

    public ulong RekeyIke() => Command(id => new IkeCommand.Rekey(id, new SaTarget("net")));

    public ulong CloseChild() => Command(id => new IkeCommand.Down(id, new SaTarget("net", "net")));

    public ulong CloseIke() => Command(id => new IkeCommand.Down(id, new SaTarget("net")));

    /// <summary>Payloads of the answer to the node's request for a pair.</summary>
    public (List<Payload> Payloads, TesterChild Child) ChildAnswer(Message request, Proposal? chosen = null, byte[]? nonce = null)
    {
        chosen ??= Esp;
        nonce ??= Random(32);
        var spi = NewSpi();
        var offer = request.Proposals[0];
        List<Payload> payloads = [Offer([chosen], spi.Value, 4), Payload.Nonce(nonce), Payload.Ts(PayloadType.TsI, Traffic(Setting.NodeTraffic)), Payload.Ts(PayloadType.TsR, Traffic(Setting.TesterTraffic)), .. Transport()];
        Secret? shared = null;
        if (GroupOf(chosen) is not KeId.None and var group)
        {
            using var keyExchange = KeyExchange.Generate(group, _luck);
            Assert.Equal(group, request.Ke().Method);
            Assert.True(keyExchange.TryDerive(request.Ke().Public, out shared));
            payloads.Add(Payload.Ke(group, keyExchange.PublicValue));
        }

        using (shared) return (payloads, MakeChild(SaOf(request), spi, new ChildSpi((uint)offer.Spi), chosen, testerInitiated: false, request.Nonce, nonce, shared));
    }

    /// <summary>Answers the node's request for a pair.</summary>
    public TesterChild AnswerChild(Message request, Proposal? chosen = null)
    {
        var (payloads, child) = ChildAnswer(request, chosen);
        Answer(request, payloads);
        return child;
    }

    /// <summary>Payloads of the answer to the node's rekeying of the IKE SA; the new one is known from here on.</summary>
    public (List<Payload> Payloads, TesterSa Made) IkeAnswer(Message request, Proposal? chosen = null, byte[]? nonce = null)
    {
        chosen ??= Ike;
        var offer = request.Proposals[0];
        Assert.Equal(8, offer.SpiLength);
        using var keyExchange = KeyExchange.Generate(GroupOf(chosen), _luck);
        nonce ??= Random(32);
        var spi = _luck.Next() | 1;
        Assert.True(keyExchange.TryDerive(request.Ke().Public, out var shared));
        using (shared) _sas.Add(SaOf(request).Rekeyed(false, new IkeSpi(offer.Spi), new IkeSpi(spi), chosen, request.Nonce, nonce, shared));
        return ([Offer([chosen], spi, 8), Payload.Nonce(nonce), Payload.Ke(keyExchange.Info.Id, keyExchange.PublicValue)], Sa);
    }

    public TesterSa AnswerIke(Message request, Proposal? chosen = null)
    {
        var (payloads, made) = IkeAnswer(request, chosen);
        Answer(request, payloads);
        return made;
    }

    /// <summary>The node deletes the IKE SA that <paramref name="made"/> replaces; then that is used.</summary>
    public void Use(TesterSa made)
    {
        var delete = ExpectRequest(ExchangeType.Informational);
        Assert.NotEqual(made.SpiI, delete.Header.InitiatorSpi);
        delete.Deleted(out var ike);
        Assert.True(ike);
        Answer(delete);
        Assert.Single(Node.Engine.Snapshot().IkeSas);
        IsUp(made);
        IsAlive(made);
    }

    // What is there.

    public TesterSa SaOf(Message message) => _sas.Single(sa => sa.SpiI == message.Header.InitiatorSpi && sa.SpiR == message.Header.ResponderSpi);

    /// <summary>The node's data plane has this pair, with the tester's keys, selectors and mode.</summary>
    public ChildSa Holds(TesterChild child)
    {
        var held = Assert.Single(Node.Installed.Values, sa => sa.InboundSpi == child.Node);
        Assert.Equal(child.Own, held.OutboundSpi);
        Assert.Equal(Setting.IsGateway ? IpsecMode.Tunnel : IpsecMode.Transport, held.Mode);
        var (inEncr, inInteg, outEncr, outInteg) = child.TesterInitiated
            ? (child.Keys.InitiatorEncr, child.Keys.InitiatorInteg, child.Keys.ResponderEncr, child.Keys.ResponderInteg)
            : (child.Keys.ResponderEncr, child.Keys.ResponderInteg, child.Keys.InitiatorEncr, child.Keys.InitiatorInteg);
        Assert.True(held.InboundEncrKey.FixedTimeEquals(inEncr.Span) && held.InboundIntegKey.FixedTimeEquals(inInteg.Span));
        Assert.True(held.OutboundEncrKey.FixedTimeEquals(outEncr.Span) && held.OutboundIntegKey.FixedTimeEquals(outInteg.Span));
        var encr = child.Proposal.Find(TransformType.Encr);
        Assert.Equal(((EncrId)encr.Id, (int)encr.KeyBits, (IntegId)child.Proposal.Find(TransformType.Integ).Id), (held.Encr, held.EncrKeyBits, held.Integ));
        Assert.Equal(child.Proposal.Find(TransformType.Esn).Id == 1, held.Esn);
        return held;
    }

    public bool HoldsAny(TesterChild child) => Node.Installed.Values.Any(sa => sa.InboundSpi == child.Node);

    /// <summary>The node has exactly this pair.</summary>
    public void HoldsOnly(TesterChild child)
    {
        Holds(child);
        Assert.Single(Node.Installed);
    }

    /// <summary>The node has exactly these.</summary>
    public void HoldsMore(params TesterChild[] children)
    {
        foreach (var child in children) Holds(child);
        Assert.Equal(children.Length, Node.Installed.Count);
    }

    private static TesterChild TakeChild(TesterSa sa, Message answer, ChildSpi spi, bool testerInitiated, byte[] ni, byte[] nr, Secret? shared)
    {
        var chosen = Assert.Single(answer.Proposals);
        Assert.Equal((ProtocolId.Esp, 4), (chosen.Proposal.Protocol, chosen.SpiLength));
        return MakeChild(sa, spi, new ChildSpi((uint)chosen.Spi), chosen.Proposal, testerInitiated, ni, nr, shared);
    }

    private static TesterChild MakeChild(TesterSa sa, ChildSpi own, ChildSpi node, Proposal chosen, bool testerInitiated, byte[] ni, byte[] nr, Secret? shared)
    {
        var encr = chosen.Find(TransformType.Encr);
        return new TesterChild(own, node, chosen, testerInitiated, KeyScheduleV2.DeriveChild(sa.Prf, sa.Keys.SkD, shared, ni, nr, (EncrId)encr.Id, encr.KeyBits, (IntegId)chosen.Find(TransformType.Integ).Id));
    }
}
