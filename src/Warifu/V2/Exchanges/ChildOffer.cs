using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>A child as we propose it: SPI, proposals, selectors, and with PFS a Diffie-Hellman value.</summary>
internal sealed class ChildOffer
{
    private ChildOffer(IkeSa sa, ChildRequest request, ImmutableArray<Proposal> proposals, ChildState? old)
    {
        (Request, Proposals) = (request, proposals);
        Spi = sa.Engine.NewChildSpi();
        (Local, Remote) = SelectorsOf(sa, request, old);
    }

    public ChildRequest Request { get; }

    public ImmutableArray<Proposal> Proposals { get; }

    public ChildSpi Spi { get; }

    public ImmutableArray<TrafficSelector> Local { get; }

    public ImmutableArray<TrafficSelector> Remote { get; }

    public KeyExchange? KeyExchange { get; private init; }

    /// <param name="sa">The IKE SA.</param>
    /// <param name="request">What is wanted.</param>
    /// <param name="withoutKe">IKE_AUTH: no key exchange (RFC 7296 section 1.2).</param>
    /// <param name="method">The group that the peer asked for; None = our first.</param>
    /// <param name="old">The pair that is rekeyed.</param>
    public static ChildOffer Make(IkeSa sa, ChildRequest request, bool withoutKe, KeId method = KeId.None, ChildState? old = null)
    {
        var proposals = request.Config.Proposals;
        if (withoutKe) return new ChildOffer(sa, request, [.. proposals.Select(Without)], old);
        if (method == KeId.None) method = proposals.SelectMany(proposal => proposal.Transforms).Where(transform => transform.Type == TransformType.Ke).Select(transform => (KeId)transform.Id).FirstOrDefault();
        if (method == KeId.None) return new ChildOffer(sa, request, proposals, old);
        sa.Engine.Counters.KeyExchanges++;
        return new ChildOffer(sa, request, proposals, old) { KeyExchange = KeyExchange.Generate(method, sa.Engine.Entropy) };
    }

    public void Write(MessageBuilder builder, bool IsFirst, ReadOnlySpan<byte> nonce = default)
    {
        if (Request.Config.Mode == ChildMode.Transport) builder.Notify(NotifyType.UseTransportMode);
        builder.Sa(InitExchange.Offer(Proposals, Spi.Value, 4));
        if (!IsFirst) builder.Nonce(nonce);
        if (KeyExchange is not null) builder.Ke(KeyExchange.Info.Id, KeyExchange.PublicValue);
        builder.Ts(PayloadType.TsI, Local.AsSpan()).Ts(PayloadType.TsR, Remote.AsSpan());
    }

    /// <summary>The pair is installed: the SPI is in use.</summary>
    public void Done() => KeyExchange?.Dispose();

    /// <summary>It came to nothing: the SPI is free again.</summary>
    public void Abandon(IkeSa sa)
    {
        KeyExchange?.Dispose();
        sa.Engine.FreeChildSpi(Spi);
    }

    internal static Proposal Without(Proposal proposal) => proposal with { Transforms = proposal.Transforms.RemoveAll(transform => transform.Type == TransformType.Ke) };

    /// <summary>
    /// What we ask for. A rekeying asks for the child's selectors again, so that a changed policy of the peer takes effect, but for those in use where the child has several pairs (section 2.9.2). As a client without
    /// an address yet we ask for all addresses, and the gateway narrows them to the one that it gives (section 2.19).
    /// </summary>
    private static (ImmutableArray<TrafficSelector> Local, ImmutableArray<TrafficSelector> Remote) SelectorsOf(IkeSa sa, ChildRequest request, ChildState? old)
    {
        if (request.Part is { } part) return part;
        var config = request.Config;
        if (old is not null && (config.SinglePair || sa.Children.Values.Any(other => other != old && other.IsLive && other.Config.Name == config.Name))) return (old.Local, old.Remote);
        var wanted = sa.Connection.VirtualIps;
        var local = wanted.IsEmpty || sa.Virtual is { Local.IsEmpty: false } ? ChildConfig.Resolve(config.LocalSelectors, sa.LocalEnds) : ChildConfig.ResolveAll(config.LocalSelectors, wanted);
        var remote = ChildConfig.Resolve(config.RemoteSelectors, sa.RemoteEnds);
        if (request is { PacketLocal: { } from, PacketRemote: { } to } && (config.SinglePair || request.PairOnly)) return (Selectors.Of(local, from.First), Selectors.Of(remote, to.First));
        return (Fitting(WithPacket(local, request.PacketLocal)), Fitting(WithPacket(remote, request.PacketRemote)));
    }

