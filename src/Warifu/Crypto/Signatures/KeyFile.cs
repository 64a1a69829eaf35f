using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Formats.Asn1;
using System.Security.Cryptography;
using Warifu.Primitives;

namespace Warifu.Crypto.Signatures;

/// <summary>Files with keys and certificates: PEM (RFC 7468) and DER.</summary>
public static class KeyFile
{
    /// <summary>The certificates of a file in its order: a PEM bundle (other blocks are passed over), or one certificate in DER. Only the envelope is looked at.</summary>
    /// <exception cref="FormatException">There is none; the message says what would be right.</exception>
    public static ImmutableArray<ImmutableArray<byte>> ReadCertificates(ReadOnlySpan<byte> file)
    {
        var certificates = ImmutableArray.CreateBuilder<ImmutableArray<byte>>();
        if (Pem.IsPem(file))
        {
            foreach (var block in Pem.Read(file))
            {
                if (block.Label is "CERTIFICATE" or "X509 CERTIFICATE" or "TRUSTED CERTIFICATE") certificates.Add([.. block.Octets]);
                block.Zero();
            }
        }
        else if (LooksLikeSequence(file))
        {
            certificates.Add([.. file]);
        }

        return certificates.Count > 0 ? certificates.ToImmutable() : throw new FormatException("the file holds no certificate; it must be PEM (-----BEGIN CERTIFICATE-----) or DER");
    }

    /// <summary>A raw public key (SubjectPublicKeyInfo, RFC 7670): PEM or DER.</summary>
    /// <exception cref="FormatException">There is none that can be used.</exception>
    public static ImmutableArray<byte> ReadPublicKey(ReadOnlySpan<byte> file)
    {
        byte[] der = [];
        if (!Pem.IsPem(file)) der = file.ToArray();
        foreach (var block in Pem.IsPem(file) ? Pem.Read(file) : [])
        {
            if (block.Label == "PUBLIC KEY") der = [.. block.Octets];
            block.Zero();
        }

        return PublicKey.TryParse(der, out _) ? [.. der] : throw new FormatException("the file holds no public key that can be used; it must be a SubjectPublicKeyInfo: PEM (-----BEGIN PUBLIC KEY-----) or DER");
    }

    /// <summary>Key and certificates of a PKCS#12 file (RFC 7292); the certificate of the key comes first.</summary>
    /// <param name="file">The file.</param>
    /// <param name="passphrase">In UTF-8.</param>
    /// <exception cref="FormatException">It is no such file, or the passphrase is wrong.</exception>
    public static (PrivateKey? Key, ImmutableArray<ImmutableArray<byte>> Certificates) ReadPkcs12(ReadOnlySpan<byte> file, ReadOnlySpan<byte> passphrase)
    {
        var (pkcs8, certificates) = Pkcs12.Read(file, passphrase);
        using (pkcs8) return (pkcs8 is null ? null : PrivateKey.FromPkcs8(pkcs8), certificates);
    }

    /// <summary>The first private key of a file as PrivateKeyInfo; the caller disposes it.</summary>
    internal static Secret ToPkcs8(ReadOnlySpan<byte> file, ReadOnlySpan<byte> passphrase)
    {
        if (!Pem.IsPem(file)) return FromDer(file, passphrase);
        Secret? found = null;
        List<string> labels = [];
        foreach (var block in Pem.Read(file))
        {
            labels.Add(block.Label);
            try
            {
                if (found is not null || !block.Label.EndsWith("PRIVATE KEY", StringComparison.Ordinal)) continue;
                if (block.Label == "OPENSSH PRIVATE KEY") throw new FormatException("the key is in OpenSSH's own form; convert it: ssh-keygen -p -m PKCS8 -f FILE");
                if (block.Cipher is null)
                {
                    found = FromDer(block.Octets, passphrase);
                    continue;
                }

                using var opened = Pem.Decrypt(block, passphrase);
                found = FromDer(opened.Span, passphrase);
            }
            finally
            {
                block.Zero();
            }
        }

        return found ?? throw new FormatException(labels.Count == 0 ? "the file is damaged: it has no complete PEM block" : $"the file holds no private key but {string.Join(", ", labels)}; it must have a block PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY");
    }

    private static bool LooksLikeSequence(ReadOnlySpan<byte> file)
    {
        try
        {
            return AsnDecoder.TryReadEncodedValue(file, AsnEncodingRules.BER, out var tag, out _, out _, out var consumed) && tag == Asn1Tag.Sequence && consumed == file.Length;
        }
        catch (AsnContentException)
        {
            return false;
        }
    }

