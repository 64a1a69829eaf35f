using System;
using System.Diagnostics;
using System.IO;
using System.Threading;
using System.Threading.Tasks;

namespace Warifu.App.Cli;

/// <summary><c>warifu publish</c>: the Native AOT binary, from the source tree that the launcher stands in.</summary>
internal static class PublishCommand
{
    public static async Task<int> RunAsync(string? folder, CancellationToken stop)
    {
        var script = Path.Combine(Environment.GetEnvironmentVariable("WARIFU_HOME") ?? "", "build", "publish.sh");
        if (!File.Exists(script))
        {
            await Console.Error.WriteLineAsync("warifu: publish works from the source tree: use ./warifu publish there");
            return 2;
        }

        var start = new ProcessStartInfo(script);
        if (folder is not null) start.ArgumentList.Add(Path.GetFullPath(folder));
        using var process = Process.Start(start)!;
        await process.WaitForExitAsync(stop);
        return process.ExitCode == 0 ? 0 : 1;
    }
}
