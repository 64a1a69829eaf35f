using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Globalization;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V2.Exchanges;
using Warifu.Wire;

namespace Warifu.V2;

internal enum IkeState
{
    /// <summary>Not authenticated yet.</summary>
    Connecting,
    Established,
    /// <summary>Replaced by a rekeyed one; waits for its delete.</summary>
    Rekeyed,
    Deleting,
    Closed,
}

/// <summary>One IKE SA: its keys, its window, its children. Exchanges change it; the engine finds it.</summary>
internal sealed class IkeSa : ITimed, IAsker, IHalfOpen
{
    private PacketCipher? _sealer;
    private PacketCipher? _opener;
    private ulong _ivCounter;
    private (Endpoint Local, Endpoint Remote, int Length)? _request;
    private int _requestLimit = int.MaxValue;
    private (Endpoint Local, Endpoint Remote) _answeredOn;
    private readonly List<Reassembly> _parts = [];

    public IkeSa(IkeEngine engine, uint id, Connection connection, bool initiator, Endpoint local, Endpoint remote)
    {
        (Engine, Id, Connection, Initiator, Local, Remote) = (engine, id, connection, initiator, local, remote);
        Window = new Window(this);
        Report = new ReportBuilder(engine.Now, initiator);
        Created = engine.Now;
        Began = engine.Moment;
    }

    public IkeEngine Engine { get; }

    public uint Id { get; }

    public Connection Connection { get; set; }

    /// <summary>We sent the first message of this IKE SA (of its rekeying, for a rekeyed one).</summary>
    public bool Initiator { get; }

    /// <summary>Whether the first IKE SA of this line of rekeyings was begun here, and its initiator's SPI.</summary>
    public (bool IsOurs, IkeSpi Spi) Origin { get; set; }

    /// <summary>When the first IKE SA of this line of rekeyings was begun, and when it was authenticated (0 = not yet), in moments of the engine: its steps, which are in order also where time stands still.</summary>
    public long Began { get; set; }

    public long Proven { get; set; }

    public IkeState State
    {
        get;
        set
        {
            if (field == value) return;
            var was = field;
            field = value;
            Engine.StateChanged(this, was);
        }
    }

    = IkeState.Connecting;

    public IkeSpi SpiI { get; set; }

    public IkeSpi SpiR { get; set; }

    public IkeSpi OwnSpi => Initiator ? SpiI : SpiR;

    public Endpoint Local { get; set; }

    public Endpoint Remote { get; set; }

    public bool LocalBehindNat { get; set; }

    public bool RemoteBehindNat { get; set; }

    /// <summary>A NAT is pretended so that ESP travels in UDP: the connection asks for it, or the host has no other way.</summary>
    public bool ForceEncapsulation => Connection.ForceEncapsulation || Engine.Options.ForceEncapsulation;

    public Identity? LocalId { get; set; }

    public Identity? RemoteId { get; set; }

    /// <summary>What was chosen in IKE_SA_INIT or in the rekeying.</summary>
    public Proposal? Proposal { get; set; }

    public IkeKeys? Keys { get; private set; }

    public Window Window { get; }

    /// <summary>Grows with each change of addresses: an answer to an older update is no news (MOBIKE).</summary>
    public int Moves { get; set; }

    /// <summary>A request went out on several paths, and which one works is not known yet: the path before that.</summary>
    public (Endpoint Local, Endpoint Remote)? ProbedFrom { get; set; }

    /// <summary>Paths that were tried.</summary>
    public int Probes { get; set; }

    /// <summary>Of the whole line of rekeyings.</summary>
    public PeerFacts Peer { get; set; } = new();

    /// <summary>Handshake state; gone, and its secrets zeroed, once authenticated.</summary>
    public Handshake? Handshake { get; set; }

    public ReportBuilder Report { get; set; }

    public Instant Created { get; }

    public Instant Established { get; set; }

    /// <summary>When the peers authenticated each other; a rekeyed IKE SA has it from the first one.</summary>
    public Instant Authenticated { get; set; }

    /// <summary>Rekeyings of the IKE SA, of either side, since then.</summary>
    public int Rekeyings { get; set; }

    /// <summary>The configuration payload was used: only who began may authenticate anew (RFC 7296 section 2.8.3).</summary>
    public bool HasConfiguration { get; set; }

    /// <summary>The host was asked for the pair of identities, and must be told when this IKE SA ends.</summary>
    public bool HoldsIdentity { get; set; }

