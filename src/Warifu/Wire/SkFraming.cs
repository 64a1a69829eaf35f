using System;
using System.Buffers.Binary;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>The frame of the Encrypted payload (RFC 7296 section 3.14): header, SK head, IV, padded chain, ICV in one piece, so that a cipher works in place.</summary>
internal static class SkFraming
{
    /// <summary>Octets before the IV: the IKE header and the generic header of SK.</summary>
    public const int HeadLength = IkeHeader.Length + 4;

    /// <summary>Lays out a message with the chain in clear where the ciphertext will be; IV and ICV are zero.</summary>
    public static byte[] Frame(in IkeHeader header, MessageBuilder content, int ivLength, int blockLength, int icvLength)
    {
        var chain = content.Chain;
        var padding = blockLength <= 1 ? 0 : (blockLength - ((chain.Length + 1) % blockLength)) % blockLength;
        var message = new byte[HeadLength + ivLength + chain.Length + padding + 1 + icvLength];
        (header with { NextPayload = PayloadType.Sk, TotalLength = (uint)message.Length }).Write(message);
        message[IkeHeader.Length] = (byte)content.First;
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(IkeHeader.Length + 2), (ushort)(message.Length - IkeHeader.Length));
        chain.CopyTo(message.AsSpan(HeadLength + ivLength));
        message[HeadLength + ivLength + chain.Length + padding] = (byte)padding;
        return message;
    }

    /// <summary>Where the IV of a received message starts, and the type of the first payload inside. SK must be the last payload; payloads before it are not protected and only allowed to be there.</summary>
    public static ParseError TryLocate(in IkeHeader header, ReadOnlySpan<byte> message, out int head, out PayloadType first)
    {
        (head, first) = (0, PayloadType.None);
        var error = MessageView.TryParse(header.NextPayload, message[IkeHeader.Length..], out var view);
        if (error != ParseError.None) return error;
        if (view.Count == 0 || view[view.Count - 1].Type != PayloadType.Sk) return ParseError.BadEncrypted;
        head = IkeHeader.Length + view[view.Count - 1].Offset;
        first = (PayloadType)message[head - 4];
        return ParseError.None;
    }

    /// <summary>The chain inside a decrypted message. Padding octets may have any value (section 3.14).</summary>
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
}
