using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V1;
using Warifu.V2;
using Warifu.V2.Exchanges;

namespace Warifu.Engine;

/// <summary>Commands of the host, start actions, acquires and retries.</summary>
internal sealed partial class IkeEngine
{
    private readonly Dictionary<ulong, Gather> _gathers = [];
    private readonly Dictionary<string, Initiation> _initiating = new(StringComparer.Ordinal);
    private readonly TimerHeap<Retry> _retries = new();
    private readonly Dictionary<(string Connection, string Child), Retry> _retriesByName = [];
    private readonly Dictionary<string, int> _attempts = new(StringComparer.Ordinal);
    private readonly HashSet<(string Connection, string Child)> _policies = [];
    private readonly Dictionary<string, MessageCounters> _counters = new(StringComparer.Ordinal);
    private readonly Dictionary<IAsker, Endpoint> _outgoing = [];
    private readonly Dictionary<Endpoint, int> _outgoingTo = [];
    private readonly Queue<(Initiation Initiation, IpAddress Local, IpAddress Remote)> _waiting = new();
    private CommandId _shutdown;

    /// <summary>The host's addresses that peers may use, as far as it has told them.</summary>
    public ImmutableArray<IpAddress> OwnAddresses { get; private set; } = [];

    /// <summary>Counters of a connection; those of removed ones are forgotten.</summary>
    public MessageCounters CountersOf(string connection)
    {
        if (!_counters.TryGetValue(connection, out var counters))
        {
            counters = new MessageCounters();
            // an SA may outlive its connection for the moment that its delete takes
            if (Index.Find(connection) is not null) _counters.Add(connection, counters);
        }

        return counters;
    }

    /// <summary>Tells a command's end, once; command zero is nobody.</summary>
    public void Complete(CommandId id, CommandResult result)
    {
        if (id.Value == 0) return;
        if (!_gathers.TryGetValue(id.Value, out var gather))
        {
            Emit(new IkeAction.Complete(id, result));
            return;
        }

        gather.Matches++;
        if (result.Success) gather.Done++;
        else gather.Failure ??= result;
        if (--gather.Left > 0) return;
        _gathers.Remove(id.Value);
        Emit(new IkeAction.Complete(id, new CommandResult(gather.Failure is null, gather.Failure?.Message ?? "", gather.Matches, gather.Done, gather.Failure?.Report)));
    }

    /// <summary>Start, close and dead-peer actions.</summary>
    public void Act(Connection connection, Child child, StartAction action)
    {
        // the configuration may have changed since
        if (_shutdown.Value != 0 || Index.Find(connection.Name) is not { } current || current.Children.FirstOrDefault(other => other.Name == child.Name) is not { } now) return;
        if (action is StartAction.Trap or StartAction.TrapAndStart) Trap(current, now);
        if (action is StartAction.Start or StartAction.TrapAndStart) RetryAfter(connection.Name, child.Name, ProtocolTimes.RetryFirst + Entropy.NextSpan(ProtocolTimes.RetryFirst));
    }

    /// <summary>The peer refused a child. One that must stay up is tried again, later and later.</summary>
    public void ChildRefused(Connection connection, Child child)
    {
        if (_shutdown.Value != 0 || connection.KeyingTries != 0 || child.StartAction is not (StartAction.Start or StartAction.TrapAndStart)) return;
        RetryAfter(connection.Name, child.Name, BackOff(connection.Name));
    }

    /// <summary>What was wanted is up: the next trouble starts with short waits again.</summary>
    public void Succeeded(Connection connection) => _attempts.Remove(connection.Name);

    /// <summary>Commands that wanted only the IKE SA.</summary>
    public void Established(IkeSa sa)
    {
        foreach (var command in sa.Waiting) Complete(command, new CommandResult(true, Matches: 1, Done: 1));
        sa.Waiting.Clear();
    }