    /// <summary>Our IKE_AUTH request is out: the peer may hold this IKE SA for established.</summary>
    public bool AuthSent { get; set; }

    public Instant RekeyAt { get; set; } = Instant.Never;

    public Instant ExpireAt { get; set; } = Instant.Never;

    public Instant DpdAt { get; set; } = Instant.Never;

    /// <summary>When the peers authenticate each other anew, and when it ends if they do not.</summary>
    public Instant ReauthAt { get; set; } = Instant.Never;

    public Instant AuthenticUntil { get; set; } = Instant.Never;

    /// <summary>What the responder said in AUTH_LIFETIME before the IKE SA was established.</summary>
    public TimeSpan? LifetimeTold { get; set; }

    /// <summary>Two IKE SAs may be one too many: if the peer has not closed its own by then.</summary>
    public Instant SettleAt { get; set; } = Instant.Never;

    /// <summary>Since when a packet of ours has had no answer of any kind.</summary>
    public Instant UnansweredSince { get; set; } = Instant.Never;

    /// <summary>Earlier than this no hint that the peer has lost us is taken.</summary>
    public Instant HintAt { get; set; }

    /// <summary>Digest of the token by which the peer would prove that it has lost us.</summary>
    public byte[]? PeerToken { get; set; }

    /// <summary>Retry after TEMPORARY_FAILURE.</summary>
    public Instant RetryAt { get; set; } = Instant.Never;

    /// <summary>Exchanges that wait for <see cref="RetryAt"/>.</summary>
    public List<Exchange> Later { get; } = [];

    /// <summary>Last authentic message of the peer.</summary>
    public Instant LastHeard { get; set; }

    /// <summary>Counted as half open until it is authenticated (responder).</summary>
    public bool IsHalfOpen { get; set; }

    /// <summary>The peer returned a cookie (responder).</summary>
    public bool IsAddressVerified { get; set; }

    public int Tries { get; set; }

    /// <summary>Commands that wait for this IKE SA to be established.</summary>
    public List<CommandId> Waiting { get; } = [];

    public ChildTable Children { get; } = new();

    /// <summary>What a configuration payload gave to us or to the peer; null = the ends of the tunnel speak for themselves.</summary>
    public VirtualAddresses? Virtual { get; private set; }

    /// <summary>What "dynamic" stands for on our side.</summary>
    public ImmutableArray<IpAddress> LocalEnds => Virtual is { Local.IsEmpty: false } given ? given.Local : [Local.Address];

    /// <summary>What "dynamic" stands for on the peer's side.</summary>
    public ImmutableArray<IpAddress> RemoteEnds => Virtual is { Remote.IsEmpty: false } given ? given.Remote : [Remote.Address];

    /// <summary>Nonces and IKE SA of the peer's rekeying of this one while ours runs (RFC 7296 section 2.8.2).</summary>
    public (byte[] Ni, byte[] Nr, IkeSa Made)? PeerRekey { get; set; }

    /// <summary>The IKE SA that the peer rekeyed into this one while our rekeying runs: nobody knows yet which of the two results stays.</summary>
    public IkeSa? Rival { get; set; }

    /// <summary>The IKE SA that replaced this one.</summary>
    public IkeSa? Successor { get; set; }

    /// <summary>The replaced one, until it is gone.</summary>
    public IkeSa? Predecessor { get; set; }

    /// <summary>The IKE SA that this one replaces by a new authentication, until its children are here.</summary>
    public IkeSa? Reauthenticates { get; set; }

    /// <summary>The one that replaces this one so.</summary>
    public IkeSa? Renewal { get; set; }

    /// <summary>It was begun to replace another one by a new authentication.</summary>
    public bool IsRenewal { get; set; }

    /// <summary>Children that were asked for because the old one has them.</summary>
    public HashSet<string> Renewed { get; } = new(StringComparer.Ordinal);

    /// <summary>Children that were closed on the old one meanwhile.</summary>
    public HashSet<string> Dropped { get; } = new(StringComparer.Ordinal);

    /// <summary>What is made anew once this one is closed: break before make.</summary>
    public (List<ChildRequest> Children, CommandId Command)? Again { get; set; }

    /// <summary>A newer one of the same peer, which replaces it, and when; it stays until then, since the peer may know nothing of the newer one yet, or may take that one back.</summary>
    public IkeSa? ReplacedBy { get; set; }

    public Instant ReplacedAt { get; set; } = Instant.Never;

    /// <summary>Numbers of questions without an answer.</summary>
    public HashSet<ulong> Asks { get; } = [];

