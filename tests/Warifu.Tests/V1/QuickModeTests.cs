using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Quick mode (item 3.4): proxy IDs, modes, lifetimes, rekeying, deletes.</summary>
[Trait("Item", "3.4")]
public sealed class QuickModeTests
{
    /// <summary>R70: swapped, widened, narrowed by one bit.</summary>
    [Theory]
    [InlineData("10.2.0.0/16", "10.1.0.0/16")]
    [InlineData("10.1.0.0/15", "10.2.0.0/16")]
    [InlineData("10.1.0.0/17", "10.2.0.0/16")]
    [InlineData("10.1.0.0/16", "10.2.0.0/15")]
    [InlineData("10.1.0.0/16", "10.2.0.0/17")]
    [InlineData("10.1.0.0/16[tcp]", "10.2.0.0/16[tcp]")]
    [InlineData("10.1.0.0/16[tcp/80]", "10.2.0.0/16[tcp]")]
    public void Other_proxy_IDs_are_refused_and_both_pairs_are_shown(string local, string remote)
    {
        using var pair = new EnginePair();
        pair.Load(With(V1Pair.Left(), local, remote), V1Pair.Right());
        Assert.False(pair.Up().Success);
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
        var right = pair.Right.LastReport!.Failure!;
        Assert.Equal("selectors", right.Reason);
        Assert.Contains(EnginePair.Ts(local).Selector.ToString(), right.Sentence, StringComparison.Ordinal);
        Assert.Contains("10.2.0.0/16", string.Join(' ', right.Accepted), StringComparison.Ordinal);
        var left = pair.Left.LastReport!.Failure!;
        Assert.Equal("selectors", left.Reason);
        Assert.Contains("INVALID-ID-INFORMATION", left.Sentence, StringComparison.Ordinal);
        // phase 1 stays
        Assert.Equal("ESTABLISHED", pair.Right.Engine.Snapshot().IkeSas.Single().State);
    }

    [Theory]
    [InlineData("10.1.2.3", "10.2.0.0/16")]
    [InlineData("10.1.0.5-10.1.0.9", "10.2.0.0/16")]
    [InlineData("10.1.0.0/16[udp/53]", "10.2.0.0/16[udp/53]")]
    [InlineData("10.1.0.0/16[gre]", "10.2.0.0/16[gre]")]
    [InlineData("fd00:1::/64", "fd00:2::/48")]
    [InlineData("fd00:1::1", "fd00:2::5-fd00:2::9")]
    [InlineData("0.0.0.0/0", "0.0.0.0/0")]
    public void Every_form_of_proxy_ID_fits_its_like(string local, string remote)
    {
        using var pair = V1Pair.Up(With(V1Pair.Left(), local, remote), With(V1Pair.Right(), remote, local));
        Assert.Equal([EnginePair.Ts(local).Selector], pair.Right.Installed.Values.Single().RemoteSelectors);
    }

    [Fact]
    public void A_range_of_ports_cannot_be_said()
    {
        using var pair = new EnginePair();
        pair.Load(With(V1Pair.Left(), "10.1.0.0/16[tcp/80-90]", "10.2.0.0/16[tcp]"), V1Pair.Right());
        Assert.False(pair.Up().Success);
        Assert.Equal("selectors", pair.Left.LastReport!.Failure!.Reason);
    }

