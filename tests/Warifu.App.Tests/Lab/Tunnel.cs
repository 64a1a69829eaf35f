using System;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Lab;

/// <summary>How a <see cref="Tunnel"/> is laid out beyond its <see cref="Lab.Site"/>.</summary>
internal sealed record Layout
{
    public bool WeAreLeft { get; init; } = true;

    /// <summary>The peer's view of the site, where it differs from ours.</summary>
    public Site? PeerSite { get; init; }

    /// <summary>Keys of our daemon section.</summary>
    public string Daemon { get; init; } = "";

    /// <summary>Keys of the peer's strongswan.conf.</summary>
    public string PeerDaemon { get; init; } = "";

    /// <summary>Puts files beside our configuration, and into the peer's swanctl folder.</summary>
    public Action<string>? Files { get; init; }

    public Action<string>? PeerFiles { get; init; }

    /// <summary>What happens to the topology before the daemons start: NAT, addresses.</summary>
    public Func<Topology, Task>? Prepare { get; init; }
}

/// <summary>Our gateway on one side of a <see cref="Topology"/>, strongSwan on the other.</summary>
internal sealed class Tunnel : IAsyncDisposable
{
    private readonly Layout _layout;

    private Tunnel(Topology lab, Site site, Layout layout) => (Lab, Site, _layout) = (lab, site, layout);

    public Topology Lab { get; }

    public Site Site { get; }

    public Gateway Ours { get; private set; } = null!;

    public StrongSwan Peer { get; private set; } = null!;

    public bool WeAreLeft => _layout.WeAreLeft;

    public string OurNs => WeAreLeft ? Lab.Left : Lab.Right;

    public string PeerNs => WeAreLeft ? Lab.Right : Lab.Left;

    public string OurInner => WeAreLeft ? Site.LeftInner : Site.RightInner;

    public string PeerInner => WeAreLeft ? Site.RightInner : Site.LeftInner;

