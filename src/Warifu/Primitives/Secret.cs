using System;
using System.Diagnostics;
using System.Security.Cryptography;

namespace Warifu.Primitives;

/// <summary>Owned key material in pinned memory that is zeroed when disposed. It has no text form and no equality but <see cref="FixedTimeEquals"/>.</summary>
[DebuggerDisplay("Secret")]
public sealed class Secret : IDisposable
{
    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    private readonly byte[] _octets;

    /// <summary>Zeroed memory for <paramref name="length"/> octets, to be written through <see cref="Span"/>.</summary>
    public Secret(int length) => _octets = GC.AllocateArray<byte>(length, pinned: true);

    /// <summary>Copies <paramref name="octets"/>. The caller zeroes its own copy.</summary>
    public Secret(ReadOnlySpan<byte> octets) : this(octets.Length) => octets.CopyTo(_octets);

    /// <summary>Octets held.</summary>
    public int Length => _octets.Length;

    /// <summary>True after <see cref="Dispose"/>.</summary>
    public bool IsDisposed { get; private set; }

    /// <summary>The octets; throws when disposed, so that zeroed keys are never used by mistake.</summary>
    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    public Span<byte> Span
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsDisposed, this);
            return _octets;
        }
    }

    /// <summary>Compares in time that depends on the length only.</summary>
    public bool FixedTimeEquals(ReadOnlySpan<byte> other) => CryptographicOperations.FixedTimeEquals(Span, other);

    /// <summary>An independent copy.</summary>
    public Secret Clone() => new(Span);

    /// <summary>Zeroes the octets.</summary>
    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(_octets);
        IsDisposed = true;
    }
}

/// <summary>A handle of a long-term secret that a secret keeper outside the core holds. The core never sees the octets.</summary>
/// <param name="Id">The keeper's number; 0 = none.</param>
public readonly record struct SecretRef(int Id)
{
    /// <summary>No secret.</summary>
    public bool IsNone => Id == 0;
}
