using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>Quick mode (RFC 2409 section 5.5), begun here: HASH(1) SA Ni [KE] IDci IDcr; HASH(2) SA Nr [KE] IDci IDcr; HASH(3).</summary>
internal sealed class QuickInitiator : Exchange
{
    private const int NonceLength = 32;

    private readonly ChildRequest _request;
    private readonly ChildState? _old;
    private readonly ImmutableArray<QuickSuite> _suites;
    private readonly TrafficSelector _local;
    private readonly TrafficSelector _remote;
    private readonly EncapsulationV1 _encapsulation;
    private readonly KeyExchange? _keyExchange;
    private readonly byte[] _ni = new byte[NonceLength];
    private readonly byte[] _idI;
    private readonly byte[] _idR;
    private readonly Instant _began;
    private readonly long _moment;
    private readonly List<CommandId> _waiting;
    private ChildState? _child;

    private QuickInitiator(IsakmpSa sa, ChildRequest request, ChildState? old, ImmutableArray<QuickSuite> suites, TrafficSelector local, TrafficSelector remote, byte[] idI, byte[] idR) : base(sa, sa.NewMessageId())
    {
        (_request, _old, _suites, _local, _remote, _idI, _idR, _began, _moment, _waiting) = (request, old, suites, local, remote, idI, idR, sa.Engine.Now, sa.Engine.Moment, [request.Command]);
        _encapsulation = QuickOffer.EncapsulationOf(sa, request.Config.Mode == ChildMode.Transport);
        Spi = sa.Engine.NewChildSpi();
        sa.Engine.Entropy.Fill(_ni);
        if (suites[0].Group == KeId.None) return;
        sa.Engine.Counters.KeyExchanges++;
        _keyExchange = KeyExchange.Generate(suites[0].Group, sa.Engine.Entropy);
    }

    public override ExchangeType Type => ExchangeType.QuickMode;

    public override string Task => "QUICK_MODE";

    public override MessageKind Expected => MessageKind.Quick2;

    public ChildSpi Spi { get; }

    /// <summary>The pair that it replaces.</summary>
    public ChildState? Old => _old;

    /// <summary>It is for this child, and for this packet if there is one.</summary>
    public bool IsFor(string child, TrafficSelector? packetLocal, TrafficSelector? packetRemote) => !IsDone && _request.Config.Name == child && Covers((_local, _remote), packetLocal, packetRemote);

    /// <summary>Begins one quick mode for each pair of selectors, since proxy IDs have no lists: of a packet only for its own, else for those that are missing.</summary>
    public static void Start(IsakmpSa sa, ChildRequest request, ChildState? old = null)
    {
        var pairs = PairsOf(sa, request);
        if (old is null && pairs.Count > 0)
        {
            pairs.RemoveAll(pair => IsThere(sa, request, pair) || IsUnderWay(sa, ref request, pair));
            if (pairs.Count == 0)
            {
                sa.Engine.Complete(request.Command, new CommandResult(true, Matches: 1, Done: 1));
                return;
            }
        }

        if (sa.Report.Ended) sa.Report = new ReportBuilder(sa.Engine.Now, initiator: true);
        if (pairs.Count == 0)
        {
            Refuse(sa, request, old, new NegotiationFailure("selectors", $"child {request.Config.Name} has no pair of selectors of the same IP version", [], [], [], $"here: set connections.{sa.Connection.Name}.children.{request.Config.Name}.local_ts and connections.{sa.Connection.Name}.children.{request.Config.Name}.remote_ts"));
            return;
        }

        for (var i = 0; i < pairs.Count; i++) StartOne(sa, i == 0 ? request : request with { Command = default }, old, pairs[i].Local, pairs[i].Remote);
        sa.Reschedule();
    }

    public override bool CheckHash(scoped in ChainView view) => Sa.CheckHash(MessageId, _ni, view);

