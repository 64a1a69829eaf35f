using System;
using System.Diagnostics.CodeAnalysis;
using System.Formats.Asn1;
using System.Numerics;
using System.Security.Cryptography;
using System.Threading;
using Warifu.Crypto.Native;
using Warifu.Primitives;

namespace Warifu.Crypto.Signatures;

internal enum PublicKeyKind : byte
{
    Rsa,
    Dsa,
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    Ed25519,
    Ed448,
}

/// <summary>A public key out of a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7). Immutable; verification is strict and the same with every provider.</summary>
internal sealed class PublicKey : IEquatable<PublicKey>
{
    private const string RsaOid = "1.2.840.113549.1.1.1", PssOid = "1.2.840.113549.1.1.10", DsaOid = "1.2.840.10040.4.1", EcOid = "1.2.840.10045.2.1";

    // what a peer may make us compute with
    private const int RsaBitsMin = 1024, RsaBitsMax = 16384, RsaExponentOctetsMax = 8, DsaBitsMin = 1024, DsaBitsMax = 4096;

    private static readonly HashId[] s_pkcs1Hashes = [HashId.Sha1, HashId.Sha256, HashId.Sha384, HashId.Sha512];

    private NativePublicKey? _native;

    private PublicKey(ReadOnlySpan<byte> spki, ReadOnlySpan<byte> bits, PublicKeyKind kind) => (Spki, KeyId, Kind, Point) = (spki.ToArray(), SHA1.HashData(bits), kind, bits.ToArray());

    public PublicKeyKind Kind { get; }

    /// <summary>Strength as people name it: of the modulus, of the curve.</summary>
    public int Bits { get; private init; }

    /// <summary>SubjectPublicKeyInfo in DER.</summary>
    public ReadOnlyMemory<byte> Spki { get; }

    /// <summary>SHA-1 of the key's BIT STRING without the count of unused bits: what VICI names private keys by.</summary>
    public ReadOnlyMemory<byte> KeyId { get; }

    /// <summary>The AlgorithmIdentifier says RSASSA-PSS (RFC 4055 section 1.2): the key must not be used for PKCS#1 v1.5.</summary>
    public bool IsPssOnly { get; private init; }

    /// <summary>What RSASSA-PSS parameters beside the key allow; null = everything.</summary>
    public SignatureScheme? PssOnly { get; private init; }

    /// <summary>The BIT STRING's octets: the point of an EC or Edwards key.</summary>
    internal byte[] Point { get; }

    internal byte[] Modulus { get; private init; } = [];

    internal byte[] Exponent { get; private init; } = [];

    /// <summary>p, q, g, y of DSA.</summary>
    internal (byte[] P, byte[] Q, byte[] G, byte[] Y) Dsa { get; private init; } = ([], [], [], []);

    /// <summary>Octets of r and of s.</summary>
    internal int HalfLength => Kind switch
    {
        PublicKeyKind.EcdsaP256 => 32,
        PublicKeyKind.EcdsaP384 => 48,
        PublicKeyKind.EcdsaP521 => 66,
        PublicKeyKind.Dsa => Dsa.Q.Length,
        _ => 0,
    };

    /// <summary>False for what is no key, for keys that nobody should use (explicit curves, tiny or absurd numbers), and for kinds that are not supported. Never throws.</summary>
    public static bool TryParse(ReadOnlySpan<byte> spki, [NotNullWhen(true)] out PublicKey? key)
    {
        key = null;
        try
        {
            var outer = new AsnReader(spki.ToArray(), AsnEncodingRules.DER);
            var info = outer.ReadSequence();
            outer.ThrowIfNotEmpty();
            var algorithm = info.ReadSequence();
            var bits = info.ReadBitString(out var unused);
            info.ThrowIfNotEmpty();
            if (unused != 0) return false;
            var oid = algorithm.ReadObjectIdentifier();
            key = oid switch
            {
                RsaOid or PssOid => ReadRsa(spki, bits, algorithm, oid == PssOid),
                DsaOid => ReadDsa(spki, bits, algorithm),
                EcOid => ReadEc(spki, bits, algorithm),
                "1.3.101.112" => ReadEdwards(spki, bits, algorithm, PublicKeyKind.Ed25519, 32),
                "1.3.101.113" => ReadEdwards(spki, bits, algorithm, PublicKeyKind.Ed448, 57),
                _ => null,
            };
        }
        catch (AsnContentException)
        {
            return false;
        }

        return key is not null;
    }

