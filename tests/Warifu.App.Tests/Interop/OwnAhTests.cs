using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Two daemons of ours, each in a namespace, with all cases configured at once: every case has addresses of its own.</summary>
public sealed class OwnAhFixture : IAsyncLifetime
{
    internal Topology? Lab { get; private set; }

    internal Gateway? Left { get; private set; }

    internal Gateway? Right { get; private set; }

    public async ValueTask InitializeAsync()
    {
        if (!Tool.IsRoot) return;
        Lab = await Topology.CreateAsync();
        var script = new StringBuilder("set -e\n");
        foreach (var one in OwnCase.All)
        {
            foreach (var (ns, left) in new[] { (Lab.Left, true), (Lab.Right, false) })
            {
                script.Append(CultureInfo.InvariantCulture, $"ip -n {ns} addr add {one.Host(left)}/{(one.V6 ? 64 : 24)} dev wan {(one.V6 ? "nodad" : "")}\n");
                script.Append(CultureInfo.InvariantCulture, $"ip -n {ns} addr add {one.Inner(left)}/{(one.V6 ? 128 : 32)} dev lan {(one.V6 ? "nodad" : "")}\n");
            }
        }

        (await Tool.ShellAsync(script.ToString())).OrThrow("addresses");
        await Lab.NftAsync("add chain inet lab counting { type filter hook forward priority 10; }");
        await Lab.NftAsync("add rule inet lab counting ip protocol 51 counter");
        await Lab.NftAsync("add rule inet lab counting ip6 nexthdr 51 counter");
        await Lab.NftAsync("add rule inet lab counting ip protocol 50 counter");
        await Lab.NftAsync("add rule inet lab counting ip6 nexthdr 50 counter");
        Right = await Gateway.StartAsync(Lab.Right, Path.Combine(Lab.Folder, "right"), File(left: false));
        Left = await Gateway.StartAsync(Lab.Left, Path.Combine(Lab.Folder, "left"), File(left: true));
    }

    public async ValueTask DisposeAsync()
    {
        if (Left is not null) await Left.DisposeAsync();
        if (Right is not null) await Right.DisposeAsync();
        if (Lab is not null) await Lab.DisposeAsync();
    }

    private static string File(bool left)
    {
        var text = new StringBuilder("connections {\n");
        foreach (var one in OwnCase.All.Where(one => one.Keys != "manual")) text.Append(one.Connection(left));
        text.Append("}\nmanual {\n");
        foreach (var one in OwnCase.All.Where(one => one.Keys == "manual")) text.Append(one.Manual(left));
        return text.Append(CultureInfo.InvariantCulture, $"}}\nsecrets {{\n ike-all {{\n secret = \"{Site.Secret}\"\n }}\n}}\n").ToString();
    }
}

/// <summary>One pair of SAs between ours and ours.</summary>
internal sealed record OwnCase(int Number, string Keys, string Protocol, string Mode, bool V6)
{
    public static IReadOnlyList<OwnCase> All { get; } =
    [
        .. from keys in new[] { "manual", "ikev2", "ikev1" }
           from protocol in keys == "manual" ? new[] { "esp", "ah" } : ["ah"]
           from mode in new[] { "tunnel", "transport" }
           from v6 in new[] { false, true }
           select (keys, protocol, mode, v6) into one
           select new OwnCase(0, one.keys, one.protocol, one.mode, one.v6),
    ];

    public string Name => $"{Keys}-{Protocol}-{Mode}-{(V6 ? 6 : 4)}";

    private int Last => 20 + All.ToList().FindIndex(one => one.Name == Name);

    public string Host(bool left) => string.Create(CultureInfo.InvariantCulture, $"{(V6 ? left ? "2001:db8:1::" : "2001:db8:2::" : left ? "192.0.2." : "198.51.100.")}{Last}");

    /// <summary>Behind the gateway; in transport mode there is no such.</summary>
    public string Inner(bool left) => string.Create(CultureInfo.InvariantCulture, $"{(V6 ? left ? "fd10:1::" : "fd10:2::" : left ? "10.10.1." : "10.10.2.")}{Last}");

    public string End(bool left) => Mode == "tunnel" ? Inner(left) : Host(left);

    public string Manual(bool left) => $$"""
          {{Name}} {
            local = {{Host(left)}}
            remote = {{Host(!left)}}
            protocol = {{Protocol}}
            mode = {{Mode}}
            spi_in = {{0x1000 + (2 * Last) + (left ? 1 : 0)}}
            spi_out = {{0x1000 + (2 * Last) + (left ? 0 : 1)}}
            {{(Protocol == "ah" ? "" : $"encr = aes256\n    encr_key_{(left ? "in" : "out")} = 01234567890123456789012345678901\n    encr_key_{(left ? "out" : "in")} = abcdefghijklmnopqrstuvwxyzABCDEF")}}
            integ = sha256
            integ_key_{{(left ? "in" : "out")}} = 0x{{new string('1', 64)}}
            integ_key_{{(left ? "out" : "in")}} = 0x{{new string('2', 64)}}
            local_ts = {{End(left)}}
            remote_ts = {{End(!left)}}
          }

        """;

