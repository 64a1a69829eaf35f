using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Remote access in IKEv1 with strongSwan as gateway and as client, which initiates: XAuth with a pre-shared key, with RSA and alone (hybrid), addresses by Mode Config, pulled and pushed. Each user has a connection of its own.</summary>
[Trait("Area", "interop")]
[Trait("Item", "3.6")]
[Trait("Item", "3.11")]
public sealed class V1RemoteAccessTests
{
    private const string Password = "Ar3etTnp-7x.q", WrongPassword = "Wr0ng-3sT.rt";

    private static readonly TestCa s_ca = TestCa.Root("Lab RSA CA of users", "rsa", 2048);

    private static Site Rsa => StrongSwanV1Tests.Site with { LeftAuth = "auth = pubkey\ncerts = left.pem", RightAuth = "auth = pubkey\ncerts = right.pem", LeftExpects = "auth = pubkey", RightExpects = "auth = pubkey" };

    private static Site Hybrid => Rsa with { LeftAuth = "auth = xauth\nxauth_id = USER", RightExpects = "auth = xauth" };

    /// <summary>What must come up. The client is left; words in capitals are set for each user.</summary>
    private static IReadOnlyList<Access> Accesses { get; } =
    [
        new("XAuth, pre-shared key", WithUser(StrongSwanV1Tests.Site)),
        new("XAuth, RSA", WithUser(Rsa)),
        new("hybrid RSA", Hybrid),
        new("XAuth, aggressive mode", Aggressive(WithUser(StrongSwanV1Tests.Site))),
        // an answer of ours is at most three times as long as what it answers, which leaves no room for a certificate: the client has it
        new("hybrid RSA, aggressive mode", Aggressive(Hybrid) with { LeftExpects = "auth = pubkey\ncerts = right.pem" }),
        new("Mode Config, pull", WithAddress(StrongSwanV1Tests.Site, "yes")),
        new("Mode Config, push", WithAddress(StrongSwanV1Tests.Site, "no")),
        new("XAuth, pre-shared key, Mode Config", WithAddress(WithUser(StrongSwanV1Tests.Site), "yes")) { Anew = true },
        new("XAuth, pre-shared key, Mode Config, push", WithAddress(WithUser(StrongSwanV1Tests.Site), "no")),
        new("XAuth, RSA, Mode Config", WithAddress(WithUser(Rsa), "yes")) { Anew = true },
        new("XAuth, aggressive mode, Mode Config", WithAddress(Aggressive(WithUser(StrongSwanV1Tests.Site)), "yes")),
        new("hybrid RSA, Mode Config", WithAddress(Hybrid, "yes")),
    ];

    private static IReadOnlyList<Access> Refused { get; } = [new("XAuth, wrong password", WithUser(StrongSwanV1Tests.Site)), new("hybrid RSA, wrong password", Hybrid)];

