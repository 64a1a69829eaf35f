using System;
using System.IO;
using System.Text;
using Warifu.Net.Linux;

namespace Warifu.Net.Tun;

/// <summary>A TUN device: inner IP packets, one per read and write. Not persistent: it goes with the process.</summary>
internal sealed unsafe class TunDevice : IDisposable
{
    private const nuint TunSetIff = 0x400454CA, TunSetOffload = 0x400454D0;
    private const short IffTun = 0x0001, IffNoPi = 0x1000, IffVnetHdr = 0x4000;
    private const nint Checksum = 0x01, TcpSegmentation = 0x02 | 0x04 | 0x08, UdpSegmentation = 0x20 | 0x40;

    private int _file;

    private TunDevice(int file, string name, int index, bool hasOffloads, bool hasUdpOffload) =>
        (_file, Name, Index, HasOffloads, HasUdpOffload) = (file, name, index, hasOffloads, hasUdpOffload);

    public string Name { get; }

    /// <summary>Interface index.</summary>
    public int Index { get; }

    public int File => _file;

    /// <summary>Packets come and go behind a <see cref="VnetHeader"/>, and may stand for many.</summary>
    public bool HasOffloads { get; }

    /// <summary>UDP packets may too (since Linux 6.2).</summary>
    public bool HasUdpOffload { get; }

    /// <summary>Makes and raises a device. Its own reverse-path filter is off and it gets no link-local address; nothing else of the machine is touched.</summary>
    /// <param name="name">Of the interface.</param>
    /// <param name="mtu">Octets.</param>
    /// <param name="offloads">Take packets that stand for many where the kernel has them.</param>
    public static TunDevice Create(string name, int mtu, bool offloads = true)
    {
        var octets = Encoding.ASCII.GetBytes(name);
        if (octets.Length is 0 or > 15 || name.AsSpan().ContainsAny("/ \t\n%")) throw new ArgumentException($"'{name}' is not a name for an interface: 1 to 15 letters, digits and dots");
        var file = Libc.open("/dev/net/tun", Libc.ORdwr | Libc.OCloexec | Libc.ONonblock);
        if (file < 0) throw Libc.Error("/dev/net/tun");
        try
        {
            var request = stackalloc byte[40];
            new Span<byte>(request, 40).Clear();
            octets.CopyTo(new Span<byte>(request, 16));
            *(short*)(request + 16) = (short)(IffTun | IffNoPi | (offloads ? IffVnetHdr : 0));
            if (Libc.ioctl(file, TunSetIff, request) != 0) throw Libc.Error($"TUN device {name}");
            var udp = offloads && Libc.ioctl(file, TunSetOffload, (void*)(Checksum | TcpSegmentation | UdpSegmentation)) == 0;
            // a kernel that refuses these too hands over whole packets, behind an empty header
            if (offloads && !udp) _ = Libc.ioctl(file, TunSetOffload, (void*)(Checksum | TcpSegmentation));
            var index = (int)Libc.if_nametoindex(name);
            Configure(name, "ipv6", "addr_gen_mode", "1");
            Configure(name, "ipv4", "rp_filter", "0");
            using var netlink = new Rtnetlink();
            netlink.SetLink(index, up: true, mtu);
            return new TunDevice(file, name, index, offloads, udp);
        }
        catch
        {
            Libc.close(file);
            throw;
        }
    }

    /// <summary>Octets of the next packet; 0 when there is none now, negative when the device is gone.</summary>
    /// <param name="buffer">The packet comes to its start.</param>
    /// <param name="header">What it stands for; without offloads always one finished packet.</param>
    public int Read(Span<byte> buffer, out VnetHeader header)
    {
        header = default;
        fixed (byte* data = buffer)
        fixed (VnetHeader* front = &header)
        {
            var pieces = stackalloc Libc.IoVector[2];
            pieces[0] = new Libc.IoVector { Data = (byte*)front, Length = VnetHeader.Length };
            pieces[1] = new Libc.IoVector { Data = data, Length = (nuint)buffer.Length };
            var length = (int)(HasOffloads ? Libc.readv(_file, pieces, 2) - VnetHeader.Length : Libc.read(_file, data, buffer.Length));
            if (length >= 0) return length;
            return System.Runtime.InteropServices.Marshal.GetLastPInvokeError() is Libc.Eagain or Libc.Eintr ? 0 : -1;
        }
    }

    /// <summary>Writes one finished packet.</summary>
    public bool TryWrite(ReadOnlySpan<byte> packet)
    {
        VnetHeader header = default;
        fixed (byte* data = packet)
        {
            if (!HasOffloads) return Libc.write(_file, data, packet.Length) == packet.Length;
            var pieces = stackalloc Libc.IoVector[2];
            pieces[0] = new Libc.IoVector { Data = (byte*)&header, Length = VnetHeader.Length };
            pieces[1] = new Libc.IoVector { Data = data, Length = (nuint)packet.Length };
            return Libc.writev(_file, pieces, 2) == VnetHeader.Length + packet.Length;
        }
    }

    public void Dispose()
    {
        if (_file >= 0) Libc.close(_file);
        _file = -1;
    }

    private static void Configure(string name, string family, string key, string value)
    {
        // a kernel without IPv6 has no such file
        var path = $"/proc/sys/net/{family}/conf/{name}/{key}";
        if (!System.IO.File.Exists(path)) return;
        try
        {
            System.IO.File.WriteAllText(path, value);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // read-only /proc of a container: the defaults must do
        }
    }
}
