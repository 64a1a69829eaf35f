using System;
using System.Buffers.Binary;

namespace Warifu.Wire;

/// <summary>Reads big-endian fields. A read past the end sets <see cref="Failed"/> for good and gives zeros, so that straight code checks once at its end.</summary>
internal ref struct WireReader(ReadOnlySpan<byte> octets)
{
    private readonly ReadOnlySpan<byte> _octets = octets;

    public int Position { get; private set; }

    public bool Failed { get; private set; }

    public readonly int Remaining => _octets.Length - Position;

    /// <summary>Everything was read and nothing was missing.</summary>
    public readonly bool AtEnd => !Failed && Remaining == 0;

    public byte U8() => Take(1) is { Length: 1 } octets ? octets[0] : (byte)0;

    public ushort U16() => Take(2) is { Length: 2 } octets ? BinaryPrimitives.ReadUInt16BigEndian(octets) : (ushort)0;

    public uint U32() => Take(4) is { Length: 4 } octets ? BinaryPrimitives.ReadUInt32BigEndian(octets) : 0;

    public ulong U64() => Take(8) is { Length: 8 } octets ? BinaryPrimitives.ReadUInt64BigEndian(octets) : 0;

    /// <summary>The next <paramref name="count"/> octets, or none when there are fewer.</summary>
    public ReadOnlySpan<byte> Take(int count)
    {
        if (Failed || count < 0 || count > Remaining)
        {
            Failed = true;
            return default;
        }

        var taken = _octets.Slice(Position, count);
        Position += count;
        return taken;
    }

    /// <summary>All that is left.</summary>
    public ReadOnlySpan<byte> Rest() => Take(Remaining);
}
