using System;
using System.Collections.Generic;
using System.IO;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Libreswan as peer, in both roles: pre-shared key, RSA and ECDSA certificates, PPK, rekeying from both sides, delete, liveness.</summary>
[Trait("Area", "interop")]
[Trait("Item", "2.20")]
public sealed class LibreswanTests
{
    internal const string Peer = "Libreswan with a stand-in for the kernel";

    internal const string Needs = "libreswan gcc";

    private const string Ppk = "a post-quantum pre-shared key of some length";

    private static readonly Site s_site = new() { Ike = "aes256-sha256-modp2048", Esp = "aes256-sha256,aes256-sha256-modp2048" };

    private static readonly TestCa s_rsaCa = TestCa.Root("Lab RSA CA of Libreswan", "rsa", 2048);

    [PeersTheory(Needs)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task With_a_pre_shared_key_both_sides_rekey_check_and_delete(bool weInitiate)
    {
        await using var run = await Run.StartAsync(weInitiate, s_site with { LeftConnection = "dpd_delay = 1s" }, "authby=secret");
        await run.UpAsync();
        await run.PingAsync();
        Coverage.Passed(Peer, "pre-shared key", weInitiate);

        var counted = await run.Ours.RequestAsync("get-counters");
        await Until.HoldsAsync("answers to liveness checks", () => run.Ours.RequestAsync("get-counters"), now => Count(now, "info-in-resp") >= Count(counted, "info-in-resp") + 2, _ => run.Logs, 8);
        Coverage.Passed(Peer, "liveness", weInitiate);

        foreach (var byUs in new[] { true, false })
        {
            var before = Assert.Single(await run.Ours.SasAsync());
            await RekeyAsync(run, byUs, ike: false);
            await Until.HoldsAsync("a new pair", run.Ours.SasAsync, sas => sas is [{ Children: [{ State: "INSTALLED" } one] }] && one.SpiIn != before.Children[0].SpiIn, _ => run.Logs);
            await run.PingAsync();
            Coverage.Passed(Peer, byUs ? "child rekey by us" : "child rekey by the peer", weInitiate);
            await RekeyAsync(run, byUs, ike: true);
            await Until.HoldsAsync("a new IKE SA", run.Ours.SasAsync, sas => sas is [{ State: "ESTABLISHED", Children.Count: 1 }] && sas[0].Spis != before.Spis, _ => run.Logs);
            await run.PingAsync();
            Coverage.Passed(Peer, byUs ? "IKE rekey by us" : "IKE rekey by the peer", weInitiate);
        }

        if (weInitiate)
        {
            Assert.True((await run.Ours.CliAsync("down", "site")).Ok, run.Logs);
            await Until.HoldsAsync("no SA at the peer", () => run.Pluto.ControlAsync("--status"), shown => !shown.Output.Contains("ESTABLISHED_IKE_SA", StringComparison.Ordinal), shown => shown.All + run.Logs);
        }
        else
        {
            await run.Pluto.ControlAsync("--name", "net", "--terminate");
        }

        await Until.HoldsAsync("no SA", run.Ours.SasAsync, sas => sas.Count == 0, _ => run.Logs);
        Coverage.Passed(Peer, weInitiate ? "delete by us" : "delete by the peer", weInitiate);
    }

    [PeersTheory(Needs)]
    [InlineData("RSA certificates, PSS", "rsa-sha2", "ike:rsa/pss-sha256", true)]
    [InlineData("RSA certificates, PSS", "rsa-sha2", "ike:rsa/pss-sha256", false)]
    [InlineData("RSA certificates, PKCS#1 v1.5", "rsasig", "pubkey", true)]
    [InlineData("RSA certificates, PKCS#1 v1.5", "rsasig", "pubkey", false)]
    [InlineData("ECDSA P-256 certificates", "ecdsa", "pubkey", true)]
    [InlineData("ECDSA P-256 certificates", "ecdsa", "pubkey", false)]
    public async Task With_certificates_it_comes_up(string scenario, string authby, string words, bool weInitiate)
    {
        var ca = authby == "ecdsa" ? CertificateTests.EcdsaCa : s_rsaCa;
        var (left, right) = authby == "ecdsa" ? (ca.Issue("left"), ca.Issue("right")) : (ca.Issue("left", "rsa", 2048), ca.Issue("right", "rsa", 2048));
        var site = s_site with { LeftAuth = $"auth = {words}\ncerts = left.pem", LeftExpects = "auth = pubkey", LeftConnection = "send_cert = always" };
        await using var run = await Run.StartAsync(weInitiate, site, $"authby={authby}\nrightcert=own\nrightsendcert=always\nleftca=%same", folder => Trusting(folder, ca, left), right, ca.Own);
        await run.UpAsync();
        await run.PingAsync();
        Coverage.Passed(Peer, scenario, weInitiate);
    }

    [PeersTheory(Needs)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task With_a_post_quantum_pre_shared_key_it_comes_up_and_without_it_does_not(bool weInitiate)
    {
        var site = s_site with { LeftConnection = "ppk_id = lab\nppk_required = yes", MoreSecrets = $"ppk-lab {{\n id = lab\n secret = \"{Ppk}\"\n}}" };
        await using var run = await Run.StartAsync(weInitiate, site, "authby=secret\nppk=insist", secrets: $"%any %any : PPKS \"lab\" \"{Ppk}\"");
        await run.UpAsync();
        await run.PingAsync();
        Coverage.Passed(Peer, "PPK", weInitiate);
    }

    private static async Task RekeyAsync(Run run, bool byUs, bool ike)
    {
        if (byUs) Assert.True((await run.Ours.CliAsync("rekey", "site", ike ? "--ike" : "--child")).Ok, run.Logs);
        else await run.Pluto.ControlAsync(ike ? "--rekey-ike" : "--rekey-ipsec", "--name", "net", "--asynchronous");
    }

    private static void Trusting(string folder, TestCa ca, Credential own)
    {
        own.WriteTo(folder);
        ca.Own.TrustIn(folder);
    }

    private static long Count(ViciMessage counters, string name) => counters.Section("counters")!.Section("")!.Number(name, 0);

    /// <summary>Our gateway on the left, pluto on the right.</summary>
    internal sealed class Run(Topology lab, Site site, bool weInitiate, KeyShim shim) : IAsyncDisposable
    {
        /// <summary>How IKEv2 is spoken, and with what.</summary>
        private const string Version2 = "ikev2=insist\nike=aes256-sha2_256-modp2048\nesp=aes256-sha2_256";

        private EspPeer? _traffic;

        public Gateway Ours { get; private set; } = null!;

        public Libreswan Pluto { get; private set; } = null!;

        public string Logs => $"\n--- ours\n{Ours?.Log}\n--- pluto\n{Pluto?.Log}\n--- its traffic\n{string.Join('\n', _traffic?.Faults ?? [])}";

        public IEnumerable<string> Faults => _traffic!.Faults;

        private KeyShim Shim => shim;

        public static async Task<Run> StartAsync(bool weInitiate, Site site, string auth, Action<string>? files = null, Credential? own = null, Credential? authority = null, string secrets = "", string version = Version2, (string Name, string Password)? user = null)
        {
            var lab = await Topology.CreateAsync();
            var run = new Run(lab, site, weInitiate, new KeyShim(Path.Combine(lab.Folder, "sa.json")));
            try
            {
                run._traffic = await EspPeer.StartAsync(lab.Right, run.Shim);
                var connection = $"""
                    left={site.LeftHost}
                    leftid=@left.example.org
                    leftsubnet={site.LeftNet}
                    right={site.RightHost}
                    rightid=@right.example.org
                    rightsubnet={site.RightNet}
                    rightupdown=%disabled
                    {auth}
                    {version}
                    esn=no
                    auto=add
                    """;
                run.Pluto = await Libreswan.StartAsync(lab.Right, Path.Combine(lab.Folder, "peer"), connection, Site.Secret, run.Shim, own, authority, secrets, user);
                var folder = Path.Combine(lab.Folder, "ours");
                files?.Invoke(folder);
                run.Ours = await Gateway.StartAsync(lab.Left, folder, site.Left());
                return run;
            }
            catch
            {
                await run.DisposeAsync();
                throw;
            }
        }

        public async Task UpAsync()
        {
            var up = weInitiate ? await Ours.CliAsync("up", "net") : await Pluto.ControlAsync("--name", "net", "--initiate");
            Assert.True(up.Ok, up.All + Logs);
            await Until.HoldsAsync("a tunnel", Ours.SasAsync, sas => sas is [{ State: "ESTABLISHED", Children: [{ State: "INSTALLED" }] }], _ => Logs, 15);
        }

        public async Task PingAsync()
        {
            var before = Assert.Single(Assert.Single(await Ours.SasAsync()).Children);
            var counts = (await Topology.PingAsync(lab.Left, site.LeftInner, site.RightInner), await Topology.PingAsync(lab.Right, site.RightInner, site.LeftInner));
            Assert.True(counts == ((5, 5), (5, 5)), counts + Logs);
            var after = Assert.Single(Assert.Single(await Ours.SasAsync()).Children);
            Assert.True(after.PacketsIn - before.PacketsIn >= 10 && after.PacketsOut - before.PacketsOut >= 10, Logs);
        }

        /// <summary>Pings both ways, whichever pair carries them.</summary>
        public async Task PingNewestAsync()
        {
            var counts = (await Topology.PingAsync(lab.Left, site.LeftInner, site.RightInner, count: 3), await Topology.PingAsync(lab.Right, site.RightInner, site.LeftInner, count: 3));
            Assert.True(counts == ((3, 3), (3, 3)), counts + Logs);
        }

        public async ValueTask DisposeAsync()
        {
            if (Ours is { } ours) await ours.DisposeAsync();
            if (Pluto is { } pluto) await pluto.DisposeAsync();
            if (_traffic is { } traffic) await traffic.DisposeAsync();
            await lab.DisposeAsync();
        }
    }
}
