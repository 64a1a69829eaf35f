using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V2;
using Warifu.V2.Exchanges;
using Warifu.Wire;

namespace Warifu.Engine;

/// <summary>
/// The door of the protocol. Call any Handle (datagram, command, answer, data-plane event, timeout) with the time; drain <see cref="TryDequeue"/>; arm one timer for <see cref="NextTimeout"/>.
/// Calls are synchronous, single-threaded, never block and never throw for what a peer sends; extra calls are harmless.
/// </summary>
internal sealed partial class IkeEngine : IDisposable
{
    private readonly Queue<IkeAction> _actions = new();
    private readonly PriorityQueue<IkeSa, Instant> _timers = new();
    private readonly Dictionary<ulong, IkeSa> _bySpi = [];
    private readonly Dictionary<uint, IkeSa> _byId = [];
    private readonly Dictionary<string, List<IkeSa>> _byConnection = new(StringComparer.Ordinal);
    private readonly Dictionary<(Endpoint, UInt128), IkeSa> _byFirstMessage = [];
    private readonly Dictionary<IkeSa, (Endpoint, UInt128)> _firstMessages = [];
    private readonly Dictionary<uint, IkeSa> _byChild = [];
    private readonly HashSet<uint> _childSpis = [];
    private readonly Dictionary<ulong, (IkeSa? Sa, Action<Answer> Then)> _asks = [];
    private readonly HalfOpen _halfOpen = new();
    private readonly Cookies _cookies;
    private ulong _nextAsk = 1;
    private uint _nextId = 1;
    private Instant _versionAnswerAt;

    public IkeEngine(EngineOptions options, IEntropy entropy, Instant now)
    {
        (Options, Entropy, Now) = (options, entropy, now);
        _cookies = new Cookies(entropy);
        _versionAnswerAt = now;
        Policy = PolicySet.Empty;
        Index = new ConnectionIndex(Policy);
    }

    public EngineOptions Options { get; }

    public IEntropy Entropy { get; }

    /// <summary>The time of the current call.</summary>
    public Instant Now { get; private set; }

    public EngineCounters Counters { get; } = new();

    /// <summary>Where a message is decrypted: what does not authenticate must cost no memory. Valid within one call.</summary>
    public byte[] Scratch { get; } = new byte[WireLimits.MessageLength];

    public PolicySet Policy { get; private set; }

    public ConnectionIndex Index { get; private set; }

    /// <summary>When <see cref="HandleTimeout"/> wants to be called; <see cref="Instant.Never"/> when nothing waits.</summary>
    public Instant NextTimeout
    {
        get
        {
            while (_timers.TryPeek(out var sa, out var at))
            {
                if (sa.IsDue(at)) return Instant.Min(at, NextRetry);
                _timers.Dequeue();
            }

            return NextRetry;
        }
    }

    /// <summary>An IKE message without the non-ESP marker.</summary>
    /// <param name="local">Own address and port on which it came.</param>
    /// <param name="remote">Source of the datagram.</param>
    /// <param name="message">The UDP payload.</param>
    /// <param name="now">Time of arrival.</param>
    public void HandleDatagram(Endpoint local, Endpoint remote, ReadOnlySpan<byte> message, Instant now)
    {
        Now = now;
        IkeSa? sa = null;
        try
        {
            var drop = Receive(local, remote, message, out sa);
            if (drop != DropReason.None) Counters.Drops[(int)drop]++;
        }
        catch (Exception bug) when (!Options.RethrowBugs)
        {
            OurBug(sa, bug);
        }
        finally
        {
            Scratch.AsSpan(0, Math.Min(message.Length, Scratch.Length)).Clear();
        }
    }

    public void Handle(IkeCommand command, Instant now)
    {
        Now = now;
        try
        {
            Execute(command);
        }
        catch (Exception bug) when (!Options.RethrowBugs)
        {
            OurBug(null, bug);
            Complete(command.Id, new CommandResult(false, "an error of our own; see the log"));
        }
    }

    public void Handle(Answer answer, Instant now)
    {
        Now = now;
        if (!_asks.Remove(answer.Id.Value, out var waiting)) return;
        if (waiting.Sa is { State: IkeState.Closed }) return;
        try
        {
            waiting.Then(answer);
        }
        catch (Exception bug) when (!Options.RethrowBugs)
        {
            OurBug(waiting.Sa, bug);
        }
    }

