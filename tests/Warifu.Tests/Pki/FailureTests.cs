using System;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Pki;

/// <summary>Each way in which a peer's certificate can be wrong: the rule, the certificate and what to do are named (R173).</summary>
[Trait("Item", "2.4")]
public sealed class FailureTests
{
    private static readonly Entity s_root = Issuing.Root();
    private static readonly Entity s_sub = s_root.Authority("C=CH, O=Example, CN=Sub");

    [Fact]
    public void A_good_chain_is_good()
    {
        var peer = s_sub.Issue("C=CH, O=Example, CN=gw", spec => spec.Dns("gw.example.org").Usage(0));
        var chain = Judging.Ask(peer, [s_root], s_sub).Of(Identity.Fqdn("gw.example.org")).Good();
        Assert.Equal([peer.Certificate, s_sub.Certificate, s_root.Certificate], chain);
    }

    [Fact]
    public void Nothing_sent()
    {
        var question = Judging.Ask(s_sub, [s_root]) with { Offered = [] };
        var failure = Assert.IsType<PathVerdict.Bad>(PathJudge.Judge(question)).Failure;
        Assert.Equal(PathRule.NoCertificate, failure.Rule);
        Assert.Contains("send_cert", failure.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void Expired()
    {
        var peer = s_root.Issue("CN=gw", spec => spec.To = Issuing.Now.AddSeconds(-1));
        var failure = Judging.Ask(peer, [s_root]).Bad(PathRule.Expired, peer);
        Assert.Contains("2026-06-01 11:59:59Z", failure.Sentence, StringComparison.Ordinal);
        Assert.Contains("2026-06-01 12:00:00Z", failure.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void Not_yet_valid()
    {
        var peer = s_root.Issue("CN=gw", spec => spec.From = Issuing.Now.AddSeconds(1));
        Judging.Ask(peer, [s_root]).Bad(PathRule.NotYetValid, peer);
    }

    [Fact]
    public void Dates_include_both_ends()
    {
        var peer = s_root.Issue("CN=gw", spec => (spec.From, spec.To) = (Issuing.Now, Issuing.Now));
        Judging.Ask(peer, [s_root]).Good();
    }

    [Fact]
    public void The_intermediate_expired()
    {
        var sub = s_root.Authority("CN=Old Sub", spec => spec.To = Issuing.Now.AddDays(-1));
        Judging.Ask(sub.Issue("CN=gw"), [s_root], sub).Bad(PathRule.Expired, sub);
    }

    [Fact]
    public void The_trusted_root_expired()
    {
        var root = Issuing.Root("CN=Old Root", spec => spec.To = Issuing.Now.AddDays(-1));
        Judging.Ask(root.Issue("CN=gw"), [root]).Bad(PathRule.Expired, root);
    }

    [Fact]
    public void Revoked()
    {
        var peer = s_root.Issue("CN=gw");
        var failure = Judging.Ask(peer, [s_root]).Lists(s_root.Crl(list => list.Revoke(peer.Certificate, 1))).Bad(PathRule.Revoked, peer);
        Assert.Contains("key compromise", failure.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void The_intermediate_was_revoked()
    {
        var sub = s_root.Authority("CN=Bad Sub");
        Judging.Ask(sub.Issue("CN=gw"), [s_root], sub).Lists(s_root.Crl(sub.Certificate)).Bad(PathRule.Revoked, sub);
    }

    [Fact]
    public void Issued_by_another_root()
    {
        var other = Issuing.Root("CN=Other Root");
        var failure = Judging.Ask(other.Issue("CN=gw"), [s_root], other).Bad(PathRule.UntrustedRoot, other);
        Assert.Contains(s_root.Name, failure.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void Issued_by_nobody_known()
    {
        var other = Issuing.Root("CN=Other Root");
        var peer = other.Issue("CN=gw");
        var failure = Judging.Ask(peer, [s_root]).Bad(PathRule.MissingIssuer, peer);
        Assert.Contains("CN=Other Root", failure.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void The_intermediate_was_not_sent()
    {
        var peer = s_sub.Issue("CN=gw");
        var failure = Judging.Ask(peer, [s_root]).Bad(PathRule.MissingIssuer, peer);
        Assert.Contains(s_sub.Name, failure.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_is_trusted()
    {
        var peer = s_root.Issue("CN=gw");
        var failure = Judging.Ask(peer, [], s_root).Bad(PathRule.UntrustedRoot, s_root);
        Assert.Contains("no authority is trusted", failure.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void Signed_by_itself()
    {
        var peer = Entity.Make("CN=gw", null, null);
        Judging.Ask(peer, [s_root]).Bad(PathRule.SelfSigned, peer);
    }

    [Fact]
    public void An_impostor_with_the_root_s_name_signed_it()
    {
        var impostor = Issuing.Root();
        var peer = impostor.Issue("CN=gw");
        Judging.Ask(peer, [s_root], impostor).Bad(PathRule.UntrustedRoot, impostor);
        Judging.Ask(peer, [s_root]).Bad(PathRule.Signature, peer);
    }

    [Fact]
    public void Changed_after_it_was_signed()
    {
        var peer = s_root.Issue("CN=gw");
        var octets = peer.Der.ToArray();
        octets[^1] ^= 1;
        Assert.True(Certificate.TryParse(octets, out var changed, out _));
        var question = Judging.Ask(peer, [s_root]) with { Offered = [changed!] };
        Assert.Equal(PathRule.Signature, Assert.IsType<PathVerdict.Bad>(PathJudge.Judge(question)).Failure.Rule);
    }

    [Theory]
    [InlineData("gw.example.com")]
    [InlineData("w.example.org")]
    [InlineData("*.example.org")]
    [InlineData("gw.example.org.evil.example")]
    public void Another_name(string name)
    {
        var peer = s_root.Issue("CN=gw.example.com", spec => spec.Dns("gw.example.org"));
        var failure = Judging.Ask(peer, [s_root]).Of(Identity.Fqdn(name)).Bad(PathRule.Identity, peer);
        Assert.Contains("DNS gw.example.org", failure.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void A_wildcard_in_the_certificate_names_nobody()
    {
        var peer = s_root.Issue("CN=gw", spec => spec.Dns("*.example.org"));
        Judging.Ask(peer, [s_root]).Of(Identity.Fqdn("gw.example.org")).Bad(PathRule.Identity, peer);
        Judging.Ask(peer, [s_root]).Of(Identity.Fqdn("*.example.org")).Bad(PathRule.Identity, peer);
    }

    [Fact]
    public void A_key_id_is_in_no_certificate()
    {
        var peer = s_root.Issue("CN=gw");
        Judging.Ask(peer, [s_root]).Of(Identity.KeyId("gw"u8)).Bad(PathRule.IdentityType, peer);
    }

    [Theory]
    [InlineData(1024)]
    [InlineData(1536)]
    public void A_short_key(int bits)
    {
        var peer = s_root.Issue("CN=gw", spec => spec.Key = TestKey.Rsa(bits));
        var failure = Judging.Ask(peer, [s_root]).Bad(PathRule.WeakKey, peer);
        Assert.Contains($"RSA {bits}", failure.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void A_short_key_of_the_root()
    {
        var root = Issuing.Root("CN=Small Root", spec => spec.Key = TestKey.Rsa(1024));
        Judging.Ask(root.Issue("CN=gw"), [root]).Bad(PathRule.WeakKey, root);
        Judging.Ask(root.Issue("CN=gw"), [root]).Auth("pubkey-rsa-1024").Good();
        // what is said of the signature of IKE counts for the peer's own key, not for those above it
        Judging.Ask(root.Issue("CN=gw"), [root]).Auth("ike:ecdsa-ike:rsa-1024").Bad(PathRule.WeakKey, root);
        var small = s_root.Issue("CN=Small gw", spec => spec.Key = TestKey.Rsa(1024));
        Judging.Ask(small, [s_root]).Auth("ike:rsa-1024").Good();
        Judging.Ask(small, [s_root]).Auth("ike:rsa").Bad(PathRule.WeakKey, small);
    }

    [Fact]
    public void A_key_that_is_too_short_to_be_one()
    {
        var peer = s_root.Issue("CN=gw", spec => spec.Key = TestKey.Rsa(512));
        Judging.Ask(peer, [s_root]).Bad(PathRule.UnknownKey, peer);
    }

    [Fact]
    public void A_key_below_what_the_connection_asks_for()
    {
        var root = Issuing.Root("CN=RSA Root", spec => spec.Key = TestKey.Rsa(3072));
        var peer = root.Issue("CN=gw", spec => spec.Key = TestKey.Rsa(2048));
        var failure = Judging.Ask(peer, [root]).Auth("rsa-3072-sha256").Bad(PathRule.WeakKey, peer);
        Assert.Contains("connections.gw.remote.auth", failure.Remedy, StringComparison.Ordinal);
        Judging.Ask(peer, [root]).Auth("rsa-2048-sha256").Good();
    }

    [Fact]
    public void A_key_of_the_chain_below_what_the_connection_asks_for()
    {
        var root = Issuing.Root("CN=RSA Root", spec => spec.Key = TestKey.Rsa(2048));
        var peer = root.Issue("CN=gw", spec => spec.Key = TestKey.Rsa(3072));
        Judging.Ask(peer, [root]).Auth("rsa-3072-sha256").Bad(PathRule.WeakKey, root);
    }

    [Fact]
    public void A_kind_of_key_that_the_connection_does_not_take()
    {
        var peer = s_root.Issue("CN=gw");
        Judging.Ask(peer, [s_root]).Auth("rsa-2048-sha256-ecdsa-384-sha384").Bad(PathRule.WeakKey, peer);
    }

    [Fact]
    public void Signed_by_SHA_1()
    {
        var peer = s_root.Issue("CN=gw", spec => spec.Hash = HashAlgorithmName.SHA1);
        Judging.Ask(peer, [s_root]).Bad(PathRule.WeakSignature, peer);
        Judging.Ask(peer, [s_root]).Auth("pubkey-sha1-sha256").Good();
    }

    [Fact]
    public void The_hash_of_the_root_s_own_signature_does_not_matter()
    {
        var root = Issuing.Root("CN=SHA-1 Root", spec => spec.Hash = HashAlgorithmName.SHA1);
        Judging.Ask(root.Issue("CN=gw"), [root]).Good();
    }

    [Fact]
    public void Signed_by_MD5()
    {
        var root = Issuing.Root("CN=RSA Root", spec => spec.Key = TestKey.Rsa(2048));
        var peer = root.Issue("CN=gw", spec => spec.Hash = HashAlgorithmName.MD5);
        Judging.Ask(peer, [root]).Bad(PathRule.UnknownSignature, peer);
    }

    [Fact]
    public void A_hash_that_the_connection_does_not_take()
    {
        var peer = s_root.Issue("CN=gw");
        Judging.Ask(peer, [s_root]).Auth("ecdsa-256-sha384").Bad(PathRule.WeakSignature, peer);
    }

    [Fact]
    public void The_issuer_says_CA_FALSE()
    {
        var sub = s_root.Issue("CN=No CA", spec => spec.Constraints(false).Usage(5));
        var failure = Judging.Ask(sub.Issue("CN=gw"), [s_root], sub).Bad(PathRule.NotAuthority, sub);
        Assert.Contains("CA:FALSE", failure.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void The_issuer_has_no_basic_constraints()
    {
        var sub = s_root.Issue("CN=No CA", spec => spec.Usage(5));
        Judging.Ask(sub.Issue("CN=gw"), [s_root], sub).Bad(PathRule.NotAuthority, sub);
    }

    [Fact]
    public void The_issuer_may_not_sign_certificates()
    {
        var sub = s_root.Authority("CN=Sub", spec => spec.Usage(6));
        Judging.Ask(sub.Issue("CN=gw"), [s_root], sub).Bad(PathRule.KeyUsage, sub);
    }

    [Fact]
    public void Key_usage_without_signatures()
    {
        var peer = s_root.Issue("CN=gw", spec => spec.Usage(2));
        Judging.Ask(peer, [s_root]).Bad(PathRule.KeyUsage, peer);
    }

    [Fact]
    public void Non_repudiation_is_a_signature_too()
    {
        Judging.Ask(s_root.Issue("CN=gw", spec => spec.Usage(1)), [s_root]).Good();
    }

    [Fact]
    public void Another_purpose()
    {
        var peer = s_root.Issue("CN=gw", spec => spec.Purposes("1.3.6.1.5.5.7.3.3", "1.3.6.1.5.5.7.3.4"));
        Judging.Ask(peer, [s_root]).Bad(PathRule.ExtendedKeyUsage, peer);
    }

    [Theory]
    [InlineData("1.3.6.1.5.5.7.3.17")]
    [InlineData("2.5.29.37.0")]
    [InlineData("1.3.6.1.5.5.7.3.1")]
    [InlineData("1.3.6.1.5.5.7.3.2")]
    [InlineData("1.3.6.1.5.5.8.2.2")]
    public void Purposes_that_are_taken(string purpose) => Judging.Ask(s_root.Issue("CN=gw", spec => spec.Purposes("1.3.6.1.5.5.7.3.3", purpose)), [s_root]).Good();

    [Fact]
    public void An_authority_for_another_purpose()
    {
        var sub = s_root.Authority("CN=Mail CA", spec => spec.Purposes("1.3.6.1.5.5.7.3.4"));
        Judging.Ask(sub.Issue("CN=gw"), [s_root], sub).Bad(PathRule.ExtendedKeyUsage, sub);
    }

    [Fact]
    public void Outside_of_the_name_constraints()
    {
        var sub = s_root.Authority("CN=Sub", spec => spec.NameConstraints([General.Dns("example.org")]));
        var peer = sub.Issue("CN=gw", spec => spec.Dns("gw.example.com"));
        var failure = Judging.Ask(peer, [s_root], sub).Bad(PathRule.NameConstraints, peer);
        Assert.Contains("DNS gw.example.com", failure.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void Too_many_authorities_for_the_path_length()
    {
        var first = s_root.Authority("CN=Sub 1", spec => spec.Without("2.5.29.19").Constraints(true, 0));
        var second = first.Authority("CN=Sub 2");
        Judging.Ask(second.Issue("CN=gw"), [s_root], first, second).Bad(PathRule.PathLength, second);
    }

    [Fact]
    public void A_critical_extension_that_nobody_knows()
    {
        var peer = s_root.Issue("CN=gw", spec => spec.With("1.3.6.1.4.1.99999.1", true, Der.Null));
        var failure = Judging.Ask(peer, [s_root]).Bad(PathRule.CriticalExtension, peer);
        Assert.Contains("1.3.6.1.4.1.99999.1", failure.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void A_critical_extension_of_the_intermediate_that_nobody_knows()
    {
        var sub = s_root.Authority("CN=Sub", spec => spec.With("1.3.6.1.4.1.99999.1", true, Der.Null));
        Judging.Ask(sub.Issue("CN=gw"), [s_root], sub).Bad(PathRule.CriticalExtension, sub);
    }

    [Fact]
    public void Without_the_certificate_policy_that_is_asked_for()
    {
        var peer = s_root.Issue("CN=gw", spec => spec.Policies("1.3.6.1.4.1.99999.2.1"));
        Judging.Ask(peer, [s_root]).Wants("1.3.6.1.4.1.99999.2.2").Bad(PathRule.CertificatePolicies, peer);
        Judging.Ask(peer, [s_root]).Wants("1.3.6.1.4.1.99999.2.2", "1.3.6.1.4.1.99999.2.1").Good();
    }

    [Fact]
    public void Not_below_the_authority_that_is_asked_for()
    {
        var other = Issuing.Root("CN=Other Root");
        var question = Judging.Ask(s_root.Issue("CN=gw"), [s_root, other], s_root);
        (question with { Authorities = [s_root.Certificate] }).Good();
        (question with { Authorities = [other.Certificate] }).Bad(PathRule.UntrustedRoot, s_root);
    }

    [Fact]
    public void Not_below_the_ca_id_that_is_asked_for()
    {
        var peer = s_sub.Issue("CN=gw");
        PathQuestion Ask(string name) => Judging.Ask(peer, [s_root], s_sub) is var question ? question with { Remote = question.Remote with { CaId = Identities.Parse(name) } } : null!;
        Ask("C=CH, O=Example, CN=Sub").Good();
        Ask("CN=gw").Bad(PathRule.Authority, peer);
    }

    [Fact]
    public void Another_certificate_than_the_one_that_is_pinned()
    {
        var (peer, other) = (s_root.Issue("CN=gw"), s_root.Issue("CN=gw"));
        var question = Judging.Ask(peer, [s_root]);
        (question with { Remote = question.Remote with { Certificates = [[.. other.Der]] } }).Bad(PathRule.Pinned, peer);
        (question with { Remote = question.Remote with { Certificates = [[.. other.Der], [.. peer.Der]] } }).Good();
    }

    [Fact]
    public void A_pinned_certificate_needs_no_authority_but_keeps_its_own_rules()
    {
        PathQuestion Ask(Entity peer) => Judging.Ask(peer, []) is var question ? question with { Remote = question.Remote with { Certificates = [[.. peer.Der]] } } : null!;
        var peer = Entity.Make("CN=gw", null, spec => spec.Dns("gw.example.org"));
        Ask(peer).Of(Identity.Fqdn("gw.example.org")).Good();
        Ask(peer).Of(Identity.Fqdn("other.example.org")).Bad(PathRule.Identity, peer);
        Ask(peer).Revocation(RevocationPolicy.Strict).Bad(PathRule.RevocationUnknown, peer);
        var old = Entity.Make("CN=gw", null, spec => spec.To = Issuing.Now.AddDays(-1));
        Ask(old).Bad(PathRule.Expired, old);
    }

    [Fact]
    public void Nobody_says_whether_it_was_revoked_where_that_must_be_known()
    {
        var peer = s_root.Issue("CN=gw");
        var failure = Judging.Ask(peer, [s_root]).Revocation(RevocationPolicy.Strict).Bad(PathRule.RevocationUnknown, peer);
        Assert.Contains("revocation = relaxed", failure.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void The_list_is_out_of_date_where_that_must_be_known()
    {
        var peer = s_root.Issue("CN=gw");
        Judging.Ask(peer, [s_root]).Revocation(RevocationPolicy.Strict).Lists(s_root.Crl(list => list.Next = Issuing.Now.AddSeconds(-1))).Bad(PathRule.RevocationStale, peer);
    }

    [Fact]
    public void Rules_have_stable_words()
    {
        Assert.Equal("not-yet-valid", PathRule.NotYetValid.Word());
        Assert.Equal("revoked", PathRule.Revoked.Word());
        Assert.Equal(Enum.GetValues<PathRule>().Length, Enum.GetValues<PathRule>().Select(rule => rule.Word()).Distinct().Count());
    }
}
