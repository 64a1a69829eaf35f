using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.V2;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>NAT in all positions (RFC 7296 section 2.23) between two engines.</summary>
[Trait("Item", "2.12")]
public sealed class NatTests
{
    [Theory]
    [InlineData(false, false, false)]
    [InlineData(true, false, false)]
    [InlineData(false, true, false)]
    [InlineData(true, true, false)]
    [InlineData(false, false, true)]
    [InlineData(true, false, true)]
    [InlineData(false, true, true)]
    [InlineData(true, true, true)]
    public void Both_sides_know_who_is_behind_a_NAT_and_use_the_shared_port(bool leftNat, bool rightNat, bool mobike)
    {
        using var world = new Translated(leftNat, rightNat, mobike);
        Assert.True(world.Pair.Up().Success);
        var (left, right) = (Assert.Single(world.Pair.Left.Engine.Snapshot().IkeSas), Assert.Single(world.Pair.Right.Engine.Snapshot().IkeSas));
        Assert.Equal((leftNat, rightNat), (left.NatLocal, left.NatRemote));
        Assert.Equal((rightNat, leftNat), (right.NatLocal, right.NatRemote));
        // without a NAT and without MOBIKE all stays on 500
        var port = leftNat || rightNat || mobike ? 4500 : 500;
        Assert.Equal(port, left.Local.Port);
        Assert.Equal(port, left.Remote.Port);
        Assert.Equal(port, right.Local.Port);
        Assert.All(world.Pair.Sent.Take(2), sent => Assert.False(sent.Message.Marker));
        Assert.All(world.Pair.Sent.Skip(2), sent => Assert.Equal(port == 4500, sent.Message.Marker));
        // ESP goes in UDP only where a NAT was found
        Assert.All(world.Pair.Left.Installed.Values.Concat(world.Pair.Right.Installed.Values), sa => Assert.Equal(leftNat || rightNat, sa.UdpEncapsulation));
        // RFC 3948 section 4: who is behind the NAT keeps the mapping alive
        Assert.Equal(leftNat, world.Pair.Left.Keepalives.Count == 1);
        Assert.Equal(rightNat, world.Pair.Right.Keepalives.Count == 1);
        foreach (var target in new[] { new SaTarget("net"), new SaTarget("net", "net") })
        {
            foreach (var side in new[] { world.Pair.Left, world.Pair.Right })
            {
                side.Command(id => new IkeCommand.Rekey(id, target), world.Pair.Now);
                world.Pair.Run();
            }
        }

        left = Assert.Single(world.Pair.Left.Engine.Snapshot().IkeSas);
        Assert.Equal((leftNat, rightNat), (left.NatLocal, left.NatRemote));
        Assert.Equal(leftNat || rightNat, Assert.Single(world.Pair.Left.Installed.Values).UdpEncapsulation);
        Assert.Equal(leftNat ? [left.Id] : [], world.Pair.Left.Keepalives.Keys);
    }

    [Fact]
    public void Two_translators_in_a_row_are_one()
    {
        using var world = new Translated(leftNat: true, rightNat: false, mobike: false);
        var inner = world.Pair.Nat!;
        var outer = new Dictionary<ushort, ushort>();
        // the second one changes address and port again
        world.Pair.Nat = (from, send) =>
        {
            if (from == world.Pair.Left)
            {
                if (inner(from, send) is not var (source, target)) return null;
                var port = (ushort)(source.Port + 20_000);
                outer[port] = source.Port;
                return (new Endpoint(Translated.SecondNat, port), target);
            }

            return send.Remote.Address == Translated.SecondNat && outer.TryGetValue(send.Remote.Port, out var back) ? inner(from, send with { Remote = new Endpoint(Translated.LeftNat, back) }) : null;
        };
        Assert.True(world.Pair.Up().Success);
        Assert.Equal(Translated.SecondNat, Assert.Single(world.Pair.Right.Engine.Snapshot().IkeSas).Remote.Address);
    }

