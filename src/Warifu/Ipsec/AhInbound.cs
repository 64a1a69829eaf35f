using System;
using System.Buffers.Binary;
using Warifu.Crypto;

namespace Warifu.Ipsec;

/// <summary>Checks packets with AH (RFC 4302 section 3.4): replay check, ICV, replay commit.</summary>
internal sealed class AhInbound(PacketMac mac, ReplayWindow window, bool esn) : SaInbound(window, esn)
{
    /// <summary>Checks a whole IP packet; its headers are afterwards as they came.</summary>
    /// <param name="packet">IP header to the end; AH behind <paramref name="header"/>'s last extension header.</param>
    /// <param name="header">Its IP header.</param>
    /// <param name="payload">What stands behind AH.</param>
    /// <param name="nextHeader">What kind that is.</param>
    /// <param name="newest">Authentic and the highest number so far.</param>
    public PacketDrop Open(Span<byte> packet, in IpHeader header, out Range payload, out byte nextHeader, out bool newest)
    {
        (payload, nextHeader, newest) = (default, 0, false);
        var at = header.UpperOffset;
        if (at > AhOverhead.MostHeaders || packet.Length - at < AhOverhead.FixedLength) return PacketDrop.TooShort;
        var length = (packet[at + 1] + 2) * 4;
        if (packet.Length - at < length) return PacketDrop.TooShort;
        // section 3.3.3.2.1 forbids more padding than needed. For IPv4, Linux pads to 8 octets as for IPv6 when nobody tells it otherwise: as the ICV covers it, that does no harm.
        if (length != AhOverhead.Length(mac.FieldLength, header.Version == 6) && length != AhOverhead.Length(mac.FieldLength, v6: true)) return PacketDrop.Integrity;
        var sequence = Window.Infer(BinaryPrimitives.ReadUInt32BigEndian(packet[(at + 8)..]));
        if (!Window.Check(sequence)) return PacketDrop.Replay;
        var highest = Window.Highest;
        Span<byte> headers = stackalloc byte[at];
        packet[..at].CopyTo(headers);
        var authentic = AhCoverage.TryPrepare(packet[..at]) && mac.Open(packet, at + AhOverhead.FixedLength, HighHalf(sequence));
        headers.CopyTo(packet);
        if (!authentic) return PacketDrop.Integrity;
        if (!Window.Commit(sequence)) return PacketDrop.Replay;
        newest = sequence > highest;
        nextHeader = packet[at];
        payload = (at + length)..packet.Length;
        return PacketDrop.None;
    }

    public override void Dispose() => mac.Dispose();
}
