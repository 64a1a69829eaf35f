using System;
using System.Buffers.Binary;
using System.Linq;
using System.Text;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Tests.Ipsec;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>
/// The shape of L2TP/IPsec (item 3.6): transport mode for UDP/1701, negotiated by IKEv1 in main mode with a pre-shared key, three clients behind one NAT, and datagrams through the real ESP of both sides.
/// <code>
///   10.0.0.2, 10.0.0.3, 10.0.0.4 [clients] -- [NAT] 203.0.113.1 -- 198.51.100.2:1701 [server]
/// </code>
/// </summary>
[Trait("Item", "3.6")]
public sealed class L2tpTests
{
    private const string Nat = "203.0.113.1", Server = "198.51.100.2";

    private const ushort L2tp = 1701;

    private static readonly Instant s_now = new(1_000_000_000);

    /// <summary>Phones take a port of their own, and their proxy ID leaves it open.</summary>
    [Fact]
    public void Three_clients_behind_one_NAT_are_served_at_the_same_time()
    {
        using var world = new World("dynamic[udp]");
        for (var round = 0; round < 3; round++)
        {
            // all of them first, then all answers, in another order each time
            var order = new[] { 0, 1, 2 }.Select(i => (i + round) % 3).ToArray();
            foreach (var i in order) Assert.Equal($"hello of {i} in {round}", world.ToServer(i, (ushort)(50_000 + (i * 77)), $"hello of {i} in {round}"));
            foreach (var i in order.Reverse()) Assert.Equal((i, $"answer to {i} in {round}"), world.ToClient((ushort)(50_000 + (i * 77)), $"answer to {i} in {round}"));
        }

        world.AssertUsed(3);
    }

    /// <summary>With port 1701 on both sides the flows of several clients look the same (RFC 3948 section 5.2): one is served as long as it is there, no answer goes to another, and somebody is told why.</summary>
    [Fact]
    public void Of_clients_that_use_port_1701_themselves_one_is_served_at_a_time()
    {
        using var world = new World("dynamic[udp/1701]");
        for (var round = 0; round < 3; round++)
        {
            Assert.Equal("hello of 0", world.ToServer(0, L2tp, "hello of 0"));
            Assert.Null(world.ToServer(1, L2tp, "hello of 1"));
            Assert.Null(world.ToServer(2, L2tp, "hello of 2"));
            Assert.Equal((0, "answer to 0"), world.ToClient(L2tp, "answer to 0"));
            world.Now += TimeSpan.FromSeconds(60);
        }

        Assert.Equal(2, world.Notices("behind one NAT and use the same port"));
        // L2TP says hello each minute: who is silent for two has gone
        world.Now += TimeSpan.FromSeconds(59);
        Assert.Null(world.ToServer(2, L2tp, "hello of 2"));
        world.Now += TimeSpan.FromSeconds(2);
        Assert.Equal("hello of 2", world.ToServer(2, L2tp, "hello of 2"));
        Assert.Equal((2, "answer to 2"), world.ToClient(L2tp, "answer to 2"));
        // and who says that he goes has gone at once
        world.Leave(2);
        Assert.Equal("hello of 1", world.ToServer(1, L2tp, "hello of 1"));
        Assert.Equal((1, "answer to 1"), world.ToClient(L2tp, "answer to 1"));
    }

    [Fact]
    public void Nothing_but_L2TP_goes_through()
    {
        using var world = new World("dynamic[udp/1701]");
        Assert.Null(world.ToServer(0, 1702, "hello"));
        Assert.Null(world.ToServer(0, L2tp, "hello", 1702));
    }

    /// <summary>Clients, NAT and server.</summary>
    private sealed class World : IDisposable
    {
        private readonly EngineHost[] _clients = [.. Enumerable.Range(0, 3).Select(i => new EngineHost(IpAddress.Parse($"10.0.0.{i + 2}"), (ulong)(i + 11), s_now))];
        private readonly PacketPath[] _paths = [.. Enumerable.Range(0, 3).Select(_ => new PacketPath(new CountingEntropy()))];
        private readonly EngineHost _server = new(IpAddress.Parse(Server), 99, s_now);
        private readonly PacketPath _serverPath = new(new CountingEntropy());
        private readonly byte[] _wire = new byte[4096];

        public Instant Now { get; set; } = s_now;

