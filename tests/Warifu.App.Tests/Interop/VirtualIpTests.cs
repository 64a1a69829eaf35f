using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Virtual IPs of both IP versions with strongSwan as gateway and as client, name servers included (R95 to R100).</summary>
[Trait("Area", "interop")]
[Trait("Item", "2.16")]
public sealed class VirtualIpTests
{
    private const string Pools = "pools { p { addrs = 10.3.0.0/24\n dns = 10.10.2.53\n subnet = 10.10.2.0/24\n }\n q { addrs = fd10:3::/96\n dns = fd10:2::53\n } }";

    /// <summary>Left is the client, right the gateway.</summary>
    private static Site Remote => new()
    {
        LeftTs = "dynamic",
        RightTs = "10.10.2.0/24,fd10:2::/64",
        LeftConnection = "vips = 0.0.0.0,::",
        RightConnection = "pools = p,q",
        LeftFromAnywhere = true,
        RightSections = Pools,
    };

    [StrongSwanFact]
    public async Task We_are_the_client_of_strongSwan()
    {
        await using var tunnel = await Tunnel.StartAsync(Remote);
        await tunnel.UpAsync(weInitiate: true);
        var addresses = (await Tool.RunAsync("ip", ["-n", tunnel.OurNs, "-o", "addr", "show", "dev", "warifu0"])).Output;
        Assert.Contains("10.3.0.1/32", addresses);
        Assert.Contains("fd10:3::1/128", addresses);
        await tunnel.PingBothAsync("net", "10.3.0.1", "10.10.2.1");
        await tunnel.PingBothAsync("net", "fd10:3::1", "fd10:2::1");
        // the routes take the virtual IP as source by themselves
        Assert.Contains("src 10.3.0.1", await tunnel.RoutesAsync());
        Assert.Contains("src fd10:3::1", await tunnel.RoutesAsync());
        var sa = await tunnel.OurSaAsync();
        Assert.Contains("10.3.0.1/32", sa.Children.Single().LocalSelectors);
        // resolv.conf is nobody's business here; the servers are told of
        Assert.Contains("10.10.2.53", tunnel.Ours.Log);
        Assert.Contains("resolv.conf is left as it is", tunnel.Ours.Log);
        // rekeying of both kinds keeps the address
        Assert.True((await tunnel.Ours.CliAsync("rekey", "site", "--ike")).Ok, tunnel.Logs);
        await tunnel.AgreeAsync();
        await tunnel.PingBothAsync("net", "10.3.0.1", "10.10.2.1");
        Assert.True((await tunnel.Ours.CliAsync("down", "site")).Ok, tunnel.Logs);
        await tunnel.AllGoneAsync();
        await Until.HoldsAsync("no virtual IP", async () => (await Tool.RunAsync("ip", ["-n", tunnel.OurNs, "-o", "addr", "show", "dev", "warifu0"])).Output, seen => !seen.Contains("10.3.0.1") && !seen.Contains("fd10:3::1"), seconds: 3);
        Coverage.Passed("virtual IPs: kept over rekeying and restart, routes, name servers", true, tunnel.Site);
    }

    [StrongSwanFact]
    public async Task StrongSwan_is_our_client_and_finds_its_address_again_after_we_were_killed()
    {
        await using var tunnel = await Tunnel.StartAsync(Remote, new Layout { WeAreLeft = false, Daemon = $"state_dir = {Path.Combine(Path.GetTempPath(), Path.GetRandomFileName())}" });
        await tunnel.UpAsync(weInitiate: false);
        await tunnel.PingBothAsync("net", "10.10.2.1", "10.3.0.1");
        await tunnel.PingBothAsync("net", "fd10:2::1", "fd10:3::1");
        Assert.Contains("installing DNS server 10.10.2.53", tunnel.Peer.Log);
        // somebody else would get the next one; who was first gets its own again
        tunnel.Ours.Kill();
        await tunnel.StartOursAsync();
        await tunnel.Peer.ControlAsync("--terminate", "--ike", "site", "--timeout", "1", "--force");
        await tunnel.UpAsync(weInitiate: false);
        await tunnel.PingBothAsync("net", "10.10.2.1", "10.3.0.1");
        Coverage.Passed("virtual IPs: kept over rekeying and restart, routes, name servers", false, tunnel.Site);
    }

    [StrongSwanFact]
    public async Task A_pool_without_a_free_address_is_refused_as_the_RFC_says()
    {
        await using var tunnel = await Tunnel.StartAsync(Remote with { RightConnection = "pools = p", RightSections = "pools { p { dns = 10.10.2.53\n static = 10.3.0.7 somebody.example.org\n } }" }, new Layout { WeAreLeft = false });
        var up = await tunnel.TryUpAsync(weInitiate: false);
        Assert.False(up.Ok);
        Assert.Contains("INT_ADDR_FAIL", tunnel.Peer.Log);
        await Until.HoldsAsync("a line that says so", () => Task.FromResult(tunnel.Ours.Log), log => log.Contains("no pool of connection site has an address for left.example.org (INTERNAL_ADDRESS_FAILURE)"), log => log, seconds: 3);
    }

    [StrongSwanFact]
    public async Task A_client_that_asks_for_nothing_is_told_that_it_must()
    {
        await using var tunnel = await Tunnel.StartAsync(Remote with { LeftConnection = "" }, new Layout { WeAreLeft = false });
        Assert.False((await tunnel.TryUpAsync(weInitiate: false)).Ok);
        Assert.Contains("FAIL_CP_REQ", tunnel.Peer.Log);
    }
}
