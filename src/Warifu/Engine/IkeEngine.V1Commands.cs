using System.Collections.Generic;
using System.Linq;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V1;

namespace Warifu.Engine;

/// <summary>Commands and events for connections of IKEv1.</summary>
internal sealed partial class IkeEngine
{
    private Instant _lostV1At;

    /// <summary>Phase 1 anew beside <paramref name="old"/>, on the path that works.</summary>
    public IsakmpSa Renew(IsakmpSa old, CommandId command)
    {
        var sa = BeginV1(old.Connection, old.Local, old.Remote, [], command.Value == 0 ? [] : [command], old);
        return sa;
    }

    /// <summary>A pair whose phase 1 is over wants a new one.</summary>
    public void WantRekey(IsakmpSa sa, ChildRequest request)
    {
        var holder = sa.Holder;
        if (holder.State == IsakmpState.Established)
        {
            QuickInitiator.Start(holder, request, OldPairOf(holder, request));
            return;
        }

        if (OfIsakmp(sa.Connection.Name).RenewalOf(holder) is { } under)
        {
            under.Wanted.Enqueue(request);
            return;
        }

        BeginV1(holder.Connection, holder.Local, holder.Remote, [request], [], holder);
    }

    private IsakmpSa BeginV1(Connection connection, Endpoint local, Endpoint remote, IEnumerable<ChildRequest> children, IEnumerable<CommandId> waiting, IsakmpSa? renews)
    {
        var sa = new IsakmpSa(this, NewId(), connection, initiator: true, local, remote) { CookieI = NewIkeSpi(), Renews = renews };
        foreach (var child in children) sa.Wanted.Enqueue(child);
        sa.Waiting.AddRange(waiting);
        Outgoing(sa, remote);
        Add(sa);
        sa.Mode = connection.Aggressive ? new AggressiveMode(sa) : new MainMode(sa);
        sa.Mode.Start();
        sa.Reschedule();
        return sa;
    }

    /// <summary>A round of retransmissions of the first message had no answer: the peer's name may mean another address by now, and the way to it may begin at another one of ours.</summary>
    public void TryAgain(IsakmpSa sa)
    {
        if (sa.Connection.RemoteAddresses.FirstOrDefault(pattern => pattern.Single is not null || pattern.DnsName is not null)?.DnsName is not { } name)
        {
            FindLocalAgain(sa);
            return;
        }

        Ask(sa, new Ask.Resolve(name), answer =>
        {
            if (!sa.IsBetweenRounds) return;
            if (answer is Answer.Addresses { Values: { Length: > 0 } found } && !found.Contains(sa.Remote.Address) && found.FirstOrDefault(address => address.Version == sa.Local.Address.Version) is { IsNone: false } first)
            {
                sa.Report.Add(Now, StepDirection.Here, $"{name} is {first} now");
                sa.Remote = sa.Remote with { Address = first };
            }

            FindLocalAgain(sa);
        });
    }

    private void FindLocalAgain(IsakmpSa sa)
    {
        // message 1 of aggressive mode says who we are: without an identity that is the address
        if (sa.Connection.LocalAddresses.Any(pattern => pattern.Single is not null) || (sa.Connection.Aggressive && sa.Connection.Local.Id is null))
        {
            sa.BeginRound();
            return;
        }

        Ask(sa, new Ask.SourceAddress(sa.Remote.Address), answer =>
        {
            if (!sa.IsBetweenRounds) return;
            if (answer is Answer.Addresses { Values: [var best, ..] } && best != sa.Local.Address)
            {
                sa.Report.Add(Now, StepDirection.Here, $"the way to {sa.Remote.Address} begins at {best} now");
                sa.Local = sa.Local with { Address = best };
            }

            sa.BeginRound();
        });
    }

    private IsakmpSa? CurrentV1(string connection) => _isakmpByConnection.GetValueOrDefault(connection)?.Current;

    /// <summary>What was wanted of a phase 1 that the peer has lost.</summary>
    public void WantAnew(Connection connection, ChildRequest request)
    {
        // the policy may have another connection by now, or none
        if (Index.Find(connection.Name) is { Version: IkeVersion.V1 } current && current.Children.Any(child => child.Name == request.Config.Name)) WantV1(current, request);
        else Complete(request.Command, new CommandResult(false, "its configuration was changed or removed"));
    }

    /// <summary>Makes a child under the phase 1 that is there, or under one that comes.</summary>
    private void WantV1(Connection connection, ChildRequest request)
    {
        var sa = CurrentV1(connection.Name);
        if (sa is { State: IsakmpState.Established })
        {
            QuickInitiator.Start(sa, request);
            return;
        }

        if (sa is not null) sa.Wanted.Enqueue(request);
        else if (_initiating.TryGetValue(connection.Name, out var under)) under.Children.Add(request);
        else Initiate(new Initiation(connection) { Children = { request } });
    }

    /// <summary>One negotiation for each pair of selectors is enough.</summary>
    private bool IsUnderWayV1(Connection connection, Child child, DataPlaneEvent.Acquire packet) =>
        CurrentV1(connection.Name) is { } sa && (sa.State == IsakmpState.Connecting || sa.OpenExchanges.OfType<QuickInitiator>().Any(quick => quick.IsFor(child.Name, packet.Local, packet.Remote)));

