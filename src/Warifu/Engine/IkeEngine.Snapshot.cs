using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Primitives;
using Warifu.V2;

namespace Warifu.Engine;

/// <summary>Status on demand.</summary>
internal sealed partial class IkeEngine
{
    public EngineSnapshot Snapshot() => new([.. _byId.Values.Select(Snapshot).Concat(SnapshotsV1()).OrderBy(sa => sa.Id)], _halfOpen.Count, Counters)
    {
        Policies = [.. _policies],
        OfConnections = _counters.ToImmutableDictionary(),
        Retries = _retriesByName.Values.GroupBy(retry => retry.Connection).ToImmutableDictionary(group => group.Key, group => group.Min(retry => retry.At)),
    };

    public EngineHoldings Holdings => new(
        _byId.Count + _isakmpById.Count, _halfOpen.Count, _byChild.Count + _isakmpByChild.Count, _childSpis.Count, _asks.Count, _timers.Count + _isakmpTimers.Count, _byFirstMessage.Count + _isakmpByFirstMessage.Count, _byConnection.Count + _isakmpByConnection.Count, _gathers.Count, _initiating.Count, _retriesByName.Count, _lingering.Count, _contacts.Count);

    /// <summary>All IKE SAs, for inspection.</summary>
    public IReadOnlyCollection<IkeSa> IkeSas => _byId.Values;

    private static IkeSaSnapshot Snapshot(IkeSa sa) => new()
    {
        Id = sa.Id,
        Connection = sa.Connection.Name,
        State = sa.State switch
        {
            IkeState.Connecting => "CONNECTING",
            IkeState.Established => sa.Window.Active is V2.Exchanges.RekeyIkeExchange ? "REKEYING" : "ESTABLISHED",
            IkeState.Rekeyed => "REKEYED",
            _ => "DELETING",
        },
        Local = sa.Local,
        Remote = sa.Remote,
        LocalId = sa.LocalId,
        RemoteId = sa.RemoteId,
        Initiator = sa.Initiator,
        InitiatorSpi = sa.SpiI,
        ResponderSpi = sa.SpiR,
        NatLocal = sa.LocalBehindNat,
        NatRemote = sa.RemoteBehindNat,
        Proposal = sa.Proposal,
        Established = sa.Established == default ? null : sa.Established,
        RekeyAt = Reauthentication.IsDue(sa) ? null : Known(sa.RekeyAt),
        ReauthAt = Known(Reauthentication.IsDue(sa) ? Instant.Min(sa.RekeyAt, sa.ReauthAt) : sa.ReauthAt),
        ExpireAt = Known(sa.ExpireAt),
        LocalVips = sa.Virtual?.Local ?? [],
        RemoteVips = sa.Virtual?.Remote ?? [],
        TasksQueued = [.. sa.Window.Queued.Select(exchange => exchange.Task)],
        TasksActive = sa.Window.Active is not null ? [.. sa.Window.Running.Select(exchange => exchange.Task)] : sa.Renewal is not null ? ["IKE_REAUTH"] : [],
        Children = [.. sa.Children.Values.OrderBy(child => child.Id).Select(Snapshot)],
    };

    private static ChildSnapshot Snapshot(ChildState child) => new()
    {
        Id = child.Id,
        Name = child.Config.Name,
        State = child.Phase.ToString().ToUpperInvariant(),
        Mode = child.Mode,
        Protocol = child.Proposal.Protocol,
        Encapsulated = child.Encapsulated,
        InboundSpi = child.Inbound,
        OutboundSpi = child.Outbound,
        Proposal = child.Proposal,
        Local = child.Local,
        Remote = child.Remote,
        Installed = child.Installed,
        RekeyAt = Known(child.RekeyAt),
        ExpireAt = Known(child.ExpireAt),
    };

    private static Instant? Known(Instant at) => at == Instant.Never ? null : at;
}
