using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Tests.Crypto;
using Warifu.Tests.Pki;
using Warifu.Tests.Policy;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>Suite B, PRIME and CNSA as they are meant: with certificates (R162 to R170, RFC 6380, RFC 9206). Everything that was agreed on is read from the wire.</summary>
[Trait("Item", "2.18")]
public sealed class SuiteCertificateTests
{
    private static readonly Entity s_root = Issuing.Root("C=CH, CN=P-256 Root");
    private static readonly Entity s_higherRoot = Issuing.Root("C=CH, CN=P-384 Root", spec => spec.Key = TestKey.P384());
    private static readonly Entity s_rsaRoot = Issuing.Root("C=CH, CN=RSA Root", spec => spec.Key = TestKey.Rsa(3072));

    // R163 to R166: type/id/bits of what was chosen for IKE and for ESP
    public static TheoryData<string, string, string, string, string> Suites => new()
    {
        { "suiteb-gcm-128", "p256", "1/12/128 2/5 3/12 4/19", "1/20/128 5/0", "ecdsa-sha256" },
        { "suiteb-gcm-256", "p384", "1/12/256 2/6 3/13 4/20", "1/20/256 5/0", "ecdsa-sha384" },
        { "suiteb-gmac-128", "p256", "1/12/128 2/5 3/12 4/19", "1/21/128 5/0", "ecdsa-sha256" },
        { "suiteb-gmac-256", "p384", "1/12/256 2/6 3/13 4/20", "1/21/256 5/0", "ecdsa-sha384" },
        { "prime-128", "p256", "1/20/128 2/5 4/19", "1/20/128 5/0", "ecdsa-sha256" },
        { "prime-256", "p384", "1/20/256 2/6 4/20", "1/20/256 5/0", "ecdsa-sha384" },
        { "cnsa", "p384", "1/20/256 2/7 4/20", "1/20/256 5/0", "ecdsa-sha384" },
        { "cnsa", "rsa3072", "1/20/256 2/7 4/20", "1/20/256 5/0", "rsa-sha384" },
    };

    [Theory]
    [MemberData(nameof(Suites))]
    public void Each_suite_negotiates_with_certificates_exactly_what_it_stands_for(string word, string kind, string ike, string esp, string scheme)
    {
        using var pair = new EnginePair(1, new EngineOptions { KeyLog = true });
        Load(pair, word, kind, kind);
        Assert.True(pair.Up().Success, Why(pair));
        Assert.Equal([$"DigitalSignature {scheme}", $"DigitalSignature {scheme}"], Methods(pair));
        Assert.Equal(ike, SuiteTests.Numbers(SuiteTests.Offered(pair.Sent[1].Message.Message)));
        Assert.Equal(esp, SuiteTests.Numbers(SuiteTests.Offered(pair.Sent[3].Message.Message, pair.Left.IkeKeys[0])));
        Assert.Single(pair.Left.Installed);
        // RFC 6380 section 8: a group of a child is that of its IKE SA
        pair.Left.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Run();
        var rekeyed = Assert.Single(SuiteTests.Offered(pair.Sent[5].Message.Message, pair.Left.IkeKeys[0]));
        Assert.Equal(pair.Left.Engine.IkeSas.Single().Proposal!.Find(TransformType.Ke), rekeyed.Find(TransformType.Ke));
    }

    [Theory]
    [InlineData("suiteb-gcm-128", "p256", "Ecdsa256 ecdsa-sha256")]
    [InlineData("suiteb-gmac-256", "p384", "Ecdsa384 ecdsa-sha384")]
    [InlineData("prime-256", "p384", "Ecdsa384 ecdsa-sha384")]
    public void A_peer_without_RFC_7427_gets_the_methods_9_and_10(string word, string kind, string method)
    {
        using var pair = new EnginePair(right: new EngineOptions { SignatureAuthentication = false });
        Load(pair, word, kind, kind);
        Assert.True(pair.Up().Success, Why(pair));
        Assert.Equal([method, method], Methods(pair));
    }

