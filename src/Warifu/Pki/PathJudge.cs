using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;

namespace Warifu.Pki;

/// <summary>
/// Builds the path from a peer's certificate to a trusted authority and judges it (RFC 5280 section 6, RFC 4945). Deterministic and offline: time, lists and responses come with the question, and what is missing goes out as a wish,
/// but only for a path that is good in every other respect. Signatures are checked from the trusted authority down, so that no key is used that nobody vouches for, and the work is bounded whatever a peer sends.
/// </summary>
internal static class PathJudge
{
    /// <summary>Certificates of a path, the peer's and the trusted one included.</summary>
    public const int MaxLength = 8;

    /// <summary>Certificates that a peer may offer; more are left out.</summary>
    public const int MaxOffered = 32;

    /// <summary>Signature checks of one judgement.</summary>
    public const int MaxSignatures = 48;

    /// <summary>Issuers tried while paths are built: names only, nothing is computed.</summary>
    public const int MaxSteps = 1024;

    public static PathVerdict Judge(PathQuestion question) => question.Offered.IsEmpty
        ? new PathVerdict.Bad(Failures.NoCertificate(question))
        : new Search(question).Run();

    /// <summary>Depth first over names and key identifiers.</summary>
    private sealed class Search(PathQuestion question)
    {
        private readonly Certificate _subject = question.Offered[0];
        private readonly ImmutableArray<Certificate> _offered = [.. question.Offered.Take(MaxOffered).Skip(1).Distinct()];
        private readonly List<Certificate> _path = [];
        private readonly Dictionary<Certificate, Certificate[]> _issuers = new(ReferenceEqualityComparer.Instance);
        private readonly SignatureChecks _signatures = new(MaxSignatures);
        private int _steps = MaxSteps;
        private (int Rank, int Length, PathFailure Failure) _worst = (-1, 0, null!);
        private PathVerdict? _verdict;

        public PathVerdict Run()
        {
            if (Pinned() is { } refused) return new PathVerdict.Bad(refused);
            _path.Add(_subject);
            Extend(_subject);
            if (_verdict is not null) return _verdict;
            // a certificate that is configured as the peer's own needs no authority
            if (_worst.Rank <= 1 && !question.Remote.Certificates.IsEmpty) return PinnedAlone();
            if (_steps <= 0 || _signatures.IsExhausted) Note(3, Failures.TooComplex(question, _subject));
            return new PathVerdict.Bad(_worst.Failure);
        }

        /// <summary>True when the search is over.</summary>
        private bool Extend(Certificate top)
        {
            // of the peer's own certificate only the trusted one itself will do: the names of another one nobody vouches for
            if (AnchorOf(top) is { } anchor && (_path.Count > 1 || anchor.Equals(top)))
            {
                _path[^1] = anchor;
                var isOver = Complete();
                _path[^1] = top;
                return isOver;
            }

            var isDeadEnd = true;
            if (!_issuers.TryGetValue(top, out var issuers)) _issuers.Add(top, issuers = IssuersOf(top));
            foreach (var issuer in issuers)
            {
                if (_steps-- <= 0) return true;
                if (_path.Exists(issuer.IsTwinOf) || _signatures.IsKnownBad(top, issuer)) continue;
                if (_path.Count == MaxLength)
                {
                    Note(0, Failures.TooLong(question, _subject, MaxLength));
                    return false;
                }

                isDeadEnd = false;
                _path.Add(issuer);
                if (Extend(issuer)) return true;
                _path.RemoveAt(_path.Count - 1);
            }

            if (isDeadEnd) Note(0, Failures.NoAnchor(question, _path, isLoop: issuers.Length > 0));
            return false;
        }

        private bool Complete()
        {
            for (var i = _path.Count - 2; i >= 0; i--)
            {
                if (_signatures.Check(_path[i], _path[i + 1])) continue;
                if (_signatures.IsExhausted) return true;
                Note(1, _path[i].IsSelfIssued ? Failures.Impostor(question, _path[i]) : Failures.Signature(question, _path[i], _path[i + 1]));
                return false;
            }

            if (PathValidation.Check(question, _path) is { } broken)
            {
                Note(2, broken);
                return false;
            }

            switch (RevocationJudge.Check(question, _path, _signatures, AnchorOf))
            {
                case PathVerdict.Bad bad:
                    Note(4, bad.Failure);
                    return false;
                case var verdict:
                    _verdict = verdict;
                    return true;
            }
        }

