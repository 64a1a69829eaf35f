using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Tests.Crypto;
using Warifu.Tests.Pki;
using Warifu.V2.Exchanges;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>Two engines that prove themselves by signatures: every kind of key, method, certificate payload and refusal.</summary>
[Trait("Item", "2.1")]
public sealed class SignatureAuthTests : IDisposable
{
    private static readonly Entity s_root = Issuing.Root();

    private static readonly Dictionary<string, Entity> s_certificates = [];

    private EnginePair _pair = new();

    public void Dispose() => _pair.Dispose();

    [Theory]
    [InlineData("rsa", "pubkey", "DigitalSignature rsa/pss-sha256")]
    [InlineData("rsa", "rsa", "DigitalSignature rsa-sha256")]
    [InlineData("rsa", "ike:rsa-sha512", "DigitalSignature rsa-sha512")]
    [InlineData("rsa", "ike:rsa/pss-sha384", "DigitalSignature rsa/pss-sha384")]
    [InlineData("p256", "pubkey", "DigitalSignature ecdsa-sha256")]
    [InlineData("p256", "ike:ecdsa-sha512", "DigitalSignature ecdsa-sha512")]
    [InlineData("p384", "pubkey", "DigitalSignature ecdsa-sha384")]
    [InlineData("p521", "pubkey", "DigitalSignature ecdsa-sha512")]
    [InlineData("ed25519", "pubkey", "DigitalSignature ed25519")]
    [InlineData("ed448", "pubkey", "DigitalSignature ed448")]
    [InlineData("dsa", "dsa", "DigitalSignature dsa-sha256")]
    [InlineData("dsa", "ike:dsa", "DigitalSignature dsa-sha256")]
    [InlineData("dsa", "ike:dsa-2048-ecdsa-256-sha256", "DigitalSignature dsa-sha256")]
    public void Every_kind_of_key_makes_a_tunnel_with_the_scheme_that_auth_names(string kind, string auth, string scheme)
    {
        var constraints = AuthConstraints.Parse(auth);
        Load(Left(kind, local => local with { Schemes = constraints }, remote => remote with { Constraints = constraints }), Right(kind, local => local with { Schemes = constraints }, remote => remote with { Constraints = constraints }));
        Assert.True(_pair.Up().Success, Why());
        Assert.Equal([scheme, scheme], Methods());
        Assert.Single(_pair.Left.Installed);
        Assert.Single(_pair.Right.Installed);
    }

    [Theory]
    [InlineData("rsa", "Rsa rsa-sha1")]
    [InlineData("p256", "Ecdsa256 ecdsa-sha256")]
    [InlineData("p384", "Ecdsa384 ecdsa-sha384")]
    [InlineData("p521", "Ecdsa521 ecdsa-sha512")]
    public void A_peer_that_announces_no_hashes_gets_the_old_methods(string kind, string scheme)
    {
        _pair = Old();
        Load(Left(kind), Right(kind));
        Assert.True(_pair.Up().Success, Why());
        Assert.Equal([scheme, scheme], Methods());
    }

    [Fact]
    public void Dss_is_off_unless_it_is_named()
    {
        Load(Left("dsa"), Right("dsa"));
        Assert.False(_pair.Up().Success);
        Assert.Equal("no-certificate", _pair.Left.LastReport!.Failure!.Reason);
        using var other = new EnginePair();
        var named = AuthConstraints.Parse("dsa");
        Load(other, Left("dsa", local => local with { Schemes = named }), Right("dsa"));
        Assert.False(other.Up().Success);
        Assert.Equal("authentication-method", other.Right.LastReport!.Failure!.Reason);
        using var old = Old();
        Load(old, Left("dsa", local => local with { Schemes = named }, remote => remote with { Constraints = named }), Right("dsa", local => local with { Schemes = named }, remote => remote with { Constraints = named }));
        Assert.True(old.Up().Success, Why(old));
        Assert.Equal(["Dss dsa-sha1", "Dss dsa-sha1"], Methods(old));
    }

