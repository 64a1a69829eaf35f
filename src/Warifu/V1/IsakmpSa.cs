using System;
using System.Collections.Generic;
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

internal enum IsakmpState
{
    /// <summary>Phase 1 is under way.</summary>
    Connecting,
    Established,
    /// <summary>A newer phase 1 has its children; it stays until the peer deletes it or its time is over.</summary>
    Replaced,
    /// <summary>Phase 1 is over, and its keys are gone; its children live on until a newer phase 1 takes them, or their time is over.</summary>
    Passive,
    Closed,
}

/// <summary>
/// One ISAKMP SA: phase 1 with one peer, what runs under it, and the pairs of IPsec SAs that were made. In IKEv1 these outlive it (RFC 2408 section 2.1): a newer phase 1 with the same peer takes them over.
/// </summary>
internal sealed partial class IsakmpSa : ITimed, IAsker, IHalfOpen
{
    private readonly Flight _phaseOne = new();
    private readonly ExchangeTable _exchanges = new();
    private readonly HashSet<uint> _messageIds = [];
    private readonly Pieces _pieces = new();
    private ChainedCipher? _cipher;
    private byte[] _iv = [];
    private ushort _fragmentId;

    public IsakmpSa(IkeEngine engine, uint id, Connection connection, bool initiator, Endpoint local, Endpoint remote)
    {
        (Engine, Id, Connection, Initiator, Local, Remote) = (engine, id, connection, initiator, local, remote);
        Report = new ReportBuilder(engine.Now, initiator);
        Created = engine.Now;
        Began = engine.Moment;
    }

    public IkeEngine Engine { get; }

    public uint Id { get; }

    public Connection Connection { get; set; }

    /// <summary>We sent the first message of phase 1.</summary>
    public bool Initiator { get; }

    public IsakmpState State
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

    = IsakmpState.Connecting;

    public IkeSpi CookieI { get; set; }

    public IkeSpi CookieR { get; set; }

    public IkeSpi OwnCookie => Initiator ? CookieI : CookieR;

    public Endpoint Local { get; set; }

    public Endpoint Remote { get; set; }

    public bool LocalBehindNat { get; set; }

    public bool RemoteBehindNat { get; set; }

    public bool IsBehindNat => LocalBehindNat || RemoteBehindNat;

    public bool ForceEncapsulation => Connection.ForceEncapsulation || Engine.Options.ForceEncapsulation;

    public Identity? LocalId { get; set; }

    public Identity? RemoteId { get; set; }

    public IsakmpSuite? Suite { get; set; }

    public IsakmpKeys? Keys { get; private set; }

    /// <summary>Main or aggressive mode while it is under way; gone, and its secrets zeroed, when both sides are authenticated.</summary>
    public PhaseOne? Mode { get; set; }

    /// <summary>XAuth and Mode Config while they are under way, after phase 1.</summary>
    public RemoteAccess? Access { get; set; }

    /// <summary>The user that proved itself by XAuth; many of them may share the identity of phase 1.</summary>
    public Identity? User { get; set; }

    /// <summary>Who is there: the user, or whoever phase 1 has proved.</summary>
    public Identity? PeerId => User ?? RemoteId;

    /// <summary>Under whom it is found among the others of its connection. Of the connection.</summary>
    public (Identity Peer, Identity? User)? ListedAs { get; set; }

    /// <summary>How often our password was asked for without saying whether it is right.</summary>
    public int XauthRequests { get; set; }

    /// <summary>What Mode Config gave.</summary>
    public VirtualAddresses? Virtual { get; private set; }

    /// <summary>Networks that a gateway of Cisco's kind means by everything.</summary>
    public ImmutableArray<TrafficSelector> SplitNetworks { get; set; } = [];

    /// <summary>What "dynamic" is on our side: the virtual addresses, or the own one.</summary>
    public ImmutableArray<IpAddress> LocalEnds => Virtual is { Local.IsEmpty: false } given ? given.Local : [Local.Address];

