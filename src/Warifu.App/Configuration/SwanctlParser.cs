using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;

namespace Warifu.App.Configuration;

/// <summary>A file that an <c>include</c> named.</summary>
internal readonly record struct IncludedFile(string Name, byte[] Text);

/// <summary>Finds the files of an include pattern, relative to the file that holds it.</summary>
internal delegate IReadOnlyList<IncludedFile> IncludeReader(string pattern, SourcePosition from);

/// <summary>
/// Reads the grammar of swanctl.conf: sections, settings, comments, quotes, <c>include</c>, and inheritance by <c>name : other.section { }</c>. Never throws; goes on after an error, so that one run
/// reports all of them. Values stay octets.
/// </summary>
internal sealed class SwanctlParser
{
    private const int MaxDepth = 32;
    private const int MaxIncludes = 200_000;
    private const int MaxName = 256;
    private const int MaxErrors = 1000;
    private const int MaxRemarks = 10_000;
    private const int MaxCopies = 2_000_000;

    private readonly List<Diagnostic> _findings;
    private readonly IncludeReader? _include;
    private readonly Dictionary<ConfigSection, List<(string Path, SourcePosition Position)>> _references = [];
    // false: its references are being followed
    private readonly Dictionary<ConfigSection, bool> _resolved = [];
    private readonly List<string> _open = [];
    private readonly ValueBuffer _value = new();
    private int _includes;
    private int _errors;
    private int _remarks;
    private int _copies;

    private SwanctlParser(IncludeReader? include, List<Diagnostic> findings) => (_include, _findings) = (include, findings);

    /// <param name="text">UTF-8.</param>
    /// <param name="file">Name for messages.</param>
    /// <param name="include">Reads included files; null = includes are errors.</param>
    /// <param name="findings">Errors are added.</param>
    public static ConfigSection Parse(ReadOnlySpan<byte> text, string file, IncludeReader? include, List<Diagnostic> findings)
    {
        var parser = new SwanctlParser(include, findings);
        var root = new ConfigSection("", new SourcePosition(file, 1, 1));
        parser.ReadFile(text, file, root, 0);
        parser.Inherit(root, root, 0);
        DropUnset(root);
        parser._value.Begin();
        return root;
    }

