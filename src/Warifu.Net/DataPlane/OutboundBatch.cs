using System;
using System.Threading;
using Warifu.Ipsec;
using Warifu.Net.Linux;
using Warifu.Net.Tun;
using Warifu.Net.Udp;
using Warifu.Primitives;

namespace Warifu.Net.DataPlane;

/// <summary>The way out of one TUN: read -> cut -> protect -> send, many packets at a time. For one thread; nothing is allocated per packet.</summary>
internal sealed class OutboundBatch : IDisposable
{
    private const int LargestPacket = 65535;

    /// <summary>Packets that wait to be sent; more is not worth the cache that it takes.</summary>
    private const int Room = 192 * 1024;

    /// <summary>A device that never runs dry must not hold back what waits.</summary>
    private const int ReadsPerPass = 64;

    private readonly UdpHub _hub;
    private readonly PacketPath _path;
    private readonly TunDevice _tun;
    private readonly string? _boundInterface;
    private readonly SendBatch _send = new();
    private readonly byte[] _read = GC.AllocateUninitializedArray<byte>(LargestPacket + EspOverhead.Tailroom, pinned: true);
    private readonly byte[] _waiting = GC.AllocateUninitializedArray<byte>(Room, pinned: true);
    private readonly byte[] _reply = new byte[IcmpError.MaxLength];
    private byte[]? _whole;
    private byte[]? _sealed;
    private int _at;
    private uint _identification = (uint)System.Security.Cryptography.RandomNumberGenerator.GetInt32(int.MaxValue);
    private int _passes;

    /// <param name="hub">Sends.</param>
    /// <param name="path">Protects.</param>
    /// <param name="tun">Gives packets and takes ICMP errors.</param>
    /// <param name="boundInterface">Its name when connections are bound to it.</param>
    public OutboundBatch(UdpHub hub, PacketPath path, TunDevice tun, string? boundInterface) => (_hub, _path, _tun, _boundInterface) = (hub, path, tun, boundInterface);

    /// <summary>Reads what the device has, up to a limit, and sends it. Returns how many packets were read; negative when the device is gone.</summary>
    public int Pass()
    {
        // odd while one is under way
        Interlocked.Increment(ref _passes);
        var now = Libc.Now();
        var (reads, length) = (0, 0);
        while (reads < ReadsPerPass && (length = _tun.Read(_read.AsSpan(0, LargestPacket), out var header)) > 0)
        {
            reads++;
            Take(_read.AsSpan(0, length), header, now);
        }

        Flush();
        Interlocked.Increment(ref _passes);
        return length < 0 ? length : reads;
    }

    /// <summary>For another thread: returns when what was protected before is sent, or after so long.</summary>
    public void Await(TimeSpan patience)
    {
        // what this thread said before is seen by a pass that begins after
        Interlocked.MemoryBarrier();
        var seen = Volatile.Read(ref _passes);
        if ((seen & 1) != 0) SpinWait.SpinUntil(() => Volatile.Read(ref _passes) != seen, patience);
    }

    public void Dispose() => _send.Dispose();

    private void Take(Span<byte> packet, in VnetHeader header, Instant now)
    {
        if (!header.TryKind(out var kind)) return;
        if (kind != SegmentKind.None)
        {
            Cut(packet, kind, header.SegmentSize, now);
            return;
        }

        if (header.NeedsChecksum && !header.TryCompleteChecksum(packet)) return;
        packet.CopyTo(Place(packet.Length));
        Protect(packet.Length, now, out _);
    }

    /// <summary>A super-packet: its segments are of one flow, so that the first one's SA serves the others.</summary>
    private void Cut(ReadOnlySpan<byte> packet, SegmentKind kind, int size, Instant now)
    {
        if (!Segmenter.TryStart(packet, kind, size, out var segmenter)) return;
        OutboundResult first = default;
        while (segmenter.NextLength is var length and > 0)
        {
            segmenter.Next(Place(length));
            if (first.Verdict != OutboundVerdict.Protect || first.Sa is null)
            {
                Protect(length, now, out first);
                continue;
            }

            _path.ProtectNext(first, _waiting, _at + EspOverhead.Headroom, length, now, out var result);
            if (result.Verdict == OutboundVerdict.Protect) Queue(result);
            else first = default;
        }
    }

