using System;
using System.Buffers.Binary;
using System.Linq;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;

namespace Warifu.Fuzz;

/// <summary>The codec: header, chain, rules, every body, frames. What is accepted must be owned, built and accepted again as the same.</summary>
internal sealed class WireTarget : FuzzTarget
{
    private static readonly ExchangeType[] s_exchanges = [ExchangeType.IkeSaInit, ExchangeType.IkeAuth, ExchangeType.CreateChildSa, ExchangeType.Informational];

    private readonly byte[][] _corpus = [.. RecordedTrace.All().SelectMany(trace => trace.Messages).Select(message => message.Octets)];

    public WireTarget() => PayloadRules.Check(ExchangeType.IkeSaInit, false, default);

    public override string Name => "wire";

    public override string What => "IKE messages and payload chains against the codec";

    public override void Try(ulong seed)
    {
        var luck = new SeededEntropy(seed);
        if (luck.Chance(0.5)) TryMessage(luck);
        else TryChain(luck, seed);
    }

    private void TryMessage(SeededEntropy luck)
    {
        var message = new Mutator(luck).Mutate(_corpus[luck.Below(_corpus.Length)]);
        if (message.Length >= IkeHeader.Length && luck.Chance(0.8)) BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(24), (uint)message.Length);
        if (!IkeHeader.TryRead(message, out var header)) return;
        Must(header.TotalLength == message.Length, "a header claims another length");
        if (MessageView.TryParse(header.NextPayload, message.AsSpan(IkeHeader.Length), out var view) == ParseError.None) TryView(header.Exchange, header.IsResponse, view);
        if (SkFraming.TryLocate(header, message, out var sk) != ParseError.None) return;
        Must(sk.Head is >= SkFraming.HeadLength && sk.Head <= message.Length, "SK lies outside of its message");
        Must(!sk.IsFragment || (sk.Fragment >= 1 && sk.Fragment <= sk.Total && sk.Total <= WireLimits.Fragments), "fragment numbers");
        if (SkFraming.TryUnpad(message, sk.Head, 8, 16, out var chain) && MessageView.TryParse(sk.First, chain, out var inner) == ParseError.None) TryView(header.Exchange, header.IsResponse, inner);
    }

    private static void TryChain(SeededEntropy luck, ulong seed)
    {
        var generator = new ChainGenerator(~seed);
        var exchange = s_exchanges[luck.Below(4)];
        var chain = luck.Chance(0.5) ? generator.Chain(out var first) : generator.Exchange(exchange, out first);
        if (MessageView.TryParse(first, chain, out var view) == ParseError.None) TryView(exchange, luck.Chance(0.5), view);
    }

    private static void TryView(ExchangeType exchange, bool isResponse, scoped in MessageView view)
    {
        Must(view.Count <= WireLimits.Payloads, "too many payloads");
        var before = GC.GetAllocatedBytesForCurrentThread();
        var violation = PayloadRules.Check(exchange, isResponse, view);
        Must(GC.GetAllocatedBytesForCurrentThread() == before, "the rules allocate");
        _ = view.TryGetError(out _);
        _ = MessageDescription.Describe(IkeHeader.V2(default, default, exchange, true, isResponse, 0), view);
        for (var i = 0; i < view.Count; i++)
        {
            var error = OwnedPayload.TryParse(view[i], view.Body(i), out var payload);
            Must(error == ParseError.None == payload is not null, "no value and no error, or both");
            if (payload is null)
            {
                Must(violation is not null, $"{view[i].Type} passed the rules and does not parse");
                continue;
            }

            var built = new MessageBuilder().Add(payload);
            Must(MessageView.TryParse(built.First, built.Chain, out var again) == ParseError.None && again.Count == 1, "what we build does not parse");
            Must(OwnedPayload.TryParse(again[0], again.Body(0), out var same) == ParseError.None && payload.Equals(same), "what we build is another value");
        }
    }
}
