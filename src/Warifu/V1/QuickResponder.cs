using System;
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>Quick mode (RFC 2409 section 5.5), begun by the peer. The proxy IDs must be exactly those of a child: nothing is narrowed in IKEv1.</summary>
internal sealed class QuickResponder(IsakmpSa sa, uint messageId) : Exchange(sa, messageId)
{
    private const int NonceLength = 32;

    /// <summary>Pairs for the same traffic that are there at the same time, replaced ones included: more than any rekeying leaves.</summary>
    private const int MostPairs = 512;

    private readonly long _began = sa.Engine.Moment;
    private byte[] _ni = [];
    private byte[] _nr = [];
    private ChildState? _child;
    private bool _replaces;

    /// <summary>The pair that it made.</summary>
    public ChildState? Child => _child;

    public override ExchangeType Type => ExchangeType.QuickMode;

    public override string Task => "QUICK_MODE";

    public override MessageKind Expected => _child is null ? MessageKind.Quick1 : MessageKind.Quick3;

    public override bool CheckHash(scoped in ChainView view)
    {
        if (_child is null || view.Count == 0 || view[0].Type != PayloadV1.Hash) return false;
        var hash = new byte[Sa.HashLength];
        KeyScheduleV1.Hash3(Sa.Keys!, MessageId, _ni, _nr, hash);
        return CryptographicOperations.FixedTimeEquals(hash, view.Body(0));
    }

    public override void Receive(scoped in ChainView view)
    {
        if (_child is { } child)
        {
            Sa.Finish(this);
            if (child.Table is null)
            {
                // it was closed meanwhile, and the peer heard of that before it had the pair
                PhaseLifetimes.TellDeleted(Sa, child.Proposal.Protocol, child.Inbound);
                return;
            }

            Sa.Engine.Emit(new IkeAction.UseOutbound(child.Id));
            QuickInstall.Confirm(Sa, child, _began);
            return;
        }

        view.TryGet(PayloadV1.Nonce, out var nonce);
        _ni = nonce.ToArray();
        Answer(view);
    }

    /// <summary>The pair was closed before the peer had finished: message 2 is not sent again, and message 3 is waited for no longer than a message is under way.</summary>
    public void Stop()
    {
        Flight.Land();
        if (!IsDone) DueAt = Sa.Engine.Now + ProtocolTimes.DeleteWait;
    }

    public override void OnDue()
    {
        base.OnDue();
        if (!IsDone) Sa.Finish(this);
    }

    public override void NoAnswer(int sent)
    {
        // message 3 never came: the peer does not know the pair, or believes that we do
        GiveUp("timeout", "the peer did not finish quick mode");
        Sa.Engine.ReportDone(Sa, _child?.Config.Name, new NegotiationFailure("timeout", $"{Sa.Remote} did not finish quick mode: message 2 was sent {sent} times", [], [], [], "at the peer: its log shows why it did not send message 3"));
    }

    public override void Abandon(string reason, string text)
    {
        IsDone = true;
        Flight.Land();
        GiveUp(reason, text);
    }

    /// <summary>The half that we have goes; the peer, which may have its own, is told. What it was to replace may be gone by now, deleted by a peer for which all was done.</summary>
    private void GiveUp(string reason, string text)
    {
        if (_child is not { IsAnnounced: false, Table: not null } child) return;
        var holder = Sa.Holder;
        PhaseLifetimes.TellDeleted(Sa, child.Proposal.Protocol, child.Inbound);
        holder.RemoveChild(child, reason, text);
        if (_replaces && reason is not ("down" or "shutdown") && !holder.Children.HasLive(child.Config.Name)) Sa.Engine.Act(Sa.Connection, child.Config, child.Config.CloseAction);
    }

