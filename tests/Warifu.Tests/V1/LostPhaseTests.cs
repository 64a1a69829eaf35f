using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Simulation;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Nobody answers a delete in IKEv1 (RFC 2408 section 3.15): what happens when one was lost, and when only one side has what both believe to have.</summary>
[Trait("Item", "3.5")]
public sealed class LostPhaseTests
{
    private static readonly TimeSpan s_delay = TimeSpan.FromSeconds(10);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Children_whose_phase_1_is_over_are_watched(bool isPeerThere)
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right() with { DpdDelay = s_delay });
        var sa = pair.Left.Engine.IsakmpSas.Single();
        sa.Inform(builder => builder.Delete(ProtocolId.Ike, sa.Cookies()));
        pair.Left.Drain(pair.Now);
        pair.Settle();
        Assert.Equal("PASSIVE", pair.Right.Engine.Snapshot().IkeSas.Single().State);
        if (!isPeerThere) pair.Wire = (_, _, _) => 0;
        pair.Run(TimeSpan.FromMinutes(5));
        if (isPeerThere)
        {
            Assert.Equal("ESTABLISHED", pair.Right.Engine.Snapshot().IkeSas.Single().State);
            Assert.Single(pair.Right.Installed);
            V1Pair.AssertSame(pair);
            return;
        }

        Assert.Empty(pair.Right.Installed);
        Assert.Contains(pair.Right.Events.OfType<IkeSaDown>(), down => down.Reason == "dead-peer");
    }

    [Fact]
    public void Without_dead_peer_detection_they_are_left_alone()
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        var sa = pair.Left.Engine.IsakmpSas.Single();
        sa.Inform(builder => builder.Delete(ProtocolId.Ike, sa.Cookies()));
        pair.Left.Drain(pair.Now);
        pair.Settle();
        pair.Wire = (_, _, _) => 0;
        pair.Run(TimeSpan.FromMinutes(5));
        Assert.Single(pair.Right.Installed);
    }

    [Fact]
    public void What_is_wanted_under_a_phase_1_that_the_peer_lost_comes_up_under_a_new_one()
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net", "net")), pair.Now);
        pair.Settle();
        pair.Wire = (_, _, _) => 0;
        pair.Right.Command(id => new IkeCommand.Down(id, new SaTarget("net")), pair.Now);
        pair.Run(TimeSpan.FromMinutes(1));
        pair.Wire = (_, _, _) => 1;
        Assert.Empty(pair.Right.Engine.IsakmpSas);
        Assert.Single(pair.Left.Engine.IsakmpSas);
        var up = pair.Left.Command(id => new IkeCommand.Up(id, "net", "net"), pair.Now);
        pair.Run(TimeSpan.FromMinutes(5));
        Assert.True(pair.Left.Results[up].Success, pair.Left.Results[up].Message);
        V1Pair.AssertSame(pair);
        V1Pair.AssertQuiet(pair);
    }

    [Fact]
    public void It_is_tried_once_more_and_not_for_ever()
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net", "net")), pair.Now);
        pair.Settle();
        // phase 1 is answered, quick mode never
        pair.Wire = (_, _, sent) => sent.Message[18] == (byte)ExchangeType.QuickMode ? 0 : 1;
        pair.Run(TimeSpan.FromMinutes(1));
        var up = pair.Left.Command(id => new IkeCommand.Up(id, "net", "net"), pair.Now);
        pair.Run(TimeSpan.FromMinutes(10));
        Assert.False(pair.Left.Results[up].Success);
        Assert.Contains("did not answer quick mode", pair.Left.Results[up].Message, StringComparison.Ordinal);
        Assert.Equal(2, pair.Left.Events.OfType<IkeSaUp>().Count());
    }

    [Fact]
    public void A_quick_mode_whose_pair_was_closed_before_message_3_came_ends()
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(), V1Pair.Right());
        var quick = 0;
        pair.Wire = (_, from, sent) => from == pair.Left && sent.Message[18] == (byte)ExchangeType.QuickMode && ++quick > 1 ? 0 : 1;
        pair.Left.Command(id => new IkeCommand.Up(id, "net", "net"), pair.Now);
        pair.Settle();
        var sa = pair.Right.Engine.IsakmpSas.Single();
        Assert.Single(sa.OpenExchanges);
        pair.Right.Command(id => new IkeCommand.Down(id, new SaTarget("net", "net")), pair.Now);
        pair.Run(TimeSpan.FromMinutes(5));
        Assert.Empty(sa.OpenExchanges);
        Assert.Empty(pair.Right.Installed);
    }
}
