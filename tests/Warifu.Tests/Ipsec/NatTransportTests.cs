using System;
using System.Buffers.Binary;
using Warifu.Ipsec;
using Warifu.Primitives;
using Warifu.Simulation;
using Xunit;

namespace Warifu.Tests.Ipsec;

/// <summary>Transport mode behind a NAT (RFC 3948 sections 3.1.2 and 5.2): checksums, and several peers with one address.</summary>
[Trait("Item", "2.12")]
public sealed class NatTransportTests
{
    private const string Server = "198.51.100.2";
    private const string Nat = "203.0.113.1";

    [Theory]
    [InlineData(IpHeader.Tcp, false)]
    [InlineData(IpHeader.Udp, false)]
    [InlineData(IpHeader.Tcp, true)]
    [InlineData(IpHeader.Udp, true)]
    public void The_checksum_that_the_peer_computed_over_its_own_addresses_is_right_for_those_that_we_see(byte protocol, bool v6)
    {
        var luck = new SeededEntropy(protocol);
        for (var round = 0; round < 2_000; round++)
        {
            IpAddress Any() => v6 ? IpAddress.V6(((UInt128)luck.Next() << 64) | luck.Next()) : IpAddress.V4((uint)luck.Next());
            var (theirs, own, seenTheirs, seenOwn) = (Any(), Any(), luck.Chance(0.2) ? default : Any(), Any());
            if (seenTheirs.IsNone) seenTheirs = theirs;
            var payload = new byte[20 + luck.Below(60)];
            luck.Fill(payload);
            var at = protocol == IpHeader.Tcp ? 16 : 6;
            if (protocol == IpHeader.Tcp) payload[12] = 0x50;
            else BinaryPrimitives.WriteUInt16BigEndian(payload.AsSpan(4), (ushort)payload.Length);
            var isWrong = luck.Chance(0.1);
            BinaryPrimitives.WriteUInt16BigEndian(payload.AsSpan(at), 0);
            BinaryPrimitives.WriteUInt16BigEndian(payload.AsSpan(at), (ushort)(Checksum(payload, theirs, own, protocol) ^ (isWrong ? 1 : 0)));
            var packet = v6 ? Packets.V6(seenTheirs.ToString(), seenOwn.ToString(), protocol, payload) : Packets.V4(seenTheirs.ToString(), seenOwn.ToString(), protocol, payload);
            if (!IpHeader.TryParse(packet, out var header)) continue;
            NatChecksum.Repair(packet, header, theirs, own);
            // over a right checksum the sum is zero; a wrong one stays wrong, for nothing is verified or hidden here
            Assert.Equal(!isWrong, Checksum(packet.AsSpan(v6 ? 40 : 20), seenTheirs, seenOwn, protocol) == 0);
        }
    }

    [Fact]
    public void UDP_without_a_checksum_stays_so_and_other_protocols_and_later_fragments_are_left_alone()
    {
        var (theirs, own) = (IpAddress.Parse("10.9.0.2"), IpAddress.Parse(Server));
        var zero = Packets.V4(Nat, Server, IpHeader.Udp, Packets.Udp(1, 2));
        foreach (var packet in new[]
        {
            zero,
            Packets.V4(Nat, Server, IpHeader.Icmp, Packets.Icmp(8, 0)),
            Packets.V4(Nat, Server, 132, new byte[40]),
            Packets.V4(Nat, Server, IpHeader.Tcp, new byte[40], fragmentOffset: 8),
            Packets.V4(Nat, Server, IpHeader.Tcp, new byte[17]),
            Packets.V4(Nat, Server, IpHeader.Udp, new byte[7]),
        })
        {
            var before = packet.AsSpan().ToArray();
            if (!IpHeader.TryParse(packet, out var header)) continue;
            NatChecksum.Repair(packet, header, theirs, own);
            Assert.Equal(before, packet);
        }
    }

    [Fact]
    public void What_goes_to_peers_behind_one_NAT_goes_where_the_flow_came_from()
    {
        var server = new PacketPath(new CountingEntropy());
        var first = Client(server, 1, "10.9.0.2", 1024);
        var second = Client(server, 2, "10.9.0.3", 1025);
        var third = Client(server, 3, "10.9.0.4", 1026);
        // all three at once, and again in another order: each flow has its own way back
        foreach (var order in new[] { new[] { first, second, third }, [third, first, second] })
        {
            foreach (var client in order) Assert.NotNull(ToServer(client, server, (ushort)(5000 + client.Number)));
            foreach (var client in order) Assert.Equal(client.Number, ToClient(server, (ushort)(5000 + client.Number)));
        }

        // two with the same port of their own: the first has it, and nothing of the other goes astray (RFC 3948 section 5.2)
        Assert.NotNull(ToServer(first, server, 6000));
        Assert.Equal(1u, ToClient(server, 6000));
        Assert.Null(ToServer(second, server, 6000));
        Assert.Equal(1u, ToClient(server, 6000));
        Assert.Equal(1ul, server.Drops(PacketDrop.OtherFlow));
        // a flow that nobody began: the newest
        Assert.Equal(3u, ToClient(server, 7777));
        // a pair that is gone has none, and is not chosen
        server.Remove(1);
        Assert.NotNull(ToServer(second, server, 6000));
        Assert.Equal(2u, ToClient(server, 6000));
        server.Remove(2);
        Assert.Equal(3u, ToClient(server, 6000));
        Assert.Equal(3u, ToClient(server, 5003));
    }

