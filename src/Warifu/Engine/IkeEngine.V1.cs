using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V1;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.Engine;

/// <summary>IKEv1: its own tables, since neither version knows of the other; what is global is the same for both.</summary>
internal sealed partial class IkeEngine
{
    private readonly TimerHeap<IsakmpSa> _isakmpTimers = new();
    private readonly Dictionary<ulong, IsakmpSa> _byCookie = [];
    private readonly Dictionary<uint, IsakmpSa> _isakmpById = [];
    private readonly Dictionary<string, ConnectionPhases> _isakmpByConnection = new(StringComparer.Ordinal);
    private readonly Dictionary<(Endpoint, UInt128), IsakmpSa> _isakmpByFirstMessage = [];
    private readonly Dictionary<IsakmpSa, (Endpoint, UInt128)> _isakmpFirstMessages = [];
    private readonly Dictionary<uint, IsakmpSa> _isakmpByChild = [];
    private IAsker? _working;
    private Instant _aggressiveAt;

    /// <summary>Wrong passwords of XAuth.</summary>
    public GuessLimits Guesses { get; } = new();

    /// <summary>All SAs of IKEv1, for inspection.</summary>
    public IReadOnlyCollection<IsakmpSa> IsakmpSas => _isakmpById.Values;

    /// <summary>There is an SA of this number, of either version.</summary>
    public bool IsAlive(uint id) => _byId.ContainsKey(id) || _isakmpById.ContainsKey(id);

    public void Schedule(IsakmpSa sa, Instant at) => _isakmpTimers.Set(sa, at);

    public void StateChanged(IsakmpSa sa, IsakmpState was)
    {
        if (_isakmpByConnection.TryGetValue(sa.Connection.Name, out var phases)) phases.StateChanged(sa, was);
        if (was != IsakmpState.Connecting) return;
        EndHalfOpen(sa);
        Outgone(sa);
    }

    /// <summary>The address of a half-open responder's SA is verified: our cookie came back.</summary>
    public void Verified(IsakmpSa sa)
    {
        if (!sa.IsHalfOpen || !_isakmpFirstMessages.TryGetValue(sa, out var key)) return;
        _halfOpen.Remove(sa, key.Item1.Address, verified: false);
        _halfOpen.Add(sa, key.Item1.Address, verified: true);
        sa.IsVerified = true;
    }

    public void AddChild(IsakmpSa sa, ChildState child)
    {
        _isakmpByChild[child.Id] = sa;
        HoldTraffic(child);
    }

    /// <summary>Of a connection on which we begin phase 1 there are few.</summary>
    public bool HasOther(IsakmpSa sa) => OfIsakmp(sa.Connection.Name).All.Any(other => other != sa && other.State is IsakmpState.Established or IsakmpState.Passive && other.Remote.Address == sa.Remote.Address);

    /// <summary>Which SA tells the peer of a delete: the newest that has keys.</summary>
    public IsakmpSa? CarrierOf(IsakmpSa sa)
    {
        var holder = sa.Holder;
        if (holder.Keys is not null && holder.State is IsakmpState.Established or IsakmpState.Replaced) return holder;
        return HeirOf(holder);
    }

    /// <summary>The peer's identity, known now, leads to another connection than its address did. False when no connection accepts it.</summary>
    public bool TryAssign(IsakmpSa sa, Identity peer, bool aggressive)
    {
        var fits = sa.Connection.Remote.Id.Matches(peer) ? sa.Connection : null;
        // an exact identity beats a pattern
        if (fits?.Remote.Id.Exact is null)
        {
            foreach (var candidate in Index.Candidates(sa.Local.Address, sa.Remote.Address, IkeVersion.V1, peer))
            {
                if (candidate.Aggressive != aggressive || !SuiteChoice.Of(candidate, PhaseOne.MethodsOf(candidate, initiator: false)).Any(sa.Suite!.IsSame)) continue;
                if (fits is null || (fits.Remote.Id.Exact is null && candidate.Remote.Id.Exact is not null)) fits = candidate;
            }
        }

        if (fits is null) return false;
        if (!ReferenceEquals(fits, sa.Connection))
        {
            LeaveConnection(sa);
            sa.Connection = fits;
            OfIsakmp(fits.Name).Add(sa);
        }

        return true;
    }