    bool IAsker.IsClosed => State == IkeState.Closed;

    Instant ITimed.DueAt { get; set; }

    int ITimed.HeapSlot { get; set; }

    /// <summary>A pair by the SPI that the peer receives on, and where it is: a request may have crossed our move to a rekeyed IKE SA.</summary>
    public (IkeSa Owner, ChildState Child)? ChildByOutbound(ChildSpi spi)
    {
        for (var sa = this; sa is not null; sa = sa.Successor)
        {
            if (sa.Children.ByOutbound(spi) is { } child) return (sa, child);
        }

        return null;
    }

    /// <summary>Takes part in what a configuration payload gave: the first one, or a rekeyed one after its predecessor.</summary>
    public void Share(VirtualAddresses? given)
    {
        if (given is null || Virtual == given) return;
        Virtual?.Leave(Engine);
        Virtual = given.Join();
    }

    /// <summary>Keys are there: SK payloads can be made and opened.</summary>
    public void SetKeys(IkeKeys keys)
    {
        Keys = keys;
        var proposal = Proposal!;
        var encr = proposal.Find(TransformType.Encr);
        var integ = proposal.Find(TransformType.Integ);
        var (ourEncr, ourInteg, peerEncr, peerInteg) = Initiator ? (keys.SkEi, keys.SkAi, keys.SkEr, keys.SkAr) : (keys.SkEr, keys.SkAr, keys.SkEi, keys.SkAi);
        _sealer = PacketCipher.Create((EncrId)encr.Id, encr.KeyBits, (IntegId)integ.Id, ourEncr.Span, ourInteg.Span, Engine.Entropy);
        _opener = PacketCipher.Create((EncrId)encr.Id, encr.KeyBits, (IntegId)integ.Id, peerEncr.Span, peerInteg.Span, Engine.Entropy);
        if (Engine.Options.KeyLog) Engine.Emit(new IkeAction.LogIkeKeys(SpiI, SpiR, keys.SkEi.Clone(), keys.SkEr.Clone(), keys.SkAi.Clone(), keys.SkAr.Clone(), encr, integ));
    }

    /// <summary>From here on SK_d, SK_pi and SK_pr are those with the PPK mixed in; the others stay (RFC 8784 section 3).</summary>
    public void AdoptPpk(MixedKeys mixed)
    {
        var old = Keys!;
        Keys = new IkeKeys { Prf = old.Prf, SkD = mixed.SkD, SkAi = old.SkAi, SkAr = old.SkAr, SkEi = old.SkEi, SkEr = old.SkEr, SkPi = mixed.SkPi, SkPr = mixed.SkPr };
        foreach (var replaced in new[] { old.SkD, old.SkPi, old.SkPr }) replaced.Dispose();
        Report.Add(Engine.Now, StepDirection.Here, "using a post-quantum pre-shared key");
    }

    /// <summary>A cipher that opens what we seal.</summary>
    public PacketCipher OwnCipher()
    {
        var proposal = Proposal!;
        var (encr, integ) = (proposal.Find(TransformType.Encr), proposal.Find(TransformType.Integ));
        var (encrKey, integKey) = Initiator ? (Keys!.SkEi, Keys.SkAi) : (Keys!.SkEr, Keys.SkAr);
        return PacketCipher.Create((EncrId)encr.Id, encr.KeyBits, (IntegId)integ.Id, encrKey.Span, integKey.Span, Engine.Entropy);
    }

    /// <summary>Makes the datagrams of a message: clear in IKE_SA_INIT, an SK payload otherwise, or fragments of it.</summary>
    public byte[][] Seal(ExchangeType type, bool isResponse, uint messageId, MessageBuilder builder, int packetLimit)
    {
        var header = IkeHeader.V2(SpiI, SpiR, type, Initiator, isResponse, messageId);
        Trace(StepDirection.Out, header, builder);
        if (type == ExchangeType.IkeSaInit)
        {
            var clear = builder.ToMessage(header);
            if (Handshake is { } handshake) handshake.OwnMessage = clear;
            return [clear];
        }

        var messages = Seal(header, builder.First, builder.Chain, packetLimit);
        if (messages.Length > 1) Report.Add(Engine.Now, StepDirection.Here, string.Create(CultureInfo.InvariantCulture, $"sent in {messages.Length} fragments of at most {Fragments.PacketLength(this, messages[0].Length)} octets each"));
        return messages;
    }

