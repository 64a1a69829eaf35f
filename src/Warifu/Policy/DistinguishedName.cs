using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Formats.Asn1;
using System.Linq;
using System.Text;

namespace Warifu.Policy;

/// <summary>X.501 names (RFC 5280 section 4.1.2.4) as text and DER. Read never throws: a peer may send anything as its identity.</summary>
internal static class DistinguishedName
{
    private const int MaxAttributes = 64;

    /// <summary>Names of attributes; the first one of an OID is printed.</summary>
    private static readonly (string Name, string Oid)[] s_attributes =
    [
        ("CN", "2.5.4.3"),
        ("SN", "2.5.4.4"),
        ("serialNumber", "2.5.4.5"),
        ("C", "2.5.4.6"),
        ("L", "2.5.4.7"),
        ("ST", "2.5.4.8"),
        ("S", "2.5.4.8"),
        ("STREET", "2.5.4.9"),
        ("O", "2.5.4.10"),
        ("OU", "2.5.4.11"),
        ("T", "2.5.4.12"),
        ("title", "2.5.4.12"),
        ("D", "2.5.4.13"),
        ("description", "2.5.4.13"),
        ("postalCode", "2.5.4.17"),
        ("N", "2.5.4.41"),
        ("name", "2.5.4.41"),
        ("G", "2.5.4.42"),
        ("GN", "2.5.4.42"),
        ("I", "2.5.4.43"),
        ("initials", "2.5.4.43"),
        ("dnQualifier", "2.5.4.46"),
        ("UID", "0.9.2342.19200300.100.1.1"),
        ("DC", "0.9.2342.19200300.100.1.25"),
        ("E", "1.2.840.113549.1.9.1"),
        ("Email", "1.2.840.113549.1.9.1"),
        ("emailAddress", "1.2.840.113549.1.9.1"),
        ("unstructuredName", "1.2.840.113549.1.9.2"),
        ("UN", "1.2.840.113549.1.9.2"),
        ("EN", "2.16.840.1.113730.3.1.3"),
        ("employeeNumber", "2.16.840.1.113730.3.1.3"),
    ];

    private static readonly UniversalTagNumber[] s_strings =
    [
        UniversalTagNumber.UTF8String, UniversalTagNumber.PrintableString, UniversalTagNumber.IA5String, UniversalTagNumber.T61String, UniversalTagNumber.BMPString, UniversalTagNumber.VisibleString, UniversalTagNumber.NumericString,
    ];

    /// <summary>"C=CH, O=Example, CN=gw" or "/C=CH/O=Example/CN=gw" as DER, in the order of the text. A comma inside a value is written "\," or the value is put into quotes.</summary>
    public static bool TryEncode(string text, [NotNullWhen(true)] out byte[]? der)
    {
        der = null;
        var separator = text.StartsWith('/') ? '/' : ',';
        if (!TrySplit(separator == '/' ? text[1..] : text, separator, out var parts)) return false;
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            foreach (var (name, value) in parts)
            {
                if (OidOf(name) is not { } oid) return false;
                using (writer.PushSetOf())
                using (writer.PushSequence())
                {
                    writer.WriteObjectIdentifier(oid);
                    writer.WriteCharacterString(StringTypeOf(oid, value), value);
                }
            }
        }

