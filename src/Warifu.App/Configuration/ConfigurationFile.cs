using System;
using System.Collections.Generic;
using System.IO;
using System.IO.Enumeration;
using System.Linq;

namespace Warifu.App.Configuration;

/// <summary>Reads configuration files with what they include. Files are read by whoever was given their name (the daemon at its start, the client of <c>warifu load</c>), never by the daemon on a client's word.</summary>
internal static class ConfigurationFile
{
    public const string DefaultPath = "/etc/warifu/warifu.conf";

    private const int MaxLength = 64 << 20;

    /// <summary>The tree of a file; findings say what is wrong with it, a missing file included.</summary>
    public static ConfigSection Read(string path, List<Diagnostic> findings)
    {
        var text = TryRead(path, findings);
        if (text is null) return new ConfigSection("", new SourcePosition(path, 0, 0));
        var root = SwanctlParser.Parse(text, path, (pattern, from) => Include(pattern, from, findings), findings);
        System.Security.Cryptography.CryptographicOperations.ZeroMemory(text);
        return root;
    }

    private static byte[]? TryRead(string path, List<Diagnostic> findings)
    {
        try
        {
            if (new FileInfo(path).Length <= MaxLength) return File.ReadAllBytes(path);
            findings.Add(new Diagnostic(Severity.Error, new SourcePosition(path, 0, 0), "the file is larger than 64 MiB"));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            findings.Add(new Diagnostic(Severity.Error, new SourcePosition(path, 0, 0), $"cannot be read: {exception.Message}"));
        }

        return null;
    }

    /// <summary>Files that match a pattern with wildcards, relative to the file that includes them. None is fine: "conf.d/*.conf" of a new installation.</summary>
    private static List<IncludedFile> Include(string pattern, string from, List<Diagnostic> findings)
    {
        var found = new List<IncludedFile>();
        var full = Path.GetFullPath(pattern, Path.GetDirectoryName(Path.GetFullPath(from))!);
        foreach (var path in Expand(full))
        {
            if (TryRead(path, findings) is { } text) found.Add(new IncludedFile(path, text));
        }

        return found;
    }

    private static List<string> Expand(string pattern)
    {
        IEnumerable<string> at = ["/"];
        var parts = pattern.Split('/', StringSplitOptions.RemoveEmptyEntries);
        for (var i = 0; i < parts.Length; i++)
        {
            var (part, last) = (parts[i], i == parts.Length - 1);
            at = part.AsSpan().ContainsAny('*', '?')
                ? at.SelectMany(folder => Entries(folder, last).Where(entry => FileSystemName.MatchesSimpleExpression(part, Path.GetFileName(entry), ignoreCase: false) && !Path.GetFileName(entry).StartsWith('.'))).Order(StringComparer.Ordinal)
                : at.Select(folder => Path.Combine(folder, part)).Where(entry => !last || File.Exists(entry));
        }

        return at.ToList();
    }

    private static IEnumerable<string> Entries(string folder, bool files)
    {
        if (!Directory.Exists(folder)) return [];
        return files ? Directory.EnumerateFiles(folder) : Directory.EnumerateDirectories(folder);
    }
}
