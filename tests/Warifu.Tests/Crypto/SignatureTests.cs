using System;
using System.Collections.Generic;
using System.Linq;
using System.Numerics;
using System.Security.Cryptography;
using Warifu.Crypto;
using Warifu.Crypto.Signatures;
using Warifu.Primitives;
using Warifu.Tests.Pki;
using Xunit;

namespace Warifu.Tests.Crypto;

/// <summary>Signatures against published vectors, forgeries and themselves, with libcrypto and with the managed fallback.</summary>
[Trait("Item", "2.1")]
public sealed class SignatureTests
{
    private static readonly Provider[] s_providers = [Provider.Managed, Provider.Libcrypto];

    public static TheoryData<string> Kinds => ["RsaPkcs1", "RsaPss", "Ecdsa", "Ed25519", "Ed448", "Dsa"];

    public static TheoryData<string> AlgorithmIdentifiersOfTheRfcs => [.. VectorFile.Read("algorithm-identifiers").Select(vector => string.Join(' ', vector))];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Wycheproof_signatures_are_judged_alike_by_both_providers(string kind)
    {
        PublicKey? key = null;
        var vectors = new List<(PublicKey Key, string[] Line)>();
        foreach (var line in VectorFile.Read("wycheproof-signatures"))
        {
            if (line[0] == "key") key = PublicKey.TryParse(Convert.FromHexString(line[1]), out var parsed) ? parsed : throw new InvalidOperationException("a key of the vectors does not parse: " + line[1]);
            else if (line[0] == kind) vectors.Add((key!, line));
        }

        Assert.True(vectors.Count > 80, $"only {vectors.Count} vectors");
        Assert.Contains(vectors, vector => vector.Line[4] == "valid");
        var wrong = new List<string>();
        foreach (var (publicKey, line) in vectors)
        {
            var scheme = new SignatureScheme(Enum.Parse<SignatureKind>(kind), Enum.Parse<HashId>(line[1]), int.Parse(line[2]), line[3] == "1");
            foreach (var provider in s_providers)
            {
                // "acceptable" is a lenient reading of an encoding: we have none
                if (publicKey.Verify(scheme, VectorFile.Octets(line[5]), VectorFile.Octets(line[6]), provider) != (line[4] == "valid")) wrong.Add($"{provider} {publicKey} {scheme} {line[4]} {line[5][..Math.Min(20, line[5].Length)]}");
            }
        }

        Assert.True(wrong.Count == 0, $"{wrong.Count}: {string.Join("; ", wrong.Take(5))}");
    }

    [Theory]
    [MemberData(nameof(AlgorithmIdentifiersOfTheRfcs))]
    public void Algorithm_identifiers_are_those_of_the_rfcs(string vector)
    {
        var fields = vector.Split(' ');
        var der = Convert.FromHexString(fields[1]);
        Assert.True(SignatureScheme.TryParse(der, out var scheme));
        Assert.Equal(fields[0], scheme.ToString());
        // RFC 7427 appendix A.4 writes out the default of PSS's trailer field, which DER leaves out: that is read and not written
        if (fields.Length > 2) der = Convert.FromHexString(fields[2]);
        Assert.Equal(der, scheme.AlgorithmIdentifier());
        foreach (var changed in Mutations(der)) Assert.False(SignatureScheme.TryParse(changed, out var other) && other == scheme, Convert.ToHexString(changed));
    }

    [Fact]
    public void Algorithm_identifiers_that_hide_something_are_refused()
    {
        foreach (var hidden in new[]
        {
            "",
            "30",
            "3000",
            // sha256WithRSAEncryption without NULL, with something behind, in a longer form
            "300B06092A864886F70D01010B",
            "300D06092A864886F70D01010B050000",
            "30810D06092A864886F70D01010B0500",
            // md5WithRSAEncryption
            "300D06092A864886F70D0101040500",
            // PSS: MGF1 with another hash, trailer 2, a negative salt
            "304106092A864886F70D01010A3034A00F300D06096086480165030402010500A11C301A06092A864886F70D010108300D06096086480165030402020500A203020120",
            "304606092A864886F70D01010A3039A00F300D06096086480165030402010500A11C301A06092A864886F70D010108300D06096086480165030402010500A203020120A303020102",
            "304106092A864886F70D01010A3034A00F300D06096086480165030402010500A11C301A06092A864886F70D010108300D06096086480165030402010500A2030201FF",
        })
        {
            Assert.False(SignatureScheme.TryParse(Convert.FromHexString(hidden), out _), hidden);
        }
    }

