using System;
using System.Threading.Tasks;
using Xunit;

namespace Warifu.Net.Tests;

/// <summary>Two whole nodes whose sequence numbers come near their end (RFC 4303 section 3.3.3).</summary>
[Trait("Item", "1.20")]
public sealed class SequenceRekeyTests
{
    private const ulong Last = uint.MaxValue, SoftDistance = 1UL << 28;

    [Fact]
    public async Task The_pair_is_replaced_before_its_numbers_are_used_up()
    {
        await using var pair = await NodePair.StartAsync("a secret of the two of us");
        await pair.Left.UpAsync("net", "lan").WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        var first = Assert.Single(pair.Left.Packets!.PairIds());
        pair.Left.Packets.Sad.ById(first)!.Outbound.StartAt(Last - SoftDistance - 4);
        for (var i = 0; i < 6; i++) await CrossAsync(pair, i);
        for (var waited = 0; waited < 5000 && pair.Left.Packets.PairIds() is [var id] && id == first; waited += 20) await Task.Delay(20, TestContext.Current.CancellationToken);
        for (var waited = 0; waited < 5000 && pair.Left.Packets.PairIds().Count > 1; waited += 20) await Task.Delay(20, TestContext.Current.CancellationToken);
        var second = Assert.Single(pair.Left.Packets.PairIds());
        Assert.NotEqual(first, second);
        for (var i = 0; i < 6; i++) await CrossAsync(pair, i);
        Assert.InRange(pair.Left.Packets.Sad.ById(second)!.Outbound.Sequence, 1ul, 20ul);
    }

    [Fact]
    public async Task At_the_very_end_nothing_goes_out_until_there_are_new_keys()
    {
        await using var pair = await NodePair.StartAsync("a secret of the two of us");
        await pair.Left.UpAsync("net", "lan").WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        var first = Assert.Single(pair.Left.Packets!.PairIds());
        pair.Left.Packets.Sad.ById(first)!.Outbound.StartAt(Last - 1);
        Assert.False(pair.LeftPackets.Send(Packets.Udp("10.1.0.1", "10.2.0.1", 1000, 2000, "too late")));
        Assert.False(pair.RightPackets.Received.TryRead(out _));
        Assert.True(pair.Left.Packets.Drops(Ipsec.PacketDrop.SequenceOverflow) >= 1);
    }

    private static async Task CrossAsync(NodePair pair, int i)
    {
        var packet = Packets.Udp("10.1.0.1", "10.2.0.1", 1000, (ushort)(2000 + i), "near the end");
        Assert.True(pair.LeftPackets.Send(packet));
        Assert.Equal(packet, await pair.RightPackets.ReadAsync());
    }
}
