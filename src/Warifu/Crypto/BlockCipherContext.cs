using System;
using Warifu.Crypto.Native;
using Warifu.Primitives;

namespace Warifu.Crypto;

/// <summary>A symmetric cipher with its key schedule done, for one direction: what <see cref="PacketCipher"/> is made of. Buffers are worked on in place.</summary>
internal abstract class BlockCipherContext : IDisposable
{
    /// <summary>Encrypts or decrypts whole blocks, with counter mode any number of octets.</summary>
    public virtual void Transform(ReadOnlySpan<byte> iv, Span<byte> data) => throw new NotSupportedException();

    /// <param name="nonce">Salt and IV.</param>
    /// <param name="aad">First part of the additional data.</param>
    /// <param name="moreAad">Second part.</param>
    /// <param name="data">Encrypted in place.</param>
    /// <param name="tag">Filled.</param>
    public virtual void SealAead(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> aad, ReadOnlySpan<byte> moreAad, Span<byte> data, Span<byte> tag) => throw new NotSupportedException();

    /// <summary>False when the tag is wrong; the data is zeroed then: nobody gets to see what was not authentic.</summary>
    public virtual bool OpenAead(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> aad, ReadOnlySpan<byte> moreAad, Span<byte> data, ReadOnlySpan<byte> tag) => throw new NotSupportedException();

    public abstract void Dispose();

    public static BlockCipherContext Aead(EncrId id, ReadOnlySpan<byte> key, int nonceLength, int tagLength, bool encrypt, Provider best = Provider.Processor)
    {
        var mode = id switch
        {
            EncrId.AesCcm8 or EncrId.AesCcm12 or EncrId.AesCcm16 => "CCM",
            EncrId.ChaCha20Poly1305 => "ChaCha20-Poly1305",
            _ => "GCM",
        };
        if (mode == "GCM" && best >= Provider.Processor && ProcessorAesGcm.IsSupported) return new ProcessorAesGcm(key);
        var cipher = Libcrypto.Cipher(best, mode == "ChaCha20-Poly1305" ? mode : $"AES-{key.Length * 8}-{mode}");
        return cipher != 0 ? new NativeAead(cipher, mode == "CCM", key, nonceLength, tagLength, encrypt) : new ManagedAead(mode, key, tagLength, encrypt);
    }

    public static BlockCipherContext Plain(EncrId id, ReadOnlySpan<byte> key, bool encrypt, Provider best = Provider.Processor)
    {
        // OpenSSL keeps DES in its legacy provider, which is rarely there; 3DES with one key three times is DES
        if (id == EncrId.Des)
        {
            Span<byte> three = stackalloc byte[24];
            for (var at = 0; at < 24; at += 8) key.CopyTo(three[at..]);
            var context = Plain(EncrId.TripleDes, three, encrypt, best);
            three.Clear();
            return context;
        }

        var name = id switch
        {
            EncrId.TripleDes => "DES-EDE3-CBC",
            EncrId.AesCbc => $"AES-{key.Length * 8}-CBC",
            EncrId.AesCtr => $"AES-{key.Length * 8}-CTR",
            EncrId.CamelliaCbc => $"CAMELLIA-{key.Length * 8}-CBC",
            _ => throw new ArgumentException($"no block cipher for {id}"),
        };
        var cipher = Libcrypto.Cipher(best, name);
        return cipher != 0 ? new NativeBlockCipher(cipher, key, encrypt) : new ManagedBlockCipher(id, key, encrypt);
    }
}