    [Theory]
    [InlineData("rsa", "RsaPkcs1", "Sha1")]
    [InlineData("rsa", "RsaPkcs1", "Sha256")]
    [InlineData("rsa", "RsaPkcs1", "Sha384")]
    [InlineData("rsa", "RsaPkcs1", "Sha512")]
    [InlineData("rsa", "RsaPss", "Sha256")]
    [InlineData("rsa", "RsaPss", "Sha384")]
    [InlineData("rsa", "RsaPss", "Sha512")]
    [InlineData("p256", "Ecdsa", "Sha256")]
    [InlineData("p256", "Ecdsa", "Sha512")]
    [InlineData("p384", "Ecdsa", "Sha384")]
    [InlineData("p521", "Ecdsa", "Sha512")]
    [InlineData("p521", "Ecdsa", "Sha256")]
    [InlineData("ed25519", "Ed25519", "Identity")]
    [InlineData("ed448", "Ed448", "Identity")]
    [InlineData("dsa", "Dsa", "Sha1")]
    [InlineData("dsa", "Dsa", "Sha256")]
    public void What_one_provider_signs_the_other_verifies(string kind, string signature, string hash)
    {
        var id = Enum.Parse<HashId>(hash);
        var scheme = new SignatureScheme(Enum.Parse<SignatureKind>(signature), id, signature == "RsaPss" ? Hashes.LengthOf(id) : 0);
        var schemes = scheme.Kind is SignatureKind.Ecdsa or SignatureKind.Dsa ? new[] { scheme, scheme with { Raw = true } } : [scheme];
        foreach (var signer in s_providers)
        {
            using var pkcs8 = KeyFile.ToPkcs8(Keys.Pkcs8(kind), []);
            using var key = PrivateKey.FromPkcs8(pkcs8, signer);
            Assert.True(key.Public.Spki.Span.SequenceEqual(Keys.Of(kind).Public.Spki.Span));
            foreach (var one in schemes)
            {
                var data = RandomNumberGenerator.GetBytes(200);
                var signed = key.Sign(one, data);
                if (one.Raw) Assert.Equal(2 * key.Public.HalfLength, signed.Length);
                foreach (var verifier in s_providers)
                {
                    Assert.True(key.Public.Verify(one, data, signed, verifier));
                    // another message, another signature, another length, another form
                    data[7] ^= 1;
                    Assert.False(key.Public.Verify(one, data, signed, verifier));
                    data[7] ^= 1;
                    signed[signed.Length / 2] ^= 1;
                    Assert.False(key.Public.Verify(one, data, signed, verifier));
                    signed[signed.Length / 2] ^= 1;
                    Assert.False(key.Public.Verify(one, data, [.. signed, 0], verifier));
                    Assert.False(key.Public.Verify(one, data, [0, .. signed], verifier));
                    Assert.False(key.Public.Verify(one, data, signed.AsSpan(1), verifier));
                    Assert.False(key.Public.Verify(one, data, [], verifier));
                    if (schemes.Length > 1) Assert.False(key.Public.Verify(one with { Raw = !one.Raw }, data, signed, verifier));
                }
            }
        }
    }

    [Fact]
    public void A_key_signs_nothing_but_what_it_is_for()
    {
        var rsa = Keys.Of("rsa");
        Assert.Throws<CryptographicException>(() => rsa.Sign(SignatureScheme.Ecdsa(HashId.Sha256), "x"u8));
        Assert.Throws<CryptographicException>(() => Keys.Of("p256").Sign(SignatureScheme.Ed25519, "x"u8));
        Assert.False(rsa.Public.Verify(SignatureScheme.Ecdsa(HashId.Sha256), "x"u8, new byte[64]));
        // a key for PSS only (RFC 4055 section 1.2) verifies no PKCS#1 v1.5
        var spki = rsa.Public.Spki.ToArray();
        var only = Der.Seq(Der.Seq(Der.Oid("1.2.840.113549.1.1.10")), Der.Bits(BitsOf(spki)));
        Assert.True(PublicKey.TryParse(only, out var forPss));
        Assert.True(forPss!.IsPssOnly);
        Assert.False(forPss.Verify(SignatureScheme.RsaPkcs1(HashId.Sha256), "x"u8, rsa.Sign(SignatureScheme.RsaPkcs1(HashId.Sha256), "x"u8)));
        Assert.True(forPss.Verify(SignatureScheme.RsaPss(HashId.Sha256), "x"u8, rsa.Sign(SignatureScheme.RsaPss(HashId.Sha256), "x"u8)));
    }

