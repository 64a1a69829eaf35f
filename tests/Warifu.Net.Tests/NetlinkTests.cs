using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Net.Linux;
using Warifu.Net.Tests.Lab;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Net.Tests;

/// <summary>Netlink messages octet by octet: numbers of linux/rtnetlink.h, linux/fib_rules.h and linux/netfilter/nf_tables.h.</summary>
[Trait("Item", "1.12")]
public sealed class NetlinkTests
{
    private static readonly IpPrefix Net = new(IpAddress.Parse("10.2.0.0"), 16);
    private static readonly IpPrefix Net6 = new(IpAddress.Parse("fd02::"), 64);

    [Fact]
    public void A_route_is_these_octets()
    {
        var message = Rtnetlink.Encode(Rtnetlink.NewRoute, NetlinkMessage.Create | NetlinkMessage.Replace, new Route(Net, 8757, 5, IpAddress.Parse("10.1.0.1")), 7);
        Equal(message, """
            3C 00 00 00  18 00  05 05  07 00 00 00  00 00 00 00
            02 10 00 00  00 57 FD 01  00 00 00 00
            08 00 0F 00  35 22 00 00
            08 00 01 00  0A 02 00 00
            08 00 04 00  05 00 00 00
            08 00 07 00  0A 01 00 01
            """);
    }

    [Fact]
    public void An_unreachable_route_is_these_octets()
    {
        var message = Rtnetlink.Encode(Rtnetlink.NewRoute, NetlinkMessage.Create | NetlinkMessage.Replace, new Route(Net6, 8757, 0, Metric: 0xFFFFFFF0), 1);
        Equal(message, """
            40 00 00 00  18 00  05 05  01 00 00 00  00 00 00 00
            0A 40 00 00  00 57 00 07  00 00 00 00
            08 00 0F 00  35 22 00 00
            14 00 01 00  FD 02 00 00 00 00 00 00 00 00 00 00 00 00 00 00
            08 00 06 00  F0 FF FF FF
            """);
    }

    [Fact]
    public void The_rule_for_everything_without_our_mark_is_these_octets()
    {
        var message = Rtnetlink.Encode(Rtnetlink.NewRule, NetlinkMessage.Create | NetlinkMessage.Excl, new RoutingRule(2, 8750, 8757, NotMark: 0x57), 3);
        Equal(message, """
            44 00 00 00  20 00  05 06  03 00 00 00  00 00 00 00
            02 00 00 00  00 00 00 01  02 00 00 00
            08 00 0F 00  35 22 00 00
            08 00 06 00  2E 22 00 00
            05 00 15 00  57 00 00 00
            08 00 0A 00  57 00 00 00
            08 00 10 00  FF FF FF FF
            """);
    }

    [Fact]
    public void A_rule_with_addresses_protocol_and_ports_is_these_octets()
    {
        var message = Rtnetlink.Encode(Rtnetlink.DelRule, 0, new RoutingRule(2, 8748, 254, To: Net, Protocol: 6, DestinationPorts: (22, 23)) { OwnPackets = true }, 3);
        Equal(message, """
            54 00 00 00  21 00  05 00  03 00 00 00  00 00 00 00
            02 10 00 00  FE 00 00 01  00 00 00 00
            08 00 0F 00  FE 00 00 00
            08 00 06 00  2C 22 00 00
            05 00 15 00  57 00 00 00
            07 00 03 00  6C 6F 00 00
            08 00 01 00  0A 02 00 00
            05 00 16 00  06 00 00 00
            08 00 18 00  16 00 17 00
            """);
    }

    public static TheoryData<int> Rules => [.. Enumerable.Range(0, RuleSamples.Length)];

    private static RoutingRule[] RuleSamples =>
    [
        new(2, 8750, 8757, NotMark: 0x57), new(10, 8750, 8757, NotMark: 0x57),
        new(2, 8746, 0) { Action = RuleAction.Jump, Mark = 0x57, Target = 8751 }, new(10, 8751, 0) { Action = RuleAction.None },
        new(2, 8749, 8758, From: Net, To: new(IpAddress.Parse("10.3.0.1"), 32), Protocol: 17, SourcePorts: (1, 9), DestinationPorts: (53, 53)),
        new(10, 8748, 254, To: Net6, Protocol: 58) { OwnPackets = true }, new(10, 8748, 254, From: Net6),
    ];

    [Theory]
    [MemberData(nameof(Rules))]
    public void A_rule_is_read_as_it_was_written(int which)
    {
        var octets = Rtnetlink.Encode(Rtnetlink.NewRule, 0, RuleSamples[which], 1).Octets;
        Assert.True(Rtnetlink.TryParse(octets[16..], out RoutingRule read));
        Assert.Equal(RuleSamples[which], read);
        Assert.True(Rtnetlink.IsOwn(isRule: true, octets[16..]));
    }

