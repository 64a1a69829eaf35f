using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>IKE_SA_INIT (RFC 7296 section 1.2): proposals, Diffie-Hellman values, nonces, NAT detection. Both sides.</summary>
internal sealed class InitExchange : Exchange
{
    private const int NonceLength = 32;

    private byte[] _cookie = [];
    private KeId _method;
    private int _restarts;
    private NotifyType? _refusal;
    private bool _askedAgain;
    private KeId _wanted;

    public override ExchangeType Type => ExchangeType.IkeSaInit;

    public override string Task => "IKE_INIT";

    public override bool TryBuild(IkeSa sa, MessageBuilder builder)
    {
        var handshake = sa.Handshake!;
        if (handshake.KeyExchange is null)
        {
            if (_method == KeId.None) _method = (KeId)sa.Connection.Proposals[0].Find(TransformType.Ke).Id;
            handshake.KeyExchange = KeyExchange.Generate(_method, sa.Engine.Entropy);
            sa.Engine.Counters.KeyExchanges++;
        }

        if (handshake.Ni.Length == 0) handshake.Ni = Nonce(sa);
        // the cookie goes first, everything else stays as it was (section 2.6)
        if (_cookie.Length > 0) builder.Notify(NotifyType.Cookie, _cookie);
        builder.Sa(Offer(sa.Connection.Proposals));
        builder.Ke(_method, handshake.KeyExchange.PublicValue);
        builder.Nonce(handshake.Ni);
        WriteNotifies(sa, builder);
        return true;
    }

    public override void OnResponse(IkeSa sa, scoped in MessageView view) => throw new InvalidOperationException("IKE_SA_INIT is not encrypted");

    public override void OnAbandoned(IkeSa sa, string reason, string text)
    {
    }

    /// <summary>Another round of the same message after silence.</summary>
    public void Again(IkeSa sa)
    {
        _cookie = [];
        _restarts = 0;
        (_refusal, _askedAgain) = (null, false);
        sa.Window.Restart(this);
    }

    /// <summary>The request goes out again.</summary>
    public void OnRepeat() => _askedAgain = _refusal is not null;

    public void OnInitResponse(IkeSa sa, in IkeHeader header, ReadOnlySpan<byte> message, scoped in MessageView view, Endpoint local)
    {
        var handshake = sa.Handshake!;
        if (view.TryGetNotify(NotifyType.Cookie, out var cookie) && view.IndexOf(PayloadType.Sa) < 0)
        {
            // a repeated or late demand is met already
            if (cookie.Data.Length is < 1 or > WireLimits.CookieMax || cookie.Data.SequenceEqual(_cookie) || ++_restarts > ProtocolTimes.InitRestarts) return;
            _cookie = cookie.Data.ToArray();
            sa.Window.Restart(this);
            return;
        }

        if (view.TryGetNotify(NotifyType.InvalidKePayload, out var invalid) && view.IndexOf(PayloadType.Sa) < 0)
        {
            OnInvalidKe(sa, invalid.Data);
            return;
        }

        if (view.TryGetNotify(NotifyType.Redirect, out var redirect) && view.IndexOf(PayloadType.Sa) < 0)
        {
            // RFC 5685 section 3: only who has seen our nonce may send us away
            if (sa.Connection.FollowRedirects && IkeEngine.GatewayOf(redirect, out var proof) is { } gateway && proof.SequenceEqual(handshake.Ni)) sa.Engine.Redirect(sa, gateway);
            return;
        }

        if (view.TryGetError(out var error))
        {
            Refused(sa, error.Type);
            return;
        }

        if (!view.TryGet(PayloadType.Sa, out var saBody) || !view.TryGet(PayloadType.Ke, out var keBody) || !view.TryGet(PayloadType.Nonce, out var nonce) || header.ResponderSpi.IsZero) return;
        if (SaPayload.TryParse(saBody, out var answers) != ParseError.None || answers.Length != 1 || KeView.TryParse(keBody, out var ke) != ParseError.None) return;
        var chosen = answers[0].Proposal;
        var wrong = ProposalSelection.CheckAnswer(sa.Connection.Proposals, chosen) ?? (ke.Method != _method || chosen.Find(TransformType.Ke).Id != (ushort)_method ? "the answer uses another group than our KE payload" : null);
        if (wrong is not null)
        {
            // an answer that nobody would give: forged, or late; the real one may still come (section 2.21.1)
            sa.Report.Add(sa.Engine.Now, StepDirection.Here, "ignored: " + wrong);
            return;
        }

        if (!handshake.KeyExchange!.TryDerive(ke.Public, out var shared))
        {
            // RFC 6989 section 2.5: likewise
            sa.Report.Add(sa.Engine.Now, StepDirection.Here, "ignored: the public value in this answer is not acceptable");
            return;
        }

        sa.Window.Take(0);

        handshake.Nr = nonce.ToArray();
        handshake.PeerMessage = message.ToArray();
        sa.SpiR = header.ResponderSpi;
        sa.Proposal = chosen;
        sa.LastHeard = sa.Engine.Now;
        using (shared) Derive(sa, shared);
        if (NatInTheWay(sa.Connection, view, sa.SpiI, sa.SpiR, local, sa.Remote) is { } nat)
        {
            Lifetimes.Fail(sa, nat);
            return;
        }

        ReadNotifies(sa, view, local);
        if (handshake.Children.Count > 0 && handshake.Children.All(request => ChildFailures.AhInTheWay(sa, request.Config) is not null))
        {
            Lifetimes.Fail(sa, ChildFailures.AhInTheWay(sa, handshake.Children.Peek().Config)!);
            return;
        }

        AuthExchange.Begin(sa);
    }

