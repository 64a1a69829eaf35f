using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Warifu.App.Vici;
using Xunit;

namespace Warifu.App.Tests.Lab;

/// <summary>One connection of a <see cref="Bundle"/>.</summary>
/// <param name="Scenario">Row of the coverage.</param>
/// <param name="WeInitiate">Who begins.</param>
/// <param name="Site">We are left. Name, addresses, identities and selectors are set by the bundle.</param>
internal sealed record Strand(string Scenario, bool WeInitiate, Site Site)
{
    /// <summary>The peer's side, where it differs from ours.</summary>
    public Func<Site, Site>? Spoiled { get; init; }

    /// <summary>The identities are the outer addresses.</summary>
    public bool ByAddress { get; init; }

    /// <summary>Its inner addresses have three free ones behind them.</summary>
    public bool HasRange { get; init; }

    public override string ToString() => $"{Scenario}, {(WeInitiate ? "we initiate" : "the peer initiates")} ({Site.Name})";
}

/// <summary>Our gateway and strongSwan with many connections between them at the same time, each with addresses and identities of its own: so many negotiations cost the start of two programs.</summary>
internal sealed class Bundle : IAsyncDisposable
{
    /// <summary>Number of the first strand's addresses, and of its name.</summary>
    public const int FirstHost = 10;

    private const int FirstRange = 100;


    private readonly SemaphoreSlim _pings = new(8);

    /// <summary>strongSwan has a thread wait for each negotiation that it is told to begin, and some of its thirty-two never come free.</summary>
    private readonly SemaphoreSlim _begun = new(16);

    private readonly SemaphoreSlim _starting = new(1);
    private readonly Layout _layout;
    private readonly string[] _options;

    private Bundle(Topology lab, IReadOnlyList<Strand> strands, Layout layout, string[] options) => (Lab, Strands, _layout, _options) = (lab, strands, layout, options);

    public Topology Lab { get; }

    /// <summary>As given, with names and addresses.</summary>
    public IReadOnlyList<Strand> Strands { get; }

    public Gateway Ours { get; private set; } = null!;

    public StrongSwan Peer { get; private set; } = null!;

    public string Logs => $"\n--- ours\n{Ours?.Log}\n--- strongSwan\n{Peer?.Log}";

    /// <summary>Identity of one side ("left", "right") of the strand at an index.</summary>
    public static string Identity(string side, int index) => string.Create(CultureInfo.InvariantCulture, $"{side}{FirstHost + index}.example.org");

    /// <summary>The network of 31 bits that has an address in it.</summary>
    public static string Wider(string address)
    {
        var dot = address.LastIndexOf('.') + 1;
        return string.Create(CultureInfo.InvariantCulture, $"{address[..dot]}{int.Parse(address[dot..], CultureInfo.InvariantCulture) & ~1}/31");
    }

