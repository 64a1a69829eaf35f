using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Policy;

/// <summary>Who gets which address (R100).</summary>
[Trait("Item", "2.16")]
public sealed class LeaseTableTests
{
    [Fact]
    public void Addresses_go_out_in_order_and_come_back_to_their_owner()
    {
        var table = Table("10.3.0.0/29");
        var leases = Enumerable.Range(1, 6).Select(number => Grant(table, $"c{number}")).ToArray();
        Assert.Equal(["10.3.0.1", "10.3.0.2", "10.3.0.3", "10.3.0.4", "10.3.0.5", "10.3.0.6"], leases.Select(lease => lease.Address));
        Assert.Equal("", Grant(table, "c7").Address);
        table.Release(leases[2].Lease);
        table.Release(leases[4].Lease);
        Assert.Equal("10.3.0.5", Grant(table, "c5").Address);
        Assert.Equal("10.3.0.3", Grant(table, "c7").Address);
        Assert.Equal("", Grant(table, "c3").Address);
    }

    [Fact]
    public void When_all_are_taken_the_client_that_is_gone_for_the_longest_time_loses_its_own()
    {
        var table = Table("10.3.0.1-10.3.0.3");
        var leases = new[] { "a", "b", "c" }.Select(name => Grant(table, name)).ToArray();
        table.Release(leases[1].Lease);
        table.Release(leases[0].Lease);
        table.Release(leases[2].Lease);
        Assert.Equal("10.3.0.2", Grant(table, "d").Address);
        Assert.Equal("10.3.0.1", Grant(table, "a").Address);
        Assert.Equal("10.3.0.3", Grant(table, "b").Address);
        Assert.Equal("", Grant(table, "c").Address);
    }

    [Fact]
    public void A_wish_is_granted_when_the_address_is_free_and_not_when_it_is_somebody_elses()
    {
        var table = Table("10.3.0.0/24");
        Assert.Equal("10.3.0.77", Grant(table, "a", "10.3.0.77").Address);
        Assert.Equal("10.3.0.1", Grant(table, "b", "10.3.0.77").Address);
        Assert.Equal("10.3.0.2", Grant(table, "c", "192.0.2.9").Address);
        // the network's and the broadcast address are not for clients
        Assert.Equal("10.3.0.3", Grant(table, "d", "10.3.0.255").Address);
        Assert.Equal("10.3.0.4", Grant(table, "e", "10.3.0.0").Address);
    }

    [Fact]
    public void An_ipv6_wish_outside_of_the_pool_keeps_its_interface_identifier()
    {
        var table = Table("fd10:3::/64");
        Assert.Equal("fd10:3::dead:beef", Grant(table, "a", "2001:db8::dead:beef").Address);
        Assert.Equal("fd10:3::1", Grant(table, "b", "2001:db8::dead:beef").Address);
    }

    [Fact]
    public void Whoever_authenticates_anew_shares_the_address_by_asking_for_it()
    {
        var table = Table("10.3.0.0/24");
        var first = Grant(table, "a");
        var again = Grant(table, "a", first.Address);
        Assert.Equal(first.Address, again.Address);
        table.Release(first.Lease);
        Assert.Equal(1, table.Status().Single().Online);
        table.Release(again.Lease);
        Assert.Equal(0, table.Status().Single().Online);
    }

    [Fact]
    public void A_second_device_of_one_identity_gets_its_own_address_unless_there_may_be_only_one()
    {
        var table = Table("10.3.0.0/24");
        Assert.Equal("10.3.0.1", Grant(table, "a").Address);
        Assert.Equal("10.3.0.2", Grant(table, "a").Address);
        Assert.Equal("10.3.0.1", Grant(table, "a", share: true).Address);
    }

    [Fact]
    public void Static_leases_go_to_their_identity_alone_whatever_its_case()
    {
        var pool = Pool("10.3.0.1-10.3.0.3") with { Static = [new StaticLease(IpAddress.Parse("10.3.0.1"), Identity.Fqdn("Boss.Example.org")), new StaticLease(IpAddress.Parse("10.9.9.9"), Identity.Fqdn("far.example.org"))] };
        var table = new LeaseTable();
        table.SetPools([pool]);
        Assert.Equal("10.3.0.2", Grant(table, "a", "10.3.0.1").Address);
        Assert.Equal("10.3.0.3", Grant(table, "b").Address);
        Assert.Equal("", Grant(table, "c").Address);
        Assert.Equal("10.3.0.1", Grant(table, "boss.example.org").Address);
        Assert.Equal("10.9.9.9", Grant(table, "far.example.org").Address);
    }