    [Theory]
    [InlineData("ed25519")]
    [InlineData("ed448")]
    public void Edwards_keys_need_a_peer_that_announces_identity(string kind)
    {
        _pair = Old();
        Load(Left(kind), Right(kind));
        Assert.False(_pair.Up().Success);
        Assert.Equal("no-certificate", _pair.Left.LastReport!.Failure!.Reason);
        Assert.Contains("announces no hashes", _pair.Left.LastReport.Failure.Offered[0], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void One_side_may_use_a_secret_and_the_other_a_certificate(bool left)
    {
        var (signs, shares) = left ? (Left("p256"), EnginePair.RightGateway()) : (Right("p256"), EnginePair.LeftGateway());
        signs = signs with { Remote = shares.Local.Id is { } id ? new RemoteAuth { Id = IdentityPattern.Of(id) } : signs.Remote };
        shares = shares with { Remote = (left ? Right("p256") : Left("p256")).Remote };
        if (left) Load(signs, shares);
        else Load(shares, signs);
        Assert.True(_pair.Up().Success, Why());
        Assert.Equal(left ? ["DigitalSignature ecdsa-sha256", "pre-shared key"] : ["pre-shared key", "DigitalSignature ecdsa-sha256"], Methods());
    }

    [Fact]
    public void Without_sha1_a_peer_that_announces_nothing_gets_no_rsa()
    {
        var strict = AuthConstraints.Parse("ike:rsa-sha256");
        _pair = Old();
        Load(Left("rsa"), Right("rsa", remote: remote => remote with { Constraints = strict }));
        Assert.False(_pair.Up().Success);
        Assert.Equal("authentication-method", _pair.Right.LastReport!.Failure!.Reason);
        Assert.Contains("rsa-sha1", _pair.Right.LastReport.Failure.Sentence, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("p384", "ike:ecdsa-256-sha384", true)]
    [InlineData("p256", "ike:ecdsa-384-sha256", false)]
    [InlineData("rsa", "ike:rsa-3072", false)]
    [InlineData("rsa3072", "ike:rsa-3072", true)]
    [InlineData("p256", "ike:rsa-2048-ike:ecdsa-256", true)]
    [InlineData("ed25519", "ike:rsa-ike:ecdsa", false)]
    [InlineData("ed25519", "ike:pubkey-sha256", false)]
    [InlineData("ed25519", "ike:pubkey-identity", true)]
    public void What_auth_demands_of_the_peer_is_demanded(string kind, string auth, bool good)
    {
        Load(Left(kind), Right(kind, remote: remote => remote with { Constraints = AuthConstraints.Parse(auth) }));
        Assert.Equal(good, _pair.Up().Success);
        if (!good) Assert.Equal("authentication-method", _pair.Right.LastReport!.Failure!.Reason);
    }

    [Fact]
    public void A_signature_with_another_key_is_refused_and_named()
    {
        // the certificate of one key, the signature of another: only a liar sends that
        Load(Left("p256"), Right("p256"));
        _pair.Left.HeldAsks = [];
        _pair.Left.Up("net", "net", _pair.Now);
        while (true)
        {
            _pair.Settle();
            if (_pair.Left.HeldAsks.Count == 0) break;
            var (id, question) = _pair.Left.HeldAsks[0];
            _pair.Left.HeldAsks.RemoveAt(0);
            if (question is not Ask.Sign sign)
            {
                _pair.Left.Answer(id, question, _pair.Now);
                continue;
            }

            _pair.Left.Engine.Handle(new Answer.Octets(id, new Secret(Keys.Of("p256.other").Sign(sign.Scheme, sign.Octets.AsSpan()))), _pair.Now);
            _pair.Left.Drain(_pair.Now);
        }

        Assert.Empty(_pair.Right.Installed);
        Assert.Equal("authentication-failed", _pair.Right.LastReport!.Failure!.Reason);
        Assert.Contains("CN=left-p256", _pair.Right.LastReport.Failure.Sentence, StringComparison.Ordinal);
        Assert.Equal("authentication-failed", _pair.Left.LastReport!.Failure!.Reason);
    }

    [Theory]
    [InlineData(HashId.Sha1, "pubkey", true)]
    [InlineData(HashId.Sha256, "pubkey", true)]
    [InlineData(HashId.Sha384, "pubkey", true)]
    [InlineData(HashId.Sha512, "pubkey", true)]
    [InlineData(HashId.Sha256, "ike:rsa-sha256", true)]
    [InlineData(HashId.Sha1, "ike:rsa-sha256", false)]
    [InlineData(HashId.Sha384, "ike:rsa-sha256", false)]
    [InlineData(HashId.Sha256, "ike:rsa/pss", false)]
    public void A_peer_may_sign_with_method_1_and_any_hash_that_is_allowed(HashId hash, string auth, bool good)
    {
        // RFC 7296 section 3.8: the payload does not say which; SHA-1 is only what is expected
        _pair = Old();
        Load(Left("rsa"), Right("rsa", remote: remote => remote with { Constraints = AuthConstraints.Parse(auth) }));
        SignAs(scheme => Warifu.Crypto.Signatures.SignatureScheme.RsaPkcs1(hash));
        Assert.Equal(good ? 1 : 0, _pair.Right.Installed.Count);
        if (!good) Assert.Equal("authentication-method", _pair.Right.LastReport!.Failure!.Reason);
    }

    [Theory]
    [InlineData("p256", AuthMethod.Ecdsa256)]
    [InlineData("p384", AuthMethod.Ecdsa384)]
    [InlineData("p521", AuthMethod.Ecdsa521)]
    [InlineData("rsa", (AuthMethod)0)]
    [InlineData("ed25519", (AuthMethod)0)]
    public void Each_method_of_RFC_4754_is_for_its_curve(string kind, AuthMethod own)
    {
        foreach (var method in new[] { AuthMethod.Ecdsa256, AuthMethod.Ecdsa384, AuthMethod.Ecdsa521 }) Assert.Equal(method == own, SignatureChoice.FitsCurve(method, Keys.Of(kind).Public));
        Assert.True(SignatureChoice.FitsCurve(AuthMethod.DigitalSignature, Keys.Of(kind).Public));
    }

    /// <summary>A peer that says one method of RFC 4754 and signs with a key of another curve, which is known here.</summary>
    [Theory]
    [InlineData("p256", "p256", true)]
    [InlineData("p256", "p384", false)]
    [InlineData("p256", "p521", false)]
    [InlineData("p384", "p256", false)]
    [InlineData("p384", "p384", true)]
    [InlineData("p521", "p256", false)]
    public void A_signature_by_a_method_of_another_curve_is_refused(string method, string kind, bool good)
    {
        _pair = Old();
        var (own, used) = (method + ".wrong1", kind + ".wrong2");
        var left = Raw(Left("p256"), own, "p256.wrong3") with { SendCert = SendCertificates.Never };
        Load(left, Raw(Right("p256"), "p256.wrong3", used) with { SendCert = SendCertificates.Never });
        _pair.Left.HeldAsks = [];
        _pair.Left.Up("net", "net", _pair.Now);
        while (true)
        {
            _pair.Settle();
            if (_pair.Left.HeldAsks.Count == 0) break;
            var (id, question) = _pair.Left.HeldAsks[0];
            _pair.Left.HeldAsks.RemoveAt(0);
            if (question is not Ask.Sign sign)
            {
                _pair.Left.Answer(id, question, _pair.Now);
                continue;
            }

            Assert.True(sign.Scheme.Raw);
            _pair.Left.Engine.Handle(new Answer.Octets(id, new Secret(Keys.Of(used).Sign(sign.Scheme, sign.Octets.AsSpan()))), _pair.Now);
            _pair.Left.Drain(_pair.Now);
        }

        Assert.Equal(good ? 1 : 0, _pair.Right.Installed.Count);
        if (!good) Assert.Equal("authentication-failed", _pair.Right.LastReport!.Failure!.Reason);
    }

    [Fact]
    [Trait("Item", "2.2")]
    public void A_policy_that_is_loaded_anew_brings_its_new_chain()
    {
        var sub = s_root.Authority("CN=Sub");
        var leaf = sub.Issue("CN=left", spec =>
        {
            spec.Key = TestKey.Foreign(Keys.Of("p256").Public.Spki);
            spec.Dns("left.example.org");
        });
        Load(Left("p256"), Right("p256"));
        var left = Left("p256", local => local with { Certificates = [[.. leaf.Der]] });
        // the intermediate is not known: the same connection, kept as it is, gets it later
        _pair.Left.Load(new PolicySet { Connections = [left], Trust = Judging.Material(s_root) }, _pair.Now);
        Assert.False(_pair.Up().Success);
        Assert.Equal("certificate-missing-issuer", _pair.Right.LastReport!.Failure!.Reason);
        _pair.Left.Load(new PolicySet { Connections = [left], Trust = Judging.Material(s_root) with { Certificates = [[.. sub.Der]] } }, _pair.Now);
        Assert.True(_pair.Up().Success, Why());
    }

    /// <summary>RFC 8247 section 3.2: where the peer could have chosen, SHA-1 is its mistake, unless the configuration names it.</summary>
    [Theory]
    [InlineData("pubkey", false, false)]
    [InlineData("pubkey", true, true)]
    [InlineData("ike:rsa", false, false)]
    [InlineData("ike:rsa-sha256-sha1", false, true)]
    [InlineData("ike:rsa-sha256", true, false)]
    public void SHA_1_is_good_where_the_method_leaves_no_choice_or_it_is_named(string auth, bool bound, bool good) =>
        Assert.Equal(good, AuthConstraints.Parse(auth).AllowsIke(Keys.Of("rsa").Public, Warifu.Crypto.Signatures.SignatureScheme.RsaPkcs1(HashId.Sha1), bound));

    [Fact]
    public void Method_1_with_PSS_is_refused()
    {
        _pair = Old();
        Load(Left("rsa"), Right("rsa"));
        SignAs(scheme => Warifu.Crypto.Signatures.SignatureScheme.RsaPss(HashId.Sha256));
        Assert.Empty(_pair.Right.Installed);
        Assert.Equal("authentication-failed", _pair.Right.LastReport!.Failure!.Reason);
    }

    /// <summary>The left side signs in another way than it says.</summary>
    private void SignAs(Func<Warifu.Crypto.Signatures.SignatureScheme, Warifu.Crypto.Signatures.SignatureScheme> other)
    {
        _pair.Left.HeldAsks = [];
        _pair.Left.Up("net", "net", _pair.Now);
        while (true)
        {
            _pair.Settle();
            if (_pair.Left.HeldAsks.Count == 0) break;
            var (id, question) = _pair.Left.HeldAsks[0];
            _pair.Left.HeldAsks.RemoveAt(0);
            _pair.Left.Answer(id, question is Ask.Sign sign ? sign with { Scheme = other(sign.Scheme) } : question, _pair.Now);
        }
    }

    [Fact]
    public void Every_changed_octet_of_auth_data_is_refused()
    {
        var octets = "what is signed"u8.ToArray();
        var (method, scheme) = SignatureChoice.For(Keys.Of("p256").Public, AuthConstraints.Any, [HashId.Sha256])!.Value;
        var data = SignatureChoice.Write(method, scheme, Keys.Of("p256").Sign(scheme, octets));
        Assert.True(Right(data));
        for (var i = 0; i < data.Length; i++)
        {
            data[i] ^= 0x01;
            Assert.False(Right(data), $"octet {i}");
            data[i] ^= 0x01;
        }

        for (var length = 0; length < data.Length; length++) Assert.False(Right(data[..length]), $"{length} octets");
        Assert.False(Right([.. data, 0]));

        bool Right(byte[] auth) => SignatureChoice.TryRead(AuthMethod.DigitalSignature, auth, out var read, out var signature, out _) && Keys.Of("p256").Public.Verify(read, octets, signature.Span);
    }

    [Fact]
    [Trait("Item", "2.2")]
    public void A_chain_is_sent_in_order_without_its_root_and_trusted()
    {
        var sub = s_root.Authority("CN=Sub");
        var leaf = sub.Issue("CN=left", spec =>
        {
            spec.Key = TestKey.Foreign(Keys.Of("p256").Public.Spki);
            spec.Dns("left.example.org");
        });
        var left = Left("p256");
        _pair.Left.AddKey(Keys.Of("p256"));
        _pair.Right.AddKey(Keys.Of("p256"));
        _pair.Left.Load(new PolicySet { Connections = [left with { Local = left.Local with { Certificates = [[.. leaf.Der]] } }], Trust = Judging.Material(s_root) with { Certificates = [[.. sub.Der]] } }, _pair.Now);
        _pair.Right.Load(new PolicySet { Connections = [Right("p256")], Trust = Judging.Material(s_root) }, _pair.Now);
        Assert.True(_pair.Up().Success, Why());
        var request = _pair.Left.LastReport!.Steps.Single(step => step.Title.StartsWith("IKE_AUTH request", StringComparison.Ordinal)).Title;
        Assert.Contains("[ IDi CERT CERT CERTREQ IDr AUTH", request, StringComparison.Ordinal);
        Assert.Contains("trusted through C=CH, O=Example, CN=Root", string.Join('\n', _pair.Right.LastReport!.Steps.Select(step => step.Title)), StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Item", "2.2")]
    public void The_certificate_whose_authority_the_peer_names_is_chosen()
    {
        var other = Issuing.Root("CN=Other root");
        var mine = Certificate("left", "p256", other, "p256.other");
        var left = Left("p256");
        // the configuration prefers the one that the peer does not trust
        left = left with { Local = left.Local with { Certificates = [[.. mine.Der], .. left.Local.Certificates] } };
        Load(left, Right("p256"));
        Assert.True(_pair.Up().Success, Why());
    }

    [Fact]
    public void Of_several_keys_the_one_is_chosen_that_the_peer_can_verify()
    {
        // without RFC 7427 Ed25519 cannot be used: the second certificate is
        var left = Left("ed25519");
        left = left with { Local = left.Local with { Certificates = [.. left.Local.Certificates, [.. Of("left", "p256").Der]] } };
        _pair.Left.AddKey(Keys.Of("p256"));
        _pair = Old();
        Load(left, Right("p256"));
        Assert.True(_pair.Up().Success, Why());
        Assert.Equal("Ecdsa256 ecdsa-sha256", Methods()[0]);
    }

    [Fact]
    public void A_certificate_without_its_private_key_is_passed_over()
    {
        var left = Left("p256");
        left = left with { Local = left.Local with { Certificates = [[.. Of("left", "p384").Der], .. left.Local.Certificates] } };
        Load(_pair, left, Right("p256"), without: "p384");
        Assert.True(_pair.Up().Success, Why());
        using var none = new EnginePair();
        none.Left.Load(new PolicySet { Connections = [Left("p521")], Trust = Judging.Material(s_root) }, none.Now);
        none.Right.Load(new PolicySet { Connections = [Right("p256")], Trust = Judging.Material(s_root) }, none.Now);
        Assert.False(none.Up().Success);
        Assert.Equal("no-secret", none.Left.LastReport!.Failure!.Reason);
        Assert.Contains("CN=left-p521", none.Left.LastReport.Failure.Sentence, StringComparison.Ordinal);
    }

    [Theory]
    [Trait("Item", "2.2")]
    [InlineData(SendCertificates.Always, false, true)]
    [InlineData(SendCertificates.Always, true, true)]
    [InlineData(SendCertificates.IfAsked, true, true)]
    [InlineData(SendCertificates.IfAsked, false, false)]
    [InlineData(SendCertificates.Never, true, false)]
    public void Certificates_are_sent_as_send_cert_says(SendCertificates send, bool asked, bool sent)
    {
        var right = Right("p256") with { SendCertReq = asked };
        // who is sent none knows it already
        right = right with { Remote = right.Remote with { Certificates = [[.. Of("left", "p256").Der]] } };
        Load(Left("p256") with { SendCert = send }, right);
        Assert.True(_pair.Up().Success, Why());
        Assert.Equal(sent, _pair.Left.LastReport!.Steps.Single(step => step.Title.StartsWith("IKE_AUTH request", StringComparison.Ordinal)).Title.Contains(" CERT ", StringComparison.Ordinal));
        Assert.Equal(asked, _pair.Left.LastReport.Steps.Single(step => step.Title.StartsWith("IKE_SA_INIT response", StringComparison.Ordinal)).Title.Contains(" CERTREQ ", StringComparison.Ordinal));
    }

    [Theory]
    [Trait("Item", "2.2")]
    [InlineData("rsa")]
    [InlineData("p256")]
    [InlineData("ed25519")]
    public void Raw_public_keys_need_no_certificates(string kind)
    {
        Load(Raw(Left(kind), kind, kind), Raw(Right(kind), kind, kind));
        Assert.True(_pair.Up().Success, Why());
        Assert.Contains("[ IDi CERT CERTREQ IDr AUTH", _pair.Left.LastReport!.Steps.Single(step => step.Title.StartsWith("IKE_AUTH request", StringComparison.Ordinal)).Title, StringComparison.Ordinal);
        using var silent = new EnginePair();
        Load(silent, Raw(Left(kind), kind, kind) with { SendCert = SendCertificates.Never }, Raw(Right(kind), kind, kind) with { SendCert = SendCertificates.Never });
        Assert.True(silent.Up().Success, Why(silent));
    }

    [Fact]
    [Trait("Item", "2.2")]
    public void A_raw_key_that_is_not_configured_is_refused()
    {
        Load(Raw(Left("p256"), "p256.other", "p256"), Raw(Right("p256"), "p256", "p256"));
        Assert.False(_pair.Up().Success);
        Assert.Equal("authentication-failed", _pair.Right.LastReport!.Failure!.Reason);
        Assert.Contains("pubkeys", _pair.Right.LastReport.Failure.Remedy, StringComparison.Ordinal);
        Assert.Empty(_pair.Right.Installed);
    }

    [Theory]
    [Trait("Item", "2.2")]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void A_certificate_may_be_named_by_hash_and_URL_where_that_is_on(bool on, bool there)
    {
        using var pair = new EnginePair(right: new EngineOptions { HashAndUrl = on });
        var certificate = Of("left", "p256").Der;
        var uri = "http://certs.example.org/" + Convert.ToHexStringLower(System.Security.Cryptography.SHA1.HashData(certificate));
        if (there) pair.Right.Documents[uri] = certificate;
        Load(pair, Left("p256"), Right("p256"));
        var trust = Judging.Material(s_root);
        pair.Left.Load(new PolicySet { Connections = [Left("p256")], Trust = trust with { Authorities = [trust.Authorities[0] with { CertUriBase = "http://certs.example.org/" }] } }, pair.Now);
        Assert.Equal(there, pair.Up().Success);
        Assert.Equal(on ? [uri] : [], pair.Right.Fetched);
        // whoever makes us fetch something receives at its address: a cookie first
        Assert.Equal(on, pair.Sent.Count(sent => sent.Message.Message[18] == (byte)ExchangeType.IkeSaInit) == 4);
        if (there) return;
        Assert.Equal("certificate-malformed", pair.Right.LastReport!.Failure!.Reason);
        Assert.Contains("nobody is there", pair.Right.LastReport.Failure.Sentence, StringComparison.Ordinal);
    }

    [Theory]
    [Trait("Item", "2.4")]
    [InlineData("untrusted", "certificate-missing-issuer")]
    [InlineData("expired", "certificate-expired")]
    [InlineData("identity", "certificate-identity")]
    public void A_certificate_that_is_not_good_is_refused_with_the_exact_reason(string what, string reason)
    {
        var certificate = what switch
        {
            "untrusted" => Certificate("left", "p256", Issuing.Root("CN=Nobody"), "p256"),
            "expired" => s_root.Issue("CN=left", spec => (spec.Key, spec.To) = (TestKey.Foreign(Keys.Of("p256").Public.Spki), Issuing.Now.AddDays(-1))),
            _ => s_root.Issue("CN=somebody else", spec => spec.Key = TestKey.Foreign(Keys.Of("p256").Public.Spki)),
        };
        var left = Left("p256");
        Load(left with { Local = left.Local with { Certificates = [[.. certificate.Der]] } }, Right("p256"));
        Assert.False(_pair.Up().Success);
        Assert.Equal(reason, _pair.Right.LastReport!.Failure!.Reason);
        // on the wire nothing but AUTHENTICATION_FAILED
        Assert.Contains("[ N(AUTHENTICATION_FAILED) ]", _pair.Left.LastReport!.Steps.Single(step => step.Title.StartsWith("IKE_AUTH response", StringComparison.Ordinal)).Title, StringComparison.Ordinal);
        Assert.Empty(_pair.Left.Installed);
        Assert.Empty(_pair.Right.Installed);
        Assert.Empty(_pair.Right.Engine.Snapshot().IkeSas);
    }

    [Fact]
    [Trait("Item", "2.4")]
    public void A_responder_that_is_not_good_is_told_under_protection()
    {
        var right = Right("p256");
        Load(Left("p256"), right with { Local = right.Local with { Certificates = [[.. Certificate("right", "p256", Issuing.Root("CN=Nobody"), "p256").Der]] } });
        Assert.False(_pair.Up().Success);
        Assert.Equal("certificate-missing-issuer", _pair.Left.LastReport!.Failure!.Reason);
        Assert.Empty(_pair.Left.Installed);
        Assert.Empty(_pair.Right.Installed);
        Assert.Empty(_pair.Right.Engine.Snapshot().IkeSas);
        Assert.Contains(_pair.Right.Events.OfType<NegotiationEnded>(), ended => ended.Report.Failure?.Reason == "authentication-failed");
    }

    [Fact]
    public void Without_an_own_identity_the_subject_of_the_certificate_is_it()
    {
        var left = Left("p256");
        var right = Right("p256");
        Load(left with { Local = left.Local with { Id = null } }, right with { Remote = right.Remote with { Id = IdentityPattern.Parse("C=CH, CN=left-p256") } });
        Assert.True(_pair.Up().Success, Why());
        Assert.Equal("C=CH, CN=left-p256", Assert.Single(_pair.Right.Events.OfType<IkeSaUp>()).RemoteId);
    }

    [Fact]
    public void The_connection_whose_method_the_peer_uses_is_taken()
    {
        // two connections for anybody: one with secrets, one with certificates
        var secret = EnginePair.RightGateway() with { Name = "secret", Remote = new RemoteAuth(), RemoteAddresses = [] };
        var certificate = Right("p256", remote: remote => remote with { Id = IdentityPattern.Any }) with { Name = "certificate", RemoteAddresses = [] };
        _pair.Left.AddKey(Keys.Of("p256"));
        _pair.Right.AddKey(Keys.Of("p256"));
        _pair.Left.Load(new PolicySet { Connections = [Left("p256")], Trust = Judging.Material(s_root) }, _pair.Now);
        _pair.Right.Load(new PolicySet { Connections = [secret, certificate], Trust = Judging.Material(s_root) }, _pair.Now);
        Assert.True(_pair.Up().Success, Why());
        Assert.Equal("certificate", Assert.Single(_pair.Right.Events.OfType<IkeSaUp>()).Connection);
    }

    [Fact]
    public void Policies_with_the_same_certificates_are_the_same()
    {
        Load(Left("p256"), Right("p256"));
        Assert.True(_pair.Up().Success, Why());
        // built anew, octet for octet the same: nothing is touched
        _pair.Left.Load(new PolicySet { Connections = [Left("p256")], Trust = Judging.Material(s_root) }, _pair.Now);
        Assert.Single(_pair.Left.Installed);
        var left = Left("p256");
        _pair.Left.Load(new PolicySet { Connections = [left with { Local = left.Local with { Certificates = [[.. Of("left", "p384").Der]] } }], Trust = Judging.Material(s_root) }, _pair.Now);
        _pair.Run();
        Assert.Empty(_pair.Left.Installed);
    }

    private static Connection Raw(Connection connection, string own, string peer) => connection with
    {
        Local = connection.Local with { Certificates = [], PublicKeys = [[.. Keys.Of(own).Public.Spki.Span]] },
        Remote = connection.Remote with { PublicKeys = [[.. Keys.Of(peer).Public.Spki.Span]] },
    };

    private static Entity Of(string side, string kind)
    {
        lock (s_certificates)
        {
            var name = $"{side}-{kind}";
            if (!s_certificates.TryGetValue(name, out var entity)) s_certificates.Add(name, entity = Certificate(side, kind, s_root, kind));
            return entity;
        }
    }

    private static Entity Certificate(string side, string kind, Entity issuer, string key) => issuer.Issue($"C=CH, CN={side}-{kind}", spec =>
    {
        spec.Key = TestKey.Foreign(Keys.Of(key).Public.Spki);
        spec.Dns($"{side}.example.org");
    });

    private static Connection Left(string kind, Func<LocalAuth, LocalAuth>? local = null, Func<RemoteAuth, RemoteAuth>? remote = null) => Signing(EnginePair.LeftGateway(), "left", kind, local, remote);

    private static Connection Right(string kind, Func<LocalAuth, LocalAuth>? local = null, Func<RemoteAuth, RemoteAuth>? remote = null) => Signing(EnginePair.RightGateway(), "right", kind, local, remote);

    private static Connection Signing(Connection connection, string side, string kind, Func<LocalAuth, LocalAuth>? local, Func<RemoteAuth, RemoteAuth>? remote)
    {
        var own = connection.Local with { Kind = AuthKind.PublicKey, Certificates = [[.. Of(side, kind).Der]] };
        var peer = connection.Remote with { Kind = AuthKind.PublicKey };
        return connection with { Local = local?.Invoke(own) ?? own, Remote = remote?.Invoke(peer) ?? peer };
    }

    private void Load(Connection left, Connection right) => Load(_pair, left, right);

    /// <summary>Both sides have all private keys that were made so far, but those of the kind <paramref name="without"/>.</summary>
    private static void Load(EnginePair pair, Connection left, Connection right, string without = "")
    {
        foreach (var (host, connection) in new[] { (pair.Left, left), (pair.Right, right) })
        {
            foreach (var (kind, key) in Keys.Known)
            {
                if (kind != without) host.AddKey(key);
            }

            host.Load(new PolicySet { Connections = [connection], Trust = Judging.Material(s_root) }, pair.Now);
        }
    }

    /// <summary>Two that have never heard of RFC 7427.</summary>
    private static EnginePair Old() => new(left: new EngineOptions { SignatureAuthentication = false }, right: new EngineOptions { SignatureAuthentication = false });

    private string Why() => Why(_pair);

    private static string Why(EnginePair pair) => $"left: {pair.Left.LastReport?.Failure?.Sentence}; right: {pair.Right.LastReport?.Failure?.Sentence}";

    private string[] Methods() => Methods(_pair);

    /// <summary>Of both AUTH payloads, as the reports' details tell them.</summary>
    private static string[] Methods(EnginePair pair) => [.. pair.Left.LastReport!.Steps.SelectMany(step => step.Details).Where(line => line.StartsWith("AUTH ", StringComparison.Ordinal)).Select(line => line[5..])];
}
