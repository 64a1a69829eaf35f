using System;
using System.Collections.Generic;
using System.Linq;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Threading;
using Warifu.Ipsec;
using Warifu.Primitives;

namespace Warifu.Net.Tests.Lab;

/// <summary>A packet socket on one interface: sees every frame that passes in both directions, and sends frames of its own.</summary>
internal sealed partial class Capture : IDisposable
{
    private readonly int _file;
    private readonly int _index;
    private readonly Thread _thread;
    private readonly List<byte[]> _packets = [];
    private volatile bool _stopping;

    public Capture(Namespace where, string device)
    {
        (_file, _index) = where.Run(() =>
        {
            // ETH_P_ALL in network order; frames without their Ethernet header
            var file = socket(17, 2 | 0x80000, 0x0300);
            var index = (int)if_nametoindex(device);
            var address = new byte[20];
            MemoryMarshal.Write(address, (ushort)17);
            MemoryMarshal.Write(address.AsSpan(2), (ushort)0x0300);
            MemoryMarshal.Write(address.AsSpan(4), index);
            if (file < 0 || index == 0 || bind(file, address, 20) != 0) throw new InvalidOperationException($"packet socket on {device}");
            var timeout = new long[] { 0, 50_000 };
            _ = setsockopt(file, 1, 20, timeout, 16);
            return (file, index);
        });
        _thread = new Thread(Receive) { IsBackground = true };
        _thread.Start();
    }

    /// <summary>IP packets seen so far.</summary>
    public List<byte[]> Packets
    {
        get
        {
            lock (_packets) return [.. _packets];
        }
    }

    /// <summary>IP packets whose source or destination is in one of the prefixes.</summary>
    public int Count(params string[] prefixes) => Packets.Count(packet => IpHeader.TryParse(packet, out var header) && prefixes.Any(prefix => Prefix(prefix).Contains(header.Flow.Source) || Prefix(prefix).Contains(header.Flow.Destination)));

    public int Count(Func<byte[], bool> which) => Packets.Count(which);

    /// <summary>Forgets what was seen.</summary>
    public void Clear()
    {
        lock (_packets) _packets.Clear();
    }

    /// <summary>Puts an IP packet on the link, to a station.</summary>
    public void Inject(byte[] packet, byte[] station)
    {
        var address = new byte[20];
        MemoryMarshal.Write(address, (ushort)17);
        MemoryMarshal.Write(address.AsSpan(2), packet[0] >> 4 == 4 ? (ushort)0x0008 : (ushort)0xDD86);
        MemoryMarshal.Write(address.AsSpan(4), _index);
        address[11] = 6;
        station.CopyTo(address, 12);
        if (sendto(_file, packet, packet.Length, 0, address, 20) != packet.Length) throw new SocketException(Marshal.GetLastPInvokeError());
    }

    public void Dispose()
    {
        _stopping = true;
        _thread.Join();
        _ = close(_file);
    }

    private static IpPrefix Prefix(string text)
    {
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        return new IpPrefix(IpAddress.Parse(text.AsSpan(0, slash)), int.Parse(text.AsSpan(slash + 1), System.Globalization.CultureInfo.InvariantCulture));
    }

    private void Receive()
    {
        var buffer = new byte[70000];
        while (!_stopping)
        {
            var length = (int)recv(_file, buffer, buffer.Length, 0);
            if (length <= 0 || buffer[0] >> 4 is not (4 or 6)) continue;
            lock (_packets) _packets.Add(buffer[..length]);
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socket(int family, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int bind(int file, byte[] address, int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setsockopt(int file, int level, int option, long[] value, int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint recv(int file, byte[] buffer, nint length, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint sendto(int file, byte[] buffer, nint length, int flags, byte[] address, int addressLength);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial uint if_nametoindex(string name);

    [LibraryImport("libc")]
    private static partial int close(int file);
}
