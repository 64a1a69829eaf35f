using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>Finds the connections that an address may belong to without looking at all of them: made once per policy.</summary>
internal sealed class ConnectionIndex
{
    private readonly Dictionary<IpAddress, List<Connection>> _byAddress = [];
    private readonly List<Connection> _byRange = [];
    private readonly List<Connection> _any = [];
    private readonly Dictionary<string, Connection> _byName = new(StringComparer.Ordinal);

    public ConnectionIndex(PolicySet policy)
    {
        foreach (var connection in policy.Connections)
        {
            _byName.TryAdd(connection.Name, connection);
            if (connection.RemoteAddresses.IsEmpty || connection.RemoteAddresses.Any(host => host.IsAny || host.DnsName is not null))
            {
                _any.Add(connection);
                continue;
            }

            foreach (var host in connection.RemoteAddresses)
            {
                if (host.Single is { } address)
                {
                    if (!_byAddress.TryGetValue(address, out var list)) _byAddress.Add(address, list = []);
                    list.Add(connection);
                }
                else if (!_byRange.Contains(connection))
                {
                    _byRange.Add(connection);
                }
            }
        }
    }

    public Connection? Find(string name) => _byName.GetValueOrDefault(name);

    /// <summary>Candidates of a responder, best first: exact address, then ranges, then any.</summary>
    public IEnumerable<Connection> Candidates(IpAddress local, IpAddress remote, IkeVersion version)
    {
        var exact = _byAddress.TryGetValue(remote, out var list) ? list : [];
        return exact.Concat(_byRange.Where(connection => connection.RemoteAddresses.Any(host => host.Matches(remote)))).Concat(_any)
            .Where(connection => connection.Version == version && MatchesLocal(connection, local));
    }

    private static bool MatchesLocal(Connection connection, IpAddress local) => connection.LocalAddresses.IsEmpty || connection.LocalAddresses.Any(host => host.Matches(local) || host.DnsName is not null);
}
