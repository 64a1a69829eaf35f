using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>How one side proves who it is: its key and certificate, the words of auth on both sides, and what the responder or initiator must not need.</summary>
/// <param name="Name">Row of the coverage.</param>
/// <param name="Own">Makes the credential of a side ("left", "right").</param>
/// <param name="Auth">Words of auth of that side, as we write them and as the peer does.</param>
internal sealed record Method(string Name, Func<string, Credential> Own, string Auth = "pubkey")
{
    /// <summary>The same as strongSwan writes it.</summary>
    public string PeerAuth { get; init; } = Auth;

    /// <summary>Keys of the peer's strongswan.conf.</summary>
    public string PeerDaemon { get; init; } = "";

    /// <summary>Raw public keys instead of certificates.</summary>
    public bool Raw { get; init; }

    /// <summary>The CA between a side and the root, which only that side has and must send along.</summary>
    public Func<string, Credential>? Between { get; init; }

    public TestCa Ca { get; init; } = CertificateTests.EcdsaCa;
}

/// <summary>Authentication by certificates and raw keys with strongSwan: each method in both directions and in both roles.</summary>
[Trait("Area", "interop")]
[Trait("Item", "2.20")]
public sealed class CertificateTests
{
    internal static TestCa EcdsaCa { get; } = TestCa.Root("Lab CA");

    private static readonly TestCa s_rsaCa = TestCa.Root("Lab RSA CA", "rsa", 2048);
    private static readonly TestCa s_pssCa = TestCa.Root("Lab PSS CA", "rsa", 2048, pss: true);
    private static readonly TestCa s_edwardsCa = TestCa.Root("Lab Ed25519 CA", "ed25519");
    private static readonly Dictionary<string, TestCa> s_subs = new[] { "left", "right" }.ToDictionary(side => side, side => s_rsaCa.Intermediate($"Lab Sub CA {side}", "rsa", 2048));

    internal static IReadOnlyList<Method> Methods { get; } =
    [
        new("RSA, PKCS#1 v1.5 by RFC 7427", side => s_rsaCa.Issue(side, "rsa", 2048), "rsa-sha256") { Ca = s_rsaCa },
        new("RSA, PSS", side => s_rsaCa.Issue(side, "rsa", 2048), "ike:rsa/pss-sha256") { Ca = s_rsaCa },
        new("RSA, PSS with SHA-384", side => s_rsaCa.Issue(side, "rsa", 2048), "ike:rsa/pss-sha384") { Ca = s_rsaCa },
        new("RSA, PSS with SHA-512", side => s_rsaCa.Issue(side, "rsa", 2048), "ike:rsa/pss-sha512") { Ca = s_rsaCa },
        new("RSA, PKCS#1 v1.5 with SHA-384", side => s_rsaCa.Issue(side, "rsa", 2048), "ike:rsa-sha384") { Ca = s_rsaCa },
        new("RSA, PKCS#1 v1.5 with SHA-512", side => s_rsaCa.Issue(side, "rsa", 2048), "ike:rsa-sha512") { Ca = s_rsaCa },
        new("RSA of 4096 bits", side => s_rsaCa.Issue(side, "rsa", 4096), "rsa-4096-sha512-rsa-2048-sha256") { Ca = s_rsaCa },
        new("RSA, method 1", side => s_rsaCa.Issue(side, "rsa", 2048)) { Ca = s_rsaCa, PeerDaemon = "signature_authentication = no" },
        new("RSA, signed by a CA with PSS", side => s_pssCa.Issue(side, "rsa", 2048)) { Ca = s_pssCa },
        new("RSA, intermediate CA sent along", side => s_subs[side].Issue(side, "rsa", 2048)) { Ca = s_rsaCa, Between = side => s_subs[side].Own },
        new("ECDSA P-256", side => EcdsaCa.Issue(side)),
        new("ECDSA P-384", side => EcdsaCa.Issue(side, "ecdsa", 384)),
        new("ECDSA P-521", side => EcdsaCa.Issue(side, "ecdsa", 521)),
        new("ECDSA P-256, method 9", side => EcdsaCa.Issue(side)) { PeerDaemon = "signature_authentication = no" },
        new("ECDSA P-384, method 10", side => EcdsaCa.Issue(side, "ecdsa", 384)) { PeerDaemon = "signature_authentication = no" },
        new("ECDSA P-521, method 11", side => EcdsaCa.Issue(side, "ecdsa", 521)) { PeerDaemon = "signature_authentication = no" },
        new("Ed25519", side => s_edwardsCa.Issue(side, "ed25519")) { Ca = s_edwardsCa },
        new("Ed448", side => s_edwardsCa.Issue(side, "ed448")) { Ca = s_edwardsCa },
        new("raw public keys, ECDSA", side => EcdsaCa.Issue(side)) { Raw = true },
        new("raw public keys, RSA", side => s_rsaCa.Issue(side, "rsa", 2048)) { Raw = true },
        new("raw public keys, Ed448", side => s_edwardsCa.Issue(side, "ed448")) { Raw = true },
        new("raw public keys, Ed25519", side => EcdsaCa.Issue(side, "ed25519")) { Raw = true },
    ];

    public static IEnumerable<TheoryDataRow<string>> Rows => Methods.Select(method => new TheoryDataRow<string>(method.Name));

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public Task Each_method_in_both_roles(string name)
    {
        var method = Methods.Single(method => method.Name == name);
        return Task.WhenAll(UpAsync(method, true), UpAsync(method, false));
    }

    private static async Task UpAsync(Method method, bool weInitiate)
    {
        var (left, right) = (method.Own("left"), method.Own("right"));
        var site = new Site
        {
            LeftAuth = Auth(method, method.Auth, left),
            RightAuth = Auth(method, method.PeerAuth, right),
            LeftExpects = $"auth = pubkey{(method.Raw ? $"\npubkeys = {right.Name}.pem" : "")}",
            RightExpects = $"auth = pubkey{(method.Raw ? $"\npubkeys = {left.Name}.pem" : "")}",
            Connection = "send_cert = always",
        };
        await using var tunnel = await Tunnel.StartAsync(site, new Layout
        {
            PeerDaemon = method.PeerDaemon,
            Files = folder => Write(folder, method, left, right, ours: true),
            PeerFiles = folder => Write(folder, method, right, left, ours: false),
        });
        await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        await tunnel.AgreeAsync();
        Coverage.Passed(method.Name, weInitiate, site);
    }

    private static string Auth(Method method, string words, Credential own) => $"auth = {words}\n{(method.Raw ? "pubkeys" : "certs")} = {own.Name}.pem";

    private static void Write(string folder, Method method, Credential own, Credential peer, bool ours)
    {
        own.WriteKeyTo(folder);
        if (method.Raw)
        {
            foreach (var one in new[] { own, peer }) Credential.Write(folder, "pubkey", one.Name + ".pem", one.PublicPem);
            return;
        }

        own.WriteTo(folder);
        method.Ca.Own.TrustIn(folder);
        if (method.Between?.Invoke(own.Name) is not { } between) return;
        // we take bundles; the peer reads the first certificate of a file only
        if (ours) Credential.Write(folder, "x509", own.Name + ".pem", own.Pem + "\n" + between.Pem);
        else between.TrustIn(folder);
    }
}
