using System;
using System.Collections.Immutable;
using System.Linq;

namespace Warifu.Wire.V1;

/// <summary>A data attribute (RFC 2408 section 3.3) by value: whether it was written in the short form (TV) or the long one (TLV) makes no difference.</summary>
/// <param name="Type">Without the format bit.</param>
/// <param name="Value">Big-endian number; of values longer than 8 octets none.</param>
/// <param name="IsLong">The value does not fit a number.</param>
internal readonly record struct AttributeV1(ushort Type, ulong Value, bool IsLong = false);

/// <summary>Attributes of a transform or of a configuration, as they stand on the wire.</summary>
internal static class AttributeList
{
    public const ushort ShortForm = 0x8000;

    /// <summary>False when they do not fill their octets exactly, or are too many.</summary>
    public static bool Check(ReadOnlySpan<byte> octets)
    {
        var reader = new WireReader(octets);
        for (var i = 0; reader.Remaining > 0; i++)
        {
            if (i == WireLimits.AttributesOfTransformV1) return false;
            Next(ref reader, out _);
        }

        return !reader.Failed;
    }

    /// <summary>Attributes by value, of octets that were checked.</summary>
    public static ImmutableArray<AttributeV1> Read(ReadOnlySpan<byte> octets)
    {
        var found = ImmutableArray.CreateBuilder<AttributeV1>();
        var reader = new WireReader(octets);
        while (reader.Remaining > 0 && !reader.Failed)
        {
            var value = Next(ref reader, out var type);
            var number = 0UL;
            var significant = value.TrimStart((byte)0);
            if (significant.Length <= 8) foreach (var octet in significant) number = (number << 8) | octet;
            if (!reader.Failed) found.Add(new AttributeV1(type, number, significant.Length > 8));
        }

        return found.ToImmutable();
    }

    /// <summary>Same attributes with the same values in the same order of their types: some peers write numbers in the other form, or in another order.</summary>
    public static bool AreSame(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right) => left.SequenceEqual(right) || Sorted(left).SequenceEqual(Sorted(right));

    /// <summary>Writes a number: short when it fits 16 bits, else as 4 octets (RFC 2407 section 4.5: so are longer lifetimes).</summary>
    public static void Write(WireWriter writer, ushort type, uint value)
    {
        if (value <= ushort.MaxValue)
        {
            writer.U16((ushort)(ShortForm | type));
            writer.U16((ushort)value);
            return;
        }

        writer.U16(type);
        writer.U16(4);
        writer.U32(value);
    }

    // a life type belongs to the duration behind it, so that the order among equal types must stay
    private static AttributeV1[] Sorted(ReadOnlySpan<byte> octets)
    {
        var all = Read(octets);
        var paired = all.Select((attribute, index) => (attribute, Life: index > 0 && attribute.Type == all[index - 1].Type + 1 ? all[index - 1].Value : 0));
        return [.. paired.OrderBy(pair => pair.attribute.Type).ThenBy(pair => pair.Life).ThenBy(pair => pair.attribute.Value).Select(pair => pair.attribute)];
    }

    private static ReadOnlySpan<byte> Next(ref WireReader reader, out ushort type)
    {
        var head = reader.U16();
        type = (ushort)(head & ~ShortForm);
        return (head & ShortForm) != 0 ? reader.Take(2) : reader.Take(reader.U16());
    }
}
