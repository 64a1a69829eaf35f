using System.Collections.Generic;
using Warifu.Engine;
using Warifu.Primitives;

namespace Warifu.V1;

/// <summary>The exchanges of one ISAKMP SA, by message ID, by time, and apart those that are open and those that are over: a peer may have a thousand of them, and each of its messages must cost the same.</summary>
internal sealed class ExchangeTable
{
    private readonly Dictionary<uint, Exchange> _byId = [];
    private readonly LinkedList<Exchange> _open = new();
    private readonly LinkedList<Exchange> _over = new();
    private readonly TimerHeap<Exchange> _timers = new();

    public int Count => _byId.Count;

    /// <summary>All of them.</summary>
    public IReadOnlyCollection<Exchange> All => _byId.Values;

    /// <summary>Those that are under way, the oldest first.</summary>
    public IReadOnlyCollection<Exchange> Open => _open;

    /// <summary>When the first one wants something.</summary>
    public Instant NextTimeout => _timers.Next;

    public Exchange? Find(uint messageId) => _byId.GetValueOrDefault(messageId);

    public void Add(Exchange exchange)
    {
        _byId.Add(exchange.MessageId, exchange);
        (exchange.IsDone ? _over : _open).AddLast(exchange.Place);
        Reset(exchange);
    }

    public void Remove(Exchange exchange)
    {
        if (!Holds(exchange)) return;
        _byId.Remove(exchange.MessageId);
        exchange.Place.List!.Remove(exchange.Place);
        _timers.Remove(exchange);
    }

    /// <summary>What is over answers repetitions only as long as there is room: the oldest goes.</summary>
    public void ForgetOldest()
    {
        if (_over.First is { } oldest) Remove(oldest.Value);
    }

    public void DoneChanged(Exchange exchange)
    {
        if (!Holds(exchange)) return;
        exchange.Place.List!.Remove(exchange.Place);
        (exchange.IsDone ? _over : _open).AddLast(exchange.Place);
    }

    public void Reset(Exchange exchange)
    {
        if (Holds(exchange)) _timers.Set(exchange, Instant.Min(exchange.DueAt, Instant.Min(exchange.Flight.RetransmitAt, exchange.ForgetAt)));
    }

    /// <summary>Takes the next one that wants something; setting one of its times puts it back, and so does <see cref="Reset"/>.</summary>
    public bool TryTakeDue(Instant now, out Exchange exchange) => _timers.TryTake(now, out exchange);

    public void Clear()
    {
        foreach (var exchange in _byId.Values)
        {
            exchange.Place.List!.Remove(exchange.Place);
            _timers.Remove(exchange);
        }

        _byId.Clear();
    }

    private static bool Holds(Exchange exchange) => exchange.Place.List is not null;
}
