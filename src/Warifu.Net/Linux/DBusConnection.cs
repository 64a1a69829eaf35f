using System;
using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.IO;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Warifu.Net.Linux;

/// <summary>As much of a D-Bus client as a few method calls need: EXTERNAL authentication, Hello, call and answer.</summary>
internal sealed class DBusConnection : IDisposable
{
    private const int LongestMessage = 1 << 20;
    private const byte MethodCall = 1, MethodReturn = 2, Error = 3;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    private readonly NetworkStream _stream;
    private uint _serial;

    private DBusConnection(NetworkStream stream) => _stream = stream;

    /// <exception cref="SocketException">Nobody listens there.</exception>
    /// <exception cref="IOException">The bus does not want us.</exception>
    public static async Task<DBusConnection> OpenAsync(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        DBusConnection? connection = null;
        try
        {
            using var patience = new CancellationTokenSource(s_patience);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), patience.Token).ConfigureAwait(false);
            connection = new DBusConnection(new NetworkStream(socket, ownsSocket: true));
            await connection.AuthenticateAsync(patience.Token).ConfigureAwait(false);
            await connection.CallAsync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello").ConfigureAwait(false);
            return connection;
        }
        catch
        {
            connection?.Dispose();
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Calls a method and waits for its end.</summary>
    /// <exception cref="IOException">It failed; the message is the callee's.</exception>
    public async Task CallAsync(string destination, string path, string interfaceName, string member, string signature = "", DBusWriter? body = null)
    {
        using var patience = new CancellationTokenSource(s_patience);
        var serial = ++_serial;
        await _stream.WriteAsync(Encode(serial, destination, path, interfaceName, member, signature, body), patience.Token).ConfigureAwait(false);
        while (true)
        {
            var (type, answers, text) = await ReadAsync(patience.Token).ConfigureAwait(false);
            if (answers != serial) continue;
            if (type == MethodReturn) return;
            throw new IOException($"{member}: {text}");
        }
    }

    public void Dispose() => _stream.Dispose();

    internal static byte[] Encode(uint serial, string destination, string path, string interfaceName, string member, string signature, DBusWriter? body)
    {
        var head = new DBusWriter().Octet((byte)'l').Octet(MethodCall).Octet(0).Octet(1).UInt32((uint)(body?.Written.Length ?? 0)).UInt32(serial);
        var fields = head.BeginArray(8);
        head.Align(8).Octet(1).Signature("o").Text(path);
        head.Align(8).Octet(2).Signature("s").Text(interfaceName);
        head.Align(8).Octet(3).Signature("s").Text(member);
        head.Align(8).Octet(6).Signature("s").Text(destination);
        if (signature.Length > 0) head.Align(8).Octet(8).Signature("g").Signature(signature);
        head.EndArray(fields, 8).Align(8);
        return [.. head.Written, .. body is null ? [] : body.Written];
    }

    private async Task AuthenticateAsync(CancellationToken cancellation)
    {
        var user = Convert.ToHexStringLower(Encoding.ASCII.GetBytes(Libc.getuid().ToString(CultureInfo.InvariantCulture)));
        await _stream.WriteAsync(Encoding.ASCII.GetBytes($"\0AUTH EXTERNAL {user}\r\n"), cancellation).ConfigureAwait(false);
        var line = new byte[512];
        var length = 0;
        while (length < 2 || line[length - 1] != '\n')
        {
            if (length == line.Length) throw new IOException("the bus answers too much");
            await _stream.ReadExactlyAsync(line.AsMemory(length++, 1), cancellation).ConfigureAwait(false);
        }

        if (!line.AsSpan(0, length).StartsWith("OK "u8)) throw new IOException("the bus does not take us");
        await _stream.WriteAsync("BEGIN\r\n"u8.ToArray(), cancellation).ConfigureAwait(false);
    }

    /// <summary>Type, which call it answers, and the text of an error.</summary>
    private async Task<(byte Type, uint Answers, string Text)> ReadAsync(CancellationToken cancellation)
    {
        var head = new byte[16];
        await _stream.ReadExactlyAsync(head, cancellation).ConfigureAwait(false);
        var little = head[0] == 'l';
        uint U32(ReadOnlySpan<byte> at) => little ? BinaryPrimitives.ReadUInt32LittleEndian(at) : BinaryPrimitives.ReadUInt32BigEndian(at);
        var (bodyLength, fieldsLength) = (U32(head.AsSpan(4)), U32(head.AsSpan(12)));
        if (bodyLength > LongestMessage || fieldsLength > LongestMessage) throw new IOException("the bus sends too much");
        var rest = new byte[((fieldsLength + 7) & ~7u) + bodyLength];
        await _stream.ReadExactlyAsync(rest, cancellation).ConfigureAwait(false);
        var answers = 0u;
        // REPLY_SERIAL: a field (5, "u", number), aligned to 8
        for (var at = 0; at + 8 <= fieldsLength; at += 4)
        {
            if (at % 8 == 0 && rest[at] == 5 && rest[at + 1] == 1 && rest[at + 2] == 'u') answers = U32(rest.AsSpan(at + 4));
        }

        var body = rest.AsSpan((int)((fieldsLength + 7) & ~7u));
        var text = head[1] == Error && body.Length > 4 && U32(body) <= body.Length - 5 ? Encoding.UTF8.GetString(body.Slice(4, (int)U32(body))) : "no answer";
        return (head[1], answers, text);
    }
}

/// <summary>Values in D-Bus form, little-endian, each aligned to its own size.</summary>
internal sealed class DBusWriter
{
    private readonly ArrayBufferWriter<byte> _octets = new();

    public ReadOnlySpan<byte> Written => _octets.WrittenSpan;

    public DBusWriter Align(int size)
    {
        while (_octets.WrittenCount % size != 0) Octet(0);
        return this;
    }

    public DBusWriter Octet(byte value)
    {
        _octets.Write([value]);
        return this;
    }

    public DBusWriter UInt32(uint value)
    {
        Align(4);
        Span<byte> octets = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(octets, value);
        _octets.Write(octets);
        return this;
    }

    public DBusWriter Int32(int value) => UInt32((uint)value);

    public DBusWriter Bool(bool value) => UInt32(value ? 1u : 0);

    public DBusWriter Text(string value)
    {
        var octets = Encoding.UTF8.GetBytes(value);
        UInt32((uint)octets.Length);
        _octets.Write(octets);
        return Octet(0);
    }

    public DBusWriter Signature(string value)
    {
        Octet((byte)value.Length);
        _octets.Write(Encoding.ASCII.GetBytes(value));
        return Octet(0);
    }

    /// <summary>An array of octets.</summary>
    public DBusWriter Octets(ReadOnlySpan<byte> value)
    {
        UInt32((uint)value.Length);
        _octets.Write(value);
        return this;
    }

    /// <summary>Leaves room for the length; the elements follow at their alignment.</summary>
    public int BeginArray(int alignment)
    {
        UInt32(0);
        var at = _octets.WrittenCount - 4;
        Align(alignment);
        return at;
    }

    /// <summary>The length counts the elements, not the gap before them.</summary>
    public DBusWriter EndArray(int at, int alignment)
    {
        var first = (at + 4 + alignment - 1) / alignment * alignment;
        var length = (uint)(_octets.WrittenCount - first);
        // what is written already is patched where it stands
        BinaryPrimitives.WriteUInt32LittleEndian(MemoryMarshal.AsMemory(_octets.WrittenMemory).Span[at..], length);
        return this;
    }
}
