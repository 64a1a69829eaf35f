using System;
using System.Formats.Asn1;
using System.Security.Cryptography;
using Org.BouncyCastle.Crypto.Generators;
using Warifu.Primitives;

namespace Warifu.Crypto.Signatures;

/// <summary>EncryptedPrivateKeyInfo with PBES2 (RFC 8018 section 6.2): PBKDF2 or scrypt (RFC 7914), AES-CBC or 3DES.</summary>
internal static class Pbes2
{
    private const string Pbes2Oid = "1.2.840.113549.1.5.13", Pbkdf2Oid = "1.2.840.113549.1.5.12", ScryptOid = "1.3.6.1.4.1.11591.4.11";

    // what a file may make us compute
    private const int IterationsMax = 20_000_000;
    private const long ScryptOctetsMax = 1L << 29;

    /// <param name="file">What is inside the outer SEQUENCE.</param>
    /// <param name="passphrase">Opens it.</param>
    public static Secret Decrypt(AsnReader file, ReadOnlySpan<byte> passphrase)
    {
        var algorithm = file.ReadSequence();
        var encrypted = file.ReadOctetString();
        if (algorithm.ReadObjectIdentifier() != Pbes2Oid) throw new FormatException("the private key is encrypted in an old way; convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc");
        if (passphrase.IsEmpty) throw new FormatException("the private key is encrypted; give its passphrase");
        var parameters = algorithm.ReadSequence();
        var derivation = parameters.ReadSequence();
        var cipher = parameters.ReadSequence();
        var (length, triple) = cipher.ReadObjectIdentifier() switch
        {
            "2.16.840.1.101.3.4.1.2" => (16, false),
            "2.16.840.1.101.3.4.1.22" => (24, false),
            "2.16.840.1.101.3.4.1.42" => (32, false),
            "1.2.840.113549.3.7" => (24, true),
            _ => throw new FormatException("the private key is encrypted with a cipher that is not supported; convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc"),
        };
        var iv = cipher.ReadOctetString();
        if (iv.Length != (triple ? 8 : 16)) throw new AsnContentException();
        using var key = new Secret(length);
        Derive(derivation, passphrase, key.Span);
        return Decipher(triple, key.Span, iv, encrypted);
    }

    /// <summary>CBC with the padding of PKCS#7; padding that is not right means a wrong passphrase.</summary>
    public static Secret Decipher(bool triple, ReadOnlySpan<byte> key, byte[] iv, byte[] encrypted)
    {
        using SymmetricAlgorithm cipher = triple ? TripleDES.Create() : Aes.Create();
        var octets = key.ToArray();
        var clear = GC.AllocateArray<byte>(encrypted.Length + 16, pinned: true);
        try
        {
            cipher.Key = octets;
            if (!cipher.TryDecryptCbc(encrypted, iv, clear, out var written)) throw new CryptographicException();
            return new Secret(clear.AsSpan(0, written));
        }
        catch (CryptographicException)
        {
            throw new FormatException("the passphrase does not open the private key");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(octets);
            CryptographicOperations.ZeroMemory(clear);
        }
    }

    private static void Derive(AsnReader derivation, ReadOnlySpan<byte> passphrase, Span<byte> key)
    {
        var oid = derivation.ReadObjectIdentifier();
        var parameters = derivation.ReadSequence();
        if (oid is not (Pbkdf2Oid or ScryptOid)) throw new FormatException("the private key's passphrase is stretched in a way that is not supported; convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc");
        var salt = parameters.ReadOctetString();
        if (!parameters.TryReadInt32(out var cost) || cost < 1) throw new AsnContentException();
        if (oid == ScryptOid)
        {
            if (!parameters.TryReadInt32(out var block) || !parameters.TryReadInt32(out var parallel) || block < 1 || parallel < 1 || !int.IsPow2(cost) || cost < 2) throw new AsnContentException();
            if (128L * cost * block > ScryptOctetsMax || parallel > 64) throw new FormatException("the private key's scrypt parameters ask for too much memory; write it with smaller ones");
            var phrase = passphrase.ToArray();
            var stretched = SCrypt.Generate(phrase, salt, cost, block, parallel, key.Length);
            stretched.CopyTo(key);
            CryptographicOperations.ZeroMemory(phrase);
            CryptographicOperations.ZeroMemory(stretched);
            return;
        }

        if (cost > IterationsMax) throw new FormatException("the private key's passphrase is stretched too often; write it with fewer iterations");
        if (parameters.HasData && parameters.PeekTag() == Asn1Tag.Integer) parameters.ReadIntegerBytes();
        var hash = HashAlgorithmName.SHA1;
        if (parameters.HasData)
        {
            hash = parameters.ReadSequence().ReadObjectIdentifier() switch
            {
                "1.2.840.113549.2.7" => HashAlgorithmName.SHA1,
                "1.2.840.113549.2.9" => HashAlgorithmName.SHA256,
                "1.2.840.113549.2.10" => HashAlgorithmName.SHA384,
                "1.2.840.113549.2.11" => HashAlgorithmName.SHA512,
                _ => throw new FormatException("the private key's passphrase is stretched with a hash that is not supported; convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc"),
            };
        }

        Rfc2898DeriveBytes.Pbkdf2(passphrase, salt, key, cost, hash);
    }
}
