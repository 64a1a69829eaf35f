using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Warifu.App.Vici;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Net;
using Warifu.Net.DataPlane;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.App.Daemon;

/// <summary>The commands that list: SAs, connections, policies, counters, state, negotiations, the log.</summary>
internal static class ListCommands
{
    public static void Register(WarifuDaemon daemon)
    {
        var server = daemon.Server;
        var counters = new CounterBase();
        server.Register("stats", (_, _) => StatsAsync(daemon));
        server.Register("list-sas", (request, _) => ListSasAsync(daemon, request));
        server.Register("list-conns", (request, _) => ListConnsAsync(daemon, request));
        server.Register("list-policies", (request, _) => ListPoliciesAsync(daemon, request));
        server.Register("get-algorithms", (_, _) => Task.FromResult(ViciListings.AlgorithmList()));
        server.Register("get-counters", (request, _) => CountersAsync(daemon, request, counters));
        server.Register("reset-counters", (request, _) => ResetCountersAsync(daemon, request, counters));
        server.Register("warifu-status", (request, _) => StatusAsync(daemon, request));
        server.Register("warifu-explain", (request, _) => Explain(daemon, request));
        server.Register("warifu-events", (request, _) => EventsAsync(daemon, request));
    }

    private static async Task<ViciMessage> ListSasAsync(WarifuDaemon daemon, ViciRequest request)
    {
        var (ike, child) = (request.Message.Text("ike"), request.Message.Text("child"));
        var (ikeId, childId) = (request.Message.Number("ike-id", 0), request.Message.Number("child-id", 0));
        var now = IkeNode.Now;
        foreach (var sa in (await daemon.Node.SnapshotAsync()).IkeSas)
        {
            if ((ike is not null && sa.Connection != ike) || (ikeId != 0 && sa.Id != ikeId)) continue;
            await request.StreamAsync("list-sa", ViciListings.Sa(sa, daemon.Node.TryQuery, daemon.ReqIds, now, one => (child is null || one.Name == child) && (childId == 0 || one.Id == childId)));
        }

        foreach (var manual in Manual(daemon, ike, child))
        {
            if (ikeId == 0 && (childId == 0 || manual.Id == childId)) await request.StreamAsync("list-sa", ManualListings.Sa(manual, daemon.Node.TryQuery, daemon.ReqIds, now));
        }

        return new ViciMessage();
    }

    /// <summary>Manual SAs that carry traffic; each is its own only child.</summary>
    private static IEnumerable<ManualStatus> Manual(WarifuDaemon daemon, string? ike, string? child) => daemon.Node.Manual.Where(manual => manual.Id != 0 && (ike ?? manual.Sa.Name) == manual.Sa.Name && (child ?? manual.Sa.Name) == manual.Sa.Name);

    private static async Task<ViciMessage> ListConnsAsync(WarifuDaemon daemon, ViciRequest request)
    {
        var ike = request.Message.Text("ike");
        foreach (var connection in daemon.Config.Connections)
        {
            if (ike is null || connection.Name == ike) await request.StreamAsync("list-conn", ViciListings.Connection(connection));
        }

        return new ViciMessage();
    }

    private static async Task<ViciMessage> ListPoliciesAsync(WarifuDaemon daemon, ViciRequest request)
    {
        var (ike, child) = (request.Message.Text("ike"), request.Message.Text("child"));
        bool Has(string key) => request.Message.Find(key) is not null;
        var installed = (await daemon.Node.SnapshotAsync()).Policies;
        foreach (var connection in daemon.Config.Connections)
        {
            foreach (var one in connection.Children)
            {
                var wanted = one.Mode switch { ChildMode.Drop => Has("drop"), ChildMode.Pass => Has("pass"), _ => Has("trap") };
                if (wanted && installed.Contains((connection.Name, one.Name)) && (ike is null || connection.Name == ike) && (child is null || one.Name == child)) await request.StreamAsync("list-policy", ViciListings.Policy(connection, one, daemon.ReqIds));
            }
        }

        foreach (var manual in Has("trap") ? Manual(daemon, ike, child) : []) await request.StreamAsync("list-policy", ManualListings.Policy(manual, daemon.ReqIds));

        return new ViciMessage();
    }

