using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using CsCheck;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Policy;

/// <summary>Which connections a message may belong to.</summary>
[Trait("Item", "1.8")]
public sealed class ConnectionIndexTests
{
    private static readonly IpAddress s_here = IpAddress.Parse("192.0.2.1");
    private static readonly IpAddress s_peer = IpAddress.Parse("198.51.100.7");
    private static readonly ImmutableArray<Proposal> s_other = [.. ProposalKeywordTests.Parse(ProtocolId.Ike, "aes128-sha256-modp2048")];

    [Fact]
    public void An_address_comes_before_a_range_and_a_range_before_any()
    {
        var index = Index(Peer("any"), Peer("range", "198.51.100.0/24"), Peer("exact", "198.51.100.7"), Peer("other", "198.51.100.8"), Peer("name", "gw.example.org"));
        Assert.Equal(["exact", "range", "any", "name"], Names(index.Candidates(s_here, s_peer, IkeVersion.V2)));
        Assert.Equal("range", index.Find("range")?.Name);
        Assert.Null(index.Find("none"));
    }

    [Fact]
    public void A_connection_with_an_address_and_a_range_that_holds_it_comes_first_and_with_addresses_twice_once()
    {
        Assert.Equal(["both", "both"], Names(Index(Peer("both", "198.51.100.7", "198.51.100.0/24")).Candidates(s_here, s_peer, IkeVersion.V2)));
        Assert.Equal(["twice"], Names(Index(Peer("twice", "198.51.100.7", "198.51.100.7")).Candidates(s_here, s_peer, IkeVersion.V2)));
    }

    [Fact]
    public void The_version_and_the_own_address_must_fit()
    {
        var index = Index(Peer("v1") with { Version = IkeVersion.V1 }, Peer("elsewhere") with { LocalAddresses = [Host("192.0.2.9")] }, Peer("here") with { LocalAddresses = [Host("192.0.2.0/24")] });
        Assert.Equal(["here"], Names(index.Candidates(s_here, s_peer, IkeVersion.V2)));
        Assert.Equal(["v1"], Names(index.Candidates(s_here, s_peer, IkeVersion.V1)));
    }

    [Fact]
    public void By_identity_only_those_that_may_accept_it()
    {
        var index = Index(Peer("a") with { Remote = Of("a") }, Peer("b") with { Remote = Of("b") }, Peer("wild") with { Remote = Of("*.org") }, Peer("everyone"), Peer("net", "198.51.100.0/24") with { Remote = Of("A") });
        Assert.Equal(["net", "a", "everyone"], Names(index.Candidates(s_here, s_peer, IkeVersion.V2, Identity.Fqdn("a"))));
        Assert.Equal(["wild", "everyone"], Names(index.Candidates(s_here, s_peer, IkeVersion.V2, Identity.Fqdn("x.org"))));
    }

    [Fact]
    public void A_first_message_meets_each_list_of_proposals_once()
    {
        var index = Index([.. Enumerable.Range(0, 10_000).Select(i => Peer($"c{i}") with { Remote = Of($"peer{i}") }), Peer("other") with { Proposals = s_other }, .. Enumerable.Range(0, 100).Select(i => Peer($"d{i}") with { Proposals = [.. s_other] })]);
        Assert.Equal(["c0", "other"], Names(index.FirstCandidates(s_here, s_peer, IkeVersion.V2)));
        Assert.Equal(["c77"], Names(index.Candidates(s_here, s_peer, IkeVersion.V2, Identity.Fqdn("peer77")).Where(connection => connection.Name[0] == 'c')));
    }

    [Fact]
    public void Property_the_shortcuts_find_what_all_candidates_say()
    {
        string?[] hosts = [null, "198.51.100.7", "198.51.100.0/24", "203.0.113.1", "gw.example.org"];
        string[] ids = ["%any", "a", "b", "*.org"];
        string?[] locals = [null, "192.0.2.1", "192.0.2.9"];
        var connection = from host in Gen.Int[0, hosts.Length - 1] from id in Gen.Int[0, ids.Length - 1] from local in Gen.Int[0, locals.Length - 1] from strong in Gen.Bool select (host, id, local, strong);
        Gen.Select(connection.Array[0, 8], Gen.Int[0, 2]).Sample((made, who) =>
        {
            var index = Index([.. made.Select((one, i) => Peer($"c{i}", hosts[one.host] is { } host ? [host] : []) with
            {
                Remote = Of(ids[one.id]),
                LocalAddresses = locals[one.local] is { } local ? [Host(local)] : [],
                Proposals = one.strong ? ProposalKeywords.DefaultIke : s_other,
            })]);
            var all = index.Candidates(s_here, s_peer, IkeVersion.V2).ToList();
            var identity = Identity.Fqdn(new[] { "a", "B", "x.org" }[who]);
            Assert.Equal(Best(all.Where(one => one.Remote.Id.Matches(identity)), identity), Best(index.Candidates(s_here, s_peer, IkeVersion.V2, identity), identity));
            Assert.Equal(Names(all.DistinctBy(one => one.Proposals[0])), Names(index.FirstCandidates(s_here, s_peer, IkeVersion.V2)));
        });
    }

    private static string? Best(IEnumerable<Connection> connections, Identity identity) => connections.OrderByDescending(one => one.Remote.Id.Match(identity)).FirstOrDefault()?.Name;

    private static IEnumerable<string> Names(IEnumerable<Connection> connections) => connections.Select(connection => connection.Name);

    private static ConnectionIndex Index(params Connection[] connections) => new(new PolicySet { Connections = [.. connections] });

    private static Connection Peer(string name, params string[] hosts) => new() { Name = name, Local = new LocalAuth(), Remote = new RemoteAuth(), Proposals = ProposalKeywords.DefaultIke, RemoteAddresses = [.. hosts.Select(Host)] };

    private static RemoteAuth Of(string id) => IdentityPattern.TryParse(id, out var pattern, out var error) ? new RemoteAuth { Id = pattern } : throw new Xunit.Sdk.XunitException(error);

    private static HostPattern Host(string text) => Selectors.TryParseAddresses(text, out var first, out var last, out _) ? HostPattern.Range(first, last) : HostPattern.Name(text);
}