    /// <summary>True when the key may be used so: the kinds fit, and PSS keys are used for PSS.</summary>
    public bool Fits(SignatureScheme scheme) => scheme.Kind switch
    {
        SignatureKind.RsaPkcs1 => Kind == PublicKeyKind.Rsa && !IsPssOnly,
        // RFC 4055 section 3.3: the hash of the key's parameters, at least their salt
        SignatureKind.RsaPss => Kind == PublicKeyKind.Rsa && (PssOnly is not { } only || (only.Hash == scheme.Hash && scheme.SaltLength >= only.SaltLength)),
        SignatureKind.Dsa => Kind == PublicKeyKind.Dsa,
        SignatureKind.Ecdsa => Kind is PublicKeyKind.EcdsaP256 or PublicKeyKind.EcdsaP384 or PublicKeyKind.EcdsaP521,
        SignatureKind.Ed25519 => Kind == PublicKeyKind.Ed25519,
        SignatureKind.Ed448 => Kind == PublicKeyKind.Ed448,
        _ => false,
    };

    /// <summary>True when the signature is right. False for everything else; never throws.</summary>
    public bool Verify(SignatureScheme scheme, ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature) => Verify(scheme, data, signature, Provider.Processor);

    internal bool Verify(SignatureScheme scheme, ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature, Provider best)
    {
        if (!Fits(scheme)) return false;
        var native = best >= Provider.Libcrypto && Libcrypto.IsAvailable;
        switch (scheme.Kind)
        {
            case SignatureKind.RsaPkcs1 or SignatureKind.RsaPss:
                return VerifyRsa(scheme, data, signature, native);
            case SignatureKind.Ed25519:
                return signature.Length == 64 && (native ? Native.Verify(HashId.Identity, data, signature) : ManagedSignatures.VerifyEdwards(this, data, signature));
            case SignatureKind.Ed448:
                return signature.Length == 114 && (native ? Native.Verify(HashId.Identity, data, signature) : ManagedSignatures.VerifyEdwards(this, data, signature));
            default:
                Span<byte> raw = stackalloc byte[2 * 66];
                raw = raw[..(2 * HalfLength)];
                if (!scheme.Raw && !Dss.TryToRaw(signature, HalfLength, raw)) return false;
                if (scheme.Raw && signature.Length != raw.Length) return false;
                if (scheme.Raw) signature.CopyTo(raw);
                if (Hashes.LengthOf(scheme.Hash) == 0 && scheme.Hash != HashId.None) return false;
                return native ? Native.Verify(scheme.Hash, data, Dss.ToDer(raw)) : ManagedSignatures.VerifyDss(this, scheme.Hash, data, raw);
        }
    }

    public bool Equals(PublicKey? other) => other is not null && Spki.Span.SequenceEqual(other.Spki.Span);

    public override bool Equals(object? obj) => Equals(obj as PublicKey);

    public override int GetHashCode()
    {
        var hash = default(HashCode);
        hash.AddBytes(KeyId.Span);
        return hash.ToHashCode();
    }

    /// <summary>"RSA 3072", "ECDSA P-256", "Ed25519".</summary>
    public override string ToString() => Kind switch
    {
        PublicKeyKind.Rsa => $"RSA {Bits}",
        PublicKeyKind.Dsa => $"DSA {Bits}",
        PublicKeyKind.EcdsaP256 => "ECDSA P-256",
        PublicKeyKind.EcdsaP384 => "ECDSA P-384",
        PublicKeyKind.EcdsaP521 => "ECDSA P-521",
        _ => Kind.ToString(),
    };

    private NativePublicKey Native
    {
        get
        {
            if (_native is { } known) return known;
            var made = new NativePublicKey(Spki.Span);
            return Interlocked.CompareExchange(ref _native, made, null) ?? made;
        }
    }

    /// <summary>The public-key operation, then a comparison with the one right encoding: there is nothing to parse that could be fooled (CVE-2006-4339 and its kin).</summary>
    private bool VerifyRsa(SignatureScheme scheme, ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature, bool native)
    {
        if (signature.Length != Modulus.Length || signature.SequenceCompareTo(Modulus) >= 0) return false;
        var opened = new byte[Modulus.Length];
        Open(signature, opened, native);
        if (scheme.Kind == SignatureKind.RsaPss) return RsaPadding.VerifyPss(scheme.Hash, scheme.SaltLength, data, opened, Bits);
        var expected = new byte[Modulus.Length];
        return RsaPadding.TryEncodePkcs1(scheme.Hash, data, expected) && CryptographicOperations.FixedTimeEquals(opened, expected);
    }

    /// <summary>The hash of an RSA signature of method 1, which does not say it (RFC 7296 section 3.8): SHA-1 unless the peer chose another one. Each right encoding is compared; null = none is it.</summary>
    public HashId? Pkcs1HashOf(ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature)
    {
        if (!Fits(SignatureScheme.RsaPkcs1(HashId.Sha1)) || signature.Length != Modulus.Length || signature.SequenceCompareTo(Modulus) >= 0) return null;
        var opened = new byte[Modulus.Length];
        Open(signature, opened, Libcrypto.IsAvailable);
        var expected = new byte[Modulus.Length];
        foreach (var hash in s_pkcs1Hashes)
        {
            if (RsaPadding.TryEncodePkcs1(hash, data, expected) && CryptographicOperations.FixedTimeEquals(opened, expected)) return hash;
        }

        return null;
    }

