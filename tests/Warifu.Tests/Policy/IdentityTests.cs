using System;
using System.Linq;
using System.Text;
using CsCheck;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Policy;

/// <summary>Identities (RFC 7296 section 3.5) as text, as patterns, and as names that mean the same.</summary>
[Trait("Item", "1.8")]
public sealed class IdentityTests
{
    [Theory]
    [InlineData("192.0.2.1", IdType.Ipv4Addr, "c0000201")]
    [InlineData("2001:db8::1", IdType.Ipv6Addr, "20010db8000000000000000000000001")]
    [InlineData("gw.example.org", IdType.Fqdn, "text")]
    [InlineData("@gw.example.org", IdType.Fqdn, "67772e6578616d706c652e6f7267")]
    [InlineData("alice@example.org", IdType.Rfc822Addr, "text")]
    [InlineData("@@alice@example.org", IdType.Rfc822Addr, "616c696365406578616d706c652e6f7267")]
    [InlineData("@#0102ff", IdType.KeyId, "0102ff")]
    [InlineData("not:an:address", IdType.KeyId, "text")]
    [InlineData("=x", IdType.KeyId, "text")]
    [InlineData("ipv4:192.0.2.1", IdType.Ipv4Addr, "c0000201")]
    [InlineData("ipv4:#c0000201", IdType.Ipv4Addr, "c0000201")]
    [InlineData("ipv6:::1", IdType.Ipv6Addr, "00000000000000000000000000000001")]
    [InlineData("fqdn:192.0.2.1", IdType.Fqdn, "3139322e302e322e31")]
    [InlineData("dns:gw", IdType.Fqdn, "6777")]
    [InlineData("rfc822:alice", IdType.Rfc822Addr, "616c696365")]
    [InlineData("email:alice", IdType.Rfc822Addr, "616c696365")]
    [InlineData("userfqdn:alice", IdType.Rfc822Addr, "616c696365")]
    [InlineData("keyid:site=7", IdType.KeyId, "736974653d37")]
    [InlineData("keyid:#01:02:0a", IdType.KeyId, "01020a")]
    [InlineData("asn1gn:#8203616263", IdType.DerAsn1Gn, "8203616263")]
    [InlineData("{11}:abc", IdType.KeyId, "616263")]
    [InlineData("{200}:#00", (IdType)200, "00")]
    [InlineData("C=CH, O=Example, CN=gw", IdType.DerAsn1Dn, "302c310b3009060355040613024348311030" + "0e060355040a13074578616d706c65310b300906035504031302" + "6777")]
    [InlineData("/C=CH/O=Example/CN=gw", IdType.DerAsn1Dn, "302c310b3009060355040613024348311030" + "0e060355040a13074578616d706c65310b300906035504031302" + "6777")]
    [InlineData("asn1dn:CN=gw", IdType.DerAsn1Dn, "300d310b3009060355040313026777")]
    [InlineData("asn1dn:#300d310b3009060355040313026777", IdType.DerAsn1Dn, "300d310b3009060355040313026777")]
    public void All_forms_are_read(string text, IdType type, string hex)
    {
        Assert.True(Identities.TryParse(text, out var identity, out var error), error);
        Assert.Equal(type, identity.Type);
        Assert.Equal(hex == "text" ? Convert.ToHexStringLower(Encoding.UTF8.GetBytes(text)) : hex, Convert.ToHexStringLower(identity.Data.AsSpan()));
    }

    [Theory]
    [InlineData("ipv4:example.org", "no IPv4 address")]
    [InlineData("ipv4:::1", "no IPv4 address")]
    [InlineData("ipv6:192.0.2.1", "no IPv6 address")]
    [InlineData("ipv4:#c00002", "not hexadecimal of the right length")]
    [InlineData("keyid:", "empty identity")]
    [InlineData("keyid:#0", "not hexadecimal")]
    [InlineData("keyid:#xy", "not hexadecimal")]
    [InlineData("@#", "not hexadecimal")]
    [InlineData("@", "empty identity")]
    [InlineData("asn1dn:nothing", "no distinguished name")]
    [InlineData("asn1dn:XX=1", "no distinguished name")]
    [InlineData("%any", "means any identity")]
    public void What_is_wrong_is_told(string text, string error)
    {
        Assert.False(Identities.TryParse(text, out _, out var told));
        Assert.Contains(error, told);
    }

    [Theory]
    [InlineData("%any")]
    [InlineData("%any6")]
    [InlineData("0.0.0.0")]
    [InlineData("*")]
    [InlineData("::")]
    [InlineData("0::0")]
    [InlineData("")]
    public void These_mean_any(string text)
    {
        Assert.True(IdentityPattern.TryParse(text, out var pattern, out _));
        Assert.Same(IdentityPattern.Any, pattern);
        Assert.Equal(IdentityMatch.Any, pattern.Match(Identity.KeyId([1])));
    }

