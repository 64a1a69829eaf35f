using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>The ready configurations for IKEv1: each is checked, those with strongSwan are negotiated as they are, those with the SRX say the same on both sides.</summary>
[Trait("Area", "interop")]
[Trait("Item", "3.16")]
public sealed partial class V1SampleTests
{
    private static readonly string s_root = Path.Combine(Tool.Root, "samples", "ikev1");

    /// <summary>Junos names and ours.</summary>
    private static readonly Dictionary<string, string> s_words = new(StringComparer.Ordinal)
    {
        ["aes-256-cbc"] = "aes256",
        ["aes-256-gcm"] = "aes256gcm16",
        ["sha-256"] = "sha256",
        ["sha-384"] = "sha384",
        ["hmac-sha-256-128"] = "sha256",
        ["group14"] = "modp2048",
        ["group20"] = "ecp384",
        ["pre-shared-keys"] = "psk",
        ["rsa-signatures"] = "pubkey",
        ["ecdsa-signatures-384"] = "pubkey",
    };

    private static readonly TestCa s_rsaCa = TestCa.Root("Lab RSA CA of samples", "rsa", 2048);

    private static readonly TestCa s_ecdsaCa = TestCa.Root("Lab ECDSA CA of samples");

    /// <summary>Three of them without WARIFU_LONG.</summary>
    public static IEnumerable<TheoryDataRow<string>> StrongSwanSamples => Of("strongswan").Where(row => Tool.IsLong || row.Data is "aggressive-rsa" or "hybrid-gateway" or "xauth-client");

    public static IEnumerable<TheoryDataRow<string>> SrxSamples => Of("srx");

    [Fact]
    public async Task Each_one_passes_the_check()
    {
        var files = Directory.GetFiles(s_root, "warifu.conf", SearchOption.AllDirectories);
        Assert.True(files.Length >= 10);
        await Task.WhenAll(files.Select(async file =>
        {
            // beside it lie the files that it names
            var folder = TemporaryFolders.Make();
            var copy = Path.Combine(folder, "warifu.conf");
            File.Copy(file, copy);
            Certificates(folder, file, "left");
            var ended = await Tool.RunAsync(Gateway.Binary, ["check", copy, "--strict"]);
            Assert.True(ended.ExitCode == 0 && !ended.Output.Contains("error", StringComparison.Ordinal) && !ended.Output.Contains("limit", StringComparison.Ordinal), $"{file}: {ended.All}");
            // who takes aggressive mode, or a key that all users know, is told what it costs; nothing else is to be said
            Assert.Equal(file.Contains("aggressive", StringComparison.Ordinal) || file.Contains("xauth-", StringComparison.Ordinal), ended.Output.Contains("warning", StringComparison.Ordinal));
        }));
    }

    [StrongSwanTheory]
    [MemberData(nameof(StrongSwanSamples))]
    public async Task With_strongSwan_it_comes_up_from_both_sides(string name)
    {
        await using var lab = await Topology.CreateAsync();
        var (folder, ours, peers) = (Path.Combine(s_root, "strongswan", name), Path.Combine(lab.Folder, "ours"), Path.Combine(lab.Folder, "peer"));
        Certificates(ours, Path.Combine(folder, "warifu.conf"), "left");
        Certificates(Path.Combine(peers, "swanctl"), Path.Combine(folder, "swanctl.conf"), "right");
        await using var peer = await StrongSwan.StartAsync(lab.Right, peers, await File.ReadAllTextAsync(Path.Combine(folder, "swanctl.conf")), StrongSwanV1Tests.PeerDaemon);
        await using var gateway = await Gateway.StartAsync(lab.Left, ours, await File.ReadAllTextAsync(Path.Combine(folder, "warifu.conf")));
        bool? onlyWe = name.EndsWith("-client", StringComparison.Ordinal) ? true : name.EndsWith("-gateway", StringComparison.Ordinal) ? false : null;
        foreach (var weInitiate in new[] { true, false }.Where(one => onlyWe is null || one == onlyWe))
        {
            var up = weInitiate ? await gateway.CliAsync("up", "net") : await peer.ControlAsync("--initiate", "--child", "net", "--timeout", "10");
            Assert.True(up.Ok, $"{up.All}\n{gateway.Log}\n{peer.Log}");
            // the client has an address of the gateway's
            var virtualIp = (await gateway.SasAsync()).SelectMany(sa => sa.Body.Items(weInitiate ? "local-vips" : "remote-vips")).FirstOrDefault();
            var (ns, from, to) = virtualIp is null ? (lab.Left, "10.10.1.1", "10.10.2.1") : weInitiate ? (lab.Left, virtualIp, "10.10.2.1") : (lab.Right, virtualIp, "10.10.1.1");
            Assert.Equal(onlyWe is not null, virtualIp is not null);
            Assert.Equal((3, 3), await Topology.PingAsync(ns, from, to, count: 3));
            Assert.True((await gateway.CliAsync("down", "net")).Ok);
            await Until.HoldsAsync("nothing at the peer", peer.SasAsync, sas => sas.Count == 0);
        }
    }

