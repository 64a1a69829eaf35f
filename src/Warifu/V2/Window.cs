using System;
using System.Collections.Generic;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2;

/// <summary>Message ids, retransmission and the response cache (RFC 7296 sections 2.1 to 2.3) of one IKE SA, with a window of 1 in both directions.</summary>
internal sealed class Window(IkeSa sa)
{
    private readonly Queue<Exchange> _queue = new();
    private byte[]? _request;
    private int _sent;
    private TimeSpan _wait;
    private uint _nextSend;
    private uint _nextReceive;
    private byte[]? _response;
    private bool _answering;

    /// <summary>When the request is sent again.</summary>
    public Instant RetransmitAt { get; private set; } = Instant.Never;

    public Exchange? Active { get; private set; }

    public IReadOnlyCollection<Exchange> Queued => _queue;

    /// <summary>Nothing under way and nothing waiting.</summary>
    public bool IsIdle => Active is null && _queue.Count == 0;

    public uint NextReceive => _nextReceive;

    /// <summary>Queues an exchange and starts it when nothing else runs.</summary>
    public void Start(Exchange exchange)
    {
        if (_queue.Count >= ProtocolTimes.QueuedExchanges)
        {
            exchange.OnAbandoned(sa, "busy", "too many exchanges wait on this IKE SA");
            return;
        }

        _queue.Enqueue(exchange);
        if (Active is null) StartNext();
    }

    /// <summary>Starts an exchange at once, with the message id of the running one: INIT again with a cookie or another group.</summary>
    public void Restart(Exchange exchange)
    {
        _nextSend = 0;
        Active = null;
        Send(exchange);
    }

    public void StartNext()
    {
        while (Active is null && sa.State != IkeState.Closed && _queue.TryDequeue(out var exchange))
        {
            Send(exchange);
        }
    }

    /// <summary>True when a response belongs to the running exchange.</summary>
    public bool Expects(ExchangeType type, uint messageId) => Active is { } active && active.Type == type && messageId == _nextSend - 1;

    /// <summary>The running exchange is over; the caller lets it take its answer, then calls <see cref="StartNext"/>.</summary>
    public Exchange TakeActive()
    {
        var active = Active!;
        (Active, _request, RetransmitAt) = (null, null, Instant.Never);
        return active;
    }

    /// <summary>Sends the request again, or gives up. False when the peer counts as dead.</summary>
    public bool Retransmit()
    {
        if (Active is null || _request is null) return true;
        if (_sent > sa.Engine.Options.RetransmitTries) return false;
        Transmit();
        return true;
    }

    /// <summary>What to do with a request that carries <paramref name="messageId"/>.</summary>
    public DropReason Accept(uint messageId, out byte[]? again)
    {
        again = null;
        if (messageId == _nextReceive) return _answering ? DropReason.InProgress : DropReason.None;
        if (messageId + 1 != _nextReceive) return DropReason.OutOfWindow;
        // the same request again: the same answer, octet for octet (section 2.1)
        again = _response;
        return _response is null ? DropReason.OutOfWindow : DropReason.None;
    }

    /// <summary>A new request is being worked on; the answer may come later.</summary>
    public void BeginAnswer() => _answering = true;

    /// <summary>The answer to the request that is being worked on.</summary>
    public void Answered(byte[] response)
    {
        _answering = false;
        _response = response;
        _nextReceive++;
    }

    /// <summary>Ends everything; whoever waits is told.</summary>
    public void Abandon(string reason, string text)
    {
        var active = Active;
        (Active, _request, RetransmitAt) = (null, null, Instant.Never);
        active?.OnAbandoned(sa, reason, text);
        while (_queue.TryDequeue(out var exchange)) exchange.OnAbandoned(sa, reason, text);
    }

    /// <summary>Takes the exchanges that have not begun, for the IKE SA that replaces this one.</summary>
    public IEnumerable<Exchange> TakeQueued()
    {
        while (_queue.TryDequeue(out var exchange)) yield return exchange;
    }

    private void Send(Exchange exchange)
    {
        var builder = new MessageBuilder();
        if (!exchange.TryBuild(sa, builder)) return;
        Active = exchange;
        _request = sa.Seal(exchange.Type, isResponse: false, _nextSend++, builder);
        _sent = 0;
        _wait = sa.Engine.Options.RetransmitTimeout;
        Transmit();
    }

    private void Transmit()
    {
        sa.Transmit(_request!);
        sa.Count(Active!.Type, isResponse: false, outgoing: true);
        var jitter = 1 + (((sa.Engine.Entropy.NextDouble() * 2) - 1) * ProtocolTimes.RetransmitJitter);
        RetransmitAt = sa.Engine.Now + (_wait * jitter);
        _wait = _wait * ProtocolTimes.RetransmitFactor;
        if (_wait > ProtocolTimes.RetransmitLongest) _wait = ProtocolTimes.RetransmitLongest;
        _sent++;
        sa.Reschedule();
    }
}
