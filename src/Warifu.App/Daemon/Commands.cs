using System;
using System.Globalization;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Warifu.App.Vici;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Net;
using Warifu.Policy;

namespace Warifu.App.Daemon;

/// <summary>The commands that act and list. Those that load are in <see cref="LoadCommands"/>.</summary>
internal static class Commands
{
    /// <summary>What clients of strongSwan compare: the version of the protocol's counterpart, not ours.</summary>
    private const string CompatibleVersion = "6.0.0";

    public static void Register(WarifuDaemon daemon)
    {
        var server = daemon.Server;
        server.Declare("log", "control-log", "list-sa", "list-policy", "list-conn", "list-cert", "list-authority", "ike-updown", "ike-rekey", "ike-update", "child-updown", "child-rekey", "alert", "warifu-event", "warifu-status-conn");
        server.Register("version", (_, _) => Task.FromResult(new ViciMessage().Add("daemon", "warifu").Add("version", CompatibleVersion).Add("sysname", "Linux").Add("release", Environment.OSVersion.Version.ToString(3))
            .Add("machine", RuntimeInformation.OSArchitecture == Architecture.X64 ? "x86_64" : "aarch64").Add("product", Product.Version)));
        server.Register("stats", (_, _) => StatsAsync(daemon));
        server.Register("initiate", (request, stop) => InitiateAsync(daemon, request, stop));
        server.Register("terminate", (request, stop) => TerminateAsync(daemon, request, stop));
        server.Register("rekey", (request, _) => RekeyAsync(daemon, request));
        server.Register("list-sas", (request, _) => ListSasAsync(daemon, request));
        server.Register("list-conns", (request, _) => ListConns(daemon, request));
        server.Register("list-policies", (request, _) => ListPolicies(daemon, request));
        server.Register("list-certs", (_, _) => Task.FromResult(new ViciMessage()));
        server.Register("list-authorities", (_, _) => Task.FromResult(new ViciMessage()));
        server.Register("get-algorithms", (_, _) => Task.FromResult(ViciListings.AlgorithmList()));
        server.Register("get-counters", (request, _) => CountersAsync(daemon, request));
        server.Register("warifu-status", (request, _) => StatusAsync(daemon, request));
        server.Register("warifu-explain", (request, _) => Explain(daemon, request));
        server.Register("warifu-events", (request, _) => Events(daemon, request));
        LoadCommands.Register(daemon);
    }

    public static ViciMessage Success() => new ViciMessage().Add("success", "yes");

    public static ViciMessage Failure(string text) => new ViciMessage().Add("success", "no").Add("errmsg", text);

    private static async Task<ViciMessage> InitiateAsync(WarifuDaemon daemon, ViciRequest request, CancellationToken stop)
    {
        var (child, ike) = (request.Message.Text("child"), request.Message.Text("ike"));
        if (child is null && ike is null) return Failure("missing configuration name");
        var connection = daemon.Config.Connections.FirstOrDefault(known => (ike is null || known.Name == ike) && (child is null || known.Children.Any(one => one.Name == child)));
        if (connection is null) return Failure(Missing(daemon, child, ike));
        var timeout = request.Message.Number("timeout", 0);
        var what = child is null ? $"IKE_SA '{ike}'" : $"CHILD_SA '{child}'";
        var result = await FollowAsync(daemon, request, connection.Name, timeout, node => node.RunAsync(id => new IkeCommand.Up(id, connection.Name, child), CancellationToken.None), stop);
        if (result is null) return timeout < 0 ? Success() : Failure(string.Create(CultureInfo.InvariantCulture, $"{what} not established after {timeout}ms"));
        return result.Success ? Success() : Failure($"establishing {what} failed: {Why(result)}");
    }

    private static string Missing(WarifuDaemon daemon, string? child, string? ike)
    {
        if (ike is not null && daemon.Config.LeftOut.Find(left => left.Name == ike) is { } left) return $"connection '{ike}' was left out: {left.Why}";
        return child is null || (ike is not null && !daemon.Config.Connections.Any(known => known.Name == ike)) ? $"IKE_SA config '{ike}' not found" : $"CHILD_SA config '{child}' not found";
    }

