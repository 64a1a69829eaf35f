using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>A child that the peer proposes, as owned values; we are the responder.</summary>
internal sealed class ChildProposal
{
    private ImmutableArray<OfferedProposal> _offers = [];
    private ImmutableArray<TrafficSelector> _remote = [];
    private ImmutableArray<TrafficSelector> _local = [];
    private bool _transport;
    private KeId _method;
    private byte[] _public = [];
    private bool _isFirst;
    private ConfigurationRequest? _configuration;

    /// <summary>Null when the message has no child in it.</summary>
    public static ChildProposal? Read(scoped in MessageView view)
    {
        var proposal = new ChildProposal { _transport = view.HasNotify(NotifyType.UseTransportMode), _isFirst = view.IndexOf(PayloadType.Nonce) < 0 };
        if (!view.TryGet(PayloadType.Sa, out var sa) || !view.TryGet(PayloadType.TsI, out var tsI) || !view.TryGet(PayloadType.TsR, out var tsR)) return null;
        if (SaPayload.TryParse(sa, out proposal._offers) != ParseError.None || TsPayload.TryParse(tsI, out proposal._remote) != ParseError.None || TsPayload.TryParse(tsR, out proposal._local) != ParseError.None) return null;
        if (view.TryGet(PayloadType.Ke, out var ke) && KeView.TryParse(ke, out var key) == ParseError.None) (proposal._method, proposal._public) = (key.Method, key.Public.ToArray());
        // in IKE_AUTH a part of its own answers it
        if (!proposal._isFirst) proposal._configuration = ConfigurationRequest.Read(view);
        return proposal;
    }

    /// <summary>Chooses, writes the answer and returns what installs the pair once the answer is out; null when it was refused (the refusal is written).</summary>
    /// <param name="sa">The IKE SA.</param>
    /// <param name="builder">The answer under construction.</param>
    /// <param name="ni">The peer's nonce.</param>
    /// <param name="nr">Ours; written when it is not the first child.</param>
    /// <param name="replaces">The pair that the peer rekeys.</param>
    /// <param name="installed">Told of the new pair.</param>
    /// <param name="report">Where the decision is told.</param>
    public Action? Answer(IkeSa sa, MessageBuilder builder, byte[] ni, byte[] nr, ChildState? replaces, Action<ChildState>? installed, ReportBuilder report)
    {
        // rekeying goes on when no more pairs are taken; each pair is replaced once, so that even that is bounded
        if (sa.Children.Count >= (replaces is null ? ProtocolTimes.ChildrenPerIke : 2 * ProtocolTimes.ChildrenPerIke)) return Refuse(sa, builder, null, NotifyType.NoAdditionalSas, new NegotiationFailure("no-additional-sas", "this IKE SA has too many children", [], [], [], "at the peer: put its selectors into fewer children"));
        // RFC 6023: such a connection has no child in IKE_AUTH
        if (_isFirst && sa.Connection.Childless == ChildlessPolicy.Force) return Refuse(sa, builder, null, NotifyType.NoAdditionalSas, new NegotiationFailure("childless", $"the peer asks for a child in IKE_AUTH, connections.{sa.Connection.Name}.childless = force", [], [], [], $"here: set connections.{sa.Connection.Name}.childless = allow; or at the peer: initiate without a child"));
        // the initiator asked for a virtual address and there is none: IKE_AUTH says so (section 3.15.4)
        if (_isFirst && sa.Handshake?.AddressFailure is { } none) return () => sa.Engine.ReportDone(sa, null, none);
        var offered = _offers.Select(offer => offer.Proposal).ToImmutableArray();
        var whyNotSelectors = ImmutableArray.CreateBuilder<string>();
        (Child Config, NotifyType Error, NegotiationFailure Failure)? refused = null;
        var (asRemote, asLocal) = (_remote, _local);
        (IpAddress Remote, IpAddress Local) original = default;
        if (_transport && (sa.LocalBehindNat || sa.RemoteBehindNat))
        {
            asRemote = NatDetection.Substitute(_remote, sa.RemoteBehindNat, sa.Remote.Address, out original.Remote);
            asLocal = NatDetection.Substitute(_local, sa.LocalBehindNat, sa.Local.Address, out original.Local);
        }

        var candidates = replaces is null ? sa.Connection.Children.AsEnumerable() : [replaces.Config];
        var fitting = new List<(Child Config, NarrowingResult Narrowed, Proposal Chosen, OfferedProposal Offer, int Rank)>();
        foreach (var config in candidates.Where(child => child.Mode is ChildMode.Tunnel or ChildMode.Transport))
        {
            // an entry for tunnel mode is looked up with what the peer wrote (RFC 7296 section 2.23.1)
            var asked = config.Mode == ChildMode.Transport ? (Local: asLocal, Remote: asRemote) : (Local: _local, Remote: _remote);
            var narrowed = Narrow(sa, config, replaces, asked);
            if (narrowed.IsEmpty)
            {
                whyNotSelectors.Add($"{config.Name}: {narrowed.WhyNot}");
                continue;
            }

            var choice = ProposalSelection.Select(config.Proposals, offered, withoutKe: _isFirst);
            if (choice.Chosen is not { } chosen || _offers[choice.OfferIndex] is not { SpiLength: 4, Spi: >= 256 } || sa.Children.ByOutbound(new ChildSpi((uint)_offers[choice.OfferIndex].Spi)) is not null)
            {
                refused ??= (config, NotifyType.NoProposalChosen, ChildFailures.NoProposal(sa, config, offered, choice.WhyNot));
            }
            else if (ChildFailures.AhInTheWay(sa, config) is { } nat)
            {
                refused ??= (config, NotifyType.NoProposalChosen, nat);
            }
            else if (config.Mode == ChildMode.Transport && !_transport)
            {
                refused ??= (config, NotifyType.NoProposalChosen, new NegotiationFailure("mode", $"child {config.Name} wants transport mode, the peer wants tunnel mode", ["tunnel"], ["transport"], [], $"here: set connections.{sa.Connection.Name}.children.{config.Name}.mode = tunnel; or at the peer: set the mode of this child to transport"));
            }
            else if (replaces is null && NeedsVirtualIp(sa, config))
            {
                refused ??= (config, NotifyType.FailedCpRequired, ChildFailures.NeedsVirtualIp(sa, config));
            }
            else if (replaces is null && config.SinglePair && !TryNarrowToPair(asked, ref narrowed))
            {
                refused ??= (config, NotifyType.SinglePairRequired, ChildFailures.SinglePair(sa, config, _local, _remote));
            }
            else
            {
                fitting.Add((config, narrowed, chosen, _offers[choice.OfferIndex], RankOf(sa, config, narrowed, asked)));
            }
        }

        if (fitting.Count > 0)
        {
            var best = fitting.MaxBy(one => one.Rank);
            // section 2.9: what was left out would also have been acceptable, in a child of its own
            var more = replaces is null && (best.Narrowed.MorePossible || fitting.Any(other => other.Config != best.Config && !(Selectors.CoversEach(best.Narrowed.Local, other.Narrowed.Local) && Selectors.CoversEach(best.Narrowed.Remote, other.Narrowed.Remote))));
            return Accept(sa, builder, ni, nr, replaces, installed, best.Config, best.Narrowed with { MorePossible = more }, best.Chosen, best.Offer, original);
        }

        if (refused is { } why) return Refuse(sa, builder, why.Config, why.Error, why.Failure);
        return Refuse(sa, builder, null, NotifyType.TsUnacceptable, ChildFailures.NoSelectors(sa, _local, _remote, whyNotSelectors.ToImmutable()));
    }

