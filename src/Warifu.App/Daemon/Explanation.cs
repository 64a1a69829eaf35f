using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Globalization;
using System.Linq;
using Warifu.App.Configuration;
using Warifu.App.Vici;
using Warifu.Engine;

namespace Warifu.App.Daemon;

/// <summary>A negotiation as <c>warifu explain</c> tells it: a ladder of messages and decisions, why it failed, which side changes which setting, and where that stands in our files.</summary>
internal sealed class Explanation
{
    private readonly NegotiationReport _report;
    private readonly ImmutableArray<NamedSetting> _settings;

    public Explanation(NegotiationReport report, Func<string, IEnumerable<NamedSetting>>? places = null, IEnumerable<string>? more = null)
    {
        _report = report;
        More = more is null ? [] : [.. more];
        _settings = report.Failure is { } failure && places is not null ? [.. places(failure.Remedy).Concat(places(failure.Sentence)).DistinctBy(setting => setting.Path)] : [];
    }

    /// <summary>What the daemon knows beside the negotiation: connections that were left out.</summary>
    private ImmutableArray<string> More { get; }

    /// <summary>Who can mend it: here, peer, either (one of the two), between (the network), or nobody.</summary>
    private string Side => _report.Failure is not { } failure ? "" : (failure.Remedy.Contains("here:", StringComparison.Ordinal), failure.Remedy.Contains("at the peer:", StringComparison.Ordinal), failure.Remedy.Contains("between:", StringComparison.Ordinal)) switch
    {
        (true, true, _) => "either",
        (true, false, _) => "here",
        (false, true, _) => "peer",
        (false, false, true) => "between",
        _ => "nobody",
    };

    public IEnumerable<string> Lines()
    {
        var report = _report;
        var connection = report.Connection.Length > 0 ? report.Connection : "(no connection matched)";
        yield return $"{(report.Child is null ? $"connection {connection}" : $"child {report.Child} of connection {connection}")}: {(report.Success ? "established" : "FAILED")}";
        yield return $"  {(report.Initiator ? "initiator" : "responder")} {report.Local}, peer {report.Remote}, {Time(report.Ended - report.Started)}";
        yield return "";
        foreach (var step in report.Steps)
        {
            var arrow = step.Direction switch { StepDirection.Out => "----->", StepDirection.In => "<-----", _ => "   *  " };
            yield return string.Create(CultureInfo.InvariantCulture, $"  {(step.At - report.Started).TotalMilliseconds,9:0.0} ms {arrow} {step.Title}");
            foreach (var detail in step.Details) yield return $"                         {detail}";
        }

        if (report.Failure is not { } failure) yield break;
        yield return "";
        yield return $"  why: {failure.Sentence}";
        foreach (var line in Listed("offered", failure.Offered)) yield return line;
        foreach (var line in Listed("accepted", failure.Accepted)) yield return line;
        foreach (var line in Listed("first difference", failure.FirstDifference)) yield return line;
        foreach (var line in Listed("also", More)) yield return line;
        foreach (var line in Listed("to change", [.. failure.Remedy.Split("; or ", StringSplitOptions.RemoveEmptyEntries).Select((clause, index) => index == 0 ? clause : "or " + clause)])) yield return line;
        foreach (var line in Listed("where", [.. _settings.Select(setting => $"{setting.Path}: {setting}")])) yield return line;
    }

    /// <summary>The same for programs.</summary>
    public ViciMessage ToMessage()
    {
        var message = new ViciMessage().Add("result", _report.Success ? "established" : "failed").Add("connection", _report.Connection);
        if (_report.Child is { } child) message.Add("child", child);
        message.Add("role", _report.Initiator ? "initiator" : "responder").Add("local", _report.Local.ToString()).Add("remote", _report.Remote.ToString()).Add("duration-ms", (long)(_report.Ended - _report.Started).TotalMilliseconds);
        var steps = new ViciMessage();
        foreach (var step in _report.Steps)
        {
            var section = new ViciMessage().Add("at-ms", (long)(step.At - _report.Started).TotalMilliseconds).Add("direction", step.Direction switch { StepDirection.In => "in", StepDirection.Out => "out", _ => "decision" }).Add("title", step.Title);
            steps.Add((steps.Elements.Count + 1).ToString(CultureInfo.InvariantCulture), section.Add("details", step.Details));
        }

        message.Add("steps", steps);
        if (_report.Failure is { } failure)
        {
            var settings = new ViciMessage();
            foreach (var setting in _settings) settings.Add(setting.Path, new ViciMessage().Add("at", setting.Position.ToString()).Add("written", setting.IsWritten ? "yes" : "no"));
            message.Add("failure", new ViciMessage().Add("reason", failure.Reason).Add("why", failure.Sentence).Add("side", Side).Add("offered", failure.Offered).Add("accepted", failure.Accepted).Add("first-difference", failure.FirstDifference)
                .Add("also", More).Add("remedy", failure.Remedy).Add("settings", settings));
        }

        return message.Add("text", Lines());
    }

    private static IEnumerable<string> Listed(string title, IReadOnlyCollection<string> lines)
    {
        if (lines.Count == 0) yield break;
        yield return $"  {title}:";
        foreach (var line in lines) yield return $"    {line}";
    }

    private static string Time(TimeSpan time) => time.TotalSeconds >= 10 ? string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.0} s") : string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds:0.0} ms");
}
