using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Linq;
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

/// <summary>Which identities are acceptable: any, exactly one, one with wildcards ("*.example.org", "*@example.org", "C=CH, CN=*"), or the addresses of a subnet or range.</summary>
public sealed record IdentityPattern
{
    private IdentityPattern(Identity? exact, string text)
    {
        (Exact, Text) = (exact, text);
        if (exact is not null) Canonical = Identities.Canonical(exact);
    }

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
        if (Identities.IsAny(text))
        {
            pattern = Any;
            return true;
        }

        if (Identities.IsLater(text, out var later))
        {
            error = $"{later} are not there yet";
            return false;
        }

        if (TryParseAddresses(text, ref pattern, out error)) return error is null;
        if (!Identities.TryParse(text, out var identity, out error)) return false;
        if (identity.Type is IdType.Fqdn or IdType.Rfc822Addr && identity.Data.AsSpan()[1..].Contains((byte)'*'))
        {
            error = $"'{text}' has a wildcard that is not at its beginning; write *.DOMAIN or *@DOMAIN";
            return false;
        }

        pattern = HasWildcard(identity) ? new IdentityPattern(null, text) { Template = identity } : new IdentityPattern(identity, text);
        return true;
    }

    /// <summary>True when <paramref name="identity"/> is acceptable.</summary>
    public bool Matches(Identity identity) => Match(identity) != IdentityMatch.No;

    /// <inheritdoc/>
    public override string ToString() => Text;

    internal IdentityMatch Match(Identity identity)
    {
        if (Exact is not null) return Exact.Equals(identity) || (Exact.Type == identity.Type && Canonical!.Equals(Identities.Canonical(identity))) ? IdentityMatch.Exact : IdentityMatch.No;
        if (!First.IsNone) return AddressOf(identity) is { IsNone: false } address && address.Version == First.Version && address >= First && address <= Last ? IdentityMatch.Wildcard : IdentityMatch.No;
        if (Template is null) return IdentityMatch.Any;
        if (Template.Type != identity.Type) return IdentityMatch.No;
        if (Template.Type == IdType.DerAsn1Dn) return MatchesName(Template, identity) ? IdentityMatch.Wildcard : IdentityMatch.No;
        // "*.example.org" and "*@example.org": something before the fixed end
        var end = Template.Data.AsSpan()[1..];
        var data = identity.Data.AsSpan();
        return data.Length > end.Length && Ascii.EqualsIgnoreCase(data[^end.Length..], end) ? IdentityMatch.Wildcard : IdentityMatch.No;
    }

    private Identity? Canonical { get; }

    private Identity? Template { get; init; }

    private IpAddress First { get; init; }

    private IpAddress Last { get; init; }

    /// <summary>Subnets and ranges: with their prefixes, or bare. False: it is no such thing.</summary>
    private static bool TryParseAddresses(string text, ref IdentityPattern? pattern, out string? error)
    {
        error = null;
        var typed = new[] { "ipv4net:", "ipv6net:", "ipv4range:", "ipv6range:" }.FirstOrDefault(prefix => text.StartsWith(prefix, StringComparison.Ordinal));
        var addresses = text[(typed?.Length ?? 0)..];
        if (typed is null && (text.AsSpan().ContainsAny('@', '=') || !text.AsSpan().ContainsAny('/', '-'))) return false;
        if (Selectors.TryParseAddresses(addresses, out var first, out var last, out var wrong) && (typed is null || first.Version == typed[3] - '0'))
        {
            pattern = new IdentityPattern(null, text) { First = first, Last = last };
            return true;
        }

        if (typed is null) return false;
        error = wrong ?? $"'{addresses}' is of the other IP version";
        return true;
    }

    private static IpAddress? AddressOf(Identity identity) => identity.Type is IdType.Ipv4Addr or IdType.Ipv6Addr ? IpAddress.FromOctets(identity.Data.AsSpan()) : null;

    private static bool HasWildcard(Identity identity) => identity.Type switch
    {
        IdType.Fqdn or IdType.Rfc822Addr => identity.Data.Length > 1 && identity.Data[0] == '*',
        IdType.DerAsn1Dn => DistinguishedName.TryRead(identity.Data.AsMemory(), out var parts) && parts.Exists(part => part.Value == "*"),
        _ => false,
    };

    /// <summary>Attribute by attribute. Some print a DN from the country to the name, others the other way round: both orders are the same name.</summary>
    private static bool MatchesName(Identity template, Identity identity)
    {
        if (!DistinguishedName.TryRead(template.Data.AsMemory(), out var wanted) || !DistinguishedName.TryRead(identity.Data.AsMemory(), out var given) || wanted.Count != given.Count) return false;
        return MatchesInOrder(wanted, given) || MatchesInOrder(wanted, Enumerable.Reverse(given));
    }

    private static bool MatchesInOrder(List<(string Name, string Value)> wanted, IEnumerable<(string Name, string Value)> given) =>
        wanted.Zip(given).All(pair => pair.First.Name == pair.Second.Name && (pair.First.Value == "*" || DistinguishedName.Fold(pair.First.Value) == DistinguishedName.Fold(pair.Second.Value)));
}
