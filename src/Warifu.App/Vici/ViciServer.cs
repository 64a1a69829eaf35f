using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Threading;
using System.Threading.Channels;
using System.Threading.Tasks;
using Warifu.App.Configuration;
using Warifu.Crypto.Signatures;
using Warifu.Net.Linux;

namespace Warifu.App.Vici;

/// <summary>Serves one request.</summary>
internal delegate Task<ViciMessage> ViciHandler(ViciRequest request, CancellationToken cancellationToken);

/// <summary>A request at work: its message, and the way to stream events to the one who asked.</summary>
internal sealed class ViciRequest
{
    private readonly Func<string, ViciMessage, bool> _emit;
    private readonly Func<Task> _room;

    public ViciRequest(ViciMessage message, int length, ViciSession session, Func<string, ViciMessage, bool> emit, Func<Task> room) => (Message, Length, Session, _emit, _room) = (message, length, session, emit, room);

    public ViciMessage Message { get; }

    /// <summary>Octets of the message.</summary>
    public int Length { get; }

    /// <summary>What one client keeps from request to request.</summary>
    public ViciSession Session { get; }

    /// <summary>Sends an event to this client if it has registered for it. False: it has not, or it is gone.</summary>
    public bool Emit(string name, ViciMessage message) => _emit(name, message);

    /// <summary>Sends one of many events and waits while the client has much to read: a long listing goes at the pace of its reader.</summary>
    public Task StreamAsync(string name, ViciMessage message) => _emit(name, message) ? _room() : Task.CompletedTask;
}

/// <summary>Configuration between <c>warifu-begin</c> and <c>warifu-commit</c>.</summary>
internal sealed class StagedConfiguration(bool dryRun)
{
    /// <summary>Octets that a transaction may gather.</summary>
    private const long MaxLength = 64 << 20;

    private long _length;

    public bool DryRun => dryRun;

    /// <summary>A tree as a file gives it.</summary>
    public ConfigSection Root { get; } = new("", new SourcePosition("vici", 0, 0));

    public List<ConfiguredSecret> Secrets { get; } = [];

    public List<LoadedCertificate> Certificates { get; } = [];

    public List<(string Name, PrivateKey Key)> Keys { get; } = [];

    /// <summary>Certificates and keys, for the configuration that is made of this; the keys are its own from then on.</summary>
    /// <param name="keep">False: they are only looked at.</param>
    public Credentials TakeCredentials(bool keep)
    {
        var taken = new Credentials { Certificates = [.. Certificates.Distinct()], Keys = [.. Keys] };
        if (keep) Keys.Clear();
        return taken;
    }

    /// <summary>Counts what a client adds; false when it is too much.</summary>
    public bool TryGrow(int octets) => (_length += octets) <= MaxLength;

    /// <summary>Zeroes everything.</summary>
    public void Erase()
    {
        Root.Erase();
        foreach (var secret in Secrets) CryptographicOperations.ZeroMemory(secret.Value);
        foreach (var (_, key) in Keys) key.Dispose();
    }
}

/// <summary>What belongs to one connection.</summary>
internal sealed class ViciSession
{
    /// <summary>What a transaction has gathered; null outside of one.</summary>
    public StagedConfiguration? Staged { get; set; }
}

/// <summary>
/// The VICI socket. Requests of one connection are served one after the other, connections side by side. A client that does not read what it asked for is cut off: it can neither stall the daemon nor make it
/// grow. Whoever opens the socket commands the daemon: the file is for root only.
/// </summary>
internal sealed class ViciServer : IAsyncDisposable
{
    private const int Backlog = 128;
    private const int MaxConnections = 256;

    /// <summary>Octets that may wait for a client before it is cut off.</summary>
    private const int MaxQueued = 4 << 20;

    /// <summary>Octets that may wait before a listing stops for its reader.</summary>
    private const int StreamQueued = 1 << 20;

    private readonly Dictionary<string, ViciHandler> _handlers = new(StringComparer.Ordinal);
    private readonly HashSet<string> _events = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<Connection, bool> _connections = new();
    private readonly List<(Socket Socket, string Path)> _listeners = [];
    private readonly List<Task> _accepting = [];
    private readonly CancellationTokenSource _stop = new();

