using System;
using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2;

/// <summary>IKE fragmentation (RFC 7383): how large a datagram may be, how a message is cut, and how one that did not get through is cut again.</summary>
internal static class Fragments
{
    /// <summary>Sizes of IP packets that are tried when larger ones get no answer (section 2.5.2).</summary>
    private static ReadOnlySpan<int> Steps => [1000, 576, 400, 296];

    public static int SmallestPacket => Steps[^1];

    /// <summary>We may cut our own messages for this peer.</summary>
    public static bool MayCut(IkeSa sa) => sa.Peer.Fragmentation && sa.Connection.Fragmentation is FragmentationPolicy.Yes or FragmentationPolicy.Force;

    /// <summary>The largest IP packet for our messages; larger ones are cut.</summary>
    public static int PacketLimit(IkeSa sa)
    {
        if (!MayCut(sa)) return int.MaxValue;
        var configured = sa.Connection.FragmentSize != 0 ? sa.Connection.FragmentSize : sa.Remote.Address.IsV6 ? ProtocolTimes.FragmentSizeV6 : ProtocolTimes.FragmentSizeV4;
        return sa.Peer.PacketLength != 0 ? Math.Min(configured, sa.Peer.PacketLength) : configured;
    }

    /// <summary>Octets of the IP packet that carries an IKE message of <paramref name="length"/> octets.</summary>
    public static int PacketLength(IkeSa sa, int length) => length + Overhead(sa);

    /// <summary>One message, or its fragments; in clear where the ciphertext will be.</summary>
    /// <param name="sa">The IKE SA.</param>
    /// <param name="header">Of the message.</param>
    /// <param name="first">Type of the first payload.</param>
    /// <param name="chain">What is inside.</param>
    /// <param name="cipher">Of our direction.</param>
    /// <param name="packetLimit">Octets of an IP packet; <see cref="int.MaxValue"/> = whatever it takes.</param>
    public static byte[][] Frame(IkeSa sa, in IkeHeader header, PayloadType first, ReadOnlySpan<byte> chain, PacketCipher cipher, int packetLimit)
    {
        var count = CountFor(sa, chain.Length, cipher, packetLimit, out var chunk);
        if (count == 1) return [SkFraming.Frame(header, first, chain, cipher.IvLength, cipher.BlockLength, cipher.IcvLength)];
        var messages = new byte[count][];
        for (var i = 0; i < count; i++)
        {
            var start = i * chunk;
            messages[i] = SkFraming.FrameFragment(header, first, chain.Slice(start, Math.Min(chunk, chain.Length - start)), i + 1, count, cipher.IvLength, cipher.BlockLength, cipher.IcvLength);
        }

        return messages;
    }

    /// <summary>The same message in more and smaller fragments: the total tells the receiver that it is another set (section 2.5.2). False when no smaller size makes more of them.</summary>
    /// <param name="sa">The IKE SA.</param>
    /// <param name="messages">The message as it was sent.</param>
    /// <param name="packetLimit">What it was cut for; on success, what it is cut for now.</param>
    /// <param name="atMost">Not larger than this.</param>
    /// <param name="smaller">The message anew.</param>
    public static bool TryCutSmaller(IkeSa sa, byte[][] messages, ref int packetLimit, int atMost, [NotNullWhen(true)] out byte[][]? smaller)
    {
        smaller = null;
        if (!MayCut(sa) || !IkeHeader.TryRead(messages[0], out var header) || header.Exchange == ExchangeType.IkeSaInit) return false;
        var largest = 0;
        foreach (var message in messages) largest = Math.Max(largest, message.Length);
        // nothing to gain, and nothing to open for it
        if (PacketLength(sa, largest) <= (atMost == int.MaxValue ? SmallestPacket : atMost)) return false;
        using var own = sa.OwnCipher();
        var chain = Content(messages, own, out var first);
        var least = sa.Remote.Address.IsV6 ? 576 : 0;
        foreach (var step in Steps)
        {
            if (step >= packetLimit || step > atMost || step < least || CountFor(sa, chain.Length, own, step, out _) <= messages.Length) continue;
            packetLimit = step;
            smaller = sa.Seal(header, first, chain, step);
            return true;
        }

        return false;
    }

    private static int Overhead(IkeSa sa) => (sa.Remote.Address.IsV6 ? 40 : 20) + 8 + (sa.Engine.NeedsMarker(sa.Local) ? 4 : 0);

    /// <summary>How many datagrams a chain takes.</summary>
    private static int CountFor(IkeSa sa, int length, PacketCipher cipher, int packetLimit, out int chunk)
    {
        chunk = length;
        if (packetLimit == int.MaxValue) return 1;
        var room = packetLimit - Overhead(sa);
        if (length <= SkFraming.ChunkLength(room + SkFraming.FragmentHeadLength - SkFraming.HeadLength, cipher.IvLength, cipher.BlockLength, cipher.IcvLength)) return 1;
        chunk = Math.Max(1, SkFraming.ChunkLength(room, cipher.IvLength, cipher.BlockLength, cipher.IcvLength));
        // more than any receiver puts together: rather large fragments than none
        if (length > chunk * WireLimits.Fragments) chunk = (length + WireLimits.Fragments - 1) / WireLimits.Fragments;
        return (length + chunk - 1) / chunk;
    }

    /// <summary>Our own message, opened: nothing in clear is kept for the case that it must be cut again.</summary>
    private static byte[] Content(byte[][] messages, PacketCipher own, out PayloadType first)
    {
        first = PayloadType.None;
        var content = new ArrayBufferWriter<byte>();
        foreach (var message in messages)
        {
            var copy = message.AsSpan().ToArray();
            if (!IkeHeader.TryRead(copy, out var header) || SkFraming.TryLocate(header, copy, out var sk) != ParseError.None || !own.Open(copy, sk.Head) || !SkFraming.TryUnpad(copy, sk.Head, own.IvLength, own.IcvLength, out var chunk))
                throw new InvalidOperationException("our own message does not open");
            if (sk.Fragment <= 1) first = sk.First;
            content.Write(chunk);
        }

        return content.WrittenSpan.ToArray();
    }
}
