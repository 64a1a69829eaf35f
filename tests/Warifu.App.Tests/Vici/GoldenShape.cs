using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Text.RegularExpressions;
using Warifu.App.Vici;

namespace Warifu.App.Tests.Vici;

/// <summary>
/// Compares what we send with what was recorded: same sections, lists and keys in the same order, and equal values. What may differ stands in the tables here and nowhere else.
/// </summary>
internal static partial class GoldenShape
{
    /// <summary>Values that differ from run to run: the recorded and our own value must both have this form.</summary>
    private static readonly Dictionary<string, Regex> s_forms = new(StringComparer.Ordinal)
    {
        ["uniqueid"] = Number(),
        ["reqid"] = Number(),
        ["ikesa-uniqueid"] = Number(),
        ["established"] = Number(),
        ["rekey-time"] = Signed(),
        ["life-time"] = Number(),
        ["install-time"] = Number(),
        ["use-in"] = Number(),
        ["use-out"] = Number(),
        ["initiator-spi"] = IkeSpi(),
        ["responder-spi"] = IkeSpi(),
        ["spi-in"] = EspSpi(),
        ["spi-out"] = EspSpi(),
        ["thread"] = Number(),
        ["level"] = Level(),
        ["group"] = Group(),
        ["running"] = Running(),
        ["since"] = Since(),
        ["total"] = Number(),
        ["idle"] = Number(),
        ["critical"] = Number(),
        ["high"] = Number(),
        ["medium"] = Number(),
        ["low"] = Number(),
        ["scheduled"] = Number(),
    };

    /// <summary>Free text: there on both sides, and that is all.</summary>
    private static readonly string[] s_free = ["msg", "errmsg", "daemon", "version", "sysname", "release", "machine"];

    /// <summary>Sections and lists of strongSwan's inside: its memory, its plugins, its tasks.</summary>
    private static readonly string[] s_inside = ["mallinfo", "mem", "plugins", "tasks-queued", "tasks-active", "tasks-passive"];

    /// <summary>Keys that strongSwan sends since 6.0 and the recorded 5.9.8 does not.</summary>
    private static readonly string[] s_newer = ["local_port", "remote_port"];

    /// <summary>The recorded daemon had private keys that the recording does not hold.</summary>
    private static readonly string[] s_ofKeys = ["has_privkey"];

    /// <summary>Throws with the path when <paramref name="ours"/> is not of the shape of <paramref name="recorded"/>.</summary>
    public static void Compare(ViciMessage recorded, ViciMessage ours, string path)
    {
        // lines that a command streams name their IKE SA where there is one already; which line comes first is free
        var lines = path is "control-log";
        var expected = recorded.Elements.Where(element => !(lines && element.Name.StartsWith("ikesa-", StringComparison.Ordinal)) && !s_inside.Contains(element.Name) && !s_ofKeys.Contains(element.Name) && !IsReplaced(element)).ToList();
        var actual = ours.Elements.Where(element => !(lines && element.Name.StartsWith("ikesa-", StringComparison.Ordinal)) && !s_inside.Contains(element.Name) && !s_newer.Contains(element.Name) && !IsOwn(element.Name) && !(element.Name == "reqid" && path.Contains("list-policy", StringComparison.Ordinal))).ToList();
        var (wanted, given) = (string.Join(' ', expected.Select(Name)), string.Join(' ', actual.Select(Name)));
        if (wanted != given) throw new InvalidOperationException($"{path}: recorded: {wanted}\n{path}:     ours: {given}");
        foreach (var (left, right) in expected.Zip(actual)) Compare(left, right, $"{path}/{left.Name}");
    }

    /// <summary>Own keys begin with x-, and version has the name of the product.</summary>
    private static bool IsOwn(string name) => name.StartsWith("x-", StringComparison.Ordinal) || name == "product";