    /// <summary>The packet that stands at <see cref="Place"/>, all the way.</summary>
    private void Protect(int length, Instant now, out OutboundResult result)
    {
        _path.Outbound(_waiting, _at + EspOverhead.Headroom, length, _boundInterface, now, _reply, out result);
        switch (result.Verdict)
        {
            case OutboundVerdict.Protect:
                Queue(result);
                break;
            case OutboundVerdict.Fragment:
                Fragment(length, result, now);
                break;
            case OutboundVerdict.Discard when result.ReplyLength > 0:
                _ = _tun.TryWrite(_reply.AsSpan(0, result.ReplyLength));
                break;
        }
    }

    private void Fragment(int length, in OutboundResult whole, Instant now)
    {
        // the whole goes aside; its pieces then come to the usual place
        var packet = (_whole ??= new byte[LargestPacket]).AsSpan(0, length);
        _waiting.AsSpan(_at + EspOverhead.Headroom, length).CopyTo(packet);
        if (!IpHeader.TryParse(packet, out var header)) return;
        var at = 0;
        while (Ipv4Fragmenter.Next(packet, header, whole.FragmentMtu, ref at, Place(whole.FragmentMtu)) is var size and > 0)
        {
            _path.ProtectFragment(whole.Sa!, _waiting, _at + EspOverhead.Headroom, size, now, out var result);
            if (result.Verdict == OutboundVerdict.Protect) Queue(result);
        }
    }

    /// <summary>Where the next packet of at most <paramref name="length"/> octets goes, room for ESP around it; sends what waits when there is none.</summary>
    private Span<byte> Place(int length)
    {
        if (_at + EspOverhead.Headroom + length + EspOverhead.Tailroom > Room) Flush();
        return _waiting.AsSpan(_at + EspOverhead.Headroom, length);
    }

    private void Queue(in OutboundResult result)
    {
        var path = result.Path!;
        if (result.Sa!.Protocol == ProtocolId.Ah)
        {
            QueueAh(result);
            return;
        }

        if (_hub.EspSocket(path.IsV6, path.UdpEncapsulation) is not { } socket) return;
        var to = path.UdpEncapsulation ? path.Remote : path.Remote with { Port = 0 };
        _send.Add(socket, path.Local.Address, to, result.Tos, result.DontFragment, _waiting.AsSpan(result.Packet.Offset, result.Packet.Length));
        // the next one's headroom may be the end of this one's tailroom, but not of its octets
        _at = (result.Packet.Offset + result.Packet.Length + 15) & ~15;
    }

    /// <summary>A whole IP packet. Where it does not fit the path we cut it ourselves: the kernel cuts no packet whose header it did not make.</summary>
    private void QueueAh(in OutboundResult result)
    {
        var path = result.Path!;
        if (_hub.AhSocket(path.IsV6) is not { } socket) return;
        if (result.Packet.Length <= path.Mtu || result.DontFragment)
        {
            AddAh(socket, path, result.Packet.Offset, result.Packet.Length, result.DontFragment);
            return;
        }

        // not where a packet is that Fragment is cutting: a path may become narrower meanwhile
        var packet = (_sealed ??= new byte[LargestPacket]).AsSpan(0, result.Packet.Length);
        _waiting.AsSpan(result.Packet.Offset, result.Packet.Length).CopyTo(packet);
        if (!IpHeader.TryParse(packet, out var header)) return;
        var (at, size, identification) = (0, 0, ++_identification);
        do
        {
            var piece = Place(path.Mtu);
            size = path.IsV6 ? Ipv6Fragmenter.Next(packet, header.UpperOffset, header.ProtocolOffset, identification, path.Mtu, ref at, piece) : Ipv4Fragmenter.Next(packet, header, path.Mtu, ref at, piece);
            if (size > 0) AddAh(socket, path, _at + EspOverhead.Headroom, size, dontFragment: false);
        }
        while (size > 0);
    }

    private void AddAh(DatagramSocket socket, SaPath path, int offset, int length, bool dontFragment)
    {
        _send.Add(socket, default, path.Remote with { Port = 0 }, 0, dontFragment, _waiting.AsSpan(offset, length));
        _at = (offset + length + 15) & ~15;
    }

    private void Flush()
    {
        _send.Flush();
        _at = 0;
    }
}
