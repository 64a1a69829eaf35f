using System;
using System.Security.Cryptography;

namespace Warifu.App.Cli.Ca;

/// <summary>Makes private keys, as PKCS#8 in PEM.</summary>
internal static class KeyMaker
{
    public static readonly string[] Kinds = ["rsa", "ecdsa", "ed25519", "ed448"];

    /// <summary>Sizes that a kind can have, the default first.</summary>
    public static int[] SizesOf(string kind) => kind switch { "rsa" => [3072, 2048, 4096, 8192], "ecdsa" => [256, 384, 521], _ => [0] };

    /// <param name="kind">One of <see cref="Kinds"/>.</param>
    /// <param name="size">Bits of the modulus or curve; 0 = the default.</param>
    public static string Generate(string kind, int size = 0)
    {
        if (size == 0) size = SizesOf(kind)[0];
        switch (kind)
        {
            case "rsa":
                using (var key = RSA.Create(size)) return key.ExportPkcs8PrivateKeyPem();
            case "ecdsa":
                using (var key = ECDsa.Create(size switch { 384 => ECCurve.NamedCurves.nistP384, 521 => ECCurve.NamedCurves.nistP521, _ => ECCurve.NamedCurves.nistP256 })) return key.ExportPkcs8PrivateKeyPem();
            case "ed25519":
                return Edwards(0x70, 32);
            case "ed448":
                return Edwards(0x71, 57);
            default:
                throw new ArgumentException($"no such kind of key: {kind}", nameof(kind));
        }
    }

    /// <summary>RFC 8410 section 7: any octets are a private key.</summary>
    private static string Edwards(byte oid, int length)
    {
        byte[] head = [0x30, (byte)(length + 14), 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, oid, 0x04, (byte)(length + 2), 0x04, (byte)length];
        var der = GC.AllocateArray<byte>(head.Length + length, pinned: true);
        head.CopyTo(der, 0);
        RandomNumberGenerator.Fill(der.AsSpan(head.Length));
        var pem = PemEncoding.WriteString("PRIVATE KEY", der);
        CryptographicOperations.ZeroMemory(der);
        return pem;
    }
}
