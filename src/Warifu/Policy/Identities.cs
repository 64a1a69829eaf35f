using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Formats.Asn1;
using System.Globalization;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>Identities as people write them (the rules of swanctl.conf).</summary>
public static class Identities
{
    /// <summary>Reads an identity without wildcards: "192.0.2.1", "gw.example.org", "user@example.org", "C=CH, CN=gw", "keyid:…".</summary>
    /// <exception cref="FormatException">It is none; the message says what would be right.</exception>
    public static Identity Parse(string text) => TryParse(text, out var identity, out var error) ? identity : throw new FormatException(error);

    /// <summary>Reads an identity without wildcards. "%any" gives false.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out Identity? identity, [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(text);
        (identity, error) = (null, null);
        var colon = text.IndexOf(':', StringComparison.Ordinal);
        if (colon > 0 && TypeOf(text[..colon]) is { } type) return TryParseTyped(type, text[(colon + 1)..], out identity, out error);
        if (text.Contains('=', StringComparison.Ordinal) && TryEncodeName(text, out var name))
        {
            identity = new Identity(IdType.DerAsn1Dn, [.. name]);
            return true;
        }

        if (!text.Contains('@', StringComparison.Ordinal))
        {
            if (text is "" or "%any" or "%any6" or "0.0.0.0" or "*" or "::" or "0::0")
            {
                error = $"'{text}' means any identity; a definite one is needed here";
                return false;
            }

            identity = IpAddress.TryParse(text, out var address) ? Identity.Of(address) : text.Contains(':', StringComparison.Ordinal) ? Identity.KeyId(Encoding.UTF8.GetBytes(text)) : Identity.Fqdn(text);
            return true;
        }

        if (text.StartsWith("@#", StringComparison.Ordinal)) return TryParseTyped(IdType.KeyId, text[1..], out identity, out error);
        identity = text.StartsWith("@@", StringComparison.Ordinal) ? Identity.Rfc822(text[2..]) : text[0] == '@' ? Identity.Fqdn(text[1..]) : Identity.Rfc822(text);
        if (!identity.Data.IsEmpty) return true;
        error = $"'{text}' is an empty identity";
        return false;
    }

    /// <summary>What people read: names as they are, DNs as "C=CH, O=Example, CN=gw", binary key ids as hex with colons. Control characters never come out.</summary>
    public static string Print(Identity? identity)
    {
        if (identity is null) return "%any";
        if (identity.Type == IdType.DerAsn1Dn && TryPrintName(identity.Data.AsSpan(), out var name)) return name;
        return identity.ToString();
    }

    /// <summary>Reads text with names of attributes into DER.</summary>
    internal static bool TryEncodeName(string text, [NotNullWhen(true)] out byte[]? der)
    {
        der = null;
        try
        {
            // "/C=CH/O=Example" is the other usual form
            if (text.StartsWith('/')) text = string.Join(", ", text[1..].Split('/'));
            der = new X500DistinguishedName(text, X500DistinguishedNameFlags.None).RawData;
            return true;
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    internal static bool TryPrintName(ReadOnlySpan<byte> der, [NotNullWhen(true)] out string? text)
    {
        text = null;
        try
        {
            var printed = new StringBuilder();
            foreach (var (name, value) in ReadName(der))
            {
                if (printed.Length > 0) printed.Append(", ");
                printed.Append(name).Append('=');
                foreach (var character in value) printed.Append(char.IsControl(character) ? '?' : character);
            }

            text = printed.ToString();
            return printed.Length > 0;
        }
        catch (Exception exception) when (exception is AsnContentException or CryptographicException or InvalidOperationException)
        {
            return false;
        }
    }

    internal static List<(string Name, string Value)> ReadName(ReadOnlySpan<byte> der)
    {
        var found = new List<(string, string)>();
        foreach (var part in new X500DistinguishedName(der).EnumerateRelativeDistinguishedNames(reversed: false))
        {
            if (part.HasMultipleElements) throw new InvalidOperationException("an RDN with several attributes");
            var type = part.GetSingleElementType();
            found.Add((NameOf(type), part.GetSingleElementValue() ?? ""));
        }

        return found;
    }

    private static string NameOf(Oid type) => type.Value switch
    {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "T",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "E",
        _ => type.Value ?? "?",
    };

    private static IdType? TypeOf(string prefix) => prefix switch
    {
        "ipv4" => IdType.Ipv4Addr,
        "ipv6" => IdType.Ipv6Addr,
        "rfc822" or "email" or "userfqdn" => IdType.Rfc822Addr,
        "fqdn" or "dns" => IdType.Fqdn,
        "asn1dn" => IdType.DerAsn1Dn,
        "asn1gn" => IdType.DerAsn1Gn,
        "keyid" => IdType.KeyId,
        _ when prefix.StartsWith('{') && prefix.EndsWith('}') && byte.TryParse(prefix.AsSpan(1, prefix.Length - 2), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number != 0 => (IdType)number,
        _ => null,
    };

    private static bool TryParseTyped(IdType type, string text, [NotNullWhen(true)] out Identity? identity, [NotNullWhen(false)] out string? error)
    {
        (identity, error) = (null, null);
        try
        {
            byte[] data = text.StartsWith('#') ? Convert.FromHexString(text.AsSpan(1).ToString().Replace(":", "", StringComparison.Ordinal))
                : type is IdType.Ipv4Addr or IdType.Ipv6Addr ? IpAddress.Parse(text).ToOctets()
                : type == IdType.DerAsn1Dn ? (TryEncodeName(text, out var name) ? name : throw new FormatException())
                : Encoding.UTF8.GetBytes(text);
            var fits = type switch { IdType.Ipv4Addr => data.Length == 4, IdType.Ipv6Addr => data.Length == 16, _ => data.Length > 0 };
            if (!fits) throw new FormatException();
            identity = new Identity(type, [.. data]);
            return true;
        }
        catch (FormatException)
        {
            error = $"'{text}' is not a valid identity of type {type}; write hexadecimal after '#' for raw octets";
            return false;
        }
    }
}
