using System;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>What becomes of IKEv1 tunnels with strongSwan: several quick modes, rekeying of both phases on command from either side while a ping loses nothing, and deletes from either side.</summary>
[Trait("Area", "interop")]
[Trait("Item", "3.11")]
public sealed class V1LifeTests
{
    [StrongSwanFact]
    public async Task Both_phases_are_rekeyed_from_both_sides_and_no_packet_is_lost()
    {
        (string, Site)[] cells =
        [
            ("rekeying on command", StrongSwanV1Tests.Site),
            ("rekeying on command, PFS", StrongSwanV1Tests.Site with { Esp = "aes256gcm16-ecp256" }),
            ("rekeying on command, aggressive mode", StrongSwanV1Tests.SiteOf("", aggressive: true)),
            ("rekeying on command, RSA", StrongSwanV1Tests.SiteOf("rsa", aggressive: false)),
        ];
        await using var bundle = await StrongSwanV1Tests.StartAsync([.. StrongSwanV1Tests.InBothRoles(cells)]);
        await bundle.EachAsync(StrongSwanV1Tests.Peer, async strand =>
        {
            await bundle.UpAsync(strand);
            var before = await bundle.SettledAsync(strand);
            var ping = PingStream.Start(bundle.Lab.Left, strand.Site.LeftInner, strand.Site.RightInner);
            foreach (var byUs in new[] { true, false, true, false })
            {
                var old = before.Children[0];
                await RekeyAsync(bundle, strand, byUs, child: true);
                before = await bundle.SettledAsync(strand, sa => sa.Children[0].SpiIn != old.SpiIn);
                await Until.HoldsAsync("traffic on the new pair", () => bundle.OursAsync(strand), sas => sas.SelectMany(sa => sa.Children).Any(child => child.SpiIn == before.Children[0].SpiIn && child is { PacketsIn: >= 5, PacketsOut: >= 5 }));
                Assert.Equal(strand.Site.Esp.EndsWith("ecp256", StringComparison.Ordinal) ? "ECP_256" : null, before.Children[0].Body.Text("dh-group"));
            }

            foreach (var byUs in new[] { true, false, true })
            {
                var (old, pair) = (before.Spis, before.Children[0].SpiIn);
                await RekeyAsync(bundle, strand, byUs, child: false);
                before = await bundle.SettledAsync(strand, sa => sa.Spis != old);
                // phase 2 goes on under the new phase 1
                Assert.Equal(pair, before.Children[0].SpiIn);
            }

            var counts = await ping.StopAsync();
            Assert.True(counts.Sent == counts.Received, $"{counts} pings");
            // the new keys are good for another quick mode
            var last = before.Children[0].SpiIn;
            await RekeyAsync(bundle, strand, byUs: true, child: true);
            await bundle.SettledAsync(strand, sa => sa.Children[0].SpiIn != last);
            Assert.True(await bundle.PingBothAsync(strand), "pings after all rekeyings");
            // the peer keeps the phase 1 that it had begun to replace for as long as that would have lived: our delete ends both
            Assert.True((await bundle.Ours.CliAsync("down", strand.Site.Name)).Ok);
            await Until.HoldsAsync("nothing on both sides", async () => (await bundle.OursAsync(strand), await bundle.PeersAsync(strand)), seen => seen.Item1.Count == 0 && seen.Item2.Count == 0, seen => $"{seen.Item1.Count} {seen.Item2.Count}");
        });
        Assert.Equal(0, await bundle.Lab.SeenAsync("inner"));
    }

    [StrongSwanFact]
    public async Task Deletes_from_either_side_leave_nothing()
    {
        (string, Site)[] cells = [("deletes", StrongSwanV1Tests.Site), ("deletes, aggressive mode", StrongSwanV1Tests.SiteOf("", aggressive: true))];
        await using var bundle = await StrongSwanV1Tests.StartAsync([.. StrongSwanV1Tests.InBothRoles(cells)]);
        await bundle.EachAsync(StrongSwanV1Tests.Peer, async strand =>
        {
            foreach (var byUs in new[] { true, false })
            {
                await bundle.UpAsync(strand);
                var first = await bundle.SettledAsync(strand);

                // the child alone: phase 1 stays, and takes another one
                await TerminateAsync(bundle, strand, byUs, child: true);
                await Until.HoldsAsync("phase 1 without children", async () => (await bundle.OursAsync(strand), await bundle.PeersAsync(strand)), seen => seen.Item1 is [{ Children.Count: 0 }] && seen.Item2 is [{ Children.Count: 0 }]);
                await bundle.UpAsync(strand);
                var second = await bundle.SettledAsync(strand);
                Assert.Equal(first.Spis, second.Spis);
                Assert.True(await bundle.PingBothAsync(strand), "pings through the second child");

                await TerminateAsync(bundle, strand, byUs, child: false);
                await Until.HoldsAsync("nothing on both sides", async () => (await bundle.OursAsync(strand), await bundle.PeersAsync(strand)), seen => seen.Item1.Count == 0 && seen.Item2.Count == 0);
            }
        });
        Assert.Equal("", (await Tool.RunAsync("ip", ["-n", bundle.Lab.Left, "route", "show", "table", "8757"])).Output);
    }

