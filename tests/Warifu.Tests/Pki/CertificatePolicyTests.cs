using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Pki;
using Xunit;

namespace Warifu.Tests.Pki;

/// <summary>Certificate policies (RFC 5280 section 6.1), in the groups of NIST's suite 4.8 to 4.12: policies, requireExplicitPolicy, mappings, inhibitPolicyMapping, inhibitAnyPolicy.</summary>
[Trait("Item", "2.3")]
public sealed class CertificatePolicyTests
{
    private const string Any = "2.5.29.32.0", P1 = "1.3.6.1.4.1.99999.2.1", P2 = "1.3.6.1.4.1.99999.2.2", P3 = "1.3.6.1.4.1.99999.2.3", P4 = "1.3.6.1.4.1.99999.2.4";

    private static readonly Entity s_root = Issuing.Root();

    /// <summary>A chain below the root: each entry makes one certificate, the last one the peer's.</summary>
    private static PathQuestion Chain(params Action<CertificateSpec>[] makes) => Chain(out _, makes);

    private static PathQuestion Chain(out Entity peer, params Action<CertificateSpec>[] makes)
    {
        var chain = new List<Entity>();
        var last = s_root;
        for (var i = 0; i < makes.Length - 1; i++) chain.Add(last = last.Authority($"CN=Sub {i}", makes[i]));
        peer = last.Issue("CN=gw", makes[^1]);
        return Judging.Ask(peer, [s_root], [.. chain]);
    }

    private static void Refused(PathQuestion question) => Assert.Equal(PathRule.CertificatePolicies, Assert.IsType<PathVerdict.Bad>(PathJudge.Judge(question)).Failure.Rule);

    [Fact]
    public void All_certificates_with_the_same_policy()
    {
        var chain = Chain(spec => spec.Policies(P1), spec => spec.Policies(P1));
        chain.Good();
        chain.Wants(P1).Good();
        chain.Wants(P1, P2).Good();
        Refused(chain.Wants(P2));
    }

    [Fact]
    public void No_certificate_with_a_policy()
    {
        var chain = Chain(spec => { }, spec => { });
        chain.Good();
        Refused(chain.Wants(P1));
    }

    [Fact]
    public void Policies_that_differ_along_the_chain()
    {
        var chain = Chain(spec => spec.Policies(P1), spec => spec.Policies(P2));
        chain.Good();
        Refused(chain.Wants(P1));
        Refused(chain.Wants(P2));
    }

    [Fact]
    public void A_certificate_without_policies_ends_them_all()
    {
        Refused(Chain(spec => spec.Policies(P1), spec => { }, spec => spec.Policies(P1)).Wants(P1));
        Refused(Chain(spec => spec.Policies(P1), spec => { }).Wants(P1));
    }

    [Fact]
    public void Some_of_several_policies_stay()
    {
        var chain = Chain(spec => spec.Policies(P1, P2, P3), spec => spec.Policies(P2, P3), spec => spec.Policies(P3, P4));
        chain.Wants(P3).Good();
        Refused(chain.Wants(P2));
        Refused(chain.Wants(P4));
    }

    [Fact]
    public void AnyPolicy_of_an_authority_takes_what_stands_below()
    {
        var chain = Chain(spec => spec.Policies(Any), spec => spec.Policies(P1));
        chain.Wants(P1).Good();
        Refused(chain.Wants(P2));
    }

    [Fact]
    public void AnyPolicy_of_the_peer_takes_what_stands_above()
    {
        var chain = Chain(spec => spec.Policies(P1), spec => spec.Policies(Any));
        chain.Wants(P1).Good();
        Refused(chain.Wants(P2));
        Chain(spec => spec.Policies(Any), spec => spec.Policies(Any)).Wants(P2).Good();
    }

    [Fact]
    public void An_authority_can_ask_for_a_policy()
    {
        Refused(Chain(spec => spec.PolicyConstraints(require: 0), spec => { }));
        Chain(spec => spec.PolicyConstraints(require: 0).Policies(P1), spec => spec.Policies(P1)).Good();
        Refused(Chain(spec => spec.PolicyConstraints(require: 0).Policies(P1), spec => spec.Policies(P2)));
        Chain(spec => spec.PolicyConstraints(require: 5), spec => { }).Good();
        Refused(Chain(spec => spec.PolicyConstraints(require: 1), spec => { }, spec => { }));
        // with two certificates of grace the chain is at its end
        Chain(spec => spec.PolicyConstraints(require: 3), spec => { }, spec => { }).Good();
    }

    [Fact]
    public void The_trusted_root_can_ask_for_a_policy()
    {
        var root = Issuing.Root("CN=Root", spec => spec.PolicyConstraints(require: 0));
        var peer = root.Issue("CN=gw");
        Judging.Ask(peer, [root]).Bad(PathRule.CertificatePolicies, peer);
        Judging.Ask(root.Issue("CN=gw", spec => spec.Policies(P1)), [root]).Good();
    }

    [Fact]
    public void The_peer_s_own_certificate_can_ask_for_one_at_its_end() =>
        Refused(Chain(spec => spec.Policies(P1), spec => spec.Policies(P2).PolicyConstraints(require: 0)));

    [Fact]
    public void A_later_authority_cannot_take_back_what_an_earlier_one_asks_for() =>
        Refused(Chain(spec => spec.PolicyConstraints(require: 0).Policies(P1), spec => spec.PolicyConstraints(require: 9).Policies(P1), spec => { }));

