using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;

namespace Warifu.Fuzz;

/// <summary>
/// The engine's door: junk in clear at a responder, sealed junk in the place of IKE_AUTH, and sealed junk from a peer that is established. A null cipher is not needed: the engine tells its keys.
/// Our own bugs surface as exceptions here; answers must stay within the limits of amplification; half-open state must go.
/// </summary>
internal sealed class EngineTarget : FuzzTarget
{
    private static readonly ExchangeType[] s_exchanges = [ExchangeType.IkeAuth, ExchangeType.CreateChildSa, ExchangeType.Informational, ExchangeType.IkeSaInit, ExchangeType.IkeIntermediate];

    private readonly byte[][] _corpus = [.. RecordedTrace.All().SelectMany(trace => trace.Messages).Select(message => message.Octets)];

    public override string Name => "engine";

    public override string What => "datagrams in clear and sealed against the IKE engine";

    public override void Try(ulong seed)
    {
        var luck = new SeededEntropy(seed);
        switch (luck.Below(4))
        {
            case 0:
                InClear(luck, seed);
                break;
            case 1:
                InsteadOfAuth(luck, seed);
                break;
            default:
                Established(luck, seed);
                break;
        }
    }

    private void InClear(SeededEntropy luck, ulong seed)
    {
        var mutator = new Mutator(luck);
        using var pair = new EnginePair(seed, right: new EngineOptions { CookieThreshold = luck.Below(4) });
        var left = EnginePair.LeftGateway("aes128gcm16-prfsha256-x25519");
        pair.Load(left, EnginePair.RightGateway("aes128gcm16-prfsha256-x25519"));
        pair.Left.Up("net", "net", pair.Now);
        var own = pair.Left.Outbox.Peek().Message;
        pair.Left.Outbox.Clear();
        for (var i = 0; i < 60; i++)
        {
            var message = luck.Chance(0.6) ? mutator.Mutate(own) : luck.Chance(0.5) ? mutator.Mutate(_corpus[luck.Below(_corpus.Length)]) : First(luck.Next());
            if (message.Length >= IkeHeader.Length && luck.Chance(0.8))
            {
                message[24] = message[25] = 0;
                (message[26], message[27]) = ((byte)(message.Length >> 8), (byte)message.Length);
            }

            Knock(pair.Right, new Endpoint(pair.Right.Address, 500), new Endpoint(pair.Left.Address, (ushort)(500 + luck.Below(3))), message, pair.Now);
        }

        pair.Right.Outbox.Clear();
        var later = pair.Now + TimeSpan.FromMinutes(2);
        while (pair.Right.Engine.NextTimeout <= later) pair.Right.Wake(pair.Right.Engine.NextTimeout);
        Empty(pair.Right);
    }

    /// <summary>A first message that nobody has changed, with payloads of luck.</summary>
    private static byte[] First(ulong seed)
    {
        var chain = new ChainGenerator(seed).Exchange(ExchangeType.IkeSaInit, out var first);
        var message = new byte[IkeHeader.Length + chain.Length];
        (IkeHeader.V2(new IkeSpi(seed | 1), default, ExchangeType.IkeSaInit, fromInitiator: true, isResponse: false, 0) with { NextPayload = first, TotalLength = (uint)message.Length }).Write(message);
        chain.CopyTo(message, IkeHeader.Length);
        return message;
    }

    private static void InsteadOfAuth(SeededEntropy luck, ulong seed)
    {
        var generator = new ChainGenerator(~seed);
        var replaced = 2 + luck.Below(2);
        using var pair = new EnginePair(seed, new EngineOptions { KeyLog = true });
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        pair.Wire = (number, from, sent) =>
        {
            if (number < replaced) return 1;
            if (number > replaced) return replaced == 2 ? 1 : 0;
            var to = from == pair.Left ? pair.Right : pair.Left;
            var chain = luck.Chance(0.3) ? generator.Chain(out var first) : generator.Exchange(ExchangeType.IkeAuth, out first);
            to.Receive(sent.Remote, sent.Local, Sealing.Replace(pair.Left.IkeKeys.Single(), sent.Message, first, chain), pair.Now);
            return 0;
        };
        Must(!pair.Up().Success, "luck authenticated");
        pair.Run(TimeSpan.FromMinutes(10));
        Empty(pair.Left);
        if (replaced == 2) Empty(pair.Right);
    }

    private static void Established(SeededEntropy luck, ulong seed)
    {
        var generator = new ChainGenerator(~seed);
        using var impostor = new Impostor(seed, luck.Chance(0.5) ? "aes128gcm16-prfsha256-x25519" : "aes128-sha256-x25519");
        for (var i = 0; i < 20 && impostor.IsUp; i++)
        {
            var exchange = s_exchanges[luck.Below(s_exchanges.Length)];
            var chain = luck.Chance(0.4) ? generator.Chain(out var first) : generator.Exchange(exchange, out first);
            if (luck.Chance(0.3)) Ask(impostor, luck);
            if (luck.Chance(0.3) && impostor.Victim.Outbox.TryDequeue(out var asked) && IkeHeader.TryRead(asked.Message, out var question))
                impostor.Victim.Receive(impostor.Local, impostor.Remote, impostor.Seal(question.Exchange, isResponse: true, question.MessageId, first, chain), impostor.Now);
            else if (luck.Chance(0.2))
                impostor.Victim.Receive(impostor.Local, impostor.Remote, new Mutator(luck).Mutate(impostor.Seal(exchange, luck.Chance(0.5), (uint)luck.Below(6), first, chain)), impostor.Now);
            else
                impostor.Request(exchange, first, chain);
        }

        var snapshot = impostor.Victim.Engine.Snapshot();
        Must(snapshot.HalfOpen == 0, "half-open state of an authenticated peer");
        Must(snapshot.IkeSas.Sum(sa => sa.Children.Length) >= impostor.Victim.Installed.Count, "pairs in the data plane that no SA knows");
    }

    private static void Ask(Impostor impostor, SeededEntropy luck)
    {
        impostor.Victim.Outbox.Clear();
        impostor.Victim.Command(
            id => luck.Below(4) switch
            {
                0 => new IkeCommand.Rekey(id, new SaTarget("net")),
                1 => new IkeCommand.Rekey(id, new SaTarget(Child: "net")),
                2 => new IkeCommand.Down(id, new SaTarget(Child: "net")),
                _ => new IkeCommand.Up(id, "net", "net"),
            },
            impostor.Now);
    }

    private static void Knock(EngineHost host, Endpoint local, Endpoint remote, ReadOnlySpan<byte> message, Instant now)
    {
        host.Outbox.Clear();
        host.Receive(local, remote, message, now);
        Must(host.Outbox.Count <= 1, "two answers to one datagram");
        if (!host.Outbox.TryPeek(out var sent)) return;
        Must(IkeHeader.TryRead(sent.Message, out var header) && header.IsResponse, "an answer that is none");
        var isAnswer = MessageView.TryParse(header.NextPayload, sent.Message.AsSpan(IkeHeader.Length), out var view) == ParseError.None && view.IndexOf(PayloadType.Ke) >= 0;
        Must(sent.Message.Length * 2 <= message.Length * (isAnswer ? 3 : 2), $"{message.Length} octets were answered with {sent.Message.Length}");
    }

    private static void Empty(EngineHost host)
    {
        var snapshot = host.Engine.Snapshot();
        Must(snapshot.IkeSas.IsEmpty && snapshot.HalfOpen == 0, "state is left");
        Must(host.Installed.Count == 0, "a pair is left in the data plane");
    }
}
