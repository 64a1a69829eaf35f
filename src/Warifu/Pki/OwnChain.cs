using System.Collections.Generic;
using System.Linq;

namespace Warifu.Pki;

/// <summary>What leads from an own certificate upwards, among the certificates that we have.</summary>
internal static class OwnChain
{
    private const int MaxChain = 8;

    /// <summary>The issuers of a certificate by name, upwards, as far as they are known.</summary>
    public static IEnumerable<Certificate> Issuers(Certificate certificate, TrustStore trust)
    {
        for (var i = 0; i < MaxChain && !certificate.IsSelfIssued; i++)
        {
            if (IssuerOf(certificate, trust) is not { } issuer) yield break;
            yield return issuer;
            certificate = issuer;
        }
    }

    /// <summary>The issuer of a certificate, by its signature: a name may have several keys.</summary>
    public static Certificate? IssuerOf(Certificate certificate, TrustStore trust)
    {
        var candidates = trust.IntermediatesOf(certificate.Issuer).Concat(trust.AuthoritiesOf(certificate.Issuer)).Where(candidate => candidate.IsCa);
        return candidates.FirstOrDefault(candidate => certificate.Scheme is { } scheme && candidate.Key is { } key && key.Verify(scheme, certificate.Tbs.Span, certificate.Signature.Span));
    }
}