    /// <summary>Whether the peer may have its identity (unique policy); what it replaces goes.</summary>
    public void Claim(IsakmpSa sa, bool initialContact, Action then, Action<NegotiationFailure> refused)
    {
        // users share the identity of phase 1: who is there shows XAuth
        if (sa.Suite!.IsUser(!sa.Initiator) && sa.User is null)
        {
            then();
            return;
        }

        Claim(sa, sa.Connection.Unique, initialContact, isBounded: true, claim =>
        {
            if (claim is { Granted: true })
            {
                then();
                ReplaceAll(claim.Replaces, sa, initialContact);
                return;
            }

            sa.HoldsIdentity = false;
            refused(claim?.Most > 0
                ? new NegotiationFailure("too-many", $"{Identities.Print(sa.PeerId)} has {claim.Most} phases 1 already", [], [], [], "at the peer: close those that are not used")
                : new NegotiationFailure("unique", $"{Identities.Print(sa.PeerId)} is connected already, and connections.{sa.Connection.Name}.unique = keep", [], [], [], $"here: set connections.{sa.Connection.Name}.unique = replace; or at the peer: close the other one"));
        });
    }

    /// <summary>The peer's identity is held by an SA that we began, too.</summary>
    public void ClaimOwn(IsakmpSa sa, bool initialContact) => Claim(sa, sa.Connection.Unique == UniquePolicy.Keep ? UniquePolicy.Never : sa.Connection.Unique, initialContact, isBounded: false, claim =>
    {
        if (claim is not null) ReplaceAll(claim.Replaces, sa, initialContact);
    });

    private void Claim(IsakmpSa sa, UniquePolicy policy, bool initialContact, bool isBounded, Action<Answer.Claim?> then)
    {
        OfIsakmp(sa.Connection.Name).Know(sa);
        // also when the answer never comes
        sa.HoldsIdentity = true;
        Ask(sa, new Ask.ClaimIdentity(sa.Id, sa.Connection.Name, sa.LocalId!, sa.PeerId!, policy, initialContact) { SameHost = SameHost(sa), Begun = sa.Created, IsBounded = isBounded }, answer => then(answer as Answer.Claim));
    }

    /// <summary>Both sides are authenticated; with remote access the user and its address are not there yet.</summary>
    public void Establish(IsakmpSa sa, bool initialContact)
    {
        if (!RemoteAccess.TryBegin(sa, initialContact)) Admit(sa, initialContact);
        sa.TakeEarly();
    }

    /// <summary>Phase 1 and all that belongs to it is done.</summary>
    public void Admit(IsakmpSa sa, bool initialContact)
    {
        (sa.Established, sa.Proven) = (Now, Moment);
        OfIsakmp(sa.Connection.Name).Know(sa);
        sa.State = IsakmpState.Established;
        sa.ExpireAt = Instant.Never;
        PhaseLifetimes.Begin(sa);
        sa.Report.Add(Now, StepDirection.Here, $"phase 1 established between {Identities.Print(sa.LocalId)} and {Identities.Print(sa.RemoteId)}");
        Raise(new IkeSaUp(sa.Local, sa.Remote, Identities.Print(sa.LocalId), Identities.Print(sa.RemoteId), sa.Initiator) { Connection = sa.Connection.Name, IkeId = sa.Id });
        if (sa.LocalBehindNat) Emit(new IkeAction.Keepalive(sa.Id, sa.Local, sa.Remote, true));
        Adopt(sa, initialContact);
        sa.EndRenewal();
        if (sa.Initiator) ClaimOwn(sa, initialContact: false);
        foreach (var command in sa.Waiting) Complete(command, new CommandResult(true, Matches: 1, Done: 1));
        sa.Waiting.Clear();
        if (sa.Initiator && sa.Wanted.Count == 0)
        {
            ReportDone(sa, null, null);
            Succeeded(sa.Connection);
        }

        var carrier = sa.Holder;
        while (sa.Wanted.TryDequeue(out var request)) QuickInitiator.Start(carrier, request, OldPairOf(carrier, request));
        sa.Reschedule();
    }

