using System;
using System.Collections.Generic;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;
using Xunit;

namespace Warifu.Net.Tests;

/// <summary>Two nodes in one process, high UDP ports on loopback, packets in memory: what an embedding program does without root.</summary>
[Trait("Item", "1.17")]
public sealed class MemoryTunnelTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    [Fact]
    public async Task Packets_cross_the_tunnel_in_both_directions()
    {
        await using var pair = await NodePair.StartAsync("a secret of the two of us");
        await pair.Left.UpAsync("net", "lan").WaitAsync(Patience, TestContext.Current.CancellationToken);
        var packet = Packets.Udp("10.1.0.1", "10.2.0.1", 1000, 2000, "over there");
        Assert.True(pair.LeftPackets.Send(packet));
        Assert.Equal(packet, await pair.RightPackets.ReadAsync());
        var answer = Packets.Udp("10.2.0.1", "10.1.0.1", 2000, 1000, "and back");
        Assert.True(pair.RightPackets.Send(answer));
        Assert.Equal(answer, await pair.LeftPackets.ReadAsync());
    }

    [Fact]
    public async Task A_packet_outside_the_selectors_is_answered_by_ICMP_and_not_sent()
    {
        await using var pair = await NodePair.StartAsync("a secret of the two of us");
        await pair.Left.UpAsync("net", "lan").WaitAsync(Patience, TestContext.Current.CancellationToken);
        Assert.False(pair.LeftPackets.Send(Packets.Udp("10.1.0.1", "10.3.0.1", 1000, 2000, "elsewhere")));
        var icmp = await pair.LeftPackets.ReadAsync();
        Assert.Equal([3, 13], icmp[20..22]);
    }

    [Fact]
    [Trait("Item", "2.14")]
    public async Task Nobody_is_answered_before_the_policy_is_loaded()
    {
        using var secrets = new SecretStore();
        secrets.SetPsk("shared", "a secret of the two of us");
        IkeNodeOptions Options() => new() { Port = 0, PortNatT = 0, Packets = new MemoryPacketPort(), Secrets = secrets };
        await using var right = await IkeNode.StartAsync(PolicySet.Empty, Options(), TestContext.Current.CancellationToken);
        await using var left = await IkeNode.StartAsync(NodePair.Policy("left", "right", "10.1.0.0", "10.2.0.0", right), Options(), TestContext.Current.CancellationToken);
        var up = left.UpAsync("net", "lan", TestContext.Current.CancellationToken);
        // time for two refusals, which would end the attempt
        await Task.Delay(TimeSpan.FromSeconds(1.5), TestContext.Current.CancellationToken);
        Assert.False(up.IsCompleted);
        await right.LoadAsync(NodePair.Policy("right", "left", "10.2.0.0", "10.1.0.0", null), TestContext.Current.CancellationToken);
        await up.WaitAsync(Patience, TestContext.Current.CancellationToken);
    }

    [Fact]
    [Trait("Item", "2.14")]
    public async Task The_secret_of_cookies_is_changed_by_itself()
    {
        using var secrets = new SecretStore();
        await using var node = await IkeNode.StartAsync(NodePair.Policy("right", "left", "10.2.0.0", "10.1.0.0", null), new IkeNodeOptions { Port = 0, PortNatT = 0, Packets = new MemoryPacketPort(), Secrets = secrets, CookieThreshold = 0, CookieLife = TimeSpan.FromMilliseconds(100) }, TestContext.Current.CancellationToken);
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 3000 };
        socket.Connect(IPAddress.Loopback, node.Port);
        var message = new MessageBuilder().Sa([new OfferedProposal(1, 0, 0, ProposalKeywords.DefaultIke[0])]).Ke(KeId.Curve25519, new byte[32]).Nonce(new byte[32])
            .ToMessage(IkeHeader.V2(new IkeSpi(1), default, ExchangeType.IkeSaInit, fromInitiator: true, isResponse: false, 0));
        var versions = new HashSet<byte>();
        for (var i = 0; i < 60 && versions.Count < 3; i++)
        {
            socket.Send(message);
            var answer = new byte[2048];
            var length = socket.Receive(answer);
            // header, notify with 8 octets before its data, version
            if (length > 36) versions.Add(answer[36]);
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }

        Assert.True(versions.Count >= 3);
    }

    [Fact]
    public async Task A_wrong_secret_is_an_exception_that_says_why()
    {
        await using var pair = await NodePair.StartAsync("what left believes", "what right believes");
        var exception = await Assert.ThrowsAsync<IkeException>(() => pair.Left.UpAsync("net", "lan").WaitAsync(Patience, TestContext.Current.CancellationToken));
        Assert.Contains("AUTHENTICATION_FAILED", exception.Message, StringComparison.Ordinal);
        Assert.NotNull(exception.Report?.Failure);
    }

    [Fact]
    public async Task Events_tell_the_life_of_a_tunnel()
    {
        await using var pair = await NodePair.StartAsync("a secret of the two of us");
        var seen = new List<IkeEvent>();
        using var stop = new CancellationTokenSource(Patience);
        var reader = Task.Run(
            async () =>
            {
                await foreach (var happening in pair.Right.Events(stop.Token))
                {
                    seen.Add(happening);
                    if (happening is IkeSaDown) return;
                }
            },
            TestContext.Current.CancellationToken);
        await Task.Delay(50, TestContext.Current.CancellationToken);
        await pair.Left.UpAsync("net", "lan");
        await pair.Left.DownAsync("net");
        await reader;
        Assert.Contains(seen, happening => happening is IkeSaUp { Initiator: false });
        Assert.Contains(seen, happening => happening is ChildUp { Child: "lan" });
        Assert.Contains(seen, happening => happening is IkeSaDown { Reason: "peer-deleted" });
    }
}

