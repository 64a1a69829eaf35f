using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V1;
using Warifu.Wire;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Mode Config, pull and push, both roles, and Cisco's attributes (item 3.6).</summary>
[Trait("Item", "3.6")]
public sealed class ModeConfigTests
{
    [Theory]
    [InlineData(AccessProof.None, true)]
    [InlineData(AccessProof.None, false)]
    [InlineData(AccessProof.Psk, true)]
    [InlineData(AccessProof.Psk, false)]
    [InlineData(AccessProof.Hybrid, true)]
    public void A_client_gets_an_address_and_all_that_the_pool_says(AccessProof proof, bool pull)
    {
        var (client, gateway) = RemoteAccessPair.WithPool(RemoteAccessPair.Client(proof), RemoteAccessPair.Gateway(proof), pull);
        using var pair = RemoteAccessPair.Up(client, gateway);
        var given = pair.Left.Events.OfType<VirtualIpsReceived>().Single();
        Assert.Equal("10.3.0.1", given.Addresses.Single().ToString());
        Assert.Equal("10.2.0.53", given.DnsServers.Single().ToString());
        Assert.Equal(["corp.example", "lab.example"], given.Domains);
        foreach (var line in new[] { "INTERNAL_IP4_ADDRESS 10.3.0.1", "INTERNAL_IP4_NETMASK 255.255.255.0", "INTERNAL_IP4_DNS 10.2.0.53", "INTERNAL_IP4_NBNS 10.2.0.54", "INTERNAL_IP4_SUBNET 10.2.0.0/16", "UNITY_BANNER Welcome", "UNITY_DEF_DOMAIN corp.example", "UNITY_SPLIT_INCLUDE 10.2.0.0/16" }) Assert.Contains(line, given.Attributes);
        // what was not asked for is pushed only
        Assert.Equal(pull ? 0 : 1, given.Attributes.Count(line => line == "APPLICATION_VERSION Warifu"));
        Assert.Contains(pair.Left.Events.OfType<Notice>(), notice => notice.Text == "the gateway says: Welcome");
        var configured = pair.Left.Configured.Single().Value;
        Assert.Equal((given.Addresses.Single(), "net"), (configured.Addresses.Single(), configured.Connection));
        Assert.Equal("10.3.0.1/32", pair.Left.Installed.Values.Single().LocalSelectors.Single().ToString());
        Assert.Equal("10.3.0.1/32", pair.Right.Installed.Values.Single().RemoteSelectors.Single().ToString());
        var lease = Assert.Single(pair.Right.Leases.Status().Single().Leases);
        Assert.Equal((proof == AccessProof.None ? "left.example.org" : "carol", true), (Identities.Print(lease.Identity), lease.Online));
        Assert.Equal("10.3.0.1", pair.Right.Engine.Snapshot().IkeSas.Single().RemoteVips.Single().ToString());
        Assert.Equal("10.3.0.1", pair.Left.Engine.Snapshot().IkeSas.Single().LocalVips.Single().ToString());
        var ids = RemoteAccessPair.Transactions(pair);
        Assert.Equal(proof == AccessProof.None ? 1 : 3, ids.Length);
        // all of it goes with the SA
        pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net")), pair.Now);
        pair.Run(TimeSpan.FromSeconds(20));
        Assert.Empty(pair.Left.Configured);
        Assert.Equal((0, 1), (pair.Right.Leases.Status().Single().Online, pair.Right.Leases.Status().Single().Offline));
        Assert.Equal((0, 0), (pair.Left.Claims.Count, pair.Right.Claims.Count));
    }

