using System;
using System.Globalization;
using System.Linq;
using Warifu.App.Configuration;

namespace Warifu.App.Vici;

/// <summary>Configuration as VICI messages and back: load-conn and its kin go through the same rules as files.</summary>
internal static class ViciConfig
{
    private const string SourceKey = "x-source";

    /// <summary>A section as a tree. Positions come from <c>x-source = file:line:column</c> of each section.</summary>
    public static ConfigSection ToTree(string name, ViciMessage message, string client = "vici")
    {
        var position = Position(message.Text(SourceKey), client);
        var section = new ConfigSection(name, position);
        foreach (var element in message.Elements)
        {
            if (element.Section is { } inner) section.Sections.Add(ToTree(element.Name, inner, client));
            // values are copied: the request is erased when it is answered
            else if (element.Items is { } items) section.Settings.Add(new ConfigSetting(element.Name, position, position, [.. items.Select(item => item.ToArray())]));
            else if (element.Name != SourceKey && element.Value is { Length: > 0 } value) section.Settings.Add(new ConfigSetting(element.Name, position, position, [.. new[] { value.ToArray() }]));
        }

        return section;
    }

    /// <summary>A section as a message, lists as lists, with its place.</summary>
    public static ViciMessage FromTree(ConfigSection section, Scope scope)
    {
        var message = new ViciMessage().Add(SourceKey, section.Position.ToString());
        foreach (var setting in section.Settings)
        {
            if (KeyRegistry.Find(scope, setting.Key)?.Kind is ValueKind.List or ValueKind.Hosts or ValueKind.Proposals or ValueKind.Selectors) message.Add(setting.Key, ValueReader.Items(setting));
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

    private static SourcePosition Position(string? text, string client)
    {
        if (text?.Split(':') is [.., var file, var line, var column] parts && int.TryParse(line, NumberStyles.None, CultureInfo.InvariantCulture, out var row) && int.TryParse(column, NumberStyles.None, CultureInfo.InvariantCulture, out var at))
        {
            return new SourcePosition(parts.Length == 3 ? file : string.Join(':', parts[..^2]), row, at);
        }

        return new SourcePosition(client, 0, 0);
    }
}
