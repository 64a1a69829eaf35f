using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Security.Cryptography.X509Certificates;
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
    /// <param name="own">Certificate and key, which the connection calls by the name "own"; null = none.</param>
    /// <param name="authority">The CA that it trusts.</param>
    /// <param name="secrets">Further lines of ipsec.secrets.</param>
    /// <param name="user">Name and password of a user of XAuth.</param>
    public static async Task<Libreswan> StartAsync(string ns, string folder, string connection, string secret, KeyShim shim, Credential? own = null, Credential? authority = null, string secrets = "", (string Name, string Password)? user = null)
    {
        foreach (var name in new[] { "run", "nss", "d/cacerts", "d/crls", "d/policies" }) Directory.CreateDirectory(Path.Combine(folder, name));
        await File.WriteAllTextAsync(Path.Combine(folder, "ipsec.conf"), $"config setup\n    protostack=xfrm\n    uniqueids=no\n    ikev1-policy=accept\nconn net\n    {connection.ReplaceLineEndings("\n    ")}\n");
        await File.WriteAllTextAsync(Path.Combine(folder, "ipsec.secrets"), $"%any %any : PSK \"{secret}\"\n{secrets}\n");
        if (user is { } known)
        {
            var hash = (await Tool.RunAsync("openssl", ["passwd", "-6", known.Password])).OrThrow("openssl passwd").Output.Trim();
            await File.WriteAllTextAsync(Path.Combine(folder, "d", "passwd"), $"{known.Name}:{hash}:net\n");
        }

        (await RunAsync(ns, $"certutil -N -d sql:{folder}/nss --empty-password")).OrThrow("certutil");
        if (authority is not null)
        {
            await File.WriteAllTextAsync(Path.Combine(folder, "ca.pem"), authority.Pem);
            (await RunAsync(ns, $"certutil -A -d sql:{folder}/nss -n ca -t CT,, -a -i {folder}/ca.pem")).OrThrow("certutil -A");
        }

        if (own is not null) await ImportAsync(ns, folder, own);
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

    /// <summary>NSS takes private keys as PKCS#12 only, and names the certificate after its subject.</summary>
    private static async Task ImportAsync(string ns, string folder, Credential own)
    {
        var file = Path.Combine(folder, "own.p12");
        using (var certificate = X509Certificate2.CreateFromPem(own.Pem, own.KeyPem)) await File.WriteAllBytesAsync(file, certificate.ExportPkcs12(Pkcs12ExportPbeParameters.Pkcs12TripleDesSha1, "lab"));
        (await RunAsync(ns, $"pk12util -i {file} -d sql:{folder}/nss -W lab")).OrThrow("pk12util");
        (await RunAsync(ns, $"n=$(certutil -L -d sql:{folder}/nss | grep u,u,u | sed -E 's/ +u,u,u *$//') && certutil --rename -d sql:{folder}/nss -n \"$n\" --new-n own")).OrThrow("certutil --rename");
    }

    /// <summary>whack.</summary>
    public Task<Ended> ControlAsync(params string[] arguments) => RunAsync(_ns, $"/usr/libexec/ipsec/whack --ctlsocket {_folder}/run/pluto.ctl {string.Join(' ', arguments)}");

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
            if (!_process.HasExited) _process.Kill();
        }

        _process.Dispose();
    }

    private static Task<Ended> RunAsync(string ns, string command) => Tool.RunAsync("ip", ["netns", "exec", ns, .. Overlaid(command)], TimeSpan.FromSeconds(20));

    private static string[] Overlaid(string command) => ["unshare", "-m", "bash", "-c", $"mount -t overlay overlay -o lowerdir={Tree}/usr:/usr /usr && {command}"];
}
