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

/// <summary>One boot for all tests with a Linux kernel.</summary>
[CollectionDefinition(Name)]
public sealed class KernelCollection : ICollectionFixture<KernelFixture>
{
    public const string Name = "Linux kernel";
}

/// <summary>Our daemon on the left, strongSwan over the ESP and AH of a Linux kernel on the right, a connection per case on both.</summary>
public sealed class KernelFixture : IAsyncLifetime
{
    /// <summary>Addresses of the tests without IKE, on the outer links and behind the gateways.</summary>
    internal static KernelEnds ManualV4 { get; } = new("192.0.2.30", "198.51.100.30", "10.10.1.30", "10.10.2.30");

    internal static KernelEnds ManualV6 { get; } = new("2001:db8:1::30", "2001:db8:2::30", "fd10:1::30", "fd10:2::30");

    internal Topology? Lab { get; private set; }

    internal UmlKernel? Kernel { get; private set; }

    internal Gateway? Ours { get; private set; }

    /// <summary>What ours has loaded; manual SAs come to it.</summary>
    internal string Configuration { get; private set; } = "";

    public async ValueTask InitializeAsync()
    {
        if (PeersTheoryAttribute.WhyNot(UmlKernelTests.Needs) is not null) return;
        var cases = UmlKernelTests.Cases().ToArray();
        Lab = await Topology.CreateAsync();
        // one address of ours is behind a NAT
        (await Topology.InAsync(Lab.Left, "ip", "addr", "add", KernelCase.HiddenHost + "/24", "dev", "wan")).OrThrow("addr");
        await Lab.NftAsync($"add rule ip labnat leaving oifname tor ip saddr {KernelCase.HiddenHost} masquerade");
        foreach (var (ends, outer, inner, nodad) in new[] { (ManualV4, 24, 32, ""), (ManualV6, 64, 128, "nodad") })
            (await Topology.InAsync(Lab.Left, "bash", "-c", $"ip addr add {ends.Left}/{outer} dev wan {nodad}; ip addr add {ends.LeftInner}/{inner} dev lan {nodad}")).OrThrow("addr");
        Kernel = await UmlKernel.StartAsync(Lab, File(cases, left: false));
        foreach (var (ends, outer, inner, nodad) in new[] { (ManualV4, 24, 32, ""), (ManualV6, 64, 128, "nodad") })
            (await Kernel.RunAsync($"ip addr add {ends.Right}/{outer} dev vec0 {nodad}; ip addr add {ends.RightInner}/{inner} dev lo {nodad}")).OrThrow("addr");
        Configuration = File(cases, left: true);
        Ours = await Gateway.StartAsync(Lab.Left, Path.Combine(Lab.Folder, "ours"), Configuration);
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
                  version = {{one.Version}}
                  local_addrs = {{(!left ? site.RightHost : one.IsHidden ? KernelCase.HiddenHost : site.LeftHost)}}
                  remote_addrs = {{(left ? site.RightHost : one.IsHidden ? "%any" : site.LeftHost)}}
                  proposals = {{(one.Version == 1 ? "aes128-sha256-ecp256" : "aes128gcm16-prfsha256-x25519")}}
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
                      {{(one.IsAh ? "ah_proposals" : "esp_proposals")}} = {{one.Algorithms}}
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

/// <summary>Where the packets of a test begin and end.</summary>
internal sealed record KernelEnds(string Left, string Right, string LeftInner, string RightInner);

/// <summary>A tunnel to the kernel.</summary>
internal sealed record KernelCase(string Algorithms, bool OuterV6, bool InnerV6, bool WeInitiate, string Mode)
{
    public const string HiddenHost = "192.0.2.9";

    /// <summary>We are behind a NAT.</summary>
    public bool IsHidden { get; init; }

    public bool IsAh { get; init; }

    /// <summary>Of IKE.</summary>
    public int Version { get; init; } = 2;

    /// <summary>Tried with WARIFU_LONG only.</summary>
    public bool OnlyLong { get; init; }

    public string Protocol => IsAh ? "ah" : "esp";

    public string Name => $"{(IsAh ? "ah-" : "")}{Algorithms}-{Mode}-{(OuterV6 ? 6 : 4)}{(InnerV6 ? 6 : 4)}{(WeInitiate ? "" : "-back")}{(Version == 1 ? "-v1" : "")}{(IsHidden ? "-nat" : "")}";

    public Site Site
    {
        get
        {
            var site = new Site { OuterV6 = OuterV6, InnerV6 = InnerV6 };
            return IsHidden ? site with { LeftTs = "dynamic", RightTs = "dynamic" } : Mode == "tunnel" ? site : site with { LeftTs = site.LeftHost, RightTs = site.RightHost };
        }
    }
}

/// <summary>What a kernel says about its SAs after <c>ip -s xfrm state; grep -v '\s0$' /proc/net/xfrm_stat</c>.</summary>
internal static partial class KernelView
{
    public const string Look = "ip -s xfrm state; grep -v '\\s0$' /proc/net/xfrm_stat; true";

    /// <summary>Both directions have carried packets, none of which was replayed, forged or out of place.</summary>
    public static void AssertCarried(string state, string protocol, string mode, int least)
    {
        Assert.Equal([true, true], CurrentPackets().Matches(state).Select(match => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) >= least));
        Assert.Equal(2, Stats().Count(state));
        Assert.Equal(2, Regex.Count(state, $"proto {protocol} .* mode {mode}\n"));
        Assert.DoesNotMatch("XfrmIn(StateProtoError|StateSeqError|StateMismatch|NoStates|BufferError|HdrError)", state);
    }

    [GeneratedRegex(@"lifetime current:\s+\d+\(bytes\), (\d+)\(packets\)")]
    private static partial Regex CurrentPackets();

    [GeneratedRegex(@"replay-window 0 replay 0 failed 0")]
    private static partial Regex Stats();
}
