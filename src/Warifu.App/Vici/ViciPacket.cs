using System;
using System.Buffers.Binary;
using System.IO;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Warifu.App.Vici;

/// <summary>Kinds of packets.</summary>
internal enum ViciKind : byte
{
    Request = 0,
    Response = 1,
    UnknownCommand = 2,
    Register = 3,
    Unregister = 4,
    Confirm = 5,
    UnknownEvent = 6,
    Event = 7,
}

/// <summary>One packet: the kind, the name where the kind has one, and the message's octets.</summary>
internal readonly record struct ViciPacket(ViciKind Kind, string Name, ReadOnlyMemory<byte> Body)
{
    public static bool HasName(ViciKind kind) => kind is ViciKind.Request or ViciKind.Register or ViciKind.Unregister or ViciKind.Event;

    /// <summary>The frame: length, kind, name, message. Null when it would be larger than a packet may be.</summary>
    public static byte[]? Frame(ViciKind kind, string name, ViciMessage? message)
    {
        var body = message?.Encode() ?? [];
        var encoded = HasName(kind) ? Encoding.UTF8.GetBytes(name) : [];
        var length = 1 + (HasName(kind) ? 1 + encoded.Length : 0) + body.Length;
        if (length > ViciMessage.MaxLength) return null;
        var frame = new byte[4 + length];
        BinaryPrimitives.WriteInt32BigEndian(frame, length);
        frame[4] = (byte)kind;
        var at = 5;
        if (HasName(kind))
        {
            frame[at++] = (byte)encoded.Length;
            encoded.CopyTo(frame, at);
            at += encoded.Length;
        }

        body.CopyTo(frame, at);
        return frame;
    }

    /// <summary>Reads what is inside a frame. False when the name is cut off or not printable.</summary>
    public static bool TryParse(ReadOnlyMemory<byte> content, out ViciPacket packet)
    {
        packet = default;
        if (content.Length < 1) return false;
        var octets = content.Span;
        var kind = (ViciKind)octets[0];
        if (!HasName(kind))
        {
            packet = new ViciPacket(kind, "", content[1..]);
            return true;
        }

        if (octets.Length < 2 || octets.Length < 2 + octets[1]) return false;
        var name = octets.Slice(2, octets[1]);
        if (name.ContainsAnyExceptInRange((byte)0x20, (byte)0x7E)) return false;
        packet = new ViciPacket(kind, Encoding.ASCII.GetString(name), content[(2 + name.Length)..]);
        return true;
    }

    /// <summary>The content of the next frame; null at the end or when it claims too much.</summary>
    public static async Task<byte[]?> ReadAsync(Stream stream, CancellationToken cancellationToken)
    {
        var head = new byte[4];
        if (await stream.ReadAtLeastAsync(head, 4, throwOnEndOfStream: false, cancellationToken) < 4) return null;
        var length = BinaryPrimitives.ReadUInt32BigEndian(head);
        if (length is 0 or > ViciMessage.MaxLength) return null;
        var content = new byte[length];
        return await stream.ReadAtLeastAsync(content, content.Length, throwOnEndOfStream: false, cancellationToken) == content.Length ? content : null;
    }
}
