using System;
using Warifu.Crypto;

namespace Warifu.Ipsec;

/// <summary>How much larger ESP makes a packet.</summary>
internal static class EspOverhead
{
    /// <summary>Octets that a caller leaves free before an inner packet (outgoing) or an ESP packet (incoming): ESP header and IV, AH with the largest ICV and an IPv6 header before it, or a rebuilt IP header.</summary>
    public const int Headroom = 96;

    /// <summary>Octets that a caller leaves free behind: padding, trailer and ICV.</summary>
    public const int Tailroom = 64;

    public const int HeaderLength = 8;
    public const int UdpLength = 8;

    public static int OuterIpLength(bool outerV6) => outerV6 ? 40 : 20;

    /// <summary>Payload, padding and trailer are a multiple of this (RFC 4303 section 2.4).</summary>
    public static int Alignment(PacketCipher cipher) => Math.Max(4, cipher.BlockLength);

    /// <summary>Octets of padding before the two of the trailer.</summary>
    public static int Padding(int payloadLength, int alignment) => -(payloadLength + 2) & (alignment - 1);

    /// <summary>The largest payload whose packet is at most <paramref name="pathMtu"/> octets, <paramref name="ipLength"/> octets of IP header included. Tunnel mode: that is the inner packet.</summary>
    public static int MaxPayload(int pathMtu, int ipLength, bool udp, PacketCipher cipher)
    {
        var room = pathMtu - ipLength - (udp ? UdpLength : 0) - HeaderLength - cipher.IvLength - cipher.IcvLength;
        return Math.Max((room & -Alignment(cipher)) - 2, 0);
    }
}
