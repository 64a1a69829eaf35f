using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Warifu.Crypto.Signatures;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Pki;

/// <summary>Sentences and remedies of refused certificates (R173): what is wrong with which certificate, and which side changes what.</summary>
internal static class Failures
{
    public static PathFailure NoCertificate(PathQuestion question) =>
        new(PathRule.NoCertificate, "", "the peer sent no certificate", $"at the peer: send the certificate (send_cert = always); or here: set {question.Settings}.certs to the peer's certificate");

    public static PathFailure Malformed(string settings, string error) =>
        new(PathRule.Malformed, "the peer's certificate", $"the peer's certificate cannot be read: {error}", $"at the peer: send an X.509 certificate in DER; or here: set {settings}.certs to the certificate that it has");

    public static PathFailure NoAnchor(PathQuestion question, IReadOnlyList<Certificate> path, bool isLoop)
    {
        var (subject, top) = (path[0], path[^1]);
        var trusted = Trusted(question);
        if (top.IsSelfIssued && path.Count == 1)
        {
            return new PathFailure(PathRule.SelfSigned, top.Name, $"the certificate '{top.Name}' is signed by itself and not trusted", $"here: set {question.Settings}.certs to that certificate; or at the peer: use a certificate of an authority that is in {trusted} here");
        }

        if (top.IsSelfIssued)
        {
            return new PathFailure(PathRule.UntrustedRoot, top.Name, $"the chain of '{subject.Name}' ends at '{top.Name}', which is not among the trusted authorities{Known(question)}", $"here: add the certificate of '{top.Name}' to {trusted}; or at the peer: use a certificate of an authority that is trusted here");
        }

        if (isLoop)
        {
            return new PathFailure(PathRule.UntrustedRoot, top.Name, $"the authorities above '{subject.Name}' sign each other, up to '{top.Name}' and round again, and none of them is trusted{Known(question)}", $"here: add the certificate of one of them to {trusted}; or at the peer: use a certificate of an authority that is trusted here");
        }

        return new PathFailure(
            PathRule.MissingIssuer,
            top.Name,
            $"'{top.Name}' was issued by '{top.Issuer}', whose certificate is neither trusted nor was it sent{Known(question)}",
            $"at the peer: send the certificate of '{top.Issuer}' along; or here: add it to the known certificates (x509ca), and its root to {trusted}");
    }

    public static PathFailure Signature(PathQuestion question, Certificate certificate, Certificate issuer) => certificate.Scheme is null ? UnknownSignature(question, certificate)
        : issuer.Key is null ? UnknownKey(question, issuer)
        : new PathFailure(PathRule.Signature, certificate.Name, $"'{certificate.Name}' names '{issuer.Name}' as its issuer, but was not signed by its key", $"at the peer: use a certificate of the real '{issuer.Name}'; or here: if that authority has a new key, add its new certificate");

    public static PathFailure Impostor(PathQuestion question, Certificate root) =>
        new(PathRule.UntrustedRoot, root.Name, $"the chain ends at a certificate of '{root.Name}' with another key than the trusted authority of that name has", $"here: if that authority has a new key, add its new certificate to {Trusted(question)}; or at the peer: use a certificate of the real '{root.Name}'");

    public static PathFailure UnknownSignature(PathQuestion question, Certificate certificate) =>
        new(PathRule.UnknownSignature, certificate.Name, $"the signature of '{certificate.Name}' has an algorithm that is not supported", $"at the peer: {Replace(certificate, "one that is signed with RSA, ECDSA or EdDSA and SHA-2")}{At(question)}");

    public static PathFailure UnknownKey(PathQuestion question, Certificate certificate) =>
        new(PathRule.UnknownKey, certificate.Name, $"the key of '{certificate.Name}' is of a kind that is not supported, too short or malformed", $"at the peer: {Replace(certificate, "one with an RSA key of 2048 bits or more, an ECDSA key on P-256, P-384 or P-521, or Ed25519")}{At(question)}");

    public static PathFailure TooLong(PathQuestion question, Certificate subject, int limit) =>
        new(PathRule.PathLength, subject.Name, $"the chain of '{subject.Name}' has more than {limit} certificates", $"here: trust an authority nearer to it{At(question)}");

