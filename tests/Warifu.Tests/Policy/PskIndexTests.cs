using System.Linq;
using CsCheck;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Policy;

/// <summary>Which pre-shared key belongs to a pair of identities.</summary>
[Trait("Item", "1.8")]
public sealed class PskIndexTests
{
    [Theory]
    [InlineData("left", "right", "pair")]
    [InlineData("left2", "right", "peer")]
    [InlineData("LEFT", "Right", "pair")]
    [InlineData("left", "a.example.org", "wild")]
    [InlineData("left", "192.0.2.7", "net")]
    [InlineData("left", "alice@example.org", "everyone")]
    [InlineData("left", "CN=gw, O=Example", "name")]
    [InlineData("left", "O=Example, CN=gw", "name")]
    [InlineData("left", "O=Example, CN=other", "names")]
    public void The_most_specific_owner_wins(string local, string remote, string name)
    {
        var entries = Entries(("everyone", ""), ("peer", "right"), ("pair", "left|right"), ("wild", "*.example.org"), ("net", "192.0.2.0/24"), ("name", "O=Example, CN=gw"), ("names", "O=Example, CN=*"));
        Assert.Equal(name, Find(entries, local, remote));
        Assert.Equal(name, Find([.. entries.Reverse()], local, remote));
    }

    [Fact]
    public void The_peer_must_be_an_owner() => Assert.Null(Find(Entries(("ours", "left"), ("others", "left|third")), "left", "right"));

    [Fact]
    public void Any_as_an_owner_is_an_owner() => Assert.Equal("ours", Find(Entries(("ours", "left|%any")), "left", "right"));

    [Fact]
    public void Ties_go_to_the_first_name_whatever_the_order()
    {
        Assert.Equal("a", Find(Entries(("b", "right"), ("a", "right"), ("c", "right")), "left", "right"));
        Assert.Equal("a", Find(Entries(("c", ""), ("b", ""), ("a", "")), "left", "right"));
        Assert.Equal("a", Find(Entries(("b", "*.example.org"), ("a", "*.org")), "left", "x.example.org"));
    }

    [Fact]
    public void None_says_what_there_is_and_no_more_than_eight()
    {
        var (secret, why) = new PskIndex(Entries([.. Enumerable.Range(0, 100).Select(i => ($"k{i:d3}", $"peer{i}"))])).Find(Identity.Fqdn("left"), Identity.Fqdn("right"));
        Assert.True(secret.IsNone);
        Assert.StartsWith("no pre-shared key for left and right; there are k000 (peer0); k001 (peer1)", why);
        Assert.EndsWith("k007 (peer7) and 92 more", why);
        Assert.Equal("no pre-shared key for left and right; there are none at all", new PskIndex([]).Find(Identity.Fqdn("left"), Identity.Fqdn("right")).WhyNot);
    }

    [Fact]
    public void Property_the_index_finds_what_a_scan_finds()
    {
        string[] owners = ["a", "b", "c", "x.org", "y.org", "*.org", "%any", "10.0.0.0/8", "10.0.0.1", "CN=a, O=x", "CN=*, O=x"];
        string[] peers = ["a", "b", "C", "x.org", "z.org", "10.0.0.1", "10.0.0.2", "O=x, CN=a", "CN=q, O=x"];
        Gen.Select(Gen.Int[0, owners.Length - 1].Array[0, 3].Array[0, 6], Gen.Int[0, peers.Length - 1], Gen.Int[0, peers.Length - 1]).Sample((keys, local, remote) =>
        {
            var entries = Entries([.. keys.Select((ids, i) => ($"k{i}", string.Join('|', ids.Select(id => owners[id]))))]);
            var (us, them) = (IdentityTests.Parse(peers[local]), IdentityTests.Parse(peers[remote]));
            Assert.Equal(Scan(entries, us, them), new PskIndex(entries).Find(us, them).Secret);
            Assert.Equal(
                entries.Where(entry => entry.Owners.IsEmpty || entry.Owners.Any(owner => owner.Matches(them))).Select(entry => entry.Name).Order(),
                new PskIndex(entries).Serving(them).Select(entry => entry.Name).Order());
        });
    }

    [Fact]
    public void Ten_thousand_peers_are_not_scanned()
    {
        var small = new PskIndex(Entries([.. Enumerable.Range(0, 10).Select(i => ($"k{i}", $"hub|spoke{i}.example.org"))]));
        var large = new PskIndex(Entries([.. Enumerable.Range(0, 10_000).Select(i => ($"k{i}", $"hub|spoke{i}.example.org"))]));
        Identity hub = Identity.Fqdn("hub"), spoke = Identity.Fqdn("spoke7.example.org");
        Assert.Equal(small.Find(hub, spoke).WhyNot, large.Find(hub, spoke).WhyNot);
        // the work shows in the memory that it takes: each look at an owner folds the case of names
        Assert.InRange(Allocated(() => large.Find(hub, spoke)), 0, 2 * Allocated(() => small.Find(hub, spoke)) + 256);
        Assert.InRange(Allocated(() => large.Find(hub, Identity.Fqdn("stranger"))), 0, 20_000);
    }

    private static long Allocated(System.Action action)
    {
        action();
        var before = System.GC.GetAllocatedBytesForCurrentThread();
        action();
        return System.GC.GetAllocatedBytesForCurrentThread() - before;
    }

    /// <summary>The rule of the documentation, word by word.</summary>
    private static SecretRef Scan(PskEntry[] entries, Identity local, Identity remote)
    {
        static int Fit(PskEntry entry, Identity identity) => entry.Owners.IsEmpty ? 0 : entry.Owners.Max(owner => (int)owner.Match(identity));
        return entries.Where(entry => entry.Owners.IsEmpty || Fit(entry, remote) > 0)
            .OrderByDescending(entry => Fit(entry, remote)).ThenByDescending(entry => Fit(entry, local)).ThenBy(entry => entry.Owners.Count(owner => !owner.Matches(local) && !owner.Matches(remote))).ThenBy(entry => entry.Name, System.StringComparer.Ordinal)
            .Select(entry => entry.Secret).FirstOrDefault();
    }

    private static PskEntry[] Entries(params (string Name, string Owners)[] entries) =>
    [
        .. entries.Select((entry, i) => new PskEntry(new SecretRef(i + 1), entry.Name, [.. entry.Owners.Split('|', System.StringSplitOptions.RemoveEmptyEntries).Select(Pattern)])),
    ];

    private static IdentityPattern Pattern(string text) => IdentityPattern.TryParse(text, out var pattern, out var error) ? pattern : throw new Xunit.Sdk.XunitException(error);

    private static string? Find(PskEntry[] entries, string local, string remote)
    {
        var (secret, _) = new PskIndex(entries).Find(IdentityTests.Parse(local), IdentityTests.Parse(remote));
        return secret.IsNone ? null : entries.Single(entry => entry.Secret == secret).Name;
    }
}
