using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;

namespace Warifu.App.Tests.Lab;

/// <summary>A packet on UDP port 4500: ESP by its SPI, or IKE by both of its SPIs.</summary>
internal readonly record struct WirePacket(DateTime At, string From, uint EspSpi, string IkeSpis);

/// <summary>What tcpdump wrote of IPv4 packets on Ethernet, for tests that ask in which order things went over the wire.</summary>
internal static class WireLog
{
    public static IReadOnlyList<WirePacket> Read(string file)
    {
        var packets = new List<WirePacket>();
        var octets = File.ReadAllBytes(file).AsSpan();
        for (var at = 24; at + 16 <= octets.Length;)
        {
            var (seconds, micros, length) = (BinaryPrimitives.ReadUInt32LittleEndian(octets[at..]), BinaryPrimitives.ReadUInt32LittleEndian(octets[(at + 4)..]), BinaryPrimitives.ReadInt32LittleEndian(octets[(at + 8)..]));
            var frame = octets.Slice(at + 16, length);
            at += 16 + length;
            if (frame.Length < 54 || frame[12] != 0x08 || frame[14] != 0x45 || frame[23] != 17) continue;
            var payload = frame[42..];
            var time = DateTime.UnixEpoch.AddTicks((seconds * TimeSpan.TicksPerSecond) + (micros * TimeSpan.TicksPerMicrosecond)).ToLocalTime();
            var from = $"{frame[26]}.{frame[27]}.{frame[28]}.{frame[29]}";
            var spi = BinaryPrimitives.ReadUInt32BigEndian(payload);
            if (spi != 0) packets.Add(new WirePacket(time, from, spi, ""));
            else if (payload.Length >= 32) packets.Add(new WirePacket(time, from, 0, $"{Convert.ToHexStringLower(payload.Slice(4, 8))} {Convert.ToHexStringLower(payload.Slice(12, 8))}"));
        }

        return packets;
    }
}