    /// <summary>The peer deleted phase 1. Its children live on: with another phase 1 if there is one.</summary>
    public void PeerDeleted(IsakmpSa sa)
    {
        if (sa.Mode is { } mode)
        {
            mode.Fail(PhaseFailures.Rejected(sa, NotifyV1.AuthenticationFailed), null);
            return;
        }

        if (sa.Access is not null)
        {
            PhaseLifetimes.Fail(sa, PhaseFailures.Rejected(sa, NotifyV1.AuthenticationFailed) with { Sentence = $"the peer ended phase 1 during {(sa.Access.Task == Transaction.Xauth ? "XAuth" : "Mode Config")}" });
            return;
        }

        if (sa.Successor is not null)
        {
            sa.Close("reauthenticated", "the peer deleted what it had replaced");
            return;
        }

        if (HeirOf(sa) is null && sa.Replaced.Where(other => other.State == IsakmpState.Replaced).MaxBy(other => other.Id) is { } older)
        {
            // the peer holds another one for the newer of the two
            (older.Successor, older.State) = (null, IsakmpState.Established);
            PhaseLifetimes.Resume(older);
            if (older.LocalBehindNat) Emit(new IkeAction.Keepalive(older.Id, older.Local, older.Remote, true));
        }

        if (HeirOf(sa) is { } heir)
        {
            Move(sa, heir, isOurs: false);
            sa.Close("reauthenticated", "the peer deleted one of two");
            return;
        }

        sa.Retire("peer-deleted", "the peer deleted phase 1");
    }

    /// <summary>A pair is closed on purpose: what is under way to replace it stops, and the peer, which may have its half of it already, is told.</summary>
    /// <param name="sa">Which has the pair; quick mode may run under one that it has replaced.</param>
    /// <param name="child">The pair.</param>
    public static void StopRekeying(IsakmpSa sa, ChildState child)
    {
        foreach (var quick in sa.Replaced.Prepend(sa).SelectMany(one => one.OpenExchanges).OfType<QuickInitiator>().Where(quick => quick.Old == child).ToArray()) quick.Withdraw();
    }

    /// <summary>A pair is gone before the peer had finished its quick mode: message 2 is not sent again.</summary>
    /// <param name="sa">Which has the pair; quick mode may run under one that it has replaced.</param>
    /// <param name="child">The pair.</param>
    public static void StopMaking(IsakmpSa sa, ChildState child)
    {
        foreach (var quick in sa.Replaced.Prepend(sa).SelectMany(one => one.OpenExchanges).OfType<QuickResponder>().Where(quick => quick.Child == child).ToArray()) quick.Stop();
    }

    /// <summary>What a phase 1 has replaced ends with it: its children are nowhere else.</summary>
    public static void EndReplacedBy(IsakmpSa sa)
    {
        foreach (var older in sa.Replaced.ToArray())
        {
            older.Inform(builder => builder.Delete(ProtocolId.Ike, older.Cookies()));
            older.Close("reauthenticated", "what had replaced it is over");
        }
    }

    /// <summary>A negotiation is over: its report goes out. Returns it.</summary>
    public NegotiationReport? ReportDone(IsakmpSa sa, string? child, NegotiationFailure? failure)
    {
        if (sa.Report.Ended || (sa.IsHalfOpen && !MayReportRefusal())) return null;
        if (failure is not null) sa.Report.Add(Now, StepDirection.Here, failure.Sentence);
        var report = sa.Report.Build(sa.Connection.Name, child, sa.Local, sa.Remote, Now, failure);
        Raise(new NegotiationEnded(report) { Connection = sa.Connection.Name, IkeId = sa.Id });
        return report;
    }

    /// <summary>An error that nobody can authenticate, for the peer's log: one for each message that caused it.</summary>
    public void TellInClear(IsakmpSa sa, NotifyV1 error) => SendClear(sa.Local, sa.Remote, sa.CookieI, sa.CookieR, error, int.MaxValue);

    public void Forget(IsakmpSa sa, string reason)
    {
        EndHalfOpen(sa);
        _isakmpTimers.Remove(sa);
        if (_isakmpFirstMessages.Remove(sa, out var key)) _isakmpByFirstMessage.Remove(key);
        _byCookie.Remove(sa.OwnCookie.Value);
        _isakmpById.Remove(sa.Id);
        sa.Successor?.Replaced.Remove(sa);
        LeaveConnection(sa);
        foreach (var ask in sa.Asks) _asks.Remove(ask);
        sa.Asks.Clear();
        if (sa.Initiator && sa.Established == default && sa.Renews is null or { IsClosed: true } && reason is not ("down" or "shutdown")) RetryStarted(sa.Connection);
    }

