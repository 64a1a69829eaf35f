using System;
using System.Globalization;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.App.Configuration;

/// <summary>Judges one value by what the registry says of its key.</summary>
internal static class ValueCheck
{
    public readonly record struct Fault(Severity Severity, string Text, string Remedy);

    /// <summary>What is wrong with the value; null = nothing. Never for secrets: it reads the value as text.</summary>
    public static Fault? Find(KeyInfo info, ConfigSetting setting)
    {
        if (setting.Values.Count > 1 && info.Kind is not (ValueKind.List or ValueKind.Hosts or ValueKind.Proposals or ValueKind.Selectors)) return Error("one value is expected, not a list", "");
        var text = setting.Text;
        var shown = Shown(text);
        switch (info.Kind)
        {
            case ValueKind.YesNo when !ValueReader.TryYesNo(text, out _):
                return Error($"'{shown}' is neither yes nor no", "write yes or no");
            case ValueKind.Time when !ValueReader.TryTime(text, out _):
                return Error($"'{shown}' is no time of at most ten years", "write a number with s, m, h or d, for example 90s");
            case ValueKind.Time when ValueReader.TryTime(text, out var time) && (time.TotalSeconds < info.Least || time.TotalSeconds > info.Most):
                return Error($"'{shown}' is out of range", string.Create(CultureInfo.InvariantCulture, $"write a time of {info.Least}s..{info.Most}s"));
            case ValueKind.Size when !ValueReader.TrySize(text, out _):
                return Error($"'{shown}' is no size", "write a number of octets, with or without k, m or g");
            case ValueKind.Number when !ValueReader.TryNumber(text, out var number) || number < info.Least || number > info.Most:
                return Error($"'{shown}' is no number of this range", string.Create(CultureInfo.InvariantCulture, $"write a number of {info.Least}..{info.Most}"));
            case ValueKind.Word when info is { Scope: Scope.Connection, Name: "version" } && text == "0":
                return Error("version 0 (both) is not possible: a peer has exactly one IKE version, and neither side falls back to the other", "write version = 2, or 1 for a peer that cannot do better");
            case ValueKind.Word when !info.Words.Contains(text, StringComparer.OrdinalIgnoreCase):
                return Error($"'{shown}' is not known", $"write one of {string.Join(", ", info.Words)}");
            case ValueKind.Words when !text.Split('|').All(word => info.Words.Contains(word.Trim(), StringComparer.OrdinalIgnoreCase)):
                return Error($"'{shown}' is not known", $"write one of {string.Join(", ", info.Words)}, or several joined by |");
            case ValueKind.Hosts:
                return FirstOf(setting, item => HostPattern.TryParse(item, out _, out var error) ? null : Error(error, ""));
            case ValueKind.Selectors:
                return FirstOf(setting, item => Selectors.TryParse(item, out _, out var error) ? null : Error(error, ""));
            case ValueKind.Proposals:
                return FirstOf(setting, item => ProposalKeywords.TryParse(ProtocolOf(info), item, out _, out var error, out var isLimit) ? null : new Fault(isLimit ? Severity.Limit : Severity.Error, error, ""));
            case ValueKind.IdentityName when Identities.IsLater(text, out var later):
                return new Fault(Severity.Limit, $"{later} are not there yet", "write a name, with a wildcard at its beginning if need be");
            case ValueKind.IdentityName when !IdentityPattern.TryParse(text, out _, out var error):
                return Error(error, "");
            case ValueKind.Dscp when text.Length != 6 || !text.All(digit => digit is '0' or '1'):
                return Error($"'{shown}' is no DSCP", "write six binary digits, for example 101110");
            case ValueKind.Mark when !IsMark(text):
                return Error($"'{shown}' is no mark", "write VALUE, VALUE/MASK, %unique, %unique-dir or %same");
            case ValueKind.InterfaceId when text is not ("%unique" or "%unique-dir") && !IsNumber32(text):
                return Error($"'{shown}' is no interface id", "write a number, %unique or %unique-dir");
            default:
                return null;
        }
    }

    /// <summary>A valid value of which a part changes nothing: nothing is ignored silently.</summary>
    public static string? WithoutEffect(KeyInfo info, ConfigSetting setting)
    {
        if (info.Kind != ValueKind.Proposals) return null;
        foreach (var item in ValueReader.Items(setting))
        {
            if (ProposalKeywords.WithoutEffect(ProtocolOf(info), item) is { } found) return $"'{found.Word}' in '{item}' has no effect: {found.Why}";
        }

        return null;
    }

    /// <summary>The value says what holds without it.</summary>
    public static bool IsDefault(KeyInfo info, ConfigSetting setting)
    {
        var (text, standard) = (setting.Text, info.Default);
        if (text.Equals(standard, StringComparison.OrdinalIgnoreCase)) return true;
        return info.Kind switch
        {
            ValueKind.YesNo => ValueReader.TryYesNo(text, out var value) && value == (standard == "yes"),
            ValueKind.Time => ValueReader.TryTime(text, out var time) && ValueReader.TryTime(standard, out var wanted) && time == wanted,
            ValueKind.Number or ValueKind.Mark or ValueKind.InterfaceId => ValueReader.TryNumber(text, out var number) && ValueReader.TryNumber(standard, out var wanted) && number == wanted,
            _ => false,
        };
    }

    public static ProtocolId ProtocolOf(KeyInfo info) => info.Scope == Scope.Connection ? ProtocolId.Ike : info.Name == "ah_proposals" ? ProtocolId.Ah : ProtocolId.Esp;

    private static Fault? FirstOf(ConfigSetting setting, Func<string, Fault?> check)
    {
        foreach (var item in ValueReader.Items(setting))
        {
            if (item.Length > 512) return Error($"'{Shown(item)}' is too long", "write less than 512 characters");
            if (check(item) is { } fault) return fault;
        }

        return ValueReader.Items(setting).Any() ? null : Error("a list without an item", "write at least one item, or remove the key");
    }

    private static bool IsMark(string text)
    {
        var parts = text.Split('/');
        return parts.Length <= 2 && (parts[0] is "%unique" or "%unique-dir" or "%same" || IsNumber32(parts[0])) && (parts.Length == 1 || IsNumber32(parts[1]));
    }

    private static bool IsNumber32(string text) => ValueReader.TryNumber(text, out var number) && number <= uint.MaxValue;

    private static Fault Error(string text, string remedy) => new(Severity.Error, text, remedy);

    private static string Shown(string text) => text.Length <= 64 ? text : text[..64] + "…";
}