    /// <summary>strongSwan keeps a replaced pair for some seconds; ours is gone when the peer has answered its delete.</summary>
    private static bool IsReplaced(ViciElement element) => element.Section?.Text("state") == "DELETED" && element.Section.Text("name") is { } name && element.Name.StartsWith(name + "-", StringComparison.Ordinal) && element.Section.Text("bytes-in") == "168";

    /// <summary>Children are named by their number: "net-2" and "net-7" are the same name.</summary>
    private static string Name(ViciElement element) => (element.Section is not null ? "{" : element.Items is not null ? "[" : "") + ChildNumber().Replace(element.Name, "$1-N");

    private static void Compare(ViciElement recorded, ViciElement ours, string path)
    {
        if (recorded.Section is { } section)
        {
            if (path.StartsWith("get-algorithms/", StringComparison.Ordinal)) CompareAlgorithms(section, ours.Section!, path);
            else Compare(section, ours.Section!, path);
            return;
        }

        if (recorded.Items is { } items)
        {
            // names of services depend on the machine: ours are numbers
            var (wanted, given) = (string.Join(", ", items.Select(Encoding.UTF8.GetString)).Replace("/domain]", "/53]", StringComparison.Ordinal), string.Join(", ", ours.Items!.Select(Encoding.UTF8.GetString)));
            if (wanted != given) throw new InvalidOperationException($"{path}: recorded [{wanted}], ours [{given}]");
            return;
        }

        var (before, now) = (Encoding.UTF8.GetString(recorded.Value!), Encoding.UTF8.GetString(ours.Value!));
        if (s_free.Contains(recorded.Name) && !(recorded.Name == "version" && path.Contains("list-", StringComparison.Ordinal)))
        {
            if (now.Length == 0) throw new InvalidOperationException($"{path}: empty");
        }
        else if (s_forms.TryGetValue(recorded.Name, out var form))
        {
            if (!form.IsMatch(before) || !form.IsMatch(now)) throw new InvalidOperationException($"{path}: recorded '{before}', ours '{now}', form {form}");
        }
        else if (before != now)
        {
            throw new InvalidOperationException($"{path}: recorded '{before}', ours '{now}'");
        }
    }

    /// <summary>Other libraries compute other things, so the sets differ; but what we call something is what it is called there.</summary>
    private static void CompareAlgorithms(ViciMessage recorded, ViciMessage ours, string path)
    {
        var names = recorded.Elements.Select(element => element.Name).ToHashSet(StringComparer.Ordinal);
        // GMAC is not a cipher for ESP there, and no integrity algorithm for AH
        var strange = ours.Elements.Select(element => element.Name).Where(name => !names.Contains(name) && name is not ("NULL_AES_GMAC" or "AES_128_GMAC" or "AES_192_GMAC" or "AES_256_GMAC")).ToList();
        if (strange.Count > 0) throw new InvalidOperationException($"{path}: not known there: {string.Join(' ', strange)}");
        if (ours.Elements.Any(element => element.Value is not { Length: > 0 })) throw new InvalidOperationException($"{path}: a name without a provider");
    }

    [GeneratedRegex("^[0-9]+$")]
    private static partial Regex Number();

    [GeneratedRegex("^-?[0-9]+$")]
    private static partial Regex Signed();

    [GeneratedRegex("^[0-9a-f]{16}$")]
    private static partial Regex IkeSpi();

    [GeneratedRegex("^[0-9a-f]{8}$")]
    private static partial Regex EspSpi();

    [GeneratedRegex("^[0-4]$")]
    private static partial Regex Level();

    [GeneratedRegex("^[A-Z]{3}$")]
    private static partial Regex Group();

    [GeneratedRegex("^[0-9]+ (seconds|minutes|hours|days)$")]
    private static partial Regex Running();

    [GeneratedRegex("^[A-Z][a-z]{2} [0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4}$")]
    private static partial Regex Since();

    [GeneratedRegex("^(net|n1)-[0-9]+$")]
    private static partial Regex ChildNumber();
}
