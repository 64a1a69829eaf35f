using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
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
    private readonly TimerHeap<IkeSa> _timers = new();
    private readonly Dictionary<ulong, IkeSa> _bySpi = [];
    private readonly Dictionary<uint, IkeSa> _byId = [];
    private readonly Dictionary<string, ConnectionSas> _byConnection = new(StringComparer.Ordinal);
    private readonly Contacts _contacts = new();
    private readonly Dictionary<(Endpoint, UInt128), IkeSa> _byFirstMessage = [];
    private readonly Dictionary<IkeSa, (Endpoint, UInt128)> _firstMessages = [];
    private readonly Dictionary<uint, IkeSa> _byChild = [];
    private readonly Dictionary<(TrafficSelector Local, TrafficSelector Remote, string? Device), uint> _byTraffic = [];
    private readonly HashSet<uint> _childSpis = [];
    private readonly Dictionary<ulong, (IAsker? Sa, Action<Answer> Then)> _asks = [];
    private readonly HalfOpen _halfOpen;
    private readonly Lingering _lingering = new();
    private readonly List<IkeSa> _renewals = [];
    private int _mostOutgoing;
    private readonly Cookies _cookies;
    private ulong _nextAsk = 1;
    private uint _nextId;
    private readonly byte[] _scratch = new byte[WireLimits.MessageLength];
    private int _borrowed;
    private Instant _versionAnswerAt;
    private Instant _refusalReportAt;

    public IkeEngine(EngineOptions options, IEntropy entropy, Instant now)
    {
        (Options, Entropy, Now) = (options, entropy, now);
        // numbers are those of all shards together
        _nextId = ((uint)options.Shard << 24) + 1;
        _cookies = new Cookies(entropy);
        _halfOpen = new HalfOpen(options);
        _versionAnswerAt = _refusalReportAt = _strangerAt = _aggressiveAt = _began = now;
        Policy = PolicySet.Empty;
        Index = new ConnectionIndex(Policy);
    }

    public EngineOptions Options { get; }

    public IEntropy Entropy { get; }

    /// <summary>The time of the current call.</summary>
    public Instant Now { get; private set; }

    /// <summary>Number of the current call.</summary>
    public long Moment { get; private set; }

    public EngineCounters Counters { get; } = new();

    /// <summary>Where messages are decrypted; zero between calls.</summary>
    public ReadOnlySpan<byte> Scratch => _scratch;

    /// <summary>Certificates: whom to trust, and what was fetched about them.</summary>
    public TrustState Trust { get; } = new();

    public PolicySet Policy { get; private set; }

    public VersionGuard Versions { get; } = new();

    /// <summary>The host has post-quantum pre-shared keys: IKE_SA_INIT asks nobody, so the host tells.</summary>
    public bool HasPpks { get; set; }

    public ConnectionIndex Index { get; private set; }

    /// <summary>When <see cref="HandleTimeout"/> wants to be called; <see cref="Instant.Never"/> when nothing waits.</summary>
    public Instant NextTimeout => Instant.Min(Instant.Min(_timers.Next, _isakmpTimers.Next), Instant.Min(_retries.Next, _lingering.Next));

    /// <summary>An IKE message without the non-ESP marker.</summary>
    /// <param name="local">Own address and port on which it came.</param>
    /// <param name="remote">Source of the datagram.</param>
    /// <param name="message">The UDP payload.</param>
    /// <param name="now">Time of arrival.</param>
    public void HandleDatagram(Endpoint local, Endpoint remote, ReadOnlySpan<byte> message, Instant now)
    {
        (Now, Moment) = (now, Moment + 1);
        IkeSa? sa = null;
        _working = null;
        try
        {
            var drop = Receive(local, remote, message, out sa);
            FinishCall();
            if (drop != DropReason.None) Counters.Drops[(int)drop]++;
        }
        catch (Exception bug) when (!Options.RethrowBugs)
        {
            OurBug(sa ?? _working, bug);
        }
        finally
        {
            EraseScratch();
        }
    }

    public void Handle(IkeCommand command, Instant now)
    {
        (Now, Moment) = (now, Moment + 1);
        try
        {
            Execute(command);
            FinishCall();
        }
        catch (Exception bug) when (!Options.RethrowBugs)
        {
            OurBug(null, bug);
            Complete(command.Id, new CommandResult(false, "an error of our own; see the log"));
        }
    }

    public void Handle(Answer answer, Instant now)
    {
        (Now, Moment) = (now, Moment + 1);
        if (!_asks.Remove(answer.Id.Value, out var waiting))
        {
            // whoever asked is gone
            (answer as Answer.Octets)?.Value.Dispose();
            if (answer is Answer.MixedKeys mixed) foreach (var secret in new[] { mixed.SkD, mixed.SkPi, mixed.SkPr }) secret.Dispose();
            if (answer is Answer.Leased { Lease.IsNone: false } leased) Emit(new IkeAction.ReleaseLease(leased.Lease));
            return;
        }

        waiting.Sa?.Asks.Remove(answer.Id.Value);
        try
        {
            waiting.Then(answer);
            FinishCall();
        }
        catch (Exception bug) when (!Options.RethrowBugs)
        {
            OurBug(waiting.Sa, bug);
        }
        finally
        {
            // what had come too early was read now
            EraseScratch();
        }
    }

    public void Handle(DataPlaneEvent happening, Instant now)
    {
        (Now, Moment) = (now, Moment + 1);
        try
        {
            Execute(happening);
        }
        catch (Exception bug) when (!Options.RethrowBugs)
        {
            var child = happening switch { DataPlaneEvent.SoftLimit soft => soft.Id, DataPlaneEvent.HardLimit hard => hard.Id, DataPlaneEvent.PeerMoved moved => moved.Id, _ => 0u };
            OurBug(_byChild.TryGetValue(child, out var sa) ? sa : _isakmpByChild.GetValueOrDefault(child), bug);
        }
    }

    private void Execute(DataPlaneEvent happening)
    {
        switch (happening)
        {
            case DataPlaneEvent.Acquire acquire:
                Acquire(acquire);
                break;
            case DataPlaneEvent.SoftLimit soft when _byChild.TryGetValue(soft.Id, out var sa) && sa.Children.TryGetValue(soft.Id, out var child):
                Lifetimes.Rekey(sa, child);
                sa.Reschedule();
                break;
            case DataPlaneEvent.UnknownSpi unknown:
                TellLost(unknown);
                TellLostV1(unknown);
                break;
            case DataPlaneEvent.HardLimit hard when _byChild.TryGetValue(hard.Id, out var sa) && sa.Children.TryGetValue(hard.Id, out var child) && child.IsLive:
                // nothing goes over it any more
                if (child.PeerRekey is { Made: { Table: not null } other }) Emit(new IkeAction.UseOutbound(other.Id));
                Lifetimes.End(sa, child);
                sa.Reschedule();
                break;
            case DataPlaneEvent.PeerMoved moved when _byChild.TryGetValue(moved.Id, out var sa) && sa.State == IkeState.Established:
                sa.PeerMoved(moved.Remote);
                break;
            default:
                HandleV1(happening);
                break;
        }
    }

    public void HandleTimeout(Instant now)
    {
        (Now, Moment) = (now, Moment + 1);
        while (_timers.TryTake(now, out var sa))
        {
            try
            {
                sa.HandleTimeout(now);
            }
            catch (Exception bug) when (!Options.RethrowBugs)
            {
                OurBug(sa, bug);
            }
        }

        while (_isakmpTimers.TryTake(now, out var isakmp))
        {
            try
            {
                isakmp.HandleTimeout(now);
            }
            catch (Exception bug) when (!Options.RethrowBugs)
            {
                OurBug(isakmp, bug);
            }
        }

        FinishCall();
        RunRetries();
        _lingering.Expire(now);
    }

    public bool TryDequeue(out IkeAction action) => _actions.TryDequeue(out action!);

    public void Dispose()
    {
        foreach (var sa in _byId.Values.ToArray()) sa.Close("shutdown", "the engine ends");
        foreach (var sa in _isakmpById.Values.ToArray()) sa.Close("shutdown", "the engine ends");
        _cookies.Dispose();
    }

    // What SAs and exchanges use.

    public void Emit(IkeAction action) => _actions.Enqueue(action);

    public void Raise(IkeEvent happening) => Emit(new IkeAction.Raise(happening with { At = Now }));

    /// <summary>Raises a question; the answer is dropped when <paramref name="sa"/> is closed before it comes.</summary>
    public void Ask(IAsker? sa, Ask question, Action<Answer> then)
    {
        var id = new AskId(_nextAsk++);
        _asks.Add(id.Value, (sa, then));
        sa?.Asks.Add(id.Value);
        Emit(new IkeAction.RaiseAsk(id, question));
    }

    /// <summary>Room to decrypt a message in: what does not authenticate must cost no memory. Valid within one call; it may be longer than the datagram, which may be the last piece of a message.</summary>
    public Span<byte> Borrow(int length)
    {
        _borrowed = Math.Max(_borrowed, length);
        return _scratch.AsSpan(0, length);
    }

    public uint NewId() => _nextId++;

    /// <summary>Never zero, never one that is in use; the top byte is the shard.</summary>
    public IkeSpi NewIkeSpi()
    {
        while (true)
        {
            var value = (Entropy.NextUInt64() & 0x00FF_FFFF_FFFF_FFFF) | ((ulong)Options.Shard << 56);
            if (value != 0 && !_bySpi.ContainsKey(value) && !_byCookie.ContainsKey(value)) return new IkeSpi(value);
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

    /// <param name="sa">A responder's, before anybody is authenticated.</param>
    /// <param name="verified">Its address returned a cookie.</param>
    public void AddHalfOpen(IkeSa sa, bool verified)
    {
        // first messages of IKEv1 with forged addresses must not shut out those who have returned a cookie
        MakeRoom();
        Add(sa);
        sa.IsHalfOpen = true;
        sa.IsAddressVerified = verified;
        _halfOpen.Add(sa, sa.Remote.Address, verified);
        sa.ExpireAt = Now + _halfOpen.Timeout;
        var key = (sa.Remote, Window.DigestOf(sa.Handshake!.PeerMessage));
        _byFirstMessage[key] = sa;
        _firstMessages[sa] = key;
    }

    public void EndHalfOpen(IkeSa sa)
    {
        if (!sa.IsHalfOpen) return;
        sa.IsHalfOpen = false;
        if (_firstMessages.TryGetValue(sa, out var key)) _halfOpen.Remove(sa, key.Item1.Address, sa.IsAddressVerified);
    }

    /// <summary>A responder's SA belongs to another connection than its address suggested.</summary>
    public void Reassign(IkeSa sa, Connection connection)
    {
        if (ReferenceEquals(sa.Connection, connection)) return;
        OfConnection(sa.Connection.Name).Remove(sa);
        sa.Connection = connection;
        OfConnection(connection.Name).Add(sa);
    }

    public void Schedule(IkeSa sa, Instant at) => _timers.Set(sa, at);

    public void StateChanged(IkeSa sa, IkeState was)
    {
        if (_byConnection.TryGetValue(sa.Connection.Name, out var list)) list.StateChanged(sa, was);
        if (was == IkeState.Connecting) Outgone(sa);
        if (sa is { State: IkeState.Established, LocalId: { } own, RemoteId: { } peer }) _contacts.Enter(sa.Id, own, peer);
        else if (sa.State != IkeState.Connecting) _contacts.Leave(sa.Id);
        if (sa is { State: IkeState.Established, Proven: 0 }) sa.Proven = Moment;
        if (sa is { State: IkeState.Established, Reauthenticates: not null }) _renewals.Add(sa);
    }

    /// <summary>The end of each call: new authentications whose children are all there replace the old IKE SAs, and what waited for its turn begins.</summary>
    private void FinishCall()
    {
        if (_waiting.Count > 0 && _outgoing.Count < _mostOutgoing) BeginWaiting();
        _mostOutgoing = _outgoing.Count;
        // the end of one may be the beginning of another
        for (var i = 0; i < _renewals.Count;)
        {
            var sa = _renewals[i];
            if (Reauthentication.TryFinish(sa)) _renewals.Remove(sa);
            else i++;
        }
    }

    public void AddChild(IkeSa sa, ChildState child)
    {
        _byChild[child.Id] = sa;
        _byOutbound[child.Outbound.Value] = child.Id;
        if (child.Mode == IpsecMode.Tunnel) HoldTraffic(child);
    }

    /// <summary>Another peer's pair with the same selectors, of either version.</summary>
    /// <param name="ikeId">Under which the new pair is to be.</param>
    /// <param name="peer">Whose it is to be.</param>
    /// <param name="config">The child.</param>
    /// <param name="local">The first selector here.</param>
    /// <param name="remote">The first selector there.</param>
    public TrafficHolder? HolderOf(uint ikeId, Identity? peer, Child config, TrafficSelector local, TrafficSelector remote)
    {
        if (!_byTraffic.TryGetValue((local, remote, config.BindInterface), out var id)) return null;
        if (_byChild.TryGetValue(id, out var other)) return other.Id != ikeId && !Equals(other.RemoteId, peer) ? new TrafficHolder(other.RemoteId, other.Remote) : null;
        return _isakmpByChild.TryGetValue(id, out var isakmp) && isakmp.Id != ikeId && !Equals(isakmp.PeerId, peer) ? new TrafficHolder(isakmp.PeerId, isakmp.Remote) : null;
    }

    private void HoldTraffic(ChildState child)
    {
        if (!child.Local.IsEmpty && !child.Remote.IsEmpty) _byTraffic[(child.Local[0], child.Remote[0], child.Config.BindInterface)] = child.Id;
    }

    public void ForgetChild(ChildState child)
    {
        _byChild.Remove(child.Id);
        _isakmpByChild.Remove(child.Id);
        if (!child.Local.IsEmpty && !child.Remote.IsEmpty && _byTraffic.GetValueOrDefault((child.Local[0], child.Remote[0], child.Config.BindInterface)) == child.Id) _byTraffic.Remove((child.Local[0], child.Remote[0], child.Config.BindInterface));
        if (_byOutbound.TryGetValue(child.Outbound.Value, out var id) && id == child.Id) _byOutbound.Remove(child.Outbound.Value);
        FreeChildSpi(child.Inbound);
    }

    public void FreeChildSpi(ChildSpi spi) => _childSpis.Remove(spi.Value);

    /// <summary>IKE goes behind four zero octets on the port that it shares with ESP (RFC 3948 section 2.2).</summary>
    public bool NeedsMarker(Endpoint local) => local.Port == Options.PortNatT;

    /// <summary>IKE_AUTH goes out: from now on it counts as contact with the peer, since two connections between the same identities may begin at the same time. True when it is the only one, so that INITIAL_CONTACT is no lie.</summary>
    public bool BeginContact(IkeSa sa)
    {
        if ((sa.RemoteId ?? sa.Connection.Remote.Id.Exact) is not { } peer) return !OfConnection(sa.Connection.Name).HasEstablished;
        if (sa.LocalId is not { } own) return false;
        var only = !_contacts.HasOther(sa.Id, own, peer);
        _contacts.Enter(sa.Id, own, peer);
        return only;
    }

    /// <summary>The same peer has authenticated again on <paramref name="by"/>: it says that it has lost the older one, or our policy wants only one.</summary>
    public void Replace(uint ikeId, IkeSa by, bool initialContact)
    {
        if (!_byId.TryGetValue(ikeId, out var sa) || sa == by || sa.State != IkeState.Established) return;
        // the peer that had this one already would not have called the other its first: both sides began at the same time
        if (sa.Proven <= by.Began) Replace(sa, by, initialContact);
    }

    /// <summary>As the other overload, but the new one is another engine's.</summary>
    private void Replace(IkeCommand.Replace command)
    {
        if (_byId.TryGetValue(command.IkeId, out var sa) && sa.State == IkeState.Established && sa.Authenticated <= command.Begun) Replace(sa, null, command.InitialContact);
        ReplaceV1(command);
    }

    private void Replace(IkeSa sa, IkeSa? by, bool initialContact)
    {
        if (initialContact)
        {
            sa.Close("replaced", "the same peer connected anew");
            return;
        }

        // if it authenticates anew it closes this one itself, once it knows that the new one is up
        (sa.ReplacedBy, sa.ReplacedAt) = (by, Instant.Min(sa.ReplacedAt, Now + ProtocolTimes.ReplacedPatience));
        sa.Reschedule();
    }

    /// <summary>
    /// Both sides began at the same time and there are two IKE SAs between the same identities: the one with the lower initiator SPI is redundant, and whoever began it deletes it (in the spirit of
    /// RFC 7296 section 2.8.1). What only that one carried is made on the other.
    /// </summary>
    public void SettleDuplicates(IkeSa sa, bool isLate = false)
    {
        if (sa.State != IkeState.Established || sa.RemoteId is not { } peer) return;
        foreach (var other in OfConnection(sa.Connection.Name).With(peer).ToArray())
        {
            if (RedundantOf(sa, other) is not { } ours) continue;
            var theirs = ours == sa ? other : sa;
            if (!isLate)
            {
                // the peer may not know yet that both are up; and one that was begun later is perhaps its new authentication: then it closes the old one itself
                ours.SettleAt = Now + (theirs.Began > ours.Proven ? ProtocolTimes.SettlePatience : ProtocolTimes.SettleSoon);
                ours.Reschedule();
                continue;
            }

            foreach (var child in ours.Children.Values.Where(child => child.IsLive && !theirs.Children.HasLive(child.Config.Name)).ToArray()) theirs.Window.Start(new CreateChildExchange(new ChildRequest(child.Config, default)));
            foreach (var making in CreateChildExchange.NewOf(ours.Window.Running)) theirs.Window.Start(new CreateChildExchange(new ChildRequest(making.Request.Config, default)));
            foreach (var waiting in ours.Window.TakeQueued().Concat(ours.Later).ToArray())
            {
                if (waiting is CreateChildExchange { Old: null }) theirs.Window.Start(waiting);
                else waiting.OnAbandoned(ours, "redundant", "both sides set up the connection at the same time");
            }

            ours.Later.Clear();
            Lifetimes.Delete(ours, "redundant", "both sides set up the connection at the same time");
            if (sa.State != IkeState.Established) return;
        }
    }

    /// <summary>Which of two IKE SAs with the same peer is one too many and ours to close; null = none.</summary>
    private static IkeSa? RedundantOf(IkeSa sa, IkeSa other)
    {
        if (other == sa || !Equals(other.LocalId, sa.LocalId)) return null;
        if (other.Origin.IsOurs == sa.Origin.IsOurs)
        {
            // both are ours: one that crossed the peer's, and the new authentication of the peer's
            if (!sa.Origin.IsOurs || !IsSameHost(sa, other)) return null;
            var (older, newer) = sa.Began < other.Began ? (sa, other) : (other, sa);
            return newer.IsRenewal && newer.Reauthenticates != older ? older : null;
        }

        var (ours, theirs) = sa.Origin.IsOurs ? (sa, other) : (other, sa);
        // many may have one identity; but two new authentications of the same IKE SA would double it each time
        if (sa.Connection.Unique == UniquePolicy.Never && !(ours.IsRenewal && IsSameHost(ours, theirs) && theirs.Began <= ours.Proven)) return null;
        // begun on purpose beside the other one: a new authentication
        return ours.Origin.Spi.Value > theirs.Origin.Spi.Value || ours.Began > theirs.Proven ? null : ours;
    }

    /// <summary>A pair that carries the traffic of <paramref name="made"/> already, on another IKE SA with the same host: one of the two is about to go.</summary>
    public ChildState? TwinOf(IkeSa sa, ChildState made)
    {
        if (sa.RemoteId is not { } peer) return null;
        foreach (var other in OfConnection(sa.Connection.Name).With(peer))
        {
            if (other == sa || other.Remote.Address != sa.Remote.Address || !other.Children.HasLive(made.Config.Name)) continue;
            foreach (var child in other.Children.Values)
            {
                if (child.IsLive && child.Config.Name == made.Config.Name && child.Successor is not { Table: not null } && child.Local.SequenceEqual(made.Local) && child.Remote.SequenceEqual(made.Remote)) return child;
            }
        }

        return null;
    }

    /// <summary>A pair for the same traffic on another IKE SA with the same host.</summary>
    public ChildState? OtherPairOf(IkeSa sa, ChildState gone)
    {
        if (sa.RemoteId is not { } peer) return null;
        foreach (var other in OfConnection(sa.Connection.Name).With(peer))
        {
            if (other == sa || other.Remote.Address != sa.Remote.Address || !other.Children.HasLive(gone.Config.Name)) continue;
            foreach (var child in other.Children.Values)
            {
                if (child.IsLive && child.Config.Name == gone.Config.Name && child.Local.SequenceEqual(gone.Local) && child.Remote.SequenceEqual(gone.Remote)) return child;
            }
        }

        return null;
    }

    /// <summary>Another IKE SA with the same peer, on which what waits on this one can be done.</summary>
    public IkeSa? HeirOf(IkeSa sa)
    {
        if (sa.RemoteId is not { } peer) return null;
        IkeSa? heir = null;
        foreach (var other in OfConnection(sa.Connection.Name).With(peer))
        {
            if (other != sa && (heir is null || other.Id > heir.Id)) heir = other;
        }

        return heir;
    }

    /// <summary>An IKE SA with the same peer at the same address that was begun later, and that replaces nothing itself.</summary>
    public IkeSa? NewerOf(IkeSa sa) => sa.RemoteId is { } peer
        ? OfConnection(sa.Connection.Name).With(peer).FirstOrDefault(other => other != sa && other.Began > sa.Began && other.Reauthenticates is null && IsSameHost(sa, other) && Equals(other.LocalId, sa.LocalId))
        : null;

    /// <summary>Where many may have one identity, also behind one address, the port tells them apart.</summary>
    private static bool IsSameHost(IkeSa sa, IkeSa other) => sa.Connection.Unique == UniquePolicy.Never ? other.Remote == sa.Remote : other.Remote.Address == sa.Remote.Address;

    /// <summary>An established IKE SA takes over from the one that it reauthenticates as soon as its children are there.</summary>
    public void AwaitRenewal(IkeSa sa) => _renewals.Add(sa);

    /// <summary>Other IKE SAs with the same peer at the same address: what comes now may be its new authentication, which is no duplicate.</summary>
    public ImmutableArray<uint> SameHost(IkeSa sa) => sa.RemoteId is { } peer ? [.. OfConnection(sa.Connection.Name).With(peer).Where(other => other != sa && other.Remote.Address == sa.Remote.Address).Select(other => other.Id)] : [];

    /// <summary>A negotiation is over: its report goes out. Returns it.</summary>
    public NegotiationReport? ReportDone(IkeSa sa, string? child, NegotiationFailure? failure)
    {
        if (sa.Report.Ended || (sa.IsHalfOpen && !MayReportRefusal())) return null;
        if (failure is not null) sa.Report.Add(Now, StepDirection.Here, failure.Sentence);
        var report = sa.Report.Build(sa.Connection.Name, child, sa.Local, sa.Remote, Now, failure);
        Raise(new NegotiationEnded(report) { Connection = sa.Connection.Name, IkeId = sa.Id });
        return report;
    }

    /// <summary>A request that was refused before an SA existed.</summary>
    public void ReportRefusal(in IkeHeader header, scoped in MessageView view, Endpoint local, Endpoint remote, string connection, NegotiationFailure failure)
    {
        if (!MayReportRefusal()) return;
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
        _timers.Remove(sa);
        if (_firstMessages.Remove(sa, out var key)) _byFirstMessage.Remove(key);
        if (_bySpi.Remove(sa.OwnSpi.Value) && sa.Window.LastAnswer is { } last && (sa.Established != default || sa.Window.FirstAnswer is null)) _lingering.Add(sa.OwnSpi, last.Request, last.Answer, Now);
        _byId.Remove(sa.Id);
        var list = OfConnection(sa.Connection.Name);
        list.Remove(sa);
        if (list.IsEmpty) _byConnection.Remove(sa.Connection.Name);
        foreach (var ask in sa.Asks) _asks.Remove(ask);
        sa.Asks.Clear();
        foreach (var command in sa.Waiting) Complete(command, new CommandResult(false, text));
        sa.Waiting.Clear();
        if (!sa.Initiator || sa.Established != default) return;
        var replaces = sa.Reauthenticates is { State: IkeState.Established };
        Reauthentication.Failed(sa, reason, text);
        if (replaces) return;
        if (reason is not ("down" or "shutdown" or "redirected" or "address-lost")) RetryStarted(sa.Connection);
    }

    /// <summary>A version 2 message for a peer that is configured for version 1.</summary>
    public void RefuseVersion2(Endpoint local, Endpoint remote) => Versions.Refuse(this, local, remote, 2);

    /// <summary>A bucket that holds one second: anybody can send what is refused.</summary>
    public bool MayReportRefusal()
    {
        if (_refusalReportAt > Now + TimeSpan.FromSeconds(1)) return false;
        _refusalReportAt = (_refusalReportAt > Now ? _refusalReportAt : Now) + TimeSpan.FromSeconds(1.0 / ProtocolTimes.RefusalReportsPerSecond);
        return true;
    }

    private void EraseScratch()
    {
        _scratch.AsSpan(0, _borrowed).Clear();
        _borrowed = 0;
    }

    private ConnectionSas OfConnection(string name)
    {
        if (!_byConnection.TryGetValue(name, out var list)) _byConnection.Add(name, list = new ConnectionSas());
        return list;
    }

    /// <summary>A message for an IKE SA that is gone: if it is the last request again, its answer was lost.</summary>
    private DropReason ReceiveLate(in IkeHeader header, IkeSpi own, Endpoint local, Endpoint remote, ReadOnlySpan<byte> message)
    {
        if (!header.IsResponse && _lingering.Holds(own) && _lingering.Find(own, Window.DigestOf(message)) is [{ } answer] && answer.Length * 2 <= message.Length * 3)
        {
            Emit(new IkeAction.Send(local, remote, answer, NeedsMarker(local)));
            return DropReason.None;
        }

        Counters.InvalidSpi++;
        return TellLost(header, own, local, remote, message.Length);
    }

    private DropReason Receive(Endpoint local, Endpoint remote, ReadOnlySpan<byte> message, out IkeSa? sa)
    {
        sa = null;
        if (!IkeHeader.TryRead(message, out var header) || header.MajorVersion == 0) return DropReason.BadHeader;
        if (header.MajorVersion == 1 && TryReceiveV1(header, local, remote, message, out var drop)) return drop;
        // no fallback in either direction (RFC 9395): a message of the other version never makes state
        if (header.MajorVersion != 2) Versions.Refuse(this, local, remote, header.MajorVersion);
        if (header.MajorVersion == 1) return DropReason.Version1;
        if (header.MajorVersion > 2) return AnswerVersion(header, local, remote, message.Length);
        if (header.Exchange is not (ExchangeType.IkeSaInit or ExchangeType.IkeAuth or ExchangeType.CreateChildSa or ExchangeType.Informational)) return DropReason.UnknownExchange;
        if (header.Exchange == ExchangeType.IkeSaInit && !header.IsResponse) return ReceiveFirst(header, local, remote, message);
        if (header is { Exchange: ExchangeType.Informational, IsResponse: false, NextPayload: PayloadType.Notify }) return ReceiveHint(header, remote, message);
        var own = header.FromInitiator ? header.ResponderSpi : header.InitiatorSpi;
        if (!_bySpi.TryGetValue(own.Value, out sa))
        {
            return ReceiveLate(header, own, local, remote, message);
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
        if (_byFirstMessage.TryGetValue((remote, Window.DigestOf(message)), out var known))
        {
            if (known.Window.FirstAnswer is not { } again) return DropReason.OutOfWindow;
            Emit(new IkeAction.Send(local, remote, again, NeedsMarker(local), known.Connection.Dscp));
            return DropReason.None;
        }

        if (_halfOpen.Count >= Options.HalfOpenLimit && _halfOpen.Yielding(null, Now) is null) return DropReason.HalfOpenLimit;
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
        // anybody can fill the share of somebody else's address: beyond it only who receives there goes on
        var share = _halfOpen.Of(remote.Address);
        if (!hasCookie && (_halfOpen.Unverified >= Options.CookieThreshold || share.Unverified >= Options.HalfOpenPerPrefix)) return DemandCookie(header, local, remote, nonce, message.Length);
        if (hasCookie && share.Verified >= Options.HalfOpenPerPrefix) return DropReason.HalfOpenPerPrefix;
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

    private void OurBug(IAsker? sa, Exception bug)
    {
        Raise(new Notice(NoticeLevel.Error, $"an error of our own: {bug.GetType().Name}: {bug.Message} at {bug.StackTrace?.Split('\n').FirstOrDefault()?.Trim()}") { Connection = sa?.Connection.Name ?? "", IkeId = sa?.Id ?? 0 });
        sa?.Close("internal", "an error of our own");
    }
}