    public ImmutableArray<IpAddress> RemoteEnds => Virtual is { Remote.IsEmpty: false } given ? given.Remote : [Remote.Address];

    public PeerTraits Peer { get; } = new();

    public ReportBuilder Report { get; set; }

    public Instant Created { get; }

    public Instant Established { get; set; }

    /// <summary>When it began and when it was authenticated (0 = not yet), in moments of the engine: its steps, which are in order also where time stands still.</summary>
    public long Began { get; }

    public long Proven { get; set; }

    public Instant RekeyAt { get; set; } = Instant.Never;

    public Instant ExpireAt { get; set; } = Instant.Never;

    /// <summary>When its lifetime is over, as negotiated.</summary>
    public Instant EndsAt { get; set; } = Instant.Never;

    public Instant DpdAt { get; set; } = Instant.Never;

    public Instant UnansweredSince { get; set; } = Instant.Never;

    /// <summary>Dead peer detection that runs (RFC 3706).</summary>
    public DeadPeerProbe Probe { get; } = new();

    /// <summary>Last authentic message of the peer.</summary>
    public Instant LastHeard { get; set; }

    /// <summary>Counted as half open until it is authenticated (responder).</summary>
    public bool IsHalfOpen { get; set; }

    /// <summary>Our cookie came back from its address (responder).</summary>
    public bool IsVerified { get; set; }

    public int Tries { get; set; }

    /// <summary>Commands that wait for phase 1.</summary>
    public List<CommandId> Waiting { get; } = [];

    /// <summary>Children that wait for phase 1.</summary>
    public Queue<ChildRequest> Wanted { get; } = new();

    public ChildTable Children { get; } = new();

    /// <summary>The newer phase 1 that has its children.</summary>
    public IsakmpSa? Successor
    {
        get;
        set
        {
            field?.Replaced.Remove(this);
            field = value;
            value?.Replaced.Add(this);
        }
    }

    /// <summary>The older ones whose children it has, as long as they are there.</summary>
    public List<IsakmpSa> Replaced { get; } = [];

    /// <summary>The older one that this one was begun to replace.</summary>
    public IsakmpSa? Renews { get; set; }

    public bool HasRenewal { get; set; }

    /// <summary>The peer's identity was claimed for it.</summary>
    public bool HoldsIdentity { get; set; }

    public HashSet<ulong> Asks { get; } = [];

    public bool IsClosed => State == IsakmpState.Closed;

    public IReadOnlyCollection<Exchange> Exchanges => _exchanges.All;

    /// <summary>Those that are under way, the oldest first.</summary>
    public IReadOnlyCollection<Exchange> OpenExchanges => _exchanges.Open;

    Instant ITimed.DueAt { get; set; }

    int ITimed.HeapSlot { get; set; }

    /// <summary>Keys are there: messages can be encrypted.</summary>
    public void SetKeys(IsakmpKeys keys, byte[] keI, byte[] keR)
    {
        Keys = keys;
        _cipher = ChainedCipher.Create(Suite!.Encr, keys.Encr);
        _iv = KeyScheduleV1.FirstIv(keys.Prf, keI, keR, _cipher.BlockLength);
        if (Engine.Options.KeyLog) Engine.Emit(new IkeAction.LogIsakmpKey(CookieI, keys.Encr.Clone()));
    }

    /// <summary>Sends a message of phase 1.</summary>
    /// <param name="builder">Its payloads.</param>
    /// <param name="kind">Which one it is.</param>
    /// <param name="encrypted">Messages 5 and 6 of main mode, 3 of aggressive mode.</param>
    /// <param name="timed">An answer must come.</param>
    public void SendPhaseOne(ChainBuilder builder, MessageKind kind, bool encrypted, bool timed)
    {
        Trace(StepDirection.Out, kind, builder.First, builder.Chain);
        var header = Header(Mode!.Exchange, 0);
        var message = encrypted ? Encrypt(header, builder, ref _iv) : builder.ToMessage(header);
        _phaseOne.Messages = Cut(message);
        _phaseOne.Launch(Engine, timed);
        Transmit(_phaseOne.Messages);
        Reschedule();
    }

