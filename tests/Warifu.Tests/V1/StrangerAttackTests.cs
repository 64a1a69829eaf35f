using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.V1;
using Warifu.Wire;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Attacks on IKEv1 by somebody whom nobody knows (item 3.10). The trait "Attack" is the row of the list of attacks that the test answers.</summary>
[Trait("Item", "3.10")]
public sealed class StrangerAttackTests
{
    /// <summary>An internal number that came from the wire (CVE-2014-9221): every value of every attribute.</summary>
    [Fact]
    [Trait("Attack", "T01")]
    [Trait("Attack", "T14")]
    [Trait("Attack", "T70")]
    public void Every_value_of_every_attribute_is_survived_and_only_the_configured_one_is_taken()
    {
        using var pair = Attack.Stranger();
        foreach (var (type, right) in new[] { (IsakmpAttribute.Encryption, 7u), (IsakmpAttribute.Hash, 4u), (IsakmpAttribute.AuthMethod, 1u), (IsakmpAttribute.Group, 19u), (IsakmpAttribute.KeyLength, 128u), (IsakmpAttribute.Prf, 0u), ((IsakmpAttribute)77, 0u) })
        {
            for (var value = 1u; value <= 70_000; value += value < 300 || value is > 1000 and < 1100 or > 64_200 and < 64_240 or > 64_990 and < 65_010 ? 1u : 331u)
            {
                if (value == right) continue;
                var answer = Assert.Single(Attack.Knock(pair, Attack.First(builder => builder.Sa(Attack.Offer(Attack.Suite((type, value)))), padding: 80)));
                Assert.Equal(NotifyV1.NoProposalChosen, Attack.ErrorIn(answer));
            }
        }

        Assert.Empty(pair.Right.Engine.IsakmpSas);
        Assert.Equal(0, pair.Right.Engine.Counters.KeyExchanges);
        // without one of them, and with all of them
        foreach (var type in new[] { IsakmpAttribute.Encryption, IsakmpAttribute.Hash, IsakmpAttribute.AuthMethod, IsakmpAttribute.Group })
            Assert.Equal(NotifyV1.NoProposalChosen, Attack.ErrorIn(Assert.Single(Attack.Knock(pair, Attack.First(builder => builder.Sa(Attack.Offer(Attack.Suite((type, 0)))), padding: 80)))));
        Assert.Null(Attack.ErrorIn(Assert.Single(Attack.Knock(pair, Attack.First(builder => builder.Sa(Attack.Offer(Attack.Suite())), padding: 80)))));
        Assert.Single(pair.Right.Engine.IsakmpSas);
        Attack.AssertNothingIsLeft(pair);
    }

    /// <summary>IKEv1 messages with payload types of IKEv2 (CVE-2015-3991), in each exchange.</summary>
    [Fact]
    [Trait("Attack", "T02")]
    [Trait("Attack", "T11")]
    [Trait("Attack", "T18")]
    public void All_payload_types_in_all_exchanges_are_survived()
    {
        using var pair = Attack.Stranger(right => right with { RemoteAddresses = [] });
        for (var exchange = 0; exchange < 256; exchange++)
        {
            for (var type = 0; type < 256; type++)
            {
                var message = Attack.First(builder => builder.Sa(Attack.Offer(Attack.Suite())).Raw((PayloadV1)type, [1, 2, 3, 4, 5, 6, 7, 8]), (ExchangeType)exchange, (ulong)type + 9, padding: 60);
                var answers = Attack.Knock(pair, message, new Endpoint(IpAddress.Parse($"203.0.113.{type % 200}"), 500));
                Assert.True(answers.Sum(answer => answer.Length) <= message.Length);
                if (exchange != (int)ExchangeType.IdentityProtection) Assert.Empty(answers);
            }
        }

        Assert.All(pair.Right.Engine.IsakmpSas, sa => Assert.Equal(IsakmpState.Connecting, sa.State));
        Attack.AssertNothingIsLeft(pair);
    }

