using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>
/// An independent dissector looks at a whole life of a tunnel between two of our gateways: it decodes every packet without a complaint, and with the key log it shows what is inside IKE and ESP.
/// </summary>
[Trait("Area", "interop")]
[Trait("Item", "1.22")]
public sealed class TsharkLifeTests
{
    private const int Informational = 37, CreateChild = 36, Auth = 35;
    private const int PayloadDelete = 42, PayloadTs = 44, PayloadNotify = 41, PayloadSa = 33, PayloadAuth = 39;

    [PeersTheory("tshark tcpdump")]
    [InlineData("aes256gcm16-prfsha384-ecp384", "aes256gcm16-esn", false, false)]
    [InlineData("aes128gcm8-prfsha256-x25519", "aes128gcm8", true, true)]
    [InlineData("aes256gcm12-prfsha512-modp2048", "aes256gcm12", false, true)]
    [InlineData("aes256-sha256-modp2048", "aes256-sha256", true, false)]
    [InlineData("aes128-sha512-ecp256", "aes128-sha512-esn", false, false)]
    [InlineData("aes192-sha384-x25519", "aes128ctr-sha384", false, false)]
    [InlineData("3des-md5-modp1536", "3des-md5", false, false)]
    [InlineData("aes256ccm16-prfsha256-x25519", "null-sha256", false, false)]
    [InlineData("aes128-sha1-x25519", "aes128-aescmac", false, false)]
    public async Task Every_packet_of_a_tunnels_life_decodes_and_decrypts(string ike, string esp, bool outerV6, bool innerV6)
    {
        await using var lab = await Topology.CreateAsync();
        var site = new Site { Ike = ike, Esp = esp, OuterV6 = outerV6, InnerV6 = innerV6, Connection = "dpd_delay = 1s", More = [("second", innerV6 ? "fd10:1::1/128" : "10.10.1.1/32", innerV6 ? "fd10:2::7/128" : "10.10.2.7/32")] };
        var packets = await LiveAsync(lab, site, native: true);
        TsharkTests.Unobjectionable(packets);
        Assert.Equal(16, packets.Count(packet => packet.IsEsp && packet.ShowsIcmp));
        Assert.All(packets.Where(packet => packet.IsEsp), packet => Assert.True(packet.Decrypted, packet.ToString()));
        Assert.DoesNotContain(packets, packet => packet.IsEsp && packet.Protocols.Contains("udpencap"));
        // it computes neither CMAC nor an ICV over 64-bit numbers
        if (!esp.Contains("cmac", StringComparison.Ordinal) && !esp.Contains("esn", StringComparison.Ordinal)) Assert.All(packets.Where(packet => packet.IsEsp), packet => Assert.True(packet.IcvGood, packet.ToString()));
        Whole(packets);

        // without the keys nothing of it can be seen
        var blind = await Tshark.ReadAsync(Path.Combine(lab.Folder, "wire.pcap"), keys: null);
        TsharkTests.Unobjectionable(blind);
        Assert.DoesNotContain(blind, packet => packet.Decrypted || (packet.ShowsIcmp && !esp.StartsWith("null", StringComparison.Ordinal)));
    }

    [PeersTheory("tshark tcpdump")]
    [InlineData("chacha20poly1305-prfsha256-x25519", "chacha20poly1305")]
    [InlineData("camellia256-sha256-ecp256bp", "camellia256-sha256")]
    public async Task What_it_cannot_decrypt_it_still_decodes(string ike, string esp)
    {
        await using var lab = await Topology.CreateAsync();
        var packets = await LiveAsync(lab, new Site { Ike = ike, Esp = esp, Connection = "dpd_delay = 1s", More = [("second", "10.10.1.1/32", "10.10.2.7/32")] }, native: true);
        TsharkTests.Unobjectionable(packets);
        Assert.Equal(16, packets.Count(packet => packet.IsEsp));
    }

