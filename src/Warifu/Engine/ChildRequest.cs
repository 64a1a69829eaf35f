using System.Collections.Immutable;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>A wish for a child: of a command, a start action or a packet.</summary>
/// <param name="Config">The child.</param>
/// <param name="Command">Waits for it; zero = nobody.</param>
/// <param name="PacketLocal">The packet that asked for it (RFC 7296 section 2.9).</param>
internal sealed record ChildRequest(Child Config, CommandId Command, TrafficSelector? PacketLocal = null, TrafficSelector? PacketRemote = null)
{
    /// <summary>Only these of the child's selectors: the rest of what the peer would only take apart (ADDITIONAL_TS_POSSIBLE).</summary>
    public (ImmutableArray<TrafficSelector> Local, ImmutableArray<TrafficSelector> Remote)? Part { get; init; }

    /// <summary>Only the packet's pair of addresses: the peer takes nothing wider (SINGLE_PAIR_REQUIRED).</summary>
    public bool PairOnly { get; init; }

    /// <summary>It was asked for on an IKE SA that the peer lost or did not answer on any more.</summary>
    public bool IsCarriedOver { get; init; }

    /// <summary>How many parts were asked for before this one.</summary>
    public int Depth { get; init; }
}
