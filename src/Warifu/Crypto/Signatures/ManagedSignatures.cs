using System;
using System.Security.Cryptography;
using Org.BouncyCastle.Asn1.Sec;
using Org.BouncyCastle.Crypto.Parameters;
using Org.BouncyCastle.Crypto.Signers;
using Org.BouncyCastle.Math.EC.Rfc8032;
using Org.BouncyCastle.Security;
using Warifu.Primitives;
using BigInteger = Org.BouncyCastle.Math.BigInteger;

namespace Warifu.Crypto.Signatures;

/// <summary>Signatures by BouncyCastle, where there is no libcrypto, or it lacks something. Slow, and not in constant time.</summary>
internal static class ManagedSignatures
{
    /// <summary>base^e mod n.</summary>
    public static void Power(byte[] modulus, byte[] exponent, ReadOnlySpan<byte> value, Span<byte> output)
    {
        var result = new BigInteger(1, value).ModPow(new BigInteger(1, exponent), new BigInteger(1, modulus)).ToByteArrayUnsigned();
        output.Clear();
        result.CopyTo(output[^result.Length..]);
    }

    public static bool VerifyEdwards(PublicKey key, ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature)
    {
        var (given, message) = (signature.ToArray(), data.ToArray());
        return key.Kind == PublicKeyKind.Ed25519
            ? Ed25519.Verify(given, 0, key.Point, 0, message, 0, message.Length)
            : Ed448.Verify(given, 0, key.Point, 0, [], message, 0, message.Length);
    }

    public static bool VerifyDss(PublicKey key, HashId hash, ReadOnlySpan<byte> data, ReadOnlySpan<byte> raw)
    {
        var digest = DigestOf(hash, data);
        var (r, s) = (new BigInteger(1, raw[..(raw.Length / 2)]), new BigInteger(1, raw[(raw.Length / 2)..]));
        try
        {
            if (key.Kind == PublicKeyKind.Dsa)
            {
                var (p, q, g, y) = key.Dsa;
                var signer = new DsaSigner();
                signer.Init(false, new DsaPublicKeyParameters(new BigInteger(1, y), new DsaParameters(new BigInteger(1, p), new BigInteger(1, q), new BigInteger(1, g))));
                return signer.VerifySignature(digest, r, s);
            }

            var domain = DomainOf(key.Kind);
            var verifier = new ECDsaSigner();
            verifier.Init(false, new ECPublicKeyParameters(domain.Curve.DecodePoint(key.Point), domain));
            return verifier.VerifySignature(digest, r, s);
        }
        catch (ArgumentException)
        {
            // not on the curve, or not in the group
            return false;
        }
    }

    /// <summary>Signs with the octets of a PKCS#8 file. Nothing is drawn at random: k by RFC 6979, salt and blinding from the key and the data.</summary>
    public static byte[] Sign(PublicKey key, ReadOnlySpan<byte> pkcs8, SignatureScheme scheme, ReadOnlySpan<byte> data)
    {
        var material = pkcs8.ToArray();
        try
        {
            var parameters = PrivateKeyFactory.CreateKey(material);
            var message = data.ToArray();
            return scheme.Kind switch
            {
                SignatureKind.Ed25519 => SignEdwards((Ed25519PrivateKeyParameters)parameters, message),
                SignatureKind.Ed448 => SignEdwards((Ed448PrivateKeyParameters)parameters, message),
                SignatureKind.RsaPkcs1 or SignatureKind.RsaPss => SignRsa(key, (RsaPrivateCrtKeyParameters)parameters, material, scheme, data),
                _ => SignDss(key, parameters, scheme, data),
            };
        }
        finally
        {
            CryptographicOperations.ZeroMemory(material);
        }
    }

    internal static ECDomainParameters DomainOf(PublicKeyKind kind)
    {
        var curve = kind switch
        {
            PublicKeyKind.EcdsaP256 => SecNamedCurves.GetByOid(SecObjectIdentifiers.SecP256r1),
            PublicKeyKind.EcdsaP384 => SecNamedCurves.GetByOid(SecObjectIdentifiers.SecP384r1),
            _ => SecNamedCurves.GetByOid(SecObjectIdentifiers.SecP521r1),
        };
        return new ECDomainParameters(curve);
    }

    private static byte[] SignEdwards(Ed25519PrivateKeyParameters key, byte[] message)
    {
        var signature = new byte[Ed25519PrivateKeyParameters.SignatureSize];
        key.Sign(Ed25519.Algorithm.Ed25519, null, message, 0, message.Length, signature, 0);
        return signature;
    }

