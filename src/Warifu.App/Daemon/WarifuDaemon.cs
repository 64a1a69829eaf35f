using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Extensions.Hosting.Systemd;
using Warifu.App.Configuration;
using Warifu.App.Vici;
using Warifu.Engine;
using Warifu.Net;

namespace Warifu.App.Daemon;

/// <summary>The daemon: one node, its configuration, and the management sockets.</summary>
internal sealed class WarifuDaemon : IAsyncDisposable
{
    public const string DefaultSocket = "/run/warifu/vici.sock";

    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(5);

    private readonly SecretStore _secrets = new();
    private CredentialSet? _files;
    private Task _events = Task.CompletedTask;
    private Primitives.Secret? _crashSecret;

    private WarifuDaemon(IkeNode node, DaemonSettings settings, Action<NoticeLevel, string> log)
    {
        (Node, Settings) = (node, settings);
        Config = new ConfigStore(_secrets);
        Server = new ViciServer();
        Events = new EventHub(Server, ReqIds, log);
    }

    public IkeNode Node { get; }

    public DaemonSettings Settings { get; }

    public ConfigStore Config { get; private init; }

    public ViciServer Server { get; }

    public EventHub Events { get; }

    public ReqIds ReqIds { get; } = new();

    public DateTimeOffset Started { get; } = DateTimeOffset.Now;

    /// <summary>Reads the file, opens the sockets and loads. The caller waits and disposes.</summary>
    /// <param name="built">The configuration, already checked.</param>
    /// <param name="sockets">Management sockets; empty = those of the configuration, else the default.</param>
    /// <param name="dataPlane">Overrides the configuration; null = as configured.</param>
    /// <param name="log">Takes lines of the log.</param>
    /// <param name="keyLog">Folder of the key log; overrides the configuration; null = as configured.</param>
    /// <exception cref="IOException">A management socket cannot be had.</exception>
    /// <exception cref="System.ComponentModel.Win32Exception">A port, a device or a route cannot be had.</exception>
    public static async Task<WarifuDaemon> StartAsync(BuiltConfiguration built, IReadOnlyList<string> sockets, string? dataPlane, Action<NoticeLevel, string> log, string? keyLog = null)
    {
        var settings = keyLog is null ? built.Daemon : built.Daemon with { KeyLog = keyLog };
        var secrets = new SecretStore();
        string? noCrashSecret = null;
        var crashSecret = settings.CrashDetection ? CrashSecretFile.Read(settings.StateDirectory, out noCrashSecret) : null;
        var options = new IkeNodeOptions
        {
            Port = settings.Port,
            PortNatT = settings.PortNatT,
            Secrets = secrets,
            DataPlane = (dataPlane ?? settings.DataPlane) switch { "none" => DataPlaneKind.None, "tun" => DataPlaneKind.Tun, _ => DataPlaneKind.Auto },
            FirewallMark = settings.FirewallMark,
            RoutingTable = settings.Table,
            KeepaliveInterval = settings.KeepAlive,
            KeyLogDirectory = settings.KeyLog,
            MakeBeforeBreak = settings.MakeBeforeBreak,
            CrashSecret = crashSecret,
            RetransmitTimeout = settings.RetransmitTimeout,
            RetransmitTries = settings.RetransmitTries,
            CookieThreshold = settings.CookieThreshold,
            HalfOpenLimit = settings.HalfOpenLimit,
            HalfOpenPerPrefix = settings.HalfOpenPerPrefix,
            IdentityLimit = settings.IdentityLimit,
            HalfOpenTimeout = settings.HalfOpenTimeout,
            StateDirectory = settings.StateDirectory,
            HashAndUrl = settings.HashAndUrl,
            HashAndUrlPrivate = settings.HashAndUrlPrivate,
        };
        var node = await IkeNode.StartAsync(Policy.PolicySet.Empty, options);
        var daemon = new WarifuDaemon(node, settings, log) { Config = new ConfigStore(secrets), _crashSecret = crashSecret };
        try
        {
            daemon._events = daemon.Events.RunAsync(node);
            if (node.GuardMissing is { } why) daemon.Events.Tell("", NoticeLevel.Warning, $"unprotected packets are not filtered: {why}; a firewall rule of your own must do it");
            if (noCrashSecret is not null) daemon.Events.Tell("", NoticeLevel.Warning, $"quick crash detection is off: {noCrashSecret}; peers notice a restart later");
            if (settings.KeyLog is { } folder) daemon.Events.Tell("", NoticeLevel.Warning, $"KEYS OF ALL SAs ARE WRITTEN TO {folder}: whoever reads them reads the traffic");
            Commands.Register(daemon);
            foreach (var path in sockets.Count > 0 ? sockets : settings.Sockets.IsEmpty ? [DefaultSocket] : (IReadOnlyList<string>)settings.Sockets) daemon.Server.Listen(path);
            await daemon.ReplaceAsync(built);
            return daemon;
        }
        catch
        {
            await daemon.DisposeAsync();
            throw;
        }
    }

