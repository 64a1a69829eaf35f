using System;
using System.Globalization;
using System.IO;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using Warifu.App.Tests.Lab;
using Xunit;

namespace Warifu.App.Tests.Daemon;

/// <summary>Two daemons in namespaces, with traffic, as an operator drives them.</summary>
[Trait("Item", "1.14")]
public sealed partial class DaemonTests
{
    [LabFact]
    [Trait("Smoke", "yes")]
    public async Task An_operator_brings_a_tunnel_up_looks_at_it_rekeys_it_and_takes_it_down()
    {
        var site = new Site();
        await using var lab = await Topology.CreateAsync();
        await using var right = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), site.Right());
        await using var left = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "left"), site.Left());
        Assert.Contains("site: down", (await left.CliAsync("status")).Output, StringComparison.Ordinal);
        (await left.CliAsync("up", "site")).OrThrow("up");
        Assert.Equal((3, 3), await Topology.PingAsync(lab.Left, site.LeftInner, site.RightInner, 3));
        var first = (await left.CliAsync("list", "sas", "--json")).Output;
        Assert.True(Lab.Json.Sum(first, "packets-out") >= 3, first);
        (await left.CliAsync("rekey", "site", "--child")).OrThrow("rekey child");
        var second = (await left.CliAsync("list", "sas", "--json")).Output;
        Assert.NotEqual(Lab.Json.Find(first, "spi-in")[0].ToString(), Lab.Json.Find(second, "spi-in")[^1].ToString());
        Assert.Equal(Lab.Json.Find(first, "initiator-spi")[0].ToString(), Lab.Json.Find(second, "initiator-spi")[0].ToString());
        (await left.CliAsync("rekey", "site")).OrThrow("rekey");
        Assert.Equal((3, 3), await Topology.PingAsync(lab.Right, site.RightInner, site.LeftInner, 3));
        Assert.NotEqual(Lab.Json.Find(first, "initiator-spi")[0].ToString(), Lab.Json.Find((await left.CliAsync("list", "sas", "--json")).Output, "initiator-spi")[^1].ToString());
        Assert.Contains("site: up, rekey in", (await right.CliAsync("status")).Output, StringComparison.Ordinal);
        (await left.CliAsync("down", "site")).OrThrow("down");
        Assert.Contains("no SAs", (await left.CliAsync("list", "sas")).Output, StringComparison.Ordinal);
        Assert.Contains("why: the peer closed it", (await right.CliAsync("status")).Output, StringComparison.Ordinal);
    }

    [LabFact]
    public async Task A_reload_loses_no_packet_of_a_tunnel_that_it_does_not_touch()
    {
        var site = new Site();
        await using var lab = await Topology.CreateAsync();
        await using var right = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), site.Right());
        await using var left = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "left"), site.Left());
        (await left.CliAsync("up", "net")).OrThrow("up");
        var spis = Lab.Json.Find((await left.CliAsync("list", "sas", "--json")).Output, "spi-in")[0].ToString();
        var pinging = Topology.PingAsync(lab.Left, site.LeftInner, site.RightInner, 150, 0.02);
        var file = Path.Combine(lab.Folder, "left", "warifu.conf");
        var text = await File.ReadAllTextAsync(file);
        var extra = text.Replace("connections {", "connections {\n more {\n version = 2\n remote_addrs = 203.0.113.7\n local {\n auth = psk\n }\n remote {\n auth = psk\n }\n children {\n all {\n local_ts = 10.76.0.0/16\n remote_ts = 10.77.0.0/16\n start_action = trap\n }\n }\n }\n old {\n version = 2\n mediation = yes\n local {\n auth = psk\n }\n remote {\n auth = psk\n }\n }", StringComparison.Ordinal);
        // a file with an error changes nothing
        await File.WriteAllTextAsync(file, extra.Replace("remote_addrs = 203.0.113.7", "remote_addrs = 203.0.113.7\n no_such_key = 1", StringComparison.Ordinal));
        Assert.Equal(2, (await left.CliAsync("load", file)).ExitCode);
        await SignalAsync(left, "-HUP");
        await UntilAsync(() => left.Log.Contains("has errors: everything stays as it was", StringComparison.Ordinal));
        Assert.DoesNotContain("more", (await left.CliAsync("list", "conns")).Output, StringComparison.Ordinal);
        // one connection more, and one with a limit that is left out
        await File.WriteAllTextAsync(file, extra);
        await SignalAsync(left, "-HUP");
        await UntilAsync(() => left.Log.Contains("is loaded: + connection more", StringComparison.Ordinal));
        var status = (await left.CliAsync("status")).Output;
        Assert.Contains("old: left out\n  why: ", status, StringComparison.Ordinal);
        Assert.Contains("mediation is not there yet", status, StringComparison.Ordinal);
        Assert.Contains("all: waiting for traffic", status, StringComparison.Ordinal);
        Assert.Contains("more/all", (await left.CliAsync("list", "policies")).Output, StringComparison.Ordinal);
        (await left.CliAsync("load", file)).OrThrow("load");
        await File.WriteAllTextAsync(file, text);
        (await left.CliAsync("load", file)).OrThrow("load");
        Assert.Equal((150, 150), await pinging);
        Assert.Equal(spis, Lab.Json.Find((await left.CliAsync("list", "sas", "--json")).Output, "spi-in")[0].ToString());
        Assert.Contains("no policies", (await left.CliAsync("list", "policies")).Output, StringComparison.Ordinal);
    }

    [LabFact]
    public async Task A_change_that_cuts_the_tunnel_comes_back_unless_it_is_confirmed()
    {
        var site = new Site { Child = "keep = up" };
        await using var lab = await Topology.CreateAsync();
        await using var right = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), site.Right());
        await using var left = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "left"), site.Left());
        await UntilAsync(async () => (await left.CliAsync("status")).Output.Contains("net: up", StringComparison.Ordinal));
        var file = Path.Combine(lab.Folder, "left", "other.conf");
        await File.WriteAllTextAsync(file, (site with { LeftSecret = "Hn4.cTy8-Bd3mGk6", LeftTs = "10.10.9.0/24" }).Left());
        (await left.CliAsync("load", file, "--confirm-within", "2")).OrThrow("load");
        Assert.Equal(0, (await Topology.PingAsync(lab.Left, site.LeftInner, site.RightInner, 2, wait: 1)).Received);
        await UntilAsync(async () => (await Topology.PingAsync(lab.Left, site.LeftInner, site.RightInner, 1, wait: 1)).Received == 1);
        Assert.Contains("was not confirmed and is taken back: ~ child net of site", left.Log, StringComparison.Ordinal);
    }

    [LabFact]
    public async Task A_daemon_that_is_told_to_end_says_goodbye_and_leaves_a_clean_host()
    {
        var site = new Site { LeftChild = "start_action = trap\n bind_interface = st0.1", More = [("drop", "10.11.1.0/24", "10.11.2.0/24")] };
        await using var lab = await Topology.CreateAsync();
        var before = await HostAsync(lab.Left);
        await using var right = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), site.Right());
        var left = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "left"), site.Left());
        (await left.CliAsync("up", "site")).OrThrow("up");
        Assert.NotEqual(before, await HostAsync(lab.Left));
        await left.DisposeAsync();
        Assert.Equal(before, await HostAsync(lab.Left));
        Assert.Contains("no SAs", (await right.CliAsync("list", "sas")).Output, StringComparison.Ordinal);
        Assert.Contains("is down: the peer closed it", right.Log, StringComparison.Ordinal);
        Assert.False(File.Exists(left.Socket));
    }

    [LabFact]
    public async Task A_killed_daemon_is_followed_by_one_that_takes_its_socket_and_cleans_up()
    {
        var site = new Site { LeftChild = "start_action = trap" };
        await using var lab = await Topology.CreateAsync();
        var before = await HostAsync(lab.Left);
        var killed = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "left"), site.Left());
        killed.Kill();
        await killed.DisposeAsync();
        Assert.True(File.Exists(killed.Socket));
        await using (await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "left"), site.Left()))
        {
        }

        Assert.Equal(before, await HostAsync(lab.Left));
    }

    [LabFact]
    public async Task A_second_daemon_on_one_socket_or_one_port_is_refused_and_the_first_goes_on()
    {
        await using var lab = await Topology.CreateAsync();
        await using var first = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "left"), new Site().Left());
        var file = Path.Combine(lab.Folder, "left", "warifu.conf");
        // another namespace: its ports are free, the socket is not
        var second = await Topology.InAsync(lab.Right, Gateway.Binary, "run", "--config", file, "--socket", first.Socket);
        Assert.Equal(1, second.ExitCode);
        Assert.Contains("another daemon listens there", second.Error, StringComparison.Ordinal);
        var third = await Topology.InAsync(lab.Left, Gateway.Binary, "run", "--config", file, "--socket", first.Socket + ".2");
        Assert.Equal(1, third.ExitCode);
        Assert.Contains("500", third.Error, StringComparison.Ordinal);
        Assert.True((await first.CliAsync("list", "conns")).Ok);
        var bad = Path.Combine(lab.Folder, "bad.conf");
        await File.WriteAllTextAsync(bad, "connections {\n a {\n  mobike = perhaps\n }\n}\n");
        var fourth = await Topology.InAsync(lab.Right, Gateway.Binary, "run", "--config", bad, "--socket", first.Socket + ".3");
        Assert.Equal(2, fourth.ExitCode);
        Assert.Contains(bad + ":3:", fourth.Error, StringComparison.Ordinal);
    }

    [LabFact]
    public async Task The_service_manager_hears_ready_reloading_ready_and_stopping()
    {
        await using var lab = await Topology.CreateAsync();
        var file = Path.Combine(lab.Folder, "warifu.conf");
        await File.WriteAllTextAsync(file, new Site().Left());
        var notify = Path.Combine(lab.Folder, "notify");
        using var manager = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        manager.Bind(new UnixDomainSocketEndPoint(notify));
        using var daemon = Tool.Start("ip", ["netns", "exec", lab.Left, "env", "NOTIFY_SOCKET=" + notify, Gateway.Binary, "run", "--config", file, "--socket", Path.Combine(lab.Folder, "vici.sock")]);
        var log = daemon.StandardError.ReadToEndAsync();
        Assert.Equal("READY=1", await HearAsync(manager));
        await Tool.RunAsync("kill", ["-HUP", daemon.Id.ToString(CultureInfo.InvariantCulture)]);
        var reloading = (await HearAsync(manager)).Split('\n');
        Assert.Equal("RELOADING=1", reloading[0]);
        var reported = long.Parse(reloading[1].AsSpan("MONOTONIC_USEC=".Length), NumberStyles.None, CultureInfo.InvariantCulture);
        Assert.InRange(Environment.TickCount64 - (reported / 1000), 0, 10_000);
        Assert.Equal("READY=1", await HearAsync(manager));
        await Tool.RunAsync("kill", ["-TERM", daemon.Id.ToString(CultureInfo.InvariantCulture)]);
        Assert.Equal("STOPPING=1", await HearAsync(manager));
        await daemon.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal(0, daemon.ExitCode);
        Assert.Contains("warifu is ready", await log, StringComparison.Ordinal);
    }

    [LabFact]
    public async Task A_blocked_port_4500_is_told_apart_from_a_peer_that_does_not_answer_at_all()
    {
        var site = new Site { Connection = "encap = yes" };
        await using var lab = await Topology.CreateAsync();
        const string Quick = "retransmit_timeout = 1\n retransmit_tries = 1";
        await using var right = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), site.Right());
        await using var left = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "left"), site.Left(Quick));
        await lab.NftAsync("add rule inet lab hole udp dport 4500 drop");
        Assert.Equal(1, (await left.CliAsync("up", "net")).ExitCode);
        var blocked = (await left.CliAsync("explain", "site")).Output;
        Assert.Contains("IKE_SA_INIT was answered but IKE_AUTH was not: check that no firewall drops UDP 4500", blocked, StringComparison.Ordinal);
        Assert.Equal("between", Lab.Json.Find((await left.CliAsync("explain", "site", "--json")).Output, "side")[0].GetString());
        await lab.BlackholeAsync(true);
        Assert.Equal(1, (await left.CliAsync("up", "net")).ExitCode);
        var silent = (await left.CliAsync("explain", "site")).Output;
        Assert.Contains("198.51.100.2[500] did not answer: 2 IKE_SA_INIT requests were sent", silent, StringComparison.Ordinal);
        Assert.Contains("connections.site.remote_addrs: " + Side.PlaceOf(Path.Combine(lab.Folder, "left", "warifu.conf"), "remote_addrs"), silent, StringComparison.Ordinal);
        // no way there at all
        await Topology.InAsync(lab.Left, "ip", "route", "del", "default");
        Assert.Equal(1, (await left.CliAsync("up", "net")).ExitCode);
        var nowhere = (await left.CliAsync("explain", "site")).Output;
        Assert.Contains("198.51.100.2", nowhere, StringComparison.Ordinal);
        Assert.Contains("connections.site.remote_addrs", nowhere, StringComparison.Ordinal);
    }

    [LabFact]
    public async Task A_NAT_on_the_way_without_NAT_traversal_is_named_by_the_side_that_forbids_it()
    {
        var site = new Site { LeftFromAnywhere = true, RightConnection = "nat_traversal = no" };
        await using var lab = await Topology.CreateAsync();
        await lab.MasqueradeLeftAsync();
        await using var right = await Gateway.StartAsync(lab.Right, Path.Combine(lab.Folder, "right"), site.Right());
        await using var left = await Gateway.StartAsync(lab.Left, Path.Combine(lab.Folder, "left"), site.Left());
        Assert.Equal(1, (await left.CliAsync("up", "net")).ExitCode);
        var explained = (await right.CliAsync("explain", "site")).Output;
        Assert.Contains("the peer is behind a NAT (or it pretends to be), and connection site has NAT traversal switched off", explained, StringComparison.Ordinal);
        Assert.Contains("connections.site.nat_traversal: " + Side.PlaceOf(Path.Combine(lab.Folder, "right", "warifu.conf"), "nat_traversal"), explained, StringComparison.Ordinal);
    }

    /// <summary>Everything of the network that a daemon may have changed.</summary>
    private static async Task<string> HostAsync(string ns)
    {
        var text = new StringBuilder();
        foreach (var command in new[] { "ip -o link", "ip -o addr", "ip rule", "ip -6 rule", "ip route show table all", "ip -6 route show table all", "nft list ruleset" }) text.Append((await Topology.InAsync(ns, command.Split(' '))).OrThrow(command).Output);
        return Varying().Replace(text.ToString(), "");
    }

    private static Task<Ended> SignalAsync(Gateway gateway, string signal) => Tool.RunAsync("kill", [signal, gateway.ProcessId.ToString(CultureInfo.InvariantCulture)]);

    private static async Task<string> HearAsync(Socket manager)
    {
        var buffer = new byte[4096];
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(15));
        return Encoding.UTF8.GetString(buffer, 0, await manager.ReceiveAsync(buffer, patience.Token)).TrimEnd('\n');
    }

    private static Task UntilAsync(Func<bool> holds) => UntilAsync(() => Task.FromResult(holds()));

    private static async Task UntilAsync(Func<Task<bool>> holds)
    {
        for (var i = 0; !await holds(); i++)
        {
            Assert.True(i < 200, "it does not come");
            await Task.Delay(50);
        }
    }

    [GeneratedRegex(@"(expires [0-9]+sec|[0-9]+sec|qlen [0-9]+)")]
    private static partial Regex Varying();
}