    public static PathFailure TooComplex(PathQuestion question, Certificate subject) =>
        new(PathRule.Complexity, subject.Name, $"finding out whether '{subject.Name}' can be trusted takes more work than a peer may cause", $"at the peer: send only the certificates of its own chain{At(question)}");

    public static PathFailure Expired(PathQuestion question, Certificate certificate) =>
        new(PathRule.Expired, certificate.Name, $"'{certificate.Name}' expired at {Time(certificate.NotAfter)}; it is {Time(question.Now)} here", $"at the peer: renew it; or here: correct the clock");

    public static PathFailure NotYetValid(PathQuestion question, Certificate certificate) =>
        new(PathRule.NotYetValid, certificate.Name, $"'{certificate.Name}' is valid from {Time(certificate.NotBefore)} on; it is {Time(question.Now)} here", $"here: correct the clock; or at the peer: use a certificate that is valid now");

    public static PathFailure NotAuthority(PathQuestion question, Certificate authority, Certificate issued) =>
        new(PathRule.NotAuthority, authority.Name, $"'{authority.Name}' issued '{issued.Name}' but is no authority: {(authority.Extensions.IsCa is null ? "it has no basic constraints" : "its basic constraints say CA:FALSE")}", $"at the peer: use a certificate that a certificate authority issued{At(question)}");

    public static PathFailure PathLength(PathQuestion question, Certificate authority) =>
        new(PathRule.PathLength, authority.Name, $"'{authority.Name}' is one authority more below another than that one's path length allows", $"at the peer: use a certificate that is issued higher up; or at the authority: raise the path length{At(question)}");

    public static PathFailure KeyUsage(PathQuestion question, Certificate certificate) =>
        new(PathRule.KeyUsage, certificate.Name, $"the key usage of '{certificate.Name}' has neither digitalSignature nor nonRepudiation", $"at the peer: {Replace(certificate, "one with key usage digitalSignature")}{At(question)}");

    public static PathFailure KeyCertSign(PathQuestion question, Certificate authority, Certificate issued) =>
        new(PathRule.KeyUsage, authority.Name, $"'{authority.Name}' issued '{issued.Name}', but its key usage has no keyCertSign", $"at the authority: issue '{authority.Name}' again with key usage keyCertSign{At(question)}");

    public static PathFailure Purpose(PathQuestion question, Certificate certificate) =>
        new(PathRule.ExtendedKeyUsage, certificate.Name, $"the extended key usage of '{certificate.Name}' has none of ipsecIKE, serverAuth, clientAuth and anyExtendedKeyUsage", $"at the peer: {Replace(certificate, "one without extended key usage, or with ipsecIKE in it")}{At(question)}");

    public static PathFailure Critical(PathQuestion question, Certificate certificate, Oid extension) =>
        new(PathRule.CriticalExtension, certificate.Name, $"'{certificate.Name}' has the critical extension {extension}, which is not known here", $"at the peer: {Replace(certificate, "one in which that extension is not critical")}{At(question)}");

    public static PathFailure Names(PathQuestion question, Certificate certificate, Certificate issuer, string why) =>
        new(PathRule.NameConstraints, certificate.Name, $"the name constraints above '{certificate.Name}' (issued by '{issuer.Name}') forbid it: {why}", $"at the peer: {Replace(certificate, "one with names that its authority may give")}{At(question)}");

    public static PathFailure Policies(PathQuestion question, Certificate certificate) => question.Remote.CertPolicies.IsEmpty
        ? new PathFailure(PathRule.CertificatePolicies, certificate.Name, $"an authority above '{certificate.Name}' asks for a certificate policy, and none is valid along the chain", $"at the peer: {Replace(certificate, "one that carries the policy")}")
        : new PathFailure(PathRule.CertificatePolicies, certificate.Name, $"the chain with '{certificate.Name}' has none of the certificate policies {string.Join(", ", question.Remote.CertPolicies)}", $"here: change {question.Settings}.cert_policy; or at the peer: {Replace(certificate, "one with such a policy")}");

    public static PathFailure WeakKey(PathQuestion question, Certificate certificate, PublicKey key, string why) =>
        new(PathRule.WeakKey, certificate.Name, $"the key of '{certificate.Name}' is {key}: {why}", $"at the peer: {Replace(certificate, "one with a stronger key")}; or here: take less in {question.Settings}.auth");

