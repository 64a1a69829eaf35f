using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>MOBIKE (RFC 4555) between two engines.</summary>
[Trait("Item", "2.13")]
public sealed class MobikeTests
{
    private static readonly IpAddress s_left = IpAddress.Parse("192.0.2.2");
    private static readonly IpAddress s_leftToo = IpAddress.Parse("192.0.2.77");
    private static readonly IpAddress s_right = IpAddress.Parse("198.51.100.2");
    private static readonly IpAddress s_rightToo = IpAddress.Parse("198.51.100.77");

    [Fact]
    public void The_initiator_moves_and_the_responder_follows_when_it_has_seen_that_the_peer_is_there()
    {
        using var pair = Roaming();
        Assert.True(pair.Up().Success);
        var (left, right) = (pair.Left.Installed.Keys.Single(), pair.Right.Installed.Keys.Single());
        var asked = false;
        pair.Wire = (_, from, _) =>
        {
            // RFC 4555 section 3.7: the update is answered, then the new address is asked whether it is there, then pairs move
            if (from == pair.Right && !asked) asked = true;
            if (from == pair.Right) Assert.Empty(pair.Right.Moved);
            return 1;
        };
        Move(pair, pair.Left, s_leftToo, s_leftToo);
        Assert.True(asked);
        Assert.Equal(new Endpoint(s_leftToo, 4500), pair.Left.Moved[left].Local);
        Assert.Equal(new Endpoint(s_leftToo, 4500), pair.Right.Moved[right].Remote);
        foreach (var sa in new[] { Assert.Single(pair.Left.Engine.Snapshot().IkeSas).Local, Assert.Single(pair.Right.Engine.Snapshot().IkeSas).Remote }) Assert.Equal(s_leftToo, sa.Address);
        Assert.Single(pair.Left.Events.OfType<PathChanged>());
        Assert.Single(pair.Right.Events.OfType<PathChanged>());
        // and what is made later is made there
        pair.Wire = null;
        pair.Right.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Run();
        Assert.Equal(s_leftToo, Assert.Single(pair.Right.Installed.Values).Remote.Address);
        Assert.Equal(s_leftToo, Assert.Single(pair.Left.Installed.Values).Local.Address);
    }

    [Fact]
    public void Pairs_do_not_follow_to_an_address_where_nobody_answers()
    {
        using var pair = Roaming();
        Assert.True(pair.Up().Success);
        // somebody sends a genuine update from an address at which the peer does not receive
        pair.Wire = (_, from, sent) => from == pair.Right && sent.Remote.Address == s_leftToo ? 0 : 1;
        Move(pair, pair.Left, s_leftToo, s_leftToo, TimeSpan.FromSeconds(30));
        Assert.Empty(pair.Right.Moved);
    }

    [Fact]
    public void An_answer_with_another_cookie_ends_the_IKE_SA()
    {
        using var pair = Roaming(keyLog: true);
        Assert.True(pair.Up().Success);
        var keys = pair.Left.IkeKeys.Single();
        pair.Left.Address = s_leftToo;
        pair.Left.Command(id => new IkeCommand.Addresses(id, [s_leftToo]), pair.Now);
        var update = pair.Left.Outbox.Dequeue();
        pair.Right.Receive(update.Remote, update.Local, update.Message, pair.Now);
        var answer = pair.Right.Outbox.Dequeue();
        if (!(IkeHeader.TryRead(answer.Message, out var header) && header.IsResponse)) answer = pair.Right.Outbox.Dequeue();
        // RFC 4555 section 3.7: MUST be closed
        var wrong = new MessageBuilder().Notify(NotifyType.Cookie2, new byte[16]);
        pair.Left.Receive(answer.Remote, answer.Local, Sealing.Replace(keys, answer.Message, wrong.First, wrong.Chain), pair.Now);
        Assert.Contains(pair.Left.Engine.Snapshot().IkeSas, sa => sa.State == "DELETING");
    }

