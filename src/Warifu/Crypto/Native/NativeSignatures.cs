using System;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Warifu.Crypto.Signatures;
using Warifu.Primitives;

namespace Warifu.Crypto.Native;

/// <summary>An EVP_PKEY, freed when nobody holds it.</summary>
internal abstract unsafe class NativeKey() : SafeHandle(0, ownsHandle: true)
{
    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        Libcrypto.EVP_PKEY_free(handle);
        return true;
    }

    protected static nint DigestOf(HashId hash) => hash switch
    {
        HashId.Sha1 => Libcrypto.Digest(Provider.Libcrypto, MacKind.HmacSha1),
        HashId.Sha256 => Libcrypto.Digest(Provider.Libcrypto, MacKind.HmacSha256),
        HashId.Sha384 => Libcrypto.Digest(Provider.Libcrypto, MacKind.HmacSha384),
        HashId.Sha512 => Libcrypto.Digest(Provider.Libcrypto, MacKind.HmacSha512),
        // EdDSA has its own
        _ => 0,
    };
}

/// <summary>Verifies DSA, ECDSA and EdDSA. RSA needs no more than <see cref="NativeRsa"/>.</summary>
internal sealed unsafe class NativePublicKey : NativeKey
{
    public NativePublicKey(ReadOnlySpan<byte> spki)
    {
        fixed (byte* start = spki)
        {
            var pointer = start;
            // 0 for a point that is not on its curve: then nothing verifies
            SetHandle(Libcrypto.d2i_PUBKEY(0, &pointer, spki.Length));
        }

        if (IsInvalid) Libcrypto.ERR_clear_error();
    }

    public bool Verify(HashId hash, ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature)
    {
        if (IsInvalid) return false;
        if (hash == HashId.None) return VerifyDigest(data, signature);
        var held = false;
        DangerousAddRef(ref held);
        var context = Libcrypto.EVP_MD_CTX_new();
        int result;
        fixed (byte* message = data, given = signature)
        {
            byte nothing;
            result = Libcrypto.EVP_DigestVerifyInit(context, null, DigestOf(hash), 0, handle) == 1
                ? Libcrypto.EVP_DigestVerify(context, given, (nuint)signature.Length, message == null ? &nothing : message, (nuint)data.Length)
                : 0;
        }

        Libcrypto.EVP_MD_CTX_free(context);
        if (result != 1) Libcrypto.ERR_clear_error();
        DangerousRelease();
        return result == 1;
    }

    private bool VerifyDigest(ReadOnlySpan<byte> digest, ReadOnlySpan<byte> signature)
    {
        if (digest.IsEmpty) return false;
        var held = false;
        DangerousAddRef(ref held);
        var context = Libcrypto.EVP_PKEY_CTX_new(handle, 0);
        int result;
        fixed (byte* octets = digest, given = signature)
        {
            result = Libcrypto.EVP_PKEY_verify_init(context) == 1 ? Libcrypto.EVP_PKEY_verify(context, given, (nuint)signature.Length, octets, (nuint)digest.Length) : 0;
        }

        Libcrypto.EVP_PKEY_CTX_free(context);
        if (result != 1) Libcrypto.ERR_clear_error();
        DangerousRelease();
        return result == 1;
    }
}

/// <summary>Signs with every kind of key.</summary>
internal sealed unsafe class NativePrivateKey : NativeKey
{
    private const int PaddingPkcs1 = 1, PaddingPss = 6;

    /// <param name="pkcs8">PrivateKeyInfo in DER.</param>
    public NativePrivateKey(ReadOnlySpan<byte> pkcs8)
    {
        fixed (byte* start = pkcs8)
        {
            var pointer = start;
            SetHandle(Libcrypto.d2i_AutoPrivateKey(0, &pointer, pkcs8.Length));
        }

        if (IsInvalid) Libcrypto.ERR_clear_error();
    }

    /// <summary>SubjectPublicKeyInfo in DER; empty when libcrypto cannot make it.</summary>
    public byte[] PublicKeyInfo()
    {
        if (IsInvalid) return [];
        byte* output = null;
        var length = Libcrypto.i2d_PUBKEY(handle, &output);
        if (length <= 0) return [];
        var spki = new ReadOnlySpan<byte>(output, length).ToArray();
        Libcrypto.CRYPTO_free(output, null, 0);
        return spki;
    }

