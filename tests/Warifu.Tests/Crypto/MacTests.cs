using System;
using System.Linq;
using Warifu.Crypto;
using Xunit;
using static Warifu.Tests.Crypto.VectorFile;

namespace Warifu.Tests.Crypto;

/// <summary>Integrity algorithms and PRFs against published vectors.</summary>
[Trait("Item", "1.6")]
public sealed class MacTests
{
    public static TheoryData<string, string, int> Rows
    {
        get
        {
            var rows = new TheoryData<string, string, int>();
            foreach (var provider in new[] { "Managed", "Libcrypto" })
            {
                rows.Add("HmacMd5", provider, 8);
                rows.Add("HmacSha1", provider, 178);
                rows.Add("HmacSha256", provider, 185);
                rows.Add("HmacSha384", provider, 185);
                rows.Add("HmacSha512", provider, 185);
                rows.Add("AesXcbc", provider, 14);
                rows.Add("AesCmac", provider, 110);
                rows.Add("prf:AesXcbc", provider, 3);
                rows.Add("prf:AesCmac", provider, 3);
            }

            return rows;
        }
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void Published_vectors(string algorithm, string provider, int atLeast)
    {
        var kind = Enum.Parse<MacKind>(algorithm.Split(':')[^1]);
        var best = Enum.Parse<Provider>(provider);
        All([.. Read("macs").Where(vector => vector[1] == algorithm)], atLeast, vector =>
        {
            var (key, message, expected) = (Octets(vector[2]), Octets(vector[3]), Octets(vector[4]));
            using var mac = algorithm.StartsWith("prf:", StringComparison.Ordinal) ? KeyedHash.CreatePrf(kind, key, best) : KeyedHash.Create(kind, key, best);
            var output = new byte[expected.Length];
            mac.Append(message);
            mac.Finish(output);
            if (output.SequenceEqual(expected) != (vector[5] == "valid")) return "first";
            // again with the same key, in two parts cut everywhere
            for (var cut = 0; cut <= Math.Min(message.Length, 70); cut++)
            {
                mac.Append(message.AsSpan(0, cut));
                mac.Append(message.AsSpan(cut));
                mac.Finish(output);
                if (output.SequenceEqual(expected) != (vector[5] == "valid")) return $"cut at {cut}";
            }

            return null;
        });
    }

    [Theory]
    [InlineData(MacKind.HmacMd5)]
    [InlineData(MacKind.HmacSha1)]
    [InlineData(MacKind.HmacSha256)]
    [InlineData(MacKind.HmacSha384)]
    [InlineData(MacKind.HmacSha512)]
    [InlineData(MacKind.AesXcbc)]
    [InlineData(MacKind.AesCmac)]
    internal void Providers_agree_at_every_length_of_message_and_PRF_key(MacKind kind)
    {
        var octets = Enumerable.Range(0, 600).Select(i => (byte)(i * 37)).ToArray();
        foreach (var keyLength in new[] { 1, 15, 16, 17, 20, 31, 32, 33, 48, 63, 64, 65, 127, 128, 129, 300 })
        {
            using var managed = KeyedHash.CreatePrf(kind, octets.AsSpan(300, keyLength), Provider.Managed);
            using var native = KeyedHash.CreatePrf(kind, octets.AsSpan(300, keyLength), Provider.Libcrypto);
            Assert.Equal(KeyedHash.LengthOf(kind), native.OutputLength);
            Assert.Equal(native.OutputLength, managed.OutputLength);
            var (left, right) = (new byte[native.OutputLength], new byte[native.OutputLength]);
            for (var length = 0; length <= 300; length++)
            {
                managed.Append(octets.AsSpan(0, length));
                managed.Finish(left);
                native.Append(octets.AsSpan(0, length));
                native.Finish(right);
                Assert.Equal(left, right);
            }
        }
    }

    [Fact]
    public void An_empty_key_is_a_key()
    {
        // HMAC-SHA-256 of nothing under nothing: any HMAC tool gives it, for example `openssl dgst -sha256 -mac HMAC -macopt hexkey:`
        var expected = Convert.FromHexString("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
        foreach (var provider in new[] { Provider.Managed, Provider.Libcrypto })
        {
            using var mac = KeyedHash.CreatePrf(MacKind.HmacSha256, [], provider);
            var output = new byte[32];
            mac.Finish(output);
            Assert.Equal(expected, output);
        }
    }

    [Theory]
    [InlineData(MacKind.HmacSha256)]
    [InlineData(MacKind.AesCmac)]
    internal void A_disposed_MAC_refuses_to_work(MacKind kind)
    {
        var mac = KeyedHash.Create(kind, new byte[16]);
        mac.Dispose();
        Assert.Throws<ObjectDisposedException>(() =>
        {
            mac.Append(new byte[40]);
            mac.Finish(new byte[16]);
        });
    }
}
