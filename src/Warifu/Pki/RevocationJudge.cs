using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Globalization;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Policy;

namespace Warifu.Pki;

/// <summary>
/// Whether a certificate of a good path was revoked: by OCSP (RFC 6960; what the peer sent along first, RFC 4806), else by CRLs (RFC 5280 section 6.3). SHA-1 is taken here even where it is not in certificates: to refuse a list is
/// to let in whom it names.
/// </summary>
internal sealed class RevocationJudge
{
    /// <summary>Clocks differ.</summary>
    private static readonly TimeSpan s_skew = TimeSpan.FromMinutes(5);

    /// <summary>A response without nextUpdate says that there is always a newer one (RFC 6960 section 2.4).</summary>
    private static readonly TimeSpan s_fresh = TimeSpan.FromMinutes(10);

    private const int MaxUris = 8, MaxSigners = 8;

    private readonly PathQuestion _question;
    private readonly IReadOnlyList<Certificate> _path;
    private readonly SignatureChecks _signatures;
    private readonly Func<Certificate, Certificate?> _anchorOf;

    private RevocationJudge(PathQuestion question, IReadOnlyList<Certificate> path, SignatureChecks signatures, Func<Certificate, Certificate?> anchorOf) =>
        (_question, _path, _signatures, _anchorOf) = (question, path, signatures, anchorOf);

    private enum State : byte
    {
        Unknown,
        Good,
        Revoked,
    }

    /// <param name="question">The question.</param>
    /// <param name="path">A path that is good in every other respect.</param>
    /// <param name="signatures">Budget.</param>
    /// <param name="anchorOf">Finds the trusted certificate that one is.</param>
    public static PathVerdict Check(PathQuestion question, IReadOnlyList<Certificate> path, SignatureChecks signatures, Func<Certificate, Certificate?> anchorOf) =>
        new RevocationJudge(question, path, signatures, anchorOf).Check();

    /// <summary>A pinned certificate whose issuer nobody knows: nobody can say anything about it.</summary>
    public static PathVerdict WithoutIssuer(PathQuestion question, Certificate certificate)
    {
        const string Why = "the certificate of its issuer is not known";
        var wants = question.Remote.Revocation == RevocationPolicy.Strict || (question.Remote.Revocation == RevocationPolicy.IfUri && NamesUris(question, certificate, null));
        return wants ? new PathVerdict.Bad(Failures.RevocationUnknown(question, certificate, Why, isStale: false)) : new PathVerdict.Good([certificate], []);
    }

    /// <summary>Name of the answer about this certificate in the cache.</summary>
    public static string ResponseKey(Certificate certificate, Certificate issuer) =>
        string.Create(CultureInfo.InvariantCulture, $"{Convert.ToHexStringLower(certificate.Serial.Span)}@{Convert.ToHexStringLower(SHA256.HashData(issuer.Spki.Span))}");

    /// <summary>A scheme that is fetched, within reason.</summary>
    public static bool IsHttp(string uri) => uri.Length <= 2048 && (uri.StartsWith("http://", StringComparison.OrdinalIgnoreCase) || uri.StartsWith("https://", StringComparison.OrdinalIgnoreCase));

    private PathVerdict Check()
    {
        var wishes = ImmutableArray.CreateBuilder<FetchWish>();
        var notes = ImmutableArray.CreateBuilder<string>();
        PathFailure? missing = null;
        for (var i = _path.Count - 2; i >= 0; i--)
        {
            var finding = new Finding();
            Look(i, finding);
            if (finding.State == State.Revoked) return new PathVerdict.Bad(Failures.Revoked(_question, _path[i], finding.Entry, finding.Source));
            if (finding.Wish is { } wish) wishes.Add(wish);
            if (finding.State == State.Good || finding.Wish is not null) continue;
            var names = NamesUris(_question, _path[i], _path[i + 1]);
            var why = finding.Why.Length > 0 ? finding.Why : names ? "nothing of what it names for that can be fetched by HTTP" : "neither the certificate nor its authority says whom to ask";
            var wants = _question.Remote.Revocation == RevocationPolicy.Strict || (_question.Remote.Revocation == RevocationPolicy.IfUri && names);
            if (wants) missing ??= Failures.RevocationUnknown(_question, _path[i], why, finding.IsStale);
            else if (finding.Why.Length > 0) notes.Add($"whether '{_path[i].Name}' was revoked is not known: {why}");
        }

        if (missing is not null) return new PathVerdict.Bad(missing);
        return wishes.Count > 0 ? new PathVerdict.Needs(wishes.ToImmutable()) : new PathVerdict.Good([.. _path], notes.ToImmutable());
    }

