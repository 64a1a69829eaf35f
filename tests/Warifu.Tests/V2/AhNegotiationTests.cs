using System;
using System.Linq;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>AH negotiated by IKEv2 (RFC 7296 section 3.3.2: protocol 2, integrity and ESN).</summary>
[Trait("Item", "3.9")]
public sealed class AhNegotiationTests
{
    [Theory]
    [InlineData("sha256", ChildMode.Tunnel)]
    [InlineData("sha512-esn", ChildMode.Transport)]
    [InlineData("sha384-esn-noesn", ChildMode.Tunnel)]
    [InlineData("sha1", ChildMode.Transport)]
    [InlineData("md5", ChildMode.Tunnel)]
    [InlineData("aesxcbc-esn", ChildMode.Tunnel)]
    [InlineData("aescmac", ChildMode.Transport)]
    [InlineData("aes128gmac-esn", ChildMode.Tunnel)]
    [InlineData("aes192gmac", ChildMode.Transport)]
    [InlineData("aes256gmac", ChildMode.Tunnel)]
    [InlineData("sha256-x25519", ChildMode.Tunnel)]
    public void Both_sides_have_a_pair_that_carries_packets_and_is_rekeyed_and_deleted(string ah, ChildMode mode)
    {
        using var pair = new EnginePair();
        pair.Load(With(EnginePair.LeftGateway(), ah, mode), With(EnginePair.RightGateway(), ah, mode));
        Assert.True(pair.Up().Success, pair.Left.LastReport?.Failure?.Sentence);
        Check(pair, ah, mode);
        foreach (var side in new[] { pair.Left, pair.Right })
        {
            var before = Assert.Single(pair.Left.Installed.Values).Id;
            side.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
            pair.Run();
            Assert.NotEqual(before, Assert.Single(pair.Left.Installed.Values).Id);
            Check(pair, ah, mode);
        }

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
        pair.Load(With(EnginePair.LeftGateway(), "sha256"), EnginePair.RightGateway());
        var result = pair.Up();
        Assert.False(result.Success);
        Assert.Contains("refused all our AH proposals", result.Message, StringComparison.Ordinal);
        Assert.Contains("ah_proposals", result.Report!.Failure!.Remedy, StringComparison.Ordinal);
        var there = pair.Right.LastReport!.Failure!;
        Assert.Equal("no ESP proposal in common for child net", there.Sentence);
        Assert.Contains("the peer offers Ah, not Esp", Assert.Single(there.FirstDifference), StringComparison.Ordinal);
        Assert.Contains("children.net.ah_proposals", there.Remedy, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true, "we are behind a NAT")]
    [InlineData(false, "the peer is behind a NAT")]
    public void Behind_a_NAT_it_is_refused_before_the_peer_is_asked(bool leftNat, string who)
    {
        using var pair = new EnginePair();
        var outside = IpAddress.Parse("203.0.113.1");
        pair.Nat = (from, send) =>
        {
            var (source, target) = (send.Local, send.Remote);
            var inside = leftNat ? pair.Left.Address : pair.Right.Address;
            if (source.Address == inside) source = source with { Address = outside };
            if (target.Address == outside) target = target with { Address = inside };
            return (source, target);
        };
        pair.Load(With(EnginePair.LeftGateway() with { RemoteAddresses = [HostPattern.Of(leftNat ? pair.Right.Address : outside)] }, "sha256"), With(EnginePair.RightGateway() with { RemoteAddresses = [] }, "sha256"));
        var result = pair.Up();
        Assert.False(result.Success);
        var failure = result.Report!.Failure!;
        Assert.Equal("nat", failure.Reason);
        Assert.Equal($"child net wants AH, and {who}: AH authenticates the addresses that the NAT changes", failure.Sentence);
        Assert.Contains("esp_proposals", failure.Remedy, StringComparison.Ordinal);
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
    }

    [Fact]
    public void Children_with_ESP_of_the_same_connection_come_up_behind_a_NAT()
    {
        using var pair = new EnginePair();
        var outside = IpAddress.Parse("203.0.113.1");
        pair.Nat = (from, send) => (send.Local.Address == pair.Left.Address ? send.Local with { Address = outside } : send.Local, send.Remote.Address == outside ? send.Remote with { Address = pair.Left.Address } : send.Remote);
        Connection Two(Connection one) => one with { Children = [With(one, "sha256").Children[0] with { Name = "ah" }, .. one.Children] };
        pair.Load(Two(EnginePair.LeftGateway()), Two(EnginePair.RightGateway() with { RemoteAddresses = [] }));
        Assert.True(pair.Up().Success);
        Assert.Equal(ProtocolId.Esp, Assert.Single(pair.Left.Installed.Values).Protocol);
        // in an IKE SA that is there
        var second = pair.Up("ah");
        Assert.False(second.Success);
        Assert.Contains("wants AH", second.Message, StringComparison.Ordinal);
        Assert.Single(pair.Left.Installed);
    }

    [Fact]
    public void Where_there_is_no_AH_or_UDP_is_forced_it_is_refused_and_the_cause_says_so()
    {
        using var without = new EnginePair(right: new EngineOptions { HasAh = false });
        without.Load(With(EnginePair.LeftGateway(), "sha256"), With(EnginePair.RightGateway(), "sha256"));
        Assert.False(without.Up().Success);
        Assert.Equal("no-ah", without.Right.LastReport!.Failure!.Reason);
        Assert.Contains("CAP_NET_RAW", without.Right.LastReport.Failure.Remedy, StringComparison.Ordinal);
        using var forced = new EnginePair();
        forced.Load(With(EnginePair.LeftGateway() with { ForceEncapsulation = true }, "sha256"), With(EnginePair.RightGateway(), "sha256"));
        var result = forced.Up();
        Assert.False(result.Success);
        Assert.Contains("AH", result.Message, StringComparison.Ordinal);
        Assert.Empty(forced.Right.Installed);
    }

