using System;
using System.Diagnostics;
using System.Security.Cryptography;
using Org.BouncyCastle.Crypto.Parameters;
using Org.BouncyCastle.Pkcs;
using Org.BouncyCastle.Security;
using Warifu.Crypto;
using Warifu.Crypto.Signatures;
using Warifu.Primitives;

namespace Warifu.Bench;

/// <summary>Microseconds of one signature and of one verification by kind of key, with libcrypto and with the managed fallback.</summary>
internal static class SignatureBench
{
    public static void Run(Options options, Report report)
    {
        report.Table("signatures, microseconds each", "key", "libcrypto sign", "libcrypto verify", "managed sign", "managed verify");
        var data = RandomNumberGenerator.GetBytes(700);
        var budget = TimeSpan.FromMilliseconds(options.Smoke ? 20 : 400);
        foreach (var (name, pkcs8, scheme) in Keys())
        {
            using var secret = KeyFile.ToPkcs8(pkcs8, []);
            using var native = PrivateKey.FromPkcs8(secret);
            using var managed = PrivateKey.FromPkcs8(secret, Provider.Managed);
            var signature = native.Sign(scheme, data);
            report.Row(
                name,
                Measure(budget, () => native.Sign(scheme, data)),
                Measure(budget, () => native.Public.Verify(scheme, data, signature)),
                Measure(budget, () => managed.Sign(scheme, data)),
                Measure(budget, () => native.Public.Verify(scheme, data, signature, Provider.Managed)));
        }
    }

    private static (string Name, byte[] Pkcs8, SignatureScheme Scheme)[] Keys()
    {
        using var rsa2048 = RSA.Create(2048);
        using var rsa3072 = RSA.Create(3072);
        using var rsa4096 = RSA.Create(4096);
        using var p256 = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var p384 = ECDsa.Create(ECCurve.NamedCurves.nistP384);
        using var p521 = ECDsa.Create(ECCurve.NamedCurves.nistP521);
        return
        [
            ("RSA 2048 PSS", rsa2048.ExportPkcs8PrivateKey(), SignatureScheme.RsaPss(HashId.Sha256)),
            ("RSA 3072 PSS", rsa3072.ExportPkcs8PrivateKey(), SignatureScheme.RsaPss(HashId.Sha256)),
            ("RSA 4096 PKCS#1", rsa4096.ExportPkcs8PrivateKey(), SignatureScheme.RsaPkcs1(HashId.Sha256)),
            ("ECDSA P-256", p256.ExportPkcs8PrivateKey(), SignatureScheme.Ecdsa(HashId.Sha256)),
            ("ECDSA P-384", p384.ExportPkcs8PrivateKey(), SignatureScheme.Ecdsa(HashId.Sha384)),
            ("ECDSA P-521", p521.ExportPkcs8PrivateKey(), SignatureScheme.Ecdsa(HashId.Sha512)),
            ("Ed25519", PrivateKeyInfoFactory.CreatePrivateKeyInfo(new Ed25519PrivateKeyParameters(new SecureRandom())).GetDerEncoded(), SignatureScheme.Ed25519),
            ("Ed448", PrivateKeyInfoFactory.CreatePrivateKeyInfo(new Ed448PrivateKeyParameters(new SecureRandom())).GetDerEncoded(), SignatureScheme.Ed448),
        ];
    }

    private static double Measure(TimeSpan budget, Action once)
    {
        for (var i = 0; i < 3; i++) once();
        var (clock, count) = (Stopwatch.StartNew(), 0);
        while (clock.Elapsed < budget)
        {
            once();
            count++;
        }

        return clock.Elapsed.TotalMicroseconds / count;
    }
}