    private void Look(int index, Finding finding)
    {
        var (certificate, issuer) = (_path[index], _path[index + 1]);
        LookAtResponses(certificate, issuer, finding);
        if (finding.State != State.Unknown) return;
        var wish = OcspWish(certificate, issuer, finding);
        // what costs nothing comes before what must be fetched
        LookAtLists(index, finding);
        if (finding.State != State.Unknown) return;
        finding.Wish = wish ?? CrlWish(CrlUris(certificate, issuer), issuer, finding);
    }

    // OCSP

    private void LookAtResponses(Certificate certificate, Certificate issuer, Finding finding)
    {
        var known = _question.Known?.ResponseTo(ResponseKey(certificate, issuer));
        foreach (var response in known is null ? _question.Responses.AsEnumerable() : _question.Responses.Prepend(known))
        {
            if (response.Find(certificate, issuer) is not { } answer) continue;
            if (!IsAuthentic(response, issuer, out var why))
            {
                finding.Say(why);
                continue;
            }

            var isFresh = IsFresh(answer, out why);
            switch (answer.Status)
            {
                case OcspStatus.Revoked when isFresh || answer.Revocation.Reason != CrlEntry.CertificateHold:
                    finding.Revoke(answer.Revocation, "its OCSP responder");
                    return;
                case OcspStatus.Good when isFresh:
                    finding.State = State.Good;
                    return;
                case OcspStatus.Unknown:
                    finding.Say("its OCSP responder does not know it");
                    break;
                default:
                    finding.Say(why, isStale: true);
                    break;
            }
        }
    }

    private bool IsFresh(OcspAnswer answer, out string why)
    {
        why = "";
        if (answer.ThisUpdate > _question.Now + s_skew) why = $"the OCSP response is from the future ({Failures.Time(answer.ThisUpdate)})";
        else if (answer.NextUpdate is { } next && next < _question.Now) why = $"the OCSP response was good until {Failures.Time(next)}";
        else if (answer.NextUpdate is null && answer.ThisUpdate + s_fresh < _question.Now) why = $"the OCSP response is of {Failures.Time(answer.ThisUpdate)} and does not say how long it is good for";
        return why.Length == 0;
    }

    /// <summary>Signed by the issuer, or by a responder to whom the issuer itself gave a certificate for that (RFC 6960 section 4.2.2.2).</summary>
    private bool IsAuthentic(OcspResponse response, Certificate issuer, out string why)
    {
        why = "";
        if (response.Names(issuer) && IsSignedBy(response, issuer)) return true;
        foreach (var responder in response.Certificates)
        {
            if (!response.Names(responder) || !responder.Issuer.Equals(issuer.Subject)) continue;
            var extensions = responder.Extensions;
            // delegation is only this, never "any purpose": else every certificate of the authority could speak for it
            if (extensions.Purposes is not { } purposes || !purposes.Any(purpose => purpose.Is(Oids.OcspSigning))) why = $"the OCSP responder '{responder.Name}' has no certificate for signing responses";
            else if (_question.Now < responder.NotBefore || _question.Now > responder.NotAfter) why = $"the certificate of the OCSP responder '{responder.Name}' is not valid now";
            else if (extensions.UnknownCritical.Length > 0 || (extensions.KeyUsage is { } uses && (uses & (KeyUses.DigitalSignature | KeyUses.NonRepudiation)) == 0)) why = $"the certificate of the OCSP responder '{responder.Name}' cannot be used for that";
            else if (!_signatures.Check(responder, issuer)) why = $"the OCSP responder '{responder.Name}' was not appointed by '{issuer.Name}'";
            else if (IsKnownRevoked(responder, issuer)) why = $"the certificate of the OCSP responder '{responder.Name}' was revoked";
            else if (IsSignedBy(response, responder)) return true;
        }

        if (why.Length == 0) why = $"the OCSP response is not signed by '{issuer.Name}' nor by a responder that it appointed";
        return false;
    }

