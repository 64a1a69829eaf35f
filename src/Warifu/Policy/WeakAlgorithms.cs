using Warifu.Crypto;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>Why an algorithm should not be used, and what to write instead.</summary>
/// <param name="Name">The algorithm, whatever it is used for: SHA-1 is one, as integrity and as PRF.</param>
/// <param name="Why">What is wrong with it.</param>
/// <param name="Instead">Keywords.</param>
internal sealed record Weakness(string Name, string Why, string Instead);

/// <summary>Algorithms that work when they are named, and are warned of (RFC 8221, RFC 8247, RFC 9395).</summary>
internal static class WeakAlgorithms
{
    private const string Cipher = "aes256gcm16", NewGroup = "x25519 or ecp256, or modp2048 for an old peer";

    private static readonly Weakness
        s_md5 = new("MD5", "it is broken as a hash and no longer to be used in IKE or ESP", "sha256"),
        s_sha1 = new("SHA-1", "collisions are practical, and RFC 8247 advises against it", "sha256"),
        s_small = new("", "groups below 2048 bits are within reach of large attackers", NewGroup),
        s_foreign = new("", "nobody can rule out a trap in the primes of RFC 5114 (RFC 8247 section 2.4)", NewGroup);

    public static Weakness? Of(Transform transform) => transform.Type switch
    {
        TransformType.Encr => transform.Id switch
        {
            1 or 2 => new Weakness("DES", "keys of 56 bits are found in hours", Cipher),
            (ushort)EncrId.TripleDes => new Weakness("3DES", "blocks of 64 bits leak after some gigabytes (Sweet32)", Cipher),
            (ushort)EncrId.Null => new Weakness("NULL", "it does not encrypt at all", Cipher),
            (ushort)EncrId.NullAesGmac => new Weakness("NULL_AES_GMAC", "it authenticates and does not encrypt", Cipher),
            _ => Other(transform, Cipher),
        },
        TransformType.Integ => transform.Id is 1 or 6 ? s_md5 : transform.Id is 2 or 7 ? s_sha1 : Other(transform, "sha256"),
        TransformType.Prf => transform.Id == (ushort)PrfId.HmacMd5 ? s_md5 : transform.Id == (ushort)PrfId.HmacSha1 ? s_sha1 : Other(transform, "prfsha256"),
        TransformType.Ke => (KeId)transform.Id switch
        {
            KeId.Modp768 or KeId.Modp1024 or KeId.Modp1536 => s_small with { Name = ProposalKeywords.Word(transform) },
            KeId.Modp1024S160 or KeId.Modp2048S224 or KeId.Modp2048S256 => s_foreign with { Name = ProposalKeywords.Word(transform) },
            _ => Other(transform, NewGroup),
        },
        _ => null,
    };

    private static Weakness? Other(Transform transform, string instead) =>
        Algorithms.StrengthOf(transform) == Strength.Weak ? new Weakness(ProposalKeywords.Word(transform), "it is too weak for today", instead) : null;
}
