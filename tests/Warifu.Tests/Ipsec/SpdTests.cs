using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Ipsec;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Ipsec;

/// <summary>RFC 4301 section 4.4.1.</summary>
[Trait("Item", "1.11")]
public sealed class SpdTests
{
    private static readonly byte[] ToB = Packets.V4("10.1.0.1", "10.2.0.1", 6, [0, 1, 0, 22, .. new byte[16]]);

    [Fact]
    public void Bypass_goes_before_SAs_and_discard_comes_last()
    {
        var gateways = new Gateways();
        gateways.A.InstallPolicy(Policy("d", TrafficAction.Discard, Gateways.Selector("0.0.0.0/0"), Gateways.Selector("0.0.0.0/0")));
        gateways.A.InstallPolicy(Policy("ssh", TrafficAction.Bypass, Gateways.Selector("0.0.0.0/0", 6), Gateways.Selector("10.2.0.0/16", 6, 22, 22)));
        Assert.Null(gateways.Send(gateways.A, ToB));
        Assert.Equal(OutboundVerdict.Bypass, gateways.Sent.Verdict);
        Assert.NotNull(gateways.Send(gateways.A, Packets.V4("10.1.0.1", "10.2.0.1", 17, Packets.Udp(1, 22))));
        Assert.Null(gateways.Send(gateways.A, Packets.V4("10.9.0.1", "10.2.0.1", 17, Packets.Udp(1, 22))));
        Assert.Equal(PacketDrop.PolicyDiscard, gateways.Sent.Drop);
        gateways.A.InstallPolicy(Policy("first", TrafficAction.Discard, Gateways.Selector("10.1.0.0/16"), Gateways.Selector("10.2.0.0/16"), priority: 1));
        Assert.Null(gateways.Send(gateways.A, ToB));
        Assert.Equal(PacketDrop.PolicyDiscard, gateways.Sent.Drop);
        gateways.A.RemovePolicy("c", "first");
        gateways.A.RemovePolicy("c", "ssh");
        Assert.NotNull(gateways.Send(gateways.A, ToB));
    }

    [Fact]
    public void Without_an_entry_a_packet_is_discarded_and_answered()
    {
        var path = new Gateways();
        var reply = new byte[IcmpError.MaxLength];
        Assert.Null(path.Send(path.A, Packets.V4("10.1.0.1", "172.16.0.1", 17, Packets.Udp(1, 2)), reply));
        Assert.Equal(PacketDrop.NoPolicy, path.Sent.Drop);
        Assert.Equal([3, 13], reply[20..22]);
        Assert.Equal(0, Packets.SlowChecksum(reply.AsSpan(0, 20)));
        Assert.Equal(0, Packets.SlowChecksum(reply.AsSpan(20, path.Sent.ReplyLength - 20)));
        Assert.Equal(IpAddress.Parse("10.1.0.1").ToOctets(), reply[16..20]);
        // no errors about errors
        Assert.Null(path.Send(path.A, Packets.V4("10.1.0.1", "172.16.0.1", 1, Packets.Icmp(3, 1)), reply));
        Assert.Equal(0, path.Sent.ReplyLength);
    }

    [Fact]
    public void A_trap_raises_one_acquire_with_the_packets_selectors()
    {
        var path = new PacketPath(new CountingEntropy());
        path.InstallPolicy(Policy("child", TrafficAction.Protect, Gateways.Selector("10.1.0.0/16"), Gateways.Selector("10.2.0.0/16")));
        var buffer = new byte[300];
        for (var i = 0; i < 5; i++)
        {
            ToB.CopyTo(buffer, 100);
            path.Outbound(buffer, 100, ToB.Length, null, Gateways.Now, default, out var result);
            Assert.Equal(PacketDrop.NoSa, result.Drop);
        }

        var one = Assert.IsType<DataPlaneEvent.Acquire>(Assert.Single(Gateways.Events(path)));
        Assert.Equal(new DataPlaneEvent.Acquire("c", "child", Gateways.Selector("10.1.0.1/32", 6, 1, 1), Gateways.Selector("10.2.0.1/32", 6, 22, 22)), one);
        path.Outbound(buffer, 100, ToB.Length, null, Gateways.Now + TimeSpan.FromSeconds(6), default, out _);
        Assert.Single(Gateways.Events(path));
        path.Install(Gateways.MakeChild());
        path.Outbound(buffer, 100, ToB.Length, null, Gateways.Now, default, out var sent);
        Assert.Equal(OutboundVerdict.Protect, sent.Verdict);
        path.Remove(Gateways.PairId);
        ToB.CopyTo(buffer, 100);
        path.Outbound(buffer, 100, ToB.Length, null, Gateways.Now, default, out _);
        Assert.Single(Gateways.Events(path));
    }

