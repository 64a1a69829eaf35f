using System.Collections.Immutable;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>Another peer that has a pair with the same selectors: of two peers with the same addresses inside, only one can be reached (RFC 3948 section 5.1).</summary>
internal sealed record TrafficHolder(Identity? Peer, Endpoint Remote)
{
    /// <summary>What somebody should know: who, and what both have.</summary>
    public string Describe(Identity? peer, Endpoint remote, ImmutableArray<TrafficSelector> local, ImmutableArray<TrafficSelector> there) =>
        $"{Identities.Print(peer)} at {remote} and {Identities.Print(Peer)} at {Remote} have the same selectors {Selectors.Print(local)} === {Selectors.Print(there)}";

    /// <summary>With unique = keep the older one keeps them.</summary>
    public static NegotiationFailure Keeps(string description, string connection) => new(
        "selectors", $"{description}, and unique = keep: the older keeps them", [], [], [], $"at the peer: use other addresses inside; or here: give out virtual IPs, or set connections.{connection}.unique = replace");
}
