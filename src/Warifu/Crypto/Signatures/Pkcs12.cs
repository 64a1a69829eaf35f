using System;
using System.Collections.Immutable;
using System.IO;
using System.Security.Cryptography;
using System.Text;
using Org.BouncyCastle.Pkcs;
using Org.BouncyCastle.Security;
using Warifu.Primitives;

namespace Warifu.Crypto.Signatures;

/// <summary>PKCS#12 (RFC 7292) by BouncyCastle.</summary>
internal static class Pkcs12
{
    public static (Secret? Pkcs8, ImmutableArray<ImmutableArray<byte>> Certificates) Read(ReadOnlySpan<byte> file, ReadOnlySpan<byte> passphrase)
    {
        var phrase = new char[Encoding.UTF8.GetMaxCharCount(passphrase.Length)];
        var length = Encoding.UTF8.GetChars(passphrase, phrase);
        try
        {
            var store = new Pkcs12StoreBuilder().Build();
            using var stream = new MemoryStream(file.ToArray(), writable: false);
            store.Load(stream, phrase[..length]);
            return Take(store);
        }
        catch (Exception wrong) when (wrong is IOException or ArgumentException or GeneralSecurityException or Org.BouncyCastle.Crypto.CryptoException or InvalidCastException or NullReferenceException)
        {
            throw new FormatException(passphrase.IsEmpty ? "the PKCS#12 file cannot be opened: it needs its passphrase, or it is damaged" : "the PKCS#12 file cannot be opened: the passphrase is wrong, or the file is damaged");
        }
        finally
        {
            Array.Clear(phrase);
        }
    }

    private static (Secret? Pkcs8, ImmutableArray<ImmutableArray<byte>> Certificates) Take(Pkcs12Store store)
    {
        Secret? key = null;
        var certificates = ImmutableArray.CreateBuilder<ImmutableArray<byte>>();
        foreach (var alias in store.Aliases)
        {
            if (!store.IsKeyEntry(alias) || key is not null) continue;
            var octets = PrivateKeyInfoFactory.CreatePrivateKeyInfo(store.GetKey(alias).Key).GetDerEncoded();
            key = new Secret(octets);
            CryptographicOperations.ZeroMemory(octets);
            foreach (var entry in store.GetCertificateChain(alias) ?? []) certificates.Add([.. entry.Certificate.GetEncoded()]);
        }

        foreach (var alias in store.Aliases)
        {
            if (store.IsCertificateEntry(alias) && store.GetCertificate(alias)?.Certificate.GetEncoded() is { } certificate && !Has(certificates, certificate)) certificates.Add([.. certificate]);
        }

        return (key, certificates.ToImmutable());
    }

    private static bool Has(ImmutableArray<ImmutableArray<byte>>.Builder certificates, byte[] certificate)
    {
        foreach (var known in certificates)
        {
            if (known.AsSpan().SequenceEqual(certificate)) return true;
        }

        return false;
    }
}
