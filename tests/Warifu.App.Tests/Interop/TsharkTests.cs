using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>
/// An independent dissector looks at what we put on the wire: it decodes every packet without a complaint, and with the key log it shows what is inside IKE and ESP.
/// </summary>
[Trait("Area", "interop")]
[Trait("Item", "1.22")]
public sealed class TsharkTests
{
    private const int Informational = 37, CreateChild = 36, Auth = 35, Init = 34;
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
    [InlineData("aes128-aesxcbc-prfaesxcbc-x25519", "aes128-aescmac", false, false)]
    public async Task Every_packet_of_a_tunnels_life_decodes_and_decrypts(string ike, string esp, bool outerV6, bool innerV6)
    {
        await using var lab = await Topology.CreateAsync();
        var site = new Site { Ike = ike, Esp = esp, OuterV6 = outerV6, InnerV6 = innerV6, Connection = "dpd_delay = 1s", More = [("second", innerV6 ? "fd10:1::1/128" : "10.10.1.1/32", innerV6 ? "fd10:2::7/128" : "10.10.2.7/32")] };
        var packets = await LiveAsync(lab, site, native: true);
        Unobjectionable(packets);
        Assert.Equal(16, packets.Count(packet => packet.IsEsp && packet.ShowsIcmp));
        Assert.All(packets.Where(packet => packet.IsEsp), packet => Assert.True(packet.Decrypted, packet.ToString()));
        Assert.DoesNotContain(packets, packet => packet.IsEsp && packet.Protocols.Contains("udpencap"));
        // it computes neither CMAC nor an ICV over 64-bit numbers
        if (!esp.Contains("cmac", StringComparison.Ordinal) && !esp.Contains("esn", StringComparison.Ordinal)) Assert.All(packets.Where(packet => packet.IsEsp), packet => Assert.True(packet.IcvGood, packet.ToString()));
        // with a MAC that it does not compute it shows nothing of an SK payload with nothing inside
        Whole(packets, emptyToo: !ike.Contains("xcbc", StringComparison.Ordinal));

        // without the keys nothing of it can be seen
        var blind = await Tshark.ReadAsync(Path.Combine(lab.Folder, "wire.pcap"), keys: null);
        Unobjectionable(blind);
        Assert.DoesNotContain(blind, packet => packet.Decrypted || (packet.ShowsIcmp && !esp.StartsWith("null", StringComparison.Ordinal)));
    }

    [PeersTheory("tshark tcpdump")]
    [InlineData("chacha20poly1305-prfsha256-x25519", "chacha20poly1305")]
    [InlineData("camellia256-sha256-ecp256bp", "camellia256-sha256")]
    public async Task What_it_cannot_decrypt_it_still_decodes(string ike, string esp)
    {
        await using var lab = await Topology.CreateAsync();
        var packets = await LiveAsync(lab, new Site { Ike = ike, Esp = esp, Connection = "dpd_delay = 1s", More = [("second", "10.10.1.1/32", "10.10.2.7/32")] }, native: true);
        Unobjectionable(packets);
        Assert.Equal(16, packets.Count(packet => packet.IsEsp));
    }

    [PeersFact("tshark tcpdump")]
    public async Task Through_a_NAT_too()
    {
        await using var lab = await Topology.CreateAsync();
        await lab.MasqueradeLeftAsync();
        var site = new Site { LeftFromAnywhere = true, Connection = "dpd_delay = 1s", More = [("second", "10.10.1.1/32", "10.10.2.7/32")] };
        var packets = await LiveAsync(lab, site, native: false, daemon: "keep_alive = 1s");
        Unobjectionable(packets);
        Assert.Equal(16, packets.Count(packet => packet.IsEsp && packet.ShowsIcmp && packet.IcvGood && packet.Protocols.Contains("udpencap")));
        Assert.Contains(packets, packet => packet.Protocols.Contains("udpencap") && !packet.IsEsp && !packet.IsIke);
        Whole(packets);
    }

