using System.Collections.Generic;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>Counts responder SAs that nobody has authenticated, in all and per source prefix (/32 or /64), apart for those whose address returned a cookie and those that may be forged.</summary>
internal sealed class HalfOpen
{
    private readonly Dictionary<IpPrefix, (int Unverified, int Verified)> _perPrefix = [];

    public int Count => Unverified + Verified;

    public int Unverified { get; private set; }

    public int Verified { get; private set; }

    public (int Unverified, int Verified) Of(IpAddress source) => _perPrefix.GetValueOrDefault(PrefixOf(source));

    public void Add(IpAddress source, bool verified) => Change(source, verified, 1);

    public void Remove(IpAddress source, bool verified) => Change(source, verified, -1);

    private void Change(IpAddress source, bool verified, int step)
    {
        var prefix = PrefixOf(source);
        var share = _perPrefix.GetValueOrDefault(prefix);
        if (verified) (Verified, share.Verified) = (Verified + step, share.Verified + step);
        else (Unverified, share.Unverified) = (Unverified + step, share.Unverified + step);
        if (share == default) _perPrefix.Remove(prefix);
        else _perPrefix[prefix] = share;
    }

    private static IpPrefix PrefixOf(IpAddress source) => new(source, source.IsV4 ? 32 : 64);
}