    /// <summary>The responder: everything in one go, nothing is asked. The half-open state exists from here on.</summary>
    public static DropReason Respond(IkeEngine engine, in IkeHeader header, Endpoint local, Endpoint remote, ReadOnlySpan<byte> message, scoped in MessageView view)
    {
        var parsed = view.TryGet(PayloadType.Sa, out var saBody) & view.TryGet(PayloadType.Ke, out var keBody) & view.TryGet(PayloadType.Nonce, out var nonce);
        if (!parsed || SaPayload.TryParse(saBody, out var offers) != ParseError.None || KeView.TryParse(keBody, out var ke) != ParseError.None) return DropReason.Malformed;
        var offered = offers.Select(offer => offer.Proposal).ToImmutableArray();
        Connection? connection = null;
        ProposalChoice? choice = null;
        Connection? first = null;
        ProposalChoice? firstChoice = null;
        foreach (var candidate in engine.Index.FirstCandidates(local.Address, remote.Address, IkeVersion.V2))
        {
            var attempt = ProposalSelection.Select(candidate.Proposals, offered);
            if (first is null) (first, firstChoice) = (candidate, attempt);
            if (attempt.Chosen is null) continue;
            (connection, choice) = (candidate, attempt);
            break;
        }

        if (first is null && engine.Index.FirstCandidates(local.Address, remote.Address, IkeVersion.V1).Any())
        {
            engine.RefuseVersion2(local, remote);
            return DropReason.OtherVersion;
        }

        if (first is null)
        {
            engine.ReportRefusal(header, view, local, remote, "", new NegotiationFailure(
                "no-connection", $"no connection here is for {local.Address} and {remote.Address}", [], [], [], $"here: add a connection whose remote_addrs contains {remote.Address} (and whose version is 2)"));
            return engine.RefuseInit(header, local, remote, message.Length, NotifyType.NoProposalChosen, default);
        }

        if (connection is null || choice?.Chosen is not { } chosen)
        {
            engine.ReportRefusal(header, view, local, remote, first.Name, NoProposal(first, offered, firstChoice!.WhyNot));
            return engine.RefuseInit(header, local, remote, message.Length, NotifyType.NoProposalChosen, default);
        }

        var method = (KeId)chosen.Find(TransformType.Ke).Id;
        if (ke.Method != method)
        {
            ReadOnlySpan<byte> wanted = [(byte)((ushort)method >> 8), (byte)method];
            return engine.RefuseInit(header, local, remote, message.Length, NotifyType.InvalidKePayload, wanted);
        }

        if (NatInTheWay(connection, view, header.InitiatorSpi, default, local, remote) is { } nat)
        {
            engine.ReportRefusal(header, view, local, remote, connection.Name, nat);
            return engine.RefuseInit(header, local, remote, message.Length, NotifyType.NoProposalChosen, default);
        }

        var answer = new[] { new OfferedProposal(offers[choice.OfferIndex].Number, 0, 0, chosen) };
        // Amplification: an answer beyond 1.5 times of what an unverified address sent needs a cookie first; nothing is computed before
        if ((AnswerLength(connection, method, answer) + InitPart.ResponseLengths(connection, view) + CertPayloads.RequestLength(engine, connection)) * 2 > message.Length * 3 && !view.HasNotify(NotifyType.Cookie)) return engine.DemandCookie(header, local, remote, nonce, message.Length);
        // who may make us fetch certificates (RFC 7296 section 3.6) must receive at its address
        if (engine.Options.HashAndUrl && AuthRounds.PeerUsesSignatures(connection) && !view.HasNotify(NotifyType.Cookie)) return engine.DemandCookie(header, local, remote, nonce, message.Length);
        using var keyExchange = KeyExchange.Generate(method, engine.Entropy);
        engine.Counters.KeyExchanges++;
        if (!keyExchange.TryDerive(ke.Public, out var shared)) return engine.RefuseInit(header, local, remote, message.Length, NotifyType.InvalidSyntax, default);
        var sa = engine.NewSa(connection, initiator: false, local, remote);
        (sa.SpiI, sa.SpiR, sa.Proposal) = (header.InitiatorSpi, engine.NewIkeSpi(), chosen);
        sa.Origin = (false, header.InitiatorSpi);
        sa.Trace(StepDirection.In, header, view);
        engine.CountersOf(connection.Name).Count(ExchangeType.IkeSaInit, isResponse: false, outgoing: false);
        sa.Handshake = new Handshake { Ni = nonce.ToArray(), Nr = Nonce(sa), PeerMessage = message.ToArray() };
        sa.LastHeard = engine.Now;
        ReadNotifies(sa, view, local);
        using (shared) Derive(sa, shared);
        var builder = new MessageBuilder();
        builder.Sa(answer);
        builder.Ke(method, keyExchange.PublicValue);
        builder.Nonce(sa.Handshake.Nr);
        WriteNotifies(sa, builder);
        engine.AddHalfOpen(sa, view.HasNotify(NotifyType.Cookie));
        sa.Window.BeginAnswer(Window.DigestOf(message));
        sa.Respond(ExchangeType.IkeSaInit, builder);
        sa.Reschedule();
        return DropReason.None;
    }

