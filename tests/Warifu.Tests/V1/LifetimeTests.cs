using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.V1;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Lifetimes in seconds and kilobytes of both phases (item 3.3, R45): the shorter one counts on both sides.</summary>
[Trait("Item", "3.3")]
public sealed class LifetimeTests
{
    /// <summary>What was offered, what the responder keeps (RESPONDER-LIFETIME), and what the data plane counts.</summary>
    [Theory]
    [InlineData(10_000_000, 1_000_000, 1_000_000)]
    [InlineData(1_000_000, 10_000_000, 1_000_000)]
    [InlineData(0, 1_000_000, 1_000_000)]
    [InlineData(1_000_000, 0, 1_000_000)]
    [InlineData(0, 0, 0)]
    public void The_shorter_lifetime_in_kilobytes_is_what_both_data_planes_count(long left, long right, long expected)
    {
        using var pair = V1Pair.Up(Bytes(V1Pair.Left(), left), Bytes(V1Pair.Right(), right));
        foreach (var sa in pair.Left.Installed.Values.Concat(pair.Right.Installed.Values))
        {
            // whole kilobytes
            Assert.Equal((ulong)(expected / 1024 * 1024), sa.HardBytes);
            Assert.InRange(sa.SoftBytes, expected == 0 ? 0UL : 1UL, (ulong)expected);
        }
    }

    [Fact]
    public void A_soft_limit_in_octets_rekeys_and_a_hard_limit_ends_the_pair()
    {
        using var pair = V1Pair.Up(Bytes(V1Pair.Left(), 1_000_000), V1Pair.Right());
        var first = pair.Left.Installed.Keys.Single();
        pair.Left.Engine.Handle(new DataPlaneEvent.SoftLimit(first), pair.Now);
        pair.Left.Drain(pair.Now);
        pair.Run(TimeSpan.FromSeconds(20));
        var second = pair.Left.Installed.Keys.Single();
        Assert.NotEqual(first, second);
        V1Pair.AssertSame(pair);
        pair.Left.Engine.Handle(new DataPlaneEvent.HardLimit(second), pair.Now);
        pair.Left.Drain(pair.Now);
        pair.Settle();
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
        Assert.Equal("expired", Assert.Single(pair.Left.Events.OfType<ChildDown>()).Reason);
    }

    /// <summary>RFC 2407 section 4.6.3.1: the responder's shorter lifetime of phase 1 is told, in main mode with message 6, in aggressive mode behind it.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_responders_shorter_phase_1_is_kept_by_the_initiator(bool aggressive)
    {
        Connection With(Connection connection, int minutes) => connection with { Aggressive = aggressive, AggressivePsk = true, RekeyTime = TimeSpan.FromMinutes(minutes), OverTime = TimeSpan.Zero };
        using var pair = V1Pair.Up(With(V1Pair.Left(), 60), With(V1Pair.Right(), 10));
        foreach (var host in new[] { pair.Left, pair.Right }) Assert.InRange((host.Engine.Snapshot().IkeSas.Single().ExpireAt!.Value - pair.Now).TotalSeconds, 590, 601);
        Assert.InRange((pair.Left.Engine.Snapshot().IkeSas.Single().RekeyAt!.Value - pair.Now).TotalSeconds, 300, 595);
    }

