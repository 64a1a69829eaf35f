using System;
using System.Buffers.Binary;

namespace Warifu.Wire;

/// <summary>Writes big-endian fields into a buffer that grows; lengths are patched afterwards.</summary>
internal sealed class WireWriter(int capacity = 512)
{
    private byte[] _buffer = new byte[capacity];

    public int Length { get; private set; }

    public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, Length);

    public void U8(byte value) => Reserve(1)[0] = value;

    public void U16(ushort value) => BinaryPrimitives.WriteUInt16BigEndian(Reserve(2), value);

    public void U32(uint value) => BinaryPrimitives.WriteUInt32BigEndian(Reserve(4), value);

    public void U64(ulong value) => BinaryPrimitives.WriteUInt64BigEndian(Reserve(8), value);

    public void Octets(ReadOnlySpan<byte> value) => value.CopyTo(Reserve(value.Length));

    /// <summary><paramref name="count"/> octets to be filled by the caller before the next write.</summary>
    public Span<byte> Reserve(int count)
    {
        if (Length + count > _buffer.Length) Array.Resize(ref _buffer, Math.Max(_buffer.Length * 2, Length + count));
        var reserved = _buffer.AsSpan(Length, count);
        Length += count;
        return reserved;
    }

    public void PatchU8(int position, byte value) => _buffer[position] = value;

    public void PatchU16(int position, ushort value) => BinaryPrimitives.WriteUInt16BigEndian(_buffer.AsSpan(position, 2), value);

    public void PatchU32(int position, uint value) => BinaryPrimitives.WriteUInt32BigEndian(_buffer.AsSpan(position, 4), value);

    public byte[] ToArray() => Written.ToArray();

    /// <summary>Zeroes what was written: a secret was among it.</summary>
    public void Erase()
    {
        _buffer.AsSpan(0, Length).Clear();
        Length = 0;
    }
}