    /// <summary>Sends a message of another exchange, with its HASH filled in already.</summary>
    public void Send(Exchange exchange, ChainBuilder builder, MessageKind kind, bool timed)
    {
        Trace(StepDirection.Out, kind, builder.First, builder.Chain);
        var iv = exchange.Iv;
        var message = Encrypt(Header(exchange.Type, exchange.MessageId), builder, ref iv);
        exchange.Iv = iv;
        exchange.Flight.Messages = Cut(message);
        exchange.Flight.Launch(Engine, timed);
        Transmit(exchange.Flight.Messages);
        Reschedule();
    }

    /// <summary>Octets that were encrypted and decrypted with the keys of phase 1.</summary>
    public ulong Octets { get; private set; }

    /// <summary>An informational exchange (RFC 2409 section 5.7): one message under HASH(1), and no answer.</summary>
    public void Inform(Action<ChainBuilder> write)
    {
        if (Keys is null) return;
        var id = NewMessageId();
        var builder = new ChainBuilder().HashPlace(HashLength);
        write(builder);
        SetHash(builder, id, default);
        Trace(StepDirection.Out, MessageKind.Informational, builder.First, builder.Chain);
        var iv = ExchangeIv(id);
        Transmit(Cut(Encrypt(Header(ExchangeType.InformationalV1, id), builder, ref iv)));
    }

    public int HashLength => Algorithms.Prf[Keys!.Prf].OutputLength;

    public void SetHash(ChainBuilder builder, uint messageId, ReadOnlySpan<byte> nonce)
    {
        Span<byte> hash = stackalloc byte[64];
        hash = hash[..HashLength];
        KeyScheduleV1.Hash(Keys!, messageId, nonce, builder.AfterFirst, hash);
        builder.SetHash(hash);
    }

    /// <summary>HASH is the first payload and right; what it covers depends on the exchange.</summary>
    public bool CheckHash(uint messageId, ReadOnlySpan<byte> nonce, scoped in ChainView view)
    {
        if (view.Count == 0 || view[0].Type != PayloadV1.Hash) return false;
        Span<byte> hash = stackalloc byte[64];
        hash = hash[..HashLength];
        KeyScheduleV1.Hash(Keys!, messageId, nonce, view.After(0), hash);
        return CryptographicOperations.FixedTimeEquals(hash, view.Body(0));
    }

    /// <summary>Never zero, never one that was there under these keys: its IV would be the same (RFC 2408 section 3.1).</summary>
    public uint NewMessageId()
    {
        while (true)
        {
            var id = Engine.Entropy.NextUInt32();
            if (id != 0 && _messageIds.Add(id)) return id;
        }
    }

    public byte[] ExchangeIv(uint messageId) => KeyScheduleV1.ExchangeIv(Keys!.Prf, _iv, messageId);

    public void Add(Exchange exchange) => _exchanges.Add(exchange);

    /// <summary>One of its times is another.</summary>
    public void Reset(Exchange exchange) => _exchanges.Reset(exchange);

    public void DoneChanged(Exchange exchange) => _exchanges.DoneChanged(exchange);

    /// <summary>Both cookies: how notifies and deletes name an ISAKMP SA.</summary>
    public byte[] Cookies()
    {
        var cookies = new byte[16];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(cookies, CookieI.Value);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(cookies.AsSpan(8), CookieR.Value);
        return cookies;
    }

    /// <summary>The newest phase 1 of this line: where its children are.</summary>
    public IsakmpSa Holder
    {
        get
        {
            var holder = this;
            while (holder.Successor is { } next) holder = next;
            return holder;
        }
    }

