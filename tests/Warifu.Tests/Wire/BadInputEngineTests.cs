using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Wire;

/// <summary>Bad input at the engine's door (item 1.24): no exception, answers within the design's amplification limits, no memory for what does not authenticate, no state left.</summary>
[Trait("Item", "1.24")]
public sealed class BadInputEngineTests
{
    /// <summary>Suites of recordings whose key exchange is cheap: their first messages make half-open state here.</summary>
    private static readonly string[] s_suites = ["chacha20poly1305-prfsha256-x25519", "aes128ccm16-prfsha256-ecp256"];

    private static readonly EngineOptions s_patient = new() { HalfOpenLimit = int.MaxValue, HalfOpenPerPrefix = int.MaxValue, CookieThreshold = int.MaxValue };

    public static TheoryData<string> Names => [.. RecordedTrace.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void Recorded_messages_cut_and_flipped_leave_nothing(string name)
    {
        using var door = new Door(s_patient);
        foreach (var (_, octets) in RecordedTrace.Load(name).Messages)
        {
            door.Knock(octets);
            for (var length = 0; length < octets.Length; length++)
            {
                door.Knock(octets.AsSpan(0, length));
                if (length < IkeHeader.Length) continue;
                var cut = octets[..length];
                BinaryPrimitives.WriteUInt32BigEndian(cut.AsSpan(24), (uint)length);
                door.Knock(cut);
            }

            for (var bit = 0; bit < octets.Length * 8; bit++)
            {
                octets[bit / 8] ^= (byte)(0x80 >> (bit % 8));
                door.Knock(octets);
                octets[bit / 8] ^= (byte)(0x80 >> (bit % 8));
            }
        }

        // the two suites that are served got far enough to make state, the others were refused in clear
        Assert.Equal(name is "s-chacha" or "s-ccm", door.HalfOpen > 100);
        Assert.True(door.Replies > 0);
        door.LeavesNothing();
    }

    [Fact]
    public void The_same_within_the_limits_of_an_ordinary_engine()
    {
        using var door = new Door(new EngineOptions());
        var first = RecordedTrace.Load("s-chacha").Messages[0].Octets;
        for (var bit = 0; bit < first.Length * 8; bit++)
        {
            first[bit / 8] ^= (byte)(0x80 >> (bit % 8));
            door.Knock(first);
            first[bit / 8] ^= (byte)(0x80 >> (bit % 8));
            Assert.True(door.HalfOpen <= new EngineOptions().HalfOpenPerPrefix);
        }

        door.LeavesNothing();
    }

    [Fact]
    public void A_flood_meets_cookies_and_costs_no_key_exchange()
    {
        var options = new EngineOptions { HalfOpenPerPrefix = 5, CookieThreshold = 30, HalfOpenLimit = 100 };
        using var door = new Door(options);
        var first = RecordedTrace.Load("s-chacha").Messages[0].Octets;
        var luck = new SeededEntropy(3);
        for (var i = 0; i < 5_000; i++)
        {
            luck.Fill(first.AsSpan(0, 8));
            door.Knock(first, new Endpoint(IpAddress.V4(0x0A00_0000 + (uint)luck.Below(500)), 500));
        }

        Assert.Equal(options.CookieThreshold, door.HalfOpen);
        Assert.Equal(options.CookieThreshold, (int)door.Engine.Counters.KeyExchanges);
        Assert.True(door.Replies > 4_000, "cookies");
        door.LeavesNothing();
    }

    /// <summary>Every flipped bit and every cut of every message of a living exchange arrives just before the real one: the exchange succeeds, and what does not authenticate costs no memory.</summary>
    [Theory]
    [InlineData("aes128-sha256-x25519")]
    [InlineData("aes128gcm16-prfsha256-x25519")]
    [InlineData("aes128ctr-aescmac-prfaescmac-x25519")]
    public void Forgeries_on_the_path_do_no_harm(string suite)
    {
        using var pair = new EnginePair(9, s_patient, s_patient);
        pair.Load(EnginePair.LeftGateway(suite, "aes128gcm16-x25519"), EnginePair.RightGateway(suite, "aes128gcm16-x25519"));
        var (forged, clear, drops, told, measured) = (0, 0, 0, 0, true);
        pair.Wire = (number, from, sent) =>
        {
            var to = from == pair.Left ? pair.Right : pair.Left;
            Assert.True(IkeHeader.TryRead(sent.Message, out var header));
            // the first answer is not authenticated: whoever forges it well enough wins a race (see the next test)
            if (header is { Exchange: ExchangeType.IkeSaInit, IsResponse: true }) return 1;
            var secured = header.Exchange != ExchangeType.IkeSaInit;
            var events = to.Events.Count;
            foreach (var forgery in Forgeries(sent.Message))
            {
                var before = GC.GetAllocatedBytesForCurrentThread();
                to.Engine.HandleDatagram(sent.Remote, sent.Local, forgery, pair.Now);
                var cost = GC.GetAllocatedBytesForCurrentThread() - before;
                forged++;
                // a flipped exchange type or version may be answered in clear, a changed first message makes half-open state; never with more than came
                to.Drain(pair.Now);
                Door.CheckReplies(forgery.Length, to.Outbox);
                // half-open state is never made without an answer
                var dropped = to.Outbox.Count == 0 && to.Events.Count == events;
                to.Outbox.Clear();
                // what speaks another version is told of once (R10)
                if (secured && to.Events.Count > events) Assert.Contains("which is none of IKE", Assert.IsType<Notice>(Assert.Single(to.Events.Skip(events))).Text, StringComparison.Ordinal);
                if (secured) told += to.Events.Count - events;
                else clear++;
                events = to.Events.Count;
                if (!dropped || !measured) continue;
                drops++;
                // the very first may meet code that makes its tables
                if (drops <= 20 || cost == 0) continue;
                // a collection in another thread spoils the measure: what costs memory costs it again
                before = GC.GetAllocatedBytesForCurrentThread();
                to.Engine.HandleDatagram(sent.Remote, sent.Local, forgery, pair.Now);
                Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
            }

            return 1;
        };
        Assert.True(pair.Up().Success);
        Assert.True(forged > 5_000 && clear > 1_000 && drops > 4_000, $"{forged} forged, {clear} of them in clear, {drops} dropped");
        Assert.InRange(told, 0, 2);
        var id = pair.Right.Command(command => new IkeCommand.Rekey(command, new SaTarget(Child: "net")), pair.Now);
        pair.Run();
        Assert.True(pair.Right.Results[id].Success);
        id = pair.Left.Command(command => new IkeCommand.Down(command, new SaTarget("net")), pair.Now);
        pair.Run();
        Assert.True(pair.Left.Results[id].Success);
        measured = false;
        // half-open state that the forged first messages made goes with its time
        pair.Run(TimeSpan.FromMinutes(5));
        Door.IsEmpty(pair.Left);
        Door.IsEmpty(pair.Right);
    }

    /// <summary>A forged first answer may win; then the handshake fails, and nothing stays.</summary>
    [Fact]
    public void Forged_first_answers_leave_nothing()
    {
        byte[] answer;
        using (var pair = new EnginePair(4))
        {
            pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
            pair.Up();
            answer = pair.Sent[1].Message.Message;
        }

        var (failed, survived) = (0, 0);
        foreach (var forgery in Forgeries(answer).Where((_, i) => i % 3 == 0))
        {
            using var pair = new EnginePair(4);
            pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
            pair.Wire = (number, from, sent) =>
            {
                if (number == 1) pair.Left.Engine.HandleDatagram(sent.Remote, sent.Local, forgery, pair.Now);
                return 1;
            };
            if (pair.Up().Success)
            {
                survived++;
                continue;
            }

            failed++;
            pair.Run(TimeSpan.FromMinutes(10));
            Door.IsEmpty(pair.Left);
            Door.IsEmpty(pair.Right);
        }

        Assert.True(failed > 100 && survived > 200, $"{failed} failed, {survived} survived");
    }

    /// <summary>IKE_AUTH of either side replaced by a sealed chain of luck: authenticated encryption is not authentication of the peer.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public void Sealed_junk_in_IKE_AUTH_leaves_nothing(int replaced)
    {
        var generator = new ChainGenerator((ulong)replaced);
        for (var i = 0; i < 400; i++)
        {
            using var pair = new EnginePair((ulong)i, new EngineOptions { KeyLog = true });
            pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
            var chain = generator.Luck.Chance(0.3) ? generator.Chain(out var first) : generator.Exchange(ExchangeType.IkeAuth, out first);
            pair.Wire = (number, from, sent) =>
            {
                if (number < replaced) return 1;
                // the right one never comes
                if (number != replaced) return from == pair.Left && replaced == 3 ? 0 : 1;
                var to = from == pair.Left ? pair.Right : pair.Left;
                to.Receive(sent.Remote, sent.Local, Sealing.Replace(pair.Left.IkeKeys.Single(), sent.Message, first, chain), pair.Now);
                return 0;
            };
            Assert.False(pair.Up().Success);
            pair.Run(TimeSpan.FromMinutes(10));
            Door.IsEmpty(pair.Left);
            // when the initiator was fooled, the responder has proved nothing wrong: it keeps what it authenticated
            if (replaced == 2) Door.IsEmpty(pair.Right);
            Assert.Equal(0, pair.Right.Engine.Snapshot().HalfOpen);
        }
    }

    [Fact]
    public void Sealed_chains_of_luck_behind_the_encryption() => SealedChains(3_000, 21);

    [Fact]
    [Trait("Long", "yes")]
    public void A_hundred_thousand_sealed_chains()
    {
        Assert.SkipUnless(Environment.GetEnvironmentVariable("WARIFU_LONG") == "1", "only with --long");
        SealedChains(100_000, 22);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(32)]
    [InlineData(49)]
    [InlineData(255)]
    public void An_unknown_critical_payload_is_named_in_the_answer_and_the_SA_stays(byte type)
    {
        using var impostor = new Impostor();
        // RFC 7296 section 2.5: rejected, with the type as notification data
        var chain = new MessageBuilder().Raw((PayloadType)type, [1, 2, 3], critical: true);
        var answer = impostor.Request(ExchangeType.Informational, chain.First, chain.Chain);
        Assert.NotNull(answer);
        var inner = impostor.Open(answer, out var first);
        Assert.Equal(ParseError.None, MessageView.TryParse(first, inner, out var view));
        Assert.Equal(1, view.Count);
        Assert.True(view.TryGetNotify(NotifyType.UnsupportedCriticalPayload, out var notify));
        Assert.Equal([type], notify.Data.ToArray());
        Assert.True(impostor.IsUp);
        chain = new MessageBuilder().Raw((PayloadType)type, [1, 2, 3]);
        answer = impostor.Request(ExchangeType.Informational, chain.First, chain.Chain);
        Assert.Empty(impostor.Open(answer!, out first));
        Assert.Equal(PayloadType.None, first);
    }

    [Fact]
    public void Malformed_requests_behind_the_encryption_end_the_SA_with_INVALID_SYNTAX()
    {
        using var impostor = new Impostor();
        // RFC 7296 section 2.21.3
        var chain = new MessageBuilder().Raw(PayloadType.Delete, [3, 4, 0, 9, 1]);
        var answer = impostor.Request(ExchangeType.Informational, chain.First, chain.Chain);
        var inner = impostor.Open(answer!, out var first);
        Assert.Equal(ParseError.None, MessageView.TryParse(first, inner, out var view));
        Assert.True(view.HasNotify(NotifyType.InvalidSyntax));
        Assert.False(impostor.IsUp);
        Assert.Empty(impostor.Victim.Installed);
    }

    [Fact]
    public void The_largest_legal_first_message_is_bounded_in_memory()
    {
        // 64 proposals of 16 transforms that all nearly fit: what one unauthenticated datagram may make us do
        var proposals = Enumerable.Range(1, WireLimits.Proposals).Select(number => new OfferedProposal((byte)number, 0, 0, new Proposal(
            ProtocolId.Ike,
            [.. Enumerable.Range(0, 13).Select(i => Transform.Encr(EncrId.AesCbc, 128 + (64 * (i % 3)))), Transform.Prf(PrfId.HmacSha256), Transform.Integ(IntegId.HmacSha256_128), Transform.Ke(KeId.Modp768)])));
        var builder = new MessageBuilder().Sa([.. proposals]).Ke(KeId.Modp768, new byte[96]).Nonce(new byte[32]);
        while (builder.Chain.Length < 60_000) builder.VendorId(new byte[1000]);
        var message = builder.ToMessage(IkeHeader.V2(new IkeSpi(77), default, ExchangeType.IkeSaInit, fromInitiator: true, isResponse: false, 0));
        using var door = new Door(new EngineOptions());
        door.Knock(message);
        var before = GC.GetAllocatedBytesForCurrentThread();
        door.Knock(message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 32L * message.Length);
        Assert.Equal(0, door.HalfOpen);
    }

    private static void SealedChains(int count, ulong seed)
    {
        var generator = new ChainGenerator(seed);
        ExchangeType[] exchanges = [ExchangeType.IkeAuth, ExchangeType.CreateChildSa, ExchangeType.Informational, (ExchangeType)43];
        var (answered, ended, done) = (0, 0, 0);
        Impostor? impostor = null;
        try
        {
            for (var i = 0; i < count; i++)
            {
                if (impostor is null || !impostor.IsUp)
                {
                    if (impostor is not null) ended++;
                    impostor?.Dispose();
                    impostor = new Impostor(seed + (ulong)i);
                }

                var exchange = exchanges[generator.Luck.Below(4)];
                var chain = generator.Luck.Chance(0.4) ? generator.Chain(out var first) : generator.Exchange(exchange, out first);
                if (generator.Luck.Chance(0.2))
                {
                    // an answer of luck to a question of the victim's
                    impostor.Victim.Outbox.Clear();
                    impostor.Victim.Command(id => new IkeCommand.Rekey(id, generator.Luck.Chance(0.5) ? new SaTarget(Child: "net") : new SaTarget("net")), impostor.Now);
                    if (!impostor.Victim.Outbox.TryPeek(out var asked) || !IkeHeader.TryRead(asked.Message, out var question)) continue;
                    impostor.Victim.Receive(impostor.Local, impostor.Remote, impostor.Seal(question.Exchange, isResponse: true, question.MessageId, first, chain), impostor.Now);
                    done++;
                    continue;
                }

                if (impostor.Request(exchange, first, chain) is not null) answered++;
                Assert.Equal(0, impostor.Victim.Engine.Snapshot().HalfOpen);
                Assert.True(impostor.Victim.Outbox.Count(sent => IkeHeader.TryRead(sent.Message, out var header) && header.IsResponse) <= 1);
                done++;
            }

            // nothing that luck made stays for ever: the pair's lifetimes and the wait for deletes are over after a day
            Assert.True(answered > count / 4 && ended > count / 50, $"{answered} answered, {ended} ended, {done} done");
        }
        finally
        {
            impostor?.Dispose();
        }
    }

    private static IEnumerable<byte[]> Forgeries(byte[] message)
    {
        for (var bit = 0; bit < message.Length * 8; bit++)
        {
            var flipped = message.ToArray();
            flipped[bit / 8] ^= (byte)(0x80 >> (bit % 8));
            yield return flipped;
        }

        for (var length = 0; length < message.Length; length++)
        {
            var cut = message[..length];
            if (length >= IkeHeader.Length) BinaryPrimitives.WriteUInt32BigEndian(cut.AsSpan(24), (uint)length);
            yield return cut;
        }
    }

    /// <summary>A responder for 192.0.2.2, at whose door anybody may knock.</summary>
    private sealed class Door : IDisposable
    {
        private readonly EnginePair _pair;

        public Door(EngineOptions options)
        {
            _pair = new EnginePair(2, right: options);
            // from anywhere, so that a flood finds a connection too
            _pair.Load(
                EnginePair.LeftGateway(s_suites[0]),
                EnginePair.RightGateway() with { RemoteAddresses = [], Proposals = EnginePair.Proposals(ProtocolId.Ike, s_suites) });
        }

        public IkeEngine Engine => _pair.Right.Engine;

        public int HalfOpen => Engine.Snapshot().HalfOpen;

        public int Replies { get; private set; }

        public void Knock(ReadOnlySpan<byte> datagram, Endpoint? from = null)
        {
            _pair.Right.Receive(new Endpoint(_pair.Right.Address, 500), from ?? new Endpoint(_pair.Left.Address, 500), datagram, _pair.Now);
            Replies += _pair.Right.Outbox.Count;
            CheckReplies(datagram.Length, _pair.Right.Outbox);
            _pair.Right.Outbox.Clear();
        }

        /// <summary>DESIGN section 2: one reply per request, at most 1.5 times its octets; errors and demands at most 1.0 times.</summary>
        public static void CheckReplies(int asked, Queue<IkeAction.Send> replies)
        {
            if (replies.Count == 0) return;
            var reply = Assert.Single(replies).Message;
            Assert.True(IkeHeader.TryRead(reply, out var header));
            Assert.True(header.IsResponse);
            Assert.Equal(ParseError.None, MessageView.TryParse(header.NextPayload, reply.AsSpan(IkeHeader.Length), out var view));
            var isAnswer = view.IndexOf(PayloadType.Ke) >= 0;
            Assert.True(reply.Length * 2 <= asked * (isAnswer ? 3 : 2), $"{asked} octets were answered with {reply.Length}");
        }

        /// <summary>Time passes, the state goes; a real peer is served as ever.</summary>
        public void LeavesNothing()
        {
            _pair.Run(TimeSpan.FromMinutes(2));
            IsEmpty(_pair.Right);
            Assert.True(_pair.Up().Success);
        }

        public static void IsEmpty(EngineHost host)
        {
            var snapshot = host.Engine.Snapshot();
            Assert.Empty(snapshot.IkeSas);
            Assert.Equal(0, snapshot.HalfOpen);
            Assert.Empty(host.Installed);
            Assert.Equal(Instant.Never, host.Engine.NextTimeout);
        }

        public void Dispose() => _pair.Dispose();
    }
}
