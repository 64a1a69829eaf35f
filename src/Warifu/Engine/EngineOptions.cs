using System;

namespace Warifu.Engine;

/// <summary>Settings of one engine (one shard). Protocol constants are in <c>ProtocolTimes</c>.</summary>
internal sealed record EngineOptions
{
    /// <summary>Top byte of our SPIs.</summary>
    public byte Shard { get; init; }

    /// <summary>Own ports: where IKE starts, and where it floats to behind NAT.</summary>
    public ushort Port { get; init; } = 500;

    public ushort PortNatT { get; init; } = 4500;

    /// <summary>Half-open responder SAs beyond which cookies are demanded.</summary>
    public int CookieThreshold { get; init; } = 30;

    /// <summary>Half-open responder SAs beyond which first messages are dropped.</summary>
    public int HalfOpenLimit { get; init; } = 1000;

    public TimeSpan HalfOpenTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Half-open responder SAs per source (/32 or /64).</summary>
    public int HalfOpenPerPrefix { get; init; } = 20;

    /// <summary>Wait before a request is sent again for the first time.</summary>
    public TimeSpan RetransmitTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How often a request is sent again before the peer counts as dead.</summary>
    public int RetransmitTries { get; init; } = 6;

    /// <summary>The host cannot send ESP straight on IP (no privilege): a NAT is pretended on every connection, so that ESP travels in UDP.</summary>
    public bool ForceEncapsulation { get; init; }

    /// <summary>The host can send and receive AH.</summary>
    public bool HasAh { get; init; } = true;

    /// <summary>Certificates that peers name by hash and URL are fetched (RFC 7296 section 3.6).</summary>
    public bool HashAndUrl { get; init; }

    /// <summary>Re-authentication deletes the old IKE SA first: for peers that cannot bear two.</summary>
    public bool BreakBeforeMake { get; init; }

    /// <summary>Survives restarts, and makes the tokens of quick crash detection (RFC 6290); null = none are made. The host's.</summary>
    public Primitives.Secret? CrashSecret { get; init; }

    /// <summary>Signatures by RFC 7427: SIGNATURE_HASH_ALGORITHMS is announced and heeded. Off, only the methods that name their algorithm remain.</summary>
    public bool SignatureAuthentication { get; init; } = true;

    /// <summary>Emits <see cref="IkeAction.LogIkeKeys"/>.</summary>
    public bool KeyLog { get; init; }

    /// <summary>Our own bugs surface as exceptions (simulation, fuzzing) instead of ending one SA.</summary>
    public bool RethrowBugs { get; init; }
}
