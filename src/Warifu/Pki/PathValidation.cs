using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto.Signatures;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Pki;

/// <summary>The rules of a path whose signatures are right: RFC 5280 section 6.1, RFC 4945, and what the connection asks for.</summary>
internal static class PathValidation
{
    /// <summary>RSA keys below it are refused unless the configuration names a smaller strength (NIST SP 800-57: 112 bits of security).</summary>
    public const int LeastRsaBits = 2048;

    /// <param name="question">The question.</param>
    /// <param name="path">From the peer's certificate to the trusted one.</param>
    /// <returns>The first rule that is broken, from the trusted one down; null: all are kept.</returns>
    public static PathFailure? Check(PathQuestion question, IReadOnlyList<Certificate> path)
    {
        var names = new NameRules();
        var policies = new PolicyGraph(path.Count - 1, Wanted(question.Remote));
        var room = MaxPath;
        for (var i = path.Count - 1; i >= 1; i--)
        {
            var isAnchor = i == path.Count - 1;
            if (CheckAuthority(question, path, i, ref room) is { } broken) return broken;
            if (isAnchor) policies.Begin(path[i]);
            else if (CheckNames(question, path[i], path[i + 1], names, isLast: false) is { } misnamed) return misnamed;
            else if (!policies.Take(path[i], isLast: false)) return Failures.Policies(question, path[i]);
            if (path[i].Extensions.NameConstraints is { } subtrees) names.Add(subtrees);
        }

        var subject = path[0];
        if (path.Count > 1 && CheckNames(question, subject, path[1], names, isLast: true) is { } excluded) return excluded;
        if ((path.Count > 1 || question.Remote.CertPolicies.Length > 0) && !policies.Take(subject, isLast: true)) return Failures.Policies(question, subject);

        if (CheckSubject(question, subject) is { } refused) return refused;
        if (CheckStrength(question, path) is { } weak) return weak;
        return question.Remote.CaId is { } wanted && !path.Skip(1).Any(authority => IsNamed(authority, wanted)) ? Failures.WrongCaId(question, subject, wanted) : null;
    }

    /// <summary>What the peer's own certificate must be, whoever issued it.</summary>
    public static PathFailure? CheckSubject(PathQuestion question, Certificate subject)
    {
        if (CheckDates(question, subject) is { } outdated) return outdated;
        if (subject.Extensions.UnknownCritical is [var unknown, ..]) return Failures.Critical(question, subject, unknown);
        if (subject.Key is not { } key) return Failures.UnknownKey(question, subject);
        // RFC 4945 section 5.1.3.2
        if (subject.Extensions.KeyUsage is { } uses && (uses & (KeyUses.DigitalSignature | KeyUses.NonRepudiation)) == 0) return Failures.KeyUsage(question, subject);
        if (!IsForIke(subject)) return Failures.Purpose(question, subject);
        if (CheckKey(question, subject, key, isPeer: true) is { } weak) return weak;
        if (!question.Remote.Constraints.AllowsIkeKey(key)) return Failures.WeakKey(question, subject, key, $"auth = {question.Remote.Constraints} does not take it");
        return IdentityRules.Check(question, subject);
    }

    /// <summary>Any purpose when none is named; else IKE, everything, or the purposes that gateways and clients of TLS have, since that is what most certificates for VPNs carry (RFC 4945 section 5.1.3.12 takes the first two).</summary>
    private static bool IsForIke(Certificate certificate) => certificate.Extensions.Purposes is not { } purposes
        || purposes.Any(purpose => purpose.Is(Oids.IpsecIke) || purpose.Is(Oids.AnyExtendedKeyUsage) || purpose.Is(Oids.ServerAuth) || purpose.Is(Oids.ClientAuth) || purpose.Is(Oids.IkeIntermediate));

    /// <summary>Room below the trusted authority when nobody limits it.</summary>
    private const int MaxPath = 255;

    /// <summary>Section 6.1.4 (k) to (o) for path[index], which issued path[index - 1].</summary>
    private static PathFailure? CheckAuthority(PathQuestion question, IReadOnlyList<Certificate> path, int index, ref int room)
    {
        var authority = path[index];
        var isAnchor = index == path.Count - 1;
        if (CheckDates(question, authority) is { } outdated) return outdated;
        // RFC 4945 section 5.1.3.9: no CA without basic constraints, not even of version 1
        if (!authority.IsCa) return Failures.NotAuthority(question, authority, path[index - 1]);
        if (!isAnchor && !authority.IsSelfIssued)
        {
            if (room <= 0) return Failures.PathLength(question, authority);
            room--;
        }

        if (authority.Extensions.PathLength is { } length && length < room) room = length;
        if (authority.Extensions.KeyUsage is { } uses && (uses & KeyUses.KeyCertSign) == 0) return Failures.KeyCertSign(question, authority, path[index - 1]);
        if (authority.Extensions.UnknownCritical is [var unknown, ..]) return Failures.Critical(question, authority, unknown);
        return isAnchor || IsForIke(authority) ? null : Failures.Purpose(question, authority);
    }

    /// <summary>Section 6.1.3 (b) and (c).</summary>
    private static PathFailure? CheckNames(PathQuestion question, Certificate certificate, Certificate issuer, NameRules names, bool isLast)
    {
        if (certificate.IsSelfIssued && !isLast) return null;
        return names.Check(certificate) is { } why ? Failures.Names(question, certificate, issuer, why) : null;
    }

