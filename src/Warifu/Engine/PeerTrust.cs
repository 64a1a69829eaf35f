using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>
/// Whether a peer's certificate is trusted and carries its identity: asks the host for the time and for what <see cref="PathJudge"/> wants to see, until there is a verdict. Call it after AUTH was found right with the certificate's
/// key: then nobody makes us fetch anything by showing somebody else's certificate.
/// </summary>
internal static class PeerTrust
{
    /// <param name="sa">Waits for it; when it is closed, nothing more happens.</param>
    /// <param name="remote">What the connection asks for, of this round.</param>
    /// <param name="offered">What the peer sent.</param>
    /// <param name="identity">What the peer calls itself.</param>
    /// <param name="then">Gets <see cref="PathVerdict.Good"/> or <see cref="PathVerdict.Bad"/>, once.</param>
    public static void Decide(IAsker sa, RemoteAuth remote, PeerCertificates offered, Identity identity, Action<PathVerdict> then) =>
        sa.Engine.Ask(sa, new Ask.WallTime(), answer =>
        {
            if (answer is Answer.WallTime time) new Decision(sa, remote, offered, identity, time.Time, then).Begin();
            else then(new PathVerdict.Bad(new PathFailure(PathRule.NotYetValid, "", "the host does not know what time it is", "here: set the clock")));
        });

    /// <summary>Gets what the peer named by hash and URL (RFC 7296 section 3.6), where that is allowed; then all there is lies in <paramref name="offered"/>.</summary>
    public static void Resolve(IAsker sa, PeerCertificates offered, Action then)
    {
        var references = offered.References.ToArray();
        if (!sa.Engine.Options.HashAndUrl)
        {
            foreach (var reference in references) offered.Forget(reference, "hash and URL is off (hash_and_url = no)");
        }

        if (offered.References.Count == 0)
        {
            then();
            return;
        }

        var waiting = references.Length;
        foreach (var reference in references)
        {
            sa.Engine.Ask(sa, new Ask.Fetch(reference.Uri, reference.IsBundle ? DocumentKind.Bundle : DocumentKind.Certificate, []), answer =>
            {
                if (answer is Answer.Document document) offered.Add(reference, document.Content);
                else offered.Forget(reference, answer is Answer.Failed failed ? failed.Why : "nothing came");
                if (--waiting == 0) then();
            });
        }
    }

    private sealed class Decision(IAsker sa, RemoteAuth remote, PeerCertificates offered, Identity identity, DateTimeOffset now, Action<PathVerdict> then)
    {
        /// <summary>The peer sends its request again all the while, and gives up after a minute or two.</summary>
        private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

        private readonly Instant _started = sa.Engine.Now;
        private readonly Dictionary<string, string> _tried = [];
        private TrustState Trust => sa.Engine.Trust;

        public void Begin() => Resolve(sa, offered, () => Step(Ask()));

        private PathQuestion Ask()
        {
            var settings = $"connections.{sa.Connection.Name}.remote";
            var store = Trust.StoreOf(sa.Engine.Policy);
            ImmutableArray<Certificate> certificates = [.. offered.Certificates];
            if (certificates.IsEmpty) certificates = [.. Known(store).Take(1)];
            var nonce = new byte[OcspRequest.NonceLength];
            sa.Engine.Entropy.Fill(nonce);
            return new PathQuestion
            {
                Offered = certificates,
                Trust = store,
                Remote = remote,
                Authorities = ConfiguredCertificates.AuthoritiesOf(remote),
                Identity = identity,
                Now = now,
                Responses = [.. offered.Responses],
                Crls = [.. offered.Crls],
                Known = Trust.Known,
                Tried = _tried,
                Nonce = [.. nonce],
                Settings = settings,
            };
        }

        /// <summary>The peer sent none: one that is configured and carries its identity.</summary>
        private IEnumerable<Certificate> Known(TrustStore store)
        {
            var question = new PathQuestion { Offered = [], Trust = store, Remote = remote, Identity = identity, Now = now };
            var configured = remote.Certificates.IsEmpty ? store.Intermediates : [.. remote.Certificates.Select(ConfiguredCertificates.Parsed).OfType<Certificate>()];
            return configured.Where(certificate => !certificate.IsCa && IdentityRules.Check(question, certificate) is null);
        }

        private void Step(PathQuestion question)
        {
            while (true)
            {
                if (question.Offered.IsEmpty && offered.Error.Length > 0)
                {
                    then(new PathVerdict.Bad(Failures.Malformed(question.Settings, offered.Error)));
                    return;
                }

                var verdict = PathJudge.Judge(question);
                if (verdict is not PathVerdict.Needs needs)
                {
                    then(verdict);
                    return;
                }

                var open = needs.Wishes.DistinctBy(wish => wish.Key).Where(wish => !IsKnown(wish)).ToArray();
                if (open.Length == 0) continue;
                var waiting = open.Length;
                foreach (var wish in open)
                {
                    Fetch(wish, why =>
                    {
                        _tried[wish.Key] = why;
                        // the SA may have ended meanwhile; others may go on waiting for the document
                        if (--waiting == 0 && !sa.IsClosed) Step(question);
                    });
                }

                return;
            }
        }

        private bool IsKnown(FetchWish wish)
        {
            var outcome = sa.Engine.Now - _started > s_patience ? "no time is left to fetch it" : Trust.OutcomeOf(wish.Key, sa.Engine.Now);
            if (outcome is null) return false;
            _tried[wish.Key] = outcome;
            return true;
        }

        private void Fetch(FetchWish wish, Action<string> done)
        {
            var engine = sa.Engine;
            if (!engine.Trust.Join(wish.Key, done)) return;
            // of nobody: the answer serves all who wait
            engine.Ask(null, new Ask.Fetch(wish.Uri, wish.Kind, wish.Request) { Signers = wish.Signers }, answer => engine.Trust.Leave(wish.Key, Take(engine.Trust.Known, wish, answer), engine.Now));
        }

        /// <summary>Keeps what came; says what is wrong with it, if something is.</summary>
        private static string Take(RevocationCache known, FetchWish wish, Answer answer)
        {
            switch (answer)
            {
                case Answer.RevocationList list when wish.Kind == DocumentKind.Crl:
                    return known.Add(wish.Uri, list.List) ? "" : "there is an older CRL than was there before";
                case Answer.Document document when wish.Kind == DocumentKind.Ocsp:
                    if (!OcspResponse.TryParse(document.Content, out var response, out var error)) return error;
                    if (!OcspRequest.IsAnsweredBy(response!, wish.Nonce.AsSpan())) return "the responder answered another request (its nonce differs)";
                    known.Add(wish.About, response!);
                    return "";
                case Answer.Failed failed:
                    return failed.Why;
                default:
                    return "nothing came";
            }
        }
    }
}
