using System;
using System.Collections.Generic;
using System.Collections.Immutable;
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

    /// <summary>Contents of files.</summary>
    public IReadOnlyList<byte[]> Contents(string key) => _section.Find(key)?.Values ?? [];

    /// <summary>Empty = any; one "any" in the list makes it any.</summary>
    public ImmutableArray<HostPattern> Hosts(string key)
    {
        var hosts = Items(key).Select(item => HostPattern.TryParse(item, out var host, out _) ? host : HostPattern.Any).ToImmutableArray();
        return hosts.Any(host => host.IsAny) ? [] : hosts;
    }

    public ImmutableArray<SelectorPattern> Selectors(string key) =>
        Has(key) ? [.. Items(key).Select(item => Policy.Selectors.TryParse(item, out var selector, out _) ? selector : SelectorPattern.Dynamic)] : [SelectorPattern.Dynamic];

    public ImmutableArray<Proposal> Proposals(string key, ProtocolId protocol)
    {
        if (_bad.Contains(key) || _section.Find(key) is null) return protocol switch { ProtocolId.Ike => ProposalKeywords.DefaultIke, ProtocolId.Ah => ProposalKeywords.DefaultAh, _ => ProposalKeywords.DefaultEsp };
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
            var place = KeyRegistry.PlaceOf(setting.Key);
            if (_scope == Scope.Manual && KeyRegistry.Find(Scope.Child, setting.Key) is not null) Add(Severity.Error, setting.Position, $"{what} has no '{setting.Key}': it is never rekeyed, nothing checks against replay, and nothing is negotiated", "remove it, or use a connection");
            else Add(Severity.Error, setting.Position, $"unknown key '{setting.Key}' in {what}", place is null ? $"nearest known key: '{KeyRegistry.Nearest(_scope, setting.Key)}'" : $"its place is {place}");
            return;
        }

        foreach (var limit in setting.Limits) _findings.Add(limit);
        if (info.Kind == ValueKind.Contents) return;
        // the value of a secret is never made text
        if (info.Kind == ValueKind.Octets)
        {
            if (setting.Values.Count != 1) Add(Severity.Error, setting.Position, $"{setting.Key}: one value is expected, not a list");
            return;
        }

        if (ValueCheck.Find(info, setting) is { } fault)
        {
            _bad.Add(setting.Key);
            Add(fault.Severity, setting.ValuePosition, $"{setting.Key}: {fault.Text}", fault.Remedy);
            return;
        }

        if (ValueCheck.WithoutEffect(info, setting) is { } useless) Add(Severity.Notice, setting.ValuePosition, $"{setting.Key}: {useless}");
        if (info.Service == Service.Yes || ValueCheck.IsDefault(info, setting)) return;
        if (info.Service == Service.NoEffect) Add(Severity.Notice, setting.Position, $"{setting.Key} has no effect: {info.Missing}");
        else Add(Severity.Limit, setting.Position, $"{setting.Key}: {info.Missing} {(info.Missing.EndsWith('s') ? "are" : "is")} not there yet", "remove the key, or wait for a version that has it");
    }
}
