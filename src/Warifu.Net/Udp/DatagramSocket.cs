using System;
using System.Runtime.InteropServices;
using System.Threading;
using Warifu.Ipsec;
using Warifu.Net.Linux;
using Warifu.Primitives;

namespace Warifu.Net.Udp;

/// <summary>What came with a datagram.</summary>
/// <param name="Length">Octets.</param>
/// <param name="Local">Own address and port.</param>
/// <param name="Remote">Sender.</param>
/// <param name="Tos">TOS or traffic class.</param>
/// <param name="Segment">It stands for datagrams of this size, the last may be shorter; else the same as <paramref name="Length"/>.</param>
/// <param name="Before">AH over IPv6: octets before the datagram that are its headers, and are part of <paramref name="Length"/>.</param>
internal readonly record struct Arrival(int Length, Endpoint Local, Endpoint Remote, byte Tos, int Segment, int Before = 0);

/// <summary>One UDP socket (or a raw one for ESP or AH) of one family that knows for each datagram the own address it came to, and sends from a chosen one.</summary>
internal sealed unsafe class DatagramSocket : IDisposable
{
    private const int HeaderLength = 20;

    private readonly bool _v6;
    private readonly ushort _port;
    private readonly bool _raw;
    private readonly bool _ah;
    private readonly Lock _sending = new();
    private int _file;
    private bool _dontFragment;
    private int _identification;
    private volatile bool _hasSegmentation;

    private DatagramSocket(int file, bool v6, ushort port, bool raw, bool ah = false) => (_file, _v6, _port, _raw, _ah, _identification) = (file, v6, port, raw, ah, System.Security.Cryptography.RandomNumberGenerator.GetInt32(65536));

    public int File => _file;

    public bool IsV6 => _v6;

    public ushort Port => _port;

    /// <summary>A UDP socket on all addresses of a family. Port 0: any free one.</summary>
    /// <param name="v6">The family.</param>
    /// <param name="port">Own port.</param>
    /// <param name="mark">fwmark of what it sends.</param>
    /// <param name="offloads">Send and receive messages that stand for many datagrams where the kernel has them.</param>
    public static DatagramSocket Udp(bool v6, ushort port, uint mark, bool offloads = false)
    {
        var file = Open(v6 ? Libc.AfInet6 : Libc.AfInet, Libc.SockDgram, 0);
        try
        {
            // not for raw sockets: those refuse it
            if (v6) Libc.SetOption(file, Libc.IpprotoIpv6, Libc.Ipv6V6only, 1);
            Prepare(file, v6, mark);
            var address = stackalloc byte[SocketAddress.MaxLength];
            var length = SocketAddress.Write(new Span<byte>(address, SocketAddress.MaxLength), new Endpoint(v6 ? IpAddress.AnyV6 : IpAddress.AnyV4, port), v6);
            if (Libc.bind(file, address, length) != 0) throw Libc.Error($"UDP port {port} of IPv{(v6 ? 6 : 4)} cannot be had (is another IKE daemon running?)");
            if (Libc.getsockname(file, address, &length) == 0) port = SocketAddress.Read(new ReadOnlySpan<byte>(address, length)).Port;
            var segmentation = offloads && Libc.TrySetOption(file, Libc.IpprotoUdp, Libc.UdpSegment, 0);
            if (offloads) _ = Libc.TrySetOption(file, Libc.IpprotoUdp, Libc.UdpGro, 1);
            return new DatagramSocket(file, v6, port, raw: false) { _hasSegmentation = segmentation };
        }
        catch
        {
            Libc.close(file);
            throw;
        }
    }

    /// <summary>A raw socket for ESP straight on IP. It also keeps the kernel from answering "protocol unreachable".</summary>
    public static DatagramSocket RawEsp(bool v6, uint mark)
    {
        var file = Open(v6 ? Libc.AfInet6 : Libc.AfInet, Libc.SockRaw, Libc.IpprotoEsp);
        try
        {
            Prepare(file, v6, mark);
            if (!v6) Libc.SetOption(file, Libc.IpprotoIp, Libc.IpHdrincl, 1);
            return new DatagramSocket(file, v6, 0, raw: true);
        }
        catch
        {
            Libc.close(file);
            throw;
        }
    }

