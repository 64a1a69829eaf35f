using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using Xunit;

namespace Warifu.Tests.House;

/// <summary>docs/conformance.md and docs/requirements.md name only tests that exist, leave no number out and know only the states that they explain (item 2.22).</summary>
[Trait("Item", "2.22")]
public sealed partial class DocumentTests
{
    /// <summary>The rows of the programme: "1.1.1.1-3" stands for three. End nodes and gateways are numbered alike; tests run for both.</summary>
    private static readonly Dictionary<string, string> s_programme = new()
    {
        ["I"] = "1.1.1.1-3 1.1.2.1-4 1.1.3.1-8 1.1.4.1-2 1.1.5.1-3 1.1.6.1-11 1.1.7.1 1.1.8.1 1.1.9.1-2 1.1.10.1-4 1.1.11.1-4 1.2.1.1 1.2.2.1-2 1.2.3.1-7 1.2.4.1-6 1.2.5.1-2 1.2.6.1-15 1.2.7.1 1.2.8.1 1.3.1.1 1.3.2.1-2 1.3.3.1 1.3.4.1",
        ["R"] = "1.1.1.1-3 1.1.2.1-2 1.1.3.1-6 1.1.4.1-5 1.1.5.1-4 1.1.6.1-8 1.1.7.1-3 1.1.9.1-2 1.1.10.1-4 1.1.11.1-5 1.2.1.1 1.2.2.1 1.2.3.1-4 1.2.4.1 1.2.5.1-2 1.2.6.1-8 1.2.7.1 1.2.8.1 1.3.1.1 1.3.2.1 1.3.3.1 1.3.4.1",
        ["EN.I"] = "2.1.1.1-2 2.1.2.1-3",
        ["EN.R"] = "2.1.1.1-2",
        ["SGW"] = "2.1.1.1-2 2.1.2.1-3",
        ["Interop"] = "1.1-13",
    };

    private static readonly string[] s_requirements = [.. Enumerable.Range(1, 176).Select(number => $"R{number}"), "R167a", "R167b"];

    private static readonly Lazy<HashSet<string>> s_tests = new(() => [.. FindTests()]);

    [Fact]
    public void Each_row_of_the_conformance_programme_has_a_result_and_tests_that_exist()
    {
        var rows = Rows("docs/conformance.md", 4);
        var expected = s_programme.SelectMany(part => Expand(part.Value).Select(id => $"{part.Key}.{id}")).ToArray();
        Assert.Equal(expected.Length, expected.Distinct().Count());
        // a part of a row may have a line of its own
        Same(expected, rows.Select(row => row[0].Split(' ')[0]).Distinct());
        foreach (var row in rows)
        {
            var tests = Check(row[0], row[2]);
            Assert.True(row[3].Split(':')[0] is "passes" or "differs" or "not applicable" or "open", $"{row[0]}: '{row[3]}' is no result");
            if (row[3].StartsWith("passes", StringComparison.Ordinal) || row[3].StartsWith("differs", StringComparison.Ordinal)) Assert.True(tests > 0, $"{row[0]} names no test");
            if (!row[3].StartsWith("passes", StringComparison.Ordinal)) Assert.True(row[3].Contains(": ", StringComparison.Ordinal), $"{row[0]}: '{row[3]}' does not say why");
        }
    }

    [Fact]
    public void Each_requirement_has_a_state_and_tests_that_exist()
    {
        var rows = Rows("docs/requirements.md", 5);
        Same(s_requirements, rows.Select(row => row[0]));
        foreach (var row in rows)
        {
            Assert.True(row[2] is "done" or "later" or "open", $"{row[0]}: '{row[2]}' is no state");
            var tests = Check(row[0], row[3]);
            if (row[2] == "done") Assert.True(tests > 0, $"{row[0]} is done, and no test says so");
            else Assert.True(row[4].Length > 0, $"{row[0]} is {row[2]}: what is missing?");
        }
    }

