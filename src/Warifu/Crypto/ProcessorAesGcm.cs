using System;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using System.Security.Cryptography;
using Block = System.Runtime.Intrinsics.Vector128<byte>;
using X86Aes = System.Runtime.Intrinsics.X86.Aes;

namespace Warifu.Crypto;

/// <summary>
/// AES-GCM (NIST SP 800-38D) with 12-octet nonces by AES-NI and PCLMULQDQ, eight blocks at a time. Faster than libcrypto for packets, most of all for small ones: no calls, no setup.
/// In constant time: no table, no branch and no address depends on a key or on data. One object serves both directions.
/// </summary>
/// <remarks>
/// GHASH works on octet-reversed blocks; H is multiplied by x beforehand so that products need no shift. Eight products are added up before one reduction modulo x^128 + x^127 + x^126 + x^121 + 1.
/// </remarks>
internal sealed unsafe class ProcessorAesGcm : BlockCipherContext
{
    private const int BlockLength = 16;
    private const int Lanes = 8;
    private const int Batch = Lanes * BlockLength;
    private const int RoundKeys = 15 * BlockLength;
    private const int Powers = (Lanes + 1) * BlockLength;

    /// <summary>Round keys | H^9, H^8 … H^1 | the two halves of each power added, for Karatsuba's middle product. The ninth is for the block of lengths behind eight blocks.</summary>
    private readonly byte[] _table = GC.AllocateArray<byte>(RoundKeys + (2 * Powers), pinned: true);
    private readonly int _rounds;
    private bool _disposed;

    public ProcessorAesGcm(ReadOnlySpan<byte> key)
    {
        _rounds = (key.Length / 4) + 6;
        fixed (byte* table = _table)
        {
            ExpandKey(key, table, _rounds);
            var h = TimesX(Ssse3.Shuffle(EncryptBlock(Block.Zero, table, _rounds), Reverse));
            var power = h;
            for (var i = Lanes; i >= 0; i--)
            {
                power.Store(table + RoundKeys + (i * BlockLength));
                Halves(power).Store(table + RoundKeys + Powers + (i * BlockLength));
                power = Multiply(power, h);
            }
        }
    }

    public static bool IsSupported => X86Aes.IsSupported && Pclmulqdq.IsSupported && Ssse3.IsSupported && Sse41.IsSupported;

    private static Block Reverse => Vector128.Create((byte)15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);

    public override void SealAead(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> aad, ReadOnlySpan<byte> moreAad, Span<byte> data, Span<byte> tag)
    {
        Span<byte> full = stackalloc byte[BlockLength];
        Run(nonce, aad, moreAad, data, full, open: false);
        full[..tag.Length].CopyTo(tag);
    }

    public override bool OpenAead(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> aad, ReadOnlySpan<byte> moreAad, Span<byte> data, ReadOnlySpan<byte> tag)
    {
        Span<byte> full = stackalloc byte[BlockLength];
        Run(nonce, aad, moreAad, data, full, open: true);
        if (CryptographicOperations.FixedTimeEquals(full[..tag.Length], tag)) return true;
        data.Clear();
        return false;
    }

    public override void Dispose()
    {
        CryptographicOperations.ZeroMemory(_table);
        _disposed = true;
    }

