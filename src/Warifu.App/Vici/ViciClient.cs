using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;

namespace Warifu.App.Vici;

/// <summary>A client of the VICI socket, for one command at a time.</summary>
internal sealed class ViciClient : IAsyncDisposable
{
    private readonly NetworkStream _stream;

    private ViciClient(NetworkStream stream) => _stream = stream;

    /// <exception cref="IOException">No daemon listens there.</exception>
    public static async Task<ViciClient> ConnectAsync(string path, CancellationToken cancellationToken = default)
    {
        for (var tries = 0; ; tries++)
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken);
                return new ViciClient(new NetworkStream(socket, ownsSocket: true));
            }
            catch (SocketException exception) when (exception.SocketErrorCode is SocketError.WouldBlock or SocketError.TryAgain && tries < 50)
            {
                // many clients at once: the queue of the socket is full for a moment
                socket.Dispose();
                await Task.Delay(20, cancellationToken);
            }
            catch (Exception exception) when (exception is SocketException or ArgumentException)
            {
                socket.Dispose();
                throw new IOException($"no daemon answers at {path}: {Reason(path, exception)}", exception);
            }
        }
    }

    private static string Reason(string path, Exception exception) => exception is not SocketException failed ? exception.Message : !File.Exists(path) ? "there is no such socket; start a daemon with 'warifu run', or name its socket with --socket" : failed.SocketErrorCode switch
    {
        SocketError.ConnectionRefused => "the socket is there, nobody listens on it: the daemon has ended; start it with 'warifu run'",
        SocketError.AccessDenied => "permission denied: whoever commands the daemon must be root",
        SocketError.AddressNotAvailable or SocketError.InvalidArgument => "that is no socket; name the daemon's socket with --socket",
        _ => failed.Message,
    };

    /// <summary>Sends a command and returns its answer; events that come in between go to <paramref name="onEvent"/>.</summary>
    /// <exception cref="IOException">The daemon is gone, or does not know the command.</exception>
    public async Task<ViciMessage> RequestAsync(string command, ViciMessage? message = null, Action<string, ViciMessage>? onEvent = null, CancellationToken cancellationToken = default)
    {
        await SendAsync(ViciKind.Request, command, message, cancellationToken);
        while (true)
        {
            var (kind, name, body) = await ReceiveAsync(cancellationToken);
            if (kind == ViciKind.Event) onEvent?.Invoke(name, body);
            else if (kind == ViciKind.Response) return body;
            else if (kind == ViciKind.UnknownCommand) throw new IOException($"the daemon does not know the command '{command}'");
        }
    }

    /// <summary>Runs a command that streams; the answer follows the last event.</summary>
    public async Task<(List<ViciMessage> Streamed, ViciMessage Answer)> StreamAsync(string command, string eventName, ViciMessage? message = null, CancellationToken cancellationToken = default)
    {
        await RegisterAsync(eventName, cancellationToken);
        var streamed = new List<ViciMessage>();
        var answer = await RequestAsync(command, message, (name, body) => { if (name == eventName) streamed.Add(body); }, cancellationToken);
        return (streamed, answer);
    }

    /// <summary>Registers for an event.</summary>
    /// <exception cref="IOException">The daemon has no such event.</exception>
    public async Task RegisterAsync(string eventName, CancellationToken cancellationToken = default)
    {
        await SendAsync(ViciKind.Register, eventName, null, cancellationToken);
        while (true)
        {
            var (kind, _, _) = await ReceiveAsync(cancellationToken);
            if (kind == ViciKind.Confirm) return;
            if (kind == ViciKind.UnknownEvent) throw new IOException($"the daemon has no event '{eventName}'");
        }
    }

    /// <summary>Events for which this client has registered, until the daemon ends.</summary>
    public async IAsyncEnumerable<(string Name, ViciMessage Message)> EventsAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        while (true)
        {
            ViciKind kind;
            string name;
            ViciMessage body;
            try
            {
                (kind, name, body) = await ReceiveAsync(cancellationToken);
            }
            catch (IOException)
            {
                yield break;
            }

            if (kind == ViciKind.Event) yield return (name, body);
        }
    }

    public ValueTask DisposeAsync() => _stream.DisposeAsync();

    private async Task SendAsync(ViciKind kind, string name, ViciMessage? message, CancellationToken cancellationToken) =>
        await _stream.WriteAsync(ViciPacket.Frame(kind, name, message) ?? throw new IOException($"the request '{name}' is larger than a packet may be (512 KiB)"), cancellationToken);

    private async Task<(ViciKind Kind, string Name, ViciMessage Body)> ReceiveAsync(CancellationToken cancellationToken)
    {
        var content = await ViciPacket.ReadAsync(_stream, cancellationToken) ?? throw new IOException("the daemon closed the connection");
        if (!ViciPacket.TryParse(content, out var packet) || !ViciMessage.TryDecode(packet.Body.Span, out var message)) throw new IOException("the daemon sent something that is no VICI");
        return (packet.Kind, packet.Name, message);
    }
}
