using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Crypto.Signatures;
using Warifu.Engine;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>The peer's proof, taken out of a message: nothing of it is believed before <see cref="Check"/> says so.</summary>
internal sealed class PeerProof
{
    private const int MaxKeys = 16;

    private readonly PeerCertificates _certificates = new();
    private readonly byte[] _data;
    private readonly bool _isSignature;

    private PeerProof(byte[] data, bool isSignature) => (_data, _isSignature) = (data, isSignature);

    /// <summary>Null when the message has no proof, or not the one that was negotiated.</summary>
    public static PeerProof? Read(IsakmpSa sa, scoped in ChainView view)
    {
        var signs = sa.Suite!.Signs(!sa.Initiator);
        var index = view.IndexOf(signs ? PayloadV1.Sig : PayloadV1.Hash);
        if (index < 0) return null;
        var proof = new PeerProof(view.Body(index).ToArray(), signs);
        if (!signs) return proof;
        for (var i = 0; i < view.Count; i++)
        {
            if (view[i].Type == PayloadV1.Cert && CertBody.TryParse(view.Body(i), out var encoding, out var data) == ParseError.None) proof._certificates.Add((CertEncoding)encoding, data);
        }

        return proof;
    }

    /// <summary>False when it was made with another key than the one that it goes with, whoever made it. What cannot be judged without the host passes.</summary>
    public bool MayBeRight(PhaseOne mode, IsakmpSa sa, Identity? peer, out NegotiationFailure? why)
    {
        why = null;
        var proof = mode.Proof(!sa.Initiator);
        if (!_isSignature) return CryptographicOperations.FixedTimeEquals(proof, _data);
        if (peer is null) return true;
        if (_certificates.Certificates.Count > 0)
        {
            var own = _certificates.Certificates[0];
            if (own.Key is not { } key || IsakmpSuite.AuthOf(key) != sa.Suite!.Base || Verify(mode, key, proof)) return true;
            why = PhaseFailures.WrongSignature(sa, peer, own.Name);
            return false;
        }

        var known = KnownKeys(sa.Connection.Remote).ToArray();
        if (known.Length == 0 || known.Any(key => IsakmpSuite.AuthOf(key) == sa.Suite!.Base && Verify(mode, key, proof))) return true;
        why = PhaseFailures.WrongSignature(sa, peer, "any of the raw keys that are configured");
        return false;
    }

    /// <param name="mode">Phase 1; the peer's ID payload is there.</param>
    /// <param name="peer">Who the peer says it is.</param>
    /// <param name="then">Gets null when the proof is right, else why not.</param>
    public void Check(PhaseOne mode, IsakmpSa sa, Identity peer, Action<NegotiationFailure?> then)
    {
        var proof = mode.Proof(!sa.Initiator);
        if (!_isSignature)
        {
            then(CryptographicOperations.FixedTimeEquals(proof, _data) ? null : PhaseFailures.WrongSecret(sa, mode.SecretName));
            return;
        }

        var remote = sa.Connection.Remote;
        if (!remote.PublicKeys.IsEmpty && _certificates.Certificates.Count == 0)
        {
            then(KnownKeys(remote).Any(key => CheckKey(mode, sa, remote, key, "a raw key", peer, proof) is null) ? null : PhaseFailures.WrongSignature(sa, peer, "any of the raw keys that are configured"));
            return;
        }

        if (_certificates.Certificates.Count == 0)
        {
            // it sent none: one that is configured
            PeerTrust.Decide(sa, remote, _certificates, peer, verdict => Decided(verdict, chain => CheckKey(mode, sa, remote, chain[0].Key, chain[0].Name, peer, proof)));
            return;
        }

        // the signature first: then nobody makes us fetch anything by showing somebody else's certificate
        var own = _certificates.Certificates[0];
        if (CheckKey(mode, sa, remote, own.Key, own.Name, peer, proof) is { } failure) then(failure);
        else PeerTrust.Decide(sa, remote, _certificates, peer, verdict => Decided(verdict, _ => null));

        void Decided(PathVerdict verdict, Func<ImmutableArray<Certificate>, NegotiationFailure?> check)
        {
            if (verdict is PathVerdict.Good good)
            {
                sa.Report.Add(sa.Engine.Now, StepDirection.Here, $"the peer's certificate {good.Chain[0].Name} is trusted through {good.Chain[^1].Name}");
                then(check(good.Chain));
                return;
            }

            var bad = ((PathVerdict.Bad)verdict).Failure;
            then(new NegotiationFailure("certificate-" + bad.Rule.Word(), bad.Sentence, bad.Certificate.Length > 0 ? [bad.Certificate] : [], [], [], bad.Remedy));
        }
    }

    private static IEnumerable<PublicKey> KnownKeys(RemoteAuth remote) => remote.PublicKeys.Take(MaxKeys).Select(spki => PublicKey.TryParse(spki.AsSpan(), out var key) ? key : null).OfType<PublicKey>();

    /// <summary>Each signature is verified once.</summary>
    private bool Verify(PhaseOne mode, PublicKey key, byte[] proof)
    {
        if (mode.Verified is { } before && before.Key.KeyId.Span.SequenceEqual(key.KeyId.Span) && before.Signature.AsSpan().SequenceEqual(_data) && before.Proof.AsSpan().SequenceEqual(proof)) return true;
        if (!key.Verify(OwnSigner.SchemeOf(key), proof, _data)) return false;
        mode.Verified = (key, _data, proof);
        return true;
    }

    private NegotiationFailure? CheckKey(PhaseOne mode, IsakmpSa sa, RemoteAuth remote, PublicKey? key, string name, Identity peer, byte[] proof)
    {
        // the method that was negotiated says which kind of key, and which curve (RFC 4754 section 3)
        if (key is null || IsakmpSuite.AuthOf(key) != sa.Suite!.Base) return PhaseFailures.WrongSignature(sa, peer, $"{name}, which has {(key is null ? "an unknown kind of key" : key.ToString())} where {IsakmpSuite.NameOf(sa.Suite!.Auth)} were negotiated");
        if (!remote.Constraints.AllowsIkeKey(key)) return PhaseFailures.ForbiddenKey(sa, remote, key);
        return Verify(mode, key, proof) ? null : PhaseFailures.WrongSignature(sa, peer, name);
    }
}
