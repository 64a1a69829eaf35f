using System;
using System.Globalization;
using System.Text;

namespace Warifu.Pki;

/// <summary>An object identifier by its encoded arcs. A slice: it lives as long as what it was read from.</summary>
internal readonly struct Oid : IEquatable<Oid>
{
    private const int MaxLength = 64;

    private readonly ReadOnlyMemory<byte> _arcs;

    private Oid(ReadOnlyMemory<byte> arcs) => _arcs = arcs;

    public ReadOnlySpan<byte> Arcs => _arcs.Span;

    public static bool TryFrom(ReadOnlyMemory<byte> arcs, out Oid oid)
    {
        oid = new Oid(arcs);
        var octets = arcs.Span;
        if (octets.Length is 0 or > MaxLength || octets[^1] >= 0x80) return false;
        // an arc has no leading zeros (X.690 section 8.19.2)
        for (var i = 0; i < octets.Length; i++)
        {
            if (octets[i] == 0x80 && (i == 0 || octets[i - 1] < 0x80)) return false;
        }

        return true;
    }

    /// <summary>Of one of <see cref="Oids"/>.</summary>
    public static Oid Of(ReadOnlySpan<byte> arcs) => new(arcs.ToArray());

    /// <summary>Reads "1.3.6.1.4.1.99999.1".</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out Oid oid)
    {
        oid = default;
        Span<byte> arcs = stackalloc byte[MaxLength + 10];
        var (length, index, first) = (0, 0, 0UL);
        foreach (var range in text.Split('.'))
        {
            if (!ulong.TryParse(text[range], NumberStyles.None, CultureInfo.InvariantCulture, out var arc) || arc > long.MaxValue - 80 || length > MaxLength) return false;
            if (index == 0 && arc > 2) return false;
            if (index == 1 && first < 2 && arc > 39) return false;
            if (index == 0) first = arc;
            else length += WriteArc(index == 1 ? (first * 40) + arc : arc, arcs[length..]);
            index++;
        }

        return index >= 2 && length <= MaxLength && TryFrom(arcs[..length].ToArray(), out oid);
    }

    public bool Is(ReadOnlySpan<byte> arcs) => _arcs.Span.SequenceEqual(arcs);

    public bool Equals(Oid other) => Is(other._arcs.Span);

    public override bool Equals(object? obj) => obj is Oid other && Equals(other);

    public override int GetHashCode()
    {
        var hash = default(HashCode);
        hash.AddBytes(_arcs.Span);
        return hash.ToHashCode();
    }

    public override string ToString()
    {
        var text = new StringBuilder();
        UInt128 arc = 0;
        foreach (var octet in _arcs.Span)
        {
            if (arc >> 120 != 0) return Convert.ToHexStringLower(_arcs.Span);
            arc = (arc << 7) | (uint)(octet & 0x7F);
            if (octet >= 0x80) continue;
            if (text.Length == 0)
            {
                var first = arc < 80 ? arc / 40 : 2;
                text.Append(CultureInfo.InvariantCulture, $"{first}.{arc - (first * 40)}");
            }
            else
            {
                text.Append(CultureInfo.InvariantCulture, $".{arc}");
            }

            arc = 0;
        }

        return text.ToString();
    }

    private static int WriteArc(ulong arc, Span<byte> destination)
    {
        var count = 1;
        for (var rest = arc >> 7; rest != 0; rest >>= 7) count++;
        if (count > destination.Length) return MaxLength + 1;
        for (var i = count - 1; i >= 0; i--, arc >>= 7) destination[i] = (byte)((arc & 0x7F) | (i < count - 1 ? 0x80u : 0));
        return count;
    }
}

/// <summary>Object identifiers that have a meaning here, as encoded arcs.</summary>
internal static class Oids
{
    // extensions of certificates and CRLs (RFC 5280 sections 4.2 and 5.2)
    public static ReadOnlySpan<byte> SubjectKeyIdentifier => [0x55, 0x1D, 14];

    public static ReadOnlySpan<byte> KeyUsage => [0x55, 0x1D, 15];

    public static ReadOnlySpan<byte> SubjectAltName => [0x55, 0x1D, 17];

    public static ReadOnlySpan<byte> IssuerAltName => [0x55, 0x1D, 18];

    public static ReadOnlySpan<byte> BasicConstraints => [0x55, 0x1D, 19];

    public static ReadOnlySpan<byte> CrlNumber => [0x55, 0x1D, 20];

    public static ReadOnlySpan<byte> ReasonCode => [0x55, 0x1D, 21];

    public static ReadOnlySpan<byte> DeltaCrlIndicator => [0x55, 0x1D, 27];

    public static ReadOnlySpan<byte> IssuingDistributionPoint => [0x55, 0x1D, 28];

    public static ReadOnlySpan<byte> CertificateIssuer => [0x55, 0x1D, 29];

    public static ReadOnlySpan<byte> NameConstraints => [0x55, 0x1D, 30];

    public static ReadOnlySpan<byte> CrlDistributionPoints => [0x55, 0x1D, 31];

    public static ReadOnlySpan<byte> CertificatePolicies => [0x55, 0x1D, 32];

    public static ReadOnlySpan<byte> AnyPolicy => [0x55, 0x1D, 32, 0];

    public static ReadOnlySpan<byte> PolicyMappings => [0x55, 0x1D, 33];

    public static ReadOnlySpan<byte> AuthorityKeyIdentifier => [0x55, 0x1D, 35];

    public static ReadOnlySpan<byte> PolicyConstraints => [0x55, 0x1D, 36];

    public static ReadOnlySpan<byte> ExtendedKeyUsage => [0x55, 0x1D, 37];

    public static ReadOnlySpan<byte> AnyExtendedKeyUsage => [0x55, 0x1D, 37, 0];

    public static ReadOnlySpan<byte> FreshestCrl => [0x55, 0x1D, 46];

    public static ReadOnlySpan<byte> InhibitAnyPolicy => [0x55, 0x1D, 54];

    public static ReadOnlySpan<byte> AuthorityInfoAccess => [0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01];

    // purposes (RFC 5280 section 4.2.1.12, RFC 4945 section 5.1.3.12)
    public static ReadOnlySpan<byte> ServerAuth => [0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

    public static ReadOnlySpan<byte> ClientAuth => [0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];

    public static ReadOnlySpan<byte> OcspSigning => [0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x09];

    public static ReadOnlySpan<byte> IpsecIke => [0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x11];

    /// <summary>Of a draft that certificates for old clients still carry.</summary>
    public static ReadOnlySpan<byte> IkeIntermediate => [0x2B, 0x06, 0x01, 0x05, 0x05, 0x08, 0x02, 0x02];

    // access methods and OCSP (RFC 5280 section 4.2.2.1, RFC 6960)
    public static ReadOnlySpan<byte> Ocsp => [0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];

    public static ReadOnlySpan<byte> OcspBasic => [0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];

    public static ReadOnlySpan<byte> OcspNonce => [0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02];

    // attributes, containers, hashes
    public static ReadOnlySpan<byte> EmailAddress => [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x01];

    public static ReadOnlySpan<byte> SignedData => [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02];

    public static ReadOnlySpan<byte> Sha1 => [0x2B, 0x0E, 0x03, 0x02, 0x1A];

    public static ReadOnlySpan<byte> Sha256 => [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];

    public static ReadOnlySpan<byte> Sha384 => [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];

    public static ReadOnlySpan<byte> Sha512 => [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];
}
