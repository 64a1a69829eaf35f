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

    private QuickInitiator(IsakmpSa sa, ChildRequest request, ChildState? old, ImmutableArray<QuickSuite> suites, TrafficSelector local, TrafficSelector remote, byte[] idI, byte[] idR) : base(sa, sa.NewMessageId())
    {
        (_request, _old, _suites, _local, _remote, _idI, _idR, _began) = (request, old, suites, local, remote, idI, idR, sa.Engine.Now);
        _encapsulation = QuickOffer.EncapsulationOf(sa, request.Config.Mode == ChildMode.Transport);
        Spi = sa.Engine.NewChildSpi();
        sa.Engine.Entropy.Fill(_ni);
        var group = QuickOffer.GroupOf(suites);
        if (group == KeId.None) return;
        sa.Engine.Counters.KeyExchanges++;
        _keyExchange = KeyExchange.Generate(group, sa.Engine.Entropy);
    }

    public override ExchangeType Type => ExchangeType.QuickMode;

    public override string Task => "QUICK_MODE";

    public override MessageKind Expected => MessageKind.Quick2;

    public ChildSpi Spi { get; }

    public ChildRequest Request => _request;

    /// <summary>Begins one quick mode for each pair of selectors: proxy IDs have no lists.</summary>
    public static void Start(IsakmpSa sa, ChildRequest request, ChildState? old = null)
    {
        var pairs = PairsOf(sa, request);
        if (sa.Report.Ended) sa.Report = new ReportBuilder(sa.Engine.Now, initiator: true);
        if (pairs.Count == 0)
        {
            Refuse(sa, request, old, new NegotiationFailure("selectors", $"child {request.Config.Name} has no pair of selectors of the same IP version", [], [], [], $"here: set local_ts and remote_ts of connections.{sa.Connection.Name}.children.{request.Config.Name}"));
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

        var transport = suite.Mode == IpsecMode.Transport;
        var (originalLocal, originalRemote) = transport && Sa.IsBehindNat ? QuickNat.Read(view) : default;
        var responderSeconds = ResponderLifetime(view);
        var terms = new ChildTerms
        {
            Config = config,
            Proposal = suite.AsProposal(),
            Inbound = Spi,
            Outbound = outbound,
            Local = [_local],
            Remote = [_remote],
            Mode = suite.Mode,
            OriginalRemote = originalRemote,
            OriginalLocal = originalLocal,
            Initiator = true,
            Replaces = _old is { Table: not null } ? _old : null,
        };
        var child = QuickInstall.Install(Sa, terms, responderSeconds > 0 && (suite.Seconds == 0 || responderSeconds < suite.Seconds) ? suite with { Seconds = responderSeconds } : suite, shared, _ni, nr, suite.IsUdp);
        shared?.Dispose();
        _keyExchange?.Dispose();
        var hash = new byte[Sa.HashLength];
        KeyScheduleV1.Hash3(Sa.Keys!, MessageId, _ni, nr, hash);
        var builder = new ChainBuilder().Raw(PayloadV1.Hash, hash);
        Sa.Finish(this);
        // the responder asks for it again by repeating message 2
        Sa.Send(this, builder, MessageKind.Quick3, timed: false);
        QuickInstall.Confirm(Sa, child, _began);
        Sa.Engine.Complete(_request.Command, new CommandResult(true, Matches: 1, Done: 1));
    }

    /// <summary>The peer refuses, authentically.</summary>
    public void Refused(NotifyV1 error)
    {
        Sa.Finish(this);
        Flight.Land();
        Fail(QuickFailures.Refused(Sa, _request.Config, _suites, _local, _remote, error), null);
    }

    public override void NoAnswer(int sent)
    {
        // a peer that refuses may keep silent; one that is dead is found by dead peer detection
        Fail(new NegotiationFailure("timeout", $"{Sa.Remote} did not answer quick mode: message 1 was sent {sent} times", QuickText(_suites), [], [$"{_local} === {_remote}"], $"at the peer: its log shows why; as a rule its proxy IDs or its phase 2 proposals are others"), null);
        if (!Sa.IsClosed && Sa.LastHeard < _began) Sa.Close("dead-peer", $"{Sa.Remote} does not answer any more: quick mode was sent {sent} times");
    }

    public override void Abandon(string reason, string text)
    {
        IsDone = true;
        Flight.Land();
        Release();
        Sa.Engine.Complete(_request.Command, new CommandResult(false, text));
    }

    private static List<(TrafficSelector Local, TrafficSelector Remote)> PairsOf(IsakmpSa sa, ChildRequest request)
    {
        const int Most = 64;
        var config = request.Config;
        var (local, remote) = request.Part ?? (ChildConfig.Resolve(config.LocalSelectors, [sa.Local.Address]), ChildConfig.Resolve(config.RemoteSelectors, [sa.Remote.Address]));
        var pairs = new List<(TrafficSelector, TrafficSelector)>();
        foreach (var one in local)
        {
            foreach (var other in remote)
            {
                if (one.Version == other.Version && pairs.Count < Most) pairs.Add((one, other));
            }
        }

        return pairs;
    }

    private static void StartOne(IsakmpSa sa, ChildRequest request, ChildState? old, TrafficSelector local, TrafficSelector remote)
    {
        var config = request.Config;
        var suites = QuickOffer.Of(config);
        if (suites.IsEmpty)
        {
            Refuse(sa, request, old, new NegotiationFailure("no-proposal", $"connections.{sa.Connection.Name}.children.{config.Name}.esp_proposals has nothing that IKEv1 can do", [], [], [], "here: use algorithms that IKEv1 has numbers for, for example aes256-sha256"));
            return;
        }

        if (suites.All(suite => suite.Protocol == ProtocolId.Ah) && QuickInstall.IsEncapsulated(sa))
        {
            Refuse(sa, request, old, QuickFailures.AhBehindNat(sa, config));
            return;
        }

        if (!ProxyId.TryWrite(local, out var idI) || !ProxyId.TryWrite(remote, out var idR))
        {
            Refuse(sa, request, old, new NegotiationFailure("selectors", $"a proxy ID has one port or all, {local} === {remote} has a range", [], [], [], $"here: change local_ts and remote_ts of connections.{sa.Connection.Name}.children.{config.Name}"));
            return;
        }

        var exchange = new QuickInitiator(sa, request, old, suites, local, remote, idI, idR);
        sa.Add(exchange);
        exchange.Offer();
    }

    private static void Refuse(IsakmpSa sa, ChildRequest request, ChildState? old, NegotiationFailure failure)
    {
        if (old is { Phase: ChildPhase.Rekeying }) old.Phase = ChildPhase.Installed;
        var report = sa.Engine.ReportDone(sa, request.Config.Name, failure);
        sa.Engine.Complete(request.Command, new CommandResult(false, failure.Sentence, Report: report));
        sa.Engine.ChildRefused(sa.Connection, request.Config);
    }

    private void Offer()
    {
        var (seconds, kilobytes) = QuickInstall.LifetimesOf(_request.Config);
        var builder = new ChainBuilder().HashPlace(Sa.HashLength).Sa(QuickOffer.Make(_suites, QuickOffer.GroupOf(_suites), Spi, _encapsulation, seconds, kilobytes).AsSpan()).Raw(PayloadV1.Nonce, _ni);
        if (_keyExchange is not null) builder.Raw(PayloadV1.Ke, _keyExchange.PublicValue);
        builder.Raw(PayloadV1.Id, _idI).Raw(PayloadV1.Id, _idR);
        if (_request.Config.Mode == ChildMode.Transport && QuickInstall.IsEncapsulated(Sa)) QuickNat.Write(builder, Sa, Sa.Local.Address, Sa.Remote.Address);
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

    private static ulong ResponderLifetime(scoped in ChainView view)
    {
        if (!view.TryGetNotify(NotifyV1.ResponderLifetime, out var notify) || !AttributeList.Check(notify.Data)) return 0;
        return Lifetime.Read((ushort)IpsecAttribute.LifeType, AttributeList.Read(notify.Data)).Seconds;
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
            Sa.Inform(builder => builder.Notify(ProtocolId.Esp, spi, error));
        }

        if (_old is { Phase: ChildPhase.Rekeying } old)
        {
            old.Phase = ChildPhase.Installed;
            old.RekeyAt = RetryAt(old);
        }

        var report = Sa.Engine.ReportDone(Sa, _request.Config.Name, failure);
        Sa.Engine.Complete(_request.Command, new CommandResult(false, failure.Sentence, Report: report));
        if (_old is null) Sa.Engine.ChildRefused(Sa.Connection, _request.Config);
    }

    /// <summary>Another try comes before the hard lifetime ends.</summary>
    private Instant RetryAt(ChildState old)
    {
        var left = old.ExpireAt == Instant.Never ? ProtocolTimes.RekeyRetry : (old.ExpireAt - Sa.Engine.Now) / 2;
        return left < ProtocolTimes.TemporaryFailureWait ? Instant.Never : Sa.Engine.Now + (left < ProtocolTimes.RekeyRetry ? left : ProtocolTimes.RekeyRetry);
    }

    private void Release()
    {
        _keyExchange?.Dispose();
        Sa.Engine.FreeChildSpi(Spi);
    }
}
