using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Globalization;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.App.Configuration;

/// <summary>Reads one section by the registry: every key is checked when the reader is made, so that all findings of a section come in one run; getters then give values or defaults.</summary>
internal sealed class SectionReader
{
    private readonly ConfigSection _section;
    private readonly Scope _scope;
    private readonly List<Diagnostic> _findings;
    private readonly HashSet<string> _bad = new(StringComparer.Ordinal);

    public SectionReader(ConfigSection section, Scope scope, string what, List<Diagnostic> findings)
    {
        (_section, _scope, _findings) = (section, scope, findings);
        foreach (var setting in section.Settings) Check(setting, what);
    }

    public ConfigSection Section => _section;

    public bool Has(string key) => _section.Find(key) is not null && !_bad.Contains(key);

    public SourcePosition PositionOf(string key) => _section.Find(key)?.Position ?? _section.Position;

    public bool YesNo(string key, bool fallback) => Text(key) is { } text && ValueReader.TryYesNo(text, out var value) ? value : fallback;

    public TimeSpan Time(string key, TimeSpan fallback) => TimeOrNull(key) ?? fallback;

    public TimeSpan? TimeOrNull(string key) => Text(key) is { } text && ValueReader.TryTime(text, out var value) ? value : null;

    public ulong? Size(string key) => Text(key) is { } text && ValueReader.TrySize(text, out var value) ? (ulong)value : null;

    public long Number(string key, long fallback) => NumberOrNull(key) ?? fallback;

    public long? NumberOrNull(string key) => Text(key) is { } text && ValueReader.TryNumber(text, out var value) ? value : null;

    public string Word(string key, string fallback) => Text(key)?.ToLowerInvariant() ?? fallback;

    /// <summary>The value; null when it is absent or wrong.</summary>
    public string? Text(string key) => _bad.Contains(key) ? null : _section.Find(key)?.Text;

    public IEnumerable<string> Items(string key) => !_bad.Contains(key) && _section.Find(key) is { } setting ? ValueReader.Items(setting) : [];

    public ImmutableArray<HostPattern> Hosts(string key) =>
        [.. Items(key).Select(item => ValueReader.TryHost(item, out var host, out _) ? host : HostPattern.Any).Where(host => !host.IsAny)];

    public ImmutableArray<SelectorPattern> Selectors(string key) =>
        Has(key) ? [.. Items(key).Select(item => ValueReader.TrySelector(item, out var selector, out _) ? selector : SelectorPattern.Dynamic)] : [SelectorPattern.Dynamic];

    public ImmutableArray<Proposal> Proposals(string key, ProtocolId protocol)
    {
        if (_bad.Contains(key) || _section.Find(key) is null) return protocol == ProtocolId.Ike ? ProposalKeywords.DefaultIke : ProposalKeywords.DefaultEsp;
        var proposals = ImmutableArray.CreateBuilder<Proposal>();
        foreach (var item in Items(key))
        {
            if (ProposalKeywords.TryParse(protocol, item, out var parsed, out _, out _)) proposals.AddRange(parsed);
        }

        return proposals.ToImmutable();
    }

    public void Error(string key, string text, string remedy = "") => Add(Severity.Error, _section.Find(key)?.ValuePosition ?? _section.Position, text, remedy);

    public void Add(Severity severity, SourcePosition position, string text, string remedy = "") => _findings.Add(new Diagnostic(severity, position, text, remedy));

    private void Check(ConfigSetting setting, string what)
    {
        if (KeyRegistry.Find(_scope, setting.Key) is not { } info)
        {
            _bad.Add(setting.Key);
            Add(Severity.Error, setting.Position, $"unknown key '{setting.Key}' in {what}", $"nearest known key: '{KeyRegistry.Nearest(_scope, setting.Key)}'");
            return;
        }

        var (error, severity) = Judge(info, setting);
        if (error is not null)
        {
            _bad.Add(setting.Key);
            Add(severity, setting.ValuePosition, severity == Severity.Limit ? error : $"{setting.Key}: {error}");
            return;
        }

        if (info.Service == Service.Yes || IsDefault(info, setting)) return;
        if (info.Service == Service.NoEffect) Add(Severity.Notice, setting.Position, $"{setting.Key} has no effect: {info.Missing}");
        else Add(Severity.Limit, setting.Position, $"{setting.Key}: {info.Missing} {(info.Missing.EndsWith('s') ? "are" : "is")} not there yet", "remove the key, or wait for a version that has it");
    }

