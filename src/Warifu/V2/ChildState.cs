using System.Collections.Immutable;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.V2;

internal enum ChildPhase
{
    Installed,
    Rekeying,
    /// <summary>Replaced; waits for its delete.</summary>
    Rekeyed,
    Deleting,
}

/// <summary>What an IKE SA knows of a pair of IPsec SAs; the keys are with the data plane.</summary>
internal sealed class ChildState
{
    public required uint Id { get; init; }

    public required Child Config { get; init; }

    public required ChildSpi Inbound { get; init; }

    public required ChildSpi Outbound { get; init; }

    public required Proposal Proposal { get; init; }

    public required IpsecMode Mode { get; init; }

    public required bool Encapsulated { get; init; }

    public required ImmutableArray<TrafficSelector> Local { get; init; }

    public required ImmutableArray<TrafficSelector> Remote { get; init; }

    public required Instant Installed { get; init; }

    public Instant RekeyAt { get; set; } = Instant.Never;

    public Instant ExpireAt { get; set; } = Instant.Never;

    public ChildPhase Phase { get; set; }

    /// <summary>Nonces and number of the pair that the peer made by rekeying this one while we did too (RFC 7296 section 2.8.1).</summary>
    public (byte[] Ni, byte[] Nr, uint ChildId)? PeerRekey { get; set; }

    /// <summary>The pair that replaces this one; 0 = none.</summary>
    public uint Successor { get; set; }

    /// <summary>Tries after TEMPORARY_FAILURE.</summary>
    public int Tries { get; set; }
}
