using System;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Warifu.Crypto.Signatures;
using Warifu.Primitives;
using PublicKey = System.Security.Cryptography.X509Certificates.PublicKey;

namespace Warifu.App.Cli.Ca;

/// <summary>Signs certificates and CRLs with one of our private keys, of any kind.</summary>
internal sealed class KeySigner(PrivateKey key, bool pss = false) : X509SignatureGenerator
{
    private SignatureScheme Scheme => key.Public.Kind switch
    {
        PublicKeyKind.Rsa => pss ? SignatureScheme.RsaPss(HashId.Sha256) : SignatureScheme.RsaPkcs1(HashId.Sha256),
        PublicKeyKind.EcdsaP256 => SignatureScheme.Ecdsa(HashId.Sha256),
        PublicKeyKind.EcdsaP384 => SignatureScheme.Ecdsa(HashId.Sha384),
        PublicKeyKind.EcdsaP521 => SignatureScheme.Ecdsa(HashId.Sha512),
        PublicKeyKind.Ed25519 => SignatureScheme.Ed25519,
        PublicKeyKind.Ed448 => SignatureScheme.Ed448,
        _ => throw new NotSupportedException($"a key of the kind {key.Public.Kind} signs no certificates"),
    };

    public override byte[] GetSignatureAlgorithmIdentifier(HashAlgorithmName hashAlgorithm) => Scheme.AlgorithmIdentifier();

    public override byte[] SignData(byte[] data, HashAlgorithmName hashAlgorithm) => key.Sign(Scheme, data);

    protected override PublicKey BuildPublicKey() => PublicKey.CreateFromSubjectPublicKeyInfo(key.Public.Spki.Span, out _);
}