    private void Execute(IkeCommand command)
    {
        switch (command)
        {
            case IkeCommand.Load load:
                Load(load.Policy);
                Complete(load.Id, new CommandResult(true));
                break;
            case IkeCommand.Up up:
                Up(up);
                break;
            case IkeCommand.Down down:
                Down(down.Id, down.Target, down.Force);
                break;
            case IkeCommand.Rekey rekey:
                Rekey(rekey.Id, rekey.Target);
                break;
            case IkeCommand.Reauth reauth:
                Reauthenticate(reauth.Id, reauth.Target);
                break;
            case IkeCommand.Hold hold:
                Complete(hold.Id, new CommandResult(Switch(hold)));
                break;
            case IkeCommand.CookieSecret cookie:
                _cookies.Rotate(cookie.Version, cookie.Secret);
                Complete(cookie.Id, new CommandResult(true));
                break;
            case IkeCommand.Addresses addresses:
                OwnAddresses = addresses.Own;
                foreach (var sa in _byId.Values.ToArray())
                {
                    if (sa.State == IkeState.Connecting) LeaveAddress(sa);
                    else Mobike.OwnAddressesChanged(sa);
                }

                Complete(addresses.Id, new CommandResult(true));
                break;
            case IkeCommand.Replace replace:
                Replace(replace);
                Complete(replace.Id, new CommandResult(true));
                break;
            case IkeCommand.Shutdown shutdown:
                _shutdown = shutdown.Id;
                foreach (var name in _initiating.Keys.ToArray()) GiveUpInitiation(name, "the daemon ends");
                foreach (var retry in _retriesByName.Values) _retries.Remove(retry);
                _retriesByName.Clear();
                var all = _byId.Values.ToArray();
                var allV1 = _isakmpById.Values.ToArray();
                Begin(shutdown.Id, all.Length + allV1.Length, "");
                foreach (var sa in all) Lifetimes.Delete(sa, "shutdown", "the daemon ends", shutdown.Id);
                foreach (var sa in allV1) PhaseLifetimes.Delete(sa, "shutdown", "the daemon ends", shutdown.Id);
                break;
        }
    }

    private void Up(IkeCommand.Up up)
    {
        if (Index.Find(up.Connection) is not { } connection)
        {
            Complete(up.Id, new CommandResult(false, $"there is no connection '{up.Connection}'"));
            return;
        }

        var children = connection.Children.Where(child => child.Mode is ChildMode.Tunnel or ChildMode.Transport && (up.Child is null || child.Name == up.Child)).ToArray();
        if (up.Child is not null && children.Length == 0)
        {
            Complete(up.Id, new CommandResult(false, $"connection '{up.Connection}' has no child '{up.Child}'"));
            return;
        }

        if (children.Length == 0 && connection.Version == IkeVersion.V1)
        {
            var phaseOne = CurrentV1(connection.Name);
            if (phaseOne is { State: IsakmpState.Established }) Complete(up.Id, new CommandResult(true, Matches: 1, Done: 1));
            else if (phaseOne is not null) phaseOne.Waiting.Add(up.Id);
            else if (_initiating.TryGetValue(connection.Name, out var initiation)) initiation.Waiting.Add(up.Id);
            else Initiate(new Initiation(connection) { Waiting = { up.Id } });
            return;
        }

        if (children.Length == 0)
        {
            var existing = Current(connection.Name);
            if (existing is { State: IkeState.Established }) Complete(up.Id, new CommandResult(true, Matches: 1, Done: 1));
            else if (existing is not null) existing.Waiting.Add(up.Id);
            else if (_initiating.TryGetValue(connection.Name, out var under)) under.Waiting.Add(up.Id);
            else Initiate(new Initiation(connection) { Waiting = { up.Id } });
            return;
        }

        Begin(up.Id, children.Length, "");
        foreach (var child in children) Want(connection, new ChildRequest(child, up.Id));
    }

    /// <summary>Makes a child on the IKE SA that is there, or on one that comes.</summary>
    private void Want(Connection connection, ChildRequest request)
    {
        if (connection.Version == IkeVersion.V1)
        {
            WantV1(connection, request);
            return;
        }

        var sa = Current(connection.Name);
        if (sa is { State: IkeState.Established })
        {
            if (request.PacketLocal is null && sa.Children.HasLive(request.Config.Name))
            {
                Complete(request.Command, new CommandResult(true, Matches: 1, Done: 1));
                return;
            }

            sa.Window.Start(new CreateChildExchange(request));
            sa.Reschedule();
            return;
        }

        if (sa is { Initiator: true, Handshake: { } handshake }) handshake.Children.Enqueue(request);
        else if (_initiating.TryGetValue(connection.Name, out var under)) under.Children.Add(request);
        else Initiate(new Initiation(connection) { Children = { request } });
    }

