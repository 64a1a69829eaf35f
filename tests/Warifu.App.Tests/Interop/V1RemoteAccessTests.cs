using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Remote access in IKEv1 with strongSwan: XAuth with a pre-shared key, with RSA and alone (hybrid), addresses by Mode Config, pulled and pushed. The client is left and initiates; we are one or the other.</summary>
[Trait("Area", "interop")]
[Trait("Item", "3.11")]
public sealed class V1RemoteAccessTests
{
    private const string Password = "Ar3etTnp-7x.q";

    private const string Pool = "pools {\np {\naddrs = 10.3.0.0/28\ndns = 10.10.2.53\n}\n}";

    private static readonly TestCa s_ca = TestCa.Root("Lab RSA CA of users", "rsa", 2048);

    private static Site Plain => StrongSwanV1Tests.Site with { MoreSecrets = $"xauth-carol {{\nid = carol\nsecret = \"{Password}\"\n}}" };

    private static Site Rsa => Plain with { LeftAuth = "auth = pubkey\ncerts = left.pem", RightAuth = "auth = pubkey\ncerts = right.pem", LeftExpects = "auth = pubkey", RightExpects = "auth = pubkey" };

    /// <summary>Scenario, the site, whether the client gets an address.</summary>
    internal static IReadOnlyList<(string Scenario, Site Site, bool Address)> Cells { get; } =
    [
        ("XAuth, pre-shared key", WithUser(Plain), false),
        ("XAuth, RSA", WithUser(Rsa), false),
        ("hybrid RSA", Plain with { LeftAuth = "auth = xauth\nxauth_id = carol", LeftExpects = "auth = pubkey", RightAuth = "auth = pubkey\ncerts = right.pem", RightExpects = "auth = xauth" }, false),
        ("Mode Config, pull", WithAddress(Plain), true),
        ("Mode Config, push", WithAddress(Plain) with { Connection = "pull = no" }, true),
        ("XAuth, RSA, Mode Config", WithAddress(WithUser(Rsa)), true),
        ("XAuth, aggressive mode, Mode Config", WithAddress(WithUser(Plain)) with { Connection = "aggressive = yes" }, true),
    ];

    public static IEnumerable<TheoryDataRow<string>> Rows => Cells.Select(cell => new TheoryDataRow<string>(cell.Scenario));

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public Task It_comes_up_in_both_roles(string scenario)
    {
        var cell = Cells.Single(cell => cell.Scenario == scenario);
        return Task.WhenAll(UpAsync(cell, true), UpAsync(cell, false));
    }

    /// <summary>Status 0 and no SA; the side of the gateway says whose password it was.</summary>
    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_wrong_password_gets_nothing(bool weAreClient)
    {
        var site = WithUser(Plain);
        var wrong = site with { MoreSecrets = site.MoreSecrets.Replace(Password, "Wr0ng-3sT.rt", StringComparison.Ordinal) };
        await using var tunnel = await Tunnel.StartAsync(site, Layout(weAreClient) with { PeerSite = wrong });
        var up = await tunnel.TryUpAsync(weAreClient);
        Assert.False(up.Ok, up.All);
        var told = (await tunnel.Ours.CliAsync("explain", "--last")).Output;
        Assert.True(told.Contains("FAILED", StringComparison.Ordinal) && told.Contains("carol", StringComparison.Ordinal) && told.Contains("password", StringComparison.Ordinal), told + tunnel.Logs);
        Assert.DoesNotContain(Password, tunnel.Ours.Log + told, StringComparison.Ordinal);
        await tunnel.AllGoneAsync();
        Coverage.Passed(StrongSwanV1Tests.Peer, "XAuth, wrong password", weAreClient);
    }

    private static async Task UpAsync((string Scenario, Site Site, bool Address) cell, bool weAreClient)
    {
        var site = cell.Site with { RightConnection = cell.Site.RightConnection + (cell.Site.Connection.Contains("aggressive", StringComparison.Ordinal) && !weAreClient ? "\naggressive_psk = yes" : "") };
        await using var tunnel = await Tunnel.StartAsync(site, Layout(weAreClient));
        await tunnel.UpAsync(weAreClient);
        var sa = await tunnel.AgreeAsync();
        var client = cell.Address ? Assert.Single(sa.Body.Items(weAreClient ? "local-vips" : "remote-vips")) : site.LeftInner;
        if (cell.Address) Assert.StartsWith("10.3.0.", client, StringComparison.Ordinal);
        var counts = (await Topology.PingAsync(tunnel.Lab.Left, client, "10.10.2.1"), await Topology.PingAsync(tunnel.Lab.Right, "10.10.2.1", client));
        Assert.True(counts == ((5, 5), (5, 5)), $"{client} {counts}{await tunnel.DescribeAsync()}{tunnel.Logs}");
        if (!weAreClient && cell.Site.MoreSecrets.Length > 0 && cell.Scenario.Contains("XAuth", StringComparison.Ordinal)) Assert.Equal("carol", sa.Body.Text("remote-xauth-id"));
        // the client's delete ends all of it, and its address is free again
        Assert.True((weAreClient ? await tunnel.Ours.CliAsync("down", "site") : await tunnel.Peer.ControlAsync("--terminate", "--ike", "site")).Ok, tunnel.Logs);
        await tunnel.AllGoneAsync();
        Coverage.Passed(StrongSwanV1Tests.Peer, cell.Scenario, weAreClient);
    }

    private static Site WithUser(Site site) => site with { LeftRounds = "local-2 {\nauth = xauth\nxauth_id = carol\n}", RightRounds = "remote-2 {\nauth = xauth\n}" };

    private static Site WithAddress(Site site) => site with { LeftTs = "dynamic", LeftConnection = "vips = 0.0.0.0", RightConnection = "pools = p", RightSections = Pool };

    private static Layout Layout(bool weAreClient) => new()
    {
        WeAreLeft = weAreClient,
        PeerDaemon = StrongSwanV1Tests.PeerDaemon,
        Files = folder => Write(folder, weAreClient ? "left" : "right"),
        PeerFiles = folder => Write(folder, weAreClient ? "right" : "left"),
    };

    private static void Write(string folder, string side)
    {
        s_ca.Issue(side, "rsa", 2048).WriteTo(folder);
        s_ca.Own.TrustIn(folder);
    }
}