    [PeersFact("strongswan tshark tcpdump")]
    public async Task With_strongSwan_on_the_other_side()
    {
        await using var lab = await Topology.CreateAsync();
        var site = new Site();
        var keys = Path.Combine(lab.Folder, "keys");
        await using var peer = await StrongSwan.StartAsync(lab.Right, Path.Combine(lab.Folder, "peer"), site.Right());
        await using var ours = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "ours"), site.Left(), "--keylog", keys);
        await using var capture = await Capture.StartAsync(lab.Router, "tol", Path.Combine(lab.Folder, "wire.pcap"));
        Assert.True((await ours.CliAsync("up", "net")).Ok, ours.Log);
        Assert.Equal((5, 5), await Topology.PingAsync(lab.Left, site.LeftInner, site.RightInner));
        Assert.True((await peer.ControlAsync("--rekey", "--child", "net")).Ok);
        Assert.True((await peer.ControlAsync("--rekey", "--ike", "site")).Ok);
        await Task.Delay(500);
        Assert.Equal((3, 3), await Topology.PingAsync(lab.Left, site.LeftInner, site.RightInner, count: 3));
        Assert.True((await peer.ControlAsync("--terminate", "--ike", "site")).Ok);
        await capture.StopAsync();
        var packets = await Tshark.ReadAsync(capture.File, keys);
        Unobjectionable(packets);
        Assert.Equal(16, packets.Count(packet => packet.IsEsp && packet.ShowsIcmp && packet.IcvGood));
        AllIkeIsOpen(packets);
        Assert.True(packets.Count(packet => packet.Exchange == CreateChild) >= 4);
    }

    [PeersTheory("tshark tcpdump")]
    [InlineData("NO_PROPOSAL_CHOSEN", Init, 14)]
    [InlineData("AUTHENTICATION_FAILED", Auth, 24)]
    [InlineData("TS_UNACCEPTABLE", Auth, 38)]
    [InlineData("INVALID_KE_PAYLOAD", Init, 17)]
    [InlineData("COOKIE", Init, 16390)]
    public async Task Errors_decode_as_well(string error, int exchange, int notify)
    {
        await using var lab = await Topology.CreateAsync();
        var site = error switch
        {
            "NO_PROPOSAL_CHOSEN" => new Site { RightIke = "aes128-sha256-modp2048" },
            "AUTHENTICATION_FAILED" => new Site { RightSecret = "Nq4.wTz9+Hb2xLm7" },
            "TS_UNACCEPTABLE" => new Site { LeftTs = "10.77.1.0/24", RightTs = "10.77.2.0/24" },
            "INVALID_KE_PAYLOAD" => new Site { LeftIke = "aes256gcm16-prfsha384-x25519-ecp384", RightIke = "aes256gcm16-prfsha384-ecp384" },
            _ => new Site(),
        };
        var right = error == "TS_UNACCEPTABLE" ? site with { LeftTs = null, RightTs = null } : site;
        var keys = Path.Combine(lab.Folder, "keys");
        await using var there = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), right.Right(error == "COOKIE" ? "cookie_threshold = 0" : ""));
        await using var ours = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "left"), site.Left(), "--keylog", keys);
        await using var capture = await Capture.StartAsync(lab.Router, "tol", Path.Combine(lab.Folder, "wire.pcap"));
        var up = await ours.CliAsync("up", "net", "--timeout", "4");
        Assert.Equal(error is "COOKIE" or "INVALID_KE_PAYLOAD", up.Ok);
        await capture.StopAsync();
        var packets = await Tshark.ReadAsync(capture.File, Directory.Exists(keys) ? keys : null);
        Unobjectionable(packets);
        Assert.Contains(packets, packet => packet.Exchange == exchange && packet.Notifies.Contains(notify));
        if (exchange == Auth) AllIkeIsOpen(packets);
    }

    [PeersFact("tshark")]
    public async Task The_key_log_is_off_by_default_warns_once_and_is_for_its_owner_only()
    {
        await using var lab = await Topology.CreateAsync();
        var site = new Site();
        var keys = Path.Combine(lab.Folder, "deep", "keys");
        await using var right = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), site.Right());
        await using var left = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "left"), site.Left(), "--keylog", keys);
        Assert.True((await left.CliAsync("up", "net")).Ok, left.Log);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(keys));
        Assert.Equal(["esp_sa", "ikev2_decryption_table"], Directory.GetFiles(keys).Select(Path.GetFileName).Order());
        Assert.All(Directory.GetFiles(keys), file => Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file)));
        Assert.Single(left.Log.Split('\n'), line => line.Contains("warning", StringComparison.Ordinal) && line.Contains(keys, StringComparison.Ordinal));
        Assert.DoesNotContain("KEYS", right.Log, StringComparison.Ordinal);
        Assert.Single(Directory.GetDirectories(lab.Folder, "keys", SearchOption.AllDirectories));
        // no key is in the log
        var secrets = File.ReadAllText(Path.Combine(keys, "esp_sa")).Split('"').Where(word => word.Length > 30 && word.StartsWith("0x", StringComparison.Ordinal)).Select(word => word[2..]).ToArray();
        Assert.Equal(2, secrets.Length);
        Assert.All(secrets, secret => Assert.DoesNotContain(secret, left.Log, StringComparison.OrdinalIgnoreCase));
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

    private static void Unobjectionable(IReadOnlyList<TsharkPacket> packets)
    {
        Assert.NotEmpty(packets);
        Assert.All(packets, packet => Assert.False(packet.Malformed || packet.Expert.Length > 0, $"packet {packet.Number}: {string.Join(", ", packet.Expert)} {string.Join(':', packet.Protocols)}"));
        Assert.Contains(packets, packet => packet.Exchange == Init);
    }

    private static void AllIkeIsOpen(IReadOnlyList<TsharkPacket> packets, bool emptyToo = true) =>
        Assert.All(packets.Where(packet => packet.IsProtectedIke && (emptyToo || packet.Exchange != Informational)), packet => Assert.True(packet.Decrypted || packet.Payloads.Length > 1, packet.ToString()));

    /// <summary>All kinds of exchanges are there, and open.</summary>
    private static void Whole(IReadOnlyList<TsharkPacket> packets, bool emptyToo = true)
    {
        AllIkeIsOpen(packets, emptyToo);
        Assert.Contains(packets, packet => packet.Exchange == Auth && packet.Payloads.Contains(PayloadAuth) && packet.Payloads.Contains(PayloadTs));
        // a second child, a rekeyed child, a rekeyed IKE SA: two messages each
        Assert.Equal(6, packets.Count(packet => packet.Exchange == CreateChild && packet.Payloads.Contains(PayloadSa)));
        Assert.Contains(packets, packet => packet.Exchange == CreateChild && packet.Notifies.Contains(16393));
        Assert.True(packets.Count(packet => packet.Exchange == Informational && packet.Payloads.Contains(PayloadDelete)) >= 4, "deletes of the old child, the old IKE SA, the second child and the IKE SA");
        // liveness: SK with nothing inside
        Assert.Contains(packets, packet => packet.Exchange == Informational && !packet.Payloads.Contains(PayloadDelete) && !packet.Payloads.Contains(PayloadNotify));
    }
}
