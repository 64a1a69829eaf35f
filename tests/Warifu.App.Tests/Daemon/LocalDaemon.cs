using System;
using System.Collections.Generic;
using System.IO;
using System.Threading.Tasks;
using Warifu.App.Configuration;
using Warifu.App.Daemon;
using Warifu.App.Tests.Lab;
using Warifu.App.Vici;

namespace Warifu.App.Tests.Daemon;

/// <summary>A daemon in this process, without privilege: free UDP ports on loopback, SAs that carry nothing, its own socket.</summary>
internal sealed class LocalDaemon : IAsyncDisposable
{
    private readonly string _folder;

    private LocalDaemon(WarifuDaemon daemon, string folder, string file) => (Daemon, _folder, File) = (daemon, folder, file);

    public WarifuDaemon Daemon { get; }

    public string File { get; }

    public string Socket => Path.Combine(_folder, "vici.sock");

    /// <summary>The port that peers are told of.</summary>
    public int Port => Daemon.Node.PortNatT;

    /// <param name="configuration">Text of the file.</param>
    /// <param name="shape">Changes settings of the daemon.</param>
    /// <param name="files">Puts files beside it.</param>
    public static async Task<LocalDaemon> StartAsync(string configuration = "", Func<DaemonSettings, DaemonSettings>? shape = null, Action<string>? files = null)
    {
        var folder = TemporaryFolders.Make();
        var file = Path.Combine(folder, "warifu.conf");
        await System.IO.File.WriteAllTextAsync(file, configuration);
        files?.Invoke(folder);
        var problems = new List<string>();
        var built = WarifuDaemon.Load(file, (_, text) => problems.Add(text)) ?? throw new InvalidOperationException(string.Join('\n', problems));
        var settings = built.Daemon with { Port = 0, PortNatT = 0, DataPlane = "none", RetransmitTimeout = TimeSpan.FromMilliseconds(100), RetransmitTries = 3, HalfOpenTimeout = TimeSpan.FromSeconds(2), StateDirectory = Path.Combine(folder, "state") };
        var daemon = await WarifuDaemon.StartAsync(built with { Daemon = shape?.Invoke(settings) ?? settings }, [Path.Combine(folder, "vici.sock")], null, (_, _) => { });
        return new LocalDaemon(daemon, folder, file);
    }

    public Task<ViciClient> ConnectAsync() => ViciClient.ConnectAsync(Socket);

    /// <summary>One request on a connection of its own.</summary>
    public async Task<ViciMessage> AskAsync(string command, ViciMessage? message = null)
    {
        await using var client = await ConnectAsync();
        return await client.RequestAsync(command, message);
    }

    /// <summary>One listing on a connection of its own.</summary>
    public async Task<IReadOnlyList<ViciMessage>> ListAsync(string command, string eventName, ViciMessage? message = null)
    {
        await using var client = await ConnectAsync();
        return (await client.StreamAsync(command, eventName, message)).Streamed;
    }

    /// <summary>Replaces the file and loads it as <c>warifu load</c> does, but in this process.</summary>
    public async Task LoadAsync(string configuration)
    {
        await System.IO.File.WriteAllTextAsync(File, configuration);
        var problems = new List<string>();
        var built = WarifuDaemon.Load(File, (_, text) => problems.Add(text)) ?? throw new InvalidOperationException(string.Join('\n', problems));
        await Daemon.ReplaceAsync(built);
    }

    /// <summary>The explanation of the latest negotiation, once there is one that fits.</summary>
    public async Task<ViciMessage> ExplainAsync(string? name, Func<ViciMessage, bool> fits)
    {
        ViciMessage? last = null;
        for (var i = 0; i < 400; i++)
        {
            var request = new ViciMessage();
            if (name is not null) request.Add("name", name);
            last = await AskAsync("warifu-explain", request);
            if (last.Text("success") == "yes" && fits(last)) return last;
            await Task.Delay(10);
        }

        throw new InvalidOperationException($"no such explanation came; the last is\n{string.Join('\n', last?.Items("text") ?? [])}\n{last?.Text("errmsg")}");
    }

    public async ValueTask DisposeAsync()
    {
        await Daemon.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }
}
