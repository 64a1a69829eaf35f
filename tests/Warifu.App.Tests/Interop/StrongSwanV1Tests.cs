using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>IKEv1 with strongSwan in both roles: modes, ways to authenticate, algorithms, PFS, families, and version 2 on the same ports. Judged by ping and by our own SA counters.</summary>
[Trait("Area", "interop")]
[Trait("Item", "3.11")]
public sealed class StrongSwanV1Tests
{
    /// <summary>Heading of the coverage.</summary>
    internal const string Peer = "strongSwan, IKEv1";

    /// <summary>strongSwan answers aggressive mode with pre-shared keys only when it is told that nobody minds.</summary>
    internal const string PeerDaemon = "i_dont_care_about_security_and_use_aggressive_mode_psk = yes";

    private static readonly TestCa s_rsaCa = TestCa.Root("Lab RSA CA of IKEv1", "rsa", 2048);

    private static readonly TestCa s_ecdsaCa = TestCa.Root("Lab ECDSA CA of IKEv1");

    private static readonly Dictionary<string, TestCa> s_subs = new[] { "left", "right" }.ToDictionary(side => side, side => s_rsaCa.Intermediate($"Lab Sub CA of IKEv1 {side}", "rsa", 2048));

    /// <summary>The algorithms of phase 1 and phase 2; a group in the second means PFS.</summary>
    internal static IReadOnlyList<(string Ike, string Esp)> Suites { get; } =
    [
        ("des-md5-modp768", "des-md5"),
        ("des-sha1-modp1024", "des-sha1-modp1024"),
        ("3des-md5-modp1024", "3des-md5"),
        ("3des-sha1-modp1536", "3des-sha1-modp1536"),
        ("aes128-md5-modp1024", "aes128-md5-modp768"),
        ("aes128-sha1-modp2048s256", "aes128-sha1-modp2048s256"),
        ("aes128-sha1-modp1536", "aes128-sha1"),
        ("aes192-sha256-modp2048", "aes192-sha256-modp2048"),
        ("aes128-sha256-ecp256", "aes128gcm16-ecp256"),
        ("aes256-sha256-modp3072", "aes256ccm16"),
        ("aes256-sha384-ecp384", "aes256gcm16-ecp384"),
        ("aes256-sha512-modp4096", "aes256-sha512"),
        ("aes192-sha512-modp6144", "aes256ctr-sha256"),
        ("camellia256-sha256-modp2048", "camellia128-sha384"),
        ("aes256-sha512-modp8192", "null-sha256"),
        ("aes256-sha512-ecp521", "aes256-sha512-ecp521"),
    ];

    /// <summary>Ways to authenticate: scenario, keys of both sides, aggressive mode.</summary>
    internal static IReadOnlyList<(string Scenario, string Key, bool Aggressive)> Ways { get; } =
    [
        ("main mode, pre-shared key", "", false),
        ("main mode, RSA", "rsa", false),
        ("main mode, RSA, intermediate CA sent along", "sub", false),
        ("main mode, ECDSA P-256", "p256", false),
        ("main mode, ECDSA P-384", "p384", false),
        ("main mode, ECDSA P-521", "p521", false),
        ("aggressive mode, pre-shared key", "", true),
        ("aggressive mode, RSA", "rsa", true),
        ("aggressive mode, ECDSA P-256", "p256", true),
    ];

    /// <summary>Forms of client identities beside addresses and networks: scenario, site.</summary>
    internal static IReadOnlyList<(string Scenario, Site Site)> ProxyIds { get; } =
    [
        ("proxy IDs: ranges", Site with { LeftTs = "range", RightTs = "range" }),
        ("proxy IDs: one protocol", Site with { LeftTs = "[icmp]", RightTs = "[icmp]" }),
    ];

    internal static Site Site => new() { Version = 1, Ike = "aes256-sha256-modp2048", Esp = "aes256-sha256" };

    internal static string SuiteScenario((string Ike, string Esp) suite) => $"suite {suite.Ike} / {suite.Esp}";

