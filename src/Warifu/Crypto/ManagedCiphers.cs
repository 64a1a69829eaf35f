using System;
using Org.BouncyCastle.Crypto;
using Org.BouncyCastle.Crypto.Engines;
using Org.BouncyCastle.Crypto.Modes;
using Org.BouncyCastle.Crypto.Parameters;
using Warifu.Primitives;

namespace Warifu.Crypto;

/// <summary>Block ciphers where there is no OpenSSL 3. Slower and it allocates.</summary>
internal sealed class ManagedBlockCipher : BlockCipherContext
{
    private readonly IBlockCipherMode _mode;
    private readonly byte[] _key;
    private readonly bool _encrypt;

    public ManagedBlockCipher(EncrId id, ReadOnlySpan<byte> key, bool encrypt)
    {
        _key = key.ToArray();
        // counter mode encrypts in both directions
        _encrypt = encrypt || id == EncrId.AesCtr;
        IBlockCipher engine = id switch { EncrId.TripleDes => new DesEdeEngine(), EncrId.CamelliaCbc => new CamelliaEngine(), _ => AesUtilities.CreateEngine() };
        _mode = id == EncrId.AesCtr ? new SicBlockCipher(engine) : new CbcBlockCipher(engine);
    }

    public override void Transform(ReadOnlySpan<byte> iv, Span<byte> data)
    {
        _mode.Init(_encrypt, new ParametersWithIV(new KeyParameter(_key), iv.ToArray()));
        var size = _mode.GetBlockSize();
        var at = 0;
        for (; at + size <= data.Length; at += size) _mode.ProcessBlock(data.Slice(at, size), data.Slice(at, size));
        if (at == data.Length) return;
        // the rest of a stream mode
        Span<byte> last = stackalloc byte[16];
        last.Clear();
        data[at..].CopyTo(last);
        _mode.ProcessBlock(last, last);
        last[..(data.Length - at)].CopyTo(data[at..]);
    }

    public override void Dispose() => Array.Clear(_key);
}

/// <summary>AEADs where there is no OpenSSL 3.</summary>
internal sealed class ManagedAead : BlockCipherContext
{
    private readonly IAeadCipher _cipher;
    private readonly byte[] _key;
    private readonly int _tagLength;
    private readonly bool _encrypt;

    public ManagedAead(string mode, ReadOnlySpan<byte> key, int tagLength, bool encrypt)
    {
        (_key, _tagLength, _encrypt) = (key.ToArray(), tagLength, encrypt);
        _cipher = mode switch { "GCM" => new GcmBlockCipher(AesUtilities.CreateEngine()), "CCM" => new CcmBlockCipher(AesUtilities.CreateEngine()), _ => new Org.BouncyCastle.Crypto.Modes.ChaCha20Poly1305() };
    }

    public override void SealAead(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> aad, ReadOnlySpan<byte> moreAad, Span<byte> data, Span<byte> tag)
    {
        var output = Run(nonce, aad, moreAad, data);
        output.AsSpan(0, data.Length).CopyTo(data);
        output.AsSpan(data.Length, tag.Length).CopyTo(tag);
    }

    public override bool OpenAead(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> aad, ReadOnlySpan<byte> moreAad, Span<byte> data, ReadOnlySpan<byte> tag)
    {
        try
        {
            Run(nonce, aad, moreAad, [.. data, .. tag]).AsSpan(0, data.Length).CopyTo(data);
            return true;
        }
        catch (InvalidCipherTextException)
        {
            data.Clear();
            return false;
        }
    }

    public override void Dispose() => Array.Clear(_key);

    private byte[] Run(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> aad, ReadOnlySpan<byte> moreAad, ReadOnlySpan<byte> input)
    {
        _cipher.Init(_encrypt, new AeadParameters(new KeyParameter(_key), _tagLength * 8, nonce.ToArray(), [.. aad, .. moreAad]));
        var output = new byte[_cipher.GetOutputSize(input.Length)];
        var written = _cipher.ProcessBytes(input.ToArray(), 0, input.Length, output, 0);
        _cipher.DoFinal(output, written);
        return output;
    }
}
