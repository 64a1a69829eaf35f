using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.V1;
using Warifu.Wire;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Around the exchanges (item 3.5): liveness, NAT, fragments, unprotected messages, phase 1 anew.</summary>
[Trait("Item", "3.5")]
public sealed class AroundTests
{
    private static readonly Endpoint s_left = new(IpAddress.Parse("192.0.2.2"), 500), s_right = new(IpAddress.Parse("198.51.100.2"), 500);

    /// <summary>R114: another phase 1, make before break; the children do not notice.</summary>
    [Fact]
    public void Phase_1_is_done_anew_and_its_children_live_on()
    {
        using var pair = V1Pair.Up(V1Pair.Left() with { RekeyTime = TimeSpan.FromMinutes(10) }, V1Pair.Right());
        var child = pair.Left.Installed.Keys.Single();
        var before = pair.Left.Engine.Snapshot().IkeSas.Single().Id;
        pair.Run(TimeSpan.FromMinutes(11));
        V1Pair.AssertQuiet(pair);
        Assert.Equal(child, pair.Left.Installed.Keys.Single());
        Assert.NotEqual(before, pair.Left.Engine.Snapshot().IkeSas.Single().Id);
        Assert.Single(pair.Left.Events.OfType<IkeSaReauthenticated>());
        Assert.Single(pair.Right.Events.OfType<IkeSaReauthenticated>());
        Assert.Empty(pair.Left.Events.OfType<IkeSaDown>());
        Assert.Empty(pair.Right.Events.OfType<ChildDown>());
        // and it can be used
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Run(TimeSpan.FromSeconds(20));
        V1Pair.AssertQuiet(pair);
        Assert.NotEqual(child, pair.Left.Installed.Keys.Single());
    }

