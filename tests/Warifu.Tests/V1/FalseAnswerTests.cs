using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto;
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

/// <summary>An authenticated peer that breaks the rules of quick mode (item 3.4): whatever its answers and offers say, with a HASH that fits, nothing but what was offered and is configured comes of it.</summary>
[Trait("Item", "3.4")]
public sealed class FalseAnswerTests
{
    /// <summary>RFC 2409 section 5.5: the responder returns both proxy IDs as they are.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void An_answer_with_one_other_proxy_ID_is_refused(int which)
    {
        Assert.True(ProxyId.TryWrite(EnginePair.Ts("10.66.0.0/16").Selector, out var other));
        var at = 0;
        using var pair = Answered((type, body) => (type, type == PayloadV1.Id && at++ == which ? other : body));
        Assert.False(pair.Up().Success);
        Assert.Equal("selectors", pair.Left.LastReport!.Failure!.Reason);
        Assert.Contains("10.66.0.0/16", pair.Left.LastReport.Failure.Sentence, StringComparison.Ordinal);
        Assert.Empty(pair.Left.Installed);
    }

    /// <summary>Nothing that was not offered: another cipher, key length, integrity, mode, group, 64-bit numbers.</summary>
    [Theory]
    [InlineData(12, 4, 1, true)]
    [InlineData(12, 4, 2, false)]
    [InlineData(12, 4, 3, false)]
    [InlineData(12, 4, 4, false)]
    [InlineData(12, 4, 61443, false)]
    [InlineData(12, 5, 2, false)]
    [InlineData(12, 6, 256, false)]
    [InlineData(12, 3, 19, false)]
    [InlineData(12, 11, 1, false)]
    [InlineData(11, 6, 128, false)]
    [InlineData(20, 6, 128, false)]
    public void An_answer_that_was_not_offered_is_refused(byte transform, int type, uint value, bool isRight)
    {
        (ushort, uint)[] good = [(4, 1), (5, 5), (6, 128)];
        var attributes = Attack.Attributes([.. good.Where(one => one.Item1 != type), ((ushort)type, value)]);
        using var pair = Answered((kind, body) =>
        {
            if (kind != PayloadV1.Sa) return (kind, body);
            Assert.Equal(ParseError.None, SaBody.TryParse(body, out var answer));
            return (kind, Sa(answer[0] with { Transforms = [new TransformV1(1, transform, [.. attributes])] }));
        });
        Assert.Equal(isRight, pair.Up().Success);
        if (isRight) return;
        Assert.Equal("child-refused", pair.Left.LastReport!.Failure!.Reason);
        Assert.Empty(pair.Left.Installed);
    }

    /// <summary>SPIs below 256 are reserved (RFC 2406 section 2.1), and one that the peer uses already would make two pairs one.</summary>
    [Theory]
    [InlineData(0u)]
    [InlineData(255u)]
    [InlineData(null)]
    public void A_reserved_SPI_or_one_that_is_in_use_is_refused_in_answers_and_in_offers(uint? spi)
    {
        Connection Two(Connection connection) => connection with { Children = [connection.Children[0], connection.Children[0] with { Name = "other", LocalSelectors = [EnginePair.Ts("10.8.0.0/16")], RemoteSelectors = [EnginePair.Ts("10.8.0.0/16")] }] };
        EnginePair? made = null;
        var isFirst = true;
        using var pair = Answered(
            (kind, body) =>
            {
                if (kind != PayloadV1.Sa || (spi is null && isFirst)) return (kind, body);
                Assert.Equal(ParseError.None, SaBody.TryParse(body, out var answer));
                return (kind, Sa(answer[0] with { Spi = Octets(spi ?? made!.Left.Installed.Values.Single().OutboundSpi.Value) }));
            },
            Two(V1Pair.Left()),
            Two(V1Pair.Right()));
        made = pair;
        if (spi is null) Assert.True(pair.Up().Success);
        var before = pair.Left.Installed.Count;
        isFirst = false;
        Assert.False(pair.Up("other").Success);
        Assert.Equal("child-refused", pair.Left.LastReport!.Failure!.Reason);
        Assert.Equal(before, pair.Left.Installed.Count);
        using var victim = Attack.Peer(out var own);
        Assert.Single(Attack.Knock(victim, ForgerV1.Hashed(own, ExchangeType.QuickMode, 0x71, Quick(own, spi ?? victim.Right.Installed.Values.Single().OutboundSpi.Value))));
        Assert.Equal("child-refused", victim.Right.LastReport!.Failure!.Reason);
        Assert.Single(victim.Right.Installed);
        Attack.AssertUnharmed(victim);
    }

