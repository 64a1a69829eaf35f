using System;
using System.Linq;
using Warifu.Crypto;
using Warifu.Crypto.Native;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Xunit;

namespace Warifu.Tests.Crypto;

/// <summary>The tables: what is there, what is weak, and who computes it.</summary>
[Trait("Item", "1.6")]
public sealed class AlgorithmTableTests
{
    [Fact]
    public void Integrity_algorithms_have_the_lengths_of_their_RFCs() => Assert.Equal(
        [
            (IntegId.HmacMd5_96, 16, 12), (IntegId.HmacSha1_96, 20, 12), (IntegId.AesXcbc96, 16, 12), (IntegId.AesCmac96, 16, 12),
            (IntegId.HmacSha256_128, 32, 16), (IntegId.HmacSha384_192, 48, 24), (IntegId.HmacSha512_256, 64, 32),
        ],
        Algorithms.Integ.Values.Select(info => (info.Id, info.KeyLength, info.IcvLength)).OrderBy(row => row.Id));

    [Fact]
    public void PRFs_have_the_lengths_of_their_RFCs() => Assert.Equal(
        [
            (PrfId.HmacMd5, 16, 16, false), (PrfId.HmacSha1, 20, 20, false), (PrfId.AesXcbc, 16, 16, true), (PrfId.HmacSha256, 32, 32, false),
            (PrfId.HmacSha384, 48, 48, false), (PrfId.HmacSha512, 64, 64, false), (PrfId.AesCmac, 16, 16, true),
        ],
        Algorithms.Prf.Values.Select(info => (info.Id, info.KeyLength, info.OutputLength, info.FixedKey)).OrderBy(row => row.Id));

    [Fact]
    public void Ciphers_have_the_salts_IVs_and_ICVs_of_their_RFCs() => Assert.Equal(
        [
            (EncrId.Des, 0, 8, 8, 0), (EncrId.TripleDes, 0, 8, 8, 0), (EncrId.Null, 0, 0, 1, 0), (EncrId.AesCbc, 0, 16, 16, 0), (EncrId.AesCtr, 4, 8, 1, 0), (EncrId.AesCcm8, 3, 8, 1, 8), (EncrId.AesCcm12, 3, 8, 1, 12),
            (EncrId.AesCcm16, 3, 8, 1, 16), (EncrId.AesGcm8, 4, 8, 1, 8), (EncrId.AesGcm12, 4, 8, 1, 12), (EncrId.AesGcm16, 4, 8, 1, 16), (EncrId.NullAesGmac, 4, 8, 1, 16), (EncrId.CamelliaCbc, 0, 16, 16, 0),
            (EncrId.ChaCha20Poly1305, 4, 8, 1, 16),
        ],
        Algorithms.Encr.Values.Select(info => (info.Id, info.SaltLength, info.IvLength, info.BlockLength, info.IcvLength)).OrderBy(row => row.Id));

    [Fact]
    public void Key_exchange_methods_are_those_of_the_item_and_none_else()
    {
        int[] expected = [1, 2, 5, .. Enumerable.Range(14, 19)];
        Assert.Equal(expected, Algorithms.Ke.Keys.Select(id => (int)id).Order());
    }

    [Theory]
    [InlineData(EncrId.AesCbc, 0, false)]
    [InlineData(EncrId.AesCbc, 64, false)]
    [InlineData(EncrId.AesCbc, 128, true)]
    [InlineData(EncrId.AesCbc, 256, true)]
    [InlineData(EncrId.AesCbc, 512, false)]
    [InlineData(EncrId.CamelliaCbc, 0, false)]
    [InlineData(EncrId.CamelliaCbc, 192, true)]
    [InlineData(EncrId.TripleDes, 0, true)]
    [InlineData(EncrId.TripleDes, 192, false)]
    [InlineData(EncrId.ChaCha20Poly1305, 0, true)]
    [InlineData(EncrId.ChaCha20Poly1305, 256, false)]
    [InlineData(EncrId.Null, 0, true)]
    [InlineData(EncrId.Null, 128, false)]
    [InlineData(EncrId.Des, 0, true)]
    [InlineData(EncrId.Des, 64, false)]
    [InlineData((EncrId)1, 0, false)]
    [InlineData((EncrId)9999, 0, false)]
    public void The_Key_Length_attribute_must_fit_the_cipher(EncrId id, int bits, bool supported) => Assert.Equal(supported, Algorithms.Supports(Transform.Encr(id, bits)));

    [Fact]
    public void Encryption_that_is_none_is_for_ESP_only() =>
        Assert.Equal([EncrId.Null, EncrId.NullAesGmac], Algorithms.Encr.Values.Where(info => info.EspOnly).Select(info => info.Id).Order());

    [Fact]
    public void What_is_weak()
    {
        // RFC 8221, RFC 8247 (MUST NOT and SHOULD NOT), RFC 9395; groups below 14, those with small subgroups, and P-192
        Assert.Equal([EncrId.Des, EncrId.TripleDes, EncrId.Null], Algorithms.Encr.Values.Where(info => info.Strength == Strength.Weak).Select(info => info.Id).Order());
        Assert.Equal([IntegId.HmacMd5_96, IntegId.HmacSha1_96], Algorithms.Integ.Values.Where(info => info.Strength == Strength.Weak).Select(info => info.Id).Order());
        Assert.Equal([PrfId.HmacMd5, PrfId.HmacSha1], Algorithms.Prf.Values.Where(info => info.Strength == Strength.Weak).Select(info => info.Id).Order());
        Assert.Equal([1, 2, 5, 22, 23, 24, 25], Algorithms.Ke.Values.Where(info => info.Strength == Strength.Weak).Select(info => (int)info.Id).Order());
    }

