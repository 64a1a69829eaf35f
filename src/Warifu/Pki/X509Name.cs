using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Text.Unicode;
using Warifu.Policy;

namespace Warifu.Pki;

/// <summary>A distinguished name of a certificate. Names are equal when RFC 5280 section 7.1 says so: attribute by attribute in the same order, text without regard to case and to how many blanks there are.</summary>
internal sealed class X509Name : IEquatable<X509Name>
{
    private const int MaxRelativeNames = 64;
    private const int MaxAttributes = 16;

    /// <summary>RDN by RDN, each behind its length: a name that begins with another one begins with its octets.</summary>
    private readonly byte[] _canonical;

    private X509Name(ReadOnlyMemory<byte> der, byte[] canonical) => (Der, _canonical) = (der, canonical);

    /// <summary>Name, a SEQUENCE.</summary>
    public ReadOnlyMemory<byte> Der { get; }

    public bool IsEmpty => _canonical.Length == 0;

    /// <param name="der">A SEQUENCE of RDNs and nothing behind it.</param>
    /// <param name="name">The name.</param>
    public static bool TryParse(ReadOnlyMemory<byte> der, out X509Name? name)
    {
        name = null;
        var outer = new DerReader(der);
        if (!outer.TryEnter(DerTag.Sequence, out var relatives) || !outer.AtEnd) return false;
        var canonical = new List<byte>(der.Length + 16);
        for (var count = 0; relatives.HasMore; count++)
        {
            if (count == MaxRelativeNames || !relatives.TryRead(DerTag.Set, out var relative) || !TryAppend(canonical, relative)) return false;
        }

        if (!relatives.AtEnd) return false;
        name = new X509Name(der, [.. canonical]);
        return true;
    }

    /// <summary>This name with one more RDN (RFC 5280 section 4.2.1.13, nameRelativeToCRLIssuer).</summary>
    /// <param name="relative">What the SET holds.</param>
    public X509Name? With(ReadOnlyMemory<byte> relative)
    {
        var canonical = new List<byte>(_canonical);
        return TryAppend(canonical, relative) ? new X509Name(Der, [.. canonical]) : null;
    }

    public bool Equals(X509Name? other) => other is not null && _canonical.AsSpan().SequenceEqual(other._canonical);

    public override bool Equals(object? obj) => Equals(obj as X509Name);

    public override int GetHashCode()
    {
        var hash = default(HashCode);
        hash.AddBytes(_canonical);
        return hash.ToHashCode();
    }

    /// <summary>It lies in the subtree of <paramref name="root"/> (RFC 5280 section 4.2.1.10).</summary>
    public bool IsWithin(X509Name root) => _canonical.AsSpan().StartsWith(root._canonical);

    /// <summary>Values of emailAddress attributes.</summary>
    public IEnumerable<string> EmailAddresses()
    {
        var found = new List<string>();
        var outer = new DerReader(Der);
        if (!outer.TryEnter(DerTag.Sequence, out var relatives)) return found;
        while (relatives.TryEnterOptional(DerTag.Set, out var attributes))
        {
            while (attributes.TryEnterOptional(DerTag.Sequence, out var attribute))
            {
                if (attribute.TryReadOid(out var type) && type.Is(Oids.EmailAddress) && attribute.TryReadAny(out var value) && TextOf(value) is { } text) found.Add(text);
            }
        }

        return found;
    }

    /// <summary>"C=CH, O=Example, CN=gw"; control characters never come out, nor more than a line.</summary>
    public override string ToString()
    {
        if (IsEmpty) return "";
        return GeneralName.Short(DistinguishedName.TryPrint(Der, out var text) ? text : Convert.ToHexStringLower(Der.Span[..Math.Min(Der.Length, 64)]));
    }

    private static bool TryAppend(List<byte> canonical, ReadOnlyMemory<byte> relative)
    {
        var attributes = new DerReader(relative);
        var values = new List<byte[]>();
        while (attributes.HasMore)
        {
            if (values.Count == MaxAttributes || !attributes.TryEnter(DerTag.Sequence, out var attribute) || !attribute.TryReadOid(out var type) || !attribute.TryReadAny(out var value) || !attribute.AtEnd) return false;
            values.Add(ValueOf(type, value));
        }

        if (!attributes.AtEnd || values.Count == 0) return false;
        // attributes of one RDN are a set: their order says nothing
        values.Sort((left, right) => left.AsSpan().SequenceCompareTo(right));
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, values.Sum(value => value.Length));
        canonical.AddRange(length);
        foreach (var value in values) canonical.AddRange(value);
        return true;
    }

    /// <summary>Type, a mark for text or the tag, and the value, each behind its length.</summary>
    private static byte[] ValueOf(Oid type, scoped in DerValue value)
    {
        var text = TextOf(value) is { } read ? Encoding.UTF8.GetBytes(DistinguishedName.Fold(read)) : null;
        var content = text is null ? value.Content.Span : text;
        var octets = new byte[6 + type.Arcs.Length + content.Length];
        octets[0] = (byte)type.Arcs.Length;
        type.Arcs.CopyTo(octets.AsSpan(1));
        octets[1 + type.Arcs.Length] = text is null ? value.Tag : (byte)0;
        BinaryPrimitives.WriteInt32BigEndian(octets.AsSpan(2 + type.Arcs.Length), content.Length);
        content.CopyTo(octets.AsSpan(6 + type.Arcs.Length));
        return octets;
    }

    /// <summary>The text of a character string; null when it is none, or not one of its own kind.</summary>
    private static string? TextOf(scoped in DerValue value)
    {
        var octets = value.Content.Span;
        switch (value.Tag)
        {
            case DerTag.PrintableString or DerTag.Ia5String or DerTag.VisibleString or DerTag.NumericString:
                return Ascii.IsValid(octets) ? Encoding.ASCII.GetString(octets) : null;
            case DerTag.Utf8String:
                return Utf8.IsValid(octets) ? Encoding.UTF8.GetString(octets) : null;
            case DerTag.TeletexString:
                return Encoding.Latin1.GetString(octets);
            case DerTag.BmpString:
                return octets.Length % 2 == 0 && Encoding.BigEndianUnicode.GetString(octets) is var text && !text.Contains('\uFFFD', StringComparison.Ordinal) ? text : null;
            default:
                return null;
        }
    }
}
