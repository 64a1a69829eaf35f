using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Interop;
using Warifu.App.Tests.Lab;
using Xunit;

[assembly: AssemblyFixture(typeof(CoverageReport))]

namespace Warifu.App.Tests.Lab;

/// <summary>One cell of docs/coverage.md: what was done with whom, who initiated, and the families outside and inside.</summary>
internal readonly record struct Cell(string Peer, string Scenario, bool WeInitiate, bool OuterV6, bool InnerV6);

/// <summary>Which cells a row asks for.</summary>
[Flags]
internal enum Wanted
{
    /// <summary>IPv4 in IPv4, both roles.</summary>
    V4 = 1,
    /// <summary>IPv6 in IPv6, both roles.</summary>
    V6 = 2,
    /// <summary>The two mixed ones, both roles.</summary>
    Mixed = 4,
    /// <summary>With <see cref="V4"/>: only where we initiate.</summary>
    OnlyOurs = 8,
    /// <summary>With <see cref="V4"/>: only where the peer initiates.</summary>
    OnlyPeers = 16,
}

/// <summary>One row of docs/coverage.md.</summary>
/// <param name="Peer">Heading of its table.</param>
/// <param name="Scenario">As the tests record it.</param>
/// <param name="Asked">Cells that every run must pass.</param>
/// <param name="AskedLong">Cells that only the long run passes.</param>
/// <param name="Impossible">Why this peer cannot do it; then nothing is asked.</param>
internal sealed record CoverageRow(string Peer, string Scenario, Wanted Asked, Wanted AskedLong = 0, string? Impossible = null);

/// <summary>Takes what tests have proved; each calls <c>Passed</c> as its last step.</summary>
internal static class Coverage
{
    private static readonly ConcurrentDictionary<Cell, bool> s_passed = new();

    public static IReadOnlyCollection<Cell> All => [.. s_passed.Keys];

    public static void Passed(string peer, string scenario, bool weInitiate, bool outerV6 = false, bool innerV6 = false) => s_passed[new Cell(peer, scenario, weInitiate, outerV6, innerV6)] = true;

    public static void Passed(string scenario, bool weInitiate, Site site) => Passed("strongSwan", scenario, weInitiate, site.OuterV6, site.InnerV6);

    /// <summary>The text of docs/coverage.md, and what is wrong: cells that were asked for and are missing, cells that no row has.</summary>
    /// <param name="rows">The declared table.</param>
    /// <param name="passed">What this run proved.</param>
    /// <param name="before">The document as it was: cells that this run could not try keep their state.</param>
    /// <param name="tried">Whether this run could try a peer.</param>
    /// <param name="isLong">Whether this run tried the long cells.</param>
    public static (string Text, IReadOnlyList<string> Faults) Render(IReadOnlyList<CoverageRow> rows, IReadOnlyCollection<Cell> passed, string before, Func<string, bool> tried, bool isLong)
    {
        var faults = new List<string>();
        var known = new HashSet<Cell>();
        var old = Read(before);
        var text = new List<string>(s_head);
        foreach (var peer in rows.Select(row => row.Peer).Distinct().Order(StringComparer.Ordinal))
        {
            text.Add("");
            text.Add($"## {peer}");
            text.Add("");
            text.Add("| scenario | we initiate: 4/4 | 4/6 | 6/4 | 6/6 | it initiates: 4/4 | 4/6 | 6/4 | 6/6 |");
            text.Add("|---|---|---|---|---|---|---|---|---|");
            foreach (var row in rows.Where(row => row.Peer == peer).OrderBy(row => row.Scenario, StringComparer.Ordinal))
            {
                var cells = Cells(row).ToList();
                known.UnionWith(cells);
                text.Add($"| {row.Scenario} | {string.Join(" | ", cells.Select(cell => State(row, cell)))} |");
            }

            foreach (var reasons in rows.Where(row => row.Peer == peer && row.Impossible is not null).GroupBy(row => row.Impossible).OrderBy(group => group.Key, StringComparer.Ordinal))
            {
                text.Add("");
                text.Add($"Impossible ({string.Join(", ", reasons.Select(row => row.Scenario).Order(StringComparer.Ordinal))}): {reasons.Key}.");
            }
        }

        faults.AddRange(passed.Where(cell => !known.Contains(cell)).Select(cell => $"{cell} was recorded, but no row has it").Order(StringComparer.Ordinal));
        return (string.Join('\n', text) + "\n", faults);

        string State(CoverageRow row, Cell cell)
        {
            if (row.Impossible is not null) return "impossible";
            var (asked, askedLong) = (Asks(row.Asked, cell), Asks(row.AskedLong, cell));
            if (passed.Contains(cell)) return asked || !askedLong ? "passed" : "passed (long)";
            if (!asked && !askedLong) return "·";
            if (tried(row.Peer) && (asked || isLong))
            {
                faults.Add($"{cell} is missing");
                return "missing";
            }

            return old.GetValueOrDefault((cell.Peer, cell.Scenario, Column(cell)), "missing");
        }
    }