    private void Answer(scoped in ChainView view)
    {
        view.TryGet(PayloadV1.Sa, out var body);
        _ = SaBody.TryParse(body, out var offers);
        if (!TryReadIds(view, out var asked, out var idI, out var idR))
        {
            Refuse(null, new NegotiationFailure("selectors", "the peer's proxy IDs are no addresses, subnets or ranges", [idI.Length > 0 ? QuickFailures.Print(idI, idR) : "one of the two is missing"], [], [], "at the peer: set both proxy IDs to subnets"), NotifyV1.InvalidIdInformation);
            return;
        }

        if (Sa.Holder.Children.Count >= ProtocolTimes.ChildrenPerIke)
        {
            Refuse(null, new NegotiationFailure("no-additional-sas", "this peer has too many children", [], [], [], "at the peer: close some"), NotifyV1.NoProposalChosen);
            return;
        }

        var readable = QuickOffer.Readable(offers);
        (Child Config, NotifyV1 Error, NegotiationFailure Failure)? refused = null;
        foreach (var config in Sa.Connection.Children.Where(child => child.Mode is ChildMode.Tunnel or ChildMode.Transport))
        {
            var transport = config.Mode == ChildMode.Transport;
            // behind a NAT the IDs of transport mode are the addresses that the peer sees (RFC 3947 section 5.2)
            var (local, remote) = transport ? QuickNat.Substitute(Sa, asked) : asked;
            var unity = UnitySplit.Means(Sa, config, (local, remote)) && !Has(config, local, remote);
            if (!unity && !Has(config, local, remote)) continue;
            if (Select(config, readable, transport, out var failure) is { } chosen)
            {
                Accept(config, chosen, local, remote, unity, idI, idR, view);
                return;
            }

            refused ??= (config, NotifyV1.NoProposalChosen, failure!);
        }

        if (refused is { } why) Refuse(why.Config, why.Failure, why.Error);
        else Refuse(null, QuickFailures.NoIds(Sa, asked.Local, asked.Remote), NotifyV1.InvalidIdInformation);
    }

    private bool Has(Child config, TrafficSelector local, TrafficSelector remote) =>
        ChildConfig.Resolve(config.LocalSelectors, Sa.LocalEnds).Contains(local) && ChildConfig.Resolve(config.RemoteSelectors, Sa.RemoteEnds).Contains(remote);

    /// <summary>Absent IDs stand for the addresses of both ends (RFC 2409 section 5.5).</summary>
    private bool TryReadIds(scoped in ChainView view, out (TrafficSelector Local, TrafficSelector Remote) asked, out byte[] idI, out byte[] idR)
    {
        asked = (TrafficSelector.Of(Sa.Local.Address), TrafficSelector.Of(Sa.Remote.Address));
        (idI, idR) = ([], []);
        var first = view.IndexOf(PayloadV1.Id);
        if (first < 0) return true;
        var second = view.IndexOf(PayloadV1.Id, first + 1);
        if (second < 0) return false;
        (idI, idR) = (view.Body(first).ToArray(), view.Body(second).ToArray());
        return IdBody.TryParse(idI, out var initiator) == ParseError.None && IdBody.TryParse(idR, out var responder) == ParseError.None
            && ProxyId.TryRead(initiator, out asked.Remote) && ProxyId.TryRead(responder, out asked.Local) && asked.Local.Version == asked.Remote.Version;
    }

    /// <summary>The first of ours that the peer offers in the right mode.</summary>
    private (ProposalV1 Proposal, TransformV1 Transform, QuickSuite Suite)? Select(Child config, ImmutableArray<(ProposalV1 Proposal, TransformV1 Transform, QuickSuite Suite)> offers, bool transport, out NegotiationFailure? failure)
    {
        var ours = QuickOffer.Of(config);
        failure = QuickFailures.AhInTheWay(Sa, config);
        if (failure is not null) return null;
        // the group is the same in all or in none (section 5.5)
        if (offers.Select(offer => offer.Suite.Group).Distinct().Count() > 1) offers = [.. offers.Where(offer => offer.Suite.Group == offers[0].Suite.Group)];
        var wrongMode = false;
        foreach (var own in ours)
        {
            foreach (var offer in offers.Where(offer => offer.Suite.IsSame(own)))
            {
                // ESP in UDP only where NAT detection has led to port 4500 (RFC 3947 section 5.1), and there nothing else; who pretends a NAT is seen as behind one
                if (offer.Suite.Mode == (transport ? IpsecMode.Transport : IpsecMode.Tunnel) && (offer.Suite.IsUdp ? QuickInstall.IsEncapsulated(Sa) : !Sa.IsBehindNat)) return offer;
                wrongMode = true;
            }
        }

        failure = wrongMode ? QuickFailures.WrongMode(Sa, config, transport) : QuickFailures.NoProposal(Sa, config, ours, offers);
        return null;
    }