    private IkeSa? Current(string connection) => _byConnection.TryGetValue(connection, out var list) ? list.Current : null;

    private void Initiate(Initiation initiation)
    {
        var connection = initiation.Connection;
        _initiating[connection.Name] = initiation;
        var host = initiation.Target ?? connection.RemoteAddresses.FirstOrDefault(pattern => pattern.Single is not null || pattern.DnsName is not null);
        if (host is null)
        {
            CannotInitiate(initiation, new NegotiationFailure("no-address", $"connection {connection.Name} has no definite remote address", [], [], [], $"here: set connections.{connection.Name}.remote_addrs to one address or name"));
            return;
        }

        if (host.Single is { } remote)
        {
            FindLocal(initiation, remote);
            return;
        }

        Ask(null, new Ask.Resolve(host.DnsName!), answer =>
        {
            if (answer is Answer.Addresses { Values: [var first, ..] }) FindLocal(initiation, first);
            else CannotInitiate(initiation, new NegotiationFailure("name", $"the name {host.DnsName} has no address", [], [], [], $"here: check connections.{connection.Name}.remote_addrs and the name server"));
        });
    }

    private void FindLocal(Initiation initiation, IpAddress remote)
    {
        var local = initiation.Connection.LocalAddresses.Select(pattern => pattern.Single).FirstOrDefault(address => address?.Version == remote.Version);
        if (local is { } fixedAddress)
        {
            Begin(initiation, fixedAddress, remote);
            return;
        }

        Ask(null, new Ask.SourceAddress(remote), answer =>
        {
            if (answer is Answer.Addresses { Values: [var first, ..] }) Begin(initiation, first, remote);
            else CannotInitiate(initiation, new NegotiationFailure("no-route", $"there is no route to {remote}", [], [], [], $"here: check connections.{initiation.Connection.Name}.remote_addrs and the routes of this machine"));
        });
    }

    private void Begin(Initiation initiation, IpAddress local, IpAddress remote)
    {
        // closed, or its configuration changed, while a question was open
        var connection = initiation.Connection;
        if (!_initiating.TryGetValue(connection.Name, out var current) || current != initiation) return;
        var target = new Endpoint(remote, connection.RemotePort);
        if (_outgoingTo.GetValueOrDefault(target) >= ProtocolTimes.InitiationsPerPeer)
        {
            // a peer takes only so many from one address at a time: more would be dropped there and wait for their retransmission
            _waiting.Enqueue((initiation, local, remote));
            return;
        }

        _initiating.Remove(connection.Name);
        // other ports than 500 are shared with ESP from the start
        var ownPort = connection.LocalPort != 0 ? connection.LocalPort : connection.RemotePort == 500 ? Options.Port : Options.PortNatT;
        // never with the other version instead (R11)
        if (connection.Version == IkeVersion.V1) BeginV1(connection, new Endpoint(local, ownPort), target, initiation.Children, initiation.Waiting, null);
        else Begin(connection, new Endpoint(local, ownPort), target, initiation.Children, initiation.Waiting, initiation.RedirectedFrom);
    }

    private IkeSa Begin(Connection connection, Endpoint local, Endpoint remote, IEnumerable<ChildRequest> children, IEnumerable<CommandId> waiting, IpAddress redirectedFrom = default)
    {
        var sa = NewSa(connection, initiator: true, local, remote);
        sa.SpiI = NewIkeSpi();
        sa.Origin = (true, sa.SpiI);
        sa.Handshake = new Handshake { RedirectedFrom = redirectedFrom };
        foreach (var child in children) sa.Handshake.Children.Enqueue(child);
        sa.Waiting.AddRange(waiting);
        Outgoing(sa, remote);
        Add(sa);
        sa.Window.Start(new InitExchange());
        sa.Reschedule();
        return sa;
    }

