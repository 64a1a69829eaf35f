using System;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Remote access by IKEv1 with strongSwan as gateway and as client: XAuth with a pre-shared key and with RSA, hybrid RSA, Mode Config pull and push (item 3.6).</summary>
[Trait("Area", "interop")]
[Trait("Item", "3.6")]
[Trait("Item", "3.11")]
public sealed class XauthTests
{
    private const string Pool = "pools { p { addrs = 10.3.0.0/24\n dns = 10.10.2.53\n nbns = 10.10.2.54\n } }";

    private const string Users = "xauth-c { id = carol\n secret = \"Ar3etTnp\" }";

    private static readonly TestCa s_ca = TestCa.Root("Lab XAuth CA", "rsa", 2048);

    private static readonly Credential s_left = s_ca.Issue("left", "rsa", 2048), s_right = s_ca.Issue("right", "rsa", 2048);

    /// <summary>Left is the client, right the gateway.</summary>
    private static Site Psk => new()
    {
        Version = 1,
        Ike = "aes256-sha256-modp2048",
        Esp = "aes256-sha256",
        LeftRounds = "local-2 { auth = xauth\n xauth_id = carol\n }",
        RightRounds = "remote-2 { auth = xauth\n }",
        MoreSecrets = Users,
    };

    private static Site Rsa => Psk with
    {
        LeftAuth = "auth = pubkey\n certs = left.pem",
        RightAuth = "auth = pubkey\n certs = right.pem",
        LeftExpects = "auth = pubkey",
        RightExpects = "auth = pubkey",
        Connection = "send_cert = always",
    };

    private static Site Hybrid => Rsa with { LeftAuth = "auth = xauth\n xauth_id = carol", LeftRounds = "", RightExpects = "auth = xauth", RightRounds = "" };

    private static Site WithPool(Site site, string pull) => site with
    {
        LeftTs = "dynamic",
        LeftConnection = $"vips = 0.0.0.0\n pull = {pull}",
        RightConnection = $"pools = p\n pull = {pull}",
        RightSections = Pool,
    };

    [StrongSwanTheory]
    [InlineData("psk", false)]
    [InlineData("psk", true)]
    [InlineData("rsa", false)]
    [InlineData("hybrid", false)]
    [InlineData("hybrid", true)]
    public Task A_user_proves_itself_and_packets_pass(string way, bool aggressive) => BothRolesAsync(async weAreClient =>
    {
        var site = Of(way) with { Connection = $"{Of(way).Connection}\n aggressive = {(aggressive ? "yes" : "no")}" };
        if (aggressive && !weAreClient) site = site with { RightConnection = "aggressive_psk = yes" };
        // our answer is at most three times as long as what it answers, which leaves no room for a certificate
        if (aggressive && !weAreClient && way == "hybrid") site = site with { LeftExpects = "auth = pubkey\n certs = right.pem" };
        await using var tunnel = await StartAsync(site, weAreClient, aggressive);
        await tunnel.UpAsync(weInitiate: weAreClient);
        await tunnel.PingBothAsync();
        var sa = await tunnel.AgreeAsync();
        if (!weAreClient) Assert.Equal("carol", sa.Body.Text("remote-xauth-id"));
        else Assert.Contains("XAuth authentication of 'carol' successful", tunnel.Peer.Log, StringComparison.Ordinal);
    });

    [StrongSwanTheory]
    [InlineData("psk")]
    [InlineData("hybrid")]
    public Task A_wrong_password_makes_no_SA(string way) => BothRolesAsync(async weAreClient =>
    {
        await using var tunnel = await StartAsync(Of(way) with { MoreSecrets = "", LeftSections = "secrets { xauth-c { id = carol\n secret = wrong\n } }", RightSections = $"secrets {{ {Users} }}" }, weAreClient);
        Assert.False((await tunnel.TryUpAsync(weInitiate: weAreClient)).Ok);
        await tunnel.AllGoneAsync();
        if (weAreClient) Assert.Contains("the peer refused user carol (XAuth)", tunnel.Ours.Log, StringComparison.Ordinal);
        else Assert.Contains("user carol is refused (XAuth): the password is wrong", tunnel.Ours.Log, StringComparison.Ordinal);
        if (!weAreClient) Assert.Contains("XAuth authentication of 'carol' (myself) failed", tunnel.Peer.Log, StringComparison.Ordinal);
    });

