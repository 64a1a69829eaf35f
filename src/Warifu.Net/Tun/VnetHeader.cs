using System;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Warifu.Ipsec;

namespace Warifu.Net.Tun;

/// <summary>What goes before each packet of a TUN with offloads (linux/virtio_net.h): whether the checksum is still to be made, and how the packet is to be cut.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct VnetHeader
{
    public const int Length = 10;

    private const byte FlagNeedsChecksum = 1;
    private const byte GsoTcpV4 = 1, GsoTcpV6 = 4, GsoUdp = 5, GsoEcn = 0x80;

    public byte Flags;
    public byte Gso;
    public ushort HeaderLength;
    public ushort SegmentSize;
    public ushort ChecksumStart;
    public ushort ChecksumOffset;

    public readonly bool NeedsChecksum => (Flags & FlagNeedsChecksum) != 0;

    /// <summary>False for kinds that we never asked for.</summary>
    public readonly bool TryKind(out SegmentKind kind)
    {
        kind = (Gso & ~GsoEcn) switch
        {
            GsoTcpV4 => SegmentKind.TcpV4,
            GsoTcpV6 => SegmentKind.TcpV6,
            GsoUdp => SegmentKind.Udp,
            _ => SegmentKind.None,
        };
        return kind != SegmentKind.None || Gso == 0;
    }

    /// <summary>The header of a super-packet; of a single packet it is all zero.</summary>
    public static VnetHeader Of(in PacketRun run) => run.Count < 2 ? default : new VnetHeader
    {
        Flags = FlagNeedsChecksum,
        Gso = run.Kind switch { SegmentKind.TcpV4 => GsoTcpV4, SegmentKind.TcpV6 => GsoTcpV6, _ => GsoUdp },
        HeaderLength = (ushort)run.HeaderLength,
        SegmentSize = (ushort)run.Size,
        ChecksumStart = (ushort)run.UpperOffset,
        ChecksumOffset = (ushort)run.ChecksumOffset,
    };

    /// <summary>Completes a checksum whose place holds the sum of the pseudo-header. False when it would lie outside the packet.</summary>
    public readonly bool TryCompleteChecksum(Span<byte> packet)
    {
        if (ChecksumStart + ChecksumOffset + 2 > packet.Length) return false;
        var checksum = InternetChecksum.Compute(packet[ChecksumStart..]);
        BinaryPrimitives.WriteUInt16BigEndian(packet[(ChecksumStart + ChecksumOffset)..], checksum == 0 ? (ushort)0xFFFF : checksum);
        return true;
    }
}