    /// <summary>An IKE SA from scratch beside <paramref name="old"/>, on the path that works: behind a NAT the peer can be reached only there.</summary>
    public IkeSa Renew(IkeSa old, IReadOnlyList<ChildRequest> children, CommandId command)
    {
        var sa = Begin(old.Connection, old.Local, old.Remote, children, command.Value == 0 ? [] : [command]);
        sa.IsRenewal = true;
        foreach (var child in children) sa.Renewed.Add(child.Config.Name);
        return sa;
    }

    /// <summary>An IKE SA, of either version, that we begin.</summary>
    private void Outgoing(IAsker sa, Endpoint remote)
    {
        _outgoing.Add(sa, remote);
        _outgoingTo[remote] = _outgoingTo.GetValueOrDefault(remote) + 1;
    }

    /// <summary>It is up or gone: others to the same peer may begin.</summary>
    private void Outgone(IAsker sa)
    {
        if (!_outgoing.Remove(sa, out var target)) return;
        if (--_outgoingTo[target] == 0) _outgoingTo.Remove(target);
    }

    private void BeginWaiting()
    {
        for (var left = _waiting.Count; left > 0 && _waiting.TryDequeue(out var next); left--) Begin(next.Initiation, next.Local, next.Remote);
    }

    /// <summary>What an IKE SA that was closed for it had is made anew (break before make).</summary>
    public void MakeAgain(IkeSa closed, IReadOnlyList<ChildRequest> children, CommandId command)
    {
        if (_shutdown.Value != 0 || Index.Find(closed.Connection.Name) is not { } connection)
        {
            Complete(command, new CommandResult(false, "closed from here"));
            return;
        }

        if (Current(connection.Name) is null && !_initiating.ContainsKey(connection.Name) && HasAddress(closed.Local.Address))
        {
            Begin(connection, closed.Local, closed.Remote, children, command.Value == 0 ? [] : [command]);
            return;
        }

        // the peer was faster
        foreach (var child in children) Want(connection, child);
        Complete(command, new CommandResult(true, Matches: 1, Done: 1));
    }

    /// <summary>A round of retransmissions of the first message had no answer, or the address that they came from is gone. The peer's name may mean another address by now, and the way to it may begin at another one of ours.</summary>
    public void TryAgain(IkeSa sa, InitExchange init)
    {
        sa.Window.Pause();
        var name = sa.Connection.RemoteAddresses.FirstOrDefault(pattern => pattern.Single is not null || pattern.DnsName is not null)?.DnsName;
        if (name is null)
        {
            FindLocalAgain(sa, init);
            return;
        }

        Ask(sa, new Ask.Resolve(name), answer =>
        {
            if (!IsWaiting(sa, init)) return;
            if (answer is Answer.Addresses { Values: { Length: > 0 } found } && !found.Contains(sa.Remote.Address) && found.FirstOrDefault(address => address.Version == sa.Local.Address.Version) is { IsNone: false } first)
            {
                sa.Report.Add(Now, StepDirection.Here, $"{name} is {first} now");
                sa.Remote = sa.Remote with { Address = first };
            }

            FindLocalAgain(sa, init);
        });
    }

    private void FindLocalAgain(IkeSa sa, InitExchange init)
    {
        if (sa.Connection.LocalAddresses.Any(pattern => pattern.Single is not null))
        {
            init.Again(sa);
            sa.Reschedule();
            return;
        }

        Ask(sa, new Ask.SourceAddress(sa.Remote.Address), answer =>
        {
            if (!IsWaiting(sa, init)) return;
            if (answer is Answer.Addresses { Values: [var best, ..] } && best != sa.Local.Address)
            {
                sa.Report.Add(Now, StepDirection.Here, $"the way to {sa.Remote.Address} begins at {best} now");
                sa.Local = sa.Local with { Address = best };
            }

            init.Again(sa);
            sa.Reschedule();
        });
    }

    /// <summary>The first message waits for its next round: somebody else may have begun that meanwhile, or the answer has come.</summary>
    private static bool IsWaiting(IkeSa sa, InitExchange init) => sa.State == IkeState.Connecting && sa.Window.Active == init && sa.Window.RetransmitAt == Instant.Never;

    /// <summary>False only when the host has told its addresses and this is none of them.</summary>
    private bool HasAddress(IpAddress address) => OwnAddresses.IsEmpty || OwnAddresses.Contains(address);

