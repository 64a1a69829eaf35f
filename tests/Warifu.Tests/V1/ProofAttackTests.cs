using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Tests.Crypto;
using Warifu.Wire;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Attacks on the proofs of phase 1 (item 3.10): messages 5 and 6 of main mode and 3 of aggressive mode, opened, changed and sealed again with the right keys.</summary>
[Trait("Item", "3.10")]
public sealed class ProofAttackTests
{
    /// <summary>Signatures of length 0, 1 and n, of zeros and ones (CVE-2012-2388, CVE-2013-2944), and HASHes likewise: none of them ends the negotiation, and the true one counts.</summary>
    [Theory]
    [InlineData("psk", 4, false)]
    [InlineData("psk", 5, false)]
    [InlineData("psk", 2, true)]
    [InlineData("rsa", 4, false)]
    [InlineData("rsa", 5, false)]
    [InlineData("rsa", 2, true)]
    [InlineData("p256", 4, false)]
    [InlineData("p256", 5, false)]
    [InlineData("p256", 2, true)]
    [Trait("Attack", "T10")]
    [Trait("Attack", "T27")]
    [Trait("Attack", "T17")]
    public void No_false_proof_is_believed_or_ends_what_the_true_one_finishes(string kind, int target, bool aggressive)
    {
        using var pair = new EnginePair();
        Load(pair, kind, aggressive);
        var tried = 0;
        pair.Wire = (number, from, message) =>
        {
            if (number != target) return 1;
            var to = from == pair.Left ? pair.Right : pair.Left;
            var plain = Attack.OpenOnTheWay(pair, from, message.Message, out var sa, out var iv);
            Assert.Equal(ParseError.None, ChainView.TryParse((PayloadV1)message.Message[16], plain, decrypted: true, out var view));
            var proofs = kind == "psk" ? PayloadV1.Hash : PayloadV1.Sig;
            foreach (var forge in new Func<byte[], byte[]>[] { _ => [], _ => [0], body => new byte[body.Length], body => [.. Enumerable.Repeat((byte)0xFF, body.Length)], body => body[1..], body => [0, .. body], body => [.. body, 0], body => [.. body[..^1], (byte)(body[^1] ^ 1)], body => [(byte)(body[0] ^ 0x80), .. body[1..]], body => [.. new byte[body.Length - 1], 1], _ => new byte[2000] })
            {
                var forged = ForgerV1.Rebuild(view, (_, type, body) => (type, type == proofs ? forge(body) : body));
                to.Receive(message.Remote, message.Local, ForgerV1.Seal(sa, (ExchangeType)message.Message[18], 0, forged.First, forged.Chain, iv), pair.Now);
                tried++;
                Assert.Empty(to.Events.OfType<IkeSaUp>());
                Assert.Single(to.Engine.IsakmpSas);
            }

            return 1;
        };
        Assert.True(pair.Up().Success, $"left: {pair.Left.LastReport?.Failure?.Sentence}; right: {pair.Right.LastReport?.Failure?.Sentence}");
        Assert.Equal(11, tried);
        V1Pair.AssertQuiet(pair);
    }

    /// <summary>Each octet of the proofs changed on the way, in ciphertext.</summary>
    [Theory]
    [InlineData("psk")]
    [InlineData("p256")]
    [Trait("Attack", "T17")]
    public void A_proof_of_which_a_bit_was_changed_is_nothing(string kind)
    {
        using var pair = new EnginePair();
        Load(pair, kind, aggressive: false);
        pair.Wire = (number, from, message) =>
        {
            if (number is not (4 or 5)) return 1;
            var to = from == pair.Left ? pair.Right : pair.Left;
            var before = to.Engine.IsakmpSas.Count;
            // a certificate is not covered by the signature, but must fit it; the last block may be padding
            for (var i = IkeHeader.Length; i < message.Message.Length - 16; i += kind == "psk" ? 1 : 5)
            {
                var wrong = message.Message.ToArray();
                wrong[i] ^= 0x04;
                to.Receive(message.Remote, message.Local, wrong, pair.Now);
                if (to.Engine.IsakmpSas.Count != before || to.Events.OfType<IkeSaUp>().Any()) break;
            }

            return 1;
        };
        Assert.True(pair.Up().Success, $"left: {pair.Left.LastReport?.Failure?.Sentence}; right: {pair.Right.LastReport?.Failure?.Sentence}");
        V1Pair.AssertSame(pair);
    }

    /// <summary>The proof is missing, or the identity, or both.</summary>
    [Theory]
    [InlineData(4, false)]
    [InlineData(5, false)]
    [InlineData(2, true)]
    [Trait("Attack", "T07")]
    [Trait("Attack", "T22")]
    public void Messages_without_identity_or_proof_authenticate_nobody(int target, bool aggressive)
    {
        // message 3 of aggressive mode has no identity
        for (var left = 0; left < (aggressive ? 1 : 2); left++)
        {
            using var pair = new EnginePair();
            Load(pair, "psk", aggressive);
            var missing = left;
            pair.Wire = (number, from, message) =>
            {
                if (number != target) return number < target ? 1 : 0;
                var to = from == pair.Left ? pair.Right : pair.Left;
                var plain = Attack.OpenOnTheWay(pair, from, message.Message, out var sa, out var iv);
                Assert.Equal(ParseError.None, ChainView.TryParse((PayloadV1)message.Message[16], plain, decrypted: true, out var view));
                var forged = ForgerV1.Without(view, missing);
                to.Receive(message.Remote, message.Local, ForgerV1.Seal(sa, (ExchangeType)message.Message[18], 0, forged.First, forged.Chain, iv), pair.Now);
                Assert.Empty(to.Events.OfType<IkeSaUp>());
                return 0;
            };
            pair.Left.Up("net", "net", pair.Now);
            pair.Settle();
            Assert.Empty(pair.Right.Installed);
        }
    }

