using System;
using System.Runtime.InteropServices;
using System.Text;
using Warifu.Primitives;

namespace Warifu.Net.Linux;

/// <summary>Builds netlink messages: a pure function of what is written, in host byte order, attributes padded to four octets.</summary>
internal sealed class NetlinkMessage
{
    public const ushort Request = 1, Ack = 4, Root = 0x100, Match = 0x200, Replace = 0x100, Create = 0x400, Excl = 0x200, Append = 0x800;

    private byte[] _octets = new byte[256];

    public int Length { get; private set; }

    public ReadOnlySpan<byte> Octets => _octets.AsSpan(0, Length);

    /// <summary>Starts a message; returns where it begins, for <see cref="End"/>.</summary>
    public int Begin(ushort type, ushort flags, uint sequence)
    {
        var start = Length;
        U32(0).U16(type).U16(flags).U32(sequence).U32(0);
        return start;
    }

    public NetlinkMessage End(int start)
    {
        MemoryMarshal.Write(_octets.AsSpan(start), (uint)(Length - start));
        return this;
    }

    public NetlinkMessage U8(byte value) => Raw([value]);

    public NetlinkMessage U16(ushort value)
    {
        Span<byte> octets = stackalloc byte[2];
        MemoryMarshal.Write(octets, value);
        return Raw(octets);
    }

    public NetlinkMessage U32(uint value)
    {
        Span<byte> octets = stackalloc byte[4];
        MemoryMarshal.Write(octets, value);
        return Raw(octets);
    }

    public NetlinkMessage Attribute(ushort type, ReadOnlySpan<byte> value)
    {
        U16((ushort)(4 + value.Length)).U16(type).Raw(value);
        while (Length % 4 != 0) U8(0);
        return this;
    }

    public NetlinkMessage Attribute(ushort type, uint value)
    {
        Span<byte> octets = stackalloc byte[4];
        MemoryMarshal.Write(octets, value);
        return Attribute(type, octets);
    }

    public NetlinkMessage Attribute(ushort type, byte value) => Attribute(type, [value]);

    public NetlinkMessage Attribute(ushort type, IpAddress value)
    {
        Span<byte> octets = stackalloc byte[16];
        value.Write(octets);
        return Attribute(type, octets[..value.Length]);
    }

    /// <summary>Text with its terminating zero.</summary>
    public NetlinkMessage Attribute(ushort type, string value) => Attribute(type, Encoding.ASCII.GetBytes(value + "\0"));

    public int BeginNested(ushort type)
    {
        var start = Length;
        U16(0).U16((ushort)(type | 0x8000));
        return start;
    }

    public NetlinkMessage EndNested(int start)
    {
        MemoryMarshal.Write(_octets.AsSpan(start), (ushort)(Length - start));
        return this;
    }

    public NetlinkMessage Raw(ReadOnlySpan<byte> octets)
    {
        if (Length + octets.Length > _octets.Length) Array.Resize(ref _octets, Math.Max(_octets.Length * 2, Length + octets.Length));
        octets.CopyTo(_octets.AsSpan(Length));
        Length += octets.Length;
        return this;
    }
}
