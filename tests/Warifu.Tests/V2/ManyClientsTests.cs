using System;
using System.Globalization;
using System.Linq;
using Warifu.Crypto.Signatures;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Tests.Pki;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>Thousands of peers against one connection section, without a word about any of them (R146).</summary>
[Trait("Item", "2.19")]
public sealed class ManyClientsTests
{
    [Fact]
    public void Ten_thousand_identities_connect_to_one_section_and_each_has_its_own_address()
    {
        const int Count = 10_000;
        using var pair = new EnginePair(1, new EngineOptions(), new EngineOptions { CookieThreshold = int.MaxValue, HalfOpenPerPrefix = int.MaxValue });
        pair.Left.Load(PolicySet.Of([.. Enumerable.Range(0, Count).Select(Client)]), pair.Now);
        pair.Right.Load(PolicySet.Of(Gateway()) with { Pools = [Pool("10.64.0.0/16")] }, pair.Now);
        for (var i = 0; i < Count; i++)
        {
            var id = pair.Left.Up(NameOf(i), "net", pair.Now);
            pair.Settle();
            Assert.True(pair.Left.Results[id].Success, pair.Left.Results[id].Message);
            // what was sent is of no interest, and is much
            pair.Sent.Clear();
            pair.Left.Events.Clear();
            pair.Right.Events.Clear();
        }

        Assert.Equal(Count, pair.Right.Installed.Count);
        Assert.Equal(Count, pair.Right.Installed.Values.Select(child => child.RemoteSelectors.Single()).Distinct().Count());
        Assert.Equal(Count, pair.Right.Engine.IkeSas.Select(sa => sa.RemoteId).Distinct().Count());
        Assert.All(pair.Right.Engine.IkeSas, sa => Assert.Equal("clients", sa.Connection.Name));
        Assert.Equal(Count, pair.Right.Leases.Status().Single().Online);
        // one that comes again is recognised among all
        var again = pair.Left.Installed.Values.Single(child => child.Connection == NameOf(4711)).LocalSelectors.Single();
        pair.Left.Command(command => new IkeCommand.Down(command, new SaTarget(NameOf(4711))), pair.Now);
        pair.Settle();
        Assert.Equal(Count - 1, pair.Right.Installed.Count);
        pair.Left.Up(NameOf(4711), "net", pair.Now);
        pair.Settle();
        Assert.Equal(again, pair.Left.Installed.Values.Single(child => child.Connection == NameOf(4711)).LocalSelectors.Single());
    }

