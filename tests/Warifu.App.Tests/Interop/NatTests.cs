using System;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>A NAT between us and strongSwan. The left side is behind a masquerading router, the right side behind a port forward; left always initiates, so the roles are the sides.</summary>
[Trait("Area", "interop")]
[Trait("Item", "1.19")]
public sealed class NatTests
{
    private static readonly Site s_site = new() { LeftFromAnywhere = true };

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task The_initiator_is_behind_a_NAT(bool weInitiate) => ThroughAsync("NAT: initiator behind it", s_site, weInitiate, leftHidden: true, rightHidden: false, lab => lab.MasqueradeLeftAsync());

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task The_responder_is_behind_a_port_forward(bool weInitiate) =>
        ThroughAsync("NAT: responder behind a port forward", s_site with { RightSeenAt = "192.0.2.1" }, weInitiate, leftHidden: false, rightHidden: true, lab => lab.ForwardToRightAsync());

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task Both_are_behind_a_NAT(bool weInitiate) =>
        ThroughAsync("NAT: both behind one", s_site with { RightSeenAt = "192.0.2.1" }, weInitiate, leftHidden: true, rightHidden: true, async lab =>
        {
            await lab.MasqueradeLeftAsync();
            await lab.ForwardToRightAsync();
            // left reaches the router's own address; from there it comes to right as the router
            await lab.NftAsync("add rule ip labnat leaving oifname tor ip daddr 198.51.100.2 masquerade");
        });

    private static async Task ThroughAsync(string scenario, Site site, bool weInitiate, bool leftHidden, bool rightHidden, Func<Topology, Task> nat)
    {
        await using var tunnel = await Tunnel.StartAsync(site, new Layout { WeAreLeft = weInitiate, Prepare = nat });
        await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        var sa = await tunnel.AgreeAsync();
        Assert.Equal(weInitiate ? leftHidden : rightHidden, sa.NatLocal);
        // strongSwan with kernel-libipsec pretends to be behind a NAT always, so that ESP travels in UDP
        Assert.True(sa.NatRemote);
        Assert.Equal(4500, sa.LocalPort);
        if (weInitiate) Assert.Equal(4500, sa.RemotePort);
        Assert.Equal(weInitiate ? site.RightSeenAt ?? site.RightHost : leftHidden ? "198.51.100.1" : site.LeftHost, sa.RemoteHost);
        Assert.True(Assert.Single(sa.Children).Encapsulated);
        // the peer's word only for what its notifies said about us
        var theirs = Assert.Single(await tunnel.Peer.SasAsync());
        Assert.Equal(weInitiate ? leftHidden : rightHidden, theirs.NatRemote);
        Assert.True(await tunnel.Lab.SeenAsync("natt") >= 20, "ESP in UDP on port 4500");
        Assert.Equal(0, await tunnel.Lab.SeenAsync("esp"));
        Assert.Equal(0, await tunnel.Lab.SeenAsync("inner"));
        Coverage.Passed(scenario, weInitiate, site);
    }
}