    /// <summary>Rows of the coverage.</summary>
    internal static IEnumerable<string> Scenarios => Accesses.Concat(Refused).Select(access => access.Scenario);

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Users_prove_themselves_and_get_their_addresses(bool weAreClient)
    {
        await using var bundle = await StartAsync(Accesses, weAreClient);
        await bundle.EachAsync(StrongSwanV1Tests.Peer, async strand =>
        {
            var access = Accesses.Single(access => access.Scenario == strand.Scenario);
            var (user, site) = (UserOf(strand), strand.Site);
            await bundle.UpAsync(strand);
            var sa = await bundle.SettledAsync(strand);
            var vips = Vips(sa);
            Assert.Equal(access.HasAddress ? [NetworkOf(strand) + "1"] : [], vips);
            var (left, right) = weAreClient ? (vips.FirstOrDefault(), null) : ((string?)null, vips.FirstOrDefault());
            await PingAsync();
            if (access.HasUser && !weAreClient) Assert.Equal(user, sa.Body.Text("remote-xauth-id"));
            if (access.HasUser && weAreClient) Assert.Contains($"XAuth authentication of '{user}' successful", bundle.Peer.Log, StringComparison.Ordinal);
            if (access.HasAddress)
            {
                Assert.Contains(weAreClient ? DnsOf(strand) : $"installing DNS server {DnsOf(strand)}", weAreClient ? bundle.Ours.Log : bundle.Peer.Log, StringComparison.Ordinal);
                if (weAreClient) Assert.Contains($"{site.RightInner} dev warifu0 proto 87 scope link src {left}", (await Topology.InAsync(bundle.Lab.Left, "ip", "route", "show", "table", "8757")).Output, StringComparison.Ordinal);
            }

            if (access.Anew)
            {
                // the client's new phase 1 takes address and pair over; strongSwan keeps its old one, without children, until its time is over
                var anew = weAreClient ? await bundle.Ours.CliAsync("reauth", site.Name) : await bundle.Peer.ControlAsync("--rekey", "--ike", site.Name, "--reauth");
                Assert.True(anew.Ok, anew.All);
                await Until.HoldsAsync(
                    "a new phase 1 with address and pair of the old one",
                    () => bundle.OursAsync(strand),
                    sas => sas.Any(one => one.State == "ESTABLISHED" && one.Spis != sa.Spis && Vips(one).SequenceEqual(vips) && one.Children is [{ } child] && child.SpiIn == sa.Children[0].SpiIn),
                    sas => string.Join(' ', sas.Select(one => one.Spis + one.State)));
                await PingAsync();
            }

            // the client's delete ends all of it
            var down = weAreClient ? await bundle.Ours.CliAsync("down", site.Name) : await bundle.Peer.ControlAsync("--terminate", "--ike", site.Name);
            Assert.True(down.Ok, down.All);
            await NothingIsLeftAsync(bundle, strand);

            async Task PingAsync()
            {
                var before = Counted(await bundle.OursAsync(strand));
                Assert.True(await bundle.PingBothAsync(strand, left, right), "pings are lost");
                var after = Counted(await bundle.OursAsync(strand));
                Assert.True(after.In - before.In >= 6 && after.Out - before.Out >= 6 && after.Drops == 0, $"{before} {after}");
            }

            string[] Vips(IkeSaView one) => [.. one.Body.Items(weAreClient ? "local-vips" : "remote-vips")];
        });
        Assert.Equal(0, await bundle.Lab.SeenAsync("inner"));
        Assert.DoesNotContain(Password, bundle.Ours.Log, StringComparison.Ordinal);
    }

    /// <summary>Status 0 and no SA; the side of the gateway says whose password it was.</summary>
    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_wrong_password_gets_nothing(bool weAreClient)
    {
        await using var bundle = await StartAsync(Refused, weAreClient);
        await bundle.EachAsync(StrongSwanV1Tests.Peer, async strand =>
        {
            var user = UserOf(strand);
            Assert.False((await bundle.TryUpAsync(strand)).Bool("success"), "it came up");
            var told = (await bundle.Ours.CliAsync("explain", strand.Site.Name)).Output;
            foreach (var part in new[] { "FAILED", user, "password" }) Assert.Contains(part, told, StringComparison.Ordinal);
            Assert.Contains(weAreClient ? $"the peer refused user {user} (XAuth)" : $"user {user} is refused (XAuth): the password is wrong", bundle.Ours.Log, StringComparison.Ordinal);
            if (!weAreClient) Assert.Contains($"XAuth authentication of '{user}' (myself) failed", bundle.Peer.Log, StringComparison.Ordinal);
            foreach (var password in new[] { Password, WrongPassword }) Assert.DoesNotContain(password, bundle.Ours.Log + told, StringComparison.Ordinal);
            await NothingIsLeftAsync(bundle, strand);
        });
    }

    private static async Task NothingIsLeftAsync(Bundle bundle, Strand strand)
    {
        await Until.HoldsAsync("no SA on either side", async () => (await bundle.OursAsync(strand), await bundle.PeersAsync(strand)), seen => seen.Item1.Count + seen.Item2.Count == 0, seen => $"{seen.Item1.Count} {seen.Item2.Count}");
        await Until.HoldsAsync("no route", () => Topology.InAsync(bundle.Lab.Left, "ip", "route", "show", "table", "8757"), shown => !shown.Output.Contains(strand.Site.RightInner + " ", StringComparison.Ordinal) && !shown.Output.Contains(NetworkOf(strand), StringComparison.Ordinal), shown => shown.Output, seconds: 3);
    }