    public void Register(string command, ViciHandler handler) => _handlers[command] = handler;

    /// <summary>Events that clients may register for.</summary>
    public void Declare(params ReadOnlySpan<string> events)
    {
        foreach (var name in events) _events.Add(name);
    }

    /// <summary>Opens a socket. A file that nobody listens on is a leftover and is replaced.</summary>
    /// <exception cref="IOException">Somebody listens there, or the folder cannot be had.</exception>
    public void Listen(string path)
    {
        try
        {
            if (Path.GetDirectoryName(path) is { Length: > 0 } folder) Directory.CreateDirectory(folder);
        }
        catch (UnauthorizedAccessException exception)
        {
            throw new IOException($"{path}: {exception.Message}", exception);
        }

        if (File.Exists(path))
        {
            if (!FileKind.IsSocket(path)) throw new IOException($"{path}: there is a file of that name, and it is no socket; remove it, or choose another name with --socket");
            using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                probe.Connect(new UnixDomainSocketEndPoint(path));
                throw new IOException($"{path}: another daemon listens there; give this one its own socket with --socket");
            }
            catch (SocketException exception) when (exception.SocketErrorCode == SocketError.ConnectionRefused)
            {
                File.Delete(path);
            }
            catch (SocketException exception)
            {
                throw new IOException($"{path}: {exception.Message}", exception);
            }
        }

        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Bind(new UnixDomainSocketEndPoint(path));
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            socket.Listen(Backlog);
        }
        catch (Exception exception) when (exception is SocketException or ArgumentException)
        {
            socket.Dispose();
            throw new IOException($"{path}: {exception.Message}", exception);
        }

        _listeners.Add((socket, path));
        _accepting.Add(AcceptAsync(socket));
    }

    /// <summary>Sends an event to everybody who registered for it.</summary>
    public void Raise(string name, ViciMessage message)
    {
        byte[]? frame = null;
        foreach (var connection in _connections.Keys)
        {
            if (connection.IsRegistered(name)) connection.Queue(frame ??= ViciPacket.Frame(ViciKind.Event, name, message));
        }
    }

    /// <summary>True when somebody listens for this event: nothing is made for nobody.</summary>
    public bool IsWanted(string name)
    {
        foreach (var connection in _connections.Keys)
        {
            if (connection.IsRegistered(name)) return true;
        }

        return false;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        foreach (var (socket, path) in _listeners)
        {
            socket.Dispose();
            File.Delete(path);
        }

        await Task.WhenAll(_accepting);
        foreach (var connection in _connections.Keys) connection.Close();
        _stop.Dispose();
    }

    private async Task AcceptAsync(Socket listener)
    {
        while (!_stop.IsCancellationRequested)
        {
            Socket client;
            try
            {
                client = await listener.AcceptAsync(_stop.Token);
            }
            catch (Exception exception) when (exception is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                if (_stop.IsCancellationRequested) return;
                await Task.Delay(50);
                continue;
            }

            if (_connections.Count >= MaxConnections)
            {
                client.Dispose();
                continue;
            }

            var connection = new Connection(this, client);
            _connections[connection] = true;
            // never in the loop itself: a client with much to say would keep the others out
            _ = Task.Run(() => connection.RunAsync(_stop.Token));
        }
    }

    private sealed class Connection(ViciServer server, Socket socket) : IDisposable
    {
        private readonly ViciSession _session = new();
        private readonly NetworkStream _stream = new(socket, ownsSocket: true);
        private readonly Channel<byte[]> _out = Channel.CreateUnbounded<byte[]>(new UnboundedChannelOptions { SingleReader = true });
        private readonly ConcurrentDictionary<string, bool> _registered = new(StringComparer.Ordinal);
        private int _queued;
        private volatile TaskCompletionSource? _room;
        private volatile bool _gone;

        public bool IsRegistered(string name) => _registered.ContainsKey(name);

        public void Queue(byte[]? frame)
        {
            // too large for a packet: nobody could read it
            if (frame is null) return;
            if (Interlocked.Add(ref _queued, frame.Length) > MaxQueued || !_out.Writer.TryWrite(frame)) Close();
        }

        public void Dispose() => _stream.Dispose();

        public void Close()
        {
            _out.Writer.TryComplete();
            _stream.Dispose();
        }

        public async Task RunAsync(CancellationToken stop)
        {
            // a request that runs goes on when its client leaves: a tunnel that was asked for comes up
            var writing = WriteAsync();
            try
            {
                while (await ViciPacket.ReadAsync(_stream, stop) is { } content)
                {
                    if (ViciPacket.TryParse(content, out var packet)) await ServeAsync(packet, stop);
                    CryptographicOperations.ZeroMemory(content);
                }
            }
            catch (Exception exception) when (exception is IOException or ObjectDisposedException or OperationCanceledException or SocketException)
            {
                // the client is gone
            }
            finally
            {
                server._connections.TryRemove(this, out _);
                _out.Writer.TryComplete();
                _session.Staged?.Erase();
                await writing;
                await _stream.DisposeAsync();
            }
        }

        private async Task WriteAsync()
        {
            try
            {
                await foreach (var frame in _out.Reader.ReadAllAsync())
                {
                    await _stream.WriteAsync(frame);
                    if (Interlocked.Add(ref _queued, -frame.Length) <= StreamQueued) _room?.TrySetResult();
                }
            }
            catch (Exception exception) when (exception is IOException or ObjectDisposedException or SocketException)
            {
                _out.Writer.TryComplete();
            }
            finally
            {
                _gone = true;
                _room?.TrySetResult();
            }
        }

        /// <summary>Waits until the client has read most of what is queued, or is gone.</summary>
        private async Task RoomAsync()
        {
            while (!_gone && Volatile.Read(ref _queued) > StreamQueued)
            {
                var room = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                _room = room;
                if (!_gone && Volatile.Read(ref _queued) > StreamQueued) await room.Task;
            }
        }

        private async Task ServeAsync(ViciPacket packet, CancellationToken stop)
        {
            switch (packet.Kind)
            {
                case ViciKind.Register:
                    var known = server._events.Contains(packet.Name);
                    if (known) _registered[packet.Name] = true;
                    Queue(ViciPacket.Frame(known ? ViciKind.Confirm : ViciKind.UnknownEvent, "", null));
                    break;
                case ViciKind.Unregister:
                    Queue(ViciPacket.Frame(_registered.TryRemove(packet.Name, out _) ? ViciKind.Confirm : ViciKind.UnknownEvent, "", null));
                    break;
                case ViciKind.Request when server._handlers.TryGetValue(packet.Name, out var handler):
                    var answer = await AnswerAsync(handler, packet.Body, stop);
                    Queue(ViciPacket.Frame(ViciKind.Response, "", answer) ?? ViciPacket.Frame(ViciKind.Response, "", Failure("the answer is larger than a packet may be")));
                    break;
                case ViciKind.Request:
                    Queue(ViciPacket.Frame(ViciKind.UnknownCommand, "", null));
                    break;
            }
        }

        private async Task<ViciMessage> AnswerAsync(ViciHandler handler, ReadOnlyMemory<byte> body, CancellationToken stop)
        {
            if (!ViciMessage.TryDecode(body.Span, out var message)) return Failure("parsing request failed");
            try
            {
                return await handler(new ViciRequest(message, body.Length, _session, Emit, RoomAsync), stop);
            }
#pragma warning disable CA1031 // a bug in one command must not end the daemon
            catch (Exception exception) when (exception is not OperationCanceledException)
            {
                return Failure($"an error of our own: {exception.GetType().Name}: {exception.Message}");
            }
#pragma warning restore CA1031
            finally
            {
                message.Erase();
            }
        }

        private bool Emit(string name, ViciMessage message)
        {
            if (!IsRegistered(name)) return false;
            Queue(ViciPacket.Frame(ViciKind.Event, name, message));
            return true;
        }

        private static ViciMessage Failure(string text) => new ViciMessage().Add("success", "no").Add("errmsg", text);
    }
}
