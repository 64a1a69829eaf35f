using System;
using System.Buffers.Binary;

namespace Warifu.Wire.V1;

/// <summary>Reads the attributes of Mode Config and XAuth (RFC 2408 section 3.3) one after the other, of octets that <see cref="AttributesBody"/> has checked.</summary>
internal ref struct ConfigurationReader(ReadOnlySpan<byte> octets)
{
    private WireReader _reader = new(octets);

    /// <summary>The value of a short attribute is two octets.</summary>
    public bool TryNext(out ushort type, out ReadOnlySpan<byte> value)
    {
        type = 0;
        value = default;
        if (_reader.Remaining == 0 || _reader.Failed) return false;
        var head = _reader.U16();
        type = (ushort)(head & ~AttributeList.ShortForm);
        value = (head & AttributeList.ShortForm) != 0 ? _reader.Take(2) : _reader.Take(_reader.U16());
        return !_reader.Failed;
    }

    /// <summary>The first attribute of a type.</summary>
    public static bool TryFind(ReadOnlySpan<byte> octets, ushort wanted, out ReadOnlySpan<byte> value)
    {
        var reader = new ConfigurationReader(octets);
        while (reader.TryNext(out var type, out value))
        {
            if (type == wanted) return true;
        }

        value = default;
        return false;
    }

    /// <summary>The first attribute of a type as a number; null when there is none, or when it is none.</summary>
    public static ushort? NumberOf(ReadOnlySpan<byte> octets, ushort wanted) => TryFind(octets, wanted, out var value) && value.Length == 2 ? BinaryPrimitives.ReadUInt16BigEndian(value) : null;
}

/// <summary>Writes them.</summary>
internal static class ConfigurationList
{
    public static void Octets(WireWriter writer, ushort type, ReadOnlySpan<byte> value)
    {
        writer.U16(type);
        writer.U16(checked((ushort)value.Length));
        writer.Octets(value);
    }

    /// <summary>In the short form.</summary>
    public static void Number(WireWriter writer, ushort type, ushort value)
    {
        writer.U16((ushort)(AttributeList.ShortForm | type));
        writer.U16(value);
    }
}
