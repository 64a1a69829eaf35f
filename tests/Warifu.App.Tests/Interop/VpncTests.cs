using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Interop;

/// <summary>vpnc as client of ours: aggressive mode with a group's key, XAuth, Mode Config with what Cisco added to it, its own ESP.</summary>
[Trait("Area", "interop")]
[Trait("Item", "3.12")]
public sealed class VpncTests
{
    internal const string Peer = "vpnc";

    private const string Password = "Ar3etTnp-7x.q", Banner = "Welcome to the lab";

    [PeersTheory(Peer)]
    [InlineData("natt", "dh2", "nopfs", false)]
    [InlineData("force-natt", "dh5", "dh5", false)]
    [InlineData("natt", "dh14", "dh2", true)]
    public async Task It_connects_and_pings_through(string mode, string group, string pfs, bool nat)
    {
        await using var lab = await Topology.CreateAsync();
        if (nat) await lab.MasqueradeLeftAsync();
        await using var ours = await StartGatewayAsync(lab, group, pfs);
        await using var client = new Client(lab, mode, group, pfs, Password);
        Assert.True(await client.ConnectAsync(), client.Output + ours.Log);
        var told = client.Told;
        var address = told.First(line => line.StartsWith("INTERNAL_IP4_ADDRESS=", StringComparison.Ordinal)).Split('=')[1];
        Assert.StartsWith("10.3.0.", address, StringComparison.Ordinal);
        Assert.Contains("INTERNAL_IP4_DNS=10.10.2.53", told);
        Assert.Contains("CISCO_BANNER=" + Banner, told);
        Assert.Contains("CISCO_DEF_DOMAIN=lab.example.org", told);
        Assert.Contains("CISCO_SPLIT_INC_0_ADDR=10.10.2.0", told);
        Assert.Contains("CISCO_SPLIT_INC_0_MASKLEN=24", told);

        // it reads its device only after its script has ended
        await Until.HoldsAsync("the first answer", () => Topology.PingAsync(lab.Left, address, "10.10.2.1", count: 1, wait: 1), one => one.Received == 1, _ => client.Output + ours.Log);
        var counts = (await Topology.PingAsync(lab.Left, address, "10.10.2.1"), await Topology.PingAsync(lab.Right, "10.10.2.1", address), await Topology.PingAsync(lab.Left, address, "10.10.2.1", count: 3, size: 1200));
        Assert.True(counts == ((5, 5), (5, 5), (3, 3)), $"{counts}\n{client.Output}\n{ours.Log}");
        var sa = Assert.Single(await ours.SasAsync());
        var child = Assert.Single(sa.Children);
        Assert.True(child.PacketsIn >= 13 && child.PacketsOut >= 13);
        Assert.Equal("carol", sa.Body.Text("remote-xauth-id"));
        // without a NAT it decides
        if (mode == "force-natt" || nat) Assert.True(child.Encapsulated);
        Assert.Equal(pfs == "nopfs" ? null : pfs == "dh5" ? "MODP_1536" : "MODP_1024", child.Body.Text("dh-group"));

        // its goodbye is a delete
        await client.StopAsync();
        await Until.HoldsAsync("no SA", ours.SasAsync, sas => sas.Count == 0, _ => ours.Log);
        Coverage.Passed(Peer, "aggressive mode, XAuth, Mode Config", weInitiate: false);
    }

    [PeersFact(Peer)]
    public async Task A_wrong_password_is_told_and_gets_nothing()
    {
        await using var lab = await Topology.CreateAsync();
        await using var ours = await StartGatewayAsync(lab, "dh2", "nopfs");
        await using var client = new Client(lab, "natt", "dh2", "nopfs", "Wr0ng-3sT.rt");
        Assert.False(await client.ConnectAsync());
        Assert.Contains("uthentication", client.Output, StringComparison.Ordinal);
        await Until.HoldsAsync("no SA", ours.SasAsync, sas => sas.All(sa => sa.Children.Count == 0), _ => ours.Log);
        Coverage.Passed(Peer, "wrong password", weInitiate: false);
    }

