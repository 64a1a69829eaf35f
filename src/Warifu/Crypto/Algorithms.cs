using System.Collections.Frozen;
using System.Linq;
using Warifu.Primitives;

namespace Warifu.Crypto;

/// <summary>How much an algorithm is worth today (RFC 8221, RFC 8247, RFC 9395).</summary>
internal enum Strength
{
    /// <summary>Broken or too small: only when named, with a warning.</summary>
    Weak,
    /// <summary>Still sound, on its way out: only when named.</summary>
    Legacy,
    Good,
}

/// <summary>An encryption transform: lengths in octets except where bits are said.</summary>
/// <param name="KeyBits">Legal key lengths in bits; the first is the only one when the Key Length attribute is not used.</param>
/// <param name="KeyLengthAttribute">The transform carries a Key Length attribute.</param>
/// <param name="SaltLength">Octets of KEYMAT after the key that go into each nonce.</param>
/// <param name="BlockLength">The payload is a multiple of this.</param>
internal sealed record EncrInfo(EncrId Id, string Name, bool IsAead, int[] KeyBits, bool KeyLengthAttribute, int SaltLength, int IvLength, int BlockLength, int IcvLength, bool EspOnly, Strength Strength)
{
    /// <summary>Octets of KEYMAT: key and salt.</summary>
    public int KeyMaterialLength(int keyBits) => ((KeyLengthAttribute ? keyBits : KeyBits[0]) / 8) + SaltLength;

    /// <summary>True when <paramref name="keyBits"/> (0 = attribute absent) is right for the transform.</summary>
    public bool Accepts(int keyBits) => KeyLengthAttribute ? KeyBits.Contains(keyBits) : keyBits == 0;
}

internal sealed record IntegInfo(IntegId Id, string Name, MacKind Mac, int KeyLength, int IcvLength, Strength Strength);

/// <summary>AES-GMAC as an integrity transform: of AH only (RFC 4543 section 5.3).</summary>
/// <param name="KeyLength">Octets of KEYMAT: the key and 4 octets of salt (section 5.4).</param>
internal sealed record GmacInfo(IntegId Id, string Name, int KeyLength)
{
    public const int SaltLength = 4, IvLength = 8, TagLength = 16;
}

/// <param name="FixedKey">RFC 7296 section 2.14: only 64 bits of each nonce are the key of SKEYSEED.</param>
internal sealed record PrfInfo(PrfId Id, string Name, MacKind Mac, int KeyLength, int OutputLength, bool FixedKey, Strength Strength);

/// <param name="PublicLength">Octets of the public value in KE.</param>
/// <param name="SharedLength">Octets of g^ir.</param>
internal sealed record KeInfo(KeId Id, string Name, KeKind Kind, string Curve, int PublicLength, int SharedLength, int ExponentBits, Strength Strength);

internal enum MacKind
{
    HmacMd5,
    HmacSha1,
    HmacSha256,
    HmacSha384,
    HmacSha512,
    AesXcbc,
    AesCmac,
}

internal enum KeKind
{
    Modp,
    Ecp,
    Montgomery,
}

/// <summary>The tables of all algorithms: data, one row each. What is not here is not supported.</summary>
internal static class Algorithms
{
    private static readonly int[] s_aes = [128, 192, 256];

    public static FrozenDictionary<EncrId, EncrInfo> Encr { get; } = new EncrInfo[]
    {
        new(EncrId.Des, "DES_CBC", false, [64], false, 0, 8, 8, 0, false, Strength.Weak),
        new(EncrId.TripleDes, "3DES_CBC", false, [192], false, 0, 8, 8, 0, false, Strength.Weak),
        new(EncrId.Null, "NULL", false, [0], false, 0, 0, 1, 0, true, Strength.Weak),
        new(EncrId.AesCbc, "AES_CBC", false, s_aes, true, 0, 16, 16, 0, false, Strength.Good),
        // RFC 3686 section 4, RFC 5930: 4 octets of nonce after the key, 8 octets of IV, the counter starts at 1
        new(EncrId.AesCtr, "AES_CTR", false, s_aes, true, 4, 8, 1, 0, false, Strength.Legacy),
        new(EncrId.AesCcm8, "AES_CCM_8", true, s_aes, true, 3, 8, 1, 8, false, Strength.Legacy),
        new(EncrId.AesCcm12, "AES_CCM_12", true, s_aes, true, 3, 8, 1, 12, false, Strength.Legacy),
        new(EncrId.AesCcm16, "AES_CCM_16", true, s_aes, true, 3, 8, 1, 16, false, Strength.Good),
        new(EncrId.AesGcm8, "AES_GCM_8", true, s_aes, true, 4, 8, 1, 8, false, Strength.Legacy),
        new(EncrId.AesGcm12, "AES_GCM_12", true, s_aes, true, 4, 8, 1, 12, false, Strength.Legacy),
        new(EncrId.AesGcm16, "AES_GCM_16", true, s_aes, true, 4, 8, 1, 16, false, Strength.Good),
        new(EncrId.NullAesGmac, "NULL_AES_GMAC", true, s_aes, true, 4, 8, 1, 16, true, Strength.Legacy),
        new(EncrId.CamelliaCbc, "CAMELLIA_CBC", false, s_aes, true, 0, 16, 16, 0, false, Strength.Legacy),
        new(EncrId.ChaCha20Poly1305, "CHACHA20_POLY1305", true, [256], false, 4, 8, 1, 16, false, Strength.Good),
    }.ToFrozenDictionary(info => info.Id);

