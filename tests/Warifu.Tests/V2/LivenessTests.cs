using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>Liveness in its three modes, what follows from a dead peer, idle children, tries without end (item 2.9).</summary>
[Trait("Item", "2.9")]
public sealed class LivenessTests
{
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    [Theory]
    // nothing in either direction
    [InlineData(DpdMode.Optimized, "", "", 0)]
    [InlineData(DpdMode.ProbeIdleTunnel, "", "", 6)]
    [InlineData(DpdMode.AlwaysSend, "", "", 6)]
    // both directions busy
    [InlineData(DpdMode.Optimized, "in", "out", 0)]
    [InlineData(DpdMode.ProbeIdleTunnel, "in", "out", 0)]
    [InlineData(DpdMode.AlwaysSend, "in", "out", 6)]
    // the peer sends, we do not
    [InlineData(DpdMode.Optimized, "in", "", 0)]
    [InlineData(DpdMode.ProbeIdleTunnel, "in", "", 0)]
    [InlineData(DpdMode.AlwaysSend, "in", "", 6)]
    // we send and nothing comes back: a check in each interval (a little later where the first packet must be noticed), whose answer counts
    [InlineData(DpdMode.Optimized, "", "out", 4)]
    [InlineData(DpdMode.ProbeIdleTunnel, "", "out", 6)]
    [InlineData(DpdMode.AlwaysSend, "", "out", 6)]
    public void Checks_are_sent_as_the_mode_says(DpdMode mode, string inbound, string outbound, int checks)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway() with { DpdDelay = TimeSpan.FromSeconds(10), DpdMode = mode }, EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        var before = Probes(pair);
        for (var i = 0; i < 62; i++)
        {
            if (outbound.Length > 0) pair.Left.LastOut = pair.Now;
            pair.Run(s_second / 2);
            if (inbound.Length > 0) pair.Left.LastIn = pair.Now;
            pair.Run(s_second / 2);
        }

