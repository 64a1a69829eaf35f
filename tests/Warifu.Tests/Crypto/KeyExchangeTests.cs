using System;
using System.Linq;
using System.Numerics;
using Warifu.Crypto;
using Warifu.Primitives;
using Warifu.Simulation;
using Xunit;
using static Warifu.Tests.Crypto.VectorFile;

namespace Warifu.Tests.Crypto;

/// <summary>Key exchange methods against published vectors, and the public values that must be refused.</summary>
[Trait("Item", "1.6")]
public sealed class KeyExchangeTests
{
    private static readonly KeId[] s_modp = [.. Algorithms.Ke.Values.Where(info => info.Kind == KeKind.Modp).Select(info => info.Id).Order()];
    private static readonly KeId[] s_ecp = [.. Algorithms.Ke.Values.Where(info => info.Kind == KeKind.Ecp).Select(info => info.Id).Order()];

    [Theory]
    [InlineData(Provider.Managed)]
    [InlineData(Provider.Libcrypto)]
    internal void Vectors_of_the_RFCs(Provider provider) => All([.. Read("exchanges")], 24, vector => Exchange(vector, provider));

    [Fact]
    public void Every_method_has_a_vector_but_the_MODP_groups_that_have_none()
    {
        var published = Read("exchanges").Select(vector => (KeId)int.Parse(vector[1])).ToHashSet();
        var computed = Read("modp").Where(vector => vector[0] == "exchange").Select(vector => (KeId)int.Parse(vector[1])).ToHashSet();
        Assert.Equal(Algorithms.Ke.Keys.Order(), published.Union(computed).Order());
        Assert.All(computed, id => Assert.DoesNotContain(id, published));
    }

    [Theory]
    [InlineData(Provider.Managed)]
    [InlineData(Provider.Libcrypto)]
    internal void MODP_groups_give_what_modular_exponentiation_gives(Provider provider) =>
        All([.. Read("modp").Where(vector => vector[0] == "exchange" && (provider == Provider.Libcrypto || vector[3].Length <= 1024))], provider == Provider.Libcrypto ? 16 : 12, vector => Exchange(vector, provider));

    [Fact]
    public void Primes_generators_and_orders_are_those_of_the_RFCs()
    {
        var groups = Read("modp").Where(vector => vector[0] == "group").ToList();
        Assert.Equal(s_modp, groups.Select(vector => (KeId)int.Parse(vector[1])).Order());
        foreach (var vector in groups)
        {
            var group = ModpGroup.Of((KeId)int.Parse(vector[1]));
            Assert.Equal(Octets(vector[2]), group.Prime);
            Assert.Equal(Number(Octets(vector[3])), Number(group.Generator));
            Assert.Equal(vector[4] == "-" ? null : Octets(vector[4]), group.SubgroupOrder);
        }
    }

    [Theory]
    [InlineData(KeId.Ecp256, Provider.Managed, 340)]
    [InlineData(KeId.Ecp256, Provider.Libcrypto, 340)]
    [InlineData(KeId.Ecp384, Provider.Managed, 400)]
    [InlineData(KeId.Ecp384, Provider.Libcrypto, 400)]
    [InlineData(KeId.Ecp521, Provider.Managed, 330)]
    [InlineData(KeId.Ecp521, Provider.Libcrypto, 330)]
    [InlineData(KeId.Ecp224, Provider.Managed, 450)]
    [InlineData(KeId.Ecp224, Provider.Libcrypto, 450)]
    [InlineData(KeId.Brainpool256, Provider.Managed, 500)]
    [InlineData(KeId.Brainpool256, Provider.Libcrypto, 500)]
    [InlineData(KeId.Brainpool384, Provider.Managed, 300)]
    [InlineData(KeId.Brainpool384, Provider.Libcrypto, 300)]
    [InlineData(KeId.Brainpool512, Provider.Managed, 250)]
    [InlineData(KeId.Brainpool512, Provider.Libcrypto, 250)]
    [InlineData(KeId.Curve25519, Provider.Managed, 510)]
    [InlineData(KeId.Curve25519, Provider.Libcrypto, 510)]
    [InlineData(KeId.Curve448, Provider.Managed, 500)]
    [InlineData(KeId.Curve448, Provider.Libcrypto, 500)]
    internal void Vectors_of_Wycheproof(KeId id, Provider provider, int atLeast)
    {
        var number = ((int)id).ToString(System.Globalization.CultureInfo.InvariantCulture);
        var zeros = 0;
        All([.. Read("wycheproof-exchanges").Where(vector => vector[1] == number)], atLeast, vector =>
        {
            using var exchange = KeyExchange.Generate(id, new ScriptedEntropy(Octets(vector[2])), provider);
            var accepted = exchange.TryDerive(Octets(vector[3]), out var shared);
            if (vector[5] == "invalid") return accepted ? "accepted" : null;
            var expected = Octets(vector[4]);
            // x = 0 is a point like any other of a Weierstrass curve
            var zero = Algorithms.Ke[id].Kind == KeKind.Montgomery && expected.AsSpan().IndexOfAnyExcept((byte)0) < 0;
            if (zero) zeros++;
            if (accepted == zero) return zero ? "an all-zero result was accepted" : "refused";
            return accepted && !shared!.Span.SequenceEqual(expected) ? "another result" : null;
        });
        if (id is KeId.Curve25519 or KeId.Curve448) Assert.True(zeros >= 10, $"only {zeros} of small order");
    }