    public override void Receive(scoped in ChainView view)
    {
        view.TryGet(PayloadV1.Sa, out var body);
        view.TryGet(PayloadV1.Nonce, out var nonce);
        var nr = nonce.ToArray();
        if (nr.AsSpan().SequenceEqual(_ni))
        {
            Fail(PhaseLifetimes.Reflected(Sa), null);
            return;
        }

        var config = _request.Config;
        if (SaBody.TryParse(body, out var answer) != ParseError.None || answer is not [{ Transforms: [var transform], Spi.Length: 4 } proposal] || QuickOffer.Read(proposal.Protocol, transform) is not { } suite || !_suites.Any(own => own.IsSame(suite)) || suite.Encapsulation != _encapsulation)
        {
            Fail(new NegotiationFailure("child-refused", "the peer answered with something that we did not offer", QuickText(_suites), QuickOffer.Print(answer), [], "at the peer: it breaks the protocol, its software must be repaired"), NotifyV1.BadProposalSyntax);
            return;
        }

        var outbound = new ChildSpi(System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(proposal.Spi.AsSpan()));
        if (outbound.Value < 256 || Sa.Holder.Children.ByOutbound(outbound) is not null)
        {
            Fail(new NegotiationFailure("child-refused", $"the peer's SPI {outbound} is reserved, or in use already", [], [], [], "at the peer: it breaks the protocol, its software must be repaired"), NotifyV1.InvalidSpi);
            return;
        }

        if (!IdsFit(view, out var theirs))
        {
            Fail(QuickFailures.OtherIds(Sa, config, _local, _remote, theirs), NotifyV1.InvalidIdInformation);
            return;
        }

        Secret? shared = null;
        if (_keyExchange is not null && (!view.TryGet(PayloadV1.Ke, out var ke) || !_keyExchange.TryDerive(ke, out shared)))
        {
            Fail(new NegotiationFailure("invalid-key-exchange", "the peer's public value is missing or not acceptable", [], [], [], "the peer breaks RFC 2409 or RFC 6989: its implementation must be repaired"), NotifyV1.InvalidKeyInformation);
            return;
        }

        if (QuickInstall.IsWeak(Sa, suite, shared, Spi, outbound, _ni, nr))
        {
            shared?.Dispose();
            Fail(PhaseFailures.WeakKey(Sa), NotifyV1.NoProposalChosen);
            return;
        }

        var transport = suite.Mode == IpsecMode.Transport;
        var (originalLocal, originalRemote) = transport && Sa.IsBehindNat ? QuickNat.Read(view, initiator: true) : default;
        suite = ResponderLifetime(view, suite);
        // to a gateway of Cisco's kind everything means its networks
        var (here, there) = _old is { Negotiated: not null } ? (_old.Local, _old.Remote) : ([_local], !transport && UnitySplit.IsEverything(_remote) && !Sa.Holder.SplitNetworks.IsEmpty ? Sa.Holder.SplitNetworks : [_remote]);
        var terms = new ChildTerms
        {
            Config = config,
            Proposal = suite.AsProposal(),
            Inbound = Spi,
            Outbound = outbound,
            Local = here,
            Remote = there,
            Negotiated = here is [var h] && h == _local && there is [var t] && t == _remote ? null : (_local, _remote),
            Mode = suite.Mode,
            OriginalRemote = originalRemote,
            OriginalLocal = originalLocal,
            Initiator = true,
            Replaces = _old is { Table: not null } ? _old : null,
            OutboundReady = _old is not { Table: not null },
        };
        _child = QuickInstall.Install(Sa, terms, suite, shared, _ni, nr, suite.IsUdp);
        shared?.Dispose();
        _keyExchange?.Dispose();
        var hash = new byte[Sa.HashLength];
        KeyScheduleV1.Hash3(Sa.Keys!, MessageId, _ni, nr, hash);
        var builder = new ChainBuilder().Raw(PayloadV1.Hash, hash);
        Sa.Finish(this);
        // the responder asks for it again by repeating message 2
        Sa.Send(this, builder, MessageKind.Quick3, timed: false);
        QuickInstall.Confirm(Sa, _child, _moment);
        if (!terms.OutboundReady) DueAt = Sa.Engine.Now + ProtocolTimes.SwitchSoon;
        Complete(new CommandResult(true, Matches: 1, Done: 1));
    }

