using System;
using System.Collections.Generic;
using System.Security.Cryptography;
using Warifu.Crypto.Signatures;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Simulation;
using Warifu.Tests.Crypto;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>DSS signatures (item 3.13): no packaged peer has them, so engine to engine and by vectors. HASH is made with HMAC-SHA1 whatever hash was negotiated, is signed as it is, and goes as r|s (RFC 2409 section 5.1).</summary>
[Trait("Item", "3.13")]
public sealed class DsaTests
{
    private static readonly Dictionary<string, PrivateKey> s_keys = [];

    /// <summary>The digest is what is signed: nothing hashes it again, and one that is longer than q is cut (FIPS 186-3 section 4.6).</summary>
    [Fact]
    public void Published_signatures_verify_over_digests_with_both_providers() => VectorFile.All([.. VectorFile.Read("dsa-digests")], 40, vector =>
    {
        if (!PublicKey.TryParse(Convert.FromHexString(vector[4]), out var key)) return "the key does not parse";
        if (key.Bits != int.Parse(vector[0]) || key.HalfLength * 8 != int.Parse(vector[1])) return $"{key}, {key.HalfLength}";
        var scheme = Warifu.V1.OwnSigner.SchemeOf(key);
        foreach (var provider in new[] { Warifu.Crypto.Provider.Managed, Warifu.Crypto.Provider.Libcrypto })
        {
            if (key.Verify(scheme, Convert.FromHexString(vector[5]), Convert.FromHexString(vector[6]), provider) != (vector[3] == "valid")) return $"{provider} says otherwise than {vector[3]}";
        }

        return null;
    });

    [Theory]
    [InlineData(1024, 1024, false)]
    [InlineData(2048, 2048, false)]
    [InlineData(1024, 2048, false)]
    [InlineData(2048, 1024, true)]
    [InlineData(1024, 1024, true)]
    public void Both_sides_prove_themselves_with_DSS(int left, int right, bool aggressive)
    {
        using var pair = Load($"left{left}", $"right{right}", $"left{left}", $"right{right}", aggressive);
        Assert.True(pair.Up().Success, $"left: {pair.Left.LastReport?.Failure?.Sentence}; right: {pair.Right.LastReport?.Failure?.Sentence}");
        V1Pair.AssertSame(pair);
        V1Pair.AssertQuiet(pair);
        Assert.Contains(pair.Left.LastReport!.Steps, step => step.Title.Contains($"DSA {left}", StringComparison.Ordinal));
    }

    /// <summary>The negotiated hash is SHA-256: keys come of it, what DSS signs does not.</summary>
    [Theory]
    [InlineData(1024, 40)]
    [InlineData(2048, 64)]
    public void What_is_signed_is_a_SHA1_HMAC_and_the_signature_is_r_and_s(int bits, int octets)
    {
        using var pair = Load($"left{bits}", $"right{bits}", $"left{bits}", $"right{bits}", aggressive: false);
        pair.Left.HeldAsks = [];
        var id = pair.Left.Up("net", "net", pair.Now);
        var signed = new List<Ask.Sign>();
        for (var i = 0; i < 50 && !pair.Left.Results.ContainsKey(id); i++)
        {
            pair.Settle();
            foreach (var (ask, question) in pair.Left.HeldAsks.ToArray())
            {
                if (question is Ask.Sign sign) signed.Add(sign);
                pair.Left.HeldAsks.RemoveAll(held => held.Id == ask);
                pair.Left.Answer(ask, question, pair.Now);
            }
        }

        Assert.True(pair.Left.Results[id].Success, pair.Left.LastReport?.Failure?.Sentence);
        Assert.Equal(20, Assert.Single(signed).Octets.Length);
        Assert.Equal(octets, Of($"left{bits}").Sign(signed[0].Scheme, signed[0].Octets.AsSpan()).Length);
    }

    [Theory]
    [InlineData(1024)]
    [InlineData(2048)]
    public void Another_key_of_the_same_kind_is_refused(int bits)
    {
        using var pair = Load($"left{bits}", $"right{bits}", $"other{bits}", $"right{bits}", aggressive: false);
        Assert.False(pair.Up().Success);
        Assert.Equal("authentication-failed", pair.Right.LastReport!.Failure!.Reason);
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
    }

    private static EnginePair Load(string ownLeft, string ownRight, string knownLeft, string knownRight, bool aggressive)
    {
        var pair = new EnginePair();
        foreach (var (host, connection, own, peer) in new[] { (pair.Left, V1Pair.Left(), ownLeft, knownRight), (pair.Right, V1Pair.Right(), ownRight, knownLeft) })
        {
            host.AddKey(Of(own));
            var named = AuthConstraints.Parse("dsa");
            host.Load(PolicySet.Of(connection with
            {
                Aggressive = aggressive,
                Local = connection.Local with { Kind = AuthKind.PublicKey, PublicKeys = [[.. Of(own).Public.Spki.Span]], Schemes = named },
                Remote = connection.Remote with { Kind = AuthKind.PublicKey, PublicKeys = [[.. Of(peer).Public.Spki.Span]], Constraints = named },
            }), pair.Now);
        }

        return pair;
    }

    /// <summary>"left1024": made when it is wanted for the first time.</summary>
    private static PrivateKey Of(string name)
    {
        lock (s_keys)
        {
            if (s_keys.TryGetValue(name, out var key)) return key;
            using var dsa = DSA.Create(int.Parse(name[^4..]));
            key = PrivateKey.Parse(dsa.ExportPkcs8PrivateKey());
            s_keys.Add(name, key);
            return key;
        }
    }
}
