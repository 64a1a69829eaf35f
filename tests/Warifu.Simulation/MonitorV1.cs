using System;
using System.Collections.Generic;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.Simulation;

/// <summary>Watches what one host sends in IKEv1: message IDs (RFC 2408 section 3.1), how many messages an exchange has, repetitions octet for octet, back-off, and that no answer goes to an unproven address by a timer.</summary>
internal sealed class MonitorV1(World world, SimHost host, EngineOptions options)
{
    private const byte EncryptionFlag = 0x01;

    private readonly Dictionary<(ulong Cookie, uint MessageId), Stream> _streams = [];

    /// <param name="send">What goes out.</param>
    /// <param name="byTimer">Nothing but time made the host send it.</param>
    public void Sent(IkeAction.Send send, bool byTimer)
    {
        if (!IkeHeader.TryRead(send.Message, out var header))
        {
            world.Fail($"{host.Name} sends what is no IKE message");
            return;
        }

        // a refusal of another version
        if (header.MajorVersion != 1) return;

        var isPhaseOne = header.Exchange is ExchangeType.IdentityProtection or ExchangeType.Aggressive;
        var piece = PieceOf(send.Message);
        if (piece > 0) world.Reach("message sent in pieces");
        if (piece > 1) return;
        if (isPhaseOne != (header.MessageId == 0)) world.Fail($"{host.Name} sends {header.Exchange} with message id {header.MessageId}");
        if (!isPhaseOne && piece == 0 && (header.Flags & EncryptionFlag) == 0)
        {
            // before there are keys a refusal goes in clear
            if (header.Exchange != ExchangeType.InformationalV1) world.Fail($"{host.Name} sends {header.Exchange} in clear");
            return;
        }

        var stream = Of(header);
        var digest = MessageDigest.Of(send.Message);
        var at = stream.Sent.IndexOf(digest);
        if (at >= 0)
        {
            Repeated(header, stream, at, byTimer);
            return;
        }

        stream.Sent.Add(digest);
        if (stream.Sent.Count > Most(header, stream)) world.Fail($"{host.Name} sends {stream.Sent.Count} different messages in one {header.Exchange} exchange");
        (stream.Repeated, stream.At, stream.Wait) = (0, world.Now, default);
    }

    /// <summary>A genuine message has arrived: its message ID is taken.</summary>
    public void Received(in IkeHeader header)
    {
        if (header.MessageId != 0 && Of(header) is { Sent.Count: 0 } stream) stream.IsPeers = true;
    }

    /// <summary>Number of a piece; 0 for a whole message.</summary>
    public static int PieceOf(byte[] message) =>
        IkeHeader.TryRead(message, out var header) && (PayloadV1)header.NextPayload == PayloadV1.Fragment
            && ChainView.TryParse(PayloadV1.Fragment, message.AsSpan(IkeHeader.Length), decrypted: false, out var view) == ParseError.None && FragmentBody.TryParse(view.Body(0), out var piece) == ParseError.None ? piece.Number : 0;

    private void Repeated(in IkeHeader header, Stream stream, int at, bool byTimer)
    {
        if (header.Exchange == ExchangeType.InformationalV1) world.Fail($"{host.Name} sends an informational message twice: nobody answers it, and its message id is used up");
        if (at != stream.Sent.Count - 1) world.Fail($"{host.Name} repeats message {at + 1} of {header.Exchange} after the next one");
        if (!byTimer) return;
        world.Reach("request repeated");
        // Amplification: nobody has proven that he receives at the address of the first message
        var isOurs = header.ResponderSpi.IsZero || header.InitiatorSpi.Value >> 60 == (ulong)host.Shard >> 4;
        if (header.MessageId == 0 && !isOurs) world.Fail($"{host.Name} repeats an answer of phase 1 by a timer");
        // the first message goes on and on where the connection is kept up; message 3 of aggressive mode goes before others
        if (header.ResponderSpi.IsZero || header.Exchange == ExchangeType.Aggressive) return;
        if (++stream.Repeated > options.RetransmitTries) world.Fail($"{host.Name} repeats a message of {header.Exchange} {stream.Repeated} times");
        var wait = world.Now - stream.At;
        if (wait < stream.Wait * 1.4 && wait < ProtocolTimes.RetransmitLongest * 0.85) world.Fail($"{host.Name} repeats a message of {header.Exchange} after {wait}, before after {stream.Wait}");
        (stream.Wait, stream.At) = (wait, world.Now);
    }

    private static int Most(in IkeHeader header, Stream stream) => header.Exchange switch
    {
        ExchangeType.IdentityProtection => 3,
        ExchangeType.InformationalV1 => 1,
        _ => stream.IsPeers ? 1 : 2,
    };

    private Stream Of(in IkeHeader header)
    {
        // phase 1 may begin twice with one cookie of the initiator, where the first message is played again
        var cookie = header.MessageId == 0 && !header.ResponderSpi.IsZero && header.ResponderSpi.Value >> 60 == (ulong)host.Shard >> 4 ? header.ResponderSpi.Value : header.InitiatorSpi.Value;
        if (!_streams.TryGetValue((cookie, header.MessageId), out var stream)) _streams.Add((cookie, header.MessageId), stream = new Stream());
        return stream;
    }

    private sealed class Stream
    {
        /// <summary>The peer began it.</summary>
        public bool IsPeers { get; set; }

        /// <summary>Digests of our messages.</summary>
        public List<UInt128> Sent { get; } = [];

        /// <summary>How often a timer repeated the last one.</summary>
        public int Repeated { get; set; }

        public Instant At { get; set; }

        public TimeSpan Wait { get; set; }
    }
}
