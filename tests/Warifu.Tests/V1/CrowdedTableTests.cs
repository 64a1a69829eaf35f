using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>First messages with forged addresses (item 3.10): IKEv1 has no cookie that proves an address before there is state, so that what nobody verified must make room for whoever comes.</summary>
[Trait("Item", "3.10")]
[Trait("Attack", "T75")]
public sealed class CrowdedTableTests
{
    private static readonly EngineOptions s_small = new() { HalfOpenLimit = 200, HalfOpenPerPrefix = 5 };

    /// <summary>Somebody fills the share of a peer once, with its address: the peer gets in all the same a second later.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_peer_is_not_shut_out_by_who_borrows_its_address(bool aggressive)
    {
        using var pair = Attack.Stranger(right => right with { Aggressive = aggressive, AggressivePsk = true }, s_small);
        pair.Left.Load(PolicySet.Of(V1Pair.Left() with { Aggressive = aggressive }), pair.Now);
        Flood(pair, 50, _ => Attack.Left, aggressive);
        Assert.Equal(5, pair.Right.Engine.Snapshot().HalfOpen);
        pair.Right.Outbox.Clear();
        // the flood lasts less than a timeout
        var result = pair.Up();
        Assert.True(result.Success, result.Message);
        Assert.InRange((Assert.Single(pair.Right.Events.OfType<IkeSaUp>()).At - new Instant(1_000_000_000)).TotalSeconds, 0.5, 5);
        V1Pair.AssertSame(pair);
    }

    /// <summary>The whole table is full of forged addresses.</summary>
    [Theory]
    [InlineData(IkeVersion.V1)]
    [InlineData(IkeVersion.V2)]
    public void A_full_table_of_IKEv1_shuts_nobody_out(IkeVersion version)
    {
        using var pair = new EnginePair(right: s_small);
        pair.Left.Load(PolicySet.Of(version == IkeVersion.V1 ? V1Pair.Left() : EnginePair.LeftGateway()), pair.Now);
        var open = V1Pair.Right() with { Name = "open", RemoteAddresses = [] };
        pair.Right.Load(PolicySet.Of(version == IkeVersion.V1 ? [V1Pair.Right(), open] : [EnginePair.RightGateway(), open]), pair.Now);
        Flood(pair, 1000, i => new Endpoint(IpAddress.Parse($"203.0.{i / 4}.7"), (ushort)(1000 + i)), aggressive: false);
        Assert.Equal(200, pair.Right.Engine.Snapshot().HalfOpen);
        pair.Right.Outbox.Clear();
        var result = pair.Up();
        Assert.True(result.Success, result.Message);
        Assert.InRange((Assert.Single(pair.Right.Events.OfType<IkeSaUp>()).At - new Instant(1_000_000_000)).TotalSeconds, 0.5, 5);
    }

    /// <summary>It is not cheaper to be answered by filling up: within a second nobody gives way, and verified ones never do.</summary>
    [Fact]
    public void What_is_young_or_verified_does_not_give_way()
    {
        using var pair = Attack.Stranger(right => right with { RemoteAddresses = [] }, s_small);
        for (var i = 1; i <= 5; i++)
        {
            var second = Assert.Single(Attack.Knock(pair, First((ulong)i)));
            using var keys = Warifu.Crypto.KeyExchange.Generate(KeId.Ecp256, pair.Left.Entropy);
            IkeHeader.TryRead(second, out var header);
            Assert.Single(Attack.Knock(pair, new Warifu.Wire.V1.ChainBuilder().Raw(PayloadV1.Ke, keys.PublicValue).Raw(PayloadV1.Nonce, new byte[16]).ToMessage(header with { Flags = 0 })));
        }

        pair.Run(TimeSpan.FromSeconds(3));
        Assert.Empty(Attack.Knock(pair, First(99)));
        var other = new Endpoint(IpAddress.Parse("203.0.113.5"), 500);
        for (var i = 1; i <= 5; i++) Assert.Single(Attack.Knock(pair, First((ulong)i + 200), other));
        pair.Run(TimeSpan.FromMilliseconds(900));
        Assert.Empty(Attack.Knock(pair, First(300), other));
        pair.Run(TimeSpan.FromMilliseconds(200));
        Assert.Single(Attack.Knock(pair, First(301), other));
        Attack.AssertNothingIsLeft(pair);
    }

    private static byte[] First(ulong cookie) => Attack.First(builder => builder.Sa(Attack.Offer(Attack.Suite())), cookie: cookie, padding: 80);

    private static void Flood(EnginePair pair, int count, Func<int, Endpoint> from, bool aggressive)
    {
        if (!aggressive)
        {
            for (var i = 0; i < count; i++) Attack.Knock(pair, First((ulong)i + 1), from(i));
            return;
        }

        pair.Left.Up("net", "net", pair.Now);
        var first = pair.Left.Outbox.Dequeue().Message;
        pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net"), false), pair.Now);
        pair.Left.Outbox.Clear();
        for (var i = 0; i < count; i++)
        {
            first[3] = (byte)(i + 1);
            Attack.Knock(pair, first, from(i));
        }
    }
}