    [Fact]
    public void A_flow_keeps_its_addresses_when_the_NAT_gets_another_one()
    {
        var server = new PacketPath(new CountingEntropy());
        var client = Client(server, 1, "10.9.0.2", 1024);
        var packet = ToServer(client, server, 5000, "203.0.113.77");
        Assert.NotNull(packet);
        Assert.Equal(IpAddress.Parse(Nat).ToOctets(), packet[12..16]);
        Assert.Equal(0, Checksum(packet.AsSpan(20), IpAddress.Parse(Nat), IpAddress.Parse(Server), IpHeader.Udp));
    }

    private static ushort Checksum(ReadOnlySpan<byte> upper, IpAddress from, IpAddress to, byte protocol)
    {
        byte[] pseudo = [.. from.ToOctets(), .. to.ToOctets(), 0, protocol, (byte)(upper.Length >> 8), (byte)upper.Length, .. upper];
        return Packets.SlowChecksum(pseudo);
    }

    private sealed record Peer(uint Number, PacketPath Path, string Address, ushort Port);

    private static Peer Client(PacketPath server, uint number, string address, ushort port)
    {
        var path = new PacketPath(new CountingEntropy());
        path.Install(Pair(number, isServer: false, address, port));
        server.Install(Pair(number, isServer: true, address, port));
        return new Peer(number, path, address, port);
    }

    private static byte[]? ToServer(Peer client, PacketPath server, ushort port, string nat = Nat)
    {
        var udp = Packets.Udp(port, 80);
        BinaryPrimitives.WriteUInt16BigEndian(udp.AsSpan(6), Checksum(udp, IpAddress.Parse(client.Address), IpAddress.Parse(Server), IpHeader.Udp));
        var wire = new byte[4096];
        var inner = Packets.V4(client.Address, Server, IpHeader.Udp, udp);
        inner.CopyTo(wire, EspOverhead.Headroom);
        client.Path.Outbound(wire, EspOverhead.Headroom, inner.Length, null, Gateways.Now, default, out var sent);
        Assert.Equal(OutboundVerdict.Protect, sent.Verdict);
        var esp = wire.AsSpan(sent.Packet.Offset, sent.Packet.Length).ToArray();
        esp.CopyTo(wire, EspOverhead.Headroom);
        server.Inbound(wire, EspOverhead.Headroom, esp.Length, new OuterInfo(new Endpoint(IpAddress.Parse(Server), 4500), new Endpoint(IpAddress.Parse(nat), client.Port)), Gateways.Now, out var result);
        return result.Drop == PacketDrop.None ? wire.AsSpan(result.Offset, result.Length).ToArray() : null;
    }

    /// <summary>The pair that carries it.</summary>
    private static uint ToClient(PacketPath server, ushort port)
    {
        var wire = new byte[4096];
        var inner = Packets.V4(Server, Nat, IpHeader.Udp, Packets.Udp(80, port));
        inner.CopyTo(wire, EspOverhead.Headroom);
        server.Outbound(wire, EspOverhead.Headroom, inner.Length, null, Gateways.Now, default, out var sent);
        Assert.Equal(OutboundVerdict.Protect, sent.Verdict);
        return sent.Sa!.Id;
    }

    private static ChildSa Pair(uint number, bool isServer, string address, ushort port)
    {
        var pattern = Gateways.MakeChild(outbound: isServer, id: number, spi: 0x1000 + (number * 16));
        var (inner, outer) = (IpAddress.Parse(address), IpAddress.Parse(Nat));
        var server = IpAddress.Parse(Server);
        return new ChildSa
        {
            Id = number,
            IkeId = number,
            Connection = "c",
            Name = "child",
            Mode = IpsecMode.Transport,
            InboundSpi = pattern.InboundSpi,
            OutboundSpi = pattern.OutboundSpi,
            Encr = pattern.Encr,
            EncrKeyBits = pattern.EncrKeyBits,
            InboundEncrKey = pattern.InboundEncrKey,
            InboundIntegKey = pattern.InboundIntegKey,
            OutboundEncrKey = pattern.OutboundEncrKey,
            OutboundIntegKey = pattern.OutboundIntegKey,
            Local = isServer ? new Endpoint(server, 4500) : new Endpoint(inner, 4500),
            Remote = isServer ? new Endpoint(outer, port) : new Endpoint(server, 4500),
            UdpEncapsulation = true,
            LocalBehindNat = !isServer,
            RemoteBehindNat = isServer,
            OriginalRemote = isServer ? inner : server,
            OriginalLocal = isServer ? server : outer,
            LocalSelectors = [TrafficSelector.Of(isServer ? server : inner)],
            RemoteSelectors = [TrafficSelector.Of(isServer ? outer : server)],
            Options = new ChildOptions(),
        };
    }
}
