using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Warifu.Crypto.Native;

/// <summary>The parts of OpenSSL 3's libcrypto that are used, found at run time. Pointers of 0 are failures.</summary>
internal static unsafe partial class Libcrypto
{
    private const string Name = "libcrypto.so.3";

    public const int CtrlAeadSetIvLength = 0x09;
    public const int CtrlAeadGetTag = 0x10;
    public const int CtrlAeadSetTag = 0x11;

    // Fetching by name takes locks and microseconds: once per process is enough.
    private static readonly ConcurrentDictionary<string, nint> s_ciphers = new();
    private static readonly ConcurrentDictionary<MacKind, nint> s_digests = new();

    /// <summary>False where there is no OpenSSL 3: the managed implementations serve then.</summary>
    public static bool IsAvailable { get; } = NativeLibrary.TryLoad(Name, out _);

    /// <summary>For calls that cannot fail but for lack of memory or a bug of ours.</summary>
    public static void Check(int result)
    {
        if (result <= 0) throw new CryptographicException("libcrypto refused a call");
    }

    /// <summary>An EVP_CIPHER for the life of the process; 0 where this libcrypto was built without it, or when <paramref name="best"/> does not allow libcrypto.</summary>
    public static nint Cipher(Provider best, string name) => best < Provider.Libcrypto || !IsAvailable ? 0 : s_ciphers.GetOrAdd(name, static name => EVP_CIPHER_fetch(0, name, 0));

    /// <summary>The EVP_MD of an HMAC, likewise.</summary>
    public static nint Digest(Provider best, MacKind kind) => best < Provider.Libcrypto || !IsAvailable ? 0 : s_digests.GetOrAdd(kind, static kind => EVP_MD_fetch(0, kind switch
    {
        MacKind.HmacMd5 => "MD5",
        MacKind.HmacSha1 => "SHA1",
        MacKind.HmacSha256 => "SHA2-256",
        MacKind.HmacSha384 => "SHA2-384",
        _ => "SHA2-512",
    }, 0));

    [LibraryImport(Name)]
    private static partial nint EVP_CIPHER_fetch(nint context, [MarshalAs(UnmanagedType.LPUTF8Str)] string algorithm, nint properties);

    [LibraryImport(Name)]
    public static partial nint EVP_CIPHER_CTX_new();

    [LibraryImport(Name)]
    public static partial void EVP_CIPHER_CTX_free(nint context);

    [LibraryImport(Name)]
    public static partial int EVP_CipherInit_ex(nint context, nint cipher, nint engine, byte* key, byte* iv, int encrypt);

    [LibraryImport(Name)]
    public static partial int EVP_CipherUpdate(nint context, byte* output, out int outputLength, byte* input, int inputLength);

    [LibraryImport(Name)]
    public static partial int EVP_CipherFinal_ex(nint context, byte* output, out int outputLength);

    [LibraryImport(Name)]
    public static partial int EVP_CIPHER_CTX_ctrl(nint context, int type, int argument, void* pointer);

    [LibraryImport(Name)]
    public static partial int EVP_CIPHER_CTX_set_padding(nint context, int padding);

    [LibraryImport(Name)]
    private static partial nint EVP_MD_fetch(nint context, [MarshalAs(UnmanagedType.LPUTF8Str)] string algorithm, nint properties);

    [LibraryImport(Name)]
    public static partial nint HMAC_CTX_new();

    [LibraryImport(Name)]
    public static partial void HMAC_CTX_free(nint context);

    [LibraryImport(Name)]
    public static partial int HMAC_Init_ex(nint context, byte* key, int keyLength, nint digest, nint engine);

    [LibraryImport(Name)]
    public static partial int HMAC_Update(nint context, byte* data, nuint length);

    [LibraryImport(Name)]
    public static partial int HMAC_Final(nint context, byte* output, out uint length);

    [LibraryImport(Name)]
    public static partial nint EVP_PKEY_new_raw_private_key(int type, nint engine, byte* key, nuint length);

    [LibraryImport(Name)]
    public static partial nint EVP_PKEY_new_raw_public_key(int type, nint engine, byte* key, nuint length);

    [LibraryImport(Name)]
    public static partial int EVP_PKEY_get_raw_public_key(nint key, byte* output, ref nuint length);

    [LibraryImport(Name)]
    public static partial void EVP_PKEY_free(nint key);

    [LibraryImport(Name)]
    public static partial nint EVP_PKEY_CTX_new(nint key, nint engine);

    [LibraryImport(Name)]
    public static partial void EVP_PKEY_CTX_free(nint context);

    [LibraryImport(Name)]
    public static partial int EVP_PKEY_derive_init(nint context);

    [LibraryImport(Name)]
    public static partial int EVP_PKEY_derive_set_peer(nint context, nint peer);

