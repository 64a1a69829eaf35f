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

    /// <summary>Neither unspecified, loopback, multicast nor broadcast: a gateway must not turn our own addresses against us.</summary>
    public static bool IsUsable(IpAddress address)
    {
        if (address.IsNone || address.IsUnspecified) return false;
        if (address.IsV4) return (uint)address.Bits is >= 0x0100_0000 and < 0x7F00_0000 or >= 0x8000_0000 and < 0xE000_0000;
        return address.Bits != 1 && (address.Bits >> 120) != 0xFF && (address.Bits >> 32) != 0xFFFF;
    }
}