    private void Open(ReadOnlySpan<byte> signature, Span<byte> opened, bool native)
    {
        if (native) NativeRsa.Power(Modulus, Exponent, signature, opened);
        else ManagedSignatures.Power(Modulus, Exponent, signature, opened);
    }

    private static PublicKey? ReadRsa(ReadOnlySpan<byte> spki, byte[] bits, AsnReader algorithm, bool pss)
    {
        SignatureScheme? only = null;
        if (!pss)
        {
            // RFC 3279 section 2.3.1: NULL
            algorithm.ReadNull();
        }
        else if (algorithm.HasData)
        {
            if (!SignatureScheme.TryReadPss(algorithm.ReadSequence(), out var scheme)) return null;
            only = scheme;
        }

        algorithm.ThrowIfNotEmpty();
        var outer = new AsnReader(bits, AsnEncodingRules.DER);
        var numbers = outer.ReadSequence();
        outer.ThrowIfNotEmpty();
        if (!TryReadPositive(numbers, out var modulus) || !TryReadPositive(numbers, out var exponent)) return null;
        numbers.ThrowIfNotEmpty();
        var length = LengthOf(modulus);
        if (length is < RsaBitsMin or > RsaBitsMax || (modulus[^1] & 1) == 0) return null;
        if (exponent.Length > RsaExponentOctetsMax || (exponent[^1] & 1) == 0 || exponent is [1]) return null;
        return new PublicKey(spki, bits, PublicKeyKind.Rsa) { Bits = length, Modulus = modulus, Exponent = exponent, IsPssOnly = pss, PssOnly = only };
    }

    private static PublicKey? ReadDsa(ReadOnlySpan<byte> spki, byte[] bits, AsnReader algorithm)
    {
        // inherited parameters (RFC 3279 section 2.3.2) are not supported
        var parameters = algorithm.ReadSequence();
        algorithm.ThrowIfNotEmpty();
        if (!TryReadPositive(parameters, out var p) || !TryReadPositive(parameters, out var q) || !TryReadPositive(parameters, out var g)) return null;
        parameters.ThrowIfNotEmpty();
        var number = new AsnReader(bits, AsnEncodingRules.DER);
        if (!TryReadPositive(number, out var y)) return null;
        number.ThrowIfNotEmpty();
        var length = LengthOf(p);
        if (length is < DsaBitsMin or > DsaBitsMax || (p[^1] & 1) == 0 || LengthOf(q) is not (160 or 224 or 256)) return null;
        if (!IsBetween(g, p) || !IsBetween(y, p)) return null;
        return new PublicKey(spki, bits, PublicKeyKind.Dsa) { Bits = length, Dsa = (p, q, g, y) };
    }

    private static PublicKey? ReadEc(ReadOnlySpan<byte> spki, byte[] bits, AsnReader algorithm)
    {
        // named curves only: with explicit ones the sender chooses the generator (CVE-2020-0601)
        var (kind, length) = algorithm.ReadObjectIdentifier() switch
        {
            "1.2.840.10045.3.1.7" => (PublicKeyKind.EcdsaP256, 256),
            "1.3.132.0.34" => (PublicKeyKind.EcdsaP384, 384),
            "1.3.132.0.35" => (PublicKeyKind.EcdsaP521, 521),
            _ => (PublicKeyKind.Rsa, 0),
        };
        algorithm.ThrowIfNotEmpty();
        if (length == 0 || bits.Length != 1 + (2 * ((length + 7) / 8)) || bits[0] != 4) return null;
        return new PublicKey(spki, bits, kind) { Bits = length };
    }

    private static PublicKey? ReadEdwards(ReadOnlySpan<byte> spki, byte[] bits, AsnReader algorithm, PublicKeyKind kind, int length)
    {
        algorithm.ThrowIfNotEmpty();
        return bits.Length == length ? new PublicKey(spki, bits, kind) { Bits = kind == PublicKeyKind.Ed25519 ? 256 : 456 } : null;
    }

    private static bool TryReadPositive(AsnReader reader, out byte[] number)
    {
        var octets = reader.ReadIntegerBytes().Span;
        number = [];
        if (octets.IsEmpty || octets[0] >= 0x80) return false;
        if (octets[0] == 0) octets = octets[1..];
        number = octets.ToArray();
        return number.Length > 0;
    }

    private static int LengthOf(byte[] number) => (8 * number.Length) - BitOperations.LeadingZeroCount((uint)number[0]) + 24;

    /// <summary>1 &lt; value &lt; limit.</summary>
    private static bool IsBetween(byte[] value, byte[] limit) => value is not [1] && (value.Length < limit.Length || (value.Length == limit.Length && value.AsSpan().SequenceCompareTo(limit) < 0));
}
