using System;
using System.Collections.Immutable;
using System.Linq;
using System.Text;
using Warifu.Primitives;

namespace Warifu.Pki;

/// <summary>Forms of <see cref="GeneralName"/>: their numbers in ASN.1.</summary>
internal enum GeneralNameKind : byte
{
    Other = 0,
    Mail = 1,
    Dns = 2,
    X400 = 3,
    Directory = 4,
    Edi = 5,
    Uri = 6,
    Address = 7,
    RegisteredId = 8,
}

/// <summary>GeneralName (RFC 5280 section 4.2.1.6): one name of one of nine forms.</summary>
/// <param name="Kind">Form.</param>
/// <param name="Value">Octets without the tag.</param>
/// <param name="Encoded">All of it.</param>
/// <param name="Directory">The name, for <see cref="GeneralNameKind.Directory"/>.</param>
internal sealed record GeneralName(GeneralNameKind Kind, ReadOnlyMemory<byte> Value, ReadOnlyMemory<byte> Encoded, X509Name? Directory = null)
{
    /// <summary>Names of one certificate extension.</summary>
    public const int MaxNames = 512;

    private const int MaxShown = 240;

    private string? _text;

    /// <summary>GeneralNames: what the SEQUENCE holds, one name at least.</summary>
    public static bool TryReadAll(ref DerReader reader, out ImmutableArray<GeneralName> names)
    {
        var found = ImmutableArray.CreateBuilder<GeneralName>();
        names = [];
        while (reader.HasMore)
        {
            if (found.Count == MaxNames || !TryRead(ref reader, out var name)) return false;
            found.Add(name!);
        }

        names = found.ToImmutable();
        return reader.AtEnd && names.Length > 0;
    }

    public static bool TryRead(ref DerReader reader, out GeneralName? name)
    {
        name = null;
        if (!reader.TryReadAny(out var value)) return false;
        var kind = (GeneralNameKind)(value.Tag & 0x1F);
        var isConstructed = kind is GeneralNameKind.Other or GeneralNameKind.X400 or GeneralNameKind.Directory or GeneralNameKind.Edi;
        if (kind > GeneralNameKind.RegisteredId || (value.Tag & 0xE0) != (isConstructed ? 0xA0 : 0x80)) return false;
        X509Name? directory = null;
        if (kind == GeneralNameKind.Directory && !X509Name.TryParse(value.Content, out directory)) return false;
        // text with control characters, a NUL above all, reads differently for everybody
        if (kind is GeneralNameKind.Mail or GeneralNameKind.Dns or GeneralNameKind.Uri && value.Content.Span.ContainsAnyExceptInRange((byte)' ', (byte)'~')) return false;
        name = new GeneralName(kind, value.Content, value.Encoded, directory);
        return true;
    }

    /// <summary>Same form and same octets.</summary>
    public bool Equals(GeneralName? other) => other is not null && (Directory is not null && other.Directory is not null ? Directory.Equals(other.Directory) : Encoded.Span.SequenceEqual(other.Encoded.Span));

    public override int GetHashCode()
    {
        var hash = default(HashCode);
        hash.AddBytes(Encoded.Span);
        return Directory?.GetHashCode() ?? hash.ToHashCode();
    }

    public string Text => _text ??= Encoding.ASCII.GetString(Value.Span);

    public override string ToString() => Kind switch
    {
        GeneralNameKind.Mail => $"mail {Short(Text)}",
        GeneralNameKind.Dns => $"DNS {Short(Text)}",
        GeneralNameKind.Uri => $"URI {Short(Text)}",
        GeneralNameKind.Directory => $"directory {Directory}",
        GeneralNameKind.Address when Value.Length is 4 or 16 => $"IP {IpAddress.FromOctets(Value.Span)}",
        GeneralNameKind.Address when Value.Length is 8 or 32 => $"IP {IpAddress.FromOctets(Value.Span[..(Value.Length / 2)])} mask {IpAddress.FromOctets(Value.Span[(Value.Length / 2)..])}",
        _ => $"{Kind} {Convert.ToHexStringLower(Value.Span[..Math.Min(Value.Length, 64)])}",
    };

    /// <summary>Names go into sentences, and a peer may make them long, or of lines of its own.</summary>
    public static string Short(string text)
    {
        if (text.Length > MaxShown) text = text[..MaxShown] + "…";
        return text.Any(char.IsControl) ? string.Concat(text.Select(letter => char.IsControl(letter) ? '?' : letter)) : text;
    }
}

/// <summary>GeneralSubtree (RFC 5280 section 4.2.1.10).</summary>
/// <param name="Base">Root of the names.</param>
/// <param name="HasDistances">minimum or maximum are there and not what this profile allows: names of that form cannot be judged.</param>
internal sealed record GeneralSubtree(GeneralName Base, bool HasDistances);

/// <summary>Permitted and excluded subtrees of one CA certificate.</summary>
internal sealed record NameSubtrees(ImmutableArray<GeneralSubtree> Permitted, ImmutableArray<GeneralSubtree> Excluded);