    [Fact]
    public void Pairs_do_not_follow_to_a_peer_that_answers_with_another_cookie()
    {
        using var pair = Roaming(keyLog: true);
        Assert.True(pair.Up().Success);
        var keys = pair.Left.IkeKeys.Single();
        var forged = 0;
        pair.Wire = (_, from, sent) =>
        {
            if (from == pair.Right || !IkeHeader.TryRead(sent.Message, out var header) || !header.IsResponse || forged > 0) return 1;
            forged++;
            var wrong = new MessageBuilder().Notify(NotifyType.Cookie2, new byte[16]);
            pair.Right.Receive(sent.Remote, sent.Local, Sealing.Replace(keys, sent.Message, wrong.First, wrong.Chain), pair.Now);
            return 0;
        };
        Move(pair, pair.Left, s_leftToo, s_leftToo);
        Assert.Equal(1, forged);
        Assert.Empty(pair.Right.Moved);
        // RFC 4555 section 3.7: MUST be closed
        Assert.Empty(pair.Right.Engine.IkeSas);
    }

    [Fact]
    public void A_responder_cannot_move_the_initiator_and_its_further_addresses_are_those_of_hosts()
    {
        using var pair = Roaming(keyLog: true);
        Assert.True(pair.Up().Success);
        var keys = pair.Left.IkeKeys.Single();
        pair.Right.Command(id => new IkeCommand.Addresses(id, [s_right, s_rightToo]), pair.Now);
        var told = pair.Right.Outbox.Dequeue();
        var update = new MessageBuilder().Notify(NotifyType.UpdateSaAddresses).Notify(NotifyType.Cookie2, new byte[16]);
        foreach (var address in new[] { "224.0.0.1", "255.255.255.255", "0.0.0.0", "198.51.100.2", "198.51.100.77" }) update.Notify(NotifyType.AdditionalIp4Address, IpAddress.Parse(address).ToOctets());
        foreach (var address in new[] { "ff02::1", "::", "2001:db8:2::77" }) update.Notify(NotifyType.AdditionalIp6Address, IpAddress.Parse(address).ToOctets());
        pair.Left.Receive(told.Remote, new Endpoint(s_rightToo, 4500), Sealing.Replace(keys, told.Message, update.First, update.Chain), pair.Now);
        // it is answered, and no more
        Assert.Single(pair.Left.Outbox);
        Assert.Empty(pair.Left.Moved);
        Assert.Equal(s_right, Assert.Single(pair.Left.Engine.IkeSas).Remote.Address);
        Assert.Equal([s_right, s_rightToo, IpAddress.Parse("2001:db8:2::77")], Peer(pair.Left));
    }

    [Fact]
    public void Additional_addresses_are_told_at_the_start_and_when_they_change()
    {
        using var pair = Roaming();
        Tell(pair, pair.Left, s_left, s_leftToo, IpAddress.Parse("2001:db8::2"));
        Tell(pair, pair.Right, s_right, s_rightToo);
        Assert.True(pair.Up().Success);
        Assert.Equal([s_leftToo, IpAddress.Parse("2001:db8::2")], Peer(pair.Right));
        Assert.Equal([s_rightToo], Peer(pair.Left));
        var before = pair.Sent.Count;
        Tell(pair, pair.Left, s_left, s_leftToo, IpAddress.Parse("2001:db8::2"));
        Assert.Equal(before, pair.Sent.Count);
        Tell(pair, pair.Left, s_left);
        Tell(pair, pair.Right, s_right, s_rightToo, IpAddress.Parse("198.51.100.78"));
        Assert.Empty(Peer(pair.Right));
        Assert.Equal([s_rightToo, IpAddress.Parse("198.51.100.78")], Peer(pair.Left));
        Assert.Empty(pair.Left.Moved);
        Assert.Empty(pair.Right.Moved);
    }

