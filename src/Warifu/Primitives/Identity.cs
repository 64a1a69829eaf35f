using System;
using System.Collections.Immutable;
using System.Net;
using System.Text;

namespace Warifu.Primitives;

/// <summary>An IKE identity as it stands on the wire (RFC 7296 section 3.5): a type and its octets. Parsing text, matching wildcards and printing DNs is done in Policy.</summary>
/// <param name="Type">ID type; unknown values are preserved.</param>
/// <param name="Data">Octets after the four-octet head of the payload.</param>
public sealed record Identity(IdType Type, ImmutableArray<byte> Data)
{
    /// <summary>An address identity.</summary>
    public static Identity Of(IpAddress address) => new(address.IsV4 ? IdType.Ipv4Addr : IdType.Ipv6Addr, [.. address.ToOctets()]);

    /// <summary>A domain name.</summary>
    public static Identity Fqdn(string name) => new(IdType.Fqdn, [.. Encoding.UTF8.GetBytes(name)]);

    /// <summary>A mail address.</summary>
    public static Identity Rfc822(string name) => new(IdType.Rfc822Addr, [.. Encoding.UTF8.GetBytes(name)]);

    /// <summary>Opaque octets.</summary>
    public static Identity KeyId(ReadOnlySpan<byte> octets) => new(IdType.KeyId, [.. octets]);

    /// <summary>Same type and octets.</summary>
    public bool Equals(Identity? other) => other is not null && Type == other.Type && Data.AsSpan().SequenceEqual(other.Data.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = default(HashCode);
        hash.Add(Type);
        hash.AddBytes(Data.AsSpan());
        return hash.ToHashCode();
    }

    /// <summary>Printable form; control characters never come out. DNs and binary key ids print as hex here.</summary>
    public override string ToString()
    {
        if (Type == IdType.Ipv4Addr && Data.Length == 4 || Type == IdType.Ipv6Addr && Data.Length == 16) return new IPAddress(Data.AsSpan()).ToString();
        foreach (var octet in Data)
        {
            if (octet is < 0x20 or > 0x7E) return Convert.ToHexStringLower(Data.AsSpan());
        }

        return Type == IdType.DerAsn1Dn ? Convert.ToHexStringLower(Data.AsSpan()) : Encoding.ASCII.GetString(Data.AsSpan());
    }
}
