using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Warifu.App.Configuration;

namespace Warifu.App.Cli;

/// <summary><c>warifu check FILE…</c>: all findings of all files, in the order of their places.</summary>
internal static class FileCheck
{
    public static int Run(IReadOnlyList<string> files, bool strict, TextWriter output)
    {
        var worst = Severity.Notice;
        var (connections, manual) = (0, 0);
        foreach (var file in files)
        {
            var findings = Findings(file, out var built);
            connections += built.Policy.Connections.Length;
            manual += built.Policy.Manual.Length;
            foreach (var finding in findings)
            {
                output.WriteLine(finding);
                if (finding.Severity > worst) worst = finding.Severity;
            }
        }

        if (worst >= (strict ? Severity.Limit : Severity.Error)) return 2;
        var served = manual == 0 || connections > 0 ? [Count(connections, "connection")] : Array.Empty<string>();
        output.WriteLine($"{string.Join(' ', files)}: {string.Join(" and ", manual == 0 ? served : [.. served, Count(manual, "manual SA")])} can be served");
        return 0;
    }

    private static string Count(int count, string what) => $"{count} {what}{(count == 1 ? "" : "s")}";

    /// <summary>Everything that is to be said of a file.</summary>
    public static IReadOnlyList<Diagnostic> Findings(string file, out BuiltConfiguration built)
    {
        var read = ConfigurationReader.Read(file);
        built = read.Built;
        built.Erase();
        read.EraseSources();
        return [.. read.Findings.OrderBy(finding => finding.Position.File, StringComparer.Ordinal).ThenBy(finding => finding.Position.Line).ThenBy(finding => finding.Position.Column)];
    }
}