    [Theory]
    [MemberData(nameof(SrxSamples))]
    public void Both_sides_of_an_SRX_sample_say_the_same(string name)
    {
        var ours = File.ReadAllText(Path.Combine(s_root, "srx", name, "warifu.conf"));
        var junos = File.ReadAllLines(Path.Combine(s_root, "srx", name, "junos.txt")).Where(line => !line.StartsWith('#')).ToList();
        Assert.All(junos, line => Assert.Matches("^set (security (ike|ipsec|zones)|interfaces st0|routing-options static) ", line));
        var integrity = After("ipsec proposal P2 authentication-algorithm");
        Assert.Equal($"{s_words[After("ike proposal P1 encryption-algorithm")]}-{s_words[After("ike proposal P1 authentication-algorithm")]}-{s_words[After("ike proposal P1 dh-group")]}", Setting("proposals"));
        Assert.Equal($"{s_words[After("ipsec proposal P2 encryption-algorithm")]}-{(integrity.Length > 0 ? s_words[integrity] + "-" : "")}{s_words[After("perfect-forward-secrecy keys")]}", Setting("esp_proposals"));
        Assert.Equal(s_words[After("ike proposal P1 authentication-method")], Setting("auth"));
        Assert.Equal(After("ike policy WARIFU mode") == "aggressive" ? "yes" : "", Setting("aggressive"));
        Assert.Equal(("v1-only", "1"), (After("ike gateway WARIFU version"), Setting("version")));
        Assert.Equal(After("ike gateway WARIFU address"), Setting("local_addrs"));
        Assert.Equal((After("proxy-identity local"), After("proxy-identity remote")), (Setting("remote_ts"), Setting("local_ts")));
        Assert.Equal((After("remote-identity hostname"), After("local-identity hostname")), (Setting("id"), Setting("id", last: true)));
        Assert.Equal(After("pre-shared-key ascii-text"), Setting("secret"));
        // what is referred to is there
        foreach (var (reference, definition) in new[] { ("gateway WARIFU ike-policy", "ike policy"), ("ike policy WARIFU proposals", "ike proposal"), ("ipsec policy WARIFU proposals", "ipsec proposal"), ("vpn WARIFU ike gateway", "ike gateway"), ("vpn WARIFU ike ipsec-policy", "ipsec policy") })
            Assert.Contains(junos, line => line.StartsWith($"set security {definition} {After(reference)} ", StringComparison.Ordinal));

        string After(string words) => junos.Where(line => line.Contains($" {words} ", StringComparison.Ordinal)).Select(line => line[(line.IndexOf($" {words} ", StringComparison.Ordinal) + words.Length + 2)..].Trim('"')).FirstOrDefault() ?? "";

        string Setting(string key, bool last = false)
        {
            var found = SettingOf().Matches(ours).Where(match => match.Groups[1].Value == key).Select(match => match.Groups[2].Value.Trim('"')).ToList();
            return found.Count == 0 ? "" : found[key == "id" ? last ? 1 : 0 : ^1];
        }
    }

    private static IEnumerable<TheoryDataRow<string>> Of(string peer) => Directory.GetDirectories(Path.Combine(s_root, peer)).Select(folder => Path.GetFileName(folder)!).Order(StringComparer.Ordinal).Select(name => new TheoryDataRow<string>(name));

    /// <summary>What the sample names: certificates of its kind.</summary>
    private static void Certificates(string folder, string file, string side)
    {
        if (!File.ReadAllText(file).Contains("pubkey", StringComparison.Ordinal)) return;
        var ecdsa = file.Contains("ecdsa", StringComparison.Ordinal);
        var ca = ecdsa ? s_ecdsaCa : s_rsaCa;
        ca.Issue(side, ecdsa ? "ecdsa" : "rsa", ecdsa ? 384 : 2048).WriteTo(folder);
        ca.Own.TrustIn(folder);
    }

    [GeneratedRegex(@"^\s*(?:# .*\n)?\s*([a-z_0-9-]+) = (.+)$", RegexOptions.Multiline)]
    private static partial Regex SettingOf();
}