    [Fact]
    public void A_reload_keeps_leases_whose_address_is_still_there()
    {
        var table = Table("10.3.0.0/24");
        var a = Grant(table, "a");
        table.Release(Grant(table, "b").Lease);
        table.SetPools([Pool("10.3.0.0/25")]);
        Assert.Equal("10.3.0.2", Grant(table, "b").Address);
        table.SetPools([Pool("10.4.0.0/24")]);
        // in use until its end, and not given to anybody else then
        Assert.Equal(2, table.Status().Single().Online);
        table.Release(a.Lease);
        Assert.Equal("10.4.0.1", Grant(table, "a").Address);
        table.SetPools([]);
        Assert.Empty(table.Status());
        Assert.Equal("", Grant(table, "x").Address);
    }

    [Fact]
    public void What_was_remembered_is_given_again()
    {
        var table = Table("10.3.0.0/24");
        table.Remember("p", IpAddress.Parse("10.3.0.9"), Identity.Fqdn("a"));
        table.Remember("p", IpAddress.Parse("10.3.0.9"), Identity.Fqdn("b"));
        table.Remember("p", IpAddress.Parse("192.0.2.1"), Identity.Fqdn("c"));
        table.Remember("q", IpAddress.Parse("10.3.0.8"), Identity.Fqdn("d"));
        Assert.Equal("10.3.0.1", Grant(table, "a").Address);
        Assert.Equal("10.3.0.9", Grant(table, "b").Address);
        Assert.Equal("10.3.0.2", Grant(table, "c").Address);
    }

    [Fact]
    public void Clients_without_number_are_not_remembered_for_ever_and_the_pool_does_not_run_dry()
    {
        var table = Table("10.0.0.0/15");
        for (var number = 0; number < 140_000; number++)
        {
            var (lease, addresses) = table.Grant(new LeaseWish(Identity.Fqdn($"c{number}"), ["p"], [IpAddress.AnyV4], Share: false));
            Assert.False(addresses[0].IsNone);
            table.Release(lease);
        }

        Assert.True(table.Status().Single().Offline <= LeaseTable.RememberedPerPool);
    }

    [Fact]
    public void Random_clients_never_share_an_address()
    {
        var random = new Random(20261126);
        for (var round = 0; round < 50; round++)
        {
            var table = new LeaseTable();
            var pool = Pool("10.3.0.0/28") with { Static = [new StaticLease(IpAddress.Parse("10.3.0.5"), Identity.Fqdn("c3"))] };
            table.SetPools([pool]);
            var held = new List<(string Client, LeaseId Lease, string Address)>();
            for (var step = 0; step < 300; step++)
            {
                if (random.Next(3) == 0 && held.Count > 0)
                {
                    var at = random.Next(held.Count);
                    table.Release(held[at].Lease);
                    held.RemoveAt(at);
                    continue;
                }

                var client = $"c{random.Next(24)}";
                var wish = random.Next(2) == 0 ? "0.0.0.0" : $"10.3.0.{random.Next(16)}";
                var (lease, address) = Grant(table, client, wish);
                if (address.Length == 0)
                {
                    Assert.True(held.Select(one => one.Address).Distinct().Count() >= 13);
                    continue;
                }

                Assert.DoesNotContain(held, one => one.Address == address && one.Client != client);
                if (address == "10.3.0.5") Assert.Equal("c3", client);
                held.Add((client, lease, address));
            }

            Assert.Equal(held.Select(one => one.Address).Distinct().Count(), table.Status().Single().Online);
        }
    }

    private static LeaseTable Table(string addresses)
    {
        var table = new LeaseTable();
        table.SetPools([Pool(addresses)]);
        return table;
    }

    private static Pool Pool(string addresses) => PoolText.TryParseAddresses(addresses, out var range, out var error) ? new Pool { Name = "p", Addresses = [range] } : throw new ArgumentException(error);

    private static (LeaseId Lease, string Address) Grant(LeaseTable table, string client, string wish = "", bool share = false)
    {
        var pool = table.Status().FirstOrDefault();
        var any = pool is { Base.IsV6: true } ? IpAddress.AnyV6 : IpAddress.AnyV4;
        var (lease, addresses) = table.Grant(new LeaseWish(Identity.Fqdn(client), ["p"], [wish.Length == 0 ? any : IpAddress.Parse(wish)], share));
        return (lease, addresses[0].IsNone ? "" : addresses[0].ToString());
    }
}