    /// <summary>Before the peers are authenticated nothing can be moved (RFC 4555): what is set up from an address that is gone begins anew from another one.</summary>
    private void LeaveAddress(IkeSa sa)
    {
        if (!sa.Initiator || HasAddress(sa.Local.Address) || sa.Connection.LocalAddresses.Any(pattern => pattern.Single is not null)) return;
        if (sa.Window.Active is InitExchange init)
        {
            TryAgain(sa, init);
            return;
        }

        Ask(sa, new Ask.SourceAddress(sa.Remote.Address), answer =>
        {
            if (sa.State == IkeState.Connecting && answer is Answer.Addresses { Values: [var best, ..] } && best != sa.Local.Address) BeginAnew(sa);
        });
    }

    private void BeginAnew(IkeSa sa)
    {
        var text = $"this host has lost the address {sa.Local.Address} while the connection was set up";
        if (sa.IsRenewal)
        {
            // the old one moves, and has another one made later
            Lifetimes.Fail(sa, "timeout", text);
            return;
        }

        // the child that was asked for is asked for again
        sa.Abandon("address-lost", text);
        var initiation = new Initiation(sa.Connection) { Target = sa.Handshake is { RedirectedFrom.IsNone: false } ? HostPattern.Of(sa.Remote.Address) : null, RedirectedFrom = sa.Handshake?.RedirectedFrom ?? default };
        TakeWishes(sa, initiation);
        sa.Close("address-lost", text);
        if (_initiating.TryAdd(sa.Connection.Name, initiation)) Initiate(initiation);
    }

    /// <summary>What waits for an IKE SA that is being set up waits for another one.</summary>
    private static void TakeWishes(IkeSa sa, Initiation initiation)
    {
        initiation.Waiting.AddRange(sa.Waiting);
        sa.Waiting.Clear();
        if (sa.Handshake is not { } handshake) return;
        initiation.Children.AddRange(handshake.Children);
        handshake.Children.Clear();
    }

    private void CannotInitiate(Initiation initiation, NegotiationFailure failure)
    {
        var connection = initiation.Connection;
        if (!_initiating.TryGetValue(connection.Name, out var current) || current != initiation) return;
        _initiating.Remove(connection.Name);
        var builder = new ReportBuilder(Now, initiator: true);
        builder.Add(Now, StepDirection.Here, failure.Sentence);
        var report = builder.Build(connection.Name, null, default, default, Now, failure);
        Raise(new NegotiationEnded(report) { Connection = connection.Name });
        var result = new CommandResult(false, failure.Sentence, Report: report);
        foreach (var command in initiation.Waiting) Complete(command, result);
        foreach (var child in initiation.Children) Complete(child.Command, result);
        if (failure.Reason != "down") RetryStarted(connection);
    }

    /// <summary>Closed from here before an address was known.</summary>
    private void GiveUpInitiation(string connection, string why)
    {
        if (_initiating.TryGetValue(connection, out var initiation)) CannotInitiate(initiation, new NegotiationFailure("down", why, [], [], [], ""));
    }

    /// <summary>An IKE SA that we began was not established: connections that must stay up try again, later and later.</summary>
    private void RetryStarted(Connection connection)
    {
        if (_shutdown.Value != 0 || connection.KeyingTries != 0 || Index.Find(connection.Name) is not { } current) return;
        var wait = BackOff(connection.Name);
        foreach (var child in current.Children.Where(child => child.StartAction is StartAction.Start or StartAction.TrapAndStart)) RetryAfter(connection.Name, child.Name, wait);
    }

    private TimeSpan BackOff(string connection)
    {
        var attempt = _attempts[connection] = _attempts.GetValueOrDefault(connection) + 1;
        var wait = ProtocolTimes.RetryFirst * Math.Pow(2, Math.Min(attempt - 1, 16));
        if (wait > ProtocolTimes.RetryLongest) wait = ProtocolTimes.RetryLongest;
        return wait + Entropy.NextSpan(wait / 4);
    }

    /// <summary>One retry for each child, the sooner one.</summary>
    private void RetryAfter(string connection, string child, TimeSpan wait)
    {
        if (!_retriesByName.TryGetValue((connection, child), out var retry)) _retriesByName.Add((connection, child), retry = new Retry { Connection = connection, Child = child });
        else if (retry.At <= Now + wait) return;
        retry.At = Now + wait;
        _retries.Set(retry, retry.At);
    }

