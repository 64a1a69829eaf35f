using System.Collections.Immutable;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Warifu.Policy;

namespace Warifu.Pki;

/// <summary>Certificates of the configuration.</summary>
internal static class ConfiguredCertificates
{
    // first messages are answered to anybody: what is the same for all is read once
    private static readonly ConditionalWeakTable<RemoteAuth, Certificate[]> s_authorities = [];

    /// <summary>Null when it is none.</summary>
    public static Certificate? Parsed(ImmutableArray<byte> der) => Certificate.TryParse(der.AsMemory(), out var certificate, out _) ? certificate : null;

    /// <summary>Authorities that only this connection's peers may come from.</summary>
    public static ImmutableArray<Certificate> AuthoritiesOf(RemoteAuth remote) =>
        remote.CaCertificates.IsEmpty ? [] : ImmutableCollectionsMarshal.AsImmutableArray(s_authorities.GetValue(remote, static auth => [.. auth.CaCertificates.Select(Parsed).OfType<Certificate>()]));
}
