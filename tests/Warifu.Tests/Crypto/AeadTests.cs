using System;
using System.Linq;
using Warifu.Crypto;
using Warifu.Primitives;
using Warifu.Simulation;
using Xunit;
using static Warifu.Tests.Crypto.VectorFile;

namespace Warifu.Tests.Crypto;

/// <summary>AEADs against published vectors, on every provider.</summary>
[Trait("Item", "1.6")]
public sealed class AeadTests
{
    [Theory]
    [InlineData("GCM", Provider.Managed, 416)]
    [InlineData("GCM", Provider.Libcrypto, 416)]
    [InlineData("GCM", Provider.Processor, 416)]
    [InlineData("CCM", Provider.Managed, 385)]
    [InlineData("CCM", Provider.Libcrypto, 385)]
    [InlineData("ChaCha", Provider.Managed, 317)]
    [InlineData("ChaCha", Provider.Libcrypto, 317)]
    internal void Published_vectors(string mode, Provider provider, int atLeast) => All([.. Read("aeads").Where(vector => vector[1] == mode)], atLeast, vector =>
    {
        var (key, nonce, aad) = (Octets(vector[2]), Octets(vector[3]), Octets(vector[4]));
        var (plain, cipherText, tag, valid) = (Octets(vector[5]), Octets(vector[6]), Octets(vector[7]), vector[8] == "valid");
        var id = mode switch { "GCM" => EncrId.AesGcm16, "CCM" => EncrId.AesCcm16, _ => EncrId.ChaCha20Poly1305 };
        using var seal = BlockCipherContext.Aead(id, key, nonce.Length, tag.Length, encrypt: true, provider);
        using var open = BlockCipherContext.Aead(id, key, nonce.Length, tag.Length, encrypt: false, provider);
        for (var i = 0; i < 2; i++)
        {
            var data = plain.ToArray();
            var made = new byte[tag.Length];
            seal.SealAead(nonce, aad, default, data, made);
            if (valid && !data.SequenceEqual(cipherText)) return "sealed data";
            if (made.SequenceEqual(tag) != valid && data.SequenceEqual(cipherText)) return "sealed tag";
            data = [.. cipherText];
            if (open.OpenAead(nonce, aad, default, data, tag) != valid) return "opened";
            if (!data.SequenceEqual(valid ? plain : new byte[data.Length])) return "opened data";
            // a wrong tag after a right one, in each octet
            data = [.. cipherText];
            made = [.. tag];
            made[(i * 5) % made.Length] ^= 0x80;
            // another nonce in between: BouncyCastle encrypts with one only once
            var other = nonce.ToArray();
            other[^1] ^= 1;
            seal.SealAead(other, aad, default, new byte[plain.Length], new byte[tag.Length]);
            if (valid && (open.OpenAead(nonce, aad, default, data, made) || data.AsSpan().IndexOfAnyExcept((byte)0) >= 0)) return "opened with a wrong tag";
        }

        return null;
    });

    [Theory]
    [InlineData(EncrId.AesGcm8, 8, Provider.Managed)]
    [InlineData(EncrId.AesGcm8, 8, Provider.Libcrypto)]
    [InlineData(EncrId.AesGcm8, 8, Provider.Processor)]
    [InlineData(EncrId.AesGcm12, 12, Provider.Managed)]
    [InlineData(EncrId.AesGcm12, 12, Provider.Libcrypto)]
    [InlineData(EncrId.AesGcm12, 12, Provider.Processor)]
    internal void A_short_GCM_tag_is_the_head_of_the_long_one(EncrId id, int length, Provider provider) => All([.. Read("aeads").Where(vector => vector[1] == "GCM" && vector[8] == "valid")], 170, vector =>
    {
        var (nonce, aad, tag) = (Octets(vector[3]), Octets(vector[4]), Octets(vector[7]).AsSpan(0, length).ToArray());
        using var seal = BlockCipherContext.Aead(id, Octets(vector[2]), 12, length, encrypt: true, provider);
        using var open = BlockCipherContext.Aead(id, Octets(vector[2]), 12, length, encrypt: false, provider);
        var data = Octets(vector[5]);
        var made = new byte[length];
        seal.SealAead(nonce, aad, default, data, made);
        if (!made.SequenceEqual(tag)) return "sealed";
        if (!open.OpenAead(nonce, aad, default, data, tag) || !data.SequenceEqual(Octets(vector[5]))) return "opened";
        for (var i = 0; i < length; i++)
        {
            tag[i] ^= 1;
            if (open.OpenAead(nonce, aad, default, Octets(vector[6]), tag)) return $"opened with octet {i} wrong";
            tag[i] ^= 1;
        }

        return null;
    });

