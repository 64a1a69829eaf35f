using System;
using System.Collections.Generic;
using System.IO;
using System.Text;

namespace Warifu.App.Configuration;

/// <summary>Words that a pre-shared key must not be made of (R137): the built-in ones, and those of <c>psk_words</c>. Words are letters a–z, at least <see cref="ShortestWord"/> of them.</summary>
internal sealed class PskDictionary
{
    public const int ShortestWord = 3;

    public const int LongestWord = 31;

    private const int MaxFile = 16 << 20;

    private static readonly Lazy<PskDictionary> s_builtIn = new(() => new PskDictionary(ReadResource(), []));

    // front-coded lines (build/words.sh), found by binary search over their first words
    private readonly byte[] _coded;
    private readonly int[] _lines;
    private readonly HashSet<string> _further;

    private PskDictionary(byte[] coded, HashSet<string> further)
    {
        (_coded, _further) = (coded, further);
        var lines = new List<int>();
        for (var at = 0; at < coded.Length; at = EndOfLine(at) + 1)
        {
            if (coded[at] != '#') lines.Add(at);
        }

        _lines = [.. lines];
    }

    /// <summary>The words of Debian's wamerican and a few that only passwords use.</summary>
    public static PskDictionary BuiltIn => s_builtIn.Value;

    /// <summary>All words, for tests and counts.</summary>
    public IEnumerable<string> Words
    {
        get
        {
            var word = new StringBuilder();
            foreach (var line in _lines)
            {
                for (var at = line; _coded[at] != '\n';)
                {
                    word.Length = _coded[at++] - '0';
                    while (_coded[at] >= 'a') word.Append((char)_coded[at++]);
                    yield return word.ToString();
                }
            }

            foreach (var more in _further) yield return more;
        }
    }

    /// <summary>These words and those of a file: one a line, with the usual substitutions undone.</summary>
    /// <param name="path">The file.</param>
    /// <param name="unused">Lines that hold no word.</param>
    /// <param name="error">Why it cannot be used; null = it can.</param>
    public PskDictionary With(string path, out int unused, out string? error)
    {
        (unused, error) = (0, null);
        var words = new HashSet<string>(StringComparer.Ordinal);
        try
        {
            if (new FileInfo(path).Length > MaxFile)
            {
                error = $"'{path}' is larger than 16 MiB";
                return this;
            }

            foreach (var line in File.ReadLines(path))
            {
                var text = line.Trim();
                if (text.Length == 0 || text[0] == '#') continue;
                var word = string.Create(text.Length, text, static (span, from) =>
                {
                    for (var i = 0; i < span.Length; i++) span[i] = from[i] < 0x80 ? (char)PskRules.Plain((byte)char.ToLowerInvariant(from[i])) : from[i];
                });
                if (word.Length is >= ShortestWord and <= LongestWord && !word.AsSpan().ContainsAnyExceptInRange('a', 'z')) words.Add(word);
                else unused++;
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            error = $"'{path}' cannot be read: {exception.Message}";
            return this;
        }

        words.UnionWith(_further);
        return new PskDictionary(_coded, words);
    }

    /// <summary>True for a word. No copy of <paramref name="word"/> survives: it may be a part of a secret.</summary>
    public bool Contains(ReadOnlySpan<byte> word)
    {
        if (word.Length is < ShortestWord or > LongestWord) return false;
        if (_further.Count > 0 && ContainsFurther(word)) return true;
        var (low, high) = (0, _lines.Length - 1);
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (FirstWord(_lines[middle]).SequenceCompareTo(word) <= 0) low = middle;
            else high = middle - 1;
        }

        return high >= 0 && LineHolds(_lines[low], word);
    }

    private bool ContainsFurther(ReadOnlySpan<byte> word)
    {
        Span<char> text = stackalloc char[LongestWord];
        for (var i = 0; i < word.Length; i++) text[i] = (char)word[i];
        var found = _further.GetAlternateLookup<ReadOnlySpan<char>>().Contains(text[..word.Length]);
        text.Clear();
        return found;
    }

    private ReadOnlySpan<byte> FirstWord(int line)
    {
        var end = line + 1;
        while (_coded[end] >= 'a') end++;
        return _coded.AsSpan(line + 1, end - line - 1);
    }

    private bool LineHolds(int line, ReadOnlySpan<byte> word)
    {
        // "same" letters of the word at hand are those of the wanted one
        var (same, length) = (0, 0);
        for (var at = line; _coded[at] != '\n';)
        {
            length = _coded[at++] - '0';
            same = Math.Min(same, length);
            while (_coded[at] >= 'a')
            {
                if (same == length && same < word.Length && _coded[at] == word[same]) same++;
                length++;
                at++;
            }

            if (same == word.Length && length == word.Length) return true;
        }

        return false;
    }

    private int EndOfLine(int at) => at + _coded.AsSpan(at).IndexOf((byte)'\n');

    private static byte[] ReadResource()
    {
        using var stream = typeof(PskDictionary).Assembly.GetManifestResourceStream("words.txt")!;
        var octets = new byte[stream.Length];
        stream.ReadExactly(octets);
        return octets;
    }
}