        Assert.InRange(Probes(pair) - before, checks == 0 ? 0 : checks - 1, checks);
        Assert.Single(pair.Left.Engine.IkeSas);
    }

    [Fact]
    public void Optimized_checks_when_a_packet_had_no_answer_for_the_interval_and_not_earlier()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway() with { DpdDelay = TimeSpan.FromSeconds(10), DpdMode = DpdMode.Optimized }, EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        // long idle, then one packet: its answer has ten seconds
        pair.Run(TimeSpan.FromSeconds(305));
        Assert.Equal(0, Probes(pair));
        pair.Left.LastOut = pair.Now;
        pair.Run(TimeSpan.FromSeconds(9));
        Assert.Equal(0, Probes(pair));
        pair.Run(TimeSpan.FromSeconds(12));
        Assert.Equal(1, Probes(pair));
    }

    [Theory]
    [InlineData(1, 10)]
    [InlineData(3, 30)]
    [InlineData(5, 50)]
    public void With_a_threshold_the_peer_is_dead_after_so_many_intervals_without_an_answer(int threshold, int seconds)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway() with { DpdDelay = TimeSpan.FromSeconds(10), DpdThreshold = threshold }, EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        var sent = new List<Instant>();
        pair.Wire = (_, _, _) =>
        {
            sent.Add(pair.Now);
            return 0;
        };
        pair.Run(TimeSpan.FromSeconds(10 + seconds - 1));
        Assert.Single(pair.Left.Installed);
        pair.Run(TimeSpan.FromSeconds(2));
        Assert.Empty(pair.Left.Installed);
        Assert.Equal("dead-peer", pair.Left.Events.OfType<IkeSaDown>().Single().Reason);
        // RFC 7296 section 2.4: the waits grow all the same
        for (var i = 2; i < sent.Count; i++) Assert.True(sent[i] - sent[i - 1] > (sent[i - 1] - sent[i - 2]) * 1.4);
    }

    [Theory]
    [InlineData(StartAction.None, 0, false)]
    [InlineData(StartAction.Trap, 0, true)]
    [InlineData(StartAction.Start, 1, false)]
    public void A_dead_peer_clears_holds_or_restarts(StartAction action, int attempts, bool held)
    {
        using var pair = new EnginePair();
        var left = EnginePair.LeftGateway();
        pair.Load(left with { DpdDelay = TimeSpan.FromSeconds(10), Children = [left.Children[0] with { DpdAction = action }] }, EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        pair.Wire = (_, _, _) => 0;
        pair.Run(TimeSpan.FromSeconds(85));
        Assert.Empty(pair.Left.Installed);
        Assert.Equal(attempts, pair.Left.Engine.IkeSas.Count);
        Assert.Equal(held, pair.Left.Policies.ContainsKey(("net", "net")));
        pair.Wire = null;
        pair.Run(TimeSpan.FromSeconds(40));
        Assert.Equal(attempts, pair.Left.Installed.Count);
    }

    /// <summary>A wish goes over to a new IKE SA when the peer is lost; not for ever, or 'up' would wait without an end for a peer that answers no more than IKE_AUTH.</summary>
    [Theory]
    [InlineData(0, true)]
    [InlineData(1, true)]
    [InlineData(2, false)]
    public void A_wish_for_a_child_is_carried_over_to_a_new_IKE_SA_once(int lostSas, bool made)
    {
        using var pair = new EnginePair();
        var (left, right) = (EnginePair.LeftGateway(), EnginePair.RightGateway());
        // the first wish goes into IKE_AUTH of the new IKE SA, the second asks for CREATE_CHILD_SA again
        var more = new[] { ("dmz", "10.3.0.0/16"), ("lab", "10.4.0.0/16") };
        pair.Load(
            left with { DpdDelay = TimeSpan.FromSeconds(30), Children = [left.Children[0], .. more.Select(one => left.Children[0] with { Name = one.Item1, LocalSelectors = [EnginePair.Ts(one.Item2)] })] },
            right with { Children = [right.Children[0], .. more.Select(one => right.Children[0] with { Name = one.Item1, RemoteSelectors = [EnginePair.Ts(one.Item2)] })] });
        Assert.True(pair.Up().Success);
        var deaf = new HashSet<IkeSpi>();
        pair.Wire = (_, from, send) =>
        {
            if (!IkeHeader.TryRead(send.Message, out var header) || header.Exchange != ExchangeType.CreateChildSa || from == pair.Right) return 1;
            if (deaf.Count < lostSas) deaf.Add(header.InitiatorSpi);
            return deaf.Contains(header.InitiatorSpi) ? 0 : 1;
        };
        pair.Left.Up("net", "dmz", pair.Now);
        var up = pair.Left.Up("net", "lab", pair.Now);
        pair.Run(TimeSpan.FromMinutes(12));
        Assert.Equal(lostSas, deaf.Count);
        Assert.True(pair.Left.Results.TryGetValue(up, out var result), "the command still waits");
        Assert.Equal(made, result.Success);
        Assert.Equal(made, pair.Left.Engine.Snapshot().IkeSas.Any(sa => sa.Children.Any(child => child.Name == "lab")));
    }

    [Theory]
    [InlineData(StartAction.None, 0)]
    [InlineData(StartAction.Start, 1)]
    public void What_the_peer_closed_comes_back_if_the_configuration_wants_it(StartAction action, int pairs)
    {
        using var pair = new EnginePair();
        var left = EnginePair.LeftGateway();
        pair.Load(left with { Children = [left.Children[0] with { CloseAction = action }] }, EnginePair.RightGateway());
        foreach (var target in new[] { new SaTarget("net", "net"), new SaTarget("net") })
        {
            Assert.True(pair.Up().Success);
            pair.Right.Command(id => new IkeCommand.Down(id, target), pair.Now);
            pair.Run();
            pair.Run(TimeSpan.FromSeconds(5));
            Assert.Equal(pairs, pair.Left.Installed.Count);
            // and what is closed from here does not
            pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net")), pair.Now);
            pair.Run();
            pair.Run(TimeSpan.FromSeconds(5));
            Assert.Empty(pair.Left.Installed);
        }
    }

    [Fact]
    public void What_must_stay_up_is_tried_for_ever_with_waits_from_one_second_to_five_minutes()
    {
        using var pair = new EnginePair();
        var left = EnginePair.LeftGateway();
        var kept = left with { KeyingTries = 0, Children = [left.Children[0] with { StartAction = StartAction.Start, CloseAction = StartAction.Start, DpdAction = StartAction.Start }] };
        var first = new List<Instant>();
        pair.Wire = (_, from, message) =>
        {
            if (from == pair.Left && IkeHeader.TryRead(message.Message, out var header) && header is { Exchange: ExchangeType.IkeAuth }) first.Add(pair.Now);
            return 1;
        };
        // the peer does not believe us, until its secret is corrected two hours later
        pair.Right.SetPsk("ike-1", "Another/5ecret of one side");
        pair.Load(kept, EnginePair.RightGateway());
        pair.Run(TimeSpan.FromHours(2));
        var waits = first.Zip(first.Skip(1), (one, two) => two - one).ToArray();
        Assert.InRange(waits[0], s_second, s_second * 1.3);
        for (var i = 1; i < 8; i++) Assert.InRange(waits[i] / waits[i - 1], 2 / 1.3, 2 * 1.3);
        Assert.All(waits.Skip(9), wait => Assert.InRange(wait, TimeSpan.FromMinutes(5), TimeSpan.FromMinutes(5) * 1.26));
        // jitter
        Assert.True(waits.Skip(9).Select(wait => wait.Ticks).Distinct().Count() > 10);
        pair.Right.SetPsk("ike-1", EnginePair.Secret);
        pair.Run(TimeSpan.FromMinutes(7));
        Assert.Single(pair.Left.Installed);
    }

    [Fact]
    public void A_peer_that_is_not_there_is_tried_for_ever_and_found_when_it_comes()
    {
        using var pair = new EnginePair();
        var left = EnginePair.LeftGateway();
        pair.Load(left with { KeyingTries = 0, Children = [left.Children[0] with { StartAction = StartAction.Start }] }, null);
        pair.Run(TimeSpan.FromHours(3));
        Assert.Empty(pair.Left.Installed);
        pair.Right.Load(new PolicySet { Connections = [EnginePair.RightGateway()] }, pair.Now);
        pair.Run(TimeSpan.FromMinutes(6));
        Assert.Single(pair.Left.Installed);
    }

    [Fact]
    public void A_name_is_looked_up_again_at_each_try()
    {
        using var pair = new EnginePair();
        var left = EnginePair.LeftGateway();
        pair.Left.Names["gw.example.org"] = IpAddress.Parse("203.0.113.9");
        pair.Load(left with { KeyingTries = 0, RemoteAddresses = [HostPattern.Name("gw.example.org")], Children = [left.Children[0] with { StartAction = StartAction.Start }] }, EnginePair.RightGateway());
        var targets = new HashSet<IpAddress>();
        pair.Wire = (_, from, message) =>
        {
            if (from == pair.Left) targets.Add(message.Remote.Address);
            return message.Remote.Address == pair.Right.Address || from == pair.Right ? 1 : 0;
        };
        pair.Run(TimeSpan.FromMinutes(3));
        Assert.Equal([IpAddress.Parse("203.0.113.9")], targets);
        pair.Left.Names["gw.example.org"] = pair.Right.Address;
        pair.Run(TimeSpan.FromMinutes(3));
        Assert.Single(pair.Left.Installed);
        Assert.Single(pair.Right.Installed);
    }

    [Fact]
    public void An_idle_child_is_closed_also_when_it_is_rekeyed_meanwhile_and_a_trap_brings_it_back()
    {
        using var pair = new EnginePair();
        var left = EnginePair.LeftGateway();
        pair.Load(left with { RekeyTime = TimeSpan.FromMinutes(3), Children = [left.Children[0] with { StartAction = StartAction.Trap, Inactivity = TimeSpan.FromMinutes(5), RekeyTime = TimeSpan.FromMinutes(2) }] }, EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        for (var i = 0; i < 10; i++)
        {
            pair.Run(TimeSpan.FromMinutes(1));
            (pair.Left.LastIn, pair.Left.LastOut) = (pair.Now, pair.Now);
        }

        Assert.Single(pair.Left.Installed);
        Assert.True(pair.Left.Events.OfType<ChildRekeyed>().Count() >= 3);
        pair.Run(TimeSpan.FromMinutes(5) - TimeSpan.FromSeconds(5));
        Assert.Single(pair.Left.Installed);
        pair.Run(TimeSpan.FromSeconds(10));
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
        Assert.Equal("inactive", pair.Left.Events.OfType<ChildDown>().Single().Reason);
        Assert.True(pair.Left.Policies.ContainsKey(("net", "net")));
        pair.Left.Engine.Handle(new Warifu.Ipsec.DataPlaneEvent.Acquire("net", "net", EnginePair.Ts("10.1.0.1").Resolve(default), EnginePair.Ts("10.2.0.1").Resolve(default)), pair.Now);
        pair.Left.Drain(pair.Now);
        pair.Run();
        Assert.Single(pair.Left.Installed);
    }

    [Fact]
    public void The_same_child_is_made_once_whoever_asks_and_how_often()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        var commands = new[] { pair.Left, pair.Right, pair.Left, pair.Right, pair.Left }.Select(host => (Host: host, Id: host.Up("net", "net", pair.Now))).ToArray();
        var acquire = new Warifu.Ipsec.DataPlaneEvent.Acquire("net", "net", EnginePair.Ts("10.1.0.1").Resolve(default), EnginePair.Ts("10.2.0.1").Resolve(default));
        pair.Left.Engine.Handle(acquire, pair.Now);
        pair.Left.Drain(pair.Now);
        pair.Run();
        pair.Run(TimeSpan.FromMinutes(1));
        Assert.All(commands, command => Assert.True(command.Host.Results[command.Id].Success, command.Host.Results[command.Id].Message));
        foreach (var host in new[] { pair.Left, pair.Right })
        {
            Assert.Single(host.Engine.IkeSas);
            Assert.Single(host.Installed);
        }
    }

    [Theory]
    [InlineData(UniquePolicy.No)]
    [InlineData(UniquePolicy.Replace)]
    [InlineData(UniquePolicy.Keep)]
    [InlineData(UniquePolicy.Never)]
    public void A_new_authentication_is_no_duplicate_under_any_policy(UniquePolicy unique)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway() with { Unique = unique }, EnginePair.RightGateway() with { Unique = unique });
        Assert.True(pair.Up().Success);
        pair.Run(s_second);
        foreach (var host in new[] { pair.Left, pair.Right })
        {
            var command = host.Command(id => new IkeCommand.Reauth(id, new SaTarget("net")), pair.Now);
            pair.Run();
            pair.Run(TimeSpan.FromSeconds(20));
            Assert.True(host.Results[command].Success, host.Results[command].Message);
            Assert.Single(pair.Left.Engine.IkeSas);
            Assert.Single(pair.Right.Installed);
        }

    }

    [Theory]
    [InlineData(UniquePolicy.No, 2, true)]
    [InlineData(UniquePolicy.Never, 2, true)]
    [InlineData(UniquePolicy.Replace, 1, true)]
    [InlineData(UniquePolicy.Keep, 1, false)]
    public void A_second_host_with_the_same_identity_is_treated_as_unique_says(UniquePolicy unique, int sas, bool second)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway() with { Unique = unique, RemoteAddresses = [] });
        Assert.True(pair.Up().Success);
        // the same host may come again from where it is; this one comes from elsewhere, and has another IKE SA, too, so that it does not speak of a first contact
        using var other = new EngineHost(IpAddress.Parse("192.0.2.3"), 99, pair.Now);
        other.SetPsk("ike-1", EnginePair.Secret);
        var gateway = EnginePair.LeftGateway() with { LocalAddresses = [HostPattern.Of(other.Address)], Unique = UniquePolicy.Never };
        other.Load(new PolicySet { Connections = [gateway] }, pair.Now);
        var up = other.Up("net", "net", pair.Now);
        for (var i = 0; i < 10; i++)
        {
            while (other.Outbox.TryDequeue(out var message)) pair.Right.Receive(message.Remote, message.Local, message.Message, pair.Now);
            while (pair.Right.Outbox.TryDequeue(out var message))
            {
                if (message.Remote.Address == other.Address) other.Receive(message.Remote, message.Local, message.Message, pair.Now);
                else pair.Left.Receive(message.Remote, message.Local, message.Message, pair.Now);
            }
        }

        Assert.Equal(second, other.Results[up].Success);
        pair.Run(TimeSpan.FromSeconds(10));
        Assert.Equal(sas, pair.Right.Engine.IkeSas.Count);
        Assert.Equal(unique == UniquePolicy.Replace ? 0 : 1, pair.Left.Engine.IkeSas.Count);
    }

    private static int Probes(EnginePair pair) => pair.Sent.Count(sent => sent.From == pair.Left && IkeHeader.TryRead(sent.Message.Message, out var header) && header is { Exchange: ExchangeType.Informational, IsResponse: false });
}
