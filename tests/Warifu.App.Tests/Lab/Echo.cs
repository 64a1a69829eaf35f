using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Net;
using System.Net.Sockets;
using System.Threading.Tasks;
using Warifu.Net.Tests.Lab;

namespace Warifu.App.Tests.Lab;

/// <summary>Sends back what it gets, by UDP and TCP, in a namespace, and remembers from which addresses.</summary>
internal sealed class Echo : IAsyncDisposable
{
    private readonly Socket _udp;
    private readonly TcpListener _tcp;
    private readonly Task _running;
    private readonly ConcurrentQueue<string> _seen = new();

    private Echo(Socket udp, TcpListener tcp)
    {
        (_udp, _tcp) = (udp, tcp);
        _running = Task.WhenAll(DatagramsAsync(), StreamsAsync());
    }

    public int UdpPort => ((IPEndPoint)_udp.LocalEndPoint!).Port;

    public int TcpPort => ((IPEndPoint)_tcp.LocalEndpoint).Port;

    public IReadOnlyCollection<string> Seen => [.. _seen];

    public static Echo Start(string ns) => new Namespace(ns).Run(() =>
    {
        var udp = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        udp.Bind(new IPEndPoint(IPAddress.Any, 0));
        var tcp = new TcpListener(IPAddress.Any, 0);
        tcp.Start();
        return new Echo(udp, tcp);
    });

    public async ValueTask DisposeAsync()
    {
        _udp.Dispose();
        _tcp.Dispose();
        await _running;
    }

    private async Task DatagramsAsync()
    {
        var buffer = new byte[65536];
        try
        {
            while (true)
            {
                var received = await _udp.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0));
                Remember(received.RemoteEndPoint);
                await _udp.SendToAsync(buffer.AsMemory(0, received.ReceivedBytes), received.RemoteEndPoint);
            }
        }
        catch (Exception exception) when (exception is ObjectDisposedException or SocketException)
        {
            // the end
        }
    }

    private async Task StreamsAsync()
    {
        try
        {
            while (true)
            {
                using var client = await _tcp.AcceptTcpClientAsync();
                Remember(client.Client.RemoteEndPoint!);
                var stream = client.GetStream();
                await stream.CopyToAsync(stream);
            }
        }
        catch (Exception exception) when (exception is ObjectDisposedException or InvalidOperationException or SocketException or System.IO.IOException)
        {
            // the end
        }
    }

    private void Remember(EndPoint from) => _seen.Enqueue(((IPEndPoint)from).Address.ToString());
}
