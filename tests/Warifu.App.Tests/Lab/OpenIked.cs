using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Threading.Tasks;

namespace Warifu.App.Tests.Lab;

/// <summary>One OpenIKED (iked) in a namespace, from the unpacked package in the cache. It wants PF_KEY: the <see cref="KeyShim"/> plays the kernel, an <see cref="EspPeer"/> carries the traffic.</summary>
internal sealed class OpenIked : IAsyncDisposable
{
    private readonly string _ns;
    private readonly string _folder;
    private readonly Process _process;

    private OpenIked(string ns, string folder, Process process) => (_ns, _folder, _process) = (ns, folder, process);

    public static string Tree => Path.Combine(Tool.Cache, "peers", "openiked");

    public static bool IsThere => File.Exists(Path.Combine(Tree, ".complete"));

    public string Log
    {
        get
        {
            lock (_process) return File.Exists(LogFile) ? File.ReadAllText(LogFile) : "";
        }
    }

    private string LogFile => Path.Combine(_folder, "iked.log");

    /// <param name="ns">Namespace.</param>
    /// <param name="folder">Everything that belongs to this instance.</param>
    /// <param name="configuration">iked.conf.</param>
    /// <param name="shim">Takes the keys.</param>
    /// <param name="own">Certificate and key; null = none. The program wants a key in any case.</param>
    /// <param name="authority">The CA that it trusts.</param>
    public static async Task<OpenIked> StartAsync(string ns, string folder, string configuration, KeyShim shim, Credential? own = null, Credential? authority = null)
    {
        // /etc/iked is compiled in: an overlay supplies it
        var etc = Path.Combine(folder, "etc", "iked");
        foreach (var name in new[] { "ca", "certs", "private", "crls", "pubkeys/fqdn", "pubkeys/ipv4", "pubkeys/ipv6", "pubkeys/ufqdn" }) Directory.CreateDirectory(Path.Combine(etc, name));
        var key = own ?? new Credential("local", Cli.Ca.KeyMaker.Generate("ecdsa"), []);
        await WriteAsync(Path.Combine(etc, "private", "local.key"), key.KeyPem);
        await WriteAsync(Path.Combine(etc, "local.pub"), key.PublicPem);
        // its process for certificates has no rights
        if (own is not null) await File.WriteAllTextAsync(Path.Combine(etc, "certs", "local.crt"), own.Pem + "\n");
        if (authority is not null) await File.WriteAllTextAsync(Path.Combine(etc, "ca", "ca.crt"), authority.Pem + "\n");
        var root = Directory.CreateDirectory(Path.Combine(folder, "root")).FullName;
        File.SetUnixFileMode(root, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
        await WriteAsync(Path.Combine(folder, "iked.conf"), configuration);
        for (var tries = 1; ; tries++)
        {
            var peer = new OpenIked(ns, folder, Tool.Start("ip", ["netns", "exec", ns, .. Overlaid(folder, $"exec {await shim.PrefixAsync()} KEYSHIM_CHROOT={root} /usr/sbin/iked -d -vv -f {folder}/iked.conf -s {folder}/iked.sock >{folder}/iked.log 2>&1")]));
            if (await peer.IsReadyAsync()) return peer;
            var log = peer.Log;
            await peer.DisposeAsync();
            // it waits a second for its kernel and gives up: on a busy machine that happens
            if (tries == 4) throw new InvalidOperationException("iked does not start\n" + log);
        }
    }

    private async Task<bool> IsReadyAsync()
    {
        for (var i = 0; i < 400 && !_process.HasExited; i++)
        {
            var log = Log;
            if (log.Contains("failed to set up", StringComparison.Ordinal)) return false;
            if (log.Contains("config_getstatic: nattport", StringComparison.Ordinal) && File.Exists(Path.Combine(_folder, "iked.sock"))) return true;
            await Task.Delay(25);
        }

        return false;
    }

    /// <summary>ikectl.</summary>
    public Task<Ended> ControlAsync(params string[] arguments) => Tool.RunAsync("ip", ["netns", "exec", _ns, .. Overlaid(_folder, $"exec /usr/sbin/ikectl -s {_folder}/iked.sock {string.Join(' ', arguments)}")], TimeSpan.FromSeconds(20));

    /// <summary>It vanishes without a word.</summary>
    public void Kill()
    {
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            await Tool.RunAsync("kill", ["-TERM", _process.Id.ToString(CultureInfo.InvariantCulture)]);
            for (var i = 0; i < 80 && !_process.HasExited; i++) await Task.Delay(25);
            if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        }

        _process.Dispose();
    }

    /// <summary>iked takes its files only when nobody else can read them.</summary>
    private static async Task WriteAsync(string file, string text)
    {
        await File.WriteAllTextAsync(file, text + "\n");
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    private static string[] Overlaid(string folder, string command) => ["unshare", "-m", "bash", "-c", $"mount -t overlay overlay -o lowerdir={folder}/etc:/etc /etc && mount -t overlay overlay -o lowerdir={Tree}/usr:/usr /usr && {command}"];
}