    [Theory]
    [InlineData(Provider.Managed)]
    [InlineData(Provider.Libcrypto)]
    internal void Both_sides_get_the_same_and_another_pair_another(Provider provider)
    {
        foreach (var info in Algorithms.Ke.Values.Where(info => provider == Provider.Libcrypto || info.PublicLength <= 384))
        {
            using var left = KeyExchange.Generate(info.Id, new SeededEntropy(1), provider);
            using var right = KeyExchange.Generate(info.Id, new SeededEntropy(2), Provider.Libcrypto);
            Assert.Equal(info.PublicLength, left.PublicValue.Length);
            Assert.NotEqual(left.PublicValue, right.PublicValue);
            Assert.True(left.TryDerive(right.PublicValue, out var one), info.Name);
            Assert.True(right.TryDerive(left.PublicValue, out var two), info.Name);
            Assert.Equal(info.SharedLength, one.Length);
            Assert.True(one.FixedTimeEquals(two.Span));
            Assert.True(left.TryDerive(left.PublicValue, out var three));
            Assert.False(one.FixedTimeEquals(three.Span));
        }
    }

    [Theory]
    [InlineData(Provider.Managed)]
    [InlineData(Provider.Libcrypto)]
    internal void Public_values_of_another_length_are_refused(Provider provider)
    {
        foreach (var info in Algorithms.Ke.Values.Where(info => provider == Provider.Libcrypto || info.PublicLength <= 256))
        {
            using var exchange = KeyExchange.Generate(info.Id, new SeededEntropy(3), provider);
            var good = exchange.PublicValue;
            Assert.True(exchange.TryDerive(good, out _));
            Assert.False(exchange.TryDerive([], out _));
            Assert.False(exchange.TryDerive(good.AsSpan(1), out _));
            Assert.False(exchange.TryDerive(good.AsSpan(0, good.Length - 1), out _));
            Assert.False(exchange.TryDerive([0, .. good], out _));
            Assert.False(exchange.TryDerive([.. good, 0], out _));
            // SEC1 forms are not those of KE
            Assert.False(exchange.TryDerive([4, .. good], out _));
            Assert.False(exchange.TryDerive([2, .. good.AsSpan(0, good.Length / 2)], out _));
        }
    }

    [Theory]
    [InlineData(Provider.Managed)]
    [InlineData(Provider.Libcrypto)]
    internal void MODP_values_outside_1_to_p_minus_1_are_refused(Provider provider)
    {
        foreach (var id in s_modp)
        {
            using var exchange = KeyExchange.Generate(id, new SeededEntropy(4), provider);
            var group = ModpGroup.Of(id);
            var p = Number(group.Prime);
            foreach (var bad in new[] { 0, 1, p - 1, p, p + 1, (BigInteger.One << (group.Prime.Length * 8)) - 1 }) Assert.False(exchange.TryDerive(BigEndian(bad, group.Prime.Length), out _), $"{id}: {bad - p}");
            if (group.SubgroupOrder is not null) continue;
            // RFC 6989 section 2.1: all that lies between is good with a safe prime, the edges too
            Assert.True(exchange.TryDerive(BigEndian(2, group.Prime.Length), out _));
            Assert.True(exchange.TryDerive(BigEndian(p - 2, group.Prime.Length), out _));
        }
    }