    [Fact]
    public void A_mapping_makes_one_policy_of_another()
    {
        var chain = Chain(spec => spec.Policies(P1).Mappings((P1, P2)), spec => spec.Policies(P2));
        chain.Wants(P1).Good();
        Refused(chain.Wants(P2));
        Refused(Chain(spec => spec.Policies(P1).Mappings((P1, P2)), spec => spec.Policies(P1)).Wants(P1));
    }

    [Fact]
    public void Mappings_go_on_down_the_chain()
    {
        var chain = Chain(spec => spec.Policies(P1).Mappings((P1, P2)), spec => spec.Policies(P2).Mappings((P2, P3)), spec => spec.Policies(P3));
        chain.Wants(P1).Good();
        Refused(chain.Wants(P3));
    }

    [Fact]
    public void One_policy_can_be_mapped_to_several()
    {
        var chain = Chain(spec => spec.Policies(P1, P4).Mappings((P1, P2), (P1, P3)), spec => spec.Policies(P3));
        chain.Wants(P1).Good();
        Refused(chain.Wants(P4));
    }

    [Fact]
    public void AnyPolicy_can_be_narrowed_by_a_mapping()
    {
        var chain = Chain(spec => spec.Policies(Any).Mappings((P1, P2)), spec => spec.Policies(P2));
        chain.Wants(P1).Good();
    }

    [Fact]
    public void AnyPolicy_is_never_mapped()
    {
        Refused(Chain(spec => spec.Policies(Any).Mappings((Any, P1)), spec => spec.Policies(P1)));
        Refused(Chain(spec => spec.Policies(P1).Mappings((P1, Any)), spec => spec.Policies(P1)));
    }

    [Fact]
    public void Mappings_can_be_forbidden()
    {
        Refused(Chain(spec => spec.PolicyConstraints(inhibit: 0).Policies(P1), spec => spec.Policies(P1).Mappings((P1, P2)), spec => spec.Policies(P2)).Wants(P1));
        Chain(spec => spec.PolicyConstraints(inhibit: 1).Policies(P1), spec => spec.Policies(P1).Mappings((P1, P2)), spec => spec.Policies(P2)).Wants(P1).Good();
        Refused(Chain(spec => spec.PolicyConstraints(inhibit: 1).Policies(P1), spec => spec.Policies(P1), spec => spec.Policies(P1).Mappings((P1, P2)), spec => spec.Policies(P2)).Wants(P1));
    }

    [Fact]
    public void AnyPolicy_can_be_forbidden()
    {
        Refused(Chain(spec => spec.InhibitAny(0).Policies(P1), spec => spec.Policies(Any)).Wants(P1));
        Chain(spec => spec.InhibitAny(0).Policies(P1), spec => spec.Policies(P1)).Wants(P1).Good();
        Chain(spec => spec.InhibitAny(1).Policies(P1), spec => spec.Policies(Any), spec => spec.Policies(P1)).Wants(P1).Good();
        Refused(Chain(spec => spec.InhibitAny(1).Policies(P1), spec => spec.Policies(P1), spec => spec.Policies(Any)).Wants(P1));
    }

    [Fact]
    public void A_self_issued_authority_may_say_anyPolicy_where_it_is_forbidden()
    {
        var first = s_root.Authority("CN=Sub", spec => spec.InhibitAny(0).Policies(P1));
        var renewed = first.Authority("CN=Sub", spec => spec.Policies(Any));
        Judging.Ask(renewed.Issue("CN=gw", spec => spec.Policies(P1)), [s_root], first, renewed).Wants(P1).Good();
        var peer = first.Issue("CN=Sub", spec => spec.Policies(Any));
        Judging.Ask(peer, [s_root], first).Wants(P1).Bad(PathRule.CertificatePolicies, peer);
    }

    [Fact]
    public void A_policy_twice_in_one_certificate_is_malformed()
    {
        var spec = new CertificateSpec().Policies(P1, P1);
        Assert.False(Certificate.TryParse(spec.Build(General.Name("CN=gw"), s_root), out _, out _));
    }

    [Fact]
    public void Qualifiers_do_not_matter()
    {
        var value = Der.Seq(Der.Seq(Der.Oid(P1), Der.Seq(Der.Seq(Der.Oid("1.3.6.1.5.5.7.2.1"), Der.Text(0x16, "https://example.org/cps")))));
        Judging.Ask(s_root.Issue("CN=gw", spec => spec.With("2.5.29.32", true, value)), [s_root]).Wants(P1).Good();
    }

    [Fact]
    public void An_OID_that_cannot_be_read_is_one_that_no_certificate_has() => Refused(Chain(spec => spec.Policies(Any), spec => spec.Policies(P1)).Wants("no oid"));

    /// <summary>CVE-2023-0464: mappings of all to all make the tree of the RFC grow by a power of each level.</summary>
    [Fact]
    public void Mappings_of_all_to_all_do_not_grow()
    {
        string[] all = [.. Enumerable.Range(1, 7).Select(arc => $"1.3.6.1.4.1.99999.2.{arc}")];
        var mappings = (from ours in all from theirs in all select (ours, theirs)).ToArray();
        var makes = Enumerable.Repeat<Action<CertificateSpec>>(spec => spec.Policies(all).Mappings(mappings), PathJudge.MaxLength - 2).ToArray();
        var chain = Chain([.. makes, spec => spec.Policies(all)]);
        chain.Good();
        var before = GC.GetAllocatedBytesForCurrentThread();
        chain.Wants(all[3]).Good();
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 4_000_000);
        Refused(chain.Wants("1.3.6.1.4.1.99999.2.99"));
    }
}