    /// <summary>A new phase 1 of the client keeps address and children.</summary>
    [StrongSwanTheory]
    [InlineData("none", "yes", false)]
    [InlineData("none", "no", false)]
    [InlineData("psk", "yes", true)]
    [InlineData("psk", "no", false)]
    [InlineData("hybrid", "yes", false)]
    public Task A_client_gets_an_address_by_pull_and_by_push(string way, string pull, bool anew) => BothRolesAsync(async weAreClient =>
    {
        await using var tunnel = await StartAsync(WithPool(Of(way), pull), weAreClient);
        await tunnel.UpAsync(weInitiate: weAreClient);
        await PingAsync();
        var sa = await tunnel.AgreeAsync();
        Assert.Contains("10.3.0.1", sa.Body.Items(weAreClient ? "local-vips" : "remote-vips"));
        if (!weAreClient) Assert.Contains("installing DNS server 10.10.2.53", tunnel.Peer.Log, StringComparison.Ordinal);
        if (weAreClient) Assert.Contains("10.10.2.53", tunnel.Ours.Log, StringComparison.Ordinal);
        if (weAreClient) Assert.Contains("src 10.3.0.1", await tunnel.RoutesAsync(), StringComparison.Ordinal);
        if (anew)
        {
            var reauth = weAreClient ? await tunnel.Ours.CliAsync("reauth", "site") : await tunnel.Peer.ControlAsync("--rekey", "--ike", "site", "--reauth");
            Assert.True(reauth.Ok, reauth.Output + tunnel.Logs);
            // strongSwan as client keeps its old one, without children, until its time is over
            await Until.HoldsAsync(
                "a new phase 1 with the pair of the old one",
                tunnel.Ours.SasAsync,
                sas => sas.Any(one => one.State == "ESTABLISHED" && one.Spis != sa.Spis && one.Children.Count == 1 && one.Children[0].SpiIn == sa.Children[0].SpiIn && one.Body.Items(weAreClient ? "local-vips" : "remote-vips").Contains("10.3.0.1")),
                sas => string.Join(' ', sas.Select(one => one.Spis + one.State)) + tunnel.Logs);
            Assert.Equal((5, 5), await (weAreClient ? Topology.PingAsync(tunnel.OurNs, "10.3.0.1", "10.10.2.1") : Topology.PingAsync(tunnel.OurNs, "10.10.2.1", "10.3.0.1")));
            if (weAreClient) await tunnel.AgreeAsync();
        }

        await (weAreClient ? tunnel.Ours.CliAsync("down", "site") : tunnel.Peer.ControlAsync("--terminate", "--ike", "site"));
        await tunnel.AllGoneAsync();

        Task PingAsync() => weAreClient ? tunnel.PingBothAsync("net", "10.3.0.1", "10.10.2.1") : tunnel.PingBothAsync("net", "10.10.2.1", "10.3.0.1");
    });

    private static Site Of(string way) => way switch { "psk" => Psk, "rsa" => Rsa, "hybrid" => Hybrid, _ => Psk with { LeftRounds = "", RightRounds = "" } };

    private static Task BothRolesAsync(Func<bool, Task> run) => Task.WhenAll(run(true), run(false));

    private static Task<Tunnel> StartAsync(Site site, bool weAreClient, bool aggressive = false)
    {
        // what only we have a word for
        var peers = site with { RightConnection = site.RightConnection.Replace("aggressive_psk = yes", "", StringComparison.Ordinal) };
        return Tunnel.StartAsync(site, new Layout
        {
            WeAreLeft = weAreClient,
            PeerSite = peers,
            PeerDaemon = aggressive ? "i_dont_care_about_security_and_use_aggressive_mode_psk = yes" : "",
            Files = folder => Write(folder, weAreClient),
            PeerFiles = folder => Write(folder, !weAreClient),
        });
    }

    private static void Write(string folder, bool isLeft)
    {
        (isLeft ? s_left : s_right).WriteTo(folder);
        Credential.Write(folder, "x509", "right.pem", s_right.Pem);
        s_ca.Own.TrustIn(folder);
    }
}
