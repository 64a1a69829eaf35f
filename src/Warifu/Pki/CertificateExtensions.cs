using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;

namespace Warifu.Pki;

/// <summary>Bits of the key usage extension (RFC 5280 section 4.2.1.3), as <see cref="DerReader.TryReadFlags"/> numbers them.</summary>
[Flags]
internal enum KeyUses
{
    None = 0,
    DigitalSignature = 1 << 0,
    NonRepudiation = 1 << 1,
    KeyCertSign = 1 << 5,
    CrlSign = 1 << 6,
}

/// <summary>Reasons of a distribution point (RFC 5280 section 4.2.1.13): bits 1 to 8.</summary>
internal static class CrlReasons
{
    public const int All = 0x1FE;
}

/// <summary>DistributionPoint (RFC 5280 section 4.2.1.13).</summary>
/// <param name="Names">Full names; a relative one is made whole. Empty when there is none.</param>
/// <param name="Reasons">What it covers.</param>
/// <param name="Issuers">Who signs the CRL when it is not the certificate's issuer.</param>
internal sealed record DistributionPoint(ImmutableArray<GeneralName> Names, int Reasons, ImmutableArray<GeneralName> Issuers);

/// <summary>The extensions of a certificate (RFC 5280 section 4.2) as far as they matter here.</summary>
internal sealed class CertificateExtensions
{
    private const int MaxExtensions = 64;
    private const int MaxPolicies = 64;
    private const int MaxPoints = 32;

    public bool? IsCa { get; private set; }

    public int? PathLength { get; private set; }

    /// <summary>Null: the key may be used for everything.</summary>
    public KeyUses? KeyUsage { get; private set; }

    /// <summary>Null: for every purpose.</summary>
    public ImmutableArray<Oid>? Purposes { get; private set; }

    public ImmutableArray<GeneralName> AlternativeNames { get; private set; } = [];

    public NameSubtrees? NameConstraints { get; private set; }

    public ImmutableArray<Oid>? Policies { get; private set; }

    public ImmutableArray<(Oid Issuer, Oid Subject)> PolicyMappings { get; private set; } = [];

    public int? RequireExplicitPolicy { get; private set; }

    public int? InhibitPolicyMapping { get; private set; }

    public int? InhibitAnyPolicy { get; private set; }

    public ReadOnlyMemory<byte> SubjectKeyId { get; private set; }

    public ReadOnlyMemory<byte> AuthorityKeyId { get; private set; }

    public ImmutableArray<DistributionPoint> CrlPoints { get; private set; } = [];

    public ImmutableArray<DistributionPoint> DeltaPoints { get; private set; } = [];

    /// <summary>Where OCSP is spoken.</summary>
    public ImmutableArray<string> OcspUris { get; private set; } = [];

    /// <summary>Critical ones that nobody here understands.</summary>
    public ImmutableArray<Oid> UnknownCritical { get; private set; } = [];

    /// <param name="list">Extensions, what the SEQUENCE holds.</param>
    /// <param name="issuer">Of the certificate: relative names are relative to it.</param>
    /// <param name="error">Which one is malformed.</param>
    public bool TryRead(DerReader list, X509Name issuer, out string error)
    {
        var seen = new HashSet<Oid>();
        error = "extensions are malformed";
        while (list.HasMore)
        {
            if (!TryReadOne(ref list, out var oid, out var isCritical, out var value)) return false;
            if (seen.Count == MaxExtensions || !seen.Add(oid))
            {
                error = $"extension {oid} is there twice, or there are more than {MaxExtensions}";
                return false;
            }

            var inner = new DerReader(value);
            if (!TryReadKnown(oid, ref inner, issuer, isCritical))
            {
                error = $"extension {NameOf(oid)} is malformed";
                return false;
            }
        }

        return list.AtEnd && seen.Count > 0;
    }

    /// <summary>Extension: its type, whether it is critical, and what its OCTET STRING holds. Certificates, CRLs and OCSP have them alike.</summary>
    public static bool TryReadOne(ref DerReader list, out Oid oid, out bool isCritical, out ReadOnlyMemory<byte> value)
    {
        (oid, isCritical, value) = (default, false, default);
        if (!list.TryEnter(DerTag.Sequence, out var extension) || !extension.TryReadOid(out oid)) return false;
        if (extension.Next == DerTag.Boolean && !extension.TryReadBoolean(out isCritical)) return false;
        return extension.TryRead(DerTag.OctetString, out value) && extension.AtEnd;
    }

