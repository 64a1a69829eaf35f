using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Threading.Tasks;

namespace Warifu.App.Tests.Lab;

/// <summary>
/// One Libreswan (pluto) in a namespace, from the unpacked packages in the cache. It insists on kernel ESP: the <see cref="KeyShim"/> plays the kernel, an <see cref="EspPeer"/> carries the traffic.
/// </summary>
internal sealed class Libreswan : IAsyncDisposable
{
    private readonly string _ns;
    private readonly string _folder;
    private readonly Process _process;

    private Libreswan(string ns, string folder, Process process) => (_ns, _folder, _process) = (ns, folder, process);

    public static string Tree => Path.Combine(Tool.Cache, "peers", "libreswan");

    public static bool IsThere => File.Exists(Path.Combine(Tree, ".complete"));

    public string Log => File.Exists(LogFile) ? File.ReadAllText(LogFile) : "";

    private string LogFile => Path.Combine(_folder, "pluto.log");

    /// <param name="ns">Namespace.</param>
    /// <param name="folder">Everything that belongs to this instance.</param>
    /// <param name="connection">The lines of "conn net".</param>
    /// <param name="secret">The PSK.</param>
    /// <param name="shim">Takes the keys.</param>
    public static async Task<Libreswan> StartAsync(string ns, string folder, string connection, string secret, KeyShim shim)
    {
        foreach (var name in new[] { "run", "nss", "d/cacerts", "d/crls", "d/policies" }) Directory.CreateDirectory(Path.Combine(folder, name));
        await File.WriteAllTextAsync(Path.Combine(folder, "ipsec.conf"), $"config setup\n    protostack=xfrm\n    uniqueids=no\nconn net\n    {connection.ReplaceLineEndings("\n    ")}\n");
        await File.WriteAllTextAsync(Path.Combine(folder, "ipsec.secrets"), $"%any %any : PSK \"{secret}\"\n");
        (await RunAsync(ns, $"certutil -N -d sql:{folder}/nss --empty-password")).OrThrow("certutil");
        var process = Tool.Start("ip", ["netns", "exec", ns, .. Overlaid(
            $"cd {folder}/run && exec {await shim.PrefixAsync()} /usr/libexec/ipsec/pluto --nofork --config {folder}/ipsec.conf --rundir {folder}/run --ipsecdir {folder}/d --nssdir {folder}/nss " +
            $"--secretsfile {folder}/ipsec.secrets --logfile {folder}/pluto.log --log-no-append --use-xfrm --no-dnssec --dumpdir {folder}/run")]);
        process.OutputDataReceived += (_, _) => { };
        process.ErrorDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        var peer = new Libreswan(ns, folder, process);
        // pluto starts its own loader of connections; secrets come last
        for (var i = 0; !peer.Log.Contains("loading secrets from", StringComparison.Ordinal); i++)
        {
            if (process.HasExited || i > 400) throw new InvalidOperationException("pluto does not start\n" + peer.Log);
            await Task.Delay(25);
        }

        return peer;
    }

    /// <summary>whack.</summary>
    public Task<Ended> ControlAsync(params string[] arguments) => RunAsync(_ns, $"/usr/libexec/ipsec/whack --ctlsocket {_folder}/run/pluto.ctl {string.Join(' ', arguments)}");

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            await Tool.RunAsync("kill", ["-TERM", _process.Id.ToString(CultureInfo.InvariantCulture)]);
            for (var i = 0; i < 80 && !_process.HasExited; i++) await Task.Delay(25);
            if (!_process.HasExited) _process.Kill();
        }

        _process.Dispose();
    }

    private static Task<Ended> RunAsync(string ns, string command) => Tool.RunAsync("ip", ["netns", "exec", ns, .. Overlaid(command)], TimeSpan.FromSeconds(20));

    private static string[] Overlaid(string command) => ["unshare", "-m", "bash", "-c", $"mount -t overlay overlay -o lowerdir={Tree}/usr:/usr /usr && {command}"];
}
