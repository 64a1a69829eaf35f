using System;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Warifu.Net.Tests.Lab;
using Warifu.Policy;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Net.Tests;

/// <summary>Manual SAs that come, change and go, with real packets. The outer link is watched from the router.</summary>
[Trait("Item", "3.8")]
public sealed class ManualSaTests
{
    private static readonly string[] s_inner = ["10.10.0.0/16", "fd10::/16"];

    [LabTheory]
    [InlineData(ProtocolId.Esp, false)]
    [InlineData(ProtocolId.Ah, true)]
    public async Task Nothing_leaves_in_clear_while_keys_change_and_IKE_takes_over_and_gives_back(ProtocolId protocol, bool v6)
    {
        await using var world = new World();
        var clean = RoutingTests.State(world.Left);
        var byIke = new Site { OuterV6 = v6, Children = [Site.Lan(false, StartAction.Trap), Site.Lan(true, StartAction.Trap) with { Name = "lan6" }] };
        var (leftOptions, rightOptions) = (World.Options(byIke), World.Options(byIke));
        ManualSite By(int generation) => new() { OuterV6 = v6, Protocol = protocol, Generation = (byte)generation };
        PolicySet Left(int generation) => By(generation).Policy(left: true, leftOptions.Secrets);
        PolicySet Right(int generation) => By(generation).Policy(left: false, rightOptions.Secrets);
        using var outer = world.Watch(world.Router, "tol");
        var left = await world.StartAsync(left: true, Left(1), leftOptions);
        var right = await world.StartAsync(left: false, Right(1), rightOptions);
        var (near, far) = GatewayTests.Ends(world, v6);
        Assert.Equal(5, World.Send(near, far));
        Assert.Equal(5, World.Send(far, near));
        var state = RoutingTests.State(world.Left);
        Assert.Contains("unreachable 10.10.2.0/24", state, StringComparison.Ordinal);
        Assert.Contains("unreachable fd10:2::/64", state, StringComparison.Ordinal);

        // packets all the time
        var stop = 0;
        var flow = Task.Run(() =>
        {
            var sent = 0;
            for (; Volatile.Read(ref stop) == 0; sent++)
            {
                try
                {
                    _ = near.SendTo(new byte[64], far.LocalEndPoint!);
                }
                catch (SocketException)
                {
                    // prohibited: just what it should be
                }
            }

            return sent;
        });
        for (var generation = 2; generation < 12; generation++)
        {
            await left.LoadAsync(Left(generation), TestContext.Current.CancellationToken);
            // the same again changes nothing
            var id = Assert.Single(left.Manual).Id;
            await left.LoadAsync(Left(generation), TestContext.Current.CancellationToken);
            Assert.Equal(id, Assert.Single(left.Manual).Id);
            if (generation % 3 == 0) await left.LoadAsync(byIke.Policy(left: true), TestContext.Current.CancellationToken);
        }

        // one that cannot be installed holds its traffic, too
        leftOptions.Secrets.KeepManual([]);
        var broken = Left(12);
        leftOptions.Secrets.KeepManual([]);
        await left.LoadAsync(broken, TestContext.Current.CancellationToken);
        Assert.Equal("its keys are gone", Assert.Single(left.Manual).WhyNot);
        await Task.Delay(50, TestContext.Current.CancellationToken);
        await left.LoadAsync(Left(13), TestContext.Current.CancellationToken);
        Volatile.Write(ref stop, 1);
        Assert.True(await flow > 100);
        Assert.Equal(0, outer.Count(s_inner));
        await right.LoadAsync(Right(13), TestContext.Current.CancellationToken);
        Assert.Equal(5, World.Send(near, far));
        Assert.Equal(5, World.Send(far, near));

        // what is not loaded any more is as if it had never been
        await left.LoadAsync(PolicySet.Of(), TestContext.Current.CancellationToken);
        Assert.DoesNotContain("10.10.2.0/24", RoutingTests.State(world.Left), StringComparison.Ordinal);
        World.Send(near, far, 3, wait: 200);
        Assert.True(await World.Until(() => outer.Count(s_inner) == 3));
        await left.DisposeAsync();
        Assert.Equal(clean, RoutingTests.State(world.Left));
    }
}
