using System.Collections.Concurrent;
using System.Collections.Generic;
using Warifu.Primitives;

namespace Warifu.Ipsec;

/// <summary>
/// The SAD: inbound by protocol and SPI (RFC 4301 section 4.1 allows it for unicast, and outer addresses may change under NAT and MOBIKE), pairs by number. Only the engine's thread writes. Readers take no lock:
/// <see cref="ConcurrentDictionary{TKey, TValue}"/> publishes nodes by a single pointer, so that installing one of 100,000 pairs costs the same as installing the first. A reader that still holds a pair
/// that was just removed finds its gate closed.
/// </summary>
internal sealed class Sad
{
    private readonly ConcurrentDictionary<ulong, IpsecSa> _bySpi = new();
    private readonly ConcurrentDictionary<uint, IpsecSa> _byId = new();

    public int Count => _byId.Count;

    public IEnumerable<IpsecSa> All => _byId.Values;

    public bool TryAdd(IpsecSa sa)
    {
        if (!_bySpi.TryAdd(Key(sa.Protocol, sa.Child.InboundSpi), sa)) return false;
        if (_byId.TryAdd(sa.Id, sa)) return true;
        _bySpi.TryRemove(Key(sa.Protocol, sa.Child.InboundSpi), out _);
        return false;
    }

    public IpsecSa? BySpi(ProtocolId protocol, ChildSpi spi) => _bySpi.GetValueOrDefault(Key(protocol, spi));

    public IpsecSa? ById(uint id) => _byId.GetValueOrDefault(id);

    public IpsecSa? Remove(uint id)
    {
        if (!_byId.TryRemove(id, out var sa)) return null;
        _bySpi.TryRemove(Key(sa.Protocol, sa.Child.InboundSpi), out _);
        return sa;
    }

    private static ulong Key(ProtocolId protocol, ChildSpi spi) => ((ulong)protocol << 32) | spi.Value;
}