    public string Connection(bool left) => $$"""
          {{Name}} {
            version = {{Keys[^1]}}
            local_addrs = {{Host(left)}}
            remote_addrs = {{Host(!left)}}
            proposals = aes128-sha256-ecp256
            mobike = no
            local {
              auth = psk
              id = {{(left ? "left-" : "right-")}}{{Name}}
            }
            remote {
              auth = psk
              id = {{(left ? "right-" : "left-")}}{{Name}}
            }
            children {
              {{Name}} {
                ah_proposals = {{(V6 ? "sha512-esn" : "sha256")}}
                mode = {{Mode}}
                local_ts = {{End(left)}}
                remote_ts = {{End(!left)}}
              }
            }
          }

        """;
}

/// <summary>AH by all kinds of keying, and manual SAs, between two of ours with real sockets and a router that watches.</summary>
[Trait("Area", "interop")]
[Trait("Item", "3.12")]
public sealed class OwnAhTests(OwnAhFixture fixture) : IClassFixture<OwnAhFixture>
{
    public static TheoryData<string> Names() => [.. OwnCase.All.Select(one => one.Name)];

    [LabTheory]
    [MemberData(nameof(Names))]
    public async Task Ours_and_ours_carry_each_others_packets(string name)
    {
        var one = OwnCase.All.Single(candidate => candidate.Name == name);
        var (lab, left, right) = (fixture.Lab!, fixture.Left!, fixture.Right!);
        if (one.Keys != "manual")
        {
            var up = await left.RequestAsync("initiate", new ViciMessage().Add("child", name).Add("ike", name).Add("timeout", 10_000));
            Assert.True(up.Bool("success"), $"{up.Text("errmsg")}\n{left.Log}\n{right.Log}");
        }

        await PingAsync();
        if (one.Keys == "manual") return;
        // a new pair in the place of the old one
        var spi = (await ChildrenAsync(left)).Single().SpiIn;
        var rekeyed = await right.RequestAsync("rekey", new ViciMessage().Add("child", name).Add("ike", name).Add("x-wait", "yes"));
        Assert.True(rekeyed.Bool("success"), $"{rekeyed.Text("errmsg")}\n{left.Log}\n{right.Log}");
        await Until.HoldsAsync("another pair", () => ChildrenAsync(left), children => children is [{ } only] && only.SpiIn != spi, seconds: 5);
        await PingAsync();
        await left.RequestAsync("terminate", new ViciMessage().Add("ike", name));

        async Task PingAsync()
        {
            var (before, wire) = (await CountAsync(left), await WireAsync());
            var there = await Topology.PingAsync(lab.Left, one.End(true), one.End(false), count: 3, interval: 0.05);
            var back = await Topology.PingAsync(lab.Right, one.End(false), one.End(true), count: 3, interval: 0.05, size: 1201);
            Assert.True(there == (3, 3) && back == (3, 3), $"{there} {back}\n{left.Log}\n{right.Log}");
            // a slow answer makes ping send more, whose answers may still be on their way
            var (after, _) = await Until.HoldsAsync("each packet once on the wire", async () => (await CountAsync(left), await WireAsync()), now => now.Item1.In - before.In == now.Item1.Out - before.Out && now.Item2 - wire == 2 * (now.Item1.In - before.In), now => $"{before} {wire} {now}", seconds: 3);
            Assert.True(after.In - before.In >= 6, $"{after.In - before.In} packets");
            Assert.Equal((0L, 0L), (after.Drops, (await CountAsync(right)).Drops));
        }

        async Task<(long In, long Out, long Drops)> CountAsync(Gateway gateway)
        {
            var children = await ChildrenAsync(gateway);
            Assert.NotEmpty(children);
            Assert.All(children, child => Assert.Equal((one.Protocol.ToUpperInvariant(), one.Mode.ToUpperInvariant(), false), (child.Body.Text("protocol"), child.Body.Text("mode"), child.Encapsulated)));
            return (children.Sum(child => child.PacketsIn), children.Sum(child => child.PacketsOut), children.Sum(child => child.Drops));
        }

        async Task<long> WireAsync()
        {
            var listed = (await Topology.InAsync(lab.Router, "nft", "list", "chain", "inet", "lab", "counting")).OrThrow("nft list").Output;
            var line = listed.Split('\n').Single(text => text.Contains(one.V6 ? "ip6 nexthdr" : "ip protocol", StringComparison.Ordinal) && text.Contains($" {one.Protocol} ", StringComparison.Ordinal));
            var words = line.Split(' ');
            return long.Parse(words[Array.IndexOf(words, "packets") + 1], CultureInfo.InvariantCulture);
        }

        async Task<IReadOnlyList<ChildSaView>> ChildrenAsync(Gateway gateway) => [.. (await gateway.SasAsync()).Where(sa => sa.Connection == name).SelectMany(sa => sa.Children).Where(child => child.State == "INSTALLED")];
    }
}