    private static PathFailure? CheckDates(PathQuestion question, Certificate certificate)
    {
        if (question.Now < certificate.NotBefore) return Failures.NotYetValid(question, certificate);
        return question.Now > certificate.NotAfter ? Failures.Expired(question, certificate) : null;
    }

    /// <summary>Every key of the path, and every signature but the one that the trusted authority gave to itself.</summary>
    private static PathFailure? CheckStrength(PathQuestion question, IReadOnlyList<Certificate> path)
    {
        for (var i = path.Count - 1; i >= 0; i--)
        {
            var certificate = path[i];
            if (certificate.Key is not { } key) return Failures.UnknownKey(question, certificate);
            if (CheckKey(question, certificate, key, isPeer: i == 0) is { } weak) return weak;
            if (i == path.Count - 1) continue;
            if (certificate.Scheme is not { } scheme) return Failures.UnknownSignature(question, certificate);
            if (scheme.Hash == HashId.Sha1 && !question.Remote.Constraints.Chain.Any(rule => rule.Hashes.Contains(HashId.Sha1))) return Failures.WeakSignature(question, certificate, scheme, "SHA-1 is broken");
            if (!question.Remote.Constraints.AllowsChain(scheme)) return Failures.WeakSignature(question, certificate, scheme, $"auth = {question.Remote.Constraints} does not take it");
        }

        return null;
    }

    private static PathFailure? CheckKey(PathQuestion question, Certificate certificate, PublicKey key, bool isPeer)
    {
        var constraints = question.Remote.Constraints;
        if (!constraints.AllowsChainKey(key)) return Failures.WeakKey(question, certificate, key, $"auth = {constraints} asks for more");
        if (key.Kind == PublicKeyKind.Rsa && key.Bits < LeastRsaBits && !constraints.NamesKey(key, isPeer)) return Failures.WeakKey(question, certificate, key, $"RSA keys need {LeastRsaBits} bits");
        if (key.Kind == PublicKeyKind.Dsa && !constraints.NamesKey(key, isPeer)) return Failures.WeakKey(question, certificate, key, "DSA is not taken unless it is configured");
        return null;
    }

    private static bool IsNamed(Certificate authority, Identity wanted) => wanted.Type == IdType.DerAsn1Dn && X509Name.TryParse(wanted.Data.AsMemory(), out var name) && name!.Equals(authority.Subject);

    private static ImmutableArray<Oid> Wanted(RemoteAuth remote)
    {
        var wanted = ImmutableArray.CreateBuilder<Oid>();
        foreach (var text in remote.CertPolicies)
        {
            // one that cannot be read is one that no certificate has
            wanted.Add(Oid.TryParse(text, out var policy) ? policy : Oid.Of([0x7F]));
        }

        return wanted.ToImmutable();
    }
}

/// <summary>The identity must be in the certificate (RFC 4945 section 3.1): octet by octet or letter by letter, without wildcards, and never by the common name.</summary>
internal static class IdentityRules
{
    private static readonly RemoteAuth s_anybody = new();

    /// <summary>The identity stands in the certificate (RFC 4945).</summary>
    public static bool Carries(Certificate certificate, Identity identity) =>
        Check(new PathQuestion { Offered = [certificate], Trust = TrustStore.Empty, Remote = s_anybody, Identity = identity, Now = certificate.NotBefore }, certificate) is null;

    public static PathFailure? Check(PathQuestion question, Certificate certificate)
    {
        if (question.Identity is not { } identity) return null;
        switch (identity.Type)
        {
            case IdType.DerAsn1Dn:
                if (X509Name.TryParse(identity.Data.AsMemory(), out var name) && !name!.IsEmpty && name.Equals(certificate.Subject)) return null;
                break;
            case IdType.Ipv4Addr or IdType.Ipv6Addr:
                if (Has(certificate, GeneralNameKind.Address, value => value.SequenceEqual(identity.Data.AsSpan()))) return null;
                break;
            case IdType.Fqdn:
                // a wildcard in a certificate names nobody (RFC 4945 section 5.1.3.6.1)
                if (!identity.Data.Contains((byte)'*') && Has(certificate, GeneralNameKind.Dns, value => Ascii(value, identity.Data.AsSpan()))) return null;
                break;
            case IdType.Rfc822Addr:
                if (Has(certificate, GeneralNameKind.Mail, value => Ascii(value, identity.Data.AsSpan()))) return null;
                break;
            case IdType.DerAsn1Gn:
                if (certificate.Extensions.AlternativeNames.Any(known => known.Encoded.Span.SequenceEqual(identity.Data.AsSpan()))) return null;
                break;
            default:
                return Failures.IdentityType(question, certificate, identity);
        }

        return Failures.Identity(question, certificate, identity);
    }

    private delegate bool Test(ReadOnlySpan<byte> value);

    private static bool Has(Certificate certificate, GeneralNameKind kind, Test test)
    {
        foreach (var name in certificate.Extensions.AlternativeNames)
        {
            if (name.Kind == kind && test(name.Value.Span)) return true;
        }

        return false;
    }

    private static bool Ascii(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right) => !left.IsEmpty && System.Text.Ascii.EqualsIgnoreCase(left, right);
}
