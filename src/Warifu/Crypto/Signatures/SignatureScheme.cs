using System;
using System.Formats.Asn1;
using Warifu.Primitives;

namespace Warifu.Crypto.Signatures;

/// <summary>What a key computes. The curve of an ECDSA key is not part of a scheme.</summary>
internal enum SignatureKind : byte
{
    /// <summary>RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2).</summary>
    RsaPkcs1,
    /// <summary>RSASSA-PSS (RFC 8017 section 8.1).</summary>
    RsaPss,
    Dsa,
    Ecdsa,
    Ed25519,
    Ed448,
}

/// <summary>How to sign: kind, hash, salt length of PSS, and for ECDSA and DSA whether the signature is DER (X.509, RFC 7427) or r|s (RFC 4754, DSS of RFC 7296).</summary>
/// <param name="Kind">The computation.</param>
/// <param name="Hash">Of the data; <see cref="HashId.Identity"/> with EdDSA, <see cref="HashId.None"/> when the data is the digest (IKEv1).</param>
/// <param name="SaltLength">Octets, with PSS.</param>
/// <param name="Raw">r|s of fixed length instead of DER.</param>
internal readonly record struct SignatureScheme(SignatureKind Kind, HashId Hash, int SaltLength = 0, bool Raw = false)
{
    private const string Pss = "1.2.840.113549.1.1.10", Mgf1 = "1.2.840.113549.1.1.8";

    public static SignatureScheme Ed25519 => new(SignatureKind.Ed25519, HashId.Identity);

    public static SignatureScheme Ed448 => new(SignatureKind.Ed448, HashId.Identity);

    public static SignatureScheme RsaPkcs1(HashId hash) => new(SignatureKind.RsaPkcs1, hash);

    /// <summary>IKEv1 (RFC 2409 section 5.1, RFC 4754 section 4): what is signed is a hash already. RSA pads it as it is, without a DigestInfo; DSA and ECDSA take it for the digest. Signatures of the latter two are r|s.</summary>
    public static SignatureScheme OfDigest(SignatureKind kind) => new(kind, HashId.None, Raw: kind != SignatureKind.RsaPkcs1);

    /// <summary>MGF1 with the same hash, a salt of the hash's length, as everybody does.</summary>
    public static SignatureScheme RsaPss(HashId hash) => new(SignatureKind.RsaPss, hash, Hashes.LengthOf(hash));

    public static SignatureScheme Ecdsa(HashId hash) => new(SignatureKind.Ecdsa, hash);

    /// <summary>Reads an AlgorithmIdentifier of X.509, CRLs, OCSP and RFC 7427: one SEQUENCE in DER with nothing behind it.</summary>
    public static bool TryParse(ReadOnlySpan<byte> algorithmIdentifier, out SignatureScheme scheme)
    {
        foreach (var row in AlgorithmIdentifiers.Rows)
        {
            if (!algorithmIdentifier.SequenceEqual(row.Der)) continue;
            scheme = row.Scheme;
            return true;
        }

        return TryParsePss(algorithmIdentifier, out scheme);
    }

    /// <summary>The AlgorithmIdentifier (RFC 7427 appendix A, RFC 8420).</summary>
    /// <exception cref="InvalidOperationException">There is none: for r|s, and for PSS with a strange salt there is one that nobody reads.</exception>
    public byte[] AlgorithmIdentifier()
    {
        if (Kind == SignatureKind.RsaPss) return PssIdentifier();
        foreach (var row in AlgorithmIdentifiers.Rows)
        {
            if (row.Scheme == this) return row.Der;
        }

        throw new InvalidOperationException($"no AlgorithmIdentifier for {this}");
    }

    /// <summary>"rsa-sha256", "rsa/pss-sha256", "ecdsa-sha384", "ed25519".</summary>
    public override string ToString() => Kind switch
    {
        SignatureKind.Ed25519 => "ed25519",
        SignatureKind.Ed448 => "ed448",
        SignatureKind.RsaPkcs1 => "rsa-" + Hashes.NameOf(Hash),
        SignatureKind.RsaPss => "rsa/pss-" + Hashes.NameOf(Hash),
        SignatureKind.Dsa => "dsa-" + Hashes.NameOf(Hash),
        _ => "ecdsa-" + Hashes.NameOf(Hash),
    };

    private byte[] PssIdentifier()
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            writer.WriteObjectIdentifier(Pss);
            using (writer.PushSequence())
            {
                // SHA-1 and 20 are the defaults, which DER leaves out; so is the trailer field
                if (Hash != HashId.Sha1)
                {
                    using (writer.PushSequence(new Asn1Tag(TagClass.ContextSpecific, 0))) WriteHash(writer);
                    using (writer.PushSequence(new Asn1Tag(TagClass.ContextSpecific, 1)))
                    using (writer.PushSequence())
                    {
                        writer.WriteObjectIdentifier(Mgf1);
                        WriteHash(writer);
                    }
                }

                if (SaltLength != 20)
                {
                    using (writer.PushSequence(new Asn1Tag(TagClass.ContextSpecific, 2))) writer.WriteInteger(SaltLength);
                }
            }
        }

        return writer.Encode();
    }

    private void WriteHash(AsnWriter writer)
    {
        using (writer.PushSequence())
        {
            writer.WriteObjectIdentifier(Hashes.OidOf(Hash));
            writer.WriteNull();
        }
    }

    /// <summary>RSASSA-PSS-params (RFC 4055 section 3.1): MGF1 must use the same hash. A default that is written out is accepted: RFC 7427 itself prints one.</summary>
    private static bool TryParsePss(ReadOnlySpan<byte> der, out SignatureScheme scheme)
    {
        scheme = default;
        try
        {
            var outer = new AsnReader(der.ToArray(), AsnEncodingRules.DER);
            var identifier = outer.ReadSequence();
            outer.ThrowIfNotEmpty();
            if (identifier.ReadObjectIdentifier() != Pss || !identifier.HasData) return false;
            var parameters = identifier.ReadSequence();
            identifier.ThrowIfNotEmpty();
            return TryReadPss(parameters, out scheme);
        }
        catch (AsnContentException)
        {
            return false;
        }
    }

    internal static bool TryReadPss(AsnReader parameters, out SignatureScheme scheme)
    {
        scheme = default;
        var (hash, mask, salt, trailer) = (HashId.Sha1, HashId.Sha1, 20, 1);
        if (Next(parameters, 0) is { } hashes && !TryReadHash(hashes, out hash)) return false;
        if (Next(parameters, 1) is { } generator)
        {
            var function = generator.ReadSequence();
            generator.ThrowIfNotEmpty();
            if (function.ReadObjectIdentifier() != Mgf1 || !TryReadHash(function, out mask)) return false;
        }

        if (Next(parameters, 2) is { } salts && !salts.TryReadInt32(out salt)) return false;
        if (Next(parameters, 3) is { } trailers && !trailers.TryReadInt32(out trailer)) return false;
        parameters.ThrowIfNotEmpty();
        if (hash != mask || salt is < 0 or > 1024 || trailer != 1) return false;
        scheme = new SignatureScheme(SignatureKind.RsaPss, hash, salt);
        return true;
    }

    private static AsnReader? Next(AsnReader parameters, int tag) =>
        parameters.HasData && parameters.PeekTag() is { TagClass: TagClass.ContextSpecific } next && next.TagValue == tag ? parameters.ReadSequence(new Asn1Tag(TagClass.ContextSpecific, tag)) : null;

    /// <summary>NULL parameters or none: both are right (RFC 4055 section 2.1).</summary>
    private static bool TryReadHash(AsnReader reader, out HashId hash)
    {
        var identifier = reader.ReadSequence();
        reader.ThrowIfNotEmpty();
        hash = Hashes.OfOid(identifier.ReadObjectIdentifier());
        if (identifier.HasData) identifier.ReadNull();
        identifier.ThrowIfNotEmpty();
        return hash != HashId.None;
    }
}

