using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>An independent dissector looks at the life of IKEv1 tunnels between two of our gateways: it decodes every packet without a complaint, and with the key log it shows what is inside of IKE and ESP.</summary>
[Trait("Area", "interop")]
[Trait("Item", "3.11")]
public sealed class V1TsharkTests
{
    private const int Main = 2, Aggressive = 4, Informational = 5, Quick = 32;

    private const int Sa = 1, Ke = 4, Id = 5, Cert = 6, Hash = 8, Sig = 9, Nonce = 10, Delete = 12;

    /// <summary>Nothing is sent twice: the dissector takes the next IV from whatever came last.</summary>
    private const string Patience = "retransmit_timeout = 20s";

    private static readonly TestCa s_ca = TestCa.Root("Lab CA of dissected IKEv1");

    /// <summary>Ciphers with and without PFS, all ways to authenticate; those that say most without WARIFU_LONG.</summary>
    public static IEnumerable<TheoryDataRow<string, string, string, bool, string>> Rows =>
    [
        new("aes256-sha256-modp2048", "aes256gcm16-ecp256", "", false, "Pre-shared key"),
        new("aes192-sha512-ecp384", "aes192-sha384", "ecdsa", true, "ECDSA with SHA-256 on the P-256 curve"),
        .. Tool.IsLong ? s_more : [],
    ];

    private static readonly TheoryDataRow<string, string, string, bool, string>[] s_more =
    [
        new("3des-md5-modp1024", "3des-md5", "", true, "Pre-shared key"),
        new("des-sha1-modp1024", "aes128-sha1", "", false, "Pre-shared key"),
        new("aes128-sha1-modp1536", "aes256-sha256-modp2048", "rsa", false, "RSA signatures"),
    ];

    [PeersTheory("tshark tcpdump")]
    [MemberData(nameof(Rows))]
    public async Task Every_packet_decodes_and_decrypts(string ike, string esp, string key, bool aggressive, string method)
    {
        await using var lab = await Topology.CreateAsync();
        await LiveAsync(lab, ike, esp, key, aggressive, method);
    }

    /// <summary>No packaged peer loads DSA keys: this dissector is who sees them.</summary>
    [PeersFact("tshark tcpdump")]
    [Trait("Item", "3.13")]
    public async Task DSA_signatures_decode_and_decrypt()
    {
        await using var lab = await Topology.CreateAsync();
        var packets = await LiveAsync(lab, "aes256-sha256-modp2048", "aes256-sha256", "dsa", aggressive: false, "DSS signatures");
        // both sides sent certificate and signature
        Assert.Equal(4, packets.Count(packet => packet.Exchange == Main && packet.Payloads.Contains(Cert) && packet.Payloads.Contains(Sig)));
    }

