using System;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Crypto.Signatures;

namespace Warifu.Pki;

/// <summary>An X.509 certificate (RFC 5280 section 4.1): every field checked once, then immutable. Reading never throws and keeps slices of the octets that it was given.</summary>
internal sealed class Certificate : IEquatable<Certificate>
{
    /// <summary>What an IKE message can carry.</summary>
    public const int MaxLength = 65_535;

    private const int MaxSerial = 64;

    private string? _name;
    private byte[]? _spkiHash;
    private int _hash;

    private Certificate(ReadOnlyMemory<byte> der) => Der = der;

    public ReadOnlyMemory<byte> Der { get; }

    /// <summary>What the issuer signed.</summary>
    public ReadOnlyMemory<byte> Tbs { get; private set; }

    /// <summary>1, 2 or 3.</summary>
    public int Version { get; private set; }

    public ReadOnlyMemory<byte> Serial { get; private set; }

    public X509Name Issuer { get; private set; } = null!;

    public X509Name Subject { get; private set; } = null!;

    public DateTimeOffset NotBefore { get; private set; }

    public DateTimeOffset NotAfter { get; private set; }

    /// <summary>SubjectPublicKeyInfo, whole.</summary>
    public ReadOnlyMemory<byte> Spki { get; private set; }

    /// <summary>The key; null when it is malformed or of a kind that is not known here.</summary>
    public PublicKey? Key { get; private set; }

    /// <summary>AlgorithmIdentifier, whole.</summary>
    public ReadOnlyMemory<byte> SignatureAlgorithm { get; private set; }

    /// <summary>How it was signed; null when that is not known here.</summary>
    public SignatureScheme? Scheme { get; private set; }

    public ReadOnlyMemory<byte> Signature { get; private set; }

    public CertificateExtensions Extensions { get; } = new();

    /// <summary>Subject and issuer are one name (RFC 5280 section 3.2).</summary>
    public bool IsSelfIssued { get; private set; }

    public bool IsCa => Extensions.IsCa == true;

    /// <summary>How people call it: its subject, or else its first alternative name, or its serial number.</summary>
    public string Name => _name ??= !Subject.IsEmpty ? Subject.ToString()
        : Extensions.AlternativeNames.FirstOrDefault()?.ToString() ?? $"serial {Convert.ToHexStringLower(Serial.Span)} of {Issuer}";

    /// <summary>SHA-1 of its SubjectPublicKeyInfo: CERTREQ names authorities by it (RFC 7296 section 3.7).</summary>
    public byte[] SpkiHash() => _spkiHash ??= SHA1.HashData(Spki.Span);

    /// <summary>Content of the public key's BIT STRING: OCSP hashes it (RFC 6960 section 4.1.1), key identifiers too.</summary>
    public ReadOnlyMemory<byte> KeyBits { get; private set; }

    /// <param name="der">One certificate and nothing behind it; it must not change afterwards.</param>
    /// <param name="certificate">The certificate.</param>
    /// <param name="error">What is wrong with it; empty on success.</param>
    public static bool TryParse(ReadOnlyMemory<byte> der, out Certificate? certificate, out string error)
    {
        certificate = null;
        error = "it is no DER certificate";
        if (der.Length > MaxLength)
        {
            error = $"it has {der.Length} octets, more than {MaxLength}";
            return false;
        }

        var read = new Certificate(der);
        var outer = new DerReader(der);
        if (!outer.TryEnter(DerTag.Sequence, out var fields) || !outer.AtEnd) return false;
        if (!fields.TryReadEncoded(DerTag.Sequence, out var tbs) || !fields.TryReadEncoded(DerTag.Sequence, out var algorithm) || !fields.TryReadOctetBits(out var signature) || !fields.AtEnd) return false;
        (read.Tbs, read.SignatureAlgorithm, read.Signature) = (tbs, algorithm, signature);
        if (!read.TryReadTbs(tbs, ref error)) return false;
        if (SignatureScheme.TryParse(algorithm.Span, out var scheme)) read.Scheme = scheme;
        if (PublicKey.TryParse(read.Spki.Span, out var key)) read.Key = key;
        var hash = default(HashCode);
        hash.AddBytes(der.Span);
        read._hash = hash.ToHashCode();
        (certificate, error) = (read, "");
        return true;
    }

