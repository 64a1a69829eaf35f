using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using Warifu.App.Configuration;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Configuration;

/// <summary>The rules for pre-shared keys (R133–R137).</summary>
[Trait("Item", "1.9")]
public sealed class PskRulesTests
{
    public static IEnumerable<TheoryDataRow<string, string>> Refused() => Read("refused.txt");

    public static IEnumerable<TheoryDataRow<string, string>> Accepted() => Read("accepted.txt");

    [Theory]
    [MemberData(nameof(Refused))]
    public void Two_hundred_bad_keys_are_refused_with_the_right_reasons(string faults, string secret)
    {
        Assert.Equal(faults, Examine(secret));
        Assert.NotEqual("", faults.Replace("Brief", ""));
        var finding = Judge(secret, PskPolicy.Strict).First();
        Assert.Equal(Severity.Error, finding.Severity);
    }

    [Theory]
    [MemberData(nameof(Accepted))]
    public void Two_hundred_good_keys_are_accepted(string faults, string secret)
    {
        Assert.Equal(faults, Examine(secret));
        Assert.True(faults is "" or "Brief");
        Assert.DoesNotContain(Judge(secret, PskPolicy.Strict), finding => finding.Severity == Severity.Error);
    }

    [Fact]
    public void There_are_two_hundred_of_each()
    {
        Assert.InRange(Refused().Count(), 200, 300);
        Assert.InRange(Accepted().Count(), 200, 300);
    }

    [Theory]
    [InlineData("aQ3!xZk", "Short")]
    [InlineData("aQ3!xZkv", "Brief")]
    [InlineData("aQ3!xZkvjwp", "Brief")]
    [InlineData("aQ3!xZkvjwpq", "")]
    [InlineData("37391-46282!", "NoLetter")]
    [InlineData("aQe!xZkvjwpq", "NoDigit")]
    [InlineData("aQ3fxZkvjwpq", "NoSymbol")]
    [InlineData("ключ", "Short,NoDigit,NoSymbol")]
    [InlineData("ключщ7-щ", "Brief")]
    public void Length_counts_characters_and_each_class_is_needed(string secret, string faults) => Assert.Equal(faults, Examine(secret));

    [Theory]
    [InlineData("password", true)]
    [InlineData("PASSWORD", true)]
    [InlineData("p@$$w0rd", true)]
    [InlineData("pa55word", true)]
    [InlineData("4pple", true)]
    [InlineData("h3llo", true)]
    [InlineData("w1nter", true)]
    [InlineData("w!nter", true)]
    [InlineData("w|nter", true)]
    [InlineData("b0ston", true)]
    [InlineData("$ummer", true)]
    [InlineData("5ummer", true)]
    [InlineData("7iger", true)]
    [InlineData("12summer34", true)]
    [InlineData("--summer--", true)]
    [InlineData("redhouse", true)]
    [InlineData("sky-blue", true)]
    [InlineData("redcatdog", true)]
    [InlineData("summerxx", true)]
    [InlineData("summerqzv", false)]
    [InlineData("xqsummerz", false)]
    [InlineData("catqdogq", false)]
    [InlineData("sumxmer", false)]
    [InlineData("2026", false)]
    [InlineData("zqxjvk", false)]
    [InlineData("a-b-c-d-e-f", false)]
    [InlineData("on-in-at-to", false)]
    public void Words_are_found_with_substitutions_undone_and_ends_stripped(string text, bool found) => Assert.Equal(found, Examine(text).Contains("Words", StringComparison.Ordinal));

    [Fact]
    public void Seventy_percent_is_the_limit()
    {
        // "elephant" is 8 letters: of 11 it is 72 %, of 12 it is 66 %
        Assert.Contains("Words", Examine("elephantxqz"));
        Assert.DoesNotContain("Words", Examine("elephantxqzk"));
    }