    private static bool IsDefault(KeyInfo info, ConfigSetting setting)
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

    private static (string? Error, Severity Severity) Judge(KeyInfo info, ConfigSetting setting)
    {
        if (info.Kind == ValueKind.Octets) return default;
        if (setting.Values.Count > 1 && info.Kind is not (ValueKind.List or ValueKind.Hosts or ValueKind.Proposals or ValueKind.Selectors)) return ("one value is expected, not a list", Severity.Error);
        var text = setting.Text;
        string? error = null;
        switch (info.Kind)
        {
            case ValueKind.YesNo:
                return (ValueReader.TryYesNo(text, out _) ? null : $"'{text}' should be yes or no", Severity.Error);
            case ValueKind.Time:
                return (ValueReader.TryTime(text, out _) ? null : $"'{text}' is no time; write a number with s, m, h or d, for example 90s", Severity.Error);
            case ValueKind.Size:
                return (ValueReader.TrySize(text, out _) ? null : $"'{text}' is no size; write a number of octets with or without k, m or g", Severity.Error);
            case ValueKind.Number:
                if (!ValueReader.TryNumber(text, out var number) || number < info.Least || number > info.Most) error = string.Create(CultureInfo.InvariantCulture, $"'{text}' should be a number of {info.Least}..{info.Most}");
                return (error, Severity.Error);
            case ValueKind.Word:
                return (info.Words.Contains(text, StringComparer.OrdinalIgnoreCase) ? null : $"'{text}' is not known; one of {string.Join(", ", info.Words)}", Severity.Error);
            case ValueKind.Words:
                return (text.Split('|').All(word => info.Words.Contains(word.Trim(), StringComparer.OrdinalIgnoreCase)) ? null : $"'{text}' is not known; one of {string.Join(", ", info.Words)}, joined by |", Severity.Error);
            case ValueKind.Hosts:
                foreach (var item in ValueReader.Items(setting))
                {
                    if (!ValueReader.TryHost(item, out _, out error)) return (error, Severity.Error);
                }

                return default;
            case ValueKind.Selectors:
                foreach (var item in ValueReader.Items(setting))
                {
                    if (!ValueReader.TrySelector(item, out _, out error)) return (error, Severity.Error);
                }

                return default;
            case ValueKind.Proposals:
                if (info.Service != Service.Yes) return default;
                foreach (var item in ValueReader.Items(setting))
                {
                    if (!ProposalKeywords.TryParse(info.Scope == Scope.Connection ? ProtocolId.Ike : ProtocolId.Esp, item, out _, out error, out var isLimit)) return (error, isLimit ? Severity.Limit : Severity.Error);
                }

                return default;
            case ValueKind.IdentityName:
                return (IdentityPattern.TryParse(text, out _, out error) ? null : error, Severity.Error);
            case ValueKind.Dscp:
                return (text.Length == 6 && text.All(digit => digit is '0' or '1') ? null : $"'{text}' should be six binary digits", Severity.Error);
            case ValueKind.Mark:
                var parts = text.Split('/', 2);
                var valid = parts[0] is "%unique" or "%unique-dir" or "%same" || (ValueReader.TryNumber(parts[0], out var mark) && mark <= uint.MaxValue);
                if (parts.Length == 2) valid &= ValueReader.TryNumber(parts[1], out var mask) && mask <= uint.MaxValue;
                return (valid ? null : $"'{text}' should be VALUE or VALUE/MASK", Severity.Error);
            case ValueKind.InterfaceId:
                return (text is "%unique" or "%unique-dir" || (ValueReader.TryNumber(text, out var id) && id <= uint.MaxValue) ? null : $"'{text}' should be a number, %unique or %unique-dir", Severity.Error);
            default:
                return default;
        }
    }
}
