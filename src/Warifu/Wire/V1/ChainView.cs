using System;
using System.Runtime.CompilerServices;
using Warifu.Primitives;

namespace Warifu.Wire.V1;

/// <summary>One payload of an IKEv1 chain: its type and where its body lies.</summary>
internal readonly record struct ChainEntry(PayloadV1 Type, int Offset, int Length)
{
    public int End => Offset + Length;
}

/// <summary>A checked chain of IKEv1 payloads: generic headers are right (RFC 2408 section 3.2), bodies are not looked at yet. Lives on the stack over the octets of the message.</summary>
internal ref struct ChainView
{
    /// <summary>More padding than this is no padding.</summary>
    private const int MaxPadding = 255;

    /// <summary>A few peers fill messages in clear with zeros up to a multiple of four octets.</summary>
    private const int MaxFill = 3;

    private readonly ReadOnlySpan<byte> _octets;
    private Entries _entries;

    private ChainView(ReadOnlySpan<byte> octets) => _octets = octets;

    public int Count { get; private set; }

    /// <summary>Octets of the chain, without padding.</summary>
    public int Length { get; private set; }

    public readonly ChainEntry this[int index] => _entries[index];

    public readonly ReadOnlySpan<byte> Body(int index) => _octets.Slice(_entries[index].Offset, _entries[index].Length);

    /// <param name="first">Type of the first payload.</param>
    /// <param name="octets">The chain, without the header.</param>
    /// <param name="decrypted">It was encrypted: padding may follow (RFC 2409 appendix B), and reserved octets that are not zero show that the key is wrong.</param>
    /// <param name="view">The chain on success.</param>
    public static ParseError TryParse(PayloadV1 first, ReadOnlySpan<byte> octets, bool decrypted, out ChainView view)
    {
        view = new ChainView(octets);
        var type = first;
        var position = 0;
        while (type != PayloadV1.None)
        {
            if (octets.Length - position < 4) return ParseError.TooShort;
            var length = (octets[position + 2] << 8) | octets[position + 3];
            // a length below 4 would loop for ever
            if (length < 4 || length > octets.Length - position || (decrypted && octets[position + 1] != 0)) return ParseError.BadLength;
            if (view.Count == WireLimits.Payloads) return ParseError.TooManyPayloads;
            view._entries[view.Count++] = new ChainEntry(type, position + 4, length - 4);
            type = (PayloadV1)octets[position];
            position += length;
        }

        view.Length = position;
        var rest = octets.Length - position;
        return rest == 0 || (decrypted ? rest <= MaxPadding : rest <= MaxFill && octets[position..].IndexOfAnyExcept((byte)0) < 0) ? ParseError.None : ParseError.TrailingOctets;
    }

    /// <summary>All payloads behind one, with their generic headers: what a HASH payload covers.</summary>
    public readonly ReadOnlySpan<byte> After(int index) => _octets[_entries[index].End..Length];

    /// <summary>The chain to keep beyond the life of the message's octets.</summary>
    public readonly KeptChain Keep() => new(Count > 0 ? _entries[0].Type : PayloadV1.None, _octets[..Length].ToArray());

    public readonly int IndexOf(PayloadV1 type, int from = 0)
    {
        for (var i = from; i < Count; i++)
        {
            if (_entries[i].Type == type) return i;
        }

        return -1;
    }

    public readonly bool TryGet(PayloadV1 type, out ReadOnlySpan<byte> body)
    {
        var index = IndexOf(type);
        body = index < 0 ? default : Body(index);
        return index >= 0;
    }

    /// <summary>The first notify of a type.</summary>
    public readonly bool TryGetNotify(NotifyV1 type, out NotifyBody notify)
    {
        for (var i = 0; i < Count; i++)
        {
            if (_entries[i].Type == PayloadV1.Notify && NotifyBody.TryParse(Body(i), out notify) == ParseError.None && notify.Type == type) return true;
        }

        notify = default;
        return false;
    }

    /// <summary>The first error notify.</summary>
    public readonly bool TryGetError(out NotifyBody notify)
    {
        for (var i = 0; i < Count; i++)
        {
            if (_entries[i].Type == PayloadV1.Notify && NotifyBody.TryParse(Body(i), out notify) == ParseError.None && notify.IsError) return true;
        }

        notify = default;
        return false;
    }

    [InlineArray(WireLimits.Payloads)]
    private struct Entries
    {
        private ChainEntry _first;
    }
}

/// <summary>A checked chain that outlives its message: what an exchange comes back to when an answer of the host has come.</summary>
internal sealed class KeptChain(PayloadV1 first, byte[] octets)
{
    public ChainView View => ChainView.TryParse(first, octets, decrypted: false, out var view) == ParseError.None ? view : default;
}
