using System.Linq;
using System.Text;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Pki;

/// <summary>The identity must be in the certificate (RFC 4945 section 3.1).</summary>
[Trait("Item", "2.3")]
public sealed class IdentityRuleTests
{
    private static readonly Entity s_root = Issuing.Root();
    private static readonly Entity s_peer = s_root.Issue("C=CH, O=Example, CN=gw.example.net", spec => spec.Dns("gw.example.org").Dns("gw2.example.org").Mail("gw@example.org").Ip("192.0.2.1").Ip("2001:db8::1").Uri("https://gw.example.org/").Name(General.Directory("CN=other")));

    [Theory]
    [InlineData("gw.example.org")]
    [InlineData("GW2.Example.ORG")]
    [InlineData("gw@example.org")]
    [InlineData("GW@EXAMPLE.org")]
    [InlineData("192.0.2.1")]
    [InlineData("2001:db8::1")]
    [InlineData("C=CH, O=Example, CN=gw.example.net")]
    [InlineData("C=ch, O=example, CN=GW.example.net")]
    public void Names_that_are_in_the_certificate(string identity) => Judging.Ask(s_peer, [s_root]).Of(Identities.Parse(identity)).Good();

    [Theory]
    [InlineData("gw.example.net")]
    [InlineData("example.org")]
    [InlineData("gw.example.or")]
    [InlineData("gw3.example.org")]
    [InlineData("https://gw.example.org/")]
    [InlineData("gw@example.net")]
    [InlineData("example.org@gw")]
    [InlineData("192.0.2.2")]
    [InlineData("192.0.2.0")]
    [InlineData("2001:db8::2")]
    [InlineData("CN=gw.example.net")]
    [InlineData("CN=gw.example.net, O=Example, C=CH")]
    [InlineData("C=CH, O=Example, CN=gw.example.net, CN=x")]
    [InlineData("C=CH, O=Example, CN=*")]
    [InlineData("CN=other")]
    public void Names_that_are_not(string identity)
    {
        var parsed = Identities.Parse(identity);
        var failure = Assert.IsType<PathVerdict.Bad>(PathJudge.Judge(Judging.Ask(s_peer, [s_root]).Of(parsed))).Failure;
        Assert.True(failure.Rule is PathRule.Identity or PathRule.IdentityType, failure.ToString());
    }

    [Fact]
    public void A_general_name_must_be_there_octet_by_octet()
    {
        Judging.Ask(s_peer, [s_root]).Of(new Identity(IdType.DerAsn1Gn, [.. General.Uri("https://gw.example.org/")])).Good();
        Judging.Ask(s_peer, [s_root]).Of(new Identity(IdType.DerAsn1Gn, [.. General.Uri("https://gw.example.org")])).Bad(PathRule.Identity, s_peer);
    }

    [Fact]
    public void An_empty_subject_is_nobody_s_identity()
    {
        var peer = s_root.Issue("", spec => spec.Dns("gw.example.org"));
        Assert.Equal("DNS gw.example.org", peer.Name);
        Judging.Ask(peer, [s_root]).Of(new Identity(IdType.DerAsn1Dn, [.. Der.Seq()])).Bad(PathRule.Identity, peer);
        Judging.Ask(peer, [s_root]).Of(Identity.Fqdn("gw.example.org")).Good();
    }

    /// <summary>CVE-2013-6075 and its kin: damaged names match nothing and break nothing.</summary>
    [Fact]
    public void A_damaged_DN_is_nobody_s_identity()
    {
        var name = s_peer.Subject;
        for (var length = 0; length < name.Length; length++) Judging.Ask(s_peer, [s_root]).Of(new Identity(IdType.DerAsn1Dn, [.. name[..length]])).Bad(PathRule.Identity, s_peer);
        for (var bit = 0; bit < name.Length * 8; bit++)
        {
            var damaged = name.ToArray();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            var question = Judging.Ask(s_peer, [s_root]).Of(new Identity(IdType.DerAsn1Dn, [.. damaged]));
            var isSame = X509Name.TryParse(damaged, out var parsed) && parsed!.Equals(s_peer.Certificate.Subject);
            Assert.Equal(isSame, PathJudge.Judge(question) is PathVerdict.Good);
        }

        Judging.Ask(s_peer, [s_root]).Of(new Identity(IdType.DerAsn1Dn, [.. name, 0])).Bad(PathRule.Identity, s_peer);
        Judging.Ask(s_peer, [s_root]).Of(new Identity(IdType.DerAsn1Dn, [0x30, 0x84, 0x7F, 0xFF, 0xFF, 0xFF])).Bad(PathRule.Identity, s_peer);
    }

    /// <summary>CVE-2009-2408 and its kin.</summary>
    [Fact]
    public void A_name_with_a_NUL_is_no_name()
    {
        var spec = new CertificateSpec().Name(Der.Of(0x82, Encoding.ASCII.GetBytes("gw.example.org\0.evil.example")));
        Assert.False(Certificate.TryParse(spec.Build(General.Name("CN=gw"), s_root), out _, out var error));
        Assert.Equal("extension subject alternative name is malformed", error);
        Judging.Ask(s_peer, [s_root]).Of(new Identity(IdType.Fqdn, [.. "gw.example.org\0"u8])).Bad(PathRule.Identity, s_peer);
    }

    [Fact]
    public void An_address_with_a_mask_is_no_name()
    {
        var spec = new CertificateSpec().Name(General.Net("192.0.2.0", "255.255.255.0"));
        Assert.False(Certificate.TryParse(spec.Build(General.Name("CN=gw"), s_root), out _, out _));
    }

    [Fact]
    public void The_same_octets_of_another_type_are_not_the_same_identity()
    {
        var peer = s_root.Issue("CN=gw", spec => spec.Mail("gw.example.org").Dns("user@example.org"));
        Judging.Ask(peer, [s_root]).Of(Identity.Fqdn("gw.example.org")).Bad(PathRule.Identity, peer);
        Judging.Ask(peer, [s_root]).Of(Identity.Rfc822("user@example.org")).Bad(PathRule.Identity, peer);
        Assert.Equal(2, peer.Certificate.Extensions.AlternativeNames.Count(name => name.Kind is GeneralNameKind.Mail or GeneralNameKind.Dns));
    }
}