    private static readonly string[] s_head =
    [
        "# Coverage",
        "",
        "Written by `./test`: what has been negotiated with real peers, judged by ping and by our own SA counters.",
        "Columns: who sends the first message, and the address families outside/inside. A cell is *passed* (*long*: by `./test --long`), *impossible* (the reason is below its table), *missing*, or · where nothing is asked for.",
    ];

    private static IEnumerable<Cell> Cells(CoverageRow row) =>
        from weInitiate in new[] { true, false } from outerV6 in new[] { false, true } from innerV6 in new[] { false, true } select new Cell(row.Peer, row.Scenario, weInitiate, outerV6, innerV6);

    private static int Column(Cell cell) => (cell.WeInitiate ? 0 : 4) + (cell.OuterV6 ? 2 : 0) + (cell.InnerV6 ? 1 : 0);

    private static bool Asks(Wanted wanted, Cell cell)
    {
        if (wanted.HasFlag(Wanted.OnlyOurs) && !cell.WeInitiate) return false;
        if (wanted.HasFlag(Wanted.OnlyPeers) && cell.WeInitiate) return false;
        return wanted.HasFlag((cell.OuterV6, cell.InnerV6) switch { (false, false) => Wanted.V4, (true, true) => Wanted.V6, _ => Wanted.Mixed });
    }

    private static Dictionary<(string Peer, string Scenario, int Column), string> Read(string text)
    {
        var cells = new Dictionary<(string, string, int), string>();
        var peer = "";
        foreach (var line in text.Split('\n'))
        {
            if (line.StartsWith("## ", StringComparison.Ordinal)) peer = line[3..];
            var parts = line.Split('|');
            if (parts.Length != 11) continue;
            for (var column = 0; column < 8; column++) cells[(peer, parts[1].Trim(), column)] = parts[column + 2].Trim();
        }

        return cells;
    }
}

/// <summary>At the end of a whole run (./test sets WARIFU_COVERAGE) writes docs/coverage.md, and fails the run when an asked-for cell is missing. A run of some tests writes nothing.</summary>
internal sealed class CoverageReport : IAsyncLifetime
{
    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        if (Environment.GetEnvironmentVariable("WARIFU_COVERAGE") is null || !Tool.IsRoot) return;
        var file = Path.Combine(Tool.Root, "docs", "coverage.md");
        var before = File.Exists(file) ? await File.ReadAllTextAsync(file) : "";
        var (text, faults) = Coverage.Render(CoverageTable.Rows, Coverage.All, before, CoverageTable.IsThere, Tool.IsLong);
        if (text != before)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            await File.WriteAllTextAsync(file, text);
        }

        if (faults.Count > 0) throw new InvalidOperationException("docs/coverage.md:\n" + string.Join('\n', faults));
    }
}
