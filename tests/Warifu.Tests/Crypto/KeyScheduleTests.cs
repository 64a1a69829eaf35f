using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Crypto;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Crypto;

/// <summary>The key derivation of IKEv2 against NIST's samples; recorded exchanges (Wire/TraceTests) prove the rest.</summary>
[Trait("Item", "1.6")]
public sealed class KeyScheduleTests
{
    public static TheoryData<string> Hashes => ["sha256", "sha1"];

    [Theory]
    [MemberData(nameof(Hashes))]
    public void SKEYSEED_and_the_keys_of_an_IKE_SA(string hash)
    {
        var (v, prf) = Load(hash);
        using var seed = KeyScheduleV2.SkeySeed(prf, v["ni"], v["nr"], new Secret(v["gir"]));
        Assert.Equal(v["skeyseed"], seed.Span.ToArray());
        // NIST's string of keys is cut by a suite that needs no more than it has
        using var keys = KeyScheduleV2.Derive(prf, EncrId.AesCbc, 128, hash == "sha1" ? IntegId.AesXcbc96 : IntegId.HmacSha1_96, seed, v["ni"], v["nr"], Spi(v["spii"]), Spi(v["spir"]));
        byte[] all = [.. keys.SkD.Span, .. keys.SkAi.Span, .. keys.SkAr.Span, .. keys.SkEi.Span, .. keys.SkEr.Span, .. keys.SkPi.Span, .. keys.SkPr.Span];
        Assert.True(all.Length >= (hash == "sha1" ? 120 : 160));
        Assert.Equal(v["dkm"].Take(all.Length), all.Take(v["dkm"].Length));
        Assert.Equal(v["dkm"].AsSpan(0, keys.SkD.Length).ToArray(), keys.SkD.Span.ToArray());
    }

    [Theory]
    [MemberData(nameof(Hashes))]
    public void Keys_of_a_child_with_and_without_a_key_exchange(string hash)
    {
        var (v, prf) = Load(hash);
        using var skD = new Secret(v["dkm"].AsSpan(0, Algorithms.Prf[prf].KeyLength));
        // the longest KEYMAT that a suite takes: 2 * (32 + 64)
        var length = Math.Min(v["dkm_child"].Length, 192);
        Assert.Equal(v["dkm_child"].Take(length), Keymat(KeyScheduleV2.DeriveChild(prf, skD, null, v["ni"], v["nr"], EncrId.AesCbc, 256, IntegId.HmacSha512_256)).Take(length));
        Assert.Equal(v["dkm_child_dh"].Take(length), Keymat(KeyScheduleV2.DeriveChild(prf, skD, new Secret(v["gir_new"]), v["ni"], v["nr"], EncrId.AesCbc, 256, IntegId.HmacSha512_256)).Take(length));
    }

    [Theory]
    [MemberData(nameof(Hashes))]
    public void KEYMAT_is_cut_initiator_first_and_encryption_before_integrity(string hash)
    {
        // RFC 7296 section 2.17
        var (v, prf) = Load(hash);
        using var skD = new Secret(v["dkm"].AsSpan(0, Algorithms.Prf[prf].KeyLength));
        var keys = KeyScheduleV2.DeriveChild(prf, skD, null, v["ni"], v["nr"], EncrId.AesCtr, 192, IntegId.HmacSha1_96);
        var stream = v["dkm_child"];
        Assert.Equal(stream[..28], keys.InitiatorEncr.Span.ToArray());
        Assert.Equal(stream[28..48], keys.InitiatorInteg.Span.ToArray());
        Assert.Equal(stream[48..76], keys.ResponderEncr.Span.ToArray());
        Assert.Equal(stream[76..96], keys.ResponderInteg.Span.ToArray());
        var aead = KeyScheduleV2.DeriveChild(prf, skD, null, v["ni"], v["nr"], EncrId.AesGcm16, 256, IntegId.None);
        Assert.Equal(stream[..36], aead.InitiatorEncr.Span.ToArray());
        Assert.Equal(0, aead.InitiatorInteg.Length);
        Assert.Equal(stream[36..72], aead.ResponderEncr.Span.ToArray());
    }

