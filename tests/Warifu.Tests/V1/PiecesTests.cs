using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V1;
using Warifu.Wire;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Fragmentation by vendor ID (item 3.5): who cuts, who takes, and how long pieces are kept.</summary>
[Trait("Item", "3.5")]
public sealed class PiecesTests
{
    /// <summary>Only what is configured and announced: a peer without the vendor ID gets whole messages, and "accept" takes pieces and sends none.</summary>
    [Theory]
    [InlineData(FragmentationPolicy.Yes, FragmentationPolicy.Yes, true, true)]
    [InlineData(FragmentationPolicy.Yes, FragmentationPolicy.No, false, false)]
    [InlineData(FragmentationPolicy.No, FragmentationPolicy.Yes, false, false)]
    [InlineData(FragmentationPolicy.Accept, FragmentationPolicy.Yes, false, true)]
    [InlineData(FragmentationPolicy.Yes, FragmentationPolicy.Accept, true, false)]
    public void Messages_are_cut_for_peers_that_say_so_by_those_that_want_it(FragmentationPolicy left, FragmentationPolicy right, bool leftCuts, bool rightCuts)
    {
        using var pair = V1Pair.Up(V1Pair.Left("aes128-sha256-modp6144") with { Fragmentation = left }, V1Pair.Right("aes128-sha256-modp6144") with { Fragmentation = right });
        Assert.Equal(leftCuts, V1Pair.Messages(pair, pair.Left).Any(IsPiece));
        Assert.Equal(rightCuts, V1Pair.Messages(pair, pair.Right).Any(IsPiece));
        // message 3 of main mode is long
        Assert.Equal(!leftCuts, V1Pair.Messages(pair, pair.Left).Any(message => message.Length > 700));
    }

    [Fact]
    public void Pieces_are_not_taken_where_they_are_not_wanted()
    {
        using var pair = Attack.Peer(out var own, connection => connection with { Fragmentation = FragmentationPolicy.No });
        Assert.Equal(DropReason.UnwantedFragment, Attack.KnockDropped(pair, Piece(own, 1, true, Probe(own, 0x11))));
        Attack.AssertUnharmed(pair);
    }

    /// <summary>What does not become whole in time is forgotten, and held by no timer after that.</summary>
    [Fact]
    [Trait("Item", "3.10")]
    public void Pieces_are_forgotten_when_the_others_do_not_come_in_time()
    {
        using var pair = Attack.Peer(out var own);
        var probe = Probe(own, 0x12);
        var (head, tail) = (probe[..40], probe[40..]);
        Assert.Empty(Attack.Knock(pair, Piece(own, 1, false, head)));
        pair.Run(ProtocolTimes.Reassembly - TimeSpan.FromSeconds(1));
        Assert.Single(Attack.Knock(pair, Piece(own, 2, true, tail)));
        probe = Probe(own, 0x13);
        (head, tail) = (probe[..40], probe[40..]);
        Assert.Empty(Attack.Knock(pair, Piece(own, 1, false, head)));
        Assert.True(pair.Right.Engine.NextTimeout <= pair.Now + ProtocolTimes.Reassembly);
        pair.Run(ProtocolTimes.Reassembly + TimeSpan.FromSeconds(1));
        Assert.True(pair.Right.Engine.NextTimeout > pair.Now + ProtocolTimes.Reassembly);
        Assert.Empty(Attack.Knock(pair, Piece(own, 2, true, tail)));
        Attack.AssertUnharmed(pair);
    }

    private static bool IsPiece(byte[] message) => (PayloadV1)message[16] == PayloadV1.Fragment;

    private static byte[] Probe(IsakmpSa own, uint id) => ForgerV1.Hashed(own, ExchangeType.InformationalV1, id, new ChainBuilder().Notify(ProtocolId.Ike, own.Cookies(), NotifyV1.RUThere, [0, 0, 0, 1]));

    private static byte[] Piece(IsakmpSa own, byte number, bool last, byte[] data)
    {
        var writer = new WireWriter();
        FragmentBody.Write(writer, 7, number, last, data);
        return ForgerV1.Clear(own, ExchangeType.InformationalV1, 0, PayloadV1.Fragment, new ChainBuilder().Raw(PayloadV1.Fragment, writer.Written).Chain);
    }
}