    public static async Task<Bundle> StartAsync(IReadOnlyList<Strand> strands, Layout? layout = null, params string[] options)
    {
        var bundle = new Bundle(await Topology.CreateAsync(), [.. strands.Select(Place)], layout ?? new Layout(), options);
        try
        {
            await bundle.AddAddressesAsync();
            if (bundle._layout.Prepare is { } prepare) await prepare(bundle.Lab);
            await Task.WhenAll(bundle.StartOursAsync(), bundle.StartPeerAsync());
            return bundle;
        }
        catch
        {
            await bundle.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts our daemon, again after it was killed.</summary>
    public async Task StartOursAsync()
    {
        if (Ours is { } old) await old.DisposeAsync();
        var folder = Path.Combine(Lab.Folder, "ours");
        _layout.Files?.Invoke(folder);
        Ours = await Gateway.StartAsync(Lab.Left, folder, string.Concat(Strands.Select((strand, i) => strand.Site.Left(i == 0 ? _layout.Daemon : ""))), _options);
    }

    /// <summary>Starts the peer, again after it was killed; who else asks for it meanwhile waits.</summary>
    public async Task StartPeerAsync()
    {
        await _starting.WaitAsync();
        try
        {
            if (Peer is { IsRunning: true }) return;
            if (Peer is { } old) await old.DisposeAsync();
            var folder = Path.Combine(Lab.Folder, "peer");
            _layout.PeerFiles?.Invoke(Path.Combine(folder, "swanctl"));
            Peer = await StrongSwan.StartAsync(Lab.Right, folder, string.Concat(Strands.Select(strand => (strand.Spoiled?.Invoke(strand.Site) ?? strand.Site).Right())), _layout.PeerDaemon);
        }
        finally
        {
            _starting.Release();
        }
    }

    /// <summary>Brings one up by whoever begins it.</summary>
    public async Task<ViciMessage> TryUpAsync(Strand strand, int timeout = 15_000)
    {
        var message = new ViciMessage().Add("ike", strand.Site.Name).Add("child", "net").Add("timeout", timeout);
        await _begun.WaitAsync();
        try
        {
            return await (strand.WeInitiate ? Ours.RequestAsync("initiate", message) : Peer.RequestAsync("initiate", message));
        }
        finally
        {
            _begun.Release();
        }
    }

    /// <summary>Brings them up, pings through each in both directions, and compares what both sides say of it.</summary>
    public Task ProveAllAsync(string? peer) => EachAsync(peer, async strand =>
    {
        await UpAsync(strand);
        var ours = await SettledAsync(strand);
        var (child, theirs) = (ours.Children[0], Assert.Single(await PeersAsync(strand)));
        Assert.True(await PingBothAsync(strand), "pings are lost");
        Assert.Equal((strand.Site.Version, strand.Site.Version), (ours.Body.Number("version", 0), theirs.Body.Number("version", 0)));
        foreach (var name in new[] { "encr-alg", "encr-keysize", "integ-alg", "prf-alg", "dh-group" })
        {
            if (theirs.Body.Text(name) is { } value) Assert.Equal($"{name} {value}", $"{name} {ours.Body.Text(name)}");
            if (theirs.Children[0].Body.Text(name) is { } inner) Assert.Equal($"child {name} {inner}", $"child {name} {child.Body.Text(name)}");
        }

        var after = (await OursAsync(strand))[0].Children[0];
        Assert.True(after is { PacketsIn: >= 6, PacketsOut: >= 6, Drops: 0 }, $"in {after.PacketsIn}, out {after.PacketsOut}, dropped {after.Drops}");
    });

    /// <summary>Does the same with each of them, beside each other. All that is wrong is told at once; what went well is recorded.</summary>
    public async Task EachAsync(string? peer, Func<Strand, Task> act, Func<Strand, bool>? which = null)
    {
        var faults = (await Task.WhenAll(Strands.Where(which ?? (_ => true)).Select(async strand =>
        {
            try
            {
                await act(strand);
                if (peer is not null) Coverage.Passed(peer, strand.Scenario, strand.WeInitiate, strand.Site.OuterV6, strand.Site.InnerV6);
                return null;
            }
            catch (Exception error)
            {
                return $"{strand}: {error.Message}";
            }
        }))).OfType<string>().ToList();
        Assert.True(faults.Count == 0, string.Join('\n', faults) + Logs);
    }

    public async Task UpAsync(Strand strand)
    {
        var up = await TryUpAsync(strand);
        Assert.True(up.Bool("success"), up.Text("errmsg"));
    }

    /// <summary>What our side lists of a connection.</summary>
    public async Task<IReadOnlyList<IkeSaView>> OursAsync(Strand strand) => [.. (await Ours.SasAsync()).Where(sa => sa.Connection == strand.Site.Name)];

    public async Task<IReadOnlyList<IkeSaView>> PeersAsync(Strand strand) => [.. (await Peer.SasAsync()).Where(sa => sa.Connection == strand.Site.Name)];

    /// <summary>Both sides have one phase 1, the same, and one pair for traffic, the same; pairs that were rekeyed may be there until their time is over. As we see it, without those.</summary>
    public async Task<IkeSaView> SettledAsync(Strand strand, Func<IkeSaView, bool>? good = null)
    {
        var (ours, _) = await Until.HoldsAsync(
            "one IKE SA and one pair, the same on both sides",
            async () => (Live(await OursAsync(strand)), Live(await PeersAsync(strand))),
            seen => seen.Item1 is [{ State: "ESTABLISHED", Children: [{ State: "INSTALLED" } child] } sa] && seen.Item2 is [{ State: "ESTABLISHED", Children: [{ State: "INSTALLED" } other] } there] && sa.Spis == there.Spis && child.SpiIn == other.SpiOut && child.SpiOut == other.SpiIn && (good is null || good(sa)),
            seen => string.Join('\n', seen.Item1.Concat(seen.Item2).Select(sa => $"{sa.Spis} {sa.State} {string.Join(' ', sa.Children.Select(child => $"{child.State}:{child.SpiIn}:{child.SpiOut}"))}")));
        return ours[0];
    }

    /// <summary>Without pairs that were rekeyed, and without a phase 1 that gave its children to a newer one: strongSwan keeps it for ten seconds.</summary>
    private static IReadOnlyList<IkeSaView> Live(IReadOnlyList<IkeSaView> sas) => [.. sas.Select(sa => sa with { Rekeyed = false }).Where(sa => sas.Count == 1 || sa.State is not ("REKEYED" or "REKEYING" or "DELETING") || sa.Children.Count > 0)];

    /// <summary>Whether all pings are answered, both ways.</summary>
    public async Task<bool> PingBothAsync(Strand strand, string? left = null, string? right = null)
    {
        await _pings.WaitAsync();
        try
        {
            var (from, to) = (left ?? strand.Site.LeftInner, right ?? strand.Site.RightInner);
            return await Topology.PingAsync(Lab.Left, from, to, count: 3) == (3, 3) && await Topology.PingAsync(Lab.Right, to, from, count: 3) == (3, 3);
        }
        finally
        {
            _pings.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        // the peer last: it answers our goodbye
        if (Ours is { } ours) await ours.DisposeAsync();
        if (Peer is { } peer) await peer.DisposeAsync();
        await Lab.DisposeAsync();
        _pings.Dispose();
        _begun.Dispose();
        _starting.Dispose();
    }

    private static Strand Place(Strand strand, int index)
    {
        var (site, number) = (strand.Site, (FirstHost + index).ToString(CultureInfo.InvariantCulture));
        var inner = strand.HasRange ? (FirstRange + (4 * index)).ToString(CultureInfo.InvariantCulture) : number;
        var (left, right) = (site.InnerV6 ? "fd10:1::" + inner : "10.10.1." + inner, site.InnerV6 ? "fd10:2::" + inner : "10.10.2." + inner);
        var (leftHost, rightHost) = ((site.OuterV6 ? "2001:db8:1::" : "192.0.2.") + number, (site.OuterV6 ? "2001:db8:2::" : "198.51.100.") + number);
        return strand with
        {
            Site = site with
            {
                Name = "s" + number,
                LeftHostIs = leftHost,
                RightHostIs = rightHost,
                LeftInnerIs = left,
                RightInnerIs = right,
                LeftTs = Selector(site.LeftTs, left),
                RightTs = Selector(site.RightTs, right),
                LeftId = strand.ByAddress ? leftHost : site.LeftId ?? Identity("left", index),
                RightId = strand.ByAddress ? rightHost : site.RightId ?? Identity("right", index),
            },
        };
    }

    /// <summary>Words of selectors: "wide" has one bit less, "range" has three addresses; what is in brackets follows the address.</summary>
    private static string Selector(string? selector, string address) => selector switch
    {
        null => address + (address.Contains(':', StringComparison.Ordinal) ? "/128" : "/32"),
        "wide" => Wider(address),
        "range" => $"{address}-{address[..(address.LastIndexOf('.') + 1)]}{int.Parse(address[(address.LastIndexOf('.') + 1)..], CultureInfo.InvariantCulture) + 2}",
        ['[', ..] => address + "/32" + selector,
        _ => selector,
    };

    private async Task AddAddressesAsync()
    {
        var script = new StringBuilder("set -e\n");
        foreach (var site in Strands.Select(strand => strand.Site))
        {
            script.Append(CultureInfo.InvariantCulture, $"""
                ip -n {Lab.Left} addr add {site.LeftHostIs}{(site.OuterV6 ? "/64 dev wan nodad" : "/24 dev wan")}; ip -n {Lab.Right} addr add {site.RightHostIs}{(site.OuterV6 ? "/64 dev wan nodad" : "/24 dev wan")}
                ip -n {Lab.Left} addr add {site.LeftInnerIs}{(site.InnerV6 ? "/64 dev lan nodad" : "/24 dev lan")}; ip -n {Lab.Right} addr add {site.RightInnerIs}{(site.InnerV6 ? "/64 dev lan nodad" : "/24 dev lan")}

                """);
        }

        (await Tool.ShellAsync(script.ToString())).OrThrow("addresses");
    }
}
