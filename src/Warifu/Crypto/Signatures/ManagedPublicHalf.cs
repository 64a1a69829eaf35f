using System;
using System.Formats.Asn1;
using System.IO;
using System.Security.Cryptography;
using Org.BouncyCastle.Crypto.Parameters;
using Org.BouncyCastle.Security;

namespace Warifu.Crypto.Signatures;

/// <summary>SubjectPublicKeyInfo of a private key, by BouncyCastle.</summary>
internal static class ManagedPublicHalf
{
    /// <exception cref="FormatException">It is no such key.</exception>
    public static byte[] Of(ReadOnlySpan<byte> pkcs8)
    {
        var material = pkcs8.ToArray();
        try
        {
            return PrivateKeyFactory.CreateKey(material) switch
            {
                RsaPrivateCrtKeyParameters rsa => Rsa(rsa),
                ECPrivateKeyParameters ec => Ec(ec),
                DsaPrivateKeyParameters dsa => Dsa(dsa),
                Ed25519PrivateKeyParameters edwards => Edwards("1.3.101.112", edwards.GeneratePublicKey().GetEncoded()),
                Ed448PrivateKeyParameters edwards => Edwards("1.3.101.113", edwards.GeneratePublicKey().GetEncoded()),
                _ => throw new FormatException("the private key is of a kind that is not supported"),
            };
        }
        catch (Exception wrong) when (wrong is ArgumentException or IOException or GeneralSecurityException or InvalidCastException or ArithmeticException)
        {
            throw new FormatException("the private key is damaged");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(material);
        }
    }

    private static byte[] Rsa(RsaPrivateCrtKeyParameters key)
    {
        var numbers = new AsnWriter(AsnEncodingRules.DER);
        using (numbers.PushSequence())
        {
            numbers.WriteInteger(key.Modulus.ToByteArray());
            numbers.WriteInteger(key.PublicExponent.ToByteArray());
        }

        return Info("1.2.840.113549.1.1.1", writer => writer.WriteNull(), numbers.Encode());
    }

    private static byte[] Ec(ECPrivateKeyParameters key)
    {
        var oid = key.PublicKeyParamSet?.Id ?? throw new FormatException("the private key's curve is given by explicit parameters; write it with a named curve");
        var point = key.Parameters.G.Multiply(key.D).Normalize().GetEncoded(false);
        return Info("1.2.840.10045.2.1", writer => writer.WriteObjectIdentifier(oid), point);
    }

    private static byte[] Dsa(DsaPrivateKeyParameters key)
    {
        var (p, q, g) = (key.Parameters.P, key.Parameters.Q, key.Parameters.G);
        var number = new AsnWriter(AsnEncodingRules.DER);
        number.WriteInteger(g.ModPow(key.X, p).ToByteArray());
        return Info("1.2.840.10040.4.1", writer =>
        {
            using (writer.PushSequence())
            {
                writer.WriteInteger(p.ToByteArray());
                writer.WriteInteger(q.ToByteArray());
                writer.WriteInteger(g.ToByteArray());
            }
        }, number.Encode());
    }

    private static byte[] Edwards(string oid, byte[] point) => Info(oid, _ => { }, point);

    private static byte[] Info(string oid, Action<AsnWriter> parameters, byte[] bits)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            using (writer.PushSequence())
            {
                writer.WriteObjectIdentifier(oid);
                parameters(writer);
            }

            writer.WriteBitString(bits);
        }

        return writer.Encode();
    }
}