    /// <summary>
    /// Exponent 3 and a verifier that does not look at all octets (CVE-2006-4339, CVE-2014-1568): a cube whose head is a good encoding, or whose middle hides rubbish, is signed by nobody. Each forgery opens to what the broken
    /// verifiers took; ours takes none.
    /// </summary>
    [Fact]
    public void Cubes_that_look_like_signatures_are_no_signatures()
    {
        // nobody needs the private key: any modulus of the length does
        var modulus = RandomNumberGenerator.GetBytes(256);
        (modulus[0], modulus[^1]) = ((byte)(modulus[0] | 0x80), (byte)(modulus[^1] | 1));
        Assert.True(PublicKey.TryParse(Der.Seq(Der.Seq(Der.Oid("1.2.840.113549.1.1.1"), Der.Null), Der.Bits(Der.Seq(Number(modulus), Number([3])))), out var key));
        var data = "forged"u8.ToArray();
        var info = new byte[] { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20 };
        var digest = SHA256.HashData(data);
        var forgeries = new List<byte[]>();
        foreach (var filling in new[] { 1, 8, 11 })
        {
            // 00 01 FF … 00 DigestInfo digest, then rubbish: the root of it, rounded up, cubes to the same head
            byte[] head = [0x00, 0x01, .. Enumerable.Repeat((byte)0xFF, filling), 0x00, .. info, .. digest];
            forgeries.Add(Root(head, 256));
        }

        // parameters of the AlgorithmIdentifier full of rubbish
        byte[] loose = [0x00, 0x01, .. Enumerable.Repeat((byte)0xFF, 8), 0x00, 0x30, 0x81, 0xC8, 0x30, 0x81, 0xA3, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x04, 0x81, 0x95];
        forgeries.Add(Root(loose, 256));
        foreach (var forged in forgeries)
        {
            var cube = BigInteger.Pow(new BigInteger(forged, isUnsigned: true, isBigEndian: true), 3).ToByteArray(isUnsigned: true, isBigEndian: true);
            Assert.Equal(0x01, cube[0]);
            Assert.True(cube.Length == 255, "no good forgery");
            foreach (var provider in s_providers) Assert.False(key.Verify(SignatureScheme.RsaPkcs1(HashId.Sha256), data, forged, provider));
        }

        // the signature of value 1 and 0, and what is not below the modulus
        foreach (var provider in s_providers)
        {
            Assert.False(key.Verify(SignatureScheme.RsaPkcs1(HashId.Sha256), data, new byte[256], provider));
            Assert.False(key.Verify(SignatureScheme.RsaPkcs1(HashId.Sha256), data, modulus, provider));
            Assert.False(key.Verify(SignatureScheme.RsaPss(HashId.Sha256), data, new byte[256], provider));
        }
    }

    [Fact]
    public void A_signature_plus_the_modulus_is_no_signature()
    {
        var key = Keys.Of("rsa");
        var signed = key.Sign(SignatureScheme.RsaPkcs1(HashId.Sha256), "x"u8);
        var sum = (new BigInteger(signed, true, true) + new BigInteger(key.Public.Modulus, true, true)).ToByteArray(true, true);
        foreach (var provider in s_providers)
        {
            Assert.True(key.Public.Verify(SignatureScheme.RsaPkcs1(HashId.Sha256), "x"u8, signed, provider));
            Assert.False(key.Public.Verify(SignatureScheme.RsaPkcs1(HashId.Sha256), "x"u8, sum, provider));
            Assert.False(key.Public.Verify(SignatureScheme.RsaPkcs1(HashId.Sha1), "x"u8, signed, provider));
        }
    }

