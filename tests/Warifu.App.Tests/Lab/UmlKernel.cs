using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Warifu.App.Tests.Lab;

/// <summary>
/// A Linux kernel that has ESP, as the right side of a <see cref="Topology"/>: Debian's user-mode-linux, unpacked, on a tap device of the router. Its root is the machine's own file system, read-only, with
/// strongSwan's packages and memory laid over it; the lab's folder is shared and writable. A shell inside obeys over the console, one command at a time.
/// </summary>
internal sealed class UmlKernel : IAsyncDisposable
{
    public static string Busybox { get; } = Path.Combine(Tree, "usr/bin/busybox");

    private readonly Topology _lab;
    private readonly Process _process;
    private readonly StringBuilder _console = new();
    private readonly SemaphoreSlim _one = new(1);
    private int _commands;

    private UmlKernel(Topology lab, Process process) => (_lab, _process) = (lab, process);

    public string Console
    {
        get
        {
            lock (_console) return _console.ToString();
        }
    }

    public string CharonLog => File.Exists(Path.Combine(Folder, "charon.log")) ? File.ReadAllText(Path.Combine(Folder, "charon.log")) : "";

    private static string Tree => Path.Combine(Tool.Cache, "peers", "uml");

    private string Folder => Path.Combine(_lab.Folder, "vm");

