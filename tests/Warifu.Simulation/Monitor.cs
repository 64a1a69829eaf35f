using System;
using System.Collections.Generic;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.V2;
using Warifu.Wire;

namespace Warifu.Simulation;

/// <summary>Watches what one host sends: message ids, the window, repetitions octet for octet, back-off (RFC 7296 sections 2.1 to 2.4).</summary>
internal sealed class Monitor(World world, SimHost host, EngineOptions options)
{
    private readonly Dictionary<(ulong, ulong), Stream> _streams = [];
    private readonly Dictionary<(ulong, ulong, uint), UInt128> _answers = [];

    public void Sent(IkeAction.Send send)
    {
        var message = send.Message;
        if (!IkeHeader.TryRead(message, out var header))
        {
            world.Fail($"{host.Name} sends what is no IKE message");
            return;
        }

        if (header.Exchange == ExchangeType.IkeSaInit)
        {
            SentFirst(header, message);
            return;
        }

        // an answer in clear to another version
        if (header.NextPayload is not (PayloadType.Sk or PayloadType.Skf)) return;
        var (number, total) = FragmentOf(message);
        if (number > 0) world.Reach("message sent in fragments");
        if (number > 1) return;

        var spis = (header.InitiatorSpi.Value, header.ResponderSpi.Value);
        var digest = Window.DigestOf(message);
        if (header.IsResponse)
        {
            // after smaller fragments of the request the answer is cut anew, too
            if (number == 0 && !_answers.TryAdd((spis.Item1, spis.Item2, header.MessageId), digest) && _answers[(spis.Item1, spis.Item2, header.MessageId)] != digest)
                world.Fail($"{host.Name} answers request {header.MessageId} twice with different octets");
            return;
        }

        if (!_streams.TryGetValue(spis, out var stream))
        {
            if (header.MessageId > 1) world.Fail($"{host.Name} begins with message id {header.MessageId}");
            _streams.Add(spis, stream = new Stream { Next = header.MessageId });
        }

        if (header.MessageId == stream.Next)
        {
            stream.Next++;
            // RFC 7296 section 2.3: all up to this one less the window are answered
            foreach (var open in stream.Sent.Values)
            {
                if (!open.IsAnswered && header.MessageId - open.Id >= host.WindowOf(header)) world.Fail($"{host.Name} sends request {header.MessageId} before {open.Id} is answered: the window is {host.WindowOf(header)}");
                if (!open.IsAnswered) world.Reach("several requests at once");
            }

            stream.Sent.Add(header.MessageId, new Request { Id = header.MessageId, Digest = digest, Total = total, At = world.Now, Count = 1, Path = (send.Local, send.Remote) });
            stream.Sent.Remove(header.MessageId - (2 * ProtocolTimes.RequestsAtOnce));
            return;
        }

        if (!stream.Sent.TryGetValue(header.MessageId, out var request))
        {
            world.Fail($"{host.Name} sends request {header.MessageId} after {stream.Next - 1}");
            return;
        }

        if (total > request.Total)
        {
            // RFC 7383 section 2.5.2: a smaller size is tried, with timers of its own
            if (request.Count < ProtocolTimes.FragmentProbes) world.Fail($"{host.Name} cuts request {header.MessageId} smaller after {request.Count} tries");
            world.Reach("smaller fragments tried");
            (request.Digest, request.Total, request.Count, request.Wait, request.At) = (digest, total, 1, default, world.Now);
            return;
        }

        if (digest != request.Digest) world.Fail($"{host.Name} repeats request {header.MessageId} with other octets");
        if (request.IsAnswered) world.Fail($"{host.Name} repeats request {header.MessageId}, which was answered");
        if (request.Path != (send.Local, send.Remote))
        {
            // the peer has moved: what perhaps never reached it has all its tries again (RFC 4555 section 3.5)
            world.Reach("request repeated on a new path");
            (request.Path, request.Count, request.Wait, request.At) = ((send.Local, send.Remote), 1, default, world.Now);
            return;
        }

        if (++request.Count > options.RetransmitTries + (world.Plan.Threshold > 0 ? 4 : 1)) world.Fail($"{host.Name} sends request {header.MessageId} {request.Count} times");
        var wait = world.Now - request.At;
        // 1.8 times the wait before, each 10 % more or less, at most half a minute
        if (wait < request.Wait * 1.4 && wait < ProtocolTimes.RetransmitLongest * 0.85) world.Fail($"{host.Name} repeats request {header.MessageId} after {wait}, before after {request.Wait}");
        (request.Wait, request.At) = (wait, world.Now);
        world.Reach("request repeated");
    }

    /// <summary>A genuine response has arrived.</summary>
    public void Answered(in IkeHeader header, byte[] message)
    {
        if (!_streams.TryGetValue((header.InitiatorSpi.Value, header.ResponderSpi.Value), out var stream) || !stream.Sent.TryGetValue(header.MessageId, out var request)) return;
        var (number, total) = FragmentOf(message);
        // a set of more fragments replaces an unfinished one; what is left of that is ignored (RFC 7383 section 2.6)
        // one that does not become complete in time is forgotten
        if (total > request.CameTotal || world.Now - request.CameAt >= ProtocolTimes.Reassembly)
        {
            request.Came.Clear();
            (request.CameTotal, request.CameAt) = (total, world.Now);
        }

        if (number > 0 && total == request.CameTotal) request.Came.Add(number);
        if (number == 0 || (total == request.CameTotal && request.Came.Count == total)) request.IsAnswered = true;
    }

    /// <summary>Number and total of a fragment; 0 and 1 for a whole message.</summary>
    public static (int Number, int Total) FragmentOf(byte[] message) =>
        IkeHeader.TryRead(message, out var header) && header.NextPayload == PayloadType.Skf && SkFraming.TryLocate(header, message, out var sk) == ParseError.None ? (sk.Fragment, sk.Total) : (0, 1);

    private void SentFirst(in IkeHeader header, ReadOnlySpan<byte> message)
    {
        if (header.MessageId != 0) world.Fail($"{host.Name} sends IKE_SA_INIT with message id {header.MessageId}");
        if (!header.IsResponse || MessageView.TryParse(header.NextPayload, message[IkeHeader.Length..], out var view) != ParseError.None) return;
        if (view.HasNotify(NotifyType.Cookie)) world.Reach("cookie demanded");
        if (view.HasNotify(NotifyType.InvalidKePayload)) world.Reach("other group demanded");
    }

    private sealed class Stream
    {
        public uint Next { get; set; }

        /// <summary>The last ones.</summary>
        public Dictionary<uint, Request> Sent { get; } = [];
    }

    private sealed class Request
    {
        public uint Id { get; init; }

        public UInt128 Digest { get; set; }

        public int Total { get; set; }

        /// <summary>Fragments of the answer.</summary>
        public HashSet<int> Came { get; } = [];

        public int CameTotal { get; set; }

        /// <summary>The first of them.</summary>
        public Instant CameAt { get; set; }

        public (Endpoint Local, Endpoint Remote) Path { get; set; }

        public Instant At { get; set; }

        public TimeSpan Wait { get; set; }

        public int Count { get; set; }

        public bool IsAnswered { get; set; }
    }
}
