using System;
using System.Collections.Immutable;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Crypto.Signatures;
using Warifu.Engine;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>The peer's proof of one round, taken out of a message: nothing of it is believed before <see cref="Check"/> says so.</summary>
internal sealed class PeerProof
{
    private const int MaxKeys = 16;

    private readonly PeerCertificates _certificates = new();
    private readonly byte[] _idBody;
    private byte[] _rawKey = [];

    private PeerProof(byte[] idBody, Identity id, AuthMethod method, byte[] data) => (_idBody, Id, Method, Data) = (idBody, id, method, data);

    public Identity Id { get; }

    public AuthMethod Method { get; }

    /// <summary>AUTH data, or that of NO_PPK_AUTH when no PPK is used (RFC 8784 section 3).</summary>
    public byte[] Data { get; set; }

    /// <summary>Null when the message has no identity or no AUTH.</summary>
    public static PeerProof? Read(scoped in MessageView view, PayloadType side)
    {
        if (!view.TryGet(side, out var idBody) || IdPayload.TryParse(idBody, out var id) != ParseError.None || !view.TryGet(PayloadType.Auth, out var body) || AuthView.TryParse(body, out var auth) != ParseError.None) return null;
        var proof = new PeerProof(idBody.ToArray(), id!, auth.Method, auth.Data.ToArray());
        for (var i = 0; i < view.Count; i++)
        {
            if (view[i].Type != PayloadType.Cert || CertView.TryParse(view.Body(i), out var certificate) != ParseError.None) continue;
            if ((CertEncoding)certificate.Encoding != CertEncoding.RawPublicKey) proof._certificates.Add((CertEncoding)certificate.Encoding, certificate.Data);
            else if (proof._rawKey.Length == 0) proof._rawKey = certificate.Data.ToArray();
        }

        return proof;
    }

    /// <param name="sa">The IKE SA; the keys that AUTH covers are in place.</param>
    /// <param name="round">Which of the peer's rounds.</param>
    /// <param name="then">Gets null when the proof is right, else why not.</param>
    public void Check(IkeSa sa, int round, Action<NegotiationFailure?> then)
    {
        var remote = AuthRounds.PeerOf(sa.Connection, round);
        var octets = AuthSupport.PeerOctets(sa, _idBody);
        if (remote.Kind == AuthKind.Psk && Method == AuthMethod.SharedKey) CheckShared(sa, octets, then);
        else if (remote.Kind == AuthKind.PublicKey && Method is not (AuthMethod.SharedKey or AuthMethod.Null)) CheckSignature(sa, remote, octets, then);
        else then(AuthSupport.WrongMethod(sa, remote, Method));
    }

    private void CheckShared(IkeSa sa, ImmutableArray<byte> octets, Action<NegotiationFailure?> then)
    {
        var own = sa.LocalId ?? Identity.Of(sa.Local.Address);
        sa.Engine.Ask(sa, new Ask.FindPsk(own, Id, sa.Connection.Name), found =>
        {
            if (found is not Answer.SecretHandle { Secret.IsNone: false } handle)
            {
                then(AuthSupport.NoPsk(sa, own, Id, found));
                return;
            }

            if (sa.Handshake is { } handshake) handshake.SecretName = handle.Name;
            sa.Engine.Ask(sa, new Ask.PskAuth(handle.Secret, sa.Keys!.Prf, octets), computed =>
            {
                if (computed is not Answer.Octets expected)
                {
                    then(new NegotiationFailure("internal", "the secret keeper did not compute AUTH", [], [], [], ""));
                    return;
                }

                var good = CryptographicOperations.FixedTimeEquals(expected.Value.Span, Data);
                expected.Value.Dispose();
                then(good ? null : AuthSupport.WrongSecret(sa));
            });
        });
    }

