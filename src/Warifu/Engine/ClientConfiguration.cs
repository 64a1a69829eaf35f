using System.Collections.Immutable;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>What a gateway gave to us, its client (RFC 7296 section 3.15).</summary>
internal sealed record ClientConfiguration
{
    /// <summary>Number by which it is taken back.</summary>
    public required uint Id { get; init; }

    public required string Connection { get; init; }

    /// <summary>TUN of the connection's children; null = the shared one.</summary>
    public string? Interface { get; init; }

    /// <summary>Our virtual addresses.</summary>
    public required ImmutableArray<IpAddress> Addresses { get; init; }

    public ImmutableArray<IpAddress> DnsServers { get; init; } = [];

    /// <summary>Domains that only those servers resolve (RFC 8598); empty = they serve all names.</summary>
    public ImmutableArray<string> Domains { get; init; } = [];
}
