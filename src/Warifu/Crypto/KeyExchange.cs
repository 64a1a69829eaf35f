using System;
using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using Warifu.Crypto.Native;
using Warifu.Primitives;

namespace Warifu.Crypto;

/// <summary>One side of an ephemeral Diffie-Hellman exchange. The private key comes from an <see cref="IEntropy"/>, so that a seed replays a handshake.</summary>
internal abstract class KeyExchange(KeInfo info) : IDisposable
{
    public KeInfo Info { get; } = info;

    /// <summary>The public value as it stands in KE.</summary>
    public byte[] PublicValue { get; protected set; } = [];

    /// <summary>Computes g^ir, of fixed length. False when the peer's value is not acceptable (RFC 6989 section 2, RFC 7748 section 6): wrong length, out of range, not on the curve, or a useless result.</summary>
    public abstract bool TryDerive(ReadOnlySpan<byte> peer, [NotNullWhen(true)] out Secret? shared);

    public abstract void Dispose();

    /// <summary>Makes a key pair for a method of <see cref="Algorithms.Ke"/>.</summary>
    public static KeyExchange Generate(KeId id, IEntropy entropy, Provider best = Provider.Processor)
    {
        var info = Algorithms.Ke[id];
        var native = best >= Provider.Libcrypto && Libcrypto.IsAvailable;
        return info.Kind switch
        {
            KeKind.Modp when native => new NativeModp(info, entropy),
            KeKind.Modp => new ManagedModp(info, entropy),
            // some distributions leave curves out
            KeKind.Ecp when native && NativeEcp.Has(info) => new NativeEcp(info, entropy),
            KeKind.Ecp => new ManagedEcp(info, entropy),
            _ when native => new NativeMontgomery(info, entropy),
            _ => new ManagedMontgomery(info, entropy),
        };
    }

    /// <summary>Uniform in [1, order-1] by rejection; the number of draws does not depend on the value that is kept.</summary>
    protected static void DrawScalar(IEntropy entropy, ReadOnlySpan<byte> order, Span<byte> scalar)
    {
        var excess = BitOperations.LeadingZeroCount((uint)order[0]) - 24;
        do
        {
            entropy.Fill(scalar);
            scalar[0] &= (byte)(0xFF >> excess);
        }
        while (scalar.SequenceCompareTo(order) >= 0 || scalar.IndexOfAnyExcept((byte)0) < 0);
    }

    /// <summary>The exponent of a MODP group: below the order of the subgroup where there is one, else of the length that the strength needs.</summary>
    protected static void DrawExponent(IEntropy entropy, ReadOnlySpan<byte> order, Span<byte> exponent)
    {
        if (!order.IsEmpty)
        {
            DrawScalar(entropy, order, exponent);
            return;
        }

        entropy.Fill(exponent);
        // never zero, and as long as it should be
        exponent[0] |= 0x80;
    }

    /// <summary>Without a branch on single octets.</summary>
    protected static bool IsZero(ReadOnlySpan<byte> octets)
    {
        var any = 0;
        foreach (var octet in octets) any |= octet;
        return any == 0;
    }
}
