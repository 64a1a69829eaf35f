using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Pki;

/// <summary>Path building and the rules of RFC 5280 section 6, in the groups of NIST's path validation suite: signatures, validity, names, basic constraints, key usage; and sets of authorities that sign each other.</summary>
[Trait("Item", "2.3")]
public sealed class PathTests
{
    private static readonly Entity s_root = Issuing.Root();

    // names (RFC 5280 section 7.1)

    [Theory]
    [InlineData("C=CH, O=Example, CN=Sub", "C=ch, O=EXAMPLE, CN=sub")]
    [InlineData("C=CH, O=Example, CN=Sub", "C=CH, O=Example, CN=  Sub  ")]
    [InlineData("C=CH, O=Two Words, CN=Sub", "C=CH, O=two   words, CN=Sub")]
    [InlineData("CN=Zürich", "CN=ZÜRICH")]
    public void Names_chain_without_regard_to_case_and_blanks(string subject, string issuer)
    {
        var sub = s_root.Authority(subject);
        Judging.Ask(sub.Issue("CN=gw", spec => spec.IssuerName = issuer), [s_root], sub).Good();
    }

    [Theory]
    [InlineData("C=CH, O=Example, CN=Sub", "O=Example, C=CH, CN=Sub")]
    [InlineData("CN=Sub", "CN=Sub, CN=Sub")]
    [InlineData("O=Sub", "CN=Sub")]
    [InlineData("CN=Sub", "CN=Su b")]
    public void Other_names_do_not_chain(string subject, string issuer)
    {
        var sub = s_root.Authority(subject);
        var peer = sub.Issue("CN=gw", spec => spec.IssuerName = issuer);
        Judging.Ask(peer, [s_root], sub).Bad(PathRule.MissingIssuer, peer);
    }

    [Theory]
    [InlineData(0x0C)]
    [InlineData(0x13)]
    [InlineData(0x14)]
    [InlineData(0x1E)]
    public void The_type_of_a_string_does_not_matter(int tag)
    {
        var text = tag == 0x1E ? Encoding.BigEndianUnicode.GetBytes("Sub") : Encoding.ASCII.GetBytes("sub");
        var der = Der.Seq(Der.Set(Der.Seq(Der.Oid("2.5.4.3"), Der.Of(tag, text))));
        Assert.True(X509Name.TryParse(der, out var name));
        Assert.True(X509Name.TryParse(General.Name("CN=Sub"), out var other));
        Assert.Equal(other, name);
        Assert.Equal(other!.GetHashCode(), name!.GetHashCode());
    }

    [Fact]
    public void The_order_inside_of_one_RDN_does_not_matter_and_the_order_of_RDNs_does()
    {
        var (one, two) = (Der.Seq(Der.Oid("2.5.4.3"), Der.Utf8("a")), Der.Seq(Der.Oid("2.5.4.10"), Der.Utf8("b")));
        Assert.True(X509Name.TryParse(Der.Seq(Der.Set(one, two)), out var first));
        Assert.True(X509Name.TryParse(Der.Seq(Der.Set(two, one)), out var second));
        Assert.True(X509Name.TryParse(Der.Seq(Der.Set(one), Der.Set(two)), out var third));
        Assert.True(X509Name.TryParse(Der.Seq(Der.Set(two), Der.Set(one)), out var fourth));
        Assert.Equal(first, second);
        Assert.NotEqual(first, third);
        Assert.NotEqual(third, fourth);
    }

    [Fact]
    public void Damaged_text_is_equal_to_itself_only()
    {
        Assert.True(X509Name.TryParse(Der.Seq(Der.Set(Der.Seq(Der.Oid("2.5.4.3"), Der.Of(0x0C, [0xC0, 0xAF])))), out var one));
        Assert.True(X509Name.TryParse(Der.Seq(Der.Set(Der.Seq(Der.Oid("2.5.4.3"), Der.Of(0x0C, [0xC0, 0xAE])))), out var other));
        Assert.NotEqual(one, other);
        Assert.Equal(one, one);
    }

    // basic constraints (PKITS 4.6)

    [Theory]
    [InlineData(0, 0, true)]
    [InlineData(0, 1, false)]
    [InlineData(1, 1, true)]
    [InlineData(1, 2, false)]
    [InlineData(3, 3, true)]
    public void A_path_length_counts_the_authorities_below(int length, int below, bool isGood)
    {
        var root = Issuing.Root("CN=Root", spec => spec.Without("2.5.29.19").Constraints(true, length));
        var chain = new List<Entity>();
        var last = root;
        for (var i = 0; i < below; i++) chain.Add(last = last.Authority($"CN=Sub {i}"));
        var question = Judging.Ask(last.Issue("CN=gw"), [root], [.. chain]);
        if (isGood) question.Good();
        else question.Bad(PathRule.PathLength, last);
    }

