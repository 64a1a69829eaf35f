using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.V1;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.Fuzz;

/// <summary>
/// IKEv1 at the engine's door: messages of every exchange, changed in clear, in their ciphertext, and in their plaintext behind right encryption and a HASH that fits, to engines in every state. Our own bugs surface as
/// exceptions here; one datagram gets one answer at most; half-open state goes; the data plane has no pair that no SA knows.
/// </summary>
internal sealed class V1Target : FuzzTarget
{
    private static readonly ExchangeType[] s_exchanges = [ExchangeType.IdentityProtection, ExchangeType.Aggressive, ExchangeType.InformationalV1, ExchangeType.QuickMode, ExchangeType.ModeConfig, (ExchangeType)1, (ExchangeType)33];

    private static readonly NotifyV1[] s_notifies = Enum.GetValues<NotifyV1>();

    private static readonly PayloadV1[] s_types = Enum.GetValues<PayloadV1>();

    private readonly byte[][] _corpus = [.. RecordedTrace.Version1.Select(RecordedTrace.Load).SelectMany(trace => trace.Messages).Select(message => message.Octets)];

    public override string Name => "v1";

    public override string What => "messages of IKEv1 in clear and sealed against the IKE engine in every state";

    public override void Try(ulong seed)
    {
        var luck = new SeededEntropy(seed);
        switch (luck.Below(4))
        {
            case 0:
                ToAStranger(luck, seed);
                break;
            case 1:
                OnTheWay(luck, seed);
                break;
            default:
                Established(luck, seed);
                break;
        }
    }

    /// <summary>First messages of both modes at a responder that knows nobody yet.</summary>
    private void ToAStranger(SeededEntropy luck, ulong seed)
    {
        var aggressive = luck.Chance(0.5);
        using var pair = Pair(seed, luck, aggressive);
        pair.Left.Up("net", "net", pair.Now);
        var own = pair.Left.Outbox.Peek().Message;
        pair.Left.Outbox.Clear();
        for (var i = 0; i < 40; i++)
        {
            var message = Changed(luck, luck.Chance(0.7) ? own : _corpus[luck.Below(_corpus.Length)]);
            Knock(pair, pair.Right, message, aggressive ? 3 : 1);
        }

        pair.Right.Outbox.Clear();
        var later = pair.Now + TimeSpan.FromMinutes(2);
        while (pair.Right.Engine.NextTimeout <= later) pair.Right.Wake(pair.Right.Engine.NextTimeout);
        Must(pair.Right.Outbox.Count == 0, "an answer was repeated by a timer to an address that nobody verified");
        Must(pair.Right.Engine.Snapshot() is { IkeSas.IsEmpty: true, HalfOpen: 0 } && pair.Right.Installed.Count == 0, "state is left");
    }

    /// <summary>One message of a negotiation comes first in other shapes, in clear, in ciphertext and in plaintext.</summary>
    private static void OnTheWay(SeededEntropy luck, ulong seed)
    {
        var aggressive = luck.Chance(0.4);
        using var pair = Pair(seed, luck, aggressive);
        var target = luck.Below(aggressive ? 6 : 9);
        var generator = new Payloads(luck);
        pair.Wire = (number, from, sent) =>
        {
            if (number != target) return 1;
            var to = from == pair.Left ? pair.Right : pair.Left;
            for (var i = 0; i < 12; i++)
            {
                var wrong = luck.Chance(0.5) && Resealed(pair, from, sent.Message, luck, generator) is { } inner ? inner : Changed(luck, sent.Message);
                to.Receive(sent.Remote, sent.Local, wrong, pair.Now);
            }

            return 1;
        };
        pair.Left.Up("net", "net", pair.Now);
        pair.Run();
        pair.Wire = null;
        pair.Run(TimeSpan.FromMinutes(6));
        foreach (var host in new[] { pair.Left, pair.Right })
        {
            Must(host.Engine.Snapshot().HalfOpen == 0, "half-open state is left");
            Consistent(host);
        }
    }