    /// <summary>Lengths that are wrong (PROTOS c09-isakmp, BindView, CVE-2016-6415): nothing is read or told beyond the message.</summary>
    [Theory]
    [InlineData(ExchangeType.IdentityProtection)]
    [InlineData(ExchangeType.Aggressive)]
    [Trait("Attack", "T73")]
    [Trait("Attack", "T12")]
    [Trait("Attack", "T53")]
    [Trait("Attack", "T57")]
    public void No_wrong_length_is_answered(ExchangeType exchange)
    {
        var aggressive = exchange == ExchangeType.Aggressive;
        using var pair = Attack.Stranger(right => right with { RemoteAddresses = [], Aggressive = aggressive, AggressivePsk = true });
        var left = V1Pair.Left() with { Aggressive = aggressive };
        pair.Left.Load(PolicySet.Of(left), pair.Now);
        pair.Left.Up("net", "net", pair.Now);
        var whole = pair.Left.Outbox.Peek().Message;
        // what there is left of the message
        for (var length = 0; length < whole.Length; length++)
        {
            Assert.Empty(Attack.Knock(pair, whole[..length]));
            var honest = whole[..length];
            if (length >= IkeHeader.Length) BinaryPrimitives.WriteUInt32BigEndian(honest.AsSpan(24), (uint)length);
            Assert.Empty(Attack.Knock(pair, honest));
        }

        // each payload's own length
        Assert.Equal(ParseError.None, ChainView.TryParse((PayloadV1)whole[16], whole.AsSpan(IkeHeader.Length), false, out var view));
        for (var i = 0; i < view.Count; i++)
        {
            var at = IkeHeader.Length + view[i].Offset - 2;
            var right = BinaryPrimitives.ReadUInt16BigEndian(whole.AsSpan(at));
            foreach (var wrong in new[] { 0, 1, 2, 3, right - 1, right + 1, right + 4, whole.Length, 0x7FFF, 0xFFFF })
            {
                var message = whole.ToArray();
                BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(at), (ushort)wrong);
                // zeros at the end may be filling: then it is a right message
                if (i == view.Count - 1 && wrong < right && wrong >= right - 3 && message.AsSpan(at - 2 + wrong).IndexOfAnyExcept((byte)0) < 0) continue;
                Assert.Empty(Attack.Knock(pair, message));
            }
        }

        Assert.Empty(pair.Right.Engine.IsakmpSas);
        // the lengths inside of SA
        view.TryGet(PayloadV1.Sa, out var body);
        var start = IkeHeader.Length + view[0].Offset;
        for (var i = 8; i < Math.Min(body.Length, 60); i++)
        {
            foreach (var wrong in new byte[] { 0, 1, 0x7F, 0xFF })
            {
                var message = whole.ToArray();
                message[start + i] = wrong;
                Assert.True(Attack.Knock(pair, message, new Endpoint(IpAddress.Parse($"203.0.113.{i}"), 500)).Sum(answer => answer.Length) <= 3 * message.Length);
            }
        }