    [Theory]
    [InlineData(KeId.Modp1024S160, Provider.Managed)]
    [InlineData(KeId.Modp1024S160, Provider.Libcrypto)]
    [InlineData(KeId.Modp2048S224, Provider.Managed)]
    [InlineData(KeId.Modp2048S224, Provider.Libcrypto)]
    [InlineData(KeId.Modp2048S256, Provider.Managed)]
    [InlineData(KeId.Modp2048S256, Provider.Libcrypto)]
    internal void Values_outside_the_subgroup_are_refused(KeId id, Provider provider)
    {
        // RFC 6989 section 2.2
        using var exchange = KeyExchange.Generate(id, new SeededEntropy(5), provider);
        var group = ModpGroup.Of(id);
        var (p, q, length) = (Number(group.Prime), Number(group.SubgroupOrder), group.Prime.Length);
        var member = Number(group.Generator);
        Assert.True(exchange.TryDerive(BigEndian(member, length), out _));
        // times the element of order two: in range, of order 2q
        Assert.False(exchange.TryDerive(BigEndian(p - member, length), out _));
        Assert.False(exchange.TryDerive(BigEndian(p - Number(exchange.PublicValue), length), out _));
        var small = 0;
        for (var candidate = 2; candidate < 20; candidate++)
        {
            // of an order that divides the cofactor: what a small-subgroup attack sends
            var value = BigInteger.ModPow(candidate, q, p);
            if (value.IsOne || value == p - 1) continue;
            small++;
            Assert.False(exchange.TryDerive(BigEndian(value, length), out _));
        }

        Assert.True(small > 5);
    }

    [Theory]
    [InlineData(Provider.Managed)]
    [InlineData(Provider.Libcrypto)]
    internal void Points_that_are_not_on_the_curve_are_refused(Provider provider)
    {
        foreach (var id in s_ecp)
        {
            using var exchange = KeyExchange.Generate(id, new SeededEntropy(6), provider);
            var good = exchange.PublicValue;
            var half = good.Length / 2;
            Assert.True(exchange.TryDerive(good, out _));
            for (var bit = 0; bit < good.Length * 8; bit += 7)
            {
                var bad = good.ToArray();
                bad[bit / 8] ^= (byte)(1 << (bit % 8));
                // a flip in x may by chance give the x of another point, but never with this y
                Assert.False(exchange.TryDerive(bad, out _), $"{id}: bit {bit}");
            }

            Assert.False(exchange.TryDerive([.. good.AsSpan(half), .. good.AsSpan(0, half)], out _), $"{id}: swapped");
            Assert.False(exchange.TryDerive(new byte[good.Length], out _), $"{id}: zero");
            Assert.False(exchange.TryDerive([.. Enumerable.Repeat((byte)0xFF, good.Length)], out _), $"{id}: out of range");
        }
    }

    [Theory]
    [InlineData(Provider.Managed)]
    [InlineData(Provider.Libcrypto)]
    internal void A_coordinate_that_is_not_reduced_is_refused(Provider provider)
    {
        // P-256 has room above p: the same point with x + p instead of x
        var p = Number(Octets("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"));
        var b = Number(Octets("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"));
        using var exchange = KeyExchange.Generate(KeId.Ecp256, new SeededEntropy(7), provider);
        var found = 0;
        for (BigInteger x = 1; found < 3; x++)
        {
            var square = (BigInteger.ModPow(x, 3, p) - (3 * x) + b + (3 * p)) % p;
            var y = BigInteger.ModPow(square, (p + 1) / 4, p);
            if (y * y % p != square) continue;
            found++;
            Assert.True(exchange.TryDerive([.. BigEndian(x, 32), .. BigEndian(y, 32)], out _));
            Assert.False(exchange.TryDerive([.. BigEndian(x + p, 32), .. BigEndian(y, 32)], out _));
        }
    }

    [Theory]
    [InlineData(Provider.Managed)]
    [InlineData(Provider.Libcrypto)]
    internal void X25519_and_X448_refuse_values_that_make_the_secret_zero(Provider provider)
    {
        // RFC 7748 sections 6.1 and 6.2: u = 0, 1, p-1, p, p+1
        foreach (var (id, p, length) in new[] { (KeId.Curve25519, BigInteger.Pow(2, 255) - 19, 32), (KeId.Curve448, BigInteger.Pow(2, 448) - BigInteger.Pow(2, 224) - 1, 56) })
        {
            using var exchange = KeyExchange.Generate(id, new SeededEntropy(8), provider);
            foreach (var u in new[] { 0, 1, p - 1, p, p + 1 }) Assert.False(exchange.TryDerive(LittleEndian(u, length), out _), $"{id}: p + {u - p}");
            // the highest bit of X25519 does not count
            if (id == KeId.Curve25519) Assert.False(exchange.TryDerive(LittleEndian(BigInteger.Pow(2, 255) + 1, length), out _));
            Assert.True(exchange.TryDerive(LittleEndian(id == KeId.Curve25519 ? 9 : 5, length), out var shared));
            Assert.Equal(exchange.PublicValue, shared.Span.ToArray());
        }
    }

