using System;
using System.IO;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Vici;

/// <summary>strongSwan's own swanctl commands two daemons of ours.</summary>
[Trait("Item", "1.14")]
[Trait("Area", "interop")]
public sealed class SwanctlTests
{
    [StrongSwanFact]
    public async Task Swanctl_loads_lists_initiates_rekeys_watches_and_terminates()
    {
        var site = new Site { Esp = "aes256gcm16-x25519", Child = "start_action = trap", More = [("other", "10.11.1.0/24", "10.11.2.0/24")] };
        await using var lab = await Topology.CreateAsync();
        var folder = Path.Combine(lab.Folder, "swanctl");
        await using var peer = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "peer"), site.Right());
        await using var ours = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "ours"), "");
        foreach (var name in new[] { "x509", "x509ca", "x509ocsp", "x509aa", "x509ac", "x509crl", "pubkey", "private", "rsa", "ecdsa", "bliss", "pkcs8", "pkcs12" }) Directory.CreateDirectory(Path.Combine(folder, "swanctl", name));
        await File.WriteAllTextAsync(Path.Combine(folder, "strongswan.conf"), "swanctl {\n}\n");
        await File.WriteAllTextAsync(Path.Combine(folder, "swanctl", "swanctl.conf"), site.Left());
        async Task<string> Do(string words, bool good = true)
        {
            var ended = await StrongSwan.ClientAsync(lab.Left, folder, ours.Socket, words.Split(' '));
            Assert.True(ended.Ok == good, $"swanctl {words}: exit {ended.ExitCode}\n{ended.All}\n{ours.Log}");
            return ended.All;
        }

        Has(await Do("--load-all --noprompt"), "loaded connection 'site'", "loaded ike secret 'ike-site'", "successfully loaded 1 connections, 0 unloaded");
        Has(await Do("--load-all --noprompt"), "successfully loaded 1 connections, 0 unloaded");
        Has(await Do("--version --daemon"), "warifu");
        Has(await Do("--list-conns"), "site: IKEv2", "local:  192.0.2.2", "remote: 198.51.100.2", "local pre-shared key authentication", "id: left.example.org", "net: TUNNEL, rekeying every 3600s", "local:  10.10.1.0/24");
        Has(await Do("--list-pols"), "site/net, TUNNEL", "site/other, TUNNEL", "remote: 10.11.2.0/24");
        Has(await Do("--list-algs"), "AES_GCM_16", "CURVE_25519");
        Has(await Do("--stats"), "uptime:", "IKE_SAs: 0 total, 0 half-open");
        // the daemon's log and events, while things happen
        var log = StrongSwan.WatchAsync(lab.Left, folder, ours.Socket, 20, "--log");
        var watch = StrongSwan.WatchAsync(lab.Left, folder, ours.Socket, 20, "--monitor-sa");
        await Task.Delay(1000);
        Has(await Do("--initiate --child net"), "is up", "initiate completed successfully");
        Has(await Do("--list-sas"), "site: #1, ESTABLISHED, IKEv2", "'left.example.org' @ 192.0.2.2[500]", "AES_GCM_16-256/PRF_HMAC_SHA2_384/ECP_384", "INSTALLED, TUNNEL, ESP:AES_GCM_16-256", "rekeying in", "local  10.10.1.0/24");
        Assert.Equal((3, 3), await Topology.PingAsync(lab.Left, "10.10.1.1", "10.10.2.1", 3));
        Has(await Do("--list-sas --raw"), "packets-in=3");
        Has(await Do("--rekey --child net"), "rekey completed successfully");
        Has(await Do("--rekey --ike site"), "rekey completed successfully");
        await Task.Delay(500);
        Has(await Do("--list-sas"), "ESTABLISHED");
        Assert.Matches(@"ike-auth-out-req +: 1\n", await Do("--counters"));
        Has(await Do("--counters --name site"), "child-rekey");
        Has(await Do("--counters --reset"), "completed successfully");
        Has(await Do("--uninstall --child other"), "completed successfully");
        Assert.DoesNotContain("site/other", await Do("--list-pols"), StringComparison.Ordinal);
        Has(await Do("--install --child other"), "completed successfully");
        Has(await Do("--list-pols"), "site/other");
        Has(await Do("--terminate --child net"), "terminate completed successfully");
        Has(await Do("--terminate --ike site"), "terminate completed successfully");
        Assert.DoesNotContain("ESTABLISHED", await Do("--list-sas"), StringComparison.Ordinal);
        Has(await Do("--terminate --ike site", good: false), "no matching SAs to terminate found");
        Has(await Do("--initiate --child nobody", good: false), "CHILD_SA config 'nobody' not found");
        foreach (var words in new[] { "--list-certs", "--list-authorities", "--list-pools", "--flush-certs", "--reload-settings", "--load-creds --noprompt", "--load-conns", "--load-authorities", "--load-pools" }) await Do(words);
        // a connection that is gone from the file is unloaded
        await File.WriteAllTextAsync(Path.Combine(folder, "swanctl", "swanctl.conf"), "");
        Has(await Do("--load-all --noprompt"), "no connections found, 1 unloaded");
        Assert.DoesNotContain("site", await Do("--list-conns"), StringComparison.Ordinal);
        Has((await log).All, "[IKE] IKE SA 1 of site is up", "site was rekeyed");
        Has((await watch).All, "ESTABLISHED", "INSTALLED");
    }

    [StrongSwanFact]
    public async Task Swanctl_shows_why_an_initiation_failed()
    {
        var site = new Site { RightIke = "aes128gcm16-prfsha256-ecp256" };
        await using var lab = await Topology.CreateAsync();
        var folder = Path.Combine(lab.Folder, "swanctl");
        Directory.CreateDirectory(folder);
        await File.WriteAllTextAsync(Path.Combine(folder, "strongswan.conf"), "swanctl {\n}\n");
        await using var peer = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "peer"), site.Right());
        await using var ours = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "ours"), site.Left());
        var ended = await StrongSwan.ClientAsync(lab.Left, folder, ours.Socket, "--initiate", "--child", "net");
        Assert.False(ended.Ok);
        Has(ended.All, "establishing CHILD_SA 'net' failed: the peer refused all our IKE proposals (NO_PROPOSAL_CHOSEN); here: change connections.site.proposals");
    }

    private static void Has(string text, params string[] parts)
    {
        foreach (var part in parts) Assert.Contains(part, text, StringComparison.Ordinal);
    }
}
