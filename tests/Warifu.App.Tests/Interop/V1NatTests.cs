using System;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>IKEv1 through a NAT with strongSwan (RFC 3947), and its messages in pieces on a path that drops IP fragments. Left always initiates, so the roles are the sides: see <see cref="NatTests"/>.</summary>
[Trait("Area", "interop")]
[Trait("Item", "3.11")]
public sealed class V1NatTests
{
    private static readonly TestCa s_ca = TestCa.Root("Lab RSA CA behind NAT", "rsa", 2048);

    /// <summary>Main mode with RSA: the address says nothing of who it is.</summary>
    private static Site Rsa => StrongSwanV1Tests.Site with { LeftFromAnywhere = true, LeftAuth = "auth = pubkey\ncerts = left.pem", RightAuth = "auth = pubkey\ncerts = right.pem", LeftExpects = "auth = pubkey", RightExpects = "auth = pubkey" };

    /// <summary>Aggressive mode with a pre-shared key, which the identity finds.</summary>
    private static Site Aggressive(bool weInitiate) => StrongSwanV1Tests.SiteOf("", aggressive: true) with { LeftFromAnywhere = true, LeftConnection = "", RightConnection = weInitiate ? "" : "aggressive_psk = yes" };

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task The_initiator_is_behind_a_NAT(bool weInitiate) => ThroughAsync("NAT: initiator behind it", Rsa, weInitiate, leftHidden: true, rightHidden: false, lab => lab.MasqueradeLeftAsync());

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task The_responder_is_behind_a_port_forward(bool weInitiate) =>
        ThroughAsync("NAT: responder behind a port forward", Aggressive(weInitiate) with { RightSeenAt = "192.0.2.1" }, weInitiate, leftHidden: false, rightHidden: true, lab => lab.ForwardToRightAsync());

    [StrongSwanTheory]
    [InlineData(true, true)]
    [InlineData(false, false)]
    public Task Both_are_behind_a_NAT(bool weInitiate, bool aggressive) =>
        ThroughAsync("NAT: both behind one", (aggressive ? Aggressive(weInitiate) : Rsa) with { RightSeenAt = "192.0.2.1" }, weInitiate, leftHidden: true, rightHidden: true, async lab =>
        {
            await lab.MasqueradeLeftAsync();
            await lab.ForwardToRightAsync();
            // left reaches the router's own address; from there it comes to right as the router
            await lab.NftAsync("add rule ip labnat leaving oifname tor ip daddr 198.51.100.2 masquerade");
        });

    [StrongSwanTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Messages_come_in_pieces_where_IP_fragments_are_dropped(bool weInitiate)
    {
        var site = Rsa with { Connection = "send_cert = always\nfragmentation = yes" };
        await using var tunnel = await Tunnel.StartAsync(site, Layout(weInitiate, DropFragmentsAsync) with { PeerDaemon = "fragment_size = 576" });
        await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        await tunnel.AgreeAsync();
        // it cut its messages, and put ours together
        Assert.Matches(@"splitting IKE message \(\d+ bytes\) into \d+ fragments", tunnel.Peer.Log);
        Assert.Contains("received fragment #1", tunnel.Peer.Log, StringComparison.Ordinal);
        Coverage.Passed(StrongSwanV1Tests.Peer, "fragmentation", weInitiate);
    }

    private static Task DropFragmentsAsync(Topology lab) => lab.NftAsync("add rule inet lab drops ip frag-off & 0x3fff != 0 drop");

    private static async Task ThroughAsync(string scenario, Site site, bool weInitiate, bool leftHidden, bool rightHidden, Func<Topology, Task> nat)
    {
        await using var tunnel = await Tunnel.StartAsync(site, Layout(weInitiate, nat));
        await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        var sa = await tunnel.AgreeAsync();
        Assert.Equal(weInitiate ? leftHidden : rightHidden, sa.NatLocal);
        // strongSwan with kernel-libipsec pretends to be behind a NAT always, so that ESP travels in UDP
        Assert.True(sa.NatRemote);
        Assert.Equal(4500, sa.LocalPort);
        Assert.Equal(weInitiate ? site.RightSeenAt ?? site.RightHost : leftHidden ? "198.51.100.1" : site.LeftHost, sa.RemoteHost);
        Assert.True(Assert.Single(sa.Children).Encapsulated);
        // the peer's word only for what our hashes said about us
        Assert.Equal(weInitiate ? leftHidden : rightHidden, Assert.Single(await tunnel.Peer.SasAsync()).NatRemote);
        Assert.Equal(0, await tunnel.Lab.SeenAsync("esp"));
        Assert.Equal(0, await tunnel.Lab.SeenAsync("inner"));
        // a second quick mode and a new phase 1 go the same way
        Assert.True((await tunnel.Ours.CliAsync("rekey", "site", "--child")).Ok, tunnel.Logs);
        if (weInitiate) Assert.True((await tunnel.Ours.CliAsync("rekey", "site", "--ike")).Ok, tunnel.Logs);
        await Until.HoldsAsync("a new pair", tunnel.OurNewestAsync, child => child is not null && child.SpiIn != sa.Children[0].SpiIn);
        Assert.Equal((5, 5), await Topology.PingAsync(tunnel.OurNs, tunnel.OurInner, tunnel.PeerInner));
        Coverage.Passed(StrongSwanV1Tests.Peer, scenario, weInitiate);
    }

    private static Layout Layout(bool weInitiate, Func<Topology, Task> prepare) => new()
    {
        WeAreLeft = weInitiate,
        Prepare = prepare,
        PeerDaemon = StrongSwanV1Tests.PeerDaemon,
        Files = folder => Write(folder, weInitiate ? "left" : "right"),
        PeerFiles = folder => Write(folder, weInitiate ? "right" : "left"),
    };

    private static void Write(string folder, string side)
    {
        s_ca.Issue(side, "rsa", 2048).WriteTo(folder);
        s_ca.Own.TrustIn(folder);
    }
}