    public static FrozenDictionary<IntegId, IntegInfo> Integ { get; } = new IntegInfo[]
    {
        new(IntegId.HmacMd5_96, "HMAC_MD5_96", MacKind.HmacMd5, 16, 12, Strength.Weak),
        new(IntegId.HmacSha1_96, "HMAC_SHA1_96", MacKind.HmacSha1, 20, 12, Strength.Weak),
        new(IntegId.AesXcbc96, "AES_XCBC_96", MacKind.AesXcbc, 16, 12, Strength.Legacy),
        new(IntegId.AesCmac96, "AES_CMAC_96", MacKind.AesCmac, 16, 12, Strength.Legacy),
        new(IntegId.HmacSha256_128, "HMAC_SHA2_256_128", MacKind.HmacSha256, 32, 16, Strength.Good),
        new(IntegId.HmacSha384_192, "HMAC_SHA2_384_192", MacKind.HmacSha384, 48, 24, Strength.Good),
        new(IntegId.HmacSha512_256, "HMAC_SHA2_512_256", MacKind.HmacSha512, 64, 32, Strength.Good),
    }.ToFrozenDictionary(info => info.Id);

    public static FrozenDictionary<IntegId, GmacInfo> Gmac { get; } = new GmacInfo[]
    {
        new(IntegId.Aes128Gmac, "AES_128_GMAC", 20),
        new(IntegId.Aes192Gmac, "AES_192_GMAC", 28),
        new(IntegId.Aes256Gmac, "AES_256_GMAC", 36),
    }.ToFrozenDictionary(info => info.Id);

    public static FrozenDictionary<PrfId, PrfInfo> Prf { get; } = new PrfInfo[]
    {
        new(PrfId.HmacMd5, "PRF_HMAC_MD5", MacKind.HmacMd5, 16, 16, false, Strength.Weak),
        new(PrfId.HmacSha1, "PRF_HMAC_SHA1", MacKind.HmacSha1, 20, 20, false, Strength.Weak),
        new(PrfId.AesXcbc, "PRF_AES128_XCBC", MacKind.AesXcbc, 16, 16, true, Strength.Legacy),
        new(PrfId.HmacSha256, "PRF_HMAC_SHA2_256", MacKind.HmacSha256, 32, 32, false, Strength.Good),
        new(PrfId.HmacSha384, "PRF_HMAC_SHA2_384", MacKind.HmacSha384, 48, 48, false, Strength.Good),
        new(PrfId.HmacSha512, "PRF_HMAC_SHA2_512", MacKind.HmacSha512, 64, 64, false, Strength.Good),
        new(PrfId.AesCmac, "PRF_AES128_CMAC", MacKind.AesCmac, 16, 16, true, Strength.Legacy),
    }.ToFrozenDictionary(info => info.Id);