    /// <summary>Counters of all (under the empty name), of one connection, or of each.</summary>
    private static async Task<ViciMessage> CountersAsync(WarifuDaemon daemon, ViciRequest request, CounterBase floor)
    {
        var snapshot = await daemon.Node.SnapshotAsync();
        var counters = new ViciMessage();
        if (request.Message.Text("name") is { } name)
        {
            if (!snapshot.OfConnections.TryGetValue(name, out var found)) return new ViciMessage().Add("counters", counters).Add("success", "no").Add("errmsg", "no counters found for this connection");
            counters.Add(name, ViciListings.Counters(found, floor.Of(name)));
        }
        else if (request.Message.Bool("all"))
        {
            foreach (var one in snapshot.OfConnections.OrderBy(one => one.Key, StringComparer.Ordinal)) counters.Add(one.Key, ViciListings.Counters(one.Value, floor.Of(one.Key)));
        }
        else
        {
            counters.Add("", ViciListings.Counters(snapshot.Counters, floor.Of("")));
        }

        var answer = new ViciMessage().Add("counters", counters).Add("success", "yes");
        var drops = new ViciMessage();
        for (var reason = 1; reason <= (int)DropReason.UnwantedFragment; reason++) drops.Add("ike-" + Words(((DropReason)reason).ToString()), snapshot.Counters.Drops[reason]);
        if (daemon.Node.Packets is { } path)
        {
            for (var reason = 1; reason < (int)PacketDrop.Count; reason++) drops.Add("esp-" + Words(((PacketDrop)reason).ToString()), path.Drops((PacketDrop)reason));
        }

        if (!request.Message.Bool("all")) answer.Add("x-messages-v1", ViciListings.CountersV1(request.Message.Text("name") is { } named ? snapshot.OfConnections[named] : snapshot.Counters));
        return answer.Add("x-drops", drops.Add("unprotected", daemon.Node.UnprotectedDrops).Add("fragments-in-clear", daemon.Node.FragmentDrops)).Add("x-key-exchanges", snapshot.Counters.KeyExchanges);
    }

    /// <summary>From now on the 21 counters count from zero; those of drops go on.</summary>
    private static async Task<ViciMessage> ResetCountersAsync(WarifuDaemon daemon, ViciRequest request, CounterBase floor)
    {
        var snapshot = await daemon.Node.SnapshotAsync();
        if (request.Message.Text("name") is { } name)
        {
            if (!snapshot.OfConnections.TryGetValue(name, out var found)) return Commands.Failure("no counters found for this connection");
            floor.Set(name, found);
            return Commands.Success();
        }

        if (!request.Message.Bool("all")) floor.Set("", snapshot.Counters);
        else foreach (var one in snapshot.OfConnections) floor.Set(one.Key, one.Value);
        return Commands.Success();
    }

    private static async Task<ViciMessage> StatsAsync(WarifuDaemon daemon)
    {
        var snapshot = await daemon.Node.SnapshotAsync();
        var running = DateTimeOffset.Now - daemon.Started;
        var (number, unit) = running.TotalDays > 2 ? (running.TotalDays, "days") : running.TotalHours > 2 ? (running.TotalHours, "hours") : running.TotalMinutes > 2 ? (running.TotalMinutes, "minutes") : (running.TotalSeconds, "seconds");
        ViciMessage Queues() => new ViciMessage().Add("critical", 0L).Add("high", 0L).Add("medium", 0L).Add("low", 0L);
        return new ViciMessage()
            .Add("uptime", new ViciMessage().Add("running", string.Create(CultureInfo.InvariantCulture, $"{(long)number} {unit}")).Add("since", daemon.Started.ToString("MMM dd HH:mm:ss yyyy", CultureInfo.InvariantCulture)))
            .Add("workers", new ViciMessage().Add("total", ThreadPool.ThreadCount).Add("idle", 0L).Add("active", Queues())).Add("queues", Queues()).Add("scheduled", snapshot.Retries.Count)
            .Add("ikesas", new ViciMessage().Add("total", snapshot.IkeSas.Length).Add("half-open", snapshot.HalfOpen)).Add("plugins", Array.Empty<string>());
    }

