using System;
using System.Security.Cryptography;
using Warifu.Crypto.Native;
using Warifu.Primitives;

namespace Warifu.Crypto;

/// <summary>A symmetric cipher with its key schedule done, for one direction: what <see cref="PacketCipher"/> is made of. Buffers are worked on in place.</summary>
internal abstract class BlockCipherContext : IDisposable
{
    /// <summary>Encrypts or decrypts whole blocks; the IV is as long as the mode wants, empty for ECB.</summary>
    public virtual void Transform(ReadOnlySpan<byte> iv, Span<byte> data) => throw new NotSupportedException();

    /// <param name="nonce">Salt and IV.</param>
    /// <param name="aad">First part of the additional data.</param>
    /// <param name="moreAad">Second part.</param>
    /// <param name="data">Encrypted in place.</param>
    /// <param name="tag">Filled.</param>
    public virtual void SealAead(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> aad, ReadOnlySpan<byte> moreAad, Span<byte> data, Span<byte> tag) => throw new NotSupportedException();

    /// <summary>False when the tag is wrong; the data is garbage then.</summary>
    public virtual bool OpenAead(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> aad, ReadOnlySpan<byte> moreAad, Span<byte> data, ReadOnlySpan<byte> tag) => throw new NotSupportedException();

    public abstract void Dispose();

    public static BlockCipherContext Aead(EncrId id, ReadOnlySpan<byte> key, int nonceLength, int tagLength, bool encrypt)
    {
        var mode = id switch
        {
            EncrId.AesCcm8 or EncrId.AesCcm12 or EncrId.AesCcm16 => "CCM",
            EncrId.ChaCha20Poly1305 => "ChaCha20-Poly1305",
            _ => "GCM",
        };
        return Libcrypto.IsAvailable
            ? new NativeAead(mode == "ChaCha20-Poly1305" ? mode : $"AES-{key.Length * 8}-{mode}", mode == "CCM", key, nonceLength, tagLength, encrypt)
            : new ManagedAead(mode, key, tagLength, encrypt);
    }

    public static BlockCipherContext Plain(EncrId id, ReadOnlySpan<byte> key, bool encrypt)
    {
        var name = id switch
        {
            EncrId.TripleDes => "DES-EDE3-CBC",
            EncrId.AesCbc => $"AES-{key.Length * 8}-CBC",
            EncrId.AesCtr => $"AES-{key.Length * 8}-CTR",
            EncrId.CamelliaCbc => $"CAMELLIA-{key.Length * 8}-CBC",
            _ => throw new ArgumentException($"no block cipher for {id}"),
        };
        return Libcrypto.IsAvailable ? new NativeBlockCipher(name, key, encrypt) : new ManagedBlockCipher(id, key, encrypt);
    }

    public static BlockCipherContext Ecb(ReadOnlySpan<byte> key) => Libcrypto.IsAvailable ? new NativeBlockCipher($"AES-{key.Length * 8}-ECB", key, true) : new ManagedBlockCipher(EncrId.None, key, true);
}

/// <summary>EVP_CIPHER with a reused context: the key is set once, each packet sets the IV only.</summary>
internal sealed unsafe class NativeBlockCipher : BlockCipherContext
{
    private readonly int _encrypt;
    private nint _context;

    public NativeBlockCipher(string name, ReadOnlySpan<byte> key, bool encrypt)
    {
        _encrypt = encrypt ? 1 : 0;
        _context = Libcrypto.EVP_CIPHER_CTX_new();
        var cipher = Libcrypto.EVP_CIPHER_fetch(0, name, 0);
        fixed (byte* k = key)
        {
            if (cipher == 0 || Libcrypto.EVP_CipherInit_ex(_context, cipher, 0, k, null, _encrypt) != 1) throw new CryptographicException("libcrypto has no " + name);
        }

        Libcrypto.Check(Libcrypto.EVP_CIPHER_CTX_set_padding(_context, 0));
    }

    ~NativeBlockCipher() => Dispose();

    public override void Transform(ReadOnlySpan<byte> iv, Span<byte> data)
    {
        fixed (byte* i = iv)
        fixed (byte* d = data)
        {
            if (Libcrypto.EVP_CipherInit_ex(_context, 0, 0, null, i, _encrypt) != 1 || Libcrypto.EVP_CipherUpdate(_context, d, out _, d, data.Length) != 1) throw new CryptographicException("EVP_CipherUpdate");
        }
    }

