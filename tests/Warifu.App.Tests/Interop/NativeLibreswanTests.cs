using System;
using System.IO;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Native ESP, transport mode and ESN with Libreswan: see <see cref="NativeEspTests"/>.</summary>
[Trait("Area", "interop")]
[Trait("Item", "1.20")]
public sealed class NativeLibreswanTests
{
    internal const string Peer = "Libreswan with a stand-in for the kernel";

    private const string Suite = "aes256-sha256-modp2048";

    [PeersTheory("libreswan gcc")]
    [InlineData("aes_gcm256", "aes256gcm16-esn", false, false, true)]
    [InlineData("aes256-sha2_256", "aes256-sha256-esn", false, false, false)]
    [InlineData("aes_gcm128", "aes128gcm16-esn", true, true, true)]
    [InlineData("aes128-sha1", "aes128-sha1", true, true, false)]
    [InlineData("aes128-sha2_256", "aes128-sha256", false, true, true)]
    [InlineData("aes256-sha2_512", "aes256-sha512-esn", false, true, false)]
    [InlineData("aes128-sha2_512", "aes128-sha512", true, false, true)]
    [InlineData("aes_gcm256", "aes256gcm16", true, false, false)]
    [InlineData("chacha20_poly1305", "chacha20poly1305", false, false, true)]
    public Task Native_tunnels(string theirs, string ours, bool outerV6, bool innerV6, bool weInitiate) =>
        WithLibreswanAsync(new Site { Ike = Suite, Esp = ours, OuterV6 = outerV6, InnerV6 = innerV6 }, theirs, weInitiate, "tunnel");

    [PeersTheory("libreswan gcc")]
    [InlineData("aes_gcm256", "aes256gcm16-esn", false, true)]
    [InlineData("aes128-sha2_256", "aes128-sha256-esn", false, false)]
    [InlineData("aes256-sha2_256", "aes256-sha256", true, true)]
    [InlineData("aes_gcm128", "aes128gcm16", true, false)]
    public Task Transport_mode(string theirs, string ours, bool v6, bool weInitiate) => WithLibreswanAsync(NativeEspTests.Transport(ours, v6) with { Ike = Suite }, theirs, weInitiate, "transport");

    private static async Task WithLibreswanAsync(Site site, string esp, bool weInitiate, string mode)
    {
        await using var lab = await Topology.CreateAsync();
        var shim = new KeyShim(Path.Combine(lab.Folder, "sa.json"));
        await using var traffic = await EspPeer.StartAsync(lab.Right, shim);
        var connection = $"""
            left={site.LeftHost}
            leftid=@left.example.org
            {(mode == "tunnel" ? "leftsubnet=" + site.LeftNet : "type=transport")}
            right={site.RightHost}
            rightid=@right.example.org
            {(mode == "tunnel" ? "rightsubnet=" + site.RightNet : "")}
            rightupdown=%disabled
            authby=secret
            ikev2=insist
            ike=aes256-sha2_256-modp2048
            esp={esp}
            esn={(site.Esp.EndsWith("-esn", StringComparison.Ordinal) ? "yes" : "no")}
            auto=add
            """;
        await using var peer = await Libreswan.StartAsync(lab.Right, Path.Combine(lab.Folder, "peer"), connection, Site.Secret, shim);
        await using var ours = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "ours"), site.Left(), "--keylog", Path.Combine(lab.Folder, "keys"));
        var up = weInitiate ? await ours.CliAsync("up", "net") : await peer.ControlAsync("--name", "net", "--initiate");
        Assert.True(up.Ok, $"{up.All}\n{ours.Log}\n{peer.Log}");
        await NativeEspTests.ProveAsync(lab, site, ours, traffic, shim, mode);
        NativeEspTests.Proved(Peer, site, weInitiate, mode);
    }
}
