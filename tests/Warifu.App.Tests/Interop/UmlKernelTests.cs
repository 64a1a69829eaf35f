using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>One boot for all cases: our daemon on the left, strongSwan over the ESP of a Linux kernel on the right, a connection per case on both.</summary>
public sealed class UmlFixture : IAsyncLifetime
{
    internal Topology? Lab { get; private set; }

    internal UmlKernel? Kernel { get; private set; }

    internal Gateway? Ours { get; private set; }

    public async ValueTask InitializeAsync()
    {
        if (PeersTheoryAttribute.WhyNot(UmlKernelTests.Needs) is not null) return;
        var cases = UmlKernelTests.Cases().ToArray();
        Lab = await Topology.CreateAsync();
        // one address of ours is behind a NAT
        (await Topology.InAsync(Lab.Left, "ip", "addr", "add", KernelCase.HiddenHost + "/24", "dev", "wan")).OrThrow("addr");
        await Lab.NftAsync($"add rule ip labnat leaving oifname tor ip saddr {KernelCase.HiddenHost} masquerade");
        Kernel = await UmlKernel.StartAsync(Lab, File(cases, left: false));
        Ours = await Gateway.StartAsync(Lab.Left, Path.Combine(Lab.Folder, "ours"), File(cases, left: true));
    }

    public async ValueTask DisposeAsync()
    {
        if (Ours is not null) await Ours.DisposeAsync();
        if (Kernel is not null) await Kernel.DisposeAsync();
        if (Lab is not null) await Lab.DisposeAsync();
    }

    private static string File(IEnumerable<KernelCase> cases, bool left)
    {
        var text = new StringBuilder("connections {\n");
        foreach (var one in cases)
        {
            var site = one.Site;
            var (own, peer) = left ? ("left", "right") : ("right", "left");
            text.Append(CultureInfo.InvariantCulture, $$"""
                {{one.Name}} {
                  version = 2
                  local_addrs = {{(!left ? site.RightHost : one.IsHidden ? KernelCase.HiddenHost : site.LeftHost)}}
                  remote_addrs = {{(left ? site.RightHost : one.IsHidden ? "%any" : site.LeftHost)}}
                  proposals = aes128gcm16-prfsha256-x25519
                  mobike = no
                  local {
                    auth = psk
                    id = {{own}}-{{one.Name}}
                  }
                  remote {
                    auth = psk
                    id = {{peer}}-{{one.Name}}
                  }
                  children {
                    {{one.Name}} {
                      local_ts = {{(left ? site.LeftNet : site.RightNet)}}
                      remote_ts = {{(left ? site.RightNet : site.LeftNet)}}
                      esp_proposals = {{one.Esp}}
                      mode = {{one.Mode}}
                      replay_window = 128
                    }
                  }
                }

                """);
        }

        return text.Append(CultureInfo.InvariantCulture, $"}}\nsecrets {{\n ike-all {{\n secret = \"{Site.Secret}\"\n }}\n}}\n").ToString();
    }
}

/// <summary>A tunnel to the kernel.</summary>
internal sealed record KernelCase(string Esp, bool OuterV6, bool InnerV6, bool WeInitiate, string Mode)
{
    public const string HiddenHost = "192.0.2.9";

    /// <summary>We are behind a NAT.</summary>
    public bool IsHidden { get; init; }

    public string Name => $"{Esp}-{Mode}-{(OuterV6 ? 6 : 4)}{(InnerV6 ? 6 : 4)}{(IsHidden ? "-nat" : "")}";

    public Site Site
    {
        get
        {
            var site = new Site { OuterV6 = OuterV6, InnerV6 = InnerV6 };
            return IsHidden ? site with { LeftTs = "dynamic", RightTs = "dynamic" } : Mode == "tunnel" ? site : site with { LeftTs = site.LeftHost, RightTs = site.RightHost };
        }
    }
}