    /// <summary>RFC 4555 section 3.5: the path changes, and with it whether there is a NAT.</summary>
    [Theory]
    [InlineData(StartAction.None)]
    [InlineData(StartAction.Start)]
    [InlineData(StartAction.Trap)]
    [Trait("Item", "2.13")]
    public void On_a_path_that_turns_out_to_have_a_NAT_it_ends_and_ESP_goes_on(StartAction close)
    {
        var (next, outside) = (IpAddress.Parse("192.0.2.77"), new Endpoint(IpAddress.Parse("203.0.113.1"), 1717));
        using var pair = new EnginePair();
        Connection Roaming(Connection one) => one with { Mobike = true, LocalAddresses = [], KeyingTries = close == StartAction.Start ? 0 : 1, Children = [With(one, "sha256").Children[0] with { Name = "ah", StartAction = close == StartAction.Start ? close : StartAction.None, CloseAction = close }, .. one.Children] };
        pair.Load(Roaming(EnginePair.LeftGateway()), Roaming(EnginePair.RightGateway() with { RemoteAddresses = [] }));
        Assert.True(pair.Up().Success);
        if (close != StartAction.Start) Assert.True(pair.Up("ah").Success);
        pair.Run(TimeSpan.FromSeconds(1));
        Assert.Equal([ProtocolId.Ah, ProtocolId.Esp], pair.Left.Installed.Values.Select(sa => sa.Protocol).Order());
        var home = pair.Left.Address;
        pair.Nat = (from, sent) => from == pair.Left ? (outside, sent.Remote) : sent.Remote == outside ? (sent.Local, new Endpoint(next, 4500)) : null;
        MoveTo(next);
        foreach (var (side, who) in new[] { (pair.Left, "we are"), (pair.Right, "the peer is") })
        {
            Assert.Equal(ProtocolId.Esp, Assert.Single(side.Installed.Values).Protocol);
            Assert.True(side.Moved[side.Installed.Keys.Single()].UdpEncapsulation);
            Assert.Contains(side.Events.OfType<Notice>(), notice => notice.Level == NoticeLevel.Warning && notice.Text.StartsWith($"child ah wants AH, and {who} behind a NAT: AH authenticates the addresses that the NAT changes; it ends; ", StringComparison.Ordinal) && notice.Text.Contains("esp_proposals", StringComparison.Ordinal));
            var down = Assert.Single(side.Events.OfType<ChildDown>());
            Assert.Equal(("ah", "nat"), (down.Child, down.Reason));
            Assert.StartsWith($"child ah wants AH, and {who} behind a NAT", down.Text, StringComparison.Ordinal);
        }

        Assert.Single(pair.Left.Engine.Snapshot().IkeSas);
        // that is no end that anybody asked for: it counts as expired, and close_action says what then
        if (close != StartAction.Start) Assert.All([pair.Left, pair.Right], side => Assert.Equal(close == StartAction.Trap, side.Policies.ContainsKey(("net", "ah"))));
        // back where there is none: who wants it all the time has it again
        pair.Nat = null;
        MoveTo(home);
        pair.Run(TimeSpan.FromMinutes(10));
        Assert.Equal(close == StartAction.Start ? 2 : 1, pair.Left.Installed.Count);

        void MoveTo(IpAddress address)
        {
            pair.Left.Address = address;
            pair.Left.Command(id => new IkeCommand.Addresses(id, [address]), pair.Now);
            pair.Run(TimeSpan.FromSeconds(2));
        }
    }

    /// <summary>RFC 4543 section 5.4, RFC 7296 section 2.17: no encryption keys; with GMAC four octets of salt.</summary>
    private static void Check(EnginePair pair, string ah, ChildMode mode)
    {
        var (left, right) = (Assert.Single(pair.Left.Installed.Values), Assert.Single(pair.Right.Installed.Values));
        Assert.Equal((ProtocolId.Ah, ProtocolId.Ah, false, ah.Contains("-esn", StringComparison.Ordinal)), (left.Protocol, right.Protocol, left.UdpEncapsulation, left.Esn));
        Assert.Equal((0, 0, Algorithms.KeyLength(left.Integ)), (left.InboundEncrKey.Length, left.OutboundEncrKey.Length, left.InboundIntegKey.Length));
        Assert.Equal(Convert.ToHexString(left.OutboundIntegKey.Span), Convert.ToHexString(right.InboundIntegKey.Span));
        Assert.Equal(Convert.ToHexString(right.OutboundIntegKey.Span), Convert.ToHexString(left.InboundIntegKey.Span));
        Assert.NotEqual(Convert.ToHexString(left.OutboundIntegKey.Span), Convert.ToHexString(left.InboundIntegKey.Span));
        Assert.Equal(mode == ChildMode.Transport ? IpsecMode.Transport : IpsecMode.Tunnel, left.Mode);
        Assert.Equal(ProtocolId.Ah, Assert.Single(Assert.Single(pair.Left.Engine.Snapshot().IkeSas).Children).Protocol);
    }

    private static Connection With(Connection connection, string ah, ChildMode mode = ChildMode.Tunnel)
    {
        var child = connection.Children[0] with { Proposals = EnginePair.Proposals(ProtocolId.Ah, ah), Mode = mode };
        if (mode == ChildMode.Transport) child = child with { LocalSelectors = [], RemoteSelectors = [] };
        return connection with { Children = [child] };
    }
}
