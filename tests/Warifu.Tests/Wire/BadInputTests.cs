using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Warifu.Crypto;
using Warifu.Fuzz;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Wire;

/// <summary>Cut, flipped and random octets against the codec (item 1.24): no exception, no memory for what is refused, and nothing accepted that an exchange could stumble over.</summary>
[Trait("Item", "1.24")]
public sealed class BadInputTests
{
    public static TheoryData<string> Names => [.. RecordedTrace.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void Messages_cut_at_every_length_are_refused(string name)
    {
        foreach (var (_, octets) in RecordedTrace.Load(name).Messages)
        {
            for (var length = 0; length < octets.Length; length++)
            {
                // as a datagram that lost its end: the header says so
                Assert.False(IkeHeader.TryRead(octets.AsSpan(0, length), out _));
                if (length < IkeHeader.Length) continue;
                // and with a header that was made to fit
                var cut = octets[..length];
                BinaryPrimitives.WriteUInt32BigEndian(cut.AsSpan(24), (uint)length);
                Assert.True(IkeHeader.TryRead(cut, out var header));
                Assert.False(Accepts(header, cut));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_flipped_bit_of_a_message_is_survived(string name)
    {
        var messages = RecordedTrace.Load(name).Messages;
        FlipAll(messages[0].Octets);
        var before = GC.GetAllocatedBytesForCurrentThread();
        foreach (var (_, octets) in messages) FlipAll(octets);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        foreach (var (_, octets) in messages.Take(2)) EveryFlip(octets, static changed => Own(changed));
    }

    /// <summary>The same behind the encryption: what an authenticated peer could send.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Every_cut_and_flipped_bit_of_an_inner_chain_is_survived(string name)
    {
        foreach (var (exchange, isResponse, first, chain) in Inner(RecordedTrace.Load(name)))
        {
            for (var length = 0; length < chain.Length; length++) Assert.NotEqual(ParseError.None, MessageView.TryParse(first, chain.AsSpan(0, length), out _));
            EveryFlip(chain, changed =>
            {
                if (MessageView.TryParse(first, changed, out var view) == ParseError.None && PayloadRules.Check(exchange, isResponse, view) is null) OwnAll(view);
            });
        }
    }

    [Fact]
    public void A_hundred_thousand_random_chains() => RandomChains(100_000, 1);

    [Fact]
    [Trait("Long", "yes")]
    public void A_million_random_chains()
    {
        Assert.SkipUnless(Environment.GetEnvironmentVariable("WARIFU_LONG") == "1", "only with --long");
        RandomChains(1_000_000, 2);
    }

    [Fact]
    public void Any_octets_as_a_datagram()
    {
        var luck = new SeededEntropy(5);
        var octets = new byte[2048];
        for (var i = 0; i < 100_000; i++)
        {
            var datagram = octets.AsSpan(0, luck.Below(luck.Chance(0.9) ? 200 : 2048));
            luck.Fill(datagram);
            if (datagram.Length >= IkeHeader.Length && luck.Chance(0.9)) BinaryPrimitives.WriteUInt32BigEndian(datagram[24..], (uint)datagram.Length);
            if (IkeHeader.TryRead(datagram, out var header)) Accepts(header, datagram);
        }
    }

    private static void RandomChains(int count, ulong seed)
    {
        var generator = new ChainGenerator(seed);
        ExchangeType[] exchanges = [ExchangeType.IkeSaInit, ExchangeType.IkeAuth, ExchangeType.CreateChildSa, ExchangeType.Informational];
        var (parsed, accepted) = (0, 0);
        // the tables are made once
        PayloadRules.Check(ExchangeType.Informational, false, default);
        for (var i = 0; i < count; i++)
        {
            var exchange = exchanges[generator.Luck.Below(4)];
            var isResponse = generator.Luck.Chance(0.5);
            var chain = generator.Luck.Chance(0.5) ? generator.Chain(out var first) : generator.Exchange(exchange, out first);
            var before = GC.GetAllocatedBytesForCurrentThread();
            var error = MessageView.TryParse(first, chain, out var view);
            RuleViolation? violation = null;
            if (error == ParseError.None)
            {
                parsed++;
                violation = PayloadRules.Check(exchange, isResponse, view);
            }

            Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
            if (error != ParseError.None || violation is not null) continue;
            accepted++;
            before = GC.GetAllocatedBytesForCurrentThread();
            OwnAll(view);
            // records and arrays around it, but in proportion to what came and not to what it says
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 8192 + (64L * chain.Length));
        }

        // the generator reaches all layers
        Assert.InRange(parsed, count / 4, count - (count / 100));
        Assert.InRange(accepted, count / 50, count / 2);
    }

    private static void FlipAll(byte[] octets) => EveryFlip(octets, static changed =>
    {
        if (IkeHeader.TryRead(changed, out var header)) Accepts(header, changed);
    });

    private static void EveryFlip(byte[] octets, Action<byte[]> use)
    {
        for (var bit = 0; bit < octets.Length * 8; bit++)
        {
            octets[bit / 8] ^= (byte)(0x80 >> (bit % 8));
            use(octets);
            octets[bit / 8] ^= (byte)(0x80 >> (bit % 8));
        }
    }

    private static bool Accepts(in IkeHeader header, ReadOnlySpan<byte> message) => header.Exchange == ExchangeType.IkeSaInit
        ? MessageView.TryParse(header.NextPayload, message[IkeHeader.Length..], out var view) == ParseError.None && PayloadRules.Check(header.Exchange, header.IsResponse, view) is null
        : SkFraming.TryLocate(header, message, out var sk) == ParseError.None && SkFraming.TryUnpad(message, sk.Head, 8, 16, out var chain) && MessageView.TryParse(sk.First, chain, out _) == ParseError.None;

    private static void Own(byte[] message)
    {
        if (IkeHeader.TryRead(message, out var header) && MessageView.TryParse(header.NextPayload, message.AsSpan(IkeHeader.Length), out var view) == ParseError.None && PayloadRules.Check(header.Exchange, header.IsResponse, view) is null)
            OwnAll(view);
    }

    /// <summary>What the rules let through has a value.</summary>
    private static void OwnAll(scoped in MessageView view)
    {
        for (var i = 0; i < view.Count; i++)
        {
            if (OwnedPayload.TryParse(view[i], view.Body(i), out var payload) != ParseError.None || payload is null) throw new InvalidOperationException($"{view[i].Type} passed the rules and does not parse");
        }
    }

    /// <summary>The decrypted chains of the first IKE SA of a recording.</summary>
    private static IEnumerable<(ExchangeType Exchange, bool IsResponse, PayloadType First, byte[] Chain)> Inner(RecordedTrace trace)
    {
        byte[] Key(string label) => trace.Initiator.Where(line => line.Label == label).Select(line => line.Octets).FirstOrDefault([]);

        PacketCipher[] ciphers = [];
        var spi = default(IkeSpi);
        foreach (var (_, octets) in trace.Messages)
        {
            Assert.True(IkeHeader.TryRead(octets, out var header));
            if (header.Exchange == ExchangeType.IkeSaInit)
            {
                if (ciphers.Length == 0 && header.IsResponse && Chosen(header, octets) is { } proposal)
                {
                    spi = header.ResponderSpi;
                    var encr = proposal.Find(TransformType.Encr);
                    var integ = (IntegId)proposal.Find(TransformType.Integ).Id;
                    ciphers = [.. new[] { ("Sk_er", "Sk_ar"), ("Sk_ei", "Sk_ai") }.Select(keys => PacketCipher.Create((EncrId)encr.Id, encr.KeyBits, integ, Key(keys.Item1), Key(keys.Item2), new SeededEntropy(1)))];
                }

                continue;
            }

            if (header.ResponderSpi != spi) continue;
            var cipher = ciphers[header.FromInitiator ? 1 : 0];
            var message = octets.ToArray();
            Assert.Equal(ParseError.None, SkFraming.TryLocate(header, message, out var sk));
            Assert.True(cipher.Open(message, sk.Head));
            Assert.True(SkFraming.TryUnpad(message, sk.Head, cipher.IvLength, cipher.IcvLength, out var chain));
            if (!sk.IsFragment) yield return (header.Exchange, header.IsResponse, sk.First, chain.ToArray());
        }

        foreach (var cipher in ciphers) cipher.Dispose();

        static Proposal? Chosen(in IkeHeader header, byte[] octets)
        {
            Assert.Equal(ParseError.None, MessageView.TryParse(header.NextPayload, octets.AsSpan(IkeHeader.Length), out var view));
            if (!view.TryGet(PayloadType.Sa, out var body)) return null;
            Assert.Equal(ParseError.None, SaPayload.TryParse(body, out var answers));
            return answers.Single().Proposal;
        }
    }
}
