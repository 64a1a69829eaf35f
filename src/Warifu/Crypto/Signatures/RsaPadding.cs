using System;
using System.Buffers.Binary;
using System.Security.Cryptography;
using Warifu.Primitives;

namespace Warifu.Crypto.Signatures;

/// <summary>Encodings of RSA signatures (RFC 8017 section 9).</summary>
internal static class RsaPadding
{
    /// <summary>EMSA-PKCS1-v1_5: the one encoding that a signature of this data may contain. False when the modulus is too short for the hash.</summary>
    public static bool TryEncodePkcs1(HashId hash, ReadOnlySpan<byte> data, Span<byte> encoded)
    {
        var head = Hashes.DigestInfoOf(hash);
        var tail = hash == HashId.None ? data.Length : head.Length + Hashes.LengthOf(hash);
        if ((head.IsEmpty && hash != HashId.None) || encoded.Length < tail + 11) return false;
        encoded.Fill(0xFF);
        (encoded[0], encoded[1], encoded[^(tail + 1)]) = (0x00, 0x01, 0x00);
        if (hash == HashId.None)
        {
            data.CopyTo(encoded[^tail..]);
            return true;
        }

        head.CopyTo(encoded[^tail..]);
        Hashes.Compute(hash, data, encoded[^Hashes.LengthOf(hash)..]);
        return true;
    }

    /// <summary>EMSA-PSS-VERIFY (section 9.1.2) with MGF1 of the same hash.</summary>
    /// <param name="hash">Hash.</param>
    /// <param name="saltLength">The salt must have exactly this length.</param>
    /// <param name="data">What was signed.</param>
    /// <param name="encoded">s^e mod n, as long as the modulus.</param>
    /// <param name="modulusBits">Bits of the modulus.</param>
    public static bool VerifyPss(HashId hash, int saltLength, ReadOnlySpan<byte> data, ReadOnlySpan<byte> encoded, int modulusBits)
    {
        var bits = modulusBits - 1;
        var length = (bits + 7) / 8;
        // a modulus of 8k+1 bits: the octet in front must be zero
        if (encoded.Length == length + 1)
        {
            if (encoded[0] != 0) return false;
            encoded = encoded[1..];
        }

        var hashLength = Hashes.LengthOf(hash);
        if (hashLength == 0 || length < hashLength + saltLength + 2 || encoded[^1] != 0xBC) return false;
        var given = encoded.Slice(length - hashLength - 1, hashLength);
        var block = encoded[..(length - hashLength - 1)].ToArray();
        var unused = (8 * length) - bits;
        if (unused > 0 && block[0] >> (8 - unused) != 0) return false;
        Mask(hash, given, block);
        block[0] &= (byte)(0xFF >> unused);
        var zeros = block.Length - saltLength - 1;
        if (block.AsSpan(0, zeros).IndexOfAnyExcept((byte)0) >= 0 || block[zeros] != 0x01) return false;
        Span<byte> expected = stackalloc byte[Hashes.LongestLength];
        Salted(hash, data, block.AsSpan(zeros + 1), expected);
        return CryptographicOperations.FixedTimeEquals(expected[..hashLength], given);
    }

    /// <summary>EMSA-PSS-ENCODE (section 9.1.1). False when the modulus is too short.</summary>
    public static bool TryEncodePss(HashId hash, ReadOnlySpan<byte> salt, ReadOnlySpan<byte> data, Span<byte> encoded, int modulusBits)
    {
        encoded.Clear();
        var bits = modulusBits - 1;
        var length = (bits + 7) / 8;
        var hashLength = Hashes.LengthOf(hash);
        if (hashLength == 0 || length < hashLength + salt.Length + 2) return false;
        var message = encoded[^length..];
        var digest = message.Slice(length - hashLength - 1, hashLength);
        Salted(hash, data, salt, digest);
        var block = message[..(length - hashLength - 1)];
        block[^(salt.Length + 1)] = 0x01;
        salt.CopyTo(block[^salt.Length..]);
        Mask(hash, digest, block);
        block[0] &= (byte)(0xFF >> ((8 * length) - bits));
        message[^1] = 0xBC;
        return true;
    }

    /// <summary>Hash(eight zeros | Hash(data) | salt).</summary>
    private static void Salted(HashId hash, ReadOnlySpan<byte> data, ReadOnlySpan<byte> salt, Span<byte> output)
    {
        var hashLength = Hashes.LengthOf(hash);
        var input = new byte[8 + hashLength + salt.Length];
        Hashes.Compute(hash, data, input.AsSpan(8));
        salt.CopyTo(input.AsSpan(8 + hashLength));
        Hashes.Compute(hash, input, output);
    }

    /// <summary>XORs MGF1 (appendix B.2.1) onto the block.</summary>
    private static void Mask(HashId hash, ReadOnlySpan<byte> seed, Span<byte> block)
    {
        var input = new byte[seed.Length + 4];
        seed.CopyTo(input);
        Span<byte> mask = stackalloc byte[Hashes.LongestLength];
        var hashLength = Hashes.LengthOf(hash);
        for (var counter = 0u; !block.IsEmpty; counter++)
        {
            BinaryPrimitives.WriteUInt32BigEndian(input.AsSpan(seed.Length), counter);
            Hashes.Compute(hash, input, mask);
            var take = Math.Min(hashLength, block.Length);
            for (var i = 0; i < take; i++) block[i] ^= mask[i];
            block = block[take..];
        }
    }
}
