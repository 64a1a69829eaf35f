using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto.Signatures;
using Warifu.Engine;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>Our proof of one round: what goes into ID, CERT and AUTH (RFC 7296 section 2.15).</summary>
/// <param name="Id">What we call ourselves.</param>
/// <param name="Method">Of AUTH.</param>
/// <param name="Data">Of AUTH.</param>
/// <param name="DataWithoutPpk">For NO_PPK_AUTH (RFC 8784 section 3); empty = not sent.</param>
/// <param name="Certificates">CERT payloads in their order.</param>
internal sealed record OwnProof(Identity Id, AuthMethod Method, byte[] Data, byte[] DataWithoutPpk, ImmutableArray<(CertEncoding Encoding, byte[] Data)> Certificates)
{
    /// <param name="sa">The IKE SA; its LocalId is set by the first round.</param>
    /// <param name="round">Which of our rounds.</param>
    /// <param name="peer">The peer's identity, or our guess of it: pre-shared keys belong to pairs.</param>
    /// <param name="wanted">What the peer calls us; null = it did not say.</param>
    /// <param name="then">Gets the proof.</param>
    /// <param name="failed">Gets the reason why there is none.</param>
    public static void Make(IkeSa sa, int round, Identity peer, Identity? wanted, Action<OwnProof> then, Action<NegotiationFailure> failed)
    {
        var local = AuthRounds.OwnOf(sa.Connection, round);
        if (local.Kind == AuthKind.PublicKey) new Signer(sa, round, local, wanted, then, failed).Begin();
        else MakeShared(sa, round, local.Id ?? wanted ?? Identity.Of(sa.Local.Address), peer, then, failed);
    }

    /// <summary>Writes ID, CERT and what else goes before AUTH, then AUTH.</summary>
    public void Write(MessageBuilder builder, PayloadType side, Action<MessageBuilder>? between = null)
    {
        builder.Id(side, Id);
        foreach (var (encoding, data) in Certificates) builder.Cert(PayloadType.Cert, (byte)encoding, data);
        between?.Invoke(builder);
        builder.Auth(Method, Data);
        if (DataWithoutPpk.Length > 0) builder.Notify(NotifyType.NoPpkAuth, DataWithoutPpk);
    }

    private static void MakeShared(IkeSa sa, int round, Identity own, Identity peer, Action<OwnProof> then, Action<NegotiationFailure> failed)
    {
        if (round == 0) sa.LocalId = own;
        sa.Engine.Ask(sa, new Ask.FindPsk(own, peer, sa.Connection.Name), found =>
        {
            if (found is not Answer.SecretHandle { Secret.IsNone: false } handle)
            {
                failed(AuthSupport.NoPsk(sa, own, peer, found));
                return;
            }

            sa.Handshake!.SecretName = handle.Name;
            Compute(sa, AuthSupport.OwnOctets(sa, own), data =>
            {
                if (!AuthSupport.NeedsProofWithoutPpk(sa, round)) then(new OwnProof(own, AuthMethod.SharedKey, data, [], []));
                else Compute(sa, AuthSupport.OwnOctets(sa, own, withoutPpk: true), without => then(new OwnProof(own, AuthMethod.SharedKey, data, without, [])));
            });

            void Compute(IkeSa sa, ImmutableArray<byte> octets, Action<byte[]> computed) => sa.Engine.Ask(sa, new Ask.PskAuth(handle.Secret, sa.Keys!.Prf, octets), answer => Take(answer, computed, failed));
        });
    }

    private static void Take(Answer answer, Action<byte[]> then, Action<NegotiationFailure> failed)
    {
        if (answer is not Answer.Octets octets)
        {
            failed(new NegotiationFailure("internal", $"the secret keeper did not compute AUTH{(answer is Answer.Failed { Why: { Length: > 0 } why } ? ": " + why : "")}", [], [], [], ""));
            return;
        }

        var value = octets.Value.Span.ToArray();
        octets.Value.Dispose();
        then(value);
    }

    /// <summary>Chooses the certificate or raw key that the peer can use best, and signs with its private key.</summary>
    private sealed class Signer(IkeSa sa, int round, LocalAuth local, Identity? wanted, Action<OwnProof> then, Action<NegotiationFailure> failed)
    {
        private string Path => $"connections.{sa.Connection.Name}.local";

        public void Begin()
        {
            var candidates = Candidates();
            if (candidates.Length == 0)
            {
                failed(NoCandidate());
                return;
            }

            sa.Engine.Ask(sa, new Ask.FindKeys([.. candidates.Select(candidate => candidate.Key.KeyId.ToArray().ToImmutableArray())]), answer =>
            {
                var handles = answer is Answer.Keys keys && keys.Handles.Length == candidates.Length ? keys.Handles : [];
                for (var i = 0; i < handles.Length; i++)
                {
                    if (handles[i].IsNone) continue;
                    Sign(candidates[i], handles[i]);
                    return;
                }

                failed(new NegotiationFailure(
                    "no-secret",
                    $"no private key for {string.Join(", ", candidates.Select(candidate => candidate.Name))}",
                    [],
                    [],
                    [],
                    "here: load the private key that belongs to the certificate (secrets.private-NAME, or a key file in the folder of private keys)"));
            });
        }