    /// <summary>Tells the forms apart by their first elements.</summary>
    private static Secret FromDer(ReadOnlySpan<byte> der, ReadOnlySpan<byte> passphrase)
    {
        var octets = GC.AllocateArray<byte>(der.Length, pinned: true);
        der.CopyTo(octets);
        try
        {
            var outer = new AsnReader(octets, AsnEncodingRules.BER);
            var file = outer.ReadSequence();
            if (file.PeekTag() == Asn1Tag.Sequence)
            {
                using var opened = Pbes2.Decrypt(file, passphrase);
                return FromDer(opened.Span, passphrase);
            }

            if (!file.TryReadInt32(out var version)) throw new AsnContentException();
            if (file.PeekTag() == Asn1Tag.Sequence && version == 3)
            {
                var (key, _) = Pkcs12.Read(der, passphrase);
                return key ?? throw new FormatException("the PKCS#12 file holds no private key");
            }

            if (file.PeekTag() == Asn1Tag.Sequence) return FromPkcs8(file);
            if (file.PeekTag() == Asn1Tag.PrimitiveOctetString) return FromSec1(der, file);
            return FromNumbers(der, file);
        }
        catch (AsnContentException)
        {
            throw new FormatException("the file holds no private key that can be read; it must be PEM or DER: PKCS#8, PKCS#1, SEC1 or PKCS#12");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(octets);
        }
    }

    /// <summary>PrivateKeyInfo, or OneAsymmetricKey (RFC 5958), of which attributes and the public half are left out: not every library reads those.</summary>
    private static Secret FromPkcs8(AsnReader file)
    {
        var algorithm = file.ReadEncodedValue();
        var key = file.ReadOctetString();
        try
        {
            return Wrap(writer => writer.WriteEncodedValue(algorithm.Span), key);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(key);
        }
    }

    /// <summary>ECPrivateKey (RFC 5915): the curve stands beside the number.</summary>
    private static Secret FromSec1(ReadOnlySpan<byte> der, AsnReader file)
    {
        CryptographicOperations.ZeroMemory(file.ReadOctetString());
        var parameters = new Asn1Tag(TagClass.ContextSpecific, 0);
        if (!file.HasData || file.PeekTag() is not { TagClass: TagClass.ContextSpecific, TagValue: 0 }) throw new FormatException("the EC private key does not name its curve; convert it: openssl pkcs8 -topk8 -nocrypt");
        var curve = file.ReadSequence(parameters);
        if (curve.PeekTag() != Asn1Tag.ObjectIdentifier) throw new FormatException("the private key's curve is given by explicit parameters; write it with a named curve");
        var oid = curve.ReadObjectIdentifier();
        return Wrap("1.2.840.10045.2.1", writer => writer.WriteObjectIdentifier(oid), der);
    }

    /// <summary>RSAPrivateKey (RFC 8017 appendix A.1.2), or the six numbers of OpenSSL's DSA files.</summary>
    private static Secret FromNumbers(ReadOnlySpan<byte> der, AsnReader file)
    {
        var numbers = new List<ReadOnlyMemory<byte>>();
        while (file.HasData && numbers.Count < 9) numbers.Add(file.ReadIntegerBytes());
        if (numbers.Count == 8) return Wrap("1.2.840.113549.1.1.1", writer => writer.WriteNull(), der);
        if (numbers.Count != 5) throw new AsnContentException();
        var inner = new AsnWriter(AsnEncodingRules.DER);
        inner.WriteInteger(numbers[4].Span);
        var secret = inner.Encode();
        inner.Reset();
        try
        {
            return Wrap("1.2.840.10040.4.1", writer =>
            {
                using (writer.PushSequence())
                {
                    foreach (var number in numbers.GetRange(0, 3)) writer.WriteInteger(number.Span);
                }
            }, secret);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(secret);
        }
    }

    /// <summary>PrivateKeyInfo (RFC 5208) around a key of its own form.</summary>
    private static Secret Wrap(string oid, Action<AsnWriter> parameters, ReadOnlySpan<byte> key) => Wrap(writer =>
    {
        using (writer.PushSequence())
        {
            writer.WriteObjectIdentifier(oid);
            parameters(writer);
        }
    }, key);

    private static Secret Wrap(Action<AsnWriter> algorithm, ReadOnlySpan<byte> key)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER, key.Length + 1024);
        using (writer.PushSequence())
        {
            writer.WriteInteger(0);
            algorithm(writer);
            writer.WriteOctetString(key);
        }

        var wrapped = new Secret(writer.GetEncodedLength());
        writer.Encode(wrapped.Span);
        // its buffer is zeroed
        writer.Reset();
        return wrapped;
    }
}
