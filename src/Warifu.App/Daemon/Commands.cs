using System;
using System.Globalization;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Warifu.App.Vici;
using Warifu.Engine;
using Warifu.Net;

namespace Warifu.App.Daemon;

/// <summary>The commands that act. Those that list are in <see cref="ListCommands"/>, those that load in <see cref="LoadCommands"/>.</summary>
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
        server.Register("initiate", (request, stop) => InitiateAsync(daemon, request, stop));
        server.Register("terminate", (request, stop) => TerminateAsync(daemon, request, stop));
        server.Register("rekey", (request, _) => RekeyAsync(daemon, request));
        server.Register("install", (request, _) => HoldAsync(daemon, request, on: true));
        server.Register("uninstall", (request, _) => HoldAsync(daemon, request, on: false));
        ListCommands.Register(daemon);
        LoadCommands.Register(daemon);
    }

    public static ViciMessage Success() => new ViciMessage().Add("success", "yes");

    public static ViciMessage Failure(string text) => new ViciMessage().Add("success", "no").Add("errmsg", text);

    private static async Task<ViciMessage> InitiateAsync(WarifuDaemon daemon, ViciRequest request, CancellationToken stop)
    {
        var (child, ike) = (request.Message.Text("child"), request.Message.Text("ike"));
        if (child is null && ike is null) return Failure("missing configuration name");
        var connection = daemon.Config.Connections.Find(known => (ike is null || known.Name == ike) && (child is null || known.Children.Any(one => one.Name == child)));
        if (connection is null) return Failure(Missing(daemon, child, ike));
        var timeout = request.Message.Number("timeout", 0);
        var what = child is null ? $"IKE_SA '{ike}'" : $"CHILD_SA '{child}'";
        var result = await FollowAsync(
            daemon,
            request,
            connection.Name,
            timeout,
            node =>
            {
                daemon.Events.Tell(connection.Name, NoticeLevel.Info, $"{(child is null ? connection.Name : $"child {child} of {connection.Name}")} is asked for");
                return node.RunAsync(id => new IkeCommand.Up(id, connection.Name, child), CancellationToken.None);
            },
            stop);
        if (result is null) return timeout < 0 ? Success() : Failure(string.Create(CultureInfo.InvariantCulture, $"{what} not established after {timeout}ms"));
        return result.Success ? Success() : Failure($"establishing {what} failed: {Why(result)}");
    }

    private static string Missing(WarifuDaemon daemon, string? child, string? ike)
    {
        if (HasManual(daemon, ike ?? child)) return $"'{ike ?? child}' has keys entered by hand: nothing is negotiated, it is up as long as it is loaded";
        if (ike is not null && daemon.Config.LeftOut.Find(left => left.Name == ike) is { } left) return $"connection '{ike}' was left out: {left.Why}";
        return child is null || (ike is not null && daemon.Config.Find(ike) is null) ? $"IKE_SA config '{ike}' not found" : $"CHILD_SA config '{child}' not found";
    }

    private static bool HasManual(WarifuDaemon daemon, string? name) => name is not null && daemon.Config.Policy.Manual.Any(manual => manual.Name == name);

    private static async Task<ViciMessage> TerminateAsync(WarifuDaemon daemon, ViciRequest request, CancellationToken stop)
    {
        var target = Target(request.Message);
        if (target.IsEmpty) return Failure("missing terminate selector");
        var matching = Matches(await daemon.Node.SnapshotAsync(), target);
        if (matching == 0) return new ViciMessage().Add("success", "no").Add("matches", 0L).Add("terminated", 0L).Add("errmsg", HasManual(daemon, target.Connection ?? target.Child) ? $"'{target.Connection ?? target.Child}' has keys entered by hand: it goes when it is removed from the configuration" : "no matching SAs to terminate found");
        // read now: who does not wait has its message erased before the engine's thread comes to it
        var force = request.Message.Bool("force");
        var result = await FollowAsync(daemon, request, target.Connection, request.Message.Number("timeout", 0), node => node.RunAsync(id => new IkeCommand.Down(id, target, force), CancellationToken.None), stop);
        if (result is null) return Success().Add("matches", matching).Add("terminated", 0L);
        var answer = new ViciMessage().Add("success", result is { Success: true, Matches: > 0 } ? "yes" : "no").Add("matches", result.Matches).Add("terminated", result.Done);
        return result.Success ? answer : answer.Add("errmsg", result.Done < result.Matches ? "not all matching SAs could be terminated" : Why(result));
    }

    private static async Task<ViciMessage> RekeyAsync(WarifuDaemon daemon, ViciRequest request)
    {
        var target = Target(request.Message);
        if (target.IsEmpty) return Failure("missing rekey selector");
        var matching = Matches(await daemon.Node.SnapshotAsync(), target);
        if (matching == 0) return new ViciMessage().Add("success", "no").Add("matches", 0L).Add("errmsg", HasManual(daemon, target.Connection ?? target.Child) ? $"'{target.Connection ?? target.Child}' has keys entered by hand: other ones are loaded, not negotiated" : "no matching SAs to rekey found");
        // read now: the message is erased before the engine's thread comes to it
        var anew = request.Message.Bool("reauth");
        if (anew && target.NamesChild) return Failure("only IKE SAs are re-authenticated: name one by ike or ike-id");
        var running = daemon.Node.RunAsync(id => anew ? new IkeCommand.Reauth(id, target) : new IkeCommand.Rekey(id, target));
        // as its users know it, the command does not wait; our own client asks for the end
        if (!request.Message.Bool("x-wait")) return Success().Add("matches", matching);
        var result = await running;
        var answer = new ViciMessage().Add("success", result.Success ? "yes" : "no").Add("matches", matching);
        return result.Success ? answer : answer.Add("errmsg", Why(result));
    }

    /// <summary>install and uninstall: holds the traffic of a child, or stops doing so.</summary>
    private static async Task<ViciMessage> HoldAsync(WarifuDaemon daemon, ViciRequest request, bool on)
    {
        if (request.Message.Text("child") is not { } child) return Failure("missing configuration name");
        var ike = request.Message.Text("ike");
        var connection = daemon.Config.Connections.Find(known => (ike is null || known.Name == ike) && known.Children.Any(one => one.Name == child));
        if (connection is null) return Failure(on ? "configuration name not found" : $"policy '{child}' not found");
        var result = await daemon.Node.RunAsync(id => new IkeCommand.Hold(id, connection.Name, child, on));
        return result.Success ? Success() : Failure(on ? $"installing policy '{child}' failed" : $"policy '{child}' not found");
    }

    /// <summary>Runs a command and streams what the log says of the connection; null when it did not end in time.</summary>
    private static async Task<CommandResult?> FollowAsync(WarifuDaemon daemon, ViciRequest request, string? connection, long timeout, Func<IkeNode, Task<CommandResult>> run, CancellationToken stop)
    {
        var loudest = request.Message.Number("loglevel", 1);
        using var watching = timeout < 0 ? null : daemon.Events.Watch(line =>
        {
            if ((connection is null || line.Connection == connection) && line.Loudness <= loudest) request.Emit("control-log", line.ToLogEvent(thread: false));
        });
        var running = run(daemon.Node);
        if (timeout < 0) return null;
        try
        {
            var result = await (timeout == 0 ? running.WaitAsync(stop) : running.WaitAsync(TimeSpan.FromMilliseconds(Math.Min(timeout, int.MaxValue)), stop));
            // the last lines are on their way
            await daemon.Events.CaughtUpAsync();
            return result;
        }
        catch (TimeoutException)
        {
            return null;
        }
    }

    private static SaTarget Target(ViciMessage message) => new(message.Text("ike"), message.Text("child"), Number(message, "ike-id"), Number(message, "child-id"));

    private static uint Number(ViciMessage message, string key) => message.Number(key, 0) is > 0 and <= uint.MaxValue and var number ? (uint)number : 0;

    private static int Matches(EngineSnapshot snapshot, SaTarget target)
    {
        var sas = snapshot.IkeSas.Where(sa => sa.State != "REKEYED" && (target.Connection is null || sa.Connection == target.Connection) && (target.IkeId == 0 || sa.Id == target.IkeId));
        return target.NamesChild ? sas.Sum(sa => sa.Children.Count(child => child.State is "INSTALLED" or "REKEYING" && (target.Child is null || child.Name == target.Child) && (target.ChildId == 0 || child.Id == target.ChildId))) : sas.Count();
    }

    private static string Why(CommandResult result) => result.Report?.Failure is { } failure ? ReportText.Sentence(failure) : result.Message;
}