    [Theory]
    [InlineData("gw.example.org", "GW.Example.ORG", IdentityMatch.Exact)]
    [InlineData("gw.example.org", "gw2.example.org", IdentityMatch.No)]
    [InlineData("alice@example.org", "Alice@EXAMPLE.org", IdentityMatch.Exact)]
    [InlineData("keyid:Abc", "keyid:abc", IdentityMatch.No)]
    [InlineData("fqdn:gw", "rfc822:gw", IdentityMatch.No)]
    [InlineData("fqdn:192.0.2.1", "192.0.2.1", IdentityMatch.No)]
    [InlineData("192.0.2.1", "192.0.2.1", IdentityMatch.Exact)]
    [InlineData("*.example.org", "gw.example.org", IdentityMatch.Wildcard)]
    [InlineData("*.example.org", "a.b.EXAMPLE.org", IdentityMatch.Wildcard)]
    [InlineData("*.example.org", "example.org", IdentityMatch.No)]
    [InlineData("*.example.org", ".example.org", IdentityMatch.No)]
    [InlineData("*.example.org", "gw.example.org.evil.net", IdentityMatch.No)]
    [InlineData("*.example.org", "gw@x.example.org", IdentityMatch.No)]
    [InlineData("*@example.org", "alice@example.org", IdentityMatch.Wildcard)]
    [InlineData("*@example.org", "alice@evil.example.org", IdentityMatch.No)]
    [InlineData("*@example.org", "fqdn:alice@example.org", IdentityMatch.No)]
    [InlineData("10.0.0.0/8", "10.9.8.7", IdentityMatch.Wildcard)]
    [InlineData("10.0.0.0/8", "11.0.0.0", IdentityMatch.No)]
    [InlineData("ipv4net:10.0.0.0/8", "10.0.0.1", IdentityMatch.Wildcard)]
    [InlineData("10.0.0.5-10.0.0.9", "10.0.0.9", IdentityMatch.Wildcard)]
    [InlineData("ipv4range:10.0.0.5-10.0.0.9", "10.0.0.10", IdentityMatch.No)]
    [InlineData("ipv6net:2001:db8::/32", "2001:db8::5", IdentityMatch.Wildcard)]
    [InlineData("2001:db8::/32", "10.0.0.1", IdentityMatch.No)]
    [InlineData("10.0.0.0/8", "fqdn:10.9.8.7", IdentityMatch.No)]
    [InlineData("C=CH, O=Example, CN=gw", "C=CH, O=Example, CN=gw", IdentityMatch.Exact)]
    [InlineData("CN=gw, O=Example, C=CH", "C=CH, O=Example, CN=gw", IdentityMatch.Exact)]
    [InlineData("/C=CH/O=Example/CN=gw", "CN=GW, O=example, C=ch", IdentityMatch.Exact)]
    [InlineData("C=CH, O=Example  Ltd, CN=gw", "C=CH, O=example ltd, CN=gw", IdentityMatch.Exact)]
    [InlineData("C=CH, O=Example, CN=gw", "O=Example, C=CH, CN=gw", IdentityMatch.No)]
    [InlineData("C=CH, O=Example, CN=gw", "C=CH, O=Example, OU=gw", IdentityMatch.No)]
    [InlineData("C=CH, O=Example, CN=gw", "C=CH, O=Example", IdentityMatch.No)]
    [InlineData("C=CH, O=Example, CN=*", "C=CH, O=Example, CN=gw", IdentityMatch.Wildcard)]
    [InlineData("CN=*, O=Example, C=CH", "C=CH, O=Example, CN=gw", IdentityMatch.Wildcard)]
    [InlineData("C=CH, O=Example, CN=*", "C=CH, O=Evil, CN=gw", IdentityMatch.No)]
    [InlineData("C=CH, O=Example, CN=*", "C=CH, O=Example, OU=x, CN=gw", IdentityMatch.No)]
    [InlineData("C=CH, O=Example, CN=*", "fqdn:gw", IdentityMatch.No)]
    public void Patterns_match_what_they_should(string pattern, string identity, object expected)
    {
        Assert.True(IdentityPattern.TryParse(pattern, out var parsed, out var error), error);
        Assert.Equal(expected, parsed.Match(Parse(identity)));
        Assert.Equal(!expected.Equals(IdentityMatch.No), parsed.Matches(Parse(identity)));
    }