    [Fact]
    public void The_smallest_path_length_counts()
    {
        var first = s_root.Authority("CN=Sub 1", spec => spec.Without("2.5.29.19").Constraints(true, 1));
        var second = first.Authority("CN=Sub 2", spec => spec.Without("2.5.29.19").Constraints(true, 7));
        var third = second.Authority("CN=Sub 3");
        Judging.Ask(second.Issue("CN=gw"), [s_root], first, second).Good();
        Judging.Ask(third.Issue("CN=gw"), [s_root], first, second, third).Bad(PathRule.PathLength, third);
    }

    [Fact]
    public void A_self_issued_authority_does_not_count()
    {
        var first = s_root.Authority("CN=Sub", spec => spec.Without("2.5.29.19").Constraints(true, 0));
        var renewed = first.Authority("CN=Sub");
        Judging.Ask(renewed.Issue("CN=gw"), [s_root], first, renewed).Good();
    }

    [Fact]
    public void An_end_entity_below_path_length_zero_is_good() =>
        Judging.Ask(Issuing.Root("CN=Root", spec => spec.Without("2.5.29.19").Constraints(true, 0)) is var root ? root.Issue("CN=gw") : null!, [root]).Good();

    [Fact]
    public void Version_1_is_no_authority()
    {
        var sub = Entity.Make("CN=Old", s_root, spec => spec.Version = 1);
        Judging.Ask(sub.Issue("CN=gw"), [s_root], sub).Bad(PathRule.NotAuthority, sub);
    }

    [Fact]
    public void Version_1_may_be_a_peer() => Judging.Ask(Entity.Make("CN=gw", s_root, spec => spec.Version = 1), [s_root]).Of(Identities.Parse("CN=gw")).Good();

    [Fact]
    public void A_path_has_eight_certificates_at_most()
    {
        var chain = new List<Entity>();
        var last = s_root;
        for (var i = 0; i < PathJudge.MaxLength - 1; i++) chain.Add(last = last.Authority($"CN=Sub {i}"));
        Judging.Ask(chain[^2].Issue("CN=gw"), [s_root], [.. chain]).Good();
        var peer = last.Issue("CN=gw");
        Judging.Ask(peer, [s_root], [.. chain]).Bad(PathRule.PathLength, peer);
    }

    // who is trusted

    [Fact]
    public void What_is_sent_may_come_in_any_order_and_with_others_between()
    {
        var chain = new List<Entity>();
        var last = s_root;
        for (var i = 0; i < 4; i++) chain.Add(last = last.Authority($"CN=Sub {i}"));
        var peer = last.Issue("CN=gw");
        var stranger = Issuing.Root("CN=Stranger");
        foreach (var order in new[] { new[] { 0, 1, 2, 3 }, [3, 2, 1, 0], [2, 0, 3, 1] })
        {
            Judging.Ask(peer, [s_root], [stranger, .. order.Select(index => chain[index]), s_root, peer]).Good();
        }
    }

    [Fact]
    public void Intermediates_that_are_known_here_need_not_be_sent()
    {
        var sub = s_root.Authority("CN=Sub");
        var question = Judging.Ask(sub.Issue("CN=gw"), [s_root]);
        (question with { Trust = TrustStore.Of(Judging.Material(s_root) with { Certificates = [[.. sub.Der]] }) }).Good();
    }

    [Fact]
    public void Intermediates_that_are_known_here_are_not_trusted()
    {
        var sub = s_root.Authority("CN=Sub");
        var question = Judging.Ask(sub.Issue("CN=gw"), []);
        (question with { Trust = TrustStore.Of(new TrustMaterial { Certificates = [[.. sub.Der]] }) }).Bad(PathRule.MissingIssuer, sub);
    }

    [Fact]
    public void An_intermediate_may_be_trusted_by_itself()
    {
        var sub = s_root.Authority("CN=Sub");
        Assert.Equal(2, Judging.Ask(sub.Issue("CN=gw"), [sub]).Good().Length);
    }

    [Fact]
    public void Another_certificate_of_a_trusted_authority_with_the_same_key_will_do()
    {
        var renewed = Issuing.Root(make: spec => spec.Key = s_root.Key);
        Assert.NotEqual(renewed.Certificate, s_root.Certificate);
        var chain = Judging.Ask(s_root.Issue("CN=gw"), [renewed], s_root).Good();
        Assert.Equal(renewed.Certificate, chain[^1]);
    }

    [Fact]
    public void Of_two_trusted_certificates_of_one_key_the_valid_one_counts()
    {
        var old = Issuing.Root(make: spec => (spec.Key, spec.To) = (s_root.Key, Issuing.Now.AddDays(-1)));
        Judging.Ask(s_root.Issue("CN=gw"), [old, s_root]).Good();
        Judging.Ask(s_root.Issue("CN=gw"), [s_root, old]).Good();
    }