    public static PathFailure WeakSignature(PathQuestion question, Certificate certificate, SignatureScheme scheme, string why) =>
        new(PathRule.WeakSignature, certificate.Name, $"'{certificate.Name}' is signed by {scheme}: {why}", $"at the peer: {Replace(certificate, "one that is signed with SHA-256 or better")}; or here: name the hash in {question.Settings}.auth");

    public static PathFailure WrongCaId(PathQuestion question, Certificate certificate, Identity wanted) =>
        new(PathRule.Authority, certificate.Name, $"no authority above '{certificate.Name}' is '{Identities.Print(wanted)}'", $"here: change {question.Settings}.ca_id; or at the peer: use a certificate of that authority");

    public static PathFailure NotPinned(PathQuestion question, Certificate certificate) =>
        new(PathRule.Pinned, certificate.Name, $"'{certificate.Name}' is not the certificate that is configured for the peer", $"here: set {question.Settings}.certs to the peer's certificate; or at the peer: use the certificate that is configured here");

    public static PathFailure Identity(PathQuestion question, Certificate certificate, Identity identity) =>
        new(PathRule.Identity, certificate.Name, $"the peer calls itself '{Identities.Print(identity)}' ({identity.Type}), which its certificate does not say: it is for {NamesOf(certificate)}", $"at the peer: set its identity to one of these; or get a certificate with the subject alternative name {Identities.Print(identity)}{At(question)}");

    public static PathFailure IdentityType(PathQuestion question, Certificate certificate, Identity identity) =>
        new(PathRule.IdentityType, certificate.Name, $"an identity of type {identity.Type} cannot be proved by a certificate; '{certificate.Name}' is for {NamesOf(certificate)}", $"at the peer: set its identity to one of these{At(question)}");

    public static PathFailure Revoked(PathQuestion question, Certificate certificate, CrlEntry entry, string source) =>
        new(PathRule.Revoked, certificate.Name, $"'{certificate.Name}' was revoked at {Time(entry.Since)} ({ReasonOf(entry.Reason)}), says {source}", $"at the peer: get a new certificate{At(question)}");

    public static PathFailure RevocationUnknown(PathQuestion question, Certificate certificate, string why, bool isStale) =>
        new(isStale ? PathRule.RevocationStale : PathRule.RevocationUnknown, certificate.Name, $"whether '{certificate.Name}' was revoked cannot be found out: {why}", $"here: make the CRL or OCSP responder reachable, add crl_uris or ocsp_uris to its authority, or set {question.Settings}.revocation = relaxed");

    public static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    private static string Replace(Certificate certificate, string what) => certificate.IsCa ? $"use a chain in which '{certificate.Name}' is replaced by {what}" : $"use instead {what}";

    private static string At(PathQuestion question) => question.Remote.Certificates.IsEmpty ? "" : $" (pinned by {question.Settings}.certs)";

    private static string Trusted(PathQuestion question) => question.Authorities.IsEmpty ? "authorities { }" : $"{question.Settings}.cacerts";

    private static string Known(PathQuestion question)
    {
        var trusted = question.Authorities.IsEmpty ? question.Trust.Authorities : question.Authorities;
        if (trusted.IsEmpty) return "; no authority is trusted at all";
        return $"; trusted {(trusted.Length == 1 ? "is" : "are")} {string.Join(", ", trusted.Take(4).Select(authority => $"'{authority.Name}'"))}{(trusted.Length > 4 ? $" and {trusted.Length - 4} more" : "")}";
    }

    private static string NamesOf(Certificate certificate)
    {
        var names = certificate.Extensions.AlternativeNames.Take(8).Select(name => name.ToString());
        if (!certificate.Subject.IsEmpty) names = names.Prepend($"'{certificate.Subject}'");
        return string.Join(", ", names);
    }

    private static string ReasonOf(int reason) => reason switch
    {
        1 => "key compromise",
        2 => "CA compromise",
        3 => "affiliation changed",
        4 => "superseded",
        5 => "cessation of operation",
        CrlEntry.CertificateHold => "on hold",
        9 => "privilege withdrawn",
        10 => "attribute authority compromise",
        _ => "no reason given",
    };
}