    private static byte[] SignEdwards(Ed448PrivateKeyParameters key, byte[] message)
    {
        var signature = new byte[Ed448PrivateKeyParameters.SignatureSize];
        key.Sign(Ed448.Algorithm.Ed448, [], message, 0, message.Length, signature, 0);
        return signature;
    }

    private static byte[] SignDss(PublicKey key, Org.BouncyCastle.Crypto.AsymmetricKeyParameter parameters, SignatureScheme scheme, ReadOnlySpan<byte> data)
    {
        var digest = DigestOf(scheme.Hash, data);
        var calculator = new HMacDsaKCalculator(DigestOf(scheme.Hash));
        BigInteger[] pair;
        if (key.Kind == PublicKeyKind.Dsa)
        {
            var signer = new DsaSigner(calculator);
            signer.Init(true, parameters);
            pair = signer.GenerateSignature(digest);
        }
        else
        {
            var signer = new ECDsaSigner(calculator);
            signer.Init(true, parameters);
            pair = signer.GenerateSignature(digest);
        }

        var raw = new byte[2 * key.HalfLength];
        Write(pair[0], raw.AsSpan(0, key.HalfLength));
        Write(pair[1], raw.AsSpan(key.HalfLength));
        return scheme.Raw ? raw : Dss.ToDer(raw);
    }

    private static byte[] DigestOf(HashId hash, ReadOnlySpan<byte> data)
    {
        if (hash == HashId.None) return data.ToArray();
        var digest = new byte[Hashes.LengthOf(hash)];
        Hashes.Compute(hash, data, digest);
        return digest;
    }

    private static byte[] SignRsa(PublicKey key, RsaPrivateCrtKeyParameters parameters, byte[] material, SignatureScheme scheme, ReadOnlySpan<byte> data)
    {
        var encoded = new byte[key.Modulus.Length];
        // of the key and the data, so that one message always gives one signature and nobody else knows salt and blinding
        byte[] context = [.. "RSA"u8, (byte)scheme.Kind, (byte)scheme.Hash, .. SHA512.HashData(data)];
        var seed = HMACSHA512.HashData(material, context);
        var good = scheme.Kind == SignatureKind.RsaPss
            ? RsaPadding.TryEncodePss(scheme.Hash, Stretch(seed, "salt"u8, scheme.SaltLength), data, encoded, key.Bits)
            : RsaPadding.TryEncodePkcs1(scheme.Hash, data, encoded);
        if (!good) throw new CryptographicException($"a key of {key.Bits} bits is too short for {scheme}");
        // timing attacks: the private operation works on a blinded value (m r^e)^d = m^d r
        var (n, e) = (new BigInteger(1, key.Modulus), new BigInteger(1, key.Exponent));
        var blind = new BigInteger(1, Stretch(seed, "blind"u8, key.Modulus.Length + 8)).Mod(n.Subtract(BigInteger.Two)).Add(BigInteger.Two);
        var blinded = new BigInteger(1, encoded).Multiply(blind.ModPow(e, n)).Mod(n);
        var (p, q) = (parameters.P, parameters.Q);
        var (mp, mq) = (blinded.Mod(p).ModPow(parameters.DP, p), blinded.Mod(q).ModPow(parameters.DQ, q));
        var opened = mp.Subtract(mq).Multiply(parameters.QInv).Mod(p).Multiply(q).Add(mq).Multiply(blind.ModInverse(n)).Mod(n);
        // a fault in one half would give the key away (Boneh, DeMillo, Lipton)
        if (!opened.ModPow(e, n).Equals(new BigInteger(1, encoded))) throw new CryptographicException("the private key does not fit its public key");
        var signature = new byte[key.Modulus.Length];
        Write(opened, signature);
        return signature;
    }

    private static byte[] Stretch(byte[] seed, ReadOnlySpan<byte> label, int length)
    {
        var output = new byte[length];
        if (length > 0) HKDF.Expand(HashAlgorithmName.SHA512, seed, output, label);
        return output;
    }

    private static void Write(BigInteger number, Span<byte> output)
    {
        var octets = number.ToByteArrayUnsigned();
        output.Clear();
        octets.CopyTo(output[^octets.Length..]);
    }

    private static Org.BouncyCastle.Crypto.IDigest DigestOf(HashId hash) => hash switch
    {
        HashId.Sha1 => new Org.BouncyCastle.Crypto.Digests.Sha1Digest(),
        HashId.Sha384 => new Org.BouncyCastle.Crypto.Digests.Sha384Digest(),
        HashId.Sha512 => new Org.BouncyCastle.Crypto.Digests.Sha512Digest(),
        _ => new Org.BouncyCastle.Crypto.Digests.Sha256Digest(),
    };
}
