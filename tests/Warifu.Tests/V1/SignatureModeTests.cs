using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Crypto.Signatures;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Tests.Crypto;
using Warifu.Tests.Pki;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>Phase 1 with certificates and raw keys in both modes (item 3.1, DSA: item 3.13).</summary>
[Trait("Item", "3.1")]
[Trait("Item", "3.13")]
public sealed class SignatureModeTests
{
    private static readonly Entity s_root = Issuing.Root();

    private static readonly Dictionary<string, Entity> s_certificates = [];

    public static TheoryData<string, bool> Kinds
    {
        get
        {
            var rows = new TheoryData<string, bool>();
            foreach (var kind in new[] { "rsa", "p256", "p384", "p521", "dsa" })
            {
                rows.Add(kind, false);
                rows.Add(kind, true);
            }

            return rows;
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_kind_of_key_makes_a_tunnel_in_both_modes(string kind, bool aggressive)
    {
        using var pair = new EnginePair();
        Load(pair, Sign(V1Pair.Left(), "left", kind, aggressive), Sign(V1Pair.Right(), "right", kind, aggressive));
        Assert.True(pair.Up().Success, Why(pair));
        V1Pair.AssertSame(pair);
        V1Pair.AssertQuiet(pair);
        Assert.Contains(pair.Right.LastReport!.Steps, step => step.Title.Contains("is trusted through", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("rsa")]
    [InlineData("p256")]
    public void Raw_keys_need_no_authority(string kind)
    {
        using var pair = new EnginePair();
        Load(pair, Raw(V1Pair.Left(), kind, kind + ".2"), Raw(V1Pair.Right(), kind + ".2", kind));
        Assert.True(pair.Up().Success, Why(pair));
        V1Pair.AssertQuiet(pair);
    }

    [Fact]
    public void Another_raw_key_is_refused_on_both_sides()
    {
        using var pair = new EnginePair();
        Load(pair, Raw(V1Pair.Left(), "p256", "p256.2"), Raw(V1Pair.Right(), "p256.2", "p256.3"));
        Assert.False(pair.Up().Success);
        Assert.Equal("authentication-failed", pair.Right.LastReport!.Failure!.Reason);
        Assert.Equal("authentication-failed", pair.Left.LastReport!.Failure!.Reason);
        Assert.Empty(pair.Left.Engine.Snapshot().IkeSas);
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
    }

    [Fact]
    public void An_identity_that_is_not_in_the_certificate_is_refused()
    {
        using var pair = new EnginePair();
        var left = Sign(V1Pair.Left(), "left", "p256", false) with { };
        Load(pair, left with { Local = left.Local with { Id = Identity.Fqdn("right.example.org") } }, Sign(V1Pair.Right(), "right", "p256", false) with { Remote = new RemoteAuth { Kind = AuthKind.PublicKey } });
        Assert.False(pair.Up().Success);
        Assert.StartsWith("certificate-", pair.Right.LastReport!.Failure!.Reason, StringComparison.Ordinal);
        Assert.Equal("authentication-failed", pair.Left.LastReport!.Failure!.Reason);
    }

    [Fact]
    public void DSA_is_off_unless_it_is_named()
    {
        using var pair = new EnginePair();
        var (left, right) = (Sign(V1Pair.Left(), "left", "dsa", false), Sign(V1Pair.Right(), "right", "dsa", false));
        Load(pair, left with { Local = left.Local with { Schemes = AuthConstraints.Any } }, right);
        Assert.False(pair.Up().Success);
        Assert.Equal("no-certificate", pair.Left.LastReport!.Failure!.Reason);
        Assert.Empty(pair.Sent);
    }

    /// <summary>Raw digests: every provider makes and takes the same signatures.</summary>
    [Theory]
    [InlineData("rsa", 16)]
    [InlineData("rsa", 64)]
    [InlineData("p256", 32)]
    [InlineData("p384", 48)]
    [InlineData("p521", 64)]
    [InlineData("dsa", 20)]
    public void A_digest_is_signed_as_it_is_by_every_provider(string kind, int length)
    {
        var digest = Enumerable.Range(1, length).Select(octet => (byte)(octet * 7)).ToArray();
        foreach (var signer in new[] { Warifu.Crypto.Provider.Managed, Warifu.Crypto.Provider.Processor })
        {
            using var pkcs8 = new Secret(Keys.Pkcs8(kind));
            using var key = PrivateKey.FromPkcs8(pkcs8, signer);
            var scheme = Warifu.V1.OwnSigner.SchemeOf(key.Public);
            var signature = key.Sign(scheme, digest);
            foreach (var verifier in new[] { Warifu.Crypto.Provider.Managed, Warifu.Crypto.Provider.Processor })
            {
                Assert.True(key.Public.Verify(scheme, digest, signature, verifier), $"{signer} {verifier}");
                Assert.False(key.Public.Verify(scheme, digest.AsSpan(1), signature, verifier));
                Assert.False(key.Public.Verify(scheme, digest, signature.AsSpan(1), verifier));
                var wrong = signature.ToArray();
                wrong[^1] ^= 1;
                Assert.False(key.Public.Verify(scheme, digest, wrong, verifier));
            }
        }
    }

    /// <summary>The one answer to an address that nobody verified is at most three times as long as what it answers: of our certificates our own is the last to be left out.</summary>
    [Theory]
    [Trait("Item", "3.10")]
    [Trait("Attack", "T69")]
    [InlineData(100, 3000, true)]
    [InlineData(4000, 100, false)]
    public void In_aggressive_mode_certificates_are_left_out_before_the_answer_is_too_long(int own, int between, bool works)
    {
        var middle = s_root.Authority("C=CH, CN=between", spec => spec.With("1.3.6.1.4.1.99999.1", false, new byte[between]));
        var leaf = middle.Issue("C=CH, CN=right", spec =>
        {
            spec.Key = TestKey.Foreign(Keys.Of("p256.v1right").Public.Spki);
            spec.Dns("right.example.org").With("1.3.6.1.4.1.99999.1", false, new byte[own]);
        });
        var right = Sign(V1Pair.Right(), "right", "p256", true);
        right = right with { Local = right.Local with { Certificates = [[.. leaf.Der]] } };
        var left = Sign(V1Pair.Left(), "left", "p256", true);
        using var pair = new EnginePair();
        foreach (var (host, connection) in new[] { (pair.Left, left), (pair.Right, right) })
        {
            foreach (var (_, key) in Keys.Known) host.AddKey(key);
            host.Load(new PolicySet { Connections = [connection], Trust = Judging.Material(s_root) with { Certificates = [[.. middle.Der]] } }, pair.Now);
        }

        Assert.Equal(works, pair.Up().Success);
        Assert.Contains(pair.Right.Events.OfType<Notice>(), notice => notice.Text.Contains(works ? "those of the authorities between are left out" : "they are left out", StringComparison.Ordinal));
        var first = pair.Sent.TakeWhile(sent => sent.From == pair.Left).Sum(sent => sent.Message.Message.Length);
        var second = pair.Sent.SkipWhile(sent => sent.From == pair.Left).TakeWhile(sent => sent.From == pair.Right).Sum(sent => sent.Message.Message.Length);
        Assert.InRange(second, 100, 3 * first);
    }

    private static string Why(EnginePair pair) => $"left: {pair.Left.LastReport?.Failure?.Sentence}; right: {pair.Right.LastReport?.Failure?.Sentence}";

    private static Connection Raw(Connection connection, string own, string peer) => connection with
    {
        Local = connection.Local with { Kind = AuthKind.PublicKey, PublicKeys = [[.. Keys.Of(own).Public.Spki.Span]] },
        Remote = connection.Remote with { Kind = AuthKind.PublicKey, PublicKeys = [[.. Keys.Of(peer).Public.Spki.Span]] },
    };

    private static Connection Sign(Connection connection, string side, string kind, bool aggressive)
    {
        var named = kind == "dsa" ? AuthConstraints.Parse("dsa") : AuthConstraints.Any;
        return connection with
        {
            Aggressive = aggressive,
            Local = connection.Local with { Kind = AuthKind.PublicKey, Certificates = [[.. Of(side, kind).Der]], Schemes = named },
            Remote = connection.Remote with { Kind = AuthKind.PublicKey, Constraints = named },
            SendCert = SendCertificates.Always,
        };
    }

    private static Entity Of(string side, string kind)
    {
        lock (s_certificates)
        {
            var name = $"{side}-{kind}";
            if (!s_certificates.TryGetValue(name, out var entity))
            {
                s_certificates.Add(name, entity = s_root.Issue($"C=CH, CN={name}", spec =>
                {
                    spec.Key = TestKey.Foreign(Keys.Of($"{kind}.v1{side}").Public.Spki);
                    spec.Dns($"{side}.example.org");
                }));
            }

            return entity;
        }
    }

    private static void Load(EnginePair pair, Connection left, Connection right)
    {
        foreach (var (host, connection) in new[] { (pair.Left, left), (pair.Right, right) })
        {
            foreach (var (_, key) in Keys.Known) host.AddKey(key);
            host.Load(new PolicySet { Connections = [connection], Trust = Judging.Material(s_root) }, pair.Now);
        }
    }
}
