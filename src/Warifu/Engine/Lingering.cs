using System;
using System.Collections.Generic;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>The last answers of IKE SAs that are gone: a peer that did not get one asks again, octet for octet, and gets it again (RFC 7296 section 2.1). Nothing secret stays for it.</summary>
internal sealed class Lingering
{
    private readonly Dictionary<ulong, Entry> _bySpi = [];
    private readonly Queue<(ulong Spi, Instant Until)> _order = new();

    public int Count => _bySpi.Count;

    /// <summary>When the oldest may be forgotten.</summary>
    public Instant Next => _order.TryPeek(out var first) ? first.Until : Instant.Never;

    public void Add(IkeSpi own, UInt128 request, byte[][] answer, Instant now)
    {
        if (_bySpi.Count >= ProtocolTimes.LingeringAnswers || !_bySpi.TryAdd(own.Value, new Entry(request, answer))) return;
        _order.Enqueue((own.Value, now + ProtocolTimes.Linger));
    }

    public bool Holds(IkeSpi own) => _bySpi.ContainsKey(own.Value);

    public byte[][]? Find(IkeSpi own, UInt128 request) => _bySpi.TryGetValue(own.Value, out var entry) && entry.Request == request ? entry.Answer : null;

    public void Expire(Instant now)
    {
        while (_order.TryPeek(out var first) && first.Until <= now)
        {
            _order.Dequeue();
            _bySpi.Remove(first.Spi);
        }
    }

    private readonly record struct Entry(UInt128 Request, byte[][] Answer);
}
