using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>Traffic selectors between two engines (R123 to R131).</summary>
[Trait("Item", "2.17")]
public sealed class SelectorNegotiationTests
{
    [Fact]
    public void Two_hundred_selectors_go_into_one_child()
    {
        using var pair = new EnginePair();
        var (left, right) = (Nets("10.1", 200), Nets("10.2", 200));
        pair.Load(Left(Net("net", left, right)), Right(Net("net", right, left)));
        Assert.True(pair.Up().Success);
        Assert.Equal(200, Single(pair.Left).LocalSelectors.Length);
        Assert.Equal(200, Single(pair.Right).LocalSelectors.Length);
        Assert.Equal(Single(pair.Left).LocalSelectors, Single(pair.Right).RemoteSelectors);
    }

    [Theory]
    [InlineData(255)]
    [InlineData(300)]
    public void A_TS_payload_holds_255_selectors_and_the_packet_that_asks_is_among_them(int count)
    {
        using var pair = new EnginePair();
        var nets = Enumerable.Range(0, count).Select(i => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"10.{100 + (i / 200)}.{i % 200}.0/24")).ToArray();
        pair.Load(Left(Net("net", nets, ["10.2.0.0/16"])), Right(Net("net", ["10.2.0.0/16"], nets)));
        Acquire(pair, "10.100.7.9", "10.2.200.7");
        Assert.Contains(Single(pair.Left).LocalSelectors, selector => selector.ToString() == "10.100.7.0/24");
        Assert.InRange(Single(pair.Left).LocalSelectors.Length, 254, 255);
        Assert.Equal(Single(pair.Left).LocalSelectors, Single(pair.Right).RemoteSelectors);
    }

    [Fact]
    public void Two_hundred_children_with_a_selector_each_get_pairs_of_their_own()
    {
        using var pair = new EnginePair();
        var (left, right) = (Nets("10.1", 200), Nets("10.2", 200));
        pair.Load(Left([.. Enumerable.Range(0, 200).Select(i => Net($"c{i}", [left[i]], [right[i]]))]), Right([.. Enumerable.Range(0, 200).Select(i => Net($"c{199 - i}", [right[i]], [left[i]]))]));
        var id = pair.Left.Up("net", null, pair.Now);
        pair.Run();
        Assert.True(pair.Left.Results[id].Success);
        Assert.Equal(200, pair.Left.Results[id].Done);
        Assert.Equal(200, pair.Right.Installed.Count);
        Assert.Equal(200, pair.Left.Installed.Values.Select(child => child.InboundSpi).Distinct().Count());
        // each met its like: the one selector of its own
        Assert.All(pair.Right.Installed.Values, child => Assert.Equal(("1", child.LocalSelectors.Length.ToString(System.Globalization.CultureInfo.InvariantCulture)), ("1", "1")));
        Assert.Equal(200, pair.Right.Installed.Values.Select(child => child.Name).Distinct().Count());
    }

    [Fact]
    public void The_child_that_fits_best_is_chosen_not_the_first_that_fits()
    {
        using var pair = new EnginePair();
        pair.Load(
            Left(Net("net", ["10.1.0.0/16"], ["10.2.7.0/24"])),
            Right(Net("wide", ["10.2.0.0/16"], ["10.0.0.0/8"]), Net("half", ["10.2.7.0/25"], ["10.1.0.0/16"]), Net("exact", ["10.2.7.0/24"], ["10.1.0.0/16"]), Net("again", ["10.2.7.0/24"], ["10.1.0.0/16"])));
        Assert.True(pair.Up().Success);
        Assert.Equal("exact", Single(pair.Right).Name);
        Assert.Equal("10.2.7.0/24", Single(pair.Left).RemoteSelectors.Single().ToString());
    }

    [Fact]
    public void A_child_that_takes_the_packet_that_asks_comes_before_one_that_takes_more()
    {
        using var pair = new EnginePair();
        pair.Load(Left(Net("net", ["10.1.0.0/16"], ["10.2.0.0/16"])), Right(Net("most", ["10.2.0.0/17"], ["10.1.0.0/16"]), Net("packet", ["10.2.200.0/24"], ["10.1.0.0/16"])));
        Acquire(pair, "10.1.0.9", "10.2.200.7");
        Assert.Equal("packet", pair.Right.Installed.Values.First().Name);
    }

    [Fact]
    public void What_the_peer_takes_only_apart_is_asked_for_until_all_is_there()
    {
        using var pair = new EnginePair();
        pair.Load(Left(Net("net", ["10.1.0.0/16"], ["10.2.1.0/24", "10.2.2.0/24", "10.2.3.0/24"])), Right(Net("a", ["10.2.1.0/24"], ["10.1.0.0/16"]), Net("b", ["10.2.2.0/24"], ["10.1.0.0/16"]), Net("c", ["10.2.3.0/24"], ["10.1.0.0/16"])));
        Assert.True(pair.Up().Success);
        Assert.Equal(["10.2.1.0/24", "10.2.2.0/24", "10.2.3.0/24"], pair.Left.Installed.Values.Select(child => child.RemoteSelectors.Single().ToString()).Order());
        Assert.Equal(["a", "b", "c"], pair.Right.Installed.Values.Select(child => child.Name).Order());
        // and no more than that
        Assert.Equal(3, pair.Left.Installed.Count);
        Assert.Equal(8, pair.Sent.Count);
    }

    [Fact]
    public void Parts_are_rekeyed_each_with_its_own_selectors()
    {
        using var pair = new EnginePair();
        pair.Load(Left(Net("net", ["10.1.0.0/16"], ["10.2.1.0/24", "10.2.2.0/24"])), Right(Net("a", ["10.2.1.0/24"], ["10.1.0.0/16"]), Net("b", ["10.2.2.0/24"], ["10.1.0.0/16"])));
        Assert.True(pair.Up().Success);
        foreach (var host in new[] { pair.Left, pair.Right })
        {
            host.Command(id => new IkeCommand.Rekey(id, host == pair.Left ? new SaTarget("net", "net") : new SaTarget("net", "b")), pair.Now);
            pair.Run();
            Assert.Equal(["10.2.1.0/24", "10.2.2.0/24"], pair.Left.Installed.Values.Select(child => child.RemoteSelectors.Single().ToString()).Order());
            Assert.Equal(["a", "b"], pair.Right.Installed.Values.Select(child => child.Name).Order());
        }
    }

    [Fact]
    public void ADDITIONAL_TS_POSSIBLE_is_not_said_when_nothing_was_left_out()
    {
        using var pair = new EnginePair();
        pair.Load(Left(Net("net", ["10.1.0.0/16"], ["10.2.1.0/24"])), Right(Net("a", ["10.2.1.0/24"], ["10.1.0.0/16"]), Net("same", ["10.2.1.0/24"], ["10.1.0.0/16"]), Net("other", ["10.2.2.0/24"], ["10.1.0.0/16"])));
        Assert.True(pair.Up().Success);
        Assert.DoesNotContain(pair.Left.LastReport!.Steps, step => step.Title.Contains("ADDITIONAL_TS_POSSIBLE", StringComparison.Ordinal));
        Assert.Single(pair.Left.Installed);
    }

    [Fact]
    public void A_child_of_single_pairs_refuses_networks_and_takes_the_pair_of_a_packet()
    {
        using var pair = new EnginePair();
        pair.Load(Left(Net("net", ["10.1.0.0/16"], ["10.2.0.0/16"])), Right(Net("net", ["10.2.0.0/16"], ["10.1.0.0/16"]) with { SinglePair = true }));
        Assert.False(pair.Up().Success);
        Assert.Contains("SINGLE_PAIR_REQUIRED", pair.Left.LastReport!.Failure!.Sentence, StringComparison.Ordinal);
        Assert.Contains("start_action = trap", pair.Left.LastReport.Failure.Remedy, StringComparison.Ordinal);
        Assert.Equal("single-pair", pair.Right.LastReport!.Failure!.Reason);
        // the packet's addresses come first in the next request: the responder narrows to them (section 2.9)
        Acquire(pair, "10.1.0.9", "10.2.0.7");
        var child = Single(pair.Left);
        Assert.Equal(("10.1.0.9/32", "10.2.0.7/32"), (child.LocalSelectors.Single().ToString(), child.RemoteSelectors.Single().ToString()));
        Acquire(pair, "10.1.0.9", "10.2.0.8");
        Assert.Equal(2, pair.Left.Installed.Count);
        Assert.Equal(["10.2.0.7/32", "10.2.0.8/32"], pair.Right.Installed.Values.Select(one => one.LocalSelectors.Single().ToString()).Order());
    }

    [Fact]
    public void An_initiator_of_single_pairs_asks_for_the_packets_pair_alone()
    {
        using var pair = new EnginePair();
        pair.Load(Left(Net("net", ["10.1.0.0/16"], ["10.2.0.0/16"]) with { SinglePair = true }), Right(Net("net", ["10.2.0.0/16"], ["10.1.0.0/16"])));
        Acquire(pair, "10.1.0.9", "10.2.0.7");
        Assert.Equal("10.2.0.7/32", Single(pair.Right).LocalSelectors.Single().ToString());
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Run();
        Assert.Equal("10.2.0.7/32", Single(pair.Right).LocalSelectors.Single().ToString());
    }

    [Theory]
    [InlineData(true, 1)]
    [InlineData(false, 1)]
    [InlineData(true, 2)]
    [InlineData(false, 2)]
    public void A_peer_that_takes_no_networks_is_asked_once_more_for_the_packets_pair_alone(bool inAuth, int refusals)
    {
        using var pair = new EnginePair(1, new EngineOptions { KeyLog = true });
        var childless = inAuth ? ChildlessPolicy.Allow : ChildlessPolicy.Force;
        pair.Load(Left(Net("net", ["10.1.0.0/16", "10.8.0.0/16[tcp]"], ["10.2.0.0/16"])) with { Childless = childless }, Right(Net("net", ["10.2.0.0/16"], ["10.1.0.0/16", "10.8.0.0/16[tcp]"])) with { Childless = childless });
        var asked = new List<(ImmutableArray<TrafficSelector> Local, ImmutableArray<TrafficSelector> Remote)>();
        var left = refusals;
        pair.Wire = (_, from, message) =>
        {
            if (!IkeHeader.TryRead(message.Message, out var header) || header.Exchange == ExchangeType.IkeSaInit) return 1;
            var keys = pair.Left.IkeKeys.Single();
            if (from == pair.Left)
            {
                var chain = Sealing.Open(keys, message.Message, out var first);
                Assert.Equal(ParseError.None, MessageView.TryParse(first, chain, out var view));
                if (view.TryGet(PayloadType.TsI, out var tsI) && view.TryGet(PayloadType.TsR, out var tsR) && TsPayload.TryParse(tsI, out var local) == ParseError.None && TsPayload.TryParse(tsR, out var remote) == ParseError.None) asked.Add((local, remote));
                return 1;
            }

            if (asked.Count == 0 || left-- <= 0) return 1;
            var refusal = (header.Exchange == ExchangeType.IkeAuth ? Sealing.ProofOf(keys, message.Message) : new MessageBuilder()).Notify(NotifyType.SinglePairRequired);
            pair.Left.Receive(message.Remote, message.Local, Sealing.Replace(keys, message.Message, refusal.First, refusal.Chain), pair.Now);
            return 0;
        };
        Acquire(pair, "10.8.0.9", "10.2.0.7");
        // RFC 7296 section 2.9: then for the traffic that is to be forwarded, and never more than that once
        Assert.Equal(2, asked.Count);
        Assert.Equal(3, asked[0].Local.Length);
        Assert.Equal(("10.8.0.9/32[tcp]", "10.2.0.7/32"), (Selectors.Print(asked[1].Local), Selectors.Print(asked[1].Remote)));
        if (refusals == 1) Assert.Equal(("10.8.0.9/32[tcp]", "10.2.0.7/32"), (Single(pair.Left).LocalSelectors.Single().ToString(), Single(pair.Left).RemoteSelectors.Single().ToString()));
        else Assert.Equal("single-pair", pair.Left.LastReport!.Failure!.Reason);
        Assert.Equal("ESTABLISHED", pair.Left.Engine.Snapshot().IkeSas.Single().State);
    }

    [Theory]
    [InlineData("10.1.0.0/16[tcp]", "10.2.0.0/16[tcp/443]")]
    [InlineData("10.1.0.0/16[udp/1000-2000]", "10.2.0.0/16[udp/53]")]
    [InlineData("10.1.0.0/16[icmp/8]", "10.2.0.0/16[icmp/8]")]
    [InlineData("10.1.0.0/16[icmp/3(4)]", "10.2.0.0/16[icmp/3(4)]")]
    [InlineData("fd10:1::/64[ipv6-icmp/128]", "fd10:2::/64[ipv6-icmp/128]")]
    [InlineData("10.1.0.0/16[tcp/opaque]", "10.2.0.0/16[tcp/opaque]")]
    [InlineData("10.1.0.5-10.1.0.77[sctp/9]", "10.2.0.0/16[sctp]")]
    [InlineData("10.1.0.0/16[gre]", "10.2.0.0/16[gre]")]
    public void Protocols_ports_and_icmp_types_are_negotiated_as_they_are(string local, string remote)
    {
        using var pair = new EnginePair();
        pair.Load(Left(Net("net", [local], [remote])), Right(Net("net", [remote], [local])));
        Assert.True(pair.Up().Success);
        Assert.Equal((EnginePair.Ts(local).Selector, EnginePair.Ts(remote).Selector), (Single(pair.Left).LocalSelectors.Single(), Single(pair.Left).RemoteSelectors.Single()));
        Assert.Equal((EnginePair.Ts(remote).Selector, EnginePair.Ts(local).Selector), (Single(pair.Right).LocalSelectors.Single(), Single(pair.Right).RemoteSelectors.Single()));
    }

    [Fact]
    public void A_wider_request_is_narrowed_to_the_ports_that_are_allowed()
    {
        using var pair = new EnginePair();
        pair.Load(Left(Net("net", ["10.1.0.0/16"], ["10.2.0.0/16"])), Right(Net("net", ["10.2.0.0/16[tcp/80-443]"], ["10.1.0.0/24[tcp]"])));
        Assert.True(pair.Up().Success);
        Assert.Equal(("10.1.0.0/24[tcp]", "10.2.0.0/16[tcp/80-443]"), (Single(pair.Left).LocalSelectors.Single().ToString(), Single(pair.Left).RemoteSelectors.Single().ToString()));
    }

    [Fact]
    public void TS_UNACCEPTABLE_shows_both_lists()
    {
        using var pair = new EnginePair();
        pair.Load(Left(Net("net", ["10.1.0.0/16"], ["10.2.0.0/16"])), Right(Net("net", ["10.9.0.0/16"], ["10.8.0.0/16"])));
        Assert.False(pair.Up().Success);
        var failure = pair.Right.LastReport!.Failure!;
        Assert.Equal(["for our side: 10.2.0.0/16", "for its side: 10.1.0.0/16"], failure.Offered);
        Assert.Equal(["net: local_ts 10.9.0.0/16, remote_ts 10.8.0.0/16"], failure.Accepted);
        Assert.Equal(["local_ts 10.1.0.0/16", "remote_ts 10.2.0.0/16"], pair.Left.LastReport!.Failure!.Offered);
    }

    [Fact]
    public void An_identity_may_claim_only_the_selectors_of_its_connection()
    {
        // RFC 4301 section 4.4.3: the peer authorization database ties identities to what they may ask for
        using var pair = new EnginePair();
        var mine = Right(Net("net", ["10.2.0.0/16"], ["10.1.0.0/16"]));
        var others = mine with { Name = "others", Remote = new RemoteAuth { Id = IdentityPattern.Of(Identity.Fqdn("somebody.example.org")) }, Children = [Net("net", ["10.2.0.0/16"], ["10.7.0.0/16"])] };
        pair.Left.Load(PolicySet.Of(Left(Net("net", ["10.7.0.0/16"], ["10.2.0.0/16"]))), pair.Now);
        pair.Right.Load(PolicySet.Of(others, mine), pair.Now);
        Assert.False(pair.Up().Success);
        Assert.Empty(pair.Right.Installed);
        Assert.Equal(("net", "selectors"), (pair.Right.LastReport!.Connection, pair.Right.LastReport.Failure!.Reason));
        // nor later, on the IKE SA that is up
        Assert.False(pair.Up().Success);
        Assert.Empty(pair.Right.Installed);
    }

    [Fact]
    public void A_rest_that_never_ends_ends()
    {
        // a peer that gives a sliver each time, and says that there is more
        using var pair = new EnginePair();
        var slivers = Enumerable.Range(0, 250).Select(i => Net($"s{i}", [$"10.2.{i}.0/32"], ["10.1.0.0/16"])).ToArray();
        pair.Load(Left(Net("net", ["10.1.0.0/16"], ["10.2.0.0/16"])), Right(slivers));
        Assert.True(pair.Up().Success);
        Assert.Equal(ProtocolTimes.PartsPerChild + 1, pair.Left.Installed.Count);
    }

    private static void Acquire(EnginePair pair, string from, string to)
    {
        var (local, remote) = (IpAddress.Parse(from), IpAddress.Parse(to));
        pair.Left.Engine.Handle(new DataPlaneEvent.Acquire("net", "net", new TrafficSelector(local, local, 6, 1024, 1024), new TrafficSelector(remote, remote, 6, 80, 80)), pair.Now);
        pair.Left.Drain(pair.Now);
        pair.Run();
    }

    private static ChildSa Single(EngineHost host) => Assert.Single(host.Installed.Values);

    private static string[] Nets(string start, int count) => [.. Enumerable.Range(0, count).Select(i => $"{start}.{i}.0/25")];

    private static Child Net(string name, string[] local, string[] remote) => EnginePair.LeftGateway().Children[0] with { Name = name, LocalSelectors = [.. local.Select(EnginePair.Ts)], RemoteSelectors = [.. remote.Select(EnginePair.Ts)] };

    private static Connection Left(params Child[] children) => EnginePair.LeftGateway() with { Children = [.. children] };

    private static Connection Right(params Child[] children) => EnginePair.RightGateway() with { Children = [.. children] };
}