    private static (long In, long Out, long Drops) Counted(IReadOnlyList<IkeSaView> sas)
    {
        var children = sas.SelectMany(sa => sa.Children).ToList();
        return (children.Sum(child => child.PacketsIn), children.Sum(child => child.PacketsOut), children.Sum(child => child.Drops));
    }

    private static Site WithUser(Site site) => site with { LeftRounds = "local-2 {\nauth = xauth\nxauth_id = USER\n}", RightRounds = "remote-2 {\nauth = xauth\n}" };

    private static Site Aggressive(Site site) => site with { Connection = "aggressive = yes\nsend_cert = always" };

    private static Site WithAddress(Site site, string pull) => site with
    {
        Connection = site.Connection + $"\npull = {pull}",
        LeftTs = "dynamic",
        LeftConnection = "vips = 0.0.0.0",
        RightConnection = "pools = USER",
        RightSections = "pools {\nUSER {\naddrs = NETWORK1-NETWORK9\ndns = DNS\nnbns = 10.10.2.54\n}\n}",
    };

    private static Task<Bundle> StartAsync(IReadOnlyList<Access> accesses, bool weAreClient)
    {
        Strand[] strands = [.. accesses.Select((access, index) =>
        {
            var wrong = Refused.Contains(access);
            var site = Filled(access.Site, index) with { MoreSecrets = Secrets(index, Password) };
            // what only we have a word for
            if (!weAreClient && site.Connection.Contains("aggressive", StringComparison.Ordinal)) site = site with { RightConnection = site.RightConnection + "\naggressive_psk = yes" };
            if (!weAreClient) site = site.Turned();
            return new Strand(access.Scenario, weAreClient, site) { Spoiled = wrong ? one => one with { MoreSecrets = Secrets(index, WrongPassword) } : null };
        })];
        var (client, gateway) = (Issue("left", weAreClient ? "left" : "right"), Issue("right", weAreClient ? "right" : "left"));
        return Bundle.StartAsync(strands, new Layout { PeerDaemon = StrongSwanV1Tests.PeerDaemon, Files = folder => Write(folder, weAreClient), PeerFiles = folder => Write(folder, !weAreClient) });

        static string Secrets(int index, string password) => $"xauth-{User(index)} {{\nid = {User(index)}\nsecret = \"{password}\"\n}}";

        void Write(string folder, bool isClient)
        {
            (isClient ? client : gateway).WriteTo(folder);
            Credential.Write(folder, "x509", gateway.Name + ".pem", gateway.Pem);
            s_ca.Own.TrustIn(folder);
        }

        Credential Issue(string name, string side) => s_ca.Issue(name, "rsa", 2048, wanted => wanted with { AlternativeNames = [.. accesses.Select((_, index) => Bundle.Identity(side, index))] });
    }

    private static Site Filled(Site site, int index)
    {
        string Fill(string text) => text.Replace("USER", User(index), StringComparison.Ordinal).Replace("NETWORK", Network(index), StringComparison.Ordinal).Replace("DNS", Dns(index), StringComparison.Ordinal);
        return site with { LeftAuth = Fill(site.LeftAuth), LeftRounds = Fill(site.LeftRounds), RightConnection = Fill(site.RightConnection), RightSections = Fill(site.RightSections) };
    }

    private static int IndexOf(Strand strand) => int.Parse(strand.Site.Name[1..], CultureInfo.InvariantCulture) - Bundle.FirstHost;

    private static string UserOf(Strand strand) => User(IndexOf(strand));

    private static string NetworkOf(Strand strand) => Network(IndexOf(strand));

    private static string DnsOf(Strand strand) => Dns(IndexOf(strand));

    private static string User(int index) => string.Create(CultureInfo.InvariantCulture, $"carol{index}");

    private static string Network(int index) => string.Create(CultureInfo.InvariantCulture, $"10.3.{index}.");

    private static string Dns(int index) => string.Create(CultureInfo.InvariantCulture, $"10.10.53.{index + 1}");

    /// <summary>A way to get in.</summary>
    private sealed record Access(string Scenario, Site Site)
    {
        /// <summary>The client authenticates anew meanwhile.</summary>
        public bool Anew { get; init; }

        public bool HasAddress => Site.LeftTs == "dynamic";

        public bool HasUser => Site.LeftRounds.Length > 0 || Site.LeftAuth.Contains("xauth", StringComparison.Ordinal);
    }
}
