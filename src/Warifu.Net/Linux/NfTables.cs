using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Warifu.Net.Linux;

/// <summary>nf_tables over netlink: batches of messages that take effect together or not at all.</summary>
internal sealed unsafe class NfTables : IDisposable
{
    public const ushort NewTable = 0, DeleteTable = 2, NewChain = 3, DeleteChain = 5, NewRule = 6, DeleteRule = 8, NewSet = 9, DeleteSet = 11, NewElement = 12, DeleteElement = 14, NewObject = 18, GetObject = 19, DeleteObject = 20;
    private const ushort Subsystem = 10 << 8, BatchBegin = 0x10, BatchEnd = 0x11;
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
        if (Libc.setsockopt(_file, Libc.SolSocket, Libc.SoRcvtimeo, &timeout, sizeof(Libc.TimeSpec)) != 0) throw Libc.Error("nftables");
        // a whole table goes in one batch
        _ = Libc.TrySetOption(_file, Libc.SolSocket, Libc.SoSndbufforce, 8 << 20);
        _ = Libc.TrySetOption(_file, Libc.SolSocket, Libc.SoRcvbufforce, 8 << 20);
        Port = NetlinkWatch.Bind(_file, 0);
    }

    /// <summary>Number of this socket in notifications.</summary>
    public uint Port { get; }

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
        return ParseCounter(buffer.AsSpan(0, Math.Max(Receive(buffer), 0)));
    }

    public void Dispose() => Libc.close(_file);

    /// <summary>Packets of the counter that an answer tells of.</summary>
    internal static long ParseCounter(ReadOnlySpan<byte> datagram)
    {
        var reader = new NetlinkReader(datagram);
        if (!reader.TryNext() || reader.Type != (Subsystem | NewObject) || reader.Body.Length < 4) return 0;
        return NetlinkReader.TryFind(reader.Body[4..], 4, out ReadOnlySpan<byte> data) && NetlinkReader.TryFind(data, 2, out ReadOnlySpan<byte> packets) && packets.Length >= 8 ? BinaryPrimitives.ReadInt64BigEndian(packets) : 0;
    }

    /// <summary>True when a message of the notification group says that <paramref name="table"/>, or something in it, was removed.</summary>
    internal static bool IsRemoval(in NetlinkReader message, string table)
    {
        if (message.Type >> 8 != Subsystem >> 8 || (message.Type & 0xFF) is not (DeleteTable or DeleteChain or DeleteRule or DeleteSet or DeleteElement or DeleteObject) || message.Body.Length < 4 || message.Body[0] != FamilyInet) return false;
        // the table's name is the first attribute of all of them
        return NetlinkReader.TryFind(message.Body[4..], 1, out ReadOnlySpan<byte> name) && System.Text.Encoding.ASCII.GetString(name.TrimEnd((byte)0)) == table;
    }

    public static byte[] Big(uint value)
    {
        var octets = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(octets, value);
        return octets;
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
            var reader = new NetlinkReader(buffer.AsSpan(0, length));
            while (reader.TryNext())
            {
                if (!reader.TryReadAnswer(out var number)) continue;
                if (number != 0 && error == 0) error = number;
                if (reader.Sequence >= first && reader.Sequence < first + count) seen.Add(reader.Sequence);
                // about the batch as a whole: no more answers will come
                else if (number != 0) return number;
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
        fixed (byte* data = buffer)
        {
            while (true)
            {
                var length = (int)Libc.recv(_file, data, buffer.Length, 0);
                if (length >= 0 || Marshal.GetLastPInvokeError() != Libc.Eintr) return length;
            }
        }
    }
}
