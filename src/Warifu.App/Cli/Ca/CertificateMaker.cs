using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Formats.Asn1;
using System.Globalization;
using System.Linq;
using System.Net;
using System.Numerics;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Warifu.Crypto.Signatures;
using Warifu.Policy;
using Warifu.Primitives;
using PublicKey = System.Security.Cryptography.X509Certificates.PublicKey;

namespace Warifu.App.Cli.Ca;

/// <summary>What a certificate is to say.</summary>
internal sealed record NewCertificate
{
    /// <summary>Name as "C=CH, O=Example, CN=gw".</summary>
    public required string Subject { get; init; }

    /// <summary>Names of the holder: addresses, domain names, mail addresses.</summary>
    public ImmutableArray<string> AlternativeNames { get; init; } = [];

    public bool IsCa { get; init; }

    /// <summary>CA certificates below; null = no limit.</summary>
    public int? PathLength { get; init; }

    public DateTimeOffset NotBefore { get; init; } = DateTimeOffset.UtcNow.AddMinutes(-5);

    public DateTimeOffset NotAfter { get; init; } = DateTimeOffset.UtcNow.AddDays(1095);

    /// <summary>Extended key usages: serverAuth, clientAuth, ipsecIKE, ocspSigning, or OIDs.</summary>
    public ImmutableArray<string> Purposes { get; init; } = [];

    public ImmutableArray<string> CrlUris { get; init; } = [];

    public ImmutableArray<string> OcspUris { get; init; } = [];

    /// <summary>Certificate policies, OIDs.</summary>
    public ImmutableArray<string> Policies { get; init; } = [];

    /// <summary>Domain names below which a CA may issue; empty = no constraint.</summary>
    public ImmutableArray<string> PermittedDomains { get; init; } = [];

    /// <summary>Key usage; null = what fits to <see cref="IsCa"/>.</summary>
    public X509KeyUsageFlags? Usage { get; init; }
}

/// <summary>A certificate that a CRL revokes.</summary>
internal readonly record struct Revoked(byte[] Serial, DateTimeOffset At, string? Reason);

/// <summary>A small certification authority: certificates and CRLs with the extensions of RFC 5280. For trying things; nothing is recorded.</summary>
internal static class CertificateMaker
{
    public static readonly string[] Reasons = ["key-compromise", "ca-compromise", "affiliation-changed", "superseded", "cessation-of-operation", "certificate-hold"];

    private static readonly Dictionary<string, string> s_purposes = new(StringComparer.Ordinal)
    {
        ["serverAuth"] = "1.3.6.1.5.5.7.3.1",
        ["clientAuth"] = "1.3.6.1.5.5.7.3.2",
        ["ocspSigning"] = "1.3.6.1.5.5.7.3.9",
        ["ipsecIKE"] = "1.3.6.1.5.5.7.3.17",
    };

    /// <summary>A certificate for a key, by itself.</summary>
    public static byte[] SelfSigned(NewCertificate wanted, PrivateKey key, bool pss = false) => Create(wanted, key.Public, null, key, pss);

    /// <summary>A certificate for a public key, by a CA.</summary>
    /// <exception cref="FormatException">A name, an address or an OID cannot be read.</exception>
    public static byte[] Issue(NewCertificate wanted, Crypto.Signatures.PublicKey subject, byte[] caCertificate, PrivateKey caKey, bool pss = false) => Create(wanted, subject, caCertificate, caKey, pss);

    /// <summary>A list of revoked certificates.</summary>
    /// <param name="caCertificate">DER.</param>
    /// <param name="caKey">Its key.</param>
    /// <param name="revoked">What is revoked.</param>
    /// <param name="number">Number of the list; it grows.</param>
    /// <param name="thisUpdate">When it was made.</param>
    /// <param name="nextUpdate">Until when it is good.</param>
    public static byte[] Crl(byte[] caCertificate, PrivateKey caKey, IEnumerable<Revoked> revoked, long number, DateTimeOffset thisUpdate, DateTimeOffset nextUpdate)
    {
        using var ca = X509CertificateLoader.LoadCertificate(caCertificate);
        var builder = new CertificateRevocationListBuilder();
        foreach (var (serial, at, reason) in revoked)
        {
            X509RevocationReason? code = reason switch
            {
                "key-compromise" => X509RevocationReason.KeyCompromise,
                "ca-compromise" => X509RevocationReason.CACompromise,
                "affiliation-changed" => X509RevocationReason.AffiliationChanged,
                "superseded" => X509RevocationReason.Superseded,
                "cessation-of-operation" => X509RevocationReason.CessationOfOperation,
                "certificate-hold" => X509RevocationReason.CertificateHold,
                _ => null,
            };
            builder.AddEntry(serial, at, code);
        }

        return builder.Build(ca.SubjectName, new KeySigner(caKey), new BigInteger(number), nextUpdate, HashAlgorithmName.SHA256, IssuerOf(ca), thisUpdate);
    }

    /// <summary>Serial number of a certificate.</summary>
    public static byte[] SerialOf(byte[] certificate)
    {
        using var loaded = X509CertificateLoader.LoadCertificate(certificate);
        return loaded.SerialNumberBytes.ToArray();
    }

