using System;
using System.Collections.Generic;
using System.Linq;

namespace Warifu.Policy;

/// <summary>Suggestions for misspelled words.</summary>
internal static class Spelling
{
    private const int Longest = 64;

    /// <summary>The known word that is spelled most like <paramref name="word"/>, the first in alphabetical order among several; empty when there is none.</summary>
    public static string Nearest(string word, IEnumerable<string> known) =>
        known.OrderBy(candidate => Distance(candidate, word)).ThenBy(candidate => candidate, StringComparer.Ordinal).FirstOrDefault() ?? "";

    /// <summary>Edits (one letter in, out or another) from one to the other, without regard to case.</summary>
    private static int Distance(string left, string right)
    {
        if (right.Length > Longest) right = right[..Longest];
        var row = Enumerable.Range(0, right.Length + 1).ToArray();
        for (var i = 1; i <= left.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= right.Length; j++)
            {
                var cost = Math.Min(Math.Min(row[j] + 1, row[j - 1] + 1), diagonal + (char.ToLowerInvariant(left[i - 1]) == char.ToLowerInvariant(right[j - 1]) ? 0 : 1));
                diagonal = row[j];
                row[j] = cost;
            }
        }

        return row[^1];
    }
}