    /// <summary>Addresses of Mode Config: they go back when the SA is closed.</summary>
    public void Share(VirtualAddresses given)
    {
        Virtual?.Leave(Engine);
        Virtual = given.Join();
    }

    /// <summary>A half-open SA gets no more time than this.</summary>
    public void HurryUp(TimeSpan timeout)
    {
        // a user who has proved nothing yet is hurried as in phase 1
        if (ExpireAt <= Created + timeout || Mode is { Step: > 1 } || Access is not null and not { Stage: AccessStage.Xauth } || (Access is not null && !Suite!.IsHybrid)) return;
        ExpireAt = Created + timeout > Engine.Now ? Created + timeout : Engine.Now;
        Reschedule();
    }

    public Instant NextTimeout()
    {
        var next = Instant.Min(_phaseOne.RetransmitAt, Instant.Min(RekeyAt, Instant.Min(ExpireAt, Instant.Min(DpdAt, Probe.NextAt))));
        return Instant.Min(Instant.Min(next, _exchanges.NextTimeout), Instant.Min(_pieces.ExpireAt, Children.NextTimeout));
    }

    public void Reschedule()
    {
        if (State != IsakmpState.Closed) Engine.Schedule(this, NextTimeout());
    }

    public void HandleTimeout(Instant now)
    {
        if (_pieces.ExpireAt <= now) _pieces.Clear();
        if (_phaseOne.RetransmitAt <= now) RetransmitPhaseOne();
        while (State != IsakmpState.Closed && _exchanges.TryTakeDue(now, out var exchange))
        {
            if (exchange.DueAt <= now) exchange.OnDue();
            if (exchange.ForgetAt <= now) _exchanges.Remove(exchange);
            else if (exchange.Flight.RetransmitAt <= now) Retransmit(exchange);
            _exchanges.Reset(exchange);
        }

        if (State != IsakmpState.Closed) PhaseLifetimes.HandleTimeout(this, now);
        Reschedule();
    }

    /// <summary>Ends it at once, without a word to the peer; its children end too.</summary>
    public void Close(string reason, string text)
    {
        if (State == IsakmpState.Closed) return;
        var wasEstablished = Established != default;
        var quiet = Successor is not null;
        var wanted = PhaseLifetimes.WantedAfter(this, reason);
        if (!quiet) IkeEngine.EndReplacedBy(this);
        State = IsakmpState.Closed;
        foreach (var child in Children.Values.ToArray()) RemoveChild(child, reason, text);
        EndExchanges(reason, text);
        PhaseLifetimes.TellWaiting(this, new CommandResult(false, text));
        Wipe();
        if (HoldsIdentity) Engine.Emit(new IkeAction.ReleaseIdentity(Id));
        Virtual?.Leave(Engine);
        if (LocalBehindNat && wasEstablished && !quiet) Engine.Emit(new IkeAction.Keepalive(Id, Local, Remote, false));
        if (!quiet && (Initiator || wasEstablished)) Engine.Raise(new IkeSaDown(reason, text) { Connection = Connection.Name, IkeId = Id });
        Engine.Forget(this, reason);
        EndRenewal();
        foreach (var (child, action) in wanted) Engine.Act(Connection, child, action);
    }

    /// <summary>It is up, or will never be: the old one is free for another renewal, and need not be kept in memory.</summary>
    public void EndRenewal()
    {
        if (Renews is { } old) old.HasRenewal = false;
        Renews = null;
    }

    /// <summary>Phase 1 is over; its children live on.</summary>
    public void Retire(string reason, string text)
    {
        if (Children.Count == 0)
        {
            Close(reason, text);
            return;
        }

        State = IsakmpState.Passive;
        EndExchanges(reason, text);
        // deletes of its children may come behind its own
        (RekeyAt, ExpireAt, DpdAt) = (Instant.Never, Engine.Now + ProtocolTimes.RetireSoon, Connection.DpdDelay > TimeSpan.Zero ? Engine.Now + Connection.DpdDelay : Instant.Never);
        Probe.Stop();
        Engine.Raise(new Notice(NoticeLevel.Info, $"phase 1 with {Identities.Print(RemoteId)} is over ({text}); {Children.Count} children live on") { Connection = Connection.Name, IkeId = Id });
        Reschedule();
    }