    /// <summary>KeyIdentifier of an authority key identifier (RFC 5280 section 4.2.1.1).</summary>
    public static bool TryReadAuthorityKeyId(ref DerReader reader, out ReadOnlyMemory<byte> id)
    {
        id = default;
        if (!reader.TryEnter(DerTag.Sequence, out var fields)) return false;
        fields.TryReadOptional(DerTag.Context(0), out id);
        if (fields.TryEnterOptional(DerTag.ContextOf(1), out var names) && !GeneralName.TryReadAll(ref names, out _)) return false;
        if (fields.Next == DerTag.Context(2) && !fields.TryReadInteger(out _, DerTag.Context(2))) return false;
        return fields.AtEnd && reader.AtEnd;
    }

    /// <summary>CRLDistributionPoints.</summary>
    public static bool TryReadPoints(ref DerReader reader, X509Name issuer, out ImmutableArray<DistributionPoint> points)
    {
        var found = ImmutableArray.CreateBuilder<DistributionPoint>();
        points = [];
        if (!reader.TryEnter(DerTag.Sequence, out var list)) return false;
        while (list.HasMore)
        {
            if (found.Count == MaxPoints || !list.TryEnter(DerTag.Sequence, out var fields)) return false;
            if (!TryReadPointName(ref fields, issuer, out var names)) return false;
            var reasons = CrlReasons.All;
            if (fields.Next == DerTag.Context(1) && !fields.TryReadFlags(out reasons, DerTag.Context(1))) return false;
            ImmutableArray<GeneralName> issuers = [];
            if (fields.TryEnterOptional(DerTag.ContextOf(2), out var signers) && !GeneralName.TryReadAll(ref signers, out issuers)) return false;
            // a point that names neither says nothing
            if (!fields.AtEnd || (names.IsEmpty && issuers.IsEmpty)) return false;
            found.Add(new DistributionPoint(names, reasons & CrlReasons.All, issuers));
        }

        points = found.ToImmutable();
        return list.AtEnd && reader.AtEnd && points.Length > 0;
    }

    /// <summary>[0] DistributionPointName, when it is there.</summary>
    public static bool TryReadPointName(ref DerReader fields, X509Name issuer, out ImmutableArray<GeneralName> names)
    {
        names = [];
        if (!fields.TryEnterOptional(DerTag.ContextOf(0), out var choice)) return !fields.Failed;
        if (choice.TryEnterOptional(DerTag.ContextOf(0), out var full)) return GeneralName.TryReadAll(ref full, out names) && choice.AtEnd;
        if (!choice.TryRead(DerTag.ContextOf(1), out var relative) || !choice.AtEnd || issuer.With(relative) is not { } whole) return false;
        names = [new GeneralName(GeneralNameKind.Directory, default, default, whole)];
        return true;
    }

    private static string NameOf(Oid oid) => s_names.FirstOrDefault(name => oid.Is(name.Arcs)).Name ?? oid.ToString();

    private static readonly (byte[] Arcs, string Name)[] s_names =
    [
        (Oids.BasicConstraints.ToArray(), "basic constraints"),
        (Oids.KeyUsage.ToArray(), "key usage"),
        (Oids.ExtendedKeyUsage.ToArray(), "extended key usage"),
        (Oids.SubjectAltName.ToArray(), "subject alternative name"),
        (Oids.NameConstraints.ToArray(), "name constraints"),
        (Oids.CertificatePolicies.ToArray(), "certificate policies"),
        (Oids.PolicyMappings.ToArray(), "policy mappings"),
        (Oids.PolicyConstraints.ToArray(), "policy constraints"),
        (Oids.InhibitAnyPolicy.ToArray(), "inhibit any-policy"),
        (Oids.SubjectKeyIdentifier.ToArray(), "subject key identifier"),
        (Oids.AuthorityKeyIdentifier.ToArray(), "authority key identifier"),
        (Oids.CrlDistributionPoints.ToArray(), "CRL distribution points"),
        (Oids.FreshestCrl.ToArray(), "freshest CRL"),
        (Oids.AuthorityInfoAccess.ToArray(), "authority information access"),
    ];