    [Fact]
    public void Each_of_many_identities_with_a_certificate_of_one_authority_connects_to_one_section()
    {
        var count = Environment.GetEnvironmentVariable("WARIFU_LONG") is null ? 300 : 10_000;
        var root = Issuing.Root();
        var own = root.Issue("CN=right", spec => spec.Dns("right.example.org"));
        var gateway = Gateway();
        gateway = gateway with { Local = gateway.Local with { Kind = AuthKind.PublicKey, Certificates = [[.. own.Der]] }, Remote = gateway.Remote with { Kind = AuthKind.PublicKey } };
        using var pair = new EnginePair(1, new EngineOptions(), new EngineOptions { CookieThreshold = int.MaxValue, HalfOpenPerPrefix = int.MaxValue });
        using var ownKey = PrivateKey.Parse(own.Key.Pkcs8());
        pair.Right.AddKey(ownKey);
        var clients = Enumerable.Range(0, count).Select(number => root.Issue($"CN={NameOf(number)}", spec => spec.Dns(NameOf(number) + ".clients.example.org"))).ToArray();
        var keys = clients.Select(client => PrivateKey.Parse(client.Key.Pkcs8())).ToArray();
        foreach (var key in keys) pair.Left.AddKey(key);
        var last = clients[^1].Certificate;
        pair.Left.Load(new PolicySet { Connections = [.. clients.Select((client, number) => Signing(number, client))], Trust = Judging.Material(root) }, pair.Now);
        // one section, one authority, one list: nothing is said of any of them but of the one whose key was lost
        pair.Right.Load(new PolicySet { Connections = [gateway], Pools = [Pool("10.64.0.0/16")], Trust = Judging.Material(root) with { Crls = [[.. root.CrlDer(null, last)]] } }, pair.Now);
        for (var number = 0; number < count; number++)
        {
            var id = pair.Left.Up(NameOf(number), "net", pair.Now);
            pair.Settle();
            Assert.True(pair.Left.Results[id].Success == number < count - 1, pair.Left.Results[id].Message);
            if (number == count - 1) break;
            pair.Sent.Clear();
            pair.Left.Events.Clear();
            pair.Right.Events.Clear();
        }

        Assert.Equal("certificate-revoked", pair.Right.LastReport!.Failure!.Reason);
        Assert.Contains($"CN={NameOf(count - 1)}", pair.Right.LastReport.Failure.Sentence, StringComparison.Ordinal);
        Assert.Equal(count - 1, pair.Right.Installed.Count);
        Assert.Equal(count - 1, pair.Right.Claims.Count);
        Assert.Equal(count - 1, pair.Right.Installed.Values.Select(child => child.RemoteSelectors.Single()).Distinct().Count());
        Assert.Equal(count - 1, pair.Right.Engine.IkeSas.Select(sa => sa.RemoteId).Distinct().Count());
        Assert.All(pair.Right.Engine.IkeSas, sa => Assert.Equal("clients", sa.Connection.Name));
        // somebody else's certificate is no proof of an identity, whoever issued it
        var thief = Signing(7, clients[8]) with { Name = "thief" };
        pair.Left.Load(PolicySet.Of(thief) with { Trust = Judging.Material(root) }, pair.Now);
        pair.Left.Up("thief", "net", pair.Now);
        pair.Settle();
        Assert.Equal("certificate-identity", pair.Right.LastReport!.Failure!.Reason);
        foreach (var key in keys) key.Dispose();
    }

    [Fact]
    public void An_identity_outside_of_the_pattern_is_refused()
    {
        using var pair = new EnginePair();
        pair.Left.Load(PolicySet.Of(Client(1) with { Local = new LocalAuth { Id = Identity.Fqdn("c1.clients.example.net") } }), pair.Now);
        pair.Right.Load(PolicySet.Of(Gateway()) with { Pools = [Pool("10.64.0.0/16")] }, pair.Now);
        var id = pair.Left.Up(NameOf(1), "net", pair.Now);
        pair.Settle();
        Assert.False(pair.Left.Results[id].Success);
        Assert.Equal("identity", pair.Right.LastReport!.Failure!.Reason);
    }

    private static string NameOf(int number) => string.Create(CultureInfo.InvariantCulture, $"c{number}");

    private static Connection Client(int number)
    {
        var left = EnginePair.LeftGateway();
        return left with
        {
            Name = NameOf(number),
            Local = new LocalAuth { Id = Identity.Fqdn(NameOf(number) + ".clients.example.org") },
            VirtualIps = [IpAddress.AnyV4],
            Children = [left.Children[0] with { LocalSelectors = [] }],
        };
    }

    private static Connection Signing(int number, Entity certificate)
    {
        var client = Client(number);
        return client with { Local = client.Local with { Kind = AuthKind.PublicKey, Certificates = [[.. certificate.Der]] }, Remote = client.Remote with { Kind = AuthKind.PublicKey } };
    }

    private static Connection Gateway()
    {
        var right = EnginePair.RightGateway();
        return right with { Name = "clients", RemoteAddresses = [], Remote = new RemoteAuth { Id = IdentityPattern.Parse("*.clients.example.org") }, Pools = ["p"], Children = [right.Children[0] with { RemoteSelectors = [] }] };
    }

    private static Pool Pool(string addresses) => PoolText.TryParseAddresses(addresses, out var range, out var error) ? new Pool { Name = "p", Addresses = [range] } : throw new ArgumentException(error);
}