    public byte[][] Seal(in IkeHeader header, PayloadType first, ReadOnlySpan<byte> chain, int packetLimit)
    {
        var cipher = _sealer!;
        var messages = Fragments.Frame(this, header, first, chain, cipher, packetLimit);
        foreach (var message in messages) cipher.Seal(message, messages.Length == 1 ? SkFraming.HeadLength : SkFraming.FragmentHeadLength, _ivCounter++);
        return messages;
    }

    public void Transmit(byte[][] messages) => Transmit(messages, Local, Remote);

    /// <summary>Answers the request that is being worked on.</summary>
    public void Respond(ExchangeType type, MessageBuilder builder)
    {
        if (State == IkeState.Closed) return;
        // the peer found out what gets through (RFC 7383 section 2.5.1)
        var message = Seal(type, isResponse: true, Window.NextReceive, builder, Fragments.MayCut(this) ? Math.Min(Fragments.PacketLimit(this), _requestLimit) : int.MaxValue);
        Window.Answered(message);
        // the answer goes to where the request came from, also when that is another port than before (section 2.11)
        Answer(message, _request ?? (Local, Remote, int.MaxValue / 3));
        Count(type, isResponse: true, outgoing: true);
    }

    /// <summary>Answers with one error notify.</summary>
    public void Refuse(ExchangeType type, NotifyType error, ReadOnlySpan<byte> data = default) => Respond(type, new MessageBuilder().Notify(error, data));

    /// <summary>A message for this SA whose header fits it.</summary>
    public DropReason Receive(in IkeHeader header, Endpoint local, Endpoint remote, ReadOnlySpan<byte> message)
    {
        if (header.FromInitiator == Initiator) return DropReason.BadFlags;
        if (header.Exchange == ExchangeType.IkeSaInit) return header.IsResponse ? ReceiveInitResponse(header, local, remote, message) : DropReason.UnexpectedResponse;
        if (_opener is null) return DropReason.NotEstablished;
        var located = SkFraming.TryLocate(header, message, out var sk);
        if (located != ParseError.None && header.NextPayload is not (PayloadType.Sk or PayloadType.Skf)) return ReceiveUnprotected(header, message);
        if (header.IsResponse && !Window.Expects(header.Exchange, header.MessageId)) return DropReason.UnexpectedResponse;
        if (!header.IsResponse)
        {
            // the peer may hold the IKE SA for established before we do: it will ask again when we do too
            if (!IsReadyFor(header.Exchange)) return DropReason.NotEstablished;
            if (located == ParseError.None && sk.IsFragment && Window.HasAnswered(header.MessageId)) return AnswerAgain(sk, local, remote, message);
            var verdict = Window.Accept(header.MessageId, message, out var again);
            if (verdict != DropReason.None) return verdict;
            if (again is not null)
            {
                // a repetition may be a replay from anywhere: only behind a NAT may the peer have moved meanwhile
                if (RemoteBehindNat || remote.Address == Remote.Address) Answer(again, (local, remote, message.Length));
                else Transmit(again);
                return DropReason.None;
            }
        }

        if (located != ParseError.None) return DropReason.Malformed;
        if (sk.IsFragment && !Wants(header, sk)) return DropReason.UnwantedFragment;
        var copy = Engine.Borrow(message.Length);
        message.CopyTo(copy);
        if (!_opener.Open(copy, sk.Head)) return DropReason.BadIntegrity;
        var unpadded = SkFraming.TryUnpad(copy, sk.Head, _opener.IvLength, _opener.IcvLength, out var chain);
        // authentic, and all the same not what a fragment is
        if (sk.IsFragment) return unpadded ? Collect(header, sk, local, remote, message, chain) : DropReason.Malformed;
        ForgetPartsOf(header);
        if (!header.IsResponse) Begin(local, remote, message.Length, Window.DigestOf(message), int.MaxValue);
        else _answeredOn = (local, remote);
        LastHeard = Engine.Now;
        Follow(local, remote, header.IsResponse);
        if (sk.UnknownCritical != PayloadType.None) return Misbehaved(header, NotifyType.UnsupportedCriticalPayload, [(byte)sk.UnknownCritical]);
        return unpadded ? Process(header, sk.First, chain) : Misbehaved(header, NotifyType.InvalidSyntax, default);
    }

    /// <summary>A request is whole and authentic.</summary>
    private void Begin(Endpoint local, Endpoint remote, int length, UInt128 digest, int packetLimit)
    {
        (_request, _requestLimit) = ((local, remote, length), packetLimit);
        // it is who answered IKE_SA_INIT: what it asks for may take its time
        if (IsHalfOpen && ExpireAt < Engine.Now + Engine.Options.HalfOpenTimeout) ExpireAt = Engine.Now + Engine.Options.HalfOpenTimeout;
        Window.BeginAnswer(digest);
    }