    [Fact]
    public void The_default_proposals_hold_good_algorithms_only()
    {
        var transforms = ProposalKeywords.DefaultIke.Concat(ProposalKeywords.DefaultEsp).SelectMany(proposal => proposal.Transforms).Distinct().ToList();
        Assert.NotEmpty(transforms);
        Assert.All(transforms, transform => Assert.True(Algorithms.StrengthOf(transform) == Strength.Good, ProposalKeywords.Word(transform)));
        Assert.All(transforms.Where(transform => transform.Id != 0), transform => Assert.True(Algorithms.Supports(transform), ProposalKeywords.Word(transform)));
        Assert.DoesNotContain(transforms, transform => transform.Type == TransformType.Encr && (EncrId)transform.Id is EncrId.Des or EncrId.TripleDes or EncrId.Null);
        Assert.All(transforms, transform => Assert.Null(WeakAlgorithms.Of(transform)));
    }

    [Theory]
    [InlineData(ProtocolId.Ike, "3des-sha256-modp2048", "3DES")]
    [InlineData(ProtocolId.Ike, "aes128-md5-modp2048", "MD5")]
    [InlineData(ProtocolId.Ike, "aes128-sha1-modp2048", "SHA-1")]
    [InlineData(ProtocolId.Ike, "aes128-sha256-modp768", "modp768")]
    [InlineData(ProtocolId.Ike, "aes128-sha256-modp1024", "modp1024")]
    [InlineData(ProtocolId.Ike, "aes128-sha256-modp1536", "modp1536")]
    [InlineData(ProtocolId.Ike, "aes128-sha256-modp1024s160", "modp1024s160")]
    [InlineData(ProtocolId.Ike, "aes128-sha256-modp2048s224", "modp2048s224")]
    [InlineData(ProtocolId.Ike, "aes128-sha256-modp2048s256", "modp2048s256")]
    [InlineData(ProtocolId.Ike, "aes128-sha256-ecp192", "ecp192")]
    [InlineData(ProtocolId.Ike, "aes256gcm16-prfsha384-ecp384", "")]
    [InlineData(ProtocolId.Esp, "null-sha256", "NULL")]
    [InlineData(ProtocolId.Esp, "aes128gmac", "NULL_AES_GMAC")]
    public void A_weak_algorithm_that_is_named_is_taken_and_told(ProtocolId protocol, string text, string weak)
    {
        Assert.True(ProposalKeywords.TryParse(protocol, text, out var proposals, out _, out _));
        Assert.Equal(weak, string.Join(',', proposals.SelectMany(proposal => proposal.Transforms).Select(WeakAlgorithms.Of).OfType<Weakness>().Select(weakness => weakness.Name).Distinct()));
    }

    [Fact]
    [Trait("Item", "1.7")]
    public void Libcrypto_and_the_processor_compute_by_default()
    {
        Assert.True(Libcrypto.IsAvailable, "the tests need libcrypto.so.3");
        var entropy = new SeededEntropy(1);
        foreach (var info in Algorithms.Ke.Values)
        {
            using var exchange = KeyExchange.Generate(info.Id, entropy);
            Assert.Equal(info.Kind switch { KeKind.Modp => typeof(NativeModp), KeKind.Ecp => typeof(NativeEcp), _ => typeof(NativeMontgomery) }, exchange.GetType());
            if (info.PublicLength > 256) continue;
            using var managed = KeyExchange.Generate(info.Id, entropy, Provider.Managed);
            Assert.Equal(info.Kind switch { KeKind.Modp => typeof(ManagedModp), KeKind.Ecp => typeof(ManagedEcp), _ => typeof(ManagedMontgomery) }, managed.GetType());
        }

        foreach (var kind in Enum.GetValues<MacKind>().Where(kind => kind is not (MacKind.AesXcbc or MacKind.AesCmac)))
        {
            using var mac = KeyedHash.Create(kind, new byte[16]);
            Assert.IsType<NativeHmac>(mac);
            using var managed = KeyedHash.Create(kind, new byte[16], Provider.Managed);
            Assert.IsType<ManagedHmac>(managed);
        }

        foreach (var info in Algorithms.Encr.Values.Where(info => info.Id != EncrId.Null))
        {
            var key = new byte[info.KeyBits[0] / 8];
            BlockCipherContext Context(Provider best) => info.IsAead ? BlockCipherContext.Aead(info.Id, key, info.SaltLength + 8, info.IcvLength, encrypt: true, best) : BlockCipherContext.Plain(info.Id, key, encrypt: true, best);
            using var best = Context(Provider.Processor);
            var gcm = info.Id is EncrId.AesGcm8 or EncrId.AesGcm12 or EncrId.AesGcm16 or EncrId.NullAesGmac;
            Assert.Equal(gcm && ProcessorAesGcm.IsSupported ? typeof(ProcessorAesGcm) : info.IsAead ? typeof(NativeAead) : typeof(NativeBlockCipher), best.GetType());
            using var native = Context(Provider.Libcrypto);
            Assert.Equal(info.IsAead ? typeof(NativeAead) : typeof(NativeBlockCipher), native.GetType());
            using var managed = Context(Provider.Managed);
            Assert.Equal(info.IsAead ? typeof(ManagedAead) : typeof(ManagedBlockCipher), managed.GetType());
        }
    }
}