        public World(string clientTs)
        {
            _server.SetPsk("ike-1", EnginePair.Secret);
            _server.Load(PolicySet.Of(Connection("right.example.org", "*.clients.example.org", "dynamic[udp/1701]", clientTs) with { LocalAddresses = [HostPattern.Of(IpAddress.Parse(Server))] }), s_now);
            for (var i = 0; i < _clients.Length; i++)
            {
                _clients[i].SetPsk("ike-1", EnginePair.Secret);
                _clients[i].Load(PolicySet.Of(Connection($"c{i}.clients.example.org", "right.example.org", clientTs, "dynamic[udp/1701]") with { RemoteAddresses = [HostPattern.Of(IpAddress.Parse(Server))] }), s_now);
            }

            // at the same time
            var ups = _clients.Select(client => client.Up("net", "net", s_now)).ToArray();
            Carry();
            for (var i = 0; i < _clients.Length; i++)
            {
                Assert.True(_clients[i].Results[ups[i]].Success, _clients[i].LastReport?.Failure?.Sentence + _server.LastReport?.Failure?.Sentence);
                Put(_clients[i], _paths[i]);
            }

            Put(_server, _serverPath);
            Assert.Equal(3, _server.Installed.Count);
            Assert.All(_server.Installed.Values, sa => Assert.Equal((IpsecMode.Transport, true, Nat), (sa.Mode, sa.UdpEncapsulation, sa.RemoteSelectors.Single().First.ToString())));
            Assert.Equal(3, _server.Installed.Values.Select(sa => sa.Remote.Port).Distinct().Count());
            Assert.Equal(["10.0.0.2", "10.0.0.3", "10.0.0.4"], _server.Installed.Values.Select(sa => sa.OriginalRemote.ToString()).Order());
        }

        /// <summary>What the server's kernel sees of a datagram; null = it does not get through.</summary>
        public string? ToServer(int client, ushort port, string text, ushort to = L2tp)
        {
            var inner = Datagram(_clients[client].Address.ToString(), Server, port, to, text);
            inner.CopyTo(_wire, EspOverhead.Headroom);
            _paths[client].Outbound(_wire, EspOverhead.Headroom, inner.Length, null, s_now, default, out var sent);
            if (sent.Verdict != OutboundVerdict.Protect) return null;
            Shift(sent.Packet.Offset, sent.Packet.Length);
            _serverPath.Inbound(_wire, EspOverhead.Headroom, sent.Packet.Length, new OuterInfo(new Endpoint(IpAddress.Parse(Server), 4500), Outside(client, 4500)), Now, out var result);
            if (result.Drop == PacketDrop.OtherFlow) return null;
            Assert.Equal(PacketDrop.None, result.Drop);
            return Read(_wire.AsSpan(result.Offset, result.Length), Nat, Server, port, to);
        }

        /// <summary>An answer of the server: which client gets it, and what it reads.</summary>
        public (int Client, string Text) ToClient(ushort port, string text)
        {
            var inner = Datagram(Server, Nat, L2tp, port, text);
            inner.CopyTo(_wire, EspOverhead.Headroom);
            _serverPath.Outbound(_wire, EspOverhead.Headroom, inner.Length, null, s_now, default, out var sent);
            Assert.Equal(OutboundVerdict.Protect, sent.Verdict);
            // the NAT sends it on by its port
            var client = Array.FindIndex(_clients, one => Outside(Array.IndexOf(_clients, one), 4500) == _server.Installed[sent.Sa!.Id].Remote);
            Shift(sent.Packet.Offset, sent.Packet.Length);
            _paths[client].Inbound(_wire, EspOverhead.Headroom, sent.Packet.Length, new OuterInfo(new Endpoint(_clients[client].Address, 4500), new Endpoint(IpAddress.Parse(Server), 4500)), s_now, out var result);
            Assert.Equal(PacketDrop.None, result.Drop);
            return (client, Read(_wire.AsSpan(result.Offset, result.Length), Server, _clients[client].Address.ToString(), L2tp, port));
        }

        /// <summary>How often the server said that to its operator.</summary>
        public int Notices(string text) => _server.Events.OfType<Warifu.Engine.Notice>().Count(notice => notice.Text.Contains(text, StringComparison.Ordinal));