    private DropReason Process(in IkeHeader header, PayloadType first, ReadOnlySpan<byte> chain)
    {
        var error = MessageView.TryParse(first, chain, out var view);
        if (error != ParseError.None) return Misbehaved(header, NotifyType.InvalidSyntax, default);
        if (PayloadRules.Check(header.Exchange, header.IsResponse, view) is { } violation)
        {
            ReadOnlySpan<byte> type = [(byte)violation.Payload];
            return Misbehaved(header, violation.Error, violation.Error == NotifyType.UnsupportedCriticalPayload ? type : default);
        }

        if (view.TryGetNotify(NotifyType.SetWindowSize, out var size)) Window.Widen(size.Data);
        // the peer begins something new
        if (header is { IsResponse: false, Exchange: ExchangeType.CreateChildSa } && Report.Ended) Report = new ReportBuilder(Engine.Now, initiator: false);
        Trace(StepDirection.In, header, view);
        Count(header.Exchange, header.IsResponse, outgoing: false);
        if (header.IsResponse)
        {
            var exchange = Window.Take(header.MessageId);
            if (State != IkeState.Connecting && header.Exchange != ExchangeType.IkeAuth && view.TryGetError(out var fatal) && fatal.Type is NotifyType.InvalidSyntax or NotifyType.AuthenticationFailed)
            {
                // the peer has closed its side already (section 2.21.3)
                var text = $"the peer refused our {MessageDescription.NameOf(header.Exchange)} request with {MessageDescription.NameOf(fatal.Type)}, which ends the IKE SA";
                exchange.OnAbandoned(this, "refused", text);
                Close("refused", text);
                return DropReason.None;
            }

            exchange.OnResponse(this, view);
            if (exchange is { Type: ExchangeType.Informational } and not UpdateAddressesExchange) Mobike.CheckMapping(this, view);
            Mobike.Answered(this, _answeredOn.Local, _answeredOn.Remote);
            Window.StartNext();
        }
        else
        {
            Requests.Dispatch(this, header.Exchange, view);
        }

        Reschedule();
        return DropReason.None;
    }

    /// <summary>Where the request came from that is being worked on.</summary>
    public (Endpoint Local, Endpoint Remote) RequestPath => _request is { } request ? (request.Local, request.Remote) : (Local, Remote);

    /// <summary>The earliest of all timers.</summary>
    public Instant NextTimeout()
    {
        var next = Window.RetransmitAt;
        next = Instant.Min(next, Instant.Min(RekeyAt, Instant.Min(ExpireAt, Instant.Min(DpdAt, RetryAt))));
        foreach (var parts in _parts) next = Instant.Min(next, parts.ExpireAt);
        next = Instant.Min(next, Instant.Min(ReauthAt, Instant.Min(SettleAt, ReplacedAt)));
        return Instant.Min(next, Children.NextTimeout);
    }

    /// <summary>A half-open SA gets no more time than this.</summary>
    public void HurryUp(TimeSpan timeout)
    {
        if (ExpireAt <= Created + timeout || Window.IsAnswering || Window.NextReceive > 1) return;
        ExpireAt = Created + timeout > Engine.Now ? Created + timeout : Engine.Now;
        Reschedule();
    }

    /// <summary>Tells the engine when this SA wants to be woken.</summary>
    public void Reschedule()
    {
        if (State != IkeState.Closed) Engine.Schedule(this, NextTimeout());
    }

    public void HandleTimeout(Instant now)
    {
        Forget(parts => parts.ExpireAt <= now);
        Lifetimes.HandleTimeout(this, now);
        Reschedule();
    }

