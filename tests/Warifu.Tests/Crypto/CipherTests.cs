using System;
using System.Linq;
using Warifu.Crypto;
using Warifu.Primitives;
using Xunit;
using static Warifu.Tests.Crypto.VectorFile;

namespace Warifu.Tests.Crypto;

/// <summary>Block ciphers and counter mode against published vectors.</summary>
[Trait("Item", "1.6")]
public sealed class CipherTests
{
    [Theory]
    [InlineData(EncrId.AesCbc, Provider.Managed, 79)]
    [InlineData(EncrId.AesCbc, Provider.Libcrypto, 79)]
    [InlineData(EncrId.AesCtr, Provider.Managed, 9)]
    [InlineData(EncrId.AesCtr, Provider.Libcrypto, 9)]
    [InlineData(EncrId.CamelliaCbc, Provider.Managed, 75)]
    [InlineData(EncrId.CamelliaCbc, Provider.Libcrypto, 75)]
    [InlineData(EncrId.TripleDes, Provider.Managed, 9)]
    [InlineData(EncrId.TripleDes, Provider.Libcrypto, 9)]
    internal void Published_vectors(EncrId cipher, Provider provider, int atLeast) => All([.. Read("ciphers").Where(vector => vector[1] == cipher.ToString())], atLeast, vector =>
    {
        var (key, iv, plain, expected) = (Octets(vector[2]), Octets(vector[3]), Octets(vector[4]), Octets(vector[5]));
        using var encrypt = BlockCipherContext.Plain(cipher, key, encrypt: true, provider);
        using var decrypt = BlockCipherContext.Plain(cipher, key, encrypt: false, provider);
        // twice: the context is used again
        for (var i = 0; i < 2; i++)
        {
            var data = plain.ToArray();
            encrypt.Transform(iv, data);
            if (!data.SequenceEqual(expected)) return "encrypt";
            decrypt.Transform(iv, data);
            if (!data.SequenceEqual(plain)) return "decrypt";
        }

        return null;
    });

    [Theory]
    [InlineData(Provider.Managed)]
    [InlineData(Provider.Libcrypto)]
    internal void DES_is_that_of_FIPS_81(Provider provider)
    {
        // FIPS PUB 81, table C1: "Now is the time for all "
        var data = "Now is the time for all "u8.ToArray();
        using var encrypt = BlockCipherContext.Plain(EncrId.Des, Convert.FromHexString("0123456789ABCDEF"), encrypt: true, provider);
        encrypt.Transform(Convert.FromHexString("1234567890ABCDEF"), data);
        Assert.Equal("E5C7CDDE872BF27C43E934008C389C0F683788499A7C05F6", Convert.ToHexString(data));
    }

    [Theory]
    [InlineData(EncrId.AesCbc, 16)]
    [InlineData(EncrId.AesCbc, 24)]
    [InlineData(EncrId.AesCbc, 32)]
    [InlineData(EncrId.AesCtr, 16)]
    [InlineData(EncrId.AesCtr, 24)]
    [InlineData(EncrId.AesCtr, 32)]
    [InlineData(EncrId.CamelliaCbc, 16)]
    [InlineData(EncrId.CamelliaCbc, 24)]
    [InlineData(EncrId.CamelliaCbc, 32)]
    [InlineData(EncrId.TripleDes, 24)]
    public void Providers_agree_at_every_length(EncrId cipher, int keyLength)
    {
        var octets = Enumerable.Range(0, 700).Select(i => (byte)((i * 73) ^ (i >> 3))).ToArray();
        var block = Algorithms.Encr[cipher].BlockLength;
        var iv = octets.AsSpan(0, cipher == EncrId.TripleDes ? 8 : 16);
        using var managed = BlockCipherContext.Plain(cipher, octets.AsSpan(600, keyLength), encrypt: true, Provider.Managed);
        using var native = BlockCipherContext.Plain(cipher, octets.AsSpan(600, keyLength), encrypt: true, Provider.Libcrypto);
        using var back = BlockCipherContext.Plain(cipher, octets.AsSpan(600, keyLength), encrypt: false, Provider.Managed);
        for (var length = block; length <= 300; length += block)
        {
            var plain = octets.AsSpan(16, length).ToArray();
            var (left, right) = (plain.ToArray(), plain.ToArray());
            managed.Transform(iv, left);
            native.Transform(iv, right);
            Assert.Equal(left, right);
            Assert.NotEqual(plain, left);
            back.Transform(iv, left);
            Assert.Equal(plain, left);
        }
    }

    [Fact]
    public void A_disposed_cipher_refuses_to_work()
    {
        var cipher = BlockCipherContext.Plain(EncrId.AesCbc, new byte[16], encrypt: true);
        cipher.Dispose();
        Assert.Throws<ObjectDisposedException>(() => cipher.Transform(new byte[16], new byte[16]));
    }
}
