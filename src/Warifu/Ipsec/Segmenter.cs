using System;
using System.Buffers.Binary;

namespace Warifu.Ipsec;

/// <summary>What kind of packet stands for many.</summary>
internal enum SegmentKind : byte
{
    /// <summary>An ordinary packet.</summary>
    None,
    TcpV4,
    TcpV6,
    /// <summary>UDP datagrams of one size, the last may be shorter.</summary>
    Udp,
}

/// <summary>
/// Cuts a packet that stands for many (segmentation offload: up to 64 kB with one header) into those that it stands for. Every segment is whole and right by itself: lengths, IPv4 Identification, sequence number,
/// flags, checksums. Nothing is allocated; the super-packet is only read.
/// </summary>
internal ref struct Segmenter
{
    private const byte Fin = 0x01, Psh = 0x08, Cwr = 0x80;
    private readonly ReadOnlySpan<byte> _packet;
    private readonly IpHeader _header;
    private readonly int _headers;
    private readonly int _size;
    private int _at;
    private ushort _index;

    private Segmenter(ReadOnlySpan<byte> packet, scoped in IpHeader header, int headers, int size)
    {
        _packet = packet;
        _header = header;
        _headers = headers;
        _size = size;
        _at = headers;
    }

    /// <summary>Octets of the next segment, 0 when all were written.</summary>
    public readonly int NextLength => _at >= _packet.Length ? 0 : _headers + Math.Min(_size, _packet.Length - _at);

    /// <summary>False when the packet is not of that kind, or has nothing to cut.</summary>
    /// <param name="packet">IP header first.</param>
    /// <param name="kind">What it stands for.</param>
    /// <param name="size">Octets of TCP or UDP payload in each segment but the last.</param>
    /// <param name="segmenter">Gives the segments in order.</param>
    public static bool TryStart(ReadOnlySpan<byte> packet, SegmentKind kind, int size, out Segmenter segmenter)
    {
        segmenter = default;
        if (size <= 0 || !IpHeader.TryParse(packet, out var header) || header.IsFragment) return false;
        packet = packet[..header.TotalLength];
        var fits = kind switch
        {
            SegmentKind.TcpV4 => header.Version == 4 && header.Flow.Protocol == IpHeader.Tcp,
            SegmentKind.TcpV6 => header.Version == 6 && header.Flow.Protocol == IpHeader.Tcp,
            SegmentKind.Udp => header.Flow.Protocol == IpHeader.Udp,
            _ => false,
        };
        var upper = packet[header.UpperOffset..];
        if (!fits || upper.Length < (kind == SegmentKind.Udp ? 8 : 20)) return false;
        var upperHeader = kind == SegmentKind.Udp ? 8 : (upper[12] >> 4) * 4;
        if (upperHeader < 8 || (kind != SegmentKind.Udp && upperHeader < 20) || upperHeader >= upper.Length) return false;
        segmenter = new Segmenter(packet, header, header.UpperOffset + upperHeader, size);
        return true;
    }

    /// <summary>Writes the next segment to the start of <paramref name="destination"/>, which has room for <see cref="NextLength"/> octets; returns its length.</summary>
    public int Next(Span<byte> destination)
    {
        var length = NextLength;
        if (length == 0) return 0;
        var segment = destination[..length];
        _packet[.._headers].CopyTo(segment);
        if (_header.Version == 4)
        {
            BinaryPrimitives.WriteUInt16BigEndian(segment[2..], (ushort)length);
            // each segment is a datagram of its own (RFC 6864): the numbers go on
            BinaryPrimitives.WriteUInt16BigEndian(segment[4..], (ushort)(BinaryPrimitives.ReadUInt16BigEndian(_packet[4..]) + _index));
            IpHeader.WriteV4Checksum(segment[.._header.UpperOffset]);
        }
        else
        {
            BinaryPrimitives.WriteUInt16BigEndian(segment[4..], (ushort)(length - 40));
        }

        var upper = segment[_header.UpperOffset..];
        var last = _at + _size >= _packet.Length;
        var isTcp = _header.Flow.Protocol == IpHeader.Tcp;
        if (isTcp) WriteTcp(upper, last);
        else BinaryPrimitives.WriteUInt16BigEndian(upper[4..], (ushort)upper.Length);
        var checksumAt = isTcp ? 16 : 6;
        upper.Slice(checksumAt, 2).Clear();
        var sum = IpHeader.PseudoHeaderSum(_header.Flow.Source, _header.Flow.Destination, _header.Flow.Protocol, upper.Length);
        sum = InternetChecksum.Sum(segment[_header.UpperOffset.._headers], sum);
        sum = InternetChecksum.CopyAndSum(_packet.Slice(_at, length - _headers), segment[_headers..], sum);
        var checksum = InternetChecksum.Finish(sum);
        // RFC 768: zero would mean that there is none
        BinaryPrimitives.WriteUInt16BigEndian(upper[checksumAt..], checksum == 0 && !isTcp ? (ushort)0xFFFF : checksum);
        _at += length - _headers;
        _index++;
        return length;
    }

    private readonly void WriteTcp(Span<byte> tcp, bool last)
    {
        BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], BinaryPrimitives.ReadUInt32BigEndian(tcp[4..]) + (uint)(_at - _headers));
        // FIN and PSH belong to the end of the data, CWR to the first segment (RFC 3168 section 6.1.2)
        if (!last) tcp[13] &= unchecked((byte)~(Fin | Psh));
        if (_index != 0) tcp[13] &= unchecked((byte)~Cwr);
    }
}
