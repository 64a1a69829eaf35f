using System;
using System.Collections.Generic;
using System.ComponentModel;
using System.Diagnostics;
using System.IO;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Warifu.Net.Linux;

namespace Warifu.App.Cli.Demo;

/// <summary>The part of the demo that makes the wire between two gateways and directs them. Each gateway is a process in a network namespace of its own.</summary>
internal static class DemoStage
{
    public const string Name = "stage";

    public static async Task<int> RunAsync(string[] arguments, CancellationToken stop)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(stop);
        void End(PosixSignalContext context)
        {
            context.Cancel = true;
            end.Cancel();
        }

        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, End);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, End);
        var folder = DemoCommand.CreateFolder();
        _ = Task.Run(
            async () =>
            {
                // it ends with whoever started us
                await Console.In.ReadToEndAsync(CancellationToken.None);
                await end.CancelAsync();
            },
            CancellationToken.None);
        try
        {
            await using var left = Actor.Start("left", folder);
            await using var right = Actor.Start("right", folder);
            return await PlayAsync(left, right, end.Token);
        }
        catch (Exception exception) when (exception is IOException or OperationCanceledException or Win32Exception)
        {
            await Console.Error.WriteLineAsync(exception is OperationCanceledException ? "interrupted" : exception.Message);
            return 1;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<int> PlayAsync(Actor left, Actor right, CancellationToken stop)
    {
        var clock = Stopwatch.StartNew();
        await Task.WhenAll(left.ExpectAsync("born", stop), right.ExpectAsync("born", stop));
        using (var netlink = new Rtnetlink()) netlink.AddVeth("wan", left.ProcessId, "wan", right.ProcessId);
        await Task.WhenAll(left.AskAsync("wire", stop), right.AskAsync("wire", stop));
        Console.WriteLine("""

              10.1.0.0/16                                                      10.2.0.0/16
             [ left gateway ] 192.0.2.1 ------- the wire ------- 192.0.2.2 [ right gateway ]

            """);
        Console.WriteLine("left negotiates:");
        Print(await left.AskAsync("up", stop));
        Console.WriteLine();
        Console.WriteLine("what left has:");
        Print(await left.AskAsync("sas", stop));
        Console.WriteLine("what right has:");
        Print(await right.AskAsync("sas", stop));
        Console.WriteLine();
        await right.AskAsync("serve", stop);
        Print(await left.AskAsync("send", stop));
        Console.WriteLine();
        var ping = await left.AskAsync("ping", stop);
        Console.WriteLine($"(all of it took {clock.Elapsed.TotalSeconds:0.0} s)");
        Console.WriteLine();
        Print(ping);
        return ping is [.., var last] && last.Contains(" 0% packet loss", StringComparison.Ordinal) ? 0 : 1;
    }

    private static void Print(IEnumerable<string> lines)
    {
        foreach (var line in lines) Console.WriteLine("  " + line);
    }

    /// <summary>A gateway's process: takes a word, answers lines and a last line "." or "!" with what failed.</summary>
    private sealed class Actor : IAsyncDisposable
    {
        private readonly Process _process;

        private Actor(Process process) => _process = process;

        public int ProcessId => _process.Id;

        public static Actor Start(string side, string folder)
        {
            // unshare replaces itself by the gateway: the process keeps its id
            var start = new ProcessStartInfo("unshare", ["--net", .. DemoCommand.Self(), DemoGateway.Name, side, folder]) { RedirectStandardInput = true, RedirectStandardOutput = true };
            return new Actor(Process.Start(start)!);
        }

        public async Task ExpectAsync(string word, CancellationToken stop)
        {
            var line = await _process.StandardOutput.ReadLineAsync(stop);
            if (line != word) throw new IOException($"a gateway of the demo did not start: {line}");
        }

        public async Task<List<string>> AskAsync(string word, CancellationToken stop)
        {
            await _process.StandardInput.WriteLineAsync(word.AsMemory(), stop);
            await _process.StandardInput.FlushAsync(stop);
            var lines = new List<string>();
            while (await _process.StandardOutput.ReadLineAsync(stop) is { } line)
            {
                if (line == ".") return lines;
                if (line.StartsWith('!')) throw new IOException(line[1..]);
                lines.Add(line);
            }

            throw new IOException("a gateway of the demo ended too early");
        }

        public async ValueTask DisposeAsync()
        {
            // the end of its input ends a gateway
            _process.StandardInput.Close();
            try
            {
                await _process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(3));
            }
            catch (TimeoutException)
            {
                _process.Kill();
            }

            _process.Dispose();
        }
    }
}
