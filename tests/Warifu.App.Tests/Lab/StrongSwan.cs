using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Threading.Tasks;
using Warifu.App.Vici;

namespace Warifu.App.Tests.Lab;

/// <summary>One strongSwan in a namespace, from the unpacked packages in the cache: a mount namespace puts them over /usr, nothing is installed. ESP by kernel-libipsec (always in UDP), or under a <see cref="KeyShim"/> by an <see cref="EspPeer"/>.</summary>
internal sealed class StrongSwan : IAsyncDisposable
{
    private readonly string _ns;
    private readonly string _folder;
    private readonly Process _process;

    private StrongSwan(string ns, string folder, Process process) => (_ns, _folder, _process) = (ns, folder, process);

    public static string Tree => Path.Combine(Tool.Cache, "peers", "strongswan");

    public static bool IsThere => File.Exists(Path.Combine(Tree, ".complete"));

    public int ProcessId => _process.Id;

    public bool IsRunning => !_process.HasExited;

    public string Log => File.Exists(LogFile) ? File.ReadAllText(LogFile) : "";

    private string LogFile => Path.Combine(_folder, "charon.log");

    public static async Task<StrongSwan> StartAsync(string ns, string folder, string swanctlConf, string extra = "", KeyShim? shim = null)
    {
        Directory.CreateDirectory(Path.Combine(folder, "run"));
        // a killed one leaves its socket
        File.Delete(Path.Combine(folder, "run", "charon.vici"));
        foreach (var name in new[] { "x509", "x509ca", "x509ocsp", "x509aa", "x509ac", "x509crl", "pubkey", "private", "rsa", "ecdsa", "bliss", "pkcs8", "pkcs12" })
            Directory.CreateDirectory(Path.Combine(folder, "swanctl", name));
        await File.WriteAllTextAsync(Path.Combine(folder, "swanctl", "swanctl.conf"), swanctlConf);
        await File.WriteAllTextAsync(Path.Combine(folder, "strongswan.conf"), Settings(folder, $"{folder}/run/charon.vici", shim is null, extra));
        var under = shim is null ? "" : await shim.PrefixAsync();
        var process = Tool.Start("ip", ["netns", "exec", ns, .. Overlaid(folder, $"exec {under} /usr/sbin/charon-systemd")]);
        process.OutputDataReceived += (_, _) => { };
        process.ErrorDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        var peer = new StrongSwan(ns, folder, process);
        var socket = Path.Combine(folder, "run", "charon.vici");
        for (var i = 0; !File.Exists(socket); i++)
        {
            if (process.HasExited || i > 1200) throw new InvalidOperationException("charon does not start\n" + peer.Log);
            await Task.Delay(25);
        }

        (await peer.ControlAsync("--load-all", "--noprompt")).OrThrow("swanctl --load-all");
        return peer;
    }

    /// <summary>strongswan.conf.</summary>
    internal static string Settings(string folder, string socket, bool userSpaceEsp, string extra) => $$"""
            charon-systemd {
              load_modular = yes
              threads = 32
              install_virtual_ip_on = lo
              install_routes = {{(userSpaceEsp ? "yes" : "no")}}
              multiple_authentication = yes
              accept_private_algs = yes
              retransmit_tries = 3
              retransmit_timeout = 1.0
              retransmit_base = 1.4
              delete_rekeyed_delay = 1
              {{extra}}
              plugins {
                include {{Tree}}/etc/strongswan.d/charon/*.conf
                kernel-libipsec {
                  load = {{(userSpaceEsp ? "yes" : "no")}}
                  allow_peer_ts = yes
                }
                kernel-netlink {
                  load = yes
                }
                vici {
                  socket = unix://{{socket}}
                }
                bypass-lan {
                  load = no
                }
                resolve {
                  file = {{folder}}/run/resolv.conf
                }
              }
              filelog {
                main {
                  path = {{folder}}/charon.log
                  flush_line = yes
                  time_format = %H:%M:%S
                  default = 1
                  ike = 2
                  chd = 2
                  cfg = 2
                }
              }
              journal {
                default = -1
              }
            }
            swanctl {
            }
            """;

    /// <summary>Its own list of SAs.</summary>
    public Task<IReadOnlyList<IkeSaView>> SasAsync() => IkeSaView.ListAsync(Path.Combine(_folder, "run", "charon.vici"));

    /// <summary>One command of its management socket, by our client.</summary>
    public async Task<ViciMessage> RequestAsync(string command, ViciMessage message)
    {
        await using var client = await ViciClient.ConnectAsync(Path.Combine(_folder, "run", "charon.vici"));
        return await client.RequestAsync(command, message);
    }

    /// <summary>swanctl.</summary>
    public Task<Ended> ControlAsync(params string[] arguments) => ClientAsync(_ns, _folder, Path.Combine(_folder, "run", "charon.vici"), arguments);

    /// <summary>swanctl of strongSwan against any VICI socket.</summary>
    public static Task<Ended> ClientAsync(string ns, string folder, string socket, params string[] arguments) =>
        Tool.RunAsync("ip", ["netns", "exec", ns, .. Overlaid(folder, "exec swanctl \"$@\" --uri unix://" + socket), "swanctl", .. arguments], TimeSpan.FromSeconds(40));

    /// <summary>swanctl with a command that goes on until it is interrupted, for so many seconds.</summary>
    public static Task<Ended> WatchAsync(string ns, string folder, string socket, int seconds, params string[] arguments) =>
        Tool.RunAsync("ip", ["netns", "exec", ns, .. Overlaid(folder, $"exec env --default-signal=INT timeout --foreground --signal=INT {seconds} swanctl \"$@\" --uri unix://" + socket), "swanctl", .. arguments], TimeSpan.FromSeconds(seconds + 20));

    /// <summary>It vanishes without a word.</summary>
    public void Kill()
    {
        if (_process.HasExited) return;
        _process.Kill();
        _process.WaitForExit();
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            await Tool.RunAsync("kill", ["-TERM", _process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
            for (var i = 0; i < 80 && !_process.HasExited; i++) await Task.Delay(25);
            if (!_process.HasExited) _process.Kill();
        }

        _process.Dispose();
    }

    private static string[] Overlaid(string folder, string command) =>
    [
        "unshare", "-m", "bash", "-c",
        $"mount -t overlay overlay -o lowerdir={Tree}/usr:/usr /usr && export STRONGSWAN_CONF={folder}/strongswan.conf SWANCTL_DIR={folder}/swanctl && {command}",
    ];
}
