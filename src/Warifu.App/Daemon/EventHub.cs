using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading.Channels;
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
    private const int MaxGone = 1000;

    private readonly object _gate = new();
    private readonly Queue<LogLine> _lines = new();
    private readonly Dictionary<string, LinkedList<NegotiationReport>> _reports = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Connection, string Child), string> _downReasons = [];
    private readonly Dictionary<uint, IkeSaSnapshot> _known = [];
    private readonly Dictionary<uint, IkeSaSnapshot> _gone = [];
    private readonly List<Action<LogLine>> _watchers = [];
    private NegotiationReport? _last;
    private Channel<IkeEvent>? _channel;
    private volatile bool _telling;
    private uint _lastFailed;

    /// <summary>Reads events until the node ends.</summary>
    public async Task RunAsync(IkeNode node)
    {
        _channel = node.Listen(capacity: 16384);
        while (await _channel.Reader.WaitToReadAsync())
        {
            _telling = true;
            while (_channel.Reader.TryRead(out var happening))
            {
                Remember(happening);
                if (ReportText.Line(happening) is var (level, text)) Tell(happening.Connection, level, text, happening.IkeId);
                await RaiseAsync(node, happening);
            }

            _telling = false;
        }
    }

    /// <summary>Waits until everything that has happened so far is told.</summary>
    public async Task CaughtUpAsync()
    {
        for (var i = 0; i < 500 && (_telling || _channel is { Reader.Count: > 0 }); i++) await Task.Delay(1);
    }

    /// <summary>Sees every line until it is disposed.</summary>
    public IDisposable Watch(Action<LogLine> watcher)
    {
        lock (_gate) _watchers.Add(watcher);
        return new Watching(this, watcher);
    }

    /// <summary>A line of the daemon itself.</summary>
    public void Tell(string connection, NoticeLevel level, string text, uint ikeId = 0)
    {
        var line = new LogLine(DateTimeOffset.Now, connection, level, text, ikeId);
        Action<LogLine>[] watchers;
        lock (_gate)
        {
            _lines.Enqueue(line);
            if (_lines.Count > MaxLines) _lines.Dequeue();
            watchers = [.. _watchers];
        }

        log(level, text);
        foreach (var watcher in watchers) watcher(line);
        if (level > NoticeLevel.Debug && server.IsWanted("log")) server.Raise("log", line.ToLogEvent(thread: true));
        if (server.IsWanted("warifu-event")) server.Raise("warifu-event", line.ToMessage());
    }

    public IReadOnlyList<ViciMessage> Lines(string? connection)
    {
        lock (_gate) return [.. _lines.Where(line => connection is null || line.Connection == connection).Select(line => line.ToMessage())];
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

    /// <summary>Why a connection or one of its children is down; null when it is up, or was never tried.</summary>
    public string? DownReason(string connection, string child = "")
    {
        lock (_gate) return _downReasons.GetValueOrDefault((connection, child));
    }

    /// <summary>Forgets what belongs to connections that are gone.</summary>
    public void Prune(Func<string, bool> exists)
    {
        lock (_gate)
        {
            foreach (var key in _downReasons.Keys.Where(key => !exists(key.Connection)).ToList()) _downReasons.Remove(key);
            foreach (var name in _reports.Keys.Where(name => name.Length > 0 && !exists(name)).ToList()) _reports.Remove(name);
        }
    }

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
                    if (report is not { Failure: { } failure, Connection.Length: > 0 }) break;
                    _downReasons[(report.Connection, report.Child ?? "")] = ReportText.Sentence(failure);
                    if (report.Child is null) _lastFailed = happening.IkeId;
                    break;
                case ChildUp up:
                    _downReasons.Remove((up.Connection, up.Child));
                    break;
                case ChildDown { Reason: not ("rekeyed" or "redundant" or "reauthenticated") } down:
                    _downReasons[(down.Connection, down.Child)] = down.Text;
                    break;
                // a negotiation that failed has said it better
                case IkeSaDown { Connection.Length: > 0, Reason: not ("rekeyed" or "redundant" or "replaced" or "reauthenticated") } down when down.IkeId != _lastFailed:
                    _downReasons[(down.Connection, "")] = down.Text;
                    break;
                case IkeSaUp up:
                    _downReasons.Remove((up.Connection, ""));
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
            _gone.Clear();
            return;
        }

        var now = IkeNode.Now;
        var before = new Dictionary<uint, IkeSaSnapshot>(_known);
        _known.Clear();
        foreach (var sa in (await node.SnapshotAsync()).IkeSas) _known[sa.Id] = sa;
        // what is gone is told as it was when it was seen last: in IKEv1 an SA goes with all its children at once, and each is an event
        if (_gone.Count > MaxGone) _gone.Clear();
        foreach (var (id, sa) in before)
        {
            if (!_known.ContainsKey(id)) _gone[id] = sa;
        }

        if (happening is IkeSaDown && _gone.Remove(happening.IkeId, out var ended)) before[happening.IkeId] = ended;
        IkeSaSnapshot? Last(uint id) => before.GetValueOrDefault(id) ?? _gone.GetValueOrDefault(id);
        IkeSaSnapshot? Find(uint id) => _known.GetValueOrDefault(id) ?? Last(id);
        switch (happening)
        {
            case IkeSaUp when Find(happening.IkeId) is { } sa:
                server.Raise("ike-updown", new ViciMessage().Add("up", "yes").Add(sa.Connection, ViciListings.SaBody(sa, node.TryQuery, reqIds, now, null)));
                break;
            case IkeSaDown when Find(happening.IkeId) is { } sa:
                server.Raise("ike-updown", ViciListings.Sa(sa with { State = "DELETING" }, node.TryQuery, reqIds, now, null));
                break;
            case IkeSaRekeyed rekeyed when Find(happening.IkeId) is { } old && Find(rekeyed.NewIkeId) is { } fresh:
                server.Raise("ike-rekey", new ViciMessage().Add(old.Connection, new ViciMessage().Add("old", ViciListings.SaBody(old with { State = "REKEYING" }, node.TryQuery, reqIds, now, null)).Add("new", ViciListings.SaBody(fresh, node.TryQuery, reqIds, now, null))));
                break;
            case ChildUp up when Find(happening.IkeId) is { } sa:
                server.Raise("child-updown", new ViciMessage().Add("up", "yes").Add(sa.Connection, ViciListings.SaBody(sa, node.TryQuery, reqIds, now, child => child.Id == up.ChildId)));
                break;
            case ChildDown down when Find(happening.IkeId) is { } sa:
                var last = sa.Children.Any(child => child.Id == down.ChildId) ? sa : Last(happening.IkeId) ?? sa;
                last = last with { Children = [.. last.Children.Select(child => child.Id == down.ChildId ? child with { State = "DELETED" } : child)] };
                server.Raise("child-updown", ViciListings.Sa(last, node.TryQuery, reqIds, now, child => child.Id == down.ChildId));
                break;
            case ChildRekeyed rekeyed when Find(happening.IkeId) is { } sa:
                var old2 = before.Values.Append(sa).SelectMany(known => known.Children).FirstOrDefault(child => child.Id == rekeyed.OldChildId);
                var new2 = sa.Children.FirstOrDefault(child => child.Id == rekeyed.NewChildId);
                if (old2 is null || new2 is null) break;
                var pair = new ViciMessage().Add("old", ViciListings.ChildBody(sa.Connection, old2 with { State = "REKEYED" }, node.TryQuery, reqIds, now)).Add("new", ViciListings.ChildBody(sa.Connection, new2, node.TryQuery, reqIds, now));
                server.Raise("child-rekey", new ViciMessage().Add(sa.Connection, ViciListings.SaBody(sa, node.TryQuery, reqIds, now, null).Add("child-sas", new ViciMessage().Add(rekeyed.Child, pair))));
                break;
        }
    }

    private sealed class Watching(EventHub hub, Action<LogLine> watcher) : IDisposable
    {
        public void Dispose()
        {
            lock (hub._gate) hub._watchers.Remove(watcher);
        }
    }
}

/// <summary>One line of the log.</summary>
internal sealed record LogLine(DateTimeOffset At, string Connection, NoticeLevel Level, string Text, uint IkeId)
{
    /// <summary>As our own clients read it.</summary>
    public ViciMessage ToMessage() =>
        new ViciMessage().Add("at", At.ToString("yyyy-MM-dd'T'HH:mm:ss.fffzzz", CultureInfo.InvariantCulture)).Add("level", Level.ToString().ToLowerInvariant()).Add("connection", Connection).Add("text", Text);

    /// <summary>Body of the events log (with a thread) and control-log.</summary>
    public ViciMessage ToLogEvent(bool thread)
    {
        var message = new ViciMessage().Add("group", "IKE").Add("level", Loudness);
        if (thread) message.Add("thread", 1);
        if (Connection.Length > 0 && IkeId != 0) message.Add("ikesa-name", Connection).Add("ikesa-uniqueid", IkeId);
        return message.Add("msg", Text);
    }

    /// <summary>Levels as others number them: 0 always, 1 control, 2 more.</summary>
    public int Loudness => Level == NoticeLevel.Debug ? 2 : Level == NoticeLevel.Info ? 1 : 0;
}