    /// <summary>Ends this SA at once, without a word to the peer.</summary>
    public void Close(string reason, string text)
    {
        if (State == IkeState.Closed) return;
        var wasEstablished = Established != default;
        var replaced = State == IkeState.Rekeyed || reason == "redundant";
        var wanted = Lifetimes.Wanted(this, reason);
        State = IkeState.Closed;
        foreach (var child in Children.Values.ToArray()) RemoveChild(child, reason, text);
        // whoever asks for a child asks the peer as it is now
        if (reason is "peer-restarted" or "dead-peer") Again = WishesLeft(reason, text);
        // the peer has authenticated anew: what waits here goes on there
        var heir = Successor ?? (wasEstablished && reason is "peer-deleted" or "replaced" or "reauthenticated" ? Engine.HeirOf(this) : null);
        if (heir is not null) Window.MoveTo(heir, Later);
        else Abandon(reason, text);
        foreach (var exchange in Later) exchange.OnAbandoned(this, reason, text);
        Later.Clear();
        if (Handshake is { } handshake)
        {
            foreach (var request in handshake.Children) Engine.Complete(request.Command, new CommandResult(false, text));
            handshake.Children.Clear();
            handshake.Dispose();
        }

        Handshake = null;
        Forget(_ => true);
        Keys?.Dispose();
        _sealer?.Dispose();
        _opener?.Dispose();
        Virtual?.Leave(Engine);
        if (HoldsIdentity) Engine.Emit(new IkeAction.ReleaseIdentity(Id));
        if (Successor is { } after && after.Predecessor == this) after.Predecessor = null;
        (Predecessor, Rival, PeerRekey) = (null, null, null);
        if (Renewal is { } renewal) (renewal.Reauthenticates, Renewal) = (null, null);
        if (LocalBehindNat && wasEstablished && !replaced) Engine.Emit(new IkeAction.Keepalive(Id, Local, Remote, false));
        // what nobody authenticated and nobody here asked for is nobody's loss
        if (!replaced && (Initiator || wasEstablished)) Engine.Raise(new IkeSaDown(reason, text) { Connection = Connection.Name, IkeId = Id });
        Engine.Forget(this, reason, text);
        foreach (var (child, action) in wanted) Engine.Act(Connection, child, action);
        if (Again is not { } again) return;
        Again = null;
        Engine.MakeAgain(this, again.Children, again.Command);
    }

    /// <summary>Ends all exchanges, also the one whose answer is being checked.</summary>
    public void Abandon(string reason, string text)
    {
        Window.Abandon(reason, text);
        Handshake?.Auth?.OnAbandoned(this, reason, text);
    }

    /// <summary>Each wish is carried over once only: a peer that answers IKE_AUTH and no more must not keep us at it for ever.</summary>
    private (List<ChildRequest>, CommandId)? WishesLeft(string reason, string text)
    {
        var wishes = new List<ChildRequest>();
        foreach (var creation in Window.TakeRunningCreations().Concat(Window.TakeCreations(Later)).ToArray())
        {
            if (creation.Request.IsCarriedOver) creation.OnAbandoned(this, reason, text);
            else wishes.Add(creation.Request with { IsCarriedOver = true });
        }

        return wishes.Count > 0 ? (wishes, default) : null;
    }

    /// <summary>Takes a pair out of the data plane.</summary>
    public void RemoveChild(ChildState child, string reason, string text) => ChildInstall.Remove(this, child, reason, text);

    public void Trace(StepDirection direction, in IkeHeader header, MessageBuilder builder)
    {
        if (Report.Ended || MessageView.TryParse(builder.First, builder.Chain, out var view) != ParseError.None) return;
        Trace(direction, header, view);
    }

    public void Trace(StepDirection direction, in IkeHeader header, scoped in MessageView view)
    {
        if (!Report.Ended) Report.Add(Engine.Now, direction, MessageDescription.Describe(header, view), Details.Of(view));
    }

    private DropReason ReceiveInitResponse(in IkeHeader header, Endpoint local, Endpoint remote, ReadOnlySpan<byte> message)
    {
        if (!Window.Expects(ExchangeType.IkeSaInit, header.MessageId) || Window.Active is not InitExchange exchange) return DropReason.UnexpectedResponse;
        // the answer must come from where the request went, and to where it came from: IKE_SA_INIT is not authenticated yet, and after a move the answer to what was sent before is to another message
        if (remote.Address != Remote.Address || local.Address != Local.Address) return DropReason.UnexpectedResponse;
        if (MessageView.TryParse(header.NextPayload, message[IkeHeader.Length..], out var view) != ParseError.None) return DropReason.Malformed;
        if (PayloadRules.Check(ExchangeType.IkeSaInit, true, view) is not null) return DropReason.Malformed;
        Trace(StepDirection.In, header, view);
        Count(ExchangeType.IkeSaInit, true, outgoing: false);
        exchange.OnInitResponse(this, header, message, view, new Endpoint(local.Address, Local.Port));
        Window.StartNext();
        Reschedule();
        return DropReason.None;
    }

