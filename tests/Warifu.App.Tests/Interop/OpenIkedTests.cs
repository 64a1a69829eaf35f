using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>OpenIKED as peer: PSK and ECDSA certificates in both roles, rekeying, delete, liveness. Its packaged build has no GCM and no HMAC-SHA-256 for ESP.</summary>
[Trait("Area", "interop")]
[Trait("Item", "2.20")]
public sealed class OpenIkedTests
{
    internal const string Peer = "OpenIKED with a stand-in for the kernel";

    internal const string Needs = "openiked gcc";

    private const string Suite = "aes256-sha256-modp2048", Esp = "aes256-sha512";

    [PeersTheory(Needs)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task With_a_pre_shared_key_it_rekeys_answers_and_deletes(bool weInitiate)
    {
        await using var run = await Run.StartAsync(weInitiate, new Site { Ike = Suite, Esp = Esp, LeftConnection = "dpd_delay = 1s" }, $"psk \"{Site.Secret}\"");
        await run.UpAsync();
        await run.PingAsync();
        Coverage.Passed(Peer, "pre-shared key", weInitiate);

        // liveness: it answers
        var counted = await run.Ours.RequestAsync("get-counters");
        await Until.HoldsAsync("answers to liveness checks", () => run.Ours.RequestAsync("get-counters"), now => Count(now, "info-in-resp") >= Count(counted, "info-in-resp") + 2, _ => run.Logs, 8);
        Coverage.Passed(Peer, "liveness", weInitiate);

        var before = Assert.Single(await run.Ours.SasAsync());
        Assert.True((await run.Ours.CliAsync("rekey", "site", "--child")).Ok, run.Logs);
        await Until.HoldsAsync("a new pair", run.Ours.SasAsync, sas => sas is [{ Children: [var one] }] && one.SpiIn != before.Children[0].SpiIn, _ => run.Logs);
        await run.PingAsync();
        Coverage.Passed(Peer, "child rekey by us", weInitiate);
        Assert.True((await run.Ours.CliAsync("rekey", "site", "--ike")).Ok, run.Logs);
        await Until.HoldsAsync("a new IKE SA", run.UpSasAsync, sas => sas is [{ Children.Count: 1 }] && sas[0].Spis != before.Spis, _ => run.Logs);
        await run.PingAsync();
        Coverage.Passed(Peer, "IKE rekey by us", weInitiate);

        Assert.True((await run.Ours.CliAsync("down", "site")).Ok, run.Logs);
        await Until.HoldsAsync("no SA at the peer", () => run.Iked.ControlAsync("show", "sa"), shown => !shown.Output.Contains("ESTABLISHED", StringComparison.OrdinalIgnoreCase), shown => shown.All + run.Logs);
        await Until.HoldsAsync("no SA of ours", run.Ours.SasAsync, sas => sas.Count == 0, _ => run.Logs);
        Coverage.Passed(Peer, "delete by us", weInitiate);
    }

    [PeersTheory(Needs)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task With_ECDSA_certificates_it_comes_up(bool weInitiate)
    {
        var ca = CertificateTests.EcdsaCa;
        var (left, right) = (ca.Issue("left"), ca.Issue("right"));
        var site = new Site { Ike = Suite, Esp = Esp, LeftAuth = "auth = pubkey\ncerts = left.pem", LeftExpects = "auth = pubkey" };
        await using var run = await Run.StartAsync(weInitiate, site, "", folder => Trusting(folder, ca, left), right, ca.Own);
        await run.UpAsync();
        await run.PingAsync();
        Coverage.Passed(Peer, "ECDSA P-256 certificates", weInitiate);
    }

    private static void Trusting(string folder, TestCa ca, Credential own)
    {
        own.WriteTo(folder);
        ca.Own.TrustIn(folder);
    }

    private static long Count(ViciMessage counters, string name) => counters.Section("counters")!.Section("")!.Number(name, 0);

    /// <summary>Our gateway on the left, iked on the right.</summary>
    private sealed class Run(Topology lab, Site site, bool weInitiate, KeyShim shim) : IAsyncDisposable
    {
        private EspPeer? _traffic;

        public Gateway Ours { get; private set; } = null!;

        public OpenIked Iked { get; private set; } = null!;

        public string Logs => $"\n--- ours\n{Ours?.Log}\n--- iked\n{Iked?.Log}\n--- its traffic\n{string.Join('\n', _traffic?.Faults ?? [])}";

        public static async Task<Run> StartAsync(bool weInitiate, Site site, string auth, Action<string>? files = null, Credential? own = null, Credential? authority = null)
        {
            var lab = await Topology.CreateAsync();
            var run = new Run(lab, site, weInitiate, new KeyShim(Path.Combine(lab.Folder, "sa.json")));
            try
            {
                run._traffic = await EspPeer.StartAsync(lab.Right, run.Shim);
                var configuration = $"""
                    ikev2 "net" {(weInitiate ? "passive" : "active")} esp from {site.RightNet} to {site.LeftNet} local {site.RightHost} peer {site.LeftHost} ikesa enc aes-256 prf hmac-sha2-256 auth hmac-sha2-256 group modp2048 childsa enc aes-256 auth hmac-sha2-512 srcid "right.example.org" dstid "left.example.org" {auth}
                    """;
                // it initiates as soon as it starts
                var folder = Path.Combine(lab.Folder, "ours");
                files?.Invoke(folder);
                run.Ours = await Gateway.StartAsync(lab.Left, folder, site.Left("retransmit_timeout = 1s\nretransmit_tries = 2"));
                run.Iked = await OpenIked.StartAsync(lab.Right, Path.Combine(lab.Folder, "peer"), configuration, run.Shim, own, authority);
                return run;
            }
            catch
            {
                await run.DisposeAsync();
                throw;
            }
        }

        private KeyShim Shim => shim;

        public async Task UpAsync()
        {
            if (weInitiate)
            {
                var up = await Ours.CliAsync("up", "net");
                Assert.True(up.Ok, up.All + Logs);
            }

            await Until.HoldsAsync("a tunnel", Ours.SasAsync, sas => sas is [{ State: "ESTABLISHED", Children: [{ State: "INSTALLED" }] }], _ => Logs, 15);
        }

        /// <summary>It does not answer the delete of an IKE SA that was rekeyed: that one stays for some seconds.</summary>
        public async Task<IReadOnlyList<IkeSaView>> UpSasAsync() => [.. (await Ours.SasAsync()).Where(sa => sa.State == "ESTABLISHED")];

        public async Task PingAsync()
        {
            var before = Assert.Single(Assert.Single(await UpSasAsync()).Children);
            var counts = (await Topology.PingAsync(lab.Left, site.LeftInner, site.RightInner), await Topology.PingAsync(lab.Right, site.RightInner, site.LeftInner));
            Assert.True(counts == ((5, 5), (5, 5)), counts + Logs);
            Assert.Empty(_traffic!.Faults);
            var after = Assert.Single(Assert.Single(await UpSasAsync()).Children);
            Assert.True(after.PacketsIn - before.PacketsIn >= 10 && after.PacketsOut - before.PacketsOut >= 10, Logs);
        }

        public async ValueTask DisposeAsync()
        {
            if (Ours is { } ours) await ours.DisposeAsync();
            if (Iked is { } iked) await iked.DisposeAsync();
            if (_traffic is { } traffic) await traffic.DisposeAsync();
            await lab.DisposeAsync();
        }
    }
}