    public override void Dispose()
    {
        if (_context != 0) Libcrypto.EVP_CIPHER_CTX_free(_context);
        _context = 0;
        GC.SuppressFinalize(this);
    }
}

/// <summary>An AEAD of libcrypto with a reused context.</summary>
internal sealed unsafe class NativeAead : BlockCipherContext
{
    private readonly int _encrypt;
    private readonly bool _ccm;
    private nint _context;

    public NativeAead(string name, bool ccm, ReadOnlySpan<byte> key, int nonceLength, int tagLength, bool encrypt)
    {
        (_encrypt, _ccm) = (encrypt ? 1 : 0, ccm);
        _context = Libcrypto.EVP_CIPHER_CTX_new();
        var cipher = Libcrypto.EVP_CIPHER_fetch(0, name, 0);
        if (cipher == 0 || Libcrypto.EVP_CipherInit_ex(_context, cipher, 0, null, null, _encrypt) != 1) throw new CryptographicException("libcrypto has no " + name);
        Libcrypto.Check(Libcrypto.EVP_CIPHER_CTX_ctrl(_context, Libcrypto.CtrlAeadSetIvLength, nonceLength, null));
        // CCM needs the tag's length before the key
        if (ccm) Libcrypto.Check(Libcrypto.EVP_CIPHER_CTX_ctrl(_context, Libcrypto.CtrlAeadSetTag, tagLength, null));
        fixed (byte* k = key)
        {
            if (Libcrypto.EVP_CipherInit_ex(_context, 0, 0, k, null, _encrypt) != 1) throw new CryptographicException(name + ": key");
        }
    }

    ~NativeAead() => Dispose();

    public override void SealAead(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> aad, ReadOnlySpan<byte> moreAad, Span<byte> data, Span<byte> tag)
    {
        if (!Run(nonce, aad, moreAad, data)) throw new CryptographicException("AEAD");
        fixed (byte* t = tag)
        {
            if (Libcrypto.EVP_CIPHER_CTX_ctrl(_context, Libcrypto.CtrlAeadGetTag, tag.Length, t) != 1) throw new CryptographicException("AEAD tag");
        }
    }

    public override bool OpenAead(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> aad, ReadOnlySpan<byte> moreAad, Span<byte> data, ReadOnlySpan<byte> tag)
    {
        fixed (byte* t = tag)
        {
            if (Libcrypto.EVP_CIPHER_CTX_ctrl(_context, Libcrypto.CtrlAeadSetTag, tag.Length, t) != 1) return false;
        }

        if (!Run(nonce, aad, moreAad, data)) return false;
        if (_ccm) return true;
        byte none;
        return Libcrypto.EVP_CipherFinal_ex(_context, &none, out _) == 1;
    }

    public override void Dispose()
    {
        if (_context != 0) Libcrypto.EVP_CIPHER_CTX_free(_context);
        _context = 0;
        GC.SuppressFinalize(this);
    }

    private bool Run(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> aad, ReadOnlySpan<byte> moreAad, Span<byte> data)
    {
        byte none;
        fixed (byte* n = nonce)
        fixed (byte* a = aad)
        fixed (byte* m = moreAad)
        fixed (byte* d = data)
        {
            if (Libcrypto.EVP_CipherInit_ex(_context, 0, 0, null, n, _encrypt) != 1) return false;
            // CCM wants the length of the data before the additional data
            if (_ccm && Libcrypto.EVP_CipherUpdate(_context, null, out _, null, data.Length) != 1) return false;
            if (Libcrypto.EVP_CipherUpdate(_context, null, out _, a, aad.Length) != 1) return false;
            if (!moreAad.IsEmpty && Libcrypto.EVP_CipherUpdate(_context, null, out _, m, moreAad.Length) != 1) return false;
            if (data.IsEmpty && !_ccm) return _encrypt == 0 || Libcrypto.EVP_CipherFinal_ex(_context, &none, out _) == 1;
            // an empty CCM message still needs the call that checks or makes the tag
            if (Libcrypto.EVP_CipherUpdate(_context, data.IsEmpty ? &none : d, out _, data.IsEmpty ? &none : d, data.Length) != 1) return false;
            return _ccm || _encrypt == 0 || Libcrypto.EVP_CipherFinal_ex(_context, &none, out _) == 1;
        }
    }
}
