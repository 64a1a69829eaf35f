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

    public void Add(ChildState child)
    {
        _byId.Add(child.Id, child);
        _byOutbound.Add(child.Outbound.Value, child);
        child.Table = this;
        if (child.IsLive) Count1(child, 1);
        Reset(child);
    }

    public bool Remove(ChildState child)
    {
        if (!_byId.Remove(child.Id)) return false;
        _byOutbound.Remove(child.Outbound.Value);
        _timers.Remove(child);
        if (child.IsLive) Count1(child, -1);
        child.Table = null;
        return true;
    }

    public void Reset(ChildState child) => _timers.Set(child, Instant.Min(Instant.Min(child.RekeyAt, child.ExpireAt), Instant.Min(Instant.Min(child.SendAt, child.IdleAt), child.RetireAt)));

    public void LivenessChanged(ChildState child) => Count1(child, child.IsLive ? 1 : -1);

    /// <summary>Takes the next pair whose rekeying or expiry is due; setting one of its times puts it back.</summary>
    public bool TryTakeDue(Instant now, out ChildState child) => _timers.TryTake(now, out child);

    private void Count1(ChildState child, int step)
    {
        var name = child.Config.Name;
        var count = _live.GetValueOrDefault(name) + step;
        if (count > 0) _live[name] = count;
        else _live.Remove(name);
    }
}
