using System.Collections.Immutable;
using System.Linq;
using CsCheck;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Policy;

/// <summary>Traffic selector negotiation (RFC 7296 section 2.9; R130).</summary>
[Trait("Item", "1.8")]
public sealed class NarrowingTests
{
    [Fact]
    public void Rfc_example_equal_policies_need_no_narrowing()
    {
        var result = Narrow("192.0.2.0/24", "198.51.100.0/24", "192.0.2.0/24", "198.51.100.0/24");
        Assert.Equal("192.0.2.0/24 === 198.51.100.0/24", Print(result));
        Assert.False(result.MorePossible);
    }

    [Fact]
    public void Rfc_example_a_packet_and_its_net_give_the_net()
    {
        // the initiator asks because of a packet from 198.51.100.43, and for all of its net behind it
        var result = Narrow("192.0.2.0/24", "198.51.100.0/24", "192.0.2.123/32[tcp/80], 192.0.2.0/24", "198.51.100.43/32[tcp/4711], 198.51.100.0/24");
        Assert.Equal("192.0.2.0/24 === 198.51.100.0/24", Print(result));
    }

    [Fact]
    public void Rfc_example_a_narrow_policy_keeps_the_first_choice()
    {
        // "a subset that includes the initiator's first choices": all protocols and ports of the one address that we allow
        var result = Narrow("192.0.2.0/24", "198.51.100.43", "192.0.2.123/32[tcp/80], 192.0.2.0/24", "198.51.100.43/32[tcp/4711], 198.51.100.0/24");
        Assert.Equal("192.0.2.0/24 === 198.51.100.43/32", Print(result));
    }

    [Fact]
    public void Rfc_example_everything_offered_is_narrowed_to_what_we_have()
    {
        var result = Narrow("192.0.2.0/24", "198.51.100.0/24", "0.0.0.0/0", "0.0.0.0/0");
        Assert.Equal("192.0.2.0/24 === 198.51.100.0/24", Print(result));
    }

    [Fact]
    public void Rfc_example_an_unacceptable_first_choice_does_not_spoil_the_rest()
    {
        var result = Narrow("192.0.2.0/24", "198.51.100.0/24", "192.0.2.0/24", "203.0.113.5, 198.51.100.128/25");
        Assert.Equal("192.0.2.0/24 === 198.51.100.128/25", Print(result));
    }

    [Theory]
    [InlineData("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.2.0.0/16", "local_ts is 10.1.0.0/16, the peer asks for 10.3.0.0/16")]
    [InlineData("10.1.0.0/16", "10.2.0.0/16", "10.1.0.0/16", "10.3.0.0/16", "remote_ts is 10.2.0.0/16, the peer asks for 10.3.0.0/16")]
    [InlineData("10.1.0.0/16[tcp]", "10.2.0.0/16[tcp]", "10.1.0.0/16[udp]", "10.2.0.0/16[udp]", "local_ts is 10.1.0.0/16[tcp], the peer asks for 10.1.0.0/16[udp]")]
    [InlineData("10.1.0.0/16[tcp/80]", "10.2.0.0/16", "10.1.0.0/16[tcp/81-90]", "10.2.0.0/16", "local_ts is 10.1.0.0/16[tcp/80], the peer asks for 10.1.0.0/16[tcp/81-90]")]
    [InlineData("10.1.0.0/16, fd01::/64", "10.2.0.0/16, fd02::/64", "10.1.0.0/16", "fd02::/64", "10.1.0.0/16 and fd02::/64 have no IP version and protocol in common")]
    [InlineData("10.1.0.0/16[tcp], 10.1.0.0/16[udp]", "10.2.0.0/16", "10.1.0.0/16[tcp]", "10.2.0.0/16[udp]", "10.1.0.0/16[tcp] and 10.2.0.0/16[udp] have no IP version and protocol in common")]
    public void Nothing_in_common_says_why(string local, string remote, string offeredLocal, string offeredRemote, string why)
    {
        var result = Narrow(local, remote, offeredLocal, offeredRemote);
        Assert.True(result.IsEmpty);
        Assert.Equal(why, result.WhyNot);
    }

