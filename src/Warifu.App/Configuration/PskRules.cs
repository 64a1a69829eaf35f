using System;
using System.Buffers;
using System.Security.Cryptography;
using System.Text;

namespace Warifu.App.Configuration;

/// <summary>What speaks against a text as pre-shared key.</summary>
[Flags]
internal enum PskFaults
{
    None = 0,
    /// <summary>Fewer than 8 characters (R133).</summary>
    Short = 1,
    /// <summary>No letter (R135).</summary>
    NoLetter = 2,
    /// <summary>No digit (R135).</summary>
    NoDigit = 4,
    /// <summary>Letters and digits only (R135).</summary>
    NoSymbol = 8,
    /// <summary>Made of dictionary words (R137).</summary>
    Words = 16,
    /// <summary>8 to 11 characters: usable, and 12 are recommended (R134).</summary>
    Brief = 32,
}

/// <summary>
/// The rules for pre-shared keys that are text (R133–R137), on octets: no copy of the secret survives. Characters are those of UTF-8. The dictionary rule looks at the text in lower case with the usual
/// substitutions undone (@ 4 a, 3 e, 1 ! | i, 0 o, $ 5 s, 7 t), with and without the digits and symbols at each end, and finds fault if the rest is a word, is altogether made of words of at least 3 letters, or
/// if words of at least 4 letters cover 70 % of its letters. Shorter words count for nothing: one or two letters would cover every text, and three cover too much of what is random.
/// </summary>
internal static class PskRules
{
    private const int Examined = 256;
    private const int ShortestOfMany = 4;
    private const byte OtherLetter = 0x80;
    private const byte OtherSymbol = 0x01;

    public static PskFaults Examine(ReadOnlySpan<byte> secret, PskDictionary words)
    {
        var faults = PskFaults.NoLetter | PskFaults.NoDigit | PskFaults.NoSymbol;
        // what lies beyond is not looked at for words: nobody guesses 256 characters
        Span<byte> characters = stackalloc byte[Examined];
        var count = 0;
        var rest = secret;
        while (!rest.IsEmpty)
        {
            var valid = Rune.DecodeFromUtf8(rest, out var rune, out var used) == OperationStatus.Done;
            rest = rest[used..];
            var (letter, digit) = (valid && Rune.IsLetter(rune), valid && Rune.IsDigit(rune));
            faults &= ~(letter ? PskFaults.NoLetter : digit ? PskFaults.NoDigit : PskFaults.NoSymbol);
            if (count < Examined) characters[count] = valid && rune.IsAscii ? (byte)Rune.ToLowerInvariant(rune).Value : letter ? OtherLetter : OtherSymbol;
            count++;
        }

        if (count < 8) faults |= PskFaults.Short;
        else if (count < 12) faults |= PskFaults.Brief;
        if (HasWords(characters[..Math.Min(count, Examined)], words)) faults |= PskFaults.Words;
        CryptographicOperations.ZeroMemory(characters);
        return faults;
    }

    /// <summary>The letter that a digit or symbol usually stands for; else the character itself.</summary>
    public static byte Plain(byte character) => character switch
    {
        (byte)'@' or (byte)'4' => (byte)'a',
        (byte)'3' => (byte)'e',
        (byte)'1' or (byte)'!' or (byte)'|' => (byte)'i',
        (byte)'0' => (byte)'o',
        (byte)'$' or (byte)'5' => (byte)'s',
        (byte)'7' => (byte)'t',
        _ => character,
    };

    /// <summary>A digit at an end may be decoration or stand for a letter ("$ummer2024!"): each end is tried both ways.</summary>
    private static bool HasWords(ReadOnlySpan<byte> text, PskDictionary words)
    {
        var (start, end) = (0, text.Length);
        while (start < end && !IsLetter(text[start])) start++;
        while (end > start && !IsLetter(text[end - 1])) end--;
        if (start == end) return false;
        return IsMadeOfWords(text[start..end], words)
            || (end < text.Length && IsMadeOfWords(text[start..], words))
            || (start > 0 && IsMadeOfWords(text[..end], words))
            || (start > 0 && end < text.Length && IsMadeOfWords(text, words));
    }

    private static bool IsMadeOfWords(ReadOnlySpan<byte> text, PskDictionary words)
    {
        Span<byte> plain = stackalloc byte[Examined];
        plain = plain[..text.Length];
        var letters = 0;
        for (var i = 0; i < text.Length; i++)
        {
            plain[i] = Plain(text[i]);
            if (IsLetter(plain[i])) letters++;
        }

        // most letters that words without overlap cover before each position, and whether words cover all of them
        Span<short> covered = stackalloc short[Examined + 1];
        Span<bool> whole = stackalloc bool[Examined + 1];
        (covered[0], whole[0]) = (0, true);
        var run = 0;
        for (var i = 1; i <= plain.Length; i++)
        {
            covered[i] = covered[i - 1];
            var letter = plain[i - 1];
            whole[i] = !IsLetter(letter) && whole[i - 1];
            run = letter is >= (byte)'a' and <= (byte)'z' ? run + 1 : 0;
            for (var length = PskDictionary.ShortestWord; length <= Math.Min(run, PskDictionary.LongestWord); length++)
            {
                if (!words.Contains(plain[(i - length)..i])) continue;
                whole[i] |= whole[i - length];
                if (length >= ShortestOfMany) covered[i] = Math.Max(covered[i], (short)(covered[i - length] + length));
            }
        }

        var found = whole[plain.Length] || covered[plain.Length] * 10 >= letters * 7;
        CryptographicOperations.ZeroMemory(plain);
        covered.Clear();
        whole.Clear();
        return found;
    }

    private static bool IsLetter(byte character) => character is (>= (byte)'a' and <= (byte)'z') or OtherLetter;
}