    private ConnectionPhases OfIsakmp(string name)
    {
        if (!_isakmpByConnection.TryGetValue(name, out var phases)) _isakmpByConnection.Add(name, phases = new ConnectionPhases());
        return phases;
    }

    private void LeaveConnection(IsakmpSa sa)
    {
        if (!_isakmpByConnection.TryGetValue(sa.Connection.Name, out var phases)) return;
        phases.Remove(sa);
        if (phases.IsEmpty) _isakmpByConnection.Remove(sa.Connection.Name);
    }

    private void Add(IsakmpSa sa)
    {
        _byCookie[sa.OwnCookie.Value] = sa;
        _isakmpById[sa.Id] = sa;
        OfIsakmp(sa.Connection.Name).Add(sa);
    }

    private void EndHalfOpen(IsakmpSa sa)
    {
        if (!sa.IsHalfOpen) return;
        sa.IsHalfOpen = false;
        if (_isakmpFirstMessages.TryGetValue(sa, out var key)) _halfOpen.Remove(sa, key.Item1.Address, sa.IsVerified);
    }

    private ImmutableArray<uint> SameHost(IsakmpSa sa) => [.. OfIsakmp(sa.Connection.Name).WithPeerOf(sa).Where(other => other != sa && IsSamePeer(other, sa)).Select(other => other.Id)];

    private static bool IsSamePeer(IsakmpSa one, IsakmpSa other) => one.RemoteId is not null && one.RemoteId.Equals(other.RemoteId) && Equals(one.User, other.User) && Equals(one.LocalId, other.LocalId) && one.Remote.Address == other.Remote.Address && (!other.RemoteBehindNat || one.Remote.Port == other.Remote.Port);

    private IsakmpSa? HeirOf(IsakmpSa sa) => OfIsakmp(sa.Connection.Name).WithPeerOf(sa).Where(other => other != sa && other.State == IsakmpState.Established && IsSamePeer(other, sa)).MaxBy(other => other.Id);

    private void ReplaceAll(ImmutableArray<uint> ids, IsakmpSa by, bool initialContact)
    {
        foreach (var id in ids)
        {
            if (!_isakmpById.TryGetValue(id, out var old) || old == by || old.Successor is not null || old.State == IsakmpState.Connecting) continue;
            // what both sides began at the same time is settled when it is adopted: the peer that had this one already would not have called the other its first
            if (IsSamePeer(old, by) && (!initialContact || old.Proven > by.Began)) continue;
            old.Close("replaced", "the same peer connected anew");
        }
    }

    /// <summary>The new one is another engine's.</summary>
    private void ReplaceV1(IkeCommand.Replace command)
    {
        if (_isakmpById.TryGetValue(command.IkeId, out var old) && old.State is IsakmpState.Established or IsakmpState.Passive && old.Established <= command.Begun) old.Close("replaced", "the same peer connected anew");
    }

    /// <summary>
    /// The older phases 1 with the same peer give their children away. Of two that both sides began at the same time the one with the higher initiator's cookie stays, and who began the other one deletes it; else who
    /// began the new one deletes the old one. So never do both sides delete a different one; where they see the order differently, the delete of what one of them uses brings both together.
    /// </summary>
    private void Adopt(IsakmpSa sa, bool initialContact)
    {
        IEnumerable<IsakmpSa> others = OfIsakmp(sa.Connection.Name).WithPeerOf(sa).Where(other => other != sa && IsSamePeer(other, sa));
        if (sa.Renews is { } old) others = others.Append(old).Distinct();
        foreach (var other in others.Where(other => other.State is IsakmpState.Established or IsakmpState.Passive).OrderBy(other => other.Id).ToArray())
        {
            // the peer has lost the older ones
            if (initialContact && other.Proven <= sa.Began) continue;
            var crossed = other.State == IsakmpState.Established && other.Proven > sa.Began && sa.Renews != other;
            if (crossed && other.CookieI.Value > sa.CookieI.Value)
            {
                Move(sa, other, isOurs: sa.Initiator);
                return;
            }

            // the peer may have seen the end of the one before it saw the beginning of the other, and use the newer one: our delete tells it
            Move(other, sa, isOurs: crossed ? other.Initiator : sa.Initiator);
        }
    }