    [Fact]
    public void Children_outlive_a_phase_1_that_the_peer_deletes()
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        var sa = pair.Left.Engine.IsakmpSas.Single();
        sa.Inform(builder => builder.Delete(ProtocolId.Ike, sa.Cookies()));
        pair.Left.Drain(pair.Now);
        pair.Settle();
        Assert.Equal("PASSIVE", pair.Right.Engine.Snapshot().IkeSas.Single().State);
        Assert.Single(pair.Right.Installed);
        // a rekeying makes a phase 1 first
        pair.Right.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Run(TimeSpan.FromSeconds(30));
        Assert.Equal("ESTABLISHED", pair.Right.Engine.Snapshot().IkeSas.Single().State);
        V1Pair.AssertSame(pair);
    }

    [Theory]
    [InlineData(DpdMode.ProbeIdleTunnel, 0)]
    [InlineData(DpdMode.ProbeIdleTunnel, 3)]
    [InlineData(DpdMode.AlwaysSend, 3)]
    [InlineData(DpdMode.Optimized, 3)]
    public void A_dead_peer_is_found_and_its_action_runs(DpdMode mode, int threshold)
    {
        var left = V1Pair.Left() with { DpdDelay = TimeSpan.FromSeconds(10), DpdMode = mode, DpdThreshold = threshold };
        left = left with { Children = [left.Children[0] with { DpdAction = StartAction.Trap }] };
        using var pair = V1Pair.Up(left, V1Pair.Right());
        // alive: questions are answered, nothing else happens
        pair.Run(TimeSpan.FromMinutes(2));
        V1Pair.AssertQuiet(pair);
        if (mode != DpdMode.Optimized) Assert.Contains(pair.Sent, sent => sent.From == pair.Right && sent.Message.Message[18] == (byte)ExchangeType.InformationalV1);
        pair.Wire = (_, _, _) => 0;
        pair.Left.LastOut = pair.Now + TimeSpan.FromSeconds(1);
        pair.Run(TimeSpan.FromMinutes(4));
        Assert.Empty(pair.Left.Installed);
        Assert.Equal("dead-peer", Assert.Single(pair.Left.Events.OfType<IkeSaDown>()).Reason);
        Assert.Single(pair.Left.Policies);
    }

    /// <summary>dpd_timeout: the peer is dead when nothing has come from it for so long; questions go every dpd_delay until then.</summary>
    [Theory]
    [InlineData(35, 34, 36, 3)]
    [InlineData(5, 10, 12, 1)]
    public void A_peer_is_dead_when_nothing_came_from_it_for_the_timeout(int timeout, int alive, int dead, int questions)
    {
        using var pair = V1Pair.Up(V1Pair.Left() with { DpdDelay = TimeSpan.FromSeconds(10), DpdTimeout = TimeSpan.FromSeconds(timeout) }, V1Pair.Right());
        // alive: the last thing heard counts, not the beginning
        pair.Run(TimeSpan.FromMinutes(2));
        V1Pair.AssertQuiet(pair);
        var heard = pair.Left.Engine.IsakmpSas.Single().LastHeard;
        pair.Wire = (_, _, _) => 0;
        var before = pair.Sent.Count;
        pair.Run(heard + TimeSpan.FromSeconds(alive) - pair.Now);
        Assert.Empty(pair.Left.Events.OfType<IkeSaDown>());
        pair.Run(heard + TimeSpan.FromSeconds(dead) - pair.Now);
        var down = Assert.Single(pair.Left.Events.OfType<IkeSaDown>());
        Assert.Equal("dead-peer", down.Reason);
        Assert.Contains($"R-U-THERE was sent {questions} times in dpd_timeout = {timeout}s", down.Text, StringComparison.Ordinal);
        Assert.Equal(questions, pair.Sent.Skip(before).Count(sent => sent.From == pair.Left));
    }

    /// <summary>The peer's name may mean another address by the time of the next try.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_name_is_looked_up_again_at_each_try(bool aggressive)
    {
        using var pair = new EnginePair();
        var left = V1Pair.Left() with { Aggressive = aggressive, KeyingTries = 0, LocalAddresses = [], RemoteAddresses = [HostPattern.Name("gw.example.org")] };
        var away = IpAddress.Parse("203.0.113.9");
        pair.Left.Names["gw.example.org"] = away;
        pair.Load(left with { Children = [left.Children[0] with { StartAction = StartAction.Start }] }, V1Pair.Right() with { Aggressive = aggressive, AggressivePsk = aggressive });
        pair.Wire = (_, from, message) => message.Remote.Address == pair.Right.Address || from == pair.Right ? 1 : 0;
        pair.Run(TimeSpan.FromMinutes(3));
        Assert.All(pair.Sent, sent => Assert.Equal(away, sent.Message.Remote.Address));
        pair.Left.Names["gw.example.org"] = pair.Right.Address;
        pair.Run(TimeSpan.FromMinutes(3));
        V1Pair.AssertQuiet(pair);
    }

    [Fact]
    public void INITIAL_CONTACT_closes_what_the_peer_has_lost()
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        var old = pair.Right.Installed.Keys.Single();
        // the left side forgets everything
        using var fresh = new EngineHost(IpAddress.Parse("192.0.2.2"), 99, pair.Now);
        fresh.SetPsk("ike-1", EnginePair.Secret);
        fresh.Load(PolicySet.Of(V1Pair.Left()), pair.Now);
        fresh.Up("net", "net", pair.Now);
        while (fresh.Outbox.Count + pair.Right.Outbox.Count > 0)
        {
            while (fresh.Outbox.TryDequeue(out var message)) pair.Right.Receive(s_right, s_left, message.Message, pair.Now);
            while (pair.Right.Outbox.TryDequeue(out var message)) fresh.Receive(s_left, s_right, message.Message, pair.Now);
        }

        Assert.DoesNotContain(old, pair.Right.Installed.Keys);
        Assert.Single(pair.Right.Installed);
        Assert.Equal("replaced", Assert.Single(pair.Right.Events.OfType<IkeSaDown>()).Reason);
    }

    /// <summary>R157: from 500 to 4500 with message 5, and message 3 of aggressive mode.</summary>
    [Theory]
    [InlineData(false, true, false)]
    [InlineData(false, false, true)]
    [InlineData(false, true, true)]
    [InlineData(true, true, false)]
    [InlineData(true, false, true)]
    [InlineData(true, true, true)]
    public void A_NAT_is_found_and_everything_goes_by_port_4500(bool aggressive, bool before, bool behind)
    {
        using var pair = new EnginePair();
        var outer = IpAddress.Parse("203.0.113.1");
        pair.Nat = (from, message) => from == pair.Left
            ? (before ? new Endpoint(outer, (ushort)(message.Local.Port + 20_000)) : message.Local, message.Remote)
            : (message.Local, before ? new Endpoint(IpAddress.Parse("192.0.2.2"), (ushort)(message.Remote.Port - 20_000)) : message.Remote);
        if (behind)
        {
            var inner = pair.Nat;
            var hidden = IpAddress.Parse("10.99.0.2");
            pair.Nat = (from, message) => inner(from, message) is not var (source, target) ? null : from == pair.Left ? (source, new Endpoint(hidden, target.Port)) : (new Endpoint(IpAddress.Parse("198.51.100.2"), source.Port), target);
        }

        var right = V1Pair.Right() with { RemoteAddresses = [], LocalAddresses = [], Aggressive = aggressive, AggressivePsk = true };
        pair.Load(V1Pair.Left() with { Aggressive = aggressive }, right);
        Assert.True(pair.Up().Success, $"left: {pair.Left.LastReport?.Failure?.Sentence}; right: {pair.Right.LastReport?.Failure?.Sentence}");
        var (left, mirrored) = (pair.Left.Engine.Snapshot().IkeSas.Single(), pair.Right.Engine.Snapshot().IkeSas.Single());
        Assert.Equal((before, behind), (left.NatLocal, left.NatRemote));
        Assert.Equal((behind, before), (mirrored.NatLocal, mirrored.NatRemote));
        Assert.Equal((4500, 4500), (left.Local.Port, left.Remote.Port));
        Assert.All(pair.Left.Installed.Values, sa => Assert.True(sa.UdpEncapsulation));
        Assert.All(pair.Right.Installed.Values, sa => Assert.True(sa.UdpEncapsulation));
        Assert.Equal(before ? 1 : 0, pair.Left.Keepalives.Count);
        Assert.Equal(before ? 24_500 : 4500, mirrored.Remote.Port);
        var floats = pair.Sent.Where(sent => sent.From == pair.Left).Select(sent => (int)sent.Message.Local.Port).ToArray();
        Assert.Equal(aggressive ? [500, 4500, 4500, 4500] : [500, 500, 4500, 4500, 4500], floats);
        // nothing keeps a mapping open that is not needed any more
        pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net")), pair.Now);
        pair.Settle();
        Assert.Empty(pair.Left.Keepalives);
    }

    /// <summary>RFC 3947 section 3.2: the first NAT-D is the receiver's end; of the others, of which a sender with several addresses has several, one must fit. One alone says nothing.</summary>
    [Theory]
    [InlineData("", false)]
    [InlineData("before", false)]
    [InlineData("behind", false)]
    [InlineData("instead", true)]
    [InlineData("alone", false)]
    public void One_of_the_senders_hashes_must_fit(string other, bool isNat)
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(), V1Pair.Right());
        pair.Wire = (number, _, message) =>
        {
            if (number != 2) return 1;
            IkeHeader.TryRead(message.Message, out var header);
            var at = 0;
            var changed = new ChainBuilder();
            var view = Attack.View(message.Message);
            for (var i = 0; i < view.Count; i++)
            {
                var isOwn = view[i].Type == PayloadV1.NatD && at++ > 0;
                if (isOwn && other is "before" or "instead") changed.Raw(PayloadV1.NatD, new byte[32]);
                if (!isOwn || other is not ("instead" or "alone")) changed.Raw(view[i].Type, view.Body(i));
                if (isOwn && other == "behind") changed.Raw(PayloadV1.NatD, new byte[32]);
            }

            Assert.Equal(2, at);
            pair.Right.Receive(message.Remote, message.Local, changed.ToMessage(header), pair.Now);
            return 0;
        };
        pair.Left.Up("net", "net", pair.Now);
        pair.Settle();
        var right = pair.Right.Engine.IsakmpSas.Single();
        Assert.Equal((false, isNat), (right.LocalBehindNat, right.RemoteBehindNat));
    }

    /// <summary>R160.</summary>
    [Fact]
    public void Without_NAT_traversal_a_NAT_is_not_noticed_and_nothing_of_it_is_sent()
    {
        using var pair = V1Pair.Up(V1Pair.Left() with { NatTraversal = false }, V1Pair.Right());
        Assert.DoesNotContain(pair.Sent, sent => sent.From == pair.Left && Has(sent.Message.Message, PayloadV1.NatD));
        Assert.False(pair.Left.Installed.Values.Single().UdpEncapsulation);
    }

    [Fact]
    public void ESP_in_UDP_can_be_forced()
    {
        using var pair = V1Pair.Up(V1Pair.Left() with { ForceEncapsulation = true }, V1Pair.Right());
        Assert.True(pair.Left.Installed.Values.Single().UdpEncapsulation);
        Assert.True(pair.Right.Installed.Values.Single().UdpEncapsulation);
        Assert.Equal(3, ModeIn(pair));
    }

    /// <summary>Drafts 02 and 03 have the same payloads under other numbers (R161).</summary>
    [Theory]
    [InlineData("7d9419a65310ca6f2c179d9215529d56", false)]
    [InlineData("90cb80913ebb696e086381b5ec427b1f", false)]
    [InlineData("7d9419a65310ca6f2c179d9215529d56", true)]
    [InlineData("90cb80913ebb696e086381b5ec427b1f", true)]
    public void A_peer_that_knows_only_a_draft_gets_the_draft(string draft, bool aggressive)
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left() with { ForceEncapsulation = true, Aggressive = aggressive }, V1Pair.Right() with { Aggressive = aggressive, AggressivePsk = true });
        pair.Wire = (number, _, message) =>
        {
            // the first message as an old implementation would send it: its only NAT-T vendor ID is the draft's
            if (number == 0) Blank(message.Message, draft);
            return 1;
        };
        // SAi_b is not touched, and vendor IDs are not covered by the hash
        Assert.True(pair.Up().Success, $"left: {pair.Left.LastReport?.Failure?.Sentence}; right: {pair.Right.LastReport?.Failure?.Sentence}");
        Assert.Contains(pair.Sent, sent => Has(sent.Message.Message, PayloadV1.NatDDraft));
        Assert.DoesNotContain(pair.Sent, sent => Has(sent.Message.Message, PayloadV1.NatD));
        Assert.True(pair.Left.Installed.Values.Single().UdpEncapsulation);
        Assert.Equal(61443, ModeIn(pair));
    }

    /// <summary>Drafts 00 and 01, and older ones: recognised and told, not spoken.</summary>
    [Theory]
    [InlineData("4485152d18b6bbcd0be8a8469579ddcc", "draft-ietf-ipsec-nat-t-ike-00 (not spoken here)")]
    [InlineData("16f6ca16e4a4066d83821a0f0aeaa862", "draft-ietf-ipsec-nat-t-ike-01 (not spoken here)")]
    [InlineData("6105c422e76847e43f9684801292aecd", "draft-stenberg-ipsec-nat-traversal-02 (not spoken here)")]
    public void Older_drafts_are_recognised_and_not_spoken(string vendor, string name)
    {
        using var pair = Attack.Stranger();
        var answer = Assert.Single(Attack.Knock(pair, Attack.First(builder => builder.Sa(Attack.Offer(Attack.Suite())).VendorId(Convert.FromHexString(vendor)))));
        Assert.Equal(-1, Attack.View(answer).IndexOf(PayloadV1.VendorId));
        Assert.Equal(VendorKind.Unknown, pair.Right.Engine.IsakmpSas.Single().Peer.NatTraversal);
        pair.Run(TimeSpan.FromMinutes(1));
        Assert.Contains(pair.Right.LastReport!.Steps, step => step.Details.Contains("the peer has " + name));
    }

    /// <summary>R159: NAT-OA says over which addresses the other side computes checksums (RFC 3947 section 5.2); in the drafts each side sends its own alone.</summary>
    [Theory]
    [InlineData(null)]
    [InlineData("7d9419a65310ca6f2c179d9215529d56")]
    public void In_transport_mode_behind_a_NAT_each_side_learns_what_the_other_computes_with(string? draft)
    {
        using var pair = new EnginePair();
        var (inner, outer, server) = (IpAddress.Parse("192.0.2.2"), IpAddress.Parse("203.0.113.1"), IpAddress.Parse("198.51.100.2"));
        pair.Nat = (from, message) => from == pair.Left
            ? (new Endpoint(outer, (ushort)(message.Local.Port + 20_000)), message.Remote)
            : (message.Local, new Endpoint(inner, (ushort)(message.Remote.Port - 20_000)));
        pair.Wire = (number, _, message) =>
        {
            if (number == 0 && draft is not null) Blank(message.Message, draft);
            return 1;
        };
        Connection With(Connection connection) => connection with { Children = [connection.Children[0] with { Mode = ChildMode.Transport, LocalSelectors = [], RemoteSelectors = [] }] };
        pair.Load(With(V1Pair.Left()), With(V1Pair.Right()) with { RemoteAddresses = [], LocalAddresses = [] });
        Assert.True(pair.Up().Success, $"left: {pair.Left.LastReport?.Failure?.Sentence}; right: {pair.Right.LastReport?.Failure?.Sentence}");
        var (left, right) = (pair.Left.Installed.Values.Single(), pair.Right.Installed.Values.Single());
        Assert.Equal((IpsecMode.Transport, true), (left.Mode, left.UdpEncapsulation));
        Assert.Equal([TrafficSelector.Of(outer)], right.RemoteSelectors);
        Assert.Equal([TrafficSelector.Of(server)], left.RemoteSelectors);
        Assert.Equal((inner, server), (right.OriginalRemote, left.OriginalRemote));
        Assert.Equal(draft is null ? 4 : 61444, ModeIn(pair));
        if (draft is null) Assert.Equal((server, outer), (right.OriginalLocal, left.OriginalLocal));
        else Assert.True(right.OriginalLocal.IsNone && left.OriginalLocal.IsNone);
    }

    /// <summary>ESP in UDP only where both sides have gone to port 4500: on port 500 nobody could tell it from IKE.</summary>
    [Fact]
    public void ESP_in_UDP_without_a_NAT_is_refused()
    {
        using var pair = Attack.Peer(out var own);
        var child = own.Connection.Children[0];
        var offer = ForgerV1.QuickOffer(child, new ChildSpi(0x9999), new byte[16], child.LocalSelectors[0].Selector, child.RemoteSelectors[0].Selector);
        Assert.Equal(ParseError.None, ChainView.TryParse(offer.First, offer.Chain, false, out var view));
        var suites = QuickOffer.WithOneGroup(QuickOffer.Of(child));
        var writer = new WireWriter();
        SaBody.Write(writer, QuickOffer.Make(suites, new ChildSpi(0x9999), EncapsulationV1.UdpTunnel, 3600, 0).AsSpan());
        var udp = ForgerV1.Rebuild(view, (_, type, body) => (type, type == PayloadV1.Sa ? writer.ToArray() : body));
        Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, 0x42, udp));
        Assert.Equal("mode", pair.Right.LastReport!.Failure!.Reason);
        Assert.Single(pair.Right.Installed);
    }

    /// <summary>A claimed identity is free again when phase 1 is gone, and phases 1 that were replaced are not kept.</summary>
    [Fact]
    public void Identities_are_released_and_replaced_phases_1_are_forgotten()
    {
        Connection Keep(Connection connection) => connection with { Unique = UniquePolicy.Keep };
        using var pair = V1Pair.Up(Keep(V1Pair.Left()), Keep(V1Pair.Right()));
        for (var i = 0; i < 4; i++)
        {
            pair.Left.Command(id => new IkeCommand.Reauth(id, new SaTarget("net")), pair.Now);
            pair.Run(TimeSpan.FromSeconds(20));
            Assert.Null(pair.Left.Engine.IsakmpSas.Single().Renews);
        }

        Assert.Equal(1, pair.Left.Claims.Count);
        Assert.Equal(1, pair.Right.Claims.Count);
        pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net")), pair.Now);
        pair.Settle();
        Assert.Equal(0, pair.Left.Claims.Count);
        Assert.Equal(0, pair.Right.Claims.Count);
        Assert.True(pair.Up().Success);
        V1Pair.AssertQuiet(pair);
    }

    /// <summary>A peer takes only so many from one address at a time.</summary>
    [Fact]
    public void Only_so_many_phases_1_with_one_peer_are_begun_at_a_time()
    {
        using var pair = new EnginePair();
        var connections = Enumerable.Range(0, 20).Select(number => V1Pair.Left() with { Name = $"n{number}", KeyingTries = 1 }).ToArray();
        pair.Left.Load(PolicySet.Of(connections), pair.Now);
        foreach (var connection in connections) pair.Left.Up(connection.Name, "net", pair.Now);
        Assert.Equal(ProtocolTimes.InitiationsPerPeer, pair.Left.Outbox.Count);
        pair.Run();
        // nobody answered; those that waited were begun then
        Assert.Equal(20, pair.Sent.Select(sent => Convert.ToHexString(sent.Message.Message.AsSpan(0, 8))).Distinct().Count());
        Assert.Empty(pair.Left.Engine.IsakmpSas);
    }

    /// <summary>One identity has only so many phases 1, wherever they come from: a peer that we trust must not fill the memory.</summary>
    [Theory]
    [Trait("Item", "3.10")]
    [InlineData(1, false)]
    [InlineData(2, true)]
    public void One_identity_has_only_so_many_phases_1(int most, bool isRight)
    {
        using var pair = new EnginePair();
        pair.Right.Claims = new IdentityClaims(most);
        pair.Load(V1Pair.Left(), V1Pair.Right() with { RemoteAddresses = [] });
        Assert.True(pair.Up().Success);
        var elsewhere = new Endpoint(IpAddress.Parse("192.0.2.9"), 500);
        using var other = new EngineHost(elsewhere.Address, 99, pair.Now);
        other.SetPsk("ike-1", EnginePair.Secret);
        other.Load(PolicySet.Of(V1Pair.Left() with { LocalAddresses = [], Unique = UniquePolicy.Never }), pair.Now);
        other.Up("net", "net", pair.Now);
        while (other.Outbox.Count + pair.Right.Outbox.Count > 0)
        {
            while (other.Outbox.TryDequeue(out var message)) pair.Right.Receive(s_right, elsewhere, message.Message, pair.Now);
            while (pair.Right.Outbox.TryDequeue(out var message)) other.Receive(elsewhere, s_right, message.Message, pair.Now);
        }

        Assert.Equal(isRight ? 2 : 1, pair.Right.Engine.IsakmpSas.Count(sa => sa.State == IsakmpState.Established));
        Assert.Equal(isRight, pair.Right.Events.OfType<NegotiationEnded>().All(ended => ended.Report.Failure is null));
        if (!isRight) Assert.Equal("too-many", pair.Right.LastReport!.Failure!.Reason);
    }

    /// <summary>Packets that come in are proof of life, also where no R-U-THERE is answered.</summary>
    [Fact]
    public void A_peer_whose_packets_come_in_is_not_dead()
    {
        using var pair = V1Pair.Up(V1Pair.Left() with { DpdDelay = TimeSpan.FromSeconds(10), DpdMode = DpdMode.AlwaysSend, DpdThreshold = 3 }, V1Pair.Right());
        pair.Wire = (_, _, _) => 0;
        for (var i = 0; i < 30; i++)
        {
            pair.Left.LastIn = pair.Now;
            pair.Run(TimeSpan.FromSeconds(5));
        }

        Assert.Single(pair.Left.Installed);
        pair.Run(TimeSpan.FromMinutes(2));
        Assert.Empty(pair.Left.Installed);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Unprotected_informational_messages_are_counted_and_nothing_more(bool established)
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(), V1Pair.Right());
        if (established) Assert.True(pair.Up().Success);
        else pair.Left.Up("net", "net", pair.Now);
        var sa = pair.Left.Engine.IsakmpSas.Single();
        foreach (var type in new[] { NotifyV1.NoProposalChosen, NotifyV1.AuthenticationFailed, NotifyV1.InvalidCookie, NotifyV1.RUThere, NotifyV1.InitialContact })
        {
            var builder = new ChainBuilder().Notify(ProtocolId.Ike, sa.Cookies(), type, [0, 0, 0, 1]).Delete(ProtocolId.Ike, sa.Cookies());
            pair.Left.Receive(s_left, s_right, builder.ToMessage(new IkeHeader { InitiatorSpi = sa.CookieI, ResponderSpi = sa.CookieR, MajorVersion = 1, Exchange = ExchangeType.InformationalV1, MessageId = 77 }), pair.Now);
        }

        Assert.Equal(5, pair.Left.Engine.Counters.Drops[(int)DropReason.Unprotected]);
        Assert.Equal(established ? IsakmpState.Established : IsakmpState.Connecting, sa.State);
        Assert.Equal(established ? 1 : 0, pair.Left.Installed.Count);
        if (established) Assert.Empty(pair.Left.Outbox);
        if (!established) pair.Run();
        if (!established) V1Pair.AssertQuiet(pair);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_message_in_pieces_is_put_together_in_any_order(bool reversed)
    {
        using var pair = new EnginePair();
        var (left, right) = (V1Pair.Left("aes256-sha512-modp8192"), V1Pair.Right("aes256-sha512-modp8192"));
        pair.Load(left, right);
        if (reversed)
        {
            // pieces of one message lie in the outbox together
            pair.Wire = (_, _, _) => 1;
        }

        var id = pair.Left.Up("net", "net", pair.Now);
        for (var i = 0; i < 400 && pair.Left.Outbox.Count + pair.Right.Outbox.Count > 0; i++)
        {
            foreach (var (from, to, local, remote) in new[] { (pair.Left, pair.Right, s_right, s_left), (pair.Right, pair.Left, s_left, s_right) })
            {
                var messages = from.Outbox.ToArray();
                from.Outbox.Clear();
                if (reversed) Array.Reverse(messages);
                foreach (var message in messages)
                {
                    Assert.True(message.Message.Length <= 576 - 28 - 4, $"{message.Message.Length}");
                    to.Receive(local, remote, message.Message, pair.Now);
                }
            }
        }

        Assert.True(pair.Left.Results[id].Success);
        V1Pair.AssertSame(pair);
    }

    /// <summary>The encapsulation mode that the left side offers, as it goes over the wire (RFC 3947 section 5.1, draft-ietf-ipsec-nat-t-ike-03 section 5.1).</summary>
    private static int ModeIn(EnginePair pair)
    {
        const ushort Mode = 4;
        var own = pair.Left.Engine.IsakmpSas.Single();
        var message = V1Pair.Messages(pair, pair.Left).First(sent => sent[18] == (byte)ExchangeType.QuickMode);
        IkeHeader.TryRead(message, out var header);
        Assert.Equal(ParseError.None, ChainView.TryParse(PayloadV1.Hash, ForgerV1.Open(own, message, own.ExchangeIv(header.MessageId)), decrypted: true, out var view));
        Assert.True(view.TryGet(PayloadV1.Sa, out var body));
        Assert.Equal(ParseError.None, SaBody.TryParse(body, out var offer));
        return (int)offer[0].Transforms[0].Attributes.Single(attribute => attribute.Type == Mode).Value;
    }

    private static bool Has(byte[] message, PayloadV1 type) => (message[19] & 1) == 0 && ChainView.TryParse((PayloadV1)message[16], message.AsSpan(IkeHeader.Length), false, out var view) == ParseError.None && view.IndexOf(type) >= 0;

    /// <summary>Makes all vendor IDs of NAT traversal but one unknown.</summary>
    private static void Blank(byte[] message, string keep)
    {
        Assert.Equal(ParseError.None, ChainView.TryParse((PayloadV1)message[16], message.AsSpan(IkeHeader.Length), false, out var view));
        for (var i = 0; i < view.Count; i++)
        {
            if (view[i].Type != PayloadV1.VendorId || VendorIds.Find(view.Body(i)) is not { Kind: VendorKind.NatTraversal or VendorKind.NatTraversalDraft } || Convert.ToHexStringLower(view.Body(i)) == keep) continue;
            message[IkeHeader.Length + view[i].Offset] ^= 0xFF;
        }
    }
}
