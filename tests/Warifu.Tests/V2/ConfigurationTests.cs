using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.V2.Exchanges;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>The configuration payload between two engines: left is the client, right has the pools (R95 to R101).</summary>
[Trait("Item", "2.16")]
public sealed class ConfigurationTests
{
    [Fact]
    public void A_client_gets_an_address_of_each_ip_version_and_the_child_is_narrowed_to_them()
    {
        using var pair = Client(["0.0.0.0", "::"], Pool("v4", "10.3.0.0/24"), Pool("v6", "fd10:3::/96"));
        Assert.True(pair.Up().Success);
        Assert.Equal(["10.3.0.1/32", "fd10:3::1/128"], Single(pair.Left).LocalSelectors.Select(one => one.ToString()));
        Assert.Equal(["10.3.0.1/32", "fd10:3::1/128"], Single(pair.Right).RemoteSelectors.Select(one => one.ToString()));
        Assert.Equal(["10.3.0.1", "fd10:3::1"], pair.Left.Configured.Values.Single().Addresses.Select(one => one.ToString()));
        Assert.Equal(["10.3.0.1", "fd10:3::1"], pair.Left.Engine.Snapshot().IkeSas.Single().LocalVips.Select(one => one.ToString()));
        Assert.Equal(["10.3.0.1", "fd10:3::1"], pair.Right.Engine.Snapshot().IkeSas.Single().RemoteVips.Select(one => one.ToString()));
        // four messages as ever: CP rides on IKE_AUTH (R13)
        Assert.Equal(4, pair.Sent.Count);
    }

    [Fact]
    public void Two_addresses_of_one_version_are_given_when_two_are_asked_for()
    {
        using var pair = Client(["0.0.0.0", "0.0.0.0"], Pool("v4", "10.3.0.0/24"));
        Assert.True(pair.Up().Success);
        Assert.Equal(["10.3.0.1", "10.3.0.2"], pair.Left.Configured.Values.Single().Addresses.Select(one => one.ToString()));
    }

    [Fact]
    public void All_attributes_of_a_pool_arrive_and_the_reserved_ones_are_never_sent()
    {
        var pool = Pool("v4", "10.3.0.0/24") with
        {
            Attributes =
            [
                .. Attribute("netmask", "255.255.255.0"), .. Attribute("netmask", "255.255.0.0"), .. Attribute("dns", "10.2.0.53"), .. Attribute("dns", "10.2.0.54"), .. Attribute("nbns", "10.2.0.55"), .. Attribute("dhcp", "10.2.0.56"),
                .. Attribute("subnet", "10.2.0.0/16"), .. Attribute("subnet", "fd10:2::/64"), .. Attribute("dns", "fd10:2::53"), .. Attribute("dhcp", "fd10:2::56"), .. Attribute("7", "Warifu"),
                .. Attribute("5", "0x00000E10"), .. Attribute("9", "ffff:ffff::"), .. Attribute("11", "fd10:2::57"), .. Attribute("p_cscf", "10.2.0.60"),
            ],
        };
        using var pair = Client(["0.0.0.0", "::"], [ConfigurationType.ApplicationVersion, ConfigurationType.SupportedAttributes], pool, Pool("v6", "fd10:3::/96"));
        Assert.True(pair.Up().Success);
        var told = pair.Left.Events.OfType<VirtualIpsReceived>().Single();
        Assert.Equal(
            [
                "INTERNAL_IP4_ADDRESS 10.3.0.1", "INTERNAL_IP6_ADDRESS fd10:3::1/32", "INTERNAL_IP4_NETMASK 255.255.255.0", "INTERNAL_IP4_DNS 10.2.0.53", "INTERNAL_IP4_DNS 10.2.0.54", "INTERNAL_IP4_NBNS 10.2.0.55",
                "INTERNAL_IP4_DHCP 10.2.0.56", "INTERNAL_IP4_SUBNET 10.2.0.0/16", "INTERNAL_IP6_SUBNET fd10:2::/64", "INTERNAL_IP6_DNS fd10:2::53", "INTERNAL_IP6_DHCP fd10:2::56", "APPLICATION_VERSION Warifu",
                "SUPPORTED_ATTRIBUTES INTERNAL_IP4_ADDRESS INTERNAL_IP4_NETMASK INTERNAL_IP4_DNS INTERNAL_IP4_NBNS INTERNAL_IP4_DHCP APPLICATION_VERSION INTERNAL_IP6_ADDRESS INTERNAL_IP6_DNS INTERNAL_IP6_DHCP "
                    + "INTERNAL_IP4_SUBNET SUPPORTED_ATTRIBUTES INTERNAL_IP6_SUBNET P_CSCF_IP4_ADDRESS P_CSCF_IP6_ADDRESS INTERNAL_DNS_DOMAIN INTERNAL_DNSSEC_TA",
            ],
            told.Attributes);
        Assert.Equal(["10.2.0.53", "10.2.0.54", "fd10:2::53"], told.DnsServers.Select(one => one.ToString()));
        // the trace names them
        Assert.Contains(pair.Right.LastReport!.Steps, step => step.Details.Contains("CP request INTERNAL_IP4_ADDRESS"));
        Assert.Contains(pair.Right.LastReport!.Steps, step => step.Details.Contains("CP reply INTERNAL_IP4_NBNS 10.2.0.55"));
    }