    /// <summary>Same octets.</summary>
    public bool Equals(Certificate? other) => other is not null && Der.Span.SequenceEqual(other.Der.Span);

    public override bool Equals(object? obj) => Equals(obj as Certificate);

    public override int GetHashCode() => _hash;

    public override string ToString() => Name;

    /// <summary>The same entity with the same key: another certificate of it does not lengthen a path.</summary>
    public bool IsTwinOf(Certificate other) => Subject.Equals(other.Subject) && Spki.Span.SequenceEqual(other.Spki.Span);

    private bool TryReadTbs(ReadOnlyMemory<byte> tbs, ref string error)
    {
        var outer = new DerReader(tbs);
        if (!outer.TryEnter(DerTag.Sequence, out var fields)) return false;
        Version = 1;
        if (fields.TryEnterOptional(DerTag.ContextOf(0), out var version))
        {
            if (!version.TryReadNumber(out var number) || !version.AtEnd || number > 2) return false;
            Version = number + 1;
        }

        if (!fields.TryReadInteger(out var serial) || serial.Length > MaxSerial) return false;
        if (!fields.TryReadEncoded(DerTag.Sequence, out var algorithm)) return false;
        if (!algorithm.Span.SequenceEqual(SignatureAlgorithm.Span))
        {
            // RFC 5280 section 4.1.1.2
            error = "it names two different signature algorithms";
            return false;
        }

        Serial = serial;
        if (!TryReadName(ref fields, out var issuer) || !fields.TryEnter(DerTag.Sequence, out var validity)) return false;
        if (!validity.TryReadTime(out var from) || !validity.TryReadTime(out var to) || !validity.AtEnd) return false;
        if (!TryReadName(ref fields, out var subject) || !fields.TryReadEncoded(DerTag.Sequence, out var spki) || !TryReadKeyBits(spki, out var bits)) return false;
        (Issuer, Subject, NotBefore, NotAfter, Spki, KeyBits) = (issuer!, subject!, from, to, spki, bits);
        IsSelfIssued = Issuer.Equals(Subject);
        // unique identifiers mean nothing any more (RFC 5280 section 4.1.2.8)
        if (Version >= 2) fields.TryReadOptional(DerTag.Context(1), out _);
        if (Version >= 2) fields.TryReadOptional(DerTag.Context(2), out _);
        if (Version == 3 && fields.TryEnterOptional(DerTag.ContextOf(3), out var wrapped))
        {
            if (!wrapped.TryEnter(DerTag.Sequence, out var list) || !wrapped.AtEnd || !Extensions.TryRead(list, Issuer, out error)) return false;
        }

        if (!fields.AtEnd || !outer.AtEnd) return false;
        // RFC 5280 section 4.1.2.4: somebody issued it
        if (!Issuer.IsEmpty) return true;
        error = "its issuer has no name";
        return false;
    }

    private static bool TryReadName(ref DerReader fields, out X509Name? name)
    {
        name = null;
        return fields.TryReadEncoded(DerTag.Sequence, out var der) && X509Name.TryParse(der, out name);
    }

    private static bool TryReadKeyBits(ReadOnlyMemory<byte> spki, out ReadOnlyMemory<byte> bits)
    {
        bits = default;
        var outer = new DerReader(spki);
        return outer.TryEnter(DerTag.Sequence, out var fields) && fields.TryRead(DerTag.Sequence, out _) && fields.TryReadOctetBits(out bits) && fields.AtEnd;
    }
}