    [Theory]
    [InlineData("10.1.0.0/16[tcp]", "10.1.0.0/16", "10.1.0.0/16[tcp]")]
    [InlineData("10.1.0.0/16", "10.1.2.0/24[udp/53]", "10.1.2.0/24[udp/53]")]
    [InlineData("10.1.0.0/16[tcp/80-100]", "10.0.0.0/8[tcp/90-200]", "10.1.0.0/16[tcp/90-100]")]
    [InlineData("10.1.0.0/16[icmp]", "10.1.0.0/16[icmp/8]", "10.1.0.0/16[icmp/8]")]
    [InlineData("10.1.0.0/16[tcp]", "10.1.0.0/16[tcp/opaque]", "10.1.0.0/16[tcp/OPAQUE]")]
    [InlineData("10.1.0.0-10.1.0.9", "10.1.0.5-10.1.0.20", "10.1.0.5..10.1.0.9")]
    [InlineData("10.1.0.0/24, 10.1.4.0/24", "10.1.0.0/16", "10.1.0.0/24, 10.1.4.0/24")]
    [InlineData("10.1.0.0/16", "10.1.4.0/24, 10.1.0.0/24", "10.1.4.0/24, 10.1.0.0/24")]
    [InlineData("fd01::/64, 10.1.0.0/16", "10.1.0.0/16, fd01::/64", "10.1.0.0/16, fd01::/64")]
    public void Each_dimension_is_narrowed_and_the_peers_order_stays(string local, string offered, string chosen) =>
        Assert.Equal(chosen, Selectors.Print(Narrow(local, "0.0.0.0/0, ::/0", offered, "0.0.0.0/0, ::/0").Local));

    [Fact]
    public void A_selector_without_a_counterpart_of_its_version_is_left_out() =>
        Assert.Equal("10.1.0.0/16 === 10.2.0.0/16", Print(Narrow("10.1.0.0/16, fd01::/64", "10.2.0.0/16", "10.1.0.0/16, fd01::/64", "10.2.0.0/16")));

    [Fact]
    public void An_answer_has_at_most_255_selectors_and_says_that_there_is_more()
    {
        // ten of ours by a hundred of the peer's: one octet counts selectors on the wire
        var ours = string.Join(", ", Enumerable.Range(0, 10).Select(i => $"10.0.0.0/8[tcp/{(i * 100) + 1}-{(i * 100) + 50}]"));
        var theirs = string.Join(", ", Enumerable.Range(0, 100).Select(i => $"10.{i}.0.0/16[tcp]"));
        var result = Narrow(ours, "10.2.0.0/16", theirs, "10.2.0.0/16");
        Assert.Equal(255, result.Local.Length);
        Assert.True(result.MorePossible);
    }

    [Fact]
    public void Property_the_result_is_a_subset_of_both_and_nothing_acceptable_is_missing() =>
        Gen.Select(Generators.SmallSelectors, Generators.SmallSelectors, Generators.SmallSelectors, Generators.SmallSelectors).Sample(
            (local, remote, offeredLocal, offeredRemote) =>
            {
                var result = Narrowing.Narrow(local, remote, offeredLocal, offeredRemote);
                foreach (var packet in Packets())
                {
                    var allowed = Takes(local, remote, packet) && Takes(offeredLocal, offeredRemote, packet);
                    Assert.Equal(allowed, !result.IsEmpty && Takes(result.Local, result.Remote, packet));
                }
            },
            iter: 300);

    [Fact]
    public void Property_the_first_of_the_result_holds_the_first_wish_that_can_be_met() =>
        Gen.Select(Generators.SmallSelectors, Generators.SmallSelectors).Sample((own, offered) =>
        {
            var result = Narrowing.Narrow(own, [Everything], offered, [Everything]);
            var wish = offered.SelectMany(other => own.Select(one => Selectors.Intersect(one, other))).FirstOrDefault(both => both is not null);
            if (wish is { } first) Assert.True(Selectors.Covers(result.Local[0], first));
            else Assert.True(result.IsEmpty);
        });

    [Fact]
    public void Property_no_selector_of_the_result_is_inside_another() =>
        Gen.Select(Generators.SmallSelectors, Generators.SmallSelectors).Sample((own, offered) =>
        {
            var result = Narrowing.Narrow(own, [Everything], offered, [Everything]).Local;
            Assert.DoesNotContain(result, one => result.Any(other => other != one && Selectors.Covers(other, one)));
            Assert.Equal(result.Length, result.Distinct().Count());
        });

    [Fact]
    public void Property_both_sides_narrow_to_the_same_traffic() =>
        Gen.Select(Generators.SmallSelectors, Generators.SmallSelectors).Sample((one, other) =>
        {
            var (there, back) = (Narrowing.Narrow(one, [Everything], other, [Everything]), Narrowing.Narrow(other, [Everything], one, [Everything]));
            Assert.True(Selectors.Covers(there.Local, back.Local));
            Assert.True(Selectors.Covers(back.Local, there.Local));
        });

