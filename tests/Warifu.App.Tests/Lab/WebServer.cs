using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Warifu.Net.Tests.Lab;

namespace Warifu.App.Tests.Lab;

/// <summary>A web server in a namespace, port 80, which answers each path by a function of the request's body; every request is remembered.</summary>
internal sealed class WebServer : IDisposable
{
    private readonly TcpListener _listener;
    private readonly IReadOnlyDictionary<string, Func<byte[], byte[]>> _pages;
    private readonly ConcurrentQueue<(string Path, string From)> _asked = new();

    private WebServer(TcpListener listener, IReadOnlyDictionary<string, Func<byte[], byte[]>> pages) => (_listener, _pages) = (listener, pages);

    /// <summary>Paths, and who asked for them.</summary>
    public IReadOnlyCollection<(string Path, string From)> Asked => [.. _asked];

    public static WebServer Start(string ns, IReadOnlyDictionary<string, Func<byte[], byte[]>> pages)
    {
        var listener = new Namespace(ns).Run(() =>
        {
            var opened = new TcpListener(IPAddress.Any, 80);
            opened.Start();
            return opened;
        });
        var server = new WebServer(listener, pages);
        _ = server.AcceptAsync();
        return server;
    }

    public void Dispose() => _listener.Dispose();

    private async Task AcceptAsync()
    {
        try
        {
            while (true) _ = ServeAsync(await _listener.AcceptTcpClientAsync());
        }
        catch (Exception exception) when (exception is ObjectDisposedException or SocketException)
        {
            // the end
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        using (client)
        {
            try
            {
                var stream = client.GetStream();
                var length = 0;
                var path = (await LineAsync(stream, limit.Token)).Split(' ') is [_, var asked, ..] ? asked : "";
                while (await LineAsync(stream, limit.Token) is { Length: > 0 } line)
                {
                    if (line.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase)) length = int.Parse(line.AsSpan(15), NumberStyles.AllowLeadingWhite, CultureInfo.InvariantCulture);
                    if (line.StartsWith("Expect:", StringComparison.OrdinalIgnoreCase)) await stream.WriteAsync("HTTP/1.1 100 Continue\r\n\r\n"u8.ToArray(), limit.Token);
                }

                var body = new byte[length];
                await stream.ReadExactlyAsync(body, limit.Token);
                _asked.Enqueue((path, ((IPEndPoint)client.Client.RemoteEndPoint!).Address.ToString()));
                var page = _pages.TryGetValue(path, out var make) ? make(body) : null;
                var head = page is null ? "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" : string.Create(CultureInfo.InvariantCulture, $"HTTP/1.1 200 OK\r\nContent-Length: {page.Length}\r\nConnection: close\r\n\r\n");
                await stream.WriteAsync(Encoding.ASCII.GetBytes(head), limit.Token);
                if (page is not null) await stream.WriteAsync(page, limit.Token);
            }
            catch (Exception exception) when (exception is IOException or OperationCanceledException)
            {
                // a client that goes away is not our subject
            }
        }
    }

    private static async Task<string> LineAsync(NetworkStream stream, CancellationToken stop)
    {
        var line = new StringBuilder();
        var octet = new byte[1];
        while (line.Length < 8192)
        {
            await stream.ReadExactlyAsync(octet, stop);
            if (octet[0] == '\n') break;
            if (octet[0] != '\r') line.Append((char)octet[0]);
        }

        return line.ToString();
    }
}