    [Fact]
    public void Keys_that_nobody_should_use_do_not_parse()
    {
        var rsa = Der.Oid("1.2.840.113549.1.1.1");
        byte[] odd = [.. Enumerable.Repeat((byte)0xC1, 256)];
        byte[] even = [.. odd];
        even[^1] = 0xC0;
        Assert.True(Parses(Rsa(odd, [1, 0, 1])));
        Assert.False(Parses(Rsa(even, [1, 0, 1])), "an even modulus");
        Assert.False(Parses(Rsa(odd, [2])), "an even exponent");
        Assert.False(Parses(Rsa(odd, [1])), "exponent 1: everything is its own signature");
        Assert.False(Parses(Rsa(odd, odd)), "an exponent that costs seconds");
        Assert.False(Parses(Rsa([.. odd.Take(64)], [1, 0, 1])), "512 bits");
        Assert.False(Parses(Rsa([.. Enumerable.Repeat((byte)0xC1, 4096)], [1, 0, 1])), "32768 bits");
        Assert.False(Parses(Der.Seq(Der.Seq(rsa), Der.Bits(Der.Seq(Number(odd), Number([3]))))), "no NULL");
        Assert.False(Parses([.. Rsa(odd, [3]), 0]), "something behind");
        var p256 = Keys.Of("p256").Public.Spki.ToArray();
        Assert.True(Parses(p256));
        var point = BitsOf(p256);
        Assert.False(Parses(Ec("1.3.132.0.34", point)), "the point of another curve");
        Assert.False(Parses(Ec("1.3.132.0.10", point)), "a curve that is not for IKE");
        Assert.False(Parses(Ec("1.2.840.10045.3.1.7", [2, .. point.Skip(1).Take(32)])), "a compressed point");
        Assert.False(Parses(Ec("1.2.840.10045.3.1.7", [0])), "the point at infinity");
        // not on the curve: it parses and verifies nothing
        byte[] off = [.. point];
        off[^1] ^= 1;
        Assert.True(PublicKey.TryParse(Ec("1.2.840.10045.3.1.7", off), out var strange));
        foreach (var provider in s_providers) Assert.False(strange!.Verify(SignatureScheme.Ecdsa(HashId.Sha256), "x"u8, Keys.Of("p256").Sign(SignatureScheme.Ecdsa(HashId.Sha256), "x"u8), provider));
        // explicit parameters (CVE-2020-0601)
        using var ecdsa = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var given = ECDsa.Create();
        given.ImportParameters(ecdsa.ExportExplicitParameters(false));
        Assert.False(Parses(given.ExportSubjectPublicKeyInfo()), "explicit curve parameters");
    }

    private static bool Parses(byte[] spki) => PublicKey.TryParse(spki, out _);

    private static byte[] Rsa(byte[] modulus, byte[] exponent) => Der.Seq(Der.Seq(Der.Oid("1.2.840.113549.1.1.1"), Der.Null), Der.Bits(Der.Seq(Number(modulus), Number(exponent))));

    private static byte[] Ec(string curve, byte[] point) => Der.Seq(Der.Seq(Der.Oid("1.2.840.10045.2.1"), Der.Oid(curve)), Der.Bits(point));

    private static byte[] Number(byte[] octets)
    {
        var writer = new System.Formats.Asn1.AsnWriter(System.Formats.Asn1.AsnEncodingRules.DER);
        writer.WriteIntegerUnsigned(octets);
        return writer.Encode();
    }

    private static byte[] BitsOf(byte[] spki)
    {
        var info = new System.Formats.Asn1.AsnReader(spki, System.Formats.Asn1.AsnEncodingRules.DER).ReadSequence();
        info.ReadSequence();
        return info.ReadBitString(out _);
    }

    /// <summary>The least number of <paramref name="length"/> octets whose cube begins with <paramref name="head"/>.</summary>
    private static byte[] Root(byte[] head, int length)
    {
        byte[] padded = [.. head, .. new byte[length - head.Length]];
        var target = new BigInteger(padded, true, true);
        var (low, high) = (BigInteger.Zero, BigInteger.One << ((length * 8 / 3) + 1));
        while (low < high)
        {
            var middle = (low + high) >> 1;
            if (BigInteger.Pow(middle, 3) < target) low = middle + 1;
            else high = middle;
        }

        var root = low.ToByteArray(true, true);
        return [.. new byte[length - root.Length], .. root];
    }

    private static IEnumerable<byte[]> Mutations(byte[] der)
    {
        for (var i = 0; i < der.Length; i++)
        {
            var changed = (byte[])der.Clone();
            changed[i] ^= 0x01;
            yield return changed;
        }

        yield return der[..^1];
        yield return [.. der, 0];
    }
}