    /// <summary>Takes a pair out of the data plane.</summary>
    public void RemoveChild(ChildState child, string reason, string text)
    {
        if (!Children.Remove(child)) return;
        Engine.ForgetChild(child);
        if (!child.IsAnnounced) IkeEngine.StopMaking(this, child);
        // of several pairs for the same traffic the newest that is left carries it on
        var other = State == IsakmpState.Closed ? null : QuickInstall.PairsFor(this, child).MaxBy(left => left.Id);
        if (other is not null)
        {
            if (child is { IsLive: true, IsAnnounced: true } && !other.IsLive) QuickInstall.Revive(this, other);
            Engine.Emit(new IkeAction.UseOutbound(other.Id));
        }

        Engine.Emit(new IkeAction.RemoveChild(child.Id, StillInFlight: other is not null || (child.Phase == ChildPhase.Rekeyed && State != IsakmpState.Closed)));
        if (child.Phase != ChildPhase.Rekeyed && other is null && child.IsAnnounced) Engine.Raise(new ChildDown(child.Config.Name, child.Id, reason, text) { Connection = Connection.Name, IkeId = Id });
        if (State == IsakmpState.Passive && Children.Count == 0) Close("expired", "phase 1 and its last child are over");
    }

    public void Trace(StepDirection direction, MessageKind kind, PayloadV1 first, ReadOnlySpan<byte> chain)
    {
        if (!Report.Ended && ChainView.TryParse(first, chain, decrypted: false, out var view) == ParseError.None) Trace(direction, kind, view);
        else Count(direction, kind);
    }

    public void Trace(StepDirection direction, MessageKind kind, scoped in ChainView view)
    {
        Count(direction, kind);
        if (!Report.Ended) Report.Add(Engine.Now, direction, MessageNames.Describe(kind, view), MessageNames.Details(view));
    }

    private void Count(StepDirection direction, MessageKind kind)
    {
        var row = kind switch { <= MessageKind.Main6 => 0, <= MessageKind.Aggressive3 => 2, <= MessageKind.Quick3 => 4, MessageKind.Transaction => 6, _ => 8 };
        var slot = row + (direction == StepDirection.Out ? 1 : 0);
        Engine.Counters.MessagesV1[slot]++;
        Engine.CountersOf(Connection.Name).MessagesV1[slot]++;
    }

    private IkeHeader Header(ExchangeType type, uint messageId) => new() { InitiatorSpi = CookieI, ResponderSpi = CookieR, MajorVersion = 1, Exchange = type, MessageId = messageId };

    private byte[] Encrypt(IkeHeader header, ChainBuilder builder, ref byte[] iv)
    {
        const byte EncryptionFlag = 0x01;
        var block = _cipher!.BlockLength;
        var chain = builder.Chain;
        var message = new byte[IkeHeader.Length + ((chain.Length + block - 1) / block * block)];
        (header with { NextPayload = (PayloadType)builder.First, Flags = EncryptionFlag, TotalLength = (uint)message.Length }).Write(message);
        chain.CopyTo(message.AsSpan(IkeHeader.Length));
        iv = _cipher.Encrypt(iv, message.AsSpan(IkeHeader.Length));
        CountOctets(message.Length);
        return message;
    }