    /// <summary>A raw socket for AH: whole IP packets go in and come out, since the ICV covers their headers.</summary>
    public static DatagramSocket RawAh(bool v6, uint mark)
    {
        var file = Open(v6 ? Libc.AfInet6 : Libc.AfInet, Libc.SockRaw, Libc.IpprotoAh);
        try
        {
            Prepare(file, v6, mark);
            Libc.SetOption(file, v6 ? Libc.IpprotoIpv6 : Libc.IpprotoIp, v6 ? Libc.Ipv6Hdrincl : Libc.IpHdrincl, 1);
            if (v6)
            {
                // the kernel keeps the IPv6 header to itself, but tells all of it that AH covers
                foreach (var option in new[] { Libc.Ipv6Recvhopopts, Libc.Ipv6Recvrthdr, Libc.Ipv6Recvdstopts, Libc.Ipv6Recvhoplimit }) Libc.SetOption(file, Libc.IpprotoIpv6, option, 1);
            }

            return new DatagramSocket(file, v6, 0, raw: true, ah: true);
        }
        catch
        {
            Libc.close(file);
            throw;
        }
    }

    /// <summary>Packets go out with their IP headers.</summary>
    public bool TakesWholePackets => _ah;

    /// <summary>A message may carry many packets of one size, which the kernel cuts.</summary>
    public bool HasSegmentation => _hasSegmentation;

    /// <summary>Tells where a received datagram came from and went to; raw IPv4 loses its IP header. False when it is none.</summary>
    /// <param name="slot">The datagram and the room around it.</param>
    /// <param name="offset">Where the datagram begins.</param>
    /// <param name="length">Octets that came.</param>
    /// <param name="name">The sender as the kernel writes it.</param>
    /// <param name="control">Ancillary data.</param>
    /// <param name="arrival">What is known.</param>
    public bool TryDescribe(Span<byte> slot, int offset, int length, ReadOnlySpan<byte> name, ReadOnlySpan<byte> control, out Arrival arrival)
    {
        arrival = default;
        var remote = SocketAddress.Read(name);
        ReadControl(control, out var local, out var tos, out var segment);
        if (_ah && _v6)
        {
            var before = Ipv6Front.Write(slot[..offset], length, control, remote.Address, local, tos);
            arrival = new Arrival(length + before, new Endpoint(local, 0), remote with { Port = 0 }, tos, length + before, before);
            return before > 0;
        }

        var data = slot[offset..];
        if (_raw && !_v6 && !_ah)
        {
            // the kernel gives the IP header with it
            var ipLength = length > 0 ? (data[0] & 0x0F) * 4 : 0;
            if (length < 20 || ipLength < 20 || length < ipLength) return false;
            tos = data[1];
            data[ipLength..length].CopyTo(data);
            length -= ipLength;
        }

        arrival = new Arrival(length, new Endpoint(local, _port), _raw ? remote with { Port = 0 } : remote, tos, segment > 0 ? segment : length);
        return true;
    }

    /// <summary>Sends from a chosen own address. False when the kernel refuses (no route, too big, buffer full).</summary>
    /// <param name="head">Goes before <paramref name="packet"/>: the non-ESP marker, or nothing.</param>
    /// <param name="packet">The datagram.</param>
    /// <param name="from">Own address; none = the kernel chooses.</param>
    /// <param name="to">Destination.</param>
    /// <param name="tos">TOS or traffic class.</param>
    /// <param name="dontFragment">DF, and nothing larger than the known path MTU is sent; else the kernel fragments.</param>
    public bool TrySend(ReadOnlySpan<byte> head, ReadOnlySpan<byte> packet, IpAddress from, Endpoint to, byte tos, bool dontFragment = false)
    {
        if (_raw && !_v6 && TrySendWithHeader(packet, from, to, tos, dontFragment, out var sent)) return sent;
        var name = stackalloc byte[SocketAddress.MaxLength];
        var control = stackalloc byte[128];
        var nameLength = SocketAddress.Write(new Span<byte>(name, SocketAddress.MaxLength), to, _v6);
        var controlLength = WriteControl(new Span<byte>(control, 128), from, tos);
        fixed (byte* first = head)
        fixed (byte* second = packet)
        {
            var vectors = stackalloc Libc.IoVector[2];
            vectors[0] = new Libc.IoVector { Data = first, Length = (nuint)head.Length };
            vectors[1] = new Libc.IoVector { Data = second, Length = (nuint)packet.Length };
            var header = new Libc.MessageHeader { Name = name, NameLength = nameLength, Vectors = vectors, VectorCount = 2, Control = controlLength == 0 ? null : control, ControlLength = (nuint)controlLength };
            lock (_sending)
            {
                if (_raw && !_v6) return SendWithKernelHeader(&header);
                if (dontFragment != _dontFragment && SetDontFragment(dontFragment)) _dontFragment = dontFragment;
                return SendAgain(&header);
            }
        }
    }