    [Fact]
    public void Encapsulation_is_used_where_it_is_asked_for()
    {
        using var world = new Translated(false, false, mobike: false, left => left with { ForceEncapsulation = true });
        Assert.True(world.Pair.Up().Success);
        Assert.All(world.Pair.Left.Installed.Values.Concat(world.Pair.Right.Installed.Values), sa => Assert.True(sa.UdpEncapsulation));
        Assert.All(world.Pair.Sent.Skip(2), sent => Assert.True(sent.Message.Marker));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Without_NAT_traversal_nothing_is_said_about_it_and_a_NAT_ends_the_attempt_with_a_reason(bool onLeft)
    {
        foreach (var nat in new[] { false, true })
        {
            using var world = new Translated(nat, false, mobike: true, left => left with { NatTraversal = !onLeft }, right => right with { NatTraversal = onLeft });
            var result = world.Pair.Up();
            // who does not send the hashes learns nothing from the other's either way but the responder, which sees those of the request
            Assert.DoesNotContain(world.Pair.Sent, sent => (sent.From == world.Pair.Left) == onLeft && Says(sent.Message.Message, NotifyType.NatDetectionSourceIp));
            Assert.All(world.Pair.Sent, sent => Assert.False(sent.Message.Marker));
            Assert.Equal(!nat, result.Success);
            if (!nat) continue;
            Assert.Equal("nat", (onLeft ? world.Pair.Left : world.Pair.Right).LastReport!.Failure!.Reason);
            Assert.Contains("nat_traversal", (onLeft ? world.Pair.Left : world.Pair.Right).LastReport!.Failure!.Remedy, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void A_new_mapping_is_followed_again_and_again_on_authentic_messages_only(bool rightNat, bool mobike)
    {
        using var world = new Translated(leftNat: true, rightNat, mobike, left => left with { DpdDelay = TimeSpan.FromSeconds(10) });
        Assert.True(world.Pair.Up().Success);
        var child = world.Pair.Right.Installed.Keys.Single();
        for (var i = 0; i < 100; i++)
        {
            var before = Assert.Single(world.Pair.Right.Engine.Snapshot().IkeSas).Remote;
            // forged ones from elsewhere, and an old one replayed
            var old = world.Pair.Sent.Last(sent => sent.From == world.Pair.Left).Message;
            foreach (var message in new[] { old.Message, [.. old.Message[..^1], (byte)(old.Message[^1] ^ 1)], old.Message[..^5] })
                world.Pair.Right.Receive(old.Remote with { Address = world.Pair.Right.Address }, new Endpoint(Translated.LeftNat, 7), message, world.Pair.Now);
            world.Pair.Right.Outbox.Clear();
            Assert.Equal(before, Assert.Single(world.Pair.Right.Engine.Snapshot().IkeSas).Remote);
            world.Rebind();
            world.Pair.Run(TimeSpan.FromSeconds(25));
            var after = Assert.Single(world.Pair.Right.Engine.Snapshot().IkeSas).Remote;
            Assert.NotEqual(before, after);
            Assert.Equal(world.Mapped(world.Pair.Left.Address, 4500), after);
            Assert.Equal(after, world.Pair.Right.Moved[child].Remote);
        }

        Assert.Single(world.Pair.Left.Installed);
        Assert.Single(world.Pair.Right.Installed);
        Assert.DoesNotContain(world.Pair.Left.Events.Concat(world.Pair.Right.Events), happening => happening is IkeSaDown or ChildDown);
        Assert.Equal(100, world.Pair.Right.Events.OfType<PathChanged>().Count());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_is_under_way_goes_to_the_new_mapping_unless_it_is_what_the_peer_answers(bool answers)
    {
        using var world = new Translated(leftNat: true, rightNat: false, mobike: false);
        var pair = world.Pair;
        Assert.True(pair.Up().Success);
        pair.Sent.Clear();
        if (answers)
        {
            // the answer itself comes through the new mapping
            pair.Wire = (_, from, _) =>
            {
                if (from == pair.Right) return 1;
                world.Rebind();
                pair.Wire = null;
                return 1;
            };
            pair.Right.Command(id => new IkeCommand.Rekey(id, new SaTarget("net")), pair.Now);
        }
        else
        {
            // nobody hears our request; then one of the peer's own shows where it is now
            world.Rebind();
            pair.Right.Command(id => new IkeCommand.Rekey(id, new SaTarget("net")), pair.Now);
            pair.Settle();
            pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        }

        pair.Settle();
        Assert.Equal(world.Mapped(pair.Left.Address, 4500), Assert.Single(pair.Right.Engine.IkeSas, sa => sa.State == IkeState.Established).Remote);
        var first = pair.Sent.First(sent => sent.From == pair.Right);
        Assert.Equal(answers ? 1 : 2, pair.Sent.Count(sent => sent.From == pair.Right && sent.Message.Message.AsSpan().SequenceEqual(first.Message.Message)));
        Assert.Contains(pair.Right.Events, happening => happening is PathChanged);
    }

    [Fact]
    public void An_authentic_ESP_packet_from_elsewhere_moves_the_peer_too()
    {
        using var world = new Translated(leftNat: true, rightNat: false, mobike: false);
        Assert.True(world.Pair.Up().Success);
        var child = world.Pair.Right.Installed.Keys.Single();
        var there = new Endpoint(Translated.LeftNat, 999);
        world.Pair.Right.Engine.Handle(new DataPlaneEvent.PeerMoved(child, there), world.Pair.Now);
        world.Pair.Right.Drain(world.Pair.Now);
        Assert.Equal(there, world.Pair.Right.Moved[child].Remote);
        Assert.Equal(there, Assert.Single(world.Pair.Right.Engine.Snapshot().IkeSas).Remote);
        // the other side is behind a NAT itself, and began it: one packet must not cut it off (RFC 7296 section 2.23)
        var own = world.Pair.Left.Installed.Keys.Single();
        world.Pair.Left.Engine.Handle(new DataPlaneEvent.PeerMoved(own, there), world.Pair.Now);
        world.Pair.Left.Drain(world.Pair.Now);
        Assert.Empty(world.Pair.Left.Moved);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void In_transport_mode_each_side_has_the_addresses_that_it_sees_and_knows_what_the_other_computes_with(bool leftNat, bool rightNat)
    {
        using var world = new Translated(leftNat, rightNat, mobike: false, Transport, Transport);
        Assert.True(world.Pair.Up().Success, world.Pair.Left.LastReport?.Failure?.Sentence);
        foreach (var rekeyer in new[] { null, world.Pair.Left, world.Pair.Right })
        {
            rekeyer?.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), world.Pair.Now);
            world.Pair.Run();
            var (left, right) = (Assert.Single(world.Pair.Left.Installed.Values), Assert.Single(world.Pair.Right.Installed.Values));
            Assert.Equal((IpsecMode.Transport, IpsecMode.Transport), (left.Mode, right.Mode));
            var (leftInside, rightInside) = (world.Pair.Left.Address, world.Pair.Right.Address);
            var (leftOutside, rightOutside) = (leftNat ? Translated.LeftNat : leftInside, rightNat ? Translated.RightNat : rightInside);
            Assert.Equal((leftInside, rightOutside), (left.LocalSelectors.Single().First, left.RemoteSelectors.Single().First));
            Assert.Equal((rightInside, leftOutside), (right.LocalSelectors.Single().First, right.RemoteSelectors.Single().First));
            Assert.Equal((rightInside, leftOutside), (left.OriginalRemote, left.OriginalLocal));
            Assert.Equal((leftInside, rightOutside), (right.OriginalRemote, right.OriginalLocal));
        }

        static Connection Transport(Connection connection) => connection with { Children = [connection.Children[0] with { Mode = ChildMode.Transport, LocalSelectors = [], RemoteSelectors = [] }] };
    }

    [Theory]
    [InlineData(UniquePolicy.No)]
    [InlineData(UniquePolicy.Keep)]
    public void Of_two_peers_with_the_same_addresses_inside_the_newer_or_the_older_gets_the_traffic_and_both_are_named(UniquePolicy unique)
    {
        using var world = new Translated(leftNat: true, rightNat: false, mobike: false, right: right => right with { Unique = unique, Remote = new RemoteAuth() });
        Assert.True(world.Pair.Up().Success);
        using var other = new EngineHost(world.Pair.Left.Address, 77, world.Pair.Now);
        other.SetPsk("ike-1", EnginePair.Secret);
        var connection = EnginePair.LeftGateway() with { RemoteAddresses = [HostPattern.Of(world.Pair.Right.Address)], Local = new LocalAuth { Id = Identity.Fqdn("other.example.org") } };
        other.Load(PolicySet.Of(connection), world.Pair.Now);
        var up = other.Up("net", "net", world.Pair.Now);
        while (other.Outbox.Count + world.Pair.Right.Outbox.Count > 0)
        {
            while (other.Outbox.TryDequeue(out var message)) world.Pair.Right.Receive(message.Remote, new Endpoint(Translated.LeftNat, (ushort)(message.Local.Port + 7)), message.Message, world.Pair.Now);
            while (world.Pair.Right.Outbox.TryDequeue(out var message)) other.Receive(message.Remote with { Address = other.Address, Port = (ushort)(message.Remote.Port - 7) }, message.Local, message.Message, world.Pair.Now);
        }

        Assert.Equal(unique != UniquePolicy.Keep, other.Results[up].Success);
        var told = unique == UniquePolicy.Keep ? world.Pair.Right.LastReport!.Failure!.Sentence : world.Pair.Right.Events.OfType<Notice>().Last(notice => notice.Level == NoticeLevel.Warning).Text;
        Assert.Contains("left.example.org", told, StringComparison.Ordinal);
        Assert.Contains("other.example.org", told, StringComparison.Ordinal);
        Assert.Equal(unique == UniquePolicy.Keep ? 1 : 2, world.Pair.Right.Installed.Count);
        Assert.Equal(2, world.Pair.Right.Engine.Snapshot().IkeSas.Length);
    }

    private static bool Says(byte[] message, NotifyType type) =>
        IkeHeader.TryRead(message, out var header) && header.Exchange == ExchangeType.IkeSaInit && MessageView.TryParse(header.NextPayload, message.AsSpan(IkeHeader.Length), out var view) == ParseError.None && view.HasNotify(type);

    /// <summary>A pair with translators: a dynamic one before the left side, a fixed one before the right.</summary>
    private sealed class Translated : IDisposable
    {
        private readonly bool _leftNat;
        private readonly bool _rightNat;
        private readonly Dictionary<Endpoint, ushort> _outward = [];
        private readonly Dictionary<ushort, Endpoint> _inward = [];
        private ushort _next = 1024;

        public Translated(bool leftNat, bool rightNat, bool mobike, Func<Connection, Connection>? left = null, Func<Connection, Connection>? right = null)
        {
            (_leftNat, _rightNat) = (leftNat, rightNat);
            Pair = new EnginePair { Nat = Translate };
            var first = EnginePair.LeftGateway() with { Mobike = mobike, RemoteAddresses = [HostPattern.Of(rightNat ? RightNat : Pair.Right.Address)] };
            var second = EnginePair.RightGateway() with { Mobike = mobike, RemoteAddresses = [] };
            Pair.Load(left?.Invoke(first) ?? first, right?.Invoke(second) ?? second);
        }

        public static IpAddress LeftNat { get; } = IpAddress.Parse("203.0.113.1");

        public static IpAddress SecondNat { get; } = IpAddress.Parse("203.0.113.5");

        public static IpAddress RightNat { get; } = IpAddress.Parse("203.0.113.9");

        public EnginePair Pair { get; }

        /// <summary>The translator starts anew.</summary>
        public void Rebind()
        {
            _outward.Clear();
            _inward.Clear();
        }

        public Endpoint Mapped(IpAddress inner, ushort port) => new(LeftNat, _outward[new Endpoint(inner, port)]);

        public void Dispose() => Pair.Dispose();

        private (Endpoint Source, Endpoint Target)? Translate(EngineHost from, IkeAction.Send send)
        {
            var (source, target) = (send.Local, send.Remote);
            if (from == Pair.Left && _leftNat)
            {
                if (!_outward.TryGetValue(source, out var port))
                {
                    port = _next++;
                    _outward.Add(source, port);
                    _inward.Add(port, source);
                }

                source = new Endpoint(LeftNat, port);
            }

            if (from == Pair.Right && _rightNat) source = source with { Address = RightNat };
            if (target.Address == RightNat) target = target with { Address = Pair.Right.Address };
            if (target.Address != LeftNat) return from == Pair.Right && _leftNat ? null : (source, target);
            return _inward.TryGetValue(target.Port, out var inner) ? (source, inner) : null;
        }
    }
}