    private void ReadFile(ReadOnlySpan<byte> text, string file, ConfigSection into, int depth)
    {
        var cursor = new Cursor(text, file);
        _open.Add(Path.GetFullPath(file));
        if (text.StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF])) cursor.Skip(3);
        ReadSection(ref cursor, into, depth, opened: null);
        _open.RemoveAt(_open.Count - 1);
    }

    private void ReadSection(ref Cursor cursor, ConfigSection section, int depth, SourcePosition? opened)
    {
        while (true)
        {
            cursor.SkipSpace();
            if (cursor.AtEnd)
            {
                if (opened is { } place) Error(place, $"section '{section.Name}' is not closed", "add a '}'");
                return;
            }

            if (_errors > MaxErrors) cursor.SkipAll();
            if (cursor.AtEnd) continue;

            if (cursor.Current == '}')
            {
                if (opened is not null)
                {
                    cursor.Skip(1);
                    return;
                }

                Error(cursor.Position, "'}' without a section that it closes", "remove it");
                cursor.Skip(1);
                continue;
            }

            ReadStatement(ref cursor, section, depth);
        }
    }

    private void ReadStatement(ref Cursor cursor, ConfigSection section, int depth)
    {
        var position = cursor.Position;
        var name = cursor.ReadName();
        if (name.Length == 0)
        {
            Error(position, $"'{cursor.Shown}' where a name is expected", "names hold no # { } : . , = or quotes");
            cursor.SkipLine();
            return;
        }

        if (name.Length > MaxName)
        {
            Error(position, "a name of more than 256 octets", "shorten it");
            cursor.SkipLine();
            return;
        }

        cursor.SkipBlanks();
        if (name == "include" && !cursor.AtEnd && cursor.Current is not ((byte)'=' or (byte)'{' or (byte)':'))
        {
            Include(ref cursor, section, depth, position);
            return;
        }

        var beforeSpace = cursor;
        cursor.SkipSpace();
        switch (cursor.AtEnd ? (byte)0 : cursor.Current)
        {
            case (byte)'=':
                cursor.Skip(1);
                ReadValue(ref cursor, section, name, position);
                return;
            case (byte)'{' or (byte)':':
                OpenSection(ref cursor, section, name, position, depth);
                return;
            default:
                cursor = beforeSpace;
                // the word is not repeated: it may be the rest of a secret that lacks its quotes
                Error(position, "a name that is followed by neither '=' nor '{'", "write NAME = VALUE or NAME { … }, and put values that hold # or } into quotes");
                cursor.SkipLine();
                return;
        }
    }

    private void OpenSection(ref Cursor cursor, ConfigSection parent, string name, SourcePosition position, int depth)
    {
        var references = new List<(string, SourcePosition)>();
        if (cursor.Current == ':')
        {
            do
            {
                cursor.Skip(1);
                cursor.SkipSpace();
                var at = cursor.Position;
                var path = cursor.ReadPath();
                if (path.Length == 0) Error(at, "a reference to a section is expected after ':'", "write the path of a section, for example 'connections.base'");
                else references.Add((path, at));
                cursor.SkipSpace();
            }
            while (!cursor.AtEnd && cursor.Current == ',');

            if (cursor.AtEnd || cursor.Current != '{')
            {
                Error(position, $"the references of '{name}' are not followed by '{{'", "open the section");
                cursor.SkipLine();
                return;
            }
        }

        cursor.Skip(1);
        if (depth >= MaxDepth)
        {
            Error(position, "more than 32 sections inside one another", "flatten them");
            SkipSection(ref cursor);
            return;
        }

        var section = parent.Section(name);
        if (section is not null && depth > 0 && name != "children") Add(Severity.Notice, position, $"section '{name}' goes on here; it began at {section.Position}", "if it was to be another one, give it another name");
        if (section is null) parent.Sections.Add(section = new ConfigSection(name, position));
        if (references.Count > 0)
        {
            if (!_references.TryGetValue(section, out var known)) _references.Add(section, known = []);
            known.AddRange(references);
        }

        ReadSection(ref cursor, section, depth + 1, position);
    }

    private static void SkipSection(ref Cursor cursor)
    {
        for (var open = 1; open > 0 && !cursor.AtEnd; cursor.Skip(1))
        {
            if (cursor.Current == '{') open++;
            else if (cursor.Current == '}') open--;
        }
    }

    private void ReadValue(ref Cursor cursor, ConfigSection section, string key, SourcePosition position)
    {
        cursor.SkipBlanks();
        var start = cursor.Position;
        var value = _value.Begin();
        var separate = false;
        while (!cursor.AtEnd && cursor.Current is not ((byte)'\n' or (byte)'}' or (byte)'#'))
        {
            if (cursor.Current is (byte)' ' or (byte)'\t' or (byte)'\r')
            {
                cursor.Skip(1);
                separate = value.Length > 0;
                continue;
            }

            if (separate) value.Add((byte)' ');
            separate = false;
            if (cursor.Current == '"')
            {
                if (!ReadQuoted(ref cursor, value)) return;
                continue;
            }

            if (cursor.Current == '{')
            {
                Error(cursor.Position, $"'{{' in the value of '{key}'", "put the value into quotes, or end the line before it");
                cursor.SkipLine();
                return;
            }

            value.Add(cursor.Current);
            cursor.Skip(1);
        }

        if (!separate && value.Length > 0 && !cursor.AtEnd && cursor.Current == '#') Add(Severity.Warning, cursor.Position, $"'#' ends the value of '{key}': what follows is a comment", "put the value into quotes if it belongs to it, or a blank before the '#'");
        if (section.Set(new ConfigSetting(key, position, start, value.ToArray(pinned: IsSecret(key)))) is not { } before) return;
        before.Erase();
        Add(before.Position.File == position.File ? Severity.Warning : Severity.Notice, position, $"'{key}' is set again; the value of {before.Position} is not used", "keep one of them");
    }

    private bool ReadQuoted(ref Cursor cursor, ValueBuffer value)
    {
        var opened = cursor.Position;
        cursor.Skip(1);
        while (!cursor.AtEnd)
        {
            var octet = cursor.Current;
            cursor.Skip(1);
            if (octet == '"') return true;
            if (octet != '\\')
            {
                value.Add(octet);
                continue;
            }

            if (cursor.AtEnd) break;
            var escaped = cursor.Current;
            cursor.Skip(1);
            // a backslash before the end of the line joins the lines
            if (escaped == '\n') continue;
            value.Add(escaped switch { (byte)'n' => (byte)'\n', (byte)'r' => (byte)'\r', (byte)'t' => (byte)'\t', _ => escaped });
        }

        Error(opened, "a quote that is not closed", "add a '\"'");
        return false;
    }

    private void Include(ref Cursor cursor, ConfigSection section, int depth, SourcePosition position)
    {
        var pattern = cursor.ReadPattern();
        if (pattern.Length == 0)
        {
            Error(position, "include without a file", "write include FILE, or a pattern such as conf.d/*.conf");
            return;
        }

        if (_include is null || depth >= MaxDepth || ++_includes > MaxIncludes)
        {
            Error(position, _include is null ? "includes are not possible here" : "too many includes", "remove the include");
            return;
        }

        var files = _include(pattern, position);
        if (files.Count == 0 && pattern.AsSpan().ContainsAny("*?[")) Add(Severity.Notice, position, $"no file fits '{pattern}'");
        foreach (var file in files)
        {
            if (_open.Contains(Path.GetFullPath(file.Name))) Error(position, $"'{file.Name}' includes itself: {string.Join(" -> ", _open.Select(Path.GetFileName))} -> {Path.GetFileName(file.Name)}", "remove the include");
            else ReadFile(file.Text, file.Name, section, depth + 1);
            CryptographicOperations.ZeroMemory(file.Text);
        }
    }

    // ---- inheritance

    private void Inherit(ConfigSection root, ConfigSection section, int depth)
    {
        if (!_resolved.TryAdd(section, false)) return;
        foreach (var (path, position) in _references.GetValueOrDefault(section) ?? [])
        {
            var source = root;
            var parts = path.Split('.');
            foreach (var part in parts) source = source?.Section(part);
            if (root.Section(parts[0]) is { } template) template.IsTemplate = true;
            if (source is null)
            {
                Error(position, $"there is no section '{path}'", "give the whole path from the root, for example 'connections.base'");
                continue;
            }

            if (ReferenceEquals(source, section) || Holds(source, section) || depth > MaxDepth)
            {
                Error(position, $"section '{section.Name}' refers to itself", "remove the reference");
                continue;
            }

            Inherit(root, source, depth + 1);
            if (!_resolved[source]) Error(position, $"sections refer to one another in a circle: '{section.Name}' to '{path}' and back", "remove one of the references");
            else CopyMissing(source, section);
        }

        foreach (var child in section.Sections.ToArray()) Inherit(root, child, depth + 1);
        _resolved[section] = true;
    }

    private static bool Holds(ConfigSection outer, ConfigSection inner)
    {
        foreach (var section in outer.Sections)
        {
            if (ReferenceEquals(section, inner) || Holds(section, inner)) return true;
        }

        return false;
    }

    private void CopyMissing(ConfigSection from, ConfigSection to)
    {
        foreach (var setting in from.Settings)
        {
            // values are copied: each is erased once
            if (to.Find(setting.Key) is not null || !MayCopy(setting.Position)) continue;
            to.Set(new ConfigSetting(setting.Key, setting.Position, setting.ValuePosition, [.. Copies(setting)]));
        }

        foreach (var section in from.Sections)
        {
            if (!MayCopy(section.Position)) return;
            var own = to.Section(section.Name);
            if (own is null) to.Sections.Add(own = new ConfigSection(section.Name, section.Position));
            CopyMissing(section, own);
        }
    }

    /// <summary>Sections that inherit twice from sections that inherit twice double each time.</summary>
    private bool MayCopy(SourcePosition position)
    {
        if (++_copies == MaxCopies) Error(position, "inheritance makes too many copies", "inherit less");
        return _copies < MaxCopies;
    }

    private static IEnumerable<byte[]> Copies(ConfigSetting setting)
    {
        foreach (var value in setting.Values) yield return [.. value];
    }

    /// <summary>"key =" takes away what a template had set.</summary>
    private static void DropUnset(ConfigSection section)
    {
        section.Settings.RemoveAll(setting => setting.Values is [{ Length: 0 }]);
        foreach (var child in section.Sections) DropUnset(child);
    }

    private void Error(SourcePosition position, string text, string remedy) => Add(Severity.Error, position, text, remedy);

    private void Add(Severity severity, SourcePosition position, string text, string remedy = "")
    {
        var (count, most) = severity == Severity.Error ? (++_errors, MaxErrors) : (++_remarks, MaxRemarks);
        if (count <= most) _findings.Add(new Diagnostic(severity, position, text, remedy));
        else if (severity == Severity.Error && count == most + 1) _findings.Add(new Diagnostic(Severity.Error, position, "too much is wrong; the rest is not read", "is this a configuration?"));
        else if (count == most + 1) _findings.Add(new Diagnostic(Severity.Warning, position, "further remarks are left out"));
    }

    private static bool IsSecret(string key) => key.StartsWith("secret", StringComparison.Ordinal) || key == "pin" || key.Contains("key", StringComparison.Ordinal);

    private ref struct Cursor(ReadOnlySpan<byte> text, string file)
    {
        private readonly ReadOnlySpan<byte> _text = text;
        private int _at;
        private int _line = 1;
        private int _lineStart;
        // octets of this line that begin no character
        private int _following;

        public readonly bool AtEnd => _at >= _text.Length;

        public readonly byte Current => _text[_at];

        public readonly SourcePosition Position => new(file, _line, _at - _lineStart - _following + 1);

        public readonly string Shown => AtEnd ? "the end" : Current is > 0x20 and < 0x7F ? ((char)Current).ToString() : $"\\x{Current:x2}";

        public void Skip(int count)
        {
            for (; count > 0 && !AtEnd; count--)
            {
                var octet = _text[_at++];
                if ((octet & 0xC0) == 0x80) _following++;
                if (octet != '\n') continue;
                _line++;
                (_lineStart, _following) = (_at, 0);
            }
        }

        public void SkipBlanks()
        {
            while (!AtEnd && Current is (byte)' ' or (byte)'\t' or (byte)'\r') Skip(1);
        }

        public void SkipAll() => Skip(_text.Length);

        public void SkipLine()
        {
            while (!AtEnd && Current != '\n') Skip(1);
        }

        /// <summary>White space and comments.</summary>
        public void SkipSpace()
        {
            while (!AtEnd)
            {
                if (Current == '#') SkipLine();
                else if (Current is (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n') Skip(1);
                else return;
            }
        }

        public string ReadName() => ReadWhile(dots: false);

        public string ReadPath() => ReadWhile(dots: true);

        /// <summary>The rest of the line, quotes removed.</summary>
        public string ReadPattern()
        {
            var start = _at;
            while (!AtEnd && Current is not ((byte)'\n' or (byte)'#' or (byte)'}')) Skip(1);
            return Encoding.UTF8.GetString(_text[start.._at]).Trim().Trim('"');
        }

        private string ReadWhile(bool dots)
        {
            var start = _at;
            while (!AtEnd && IsNamePart(Current, dots)) Skip(1);
            return Encoding.UTF8.GetString(_text[start.._at]);
        }

        private static bool IsNamePart(byte octet, bool dots) =>
            octet > 0x20 && octet != 0x7F && octet is not ((byte)'#' or (byte)'{' or (byte)'}' or (byte)':' or (byte)',' or (byte)'=' or (byte)'"') && (dots || octet != '.');
    }
}

/// <summary>Collects the octets of one value after the other. They may be a secret: the memory does not move and is zeroed.</summary>
internal sealed class ValueBuffer
{
    private byte[] _octets = GC.AllocateArray<byte>(256, pinned: true);

    public int Length { get; private set; }

    /// <summary>Forgets the value before.</summary>
    public ValueBuffer Begin()
    {
        CryptographicOperations.ZeroMemory(_octets.AsSpan(0, Length));
        Length = 0;
        return this;
    }

    public void Add(byte octet)
    {
        if (Length == _octets.Length)
        {
            var wider = GC.AllocateArray<byte>(Length * 2, pinned: true);
            _octets.CopyTo(wider, 0);
            CryptographicOperations.ZeroMemory(_octets);
            _octets = wider;
        }

        _octets[Length++] = octet;
    }

    public byte[] ToArray(bool pinned)
    {
        var copy = GC.AllocateUninitializedArray<byte>(Length, pinned);
        _octets.AsSpan(0, Length).CopyTo(copy);
        return copy;
    }
}
