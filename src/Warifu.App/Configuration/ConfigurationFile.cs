using System;
using System.Buffers;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;

namespace Warifu.App.Configuration;

/// <summary>Reads configuration files with what they include. Files are read by whoever was given their name (the daemon at its start, the client of <c>warifu load</c>), never by the daemon on a client's word.</summary>
internal static class ConfigurationFile
{
    public const string DefaultPath = "/etc/warifu/warifu.conf";

    private const int MaxLength = 64 << 20;

    private static readonly SearchValues<char> s_wildcards = SearchValues.Create("*?[");

    /// <summary>The tree of a file; findings say what is wrong with it, a missing file included.</summary>
    public static ConfigSection Read(string path, List<Diagnostic> findings)
    {
        var text = TryRead(path, new SourcePosition(path, 0, 0), findings);
        if (text is null) return new ConfigSection("", new SourcePosition(path, 0, 0));
        var root = SwanctlParser.Parse(text, path, (pattern, from) => Include(pattern, from, findings), findings);
        CryptographicOperations.ZeroMemory(text);
        return root;
    }

    /// <summary>The octets; they may hold secrets, so they do not move and the caller zeroes them.</summary>
    private static byte[]? TryRead(string path, SourcePosition named, List<Diagnostic> findings)
    {
        var file = named.Line == 0 ? "the file" : $"'{path}'";
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            // what has no length (a pipe) is no configuration that can be read twice
            if (stream.Length > MaxLength)
            {
                findings.Add(new Diagnostic(Severity.Error, named, $"{file} is larger than 64 MiB", "split it"));
                return null;
            }

            var octets = GC.AllocateUninitializedArray<byte>((int)stream.Length, pinned: true);
            stream.ReadExactly(octets);
            return octets;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            findings.Add(new Diagnostic(Severity.Error, named, $"{file} cannot be read: {exception.Message}", "name a file that exists and may be read"));
            return null;
        }
    }

    /// <summary>Files that match a pattern with wildcards, relative to the file that includes them. None is fine: "conf.d/*.conf" of a new installation.</summary>
    private static List<IncludedFile> Include(string pattern, SourcePosition from, List<Diagnostic> findings)
    {
        var found = new List<IncludedFile>();
        var full = Path.GetFullPath(pattern, Path.GetDirectoryName(Path.GetFullPath(from.File))!);
        foreach (var path in full.AsSpan().ContainsAny(s_wildcards) ? Expand(full) : [full])
        {
            if (TryRead(path, from, findings) is { } text) found.Add(new IncludedFile(path, text));
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
            at = part.AsSpan().ContainsAny(s_wildcards)
                ? at.SelectMany(folder => Entries(folder, last).Where(entry => Wildcards.Match(part, Path.GetFileName(entry)))).Order(StringComparer.Ordinal)
                : at.Select(folder => Path.Combine(folder, part)).Where(entry => !last || File.Exists(entry));
        }

        return at.ToList();
    }

    private static string[] Entries(string folder, bool files)
    {
        try
        {
            return files ? Directory.GetFiles(folder) : Directory.GetDirectories(folder);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}

/// <summary>Shell patterns: *, ? and [a-z], [!a-z]. A leading dot is matched by a dot only.</summary>
internal static class Wildcards
{
    public static bool Match(ReadOnlySpan<char> pattern, ReadOnlySpan<char> name) => (!name.StartsWith('.') || pattern.StartsWith('.')) && MatchRest(pattern, name);

    private static bool MatchRest(ReadOnlySpan<char> pattern, ReadOnlySpan<char> name)
    {
        // a star takes as little as possible, and more when the rest does not fit; only the last star needs to be tried again
        var (at, from, star, taken) = (0, 0, -1, 0);
        while (from < name.Length)
        {
            if (at < pattern.Length && pattern[at] == '*')
            {
                (star, taken) = (at++, from);
            }
            else if (at < pattern.Length && MatchOne(pattern, ref at, name[from]))
            {
                from++;
            }
            else if (star >= 0)
            {
                (at, from) = (star + 1, ++taken);
            }
            else
            {
                return false;
            }
        }

        return pattern[at..].Trim('*').IsEmpty;
    }

    private static bool MatchOne(ReadOnlySpan<char> pattern, ref int at, char letter)
    {
        var end = pattern[at] == '[' ? pattern[(at + 1)..].IndexOf(']') : -1;
        if (end <= 0)
        {
            if (pattern[at] != '?' && pattern[at] != letter) return false;
            at++;
            return true;
        }

        var set = pattern.Slice(at + 1, end);
        var not = set[0] is '!' or '^';
        if (InSet(not ? set[1..] : set, letter) == not) return false;
        at += end + 2;
        return true;
    }

    private static bool InSet(ReadOnlySpan<char> set, char letter)
    {
        for (var i = 0; i < set.Length; i++)
        {
            if (i + 2 < set.Length && set[i + 1] == '-')
            {
                if (letter >= set[i] && letter <= set[i + 2]) return true;
                i += 2;
            }
            else if (set[i] == letter)
            {
                return true;
            }
        }

        return false;
    }
}
