using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.Crypto.Signatures;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Tests.Pki;
using Xunit;

namespace Warifu.Net.Tests;

/// <summary>Two hundred clients through sockets against one connection section, each with a virtual address that outlives the gateway (R100, R146).</summary>
[Trait("Item", "2.19")]
public sealed class ManyClientsTests
{
    private const int Count = 200;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Two_hundred_identities_connect_through_sockets_and_a_packet_of_each_arrives(bool withCertificates)
    {
        var folder = Directory.CreateTempSubdirectory("warifu-leases-").FullName;
        using var secrets = new SecretStore();
        var proofs = withCertificates ? Proofs.Make(secrets) : null;
        if (!withCertificates) secrets.SetPsk("shared", "a secret of all of us");
        var (clientPackets, gatewayPackets) = (new MemoryPacketPort(), new MemoryPacketPort());
        var gateway = await StartGatewayAsync(gatewayPackets, secrets, folder, 0, proofs);
        var port = gateway.PortNatT;
        await using var client = await IkeNode.StartAsync(Clients(number => Client(number, port)), new IkeNodeOptions { Port = 0, PortNatT = 0, Packets = clientPackets, Secrets = secrets });
        await UpAllAsync(client);
        var addresses = await AddressesAsync(client);
        Assert.Equal(Count, addresses.Values.Distinct().Count());
        foreach (var address in addresses.Values)
        {
            var packet = Packets.Udp(address, "10.2.0.1", 1000, 2000, address);
            Assert.True(clientPackets.Send(packet));
            Assert.Equal(packet, await gatewayPackets.ReadAsync());
            var answer = Packets.Udp("10.2.0.1", address, 2000, 1000, "to " + address);
            Assert.True(gatewayPackets.Send(answer));
            Assert.Equal(answer, await clientPackets.ReadAsync());
        }

        Assert.Equal((Count, 0), (gateway.Pools().Single().Online, gateway.Pools().Single().Offline));
        // a gateway that is started again knows whose each address was
        await gateway.DisposeAsync();
        Assert.Equal(Count, File.ReadAllLines(Path.Combine(folder, "leases")).Length);
        await using var next = await StartGatewayAsync(new MemoryPacketPort(), secrets, folder, (ushort)port, proofs);
        Assert.Equal((0, Count), (next.Pools().Single().Online, next.Pools().Single().Offline));
        // in another order; each asks for what it had
        await client.LoadAsync(PolicySet.Of());
        await client.LoadAsync(Clients(number => Client(Count - 1 - number, port) with { VirtualIps = [IpAddress.AnyV4] }));
        await UpAllAsync(client);
        Assert.Equal(addresses.OrderBy(pair => pair.Key), (await AddressesAsync(client)).OrderBy(pair => pair.Key));
        Directory.Delete(folder, true);

        PolicySet Clients(Func<int, Connection> make) => (proofs?.Trust ?? PolicySet.Empty) with { Connections = [.. Enumerable.Range(0, Count).Select(make).Select(connection => proofs?.Of(connection) ?? connection)] };
    }

    private static async Task UpAllAsync(IkeNode client)
    {
        foreach (var some in Enumerable.Range(0, Count).Chunk(10)) await Task.WhenAll(some.Select(number => client.UpAsync(NameOf(number), "net"))).WaitAsync(s_patience);
    }

    private static async Task<Dictionary<string, string>> AddressesAsync(IkeNode client) =>
        (await client.SnapshotAsync()).IkeSas.ToDictionary(sa => sa.Connection, sa => Assert.Single(sa.LocalVips).ToString());

    private static Task<IkeNode> StartGatewayAsync(MemoryPacketPort packets, SecretStore secrets, string folder, ushort port, Proofs? proofs)
    {
        Assert.True(PoolText.TryParseAddresses("10.64.0.0/16", out var range, out _));
        var connection = new Connection
        {
            Name = "clients",
            Local = new LocalAuth { Id = Identity.Fqdn("gateway.example.org") },
            Remote = new RemoteAuth { Id = IdentityPattern.Parse("*.clients.example.org") },
            Pools = ["p"],
            Children = [new Child { Name = "net", LocalSelectors = [SelectorPattern.Parse("10.2.0.0/16")] }],
        };
        return IkeNode.StartAsync(
            (proofs?.Trust ?? PolicySet.Empty) with { Connections = [proofs?.Of(connection) ?? connection], Pools = [new Pool { Name = "p", Addresses = [range] }] },
            new IkeNodeOptions { Port = 0, PortNatT = port, Packets = packets, Secrets = secrets, StateDirectory = folder, CookieThreshold = 1000, HalfOpenPerPrefix = 1000 });
    }

    private static string NameOf(int number) => string.Create(CultureInfo.InvariantCulture, $"c{number}");

    private static Connection Client(int number, int port) => new()
    {
        Name = NameOf(number),
        RemoteAddresses = [HostPattern.Of(IpAddress.Parse("127.0.0.1"))],
        RemotePort = (ushort)port,
        Local = new LocalAuth { Id = Identity.Fqdn(NameOf(number) + ".clients.example.org") },
        Remote = new RemoteAuth { Id = IdentityPattern.Of(Identity.Fqdn("gateway.example.org")) },
        VirtualIps = [IpAddress.AnyV4],
        Children = [new Child { Name = "net", RemoteSelectors = [SelectorPattern.Parse("10.2.0.0/16")] }],
    };

    /// <summary>A certificate and a key for each, of one authority.</summary>
    private sealed class Proofs
    {
        private readonly Dictionary<Identity, byte[]> _certificates = [];

        private Proofs(Entity root) => Trust = PolicySet.Empty with { Trust = new TrustMaterial { Authorities = [new Authority { Name = "root", Certificate = [.. root.Der] }] } };

        public PolicySet Trust { get; }

        public static Proofs Make(SecretStore secrets)
        {
            static void Now(CertificateSpec spec) => (spec.From, spec.To) = (DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddDays(1));
            var root = Issuing.Root("CN=Root of all", Now);
            var proofs = new Proofs(root);
            foreach (var name in Enumerable.Range(0, Count).Select(number => NameOf(number) + ".clients.example.org").Append("gateway.example.org"))
            {
                var own = root.Issue($"CN={name}", spec =>
                {
                    Now(spec);
                    spec.Dns(name);
                });
                secrets.AddKey(name, PrivateKey.Parse(own.Key.Pkcs8()));
                proofs._certificates.Add(Identity.Fqdn(name), own.Der);
            }

            return proofs;
        }

        public Connection Of(Connection connection) => connection with
        {
            Local = connection.Local with { Kind = AuthKind.PublicKey, Certificates = [[.. _certificates[connection.Local.Id!]]] },
            Remote = connection.Remote with { Kind = AuthKind.PublicKey },
        };
    }
}
