using System;
using System.Security.Cryptography;
using Warifu.Crypto.Native;
using Warifu.Primitives;

namespace Warifu.Crypto.Signatures;

/// <summary>A private key for signatures: RSA, ECDSA on P-256, P-384 and P-521, Ed25519, Ed448, DSA. It has no text form and cannot be read back. Thread-safe.</summary>
public sealed class PrivateKey : IDisposable
{
    private readonly Secret _pkcs8;
    private readonly NativePrivateKey? _native;
    private volatile bool _disposed;

    private PrivateKey(Secret pkcs8, NativePrivateKey? native, PublicKey @public) => (_pkcs8, _native, Public) = (pkcs8, native, @public);

    /// <summary>SubjectPublicKeyInfo of the public half, in DER: what raw public keys are configured with (RFC 7670).</summary>
    public ReadOnlyMemory<byte> PublicKeyInfo => Public.Spki;

    internal PublicKey Public { get; }

    /// <summary>Reads a key file: PEM or DER; PKCS#8 (also encrypted: PBES2), PKCS#1, SEC1, the DSA form of OpenSSL, PKCS#12. The first private key of the file counts.</summary>
    /// <param name="file">The file's octets; the caller zeroes its own copy.</param>
    /// <param name="passphrase">For encrypted files, in UTF-8; empty otherwise.</param>
    /// <exception cref="FormatException">The file holds no key that can be used; the message says what would be right.</exception>
    public static PrivateKey Parse(ReadOnlySpan<byte> file, ReadOnlySpan<byte> passphrase = default)
    {
        using var pkcs8 = KeyFile.ToPkcs8(file, passphrase);
        return FromPkcs8(pkcs8);
    }

    /// <summary>Zeroes the key. Signatures under way end well.</summary>
    public void Dispose()
    {
        _disposed = true;
        _pkcs8.Dispose();
        _native?.Dispose();
    }

    /// <summary>An independent copy.</summary>
    internal PrivateKey Clone()
    {
        var pkcs8 = _pkcs8.Clone();
        return new PrivateKey(pkcs8, _native is null ? null : new NativePrivateKey(pkcs8.Span), Public);
    }

    /// <summary>From PrivateKeyInfo in DER, which is copied.</summary>
    /// <param name="pkcs8">The octets.</param>
    /// <param name="best">Who computes.</param>
    internal static PrivateKey FromPkcs8(Secret pkcs8, Provider best = Provider.Processor)
    {
        var native = best >= Provider.Libcrypto && Libcrypto.IsAvailable ? new NativePrivateKey(pkcs8.Span) : null;
        if (native is { IsInvalid: true })
        {
            native.Dispose();
            throw new FormatException("the private key is damaged, or of a kind that is not supported; RSA, ECDSA (P-256, P-384, P-521), Ed25519, Ed448 and DSA are");
        }

        PublicKey? half = null;
        try
        {
            var spki = native?.PublicKeyInfo() ?? ManagedPublicHalf.Of(pkcs8.Span);
            if (!PublicKey.TryParse(spki, out half)) throw new FormatException("the private key is of a kind or size that is not supported; RSA of 1024 bits and more, ECDSA (P-256, P-384, P-521), Ed25519, Ed448 and DSA are");
            var key = new PrivateKey(pkcs8.Clone(), native, half);
            key.Probe();
            return key;
        }
        catch (CryptographicException)
        {
            native?.Dispose();
            throw new FormatException("the private key is damaged: it does not fit its own public key");
        }
        catch (FormatException)
        {
            native?.Dispose();
            throw;
        }
    }

    /// <summary>Signs.</summary>
    /// <exception cref="CryptographicException">The scheme does not fit the key, or the key is too short for it.</exception>
    internal byte[] Sign(SignatureScheme scheme, ReadOnlySpan<byte> data)
    {
        if (!Public.Fits(scheme)) throw new CryptographicException($"{Public} cannot sign with {scheme}");
        if (_native?.Sign(scheme, data) is { } signature) return scheme.Raw ? ToRaw(signature) : signature;
        using var copy = _pkcs8.Clone();
        ObjectDisposedException.ThrowIf(_disposed, this);
        return ManagedSignatures.Sign(Public, copy.Span, scheme, data);
    }

    private byte[] ToRaw(byte[] der)
    {
        var raw = new byte[2 * Public.HalfLength];
        return Dss.TryToRaw(der, Public.HalfLength, raw) ? raw : throw new CryptographicException("libcrypto gave a signature that is not DER");
    }

    /// <summary>A key that does not fit its own public key would fail with every peer, and nobody would see why.</summary>
    private void Probe()
    {
        var scheme = Public.Kind switch
        {
            PublicKeyKind.Rsa => SignatureScheme.RsaPss(Public.PssOnly?.Hash ?? HashId.Sha256),
            PublicKeyKind.Dsa => new SignatureScheme(SignatureKind.Dsa, HashId.Sha256),
            PublicKeyKind.Ed25519 => SignatureScheme.Ed25519,
            PublicKeyKind.Ed448 => SignatureScheme.Ed448,
            _ => SignatureScheme.Ecdsa(HashId.Sha256),
        };
        if (Public.PssOnly is { } only) scheme = only;
        if (!Public.Verify(scheme, "probe"u8, Sign(scheme, "probe"u8))) throw new CryptographicException();
    }
}
