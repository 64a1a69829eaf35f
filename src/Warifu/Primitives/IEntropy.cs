using System;
using System.Buffers.Binary;

namespace Warifu.Primitives;

/// <summary>The only source of luck in the core: DH private keys, nonces, SPIs, IVs, cookie secrets and jitter all come from here, so that a seed replays a run byte for byte.</summary>
public interface IEntropy
{
    /// <summary>Fills <paramref name="destination"/> with unpredictable octets.</summary>
    void Fill(Span<byte> destination);
}

/// <summary>Values drawn from an <see cref="IEntropy"/>.</summary>
internal static class EntropyExtensions
{
    public static uint NextUInt32(this IEntropy entropy)
    {
        Span<byte> octets = stackalloc byte[4];
        entropy.Fill(octets);
        return BinaryPrimitives.ReadUInt32BigEndian(octets);
    }

    public static ulong NextUInt64(this IEntropy entropy)
    {
        Span<byte> octets = stackalloc byte[8];
        entropy.Fill(octets);
        return BinaryPrimitives.ReadUInt64BigEndian(octets);
    }

    /// <summary>Uniform in [0, 1).</summary>
    public static double NextDouble(this IEntropy entropy) => (entropy.NextUInt64() >> 11) * (1.0 / (1UL << 53));

    /// <summary>Uniform in [zero, <paramref name="bound"/>).</summary>
    public static TimeSpan NextSpan(this IEntropy entropy, TimeSpan bound) => bound <= TimeSpan.Zero ? TimeSpan.Zero : TimeSpan.FromTicks((long)(entropy.NextDouble() * bound.Ticks));
}
