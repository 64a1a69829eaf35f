using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Crypto;
using Warifu.Primitives;
using Warifu.Simulation;
using Xunit;
using static Warifu.Tests.Crypto.VectorFile;

namespace Warifu.Tests.Crypto;

/// <summary>Whole packets: layout, nonces, additional data, ESN, and what must be refused.</summary>
[Trait("Item", "1.6")]
public sealed class PacketCipherTests
{
    private const int Header = 8;

    /// <summary>Every encryption transform with every key length; those without integrity of their own with every MAC.</summary>
    private static IEnumerable<(EncrInfo Encr, int Bits, IntegId Integ)> Suites =>
        from encr in Algorithms.Encr.Values
        from bits in encr.KeyLengthAttribute ? encr.KeyBits : [0]
        from integ in encr.IsAead ? [IntegId.None] : Algorithms.Integ.Keys.AsEnumerable()
        select (encr, bits, integ);

    [Theory]
    [InlineData(Provider.Managed)]
    [InlineData(Provider.Libcrypto)]
    [InlineData(Provider.Processor)]
    internal void An_ESP_packet_with_GMAC_opens_when_its_IV_is_authenticated(Provider provider)
    {
        // RFC 4543 section 3.5: the AAD is SPI, sequence number and IV; the ICV was computed by another implementation (Python)
        var esp = Octets("0000432100000007000000000000000045000030da3a00008001df3bc0a80005c0a800010800c6cd020007006162636465666768696a6b6c6d6e6f707172737401020201f2a9a836e155106aa8dcd618e4099aaa");
        using var cipher = PacketCipher.Create(EncrId.NullAesGmac, 128, IntegId.None, Octets("4c80cdefbb5d10da906ac73c3613a63422433c64"), [], new SeededEntropy(1), provider);
        Assert.True(cipher.Open(esp.ToArray(), Header));
        var sealed_ = esp.ToArray();
        sealed_.AsSpan(Header, 8).Fill(0xEE);
        sealed_.AsSpan(sealed_.Length - 16).Clear();
        cipher.Seal(sealed_, Header, 0);
        Assert.Equal(esp, sealed_);
        esp[Header + 3] ^= 1;
        Assert.False(cipher.Open(esp, Header));
    }

    [Theory]
    [InlineData(Provider.Managed)]
    [InlineData(Provider.Libcrypto)]
    internal void The_packets_of_RFC_7634_open(Provider provider)
    {
        var key = Octets("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3");
        using var cipher = PacketCipher.Create(EncrId.ChaCha20Poly1305, 0, IntegId.None, key, [], new SeededEntropy(1), provider);
        var esp = Octets("0102030400000005101112131415161724039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da9165b82829f641e076aaa8266b7fb0f7b11b369907e1ad43");
        var sent = esp.ToArray();
        Assert.True(cipher.Open(esp, Header));
        cipher.Seal(esp, Header, 0x1011121314151617);
        Assert.Equal(sent, esp);
    }

    [Fact]
    public void With_ESN_the_upper_half_stands_where_the_RFCs_put_it()
    {
        foreach (var (encr, bits, integ) in Suites)
        {
            using var cipher = Make(encr, bits, integ, Provider.Processor);
            var packet = Plain(cipher, 32);
            cipher.Seal(packet, Header, 7, 0x01020304);
            byte[] esn = [0xA0, 0xA1, 0xA2, 0xA3, 1, 2, 3, 4, 0xA4, 0xA5, 0xA6, 0xA7];
            if (encr.IsAead)
            {
                // RFC 4106 section 5, RFC 4309 section 5, RFC 7634 section 2.1, RFC 4543 section 3.3: SPI | high | low
                byte[] key = [.. Enumerable.Range(1, encr.KeyMaterialLength(bits)).Select(i => (byte)(i * 11))];
                byte[] nonce = [.. key.AsSpan(key.Length - encr.SaltLength), .. packet.AsSpan(Header, 8)];
                using var open = BlockCipherContext.Aead(encr.Id, key.AsSpan(0, key.Length - encr.SaltLength), nonce.Length, encr.IcvLength, encrypt: false, Provider.Libcrypto);
                Assert.True(encr.Id == EncrId.NullAesGmac
                    ? open.OpenAead(nonce, [.. esn, .. packet.AsSpan(Header, 8 + 32)], default, default, packet.AsSpan(packet.Length - encr.IcvLength))
                    : open.OpenAead(nonce, esn, default, packet.AsSpan(Header + 8, 32), packet.AsSpan(packet.Length - encr.IcvLength)));
                continue;
            }

            // RFC 4303 section 2.2.1: behind the packet
            using var mac = KeyedHash.Create(Algorithms.Integ[integ].Mac, [.. Enumerable.Range(1, Algorithms.Integ[integ].KeyLength).Select(i => (byte)(i * 13))]);
            mac.Append([.. packet.AsSpan(0, packet.Length - cipher.IcvLength), 1, 2, 3, 4]);
            var icv = new byte[cipher.IcvLength];
            mac.Finish(icv);
            Assert.Equal(icv, packet.AsSpan(packet.Length - cipher.IcvLength).ToArray());
        }
    }

