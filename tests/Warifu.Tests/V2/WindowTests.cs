using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.V2;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>SET_WINDOW_SIZE when sending (RFC 7296 section 2.3): what goes out beside what, message by message.</summary>
[Trait("Item", "2.15")]
public sealed class WindowTests
{
    [Fact]
    public void Children_are_asked_for_beside_each_other_up_to_the_peers_window_whatever_order_its_answers_have()
    {
        using var peer = new Peer(6);
        peer.Announce(4);
        peer.Up();
        Assert.Equal([0u, 1, 2, 3], peer.Take());
        // request X waits until all up to X - N are answered
        peer.Accept(2);
        peer.Accept(1);
        Assert.Empty(peer.Take());
        peer.Accept(0);
        Assert.Equal([4u, 5], peer.Take());
        foreach (var id in new uint[] { 5, 3, 4 }) peer.Accept(id);
        Assert.Empty(peer.Take());
        Assert.Equal(7, peer.Victim.Installed.Count);
        Assert.Equal(["c0", "c1", "c2", "c3", "c4", "c5"], peer.Victim.Installed.Values.Select(child => child.Name).Where(name => name != "net").Order());
        Assert.Equal(6, peer.Victim.Results.Values.Count(result => result.Success && result.Done == 1));
    }

    [Theory]
    [InlineData(0u, 1)]
    [InlineData(1u, 1)]
    [InlineData(3u, 3)]
    [InlineData(uint.MaxValue, (int)ProtocolTimes.RequestsAtOnce)]
    public void The_window_is_at_least_one_and_has_a_bound_of_ours(uint size, int most)
    {
        using var peer = new Peer(20);
        peer.Announce(size);
        peer.Up();
        Assert.Equal(most, peer.Take().Length);
    }

    [Fact]
    public void The_window_never_becomes_less_and_a_rekeyed_IKE_SA_begins_with_one_again()
    {
        using var peer = new Peer(4);
        peer.Announce(3);
        peer.Announce(2);
        Assert.Equal(3u, peer.Size);
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        pair.Left.Engine.IkeSas.Single().Window.Widen([0, 0, 0, 5]);
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net")), pair.Now);
        pair.Run();
        Assert.Equal(1u, pair.Left.Engine.IkeSas.Single(sa => sa.State == IkeState.Established).Window.Size);
    }

    [Fact]
    public void What_must_not_cross_other_exchanges_waits_for_them_and_they_for_it()
    {
        using var peer = new Peer(4);
        peer.Announce(8);
        peer.Up("c0");
        peer.Up("c1");
        Assert.Equal([0u, 1], peer.Take());
        // a rekeying of the IKE SA, then two more children, then a delete of the first child
        peer.Victim.Command(id => new IkeCommand.Rekey(id, new SaTarget("net")), peer.Impostor.Now);
        peer.Up("c2");
        peer.Up("c3");
        peer.Victim.Command(id => new IkeCommand.Down(id, new SaTarget("net", "net")), peer.Impostor.Now);
        peer.Accept(1);
        Assert.Empty(peer.Take());
        peer.Accept(0);
        Assert.Equal([2u], peer.Take());
        Assert.Equal(PayloadType.Sa, peer.FirstOf(2));
        // refused for good: what waited begins, in the order in which it was wanted
        peer.Refuse(2, NotifyType.NoAdditionalSas);
        Assert.Equal([3u, 4], peer.Take());
        peer.Accept(4);
        Assert.Empty(peer.Take());
        peer.Accept(3);
        Assert.Equal([5u], peer.Take());
        Assert.Equal(PayloadType.Delete, peer.FirstOf(5));
    }

    [Fact]
    public void Each_request_is_repeated_by_itself_until_its_answer_and_one_without_any_ends_the_IKE_SA()
    {
        using var peer = new Peer(3);
        peer.Announce(3);
        peer.Up();
        Assert.Equal([0u, 1, 2], peer.Take());
        peer.Accept(1);
        peer.Pass(TimeSpan.FromSeconds(5));
        Assert.Equal([0u, 2], peer.Take().Distinct().Order().ToArray());
        peer.Accept(0);
        peer.Pass(TimeSpan.FromMinutes(4));
        Assert.All(peer.Take(), id => Assert.Equal(2u, id));
        Assert.False(peer.Impostor.IsUp);
        Assert.Contains(peer.Victim.Events, happening => happening is IkeSaDown { Reason: "dead-peer" });
    }

    [Fact]
    public void An_answer_of_another_exchange_or_to_nothing_is_none()
    {
        using var peer = new Peer(2);
        peer.Announce(2);
        peer.Up();
        Assert.Equal([0u, 1], peer.Take());
        var (victim, impostor) = (peer.Victim, peer.Impostor);
        foreach (var (type, id) in new[] { (ExchangeType.Informational, 0u), (ExchangeType.IkeAuth, 1u), (ExchangeType.CreateChildSa, 2u), (ExchangeType.CreateChildSa, uint.MaxValue) })
            victim.Receive(impostor.Local, impostor.Remote, impostor.Seal(type, isResponse: true, id, PayloadType.None, []), peer.Now);
        Assert.Equal(4, victim.Engine.Counters.Drops[(int)DropReason.UnexpectedResponse]);
        peer.Accept(1);
        peer.Accept(0);
        Assert.Equal(3, victim.Installed.Count);
    }

