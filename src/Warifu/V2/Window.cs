using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.V2.Exchanges;
using Warifu.Wire;

namespace Warifu.V2;

/// <summary>Message ids, retransmission and the response cache (RFC 7296 sections 2.1 to 2.3) of one IKE SA, with a window of 1 in both directions.</summary>
internal sealed class Window(IkeSa sa)
{
    private readonly Queue<Exchange> _queue = new();
    private byte[][]? _request;
    private int _requestLimit;
    private int _sent;
    private TimeSpan _wait;
    private uint _nextSend;
    private uint _nextReceive;
    private byte[][]? _response;
    private UInt128 _requestDigest;
    private bool _answering;

    /// <summary>How often the running request was sent.</summary>
    public int Sent => _sent;

    /// <summary>When the request is sent again.</summary>
    public Instant RetransmitAt { get; private set; } = Instant.Never;

    public Exchange? Active { get; private set; }

    public IReadOnlyCollection<Exchange> Queued => _queue;

    /// <summary>Nothing under way and nothing waiting.</summary>
    public bool IsIdle => Active is null && _queue.Count == 0;

    public uint NextReceive => _nextReceive;

    /// <summary>A request of the peer is being worked on.</summary>
    public bool IsAnswering => _answering;

    /// <summary>Queues an exchange and starts it when nothing else runs.</summary>
    public void Start(Exchange exchange)
    {
        // what was meant for an IKE SA that was rekeyed goes to the one that replaced it; its own delete is the last request on it (section 2.8)
        if (sa is { State: IkeState.Rekeyed or IkeState.Closed, Successor: { } successor } && exchange is not DeleteIkeExchange)
        {
            successor.Window.Start(exchange);
            return;
        }

        if (sa.State == IkeState.Closed)
        {
            exchange.OnAbandoned(sa, "closed", "the IKE SA is closed");
            return;
        }

        if (_queue.Count >= ProtocolTimes.QueuedExchanges)
        {
            exchange.OnAbandoned(sa, "busy", "too many exchanges wait on this IKE SA");
            return;
        }

        _queue.Enqueue(exchange);
        if (Active is null) StartNext();
    }

    /// <summary>Queues an exchange before all others that wait.</summary>
    public void StartFirst(Exchange exchange)
    {
        var others = _queue.ToArray();
        _queue.Clear();
        _queue.Enqueue(exchange);
        foreach (var other in others) _queue.Enqueue(other);
        if (Active is null) StartNext();
    }

    /// <summary>The path has changed: the running request, which perhaps never reached the peer, goes out at once, and has all its tries again (RFC 4555 section 3.5).</summary>
    /// <param name="isProbe">Nobody knows whether this path works: its tries go on being counted.</param>
    public void Repeat(bool isProbe = false)
    {
        if (Active is null || _request is null) return;
        if (isProbe)
        {
            if (_sent <= sa.Engine.Options.RetransmitTries) sa.Transmit(_request);
            return;
        }

        _sent = 0;
        _wait = sa.Engine.Options.RetransmitTimeout;
        Transmit();
    }

    /// <summary>Starts an exchange at once, with the message id of the running one: INIT again with a cookie or another group.</summary>
    public void Restart(Exchange exchange)
    {
        _nextSend = 0;
        (Active, _request, RetransmitAt) = (null, null, Instant.Never);
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

    /// <summary>Nothing is sent again until <see cref="Restart"/>.</summary>
    public void Pause() => RetransmitAt = Instant.Never;

    /// <summary>The running exchange is over; the caller lets it take its answer, then calls <see cref="StartNext"/>.</summary>
    public Exchange TakeActive()
    {
        var active = Active!;
        // what got through is where the next message begins (RFC 7383 section 2.5.2)
        if (_requestLimit < Fragments.PacketLimit(sa)) sa.Peer.PacketLength = _requestLimit;
        (Active, _request, RetransmitAt) = (null, null, Instant.Never);
        return active;
    }

    /// <summary>Sends the request again, or gives up. False when the peer counts as dead.</summary>
    public bool Retransmit()
    {
        if (Active is null || _request is null) return true;
        if (Active.GiveUpAt == Instant.Never ? _sent > sa.Engine.Options.RetransmitTries : sa.Engine.Now >= Active.GiveUpAt) return false;
        if (Active is InitExchange init) init.OnRepeat();
        // perhaps the path does not take packets of this size (RFC 7383 section 2.5.2): the smaller ones get their own time
        if (_sent >= ProtocolTimes.FragmentProbes && Fragments.TryCutSmaller(sa, _request, ref _requestLimit, int.MaxValue, out var smaller)) (_request, _sent, _wait) = (smaller, 0, sa.Engine.Options.RetransmitTimeout);
        Transmit();
        if (_sent > ProtocolTimes.PathProbes) Mobike.Probe(sa);
        return true;
    }

    /// <summary>What to do with a request that carries <paramref name="messageId"/>.</summary>
    public DropReason Accept(uint messageId, ReadOnlySpan<byte> message, out byte[][]? again)
    {
        again = null;
        // the last number is never used: the IKE SA is rekeyed or closed before (section 2.2)
        if (messageId == _nextReceive) return _answering ? DropReason.InProgress : messageId == uint.MaxValue ? DropReason.OutOfWindow : DropReason.None;
        if (messageId + 1 != _nextReceive || _response is null) return DropReason.OutOfWindow;
        // the same request, octet for octet, gets the same answer, octet for octet (section 2.1); anything else with its number gets none
        if (DigestOf(message) != _requestDigest) return DropReason.OutOfWindow;
        again = _response;
        return DropReason.None;
    }

    /// <summary>The request with this number was answered, and a repetition of it may come.</summary>
    public bool HasAnswered(uint messageId) => messageId + 1 == _nextReceive && _response is not null;

    /// <summary>The answer to a request whose fragments come again, and have been authenticated: where they became smaller, it does too.</summary>
    public byte[][] AnswerAgain(int packetLength)
    {
        var limit = int.MaxValue;
        if (Fragments.TryCutSmaller(sa, _response!, ref limit, packetLength, out var smaller)) _response = smaller;
        return _response!;
    }

    /// <summary>The answer to IKE_SA_INIT, whose repetitions the engine recognises.</summary>
    public byte[]? FirstAnswer => _nextReceive == 1 ? _response?[0] : null;

    /// <summary>A new request is being worked on; the answer may come later.</summary>
    public void BeginAnswer(UInt128 digest) => (_answering, _requestDigest) = (true, digest);

    /// <summary>The last answer and the request that it belongs to.</summary>
    public (UInt128 Request, byte[][] Answer)? LastAnswer => _response is null || _answering ? null : (_requestDigest, _response);

    /// <summary>Goes on with other message ids.</summary>
    public void ContinueAt(uint nextSend, uint nextReceive) => (_nextSend, _nextReceive) = (nextSend, nextReceive);

    public static UInt128 DigestOf(ReadOnlySpan<byte> message)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(message, digest);
        return BinaryPrimitives.ReadUInt128BigEndian(digest);
    }

