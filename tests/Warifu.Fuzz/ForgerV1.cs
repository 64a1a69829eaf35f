using System;
using System.Linq;
using Warifu.Crypto;
using Warifu.Primitives;
using Warifu.V1;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.Fuzz;

/// <summary>The left side of an IKEv1 pair whose keys are known: seals whatever octets it likes, with a HASH that fits them, so that what lies behind the encryption can be tried.</summary>
internal static class ForgerV1
{
    private const byte EncryptionFlag = 0x01;

    /// <summary>A chain in clear, as a message of an SA.</summary>
    public static byte[] Clear(IsakmpSa sa, ExchangeType type, uint messageId, PayloadV1 first, ReadOnlySpan<byte> chain) => Frame(Header(sa, type, messageId), first, chain);

    /// <summary>Any octets, encrypted; they are filled up to whole blocks with zeros.</summary>
    public static byte[] Seal(IsakmpSa sa, ExchangeType type, uint messageId, PayloadV1 first, ReadOnlySpan<byte> plain, ReadOnlySpan<byte> iv)
    {
        using var cipher = new ChainedCipher(sa.Suite!.Encr, sa.Keys!.Encr);
        var whole = new byte[Math.Max(1, (plain.Length + cipher.BlockLength - 1) / cipher.BlockLength) * cipher.BlockLength];
        plain.CopyTo(whole);
        cipher.Encrypt(iv, whole);
        return Frame(Header(sa, type, messageId) with { Flags = EncryptionFlag }, first, whole);
    }

    /// <summary>The content of an encrypted message, padding included.</summary>
    public static byte[] Open(IsakmpSa sa, ReadOnlySpan<byte> message, ReadOnlySpan<byte> iv)
    {
        using var cipher = new ChainedCipher(sa.Suite!.Encr, sa.Keys!.Encr);
        var plain = message[IkeHeader.Length..].ToArray();
        cipher.Decrypt(iv, plain);
        return plain;
    }

    /// <summary>The first message of an exchange: HASH(1) over whatever the receiver takes for the rest, then that.</summary>
    public static byte[] Hashed(IsakmpSa sa, ExchangeType type, uint messageId, PayloadV1 next, ReadOnlySpan<byte> rest) => Hashed(sa, type, messageId, default, next, rest, sa.ExchangeIv(messageId));

    /// <param name="sa">Whose keys.</param>
    /// <param name="type">Exchange type.</param>
    /// <param name="messageId">Message ID.</param>
    /// <param name="nonce">Ni_b for HASH(2).</param>
    /// <param name="next">Type of the payload behind HASH.</param>
    /// <param name="rest">What is behind HASH.</param>
    /// <param name="iv">IV.</param>
    public static byte[] Hashed(IsakmpSa sa, ExchangeType type, uint messageId, ReadOnlySpan<byte> nonce, PayloadV1 next, ReadOnlySpan<byte> rest, ReadOnlySpan<byte> iv)
    {
        var head = 4 + sa.HashLength;
        var plain = new byte[head + rest.Length];
        (plain[0], plain[2], plain[3]) = ((byte)next, (byte)(head >> 8), (byte)head);
        rest.CopyTo(plain.AsSpan(head));
        // what does not parse is not looked at any further, whatever its HASH
        var length = ChainView.TryParse(PayloadV1.Hash, plain, decrypted: true, out var view) == ParseError.None ? view.Length : plain.Length;
        KeyScheduleV1.Hash(sa.Keys!, messageId, nonce, plain.AsSpan(head, length - head), plain.AsSpan(4, sa.HashLength));
        return Seal(sa, type, messageId, PayloadV1.Hash, plain, iv);
    }

    public static byte[] Hashed(IsakmpSa sa, ExchangeType type, uint messageId, ChainBuilder rest) => Hashed(sa, type, messageId, rest.First, rest.Chain);

    /// <summary>IV of the message behind this one in its exchange.</summary>
    public static byte[] NextIv(IsakmpSa sa, ReadOnlySpan<byte> message) => message[^Algorithms.Encr[sa.Suite!.Encr].BlockLength..].ToArray();

    /// <summary>IV of the first encrypted message of phase 1.</summary>
    public static byte[] FirstIv(IsakmpSa sa, PhaseOne mode) => KeyScheduleV1.FirstIv(sa.Keys!.Prf, mode.KeI, mode.KeR, Algorithms.Encr[sa.Suite!.Encr].BlockLength);

    /// <summary>The payloads of a quick mode's first message, without HASH.</summary>
    public static ChainBuilder QuickOffer(Warifu.Policy.Child child, ChildSpi spi, byte[] nonce, TrafficSelector local, TrafficSelector remote)
    {
        ProxyId.TryWrite(local, out var idI);
        ProxyId.TryWrite(remote, out var idR);
        var suites = Warifu.V1.QuickOffer.WithOneGroup(Warifu.V1.QuickOffer.Of(child));
        return new ChainBuilder().Sa(Warifu.V1.QuickOffer.Make(suites, spi, EncapsulationV1.Tunnel, 3600, 0).AsSpan()).Raw(PayloadV1.Nonce, nonce).Raw(PayloadV1.Id, idI).Raw(PayloadV1.Id, idR);
    }

    /// <summary>A chain with one payload left out, or with another body in its place.</summary>
    public static ChainBuilder Without(scoped in ChainView view, params int[] left) => Rebuild(view, (index, type, body) => left.Contains(index) ? null : (type, body));

    /// <summary>A chain whose payloads are changed one by one; null leaves one out.</summary>
    public static ChainBuilder Rebuild(scoped in ChainView view, Func<int, PayloadV1, byte[], (PayloadV1 Type, byte[] Body)?> change)
    {
        var builder = new ChainBuilder();
        for (var i = 0; i < view.Count; i++)
        {
            if (change(i, view[i].Type, view.Body(i).ToArray()) is var (type, body)) builder.Raw(type, body);
        }

        return builder;
    }

    private static IkeHeader Header(IsakmpSa sa, ExchangeType type, uint messageId) => new() { InitiatorSpi = sa.CookieI, ResponderSpi = sa.CookieR, MajorVersion = 1, Exchange = type, MessageId = messageId };

    private static byte[] Frame(IkeHeader header, PayloadV1 first, ReadOnlySpan<byte> body)
    {
        var message = new byte[IkeHeader.Length + body.Length];
        (header with { NextPayload = (PayloadType)first, TotalLength = (uint)message.Length }).Write(message);
        body.CopyTo(message.AsSpan(IkeHeader.Length));
        return message;
    }
}