    private void Accept(Child config, (ProposalV1 Proposal, TransformV1 Transform, QuickSuite Suite) chosen, TrafficSelector local, TrafficSelector remote, bool unity, byte[] idI, byte[] idR, scoped in ChainView view)
    {
        var suite = chosen.Suite;
        var outbound = new ChildSpi(BinaryPrimitives.ReadUInt32BigEndian(chosen.Proposal.Spi.AsSpan()));
        if (outbound.Value < 256 || Sa.Holder.Children.ByOutbound(outbound) is not null)
        {
            Refuse(config, new NegotiationFailure("child-refused", $"the peer's SPI {outbound} is reserved, or in use already", [], [], [], "at the peer: it breaks the protocol, its software must be repaired"), NotifyV1.InvalidSpi);
            return;
        }

        var transport = suite.Mode == IpsecMode.Transport;
        var here = unity ? ChildConfig.Resolve(config.LocalSelectors, Sa.LocalEnds) : [local];
        var there = UnitySplit.IsEverything(remote) && !transport && !Sa.Holder.SplitNetworks.IsEmpty ? Sa.Holder.SplitNetworks : [remote];
        ImmutableArray<ChildState> same = [.. Sa.Holder.Children.Like(config.Name, here[0], there[0]).Where(other => other.Config.Name == config.Name && other.Local.SequenceEqual(here) && other.Remote.SequenceEqual(there))];
        if (same.Length >= MostPairs)
        {
            Refuse(config, new NegotiationFailure("no-additional-sas", $"this peer has {same.Length} pairs for the same traffic", [], [], [], "at the peer: make its lifetimes longer, and let it delete what it has replaced"), NotifyV1.NoProposalChosen);
            return;
        }

        if (IsTaken(config, transport, here, there)) return;
        Secret? shared = null;
        KeyExchange? keyExchange = null;
        var hasKe = view.TryGet(PayloadV1.Ke, out var ke);
        if (hasKe != (suite.Group != KeId.None))
        {
            Refuse(config, new NegotiationFailure("invalid-key-exchange", hasKe ? "the peer sent a public value and no group" : "the peer proposed a group and sent no public value", [], [], [], "at the peer: it breaks the protocol, its software must be repaired"), NotifyV1.InvalidKeyInformation);
            return;
        }

        if (hasKe)
        {
            Sa.Engine.Counters.KeyExchanges++;
            keyExchange = KeyExchange.Generate(suite.Group, Sa.Engine.Entropy);
            if (!keyExchange.TryDerive(ke, out shared))
            {
                keyExchange.Dispose();
                Refuse(config, new NegotiationFailure("invalid-key-exchange", "the peer's public value is not acceptable", [], [], [], "the peer breaks RFC 6989: its implementation must be repaired"), NotifyV1.InvalidKeyInformation);
                return;
            }
        }

        _nr = new byte[NonceLength];
        Sa.Engine.Entropy.Fill(_nr);
        var spi = Sa.Engine.NewChildSpi();
        while (QuickInstall.IsWeak(Sa, suite, shared, outbound, spi, _ni, _nr)) Sa.Engine.Entropy.Fill(_nr);
        var (originalLocal, originalRemote) = transport && Sa.IsBehindNat ? QuickNat.Read(view, initiator: false) : default;
        var old = same.FirstOrDefault(other => other.IsLive);
        _replaces = old is not null;
        var terms = new ChildTerms
        {
            Config = config,
            Proposal = suite.AsProposal(),
            Inbound = spi,
            Outbound = outbound,
            Local = here,
            Remote = there,
            Negotiated = here is [var h] && h == local && there is [var t] && t == remote ? null : (local, remote),
            Mode = suite.Mode,
            OriginalRemote = originalRemote,
            OriginalLocal = originalLocal,
            Initiator = false,
            Replaces = old,
            OutboundReady = false,
        };
        var builder = new ChainBuilder().HashPlace(Sa.HashLength).Sa([chosen.Proposal with { Spi = SpiOctets(spi), Transforms = [chosen.Transform] }]).Raw(PayloadV1.Nonce, _nr);
        if (keyExchange is not null) builder.Raw(PayloadV1.Ke, keyExchange.PublicValue);
        keyExchange?.Dispose();
        if (idI.Length > 0) builder.Raw(PayloadV1.Id, idI).Raw(PayloadV1.Id, idR);
        if (transport && Sa.IsBehindNat) QuickNat.Write(builder, Sa, initiator: false);
        WriteResponderLifetime(builder, config, suite, spi);
        // the initiator may send on it as soon as it has our answer
        _child = QuickInstall.Install(Sa, terms, suite, shared, _ni, _nr, suite.IsUdp);
        shared?.Dispose();
        Sa.SetHash(builder, MessageId, _ni);
        // the peer is authenticated: message 2 goes again until message 3 is there
        Sa.Send(this, builder, MessageKind.Quick2, timed: true);
    }