    /// <summary>Anybody may have sent it. A token of the peer's proves that it has lost this IKE SA (RFC 6290 section 4.5), from wherever it comes; anything else is a hint at most (RFC 7296 section 2.21.4).</summary>
    private DropReason ReceiveUnprotected(in IkeHeader header, ReadOnlySpan<byte> message)
    {
        if (!header.IsResponse || MessageView.TryParse(header.NextPayload, message[IkeHeader.Length..], out var view) != ParseError.None) return DropReason.Malformed;
        if (CrashTokens.Fits(this, view))
        {
            Close("peer-restarted", "the peer has lost this IKE SA, as its token proves (quick crash detection): it was started anew");
            return DropReason.None;
        }

        if (view.HasNotify(NotifyType.InvalidIkeSpi)) Liveness.Hint(this);
        return DropReason.Malformed;
    }

    /// <summary>Behind a NAT the mapping may change: the address of authentic messages is followed (RFC 7296 section 2.23).</summary>
    private void Follow(Endpoint local, Endpoint remote, bool isResponse)
    {
        if (remote == Remote && local == Local) return;
        var floats = State == IkeState.Connecting && !Initiator;
        // without a NAT the port may change, from 500 to 4500, the address may not
        if (!MayFollow && !(floats && remote.Address == Remote.Address)) return;
        if (remote == Remote && local.Address == Local.Address && !floats) return;
        // with MOBIKE the peer says so itself (RFC 4555 section 3.8), unless it is the responder, which cannot when its NAT gives it another mapping
        if (Mobike.IsActive(this) && !(Origin.IsOurs && RemoteBehindNat)) return;
        (Local, Remote) = (local, remote);
        foreach (var child in Children.Values) Engine.Emit(new IkeAction.MoveChild(child.Id, Local, Remote, child.Encapsulated, LocalBehindNat));
        if (State != IkeState.Established) return;
        Engine.Raise(new PathChanged(Local, Remote) { Connection = Connection.Name, IkeId = Id });
        // what this answers has reached the peer
        if (!isResponse) Window.Repeat();
    }

    /// <summary>
    /// Who is behind a NAT himself does not follow: a single changed packet would cut him off (section 2.23). The exception is the responder, which such a peer cannot but find by a fixed mapping: when the mapping
    /// of the peer's own NAT changes, nobody else can mend it.
    /// </summary>
    private bool MayFollow => RemoteBehindNat && (!LocalBehindNat || !Origin.IsOurs);

    /// <summary>An authentic and new ESP packet came from another address.</summary>
    public void PeerMoved(Endpoint remote)
    {
        if (!MayFollow || remote == Remote) return;
        Remote = remote;
        foreach (var child in Children.Values) Engine.Emit(new IkeAction.MoveChild(child.Id, Local, Remote, child.Encapsulated, LocalBehindNat));
        Engine.Raise(new PathChanged(Local, Remote) { Connection = Connection.Name, IkeId = Id });
        Window.Repeat();
    }

    /// <summary>Counts a message for the connection and for all.</summary>
    internal void Count(ExchangeType exchange, bool isResponse, bool outgoing)
    {
        Engine.Counters.Count(exchange, isResponse, outgoing);
        Engine.CountersOf(Connection.Name).Count(exchange, isResponse, outgoing);
    }

    private void Transmit(byte[][] messages, Endpoint local, Endpoint remote)
    {
        foreach (var message in messages) Engine.Emit(new IkeAction.Send(local, remote, message, Engine.NeedsMarker(local), Connection.Dscp));
    }

    /// <summary>A fragment of a request that was answered: the first one, and no other, brings the answer again (RFC 7383 section 2.6.1). It may be cut otherwise than before, so that it must be authentic instead of the same.</summary>
    private DropReason AnswerAgain(in SkView sk, Endpoint local, Endpoint remote, ReadOnlySpan<byte> message)
    {
        if (sk.Fragment != 1 || !Peer.Fragmentation) return DropReason.OutOfWindow;
        var copy = Engine.Borrow(message.Length);
        message.CopyTo(copy);
        if (!_opener!.Open(copy, sk.Head)) return DropReason.BadIntegrity;
        var again = Window.AnswerAgain(sk.Total > 1 ? Fragments.PacketLength(this, message.Length) : int.MaxValue);
        if (RemoteBehindNat || remote.Address == Remote.Address) Answer(again, (local, remote, message.Length));
        else Transmit(again);
        return DropReason.None;
    }

    private bool Wants(in IkeHeader header, in SkView sk)
    {
        if (!Peer.Fragmentation) return false;
        return PartsOf(header) is not { } parts || parts.Wants(sk);
    }

