using System;
using Warifu.Pki;
using Xunit;

namespace Warifu.Tests.Pki;

/// <summary>Name constraints (RFC 5280 section 4.2.1.10), in the groups of NIST's suite 4.13: DN, mail, DNS, URI; and IP. CVE-2026-35331.</summary>
[Trait("Item", "2.3")]
public sealed class NameConstraintTests
{
    private static readonly Entity s_root = Issuing.Root();

    private static PathQuestion Ask(byte[][]? permitted, byte[][]? excluded, string subject, Action<CertificateSpec>? make, out Entity peer)
    {
        var sub = s_root.Authority("C=CH, O=Example, CN=Sub", spec => spec.NameConstraints(permitted, excluded));
        peer = sub.Issue(subject, make);
        return Judging.Ask(peer, [s_root], sub);
    }

    private static void Check(bool isGood, byte[][]? permitted, byte[][]? excluded, string subject, Action<CertificateSpec>? make)
    {
        var question = Ask(permitted, excluded, subject, make, out var peer);
        if (isGood) question.Good();
        else question.Bad(PathRule.NameConstraints, peer);
    }

    [Theory]
    [InlineData("example.org", "example.org", true)]
    [InlineData("example.org", "gw.example.org", true)]
    [InlineData("example.org", "a.b.example.org", true)]
    [InlineData("example.org", "GW.EXAMPLE.ORG", true)]
    [InlineData("example.org", "gwexample.org", false)]
    [InlineData("example.org", "example.org.evil.example", false)]
    [InlineData("example.org", "org", false)]
    [InlineData("gw.example.org", "example.org", false)]
    [InlineData(".example.org", "gw.example.org", true)]
    [InlineData(".example.org", "example.org", false)]
    [InlineData("", "anything.example", true)]
    [InlineData("example.org", "gw.example.org.", true)]
    [InlineData("example.org", "gw.example.com", false)]
    public void Domain_names(string root, string name, bool isInside)
    {
        Check(isInside, [General.Dns(root)], null, "CN=gw", spec => spec.Dns(name));
        Check(!isInside, null, [General.Dns(root)], "CN=gw", spec => spec.Dns(name));
    }

    [Theory]
    [InlineData("root@example.org", "root@example.org", true)]
    [InlineData("root@example.org", "root@EXAMPLE.org", true)]
    [InlineData("root@example.org", "Root@example.org", false)]
    [InlineData("root@example.org", "toor@example.org", false)]
    [InlineData("example.org", "any@example.org", true)]
    [InlineData("example.org", "any@gw.example.org", false)]
    [InlineData(".example.org", "any@gw.example.org", true)]
    [InlineData(".example.org", "any@example.org", false)]
    [InlineData("example.org", "any@notexample.org", false)]
    public void Mail_addresses(string root, string name, bool isInside)
    {
        Check(isInside, [General.Mail(root)], null, "CN=gw", spec => spec.Mail(name));
        Check(!isInside, null, [General.Mail(root)], "CN=gw", spec => spec.Mail(name));
    }

    [Fact]
    public void Mail_addresses_of_the_subject_count_too()
    {
        Check(true, [General.Mail("example.org")], null, "CN=gw, E=any@example.org", null);
        Check(false, [General.Mail("example.org")], null, "CN=gw, E=any@example.com", null);
        Check(false, null, [General.Mail("example.com")], "CN=gw, E=any@example.com", null);
    }

    /// <summary>Found by the fuzzer: a line of its own in somebody's log.</summary>
    [Fact]
    public void A_mail_address_of_the_subject_brings_no_control_characters_into_sentences()
    {
        var question = Ask([General.Mail("example.org")], null, "CN=gw, E=any\n@example.com", null, out _);
        Assert.DoesNotContain(Assert.IsType<PathVerdict.Bad>(PathJudge.Judge(question)).Failure.Sentence, char.IsControl);
    }

    [Theory]
    [InlineData("gw.example.org", "https://gw.example.org/path?q#f", true)]
    [InlineData("gw.example.org", "https://user@gw.example.org:8443/", true)]
    [InlineData("gw.example.org", "https://other.example.org/gw.example.org", false)]
    [InlineData("gw.example.org", "https://gw.example.org@evil.example/", false)]
    [InlineData(".example.org", "ldap://gw.example.org", true)]
    [InlineData(".example.org", "ldap://example.org", false)]
    public void URIs(string root, string name, bool isInside)
    {
        Check(isInside, [General.Uri(root)], null, "CN=gw", spec => spec.Uri(name));
        Check(!isInside, null, [General.Uri(root)], "CN=gw", spec => spec.Uri(name));
    }

