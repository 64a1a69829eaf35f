using System;

namespace Warifu.Pki;

/// <summary>Tags of DER (X.690) that certificates use. Numbers above 30 do not occur and are refused.</summary>
internal static class DerTag
{
    public const byte Boolean = 0x01;
    public const byte Integer = 0x02;
    public const byte BitString = 0x03;
    public const byte OctetString = 0x04;
    public const byte Null = 0x05;
    public const byte ObjectIdentifier = 0x06;
    public const byte Enumerated = 0x0A;
    public const byte Utf8String = 0x0C;
    public const byte NumericString = 0x12;
    public const byte PrintableString = 0x13;
    public const byte TeletexString = 0x14;
    public const byte Ia5String = 0x16;
    public const byte UtcTime = 0x17;
    public const byte GeneralizedTime = 0x18;
    public const byte VisibleString = 0x1A;
    public const byte UniversalString = 0x1C;
    public const byte BmpString = 0x1E;
    public const byte Sequence = 0x30;
    public const byte Set = 0x31;

    /// <summary>[n] of a primitive value.</summary>
    public static byte Context(int number) => (byte)(0x80 | number);

    /// <summary>[n] around other values.</summary>
    public static byte ContextOf(int number) => (byte)(0xA0 | number);
}

/// <summary>One value as it stands: its tag, what it holds, and all of it.</summary>
internal readonly ref struct DerValue(byte tag, ReadOnlyMemory<byte> content, ReadOnlyMemory<byte> encoded)
{
    public byte Tag { get; } = tag;

    public ReadOnlyMemory<byte> Content { get; } = content;

    public ReadOnlyMemory<byte> Encoded { get; } = encoded;
}

