using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>tshark on tunnels with strongSwan and on failures; the key log itself.</summary>
[Trait("Area", "interop")]
[Trait("Item", "1.22")]
public sealed class TsharkTests
{
    private const int CreateChild = 36, Auth = 35, Init = 34;

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

    internal static void Unobjectionable(IReadOnlyList<TsharkPacket> packets)
    {
        Assert.NotEmpty(packets);
        Assert.All(packets, packet => Assert.False(packet.Malformed || packet.Expert.Length > 0, $"packet {packet.Number}: {string.Join(", ", packet.Expert)} {string.Join(':', packet.Protocols)}"));
        Assert.Contains(packets, packet => packet.Exchange == Init);
    }

    internal static void AllIkeIsOpen(IReadOnlyList<TsharkPacket> packets) =>
        Assert.All(packets.Where(packet => packet.IsProtectedIke), packet => Assert.True(packet.Decrypted || packet.Payloads.Length > 1, packet.ToString()));
}
