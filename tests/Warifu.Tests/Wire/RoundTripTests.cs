using System;
using System.Linq;
using Warifu.Fuzz;
using Warifu.Primitives;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Wire;

/// <summary>What we build we parse, and what we parse we build again (item 1.5). Generator: Warifu.Fuzz/ChainGenerator.</summary>
[Trait("Item", "1.5")]
public sealed class RoundTripTests
{
    private const int Rounds = 2_000;

    public static TheoryData<PayloadType> Types =>
    [
        PayloadType.Sa, PayloadType.Ke, PayloadType.IdI, PayloadType.IdR, PayloadType.Cert, PayloadType.CertReq, PayloadType.Auth, PayloadType.Nonce, PayloadType.Notify, PayloadType.Delete,
        PayloadType.VendorId, PayloadType.TsI, PayloadType.TsR, PayloadType.Cp, PayloadType.Eap, (PayloadType)55, (PayloadType)200,
    ];

    [Theory]
    [MemberData(nameof(Types))]
    public void Every_payload_comes_back(PayloadType type)
    {
        var generator = new ChainGenerator((ulong)type);
        for (var i = 0; i < Rounds; i++)
        {
            var value = generator.Legal(type);
            var built = new MessageBuilder().Add(value);
            Assert.Equal(ParseError.None, MessageView.TryParse(built.First, built.Chain, out var view));
            Assert.Equal((1, type, value.Critical), (view.Count, view[0].Type, view[0].Critical));
            Assert.Equal(ParseError.None, OwnedPayload.TryParse(view[0], view.Body(0), out var parsed));
            Assert.Equal(value, parsed);
            Assert.Same(value.GetType(), parsed!.GetType());
            Assert.Equal(built.Chain.ToArray(), new MessageBuilder().Add(parsed).Chain.ToArray());
            AssertSame(value, parsed);
        }
    }

    [Fact]
    public void Chains_come_back()
    {
        var generator = new ChainGenerator(99);
        for (var i = 0; i < Rounds; i++)
        {
            var values = Enumerable.Range(0, 1 + generator.Luck.Below(12)).Select(_ => generator.Legal(generator.AnyKnown())).ToArray();
            var builder = new MessageBuilder();
            foreach (var value in values) builder.Add(value);
            var message = builder.ToMessage(IkeHeader.V2(new IkeSpi(generator.Luck.Next()), new IkeSpi(generator.Luck.Next()), ExchangeType.Informational, true, false, 7));
            Assert.True(IkeHeader.TryRead(message, out var header));
            Assert.Equal(ParseError.None, MessageView.TryParse(header.NextPayload, message.AsSpan(IkeHeader.Length), out var view));
            Assert.Equal(values.Length, view.Count);
            for (var at = 0; at < values.Length; at++)
            {
                Assert.Equal(ParseError.None, OwnedPayload.TryParse(view[at], view.Body(at), out var parsed));
                Assert.Equal(values[at], parsed);
            }
        }
    }

    /// <summary>Whatever junk is accepted has one meaning: built again and parsed again it is the same.</summary>
    [Fact]
    public void What_is_accepted_has_one_form()
    {
        var generator = new ChainGenerator(7);
        var accepted = 0;
        for (var i = 0; i < 20_000; i++)
        {
            var chain = generator.Chain(out var first);
            if (MessageView.TryParse(first, chain, out var view) != ParseError.None) continue;
            for (var at = 0; at < view.Count; at++)
            {
                if (OwnedPayload.TryParse(view[at], view.Body(at), out var once) != ParseError.None) continue;
                var builder = new MessageBuilder().Add(once!);
                // SK and SKF end a chain: their next-payload field is of what is inside
                Assert.Equal(ParseError.None, MessageView.TryParse(builder.First, builder.Chain, out var again));
                Assert.Equal(ParseError.None, OwnedPayload.TryParse(again[0], again.Body(0), out var twice));
                Assert.Equal(once, twice);
                accepted++;
            }
        }

        Assert.True(accepted > 20_000, $"{accepted} payloads");
    }