    // Exponents: at least twice the group's strength (RFC 3526 section 8); for groups 22-24 the size of the subgroup.
    public static FrozenDictionary<KeId, KeInfo> Ke { get; } = new KeInfo[]
    {
        new(KeId.Modp768, "MODP_768", KeKind.Modp, "", 96, 96, 256, Strength.Weak),
        new(KeId.Modp1024, "MODP_1024", KeKind.Modp, "", 128, 128, 256, Strength.Weak),
        new(KeId.Modp1536, "MODP_1536", KeKind.Modp, "", 192, 192, 256, Strength.Weak),
        new(KeId.Modp2048, "MODP_2048", KeKind.Modp, "", 256, 256, 256, Strength.Good),
        new(KeId.Modp3072, "MODP_3072", KeKind.Modp, "", 384, 384, 288, Strength.Good),
        new(KeId.Modp4096, "MODP_4096", KeKind.Modp, "", 512, 512, 320, Strength.Good),
        new(KeId.Modp6144, "MODP_6144", KeKind.Modp, "", 768, 768, 384, Strength.Good),
        new(KeId.Modp8192, "MODP_8192", KeKind.Modp, "", 1024, 1024, 448, Strength.Good),
        new(KeId.Ecp256, "ECP_256", KeKind.Ecp, "prime256v1", 64, 32, 0, Strength.Good),
        new(KeId.Ecp384, "ECP_384", KeKind.Ecp, "secp384r1", 96, 48, 0, Strength.Good),
        new(KeId.Ecp521, "ECP_521", KeKind.Ecp, "secp521r1", 132, 66, 0, Strength.Good),
        new(KeId.Modp1024S160, "MODP_1024_160", KeKind.Modp, "", 128, 128, 160, Strength.Weak),
        new(KeId.Modp2048S224, "MODP_2048_224", KeKind.Modp, "", 256, 256, 224, Strength.Weak),
        new(KeId.Modp2048S256, "MODP_2048_256", KeKind.Modp, "", 256, 256, 256, Strength.Weak),
        new(KeId.Ecp192, "ECP_192", KeKind.Ecp, "prime192v1", 48, 24, 0, Strength.Weak),
        new(KeId.Ecp224, "ECP_224", KeKind.Ecp, "secp224r1", 56, 28, 0, Strength.Legacy),
        new(KeId.Brainpool224, "ECP_224_BP", KeKind.Ecp, "brainpoolP224r1", 56, 28, 0, Strength.Legacy),
        new(KeId.Brainpool256, "ECP_256_BP", KeKind.Ecp, "brainpoolP256r1", 64, 32, 0, Strength.Good),
        new(KeId.Brainpool384, "ECP_384_BP", KeKind.Ecp, "brainpoolP384r1", 96, 48, 0, Strength.Good),
        new(KeId.Brainpool512, "ECP_512_BP", KeKind.Ecp, "brainpoolP512r1", 128, 64, 0, Strength.Good),
        new(KeId.Curve25519, "CURVE_25519", KeKind.Montgomery, "X25519", 32, 32, 0, Strength.Good),
        new(KeId.Curve448, "CURVE_448", KeKind.Montgomery, "X448", 56, 56, 0, Strength.Good),
    }.ToFrozenDictionary(info => info.Id);

    /// <summary>True when the transform is one that this build can compute, with a legal key length.</summary>
    public static bool Supports(Transform transform) => transform.Type switch
    {
        TransformType.Encr => Encr.TryGetValue((EncrId)transform.Id, out var encr) && encr.Accepts(transform.KeyBits),
        TransformType.Prf => Prf.ContainsKey((PrfId)transform.Id) && transform.KeyBits == 0,
        TransformType.Integ => (transform.Id == 0 || Integ.ContainsKey((IntegId)transform.Id) || Gmac.ContainsKey((IntegId)transform.Id)) && transform.KeyBits == 0,
        TransformType.Ke => (transform.Id == 0 || Ke.ContainsKey((KeId)transform.Id)) && transform.KeyBits == 0,
        TransformType.Esn => transform.Id is 0 or 1,
        _ => false,
    };

    /// <summary>Octets of an integrity key in KEYMAT; 0 for NONE.</summary>
    public static int KeyLength(IntegId id) => id == IntegId.None ? 0 : Gmac.TryGetValue(id, out var gmac) ? gmac.KeyLength : Integ[id].KeyLength;

    public static Strength StrengthOf(Transform transform) => transform.Type switch
    {
        TransformType.Encr when Encr.TryGetValue((EncrId)transform.Id, out var encr) => encr.Strength,
        TransformType.Prf when Prf.TryGetValue((PrfId)transform.Id, out var prf) => prf.Strength,
        TransformType.Integ when Integ.TryGetValue((IntegId)transform.Id, out var integ) => integ.Strength,
        TransformType.Ke when Ke.TryGetValue((KeId)transform.Id, out var ke) => ke.Strength,
        _ => Strength.Good,
    };
}