    /// <summary>A TS payload counts its selectors in one octet.</summary>
    private static ImmutableArray<TrafficSelector> Fitting(ImmutableArray<TrafficSelector> selectors) => selectors.Length > Narrowing.MaxSelectors ? selectors[..Narrowing.MaxSelectors] : selectors;

    /// <summary>The packet that raised it comes first, so that the responder can narrow to what it needs (section 2.9).</summary>
    private static ImmutableArray<TrafficSelector> WithPacket(ImmutableArray<TrafficSelector> selectors, TrafficSelector? packet) =>
        packet is { } first && !selectors.Contains(first) && selectors.Any(selector => Selectors.Covers(selector, first)) ? [first, .. selectors] : selectors;
}

/// <summary>The peer's answer to a <see cref="ChildOffer"/>, as owned values.</summary>
internal sealed class ChildAnswer
{
    private ImmutableArray<OfferedProposal> _proposals = [];
    private ImmutableArray<TrafficSelector> _local = [];
    private ImmutableArray<TrafficSelector> _remote = [];
    private KeId _method;
    private byte[] _public = [];
    private bool _transport;
    private bool _morePossible;

    /// <summary>The peer's refusal, if it is one.</summary>
    public NotifyType? Error { get; private set; }

    public byte[] ErrorData { get; private set; } = [];

    public byte[] Nonce { get; private set; } = [];

    /// <summary>The SPI that the peer gave its half.</summary>
    public ChildSpi Spi => _proposals.Length == 1 ? new ChildSpi((uint)_proposals[0].Spi) : default;

    public static ChildAnswer Read(scoped in MessageView view)
    {
        var answer = new ChildAnswer { _transport = view.HasNotify(NotifyType.UseTransportMode), _morePossible = view.HasNotify(NotifyType.AdditionalTsPossible) };
        if (view.TryGetError(out var error)) (answer.Error, answer.ErrorData) = (error.Type, error.Data.ToArray());
        if (view.TryGet(PayloadType.Sa, out var body)) _ = SaPayload.TryParse(body, out answer._proposals);
        if (view.TryGet(PayloadType.TsI, out body)) _ = TsPayload.TryParse(body, out answer._local);
        if (view.TryGet(PayloadType.TsR, out body)) _ = TsPayload.TryParse(body, out answer._remote);
        if (view.TryGet(PayloadType.Nonce, out body)) answer.Nonce = body.ToArray();
        if (view.TryGet(PayloadType.Ke, out body) && KeView.TryParse(body, out var ke) == ParseError.None) (answer._method, answer._public) = (ke.Method, ke.Public.ToArray());
        return answer;
    }

    /// <summary>The first child, in IKE_AUTH: its nonces are those of IKE_SA_INIT.</summary>
    public void Take(IkeSa sa, ChildOffer offer)
    {
        var (ni, nr) = (sa.Handshake!.Ni, sa.Handshake.Nr);
        if (sa.Handshake.AddressFailure is { } none)
        {
            // without its address the tunnel is of no use to us (section 3.15.4)
            Failed(sa, offer, none, deleteAtPeer: false);
            Lifetimes.Delete(sa, none.Reason, none.Sentence);
        }
        else
        {
            Take(sa, offer, ni, nr, null, outboundReady: true, out _);
        }

        sa.Handshake.Dispose();
        sa.Handshake = null;
    }