/// <summary>Two nodes that know each other's ports.</summary>
internal sealed class NodePair : IAsyncDisposable
{
    private NodePair(IkeNode left, IkeNode right, MemoryPacketPort leftPackets, MemoryPacketPort rightPackets, SecretStore[] secrets) =>
        (Left, Right, LeftPackets, RightPackets, Secrets) = (left, right, leftPackets, rightPackets, secrets);

    public IkeNode Left { get; }

    public IkeNode Right { get; }

    public MemoryPacketPort LeftPackets { get; }

    public MemoryPacketPort RightPackets { get; }

    private SecretStore[] Secrets { get; }

    public static async Task<NodePair> StartAsync(string leftSecret, string? rightSecret = null)
    {
        var (leftPort, rightPort) = (new MemoryPacketPort(), new MemoryPacketPort());
        var secrets = new[] { new SecretStore(), new SecretStore() };
        secrets[0].SetPsk("shared", leftSecret);
        secrets[1].SetPsk("shared", rightSecret ?? leftSecret);
        var right = await IkeNode.StartAsync(Policy("right", "left", "10.2.0.0", "10.1.0.0", null), new IkeNodeOptions { Port = 0, PortNatT = 0, Packets = rightPort, Secrets = secrets[1] });
        var left = await IkeNode.StartAsync(Policy("left", "right", "10.1.0.0", "10.2.0.0", right), new IkeNodeOptions { Port = 0, PortNatT = 0, Packets = leftPort, Secrets = secrets[0] });
        return new NodePair(left, right, leftPort, rightPort, secrets);
    }

    public async ValueTask DisposeAsync()
    {
        await Left.DisposeAsync();
        await Right.DisposeAsync();
        foreach (var store in Secrets) store.Dispose();
    }

    internal static PolicySet Policy(string own, string other, string ownNet, string otherNet, IkeNode? peer) => new()
    {
        Connections =
        [
            new Connection
            {
                Name = "net",
                // the peer's IKE port is one that takes ESP too: without privilege ESP travels in UDP
                RemoteAddresses = [HostPattern.Of(IpAddress.Parse("127.0.0.1"))],
                RemotePort = (ushort)(peer?.PortNatT ?? 500),
                Proposals = ProposalKeywords.DefaultIke,
                Local = new LocalAuth { Id = Identity.Fqdn($"{own}.example") },
                Remote = new RemoteAuth { Id = IdentityPattern.Of(Identity.Fqdn($"{other}.example")) },
                Children =
                [
                    new Child
                    {
                        Name = "lan",
                        Proposals = ProposalKeywords.DefaultEsp,
                        LocalSelectors = [SelectorPattern.Of(new IpPrefix(IpAddress.Parse(ownNet), 16))],
                        RemoteSelectors = [SelectorPattern.Of(new IpPrefix(IpAddress.Parse(otherNet), 16))],
                    },
                ],
            },
        ],
    };
}

internal static class Packets
{
    public static byte[] Udp(string source, string destination, ushort sourcePort, ushort destinationPort, string text)
    {
        var payload = System.Text.Encoding.ASCII.GetBytes(text);
        var packet = new byte[28 + payload.Length];
        packet[0] = 0x45;
        packet[2] = (byte)(packet.Length >> 8);
        packet[3] = (byte)packet.Length;
        packet[8] = 64;
        packet[9] = 17;
        IpAddress.Parse(source).Write(packet.AsSpan(12));
        IpAddress.Parse(destination).Write(packet.AsSpan(16));
        var sum = 0;
        for (var i = 0; i < 20; i += 2) sum += (packet[i] << 8) | packet[i + 1];
        while (sum > 0xFFFF) sum = (sum & 0xFFFF) + (sum >> 16);
        packet[10] = (byte)(~sum >> 8);
        packet[11] = (byte)~sum;
        packet[20] = (byte)(sourcePort >> 8);
        packet[21] = (byte)sourcePort;
        packet[22] = (byte)(destinationPort >> 8);
        packet[23] = (byte)destinationPort;
        packet[25] = (byte)(8 + payload.Length);
        payload.CopyTo(packet, 28);
        return packet;
    }

    public static byte[] UdpV6(string source, string destination, ushort sourcePort, ushort destinationPort, string text)
    {
        var udp = Udp("0.0.0.0", "0.0.0.0", sourcePort, destinationPort, text)[20..];
        var packet = new byte[40 + udp.Length];
        packet[0] = 0x60;
        packet[5] = (byte)udp.Length;
        packet[6] = 17;
        packet[7] = 64;
        IpAddress.Parse(source).Write(packet.AsSpan(8));
        IpAddress.Parse(destination).Write(packet.AsSpan(24));
        udp.CopyTo(packet, 40);
        var sum = 17 + udp.Length;
        for (var i = 8; i < packet.Length; i += 2) sum += (packet[i] << 8) | (i + 1 < packet.Length ? packet[i + 1] : 0);
        while (sum > 0xFFFF) sum = (sum & 0xFFFF) + (sum >> 16);
        packet[46] = (byte)(~sum >> 8);
        packet[47] = (byte)~sum;
        return packet;
    }

    public static async Task<byte[]> ReadAsync(this MemoryPacketPort port)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(5));
        return await port.Received.ReadAsync(patience.Token);
    }
}
