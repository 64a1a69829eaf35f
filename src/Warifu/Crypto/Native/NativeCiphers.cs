using System;
using System.Security.Cryptography;

namespace Warifu.Crypto.Native;

/// <summary>EVP_CIPHER with a reused context: the key is set once, each packet sets the IV only.</summary>
internal sealed unsafe class NativeBlockCipher : BlockCipherContext
{
    private readonly int _encrypt;
    private nint _context;

    public NativeBlockCipher(nint cipher, ReadOnlySpan<byte> key, bool encrypt)
    {
        _encrypt = encrypt ? 1 : 0;
        _context = Libcrypto.EVP_CIPHER_CTX_new();
        fixed (byte* k = key) Libcrypto.Check(Libcrypto.EVP_CipherInit_ex(_context, cipher, 0, k, null, _encrypt));
        Libcrypto.Check(Libcrypto.EVP_CIPHER_CTX_set_padding(_context, 0));
    }

    ~NativeBlockCipher() => Dispose();

    public override void Transform(ReadOnlySpan<byte> iv, Span<byte> data)
    {
        ObjectDisposedException.ThrowIf(_context == 0, this);
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

    public NativeAead(nint cipher, bool ccm, ReadOnlySpan<byte> key, int nonceLength, int tagLength, bool encrypt)
    {
        (_encrypt, _ccm) = (encrypt ? 1 : 0, ccm);
        _context = Libcrypto.EVP_CIPHER_CTX_new();
        Libcrypto.Check(Libcrypto.EVP_CipherInit_ex(_context, cipher, 0, null, null, _encrypt));
        Libcrypto.Check(Libcrypto.EVP_CIPHER_CTX_ctrl(_context, Libcrypto.CtrlAeadSetIvLength, nonceLength, null));
        // CCM needs the tag's length before the key
        if (ccm) Libcrypto.Check(Libcrypto.EVP_CIPHER_CTX_ctrl(_context, Libcrypto.CtrlAeadSetTag, tagLength, null));
        fixed (byte* k = key) Libcrypto.Check(Libcrypto.EVP_CipherInit_ex(_context, 0, 0, k, null, _encrypt));
    }

    ~NativeAead() => Dispose();

    public override void SealAead(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> aad, ReadOnlySpan<byte> moreAad, Span<byte> data, Span<byte> tag)
    {
        ObjectDisposedException.ThrowIf(_context == 0, this);
        if (!Run(nonce, aad, moreAad, data)) throw new CryptographicException("AEAD");
        fixed (byte* t = tag)
        {
            if (Libcrypto.EVP_CIPHER_CTX_ctrl(_context, Libcrypto.CtrlAeadGetTag, tag.Length, t) != 1) throw new CryptographicException("AEAD tag");
        }
    }

    public override bool OpenAead(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> aad, ReadOnlySpan<byte> moreAad, Span<byte> data, ReadOnlySpan<byte> tag)
    {
        ObjectDisposedException.ThrowIf(_context == 0, this);
        fixed (byte* t = tag)
        {
            if (Libcrypto.EVP_CIPHER_CTX_ctrl(_context, Libcrypto.CtrlAeadSetTag, tag.Length, t) != 1) return false;
        }

        byte none;
        // CCM says in Update whether the tag is right, the others in Final
        if (Run(nonce, aad, moreAad, data) && (_ccm || Libcrypto.EVP_CipherFinal_ex(_context, &none, out _) == 1)) return true;
        data.Clear();
        return false;
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
            // without an address it would set the length again
            if (!aad.IsEmpty && Libcrypto.EVP_CipherUpdate(_context, null, out _, a, aad.Length) != 1) return false;
            if (!moreAad.IsEmpty && Libcrypto.EVP_CipherUpdate(_context, null, out _, m, moreAad.Length) != 1) return false;
            if (data.IsEmpty && !_ccm) return _encrypt == 0 || Libcrypto.EVP_CipherFinal_ex(_context, &none, out _) == 1;
            // an empty CCM message still needs the call that checks or makes the tag
            if (Libcrypto.EVP_CipherUpdate(_context, data.IsEmpty ? &none : d, out _, data.IsEmpty ? &none : d, data.Length) != 1) return false;
            return _ccm || _encrypt == 0 || Libcrypto.EVP_CipherFinal_ex(_context, &none, out _) == 1;
        }
    }
}
