using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;
using Org.BouncyCastle.Crypto.Parameters;
using Org.BouncyCastle.Pkcs;
using Org.BouncyCastle.Security;
using Warifu.Crypto.Signatures;

namespace Warifu.Tests.Crypto;

/// <summary>Private keys that are made when a test runs, one of each kind, and forgotten with it.</summary>
internal static class Keys
{
    private static readonly ConcurrentDictionary<string, Lazy<(byte[] Pkcs8, PrivateKey Key)>> s_keys = new();

    /// <summary>"rsa" (2048), "rsa3072", "p256", "p384", "p521", "ed25519", "ed448", "dsa"; a suffix after a dot makes another one of the kind.</summary>
    public static PrivateKey Of(string kind) => Made(kind).Key;

    /// <summary>Those that were made so far.</summary>
    public static IEnumerable<(string Kind, PrivateKey Key)> Known => s_keys.ToArray().Where(entry => entry.Value.IsValueCreated).Select(entry => (entry.Key, entry.Value.Value.Key));

    public static byte[] Pkcs8(string kind) => [.. Made(kind).Pkcs8];

    private static (byte[] Pkcs8, PrivateKey Key) Made(string kind) => s_keys.GetOrAdd(kind, name => new Lazy<(byte[], PrivateKey)>(() =>
    {
        var octets = Make(name.Split('.')[0]);
        return (octets, PrivateKey.Parse(octets));
    })).Value;

    private static byte[] Make(string kind)
    {
        switch (kind)
        {
            case "rsa":
            case "rsa3072":
                using (var rsa = RSA.Create(kind == "rsa" ? 2048 : 3072)) return rsa.ExportPkcs8PrivateKey();
            case "dsa":
                // BCL cannot make parameters of 1024 bits with SHA-1 everywhere; 2048 it can
                using (var dsa = DSA.Create(2048)) return dsa.ExportPkcs8PrivateKey();
            case "ed25519":
                return PrivateKeyInfoFactory.CreatePrivateKeyInfo(new Ed25519PrivateKeyParameters(new SecureRandom())).GetDerEncoded();
            case "ed448":
                return PrivateKeyInfoFactory.CreatePrivateKeyInfo(new Ed448PrivateKeyParameters(new SecureRandom())).GetDerEncoded();
            default:
                using (var ecdsa = ECDsa.Create(kind switch { "p384" => ECCurve.NamedCurves.nistP384, "p521" => ECCurve.NamedCurves.nistP521, _ => ECCurve.NamedCurves.nistP256 })) return ecdsa.ExportPkcs8PrivateKey();
        }
    }
}
