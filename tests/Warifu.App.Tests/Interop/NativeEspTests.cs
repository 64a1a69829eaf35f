using System;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>
/// Native ESP (IP protocol 50), transport mode and ESN with strongSwan. It negotiates; what it hands to "the kernel" goes to a strict ESP of the lab's own, which carries the pings.
/// </summary>
[Trait("Area", "interop")]
[Trait("Item", "1.20")]
public sealed class NativeEspTests
{
    internal const string ShimmedStrongSwan = "strongSwan with a stand-in for the kernel";

    [PeersTheory("strongswan gcc")]
    [InlineData("aes256gcm16", false)]
    [InlineData("aes128gcm8-esn", true)]
    [InlineData("aes256gcm12", true)]
    [InlineData("aes256-sha256", true)]
    [InlineData("aes256-sha256-esn", false)]
    [InlineData("aes128-sha512-esn", true)]
    [InlineData("chacha20poly1305-esn", false)]
    [InlineData("aes256ccm16-esn", true)]
    [InlineData("aes128gmac-esn", false)]
    [InlineData("aes128ctr-sha384", false)]
    [InlineData("3des-sha1", false)]
    [InlineData("camellia256-md5", false)]
    [InlineData("null-sha256", true)]
    [InlineData("aes128-aescmac", false)]
    public Task Native_tunnels(string esp, bool weInitiate) => WithStrongSwanAsync(new Site { Esp = esp }, weInitiate, "tunnel");

    [PeersTheory("strongswan gcc")]
    [InlineData("aes256gcm16", false, true, true)]
    [InlineData("aes128-sha256-esn", false, true, false)]
    [InlineData("aes256gcm16-esn", true, false, true)]
    [InlineData("aes128-sha384", true, false, false)]
    [InlineData("aes256-sha256-esn", true, true, true)]
    [InlineData("aes256gcm16-esn", true, true, false)]
    public Task Native_tunnels_of_the_other_families(string esp, bool outerV6, bool innerV6, bool weInitiate) => WithStrongSwanAsync(new Site { Esp = esp, OuterV6 = outerV6, InnerV6 = innerV6 }, weInitiate, "tunnel");

    [PeersTheory("strongswan gcc")]
    [InlineData("aes256gcm16-esn", false, true)]
    [InlineData("aes256-sha256", false, false)]
    [InlineData("aes128gcm16", true, false)]
    [InlineData("aes128-sha256-esn", true, true)]
    public Task Transport_mode(string esp, bool v6, bool weInitiate) => WithStrongSwanAsync(Transport(esp, v6), weInitiate, "transport");

    internal static Site Transport(string esp, bool v6)
    {
        var site = new Site { Esp = esp, OuterV6 = v6, InnerV6 = v6, Child = "mode = transport" };
        return site with { LeftTs = site.LeftHost, RightTs = site.RightHost };
    }

    private static async Task WithStrongSwanAsync(Site site, bool weInitiate, string mode)
    {
        await using var lab = await Topology.CreateAsync();
        var shim = new KeyShim(Path.Combine(lab.Folder, "sa.json"));
        await using var traffic = await EspPeer.StartAsync(lab.Right, shim);
        await using var peer = await StrongSwan.StartAsync(lab.Right, Path.Combine(lab.Folder, "peer"), site.Right(), shim: shim);
        await using var ours = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "ours"), site.Left(), "--keylog", Path.Combine(lab.Folder, "keys"));
        var up = weInitiate ? await ours.CliAsync("up", "net") : await peer.ControlAsync("--initiate", "--child", "net", "--timeout", "10");
        Assert.True(up.Ok, $"{up.All}\n{ours.Log}\n{peer.Log}");
        await ProveAsync(lab, site, ours, traffic, shim, mode);
        Proved(ShimmedStrongSwan, site, weInitiate, mode);
    }

    /// <summary>Pings both ways, large ones too; the strict receiver found nothing odd; modes, ESN and keys are the same on both sides.</summary>
    internal static async Task ProveAsync(Topology lab, Site site, Gateway ours, EspPeer traffic, KeyShim shim, string mode)
    {
        var (left, right) = mode == "tunnel" ? (site.LeftInner, site.RightInner) : (site.LeftHost, site.RightHost);
        var ping = (From: await Topology.PingAsync(lab.Left, left, right), Back: await Topology.PingAsync(lab.Right, right, left), Large: await Topology.PingAsync(lab.Left, left, right, count: 3, size: 1201));
        var sas = (await ours.CliAsync("list", "sas", "--json")).Output;
        Assert.True(ping == ((5, 5), (5, 5), (3, 3)), $"{ping}\n{string.Join('\n', traffic.Faults)}\n{sas}\n{ours.Log}");
        Assert.Empty(traffic.Faults);
        Assert.True(traffic.Received >= 13 && traffic.Sent >= 13, $"{traffic.Received} received, {traffic.Sent} sent by the peer");
        Assert.True(Json.Sum(sas, "packets-in") >= 13 && Json.Sum(sas, "packets-out") >= 13, sas);

        var pair = shim.Lines().Where(line => line.Op == "sa" && line.CipherKey.Length + line.MacKey.Length > 0).DistinctBy(line => line.Spi).ToArray();
        Assert.Equal(2, pair.Length);
        Assert.All(pair, line => Assert.Equal((mode, site.Esp.EndsWith("-esn", StringComparison.Ordinal), 0), (line.Mode, line.Esn, line.Encapsulation)));
        CompareKeys(pair, Path.Combine(lab.Folder, "keys", "esp_sa"));
    }

    internal static void Proved(string peer, Site site, bool weInitiate, string mode)
    {
        Coverage.Passed(peer, mode == "tunnel" ? "native ESP, tunnel mode" : "native ESP, transport mode", weInitiate, site.OuterV6, site.InnerV6);
        if (site.Esp.EndsWith("-esn", StringComparison.Ordinal) && !site.OuterV6 && !site.InnerV6) Coverage.Passed(peer, "native ESP, ESN", weInitiate);
    }

    /// <summary>What our key log says of the pair is what the peer gave to "the kernel".</summary>
    private static void CompareKeys(ShimLine[] pair, string file)
    {
        // what Wireshark has no name for is not in it
        if (pair[0].Cipher.StartsWith("rfc4309", StringComparison.Ordinal) || pair[0].Cipher.StartsWith("rfc4543", StringComparison.Ordinal) || pair[0].Cipher.StartsWith("rfc7539", StringComparison.Ordinal) || pair[0].Cipher.Contains("camellia", StringComparison.Ordinal)) return;
        var rows = File.ReadAllLines(file).Select(line => line.Split(',').Select(field => field.Trim('"')).ToArray()).ToArray();
        Assert.Equal(2, rows.Length);
        foreach (var line in pair)
        {
            var row = Assert.Single(rows, row => row[3] == $"0x{line.Spi:x8}");
            Assert.Equal(Prefixed(line.CipherKey), row[5]);
            Assert.Equal(Prefixed(line.MacKey), row[7]);
            Assert.Equal((line.Source, line.Destination), (row[1], row[2]));
        }
    }

    private static string Prefixed(string hex) => hex.Length == 0 ? "" : "0x" + hex;
}
