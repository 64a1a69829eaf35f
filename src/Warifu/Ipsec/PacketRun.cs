using System;
using System.Buffers.Binary;

namespace Warifu.Ipsec;

/// <summary>
/// The reverse of <see cref="Segmenter"/>: packets of one flow that follow each other become one super-packet, which a kernel takes in one piece. Only what the kernel would cut into exactly the same packets
/// is put together: equal headers, numbers that go on, right checksums (a wrong one must not be mended on the way), equal sizes but for the last. Nothing is allocated.
/// </summary>
internal struct PacketRun
{
    /// <summary>More is no faster, and the list of pieces has an end.</summary>
    public const int MaxCount = 64;

    private const byte Psh = 0x08, Ack = 0x10, Ece = 0x40;
    private int _upper;
    private int _headers;
    private bool _closed;
    private bool _push;
    private uint _nextSequence;
    private ushort _nextId;
    private bool _anyId;

    public SegmentKind Kind { get; private set; }

    /// <summary>Packets put together; 0 = none.</summary>
    public int Count { get; private set; }

    /// <summary>Octets of the super-packet.</summary>
    public int Length { get; private set; }

    /// <summary>Octets of payload in each packet but the last.</summary>
    public int Size { get; private set; }

    /// <summary>Octets of IP and TCP or UDP header.</summary>
    public readonly int HeaderLength => _headers;

    /// <summary>Where the TCP or UDP header begins.</summary>
    public readonly int UpperOffset => _upper;

    public readonly int ChecksumOffset => Kind == SegmentKind.Udp ? 6 : 16;

    /// <summary>Begins with a packet. False when it is of no kind that may be joined: then the run is empty.</summary>
    public bool TryBegin(ReadOnlySpan<byte> packet)
    {
        this = default;
        if (!TryRead(packet, out var kind, out var upper, out var headers) || !HasRightChecksums(packet, upper)) return false;
        (Kind, _upper, _headers) = (kind, upper, headers);
        Count = 1;
        Length = packet.Length;
        Size = packet.Length - headers;
        if (kind == SegmentKind.TcpV4 || (kind == SegmentKind.Udp && packet[0] >> 4 == 4))
        {
            // a datagram that is never fragmented has no Identification that means something (RFC 6864 section 4.1)
            _anyId = (packet[6] & 0x40) != 0;
            _nextId = (ushort)(BinaryPrimitives.ReadUInt16BigEndian(packet[4..]) + 1);
        }
        else
        {
            _anyId = true;
        }

        if (kind == SegmentKind.Udp) return true;
        var tcp = packet[upper..];
        _nextSequence = BinaryPrimitives.ReadUInt32BigEndian(tcp[4..]) + (uint)Size;
        _push = _closed = (tcp[13] & Psh) != 0;
        return true;
    }

    /// <summary>True when the packet is the next of the run that begins with <paramref name="first"/>: its payload (from <see cref="HeaderLength"/> on) goes behind the others.</summary>
    public bool TryJoin(ReadOnlySpan<byte> first, ReadOnlySpan<byte> packet)
    {
        if (Count == 0 || _closed || Count == MaxCount) return false;
        var payload = packet.Length - _headers;
        if (payload <= 0 || payload > Size || Length + payload > ushort.MaxValue) return false;
        if (!TryRead(packet, out var kind, out var upper, out var headers) || kind != Kind || upper != _upper || headers != _headers) return false;
        if (!SameIp(first, packet) || !(Kind == SegmentKind.Udp ? SameUdp(first[upper..], packet[upper..]) : SameTcp(first[upper..headers], packet[upper..headers]))) return false;
        if (!HasRightChecksums(packet, upper)) return false;
        Count++;
        Length += payload;
        _nextId++;
        _nextSequence += (uint)payload;
        if (Kind != SegmentKind.Udp && (packet[upper + 13] & Psh) != 0) _push = _closed = true;
        if (payload < Size) _closed = true;
        return true;
    }

