using System;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Policy;

/// <summary>Pools as people write them: the sizes are those that strongSwan's get-pools tells.</summary>
[Trait("Item", "2.16")]
public sealed class PoolTextTests
{
    [Theory]
    [InlineData("10.3.0.0/28", "10.3.0.1", "10.3.0.14", "10.3.0.0", 14)]
    [InlineData("10.3.0.0/24", "10.3.0.1", "10.3.0.254", "10.3.0.0", 254)]
    [InlineData("10.3.0.100/24", "10.3.0.100", "10.3.0.254", "10.3.0.100", 155)]
    [InlineData("10.3.0.7/32", "10.3.0.7", "10.3.0.7", "10.3.0.7", 1)]
    [InlineData("10.3.0.6/31", "10.3.0.6", "10.3.0.7", "10.3.0.6", 2)]
    [InlineData("10.3.0.10-10.3.0.19", "10.3.0.10", "10.3.0.19", "10.3.0.10", 10)]
    [InlineData("fd10:3::/120", "fd10:3::1", "fd10:3::fe", "fd10:3::", 254)]
    public void A_subnet_gives_its_hosts_and_a_range_all(string text, string first, string last, string origin, int size)
    {
        Assert.True(PoolText.TryParseAddresses(text, out var range, out var error), error);
        Assert.Equal((first, last, origin, size), (range.First.ToString(), range.Last.ToString(), range.Base.ToString(), (int)range.Size));
    }

    [Theory]
    [InlineData("10.3.0.0/33")]
    [InlineData("10.3.0.9-10.3.0.1")]
    [InlineData("10.3.0.255/24")]
    [InlineData("dynamic")]
    [InlineData("")]
    public void Other_things_are_refused_with_a_sentence(string text)
    {
        Assert.False(PoolText.TryParseAddresses(text, out _, out var error));
        Assert.Contains("write", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("dns", "10.1.0.53", "INTERNAL_IP4_DNS 10.1.0.53", "0a010035")]
    [InlineData("dns", "fd10::53", "INTERNAL_IP6_DNS fd10::53", "fd100000000000000000000000000053")]
    [InlineData("nbns", "10.1.0.53", "INTERNAL_IP4_NBNS 10.1.0.53", "0a010035")]
    [InlineData("dhcp", "fd10::56", "INTERNAL_IP6_DHCP fd10::56", "fd100000000000000000000000000056")]
    [InlineData("netmask", "255.255.255.0", "INTERNAL_IP4_NETMASK 255.255.255.0", "ffffff00")]
    [InlineData("subnet", "10.1.0.0/16", "INTERNAL_IP4_SUBNET 10.1.0.0/16", "0a010000ffff0000")]
    [InlineData("subnet", "0.0.0.0/0", "INTERNAL_IP4_SUBNET 0.0.0.0/0", "0000000000000000")]
    [InlineData("subnet", "fd10:1::/64", "INTERNAL_IP6_SUBNET fd10:1::/64", "fd10000100000000000000000000000040")]
    [InlineData("split_include", "10.1.0.0/16", "UNITY_SPLIT_INCLUDE 10.1.0.0/16", "0a010000ffff0000000000000000")]
    [InlineData("server", "10.1.0.9", "INTERNAL_IP4_SERVER 10.1.0.9", "0a010009")]
    [InlineData("p_cscf", "10.1.0.9", "P_CSCF_IP4_ADDRESS 10.1.0.9", "0a010009")]
    [InlineData("7", "Warifu 1", "APPLICATION_VERSION Warifu 1", "5761726966752031")]
    [InlineData("28672", "hello", "UNITY_BANNER hello", "68656c6c6f")]
    [InlineData("20", "10.1.0.9", "P_CSCF_IP4_ADDRESS 10.1.0.9", "0a010009")]
    [InlineData("25", "corp.example", "INTERNAL_DNS_DOMAIN corp.example", "636f72702e6578616d706c65")]
    [InlineData("16390", "0xDEADBEEF", "16390 deadbeef", "deadbeef")]
    public void Keys_make_the_attributes_of_their_number(string key, string value, string printed, string octets)
    {
        Assert.True(PoolText.TryParseAttribute(key, value, out var attributes, out var error), error);
        var attribute = Assert.Single(attributes);
        Assert.Equal((printed, octets), (attribute.ToString(), Convert.ToHexStringLower(attribute.Value.AsSpan())));
    }

    [Theory]
    [InlineData("dnss", "10.1.0.53")]
    [InlineData("dns", "example.org")]
    [InlineData("dns", "10.1.0.0/24")]
    [InlineData("subnet", "10.1.0.1-10.1.0.9")]
    [InlineData("nbns", "fd10::1")]
    [InlineData("split_include", "fd10::/64")]
    [InlineData("0", "x")]
    [InlineData("40000", "x")]
    [InlineData("7", "0xABC")]
    [InlineData("dns_domain", "not a domain")]
    [InlineData("dns_domain", "corp.example 43547 8")]
    public void Wrong_values_are_refused(string key, string value) => Assert.False(PoolText.TryParseAttribute(key, value, out _, out _));

    [Fact]
    public void All_fifteen_numbers_of_RFC_5996_have_a_name() =>
        Assert.DoesNotContain(Enumerable.Range(1, 15), number => char.IsAsciiDigit(PoolText.NameOf((ConfigurationType)number)[0]));
}