    [Theory]
    [InlineData("suiteb-gcm-128", "p384", true)]
    [InlineData("suiteb-gmac-128", "p384", true)]
    [InlineData("suiteb-gcm-128", "p521", false)]
    [InlineData("suiteb-gcm-128", "rsa3072", false)]
    [InlineData("suiteb-gcm-128", "ed25519", false)]
    [InlineData("suiteb-gcm-256", "p256", false)]
    [InlineData("suiteb-gmac-256", "p256", false)]
    [InlineData("prime-128", "p384", false)]
    [InlineData("prime-256", "p256", false)]
    [InlineData("cnsa", "p256", false)]
    [InlineData("cnsa", "rsa", false)]
    public void A_peer_with_another_key_is_refused_where_the_suite_does_not_take_it(string word, string kind, bool taken)
    {
        using var pair = new EnginePair();
        // the other side does not mind
        Load(pair, word, kind, word.Contains("128", StringComparison.Ordinal) ? "p256" : "p384", isLeftBound: false);
        Assert.Equal(taken, pair.Up().Success);
        if (taken)
        {
            Assert.Equal(["DigitalSignature ecdsa-sha384", "DigitalSignature ecdsa-sha256"], Methods(pair));
            return;
        }

        Assert.Equal("authentication-method", pair.Right.LastReport!.Failure!.Reason);
        Assert.Equal("authentication-failed", pair.Left.LastReport!.Failure!.Reason);
        Assert.Empty(pair.Right.Installed);
    }

    [Theory]
    [InlineData("suiteb-gcm-128", "p384")]
    [InlineData("prime-256", "p256")]
    [InlineData("cnsa", "rsa")]
    public void With_an_own_key_that_does_not_fit_nothing_is_signed(string word, string kind)
    {
        using var pair = new EnginePair();
        Load(pair, word, kind, kind);
        Assert.False(pair.Up().Success);
        Assert.Equal("no-certificate", pair.Left.LastReport!.Failure!.Reason);
        Assert.Equal(2, pair.Sent.Count);
    }

    [Theory]
    [InlineData("suiteb-gcm-256", "p384", false)]
    [InlineData("suiteb-gcm-128", "p256", true)]
    public void Strict_wants_the_whole_chain_of_Suite_B(string word, string kind, bool taken)
    {
        using var pair = new EnginePair();
        Load(pair, word, kind, kind, isStrict: true);
        // below P-256, whose signature is of the lower level
        Assert.Equal(taken, pair.Up().Success);
        if (!taken) Assert.StartsWith("certificate-weak", pair.Right.LastReport!.Failure!.Reason, StringComparison.Ordinal);
        using var good = new EnginePair();
        Load(good, word, kind, kind, isStrict: true, root: s_higherRoot);
        Assert.True(good.Up().Success, Why(good));
        using var rsa = new EnginePair();
        Load(rsa, word, kind, kind, isStrict: true, root: s_rsaRoot);
        Assert.False(rsa.Up().Success);
    }

    private static void Load(EnginePair pair, string word, string leftKind, string rightKind, bool isLeftBound = true, bool isStrict = false, Entity? root = null)
    {
        var suite = Suite.Find(word)!;
        root ??= s_root;
        foreach (var (host, gateway, side, kind, isBound) in new[] { (pair.Left, EnginePair.LeftGateway(word, word), "left", leftKind, isLeftBound), (pair.Right, EnginePair.RightGateway(word, word), "right", rightKind, true) })
        {
            var key = Keys.Of(kind);
            host.AddKey(key);
            var certificate = root.Issue($"C=CH, CN={side}-{kind}", spec =>
            {
                spec.Key = TestKey.Foreign(key.Public.Spki);
                spec.Dns($"{side}.example.org");
                if (root == s_higherRoot) spec.Hash = System.Security.Cryptography.HashAlgorithmName.SHA384;
            });
            var local = gateway.Local with { Kind = AuthKind.PublicKey, Certificates = [[.. certificate.Der]], Schemes = isBound ? suite.Auth! : AuthConstraints.Any };
            var remote = gateway.Remote with { Kind = AuthKind.PublicKey, Constraints = isBound ? isStrict ? suite.StrictPeerAuth! : suite.PeerAuth! : AuthConstraints.Any };
            host.Load(new PolicySet { Connections = [gateway with { Local = local, Remote = remote, Fragmentation = FragmentationPolicy.No }], Trust = Judging.Material(root) }, pair.Now);
        }
    }

    private static string Why(EnginePair pair) => $"left: {pair.Left.LastReport?.Failure?.Sentence}; right: {pair.Right.LastReport?.Failure?.Sentence}";

    private static string[] Methods(EnginePair pair) => [.. pair.Left.LastReport!.Steps.SelectMany(step => step.Details).Where(line => line.StartsWith("AUTH ", StringComparison.Ordinal)).Select(line => line[5..])];
}
