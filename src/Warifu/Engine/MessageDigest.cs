using System;
using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Warifu.Engine;

/// <summary>What a message is recognised by when it comes again.</summary>
internal static class MessageDigest
{
    public static UInt128 Of(ReadOnlySpan<byte> message)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(message, digest);
        return BinaryPrimitives.ReadUInt128BigEndian(digest);
    }
}