    [LibraryImport(Name)]
    public static partial int EVP_PKEY_derive(nint context, byte* output, ref nuint length);

    [LibraryImport(Name)]
    public static partial int OBJ_txt2nid([MarshalAs(UnmanagedType.LPUTF8Str)] string name);

    [LibraryImport(Name)]
    public static partial nint EC_GROUP_new_by_curve_name(int nid);

    [LibraryImport(Name)]
    public static partial nint EC_GROUP_get0_order(nint group);

    [LibraryImport(Name)]
    public static partial nint EC_POINT_new(nint group);

    [LibraryImport(Name)]
    public static partial void EC_POINT_clear_free(nint point);

    [LibraryImport(Name)]
    public static partial int EC_POINT_mul(nint group, nint result, nint generatorFactor, nint point, nint pointFactor, nint context);

    /// <summary>Refuses points that are not on the curve.</summary>
    [LibraryImport(Name)]
    public static partial int EC_POINT_oct2point(nint group, nint point, byte* octets, nuint length, nint context);

    [LibraryImport(Name)]
    public static partial nuint EC_POINT_point2oct(nint group, nint point, int form, byte* output, nuint length, nint context);

    [LibraryImport(Name)]
    public static partial int EC_POINT_is_at_infinity(nint group, nint point);

    [LibraryImport(Name)]
    public static partial nint BN_bin2bn(byte* octets, int length, nint result);

    [LibraryImport(Name)]
    public static partial int BN_bn2binpad(nint number, byte* output, int length);

    [LibraryImport(Name)]
    public static partial nint BN_new();

    [LibraryImport(Name)]
    public static partial void BN_clear_free(nint number);

    [LibraryImport(Name)]
    public static partial void BN_set_flags(nint number, int flags);

    [LibraryImport(Name)]
    public static partial int BN_cmp(nint left, nint right);

    [LibraryImport(Name)]
    public static partial int BN_num_bits(nint number);

    [LibraryImport(Name)]
    public static partial int BN_is_zero(nint number);

    [LibraryImport(Name)]
    public static partial nint BN_CTX_new();

    [LibraryImport(Name)]
    public static partial void BN_CTX_free(nint context);

    [LibraryImport(Name)]
    public static partial nint BN_MONT_CTX_new();

    [LibraryImport(Name)]
    public static partial int BN_MONT_CTX_set(nint montgomery, nint modulus, nint context);

    [LibraryImport(Name)]
    public static partial int BN_mod_exp_mont_consttime(nint result, nint value, nint exponent, nint modulus, nint context, nint montgomery);

    /// <summary>Nothing here is secret: for public operations.</summary>
    [LibraryImport(Name)]
    public static partial int BN_mod_exp_mont(nint result, nint value, nint exponent, nint modulus, nint context, nint montgomery);

    [LibraryImport(Name)]
    public static partial nint d2i_PUBKEY(nint key, byte** pointer, long length);

    [LibraryImport(Name)]
    public static partial int i2d_PUBKEY(nint key, byte** output);

    [LibraryImport(Name)]
    public static partial nint d2i_AutoPrivateKey(nint key, byte** pointer, long length);

    [LibraryImport(Name)]
    public static partial void CRYPTO_free(void* memory, byte* file, int line);

    [LibraryImport(Name)]
    public static partial void ERR_clear_error();

    [LibraryImport(Name)]
    public static partial nint EVP_MD_CTX_new();

    [LibraryImport(Name)]
    public static partial void EVP_MD_CTX_free(nint context);

    [LibraryImport(Name)]
    public static partial int EVP_DigestVerifyInit(nint context, nint* parameters, nint digest, nint engine, nint key);

    [LibraryImport(Name)]
    public static partial int EVP_DigestVerify(nint context, byte* signature, nuint signatureLength, byte* data, nuint length);

    [LibraryImport(Name)]
    public static partial int EVP_DigestSignInit(nint context, nint* parameters, nint digest, nint engine, nint key);

    [LibraryImport(Name)]
    public static partial int EVP_DigestSign(nint context, byte* signature, ref nuint signatureLength, byte* data, nuint length);

    [LibraryImport(Name)]
    public static partial int EVP_PKEY_sign_init(nint context);

    [LibraryImport(Name)]
    public static partial int EVP_PKEY_sign(nint context, byte* signature, ref nuint signatureLength, byte* digest, nuint length);

    [LibraryImport(Name)]
    public static partial int EVP_PKEY_verify_init(nint context);

    [LibraryImport(Name)]
    public static partial int EVP_PKEY_verify(nint context, byte* signature, nuint signatureLength, byte* digest, nuint length);

    [LibraryImport(Name)]
    public static partial int EVP_PKEY_CTX_set_rsa_padding(nint parameters, int padding);

    [LibraryImport(Name)]
    public static partial int EVP_PKEY_CTX_set_rsa_pss_saltlen(nint parameters, int length);
}
