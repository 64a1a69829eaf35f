using System.Collections.Generic;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Policy;

/// <summary>Proposals in the words of swanctl.conf, with their numbers on the wire (RFC 7296 section 3.3.2, the registries of IANA).</summary>
[Trait("Item", "1.8")]
public sealed class ProposalKeywordTests
{
    private static readonly string[] s_sizes = ["128", "192", "256"];

    /// <summary>Keyword, transform type, number, key bits.</summary>
    public static TheoryData<string, int, int, int> Served()
    {
        var rows = new TheoryData<string, int, int, int>
        {
            { "des", 1, 2, 0 }, { "3des", 1, 3, 0 }, { "null", 1, 11, 0 }, { "aes", 1, 12, 128 }, { "camellia", 1, 23, 128 }, { "chacha20poly1305", 1, 28, 0 },
            { "md5", 3, 1, 0 }, { "sha", 3, 2, 0 }, { "sha1", 3, 2, 0 }, { "aesxcbc", 3, 5, 0 }, { "aescmac", 3, 8, 0 },
            { "sha256", 3, 12, 0 }, { "sha2_256", 3, 12, 0 }, { "sha384", 3, 13, 0 }, { "sha2_384", 3, 13, 0 }, { "sha512", 3, 14, 0 }, { "sha2_512", 3, 14, 0 },
            { "prfmd5", 2, 1, 0 }, { "prfsha1", 2, 2, 0 }, { "prfaesxcbc", 2, 4, 0 }, { "prfsha256", 2, 5, 0 }, { "prfsha384", 2, 6, 0 }, { "prfsha512", 2, 7, 0 }, { "prfaescmac", 2, 8, 0 },
            { "none", 4, 0, 0 }, { "modpnone", 4, 0, 0 }, { "modp768", 4, 1, 0 }, { "modp1024", 4, 2, 0 }, { "modp1536", 4, 5, 0 }, { "modp2048", 4, 14, 0 }, { "modp3072", 4, 15, 0 }, { "modp4096", 4, 16, 0 },
            { "modp6144", 4, 17, 0 }, { "modp8192", 4, 18, 0 }, { "ecp256", 4, 19, 0 }, { "ecp384", 4, 20, 0 }, { "ecp521", 4, 21, 0 }, { "modp1024s160", 4, 22, 0 }, { "modp2048s224", 4, 23, 0 },
            { "modp2048s256", 4, 24, 0 }, { "ecp192", 4, 25, 0 }, { "ecp224", 4, 26, 0 }, { "ecp224bp", 4, 27, 0 }, { "ecp256bp", 4, 28, 0 }, { "ecp384bp", 4, 29, 0 }, { "ecp512bp", 4, 30, 0 },
            { "curve25519", 4, 31, 0 }, { "x25519", 4, 31, 0 }, { "curve448", 4, 32, 0 }, { "x448", 4, 32, 0 }, { "noesn", 5, 0, 0 }, { "esn", 5, 1, 0 },
        };
        foreach (var size in s_sizes)
        {
            var bits = int.Parse(size);
            foreach (var (suffix, id) in new[] { ("", 12), ("ctr", 13), ("ccm8", 14), ("ccm64", 14), ("ccm12", 15), ("ccm96", 15), ("ccm16", 16), ("ccm128", 16), ("ccm", 16), ("gcm8", 18), ("gcm64", 18), ("gcm12", 19), ("gcm96", 19), ("gcm16", 20), ("gcm128", 20), ("gcm", 20), ("gmac", 21) })
            {
                rows.Add($"aes{size}{suffix}", 1, id, bits);
            }

            rows.Add($"camellia{size}", 1, 23, bits);
        }

        return rows;
    }

    public static TheoryData<string> Later() =>
    [
        "cast128", "blowfish", "blowfish256", "serpent", "serpent192", "twofish128", "camellia256ctr", "camellia128ccm8", "camellia192ccm64", "camellia192ccm12", "camellia256ccm96", "camellia128ccm16", "camellia256ccm128",
        "chacha20poly1305compat", "md5_128", "sha1_160", "sha256_96", "sha2_256_96", "camelliaxcbc", "prfcamelliaxcbc", "gost256", "gost512", "mlkem512", "mlkem768", "mlkem1024", "modpnull",
        "ke1_mlkem768", "ke7_x25519", "ke1_none",
    ];

    [Theory]
    [MemberData(nameof(Served))]
    public void Every_keyword_has_its_number(string word, int type, int id, int bits) =>
        Assert.Equal(new Transform((TransformType)type, (ushort)id, (ushort)bits), ProposalKeywords.Lookup(word));

    [Fact]
    public void There_are_no_other_keywords() =>
        Assert.Equal(Served().Select(row => row.Data.Item1).Where(word => ProposalKeywords.Lookup(word) is not null).Distinct().Order(System.StringComparer.Ordinal), ProposalKeywords.All);

