using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.ComponentModel;
using System.Globalization;
using System.Linq;
using System.Net;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Threading;

namespace Warifu.App.Tests.Lab;

/// <summary>AH (RFC 4302) in tunnel mode over IPv4 with the HMACs, for a daemon under the key shim: once more, slow and simple.</summary>
internal sealed partial class EspPeer
{
    private const int AhProtocol = 51, IpInIp = 4, IpHeader = 20, AhFixed = 12;

    private readonly Dictionary<uint, AhSa> _ahInbound = [];
    private readonly Dictionary<uint, AhSa> _ahOutbound = [];
    private ushort _identification;

    private void ObeyAh(ShimLine line)
    {
        if (line.Op == "delsa")
        {
            _ahInbound.Remove(line.Spi);
            _ahOutbound.Remove(line.Spi);
        }
        else if (line.MacKey.Length > 0)
        {
            (s_outer.Contains(IPAddress.Parse(line.Destination)) ? _ahInbound : _ahOutbound)[line.Spi] = new AhSa(line);
        }
    }

    /// <summary>The outer header is ours, since AH covers it.</summary>
    private void OutboundAh(byte[] packet, ShimLine policy, int raw)
    {
        if (_ahOutbound.Values.LastOrDefault(one => one.Line.Destination == policy.TemplateDestination) is not { } sa) return;
        var length = IpHeader + AhFixed + sa.IcvLength + packet.Length;
        byte[] outer =
        [
            0x45, 0, (byte)(length >> 8), (byte)length, (byte)(++_identification >> 8), (byte)_identification, 0, 0, 64, AhProtocol, 0, 0,
            .. IPAddress.Parse(policy.TemplateSource).GetAddressBytes(), .. IPAddress.Parse(policy.TemplateDestination).GetAddressBytes(),
            IpInIp, (byte)(((AhFixed + sa.IcvLength) / 4) - 2), 0, 0, .. BigEndian(sa.Line.Spi), .. BigEndian(++sa.Sequence), .. new byte[sa.IcvLength], .. packet,
        ];
        sa.Icv(outer).CopyTo(outer, IpHeader + AhFixed);
        var to = Address(policy.TemplateDestination);
        if (Libc.sendto(raw, outer, outer.Length, 0, to, to.Length) == outer.Length) Interlocked.Increment(ref _sent);
        else Faults.Enqueue($"send: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");
    }

    private void InboundAh(byte[] packet, int tun)
    {
        var spi = packet.Length < IpHeader + AhFixed ? 0 : BinaryPrimitives.ReadUInt32BigEndian(packet.AsSpan(IpHeader + 4));
        if (packet[0] != 0x45 || !_ahInbound.TryGetValue(spi, out var sa) || packet.Length < IpHeader + AhFixed + sa.IcvLength)
        {
            Faults.Enqueue($"AH: nothing for SPI {spi:x8}");
            return;
        }

        var (sequence, icv) = (BinaryPrimitives.ReadUInt32BigEndian(packet.AsSpan(IpHeader + 8)), packet.AsSpan(IpHeader + AhFixed, sa.IcvLength).ToArray());
        if (sequence != ++sa.Sequence) Faults.Enqueue($"AH: sequence number {sequence.ToString(CultureInfo.InvariantCulture)}");
        if (packet[IpHeader] != IpInIp || packet[IpHeader + 1] != ((AhFixed + sa.IcvLength) / 4) - 2 || packet[IpHeader + 2] != 0 || packet[IpHeader + 3] != 0) Faults.Enqueue($"AH: header {Convert.ToHexString(packet, IpHeader, AhFixed)}");
        if (!sa.Icv(packet).AsSpan().SequenceEqual(icv))
        {
            Faults.Enqueue("AH: wrong ICV");
            return;
        }

        var inner = packet[(IpHeader + AhFixed + sa.IcvLength)..];
        Interlocked.Increment(ref _received);
        if (Libc.write(tun, inner, inner.Length) < 0) Faults.Enqueue($"AH: the kernel refuses what was inside: {Convert.ToHexString(inner)}");
    }

    private static byte[] BigEndian(uint value) => [(byte)(value >> 24), (byte)(value >> 16), (byte)(value >> 8), (byte)value];

    private sealed class AhSa(ShimLine line)
    {
        public ShimLine Line => line;

        public uint Sequence { get; set; }

        public int IcvLength { get; } = line.IcvBits > 0 ? line.IcvBits / 8 : line.Mac switch { "hmac(sha256)" or "sha256" => 16, "hmac(sha512)" or "sha512" => 32, _ => 12 };

        /// <summary>Over the packet with what changes on the way as zero (section 3.3.3): TOS, flags and offset, TTL, checksum, and the ICV itself.</summary>
        public byte[] Icv(byte[] packet)
        {
            var copy = (byte[])packet.Clone();
            copy[1] = 0;
            copy.AsSpan(6, 3).Clear();
            copy.AsSpan(10, 2).Clear();
            copy.AsSpan(IpHeader + AhFixed, IcvLength).Clear();
            var key = Convert.FromHexString(line.MacKey);
            var mac = line.Mac switch
            {
                "hmac(sha1)" or "sha1" => HMACSHA1.HashData(key, copy),
                "hmac(sha256)" or "sha256" => HMACSHA256.HashData(key, copy),
                "hmac(sha512)" or "sha512" => HMACSHA512.HashData(key, copy),
                _ => throw new NotSupportedException(line.Mac),
            };
            return mac[..IcvLength];
        }
    }
}
