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

/// <summary>
/// Message ids, retransmission and the response cache (RFC 7296 sections 2.1 to 2.3) of one IKE SA. We take one request at a time. As many of ours are under way as the peer's SET_WINDOW_SIZE allows, if they may run
/// beside each other; all others run alone, in the order in which they were wanted.
/// </summary>
internal sealed class Window(IkeSa sa)
{
    private readonly Queue<Exchange> _queue = new();
    private readonly List<Request> _running = [];
    private uint _nextSend;
    private uint _nextReceive;
    private byte[][]? _response;
    private UInt128 _requestDigest;
    private bool _answering;

    /// <summary>Requests that may be under way at the same time.</summary>
    public uint Size { get; private set; } = 1;

    /// <summary>How often a running request was sent at most.</summary>
    public int Sent => _running.Count == 0 ? 0 : _running.Max(one => one.Sent);

    /// <summary>When a request is sent again.</summary>
    public Instant RetransmitAt
    {
        get
        {
            var next = Instant.Never;
            foreach (var one in _running) next = Instant.Min(next, one.At);
            return next;
        }
    }

    /// <summary>The exchange under way; of several, which are creations of children, the oldest.</summary>
    public Exchange? Active => _running.Count == 0 ? null : _running[0].Exchange;

    public IEnumerable<Exchange> Running => _running.Select(one => one.Exchange);

    /// <summary>Creations of children, under way or waiting.</summary>
    public IEnumerable<CreateChildExchange> Creations => CreateChildExchange.NewOf(Running.Concat(_queue));

    public IReadOnlyCollection<Exchange> Queued => _queue;

    /// <summary>Nothing under way and nothing waiting.</summary>
    public bool IsIdle => _running.Count == 0 && _queue.Count == 0;

    public uint NextReceive => _nextReceive;

    /// <summary>A request of the peer is being worked on.</summary>
    public bool IsAnswering => _answering;

    /// <summary>The peer takes that many requests at once (section 2.3). It never becomes less; a rekeyed IKE SA begins with one again.</summary>
    public void Widen(ReadOnlySpan<byte> data)
    {
        if (data.Length == 4) Size = Math.Max(Size, Math.Min(BinaryPrimitives.ReadUInt32BigEndian(data), ProtocolTimes.RequestsAtOnce));
    }

    /// <summary>The creation of a child that is under way.</summary>
    public CreateChildExchange? Creating(string child)
    {
        foreach (var one in _running)
        {
            if (one.Exchange is CreateChildExchange { Old: null } creation && creation.Request.Config.Name == child) return creation;
        }

        return null;
    }