    [PeersFact("tshark tcpdump")]
    public async Task Through_a_NAT_too()
    {
        await using var lab = await Topology.CreateAsync();
        await lab.MasqueradeLeftAsync();
        var site = new Site { LeftFromAnywhere = true, Connection = "dpd_delay = 1s", More = [("second", "10.10.1.1/32", "10.10.2.7/32")] };
        var packets = await LiveAsync(lab, site, native: false, daemon: "keep_alive = 1s");
        TsharkTests.Unobjectionable(packets);
        Assert.Equal(16, packets.Count(packet => packet.IsEsp && packet.ShowsIcmp && packet.IcvGood && packet.Protocols.Contains("udpencap")));
        Assert.Contains(packets, packet => packet.Protocols.Contains("udpencap") && !packet.IsEsp && !packet.IsIke);
        Whole(packets);
    }

    /// <summary>Up, traffic, a second child, both rekeyings, traffic, liveness, deletes.</summary>
    private static async Task<IReadOnlyList<TsharkPacket>> LiveAsync(Topology lab, Site site, bool native, string daemon = "")
    {
        var keys = Path.Combine(lab.Folder, "keys");
        await using var right = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), site.Right());
        await using var left = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "left"), site.Left(daemon), "--keylog", keys);
        await using var capture = await Capture.StartAsync(lab.Router, "tol", Path.Combine(lab.Folder, "wire.pcap"));
        await DoAsync("up", "net");
        Assert.Equal((5, 5), await Topology.PingAsync(lab.Left, site.LeftInner, site.RightInner));
        await DoAsync("up", "second");
        await DoAsync("rekey", "net");
        await DoAsync("rekey", "site", "--ike");
        await Task.Delay(300);
        Assert.Equal((3, 3), await Topology.PingAsync(lab.Right, site.RightInner, site.LeftInner, count: 3));
        await Task.Delay(2200);
        await DoAsync("down", "second");
        await DoAsync("down", "site");
        await capture.StopAsync();
        Assert.True(File.Exists(Path.Combine(keys, "esp_sa")) || site.Esp.Contains("chacha", StringComparison.Ordinal) || site.Esp.Contains("camellia", StringComparison.Ordinal), left.Log);
        var packets = await Tshark.ReadAsync(capture.File, Directory.Exists(keys) ? keys : null);
        Assert.True(packets.Any(packet => packet.IsEsp && packet.Protocols.Contains("udpencap")) != native, await Tshark.ShowAsync(capture.File, keys));
        return packets;

        async Task DoAsync(params string[] words)
        {
            var ended = await left.CliAsync(words);
            Assert.True(ended.Ok, $"{string.Join(' ', words)}: {ended.All}\n{left.Log}\n{right.Log}");
        }
    }

    /// <summary>All kinds of exchanges are there, and open.</summary>
    private static void Whole(IReadOnlyList<TsharkPacket> packets)
    {
        TsharkTests.AllIkeIsOpen(packets);
        Assert.Contains(packets, packet => packet.Exchange == Auth && packet.Payloads.Contains(PayloadAuth) && packet.Payloads.Contains(PayloadTs));
        // a second child, a rekeyed child, a rekeyed IKE SA: two messages each
        Assert.Equal(6, packets.Count(packet => packet.Exchange == CreateChild && packet.Payloads.Contains(PayloadSa)));
        Assert.Contains(packets, packet => packet.Exchange == CreateChild && packet.Notifies.Contains(16393));
        Assert.True(packets.Count(packet => packet.Exchange == Informational && packet.Payloads.Contains(PayloadDelete)) >= 4, "deletes of the old child, the old IKE SA, the second child and the IKE SA");
        // liveness: SK with nothing inside
        Assert.Contains(packets, packet => packet.Exchange == Informational && !packet.Payloads.Contains(PayloadDelete) && !packet.Payloads.Contains(PayloadNotify));
    }
}