    [SkipLocalsInit]
    private void Run(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> aad, ReadOnlySpan<byte> moreAad, Span<byte> octets, Span<byte> tag, bool open)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfNotEqual(nonce.Length, 12);
        var rounds = _rounds;
        fixed (byte* table = _table)
        fixed (byte* first = octets)
        {
            var powers = table + RoundKeys + BlockLength;
            var hash = HashAdditionalData(aad, moreAad, powers);
            // nonce | counter, octet-reversed: the counter is the lowest word, and the first block, 1, masks the tag
            var counter = Vector128.Create(1, BinaryPrimitives.ReadUInt32BigEndian(nonce[8..]), BinaryPrimitives.ReadUInt32BigEndian(nonce[4..]), BinaryPrimitives.ReadUInt32BigEndian(nonce));
            var mask = EncryptBlock(Ssse3.Shuffle(counter.AsByte(), Reverse), table, rounds);
            var at = first;
            var left = octets.Length;
            // When sealing, the ciphertext of one batch is hashed while the next one is encrypted; when opening, a batch is hashed while its own key stream is made.
            var hashed = open ? at : null;
            while (left >= Batch)
            {
                hash = Blocks8(ref counter, hash, hashed, at, table, rounds);
                hashed = open ? at + Batch : at;
                at += Batch;
                left -= Batch;
            }

            if (!open && hashed != null) hash = Hash8(hash, hashed, powers);
            hash = Tail(counter, hash, at, left, Vector128.Create((ulong)octets.Length * 8, (ulong)(aad.Length + moreAad.Length) * 8).AsByte(), table, rounds, open);
            fixed (byte* t = tag) Vector128.Xor(Ssse3.Shuffle(hash, Reverse), mask).Store(t);
        }
    }

    /// <summary>Crypts eight blocks in place and hashes eight blocks, so that both kinds of instructions keep the processor busy.</summary>
    [SkipLocalsInit]
    private static Block Blocks8(ref Vector128<uint> counter, Block hash, byte* hashed, byte* at, byte* table, int rounds)
    {
        var reverse = Reverse;
        var one = Vector128.Create(1u, 0, 0, 0);
        var key = Vector128.Load(table);
        var c = counter + one;
        var b0 = Vector128.Xor(Ssse3.Shuffle(c.AsByte(), reverse), key);
        c += one;
        var b1 = Vector128.Xor(Ssse3.Shuffle(c.AsByte(), reverse), key);
        c += one;
        var b2 = Vector128.Xor(Ssse3.Shuffle(c.AsByte(), reverse), key);
        c += one;
        var b3 = Vector128.Xor(Ssse3.Shuffle(c.AsByte(), reverse), key);
        c += one;
        var b4 = Vector128.Xor(Ssse3.Shuffle(c.AsByte(), reverse), key);
        c += one;
        var b5 = Vector128.Xor(Ssse3.Shuffle(c.AsByte(), reverse), key);
        c += one;
        var b6 = Vector128.Xor(Ssse3.Shuffle(c.AsByte(), reverse), key);
        c += one;
        var b7 = Vector128.Xor(Ssse3.Shuffle(c.AsByte(), reverse), key);
        counter = c;
        var round = 1;
        if (hashed != null)
        {
            var (low, middle, high) = (Block.Zero, Block.Zero, Block.Zero);
            var powers = table + RoundKeys + BlockLength;
            for (; round <= Lanes; round++)
            {
                key = Vector128.Load(table + (round * BlockLength));
                b0 = X86Aes.Encrypt(b0, key);
                b1 = X86Aes.Encrypt(b1, key);
                b2 = X86Aes.Encrypt(b2, key);
                b3 = X86Aes.Encrypt(b3, key);
                b4 = X86Aes.Encrypt(b4, key);
                b5 = X86Aes.Encrypt(b5, key);
                b6 = X86Aes.Encrypt(b6, key);
                b7 = X86Aes.Encrypt(b7, key);
                // the running hash belongs to the first block only
                var x = Vector128.Xor(Ssse3.Shuffle(Vector128.Load(hashed), reverse), hash);
                hash = Block.Zero;
                Accumulate(x, powers, ref low, ref middle, ref high);
                hashed += BlockLength;
                powers += BlockLength;
            }

            hash = Reduce(low, middle, high);
        }

        for (; round < rounds; round++)
        {
            key = Vector128.Load(table + (round * BlockLength));
            b0 = X86Aes.Encrypt(b0, key);
            b1 = X86Aes.Encrypt(b1, key);
            b2 = X86Aes.Encrypt(b2, key);
            b3 = X86Aes.Encrypt(b3, key);
            b4 = X86Aes.Encrypt(b4, key);
            b5 = X86Aes.Encrypt(b5, key);
            b6 = X86Aes.Encrypt(b6, key);
            b7 = X86Aes.Encrypt(b7, key);
        }

        key = Vector128.Load(table + (rounds * BlockLength));
        Vector128.Xor(X86Aes.EncryptLast(b0, key), Vector128.Load(at)).Store(at);
        Vector128.Xor(X86Aes.EncryptLast(b1, key), Vector128.Load(at + 16)).Store(at + 16);
        Vector128.Xor(X86Aes.EncryptLast(b2, key), Vector128.Load(at + 32)).Store(at + 32);
        Vector128.Xor(X86Aes.EncryptLast(b3, key), Vector128.Load(at + 48)).Store(at + 48);
        Vector128.Xor(X86Aes.EncryptLast(b4, key), Vector128.Load(at + 64)).Store(at + 64);
        Vector128.Xor(X86Aes.EncryptLast(b5, key), Vector128.Load(at + 80)).Store(at + 80);
        Vector128.Xor(X86Aes.EncryptLast(b6, key), Vector128.Load(at + 96)).Store(at + 96);
        Vector128.Xor(X86Aes.EncryptLast(b7, key), Vector128.Load(at + 112)).Store(at + 112);
        return hash;
    }

    /// <summary>At most eight blocks, the last one not whole, and the block of lengths: one reduction for all.</summary>
    private static Block Tail(Vector128<uint> counter, Block hash, byte* at, int left, Block lengths, byte* table, int rounds, bool open)
    {
        var (low, middle, high) = (Block.Zero, Block.Zero, Block.Zero);
        var blocks = (left + BlockLength - 1) / BlockLength;
        var powers = table + RoundKeys + ((Lanes - blocks) * BlockLength);
        for (; left > 0; left -= BlockLength)
        {
            counter += Vector128.Create(1u, 0, 0, 0);
            var stream = EncryptBlock(Ssse3.Shuffle(counter.AsByte(), Reverse), table, rounds);
            Block cipherText;
            if (left >= BlockLength)
            {
                var input = Vector128.Load(at);
                var output = Vector128.Xor(stream, input);
                output.Store(at);
                cipherText = open ? input : output;
            }
            else
            {
                // never touches octets behind the data
                var input = Block.Zero;
                Unsafe.CopyBlockUnaligned(&input, at, (uint)left);
                var output = Vector128.Xor(stream, input);
                Unsafe.CopyBlockUnaligned(at, &output, (uint)left);
                cipherText = input;
                if (!open) Unsafe.CopyBlockUnaligned(&cipherText, at, (uint)left);
            }

            Accumulate(Vector128.Xor(Ssse3.Shuffle(cipherText, Reverse), hash), powers, ref low, ref middle, ref high);
            hash = Block.Zero;
            at += BlockLength;
            powers += BlockLength;
        }

        Accumulate(Vector128.Xor(lengths, hash), powers, ref low, ref middle, ref high);
        return Reduce(low, middle, high);
    }

    /// <summary>The two parts as one string, filled up with zeros.</summary>
    private static Block HashAdditionalData(ReadOnlySpan<byte> aad, ReadOnlySpan<byte> more, byte* powers)
    {
        var hash = HashSpan(Block.Zero, aad[..^(aad.Length % BlockLength)], powers);
        aad = aad[^(aad.Length % BlockLength)..];
        if (!aad.IsEmpty)
        {
            Span<byte> seam = stackalloc byte[BlockLength];
            seam.Clear();
            aad.CopyTo(seam);
            var take = Math.Min(BlockLength - aad.Length, more.Length);
            more[..take].CopyTo(seam[aad.Length..]);
            more = more[take..];
            hash = HashSpan(hash, seam, powers);
        }

        return HashSpan(hash, more, powers);
    }

    private static Block HashSpan(Block hash, ReadOnlySpan<byte> data, byte* powers)
    {
        fixed (byte* first = data)
        {
            var at = first;
            var left = data.Length;
            for (; left >= Batch; left -= Batch, at += Batch) hash = Hash8(hash, at, powers);
            for (; left > 0; left -= BlockLength, at += BlockLength)
            {
                var block = Block.Zero;
                if (left >= BlockLength) block = Vector128.Load(at);
                else Unsafe.CopyBlockUnaligned(&block, at, (uint)left);
                hash = Multiply(Vector128.Xor(hash, Ssse3.Shuffle(block, Reverse)), Vector128.Load(powers + Batch - BlockLength));
            }
        }

        return hash;
    }

    private static Block Hash8(Block hash, byte* data, byte* powers)
    {
        var (low, middle, high) = (Block.Zero, Block.Zero, Block.Zero);
        for (var i = 0; i < Lanes; i++, data += BlockLength, powers += BlockLength)
        {
            Accumulate(Vector128.Xor(Ssse3.Shuffle(Vector128.Load(data), Reverse), hash), powers, ref low, ref middle, ref high);
            hash = Block.Zero;
        }

        return Reduce(low, middle, high);
    }

    /// <summary>Adds the product of a block and a power of H; the middle by Karatsuba, so that it still holds low and high.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Accumulate(Block x, byte* power, ref Block low, ref Block middle, ref Block high)
    {
        var h = Vector128.Load(power).AsInt64();
        var halves = Vector128.Load(power + Powers).AsInt64();
        low = Vector128.Xor(low, Pclmulqdq.CarrylessMultiply(x.AsInt64(), h, 0x00).AsByte());
        high = Vector128.Xor(high, Pclmulqdq.CarrylessMultiply(x.AsInt64(), h, 0x11).AsByte());
        middle = Vector128.Xor(middle, Pclmulqdq.CarrylessMultiply(Halves(x).AsInt64(), halves, 0x00).AsByte());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Block Multiply(Block x, Block y)
    {
        var low = Pclmulqdq.CarrylessMultiply(x.AsInt64(), y.AsInt64(), 0x00).AsByte();
        var high = Pclmulqdq.CarrylessMultiply(x.AsInt64(), y.AsInt64(), 0x11).AsByte();
        return Reduce(low, Pclmulqdq.CarrylessMultiply(Halves(x).AsInt64(), Halves(y).AsInt64(), 0x00).AsByte(), high);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Block Halves(Block x) => Vector128.Xor(x, Sse2.Shuffle(x.AsUInt32(), 0x4E).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Block Reduce(Block low, Block middle, Block high)
    {
        middle = Vector128.Xor(middle, Vector128.Xor(low, high));
        low = Vector128.Xor(low, Sse2.ShiftLeftLogical128BitLane(middle, 8));
        high = Vector128.Xor(high, Sse2.ShiftRightLogical128BitLane(middle, 8));
        var polynomial = Vector128.Create(0xC200000000000000UL, 0UL).AsInt64();
        low = Vector128.Xor(Sse2.Shuffle(low.AsUInt32(), 0x4E).AsByte(), Pclmulqdq.CarrylessMultiply(low.AsInt64(), polynomial, 0x00).AsByte());
        low = Vector128.Xor(Sse2.Shuffle(low.AsUInt32(), 0x4E).AsByte(), Pclmulqdq.CarrylessMultiply(low.AsInt64(), polynomial, 0x00).AsByte());
        return Vector128.Xor(low, high);
    }

    /// <summary>Shifts left by one bit and, without a branch, reduces by what falls out.</summary>
    private static Block TimesX(Block h)
    {
        var carries = Sse2.ShiftRightLogical(h.AsUInt64(), 63).AsByte();
        var shifted = Vector128.BitwiseOr(Sse2.ShiftLeftLogical(h.AsUInt64(), 1).AsByte(), Sse2.ShiftLeftLogical128BitLane(carries, 8));
        var fallen = Vector128.Create(0 - carries.AsUInt64().GetElement(1)).AsByte();
        return Vector128.Xor(shifted, Vector128.BitwiseAnd(fallen, Vector128.Create(1UL, 0xC200000000000000UL).AsByte()));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Block EncryptBlock(Block block, byte* keys, int rounds)
    {
        block = Vector128.Xor(block, Vector128.Load(keys));
        for (var round = 1; round < rounds; round++) block = X86Aes.Encrypt(block, Vector128.Load(keys + (round * BlockLength)));
        return X86Aes.EncryptLast(block, Vector128.Load(keys + (rounds * BlockLength)));
    }

    /// <summary>FIPS 197 section 5.2 on little-endian words, with the processor's S-box.</summary>
    private static void ExpandKey(ReadOnlySpan<byte> key, byte* output, int rounds)
    {
        var words = (uint*)output;
        var length = key.Length / 4;
        key.CopyTo(new Span<byte>(output, key.Length));
        uint constant = 1;
        for (var i = length; i < 4 * (rounds + 1); i++)
        {
            var word = words[i - 1];
            if (i % length == 0)
            {
                word = uint.RotateRight(SubstituteWord(word), 8) ^ constant;
                constant = (constant << 1) ^ ((constant >> 7) * 0x11B);
            }
            else if (length > 6 && i % length == 4)
            {
                word = SubstituteWord(word);
            }

            words[i] = words[i - length] ^ word;
        }
    }

    private static uint SubstituteWord(uint word) => X86Aes.KeygenAssist(Vector128.Create(0, word, 0, 0).AsByte(), 0).AsUInt32().ToScalar();
}
