using CsCheck;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Policy;

/// <summary>Traffic selectors as text.</summary>
[Trait("Item", "1.8")]
public sealed class SelectorTextTests
{
    [Theory]
    [InlineData("10.0.0.0/8", "10.0.0.0", "10.255.255.255", 0, 0, 65535)]
    [InlineData("10.1.2.3/8", "10.0.0.0", "10.255.255.255", 0, 0, 65535)]
    [InlineData("0.0.0.0/0", "0.0.0.0", "255.255.255.255", 0, 0, 65535)]
    [InlineData("192.0.2.1", "192.0.2.1", "192.0.2.1", 0, 0, 65535)]
    [InlineData("10.0.0.1-10.0.0.9", "10.0.0.1", "10.0.0.9", 0, 0, 65535)]
    [InlineData("10.0.0.1 - 10.0.0.9", "10.0.0.1", "10.0.0.9", 0, 0, 65535)]
    [InlineData("10.0.0.1..10.0.0.9", "10.0.0.1", "10.0.0.9", 0, 0, 65535)]
    [InlineData("2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 0, 0, 65535)]
    [InlineData("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0, 0, 65535)]
    [InlineData("fd00::1-fd00::ff", "fd00::1", "fd00::ff", 0, 0, 65535)]
    [InlineData("10.0.0.0/8[tcp]", "10.0.0.0", "10.255.255.255", 6, 0, 65535)]
    [InlineData("10.0.0.0/8 [tcp/443]", "10.0.0.0", "10.255.255.255", 6, 443, 443)]
    [InlineData("10.0.0.0/8[TCP/https]", "10.0.0.0", "10.255.255.255", 6, 443, 443)]
    [InlineData("10.0.0.0/8[udp/1000-2000]", "10.0.0.0", "10.255.255.255", 17, 1000, 2000)]
    [InlineData("10.0.0.0/8[udp/netbios-ns-netbios-ssn]", "10.0.0.0", "10.255.255.255", 17, 137, 139)]
    [InlineData("10.0.0.0/8[udp/any]", "10.0.0.0", "10.255.255.255", 17, 0, 65535)]
    [InlineData("10.0.0.0/8[any]", "10.0.0.0", "10.255.255.255", 0, 0, 65535)]
    [InlineData("10.0.0.0/8[47]", "10.0.0.0", "10.255.255.255", 47, 0, 65535)]
    [InlineData("10.0.0.0/8[0x11/0x35]", "10.0.0.0", "10.255.255.255", 17, 53, 53)]
    [InlineData("10.0.0.0/8[gre]", "10.0.0.0", "10.255.255.255", 47, 0, 65535)]
    [InlineData("10.0.0.0/8[255]", "10.0.0.0", "10.255.255.255", 255, 0, 65535)]
    [InlineData("10.0.0.0/8[tcp/opaque]", "10.0.0.0", "10.255.255.255", 6, 65535, 0)]
    [InlineData("10.0.0.0/8[sctp/OPAQUE]", "10.0.0.0", "10.255.255.255", 132, 65535, 0)]
    [InlineData("10.0.0.0/8[icmp/8]", "10.0.0.0", "10.255.255.255", 1, 0x0800, 0x08FF)]
    [InlineData("10.0.0.0/8[icmp/0]", "10.0.0.0", "10.255.255.255", 1, 0x0000, 0x00FF)]
    [InlineData("10.0.0.0/8[icmp/3(4)]", "10.0.0.0", "10.255.255.255", 1, 0x0304, 0x0304)]
    [InlineData("10.0.0.0/8[icmp/3-11]", "10.0.0.0", "10.255.255.255", 1, 0x0300, 0x0BFF)]
    [InlineData("10.0.0.0/8[icmp/2049]", "10.0.0.0", "10.255.255.255", 1, 0x0801, 0x0801)]
    [InlineData("fd00::/8[ipv6-icmp/128]", "fd00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 58, 0x8000, 0x80FF)]
    public void All_forms_are_read(string text, string first, string last, int protocol, int firstPort, int lastPort)
    {
        Assert.True(Selectors.TryParse(text, out var pattern, out var error), error);
        Assert.Equal(new SelectorPattern(false, new TrafficSelector(IpAddress.Parse(first), IpAddress.Parse(last), (byte)protocol, (ushort)firstPort, (ushort)lastPort)), pattern);
    }

    [Theory]
    [InlineData("dynamic", 0, 0, 65535)]
    [InlineData("dynamic[tcp/22]", 6, 22, 22)]
    [InlineData("%dynamic[icmp]", 1, 0, 65535)]
    public void Dynamic_is_filled_in_at_negotiation(string text, int protocol, int firstPort, int lastPort)
    {
        Assert.True(Selectors.TryParse(text, out var pattern, out _));
        Assert.True(pattern.IsDynamic);
        var address = IpAddress.Parse("192.0.2.7");
        Assert.Equal(new TrafficSelector(address, address, (byte)protocol, (ushort)firstPort, (ushort)lastPort), pattern.Resolve(address));
    }

    [Theory]
    [InlineData("10.0.0.0/33", "write 0..32 for IPv4")]
    [InlineData("::/129", "write 0..128 for IPv6")]
    [InlineData("10.0.0.0/-1", "no address range")]
    [InlineData("10.0.0.0/", "prefix length")]
    [InlineData("10.0.0.9-10.0.0.1", "write LOWEST-HIGHEST")]
    [InlineData("10.0.0.1-fd00::1", "of one IP version")]
    [InlineData("10.0.0", "no IP address")]
    [InlineData("10.0.0.256", "no IP address")]
    [InlineData("", "no IP address")]
    [InlineData("example.org", "no IP address")]
    [InlineData("10.0.0.0/8[tcp", "should be [PROTOCOL]")]
    [InlineData("10.0.0.0/8[]", "should be [PROTOCOL]")]
    [InlineData("10.0.0.0/8[tpc/80]", "unknown protocol 'tpc'")]
    [InlineData("10.0.0.0/8[256]", "unknown protocol '256'")]
    [InlineData("10.0.0.0/8[tcp/65536]", "no port")]
    [InlineData("10.0.0.0/8[tcp/200-100]", "no port")]
    [InlineData("10.0.0.0/8[tcp/web]", "no port")]
    [InlineData("10.0.0.0/8[icmp/8(256)]", "no ICMP type")]
    [InlineData("10.0.0.0/8[icmp/echo]", "no ICMP type")]
    [InlineData("10.0.0.0/8[0/500]", "without a protocol; write [tcp/500]")]
    [InlineData("10.0.0.0/8[gre/80]", "'gre' has no ports")]
    [InlineData("10.0.0.0/8[ipv6-icmp]", "other IP version")]
    [InlineData("fd00::/8[icmp/8]", "other IP version")]
    public void What_is_wrong_is_told(string text, string error)
    {
        Assert.False(Selectors.TryParse(text, out _, out var told));
        Assert.Contains(error, told);
    }

    [Fact]
    public void What_is_printed_can_be_read_again() => Generators.Selector.Sample(selector =>
    {
        Assert.True(Selectors.TryParse(selector.ToString(), out var pattern, out var error), $"{selector}: {error}");
        Assert.Equal(SelectorPattern.Of(selector), pattern);
    });
}