    [Fact]
    public void Both_IP_versions_can_be_had()
    {
        var (client, gateway) = RemoteAccessPair.WithPool(RemoteAccessPair.Client(AccessProof.None), RemoteAccessPair.Gateway(AccessProof.None));
        client = client with { VirtualIps = [IpAddress.AnyV4, IpAddress.AnyV6], Children = [client.Children[0] with { RemoteSelectors = [SelectorPattern.Parse("10.2.0.0/16"), SelectorPattern.Parse("2001:db8:2::/48")] }] };
        gateway = gateway with { Children = [gateway.Children[0] with { LocalSelectors = [SelectorPattern.Parse("10.2.0.0/16"), SelectorPattern.Parse("2001:db8:2::/48")] }] };
        var pool = new Pool { Name = "p", Addresses = [RemoteAccessPair.Range("10.3.0.0/24"), RemoteAccessPair.Range("2001:db8:3::/120")], Attributes = RemoteAccessPair.Attribute("dns", "2001:db8:2::53") };
        using var pair = RemoteAccessPair.Make(client, gateway, pool: pool);
        Assert.True(pair.Up().Success, RemoteAccessPair.Why(pair));
        pair.Run(TimeSpan.FromSeconds(5));
        Assert.Equal(["10.3.0.1", "2001:db8:3::1"], pair.Left.Events.OfType<VirtualIpsReceived>().Single().Addresses.Select(address => address.ToString()));
        Assert.Equal("2001:db8:2::53", pair.Left.Events.OfType<VirtualIpsReceived>().Single().DnsServers.Single().ToString());
        Assert.Equal(2, pair.Left.Installed.Count);
    }

    /// <summary>R114: a new phase 1, and the address stays.</summary>
    [Theory]
    [InlineData(AccessProof.None, true)]
    [InlineData(AccessProof.Psk, true)]
    [InlineData(AccessProof.Psk, false)]
    [InlineData(AccessProof.Hybrid, true)]
    public void Phase_1_anew_keeps_the_lease_and_the_children(AccessProof proof, bool pull)
    {
        var (client, gateway) = RemoteAccessPair.WithPool(RemoteAccessPair.Client(proof), RemoteAccessPair.Gateway(proof), pull);
        // the gateway's time would be over first: it leaves it to the client
        static Connection Long(Connection connection) => connection with { Children = [connection.Children[0] with { RekeyTime = TimeSpan.FromHours(4) }] };
        using var pair = RemoteAccessPair.Up(Long(client) with { RekeyTime = TimeSpan.FromMinutes(20) }, Long(gateway) with { RekeyTime = TimeSpan.FromMinutes(19), Unique = UniquePolicy.Replace });
        var (child, address) = (pair.Left.Installed.Keys.Single(), pair.Left.Events.OfType<VirtualIpsReceived>().Single().Addresses.Single());
        for (var round = 1; round < 4; round++)
        {
            pair.Run(TimeSpan.FromMinutes(20));
            V1Pair.AssertQuiet(pair);
            Assert.Equal(child, pair.Left.Installed.Keys.Single());
            Assert.True(pair.Left.Events.OfType<IkeSaReauthenticated>().Count() >= round);
        }

        Assert.Empty(pair.Right.Events.OfType<ChildDown>());
        Assert.Equal(address, pair.Left.Configured.Values.Single().Addresses.Single());
        Assert.Equal(1, pair.Right.Leases.Status().Single().Online);
        Assert.All(pair.Left.Events.OfType<VirtualIpsReceived>(), given => Assert.Equal(address, given.Addresses.Single()));
        // and still in quick mode
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Run(TimeSpan.FromSeconds(20));
        V1Pair.AssertQuiet(pair);
        V1Pair.AssertSame(pair);
    }

    /// <summary>Only the client can say who it is and what it has: a gateway never does phase 1 anew, and its shorter lifetime is the client's.</summary>
    [Theory]
    [InlineData(AccessProof.None)]
    [InlineData(AccessProof.Psk)]
    public void A_gateway_leaves_it_to_the_client_to_do_phase_1_anew(AccessProof proof)
    {
        var (client, gateway) = RemoteAccessPair.WithPool(RemoteAccessPair.Client(proof), RemoteAccessPair.Gateway(proof));
        using var pair = RemoteAccessPair.Up(client with { RekeyTime = TimeSpan.FromHours(1) }, gateway with { RekeyTime = TimeSpan.FromMinutes(10) });
        var theirs = pair.Right.Engine.Snapshot().IkeSas.Single();
        Assert.Null(theirs.RekeyAt ?? theirs.ReauthAt);
        Assert.InRange((pair.Left.Engine.Snapshot().IkeSas.Single().RekeyAt!.Value - pair.Now).TotalMinutes, 5, 10);
        pair.Run(TimeSpan.FromMinutes(12));
        Assert.Single(pair.Right.Events.OfType<IkeSaReauthenticated>());
        Assert.All(pair.Right.Events.OfType<IkeSaUp>(), up => Assert.False(up.Initiator));
        V1Pair.AssertQuiet(pair);
    }