    /// <summary>Message 3 must have reached the peer by now: traffic moves to the new pair.</summary>
    public override void OnDue()
    {
        base.OnDue();
        if (_child is { Table: not null } child) Sa.Engine.Emit(new IkeAction.UseOutbound(child.Id));
    }

    /// <summary>Message 3 was lost.</summary>
    public override void OnRepeated()
    {
        if (DueAt != Instant.Never) DueAt = Sa.Engine.Now + ProtocolTimes.SwitchSoon;
    }

    /// <summary>The peer refuses, authentically.</summary>
    public void Refused(NotifyV1 error)
    {
        Sa.Finish(this);
        Flight.Land();
        Fail(QuickFailures.Refused(Sa, _request.Config, _suites, _local, _remote, error), null);
    }

    /// <summary>What it was to replace was closed on purpose.</summary>
    public void Withdraw()
    {
        Sa.Finish(this);
        Flight.Land();
        Release();
        PhaseLifetimes.TellDeleted(Sa, _suites[0].Protocol, Spi);
        Complete(new CommandResult(false, "closed from here"));
    }

    public override void NoAnswer(int sent)
    {
        if (IsPhaseLost)
        {
            // a delete that was lost: what is wanted goes on with a new phase 1, once
            var wishes = Sa.OpenExchanges.OfType<QuickInitiator>().Append(this).Distinct().Where(quick => quick is { _old: null, _request.IsCarriedOver: false }).SelectMany(quick => quick.TakeWishes()).ToArray();
            Sa.Close("dead-peer", $"{Sa.Remote} does not answer any more: quick mode was sent {sent} times");
            foreach (var wish in wishes) Sa.Engine.WantAnew(Sa.Connection, wish);
            return;
        }

        // a peer that refuses may keep silent; one that is dead is found by dead peer detection
        Fail(new NegotiationFailure("timeout", $"{Sa.Remote} did not answer quick mode: message 1 was sent {sent} times", QuickText(_suites), [], [$"{_local} === {_remote}"], $"at the peer: its log shows why; as a rule its proxy IDs or its phase 2 proposals are others"), null);
        if (!Sa.IsClosed && Sa.LastHeard < _began) Sa.Close("dead-peer", $"{Sa.Remote} does not answer any more: quick mode was sent {sent} times");
    }

    /// <summary>Nothing came under this phase 1 since long before this quick mode: the peer may have lost it.</summary>
    private bool IsPhaseLost => _old is null && !_request.IsCarriedOver && Sa.State == IsakmpState.Established && Sa.LastHeard + ProtocolTimes.PhaseInDoubt < _began;

    /// <summary>One wish for each command that waits; nobody is told anything.</summary>
    private ChildRequest[] TakeWishes()
    {
        if (!IsDone) Sa.Finish(this);
        Flight.Land();
        Release();
        return [.. _waiting.Distinct().Select(command => _request with { Command = command, IsCarriedOver = true })];
    }

    public override void Abandon(string reason, string text)
    {
        IsDone = true;
        Flight.Land();
        Release();
        if (Sa.Holder is { State: IsakmpState.Established } heir && heir != Sa)
        {
            // the newer phase 1 begins it again
            StartOne(heir, _request with { Command = default }, _old, _local, _remote);
            if (UnderWay(heir, _request.Config.Name, (_local, _remote)) is { } again) again._waiting.AddRange(_waiting);
            else Complete(new CommandResult(false, text));
            return;
        }

        if (_old is { Phase: ChildPhase.Rekeying, Table: not null } old) QuickInstall.Revive(Sa.Holder, old);
        Complete(new CommandResult(false, text));
        if (_old is null or { Table: null } && reason is not ("down" or "shutdown" or "replaced")) Sa.Engine.ChildRefused(Sa.Connection, _request.Config);
    }

    private static bool IsThere(IsakmpSa sa, ChildRequest request, (TrafficSelector Local, TrafficSelector Remote) pair) =>
        sa.Holder.Children.HasLive(request.Config.Name) && sa.Holder.Children.Values.Any(child => child is { IsLive: true, IsAnnounced: true, IsDoubtful: false } && child.Config.Name == request.Config.Name && QuickInstall.PartOf(child) is ([var local], [var remote]) && local == pair.Local && remote == pair.Remote);

