using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;
using Warifu.Crypto.Signatures;
using Warifu.Policy;

namespace Warifu.Pki;

/// <summary>The certificates and raw keys of a <see cref="LocalAuth"/>, read once and not for every handshake; forgotten with the policy. Thread-safe.</summary>
internal sealed class OwnCredentials
{
    private static readonly ConditionalWeakTable<LocalAuth, OwnCredentials> s_known = [];

    private readonly TrustStore _trust;

    private OwnCredentials(LocalAuth local, TrustStore trust)
    {
        _trust = trust;
        All =
        [
            .. local.Certificates.Select(ConfiguredCertificates.Parsed).OfType<Certificate>().Where(certificate => certificate.Key is not null).Select(certificate => new OwnCredential(certificate.Key!, certificate, trust)),
            .. local.PublicKeys.Select(spki => PublicKey.TryParse(spki.AsSpan(), out var key) ? key : null).OfType<PublicKey>().Select(key => new OwnCredential(key, null, trust)),
        ];
    }

    /// <summary>In the order of the configuration, certificates first.</summary>
    public ImmutableArray<OwnCredential> All { get; }

    public static OwnCredentials Of(LocalAuth local, TrustStore trust)
    {
        if (s_known.TryGetValue(local, out var known) && ReferenceEquals(known._trust, trust)) return known;
        known = new OwnCredentials(local, trust);
        s_known.AddOrUpdate(local, known);
        return known;
    }
}

/// <summary>Something to prove ourselves with.</summary>
internal sealed class OwnCredential
{
    private const int MaxChain = 8;

    private readonly TrustStore _trust;
    private readonly Lazy<ImmutableArray<Certificate>> _issuers;
    private readonly Lazy<ImmutableArray<(CertEncoding, byte[])>> _chain;
    private readonly Lazy<ImmutableArray<(CertEncoding, byte[])>> _named;

    public OwnCredential(PublicKey key, Certificate? certificate, TrustStore trust)
    {
        (Key, Certificate, _trust) = (key, certificate, trust);
        _issuers = new(() => [.. FindIssuers()]);
        _chain = new(() => Payloads(hashAndUrl: false));
        _named = new(() => Payloads(hashAndUrl: true));
    }

    public PublicKey Key { get; }

    /// <summary>Null: a raw key.</summary>
    public Certificate? Certificate { get; }

    public string Name => Certificate?.Name ?? $"raw key {Convert.ToHexStringLower(Key.KeyId.Span)}";

    /// <summary>Who issued the certificate, upwards, as far as they are known.</summary>
    public ImmutableArray<Certificate> Issuers => _issuers.Value;

    /// <summary>The CERT payloads that prove it: itself first (RFC 7296 section 3.6), then what leads to a root, without the root. The octets are shared: they are only read.</summary>
    public ImmutableArray<(CertEncoding Encoding, byte[] Data)> Chain(bool hashAndUrl) => hashAndUrl ? _named.Value : _chain.Value;

    private IEnumerable<Certificate> FindIssuers()
    {
        var certificate = Certificate;
        for (var i = 0; i < MaxChain && certificate is { IsSelfIssued: false }; i++)
        {
            if (IssuerOf(certificate) is not { } issuer) yield break;
            yield return issuer;
            certificate = issuer;
        }
    }

    private Certificate? IssuerOf(Certificate certificate)
    {
        var candidates = _trust.IntermediatesOf(certificate.Issuer).Concat(_trust.AuthoritiesOf(certificate.Issuer)).Where(candidate => candidate.IsCa);
        // a name may have several keys
        return candidates.FirstOrDefault(candidate => certificate.Scheme is { } scheme && candidate.Key is { } key && key.Verify(scheme, certificate.Tbs.Span, certificate.Signature.Span));
    }

    private ImmutableArray<(CertEncoding, byte[])> Payloads(bool hashAndUrl)
    {
        if (Certificate is null) return [(CertEncoding.RawPublicKey, Key.Spki.ToArray())];
        Certificate[] chain = [Certificate, .. Issuers];
        var payloads = ImmutableArray.CreateBuilder<(CertEncoding, byte[])>();
        for (var i = 0; i < chain.Length; i++)
        {
            if (i == 0 || !chain[i].IsSelfIssued) payloads.Add(Payload(chain[i], hashAndUrl && i + 1 < chain.Length ? _trust.SettingsOf(chain[i + 1])?.CertUriBase : null));
        }

        return payloads.ToImmutable();
    }

    private static (CertEncoding, byte[]) Payload(Certificate certificate, string? place)
    {
        if (place is not { Length: > 0 }) return (CertEncoding.X509Signature, certificate.Der.ToArray());
        var hash = SHA1.HashData(certificate.Der.Span);
        return (CertEncoding.HashAndUrl, [.. hash, .. Encoding.ASCII.GetBytes(place.TrimEnd('/') + "/" + Convert.ToHexStringLower(hash))]);
    }
}