    /// <summary>Checks and installs. False when the child failed; whoever waited was told.</summary>
    public bool Take(IkeSa sa, ChildOffer offer, byte[] ni, byte[] nr, ChildState? replaces, bool outboundReady, out ChildState? child)
    {
        child = null;
        var config = offer.Request.Config;
        if (Error == NotifyType.SinglePairRequired && replaces is null && offer.Request is { PacketLocal: not null, PairOnly: false })
        {
            // section 2.9: then for the packet alone
            offer.Abandon(sa);
            sa.Window.Start(new CreateChildExchange(offer.Request with { PairOnly = true }));
            return false;
        }

        // an error means that all of the request failed, whatever else the answer carries (section 3.10.1)
        if (Error is { } error) return Failed(sa, offer, ChildFailures.Refused(sa, config, offer, error), deleteAtPeer: true);
        if (_proposals.Length != 1 || _local.IsEmpty || _remote.IsEmpty || _proposals[0] is not { SpiLength: 4, Spi: >= 256 })
            return Failed(sa, offer, new NegotiationFailure("invalid-syntax", "the peer's answer for the child is incomplete", [], [], [], "at the peer: it breaks the protocol, its software must be repaired"), false);
        var chosen = _proposals[0].Proposal;
        var withoutKe = offer.KeyExchange is null;
        (IpAddress Remote, IpAddress Local) original = default;
        if (_transport && (sa.LocalBehindNat || sa.RemoteBehindNat))
        {
            // RFC 7296 section 2.23.1: the peer wrote what it sees; checksums of what it sends are over that
            _local = NatDetection.Substitute(_local, sa.LocalBehindNat, sa.Local.Address, out original.Local);
            _remote = NatDetection.Substitute(_remote, sa.RemoteBehindNat, sa.Remote.Address, out original.Remote);
        }

        var wrong = ProposalSelection.CheckAnswer(offer.Proposals, chosen)
            ?? (Selectors.Covers(offer.Local, _local) && Selectors.Covers(offer.Remote, _remote) ? null : $"the peer's selectors {Selectors.Print(_local)} === {Selectors.Print(_remote)} go beyond what we proposed");
        if (wrong is null && sa.Virtual is { Local.IsEmpty: false }) wrong = FitToAddress(sa, config);
        var mode = config.Mode == ChildMode.Transport && _transport ? IpsecMode.Transport : IpsecMode.Tunnel;
        if (wrong is null && config.Mode == ChildMode.Transport && !_transport) wrong = $"child {config.Name} wants transport mode, the peer answered for tunnel mode";
        if (wrong is null && sa.Children.ByOutbound(new ChildSpi((uint)_proposals[0].Spi)) is not null) wrong = "the peer uses an SPI twice";
        Secret? shared = null;
        var method = (KeId)chosen.Find(TransformType.Ke).Id;
        if (wrong is null && method != KeId.None)
        {
            if (withoutKe || _method != method || offer.KeyExchange!.Info.Id != method)
            {
                wrong = "the peer's key exchange does not fit";
            }
            else if (!offer.KeyExchange.TryDerive(_public, out shared))
            {
                // RFC 6989 section 2.5: an implementation that sends such a value is broken; the IKE SA ends
                wrong = "the peer's public value is not acceptable";
                Failed(sa, offer, new NegotiationFailure("invalid-key-exchange", wrong, [], [], [], "the peer breaks RFC 6989 or RFC 7748: its implementation must be repaired"), false);
                Lifetimes.DeleteButWant(sa, "invalid-key-exchange", wrong);
                return false;
            }
        }

        if (wrong is not null) return Failed(sa, offer, Unfit(sa, offer, wrong, chosen), true);
        using (shared)
        {
            child = ChildInstall.Install(
                sa,
                new ChildTerms
                {
                    Config = config,
                    Proposal = chosen,
                    Inbound = offer.Spi,
                    Outbound = new ChildSpi((uint)_proposals[0].Spi),
                    Local = _local,
                    Remote = _remote,
                    Mode = mode,
                    OriginalRemote = original.Remote,
                    OriginalLocal = original.Local,
                    Initiator = true,
                    Replaces = replaces,
                    OutboundReady = outboundReady,
                },
                ni,
                nr,
                shared);
        }

        offer.Done();
        sa.Engine.ReportDone(sa, config.Name, null);
        sa.Engine.Complete(offer.Request.Command, new CommandResult(true, Matches: 1, Done: 1));
        if (_morePossible && replaces is null) AskForRest(sa, offer, child);
        return true;
    }

