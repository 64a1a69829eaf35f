using System;
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

/// <summary>Attacks on an IKEv1 SA that is there: by whoever listens, and by the peer itself (item 3.10). The trait "Attack" is the row of the list of attacks that the test answers.</summary>
[Trait("Item", "3.10")]
public sealed class PeerAttackTests
{
    private static readonly NotifyV1[] s_notifies = Enum.GetValues<NotifyV1>();

    /// <summary>CVE-2019-10155: each octet of a protected message is changed; nothing happens, and nothing is answered.</summary>
    [Theory]
    [InlineData("delete")]
    [InlineData("probe")]
    [InlineData("quick")]
    [Trait("Attack", "T17")]
    public void A_protected_message_of_which_a_bit_was_changed_is_nothing(string kind)
    {
        using var pair = Attack.Peer(out var own);
        var message = kind switch
        {
            "delete" => ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x77, new ChainBuilder().Delete(ProtocolId.Ike, own.Cookies())),
            "probe" => ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x77, new ChainBuilder().Notify(ProtocolId.Ike, own.Cookies(), NotifyV1.RUThere, [0, 0, 0, 1])),
            _ => ForgerV1.Hashed(own, ExchangeType.QuickMode, 0x77, Quick(own, 0x1234)),
        };
        var padded = PaddingOf(own, message, kind == "quick" ? ExchangeType.QuickMode : ExchangeType.InformationalV1);
        for (var i = 0; i < message.Length - padded; i++)
        {
            var wrong = message.ToArray();
            wrong[i] ^= 0x40;
            // the commit bit and its like are not protected, nor is the flag of a version
            if (i is 17 or 19) continue;
            Assert.Empty(Attack.Knock(pair, wrong));
            Assert.Single(pair.Right.Installed);
        }

        Attack.AssertUnharmed(pair);
    }

    /// <summary>Whatever is wrong with a message, the answer and the work are the same: padding is not looked at, and a HASH is computed also where no payload can be read.</summary>
    [Fact]
    [Trait("Attack", "CBC padding")]
    public void Bad_padding_bad_lengths_and_a_bad_HASH_cannot_be_told_apart()
    {
        using var pair = Attack.Peer(out var own);
        var victim = pair.Right.Engine.IsakmpSas.Single();
        var probe = new ChainBuilder().Notify(ProtocolId.Ike, own.Cookies(), NotifyV1.RUThere, [0, 0, 0, 1]);
        var iv = own.ExchangeIv(0x99);
        var right = ForgerV1.Open(own, ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x99, probe), iv);
        var length = 4 + own.HashLength + probe.Chain.Length;
        foreach (var exchange in new[] { ExchangeType.InformationalV1, ExchangeType.QuickMode })
        {
            // HASH does not cover its own next payload, which nobody can change: it is behind the IV
            for (var at = 1; at < right.Length; at++)
            {
                var wrong = right.ToArray();
                wrong[at] ^= 0x55;
                var isPadding = at >= length;
                if (isPadding && exchange == ExchangeType.InformationalV1) continue;
                var before = victim.HashChecks;
                var drop = Attack.KnockDropped(pair, ForgerV1.Seal(own, exchange, exchange == ExchangeType.QuickMode ? 0x98u : 0x99u, PayloadV1.Hash, wrong, exchange == ExchangeType.QuickMode ? own.ExchangeIv(0x98) : iv));
                Assert.Equal(DropReason.BadIntegrity, drop);
                Assert.Equal(before + 1, victim.HashChecks);
            }
        }

        // and padding of any octets does no harm
        var filled = right.ToArray();
        filled.AsSpan(length).Fill(0xEE);
        Assert.Single(Attack.Knock(pair, ForgerV1.Seal(own, ExchangeType.InformationalV1, 0x99, PayloadV1.Hash, filled, iv)));
    }

    /// <summary>Notifies of every type, protocol and SPI size (CVE-2023-38710), with a HASH that fits.</summary>
    [Fact]
    [Trait("Attack", "T21")]
    [Trait("Attack", "T09")]
    public void Every_notify_with_every_protocol_and_SPI_is_survived()
    {
        using var pair = Attack.Peer(out var own);
        var id = 0x1000u;
        foreach (var type in s_notifies.Concat([(NotifyV1)0, (NotifyV1)8191, (NotifyV1)9000, (NotifyV1)40_001, (NotifyV1)65_535]))
        {
            for (var protocol = 0; protocol < 6; protocol++)
            {
                foreach (var size in new[] { 0, 1, 3, 4, 5, 8, 15, 16, 17, 255 })
                {
                    var rest = new ChainBuilder().Notify((ProtocolId)protocol, new byte[size], type, "%s%n\r\n\u001b[31m\0"u8);
                    Assert.True(Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.InformationalV1, id++, rest)).Length <= 1);
                }
            }
        }

        Assert.Empty(pair.Right.Events.OfType<ChildDown>());
        Attack.AssertUnharmed(pair);
    }

    /// <summary>Deletes of all sorts (CVE-2023-38712): twice, with more behind them, of itself, of others, in the middle of a list.</summary>
    [Fact]
    [Trait("Attack", "T23")]
    public void Deletes_with_more_behind_them_and_deletes_of_what_is_gone_are_survived()
    {
        using var pair = Attack.Peer(out var own);
        var spi = BitConverter.GetBytes(System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(pair.Left.Installed.Values.Single().InboundSpi.Value));
        var rest = new ChainBuilder().Delete(ProtocolId.Esp, [1, 2, 3, 4]).Delete(ProtocolId.Ah, spi).Delete(ProtocolId.Ike, new byte[16]).Delete(ProtocolId.Esp, spi).Delete(ProtocolId.Esp, spi)
            .Notify(ProtocolId.Ike, own.Cookies(), NotifyV1.RUThere, [0, 0, 0, 1]).Delete(ProtocolId.Ike, own.Cookies()).Delete(ProtocolId.Ike, own.Cookies()).Delete(ProtocolId.Esp, spi)
            .Notify(ProtocolId.Ike, own.Cookies(), NotifyV1.RUThere, [0, 0, 0, 2]).Notify(ProtocolId.Ike, own.Cookies(), NotifyV1.InitialContact).Notify(ProtocolId.Esp, spi, NotifyV1.InvalidSpi);
        var message = ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x4711, rest);
        // the first question was answered; then there was nobody any more
        Assert.Single(Attack.Knock(pair, message));
        Assert.Empty(pair.Right.Installed);
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
        Assert.Single(pair.Right.Events.OfType<ChildDown>());
        Assert.Equal(DropReason.UnknownSpi, Attack.KnockDropped(pair, message));
        Attack.AssertNothingIsLeft(pair);
    }

    /// <summary>A message ID that was there already means the same IV: it is never taken again, in whatever exchange (RFC 2408 section 3.1).</summary>
    [Fact]
    [Trait("Attack", "message-ID reuse")]
    [Trait("Attack", "replay")]
    public void A_message_ID_is_never_taken_twice_in_any_exchange()
    {
        using var pair = Attack.Peer(out var own);
        var probe = new ChainBuilder().Notify(ProtocolId.Ike, own.Cookies(), NotifyV1.RUThere, [0, 0, 0, 1]);
        var message = ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x31, probe);
        Assert.Single(Attack.Knock(pair, message));
        Assert.Equal(DropReason.OutOfWindow, Attack.KnockDropped(pair, message));
        Assert.Equal(DropReason.OutOfWindow, Attack.KnockDropped(pair, ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x31, new ChainBuilder().Delete(ProtocolId.Ike, own.Cookies()))));
        Assert.Equal(DropReason.OutOfWindow, Attack.KnockDropped(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, 0x31, Quick(own, 0x5000))));
        Assert.Equal(DropReason.OutOfWindow, Attack.KnockDropped(pair, ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0, probe)));
        Assert.NotEqual(DropReason.None, Attack.KnockDropped(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, 0, Quick(own, 0x5000))));
        // the numbers that we took ourselves, too
        var ours = V1Pair.Messages(pair, pair.Left).First(sent => sent[18] == (byte)ExchangeType.QuickMode);
        IkeHeader.TryRead(ours, out var header);
        Assert.Equal(DropReason.OutOfWindow, Attack.KnockDropped(pair, ForgerV1.Hashed(own, ExchangeType.InformationalV1, header.MessageId, probe)));
        Attack.AssertUnharmed(pair);
    }

    /// <summary>Our own messages come back: of phase 1 in every state, of quick mode, of informational exchanges.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Attack", "T72")]
    [Trait("Attack", "reflected messages")]
    public void Reflected_messages_change_nothing(bool aggressive)
    {
        using var pair = new EnginePair();
        Connection With(Connection connection) => connection with { Aggressive = aggressive, AggressivePsk = true };
        pair.Load(With(V1Pair.Left()), With(V1Pair.Right()));
        pair.Wire = (_, from, message) =>
        {
            // to its sender, as if from the other side; as it is, and in aggressive mode with the header of an answer
            from.Receive(message.Local, message.Remote, message.Message, pair.Now);
            if (!aggressive) return 1;
            var answer = message.Message.ToArray();
            if (answer.AsSpan(8, 8).IndexOfAnyExcept((byte)0) < 0) answer[15] = 5;
            from.Receive(message.Local, message.Remote, answer, pair.Now);
            return 1;
        };
        Assert.True(pair.Up().Success);
        V1Pair.AssertQuiet(pair);
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Run(TimeSpan.FromSeconds(20));
        V1Pair.AssertSame(pair);
        V1Pair.AssertQuiet(pair);
    }

    /// <summary>The own key exchange value in an answer that is otherwise right is dropped; the true answer still counts.</summary>
    [Fact]
    [Trait("Attack", "T72")]
    public void Our_own_key_exchange_in_an_answer_is_dropped_and_the_true_answer_counts()
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(), V1Pair.Right());
        byte[] own = [];
        pair.Wire = (number, _, message) =>
        {
            if (number == 2) own = message.Message;
            if (number != 3) return 1;
            foreach (var copied in new[] { PayloadV1.Ke, PayloadV1.Nonce })
            {
                Attack.View(own).TryGet(copied, out var octets);
                var value = octets.ToArray();
                var wrong = ForgerV1.Rebuild(Attack.View(message.Message), (_, type, body) => (type, type == copied ? value : body));
                IkeHeader.TryRead(message.Message, out var header);
                pair.Left.Receive(message.Remote, message.Local, wrong.ToMessage(header), pair.Now);
            }

            return 1;
        };
        Assert.True(pair.Up().Success);
        Assert.Equal(2, pair.Left.Engine.Counters.Drops[(int)DropReason.BadFlags]);
    }

    /// <summary>Unprotected errors do not end anything; the real answer does (each state of the initiator).</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(5)]
    [Trait("Attack", "unauthenticated deletes and notifies")]
    public void Unauthenticated_refusals_end_nothing(int before)
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(), V1Pair.Right());
        pair.Wire = (number, _, message) =>
        {
            if (number != before) return 1;
            var sa = pair.Left.Engine.IsakmpSas.Single();
            foreach (var type in s_notifies)
            {
                var lie = new ChainBuilder().Notify(ProtocolId.Ike, sa.Cookies(), type, [0, 0, 0, 9]).Delete(ProtocolId.Ike, sa.Cookies());
                pair.Left.Receive(message.Remote, message.Local, ForgerV1.Clear(sa, ExchangeType.InformationalV1, 0x66, lie.First, lie.Chain), pair.Now);
            }

            return 1;
        };
        Assert.True(pair.Up().Success);
        Assert.Equal(s_notifies.Length, pair.Left.Engine.Counters.Drops[(int)DropReason.Unprotected]);
        V1Pair.AssertQuiet(pair);
    }

    /// <summary>Messages of every exchange before anybody is authenticated (CVE-2014-2338, CVE-2019-12312), in clear and as noise, to both sides in every state.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Attack", "T16")]
    [Trait("Attack", "T29")]
    [Trait("Attack", "T63")]
    public void Every_exchange_in_every_state_is_refused_before_authentication(bool aggressive)
    {
        using var pair = new EnginePair();
        Connection With(Connection connection) => connection with { Aggressive = aggressive, AggressivePsk = true };
        pair.Load(With(V1Pair.Left()), With(V1Pair.Right()));
        var noise = new byte[96];
        var told = new List<NotifyV1?>();
        pair.Wire = (_, from, message) =>
        {
            var to = from == pair.Left ? pair.Right : pair.Left;
            IkeHeader.TryRead(message.Message, out var header);
            if (header.Exchange == ExchangeType.QuickMode) return 1;
            foreach (var sa in to.Engine.IsakmpSas.Where(sa => sa.State == IsakmpState.Connecting).ToArray())
            {
                var sent = to.Outbox.Count;
                foreach (var exchange in new[] { ExchangeType.QuickMode, ExchangeType.ModeConfig, ExchangeType.InformationalV1, (ExchangeType)1, (ExchangeType)3, (ExchangeType)33 })
                {
                    foreach (var flags in new byte[] { 0, 1, 2, 3, 4, 5 })
                    {
                        pair.Left.Entropy.Fill(noise);
                        var bad = new byte[IkeHeader.Length + noise.Length];
                        new IkeHeader { InitiatorSpi = sa.CookieI, ResponderSpi = sa.CookieR, MajorVersion = 1, Exchange = exchange, Flags = flags, MessageId = 9, NextPayload = (PayloadType)PayloadV1.Hash, TotalLength = (uint)bad.Length }.Write(bad);
                        noise.CopyTo(bad, IkeHeader.Length);
                        to.Receive(message.Remote, message.Local, bad, pair.Now);
                    }
                }

                // in aggressive mode what the peer encrypts may be noise for another pre-shared key: it is told so, once
                told.AddRange(to.Outbox.Skip(sent).Select(answer => Attack.ErrorIn(answer.Message)));
                Assert.True(told.Count == 0 || (aggressive && told is [NotifyV1.PayloadMalformed]), string.Join(' ', told));
                Assert.Equal(IsakmpState.Connecting, sa.State);
                Assert.Empty(to.Installed);
            }

            return 1;
        };
        Assert.True(pair.Up().Success);
        V1Pair.AssertQuiet(pair);
    }

    /// <summary>A peer that has done the key exchange and proves nothing gets nothing: quick mode and deletes with right keys and HASH before authentication.</summary>
    [Fact]
    [Trait("Attack", "T29")]
    public void Quick_mode_before_authentication_is_refused_also_with_the_right_keys()
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(), V1Pair.Right());
        pair.Wire = (number, _, message) =>
        {
            if (number != 4) return number < 4 ? 1 : 0;
            var own = pair.Left.Engine.IsakmpSas.Single();
            pair.Right.Receive(message.Remote, message.Local, ForgerV1.Hashed(own, ExchangeType.QuickMode, 0x21, Quick(own, 0x6000)), pair.Now);
            return 0;
        };
        Assert.False(pair.Up().Success);
        Assert.Empty(pair.Right.Installed);
        Assert.Equal(1, pair.Right.Engine.Counters.Drops[(int)DropReason.NotEstablished]);
    }

    /// <summary>Proxy IDs of every type in both places (CVE-2023-38711), and of every length.</summary>
    [Fact]
    [Trait("Attack", "T22")]
    [Trait("Attack", "T49")]
    public void Every_type_and_length_of_proxy_ID_is_survived()
    {
        using var pair = Attack.Peer(out var own);
        var id = 0x9000u;
        for (var type = 0; type < 256; type++)
        {
            for (var role = 0; role < 2; role++)
            {
                foreach (var length in new[] { 0, 1, 4, 8, 16, 32, 33, 4092, 4093 })
                {
                    var body = new byte[4 + length];
                    body[0] = (byte)type;
                    var at = 0;
                    var place = role;
                    var rest = ForgerV1.Rebuild(Parse(Quick(own, 0x7000)), (_, kind, octets) => (kind, kind == PayloadV1.Id && at++ == place ? body : octets));
                    Assert.True(Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, id++, rest)).Length <= 1);
                    if (type > 12 && length > 0) break;
                }
            }
        }

        Assert.Single(pair.Right.Installed);
        Attack.AssertUnharmed(pair);
    }

    /// <summary>Every transform of ESP and AH with every key length (CVE-2024-3652: AES-GMAC with no key length), and every value of every attribute.</summary>
    [Fact]
    [Trait("Attack", "T25")]
    [Trait("Attack", "T13")]
    public void Every_transform_and_attribute_in_quick_mode_is_survived()
    {
        using var pair = Attack.Peer(out var own);
        var id = 0x2_0000u;
        var spi = 0x8000u;
        void Try(ProtocolId protocol, byte transform, params (ushort, uint)[] attributes)
        {
            var proposal = new ProposalV1(1, protocol, [0, 0, (byte)(++spi >> 8), (byte)spi], [new TransformV1(1, transform, [.. Attack.Attributes(attributes)])]);
            var rest = ForgerV1.Rebuild(Parse(Quick(own, 0x7000)), (_, type, body) => type == PayloadV1.Sa ? (type, Body(proposal)) : (type, body));
            Assert.True(Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, id++, rest)).Length <= 1);
        }

        for (var transform = 0; transform < 256; transform++)
        {
            foreach (var bits in new uint[] { 0, 1, 128, 129, 192, 256, 65_535 })
            {
                Try(ProtocolId.Esp, (byte)transform, (4, 1), (6, bits));
                Try(ProtocolId.Esp, (byte)transform, (4, 1), (5, 5), (6, bits));
            }

            Try(ProtocolId.Esp, (byte)transform, (4, 1));
            for (var mac = 0u; mac < 16; mac++) Try(ProtocolId.Ah, (byte)transform, (4, 1), (5, mac));
            Try((ProtocolId)transform, 12, (4, 1), (5, 5), (6, 128));
        }

        for (ushort type = 0; type < 40; type++)
        {
            foreach (var value in new uint[] { 0, 1, 2, 3, 255, 1025, 65_535, 70_000, uint.MaxValue }) Try(ProtocolId.Esp, 12, (4, 1), (5, 5), (6, 128), (type, value));
        }

        // what is not configured was not taken
        Assert.All(pair.Right.Installed.Values, sa => Assert.Equal((EncrId.AesCbc, 128, IntegId.HmacSha256_128), (sa.Encr, sa.EncrKeyBits, sa.Integ)));
    }

    /// <summary>Each payload of quick mode is missing, or two are.</summary>
    [Fact]
    [Trait("Attack", "T07")]
    public void Quick_mode_without_a_payload_is_refused_and_leaves_nothing()
    {
        using var pair = Attack.Peer(out var own, connection => connection with { Children = [connection.Children[0] with { Proposals = EnginePair.Proposals(ProtocolId.Esp, "aes128-sha256-ecp256") }] });
        using var keys = Warifu.Crypto.KeyExchange.Generate(KeId.Ecp256, pair.Left.Entropy);
        var id = 0x3_0000u;
        ChainBuilder Whole() => Quick(own, 0x7000).Raw(PayloadV1.Ke, keys.PublicValue);
        for (var one = 0; one < 5; one++)
        {
            for (var other = 0; other < 5; other++)
            {
                // without both proxy IDs it is for the hosts, which no child here is
                var rest = ForgerV1.Without(Parse(Whole()), one, other);
                Assert.True(Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, id++, rest)).Length <= 1);
                Assert.Single(pair.Right.Installed);
            }
        }

        Assert.Equal(2, Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, id, Whole())).Length + 1);
        Assert.Equal(2, pair.Right.Installed.Count);
    }

    /// <summary>Payload bombs behind the encryption.</summary>
    [Fact]
    [Trait("Attack", "T26")]
    public void Payload_bombs_inside_are_survived()
    {
        using var pair = Attack.Peer(out var own);
        foreach (var type in new[] { PayloadV1.Notify, PayloadV1.Delete, PayloadV1.VendorId, (PayloadV1)200 })
        {
            foreach (var count in new[] { 1, 62, 63, 64, 500, 4000 })
            {
                var builder = new ChainBuilder();
                for (var i = 0; i < count; i++)
                {
                    if (type == PayloadV1.Notify) builder.Notify(ProtocolId.Ike, own.Cookies(), NotifyV1.RUThere, [0, 0, 0, 1]);
                    else if (type == PayloadV1.Delete) builder.Delete(ProtocolId.Esp, [9, 9, 9, 9]);
                    else builder.Raw(type, []);
                }

                if (builder.Chain.Length > 60_000) continue;
                Assert.True(Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.InformationalV1, (uint)(0x4_0000 + (count * 256) + (int)type), builder)).Length <= 63);
            }
        }

        Attack.AssertUnharmed(pair);
    }

    /// <summary>What one peer can make us keep: exchanges, pieces, pairs, message IDs.</summary>
    [Fact]
    [Trait("Attack", "T56")]
    [Trait("Attack", "bounded memory")]
    public void Memory_for_one_peer_is_bounded()
    {
        using var pair = Attack.Peer(out var own);
        var victim = pair.Right.Engine.IsakmpSas.Single();
        var id = 0x5_0000u;
        // quick modes that are never finished
        for (var i = 0; i < 400; i++) Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, id++, Quick(own, 0x10_0000 + (uint)i)));
        Assert.Equal(256, victim.Exchanges.Count(exchange => !exchange.IsDone));
        Assert.True(pair.Right.Installed.Count <= 257);
        Assert.InRange(victim.Exchanges.Count, 256, 257);
        pair.Left.Outbox.Clear();
        var later = pair.Now + TimeSpan.FromMinutes(3);
        while (pair.Right.Engine.NextTimeout <= later) pair.Right.Wake(pair.Right.Engine.NextTimeout);
        pair.Right.Outbox.Clear();
        Assert.Single(pair.Right.Installed);
        // refused ones are remembered for their repetitions, but not without end
        for (var i = 0; i < 1500; i++) Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, id++, new ChainBuilder().Sa([new ProposalV1(1, ProtocolId.Esp, [0, 0, 9, 9], [new TransformV1(1, 99, [.. Attack.Attributes((4, 1))])])]).Raw(PayloadV1.Nonce, new byte[16])));
        Assert.InRange(victim.Exchanges.Count, 1, 1024);
        // pieces of messages that never become whole
        for (var set = 0; set < 50; set++)
        {
            for (var number = 1; number < 64; number++) Attack.Knock(pair, Piece(own, (ushort)set, (byte)number, false, new byte[1400]));
        }

        Assert.True(pair.Right.Engine.Counters.Drops[(int)DropReason.UnwantedFragment] > 0);
        Attack.AssertUnharmed(pair);
    }

    /// <summary>Message IDs are remembered for as long as the keys live, and a peer that uses them up is only not heard any more.</summary>
    [Fact]
    [Trait("Attack", "bounded memory")]
    public void A_peer_that_uses_up_the_message_IDs_is_renewed_and_then_not_heard()
    {
        using var pair = Attack.Peer(out var own);
        var vendor = new ChainBuilder().VendorId([1, 2, 3]);
        var dropped = 0;
        for (var i = 0; i < 66_000; i++)
        {
            Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x10_0000u + (uint)i, vendor));
            if (i == 32_768)
            {
                // phase 1 is done anew, ten seconds after it was established at the soonest
                Assert.InRange((pair.Right.Engine.NextTimeout - pair.Now).TotalSeconds, 0, 11);
            }
        }

        dropped += (int)pair.Right.Engine.Counters.Drops[(int)DropReason.OutOfWindow];
        Assert.InRange(dropped, 400, 1000);
    }

    /// <summary>Fragments in every bad order (CVE-2013-6076, CVE-2016-1287, CVE-2016-10396): twice, last first, beyond the last, another set in between, an empty one, number 0.</summary>
    [Fact]
    [Trait("Attack", "T04")]
    [Trait("Attack", "T51")]
    [Trait("Attack", "T66")]
    [Trait("Attack", "T67")]
    public void Fragments_in_every_bad_order_are_survived_and_a_whole_set_is_one_message()
    {
        using var pair = Attack.Peer(out var own);
        var probe = ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x321, new ChainBuilder().Notify(ProtocolId.Ike, own.Cookies(), NotifyV1.RUThere, [0, 0, 0, 1]));
        var cut = probe.Chunk(30).ToArray();
        byte[] At(int index, ushort set = 7, byte? number = null, bool? last = null) => Piece(own, set, number ?? (byte)(index + 1), last ?? index == cut.Length - 1, cut[index]);
        // number 0, nothing in it, more than there may be, two last ones, beyond the last
        foreach (var bad in new[] { At(0, number: 0), Piece(own, 7, 1, false, []), At(0, number: 65), At(0, number: 255), At(2, number: 3, last: true), At(3), At(3, number: 2, last: true) }) Assert.Empty(Attack.Knock(pair, bad));
        // a new set ends the old one; worst order: last first
        for (var i = cut.Length - 1; i > 0; i--)
        {
            Assert.Empty(Attack.Knock(pair, At(i, set: 8)));
            Assert.Empty(Attack.Knock(pair, At(i, set: 8)));
        }

        Assert.Single(Attack.Knock(pair, At(0, set: 8)));
        // the same set once more: its message ID is used up
        for (var i = 0; i < cut.Length; i++) Assert.Empty(Attack.Knock(pair, At(i, set: 8)));
        // a piece in a piece, and a message of another SA
        var nested = Piece(own, 9, 1, true, Piece(own, 1, 1, true, probe));
        Assert.Equal(DropReason.Malformed, Attack.KnockDropped(pair, nested));
        var other = probe.ToArray();
        other[0] ^= 1;
        Assert.Equal(DropReason.Malformed, Attack.KnockDropped(pair, Piece(own, 10, 1, true, other)));
        // from elsewhere
        Assert.Empty(Attack.Knock(pair, At(0, set: 11), new Endpoint(IpAddress.Parse("203.0.113.66"), 500)));
        Attack.AssertUnharmed(pair);
    }

    /// <summary>Key exchange values that are none: zero, one, p-1, p, not on the curve, of every length (CVE-2015-3240, CVE-2023-41913).</summary>
    [Theory]
    [InlineData("aes128-sha256-modp2048")]
    [InlineData("aes128-sha256-ecp256")]
    [InlineData("aes128-sha256-ecp521")]
    [Trait("Attack", "T06")]
    [Trait("Attack", "T47")]
    public void Bad_public_values_are_refused(string ike)
    {
        foreach (var bad in new Func<byte[], byte[]>[] { good => new byte[good.Length], good => [.. new byte[good.Length - 1], 1], good => [.. Enumerable.Repeat((byte)0xFF, good.Length)], good => good[1..], good => [0, .. good], good => [.. good, 0], _ => [4], good => new byte[good.Length * 40], good => [.. good.Take(good.Length / 2), .. good.Take(good.Length / 2).Select(octet => (byte)~octet)] })
        {
            using var pair = new EnginePair();
            pair.Load(V1Pair.Left(ike), V1Pair.Right(ike));
            pair.Wire = (number, _, message) =>
            {
                if (number != 2) return number > 2 ? 0 : 1;
                IkeHeader.TryRead(message.Message, out var header);
                var wrong = ForgerV1.Rebuild(Attack.View(message.Message), (_, type, body) => (type, type == PayloadV1.Ke ? bad(body) : body));
                pair.Right.Receive(message.Remote, message.Local, wrong.ToMessage(header), pair.Now);
                return 0;
            };
            pair.Left.Up("net", "net", pair.Now);
            pair.Settle();
            // any number between 2 and p-2 is one of modp
            if (ike.Contains("modp", StringComparison.Ordinal) && bad([1, 2, 3, 4]) is [1, 2, 254, 253]) continue;
            Assert.Equal("invalid-key-exchange", pair.Right.LastReport!.Failure!.Reason);
            Assert.Empty(pair.Right.Engine.IsakmpSas);
        }
    }

    /// <summary>Messages of the peer again from another address (a lesson of OpenIKED in 2025): the address is followed for what is authentic and new, and only behind a NAT.</summary>
    [Fact]
    [Trait("Attack", "T65")]
    public void A_forged_source_moves_nothing()
    {
        using var pair = Attack.Peer(out var own);
        var elsewhere = new Endpoint(IpAddress.Parse("203.0.113.66"), 4501);
        var probe = new ChainBuilder().Notify(ProtocolId.Ike, own.Cookies(), NotifyV1.RUThere, [0, 0, 0, 1]);
        var message = ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x55, probe);
        var garbled = message.ToArray();
        garbled[40] ^= 1;
        Attack.Knock(pair, garbled, elsewhere);
        foreach (var sent in V1Pair.Messages(pair, pair.Left)) Attack.Knock(pair, sent, elsewhere);
        Attack.Knock(pair, message, elsewhere);
        Assert.Equal(Attack.Left, pair.Right.Engine.Snapshot().IkeSas.Single().Remote);
        Assert.Empty(pair.Right.Moved);
        Attack.AssertUnharmed(pair);
    }

    /// <summary>IVs are hashes of what never repeats: none comes twice (CVE-2022-46397 was a predictable one).</summary>
    [Fact]
    [Trait("Attack", "T68")]
    public void No_IV_comes_twice()
    {
        using var pair = Attack.Peer(out var own);
        var seen = new HashSet<string>();
        for (var i = 0; i < 20_000; i++) Assert.True(seen.Add(Convert.ToHexString(own.ExchangeIv(own.NewMessageId()))));
    }

    /// <summary>NAT-D of every length.</summary>
    [Fact]
    [Trait("Attack", "T68")]
    public void NAT_detection_payloads_of_every_length_are_survived()
    {
        foreach (var length in new[] { 0, 1, 15, 16, 19, 20, 21, 31, 32, 33, 64, 65, 1000 })
        {
            using var pair = new EnginePair();
            pair.Load(V1Pair.Left(), V1Pair.Right());
            var wrongs = 0;
            pair.Wire = (number, _, message) =>
            {
                if (number != 2) return 1;
                IkeHeader.TryRead(message.Message, out var header);
                var wrong = ForgerV1.Rebuild(Attack.View(message.Message), (_, type, body) => (type, type == PayloadV1.NatD ? new byte[length] : body));
                pair.Right.Receive(message.Remote, message.Local, wrong.ToMessage(header), pair.Now);
                wrongs++;
                return 1;
            };
            pair.Left.Up("net", "net", pair.Now);
            pair.Run();
            Assert.Equal(1, wrongs);
            // what is no hash is malformed and nothing, and the true message counts; a hash that does not fit is a NAT
            if (length is < 16 or > 64) Assert.False(pair.Right.Engine.Snapshot().IkeSas.Single().NatRemote);
        }
    }

    /// <summary>No pre-shared key: the state is removed, and the message again is nothing (CVE-2024-2357).</summary>
    [Fact]
    [Trait("Attack", "T24")]
    public void A_peer_without_a_secret_leaves_no_state()
    {
        using var pair = new EnginePair();
        pair.Right.SetPsk("ike-1", EnginePair.Secret, IdentityPattern.Of(Identity.Fqdn("somebody.example.org")), IdentityPattern.Of(Identity.Fqdn("else.example.org")));
        pair.Load(V1Pair.Left(), V1Pair.Right());
        pair.Left.Up("net", "net", pair.Now);
        pair.Settle();
        Assert.Equal("no-secret", pair.Right.LastReport!.Failure!.Reason);
        Assert.Empty(pair.Right.Engine.IsakmpSas);
        foreach (var message in V1Pair.Messages(pair, pair.Left)) Attack.Knock(pair, message);
        pair.Left.Outbox.Clear();
        Attack.AssertNothingIsLeft(pair);
    }

    /// <summary>INITIAL_CONTACT of one identity does not touch the SAs of another.</summary>
    [Fact]
    [Trait("Attack", "INITIAL-CONTACT")]
    public void INITIAL_CONTACT_of_one_identity_does_not_close_what_another_has()
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(), V1Pair.Right() with { Remote = new RemoteAuth() });
        Assert.True(pair.Up().Success);
        using var mallory = new EngineHost(IpAddress.Parse("192.0.2.2"), 99, pair.Now);
        mallory.SetPsk("ike-1", EnginePair.Secret);
        mallory.Load(PolicySet.Of(V1Pair.Left() with { Local = new LocalAuth { Id = Identity.Fqdn("mallory.example.org") } }), pair.Now);
        mallory.Up("net", "net", pair.Now);
        while (mallory.Outbox.Count + pair.Right.Outbox.Count > 0)
        {
            while (mallory.Outbox.TryDequeue(out var message)) pair.Right.Receive(Attack.Right, Attack.Left, message.Message, pair.Now);
            while (pair.Right.Outbox.TryDequeue(out var message)) mallory.Receive(Attack.Left, Attack.Right, message.Message, pair.Now);
        }

        Assert.Contains(pair.Right.Engine.Snapshot().IkeSas, sa => sa.RemoteId!.ToString() == "left.example.org");
        Assert.Contains(pair.Right.Engine.Snapshot().IkeSas, sa => sa.RemoteId!.ToString() == "mallory.example.org");
        Assert.Empty(pair.Right.Events.OfType<IkeSaDown>());
    }

    /// <summary>The first message, played again when phase 1 is long done, is nothing: not message 6 once more.</summary>
    [Fact]
    [Trait("Attack", "duplicate first messages")]
    public void The_first_message_played_again_is_not_answered_any_more()
    {
        using var pair = Attack.Peer(out _);
        var first = pair.Sent[0].Message.Message;
        Assert.Empty(Attack.Knock(pair, first));
        Assert.Single(pair.Right.Engine.IsakmpSas);
        Assert.Equal(DropReason.InProgress, Attack.KnockDropped(pair, first));
    }

    /// <summary>The proof comes twice, changed in what it does not cover, while the host is asked: it counts once.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Attack", "duplicate first messages")]
    public void A_proof_that_comes_again_while_the_host_thinks_counts_once(bool aggressive)
    {
        using var pair = new EnginePair();
        Connection With(Connection connection) => connection with { Aggressive = aggressive, AggressivePsk = true };
        pair.Load(With(V1Pair.Left()), With(V1Pair.Right()));
        var last = aggressive ? 2 : 4;
        pair.Wire = (number, from, message) =>
        {
            if (number != last) return 1;
            var plain = Attack.OpenOnTheWay(pair, from, message.Message, out var sa, out _);
            Assert.Equal(ParseError.None, ChainView.TryParse((PayloadV1)message.Message[16], plain, decrypted: true, out var view));
            var more = ForgerV1.Rebuild(view, (_, type, body) => (type, body)).VendorId([7]);
            // under the IV that comes next
            var other = ForgerV1.Seal(sa, (ExchangeType)message.Message[18], 0, more.First, more.Chain, ForgerV1.NextIv(sa, message.Message));
            pair.Right.HeldAsks = [];
            pair.Right.Receive(message.Remote, message.Local, message.Message, pair.Now);
            for (var i = 0; i < 6 && pair.Right.HeldAsks is { Count: > 0 } held; i++)
            {
                pair.Right.Receive(message.Remote, message.Local, other, pair.Now);
                var asked = held.ToArray();
                held.Clear();
                Assert.Single(asked);
                pair.Right.Answer(asked[0].Id, asked[0].Question, pair.Now);
            }

            pair.Right.HeldAsks = null;
            return 0;
        };
        Assert.True(pair.Up().Success);
        Assert.Single(pair.Right.Events.OfType<IkeSaUp>());
        V1Pair.AssertQuiet(pair);
    }

    private static ChainBuilder Quick(IsakmpSa own, uint spi)
    {
        var child = own.Connection.Children[0];
        return ForgerV1.QuickOffer(child, new ChildSpi(spi), [.. Enumerable.Range(1, 16).Select(octet => (byte)octet)], child.LocalSelectors[0].Selector, child.RemoteSelectors[0].Selector);
    }

    private static ChainView Parse(ChainBuilder builder)
    {
        Assert.Equal(ParseError.None, ChainView.TryParse(builder.First, builder.Chain, false, out var view));
        return view;
    }

    private static byte[] Body(ProposalV1 proposal)
    {
        var writer = new WireWriter();
        SaBody.Write(writer, [proposal]);
        return writer.ToArray();
    }

    private static byte[] Piece(IsakmpSa own, ushort set, byte number, bool last, byte[] data)
    {
        var writer = new WireWriter();
        FragmentBody.Write(writer, set, number, last, data);
        var builder = new ChainBuilder().Raw(PayloadV1.Fragment, writer.Written);
        return ForgerV1.Clear(own, ExchangeType.InformationalV1, 0, PayloadV1.Fragment, builder.Chain);
    }

    private static int PaddingOf(IsakmpSa own, byte[] message, ExchangeType type)
    {
        IkeHeader.TryRead(message, out var header);
        Assert.Equal(type, header.Exchange);
        var plain = ForgerV1.Open(own, message, own.ExchangeIv(header.MessageId));
        Assert.Equal(ParseError.None, ChainView.TryParse(PayloadV1.Hash, plain, decrypted: true, out var view));
        return plain.Length - view.Length;
    }
}
