using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>Floods of first messages: cookies, half-open state and what it costs.</summary>
[Trait("Item", "2.14")]
public sealed class CookieTests
{
    private static readonly Endpoint s_door = new(IpAddress.Parse("198.51.100.2"), 500);

    [Fact]
    public void A_wrong_cookie_is_answered_by_a_right_one_and_costs_nothing()
    {
        using var flood = new Flood(new EngineOptions { CookieThreshold = 0 });
        var good = flood.Demand(1, null);
        foreach (var bit in Enumerable.Range(0, good.Length * 8))
        {
            var wrong = good.ToArray();
            wrong[bit / 8] ^= (byte)(1 << (bit % 8));
            // RFC 7296 section 2.6: as if there were none
            Assert.Equal(good, flood.Demand(1, wrong));
        }

        Assert.Equal(good, flood.Demand(1, good[..^1]));
        Assert.Equal(good, flood.Demand(1, [.. good, 0]));
        // of another address, of another initiator, of another nonce
        Assert.NotEqual(good, flood.Demand(2, good));
        Assert.NotEqual(good, flood.Demand(2, good, spi: 1, nonce: 1));
        Assert.NotEqual(good, flood.Demand(1, good, spi: 99));
        Assert.NotEqual(good, flood.Demand(1, good, nonce: 99));
        Assert.Equal(0, flood.Engine.Counters.KeyExchanges);
        Assert.Equal(0, flood.Engine.Snapshot().HalfOpen);
        Assert.Null(flood.Send(1, good));
        Assert.Equal(1, flood.Engine.Counters.KeyExchanges);
    }

