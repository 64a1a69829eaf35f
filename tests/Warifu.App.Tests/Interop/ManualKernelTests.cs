using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>Manual SAs and AH against the ESP and AH of a Linux kernel.</summary>
[Trait("Area", "interop")]
[Trait("Item", "3.12")]
[Collection(KernelCollection.Name)]
public sealed class ManualKernelTests(KernelFixture fixture)
{
    internal const string Peer = "Linux kernel (user-mode Linux), keys entered by hand";

    private static readonly (string Word, string Linux, int Key, int Bits)[] s_integ =
    [
        ("md5", "hmac(md5)", 16, 96), ("sha1", "hmac(sha1)", 20, 96), ("sha256", "hmac(sha256)", 32, 128), ("sha384", "hmac(sha384)", 48, 192), ("sha512", "hmac(sha512)", 64, 256), ("aesxcbc", "xcbc(aes)", 16, 96), ("aescmac", "cmac(aes)", 16, 96),
    ];

    private static readonly (string Word, string Linux, int Key)[] s_encr =
    [
        ("null", "ecb(cipher_null)", 0), ("des", "cbc(des)", 8), ("3des", "cbc(des3_ede)", 24), ("aes128", "cbc(aes)", 16), ("aes192", "cbc(aes)", 24), ("aes256", "cbc(aes)", 32), ("camellia128", "cbc(camellia)", 16), ("camellia256", "cbc(camellia)", 32),
    ];

    /// <summary>Every integrity algorithm with AH and every cipher with ESP, the integrity algorithms in turn; both modes and families. One of each mode and family without WARIFU_LONG.</summary>
    public static IEnumerable<TheoryDataRow<string, string, string, bool>> Cases()
    {
        var group = 0;
        foreach (var mode in new[] { "tunnel", "transport" })
        {
            foreach (var v6 in new[] { false, true })
            {
                for (var i = 0; i < s_integ.Length; i++)
                {
                    if (Tool.IsLong || i == group) yield return new("", s_integ[i].Word, mode, v6);
                }

                for (var i = 0; i < s_encr.Length; i++)
                {
                    if (Tool.IsLong || i == group + 1) yield return new(s_encr[i].Word, s_integ[(i + group) % s_integ.Length].Word, mode, v6);
                }

                group += 2;
            }
        }
    }

    [PeersTheory(UmlKernelTests.Needs)]
    [MemberData(nameof(Cases))]
    public async Task A_kernel_and_we_carry_each_others_packets_with_keys_entered_by_hand(string encr, string integ, string mode, bool v6)
    {
        var (lab, kernel, ours) = (fixture.Lab!, fixture.Kernel!, fixture.Ours!);
        var ends = v6 ? KernelFixture.ManualV6 : KernelFixture.ManualV4;
        var (left, right) = mode == "tunnel" ? (ends.LeftInner, ends.RightInner) : (ends.Left, ends.Right);
        var mac = s_integ.Single(one => one.Word == integ);
        var cipher = encr.Length == 0 ? default : s_encr.Single(one => one.Word == encr);
        var protocol = encr.Length == 0 ? "ah" : "esp";
        var file = Path.Combine(lab.Folder, "manual.conf");
        await File.WriteAllTextAsync(file, fixture.Configuration + $$"""
            manual {
              by-hand {
                local = {{ends.Left}}
                remote = {{ends.Right}}
                protocol = {{protocol}}
                mode = {{mode}}
                spi_in = 0x1001
                spi_out = 0x1002
                {{(encr.Length == 0 ? "" : $"encr = {encr}")}}
                {{(cipher.Key == 0 ? "" : $"encr_key_in = 0x{Key(cipher.Key, 1)}\n    encr_key_out = 0x{Key(cipher.Key, 2)}")}}
                integ = {{integ}}
                integ_key_in = 0x{{Key(mac.Key, 3)}}
                integ_key_out = 0x{{Key(mac.Key, 4)}}
                local_ts = {{left}}
                remote_ts = {{right}}
              }
            }
            """);
        string State(string from, string to, string spi, int seed) =>
            $"xfrm state add src {from} dst {to} proto {protocol} spi {spi} mode {mode} {(protocol == "ah" && !v6 ? "flag align4" : "")} auth-trunc '{mac.Linux}' 0x{Key(mac.Key, seed + 2)} {mac.Bits}"
            + (encr.Length == 0 ? "" : $" enc '{cipher.Linux}' {(cipher.Key == 0 ? "''" : "0x" + Key(cipher.Key, seed))}");
        string Policy(string way, string from, string to, string outerFrom, string outerTo) => $"xfrm policy add src {from} dst {to} dir {way} tmpl src {outerFrom} dst {outerTo} proto {protocol} mode {mode}";
        // each start of a program costs much in there
        var made = await kernel.RunAsync($"""
            ip -batch - <<'X'
            {State(ends.Right, ends.Left, "0x1001", 1)}
            {State(ends.Left, ends.Right, "0x1002", 2)}
            {Policy("out", right, left, ends.Right, ends.Left)}
            {Policy("in", left, right, ends.Left, ends.Right)}
            X
            """);
        Assert.True(made.Ok, made.All + made.Output);
        var loaded = await ours.CliAsync("load", file);
        Assert.True(loaded.Ok, loaded.All + ours.Log);
        try
        {
            var there = await Topology.PingAsync(lab.Left, left, right, count: 3, interval: 0.05);
            var large = await Topology.PingAsync(lab.Left, left, right, count: 2, interval: 0.05, size: 1201);
            var back = await kernel.RunAsync($"ping -n -q -c 3 -i 0.05 -w 3 -I {right} {left}; {KernelView.Look}");
            var child = (await ours.SasAsync()).SelectMany(sa => sa.Children).Single();
            Assert.True(there == (3, 3) && large == (2, 2) && back.Output.Contains(" packets transmitted, 3 received", StringComparison.Ordinal), $"{there} {large}\n{back.Output}\n{Cli.Json.Print(child.Body)}\n{ours.Log}");
            KernelView.AssertCarried(back.Output, protocol, mode, least: 8);
            Assert.InRange(child.PacketsIn, 8, 12);
            Assert.Equal((child.PacketsIn, 0L, protocol.ToUpperInvariant()), (child.PacketsOut, child.Drops, child.Body.Text("protocol")));
            Assert.DoesNotContain(Key(mac.Key, 3), ours.Log, StringComparison.OrdinalIgnoreCase);
            Coverage.Passed(Peer, $"{protocol.ToUpperInvariant()}, {mode} mode", true, v6, v6);
        }
        finally
        {
            await kernel.RunAsync("printf 'xfrm state flush\\nxfrm policy flush\\n' | ip -batch -");
        }
    }

    private static string Key(int length, int seed) => Convert.ToHexStringLower([.. Enumerable.Range(0, length).Select(i => (byte)((i * 37) + (seed * 11) + 5))]);
}