    private static async Task<ViciMessage> TerminateAsync(WarifuDaemon daemon, ViciRequest request, CancellationToken stop)
    {
        var target = Target(request.Message);
        if (target.IsEmpty) return Failure("missing terminate selector");
        var result = await FollowAsync(daemon, request, target.Connection, request.Message.Number("timeout", 0), node => node.RunAsync(id => new IkeCommand.Down(id, target, request.Message.Bool("force")), CancellationToken.None), stop);
        if (result is null) return Success();
        var answer = new ViciMessage().Add("success", result is { Success: true, Matches: > 0 } ? "yes" : "no").Add("matches", result.Matches).Add("terminated", result.Done);
        if (result.Matches == 0) return answer.Add("errmsg", "no matching SAs to terminate found");
        return result.Success ? answer : answer.Add("errmsg", result.Done < result.Matches ? "not all matching SAs could be terminated" : Why(result));
    }

    private static async Task<ViciMessage> RekeyAsync(WarifuDaemon daemon, ViciRequest request)
    {
        var target = Target(request.Message);
        if (target.IsEmpty) return Failure("missing rekey selector");
        if (request.Message.Bool("reauth")) return Failure("re-authentication is not there yet; rekey without reauth, or take the connection down and up");
        var matching = Matches(await daemon.Node.SnapshotAsync(), target);
        if (matching == 0) return Failure("no matching SAs to rekey found").Add("matches", 0L);
        var running = daemon.Node.RunAsync(id => new IkeCommand.Rekey(id, target));
        // as its users know it, the command does not wait; our own client asks for the end
        if (!request.Message.Bool("x-wait")) return Success().Add("matches", matching);
        var result = await running;
        var answer = new ViciMessage().Add("success", result.Success ? "yes" : "no").Add("matches", matching);
        return result.Success ? answer : answer.Add("errmsg", Why(result));
    }

    private static async Task<ViciMessage> ListSasAsync(WarifuDaemon daemon, ViciRequest request)
    {
        var (ike, child) = (request.Message.Text("ike"), request.Message.Text("child"));
        var (ikeId, childId) = (request.Message.Number("ike-id", 0), request.Message.Number("child-id", 0));
        var now = IkeNode.Now;
        foreach (var sa in (await daemon.Node.SnapshotAsync()).IkeSas)
        {
            if ((ike is not null && sa.Connection != ike) || (ikeId != 0 && sa.Id != ikeId)) continue;
            request.Emit("list-sa", ViciListings.Sa(sa, daemon.Node.TryQuery, daemon.ReqIds, now, one => (child is null || one.Name == child) && (childId == 0 || one.Id == childId)));
        }

        return new ViciMessage();
    }

    private static Task<ViciMessage> ListConns(WarifuDaemon daemon, ViciRequest request)
    {
        var ike = request.Message.Text("ike");
        foreach (var connection in daemon.Config.Connections)
        {
            if (ike is null || connection.Name == ike) request.Emit("list-conn", ViciListings.Connection(connection));
        }

        return Task.FromResult(new ViciMessage());
    }

    private static Task<ViciMessage> ListPolicies(WarifuDaemon daemon, ViciRequest request)
    {
        var (ike, child) = (request.Message.Text("ike"), request.Message.Text("child"));
        bool Has(string key) => request.Message.Find(key) is not null;
        foreach (var connection in daemon.Config.Connections)
        {
            foreach (var one in connection.Children)
            {
                var wanted = one.Mode switch { ChildMode.Drop => Has("drop"), ChildMode.Pass => Has("pass"), _ => Has("trap") };
                var installed = one.Mode is ChildMode.Pass or ChildMode.Drop || one.StartAction is StartAction.Trap or StartAction.TrapAndStart or StartAction.Start;
                if (wanted && installed && (ike is null || connection.Name == ike) && (child is null || one.Name == child)) request.Emit("list-policy", ViciListings.Policy(connection, one, daemon.ReqIds));
            }
        }

        return Task.FromResult(new ViciMessage());
    }

