using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Vici;
using Warifu.Engine;
using Warifu.Net;

namespace Warifu.App.Daemon;

/// <summary>Carries the events of the node to the log, to VICI clients and to what <c>explain</c>, <c>log</c> and <c>status</c> remember.</summary>
internal sealed class EventHub(ViciServer server, ReqIds reqIds, Action<NoticeLevel, string> log)
{
    private const int MaxLines = 2000;
    private const int ReportsPerConnection = 8;
    private const int MaxReportedConnections = 10_000;

    private readonly object _gate = new();
    private readonly Queue<(DateTimeOffset At, string Connection, NoticeLevel Level, string Text)> _lines = new();
    private readonly Dictionary<string, LinkedList<NegotiationReport>> _reports = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _downReasons = new(StringComparer.Ordinal);
    private readonly Dictionary<uint, IkeSaSnapshot> _known = [];
    private readonly List<Action<string, NoticeLevel, string>> _watchers = [];
    private NegotiationReport? _last;

    /// <summary>Reads events until the node ends.</summary>
    public async Task RunAsync(IkeNode node)
    {
        var channel = node.Listen(capacity: 16384);
        await foreach (var happening in channel.Reader.ReadAllAsync())
        {
            Remember(happening);
            if (ReportText.Line(happening) is var (level, text)) Tell(happening.Connection, level, text);
            await RaiseAsync(node, happening);
        }
    }

    /// <summary>Sees every line until it is disposed.</summary>
    public IDisposable Watch(Action<string, NoticeLevel, string> watcher)
    {
        lock (_gate) _watchers.Add(watcher);
        return new Watching(this, watcher);
    }

    /// <summary>A line of the daemon itself.</summary>
    public void Tell(string connection, NoticeLevel level, string text)
    {
        lock (_gate)
        {
            _lines.Enqueue((DateTimeOffset.Now, connection, level, text));
            if (_lines.Count > MaxLines) _lines.Dequeue();
        }

        log(level, text);
        Action<string, NoticeLevel, string>[] watchers;
        lock (_gate) watchers = [.. _watchers];
        foreach (var watcher in watchers) watcher(connection, level, text);
        if (level > NoticeLevel.Debug && server.IsWanted("log")) server.Raise("log", new ViciMessage().Add("group", "IKE").Add("level", 1).Add("thread", 1).Add("msg", text));
        if (server.IsWanted("warifu-event")) server.Raise("warifu-event", EventMessage(DateTimeOffset.Now, connection, level, text));
    }

    public IReadOnlyList<ViciMessage> Lines(string? connection)
    {
        lock (_gate) return [.. _lines.Where(line => connection is null || line.Connection == connection).Select(line => EventMessage(line.At, line.Connection, line.Level, line.Text))];
    }

    /// <summary>The latest negotiation of a connection (or of a child), or of all.</summary>
    public NegotiationReport? Report(string? name)
    {
        lock (_gate)
        {
            if (name is null) return _last;
            if (_reports.TryGetValue(name, out var reports)) return reports.Last?.Value;
            return _reports.Values.Select(list => list.LastOrDefault(report => report.Child == name)).Where(report => report is not null).MaxBy(report => report!.Ended.Nanoseconds);
        }
    }

    /// <summary>Why a connection is down; null when it is up, or was never tried.</summary>
    public string? DownReason(string connection)
    {
        lock (_gate) return _downReasons.GetValueOrDefault(connection);
    }

    private static ViciMessage EventMessage(DateTimeOffset at, string connection, NoticeLevel level, string text) =>
        new ViciMessage().Add("at", at.ToString("yyyy-MM-dd'T'HH:mm:ss.fffzzz", CultureInfo.InvariantCulture)).Add("level", level.ToString().ToLowerInvariant()).Add("connection", connection).Add("text", text);

