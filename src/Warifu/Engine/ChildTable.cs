using System;
using System.Collections.Generic;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>The pairs of one IKE SA, by number, by the peer's SPI, by name and by time: a peer may ask for thousands, and each of its messages must cost the same.</summary>
internal sealed class ChildTable
{
    private readonly Dictionary<uint, ChildState> _byId = [];
    private readonly Dictionary<uint, ChildState> _byOutbound = [];
    private readonly Dictionary<string, int> _live = new(StringComparer.Ordinal);
    private Dictionary<(string Name, TrafficSelector Local, TrafficSelector Remote), List<ChildState>>? _byTraffic;
    private readonly TimerHeap<ChildState> _timers = new();

    public int Count => _byId.Count;

    public Dictionary<uint, ChildState>.ValueCollection Values => _byId.Values;

    public Dictionary<uint, ChildState>.KeyCollection Keys => _byId.Keys;

    /// <summary>Earliest rekeying or expiry.</summary>
    public Instant NextTimeout => _timers.Next;

    public bool Contains(ChildState child) => _byId.ContainsKey(child.Id);

    public bool TryGetValue(uint id, out ChildState child) => _byId.TryGetValue(id, out child!);

    /// <summary>By the SPI that the peer receives on.</summary>
    public ChildState? ByOutbound(ChildSpi spi) => _byOutbound.GetValueOrDefault(spi.Value);

    /// <summary>A pair of this name carries traffic and is not being replaced or closed.</summary>
    public bool HasLive(string name) => _live.ContainsKey(name);

    /// <summary>Pairs of this name whose first selectors are these, in the order in which they came; where there are few pairs, all of them.</summary>
    public IReadOnlyCollection<ChildState> Like(string name, TrafficSelector local, TrafficSelector remote)
    {
        const int Few = 8;
        if (_byTraffic is null && Count <= Few) return _byId.Values;
        if (_byTraffic is null)
        {
            _byTraffic = [];
            foreach (var child in _byId.Values) Index(child);
        }

        return _byTraffic.TryGetValue((name, local, remote), out var list) ? list : [];
    }

    public void Add(ChildState child)
    {
        _byId.Add(child.Id, child);
        _byOutbound.Add(child.Outbound.Value, child);
        if (_byTraffic is not null) Index(child);
        child.Table = this;
        if (child.IsLive) Count1(child, 1);
        Reset(child);
    }

    public bool Remove(ChildState child)
    {
        if (!_byId.Remove(child.Id)) return false;
        _byOutbound.Remove(child.Outbound.Value);
        if (_byTraffic is not null && KeyOf(child) is { } key && _byTraffic.TryGetValue(key, out var list))
        {
            list.Remove(child);
            if (list.Count == 0) _byTraffic.Remove(key);
        }

        _timers.Remove(child);
        if (child.IsLive) Count1(child, -1);
        child.Table = null;
        return true;
    }

    public void Reset(ChildState child) => _timers.Set(child, Instant.Min(Instant.Min(child.RekeyAt, child.ExpireAt), Instant.Min(Instant.Min(child.SendAt, child.IdleAt), child.RetireAt)));

    public void LivenessChanged(ChildState child) => Count1(child, child.IsLive ? 1 : -1);

    /// <summary>Takes the next pair whose rekeying or expiry is due; setting one of its times puts it back.</summary>
    public bool TryTakeDue(Instant now, out ChildState child) => _timers.TryTake(now, out child);

    private static (string, TrafficSelector, TrafficSelector)? KeyOf(ChildState child) => child.Local.IsEmpty || child.Remote.IsEmpty ? null : (child.Config.Name, child.Local[0], child.Remote[0]);

    private void Index(ChildState child)
    {
        if (KeyOf(child) is not { } key) return;
        if (!_byTraffic!.TryGetValue(key, out var list)) _byTraffic.Add(key, list = new List<ChildState>(1));
        list.Add(child);
    }

    private void Count1(ChildState child, int step)
    {
        var name = child.Config.Name;
        var count = _live.GetValueOrDefault(name) + step;
        if (count > 0) _live[name] = count;
        else _live.Remove(name);
    }
}
