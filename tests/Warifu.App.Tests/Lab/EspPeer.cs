using System;
using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.ComponentModel;
using System.Globalization;
using System.Linq;
using System.Net;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Warifu.App.Tests.Lab;

/// <summary>
/// Carries the traffic of a daemon under the <see cref="KeyShim"/>: TUN on one side, IP protocol 50 on the other, one thread inside the namespace, <see cref="EspCodec"/> in between. It is a strict
/// receiver: whatever in a packet is not as RFC 4303 has it goes to <see cref="Faults"/>.
/// </summary>
internal sealed partial class EspPeer : IAsyncDisposable
{
    private const string Device = "esp0";
    private const int NewNet = 0x40000000; // CLONE_NEWNET

    // the right side of a Topology
    private static readonly IPAddress[] s_outer = [IPAddress.Parse("198.51.100.2"), IPAddress.Parse("2001:db8:2::2")];
    private static readonly string[] s_inner = ["10.10.2.1", "fd10:2::1"];

    private readonly string _ns;
    private readonly KeyShim _shim;
    private readonly Thread _thread;
    private readonly Dictionary<uint, Sa> _inbound = [];
    private readonly List<ShimLine> _outbound = [];
    private readonly Dictionary<uint, Sa> _sealers = [];
    private readonly List<ShimLine> _policies = [];
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _stopping;
    private int _received;
    private int _sent;

    private EspPeer(string ns, KeyShim shim)
    {
        (_ns, _shim) = (ns, shim);
        _thread = new Thread(Run) { IsBackground = true, Name = "esp-" + ns };
    }

    public ConcurrentQueue<string> Faults { get; } = new();

    /// <summary>Good packets.</summary>
    public int Received => Volatile.Read(ref _received);

    public int Sent => Volatile.Read(ref _sent);

    /// <param name="ns">Where the daemon runs.</param>
    /// <param name="shim">Its keys.</param>
    public static async Task<EspPeer> StartAsync(string ns, KeyShim shim)
    {
        var peer = new EspPeer(ns, shim);
        peer._thread.Start();
        await peer._ready.Task;
        return peer;
    }

    public ValueTask DisposeAsync()
    {
        _stopping = true;
        _thread.Join();
        return ValueTask.CompletedTask;
    }

    // ---- the thread

    private void Run()
    {
        var files = new List<int>();
        try
        {
            var (tun, raw4, raw6, ah) = OpenInside(files);
            Ip("link", "set", "dev", Device, "mtu", "1400", "up");
            _ready.SetResult();
            Loop(tun, raw4, raw6, ah);
        }
        catch (Exception exception)
        {
            Faults.Enqueue(exception.ToString());
            _ready.TrySetException(exception);
        }
        finally
        {
            foreach (var file in files) _ = Libc.close(file);
        }
    }

    /// <summary>Files keep the namespace in which they were opened; the thread goes back at once, so that no thread of the pool is ever born in there.</summary>
    private (int Tun, int Raw4, int Raw6, int Ah) OpenInside(List<int> files)
    {
        var (home, away) = (Libc.Check(Libc.open("/proc/thread-self/ns/net", 0), "netns"), Libc.Check(Libc.open("/var/run/netns/" + _ns, 0), "netns"));
        files.AddRange([home, away]);
        Libc.Check(Libc.setns(away, NewNet), "setns");
        try
        {
            var opened = (OpenTun(), Libc.Check(Libc.socket(2, 3, 50), "raw"), Libc.Check(Libc.socket(10, 3, 50), "raw6"), Libc.Check(Libc.socket(2, 3, AhProtocol), "raw AH"));
            files.AddRange([opened.Item1, opened.Item2, opened.Item3, opened.Item4]);
            // IP_HDRINCL
            Libc.Check(Libc.setsockopt(opened.Item4, 0, 3, BitConverter.GetBytes(1), 4), "raw AH");
            return opened;
        }
        finally
        {
            Libc.Check(Libc.setns(home, NewNet), "setns");
        }
    }

