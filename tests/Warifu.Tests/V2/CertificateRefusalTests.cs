using System;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Crypto.Signatures;
using Warifu.Engine;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Simulation;
using Warifu.Tests.Pki;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>Two engines, one of them with a certificate that breaks a rule: on the wire it is AUTHENTICATION_FAILED, whichever rule it was; the report of the one who refuses names the rule, the certificate and the remedy (R173).</summary>
[Trait("Item", "2.4")]
public sealed class CertificateRefusalTests
{
    private const string Liar = "liar.example.org", OcspUri = "http://ocsp.example.org/";

    private static readonly Entity s_root = Issuing.Root();
    private static readonly Entity s_honest = s_root.Issue("CN=honest", spec => spec.Dns("left.example.org").Dns("right.example.org"));

    private static readonly Dictionary<string, Func<Scenario>> s_scenarios = new()
    {
        ["expired"] = () => Of(PathRule.Expired, s_root, spec => spec.To = Issuing.Now.AddSeconds(-1)),
        ["not yet valid"] = () => Of(PathRule.NotYetValid, s_root, spec => spec.From = Issuing.Now.AddSeconds(1)),
        ["revoked"] = () => Of(PathRule.Revoked, s_root) is var scenario && scenario.Peer.Certificate is var certificate ? scenario with { Trust = scenario.Trust with { Crls = [[.. s_root.CrlDer(null, certificate)]] } } : null!,
        ["intermediate revoked"] = () => Below(PathRule.Revoked, null) is var peer ? peer with { Trust = peer.Trust with { Crls = [[.. s_root.CrlDer(null, peer.Culprit.Certificate)]] } } : null!,
        ["wrong CA"] = () => Issuing.Root("CN=Other Root") is var other ? Of(PathRule.MissingIssuer, other) : null!,
        ["wrong CA that is known"] = () => Issuing.Root("CN=Other Root") is var other ? Of(PathRule.UntrustedRoot, other) with { Sent = [other], Culprit = other } : null!,
        ["missing intermediate"] = () => s_root.Authority("CN=Sub") is var sub ? Of(PathRule.MissingIssuer, sub) : null!,
        ["signed by itself"] = () => Of(PathRule.SelfSigned, null),
        ["signed by an impostor of the CA"] = () => Of(PathRule.Signature, Issuing.Root()),
        ["wrong identity"] = () => Of(PathRule.Identity, s_root) with { Names = ["other.example.org"] },
        ["identity in the common name only"] = () => Of(PathRule.Identity, s_root) with { Names = [] },
        ["wildcard"] = () => Of(PathRule.Identity, s_root) with { Names = ["*.example.org"] },
        ["weak key"] = () => Of(PathRule.WeakKey, s_root, spec => spec.Key = TestKey.Rsa(1024)),
        ["key below auth = ecdsa-384"] = () => Of(PathRule.WeakKey, s_root) with { Remote = remote => remote with { Constraints = AuthConstraints.Parse("ecdsa-384-sha384-sha256-ike:ecdsa") } },
        ["signed by SHA-1"] = () => Of(PathRule.WeakSignature, s_root, spec => spec.Hash = HashAlgorithmName.SHA1),
        ["CA:FALSE"] = () => Below(PathRule.NotAuthority, spec => spec.Without("2.5.29.19").Constraints(false)),
        ["CA without basic constraints"] = () => Below(PathRule.NotAuthority, spec => spec.Without("2.5.29.19")),
        ["CA without keyCertSign"] = () => Below(PathRule.KeyUsage, spec => spec.Usage(6)),
        ["key usage"] = () => Of(PathRule.KeyUsage, s_root, spec => spec.Usage(2)),
        ["extended key usage"] = () => Of(PathRule.ExtendedKeyUsage, s_root, spec => spec.Purposes("1.3.6.1.5.5.7.3.3")),
        ["name constraints"] = () => Below(PathRule.NameConstraints, spec => spec.NameConstraints([General.Dns("example.net")])) is var peer ? peer with { Culprit = peer.Peer } : null!,
        ["path length"] = () => s_root.Authority("CN=Upper", spec => spec.Without("2.5.29.19").Constraints(true, 0)) is var upper && upper.Authority("CN=Lower") is var lower ? Of(PathRule.PathLength, lower) with { Sent = [upper, lower], Culprit = lower } : null!,
        ["critical extension"] = () => Of(PathRule.CriticalExtension, s_root, spec => spec.With("1.3.6.1.4.1.99999.1", true, Der.Null)),
        ["certificate policy"] = () => Of(PathRule.CertificatePolicies, s_root) with { Remote = remote => remote with { CertPolicies = ["1.3.6.1.4.1.99999.2"] } },
        ["ca_id"] = () => Of(PathRule.Authority, s_root) with { Remote = remote => remote with { CaId = Identities.Parse("CN=Somebody") } },
        ["pinned"] = () => Of(PathRule.Pinned, s_root) with { Remote = remote => remote with { Certificates = [[.. s_honest.Der]] } },
        ["cacerts"] = () => Issuing.Root("CN=Other Root") is var other ? Of(PathRule.UntrustedRoot, s_root) with { Culprit = s_root, Remote = remote => remote with { CaCertificates = [[.. other.Der]] } } : null!,
        ["nobody says whether it was revoked"] = () => Of(PathRule.RevocationUnknown, s_root) with { Remote = remote => remote with { Revocation = RevocationPolicy.Strict } },
        ["the responder does not answer"] = () => Of(PathRule.RevocationUnknown, s_root, spec => spec.Ocsp(OcspUri)) with { Remote = remote => remote with { Revocation = RevocationPolicy.IfUri } },
        ["the list is old"] = () => Of(PathRule.RevocationStale, s_root) is var peer ? peer with { Remote = remote => remote with { Revocation = RevocationPolicy.Strict }, Trust = peer.Trust with { Crls = [[.. s_root.CrlDer(list => list.Next = Issuing.Now.AddDays(-1))]] } } : null!,
        ["intermediate expired"] = () => Below(PathRule.Expired, spec => spec.To = Issuing.Now.AddDays(-1)),
        ["root expired"] = () => Issuing.Root("CN=Old Root", spec => spec.To = Issuing.Now.AddDays(-1)) is var old ? Of(PathRule.Expired, old) with { Culprit = old, Trust = Judging.Material(old) } : null!,
    };

