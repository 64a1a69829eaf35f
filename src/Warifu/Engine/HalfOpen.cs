using System.Collections.Generic;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>Counts responder SAs that nobody has authenticated, in all and per source prefix (/32 or /64).</summary>
internal sealed class HalfOpen
{
    private readonly Dictionary<IpPrefix, int> _perPrefix = [];

    public int Count { get; private set; }

    public int Of(IpAddress source) => _perPrefix.GetValueOrDefault(PrefixOf(source));

    public void Add(IpAddress source)
    {
        Count++;
        var prefix = PrefixOf(source);
        _perPrefix[prefix] = _perPrefix.GetValueOrDefault(prefix) + 1;
    }

    public void Remove(IpAddress source)
    {
        Count--;
        var prefix = PrefixOf(source);
        var left = _perPrefix.GetValueOrDefault(prefix) - 1;
        if (left <= 0) _perPrefix.Remove(prefix);
        else _perPrefix[prefix] = left;
    }

    private static IpPrefix PrefixOf(IpAddress source) => new(source, source.IsV4 ? 32 : 64);
}
