using System;
using System.Collections.Generic;
using System.Globalization;
using Warifu.Engine;

namespace Warifu.App.Daemon;

/// <summary>What people read: events as lines of a log, negotiations step by step.</summary>
internal static class ReportText
{
    /// <summary>One line for the log; null for what only programs want.</summary>
    public static (NoticeLevel Level, string Text)? Line(IkeEvent happening) => happening switch
    {
        IkeSaUp up => (NoticeLevel.Info, $"IKE SA {up.IkeId} of {up.Connection} is up: {up.Local} [{up.LocalId}] {(up.Initiator ? "->" : "<-")} {up.Remote} [{up.RemoteId}]"),
        IkeSaDown down => (down.Reason is "down" or "peer-deleted" or "shutdown" or "replaced" or "rekeyed" ? NoticeLevel.Info : NoticeLevel.Warning, $"IKE SA {down.IkeId} of {Named(down.Connection)} is down: {down.Text}"),
        IkeSaRekeyed rekeyed => (NoticeLevel.Info, $"IKE SA {rekeyed.IkeId} of {rekeyed.Connection} was rekeyed: now {rekeyed.NewIkeId}"),
        ChildUp up => (NoticeLevel.Info, $"child {up.Child} ({up.ChildId}) of {up.Connection} is up: SPIs in {up.InboundSpi} out {up.OutboundSpi}, {string.Join(' ', up.Local)} === {string.Join(' ', up.Remote)}"),
        ChildDown down => (NoticeLevel.Info, $"child {down.Child} ({down.ChildId}) of {down.Connection} is down: {down.Text}"),
        ChildRekeyed rekeyed => (NoticeLevel.Info, $"child {rekeyed.Child} ({rekeyed.OldChildId}) of {rekeyed.Connection} was rekeyed: now {rekeyed.NewChildId}"),
        NegotiationEnded { Report: { Success: false, Failure: { } failure } report } => (NoticeLevel.Warning, $"{Named(report.Connection)}: {failure.Sentence}{(failure.Remedy.Length > 0 ? "; " + failure.Remedy : "")}"),
        Notice notice => (notice.Level, notice.Connection.Length > 0 ? $"{notice.Connection}: {notice.Text}" : notice.Text),
        _ => null,
    };

    /// <summary>A negotiation as a ladder with what was offered, chosen and different.</summary>
    public static IEnumerable<string> Explain(NegotiationReport report)
    {
        var what = report.Child is null ? $"connection {Named(report.Connection)}" : $"child {report.Child} of connection {Named(report.Connection)}";
        yield return $"{what}: {(report.Success ? "established" : "FAILED")}";
        yield return $"  {(report.Initiator ? "initiator" : "responder")} {report.Local}, peer {report.Remote}, {Milliseconds(report.Ended - report.Started)}";
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
        foreach (var line in Listed("accepted here", failure.Accepted)) yield return line;
        foreach (var line in Listed("first difference", failure.FirstDifference)) yield return line;
        if (failure.Remedy.Length > 0) yield return $"  to change: {failure.Remedy}";
    }

    private static IEnumerable<string> Listed(string title, IReadOnlyCollection<string> lines)
    {
        if (lines.Count == 0) yield break;
        yield return $"  {title}:";
        foreach (var line in lines) yield return $"    {line}";
    }

    private static string Named(string connection) => connection.Length > 0 ? connection : "(no connection matched)";

    private static string Milliseconds(TimeSpan time) => time.TotalSeconds >= 10 ? string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.0} s") : string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds:0.0} ms");
}