    private bool IsSignedBy(OcspResponse response, Certificate signer) => signer.Key is { } key && (response.IsVerified || _signatures.TrySpend()) && response.IsSignedBy(key);

    /// <summary>By a list that is here already: nothing is fetched about a responder.</summary>
    private bool IsKnownRevoked(Certificate responder, Certificate issuer) =>
        ListsOf(issuer).Any(crl => !crl.IsIndirect && !crl.HasUnknownCritical && crl.TryFind(responder.Serial, out var entry) && entry.Reason != CrlEntry.RemoveFromCrl && IsSignedByIssuer(crl, issuer));

    private FetchWish? OcspWish(Certificate certificate, Certificate issuer, Finding finding)
    {
        foreach (var uri in OcspUris(certificate, issuer).Take(MaxUris))
        {
            var key = $"ocsp {uri} {ResponseKey(certificate, issuer)}";
            if (IsTried(key, uri, finding)) continue;
            return new FetchWish(uri, DocumentKind.Ocsp, [.. OcspRequest.Build(certificate, issuer, _question.Nonce.AsSpan())], _question.Nonce) { Key = key, About = ResponseKey(certificate, issuer) };
        }

        return null;
    }

    // CRLs

    /// <summary>Section 6.3.3.</summary>
    private void LookAtLists(int index, Finding finding)
    {
        var (certificate, issuer) = (_path[index], _path[index + 1]);
        var covered = 0;
        foreach (var crl in ListsOf(issuer).Where(crl => !crl.IsDelta).OrderByDescending(crl => crl.ThisUpdate))
        {
            var reasons = Covers(crl, certificate, finding);
            if ((reasons & ~covered) == 0) continue;
            if (SignerOf(crl, index) is not { } signer)
            {
                finding.Say($"the CRL of {Failures.Time(crl.ThisUpdate)} is not signed by '{issuer.Name}'");
                continue;
            }

            var delta = DeltaOf(crl, signer);
            var isFresh = IsFresh(crl, finding) || delta is not null;
            if (EntryOf(certificate, crl, delta) is { } entry && (isFresh || entry.Reason != CrlEntry.CertificateHold))
            {
                finding.Revoke(entry, $"the CRL of '{issuer.Name}' of {Failures.Time(delta?.ThisUpdate ?? crl.ThisUpdate)}");
                return;
            }

            if (!isFresh) continue;
            // the newest word, if there is one; the complete list is good without it
            if (delta is null) finding.Wish ??= CrlWish(Uris(certificate.Extensions.DeltaPoints.Concat(crl.DeltaPoints)), issuer, new Finding());
            covered |= reasons;
        }

        if (covered == CrlReasons.All) finding.State = State.Good;
        else if (covered != 0) finding.Say("the CRLs that are known do not cover all reasons of revocation");
        if (finding.State == State.Unknown) finding.Wish = null;
    }

    private IEnumerable<Crl> ListsOf(Certificate issuer) => _question.Trust.CrlsOf(issuer.Subject).Concat(_question.Crls.Where(crl => crl.Issuer.Equals(issuer.Subject))).Concat(_question.Known?.CrlsOf(issuer.Subject) ?? []);