    /// <summary>A peer that is authenticated and says anything.</summary>
    private static void Established(SeededEntropy luck, ulong seed)
    {
        using var pair = Pair(seed, luck, luck.Chance(0.3));
        if (!pair.Up().Success) throw new InvalidOperationException("the pair does not come up");
        var own = pair.Left.Engine.IsakmpSas.Single();
        var generator = new Payloads(luck);
        var nonce = new byte[16];
        for (var i = 0; i < 25 && pair.Right.Engine.IsakmpSas.Any(sa => sa.CookieI == own.CookieI && sa.State is not IsakmpState.Passive); i++)
        {
            pair.Right.Outbox.Clear();
            if (luck.Chance(0.15)) Ask(pair.Right, luck, pair.Now);
            var id = (uint)luck.Next() | 1;
            switch (luck.Below(6))
            {
                case 0:
                    Tell(pair, ForgerV1.Hashed(own, ExchangeType.InformationalV1, id, generator.Chain()));
                    break;
                case 1:
                    Tell(pair, ForgerV1.Hashed(own, ExchangeType.InformationalV1, id, PayloadV1.Notify, Changed(luck, generator.Notify().Chain)));
                    break;
                case 2:
                    Tell(pair, ForgerV1.Hashed(own, s_exchanges[luck.Below(s_exchanges.Length)], id, generator.Chain()));
                    break;
                case 3 when AnswerTo(pair, own, luck, generator) is { } answer:
                    Tell(pair, answer);
                    break;
                case 4:
                    Tell(pair, Changed(luck, ForgerV1.Hashed(own, ExchangeType.QuickMode, id, Quick(own, luck))));
                    break;
                default:
                    // message 1 of quick mode, by luck a right one, and then anything in the place of message 3
                    luck.Fill(nonce);
                    var offer = Quick(own, luck);
                    var rest = luck.Chance(0.4) ? offer.Chain.ToArray() : Changed(luck, offer.Chain);
                    var first = ForgerV1.Hashed(own, ExchangeType.QuickMode, id, offer.First, rest);
                    Tell(pair, first);
                    if (pair.Right.Outbox.TryDequeue(out var second) && second.Message[18] == (byte)ExchangeType.QuickMode)
                        Tell(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, id, nonce, PayloadV1.Nonce, generator.Octets(0, 80), ForgerV1.NextIv(own, second.Message)));
                    break;
            }

            if (luck.Chance(0.1)) pair.Right.Wake(pair.Now + TimeSpan.FromSeconds(luck.Below(200)));
        }

