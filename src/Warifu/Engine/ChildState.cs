using System.Collections.Immutable;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Engine;

internal enum ChildPhase
{
    Installed,
    Rekeying,
    /// <summary>Replaced; waits for its delete.</summary>
    Rekeyed,
    Deleting,
}

/// <summary>What an IKE SA knows of a pair of IPsec SAs; the keys are with the data plane.</summary>
internal sealed class ChildState : ITimed
{
    public required uint Id { get; init; }

    public required Child Config { get; init; }

    public required ChildSpi Inbound { get; init; }

    public required ChildSpi Outbound { get; init; }

    public required Proposal Proposal { get; init; }

    public required IpsecMode Mode { get; init; }

    public required bool Encapsulated { get; set; }

    public required ImmutableArray<TrafficSelector> Local { get; init; }

    public required ImmutableArray<TrafficSelector> Remote { get; init; }

    public required Instant Installed { get; init; }

    /// <summary>The same in moments of the engine, which are in order also where time stands still.</summary>
    public long Made { get; init; }

    /// <summary>IKEv1: what went over the wire in the place of <see cref="Local"/> and <see cref="Remote"/>, where both sides mean more than one network by it.</summary>
    public (TrafficSelector Local, TrafficSelector Remote)? Negotiated { get; init; }

    /// <summary>We sent the request that made it.</summary>
    public bool IsInitiator { get; init; }

    public Instant RekeyAt
    {
        get;
        set
        {
            field = value;
            Table?.Reset(this);
        }
    }

    = Instant.Never;

    public Instant ExpireAt
    {
        get;
        set
        {
            field = value;
            Table?.Reset(this);
        }
    }

    = Instant.Never;

    /// <summary>When traffic moves to this pair though nothing has come in on it: it was made beside another one, and the peer may not have had our answer yet (RFC 7296 section 2.8).</summary>
    public Instant SendAt
    {
        get;
        set
        {
            field = value;
            Table?.Reset(this);
        }
    }

    = Instant.Never;

    /// <summary>IKEv1: when a replaced pair is deleted.</summary>
    public Instant RetireAt
    {
        get;
        set
        {
            field = value;
            Table?.Reset(this);
        }
    }

    = Instant.Never;

    /// <summary>The host was told that it carries traffic.</summary>
    public bool IsAnnounced { get; set; } = true;

    /// <summary>IKEv1: the phase 1 that it came from was over; the peer may have lost it.</summary>
    public bool IsDoubtful { get; set; }

    /// <summary>When it is looked whether anything has used it.</summary>
    public Instant IdleAt
    {
        get;
        set
        {
            field = value;
            Table?.Reset(this);
        }
    }

    = Instant.Never;

    /// <summary>The last packet on a pair that this one replaced.</summary>
    public Instant UsedBefore { get; set; }

    /// <summary>A rekeying of it was refused.</summary>
    public bool RekeyFailed { get; set; }

    public ChildPhase Phase
    {
        get;
        set
        {
            var was = IsLive;
            field = value;
            if (was != IsLive) Table?.LivenessChanged(this);
        }
    }

    /// <summary>Carries traffic, and nothing is there yet that replaces it.</summary>
    public bool IsLive => Phase is ChildPhase.Installed or ChildPhase.Rekeying;

    /// <summary>Where it is kept; changes when the IKE SA is rekeyed.</summary>
    public ChildTable? Table { get; set; }

    /// <summary>Nonces and pair that the peer made by rekeying this one while we did too (RFC 7296 section 2.8.1).</summary>
    public (byte[] Ni, byte[] Nr, ChildState Made)? PeerRekey { get; set; }

    /// <summary>It is being closed because its time is over, or because it cannot pass a NAT, not because somebody wants it closed.</summary>
    public bool HasExpired { get; set; }

    /// <summary>Why it cannot be on the path that the IKE SA has moved to: AH and a NAT. Null: it can.</summary>
    public string? Unfit { get; set; }

    /// <summary>The pair that replaced this one.</summary>
    public ChildState? Successor { get; set; }

    Instant ITimed.DueAt { get; set; }

    int ITimed.HeapSlot { get; set; }
}
