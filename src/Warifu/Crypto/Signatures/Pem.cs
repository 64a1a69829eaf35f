using System;
using System.Buffers.Text;
using System.Collections.Generic;
using System.Security.Cryptography;
using System.Text;
using Warifu.Primitives;

namespace Warifu.Crypto.Signatures;

/// <summary>One block of a PEM file. The octets may be secret: whoever reads them zeroes them.</summary>
/// <param name="Label">What stands behind BEGIN.</param>
/// <param name="Octets">Decoded.</param>
/// <param name="Cipher">Name of the cipher and IV in hex of OpenSSL's old encryption ("AES-256-CBC,…"); null when clear.</param>
internal readonly record struct PemBlock(string Label, byte[] Octets, string? Cipher)
{
    public void Zero() => CryptographicOperations.ZeroMemory(Octets);
}

/// <summary>PEM (RFC 7468, with the headers of RFC 1421 that OpenSSL writes): read as octets, since it may hold secrets.</summary>
internal static class Pem
{
    private const int BlocksMax = 4096;

    private static ReadOnlySpan<byte> Begin => "-----BEGIN "u8;

    private static ReadOnlySpan<byte> Dashes => "-----"u8;

    public static bool IsPem(ReadOnlySpan<byte> file) => file.IndexOf(Begin) >= 0;

    /// <summary>Complete blocks in order; text around them is passed over, damaged ones too.</summary>
    public static List<PemBlock> Read(ReadOnlySpan<byte> file)
    {
        var blocks = new List<PemBlock>();
        while (blocks.Count < BlocksMax)
        {
            var start = file.IndexOf(Begin);
            if (start < 0) break;
            file = file[(start + Begin.Length)..];
            var end = file.IndexOf(Dashes);
            if (end is < 0 or > 64) continue;
            var label = Encoding.ASCII.GetString(file[..end]);
            file = file[(end + Dashes.Length)..];
            var close = file.IndexOf(Encoding.ASCII.GetBytes($"-----END {label}-----"));
            if (close < 0) continue;
            if (TryDecode(file[..close], out var octets, out var cipher)) blocks.Add(new PemBlock(label, octets, cipher));
            file = file[close..];
        }

        return blocks;
    }

    /// <summary>OpenSSL's old encryption of PEM blocks: key = MD5(passphrase | salt), with the first eight octets of the IV as salt.</summary>
    public static Secret Decrypt(PemBlock block, ReadOnlySpan<byte> passphrase)
    {
        if (passphrase.IsEmpty) throw new FormatException("the private key is encrypted; give its passphrase");
        var comma = block.Cipher!.IndexOf(',', StringComparison.Ordinal);
        var name = comma < 0 ? block.Cipher : block.Cipher[..comma];
        var (length, triple) = name switch
        {
            "AES-128-CBC" => (16, false),
            "AES-192-CBC" => (24, false),
            "AES-256-CBC" => (32, false),
            "DES-EDE3-CBC" => (24, true),
            _ => throw new FormatException($"the private key is encrypted with {name}, which is not supported; convert it: openssl pkcs8 -topk8"),
        };
        byte[] iv;
        try
        {
            iv = Convert.FromHexString(block.Cipher[(comma + 1)..]);
        }
        catch (FormatException)
        {
            iv = [];
        }

        if (iv.Length != (triple ? 8 : 16)) throw new FormatException("the head of the encrypted private key is damaged");
        using var key = new Secret(48);
        using var input = new Secret(16 + passphrase.Length + 8);
        passphrase.CopyTo(input.Span[16..]);
        iv.AsSpan(0, 8).CopyTo(input.Span[^8..]);
        for (var at = 0; at < length; at += 16)
        {
            MD5.HashData(at == 0 ? input.Span[16..] : input.Span, key.Span[at..]);
            key.Span.Slice(at, 16).CopyTo(input.Span);
        }

        return Pbes2.Decipher(triple, key.Span[..length], iv, block.Octets);
    }

    private static bool TryDecode(ReadOnlySpan<byte> body, out byte[] octets, out string? cipher)
    {
        (octets, cipher) = ([], null);
        var text = GC.AllocateArray<byte>(body.Length, pinned: true);
        var length = 0;
        foreach (var range in body.Split((byte)'\n'))
        {
            var line = body[range].Trim(" \t\r"u8);
            if (line.Contains((byte)':'))
            {
                if (line.StartsWith("DEK-Info:"u8)) cipher = Encoding.ASCII.GetString(line["DEK-Info:"u8.Length..]).Trim();
                continue;
            }

            line.CopyTo(text.AsSpan(length));
            length += line.Length;
        }

        var output = GC.AllocateArray<byte>(Base64.GetMaxDecodedFromUtf8Length(length), pinned: true);
        var good = Base64.DecodeFromUtf8(text.AsSpan(0, length), output, out _, out var written) == System.Buffers.OperationStatus.Done && written > 0;
        CryptographicOperations.ZeroMemory(text);
        octets = GC.AllocateArray<byte>(written, pinned: true);
        output.AsSpan(0, written).CopyTo(octets);
        CryptographicOperations.ZeroMemory(output);
        return good;
    }
}
