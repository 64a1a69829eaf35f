using System;
using System.Runtime.CompilerServices;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>One payload of a chain: its type, its critical bit and where its body lies in the chain's octets.</summary>
internal readonly record struct PayloadEntry(PayloadType Type, bool Critical, int Offset, int Length);

/// <summary>A checked chain of payloads: generic headers are right, bodies are not looked at yet. Lives on the stack over the octets of the message.</summary>
internal ref struct MessageView
{
    private readonly ReadOnlySpan<byte> _octets;
    private Entries _entries;

    private MessageView(ReadOnlySpan<byte> octets) => _octets = octets;

    /// <summary>Number of payloads.</summary>
    public int Count { get; private set; }

    public readonly PayloadEntry this[int index] => _entries[index];

    public readonly ReadOnlySpan<byte> Body(int index) => _octets.Slice(_entries[index].Offset, _entries[index].Length);

    /// <summary>Walks the generic payload headers (RFC 7296 section 3.2). SK and SKF end the chain: their next-payload field belongs to what is inside (section 3.14).</summary>
    /// <param name="first">Type of the first payload.</param>
    /// <param name="octets">The chain, without the IKE header.</param>
    /// <param name="view">The chain on success.</param>
    public static ParseError TryParse(PayloadType first, ReadOnlySpan<byte> octets, out MessageView view)
    {
        view = new MessageView(octets);
        var type = first;
        var position = 0;
        while (type != PayloadType.None)
        {
            if (octets.Length - position < 4) return ParseError.TooShort;
            var length = (octets[position + 2] << 8) | octets[position + 3];
            // a length below 4 would loop for ever
            if (length < 4 || length > octets.Length - position) return ParseError.BadLength;
            if (view.Count == WireLimits.Payloads) return ParseError.TooManyPayloads;
            view._entries[view.Count++] = new PayloadEntry(type, (octets[position + 1] & 0x80) != 0, position + 4, length - 4);
            var next = (PayloadType)octets[position];
            position += length;
            if (type is PayloadType.Sk or PayloadType.Skf) break;
            type = next;
        }

        return position == octets.Length ? ParseError.None : ParseError.TrailingOctets;
    }

    /// <summary>The chain to keep beyond the life of the message's octets.</summary>
    public readonly KeptMessage Keep() => new(Count > 0 ? _entries[0].Type : PayloadType.None, _octets.ToArray());

    /// <summary>Index of the first payload of a type, or -1.</summary>
    public readonly int IndexOf(PayloadType type)
    {
        for (var i = 0; i < Count; i++)
        {
            if (_entries[i].Type == type) return i;
        }

        return -1;
    }

    public readonly bool TryGet(PayloadType type, out ReadOnlySpan<byte> body)
    {
        var index = IndexOf(type);
        body = index < 0 ? default : Body(index);
        return index >= 0;
    }

    /// <summary>The first notify of a type; those whose SPI or data do not have the form of the type are passed over.</summary>
    public readonly bool TryGetNotify(NotifyType type, out NotifyView notify)
    {
        for (var i = 0; i < Count; i++)
        {
            if (_entries[i].Type == PayloadType.Notify && NotifyView.TryParse(Body(i), out notify) == ParseError.None && notify.Type == type && notify.IsWellFormed) return true;
        }

        notify = default;
        return false;
    }

    public readonly bool HasNotify(NotifyType type) => TryGetNotify(type, out _);

    /// <summary>The first error notify (type below 16384, RFC 7296 section 3.10.1).</summary>
    public readonly bool TryGetError(out NotifyView notify)
    {
        for (var i = 0; i < Count; i++)
        {
            if (_entries[i].Type == PayloadType.Notify && NotifyView.TryParse(Body(i), out notify) == ParseError.None && notify.IsError) return true;
        }

        notify = default;
        return false;
    }

    [InlineArray(WireLimits.Payloads)]
    private struct Entries
    {
        private PayloadEntry _first;
    }
}

/// <summary>A checked chain that outlives its message: what an exchange comes back to when an answer of the host has come.</summary>
internal sealed class KeptMessage(PayloadType first, byte[] octets)
{
    public MessageView View => MessageView.TryParse(first, octets, out var view) == ParseError.None ? view : default;
}