    private static async Task<ViciMessage> StatusAsync(WarifuDaemon daemon, ViciRequest request)
    {
        var snapshot = await daemon.Node.SnapshotAsync();
        var name = request.Message.Text("name");
        var now = IkeNode.Now;
        var bySa = snapshot.IkeSas.ToLookup(sa => sa.Connection);
        foreach (var connection in daemon.Config.Connections)
        {
            if (name is null || connection.Name == name) await request.StreamAsync("warifu-status-conn", new ViciMessage().Add(connection.Name, StatusOf(daemon, snapshot, connection, [.. bySa[connection.Name]], now)));
        }

        foreach (var manual in daemon.Node.Manual)
        {
            if (name is null || manual.Sa.Name == name) await request.StreamAsync("warifu-status-conn", ManualListings.Status(manual));
        }

        foreach (var left in daemon.Config.LeftOut)
        {
            if (name is null || left.Name == name) await request.StreamAsync("warifu-status-conn", new ViciMessage().Add(left.Name, new ViciMessage().Add("state", "left out").Add("reason", left.Why)));
        }

        return new ViciMessage().Add("version", Product.Version).Add("since", daemon.Started.ToString("yyyy-MM-dd'T'HH:mm:sszzz", CultureInfo.InvariantCulture)).Add("ike-sas", snapshot.IkeSas.Length)
            .Add("children", snapshot.IkeSas.Sum(sa => sa.Children.Length)).Add("half-open", snapshot.HalfOpen).Add("port", daemon.Node.Port).Add("port-nat-t", daemon.Node.PortNatT)
            .Add("dataplane", daemon.Node.Packets is null ? "none" : "tun").Add("clear-text-guard", daemon.Node.GuardMissing ?? "on").Flag("unconfirmed", daemon.Config.IsUnconfirmed);
    }

    private static ViciMessage StatusOf(WarifuDaemon daemon, EngineSnapshot snapshot, Connection connection, List<IkeSaSnapshot> sas, Instant now)
    {
        var current = sas.Find(sa => sa.State is "ESTABLISHED" or "REKEYING");
        var body = new ViciMessage().Add("state", current is not null ? "up" : sas.Count > 0 ? "connecting" : "down");
        if (current is null && daemon.Events.DownReason(connection.Name) is { } reason) body.Add("reason", reason);
        if (current is not null && Next((current.RekeyAt, connection.Version == IkeVersion.V1 ? "reauthentication" : "rekey"), (current.ReauthAt, "reauthentication"), (current.ExpireAt, "expires"), now) is { } next) body.Add("next", next);
        else if (current is null && snapshot.Retries.TryGetValue(connection.Name, out var retry)) body.Add("next", $"tries again in {Seconds(retry - now)}");
        var certificates = CertificateListings.Own(connection, DateTimeOffset.UtcNow).ToList();
        if (certificates.Count > 0) body.Add("certificates", certificates);
        var children = new ViciMessage();
        foreach (var child in connection.Children)
        {
            var up = sas.SelectMany(sa => sa.Children).LastOrDefault(one => one.Name == child.Name && one.State is "INSTALLED" or "REKEYING");
            var held = snapshot.Policies.Contains((connection.Name, child.Name));
            var section = new ViciMessage().Add("state", up is not null ? "up" : child.Mode is ChildMode.Pass or ChildMode.Drop ? child.Mode.ToString().ToLowerInvariant() : held && child.StartAction is not StartAction.Start ? "waiting for traffic" : "down");
            var why = daemon.Events.DownReason(connection.Name, child.Name);
            if (up is null && why is not null) section.Add("reason", why);
            else if (up is not null && IsInPart(connection, child, sas) is var (live, wanted)) section.Add("reason", $"{live} of its {wanted} pairs of selectors are up{(why is null ? "" : $": {why}")}");
            if (up is not null && Next((up.RekeyAt, "rekey"), (null, ""), (up.ExpireAt, "expires"), now) is { } then) section.Add("next", then);
            children.Add(child.Name, section);
        }

        return body.Add("children", children);
    }

