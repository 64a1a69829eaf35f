using System;
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto.Signatures;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>Which method and scheme a key signs AUTH with, and how AUTH data of each method is read (RFC 7296 section 3.8, RFC 4754, RFC 7427, RFC 8420).</summary>
internal static class SignatureChoice
{
    private static readonly HashId[] s_hashes = [HashId.Sha256, HashId.Sha384, HashId.Sha512];

    /// <param name="key">Our key.</param>
    /// <param name="allowed">What the connection allows.</param>
    /// <param name="peer">What the peer announced by SIGNATURE_HASH_ALGORITHMS; default = nothing.</param>
    /// <returns>Null when the peer takes nothing that the key can do and the connection allows.</returns>
    public static (AuthMethod Method, SignatureScheme Scheme)? For(PublicKey key, AuthConstraints allowed, ImmutableArray<HashId> peer)
    {
        if (!peer.IsDefaultOrEmpty)
        {
            foreach (var scheme in Preferred(key, allowed))
            {
                if (peer.Contains(scheme.Hash) && key.Fits(scheme) && IsLongEnough(key, scheme) && allowed.AllowsIke(key, scheme, bound: false)) return (AuthMethod.DigitalSignature, scheme);
            }
        }

        return Bound(key) is { } bound && key.Fits(bound.Scheme) && allowed.AllowsIke(key, bound.Scheme, bound: true) ? bound : null;
    }

    /// <summary>AUTH data: with RFC 7427 the length and the AlgorithmIdentifier go before the signature.</summary>
    public static byte[] Write(AuthMethod method, SignatureScheme scheme, ReadOnlySpan<byte> signature)
    {
        if (method != AuthMethod.DigitalSignature) return signature.ToArray();
        var identifier = scheme.AlgorithmIdentifier();
        return [(byte)identifier.Length, .. identifier, .. signature];
    }

    /// <summary>Takes AUTH data apart. Schemes of RFC 7427 are what the AlgorithmIdentifier says; of the others those that the method prescribes.</summary>
    public static bool TryRead(AuthMethod method, byte[] data, out SignatureScheme scheme, out ReadOnlyMemory<byte> signature, out bool bound)
    {
        (scheme, signature, bound) = (default, data, true);
        switch (method)
        {
            case AuthMethod.Rsa:
                scheme = SignatureScheme.RsaPkcs1(HashId.Sha1);
                return true;
            case AuthMethod.Dss:
                scheme = new SignatureScheme(SignatureKind.Dsa, HashId.Sha1, Raw: true);
                return true;
            case AuthMethod.Ecdsa256:
                scheme = new SignatureScheme(SignatureKind.Ecdsa, HashId.Sha256, Raw: true);
                return true;
            case AuthMethod.Ecdsa384:
                scheme = new SignatureScheme(SignatureKind.Ecdsa, HashId.Sha384, Raw: true);
                return true;
            case AuthMethod.Ecdsa521:
                scheme = new SignatureScheme(SignatureKind.Ecdsa, HashId.Sha512, Raw: true);
                return true;
            case AuthMethod.DigitalSignature:
                bound = false;
                if (data.Length < 2 || data.Length < 1 + data[0] || !SignatureScheme.TryParse(data.AsSpan(1, data[0]), out scheme)) return false;
                signature = data.AsMemory(1 + data[0]);
                return true;
            default:
                return false;
        }
    }

    /// <summary>RFC 4754 section 3: each of its methods is for one curve.</summary>
    public static bool FitsCurve(AuthMethod method, PublicKey key) => method switch
    {
        AuthMethod.Ecdsa256 => key.Kind == PublicKeyKind.EcdsaP256,
        AuthMethod.Ecdsa384 => key.Kind == PublicKeyKind.EcdsaP384,
        AuthMethod.Ecdsa521 => key.Kind == PublicKeyKind.EcdsaP521,
        _ => true,
    };

    private static (AuthMethod Method, SignatureScheme Scheme)? Bound(PublicKey key) => key.Kind switch
    {
        PublicKeyKind.Rsa => (AuthMethod.Rsa, SignatureScheme.RsaPkcs1(HashId.Sha1)),
        PublicKeyKind.Dsa => (AuthMethod.Dss, new SignatureScheme(SignatureKind.Dsa, HashId.Sha1, Raw: true)),
        PublicKeyKind.EcdsaP256 => (AuthMethod.Ecdsa256, new SignatureScheme(SignatureKind.Ecdsa, HashId.Sha256, Raw: true)),
        PublicKeyKind.EcdsaP384 => (AuthMethod.Ecdsa384, new SignatureScheme(SignatureKind.Ecdsa, HashId.Sha384, Raw: true)),
        PublicKeyKind.EcdsaP521 => (AuthMethod.Ecdsa521, new SignatureScheme(SignatureKind.Ecdsa, HashId.Sha512, Raw: true)),
        // RFC 8420: by RFC 7427 only
        _ => null,
    };