    [Fact]
    public void Split_dns_brings_domains_each_before_its_trust_anchor()
    {
        var pool = Pool("v4", "10.3.0.0/24") with { Attributes = [.. Attribute("dns", "10.2.0.53"), .. Attribute("dns_domain", "corp.example 43547 8 1 B6225AB2CC613E0DCA7962BDC2342EA4F1B56083"), .. Attribute("dns_domain", "lab.example")] };
        using var pair = Client(["0.0.0.0"], [ConfigurationType.InternalDnssecTa], pool);
        Assert.True(pair.Up().Success);
        var told = pair.Left.Events.OfType<VirtualIpsReceived>().Single();
        Assert.Equal(["corp.example", "lab.example"], told.Domains);
        Assert.Equal(["INTERNAL_DNS_DOMAIN corp.example", "INTERNAL_DNSSEC_TA 43547 8 1 B6225AB2CC613E0DCA7962BDC2342EA4F1B56083", "INTERNAL_DNS_DOMAIN lab.example"], told.Attributes.Where(line => line.Contains("_DNS_", StringComparison.Ordinal) || line.Contains("DNSSEC", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_domain_without_a_name_server_is_not_sent()
    {
        using var pair = Client(["0.0.0.0"], Pool("v4", "10.3.0.0/24") with { Attributes = [.. Attribute("dns_domain", "corp.example")] });
        Assert.True(pair.Up().Success);
        Assert.Empty(pair.Left.Events.OfType<VirtualIpsReceived>().Single().Domains);
        Assert.DoesNotContain(pair.Left.Events.OfType<VirtualIpsReceived>().Single().Attributes, line => line.Contains("DOMAIN", StringComparison.Ordinal));
    }

    [Fact]
    public void An_exhausted_pool_refuses_the_child_and_says_so_on_both_sides_and_the_client_closes()
    {
        using var pair = Client(["0.0.0.0"], Pool("v4", "10.3.0.1-10.3.0.1"));
        pair.Right.Leases.Grant(new LeaseWish(Identity.Fqdn("other.example.org"), ["v4"], [IpAddress.AnyV4], Share: false));
        Assert.False(pair.Up().Success);
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
        Assert.Equal("no-address", pair.Right.LastReport!.Failure!.Reason);
        Assert.Contains("pool v4: 10.3.0.1-10.3.0.1", pair.Right.LastReport.Failure.Accepted);
        Assert.Equal("no-address", pair.Left.LastReport!.Failure!.Reason);
        Assert.Contains("INTERNAL_ADDRESS_FAILURE", pair.Left.LastReport.Failure.Sentence, StringComparison.Ordinal);
        // the responder held the IKE SA up (section 3.15.4); it is the client that has no use for it
        Assert.Contains(pair.Right.Events, happening => happening is IkeSaUp);
        Assert.Empty(pair.Left.Engine.Snapshot().IkeSas);
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
    }

    [Fact]
    public void One_version_that_is_used_up_leaves_the_other()
    {
        using var pair = Client(["0.0.0.0", "::"], Pool("v6", "fd10:3::/96"));
        Assert.True(pair.Up().Success);
        Assert.Equal(["fd10:3::1"], pair.Left.Configured.Values.Single().Addresses.Select(one => one.ToString()));
        Assert.Equal(["fd10:3::1/128"], Single(pair.Right).RemoteSelectors.Select(one => one.ToString()));
    }

    [Fact]
    public void Who_must_ask_for_an_address_and_does_not_gets_FAILED_CP_REQUIRED()
    {
        using var pair = Client([], Pool("v4", "10.3.0.0/24"));
        Assert.False(pair.Up().Success);
        Assert.Contains("FAILED_CP_REQUIRED", pair.Left.LastReport!.Failure!.Sentence, StringComparison.Ordinal);
        Assert.Contains("vips = 0.0.0.0", pair.Left.LastReport.Failure.Remedy, StringComparison.Ordinal);
        Assert.Equal("no-address", pair.Right.LastReport!.Failure!.Reason);
        // not fatal to the IKE SA (section 2.19)
        Assert.Equal("ESTABLISHED", pair.Right.Engine.Snapshot().IkeSas.Single().State);
        Assert.Equal("ESTABLISHED", pair.Left.Engine.Snapshot().IkeSas.Single().State);
    }

    [Fact]
    public void A_gateway_without_pools_ignores_the_request_and_the_client_gives_up()
    {
        using var pair = Client(["0.0.0.0"]);
        Assert.False(pair.Up().Success);
        Assert.Contains("gave us no virtual IP", pair.Left.LastReport!.Failure!.Sentence, StringComparison.Ordinal);
        Assert.Empty(pair.Left.Configured);
        Assert.Empty(pair.Left.Installed);
    }

    [Fact]
    public void An_address_is_kept_over_rekeying_of_both_sides_and_freed_at_the_end()
    {
        using var pair = Client(["0.0.0.0"], Pool("v4", "10.3.0.0/24"));
        Assert.True(pair.Up().Success);
        foreach (var host in new[] { pair.Left, pair.Right, pair.Left })
        {
            host.Command(id => new IkeCommand.Rekey(id, new SaTarget("net")), pair.Now);
            pair.Run();
            host.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
            pair.Run();
            Assert.Single(pair.Left.Configured);
            Assert.Equal(1, pair.Right.Leases.Status().Single().Online);
            Assert.Equal(["10.3.0.1/32"], Single(pair.Left).LocalSelectors.Select(one => one.ToString()));
        }

        pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net")), pair.Now);
        pair.Run();
        Assert.Empty(pair.Left.Configured);
        var pool = pair.Right.Leases.Status().Single();
        Assert.Equal((0, 1), (pool.Online, pool.Offline));
    }

    [Fact]
    public void Who_comes_back_gets_what_it_had_although_others_came_meanwhile()
    {
        using var pair = Client(["0.0.0.0"], Pool("v4", "10.3.0.0/24"));
        pair.Right.Leases.Grant(new LeaseWish(Identity.Fqdn("first.example.org"), ["v4"], [IpAddress.AnyV4], Share: false));
        Assert.True(pair.Up().Success);
        pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net")), pair.Now);
        pair.Run();
        pair.Right.Leases.Grant(new LeaseWish(Identity.Fqdn("second.example.org"), ["v4"], [IpAddress.AnyV4], Share: false));
        Assert.True(pair.Up().Success);
        Assert.Equal(["10.3.0.2"], pair.Left.Configured.Values.Single().Addresses.Select(one => one.ToString()));
    }

    [Fact]
    public void A_client_whose_gateway_was_closed_by_force_loses_its_address_and_comes_back_to_it()
    {
        using var pair = Client(["0.0.0.0"], Pool("v4", "10.3.0.0/24"));
        Assert.True(pair.Up().Success);
        pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net"), Force: true), pair.Now);
        Assert.Empty(pair.Left.Configured);
        Assert.Equal(1, pair.Right.Leases.Status().Single().Online);
        // INITIAL_CONTACT ends what the gateway still holds
        Assert.True(pair.Up().Success);
        Assert.Equal(["10.3.0.1"], pair.Left.Configured.Values.Single().Addresses.Select(one => one.ToString()));
        Assert.Equal(1, pair.Right.Leases.Status().Single().Online);
    }

    [Fact]
    public void A_lease_whose_answer_comes_after_the_end_goes_back()
    {
        using var pair = Client(["0.0.0.0"], Pool("v4", "10.3.0.0/24"));
        pair.Right.HeldAsks = [];
        pair.Left.Up("net", "net", pair.Now);
        pair.Settle();
        while (pair.Right.HeldAsks.FirstOrDefault(ask => ask.Question is Ask.Lease) == default)
        {
            var held = pair.Right.HeldAsks;
            pair.Right.HeldAsks = [];
            foreach (var (id, question) in held) pair.Right.Answer(id, question, pair.Now);
            pair.Settle();
        }

        var lease = pair.Right.HeldAsks.Single();
        pair.Right.HeldAsks = null;
        pair.Right.Load(new PolicySet { Pools = [Pool("v4", "10.3.0.0/24")] }, pair.Now);
        pair.Right.Command(id => new IkeCommand.Shutdown(id), pair.Now);
        pair.Right.Answer(lease.Id, lease.Question, pair.Now);
        pair.Run(TimeSpan.FromMinutes(10));
        Assert.Equal(0, pair.Right.Leases.Status().Single().Online);
    }

    [Fact]
    public void What_a_client_did_not_ask_for_or_cannot_use_is_passed_over()
    {
        using var pair = Client(["0.0.0.0"], Pool("v4", "127.0.0.5-127.0.0.5"));
        Assert.False(pair.Up().Success);
        Assert.Empty(pair.Left.Configured);
    }

    [Fact]
    public void A_client_takes_no_more_addresses_than_it_asked_for()
    {
        var reply = new MessageBuilder().Configuration(ConfigurationKind.Reply, [.. new[] { "10.3.0.1", "10.3.0.2", "10.3.0.1" }.Select(address => new ConfigurationAttribute((ushort)ConfigurationType.InternalIp4Address, [.. IpAddress.Parse(address).ToOctets()]))]);
        Assert.Equal(ParseError.None, MessageView.TryParse(reply.First, reply.Chain, out var view));
        Assert.Equal(["10.3.0.1"], ConfigurationReply.Read(view, [IpAddress.AnyV4]).Addresses.Select(address => address.ToString()));
        Assert.Equal(["10.3.0.1", "10.3.0.2"], ConfigurationReply.Read(view, [IpAddress.AnyV4, IpAddress.AnyV4]).Addresses.Select(address => address.ToString()));
        Assert.Empty(ConfigurationReply.Read(view, [IpAddress.AnyV6]).Addresses);
    }

    [Fact]
    public void A_client_takes_only_its_own_address_from_a_gateway_that_does_not_narrow()
    {
        using var pair = Client(["0.0.0.0"], Pool("v4", "10.3.0.0/24"));
        var right = pair.Right.Engine.Policy.Connections.Single();
        pair.Right.Load(pair.Right.Engine.Policy with { Connections = [right with { Children = [right.Children[0] with { RemoteSelectors = [EnginePair.Ts("0.0.0.0/0")] }] }] }, pair.Now);
        Assert.True(pair.Up().Success);
        Assert.Equal(["0.0.0.0/0"], Single(pair.Right).RemoteSelectors.Select(one => one.ToString()));
        Assert.Equal(["10.3.0.1/32"], Single(pair.Left).LocalSelectors.Select(one => one.ToString()));
    }

    [Fact]
    public void A_trap_of_a_client_holds_what_goes_to_the_other_side_from_any_address()
    {
        using var pair = Client(["0.0.0.0"], Pool("v4", "10.3.0.0/24"));
        var left = Left(["0.0.0.0"], []);
        pair.Left.Load(PolicySet.Of(left with { Children = [left.Children[0] with { StartAction = StartAction.Trap }] }), pair.Now);
        Assert.Equal(["0.0.0.0/0"], pair.Left.Policies[("net", "net")].LocalSelectors.Select(one => one.ToString()));
    }

    [Theory]
    [InlineData(ChildlessPolicy.Prefer)]
    [InlineData(ChildlessPolicy.Force)]
    public void A_client_without_a_child_in_IKE_AUTH_gets_its_address_there_all_the_same(ChildlessPolicy childless)
    {
        using var pair = Client(["0.0.0.0"], Pool("v4", "10.3.0.0/24"));
        pair.Left.Load(PolicySet.Of(Left(["0.0.0.0"], []) with { Childless = childless }), pair.Now);
        var right = pair.Right.Engine.Policy;
        pair.Right.Load(right with { Connections = [right.Connections[0] with { Childless = childless }] }, pair.Now);
        Assert.True(pair.Up().Success);
        // CP rides on IKE_AUTH (RFC 6023 section 3), the child is made by an exchange of its own
        Assert.Equal([ExchangeType.IkeSaInit, ExchangeType.IkeSaInit, ExchangeType.IkeAuth, ExchangeType.IkeAuth, ExchangeType.CreateChildSa, ExchangeType.CreateChildSa], pair.Sent.Select(sent => IkeHeader.TryRead(sent.Message.Message, out var header) ? header.Exchange : default));
        Assert.Equal(["10.3.0.1/32"], Single(pair.Left).LocalSelectors.Select(one => one.ToString()));
        Assert.Equal(["10.3.0.1/32"], Single(pair.Right).RemoteSelectors.Select(one => one.ToString()));
        Assert.Single(pair.Left.Configured);
    }

    [Fact]
    public void A_client_without_any_child_gets_its_address()
    {
        using var pair = Client(["0.0.0.0"], Pool("v4", "10.3.0.0/24"));
        foreach (var host in new[] { pair.Left, pair.Right })
        {
            var policy = host.Engine.Policy;
            host.Load(policy with { Connections = [policy.Connections[0] with { Childless = ChildlessPolicy.Prefer, Children = [] }] }, pair.Now);
        }

        var up = pair.Left.Up("net", null, pair.Now);
        pair.Run();
        Assert.True(pair.Left.Results[up].Success);
        Assert.Equal(["10.3.0.1"], pair.Left.Configured.Values.Single().Addresses.Select(one => one.ToString()));
    }

    [Fact]
    public void An_address_is_kept_when_the_peers_authenticate_anew()
    {
        using var pair = Client(["0.0.0.0"], Pool("v4", "10.3.0.0/24"));
        Assert.True(pair.Up().Success);
        for (var i = 0; i < 3; i++)
        {
            var id = pair.Left.Command(command => new IkeCommand.Reauth(command, new SaTarget("net")), pair.Now);
            pair.Run();
            pair.Run(TimeSpan.FromSeconds(30));
            Assert.True(pair.Left.Results[id].Success);
            Assert.Equal(i + 1, pair.Left.Events.OfType<IkeSaReauthenticated>().Count());
            Assert.Equal(["10.3.0.1"], Assert.Single(pair.Left.Configured.Values).Addresses.Select(one => one.ToString()));
            Assert.Equal((1, 0), (pair.Right.Leases.Status().Single().Online, pair.Right.Leases.Status().Single().Offline));
            Assert.Equal(["10.3.0.1/32"], Single(pair.Right).RemoteSelectors.Select(one => one.ToString()));
        }

        pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net")), pair.Now);
        pair.Run();
        Assert.Equal((0, 1), (pair.Right.Leases.Status().Single().Online, pair.Right.Leases.Status().Single().Offline));
    }

    [Fact]
    public void Who_asks_for_information_later_gets_what_it_asks_for_and_no_address()
    {
        var pool = Pool("v4", "10.3.0.0/24") with { Attributes = [.. Attribute("dns", "10.2.0.53"), .. Attribute("subnet", "10.2.0.0/16"), .. Attribute("7", "Warifu"), .. Attribute("netmask", "255.255.255.0")] };
        using var impostor = new Impostor(right: right => right with { Pools = ["v4"] }, pools: pool);
        // RFC 7296 section 2.20
        Assert.Equal([(ConfigurationType.ApplicationVersion, "576172696675")], Ask(ConfigurationType.ApplicationVersion));
        Assert.Equal([(ConfigurationType.InternalIp4Dns, "0a020035"), (ConfigurationType.InternalIp4Subnet, "0a020000ffff0000")], Ask(ConfigurationType.InternalIp4Dns, ConfigurationType.InternalIp4Subnet, (ConfigurationType)0x3FFF));
        Assert.Equal([(ConfigurationType.InternalIp4Subnet, "0a020000ffff0000")], Ask(ConfigurationType.InternalIp4Address));
        Assert.Equal(ConfigurationType.SupportedAttributes, Assert.Single(Ask(ConfigurationType.SupportedAttributes)).Type);
        Assert.Empty(Ask());
        // a netmask only beside an address
        Assert.Empty(Ask(ConfigurationType.InternalIp4Netmask));
        Assert.Equal((0, 0), (impostor.Victim.Leases.Status().Single().Online, impostor.Victim.Leases.Status().Single().Offline));
        // CFG_SET may be ignored (section 3.15.1); and nobody gets a CFG_REPLY who has not asked
        var set = new MessageBuilder().Configuration(ConfigurationKind.Set, [new ConfigurationAttribute((ushort)ConfigurationType.InternalIp4Dns, [1, 2, 3, 4])]);
        Assert.Equal(PayloadType.None, Answer(impostor, ExchangeType.Informational, set).First);
        Assert.True(impostor.IsUp);

        (ConfigurationType Type, string Value)[] Ask(params ConfigurationType[] types)
        {
            var request = new MessageBuilder().Configuration(ConfigurationKind.Request, [.. types.Select(type => new ConfigurationAttribute((ushort)type, []))]);
            return Replied(Answer(impostor, ExchangeType.Informational, request));
        }
    }

    [Fact]
    public void A_version_that_is_not_told_is_an_empty_one()
    {
        using var impostor = new Impostor();
        var request = new MessageBuilder().Configuration(ConfigurationKind.Request, [new ConfigurationAttribute((ushort)ConfigurationType.ApplicationVersion, [])]);
        Assert.Equal([(ConfigurationType.ApplicationVersion, "")], Replied(Answer(impostor, ExchangeType.Informational, request)));
    }

    [Theory]
    [InlineData("10.3.0.0/24")]
    [InlineData("10.3.0.1-10.3.0.1")]
    public void An_address_that_is_asked_for_with_a_later_child_is_given_before_the_child_is_looked_at(string addresses)
    {
        using var impostor = new Impostor(right: right => right with { Pools = ["v4"], Children = [right.Children[0], right.Children[0] with { Name = "clients", LocalSelectors = [EnginePair.Ts("10.8.0.0/16")], RemoteSelectors = [] }] }, pools: Pool("v4", addresses));
        var isFull = addresses.Contains('-', StringComparison.Ordinal);
        if (isFull) impostor.Victim.Leases.Grant(new LeaseWish(Identity.Fqdn("other.example.org"), ["v4"], [IpAddress.AnyV4], Share: false));
        Assert.Equal(NotifyType.FailedCpRequired, ErrorOf(Answer(impostor, ExchangeType.CreateChildSa, Request(false))));
        for (var i = 0; i < 2; i++)
        {
            var answer = Answer(impostor, ExchangeType.CreateChildSa, Request(true));
            Assert.True(impostor.IsUp);
            if (isFull)
            {
                Assert.Equal(NotifyType.InternalAddressFailure, ErrorOf(answer));
                Assert.Single(impostor.Victim.Installed);
                Assert.Equal("no-address", impostor.Victim.LastReport!.Failure!.Reason);
                continue;
            }

            // CP before SA (section 2.19); the second child belongs to the same address
            Assert.Equal(PayloadType.Cp, answer.First);
            Assert.Equal([(ConfigurationType.InternalIp4Address, "0a030001")], Replied(answer));
            Assert.Equal(["10.3.0.1/32"], impostor.Victim.Installed.Values.Last().RemoteSelectors.Select(one => one.ToString()));
            Assert.Equal(1, impostor.Victim.Leases.Status().Single().Online);
            Assert.Single(impostor.Victim.Events.OfType<VirtualIpsGiven>());
            // who asks for information gets no address with it, also when it has one
            Assert.Empty(Replied(Answer(impostor, ExchangeType.Informational, new MessageBuilder().Configuration(ConfigurationKind.Request, [new ConfigurationAttribute((ushort)ConfigurationType.InternalIp4Dns, [])]))));
        }

        impostor.Victim.Command(id => new IkeCommand.Down(id, new SaTarget("net"), Force: true), impostor.Now);
        Assert.Equal(isFull ? 1 : 0, impostor.Victim.Leases.Status().Single().Online);

        static MessageBuilder Request(bool asks)
        {
            var builder = new MessageBuilder();
            if (asks) builder.Configuration(ConfigurationKind.Request, [new ConfigurationAttribute((ushort)ConfigurationType.InternalIp4Address, [])]);
            return builder.Sa([new OfferedProposal(1, s_spi++, 4, EnginePair.Proposals(ProtocolId.Esp, "aes128gcm16")[0])]).Nonce(new byte[32])
                .Ts(PayloadType.TsI, [TrafficSelector.Of(new IpPrefix(IpAddress.AnyV4, 0))]).Ts(PayloadType.TsR, [TrafficSelector.Of(new IpPrefix(IpAddress.Parse("10.8.0.0"), 16))]);
        }
    }

    [Fact]
    public void A_request_that_waits_for_its_address_is_not_taken_twice()
    {
        using var impostor = new Impostor(right: right => right with { Pools = ["v4"], Children = [right.Children[0], right.Children[0] with { Name = "clients", LocalSelectors = [EnginePair.Ts("10.8.0.0/16")], RemoteSelectors = [] }] }, pools: Pool("v4", "10.3.0.0/24"));
        var victim = impostor.Victim;
        var request = new MessageBuilder().Configuration(ConfigurationKind.Request, [new ConfigurationAttribute((ushort)ConfigurationType.InternalIp4Address, [])])
            .Sa([new OfferedProposal(1, s_spi++, 4, EnginePair.Proposals(ProtocolId.Esp, "aes128gcm16")[0])]).Nonce(new byte[32])
            .Ts(PayloadType.TsI, [TrafficSelector.Of(new IpPrefix(IpAddress.AnyV4, 0))]).Ts(PayloadType.TsR, [TrafficSelector.Of(new IpPrefix(IpAddress.Parse("10.8.0.0"), 16))]);
        var message = impostor.Seal(ExchangeType.CreateChildSa, isResponse: false, 2, request.First, request.Chain);
        victim.Outbox.Clear();
        victim.HeldAsks = [];
        for (var i = 0; i < 3; i++) victim.Receive(impostor.Local, impostor.Remote, message, impostor.Now);
        var (id, question) = Assert.Single(victim.HeldAsks);
        Assert.Empty(victim.Outbox);
        Assert.Equal(2, victim.Engine.Counters.Drops[(int)DropReason.InProgress]);
        victim.HeldAsks = null;
        victim.Answer(id, question, impostor.Now);
        Assert.Single(victim.Outbox);
        Assert.Equal(2, victim.Installed.Count);
    }

    private static ulong s_spi = 0x1000;

    private static (PayloadType First, byte[] Chain) Answer(Impostor impostor, ExchangeType exchange, MessageBuilder request)
    {
        var chain = impostor.Open(impostor.Request(exchange, request.First, request.Chain)!, out var first);
        return (first, chain);
    }

    private static NotifyType ErrorOf((PayloadType First, byte[] Chain) answer) =>
        MessageView.TryParse(answer.First, answer.Chain, out var view) == ParseError.None && view.TryGetError(out var error) ? error.Type : default;

    private static (ConfigurationType Type, string Value)[] Replied((PayloadType First, byte[] Chain) answer)
    {
        Assert.Equal(ParseError.None, MessageView.TryParse(answer.First, answer.Chain, out var view));
        Assert.True(view.TryGet(PayloadType.Cp, out var body));
        Assert.Equal(ParseError.None, CpView.TryParse(body, out var cp));
        Assert.Equal(ConfigurationKind.Reply, cp.Kind);
        var found = new List<(ConfigurationType, string)>();
        foreach (var attribute in cp) found.Add((attribute.Type, Convert.ToHexStringLower(attribute.Value)));
        return [.. found];
    }

    private static Warifu.Ipsec.ChildSa Single(EngineHost host) => Assert.Single(host.Installed.Values);

    private static Connection Left(string[] vips, ImmutableArray<ConfigurationType> asks)
    {
        var left = EnginePair.LeftGateway();
        return left with { VirtualIps = [.. vips.Select(one => IpAddress.Parse(one))], RequestAttributes = asks, Children = [left.Children[0] with { LocalSelectors = [], RemoteSelectors = [EnginePair.Ts("10.2.0.0/16"), EnginePair.Ts("fd10:2::/64")] }] };
    }

    private static EnginePair Client(string[] vips, params Pool[] pools) => Client(vips, [], pools);

    private static EnginePair Client(string[] vips, ImmutableArray<ConfigurationType> asks, params Pool[] pools)
    {
        var pair = new EnginePair();
        var right = EnginePair.RightGateway();
        right = right with { Pools = [.. pools.Select(pool => pool.Name)], Children = [right.Children[0] with { LocalSelectors = [EnginePair.Ts("10.2.0.0/16"), EnginePair.Ts("fd10:2::/64")], RemoteSelectors = [] }] };
        pair.Left.Load(PolicySet.Of(Left(vips, asks)), pair.Now);
        pair.Right.Load(PolicySet.Of(right) with { Pools = [.. pools] }, pair.Now);
        return pair;
    }

    private static Pool Pool(string name, string addresses) => PoolText.TryParseAddresses(addresses, out var range, out var error) ? new Pool { Name = name, Addresses = [range] } : throw new ArgumentException(error);

    private static ImmutableArray<PoolAttribute> Attribute(string key, string value) => PoolText.TryParseAttribute(key, value, out var attributes, out var error) ? attributes : throw new ArgumentException(error);
}
