using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Warifu.App.Vici;

namespace Warifu.App.Tests.Vici;

/// <summary>Writes octets to a VICI socket and reads packets: for what no decent client sends.</summary>
internal sealed class RawClient : IAsyncDisposable
{
    private readonly Socket _socket;
    private readonly NetworkStream _stream;

    private RawClient(Socket socket) => (_socket, _stream) = (socket, new NetworkStream(socket, ownsSocket: true));

    public static async Task<RawClient> ConnectAsync(string path)
    {
        for (var tries = 0; ; tries++)
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
                return new RawClient(socket);
            }
            catch (SocketException exception) when (exception.SocketErrorCode is SocketError.WouldBlock or SocketError.TryAgain && tries < 50)
            {
                socket.Dispose();
                await Task.Delay(20);
            }
        }
    }

    /// <summary>Leaves the file of a socket behind on which nobody listens.</summary>
    public static void Abandon(string path)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(path + ".tmp"));
        // disposing it would remove the file under its old name
        File.Move(path + ".tmp", path);
    }

    public async Task WriteAsync(byte[] octets) => await _stream.WriteAsync(octets);

    public Task SendAsync(ViciKind kind, string name, ViciMessage? message = null) => WriteAsync(ViciPacket.Frame(kind, name, message)!);

    /// <summary>Sends and reads until the answer has come.</summary>
    public async Task<IReadOnlyList<GoldenPacket>> ExchangeAsync(GoldenPacket sent)
    {
        await WriteAsync(sent.Frame);
        var received = new List<GoldenPacket>();
        while (true)
        {
            var packet = await ReadAsync() ?? throw new InvalidOperationException($"the daemon closed the connection at '{sent.Words}'");
            received.Add(packet);
            if (packet.Kind != ViciKind.Event) return received;
        }
    }

    /// <summary>The next packet; null when the daemon closed the connection.</summary>
    public async Task<GoldenPacket?> ReadAsync(int seconds = 15)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        try
        {
            var content = await ViciPacket.ReadAsync(_stream, patience.Token);
            if (content is null) return null;
            if (!ViciPacket.TryParse(content, out var packet) || !ViciMessage.TryDecode(packet.Body.Span, out var message)) throw new InvalidOperationException("not VICI");
            return new GoldenPacket(false, packet.Kind, packet.Name, message, content);
        }
        catch (Exception exception) when (exception is IOException or SocketException)
        {
            return null;
        }
    }

    /// <summary>True when the daemon has closed the connection (what it still sends is read and thrown away).</summary>
    public async Task<bool> IsClosedAsync(int seconds = 5)
    {
        var buffer = new byte[65536];
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        try
        {
            while (await _socket.ReceiveAsync(buffer, patience.Token) > 0)
            {
                // thrown away
            }

            return true;
        }
        catch (SocketException)
        {
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    public ValueTask DisposeAsync() => _stream.DisposeAsync();
}
