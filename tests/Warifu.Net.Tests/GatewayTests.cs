using System.Collections.Generic;
using System.Net.Sockets;
using System.Threading.Tasks;
using Warifu.Ipsec;
using Warifu.Net.Tests.Lab;
using Xunit;

namespace Warifu.Net.Tests;

/// <summary>Two gateways in namespaces, over TUN and real sockets.</summary>
[Trait("Item", "1.12")]
public sealed class GatewayTests
{
    [LabTheory]
    [InlineData(false, false, false)]
    [InlineData(false, true, true)]
    [InlineData(true, false, true)]
    [InlineData(true, true, false)]
    [InlineData(false, false, true)]
    [InlineData(true, true, true)]
    public async Task Packets_of_both_families_cross_in_UDP_and_straight_on_IP(bool outerV6, bool innerV6, bool encapsulated)
    {
        await using var world = new World();
        var site = new Site { OuterV6 = outerV6, Encapsulated = encapsulated, Children = [Site.Lan(innerV6)] };
        using var wire = world.Watch(world.Router, "tol");
        await world.TunnelAsync(site);
        var (near, far) = Ends(world, innerV6);
        wire.Clear();
        Assert.Equal(5, World.Send(near, far));
        Assert.Equal(5, World.Send(far, near));
        var protocol = encapsulated ? IpHeader.Udp : IpHeader.Esp;
        // in UDP several may travel in one: the wire of a veth shows the segments of UDP_SEGMENT joined
        var (packets, octets) = (0, 0);
        Assert.True(await World.Until(() =>
        {
            (packets, octets) = (0, 0);
            foreach (var packet in wire.Packets)
            {
                if (!IpHeader.TryParse(packet, out var header) || header.Flow.Protocol != protocol) continue;
                (packets, octets) = (packets + 1, octets + packet.Length - header.UpperOffset - 8);
            }

            // SPI, sequence number, IV, the inner packet, two octets of trailer, ICV; padding is shorter than a tenth of them
            return encapsulated ? packets >= 2 && octets >= 10 * (8 + 8 + (innerV6 ? 40 : 20) + 8 + 32 + 2 + 16) : packets >= 10;
        }));
        Assert.Equal(0, wire.Count("10.10.0.0/16", "fd10::/16"));
        if (encapsulated || outerV6) return;
        // an Identification of our own, never zero, never twice
        var ids = new HashSet<int>();
        foreach (var packet in wire.Packets)
        {
            if (packet[9] != 50) continue;
            var id = (packet[4] << 8) | packet[5];
            Assert.NotEqual(0, id);
            ids.Add((packet[12] << 24) | (packet[13] << 16) | id);
        }

        Assert.Equal(10, ids.Count);
    }

    [LabFact]
    public async Task A_gateway_with_several_addresses_answers_from_the_one_that_was_asked()
    {
        await using var world = new World();
        world.Right.Ip("addr add 198.51.100.77/24 dev wan");
        world.Right.Ip("addr add 2001:db8:2::77/64 dev wan nodad");
        foreach (var (v6, address) in new[] { (false, "198.51.100.77"), (true, "2001:db8:2::77") })
        {
            var site = new Site { OuterV6 = v6, RightOuter = address, Children = [Site.Lan(false)] };
            using var wire = world.Watch(world.Router, "tol");
            var (left, right) = await world.TunnelAsync(site);
            var (near, far) = Ends(world, false);
            Assert.Equal(5, World.Send(near, far));
            Assert.Equal(5, World.Send(far, near));
            Assert.Equal(0, wire.Count(v6 ? "2001:db8:2::2/128" : "198.51.100.2/32"));
            Assert.True(wire.Count(v6 ? "2001:db8:2::77/128" : "198.51.100.77/32") > 10);
            await left.DisposeAsync();
            await right.DisposeAsync();
            near.Dispose();
            far.Dispose();
        }
    }

    internal static (Socket Near, Socket Far) Ends(World world, bool v6, int port = 7000) =>
        (world.Udp(world.Near, v6 ? "fd10:1::2" : "10.10.1.2", port), world.Udp(world.Far, v6 ? "fd10:2::2" : "10.10.2.2", port));
}
