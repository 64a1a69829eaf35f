using System.Collections.Immutable;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>Something that happened, for logs, status and library users. Names of connections and SA numbers are always there; secrets never.</summary>
public abstract record IkeEvent
{
    private protected IkeEvent()
    {
    }

    /// <summary>Connection concerned; empty when none is known.</summary>
    public string Connection { get; init; } = "";

    /// <summary>Number of the IKE SA; 0 when there is none.</summary>
    public uint IkeId { get; init; }

    /// <summary>When, on the clock of the core.</summary>
    public Instant At { get; init; }
}

/// <summary>An IKE SA is established: both sides authenticated.</summary>
public sealed record IkeSaUp(Endpoint Local, Endpoint Remote, string LocalId, string RemoteId, bool Initiator) : IkeEvent;

/// <summary>An IKE SA is gone.</summary>
/// <param name="Reason">Stable word: "down", "peer-deleted", "dead-peer", "authentication-failed", "no-proposal", "timeout", "expired", "replaced", "shutdown" …</param>
/// <param name="Text">One sentence.</param>
public sealed record IkeSaDown(string Reason, string Text) : IkeEvent;

/// <summary>An IKE SA and its pairs go by other addresses now (MOBIKE, or a NAT that changed its mapping).</summary>
public sealed record PathChanged(Endpoint Local, Endpoint Remote) : IkeEvent;

/// <summary>An IKE SA was rekeyed; the children moved to <paramref name="NewIkeId"/>.</summary>
public sealed record IkeSaRekeyed(uint NewIkeId) : IkeEvent;

/// <summary>The peers authenticated each other anew: the IKE SA and its children are replaced by <paramref name="NewIkeId"/> and its own.</summary>
public sealed record IkeSaReauthenticated(uint NewIkeId) : IkeEvent;

/// <summary>A pair of IPsec SAs carries traffic.</summary>
public sealed record ChildUp(string Child, uint ChildId, string InboundSpi, string OutboundSpi, ImmutableArray<TrafficSelector> Local, ImmutableArray<TrafficSelector> Remote) : IkeEvent;

/// <summary>A pair of IPsec SAs is gone.</summary>
public sealed record ChildDown(string Child, uint ChildId, string Reason, string Text) : IkeEvent;

/// <summary>A pair was replaced by a new one.</summary>
public sealed record ChildRekeyed(string Child, uint OldChildId, uint NewChildId) : IkeEvent;

/// <summary>A client got virtual addresses of our pools.</summary>
public sealed record VirtualIpsGiven(ImmutableArray<IpAddress> Addresses) : IkeEvent;

/// <summary>A gateway gave virtual addresses to us.</summary>
/// <param name="Addresses">Ours until the IKE SA ends.</param>
/// <param name="DnsServers">Name servers behind the gateway.</param>
/// <param name="Domains">Domains that only those servers resolve (RFC 8598).</param>
/// <param name="Attributes">All that it said, a line each: "INTERNAL_IP4_SUBNET 10.1.0.0/16".</param>
public sealed record VirtualIpsReceived(ImmutableArray<IpAddress> Addresses, ImmutableArray<IpAddress> DnsServers, ImmutableArray<string> Domains, ImmutableArray<string> Attributes) : IkeEvent;

/// <summary>A negotiation ended, well or not; the report tells it step by step.</summary>
public sealed record NegotiationEnded(NegotiationReport Report) : IkeEvent;

/// <summary>A sentence for the log.</summary>
/// <param name="Level">How loud.</param>
/// <param name="Text">One sentence.</param>
public sealed record Notice(NoticeLevel Level, string Text) : IkeEvent;

/// <summary>Loudness of a <see cref="Notice"/>.</summary>
public enum NoticeLevel
{
    /// <summary>Details for debugging.</summary>
    Debug,
    /// <summary>Normal operation.</summary>
    Info,
    /// <summary>Somebody should look.</summary>
    Warning,
    /// <summary>Something is broken.</summary>
    Error,
}

/// <summary>A negotiation step by step: what `warifu explain` shows and what failures carry.</summary>
public sealed record NegotiationReport
{
    /// <summary>Connection, or empty when none matched.</summary>
    public required string Connection { get; init; }

    /// <summary>Child concerned; null for the IKE SA.</summary>
    public string? Child { get; init; }

    /// <summary>Own and peer's address.</summary>
    public required Endpoint Local { get; init; }

    /// <summary>The peer.</summary>
    public required Endpoint Remote { get; init; }

    /// <summary>True when we started it.</summary>
    public required bool Initiator { get; init; }

    /// <summary>First message.</summary>
    public required Instant Started { get; init; }

    /// <summary>Last message or decision.</summary>
    public required Instant Ended { get; init; }

    /// <summary>True when it was established.</summary>
    public required bool Success { get; init; }

    /// <summary>Messages and decisions in order.</summary>
    public required ImmutableArray<NegotiationStep> Steps { get; init; }

    /// <summary>Why it failed; null on success.</summary>
    public NegotiationFailure? Failure { get; init; }
}

/// <summary>One message or decision of a negotiation.</summary>
/// <param name="At">When.</param>
/// <param name="Direction">In, out, or a decision of our own.</param>
/// <param name="Title">"IKE_SA_INIT request 0 [ SA KE Ni … ]" or "chose IKE proposal 1".</param>
/// <param name="Details">Lines below it: proposals, identities, selectors, notifies.</param>
public sealed record NegotiationStep(Instant At, StepDirection Direction, string Title, ImmutableArray<string> Details);

/// <summary>Direction of a <see cref="NegotiationStep"/>.</summary>
public enum StepDirection
{
    /// <summary>Received.</summary>
    In,
    /// <summary>Sent.</summary>
    Out,
    /// <summary>Decided here.</summary>
    Here,
}

/// <summary>Why a negotiation failed, in terms of settings.</summary>
/// <param name="Reason">Stable word as in <see cref="IkeSaDown"/>.</param>
/// <param name="Sentence">What happened, in one sentence.</param>
/// <param name="Offered">What one side offered, a line each.</param>
/// <param name="Accepted">What the other side would accept, a line each.</param>
/// <param name="FirstDifference">For each of our proposals the first transform that differs, or the pair of selectors or identities.</param>
/// <param name="Remedy">Which side changes which setting to what: clauses that begin with "here:", "at the peer:" or "between:" and name own settings by their whole path, separated by "; or ". Empty when nobody can change anything.</param>
public sealed record NegotiationFailure(string Reason, string Sentence, ImmutableArray<string> Offered, ImmutableArray<string> Accepted, ImmutableArray<string> FirstDifference, string Remedy);
