using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>Virtual addresses that gateways gave to us before.</summary>
internal sealed partial class IkeEngine
{
    private readonly Dictionary<string, ImmutableArray<IpAddress>> _lastVirtualIps = new(StringComparer.Ordinal);

    /// <summary>What a connection had last: it asks for the same again (RFC 7296 section 3.15.1).</summary>
    public ImmutableArray<IpAddress> LastVirtualIps(string connection) => _lastVirtualIps.TryGetValue(connection, out var addresses) ? addresses : [];

    public void RememberVirtualIps(string connection, ImmutableArray<IpAddress> addresses)
    {
        // connections that are gone are forgotten here
        if (_lastVirtualIps.Count > Policy.Connections.Length)
        {
            foreach (var name in _lastVirtualIps.Keys.Where(name => Index.Find(name) is null).ToArray()) _lastVirtualIps.Remove(name);
        }

        _lastVirtualIps[connection] = addresses;
    }
}