    /// <summary>Octets of the IP header that goes before the packets of this socket; 0 when the kernel makes it.</summary>
    public int OwnHeaderLength => _raw && !_v6 && !_ah ? HeaderLength : 0;

    /// <summary>Writes that header for a packet of <paramref name="length"/> octets, with the next Identification.</summary>
    public void WriteHeader(Span<byte> header, int length, IpAddress from, IpAddress to, byte tos, bool dontFragment)
    {
        ushort id;
        do id = (ushort)Interlocked.Increment(ref _identification);
        while (id == 0);
        IpHeader.WriteV4(header, HeaderLength + length, tos, id, dontFragment, 64, IpHeader.Esp, from.IsNone ? IpAddress.AnyV4 : from, to);
    }

    /// <summary>IPv4 with a header of our own: the kernel leaves the Identification of packets with DF at zero, which middleboxes take for one and the same datagram. False when it has to be sent otherwise.</summary>
    private bool TrySendWithHeader(ReadOnlySpan<byte> packet, IpAddress from, Endpoint to, byte tos, bool dontFragment, out bool sent)
    {
        sent = false;
        if (packet.Length > ushort.MaxValue - HeaderLength) return true;
        var name = stackalloc byte[SocketAddress.MaxLength];
        var head = stackalloc byte[HeaderLength];
        var nameLength = SocketAddress.Write(new Span<byte>(name, SocketAddress.MaxLength), to, v6: false);
        fixed (byte* data = packet)
        {
            var vectors = stackalloc Libc.IoVector[2];
            vectors[0] = new Libc.IoVector { Data = head, Length = HeaderLength };
            vectors[1] = new Libc.IoVector { Data = data, Length = (nuint)packet.Length };
            var header = new Libc.MessageHeader { Name = name, NameLength = nameLength, Vectors = vectors, VectorCount = 2 };
            lock (_sending)
            {
                WriteHeader(new Span<byte>(head, HeaderLength), packet.Length, from, to.Address, tos, dontFragment);
                sent = SendAgain(&header);
                return sent || dontFragment || Marshal.GetLastPInvokeError() != Libc.Emsgsize;
            }
        }
    }

    /// <summary>Sends prepared messages in order. One with more than one piece stands for datagrams of the first one's size; where a path cannot have that (no checksum offload, larger than the MTU) they go singly.</summary>
    public void SendAll(Libc.MessageSlot* messages, int count, bool dontFragment)
    {
        lock (_sending)
        {
            if (OwnHeaderLength == 0 && !_ah && dontFragment != _dontFragment && SetDontFragment(dontFragment)) _dontFragment = dontFragment;
            var retried = false;
            for (var at = 0; at < count;)
            {
                var sent = Libc.sendmmsg(_file, messages + at, (uint)(count - at), 0);
                if (sent > 0)
                {
                    at += sent;
                    retried = false;
                    continue;
                }

                var error = Marshal.GetLastPInvokeError();
                if (error == Libc.Eintr) continue;
                // a pending error of an earlier packet is reported here once, and is not about this one
                if (error is Libc.Econnrefused or Libc.Ehostunreach && !retried)
                {
                    retried = true;
                    continue;
                }

                retried = false;
                if (messages[at].Header.VectorCount > 1)
                {
                    if (error is Libc.Eio or Libc.Eopnotsupp) _hasSegmentation = false;
                    if (error is Libc.Eio or Libc.Eopnotsupp or Libc.Einval or Libc.Emsgsize) SendSingly(messages[at].Header);
                }
                else if (OwnHeaderLength > 0 && !dontFragment && error == Libc.Emsgsize)
                {
                    SendFragmented(messages[at].Header);
                }

                at++;
            }
        }
    }

    /// <summary>A pending error of an earlier packet is reported here once, and is not about this one.</summary>
    private bool SendAgain(Libc.MessageHeader* header) =>
        Libc.sendmsg(_file, header, 0) >= 0 || (Marshal.GetLastPInvokeError() is Libc.Econnrefused or Libc.Ehostunreach && Libc.sendmsg(_file, header, 0) >= 0);

    /// <summary>Ancillary data: the size of the datagrams of a message.</summary>
    public static int WriteSegment(Span<byte> control, ushort size)
    {
        WriteHead(control, 18, Libc.IpprotoUdp, Libc.UdpSegment);
        MemoryMarshal.Write(control[16..], size);
        return 24;
    }