    public void Handle(DataPlaneEvent happening, Instant now)
    {
        Now = now;
        switch (happening)
        {
            case DataPlaneEvent.Acquire acquire:
                Acquire(acquire);
                break;
            case DataPlaneEvent.SoftLimit soft when _byChild.TryGetValue(soft.Id, out var sa) && sa.Children.TryGetValue(soft.Id, out var child):
                Lifetimes.Rekey(sa, child);
                break;
            case DataPlaneEvent.HardLimit hard when _byChild.TryGetValue(hard.Id, out var sa) && sa.Children.TryGetValue(hard.Id, out var child) && child.Phase is ChildPhase.Installed or ChildPhase.Rekeying:
                Lifetimes.Delete(sa, child, "expired");
                break;
            case DataPlaneEvent.PeerMoved moved when _byChild.TryGetValue(moved.Id, out var sa) && sa.RemoteBehindNat && sa.State == IkeState.Established:
                sa.Remote = moved.Remote;
                foreach (var child in sa.Children.Values) Emit(new IkeAction.MoveChild(child.Id, sa.Local, sa.Remote, child.Encapsulated, sa.LocalBehindNat));
                break;
        }
    }

    public void HandleTimeout(Instant now)
    {
        Now = now;
        while (_timers.TryPeek(out var sa, out var at) && at <= now)
        {
            _timers.Dequeue();
            if (!sa.IsDue(at)) continue;
            try
            {
                sa.HandleTimeout(now);
            }
            catch (Exception bug) when (!Options.RethrowBugs)
            {
                OurBug(sa, bug);
            }
        }

        RunRetries();
    }

    public bool TryDequeue(out IkeAction action) => _actions.TryDequeue(out action!);

    public void Dispose()
    {
        foreach (var sa in _byId.Values.ToArray()) sa.Close("shutdown", "the engine ends");
        _cookies.Dispose();
    }

    // What SAs and exchanges use.

    public void Emit(IkeAction action) => _actions.Enqueue(action);

    public void Raise(IkeEvent happening) => Emit(new IkeAction.Raise(happening with { At = Now }));

    /// <summary>Raises a question; the answer is dropped when <paramref name="sa"/> is closed before it comes.</summary>
    public void Ask(IkeSa? sa, Ask question, Action<Answer> then)
    {
        var id = new AskId(_nextAsk++);
        _asks.Add(id.Value, (sa, then));
        Emit(new IkeAction.RaiseAsk(id, question));
    }

    public uint NewId() => _nextId++;

    /// <summary>Never zero, never one that is in use; the top byte is the shard.</summary>
    public IkeSpi NewIkeSpi()
    {
        while (true)
        {
            var value = (Entropy.NextUInt64() & 0x00FF_FFFF_FFFF_FFFF) | ((ulong)Options.Shard << 56);
            if (value != 0 && !_bySpi.ContainsKey(value)) return new IkeSpi(value);
        }
    }

    /// <summary>Never below 256 (RFC 4303 section 2.1), never one that is in use; the top byte is the shard, but not zero.</summary>
    public ChildSpi NewChildSpi()
    {
        while (true)
        {
            var value = (Entropy.NextUInt32() & 0x00FF_FFFF) | ((uint)(Options.Shard + 0xC0) << 24);
            if (_childSpis.Add(value)) return new ChildSpi(value);
        }
    }

    public IkeSa NewSa(Connection connection, bool initiator, Endpoint local, Endpoint remote) => new(this, NewId(), connection, initiator, local, remote);

    /// <summary>Makes an IKE SA findable.</summary>
    public void Add(IkeSa sa)
    {
        _bySpi[sa.OwnSpi.Value] = sa;
        _byId[sa.Id] = sa;
        OfConnection(sa.Connection.Name).Add(sa);
    }

    public void AddHalfOpen(IkeSa sa)
    {
        Add(sa);
        sa.IsHalfOpen = true;
        _halfOpen.Add(sa.Remote.Address);
        var key = (sa.Remote, DigestOf(sa.Handshake!.PeerMessage));
        _byFirstMessage[key] = sa;
        _firstMessages[sa] = key;
    }

    public void EndHalfOpen(IkeSa sa)
    {
        if (!sa.IsHalfOpen) return;
        sa.IsHalfOpen = false;
        if (_firstMessages.TryGetValue(sa, out var key)) _halfOpen.Remove(key.Item1.Address);
    }

    /// <summary>A responder's SA belongs to another connection than its address suggested.</summary>
    public void Reassign(IkeSa sa, Connection connection)
    {
        if (ReferenceEquals(sa.Connection, connection)) return;
        OfConnection(sa.Connection.Name).Remove(sa);
        sa.Connection = connection;
        OfConnection(connection.Name).Add(sa);
    }

    public void Schedule(IkeSa sa, Instant at)
    {
        if (at == Instant.Never) return;
        // entries of closed or rescheduled SAs stay until their time comes, hours perhaps: peers that come and go must not make the queue grow
        if (_timers.Count > 1024 + (4 * _byId.Count)) PruneTimers();
        _timers.Enqueue(sa, at);
    }

    public void AddChild(IkeSa sa, ChildState child) => _byChild[child.Id] = sa;