    [Theory]
    [MemberData(nameof(Hashes))]
    public void SKEYSEED_of_a_rekeyed_IKE_SA(string hash)
    {
        var (v, prf) = Load(hash);
        using var skD = new Secret(v["dkm"].AsSpan(0, Algorithms.Prf[prf].KeyLength));
        using var seed = KeyScheduleV2.SkeySeedRekey(prf, skD, v["ni"], v["nr"], new Secret(v["gir_new"]));
        Assert.Equal(v["skeyseed_rekey"], seed.Span.ToArray());
    }

    [Theory]
    [MemberData(nameof(Hashes))]
    public void Prf_plus_gives_the_same_stream_at_every_length(string hash)
    {
        var (v, prf) = Load(hash);
        byte[] seed = [.. v["ni"], .. v["nr"], .. v["spii"], .. v["spir"]];
        for (var length = 0; length <= v["dkm"].Length; length++)
        {
            var output = new byte[length];
            KeyScheduleV2.Plus(Algorithms.Prf[prf], v["skeyseed"], seed, output);
            Assert.Equal(v["dkm"].AsSpan(0, length).ToArray(), output);
        }
    }

    [Fact]
    public void PRFs_with_a_fixed_key_take_64_bits_of_each_nonce()
    {
        // RFC 7296 section 2.14: what lies behind the first eight octets does not change SKEYSEED
        var (ni, nr) = (Enumerable.Range(0, 32).Select(i => (byte)i).ToArray(), Enumerable.Range(100, 32).Select(i => (byte)i).ToArray());
        foreach (var prf in new[] { PrfId.AesXcbc, PrfId.AesCmac })
        {
            using var whole = KeyScheduleV2.SkeySeed(prf, ni, nr, new Secret(new byte[32]));
            using var heads = KeyScheduleV2.SkeySeed(prf, ni.AsSpan(0, 8), nr.AsSpan(0, 8), new Secret(new byte[32]));
            Assert.True(whole.FixedTimeEquals(heads.Span));
            using var expected = KeyedHash.Create(Algorithms.Prf[prf].Mac, [.. ni.AsSpan(0, 8), .. nr.AsSpan(0, 8)]);
            var output = new byte[16];
            expected.Append(new byte[32]);
            expected.Finish(output);
            Assert.True(whole.FixedTimeEquals(output));
        }

        using var long_ = KeyScheduleV2.SkeySeed(PrfId.HmacSha256, ni, nr, new Secret(new byte[32]));
        using var short_ = KeyScheduleV2.SkeySeed(PrfId.HmacSha256, ni.AsSpan(0, 8), nr.AsSpan(0, 8), new Secret(new byte[32]));
        Assert.False(long_.FixedTimeEquals(short_.Span));
    }

    [Fact]
    public void Prf_plus_ends_at_255_blocks()
    {
        var info = Algorithms.Prf[PrfId.HmacMd5];
        KeyScheduleV2.Plus(info, new byte[16], new byte[4], new byte[255 * 16]);
        Assert.ThrowsAny<Exception>(() => KeyScheduleV2.Plus(info, new byte[16], new byte[4], new byte[(255 * 16) + 1]));
    }

    private static (Dictionary<string, byte[]> Values, PrfId Prf) Load(string hash)
    {
        var line = VectorFile.Read("ikev2-kdf").Single(fields => fields[0] == "hash=" + hash);
        return (line.Skip(1).Select(field => field.Split('=')).ToDictionary(pair => pair[0], pair => Convert.FromHexString(pair[1])), hash == "sha1" ? PrfId.HmacSha1 : PrfId.HmacSha256);
    }

    private static IkeSpi Spi(byte[] octets) => new(System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(octets));

    private static byte[] Keymat(ChildKeys keys) => [.. keys.InitiatorEncr.Span, .. keys.InitiatorInteg.Span, .. keys.ResponderEncr.Span, .. keys.ResponderInteg.Span];
}
