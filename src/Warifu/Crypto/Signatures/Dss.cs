using System;
using System.Formats.Asn1;

namespace Warifu.Crypto.Signatures;

/// <summary>The two forms of an (EC)DSA signature: SEQUENCE { r, s } in DER, and r|s of fixed length. Verification goes on with one canonical form, so that every provider is equally strict.</summary>
internal static class Dss
{
    /// <summary>r|s out of DER, each of <paramref name="length"/> octets; false for every other encoding of the same numbers (BER, padding, negative, trailing octets).</summary>
    public static bool TryToRaw(ReadOnlySpan<byte> der, int length, Span<byte> raw)
    {
        // 30 len 02 len r 02 len s: short, or one long-form octet with P-521
        if (der.Length < 8 || der[0] != 0x30) return false;
        var position = 2;
        int total = der[1];
        if (total == 0x81)
        {
            total = der[2];
            position = 3;
            if (total < 0x80) return false;
        }
        else if (total >= 0x80)
        {
            return false;
        }

        if (der.Length != position + total) return false;
        return TryReadNumber(der, ref position, raw[..length]) && TryReadNumber(der, ref position, raw[length..(2 * length)]) && position == der.Length;
    }

    /// <summary>DER of r|s.</summary>
    public static byte[] ToDer(ReadOnlySpan<byte> raw)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            writer.WriteIntegerUnsigned(Trim(raw[..(raw.Length / 2)]));
            writer.WriteIntegerUnsigned(Trim(raw[(raw.Length / 2)..]));
        }

        return writer.Encode();
    }

    private static ReadOnlySpan<byte> Trim(ReadOnlySpan<byte> number)
    {
        var first = number.IndexOfAnyExcept((byte)0);
        return first < 0 ? number[^1..] : number[first..];
    }

    private static bool TryReadNumber(ReadOnlySpan<byte> der, ref int position, Span<byte> output)
    {
        if (der.Length - position < 3 || der[position] != 0x02) return false;
        int length = der[position + 1];
        if (length is 0 or >= 0x80 || length > der.Length - position - 2) return false;
        var number = der.Slice(position + 2, length);
        position += 2 + length;
        if (number[0] >= 0x80) return false;
        if (number[0] == 0 && length > 1)
        {
            // a zero in front only where the sign bit needs it
            if (number[1] < 0x80) return false;
            number = number[1..];
        }

        if (number.Length > output.Length) return false;
        output.Clear();
        number.CopyTo(output[^number.Length..]);
        return true;
    }
}
