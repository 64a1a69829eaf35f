using System;
using System.Buffers.Binary;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;

namespace Warifu.Fuzz;

/// <summary>SK messages whose content need not be a chain that our builder would make.</summary>
internal static class Sealing
{
    /// <summary>Seals any octets as the content of SK.</summary>
    public static byte[] Seal(PacketCipher cipher, in IkeHeader header, PayloadType first, ReadOnlySpan<byte> chain, ulong counter)
    {
        var padding = cipher.BlockLength <= 1 ? 0 : (cipher.BlockLength - ((chain.Length + 1) % cipher.BlockLength)) % cipher.BlockLength;
        var message = new byte[SkFraming.HeadLength + cipher.IvLength + chain.Length + padding + 1 + cipher.IcvLength];
        (header with { NextPayload = PayloadType.Sk, TotalLength = (uint)message.Length }).Write(message);
        message[IkeHeader.Length] = (byte)first;
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(IkeHeader.Length + 2), (ushort)(message.Length - IkeHeader.Length));
        chain.CopyTo(message.AsSpan(SkFraming.HeadLength + cipher.IvLength));
        message[^(cipher.IcvLength + 1)] = (byte)padding;
        cipher.Seal(message, SkFraming.HeadLength, counter);
        return message;
    }

    /// <summary>Another content in the place of a message, sealed with the keys of its sender.</summary>
    public static byte[] Replace(IkeAction.LogIkeKeys keys, ReadOnlySpan<byte> message, PayloadType first, ReadOnlySpan<byte> chain)
    {
        if (!IkeHeader.TryRead(message, out var header)) throw new ArgumentException("no IKE message");
        using var cipher = CipherOf(keys, header.FromInitiator);
        return Seal(cipher, header, first, chain, 99);
    }

    /// <summary>The content of a message's SK payload.</summary>
    public static byte[] Open(IkeAction.LogIkeKeys keys, ReadOnlySpan<byte> message, out PayloadType first)
    {
        var copy = message.ToArray();
        first = PayloadType.None;
        if (!IkeHeader.TryRead(copy, out var header)) throw new ArgumentException("no IKE message");
        using var cipher = CipherOf(keys, header.FromInitiator);
        if (SkFraming.TryLocate(header, copy, out var sk) != ParseError.None || !cipher.Open(copy, sk.Head) || !SkFraming.TryUnpad(copy, sk.Head, cipher.IvLength, cipher.IcvLength, out var chain)) throw new ArgumentException("not authentic");
        first = sk.First;
        return chain.ToArray();
    }

    /// <summary>Who the responder is and its proof, out of its last IKE_AUTH answer; the rest of another answer may follow.</summary>
    public static MessageBuilder ProofOf(IkeAction.LogIkeKeys keys, ReadOnlySpan<byte> message, bool spoil = false)
    {
        var chain = Open(keys, message, out var first);
        if (MessageView.TryParse(first, chain, out var view) != ParseError.None || !view.TryGet(PayloadType.IdR, out var id) || !view.TryGet(PayloadType.Auth, out var auth)) throw new ArgumentException("no IKE_AUTH answer");
        var proof = auth.ToArray();
        if (spoil) proof[^1] ^= 1;
        return new MessageBuilder().Raw(PayloadType.IdR, id).Raw(PayloadType.Auth, proof);
    }

    public static PacketCipher CipherOf(IkeAction.LogIkeKeys keys, bool ofInitiator) => PacketCipher.Create(
        (EncrId)keys.Encr.Id,
        keys.Encr.KeyBits,
        (IntegId)keys.Integ.Id,
        (ofInitiator ? keys.SkEi : keys.SkEr).Span,
        (ofInitiator ? keys.SkAi : keys.SkAr).Span,
        new SeededEntropy(keys.Initiator.Value));
}
