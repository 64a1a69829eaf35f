using System;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>What ike-scan finds out about us: in main mode what is configured and nothing else, in aggressive mode nothing unless it is configured, and no state afterwards.</summary>
[Trait("Area", "interop")]
[Trait("Item", "3.12")]
public sealed class IkeScanTests
{
    private const string Needs = "ike-scan";

    private const string Handshake = "Handshake returned", Refused = "Notify message 14 (NO-PROPOSAL-CHOSEN)";

    /// <summary>Encryption, hash, method and group as numbers of RFC 2409 appendix A; 192.0.2.2 answers in main mode, .3 is configured for aggressive mode without pre-shared keys for strangers, .4 with them.</summary>
    private const string Configuration = """
        daemon {
          half_open_timeout = 1s
        }
        connections {
          main {
            version = 1
            local_addrs = 192.0.2.2
            proposals = aes256-sha256-modp2048, 3des-md5-modp1024
            local {
              auth = psk
              id = left.example.org
            }
            remote {
              auth = psk
              id = right.example.org
            }
            children {
              net {
                remote_ts = 10.10.2.0/24
              }
            }
          }
          careful : connections.main {
            local_addrs = 192.0.2.3
            aggressive = yes
            proposals = aes128-sha1-modp1024
          }
          open : connections.careful {
            local_addrs = 192.0.2.4
            aggressive_psk = yes
          }
        }
        secrets {
          ike-all {
            secret = "Zr8.kVq2-Wx7hTn4"
          }
        }
        """;

    [PeersFact(Needs)]
    public async Task It_finds_what_is_configured_and_nothing_else()
    {
        await using var lab = await Topology.CreateAsync();
        (await Tool.ShellAsync($"for i in 3 4; do ip -n {lab.Left} addr add 192.0.2.$i/24 dev wan; done")).OrThrow("addresses");
        await using var ours = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "ours"), Configuration);

        // the two that are configured
        foreach (var (transform, chosen) in new[] { ("(1=7,14=256,2=4,3=1,4=14)", "Enc=AES KeyLength=256 Hash=SHA2-256 Auth=PSK Group=14:modp2048"), ("(1=5,2=1,3=1,4=2)", "Enc=3DES Hash=MD5 Auth=PSK Group=2:modp1024") })
        {
            var found = await ScanAsync("--trans=" + transform, "192.0.2.2");
            Assert.Contains("Main Mode Handshake returned", found, StringComparison.Ordinal);
            Assert.Contains(chosen, found, StringComparison.Ordinal);
        }

        // stronger, weaker, mixed, other methods: refused. They go beside each other
        string[] others =
        [
            "(1=7,14=256,2=5,3=1,4=14)", "(1=7,14=256,2=4,3=1,4=20)", "(1=7,14=192,2=4,3=1,4=14)", "(1=7,14=128,2=4,3=1,4=14)", "(1=7,14=256,2=2,3=1,4=14)", "(1=7,14=256,2=4,3=1,4=2)", "(1=7,14=256,2=1,3=1,4=2)", "(1=5,2=1,3=1,4=14)",
            "(1=5,2=2,3=1,4=2)", "(1=1,2=1,3=1,4=1)", "(1=1,2=1,3=1,4=2)", "(1=7,14=256,2=4,3=3,4=14)", "(1=7,14=256,2=4,3=4,4=14)", "(1=7,14=256,2=4,3=64221,4=14)", "(1=7,14=256,2=4,3=65001,4=14)", "(1=6,2=1,3=1,4=2)",
        ];
        var refused = await Task.WhenAll(others.Select(transform => ScanAsync("--trans=" + transform, "192.0.2.2")));
        Assert.All(refused.Zip(others), pair => Assert.True(pair.First.Contains(Refused, StringComparison.Ordinal) && !pair.First.Contains(Handshake, StringComparison.Ordinal), $"{pair.Second}: {pair.First}"));

        // aggressive mode: silence where main mode is configured, and where it is not enabled for pre-shared keys
        var aggressive = new[] { "--aggressive", "--dhgroup=2", "--trans=(1=7,14=128,2=2,3=1,4=2)" };
        foreach (var (target, id) in new[] { ("192.0.2.2", "right.example.org"), ("192.0.2.3", "right.example.org"), ("192.0.2.4", "stranger.example.org") })
        {
            var silent = await ScanAsync([.. aggressive, "--id=" + id, "--idtype=2", target]);
            Assert.Contains("0 returned handshake; 0 returned notify", silent, StringComparison.Ordinal);
        }

        var answered = await ScanAsync([.. aggressive, "--id=right.example.org", "--idtype=2", "192.0.2.4"]);
        Assert.Contains("Aggressive Mode Handshake returned", answered, StringComparison.Ordinal);
        Assert.Contains("Enc=AES KeyLength=128 Hash=SHA1 Auth=PSK Group=2:modp1024", answered, StringComparison.Ordinal);

        // who does not go on leaves no state
        await Until.HoldsAsync("no half-open SA", ours.SasAsync, sas => sas.Count == 0, _ => ours.Log, 5);

        async Task<string> ScanAsync(params string[] arguments)
        {
            var tree = Path.Combine(Tool.Cache, "peers", Needs);
            var ended = await Tool.RunAsync("ip", ["netns", "exec", lab.Right, "unshare", "-m", "bash", "-c", $"mount -t overlay overlay -o lowerdir={tree}/usr:/usr /usr && exec ike-scan \"$@\"", Needs, "--sport=0", "--retry=3", "--timeout=1000", .. arguments], TimeSpan.FromSeconds(20));
            return ended.OrThrow(Needs).Output;
        }
    }
}