    [Theory]
    [InlineData("10.0.0.0/25, 10.0.0.128/25", "10.0.0.0/24", true)]
    [InlineData("10.0.0.0/25, 10.0.0.129-10.0.0.255", "10.0.0.0/24", false)]
    [InlineData("10.0.0.0/24[tcp/0-99], 10.0.0.0/24[tcp/100-65535]", "10.0.0.0/24[tcp/50-150]", true)]
    [InlineData("10.0.0.0/25[tcp/0-99], 10.0.0.128/25[tcp/50-200]", "10.0.0.0/24[tcp/50-99]", true)]
    [InlineData("10.0.0.0/25[tcp/0-99], 10.0.0.128/25[tcp/50-200]", "10.0.0.0/24[tcp/50-100]", false)]
    [InlineData("10.0.0.0/24[tcp], 10.0.0.0/24[udp]", "10.0.0.0/24", false)]
    [InlineData("10.0.0.0/25[tcp], 10.0.0.128/25", "10.0.0.0/24[tcp]", true)]
    [InlineData("10.0.0.0/25[tcp/opaque], 10.0.0.128/25[tcp]", "10.0.0.0/24[tcp/opaque]", true)]
    [InlineData("10.0.0.0/25[tcp/1-65535], 10.0.0.128/25[tcp]", "10.0.0.0/24[tcp/opaque]", false)]
    public void A_peer_may_answer_neighbours_as_one(string offered, string answered, bool covered) => Assert.Equal(covered, Selectors.Covers(Parse(offered), Parse(answered)));

    [Fact]
    public void Property_covering_is_what_packets_say() =>
        Gen.Select(Generators.SmallSelectors, Generators.SmallSelectors).Sample((outer, inner) =>
        {
            if (Selectors.Covers(outer, inner)) Assert.DoesNotContain(Ends(), end => inner.Any(one => Takes(one, end)) && !outer.Any(one => Takes(one, end)));
        });

    private static TrafficSelector Everything { get; } = TrafficSelector.Of(new IpPrefix(IpAddress.AnyV4, 0));

    private readonly record struct End(int Host, byte Protocol, int Port);

    /// <summary>One end of every packet of the small space; port -1 = not visible.</summary>
    private static System.Collections.Generic.IEnumerable<End> Ends() =>
        from host in Enumerable.Range(0, 16) from protocol in new byte[] { 6, 17 } from port in new[] { -1, 0, 1, 2, 3, 4, 5, 6, 7, 8 } select new End(host, protocol, port);

    private static System.Collections.Generic.IEnumerable<(End Local, End Remote)> Packets()
    {
        foreach (var local in Ends().Where(end => end.Host % 5 == 0 && end.Port % 3 != 1))
        {
            foreach (var remote in Ends().Where(end => end.Protocol == local.Protocol && end.Host % 4 == 1 && end.Port % 4 != 2)) yield return (local, remote);
        }
    }

    private static bool Takes(ImmutableArray<TrafficSelector> local, ImmutableArray<TrafficSelector> remote, (End Local, End Remote) packet) => local.Any(one => Takes(one, packet.Local)) && remote.Any(one => Takes(one, packet.Remote));

    /// <summary>Written without the algebra under test.</summary>
    private static bool Takes(TrafficSelector selector, End end)
    {
        var address = Generators.Small(end.Host);
        if (address < selector.First || address > selector.Last || (selector.Protocol != 0 && selector.Protocol != end.Protocol)) return false;
        if (selector is { FirstPort: 0, LastPort: 65535 }) return true;
        if (selector is { FirstPort: 65535, LastPort: 0 }) return end.Port < 0;
        return end.Port >= selector.FirstPort && end.Port <= selector.LastPort;
    }

    private static NarrowingResult Narrow(string local, string remote, string offeredLocal, string offeredRemote) => Narrowing.Narrow(Parse(local), Parse(remote), Parse(offeredLocal), Parse(offeredRemote));

    private static ImmutableArray<TrafficSelector> Parse(string text) => [.. text.Split(',').Select(item => Selectors.TryParse(item, out var pattern, out var error) ? pattern.Selector : throw new Xunit.Sdk.XunitException(error))];

    private static string Print(NarrowingResult result) => $"{Selectors.Print(result.Local)} === {Selectors.Print(result.Remote)}";
}