    private static async Task<ViciMessage> CountersAsync(WarifuDaemon daemon, ViciRequest request)
    {
        var name = request.Message.Text("name");
        if (name is not null && daemon.Config.Connections.All(connection => connection.Name != name)) return Failure("no counters found for this connection");
        var snapshot = await daemon.Node.SnapshotAsync();
        var answer = new ViciMessage().Add("counters", new ViciMessage().Add(name ?? "", ViciListings.Counters(snapshot.Counters))).Add("success", "yes");
        var drops = new ViciMessage();
        for (var reason = 1; reason <= (int)DropReason.NotEstablished; reason++) drops.Add("ike-" + Words(((DropReason)reason).ToString()), snapshot.Counters.Drops[reason]);
        if (daemon.Node.Packets is { } path)
        {
            for (var reason = 1; reason < (int)PacketDrop.Count; reason++) drops.Add("esp-" + Words(((PacketDrop)reason).ToString()), path.Drops((PacketDrop)reason));
        }

        return answer.Add("x-drops", drops.Add("unprotected", daemon.Node.UnprotectedDrops)).Add("x-key-exchanges", snapshot.Counters.KeyExchanges);
    }

    private static async Task<ViciMessage> StatsAsync(WarifuDaemon daemon)
    {
        var snapshot = await daemon.Node.SnapshotAsync();
        var running = DateTimeOffset.Now - daemon.Started;
        var (number, unit) = running.TotalDays > 2 ? (running.TotalDays, "days") : running.TotalHours > 2 ? (running.TotalHours, "hours") : running.TotalMinutes > 2 ? (running.TotalMinutes, "minutes") : (running.TotalSeconds, "seconds");
        ViciMessage Queues() => new ViciMessage().Add("critical", 0L).Add("high", 0L).Add("medium", 0L).Add("low", 0L);
        return new ViciMessage()
            .Add("uptime", new ViciMessage().Add("running", string.Create(CultureInfo.InvariantCulture, $"{(long)number} {unit}")).Add("since", daemon.Started.ToString("MMM dd HH:mm:ss yyyy", CultureInfo.InvariantCulture)))
            .Add("workers", new ViciMessage().Add("total", ThreadPool.ThreadCount).Add("idle", 0L).Add("active", Queues())).Add("queues", Queues()).Add("scheduled", 0L)
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
            if (name is not null && connection.Name != name) continue;
            var sas = bySa[connection.Name].ToList();
            var children = new ViciMessage();
            foreach (var child in connection.Children)
            {
                var up = sas.SelectMany(sa => sa.Children).LastOrDefault(one => one.Name == child.Name && one.State is "INSTALLED" or "REKEYING");
                var section = new ViciMessage().Add("state", up is not null ? "up" : child.Mode is ChildMode.Pass or ChildMode.Drop ? child.Mode.ToString().ToLowerInvariant() : child.StartAction is StartAction.Trap or StartAction.TrapAndStart ? "waiting for traffic" : "down");
                if (up?.RekeyAt is { } rekey) section.Add("next", string.Create(CultureInfo.InvariantCulture, $"rekey in {(long)(rekey - now).TotalSeconds}s"));
                children.Add(child.Name, section);
            }

            var established = sas.Exists(sa => sa.State is "ESTABLISHED" or "REKEYING");
            var body = new ViciMessage().Add("state", established ? "up" : sas.Count > 0 ? "connecting" : "down");
            if (!established && daemon.Events.DownReason(connection.Name) is { } reason) body.Add("reason", reason);
            if (sas.Find(sa => sa.RekeyAt is not null) is { RekeyAt: { } next }) body.Add("next", string.Create(CultureInfo.InvariantCulture, $"rekey in {(long)(next - now).TotalSeconds}s"));
            request.Emit("warifu-status-conn", new ViciMessage().Add(connection.Name, body.Add("children", children)));
        }

        foreach (var left in daemon.Config.LeftOut)
        {
            if (name is null || left.Name == name) request.Emit("warifu-status-conn", new ViciMessage().Add(left.Name, new ViciMessage().Add("state", "left out").Add("reason", left.Why)));
        }