    [Fact]
    public void A_responder_that_loses_its_address_says_so_from_another_and_the_initiator_goes_there()
    {
        using var pair = Roaming();
        Tell(pair, pair.Right, s_right, s_rightToo);
        Assert.True(pair.Up().Success);
        Tell(pair, pair.Right, s_rightToo);
        pair.Run(TimeSpan.FromSeconds(5));
        Assert.Equal(s_rightToo, Assert.Single(pair.Left.Engine.Snapshot().IkeSas).Remote.Address);
        Assert.Equal(s_rightToo, Assert.Single(pair.Right.Engine.Snapshot().IkeSas).Local.Address);
        Assert.Equal(s_rightToo, pair.Left.Moved[pair.Left.Installed.Keys.Single()].Remote.Address);
        Assert.Equal(s_rightToo, pair.Right.Moved[pair.Right.Installed.Keys.Single()].Local.Address);
    }

    [Fact]
    public void When_no_answer_comes_other_paths_are_tried_and_the_one_that_answers_is_used()
    {
        using var pair = Roaming(left => left with { DpdDelay = TimeSpan.FromSeconds(10) });
        Tell(pair, pair.Right, s_right, s_rightToo);
        Assert.True(pair.Up().Success);
        // the way to the first address is dead from now on, in both directions
        pair.Wire = (_, _, sent) => sent.Local.Address == s_right || sent.Remote.Address == s_right ? 0 : 1;
        var start = pair.Now;
        pair.Run(TimeSpan.FromSeconds(40));
        Assert.Equal(s_rightToo, Assert.Single(pair.Left.Engine.Snapshot().IkeSas).Remote.Address);
        Assert.Equal(s_rightToo, Assert.Single(pair.Right.Engine.Snapshot().IkeSas).Local.Address);
        Assert.Equal(s_rightToo, pair.Left.Moved[pair.Left.Installed.Keys.Single()].Remote.Address);
        Assert.Equal(s_rightToo, pair.Right.Moved[pair.Right.Installed.Keys.Single()].Local.Address);
        Assert.True(pair.Left.Events.OfType<PathChanged>().Single().At - start < TimeSpan.FromSeconds(20));
        Assert.DoesNotContain(pair.Left.Events.Concat(pair.Right.Events), happening => happening is IkeSaDown or ChildDown);
    }