    /// <summary>Another quick mode for the same is under way: whoever waits, waits for that one.</summary>
    private static bool IsUnderWay(IsakmpSa sa, ref ChildRequest request, (TrafficSelector Local, TrafficSelector Remote) pair)
    {
        if (UnderWay(sa, request.Config.Name, pair) is not { } under) return false;
        if (request.Command.Value != 0) under._waiting.Add(request.Command);
        request = request with { Command = default };
        return true;
    }

    private static QuickInitiator? UnderWay(IsakmpSa sa, string child, (TrafficSelector Local, TrafficSelector Remote) pair) =>
        sa.OpenExchanges.OfType<QuickInitiator>().FirstOrDefault(quick => quick._request.Config.Name == child && (quick._local, quick._remote) == pair);

    private static bool Covers((TrafficSelector Local, TrafficSelector Remote) pair, TrafficSelector? local, TrafficSelector? remote) =>
        local is not { } from || remote is not { } to || (Covers(pair.Local, from) && Covers(pair.Remote, to));

    private static bool Covers(TrafficSelector selector, TrafficSelector packet) => selector.Version == packet.Version && selector.First <= packet.First && packet.Last <= selector.Last
        && (selector.Protocol == 0 || (selector.Protocol == packet.Protocol && (selector.AnyPort || (selector.FirstPort <= packet.FirstPort && packet.LastPort <= selector.LastPort))));

    private void Complete(CommandResult result)
    {
        foreach (var command in _waiting) Sa.Engine.Complete(command, result);
        _waiting.Clear();
    }

    private static List<(TrafficSelector Local, TrafficSelector Remote)> PairsOf(IsakmpSa sa, ChildRequest request)
    {
        const int Most = 64;
        var config = request.Config;
        var (local, remote) = request.Part ?? (ChildConfig.Resolve(config.LocalSelectors, sa.LocalEnds), ChildConfig.Resolve(config.RemoteSelectors, sa.RemoteEnds));
        var pairs = new List<(TrafficSelector, TrafficSelector)>();
        foreach (var one in local)
        {
            foreach (var other in remote)
            {
                if (one.Version == other.Version && pairs.Count < Most && Covers((one, other), request.PacketLocal, request.PacketRemote)) pairs.Add((one, other));
            }
        }

        // the narrowest is what the packet would take
        if (request.PacketLocal is not null && pairs.Count > 1) pairs.RemoveRange(1, pairs.Count - 1);
        return pairs;
    }

    private static void StartOne(IsakmpSa sa, ChildRequest request, ChildState? old, TrafficSelector local, TrafficSelector remote)
    {
        var config = request.Config;
        var suites = QuickOffer.WithOneGroup(QuickOffer.Of(config));
        if (suites.IsEmpty)
        {
            Refuse(sa, request, old, new NegotiationFailure("no-proposal", $"connections.{sa.Connection.Name}.children.{config.Name}.esp_proposals has nothing that IKEv1 can do", [], [], [], "here: use algorithms that IKEv1 has numbers for, for example aes256-sha256"));
            return;
        }

        if (QuickFailures.AhInTheWay(sa, config) is { } obstacle)
        {
            Refuse(sa, request, old, obstacle);
            return;
        }

        if (!ProxyId.TryWrite(local, out var idI) || !ProxyId.TryWrite(remote, out var idR))
        {
            Refuse(sa, request, old, new NegotiationFailure("selectors", $"IKEv1 cannot say {local} === {remote}: a proxy ID has one port or all, and knows neither ICMP types nor OPAQUE", [], [], [], $"here: write one port, or none, in connections.{sa.Connection.Name}.children.{config.Name}.local_ts and connections.{sa.Connection.Name}.children.{config.Name}.remote_ts"));
            return;
        }

        var exchange = new QuickInitiator(sa, request, old, suites, local, remote, idI, idR);
        sa.Add(exchange);
        exchange.Offer();
    }

    private static void Refuse(IsakmpSa sa, ChildRequest request, ChildState? old, NegotiationFailure failure)
    {
        if (old is { Phase: ChildPhase.Rekeying, Table: not null }) QuickInstall.Revive(sa.Holder, old);
        var report = Tell(sa, request.Config, failure);
        sa.Engine.Complete(request.Command, new CommandResult(false, failure.Sentence, Report: report));
        sa.Engine.ChildRefused(sa.Connection, request.Config);
    }

