using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Warifu.App.Daemon;
using Warifu.Engine;
using Warifu.Net.Linux;
using Warifu.Primitives;

namespace Warifu.App.Cli.Demo;

/// <summary>One gateway of the demo, in its own network namespace: the daemon as it is, and the small programs that send traffic.</summary>
internal sealed class DemoGateway : IAsyncDisposable
{
    public const string Name = "gateway";

    private readonly string _side;
    private readonly string _folder;
    private WarifuDaemon? _daemon;

    private DemoGateway(string side, string folder) => (_side, _folder) = (side, folder);

    private bool IsLeft => _side == "left";

    private IPAddress Inner => IPAddress.Parse(IsLeft ? "10.1.0.1" : "10.2.0.1");

    private IPAddress OtherInner => IPAddress.Parse(IsLeft ? "10.2.0.1" : "10.1.0.1");

    public static async Task<int> RunAsync(string[] arguments, CancellationToken stop)
    {
        if (arguments is not [var side, var folder]) return 2;
        // an interrupt of the terminal is for the stage: it closes our input
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => context.Cancel = true);
        await using var gateway = new DemoGateway(side, folder);
        Console.WriteLine("born");
        while (await Console.In.ReadLineAsync(CancellationToken.None) is { } word)
        {
            try
            {
                foreach (var line in await gateway.ObeyAsync(word)) Console.WriteLine(line);
                Console.WriteLine(".");
            }
            catch (Exception exception) when (exception is IOException or SocketException or System.ComponentModel.Win32Exception or Net.IkeException)
            {
                Console.WriteLine("!" + exception.Message.ReplaceLineEndings(" "));
            }
        }

