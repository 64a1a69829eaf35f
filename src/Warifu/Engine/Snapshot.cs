using System.Collections.Immutable;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>State of the engine for status listings, made on demand on the engine's thread.</summary>
internal sealed record EngineSnapshot(ImmutableArray<IkeSaSnapshot> IkeSas, int HalfOpen, EngineCounters Counters)
{
    /// <summary>Children whose traffic is held, passed or discarded by an entry of its own.</summary>
    public required ImmutableHashSet<(string Connection, string Child)> Policies { get; init; }

    /// <summary>Counters of connections that have exchanged messages.</summary>
    public required ImmutableDictionary<string, MessageCounters> OfConnections { get; init; }

    /// <summary>When a connection that must stay up is tried again.</summary>
    public required ImmutableDictionary<string, Instant> Retries { get; init; }
}

/// <summary>What the engine holds: all of it is zero when nothing is up and nothing is wanted.</summary>
internal readonly record struct EngineHoldings(int IkeSas, int HalfOpen, int Children, int ChildSpis, int Asks, int Timers, int FirstMessages, int Connections, int Commands, int Initiating, int Retries, int Lingering, int Contacts);

internal sealed record IkeSaSnapshot
{
    public required uint Id { get; init; }

    public IkeVersion Version { get; init; } = IkeVersion.V2;

    public required string Connection { get; init; }

    /// <summary>CONNECTING, ESTABLISHED, REKEYING, REKEYED, DELETING; PASSIVE = phase 1 is over, its children are not (IKEv1).</summary>
    public required string State { get; init; }

    public required Endpoint Local { get; init; }

    public required Endpoint Remote { get; init; }

    public Identity? LocalId { get; init; }

    public Identity? RemoteId { get; init; }

    /// <summary>The user of XAuth (IKEv1).</summary>
    public Identity? RemoteUser { get; init; }

    public required bool Initiator { get; init; }

    public required IkeSpi InitiatorSpi { get; init; }

    public required IkeSpi ResponderSpi { get; init; }

    public bool NatLocal { get; init; }

    public bool NatRemote { get; init; }

    /// <summary>What was chosen; null before that.</summary>
    public Proposal? Proposal { get; init; }

    public Instant? Established { get; init; }

    public Instant? RekeyAt { get; init; }

    public Instant? ReauthAt { get; init; }

    public Instant? ExpireAt { get; init; }

    /// <summary>Our virtual addresses.</summary>
    public ImmutableArray<IpAddress> LocalVips { get; init; } = [];

    /// <summary>The peer's, of our pools.</summary>
    public ImmutableArray<IpAddress> RemoteVips { get; init; } = [];

    public ImmutableArray<string> TasksQueued { get; init; } = [];

    public ImmutableArray<string> TasksActive { get; init; } = [];

    public required ImmutableArray<ChildSnapshot> Children { get; init; }
}

internal sealed record ChildSnapshot
{
    public required uint Id { get; init; }

    public required string Name { get; init; }

    /// <summary>INSTALLED, REKEYING, REKEYED, DELETING.</summary>
    public required string State { get; init; }

    public required IpsecMode Mode { get; init; }

    public required ProtocolId Protocol { get; init; }

    public required bool Encapsulated { get; init; }

    public required ChildSpi InboundSpi { get; init; }

    public required ChildSpi OutboundSpi { get; init; }

    public required Proposal Proposal { get; init; }

    public required ImmutableArray<TrafficSelector> Local { get; init; }

    public required ImmutableArray<TrafficSelector> Remote { get; init; }

    public required Instant Installed { get; init; }

    public Instant? RekeyAt { get; init; }

    public Instant? ExpireAt { get; init; }
}

/// <summary>Counters of one connection, or of all.</summary>
internal class MessageCounters
{
    public long IkeRekeyInit { get; set; }

    public long IkeRekeyResp { get; set; }

    public long ChildRekey { get; set; }

    public long Invalid { get; set; }

    public long InvalidSpi { get; set; }

    /// <summary>Messages by exchange: [IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL] x [in request, in response, out request, out response].</summary>
    public long[] Messages { get; } = new long[16];

    /// <summary>Messages of IKEv1, each once: [main, aggressive, quick mode, transaction, informational] x [in, out].</summary>
    public long[] MessagesV1 { get; } = new long[10];

    /// <summary>Counts a message of one of the four exchanges.</summary>
    public void Count(ExchangeType exchange, bool isResponse, bool outgoing)
    {
        var row = exchange switch { ExchangeType.IkeSaInit => 0, ExchangeType.IkeAuth => 4, ExchangeType.CreateChildSa => 8, ExchangeType.Informational => 12, _ => -1 };
        if (row >= 0) Messages[row + (outgoing ? 2 : 0) + (isResponse ? 1 : 0)]++;
    }
}

/// <summary>Counters since the start; drops by reason are indexed by <c>DropReason</c>.</summary>
internal sealed class EngineCounters : MessageCounters
{
    /// <summary>Requests of the peer by what of our own was under way: [PeerRequest x OwnActivity].</summary>
    public long[] Crossings { get; } = new long[V2.Collisions.Requests * V2.Collisions.Activities];

    /// <summary>Drops by reason.</summary>
    public long[] Drops { get; } = new long[64];

    /// <summary>DH computations, for the proof that a flood causes none.</summary>
    public long KeyExchanges { get; set; }
}