        return new ViciMessage().Add("version", Product.Version).Add("since", daemon.Started.ToString("yyyy-MM-dd'T'HH:mm:sszzz", CultureInfo.InvariantCulture)).Add("ike-sas", snapshot.IkeSas.Length)
            .Add("children", snapshot.IkeSas.Sum(sa => sa.Children.Length)).Add("half-open", snapshot.HalfOpen).Add("port", daemon.Node.Port).Add("port-nat-t", daemon.Node.PortNatT)
            .Add("dataplane", daemon.Node.Packets is null ? "none" : "tun").Add("clear-text-guard", daemon.Node.GuardMissing ?? "on");
    }

    private static Task<ViciMessage> Explain(WarifuDaemon daemon, ViciRequest request)
    {
        var name = request.Message.Text("name");
        if (daemon.Events.Report(name) is { } report)
        {
            return Task.FromResult(Success().Add("result", report.Success ? "established" : "failed").Add("connection", report.Connection).Add("reason", report.Failure?.Reason ?? "").Add("text", ReportText.Explain(report)));
        }

        if (name is not null && daemon.Config.LeftOut.Find(left => left.Name == name) is { } left) return Task.FromResult(Success().Add("result", "left out").Add("text", [$"connection {name} was left out: {left.Why}"]));
        var known = name is null || daemon.Config.Connections.Any(connection => connection.Name == name || connection.Children.Any(child => child.Name == name));
        return Task.FromResult(Failure(known ? "nothing was negotiated yet" : $"there is no connection or child '{name}'"));
    }

    private static Task<ViciMessage> Events(WarifuDaemon daemon, ViciRequest request)
    {
        foreach (var line in daemon.Events.Lines(request.Message.Text("conn"))) request.Emit("warifu-event", line);
        return Task.FromResult(new ViciMessage());
    }

    /// <summary>Runs a command and streams what the log says of the connection; null when it did not end in time.</summary>
    private static async Task<CommandResult?> FollowAsync(WarifuDaemon daemon, ViciRequest request, string? connection, long timeout, Func<IkeNode, Task<CommandResult>> run, CancellationToken stop)
    {
        using var watching = timeout < 0 ? null : daemon.Events.Watch((of, level, text) =>
        {
            if (connection is null || of == connection) request.Emit("control-log", new ViciMessage().Add("group", "IKE").Add("level", level == NoticeLevel.Debug ? 2 : 1).Add("ikesa-name", of).Add("msg", text));
        });
        var running = run(daemon.Node);
        if (timeout < 0) return null;
        try
        {
            var result = await (timeout == 0 ? running.WaitAsync(stop) : running.WaitAsync(TimeSpan.FromMilliseconds(timeout), stop));
            // the last lines are on their way
            await Task.Delay(10, stop);
            return result;
        }
        catch (TimeoutException)
        {
            return null;
        }
    }

    private static SaTarget Target(ViciMessage message) => new(message.Text("ike"), message.Text("child"), (uint)message.Number("ike-id", 0), (uint)message.Number("child-id", 0));

    private static int Matches(EngineSnapshot snapshot, SaTarget target)
    {
        var sas = snapshot.IkeSas.Where(sa => (target.Connection is null || sa.Connection == target.Connection) && (target.IkeId == 0 || sa.Id == target.IkeId));
        return target.NamesChild ? sas.Sum(sa => sa.Children.Count(child => (target.Child is null || child.Name == target.Child) && (target.ChildId == 0 || child.Id == target.ChildId))) : sas.Count();
    }

    private static string Why(CommandResult result) => result.Report?.Failure is { } failure ? failure.Sentence + (failure.Remedy.Length > 0 ? "; " + failure.Remedy : "") : result.Message;

    /// <summary>"BadNextHeader" as "bad-next-header".</summary>
    private static string Words(string name) => string.Concat(name.Select((letter, at) => char.IsUpper(letter) ? (at == 0 ? "" : "-") + char.ToLowerInvariant(letter) : letter.ToString()));
}