    /// <summary>
    /// Another peer has the same traffic. In tunnel mode the newer one gets it, or with unique = keep is refused; in transport mode two behind one NAT that use the same port are served one at a time (RFC 3948
    /// sections 5.1 and 5.2: "MUST handle this situation"). True: it was refused.
    /// </summary>
    private bool IsTaken(Child config, bool transport, ImmutableArray<TrafficSelector> here, ImmutableArray<TrafficSelector> there)
    {
        var holder = Sa.Holder;
        if (transport && (there[0].AnyPort || there[0].FirstPort != there[0].LastPort)) return false;
        if (Sa.Engine.HolderOf(holder.Id, Sa.PeerId, config, here[0], there[0]) is not { } other) return false;
        var both = other.Describe(Sa.PeerId, Sa.Remote, here, there);
        if (!transport && Sa.Connection.Unique == UniquePolicy.Keep)
        {
            Refuse(config, TrafficHolder.Keeps(both, Sa.Connection.Name), NotifyV1.InvalidIdInformation);
            return true;
        }

        Sa.Engine.Raise(new Notice(NoticeLevel.Warning, transport ? $"{both}: they are behind one NAT and use the same port, so that only one of them is served at a time; at the peers: let each take a port of its own" : $"{both}: the newer one gets the traffic from now on") { Connection = Sa.Connection.Name, IkeId = holder.Id });
        return false;
    }

    /// <summary>RFC 2407 section 4.6.3.1: what of ours is shorter than what was offered. Without an offer it is eight hours, and any number of kilobytes (section 4.5).</summary>
    private static void WriteResponderLifetime(ChainBuilder builder, Child config, QuickSuite suite, ChildSpi spi)
    {
        var (seconds, kilobytes) = QuickInstall.LifetimesOf(config);
        if (seconds >= (suite.Seconds == 0 ? QuickInstall.DefaultSeconds : suite.Seconds)) seconds = 0;
        if (suite.Kilobytes > 0 && kilobytes >= suite.Kilobytes) kilobytes = 0;
        if (seconds + kilobytes > 0) builder.Notify(suite.Protocol, SpiOctets(spi).AsSpan(), NotifyV1.ResponderLifetime, Lifetime.Write((ushort)IpsecAttribute.LifeType, seconds, kilobytes));
    }

    private static ImmutableArray<byte> SpiOctets(ChildSpi spi) => [(byte)(spi.Value >> 24), (byte)(spi.Value >> 16), (byte)(spi.Value >> 8), (byte)spi.Value];

    private void Refuse(Child? config, NegotiationFailure failure, NotifyV1 error)
    {
        Sa.Finish(this);
        Sa.Inform(builder => builder.Notify(ProtocolId.Ike, Sa.Cookies(), error));
        Sa.Engine.ReportDone(Sa, config?.Name, failure);
    }
}
