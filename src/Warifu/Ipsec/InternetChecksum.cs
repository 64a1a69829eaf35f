using System;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Warifu.Ipsec;

/// <summary>The Internet checksum (RFC 1071) and its incremental update (RFC 1624).</summary>
internal static class InternetChecksum
{
    /// <summary>The value for a checksum field that is zero in <paramref name="octets"/>; over octets with a right checksum the result is 0.</summary>
    public static ushort Compute(ReadOnlySpan<byte> octets, ulong initial = 0) => Finish(Sum(octets, initial));

    /// <summary>Adds 16-bit words in network order; an odd last octet counts as the high half of a word.</summary>
    public static ulong Sum(ReadOnlySpan<byte> octets, ulong initial = 0)
    {
        // The ones' complement sum does not care about octet order (RFC 1071 section 2 (B)): native words are added and swapped once. Halves of 32 bits in lanes of 64 cannot overflow below 2^35 octets.
        ref var at = ref MemoryMarshal.GetReference(octets);
        var done = 0;
        ulong sum = 0;
        if (octets.Length >= 64)
        {
            var mask = Vector256.Create(0xFFFF_FFFFUL);
            var (low, high) = (Vector256<ulong>.Zero, Vector256<ulong>.Zero);
            for (; done <= octets.Length - 32; done += 32)
            {
                var words = Vector256.LoadUnsafe(ref at, (nuint)done).AsUInt64();
                low += words & mask;
                high += words >>> 32;
            }

            sum = Vector256.Sum(low) + Vector256.Sum(high);
        }

        return initial + Rest(octets[done..], sum);
    }

    /// <summary>Copies, and adds like <see cref="Sum"/> on the way.</summary>
    public static ulong CopyAndSum(ReadOnlySpan<byte> octets, Span<byte> destination, ulong initial = 0)
    {
        ref var from = ref MemoryMarshal.GetReference(octets);
        ref var to = ref MemoryMarshal.GetReference(destination[..octets.Length]);
        var done = 0;
        ulong sum = 0;
        if (octets.Length >= 64)
        {
            var mask = Vector256.Create(0xFFFF_FFFFUL);
            var (low, high) = (Vector256<ulong>.Zero, Vector256<ulong>.Zero);
            for (; done <= octets.Length - 32; done += 32)
            {
                var octetsNow = Vector256.LoadUnsafe(ref from, (nuint)done);
                octetsNow.StoreUnsafe(ref to, (nuint)done);
                var words = octetsNow.AsUInt64();
                low += words & mask;
                high += words >>> 32;
            }

            sum = Vector256.Sum(low) + Vector256.Sum(high);
        }

        octets[done..].CopyTo(destination[done..]);
        return initial + Rest(octets[done..], sum);
    }

    /// <summary>Folds and complements.</summary>
    public static ushort Finish(ulong sum) => (ushort)~Fold(sum);

    /// <summary>The checksum after a 16-bit word changed (RFC 1624 equation 3).</summary>
    public static ushort Update(ushort checksum, ushort before, ushort after) => (ushort)~Fold((ulong)(ushort)~checksum + (ushort)~before + after);

    /// <summary>Adds what is left to a native sum, folds it and swaps it to network order.</summary>
    private static ulong Rest(ReadOnlySpan<byte> rest, ulong sum)
    {
        while (rest.Length >= 4)
        {
            sum += MemoryMarshal.Read<uint>(rest);
            rest = rest[4..];
        }

        if (rest.Length >= 2)
        {
            sum += MemoryMarshal.Read<ushort>(rest);
            rest = rest[2..];
        }

        if (rest.Length == 1) sum += BitConverter.IsLittleEndian ? rest[0] : (ulong)(rest[0] << 8);
        var folded = Fold(sum);
        return BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(folded) : folded;
    }

    private static ushort Fold(ulong sum)
    {
        sum = (sum & 0xFFFF_FFFF) + (sum >> 32);
        sum = (sum & 0xFFFF) + ((sum >> 16) & 0xFFFF) + (sum >> 32);
        sum = (sum & 0xFFFF) + (sum >> 16);
        sum = (sum & 0xFFFF) + (sum >> 16);
        return (ushort)sum;
    }
}