        /// <summary>The client's pair is deleted.</summary>
        public void Leave(int client) => _serverPath.Remove(_server.Installed.Values.Single(sa => sa.Remote == Outside(client, 4500)).Id);

        public void AssertUsed(ulong packets)
        {
            foreach (var sa in _server.Installed.Values)
            {
                Assert.True(_serverPath.TryQuery(sa.Id, out var counters));
                Assert.Equal((packets, packets), (counters.PacketsIn, counters.PacketsOut));
            }
        }

        public void Dispose()
        {
            foreach (var client in _clients) client.Dispose();
            _server.Dispose();
        }

        private static Connection Connection(string own, string peer, string localTs, string remoteTs) => new()
        {
            Name = "net",
            Version = IkeVersion.V1,
            Proposals = EnginePair.Proposals(ProtocolId.Ike, V1Pair.Ike),
            Local = new LocalAuth { Id = Identity.Fqdn(own) },
            Remote = new RemoteAuth { Id = IdentityPattern.Parse(peer) },
            Children = [new Child { Name = "net", Mode = ChildMode.Transport, Proposals = EnginePair.Proposals(ProtocolId.Esp, V1Pair.Esp), LocalSelectors = [SelectorPattern.Parse(localTs)], RemoteSelectors = [SelectorPattern.Parse(remoteTs)] }],
        };

        private static Endpoint Outside(int client, ushort port) => new(IpAddress.Parse(Nat), (ushort)(40_000 + (client * 10) + (port == 4500 ? 5 : 0)));

        private static void Put(EngineHost host, PacketPath path)
        {
            foreach (var sa in host.Installed.Values)
            {
                path.Install(sa);
                if (host.Ready.Contains(sa.Id)) path.UseOutbound(sa.Id);
            }
        }

        private void Shift(int offset, int length)
        {
            var packet = _wire.AsSpan(offset, length).ToArray();
            packet.CopyTo(_wire, EspOverhead.Headroom);
        }

        private void Carry()
        {
            while (_server.Outbox.Count > 0 || _clients.Any(client => client.Outbox.Count > 0))
            {
                for (var i = 0; i < _clients.Length; i++)
                {
                    while (_clients[i].Outbox.TryDequeue(out var message)) _server.Receive(message.Remote, Outside(i, message.Local.Port), message.Message, s_now);
                }

                while (_server.Outbox.TryDequeue(out var message))
                {
                    var (client, port) = ((message.Remote.Port - 40_000) / 10, (ushort)((message.Remote.Port % 10) == 5 ? 4500 : 500));
                    _clients[client].Receive(new Endpoint(_clients[client].Address, port), message.Local, message.Message, s_now);
                }
            }
        }

        private static byte[] Datagram(string from, string to, ushort source, ushort destination, string text)
        {
            byte[] udp = [0, 0, 0, 0, 0, 0, 0, 0, .. Encoding.ASCII.GetBytes(text)];
            BinaryPrimitives.WriteUInt16BigEndian(udp, source);
            BinaryPrimitives.WriteUInt16BigEndian(udp.AsSpan(2), destination);
            BinaryPrimitives.WriteUInt16BigEndian(udp.AsSpan(4), (ushort)udp.Length);
            BinaryPrimitives.WriteUInt16BigEndian(udp.AsSpan(6), Checksum(udp, from, to));
            return Packets.V4(from, to, IpHeader.Udp, udp);
        }

        /// <summary>Addresses as the receiver sees them, and a checksum that is right over these.</summary>
        private static string Read(ReadOnlySpan<byte> packet, string from, string to, ushort source, ushort destination)
        {
            Assert.True(IpHeader.TryParse(packet, out var header));
            Assert.Equal((from, to, source, destination), (header.Flow.Source.ToString(), header.Flow.Destination.ToString(), header.Flow.SourcePort, header.Flow.DestinationPort));
            var udp = packet[20..];
            Assert.Equal(0, Checksum(udp, from, to));
            return Encoding.ASCII.GetString(udp[8..]);
        }

        private static ushort Checksum(ReadOnlySpan<byte> udp, string from, string to)
        {
            byte[] pseudo = [.. IpAddress.Parse(from).ToOctets(), .. IpAddress.Parse(to).ToOctets(), 0, IpHeader.Udp, (byte)(udp.Length >> 8), (byte)udp.Length, .. udp];
            return Packets.SlowChecksum(pseudo);
        }
    }
}