    /// <summary>What an operator closes does not come back by itself.</summary>
    private void ForgetRetries(SaTarget target)
    {
        if (target.Connection is null) return;
        foreach (var retry in _retriesByName.Values.Where(retry => retry.Connection == target.Connection && (target.Child is null || retry.Child == target.Child)).ToArray())
        {
            _retries.Remove(retry);
            _retriesByName.Remove((retry.Connection, retry.Child));
        }
    }

    private void RunRetries()
    {
        while (_retries.TryTake(Now, out var retry))
        {
            _retriesByName.Remove((retry.Connection, retry.Child));
            if (Index.Find(retry.Connection) is { } connection && connection.Children.FirstOrDefault(child => child.Name == retry.Child) is { } child) Want(connection, new ChildRequest(child, default));
        }
    }

    private void Acquire(DataPlaneEvent.Acquire acquire)
    {
        if (Index.Find(acquire.Connection) is not { } connection || connection.Children.FirstOrDefault(child => child.Name == acquire.Child) is not { } child) return;
        if (connection.Version == IkeVersion.V1)
        {
            if (!_initiating.ContainsKey(connection.Name) && !IsUnderWayV1(connection, child, acquire)) Want(connection, new ChildRequest(child, default, acquire.Local, acquire.Remote));
            return;
        }

        var sa = Current(connection.Name);
        // one negotiation per child is enough
        if (sa is not null && sa.Window.Running.Concat(sa.Window.Queued).OfType<CreateChildExchange>().Any(making => making.Request.Config.Name == child.Name)) return;
        if (sa is { State: IkeState.Connecting } || _initiating.ContainsKey(connection.Name)) return;
        Want(connection, new ChildRequest(child, default, acquire.Local, acquire.Remote));
    }

    private void Down(CommandId id, SaTarget target, bool force)
    {
        if (target.IsEmpty)
        {
            Complete(id, new CommandResult(false, "name a connection, a child or a number"));
            return;
        }

        ForgetRetries(target);
        if (target is { Connection: { } name, NamesChild: false }) GiveUpInitiation(name, "closed from here");
        var sas = _byId.Values.Where(sa => sa.State is IkeState.Connecting or IkeState.Established && (target.Connection is null || sa.Connection.Name == target.Connection) && (target.IkeId == 0 || sa.Id == target.IkeId)).ToArray();
        if (target.NamesChild)
        {
            var children = sas.SelectMany(sa => sa.Children.Values.Where(child => child.IsLive && (target.Child is null || child.Config.Name == target.Child) && (target.ChildId == 0 || child.Id == target.ChildId)).Select(child => (sa, child))).ToArray();
            var childrenV1 = ChildrenV1(TargetsV1(target), target);
            Begin(id, children.Length + childrenV1.Length, "no such child is up");
            foreach (var (sa, child) in children)
            {
                Lifetimes.Delete(sa, child, "down", id);
                sa.Reschedule();
            }

            foreach (var (sa, child) in childrenV1) PhaseLifetimes.Delete(sa, child, "down", id);
            return;
        }

        // whoever has not shown that it is where it says is not there yet; and a peer that believes to be done would not hear of the end
        var sasV1 = TargetsV1(target).Where(sa => sa is not { IsHalfOpen: true, IsVerified: false }).ToArray();
        Begin(id, sas.Length + sasV1.Length, "no such connection is up");
        foreach (var sa in sasV1) PhaseLifetimes.Delete(sa, "down", "closed from here", id);
        foreach (var sa in sas)
        {
            if (force)
            {
                // the peer is told, and nobody waits for what it says; the completion comes when the delete is given up
                Lifetimes.Delete(sa, "down", "closed from here by force", id);
                sa.Close("down", "closed from here by force");
                continue;
            }

            Lifetimes.Delete(sa, "down", "closed from here", id);
            sa.Reschedule();
        }
    }