    [Fact]
    public void All_suites_that_the_item_names_are_there() => Assert.Equal(
        [
            ("AES_CBC", 3 * 7), ("AES_CCM_12", 3), ("AES_CCM_16", 3), ("AES_CCM_8", 3), ("AES_CTR", 3 * 7), ("AES_GCM_12", 3), ("AES_GCM_16", 3), ("AES_GCM_8", 3),
            ("CAMELLIA_CBC", 3 * 7), ("CHACHA20_POLY1305", 1), ("DES3", 7), ("DES_CBC", 7), ("NULL", 7), ("NULL_AES_GMAC", 3),
        ],
        Suites.GroupBy(suite => suite.Encr.Name.Replace("3DES_CBC", "DES3")).Select(group => (group.Key, group.Count())).OrderBy(row => row.Key, StringComparer.Ordinal));

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Every_suite_gives_the_same_packets_on_every_provider_at_every_length(bool esn)
    {
        uint? high = esn ? 0x01020304u : null;
        foreach (var (encr, bits, integ) in Suites)
        {
            var providers = new[] { Provider.Managed, Provider.Libcrypto, Provider.Processor }.Select(provider => Make(encr, bits, integ, provider)).ToArray();
            for (var length = 0; length <= 70; length += encr.BlockLength)
            {
                var packets = providers.Select(cipher =>
                {
                    var packet = Plain(cipher, length);
                    cipher.Seal(packet, Header, (ulong)length + 1, high);
                    return packet;
                }).ToArray();
                Assert.Equal(packets[0], packets[1]);
                Assert.Equal(packets[0], packets[2]);
                var plain = Plain(providers[0], length).AsSpan(Header + encr.IvLength, length).ToArray();
                foreach (var cipher in providers)
                {
                    var packet = packets[0].ToArray();
                    Assert.True(cipher.Open(packet, Header, high), $"{encr.Name} {bits} {integ} {length}");
                    Assert.Equal(plain, packet.AsSpan(Header + encr.IvLength, length).ToArray());
                    if (encr.Id is not (EncrId.Null or EncrId.NullAesGmac) && length >= 8) Assert.NotEqual(plain, packets[0].AsSpan(Header + encr.IvLength, length).ToArray());
                    // the upper half of the number is authenticated
                    Assert.False(cipher.Open(packets[0].ToArray(), Header, esn ? 0x01020305u : 0));
                }
            }

            foreach (var cipher in providers) cipher.Dispose();
        }
    }

    [Theory]
    [InlineData(Provider.Managed)]
    [InlineData(Provider.Libcrypto)]
    [InlineData(Provider.Processor)]
    internal void Every_octet_of_a_packet_is_authenticated_and_nothing_shorter_is_accepted(Provider provider)
    {
        foreach (var (encr, bits, integ) in Suites)
        {
            using var cipher = Make(encr, bits, integ, provider);
            var packet = Plain(cipher, 32);
            cipher.Seal(packet, Header, 7);
            for (var i = 0; i < packet.Length; i++)
            {
                var changed = packet.ToArray();
                changed[i] ^= 0x01;
                Assert.False(cipher.Open(changed, Header), $"{encr.Name} {integ}: octet {i} of {packet.Length}");
            }

            for (var length = Header; length < packet.Length; length++) Assert.False(cipher.Open(packet.AsSpan(0, length).ToArray(), Header));
            for (var length = 0; length < Header; length++) Assert.False(cipher.Open(packet.AsSpan(0, length).ToArray(), Header));
            Assert.True(cipher.Open(packet, Header));
        }
    }

    [Fact]
    public void Keys_of_a_wrong_length_are_refused()
    {
        foreach (var (encr, bits, integ) in Suites)
        {
            var right = encr.KeyMaterialLength(bits);
            var integLength = integ == IntegId.None ? 0 : Algorithms.Integ[integ].KeyLength;
            foreach (var wrong in new[] { right - 1, right + 1, right + 8, 0 }.Where(length => length >= 0 && length != right))
            {
                Assert.Throws<ArgumentException>(() => PacketCipher.Create(encr.Id, bits, integ, new byte[wrong], new byte[integLength], new SeededEntropy(1)));
            }

            if (integ != IntegId.None) Assert.Throws<ArgumentException>(() => PacketCipher.Create(encr.Id, bits, integ, new byte[right], new byte[integLength - 1], new SeededEntropy(1)));
            Assert.Throws<ArgumentException>(() => PacketCipher.Create(encr.Id, bits == 0 ? 128 : bits - 64, integ, new byte[right], new byte[integLength], new SeededEntropy(1)));
        }
    }