    /// <summary>A lifetime in kilobytes (RFC 2407 section 4.5.4): phase 1 is done anew before it is used up, and ends when it is.</summary>
    private void CountOctets(int count)
    {
        Octets += (ulong)count;
        if (State != IsakmpState.Established || Suite is not { Kilobytes: > 0 } suite || !PhaseLifetimes.IsWorn(Octets, suite.Kilobytes, out var isOver)) return;
        if (isOver) ExpireAt = Instant.Min(ExpireAt, Engine.Now);
        else if (!HasRenewal && RekeyAt != Instant.Never) RekeyAt = Instant.Min(RekeyAt, PhaseLifetimes.SoonestRenewal(this));
    }

    private byte[][] Cut(byte[] message) => Pieces.Cut(message, Connection, Peer, Remote, ++_fragmentId);

    private void Transmit(byte[][] messages)
    {
        foreach (var message in messages) Engine.Emit(new IkeAction.Send(Local, Remote, message, Engine.NeedsMarker(Local), Connection.Dscp));
    }

    private void RetransmitPhaseOne()
    {
        // a refusal that nobody can authenticate ends nothing before the message was sent several times
        var refused = State == IsakmpState.Connecting && Mode is { Heard: not null } or { Suspect: not null } && _phaseOne.Sent >= 3;
        if (State == IsakmpState.Established)
        {
            // message 3 of aggressive mode has no answer: a few times until the peer is heard
            if (LastHeard > Established || !_phaseOne.TryAgain(Engine, 3)) _phaseOne.Land();
            else Transmit(_phaseOne.Messages);
            return;
        }

        if (!refused && _phaseOne.TryAgain(Engine, Engine.Options.RetransmitTries))
        {
            Transmit(_phaseOne.Messages);
            return;
        }

        _phaseOne.Land();
        Mode?.NoAnswer(_phaseOne.Sent);
        if (State == IsakmpState.Connecting && Mode is { Step: 1 }) Engine.TryAgain(this);
    }

    /// <summary>The first message waits for its next round: no answer has come meanwhile.</summary>
    public bool IsBetweenRounds => State == IsakmpState.Connecting && Mode is { Step: 1 } && _phaseOne.RetransmitAt == Instant.Never;

    /// <summary>The first message goes to <see cref="Remote"/> anew.</summary>
    public void BeginRound()
    {
        _phaseOne.Launch(Engine, timed: true);
        Transmit(_phaseOne.Messages);
        Reschedule();
    }

    private void Retransmit(Exchange exchange)
    {
        if (exchange.Flight.TryAgain(Engine, Engine.Options.RetransmitTries))
        {
            RepeatLast();
            Transmit(exchange.Flight.Messages);
            return;
        }

        exchange.Flight.Land();
        Finish(exchange);
        exchange.NoAnswer(exchange.Flight.Sent);
    }

    /// <summary>Message 3 of aggressive mode may have been lost: it goes before what follows until the peer is heard.</summary>
    private void RepeatLast()
    {
        if (Access is not null && _phaseOne.RetransmitAt != Instant.Never) Transmit(_phaseOne.Messages);
        else if (Initiator && State == IsakmpState.Established && _phaseOne.Messages.Length > 0 && LastHeard <= Established && Connection.Aggressive) Transmit(_phaseOne.Messages);
    }

    /// <summary>The exchange is over; for a while its last message is sent again when it is asked for.</summary>
    public void Finish(Exchange exchange)
    {
        exchange.IsDone = true;
        exchange.ForgetAt = Engine.Now + ProtocolTimes.ExchangeMemory;
    }

    private void EndExchanges(string reason, string text)
    {
        foreach (var exchange in _exchanges.All.ToArray())
        {
            if (exchange.DueAt != Instant.Never) exchange.OnDue();
            if (!exchange.IsDone) exchange.Abandon(reason, text);
        }

        _exchanges.Clear();
    }

    /// <summary>Keys and half-made secrets go.</summary>
    public void Wipe()
    {
        Mode?.Dispose();
        Mode = null;
        Access = null;
        Keys?.Dispose();
        Keys = null;
        _cipher?.Dispose();
        _cipher = null;
        _pieces.Clear();
        _phaseOne.Land();
    }
}
