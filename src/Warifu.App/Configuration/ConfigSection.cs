using System;
using System.Collections.Generic;
using System.Security.Cryptography;
using System.Text;

namespace Warifu.App.Configuration;

/// <summary>A place in a configuration file; lines and columns count from 1. Line 0: no place (made by a management client).</summary>
internal readonly record struct SourcePosition(string File, int Line, int Column)
{
    public override string ToString() => Line == 0 ? File : $"{File}:{Line}:{Column}";
}

/// <summary>A section of configuration, from a file or from a management client: settings and sections in the order in which they were written.</summary>
internal sealed class ConfigSection(string name, SourcePosition position)
{
    public string Name => name;

    public SourcePosition Position => position;

    public List<ConfigSetting> Settings { get; } = [];

    public List<ConfigSection> Sections { get; } = [];

    public ConfigSetting? Find(string key)
    {
        foreach (var setting in Settings)
        {
            if (setting.Key == key) return setting;
        }

        return null;
    }

    public ConfigSection? Section(string key)
    {
        foreach (var section in Sections)
        {
            if (section.Name == key) return section;
        }

        return null;
    }

    /// <summary>Zeroes every value below: called once the policy is built, since some values are secrets.</summary>
    public void Erase()
    {
        foreach (var setting in Settings) setting.Erase();
        foreach (var section in Sections) section.Erase();
    }
}

/// <summary>A key with one value (a file) or a list of values (a list of a management client). Values stay octets: a secret never becomes a string.</summary>
internal sealed class ConfigSetting(string key, SourcePosition position, SourcePosition valuePosition, params byte[][] values)
{
    public string Key => key;

    /// <summary>Where the key stands.</summary>
    public SourcePosition Position => position;

    /// <summary>Where the value stands.</summary>
    public SourcePosition ValuePosition => valuePosition;

    public IReadOnlyList<byte[]> Values => values;

    /// <summary>The value as text, list items joined by commas. Never call it for secrets.</summary>
    public string Text => values.Length == 1 ? Encoding.UTF8.GetString(values[0]) : string.Join(',', Array.ConvertAll(values, Encoding.UTF8.GetString));

    public void Erase()
    {
        foreach (var value in values) CryptographicOperations.ZeroMemory(value);
    }
}

/// <summary>How bad a <see cref="Diagnostic"/> is.</summary>
internal enum Severity
{
    /// <summary>Worth knowing: a default that differs, a notice of a rule.</summary>
    Notice,
    /// <summary>Works, and somebody should look: weak algorithms, weak keys.</summary>
    Warning,
    /// <summary>Valid, and this build cannot serve it; the connection is left out.</summary>
    Limit,
    /// <summary>Invalid.</summary>
    Error,
}

/// <summary>One finding: where, what is wrong, what would be right.</summary>
internal readonly record struct Diagnostic(Severity Severity, SourcePosition Position, string Text, string Remedy = "")
{
    public override string ToString()
    {
        var word = Severity switch { Severity.Error => "error", Severity.Limit => "limit", Severity.Warning => "warning", _ => "notice" };
        return Remedy.Length > 0 ? $"{Position}: {word}: {Text}; {Remedy}" : $"{Position}: {word}: {Text}";
    }
}