    /// <summary>IKEv1: each pair of selectors is negotiated for itself. Null: all are up.</summary>
    private static (int Live, int Wanted)? IsInPart(Connection connection, Child child, List<IkeSaSnapshot> sas)
    {
        var wanted = child.LocalSelectors.Length * child.RemoteSelectors.Length;
        if (connection.Version != IkeVersion.V1 || wanted < 2 || child.LocalSelectors.Concat(child.RemoteSelectors).Any(pattern => pattern.IsDynamic)) return null;
        wanted = child.LocalSelectors.Sum(local => child.RemoteSelectors.Count(remote => remote.Selector.Version == local.Selector.Version));
        var live = sas.SelectMany(sa => sa.Children).Where(one => one.Name == child.Name && one.State is "INSTALLED" or "REKEYING").Select(one => (one.Local[0], one.Remote[0])).Distinct().Count();
        return live < wanted ? (live, wanted) : null;
    }

    private static string? Next((Instant? At, string What) first, (Instant? At, string What) second, (Instant? At, string What) last, Instant now)
    {
        var soonest = new[] { first, second, last }.Where(one => one.At is not null).OrderBy(one => one.At!.Value.Nanoseconds).Select(one => ((Instant At, string What)?)(one.At!.Value, one.What)).FirstOrDefault();
        return soonest is var (at, what) ? $"{what} in {Seconds(at - now)}" : null;
    }

    private static string Seconds(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{Math.Max(0, (long)time.TotalSeconds)}s");

    private static Task<ViciMessage> Explain(WarifuDaemon daemon, ViciRequest request)
    {
        var name = request.Message.Text("name");
        if (daemon.Events.Report(name) is { } report)
        {
            // a peer for whom nothing is loaded may belong to a connection that could not be
            var leftOut = report is { Success: false, Connection.Length: 0 } ? daemon.Config.LeftOut.Select(one => $"connection {one.Name} is left out: {one.Why}") : [];
            var message = Commands.Success();
            foreach (var element in new Explanation(report, daemon.Config.Named, leftOut).ToMessage().Elements) message.Add(element);
            return Task.FromResult(message);
        }

        if (name is not null && daemon.Config.LeftOut.Find(left => left.Name == name) is { } left) return Task.FromResult(Commands.Success().Add("result", "left out").Add("connection", name).Add("text", [$"connection {name} is left out: {left.Why}"]));
        var known = name is null || daemon.Config.Connections.Exists(connection => connection.Name == name || connection.Children.Any(child => child.Name == name));
        return Task.FromResult(Commands.Failure(known ? "nothing was negotiated yet" : $"there is no connection or child '{name}'"));
    }

    private static async Task<ViciMessage> EventsAsync(WarifuDaemon daemon, ViciRequest request)
    {
        foreach (var line in daemon.Events.Lines(request.Message.Text("conn"))) await request.StreamAsync("warifu-event", line);
        return new ViciMessage();
    }

    /// <summary>"BadNextHeader" as "bad-next-header".</summary>
    private static string Words(string name) => string.Concat(name.Select((letter, at) => char.IsUpper(letter) ? (at == 0 ? "" : "-") + char.ToLowerInvariant(letter) : letter.ToString()));
}

/// <summary>Where counters stood when they were reset.</summary>
internal sealed class CounterBase
{
    private ImmutableDictionary<string, ImmutableArray<long>> _values = ImmutableDictionary<string, ImmutableArray<long>>.Empty;

    public ImmutableArray<long> Of(string name) => _values.GetValueOrDefault(name);

    public void Set(string name, MessageCounters counters) => ImmutableInterlocked.Update(ref _values, values => values.SetItem(name, ViciListings.CounterValues(counters)));
}
