using System.Collections.Generic;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Delete from either side: nothing is left on both, and no route of ours.</summary>
[Trait("Area", "interop")]
[Trait("Item", "1.19")]
public sealed class DeleteTests
{
    public static IEnumerable<TheoryDataRow<bool, bool>> Rows => Families.BothRoles;

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public Task We_delete(bool weInitiate, bool v6) => DeleteAsync(new Site { OuterV6 = v6, InnerV6 = v6 }, weInitiate, byUs: true);

    [StrongSwanTheory]
    [MemberData(nameof(Rows))]
    public Task The_peer_deletes(bool weInitiate, bool v6) => DeleteAsync(new Site { OuterV6 = v6, InnerV6 = v6 }, weInitiate, byUs: false);

    private static async Task DeleteAsync(Site site, bool weInitiate, bool byUs)
    {
        var who = byUs ? "us" : "the peer";
        await using var tunnel = await Tunnel.StartAsync(site);
        await tunnel.UpAsync(weInitiate);
        await tunnel.PingBothAsync();
        Assert.NotEmpty(await tunnel.RoutesAsync());

        // the child alone: the IKE SA stays
        var gone = byUs ? await tunnel.Ours.CliAsync("down", "site/net") : await tunnel.Peer.ControlAsync("--terminate", "--child", "net");
        Assert.True(gone.Ok, gone.All + tunnel.Logs);
        var left = await tunnel.AgreeAsync(children: 0);
        await tunnel.NoRoutesAsync();
        Coverage.Passed($"child deleted by {who}", weInitiate, site);

        // another one on the same IKE SA, then the IKE SA
        await tunnel.UpAsync(weInitiate);
        Assert.Equal(left.Spis, (await tunnel.AgreeAsync()).Spis);
        await tunnel.PingBothAsync();
        gone = byUs ? await tunnel.Ours.CliAsync("down", "site") : await tunnel.Peer.ControlAsync("--terminate", "--ike", "site");
        Assert.True(gone.Ok, gone.All + tunnel.Logs);
        await tunnel.AllGoneAsync(seconds: 3);
        var status = await tunnel.Ours.CliAsync("status", "site");
        Assert.Contains("down", status.Output, System.StringComparison.Ordinal);
        if (!byUs) Assert.Contains("the peer closed it", status.Output, System.StringComparison.Ordinal);
        Coverage.Passed($"IKE SA deleted by {who}", weInitiate, site);
    }
}