    [Theory]
    [InlineData("https://192.0.2.1/")]
    [InlineData("https://[2001:db8::1]/")]
    [InlineData("urn:example:gw")]
    [InlineData("mailto:any@example.org")]
    public void A_URI_without_a_host_name_is_refused_where_URIs_are_constrained(string name)
    {
        Check(false, [General.Uri(".example.org")], null, "CN=gw", spec => spec.Uri(name));
        Check(false, null, [General.Uri(".example.org")], "CN=gw", spec => spec.Uri(name));
    }

    [Theory]
    [InlineData("192.0.2.0", "255.255.255.0", "192.0.2.77", true)]
    [InlineData("192.0.2.0", "255.255.255.0", "192.0.3.1", false)]
    [InlineData("192.0.2.77", "255.255.255.255", "192.0.2.77", true)]
    [InlineData("192.0.2.77", "255.255.255.255", "192.0.2.78", false)]
    [InlineData("0.0.0.0", "0.0.0.0", "203.0.113.1", true)]
    [InlineData("2001:db8::", "ffff:ffff::", "2001:db8:5::1", true)]
    [InlineData("2001:db8::", "ffff:ffff::", "2001:db9::1", false)]
    [InlineData("192.0.2.0", "255.255.255.0", "2001:db8::1", false)]
    [InlineData("0.0.0.0", "0.0.0.0", "::1", false)]
    public void Addresses(string network, string mask, string address, bool isInside)
    {
        Check(isInside, [General.Net(network, mask)], null, "CN=gw", spec => spec.Ip(address));
        Check(!isInside, null, [General.Net(network, mask)], "CN=gw", spec => spec.Ip(address));
    }

    [Fact]
    public void A_mask_with_holes_is_no_constraint()
    {
        var spec = new CertificateSpec().Ca().NameConstraints([General.Net("192.0.2.0", "255.0.255.0")]);
        Assert.False(Certificate.TryParse(spec.Build(General.Name("CN=Sub"), s_root), out _, out var error));
        Assert.Equal("extension name constraints is malformed", error);
    }

    [Theory]
    [InlineData("C=CH, O=Example", "C=CH, O=Example, CN=gw", true)]
    [InlineData("C=CH, O=Example", "C=ch, O=  example , CN=gw", true)]
    [InlineData("C=CH, O=Example", "C=CH, O=Other, CN=gw", false)]
    [InlineData("C=CH, O=Example", "O=Example, C=CH, CN=gw", false)]
    [InlineData("C=CH, O=Example", "C=CH, O=Example2, CN=gw", false)]
    [InlineData("C=CH, O=Example, CN=gw", "C=CH, O=Example", false)]
    [InlineData("", "C=CH, O=Example", true)]
    public void Directory_names(string root, string name, bool isInside)
    {
        Check(isInside, [General.Directory(root)], null, name, null);
        Check(!isInside, null, [General.Directory(root)], name, null);
        Check(isInside, [General.Directory(root)], null, "", spec => spec.Name(General.Directory(name)));
        Check(!isInside, null, [General.Directory(root)], "", spec => spec.Name(General.Directory(name)));
    }

    [Fact]
    public void A_form_that_is_not_constrained_is_free()
    {
        Check(true, [General.Dns("example.org")], null, "C=CH, CN=gw", spec => spec.Mail("any@example.com").Ip("192.0.2.1").Uri("https://example.com/"));
        Check(true, null, [General.Dns("example.org")], "C=CH, CN=gw", spec => spec.Mail("any@example.org"));
    }

    [Fact]
    public void One_of_several_permitted_trees_will_do_and_each_name_needs_one()
    {
        byte[][] trees = [General.Dns("example.org"), General.Dns("example.com")];
        Check(true, trees, null, "CN=gw", spec => spec.Dns("gw.example.org").Dns("gw.example.com"));
        Check(false, trees, null, "CN=gw", spec => spec.Dns("gw.example.org").Dns("gw.example.net"));
    }

