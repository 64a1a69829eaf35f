using System;
using System.Diagnostics.CodeAnalysis;
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
    public static KeyExchange Generate(KeId id, IEntropy entropy)
    {
        var info = Algorithms.Ke[id];
        return (info.Kind, Libcrypto.IsAvailable) switch
        {
            (KeKind.Modp, true) => new NativeModp(info, entropy),
            (KeKind.Ecp, true) => new NativeEcp(info, entropy),
            (KeKind.Montgomery, true) => new NativeMontgomery(info, entropy),
            (KeKind.Modp, false) => new ManagedModp(info, entropy),
            (KeKind.Ecp, false) => new ManagedEcp(info, entropy),
            _ => new ManagedMontgomery(info, entropy),
        };
    }
}