    /// <summary>A client takes only what belongs to the addresses that it was given, whatever the gateway left in.</summary>
    private string? FitToAddress(IkeSa sa, Child config)
    {
        var own = ChildConfig.Resolve(config.LocalSelectors, sa.LocalEnds);
        var fit = Narrowing.Narrow(own, _remote, _local, _remote);
        if (fit.IsEmpty) return $"the peer's selectors {Selectors.Print(_local)} === {Selectors.Print(_remote)} have nothing of our {Selectors.Print(own)} in them";
        (_local, _remote) = (fit.Local, fit.Remote);
        return null;
    }

    /// <summary>ADDITIONAL_TS_POSSIBLE (section 2.9): the peer would take more of what we asked for, in pairs of its own. Each is narrower than the one before, and there are no more than selectors of a VPN.</summary>
    private void AskForRest(IkeSa sa, ChildOffer offer, ChildState child)
    {
        if (offer.Request.Depth >= ProtocolTimes.PartsPerChild) return;
        var asked = (Local: sa.Virtual is { Local.IsEmpty: false } ? ChildConfig.Resolve(child.Config.LocalSelectors, sa.LocalEnds) : offer.Local, offer.Remote);
        var local = Selectors.Without(asked.Local, _local);
        var remote = Selectors.Without(asked.Remote, _remote);
        Ask(local, asked.Remote);
        Ask(_local, remote);

        void Ask(ImmutableArray<TrafficSelector> from, ImmutableArray<TrafficSelector> to)
        {
            if (from.IsEmpty || to.IsEmpty || Narrowing.Narrow(from, to, from, to).IsEmpty) return;
            sa.Window.Start(new CreateChildExchange(new ChildRequest(child.Config, default) { Part = (from, to), Depth = offer.Request.Depth + 1 }));
        }
    }

    /// <summary>The peer agreed to something that we did not ask for. A peer that may refuse transport mode (RFC 7296 section 1.3.1) is in its right, the rest is its bug.</summary>
    private NegotiationFailure Unfit(IkeSa sa, ChildOffer offer, string sentence, Proposal chosen) => offer.Request.Config.Mode == ChildMode.Transport && !_transport
        ? new NegotiationFailure("mode", sentence, ["transport"], ["tunnel"], [], $"here: set connections.{sa.Connection.Name}.children.{offer.Request.Config.Name}.mode = tunnel; or at the peer: set the mode of this child to transport")
        : new NegotiationFailure("child-refused", sentence, InitExchange.Print(offer.Proposals), [ProposalKeywords.Print(chosen)], [], "at the peer: it breaks the protocol, its software must be repaired");

    private bool Failed(IkeSa sa, ChildOffer offer, NegotiationFailure failure, bool deleteAtPeer)
    {
        offer.Abandon(sa);
        // the peer has installed something that we do not want
        if (deleteAtPeer && _proposals.Length == 1) sa.Window.Start(new DeleteSpiExchange(offer.Proposals[0].Protocol, offer.Spi));
        var report = sa.Engine.ReportDone(sa, offer.Request.Config.Name, failure);
        sa.Engine.Complete(offer.Request.Command, new CommandResult(false, failure.Sentence, Report: report));
        sa.Engine.ChildRefused(sa.Connection, offer.Request.Config);
        return false;
    }
}