    [Fact]
    public void A_cookie_outlives_one_change_of_the_secret_and_not_two()
    {
        using var flood = new Flood(new EngineOptions { CookieThreshold = 0 });
        var (first, other) = (flood.Demand(1, null), flood.Demand(2, null));
        flood.Rotate(1);
        Assert.NotEqual(first, flood.Demand(1, null));
        Assert.Null(flood.Send(1, first));
        flood.Rotate(2);
        Assert.Equal(flood.Demand(2, null), flood.Demand(2, other));
        // the version is an octet: it comes round
        for (var version = 3; version <= 300; version++)
        {
            var last = flood.Demand(4, null);
            flood.Rotate((byte)version);
            Assert.NotEqual(last, flood.Demand(4, null));
        }

        Assert.Equal(1, flood.Engine.Counters.KeyExchanges);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Beyond_the_threshold_nothing_is_computed_or_kept_for_who_did_not_return_a_cookie(bool v6)
    {
        var options = new EngineOptions { CookieThreshold = 30, HalfOpenLimit = 100, HalfOpenPerPrefix = 5 };
        using var flood = new Flood(options) { V6 = v6 };
        for (var source = 0; source < 20_000; source++) flood.Send(source, null);
        Assert.Equal(30, flood.Engine.Snapshot().HalfOpen);
        Assert.Equal(30, flood.Engine.Counters.KeyExchanges);
        var holdings = flood.Engine.Holdings;
        Assert.Equal((30, 30), (holdings.IkeSas, holdings.FirstMessages));
        // who returns it goes on, up to the limit for all, then nobody does
        for (var source = 0; source < 200; source++) flood.Send(source, flood.Send(source, null));
        Assert.Equal(100, flood.Engine.Snapshot().HalfOpen);
        Assert.Equal(100, flood.Engine.Counters.KeyExchanges);
        Assert.True(flood.Engine.Counters.Drops[(int)DropReason.HalfOpenLimit] > 0);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void One_prefix_gets_no_more_than_its_share_and_the_others_are_not_asked_for_cookies(bool v6)
    {
        using var flood = new Flood(new EngineOptions { CookieThreshold = 1000, HalfOpenLimit = 1000, HalfOpenPerPrefix = 5 }) { V6 = v6, OnePrefix = true };
        for (var source = 0; source < 500; source++) flood.Send(source, null);
        Assert.Equal(5, flood.Engine.Snapshot().HalfOpen);
        // those who receive there get as much again
        for (var source = 1000; source < 1020; source++) flood.Send(source, flood.Demand(source, null));
        Assert.Equal(10, flood.Engine.Snapshot().HalfOpen);
        Assert.Equal(15, flood.Engine.Counters.Drops[(int)DropReason.HalfOpenPerPrefix]);
        flood.OnePrefix = false;
        Assert.Null(flood.Send(2000, null));
        Assert.Equal(11, flood.Engine.Snapshot().HalfOpen);
    }

    [Fact]
    public void Under_attack_half_open_state_ends_sooner_also_what_was_there_before()
    {
        using var flood = new Flood(new EngineOptions { CookieThreshold = 10, HalfOpenTimeout = TimeSpan.FromSeconds(30) });
        for (var source = 0; source < 5; source++) flood.Send(source, null);
        flood.Wait(TimeSpan.FromSeconds(11));
        Assert.Equal(5, flood.Engine.Snapshot().HalfOpen);
        // the tenth makes it an attack: the five have had their ten seconds
        for (var source = 5; source < 10; source++) flood.Send(source, null);
        flood.Wait(TimeSpan.FromMilliseconds(1));
        Assert.Equal(5, flood.Engine.Snapshot().HalfOpen);
        flood.Wait(TimeSpan.FromSeconds(10));
        Assert.Equal(0, flood.Engine.Snapshot().HalfOpen);
        // over: patience is back
        flood.Send(20, null);
        flood.Wait(TimeSpan.FromSeconds(29));
        Assert.Equal(1, flood.Engine.Snapshot().HalfOpen);
        flood.Wait(TimeSpan.FromSeconds(2));
        Assert.Equal(default, flood.Engine.Holdings);
    }

    [Fact]
    public void A_peer_that_means_it_connects_in_the_middle_of_a_flood()
    {
        using var pair = new EnginePair(right: new EngineOptions { CookieThreshold = 30, HalfOpenLimit = 100 });
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway() with { RemoteAddresses = [] });
        using var flood = new Flood(pair.Right);
        void Attack()
        {
            // what is under way to the left side stays
            var waiting = pair.Right.Outbox.ToArray();
            pair.Right.Outbox.Clear();
            for (var i = 0; i < 500; i++) flood.Send(i, null);
            foreach (var message in waiting) pair.Right.Outbox.Enqueue(message);
        }

        Attack();
        pair.Wire = (_, from, _) =>
        {
            if (from == pair.Left) Attack();
            return 1;
        };
        var up = pair.Left.Up("net", "net", pair.Now);
        pair.Run();
        Assert.True(pair.Left.Results[up].Success);
        Assert.Contains(pair.Sent, sent => sent.From == pair.Left && sent.Message.Message[16] == (byte)PayloadType.Notify);
    }

    /// <summary>First messages from anywhere.</summary>
    private sealed class Flood : IDisposable
    {
        private readonly EngineHost _host;
        private readonly bool _owned;
        private Instant _now = new(1_000_000_000);

        public Flood(EngineOptions options)
        {
            _host = new EngineHost(s_door.Address, 5, _now, options);
            _host.Load(new() { Connections = [EnginePair.RightGateway() with { RemoteAddresses = [], LocalAddresses = [] }] }, _now);
            _owned = true;
        }

        public Flood(EngineHost host) => _host = host;

        public IkeEngine Engine => _host.Engine;

        public bool V6 { get; init; }

        public bool OnePrefix { get; set; }

        public void Rotate(byte version)
        {
            using var secret = new Secret(32);
            secret.Span.Fill(version);
            _host.Command(id => new IkeCommand.CookieSecret(id, version, secret), _now);
        }

        public void Wait(TimeSpan span)
        {
            var end = _now + span;
            while (_host.Engine.NextTimeout <= end)
            {
                if (_host.Engine.NextTimeout > _now) _now = _host.Engine.NextTimeout;
                _host.Wake(_now);
            }

            _now = end;
        }

        /// <summary>The cookie that is demanded.</summary>
        public byte[] Demand(int source, byte[]? cookie, int? spi = null, int? nonce = null)
        {
            var demanded = Send(source, cookie, spi, nonce);
            Assert.NotNull(demanded);
            return demanded;
        }

        /// <summary>The cookie that is demanded; null when it is not.</summary>
        public byte[]? Send(int source, byte[]? cookie, int? spi = null, int? nonce = null)
        {
            var message = First(spi ?? source, nonce ?? source, cookie);
            var number = (uint)source;
            var address = (V6, OnePrefix) switch
            {
                (false, false) => IpAddress.V4(0x0A00_0000 + number),
                (false, true) => IpAddress.V4(0x0A00_0001),
                (true, false) => IpAddress.V6(((UInt128)0x20010DB8 << 96) | ((UInt128)number << 64)),
                (true, true) => IpAddress.V6(((UInt128)0x20010DB8 << 96) | number),
            };
            _host.Receive(V6 ? new Endpoint(IpAddress.Parse("2001:db8::2"), 500) : s_door, new Endpoint(address, (ushort)(1024 + (number % 60_000))), message, _now);
            byte[]? demanded = null;
            while (_host.Outbox.TryDequeue(out var sent))
            {
                // DESIGN section 2: while cookies are demanded never more octets than came
                Assert.True(IkeHeader.TryRead(sent.Message, out var header));
                if (MessageView.TryParse(header.NextPayload, sent.Message.AsSpan(IkeHeader.Length), out var view) != ParseError.None || !view.TryGetNotify(NotifyType.Cookie, out var notify)) continue;
                Assert.True(sent.Message.Length <= message.Length);
                demanded = notify.Data.ToArray();
            }

            return demanded;
        }

        public void Dispose()
        {
            if (_owned) _host.Dispose();
        }

        private static byte[] First(int spi, int nonce, byte[]? cookie)
        {
            var builder = new MessageBuilder();
            if (cookie is not null) builder.Notify(NotifyType.Cookie, cookie);
            var point = new byte[32];
            point[0] = 9;
            builder.Sa(Warifu.V2.Exchanges.InitExchange.Offer(EnginePair.Proposals(ProtocolId.Ike, "aes128-sha256-x25519"))).Ke(KeId.Curve25519, point).Nonce([.. Enumerable.Repeat((byte)nonce, 31), (byte)(nonce >> 8)]).VendorId(new byte[120]);
            return builder.ToMessage(IkeHeader.V2(new IkeSpi((ulong)spi + 1), default, ExchangeType.IkeSaInit, fromInitiator: true, isResponse: false, 0));
        }
    }
}