        /// <summary>The trusted certificate that this one is, or is another certificate of.</summary>
        private Certificate? AnchorOf(Certificate certificate)
        {
            var trusted = question.Authorities.IsEmpty ? question.Trust.AuthoritiesOf(certificate.Subject) : question.Authorities;
            Certificate? found = null;
            foreach (var authority in trusted)
            {
                if (certificate.IsTwinOf(authority) && (found is null || !IsValidNow(found))) found = authority;
            }

            return found;
        }

        private bool IsValidNow(Certificate certificate) => certificate.NotBefore <= question.Now && question.Now <= certificate.NotAfter;

        /// <summary>Certificates with the issuer's name: first those whose key identifier fits, then trusted ones, then those that are valid now.</summary>
        private Certificate[] IssuersOf(Certificate certificate)
        {
            var wanted = certificate.Extensions.AuthorityKeyId;
            var anchors = question.Authorities.IsEmpty ? question.Trust.AuthoritiesOf(certificate.Issuer) : question.Authorities.Where(authority => authority.Subject.Equals(certificate.Issuer));
            var trusted = anchors.ToHashSet();
            IEnumerable<Certificate> known = [.. trusted, .. question.Trust.IntermediatesOf(certificate.Issuer), .. question.Authorities.IsEmpty ? [] : question.Trust.AuthoritiesOf(certificate.Issuer)];
            return known.Concat(_offered.Where(offered => offered.Subject.Equals(certificate.Issuer))).Distinct()
                .OrderBy(issuer => KeyIdDistance(wanted, issuer.Extensions.SubjectKeyId))
                .ThenBy(issuer => trusted.Contains(issuer) ? 0 : 1)
                .ThenBy(issuer => IsValidNow(issuer) ? 0 : 1)
                .ToArray();
        }

        private static int KeyIdDistance(ReadOnlyMemory<byte> wanted, ReadOnlyMemory<byte> given) =>
            wanted.IsEmpty || given.IsEmpty ? 1 : wanted.Span.SequenceEqual(given.Span) ? 0 : 2;

        /// <summary>The most telling failure is kept: the one that came furthest, and there the first one, or the longest way.</summary>
        private void Note(int rank, PathFailure failure)
        {
            if (rank > _worst.Rank || (rank == 0 && _worst.Rank == 0 && _path.Count > _worst.Length)) _worst = (rank, _path.Count, failure);
        }

        private PathFailure? Pinned() =>
            question.Remote.Certificates.IsEmpty || question.Remote.Certificates.Any(der => der.AsSpan().SequenceEqual(_subject.Der.Span)) ? null : Failures.NotPinned(question, _subject);

        private PathVerdict PinnedAlone()
        {
            if (PathValidation.CheckSubject(question, _subject) is { } broken) return new PathVerdict.Bad(broken);
            return RevocationJudge.WithoutIssuer(question, _subject);
        }
    }
}

/// <summary>Signatures that were checked in one judgement: each pair once, and not more than so many.</summary>
internal sealed class SignatureChecks(int limit)
{
    private readonly Dictionary<(Certificate, Certificate), bool> _known = [];
    private int _left = limit;

    public bool IsExhausted => _left < 0;

    public bool IsKnownBad(Certificate certificate, Certificate issuer) => _known.TryGetValue((certificate, issuer), out var good) && !good;

    public bool Check(Certificate certificate, Certificate issuer)
    {
        if (_known.TryGetValue((certificate, issuer), out var good)) return good;
        if (!TrySpend()) return false;
        good = issuer.Key is { } key && certificate.Scheme is { } scheme && key.Verify(scheme, certificate.Tbs.Span, certificate.Signature.Span);
        _known.Add((certificate, issuer), good);
        return good;
    }

    /// <summary>One more check is affordable.</summary>
    public bool TrySpend() => _left-- > 0;
}
