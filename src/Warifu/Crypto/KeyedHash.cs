using System;
using System.Collections.Frozen;
using System.Collections.Generic;
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
    public static KeyedHash Create(MacKind kind, ReadOnlySpan<byte> key) => kind switch
    {
        MacKind.AesXcbc => new AesXcbc(key),
        MacKind.AesCmac => new AesCmac(key),
        _ when Libcrypto.IsAvailable => new NativeHmac(kind, key),
        _ => new ManagedHmac(kind, key),
    };

    /// <summary>A PRF that takes keys of any length (RFC 4434 section 2, RFC 4615 section 3 for the AES ones; RFC 2104 for HMAC).</summary>
    public static KeyedHash CreatePrf(MacKind kind, ReadOnlySpan<byte> key)
    {
        if (kind is not (MacKind.AesXcbc or MacKind.AesCmac) || key.Length == 16) return Create(kind, key);
        Span<byte> fitted = stackalloc byte[16];
        fitted.Clear();
        if (kind == MacKind.AesXcbc && key.Length < 16)
        {
            key.CopyTo(fitted);
        }
        else
        {
            using var shortener = Create(kind, fitted);
            shortener.Append(key);
            shortener.Finish(fitted);
        }

        var prf = Create(kind, fitted);
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

/// <summary>HMAC by libcrypto: the key schedule is computed once.</summary>
internal sealed unsafe class NativeHmac : KeyedHash
{
    private static readonly FrozenDictionary<MacKind, string> s_names = new Dictionary<MacKind, string>
    {
        [MacKind.HmacMd5] = "MD5",
        [MacKind.HmacSha1] = "SHA1",
        [MacKind.HmacSha256] = "SHA256",
        [MacKind.HmacSha384] = "SHA384",
        [MacKind.HmacSha512] = "SHA512",
    }.ToFrozenDictionary();

    private nint _context;

    public NativeHmac(MacKind kind, ReadOnlySpan<byte> key)
    {
        OutputLength = LengthOf(kind);
        _context = Libcrypto.HMAC_CTX_new();
        byte none = 0;
        fixed (byte* pointer = key)
        {
            // a null key means "the old one": an empty key needs an address
            if (Libcrypto.HMAC_Init_ex(_context, key.IsEmpty ? &none : pointer, key.Length, Libcrypto.EVP_get_digestbyname(s_names[kind]), 0) != 1) throw new CryptographicException("HMAC_Init_ex");
        }
    }

    ~NativeHmac() => Dispose();

    public override int OutputLength { get; }

    public override void Append(ReadOnlySpan<byte> data)
    {
        fixed (byte* pointer = data) Libcrypto.Check(Libcrypto.HMAC_Update(_context, pointer, (nuint)data.Length));
    }

    public override void Finish(Span<byte> output)
    {
        Span<byte> full = stackalloc byte[64];
        fixed (byte* pointer = full)
        {
            Libcrypto.Check(Libcrypto.HMAC_Final(_context, pointer, out _));
            Libcrypto.Check(Libcrypto.HMAC_Init_ex(_context, null, 0, 0, 0));
        }

        full[..output.Length].CopyTo(output);
        CryptographicOperations.ZeroMemory(full);
    }

    public override void Dispose()
    {
        if (_context != 0) Libcrypto.HMAC_CTX_free(_context);
        _context = 0;
        GC.SuppressFinalize(this);
    }
}

/// <summary>HMAC of the platform, where there is no OpenSSL 3.</summary>
internal sealed class ManagedHmac(MacKind kind, ReadOnlySpan<byte> key) : KeyedHash
{
    private readonly IncrementalHash _hash = IncrementalHash.CreateHMAC(
        kind switch { MacKind.HmacMd5 => HashAlgorithmName.MD5, MacKind.HmacSha1 => HashAlgorithmName.SHA1, MacKind.HmacSha256 => HashAlgorithmName.SHA256, MacKind.HmacSha384 => HashAlgorithmName.SHA384, _ => HashAlgorithmName.SHA512 },
        key);

    public override int OutputLength { get; } = LengthOf(kind);

    public override void Append(ReadOnlySpan<byte> data) => _hash.AppendData(data);

    public override void Finish(Span<byte> output)
    {
        Span<byte> full = stackalloc byte[64];
        _hash.GetHashAndReset(full);
        full[..output.Length].CopyTo(output);
        CryptographicOperations.ZeroMemory(full);
    }

    public override void Dispose() => _hash.Dispose();
}