    private void Reauthenticate(CommandId id, SaTarget target)
    {
        var sas = target.IsEmpty || target.NamesChild ? [] : _byId.Values.Where(sa => sa.State == IkeState.Established && (target.Connection is null || sa.Connection.Name == target.Connection) && (target.IkeId == 0 || sa.Id == target.IkeId)).ToArray();
        var sasV1 = target.IsEmpty || target.NamesChild ? [] : TargetsV1(target, established: true);
        Begin(id, sas.Length + sasV1.Length, target.NamesChild ? "only IKE SAs are authenticated: name a connection" : "no such connection is up");
        foreach (var sa in sasV1) PhaseLifetimes.Renew(sa, id);
        foreach (var sa in sas) Reauthentication.Want(sa, id);
    }

    private void Rekey(CommandId id, SaTarget target)
    {
        var sas = _byId.Values.Where(sa => sa.State == IkeState.Established && (target.Connection is null || sa.Connection.Name == target.Connection) && (target.IkeId == 0 || sa.Id == target.IkeId)).ToArray();
        if (!target.NamesChild)
        {
            var sasV1 = TargetsV1(target, established: true);
            Begin(id, sas.Length + sasV1.Length, "no such connection is up");
            foreach (var sa in sasV1) PhaseLifetimes.Renew(sa, id);
            foreach (var sa in sas)
            {
                sa.Window.Start(new RekeyIkeExchange(id));
                sa.Reschedule();
            }

            return;
        }

        var children = sas.SelectMany(sa => sa.Children.Values.Where(child => child.Phase == ChildPhase.Installed && (target.Child is null || child.Config.Name == target.Child) && (target.ChildId == 0 || child.Id == target.ChildId)).Select(child => (sa, child))).ToArray();
        var childrenV1 = ChildrenV1(TargetsV1(target), target);
        Begin(id, children.Length + childrenV1.Length, "no such child is up");
        foreach (var (sa, child) in childrenV1) PhaseLifetimes.Rekey(sa, child, id);
        foreach (var (sa, child) in children)
        {
            child.Phase = ChildPhase.Rekeying;
            sa.Window.Start(new CreateChildExchange(new ChildRequest(child.Config, id), child));
            sa.Reschedule();
        }
    }

    /// <summary>A command that ends when <paramref name="count"/> parts have ended.</summary>
    private void Begin(CommandId id, int count, string none)
    {
        if (id.Value == 0) return;
        if (count == 0) Emit(new IkeAction.Complete(id, new CommandResult(none.Length == 0, none)));
        else _gathers[id.Value] = new Gather { Left = count };
    }

    private void Load(PolicySet policy)
    {
        var old = Index;
        var before = Policy.Connections;
        (Policy, Index) = (policy, new ConnectionIndex(policy));
        foreach (var connection in before)
        {
            var now = Index.Find(connection.Name);
            if (now is null) _counters.Remove(connection.Name);
            _redirects.Remove(connection.Name);
            if (now is not null && PolicyDiff.SameButChildren(connection, now))
            {
                if (_initiating.TryGetValue(connection.Name, out var initiation)) initiation.Connection = now;
                foreach (var sa in SasOf(connection.Name)) Adopt(sa, now);
                AdoptV1(connection.Name, now);
                foreach (var child in connection.Children.Where(child => !now.Children.Any(other => PolicyDiff.Same(child, other)))) Untrap(connection, child);
                continue;
            }

            foreach (var child in connection.Children) Untrap(connection, child);
            foreach (var sa in SasOf(connection.Name)) Lifetimes.Delete(sa, "down", "its configuration was changed or removed");
            EndV1(connection.Name);
            ForgetRetries(new SaTarget(connection.Name));
            GiveUpInitiation(connection.Name, "its configuration was changed or removed");
            _attempts.Remove(connection.Name);
        }

        foreach (var connection in policy.Connections)
        {
            var was = old.Find(connection.Name);
            var kept = was is not null && PolicyDiff.SameButChildren(was, connection) ? was.Children : [];
            foreach (var child in connection.Children.Where(child => !kept.Any(other => PolicyDiff.Same(child, other)))) Start(connection, child);
        }
    }

    private IkeSa[] SasOf(string connection) => _byConnection.TryGetValue(connection, out var list) ? [.. list.All] : [];

