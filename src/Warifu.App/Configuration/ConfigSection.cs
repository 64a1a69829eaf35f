using System;
using System.Buffers;
using System.Collections.Generic;
using System.Linq;
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
    private const int Many = 16;

    public string Name => name;

    public SourcePosition Position => position;

    public List<ConfigSetting> Settings { get; } = [];

    public List<ConfigSection> Sections { get; } = [];

    /// <summary>Another section inherits from it, so at the root it need not be a section that we know.</summary>
    public bool IsTemplate { get; set; }

    // made when a section has many entries: a hundred thousand connections stand in one
    private Dictionary<string, ConfigSetting>? _settings;
    private Dictionary<string, ConfigSection>? _sections;
    private int _indexed;

    public ConfigSetting? Find(string key)
    {
        if (Settings.Count <= Many) return Settings.Find(setting => setting.Key == key);
        if (_settings?.Count != Settings.Count)
        {
            _settings = new(StringComparer.Ordinal);
            foreach (var setting in Settings) _settings[setting.Key] = setting;
        }

        return _settings.GetValueOrDefault(key);
    }

    public ConfigSection? Section(string key)
    {
        if (Sections.Count <= Many) return Sections.Find(section => section.Name == key);
        _sections ??= new(StringComparer.Ordinal);
        for (; _indexed < Sections.Count; _indexed++) _sections.TryAdd(Sections[_indexed].Name, Sections[_indexed]);
        return _sections.GetValueOrDefault(key);
    }

    /// <summary>Adds a setting; returns the one of the same key that it replaces.</summary>
    public ConfigSetting? Set(ConfigSetting setting)
    {
        var known = Find(setting.Key);
        if (known is null)
        {
            if (_settings?.Count == Settings.Count) _settings.Add(setting.Key, setting);
            Settings.Add(setting);
            return null;
        }

        Settings[Settings.IndexOf(known)] = setting;
        if (_settings is not null) _settings[setting.Key] = setting;
        return known;
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

    /// <summary>Why the values are not all that was asked for: files that are missing. Whoever reads the setting reports them.</summary>
    public IReadOnlyList<Diagnostic> Limits { get; init; } = [];

    /// <summary>One setting with the values of several, in their order.</summary>
    public static ConfigSetting Join(IReadOnlyList<ConfigSetting> settings) =>
        new(settings[0].Key, settings[0].Position, settings[0].ValuePosition, [.. settings.SelectMany(setting => setting.Values)]) { Limits = [.. settings.SelectMany(setting => setting.Limits)] };

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
    private static readonly SearchValues<char> s_controls = SearchValues.Create([.. Enumerable.Range(0, 0xA0).Where(code => char.IsControl((char)code)).Select(code => (char)code)]);

    public override string ToString()
    {
        var text = Remedy.Length > 0 ? $"{Text}; {Remedy}" : Text;
        // text of a file or a client must not steer a terminal
        if (text.AsSpan().ContainsAny(s_controls)) text = string.Concat(text.Select(letter => char.IsControl(letter) ? '?' : letter));
        var word = Severity switch { Severity.Error => "error", Severity.Limit => "limit", Severity.Warning => "warning", _ => "notice" };
        return $"{Position}: {word}: {text}";
    }
}