    [Theory]
    [InlineData(Provider.Managed)]
    [InlineData(Provider.Libcrypto)]
    [InlineData(Provider.Processor)]
    internal void Additional_data_may_come_in_two_parts_cut_anywhere(Provider provider) => All([.. Read("aeads").Where(vector => vector[0].StartsWith("wycheproof-gmac", StringComparison.Ordinal) && vector[8] == "valid")], 45, vector =>
    {
        var (nonce, aad, tag) = (Octets(vector[3]), Octets(vector[4]), Octets(vector[7]));
        using var open = BlockCipherContext.Aead(EncrId.NullAesGmac, Octets(vector[2]), 12, 16, encrypt: false, provider);
        for (var cut = 0; cut <= aad.Length; cut++)
        {
            if (!open.OpenAead(nonce, aad.AsSpan(0, cut), aad.AsSpan(cut), default, tag)) return $"cut at {cut}";
        }

        return null;
    });

    /// <summary>The intrinsics against libcrypto, with octets around the data that must stay as they are.</summary>
    [Theory]
    [InlineData(16)]
    [InlineData(24)]
    [InlineData(32)]
    public void The_processor_and_libcrypto_agree_at_every_length(int keyLength)
    {
        Assert.True(ProcessorAesGcm.IsSupported, "this test needs a processor with AES and PCLMULQDQ");
        var entropy = new SeededEntropy((ulong)keyLength);
        var key = new byte[keyLength];
        entropy.Fill(key);
        using var processor = BlockCipherContext.Aead(EncrId.AesGcm16, key, 12, 16, encrypt: true);
        Assert.IsType<ProcessorAesGcm>(processor);
        using var seal = BlockCipherContext.Aead(EncrId.AesGcm16, key, 12, 16, encrypt: true, Provider.Libcrypto);
        using var open = BlockCipherContext.Aead(EncrId.AesGcm16, key, 12, 16, encrypt: false, Provider.Libcrypto);
        int[] lengths = [.. Enumerable.Range(0, 301), 383, 384, 385, 511, 512, 513, 1023, 1024, 1025, 1399, 1400, 1401, 1500, 4095, 4096, 4097, 9000, 16384, 65535];
        var nonce = new byte[12];
        var aad = new byte[40];
        var pristine = new byte[70000];
        entropy.Fill(pristine);
        var (left, right) = (new byte[16], new byte[16]);
        foreach (var length in lengths)
        {
            foreach (var aadLength in length <= 300 ? [0, 8, 12, 16, 28, 33] : new[] { 12 })
            {
                entropy.Fill(nonce);
                entropy.Fill(aad);
                var offset = entropy.Below(64);
                var ours = pristine.AsSpan(0, length + 200).ToArray();
                var theirs = pristine.AsSpan(0, length + 200).ToArray();
                processor.SealAead(nonce, aad.AsSpan(0, aadLength), default, ours.AsSpan(offset, length), left);
                seal.SealAead(nonce, aad.AsSpan(0, aadLength), default, theirs.AsSpan(offset, length), right);
                Assert.Equal(theirs, ours);
                Assert.Equal(right, left);
                Assert.True(open.OpenAead(nonce, aad.AsSpan(0, aadLength), default, theirs.AsSpan(offset, length), left));
                Assert.True(processor.OpenAead(nonce, aad.AsSpan(0, aadLength), default, ours.AsSpan(offset, length), right));
                Assert.True(ours.AsSpan().SequenceEqual(pristine.AsSpan(0, length + 200)));
            }
        }
    }

    [Theory]
    [InlineData(Provider.Managed)]
    [InlineData(Provider.Libcrypto)]
    [InlineData(Provider.Processor)]
    internal void Every_flipped_bit_is_noticed(Provider provider)
    {
        using var seal = BlockCipherContext.Aead(EncrId.AesGcm16, new byte[32], 12, 16, encrypt: true, provider);
        using var open = BlockCipherContext.Aead(EncrId.AesGcm16, new byte[32], 12, 16, encrypt: false, provider);
        var nonce = new byte[12];
        var packet = Enumerable.Range(0, 12 + 200 + 16).Select(i => (byte)i).ToArray();
        seal.SealAead(nonce, packet.AsSpan(0, 12), default, packet.AsSpan(12, 200), packet.AsSpan(212));
        for (var bit = 0; bit < packet.Length * 8; bit++)
        {
            var flipped = packet.ToArray();
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(open.OpenAead(nonce, flipped.AsSpan(0, 12), default, flipped.AsSpan(12, 200), flipped.AsSpan(212)));
        }

        Assert.True(open.OpenAead(nonce, packet.AsSpan(0, 12), default, packet.AsSpan(12, 200), packet.AsSpan(212)));
    }

    [Theory]
    [InlineData(Provider.Libcrypto)]
    [InlineData(Provider.Processor)]
    internal void A_disposed_AEAD_refuses_to_work(Provider provider)
    {
        var seal = BlockCipherContext.Aead(EncrId.AesGcm16, new byte[16], 12, 16, encrypt: true, provider);
        seal.Dispose();
        Assert.Throws<ObjectDisposedException>(() => seal.SealAead(new byte[12], default, default, new byte[16], new byte[16]));
        Assert.Throws<ObjectDisposedException>(() => seal.OpenAead(new byte[12], default, default, new byte[16], new byte[16]));
    }
}
