using Warifu.Primitives;
using Warifu.V2;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>What the hashes of a message say about NATs between the peers (RFC 7296 section 2.23).</summary>
[Trait("Item", "2.12")]
public sealed class NatDetectionTests
{
    private static readonly IkeSpi s_initiator = new(0x1122334455667788);
    private static readonly IkeSpi s_responder = new(0x99AABBCCDDEEFF00);
    private static readonly Endpoint s_here = new(IpAddress.Parse("198.51.100.2"), 500);
    private static readonly Endpoint s_peer = new(IpAddress.Parse("192.0.2.2"), 500);
    private static readonly Endpoint s_elsewhere = new(IpAddress.Parse("10.9.0.2"), 500);

    [Fact]
    public void Of_several_sources_one_that_fits_is_enough()
    {
        Assert.Equal((true, false, false), Read([s_elsewhere, s_peer], [s_here]));
        Assert.Equal((true, false, false), Read([s_peer, s_elsewhere], [s_here]));
        Assert.Equal((true, false, true), Read([s_elsewhere, s_elsewhere with { Port = 4500 }], [s_here]));
    }

    [Fact]
    public void A_destination_that_does_not_fit_is_our_own_NAT() => Assert.Equal((true, true, false), Read([s_peer], [s_elsewhere]));

    [Fact]
    public void One_kind_of_hash_alone_says_nothing()
    {
        Assert.Equal((false, false, false), Read([s_elsewhere], []));
        Assert.Equal((false, false, false), Read([], [s_elsewhere]));
    }

    private static (bool Seen, bool LocalBehindNat, bool RemoteBehindNat) Read(Endpoint[] sources, Endpoint[] destinations)
    {
        var builder = new MessageBuilder();
        foreach (var source in sources) builder.Notify(NotifyType.NatDetectionSourceIp, NatDetection.Hash(s_initiator, s_responder, source));
        foreach (var destination in destinations) builder.Notify(NotifyType.NatDetectionDestinationIp, NatDetection.Hash(s_initiator, s_responder, destination));
        if (sources.Length + destinations.Length == 0) builder.Notify(NotifyType.InitialContact);
        Assert.Equal(ParseError.None, MessageView.TryParse(builder.First, builder.Chain, out var view));
        return NatDetection.Read(view, s_initiator, s_responder, s_here, s_peer);
    }
}
