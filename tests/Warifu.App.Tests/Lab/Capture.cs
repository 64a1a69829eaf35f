using System;
using System.Diagnostics;
using System.Globalization;
using System.Threading.Tasks;

namespace Warifu.App.Tests.Lab;

/// <summary>tcpdump on an interface of a namespace.</summary>
internal sealed class Capture : IAsyncDisposable
{
    private readonly Process _process;

    private Capture(Process process, string file) => (_process, File) = (process, file);

    public string File { get; }

    public static async Task<Capture> StartAsync(string ns, string device, string file, string filter = "udp or proto 50 or ip6 proto 50")
    {
        var process = Tool.Start("ip", ["netns", "exec", ns, "tcpdump", "-i", device, "-n", "-U", "--immediate-mode", "-Z", "root", "-w", file, filter]);
        while (await process.StandardError.ReadLineAsync() is { } line)
        {
            if (line.Contains("listening on", StringComparison.Ordinal)) return new Capture(process, file);
        }

        throw new InvalidOperationException("tcpdump does not start");
    }

    /// <summary>The file is complete after this.</summary>
    public async Task StopAsync()
    {
        if (_process.HasExited) return;
        await Tool.RunAsync("kill", ["-INT", _process.Id.ToString(CultureInfo.InvariantCulture)]);
        await _process.WaitForExitAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _process.Dispose();
    }
}
