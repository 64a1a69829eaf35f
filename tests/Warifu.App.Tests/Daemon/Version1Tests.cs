using System;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Cli;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Daemon;

/// <summary>What the daemon tells of connections of IKEv1.</summary>
[Trait("Item", "3.4")]
public sealed class Version1Tests
{
    private static Side V1(Side side) => side with { Version = "1", Ike = "aes128-sha256-ecp256", Esp = "aes128gcm16" };

    /// <summary>Each pair of selectors is negotiated for itself: a child of which the peer knows one only is not simply up.</summary>
    [Fact]
    public async Task A_child_that_is_up_in_part_says_so_and_why()
    {
        await using var pair = await Pair.StartAsync(V1(Side.Left) with { LocalTs = "10.1.0.0/16, 10.3.0.0/16" }, V1(Side.Right));
        Assert.Equal("yes", (await pair.InitiateAsync()).Text("success"));
        await pair.FailureOfLeft();
        var child = (await pair.Left.ListAsync("warifu-status", "warifu-status-conn")).Single().Section("site")!.Section("children")!.Section("net")!;
        Assert.Equal("up", child.Text("state"));
        Assert.StartsWith("1 of its 2 pairs of selectors are up: the peer refused our proxy IDs for child net (INVALID-ID-INFORMATION): local 10.3.0.0/16, remote 10.2.0.0/16", child.Text("reason"), StringComparison.Ordinal);
        Pair.Expect(pair.Right.File, await pair.FailureOfRight(), "selectors", "either", "local 10.2.0.0/16, remote 10.3.0.0/16", ("connections.site.children.net.remote_ts", "remote_ts = "));
    }

    /// <summary>Messages of IKEv1 are counted beside the 21 counters that other programs know.</summary>
    [Theory]
    [InlineData("", "main-mode", 3)]
    [InlineData("aggressive = yes\naggressive_psk = yes", "aggressive-mode", 1)]
    public async Task Messages_of_IKEv1_are_counted(string lines, string mode, int count)
    {
        await using var pair = await Pair.StartAsync(V1(Side.Left) with { Connection = lines }, V1(Side.Right) with { Connection = lines });
        Assert.Equal("yes", (await pair.InitiateAsync()).Text("success"));
        foreach (var request in new[] { new ViciMessage(), new ViciMessage().Add("name", "site") })
        {
            var counters = (await pair.Left.AskAsync("get-counters", request)).Section("x-messages-v1")!;
            Assert.Equal((count, count == 3 ? 3 : 2), (counters.Number(mode + "-in", -1), counters.Number(mode + "-out", -1)));
            Assert.Equal((1, 2), (counters.Number("quick-mode-in", -1), counters.Number("quick-mode-out", -1)));
            Assert.Equal(0, counters.Number(mode == "main-mode" ? "aggressive-mode-in" : "main-mode-in", -1));
        }

        var text = string.Join('\n', Listings.Counters(await pair.Left.AskAsync("get-counters")));
        Assert.Matches($"IKEv1:\n  {mode}-in +{count}\n", text);
        Assert.DoesNotContain("transaction", text, StringComparison.Ordinal);
    }

    /// <summary>The suite is known by what was negotiated (RFC 6379).</summary>
    [Fact]
    [Trait("Item", "3.2")]
    public async Task The_suite_of_a_child_is_listed()
    {
        await using var pair = await Pair.StartAsync(V1(Side.Left), V1(Side.Right));
        Assert.Equal("yes", (await pair.InitiateAsync()).Text("success"));
        var sa = (await pair.Left.ListAsync("list-sas", "list-sa")).Single().Section("site")!;
        Assert.Equal("Suite-B-GCM-128", sa.Section("child-sas")!.Elements.Single().Section!.Text("x-suite"));
        Assert.NotNull(sa.Text("rekey-time"));
        Assert.Null(sa.Text("reauth-time"));
    }
}
