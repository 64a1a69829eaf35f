using System;
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Threading;
using System.Threading.Tasks;

namespace Warifu.App.Cli.Demo;

/// <summary>
/// <c>warifu demo</c>: two gateways, a real negotiation, real traffic. Namespaces have no names and belong to the demo's own processes: they are gone with them, however those end. Each process ends when the one that
/// started it does (its standard input ends then); files that a killed demo left behind are removed by the next one. Without root it uses a user namespace, and where the kernel forbids that, two nodes in this process
/// over in-memory packet ports.
/// </summary>
internal static class DemoCommand
{
    private const string FolderPrefix = "warifu-demo-";

    /// <param name="inMemory">No namespaces even where they are possible.</param>
    /// <param name="stop">Ctrl-C.</param>
    public static async Task<int> RunAsync(bool inMemory, CancellationToken stop)
    {
        RemoveLeftovers();
        var root = Environment.UserName == "root";
        string[] user = root ? [] : ["--user", "--map-root-user"];
        var why = inMemory ? "as asked for" : await WhyNotAsync(user, stop);
        if (why is not null)
        {
            Console.WriteLine($"two nodes in this process, ESP in UDP over loopback, inner packets in memory ({why})");
            return await DemoInMemory.RunAsync(stop);
        }

        Console.WriteLine(root ? "two gateways in two network namespaces of their own (root)" : "two gateways in two network namespaces inside an unprivileged user namespace");
        using var stage = Process.Start(new ProcessStartInfo("unshare", [.. user, "--net", .. Self(), DemoStage.Name]) { RedirectStandardInput = true })!;
        try
        {
            await stage.WaitForExitAsync(stop);
        }
        catch (OperationCanceledException)
        {
            // it cleans up and ends when its input ends, whether or not the terminal's interrupt reached it
            stage.StandardInput.Close();
            await EndAsync(stage);
            // what it could not remove itself: an interrupt may come before it can catch one, and one that hangs is killed
            RemoveLeftovers();
        }

        return stage.ExitCode == 0 ? 0 : 1;
    }

    /// <summary>The command line that starts this program's demo parts.</summary>
    public static string[] Self() => [Environment.ProcessPath!, "demo"];

    /// <summary>A folder that the next demo removes if this process is killed.</summary>
    public static string CreateFolder() => Directory.CreateTempSubdirectory(string.Create(CultureInfo.InvariantCulture, $"{FolderPrefix}{Environment.ProcessId}-")).FullName;

    private static async Task EndAsync(Process stage)
    {
        try
        {
            await stage.WaitForExitAsync(CancellationToken.None).WaitAsync(TimeSpan.FromSeconds(10), CancellationToken.None);
        }
        catch (TimeoutException)
        {
            stage.Kill(entireProcessTree: true);
            await stage.WaitForExitAsync(CancellationToken.None);
        }
    }

    private static void RemoveLeftovers()
    {
        foreach (var folder in Directory.EnumerateDirectories(Path.GetTempPath(), FolderPrefix + "*"))
        {
            var number = Path.GetFileName(folder).Split('-') is [_, _, var id, ..] ? id : "";
            if (!int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out _) || IsDemo(number)) continue;
            try
            {
                Directory.Delete(folder, recursive: true);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                // another user's
            }
        }
    }

    /// <summary>True while the process of that number is a demo: numbers are used again.</summary>
    private static bool IsDemo(string number)
    {
        try
        {
            return File.ReadAllText($"/proc/{number}/cmdline").Contains("\0demo\0", StringComparison.Ordinal);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return exception is UnauthorizedAccessException;
        }
    }

    /// <summary>Why namespaces with a TUN cannot be had, by trying it; null when they can.</summary>
    private static async Task<string?> WhyNotAsync(string[] user, CancellationToken stop)
    {
        try
        {
            using var probe = Process.Start(new ProcessStartInfo("unshare", [.. user, "--net", "test", "-w", "/dev/net/tun"]) { RedirectStandardError = true })!;
            var error = await probe.StandardError.ReadToEndAsync(stop);
            await probe.WaitForExitAsync(stop);
            return probe.ExitCode == 0 ? null : error.Length > 0 ? $"no network namespace can be made here: {error.Trim()}" : "/dev/net/tun is not to be had";
        }
        catch (Win32Exception exception)
        {
            return $"no network namespace can be made here: {exception.Message}";
        }
    }
}