    /// <summary>The peer cannot read what comes before message 3, which has no answer: the old pair carries on for a while, and longer when message 3 had to go again.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Whoever_begins_a_rekeying_goes_on_sending_on_the_old_pair_until_the_peer_must_have_the_new_one(bool isLost)
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        var old = pair.Left.Installed.Keys.Single();
        var third = pair.Sent.Count + 2;
        if (isLost) pair.Wire = (number, _, _) => number == third ? 0 : 1;
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Settle();
        var made = pair.Left.Installed.Keys.Single(id => id != old);
        Assert.Equal(old, pair.Left.Installed[made].Replaces);
        Assert.Equal(!isLost, pair.Right.Ready.Contains(pair.Right.Installed.Keys.Max()));
        pair.Run(ProtocolTimes.SwitchSoon - TimeSpan.FromMilliseconds(1));
        Assert.DoesNotContain(made, pair.Left.Ready);
        pair.Run(TimeSpan.FromMilliseconds(2));
        Assert.Equal(!isLost, pair.Left.Ready.Contains(made));
        pair.Run(ProtocolTimes.SwitchSoon);
        Assert.Contains(made, pair.Left.Ready);
        Assert.Contains(pair.Right.Installed.Keys.Max(), pair.Right.Ready);
        Assert.Contains(old, pair.Left.Installed.Keys);
        pair.Run(ProtocolTimes.RetireSoon);
        V1Pair.AssertSame(pair);
        V1Pair.AssertQuiet(pair);
    }

    [Fact]
    public void Several_selectors_are_several_quick_modes()
    {
        var left = V1Pair.Left();
        var right = V1Pair.Right();
        left = left with { Children = [left.Children[0] with { LocalSelectors = [EnginePair.Ts("10.1.0.0/16"), EnginePair.Ts("10.3.0.0/16")] }] };
        right = right with { Children = [right.Children[0] with { RemoteSelectors = [EnginePair.Ts("10.1.0.0/16"), EnginePair.Ts("10.3.0.0/16")] }] };
        using var pair = V1Pair.Up(left, right);
        Assert.Equal(2, pair.Left.Installed.Count);
        Assert.Equal(2, pair.Right.Installed.Count);
        Assert.Equal(6, pair.Sent.Count(sent => sent.Message.Message[18] == (byte)ExchangeType.QuickMode));
    }

    /// <summary>R66.</summary>
    [Fact]
    public void Both_sides_may_begin_at_the_same_time()
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(), V1Pair.Right());
        pair.Left.Up("net", "net", pair.Now);
        pair.Right.Up("net", "net", pair.Now);
        pair.Run();
        pair.Run(TimeSpan.FromMinutes(5));
        foreach (var host in new[] { pair.Left, pair.Right })
        {
            Assert.Equal("ESTABLISHED", Assert.Single(host.Engine.Snapshot().IkeSas).State);
            Assert.NotEmpty(host.Installed);
            Assert.NotEmpty(host.Ready);
            // whatever one side sends on, the other receives on
            var other = host == pair.Left ? pair.Right : pair.Left;
            foreach (var child in host.Installed.Values) Assert.Contains(other.Installed.Values, theirs => theirs.InboundSpi == child.OutboundSpi);
        }
    }

    [Fact]
    public void Transport_mode_comes_up_between_the_hosts()
    {
        using var pair = V1Pair.Up(Transport(V1Pair.Left()), Transport(V1Pair.Right()));
        Assert.Equal(IpsecMode.Transport, pair.Left.Installed.Values.Single().Mode);
    }

    [Fact]
    public void The_other_mode_is_refused()
    {
        using var pair = new EnginePair();
        pair.Load(Transport(V1Pair.Left()), Transport(V1Pair.Right()) is var right ? right with { Children = [right.Children[0] with { Mode = ChildMode.Tunnel }] } : null);
        Assert.False(pair.Up().Success);
        Assert.Equal("mode", pair.Right.LastReport!.Failure!.Reason);
    }

    [Fact]
    public void Extended_sequence_numbers_are_negotiated()
    {
        using var pair = V1Pair.Up(V1Pair.Left(esp: "aes128-sha256-esn"), V1Pair.Right(esp: "aes128-sha256-esn"));
        Assert.True(pair.Left.Installed.Values.Single().Esn);
        Assert.True(pair.Right.Installed.Values.Single().Esn);
    }

    /// <summary>R45: the shorter lifetime counts, on both sides.</summary>
    [Theory]
    [Trait("Item", "3.3")]
    [InlineData(600, 3600)]
    [InlineData(3600, 600)]
    public void The_shorter_lifetime_is_kept_by_both(int left, int right)
    {
        using var pair = V1Pair.Up(Life(V1Pair.Left(), left), Life(V1Pair.Right(), right));
        var began = pair.Now;
        foreach (var host in new[] { pair.Left, pair.Right })
        {
            var child = host.Engine.Snapshot().IkeSas.Single().Children.Single();
            Assert.InRange((child.ExpireAt!.Value - began).TotalSeconds, 590, 661);
        }
    }

    /// <summary>R67: the old pair goes on receiving until it is deleted.</summary>
    [Fact]
    public void A_rekeying_replaces_the_pair_and_deletes_the_old_one()
    {
        using var pair = V1Pair.Up(Life(V1Pair.Left(), 600), V1Pair.Right());
        var first = pair.Left.Installed.Keys.Single();
        pair.Run(TimeSpan.FromSeconds(600));
        V1Pair.AssertQuiet(pair);
        V1Pair.AssertSame(pair);
        Assert.NotEqual(first, pair.Left.Installed.Keys.Single());
        Assert.Single(pair.Left.Events.OfType<ChildRekeyed>());
        Assert.Single(pair.Right.Events.OfType<ChildRekeyed>());
        Assert.Empty(pair.Left.Events.OfType<ChildDown>());
        // what was under way when it was replaced is still received
        Assert.Contains(pair.Left.Receiving, spi => !pair.Left.Installed.Values.Any(sa => sa.InboundSpi.Value == spi));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_pair_is_deleted_from_either_side(bool fromLeft)
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        var host = fromLeft ? pair.Left : pair.Right;
        host.Command(id => new IkeCommand.Down(id, new SaTarget("net", "net")), pair.Now);
        pair.Settle();
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
        Assert.Equal("down", Assert.Single(host.Events.OfType<ChildDown>()).Reason);
        Assert.Equal("peer-deleted", Assert.Single((fromLeft ? pair.Right : pair.Left).Events.OfType<ChildDown>()).Reason);
        host.Command(id => new IkeCommand.Down(id, new SaTarget("net")), pair.Now);
        pair.Settle();
        Assert.Empty(pair.Left.Engine.Snapshot().IkeSas);
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
        Assert.Equal(default, pair.Left.Engine.Holdings);
        Assert.Equal(default, pair.Right.Engine.Holdings);
    }

    [Fact]
    public void A_message_ID_is_taken_once()
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(), V1Pair.Right());
        Assert.True(pair.Up().Success);
        var first = pair.Sent.First(sent => sent.Message.Message[18] == (byte)ExchangeType.QuickMode).Message.Message;
        pair.Run(TimeSpan.FromMinutes(10));
        var before = pair.Right.Engine.Counters.Drops[(int)DropReason.OutOfWindow];
        pair.Right.Receive(new Endpoint(IpAddress.Parse("198.51.100.2"), 500), new Endpoint(IpAddress.Parse("192.0.2.2"), 500), first, pair.Now);
        Assert.Equal(before + 1, pair.Right.Engine.Counters.Drops[(int)DropReason.OutOfWindow]);
        Assert.Empty(pair.Right.Outbox);
    }

    /// <summary>Each octet of each protected message: no change of state, no answer but a repetition.</summary>
    [Fact]
    [Trait("Item", "3.10")]
    public void A_changed_message_changes_nothing()
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(), V1Pair.Right());
        pair.Wire = (_, from, message) =>
        {
            if ((message.Message[19] & 1) == 0) return 1;
            var (host, local, remote) = from == pair.Left ? (pair.Right, "198.51.100.2", "192.0.2.2") : (pair.Left, "192.0.2.2", "198.51.100.2");
            for (var i = IkeHeader.Length; i < message.Message.Length; i += 3)
            {
                // a block that decrypts to something else cannot carry a HASH or proof that fits; only the padding is not covered
                if (i >= message.Message.Length - 16) break;
                var wrong = message.Message.ToArray();
                wrong[i] ^= 0x20;
                var (installed, sas) = (host.Installed.Count, host.Engine.Snapshot().IkeSas.Count(sa => sa.State == "ESTABLISHED"));
                host.Receive(new Endpoint(IpAddress.Parse(local), 500), new Endpoint(IpAddress.Parse(remote), 500), wrong, pair.Now);
                Assert.Equal((installed, sas), (host.Installed.Count, host.Engine.Snapshot().IkeSas.Count(sa => sa.State == "ESTABLISHED")));
            }

            return 1;
        };
        Assert.True(pair.Up().Success);
        V1Pair.AssertSame(pair);
    }

    private static Connection With(Connection connection, string local, string remote) => connection with { Children = [connection.Children[0] with { LocalSelectors = [EnginePair.Ts(local)], RemoteSelectors = [EnginePair.Ts(remote)] }] };

    private static Connection Transport(Connection connection) => connection with { Children = [connection.Children[0] with { Mode = ChildMode.Transport, LocalSelectors = [], RemoteSelectors = [] }] };

    private static Connection Life(Connection connection, int seconds) => connection with { Children = [connection.Children[0] with { RekeyTime = TimeSpan.FromSeconds(seconds / 1.1), LifeTime = TimeSpan.FromSeconds(seconds) }] };
}