    [Fact]
    public void A_NAT_that_is_not_allowed_is_found_and_not_followed()
    {
        using var pair = Roaming(left => left with { NatTraversal = false }, right => right with { NatTraversal = false });
        Assert.True(pair.Up().Success);
        // from now on somebody translates
        pair.Nat = (from, sent) => from == pair.Left ? (new Endpoint(IpAddress.Parse("203.0.113.1"), sent.Local.Port), sent.Remote) : (sent.Local, new Endpoint(s_leftToo, sent.Remote.Port));
        Move(pair, pair.Left, s_leftToo, s_leftToo, TimeSpan.FromSeconds(20));
        Assert.Empty(pair.Right.Moved);
        Assert.Equal(s_left, Assert.Single(pair.Right.Engine.Snapshot().IkeSas).Remote.Address);
        Assert.Contains(pair.Left.Events.OfType<Notice>(), notice => notice.Text.Contains("NAT", StringComparison.Ordinal));
        // four tries (section 3.9: several)
        Assert.Equal(4, pair.Right.Events.OfType<Notice>().Count(notice => notice.Text.Contains("NAT", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_NAT_that_appears_on_the_new_path_makes_ESP_go_in_UDP()
    {
        using var pair = Roaming();
        Assert.True(pair.Up().Success);
        Assert.False(Assert.Single(pair.Left.Installed.Values).UdpEncapsulation);
        pair.Nat = (from, sent) => from == pair.Left ? (new Endpoint(IpAddress.Parse("203.0.113.1"), 1717), sent.Remote) : sent.Remote == new Endpoint(IpAddress.Parse("203.0.113.1"), 1717) ? (sent.Local, new Endpoint(s_leftToo, 4500)) : null;
        Move(pair, pair.Left, s_leftToo, s_leftToo);
        Assert.True(pair.Left.Moved[pair.Left.Installed.Keys.Single()].UdpEncapsulation);
        Assert.True(pair.Right.Moved[pair.Right.Installed.Keys.Single()].UdpEncapsulation);
        Assert.Equal(new Endpoint(IpAddress.Parse("203.0.113.1"), 1717), pair.Right.Moved[pair.Right.Installed.Keys.Single()].Remote);
        Assert.Single(pair.Left.Keepalives);
        // and back
        pair.Nat = null;
        Move(pair, pair.Left, s_left, s_left);
        Assert.False(pair.Left.Moved[pair.Left.Installed.Keys.Single()].UdpEncapsulation);
        Assert.False(pair.Right.Moved[pair.Right.Installed.Keys.Single()].UdpEncapsulation);
        Assert.Empty(pair.Left.Keepalives);
    }

    [Fact]
    public void Moves_in_quick_succession_end_at_the_last_address()
    {
        using var pair = Roaming();
        Assert.True(pair.Up().Success);
        for (var i = 0; i < 20; i++)
        {
            // the answer to one update is still under way when the next change comes
            pair.Left.Address = IpAddress.Parse($"192.0.2.{100 + i}");
            pair.Left.Command(id => new IkeCommand.Addresses(id, [pair.Left.Address]), pair.Now);
            if (i % 3 != 0) continue;
            while (pair.Left.Outbox.TryDequeue(out var message)) pair.Right.Receive(message.Remote, message.Local, message.Message, pair.Now);
        }

        pair.Run(TimeSpan.FromSeconds(30));
        Assert.Equal(IpAddress.Parse("192.0.2.119"), pair.Right.Moved[pair.Right.Installed.Keys.Single()].Remote.Address);
        Assert.Equal(IpAddress.Parse("192.0.2.119"), Assert.Single(pair.Right.Engine.Snapshot().IkeSas).Remote.Address);
        Assert.Single(pair.Right.Engine.Snapshot().IkeSas);
    }

    [Theory]
    [InlineData(false, true)]
    [InlineData(true, false)]
    public void Without_it_on_both_sides_nothing_moves(bool left, bool right)
    {
        using var pair = Roaming(one => one with { Mobike = left }, one => one with { Mobike = right });
        Assert.True(pair.Up().Success);
        var before = pair.Sent.Count;
        Move(pair, pair.Left, s_leftToo, s_leftToo);
        Assert.Equal(before, pair.Sent.Count);
        Assert.Empty(pair.Left.Moved);
    }

    [Fact]
    public void The_responder_of_the_first_IKE_SA_stays_the_responder_after_it_has_rekeyed_it()
    {
        using var pair = Roaming();
        Assert.True(pair.Up().Success);
        pair.Right.Command(id => new IkeCommand.Rekey(id, new SaTarget("net")), pair.Now);
        pair.Run();
        Assert.True(Assert.Single(pair.Right.Engine.Snapshot().IkeSas).Initiator);
        Move(pair, pair.Left, s_leftToo, s_leftToo);
        Assert.Equal(s_leftToo, pair.Right.Moved[pair.Right.Installed.Keys.Single()].Remote.Address);
    }

    [Fact]
    public void Only_addresses_that_the_connection_allows_are_used_and_told()
    {
        using var pair = Roaming(left => left with { LocalAddresses = [HostPattern.Of(s_left), HostPattern.Of(s_leftToo)] });
        Tell(pair, pair.Left, s_left, s_leftToo, IpAddress.Parse("192.0.2.200"));
        Assert.True(pair.Up().Success);
        Assert.Equal([s_leftToo], Peer(pair.Right));
        // the host would take another one, which is not allowed; the one in use is gone
        Move(pair, pair.Left, IpAddress.Parse("192.0.2.200"), s_leftToo, null, IpAddress.Parse("192.0.2.200"));
        Assert.Equal(s_leftToo, pair.Left.Moved[pair.Left.Installed.Keys.Single()].Local.Address);
    }

    [Theory]
    [InlineData(ExchangeType.IkeSaInit)]
    [InlineData(ExchangeType.IkeAuth)]
    public void What_is_set_up_from_an_address_that_is_gone_begins_anew_from_another(ExchangeType during)
    {
        using var pair = Roaming(left => left with { KeyingTries = 0 });
        IkeAction.Send? late = null;
        pair.Wire = (_, from, sent) =>
        {
            if (!IkeHeader.TryRead(sent.Message, out var header) || from == pair.Left || header.Exchange != during) return 1;
            late ??= sent;
            return 0;
        };
        var up = pair.Left.Up("net", "net", pair.Now);
        pair.Run(TimeSpan.FromMilliseconds(500));
        pair.Sent.Clear();
        pair.Left.Address = s_leftToo;
        pair.Left.Command(id => new IkeCommand.Addresses(id, [s_leftToo]), pair.Now);
        // the answer to what went out from the former address comes late
        pair.Left.Receive(late!.Remote, late.Local, late.Message, pair.Now);
        pair.Wire = null;
        pair.Run(TimeSpan.FromSeconds(1));
        Assert.True(pair.Left.Results[up].Success);
        Assert.All(pair.Sent.Where(sent => sent.From == pair.Left), sent => Assert.Equal(s_leftToo, sent.Message.Local.Address));
        Assert.Equal(s_leftToo, Assert.Single(pair.Left.Engine.IkeSas).Local.Address);
        pair.Run(TimeSpan.FromMinutes(1));
        Assert.Equal(s_leftToo, Assert.Single(pair.Right.Installed.Values).Remote.Address);
        Assert.Single(pair.Right.Engine.IkeSas);
    }

    [Fact]
    public void A_round_without_an_answer_is_followed_by_one_from_where_the_way_begins_then_but_never_from_another_than_the_configured_address()
    {
        foreach (var isFixed in new[] { false, true })
        {
            using var pair = Roaming(left => left with { KeyingTries = 0, LocalAddresses = isFixed ? [HostPattern.Of(s_left)] : [] });
            pair.Wire = (_, _, _) => 0;
            pair.Left.Up("net", "net", pair.Now);
            pair.Settle();
            pair.Left.Address = s_leftToo;
            if (isFixed) pair.Left.Command(id => new IkeCommand.Addresses(id, [s_leftToo]), pair.Now);
            pair.Run(TimeSpan.FromMinutes(5));
            Assert.Equal(isFixed ? s_left : s_leftToo, Assert.Single(pair.Left.Engine.IkeSas).Local.Address);
            Assert.Equal(isFixed ? s_left : s_leftToo, pair.Sent[^1].Message.Local.Address);
        }
    }

    private static EnginePair Roaming(Func<Connection, Connection>? left = null, Func<Connection, Connection>? right = null, bool keyLog = false)
    {
        var pair = new EnginePair(3, new EngineOptions { KeyLog = keyLog });
        var first = EnginePair.LeftGateway() with { Mobike = true, LocalAddresses = [] };
        var second = EnginePair.RightGateway() with { Mobike = true, LocalAddresses = [], RemoteAddresses = [] };
        pair.Load(left?.Invoke(first) ?? first, right?.Invoke(second) ?? second);
        return pair;
    }

    private static void Move(EnginePair pair, EngineHost host, IpAddress route, IpAddress own, TimeSpan? span = null, params IpAddress[] more)
    {
        host.Address = route;
        host.Command(id => new IkeCommand.Addresses(id, [own, .. more]), pair.Now);
        pair.Run(span ?? TimeSpan.FromSeconds(2));
    }

    private static void Tell(EnginePair pair, EngineHost host, params IpAddress[] own)
    {
        host.Command(id => new IkeCommand.Addresses(id, [.. own]), pair.Now);
        pair.Run(TimeSpan.FromSeconds(1));
    }

    private static ImmutableArray<IpAddress> Peer(EngineHost host) => Assert.Single(host.Engine.IkeSas).Peer.Addresses;
}
