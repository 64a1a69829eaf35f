using System;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Linq;
using Warifu.Crypto.Signatures;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.App.Configuration;

/// <summary>A certificate, CRL or public key that is loaded.</summary>
/// <param name="Type">What it is.</param>
/// <param name="Der">Its octets; a SubjectPublicKeyInfo for a public key.</param>
internal sealed record LoadedCertificate(CertificateType Type, ImmutableArray<byte> Der)
{
    private Certificate? _parsed;

    /// <summary>Understood; null for what is no certificate.</summary>
    public Certificate? Parsed => _parsed ??= Type is CertificateType.X509 or CertificateType.Ca or CertificateType.Aa or CertificateType.Ocsp && Certificate.TryParse(Der.AsMemory(), out var read, out _) ? read : null;

    /// <summary>The public key; null when there is none, or of a kind that is not known here.</summary>
    public PublicKey? Key => Type == CertificateType.PublicKey ? (PublicKey.TryParse(Der.AsSpan(), out var key) ? key : null) : Parsed?.Key;

    public bool Equals(LoadedCertificate? other) => other is not null && Type == other.Type && Der.AsSpan().SequenceEqual(other.Der.AsSpan());

    public override int GetHashCode()
    {
        var hash = default(HashCode);
        hash.AddBytes(Der.AsSpan());
        return hash.ToHashCode();
    }
}

/// <summary>Files with certificates, CRLs and public keys, in PEM or DER, with one or many objects.</summary>
internal static class CertificateReader
{
    /// <summary>All objects of the kind; at least one. Each is checked to be what it claims.</summary>
    public static bool TryRead(CertificateType type, ReadOnlySpan<byte> file, out ImmutableArray<ImmutableArray<byte>> objects, [NotNullWhen(false)] out string? error)
    {
        (objects, error) = ([], null);
        try
        {
            objects = type switch
            {
                CertificateType.PublicKey => [KeyFile.ReadPublicKey(file)],
                CertificateType.Crl => Blocks(file, "X509 CRL"),
                CertificateType.AttributeCertificate => Blocks(file, "ATTRIBUTE CERTIFICATE"),
                CertificateType.OcspResponse => Blocks(file, "OCSP RESPONSE"),
                _ when Blocks(file, "PKCS7") is { IsEmpty: false } bundles && !IsCertificate(bundles[0]) => Unbundle(bundles),
                _ => KeyFile.ReadCertificates(file),
            };
        }
        catch (FormatException exception)
        {
            error = exception.Message;
            return false;
        }

        foreach (var der in objects) error ??= Fault(type, der.AsMemory());
        if (objects.IsEmpty) error = "there is no such object in the file; it must be PEM or DER";
        return error is null;
    }

    /// <summary>The subject; a text in any case.</summary>
    public static string NameOf(ReadOnlyMemory<byte> certificate) => Certificate.TryParse(certificate, out var read, out _) ? read!.Name : "(unreadable)";

    /// <summary>The public key; null when it is of a kind that is not known here.</summary>
    public static PublicKey? KeyOf(ReadOnlyMemory<byte> certificate) => Certificate.TryParse(certificate, out var read, out _) ? read!.Key : null;

    /// <summary>The basic constraints say that it is a CA; null = it is no certificate.</summary>
    public static bool? IsAuthority(ReadOnlyMemory<byte> certificate) => Certificate.TryParse(certificate, out var read, out _) ? read!.IsCa : null;

    /// <summary>An identity that the certificate proves (RFC 4945 section 3.1).</summary>
    public static bool Carries(Certificate certificate, Identity identity) =>
        IdentityRules.Check(new PathQuestion { Offered = [], Trust = TrustStore.Empty, Remote = new RemoteAuth(), Now = default, Identity = identity }, certificate) is null;

    private static string? Fault(CertificateType type, ReadOnlyMemory<byte> der) => type switch
    {
        CertificateType.Crl => Crl.TryParse(der, out _) ? null : "it is no revocation list (RFC 5280 section 5)",
        CertificateType.PublicKey or CertificateType.AttributeCertificate or CertificateType.OcspResponse => null,
        _ => Certificate.TryParse(der, out _, out var error) ? null : error,
    };

    private static bool IsCertificate(ImmutableArray<byte> der) => Certificate.TryParse(der.AsMemory(), out _, out _);

    /// <summary>Blocks of one kind, or the whole file when it is no PEM.</summary>
    private static ImmutableArray<ImmutableArray<byte>> Blocks(ReadOnlySpan<byte> file, string label)
    {
        if (!Pem.IsPem(file)) return file is [0x30, ..] ? [[.. file]] : [];
        return [.. Pem.Read(file).Where(block => block.Label == label).Select(block => ImmutableArray.Create(block.Octets))];
    }

    /// <summary>RFC 2315: a bundle without signatures.</summary>
    private static ImmutableArray<ImmutableArray<byte>> Unbundle(ImmutableArray<ImmutableArray<byte>> bundles)
    {
        var found = ImmutableArray.CreateBuilder<ImmutableArray<byte>>();
        foreach (var bundle in bundles)
        {
            if (!Pkcs7.TryReadCertificates(bundle.AsMemory(), out var certificates)) throw new FormatException("it is neither a certificate nor a PKCS#7 bundle of certificates");
            found.AddRange(certificates.Select(der => ImmutableArray.Create(der.ToArray())));
        }

        return found.ToImmutable();
    }
}