    private bool TryReadKnown(Oid oid, ref DerReader reader, X509Name issuer, bool isCritical)
    {
        if (oid.Is(Oids.BasicConstraints)) return TryReadBasicConstraints(ref reader);
        if (oid.Is(Oids.KeyUsage)) return TryReadKeyUsage(ref reader);
        if (oid.Is(Oids.ExtendedKeyUsage)) return TryReadPurposes(ref reader);
        if (oid.Is(Oids.SubjectAltName)) return TryReadAlternativeNames(ref reader);
        if (oid.Is(Oids.NameConstraints)) return TryReadNameConstraints(ref reader);
        if (oid.Is(Oids.CertificatePolicies)) return TryReadPolicies(ref reader);
        if (oid.Is(Oids.PolicyMappings)) return TryReadMappings(ref reader);
        if (oid.Is(Oids.PolicyConstraints)) return TryReadPolicyConstraints(ref reader);
        if (oid.Is(Oids.InhibitAnyPolicy)) return TryReadInhibitAny(ref reader);
        if (oid.Is(Oids.SubjectKeyIdentifier)) return TryReadSubjectKeyId(ref reader);
        if (oid.Is(Oids.AuthorityKeyIdentifier)) return TryReadAuthorityKeyId(ref reader);
        if (oid.Is(Oids.CrlDistributionPoints)) return TryReadCrlPoints(ref reader, issuer);
        if (oid.Is(Oids.FreshestCrl)) return TryReadDeltaPoints(ref reader, issuer);
        if (oid.Is(Oids.AuthorityInfoAccess)) return TryReadAccess(ref reader);
        // names of the issuer are never looked at (RFC 4945 section 5.1.3.7)
        if (isCritical && !oid.Is(Oids.IssuerAltName)) UnknownCritical = UnknownCritical.Add(oid);
        return true;
    }

    private bool TryReadBasicConstraints(ref DerReader reader)
    {
        if (!reader.TryEnter(DerTag.Sequence, out var fields)) return false;
        var isCa = false;
        if (fields.Next == DerTag.Boolean && !fields.TryReadBoolean(out isCa)) return false;
        if (fields.Next == DerTag.Integer)
        {
            if (!fields.TryReadNumber(out var length)) return false;
            PathLength = length;
        }

        IsCa = isCa;
        return fields.AtEnd && reader.AtEnd;
    }

    private bool TryReadKeyUsage(ref DerReader reader)
    {
        if (!reader.TryReadFlags(out var flags)) return false;
        KeyUsage = (KeyUses)flags;
        return reader.AtEnd;
    }

    private bool TryReadPurposes(ref DerReader reader)
    {
        if (!reader.TryEnter(DerTag.Sequence, out var list)) return false;
        var found = ImmutableArray.CreateBuilder<Oid>();
        while (list.HasMore)
        {
            if (found.Count == MaxPolicies || !list.TryReadOid(out var purpose)) return false;
            found.Add(purpose);
        }

        Purposes = found.ToImmutable();
        return list.AtEnd && reader.AtEnd && found.Count > 0;
    }

    private bool TryReadAlternativeNames(ref DerReader reader)
    {
        if (!reader.TryEnter(DerTag.Sequence, out var list) || !GeneralName.TryReadAll(ref list, out var names) || !reader.AtEnd) return false;
        AlternativeNames = names;
        return names.All(name => name.Kind != GeneralNameKind.Address || name.Value.Length is 4 or 16);
    }

    private bool TryReadNameConstraints(ref DerReader reader)
    {
        if (!reader.TryEnter(DerTag.Sequence, out var fields)) return false;
        ImmutableArray<GeneralSubtree> permitted = [], excluded = [];
        if (fields.TryEnterOptional(DerTag.ContextOf(0), out var allowed) && !TryReadSubtrees(ref allowed, out permitted)) return false;
        if (fields.TryEnterOptional(DerTag.ContextOf(1), out var forbidden) && !TryReadSubtrees(ref forbidden, out excluded)) return false;
        NameConstraints = new NameSubtrees(permitted, excluded);
        return fields.AtEnd && reader.AtEnd && permitted.Length + excluded.Length > 0;
    }

    private static bool TryReadSubtrees(ref DerReader list, out ImmutableArray<GeneralSubtree> subtrees)
    {
        var found = ImmutableArray.CreateBuilder<GeneralSubtree>();
        subtrees = [];
        while (list.HasMore)
        {
            if (found.Count == GeneralName.MaxNames || !list.TryEnter(DerTag.Sequence, out var fields) || !GeneralName.TryRead(ref fields, out var root)) return false;
            var minimum = 0;
            if (fields.Next == DerTag.Context(0) && !fields.TryReadNumber(out minimum, DerTag.Context(0))) return false;
            var hasMaximum = fields.TryReadOptional(DerTag.Context(1), out _);
            if (!fields.AtEnd || (root!.Kind == GeneralNameKind.Address && !IsMasked(root.Value.Span))) return false;
            found.Add(new GeneralSubtree(root, minimum != 0 || hasMaximum));
        }

        subtrees = found.ToImmutable();
        return list.AtEnd && subtrees.Length > 0;
    }