    [Fact]
    public void A_client_that_comes_back_gets_what_it_had()
    {
        var (client, gateway) = RemoteAccessPair.WithPool(RemoteAccessPair.Client(AccessProof.Psk), RemoteAccessPair.Gateway(AccessProof.Psk));
        using var pair = RemoteAccessPair.Up(client, gateway);
        pair.Right.Leases.Grant(new LeaseWish(Identity.Fqdn("dave"), ["p"], [IpAddress.AnyV4], false));
        for (var i = 0; i < 3; i++)
        {
            pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net")), pair.Now);
            pair.Run(TimeSpan.FromSeconds(20));
            Assert.True(pair.Up().Success);
            Assert.Equal("10.3.0.1", pair.Left.Configured.Values.Single().Addresses.Single().ToString());
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Pull_and_push_are_what_both_sides_have_configured(bool clientPulls)
    {
        var (client, gateway) = RemoteAccessPair.WithPool(RemoteAccessPair.Client(AccessProof.None), RemoteAccessPair.Gateway(AccessProof.None));
        using var pair = RemoteAccessPair.Make(client with { Pull = clientPulls }, gateway with { Pull = !clientPulls });
        Assert.False(pair.Up().Success);
        var failure = pair.Left.LastReport!.Failure!;
        Assert.Equal("timeout", failure.Reason);
        Assert.Contains($"connections.net.pull = {(clientPulls ? "no" : "yes")}", failure.Remedy, StringComparison.Ordinal);
        pair.Run(TimeSpan.FromMinutes(3));
        Assert.Empty(pair.Left.Configured);
        Assert.Empty(pair.Right.Installed);
        Assert.Equal(0, pair.Right.Leases.Status().Single().Online);
    }

    [Fact]
    public void Without_a_pool_requests_are_not_answered()
    {
        var (client, gateway) = RemoteAccessPair.WithPool(RemoteAccessPair.Client(AccessProof.None), RemoteAccessPair.Gateway(AccessProof.None));
        using var pair = RemoteAccessPair.Make(client, gateway with { Pools = [] });
        Assert.False(pair.Up().Success);
        Assert.DoesNotContain(pair.Sent, sent => sent.From == pair.Right && sent.Message.Message[18] == (byte)ExchangeType.ModeConfig);
    }

    [Fact]
    public void An_empty_pool_is_explained_on_both_sides()
    {
        var (client, gateway) = RemoteAccessPair.WithPool(RemoteAccessPair.Client(AccessProof.Psk), RemoteAccessPair.Gateway(AccessProof.Psk));
        using var pair = RemoteAccessPair.Make(client, gateway, pool: RemoteAccessPair.Pool with { Addresses = [RemoteAccessPair.Range("2001:db8:3::/120")] });
        Assert.False(pair.Up().Success);
        Assert.Equal("no-address", pair.Left.LastReport!.Failure!.Reason);
        Assert.Contains(pair.Right.Events.OfType<NegotiationEnded>(), ended => ended.Report.Failure?.Reason == "no-address");
        Assert.Empty(pair.Left.Configured);
        // the gateway, for which phase 1 was up, is told that it is over
        Assert.Single(pair.Right.Events.OfType<IkeSaUp>());
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
    }

    /// <summary>A gateway must not give us loopback, multicast or what we have not asked for.</summary>
    [Theory]
    [InlineData("7f000001")]
    [InlineData("00000000")]
    [InlineData("e0000001")]
    [InlineData("ffffffff")]
    [InlineData("0a0300")]
    public void Addresses_that_are_of_no_use_are_not_taken(string octets)
    {
        var (client, gateway) = RemoteAccessPair.WithPool(RemoteAccessPair.Client(AccessProof.None), RemoteAccessPair.Gateway(AccessProof.None), pull: false);
        using var pair = RemoteAccessPair.Make(client, gateway);
        // before the true one
        pair.Right.HeldAsks = [];
        pair.Left.Up("net", "net", pair.Now);
        for (var i = 0; i < 40; i++)
        {
            pair.Settle();
            foreach (var (id, question) in pair.Right.HeldAsks.Where(held => held.Question is not Ask.Lease).ToArray())
            {
                pair.Right.HeldAsks.Remove((id, question));
                pair.Right.Answer(id, question, pair.Now);
            }
        }

        OwnTransaction.Start(pair.Right.Engine.IsakmpSas.Single(), Transaction.ModeConfig, ConfigurationKind.Set, 1, writer => ConfigurationList.Octets(writer, 1, Convert.FromHexString(octets)), (scoped in _) => { }, _ => { });
        pair.Right.Drain(pair.Now);
        pair.Settle();
        Assert.Equal("no-address", pair.Left.LastReport!.Failure!.Reason);
        Assert.Empty(pair.Left.Configured);
    }

    [Fact]
    public void What_is_asked_for_and_what_a_pool_has_decide_together()
    {
        static string Answer(ImmutableArray<PoolAttribute> told, List<byte>? unity, params ConfigurationType[] asked)
        {
            var writer = new WireWriter();
            ConfigurationServer.Write(writer, [IpAddress.Parse("10.3.0.1")], told, unity, [.. asked]);
            return Convert.ToHexStringLower(writer.Written);
        }

        var told = RemoteAccessPair.Pool.Attributes;
        Assert.Equal("", Answer(told, [], ConfigurationType.InternalIp6Address));
        Assert.Equal("000100040a030001", Answer(told, [], ConfigurationType.InternalIp4Address));
        Assert.Equal("000100040a03000100020004ffffff00", Answer(told, [], ConfigurationType.InternalIp4Address, ConfigurationType.InternalIp4Netmask));
        Assert.Equal("00070006576172696675", Answer(told, [], ConfigurationType.ApplicationVersion));
        Assert.Equal("", Answer([], [], ConfigurationType.ApplicationVersion, ConfigurationType.InternalIp4Dns));
        // Cisco's go only to those who know them
        Assert.Equal("", Answer(told, null, ConfigurationType.UnityBanner, ConfigurationType.SplitInclude));
        Assert.Equal("7000000757656c636f6d65", Answer(told, [], ConfigurationType.UnityBanner));
        // all networks in one attribute, with six octets behind each
        Assert.Equal("7004001c0a010000ffff00000000000000000a020000ffff0000000000000000", Answer([.. RemoteAccessPair.Attribute("split_include", "10.1.0.0/16"), .. RemoteAccessPair.Attribute("split_include", "10.2.0.0/16")], [1], ConfigurationType.SplitInclude));
        Assert.Equal("7004000e0a020000ffff0000000000000000", Answer([], UnitySplit.Of(V1Pair.Right()), ConfigurationType.SplitInclude));
        Assert.Equal("", Answer([], UnitySplit.Of(V1Pair.Right() with { Children = [V1Pair.Right().Children[0] with { LocalSelectors = [SelectorPattern.Parse("0.0.0.0/0")] }] }), ConfigurationType.SplitInclude));
    }

    /// <summary>Clients of Cisco's kind negotiate everything, and mean the networks that they were told.</summary>
    [Fact]
    public void Everything_means_the_networks_of_the_gateway_to_clients_that_know_Unity()
    {
        var (client, gateway) = RemoteAccessPair.WithPool(RemoteAccessPair.Client(AccessProof.Psk, aggressive: true), RemoteAccessPair.Gateway(AccessProof.Psk, aggressive: true));
        client = client with { Children = [client.Children[0] with { RemoteSelectors = [SelectorPattern.Parse("0.0.0.0/0")], RekeyTime = TimeSpan.FromMinutes(30) }] };
        gateway = gateway with { Children = [gateway.Children[0] with { LocalSelectors = [SelectorPattern.Parse("10.2.0.0/16"), SelectorPattern.Parse("10.9.0.0/24")] }] };
        using var pair = RemoteAccessPair.Up(client, gateway);
        Assert.Equal(["10.2.0.0/16", "10.9.0.0/24"], pair.Left.Installed.Values.Single().RemoteSelectors.Select(selector => selector.ToString()));
        Assert.Equal(["10.2.0.0/16", "10.9.0.0/24"], pair.Right.Installed.Values.Single().LocalSelectors.Select(selector => selector.ToString()));
        foreach (var host in new[] { pair.Left, pair.Right })
        {
            pair.Run(TimeSpan.FromMinutes(1));
            var before = pair.Left.Installed.Keys.Single();
            host.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
            pair.Run(TimeSpan.FromSeconds(20));
            V1Pair.AssertQuiet(pair);
            V1Pair.AssertSame(pair);
            Assert.NotEqual(before, pair.Left.Installed.Keys.Single());
            Assert.Equal(2, pair.Left.Installed.Values.Single().RemoteSelectors.Length);
            Assert.Equal(2, pair.Right.Installed.Values.Single().LocalSelectors.Length);
        }
    }

    /// <summary>A client that knows Unity, too: the networks are meant for its virtual address.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Everything_is_refused_to_clients_without_an_address(bool knowsUnity)
    {
        var client = RemoteAccessPair.Client(AccessProof.None) with { Pools = knowsUnity ? ["p"] : [] };
        using var pair = RemoteAccessPair.Make(client with { Children = [client.Children[0] with { RemoteSelectors = [SelectorPattern.Parse("0.0.0.0/0")] }] }, RemoteAccessPair.Gateway(AccessProof.None) with { Pools = ["p"] });
        Assert.False(pair.Up().Success);
        Assert.Equal(knowsUnity, pair.Right.Engine.IsakmpSas.Single().Peer.Unity);
        Assert.Equal("selectors", pair.Right.LastReport!.Failure!.Reason);
    }

    [Fact]
    public void Networks_are_read_as_far_as_they_are_networks()
    {
        var networks = new List<TrafficSelector>();
        UnitySplit.Read(Convert.FromHexString("0a010000ffff0000000000000000" + "0a020000ff00ff00000000000000" + "0a0300010000"), networks, 10);
        Assert.Equal("10.1.0.0/16", Assert.Single(networks).ToString());
        UnitySplit.Read(Convert.FromHexString(string.Concat(Enumerable.Repeat("0a010000ffff0000000000000000", 40))), networks, 10);
        Assert.Equal(10, networks.Count);
    }

    [Fact]
    public void A_client_that_moves_behind_a_NAT_finds_its_address()
    {
        var (client, gateway) = RemoteAccessPair.WithPool(RemoteAccessPair.Client(AccessProof.Psk), RemoteAccessPair.Gateway(AccessProof.Psk));
        using var pair = RemoteAccessPair.Make(client, gateway with { RemoteAddresses = [], LocalAddresses = [] });
        pair.Nat = (from, message) => from == pair.Left ? (new Endpoint(IpAddress.Parse("203.0.113.1"), (ushort)(message.Local.Port + 20_000)), message.Remote) : (message.Local, new Endpoint(IpAddress.Parse("192.0.2.2"), (ushort)(message.Remote.Port - 20_000)));
        Assert.True(pair.Up().Success, RemoteAccessPair.Why(pair));
        V1Pair.AssertSame(pair);
        Assert.True(pair.Right.Installed.Values.Single().UdpEncapsulation);
        Assert.Equal(24_500, pair.Right.Engine.Snapshot().IkeSas.Single().Remote.Port);
        Assert.Equal("10.3.0.1/32", pair.Right.Installed.Values.Single().RemoteSelectors.Single().ToString());
    }
}