    [Fact]
    public void A_cipher_without_integrity_of_its_own_is_never_made_without_a_MAC()
    {
        foreach (var encr in Algorithms.Encr.Values.Where(info => !info.IsAead))
        {
            var bits = encr.KeyLengthAttribute ? 128 : 0;
            Assert.ThrowsAny<Exception>(() => PacketCipher.Create(encr.Id, bits, IntegId.None, new byte[encr.KeyMaterialLength(bits)], [], new SeededEntropy(1)));
        }
    }

    [Theory]
    [InlineData(Provider.Managed)]
    [InlineData(Provider.Libcrypto)]
    internal void Counter_mode_gives_the_packets_of_RFC_3686(Provider provider) => All([.. Read("ciphers").Where(vector => vector[0] == "RFC3686")], 9, vector =>
    {
        var (key, block, plain) = (Octets(vector[2]), Octets(vector[3]), Octets(vector[4]));
        using var cipher = PacketCipher.Create(EncrId.AesCtr, key.Length * 8, IntegId.HmacSha256_128, [.. key, .. block.AsSpan(0, 4)], new byte[32], new SeededEntropy(1), provider);
        byte[] packet = [.. new byte[Header + 8], .. plain, .. new byte[16]];
        cipher.Seal(packet, Header, System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(block.AsSpan(4)));
        if (!packet.AsSpan(Header, 8).SequenceEqual(block.AsSpan(4, 8))) return "IV";
        return packet.AsSpan(Header + 8, plain.Length).SequenceEqual(Octets(vector[5])) ? null : "sealed";
    });

    [Fact]
    public void An_authentic_packet_that_is_not_whole_blocks_is_refused()
    {
        foreach (var (encr, bits, integ) in Suites.Where(suite => suite.Encr.BlockLength > 1))
        {
            using var cipher = Make(encr, bits, integ, Provider.Processor);
            using var mac = KeyedHash.Create(Algorithms.Integ[integ].Mac, [.. Enumerable.Range(1, Algorithms.Integ[integ].KeyLength).Select(i => (byte)(i * 13))]);
            for (var length = 0; length <= 2 * encr.BlockLength; length++)
            {
                var packet = Plain(cipher, length);
                mac.Append(packet.AsSpan(0, packet.Length - cipher.IcvLength));
                mac.Finish(packet.AsSpan(packet.Length - cipher.IcvLength));
                Assert.Equal(length % encr.BlockLength == 0, cipher.Open(packet, Header));
            }
        }
    }

    [Fact]
    public void IVs_of_block_modes_do_not_tell_the_counter_and_never_repeat()
    {
        foreach (var encr in new[] { EncrId.AesCbc, EncrId.CamelliaCbc, EncrId.TripleDes })
        {
            using var cipher = Make(Algorithms.Encr[encr], encr == EncrId.TripleDes ? 0 : 128, IntegId.HmacSha256_128, Provider.Processor);
            var ivs = new HashSet<string>();
            for (ulong counter = 1; counter <= 500; counter++)
            {
                var packet = Plain(cipher, 16);
                cipher.Seal(packet, Header, counter);
                var iv = packet.AsSpan(Header, cipher.IvLength);
                Assert.True(ivs.Add(Convert.ToHexString(iv)));
                Assert.NotEqual(counter, System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(iv));
            }
        }
    }

    [Fact]
    [Trait("Item", "1.7")]
    public void No_packet_costs_memory()
    {
        foreach (var (encr, bits, integ) in Suites)
        {
            using var cipher = Make(encr, bits, integ, Provider.Processor);
            var packet = Plain(cipher, 1392);
            for (var round = 0; round < 2; round++)
            {
                var before = GC.GetAllocatedBytesForCurrentThread();
                for (ulong i = 0; i < 50; i++)
                {
                    cipher.Seal(packet, Header, i, 1);
                    Assert.True(cipher.Open(packet, Header, 1));
                    Assert.False(cipher.Open(packet, Header, 2));
                }

                // the first round compiles
                if (round == 1) Assert.True(GC.GetAllocatedBytesForCurrentThread() == before, $"{encr.Name} {integ} allocates");
            }
        }
    }

    private static PacketCipher Make(EncrInfo encr, int bits, IntegId integ, Provider provider)
    {
        var key = Enumerable.Range(1, encr.KeyMaterialLength(bits)).Select(i => (byte)(i * 11)).ToArray();
        var integKey = Enumerable.Range(1, integ == IntegId.None ? 0 : Algorithms.Integ[integ].KeyLength).Select(i => (byte)(i * 13)).ToArray();
        return PacketCipher.Create(encr.Id, bits, integ, key, integKey, new SeededEntropy(5), provider);
    }

    /// <summary>Header | room for the IV | payload | room for the ICV.</summary>
    private static byte[] Plain(PacketCipher cipher, int length)
    {
        var packet = new byte[Header + cipher.IvLength + length + cipher.IcvLength];
        for (var i = 0; i < Header; i++) packet[i] = (byte)(0xA0 + i);
        for (var i = 0; i < length; i++) packet[Header + cipher.IvLength + i] = (byte)(i * 3);
        return packet;
    }
}
