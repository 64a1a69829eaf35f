using System.Collections.Immutable;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>Number by which a host recognises the completion of its command.</summary>
internal readonly record struct CommandId(ulong Value);

/// <summary>What a host asks of the engine. Each ends with exactly one <see cref="IkeAction.Complete"/>.</summary>
internal abstract record IkeCommand(CommandId Id)
{
    /// <summary>Replaces the whole policy: SAs that the change does not touch stay up, those of removed or changed connections are closed, start actions run.</summary>
    internal sealed record Load(CommandId Id, PolicySet Policy) : IkeCommand(Id);

    /// <summary>Brings up a child (null = the IKE SA with all children whose start action does not forbid it; an IKE SA alone when it has none).</summary>
    internal sealed record Up(CommandId Id, string Connection, string? Child) : IkeCommand(Id);

    /// <summary>Closes what <paramref name="Target"/> names.</summary>
    internal sealed record Down(CommandId Id, SaTarget Target, bool Force = false) : IkeCommand(Id);

    /// <summary>Rekeys what <paramref name="Target"/> names.</summary>
    internal sealed record Rekey(CommandId Id, SaTarget Target) : IkeCommand(Id);

    /// <summary>Authenticates the IKE SAs that <paramref name="Target"/> names anew: new ones from scratch, then the old ones are deleted.</summary>
    internal sealed record Reauth(CommandId Id, SaTarget Target) : IkeCommand(Id);

    /// <summary>Holds the traffic of a child until it is up (or passes, or discards it), or stops doing so.</summary>
    internal sealed record Hold(CommandId Id, string Connection, string Child, bool On) : IkeCommand(Id);

    /// <summary>Secret of stateless cookies (RFC 7296 section 2.6), shared by all shards; the previous one stays valid until the next rotation.</summary>
    internal sealed record CookieSecret(CommandId Id, byte Version, Secret Secret) : IkeCommand(Id);

    /// <summary>The host's addresses, or the routes to its peers, have changed: all of its addresses that peers may use.</summary>
    internal sealed record Addresses(CommandId Id, ImmutableArray<IpAddress> Own) : IkeCommand(Id);

    /// <summary>The peer of this IKE SA has authenticated again with another engine of this host, on an IKE SA that was begun at <paramref name="Begun"/>: it has lost this one (<paramref name="InitialContact"/>), or our policy wants only one.</summary>
    internal sealed record Replace(CommandId Id, uint IkeId, Instant Begun, bool InitialContact) : IkeCommand(Id);

    /// <summary>Sends DELETE for every IKE SA and forgets everything.</summary>
    internal sealed record Shutdown(CommandId Id) : IkeCommand(Id);
}

/// <summary>Names SAs: all given parts must match; IKE SAs when no child part is given, else children.</summary>
internal readonly record struct SaTarget(string? Connection = null, string? Child = null, uint IkeId = 0, uint ChildId = 0)
{
    public bool IsEmpty => Connection is null && Child is null && IkeId == 0 && ChildId == 0;

    public bool NamesChild => Child is not null || ChildId != 0;
}

/// <summary>How a command ended.</summary>
/// <param name="Success">Everything asked for is there.</param>
/// <param name="Message">One sentence on failure, empty on success.</param>
/// <param name="Matches">SAs that the target named.</param>
/// <param name="Done">SAs for which it succeeded.</param>
/// <param name="Report">Negotiation that failed, if one did.</param>
internal sealed record CommandResult(bool Success, string Message = "", int Matches = 0, int Done = 0, NegotiationReport? Report = null);