    /// <summary>Reasons that this list covers for this certificate; zero: it is not about it (steps b and d).</summary>
    private static int Covers(Crl crl, Certificate certificate, Finding finding)
    {
        if (crl.IsIndirect)
        {
            finding.Say("its CRL is an indirect one, which is not supported");
            return 0;
        }

        if (crl.HasUnknownCritical)
        {
            finding.Say("its CRL has a critical extension that is not known here");
            return 0;
        }

        if (crl.OnlyAttributes || (crl.OnlyUsers && certificate.IsCa) || (crl.OnlyAuthorities && !certificate.IsCa)) return 0;
        if (crl.PointNames.IsEmpty) return crl.Reasons;
        var reasons = 0;
        foreach (var point in certificate.Extensions.CrlPoints)
        {
            if (point.Issuers.IsEmpty && point.Names.Any(crl.PointNames.Contains)) reasons |= point.Reasons & crl.Reasons;
        }

        // a list beside all distribution points is one for the issuer's name
        if (crl.PointNames.Any(name => name.Directory is { } directory && directory.Equals(certificate.Issuer))) reasons |= crl.Reasons;
        if (reasons == 0) finding.Say("the CRL is of another distribution point");
        return reasons;
    }

    private bool IsFresh(Crl crl, Finding finding)
    {
        if (crl.ThisUpdate > _question.Now + s_skew) finding.Say($"its CRL is from the future ({Failures.Time(crl.ThisUpdate)})", isStale: true);
        else if (crl.NextUpdate is not { } next) finding.Say("its CRL does not say when the next one comes", isStale: true);
        else if (next < _question.Now) finding.Say($"its CRL was good until {Failures.Time(next)}", isStale: true);
        else return true;
        return false;
    }

    /// <summary>A delta that makes this list newer (section 5.2.4).</summary>
    private Crl? DeltaOf(Crl crl, Certificate signer)
    {
        if (crl.Number.IsEmpty) return null;
        return ListsOf(signer).Where(delta => delta.IsDelta && !delta.IsIndirect && !delta.HasUnknownCritical && !delta.Number.IsEmpty)
            .Where(delta => delta.Scope.Span.SequenceEqual(crl.Scope.Span) && delta.AuthorityKeyId.Span.SequenceEqual(crl.AuthorityKeyId.Span))
            .Where(delta => Crl.IsAtLeast(crl.Number, delta.Base) && Crl.IsAtLeast(delta.Number, crl.Number))
            .Where(delta => delta.ThisUpdate <= _question.Now + s_skew && delta.NextUpdate is { } next && next >= _question.Now)
            .OrderByDescending(delta => delta.ThisUpdate)
            .FirstOrDefault(delta => IsSignedByIssuer(delta, signer));
    }

    private static CrlEntry? EntryOf(Certificate certificate, Crl crl, Crl? delta)
    {
        if (delta is not null && delta.TryFind(certificate.Serial, out var entry)) return entry.Reason == CrlEntry.RemoveFromCrl ? null : entry;
        return crl.TryFind(certificate.Serial, out entry) && entry.Reason != CrlEntry.RemoveFromCrl ? entry : null;
    }

    /// <summary>
    /// Who signed it: the issuer itself; or another certificate of the same name, below the same trusted authority (step f): one that the issuer's own issuer gave it for CRLs, or that it gave itself when it changed its key.
    /// </summary>
    private Certificate? SignerOf(Crl crl, int index)
    {
        var issuer = _path[index + 1];
        if (IsSignedByIssuer(crl, issuer)) return issuer;
        var above = index + 2 < _path.Count ? _path[index + 2] : issuer;
        foreach (var other in NamesakesOf(issuer))
        {
            if (other.Equals(issuer) || other.Equals(_path[index]) || _question.Now < other.NotBefore || _question.Now > other.NotAfter || other.Extensions.UnknownCritical.Length > 0) continue;
            var isVouchedFor = _anchorOf(other) is not null || (other.Issuer.Equals(above.Subject) && _signatures.Check(other, above)) || (other.Issuer.Equals(issuer.Subject) && _signatures.Check(other, issuer));
            if (isVouchedFor && IsSignedByIssuer(crl, other)) return other;
        }

        return null;
    }