    private IsakmpSa[] TargetsV1(SaTarget target, bool established = false) =>
        [.. _isakmpById.Values.Where(sa => (established ? sa.State == IsakmpState.Established : sa.State is not (IsakmpState.Closed or IsakmpState.Replaced)) && (target.Connection is null || sa.Connection.Name == target.Connection) && (target.IkeId == 0 || sa.Id == target.IkeId))];

    private static (IsakmpSa Sa, ChildState Child)[] ChildrenV1(IsakmpSa[] sas, SaTarget target) =>
        [.. sas.SelectMany(sa => sa.Children.Values.Where(child => child.IsLive && (target.Child is null || child.Config.Name == target.Child) && (target.ChildId == 0 || child.Id == target.ChildId)).Select(child => (sa, child)))];

    private void HandleV1(DataPlaneEvent happening)
    {
        switch (happening)
        {
            case DataPlaneEvent.SoftLimit soft when _isakmpByChild.TryGetValue(soft.Id, out var sa) && sa.Children.TryGetValue(soft.Id, out var child):
                PhaseLifetimes.Rekey(sa, child);
                break;
            case DataPlaneEvent.HardLimit hard when _isakmpByChild.TryGetValue(hard.Id, out var sa) && sa.Children.TryGetValue(hard.Id, out var child):
                PhaseLifetimes.Delete(sa, child, "expired");
                sa.Reschedule();
                break;
            case DataPlaneEvent.PeerMoved moved when _isakmpByChild.TryGetValue(moved.Id, out var sa):
                sa.PeerMoved(moved.Remote);
                break;
        }
    }

    /// <summary>A packet on a pair that we have not: nobody answers a delete, so one that was lost is told again, under the phase 1 that there is.</summary>
    private void TellLostV1(DataPlaneEvent.UnknownSpi packet)
    {
        if (_isakmpById.Count == 0 || _childSpis.Contains(packet.Spi.Value) || Now < _lostV1At) return;
        var sas = _isakmpById.Values.Where(sa => sa.State == IsakmpState.Established && sa.Remote.Address == packet.Remote.Address).ToArray();
        if ((sas.FirstOrDefault(sa => sa.Remote == packet.Remote) ?? sas.MaxBy(sa => sa.Id)) is not { } sa) return;
        _lostV1At = Now + ProtocolTimes.LostInterval;
        PhaseLifetimes.TellDeleted(sa, packet.Protocol, packet.Spi);
    }

    private void AdoptV1(string connection, Connection now)
    {
        if (!_isakmpByConnection.TryGetValue(connection, out var phases)) return;
        foreach (var sa in phases.All.ToArray())
        {
            sa.Connection = now;
            foreach (var child in sa.Children.Values.Where(child => child.IsLive && !now.Children.Any(other => PolicyDiff.Same(child.Config, other))).ToArray()) PhaseLifetimes.Delete(sa, child, "down");
        }
    }

    private void EndV1(string connection)
    {
        if (!_isakmpByConnection.TryGetValue(connection, out var phases)) return;
        foreach (var sa in phases.All.ToArray()) PhaseLifetimes.Delete(sa, "down", "its configuration was changed or removed");
    }

    private IEnumerable<IkeSaSnapshot> SnapshotsV1() => _isakmpById.Values.OrderBy(sa => sa.Id).Select(sa => new IkeSaSnapshot
    {
        Id = sa.Id,
        Version = IkeVersion.V1,
        Connection = sa.Connection.Name,
        State = sa.State switch
        {
            IsakmpState.Connecting => "CONNECTING",
            IsakmpState.Established => sa.HasRenewal ? "REKEYING" : "ESTABLISHED",
            IsakmpState.Replaced => "REKEYED",
            IsakmpState.Passive => "PASSIVE",
            _ => "DELETING",
        },
        Local = sa.Local,
        Remote = sa.Remote,
        LocalId = sa.LocalId,
        RemoteId = sa.RemoteId,
        Initiator = sa.Initiator,
        InitiatorSpi = sa.CookieI,
        ResponderSpi = sa.CookieR,
        NatLocal = sa.LocalBehindNat,
        NatRemote = sa.RemoteBehindNat,
        RemoteUser = sa.User,
        LocalVips = sa.Virtual?.Local ?? [],
        RemoteVips = sa.Virtual?.Remote ?? [],
        Proposal = sa.Suite?.AsProposal(),
        Established = sa.Established == default ? null : sa.Established,
        // in IKEv1 each new phase 1 is an authentication; who reads it knows the time by the name of the setting
        RekeyAt = PhaseLifetimes.IsByReauthTime(sa.Connection) ? null : Known(sa.RekeyAt),
        ReauthAt = PhaseLifetimes.IsByReauthTime(sa.Connection) ? Known(sa.RekeyAt) : null,
        ExpireAt = Known(sa.ExpireAt),
        TasksQueued = [.. sa.Wanted.Select(_ => "QUICK_MODE")],
        TasksActive = sa.Mode is { } mode ? [mode.Exchange == ExchangeType.Aggressive ? "AGGRESSIVE_MODE" : "MAIN_MODE"] : sa.Access is { } access ? [access.Task] : [.. sa.OpenExchanges.Select(exchange => exchange.Task)],
        Children = [.. sa.Children.Values.OrderBy(child => child.Id).Select(Snapshot)],
    });
}