        Consistent(pair.Right);
        Must(pair.Right.Engine.Snapshot().HalfOpen == 0, "half-open state of an authenticated peer");
        Must(pair.Right.Engine.IsakmpSas.Sum(sa => sa.Exchanges.Count(exchange => !exchange.IsDone)) <= 300, "more exchanges than may be open");
    }

    /// <summary>An answer to a quick mode that the victim began.</summary>
    private static byte[]? AnswerTo(EnginePair pair, IsakmpSa own, SeededEntropy luck, Payloads generator)
    {
        pair.Right.Command(id => new IkeCommand.Rekey(id, new SaTarget(Child: "net")), pair.Now);
        var asked = pair.Right.Outbox.FirstOrDefault(sent => sent.Message[18] == (byte)ExchangeType.QuickMode)?.Message;
        if (asked is null || !IkeHeader.TryRead(asked, out var header)) return null;
        var plain = ForgerV1.Open(own, asked, own.ExchangeIv(header.MessageId));
        if (ChainView.TryParse(PayloadV1.Hash, plain, decrypted: true, out var view) != ParseError.None || !view.TryGet(PayloadV1.Nonce, out var ni)) return null;
        // what it asked for comes back, changed
        var nonce = ni.ToArray();
        var rest = ForgerV1.Rebuild(view, (index, type, body) => index == 0 ? null : type == PayloadV1.Nonce ? (type, generator.Octets(8, 64)) : (type, body));
        return ForgerV1.Hashed(own, ExchangeType.QuickMode, header.MessageId, nonce, rest.First, luck.Chance(0.4) ? rest.Chain : Changed(luck, rest.Chain), ForgerV1.NextIv(own, asked));
    }

    private static ChainBuilder Quick(IsakmpSa own, SeededEntropy luck)
    {
        var nonce = new byte[8 + luck.Below(40)];
        luck.Fill(nonce);
        var child = own.Connection.Children[0];
        return ForgerV1.QuickOffer(child, new ChildSpi((uint)luck.Next()), nonce, child.LocalSelectors[0].Selector, child.RemoteSelectors[0].Selector);
    }

    /// <summary>The same message with another plaintext under the same keys; null when it is in clear.</summary>
    private static byte[]? Resealed(EnginePair pair, EngineHost from, byte[] message, SeededEntropy luck, Payloads generator)
    {
        if ((message[19] & 1) == 0 || !IkeHeader.TryRead(message, out var header)) return null;
        var sa = from.Engine.IsakmpSas.FirstOrDefault(sa => sa.CookieI == header.InitiatorSpi && sa.Keys is not null);
        if (sa is null) return null;
        var iv = header.MessageId != 0 ? sa.ExchangeIv(header.MessageId) : sa.Mode is { } mode ? ForgerV1.FirstIv(sa, mode) : pair.Sent[^1].Message.Message[^16..];
        var plain = ForgerV1.Open(sa, message, iv);
        return ForgerV1.Seal(sa, header.Exchange, header.MessageId, luck.Chance(0.8) ? (PayloadV1)header.NextPayload : generator.Type(), luck.Chance(0.8) ? Changed(luck, plain) : generator.Chain().Chain, iv);
    }

    private static EnginePair Pair(ulong seed, SeededEntropy luck, bool aggressive)
    {
        var pair = new EnginePair(seed, right: new EngineOptions { HalfOpenPerPrefix = 100 });
        var (ike, esp) = (luck.Chance(0.2) ? "3des-sha1-modp1024" : "aes128-sha256-ecp256", luck.Chance(0.2) ? "aes128-sha256-ecp256" : "aes128-sha256");
        Connection With(Connection connection) => connection with { Version = IkeVersion.V1, Aggressive = aggressive, AggressivePsk = true };
        pair.Load(With(EnginePair.LeftGateway(ike, esp)), With(EnginePair.RightGateway(ike, esp)));
        return pair;
    }

    private static byte[] Changed(SeededEntropy luck, ReadOnlySpan<byte> message)
    {
        var changed = new Mutator(luck).Mutate(message);
        if (changed.Length >= IkeHeader.Length && luck.Chance(0.8))
        {
            changed[24] = changed[25] = 0;
            (changed[26], changed[27]) = ((byte)(changed.Length >> 8), (byte)changed.Length);
        }

        return changed;
    }

    private static void Ask(EngineHost host, SeededEntropy luck, Instant now) => host.Command(
        id => luck.Below(5) switch
        {
            0 => new IkeCommand.Rekey(id, new SaTarget("net")),
            1 => new IkeCommand.Rekey(id, new SaTarget(Child: "net")),
            2 => new IkeCommand.Down(id, new SaTarget(Child: "net")),
            3 => new IkeCommand.Reauth(id, new SaTarget("net")),
            _ => new IkeCommand.Up(id, "net", "net"),
        },
        now);

    private static void Tell(EnginePair pair, byte[] message)
    {
        pair.Right.Outbox.Clear();
        pair.Right.Receive(new Endpoint(pair.Right.Address, 500), new Endpoint(pair.Left.Address, 500), message, pair.Now);
        // an answer, and one informational message of what it led to for each thing that it deleted
        Must(pair.Right.Outbox.Count <= 70, "more than one answer to each payload");
    }

    private static void Knock(EnginePair pair, EngineHost host, byte[] message, int most)
    {
        host.Outbox.Clear();
        host.Receive(new Endpoint(host.Address, 500), new Endpoint(pair.Left.Address, 500), message, pair.Now);
        Must(host.Outbox.Count <= 1, "two answers to one datagram");
        if (!host.Outbox.TryPeek(out var sent)) return;
        Must(sent.Message.Length <= message.Length * most, $"{message.Length} octets were answered with {sent.Message.Length}");
    }

    private static void Consistent(EngineHost host)
    {
        var known = host.Engine.IsakmpSas.SelectMany(sa => sa.Children.Keys).ToHashSet();
        foreach (var id in host.Installed.Keys) Must(known.Contains(id), "a pair in the data plane that no SA knows");
        foreach (var id in known) Must(host.Installed.ContainsKey(id), "a pair that is not in the data plane");
    }

    /// <summary>Payloads of IKEv1 by luck.</summary>
    private sealed class Payloads(SeededEntropy luck)
    {
        public PayloadV1 Type() => luck.Chance(0.8) ? s_types[luck.Below(s_types.Length)] : (PayloadV1)luck.Below(256);

        public byte[] Octets(int least, int most)
        {
            var octets = new byte[least + luck.Below(most - least + 1)];
            luck.Fill(octets);
            return octets;
        }

        public ChainBuilder Notify() => new ChainBuilder().Notify((ProtocolId)luck.Below(5), Octets(0, 20), luck.Chance(0.8) ? s_notifies[luck.Below(s_notifies.Length)] : (NotifyV1)luck.Below(65_536), Octets(0, 40));

        public ChainBuilder Chain()
        {
            var builder = new ChainBuilder();
            for (var left = luck.Below(6); left > 0; left--)
            {
                switch (luck.Below(8))
                {
                    case 0:
                        builder.Notify((ProtocolId)luck.Below(5), Octets(0, 20), s_notifies[luck.Below(s_notifies.Length)], Octets(0, 24));
                        break;
                    case 1:
                        builder.Delete((ProtocolId)(1 + luck.Below(3)), luck.Chance(0.5) ? Octets(4, 4) : Octets(16, 16));
                        break;
                    case 2:
                        builder.Attributes((ConfigurationKind)luck.Below(6), (ushort)luck.Below(65_536), Octets(0, 60));
                        break;
                    case 3:
                        builder.Raw(PayloadV1.Id, [(byte)luck.Below(14), (byte)luck.Below(20), 0, 0, .. Octets(0, 33)]);
                        break;
                    default:
                        builder.Raw(Type(), Octets(0, 90));
                        break;
                }
            }

            return builder;
        }
    }
}
