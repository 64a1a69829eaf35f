using System;
using System.Collections.Immutable;

namespace Warifu.Primitives;

/// <summary>One transform of a proposal (RFC 7296 section 3.3.2) as a plain value; unknown types and ids are preserved.</summary>
/// <param name="Type">Transform type.</param>
/// <param name="Id">Transform id in the registry of <paramref name="Type"/>.</param>
/// <param name="KeyBits">Key Length attribute in bits; 0 = attribute absent.</param>
public readonly record struct Transform(TransformType Type, ushort Id, ushort KeyBits = 0)
{
    /// <summary>Encryption, type 1.</summary>
    public static Transform Encr(EncrId id, int keyBits = 0) => new(TransformType.Encr, (ushort)id, (ushort)keyBits);

    /// <summary>PRF, type 2.</summary>
    public static Transform Prf(PrfId id) => new(TransformType.Prf, (ushort)id);

    /// <summary>Integrity, type 3.</summary>
    public static Transform Integ(IntegId id) => new(TransformType.Integ, (ushort)id);

    /// <summary>Key exchange method, type 4.</summary>
    public static Transform Ke(KeId id) => new(TransformType.Ke, (ushort)id);

    /// <summary>Sequence numbers, type 5.</summary>
    public static Transform Esn(bool extended) => new(TransformType.Esn, extended ? (ushort)1 : (ushort)0);
}

/// <summary>A proposal without its number and SPI: what is offered or chosen for one protocol. Transforms of one type are alternatives in order of preference.</summary>
/// <param name="Protocol">IKE, AH or ESP.</param>
/// <param name="Transforms">All transforms in the order of the wire.</param>
public sealed record Proposal(ProtocolId Protocol, ImmutableArray<Transform> Transforms)
{
    /// <summary>Same protocol and the same transforms in the same order.</summary>
    public bool Equals(Proposal? other) => other is not null && Protocol == other.Protocol && Transforms.AsSpan().SequenceEqual(other.Transforms.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = default(HashCode);
        hash.Add(Protocol);
        foreach (var transform in Transforms) hash.Add(transform);
        return hash.ToHashCode();
    }
}