    [Theory]
    [MemberData(nameof(Later))]
    public void A_legal_word_without_an_algorithm_is_a_limit_and_no_error(string word)
    {
        Assert.False(ProposalKeywords.TryParse(ProtocolId.Ike, $"aes256-sha256-x25519-{word}", out _, out var error, out var isLimit));
        Assert.True(isLimit);
        Assert.Equal($"algorithm '{word}' is not there yet", error);
    }

    [Theory]
    [InlineData("aes256gmc16", "aes256gcm16")]
    [InlineData("aes265", "aes256")]
    [InlineData("sha265", "sha256")]
    [InlineData("x25591", "x25519")]
    [InlineData("modp2408", "modp2048")]
    [InlineData("prfsha255", "prfsha256")]
    [InlineData("", "aes")]
    public void An_unknown_word_is_an_error_that_names_the_nearest(string word, string nearest)
    {
        Assert.False(ProposalKeywords.TryParse(ProtocolId.Ike, $"aes256-{word}-x25519", out _, out var error, out var isLimit));
        Assert.False(isLimit);
        Assert.Equal($"unknown algorithm '{word}'; nearest known word: '{nearest}'", error);
    }

    [Theory]
    [InlineData("ke8_x25519")]
    [InlineData("ke0_x25519")]
    [InlineData("ke1_aes256")]
    [InlineData("ke1_")]
    public void An_additional_exchange_that_cannot_be_is_no_limit(string word)
    {
        Assert.False(ProposalKeywords.TryParse(ProtocolId.Ike, $"aes256-sha256-x25519-{word}", out _, out _, out var isLimit));
        Assert.False(isLimit);
    }

    [Fact]
    public void Aead_and_other_ciphers_become_two_proposals()
    {
        // RFC 7296 section 3.3: combined-mode ciphers and ciphers with an integrity algorithm must not stand in one proposal
        var proposals = Parse(ProtocolId.Ike, "aes256gcm16-aes128-chacha20poly1305-sha256-sha384-x25519-modp2048");
        Assert.Equal(["aes256gcm16-chacha20poly1305-prfsha256-prfsha384-x25519-modp2048", "aes128-sha256-sha384-prfsha256-prfsha384-x25519-modp2048"], proposals.Select(ProposalKeywords.Print));
        Assert.All(proposals[0].Transforms, transform => Assert.NotEqual(TransformType.Integ, transform.Type));
    }

    [Fact]
    public void For_esp_too()
    {
        var proposals = Parse(ProtocolId.Esp, "aes128gcm16-aes256-sha512-ecp256-esn-noesn");
        Assert.Equal(
            [
                [Transform.Encr(EncrId.AesGcm16, 128), Transform.Ke(KeId.Ecp256), Transform.Esn(true), Transform.Esn(false)],
                [Transform.Encr(EncrId.AesCbc, 256), Transform.Integ(IntegId.HmacSha512_256), Transform.Ke(KeId.Ecp256), Transform.Esn(true), Transform.Esn(false)],
            ],
            proposals.Select(proposal => proposal.Transforms.ToArray()));
    }

    [Theory]
    [InlineData("aes128-md5-modp2048", PrfId.HmacMd5)]
    [InlineData("aes128-sha1-modp2048", PrfId.HmacSha1)]
    [InlineData("aes128-sha256-modp2048", PrfId.HmacSha256)]
    [InlineData("aes128-sha384-modp2048", PrfId.HmacSha384)]
    [InlineData("aes128-sha512-modp2048", PrfId.HmacSha512)]
    [InlineData("aes128-aesxcbc-modp2048", PrfId.AesXcbc)]
    [InlineData("aes128-aescmac-modp2048", PrfId.AesCmac)]
    [InlineData("aes128-sha256-prfsha512-modp2048", PrfId.HmacSha512)]
    public void The_prf_comes_from_the_integrity_algorithm_unless_it_is_named(string text, PrfId prf) => Assert.Equal(Transform.Prf(prf), Assert.Single(Parse(ProtocolId.Ike, text)).Find(TransformType.Prf));

    [Theory]
    [InlineData(ProtocolId.Ike, "sha256-x25519", "has no encryption algorithm")]
    [InlineData(ProtocolId.Ike, "aes256-sha256", "has no key exchange method")]
    [InlineData(ProtocolId.Ike, "aes256-sha256-none", "has no key exchange method")]
    [InlineData(ProtocolId.Ike, "aes256gcm16-x25519", "has no PRF")]
    [InlineData(ProtocolId.Ike, "aes256-prfsha256-x25519", "needs an integrity algorithm with aes256")]
    [InlineData(ProtocolId.Ike, "null-sha256-x25519", "'null' is for ESP only")]
    [InlineData(ProtocolId.Ike, "aes128gmac-prfsha256-x25519", "'aes128gmac' is for ESP only")]
    [InlineData(ProtocolId.Esp, "sha256", "has no encryption algorithm")]
    [InlineData(ProtocolId.Esp, "aes256", "needs an integrity algorithm with aes256")]
    [InlineData(ProtocolId.Esp, "aes256gcm16-aes128", "needs an integrity algorithm with aes128")]
    [InlineData(ProtocolId.Ah, "aes256-sha256", "'aes256' encrypts, and AH does not")]
    [InlineData(ProtocolId.Ah, "x25519", "has no integrity algorithm")]
    public void An_incomplete_proposal_says_what_is_missing(ProtocolId protocol, string text, string error)
    {
        Assert.False(ProposalKeywords.TryParse(protocol, text, out _, out var told, out var isLimit));
        Assert.False(isLimit);
        Assert.Contains(error, told);
        Assert.Contains(';', told.Replace(" is for ESP only", ";"));
    }

