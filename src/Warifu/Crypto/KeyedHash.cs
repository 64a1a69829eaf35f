using System;
using System.Security.Cryptography;
using Warifu.Crypto.Native;

namespace Warifu.Crypto;

/// <summary>A MAC or PRF under one key, used again and again. <see cref="Append"/> any number of times, then <see cref="Finish"/>, which makes it ready for the next input. Not thread-safe.</summary>
internal abstract class KeyedHash : IDisposable
{
    /// <summary>Octets of the untruncated output.</summary>
    public abstract int OutputLength { get; }

    public abstract void Append(ReadOnlySpan<byte> data);

    /// <param name="output">The leftmost octets; as many as its length, at most <see cref="OutputLength"/>.</param>
    public abstract void Finish(Span<byte> output);

    public abstract void Dispose();

    /// <summary>For keys of the right length; see <see cref="CreatePrf"/> for the others.</summary>
    public static KeyedHash Create(MacKind kind, ReadOnlySpan<byte> key, Provider best = Provider.Processor) => kind switch
    {
        MacKind.AesXcbc => new AesXcbc(key, best),
        MacKind.AesCmac => new AesCmac(key, best),
        _ => Libcrypto.Digest(best, kind) is var digest and not 0 ? new NativeHmac(kind, digest, key) : new ManagedHmac(kind, key),
    };

    /// <summary>A PRF that takes keys of any length (RFC 4434 section 2, RFC 4615 section 3 for the AES ones; RFC 2104 for HMAC).</summary>
    public static KeyedHash CreatePrf(MacKind kind, ReadOnlySpan<byte> key, Provider best = Provider.Processor)
    {
        if (kind is not (MacKind.AesXcbc or MacKind.AesCmac) || key.Length == 16) return Create(kind, key, best);
        Span<byte> fitted = stackalloc byte[16];
        fitted.Clear();
        if (kind == MacKind.AesXcbc && key.Length < 16)
        {
            key.CopyTo(fitted);
        }
        else
        {
            using var shortener = Create(kind, fitted, best);
            shortener.Append(key);
            shortener.Finish(fitted);
        }

        var prf = Create(kind, fitted, best);
        CryptographicOperations.ZeroMemory(fitted);
        return prf;
    }

    public static int LengthOf(MacKind kind) => kind switch
    {
        MacKind.HmacSha1 => 20,
        MacKind.HmacSha256 => 32,
        MacKind.HmacSha384 => 48,
        MacKind.HmacSha512 => 64,
        _ => 16,
    };
}
