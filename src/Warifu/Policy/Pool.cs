using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>Virtual addresses and attributes for clients (RFC 7296 section 2.19). Connections name the pools that they use.</summary>
public sealed record Pool
{
    /// <summary>Unique name.</summary>
    public required string Name { get; init; }

    /// <summary>What may be given to clients; ranges do not overlap. Empty = a pool of attributes only.</summary>
    public ImmutableArray<AddressRange> Addresses { get; init; } = [];

    /// <summary>What clients are told, in this order. A trust anchor (RFC 8598) follows its domain.</summary>
    public ImmutableArray<PoolAttribute> Attributes { get; init; } = [];

    /// <summary>Addresses that belong to one identity for ever; they may lie outside <see cref="Addresses"/> and go to nobody else.</summary>
    public ImmutableArray<StaticLease> Static { get; init; } = [];

    /// <summary>Clients get addresses from it.</summary>
    public bool HasAddresses => !Addresses.IsEmpty || !Static.IsEmpty;

    /// <summary>How many addresses it has.</summary>
    public UInt128 Size => Addresses.Aggregate(UInt128.Zero, (sum, range) => sum + range.Size);
}

/// <summary>Addresses of a pool.</summary>
/// <param name="First">Lowest, inclusive.</param>
/// <param name="Last">Highest, inclusive, of the same IP version.</param>
/// <param name="Base">As configured: the network's address for a subnet, else the lowest.</param>
public readonly record struct AddressRange(IpAddress First, IpAddress Last, IpAddress Base)
{
    /// <summary>How many they are.</summary>
    public UInt128 Size => Last.Bits - First.Bits + 1;

    /// <summary>True when it is one of them.</summary>
    public bool Contains(IpAddress address) => address.Version == First.Version && address >= First && address <= Last;
}

/// <summary>A configuration attribute for clients: its type (RFC 7296 section 3.15.1) and its octets on the wire.</summary>
public sealed record PoolAttribute(ConfigurationType Type, ImmutableArray<byte> Value)
{
    /// <summary>Same type and octets.</summary>
    public bool Equals(PoolAttribute? other) => other is not null && Type == other.Type && Value.AsSpan().SequenceEqual(other.Value.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = default(HashCode);
        hash.Add(Type);
        hash.AddBytes(Value.AsSpan());
        return hash.ToHashCode();
    }

    /// <summary>"INTERNAL_IP4_DNS 10.1.0.53".</summary>
    public override string ToString() => PoolText.Print(Type, Value.AsSpan());
}

/// <summary>An address that is kept for one identity.</summary>
public sealed record StaticLease(IpAddress Address, Identity Identity);
