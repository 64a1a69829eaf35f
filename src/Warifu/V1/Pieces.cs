using System;
using System.Collections.Generic;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>Fragmentation as peers do it without a standard: a whole message, already encrypted, in pieces that nobody authenticates. One set at a time for each SA.</summary>
internal sealed class Pieces
{
    private const int HeadLength = IkeHeader.Length + 8;

    private readonly byte[]?[] _pieces = new byte[]?[WireLimits.FragmentsV1];
    private int _id = -1;
    private int _count;
    private int _octets;
    private int _last;

    public Instant ExpireAt { get; private set; } = Instant.Never;

    /// <summary>Takes a piece; null until the message is whole.</summary>
    /// <param name="fragment">The piece.</param>
    /// <param name="most">Octets that a message may have.</param>
    /// <param name="now">The time.</param>
    /// <param name="drop">Why it was not taken.</param>
    public byte[]? Add(scoped in FragmentBody fragment, int most, Instant now, out DropReason drop)
    {
        drop = DropReason.None;
        // a new set: the sender gave the other one up
        if (fragment.Id != _id) Begin(fragment.Id, now);
        var index = fragment.Number - 1;
        if (_pieces[index] is not null || (_last > 0 && fragment.Number > _last) || (fragment.IsLast && (_last > 0 || HasBeyond(fragment.Number))) || _octets + fragment.Data.Length > most)
        {
            drop = DropReason.UnwantedFragment;
            return null;
        }

        _pieces[index] = fragment.Data.ToArray();
        _count++;
        _octets += fragment.Data.Length;
        if (fragment.IsLast) _last = fragment.Number;
        if (_last == 0 || _count < _last) return null;
        var whole = new byte[_octets];
        var at = 0;
        for (var i = 0; i < _last; i++)
        {
            _pieces[i]!.CopyTo(whole, at);
            at += _pieces[i]!.Length;
        }

        Clear();
        return whole;
    }

    public void Clear()
    {
        Array.Clear(_pieces);
        (_id, _count, _octets, _last, ExpireAt) = (-1, 0, 0, 0, Instant.Never);
    }

    /// <summary>Cuts a message for a peer that takes pieces; the message itself where it is short enough.</summary>
    /// <param name="message">All of it, with its header.</param>
    /// <param name="connection">Whose sizes count.</param>
    /// <param name="peer">What the peer can do.</param>
    /// <param name="remote">Where it goes.</param>
    /// <param name="id">Number of the message.</param>
    public static byte[][] Cut(byte[] message, Connection connection, PeerTraits peer, Endpoint remote, ushort id)
    {
        var packet = connection.FragmentSize > 0 ? connection.FragmentSize : remote.Address.IsV4 ? ProtocolTimes.FragmentSizeV4 : ProtocolTimes.FragmentSizeV6;
        // IP, UDP and the non-ESP marker
        var limit = packet - (remote.Address.IsV4 ? 20 : 40) - 8 - 4;
        if (peer.FragmentationLength == 0 || message.Length <= limit || connection.Fragmentation is FragmentationPolicy.No or FragmentationPolicy.Accept) return [message];
        var room = limit - HeadLength;
        var count = (message.Length + room - 1) / room;
        if (count > WireLimits.FragmentsV1) return [message];
        var pieces = new List<byte[]>(count);
        IkeHeader.TryRead(message, out var header);
        for (var i = 0; i < count; i++)
        {
            var data = message.AsSpan(i * room, Math.Min(room, message.Length - (i * room)));
            var writer = new WireWriter(8 + data.Length);
            FragmentBody.Write(writer, id, (byte)(i + 1), i == count - 1, data);
            pieces.Add(new ChainBuilder().Raw(PayloadV1.Fragment, writer.Written).ToMessage(header with { Flags = 0 }));
        }

        return [.. pieces];
    }

    private bool HasBeyond(int number)
    {
        for (var i = number; i < _pieces.Length; i++)
        {
            if (_pieces[i] is not null) return true;
        }

        return false;
    }

    private void Begin(int id, Instant now)
    {
        Clear();
        (_id, ExpireAt) = (id, now + ProtocolTimes.Reassembly);
    }
}
