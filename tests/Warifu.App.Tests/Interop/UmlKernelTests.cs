using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>User-space ESP and AH of ours with those of a Linux kernel, negotiated by IKE and straight on IP.</summary>
[Trait("Area", "interop")]
[Trait("Item", "1.20")]
[Collection(KernelCollection.Name)]
public sealed class UmlKernelTests(KernelFixture fixture)
{
    internal const string Needs = "uml strongswan";
    internal const string Peer = "Linux kernel (user-mode Linux) keyed by strongSwan";

    private static readonly KernelCase[] s_cases =
    [
        new("aes256gcm16", false, false, true, "tunnel"),
        new("aes128gcm16-esn", true, true, false, "tunnel"),
        new("aes256gcm8-esn", false, true, true, "tunnel"),
        new("aes128-sha1", false, true, false, "tunnel"),
        new("aes256-sha256-esn", false, false, false, "tunnel"),
        new("aes128-sha512", true, false, true, "tunnel"),
        new("aes256-sha384-esn", true, true, true, "tunnel"),
        new("aes128gmac-esn", false, false, true, "tunnel"),
        new("aes256gmac", true, true, false, "tunnel"),
        new("aes256ccm16-esn", false, false, false, "tunnel"),
        new("chacha20poly1305-esn", true, false, true, "tunnel"),
        new("aes128ctr-sha1-esn", true, false, false, "tunnel"),
        new("null-sha256-esn", true, true, true, "tunnel"),
        new("3des-md5", false, false, false, "tunnel"),
        new("camellia256-sha256", false, false, true, "tunnel"),
        new("aes256gcm16-esn", false, false, true, "transport"),
        new("aes128-sha256-esn", true, true, false, "transport"),
        new("aes256gcm16", true, true, true, "transport"),
        new("aes128gmac", false, false, false, "transport"),
        new("aes256gcm16", false, false, true, "transport") { IsHidden = true },
        new("sha256", false, false, true, "tunnel") { IsAh = true },
        new("sha512-esn", false, false, false, "tunnel") { IsAh = true },
        new("sha384-esn", true, false, true, "tunnel") { IsAh = true, OnlyLong = true },
        new("sha256-esn", false, false, true, "transport") { IsAh = true },
        new("aesxcbc", false, false, false, "transport") { IsAh = true },
        new("sha256-esn", true, true, false, "transport") { IsAh = true, OnlyLong = true },
        new("aes256-sha256", false, false, true, "tunnel") { Version = 1 },
        new("aes128gcm16", false, false, false, "transport") { Version = 1 },
        new("3des-md5", true, true, false, "tunnel") { Version = 1, OnlyLong = true },
        new("aes192-sha512-esn", false, true, true, "tunnel") { Version = 1, OnlyLong = true },
        new("sha256", false, false, true, "transport") { IsAh = true, Version = 1 },
        new("sha512-esn", false, false, false, "transport") { IsAh = true, Version = 1, OnlyLong = true },
        new("sha1", true, true, false, "tunnel") { IsAh = true, Version = 1 },
    ];

    private static IEnumerable<KernelCase> Tried => s_cases.Where(one => Tool.IsLong || !one.OnlyLong);

    public static TheoryData<string> EspNames() => [.. Tried.Where(one => !one.IsHidden && !one.IsAh).Select(one => one.Name)];

    public static TheoryData<string> AhNames() => [.. Tried.Where(one => one.IsAh).Select(one => one.Name)];

    internal static IEnumerable<KernelCase> Cases() => s_cases;

    [PeersTheory(Needs)]
    [MemberData(nameof(EspNames))]
    public Task A_kernel_and_we_carry_each_others_packets(string name) => CarryAsync(name);

    [PeersTheory(Needs)]
    [MemberData(nameof(AhNames))]
    [Trait("Item", "3.12")]
    public Task A_kernel_and_we_authenticate_each_others_packets(string name) => CarryAsync(name);

