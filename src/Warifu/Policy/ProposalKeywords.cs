using System;
using System.Collections.Frozen;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Linq;
using Warifu.Crypto;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>Proposals as people write them: "aes256gcm16-prfsha384-ecp384", as in swanctl.conf.</summary>
public static class ProposalKeywords
{
    private static readonly FrozenDictionary<string, Transform> s_words = Words().ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);

    /// <summary>Words that are legal in swanctl.conf but that this build has no algorithm for.</summary>
    private static readonly FrozenSet<string> s_later = Later().Where(word => !s_words.ContainsKey(word)).ToFrozenSet(StringComparer.OrdinalIgnoreCase);

    private static readonly FrozenDictionary<Transform, string> s_names = s_words.GroupBy(pair => pair.Value).ToFrozenDictionary(group => group.Key, group => group.Select(pair => pair.Key).OrderBy(Preference).First());

    /// <summary>The proposals of the word "default" for IKE: no MD5, SHA-1, DES, 3DES, and no group below 14.</summary>
    public static ImmutableArray<Proposal> DefaultIke { get; } = Defaults(
        ProtocolId.Ike,
        "aes256gcm16-aes128gcm16-chacha20poly1305-prfsha256-prfsha384-prfsha512-x25519-ecp256-ecp384-modp3072-modp2048",
        "aes256-aes128-sha256-sha384-sha512-x25519-ecp256-ecp384-modp3072-modp2048");

    /// <summary>The proposals of the word "default" for IKEv1: each names one algorithm of a kind, and there are at most four.</summary>
    public static ImmutableArray<Proposal> DefaultIkeV1 { get; } = Defaults(ProtocolId.Ike, "aes256-sha256-ecp256", "aes256-sha256-modp2048", "aes128-sha256-ecp256", "aes128-sha256-modp2048");

    /// <summary>Those of <see cref="DefaultIkeV1"/> with one group: aggressive mode cannot negotiate it.</summary>
    internal static ImmutableArray<Proposal> DefaultAggressive { get; } = Defaults(ProtocolId.Ike, "aes256-sha256-modp2048", "aes128-sha256-modp2048");

    /// <summary>As <see cref="DefaultIkeV1"/> for ESP: without PFS as initiator, with or without it as responder.</summary>
    public static ImmutableArray<Proposal> DefaultEspV1 { get; } = Defaults(ProtocolId.Esp, "aes256gcm16-none-ecp256-modp2048", "aes128gcm16-none-ecp256-modp2048", "aes256-sha256-none-ecp256-modp2048", "aes128-sha256-none-ecp256-modp2048");

    /// <summary>The proposals of the word "default" for ESP. The first child has no key exchange of its own; rekeyed ones may have one or not.</summary>
    public static ImmutableArray<Proposal> DefaultEsp { get; } = Defaults(
        ProtocolId.Esp,
        "aes256gcm16-aes128gcm16-chacha20poly1305-x25519-ecp256-ecp384-modp3072-modp2048-none-noesn",
        "aes256-aes128-sha256-sha384-sha512-x25519-ecp256-ecp384-modp3072-modp2048-none-noesn");

    /// <summary>The proposals of the word "default" for AH.</summary>
    internal static ImmutableArray<Proposal> DefaultAh { get; } = Defaults(ProtocolId.Ah, "sha256-sha384-sha512-x25519-ecp256-ecp384-modp3072-modp2048-none-noesn");

    /// <summary>As <see cref="DefaultEspV1"/> for AH.</summary>
    internal static ImmutableArray<Proposal> DefaultAhV1 { get; } = Defaults(ProtocolId.Ah, "sha256-none-ecp256-modp2048", "sha384-none-ecp256-modp2048", "sha512-none-ecp256-modp2048");

    /// <summary>Reads one list item.</summary>
    /// <param name="protocol">IKE, ESP or AH.</param>
    /// <param name="text">Keywords joined by "-", or "default".</param>
    /// <param name="proposals">One or more: AEAD and other ciphers that stand together are split into two (RFC 7296 section 3.3 does not allow them in one).</param>
    /// <param name="error">What is wrong and what would be right.</param>
    /// <param name="isLimit">The keyword is legal, but this build cannot serve it.</param>
    public static bool TryParse(ProtocolId protocol, string text, out ImmutableArray<Proposal> proposals, [NotNullWhen(false)] out string? error, out bool isLimit)
    {
        ArgumentNullException.ThrowIfNull(text);
        (proposals, error, isLimit) = ([], null, false);
        if (text.Equals("default", StringComparison.OrdinalIgnoreCase))
        {
            proposals = protocol switch { ProtocolId.Ike => DefaultIke, ProtocolId.Ah => DefaultAh, _ => DefaultEsp };
            return true;
        }

        if (Suite.Find(text) is { } suite)
        {
            if (protocol == ProtocolId.Ah) return Fail($"'{text}' is for ESP; it has no AH half", out error);
            proposals = protocol == ProtocolId.Ike ? suite.Ike : suite.Esp;
            return true;
        }

        var transforms = new List<Transform>();
        foreach (var word in text.Split('-'))
        {
            if (s_words.TryGetValue(word, out var transform))
            {
                if (!transforms.Contains(transform)) transforms.Add(transform);
                continue;
            }

            isLimit = s_later.Contains(word) || IsAdditionalExchange(word);
            if (Suite.All.FirstOrDefault(one => text.StartsWith(one.Word + "-", StringComparison.Ordinal)) is { } whole) return Fail($"'{whole.Word}' stands for a whole list of proposals and takes no further words; write {whole.Word} alone, or spell the algorithms out", out error);
            error = isLimit ? $"algorithm '{word}' is not there yet" : $"unknown algorithm '{word}'; nearest known word: '{Nearest(word)}'";
            return false;
        }

        return TryComplete(protocol, text, transforms, out proposals, out error);
    }

    /// <summary>The keyword form of a proposal, for remedies: "aes256gcm16-prfsha256-x25519".</summary>
    public static string Print(Proposal proposal)
    {
        ArgumentNullException.ThrowIfNull(proposal);
        var words = proposal.Transforms
            .Where(transform => !(transform.Type is TransformType.Integ or TransformType.Ke && transform.Id == 0 && proposal.Protocol == ProtocolId.Ike) && !(transform.Type == TransformType.Integ && transform.Id == 0))
            .Where(transform => transform != Transform.Esn(false))
            .Select(Word);
        return string.Join('-', words);
    }

    /// <summary>The keyword of one transform, or its number.</summary>
    public static string Word(Transform transform) =>
        s_names.TryGetValue(transform, out var word) ? word : string.Create(CultureInfo.InvariantCulture, $"{transform.Type}({transform.Id}{(transform.KeyBits == 0 ? "" : "/" + transform.KeyBits.ToString(CultureInfo.InvariantCulture))})");

    /// <summary>All keywords, for listings.</summary>
    public static IEnumerable<string> All => s_words.Keys.Order(StringComparer.Ordinal);

    /// <summary>What a keyword stands for; null when it is none.</summary>
    internal static Transform? Lookup(string word) => s_words.TryGetValue(word, out var transform) ? transform : null;

    /// <summary>The first word of a valid item that changes nothing where it stands, and why; null when each has an effect.</summary>
    internal static (string Word, string Why)? WithoutEffect(ProtocolId protocol, string text)
    {
        if (Suite.Find(text) is not null) return null;
        var words = text.Split('-');
        bool Has(TransformType type) => words.Any(word => Lookup(word) is { } transform && transform.Type == type);
        var aeadOnly = words.All(word => Lookup(word) is not { Type: TransformType.Encr } cipher || Algorithms.Encr[(EncrId)cipher.Id].IsAead);
        foreach (var word in words)
        {
            var why = (Lookup(word), protocol) switch
            {
                ({ Type: TransformType.Prf }, not ProtocolId.Ike) => "the PRF of the IKE SA makes the keys of its children",
                ({ Type: TransformType.Esn }, ProtocolId.Ike) => "extended sequence numbers are of ESP and AH",
                ({ Type: TransformType.Ke, Id: 0 }, ProtocolId.Ike) => "an IKE SA always exchanges keys",
                ({ Type: TransformType.Integ }, ProtocolId.Esp) when aeadOnly => "the cipher authenticates by itself",
                ({ Type: TransformType.Integ }, ProtocolId.Ike) when aeadOnly && Has(TransformType.Prf) => "the cipher authenticates by itself, and a PRF is named",
                _ => null,
            };
            if (why is not null) return (word, why);
        }

        return null;
    }

    private static bool TryComplete(ProtocolId protocol, string text, List<Transform> transforms, out ImmutableArray<Proposal> proposals, [NotNullWhen(false)] out string? error)
    {
        (proposals, error) = ([], null);
        List<Transform> Of(TransformType type) => transforms.FindAll(transform => transform.Type == type);
        var encryption = Of(TransformType.Encr);
        var integrity = Of(TransformType.Integ);
        var prfs = Of(TransformType.Prf);
        var exchanges = Of(TransformType.Ke);
        var sequence = Of(TransformType.Esn);
        if (protocol == ProtocolId.Ah) return TryCompleteAh(text, encryption, integrity, exchanges, sequence, out proposals, out error);
        if (encryption.Count == 0) return Fail($"'{text}' has no encryption algorithm; begin with one, for example aes256gcm16", out error);
        if (protocol == ProtocolId.Ike)
        {
            exchanges.RemoveAll(transform => transform.Id == 0);
            if (exchanges.Count == 0) return Fail($"'{text}' has no key exchange method; add one, for example -ecp256", out error);
            if (encryption.Find(transform => Algorithms.Encr[(EncrId)transform.Id].EspOnly) is { Type: TransformType.Encr } espOnly) return Fail($"'{Word(espOnly)}' is for ESP only", out error);
            if (prfs.Count == 0) prfs = [.. integrity.Select(PrfOf).Distinct()];
            if (prfs.Count == 0) return Fail($"'{text}' has no PRF; add one, for example -prfsha256", out error);
        }
        else if (sequence.Count == 0)
        {
            sequence.Add(Transform.Esn(false));
        }

        var aeads = encryption.FindAll(transform => Algorithms.Encr[(EncrId)transform.Id].IsAead);
        var others = encryption.FindAll(transform => !Algorithms.Encr[(EncrId)transform.Id].IsAead);
        if (others.Count > 0 && integrity.Count == 0) return Fail($"'{text}' needs an integrity algorithm with {Word(others[0])}; add one, for example -sha256", out error);
        // a PRF that was derived from integrity serves the AEAD part too
        var found = ImmutableArray.CreateBuilder<Proposal>();
        if (aeads.Count > 0) found.Add(new Proposal(protocol, Join(protocol, aeads, [], prfs, exchanges, sequence)));
        if (others.Count > 0) found.Add(new Proposal(protocol, Join(protocol, others, integrity, prfs, exchanges, sequence)));
        proposals = found.ToImmutable();
        return true;
    }

    /// <summary>AH has integrity only; a GMAC word names the integrity transform of its key length (RFC 4543 section 6).</summary>
    private static bool TryCompleteAh(string text, List<Transform> encryption, List<Transform> integrity, List<Transform> exchanges, List<Transform> sequence, out ImmutableArray<Proposal> proposals, [NotNullWhen(false)] out string? error)
    {
        (proposals, error) = ([], null);
        if (encryption.Find(transform => transform.Id != (ushort)EncrId.NullAesGmac) is { Type: TransformType.Encr } cipher) return Fail($"'{Word(cipher)}' encrypts, and AH does not; leave it out, or use esp_proposals", out error);
        integrity.AddRange(encryption.Select(transform => new Transform(TransformType.Integ, (ushort)(9 + ((transform.KeyBits - 128) / 64)))));
        if (integrity.Count == 0) return Fail($"'{text}' has no integrity algorithm; begin with one, for example sha256", out error);
        proposals = [new Proposal(ProtocolId.Ah, [.. integrity, .. exchanges, .. sequence.Count == 0 ? [Transform.Esn(false)] : sequence])];
        return true;
    }

    /// <summary>keN_METHOD, N = 1..7 (RFC 9370).</summary>
    private static bool IsAdditionalExchange(string word) =>
        word is ['k' or 'K', 'e' or 'E', >= '1' and <= '7', '_', ..] && (s_later.Contains(word[4..]) || (s_words.TryGetValue(word[4..], out var method) && method.Type == TransformType.Ke));

    private static ImmutableArray<Transform> Join(ProtocolId protocol, List<Transform> encryption, List<Transform> integrity, List<Transform> prfs, List<Transform> exchanges, List<Transform> sequence) =>
        protocol == ProtocolId.Ike ? [.. encryption, .. integrity, .. prfs, .. exchanges] : [.. encryption, .. integrity, .. exchanges, .. sequence];

    private static bool Fail(string message, out string? error)
    {
        error = message;
        return false;
    }

    private static Transform PrfOf(Transform integrity) => (IntegId)integrity.Id switch
    {
        IntegId.HmacMd5_96 => Transform.Prf(PrfId.HmacMd5),
        IntegId.HmacSha1_96 => Transform.Prf(PrfId.HmacSha1),
        IntegId.AesXcbc96 => Transform.Prf(PrfId.AesXcbc),
        IntegId.AesCmac96 => Transform.Prf(PrfId.AesCmac),
        IntegId.HmacSha384_192 => Transform.Prf(PrfId.HmacSha384),
        IntegId.HmacSha512_256 => Transform.Prf(PrfId.HmacSha512),
        _ => Transform.Prf(PrfId.HmacSha256),
    };

    private static ImmutableArray<Proposal> Defaults(ProtocolId protocol, params string[] texts) =>
        [.. texts.SelectMany(text => TryParse(protocol, text, out var proposals, out var error, out _) ? proposals : throw new InvalidOperationException(error))];

    /// <summary>Short, modern words first when several name the same transform.</summary>
    private static int Preference(string word) => word switch
    {
        "aes128" or "aes192" or "aes256" or "sha1" or "x25519" or "x448" => 0,
        _ when word.EndsWith("gcm16", StringComparison.Ordinal) || word.EndsWith("gcm8", StringComparison.Ordinal) || word.EndsWith("gcm12", StringComparison.Ordinal) => 0,
        _ when word.EndsWith("ccm16", StringComparison.Ordinal) || word.EndsWith("ccm8", StringComparison.Ordinal) || word.EndsWith("ccm12", StringComparison.Ordinal) => 0,
        "none" => 0,
        _ => word.Contains('_', StringComparison.Ordinal) ? 3 : word is "aes" or "sha" or "camellia" ? 2 : 1,
    };

    private static string Nearest(string word) => Spelling.Nearest(word, s_words.Keys.Concat(s_later));

    private static IEnumerable<string> Later()
    {
        string[] sizes = ["128", "192", "256"];
        foreach (var word in new[] { "cast128", "blowfish", "serpent", "twofish", "chacha20poly1305compat", "md5_128", "sha1_160", "sha256_96", "sha2_256_96", "camelliaxcbc", "prfcamelliaxcbc", "gost256", "gost512", "mlkem512", "mlkem768", "mlkem1024", "modpnull" }) yield return word;
        foreach (var size in sizes)
        {
            foreach (var cipher in new[] { "blowfish", "serpent", "twofish" }) yield return cipher + size;
            foreach (var mode in new[] { "ctr", "ccm", "ccm8", "ccm64", "ccm12", "ccm96", "ccm16", "ccm128" }) yield return $"camellia{size}{mode}";
        }
    }

    private static Dictionary<string, Transform> Words()
    {
        var words = new Dictionary<string, Transform>
        {
            ["des"] = Transform.Encr(EncrId.Des),
            ["3des"] = Transform.Encr(EncrId.TripleDes),
            ["null"] = Transform.Encr(EncrId.Null),
            ["aes"] = Transform.Encr(EncrId.AesCbc, 128),
            ["camellia"] = Transform.Encr(EncrId.CamelliaCbc, 128),
            ["chacha20poly1305"] = Transform.Encr(EncrId.ChaCha20Poly1305),
            ["md5"] = Transform.Integ(IntegId.HmacMd5_96),
            ["sha"] = Transform.Integ(IntegId.HmacSha1_96),
            ["sha1"] = Transform.Integ(IntegId.HmacSha1_96),
            ["aesxcbc"] = Transform.Integ(IntegId.AesXcbc96),
            ["aescmac"] = Transform.Integ(IntegId.AesCmac96),
            ["sha256"] = Transform.Integ(IntegId.HmacSha256_128),
            ["sha2_256"] = Transform.Integ(IntegId.HmacSha256_128),
            ["sha384"] = Transform.Integ(IntegId.HmacSha384_192),
            ["sha2_384"] = Transform.Integ(IntegId.HmacSha384_192),
            ["sha512"] = Transform.Integ(IntegId.HmacSha512_256),
            ["sha2_512"] = Transform.Integ(IntegId.HmacSha512_256),
            ["prfmd5"] = Transform.Prf(PrfId.HmacMd5),
            ["prfsha1"] = Transform.Prf(PrfId.HmacSha1),
            ["prfaesxcbc"] = Transform.Prf(PrfId.AesXcbc),
            ["prfsha256"] = Transform.Prf(PrfId.HmacSha256),
            ["prfsha384"] = Transform.Prf(PrfId.HmacSha384),
            ["prfsha512"] = Transform.Prf(PrfId.HmacSha512),
            ["prfaescmac"] = Transform.Prf(PrfId.AesCmac),
            ["none"] = Transform.Ke(KeId.None),
            ["modpnone"] = Transform.Ke(KeId.None),
            ["modp768"] = Transform.Ke(KeId.Modp768),
            ["modp1024"] = Transform.Ke(KeId.Modp1024),
            ["modp1536"] = Transform.Ke(KeId.Modp1536),
            ["modp2048"] = Transform.Ke(KeId.Modp2048),
            ["modp3072"] = Transform.Ke(KeId.Modp3072),
            ["modp4096"] = Transform.Ke(KeId.Modp4096),
            ["modp6144"] = Transform.Ke(KeId.Modp6144),
            ["modp8192"] = Transform.Ke(KeId.Modp8192),
            ["modp1024s160"] = Transform.Ke(KeId.Modp1024S160),
            ["modp2048s224"] = Transform.Ke(KeId.Modp2048S224),
            ["modp2048s256"] = Transform.Ke(KeId.Modp2048S256),
            ["ecp192"] = Transform.Ke(KeId.Ecp192),
            ["ecp224"] = Transform.Ke(KeId.Ecp224),
            ["ecp256"] = Transform.Ke(KeId.Ecp256),
            ["ecp384"] = Transform.Ke(KeId.Ecp384),
            ["ecp521"] = Transform.Ke(KeId.Ecp521),
            ["ecp224bp"] = Transform.Ke(KeId.Brainpool224),
            ["ecp256bp"] = Transform.Ke(KeId.Brainpool256),
            ["ecp384bp"] = Transform.Ke(KeId.Brainpool384),
            ["ecp512bp"] = Transform.Ke(KeId.Brainpool512),
            ["curve25519"] = Transform.Ke(KeId.Curve25519),
            ["x25519"] = Transform.Ke(KeId.Curve25519),
            ["curve448"] = Transform.Ke(KeId.Curve448),
            ["x448"] = Transform.Ke(KeId.Curve448),
            ["noesn"] = Transform.Esn(false),
            ["esn"] = Transform.Esn(true),
        };
        foreach (var bits in new[] { 128, 192, 256 })
        {
            var n = bits.ToString(CultureInfo.InvariantCulture);
            words["aes" + n] = Transform.Encr(EncrId.AesCbc, bits);
            words["aes" + n + "ctr"] = Transform.Encr(EncrId.AesCtr, bits);
            words["aes" + n + "gmac"] = Transform.Encr(EncrId.NullAesGmac, bits);
            words["camellia" + n] = Transform.Encr(EncrId.CamelliaCbc, bits);
            foreach (var (suffixes, gcm, ccm) in new[] { (new[] { "8", "64" }, EncrId.AesGcm8, EncrId.AesCcm8), (["12", "96"], EncrId.AesGcm12, EncrId.AesCcm12), (["16", "128", ""], EncrId.AesGcm16, EncrId.AesCcm16) })
            {
                foreach (var suffix in suffixes)
                {
                    words["aes" + n + "gcm" + suffix] = Transform.Encr(gcm, bits);
                    words["aes" + n + "ccm" + suffix] = Transform.Encr(ccm, bits);
                }
            }
        }

        return words;
    }
}
