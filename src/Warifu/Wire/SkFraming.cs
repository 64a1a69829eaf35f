using System;
using System.Buffers.Binary;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>Where the encrypted part of a message lies.</summary>
/// <param name="Head">Octets before the IV; all of them are authenticated.</param>
/// <param name="First">Type of the first payload inside; None in fragments after the first.</param>
/// <param name="Fragment">Number of the fragment, from 1; 0 = SK, a whole message.</param>
/// <param name="Total">Fragments of the message; 0 = SK.</param>
/// <param name="UnknownCritical">A payload outside of the encryption that we do not know and that is critical; None = there is none.</param>
internal readonly record struct SkView(int Head, PayloadType First, ushort Fragment, ushort Total, PayloadType UnknownCritical)
{
    public bool IsFragment => Total > 0;
}

/// <summary>
/// The frame of the Encrypted payload (RFC 7296 section 3.14) and of the Encrypted Fragment payload (RFC 7383 section 2.5): header, SK head, IV, padded chain, ICV in one piece, so that a
/// cipher works in place.
/// </summary>
internal static class SkFraming
{
    /// <summary>Octets before the IV: the IKE header and the generic header of SK.</summary>
    public const int HeadLength = IkeHeader.Length + 4;

    /// <summary>The same for SKF: fragment number and total follow the generic header.</summary>
    public const int FragmentHeadLength = HeadLength + 4;

    /// <summary>Lays out a message with the chain in clear where the ciphertext will be; IV and ICV are zero.</summary>
    public static byte[] Frame(in IkeHeader header, MessageBuilder content, int ivLength, int blockLength, int icvLength) => Frame(header, content.First, content.Chain, ivLength, blockLength, icvLength);

    /// <summary>The same for a chain.</summary>
    public static byte[] Frame(in IkeHeader header, PayloadType first, ReadOnlySpan<byte> chain, int ivLength, int blockLength, int icvLength) =>
        Frame(header, PayloadType.Sk, first, chain, HeadLength, ivLength, blockLength, icvLength);

    /// <summary>One fragment message, laid out like <see cref="Frame(in IkeHeader, MessageBuilder, int, int, int)"/>. The chain is cut anywhere, whatever the payloads in it (RFC 7383 section 2.5).</summary>
    /// <param name="header">Header of the whole message.</param>
    /// <param name="first">Type of the first payload of the whole chain.</param>
    /// <param name="chunk">This fragment's part of the chain, at most <see cref="ChunkLength"/> octets.</param>
    /// <param name="fragment">From 1.</param>
    /// <param name="total">Number of fragments.</param>
    /// <param name="ivLength">Of the cipher.</param>
    /// <param name="blockLength">Of the cipher.</param>
    /// <param name="icvLength">Of the cipher.</param>
    public static byte[] FrameFragment(in IkeHeader header, PayloadType first, ReadOnlySpan<byte> chunk, int fragment, int total, int ivLength, int blockLength, int icvLength)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(fragment, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(fragment, total);
        var message = Frame(header, PayloadType.Skf, fragment == 1 ? first : PayloadType.None, chunk, FragmentHeadLength, ivLength, blockLength, icvLength);
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(HeadLength), checked((ushort)fragment));
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(HeadLength + 2), checked((ushort)total));
        return message;
    }

    /// <summary>Octets of a chain that fit into a fragment message of at most <paramref name="messageLength"/> octets; 0 or less = none.</summary>
    public static int ChunkLength(int messageLength, int ivLength, int blockLength, int icvLength)
    {
        var room = messageLength - FragmentHeadLength - ivLength - icvLength;
        return room - (blockLength <= 1 ? 0 : room % blockLength) - 1;
    }

    /// <summary>Finds SK or SKF, which must be the last payload (RFC 7296 section 3.14, RFC 7383 section 2.5). Payloads before it are not encrypted.</summary>
    public static ParseError TryLocate(in IkeHeader header, ReadOnlySpan<byte> message, out SkView view)
    {
        view = default;
        var error = MessageView.TryParse(header.NextPayload, message[IkeHeader.Length..], out var outer);
        if (error != ParseError.None) return error;
        if (outer.Count == 0) return ParseError.BadEncrypted;
        var last = outer[outer.Count - 1];
        var start = IkeHeader.Length + last.Offset;
        var first = (PayloadType)message[start - 4];
        var critical = PayloadType.None;
        for (var i = outer.Count - 2; i >= 0; i--)
        {
            if (outer[i].Critical && !PayloadRules.IsKnown(outer[i].Type)) critical = outer[i].Type;
        }

        switch (last.Type)
        {
            case PayloadType.Sk:
                view = new SkView(start, first, 0, 0, critical);
                return ParseError.None;
            case PayloadType.Skf when last.Length >= 4:
                var fragment = BinaryPrimitives.ReadUInt16BigEndian(message[start..]);
                var total = BinaryPrimitives.ReadUInt16BigEndian(message[(start + 2)..]);
                // RFC 7383 section 2.6; clear payloads travel with the first fragment only (section 2.5.3)
                if (fragment == 0 || fragment > total || total > WireLimits.Fragments || (fragment > 1 && outer.Count > 1)) return ParseError.BadEncrypted;
                view = new SkView(start + 4, fragment == 1 ? first : PayloadType.None, fragment, total, critical);
                return ParseError.None;
            default:
                return ParseError.BadEncrypted;
        }
    }

    /// <summary>The chain inside a decrypted message, or a fragment's part of it. Padding octets may have any value (section 3.14).</summary>
    public static bool TryUnpad(ReadOnlySpan<byte> message, int head, int ivLength, int icvLength, out ReadOnlySpan<byte> chain)
    {
        chain = default;
        var padded = message.Length - head - ivLength - icvLength;
        if (padded < 1) return false;
        var content = message.Slice(head + ivLength, padded);
        var padding = content[^1];
        if (padding > padded - 1) return false;
        chain = content[..(padded - 1 - padding)];
        return true;
    }

    private static byte[] Frame(in IkeHeader header, PayloadType type, PayloadType first, ReadOnlySpan<byte> content, int head, int ivLength, int blockLength, int icvLength)
    {
        var padding = blockLength <= 1 ? 0 : (blockLength - ((content.Length + 1) % blockLength)) % blockLength;
        var message = new byte[head + ivLength + content.Length + padding + 1 + icvLength];
        (header with { NextPayload = type, TotalLength = (uint)message.Length }).Write(message);
        message[IkeHeader.Length] = (byte)first;
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(IkeHeader.Length + 2), checked((ushort)(message.Length - IkeHeader.Length)));
        content.CopyTo(message.AsSpan(head + ivLength));
        message[head + ivLength + content.Length + padding] = (byte)padding;
        return message;
    }
}
