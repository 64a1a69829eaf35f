using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Warifu.Net.Tests.Lab;
using Xunit;
using Site = Warifu.App.Tests.Lab.Site;

namespace Warifu.App.Tests.Interop;

/// <summary>
/// Clients behind NATs with real packets, ours to ours: transport mode with its checksums (R159), several clients behind NATs of their own and with the same address (R153), several behind one.
/// <code>
///   192.168.1.2 [client i] -- 192.168.1.1 [nat i] 203.0.i.2 -- 203.0.i.1 [router] -- 198.51.100.2 [right]
/// </code>
/// </summary>
[Trait("Area", "interop")]
[Trait("Item", "2.12")]
public sealed class ManyNatsTests
{
    private const int Clients = 3;

    /// <summary>Each side by its own address: what the other one sees of it is not in its file.</summary>
    private static readonly Site s_transport = new() { LeftTs = "dynamic", RightTs = "dynamic", LeftFromAnywhere = true, Child = "mode = transport" };

    [LabFact]
    public async Task Transport_mode_behind_a_NAT_carries_pings_datagrams_and_streams_whose_checksums_are_right()
    {
        await using var lab = await Topology.CreateAsync();
        await lab.MasqueradeLeftAsync();
        await using var right = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), s_transport.Right());
        await using var left = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "left"), s_transport.Left());
        Assert.True((await left.CliAsync("up", "site")).Ok, left.Log + right.Log);
        var child = Assert.Single(Assert.Single(await right.SasAsync()).Children);
        Assert.Equal(("TRANSPORT", true), (child.Body.Text("mode"), child.Encapsulated));
        // the selectors of each side hold addresses as that side sees them (RFC 7296 section 2.23.1)
        Assert.Contains("198.51.100.1/32", child.RemoteSelectors, StringComparison.Ordinal);
        Assert.Equal((5, 5), await Topology.PingAsync(lab.Left, "192.0.2.2", "198.51.100.2"));
        Assert.Equal((3, 3), await Topology.PingAsync(lab.Left, "192.0.2.2", "198.51.100.2", count: 3, size: 1201));
        await TalkAsync(lab.Left, lab.Right, "198.51.100.1");
        var after = Assert.Single(Assert.Single(await right.SasAsync()).Children);
        Assert.True(after.PacketsIn >= 20 && after.PacketsOut >= 20 && after.Drops == 0, $"in {after.PacketsIn}, out {after.PacketsOut}, dropped {after.Drops}\n{right.Log}");
        Assert.Equal(0, await ClearAsync(lab));
    }

    [LabFact]
    public async Task Three_clients_with_the_same_address_behind_three_NATs_are_served_at_once_in_transport_mode()
    {
        await using var lab = await Topology.CreateAsync();
        var clients = await HideAsync(lab);
        await using var right = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), Shared(s_transport));
        var gateways = await StartAsync(lab, clients, s_transport);
        try
        {
            var sas = await EstablishAsync(right, gateways);
            Assert.Equal(["203.0.1.2", "203.0.2.2", "203.0.3.2"], sas.Select(sa => sa.RemoteHost).Order());
            await Task.WhenAll(clients.Select((client, i) => TalkAsync(client, lab.Right, Outside(i))));
            var pings = await Task.WhenAll(clients.Select(client => Topology.PingAsync(client, "192.168.1.2", "198.51.100.2", count: 20)));
            Assert.All(pings, ping => Assert.Equal((20, 20), ping));
            foreach (var sa in await right.SasAsync())
            {
                var child = Assert.Single(sa.Children);
                Assert.True(child.PacketsIn >= 20 && child.PacketsOut >= 20 && child.Drops == 0, $"{sa.RemoteHost}: in {child.PacketsIn}, out {child.PacketsOut}, dropped {child.Drops}");
            }

            Assert.Equal(0, await ClearAsync(lab));
        }
        finally
        {
            foreach (var gateway in gateways) await gateway.DisposeAsync();
        }
    }

    [LabFact]
    public async Task Three_clients_with_the_same_address_behind_three_NATs_are_served_at_once_by_virtual_addresses()
    {
        await using var lab = await Topology.CreateAsync();
        var clients = await HideAsync(lab);
        var site = new Site { LeftTs = "dynamic", LeftFromAnywhere = true, LeftConnection = "vips = 0.0.0.0", RightConnection = "pools = p", RightSections = "pools { p { addrs = 10.3.0.0/24\n } }" };
        await using var right = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), Shared(site));
        var gateways = await StartAsync(lab, clients, site);
        try
        {
            var sas = await EstablishAsync(right, gateways);
            var inner = sas.ToDictionary(sa => sa.RemoteHost, sa => sa.Body.Items("remote-vips").Single());
            Assert.Equal(Clients, inner.Values.Distinct().Count());
            var pings = await Task.WhenAll(clients.SelectMany((client, i) => new[]
            {
                Topology.PingAsync(client, inner[Outside(i)], "10.10.2.1", count: 20),
                Topology.PingAsync(lab.Right, "10.10.2.1", inner[Outside(i)], count: 20),
            }));
            Assert.All(pings, ping => Assert.Equal((20, 20), ping));
            Assert.All(await right.SasAsync(), sa => Assert.True(Assert.Single(sa.Children) is { PacketsIn: >= 40, PacketsOut: >= 40, Drops: 0 }, sa.RemoteHost));
            Assert.Equal(0, await lab.SeenAsync("inner"));
        }
        finally
        {
            foreach (var gateway in gateways) await gateway.DisposeAsync();
        }
    }

    /// <summary>The server sees both as the same address: what it sends goes to the one whose flow it belongs to.</summary>
    [LabFact]
    public async Task Two_clients_behind_one_NAT_are_served_at_once_in_transport_mode()
    {
        await using var lab = await Topology.CreateAsync();
        var third = await lab.AddThirdAsync();
        await lab.NftAsync("add rule ip labnat leaving oifname tor masquerade");
        await using var right = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), Shared(s_transport));
        var gateways = await StartAsync(lab, [lab.Left, third], s_transport, ["192.0.2.2", "203.0.113.2"]);
        try
        {
            var sas = await EstablishAsync(right, gateways);
            Assert.All(sas, sa => Assert.Equal("198.51.100.1", sa.RemoteHost));
            await Task.WhenAll(new[] { lab.Left, third }.Select(client => TalkAsync(client, lab.Right, "198.51.100.1")));
            Assert.All(await right.SasAsync(), sa => Assert.True(Assert.Single(sa.Children) is { PacketsIn: >= 15, PacketsOut: >= 15, Drops: 0 }, sa.RemotePort.ToString(CultureInfo.InvariantCulture)));
            Assert.Equal(0, await ClearAsync(lab));
        }
        finally
        {
            foreach (var gateway in gateways) await gateway.DisposeAsync();
        }
    }

    private static string Outside(int client) => string.Create(CultureInfo.InvariantCulture, $"203.0.{client + 1}.2");

    /// <summary>What the router must not see: neither our probes in clear nor ESP without UDP.</summary>
    private static async Task<long> ClearAsync(Topology lab) => await lab.SeenAsync("inner") + await lab.SeenAsync("esp") + await lab.SeenAsync("clear");

    /// <summary>Right takes everybody with an identity of our domain.</summary>
    private static string Shared(Site site) => (site with { LeftId = "*.clients.example.org" }).Right().Replace("id-1 = right.example.org", "", StringComparison.Ordinal).Replace("id-2 = *.clients.example.org", "", StringComparison.Ordinal);

    private static async Task<IReadOnlyList<Gateway>> StartAsync(Topology lab, IReadOnlyList<string> clients, Site site, string[]? addresses = null) => await Task.WhenAll(clients.Select((client, i) =>
    {
        var own = site with { LeftId = string.Create(CultureInfo.InvariantCulture, $"c{i}.clients.example.org"), LeftLocal = addresses?[i] ?? "192.168.1.2" };
        return Gateway.StartAsync(client, Path.Combine(lab.Folder, own.LeftId), own.Left().Replace($"id-1 = {own.LeftId}", "", StringComparison.Ordinal));
    }));

    private static async Task<IReadOnlyList<IkeSaView>> EstablishAsync(Gateway right, IReadOnlyList<Gateway> gateways)
    {
        var ups = await Task.WhenAll(gateways.Select(gateway => gateway.CliAsync("up", "site")));
        for (var i = 0; i < ups.Length; i++) Assert.True(ups[i].Ok, $"{ups[i].All}\n{gateways[i].Log}\n{right.Log}");
        var sas = await right.SasAsync();
        Assert.Equal(gateways.Count, sas.Count);
        return sas;
    }

    /// <summary>Three clients, each behind a router of its own that masquerades it.</summary>
    private static async Task<IReadOnlyList<string>> HideAsync(Topology lab)
    {
        var clients = new List<string>();
        for (var i = 1; i <= Clients; i++)
        {
            var number = i.ToString(CultureInfo.InvariantCulture);
            var (nat, client) = (await lab.AddNamespaceAsync($"{lab.Router}-n{number}"), await lab.AddNamespaceAsync($"{lab.Left}-c{number}"));
            (await Tool.ShellAsync($$"""
                set -e
                ip link add name out netns {{nat}} type veth peer name to-n{{number}} netns {{lab.Router}}
                ip link add name wan netns {{client}} type veth peer name in netns {{nat}}
                ip -n {{nat}} link set dev out up; ip -n {{nat}} link set dev in up; ip -n {{client}} link set dev wan up; ip -n {{lab.Router}} link set dev to-n{{number}} up
                ip -n {{lab.Router}} addr add 203.0.{{number}}.1/24 dev to-n{{number}}
                ip -n {{nat}} addr add 203.0.{{number}}.2/24 dev out; ip -n {{nat}} addr add 192.168.1.1/24 dev in
                ip -n {{client}} addr add 192.168.1.2/24 dev wan
                ip -n {{client}} route add default via 192.168.1.1; ip -n {{nat}} route add default via 203.0.{{number}}.1
                ip netns exec {{nat}} nft 'add table ip hide; add chain ip hide leaving { type nat hook postrouting priority 100; }; add rule ip hide leaving oifname out masquerade'
                """)).OrThrow("nat");
            clients.Add(client);
        }

        return clients;
    }

    /// <summary>Datagrams that are echoed and a stream of 200,000 octets that comes back, to the server's address.</summary>
    private static async Task TalkAsync(string client, string server, string seenAs)
    {
        await using var echo = Echo.Start(server);
        await Task.Run(() =>
        {
            using var datagrams = new Namespace(client).Udp("0.0.0.0", 0);
            datagrams.Connect(new IPEndPoint(IPAddress.Parse("198.51.100.2"), echo.UdpPort));
            var buffer = new byte[2000];
            for (var i = 0; i < 10; i++)
            {
                // odd and even lengths: checksums are of both kinds
                var sent = Enumerable.Range(i, 101 + i).Select(one => (byte)one).ToArray();
                datagrams.Send(sent);
                Assert.Equal(sent, buffer[..datagrams.Receive(buffer)]);
            }
        });
        await StreamAsync(client, "198.51.100.2", echo.TcpPort);
        Assert.All(echo.Seen, seen => Assert.Equal(seenAs, seen));
        Assert.True(echo.Seen.Count >= 2);
    }

    /// <summary>A stream of 200,000 octets to an echo comes back as it was.</summary>
    internal static Task StreamAsync(string client, string server, int port, string? from = null) => Task.Run(() =>
    {
        using var stream = new Namespace(client).Run(() =>
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { SendTimeout = 8000, ReceiveTimeout = 8000 };
            if (from is not null) socket.Bind(new IPEndPoint(IPAddress.Parse(from), 0));
            socket.Connect(server, port);
            return socket;
        });
        var sent = Enumerable.Range(0, 200_000).Select(one => (byte)(one * 7)).ToArray();
        var sending = Task.Run(() =>
        {
            for (var at = 0; at < sent.Length;) at += stream.Send(sent.AsSpan(at, Math.Min(10_000, sent.Length - at)));
        });
        var received = new byte[sent.Length];
        for (var at = 0; at < received.Length;)
        {
            var count = stream.Receive(received.AsSpan(at));
            Assert.True(count > 0, "the stream ended");
            at += count;
        }

        Assert.Equal(sent, received);
        sending.Wait();
    });
}
