using System;

namespace Warifu.Net;

/// <summary>Where packets are protected.</summary>
public enum DataPlaneKind
{
    /// <summary>The best that is there: user-space ESP over TUN, or over <see cref="IkeNodeOptions.Packets"/> when that is set.</summary>
    Auto,
    /// <summary>User-space ESP over TUN devices; needs CAP_NET_ADMIN.</summary>
    Tun,
    /// <summary>IKE only: SAs are negotiated and carry nothing.</summary>
    None,
}

/// <summary>How a node meets the world.</summary>
public sealed record IkeNodeOptions
{
    /// <summary>UDP port of IKE; 0 = any free one.</summary>
    public ushort Port { get; init; } = 500;

    /// <summary>UDP port that IKE shares with ESP; 0 = any free one.</summary>
    public ushort PortNatT { get; init; } = 4500;

    /// <summary>Secrets; the node uses them and does not own them.</summary>
    public SecretStore Secrets { get; init; } = new();

    /// <summary>Inner packets by this port instead of a TUN: no privilege is needed then.</summary>
    public IPacketPort? Packets { get; init; }

    /// <summary>Where packets are protected.</summary>
    public DataPlaneKind DataPlane { get; init; }

    /// <summary>fwmark of everything that the node sends.</summary>
    public uint FirewallMark { get; init; } = 0x57;

    /// <summary>Routing table of the node; the next one is used too.</summary>
    public uint RoutingTable { get; init; } = 8757;

    /// <summary>Interval of NAT keepalives (RFC 3948 section 4); zero = none are sent.</summary>
    public TimeSpan KeepaliveInterval { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Certificates that peers name by hash and URL are fetched (RFC 7296 section 3.6); off because it makes this host send requests to where strangers want.</summary>
    public bool HashAndUrl { get; init; }

    /// <summary>What peers name by hash and URL may lie in private networks and on this host, too.</summary>
    public bool HashAndUrlPrivate { get; init; }

    /// <summary>Folder for key tables in Wireshark's form; whoever reads them reads the traffic. Null = off.</summary>
    public string? KeyLogDirectory { get; init; }

    /// <summary>Folder for what outlives the process: leases of virtual addresses, revocation lists. Null = nothing does.</summary>
    public string? StateDirectory { get; init; }

    /// <summary>Wait before a request is sent again for the first time.</summary>
    public TimeSpan RetransmitTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How often a request is sent again before the peer counts as dead.</summary>
    public int RetransmitTries { get; init; } = 6;

    /// <summary>How often the secret of stateless cookies is replaced (RFC 7296 section 2.6).</summary>
    internal TimeSpan CookieLife { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Re-authentication makes the new IKE SA before it deletes the old one (RFC 7296 section 2.8.3); false for peers that cannot bear two.</summary>
    public bool MakeBeforeBreak { get; init; } = true;

    /// <summary>32 random octets that survive restarts, for quick crash detection (RFC 6290): peers learn at once that the node was started anew. Null = no tokens are made. The node uses it and does not own it.</summary>
    public Primitives.Secret? CrashSecret { get; init; }

    /// <summary>Half-open responder SAs beyond which cookies are demanded.</summary>
    public int CookieThreshold { get; init; } = 30;

    /// <summary>Half-open responder SAs beyond which first messages are dropped.</summary>
    public int HalfOpenLimit { get; init; } = 1000;

    /// <summary>Half-open responder SAs of one source address or /64.</summary>
    public int HalfOpenPerPrefix { get; init; } = 20;

    /// <summary>IKE SAs that peers of one identity may set up: many devices may share one, but a peer that we trust must not fill the memory.</summary>
    public int IdentityLimit { get; init; } = Engine.IdentityClaims.MostOfOne;

    /// <summary>Life of a half-open responder SA.</summary>
    public TimeSpan HalfOpenTimeout { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>A negotiation failed; the message says why and what to change.</summary>
public sealed class IkeException : Exception
{
    /// <summary>For serializers and the like.</summary>
    public IkeException()
    {
    }

    /// <summary>With a message only.</summary>
    public IkeException(string message) : base(message)
    {
    }

    /// <summary>With a cause.</summary>
    public IkeException(string message, Exception innerException) : base(message, innerException)
    {
    }

    /// <summary>With the report of the negotiation.</summary>
    public IkeException(string message, Engine.NegotiationReport? report) : base(message) => Report = report;

    /// <summary>The negotiation step by step, when one took place.</summary>
    public Engine.NegotiationReport? Report { get; }
}