    [Fact]
    public void The_numbers_at_the_head_of_the_documents_are_those_of_their_rows()
    {
        foreach (var (document, columns, state) in new[] { ("docs/conformance.md", 4, 3), ("docs/requirements.md", 5, 2) })
        {
            var text = File.ReadAllText(Path.Combine(ArchitectureTests.Root, document));
            var rows = Rows(document, columns);
            foreach (var group in rows.GroupBy(row => row[state].Split(':')[0])) Assert.Contains($"{group.Count()} {group.Key}", text, StringComparison.Ordinal);
        }
    }

    /// <summary>Names in backquotes with a dot are tests, or files. Answers how many tests there are.</summary>
    private static int Check(string id, string cell)
    {
        var tests = 0;
        foreach (Match name in Quoted().Matches(cell))
        {
            var text = name.Groups[1].Value;
            if (text.Contains('/', StringComparison.Ordinal))
            {
                Assert.True(Path.Exists(Path.Combine(ArchitectureTests.Root, text)), $"{id} names {text}, which is not there");
                if (!text.StartsWith("tests/", StringComparison.Ordinal)) continue;
            }
            else
            {
                Assert.True(s_tests.Value.Contains(text), $"{id} names the test {text}, which does not exist");
            }

            tests++;
        }

        return tests;
    }

    private static void Same(IEnumerable<string> expected, IEnumerable<string> found)
    {
        var (wanted, there) = (expected.ToArray(), found.ToArray());
        Assert.Empty(wanted.Except(there));
        Assert.Empty(there.Except(wanted));
        Assert.Empty(there.GroupBy(id => id).Where(group => group.Count() > 1).Select(group => group.Key));
    }

    /// <summary>Rows of the tables whose first cell is a number of ours.</summary>
    private static List<string[]> Rows(string document, int columns)
    {
        var rows = new List<string[]>();
        foreach (var line in File.ReadLines(Path.Combine(ArchitectureTests.Root, document)))
        {
            if (!Row().IsMatch(line)) continue;
            var cells = line.Trim().Trim('|').Split('|').Select(cell => cell.Trim()).ToArray();
            Assert.True(cells.Length == columns, $"{document}: {cells.Length} cells in '{line}'");
            rows.Add(cells);
        }

        return rows;
    }

    private static IEnumerable<string> Expand(string list)
    {
        foreach (var entry in list.Split(' '))
        {
            var (head, tail) = (entry[..(entry.LastIndexOf('.') + 1)], entry[(entry.LastIndexOf('.') + 1)..].Split('-'));
            for (var i = int.Parse(tail[0], null); i <= int.Parse(tail[^1], null); i++) yield return head + i;
        }
    }

    /// <summary>Class.Method of every test of every project, and each class that has tests.</summary>
    private static IEnumerable<string> FindTests()
    {
        foreach (var file in Directory.EnumerateFiles(Path.Combine(ArchitectureTests.Root, "tests"), "*.cs", SearchOption.AllDirectories))
        {
            if (file.Contains("/obj/", StringComparison.Ordinal)) continue;
            var (type, isTest) = ("", false);
            foreach (var line in File.ReadLines(file))
            {
                if (TypeName().Match(line) is { Success: true } named) type = named.Groups[1].Value;
                else if (TestAttribute().IsMatch(line)) isTest = true;
                else if (isTest && Method().Match(line) is { Success: true } method)
                {
                    isTest = false;
                    yield return $"{type}.{method.Groups[1].Value}";
                    yield return type;
                }
            }
        }
    }

    [GeneratedRegex(@"^\| (R\d+[ab]?|(I|R|EN\.I|EN\.R|SGW|Interop)\.[\d.]+( [A-Z])?) \|")]
    private static partial Regex Row();

    [GeneratedRegex("`([A-Za-z][\\w./-]*)`")]
    private static partial Regex Quoted();

    [GeneratedRegex(@"^(?:public |internal )?(?:sealed |static |abstract |partial )*class (\w+)")]
    private static partial Regex TypeName();

    [GeneratedRegex(@"^\s+\[\w*(Fact|Theory)\b")]
    private static partial Regex TestAttribute();

    [GeneratedRegex(@"^\s+public (?:async |static )*(?:Task|ValueTask|void) (\w+)\(")]
    private static partial Regex Method();
}