    /// <summary>Queues an exchange and starts it when nothing else runs that it must wait for.</summary>
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
        StartNext();
    }

    /// <summary>Queues an exchange before all others that wait.</summary>
    public void StartFirst(Exchange exchange)
    {
        var others = _queue.ToArray();
        _queue.Clear();
        _queue.Enqueue(exchange);
        foreach (var other in others) _queue.Enqueue(other);
        StartNext();
    }

    /// <summary>The path has changed: what is under way, which perhaps never reached the peer, goes out at once, and has all its tries again (RFC 4555 section 3.5).</summary>
    /// <param name="isProbe">Nobody knows whether this path works: its tries go on being counted.</param>
    public void Repeat(bool isProbe = false)
    {
        foreach (var one in _running)
        {
            if (!isProbe)
            {
                (one.Sent, one.Wait) = (0, sa.Engine.Options.RetransmitTimeout);
                Transmit(one);
            }
            else if (one.Sent <= sa.Engine.Options.RetransmitTries)
            {
                sa.Transmit(one.Message);
            }
        }
    }

    /// <summary>Starts an exchange at once, with the message id of the running one: INIT again with a cookie or another group.</summary>
    public void Restart(Exchange exchange)
    {
        _nextSend = 0;
        _running.Clear();
        Send(exchange);
    }

    public void StartNext()
    {
        while (sa.State != IkeState.Closed && _queue.TryPeek(out var next) && MayRun(next))
        {
            _queue.Dequeue();
            Send(next);
        }
    }

    /// <summary>True when a response belongs to a running exchange.</summary>
    public bool Expects(ExchangeType type, uint messageId) => IndexOf(messageId) is >= 0 and var index && _running[index].Exchange.Type == type;

    /// <summary>A request with this number waits for its answer.</summary>
    public bool Expects(uint messageId) => IndexOf(messageId) >= 0;

    /// <summary>Nothing is sent again until <see cref="Restart"/>.</summary>
    public void Pause()
    {
        foreach (var one in _running) one.At = Instant.Never;
    }

    /// <summary>The exchange that waits for this answer is over; the caller lets it take it, then calls <see cref="StartNext"/>.</summary>
    public Exchange Take(uint messageId)
    {
        var index = IndexOf(messageId);
        var taken = _running[index];
        _running.RemoveAt(index);
        // what got through is where the next message begins (RFC 7383 section 2.5.2)
        if (taken.PacketLimit < Fragments.PacketLimit(sa)) sa.Peer.PacketLength = taken.PacketLimit;
        return taken.Exchange;
    }

    /// <summary>Sends requests again whose time has come, or gives up. False when the peer counts as dead.</summary>
    public bool Retransmit()
    {
        var isSilent = false;
        foreach (var one in _running)
        {
            if (one.At > sa.Engine.Now) continue;
            if (one.Exchange.GiveUpAt == Instant.Never ? one.Sent > sa.Engine.Options.RetransmitTries : sa.Engine.Now >= one.Exchange.GiveUpAt) return false;
            if (one.Exchange is InitExchange init) init.OnRepeat();
            // perhaps the path does not take packets of this size (RFC 7383 section 2.5.2): the smaller ones get their own time
            if (one.Sent >= ProtocolTimes.FragmentProbes && Fragments.TryCutSmaller(sa, one.Message, ref one.PacketLimit, int.MaxValue, out var smaller)) (one.Message, one.Sent, one.Wait) = (smaller, 0, sa.Engine.Options.RetransmitTimeout);
            Transmit(one);
            isSilent |= one.Sent > ProtocolTimes.PathProbes;
        }

        if (isSilent) Mobike.Probe(sa);
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
        Exchange[] exchanges = [.. Running, .. TakeQueued(), .. later];
        _running.Clear();
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

    /// <summary>Takes the creations of children that are under way; nothing else is sent on this IKE SA.</summary>
    public List<CreateChildExchange> TakeRunningCreations()
    {
        var creations = CreateChildExchange.NewOf(Running).Where(creation => creation.TryMove(sa)).ToList();
        if (creations.Count > 0) _running.Clear();
        return creations;
    }

    /// <summary>Ends everything; whoever waits is told.</summary>
    public void Abandon(string reason, string text)
    {
        var running = Running.ToArray();
        _running.Clear();
        foreach (var exchange in running) exchange.OnAbandoned(sa, reason, text);
        while (_queue.TryDequeue(out var exchange)) exchange.OnAbandoned(sa, reason, text);
    }

    /// <summary>Takes the exchanges that have not begun, for the IKE SA that replaces this one.</summary>
    public IEnumerable<Exchange> TakeQueued()
    {
        while (_queue.TryDequeue(out var exchange)) yield return exchange;
    }

    /// <summary>Nothing is under way; or the peer has room, and all that is under way may have this one beside it.</summary>
    private bool MayRun(Exchange next)
    {
        if (_running.Count == 0) return true;
        // request X waits until all up to X - N are answered (section 2.3)
        if (_nextSend - _running[0].MessageId >= Size) return false;
        foreach (var one in _running)
        {
            if (!next.MayRunBeside(one.Exchange)) return false;
        }

        return true;
    }

    private int IndexOf(uint messageId)
    {
        for (var i = 0; i < _running.Count; i++)
        {
            if (_running[i].MessageId == messageId) return i;
        }

        return -1;
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
        var limit = Fragments.PacketLimit(sa);
        var request = new Request { Exchange = exchange, MessageId = _nextSend, Message = sa.Seal(exchange.Type, isResponse: false, _nextSend, builder, limit), PacketLimit = limit, Wait = sa.Engine.Options.RetransmitTimeout };
        _nextSend++;
        _running.Add(request);
        // the number never wraps (section 2.2)
        if (_nextSend == ProtocolTimes.MessageIdsSoft && sa.State == IkeState.Established) sa.RekeyAt = sa.Engine.Now;
        Transmit(request);
    }

    private void Transmit(Request request)
    {
        sa.Transmit(request.Message);
        sa.Count(request.Exchange.Type, isResponse: false, outgoing: true);
        var jitter = 1 + (((sa.Engine.Entropy.NextDouble() * 2) - 1) * ProtocolTimes.RetransmitJitter);
        request.At = Instant.Min(sa.Engine.Now + (request.Wait * jitter), request.Exchange.GiveUpAt);
        request.Wait *= ProtocolTimes.RetransmitFactor;
        if (request.Wait > ProtocolTimes.RetransmitLongest) request.Wait = ProtocolTimes.RetransmitLongest;
        request.Sent++;
        sa.Reschedule();
    }

    /// <summary>A request without an answer: its octets, and when it goes out again.</summary>
    private sealed class Request
    {
        public required Exchange Exchange { get; init; }

        public required uint MessageId { get; init; }

        public required byte[][] Message { get; set; }

        /// <summary>How large its packets are at most; smaller ones are tried in time.</summary>
        public required int PacketLimit;

        public required TimeSpan Wait { get; set; }

        public int Sent { get; set; }

        public Instant At { get; set; }
    }
}
