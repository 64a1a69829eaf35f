using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Text;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>How well an identity fits a pattern.</summary>
internal enum IdentityMatch
{
    No,
    Any,
    Wildcard,
    Exact,
}

/// <summary>Which identities are acceptable: any, exactly one, or one with wildcards ("*.example.org", "*@example.org", "C=CH, CN=*").</summary>
public sealed record IdentityPattern
{
    private IdentityPattern(Identity? exact, string text) => (Exact, Text) = (exact, text);

    /// <summary>Every identity.</summary>
    public static IdentityPattern Any { get; } = new(null, "%any");

    /// <summary>Exactly this one.</summary>
    public static IdentityPattern Of(Identity identity) => new(identity, Identities.Print(identity));

    /// <summary>The one identity, if the pattern has no wildcards.</summary>
    public Identity? Exact { get; }

    /// <summary>As configured.</summary>
    public string Text { get; }

    /// <summary>Reads "%any", an identity, or one with wildcards.</summary>
    /// <exception cref="FormatException">It is none; the message says what would be right.</exception>
    public static IdentityPattern Parse(string text) => TryParse(text, out var pattern, out var error) ? pattern : throw new FormatException(error);

    /// <summary>As <see cref="Parse"/>, without an exception.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out IdentityPattern? pattern, [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(text);
        (pattern, error) = (null, null);
        if (text is "" or "%any" or "%any6" or "0.0.0.0" or "*" or "::" or "0::0")
        {
            pattern = Any;
            return true;
        }

        if (!Identities.TryParse(text, out var identity, out error)) return false;
        pattern = HasWildcard(identity) ? new IdentityPattern(null, text) { Template = identity } : new IdentityPattern(identity, text);
        return true;
    }

    /// <summary>True when <paramref name="identity"/> is acceptable.</summary>
    public bool Matches(Identity identity) => Match(identity) != IdentityMatch.No;

    /// <inheritdoc/>
    public override string ToString() => Text;

    internal IdentityMatch Match(Identity identity)
    {
        if (Exact is not null) return SameName(Exact, identity) ? IdentityMatch.Exact : IdentityMatch.No;
        if (Template is null) return IdentityMatch.Any;
        if (Template.Type != identity.Type) return IdentityMatch.No;
        if (Template.Type == IdType.DerAsn1Dn) return MatchesName(Template, identity) ? IdentityMatch.Wildcard : IdentityMatch.No;
        // "*.example.org" and "*@example.org": something before the fixed end
        var end = Template.Data.AsSpan()[1..];
        var data = identity.Data.AsSpan();
        return data.Length > end.Length && EndsWithIgnoreCase(data, end) ? IdentityMatch.Wildcard : IdentityMatch.No;
    }

    private Identity? Template { get; init; }

    private static bool HasWildcard(Identity identity) => identity.Type switch
    {
        IdType.Fqdn or IdType.Rfc822Addr => identity.Data.Length > 1 && identity.Data[0] == '*',
        IdType.DerAsn1Dn => TryRead(identity, out var parts) && parts.Exists(part => part.Value == "*"),
        _ => false,
    };

    /// <summary>Domain names and mail addresses do not depend on case; the rest is compared by octets, DNs by their attributes.</summary>
    private static bool SameName(Identity left, Identity right)
    {
        if (left.Type != right.Type) return false;
        if (left.Data.AsSpan().SequenceEqual(right.Data.AsSpan())) return true;
        return left.Type switch
        {
            IdType.Fqdn or IdType.Rfc822Addr => left.Data.Length == right.Data.Length && EndsWithIgnoreCase(left.Data.AsSpan(), right.Data.AsSpan()),
            IdType.DerAsn1Dn => MatchesName(left, right),
            _ => false,
        };
    }

    private static bool EndsWithIgnoreCase(ReadOnlySpan<byte> data, ReadOnlySpan<byte> end) => Ascii.EqualsIgnoreCase(data[^end.Length..], end);

    private static bool MatchesName(Identity template, Identity identity)
    {
        if (!TryRead(template, out var wanted) || !TryRead(identity, out var given) || wanted.Count != given.Count) return false;
        for (var i = 0; i < wanted.Count; i++)
        {
            if (wanted[i].Name != given[i].Name || (wanted[i].Value != "*" && !wanted[i].Value.Equals(given[i].Value, StringComparison.OrdinalIgnoreCase))) return false;
        }

        return true;
    }

    private static bool TryRead(Identity identity, out List<(string Name, string Value)> parts)
    {
        parts = [];
        try
        {
            parts = Identities.ReadName(identity.Data.AsSpan());
            return true;
        }
        catch (Exception exception) when (exception is AsnContentException or CryptographicException or InvalidOperationException)
        {
            return false;
        }
    }
}
