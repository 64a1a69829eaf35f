using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using Warifu.Crypto.Signatures;

namespace Warifu.Pki;

/// <summary>What a CRL says about one certificate.</summary>
/// <param name="Reason">CRLReason (RFC 5280 section 5.3.1).</param>
/// <param name="Since">Revocation date.</param>
internal readonly record struct CrlEntry(int Reason, DateTimeOffset Since)
{
    public const int CertificateHold = 6;
    public const int RemoveFromCrl = 8;
}

/// <summary>A certificate revocation list (RFC 5280 section 5), version 1 or 2, complete or delta. Entries may come in any order. Reading never throws.</summary>
internal sealed class Crl
{
    /// <summary>Octets; the largest ones in public use have about half of it.</summary>
    public const int MaxLength = 16 * 1024 * 1024;

    private readonly Dictionary<ReadOnlyMemory<byte>, CrlEntry> _entries = new(SerialComparer.Instance);

    /// <summary>SubjectPublicKeyInfo that the signature was found right with: a CRL is used for thousands of peers and verified once.</summary>
    private byte[]? _verifiedWith;

    private Crl(ReadOnlyMemory<byte> der) => Der = der;

    public ReadOnlyMemory<byte> Der { get; }

    public X509Name Issuer { get; private set; } = null!;

    public DateTimeOffset ThisUpdate { get; private set; }

    /// <summary>Null: it does not say how long it is good for, which this profile forbids (section 5.1.2.5).</summary>
    public DateTimeOffset? NextUpdate { get; private set; }

    public int Count => _entries.Count;

    /// <summary>CRLNumber; empty when there is none.</summary>
    public ReadOnlyMemory<byte> Number { get; private set; }

    /// <summary>BaseCRLNumber of a delta; empty for a complete one.</summary>
    public ReadOnlyMemory<byte> Base { get; private set; }

    public bool IsDelta => !Base.IsEmpty;

    public ReadOnlyMemory<byte> AuthorityKeyId { get; private set; }

    /// <summary>The issuing distribution point as it stands; empty when there is none.</summary>
    public ReadOnlyMemory<byte> Scope { get; private set; }

    public ImmutableArray<GeneralName> PointNames { get; private set; } = [];

    public bool OnlyUsers { get; private set; }

    public bool OnlyAuthorities { get; private set; }

    public bool OnlyAttributes { get; private set; }

    /// <summary>It lists certificates of other issuers, too.</summary>
    public bool IsIndirect { get; private set; }

    public int Reasons { get; private set; } = CrlReasons.All;

    public ImmutableArray<DistributionPoint> DeltaPoints { get; private set; } = [];

    /// <summary>Critical extensions that nobody here understands, of the list or of an entry: nothing can be learned from it (sections 5.2 and 5.3).</summary>
    public bool HasUnknownCritical { get; private set; }

    public SignatureScheme? Scheme { get; private set; }

    /// <summary>Somebody's key was found right for it.</summary>
    public bool IsVerified => _verifiedWith is not null;

    private ReadOnlyMemory<byte> Tbs { get; set; }

    private ReadOnlyMemory<byte> Signature { get; set; }

    public static bool TryParse(ReadOnlyMemory<byte> der, out Crl? crl)
    {
        crl = null;
        if (der.Length > MaxLength) return false;
        var read = new Crl(der);
        var outer = new DerReader(der);
        if (!outer.TryEnter(DerTag.Sequence, out var fields) || !outer.AtEnd) return false;
        if (!fields.TryReadEncoded(DerTag.Sequence, out var tbs) || !fields.TryReadEncoded(DerTag.Sequence, out var algorithm) || !fields.TryReadOctetBits(out var signature) || !fields.AtEnd) return false;
        (read.Tbs, read.Signature) = (tbs, signature);
        if (SignatureScheme.TryParse(algorithm.Span, out var scheme)) read.Scheme = scheme;
        if (!read.TryReadTbs(tbs, algorithm.Span)) return false;
        crl = read;
        return true;
    }

    public bool TryFind(ReadOnlyMemory<byte> serial, out CrlEntry entry) => _entries.TryGetValue(serial, out entry);

    /// <summary>Signed by this key.</summary>
    public bool IsSignedBy(PublicKey key)
    {
        if (_verifiedWith is not null && key.Spki.Span.SequenceEqual(_verifiedWith)) return true;
        if (Scheme is not { } scheme || !key.Verify(scheme, Tbs.Span, Signature.Span)) return false;
        _verifiedWith = key.Spki.ToArray();
        return true;
    }

    /// <summary>Greater number, or the same: numbers are positive integers of up to 20 octets.</summary>
    public static bool IsAtLeast(ReadOnlyMemory<byte> number, ReadOnlyMemory<byte> other)
    {
        var left = number.Span.TrimStart((byte)0);
        var right = other.Span.TrimStart((byte)0);
        return left.Length != right.Length ? left.Length > right.Length : left.SequenceCompareTo(right) >= 0;
    }

