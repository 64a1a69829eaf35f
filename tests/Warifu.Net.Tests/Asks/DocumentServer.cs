using System;
using System.Collections.Concurrent;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Warifu.Net.Tests.Asks;

/// <summary>A web server that says what a test wants.</summary>
internal sealed class DocumentServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _end = new();
    private readonly Task _running;
    private int _atOnce;

    public DocumentServer()
    {
        _listener.Start();
        _running = Task.Run(RunAsync);
    }

    public ConcurrentQueue<string> Requests { get; } = new();

    public Func<string, byte[]?> Answer { get; set; } = _ => null;

    public int MostAtOnce { get; private set; }

    public static byte[] Ok(byte[] body) => [.. Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Length: {body.Length}\r\nConnection: close\r\n\r\n"), .. body];

    public static byte[] Ok(string body) => Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Length: {body.Length}\r\nConnection: close\r\n\r\n{body}");

    public string Uri(string path) => $"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}{path}";

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        _listener.Stop();
        await _running;
    }

    private async Task RunAsync()
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptTcpClientAsync(_end.Token);
                _ = Task.Run(() => ServeAsync(client));
            }
        }
        catch (Exception failure) when (failure is OperationCanceledException or SocketException or InvalidOperationException)
        {
            // the end of the test
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using var _ = client;
        lock (Requests) MostAtOnce = Math.Max(MostAtOnce, ++_atOnce);
        try
        {
            var stream = client.GetStream();
            var request = new StringBuilder();
            var buffer = new byte[4096];
            while (!IsComplete(request.ToString()))
            {
                var count = await stream.ReadAsync(buffer, _end.Token);
                if (count == 0) return;
                request.Append(Encoding.ASCII.GetString(buffer, 0, count));
            }

            Requests.Enqueue(request.ToString());
            var answer = Answer(request.ToString());
            if (answer is null) await Task.Delay(Timeout.Infinite, _end.Token);
            await stream.WriteAsync(answer, _end.Token);
        }
        catch (Exception failure) when (failure is OperationCanceledException or IOException or SocketException)
        {
            // the client has had enough
        }
        finally
        {
            lock (Requests) _atOnce--;
        }
    }

    private static bool IsComplete(string request)
    {
        var head = request.IndexOf("\r\n\r\n", StringComparison.Ordinal);
        if (head < 0) return false;
        var length = request.Split("\r\n").FirstOrDefault(line => line.StartsWith("Content-Length: ", StringComparison.Ordinal));
        return request.Length >= head + 4 + (length is null ? 0 : int.Parse(length[16..], System.Globalization.CultureInfo.InvariantCulture));
    }
}