    /// <param name="from">Is replaced.</param>
    /// <param name="to">Takes its children.</param>
    /// <param name="isOurs">It is ours to delete the replaced one; else the peer does so, or time.</param>
    private void Move(IsakmpSa from, IsakmpSa to, bool isOurs)
    {
        foreach (var child in from.Children.Values.ToArray())
        {
            if (to.Children.ByOutbound(child.Outbound) is not null)
            {
                from.RemoveChild(child, "redundant", "the peer uses an SPI twice");
                continue;
            }

            from.Children.Remove(child);
            to.Children.Add(child);
            child.IsDoubtful |= from.State == IsakmpState.Passive;
            _isakmpByChild[child.Id] = to;
            if (from.Local != to.Local || from.Remote != to.Remote) Emit(new IkeAction.MoveChild(child.Id, to.Local, to.Remote, child.Encapsulated, to.LocalBehindNat));
        }

        from.Successor = to;
        foreach (var older in from.Replaced.ToArray()) older.Successor = to;
        if (from.LocalBehindNat) Emit(new IkeAction.Keepalive(from.Id, from.Local, from.Remote, false));
        Raise(new IkeSaReauthenticated(to.Id) { Connection = from.Connection.Name, IkeId = from.Id });
        if (from.State == IsakmpState.Passive)
        {
            from.Close("reauthenticated", "replaced by a newer phase 1");
            return;
        }

        from.State = IsakmpState.Replaced;
        (from.RekeyAt, from.DpdAt) = (Instant.Never, Instant.Never);
        from.Probe.Stop();
        from.ExpireAt = Instant.Min(from.ExpireAt, Now + (isOurs ? ProtocolTimes.RetireSoon : ProtocolTimes.DeleteWait));
        from.Reschedule();
        to.Reschedule();
    }

    /// <summary>The pair that a rekeying is to replace.</summary>
    public static ChildState? OldPairOf(IsakmpSa sa, ChildRequest request) =>
        request.Part is { } part ? sa.Children.Values.FirstOrDefault(child => child.Phase == ChildPhase.Rekeying && child.Config.Name == request.Config.Name && QuickInstall.PartOf(child) is var (local, remote) && local.SequenceEqual(part.Local) && remote.SequenceEqual(part.Remote)) : null;

    /// <summary>A version 1 message. False when nothing here speaks that version with this peer.</summary>
    private bool TryReceiveV1(in IkeHeader header, Endpoint local, Endpoint remote, ReadOnlySpan<byte> message, out DropReason drop)
    {
        drop = DropReason.BadHeader;
        if (_isakmpById.Count > 0 && Find(header) is { } sa)
        {
            _working = sa;
            drop = sa.Receive(header, local, remote, message);
            return true;
        }

        if (!Index.FirstCandidates(local.Address, remote.Address, IkeVersion.V1).Any()) return false;
        if (header.InitiatorSpi.IsZero) return true;
        drop = header.ResponderSpi.IsZero && header.Exchange is ExchangeType.IdentityProtection or ExchangeType.Aggressive ? ReceiveFirstV1(header, local, remote, message) : DropReason.UnknownSpi;
        return true;
    }

    private IsakmpSa? Find(in IkeHeader header)
    {
        // as responder we chose the second cookie, as initiator the first; the other one must fit
        if (!header.ResponderSpi.IsZero && _byCookie.TryGetValue(header.ResponderSpi.Value, out var sa) && !sa.Initiator) return sa.CookieI == header.InitiatorSpi ? sa : null;
        if (!_byCookie.TryGetValue(header.InitiatorSpi.Value, out sa) || !sa.Initiator) return null;
        // refusals in clear may come with another second cookie, or none
        return sa.CookieR.IsZero || sa.CookieR == header.ResponderSpi || (header.Exchange == ExchangeType.InformationalV1 && (header.Flags & 1) == 0) ? sa : null;
    }