    private bool IsSignedByIssuer(Crl crl, Certificate signer)
    {
        if (signer.Key is not { } key || (signer.Extensions.KeyUsage is { } uses && (uses & KeyUses.CrlSign) == 0)) return false;
        if (!crl.AuthorityKeyId.IsEmpty && !signer.Extensions.SubjectKeyId.IsEmpty && !crl.AuthorityKeyId.Span.SequenceEqual(signer.Extensions.SubjectKeyId.Span)) return false;
        return (crl.IsVerified || _signatures.TrySpend()) && crl.IsSignedBy(key);
    }

    /// <summary>Other certificates of the same name, whoever gave them.</summary>
    private IEnumerable<Certificate> NamesakesOf(Certificate issuer) =>
        _question.Trust.AuthoritiesOf(issuer.Subject).Concat(_question.Trust.IntermediatesOf(issuer.Subject)).Concat(_question.Offered.Take(PathJudge.MaxOffered).Where(offered => offered.Subject.Equals(issuer.Subject)));

    private FetchWish? CrlWish(IEnumerable<string> uris, Certificate issuer, Finding finding)
    {
        foreach (var uri in uris.Take(MaxUris))
        {
            if (IsTried(uri, uri, finding)) continue;
            // whom of them to believe is judged later
            return new FetchWish(uri, DocumentKind.Crl, [], []) { Signers = [.. NamesakesOf(issuer).Prepend(issuer).Distinct().Take(MaxSigners).Select(signer => signer.Spki)] };
        }

        return null;
    }

    // where to ask

    private bool IsTried(string key, string uri, Finding finding)
    {
        if (!_question.Tried.TryGetValue(key, out var outcome)) return false;
        if (outcome.Length > 0) finding.Say($"{GeneralName.Short(uri)}: {outcome}");
        return true;
    }

    private IEnumerable<string> OcspUris(Certificate certificate, Certificate issuer) =>
        (_question.Trust.SettingsOf(issuer)?.OcspUris ?? []).Concat(certificate.Extensions.OcspUris).Where(IsHttp).Distinct();

    /// <summary>Files only where the configuration names them: a certificate must not make us open one.</summary>
    private IEnumerable<string> CrlUris(Certificate certificate, Certificate issuer) =>
        (_question.Trust.SettingsOf(issuer)?.CrlUris ?? []).Where(uri => IsHttp(uri) || uri.StartsWith("file://", StringComparison.OrdinalIgnoreCase)).Concat(Uris(certificate.Extensions.CrlPoints)).Distinct();

    private static IEnumerable<string> Uris(IEnumerable<DistributionPoint> points) =>
        points.Where(point => point.Issuers.IsEmpty).SelectMany(point => point.Names).Where(name => name.Kind == GeneralNameKind.Uri && IsHttp(name.Text)).Select(name => name.Text).Distinct();

    private static bool NamesUris(PathQuestion question, Certificate certificate, Certificate? issuer) =>
        certificate.Extensions.CrlPoints.Length > 0 || certificate.Extensions.OcspUris.Length > 0 || (issuer is not null && question.Trust.SettingsOf(issuer) is { } settings && settings.CrlUris.Length + settings.OcspUris.Length > 0);

    /// <summary>What was found out about one certificate.</summary>
    private sealed class Finding
    {
        public State State { get; set; }

        public CrlEntry Entry { get; private set; }

        public string Source { get; private set; } = "";

        public string Why { get; private set; } = "";

        public bool IsStale { get; private set; }

        public FetchWish? Wish { get; set; }

        public void Revoke(CrlEntry entry, string source) => (State, Entry, Source, Wish) = (State.Revoked, entry, source, null);

        public void Say(string why, bool isStale = false)
        {
            if (Why.Contains(why, StringComparison.Ordinal)) return;
            (Why, IsStale) = (Why.Length == 0 ? why : $"{Why}; {why}", IsStale || isStale);
        }
    }
}