    public void ForgetChild(ChildState child)
    {
        _byChild.Remove(child.Id);
        _childSpis.Remove(child.Inbound.Value);
    }

    /// <summary>IKE goes behind four zero octets on the port that it shares with ESP (RFC 3948 section 2.2).</summary>
    public bool NeedsMarker(Endpoint local) => local.Port == Options.PortNatT;

    /// <summary>Another established IKE SA of the same connection: INITIAL_CONTACT would be a lie.</summary>
    public bool HasOther(IkeSa sa) => OfConnection(sa.Connection.Name).Exists(other => other != sa && other.State is IkeState.Established && Equals(other.RemoteId, sa.RemoteId ?? sa.Connection.Remote.Id.Exact ?? other.RemoteId));

    /// <summary>The peer says by another SA that this one is dead.</summary>
    public void Replace(uint ikeId)
    {
        if (_byId.TryGetValue(ikeId, out var sa)) sa.Close("replaced", "the same peer connected anew");
    }

    /// <summary>A negotiation is over: its report goes out. Returns it.</summary>
    public NegotiationReport? ReportDone(IkeSa sa, string? child, NegotiationFailure? failure)
    {
        if (sa.Report.Ended) return null;
        if (failure is not null) sa.Report.Add(Now, StepDirection.Here, failure.Sentence);
        var report = sa.Report.Build(sa.Connection.Name, child, sa.Local, sa.Remote, Now, failure);
        Raise(new NegotiationEnded(report) { Connection = sa.Connection.Name, IkeId = sa.Id });
        return report;
    }

    /// <summary>A request that was refused before an SA existed.</summary>
    public void ReportRefusal(in IkeHeader header, scoped in MessageView view, Endpoint local, Endpoint remote, string connection, NegotiationFailure failure)
    {
        var builder = new ReportBuilder(Now, initiator: false);
        builder.Add(Now, StepDirection.In, MessageDescription.Describe(header, view), Details.Of(view));
        builder.Add(Now, StepDirection.Here, failure.Sentence);
        Raise(new NegotiationEnded(builder.Build(connection, null, local, remote, Now, failure)) { Connection = connection });
    }

    /// <summary>An error in IKE_SA_INIT: in clear, without state, never longer than the request.</summary>
    public DropReason RefuseInit(in IkeHeader header, Endpoint local, Endpoint remote, int requestLength, NotifyType error, ReadOnlySpan<byte> data) =>
        AnswerWithoutState(header, local, remote, requestLength, ExchangeType.IkeSaInit, error, data);

    public DropReason DemandCookie(in IkeHeader header, Endpoint local, Endpoint remote, ReadOnlySpan<byte> nonce, int requestLength) =>
        AnswerWithoutState(header, local, remote, requestLength, ExchangeType.IkeSaInit, NotifyType.Cookie, _cookies.Make(nonce, remote.Address, header.InitiatorSpi));

    /// <summary>The SA is closed: nobody finds it any more.</summary>
    public void Forget(IkeSa sa, string reason, string text)
    {
        EndHalfOpen(sa);
        if (_firstMessages.Remove(sa, out var key)) _byFirstMessage.Remove(key);
        _bySpi.Remove(sa.OwnSpi.Value);
        _byId.Remove(sa.Id);
        OfConnection(sa.Connection.Name).Remove(sa);
        foreach (var command in sa.Waiting) Complete(command, new CommandResult(false, text));
        sa.Waiting.Clear();
        if (sa.Initiator && sa.Established == default) InitiationFailed(sa, reason);
    }

    private void PruneTimers()
    {
        var live = new List<(IkeSa, Instant)>(_byId.Count);
        foreach (var (sa, at) in _timers.UnorderedItems)
        {
            if (sa.IsDue(at)) live.Add((sa, at));
        }

        _timers.Clear();
        _timers.EnqueueRange(live);
    }