    [Fact]
    public void A_trusted_authority_may_be_the_peer_itself()
    {
        Judging.Ask(s_root, [s_root]).Of(Identities.Parse("C=CH, O=Example, CN=Root")).Bad(PathRule.KeyUsage, s_root);
        var both = Entity.Make("CN=gw", null, spec => spec.Dns("gw.example.org"));
        Judging.Ask(both, [both]).Of(Identity.Fqdn("gw.example.org")).Good();
        Judging.Ask(both, [both]).Wants("1.2.3").Bad(PathRule.CertificatePolicies, both);
        // with its own key it can write any name into another certificate
        var twin = Entity.Make("CN=gw", null, spec => spec.Dns("other.example.org").Key = both.Key);
        Judging.Ask(twin, [both]).Of(Identity.Fqdn("other.example.org")).Bad(PathRule.SelfSigned, twin);
        Judging.Ask(twin, [both]).Of(Identity.Fqdn("gw.example.org")).Bad(PathRule.SelfSigned, twin);
    }

    [Fact]
    public void Two_trusted_roots_of_one_name_are_told_apart_by_their_keys()
    {
        var other = Issuing.Root();
        Judging.Ask(s_root.Issue("CN=gw"), [other, s_root]).Good();
        Judging.Ask(other.Issue("CN=gw"), [other, s_root]).Good();
        Judging.Ask(other.Issue("CN=gw", spec => spec.NoKeyIds = true), [s_root, other]).Good();
        // a wrong hint costs a check, no more
        Judging.Ask(other.Issue("CN=gw", spec => spec.AuthorityKeyId = Issuing.KeyId(s_root.Key)), [s_root, other]).Good();
    }

    [Fact]
    public void An_expired_twin_of_an_intermediate_does_not_hurt()
    {
        var key = TestKey.New();
        var old = s_root.Authority("CN=Sub", spec => (spec.Key, spec.To) = (key, Issuing.Now.AddDays(-1)));
        var current = s_root.Authority("CN=Sub", spec => spec.Key = key);
        var peer = current.Issue("CN=gw");
        Judging.Ask(peer, [s_root], old, current).Good();
        Judging.Ask(peer, [s_root], current, old).Good();
        Judging.Ask(peer, [s_root], old).Bad(PathRule.Expired, old);
    }

    // authorities that sign each other

    [Fact]
    public void A_cross_signed_root_leads_to_the_trusted_one()
    {
        var (old, young) = (Issuing.Root("CN=Old Root"), Issuing.Root("CN=Young Root"));
        var cross = Entity.Make("CN=Young Root", old, spec => spec.Ca().Key = young.Key);
        var sub = young.Authority("CN=Sub");
        var peer = sub.Issue("CN=gw");
        Assert.Equal(4, Judging.Ask(peer, [old], sub, young, cross).Good().Length);
        Assert.Equal(3, Judging.Ask(peer, [young], sub, cross).Good().Length);
        Judging.Ask(peer, [old], sub, young).Bad(PathRule.UntrustedRoot, young);
    }

    [Fact]
    public void A_bridge_joins_two_hierarchies()
    {
        var (a, b, bridge) = (Issuing.Root("CN=A"), Issuing.Root("CN=B"), Issuing.Root("CN=Bridge"));
        var aToBridge = Entity.Make("CN=Bridge", a, spec => spec.Ca().Key = bridge.Key);
        var bridgeToB = Entity.Make("CN=B", bridge, spec => spec.Ca().Key = b.Key);
        var bToBridge = Entity.Make("CN=Bridge", b, spec => spec.Ca().Key = bridge.Key);
        var bridgeToA = Entity.Make("CN=A", bridge, spec => spec.Ca().Key = a.Key);
        Judging.Ask(b.Issue("CN=gw"), [a], bToBridge, bridgeToA, bridgeToB, aToBridge).Good();
        Judging.Ask(a.Issue("CN=gw"), [b], aToBridge, bridgeToA, bridgeToB, bToBridge).Good();
    }