    private static NarrowingResult Narrow(IkeSa sa, Child config, ChildState? replaces, (ImmutableArray<TrafficSelector> Local, ImmutableArray<TrafficSelector> Remote) asked)
    {
        // a pair of one pair of addresses is replaced by its like (section 2.9.2)
        if (replaces is not null && config.SinglePair) return Narrowing.Narrow(replaces.Local, replaces.Remote, asked.Local, asked.Remote);
        return Narrowing.Narrow(ChildConfig.Resolve(config.LocalSelectors, sa.LocalEnds), ChildConfig.Resolve(config.RemoteSelectors, sa.RemoteEnds), asked.Local, asked.Remote);
    }

    /// <summary>The child is for clients with an address of our pools, and this one has not asked for any (section 2.19).</summary>
    private static bool NeedsVirtualIp(IkeSa sa, Child config) =>
        sa.Virtual is null && (config.RemoteSelectors.IsEmpty || config.RemoteSelectors.Any(pattern => pattern.IsDynamic)) && sa.Connection.Pools.Any(name => sa.Engine.Policy.Pools.Any(pool => pool.Name == name && pool.HasAddresses));

    /// <summary>The pair of addresses that the peer begins with, if its first selectors are that definite.</summary>
    private static bool TryNarrowToPair((ImmutableArray<TrafficSelector> Local, ImmutableArray<TrafficSelector> Remote) asked, ref NarrowingResult narrowed)
    {
        if (asked.Local[0].First != asked.Local[0].Last || asked.Remote[0].First != asked.Remote[0].Last) return false;
        var local = Selectors.Of(narrowed.Local, asked.Local[0].First);
        var remote = Selectors.Of(narrowed.Remote, asked.Remote[0].First);
        if (local.IsEmpty || remote.IsEmpty) return false;
        narrowed = new NarrowingResult(local, remote, !Selectors.CoversEach(local, narrowed.Local) || !Selectors.CoversEach(remote, narrowed.Remote), "");
        return true;
    }