/// <summary>Reads strict DER (X.690 section 10). Nothing throws and nothing is copied: values are slices of what was given, whatever lengths it claims. What is not DER sets <see cref="Failed"/> for good, so that straight code checks once, at its end.</summary>
internal ref struct DerReader
{
    /// <summary>Values inside of values; certificates need nine.</summary>
    public const int MaxDepth = 16;

    private readonly ReadOnlyMemory<byte> _octets;
    private readonly int _depth;
    private int _position;

    public DerReader(ReadOnlyMemory<byte> octets)
        : this(octets, MaxDepth)
    {
    }

    private DerReader(ReadOnlyMemory<byte> octets, int depth)
    {
        (_octets, _depth) = (octets, depth);
        Failed = depth <= 0;
    }

    public bool Failed { get; private set; }

    public readonly bool HasMore => !Failed && _position < _octets.Length;

    /// <summary>Everything was read and nothing was wrong.</summary>
    public readonly bool AtEnd => !Failed && _position == _octets.Length;

    /// <summary>The tag that comes next; zero at the end.</summary>
    public readonly byte Next => HasMore ? _octets.Span[_position] : (byte)0;

    public bool TryReadAny(out DerValue value)
    {
        value = default;
        var rest = Failed ? default : _octets.Span[_position..];
        if (!TryReadHead(rest, out var head, out var length)) return Fail();
        value = new DerValue(rest[0], _octets.Slice(_position + head, length), _octets.Slice(_position, head + length));
        _position += head + length;
        return true;
    }

    public bool TryRead(byte tag, out ReadOnlyMemory<byte> content)
    {
        content = default;
        if (Next != tag || !TryReadAny(out var value)) return Fail();
        content = value.Content;
        return true;
    }

    /// <summary>As <see cref="TryRead"/>; another tag, or the end, is no failure.</summary>
    public bool TryReadOptional(byte tag, out ReadOnlyMemory<byte> content)
    {
        content = default;
        return Next == tag && TryRead(tag, out content);
    }

    /// <summary>All of the next value, which must have this tag.</summary>
    public bool TryReadEncoded(byte tag, out ReadOnlyMemory<byte> encoded)
    {
        encoded = default;
        if (Next != tag || !TryReadAny(out var value)) return Fail();
        encoded = value.Encoded;
        return true;
    }

    /// <summary>A reader of what the next value holds; its end is its own to check.</summary>
    public bool TryEnter(byte tag, out DerReader inner)
    {
        inner = default;
        if (!TryRead(tag, out var content)) return false;
        inner = new DerReader(content, _depth - 1);
        return !inner.Failed || Fail();
    }

    public bool TryEnterOptional(byte tag, out DerReader inner)
    {
        inner = default;
        return Next == tag && TryEnter(tag, out inner);
    }

    /// <summary>Two's complement, big-endian, with no octet more than needed.</summary>
    public bool TryReadInteger(out ReadOnlyMemory<byte> value, byte tag = DerTag.Integer) => TryRead(tag, out value) && (IsInteger(value.Span) || Fail());

    /// <summary>A number from 0 to 2^31 - 1.</summary>
    public bool TryReadNumber(out int value, byte tag = DerTag.Integer)
    {
        value = 0;
        if (!TryReadInteger(out var octets, tag)) return false;
        if (octets.Length > 4 || octets.Span[0] >= 0x80) return Fail();
        foreach (var octet in octets.Span) value = (value << 8) | octet;
        return true;
    }

    public bool TryReadBoolean(out bool value, byte tag = DerTag.Boolean)
    {
        value = false;
        if (!TryRead(tag, out var content)) return false;
        if (content.Length != 1 || content.Span[0] is not (0x00 or 0xFF)) return Fail();
        value = content.Span[0] != 0;
        return true;
    }

    public bool TryReadOid(out Oid oid, byte tag = DerTag.ObjectIdentifier)
    {
        oid = default;
        if (!TryRead(tag, out var content)) return false;
        return Oid.TryFrom(content, out oid) || Fail();
    }

    /// <summary>A bit string of whole octets: keys and signatures.</summary>
    public bool TryReadOctetBits(out ReadOnlyMemory<byte> value)
    {
        value = default;
        if (!TryRead(DerTag.BitString, out var content)) return false;
        if (content.Length < 1 || content.Span[0] != 0) return Fail();
        value = content[1..];
        return true;
    }

    /// <summary>Named bits, the first one being bit 0 of the result; those beyond 15 are left out.</summary>
    public bool TryReadFlags(out int flags, byte tag = DerTag.BitString)
    {
        flags = 0;
        if (!TryRead(tag, out var content)) return false;
        var bits = content.Span;
        if (bits.Length < 1 || bits[0] > 7 || (bits.Length == 1 && bits[0] != 0) || (bits.Length > 1 && (bits[^1] & ((1 << bits[0]) - 1)) != 0)) return Fail();
        for (var bit = 0; bit < 16 && bit / 8 < bits.Length - 1; bit++)
        {
            if ((bits[1 + (bit / 8)] & (0x80 >> (bit % 8))) != 0) flags |= 1 << bit;
        }

        return true;
    }

    /// <summary>UTCTime or GeneralizedTime as RFC 5280 section 4.1.2.5 has them: to the second, in Greenwich.</summary>
    public bool TryReadTime(out DateTimeOffset time)
    {
        time = default;
        if (Next is not (DerTag.UtcTime or DerTag.GeneralizedTime)) return Fail();
        return TryReadAny(out var value) && (DerTime.TryRead(value.Tag, value.Content.Span, out time) || Fail());
    }

    private static bool IsInteger(ReadOnlySpan<byte> octets) => octets.Length switch
    {
        0 => false,
        1 => true,
        _ => !((octets[0] == 0x00 && octets[1] < 0x80) || (octets[0] == 0xFF && octets[1] >= 0x80)),
    };

    /// <summary>Definite lengths in their shortest form, inside of what is there.</summary>
    private static bool TryReadHead(ReadOnlySpan<byte> octets, out int head, out int length)
    {
        (head, length) = (2, 0);
        if (octets.Length < 2 || (octets[0] & 0x1F) == 0x1F) return false;
        if (octets[1] < 0x80)
        {
            length = octets[1];
            return length <= octets.Length - head;
        }

        var count = octets[1] & 0x7F;
        if (count is 0 or > 4 || octets.Length < 2 + count || octets[2] == 0) return false;
        var claimed = 0L;
        for (var i = 0; i < count; i++) claimed = (claimed << 8) | octets[2 + i];
        head = 2 + count;
        if (claimed < 0x80 || claimed > octets.Length - head) return false;
        length = (int)claimed;
        return true;
    }

    private bool Fail()
    {
        Failed = true;
        return false;
    }
}

/// <summary>The two forms of time in certificates (RFC 5280 section 4.1.2.5).</summary>
internal static class DerTime
{
    public static bool TryRead(byte tag, ReadOnlySpan<byte> text, out DateTimeOffset time)
    {
        time = default;
        var digits = tag == DerTag.UtcTime ? 2 : 4;
        if (text.Length != digits + 11 || text[^1] != (byte)'Z') return false;
        Span<int> parts = stackalloc int[7];
        for (var i = 0; i < text.Length - 1; i += 2)
        {
            if (!char.IsAsciiDigit((char)text[i]) || !char.IsAsciiDigit((char)text[i + 1])) return false;
            parts[i / 2] = ((text[i] - '0') * 10) + text[i + 1] - '0';
        }

        // years of UTCTime: 50 to 99 are those of the last century
        var year = digits == 2 ? parts[0] + (parts[0] >= 50 ? 1900 : 2000) : (parts[0] * 100) + parts[1];
        var rest = parts[(digits / 2)..];
        if (year < 1 || rest[0] is < 1 or > 12 || rest[1] < 1 || rest[1] > DateTime.DaysInMonth(year, rest[0]) || rest[2] > 23 || rest[3] > 59 || rest[4] > 59) return false;
        time = new DateTimeOffset(year, rest[0], rest[1], rest[2], rest[3], rest[4], TimeSpan.Zero);
        return true;
    }
}