        return stop.IsCancellationRequested ? 1 : 0;
    }

    public async ValueTask DisposeAsync()
    {
        if (_daemon is not null) await _daemon.DisposeAsync();
    }

    private async Task<IReadOnlyCollection<string>> ObeyAsync(string word) => word switch
    {
        "wire" => await WireAsync(),
        "up" => await UpAsync(),
        "sas" => await SasAsync(),
        "serve" => Serve(),
        "send" => await SendAsync(),
        "ping" => await PingAsync(),
        _ => throw new IOException($"unknown word {word}"),
    };

    private async Task<string[]> WireAsync()
    {
        using (var netlink = new Rtnetlink())
        {
            foreach (var (device, address, length) in new[] { ("lo", Inner.ToString(), 32), ("wan", IsLeft ? "192.0.2.1" : "192.0.2.2", 24) })
            {
                var index = (int)Libc.if_nametoindex(device);
                netlink.SetLink(index, up: true, mtu: 0);
                netlink.AddAddress(index, IpAddress.Parse(address), length);
            }
        }

        var file = Path.Combine(_folder, _side + ".conf");
        await File.WriteAllTextAsync(file, Configuration());
        var problems = new List<string>();
        var built = WarifuDaemon.Load(file, (level, text) => { if (level > NoticeLevel.Info) problems.Add(text); }) ?? throw new IOException(string.Join("; ", problems));
        _daemon = await WarifuDaemon.StartAsync(built with { Daemon = built.Daemon with { StateDirectory = Path.Combine(_folder, _side + ".state") } }, [Path.Combine(_folder, _side + ".sock")], null, (_, _) => { });
        return [];
    }

    private string Configuration() => $$"""
        connections {
          net {
            version = 2
            local_addrs = {{(IsLeft ? "192.0.2.1" : "192.0.2.2")}}
            remote_addrs = {{(IsLeft ? "192.0.2.2" : "192.0.2.1")}}
            local {
              auth = psk
              id = {{_side}}.example.org
            }
            remote {
              auth = psk
              id = {{(IsLeft ? "right" : "left")}}.example.org
            }
            children {
              lan {
                local_ts = {{(IsLeft ? "10.1.0.0/16" : "10.2.0.0/16")}}
                remote_ts = {{(IsLeft ? "10.2.0.0/16" : "10.1.0.0/16")}}
              }
            }
          }
        }
        secrets {
          ike-net {
            secret = 0s8vTzKx4hQm1yN7cRb2Wd5g==
          }
        }
        """;

    private async Task<IReadOnlyCollection<string>> UpAsync()
    {
        await _daemon!.Node.UpAsync("net");
        // the report follows the completion
        for (var i = 0; i < 100 && _daemon.Events.Report("net") is null; i++) await Task.Delay(10);
        return _daemon.Events.Report("net") is { } report ? new Explanation(report).Lines().ToList() : [];
    }

    private async Task<IReadOnlyCollection<string>> SasAsync()
    {
        await using var client = await Vici.ViciClient.ConnectAsync(Path.Combine(_folder, _side + ".sock"));
        var (sas, _) = await client.StreamAsync("list-sas", "list-sa");
        return Listings.Text(sas).Split('\n');
    }

    /// <summary>Takes what comes and counts it.</summary>
    private string[] Serve()
    {
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(Inner, 5001));
        listener.Listen(1);
        _ = Task.Run(async () =>
        {
            using (listener)
            using (var client = await listener.AcceptAsync())
            {
                var buffer = new byte[1 << 18];
                long total = 0;
                while (await client.ReceiveAsync(buffer) is var length and > 0) total += length;
                await client.SendAsync(BitConverter.GetBytes(total));
            }
        });
        return [];
    }

    private async Task<string[]> SendAsync()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(Inner, 0));
        await socket.ConnectAsync(new IPEndPoint(OtherInner, 5001));
        var clock = Stopwatch.StartNew();
        var buffer = new byte[1 << 17];
        while (clock.Elapsed < TimeSpan.FromSeconds(2)) await socket.SendAsync(buffer);
        socket.Shutdown(SocketShutdown.Send);
        var answer = new byte[8];
        await socket.ReceiveAsync(answer);
        var octets = BitConverter.ToInt64(answer);
        return [$"TCP through the tunnel: {octets * 8 / clock.Elapsed.TotalSeconds / 1e6:0} Mbit/s ({octets >> 20} MiB in {clock.Elapsed.TotalSeconds:0.0} s, both gateways on this machine)"];
    }

    /// <summary>ICMP echo (RFC 792) from inside to inside.</summary>
    private async Task<IReadOnlyCollection<string>> PingAsync()
    {
        const int Count = 10;
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Raw, ProtocolType.Icmp);
        socket.Bind(new IPEndPoint(Inner, 0));
        var lines = new List<string> { $"ping {OtherInner} from {Inner}" };
        var (received, buffer) = (0, new byte[1500]);
        for (ushort number = 1; number <= Count; number++)
        {
            var request = Echo(number);
            var clock = Stopwatch.StartNew();
            await socket.SendToAsync(request, new IPEndPoint(OtherInner, 0));
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(1));
            try
            {
                while (true)
                {
                    var answer = await socket.ReceiveFromAsync(buffer, SocketFlags.None, new IPEndPoint(IPAddress.Any, 0), patience.Token);
                    // IP header first; then type 0 with our number
                    if (answer.ReceivedBytes < 28 || buffer[20] != 0 || buffer[27] != (byte)number) continue;
                    received++;
                    if (number is 1 or Count) lines.Add($"  {answer.ReceivedBytes - 20} octets from {OtherInner}: sequence {number}, {clock.Elapsed.TotalMilliseconds:0.00} ms");
                    break;
                }
            }
            catch (OperationCanceledException)
            {
                lines.Add($"  no answer to {number}");
            }
        }

        lines.Add($"{Count} sent, {received} received, {(Count - received) * 100 / Count}% packet loss");
        return lines;
    }

    private static byte[] Echo(ushort number)
    {
        var packet = new byte[64];
        packet[0] = 8;
        packet[6] = (byte)(number >> 8);
        packet[7] = (byte)number;
        Encoding.ASCII.GetBytes("each half proves the other").CopyTo(packet, 8);
        var sum = 0;
        for (var i = 0; i < packet.Length; i += 2) sum += (packet[i] << 8) | packet[i + 1];
        while (sum > 0xFFFF) sum = (sum & 0xFFFF) + (sum >> 16);
        packet[2] = (byte)(~sum >> 8);
        packet[3] = (byte)~sum;
        return packet;
    }
}