    [Fact]
    public void Traffic_moves_to_a_rekeyed_pair_only_when_it_may()
    {
        var gateways = new Gateways();
        gateways.A.Install(Gateways.With(Gateways.MakeChild(id: 8, spi: 0x2000), ready: false, replaces: 7));
        gateways.B.Install(Gateways.MakeChild(id: 8, spi: 0x2000, outbound: true));
        gateways.Send(gateways.A, ToB);
        Assert.Equal(7u, gateways.Sent.Sa!.Id);
        // B, the initiator of the rekey, uses the new pair: now A does too
        Assert.NotNull(gateways.BToA(Packets.V4("10.2.0.1", "10.1.0.1", 17, Packets.Udp(1, 2))));
        Assert.Equal(8u, gateways.Sent.Sa!.Id);
        gateways.Send(gateways.A, ToB);
        Assert.Equal(8u, gateways.Sent.Sa!.Id);
        gateways.A.Install(Gateways.With(Gateways.MakeChild(id: 9, spi: 0x3000), ready: false, replaces: 8));
        gateways.Send(gateways.A, ToB);
        Assert.Equal(8u, gateways.Sent.Sa!.Id);
        gateways.A.UseOutbound(9);
        gateways.Send(gateways.A, ToB);
        Assert.Equal(9u, gateways.Sent.Sa!.Id);
        gateways.A.Remove(9);
        gateways.Send(gateways.A, ToB);
        Assert.Equal(8u, gateways.Sent.Sa!.Id);
    }

    [Fact]
    public void Entries_bound_to_an_interface_see_its_packets_only()
    {
        var path = new PacketPath(new CountingEntropy());
        path.Install(Gateways.With(Gateways.MakeChild(), options: new ChildOptions { BindInterface = "st0.1" }));
        var buffer = new byte[300];
        foreach (var (name, verdict) in new[] { ("st0.1", OutboundVerdict.Protect), (null, OutboundVerdict.Discard), ("st0.2", OutboundVerdict.Discard) })
        {
            ToB.CopyTo(buffer, 100);
            path.Outbound(buffer, 100, ToB.Length, name, Gateways.Now, default, out var result);
            Assert.Equal(verdict, result.Verdict);
        }

        path.Remove(Gateways.PairId);
        Assert.Null(path.Spd.Table("st0.1"));
    }

    [Fact]
    public void Ten_thousand_entries_are_not_scanned()
    {
        var spd = new Spd();
        for (var i = 0; i < 10_000; i++) spd.Install(Policy($"p{i}", TrafficAction.Protect, Gateways.Selector("10.0.0.0/8"), Gateways.Selector($"172.{i >> 8}.{i & 255}.0/24")));
        for (var i = 0; i < 10_000; i += 7)
        {
            Assert.True(IpHeader.TryParse(Packets.V4("10.1.0.1", $"172.{i >> 8}.{i & 255}.9", 17, Packets.Udp(1, 2)), out var header));
            Assert.Equal($"p{i}", spd.Shared.Lookup(header.Flow, out var compared)!.Policy!.Policy.Child);
            Assert.Equal(1, compared);
        }

        for (var i = 0; i < 10_000; i++) spd.Remove("c", $"p{i}");
        Assert.True(spd.Shared.IsEmpty);
    }

