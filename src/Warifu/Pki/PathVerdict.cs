using System;
using System.Collections.Immutable;
using System.Text;

namespace Warifu.Pki;

/// <summary>What <see cref="PathJudge"/> found.</summary>
internal abstract record PathVerdict
{
    private PathVerdict()
    {
    }

    /// <summary>The peer's certificate is trusted and carries its identity.</summary>
    /// <param name="Chain">From the peer's certificate to the trusted one.</param>
    /// <param name="Notes">What was passed over because the revocation policy allows it, a sentence each.</param>
    internal sealed record Good(ImmutableArray<Certificate> Chain, ImmutableArray<string> Notes) : PathVerdict;

    /// <summary>It is not.</summary>
    internal sealed record Bad(PathFailure Failure) : PathVerdict;

    /// <summary>The path is good; whether one of its certificates was revoked, only the world knows.</summary>
    internal sealed record Needs(ImmutableArray<FetchWish> Wishes) : PathVerdict;
}

/// <summary>Why a certificate is refused.</summary>
/// <param name="Rule">The rule that it breaks.</param>
/// <param name="Certificate">Name of the certificate that breaks it.</param>
/// <param name="Sentence">What is wrong.</param>
/// <param name="Remedy">Which side changes what, as clauses that begin with "here:" or "at the peer:".</param>
internal sealed record PathFailure(PathRule Rule, string Certificate, string Sentence, string Remedy);

/// <summary>Something to fetch.</summary>
/// <param name="Uri">From where.</param>
/// <param name="Kind">What.</param>
/// <param name="Request">What is posted, for OCSP.</param>
/// <param name="Nonce">Nonce inside the request.</param>
internal sealed record FetchWish(string Uri, DocumentKind Kind, ImmutableArray<byte> Request, ImmutableArray<byte> Nonce)
{
    /// <summary>Same document, same key.</summary>
    public string Key { get; init; } = Uri;

    /// <summary>What an OCSP response is kept under.</summary>
    public string About { get; init; } = "";

    /// <summary>Of a CRL: the keys (SubjectPublicKeyInfo) of those who may have signed it.</summary>
    public ImmutableArray<ReadOnlyMemory<byte>> Signers { get; init; } = [];
}

/// <summary>Kinds of documents that are fetched.</summary>
internal enum DocumentKind : byte
{
    /// <summary>A CRL, complete or delta, DER or PEM.</summary>
    Crl,
    /// <summary>An OCSP response.</summary>
    Ocsp,
    /// <summary>A certificate by hash and URL (RFC 7296 section 3.6).</summary>
    Certificate,
    /// <summary>A bundle by hash and URL.</summary>
    Bundle,
}

/// <summary>Rules of RFC 5280 section 6, RFC 4945 and of the configuration that a certificate can break.</summary>
internal enum PathRule : byte
{
    /// <summary>The peer sent no certificate, and none of its identity is configured.</summary>
    NoCertificate,
    /// <summary>It is no certificate.</summary>
    Malformed,
    /// <summary>Signed by itself and not configured as trusted.</summary>
    SelfSigned,
    /// <summary>The chain ends at a root that is not trusted.</summary>
    UntrustedRoot,
    /// <summary>The issuer's certificate is missing.</summary>
    MissingIssuer,
    /// <summary>The issuer did not sign it.</summary>
    Signature,
    /// <summary>Its signature is of a kind that nobody here knows.</summary>
    UnknownSignature,
    /// <summary>Its key is malformed, too short, or of a kind that nobody here knows.</summary>
    UnknownKey,
    Expired,
    NotYetValid,
    /// <summary>It issued another one without being a CA.</summary>
    NotAuthority,
    PathLength,
    KeyUsage,
    ExtendedKeyUsage,
    NameConstraints,
    CertificatePolicies,
    CriticalExtension,
    /// <summary>A key below the least that is accepted.</summary>
    WeakKey,
    /// <summary>A signature by a hash that is not accepted.</summary>
    WeakSignature,
    /// <summary>Not below a CA that the connection asks for.</summary>
    Authority,
    /// <summary>Not one of those that the connection asks for.</summary>
    Pinned,
    /// <summary>The identity is not in the certificate.</summary>
    Identity,
    /// <summary>Identities of that type are never in certificates.</summary>
    IdentityType,
    Revoked,
    /// <summary>Nobody says whether it was revoked.</summary>
    RevocationUnknown,
    /// <summary>What says so is out of date.</summary>
    RevocationStale,
    /// <summary>Judging it would take more work than a peer may cause.</summary>
    Complexity,
}

/// <summary>Stable words of <see cref="PathRule"/>.</summary>
internal static class PathRules
{
    /// <summary>"not-yet-valid", "name-constraints" …</summary>
    public static string Word(this PathRule rule)
    {
        var word = new StringBuilder();
        foreach (var letter in rule.ToString())
        {
            if (char.IsAsciiLetterUpper(letter) && word.Length > 0) word.Append('-');
            word.Append(char.ToLowerInvariant(letter));
        }

        return word.ToString();
    }
}