    private static SignatureScheme[] Preferred(PublicKey key, AuthConstraints allowed)
    {
        switch (key.Kind)
        {
            case PublicKeyKind.Ed25519:
                return [SignatureScheme.Ed25519];
            case PublicKeyKind.Ed448:
                return [SignatureScheme.Ed448];
            case PublicKeyKind.Dsa:
                return [new SignatureScheme(SignatureKind.Dsa, HashId.Sha256)];
            case PublicKeyKind.Rsa:
                // RFC 8247 section 3.2: PSS must be there, PKCS#1 may; "rsa" names the latter
                var (pss, pkcs1) = (s_hashes.Select(SignatureScheme.RsaPss), s_hashes.Select(SignatureScheme.RsaPkcs1));
                if (key.PssOnly is { } only) return [only];
                return allowed.Ike.Any(rule => rule.Key == AuthKey.Rsa) ? [.. pkcs1, .. pss] : [.. pss, .. pkcs1];
            case PublicKeyKind.EcdsaP384:
                return [SignatureScheme.Ecdsa(HashId.Sha384), SignatureScheme.Ecdsa(HashId.Sha512), SignatureScheme.Ecdsa(HashId.Sha256)];
            case PublicKeyKind.EcdsaP521:
                return [SignatureScheme.Ecdsa(HashId.Sha512), SignatureScheme.Ecdsa(HashId.Sha384), SignatureScheme.Ecdsa(HashId.Sha256)];
            default:
                return [.. s_hashes.Select(SignatureScheme.Ecdsa)];
        }
    }

    private static bool IsLongEnough(PublicKey key, SignatureScheme scheme) => scheme.Kind != SignatureKind.RsaPss || (key.Bits + 6) / 8 >= Hashes.LengthOf(scheme.Hash) + scheme.SaltLength + 2;
}

/// <summary>SIGNATURE_HASH_ALGORITHMS (RFC 7427 section 4): which hashes we take in signatures of method 14. Not SHA-1 (RFC 8247 section 3.2).</summary>
internal sealed class SignatureHashPart : InitPart
{
    private static ReadOnlySpan<byte> Ours => [0, (byte)HashId.Sha256, 0, (byte)HashId.Sha384, 0, (byte)HashId.Sha512, 0, (byte)HashId.Identity];

    public override void WriteRequest(IkeSa sa, MessageBuilder builder)
    {
        if (sa.Engine.Options.SignatureAuthentication && AuthRounds.UseSignatures(sa.Connection)) builder.Notify(NotifyType.SignatureHashAlgorithms, Ours);
    }

    public override void ReadRequest(IkeSa sa, scoped in MessageView view) => Read(sa, view);

    public override void WriteResponse(IkeSa sa, MessageBuilder builder)
    {
        // identities may lead to another connection than addresses did: whoever announces hashes gets ours
        if (sa.Engine.Options.SignatureAuthentication && (!sa.Handshake!.PeerHashes.IsDefault || AuthRounds.UseSignatures(sa.Connection))) builder.Notify(NotifyType.SignatureHashAlgorithms, Ours);
    }

    public override void ReadResponse(IkeSa sa, scoped in MessageView view) => Read(sa, view);

    public override int ResponseLength(Connection connection, scoped in MessageView request) => request.HasNotify(NotifyType.SignatureHashAlgorithms) || AuthRounds.UseSignatures(connection) ? 8 + Ours.Length : 0;

    private static void Read(IkeSa sa, scoped in MessageView view)
    {
        if (!sa.Engine.Options.SignatureAuthentication || !view.TryGetNotify(NotifyType.SignatureHashAlgorithms, out var notify)) return;
        var hashes = ImmutableArray.CreateBuilder<HashId>();
        for (var data = notify.Data; data.Length >= 2 && hashes.Count < 32; data = data[2..]) hashes.Add((HashId)BinaryPrimitives.ReadUInt16BigEndian(data));
        sa.Handshake!.PeerHashes = hashes.ToImmutable();
    }
}
