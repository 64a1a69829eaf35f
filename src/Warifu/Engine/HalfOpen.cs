using System;
using System.Collections.Generic;
using Warifu.Primitives;
using Warifu.V1;

namespace Warifu.Engine;

/// <summary>A responder's SA that nobody has authenticated.</summary>
internal interface IHalfOpen
{
    /// <summary>It gets no more time than this.</summary>
    void HurryUp(TimeSpan timeout);
}

/// <summary>Responder SAs that nobody has authenticated, counted in all and per source prefix (/32 or /64), apart for those whose address returned a cookie and those that may be forged.</summary>
internal sealed class HalfOpen(EngineOptions options)
{
    private readonly HashSet<IHalfOpen> _sas = [];
    private readonly Dictionary<IpPrefix, (int Unverified, int Verified)> _perPrefix = [];
    private readonly LinkedList<(IsakmpSa Sa, Instant Since)> _yielding = new();
    private readonly Dictionary<IpPrefix, LinkedList<(IsakmpSa Sa, Instant Since)>> _yieldingOf = [];
    private readonly Dictionary<IHalfOpen, (LinkedListNode<(IsakmpSa, Instant)> All, LinkedListNode<(IsakmpSa, Instant)> Own)> _places = [];

    public int Count => Unverified + Verified;

    public int Unverified { get; private set; }

    public int Verified { get; private set; }

    public (int Unverified, int Verified) Of(IpAddress source) => _perPrefix.GetValueOrDefault(PrefixOf(source));

    /// <summary>So many are open that somebody floods us: from the threshold for cookies, or three quarters of the limit, until half of that.</summary>
    public bool IsUnderAttack { get; private set; }

    /// <summary>How long one may stay open.</summary>
    public TimeSpan Timeout => IsUnderAttack && options.HalfOpenTimeout > ProtocolTimes.HalfOpenUnderAttack ? ProtocolTimes.HalfOpenUnderAttack : options.HalfOpenTimeout;

    /// <summary>
    /// The oldest that gives way to a newer one. IKEv1 has no cookie that proves an address before there is state, so that anybody can fill the share of somebody else's address, and the whole table: what was not answered
    /// within a second makes room for whoever comes now. So whoever shuts others out must go on filling the table every second instead of once in a timeout.
    /// </summary>
    /// <param name="source">Of whose prefix; null = of all.</param>
    /// <param name="now">The time.</param>
    public IsakmpSa? Yielding(IpAddress? source, Instant now)
    {
        var list = source is { } address ? _yieldingOf.GetValueOrDefault(PrefixOf(address)) : _yielding;
        return list?.First is { } oldest && now - oldest.Value.Since >= ProtocolTimes.HalfOpenYields ? oldest.Value.Sa : null;
    }

    /// <param name="sa">Which.</param>
    /// <param name="source">Where its first message came from.</param>
    /// <param name="now">The time.</param>
    public void AddYielding(IsakmpSa sa, IpAddress source, Instant now)
    {
        if (!_yieldingOf.TryGetValue(PrefixOf(source), out var own)) _yieldingOf.Add(PrefixOf(source), own = new());
        _places.Add(sa, (_yielding.AddLast((sa, now)), own.AddLast((sa, now))));
        Add(sa, source, verified: false);
    }

    public void Add(IHalfOpen sa, IpAddress source, bool verified)
    {
        _sas.Add(sa);
        Change(source, verified, 1);
        if (IsUnderAttack || !Exceeds(1)) return;
        // those that are open already make room sooner, too
        IsUnderAttack = true;
        foreach (var open in _sas) open.HurryUp(Timeout);
    }

    public void Remove(IHalfOpen sa, IpAddress source, bool verified)
    {
        _sas.Remove(sa);
        if (_places.Remove(sa, out var places))
        {
            var own = places.Own.List!;
            _yielding.Remove(places.All);
            own.Remove(places.Own);
            if (own.Count == 0) _yieldingOf.Remove(PrefixOf(source));
        }

        Change(source, verified, -1);
        if (IsUnderAttack && !Exceeds(0.5)) IsUnderAttack = false;
    }

    private bool Exceeds(double share) => (options.CookieThreshold > 0 && Unverified >= options.CookieThreshold * share) || Count >= options.HalfOpenLimit * 0.75 * share;

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
