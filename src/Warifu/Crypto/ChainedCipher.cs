using System;
using Warifu.Primitives;

namespace Warifu.Crypto;

/// <summary>CBC as IKEv1 uses it: the IV of a message is the last block of the one before it in its exchange, in whichever direction that went (RFC 2409 appendix B). There is no integrity in it.</summary>
internal sealed class ChainedCipher : IDisposable
{
    private readonly BlockCipherContext _encrypt;
    private readonly BlockCipherContext _decrypt;

    public ChainedCipher(EncrId encr, Secret key)
    {
        BlockLength = Algorithms.Encr[encr].BlockLength;
        _encrypt = BlockCipherContext.Plain(encr, key.Span, encrypt: true);
        _decrypt = BlockCipherContext.Plain(encr, key.Span, encrypt: false);
    }

    public int BlockLength { get; }

    public static ChainedCipher Create(EncrId encr, Secret key) => new(encr, key);

    /// <summary>Encrypts whole blocks in place; the result is the IV of the next message.</summary>
    public byte[] Encrypt(ReadOnlySpan<byte> iv, Span<byte> data)
    {
        _encrypt.Transform(iv, data);
        return data[^BlockLength..].ToArray();
    }

    /// <summary>Decrypts whole blocks in place; the result is the IV of the next message, if this one is what it should be.</summary>
    public byte[] Decrypt(ReadOnlySpan<byte> iv, Span<byte> data)
    {
        var next = data[^BlockLength..].ToArray();
        _decrypt.Transform(iv, data);
        return next;
    }

    public void Dispose()
    {
        _encrypt.Dispose();
        _decrypt.Dispose();
    }
}
