using System;
using System.Collections.Generic;
using System.Formats.Asn1;
using System.Linq;
using System.Text;

namespace Warifu.Tests.Pki;

/// <summary>Writes DER value by value, so that tests can write wrong ones too.</summary>
internal static class Der
{
    public static byte[] Of(int tag, params byte[][] contents)
    {
        var content = contents.SelectMany(part => part).ToArray();
        List<byte> head = [(byte)tag];
        if (content.Length < 0x80) head.Add((byte)content.Length);
        else if (content.Length <= 0xFF) head.AddRange([0x81, (byte)content.Length]);
        else if (content.Length <= 0xFFFF) head.AddRange([0x82, (byte)(content.Length >> 8), (byte)content.Length]);
        else head.AddRange([0x83, (byte)(content.Length >> 16), (byte)(content.Length >> 8), (byte)content.Length]);
        return [.. head, .. content];
    }

    public static byte[] Seq(params byte[][] contents) => Of(0x30, contents);

    public static byte[] Set(params byte[][] contents) => Of(0x31, contents);

    /// <summary>[n] of a primitive value.</summary>
    public static byte[] Tag(int number, params byte[][] contents) => Of(0x80 | number, contents);

    /// <summary>[n] around other values.</summary>
    public static byte[] Box(int number, params byte[][] contents) => Of(0xA0 | number, contents);

    public static byte[] Oid(string dotted)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        writer.WriteObjectIdentifier(dotted);
        return writer.Encode();
    }

    public static byte[] Int(long value)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        writer.WriteInteger(value);
        return writer.Encode();
    }

    public static byte[] Bool(bool value) => Of(0x01, [(byte)(value ? 0xFF : 0)]);

    public static byte[] Octets(params byte[][] contents) => Of(0x04, contents);

    public static byte[] Bits(params byte[][] contents) => Of(0x03, [[0], .. contents]);

    public static byte[] Null => [0x05, 0x00];

    /// <summary>Named bits, the first one being bit 0.</summary>
    public static byte[] Flags(int tag, params int[] bits)
    {
        if (bits.Length == 0) return Of(tag, [0]);
        var octets = new byte[(bits.Max() / 8) + 1];
        foreach (var bit in bits) octets[bit / 8] |= (byte)(0x80 >> (bit % 8));
        return Of(tag, [(byte)(7 - (bits.Max() % 8))], octets);
    }

    public static byte[] Text(int tag, string text) => Of(tag, Encoding.ASCII.GetBytes(text));

    public static byte[] Utf8(string text) => Of(0x0C, Encoding.UTF8.GetBytes(text));

    public static byte[] Time(DateTimeOffset time) => time.Year is >= 1950 and < 2050
        ? Text(0x17, time.UtcDateTime.ToString("yyMMddHHmmss'Z'", System.Globalization.CultureInfo.InvariantCulture))
        : General(time);

    public static byte[] General(DateTimeOffset time) => Text(0x18, time.UtcDateTime.ToString("yyyyMMddHHmmss'Z'", System.Globalization.CultureInfo.InvariantCulture));
}
