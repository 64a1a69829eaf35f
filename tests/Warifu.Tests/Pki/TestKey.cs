using System;
using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace Warifu.Tests.Pki;

/// <summary>A key pair that is made when a test runs and forgotten with it.</summary>
internal sealed class TestKey
{
    private static readonly ConcurrentDictionary<int, TestKey> s_rsa = new();

    private readonly ECDsa? _ecdsa;
    private readonly RSA? _rsa;

    private TestKey(ECDsa ecdsa) => (_ecdsa, Spki) = (ecdsa, ecdsa.ExportSubjectPublicKeyInfo());

    private TestKey(RSA rsa) => (_rsa, Spki) = (rsa, rsa.ExportSubjectPublicKeyInfo());

    private TestKey(byte[] spki) => Spki = spki;

    /// <summary>The public half of a key that is kept elsewhere: it can be certified and signs nothing.</summary>
    public static TestKey Foreign(ReadOnlyMemory<byte> spki) => new(spki.ToArray());

    /// <summary>A new one on P-256.</summary>
    public static TestKey New() => new(ECDsa.Create(ECCurve.NamedCurves.nistP256));

    public static TestKey P384() => new(ECDsa.Create(ECCurve.NamedCurves.nistP384));

    /// <summary>One per length: they take long to make.</summary>
    public static TestKey Rsa(int bits) => s_rsa.GetOrAdd(bits, length => new TestKey(RSA.Create(length)));

    public byte[] Spki { get; }

    public byte[] Pkcs8() => _rsa?.ExportPkcs8PrivateKey() ?? _ecdsa!.ExportPkcs8PrivateKey();

    public byte[] Algorithm(HashAlgorithmName hash) => _rsa is not null
        ? Der.Seq(Der.Oid(hash == HashAlgorithmName.SHA1 ? "1.2.840.113549.1.1.5" : hash == HashAlgorithmName.MD5 ? "1.2.840.113549.1.1.4" : hash == HashAlgorithmName.SHA384 ? "1.2.840.113549.1.1.12" : "1.2.840.113549.1.1.11"), Der.Null)
        : Der.Seq(Der.Oid(hash == HashAlgorithmName.SHA1 ? "1.2.840.10045.4.1" : hash == HashAlgorithmName.SHA384 ? "1.2.840.10045.4.3.3" : "1.2.840.10045.4.3.2"));

    public byte[] Sign(byte[] data, HashAlgorithmName hash) => _rsa?.SignData(data, hash, RSASignaturePadding.Pkcs1) ?? _ecdsa!.SignData(data, hash, DSASignatureFormat.Rfc3279DerSequence);

    /// <summary>SEQUENCE of what is signed, how, and the signature.</summary>
    public byte[] Signed(byte[] tbs, HashAlgorithmName hash, params byte[][] more) => Der.Seq([tbs, Algorithm(hash), Der.Bits(Sign(tbs, hash)), .. more]);
}