    /// <summary>One peer has only so many pairs.</summary>
    [Fact]
    [Trait("Item", "3.10")]
    public void A_peer_has_no_more_than_so_many_children()
    {
        using var pair = Attack.Peer(out var own);
        var victim = pair.Right.Engine.IsakmpSas.Single();
        var made = victim.Children.Values.Single();
        for (var i = 2u; i <= ProtocolTimes.ChildrenPerIke; i++)
        {
            if (i == ProtocolTimes.ChildrenPerIke) Assert.Equal((byte)ExchangeType.QuickMode, Assert.Single(Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, 0x70, Quick(own, 0x9000))))[18]);
            else victim.Children.Add(new ChildState { Id = 0xF0_0000 + i, Config = made.Config, Inbound = new ChildSpi(0xF000_0000 + i), Outbound = new ChildSpi(0xE000_0000 + i), Proposal = made.Proposal, Mode = made.Mode, Encapsulated = false, Local = made.Local, Remote = [EnginePair.Ts("10.77.0.0/16").Selector], Installed = made.Installed });
        }

        Assert.Equal(ProtocolTimes.ChildrenPerIke, victim.Children.Count);
        Assert.Equal((byte)ExchangeType.InformationalV1, Assert.Single(Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, 0x7F, Quick(own, 0x9100))))[18]);
        Assert.Equal(2, pair.Right.Installed.Count);
        Assert.Equal("no-additional-sas", pair.Right.LastReport!.Failure!.Reason);
    }

    /// <summary>HASH(3) proves that the initiator is alive (RFC 2409 section 5.5): until then the responder does not send on the pair.</summary>
    [Fact]
    public void A_third_message_with_a_wrong_HASH_does_not_make_the_responder_send()
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(), V1Pair.Right());
        byte[] second = [];
        pair.Wire = (_, from, message) =>
        {
            if (message.Message[18] != (byte)ExchangeType.QuickMode) return 1;
            if (from == pair.Right)
            {
                second = message.Message;
                return 1;
            }

            if (second.Length == 0) return 1;
            var own = pair.Left.Engine.IsakmpSas.Single();
            IkeHeader.TryRead(message.Message, out var header);
            foreach (var wrong in new[] { new byte[own.HashLength], new byte[own.HashLength - 1], new byte[16] })
            {
                var hash = new ChainBuilder().Raw(PayloadV1.Hash, wrong);
                pair.Right.Receive(message.Remote, message.Local, ForgerV1.Seal(own, ExchangeType.QuickMode, header.MessageId, hash.First, hash.Chain, ForgerV1.NextIv(own, second)), pair.Now);
                Assert.Empty(pair.Right.Ready);
                Assert.Empty(pair.Right.Events.OfType<ChildUp>());
            }

            return 1;
        };
        Assert.True(pair.Up().Success);
        Assert.Single(pair.Right.Ready);
        V1Pair.AssertQuiet(pair);
    }

    /// <summary>RFC 2409 section 5.5: one group for all transforms, that of the public value. What has another one cannot be chosen.</summary>
    [Fact]
    public void Of_transforms_with_different_groups_only_those_with_the_first_one_count()
    {
        Connection With(Connection connection) => connection with { Children = [connection.Children[0] with { Proposals = EnginePair.Proposals(ProtocolId.Esp, "aes128-sha256-ecp256", "aes128-sha256-ecp384") }] };
        using var pair = Attack.Peer(out var own, With);
        using var keys = KeyExchange.Generate(KeId.Ecp384, pair.Left.Entropy);
        TransformV1 Of(byte number, uint group) => new(number, 12, [.. Attack.Attributes((3, group), (4, 1), (5, 5), (6, 128))]);
        var rest = ForgerV1.Rebuild(Parse(Quick(own, 0x9001)), (_, type, body) => (type, type == PayloadV1.Sa ? Sa(new ProposalV1(1, ProtocolId.Esp, Octets(0x9001), [Of(1, 20), Of(2, 19)])) : body)).Raw(PayloadV1.Ke, keys.PublicValue);
        var answer = Assert.Single(Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, 0x72, rest)));
        Assert.Equal((byte)ExchangeType.QuickMode, answer[18]);
        Assert.Equal(0x9001u, pair.Right.Installed.Values.Last().OutboundSpi.Value);
    }

    /// <summary>A public value without a group, and a group without a public value, are no PFS.</summary>
    [Theory]
    [InlineData("aes128-sha256", true)]
    [InlineData("aes128-sha256-ecp256", false)]
    public void A_public_value_and_a_group_go_together(string esp, bool hasValue)
    {
        using var pair = Attack.Peer(out var own, connection => connection with { Children = [connection.Children[0] with { Proposals = EnginePair.Proposals(ProtocolId.Esp, esp) }] });
        using var keys = KeyExchange.Generate(KeId.Ecp256, pair.Left.Entropy);
        var rest = Quick(own, 0x9002);
        if (hasValue) rest.Raw(PayloadV1.Ke, keys.PublicValue);
        Assert.Equal((byte)ExchangeType.InformationalV1, Assert.Single(Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, 0x73, rest)))[18]);
        Assert.Equal("invalid-key-exchange", pair.Right.LastReport!.Failure!.Reason);
        Assert.Single(pair.Right.Installed);
    }

    /// <summary>Proxy IDs are of one IP version, and a mask is a prefix.</summary>
    [Fact]
    public void Proxy_IDs_of_two_IP_versions_and_masks_with_holes_are_none()
    {
        Connection Both(Connection connection, int own, int peer) => connection with { Children = [connection.Children[0] with { LocalSelectors = [EnginePair.Ts($"10.{own}.0.0/16"), EnginePair.Ts($"fd00:{own}::/64")], RemoteSelectors = [EnginePair.Ts($"10.{peer}.0.0/16"), EnginePair.Ts($"fd00:{peer}::/64")] }] };
        using var pair = new EnginePair();
        pair.Load(Both(V1Pair.Left(), 1, 2), Both(V1Pair.Right(), 2, 1));
        Assert.True(pair.Up().Success);
        var own = pair.Left.Engine.IsakmpSas.Single();
        var installed = pair.Right.Installed.Count;
        var mixed = ForgerV1.QuickOffer(own.Connection.Children[0], new ChildSpi(0x9003), new byte[16], EnginePair.Ts("fd00:1::/64").Selector, EnginePair.Ts("10.2.0.0/16").Selector);
        Assert.Single(Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, 0x74, mixed)));
        Assert.Equal("selectors", pair.Right.LastReport!.Failure!.Reason);
        Assert.Equal(installed, pair.Right.Installed.Count);
        foreach (var (mask, isRight) in new[] { ("255.255.0.0", true), ("255.255.255.255", true), ("0.0.0.0", true), ("255.0.255.0", false), ("0.255.255.255", false), ("255.255.0.1", false), ("0.0.0.1", false) })
        {
            byte[] body = [(byte)IdV1.Ipv4Subnet, 0, 0, 0, .. IpAddress.Parse("10.1.0.0").ToOctets(), .. IpAddress.Parse(mask).ToOctets()];
            Assert.Equal(ParseError.None, IdBody.TryParse(body, out var id));
            Assert.Equal(isRight, ProxyId.TryRead(id, out _));
        }
    }

    /// <summary>RFC 3947 section 5.1: where there is a NAT, ESP goes in UDP and in no other way.</summary>
    [Fact]
    [Trait("Item", "3.5")]
    public void Plain_ESP_through_a_NAT_is_refused()
    {
        using var pair = new EnginePair();
        var outer = IpAddress.Parse("203.0.113.1");
        pair.Nat = (from, message) => from == pair.Left ? (new Endpoint(outer, (ushort)(message.Local.Port + 20_000)), message.Remote) : (message.Local, new Endpoint(IpAddress.Parse("192.0.2.2"), (ushort)(message.Remote.Port - 20_000)));
        pair.Load(V1Pair.Left(), V1Pair.Right() with { RemoteAddresses = [] });
        Assert.True(pair.Up().Success);
        var own = pair.Left.Engine.IsakmpSas.Single();
        // the same offer as where there is none: tunnel mode
        Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, 0x75, Quick(own, 0x9004)), new Endpoint(outer, 24_500));
        Assert.Equal("mode", pair.Right.LastReport!.Failure!.Reason);
        Assert.Single(pair.Right.Installed);
    }

    /// <summary>A delete names a protocol; the SPIs of AH are others than those of ESP (RFC 2408 section 3.15).</summary>
    [Fact]
    public void A_delete_of_another_protocol_deletes_nothing()
    {
        using var pair = Attack.Peer(out var own);
        var spi = Octets(pair.Left.Installed.Values.Single().InboundSpi.Value).ToArray();
        Assert.Empty(Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x76, new ChainBuilder().Delete(ProtocolId.Ah, spi))));
        Assert.Single(pair.Right.Installed);
        Assert.Empty(Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x77, new ChainBuilder().Delete(ProtocolId.Esp, spi))));
        Assert.Empty(pair.Right.Installed);
    }

    /// <summary>Several quick modes at once: a refusal that names an SPI of ours is of that one, else of the oldest.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_refusal_ends_the_quick_mode_that_it_names(bool names)
    {
        using var pair = new EnginePair();
        Child Of(Connection connection, string name, int net) => connection.Children[0] with { Name = name, LocalSelectors = [EnginePair.Ts($"10.{net}.0.0/16")] };
        var left = V1Pair.Left();
        pair.Load(left with { Children = [.. left.Children, Of(left, "a", 11), Of(left, "b", 12)] }, V1Pair.Right());
        Assert.True(pair.Up().Success);
        pair.Wire = (_, _, _) => 0;
        var (first, second) = (pair.Left.Up("net", "a", pair.Now), pair.Left.Up("net", "b", pair.Now));
        pair.Settle();
        var open = pair.Left.Engine.IsakmpSas.Single().Exchanges.OfType<QuickInitiator>().Where(quick => !quick.IsDone).ToArray();
        Assert.Equal(2, open.Length);
        var refused = open.Single(quick => quick.IsFor("b", null, null));
        var theirs = pair.Right.Engine.IsakmpSas.Single();
        var notify = new ChainBuilder().Notify(ProtocolId.Esp, names ? Octets(refused.Spi.Value).AsSpan() : theirs.Cookies(), NotifyV1.NoProposalChosen);
        pair.Left.Receive(Attack.Left, Attack.Right, ForgerV1.Hashed(theirs, ExchangeType.InformationalV1, 0x78, notify), pair.Now);
        Assert.Equal(names, pair.Left.Results.ContainsKey(second));
        Assert.Equal(!names, pair.Left.Results.ContainsKey(first));
    }

    /// <summary>RFC 2408 section 3.1: a message ID is unique and not zero. Chance may draw one that was there.</summary>
    [Fact]
    [Trait("Item", "3.10")]
    public void A_message_ID_of_ours_is_never_zero_and_never_one_that_was_there()
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        var sa = pair.Left.Engine.IsakmpSas.Single();
        IkeHeader.TryRead(V1Pair.Messages(pair, pair.Left).First(message => message[18] == (byte)ExchangeType.QuickMode), out var used);
        // and one of the peer
        var theirs = pair.Right.Engine.IsakmpSas.Single();
        pair.Left.Receive(Attack.Left, Attack.Right, ForgerV1.Hashed(theirs, ExchangeType.InformationalV1, 0x79, new ChainBuilder().VendorId([1])), pair.Now);
        foreach (var word in new[] { 0u, used.MessageId, 0x79u, 0x7Au }) pair.Left.Entropy.Words.Enqueue(word);
        Assert.Equal(0x7Au, sa.NewMessageId());
        pair.Left.Entropy.Words.Enqueue(0x7A);
        Assert.NotEqual(0x7Au, sa.NewMessageId());
    }

    /// <summary>The right side's answers in quick mode are changed payload by payload, under a HASH(2) that fits.</summary>
    private static EnginePair Answered(Func<PayloadV1, byte[], (PayloadV1, byte[])> change, Connection? left = null, Connection? right = null)
    {
        var pair = new EnginePair();
        pair.Load(left ?? V1Pair.Left(), right ?? V1Pair.Right());
        var asked = new Dictionary<uint, byte[]>();
        pair.Wire = (_, from, message) =>
        {
            if (message.Message[18] != (byte)ExchangeType.QuickMode) return 1;
            IkeHeader.TryRead(message.Message, out var header);
            if (from == pair.Left)
            {
                asked.TryAdd(header.MessageId, message.Message);
                return 1;
            }

            var (theirs, first) = (pair.Right.Engine.IsakmpSas.Single(), asked[header.MessageId]);
            Assert.Equal(ParseError.None, ChainView.TryParse(PayloadV1.Hash, ForgerV1.Open(theirs, first, theirs.ExchangeIv(header.MessageId)), decrypted: true, out var question));
            Assert.True(question.TryGet(PayloadV1.Nonce, out var nonce));
            var iv = ForgerV1.NextIv(theirs, first);
            Assert.Equal(ParseError.None, ChainView.TryParse(PayloadV1.Hash, ForgerV1.Open(theirs, message.Message, iv), decrypted: true, out var view));
            var changed = ForgerV1.Rebuild(view, (_, type, body) => type == PayloadV1.Hash ? null : change(type, body));
            pair.Left.Receive(message.Remote, message.Local, ForgerV1.Hashed(theirs, ExchangeType.QuickMode, header.MessageId, nonce, changed.First, changed.Chain, iv), pair.Now);
            return 0;
        };
        return pair;
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

    private static byte[] Sa(ProposalV1 proposal)
    {
        var writer = new WireWriter();
        SaBody.Write(writer, [proposal]);
        return writer.ToArray();
    }

    private static ImmutableArray<byte> Octets(uint spi)
    {
        var octets = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(octets, spi);
        return [.. octets];
    }
}
