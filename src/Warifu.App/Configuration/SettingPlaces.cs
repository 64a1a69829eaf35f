using System;
using System.Collections.Generic;
using System.Linq;

namespace Warifu.App.Configuration;

/// <summary>A setting that a sentence names, and where it stands.</summary>
/// <param name="Path">"connections.site.proposals".</param>
/// <param name="Position">Of the value; of the section when the setting is not written.</param>
/// <param name="IsWritten">False: the default holds.</param>
internal readonly record struct NamedSetting(string Path, SourcePosition Position, bool IsWritten)
{
    public override string ToString() => IsWritten ? Position.ToString() : $"{Position} (not written there: the default holds)";
}

/// <summary>Where the settings of a connection or secret stand in the files, so that a sentence about one can say which line to change. Immutable.</summary>
internal sealed class SettingPlaces
{
    private readonly List<Place> _places = [];

    /// <summary>Places of all connections of a tree, by their names.</summary>
    public static Dictionary<string, SettingPlaces> OfAll(ConfigSection root)
    {
        var all = new Dictionary<string, SettingPlaces>(StringComparer.Ordinal);
        foreach (var connection in root.Section("connections")?.Sections ?? []) all[connection.Name] = OfConnection(connection);
        return all;
    }

    /// <summary>Places of one section of <c>connections</c>.</summary>
    public static SettingPlaces OfConnection(ConfigSection connection)
    {
        var found = new SettingPlaces();
        found.Add($"connections.{connection.Name}", Scope.Connection, connection);
        foreach (var section in connection.Sections)
        {
            if (section.Name.StartsWith("local", StringComparison.Ordinal)) found.Add($"connections.{connection.Name}.local", Scope.Local, section);
            else if (section.Name.StartsWith("remote", StringComparison.Ordinal)) found.Add($"connections.{connection.Name}.remote", Scope.Remote, section);
            else if (section.Name == "children") section.Sections.ForEach(child => found.Add($"connections.{connection.Name}.children.{child.Name}", Scope.Child, child));
        }

        return found;
    }

    /// <summary>Place of a secret.</summary>
    public static SettingPlaces OfSecret(string name, SourcePosition value)
    {
        var found = new SettingPlaces();
        found._places.Add(new Place($"secrets.{name}", Scope.Secret, value, new Dictionary<string, SourcePosition>(StringComparer.Ordinal) { ["secret"] = value }));
        return found;
    }

    /// <summary>The settings that a text names by their whole paths, each once, in the order of the text.</summary>
    public IEnumerable<NamedSetting> Named(string text)
    {
        var found = new List<(int At, NamedSetting Setting)>();
        foreach (var place in _places)
        {
            var prefix = place.Prefix + ".";
            for (var at = text.IndexOf(prefix, StringComparison.Ordinal); at >= 0; at = text.IndexOf(prefix, at + 1, StringComparison.Ordinal))
            {
                var rest = text.AsSpan(at + prefix.Length);
                var end = rest.IndexOfAnyExcept(KeyLetters);
                var key = (end < 0 ? rest : rest[..end]).ToString();
                if (key.Length == 0 || KeyRegistry.Find(place.Scope, key) is null) continue;
                var written = place.Keys.TryGetValue(key, out var position);
                found.Add((at, new NamedSetting(prefix + key, written ? position : place.Section, written)));
            }
        }

        return found.OrderBy(one => one.At).Select(one => one.Setting).DistinctBy(setting => setting.Path);
    }

    private static System.Buffers.SearchValues<char> KeyLetters { get; } = System.Buffers.SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789_");

    private void Add(string prefix, Scope scope, ConfigSection section)
    {
        var keys = new Dictionary<string, SourcePosition>(StringComparer.Ordinal);
        foreach (var setting in section.Settings) keys[setting.Key] = setting.ValuePosition;
        _places.Add(new Place(prefix, scope, section.Position, keys));
    }

    private readonly record struct Place(string Prefix, Scope Scope, SourcePosition Section, Dictionary<string, SourcePosition> Keys);
}
