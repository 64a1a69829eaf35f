using System;
using System.Numerics;

namespace Warifu.Ipsec;

/// <summary>
/// Anti-replay (RFC 4303 section 3.4.3) with the bitmap of RFC 6479, and the inference of the upper half of extended sequence numbers (RFC 4303 appendix A2).
/// Two steps: <see cref="Check"/> before the ICV is computed, <see cref="Commit"/> after it was good: a forged number never moves the window.
/// </summary>
internal sealed class ReplayWindow
{
    public const int Smallest = 32;
    public const int Largest = 8192;

    private readonly ulong[] _bitmap;
    private readonly int _mask;
    private readonly bool _esn;

    /// <param name="size">0 = off, else 32..8192 packets (other values are taken to the nearest of these).</param>
    /// <param name="esn">64-bit numbers.</param>
    public ReplayWindow(int size, bool esn)
    {
        Size = size <= 0 ? 0 : Math.Clamp(size, Smallest, Largest);
        _esn = esn;
        // one word more than the window needs: the word that is being cleared ahead is never inside the window (RFC 6479 section 2)
        var words = Size == 0 ? 0 : (int)BitOperations.RoundUpToPowerOf2((uint)((Size + 63) / 64) + 1);
        _bitmap = new ulong[words];
        _mask = words - 1;
    }

    /// <summary>Packets; 0 = off.</summary>
    public int Size { get; }

    /// <summary>The highest authenticated number.</summary>
    public ulong Highest { get; private set; }

    /// <summary>The full number of a packet that shows <paramref name="low"/> on the wire.</summary>
    public ulong Infer(uint low)
    {
        if (!_esn) return low;
        var top = (uint)Highest;
        var high = (uint)(Highest >> 32);
        // With the check off there is still a window for the inference (RFC 4303 section 2.2.1): the largest that cannot be taken for the future.
        var size = Size == 0 ? 0x8000_0000u : (uint)Size;
        var bottom = unchecked(top - size + 1);
        if (top >= size - 1)
        {
            if (low < bottom) high = unchecked(high + 1);
        }
        else if (low >= bottom)
        {
            // Numbers before the first 2^32 do not exist: while the upper half is 0 this is a packet far ahead, not one behind.
            if (high != 0) high--;
        }

        return ((ulong)high << 32) | low;
    }

    /// <summary>False for a number that was seen, or that lies left of the window.</summary>
    public bool Check(ulong sequence)
    {
        if (Size == 0) return true;
        if (sequence == 0) return false;
        if (sequence > Highest) return true;
        if (Highest - sequence >= (ulong)Size) return false;
        return (_bitmap[(int)(sequence >> 6) & _mask] & (1UL << (int)(sequence & 63))) == 0;
    }

    /// <summary>Marks a number whose packet is authentic. False when <see cref="Check"/> would be.</summary>
    public bool Commit(ulong sequence)
    {
        if (Size == 0)
        {
            if (sequence > Highest) Highest = sequence;
            return true;
        }

        if (!Check(sequence)) return false;
        if (sequence > Highest)
        {
            var from = Highest >> 6;
            var steps = Math.Min((sequence >> 6) - from, (ulong)_bitmap.Length);
            for (ulong step = 1; step <= steps; step++) _bitmap[(int)(from + step) & _mask] = 0;
            Highest = sequence;
        }

        _bitmap[(int)(sequence >> 6) & _mask] |= 1UL << (int)(sequence & 63);
        return true;
    }

    /// <summary>Sets the highest number as if all before it had been seen (tests, restored SAs).</summary>
    internal void StartAt(ulong highest)
    {
        Highest = highest;
        Array.Fill(_bitmap, ulong.MaxValue);
        if (_bitmap.Length == 0) return;
        // bits of numbers above the highest in its own word are still free
        var used = (int)(highest & 63);
        if (used != 63) _bitmap[(int)(highest >> 6) & _mask] = (1UL << (used + 1)) - 1;
    }
}