    [Fact]
    public void The_same_child_is_not_asked_for_twice_at_once()
    {
        using var peer = new Peer(2);
        peer.Announce(8);
        peer.Up("c0");
        peer.Up("c0");
        peer.Up("c1");
        Assert.Equal([0u], peer.Take());
        peer.Accept(0);
        // it is there: the second wish is met
        Assert.Equal([1u], peer.Take());
        peer.Accept(1);
        Assert.Equal(["c0", "c1", "net"], peer.Victim.Installed.Values.Select(child => child.Name).Order());
    }

    [Fact]
    public void A_closed_IKE_SA_ends_all_that_is_under_way()
    {
        using var peer = new Peer(3);
        peer.Announce(3);
        peer.Up();
        peer.Impostor.Request(ExchangeType.Informational, PayloadType.Delete, new MessageBuilder().DeleteIke().Chain);
        Assert.False(peer.Impostor.IsUp);
        Assert.Equal(3, peer.Victim.Results.Values.Count(result => !result.Success));
    }

    /// <summary>The left side by hand, with any number of children c0, c1 … that the right side wants.</summary>
    private sealed class Peer(int children) : IDisposable
    {
        private readonly Dictionary<uint, byte[]> _requests = [];
        private uint _spi = 0x2000;

        public Impostor Impostor { get; } = new(right: right => right with
        {
            Children = [right.Children[0], .. Enumerable.Range(0, children).Select(number => right.Children[0] with { Name = $"c{number}", LocalSelectors = [EnginePair.Ts($"10.2.0.0/16[tcp/{number + 1}]")] })],
        });

        public EngineHost Victim => Impostor.Victim;

        public uint Size => Victim.Engine.IkeSas.Single().Window.Size;

        public Instant Now { get; private set; } = new(1_000_000_000);

        public void Announce(uint size)
        {
            var window = new MessageBuilder().Notify(NotifyType.SetWindowSize, [(byte)(size >> 24), (byte)(size >> 16), (byte)(size >> 8), (byte)size]);
            Assert.NotNull(Impostor.Request(ExchangeType.Informational, window.First, window.Chain));
            Victim.Outbox.Clear();
        }

        public void Up()
        {
            for (var i = 0; i < children; i++) Up($"c{i}");
        }

        public void Up(string child) => Victim.Up("net", child, Impostor.Now);

        /// <summary>Message ids of the requests that went out since.</summary>
        public uint[] Take()
        {
            var ids = new List<uint>();
            while (Victim.Outbox.TryDequeue(out var sent))
            {
                if (!IkeHeader.TryRead(sent.Message, out var header) || header.IsResponse || header.Exchange == ExchangeType.IkeSaInit) continue;
                _requests[header.MessageId] = sent.Message;
                ids.Add(header.MessageId);
            }

            return [.. ids];
        }

        public PayloadType FirstOf(uint id)
        {
            Impostor.Open(_requests[id], out var first);
            return first;
        }

        /// <summary>Makes the child that a request asks for.</summary>
        public void Accept(uint id)
        {
            var chain = Impostor.Open(_requests[id], out var first);
            Assert.Equal(ParseError.None, MessageView.TryParse(first, chain, out var view));
            Assert.True(view.TryGet(PayloadType.Sa, out var sa) & view.TryGet(PayloadType.TsI, out var from) & view.TryGet(PayloadType.TsR, out var to));
            Assert.Equal((ParseError.None, ParseError.None, ParseError.None), (SaPayload.TryParse(sa, out var offers), TsPayload.TryParse(from, out var local), TsPayload.TryParse(to, out var remote)));
            Answer(id, new MessageBuilder().Sa([offers[0] with { Spi = _spi++ }]).Nonce(new byte[32]).Ts(PayloadType.TsI, local.AsSpan()).Ts(PayloadType.TsR, remote.AsSpan()));
        }

        public void Refuse(uint id, NotifyType error) => Answer(id, new MessageBuilder().Notify(error));

        /// <summary>Lets time pass, from wake-up to wake-up.</summary>
        public void Pass(TimeSpan span)
        {
            var end = Now + span;
            while (Victim.Engine.NextTimeout <= end)
            {
                if (Victim.Engine.NextTimeout > Now) Now = Victim.Engine.NextTimeout;
                Victim.Wake(Now);
            }

            Now = end;
        }

        public void Dispose() => Impostor.Dispose();

        private void Answer(uint id, MessageBuilder answer)
        {
            Assert.True(IkeHeader.TryRead(_requests[id], out var header));
            Victim.Receive(Impostor.Local, Impostor.Remote, Impostor.Seal(header.Exchange, isResponse: true, id, answer.First, answer.Chain), Now);
        }
    }
}