    [Theory]
    [InlineData(KeId.Curve25519, Provider.Managed, 1, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")]
    [InlineData(KeId.Curve25519, Provider.Libcrypto, 1, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")]
    [InlineData(KeId.Curve25519, Provider.Managed, 1000, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51")]
    [InlineData(KeId.Curve25519, Provider.Libcrypto, 1000, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51")]
    [InlineData(KeId.Curve448, Provider.Managed, 1, "3f482c8a9f19b01e6c46ee9711d9dc14fd4bf67af30765c2ae2b846a4d23a8cd0db897086239492caf350b51f833868b9bc2b3bca9cf4113")]
    [InlineData(KeId.Curve448, Provider.Libcrypto, 1, "3f482c8a9f19b01e6c46ee9711d9dc14fd4bf67af30765c2ae2b846a4d23a8cd0db897086239492caf350b51f833868b9bc2b3bca9cf4113")]
    [InlineData(KeId.Curve448, Provider.Libcrypto, 1000, "aa3b4749d55b9daf1e5b00288826c467274ce3ebbdd5c17b975e09d4af6c67cf10d087202db88286e2b79fceea3ec353ef54faa26e219f38")]
    internal void Iterations_of_RFC_7748_section_5_2(KeId id, Provider provider, int iterations, string expected)
    {
        var length = Algorithms.Ke[id].PublicLength;
        var scalar = LittleEndian(id == KeId.Curve25519 ? 9 : 5, length);
        var u = scalar;
        for (var i = 0; i < iterations; i++)
        {
            using var exchange = KeyExchange.Generate(id, new ScriptedEntropy(scalar), provider);
            Assert.True(exchange.TryDerive(u, out var shared));
            (u, scalar) = (scalar, shared.Span.ToArray());
        }

        Assert.Equal(expected, Convert.ToHexStringLower(scalar));
    }

    [Theory]
    [InlineData(Provider.Managed)]
    [InlineData(Provider.Libcrypto)]
    internal void Private_keys_are_drawn_again_until_they_lie_below_the_order(Provider provider)
    {
        foreach (var id in (KeId[])[.. s_ecp, KeId.Modp1024S160, KeId.Modp2048S224, KeId.Modp2048S256])
        {
            // all ones is above every order, zero is below: both are refused, the third is taken
            var entropy = new Draws([0xFF, 0x00, 0x01]);
            using var exchange = KeyExchange.Generate(id, entropy, provider);
            Assert.Equal(3, entropy.Count);
        }
    }

    [Fact]
    public void A_disposed_exchange_refuses_to_work()
    {
        foreach (var id in new[] { KeId.Modp2048, KeId.Ecp256, KeId.Curve25519 })
        {
            var exchange = KeyExchange.Generate(id, new SeededEntropy(9));
            var value = exchange.PublicValue;
            exchange.Dispose();
            Assert.Throws<ObjectDisposedException>(() => exchange.TryDerive(value, out _));
        }
    }

    private static string? Exchange(string[] vector, Provider provider)
    {
        var id = (KeId)int.Parse(vector[1], System.Globalization.CultureInfo.InvariantCulture);
        using var left = KeyExchange.Generate(id, new ScriptedEntropy(Octets(vector[2])), provider);
        using var right = KeyExchange.Generate(id, new ScriptedEntropy(Octets(vector[4])), provider);
        if (!left.PublicValue.SequenceEqual(Octets(vector[3]))) return "public a";
        if (!right.PublicValue.SequenceEqual(Octets(vector[5]))) return "public b";
        if (!left.TryDerive(right.PublicValue, out var one) || !one.Span.SequenceEqual(Octets(vector[6]))) return "shared a";
        return right.TryDerive(left.PublicValue, out var two) && two.Span.SequenceEqual(Octets(vector[6])) ? null : "shared b";
    }

    private static BigInteger Number(ReadOnlySpan<byte> octets) => new(octets, isUnsigned: true, isBigEndian: true);

    private static byte[] BigEndian(BigInteger number, int length)
    {
        var octets = number.ToByteArray(isUnsigned: true, isBigEndian: true);
        return [.. new byte[length - octets.Length], .. octets];
    }

    private static byte[] LittleEndian(BigInteger number, int length) => [.. BigEndian(number, length).Reverse()];

    private sealed class Draws(byte[] fills) : IEntropy
    {
        public int Count { get; private set; }

        public void Fill(Span<byte> destination) => destination.Fill(fills[Count++]);
    }
}