    /// <summary>Boots, takes over right's addresses and starts strongSwan with the kernel's ESP.</summary>
    public static async Task<UmlKernel> StartAsync(Topology lab, string swanctlConf)
    {
        var folder = Path.Combine(lab.Folder, "vm");
        foreach (var name in new[] { "run", "swanctl/x509", "swanctl/x509ca", "swanctl/private" }) Directory.CreateDirectory(Path.Combine(folder, name));
        await File.WriteAllTextAsync(Path.Combine(folder, "swanctl", "swanctl.conf"), swanctlConf);
        await File.WriteAllTextAsync(Path.Combine(folder, "strongswan.conf"), StrongSwan.Settings(folder, "/run/charon.vici", userSpaceEsp: false, ""));
        var init = Path.Combine(folder, "init");
        await File.WriteAllTextAsync(init, Init(folder));
        await File.WriteAllTextAsync(Path.Combine(folder, "stage2"), Stage2(folder));
        File.SetUnixFileMode(init, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        // the veth to right gives way to the tap
        (await Tool.ShellAsync($"""
            set -e
            ip -n {lab.Router} link del tor
            ip -n {lab.Router} tuntap add dev tor mode tap
            ip -n {lab.Router} addr add 198.51.100.1/24 dev tor; ip -n {lab.Router} addr add 2001:db8:2::1/64 dev tor nodad
            ip -n {lab.Router} link set dev tor up
            """)).OrThrow("tap");
        var memory = Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath();
        var process = Tool.Start("ip", ["netns", "exec", lab.Router, "env", "TMPDIR=" + memory, "HOME=" + folder, Path.Combine(Tree, "usr/bin/linux.uml"),
            "mem=384M", "umid=vm", "uml_dir=" + folder, "rootfstype=hostfs", "rootflags=/", "root=hostfs", "ro", "init=" + init,
            "con=null", "con0=null,fd:2", "con1=fd:0,fd:1", "ssl=null", "panic=-1", "quiet", "vec0:transport=tap,ifname=tor,depth=64"], redirectInput: true);
        var kernel = new UmlKernel(lab, process);
        process.ErrorDataReceived += (_, line) =>
        {
            lock (kernel._console) kernel._console.Append(line.Data).Append('\n');
        };
        process.BeginErrorReadLine();
        try
        {
            (await kernel.RunAsync("true", seconds: 40)).OrThrow("boot");
            (await kernel.RunAsync($"""
                cd {folder}
                export STRONGSWAN_CONF={folder}/strongswan.conf SWANCTL_DIR={folder}/swanctl
                /usr/sbin/charon-systemd </dev/null >{folder}/charon.out 2>&1 &
                for i in $(seq 200); do [ -S /run/charon.vici ] && break; sleep 0.1; done
                swanctl --load-all --noprompt --uri unix:///run/charon.vici
                """, seconds: 40)).OrThrow("charon");
            return kernel;
        }
        catch
        {
            await kernel.DisposeAsync();
            throw;
        }
    }

    /// <summary>A shell script inside.</summary>
    public async Task<Ended> RunAsync(string script, int seconds = 30)
    {
        await _one.WaitAsync();
        try
        {
            var number = (++_commands).ToString(CultureInfo.InvariantCulture);
            var input = Path.Combine(Folder, "run", number);
            await File.WriteAllTextAsync(input, script);
            await _process.StandardInput.WriteLineAsync(number);
            await _process.StandardInput.FlushAsync();
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
            while (await _process.StandardOutput.ReadLineAsync(limit.Token) is { } line)
            {
                var words = line.Trim().Split(' ');
                if (words is [_, var code] && words[0].EndsWith(":done" + number, StringComparison.Ordinal))
                    return new Ended(int.Parse(code, CultureInfo.InvariantCulture), await File.ReadAllTextAsync(input + ".out"), "");
            }

            return new Ended(-1, "", "the kernel is gone\n" + Console);
        }
        catch (OperationCanceledException)
        {
            return new Ended(-1, "", $"not done in time: {script}\n{Console}");
        }
        finally
        {
            _one.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        // the shell inside powers off at the end of its input
        _process.StandardInput.Close();
        for (var i = 0; i < 120 && !_process.HasExited; i++) await Task.Delay(25);
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        _process.Dispose();
        _one.Dispose();
    }

    private static string Init(string folder)
    {
        var modules = Directory.GetDirectories(Path.Combine(Tree, "usr/lib/uml/modules")).First();
        return $$"""
            #!/bin/bash
            export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
            off() { echo "$*" >/dev/kmsg; {{Busybox}} poweroff -f; sleep 60; }
            mount -t proc proc /proc
            mount -t tmpfs -o mode=755 tmpfs /mnt || off no tmpfs
            mkdir /mnt/u /mnt/w /mnt/n /mnt/l
            {{Busybox}} insmod {{modules}}/kernel/fs/overlayfs/overlay.ko || off no overlay
            mount -t hostfs -o {{StrongSwan.Tree}} none /mnt/l || off no layer
            mount -t overlay -o lowerdir=/mnt/l:/,upperdir=/mnt/u,workdir=/mnt/w root /mnt/n || off no root
            N=/mnt/n
            mkdir -p $N/proc $N/sys $N/dev $N/run $N/tmp $N/lib/modules $N/mnt/.old
            mount -t proc proc $N/proc; mount -t sysfs sys $N/sys; mount -t devtmpfs dev $N/dev
            mkdir -p $N/dev/pts $N/dev/shm; mount -t devpts devpts $N/dev/pts; mount -t tmpfs shm $N/dev/shm
            mount -t tmpfs run $N/run; mkdir -p $N/run/netns; mount -t tmpfs tmp $N/tmp
            ln -sfn /proc/self/fd $N/dev/fd
            ln -sfn {{modules}} $N/lib/modules/{{Path.GetFileName(modules)}}
            mkdir -p $N{{folder}}; mount -t hostfs -o {{folder}} none $N{{folder}} || off no folder
            mkdir -p $N/sbin; ln -sfn {{Busybox}} $N/run/modprobe; echo /run/modprobe >$N/proc/sys/kernel/modprobe
            cd $N && {{Busybox}} pivot_root . mnt/.old || off no pivot
            exec {{Busybox}} chroot . /bin/bash {{folder}}/stage2 </dev/tty1 >/dev/tty1 2>/dev/kmsg
            """;
    }

    /// <summary>Behind the new root: the network, and the loop that obeys.</summary>
    private static string Stage2(string folder) => $"""
            export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
            stty raw -echo
            umount -l /mnt/.old
            hostname vm 2>/dev/null || echo vm >/proc/sys/kernel/hostname
            for m in esp4 esp6 ah4 ah6 xfrm_user xfrm_algo authenc echainiv seqiv gcm ccm ctr cbc hmac cmac xcbc chacha20poly1305 camellia_generic des_generic md5 sha1_generic sha512_generic; do /run/modprobe -q $m; done
            sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
            ip link set dev lo up; ip link set dev vec0 up
            ip addr add 198.51.100.2/24 dev vec0; ip addr add 2001:db8:2::2/64 dev vec0 nodad
            ip addr add 10.10.2.1/32 dev lo; ip addr add fd10:2::1/128 dev lo nodad
            ip route add default via 198.51.100.1; ip route add default via 2001:db8:2::1
            # kernel ESP wants a route for what it protects
            ip route add 10.10.1.0/24 via 198.51.100.1 src 10.10.2.1; ip route add fd10:1::/64 via 2001:db8:2::1 src fd10:2::1
            while IFS= read -r n; do
              bash {folder}/run/$n </dev/null >{folder}/run/$n.out 2>&1
              echo ":done$n $?"
            done
            {Busybox} poweroff -f
            """;
}