    private void Offer()
    {
        var (seconds, kilobytes) = QuickInstall.LifetimesOf(_request.Config);
        var builder = new ChainBuilder().HashPlace(Sa.HashLength).Sa(QuickOffer.Make(_suites, Spi, _encapsulation, seconds, kilobytes).AsSpan()).Raw(PayloadV1.Nonce, _ni);
        if (_keyExchange is not null) builder.Raw(PayloadV1.Ke, _keyExchange.PublicValue);
        builder.Raw(PayloadV1.Id, _idI).Raw(PayloadV1.Id, _idR);
        if (_request.Config.Mode == ChildMode.Transport && QuickInstall.IsEncapsulated(Sa)) QuickNat.Write(builder, Sa, initiator: true);
        Sa.SetHash(builder, MessageId, default);
        Sa.Send(this, builder, MessageKind.Quick1, timed: true);
    }

    /// <summary>The responder returns both as they were; a few leave them out.</summary>
    private bool IdsFit(scoped in ChainView view, out string theirs)
    {
        var first = view.IndexOf(PayloadV1.Id);
        theirs = "none";
        if (first < 0) return true;
        var second = view.IndexOf(PayloadV1.Id, first + 1);
        if (second < 0) return false;
        theirs = QuickFailures.Print(view.Body(first), view.Body(second));
        return Fits(view.Body(first), _local) && Fits(view.Body(second), _remote);
    }

    private bool Fits(ReadOnlySpan<byte> body, TrafficSelector own) => IdBody.TryParse(body, out var id) == ParseError.None && ProxyId.TryRead(id, out var selector)
        && (selector == own || (_request.Config.Mode == ChildMode.Transport && Sa.IsBehindNat && selector.First == selector.Last && selector with { First = own.First, Last = own.Last } == own));

    /// <summary>The responder keeps it for less than what it chose (RFC 2407 section 4.6.3.1).</summary>
    private static QuickSuite ResponderLifetime(scoped in ChainView view, QuickSuite suite)
    {
        if (!view.TryGetNotify(NotifyV1.ResponderLifetime, out var notify) || !AttributeList.Check(notify.Data)) return suite;
        var (seconds, kilobytes) = Lifetime.Read((ushort)IpsecAttribute.LifeType, AttributeList.Read(notify.Data));
        return suite with { Seconds = Lifetime.Shorter(suite.Seconds, seconds), Kilobytes = Lifetime.Shorter(suite.Kilobytes, kilobytes) };
    }

    private static ImmutableArray<string> QuickText(ImmutableArray<QuickSuite> suites) => [.. suites.Take(16).Select(suite => suite.ToString())];

    private void Fail(NegotiationFailure failure, NotifyV1? notify)
    {
        if (!IsDone) Sa.Finish(this);
        Release();
        if (notify is { } error)
        {
            var spi = new byte[4];
            System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(spi, Spi.Value);
            Sa.Inform(builder => builder.Notify(_suites[0].Protocol, spi, error));
        }

        if (_old is { Phase: ChildPhase.Rekeying, Table: not null } old) QuickInstall.Revive(Sa.Holder, old);
        var report = Tell(Sa, _request.Config, failure);
        Complete(new CommandResult(false, failure.Sentence, Report: report));
        // a pair that ended meanwhile is wanted anew
        if (_old is null or { Table: null }) Sa.Engine.ChildRefused(Sa.Connection, _request.Config);
    }

    /// <summary>Quick modes that were begun together share a report: each that fails after the first one is over has one of its own.</summary>
    private static NegotiationReport? Tell(IsakmpSa sa, Child config, NegotiationFailure failure)
    {
        if (sa.Report.Ended) sa.Report = new ReportBuilder(sa.Engine.Now, initiator: true);
        return sa.Engine.ReportDone(sa, config.Name, failure);
    }

    private void Release()
    {
        _keyExchange?.Dispose();
        Sa.Engine.FreeChildSpi(Spi);
    }
}
