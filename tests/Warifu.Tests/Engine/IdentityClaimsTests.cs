using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Text;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Tests.Crypto;
using Warifu.Tests.Pki;
using Xunit;

namespace Warifu.Tests.Engine;

/// <summary>Who holds which identity: nothing is forgotten and nothing stays, across engines too, and one identity does not fill the memory.</summary>
public sealed class IdentityClaimsTests
{
    private static readonly Identity s_own = Identity.Fqdn("right.example.org"), s_peer = Identity.Fqdn("left.example.org");

    [Fact]
    [Trait("Item", "2.9")]
    public void What_is_released_or_rekeyed_is_followed()
    {
        var claims = new IdentityClaims();
        Assert.Empty(Claim(claims, 1).Replaces);
        Assert.Equal([1u], Claim(claims, 2, UniquePolicy.Replace).Replaces);
        claims.Release(1);
        claims.Release(1);
        Assert.Equal(1, claims.Count);
        claims.Observe(new IkeSaRekeyed(7) { IkeId = 2 });
        Assert.Equal([7u], Claim(claims, 3, UniquePolicy.Replace).Replaces);
        // asked again by the same one
        Assert.Equal([7u], Claim(claims, 3, UniquePolicy.Replace).Replaces);
        Assert.Equal(2, claims.Count);
        Assert.False(Claim(claims, 4, UniquePolicy.Keep).Granted);
        Assert.True(Claim(claims, 4, UniquePolicy.Keep, sameHost: [3, 7]).Granted);
        Assert.Empty(Claim(claims, 5, UniquePolicy.Never, initialContact: true).Replaces);
        Assert.Equal([7u, 3u, 4u, 5u], Claim(claims, 6, UniquePolicy.No, initialContact: true).Replaces);
        foreach (var id in new uint[] { 3, 4, 5, 6, 7 }) claims.Release(id);
        Assert.Equal(0, claims.Count);
    }

    [Fact]
    [Trait("Item", "2.14")]
    public void One_identity_has_a_limit_and_what_it_replaces_does_not_count()
    {
        var claims = new IdentityClaims(3);
        for (var id = 1u; id <= 3; id++) Assert.True(Claim(claims, id).Granted);
        var refused = Claim(claims, 4);
        Assert.Equal((false, 3), (refused.Granted, refused.Most));
        // whatever it calls us
        Assert.False(Claim(claims, 4, own: Identity.Fqdn("other.example.org")).Granted);
        Assert.True(Claim(claims, 4, peer: Identity.Fqdn("another.example.org")).Granted);
        Assert.True(Claim(claims, 5, UniquePolicy.Replace).Granted);
        // those that we began are ours to count
        Assert.True(Claim(claims, 6, isBounded: false).Granted);
        foreach (var id in new uint[] { 1, 2, 3 }) claims.Release(id);
        Assert.True(Claim(claims, 7).Granted);
        Assert.False(Claim(claims, 8).Granted);
    }

