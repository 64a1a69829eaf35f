using System;
using System.Collections.Immutable;
using System.Text;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>Names of XAuth users: octets on the wire, identities here. A name is a name even where it looks like an address or a distinguished name: it is never parsed as one.</summary>
internal static class UserNames
{
    private const int Longest = 255;

    /// <summary>Null for names that nobody has: empty, too long, or with control characters.</summary>
    public static Identity? IdentityOf(ReadOnlySpan<byte> name)
    {
        if (name.Length is 0 or > Longest || name.ContainsAnyInRange((byte)0, (byte)0x1F) || name.Contains((byte)0x7F)) return null;
        return new Identity(name.Contains((byte)'@') ? IdType.Rfc822Addr : IdType.Fqdn, [.. name]);
    }

    /// <summary>As it goes on the wire: what was configured as text.</summary>
    public static ImmutableArray<byte> OctetsOf(Identity identity) => identity.Type is IdType.Fqdn or IdType.Rfc822Addr or IdType.KeyId ? identity.Data : [.. Encoding.UTF8.GetBytes(Identities.Print(identity))];

    /// <summary>The owner of a password as a pattern of user names.</summary>
    public static IdentityPattern PatternOf(IdentityPattern owner) => owner.Exact is { } exact && IdentityOf(OctetsOf(exact).AsSpan()) is { } user ? IdentityPattern.Of(user) : owner;
}
