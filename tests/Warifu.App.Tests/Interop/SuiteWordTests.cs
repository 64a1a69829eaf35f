using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>A word of ours, what it comes to as strongSwan spells it, and the key that it demands.</summary>
/// <param name="Word">In our proposals and esp_proposals.</param>
/// <param name="Ike">The peer's proposals.</param>
/// <param name="Esp">The peer's esp_proposals.</param>
/// <param name="Group">As listings show the group of a rekeying with PFS; empty = the word has none.</param>
/// <param name="Kind">Kind of key, and its size; empty = a pre-shared key.</param>
internal sealed record SuiteWord(string Word, string Ike, string Esp, string Group, string Kind = "", int Size = 0)
{
    /// <summary>The peer's auth.</summary>
    public string PeerAuth { get; init; } = "pubkey";

    public string Scenario => Kind == "rsa" ? $"suite {Word} with RSA" : $"suite {Word}";
}

/// <summary>The words for suites (R162 to R169) with strongSwan: our side says the word and has a certificate of its curve, the peer spells it out; rekeying is with PFS where the suite has it.</summary>
[Trait("Area", "interop")]
[Trait("Item", "2.18")]
[Trait("Item", "2.20")]
public sealed class SuiteWordTests
{
    private static readonly TestCa s_ca = TestCa.Root("Suite CA", "ecdsa", 384);

    internal static IReadOnlyList<SuiteWord> Words { get; } =
    [
        new("suiteb-gcm-128", "aes128-sha256-ecp256", "aes128gcm16-ecp256", "ECP_256", "ecdsa", 256),
        new("suiteb-gcm-256", "aes256-sha384-ecp384", "aes256gcm16-ecp384", "ECP_384", "ecdsa", 384),
        new("prime-128", "aes128gcm16-prfsha256-ecp256", "aes128gcm16-ecp256", "ECP_256", "ecdsa", 256),
        new("prime-256", "aes256gcm16-prfsha384-ecp384", "aes256gcm16-ecp384", "ECP_384", "ecdsa", 384),
        new("cnsa", "aes256gcm16-prfsha512-ecp384", "aes256gcm16-ecp384", "ECP_384", "ecdsa", 384),
        new("cnsa", "aes256gcm16-prfsha384-modp4096", "aes256gcm16-modp4096", "MODP_4096", "rsa", 3072) { PeerAuth = "ike:rsa-3072-sha384" },
        new("standard", "aes128-sha1-modp1024", "aes128-sha1-modp1024", "MODP_1024"),
        new("compatible", "des-md5-modp1024", "des-md5", ""),
        new("basic", "des-sha1-modp768", "des-sha1", ""),
    ];

    /// <summary>What the packaged kernel-libipsec does not carry.</summary>
    internal static IReadOnlyList<SuiteWord> GmacWords { get; } =
    [
        new("suiteb-gmac-128", "aes128-sha256-ecp256", "aes128gmac-ecp256", "ECP_256", "ecdsa", 256),
        new("suiteb-gmac-256", "aes256-sha384-ecp384", "aes256gmac-ecp384", "ECP_384", "ecdsa", 384),
    ];

    public static IEnumerable<TheoryDataRow<string>> Rows => Words.Select(word => new TheoryDataRow<string>(word.Scenario));

    public static IEnumerable<TheoryDataRow<string, bool>> GmacRows => from word in GmacWords from weInitiate in new[] { true, false } select new TheoryDataRow<string, bool>(word.Scenario, weInitiate);

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public Task Each_word_in_both_roles(string scenario)
    {
        var word = Words.Single(word => word.Scenario == scenario);
        return Task.WhenAll(UpAsync(word, true), UpAsync(word, false));
    }

    [PeersTheory("strongswan gcc")]
    [MemberData(nameof(GmacRows))]
    public async Task Integrity_alone_goes_straight_on_IP(string scenario, bool weInitiate)
    {
        var word = GmacWords.Single(word => word.Scenario == scenario);
        var site = SiteOf(word);
        await using var lab = await Topology.CreateAsync();
        Write(Path.Combine(lab.Folder, "ours"), word, "left");
        Write(Path.Combine(lab.Folder, "peer", "swanctl"), word, "right");
        var shim = new KeyShim(Path.Combine(lab.Folder, "sa.json"));
        await using var traffic = await EspPeer.StartAsync(lab.Right, shim);
        await using var peer = await StrongSwan.StartAsync(lab.Right, Path.Combine(lab.Folder, "peer"), site.Right(), shim: shim);
        await using var ours = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "ours"), site.Left(), "--keylog", Path.Combine(lab.Folder, "keys"));
        var up = weInitiate ? await ours.CliAsync("up", "net") : await peer.ControlAsync("--initiate", "--child", "net", "--timeout", "10");
        Assert.True(up.Ok, $"{up.All}\n{ours.Log}\n{peer.Log}");
        await NativeEspTests.ProveAsync(lab, site, ours, traffic, shim, "tunnel");
        Coverage.Passed(NativeEspTests.ShimmedStrongSwan, word.Scenario, weInitiate);
    }

    private static async Task UpAsync(SuiteWord word, bool weInitiate)
    {
        var site = SiteOf(word);
        await using var tunnel = await Tunnel.StartAsync(site, new Layout { Files = folder => Write(folder, word, "left"), PeerFiles = folder => Write(folder, word, "right") });
        await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        await tunnel.AgreeAsync();
        // PFS is in rekeyings only: by whom does not matter, so the responder does it
        var before = await tunnel.OurChildAsync();
        var rekey = new ViciMessage().Add("child", "net");
        Assert.True((await (weInitiate ? tunnel.Peer.RequestAsync("rekey", rekey) : tunnel.Ours.RequestAsync("rekey", rekey))).Bool("success"), tunnel.Logs);
        await Until.HoldsAsync("another pair", tunnel.OurNewestAsync, child => child is { State: "INSTALLED" } && child.SpiIn != before.SpiIn, _ => tunnel.Logs);
        var sa = await tunnel.AgreeAsync();
        Assert.Equal(word.Group, Assert.Single(sa.Children).Body.Text("dh-group") ?? "");
        await tunnel.PingBothAsync();
        Coverage.Passed(word.Scenario, weInitiate, site);
    }

    private static Site SiteOf(SuiteWord word)
    {
        var site = new Site { LeftIke = word.Word, RightIke = word.Ike, LeftEsp = word.Word, RightEsp = word.Esp, Esp = word.Esp };
        return word.Kind.Length == 0 ? site : site with { LeftAuth = "auth = pubkey\ncerts = left.pem", RightAuth = $"auth = {word.PeerAuth}\ncerts = right.pem", LeftExpects = "auth = pubkey", RightExpects = "auth = pubkey", Connection = "send_cert = always" };
    }

    private static void Write(string folder, SuiteWord word, string side)
    {
        if (word.Kind.Length == 0) return;
        s_ca.Issue(side, word.Kind, word.Size).WriteTo(folder);
        s_ca.Own.TrustIn(folder);
    }
}