    [Fact]
    public void A_route_is_read_as_it_was_written()
    {
        foreach (var route in new[] { new Route(Net, 8757, 5, IpAddress.Parse("10.1.0.1")), new Route(Net6, 8758, 0, Metric: 0xFFFFFFF0), new Route(new IpPrefix(IpAddress.AnyV4, 0), 254, 3) })
        {
            var octets = Rtnetlink.Encode(Rtnetlink.NewRoute, 0, route, 1).Octets;
            Assert.True(Rtnetlink.TryParse(octets[16..], out Route read));
            Assert.Equal(route, read);
            Assert.True(Rtnetlink.IsOwn(isRule: false, octets[16..]));
        }
    }

    [Fact]
    public void Cut_and_broken_answers_neither_throw_nor_loop()
    {
        var random = new Random(5);
        var good = new List<byte[]>
        {
            Rtnetlink.Encode(Rtnetlink.NewRoute, 0, new Route(Net, 8757, 5, IpAddress.Parse("10.1.0.1")), 1).Octets.ToArray(),
            Rtnetlink.Encode(Rtnetlink.NewRule, 0, RuleSamples[4], 1).Octets.ToArray(),
            new byte[] { 36, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0xFD, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0 },
        };
        good.Add([.. good[0], .. good[1], .. good[2]]);
        var seen = 0;
        foreach (var whole in good)
        {
            for (var length = 0; length <= whole.Length; length++) seen += Walk(whole.AsSpan(0, length));
            for (var i = 0; i < 20_000; i++)
            {
                var broken = (byte[])whole.Clone();
                for (var flips = 1 + random.Next(4); flips > 0; flips--) broken[random.Next(broken.Length)] = (byte)random.Next(256);
                seen += Walk(broken.AsSpan(0, random.Next(broken.Length + 1)));
            }
        }

        Assert.True(seen > 10_000);
        var reader = new NetlinkReader(good[3]);
        Assert.True(reader.TryNext() && reader.TryNext() && reader.TryNext());
        Assert.True(reader.TryReadAnswer(out var error));
        Assert.Equal((3, 9u, false), (error, reader.Sequence, reader.TryNext()));
    }

    [LabFact]
    public void The_kernel_gives_back_what_was_made_and_takes_it_away_again()
    {
        using var netns = new OneNamespace();
        netns.Where.Ip("link add d0 type veth peer name d1");
        netns.Where.Ip("link set d0 up");
        netns.Where.Ip("link set d1 up");
        netns.Where.Ip("addr add 10.1.0.1/24 dev d0");
        netns.Where.Ip("addr add fd01::1/64 dev d0 nodad");
        netns.Where.Run(() =>
        {
            using var netlink = new Rtnetlink();
            var addresses = netlink.Addresses();
            Assert.Contains(addresses, own => own is { Address: { IsV4: true }, PrefixLength: 24, IsGlobal: true } && own.Address == IpAddress.Parse("10.1.0.1"));
            Assert.Contains(addresses, own => own.Address == IpAddress.Parse("fd01::1") && own.IsGlobal);
            Assert.Contains(addresses, own => own.Address == IpAddress.Parse("127.0.0.1") && !own.IsGlobal);
            var device = addresses.Find(own => own.Address == IpAddress.Parse("10.1.0.1")).Interface;
            var routes = new[] { new Route(Net, 8757, device, IpAddress.Parse("10.1.0.1")), new Route(Net, 8757, 0, Metric: 0xFFFFFFF0), new Route(Net6, 8757, device), new Route(Net6, 8757, 0, Metric: 0xFFFFFFF0) };
            foreach (var route in routes) netlink.Add(route);
            foreach (var rule in RuleSamples) netlink.Add(rule);
            var own = netlink.Own();
            Assert.Equal(RuleSamples.Length, own.Count(item => item.IsRule && Rtnetlink.TryParse(item.Body, out RoutingRule rule) && RuleSamples.Contains(rule)));
            Assert.Equal(routes.Length, own.Count(item => !item.IsRule));
            foreach (var (isRule, body) in own) Assert.True(netlink.Remove(isRule, body));
            Assert.Empty(netlink.Own());
            foreach (var route in routes) Assert.False(netlink.Remove(route));
            return 0;
        });
    }

    private static int Walk(ReadOnlySpan<byte> datagram)
    {
        var reader = new NetlinkReader(datagram);
        var count = 0;
        while (reader.TryNext())
        {
            Assert.True(++count <= 1 + (datagram.Length / 16));
            _ = reader.TryReadAnswer(out _);
            _ = Rtnetlink.TryParse(reader.Body, out Route _);
            _ = Rtnetlink.TryParse(reader.Body, out RoutingRule _);
            _ = Rtnetlink.TryParseAddress(reader.Body, out _);
            _ = Rtnetlink.LinkName(reader.Body);
            _ = NfTables.IsRemoval(reader, "warifu");
        }

        _ = NfTables.ParseCounter(datagram);
        return count;
    }

    private static void Equal(NetlinkMessage message, string hex) => Assert.Equal(Convert.ToHexString(Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal).Replace("\n", "", StringComparison.Ordinal))), Convert.ToHexString(message.Octets));
}