    [Fact]
    [Trait("Item", "2.14")]
    public void The_peer_that_has_too_many_is_refused_with_an_event_and_the_others_live_on()
    {
        using var pair = new EnginePair();
        pair.Right.Claims = new IdentityClaims(3);
        var left = EnginePair.LeftGateway() with { Unique = UniquePolicy.Never };
        pair.Left.Load(PolicySet.Of([.. Enumerable.Range(0, 4).Select(number => left with { Name = $"c{number}" })]), pair.Now);
        pair.Right.Load(PolicySet.Of(EnginePair.RightGateway()), pair.Now);
        bool Up(int number)
        {
            var id = pair.Left.Up($"c{number}", "net", pair.Now);
            pair.Run();
            return pair.Left.Results[id].Success;
        }

        Assert.Equal([true, true, true, false], Enumerable.Range(0, 4).Select(Up));
        var failure = pair.Right.LastReport!.Failure!;
        Assert.Equal("too-many", failure.Reason);
        Assert.Contains("left.example.org has 3 IKE SAs already", failure.Sentence, StringComparison.Ordinal);
        Assert.Contains("daemon.identity_limit", failure.Remedy, StringComparison.Ordinal);
        Assert.Equal("authentication-failed", pair.Left.LastReport!.Failure!.Reason);
        // rekeying at the limit is no new one
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("c0")), pair.Now);
        pair.Run();
        Assert.Equal(3, pair.Right.Engine.IkeSas.Count);
        Assert.Equal(3, pair.Right.Claims.Count);
        pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("c1")), pair.Now);
        pair.Run();
        Assert.True(Up(3));
    }

    [Fact]
    [Trait("Item", "2.9")]
    public void Nothing_stays_of_those_that_are_closed_as_redundant_rekeyed_or_refused_after_they_claimed()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        // both begin: one of the two is redundant
        pair.Left.Up("net", "net", pair.Now);
        pair.Right.Up("net", "net", pair.Now);
        pair.Run(TimeSpan.FromMinutes(3));
        Assert.All([pair.Left, pair.Right], host => Assert.Equal((1, 1), (host.Engine.IkeSas.Count, host.Claims.Count)));
        // both rekey: one of the two new ones is redundant
        foreach (var host in new[] { pair.Left, pair.Right }) host.Command(id => new IkeCommand.Rekey(id, new SaTarget("net")), pair.Now);
        pair.Run(TimeSpan.FromMinutes(1));
        Assert.All([pair.Left, pair.Right], host => Assert.Equal((1, 1), (host.Engine.IkeSas.Count, host.Claims.Count)));
        pair.Left.Command(id => new IkeCommand.Reauth(id, new SaTarget("net")), pair.Now);
        pair.Run(TimeSpan.FromMinutes(1));
        Assert.All([pair.Left, pair.Right], host => Assert.Equal((1, 1), (host.Engine.IkeSas.Count, host.Claims.Count)));
        pair.Right.Command(id => new IkeCommand.Down(id, new SaTarget("net")), pair.Now);
        pair.Run();
        Assert.All([pair.Left, pair.Right], host => Assert.Equal(0, host.Claims.Count));
    }

    [Fact]
    [Trait("Item", "2.9")]
    public void Nothing_stays_of_one_that_fails_between_its_claim_and_its_end()
    {
        using var pair = new EnginePair();
        var root = Issuing.Root();
        // the right side has a certificate and not its key
        var right = EnginePair.RightGateway();
        right = right with { Local = right.Local with { Kind = AuthKind.PublicKey, Certificates = [[.. root.Issue("CN=right", spec => spec.Key = TestKey.Foreign(Keys.Of("p256").Public.Spki)).Der]] } };
        var left = EnginePair.LeftGateway();
        pair.Load(left with { Remote = left.Remote with { Kind = AuthKind.PublicKey } }, right);
        Assert.False(pair.Up().Success);
        Assert.Equal("no-secret", pair.Right.LastReport!.Failure!.Reason);
        Assert.Equal(0, pair.Right.Claims.Count);
        // and of one that is gone before it is answered
        pair.Load(left, EnginePair.RightGateway());
        pair.Right.HeldAsks = [];
        pair.Left.Up("net", "net", pair.Now);
        AskId asked = default;
        Ask? claim = null;
        while (claim is null)
        {
            pair.Settle();
            var (id, question) = pair.Right.HeldAsks[0];
            pair.Right.HeldAsks.RemoveAt(0);
            if (question is Ask.ClaimIdentity) (asked, claim) = (id, question);
            else pair.Right.Answer(id, question, pair.Now);
        }

        var answer = pair.Right.Claims.Claim(asked, (Ask.ClaimIdentity)claim);
        Assert.Equal(1, pair.Right.Claims.Count);
        pair.Right.Engine.IkeSas.Single().Close("down", "a test");
        pair.Right.Drain(pair.Now);
        pair.Right.Engine.Handle(answer, pair.Now);
        Assert.Equal(0, pair.Right.Claims.Count);
    }

    [Theory]
    [Trait("Item", "2.9")]
    [InlineData(UniquePolicy.Replace, false, 1)]
    [InlineData(UniquePolicy.No, true, 1)]
    [InlineData(UniquePolicy.No, false, 2)]
    [InlineData(UniquePolicy.Never, true, 2)]
    [InlineData(UniquePolicy.Keep, false, 1)]
    public void With_four_engines_the_one_that_has_the_old_IKE_SA_is_told(UniquePolicy policy, bool initialContact, int left)
    {
        using var host = new ShardedHost(EnginePair.RightGateway() with { RemoteAddresses = [], Unique = policy });
        var first = IpAddress.Parse("192.0.2.2");
        var second = Enumerable.Range(3, 50).Select(last => IpAddress.Parse($"192.0.2.{last}")).First(address => host.Engines.NumberOf(address) != host.Engines.NumberOf(first));
        host.Call(first, initialContact);
        var old = Assert.Single(host.Engines.IkeSas).Id;
        host.Pass(TimeSpan.FromSeconds(1));
        host.Call(second, initialContact);
        host.Pass(TimeSpan.FromSeconds(90));
        Assert.Equal(left, host.Engines.IkeSas.Count);
        Assert.Equal(left, host.Claims.Count);
        Assert.Equal(left, host.Pairs.Count);
        // the newer wins, or with keep the older
        if (left == 1) Assert.Equal(policy == UniquePolicy.Keep, host.Engines.IkeSas.Single().Id == old);
        if (left == 1 && policy != UniquePolicy.Keep) Assert.NotEqual(old >> 24, host.Engines.IkeSas.Single().Id >> 24);
    }

    [Fact]
    [Trait("Item", "2.9")]
    public void What_was_authenticated_after_the_other_was_begun_is_not_taken_for_its_elder()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        var sa = pair.Right.Engine.IkeSas.Single();
        pair.Right.Command(id => new IkeCommand.Replace(id, sa.Id, sa.Authenticated - TimeSpan.FromSeconds(1), true), pair.Now);
        Assert.Single(pair.Right.Installed);
        pair.Right.Command(id => new IkeCommand.Replace(id, sa.Id, sa.Authenticated, true), pair.Now);
        Assert.Empty(pair.Right.Installed);
        Assert.Equal("replaced", Assert.Single(pair.Right.Events.OfType<IkeSaDown>()).Reason);
    }

    private static Answer.Claim Claim(IdentityClaims claims, uint id, UniquePolicy policy = UniquePolicy.No, bool initialContact = false, ImmutableArray<uint> sameHost = default, Identity? own = null, Identity? peer = null, bool isBounded = true) =>
        claims.Claim(new AskId(id), new Ask.ClaimIdentity(id, "net", own ?? s_own, peer ?? s_peer, policy, initialContact) { SameHost = sameHost.IsDefault ? [] : sameHost, IsBounded = isBounded });
}

