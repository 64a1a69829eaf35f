using System;
using System.Runtime.InteropServices;

namespace Warifu.Net.Linux;

/// <summary>Walks the messages of one datagram from the kernel. What is cut off or too short ends the walk; nothing throws.</summary>
internal ref struct NetlinkReader(ReadOnlySpan<byte> datagram)
{
    public const int HeaderLength = 16;
    public const ushort Error = 2, Done = 3;

    private ReadOnlySpan<byte> _rest = datagram;

    public ushort Type { get; private set; }

    public uint Sequence { get; private set; }

    /// <summary>Port of the socket that caused it; 0 = the kernel itself.</summary>
    public uint Port { get; private set; }

    /// <summary>What follows the header.</summary>
    public ReadOnlySpan<byte> Body { get; private set; }

    public bool TryNext()
    {
        if (_rest.Length < HeaderLength) return false;
        var length = MemoryMarshal.Read<uint>(_rest);
        if (length < HeaderLength || length > (uint)_rest.Length) return false;
        Type = MemoryMarshal.Read<ushort>(_rest[4..]);
        Sequence = MemoryMarshal.Read<uint>(_rest[8..]);
        Port = MemoryMarshal.Read<uint>(_rest[12..]);
        Body = _rest[HeaderLength..(int)length];
        _rest = _rest[Math.Min(((int)length + 3) & ~3, _rest.Length)..];
        return true;
    }

    /// <summary>The error number of an answer, 0 for success; false when this is no answer.</summary>
    public readonly bool TryReadAnswer(out int error)
    {
        error = 0;
        if (Type != Error || Body.Length < 4) return false;
        error = -MemoryMarshal.Read<int>(Body);
        return true;
    }

    /// <summary>Finds an attribute of a list; false when it is not there or the list is broken before it.</summary>
    public static bool TryFind(ReadOnlySpan<byte> attributes, ushort wanted, out ReadOnlySpan<byte> value)
    {
        value = default;
        while (attributes.Length >= 4)
        {
            int length = MemoryMarshal.Read<ushort>(attributes);
            if (length < 4 || length > attributes.Length) return false;
            if ((MemoryMarshal.Read<ushort>(attributes[2..]) & 0x3FFF) == wanted)
            {
                value = attributes[4..length];
                return true;
            }

            attributes = attributes[Math.Min((length + 3) & ~3, attributes.Length)..];
        }

        return false;
    }

    /// <summary>A number of four octets in the order of the host.</summary>
    public static bool TryFind(ReadOnlySpan<byte> attributes, ushort wanted, out uint value)
    {
        value = 0;
        if (!TryFind(attributes, wanted, out ReadOnlySpan<byte> octets) || octets.Length < 4) return false;
        value = MemoryMarshal.Read<uint>(octets);
        return true;
    }
}
