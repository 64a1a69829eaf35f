using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>Which selectors an identity may claim (the PAD of RFC 4301 section 4.4.3): those of the connection that its identity leads to, whatever address it comes from, whenever it asks.</summary>
[Trait("Item", "2.17")]
public sealed class PeerSelectorTests
{
    [Theory]
    [InlineData("alice", "10.1.0.0/16", "10.1.0.0/16")]
    [InlineData("bob", "10.2.0.0/16", "10.2.0.0/16")]
    [InlineData("bob", "10.2.7.0/24", "10.2.7.0/24")]
    [InlineData("bob", "10.0.0.0/8", "10.2.0.0/16")]
    [InlineData("bob", "10.1.0.0/16", null)]
    [InlineData("alice", "10.2.0.0/16", null)]
    // whose connection is for any address of its own: dynamic
    [InlineData("carol", "192.0.2.2/32", "192.0.2.2/32")]
    [InlineData("carol", "0.0.0.0/0", "192.0.2.2/32")]
    [InlineData("carol", "192.0.2.3/32", null)]
    [InlineData("carol", "10.1.0.0/16", null)]
    public void A_peer_gets_what_its_identity_may_have(string name, string wanted, string? given)
    {
        using var pair = new EnginePair();
        Load(pair, name, wanted);
        Assert.Equal(given is not null, pair.Up().Success);
        Assert.Equal(given, pair.Right.Installed.Values.SingleOrDefault()?.RemoteSelectors.Single().ToString());
        if (given is not null) return;
        Assert.Equal("selectors", pair.Right.LastReport!.Failure!.Reason);
        // the peer is who it says: only the child is refused (RFC 7296 section 1.2)
        Assert.Equal(name, pair.Right.Engine.IkeSas.Single().Connection.Name);
    }

    [Theory]
    [InlineData("bob", "10.2.0.0/16", "10.1.0.0/16")]
    [InlineData("carol", "192.0.2.2/32", "10.1.0.0/16")]
    public void Nor_does_it_get_more_later(string name, string first, string second)
    {
        using var pair = new EnginePair();
        Load(pair, name, first, second);
        Assert.True(pair.Up().Success);
        // CREATE_CHILD_SA on the IKE SA that is up
        var id = pair.Left.Up("net", "more", pair.Now);
        pair.Run();
        Assert.False(pair.Left.Results[id].Success);
        Assert.Equal("selectors", pair.Right.LastReport!.Failure!.Reason);
        Assert.Equal(first, Assert.Single(pair.Right.Installed.Values).RemoteSelectors.Single().ToString());
        // and a rekeying brings what there was, over a rekeyed IKE SA too
        pair.Left.Command(command => new IkeCommand.Rekey(command, new SaTarget("net")), pair.Now);
        pair.Run();
        pair.Left.Command(command => new IkeCommand.Rekey(command, new SaTarget("net", "net")), pair.Now);
        pair.Run();
        id = pair.Left.Up("net", "more", pair.Now);
        pair.Run();
        Assert.False(pair.Left.Results[id].Success);
        Assert.Equal(first, Assert.Single(pair.Right.Installed.Values).RemoteSelectors.Single().ToString());
    }

    [Fact]
    public void A_virtual_address_of_another_cannot_be_claimed()
    {
        using var pair = new EnginePair();
        Assert.True(PoolText.TryParseAddresses("10.64.0.0/24", out var range, out _));
        var right = EnginePair.RightGateway();
        right = right with { Remote = new RemoteAuth { Id = IdentityPattern.Any }, Pools = ["p"], Children = [right.Children[0] with { RemoteSelectors = [] }] };
        pair.Right.Load(PolicySet.Of(right) with { Pools = [new Pool { Name = "p", Addresses = [range] }] }, pair.Now);
        var left = EnginePair.LeftGateway() with { VirtualIps = [IpAddress.AnyV4] };
        // it asks for an address, gets 10.64.0.1, and wants the traffic of another one
        pair.Left.Load(PolicySet.Of(left with { Children = [left.Children[0] with { LocalSelectors = [EnginePair.Ts("10.64.0.2/32")] }] }), pair.Now);
        Assert.False(pair.Up().Success);
        Assert.Equal("selectors", pair.Right.LastReport!.Failure!.Reason);
        pair.Left.Load(PolicySet.Of(left with { Children = [left.Children[0] with { LocalSelectors = [EnginePair.Ts("10.64.0.0/16")] }] }), pair.Now);
        Assert.True(pair.Up().Success);
        Assert.Equal(pair.Left.Configured.Values.Single().Addresses.Single(), pair.Right.Installed.Values.Single().RemoteSelectors.Single().First);
        Assert.Equal(pair.Right.Installed.Values.Single().RemoteSelectors.Single().First, pair.Right.Installed.Values.Single().RemoteSelectors.Single().Last);
    }

    private static void Load(EnginePair pair, string name, params string[] wanted)
    {
        var left = EnginePair.LeftGateway();
        pair.Left.Load(
            PolicySet.Of(left with
            {
                Local = new LocalAuth { Id = Identity.Fqdn(name + ".example.org") },
                Children = [.. wanted.Select((selector, number) => left.Children[0] with { Name = number == 0 ? "net" : "more", LocalSelectors = [EnginePair.Ts(selector)] })],
            }),
            pair.Now);
        var right = EnginePair.RightGateway();
        // all of them come from the same address
        Connection Of(string peer, params SelectorPattern[] selectors) => right with { Name = peer, Remote = new RemoteAuth { Id = IdentityPattern.Parse(peer + ".example.org") }, Children = [right.Children[0] with { RemoteSelectors = [.. selectors] }] };
        pair.Right.Load(PolicySet.Of(Of("alice", EnginePair.Ts("10.1.0.0/16")), Of("bob", EnginePair.Ts("10.2.0.0/16")), Of("carol")), pair.Now);
    }
}
