using System;
using System.Buffers.Binary;

namespace Warifu.Ipsec;

/// <summary>
/// The headers before AH as its ICV sees them (RFC 4302 section 3.3.3.1 and appendix A): what routers may change is zero, what they will change in a foreseeable way is as the receiver sees it. The same for
/// sender and receiver: at the receiver the foreseeable has happened.
/// </summary>
internal static class AhCoverage
{
    private const byte V4EndOfOptions = 0, V4NoOperation = 1, V4Security = 130, V4LooseRoute = 131, V4ExtendedSecurity = 133, V4CommercialSecurity = 134, V4StrictRoute = 137, V4RouterAlert = 148, V4SenderDirected = 149;

    private const byte V6Pad1 = 0, V6Mutable = 0x20;

    /// <param name="headers">IP header, options and extension headers up to AH, which the last of them names; changed in place.</param>
    /// <returns>False: malformed, or of a kind whose changes nobody can foresee.</returns>
    public static bool TryPrepare(Span<byte> headers) => headers[0] >> 4 == 4 ? TryPrepareV4(headers) : TryPrepareV6(headers);

    /// <summary>Appendix A2: a fragment header of a packet that is no fragment is no part of it. What is before it moves by its 8 octets: the packet begins 8 octets later.</summary>
    public static void RemoveFragmentHeader(Span<byte> packet, in IpHeader header)
    {
        packet[header.FragmentNamedOffset] = packet[header.FragmentHeaderOffset];
        BinaryPrimitives.WriteUInt16BigEndian(packet[4..], (ushort)(packet.Length - 48));
        packet[..header.FragmentHeaderOffset].CopyTo(packet[8..]);
    }

    private static bool TryPrepareV4(Span<byte> header)
    {
        if (header[9] != IpHeader.Ah) return false;
        // DSCP and ECN; flags and fragment offset; TTL; checksum
        header[1] = 0;
        header.Slice(6, 3).Clear();
        header.Slice(10, 2).Clear();
        var at = 20;
        while (at < header.Length)
        {
            var kind = header[at];
            if (kind == V4EndOfOptions) break;
            if (kind == V4NoOperation)
            {
                at++;
                continue;
            }

            if (at + 1 >= header.Length || header[at + 1] < 2 || header[at + 1] > header.Length - at) return false;
            var option = header.Slice(at, header[at + 1]);
            at += option.Length;
            switch (kind)
            {
                case V4Security or V4ExtendedSecurity or V4CommercialSecurity or V4RouterAlert or V4SenderDirected:
                    break;
                case V4LooseRoute or V4StrictRoute:
                    if (!TryFollowV4(header, option)) return false;
                    option.Clear();
                    break;
                default:
                    // mutable, or unknown: then all of it counts as mutable (section 3.3.3.1)
                    option.Clear();
                    break;
            }
        }

        return true;
    }

    /// <summary>RFC 791: the destination will be the last address of the route; when the pointer is behind the end, as it is in one without addresses, it is already.</summary>
    private static bool TryFollowV4(Span<byte> header, ReadOnlySpan<byte> route)
    {
        if (route.Length < 3 || (route.Length - 3) % 4 != 0 || route[2] < 4 || route[2] % 4 != 0) return false;
        if (route[2] <= route.Length) route[^4..].CopyTo(header[16..]);
        return true;
    }

    private static bool TryPrepareV6(Span<byte> headers)
    {
        // traffic class and flow label; hop limit
        BinaryPrimitives.WriteUInt32BigEndian(headers, 0x6000_0000);
        headers[7] = 0;
        var next = headers[6];
        var at = 40;
        while (at < headers.Length)
        {
            if (headers.Length - at < 8) return false;
            var length = 8 + (headers[at + 1] * 8);
            if (length > headers.Length - at) return false;
            var extension = headers.Slice(at, length);
            var good = next switch
            {
                IpHeader.HopByHop or IpHeader.DestinationOptions => TryClearMutableOptions(extension[2..]),
                IpHeader.Routing => TryFollowV6(headers, extension),
                _ => false,
            };
            if (!good) return false;
            next = extension[0];
            at += length;
        }

        return next == IpHeader.Ah;
    }

    /// <summary>RFC 8200 section 4.2: the third bit of the type. Type and length stay.</summary>
    private static bool TryClearMutableOptions(Span<byte> options)
    {
        while (!options.IsEmpty)
        {
            if (options[0] == V6Pad1)
            {
                options = options[1..];
                continue;
            }

            if (options.Length < 2 || options[1] > options.Length - 2) return false;
            if ((options[0] & V6Mutable) != 0) options.Slice(2, options[1]).Clear();
            options = options[(2 + options[1])..];
        }

        return true;
    }

    /// <summary>
    /// Types 0 (RFC 2460 section 4.4) and 2 (RFC 6275 section 6.4): each stop swaps the destination with the next address of the list. Of other types only those that are at their end are foreseeable.
    /// </summary>
    private static bool TryFollowV6(Span<byte> headers, Span<byte> routing)
    {
        int left = routing[3];
        if (left == 0) return true;
        var addresses = routing[8..];
        if (routing[2] is not (0 or 2) || addresses.Length % 16 != 0 || left > addresses.Length / 16) return false;
        var remaining = addresses[^(left * 16)..];
        Span<byte> last = stackalloc byte[16];
        remaining[^16..].CopyTo(last);
        remaining[..^16].CopyTo(remaining[16..]);
        headers.Slice(24, 16).CopyTo(remaining);
        last.CopyTo(headers[24..]);
        routing[3] = 0;
        return true;
    }
}