    /// <summary>Address and mask, the mask being ones and then zeros.</summary>
    private static bool IsMasked(ReadOnlySpan<byte> octets)
    {
        if (octets.Length is not (8 or 32)) return false;
        var ended = false;
        foreach (var octet in octets[(octets.Length / 2)..])
        {
            for (var bit = 0x80; bit != 0; bit >>= 1)
            {
                var isOne = (octet & bit) != 0;
                if (isOne && ended) return false;
                ended |= !isOne;
            }
        }

        return true;
    }

    private bool TryReadPolicies(ref DerReader reader)
    {
        if (!reader.TryEnter(DerTag.Sequence, out var list)) return false;
        var found = new List<Oid>();
        while (list.HasMore)
        {
            if (found.Count == MaxPolicies || !list.TryEnter(DerTag.Sequence, out var fields) || !fields.TryReadOid(out var policy)) return false;
            fields.TryReadOptional(DerTag.Sequence, out _);
            if (!fields.AtEnd || found.Contains(policy)) return false;
            found.Add(policy);
        }

        Policies = [.. found];
        return list.AtEnd && reader.AtEnd && found.Count > 0;
    }

    private bool TryReadMappings(ref DerReader reader)
    {
        if (!reader.TryEnter(DerTag.Sequence, out var list)) return false;
        var found = ImmutableArray.CreateBuilder<(Oid, Oid)>();
        while (list.HasMore)
        {
            if (found.Count == MaxPolicies || !list.TryEnter(DerTag.Sequence, out var fields) || !fields.TryReadOid(out var ours) || !fields.TryReadOid(out var theirs) || !fields.AtEnd) return false;
            found.Add((ours, theirs));
        }

        PolicyMappings = found.ToImmutable();
        return list.AtEnd && reader.AtEnd && found.Count > 0;
    }

    private bool TryReadPolicyConstraints(ref DerReader reader)
    {
        if (!reader.TryEnter(DerTag.Sequence, out var fields)) return false;
        if (fields.Next == DerTag.Context(0))
        {
            if (!fields.TryReadNumber(out var skip, DerTag.Context(0))) return false;
            RequireExplicitPolicy = skip;
        }

        if (fields.Next == DerTag.Context(1))
        {
            if (!fields.TryReadNumber(out var skip, DerTag.Context(1))) return false;
            InhibitPolicyMapping = skip;
        }

        return fields.AtEnd && reader.AtEnd && (RequireExplicitPolicy ?? InhibitPolicyMapping) is not null;
    }

    private bool TryReadInhibitAny(ref DerReader reader)
    {
        if (!reader.TryReadNumber(out var skip)) return false;
        InhibitAnyPolicy = skip;
        return reader.AtEnd;
    }

    private bool TryReadSubjectKeyId(ref DerReader reader)
    {
        if (!reader.TryRead(DerTag.OctetString, out var id)) return false;
        SubjectKeyId = id;
        return reader.AtEnd;
    }

    private bool TryReadAuthorityKeyId(ref DerReader reader)
    {
        if (!TryReadAuthorityKeyId(ref reader, out var id)) return false;
        AuthorityKeyId = id;
        return true;
    }

    private bool TryReadCrlPoints(ref DerReader reader, X509Name issuer)
    {
        if (!TryReadPoints(ref reader, issuer, out var points)) return false;
        CrlPoints = points;
        return true;
    }

    private bool TryReadDeltaPoints(ref DerReader reader, X509Name issuer)
    {
        if (!TryReadPoints(ref reader, issuer, out var points)) return false;
        DeltaPoints = points;
        return true;
    }

    private bool TryReadAccess(ref DerReader reader)
    {
        if (!reader.TryEnter(DerTag.Sequence, out var list)) return false;
        var found = ImmutableArray.CreateBuilder<string>();
        for (var count = 0; list.HasMore; count++)
        {
            if (count == MaxPoints || !list.TryEnter(DerTag.Sequence, out var fields) || !fields.TryReadOid(out var method) || !GeneralName.TryRead(ref fields, out var place) || !fields.AtEnd) return false;
            if (method.Is(Oids.Ocsp) && place!.Kind == GeneralNameKind.Uri) found.Add(place.Text);
        }

        OcspUris = found.ToImmutable();
        return list.AtEnd && reader.AtEnd;
    }
}
