using System;
using System.Collections.Generic;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.V2;
using Warifu.Wire;

namespace Warifu.Simulation;

/// <summary>Watches what one host sends: message ids, the window of one, repetitions octet for octet, back-off (RFC 7296 sections 2.1 to 2.4).</summary>
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
        if (header.NextPayload != PayloadType.Sk) return;

        var spis = (header.InitiatorSpi.Value, header.ResponderSpi.Value);
        var digest = Window.DigestOf(message);
        if (header.IsResponse)
        {
            if (!_answers.TryAdd((spis.Item1, spis.Item2, header.MessageId), digest) && _answers[(spis.Item1, spis.Item2, header.MessageId)] != digest)
                world.Fail($"{host.Name} answers request {header.MessageId} twice with different octets");
            return;
        }

        if (!_streams.TryGetValue(spis, out var stream))
        {
            if (header.MessageId > 1) world.Fail($"{host.Name} begins with message id {header.MessageId}");
            _streams.Add(spis, stream = new Stream { Id = header.MessageId, Digest = digest, At = world.Now, Count = 1 });
            return;
        }

        if (header.MessageId == stream.Id)
        {
            if (digest != stream.Digest) world.Fail($"{host.Name} repeats request {header.MessageId} with other octets");
            if (stream.IsAnswered) world.Fail($"{host.Name} repeats request {header.MessageId}, which was answered");
            if (++stream.Count > options.RetransmitTries + 1) world.Fail($"{host.Name} sends request {header.MessageId} {stream.Count} times");
            var wait = world.Now - stream.At;
            // 1.8 times the wait before, each 10 % more or less, at most half a minute
            if (wait < stream.Wait * 1.4 && wait < ProtocolTimes.RetransmitLongest * 0.85) world.Fail($"{host.Name} repeats request {header.MessageId} after {wait}, before after {stream.Wait}");
            (stream.Wait, stream.At) = (wait, world.Now);
            world.Reach("request repeated");
            return;
        }

        if (header.MessageId != stream.Id + 1) world.Fail($"{host.Name} sends request {header.MessageId} after {stream.Id}");
        if (!stream.IsAnswered) world.Fail($"{host.Name} sends request {header.MessageId} before {stream.Id} is answered: the window is 1");
        (stream.Id, stream.Digest, stream.At, stream.Count, stream.Wait, stream.IsAnswered) = (header.MessageId, digest, world.Now, 1, default, false);
    }

    /// <summary>A genuine response has arrived.</summary>
    public void Answered(in IkeHeader header)
    {
        if (_streams.TryGetValue((header.InitiatorSpi.Value, header.ResponderSpi.Value), out var stream) && header.MessageId == stream.Id) stream.IsAnswered = true;
    }

    private void SentFirst(in IkeHeader header, ReadOnlySpan<byte> message)
    {
        if (header.MessageId != 0) world.Fail($"{host.Name} sends IKE_SA_INIT with message id {header.MessageId}");
        if (!header.IsResponse || MessageView.TryParse(header.NextPayload, message[IkeHeader.Length..], out var view) != ParseError.None) return;
        if (view.HasNotify(NotifyType.Cookie)) world.Reach("cookie demanded");
        if (view.HasNotify(NotifyType.InvalidKePayload)) world.Reach("other group demanded");
    }

    private sealed class Stream
    {
        public uint Id { get; set; }

        public UInt128 Digest { get; set; }

        public Instant At { get; set; }

        public TimeSpan Wait { get; set; }

        public int Count { get; set; }

        public bool IsAnswered { get; set; }
    }
}