    public static async Task<Tunnel> StartAsync(Site site, Layout? layout = null)
    {
        layout ??= new Layout();
        var tunnel = new Tunnel(await Topology.CreateAsync(), site, layout);
        try
        {
            if (layout.Prepare is { } prepare) await prepare(tunnel.Lab);
            var (peer, ours) = (tunnel.StartPeerAsync(), tunnel.StartOursAsync());
            await Task.WhenAll(peer, ours);
            return tunnel;
        }
        catch
        {
            await tunnel.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts the peer, again after it was killed.</summary>
    public async Task StartPeerAsync()
    {
        var site = _layout.PeerSite ?? Site;
        if (Peer is { } old) await old.DisposeAsync();
        _layout.PeerFiles?.Invoke(Path.Combine(Lab.Folder, "peer", "swanctl"));
        Peer = await StrongSwan.StartAsync(PeerNs, Path.Combine(Lab.Folder, "peer"), WeAreLeft ? site.Right() : site.Left(), _layout.PeerDaemon);
    }

    /// <summary>Starts our daemon, again after it was killed.</summary>
    public async Task StartOursAsync()
    {
        if (Ours is { } old) await old.DisposeAsync();
        _layout.Files?.Invoke(Path.Combine(Lab.Folder, "ours"));
        Ours = await Gateway.StartAsync(OurNs, Path.Combine(Lab.Folder, "ours"), WeAreLeft ? Site.Left(_layout.Daemon) : Site.Right(_layout.Daemon));
    }

    /// <summary>Negotiates by the management socket; the test fails when it does not succeed.</summary>
    public async Task UpAsync(bool weInitiate, string child = "net")
    {
        var message = new ViciMessage().Add("child", child).Add("timeout", 15_000);
        var up = await (weInitiate ? Ours.RequestAsync("initiate", message) : Peer.RequestAsync("initiate", message));
        Assert.True(up.Bool("success"), up.Text("errmsg") + Logs);
    }

    /// <summary>Negotiates by the command line of either side.</summary>
    public Task<Ended> TryUpAsync(bool weInitiate, string child = "net") => weInitiate ? Ours.CliAsync("up", child) : Peer.ControlAsync("--initiate", "--child", child, "--timeout", "10");

    /// <summary>The only IKE SA, on our side.</summary>
    public async Task<IkeSaView> OurSaAsync()
    {
        var sas = await Ours.SasAsync();
        Assert.True(sas.Count == 1, $"{sas.Count} IKE SAs\n{Logs}");
        return sas[0];
    }

    /// <summary>The only pair of a child, on our side.</summary>
    public async Task<ChildSaView> OurChildAsync(string name = "net")
    {
        var children = (await OurSaAsync()).Children.Where(child => child.Name == name).ToList();
        Assert.True(children.Count == 1, $"{children.Count} pairs of {name}\n{Logs}");
        return children[0];
    }

    /// <summary>The pair of a child that was installed last; null when there is none.</summary>
    public async Task<ChildSaView?> OurNewestAsync() => (await Ours.SasAsync()).SelectMany(sa => sa.Children).Where(child => child.Name == "net" && child.State != "REKEYED").MaxBy(child => child.Body.Number("uniqueid", 0));

    /// <summary>Pings in both directions and finds each packet in the counters of the child.</summary>
    public async Task PingBothAsync(string child = "net", string? ourInner = null, string? peerInner = null, bool peerFirst = false)
    {
        (ourInner, peerInner) = (ourInner ?? OurInner, peerInner ?? PeerInner);
        var before = await OurChildAsync(child);
        (string Ns, string From, string To)[] ways = [(OurNs, ourInner, peerInner), (PeerNs, peerInner, ourInner)];
        foreach (var (ns, from, to) in peerFirst ? ways.Reverse() : ways)
        {
            var counts = await Topology.PingAsync(ns, from, to);
            Assert.True(counts == (5, 5), $"{from} -> {to}: {counts}\n{await DescribeAsync()}{Logs}");
        }

        var after = await OurChildAsync(child);
        Assert.Equal(before.SpiIn, after.SpiIn);
        Assert.True(after.PacketsIn - before.PacketsIn >= 10 && after.PacketsOut - before.PacketsOut >= 10, $"in {before.PacketsIn} -> {after.PacketsIn}, out {before.PacketsOut} -> {after.PacketsOut}");
        Assert.Equal(before.Drops, after.Drops);
    }

    /// <summary>Both sides have exactly these SAs, and what one receives on the other sends on.</summary>
    public async Task<IkeSaView> AgreeAsync(int children = 1)
    {
        var (ours, peers) = await Until.HoldsAsync(
            "one IKE SA and the same pairs on both sides",
            async () => (await Ours.SasAsync(), await Peer.SasAsync()),
            seen => seen.Item1.Count == 1 && seen.Item2.Count == 1 && Settled(seen.Item1[0], children) && Settled(seen.Item2[0], children) && seen.Item1[0].Spis == seen.Item2[0].Spis,
            seen => string.Join('\n', seen.Item1.Concat(seen.Item2).Select(sa => $"{sa.Spis} {sa.State} {string.Join(' ', sa.Children.Select(child => $"{child.Name}:{child.State}:{child.SpiIn}:{child.SpiOut}"))}")) + Logs);
        Assert.Equal(ours[0].Children.Select(child => child.SpiIn).Order(), peers[0].Children.Select(child => child.SpiOut).Order());
        Assert.Equal(ours[0].Children.Select(child => child.SpiOut).Order(), peers[0].Children.Select(child => child.SpiIn).Order());
        return ours[0];
    }

    /// <summary>Nothing is left on either side: no SA, no route of ours.</summary>
    public async Task AllGoneAsync(double seconds = 10)
    {
        await Until.HoldsAsync("no SA on either side", async () => (await Ours.SasAsync(), await Peer.SasAsync()), seen => seen.Item1.Count == 0 && seen.Item2.Count == 0, seen => $"ours {seen.Item1.Count}, peer's {seen.Item2.Count}{Logs}", seconds);
        await NoRoutesAsync();
    }

    /// <summary>Our routing table holds nothing: routes live as long as a pair or a trap.</summary>
    public Task NoRoutesAsync() => Until.HoldsAsync("no route of ours", RoutesAsync, routes => routes.Length == 0, seconds: 3);

    /// <summary>Routes of our table.</summary>
    public async Task<string> RoutesAsync() => string.Concat((await Task.WhenAll(new[] { "-4", "-6" }.Select(family => Tool.RunAsync("ip", ["-n", OurNs, family, "route", "show", "table", "8757"])))).Select(ended => ended.Ok ? ended.Output : "")).Trim();

    /// <summary>SAs and drops of ours and the peer's SAs, for the message of a failure.</summary>
    public async Task<string> DescribeAsync() =>
        string.Join('\n', (await Ours.SasAsync()).Concat(await Peer.SasAsync()).Select(sa => Cli.Json.Print(sa.Body))) + "\n" + Cli.Json.Print(await Ours.RequestAsync("get-counters"));

    public string Logs => $"\n--- ours\n{Ours?.Log}\n--- strongSwan\n{Peer?.Log}";

    public async ValueTask DisposeAsync()
    {
        // the peer last: it answers our goodbye
        if (Ours is { } ours) await ours.DisposeAsync();
        if (Peer is { } peer) await peer.DisposeAsync();
        await Lab.DisposeAsync();
    }

    private static bool Settled(IkeSaView sa, int children) => sa.State == "ESTABLISHED" && sa.Children.Count == children && sa.Children.All(child => child.State == "INSTALLED");
}