    /// <summary>Fragments of a message that is not whole yet: of the one request that we take, and of answers to as many as are under way.</summary>
    private Reassembly? PartsOf(in IkeHeader header)
    {
        foreach (var parts in _parts)
        {
            if (parts.IsResponse == header.IsResponse && parts.MessageId == header.MessageId) return parts;
        }

        return null;
    }

    /// <summary>Keeps an authentic fragment; the last one makes the message whole.</summary>
    private DropReason Collect(in IkeHeader header, in SkView sk, Endpoint local, Endpoint remote, ReadOnlySpan<byte> message, ReadOnlySpan<byte> chunk)
    {
        var parts = PartsOf(header);
        if (parts is null)
        {
            // those of an exchange that is over are of no use
            Forget(old => old.IsResponse ? !Window.Expects(old.MessageId) : old.MessageId != Window.NextReceive);
            _parts.Add(parts = new Reassembly(header.MessageId, header.IsResponse, Engine.Now + ProtocolTimes.Reassembly));
        }

        LastHeard = Engine.Now;
        if (!parts.TryAdd(sk, message, chunk, State == IkeState.Connecting ? ProtocolTimes.FragmentedOctetsBefore : WireLimits.MessageLength)) return DropReason.UnwantedFragment;
        if (!parts.IsComplete)
        {
            Reschedule();
            return DropReason.None;
        }

        var whole = parts;
        _parts.Remove(parts);
        if (!header.IsResponse) Begin(local, remote, whole.Received, whole.Digest, whole.Count == 1 ? int.MaxValue : Math.Max(Fragments.PacketLength(this, whole.Largest), Fragments.SmallestPacket));
        else _answeredOn = (local, remote);
        Follow(local, remote, header.IsResponse);
        Report.Add(Engine.Now, StepDirection.Here, string.Create(CultureInfo.InvariantCulture, $"received in {whole.Count} fragments"));
        var chain = whole.Take();
        var drop = whole.UnknownCritical != PayloadType.None ? Misbehaved(header, NotifyType.UnsupportedCriticalPayload, [(byte)whole.UnknownCritical]) : Process(header, whole.First, chain);
        CryptographicOperations.ZeroMemory(chain);
        return drop;
    }

    private void ForgetPartsOf(in IkeHeader header)
    {
        if (PartsOf(header) is not { } parts) return;
        parts.Clear();
        _parts.Remove(parts);
    }

    private void Forget(Predicate<Reassembly> which)
    {
        for (var i = _parts.Count - 1; i >= 0; i--)
        {
            if (!which(_parts[i])) continue;
            _parts[i].Clear();
            _parts.RemoveAt(i);
        }
    }

    /// <summary>Before the peer is authenticated only IKE_AUTH goes, and the end of the attempt.</summary>
    private bool IsReadyFor(ExchangeType exchange) => State switch
    {
        IkeState.Connecting => !Initiator && exchange is ExchangeType.IkeAuth or ExchangeType.Informational,
        _ => Established != default,
    };

    /// <summary>An answer goes to where the request came from; to another address than the peer's, which nobody verified, never more than one message, and never one that is much longer than what came.</summary>
    private void Answer(byte[][] messages, (Endpoint Local, Endpoint Remote, int Length) request)
    {
        if (request.Remote.Address == Remote.Address || (messages.Length == 1 && messages[0].Length * 2 <= request.Length * 3)) Transmit(messages, request.Local, request.Remote);
        else Transmit(messages);
    }

    private DropReason Misbehaved(in IkeHeader header, NotifyType error, ReadOnlySpan<byte> data)
    {
        Engine.Counters.Invalid++;
        Engine.CountersOf(Connection.Name).Invalid++;
        if (header.IsResponse)
        {
            // an answer that makes no sense ends the SA (section 2.21); the peer is told by a delete
            var text = $"the peer's {MessageDescription.NameOf(header.Exchange)} response breaks the rules of the protocol";
            Window.Take(header.MessageId).OnAbandoned(this, "invalid-syntax", text);
            if (Established == default) Lifetimes.Fail(this, "invalid-syntax", text);
            else Lifetimes.DeleteButWant(this, "invalid-syntax", text);
            Window.StartNext();
            Reschedule();
            return DropReason.Malformed;
        }

        Refuse(header.Exchange, error, data);
        if (error == NotifyType.InvalidSyntax) Lifetimes.Fail(this, "invalid-syntax", $"the peer's {MessageDescription.NameOf(header.Exchange)} request breaks the rules of the protocol");
        return DropReason.Malformed;
    }
}