        der = writer.Encode();
        return true;
    }

    /// <summary>Attributes in the order of the encoding; an RDN with several attributes comes as one, joined by "+".</summary>
    public static bool TryRead(ReadOnlyMemory<byte> der, [NotNullWhen(true)] out List<(string Name, string Value)>? parts)
    {
        parts = null;
        var found = new List<(string, string)>();
        try
        {
            var reader = new AsnReader(der, AsnEncodingRules.BER);
            var names = reader.ReadSequence();
            reader.ThrowIfNotEmpty();
            while (names.HasData)
            {
                if (found.Count == MaxAttributes) return false;
                found.Add(ReadRelative(names.ReadSetOf()));
            }
        }
        catch (AsnContentException)
        {
            return false;
        }

        parts = found;
        return found.Count > 0;
    }

    /// <summary>"C=CH, O=Example, CN=gw": control characters never come out.</summary>
    public static bool TryPrint(ReadOnlyMemory<byte> der, [NotNullWhen(true)] out string? text)
    {
        text = TryRead(der, out var parts) ? string.Join(", ", parts.Select(part => $"{part.Name}={Shown(part.Value)}")) : null;
        return text is not null;
    }

    /// <summary>A value as it is compared (RFC 5280 section 7.1): letters of one case, blanks at the ends gone and those inside one.</summary>
    public static string Fold(string value) => string.Join(' ', value.Split(' ', StringSplitOptions.RemoveEmptyEntries)).ToUpperInvariant();

    private static (string Name, string Value) ReadRelative(AsnReader relative)
    {
        var (name, value) = ("", "");
        while (relative.HasData)
        {
            var attribute = relative.ReadSequence();
            var oid = attribute.ReadObjectIdentifier();
            name += (name.Length > 0 ? "+" : "") + NameOf(oid);
            value += (value.Length > 0 ? "+" : "") + ReadString(attribute);
            if (name.Length > 1024) throw new AsnContentException();
        }

        return name.Length > 0 ? (name, value) : throw new AsnContentException();
    }

    private static string ReadString(AsnReader attribute)
    {
        var tag = attribute.PeekTag();
        if (tag.TagClass == TagClass.Universal && s_strings.Contains((UniversalTagNumber)tag.TagValue)) return attribute.ReadCharacterString((UniversalTagNumber)tag.TagValue);
        return "#" + Convert.ToHexStringLower(attribute.ReadEncodedValue().Span);
    }

    private static string NameOf(string oid)
    {
        foreach (var attribute in s_attributes)
        {
            if (attribute.Oid == oid) return attribute.Name;
        }

        return oid;
    }

    private static string? OidOf(string name)
    {
        foreach (var attribute in s_attributes)
        {
            if (attribute.Name.Equals(name, StringComparison.OrdinalIgnoreCase)) return attribute.Oid;
        }

        return name.Split('.') is { Length: > 2 } arcs && arcs.All(arc => arc.Length is > 0 and < 10 && arc.All(char.IsAsciiDigit)) && arcs[0].Length == 1 && arcs[0][0] <= '2' && arcs[1].Length < 3 ? name : null;
    }

    private static UniversalTagNumber StringTypeOf(string oid, string value)
    {
        if (oid is "0.9.2342.19200300.100.1.25" or "1.2.840.113549.1.9.1" && Ascii.IsValid(value)) return UniversalTagNumber.IA5String;
        return value.All(letter => char.IsAsciiLetterOrDigit(letter) || " '()+,-./:=?".Contains(letter, StringComparison.Ordinal)) ? UniversalTagNumber.PrintableString : UniversalTagNumber.UTF8String;
    }

    private static bool TrySplit(string text, char separator, out List<(string Name, string Value)> parts)
    {
        parts = [];
        var at = 0;
        while (at < text.Length)
        {
            var equals = text.IndexOf('=', at);
            if (equals < 0) return false;
            var name = text[at..equals].Trim();
            if (!TryReadValue(text, equals + 1, separator, out var value, out at)) return false;
            if (name.Length == 0 || value.Length == 0 || parts.Count == MaxAttributes) return false;
            parts.Add((name, value));
        }

        return parts.Count > 0;
    }

    private static bool TryReadValue(string text, int from, char separator, out string value, out int next)
    {
        var read = new StringBuilder();
        var (quoted, at) = (false, from);
        for (; at < text.Length && (quoted || text[at] != separator); at++)
        {
            if (text[at] == '"') quoted = !quoted;
            else if (text[at] == '\\' && at + 1 < text.Length) read.Append(text[++at]);
            else if (!char.IsSurrogate(text[at])) read.Append(text[at]);
            else if (char.IsSurrogatePair(text, at)) read.Append(text[at]).Append(text[++at]);
            else quoted = true;
        }

        (value, next) = (read.ToString().Trim(), at + 1);
        return !quoted;
    }

    private static string Shown(string value) => value.Any(char.IsControl) ? string.Concat(value.Select(letter => char.IsControl(letter) ? '?' : letter)) : value;
}