    private async Task CarryAsync(string name)
    {
        var one = s_cases.Single(candidate => candidate.Name == name);
        var (lab, kernel, ours) = (fixture.Lab!, fixture.Kernel!, fixture.Ours!);
        var site = one.Site;
        var (left, right) = one.Mode == "tunnel" ? (site.LeftInner, site.RightInner) : (site.LeftHost, site.RightHost);
        try
        {
            await UpAsync(one);
            // who answers quick mode has its SAs only after the third message
            if (one is { Version: 1, WeInitiate: true }) (await kernel.RunAsync("for i in $(seq 50); do ip xfrm policy | grep -q 'dir in' && break; sleep 0.1; done")).OrThrow("policies");
            var there = await Topology.PingAsync(lab.Left, left, right, interval: 0.05);
            var large = await Topology.PingAsync(lab.Left, left, right, count: 3, interval: 0.05, size: 1201);
            var back = await kernel.RunAsync($"ping -n -q -c 5 -i 0.05 -w 3 -I {right} {left}; {KernelView.Look}");
            var child = (await ours.SasAsync()).Single(sa => sa.Connection == name).Children.Single();
            Assert.True(there == (5, 5) && large == (3, 3) && back.Output.Contains(" packets transmitted, 5 received", StringComparison.Ordinal), $"{there} {large}\n{back.Output}\n{Cli.Json.Print(child.Body)}\n{ours.Log}");
            // a slow answer makes ping send one more
            KernelView.AssertCarried(back.Output, one.Protocol, one.Mode, least: 13);
            Assert.Equal(one.Algorithms.EndsWith("-esn", StringComparison.Ordinal) ? 2 : 0, Regex.Count(back.Output, @"flag .*\besn\b"));
            Assert.DoesNotContain("encap", back.Output, StringComparison.Ordinal);
            Assert.InRange(child.PacketsIn, 13, 16);
            Assert.Equal((child.PacketsIn, 0L), (child.PacketsOut, child.Drops));
        }
        finally
        {
            // what is left of one case would be counted in the next
            _ = await ours.RequestAsync("terminate", new ViciMessage().Add("ike", name).Add("timeout", 5000));
            for (var i = 0; i < 20 && (await kernel.RunAsync("ip xfrm state")).Output.Length > 0; i++) await Task.Delay(50);
        }

        Assert.Equal("", (await kernel.RunAsync("ip xfrm state")).Output);
        Coverage.Passed(Peer, $"native {one.Protocol.ToUpperInvariant()}, {one.Mode} mode{(one.Version == 1 ? ", IKEv1" : "")}", one.WeInitiate, one.OuterV6, one.InnerV6);
        if (!one.IsAh && one.Version == 2 && !one.OuterV6 && !one.InnerV6 && one.Algorithms.EndsWith("-esn", StringComparison.Ordinal)) Coverage.Passed(Peer, "native ESP, ESN", one.WeInitiate);
    }

    private async Task UpAsync(KernelCase one)
    {
        var (kernel, ours) = (fixture.Kernel!, fixture.Ours!);
        if (one.WeInitiate)
        {
            var up = await ours.RequestAsync("initiate", new ViciMessage().Add("ike", one.Name).Add("child", one.Name).Add("timeout", 10_000));
            Assert.True(up.Bool("success"), $"{up.Text("errmsg")}\n{ours.Log}\n{kernel.CharonLog}");
            return;
        }

        var asked = await kernel.RunAsync($"swanctl --initiate --child {one.Name} --timeout 10 --uri unix:///run/charon.vici");
        Assert.True(asked.Ok, $"{asked.All}\n{ours.Log}\n{kernel.CharonLog}");
    }

    [PeersFact(Needs)]
    [Trait("Item", "2.12")]
    public async Task Transport_mode_behind_a_NAT_carries_streams_whose_checksums_the_kernel_made_for_another_address()
    {
        var one = s_cases.Single(candidate => candidate.IsHidden);
        var (lab, kernel, ours) = (fixture.Lab!, fixture.Kernel!, fixture.Ours!);
        try
        {
            var up = await ours.CliAsync("up", $"{one.Name}/{one.Name}");
            Assert.True(up.Ok, $"{up.All}\n{ours.Log}\n{kernel.CharonLog}");
            Assert.Equal((5, 5), await Topology.PingAsync(lab.Left, KernelCase.HiddenHost, one.Site.RightHost));
            (await kernel.RunAsync($"{UmlKernel.Busybox} nc -ll -p 7007 -e /bin/cat >/dev/null 2>&1 & for i in $(seq 50); do grep -q ':1B5F ' /proc/net/tcp /proc/net/tcp6 && break; sleep 0.1; done")).OrThrow("echo");
            await ManyNatsTests.StreamAsync(lab.Left, one.Site.RightHost, 7007, KernelCase.HiddenHost);
            var state = (await kernel.RunAsync(KernelView.Look)).Output;
            KernelView.AssertCarried(state, "esp", "transport", least: 50);
            Assert.Equal(2, Regex.Count(state, "encap type espinudp"));
            var sas = (await ours.CliAsync("list", "sas", "--json")).Output;
            Assert.True(Json.Sum(sas, "packets-in") > 100 && Json.Sum(sas, "packets-out") > 100 && Json.Sum(sas, "x-integrity-drops") == 0, sas);
        }
        finally
        {
            _ = await ours.CliAsync("down", one.Name);
            for (var i = 0; i < 20 && (await kernel.RunAsync("ip xfrm state")).Output.Length > 0; i++) await Task.Delay(50);
        }

        Coverage.Passed(Peer, "transport mode, we are behind a NAT", true);
    }
}