    private void Remember(IkeEvent happening)
    {
        lock (_gate)
        {
            switch (happening)
            {
                case NegotiationEnded { Report: var report }:
                    _last = report;
                    if (!_reports.TryGetValue(report.Connection, out var reports))
                    {
                        if (_reports.Count >= MaxReportedConnections) break;
                        _reports.Add(report.Connection, reports = new LinkedList<NegotiationReport>());
                    }

                    reports.AddLast(report);
                    if (reports.Count > ReportsPerConnection) reports.RemoveFirst();
                    if (!report.Success && report.Failure is { } failure && report.Connection.Length > 0) _downReasons[report.Connection] = failure.Sentence + (failure.Remedy.Length > 0 ? "; " + failure.Remedy : "");
                    break;
                case ChildUp up:
                    _downReasons.Remove(up.Connection);
                    break;
                case IkeSaDown { Connection.Length: > 0 } down:
                    if (!_downReasons.ContainsKey(down.Connection)) _downReasons[down.Connection] = down.Text;
                    break;
                case IkeSaUp up:
                    _downReasons.Remove(up.Connection);
                    break;
            }
        }
    }

    /// <summary>The events that other programs know. The body is made only when somebody listens.</summary>
    private async Task RaiseAsync(IkeNode node, IkeEvent happening)
    {
        if (happening is not (IkeSaUp or IkeSaDown or IkeSaRekeyed or ChildUp or ChildDown or ChildRekeyed)) return;
        if (!server.IsWanted("ike-updown") && !server.IsWanted("child-updown") && !server.IsWanted("ike-rekey") && !server.IsWanted("child-rekey"))
        {
            _known.Clear();
            return;
        }

        var now = IkeNode.Now;
        var before = new Dictionary<uint, IkeSaSnapshot>(_known);
        _known.Clear();
        foreach (var sa in (await node.SnapshotAsync()).IkeSas) _known[sa.Id] = sa;
        // what is gone is told as it was when it was seen last
        IkeSaSnapshot? Find(uint id) => _known.GetValueOrDefault(id) ?? before.GetValueOrDefault(id);
        switch (happening)
        {
            case IkeSaUp when Find(happening.IkeId) is { } sa:
                server.Raise("ike-updown", new ViciMessage().Add("up", "yes").Add(sa.Connection, ViciListings.SaBody(sa, node.TryQuery, reqIds, now, null)));
                break;
            case IkeSaDown when Find(happening.IkeId) is { } sa:
                server.Raise("ike-updown", ViciListings.Sa(sa, node.TryQuery, reqIds, now, null));
                break;
            case IkeSaRekeyed rekeyed when Find(happening.IkeId) is { } old && Find(rekeyed.NewIkeId) is { } fresh:
                server.Raise("ike-rekey", new ViciMessage().Add(old.Connection, new ViciMessage().Add("old", ViciListings.SaBody(old, node.TryQuery, reqIds, now, null)).Add("new", ViciListings.SaBody(fresh, node.TryQuery, reqIds, now, null))));
                break;
            case ChildUp up when Find(happening.IkeId) is { } sa:
                server.Raise("child-updown", new ViciMessage().Add("up", "yes").Add(sa.Connection, ViciListings.SaBody(sa, node.TryQuery, reqIds, now, child => child.Id == up.ChildId)));
                break;
            case ChildDown down when Find(happening.IkeId) is { } sa:
                var last = sa.Children.Any(child => child.Id == down.ChildId) ? sa : before.GetValueOrDefault(happening.IkeId) ?? sa;
                server.Raise("child-updown", ViciListings.Sa(last, node.TryQuery, reqIds, now, child => child.Id == down.ChildId));
                break;
            case ChildRekeyed rekeyed when Find(happening.IkeId) is { } sa:
                var old2 = before.Values.Append(sa).SelectMany(known => known.Children).FirstOrDefault(child => child.Id == rekeyed.OldChildId);
                var new2 = sa.Children.FirstOrDefault(child => child.Id == rekeyed.NewChildId);
                if (old2 is null || new2 is null) break;
                var pair = new ViciMessage().Add("old", ViciListings.ChildBody(sa.Connection, old2, node.TryQuery, reqIds, now)).Add("new", ViciListings.ChildBody(sa.Connection, new2, node.TryQuery, reqIds, now));
                server.Raise("child-rekey", new ViciMessage().Add(sa.Connection, ViciListings.SaBody(sa, node.TryQuery, reqIds, now, null).Add("child-sas", new ViciMessage().Add(rekeyed.Child, pair))));
                break;
        }
    }

    private sealed class Watching(EventHub hub, Action<string, NoticeLevel, string> watcher) : IDisposable
    {
        public void Dispose()
        {
            lock (hub._gate) hub._watchers.Remove(watcher);
        }
    }
}
