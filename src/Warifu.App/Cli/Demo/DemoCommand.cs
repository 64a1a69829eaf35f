using System;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;

namespace Warifu.App.Cli.Demo;

/// <summary>
/// <c>warifu demo</c>: two gateways, a real negotiation, real traffic. Namespaces have no names and belong to the demo's own processes: they are gone with them, however those end. Without root it uses a
/// user namespace, and where the kernel forbids that, two nodes in this process over in-memory packet ports.
/// </summary>
internal static class DemoCommand
{
    public static async Task<int> RunAsync(CancellationToken stop)
    {
        string[] user = Environment.UserName == "root" ? [] : ["--user", "--map-root-user"];
        if (await CanAsync(user))
        {
            Console.WriteLine(user.Length == 0 ? "two gateways in two network namespaces of their own (root)" : "two gateways in two network namespaces inside an unprivileged user namespace");
            using var stage = Process.Start(new ProcessStartInfo("unshare", [.. user, "--net", .. Self(), DemoStage.Name]))!;
            try
            {
                await stage.WaitForExitAsync(stop);
            }
            catch (OperationCanceledException)
            {
                // the terminal's interrupt reached it too; it cleans up and ends
                await stage.WaitForExitAsync(CancellationToken.None).WaitAsync(TimeSpan.FromSeconds(5), CancellationToken.None);
            }

            return stage.ExitCode == 0 ? 0 : 1;
        }

        Console.WriteLine("no network namespace can be made here: two nodes in this process, ESP in UDP over loopback, inner packets in memory");
        return await DemoInMemory.RunAsync(stop);
    }

    /// <summary>The command line that starts this program's demo parts.</summary>
    public static string[] Self() => [Environment.ProcessPath!, "demo"];

    private static async Task<bool> CanAsync(string[] user)
    {
        try
        {
            using var probe = Process.Start(new ProcessStartInfo("unshare", [.. user, "--net", "test", "-w", "/dev/net/tun"]) { RedirectStandardError = true })!;
            await probe.WaitForExitAsync();
            return probe.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}
