using System;
using System.Security.Cryptography;
using Warifu.Primitives;

namespace Warifu.Crypto;

/// <summary>CBC-MAC with masked last block: what AES-XCBC-MAC (RFC 3566) and AES-CMAC (RFC 4493) have in common.</summary>
internal abstract class AesBlockMac(Provider best) : KeyedHash
{
    private const int Block = 16;

    private readonly byte[] _state = GC.AllocateArray<byte>(Block, pinned: true);
    private readonly byte[] _pending = GC.AllocateArray<byte>(Block, pinned: true);
    private readonly byte[] _wholeMask = GC.AllocateArray<byte>(Block, pinned: true);
    private readonly byte[] _paddedMask = GC.AllocateArray<byte>(Block, pinned: true);
    private BlockCipherContext? _aes;
    private int _held;

    public override int OutputLength => Block;

    public override void Append(ReadOnlySpan<byte> data)
    {
        // the last block is masked, so a full one waits until it is known not to be the last
        var take = Math.Min(Block - _held, data.Length);
        data[..take].CopyTo(_pending.AsSpan(_held));
        _held += take;
        data = data[take..];
        if (data.IsEmpty) return;
        Absorb(_pending);
        Span<byte> run = stackalloc byte[16 * Block];
        while (data.Length > Block)
        {
            var whole = Math.Min((data.Length - 1) / Block * Block, run.Length);
            data[..whole].CopyTo(run);
            Absorb(run[..whole]);
            data = data[whole..];
        }

        data.CopyTo(_pending);
        _held = data.Length;
        CryptographicOperations.ZeroMemory(run);
    }

    public override void Finish(Span<byte> output)
    {
        var mask = _wholeMask;
        if (_held < Block)
        {
            _pending.AsSpan(_held).Clear();
            _pending[_held] = 0x80;
            mask = _paddedMask;
        }

        for (var i = 0; i < Block; i++) _pending[i] ^= mask[i];
        Absorb(_pending);
        _state.AsSpan(0, output.Length).CopyTo(output);
        CryptographicOperations.ZeroMemory(_state);
        _held = 0;
    }

    public override void Dispose()
    {
        _aes?.Dispose();
        foreach (var octets in new[] { _state, _pending, _wholeMask, _paddedMask }) CryptographicOperations.ZeroMemory(octets);
    }

    protected void SetKey(ReadOnlySpan<byte> key)
    {
        _aes?.Dispose();
        _aes = BlockCipherContext.Plain(EncrId.AesCbc, key, encrypt: true, best);
    }

    protected void SetMasks(ReadOnlySpan<byte> whole, ReadOnlySpan<byte> padded)
    {
        whole.CopyTo(_wholeMask);
        padded.CopyTo(_paddedMask);
    }

    /// <summary>One block, in place: CBC from zero is the bare cipher.</summary>
    protected void Encrypt(Span<byte> block)
    {
        Span<byte> zero = stackalloc byte[Block];
        zero.Clear();
        _aes!.Transform(zero, block);
    }

    /// <summary>CBC over whole blocks that go on from the state; the last one is the new state. The blocks are overwritten.</summary>
    private void Absorb(Span<byte> blocks)
    {
        _aes!.Transform(_state, blocks);
        blocks[^Block..].CopyTo(_state);
    }
}

/// <summary>AES-XCBC-MAC (RFC 3566 section 4).</summary>
internal sealed class AesXcbc : AesBlockMac
{
    public AesXcbc(ReadOnlySpan<byte> key, Provider best) : base(best)
    {
        Span<byte> keys = stackalloc byte[48];
        SetKey(key);
        for (var i = 0; i < 3; i++)
        {
            var part = keys.Slice(i * 16, 16);
            part.Fill((byte)(i + 1));
            Encrypt(part);
        }

        SetMasks(keys.Slice(16, 16), keys.Slice(32, 16));
        SetKey(keys[..16]);
        CryptographicOperations.ZeroMemory(keys);
    }
}

/// <summary>AES-CMAC (RFC 4493 section 2.3).</summary>
internal sealed class AesCmac : AesBlockMac
{
    public AesCmac(ReadOnlySpan<byte> key, Provider best) : base(best)
    {
        Span<byte> masks = stackalloc byte[32];
        masks.Clear();
        SetKey(key);
        Encrypt(masks[..16]);
        Double(masks[..16]);
        masks[..16].CopyTo(masks[16..]);
        Double(masks[16..]);
        SetMasks(masks[..16], masks[16..]);
        CryptographicOperations.ZeroMemory(masks);
    }

    /// <summary>Multiplication by x in GF(2^128), without a branch on the secret bit.</summary>
    private static void Double(Span<byte> block)
    {
        var carry = (byte)(block[0] >> 7);
        for (var i = 0; i < 15; i++) block[i] = (byte)((block[i] << 1) | (block[i + 1] >> 7));
        block[15] = (byte)((block[15] << 1) ^ (carry * 0x87));
    }
}