    [Fact]
    public void The_dictionary_is_real()
    {
        var words = PskDictionary.BuiltIn.Words.ToList();
        Assert.InRange(words.Count, 50_000, 200_000);
        Assert.Equal(words.Count, words.Distinct().Count());
        Assert.Equal(words.Order(StringComparer.Ordinal), words);
        Assert.All(words, word => Assert.True(word.Length is >= PskDictionary.ShortestWord and <= PskDictionary.LongestWord && word.All(char.IsAsciiLetterLower)));
        Assert.All(words, word => Assert.True(PskDictionary.BuiltIn.Contains(Encoding.ASCII.GetBytes(word)), word));
        var known = words.ToHashSet();
        var random = new Random(137);
        for (var i = 0; i < 100_000; i++)
        {
            // neighbours of words: one letter changed, cut or added
            var word = words[random.Next(words.Count)].ToList();
            var at = random.Next(word.Count);
            if (i % 3 == 0) word[at] = (char)('a' + random.Next(26));
            else if (i % 3 == 1) word.RemoveAt(at);
            else word.Insert(at, (char)('a' + random.Next(26)));
            var text = string.Concat(word);
            Assert.Equal(known.Contains(text), PskDictionary.BuiltIn.Contains(Encoding.ASCII.GetBytes(text)));
        }

        Assert.False(PskDictionary.BuiltIn.Contains(""u8));
        Assert.False(PskDictionary.BuiltIn.Contains("aa"u8));
        Assert.False(PskDictionary.BuiltIn.Contains("zzzzzz"u8));
        Assert.False(PskDictionary.BuiltIn.Contains(new byte[40]));
    }

    [Fact]
    public void Its_licence_is_beside_it()
    {
        var folder = Path.Combine(Tool.Root, "src", "Warifu.App", "Configuration", "Words");
        Assert.Contains("Copyright 2000-2011 by Kevin Atkinson", File.ReadAllText(Path.Combine(folder, "LICENSE.txt")));
        Assert.Contains("Kevin Atkinson", File.ReadLines(Path.Combine(folder, "words.txt")).First());
    }

    [Fact]
    public void Random_keys_are_hardly_ever_taken_for_words()
    {
        var random = new Random(9);
        var refused = 0;
        for (var i = 0; i < 20_000; i++)
        {
            var secret = new byte[12 + (i % 12)];
            for (var at = 0; at < secret.Length; at++) secret[at] = (byte)random.Next(0x21, 0x7F);
            if (PskRules.Examine(secret, PskDictionary.BuiltIn).HasFlag(PskFaults.Words)) refused++;
        }

        Assert.InRange(refused, 0, 20);
    }

    [Fact]
    public void Long_and_odd_octets_are_no_problem()
    {
        var random = new Random(3);
        foreach (var length in new[] { 0, 1, 255, 256, 257, 65_535 })
        {
            var secret = new byte[length];
            random.NextBytes(secret);
            _ = PskRules.Examine(secret, PskDictionary.BuiltIn);
            Array.Fill(secret, (byte)'a');
            _ = PskRules.Examine(secret, PskDictionary.BuiltIn);
        }
    }

    [Fact]
    public void A_further_word_list_counts_too()
    {
        var file = Path.GetTempFileName();
        File.WriteAllLines(file, ["# our products", "Zyxqvar", "W4r3ho-use", "", "kl0ckwitz", "ab"]);
        var words = PskDictionary.BuiltIn.With(file, out var unused, out var error);
        File.Delete(file);
        Assert.Null(error);
        Assert.Equal(2, unused);
        Assert.DoesNotContain("Words", Examine("Zyxqvar2026!"));
        Assert.Contains("Words", Examine("Zyxqvar2026!", words));
        Assert.Contains("Words", Examine("Klockwitz-77", words));
        Assert.Contains("Words", Examine("summer-2026", words));
        Assert.Same(PskDictionary.BuiltIn, PskDictionary.BuiltIn.With("/nonexistent/words", out _, out error));
        Assert.Contains("cannot be read", error);
    }

    internal static string Examine(string secret, PskDictionary? words = null)
    {
        var faults = PskRules.Examine(Encoding.UTF8.GetBytes(secret), words ?? PskDictionary.BuiltIn);
        return faults == PskFaults.None ? "" : faults.ToString().Replace(" ", "", StringComparison.Ordinal);
    }

    private static List<Diagnostic> Judge(string secret, PskPolicy policy)
    {
        var findings = new List<Diagnostic>();
        PskCheck.Judge(new ConfiguredSecret("ike-x", Encoding.UTF8.GetBytes(secret), false, [], new SourcePosition("x.conf", 1, 1)), policy, PskDictionary.BuiltIn, findings);
        // what is said never holds what it is about
        if (secret.Length > 3) Assert.All(findings, finding => Assert.DoesNotContain(secret, finding.ToString()));
        return findings;
    }

    private static IEnumerable<TheoryDataRow<string, string>> Read(string name) =>
        File.ReadLines(Path.Combine(Tool.Root, "tests", "Warifu.App.Tests", "Configuration", "Psk", name)).Where(line => !line.StartsWith('#')).Select(line => line.Split('\t', 2)).Select(parts => new TheoryDataRow<string, string>(parts[0], parts[1]));
}
