using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Warifu.App.Configuration;

namespace Warifu.App.Vici;

/// <summary>Configuration as VICI messages and back: load-conn and its kin go through the same rules as files.</summary>
internal static class ViciConfig
{
    /// <summary>Of a section: <c>file:line:column</c>.</summary>
    private const string SourceKey = "x-source";

    /// <summary>Of the values in a section: a list of <c>key=file:line:column</c>.</summary>
    private const string PlacesKey = "x-places";

    /// <summary>Of values that are not all that was asked for: a list of key, severity, what is wrong and what would be right, a line each.</summary>
    private const string LimitsKey = "x-limits";

    /// <summary>A section as a tree. Positions come from <c>x-source</c> and <c>x-places</c>, where the client sends them.</summary>
    public static ConfigSection ToTree(string name, ViciMessage message, string client = "vici")
    {
        var own = Position(message.Text(SourceKey)) ?? new SourcePosition(client, 0, 0);
        var section = new ConfigSection(name, own);
        var places = new Dictionary<string, SourcePosition>(StringComparer.Ordinal);
        foreach (var item in message.Items(PlacesKey))
        {
            if (item.IndexOf('=', StringComparison.Ordinal) is var at and > 0 && Position(item[(at + 1)..]) is { } place) places[item[..at]] = place;
        }

        foreach (var element in message.Elements)
        {
            if (element.Name is SourceKey or PlacesKey or LimitsKey) continue;
            var position = places.GetValueOrDefault(element.Name, own);
            if (element.Section is { } inner) section.Sections.Add(ToTree(element.Name, inner, client));
            // values are copied: the request is erased when it is answered
            else if (element.Items is { } items) section.Settings.Add(new ConfigSetting(element.Name, position, position, [.. items.Select(item => item.ToArray())]));
            else if (element.Value is { Length: > 0 } value) section.Settings.Add(new ConfigSetting(element.Name, position, position, [.. new[] { value.ToArray() }]));
        }

        foreach (var group in message.Items(LimitsKey).Select(item => item.Split('\n')).Where(parts => parts.Length == 4).GroupBy(parts => parts[0]))
        {
            var place = places.GetValueOrDefault(group.Key, own);
            var limits = group.Select(parts => new Diagnostic(parts[1] == "error" ? Severity.Error : Severity.Limit, place, parts[2], parts[3])).ToList();
            section.Set(new ConfigSetting(group.Key, place, place, [.. section.Find(group.Key)?.Values ?? []]) { Limits = limits });
        }

        return section;
    }

    /// <summary>A section as a message, lists as lists, with its places.</summary>
    public static ViciMessage FromTree(ConfigSection section, Scope scope)
    {
        var message = new ViciMessage().Add(SourceKey, section.Position.ToString());
        if (section.Settings.Count > 0) message.Add(PlacesKey, section.Settings.Select(setting => $"{setting.Key}={setting.ValuePosition}"));
        // what this side could not read, the other side cannot know
        var limits = section.Settings.SelectMany(setting => setting.Limits.Select(limit => $"{setting.Key}\n{(limit.Severity == Severity.Error ? "error" : "limit")}\n{limit.Text}\n{limit.Remedy}")).ToList();
        if (limits.Count > 0) message.Add(LimitsKey, limits);
        foreach (var setting in section.Settings)
        {
            if (setting.Values.Count == 0) continue;
            if (KeyRegistry.Find(scope, setting.Key)?.Kind is ValueKind.Contents && scope != Scope.Authority) message.AddList(setting.Key, setting.Values.Select(value => value.ToArray()));
            else if (KeyRegistry.Find(scope, setting.Key)?.Kind is ValueKind.List or ValueKind.Hosts or ValueKind.Proposals or ValueKind.Selectors) message.Add(setting.Key, ValueReader.Items(setting));
            else message.Add(setting.Key, setting.Values[0].ToArray());
        }

        foreach (var inner in section.Sections) message.Add(inner.Name, FromTree(inner, Below(scope, inner.Name)));
        return message;
    }

    private static Scope Below(Scope scope, string name) => scope switch
    {
        Scope.Connection when name.StartsWith("local", StringComparison.Ordinal) => Scope.Local,
        Scope.Connection when name.StartsWith("remote", StringComparison.Ordinal) => Scope.Remote,
        Scope.Local or Scope.Remote => Scope.CertFile,
        _ => Scope.Child,
    };

    private static SourcePosition? Position(string? text)
    {
        if (text?.Split(':') is not [.., var line, var column] parts || parts.Length < 3) return null;
        if (!int.TryParse(line, NumberStyles.None, CultureInfo.InvariantCulture, out var row) || !int.TryParse(column, NumberStyles.None, CultureInfo.InvariantCulture, out var at)) return null;
        return new SourcePosition(string.Join(':', parts[..^2]), row, at);
    }
}
