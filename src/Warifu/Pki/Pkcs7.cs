using System;
using System.Collections.Immutable;

namespace Warifu.Pki;

/// <summary>PKCS#7 and CMS as a box of certificates and CRLs: SignedData without signers (RFC 2315 section 9, RFC 5652 section 5). Nothing in it is signed by the box.</summary>
internal static class Pkcs7
{
    /// <summary>Certificates of one box.</summary>
    public const int MaxCertificates = 64;

    /// <param name="der">ContentInfo in DER.</param>
    /// <param name="certificates">Encoded certificates in the order of the box; what is none is for the reader of certificates to find out.</param>
    public static bool TryReadCertificates(ReadOnlyMemory<byte> der, out ImmutableArray<ReadOnlyMemory<byte>> certificates) => TryRead(der, out certificates, out _);

    public static bool TryRead(ReadOnlyMemory<byte> der, out ImmutableArray<ReadOnlyMemory<byte>> certificates, out ImmutableArray<ReadOnlyMemory<byte>> crls)
    {
        (certificates, crls) = ([], []);
        var outer = new DerReader(der);
        if (!outer.TryEnter(DerTag.Sequence, out var info) || !outer.AtEnd || !info.TryReadOid(out var type) || !type.Is(Oids.SignedData)) return false;
        if (!info.TryEnter(DerTag.ContextOf(0), out var wrapped) || !info.AtEnd || !wrapped.TryEnter(DerTag.Sequence, out var fields) || !wrapped.AtEnd) return false;
        if (!fields.TryReadNumber(out _) || !fields.TryRead(DerTag.Set, out _) || !fields.TryRead(DerTag.Sequence, out _)) return false;
        ImmutableArray<ReadOnlyMemory<byte>> foundCertificates = [], foundCrls = [];
        if (fields.TryEnterOptional(DerTag.ContextOf(0), out var boxed) && !TryReadAll(ref boxed, out foundCertificates)) return false;
        if (fields.TryEnterOptional(DerTag.ContextOf(1), out var lists) && !TryReadAll(ref lists, out foundCrls)) return false;
        if (!fields.TryRead(DerTag.Set, out _) || !fields.AtEnd) return false;
        (certificates, crls) = (foundCertificates, foundCrls);
        return true;
    }

    /// <summary>Those that are SEQUENCEs; other choices (attribute certificates and the like) are passed over.</summary>
    private static bool TryReadAll(ref DerReader list, out ImmutableArray<ReadOnlyMemory<byte>> values)
    {
        var found = ImmutableArray.CreateBuilder<ReadOnlyMemory<byte>>();
        values = [];
        for (var count = 0; list.HasMore; count++)
        {
            if (count == MaxCertificates || !list.TryReadAny(out var value)) return false;
            if (value.Tag == DerTag.Sequence) found.Add(value.Encoded);
        }

        values = found.ToImmutable();
        return list.AtEnd;
    }
}