    /// <summary>The answer to the request that is being worked on.</summary>
    public void Answered(byte[][] response)
    {
        _answering = false;
        _response = response;
        if (++_nextReceive == ProtocolTimes.MessageIdsSoft) sa.RekeyAt = sa.Engine.Now;
    }

    /// <summary>Ends everything; what the IKE SA that replaced this one can do is done there.</summary>
    public void MoveTo(IkeSa successor, List<Exchange> later)
    {
        Exchange[] exchanges = Active is null ? [.. TakeQueued(), .. later] : [Active, .. TakeQueued(), .. later];
        (Active, _request, RetransmitAt) = (null, null, Instant.Never);
        later.Clear();
        foreach (var exchange in exchanges)
        {
            if (exchange.TryMove(sa)) successor.Window.Start(exchange);
            else exchange.OnAbandoned(sa, "rekeyed", "replaced by a rekeyed IKE SA");
        }
    }

    /// <summary>Takes the creations of children that have not begun.</summary>
    public List<CreateChildExchange> TakeCreations(List<Exchange> later)
    {
        var creations = new List<CreateChildExchange>();
        bool Takes(Exchange exchange)
        {
            if (exchange is not CreateChildExchange { Old: null } creation) return false;
            creations.Add(creation);
            return true;
        }

        foreach (var exchange in TakeQueued().ToArray())
        {
            if (!Takes(exchange)) _queue.Enqueue(exchange);
        }

        later.RemoveAll(Takes);
        creations.ForEach(creation => creation.TryMove(sa));
        return creations;
    }

    /// <summary>Takes the creation of a child that is under way; nothing else is sent on this IKE SA.</summary>
    public CreateChildExchange? TakeActiveCreation()
    {
        if (Active is not CreateChildExchange { Old: null } creation || !creation.TryMove(sa)) return null;
        (Active, _request, RetransmitAt) = (null, null, Instant.Never);
        return creation;
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
        if (_nextSend == uint.MaxValue)
        {
            exchange.OnAbandoned(sa, "expired", "all message ids are used");
            sa.Close("expired", "all message ids are used");
            return;
        }

        var builder = new MessageBuilder();
        if (!exchange.TryBuild(sa, builder)) return;
        if (exchange is { Type: ExchangeType.Informational } and not UpdateAddressesExchange) Mobike.AskMapping(sa, builder);
        Active = exchange;
        _requestLimit = Fragments.PacketLimit(sa);
        _request = sa.Seal(exchange.Type, isResponse: false, _nextSend++, builder, _requestLimit);
        // the number never wraps (section 2.2)
        if (_nextSend == ProtocolTimes.MessageIdsSoft && sa.State == IkeState.Established) sa.RekeyAt = sa.Engine.Now;
        _sent = 0;
        _wait = sa.Engine.Options.RetransmitTimeout;
        Transmit();
    }

    private void Transmit()
    {
        sa.Transmit(_request!);
        sa.Count(Active!.Type, isResponse: false, outgoing: true);
        var jitter = 1 + (((sa.Engine.Entropy.NextDouble() * 2) - 1) * ProtocolTimes.RetransmitJitter);
        RetransmitAt = Instant.Min(sa.Engine.Now + (_wait * jitter), Active.GiveUpAt);
        _wait = _wait * ProtocolTimes.RetransmitFactor;
        if (_wait > ProtocolTimes.RetransmitLongest) _wait = ProtocolTimes.RetransmitLongest;
        _sent++;
        sa.Reschedule();
    }
}