    public static TheoryData<string, bool> Cases
    {
        get
        {
            var cases = new TheoryData<string, bool>();
            foreach (var name in s_scenarios.Keys)
            {
                cases.Add(name, true);
                cases.Add(name, false);
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_certificate_that_breaks_a_rule_is_refused_and_the_rule_is_named_on_one_side_only(string name, bool isInitiator)
    {
        var scenario = s_scenarios[name]();
        using var pair = Pair(scenario, isInitiator);
        var (liar, judge) = isInitiator ? (pair.Left, pair.Right) : (pair.Right, pair.Left);
        Assert.False(pair.Up().Success);
        var failure = judge.LastReport!.Failure!;
        Assert.True(failure.Reason == $"certificate-{scenario.Rule.Word()}", $"{failure.Reason}: {failure.Sentence}");
        Assert.Contains(scenario.Culprit.Name, failure.Sentence, StringComparison.Ordinal);
        Assert.Contains(": ", failure.Remedy, StringComparison.Ordinal);
        // the other side learns that it was refused, and nothing else
        var told = liar.LastReport?.Failure?.Sentence + string.Concat(liar.Events.OfType<IkeSaDown>().Select(down => down.Text));
        Assert.Contains("AUTHENTICATION_FAILED", told, StringComparison.Ordinal);
        Assert.DoesNotContain(scenario.Culprit.Name, told, StringComparison.Ordinal);
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
        Assert.Empty(pair.Left.Engine.Snapshot().IkeSas);
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void One_that_breaks_none_is_accepted(bool isInitiator)
    {
        using var pair = Pair(Below(default, null), isInitiator);
        Assert.True(pair.Up().Success, pair.Left.LastReport?.Failure?.Sentence + pair.Right.LastReport?.Failure?.Sentence);
        Assert.Single(pair.Left.Installed);
        Assert.Single(pair.Right.Installed);
    }

    /// <summary>RFC 4806: the one who is asked gets the response about its own certificate and sends it along; the one who asks fetches nothing.</summary>
    [Theory]
    [InlineData(OcspExchange.Request, OcspExchange.Reply, true)]
    [InlineData(OcspExchange.Both, OcspExchange.Both, true)]
    [InlineData(OcspExchange.Reply, OcspExchange.Reply, false)]
    [InlineData(OcspExchange.Request, OcspExchange.Never, false)]
    public void A_response_comes_along_in_IKE_where_one_asks_and_the_other_answers(OcspExchange asks, OcspExchange answers, bool isGood)
    {
        foreach (var isInitiator in new[] { true, false })
        {
            var scenario = Of(default, s_root, spec => spec.Ocsp(OcspUri)) with { Remote = remote => remote with { Revocation = RevocationPolicy.Strict } };
            using var pair = Pair(scenario, isInitiator, judge => judge with { Ocsp = asks }, peer => peer with { Ocsp = answers });
            var (peer, judge) = isInitiator ? (pair.Left, pair.Right) : (pair.Right, pair.Left);
            peer.Documents.Add(OcspUri, s_root.OcspDer(scenario.Peer.Certificate));
            Assert.Equal(isGood, pair.Up().Success);
            Assert.Equal(isGood ? (1, 0) : (0, 1), (peer.Fetched.Count, judge.Fetched.Count));
        }
    }

    private static Scenario Of(PathRule rule, Entity? issuer, Action<CertificateSpec>? make = null) => new(rule, issuer, make);

    /// <summary>Below an intermediate that is sent along and is to blame.</summary>
    private static Scenario Below(PathRule rule, Action<CertificateSpec>? make)
    {
        var sub = s_root.Authority("CN=Sub", make);
        return Of(rule, sub) with { Sent = [sub], Culprit = sub };
    }

    private static EnginePair Pair(Scenario scenario, bool isInitiator, Func<Connection, Connection>? ofJudge = null, Func<Connection, Connection>? ofPeer = null)
    {
        var pair = new EnginePair();
        var (peer, judge) = isInitiator ? (pair.Left, pair.Right) : (pair.Right, pair.Left);
        var (own, other) = isInitiator ? (EnginePair.LeftGateway(), EnginePair.RightGateway()) : (EnginePair.RightGateway(), EnginePair.LeftGateway());
        own = own with
        {
            Local = own.Local with { Kind = AuthKind.PublicKey, Id = Identities.Parse(Liar), Certificates = [[.. scenario.Peer.Der]] },
            Remote = own.Remote with { Kind = AuthKind.PublicKey },
            SendCert = SendCertificates.Always,
        };
        other = other with
        {
            Local = other.Local with { Kind = AuthKind.PublicKey, Certificates = [[.. s_honest.Der]] },
            Remote = scenario.Remote(other.Remote with { Kind = AuthKind.PublicKey, Id = IdentityPattern.Parse(Liar) }),
            SendCert = SendCertificates.Always,
        };
        peer.AddKey(PrivateKey.Parse(scenario.Peer.Key.Pkcs8()));
        judge.AddKey(PrivateKey.Parse(s_honest.Key.Pkcs8()));
        peer.Load(new PolicySet { Connections = [ofPeer?.Invoke(own) ?? own], Trust = Judging.Material(s_root) with { Certificates = [.. scenario.Sent.Select(entity => System.Collections.Immutable.ImmutableArray.Create(entity.Der))] } }, pair.Now);
        judge.Load(new PolicySet { Connections = [ofJudge?.Invoke(other) ?? other], Trust = scenario.Trust with { Certificates = [.. scenario.Sent.Select(entity => System.Collections.Immutable.ImmutableArray.Create(entity.Der))] } }, pair.Now);
        return pair;
    }

    /// <summary>A peer and what is wrong with it.</summary>
    private sealed record Scenario(PathRule Rule, Entity? Issuer, Action<CertificateSpec>? Make)
    {
        private Entity? _peer;
        private Entity? _culprit;

        public string[] Names { get; init; } = [Liar];

        public Entity Peer => _peer ??= Entity.Make($"CN={Liar}", Issuer, spec =>
        {
            foreach (var name in Names) spec.Dns(name);
            Make?.Invoke(spec);
        });

        /// <summary>Intermediates that both sides know.</summary>
        public Entity[] Sent { get; init; } = [];

        public Entity Culprit
        {
            get => _culprit ?? Peer;
            init => _culprit = value;
        }

        public TrustMaterial Trust { get; init; } = Judging.Material(s_root);

        public Func<RemoteAuth, RemoteAuth> Remote { get; init; } = remote => remote;
    }
}