    private void Loop(int tun, int raw4, int raw6, int ah)
    {
        var buffer = new byte[65536];
        var (done, waiting) = (0, new[] { new Libc.PollFile(tun, 1), new Libc.PollFile(raw4, 1), new Libc.PollFile(raw6, 1), new Libc.PollFile(ah, 1) });
        while (!_stopping)
        {
            _ = Libc.poll(waiting, 4, 10);
            // keys first: the packet that just came may be the first of its SA
            var lines = _shim.Lines();
            for (; done < lines.Count; done++) Obey(lines[done]);
            if (waiting[0].Returned != 0 && Libc.read(tun, buffer, buffer.Length) is var inner and > 0) Outbound(buffer[..(int)inner], raw4, raw6, ah);
            if (waiting[1].Returned != 0 && Libc.recv(raw4, buffer, buffer.Length, 0) is var v4 and > 0) InboundV4(buffer[..(int)v4], tun);
            if (waiting[3].Returned != 0 && Libc.recv(ah, buffer, buffer.Length, 0) is var authentic and > 0) InboundAh(buffer[..(int)authentic], tun);
            if (waiting[2].Returned != 0)
            {
                var (from, size) = (new byte[28], 28);
                if (Libc.recvfrom(raw6, buffer, buffer.Length, 0, from, ref size) is var v6 and > 0) Inbound(buffer[..(int)v6], new IPAddress(from.AsSpan(8, 16)), null, tun);
            }
        }
    }

    private void Obey(ShimLine line)
    {
        switch (line.Op)
        {
            case "sa" or "delsa" when line.Protocol == "ah":
                ObeyAh(line);
                break;
            case "sa" when line.Protocol == "esp":
                if (line.Encapsulation != 0) Faults.Enqueue($"SA {line.Spi:x8} wants UDP");
                var sa = new Sa(line);
                // the daemon does not say which way an SA goes; its destination does
                if (s_outer.Contains(IPAddress.Parse(line.Destination))) _inbound[line.Spi] = sa;
                else
                {
                    _sealers[line.Spi] = sa;
                    _outbound.RemoveAll(old => old.Spi == line.Spi);
                    _outbound.Add(line);
                }

                break;
            case "delsa":
                _inbound.Remove(line.Spi);
                _sealers.Remove(line.Spi);
                _outbound.RemoveAll(old => old.Spi == line.Spi);
                break;
            case "policy" when line is { Direction: "out", Action: 0, TemplateProtocol: "esp" or "ah" }:
                if (line.TemplateReqId == 0 && IPAddress.Parse(line.TemplateDestination).GetAddressBytes().All(octet => octet == 0)) break;
                _policies.RemoveAll(old => SameSelector(old, line));
                _policies.Add(line);
                Lead(line);
                break;
            case "delpolicy" when line.Direction == "out":
                _policies.RemoveAll(old => SameSelector(old, line));
                break;
        }
    }

    private static bool SameSelector(ShimLine a, ShimLine b) => (a.Source, a.SourceLength, a.Destination, a.DestinationLength) == (b.Source, b.SourceLength, b.Destination, b.DestinationLength);

    /// <summary>Traffic into the TUN: by route for tunnels; in transport mode the daemon's own UDP and our ESP go to the same address, so that a rule takes ICMP and TCP only.</summary>
    private void Lead(ShimLine policy)
    {
        var family = policy.Destination.Contains(':', StringComparison.Ordinal) ? "-6" : "-4";
        var to = $"{policy.Destination}/{policy.DestinationLength.ToString(CultureInfo.InvariantCulture)}";
        if (policy.TemplateMode == "tunnel")
        {
            var source = s_inner.FirstOrDefault(one => Covers(policy.Source, policy.SourceLength, IPAddress.Parse(one)));
            Ip(source is null ? [family, "route", "replace", to, "dev", Device] : [family, "route", "replace", to, "dev", Device, "src", source]);
            return;
        }

        Ip(family, "route", "replace", to, "dev", Device, "table", "50");
        foreach (var protocol in new[] { family == "-6" ? "ipv6-icmp" : "icmp", "tcp" }) Ip(family, "rule", "add", "to", to, "ipproto", protocol, "lookup", "50", "priority", "50");
    }

    private void Ip(params string[] arguments)
    {
        var ended = Tool.RunAsync("ip", ["-n", _ns, .. arguments]).GetAwaiter().GetResult();
        if (!ended.Ok) Faults.Enqueue($"ip {string.Join(' ', arguments)}: {ended.All}");
    }

    // ---- packets

