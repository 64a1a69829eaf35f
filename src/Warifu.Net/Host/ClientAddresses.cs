using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.ComponentModel;
using System.Linq;
using Warifu.Engine;
using Warifu.Net.Linux;
using Warifu.Primitives;

namespace Warifu.Net.Host;

/// <summary>Virtual addresses that gateways gave to us, on the devices of their connections, each alone (/32, /128) and without duplicate address detection: nobody else is on a tunnel. Used by one thread at a time.</summary>
internal sealed class ClientAddresses
{
    private readonly Dictionary<uint, (ClientConfiguration Client, string Device)> _clients = [];

    /// <summary>Index of a device by its name.</summary>
    private readonly Dictionary<string, int> _devices = new(StringComparer.Ordinal);

    /// <summary>Told what could not be made.</summary>
    public Action<string>? Troubled { get; set; }

    /// <summary>Name servers of a device change: index, servers, and the domains that they serve (empty = all).</summary>
    public Action<int, ImmutableArray<IpAddress>, ImmutableArray<string>>? NameServersChanged { get; set; }

    public bool IsEmpty => _clients.Count == 0;

    public void Add(ClientConfiguration client, string device, int index)
    {
        _clients[client.Id] = (client, device);
        _devices[device] = index;
        foreach (var address in client.Addresses) Put(index, address);
        if (!client.DnsServers.IsEmpty) TellNameServers(device);
    }

    public void Remove(uint id)
    {
        if (!_clients.Remove(id, out var gone) || !_devices.TryGetValue(gone.Device, out var index)) return;
        // who authenticates anew holds the same address twice for a moment
        foreach (var address in gone.Client.Addresses.Where(address => !Holds(gone.Device, address)))
        {
            try
            {
                using var netlink = new Rtnetlink();
                netlink.RemoveAddress(index, address, address.BitLength);
            }
            catch (Win32Exception exception)
            {
                Troubled?.Invoke($"virtual IP {address} cannot be removed: {exception.Message}");
            }
        }

        if (!gone.Client.DnsServers.IsEmpty) TellNameServers(gone.Device);
    }

    /// <summary>The device was made anew.</summary>
    public void Renew(string device, int index)
    {
        if (!_clients.Values.Any(one => one.Device == device)) return;
        _devices[device] = index;
        Restore();
        TellNameServers(device);
    }

    /// <summary>Puts back what somebody took away.</summary>
    public void Restore()
    {
        foreach (var (client, device) in _clients.Values)
        {
            foreach (var address in client.Addresses) Put(_devices[device], address);
        }
    }

    /// <summary>The process ends: addresses go with their devices, name servers with them too, but a device may be somebody else's.</summary>
    public void Clear()
    {
        foreach (var id in _clients.Keys.ToArray()) Remove(id);
    }

    private bool Holds(string device, IpAddress address) => _clients.Values.Any(one => one.Device == device && one.Client.Addresses.Contains(address));

    private void Put(int index, IpAddress address)
    {
        try
        {
            using var netlink = new Rtnetlink();
            netlink.AddAddress(index, address, address.BitLength);
        }
        catch (Win32Exception exception)
        {
            Troubled?.Invoke($"virtual IP {address} cannot be set: {exception.Message}");
        }
    }

    private void TellNameServers(string device)
    {
        var here = _clients.Values.Where(one => one.Device == device && !one.Client.DnsServers.IsEmpty).Select(one => one.Client).ToArray();
        // one that serves all names makes the device serve all
        ImmutableArray<string> domains = here.Any(client => client.Domains.IsEmpty) ? [] : [.. here.SelectMany(client => client.Domains).Distinct(StringComparer.OrdinalIgnoreCase)];
        NameServersChanged?.Invoke(_devices[device], [.. here.SelectMany(client => client.DnsServers).Distinct()], domains);
    }
}
