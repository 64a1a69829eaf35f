using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.V1;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>AH negotiated by quick mode (RFC 2407 section 4.4.3).</summary>
[Trait("Item", "3.9")]
public sealed class AhModeTests
{
    [Theory]
    [InlineData("sha256", ChildMode.Tunnel)]
    [InlineData("sha512-esn", ChildMode.Transport)]
    [InlineData("sha384-modp2048", ChildMode.Tunnel)]
    [InlineData("sha1", ChildMode.Transport)]
    [InlineData("md5-ecp256", ChildMode.Transport)]
    [InlineData("aesxcbc", ChildMode.Tunnel)]
    [InlineData("aes128gmac", ChildMode.Tunnel)]
    [InlineData("aes192gmac-esn", ChildMode.Transport)]
    [InlineData("aes256gmac", ChildMode.Tunnel)]
    public void Both_sides_have_a_pair_that_is_rekeyed_and_deleted(string ah, ChildMode mode)
    {
        using var pair = V1Pair.Up(With(V1Pair.Left(), ah, mode), With(V1Pair.Right(), ah, mode));
        Check(pair, ah, mode);
        foreach (var side in new[] { pair.Left, pair.Right })
        {
            var before = Newest(pair.Left).Id;
            side.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
            pair.Run(TimeSpan.FromSeconds(30));
            Assert.NotEqual(before, Newest(pair.Left).Id);
            Check(pair, ah, mode);
        }

        pair.Run(TimeSpan.FromMinutes(2));
        pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net", "net")), pair.Now);
        pair.Run();
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
        Assert.Single(pair.Right.Engine.Snapshot().IkeSas);
    }

    [Fact]
    public void ESP_and_AH_have_nothing_in_common_and_the_cause_says_so()
    {
        using var pair = new EnginePair();
        pair.Load(With(V1Pair.Left(), "sha256"), V1Pair.Right());
        Assert.False(pair.Up().Success);
        Assert.Equal("no-proposal", pair.Right.LastReport!.Failure!.Reason);
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
    }

    /// <summary>R158.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Behind_a_NAT_it_is_refused_whoever_asks(bool leftAsks)
    {
        var outside = IpAddress.Parse("203.0.113.1");
        using var pair = new EnginePair();
        pair.Nat = (from, send) => (send.Local.Address == pair.Left.Address ? send.Local with { Address = outside } : send.Local, send.Remote.Address == outside ? send.Remote with { Address = pair.Left.Address } : send.Remote);
        var left = V1Pair.Left() with { Children = leftAsks ? With(V1Pair.Left(), "sha256").Children : V1Pair.Left().Children };
        pair.Load(left, With(V1Pair.Right() with { RemoteAddresses = [] }, "sha256"));
        var result = pair.Up();
        Assert.False(result.Success);
        if (leftAsks)
        {
            var failure = result.Report!.Failure!;
            Assert.Equal("nat", failure.Reason);
            Assert.Equal("child net wants AH, and we are behind a NAT: AH authenticates the addresses that the NAT changes", failure.Sentence);
            Assert.Contains("esp_proposals = aes256gmac, instead of ah_proposals", failure.Remedy, StringComparison.Ordinal);
        }

        if (!leftAsks)
        {
            // phase 1 is there: what its responder says about the NAT
            Assert.Equal("nat", QuickFailures.AhInTheWay(Assert.Single(pair.Right.Engine.IsakmpSas), With(V1Pair.Right(), "sha256").Children[0])!.Reason);
            Assert.Null(QuickFailures.AhInTheWay(Assert.Single(pair.Right.Engine.IsakmpSas), V1Pair.Right().Children[0]));
        }

        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
    }

    [Fact]
    public void Where_there_is_no_AH_or_UDP_is_forced_it_is_refused_and_the_cause_says_so()
    {
        using var without = new EnginePair(right: new EngineOptions { HasAh = false });
        without.Load(With(V1Pair.Left(), "sha256"), With(V1Pair.Right(), "sha256"));
        Assert.False(without.Up().Success);
        Assert.Equal("no-ah", without.Right.LastReport!.Failure!.Reason);
        Assert.Contains("CAP_NET_RAW", without.Right.LastReport.Failure.Remedy, StringComparison.Ordinal);
        using var forced = new EnginePair();
        forced.Load(With(V1Pair.Left() with { ForceEncapsulation = true }, "sha256"), With(V1Pair.Right(), "sha256"));
        var result = forced.Up();
        Assert.False(result.Success);
        Assert.Equal("nat", result.Report!.Failure!.Reason);
        Assert.Empty(forced.Right.Installed);
    }

    /// <summary>RFC 2409 section 5.5: proposals of one number are all wanted together.</summary>
    [Fact]
    public void AH_and_ESP_around_each_other_are_refused_and_the_cause_says_so()
    {
        var ah = QuickOffer.Make(QuickOffer.Of(With(V1Pair.Left(), "sha256").Children[0]), new(0x1000), EncapsulationV1.Transport, 3600, 0);
        var esp = QuickOffer.Make(QuickOffer.Of(V1Pair.Left().Children[0]), new(0x1001), EncapsulationV1.Transport, 3600, 0);
        ImmutableArray<ProposalV1> bundle = [ah[0], esp[0]];
        Assert.Equal(ah[0].Number, esp[0].Number);
        Assert.Empty(QuickOffer.Readable(bundle));
        Assert.Equal(2, QuickOffer.Readable([ah[0], esp[0] with { Number = 2 }]).Length);
        Assert.All(QuickOffer.Print(bundle), line => Assert.EndsWith(", together with the others of proposal 1", line, StringComparison.Ordinal));
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        Assert.Contains("AH with ESP, and IPComp, are not supported", QuickFailures.NoProposal(Assert.Single(pair.Right.Engine.IsakmpSas), V1Pair.Right().Children[0], QuickOffer.Of(V1Pair.Right().Children[0]), QuickOffer.Readable(bundle)).Sentence, StringComparison.Ordinal);
    }

    private static ChildSa Newest(EngineHost host) => host.Installed.Values.MaxBy(sa => sa.Id)!;

    private static void Check(EnginePair pair, string ah, ChildMode mode)
    {
        var (left, right) = (Newest(pair.Left), Newest(pair.Right));
        Assert.Equal((ProtocolId.Ah, ProtocolId.Ah, false, ah.Contains("-esn", StringComparison.Ordinal)), (left.Protocol, right.Protocol, left.UdpEncapsulation, left.Esn));
        Assert.Equal((0, 0, Algorithms.KeyLength(left.Integ)), (left.InboundEncrKey.Length, left.OutboundEncrKey.Length, left.InboundIntegKey.Length));
        Assert.Equal(Convert.ToHexString(left.OutboundIntegKey.Span), Convert.ToHexString(right.InboundIntegKey.Span));
        Assert.Equal(Convert.ToHexString(right.OutboundIntegKey.Span), Convert.ToHexString(left.InboundIntegKey.Span));
        Assert.NotEqual(Convert.ToHexString(left.OutboundIntegKey.Span), Convert.ToHexString(left.InboundIntegKey.Span));
        Assert.Equal(mode == ChildMode.Transport ? IpsecMode.Transport : IpsecMode.Tunnel, left.Mode);
    }

    private static Connection With(Connection connection, string ah, ChildMode mode = ChildMode.Tunnel)
    {
        var child = connection.Children[0] with { Proposals = EnginePair.Proposals(ProtocolId.Ah, ah), Mode = mode };
        if (mode == ChildMode.Transport) child = child with { LocalSelectors = [], RemoteSelectors = [] };
        return connection with { Children = [child] };
    }
}
