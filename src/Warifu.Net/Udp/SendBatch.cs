using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Warifu.Net.Linux;
using Warifu.Primitives;

namespace Warifu.Net.Udp;

/// <summary>
/// ESP packets that leave in one system call. Those of one size that follow each other on one path become one message, which the kernel cuts (UDP_SEGMENT). Packets stay in their place, in pinned memory,
/// until <see cref="Flush"/>. For one thread.
/// </summary>
internal sealed unsafe class SendBatch : IDisposable
{
    /// <summary>The kernel's limits for one message: segments, and octets of UDP payload.</summary>
    private const int MaxSegments = 64, MaxMessageOctets = 65_000;

    private const int MaxMessages = 64, MaxPackets = 256;
    private const int ControlLength = 96;

    private readonly Libc.MessageSlot* _messages = (Libc.MessageSlot*)NativeMemory.AllocZeroed(MaxMessages, (nuint)sizeof(Libc.MessageSlot));
    private readonly Libc.IoVector* _pieces = (Libc.IoVector*)NativeMemory.AllocZeroed(MaxPackets, (nuint)sizeof(Libc.IoVector));
    private readonly byte* _names = (byte*)NativeMemory.AllocZeroed(MaxMessages * SocketAddress.MaxLength);
    private readonly byte* _controls = (byte*)NativeMemory.AllocZeroed(MaxMessages * ControlLength);
    private int _messageCount;
    private int _packetCount;
    private DatagramSocket? _socket;
    private bool _dontFragment;
    private IpAddress _from;
    private Endpoint _to;
    private byte _tos;
    private int _segment;
    private int _octets;
    private bool _closed;

    /// <summary>Adds a packet; what waits is sent first when it cannot go with this one.</summary>
    /// <param name="socket">Sends it.</param>
    /// <param name="from">Own address.</param>
    /// <param name="to">Destination.</param>
    /// <param name="tos">TOS or traffic class.</param>
    /// <param name="dontFragment">As in <see cref="DatagramSocket.TrySend"/>.</param>
    /// <param name="packet">Not empty. With AH the whole IP packet. The <see cref="DatagramSocket.OwnHeaderLength"/> octets before it are free.</param>
    public void Add(DatagramSocket socket, IpAddress from, in Endpoint to, byte tos, bool dontFragment, ReadOnlySpan<byte> packet)
    {
        if (_messageCount > 0 && (socket != _socket || dontFragment != _dontFragment || _packetCount == MaxPackets)) Flush();
        var data = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(packet));
        if (_messageCount > 0 && !_closed && socket.HasSegmentation && packet.Length <= _segment && tos == _tos && _octets + packet.Length <= MaxMessageOctets && to == _to && from == _from
            && _messages[_messageCount - 1].Header.VectorCount < MaxSegments)
        {
            _pieces[_packetCount++] = new Libc.IoVector { Data = data, Length = (nuint)packet.Length };
            _messages[_messageCount - 1].Header.VectorCount++;
            _octets += packet.Length;
            _closed = packet.Length < _segment;
            return;
        }

        if (_messageCount == MaxMessages) Flush();
        (_socket, _dontFragment, _from, _to, _tos, _segment, _octets, _closed) = (socket, dontFragment, from, to, tos, packet.Length, packet.Length, false);
        var name = _names + (_messageCount * SocketAddress.MaxLength);
        var control = _controls + (_messageCount * ControlLength);
        var nameLength = SocketAddress.Write(new Span<byte>(name, SocketAddress.MaxLength), to, socket.IsV6);
        var own = socket.OwnHeaderLength;
        if (own > 0) socket.WriteHeader(new Span<byte>(data - own, own), packet.Length, from, to.Address, tos, dontFragment);
        var controlLength = own > 0 || socket.TakesWholePackets ? 0 : socket.WriteControl(new Span<byte>(control, ControlLength), from, tos);
        _pieces[_packetCount] = new Libc.IoVector { Data = data - own, Length = (nuint)(packet.Length + own) };
        _messages[_messageCount++].Header = new Libc.MessageHeader
        {
            Name = name,
            NameLength = nameLength,
            Vectors = _pieces + _packetCount,
            VectorCount = 1,
            Control = control,
            ControlLength = (nuint)controlLength,
        };
        _packetCount++;
    }

    /// <summary>Sends all that waits, in order. What the kernel refuses is lost, as on any wire.</summary>
    public void Flush()
    {
        if (_messageCount == 0) return;
        for (var i = 0; i < _messageCount; i++)
        {
            ref var header = ref _messages[i].Header;
            if (header.VectorCount > 1) header.ControlLength += (nuint)DatagramSocket.WriteSegment(new Span<byte>(header.Control, ControlLength)[(int)header.ControlLength..], (ushort)header.Vectors[0].Length);
            else if (header.ControlLength == 0) header.Control = null;
        }

        _socket!.SendAll(_messages, _messageCount, _dontFragment);
        (_messageCount, _packetCount) = (0, 0);
    }

    public void Dispose()
    {
        NativeMemory.Free(_messages);
        NativeMemory.Free(_pieces);
        NativeMemory.Free(_names);
        NativeMemory.Free(_controls);
    }
}
