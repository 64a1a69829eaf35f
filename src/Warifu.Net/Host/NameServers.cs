using System;
using System.Collections.Immutable;
using System.IO;
using System.Net.Sockets;
using System.Threading.Channels;
using System.Threading.Tasks;
using Warifu.Net.Linux;
using Warifu.Primitives;

namespace Warifu.Net.Host;

/// <summary>
/// Hands the name servers of gateways to systemd-resolved, link by link (org.freedesktop.resolve1 on the system bus): with domains they serve only those (RFC 8598 section 5), without they are asked for everything. Where it is not
/// running nothing is changed, above all not resolv.conf; the log says which servers there would be.
/// </summary>
internal sealed class NameServers : IAsyncDisposable
{
    private const string Resolved = "org.freedesktop.resolve1", ResolvedPath = "/org/freedesktop/resolve1", Interface = "org.freedesktop.resolve1.Manager";

    private readonly string _bus;
    private readonly Action<string> _troubled;
    private readonly Channel<Change> _changes = Channel.CreateUnbounded<Change>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Task _worker;

    /// <param name="troubled">Told what could not be done.</param>
    /// <param name="bus">Socket of the system bus.</param>
    public NameServers(Action<string> troubled, string bus = "/run/dbus/system_bus_socket")
    {
        (_troubled, _bus) = (troubled, bus);
        _worker = Task.Run(WorkAsync);
    }

    private sealed record Change(int Link, ImmutableArray<IpAddress> Servers, ImmutableArray<string> Domains);

    /// <summary>What a link has from now on; no servers = it has none of ours any more.</summary>
    public void Set(int link, ImmutableArray<IpAddress> servers, ImmutableArray<string> domains) => _changes.Writer.TryWrite(new Change(link, servers, domains));

    /// <summary>Waits until what was said is done.</summary>
    public async ValueTask DisposeAsync()
    {
        _changes.Writer.TryComplete();
        await _worker.ConfigureAwait(false);
    }

    private async Task WorkAsync()
    {
        await foreach (var change in _changes.Reader.ReadAllAsync().ConfigureAwait(false))
        {
            try
            {
                await ApplyAsync(change).ConfigureAwait(false);
            }
            catch (Exception exception) when (exception is IOException or SocketException or OperationCanceledException)
            {
                if (!change.Servers.IsEmpty) _troubled($"name servers {string.Join(", ", change.Servers)} of the gateway are not used: systemd-resolved cannot be told ({exception.Message}); resolv.conf is left as it is");
            }
        }
    }

    private async Task ApplyAsync(Change change)
    {
        if (!File.Exists(_bus))
        {
            if (!change.Servers.IsEmpty) _troubled($"name servers {string.Join(", ", change.Servers)} of the gateway are not used: systemd-resolved is not running here; resolv.conf is left as it is");
            return;
        }

        using var bus = await DBusConnection.OpenAsync(_bus).ConfigureAwait(false);
        if (change.Servers.IsEmpty)
        {
            await bus.CallAsync(Resolved, ResolvedPath, Interface, "RevertLink", "i", new DBusWriter().Int32(change.Link)).ConfigureAwait(false);
            return;
        }

        var servers = new DBusWriter().Int32(change.Link);
        var array = servers.BeginArray(8);
        foreach (var server in change.Servers) servers.Align(8).Int32(server.IsV6 ? Libc.AfInet6 : Libc.AfInet).Octets(server.ToOctets());
        await bus.CallAsync(Resolved, ResolvedPath, Interface, "SetLinkDNS", "ia(iay)", servers.EndArray(array, 8)).ConfigureAwait(false);

        // "route only": they say which names go to these servers, and are no search domains
        var domains = new DBusWriter().Int32(change.Link);
        array = domains.BeginArray(8);
        foreach (var domain in change.Domains) domains.Align(8).Text(domain).Bool(true);
        await bus.CallAsync(Resolved, ResolvedPath, Interface, "SetLinkDomains", "ia(sb)", domains.EndArray(array, 8)).ConfigureAwait(false);
        await bus.CallAsync(Resolved, ResolvedPath, Interface, "SetLinkDefaultRoute", "ib", new DBusWriter().Int32(change.Link).Bool(change.Domains.IsEmpty)).ConfigureAwait(false);
    }
}
