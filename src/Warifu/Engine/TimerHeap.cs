using System;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>Something that a <see cref="TimerHeap{T}"/> holds; it remembers its own place, so that moving it costs no search.</summary>
internal interface ITimed
{
    /// <summary>When it is due. Written by the heap only.</summary>
    Instant DueAt { get; set; }

    /// <summary>Place in the heap, from 1; 0 = not in it. Written by the heap only.</summary>
    int HeapSlot { get; set; }
}

/// <summary>Timers in a binary heap with one entry for each item: setting one anew moves its entry, so that the heap never grows beyond the number of items.</summary>
internal sealed class TimerHeap<T>
    where T : class, ITimed
{
    private T[] _items = new T[4];

    public int Count { get; private set; }

    public Instant Next => Count == 0 ? Instant.Never : _items[1].DueAt;

    /// <summary>Sets the time of an item; <see cref="Instant.Never"/> takes it out.</summary>
    public void Set(T item, Instant at)
    {
        if (at == Instant.Never)
        {
            Remove(item);
            return;
        }

        if (item.HeapSlot != 0 && item.DueAt == at) return;
        item.DueAt = at;
        if (item.HeapSlot == 0)
        {
            if (++Count == _items.Length) Array.Resize(ref _items, _items.Length * 2);
            Place(item, Count);
        }

        Sink(Rise(item));
    }

    public void Remove(T item)
    {
        var slot = item.HeapSlot;
        if (slot == 0) return;
        item.HeapSlot = 0;
        item.DueAt = Instant.Never;
        var last = _items[Count];
        _items[Count--] = null!;
        if (ReferenceEquals(last, item)) return;
        Place(last, slot);
        Sink(Rise(last));
    }

    /// <summary>Takes out the first item that is due.</summary>
    public bool TryTake(Instant now, out T item)
    {
        item = _items[1];
        if (Count == 0 || item.DueAt > now) return false;
        Remove(item);
        return true;
    }

    private T Rise(T item)
    {
        for (var slot = item.HeapSlot; slot > 1 && item.DueAt < _items[slot / 2].DueAt; slot /= 2)
        {
            Place(_items[slot / 2], slot);
            Place(item, slot / 2);
        }

        return item;
    }

    private void Sink(T item)
    {
        while (true)
        {
            var slot = item.HeapSlot;
            var least = 2 * slot;
            if (least > Count) return;
            if (least < Count && _items[least + 1].DueAt < _items[least].DueAt) least++;
            if (item.DueAt <= _items[least].DueAt) return;
            Place(_items[least], slot);
            Place(item, least);
        }
    }

    private void Place(T item, int slot)
    {
        _items[slot] = item;
        item.HeapSlot = slot;
    }
}
