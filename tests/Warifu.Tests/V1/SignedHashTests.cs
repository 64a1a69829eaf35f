using System;
using System.Collections.Generic;
using System.Linq;
using System.Numerics;
using System.Security.Cryptography;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Tests.Crypto;
using Warifu.Tests.Pki;
using Warifu.V1;
using Warifu.Wire;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>What is signed in phase 1, and with which key (item 3.1): engine to engine both sides would make the same mistake, so others check it here.</summary>
[Trait("Item", "3.1")]
public sealed class SignedHashTests
{
    private static readonly Entity s_root = Issuing.Root();

    /// <summary>RFC 4754 sections 3 and 5: HASH_I is made with the hash of the curve, whatever was negotiated, and signed as it is; with RSA it is the negotiated one, without a DigestInfo (RFC 2409 section 5.1).</summary>
    [Theory]
    [InlineData("p256", "aes128-sha512-ecp256", 32)]
    [InlineData("p256", "aes128-md5-ecp256", 32)]
    [InlineData("p384", "aes128-sha256-ecp256", 48)]
    [InlineData("p521", "aes128-sha1-ecp256", 64)]
    [InlineData("rsa", "aes128-sha512-ecp256", 64)]
    [InlineData("rsa", "aes128-md5-ecp256", 16)]
    public void The_hash_is_that_of_the_method_and_is_signed_as_it_is(string kind, string ike, int octets)
    {
        using var pair = new EnginePair();
        Load(pair, Raw(V1Pair.Left(ike), kind + ".v1left", kind + ".v1right"), Raw(V1Pair.Right(ike), kind + ".v1right", kind + ".v1left"));
        pair.Left.HeldAsks = [];
        var id = pair.Left.Up("net", "net", pair.Now);
        var signed = new List<Ask.Sign>();
        for (var i = 0; i < 50 && !pair.Left.Results.ContainsKey(id); i++)
        {
            pair.Settle();
            foreach (var (ask, question) in pair.Left.HeldAsks.ToArray())
            {
                if (question is Ask.Sign sign) signed.Add(sign);
                pair.Left.HeldAsks.RemoveAll(held => held.Id == ask);
                pair.Left.Answer(ask, question, pair.Now);
            }
        }

        Assert.True(pair.Left.Results[id].Success, Why(pair));
        var hash = Assert.Single(signed).Octets.ToArray();
        Assert.Equal(octets, hash.Length);
        var key = Keys.Of(kind + ".v1left");
        var signature = key.Sign(signed[0].Scheme, hash);
        if (kind == "rsa")
        {
            using var rsa = RSA.Create();
            rsa.ImportSubjectPublicKeyInfo(key.Public.Spki.Span, out _);
            var numbers = rsa.ExportParameters(includePrivateParameters: false);
            var opened = BigInteger.ModPow(Number(signature), Number(numbers.Exponent!), Number(numbers.Modulus!)).ToByteArray(isUnsigned: true, isBigEndian: true);
            // 0x0001FF…FF00 and the hash, nothing between
            Assert.Equal([1, .. Enumerable.Repeat((byte)0xFF, numbers.Modulus!.Length - 3 - hash.Length), 0, .. hash], opened);
            return;
        }

        using var ecdsa = ECDsa.Create();
        ecdsa.ImportSubjectPublicKeyInfo(key.Public.Spki.Span, out _);
        Assert.True(ecdsa.VerifyHash(hash, signature, DSASignatureFormat.IeeeP1363FixedFieldConcatenation));
    }