    private static async Task<IReadOnlyList<TsharkPacket>> LiveAsync(Topology lab, string ike, string esp, string key, bool aggressive, string method)
    {
        var site = StrongSwanV1Tests.Site with { Ike = ike, Esp = esp, Connection = "dpd_delay = 1s\nfragmentation = no" + (aggressive ? "\naggressive = yes\naggressive_psk = yes" : "") };
        if (key.Length > 0)
        {
            var named = key == "dsa" ? "dsa" : "pubkey";
            site = site with { LeftAuth = $"auth = {named}\ncerts = left.pem", RightAuth = $"auth = {named}\ncerts = right.pem", LeftExpects = $"auth = {named}", RightExpects = $"auth = {named}" };
            foreach (var side in new[] { "left", "right" })
            {
                s_ca.Issue(side, key, key == "ecdsa" ? 256 : 2048).WriteTo(Path.Combine(lab.Folder, side));
                s_ca.Own.TrustIn(Path.Combine(lab.Folder, side));
            }
        }

        var keys = Path.Combine(lab.Folder, "keys");
        await using var right = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), site.Right(Patience));
        await using var left = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "left"), site.Left(Patience), "--keylog", keys);
        await using var capture = await Capture.StartAsync(lab.Router, "tol", Path.Combine(lab.Folder, "wire.pcap"));
        await DoAsync("up", "net");
        Assert.Equal((5, 5), await Topology.PingAsync(lab.Left, site.LeftInner, site.RightInner));
        await DoAsync("rekey", "net");
        await DoAsync("rekey", "site", "--ike");
        Assert.Equal((3, 3), await Topology.PingAsync(lab.Right, site.RightInner, site.LeftInner, count: 3));
        // the answer to a check
        await Task.Delay(1500);
        await DoAsync("down", "site");
        await capture.StopAsync();

        Assert.Equal(["esp_sa", "ikev1_decryption_table"], Directory.GetFiles(keys).Select(Path.GetFileName).Order());
        Assert.All(Directory.GetFiles(keys), file => Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file)));
        var packets = await Tshark.ReadAsync(capture.File, keys);
        var bad = packets.Where(packet => packet.Malformed || packet.Expert.Length > 0).Select(packet => $"packet {packet.Number}: {string.Join(", ", packet.Expert)} {string.Join(':', packet.Protocols)}").ToList();
        Assert.True(bad.Count == 0, bad.Count == 0 ? "" : string.Join('\n', bad) + "\n" + await Tshark.ShowAsync(capture.File, keys));
        Assert.Equal(16, packets.Count(packet => packet.IsEsp && packet.ShowsIcmp && packet.IcvGood));

        // two phases 1, two quick modes, what is within each
        var phaseOne = packets.Where(packet => packet.Exchange == (aggressive ? Aggressive : Main)).ToList();
        Assert.Equal(aggressive ? 6 : 12, phaseOne.Count);
        Assert.Equal(4, phaseOne.Count(packet => packet.Payloads.Contains(Sa)));
        Assert.Equal(4, phaseOne.Count(packet => packet.Payloads.Contains(Ke) && packet.Payloads.Contains(Nonce)));
        Assert.Equal(4, phaseOne.Count(packet => packet.Payloads.Contains(Id)));
        Assert.Equal(4, phaseOne.Count(packet => packet.Payloads.Contains(key.Length == 0 ? Hash : Sig)));
        var quick = packets.Where(packet => packet.Exchange == Quick).ToList();
        Assert.Equal(6, quick.Count);
        Assert.All(quick, packet => Assert.Contains(Hash, packet.Payloads));
        Assert.Equal(4, quick.Count(packet => packet.Payloads.Contains(Sa) && packet.Payloads.Contains(Nonce) && packet.Payloads.Count(type => type == Id) == 2 && packet.Payloads.Contains(Ke) == (esp.Contains("modp", StringComparison.Ordinal) || esp.Contains("ecp", StringComparison.Ordinal))));
        var others = packets.Where(packet => packet.Exchange == Informational).ToList();
        Assert.All(others, packet => Assert.Contains(Hash, packet.Payloads));
        Assert.Contains(others, packet => packet.Payloads.Contains(Delete));
        // R-U-THERE and its answer
        Assert.Contains(others, packet => packet.Notifies.Contains(36136));
        Assert.Contains(others, packet => packet.Notifies.Contains(36137));
        var decoded = (await Tool.RunAsync("env", ["WIRESHARK_CONFIG_DIR=" + keys, "tshark", "-n", "-r", capture.File, "-c", "2", "-V", "-Y", "isakmp"], TimeSpan.FromSeconds(40))).Output;
        Assert.True(decoded.Contains(method, StringComparison.Ordinal), string.Join('\n', decoded.Split('\n').Where(line => line.Contains("uthentication", StringComparison.Ordinal))));

        // without the keys nothing of it can be seen
        if (key.Length > 0) return packets;
        var blind = await Tshark.ReadAsync(capture.File, keys: null);
        Assert.DoesNotContain(blind, packet => packet.Exchange is Quick or Informational && packet.Payloads.Length > 1);
        return packets;

        async Task DoAsync(params string[] words)
        {
            var ended = await left.CliAsync(words);
            Assert.True(ended.Ok, $"{string.Join(' ', words)}: {ended.All}\n{left.Log}\n{right.Log}");
        }
    }
}
