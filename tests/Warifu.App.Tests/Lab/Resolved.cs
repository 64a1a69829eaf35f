using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Threading.Tasks;

namespace Warifu.App.Tests.Lab;

/// <summary>A systemd-resolved on a system bus of its own in a namespace, from the unpacked packages: its /etc and /run are its own, the machine's are not touched.</summary>
internal sealed class Resolved : IAsyncDisposable
{
    private readonly string _ns;
    private readonly string _folder;
    private readonly Process _process;

    private Resolved(string ns, string folder, Process process) => (_ns, _folder, _process) = (ns, folder, process);

    /// <summary>Name in build/peers.sh.</summary>
    public const string Needs = "resolved";

    private const string UntouchedText = "# nobody writes here\n";

    private static string Tree => Path.Combine(Tool.Cache, "peers", Needs);

    public string Log => File.ReadAllText(Path.Combine(_folder, "resolved.log"));

    /// <summary>resolv.conf is as it was.</summary>
    public bool LeftResolvConf => File.ReadAllText(Path.Combine(_folder, "etc", "resolv.conf")) == UntouchedText;

    /// <summary>Before a command: it sees this system bus.</summary>
    public string[] OnBus => ["unshare", "-m", "bash", "-c", $"mount -t tmpfs tmpfs /run && mkdir /run/dbus && mount --bind {_folder}/bus /run/dbus && exec \"$@\"", "bus"];

    public static async Task<Resolved> StartAsync(string ns, string folder)
    {
        var etc = Path.Combine(folder, "etc");
        Directory.CreateDirectory(Path.Combine(etc, "systemd"));
        Directory.CreateDirectory(Path.Combine(folder, "bus"));
        // its user exists in its own /etc only
        await File.WriteAllTextAsync(Path.Combine(etc, "passwd"), "root:x:0:0:root:/root:/bin/bash\nsystemd-resolve:x:990:990::/:/usr/sbin/nologin\n");
        await File.WriteAllTextAsync(Path.Combine(etc, "group"), "root:x:0:\nsystemd-resolve:x:990:\n");
        await File.WriteAllTextAsync(Path.Combine(etc, "resolv.conf"), UntouchedText);
        await File.WriteAllTextAsync(Path.Combine(etc, "systemd", "resolved.conf"), "[Resolve]\nDNSSEC=no\nFallbackDNS=\nLLMNR=no\nMulticastDNS=no\n");
        await File.WriteAllTextAsync(Path.Combine(folder, "bus.conf"), """
            <!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig>
              <type>system</type>
              <listen>unix:path=/run/dbus/system_bus_socket</listen>
              <auth>EXTERNAL</auth>
              <policy context="default">
                <allow user="*"/>
                <allow own="*"/>
                <allow send_destination="*"/>
                <allow receive_sender="*"/>
              </policy>
            </busconfig>
            """);
        var process = Tool.Start("ip", ["netns", "exec", ns, "unshare", "-m", "bash", "-c", $"""
            mount -t overlay overlay -o lowerdir={Tree}/usr:/usr /usr && mount -t overlay overlay -o lowerdir={etc}:/etc /etc && mount -t tmpfs tmpfs /run && mkdir -p /run/dbus /run/systemd && mount --bind {folder}/bus /run/dbus || exit
            dbus-daemon --config-file={folder}/bus.conf --nofork --nopidfile 2>{folder}/bus.log &
            for i in $(seq 100); do [ -S /run/dbus/system_bus_socket ] && break; sleep 0.05; done
            SYSTEMD_LOG_LEVEL=debug /usr/lib/systemd/systemd-resolved >{folder}/resolved.log 2>&1 &
            for i in $(seq 100); do resolvectl status >/dev/null 2>&1 && break; sleep 0.05; done
            touch {folder}/ready
            trap 'kill $(jobs -p)' TERM
            wait
            """]);
        var resolved = new Resolved(ns, folder, process);
        await Until.HoldsAsync("systemd-resolved", () => Task.FromResult(File.Exists(Path.Combine(folder, "ready")) || process.HasExited), there => there, seconds: 20);
        return resolved;
    }

    /// <summary>resolvectl.</summary>
    public Task<Ended> ControlAsync(params string[] arguments) => Tool.RunAsync("ip", ["netns", "exec", _ns, .. OnBus, "bash", "-c", $"mount -t overlay overlay -o lowerdir={Tree}/usr:/usr /usr && exec resolvectl --no-pager \"$@\"", "resolvectl", .. arguments]);

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited) await Tool.RunAsync("kill", ["-TERM", _process.Id.ToString(CultureInfo.InvariantCulture)]);
        _process.Dispose();
    }
}
