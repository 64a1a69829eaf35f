using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Primitives;
using Warifu.V1;
using Warifu.Wire;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Many exchanges under one phase 1, many phases 1 of one connection, many pairs (items 3.4, 3.10): all are found, and end in their order.</summary>
[Trait("Item", "3.4")]
[Trait("Item", "3.10")]
public sealed class ManyExchangesTests
{
    private const uint First = 0x5_0000;

    /// <summary>What is over answers its repetitions for two minutes; beyond a thousand the oldest is forgotten first.</summary>
    [Fact]
    public void The_oldest_exchange_that_is_over_is_forgotten_first()
    {
        using var pair = Attack.Peer(out var own);
        var victim = pair.Right.Engine.IsakmpSas.Single();
        var before = victim.Exchanges.Count;
        for (var i = 0u; i < 1100; i++) Assert.Single(Attack.Knock(pair, Refused(own, First + i)));
        Assert.Equal(1024, victim.Exchanges.Count);
        Assert.Empty(victim.OpenExchanges);
        var left = victim.Exchanges.Select(exchange => exchange.MessageId).Order().ToArray();
        Assert.Equal(Enumerable.Range(76, 1024).Select(i => First + (uint)i), left);
        Assert.True(before >= 1);
        // two minutes later all are gone, one by one
        var later = pair.Now + TimeSpan.FromSeconds(121);
        while (pair.Right.Engine.NextTimeout <= later) pair.Right.Wake(pair.Right.Engine.NextTimeout);
        Assert.Empty(victim.Exchanges);
    }

    /// <summary>Each exchange is woken at its own time: what is repeated, and what is forgotten.</summary>
    [Fact]
    public void Each_of_many_exchanges_is_repeated_in_its_own_time()
    {
        using var pair = Attack.Peer(out var own);
        var victim = pair.Right.Engine.IsakmpSas.Single();
        pair.Right.Outbox.Clear();
        var now = pair.Now;
        var ids = Enumerable.Range(0, 100).Select(i => First + (uint)i).ToArray();
        foreach (var id in ids)
        {
            pair.Right.Receive(Attack.Right, Attack.Left, ForgerV1.Hashed(own, ExchangeType.QuickMode, id, Quick(own, 0x20_0000 + id)), now);
            now += TimeSpan.FromMilliseconds(1);
            pair.Right.Wake(now);
        }

        Assert.Equal(100, victim.OpenExchanges.Count);
        Assert.Equal(ids, victim.OpenExchanges.Select(exchange => exchange.MessageId));
        pair.Right.Outbox.Clear();
        var end = now + TimeSpan.FromMinutes(10);
        while (pair.Right.Engine.NextTimeout <= end)
        {
            var at = pair.Right.Engine.NextTimeout;
            pair.Right.Wake(at);
            Assert.True(pair.Right.Engine.NextTimeout > at);
        }

        var sent = pair.Right.Outbox.Select(message => message.Message).Where(message => message[18] == (byte)ExchangeType.QuickMode).GroupBy(message => System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(message.AsSpan(20))).ToArray();
        Assert.Equal(ids, sent.Select(group => group.Key).Order());
        Assert.All(sent, group => Assert.Equal(new EngineOptions().RetransmitTries, group.Count()));
        Assert.Empty(victim.OpenExchanges);
        Assert.Single(pair.Right.Installed);
    }

    /// <summary>Pairs for the same traffic, replaced ones included, have an end: the peer must delete what it has replaced.</summary>
    [Fact]
    [Trait("Attack", "bounded memory")]
    public void Pairs_for_the_same_traffic_have_an_end()
    {
        using var pair = Attack.Peer(out var own);
        for (var i = 0u; i < 700; i++)
        {
            var id = First + i;
            var nonce = new byte[16];
            var first = ForgerV1.Hashed(own, ExchangeType.QuickMode, id, Quick(own, 0x20_0000 + i));
            var second = Attack.Knock(pair, first).SingleOrDefault(message => message[18] == (byte)ExchangeType.QuickMode);
            if (second is null) continue;
            Assert.Equal(ParseError.None, ChainView.TryParse(PayloadV1.Hash, ForgerV1.Open(own, second, ForgerV1.NextIv(own, first)), decrypted: true, out var view));
            Assert.True(view.TryGet(PayloadV1.Nonce, out var nr));
            var hash = new byte[own.HashLength];
            Warifu.Crypto.KeyScheduleV1.Hash3(own.Keys!, id, [.. Enumerable.Range(1, 16).Select(octet => (byte)octet)], nr, hash);
            var third = new ChainBuilder().Raw(PayloadV1.Hash, hash);
            Attack.Knock(pair, ForgerV1.Seal(own, ExchangeType.QuickMode, id, PayloadV1.Hash, third.Chain, ForgerV1.NextIv(own, second)));
            Assert.Equal(16, nonce.Length);
        }

        Assert.Equal(512, pair.Right.Installed.Count);
        Assert.Equal("no-additional-sas", pair.Right.LastReport!.Failure!.Reason);
        // one carries the traffic; the others go when they are not used
        Assert.Single(pair.Right.Engine.IsakmpSas.Single().Children.Values, child => child.IsLive);
        var later = pair.Now + TimeSpan.FromMinutes(3);
        while (pair.Right.Engine.NextTimeout <= later) pair.Right.Wake(pair.Right.Engine.NextTimeout);
        Assert.Single(pair.Right.Installed);
    }

    private static byte[] Refused(IsakmpSa own, uint id) =>
        ForgerV1.Hashed(own, ExchangeType.QuickMode, id, new ChainBuilder().Sa([new ProposalV1(1, ProtocolId.Esp, [0, 0, 9, 9], [new TransformV1(1, 99, [.. Attack.Attributes((4, 1))])])]).Raw(PayloadV1.Nonce, new byte[16]));

    private static ChainBuilder Quick(IsakmpSa own, uint spi)
    {
        var child = own.Connection.Children[0];
        return ForgerV1.QuickOffer(child, new ChildSpi(spi), [.. Enumerable.Range(1, 16).Select(octet => (byte)octet)], child.LocalSelectors[0].Selector, child.RemoteSelectors[0].Selector);
    }
}