    /// <summary>Identities of all types and lengths in message 5; the HASH over each is right (CVE-2013-5018, CVE-2025-9242).</summary>
    [Fact]
    [Trait("Attack", "T22")]
    [Trait("Attack", "T49")]
    [Trait("Attack", "T64")]
    public void Identities_that_are_not_the_configured_one_are_refused_whatever_their_type()
    {
        byte[][] bodies =
        [
            .. Enumerable.Range(0, 20).Select(type => (byte[])[(byte)type, 0, 0, 0, .. "left.example.orh"u8]), [2, 0, 0, 0, .. "left.example.org\0"u8], [2, 0, 0, 0, .. "LEFT.example.org."u8], [9, 0, 0, 0, 0x30, 0x80], [9, 0, 0, 0, 0x30],
            [11, 0, 0, 0, .. "left.example.org"u8], [3, 0, 0, 0, .. "left.example.org"u8], [1, 0, 0, 0, 192, 0, 2, 2], [2, 0, 0, 0, .. new byte[4000]],
        ];
        foreach (var body in bodies)
        {
            using var pair = new EnginePair();
            Load(pair, "psk", aggressive: false);
            Replace(pair, body);
            pair.Left.Up("net", "net", pair.Now);
            pair.Settle();
            Assert.Empty(pair.Right.Events.OfType<IkeSaUp>());
        }
    }

    /// <summary>RFC 2407 section 4.6.2: protocol and port of a phase 1 identity are zero, or UDP port 500.</summary>
    [Theory]
    [InlineData(0, 0, true)]
    [InlineData(17, 500, true)]
    [InlineData(17, 0, true)]
    [InlineData(17, 4500, true)]
    [InlineData(6, 0, false)]
    [InlineData(17, 1701, false)]
    [Trait("Attack", "T22")]
    public void A_phase_1_identity_with_another_port_is_refused(byte protocol, ushort port, bool isRight)
    {
        using var pair = new EnginePair();
        Load(pair, "psk", aggressive: false);
        Replace(pair, [2, protocol, (byte)(port >> 8), (byte)port, .. "left.example.org"u8]);
        pair.Left.Up("net", "net", pair.Now);
        pair.Settle();
        Assert.Equal(isRight ? 1 : 0, pair.Right.Events.OfType<IkeSaUp>().Count());
        if (!isRight) Assert.Contains("RFC 2407 section 4.6.2", pair.Right.LastReport!.Failure!.Sentence, StringComparison.Ordinal);
    }

    /// <summary>A wrong signature is told on both sides, as a suspicion: it ends with the half-open time, not at once.</summary>
    [Fact]
    [Trait("Attack", "T10")]
    public void A_peer_that_signs_with_another_key_is_told_and_times_out()
    {
        using var pair = new EnginePair();
        Load(pair, "p256", aggressive: false, otherKey: true);
        Assert.False(pair.Up().Success);
        Assert.Equal("authentication-failed", pair.Right.LastReport!.Failure!.Reason);
        Assert.Equal("authentication-failed", pair.Left.LastReport!.Failure!.Reason);
        pair.Run(TimeSpan.FromMinutes(1));
        Assert.Empty(pair.Right.Engine.IsakmpSas);
        Assert.Empty(pair.Left.Engine.IsakmpSas);
    }

    /// <summary>Message 5 with this ID body, and the HASH that fits it.</summary>
    private static void Replace(EnginePair pair, byte[] idBody) => pair.Wire = (number, from, message) =>
    {
        if (number != 4) return 1;
        var plain = Attack.OpenOnTheWay(pair, from, message.Message, out var sa, out var iv);
        Assert.Equal(ParseError.None, ChainView.TryParse((PayloadV1)message.Message[16], plain, decrypted: true, out var view));
        var mode = sa.Mode!;
        var hash = Warifu.Crypto.KeyScheduleV1.Proof(sa.Suite!.Prf, sa.Keys!.Skeyid, mode.KeI, mode.KeR, sa.CookieI, sa.CookieR, mode.OfferOctets, idBody);
        var forged = ForgerV1.Rebuild(view, (_, type, body) => (type, type == PayloadV1.Id ? idBody : type == PayloadV1.Hash ? hash : body));
        pair.Right.Receive(message.Remote, message.Local, ForgerV1.Seal(sa, ExchangeType.IdentityProtection, 0, forged.First, forged.Chain, iv), pair.Now);
        return 0;
    };

    private static void Load(EnginePair pair, string kind, bool aggressive, bool otherKey = false)
    {
        Connection With(Connection connection, string own, string peer)
        {
            connection = connection with { Aggressive = aggressive, AggressivePsk = true, Fragmentation = FragmentationPolicy.No };
            return kind == "psk" ? connection : connection with
            {
                Local = connection.Local with { Kind = AuthKind.PublicKey, PublicKeys = [[.. Keys.Of(own).Public.Spki.Span]] },
                Remote = connection.Remote with { Kind = AuthKind.PublicKey, PublicKeys = [[.. Keys.Of(peer).Public.Spki.Span]] },
            };
        }

        var (left, right) = (With(V1Pair.Left(), kind, kind + ".2"), With(V1Pair.Right(), kind + ".2", otherKey ? kind + ".3" : kind));
        foreach (var host in new[] { pair.Left, pair.Right })
        {
            foreach (var (_, key) in Keys.Known) host.AddKey(key);
        }

        pair.Load(left, right);
    }
}