    /// <summary>A lifetime that is told behind phase 1 or quick mode names what it is for, and only shortens (RFC 2407 section 4.6.3.1).</summary>
    [Fact]
    public void A_lifetime_that_is_told_later_shortens_what_it_names_and_nothing_else()
    {
        using var pair = V1Pair.Up(V1Pair.Left() with { RekeyTime = TimeSpan.FromHours(1) }, V1Pair.Right());
        var theirs = pair.Right.Engine.IsakmpSas.Single();
        var (sa, id) = (pair.Left.Engine.IsakmpSas.Single(), 0u);
        var spi = BitConverter.GetBytes(System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(pair.Right.Installed.Values.Single().InboundSpi.Value));
        Instant Ike() => pair.Left.Engine.Snapshot().IkeSas.Single().ExpireAt!.Value;
        Instant Child() => pair.Left.Engine.Snapshot().IkeSas.Single().Children.Single().ExpireAt!.Value;
        void Say(ProtocolId protocol, byte[] of, ulong seconds) => Tell(pair, theirs, id++, new ChainBuilder().Notify(protocol, of, NotifyV1.ResponderLifetime, Lifetime.Write((ushort)(protocol == ProtocolId.Ike ? (ushort)IsakmpAttribute.LifeType : (ushort)IpsecAttribute.LifeType), seconds, 0)));
        var (ike, child) = (Ike(), Child());
        byte[] others = [.. sa.Cookies().Select(octet => (byte)(octet ^ 1))], other = [.. spi.Select(octet => (byte)(octet ^ 1))];
        Say(ProtocolId.Ike, others, 600);
        Say(ProtocolId.Ike, [], 600);
        Say(ProtocolId.Ike, sa.Cookies(), 360_000);
        Say(ProtocolId.Esp, other, 600);
        Say(ProtocolId.Esp, [], 600);
        Say(ProtocolId.Esp, spi, 360_000);
        Assert.Equal((ike, child), (Ike(), Child()));
        Assert.InRange(sa.Suite!.Seconds, 1UL, 4000UL);
        Say(ProtocolId.Esp, spi, 600);
        Assert.Equal((ike, pair.Now + TimeSpan.FromSeconds(600)), (Ike(), Child()));
        Say(ProtocolId.Ike, sa.Cookies(), 900);
        Assert.Equal((pair.Now + TimeSpan.FromSeconds(900), pair.Now + TimeSpan.FromSeconds(600)), (Ike(), Child()));
        pair.Run(TimeSpan.FromSeconds(600));
        V1Pair.AssertSame(pair);
        V1Pair.AssertQuiet(pair);
    }

    /// <summary>A lifetime of phase 1 in kilobytes counts what is encrypted with its keys: it is done anew before the end, not sooner than ten seconds after it began, and ends then.</summary>
    [Fact]
    public void Kilobytes_of_phase_1_make_it_be_done_anew()
    {
        using var pair = V1Pair.Up(V1Pair.Left(), V1Pair.Right());
        var theirs = pair.Right.Engine.IsakmpSas.Single();
        Tell(pair, theirs, 1, new ChainBuilder().Notify(ProtocolId.Ike, theirs.Cookies(), NotifyV1.ResponderLifetime, Lifetime.Write((ushort)IsakmpAttribute.LifeType, 0, 8)));
        Assert.Equal(8UL, pair.Left.Engine.IsakmpSas.Single().Suite!.Kilobytes);
        var before = pair.Left.Engine.IsakmpSas.Single();
        for (var i = 2u; before.Octets < 7400 && i < 100; i++) Tell(pair, theirs, i, new ChainBuilder().VendorId(new byte[100]));
        Assert.Empty(pair.Left.Outbox);
        pair.Run(TimeSpan.FromSeconds(30));
        Assert.Single(pair.Left.Events.OfType<IkeSaReauthenticated>());
        Assert.NotEqual(before, pair.Left.Engine.IsakmpSas.Single());
        V1Pair.AssertQuiet(pair);
    }

    /// <summary>A peer that wants a lifetime of two seconds must not make us negotiate every other second: it does so itself, or the pair ends.</summary>
    [Fact]
    public void A_tiny_lifetime_of_the_peer_makes_no_storm()
    {
        using var pair = V1Pair.Up(V1Pair.Left() with { RekeyTime = TimeSpan.FromSeconds(2), Children = [V1Pair.Left().Children[0] with { RekeyTime = TimeSpan.FromSeconds(2), LifeTime = TimeSpan.FromSeconds(3) }] }, V1Pair.Right());
        var right = pair.Right.Engine.Snapshot().IkeSas.Single();
        Assert.Null(right.ReauthAt);
        Assert.Null(right.Children.Single().RekeyAt);
        Assert.InRange((right.Children.Single().ExpireAt!.Value - pair.Now).TotalSeconds, 1, 4);
    }

    private static void Tell(EnginePair pair, IsakmpSa theirs, uint id, ChainBuilder rest) => pair.Left.Receive(Attack.Left, Attack.Right, ForgerV1.Hashed(theirs, ExchangeType.InformationalV1, 0x100 + id, rest), pair.Now);

    private static Connection Bytes(Connection connection, long octets) => connection with { Children = [connection.Children[0] with { LifeBytes = octets == 0 ? null : (ulong)octets, RekeyBytes = (ulong)(octets / 10 * 9) }] };
}