    [StrongSwanFact]
    public async Task Every_suite_in_both_roles()
    {
        await using var bundle = await Bundle.StartAsync([.. InBothRoles(Suites.Select(suite => (SuiteScenario(suite), Site with { Ike = suite.Ike, Esp = suite.Esp })))]);
        await bundle.ProveAllAsync(Peer);
    }

    [StrongSwanFact]
    public async Task Every_mode_and_way_to_authenticate_in_both_roles()
    {
        var strands = InBothRoles(Ways.Select(way => (way.Scenario, SiteOf(way.Key, way.Aggressive))))
            .Concat(InBothRoles(new[] { (false, true), (true, false), (true, true) }.Select(families => ("main mode, pre-shared key", Site with { OuterV6 = families.Item1, InnerV6 = families.Item2 }))))
            .Concat(InBothRoles(ProxyIds).Select(strand => strand with { HasRange = strand.Site.LeftTs == "range" }))
            .Concat(InBothRoles([("version 2 on the same ports", Site with { Version = 2 })]))
            .Concat(InBothRoles([("main mode, identities are addresses", Site)]).Select(strand => strand with { ByAddress = true }));
        await using var bundle = await StartAsync([.. strands]);
        await bundle.ProveAllAsync(Peer);
    }

    /// <summary>A site of one way to authenticate; its files are put there by the layout.</summary>
    internal static Site SiteOf(string key, bool aggressive)
    {
        var site = Site with { Connection = aggressive ? "aggressive = yes" : "", LeftConnection = aggressive && key.Length == 0 ? "aggressive_psk = yes" : "" };
        return key.Length == 0 ? site : site with { LeftAuth = $"auth = pubkey\ncerts = left-{key}.pem", RightAuth = $"auth = pubkey\ncerts = right-{key}.pem", LeftExpects = "auth = pubkey", RightExpects = "auth = pubkey" };
    }

    /// <summary>With the certificates that the strands name.</summary>
    internal static Task<Bundle> StartAsync(IReadOnlyList<Strand> strands, Layout? layout = null) =>
        Bundle.StartAsync(strands, (layout ?? new Layout()) with { PeerDaemon = PeerDaemon, Files = folder => Write(folder, strands, "left", ours: true), PeerFiles = folder => Write(folder, strands, "right", ours: false) });

    internal static IEnumerable<Strand> InBothRoles(IEnumerable<(string Scenario, Site Site)> cells) =>
        from cell in cells from weInitiate in new[] { true, false } select new Strand(cell.Scenario, weInitiate, cell.Site);

    private static void Write(string folder, IReadOnlyList<Strand> strands, string side, bool ours)
    {
        foreach (var (key, ca, kind, size) in new[] { ("rsa", s_rsaCa, "rsa", 2048), ("sub", s_subs[side], "rsa", 2048), ("p256", s_ecdsaCa, "ecdsa", 256), ("p384", s_ecdsaCa, "ecdsa", 384), ("p521", s_ecdsaCa, "ecdsa", 521) })
        {
            // the peer finds its key by its identity, whatever certificate the connection names
            string[] names = [.. strands.Select((strand, index) => (strand.Site.LeftAuth, Name: Bundle.Identity(side, index))).Where(one => one.LeftAuth.EndsWith($"-{key}.pem", StringComparison.Ordinal)).Select(one => one.Name)];
            if (names.Length == 0) continue;
            var own = ca.Issue($"{side}-{key}", kind, size, wanted => wanted with { AlternativeNames = [.. names] });
            own.WriteTo(folder);
            if (key != "sub") continue;
            // we take bundles; the peer reads the first certificate of a file only
            if (ours) Credential.Write(folder, "x509", own.Name + ".pem", own.Pem + "\n" + ca.Own.Pem);
            else ca.Own.TrustIn(folder);
        }

        s_rsaCa.Own.TrustIn(folder);
        s_ecdsaCa.Own.TrustIn(folder);
    }
}