    [Fact]
    public void Authorities_that_sign_each_other_in_a_circle_lead_nowhere()
    {
        var (a, b, c) = (TestKey.New(), TestKey.New(), TestKey.New());
        Entity Signed(string name, TestKey key, string by, TestKey signer) => Entity.Make(name, Issuing.Root(by, spec => spec.Key = signer), spec => spec.Ca().Key = key);
        var circle = new[] { Signed("CN=A", a, "CN=B", b), Signed("CN=B", b, "CN=C", c), Signed("CN=C", c, "CN=A", a), Signed("CN=A", a, "CN=C", c), Signed("CN=B", b, "CN=A", a), Signed("CN=C", c, "CN=B", b) };
        var peer = Entity.Make("CN=gw", circle[0], null);
        var verdict = Assert.IsType<PathVerdict.Bad>(PathJudge.Judge(Judging.Ask(peer, [s_root], circle)));
        Assert.Equal(PathRule.UntrustedRoot, verdict.Failure.Rule);
        Assert.Contains("sign each other", verdict.Failure.Sentence, StringComparison.Ordinal);
        // and when one of them is vouched for, all are
        var exit = Entity.Make("CN=C", s_root, spec => spec.Ca().Key = c);
        Judging.Ask(peer, [s_root], [.. circle, exit]).Good();
    }

    [Fact]
    public void When_one_of_two_ways_breaks_a_rule_the_other_one_is_taken()
    {
        var key = TestKey.New();
        var constrained = s_root.Authority("CN=Sub", spec => spec.NameConstraints([General.Dns("example.com")]).Key = key);
        var free = s_root.Authority("CN=Sub", spec => spec.Key = key);
        var peer = free.Issue("CN=gw", spec => spec.Dns("gw.example.org"));
        Judging.Ask(peer, [s_root], constrained, free).Good();
        Judging.Ask(peer, [s_root], free, constrained).Good();
        Judging.Ask(peer, [s_root], constrained).Bad(PathRule.NameConstraints, peer);
    }

    [Fact]
    public void When_one_of_two_ways_was_revoked_the_other_one_is_taken()
    {
        var key = TestKey.New();
        var (one, two) = (s_root.Authority("CN=Sub", spec => spec.Key = key), s_root.Authority("CN=Sub", spec => spec.Key = key));
        var peer = one.Issue("CN=gw");
        Assert.Equal(two.Certificate, Judging.Ask(peer, [s_root], one, two).Lists(s_root.Crl(one.Certificate)).Good()[1]);
        Judging.Ask(peer, [s_root], one).Lists(s_root.Crl(one.Certificate)).Bad(PathRule.Revoked, one);
    }

    // bounded work

    [Fact]
    public void A_peer_cannot_make_us_try_all_orders_of_its_certificates()
    {
        // thirty authorities of one name with thirty keys: whoever follows names goes round for ever
        var swarm = Enumerable.Range(0, 30).Select(_ => Issuing.Root("CN=Swarm", spec => spec.NoKeyIds = true)).ToArray();
        var peer = Entity.Make("CN=gw", swarm[0], spec => spec.NoKeyIds = true);
        var verdict = Assert.IsType<PathVerdict.Bad>(PathJudge.Judge(Judging.Ask(peer, [s_root], swarm)));
        Assert.Equal(PathRule.Complexity, verdict.Failure.Rule);
    }

    [Fact]
    public void A_peer_cannot_make_us_check_signatures_without_end()
    {
        // every one claims to be of the trusted root: each would cost a check
        var swarm = Enumerable.Range(0, 31).Select(_ => Issuing.Root().Authority("CN=Swarm", spec => spec.NoKeyIds = true)).ToArray();
        var peer = swarm[0].Issue("CN=gw", spec => spec.NoKeyIds = true);
        var roots = Enumerable.Range(0, 4).Select(_ => Issuing.Root()).ToArray();
        var verdict = Assert.IsType<PathVerdict.Bad>(PathJudge.Judge(Judging.Ask(peer, roots, swarm)));
        Assert.Equal(PathRule.Complexity, verdict.Failure.Rule);
    }

    [Fact]
    public void More_certificates_than_a_peer_may_offer_are_left_out()
    {
        var sub = s_root.Authority("CN=Sub");
        var peer = sub.Issue("CN=gw");
        var noise = Enumerable.Range(0, PathJudge.MaxOffered).Select(index => Issuing.Root($"CN=Noise {index}")).ToArray();
        Judging.Ask(peer, [s_root], [sub, .. noise]).Good();
        Judging.Ask(peer, [s_root], [.. noise, sub]).Bad(PathRule.MissingIssuer, peer);
    }

    [Fact]
    public void Ten_thousand_peers_of_one_authority_are_judged_without_configuration_of_each()
    {
        var key = TestKey.New();
        var question = Judging.Ask(s_root.Issue("CN=gw"), [s_root]);
        for (var i = 0; i < 200; i++)
        {
            var name = $"peer{i}.example.org";
            var peer = s_root.Issue($"CN={name}", spec => spec.Dns(name).Key = key);
            (question with { Offered = [peer.Certificate] }).Of(Identity.Fqdn(name)).Good();
            (question with { Offered = [peer.Certificate] }).Of(Identity.Fqdn($"peer{i + 1}.example.org")).Bad(PathRule.Identity, peer);
        }
    }
}
