using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto.Signatures;
using Warifu.Engine;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.V1;

/// <summary>The private key that proves us, and its certificate.</summary>
internal sealed record OwnSigner(PublicKey Key, Certificate? Certificate, SecretRef Handle)
{
    public string Name => Certificate?.Name ?? $"raw key {Convert.ToHexStringLower(Key.KeyId.Span)}";

    /// <summary>RFC 2409 section 5.1, RFC 4754: the hash is signed as it is.</summary>
    public SignatureScheme Scheme => SchemeOf(Key);

    public Identity? Identity => Certificate is { Subject.IsEmpty: false } certificate ? new Identity(IdType.DerAsn1Dn, [.. certificate.Subject.Der.Span]) : null;

    public static SignatureScheme SchemeOf(PublicKey key) => SignatureScheme.OfDigest(key.Kind switch { PublicKeyKind.Rsa => SignatureKind.RsaPkcs1, PublicKeyKind.Dsa => SignatureKind.Dsa, _ => SignatureKind.Ecdsa });

    /// <summary>Own keys that may be used, in the order of the configuration.</summary>
    public static IEnumerable<(PublicKey Key, Certificate? Certificate)> Keys(LocalAuth local)
    {
        foreach (var certificate in local.Certificates.Select(ConfiguredCertificates.Parsed).OfType<Certificate>())
        {
            if (certificate.Key is { } key && local.Schemes.AllowsIkeKey(key)) yield return (key, certificate);
        }

        foreach (var spki in local.PublicKeys)
        {
            if (PublicKey.TryParse(spki.AsSpan(), out var key) && local.Schemes.AllowsIkeKey(key)) yield return (key, null);
        }
    }

    /// <summary>Looks for a key of the kind that was negotiated whose private half the host has.</summary>
    public static void Find(IsakmpSa sa, Action<OwnSigner> found, Action<NegotiationFailure> failed)
    {
        var path = $"connections.{sa.Connection.Name}.local";
        var candidates = Keys(sa.Connection.Local).Where(key => IsakmpSuite.AuthOf(key.Key) == sa.Suite!.Base)
            .OrderByDescending(key => key.Certificate is { } certificate && sa.Connection.Local.Id is { } id && IdentityRules.Carries(certificate, id)).ToArray();
        if (candidates.Length == 0)
        {
            failed(new NegotiationFailure("no-certificate", $"none of our certificates can make {IsakmpSuite.NameOf(sa.Suite!.Auth)}", [IsakmpSuite.NameOf(sa.Suite.Auth)], [sa.Connection.Local.Schemes.Text], [], $"here: set {path}.certs to a certificate of that kind, or change {path}.auth"));
            return;
        }

        sa.Engine.Ask(sa, new Ask.FindKeys([.. candidates.Select(candidate => candidate.Key.KeyId.ToArray().ToImmutableArray())]), answer =>
        {
            var handles = answer is Answer.Keys keys && keys.Handles.Length == candidates.Length ? keys.Handles : [];
            for (var i = 0; i < handles.Length; i++)
            {
                if (handles[i].IsNone) continue;
                found(new OwnSigner(candidates[i].Key, candidates[i].Certificate, handles[i]));
                return;
            }

            failed(new NegotiationFailure("no-secret", $"no private key for {string.Join(", ", candidates.Select(candidate => candidate.Certificate?.Name ?? "a raw key"))}", [], [], [], "here: load the private key that belongs to the certificate (secrets.private-NAME, or a key file in the folder of private keys)"));
        });
    }

    /// <summary>The certificates to send: itself first, then what leads to a root, without the root.</summary>
    public ImmutableArray<ReadOnlyMemory<byte>> Chain(IsakmpSa sa, bool asked)
    {
        if (Certificate is null || sa.Connection.SendCert == SendCertificates.Never || (sa.Connection.SendCert == SendCertificates.IfAsked && !asked)) return [];
        return [.. new OwnCredential(Key, Certificate, sa.Engine.Trust.StoreOf(sa.Engine.Policy)).Chain(hashAndUrl: false).Select(payload => (ReadOnlyMemory<byte>)payload.Data)];
    }
}
