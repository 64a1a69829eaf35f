using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.V2;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>Re-authentication (item 2.8; requirements R103 to R113): an IKE SA from scratch, make before break, by frequency, by time and on command.</summary>
[Trait("Item", "2.8")]
public sealed class ReauthenticationTests
{
    private static readonly TimeSpan s_life = TimeSpan.FromMinutes(1);

    [Theory]
    [InlineData(1, 6, "AAAAAA")]
    [InlineData(2, 6, "KAKAKA")]
    [InlineData(3, 9, "KKAKKAKKA")]
    [InlineData(0, 6, "KKKKKK")]
    public void Every_nth_rekeying_is_a_new_authentication(int frequency, int moments, string sequence)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway() with { RekeyTime = s_life, RandTime = TimeSpan.Zero, ReauthFrequency = frequency }, EnginePair.RightGateway() with { RekeyTime = TimeSpan.Zero });
        Assert.True(pair.Up().Success);
        Play(pair, moments);
        Assert.Equal(sequence, SequenceOf(pair.Left)[..moments]);
        OneOfEach(pair);
    }

    [Fact]
    public void With_a_frequency_of_100_there_are_99_rekeyings_between()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway() with { RekeyTime = s_life, RandTime = TimeSpan.Zero, ReauthFrequency = 100 }, EnginePair.RightGateway() with { RekeyTime = TimeSpan.Zero });
        Assert.True(pair.Up().Success);
        Play(pair, 101);
        Assert.Equal(new string('K', 99) + "AK", SequenceOf(pair.Left)[..101]);
    }

    [Fact]
    public void Rekeyings_of_the_peer_count_too_and_the_first_that_is_due_wins()
    {
        using var pair = new EnginePair();
        // the left side never comes to a rekeying of its own: the right one is always first
        pair.Load(EnginePair.LeftGateway() with { RekeyTime = TimeSpan.FromHours(4), ReauthFrequency = 3 }, EnginePair.RightGateway() with { RekeyTime = s_life, RandTime = TimeSpan.Zero, ReauthFrequency = 100 });
        Assert.True(pair.Up().Success);
        Play(pair, 8);
        Assert.Equal("KKKAKKKA", SequenceOf(pair.Left)[..8]);
        Assert.DoesNotContain(pair.Right.Events, happening => happening is IkeSaReauthenticated);
        OneOfEach(pair);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_new_SAs_are_there_before_the_old_ones_go(bool fromRight)
    {
        using var pair = new EnginePair();
        var (left, right) = (EnginePair.LeftGateway(), EnginePair.RightGateway());
        pair.Load(left with { Children = [left.Children[0], left.Children[0] with { Name = "dmz", LocalSelectors = [EnginePair.Ts("10.3.0.0/16")] }] }, right with { Children = [right.Children[0], right.Children[0] with { Name = "dmz", RemoteSelectors = [EnginePair.Ts("10.3.0.0/16")] }] });
        Assert.True(pair.Up("net").Success);
        Assert.True(pair.Up("dmz").Success);
        pair.Run(TimeSpan.FromSeconds(1));
        var before = Both(pair).SelectMany(host => host.Engine.IkeSas).Select(sa => sa.SpiI).ToHashSet();
        var keys = Both(pair).SelectMany(host => host.Installed.Values).Select(sa => Convert.ToHexString(sa.OutboundEncrKey.Span)).ToHashSet();
        var spis = pair.Left.Installed.Values.Select(sa => sa.InboundSpi).ToHashSet();
        var sent = pair.Sent.Count;
        var gaps = new List<string>();
        pair.Wire = (_, _, _) =>
        {
            foreach (var host in Both(pair))
            {
                foreach (var child in new[] { "net", "dmz" })
                {
                    var ready = host.Installed.Values.Where(sa => sa.Name == child && host.Ready.Contains(sa.Id)).MaxBy(sa => sa.Id);
                    var other = host == pair.Left ? pair.Right : pair.Left;
                    if (ready is null || !other.Receiving.Contains(ready.OutboundSpi.Value)) gaps.Add($"{child} of {(host == pair.Left ? "left" : "right")}");
                }
            }

            return 1;
        };
        var side = fromRight ? pair.Right : pair.Left;
        var command = side.Command(id => new IkeCommand.Reauth(id, new SaTarget("net")), pair.Now);
        pair.Run();
        Assert.True(side.Results[command].Success, side.Results[command].Message);
        Assert.Empty(gaps);
        Assert.Single(side.Events.OfType<IkeSaReauthenticated>());
        // is the peer there; IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA for the second child, and the delete
        Assert.Equal(10, pair.Sent.Count - sent);
        OneOfEach(pair, children: 2);
        Assert.DoesNotContain(Both(pair).SelectMany(host => host.Engine.IkeSas), sa => before.Contains(sa.SpiI));
        Assert.DoesNotContain(Both(pair).SelectMany(host => host.Installed.Values), sa => keys.Contains(Convert.ToHexString(sa.OutboundEncrKey.Span)) || spis.Contains(sa.InboundSpi));
        // nothing is lost: each child closes as "authenticated anew"
        Assert.All(Both(pair), host => Assert.Equal(2, host.Events.OfType<ChildDown>().Count(down => down.Reason == "reauthenticated")));
    }

    [Fact]
    public void Pending_rekeyings_are_cancelled()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        // something slow is under way, and rekeyings wait behind it
        pair.Wire = (_, _, _) => 0;
        var sa = pair.Left.Engine.IkeSas.Single();
        sa.Window.Start(new Warifu.V2.Exchanges.LivenessExchange());
        var ike = pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net")), pair.Now);
        pair.Left.Command(id => new IkeCommand.Reauth(id, new SaTarget("net")), pair.Now);
        var child = pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget(Child: "net")), pair.Now);
        // the first rekeying was asked for before; what waits behind the new authentication is cancelled
        pair.Wire = null;
        pair.Run();
        pair.Run(TimeSpan.FromSeconds(5));
        Assert.True(pair.Left.Results[ike].Success);
        Assert.True(pair.Left.Results[child].Success);
        Assert.Equal("KA", SequenceOf(pair.Left));
        Assert.DoesNotContain(pair.Left.Events, happening => happening is ChildRekeyed);
        OneOfEach(pair);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_secret_that_is_not_good_any_more_ends_the_tunnel(bool onRight)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway() with { RekeyTime = s_life, ReauthFrequency = 2 }, EnginePair.RightGateway() with { RekeyTime = TimeSpan.Zero });
        Assert.True(pair.Up().Success);
        (onRight ? pair.Right : pair.Left).SetPsk("ike-1", "Another/5ecret of one side");
        pair.Run(s_life + TimeSpan.FromSeconds(5));
        // a rekeying asks for no credentials
        Assert.Equal("K", SequenceOf(pair.Left));
        Assert.Single(pair.Left.Installed);
        pair.Run(s_life);
        Assert.All(Both(pair), host => Assert.Empty(host.Engine.IkeSas));
        Assert.All(Both(pair), host => Assert.Empty(host.Installed));
        var down = pair.Left.Events.OfType<IkeSaDown>().Single(down => down.Text.StartsWith("re-authentication failed", StringComparison.Ordinal));
        Assert.Equal("authentication-failed", down.Reason);
    }

    [Fact]
    public void A_peer_that_does_not_answer_the_new_IKE_SA_keeps_the_old_one_until_another_try()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway() with { RekeyTime = TimeSpan.FromMinutes(30) }, EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        var lost = true;
        pair.Wire = (_, _, message) => lost && IkeHeaderOf(message).Exchange is ExchangeType.IkeSaInit ? 0 : 1;
        var command = pair.Left.Command(id => new IkeCommand.Reauth(id, new SaTarget("net")), pair.Now);
        pair.Run(TimeSpan.FromMinutes(2));
        Assert.False(pair.Left.Results[command].Success);
        OneOfEach(pair);
        Assert.DoesNotContain(pair.Left.Events, happening => happening is IkeSaReauthenticated);
        lost = false;
        pair.Run(TimeSpan.FromMinutes(3));
        Assert.Equal("A", SequenceOf(pair.Left));
        OneOfEach(pair);
    }

    [Fact]
    public void By_time_it_is_done_once_in_the_time_whatever_is_rekeyed_between()
    {
        using var pair = new EnginePair();
        var left = EnginePair.LeftGateway() with { RekeyTime = TimeSpan.FromMinutes(4), ReauthTime = TimeSpan.FromMinutes(10), RandTime = TimeSpan.Zero };
        pair.Load(left, EnginePair.RightGateway() with { RekeyTime = TimeSpan.Zero });
        Assert.True(pair.Up().Success);
        pair.Run(TimeSpan.FromMinutes(41));
        Assert.Equal("KKAKKAKKAKKA", SequenceOf(pair.Left));
        OneOfEach(pair);
    }

    [Fact]
    public void Without_it_the_IKE_SA_ends_at_its_hard_limit()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway() with { RekeyTime = TimeSpan.FromMinutes(4), ReauthTime = TimeSpan.FromMinutes(10), RandTime = TimeSpan.Zero }, EnginePair.RightGateway() with { RekeyTime = TimeSpan.Zero });
        Assert.True(pair.Up().Success);
        pair.Wire = (_, _, message) => IkeHeaderOf(message).Exchange is ExchangeType.IkeSaInit ? 0 : 1;
        pair.Run(TimeSpan.FromMinutes(10) + TimeSpan.FromSeconds(55));
        Assert.All(Both(pair), host => Assert.Single(host.Installed));
        // 10 % over
        pair.Run(TimeSpan.FromSeconds(10));
        Assert.All(Both(pair), host => Assert.Empty(host.Installed));
        Assert.Contains(pair.Left.Events.OfType<IkeSaDown>(), down => down.Reason == "expired");
    }

    [Fact]
    public void Who_used_the_configuration_payload_is_asked_by_AUTH_LIFETIME_and_begins_it()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway() with { RekeyTime = TimeSpan.Zero }, EnginePair.RightGateway() with { RekeyTime = s_life, RandTime = TimeSpan.Zero, ReauthFrequency = 1 });
        Assert.True(pair.Up().Success);
        foreach (var host in Both(pair)) host.Engine.IkeSas.Single().HasConfiguration = true;
        pair.Run(s_life + TimeSpan.FromSeconds(20));
        Assert.Equal("A", SequenceOf(pair.Left));
        Assert.Equal("", SequenceOf(pair.Right));
        OneOfEach(pair);
    }

    [Fact]
    public void A_client_that_does_not_come_back_loses_its_IKE_SA_at_the_hard_limit()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway() with { RekeyTime = TimeSpan.Zero }, EnginePair.RightGateway() with { RekeyTime = s_life, RandTime = TimeSpan.Zero, ReauthFrequency = 1 });
        Assert.True(pair.Up().Success);
        // the right side takes it for a client, the left one knows nothing of it
        pair.Right.Engine.IkeSas.Single().HasConfiguration = true;
        pair.Left.Engine.IkeSas.Single().Origin = (false, default);
        pair.Run(s_life + TimeSpan.FromSeconds(3));
        OneOfEach(pair);
        pair.Run(TimeSpan.FromSeconds(3));
        Assert.All(Both(pair), host => Assert.Empty(host.Installed));
    }

    [Theory]
    [InlineData(0, 1, true)]
    [InlineData(3600, 3600, false)]
    [InlineData(20, 21, true)]
    public void The_time_that_the_responder_tells_is_kept(uint seconds, int wait, bool done)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway() with { RekeyTime = TimeSpan.Zero }, EnginePair.RightGateway() with { RekeyTime = TimeSpan.Zero });
        Assert.True(pair.Up().Success);
        pair.Run(TimeSpan.FromSeconds(30));
        var right = pair.Right.Engine.IkeSas.Single();
        right.Window.Start(new AuthLifetimeExchange(seconds, default));
        pair.Right.Drain(pair.Now);
        pair.Run(TimeSpan.FromSeconds(Math.Min(wait, 100)));
        Assert.Equal(done ? "A" : "", SequenceOf(pair.Left));
    }

    [Fact]
    public void A_peer_that_asks_without_end_is_served_at_a_bounded_rate_and_only_by_the_original_initiator()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway() with { RekeyTime = TimeSpan.Zero }, EnginePair.RightGateway() with { RekeyTime = TimeSpan.Zero });
        Assert.True(pair.Up().Success);
        for (var i = 0; i < 60; i++)
        {
            foreach (var host in Both(pair))
            {
                foreach (var sa in host.Engine.IkeSas.Where(sa => sa.State == IkeState.Established)) sa.Window.Start(new AuthLifetimeExchange(0, default));
                host.Drain(pair.Now);
            }

            pair.Run(TimeSpan.FromSeconds(1));
        }

        Assert.InRange(SequenceOf(pair.Left).Length, 4, 6);
        Assert.Equal("", SequenceOf(pair.Right));
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(1UL)]
    [InlineData(2UL)]
    [InlineData(3UL)]
    [InlineData(4UL)]
    [InlineData(5UL)]
    public void Both_sides_at_the_same_time_end_with_one_IKE_SA(ulong seed)
    {
        using var pair = new EnginePair(seed);
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        pair.Run(TimeSpan.FromMinutes(1));
        var commands = Both(pair).Select(host => (host, host.Command(id => new IkeCommand.Reauth(id, new SaTarget("net")), pair.Now))).ToArray();
        pair.Run();
        pair.Run(TimeSpan.FromSeconds(30));
        Assert.All(commands, command => Assert.True(command.host.Results[command.Item2].Success, command.host.Results[command.Item2].Message));
        OneOfEach(pair);
    }

    [Fact]
    public void Break_before_make_closes_the_old_one_first()
    {
        using var pair = new EnginePair(left: new EngineOptions { BreakBeforeMake = true });
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        var old = pair.Left.Engine.IkeSas.Single().SpiI;
        var most = 0;
        pair.Wire = (_, _, _) =>
        {
            most = Math.Max(most, pair.Left.Installed.Count);
            return 1;
        };
        var command = pair.Left.Command(id => new IkeCommand.Reauth(id, new SaTarget("net")), pair.Now);
        pair.Run();
        Assert.True(pair.Left.Results[command].Success);
        Assert.Equal(1, most);
        OneOfEach(pair);
        Assert.NotEqual(old, pair.Left.Engine.IkeSas.Single().SpiI);
    }

    [Fact]
    public void The_command_says_when_there_is_nothing_or_the_peer_refuses()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        var none = pair.Left.Command(id => new IkeCommand.Reauth(id, new SaTarget("net")), pair.Now);
        Assert.Equal("no such connection is up", pair.Left.Results[none].Message);
        Assert.True(pair.Up().Success);
        var child = pair.Left.Command(id => new IkeCommand.Reauth(id, new SaTarget("net", "net")), pair.Now);
        Assert.Equal("only IKE SAs are authenticated: name a connection", pair.Left.Results[child].Message);
        pair.Right.SetPsk("ike-1", "Another/5ecret of one side");
        var refused = pair.Left.Command(id => new IkeCommand.Reauth(id, new SaTarget("net")), pair.Now);
        pair.Run();
        Assert.False(pair.Left.Results[refused].Success);
        Assert.Equal("authentication-failed", pair.Left.Results[refused].Report!.Failure!.Reason);
        Assert.Empty(pair.Left.Installed);
    }

    [Fact]
    public void What_comes_and_goes_while_it_is_under_way_is_kept()
    {
        using var pair = new EnginePair();
        var (left, right) = (EnginePair.LeftGateway(), EnginePair.RightGateway());
        pair.Load(left with { Children = [left.Children[0], left.Children[0] with { Name = "dmz", LocalSelectors = [EnginePair.Ts("10.3.0.0/16")] }] }, right with { Children = [right.Children[0], right.Children[0] with { Name = "dmz", RemoteSelectors = [EnginePair.Ts("10.3.0.0/16")] }] });
        Assert.True(pair.Up("net").Success);
        var held = new List<(AskId, Ask)>();
        pair.Right.HeldAsks = held;
        pair.Left.Command(id => new IkeCommand.Reauth(id, new SaTarget("net")), pair.Now);
        pair.Settle();
        // IKE_AUTH waits for the peer's secret keeper
        Assert.Equal(2, pair.Left.Engine.IkeSas.Count);
        pair.Left.Up("net", "dmz", pair.Now);
        pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net", "net")), pair.Now);
        pair.Settle();
        pair.Right.HeldAsks = null;
        foreach (var (id, question) in held) pair.Right.Answer(id, question, pair.Now);
        pair.Run();
        pair.Run(TimeSpan.FromSeconds(20));
        Assert.All(Both(pair), host => Assert.Equal(["dmz"], host.Installed.Values.Select(sa => sa.Name)));
        Assert.All(Both(pair), host => Assert.Single(host.Engine.IkeSas));
    }

    private static void Play(EnginePair pair, int moments)
    {
        for (var i = 0; i < (4 * moments) && SequenceOf(pair.Left).Length < moments; i++) pair.Run(s_life);
    }

    private static string SequenceOf(EngineHost host) => string.Concat(host.Events.Select(happening => happening switch { IkeSaRekeyed => "K", IkeSaReauthenticated => "A", _ => "" }));

    private static EngineHost[] Both(EnginePair pair) => [pair.Left, pair.Right];

    private static IkeHeader IkeHeaderOf(IkeAction.Send message)
    {
        Assert.True(IkeHeader.TryRead(message.Message, out var header));
        return header;
    }

    private static void OneOfEach(EnginePair pair, int children = 1)
    {
        pair.Run(TimeSpan.FromSeconds(1));
        Assert.All(Both(pair), host => Assert.Equal("ESTABLISHED", Assert.Single(host.Engine.Snapshot().IkeSas).State));
        Assert.All(Both(pair), host => Assert.Equal(children, host.Installed.Count));
        Assert.Equal(pair.Left.Installed.Values.Select(sa => sa.InboundSpi.Value).Order(), pair.Right.Installed.Values.Select(sa => sa.OutboundSpi.Value).Order());
        Assert.Equal(pair.Left.Engine.IkeSas.Single().SpiI, pair.Right.Engine.IkeSas.Single().SpiI);
    }
}