    /// <summary>Ancillary data: own address and TOS. Returns its length.</summary>
    public int WriteControl(Span<byte> control, IpAddress from, byte tos)
    {
        control.Clear();
        var at = 0;
        if (!from.IsNone && !from.IsUnspecified)
        {
            // in_pktinfo: ifindex, spec_dst, addr; in6_pktinfo: addr, ifindex
            var length = _v6 ? 20 : 12;
            WriteHead(control, 16 + length, _v6 ? Libc.IpprotoIpv6 : Libc.IpprotoIp, _v6 ? Libc.Ipv6Pktinfo : Libc.IpPktinfo);
            from.Write(control[(_v6 ? 16 : 20)..]);
            at = (16 + length + 7) & ~7;
        }

        if (tos == 0) return at;
        WriteHead(control[at..], 20, _v6 ? Libc.IpprotoIpv6 : Libc.IpprotoIp, _v6 ? Libc.Ipv6Tclass : Libc.IpTos);
        MemoryMarshal.Write(control[(at + 16)..], (int)tos);
        return at + 24;
    }

    /// <summary>Reads what routers and the kernel said about packets that were sent. Calls <paramref name="learn"/> for each path MTU.</summary>
    public void DrainErrors(Action<IpAddress, int>? learn)
    {
        var name = stackalloc byte[SocketAddress.MaxLength];
        var control = stackalloc byte[512];
        byte nothing;
        for (var i = 0; i < 64; i++)
        {
            var vector = new Libc.IoVector { Data = &nothing, Length = 1 };
            var header = new Libc.MessageHeader { Name = name, NameLength = SocketAddress.MaxLength, Vectors = &vector, VectorCount = 1, Control = control, ControlLength = 512 };
            if (Libc.recvmsg(_file, &header, Libc.MsgErrqueue | 0x40) < 0) return;
            var rest = new ReadOnlySpan<byte>(control, (int)header.ControlLength);
            while (rest.Length >= 16)
            {
                var length = (int)MemoryMarshal.Read<ulong>(rest);
                if (length < 16 || length > rest.Length) break;
                var level = MemoryMarshal.Read<int>(rest[8..]);
                var type = MemoryMarshal.Read<int>(rest[12..]);
                // sock_extended_err: errno, origin, type, code, pad, info
                if (((level == Libc.IpprotoIp && type == Libc.IpRecverr) || (level == Libc.IpprotoIpv6 && type == Libc.Ipv6Recverr)) && length >= 28
                    && MemoryMarshal.Read<int>(rest[16..]) == Libc.Emsgsize && header.NameLength >= 16)
                {
                    learn?.Invoke(SocketAddress.Read(new ReadOnlySpan<byte>(name, SocketAddress.MaxLength)).Address, MemoryMarshal.Read<int>(rest[24..]));
                }

                var aligned = (length + 7) & ~7;
                if (aligned >= rest.Length) break;
                rest = rest[aligned..];
            }
        }
    }

    public void Dispose()
    {
        if (_file >= 0) Libc.close(_file);
        _file = -1;
    }

    private bool SetDontFragment(bool on) => _v6
        ? Libc.TrySetOption(_file, Libc.IpprotoIpv6, Libc.Ipv6MtuDiscover, on ? Libc.PmtudiscDo : Libc.PmtudiscDont)
        : Libc.TrySetOption(_file, Libc.IpprotoIp, Libc.IpMtuDiscover, on ? Libc.PmtudiscDo : Libc.PmtudiscDont);

    private static int Open(int family, int type, int protocol)
    {
        var file = Libc.socket(family, type | Libc.SockCloexec, protocol);
        return file >= 0 ? file : throw Libc.Error(type == Libc.SockRaw ? "raw socket for ESP or AH" : "socket");
    }

