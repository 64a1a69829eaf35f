using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Tunnels with strongSwan, in both roles, judged by ping and by our own SA counters.</summary>
[Trait("Area", "interop")]
[Trait("Item", "1.19")]
public sealed class StrongSwanTests
{
    /// <summary>IKE and ESP proposals. The packaged kernel-libipsec carries what strongSwan's own crypto has; ESN it has not.</summary>
    internal static IReadOnlyList<(string Ike, string Esp)> Suites { get; } =
    [
        ("aes128-sha1-modp2048", "aes128-sha1"),
        ("aes256-sha256-modp2048", "aes256-sha256-modp2048"),
        ("aes256-sha512-ecp521", "aes256-sha512-ecp521"),
        ("aes192-sha384-modp3072", "aes192-sha384"),
        ("aes128gcm16-prfsha256-ecp256", "aes128gcm16-ecp256"),
        ("aes256gcm8-prfsha512-x25519", "aes256gcm8"),
        ("aes128gcm12-prfsha256-modp4096", "aes128gcm12"),
        ("aes256ccm16-prfsha256-x25519", "aes256ccm16"),
        ("aes128ccm8-prfsha384-ecp384", "aes128ccm8"),
        ("chacha20poly1305-prfsha256-x25519", "chacha20poly1305"),
        ("3des-sha1-modp2048", "3des-sha1"),
        ("aes256ctr-sha256-x25519", "aes256ctr-sha256"),
        ("aes128-aesxcbc-prfaesxcbc-ecp256", "aes128-aesxcbc"),
        ("aes128-aescmac-prfaescmac-x448", "aes128-aescmac"),
        ("camellia256-sha256-ecp256bp", "camellia256-sha256"),
        ("aes128-md5-modp1536", "aes128-md5"),
    ];

    public static IEnumerable<TheoryDataRow<string, string>> SuiteRows => Suites.Select(suite => new TheoryDataRow<string, string>(suite.Ike, suite.Esp));

    [StrongSwanTheory]
    [Trait("Smoke", "yes")]
    [InlineData(true)]
    [InlineData(false)]
    public Task A_ping_crosses_the_tunnel(bool weInitiate) => PingThroughAsync(new Site(), weInitiate, "ping");

    [StrongSwanTheory]
    [MemberData(nameof(SuiteRows))]
    public Task Every_suite_in_both_roles(string ike, string esp) => InBothRolesAsync(new Site { Ike = ike, Esp = esp }, $"suite {ike} / {esp}");

    [StrongSwanTheory]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public Task IPv4_and_IPv6_outside_and_inside(bool outerV6, bool innerV6) => InBothRolesAsync(new Site { OuterV6 = outerV6, InnerV6 = innerV6 }, "ping");

    private static Task InBothRolesAsync(Site site, string scenario) => Task.WhenAll(PingThroughAsync(site, true, scenario), PingThroughAsync(site, false, scenario));

    private static async Task PingThroughAsync(Site site, bool weInitiate, string scenario)
    {
        await using var tunnel = await Tunnel.StartAsync(site);
        if (scenario == "ping") Assert.True((await tunnel.TryUpAsync(weInitiate)).Ok, tunnel.Logs);
        else await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        await tunnel.AgreeAsync();
        Coverage.Passed(scenario, weInitiate, site);
    }
}