    [Fact]
    public void Excluded_goes_before_permitted()
    {
        Check(true, [General.Dns("example.org")], [General.Dns("secret.example.org")], "CN=gw", spec => spec.Dns("gw.example.org"));
        Check(false, [General.Dns("example.org")], [General.Dns("secret.example.org")], "CN=gw", spec => spec.Dns("gw.secret.example.org"));
    }

    [Fact]
    public void Constraints_of_several_authorities_add_up()
    {
        var first = s_root.Authority("CN=Sub 1", spec => spec.NameConstraints([General.Dns("example.org")]));
        var second = first.Authority("CN=Sub 2", spec => spec.NameConstraints([General.Dns("gw.example.org"), General.Dns("example.com")], [General.Dns("a.gw.example.org")]));
        PathQuestion Of(string name, out Entity peer) => Judging.Ask(peer = second.Issue("CN=gw", spec => spec.Dns(name)), [s_root], first, second);
        Of("b.gw.example.org", out _).Good();
        Of("www.example.org", out var outside).Bad(PathRule.NameConstraints, outside);
        Of("www.example.com", out var widened).Bad(PathRule.NameConstraints, widened);
        Of("a.gw.example.org", out var excluded).Bad(PathRule.NameConstraints, excluded);
    }

    [Fact]
    public void They_hold_for_authorities_below_too()
    {
        var first = s_root.Authority("C=CH, CN=Sub 1", spec => spec.NameConstraints([General.Directory("C=CH")]));
        var second = first.Authority("C=DE, CN=Sub 2");
        Judging.Ask(second.Issue("C=CH, CN=gw"), [s_root], first, second).Bad(PathRule.NameConstraints, second);
    }

    [Fact]
    public void A_self_issued_authority_is_not_held_to_them_but_a_self_issued_peer_is()
    {
        var first = s_root.Authority("C=DE, CN=Sub", spec => spec.NameConstraints([General.Directory("C=CH")]));
        var renewed = first.Authority("C=DE, CN=Sub");
        Judging.Ask(renewed.Issue("C=CH, CN=gw"), [s_root], first, renewed).Good();
        var peer = first.Issue("C=DE, CN=Sub");
        Judging.Ask(peer, [s_root], first).Bad(PathRule.NameConstraints, peer);
    }

    [Fact]
    public void Those_of_the_trusted_root_count()
    {
        var root = Issuing.Root("CN=Root", spec => spec.NameConstraints([General.Dns("example.org")]));
        Judging.Ask(root.Issue("CN=gw", spec => spec.Dns("gw.example.org")), [root]).Good();
        var peer = root.Issue("CN=gw", spec => spec.Dns("gw.example.com"));
        Judging.Ask(peer, [root]).Bad(PathRule.NameConstraints, peer);
    }

    [Fact]
    public void Forms_that_nobody_can_compare_are_refused_where_they_are_constrained()
    {
        byte[] Other(string text) => Der.Box(0, Der.Oid("1.3.6.1.4.1.99999.3"), Der.Box(0, Der.Utf8(text)));
        Check(false, [Other("a")], null, "CN=gw", spec => spec.Name(Other("a")));
        Check(false, null, [Other("b")], "CN=gw", spec => spec.Name(Other("a")));
        Check(true, null, [Other("b")], "CN=gw", spec => spec.Dns("gw.example.org"));
        Check(true, [General.Dns("example.org")], null, "CN=gw", spec => spec.Name(Other("a")));
    }

    [Fact]
    public void Distances_are_refused()
    {
        var value = Der.Seq(Der.Box(0, Der.Seq(General.Dns("example.org"), Der.Tag(0, [1]))));
        var sub = s_root.Authority("CN=Sub", spec => spec.With("2.5.29.30", true, value));
        var peer = sub.Issue("CN=gw", spec => spec.Dns("gw.example.org"));
        Judging.Ask(peer, [s_root], sub).Bad(PathRule.NameConstraints, peer);
        Judging.Ask(sub.Issue("CN=gw", spec => spec.Mail("any@example.org")), [s_root], sub).Good();
    }

    [Fact]
    public void An_empty_extension_is_malformed()
    {
        var spec = new CertificateSpec().Ca().With("2.5.29.30", true, Der.Seq());
        Assert.False(Certificate.TryParse(spec.Build(General.Name("CN=Sub"), s_root), out _, out _));
    }
}
