using System;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;
using Warifu.App.Daemon;
using Warifu.Engine;
using Warifu.Net;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.App.Cli.Demo;

/// <summary>The demo without any privilege: two nodes of the library, UDP on loopback, inner packets in memory.</summary>
internal static class DemoInMemory
{
    public static async Task<int> RunAsync(CancellationToken stop)
    {
        var clock = Stopwatch.StartNew();
        using var secrets = new SecretStore();
        secrets.SetPsk("shared", Convert.FromBase64String("8vTzKx4hQm1yN7cRb2Wd5g=="));
        var (leftPort, rightPort) = (new MemoryPacketPort(), new MemoryPacketPort());
        await using var right = await IkeNode.StartAsync(Policy("right", "left", "10.2.0.0", "10.1.0.0", 500), new IkeNodeOptions { Port = 0, PortNatT = 0, Packets = rightPort, Secrets = secrets }, stop);
        await using var left = await IkeNode.StartAsync(Policy("left", "right", "10.1.0.0", "10.2.0.0", (ushort)right.PortNatT), new IkeNodeOptions { Port = 0, PortNatT = 0, Packets = leftPort, Secrets = secrets }, stop);
        var events = left.Listen();
        try
        {
            await left.UpAsync("net", cancellationToken: stop);
        }
        catch (IkeException exception)
        {
            Console.WriteLine(exception.Message);
            return 1;
        }

        await foreach (var happening in events.Reader.ReadAllAsync(stop))
        {
            if (happening is not NegotiationEnded { Report: var report }) continue;
            foreach (var line in new Explanation(report).Lines()) Console.WriteLine("  " + line);
            break;
        }

        // right answers what comes with the addresses turned round
        _ = Task.Run(
            async () =>
            {
                await foreach (var packet in rightPort.ReceiveAllAsync(stop))
                {
                    packet.AsSpan(12, 8).ToArray().AsSpan(0, 4).CopyTo(packet.AsSpan(16));
                    IpAddress.Parse("10.2.0.1").Write(packet.AsSpan(12));
                    rightPort.Send(packet);
                }
            },
            stop);
        var (sent, received) = (0, 0);
        for (; sent < 10; sent++)
        {
            leftPort.Send(Packet(sent));
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(stop);
            patience.CancelAfter(TimeSpan.FromSeconds(1));
            try
            {
                await leftPort.Received.ReadAsync(patience.Token);
                received++;
            }
            catch (OperationCanceledException) when (!stop.IsCancellationRequested)
            {
                // lost
            }
        }

        var (packets, began) = (0, clock.Elapsed);
        for (; clock.Elapsed - began < TimeSpan.FromSeconds(1); packets++)
        {
            leftPort.Send(Packet(packets));
            if (packets % 64 == 63) await leftPort.Received.ReadAsync(stop);
        }

        Console.WriteLine($"  {packets * 1400L * 8 / 1e6:0} Mbit/s of 1400-octet packets sealed and sent");
        Console.WriteLine($"(all of it took {clock.Elapsed.TotalSeconds:0.0} s)");
        Console.WriteLine($"  {sent} sent, {received} received, {(sent - received) * 100 / sent}% packet loss");
        return received == sent ? 0 : 1;
    }

    private static PolicySet Policy(string own, string other, string ownNet, string otherNet, ushort port) => new()
    {
        Connections =
        [
            new Connection
            {
                Name = "net",
                ForceEncapsulation = true,
                RemoteAddresses = [HostPattern.Of(IpAddress.Parse("127.0.0.1"))],
                RemotePort = port,
                Proposals = ProposalKeywords.DefaultIke,
                Local = new LocalAuth { Id = Identity.Fqdn($"{own}.example.org") },
                Remote = new RemoteAuth { Id = IdentityPattern.Of(Identity.Fqdn($"{other}.example.org")) },
                Children =
                [
                    new Child { Name = "lan", Proposals = ProposalKeywords.DefaultEsp, LocalSelectors = [SelectorPattern.Of(new IpPrefix(IpAddress.Parse(ownNet), 16))], RemoteSelectors = [SelectorPattern.Of(new IpPrefix(IpAddress.Parse(otherNet), 16))] },
                ],
            },
        ],
    };

    private static byte[] Packet(int number)
    {
        var packet = new byte[1400];
        packet[0] = 0x45;
        packet[2] = 1400 >> 8;
        packet[3] = 1400 & 0xFF;
        packet[4] = (byte)(number >> 8);
        packet[5] = (byte)number;
        packet[8] = 64;
        packet[9] = 253;
        IpAddress.Parse("10.1.0.1").Write(packet.AsSpan(12));
        IpAddress.Parse("10.2.0.1").Write(packet.AsSpan(16));
        return packet;
    }
}
