using System;
using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Warifu.Ipsec;

/// <summary>The Internet checksum (RFC 1071) and its incremental update (RFC 1624).</summary>
internal static class InternetChecksum
{
    /// <summary>The value for a checksum field that is zero in <paramref name="octets"/>; over octets with a right checksum the result is 0.</summary>
    public static ushort Compute(ReadOnlySpan<byte> octets, ulong initial = 0) => Finish(Sum(octets, initial));

    /// <summary>Adds 16-bit words in network order; an odd last octet counts as the high half of a word.</summary>
    public static ulong Sum(ReadOnlySpan<byte> octets, ulong initial = 0)
    {
        // The ones' complement sum does not care about octet order (RFC 1071 section 2 (B)): native words are added and swapped once.
        UInt128 sum = 0;
        var words = MemoryMarshal.Cast<byte, ulong>(octets);
        foreach (var word in words) sum += word;
        var rest = octets[(words.Length * 8)..];
        while (rest.Length >= 2)
        {
            sum += MemoryMarshal.Read<ushort>(rest);
            rest = rest[2..];
        }

        if (rest.Length == 1) sum += BitConverter.IsLittleEndian ? rest[0] : (ushort)(rest[0] << 8);
        var folded = Fold((ulong)(sum & ulong.MaxValue), (ulong)(sum >> 64));
        return initial + (BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(folded) : folded);
    }

    /// <summary>Folds and complements.</summary>
    public static ushort Finish(ulong sum) => (ushort)~Fold(sum, 0);

    /// <summary>The checksum after a 16-bit word changed (RFC 1624 equation 3).</summary>
    public static ushort Update(ushort checksum, ushort before, ushort after) => (ushort)~Fold((ulong)(ushort)~checksum + (ushort)~before + after, 0);

    private static ushort Fold(ulong low, ulong high)
    {
        var sum = (low & 0xFFFF_FFFF) + (low >> 32) + (high & 0xFFFF_FFFF) + (high >> 32);
        sum = (sum & 0xFFFF) + ((sum >> 16) & 0xFFFF) + (sum >> 32);
        sum = (sum & 0xFFFF) + (sum >> 16);
        sum = (sum & 0xFFFF) + (sum >> 16);
        return (ushort)sum;
    }
}