    private DropReason ReceiveFirstV1(in IkeHeader header, Endpoint local, Endpoint remote, ReadOnlySpan<byte> message)
    {
        if (header.MessageId != 0 || (header.Flags & 1) != 0) return DropReason.BadFlags;
        var digest = MessageDigest.Of(message);
        if (_isakmpByFirstMessage.TryGetValue((remote, digest), out var known)) return known.Repeat(local, remote);
        // IKEv1 has no cookies that prove an address before there is state: the share of each is all there is
        var share = _halfOpen.Of(remote.Address);
        if (share.Verified >= Options.HalfOpenPerPrefix || (share.Unverified >= Options.HalfOpenPerPrefix && _halfOpen.Yielding(remote.Address, Now) is null)) return DropReason.HalfOpenPerPrefix;
        if (_halfOpen.Count >= Options.HalfOpenLimit && _halfOpen.Yielding(null, Now) is null) return DropReason.HalfOpenLimit;
        var aggressive = header.Exchange == ExchangeType.Aggressive;
        var kind = aggressive ? MessageKind.Aggressive1 : MessageKind.Main1;
        if (ChainView.TryParse((PayloadV1)header.NextPayload, message[IkeHeader.Length..], decrypted: false, out var view) != ParseError.None || MessageRules.Check(kind, view) is not null) return DropReason.Malformed;
        view.TryGet(PayloadV1.Sa, out var body);
        _ = SaBody.TryParse(body, out var offers);
        if (Choose(local, remote, aggressive, offers, view, out var rejected) is not { } choice)
        {
            if (MayReportRefusal()) ReportRefusal(kind, view, local, remote, rejected?.Candidate.Name ?? "", rejected is null ? NoConnection(remote) : Explain(rejected.Value, aggressive, offers, view));
            // silence in aggressive mode: who asks learns nothing of what is here
            if (!aggressive && rejected is { Why: Rejection.Proposal }) return SendClear(local, remote, header.InitiatorSpi, default, NotifyV1.NoProposalChosen, message.Length);
            return DropReason.NoConnection;
        }

        if (aggressive && !MayAnswerAggressive()) return DropReason.HalfOpenLimit;
        if (share.Unverified >= Options.HalfOpenPerPrefix) MakeRoom(remote.Address, DropReason.HalfOpenPerPrefix);
        MakeRoom();
        var sa = new IsakmpSa(this, NewId(), choice.Connection, initiator: false, local, remote) { CookieI = header.InitiatorSpi, CookieR = NewIkeSpi() };
        _working = sa;
        Add(sa);
        sa.IsHalfOpen = true;
        sa.ExpireAt = Now + _halfOpen.Timeout;
        _isakmpByFirstMessage[(remote, digest)] = sa;
        _isakmpFirstMessages[sa] = (remote, digest);
        _halfOpen.AddYielding(sa, remote.Address, Now);
        var drop = sa.Begin(kind, view, digest, choice.Suite, choice.Answer, message.Length);
        if (drop != DropReason.None) sa.Close("refused", "its first message cannot be answered");
        return drop;
    }

    /// <summary>The table is full: the oldest that nobody has verified goes.</summary>
    private void MakeRoom()
    {
        if (_halfOpen.Count >= Options.HalfOpenLimit) MakeRoom(null, DropReason.HalfOpenLimit);
    }

    private void MakeRoom(IpAddress? source, DropReason reason)
    {
        if (_halfOpen.Yielding(source, Now) is not { } oldest) return;
        Counters.Drops[(int)reason]++;
        oldest.Close("half-open", "newer ones wanted its place");
    }

    /// <summary>How near a connection came to taking a first message, the nearest last.</summary>
    private enum Rejection
    {
        Mode,
        Identity,
        Proposal,
        AggressivePsk,
    }