    /// <summary>The command <c>warifu run</c>: until SIGTERM or SIGINT; SIGHUP reads the file again.</summary>
    public static async Task<int> RunAsync(string file, IReadOnlyList<string> sockets, string? dataPlane, string? keyLog)
    {
        var log = new DaemonLog();
        // before anything is made: whoever stops us early finds a clean host too
        var end = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            end.TrySetResult();
        }

        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        if (Load(file, log.Write, out var files) is not { } built) return 2;
        WarifuDaemon daemon;
        try
        {
            daemon = await StartAsync(built, sockets, dataPlane, log.Write, keyLog);
        }
        catch (Exception exception) when (exception is IOException or System.ComponentModel.Win32Exception or UnauthorizedAccessException)
        {
            log.Write(NoticeLevel.Error, exception.Message);
            return 1;
        }

        await using (daemon)
        {
            var notifier = new SystemdNotifier();
            using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, context =>
            {
                context.Cancel = true;
                _ = daemon.ReloadAsync(file, notifier);
            });
            daemon._files = files;
            using var ending = new CancellationTokenSource();
            var watching = daemon.WatchAsync(file, ending.Token);
            notifier.Notify(ServiceState.Ready);
            daemon.Events.Tell("", NoticeLevel.Info, $"warifu is ready: UDP ports {daemon.Node.Port} and {daemon.Node.PortNatT}, {daemon.Config.Connections.Count} connections from {file}");
            await end.Task;
            notifier.Notify(ServiceState.Stopping);
            await ending.CancelAsync();
            await watching;
        }

        return 0;
    }

    /// <summary>Reads, checks and judges a file. Null when it has errors; they are told.</summary>
    public static BuiltConfiguration? Load(string file, Action<NoticeLevel, string> tell) => Load(file, tell, out _);

    /// <summary>As the other overload; <paramref name="files"/> tell when what stands beside the file has changed.</summary>
    public static BuiltConfiguration? Load(string file, Action<NoticeLevel, string> tell, out CredentialSet files)
    {
        var read = ConfigurationReader.Read(file);
        files = read.Files;
        read.EraseSources();
        foreach (var finding in read.Findings.OrderByDescending(finding => finding.Severity))
        {
            tell(finding.Severity switch { Severity.Error => NoticeLevel.Error, Severity.Notice => NoticeLevel.Debug, _ => NoticeLevel.Warning }, finding.ToString());
        }

        if (!read.Findings.Exists(finding => finding.Severity == Severity.Error)) return read.Built;
        read.Built.Erase();
        return null;
    }

    /// <summary>True for names of connections and manual SAs that are loaded or were left out.</summary>
    public bool Knows(string connection) => Config.Find(connection) is not null || Config.LeftOut.Exists(left => left.Name == connection) || Config.Policy.Manual.Any(manual => manual.Name == connection);

    /// <summary>Replaces the configuration as a whole, and tells what was left out. Returns what changed.</summary>
    /// <param name="built">Without errors.</param>
    /// <param name="confirmWithin">What was there before comes back unless somebody confirms in this time.</param>
    public async Task<ImmutableArray<string>> ReplaceAsync(BuiltConfiguration built, TimeSpan? confirmWithin = null)
    {
        // what a client loads does not come from the files that we look at
        _files = null;
        var changes = await Config.ReplaceAsync(built, Node, confirmWithin, taken =>
        {
            Events.Prune(Knows);
            Events.Tell("", NoticeLevel.Warning, $"the last change was not confirmed and is taken back: {(taken.IsEmpty ? "secrets only" : string.Join(", ", taken))}");
        });
        Events.Prune(Knows);
        foreach (var left in built.LeftOut) Events.Tell(left.Name, NoticeLevel.Warning, $"connection {left.Name} is left out: {left.Why}");
        return changes;
    }

    public async ValueTask DisposeAsync()
    {
        await Node.DisposeAsync();
        await _events;
        await Server.DisposeAsync();
        Config.Secrets.Dispose();
        Config.Dispose();
        _crashSecret?.Dispose();
        _secrets.Dispose();
    }

    private async Task ReloadAsync(string file, SystemdNotifier notifier)
    {
        // a service of the type notify-reload: CLOCK_MONOTONIC tells the manager which reload this is
        notifier.Notify(new ServiceState(string.Create(CultureInfo.InvariantCulture, $"RELOADING=1\nMONOTONIC_USEC={Environment.TickCount64 * 1000}")));
        try
        {
            await ReloadAsync(file);
        }
        finally
        {
            notifier.Notify(ServiceState.Ready);
        }
    }

    /// <summary>Certificates and keys are renewed by others: what stands beside the file is looked at now and then. The file itself is read on demand only.</summary>
    private async Task WatchAsync(string file, CancellationToken stop)
    {
        try
        {
            while (true)
            {
                await Task.Delay(s_look, stop);
                if (_files?.HasChanged() != true) continue;
                // whoever writes several files is given the time
                await Task.Delay(TimeSpan.FromSeconds(1), stop);
                Events.Tell("", NoticeLevel.Info, $"certificates or keys beside {file} have changed");
                await ReloadAsync(file);
            }
        }
        catch (OperationCanceledException)
        {
            // the daemon ends
        }
    }

    private async Task ReloadAsync(string file)
    {
        var loaded = Load(file, (level, text) => Events.Tell("", level, text), out var files);
        if (loaded is not { } built)
        {
            // not again until something changes again
            if (_files is not null) _files = files;
            Events.Tell("", NoticeLevel.Error, $"{file} has errors: everything stays as it was");
            return;
        }

        var changes = await ReplaceAsync(built);
        _files = files;
        Events.Tell("", NoticeLevel.Info, $"{file} is loaded: {(changes.IsEmpty ? "no changes" : string.Join(", ", changes))}");
    }
}

/// <summary>The log on standard error, in the form that journald reads when it is there.</summary>
internal sealed class DaemonLog
{
    private readonly bool _journal = Environment.GetEnvironmentVariable("JOURNAL_STREAM") is { Length: > 0 };
    private readonly NoticeLevel _least = Environment.GetEnvironmentVariable("WARIFU_LOG") == "debug" ? NoticeLevel.Debug : NoticeLevel.Info;

    public void Write(NoticeLevel level, string text)
    {
        if (level < _least) return;
        // a peer's text must not break lines
        text = text.ReplaceLineEndings(" ");
        if (_journal) Console.Error.WriteLine($"<{level switch { NoticeLevel.Error => 3, NoticeLevel.Warning => 4, NoticeLevel.Info => 6, _ => 7 }}>{text}");
        else Console.Error.WriteLine($"{DateTime.Now:HH:mm:ss.fff} {level switch { NoticeLevel.Error => "error   ", NoticeLevel.Warning => "warning ", NoticeLevel.Info => "", _ => "debug   " }}{text}");
    }
}