    [Fact]
    public void The_index_finds_what_a_scan_finds()
    {
        var random = new Random(3);
        var spd = new Spd();
        var policies = new List<(TrafficPolicy Policy, int Age)>();
        TrafficSelector Any()
        {
            var first = (uint)random.Next(0, 1 << 10);
            var last = first + (uint)random.Next(0, random.Next(1, 1 << 9));
            var (low, high) = random.Next(3) switch { 0 => ((ushort)0, ushort.MaxValue), 1 => ((ushort)5, (ushort)9), _ => ((ushort)3, (ushort)6) };
            return new(IpAddress.V4(0x0A000000 + first), IpAddress.V4(0x0A000000 + last), (byte)(random.Next(2) * 17), low, high);
        }

        for (var i = 0; i < 300; i++)
        {
            var policy = Policy($"p{i}", (TrafficAction)random.Next(3), Any(), Any(), priority: random.Next(4));
            spd.Install(policy);
            policies.Add((policy, i));
        }

        for (var i = 0; i < 60; i++)
        {
            var at = random.Next(policies.Count);
            spd.Remove("c", policies[at].Policy.Child);
            policies.RemoveAt(at);
        }

        for (var i = 0; i < 20_000; i++)
        {
            var flow = new PacketFlow(IpAddress.V4(0x0A000000 + (uint)random.Next(0, 1600)), IpAddress.V4(0x0A000000 + (uint)random.Next(0, 1600)), 17, (ushort)random.Next(12), (ushort)random.Next(12), random.Next(5) != 0);
            var expected = policies.Where(p => Matches(p.Policy, flow)).OrderBy(p => SpdRank.Of(p.Policy.Options.Priority, p.Policy.Action switch { TrafficAction.Bypass => SpdRank.Bypass, TrafficAction.Protect => SpdRank.Trap, _ => SpdRank.Discard },
                p.Policy.LocalSelectors[0], p.Policy.RemoteSelectors[0], p.Age)).FirstOrDefault().Policy;
            Assert.Same(expected, spd.Shared.Lookup(flow)?.Policy?.Policy);
        }
    }

    [Fact]
    public void Narrower_selectors_go_first()
    {
        var wide = SpdRank.Of(0, SpdRank.Trap, Gateways.Selector("0.0.0.0/0"), Gateways.Selector("10.0.0.0/8"), 1);
        var narrow = SpdRank.Of(0, SpdRank.Trap, Gateways.Selector("0.0.0.0/0"), Gateways.Selector("10.1.0.0/16"), 2);
        var port = SpdRank.Of(0, SpdRank.Trap, Gateways.Selector("0.0.0.0/0"), Gateways.Selector("10.1.0.0/16", 6, 80, 80), 3);
        Assert.True(port < narrow && narrow < wide);
        Assert.True(SpdRank.Of(5, SpdRank.Discard, Gateways.Selector("0.0.0.0/0"), Gateways.Selector("0.0.0.0/0"), 9) < port);
    }

    private static bool Matches(TrafficPolicy policy, PacketFlow flow)
    {
        var (local, remote) = (policy.LocalSelectors[0], policy.RemoteSelectors[0]);
        bool Side(TrafficSelector s, IpAddress a, ushort p) => a.Bits >= s.First.Bits && a.Bits <= s.Last.Bits && (s.Protocol == 0 || s.Protocol == flow.Protocol)
            && ((s.FirstPort == 0 && s.LastPort == 65535) || (flow.HasPorts && s.FirstPort <= p && p <= s.LastPort));
        return (local.Protocol == 0 || remote.Protocol == 0 || local.Protocol == remote.Protocol) && Side(local, flow.Source, flow.SourcePort) && Side(remote, flow.Destination, flow.DestinationPort);
    }

    private static TrafficPolicy Policy(string child, TrafficAction action, TrafficSelector local, TrafficSelector remote, int priority = 0) => new()
    {
        Connection = "c",
        Child = child,
        Action = action,
        LocalSelectors = [local],
        RemoteSelectors = [remote],
        Options = new ChildOptions { Priority = priority },
    };
}