    private static Task<Gateway> StartGatewayAsync(Topology lab, string group, string pfs)
    {
        static string Word(string group) => group switch { "dh2" => "modp1024", "dh5" => "modp1536", _ => "modp2048" };
        var configuration = $$"""
            connections {
              net {
                version = 1
                aggressive = yes
                aggressive_psk = yes
                local_addrs = 198.51.100.2
                remote_addrs = %any
                proposals = aes256-sha1-{{Word(group)}}
                pools = clients
                local {
                  auth = psk
                  id = 198.51.100.2
                }
                remote {
                  auth = psk
                  id = keyid:lab
                }
                remote-2 {
                  auth = xauth
                }
                children {
                  net {
                    local_ts = 10.10.2.0/24
                    esp_proposals = aes256-sha1{{(pfs == "nopfs" ? "" : "-" + Word(pfs))}}
                  }
                }
              }
            }
            pools {
              clients {
                addrs = 10.3.0.0/24
                dns = 10.10.2.53
                banner = "{{Banner}}"
                default_domain = lab.example.org
              }
            }
            secrets {
              ike-group {
                secret = "{{Site.Secret}}"
              }
              xauth-carol {
                id = carol
                secret = "{{Password}}"
              }
            }
            """;
        return Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "ours"), configuration);
    }

    /// <summary>vpnc in the left namespace, from the unpacked package in the cache.</summary>
    private sealed class Client : IAsyncDisposable
    {
        private readonly string _ns;
        private readonly string _folder;
        private Process? _process;

        public Client(Topology lab, string mode, string group, string pfs, string password)
        {
            (_ns, _folder) = (lab.Left, Directory.CreateDirectory(Path.Combine(lab.Folder, Peer)).FullName);
            File.WriteAllText(Path.Combine(_folder, "vpnc.conf"), $"""
                IPSec gateway 198.51.100.2
                IPSec ID lab
                IPSec secret {Site.Secret}
                IKE Authmode psk
                IKE DH Group {group}
                Perfect Forward Secrecy {pfs}
                Xauth username carol
                Xauth password {password}
                NAT Traversal Mode {mode}
                Local Port 0
                Interface name vpnc0
                DPD idle timeout (our side) 0
                No Detach
                Pidfile {_folder}/pid
                Script {_folder}/script.sh

                """);
            // vpnc calls it with what it was told in the environment
            var script = Path.Combine(_folder, "script.sh");
            File.WriteAllText(script, """
                #!/bin/bash
                env | grep -E '^(reason|INTERNAL|CISCO)' >>"${0%/*}/told"
                [ "$reason" = connect ] || exit 0
                ip addr add "$INTERNAL_IP4_ADDRESS/32" dev "$TUNDEV"
                ip link set "$TUNDEV" mtu 1400 up
                ip route replace "$CISCO_SPLIT_INC_0_ADDR/$CISCO_SPLIT_INC_0_MASKLEN" dev "$TUNDEV" src "$INTERNAL_IP4_ADDRESS"
                touch "${0%/*}/connected"

                """);
            File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }

        public string Output => File.Exists(Path.Combine(_folder, "out")) ? File.ReadAllText(Path.Combine(_folder, "out")) : "";

        public string[] Told => File.ReadAllLines(Path.Combine(_folder, "told"));

        /// <summary>False when it gives up.</summary>
        public async Task<bool> ConnectAsync()
        {
            var tree = Path.Combine(Tool.Cache, "peers", Peer);
            _process = Tool.Start("ip", ["netns", "exec", _ns, "unshare", "-m", "bash", "-c", $"mount -t overlay overlay -o lowerdir={tree}/usr:/usr /usr && exec vpnc {_folder}/vpnc.conf --no-detach </dev/null >{_folder}/out 2>&1"]);
            for (var i = 0; i < 600 && !_process.HasExited; i++)
            {
                if (File.Exists(Path.Combine(_folder, "connected"))) return true;
                await Task.Delay(50);
            }

            return false;
        }

        public async Task StopAsync()
        {
            if (_process is not { HasExited: false } process) return;
            await Tool.RunAsync("kill", ["-TERM", process.Id.ToString(CultureInfo.InvariantCulture)]);
            await process.WaitForExitAsync();
        }

        public async ValueTask DisposeAsync()
        {
            await StopAsync();
            _process?.Dispose();
        }
    }
}
