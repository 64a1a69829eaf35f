using System;
using System.Runtime.InteropServices;
using Warifu.Net.Linux;

namespace Warifu.Net.Udp;

/// <summary>Room for several datagrams that come in one system call. Each may stand for many of one size (UDP_GRO). For one thread.</summary>
internal sealed unsafe class ReceiveBatch : IDisposable
{
    /// <summary>Octets before each datagram, for the data plane and for the headers of AH over IPv6.</summary>
    public const int Headroom = 512;

    public const int Capacity = 16;

    private const int Tailroom = 64;
    private const int Largest = 65536;
    private const int SlotLength = Headroom + Largest + Tailroom;
    private const int ControlLength = 1024;

    // pages that no datagram was written to are not resident
    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(Capacity * SlotLength, pinned: true);
    private readonly Libc.MessageSlot* _messages = (Libc.MessageSlot*)NativeMemory.AllocZeroed(Capacity, (nuint)sizeof(Libc.MessageSlot));
    private readonly Libc.IoVector* _pieces = (Libc.IoVector*)NativeMemory.AllocZeroed(Capacity, (nuint)sizeof(Libc.IoVector));
    private readonly byte* _names = (byte*)NativeMemory.AllocZeroed(Capacity * SocketAddress.MaxLength);
    private readonly byte* _controls = (byte*)NativeMemory.AllocZeroed(Capacity * ControlLength);

    public ReceiveBatch()
    {
        fixed (byte* buffer = _buffer)
        {
            for (var i = 0; i < Capacity; i++) _pieces[i] = new Libc.IoVector { Data = buffer + (i * SlotLength) + Headroom, Length = Largest };
        }
    }

    /// <summary>Receives what is there, at most <see cref="Capacity"/>; returns how many, 0 when there is nothing, negative on an error of an earlier packet.</summary>
    public int Receive(DatagramSocket socket)
    {
        for (var i = 0; i < Capacity; i++)
        {
            _messages[i].Header = new Libc.MessageHeader
            {
                Name = _names + (i * SocketAddress.MaxLength),
                NameLength = SocketAddress.MaxLength,
                Vectors = _pieces + i,
                VectorCount = 1,
                Control = _controls + (i * ControlLength),
                ControlLength = ControlLength,
            };
        }

        return Libc.recvmmsg(socket.File, _messages, Capacity, Libc.MsgDontwait, null);
    }

    /// <summary>A datagram with room before and behind; it begins at <see cref="Headroom"/>. False when it was cut off or is none.</summary>
    public bool TryRead(int index, DatagramSocket socket, out Span<byte> slot, out Arrival arrival)
    {
        slot = _buffer.AsSpan(index * SlotLength, SlotLength);
        ref var message = ref _messages[index];
        arrival = default;
        if ((message.Header.Flags & Libc.MsgTrunc) != 0 || (socket.TakesWholePackets && (message.Header.Flags & Libc.MsgCtrunc) != 0)) return false;
        return socket.TryDescribe(slot, Headroom, (int)message.Length, new ReadOnlySpan<byte>(message.Header.Name, SocketAddress.MaxLength),
            new ReadOnlySpan<byte>(message.Header.Control, (int)message.Header.ControlLength), out arrival);
    }

    public void Dispose()
    {
        NativeMemory.Free(_messages);
        NativeMemory.Free(_pieces);
        NativeMemory.Free(_names);
        NativeMemory.Free(_controls);
    }
}
