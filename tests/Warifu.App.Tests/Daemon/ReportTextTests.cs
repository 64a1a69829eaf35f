using System.Linq;
using Warifu.App.Cli;
using Warifu.App.Daemon;
using Warifu.App.Vici;
using Warifu.Engine;
using Warifu.Primitives;
using Xunit;

namespace Warifu.App.Tests.Daemon;

/// <summary>What happens to a tunnel stands in the log, and how it lives in the listing.</summary>
public sealed class ReportTextTests
{
    private static readonly Endpoint s_local = new(IpAddress.Parse("192.0.2.77"), 4500), s_remote = new(IpAddress.Parse("198.51.100.2"), 4500);

    [Fact]
    [Trait("Item", "2.13")]
    public void A_path_that_changed_is_told() =>
        Assert.Equal((NoticeLevel.Info, "IKE SA 8 of site goes by 192.0.2.77[4500] and 198.51.100.2[4500] now"), ReportText.Line(new PathChanged(s_local, s_remote) { Connection = "site", IkeId = 8 }));

    [Fact]
    [Trait("Item", "2.16")]
    public void Virtual_addresses_are_told_on_both_sides()
    {
        var addresses = new[] { IpAddress.Parse("10.3.0.2"), IpAddress.Parse("fd03::1") };
        Assert.Equal((NoticeLevel.Info, "IKE SA 8 of site: the peer got 10.3.0.2 fd03::1 of our pools"), ReportText.Line(new VirtualIpsGiven([.. addresses]) { Connection = "site", IkeId = 8 }));
        Assert.Equal((NoticeLevel.Info, "IKE SA 8 of site: the peer gave us 10.3.0.2 fd03::1"), ReportText.Line(new VirtualIpsReceived([.. addresses], [], [], []) { Connection = "site", IkeId = 8 }));
    }

    [Theory]
    [Trait("Item", "2.8")]
    [InlineData("rekey_time = 1h", "gw: IKEv2, rekeying every 3600s")]
    [InlineData("rekey_time = 1h\nreauth_frequency = 1", "gw: IKEv2, rekeying every 3600s, each time by authenticating anew")]
    [InlineData("rekey_time = 1h\nreauth_frequency = 3", "gw: IKEv2, rekeying every 3600s, 1 of 3 times by authenticating anew")]
    [InlineData("rekey_time = 1h\nreauth_time = 2h", "gw: IKEv2, rekeying every 3600s, authenticating anew every 7200s")]
    public void The_listing_of_connections_says_when_peers_authenticate_anew(string lines, string listed) =>
        Assert.Equal(listed, Listings.Connection("gw", ViciListings.Connection(Configuration.Conf.With(lines).Only).Section("gw")!).First());
}