    private void CheckSignature(IkeSa sa, RemoteAuth remote, ImmutableArray<byte> octets, Action<NegotiationFailure?> then)
    {
        if (!SignatureChoice.TryRead(Method, Data, out var scheme, out var signature, out var bound))
        {
            then(AuthSupport.UnknownScheme(sa, Method));
            return;
        }

        var signed = new Signed(scheme, signature, bound, octets);
        // raw keys of the configuration need no authority (RFC 7670 section 2)
        if (!remote.PublicKeys.IsEmpty && (_rawKey.Length > 0 || _certificates.Certificates.Count + _certificates.References.Count == 0))
        {
            then(CheckRawKeys(sa, remote, signed));
            return;
        }

        PeerTrust.Resolve(sa, _certificates, () =>
        {
            // AUTH first: then nobody makes us fetch anything by showing somebody else's certificate
            if (_certificates.Certificates.Count == 0)
            {
                Decide(sa, remote, chain => CheckKey(sa, remote, chain[0].Key, chain[0].Name, signed), then);
                return;
            }

            var own = _certificates.Certificates[0];
            if (CheckKey(sa, remote, own.Key, own.Name, signed) is { } failure) then(failure);
            else Decide(sa, remote, chain => chain[0].Equals(own) ? null : throw new InvalidOperationException("the chain is not that of the peer's certificate"), then);
        });
    }

    private void Decide(IkeSa sa, RemoteAuth remote, Func<ImmutableArray<Certificate>, NegotiationFailure?> check, Action<NegotiationFailure?> then) =>
        PeerTrust.Decide(sa, remote, _certificates, Id, verdict =>
        {
            if (verdict is PathVerdict.Good good)
            {
                foreach (var note in good.Notes) sa.Report.Add(sa.Engine.Now, StepDirection.Here, note);
                if (check(good.Chain) is { } wrong)
                {
                    then(wrong);
                    return;
                }

                sa.Report.Add(sa.Engine.Now, StepDirection.Here, $"the peer's certificate {good.Chain[0].Name} is trusted through {good.Chain[^1].Name}");
                then(null);
                return;
            }

            var failure = ((PathVerdict.Bad)verdict).Failure;
            then(new NegotiationFailure("certificate-" + failure.Rule.Word(), failure.Sentence, failure.Certificate.Length > 0 ? [failure.Certificate] : [], [], [], failure.Remedy));
        });

    private NegotiationFailure? CheckRawKeys(IkeSa sa, RemoteAuth remote, Signed signed)
    {
        NegotiationFailure? first = null;
        foreach (var spki in remote.PublicKeys.Take(MaxKeys))
        {
            if (_rawKey.Length > 0 && !spki.AsSpan().SequenceEqual(_rawKey)) continue;
            if (!PublicKey.TryParse(spki.AsSpan(), out var key)) continue;
            var failure = CheckKey(sa, remote, key, "the configured raw key", signed);
            if (failure is null) return null;
            first ??= failure;
        }

        return first ?? AuthSupport.UnknownRawKey(sa, Id);
    }

    private NegotiationFailure? CheckKey(IkeSa sa, RemoteAuth remote, PublicKey? key, string name, Signed signed)
    {
        if (key is null || !key.Fits(signed.Scheme) || !SignatureChoice.FitsCurve(Method, key)) return AuthSupport.WrongSignature(sa, Id, name, $"{signed.Scheme} ({Method}) does not fit its key, {key?.ToString() ?? "of an unknown kind"}");
        if (Method == AuthMethod.Rsa && key.Pkcs1HashOf(signed.Octets.AsSpan(), signed.Signature.Span) is { } hash) signed = signed with { Scheme = SignatureScheme.RsaPkcs1(hash) };
        if (!remote.Constraints.AllowsIke(key, signed.Scheme, signed.Bound)) return AuthSupport.ForbiddenScheme(sa, remote, key, signed.Scheme);
        return key.Verify(signed.Scheme, signed.Octets.AsSpan(), signed.Signature.Span) ? null : AuthSupport.WrongSignature(sa, Id, name, "the signature was made with another key, or over other octets");
    }

    private sealed record Signed(SignatureScheme Scheme, ReadOnlyMemory<byte> Signature, bool Bound, ImmutableArray<byte> Octets);
}