    private void Outbound(byte[] packet, int raw4, int raw6, int ah)
    {
        var v6 = packet[0] >> 4 == 6;
        var (source, destination) = v6 ? (new IPAddress(packet[8..24]), new IPAddress(packet[24..40])) : (new IPAddress(packet[12..16]), new IPAddress(packet[16..20]));
        var policy = _policies.LastOrDefault(one => Covers(one.Source, one.SourceLength, source) && Covers(one.Destination, one.DestinationLength, destination));
        if (policy is null) return;
        if (policy.TemplateProtocol == "ah")
        {
            OutboundAh(packet, policy, ah);
            return;
        }

        var end = policy.TemplateMode == "tunnel" ? policy.TemplateDestination : destination.ToString();
        var line = _outbound.LastOrDefault(one => one.Destination == end && (policy.TemplateReqId == 0 || one.ReqId == policy.TemplateReqId));
        if (line is null) return;
        var (payload, next) = policy.TemplateMode == "tunnel" ? (packet, (byte)(v6 ? 41 : 4)) : v6 ? (packet[40..], packet[6]) : (packet[((packet[0] & 15) * 4)..], packet[9]);
        var esp = _sealers[line.Spi].Codec.Seal(payload, next);
        var to = Address(line.Destination);
        if (Libc.sendto(line.Destination.Contains(':', StringComparison.Ordinal) ? raw6 : raw4, esp, esp.Length, 0, to, to.Length) == esp.Length) Interlocked.Increment(ref _sent);
        else Faults.Enqueue($"send: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");
    }

    private void InboundV4(byte[] packet, int tun) => Inbound(packet[((packet[0] & 15) * 4)..], new IPAddress(packet[12..16]), new IPAddress(packet[16..20]), tun);

    private void Inbound(byte[] esp, IPAddress source, IPAddress? destination, int tun)
    {
        if (esp.Length < 8) return;
        var spi = BinaryPrimitives.ReadUInt32BigEndian(esp);
        if (!_inbound.TryGetValue(spi, out var sa))
        {
            Faults.Enqueue($"unknown SPI {spi:x8}");
            return;
        }

        if (sa.Judge(esp) is { } fault)
        {
            Faults.Enqueue($"SPI {spi:x8}: {fault}");
            return;
        }

        var plain = sa.Codec.Open(esp, 0);
        if (plain is null)
        {
            Faults.Enqueue($"SPI {spi:x8}: wrong ICV");
            return;
        }

        var (next, padding) = (plain[^1], plain[^2]);
        var pad = plain[(plain.Length - 2 - padding)..^2];
        if (padding > 15 || !pad.SequenceEqual(Enumerable.Range(1, padding).Select(i => (byte)i))) Faults.Enqueue($"SPI {spi:x8}: padding {Convert.ToHexString(pad)}");
        var payload = plain[..(plain.Length - 2 - padding)];
        if (sa.Line.Mode == "tunnel")
        {
            if (next != (payload[0] >> 4 == 6 ? 41 : 4)) Faults.Enqueue($"SPI {spi:x8}: next header {next.ToString(CultureInfo.InvariantCulture)}");
        }
        else
        {
            payload = Rebuild(payload, next, source, destination ?? IPAddress.Parse(sa.Line.Destination));
        }

        Interlocked.Increment(ref _received);
        if (Libc.write(tun, payload, payload.Length) < 0) Faults.Enqueue($"SPI {spi:x8}: the kernel refuses what was inside: {Convert.ToHexString(payload)}");
    }

    private static byte[] Rebuild(byte[] payload, byte next, IPAddress source, IPAddress destination)
    {
        if (source.GetAddressBytes().Length == 16)
            return [0x60, 0, 0, 0, (byte)(payload.Length >> 8), (byte)payload.Length, next, 64, .. source.GetAddressBytes(), .. destination.GetAddressBytes(), .. payload];
        var length = payload.Length + 20;
        byte[] head = [0x45, 0, (byte)(length >> 8), (byte)length, 0, 0, 0, 0, 64, next, 0, 0, .. source.GetAddressBytes(), .. destination.GetAddressBytes()];
        var sum = 0;
        for (var i = 0; i < 20; i += 2) sum += (head[i] << 8) | head[i + 1];
        sum = (sum & 0xFFFF) + (sum >> 16);
        sum = ~(sum + (sum >> 16));
        (head[10], head[11]) = ((byte)(sum >> 8), (byte)sum);
        return [.. head, .. payload];
    }

