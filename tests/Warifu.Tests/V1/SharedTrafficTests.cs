using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Two peers that ask for the same traffic (RFC 3948 section 5.1; item 3.4).</summary>
[Trait("Item", "3.4")]
public sealed class SharedTrafficTests
{
    [Fact]
    public void A_peer_that_takes_the_traffic_of_another_is_told_of()
    {
        using var world = new World(UniquePolicy.Replace);
        Assert.True(world.Second().Success);
        var notice = Assert.Single(world.Server.Events.OfType<Notice>(), notice => notice.Level == NoticeLevel.Warning);
        Assert.Contains("mallory.example.org", notice.Text, StringComparison.Ordinal);
        Assert.Contains("left.example.org", notice.Text, StringComparison.Ordinal);
        Assert.Contains("the newer one gets the traffic", notice.Text, StringComparison.Ordinal);
        Assert.Equal(2, world.Server.Installed.Count);
    }

    [Fact]
    public void With_unique_keep_the_older_peer_keeps_its_traffic()
    {
        using var world = new World(UniquePolicy.Keep);
        Assert.False(world.Second().Success);
        Assert.Equal("selectors", world.Server.LastReport!.Failure!.Reason);
        Assert.Contains("the older keeps them", world.Server.LastReport.Failure.Sentence, StringComparison.Ordinal);
        Assert.Equal("left.example.org", Identities.Print(world.Server.Engine.IsakmpSas.Single(sa => sa.Children.Count == 1).RemoteId));
        // and when it is gone the other one may have it
        world.Pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net"), false), world.Pair.Now);
        world.Pair.Settle();
        Assert.True(world.Second().Success);
    }

    /// <summary>A peer that rekeys, or authenticates anew, has its own.</summary>
    [Fact]
    public void A_peer_that_comes_again_takes_nothing_from_itself()
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right() with { Unique = UniquePolicy.Keep });
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Run(TimeSpan.FromSeconds(10));
        pair.Left.Command(id => new IkeCommand.Reauth(id, new SaTarget("net")), pair.Now);
        pair.Run(TimeSpan.FromSeconds(10));
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Run(TimeSpan.FromSeconds(10));
        V1Pair.AssertSame(pair);
        Assert.DoesNotContain(pair.Right.Events.OfType<Notice>(), notice => notice.Level == NoticeLevel.Warning);
    }

    private sealed class World : IDisposable
    {
        private readonly EngineHost _mallory = new(IpAddress.Parse("203.0.113.7"), 99, new Instant(1_000_000_000));

        public World(UniquePolicy unique)
        {
            Pair = new EnginePair();
            Pair.Load(V1Pair.Left(), V1Pair.Right() with { Remote = new RemoteAuth(), RemoteAddresses = [], Unique = unique });
            Assert.True(Pair.Up().Success);
            _mallory.SetPsk("ike-1", EnginePair.Secret);
            _mallory.Load(PolicySet.Of(V1Pair.Left() with { LocalAddresses = [HostPattern.Of(_mallory.Address)], Local = new LocalAuth { Id = Identity.Fqdn("mallory.example.org") } }), Pair.Now);
        }

        public EnginePair Pair { get; }

        public EngineHost Server => Pair.Right;

        /// <summary>Another peer with the same network behind it.</summary>
        public CommandResult Second()
        {
            var id = _mallory.Up("net", "net", Pair.Now);
            while (_mallory.Outbox.Count + Server.Outbox.Count > 0)
            {
                while (_mallory.Outbox.TryDequeue(out var message)) Server.Receive(message.Remote, message.Local, message.Message, Pair.Now);
                while (Server.Outbox.TryDequeue(out var message))
                {
                    if (message.Remote.Address == _mallory.Address) _mallory.Receive(message.Remote, message.Local, message.Message, Pair.Now);
                }
            }

            return _mallory.Results[id];
        }

        public void Dispose()
        {
            Pair.Dispose();
            _mallory.Dispose();
        }
    }
}