    private static void Adopt(IkeSa sa, Connection now)
    {
        sa.Connection = now;
        foreach (var child in sa.Children.Values.Where(child => !now.Children.Any(other => PolicyDiff.Same(child.Config, other))).ToArray())
        {
            if (child.IsLive) Lifetimes.Delete(sa, child, "down");
        }
    }

    private void Start(Connection connection, Child child)
    {
        if (child.Mode is ChildMode.Pass or ChildMode.Drop || child.StartAction is StartAction.Trap or StartAction.TrapAndStart) Trap(connection, child);
        if (child.StartAction is StartAction.Start or StartAction.TrapAndStart)
        {
            // the entry keeps traffic from leaving in clear until the SA is there
            if (child.StartAction == StartAction.Start) Trap(connection, child);
            Want(connection, new ChildRequest(child, default));
        }
    }

    private void Trap(Connection connection, Child child)
    {
        if (!_policies.Add((connection.Name, child.Name))) return;
        var local = connection.LocalAddresses.Select(host => host.Single).FirstOrDefault(address => address is not null);
        var remote = connection.RemoteAddresses.Select(host => host.Single).FirstOrDefault(address => address is not null);
        // a client's address is not known before it is given: whatever goes to the other side is held
        var isClient = !connection.VirtualIps.IsEmpty;
        var needsLocal = !isClient && (child.LocalSelectors.IsEmpty || child.LocalSelectors.Any(pattern => pattern.IsDynamic));
        var needsRemote = child.RemoteSelectors.IsEmpty || child.RemoteSelectors.Any(pattern => pattern.IsDynamic);
        if ((needsLocal && local is null) || (needsRemote && remote is null))
        {
            _policies.Remove((connection.Name, child.Name));
            Raise(new Notice(NoticeLevel.Warning, $"child {child.Name} of {connection.Name} has a dynamic selector whose address is not known before the negotiation: nothing is trapped") { Connection = connection.Name });
            return;
        }

        Emit(new IkeAction.InstallPolicy(new TrafficPolicy
        {
            Connection = connection.Name,
            Child = child.Name,
            Action = child.Mode switch { ChildMode.Pass => TrafficAction.Bypass, ChildMode.Drop => TrafficAction.Discard, _ => TrafficAction.Protect },
            Mode = child.Mode == ChildMode.Transport ? IpsecMode.Transport : IpsecMode.Tunnel,
            LocalSelectors = isClient ? ChildConfig.ResolveAll(child.LocalSelectors, connection.VirtualIps) : ChildConfig.Resolve(child.LocalSelectors, [local ?? default]),
            RemoteSelectors = ChildConfig.Resolve(child.RemoteSelectors, [remote ?? default]),
            Remote = remote ?? default,
            Options = ChildConfig.OptionsOf(child),
        }));
    }

    private bool Switch(IkeCommand.Hold command)
    {
        if (Index.Find(command.Connection) is not { } connection || connection.Children.FirstOrDefault(child => child.Name == command.Child) is not { } child) return false;
        var was = _policies.Contains((connection.Name, child.Name));
        if (command.On) Trap(connection, child);
        else Untrap(connection, child);
        return command.On ? _policies.Contains((connection.Name, child.Name)) : was;
    }

    private void Untrap(Connection connection, Child child)
    {
        if (_policies.Remove((connection.Name, child.Name))) Emit(new IkeAction.RemovePolicy(connection.Name, child.Name));
    }

    /// <summary>An IKE SA that is wanted, while its addresses are looked for.</summary>
    private sealed class Initiation(Connection connection)
    {
        public Connection Connection { get; set; } = connection;

        /// <summary>The gateway that another one sent us to, and which one that was.</summary>
        public HostPattern? Target { get; init; }

        public IpAddress RedirectedFrom { get; init; }

        public List<ChildRequest> Children { get; } = [];

        public List<CommandId> Waiting { get; } = [];
    }

    private sealed class Retry : ITimed
    {
        public required string Connection { get; init; }

        public required string Child { get; init; }

        public Instant At { get; set; }

        Instant ITimed.DueAt { get; set; }

        int ITimed.HeapSlot { get; set; }
    }

    private sealed class Gather
    {
        public int Left { get; set; }

        public int Matches { get; set; }

        public int Done { get; set; }

        public CommandResult? Failure { get; set; }
    }
}
