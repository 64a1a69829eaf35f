using System.IO;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Tunnels with strongSwan, in both roles, judged by ping and by our own SA counters.</summary>
[Trait("Area", "interop")]
public sealed class StrongSwanTests
{
    [StrongSwanTheory]
    [Trait("Smoke", "yes")]
    [InlineData(true)]
    [InlineData(false)]
    public Task A_ping_crosses_the_tunnel(bool weInitiate) => PingThroughAsync(new Site(), weInitiate);

    [StrongSwanTheory]
    [InlineData("aes128-sha1-modp2048", "aes128-sha1")]
    [InlineData("aes256-sha256-modp2048", "aes256-sha256-modp2048")]
    [InlineData("aes256-sha512-ecp521", "aes256-sha512-ecp521")]
    [InlineData("aes192-sha384-modp3072", "aes192-sha384")]
    [InlineData("aes128gcm16-prfsha256-ecp256", "aes128gcm16-ecp256")]
    [InlineData("aes256gcm8-prfsha512-x25519", "aes256gcm8")]
    [InlineData("aes128gcm12-prfsha256-modp4096", "aes128gcm12")]
    [InlineData("aes256ccm16-prfsha256-x25519", "aes256ccm16")]
    [InlineData("aes128ccm8-prfsha384-ecp384", "aes128ccm8")]
    [InlineData("chacha20poly1305-prfsha256-x25519", "chacha20poly1305")]
    [InlineData("3des-sha1-modp2048", "3des-sha1")]
    [InlineData("aes256ctr-sha256-x25519", "aes256ctr-sha256")]
    [InlineData("aes128-aesxcbc-prfaesxcbc-ecp256", "aes128-aesxcbc")]
    [InlineData("aes128-aescmac-prfaescmac-x448", "aes128-aescmac")]
    [InlineData("camellia256-sha256-ecp256bp", "camellia256-sha256")]
    [InlineData("aes128-md5-modp1536", "aes128-md5")]
    public async Task Every_suite_in_both_roles(string ike, string esp)
    {
        // the packaged kernel-libipsec carries what strongSwan's own crypto has; ESN it has not
        await PingThroughAsync(new Site { Ike = ike, Esp = esp }, weInitiate: true);
        await PingThroughAsync(new Site { Ike = ike, Esp = esp }, weInitiate: false);
    }

    [StrongSwanTheory]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task IPv4_and_IPv6_outside_and_inside(bool outerV6, bool innerV6)
    {
        await PingThroughAsync(new Site { OuterV6 = outerV6, InnerV6 = innerV6 }, weInitiate: true);
        await PingThroughAsync(new Site { OuterV6 = outerV6, InnerV6 = innerV6 }, weInitiate: false);
    }

    internal static async Task PingThroughAsync(Site site, bool weInitiate)
    {
        await using var lab = await Topology.CreateAsync();
        await using var peer = await StrongSwan.StartAsync(lab.Right, Path.Combine(lab.Folder, "peer"), site.Right());
        await using var ours = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "ours"), site.Left());
        await UpAsync(ours, peer, weInitiate);
        await PingBothAsync(lab, site, ours);
    }

    internal static async Task UpAsync(Gateway ours, StrongSwan peer, bool weInitiate, string name = "net")
    {
        var up = weInitiate ? await ours.CliAsync("up", name) : await peer.ControlAsync("--initiate", "--child", name, "--timeout", "10");
        Assert.True(up.Ok, $"{up.All}\n{ours.Log}\n{peer.Log}");
    }

    /// <summary>Pings in both directions, and finds them in our counters.</summary>
    internal static async Task PingBothAsync(Topology lab, Site site, Gateway ours)
    {
        var before = await ours.CliAsync("list", "sas", "--json");
        Assert.Equal((5, 5), await Topology.PingAsync(lab.Left, site.LeftInner, site.RightInner));
        Assert.Equal((5, 5), await Topology.PingAsync(lab.Right, site.RightInner, site.LeftInner));
        var after = await ours.CliAsync("list", "sas", "--json");
        Assert.True(Lab.Json.Sum(after.Output, "packets-in") - Lab.Json.Sum(before.Output, "packets-in") >= 10, after.Output);
        Assert.True(Lab.Json.Sum(after.Output, "packets-out") - Lab.Json.Sum(before.Output, "packets-out") >= 10, after.Output);
    }
}