    /// <summary>The best child: one that takes what the peer begins with (section 2.9: "MUST"), then one that takes all, then one that takes nothing beyond, then one that is not up yet; among equals the first.</summary>
    private static int RankOf(IkeSa sa, Child config, NarrowingResult narrowed, (ImmutableArray<TrafficSelector> Local, ImmutableArray<TrafficSelector> Remote) asked)
    {
        var rank = 0;
        if (Selectors.CoversEach(narrowed.Local, [asked.Local[0]]) && Selectors.CoversEach(narrowed.Remote, [asked.Remote[0]])) rank += 8;
        if (Selectors.CoversEach(narrowed.Local, asked.Local) && Selectors.CoversEach(narrowed.Remote, asked.Remote)) rank += 4;
        if (Selectors.CoversEach(narrowed.Local, ChildConfig.Resolve(config.LocalSelectors, sa.LocalEnds)) && Selectors.CoversEach(narrowed.Remote, ChildConfig.Resolve(config.RemoteSelectors, sa.RemoteEnds))) rank += 2;
        if (!sa.Children.HasLive(config.Name)) rank++;
        return rank;
    }

    private Action? Accept(IkeSa sa, MessageBuilder builder, byte[] ni, byte[] nr, ChildState? replaces, Action<ChildState>? installed, Child config, NarrowingResult narrowed, Proposal chosen, OfferedProposal offer, (IpAddress Remote, IpAddress Local) original)
    {
        // both sides make the same child at the same time: the one of the responder of the IKE SA waits, and finds it done
        if (replaces is null && sa.Initiator && sa.Window.Creating(config.Name) is not null)
        {
            builder.Notify(NotifyType.TemporaryFailure);
            return null;
        }

        if (config.Mode == ChildMode.Tunnel && sa.Engine.HolderOf(sa.Id, sa.RemoteId, config, narrowed.Local[0], narrowed.Remote[0]) is { } holder)
        {
            var both = holder.Describe(sa.RemoteId, sa.Remote, narrowed.Local, narrowed.Remote);
            if (sa.Connection.Unique == UniquePolicy.Keep) return Refuse(sa, builder, config, NotifyType.TsUnacceptable, TrafficHolder.Keeps(both, sa.Connection.Name));
            sa.Engine.Raise(new Notice(NoticeLevel.Warning, $"{both}: the newer one gets the traffic from now on") { Connection = sa.Connection.Name, IkeId = sa.Id });
        }

        var method = (KeId)chosen.Find(TransformType.Ke).Id;
        Secret? shared = null;
        KeyExchange? keyExchange = null;
        if (method != KeId.None)
        {
            if (_method != method)
            {
                builder.Notify(NotifyType.InvalidKePayload, [(byte)((ushort)method >> 8), (byte)method]);
                return null;
            }

            keyExchange = KeyExchange.Generate(method, sa.Engine.Entropy);
            sa.Engine.Counters.KeyExchanges++;
            if (!keyExchange.TryDerive(_public, out shared))
            {
                keyExchange.Dispose();
                // RFC 6989 section 2.5: such a sender is broken; the IKE SA ends
                builder.Notify(NotifyType.InvalidSyntax);
                return () => Lifetimes.Fail(sa, "invalid-key-exchange", "the peer's public value is not acceptable", "the peer breaks RFC 6989 or RFC 7748: its implementation must be repaired");
            }
        }

        var spi = sa.Engine.NewChildSpi();
        var transport = config.Mode == ChildMode.Transport;
        if (transport) builder.Notify(NotifyType.UseTransportMode);
        // CP goes before SA (section 2.19)
        if (_configuration is not null) builder.Configuration(ConfigurationKind.Reply, ConfigurationReply.Make(sa, _configuration).AsSpan());
        builder.Sa([new OfferedProposal(offer.Number, spi.Value, 4, chosen)]);
        if (!_isFirst) builder.Nonce(nr);
        if (keyExchange is not null) builder.Ke(method, keyExchange.PublicValue);
        keyExchange?.Dispose();
        if (narrowed.MorePossible) builder.Notify(NotifyType.AdditionalTsPossible);
        builder.Ts(PayloadType.TsI, narrowed.Remote.AsSpan()).Ts(PayloadType.TsR, narrowed.Local.AsSpan());
        var terms = new ChildTerms
        {
            Config = config,
            Proposal = chosen,
            Inbound = spi,
            Outbound = new ChildSpi((uint)offer.Spi),
            Local = narrowed.Local,
            Remote = narrowed.Remote,
            Mode = transport ? IpsecMode.Transport : IpsecMode.Tunnel,
            OriginalRemote = transport ? original.Remote : default,
            OriginalLocal = transport ? original.Local : default,
            Initiator = false,
            Replaces = replaces,
        };
        var child = ChildInstall.Install(sa, terms, ni, nr, shared);
        shared?.Dispose();
        installed?.Invoke(child);
        return () => sa.Engine.ReportDone(sa, config.Name, null);
    }

    private static Action? Refuse(IkeSa sa, MessageBuilder builder, Child? config, NotifyType error, NegotiationFailure failure)
    {
        builder.Notify(error);
        return () => sa.Engine.ReportDone(sa, config?.Name, failure);
    }
}
