using System;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>Which identities are acceptable: any, exactly one, or one with wildcards ("*.example.org", "*@example.org", "C=CH, CN=*").</summary>
public sealed partial record IdentityPattern
{
    private IdentityPattern(Identity? exact, string text) => (Exact, Text) = (exact, text);

    /// <summary>Every identity.</summary>
    public static IdentityPattern Any { get; } = new(null, "%any");

    /// <summary>Exactly this one.</summary>
    public static IdentityPattern Of(Identity identity)
    {
        ArgumentNullException.ThrowIfNull(identity);
        return new(identity, identity.ToString());
    }

    /// <summary>The one identity, if the pattern has no wildcards.</summary>
    public Identity? Exact { get; }

    /// <summary>As configured.</summary>
    public string Text { get; }

    /// <inheritdoc/>
    public override string ToString() => Text;
}