    private bool TryReadTbs(ReadOnlyMemory<byte> tbs, ReadOnlySpan<byte> outerAlgorithm)
    {
        var outer = new DerReader(tbs);
        if (!outer.TryEnter(DerTag.Sequence, out var fields)) return false;
        var isV2 = fields.Next == DerTag.Integer;
        if (isV2 && (!fields.TryReadNumber(out var version) || version != 1)) return false;
        if (!fields.TryReadEncoded(DerTag.Sequence, out var algorithm) || !algorithm.Span.SequenceEqual(outerAlgorithm)) return false;
        if (!fields.TryReadEncoded(DerTag.Sequence, out var issuerDer) || !X509Name.TryParse(issuerDer, out var issuer) || issuer!.IsEmpty) return false;
        if (!fields.TryReadTime(out var thisUpdate)) return false;
        (Issuer, ThisUpdate) = (issuer, thisUpdate);
        if (fields.Next is DerTag.UtcTime or DerTag.GeneralizedTime)
        {
            if (!fields.TryReadTime(out var nextUpdate)) return false;
            NextUpdate = nextUpdate;
        }

        if (fields.TryEnterOptional(DerTag.Sequence, out var entries) && !TryReadEntries(ref entries, isV2)) return false;
        if (isV2 && fields.TryEnterOptional(DerTag.ContextOf(0), out var wrapped))
        {
            if (!wrapped.TryEnter(DerTag.Sequence, out var list) || !wrapped.AtEnd || !TryReadExtensions(ref list)) return false;
        }

        return fields.AtEnd && outer.AtEnd;
    }

    private bool TryReadEntries(ref DerReader entries, bool isV2)
    {
        while (entries.HasMore)
        {
            if (!entries.TryEnter(DerTag.Sequence, out var fields) || !fields.TryReadInteger(out var serial) || !fields.TryReadTime(out var since)) return false;
            var reason = 0;
            if (isV2 && fields.TryEnterOptional(DerTag.Sequence, out var list))
            {
                while (list.HasMore)
                {
                    if (!CertificateExtensions.TryReadOne(ref list, out var oid, out var isCritical, out var value)) return false;
                    var inner = new DerReader(value);
                    if (oid.Is(Oids.ReasonCode))
                    {
                        if (!inner.TryReadNumber(out reason, DerTag.Enumerated) || !inner.AtEnd) return false;
                    }
                    else if (isCritical)
                    {
                        // a certificate issuer above all: this and all that follow may be of somebody else
                        HasUnknownCritical = true;
                    }
                }

                if (!list.AtEnd) return false;
            }

            if (!fields.AtEnd) return false;
            // said twice: the last word counts
            _entries[serial] = new CrlEntry(reason, since);
        }

        return entries.AtEnd;
    }

    private bool TryReadExtensions(ref DerReader list)
    {
        while (list.HasMore)
        {
            if (!CertificateExtensions.TryReadOne(ref list, out var oid, out var isCritical, out var value)) return false;
            var inner = new DerReader(value);
            if (oid.Is(Oids.CrlNumber))
            {
                if (!inner.TryReadInteger(out var number) || !inner.AtEnd || number.Length > 64) return false;
                Number = number;
            }
            else if (oid.Is(Oids.DeltaCrlIndicator))
            {
                if (!inner.TryReadInteger(out var number) || !inner.AtEnd || number.Length > 64) return false;
                Base = number;
            }
            else if (oid.Is(Oids.AuthorityKeyIdentifier))
            {
                if (!CertificateExtensions.TryReadAuthorityKeyId(ref inner, out var id)) return false;
                AuthorityKeyId = id;
            }
            else if (oid.Is(Oids.IssuingDistributionPoint))
            {
                Scope = value;
                if (!TryReadScope(ref inner)) return false;
            }
            else if (oid.Is(Oids.FreshestCrl))
            {
                if (!CertificateExtensions.TryReadPoints(ref inner, Issuer, out var points)) return false;
                DeltaPoints = points;
            }
            else if (isCritical)
            {
                HasUnknownCritical = true;
            }
        }

        return list.AtEnd;
    }

    /// <summary>IssuingDistributionPoint (section 5.2.5).</summary>
    private bool TryReadScope(ref DerReader reader)
    {
        if (!reader.TryEnter(DerTag.Sequence, out var fields) || !CertificateExtensions.TryReadPointName(ref fields, Issuer, out var names)) return false;
        PointNames = names;
        if (!TryReadFlag(ref fields, 1, out var users) || !TryReadFlag(ref fields, 2, out var authorities)) return false;
        var reasons = CrlReasons.All;
        if (fields.Next == DerTag.Context(3) && !fields.TryReadFlags(out reasons, DerTag.Context(3))) return false;
        if (!TryReadFlag(ref fields, 4, out var indirect) || !TryReadFlag(ref fields, 5, out var attributes)) return false;
        (OnlyUsers, OnlyAuthorities, OnlyAttributes, IsIndirect, Reasons) = (users, authorities, attributes, indirect, reasons & CrlReasons.All);
        return fields.AtEnd && reader.AtEnd;
    }

    private static bool TryReadFlag(ref DerReader fields, int number, out bool value)
    {
        value = false;
        return fields.Next != DerTag.Context(number) || fields.TryReadBoolean(out value, DerTag.Context(number));
    }

    private sealed class SerialComparer : IEqualityComparer<ReadOnlyMemory<byte>>
    {
        public static SerialComparer Instance { get; } = new();

        public bool Equals(ReadOnlyMemory<byte> x, ReadOnlyMemory<byte> y) => x.Span.SequenceEqual(y.Span);

        public int GetHashCode(ReadOnlyMemory<byte> serial)
        {
            // seeded per process: nobody can choose serial numbers that collide
            var hash = default(HashCode);
            hash.AddBytes(serial.Span);
            return hash.ToHashCode();
        }
    }
}
