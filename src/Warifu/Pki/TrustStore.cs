using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Runtime.CompilerServices;
using Warifu.Policy;

namespace Warifu.Pki;

/// <summary>The certificates and lists of a policy, read once: whom to trust, who is known besides, and where to ask about revocation. Immutable.</summary>
internal sealed class TrustStore
{
    private readonly ILookup<X509Name, Certificate> _authorities;
    private readonly ILookup<X509Name, Certificate> _intermediates;
    private readonly ILookup<X509Name, Crl> _crls;
    private readonly Dictionary<Certificate, Authority> _settings;

    // read once for all engines of the process, and forgotten with the policy
    private static readonly ConditionalWeakTable<TrustMaterial, TrustStore> s_stores = [];

    private TrustStore(IReadOnlyList<(Certificate Certificate, Authority Settings)> authorities, IReadOnlyList<Certificate> others, ImmutableArray<Crl> crls, ImmutableArray<string> problems)
    {
        _authorities = authorities.Select(authority => authority.Certificate).Distinct().ToLookup(certificate => certificate.Subject);
        _intermediates = others.Distinct().ToLookup(certificate => certificate.Subject);
        _crls = crls.ToLookup(crl => crl.Issuer);
        _settings = [];
        foreach (var (certificate, settings) in authorities) _settings[certificate] = _settings.TryGetValue(certificate, out var other) ? Merge(other, settings) : settings;
        (Authorities, Intermediates, Crls, Problems) = ([.. _settings.Keys], [.. others.Distinct()], crls, problems);
    }

    public static TrustStore Empty { get; } = Of(TrustMaterial.Empty);

    /// <summary>Trusted ones.</summary>
    public ImmutableArray<Certificate> Authorities { get; }

    /// <summary>Known, and no more trusted than what a peer sends.</summary>
    public ImmutableArray<Certificate> Intermediates { get; }

    public ImmutableArray<Crl> Crls { get; }

    /// <summary>What could not be read, a sentence each.</summary>
    public ImmutableArray<string> Problems { get; }

    /// <summary>As <see cref="Of"/>; the same material is read once. Thread-safe.</summary>
    public static TrustStore For(TrustMaterial material) => s_stores.GetValue(material, Of);

    public static TrustStore Of(TrustMaterial material)
    {
        var authorities = new List<(Certificate, Authority)>();
        var others = new List<Certificate>();
        var crls = ImmutableArray.CreateBuilder<Crl>();
        var problems = ImmutableArray.CreateBuilder<string>();
        foreach (var authority in material.Authorities)
        {
            if (Certificate.TryParse(authority.Certificate.AsMemory(), out var certificate, out var error)) authorities.Add((certificate!, authority));
            else problems.Add($"the certificate of authority {authority.Name} cannot be used: {error}");
        }

        foreach (var der in material.Certificates)
        {
            if (Certificate.TryParse(der.AsMemory(), out var certificate, out var error)) others.Add(certificate!);
            else problems.Add($"a certificate cannot be used: {error}");
        }

        foreach (var der in material.Crls)
        {
            if (Crl.TryParse(der.AsMemory(), out var crl)) crls.Add(crl!);
            else problems.Add("a revocation list cannot be used: it is no DER CRL");
        }

        return new TrustStore(authorities, others, crls.ToImmutable(), problems.ToImmutable());
    }

    /// <summary>Trusted authorities of this name.</summary>
    public IEnumerable<Certificate> AuthoritiesOf(X509Name subject) => _authorities[subject];

    /// <summary>Other certificates of this name.</summary>
    public IEnumerable<Certificate> IntermediatesOf(X509Name subject) => _intermediates[subject];

    /// <summary>Lists of this issuer.</summary>
    public IEnumerable<Crl> CrlsOf(X509Name issuer) => _crls[issuer];

    /// <summary>What the configuration says about what <paramref name="issuer"/> issued; null = nothing.</summary>
    public Authority? SettingsOf(Certificate issuer) => _settings.GetValueOrDefault(issuer);

    /// <summary>The same authority under two names.</summary>
    private static Authority Merge(Authority one, Authority other) => one with
    {
        CrlUris = [.. one.CrlUris.Union(other.CrlUris)],
        OcspUris = [.. one.OcspUris.Union(other.OcspUris)],
        CertUriBase = one.CertUriBase ?? other.CertUriBase,
    };
}
