using System;
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2;

/// <summary>NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP (RFC 7296 section 2.23).</summary>
internal static class NatDetection
{
    /// <summary>SHA-1 of both SPIs, address and port.</summary>
    public static byte[] Hash(IkeSpi initiator, IkeSpi responder, Endpoint endpoint)
    {
        Span<byte> input = stackalloc byte[34];
        BinaryPrimitives.WriteUInt64BigEndian(input, initiator.Value);
        BinaryPrimitives.WriteUInt64BigEndian(input[8..], responder.Value);
        endpoint.Address.Write(input[16..]);
        var length = 16 + endpoint.Address.Length;
        BinaryPrimitives.WriteUInt16BigEndian(input[length..], endpoint.Port);
        return SHA1.HashData(input[..(length + 2)]);
    }

    /// <param name="builder">Message under construction.</param>
    /// <param name="initiator">SPI.</param>
    /// <param name="responder">SPI; zero in the first message.</param>
    /// <param name="local">Where we send from.</param>
    /// <param name="remote">Where we send to.</param>
    /// <param name="pretend">A wrong source hash makes the peer believe that we are behind a NAT, so that ESP travels in UDP.</param>
    public static void Write(MessageBuilder builder, IkeSpi initiator, IkeSpi responder, Endpoint local, Endpoint remote, bool pretend)
    {
        var source = Hash(initiator, responder, local);
        if (pretend) source[0] ^= 0xFF;
        builder.Notify(NotifyType.NatDetectionSourceIp, source);
        builder.Notify(NotifyType.NatDetectionDestinationIp, Hash(initiator, responder, remote));
    }

    /// <summary>Transport mode (RFC 7296 section 2.23.1): the addresses of selectors as the other side of a NAT wrote them become those that are seen here.</summary>
    /// <param name="selectors">Of one end; each must hold exactly the one address of that end.</param>
    /// <param name="behindNat">That end is behind a NAT.</param>
    /// <param name="seen">Its address as it is seen here.</param>
    /// <param name="original">The address as it was written; none when nothing was replaced.</param>
    public static ImmutableArray<TrafficSelector> Substitute(ImmutableArray<TrafficSelector> selectors, bool behindNat, IpAddress seen, out IpAddress original)
    {
        original = default;
        if (selectors.IsEmpty || selectors[0].First.Version != seen.Version || selectors.Any(selector => selector.First != selectors[0].First || selector.Last != selectors[0].First)) return selectors;
        original = selectors[0].First;
        return behindNat ? [.. selectors.Select(selector => selector with { First = seen, Last = seen })] : selectors;
    }

    /// <summary>What the peer's hashes say. There may be several sources: the peer may not know from which address it sends.</summary>
    public static (bool Seen, bool LocalBehindNat, bool RemoteBehindNat) Read(scoped in MessageView view, IkeSpi initiator, IkeSpi responder, Endpoint local, Endpoint remote)
    {
        var (seen, sourceFits, destinationFits) = (false, false, false);
        var sources = false;
        var expectedSource = Hash(initiator, responder, remote);
        var expectedDestination = Hash(initiator, responder, local);
        for (var i = 0; i < view.Count; i++)
        {
            if (view[i].Type != PayloadType.Notify || NotifyView.TryParse(view.Body(i), out var notify) != ParseError.None) continue;
            if (notify.Type == NotifyType.NatDetectionSourceIp)
            {
                sources = true;
                sourceFits |= notify.Data.SequenceEqual(expectedSource);
            }
            else if (notify.Type == NotifyType.NatDetectionDestinationIp)
            {
                seen = true;
                destinationFits |= notify.Data.SequenceEqual(expectedDestination);
            }
        }

        return seen && sources ? (true, !destinationFits, !sourceFits) : (false, false, false);
    }
}