    /// <summary>RFC 4754 section 3: each method is for its curve. A peer that negotiates one and signs with a key of another, whose certificate it shows or whose key is known here, is refused.</summary>
    [Theory]
    [InlineData("p256", "p384", true)]
    [InlineData("p256", "p521", true)]
    [InlineData("p384", "p256", true)]
    [InlineData("p256", "rsa", true)]
    [InlineData("p256", "p384", false)]
    [InlineData("p521", "p256", false)]
    [InlineData("p256", "p256", true)]
    [InlineData("p256", "p256", false)]
    public void A_signature_with_the_key_of_another_curve_is_refused(string negotiated, string used, bool shows)
    {
        using var pair = new EnginePair();
        var right = Raw(V1Pair.Right(), negotiated + ".v1right", used + ".v1other");
        if (shows) right = right with { Remote = right.Remote with { PublicKeys = [] } };
        var key = Keys.Of(used + ".v1other");
        Load(pair, Raw(V1Pair.Left(), negotiated + ".v1left", negotiated + ".v1right"), right);
        var certificate = s_root.Issue($"C=CH, CN={used}", spec =>
        {
            spec.Key = TestKey.Foreign(key.Public.Spki);
            spec.Dns("left.example.org");
        });
        pair.Wire = (number, from, message) =>
        {
            if (number != 4) return 1;
            var plain = Attack.OpenOnTheWay(pair, from, message.Message, out var sa, out var iv);
            Assert.Equal(ParseError.None, ChainView.TryParse((PayloadV1)message.Message[16], plain, decrypted: true, out var view));
            var signature = key.Sign(OwnSigner.SchemeOf(key.Public), sa.Mode!.Proof(ofInitiator: true));
            var forged = ForgerV1.Rebuild(view, (_, type, body) => (type, type == PayloadV1.Sig ? signature : body));
            if (shows) forged.Cert((byte)CertEncoding.X509Signature, certificate.Der);
            pair.Right.Receive(message.Remote, message.Local, ForgerV1.Seal(sa, ExchangeType.IdentityProtection, 0, forged.First, forged.Chain, iv), pair.Now);
            return 0;
        };
        pair.Left.Up("net", "net", pair.Now);
        pair.Run(TimeSpan.FromMinutes(2));
        var good = negotiated == used;
        // what the left side hears of that is sealed behind a message that it has not sent
        Assert.Equal(good, pair.Right.Events.OfType<IkeSaUp>().Any());
        if (good) return;
        var report = pair.Right.Events.OfType<NegotiationEnded>().First().Report;
        Assert.Equal("authentication-failed", report.Failure!.Reason);
        if (shows) Assert.Contains($"where {IsakmpSuite.NameOf(IsakmpSuite.AuthOf(Keys.Of(negotiated).Public))} were negotiated", report.Failure.Sentence, StringComparison.Ordinal);
    }

    /// <summary>What auth demands of the peer's key.</summary>
    [Theory]
    [InlineData("rsa", "rsa-3072", false)]
    [InlineData("rsa", "rsa-2048", true)]
    [InlineData("p256", "ecdsa-384", false)]
    [InlineData("p384", "ike:ecdsa-384", true)]
    [InlineData("p256", "rsa", false)]
    public void What_auth_demands_of_the_peer_is_demanded(string kind, string auth, bool isRight)
    {
        using var pair = new EnginePair();
        var right = Raw(V1Pair.Right(), kind + ".v1right", kind + ".v1left");
        Load(pair, Raw(V1Pair.Left(), kind + ".v1left", kind + ".v1right"), right with { Remote = right.Remote with { Constraints = AuthConstraints.Parse(auth) } });
        Assert.Equal(isRight, pair.Up().Success);
        Assert.Equal(isRight ? 1 : 0, pair.Right.Installed.Count);
        Assert.Equal(isRight, pair.Right.Events.OfType<IkeSaUp>().Any());
    }

    private static BigInteger Number(ReadOnlySpan<byte> octets) => new(octets, isUnsigned: true, isBigEndian: true);

    private static string Why(EnginePair pair) => $"left: {pair.Left.LastReport?.Failure?.Sentence}; right: {pair.Right.LastReport?.Failure?.Sentence}";

    private static Connection Raw(Connection connection, string own, string peer) => connection with
    {
        Local = connection.Local with { Kind = AuthKind.PublicKey, PublicKeys = [[.. Keys.Of(own).Public.Spki.Span]] },
        Remote = connection.Remote with { Kind = AuthKind.PublicKey, PublicKeys = [[.. Keys.Of(peer).Public.Spki.Span]] },
    };

    private static void Load(EnginePair pair, Connection left, Connection right)
    {
        foreach (var (host, connection) in new[] { (pair.Left, left), (pair.Right, right) })
        {
            foreach (var (_, key) in Keys.Known) host.AddKey(key);
            host.Load(new PolicySet { Connections = [connection], Trust = Judging.Material(s_root) }, pair.Now);
        }
    }
}