/// <summary>User-space ESP of ours with the ESP of a Linux kernel, negotiated by IKEv2 and straight on IP.</summary>
[Trait("Area", "interop")]
[Trait("Item", "1.20")]
public sealed partial class UmlKernelTests(UmlFixture fixture) : IClassFixture<UmlFixture>
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
    ];

    public static TheoryData<string> Names() => [.. s_cases.Where(one => !one.IsHidden).Select(one => one.Name)];

    internal static IEnumerable<KernelCase> Cases() => s_cases;

    [PeersTheory(Needs)]
    [MemberData(nameof(Names))]
    public async Task A_kernel_and_we_carry_each_others_packets(string name)
    {
        var one = s_cases.Single(candidate => candidate.Name == name);
        var (lab, kernel, ours) = (fixture.Lab!, fixture.Kernel!, fixture.Ours!);
        var site = one.Site;
        var (left, right) = one.Mode == "tunnel" ? (site.LeftInner, site.RightInner) : (site.LeftHost, site.RightHost);
        try
        {
            var up = one.WeInitiate ? await ours.CliAsync("up", name + "/" + name) : await kernel.RunAsync($"swanctl --initiate --child {name} --timeout 10 --uri unix:///run/charon.vici");
            Assert.True(up.Ok, $"{up.All}\n{ours.Log}\n{kernel.CharonLog}");
            var there = await Topology.PingAsync(lab.Left, left, right);
            var large = await Topology.PingAsync(lab.Left, left, right, count: 3, size: 1201);
            var back = await kernel.RunAsync($"ping -n -q -c 5 -i 0.1 -w 3 -I {right} {left}; ip -s xfrm state; grep -v '\\s0$' /proc/net/xfrm_stat; true");
            var sas = (await ours.CliAsync("list", "sas", "--json")).Output;
            Assert.True(there == (5, 5) && large == (3, 3) && back.Output.Contains(" packets transmitted, 5 received", StringComparison.Ordinal), $"{there} {large}\n{back.Output}\n{sas}\n{ours.Log}");

            // the kernel's own counters: at least 13 packets each way (a slow answer makes ping send one more), no replay, no failed integrity check
            Assert.Equal([true, true], CurrentPackets().Matches(back.Output).Select(match => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) >= 13));
            Assert.Equal(2, Stats().Count(back.Output));
            Assert.Equal(one.Esp.EndsWith("-esn", StringComparison.Ordinal) ? 2 : 0, Regex.Count(back.Output, @"flag .*\besn\b"));
            Assert.Equal(2, Regex.Count(back.Output, $"proto esp .* mode {one.Mode}\n"));
            Assert.DoesNotContain("encap", back.Output, StringComparison.Ordinal);
            Assert.DoesNotMatch("XfrmIn(StateProtoError|StateSeqError|StateMismatch|NoStates|BufferError|HdrError)", back.Output);
            Assert.Equal((13, 13, 0, 0), (Json.Sum(sas, "packets-in"), Json.Sum(sas, "packets-out"), Json.Sum(sas, "x-replay-drops"), Json.Sum(sas, "x-integrity-drops")));
        }
        finally
        {
            // what is left of one case would be counted in the next
            _ = await ours.CliAsync("down", name);
            for (var i = 0; i < 20 && (await kernel.RunAsync("ip xfrm state")).Output.Length > 0; i++) await Task.Delay(50);
        }

        Assert.Equal("", (await kernel.RunAsync("ip xfrm state")).Output);
        Coverage.Passed(Peer, one.Mode == "tunnel" ? "native ESP, tunnel mode" : "native ESP, transport mode", one.WeInitiate, one.OuterV6, one.InnerV6);
        if (!one.OuterV6 && !one.InnerV6 && one.Esp.EndsWith("-esn", StringComparison.Ordinal)) Coverage.Passed(Peer, "native ESP, ESN", one.WeInitiate);
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
            var state = (await kernel.RunAsync("ip -s xfrm state; grep -v '\\s0$' /proc/net/xfrm_stat; true")).Output;
            Assert.Equal(2, Regex.Count(state, "proto esp .* mode transport\n"));
            Assert.Equal(2, Regex.Count(state, "encap type espinudp"));
            Assert.Equal(2, Stats().Count(state));
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

    [GeneratedRegex(@"lifetime current:\s+\d+\(bytes\), (\d+)\(packets\)")]
    private static partial Regex CurrentPackets();

    [GeneratedRegex(@"replay-window 0 replay 0 failed 0")]
    private static partial Regex Stats();
}