    public static NegotiationFailure NoProposal(Connection connection, ImmutableArray<Proposal> offered, ImmutableArray<string> whyNot) => new(
        "no-proposal",
        "no IKE proposal in common",
        Print(offered),
        Print(connection.Proposals),
        whyNot,
        offered.IsEmpty ? "" : $"here: add {ProposalKeywords.Print(offered[0])} to connections.{connection.Name}.proposals; or at the peer: add {ProposalKeywords.Print(connection.Proposals[0])} to its IKE proposals");

    public static ImmutableArray<string> Print(ImmutableArray<Proposal> proposals) => [.. proposals.Take(32).Select(ProposalKeywords.Print)];

    /// <summary>Proposals with their numbers, without SPI.</summary>
    public static OfferedProposal[] Offer(ImmutableArray<Proposal> proposals, ulong spi = 0, byte spiLength = 0) =>
        [.. proposals.Select((proposal, index) => new OfferedProposal((byte)(index + 1), spi, spiLength, proposal))];

    /// <summary>At least half the PRF's key, at least 16 octets (section 2.10).</summary>
    public static byte[] Nonce(IkeSa sa)
    {
        var nonce = new byte[NonceLength];
        sa.Engine.Entropy.Fill(nonce);
        return nonce;
    }

    private static int AnswerLength(Connection connection, KeId method, OfferedProposal[] answer) =>
        IkeHeader.Length + new MessageBuilder().Sa(answer).Chain.Length + 8 + Algorithms.Ke[method].PublicLength + 4 + NonceLength + (connection.NatTraversal ? 2 * (8 + 20) : 0);

    private static void WriteNotifies(IkeSa sa, MessageBuilder builder)
    {
        if (sa.Connection.NatTraversal) NatDetection.Write(builder, sa.SpiI, sa.SpiR, sa.Local, sa.Remote, sa.ForceEncapsulation);
        if (sa.Initiator) InitPart.WriteRequests(sa, builder);
        else InitPart.WriteResponses(sa, builder);
    }

    private static void ReadNotifies(IkeSa sa, scoped in MessageView view, Endpoint local)
    {
        if (sa.Initiator) InitPart.ReadResponses(sa, view);
        else InitPart.ReadRequests(sa, view);
        if (!sa.Connection.NatTraversal) return;
        var (seen, localNat, remoteNat) = NatDetection.Read(view, sa.SpiI, sa.Initiator ? sa.SpiR : default, local, sa.Remote);
        sa.Peer.NatTraversal = seen;
        if (seen && view.TryGetNotify(NotifyType.NatDetectionDestinationIp, out var destination)) sa.Peer.SeenAs = [.. destination.Data];
        (sa.LocalBehindNat, sa.RemoteBehindNat) = (localNat, remoteNat);
        if (localNat || remoteNat) sa.Report.Add(sa.Engine.Now, StepDirection.Here, localNat && remoteNat ? "both sides are behind a NAT" : localNat ? "we are behind a NAT" : "the peer is behind a NAT (or pretends to be)");
    }

