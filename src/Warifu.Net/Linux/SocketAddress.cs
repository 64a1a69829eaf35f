using System;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Warifu.Primitives;

namespace Warifu.Net.Linux;

/// <summary>sockaddr_in and sockaddr_in6 as octets.</summary>
internal static class SocketAddress
{
    public const int MaxLength = 28;

    /// <summary>Writes the address; returns its length.</summary>
    public static int Write(Span<byte> destination, Endpoint endpoint, bool v6)
    {
        destination.Clear();
        MemoryMarshal.Write(destination, (ushort)(v6 ? Libc.AfInet6 : Libc.AfInet));
        BinaryPrimitives.WriteUInt16BigEndian(destination[2..], endpoint.Port);
        endpoint.Address.Write(destination[(v6 ? 8 : 4)..]);
        return v6 ? 28 : 16;
    }

    public static Endpoint Read(ReadOnlySpan<byte> source)
    {
        var family = MemoryMarshal.Read<ushort>(source);
        var port = BinaryPrimitives.ReadUInt16BigEndian(source[2..]);
        return family == Libc.AfInet6 ? new Endpoint(IpAddress.FromOctets(source.Slice(8, 16)), port) : new Endpoint(IpAddress.FromOctets(source.Slice(4, 4)), port);
    }
}