    /// <summary>The signature, DER with DSA and ECDSA; null when libcrypto refuses (a policy of the system may forbid SHA-1).</summary>
    public byte[]? Sign(SignatureScheme scheme, ReadOnlySpan<byte> data)
    {
        if (IsInvalid) return null;
        if (scheme.Hash == HashId.None) return SignDigest(scheme, data);
        var held = false;
        DangerousAddRef(ref held);
        var context = Libcrypto.EVP_MD_CTX_new();
        try
        {
            nint parameters = 0;
            var ok = Libcrypto.EVP_DigestSignInit(context, &parameters, DigestOf(scheme.Hash), 0, handle) == 1;
            if (ok && scheme.Kind == SignatureKind.RsaPkcs1) ok = Libcrypto.EVP_PKEY_CTX_set_rsa_padding(parameters, PaddingPkcs1) == 1;
            if (ok && scheme.Kind == SignatureKind.RsaPss) ok = Libcrypto.EVP_PKEY_CTX_set_rsa_padding(parameters, PaddingPss) == 1 && Libcrypto.EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, scheme.SaltLength) == 1;
            nuint length = 0;
            byte nothing;
            fixed (byte* message = data)
            {
                var source = message == null ? &nothing : message;
                ok = ok && Libcrypto.EVP_DigestSign(context, null, ref length, source, (nuint)data.Length) == 1;
                var signature = new byte[(int)length];
                fixed (byte* output = signature) ok = ok && Libcrypto.EVP_DigestSign(context, output, ref length, source, (nuint)data.Length) == 1;
                if (ok) return signature[..(int)length];
            }

            Libcrypto.ERR_clear_error();
            return null;
        }
        finally
        {
            Libcrypto.EVP_MD_CTX_free(context);
            DangerousRelease();
        }
    }

    private byte[]? SignDigest(SignatureScheme scheme, ReadOnlySpan<byte> digest)
    {
        if (digest.IsEmpty) return null;
        var held = false;
        DangerousAddRef(ref held);
        var context = Libcrypto.EVP_PKEY_CTX_new(handle, 0);
        try
        {
            var ok = Libcrypto.EVP_PKEY_sign_init(context) == 1;
            if (ok && scheme.Kind == SignatureKind.RsaPkcs1) ok = Libcrypto.EVP_PKEY_CTX_set_rsa_padding(context, PaddingPkcs1) == 1;
            nuint length = 0;
            fixed (byte* source = digest)
            {
                ok = ok && Libcrypto.EVP_PKEY_sign(context, null, ref length, source, (nuint)digest.Length) == 1;
                var signature = new byte[(int)length];
                fixed (byte* output = signature) ok = ok && Libcrypto.EVP_PKEY_sign(context, output, ref length, source, (nuint)digest.Length) == 1;
                if (ok) return signature[..(int)length];
            }

            Libcrypto.ERR_clear_error();
            return null;
        }
        finally
        {
            Libcrypto.EVP_PKEY_CTX_free(context);
            DangerousRelease();
        }
    }
}

/// <summary>The public operation of RSA.</summary>
internal static unsafe class NativeRsa
{
    /// <summary>value^e mod n, as long as n. Nothing here is secret.</summary>
    public static void Power(ReadOnlySpan<byte> modulus, ReadOnlySpan<byte> exponent, ReadOnlySpan<byte> value, Span<byte> output)
    {
        var context = Libcrypto.BN_CTX_new();
        var (n, e, v, result) = (Number(modulus), Number(exponent), Number(value), Libcrypto.BN_new());
        var ok = Libcrypto.BN_mod_exp_mont(result, v, e, n, context, 0) == 1;
        fixed (byte* pointer = output) ok = ok && Libcrypto.BN_bn2binpad(result, pointer, output.Length) == output.Length;
        foreach (var number in new[] { n, e, v, result }) Libcrypto.BN_clear_free(number);
        Libcrypto.BN_CTX_free(context);
        if (!ok) throw new CryptographicException("BN_mod_exp_mont");
    }

    private static nint Number(ReadOnlySpan<byte> octets)
    {
        fixed (byte* pointer = octets) return Libcrypto.BN_bin2bn(pointer, octets.Length, 0);
    }
}
