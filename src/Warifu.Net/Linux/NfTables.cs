using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Warifu.Net.Linux;

/// <summary>nf_tables over netlink: batches of messages that take effect together or not at all.</summary>
internal sealed unsafe class NfTables : IDisposable
{
    public const ushort NewTable = 0, DeleteTable = 2, NewChain = 3, NewRule = 6, NewSet = 9, NewElement = 12, DeleteElement = 14, NewObject = 18, GetObject = 19;
    private const ushort Subsystem = 10 << 8, BatchBegin = 0x10, BatchEnd = 0x11, ErrorMessage = 2;
    private const byte FamilyInet = 1;

    private readonly int _file;
    private uint _sequence = 1;

    /// <exception cref="Win32Exception">No nf_tables.</exception>
    public NfTables()
    {
        _file = Libc.socket(Libc.AfNetlink, Libc.SockRaw | Libc.SockCloexec, 12);
        if (_file < 0) throw Libc.Error("nftables");
        // the kernel answers at once; a lost answer must not hang the daemon
        var timeout = new Libc.TimeSpec { Seconds = 2 };
        if (Libc.setsockopt(_file, Libc.SolSocket, 20, &timeout, sizeof(Libc.TimeSpec)) != 0) throw Libc.Error("nftables");
    }

    /// <summary>A message of a batch: what kind, with which flags, and its attributes.</summary>
    public readonly record struct Step(ushort Type, ushort Flags, Action<NetlinkMessage> Attributes);

    /// <summary>Carries out all steps or none; the first error number, 0 when all is done.</summary>
    public int TryCommit(params ReadOnlySpan<Step> steps)
    {
        var message = new NetlinkMessage();
        var start = Begin(message, BatchBegin, 0);
        message.End(start);
        var first = _sequence;
        foreach (var step in steps)
        {
            start = message.Begin((ushort)(Subsystem | step.Type), (ushort)(NetlinkMessage.Request | NetlinkMessage.Ack | step.Flags), _sequence++);
            message.U8(FamilyInet).U8(0).U16(0);
            step.Attributes(message);
            message.End(start);
        }

        start = Begin(message, BatchEnd, 0);
        message.End(start);
        Send(message);
        return AwaitAnswers(first, steps.Length);
    }

    /// <exception cref="Win32Exception">A step failed; none took effect.</exception>
    public void Commit(string what, params ReadOnlySpan<Step> steps)
    {
        var error = TryCommit(steps);
        if (error != 0) throw new Win32Exception(error, $"{what}: {Marshal.GetPInvokeErrorMessage(error)}");
    }

    /// <summary>Packets of a named counter; 0 when there is none.</summary>
    public long ReadCounter(string table, string name)
    {
        var message = new NetlinkMessage();
        var start = message.Begin(Subsystem | GetObject, NetlinkMessage.Request, _sequence++);
        message.U8(FamilyInet).U8(0).U16(0).Attribute(1, table).Attribute(2, name).Attribute(3, Big(1));
        Send(message.End(start));
        var buffer = new byte[8192];
        var length = Receive(buffer);
        if (length < 20 || MemoryMarshal.Read<ushort>(buffer.AsSpan(4)) != (Subsystem | NewObject)) return 0;
        return Find(buffer.AsSpan(20, length - 20), 4, out var data) && Find(data, 2, out var packets) && packets.Length >= 8 ? BinaryPrimitives.ReadInt64BigEndian(packets) : 0;
    }

    public void Dispose() => Libc.close(_file);

    public static byte[] Big(uint value)
    {
        var octets = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(octets, value);
        return octets;
    }

    private static bool Find(ReadOnlySpan<byte> attributes, ushort wanted, out ReadOnlySpan<byte> value)
    {
        value = default;
        while (attributes.Length >= 4)
        {
            var length = MemoryMarshal.Read<ushort>(attributes);
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

    private int Begin(NetlinkMessage message, ushort type, ushort flags)
    {
        var start = message.Begin(type, (ushort)(NetlinkMessage.Request | flags), _sequence++);
        // the batch belongs to our subsystem: resource id in network order
        message.U8(0).U8(0).U8(0).U8(10);
        return start;
    }

    private int AwaitAnswers(uint first, int count)
    {
        var buffer = new byte[65536];
        var (seen, error) = (new HashSet<uint>(), 0);
        while (seen.Count < count)
        {
            var length = Receive(buffer);
            if (length <= 0) return error != 0 ? error : 110;
            for (var at = 0; at + 20 <= length;)
            {
                var size = MemoryMarshal.Read<int>(buffer.AsSpan(at));
                if (size < 16 || at + size > length) break;
                if (MemoryMarshal.Read<ushort>(buffer.AsSpan(at + 4)) == ErrorMessage)
                {
                    var sequence = MemoryMarshal.Read<uint>(buffer.AsSpan(at + 8));
                    var number = -MemoryMarshal.Read<int>(buffer.AsSpan(at + 16));
                    if (number != 0 && error == 0) error = number;
                    if (sequence >= first && sequence < first + count) seen.Add(sequence);
                    // about the batch as a whole: no more answers will come
                    else if (number != 0) return number;
                }

                at += (size + 3) & ~3;
            }
        }

        return error;
    }

    private void Send(NetlinkMessage message)
    {
        fixed (byte* data = message.Octets)
        {
            if (Libc.send(_file, data, message.Length, 0) != message.Length) throw Libc.Error("nftables");
        }
    }

    private int Receive(byte[] buffer)
    {
        fixed (byte* data = buffer) return (int)Libc.recv(_file, data, buffer.Length, 0);
    }
}
