using System;
using System.Collections.Generic;
using System.Formats.Asn1;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;
using Org.BouncyCastle.Crypto.Generators;
using Org.BouncyCastle.Pkcs;
using Org.BouncyCastle.Security;
using Org.BouncyCastle.X509;
using Warifu.Crypto;
using Warifu.Crypto.Signatures;
using Warifu.Primitives;
using Warifu.Tests.Pki;
using Xunit;

namespace Warifu.Tests.Crypto;

/// <summary>Key and certificate files as other programs write them. The keys are made when the tests run.</summary>
[Trait("Item", "2.2")]
public sealed class KeyFileTests
{
    private static readonly byte[] s_passphrase = "correct horse battery staple"u8.ToArray();

    public static TheoryData<string> Kinds => ["rsa", "p256", "p384", "p521", "ed25519", "ed448", "dsa"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Pkcs8_is_read_as_PEM_and_DER(string kind)
    {
        Reads(kind, Keys.Pkcs8(kind));
        Reads(kind, Pem("PRIVATE KEY", Keys.Pkcs8(kind)));
        // text around, line ends of another system, other blocks before it
        Reads(kind, Ascii("some text\r\n" + Text("CERTIFICATE", [1, 2, 3]) + Text("PRIVATE KEY", Keys.Pkcs8(kind)).Replace("\n", "\r\n", StringComparison.Ordinal)));
    }

    [Fact]
    public void The_old_forms_of_rsa_ec_and_dsa_are_read()
    {
        var inner = Inner(Keys.Pkcs8("rsa"));
        Reads("rsa", inner);
        Reads("rsa", Pem("RSA PRIVATE KEY", inner));
        foreach (var kind in new[] { "p256", "p384", "p521" })
        {
            using var ecdsa = ECDsa.Create();
            ecdsa.ImportPkcs8PrivateKey(Keys.Pkcs8(kind), out _);
            Reads(kind, ecdsa.ExportECPrivateKey());
            // with parameters before it, as OpenSSL writes
            Reads(kind, Ascii(Text("EC PARAMETERS", [6, 1, 1]) + Text("EC PRIVATE KEY", ecdsa.ExportECPrivateKey())));
        }

        using var dsa = DSA.Create();
        dsa.ImportPkcs8PrivateKey(Keys.Pkcs8("dsa"), out _);
        var numbers = dsa.ExportParameters(true);
        Reads("dsa", Pem("DSA PRIVATE KEY", Der.Seq([Der.Int(0), .. new[] { numbers.P!, numbers.Q!, numbers.G!, numbers.Y!, numbers.X! }.Select(Number)])));
    }

    public static TheoryData<string, string> Encryptions => new()
    {
        { "aes128", "sha1" }, { "aes192", "sha256" }, { "aes256", "sha256" }, { "aes256", "sha512" }, { "aes256", "sha384" }, { "3des", "sha1" }, { "3des", "sha256" },
    };

    [Theory]
    [MemberData(nameof(Encryptions))]
    public void Encrypted_pkcs8_is_opened_with_its_passphrase_only(string cipher, string hash)
    {
        byte[] salt = RandomNumberGenerator.GetBytes(16), iv = RandomNumberGenerator.GetBytes(cipher == "3des" ? 8 : 16);
        var (cipherId, length) = cipher switch { "aes128" => ("2.16.840.1.101.3.4.1.2", 16), "aes192" => ("2.16.840.1.101.3.4.1.22", 24), "aes256" => ("2.16.840.1.101.3.4.1.42", 32), _ => ("1.2.840.113549.3.7", 24) };
        var (prf, name) = hash switch { "sha1" => ("", HashAlgorithmName.SHA1), "sha384" => ("1.2.840.113549.2.10", HashAlgorithmName.SHA384), "sha512" => ("1.2.840.113549.2.11", HashAlgorithmName.SHA512), _ => ("1.2.840.113549.2.9", HashAlgorithmName.SHA256) };
        using SymmetricAlgorithm algorithm = cipher == "3des" ? TripleDES.Create() : Aes.Create();
        algorithm.Key = Rfc2898DeriveBytes.Pbkdf2(s_passphrase, salt, 2048, name, length);
        // RFC 8018 appendix A.4; HMAC-SHA-1 is the default, which is left out
        var encrypted = Der.Seq(
            Der.Seq(Der.Oid("1.2.840.113549.1.5.13"), Der.Seq(
                Der.Seq(Der.Oid("1.2.840.113549.1.5.12"), Der.Seq([Der.Octets(salt), Der.Int(2048), .. prf.Length == 0 ? [] : new[] { Der.Seq(Der.Oid(prf), Der.Null) }])),
                Der.Seq(Der.Oid(cipherId), Der.Octets(iv)))),
            Der.Octets(algorithm.EncryptCbc(Keys.Pkcs8("p256"), iv)));
        Reads("p256", encrypted, s_passphrase);
        Reads("p256", Pem("ENCRYPTED PRIVATE KEY", encrypted), s_passphrase);
        Refuses(encrypted, [], "give its passphrase");
        Refuses(Pem("ENCRYPTED PRIVATE KEY", encrypted), "wrong"u8, "");
    }

    [Fact]
    public void The_platforms_encrypted_pkcs8_is_read_too()
    {
        using var ecdsa = ECDsa.Create();
        ecdsa.ImportPkcs8PrivateKey(Keys.Pkcs8("p384"), out _);
        Reads("p384", ecdsa.ExportEncryptedPkcs8PrivateKey(s_passphrase, new PbeParameters(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA512, 10_000)), s_passphrase);
        // PKCS#12's own encryption is of the last century
        Refuses(ecdsa.ExportEncryptedPkcs8PrivateKey(Encoding.UTF8.GetString(s_passphrase), new PbeParameters(PbeEncryptionAlgorithm.TripleDes3KeyPkcs12, HashAlgorithmName.SHA1, 2048)), s_passphrase, "openssl pkcs8 -topk8");
    }

    [Fact]
    public void Scrypt_is_read_and_its_cost_bounded()
    {
        byte[] salt = [.. RandomNumberGenerator.GetBytes(16)], iv = [.. RandomNumberGenerator.GetBytes(16)];
        using var aes = Aes.Create();
        aes.Key = SCrypt.Generate(s_passphrase, salt, 16384, 8, 1, 32);
        byte[] File(long cost) => Der.Seq(
            Der.Seq(Der.Oid("1.2.840.113549.1.5.13"), Der.Seq(
                Der.Seq(Der.Oid("1.3.6.1.4.1.11591.4.11"), Der.Seq(Der.Octets(salt), Der.Int(cost), Der.Int(8), Der.Int(1))),
                Der.Seq(Der.Oid("2.16.840.1.101.3.4.1.42"), Der.Octets(iv)))),
            Der.Octets(aes.EncryptCbc(Keys.Pkcs8("ed25519"), iv)));
        Reads("ed25519", File(16384), s_passphrase);
        Refuses(File(1 << 30), s_passphrase, "too much memory");
    }

    [Theory]
    [InlineData("AES-128-CBC", 16)]
    [InlineData("AES-256-CBC", 32)]
    [InlineData("DES-EDE3-CBC", 24)]
    public void The_old_encryption_of_PEM_blocks_is_read(string name, int length)
    {
        var triple = name.StartsWith("DES", StringComparison.Ordinal);
        var iv = RandomNumberGenerator.GetBytes(triple ? 8 : 16);
        // EVP_BytesToKey with MD5 and one iteration
        List<byte> stretched = [];
        for (byte[] last = []; stretched.Count < length; stretched.AddRange(last)) last = MD5.HashData([.. last, .. s_passphrase, .. iv[..8]]);
        using SymmetricAlgorithm cipher = triple ? TripleDES.Create() : Aes.Create();
        cipher.Key = [.. stretched.Take(length)];
        var file = Ascii($"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: {name},{Convert.ToHexString(iv)}\n\n{Convert.ToBase64String(cipher.EncryptCbc(Inner(Keys.Pkcs8("rsa")), iv), Base64FormattingOptions.InsertLineBreaks)}\n-----END RSA PRIVATE KEY-----\n");
        Reads("rsa", file, s_passphrase);
        Refuses(file, [], "give its passphrase");
        Refuses(file, "wrong"u8, "");
    }

    [Fact]
    public void Pkcs12_brings_key_and_certificates()
    {
        var root = Issuing.Root();
        var leaf = root.Issue("CN=gw", spec => spec.Key = TestKey.Foreign(Keys.Of("p256").Public.Spki));
        var store = new Pkcs12StoreBuilder().Build();
        X509CertificateEntry Entry(Entity entity) => new(new X509CertificateParser().ReadCertificate(entity.Der));
        store.SetKeyEntry("gw", new AsymmetricKeyEntry(PrivateKeyFactory.CreateKey(Keys.Pkcs8("p256"))), [Entry(leaf), Entry(root)]);
        using var stream = new System.IO.MemoryStream();
        store.Save(stream, Encoding.UTF8.GetString(s_passphrase).ToCharArray(), new SecureRandom());
        var file = stream.ToArray();
        var (key, certificates) = KeyFile.ReadPkcs12(file, s_passphrase);
        using (key) Assert.True(key!.Public.Equals(Keys.Of("p256").Public));
        Assert.Equal([Convert.ToHexString(leaf.Der), Convert.ToHexString(root.Der)], certificates.Select(certificate => Convert.ToHexString(certificate.AsSpan())));
        Reads("p256", file, s_passphrase);
        Refuses(file, "wrong"u8, "the passphrase is wrong");
    }

    [Fact]
    public void A_bundle_gives_its_certificates_in_order()
    {
        var root = Issuing.Root();
        var (one, two) = (root.Issue("CN=one"), root.Issue("CN=two"));
        var file = Ascii("# both\n" + Text("CERTIFICATE", one.Der) + Text("PRIVATE KEY", Keys.Pkcs8("p256")) + "between\n" + Text("X509 CERTIFICATE", two.Der));
        Assert.Equal([Convert.ToHexString(one.Der), Convert.ToHexString(two.Der)], KeyFile.ReadCertificates(file).Select(certificate => Convert.ToHexString(certificate.AsSpan())));
        Assert.Equal(one.Der, Assert.Single(KeyFile.ReadCertificates(one.Der)).ToArray());
        Assert.Contains("no certificate", Assert.Throws<FormatException>(() => KeyFile.ReadCertificates(Pem("PRIVATE KEY", Keys.Pkcs8("p256")))).Message, StringComparison.Ordinal);
        Assert.Throws<FormatException>(() => KeyFile.ReadCertificates([.. one.Der, 0]));
        Assert.Throws<FormatException>(() => KeyFile.ReadCertificates([]));
    }

    [Fact]
    public void A_raw_public_key_is_read_from_PEM_and_DER()
    {
        var spki = Keys.Of("ed25519").PublicKeyInfo.ToArray();
        Assert.Equal(spki, KeyFile.ReadPublicKey(spki).ToArray());
        Assert.Equal(spki, KeyFile.ReadPublicKey(Pem("PUBLIC KEY", spki)).ToArray());
        Assert.Throws<FormatException>(() => KeyFile.ReadPublicKey(Pem("PRIVATE KEY", Keys.Pkcs8("ed25519"))));
    }

    [Fact]
    public void Files_that_hold_no_key_say_what_would_be_right()
    {
        Refuses([], [], "no private key");
        Refuses("nonsense"u8, [], "no private key");
        Refuses(Pem("CERTIFICATE", [0x30, 0]), [], "holds no private key but CERTIFICATE");
        Refuses(Ascii("-----BEGIN PRIVATE KEY-----\nAAAA"), [], "no complete PEM block");
        Refuses(Ascii("-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----"), [], "no complete PEM block");
        Refuses(Pem("OPENSSH PRIVATE KEY", [1, 2, 3]), [], "ssh-keygen");
        Refuses(Keys.Pkcs8("p256").AsSpan(0, 40), [], "");
        // a curve that IKE has no signatures for
        using var other = ECDsa.Create(ECCurve.NamedCurves.brainpoolP256r1);
        Refuses(other.ExportPkcs8PrivateKey(), [], "not supported");
        using var small = RSA.Create(512);
        Refuses(small.ExportPkcs8PrivateKey(), [], "not supported");
    }

    [Fact]
    public void A_key_that_does_not_fit_its_public_half_is_refused()
    {
        using var rsa = RSA.Create();
        rsa.ImportPkcs8PrivateKey(Keys.Pkcs8("rsa"), out _);
        var numbers = rsa.ExportParameters(true);
        numbers.DP![^1] ^= 2;
        var broken = Der.Seq([Der.Int(0), .. new[] { numbers.Modulus!, numbers.Exponent!, numbers.D!, numbers.P!, numbers.Q!, numbers.DP, numbers.DQ!, numbers.InverseQ! }.Select(Number)]);
        using var pkcs8 = KeyFile.ToPkcs8(broken, []);
        Assert.Throws<FormatException>(() => PrivateKey.FromPkcs8(pkcs8, Provider.Managed));
    }

    [Fact]
    public void Changed_files_never_crash_the_reader()
    {
        var random = new Random(7);
        foreach (var file in new[] { Keys.Pkcs8("p256"), Keys.Pkcs8("ed25519"), Pem("PRIVATE KEY", Keys.Pkcs8("p256")), Inner(Keys.Pkcs8("rsa")) })
        {
            for (var i = 0; i < 300; i++)
            {
                var changed = (byte[])file.Clone();
                for (var n = random.Next(1, 4); n > 0; n--) changed[random.Next(changed.Length)] = (byte)random.Next(256);
                try
                {
                    PrivateKey.Parse(i % 3 == 0 ? changed[..random.Next(changed.Length)] : changed, "x"u8).Dispose();
                }
                catch (FormatException)
                {
                    // said in words
                }
            }
        }
    }

    private static void Reads(string kind, byte[] file, byte[]? passphrase = null)
    {
        using var key = PrivateKey.Parse(file, passphrase);
        Assert.True(key.Public.Equals(Keys.Of(kind).Public), kind);
        // the managed fallback sees the same public half
        using var pkcs8 = KeyFile.ToPkcs8(file, passphrase);
        using var managed = PrivateKey.FromPkcs8(pkcs8, Provider.Managed);
        Assert.True(managed.Public.Equals(key.Public), kind);
    }

    /// <summary>A key that is given up leaves no octet of itself in memory, computes nothing and cannot be copied; a copy that was made before is its own.</summary>
    [Theory]
    [InlineData("p256", false)]
    [InlineData("p256", true)]
    [InlineData("rsa", false)]
    [InlineData("ed25519", true)]
    public void A_disposed_key_is_zeroed_and_of_no_use(string kind, bool native)
    {
        using var pkcs8 = KeyFile.ToPkcs8(Keys.Pkcs8(kind), default);
        var key = PrivateKey.FromPkcs8(pkcs8, native ? Provider.Processor : Provider.Managed);
        using var copy = key.Clone();
        var scheme = SchemeOf(kind);
        var octets = OctetsOf(key).Span;
        Assert.Equal(pkcs8.Span.ToArray(), octets.ToArray());
        key.Dispose();
        Assert.Equal(-1, octets.IndexOfAnyExcept((byte)0));
        Assert.Throws<ObjectDisposedException>(() => key.Sign(scheme, [1, 2, 3]));
        Assert.Throws<ObjectDisposedException>(() => key.Clone());
        Assert.True(copy.Public.Verify(scheme, [1, 2, 3], copy.Sign(scheme, [1, 2, 3])));
        key.Dispose();
    }

    private static SignatureScheme SchemeOf(string kind) => kind switch { "rsa" => SignatureScheme.RsaPss(HashId.Sha256), "ed25519" => SignatureScheme.Ed25519, _ => SignatureScheme.Ecdsa(HashId.Sha256) };

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_pkcs8")]
    private static extern ref Secret OctetsOf(PrivateKey key);

    private static void Refuses(ReadOnlySpan<byte> file, ReadOnlySpan<byte> passphrase, string sentence)
    {
        var (octets, phrase) = (file.ToArray(), passphrase.ToArray());
        Assert.Contains(sentence, Assert.Throws<FormatException>(() => PrivateKey.Parse(octets, phrase)).Message, StringComparison.Ordinal);
    }

    /// <summary>What is inside PKCS#8: the key in its own form.</summary>
    private static byte[] Inner(byte[] pkcs8)
    {
        var info = new AsnReader(pkcs8, AsnEncodingRules.DER).ReadSequence();
        info.ReadIntegerBytes();
        info.ReadSequence();
        return info.ReadOctetString();
    }

    private static byte[] Number(byte[] octets)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        writer.WriteIntegerUnsigned(octets.AsSpan().TrimStart((byte)0));
        return writer.Encode();
    }

    private static byte[] Pem(string label, byte[] der) => Ascii(Text(label, der));

    private static string Text(string label, byte[] der) => PemEncoding.WriteString(label, der) + "\n";

    private static byte[] Ascii(string text) => Encoding.ASCII.GetBytes(text);
}
