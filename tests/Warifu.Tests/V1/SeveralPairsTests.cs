using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Ipsec;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Several pairs for the same traffic, and one child with several selectors (item 3.4).</summary>
[Trait("Item", "3.4")]
public sealed class SeveralPairsTests
{
    /// <summary>Two quick modes that crossed make two pairs, which are in another order on each side: each sends on its own, and the next rekeying of either side ends both.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Quick_modes_that_cross_leave_one_live_pair_on_each_side_and_the_next_rekeying_ends_both(bool byLeft)
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        foreach (var host in new[] { pair.Left, pair.Right }) host.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Run(TimeSpan.FromSeconds(30));
        foreach (var host in new[] { pair.Left, pair.Right })
        {
            var children = host.Engine.IsakmpSas.Single().Children;
            Assert.Equal(2, children.Count);
            // the newest, which traffic leaves on, and which the other side has
            var live = Assert.Single(children.Values, child => child.IsLive);
            Assert.Equal(host.Installed.Keys.Max(), live.Id);
            Assert.True(live.RekeyAt != Instant.Never);
            var other = host == pair.Left ? pair.Right : pair.Left;
            Assert.Contains(other.Installed.Values, theirs => theirs.InboundSpi == live.Outbound);
        }

        (byLeft ? pair.Left : pair.Right).Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Run(TimeSpan.FromSeconds(30));
        V1Pair.AssertQuiet(pair);
        V1Pair.AssertSame(pair);
    }

    /// <summary>Message 3 of the peer's quick mode overtakes message 2 of ours: the peer has its own as the newest, and we must not take that for the older one.</summary>
    [Fact]
    public void A_pair_that_was_made_meanwhile_is_not_taken_for_an_older_one()
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        foreach (var host in new[] { pair.Left, pair.Right }) host.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        var theirs = pair.Right.Outbox.Dequeue();
        pair.Right.Receive(Attack.Right, Attack.Left, pair.Left.Outbox.Dequeue().Message, pair.Now);
        var answer = pair.Right.Outbox.Dequeue();
        pair.Left.Receive(Attack.Left, Attack.Right, theirs.Message, pair.Now);
        pair.Right.Receive(Attack.Right, Attack.Left, pair.Left.Outbox.Dequeue().Message, pair.Now);
        pair.Left.Receive(Attack.Left, Attack.Right, pair.Right.Outbox.Dequeue().Message, pair.Now);
        pair.Left.Receive(Attack.Left, Attack.Right, answer.Message, pair.Now);
        pair.Run(TimeSpan.FromSeconds(30));
        foreach (var (host, other) in new[] { (pair.Left, pair.Right), (pair.Right, pair.Left) })
        {
            Assert.Equal(2, host.Installed.Count);
            var live = Assert.Single(host.Engine.IsakmpSas.Single().Children.Values, child => child.IsLive);
            Assert.Equal(host.Installed.Keys.Max(), live.Id);
            Assert.Contains(other.Installed.Values, pair => pair.InboundSpi == live.Outbound);
        }
    }

    /// <summary>The delete of a replaced pair is lost: the other side deletes it itself when nothing comes in on it any more.</summary>
    [Fact]
    public void A_pair_whose_delete_was_lost_goes_when_it_is_not_used()
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        pair.Wire = (_, from, message) => from == pair.Left && message.Message[18] == (byte)ExchangeType.InformationalV1 ? 0 : 1;
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Run(TimeSpan.FromSeconds(50));
        Assert.Single(pair.Left.Installed);
        Assert.Equal(2, pair.Right.Installed.Count);
        // as long as the peer sends on it, it stays
        pair.Right.LastIn = pair.Now + TimeSpan.FromSeconds(5);
        pair.Run(TimeSpan.FromSeconds(20));
        Assert.Equal(2, pair.Right.Installed.Count);
        pair.Run(TimeSpan.FromMinutes(3));
        V1Pair.AssertQuiet(pair);
        V1Pair.AssertSame(pair);
    }

    /// <summary>The peer deletes the new pair while the old one is still there: that one carries on, and is rekeyed again, not deleted.</summary>
    [Fact]
    public void A_replaced_pair_carries_on_when_what_replaced_it_is_deleted()
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        var own = pair.Left.Engine.IsakmpSas.Single();
        var first = pair.Right.Installed.Keys.Single();
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Settle();
        var spi = BitConverter.GetBytes(System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(pair.Left.Installed.Values.Last().InboundSpi.Value));
        Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x91, new ChainBuilder().Delete(ProtocolId.Esp, spi)));
        var left = Assert.Single(pair.Right.Engine.IsakmpSas.Single().Children.Values);
        Assert.Equal((first, true, Instant.Never), (left.Id, left.IsLive, left.RetireAt));
        Assert.True(left.RekeyAt < pair.Now + TimeSpan.FromMinutes(2));
        Assert.Empty(pair.Right.Events.OfType<ChildDown>());
    }

    /// <summary>What an operator closes goes with all that it has replaced.</summary>
    [Fact]
    public void Closing_a_child_closes_the_pairs_that_it_has_replaced()
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Settle();
        Assert.Equal(2, pair.Left.Installed.Count);
        pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net", "net")), pair.Now);
        pair.Settle();
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
        pair.Run(TimeSpan.FromMinutes(2));
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
    }

    /// <summary>Of several pairs the peer has one only: the other one's refusal is told, also behind the success of the first.</summary>
    [Fact]
    public void A_pair_that_is_refused_beside_one_that_is_up_is_told()
    {
        var left = V1Pair.Left();
        left = left with { Children = [left.Children[0] with { LocalSelectors = [EnginePair.Ts("10.1.0.0/16"), EnginePair.Ts("10.3.0.0/16")] }] };
        using var pair = new EnginePair();
        pair.Load(left, V1Pair.Right());
        pair.Up();
        pair.Run(TimeSpan.FromSeconds(5));
        Assert.Single(pair.Left.Installed);
        foreach (var host in new[] { pair.Left, pair.Right })
        {
            var failed = Assert.Single(host.Events.OfType<NegotiationEnded>(), ended => ended.Report.Failure is not null);
            Assert.Equal(("selectors", true), (failed.Report.Failure!.Reason, failed.Report.Failure.Sentence.Contains("10.3.0.0/16", StringComparison.Ordinal)));
        }
    }

    /// <summary>A packet asks for its own pair of selectors, not for all of the child; a command for those that are missing.</summary>
    [Fact]
    public void A_packet_brings_up_its_own_pair_and_a_command_the_rest()
    {
        var (left, right) = (V1Pair.Left(), V1Pair.Right());
        left = left with { Children = [left.Children[0] with { LocalSelectors = [EnginePair.Ts("10.1.0.0/16"), EnginePair.Ts("10.3.0.0/16"), EnginePair.Ts("10.4.0.0/16")] }] };
        right = right with { Children = [right.Children[0] with { RemoteSelectors = [EnginePair.Ts("10.1.0.0/16"), EnginePair.Ts("10.3.0.0/16"), EnginePair.Ts("10.4.0.0/16")] }] };
        using var pair = new EnginePair();
        pair.Load(left, right);
        Acquire(pair, "10.3.0.7");
        pair.Run();
        Assert.Equal(EnginePair.Ts("10.3.0.0/16").Selector, Assert.Single(pair.Left.Installed.Values.Single().LocalSelectors));
        // once more, and another one
        Acquire(pair, "10.3.0.8");
        Acquire(pair, "10.1.0.8");
        pair.Run();
        Assert.Equal(2, pair.Left.Installed.Count);
        Assert.True(pair.Up().Success);
        Assert.Equal(3, pair.Left.Installed.Count);
        Assert.True(pair.Up().Success);
        Assert.Equal(9, pair.Sent.Count(sent => sent.Message.Message[18] == (byte)ExchangeType.QuickMode));
    }

    /// <summary>A rekeying that was under way when phase 1 was replaced goes on under the new one.</summary>
    [Fact]
    public void A_quick_mode_whose_phase_1_ends_is_begun_again_under_the_newer_one()
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        var first = pair.Left.Installed.Keys.Single();
        // message 1 of quick mode is lost as long as it goes by the old phase 1
        var old = pair.Left.Engine.IsakmpSas.Single().CookieI;
        pair.Wire = (_, from, message) => from == pair.Left && message.Message[18] == (byte)ExchangeType.QuickMode && System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(message.Message) == old.Value ? 0 : 1;
        var command = pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Left.Command(id => new IkeCommand.Reauth(id, new SaTarget("net")), pair.Now);
        pair.Run(TimeSpan.FromSeconds(30));
        Assert.True(pair.Left.Results[command].Success);
        Assert.NotEqual(first, pair.Left.Installed.Keys.Single());
        V1Pair.AssertQuiet(pair);
        V1Pair.AssertSame(pair);
    }

    private static void Acquire(EnginePair pair, string source)
    {
        pair.Left.Engine.Handle(new DataPlaneEvent.Acquire("net", "net", TrafficSelector.Of(IpAddress.Parse(source)), TrafficSelector.Of(IpAddress.Parse("10.2.0.9"))), pair.Now);
        pair.Left.Drain(pair.Now);
    }
}