    private static byte[] Create(NewCertificate wanted, Crypto.Signatures.PublicKey subject, byte[]? caCertificate, PrivateKey caKey, bool pss)
    {
        if (!DistinguishedName.TryEncode(wanted.Subject, out var encoded)) throw new FormatException($"'{wanted.Subject}' is no distinguished name; write for example C=CH, O=Example, CN=gw");
        var name = new X500DistinguishedName(encoded);
        var publicKey = PublicKey.CreateFromSubjectPublicKeyInfo(subject.Spki.Span, out _);
        var request = new CertificateRequest(name, publicKey, HashAlgorithmName.SHA256);
        using var ca = caCertificate is null ? null : X509CertificateLoader.LoadCertificate(caCertificate);
        var identifier = new X509SubjectKeyIdentifierExtension(publicKey, critical: false);
        var extensions = request.CertificateExtensions;
        extensions.Add(new X509BasicConstraintsExtension(wanted.IsCa, wanted.PathLength is not null, wanted.PathLength ?? 0, critical: true));
        extensions.Add(new X509KeyUsageExtension(wanted.Usage ?? (wanted.IsCa ? X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign : X509KeyUsageFlags.DigitalSignature), critical: true));
        extensions.Add(identifier);
        extensions.Add(ca is null ? X509AuthorityKeyIdentifierExtension.CreateFromSubjectKeyIdentifier(identifier) : IssuerOf(ca));
        if (!wanted.AlternativeNames.IsEmpty) extensions.Add(AlternativeNames(wanted.AlternativeNames));
        if (!wanted.Purposes.IsEmpty) extensions.Add(Purposes(wanted.Purposes));
        if (!wanted.Policies.IsEmpty) extensions.Add(Policies(wanted.Policies));
        if (!wanted.PermittedDomains.IsEmpty) extensions.Add(NameConstraints(wanted.PermittedDomains));
        if (!wanted.CrlUris.IsEmpty) extensions.Add(CertificateRevocationListBuilder.BuildCrlDistributionPointExtension(wanted.CrlUris));
        if (!wanted.OcspUris.IsEmpty) extensions.Add(new X509AuthorityInformationAccessExtension(wanted.OcspUris, null));
        using var made = request.Create(ca?.SubjectName ?? name, new KeySigner(caKey, pss), wanted.NotBefore, wanted.NotAfter, Serial());
        return made.RawData;
    }

    /// <summary>RFC 5280 section 4.1.2.2: positive, at most 20 octets, not to be guessed.</summary>
    private static byte[] Serial()
    {
        var serial = RandomNumberGenerator.GetBytes(16);
        serial[0] = (byte)(serial[0] & 0x7F | 0x40);
        return serial;
    }

    private static X509AuthorityKeyIdentifierExtension IssuerOf(X509Certificate2 ca)
    {
        var identifier = ca.Extensions.OfType<X509SubjectKeyIdentifierExtension>().FirstOrDefault() ?? new X509SubjectKeyIdentifierExtension(ca.PublicKey, critical: false);
        return X509AuthorityKeyIdentifierExtension.CreateFromSubjectKeyIdentifier(identifier);
    }

    private static X509Extension AlternativeNames(ImmutableArray<string> names)
    {
        var builder = new SubjectAlternativeNameBuilder();
        foreach (var text in names)
        {
            var identity = Identities.Parse(text);
            var value = System.Text.Encoding.UTF8.GetString(identity.Data.AsSpan());
            switch (identity.Type)
            {
                case IdType.Ipv4Addr or IdType.Ipv6Addr:
                    builder.AddIpAddress(new IPAddress(identity.Data.AsSpan()));
                    break;
                case IdType.Fqdn:
                    builder.AddDnsName(value);
                    break;
                case IdType.Rfc822Addr:
                    builder.AddEmailAddress(value);
                    break;
                default:
                    throw new FormatException($"'{text}' cannot be an alternative name; write an address, a domain name or a mail address");
            }
        }

        return builder.Build();
    }

    private static X509EnhancedKeyUsageExtension Purposes(ImmutableArray<string> purposes)
    {
        var oids = new OidCollection();
        foreach (var purpose in purposes) oids.Add(new Oid(Dotted(s_purposes.GetValueOrDefault(purpose, purpose))));
        return new X509EnhancedKeyUsageExtension(oids, critical: false);
    }

    private static X509Extension Policies(ImmutableArray<string> policies)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            foreach (var policy in policies)
            {
                using (writer.PushSequence()) writer.WriteObjectIdentifier(Dotted(policy));
            }
        }

        return new X509Extension("2.5.29.32", writer.Encode(), critical: false);
    }

    private static X509Extension NameConstraints(ImmutableArray<string> domains)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        using (writer.PushSequence(new Asn1Tag(TagClass.ContextSpecific, 0)))
        {
            foreach (var domain in domains)
            {
                using (writer.PushSequence()) writer.WriteCharacterString(UniversalTagNumber.IA5String, domain, new Asn1Tag(TagClass.ContextSpecific, 2));
            }
        }

        return new X509Extension("2.5.29.30", writer.Encode(), critical: true);
    }

    private static string Dotted(string oid)
    {
        var arcs = oid.Split('.');
        if (arcs.Length >= 3 && arcs.All(arc => uint.TryParse(arc, NumberStyles.None, CultureInfo.InvariantCulture, out _))) return oid;
        throw new FormatException($"'{oid}' is no object identifier; write for example 1.3.6.1.5.5.7.3.17, or one of {string.Join(", ", s_purposes.Keys)}");
    }
}
