using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Text;

namespace Warifu.Pki;

/// <summary>Name constraints (RFC 5280 sections 4.2.1.10 and 6.1.3 b, c): what the authorities of a path permit and exclude, gathered from the trusted one down.</summary>
internal sealed class NameRules
{
    private readonly List<ImmutableArray<GeneralSubtree>> _permitted = [];
    private readonly List<GeneralSubtree> _excluded = [];

    /// <summary>From now on these hold too: being inside of each authority's permitted trees is being inside of their intersection.</summary>
    public void Add(NameSubtrees subtrees)
    {
        if (!subtrees.Permitted.IsEmpty) _permitted.Add(subtrees.Permitted);
        _excluded.AddRange(subtrees.Excluded);
    }

    /// <summary>The first name that is not allowed, as a sentence's end; null when all are.</summary>
    public string? Check(Certificate certificate)
    {
        if (_permitted.Count == 0 && _excluded.Count == 0) return null;
        foreach (var name in NamesOf(certificate))
        {
            foreach (var subtree in _excluded)
            {
                if (subtree.Base.Kind != name.Kind) continue;
                if (!TryMatch(name, subtree, out var matches)) return $"{name} cannot be judged by an excluded subtree of its form";
                if (matches) return $"{name} lies in the excluded subtree {subtree.Base}";
            }

            foreach (var group in _permitted)
            {
                var ofForm = group.Where(subtree => subtree.Base.Kind == name.Kind).ToArray();
                if (ofForm.Length == 0) continue;
                var isInside = false;
                foreach (var subtree in ofForm)
                {
                    if (!TryMatch(name, subtree, out var matches)) return $"{name} cannot be judged by a permitted subtree of its form";
                    isInside |= matches;
                }

                if (!isInside) return $"{name} lies outside of {(ofForm.Length == 1 ? "the permitted subtree" : "all permitted subtrees:")} {string.Join(", ", ofForm.Take(4).Select(subtree => subtree.Base))}";
            }
        }

        return null;
    }

    private static IEnumerable<GeneralName> NamesOf(Certificate certificate)
    {
        if (!certificate.Subject.IsEmpty) yield return new GeneralName(GeneralNameKind.Directory, default, certificate.Subject.Der, certificate.Subject);
        foreach (var name in certificate.Extensions.AlternativeNames) yield return name;
        // mail addresses of old certificates; where alternative names are there too it does no harm
        foreach (var address in certificate.Subject.EmailAddresses())
        {
            var octets = Encoding.UTF8.GetBytes(address);
            yield return new GeneralName(GeneralNameKind.Mail, octets, octets);
        }
    }

    /// <summary>False: forms and restrictions that nobody defined; the certificate is refused.</summary>
    private static bool TryMatch(GeneralName name, GeneralSubtree subtree, out bool matches)
    {
        matches = false;
        if (subtree.HasDistances) return false;
        switch (name.Kind)
        {
            case GeneralNameKind.Directory:
                matches = name.Directory!.IsWithin(subtree.Base.Directory!);
                return true;
            case GeneralNameKind.Dns:
                matches = IsDnsWithin(name.Text, subtree.Base.Text);
                return true;
            case GeneralNameKind.Mail:
                return TryMatchMail(name.Text, subtree.Base.Text, out matches);
            case GeneralNameKind.Uri:
                if (HostOf(name.Text) is not { } host) return false;
                matches = IsHostWithin(host, subtree.Base.Text);
                return true;
            case GeneralNameKind.Address:
                matches = IsAddressWithin(name.Value.Span, subtree.Base.Value.Span);
                return true;
            default:
                return false;
        }
    }

    /// <summary>Labels added on the left, whole ones. A leading period is what others write; it asks for one label at least.</summary>
    private static bool IsDnsWithin(string name, string root)
    {
        if (root.Length == 0) return true;
        name = name.TrimEnd('.');
        root = root.TrimEnd('.');
        if (root.StartsWith('.')) return name.Length > root.Length && name.EndsWith(root, StringComparison.OrdinalIgnoreCase);
        if (!name.EndsWith(root, StringComparison.OrdinalIgnoreCase)) return false;
        return name.Length == root.Length || name[^(root.Length + 1)] == '.';
    }

    /// <summary>A mailbox, all of a host, or all of a domain (".example.com").</summary>
    private static bool TryMatchMail(string name, string root, out bool matches)
    {
        matches = false;
        var at = name.LastIndexOf('@');
        if (at <= 0 || at == name.Length - 1) return false;
        if (root.Contains('@', StringComparison.Ordinal))
        {
            var rootAt = root.LastIndexOf('@');
            // the local part's case counts, the host's does not (RFC 5280 section 7.5)
            matches = name[..at] == root[..rootAt] && name[(at + 1)..].Equals(root[(rootAt + 1)..], StringComparison.OrdinalIgnoreCase);
            return true;
        }

        matches = IsHostWithin(name[(at + 1)..], root);
        return true;
    }

    /// <summary>A host itself, or anything below a domain that begins with a period.</summary>
    private static bool IsHostWithin(string host, string root) =>
        root.Length == 0 || (root.StartsWith('.') ? host.Length > root.Length && host.EndsWith(root, StringComparison.OrdinalIgnoreCase) : host.Equals(root, StringComparison.OrdinalIgnoreCase));

    /// <summary>The host name of a URI; null when it has none, or an address.</summary>
    private static string? HostOf(string uri)
    {
        var start = uri.IndexOf("://", StringComparison.Ordinal);
        if (start <= 0) return null;
        var rest = uri[(start + 3)..];
        var end = rest.AsSpan().IndexOfAny("/?#");
        if (end >= 0) rest = rest[..end];
        var at = rest.LastIndexOf('@');
        if (at >= 0) rest = rest[(at + 1)..];
        if (rest.StartsWith('[')) return null;
        var colon = rest.IndexOf(':', StringComparison.Ordinal);
        if (colon >= 0) rest = rest[..colon];
        rest = rest.TrimEnd('.');
        return rest.Length > 0 && rest.Any(char.IsAsciiLetter) && rest.Contains('.', StringComparison.Ordinal) ? rest : null;
    }

    private static bool IsAddressWithin(ReadOnlySpan<byte> address, ReadOnlySpan<byte> masked)
    {
        if (masked.Length != 2 * address.Length) return false;
        var root = masked[..address.Length];
        var mask = masked[address.Length..];
        for (var i = 0; i < address.Length; i++)
        {
            if (((address[i] ^ root[i]) & mask[i]) != 0) return false;
        }

        return true;
    }
}