    private static bool Covers(string network, int length, IPAddress address)
    {
        var (a, b) = (IPAddress.Parse(network).GetAddressBytes(), address.GetAddressBytes());
        if (a.Length != b.Length) return false;
        for (var bit = 0; bit < length; bit++)
        {
            if ((((a[bit / 8] ^ b[bit / 8]) >> (7 - (bit % 8))) & 1) != 0) return false;
        }

        return true;
    }

    private static byte[] Address(string text)
    {
        var octets = IPAddress.Parse(text).GetAddressBytes();
        return octets.Length == 4 ? [2, 0, 0, 0, .. octets, 0, 0, 0, 0, 0, 0, 0, 0] : [10, 0, 0, 0, 0, 0, 0, 0, .. octets, 0, 0, 0, 0];
    }

    private static int OpenTun()
    {
        var file = Libc.Check(Libc.open("/dev/net/tun", 2), "tun");
        var request = new byte[40];
        Encoding.ASCII.GetBytes(Device).CopyTo(request, 0);
        request[16] = 0x01; // IFF_TUN | IFF_NO_PI
        request[17] = 0x10;
        Libc.Check(Libc.ioctl(file, 0x400454CA, request), "tun");
        return file;
    }

    /// <summary>An SA and what a strict receiver remembers of it.</summary>
    private sealed class Sa(ShimLine line)
    {
        private readonly HashSet<string> _ivs = [];
        private uint _last;

        public ShimLine Line => line;

        public EspCodec Codec { get; } = new(line);

        /// <summary>The lab neither loses nor reorders: numbers count up by one from 1, IVs never come twice, and those of CBC are no counter.</summary>
        public string? Judge(byte[] esp)
        {
            var sequence = BinaryPrimitives.ReadUInt32BigEndian(esp.AsSpan(4));
            if (sequence != _last + 1) return $"sequence number {sequence} after {_last}";
            _last = sequence;
            var iv = esp[8..Math.Min(esp.Length, 8 + Codec.IvLength)];
            if (iv.Length > 0 && !_ivs.Add(Convert.ToHexString(iv))) return "the same IV again";
            return iv.Length == 16 && iv.AsSpan(0, 4).IndexOfAnyExcept((byte)0) < 0 ? "a predictable IV" : null;
        }
    }

    private static partial class Libc
    {
        [StructLayout(LayoutKind.Sequential)]
        public struct PollFile(int file, short events)
        {
            public int File = file;
            public short Events = events;
            public short Returned;
        }

        public static int Check(int result, string what) => result >= 0 ? result : throw new Win32Exception(Marshal.GetLastPInvokeError(), what);

        [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
        public static partial int open(string path, int flags);

        [LibraryImport("libc", SetLastError = true)]
        public static partial int close(int file);

        [LibraryImport("libc", SetLastError = true)]
        public static partial int setns(int file, int type);

        [LibraryImport("libc", SetLastError = true)]
        public static partial int socket(int domain, int type, int protocol);

        [LibraryImport("libc", SetLastError = true)]
        public static partial int setsockopt(int file, int level, int name, byte[] value, int length);

        [LibraryImport("libc", SetLastError = true)]
        public static partial int ioctl(int file, nuint request, byte[] argument);

        [LibraryImport("libc", SetLastError = true)]
        public static partial int poll([In, Out] PollFile[] files, nuint count, int timeout);

        [LibraryImport("libc", SetLastError = true)]
        public static partial nint read(int file, [Out] byte[] buffer, nint length);

        [LibraryImport("libc", SetLastError = true)]
        public static partial nint write(int file, byte[] buffer, nint length);

        [LibraryImport("libc", SetLastError = true)]
        public static partial nint recv(int file, [Out] byte[] buffer, nint length, int flags);

        [LibraryImport("libc", SetLastError = true)]
        public static partial nint recvfrom(int file, [Out] byte[] buffer, nint length, int flags, [Out] byte[] from, ref int size);

        [LibraryImport("libc", SetLastError = true)]
        public static partial nint sendto(int file, byte[] buffer, nint length, int flags, byte[] to, int size);
    }
}