/// <summary>A gateway of four engines, with the services that a host gives to all of them, and its clients.</summary>
internal sealed class ShardedHost : IDisposable
{
    private static readonly IpAddress s_address = IpAddress.Parse("198.51.100.2");

    private readonly List<EngineHost> _clients = [];
    private readonly byte[] _psk = Encoding.UTF8.GetBytes(EnginePair.Secret);

    public ShardedHost(Connection connection)
    {
        Engines = new Shards(new EngineOptions { RethrowBugs = true }, 4, number => new SeededEntropy((ulong)number + 100), s_address, Now);
        Do(engines => engines.Handle(new IkeCommand.Load(new CommandId(1), PolicySet.Of(connection)), Now));
    }

    public Instant Now { get; private set; } = new(1_000_000_000);

    public Shards Engines { get; }

    public IdentityClaims Claims { get; } = new();

    public HashSet<uint> Pairs { get; } = [];

    /// <summary>The same identity comes from this address.</summary>
    public void Call(IpAddress address, bool initialContact)
    {
        var client = new EngineHost(address, (ulong)address.Bits, Now);
        client.SetPsk("ike-1", EnginePair.Secret);
        _clients.Add(client);
        client.Load(PolicySet.Of(EnginePair.LeftGateway() with { LocalAddresses = [HostPattern.Of(address)], Unique = initialContact ? UniquePolicy.No : UniquePolicy.Never }), Now);
        client.Up("net", "net", Now);
        Settle();
    }

    public void Do(Action<Shards> call)
    {
        call(Engines);
        while (Engines.TryDequeue(out var action))
        {
            switch (action)
            {
                case IkeAction.Send send:
                    _clients.Find(client => client.Address == send.Remote.Address)?.Receive(send.Remote, send.Local, send.Message, Now);
                    break;
                case IkeAction.RaiseAsk ask:
                    Engines.Handle(AnswerTo(ask.Id, ask.Question), Now);
                    break;
                case IkeAction.ReleaseIdentity release:
                    Claims.Release(release.IkeId);
                    break;
                case IkeAction.Raise raise:
                    Claims.Observe(raise.Event);
                    break;
                case IkeAction.InstallChild install:
                    Pairs.Add(install.Sa.Id);
                    install.Sa.Dispose();
                    break;
                case IkeAction.RemoveChild remove:
                    Pairs.Remove(remove.ChildId);
                    break;
            }
        }

        Settle();
    }

    public void Pass(TimeSpan span)
    {
        var end = Now + span;
        while (true)
        {
            var next = _clients.Select(client => client.Engine.NextTimeout).Append(Engines.NextTimeout).Min();
            if (next > end) break;
            if (next > Now) Now = next;
            foreach (var client in _clients) client.Wake(Now);
            Do(engines => engines.HandleTimeout(Now));
        }

        Now = end;
    }

    public void Dispose()
    {
        Engines.Dispose();
        foreach (var client in _clients) client.Dispose();
    }

    private void Settle()
    {
        while (_clients.Find(client => client.Outbox.Count > 0) is { } client)
        {
            var message = client.Outbox.Dequeue();
            Do(engines => engines.HandleDatagram(message.Remote, message.Local, message.Message, Now));
        }
    }

    private Answer AnswerTo(AskId id, Ask question)
    {
        switch (question)
        {
            case Ask.FindPsk:
                return new Answer.SecretHandle(id, new SecretRef(1));
            case Ask.PskAuth auth:
                using (var psk = new Secret(_psk)) return new Answer.Octets(id, KeyScheduleV2.SharedKeyAuth(auth.Prf, psk, auth.SignedOctets.AsSpan()));
            case Ask.LastTraffic:
                return new Answer.Traffic(id, default, default);
            case Ask.ClaimIdentity claim:
                return Claims.Claim(id, claim);
            default:
                return new Answer.Failed(id, "not here");
        }
    }
}