    /// <summary>Three at once, the first by who began phase 1, one by the other side; each counts for itself, and one goes while the others stay.</summary>
    [StrongSwanFact]
    public async Task Several_quick_modes_at_once_and_from_either_side()
    {
        Strand[] strands = [.. StrongSwanV1Tests.InBothRoles([("several children, begun by both at once", StrongSwanV1Tests.Site)]).Select((strand, index) => strand with
        {
            Site = strand.Site with { More = [("second", $"10.10.11.{10 + index}/32", $"10.10.12.{10 + index}/32"), ("third", $"10.10.21.{10 + index}/32", $"10.10.22.{10 + index}/32")] },
        })];
        await using var bundle = await Bundle.StartAsync(strands, new Layout { Prepare = AddAsync });
        await bundle.EachAsync(StrongSwanV1Tests.Peer, async strand =>
        {
            await bundle.UpAsync(strand);
            await bundle.SettledAsync(strand);
            var begun = await Task.WhenAll(BeginAsync(strand.WeInitiate, "second"), BeginAsync(!strand.WeInitiate, "third"));
            Assert.All(begun, answer => Assert.True(answer.Bool("success"), answer.Text("errmsg")));
            var (ours, peers) = await Until.HoldsAsync(
                "three pairs of one phase 1",
                async () => (await bundle.OursAsync(strand), await bundle.PeersAsync(strand)),
                seen => seen.Item1 is [{ Children.Count: 3 } sa] && seen.Item2 is [{ Children.Count: 3 } other] && sa.Children.Concat(other.Children).All(child => child.State == "INSTALLED"));
            Assert.Equal(ours[0].Children.Select(child => child.SpiIn).Order(), peers[0].Children.Select(child => child.SpiOut).Order());
            (string Name, string Left, string Right)[] ways = [("net", strand.Site.LeftInner, strand.Site.RightInner), .. strand.Site.More.Select(more => (more.Name, more.Left.Split('/')[0], more.Right.Split('/')[0]))];
            foreach (var way in ways) Assert.True(await bundle.PingBothAsync(strand, way.Left, way.Right), way.Name);
            var sas = Assert.Single(await bundle.OursAsync(strand));
            Assert.All(sas.Children, child => Assert.True(child is { PacketsIn: >= 6 and <= 9, PacketsOut: >= 6 and <= 9, Drops: 0 }, $"{child.Name} {child.PacketsIn} {child.PacketsOut} {child.Drops}"));

            Assert.True((await bundle.Ours.RequestAsync("terminate", new ViciMessage().Add("child-id", IdOf(sas.Children.Single(child => child.Name == "second").Body)).Add("timeout", 5000))).Bool("success"));
            await Until.HoldsAsync("the two others", async () => (await bundle.OursAsync(strand), await bundle.PeersAsync(strand)), seen => seen.Item1 is [{ Children.Count: 2 }] && seen.Item2 is [{ Children.Count: 2 }]);
            Assert.True(await bundle.PingBothAsync(strand, ways[2].Left, ways[2].Right), "pings through the third");

            Task<ViciMessage> BeginAsync(bool byUs, string child)
            {
                var message = new ViciMessage().Add("ike", strand.Site.Name).Add("child", child).Add("timeout", 15_000);
                return byUs ? bundle.Ours.RequestAsync("initiate", message) : bundle.Peer.RequestAsync("initiate", message);
            }
        });

        // kernel-libipsec wants an address of its own in each local selector
        async Task AddAsync(Topology lab)
        {
            foreach (var more in strands.SelectMany(strand => strand.Site.More))
            {
                (await Tool.RunAsync("ip", ["-n", lab.Left, "addr", "add", more.Left, "dev", "lan"])).OrThrow("addr add");
                (await Tool.RunAsync("ip", ["-n", lab.Right, "addr", "add", more.Right, "dev", "lan"])).OrThrow("addr add");
            }
        }
    }

    private static async Task RekeyAsync(Bundle bundle, Strand strand, bool byUs, bool child)
    {
        var sa = (await (byUs ? bundle.OursAsync(strand) : bundle.PeersAsync(strand))).MaxBy(one => one.Body.Number("uniqueid", 0))!;
        var message = child ? new ViciMessage().Add("child-id", IdOf(Newest(sa).Body)) : new ViciMessage().Add("ike-id", IdOf(sa.Body));
        var answer = byUs ? await bundle.Ours.RequestAsync("rekey", message) : await bundle.Peer.RequestAsync("rekey", message);
        Assert.True(answer.Bool("success"), answer.Text("errmsg"));
    }

    private static async Task TerminateAsync(Bundle bundle, Strand strand, bool byUs, bool child)
    {
        var sa = Assert.Single(await (byUs ? bundle.OursAsync(strand) : bundle.PeersAsync(strand)));
        var message = (child ? new ViciMessage().Add("child-id", IdOf(Newest(sa).Body)) : new ViciMessage().Add("ike-id", IdOf(sa.Body))).Add("timeout", 5000);
        var answer = byUs ? await bundle.Ours.RequestAsync("terminate", message) : await bundle.Peer.RequestAsync("terminate", message);
        Assert.True(answer.Bool("success"), answer.Text("errmsg"));
    }

    private static ChildSaView Newest(IkeSaView sa) => sa.Children.MaxBy(child => child.Body.Number("uniqueid", 0))!;

    private static string IdOf(ViciMessage body) => body.Text("uniqueid")!;
}