    private (Connection Connection, IsakmpSuite Suite, ProposalV1 Answer)? Choose(Endpoint local, Endpoint remote, bool aggressive, ImmutableArray<ProposalV1> offers, scoped in ChainView view, out (Connection Candidate, Rejection Why)? rejected)
    {
        rejected = null;
        var peer = aggressive ? IdentityIn(view) : null;
        // anybody can make us do this: what is offered is read once, and refusals are put into words only where somebody is to read them
        var read = SuiteChoice.Readable(offers);
        foreach (var candidate in Index.FirstCandidates(local.Address, remote.Address, IkeVersion.V1).Concat(peer is null ? [] : Index.Candidates(local.Address, remote.Address, IkeVersion.V1, peer)))
        {
            var why = Rejection.AggressivePsk;
            // R44: only the mode that is configured
            if (candidate.Aggressive != aggressive) why = Rejection.Mode;
            else if (peer is not null && !candidate.Remote.Id.Matches(peer)) why = Rejection.Identity;
            else if (SuiteChoice.Select(SuiteChoice.Of(candidate, PhaseOne.MethodsOf(candidate, initiator: false)), read) is not { } found) why = Rejection.Proposal;
            else if (!aggressive || !found.Suite.UsesPsk || candidate.AggressivePsk) return (candidate, found.Suite, found.Answer);
            if (rejected is null || why > rejected.Value.Why) rejected = (candidate, why);
        }

        return null;
    }

    private static Identity? IdentityIn(scoped in ChainView view) => view.TryGet(PayloadV1.Id, out var id) && IdBody.TryParse(id, out var read) == ParseError.None ? new Identity((IdType)read.Type, [.. read.Data]) : null;

    private static NegotiationFailure NoConnection(Endpoint remote) => new("no-connection", $"no IKEv1 connection is for {remote}", [], [], [], "here: add a connection with version = 1 for it");

    private static NegotiationFailure Explain((Connection Candidate, Rejection Why) rejected, bool aggressive, ImmutableArray<ProposalV1> offers, scoped in ChainView view)
    {
        var candidate = rejected.Candidate;
        switch (rejected.Why)
        {
            case Rejection.Mode:
                return PhaseFailures.WrongMode(candidate, aggressive);
            case Rejection.Identity:
                var peer = IdentityIn(view);
                return new NegotiationFailure("identity", $"the peer calls itself {Identities.Print(peer)}, connections.{candidate.Name}.remote.id accepts {candidate.Remote.Id}", [Identities.Print(peer)], [candidate.Remote.Id.Text], [], $"here: set connections.{candidate.Name}.remote.id = {Identities.Print(peer)}; or at the peer: set its local id to {candidate.Remote.Id}");
            case Rejection.Proposal:
                return PhaseFailures.NoProposal(candidate, SuiteChoice.Of(candidate, PhaseOne.MethodsOf(candidate, initiator: false)), offers);
            default:
                return PhaseFailures.AggressivePsk(candidate);
        }
    }

    /// <summary>While somebody floods us aggressive mode is answered only so often in all: it costs a key exchange, and often a signature, for whoever forges an address.</summary>
    private bool MayAnswerAggressive()
    {
        if (!_halfOpen.IsUnderAttack) return true;
        if (_aggressiveAt > Now + TimeSpan.FromSeconds(1)) return false;
        _aggressiveAt = (_aggressiveAt > Now ? _aggressiveAt : Now) + TimeSpan.FromSeconds(1.0 / ProtocolTimes.AggressivePerSecond);
        return true;
    }

    private void ReportRefusal(MessageKind kind, scoped in ChainView view, Endpoint local, Endpoint remote, string connection, NegotiationFailure failure)
    {
        var builder = new ReportBuilder(Now, initiator: false);
        builder.Add(Now, StepDirection.In, MessageNames.Describe(kind, view), MessageNames.Details(view));
        builder.Add(Now, StepDirection.Here, failure.Sentence);
        Raise(new NegotiationEnded(builder.Build(connection, null, local, remote, Now, failure)) { Connection = connection });
    }

    private DropReason SendClear(Endpoint local, Endpoint remote, IkeSpi cookieI, IkeSpi cookieR, NotifyV1 error, int requestLength)
    {
        var id = 0u;
        while (id == 0) id = Entropy.NextUInt32();
        var message = new ChainBuilder().Notify(ProtocolId.Ike, default, error)
            .ToMessage(new IkeHeader { InitiatorSpi = cookieI, ResponderSpi = cookieR, MajorVersion = 1, Exchange = ExchangeType.InformationalV1, MessageId = id });
        // Amplification: never more octets than came
        if (message.Length > requestLength) return DropReason.Amplification;
        Emit(new IkeAction.Send(local, remote, message, NeedsMarker(local)));
        return DropReason.None;
    }
}