    /// <summary>Makes the first packet's header that of the super-packet: lengths, PSH of the last, and in the checksum's place the sum of the pseudo-header, which the kernel completes.</summary>
    public readonly void Finish(Span<byte> first)
    {
        if (first[0] >> 4 == 4)
        {
            BinaryPrimitives.WriteUInt16BigEndian(first[2..], (ushort)Length);
            IpHeader.WriteV4Checksum(first[.._upper]);
        }
        else
        {
            BinaryPrimitives.WriteUInt16BigEndian(first[4..], (ushort)(Length - 40));
        }

        if (Kind == SegmentKind.Udp) BinaryPrimitives.WriteUInt16BigEndian(first[(_upper + 4)..], (ushort)(Length - _upper));
        else if (_push) first[_upper + 13] |= Psh;
        BinaryPrimitives.WriteUInt16BigEndian(first[(_upper + ChecksumOffset)..], (ushort)~InternetChecksum.Finish(PseudoSum(first, _upper, Length - _upper)));
    }

    /// <summary>IPv4 without options or IPv6 without extension headers, TCP with data and nothing but ACK, PSH and ECE, or UDP with a checksum.</summary>
    private static bool TryRead(ReadOnlySpan<byte> packet, out SegmentKind kind, out int upper, out int headers)
    {
        (kind, upper, headers) = (SegmentKind.None, 0, 0);
        if (packet.Length < 28) return false;
        byte protocol;
        if (packet[0] == 0x45)
        {
            if ((BinaryPrimitives.ReadUInt16BigEndian(packet[6..]) & 0xBFFF) != 0) return false;
            (protocol, upper) = (packet[9], 20);
        }
        else if (packet[0] >> 4 == 6 && packet.Length >= 48)
        {
            (protocol, upper) = (packet[6], 40);
        }
        else
        {
            return false;
        }

        var rest = packet[upper..];
        if (protocol == IpHeader.Udp)
        {
            (kind, headers) = (SegmentKind.Udp, upper + 8);
            return rest.Length > 8 && BinaryPrimitives.ReadUInt16BigEndian(rest[4..]) == rest.Length && BinaryPrimitives.ReadUInt16BigEndian(rest[6..]) != 0;
        }

        if (protocol != IpHeader.Tcp || rest.Length <= 20 || (rest[13] & Ack) == 0 || (rest[13] & ~(Ack | Psh | Ece)) != 0) return false;
        kind = upper == 20 ? SegmentKind.TcpV4 : SegmentKind.TcpV6;
        headers = upper + ((rest[12] >> 4) * 4);
        return headers >= upper + 20 && headers < packet.Length;
    }

    private static bool HasRightChecksums(ReadOnlySpan<byte> packet, int upper) =>
        (upper == 40 || InternetChecksum.Compute(packet[..20]) == 0) && InternetChecksum.Compute(packet[upper..], PseudoSum(packet, upper, packet.Length - upper)) == 0;

    private static ulong PseudoSum(ReadOnlySpan<byte> packet, int upper, int length) =>
        upper == 20 ? InternetChecksum.Sum(packet[12..20]) + packet[9] + (ulong)length : InternetChecksum.Sum(packet[8..40]) + packet[6] + (ulong)length;

    private readonly bool SameIp(ReadOnlySpan<byte> first, ReadOnlySpan<byte> packet)
    {
        // all but lengths, Identification and checksum: version, TOS or class and flow label, fragment field, TTL, protocol, addresses
        if (_upper == 40) return first[..4].SequenceEqual(packet[..4]) && first[6..40].SequenceEqual(packet[6..40]);
        return first[1] == packet[1] && first[6..10].SequenceEqual(packet[6..10]) && first[12..20].SequenceEqual(packet[12..20]) && (_anyId || BinaryPrimitives.ReadUInt16BigEndian(packet[4..]) == _nextId);
    }

    private static bool SameUdp(ReadOnlySpan<byte> first, ReadOnlySpan<byte> udp) => first[..4].SequenceEqual(udp[..4]);

    /// <summary>Ports, acknowledgement, offset, flags but PSH, window, urgent pointer and options are equal, and the data goes on.</summary>
    private readonly bool SameTcp(ReadOnlySpan<byte> first, ReadOnlySpan<byte> tcp) =>
        BinaryPrimitives.ReadUInt32BigEndian(tcp[4..]) == _nextSequence && first[..4].SequenceEqual(tcp[..4]) && first[8..13].SequenceEqual(tcp[8..13]) && ((first[13] ^ tcp[13]) & ~Psh) == 0
        && first[14..16].SequenceEqual(tcp[14..16]) && first[18..].SequenceEqual(tcp[18..]);
}