/// <summary>AlgorithmIdentifiers octet by octet (RFC 7427 appendix A, RFC 8420 appendix A, RFC 5758 for DSA).</summary>
internal static class AlgorithmIdentifiers
{
    public static (SignatureScheme Scheme, byte[] Der)[] Rows { get; } =
    [
        Row(SignatureKind.RsaPkcs1, HashId.Sha1, "300D06092A864886F70D0101050500"),
        Row(SignatureKind.RsaPkcs1, HashId.Sha256, "300D06092A864886F70D01010B0500"),
        Row(SignatureKind.RsaPkcs1, HashId.Sha384, "300D06092A864886F70D01010C0500"),
        Row(SignatureKind.RsaPkcs1, HashId.Sha512, "300D06092A864886F70D01010D0500"),
        Row(SignatureKind.Dsa, HashId.Sha1, "300906072A8648CE380403"),
        Row(SignatureKind.Dsa, HashId.Sha256, "300B0609608648016503040302"),
        Row(SignatureKind.Ecdsa, HashId.Sha1, "300906072A8648CE3D0401"),
        Row(SignatureKind.Ecdsa, HashId.Sha256, "300A06082A8648CE3D040302"),
        Row(SignatureKind.Ecdsa, HashId.Sha384, "300A06082A8648CE3D040303"),
        Row(SignatureKind.Ecdsa, HashId.Sha512, "300A06082A8648CE3D040304"),
        Row(SignatureKind.Ed25519, HashId.Identity, "300506032B6570"),
        Row(SignatureKind.Ed448, HashId.Identity, "300506032B6571"),
    ];

    private static (SignatureScheme, byte[]) Row(SignatureKind kind, HashId hash, string der) => (new SignatureScheme(kind, hash), Convert.FromHexString(der));
}