        /// <summary>Those that the peer can verify, the best first: it names its authority, it carries the wanted identity, the order of the configuration.</summary>
        private Candidate[] Candidates()
        {
            var all = new List<Candidate>();
            foreach (var own in OwnCredentials.Of(local, sa.Engine.Trust.StoreOf(sa.Engine.Policy)).All)
            {
                if (!local.Schemes.AllowsIkeKey(own.Key) || SignatureChoice.For(own.Key, local.Schemes, sa.Handshake!.PeerHashes) is not { } choice) continue;
                all.Add(new Candidate(own, choice.Method, choice.Scheme, Score(own)));
            }

            return [.. all.OrderByDescending(candidate => candidate.Score)];
        }

        private int Score(OwnCredential own)
        {
            var wish = sa.Handshake!.Wish;
            if (own.Certificate is not { } certificate) return wish.RawKeys ? 4 : 0;
            var named = wish.NamesAuthorities && own.Issuers.Append(certificate).Any(issuer => wish.Names(issuer.SpkiHash()));
            var identity = (local.Id ?? wanted) is { } id && IdentityRules.Carries(certificate, id);
            return (named ? 4 : 0) + (identity ? 2 : 0);
        }

        private NegotiationFailure NoCandidate()
        {
            if (local.Certificates.IsEmpty && local.PublicKeys.IsEmpty) return new NegotiationFailure("no-certificate", "we have no certificate to prove ourselves with", [], [], [], $"here: set {Path}.certs to our certificate");
            var announced = sa.Handshake!.PeerHashes;
            return new NegotiationFailure(
                "no-certificate",
                "none of our certificates and keys can sign in a way that the peer takes and the connection allows",
                [.. announced.IsDefault ? ["the peer announces no hashes: only RSA with SHA-1 and ECDSA by RFC 4754 remain"] : announced.Select(hash => Hashes.NameOf(hash))],
                [local.Schemes.Text],
                [.. local.Certificates.Select(ConfiguredCertificates.Parsed).OfType<Certificate>().Select(certificate => $"{certificate.Name}: {certificate.Key?.ToString() ?? "an unknown kind of key"}")],
                $"here: give {Path}.certs a certificate of another kind, or change {Path}.auth; or at the peer: let it support RFC 7427");
        }

        private void Sign(Candidate candidate, SecretRef key)
        {
            var own = IdOf(candidate);
            if (round == 0) sa.LocalId = own;
            sa.Handshake!.SecretName = "";
            sa.Report.Add(sa.Engine.Now, StepDirection.Here, $"signing with {candidate.Name} ({candidate.Key}, {candidate.Scheme})");
            if (candidate.Certificate is { } certificate && !IdentityRules.Carries(certificate, own)) sa.Report.Add(sa.Engine.Now, StepDirection.Here, $"our identity {Identities.Print(own)} is not in our certificate {certificate.Name}: many peers refuse that");
            Compute(AuthSupport.OwnOctets(sa, own), data =>
            {
                if (!AuthSupport.NeedsProofWithoutPpk(sa, round)) Finish(data, []);
                else Compute(AuthSupport.OwnOctets(sa, own, withoutPpk: true), without => Finish(data, without));
            });

            void Finish(byte[] data, byte[] without) => WithStatus(candidate, payloads => then(new OwnProof(own, candidate.Method, data, without, payloads)));

            void Compute(ImmutableArray<byte> octets, Action<byte[]> computed) =>
                sa.Engine.Ask(sa, new Ask.Sign(key, candidate.Scheme, octets), answer => Take(answer, signature => computed(SignatureChoice.Write(candidate.Method, candidate.Scheme, signature)), failed));
        }

        private Identity IdOf(Candidate candidate)
        {
            if (local.Id is { } configured) return configured;
            if (candidate.Certificate is not { } certificate) return wanted ?? Identity.Of(sa.Local.Address);
            if (wanted is not null && IdentityRules.Carries(certificate, wanted)) return wanted;
            return certificate.Subject.IsEmpty ? Identity.Of(sa.Local.Address) : new Identity(IdType.DerAsn1Dn, [.. certificate.Subject.Der.Span]);
        }

        private ImmutableArray<(CertEncoding, byte[])> Payloads(Candidate candidate)
        {
            var wish = sa.Handshake!.Wish;
            if (sa.Connection.SendCert == SendCertificates.Never || (sa.Connection.SendCert == SendCertificates.IfAsked && !wish.Asked)) return [];
            return candidate.Own.Chain(wish.HashAndUrl);
        }

        /// <summary>Our certificates, and what our responder says about the first of them when the peer wants to see that (RFC 4806 section 4.2).</summary>
        private void WithStatus(Candidate candidate, Action<ImmutableArray<(CertEncoding, byte[])>> then)
        {
            var payloads = Payloads(candidate);
            if (payloads.IsEmpty || candidate.Certificate is not { } certificate || !sa.Handshake!.Wish.Ocsp || sa.Connection.Ocsp is not (OcspExchange.Reply or OcspExchange.Both)) then(payloads);
            else OwnStatus.Find(sa, certificate, candidate.Own.Issuers.FirstOrDefault(), response => then(response.IsEmpty ? payloads : payloads.Add((CertEncoding.OcspContent, [.. response]))));
        }

        private readonly record struct Candidate(OwnCredential Own, AuthMethod Method, SignatureScheme Scheme, int Score)
        {
            public PublicKey Key => Own.Key;

            public Certificate? Certificate => Own.Certificate;

            public string Name => Own.Name;
        }
    }
}
