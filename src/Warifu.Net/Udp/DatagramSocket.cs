using System;
using System.Runtime.InteropServices;
using System.Threading;
using Warifu.Ipsec;
using Warifu.Net.Linux;
using Warifu.Primitives;

namespace Warifu.Net.Udp;

/// <summary>What came with a datagram.</summary>
internal readonly record struct Arrival(int Length, Endpoint Local, Endpoint Remote, byte Tos);

/// <summary>One UDP socket (or a raw one for ESP) of one family that knows for each datagram the own address it came to, and sends from a chosen one.</summary>
internal sealed unsafe class DatagramSocket : IDisposable
{
    private readonly bool _v6;
    private readonly ushort _port;
    private readonly bool _raw;
    private readonly Lock _sending = new();
    private int _file;
    private bool _dontFragment;
    private ushort _identification;

    private DatagramSocket(int file, bool v6, ushort port, bool raw) => (_file, _v6, _port, _raw, _identification) = (file, v6, port, raw, (ushort)System.Security.Cryptography.RandomNumberGenerator.GetInt32(1, 65536));

    public int File => _file;

    public bool IsV6 => _v6;

    public ushort Port => _port;

    /// <summary>A UDP socket on all addresses of a family. Port 0: any free one.</summary>
    public static DatagramSocket Udp(bool v6, ushort port, uint mark)
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
            return new DatagramSocket(file, v6, port, raw: false);
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

    /// <summary>Receives one datagram; raw IPv4 comes without its IP header. False when nothing is there or it was cut off.</summary>
    public bool TryReceive(Span<byte> buffer, out Arrival arrival)
    {
        arrival = default;
        var name = stackalloc byte[SocketAddress.MaxLength];
        var control = stackalloc byte[256];
        fixed (byte* data = buffer)
        {
            var vector = new Libc.IoVector { Data = data, Length = (nuint)buffer.Length };
            var header = new Libc.MessageHeader { Name = name, NameLength = SocketAddress.MaxLength, Vectors = &vector, VectorCount = 1, Control = control, ControlLength = 256 };
            var length = (int)Libc.recvmsg(_file, &header, 0x40);
            if (length < 0 || (header.Flags & Libc.MsgTrunc) != 0) return false;
            var remote = SocketAddress.Read(new ReadOnlySpan<byte>(name, SocketAddress.MaxLength));
            ReadControl(new ReadOnlySpan<byte>(control, (int)header.ControlLength), out var local, out var tos);
            if (_raw && !_v6)
            {
                // the kernel gives the IP header with it
                var ipLength = length > 0 ? (buffer[0] & 0x0F) * 4 : 0;
                if (length < 20 || ipLength < 20 || length < ipLength) return false;
                tos = buffer[1];
                buffer[ipLength..length].CopyTo(buffer);
                length -= ipLength;
            }

            arrival = new Arrival(length, new Endpoint(local, _port), _raw ? remote with { Port = 0 } : remote, tos);
            return true;
        }
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
                if (_raw && !_v6)
                {
                    // larger than the link: the kernel's own header, for it fragments no other
                    _ = Libc.TrySetOption(_file, Libc.IpprotoIp, Libc.IpHdrincl, 0);
                    var whole = SendAgain(&header);
                    _ = Libc.TrySetOption(_file, Libc.IpprotoIp, Libc.IpHdrincl, 1);
                    return whole;
                }

                if (dontFragment != _dontFragment && SetDontFragment(dontFragment)) _dontFragment = dontFragment;
                return SendAgain(&header);
            }
        }
    }

    /// <summary>IPv4 with a header of our own: the kernel leaves the Identification of packets with DF at zero, which middleboxes take for one and the same datagram. False when it has to be sent otherwise.</summary>
    private bool TrySendWithHeader(ReadOnlySpan<byte> packet, IpAddress from, Endpoint to, byte tos, bool dontFragment, out bool sent)
    {
        const int HeaderLength = 20;
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
                if (++_identification == 0) _identification = 1;
                IpHeader.WriteV4(new Span<byte>(head, HeaderLength), HeaderLength + packet.Length, tos, _identification, dontFragment, 64, IpHeader.Esp, from.IsNone ? IpAddress.AnyV4 : from, to.Address);
                sent = SendAgain(&header);
                return sent || dontFragment || Marshal.GetLastPInvokeError() != Libc.Emsgsize;
            }
        }
    }

    /// <summary>A pending error of an earlier packet is reported here once, and is not about this one.</summary>
    private bool SendAgain(Libc.MessageHeader* header) =>
        Libc.sendmsg(_file, header, 0) >= 0 || (Marshal.GetLastPInvokeError() is Libc.Econnrefused or Libc.Ehostunreach && Libc.sendmsg(_file, header, 0) >= 0);

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
        return file >= 0 ? file : throw Libc.Error(type == Libc.SockRaw ? "raw socket for ESP" : "socket");
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

    private static void ReadControl(ReadOnlySpan<byte> control, out IpAddress local, out byte tos)
    {
        (local, tos) = (default, 0);
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
            var aligned = (length + 7) & ~7;
            if (aligned >= control.Length) return;
            control = control[aligned..];
        }
    }

    private int WriteControl(Span<byte> control, IpAddress from, byte tos)
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

    private static void WriteHead(Span<byte> control, int length, int level, int type)
    {
        MemoryMarshal.Write(control, (ulong)length);
        MemoryMarshal.Write(control[8..], level);
        MemoryMarshal.Write(control[12..], type);
    }
}
