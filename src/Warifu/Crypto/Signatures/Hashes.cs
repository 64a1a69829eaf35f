using System;
using System.Security.Cryptography;
using Warifu.Primitives;

namespace Warifu.Crypto.Signatures;

/// <summary>Hash functions of signatures.</summary>
internal static class Hashes
{
    public const int LongestLength = 64;

    public static int LengthOf(HashId hash) => hash switch
    {
        HashId.Sha1 => 20,
        HashId.Sha256 => 32,
        HashId.Sha384 => 48,
        HashId.Sha512 => 64,
        _ => 0,
    };

    public static string NameOf(HashId hash) => hash switch
    {
        HashId.Sha1 => "sha1",
        HashId.Sha256 => "sha256",
        HashId.Sha384 => "sha384",
        HashId.Sha512 => "sha512",
        HashId.Identity => "identity",
        _ => "none",
    };

    public static string OidOf(HashId hash) => hash switch
    {
        HashId.Sha1 => "1.3.14.3.2.26",
        HashId.Sha256 => "2.16.840.1.101.3.4.2.1",
        HashId.Sha384 => "2.16.840.1.101.3.4.2.2",
        HashId.Sha512 => "2.16.840.1.101.3.4.2.3",
        _ => throw new ArgumentOutOfRangeException(nameof(hash)),
    };

    public static HashId OfOid(string oid) => oid switch
    {
        "1.3.14.3.2.26" => HashId.Sha1,
        "2.16.840.1.101.3.4.2.1" => HashId.Sha256,
        "2.16.840.1.101.3.4.2.2" => HashId.Sha384,
        "2.16.840.1.101.3.4.2.3" => HashId.Sha512,
        _ => HashId.None,
    };

    /// <summary>DigestInfo up to the digest (RFC 8017 section 9.2 note 1).</summary>
    public static ReadOnlySpan<byte> DigestInfoOf(HashId hash) => hash switch
    {
        HashId.Sha1 => [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14],
        HashId.Sha256 => [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20],
        HashId.Sha384 => [0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30],
        HashId.Sha512 => [0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40],
        _ => default,
    };

    /// <summary>Writes the digest; returns its length.</summary>
    public static int Compute(HashId hash, ReadOnlySpan<byte> data, Span<byte> output) => hash switch
    {
        HashId.Sha1 => SHA1.HashData(data, output),
        HashId.Sha256 => SHA256.HashData(data, output),
        HashId.Sha384 => SHA384.HashData(data, output),
        HashId.Sha512 => SHA512.HashData(data, output),
        _ => throw new ArgumentOutOfRangeException(nameof(hash)),
    };
}