        Attack.AssertNothingIsLeft(pair);
    }

    /// <summary>Next-payload loops, lengths of zero, chains without an end (CVE-2026-12413).</summary>
    [Fact]
    [Trait("Attack", "T26")]
    [Trait("Attack", "T50")]
    [Trait("Attack", "T60")]
    public void Loops_and_payload_bombs_cost_nothing()
    {
        using var pair = Attack.Stranger();
        foreach (var count in new[] { 0, 1, 62, 63, 64, 65, 1000, 16_000 })
        {
            var message = Attack.First(builder =>
            {
                builder.Sa(Attack.Offer(Attack.Suite()));
                for (var i = 0; i < count; i++) builder.Raw((PayloadV1)200, []);
            });
            if (message.Length > WireLimits.MessageLength) continue;
            var before = GC.GetAllocatedBytesForCurrentThread();
            var answers = Attack.Knock(pair, message);
            if (count <= 63) continue;
            Assert.Empty(answers);
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 4096);
        }

        // all lengths zero, and next payload = SA for ever
        var zeros = new byte[2000];
        new IkeHeader { InitiatorSpi = new IkeSpi(3), MajorVersion = 1, Exchange = ExchangeType.IdentityProtection, NextPayload = (PayloadType)PayloadV1.Sa, TotalLength = 2000 }.Write(zeros);
        for (var i = IkeHeader.Length; i < zeros.Length; i += 4) zeros[i] = (byte)PayloadV1.Sa;
        Assert.Equal(DropReason.Malformed, Attack.KnockDropped(pair, zeros));
        Attack.AssertNothingIsLeft(pair);
    }

    /// <summary>As many transforms as one message holds, and attributes without an end.</summary>
    [Fact]
    [Trait("Attack", "proposal explosion")]
    public void A_proposal_explosion_is_malformed()
    {
        using var pair = Attack.Stranger();
        var one = Attack.Suite((IsakmpAttribute.Group, 20));
        Assert.Equal(NotifyV1.NoProposalChosen, Attack.ErrorIn(Assert.Single(Attack.Knock(pair, Attack.First(builder => builder.Sa(Attack.Offer([.. Enumerable.Repeat(one, 255)])))))));
        var many = Enumerable.Range(1, 64).Select(number => new ProposalV1((byte)number, ProtocolId.Ike, [], [.. Enumerable.Range(1, 5).Select(transform => new TransformV1((byte)transform, 1, [.. Attack.Attributes(one)]))])).ToArray();
        Assert.Equal(DropReason.Malformed, Attack.KnockDropped(pair, Attack.First(builder => builder.Sa(many))));
        Assert.Equal(DropReason.Malformed, Attack.KnockDropped(pair, Attack.First(builder => builder.Sa(Attack.Offer([.. Enumerable.Repeat(((ushort)14, 128u), 33)])))));
        Attack.AssertNothingIsLeft(pair);
    }

    /// <summary>Each mandatory payload of the first message is missing, or there twice (CVE-2013-6467).</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Attack", "T07")]
    [Trait("Attack", "T49")]
    [Trait("Attack", "T47")]
    public void First_messages_without_a_payload_or_with_one_of_any_length_are_survived(bool aggressive)
    {
        using var pair = Attack.Stranger(right => right with { RemoteAddresses = [], Aggressive = aggressive, AggressivePsk = true });
        pair.Left.Load(PolicySet.Of(V1Pair.Left() with { Aggressive = aggressive }), pair.Now);
        pair.Left.Up("net", "net", pair.Now);
        var whole = pair.Left.Outbox.Peek().Message;
        var types = new List<PayloadV1>();
        for (var i = 0; i < Attack.View(whole).Count; i++) types.Add(Attack.View(whole)[i].Type);
        for (var one = 0; one < types.Count; one++)
        {
            for (var other = 0; other < types.Count; other++)
            {
                if (types[one] == PayloadV1.VendorId && types[other] == PayloadV1.VendorId) continue;
                var left = ForgerV1.Without(Attack.View(whole), one, other);
                Assert.Empty(Attack.Knock(pair, left.ToMessage(new IkeHeader { InitiatorSpi = new IkeSpi(5), MajorVersion = 1, Exchange = (ExchangeType)whole[18] })));
            }
        }

        // bodies of every length: of ID, KE and nonce, and of SA
        var turn = 0;
        foreach (var length in Enumerable.Range(0, 80).Concat([127, 128, 255, 256, 257, 1000, 4095, 4096, 4097, 60_000]))
        {
            for (var i = 0; i < types.Count; i++)
            {
                var at = i;
                var wrong = ForgerV1.Rebuild(Attack.View(whole), (index, type, body) => (type, index == at ? [.. body.Concat(new byte[length]).Take(length)] : body));
                var message = wrong.ToMessage(new IkeHeader { InitiatorSpi = new IkeSpi(5), MajorVersion = 1, Exchange = (ExchangeType)whole[18] });
                if (message.Length > WireLimits.MessageLength) continue;
                turn++;
                Assert.True(Attack.Knock(pair, message, new Endpoint(IpAddress.Parse($"203.0.{turn / 200}.{turn % 200}"), 500)).Sum(answer => answer.Length) <= 3 * message.Length);
            }
        }

        Attack.AssertNothingIsLeft(pair);
    }

    /// <summary>VU#419128: one reply for each request, no longer than the design allows, never by a timer.</summary>
    [Fact]
    [Trait("Attack", "T69")]
    public void Main_mode_answers_no_more_octets_than_came_and_aggressive_mode_three_times_as_many()
    {
        using (var pair = Attack.Stranger())
        {
            // the shortest: only SA, and no room for an answer with vendor IDs
            foreach (var padding in new[] { 0, 1, 16, 60, 200 })
            {
                var message = Attack.First(builder => builder.Sa(Attack.Offer(Attack.Suite())), cookie: (ulong)padding + 1, padding: padding);
                Assert.True(Assert.Single(Attack.Knock(pair, message)).Length <= message.Length);
                // the same again, and somebody else's
                Assert.Single(Attack.Knock(pair, message));
                var refused = Attack.First(builder => builder.Sa(Attack.Offer(Attack.Suite((IsakmpAttribute.Group, 2)))), cookie: (ulong)padding + 1, padding: padding);
                Assert.True(Assert.Single(Attack.Knock(pair, refused)).Length <= refused.Length);
            }

            // what would be answered with more is not answered
            var vendors = Attack.First(builder => builder.Sa(Attack.Offer(Attack.Suite())).VendorId(Convert.FromHexString("4048b7d56ebce88525e7de7f00d6c2d3")), cookie: 99);
            Assert.True(Attack.Knock(pair, vendors).Sum(answer => answer.Length) <= vendors.Length);
            Attack.AssertNothingIsLeft(pair);
        }

        using var aggressive = Attack.Stranger(right => right with { Aggressive = true, AggressivePsk = true });
        aggressive.Left.Load(PolicySet.Of(V1Pair.Left() with { Aggressive = true }), aggressive.Now);
        aggressive.Left.Up("net", "net", aggressive.Now);
        var first = aggressive.Left.Outbox.Peek().Message;
        Assert.True(Assert.Single(Attack.Knock(aggressive, first)).Length <= 3 * first.Length);
        Assert.True(Assert.Single(Attack.Knock(aggressive, first)).Length <= 3 * first.Length);
        Assert.Equal(1, aggressive.Right.Engine.Counters.KeyExchanges);
        Attack.AssertNothingIsLeft(aggressive);
    }

    /// <summary>Half-open floods from forged and from real addresses; no key exchange before our cookie came back.</summary>
    [Fact]
    [Trait("Attack", "T75")]
    [Trait("Attack", "T70")]
    [Trait("Attack", "duplicate first messages")]
    public void A_flood_of_first_messages_is_bounded_and_costs_no_key_exchange()
    {
        using var pair = Attack.Stranger(right => right with { RemoteAddresses = [] }, new EngineOptions { HalfOpenLimit = 200, HalfOpenPerPrefix = 5 });
        for (var i = 0; i < 2000; i++)
        {
            var from = new Endpoint(IpAddress.Parse($"203.0.{i / 20 % 100}.7"), (ushort)(1000 + i));
            var cookie = (ulong)i + 1;
            Attack.Knock(pair, Attack.First(builder => builder.Sa(Attack.Offer(Attack.Suite())), cookie: cookie, padding: 80), from);
        }

        Assert.True(pair.Right.Engine.Snapshot().HalfOpen <= 200);
        Assert.Equal(0, pair.Right.Engine.Counters.KeyExchanges);
        Assert.True(pair.Right.Engine.Counters.Drops[(int)DropReason.HalfOpenPerPrefix] > 0);
        Assert.True(pair.Right.Engine.Counters.Drops[(int)DropReason.HalfOpenLimit] > 0);
        Attack.AssertNothingIsLeft(pair);
    }

    /// <summary>What was half open before a flood makes room as soon as what comes with it; whoever has shown that it receives is left its time.</summary>
    [Fact]
    [Trait("Attack", "T75")]
    public void Under_attack_first_messages_without_a_second_are_forgotten_sooner()
    {
        using var pair = Attack.Stranger(right => right with { RemoteAddresses = [] }, new EngineOptions { HalfOpenLimit = 40, HalfOpenTimeout = TimeSpan.FromSeconds(60) });
        var second = Attack.Knock(pair, Attack.First(builder => builder.Sa(Attack.Offer(Attack.Suite())), cookie: 1, padding: 80)).Single();
        using var keys = Warifu.Crypto.KeyExchange.Generate(KeId.Ecp256, pair.Left.Entropy);
        IkeHeader.TryRead(second, out var header);
        Assert.Single(Attack.Knock(pair, new ChainBuilder().Raw(PayloadV1.Ke, keys.PublicValue).Raw(PayloadV1.Nonce, new byte[16]).ToMessage(header with { Flags = 0 })));
        for (var i = 2; i <= 40; i++)
        {
            if (i == 10) Assert.All(pair.Right.Engine.IsakmpSas, sa => Assert.Equal(pair.Now + TimeSpan.FromSeconds(60), sa.ExpireAt));
            Assert.Single(Attack.Knock(pair, Attack.First(builder => builder.Sa(Attack.Offer(Attack.Suite())), cookie: (ulong)i, padding: 80), new Endpoint(IpAddress.Parse($"203.0.113.{i}"), 500)));
        }

        Assert.All(pair.Right.Engine.IsakmpSas, sa => Assert.Equal(pair.Now + (sa.CookieI.Value == 1 ? TimeSpan.FromSeconds(60) : ProtocolTimes.HalfOpenUnderAttack), sa.ExpireAt));
        Attack.AssertNothingIsLeft(pair);
    }

    /// <summary>Whoever receives at his address is counted too, and cannot fill the room of all others by going on to message 3.</summary>
    [Fact]
    [Trait("Attack", "T75")]
    public void One_verified_address_gets_its_share_and_no_more()
    {
        using var pair = Attack.Stranger(right => right with { RemoteAddresses = [] }, new EngineOptions { HalfOpenLimit = 200, HalfOpenPerPrefix = 5 });
        var answered = 0;
        for (var i = 1; i <= 30; i++)
        {
            if (Attack.Knock(pair, Attack.First(builder => builder.Sa(Attack.Offer(Attack.Suite())), cookie: (ulong)i, padding: 80)) is not [var second]) continue;
            answered++;
            using var keys = Warifu.Crypto.KeyExchange.Generate(KeId.Ecp256, pair.Left.Entropy);
            var third = new ChainBuilder().Raw(PayloadV1.Ke, keys.PublicValue).Raw(PayloadV1.Nonce, new byte[16]);
            IkeHeader.TryRead(second, out var header);
            Assert.Single(Attack.Knock(pair, third.ToMessage(header with { Flags = 0 })));
        }

        Assert.Equal(5, answered);
        Assert.Equal(5, pair.Right.Engine.Counters.KeyExchanges);
        Attack.AssertNothingIsLeft(pair);
    }

    /// <summary>Under attack aggressive mode, which costs a key exchange for every forged address, is answered only now and then.</summary>
    [Fact]
    [Trait("Attack", "T70")]
    public void Aggressive_mode_is_rationed_while_somebody_floods_us()
    {
        using var pair = Attack.Stranger(right => right with { RemoteAddresses = [], Aggressive = true, AggressivePsk = true }, new EngineOptions { HalfOpenLimit = 1000, CookieThreshold = 20, HalfOpenPerPrefix = 5 });
        pair.Left.Load(PolicySet.Of(V1Pair.Left() with { Aggressive = true }), pair.Now);
        pair.Left.Up("net", "net", pair.Now);
        var first = pair.Left.Outbox.Peek().Message;
        for (var i = 0; i < 300; i++)
        {
            first[3] = (byte)(i >> 8);
            first[4] = (byte)i;
            Attack.Knock(pair, first, new Endpoint(IpAddress.Parse($"203.0.{i / 100}.{i % 100}"), 500));
        }

        Assert.InRange(pair.Right.Engine.Counters.KeyExchanges, 20, 20 + ProtocolTimes.AggressivePerSecond + 2);
        Attack.AssertNothingIsLeft(pair);
    }

    /// <summary>A refused first message leaves nothing, and its cookies mean nothing afterwards (CVE-2023-30570).</summary>
    [Fact]
    [Trait("Attack", "T19")]
    [Trait("Attack", "T61")]
    [Trait("Attack", "T56")]
    public void Failed_negotiations_leave_nothing_and_their_cookies_are_unknown()
    {
        using var pair = Attack.Stranger(right => right with { Aggressive = true, AggressivePsk = true });
        pair.Left.Load(PolicySet.Of(V1Pair.Left("aes256-sha256-ecp256") with { Aggressive = true }), pair.Now);
        pair.Left.Up("net", "net", pair.Now);
        var first = pair.Left.Outbox.Peek().Message;
        for (var i = 0; i < 300; i++)
        {
            first[5] = (byte)i;
            Assert.Empty(Attack.Knock(pair, first));
            foreach (var exchange in new[] { ExchangeType.Aggressive, ExchangeType.IdentityProtection, ExchangeType.QuickMode, ExchangeType.InformationalV1, ExchangeType.ModeConfig })
            {
                var again = first.ToArray();
                (again[18], again[15]) = ((byte)exchange, 9);
                Assert.Empty(Attack.Knock(pair, again));
            }
        }

        Assert.Equal(0, pair.Right.Engine.Counters.KeyExchanges);
        Attack.AssertNothingIsLeft(pair);
    }

    /// <summary>Bleichenbacher's oracles (CVE-2018-0131 and its like): there is no RSA encryption here, in either role, whatever is configured or offered.</summary>
    [Fact]
    [Trait("Attack", "T54")]
    [Trait("Attack", "key reuse")]
    public void RSA_encryption_is_refused_and_no_key_of_ours_decrypts_anything()
    {
        using var pair = Attack.Stranger();
        foreach (var method in new[] { AuthV1.RsaEncryption, AuthV1.RevisedRsaEncryption })
        {
            Assert.Equal(NotifyV1.NoProposalChosen, Attack.ErrorIn(Assert.Single(Attack.Knock(pair, Attack.First(builder => builder.Sa(Attack.Offer(Attack.Suite((IsakmpAttribute.AuthMethod, (uint)method)))), padding: 40)))));
            Assert.Contains("RSA encryption, which is not supported here", pair.Right.LastReport!.Failure!.Offered[0], StringComparison.Ordinal);
            Assert.DoesNotContain(Enum.GetValues<AuthKind>(), kind => PhaseOneMethods(kind).Contains(method));
        }

        // what a private key can do: sign, nothing else
        Assert.DoesNotContain(typeof(Warifu.Crypto.Signatures.PrivateKey).GetMethods(), method => method.Name.Contains("crypt", StringComparison.OrdinalIgnoreCase));
        Assert.DoesNotContain(typeof(Ask).GetNestedTypes(System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Public), ask => ask.Name.Contains("crypt", StringComparison.OrdinalIgnoreCase));
        Attack.AssertNothingIsLeft(pair);
    }

    /// <summary>A pre-shared key of both versions: what IKEv1 has computed with it is never what IKEv2 computes with it.</summary>
    [Fact]
    [Trait("Attack", "key reuse")]
    public void No_nonces_make_SKEYID_the_padded_key_of_IKEv2()
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(), V1Pair.Right());
        pair.Right.HeldAsks = [];
        pair.Left.Up("net", "net", pair.Now);
        // the peer's nonce is as short as may be, and as bad
        pair.Wire = (number, _, message) =>
        {
            if (number != 2) return number > 2 ? 0 : 1;
            var changed = ForgerV1.Rebuild(Attack.View(message.Message), (_, type, body) => (type, type == PayloadV1.Nonce ? System.Text.Encoding.ASCII.GetBytes("Key Pad for IKEv2")[..8] : body));
            IkeHeader.TryRead(message.Message, out var header);
            pair.Right.Receive(message.Remote, message.Local, changed.ToMessage(header), pair.Now);
            return 0;
        };
        pair.Settle();
        var find = pair.Right.HeldAsks.Single();
        Assert.IsType<Ask.FindPsk>(find.Question);
        pair.Right.HeldAsks.Clear();
        pair.Right.Engine.Handle(new Answer.SecretHandle(find.Id, new SecretRef(1)), pair.Now);
        pair.Right.Drain(pair.Now);
        // "Key Pad for IKEv2" has 17 octets; our own nonce alone has 32
        var skeyid = Assert.IsType<Ask.PskSkeyid>(pair.Right.HeldAsks.Single().Question);
        Assert.True(skeyid.Nonces.Length >= 8 + 32);
    }

    /// <summary>Guessing a pre-shared key off line: in main mode nothing that was made with it leaves us before the peer has proved that it knows it; in aggressive mode nothing leaves us at all unless that is asked for.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Attack", "T55")]
    public void A_responder_gives_nothing_to_guess_a_key_with(bool aggressive)
    {
        using var pair = new EnginePair();
        pair.Left.SetPsk("ike-1", "a-guess-of-mallory");
        pair.Load(V1Pair.Left() with { Aggressive = aggressive }, V1Pair.Right() with { Aggressive = aggressive });
        Assert.False(pair.Up().Success);
        var answers = V1Pair.Messages(pair, pair.Right);
        if (aggressive) Assert.Empty(answers);
        // the choice, the key exchange, and a refusal in clear
        Assert.All(answers, answer => Assert.Equal(0, answer[19] & 1));
        Assert.All(answers, answer => Assert.Equal(-1, Attack.View(answer).IndexOf(PayloadV1.Hash)));
    }

    /// <summary>1024-bit groups and hashes that collide (SLOTH, Logjam) are not in what is offered or taken unless they are named.</summary>
    [Fact]
    [Trait("Attack", "T71")]
    public void The_default_has_nothing_weak_and_a_nonce_is_never_the_same()
    {
        foreach (var suite in SuiteChoice.Of(V1Pair.Left() with { Proposals = ProposalKeywords.DefaultIke }, AuthV1.Psk))
        {
            Assert.Contains(suite.Encr, new[] { EncrId.AesCbc });
            Assert.DoesNotContain(suite.Prf, new[] { PrfId.HmacMd5, PrfId.HmacSha1 });
            Assert.DoesNotContain(suite.Group, new[] { KeId.Modp768, KeId.Modp1024, KeId.Modp1536, KeId.Modp1024S160, KeId.Modp2048S224, KeId.Modp2048S256 });
        }

        var nonces = new HashSet<string>();
        for (var seed = 1UL; seed <= 3; seed++)
        {
            using var pair = new EnginePair(seed);
            pair.Load(V1Pair.Left(), V1Pair.Right());
            Assert.True(pair.Up().Success);
            foreach (var message in pair.Sent.Select(sent => sent.Message.Message).Where(message => (message[19] & 1) == 0))
            {
                if (Attack.View(message).TryGet(PayloadV1.Nonce, out var nonce)) Assert.True(nonce.Length == 32 && nonces.Add(Convert.ToHexString(nonce)));
            }
        }

        Assert.Equal(6, nonces.Count);
    }

    /// <summary>R-U-THERE and its answer, deletes and notifies of nobody (CVE-2009-0790).</summary>
    [Fact]
    [Trait("Attack", "T08")]
    [Trait("Attack", "T16")]
    public void Messages_of_SAs_that_are_not_there_or_over_are_dropped()
    {
        using var pair = Attack.Peer(out var own);
        var probe = new ChainBuilder().Notify(ProtocolId.Ike, own.Cookies(), NotifyV1.RUThere, [0, 0, 0, 1]);
        var messages = new[]
        {
            ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x1111, probe),
            ForgerV1.Clear(own, ExchangeType.InformationalV1, 0x2222, probe.First, probe.Chain),
            ForgerV1.Hashed(own, ExchangeType.QuickMode, 0x3333, probe),
        };
        using var stranger = Attack.Stranger();
        foreach (var message in messages)
        {
            Assert.Equal(DropReason.UnknownSpi, Attack.KnockDropped(stranger, message));
            // no cookie at all
            message.AsSpan(0, 16).Clear();
            Attack.KnockDropped(stranger, message);
        }

        Attack.AssertNothingIsLeft(stranger);
        // phase 1 is over, its child lives on
        var last = ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x4444, probe);
        Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x5555, new ChainBuilder().Delete(ProtocolId.Ike, own.Cookies())));
        Assert.Equal("PASSIVE", Assert.Single(pair.Right.Engine.Snapshot().IkeSas).State);
        // deletes of its children may come behind its own for a while
        pair.Run(ProtocolTimes.RetireSoon + TimeSpan.FromSeconds(1));
        Assert.Equal(DropReason.NotEstablished, Attack.KnockDropped(pair, last));
        Assert.Single(pair.Right.Installed);
    }

    /// <summary>No version 1 state for a version 2 peer, in either mode (R10, RFC 9395).</summary>
    [Theory]
    [InlineData(ExchangeType.IdentityProtection)]
    [InlineData(ExchangeType.Aggressive)]
    [Trait("Attack", "downgrade")]
    public void A_version_2_peer_is_never_answered_in_version_1(ExchangeType exchange)
    {
        using var pair = new EnginePair();
        pair.Load(null, EnginePair.RightGateway("aes128-sha256-ecp256"));
        Assert.Equal(DropReason.Version1, Attack.KnockDropped(pair, Attack.First(builder => builder.Sa(Attack.Offer(Attack.Suite())), exchange)));
        Attack.AssertNothingIsLeft(pair);
        Assert.Equal(1, pair.Right.Engine.Versions.Mismatches);
    }

    private static AuthV1[] PhaseOneMethods(AuthKind kind) => PhaseOne.MethodsOf(V1Pair.Left() with { Local = V1Pair.Left().Local with { Kind = kind }, Remote = V1Pair.Left().Remote with { Kind = kind } }, initiator: true);
}