    [Theory]
    [InlineData("gw*.example.org", "not at its beginning")]
    [InlineData("alice@*.org", "not at its beginning")]
    [InlineData("ipv4net:10.0.0.0/40", "prefix length")]
    [InlineData("ipv4net:fd00::/8", "other IP version")]
    [InlineData("ipv6range:nothing", "no IP address")]
    [InlineData("fqdn:^gw[0-9]+$", "not there yet")]
    [InlineData("uri:urn:x", "not there yet")]
    public void A_pattern_that_could_never_match_is_refused(string text, string error)
    {
        Assert.False(IdentityPattern.TryParse(text, out _, out var told));
        Assert.Contains(error, told);
    }

    [Theory]
    [InlineData("C=CH, ST=ZH, L=Zurich, O=Example, OU=Net, CN=gw.example.org")]
    [InlineData("DC=org, DC=example, UID=gw, E=gw@example.org, serialNumber=17")]
    [InlineData("CN=Zoë Müller, T=Dr., G=Zoë, SN=Müller")]
    [InlineData("2.5.4.97=VAT-1, CN=x")]
    public void A_name_prints_as_it_is_written(string text) => Assert.Equal(text, Identities.Print(Parse(text)));

    [Fact]
    public void Commas_and_quotes_in_names()
    {
        Assert.Equal("O=Example, Ltd, CN=a\"b", Identities.Print(Parse("O=\"Example, Ltd\", CN=a\\\"b")));
        Assert.Equal(Parse("O=\"Example, Ltd\", CN=x"), Parse("O=Example\\, Ltd, CN=x"));
        Assert.Equal(IdType.KeyId, Parse("O=\"Example").Type);
    }

    [Fact]
    public void Several_attributes_in_one_part_are_read()
    {
        // SET of CN and serialNumber, as some certificates have
        var identity = new Identity(IdType.DerAsn1Dn, [.. Convert.FromHexString("30173115300906035504031302677730080603550405130131")]);
        Assert.Equal("CN+serialNumber=gw+1", Identities.Print(identity));
        Assert.Equal(IdentityMatch.Exact, IdentityPattern.Of(identity).Match(identity));
    }

    [Fact]
    public void Control_characters_of_a_peer_are_not_printed()
    {
        Assert.Equal("CN=a?[31mb", Identities.Print(Parse("CN=a\u001b[31mb")));
        Assert.DoesNotContain('\n', Identities.Print(Identity.Fqdn("a\nb")));
    }

    [Fact]
    public void Names_that_mean_the_same_are_equal_in_canonical_form()
    {
        Assert.Equal(Identities.Canonical(Parse("CN=gw, O=Example, C=CH")), Identities.Canonical(Parse("c=ch, o=EXAMPLE, cn=GW")));
        Assert.Equal(Identities.Canonical(Parse("GW.example.org")), Identities.Canonical(Parse("gw.example.org")));
        Assert.NotEqual(Identities.Canonical(Parse("keyid:A")), Identities.Canonical(Parse("keyid:a")));
        Assert.NotEqual(Identities.Canonical(Parse("CN=a, O=b")), Identities.Canonical(Parse("CN=b, O=a")));
    }

    [Fact]
    public void Property_a_mutilated_name_never_throws_and_equals_itself()
    {
        var good = Parse("C=CH, O=Example, OU=Net, CN=gw.example.org, E=a@example.org").Data;
        Gen.Select(Gen.Int[0, good.Length - 1].Array[0, 4], Gen.Byte.Array[4], Gen.Int[0, good.Length]).Sample((places, values, length) =>
        {
            var octets = good.ToArray();
            for (var i = 0; i < places.Length; i++) octets[places[i]] = values[i];
            var identity = new Identity(IdType.DerAsn1Dn, [.. octets.AsSpan(0, Math.Max(1, length))]);
            _ = Identities.Print(identity);
            Assert.Equal(IdentityMatch.Exact, IdentityPattern.Of(identity).Match(identity));
            Assert.True(IdentityPattern.TryParse("C=CH, O=Example, OU=*, CN=*, E=*", out var pattern, out _));
            _ = pattern.Match(identity);
        });
        Gen.Byte.Array[0, 64].Sample(octets => Identities.Print(new Identity(IdType.DerAsn1Dn, [.. octets])) is not null);
    }

    [Fact]
    public void Property_any_text_is_read_or_refused_with_a_reason() => Gen.String.Sample(text =>
    {
        if (!IdentityPattern.TryParse(text, out var pattern, out var error)) Assert.NotEmpty(error);
        else if (pattern.Exact is { } identity) Assert.Equal(IdentityMatch.Exact, pattern.Match(identity));
    });

    internal static Identity Parse(string text) => Identities.TryParse(text, out var identity, out var error) ? identity : throw new Xunit.Sdk.XunitException($"{text}: {error}");
}
