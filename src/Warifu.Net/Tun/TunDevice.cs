using System;
using System.IO;
using System.Text;
using Warifu.Net.Linux;

namespace Warifu.Net.Tun;

/// <summary>A TUN device: inner IP packets, one per read and write. Not persistent: it goes with the process.</summary>
internal sealed unsafe class TunDevice : IDisposable
{
    private const nuint TunSetIff = 0x400454CA;
    private const short IffTun = 0x0001, IffNoPi = 0x1000;

    private int _file;

    private TunDevice(int file, string name, int index) => (_file, Name, Index) = (file, name, index);

    public string Name { get; }

    /// <summary>Interface index.</summary>
    public int Index { get; }

    public int File => _file;

    /// <summary>Makes and raises a device. Its own reverse-path filter is off and it gets no link-local address; nothing else of the machine is touched.</summary>
    public static TunDevice Create(string name, int mtu)
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
            *(short*)(request + 16) = IffTun | IffNoPi;
            if (Libc.ioctl(file, TunSetIff, request) != 0) throw Libc.Error($"TUN device {name}");
            var index = (int)Libc.if_nametoindex(name);
            Configure(name, "ipv6", "addr_gen_mode", "1");
            Configure(name, "ipv4", "rp_filter", "0");
            using var netlink = new Rtnetlink();
            netlink.SetLink(index, up: true, mtu);
            return new TunDevice(file, name, index);
        }
        catch
        {
            Libc.close(file);
            throw;
        }
    }

    /// <summary>Octets of the next packet; 0 when there is none now, negative when the device is gone.</summary>
    public int Read(Span<byte> buffer)
    {
        fixed (byte* data = buffer)
        {
            var length = (int)Libc.read(_file, data, buffer.Length);
            if (length >= 0) return length;
            return System.Runtime.InteropServices.Marshal.GetLastPInvokeError() is Libc.Eagain or Libc.Eintr ? 0 : -1;
        }
    }

    public bool TryWrite(ReadOnlySpan<byte> packet)
    {
        fixed (byte* data = packet) return Libc.write(_file, data, packet.Length) == packet.Length;
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