    private static void Prepare(int file, bool v6, uint mark)
    {
        const int Buffer = 4 << 20;
        if (v6)
        {
            Libc.SetOption(file, Libc.IpprotoIpv6, Libc.Ipv6Recvpktinfo, 1);
            Libc.SetOption(file, Libc.IpprotoIpv6, Libc.Ipv6Recvtclass, 1);
            Libc.SetOption(file, Libc.IpprotoIpv6, Libc.Ipv6Recverr, 1);
            Libc.SetOption(file, Libc.IpprotoIpv6, Libc.Ipv6MtuDiscover, Libc.PmtudiscDont);
        }
        else
        {
            Libc.SetOption(file, Libc.IpprotoIp, Libc.IpPktinfo, 1);
            Libc.SetOption(file, Libc.IpprotoIp, Libc.IpRecvtos, 1);
            Libc.SetOption(file, Libc.IpprotoIp, Libc.IpRecverr, 1);
            Libc.SetOption(file, Libc.IpprotoIp, Libc.IpMtuDiscover, Libc.PmtudiscDont);
        }

        // without privilege there is no mark and no policy routing either
        if (mark != 0) _ = Libc.TrySetOption(file, Libc.SolSocket, Libc.SoMark, (int)mark);
        if (!Libc.TrySetOption(file, Libc.SolSocket, Libc.SoRcvbufforce, Buffer)) _ = Libc.TrySetOption(file, Libc.SolSocket, Libc.SoRcvbuf, Buffer);
        if (!Libc.TrySetOption(file, Libc.SolSocket, Libc.SoSndbufforce, Buffer)) _ = Libc.TrySetOption(file, Libc.SolSocket, Libc.SoSndbuf, Buffer);
    }

    private static void ReadControl(ReadOnlySpan<byte> control, out IpAddress local, out byte tos, out int segment)
    {
        (local, tos, segment) = (default, 0, 0);
        while (control.Length >= 16)
        {
            var length = (int)MemoryMarshal.Read<ulong>(control);
            var level = MemoryMarshal.Read<int>(control[8..]);
            var type = MemoryMarshal.Read<int>(control[12..]);
            if (length < 16 || length > control.Length) return;
            var data = control[16..length];
            if (level == Libc.IpprotoIp && type == Libc.IpPktinfo && data.Length >= 12) local = IpAddress.FromOctets(data.Slice(8, 4));
            else if (level == Libc.IpprotoIpv6 && type == Libc.Ipv6Pktinfo && data.Length >= 16) local = IpAddress.FromOctets(data[..16]);
            else if (level == Libc.IpprotoIp && type == Libc.IpTos && data.Length >= 1) tos = data[0];
            else if (level == Libc.IpprotoIpv6 && type == Libc.Ipv6Tclass && data.Length >= 4) tos = (byte)MemoryMarshal.Read<int>(data);
            else if (level == Libc.IpprotoUdp && type == Libc.UdpGro && data.Length >= 4) segment = MemoryMarshal.Read<int>(data);
            var aligned = (length + 7) & ~7;
            if (aligned >= control.Length) return;
            control = control[aligned..];
        }
    }

    /// <summary>A packet that is larger than the link: the kernel fragments no other headers than its own.</summary>
    private void SendFragmented(in Libc.MessageHeader message)
    {
        var data = message.Vectors->Data;
        var control = stackalloc byte[128];
        var own = new ReadOnlySpan<byte>(data, HeaderLength);
        var vector = new Libc.IoVector { Data = data + HeaderLength, Length = message.Vectors->Length - HeaderLength };
        var length = WriteControl(new Span<byte>(control, 128), IpAddress.FromOctets(own.Slice(12, 4)), own[1]);
        var whole = new Libc.MessageHeader { Name = message.Name, NameLength = message.NameLength, Vectors = &vector, VectorCount = 1, Control = length == 0 ? null : control, ControlLength = (nuint)length };
        _ = SendWithKernelHeader(&whole);
    }

    private bool SendWithKernelHeader(Libc.MessageHeader* header)
    {
        _ = Libc.TrySetOption(_file, Libc.IpprotoIp, Libc.IpHdrincl, 0);
        var sent = SendAgain(header);
        _ = Libc.TrySetOption(_file, Libc.IpprotoIp, Libc.IpHdrincl, 1);
        return sent;
    }

    /// <summary>The pieces of a message, one by one: its last ancillary datum, the size of segments, is left out.</summary>
    private void SendSingly(in Libc.MessageHeader message)
    {
        for (nuint i = 0; i < message.VectorCount; i++)
        {
            var single = message;
            single.Vectors = message.Vectors + i;
            single.VectorCount = 1;
            single.ControlLength = message.ControlLength - 24;
            if (single.ControlLength == 0) single.Control = null;
            _ = Libc.sendmsg(_file, &single, 0);
        }
    }

    private static void WriteHead(Span<byte> control, int length, int level, int type)
    {
        MemoryMarshal.Write(control, (ulong)length);
        MemoryMarshal.Write(control[8..], level);
        MemoryMarshal.Write(control[12..], type);
    }
}