    private static UInt128 DigestOf(ReadOnlySpan<byte> message)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(message, digest);
        return BinaryPrimitives.ReadUInt128BigEndian(digest);
    }

    private List<IkeSa> OfConnection(string name)
    {
        if (!_byConnection.TryGetValue(name, out var list)) _byConnection.Add(name, list = []);
        return list;
    }

    private DropReason Receive(Endpoint local, Endpoint remote, ReadOnlySpan<byte> message, out IkeSa? sa)
    {
        sa = null;
        if (!IkeHeader.TryRead(message, out var header) || header.MajorVersion == 0) return DropReason.BadHeader;
        // no fallback in either direction (RFC 9395): a version 1 message never makes state here
        if (header.MajorVersion == 1) return DropReason.Version1;
        if (header.MajorVersion > 2) return AnswerVersion(header, local, remote, message.Length);
        if (header.Exchange is not (ExchangeType.IkeSaInit or ExchangeType.IkeAuth or ExchangeType.CreateChildSa or ExchangeType.Informational)) return DropReason.UnknownExchange;
        if (header.Exchange == ExchangeType.IkeSaInit && !header.IsResponse) return ReceiveFirst(header, local, remote, message);
        var own = header.FromInitiator ? header.ResponderSpi : header.InitiatorSpi;
        if (!_bySpi.TryGetValue(own.Value, out sa))
        {
            Counters.InvalidSpi++;
            return DropReason.UnknownSpi;
        }

        // both SPIs must fit; the responder's is learned from the first answer
        var peer = header.FromInitiator ? header.InitiatorSpi : header.ResponderSpi;
        var known = sa.Initiator ? sa.SpiR : sa.SpiI;
        if (!known.IsZero && peer != known) return DropReason.UnknownSpi;
        return sa.Receive(header, local, remote, message);
    }

    private DropReason ReceiveFirst(in IkeHeader header, Endpoint local, Endpoint remote, ReadOnlySpan<byte> message)
    {
        if (!header.FromInitiator || header.InitiatorSpi.IsZero || !header.ResponderSpi.IsZero || header.MessageId != 0) return DropReason.BadFlags;
        // the whole message tells a repetition from a new request (section 2.1): by SPI and address alone a forged message would shut the real one out
        if (_byFirstMessage.TryGetValue((remote, DigestOf(message)), out var known))
        {
            if (known.Handshake is null) return DropReason.OutOfWindow;
            if (known.Window.Accept(0, out var again) == DropReason.None && again is not null) known.Transmit(again);
            return DropReason.None;
        }

        if (_halfOpen.Count >= Options.HalfOpenLimit) return DropReason.HalfOpenLimit;
        if (_halfOpen.Of(remote.Address) >= Options.HalfOpenPerPrefix) return DropReason.HalfOpenPerPrefix;
        if (MessageView.TryParse(header.NextPayload, message[IkeHeader.Length..], out var view) != ParseError.None) return DropReason.Malformed;
        if (PayloadRules.Check(ExchangeType.IkeSaInit, false, view) is { } violation)
        {
            if (violation.Error != NotifyType.UnsupportedCriticalPayload) return DropReason.Malformed;
            return RefuseInit(header, local, remote, message.Length, violation.Error, [(byte)violation.Payload]);
        }

        Counters.Count(ExchangeType.IkeSaInit, isResponse: false, outgoing: false);
        view.TryGet(PayloadType.Nonce, out var nonce);
        var hasCookie = view.TryGetNotify(NotifyType.Cookie, out var cookie);
        // a wrong cookie counts as none: secrets rotate (section 2.6)
        if (hasCookie && !_cookies.Check(cookie.Data, nonce, remote.Address, header.InitiatorSpi)) return DemandCookie(header, local, remote, nonce, message.Length);
        if (!hasCookie && _halfOpen.Count >= Options.CookieThreshold) return DemandCookie(header, local, remote, nonce, message.Length);
        return InitExchange.Respond(this, header, local, remote, message, view);
    }

    /// <summary>INVALID_MAJOR_VERSION, at most ten times a second in all (RFC 7296 section 2.5).</summary>
    private DropReason AnswerVersion(in IkeHeader header, Endpoint local, Endpoint remote, int requestLength)
    {
        if (header.IsResponse || Now < _versionAnswerAt) return DropReason.HigherVersion;
        _versionAnswerAt = Now + TimeSpan.FromMilliseconds(100);
        return AnswerWithoutState(header, local, remote, requestLength, header.Exchange, NotifyType.InvalidMajorVersion, [2]);
    }

    private DropReason AnswerWithoutState(in IkeHeader header, Endpoint local, Endpoint remote, int requestLength, ExchangeType exchange, NotifyType type, ReadOnlySpan<byte> data)
    {
        var builder = new MessageBuilder().Notify(type, data);
        var answer = builder.ToMessage(IkeHeader.V2(header.InitiatorSpi, header.ResponderSpi, exchange, fromInitiator: false, isResponse: true, header.MessageId));
        // Amplification: never more octets than came
        if (answer.Length > requestLength) return DropReason.Amplification;
        Emit(new IkeAction.Send(local, remote, answer, NeedsMarker(local)));
        return DropReason.None;
    }

    private void OurBug(IkeSa? sa, Exception bug)
    {
        Raise(new Notice(NoticeLevel.Error, $"an error of our own: {bug.GetType().Name}: {bug.Message} at {bug.StackTrace?.Split('\n').FirstOrDefault()?.Trim()}") { Connection = sa?.Connection.Name ?? "", IkeId = sa?.Id ?? 0 });
        sa?.Close("internal", "an error of our own");
    }
}
