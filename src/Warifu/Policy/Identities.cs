using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Linq;
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
        if (IsAny(text))
        {
            error = $"'{text}' means any identity; a definite one is needed here";
            return false;
        }

        if (text.Contains('=', StringComparison.Ordinal))
        {
            identity = DistinguishedName.TryEncode(text, out var name) ? new Identity(IdType.DerAsn1Dn, [.. name]) : Identity.KeyId(Encoding.UTF8.GetBytes(text));
            return true;
        }

        if (!text.Contains('@', StringComparison.Ordinal))
        {
            identity = IpAddress.TryParse(text, out var address) ? Identity.Of(address) : colon >= 0 ? Identity.KeyId(Encoding.UTF8.GetBytes(text)) : Identity.Fqdn(text);
            return true;
        }

        if (text.StartsWith("@#", StringComparison.Ordinal)) return TryParseTyped(IdType.KeyId, text[1..], out identity, out error);
        identity = text.StartsWith("@@", StringComparison.Ordinal) ? Identity.Rfc822(text[2..]) : text[0] == '@' ? Identity.Fqdn(text[1..]) : Identity.Rfc822(text);
        if (!identity.Data.IsEmpty) return true;
        error = $"'{text}' is an empty identity";
        identity = null;
        return false;
    }

    /// <summary>What people read: names as they are, DNs as "C=CH, O=Example, CN=gw", binary key ids as hex. Control characters never come out.</summary>
    public static string Print(Identity? identity)
    {
        if (identity is null) return "%any";
        if (identity.Type == IdType.DerAsn1Dn && DistinguishedName.TryPrint(identity.Data.AsMemory(), out var name)) return name;
        return identity.ToString();
    }

    /// <summary>The text stands for every identity.</summary>
    internal static bool IsAny(string text) => text is "" or "%any" or "%any6" or "0.0.0.0" or "*" or "::" or "0::0";

    /// <summary>Equal for identities that mean the same: domain names and mail addresses without regard to case, DNs by attributes and values in either order. Everything else is itself.</summary>
    internal static Identity Canonical(Identity identity)
    {
        switch (identity.Type)
        {
            case IdType.Fqdn or IdType.Rfc822Addr:
                return identity.Data.AsSpan().ContainsAnyInRange((byte)'A', (byte)'Z') ? new Identity(identity.Type, [.. identity.Data.Select(octet => octet is >= (byte)'A' and <= (byte)'Z' ? (byte)(octet | 0x20) : octet)]) : identity;
            case IdType.DerAsn1Dn when DistinguishedName.TryRead(identity.Data.AsMemory(), out var parts):
                var texts = parts.Select(part => $"{part.Name}={DistinguishedName.Fold(part.Value)}").ToArray();
                var (forward, backward) = (string.Join('\0', texts), string.Join('\0', texts.Reverse()));
                return new Identity(IdType.DerAsn1Dn, [.. Encoding.UTF8.GetBytes(string.CompareOrdinal(forward, backward) <= 0 ? forward : backward)]);
            default:
                return identity;
        }
    }

    /// <summary>Legal in swanctl.conf, and not supported by this build: types that no IKE identity has a number for, and regular expressions.</summary>
    internal static bool IsLater(string text, [NotNullWhen(true)] out string? what)
    {
        var colon = text.IndexOf(':', StringComparison.Ordinal);
        var (prefix, rest) = colon > 0 ? (text[..colon], text[(colon + 1)..]) : ("", "");
        what = prefix is "uri" or "xmppaddr" ? $"identities of the type '{prefix}'"
            : prefix is "rfc822" or "email" or "userfqdn" or "fqdn" or "dns" or "asn1dn" && rest is ['^', .., '$'] ? "identities by regular expression"
            : null;
        return what is not null;
    }

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
        var data = text.StartsWith('#') ? FromHex(text.AsSpan(1))
            : type is IdType.Ipv4Addr or IdType.Ipv6Addr ? (IpAddress.TryParse(text, out var address) ? address.ToOctets() : null)
            : type == IdType.DerAsn1Dn ? (DistinguishedName.TryEncode(text, out var name) ? name : null)
            : Encoding.UTF8.GetBytes(text);
        var fits = data is not null && type switch { IdType.Ipv4Addr => data.Length == 4, IdType.Ipv6Addr => data.Length == 16, _ => data.Length > 0 };
        if (fits)
        {
            identity = new Identity(type, [.. data!]);
            return true;
        }

        error = type switch
        {
            _ when text.StartsWith('#') => $"'{text}' is not hexadecimal of the right length; write pairs of digits after '#', with or without colons",
            IdType.Ipv4Addr => $"'{text}' is no IPv4 address",
            IdType.Ipv6Addr => $"'{text}' is no IPv6 address",
            IdType.DerAsn1Dn => $"'{text}' is no distinguished name; write for example C=CH, O=Example, CN=gw",
            _ => "an empty identity; write one behind the colon",
        };
        return false;
    }

    private static byte[]? FromHex(ReadOnlySpan<char> digits)
    {
        var octets = new List<byte>(digits.Length / 2);
        for (var i = 0; i < digits.Length; i += 2)
        {
            if (i > 0 && digits[i] == ':') i++;
            if (i + 2 > digits.Length || !byte.TryParse(digits.Slice(i, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var octet)) return null;
            octets.Add(octet);
        }

        return [.. octets];
    }
}