    [Fact]
    public void Ah_takes_integrity_and_gmac()
    {
        // RFC 4543 section 6: AUTH_AES_128_GMAC is 9, 192 is 10, 256 is 11
        Assert.Equal([new(TransformType.Integ, 12), Transform.Esn(false)], Assert.Single(Parse(ProtocolId.Ah, "sha256")).Transforms);
        Assert.Equal([new(TransformType.Integ, 10), Transform.Ke(KeId.Ecp256), Transform.Esn(true)], Assert.Single(Parse(ProtocolId.Ah, "aes192gmac-ecp256-esn")).Transforms);
    }

    [Fact]
    public void Default_has_nothing_weak_and_strong_things_first()
    {
        foreach (var transform in ProposalKeywords.DefaultIke.Concat(ProposalKeywords.DefaultEsp).SelectMany(proposal => proposal.Transforms)) Assert.Null(WeakAlgorithms.Of(transform));
        Assert.Equal("aes256gcm16-aes128gcm16-chacha20poly1305-prfsha256-prfsha384-prfsha512-x25519-ecp256-ecp384-modp3072-modp2048", ProposalKeywords.Print(ProposalKeywords.DefaultIke[0]));
        Assert.Equal("aes256-aes128-sha256-sha384-sha512-prfsha256-prfsha384-prfsha512-x25519-ecp256-ecp384-modp3072-modp2048", ProposalKeywords.Print(ProposalKeywords.DefaultIke[1]));
        Assert.Equal(ProposalKeywords.DefaultIke, Parse(ProtocolId.Ike, "default"));
        Assert.Equal(ProposalKeywords.DefaultEsp, Parse(ProtocolId.Esp, "DEFAULT"));
        // the first child has no key exchange of its own, so "none" must be there
        Assert.All(ProposalKeywords.DefaultEsp, proposal => Assert.Contains(Transform.Ke(KeId.None), proposal.Transforms));
    }

    [Theory]
    [InlineData("3des", "3DES")]
    [InlineData("null", "NULL")]
    [InlineData("aes256gmac", "NULL_AES_GMAC")]
    [InlineData("md5", "MD5")]
    [InlineData("prfmd5", "MD5")]
    [InlineData("sha1", "SHA-1")]
    [InlineData("prfsha1", "SHA-1")]
    [InlineData("modp768", "modp768")]
    [InlineData("modp1024", "modp1024")]
    [InlineData("modp1536", "modp1536")]
    [InlineData("modp1024s160", "modp1024s160")]
    [InlineData("modp2048s224", "modp2048s224")]
    [InlineData("modp2048s256", "modp2048s256")]
    [InlineData("ecp192", "ecp192")]
    public void Weak_algorithms_are_known_with_a_reason_and_a_replacement(string word, string name)
    {
        var weakness = WeakAlgorithms.Of(ProposalKeywords.Lookup(word)!.Value);
        Assert.NotNull(weakness);
        Assert.Equal(name, weakness.Name);
        Assert.NotEmpty(weakness.Why);
        var instead = ProposalKeywords.Lookup(weakness.Instead.Split(' ', ',')[0]);
        Assert.NotNull(instead);
        Assert.Null(WeakAlgorithms.Of(instead.Value));
    }

    [Fact]
    public void Des_is_weak_by_its_number() => Assert.Equal("DES", WeakAlgorithms.Of(new Transform(TransformType.Encr, 2))?.Name);

    [Fact]
    public void What_is_printed_can_be_read_again()
    {
        foreach (var protocol in new[] { ProtocolId.Ike, ProtocolId.Esp })
        {
            foreach (var word in ProposalKeywords.All.Where(word => ProposalKeywords.Lookup(word)!.Value.Type == TransformType.Encr))
            {
                if (!ProposalKeywords.TryParse(protocol, $"{word}-sha384-prfaescmac-ecp521", out var parsed, out _, out _)) continue;
                foreach (var proposal in parsed) Assert.Equal(proposal, Assert.Single(Parse(protocol, ProposalKeywords.Print(proposal))));
            }
        }
    }

    internal static List<Proposal> Parse(ProtocolId protocol, string text) =>
        ProposalKeywords.TryParse(protocol, text, out var proposals, out var error, out _) ? [.. proposals] : throw new Xunit.Sdk.XunitException($"{text}: {error}");
}
