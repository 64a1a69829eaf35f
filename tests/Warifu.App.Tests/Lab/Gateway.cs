using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Text;
using System.Threading.Tasks;
using Warifu.App.Vici;

namespace Warifu.App.Tests.Lab;

/// <summary>One Warifu daemon in a namespace. WARIFU_BINARY names the program under test (the Native AOT one in the long run).</summary>
internal sealed class Gateway : IAsyncDisposable
{
    private readonly string _ns;
    private readonly string _socket;
    private readonly Process _process;
    private readonly StringBuilder _log = new();

    private Gateway(string ns, string socket, Process process) => (_ns, _socket, _process) = (ns, socket, process);

    public static string Binary { get; } = Environment.GetEnvironmentVariable("WARIFU_BINARY") ?? Path.Combine(AppContext.BaseDirectory, "warifu-cli");

    public string Socket => _socket;

    public string Namespace => _ns;

    public int ProcessId => _process.Id;

    public string Log
    {
        get
        {
            lock (_log) return _log.ToString();
        }
    }

    public static Task<Gateway> StartAsync(string ns, string folder, string configuration, params string[] options) => StartUnderAsync([], ns, folder, configuration, options);

    /// <summary>The same as the last words of another command.</summary>
    public static async Task<Gateway> StartUnderAsync(string[] command, string ns, string folder, string configuration, params string[] options)
    {
        Directory.CreateDirectory(folder);
        var file = Path.Combine(folder, "warifu.conf");
        await File.WriteAllTextAsync(file, configuration);
        var socket = Path.Combine(folder, "vici.sock");
        var process = Tool.Start("ip", ["netns", "exec", ns, .. command, "env", $"STATE_DIRECTORY={Path.Combine(folder, "state")}", Binary, "run", "--config", file, "--socket", socket, .. options]);
        var gateway = new Gateway(ns, socket, process);
        process.OutputDataReceived += gateway.Take;
        process.ErrorDataReceived += gateway.Take;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        for (var i = 0; ; i++)
        {
            if (process.HasExited || i > 1200)
            {
                var log = gateway.Log;
                await gateway.DisposeAsync();
                throw new InvalidOperationException("warifu does not start\n" + log);
            }

            if (File.Exists(socket) && await gateway.AnswersAsync()) return gateway;
            await Task.Delay(25);
        }
    }

    /// <summary>What <c>list sas</c> shows, without starting the program.</summary>
    public Task<IReadOnlyList<IkeSaView>> SasAsync() => IkeSaView.ListAsync(_socket);

    /// <summary>One command of the management socket.</summary>
    public async Task<ViciMessage> RequestAsync(string command, ViciMessage? message = null)
    {
        await using var client = await ViciClient.ConnectAsync(_socket);
        return await client.RequestAsync(command, message);
    }

    /// <summary>The command line against this daemon.</summary>
    public Task<Ended> CliAsync(params string[] arguments) => Tool.RunAsync("ip", ["netns", "exec", _ns, Binary, .. arguments, "--socket", _socket], TimeSpan.FromSeconds(60));

    /// <summary>It vanishes without a word.</summary>
    public void Kill()
    {
        if (!_process.HasExited) _process.Kill();
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            await Tool.RunAsync("kill", ["-TERM", _process.Id.ToString(CultureInfo.InvariantCulture)]);
            for (var i = 0; i < 120 && !_process.HasExited; i++) await Task.Delay(25);
            if (!_process.HasExited) _process.Kill();
        }

        _process.Dispose();
    }

    private async Task<bool> AnswersAsync()
    {
        try
        {
            await RequestAsync("version");
            return Log.Contains("warifu is ready", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }

    private void Take(object sender, DataReceivedEventArgs line)
    {
        if (line.Data is null) return;
        lock (_log) _log.Append(line.Data).Append('\n');
    }
}