    /// <summary>Without NAT traversal a NAT, as the peer's hashes show it, ends the negotiation: ESP would not get through it.</summary>
    private static NegotiationFailure? NatInTheWay(Connection connection, scoped in MessageView view, IkeSpi initiator, IkeSpi responder, Endpoint local, Endpoint remote)
    {
        if (connection.NatTraversal) return null;
        var (_, localNat, remoteNat) = NatDetection.Read(view, initiator, responder, local, remote);
        if (!localNat && !remoteNat) return null;
        return new NegotiationFailure(
            "nat",
            $"{(localNat && remoteNat ? "both sides are" : localNat ? "we are" : "the peer is")} behind a NAT (or it pretends to be), and connection {connection.Name} has NAT traversal switched off",
            [],
            [],
            [$"the peer does not see the addresses {local} and {remote} that we see"],
            $"here: set connections.{connection.Name}.nat_traversal = yes; or between: give the gateways addresses that are not translated");
    }

    private static void Derive(IkeSa sa, Secret shared)
    {
        var handshake = sa.Handshake!;
        var proposal = sa.Proposal!;
        var prf = (PrfId)proposal.Find(TransformType.Prf).Id;
        var encr = proposal.Find(TransformType.Encr);
        using var seed = KeyScheduleV2.SkeySeed(prf, handshake.Ni, handshake.Nr, shared);
        sa.SetKeys(KeyScheduleV2.Derive(prf, (EncrId)encr.Id, encr.KeyBits, (IntegId)proposal.Find(TransformType.Integ).Id, seed, handshake.Ni, handshake.Nr, sa.SpiI, sa.SpiR));
        sa.Report.Add(sa.Engine.Now, StepDirection.Here, "chose IKE proposal " + ProposalKeywords.Print(proposal));
    }

    private void OnInvalidKe(IkeSa sa, ReadOnlySpan<byte> data)
    {
        var wanted = data.Length == 2 ? (KeId)((data[0] << 8) | data[1]) : KeId.None;
        var offered = sa.Connection.Proposals.Any(proposal => proposal.Transforms.Contains(Transform.Ke(wanted)));
        // a repeated or late answer: it is what we do already
        if (wanted == _method) return;
        // only a group that we offered ourselves, and not for ever: a forged answer must not weaken or loop us (section 2.7)
        if (!offered || ++_restarts > ProtocolTimes.InitRestarts)
        {
            _wanted = wanted;
            Refused(sa, NotifyType.InvalidKePayload);
            return;
        }

        _method = wanted;
        sa.Handshake!.KeyExchange?.Dispose();
        sa.Handshake.KeyExchange = null;
        sa.Window.Restart(this);
    }

    /// <summary>Not authenticated: an attacker may have sent it. It counts when the request went out again after it, and was refused again (section 2.21.1).</summary>
    private void Refused(IkeSa sa, NotifyType error)
    {
        if (_refusal is null || !_askedAgain)
        {
            _refusal = error;
            return;
        }

        if (error == NotifyType.InvalidKePayload)
        {
            sa.Window.Take(0);
            Lifetimes.Fail(sa, "no-proposal", $"the peer wants key exchange method {ProposalKeywords.Word(Transform.Ke(_wanted))}, which connections.{sa.Connection.Name}.proposals does not offer", $"here: add it to connections.{sa.Connection.Name}.proposals; or at the peer: accept {ProposalKeywords.Word(Transform.Ke(_method))}");
            return;
        }

        Fail(sa, error);
    }

    private static void Fail(IkeSa sa, NotifyType error)
    {
        sa.Window.Take(0);
        var name = MessageDescription.NameOf(error);
        var failure = error switch
        {
            NotifyType.NoProposalChosen => new NegotiationFailure(
                "no-proposal",
                "the peer refused all our IKE proposals (NO_PROPOSAL_CHOSEN)",
                Print(sa.Connection.Proposals),
                [],
                [],
                $"here: change connections.{sa.Connection.Name}.proposals; or at the peer: change its IKE proposals, so that they have one in common, or add a connection for {sa.Local.Address} if it has none; its log shows which it is"),
            NotifyType.InvalidMajorVersion => new NegotiationFailure("version", "the peer does not speak IKEv2 (INVALID_MAJOR_VERSION)", [], [], [], "at the peer: set this connection to IKEv2"),
            _ => new NegotiationFailure("refused", $"the peer refused IKE_SA_INIT with {name}", [], [], [], "at the peer: its log shows why"),
        };
        Lifetimes.Fail(sa, failure);
    }
}