    [Fact]
    public void A_check_says_what_the_parser_says()
    {
        var generator = new ChainGenerator(11);
        for (var i = 0; i < 50_000; i++)
        {
            var body = generator.Luck.Chance(0.5) ? generator.Octets(0, 80).AsSpan() : Mutated(generator);
            Assert.Equal(SaPayload.TryParse(body, out _), SaPayload.Check(body));
            Assert.Equal(TsPayload.TryParse(body, out _), TsPayload.Check(body));
            Assert.Equal(IdPayload.TryParse(body, out _), IdPayload.Check(body));
            Assert.Equal(DeletePayload.TryParse(body, out _, out _), DeletePayload.Check(body));
            Assert.Equal(CpPayload.TryParse(body, out _, out _), CpView.TryParse(body, out _));
        }

        static ReadOnlySpan<byte> Mutated(ChainGenerator generator)
        {
            var writer = new WireWriter();
            generator.Legal(generator.AnyKnown()).Write(writer);
            return new Mutator(generator.Luck).Mutate(writer.Written);
        }
    }

    /// <summary>Field by field where equality of octets could hide a field that is neither written nor read.</summary>
    private static void AssertSame(OwnedPayload expected, OwnedPayload actual)
    {
        switch (expected, actual)
        {
            case (OwnedPayload.Sa a, OwnedPayload.Sa b):
                Assert.Equal(a.Proposals.Select(x => (x.Number, x.Spi, x.SpiLength, x.Proposal)), b.Proposals.Select(x => (x.Number, x.Spi, x.SpiLength, x.Proposal)));
                Assert.Equal(a.Proposals.SelectMany(x => x.Attributes).Select(Text), b.Proposals.SelectMany(x => x.Attributes).Select(Text));
                break;
            case (OwnedPayload.Ke a, OwnedPayload.Ke b):
                Assert.Equal((a.Method, Hex(a.Public)), (b.Method, Hex(b.Public)));
                break;
            case (OwnedPayload.Id a, OwnedPayload.Id b):
                Assert.Equal(a.Identity, b.Identity);
                break;
            case (OwnedPayload.Cert a, OwnedPayload.Cert b):
                Assert.Equal((a.Encoding, Hex(a.Data)), (b.Encoding, Hex(b.Data)));
                break;
            case (OwnedPayload.Auth a, OwnedPayload.Auth b):
                Assert.Equal((a.Method, Hex(a.Data)), (b.Method, Hex(b.Data)));
                break;
            case (OwnedPayload.Notify a, OwnedPayload.Notify b):
                Assert.Equal((a.Protocol, Hex(a.Spi), a.Kind, Hex(a.Data)), (b.Protocol, Hex(b.Spi), b.Kind, Hex(b.Data)));
                break;
            case (OwnedPayload.Delete a, OwnedPayload.Delete b):
                Assert.Equal(a.Protocol, b.Protocol);
                Assert.Equal(a.Spis, b.Spis);
                break;
            case (OwnedPayload.Ts a, OwnedPayload.Ts b):
                Assert.Equal(a.Selectors, b.Selectors);
                Assert.Equal(a.Unknown.Select(x => (x.Type, x.Protocol, Hex(x.Octets))), b.Unknown.Select(x => (x.Type, x.Protocol, Hex(x.Octets))));
                break;
            case (OwnedPayload.Cp a, OwnedPayload.Cp b):
                Assert.Equal(a.Kind, b.Kind);
                Assert.Equal(a.Attributes.Select(x => (x.Type, Hex(x.Value))), b.Attributes.Select(x => (x.Type, Hex(x.Value))));
                break;
            case (OwnedPayload.Eap a, OwnedPayload.Eap b):
                Assert.Equal((a.Code, a.Identifier, a.Method, Hex(a.Data)), (b.Code, b.Identifier, b.Method, Hex(b.Data)));
                break;
            case (OwnedPayload.Octets a, OwnedPayload.Octets b):
                Assert.Equal(Hex(a.Body), Hex(b.Body));
                break;
            default:
                Assert.Fail($"{expected.GetType()} became {actual.GetType()}");
                break;
        }
    }

    private static string Text(TransformAttribute attribute) => $"{attribute.Transform} {attribute.Type:x4} {Hex(attribute.Value)}";

    private static string Hex(System.Collections.Immutable.ImmutableArray<byte> octets) => Convert.ToHexString(octets.AsSpan());
}
