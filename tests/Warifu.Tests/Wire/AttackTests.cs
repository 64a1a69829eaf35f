using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Wire;

/// <summary>Messages that crashed or fooled other implementations, by hand (item 1.24).</summary>
[Trait("Item", "1.24")]
public sealed class AttackTests
{
    private static readonly ChainGenerator s_generator = new(17);

    [Fact]
    public void A_short_first_message_gets_a_cookie_instead_of_an_answer_that_is_longer()
    {
        // one suite, the shortest nonce, nothing else: an answer with NAT detection would be more than 1.5 times as long
        var request = First(builder => builder.Sa(Suite()).Ke(KeId.Curve25519, Point()).Nonce(new byte[16]));
        using var pair = Responder();
        var reply = Knock(pair, request)!;
        Assert.True(View(reply, out var view));
        Assert.True(view.TryGetNotify(NotifyType.Cookie, out var cookie));
        Assert.Equal(1, view.Count);
        Assert.True(reply.Length <= request.Length);
        Assert.Equal(0, pair.Right.Engine.Snapshot().HalfOpen);
        Assert.Equal(0, pair.Right.Engine.Counters.KeyExchanges);
        // with the cookie the address is verified and the answer may be long (RFC 7296 section 2.6)
        var octets = cookie.Data.ToArray();
        reply = Knock(pair, First(builder => builder.Notify(NotifyType.Cookie, octets).Sa(Suite()).Ke(KeId.Curve25519, Point()).Nonce(new byte[16])))!;
        Assert.True(View(reply, out view));
        Assert.True(view.IndexOf(PayloadType.Ke) >= 0);
        // another nonce needs another cookie
        reply = Knock(pair, First(builder => builder.Notify(NotifyType.Cookie, octets).Sa(Suite()).Ke(KeId.Curve25519, Point()).Nonce(Enumerable.Repeat((byte)7, 16).ToArray())))!;
        Assert.True(View(reply, out view));
        Assert.True(view.HasNotify(NotifyType.Cookie));
    }

    [Fact]
    public void A_repeated_first_message_is_answered_alike_and_a_changed_one_is_another()
    {
        var nonce = Enumerable.Range(0, 200).Select(i => (byte)i).ToArray();
        var request = First(builder => builder.Sa(Suite()).Ke(KeId.Curve25519, Point()).Nonce(nonce));
        var changed = First(builder => builder.Sa(Suite()).Ke(KeId.Curve25519, Point()).Nonce(nonce.Reverse().ToArray()));
        using var pair = Responder();
        var reply = Knock(pair, request)!;
        // RFC 7296 section 2.1: the SPI and the address do not tell two initiators apart
        var other = Knock(pair, changed)!;
        Assert.NotEqual(Convert.ToHexString(reply), Convert.ToHexString(other));
        Assert.Equal(reply, Knock(pair, request));
        Assert.Equal(other, Knock(pair, changed));
        Assert.Equal(2, pair.Right.Engine.Snapshot().HalfOpen);
    }

    [Theory]
    [InlineData(0, 0, true, false, 0)]
    [InlineData(7, 9, true, false, 0)]
    [InlineData(7, 0, false, false, 0)]
    [InlineData(7, 0, true, true, 0)]
    [InlineData(7, 0, true, false, 1)]
    public void First_messages_with_impossible_headers_get_no_answer(ulong initiator, ulong responder, bool fromInitiator, bool isResponse, uint messageId)
    {
        var builder = new MessageBuilder().Sa(Suite()).Ke(KeId.Curve25519, Point()).Nonce(new byte[200]);
        using var pair = Responder();
        Assert.Null(Knock(pair, builder.ToMessage(IkeHeader.V2(new IkeSpi(initiator), new IkeSpi(responder), ExchangeType.IkeSaInit, fromInitiator, isResponse, messageId))));
        Assert.Equal(0, pair.Right.Engine.Snapshot().HalfOpen);
    }

    [Fact]
    public void A_higher_version_is_told_ours_but_not_often_and_not_for_less()
    {
        using var pair = Responder();
        var message = First(builder => builder.VendorId(new byte[60]));
        message[17] = 0x30;
        var reply = Knock(pair, message)!;
        Assert.True(IkeHeader.TryRead(reply, out var header));
        Assert.Equal((2, true), (header.MajorVersion, header.IsResponse));
        Assert.True(View(reply, out var view) && view.HasNotify(NotifyType.InvalidMajorVersion));
        // at most ten in a second
        Assert.Null(Knock(pair, message));
        pair.Run(TimeSpan.FromSeconds(1));
        // shorter than the answer would be
        message = First(builder => builder.VendorId([1, 2, 3, 4]));
        message[17] = 0x30;
        Assert.Null(Knock(pair, message));
    }

    /// <summary>"One IKE_SA_INIT with KE group 1025" (CVE-2014-9221), and every other number.</summary>
    [Fact]
    public void Every_key_exchange_method_and_transform_id_is_survived()
    {
        using var pair = Responder();
        for (var id = 0; id <= ushort.MaxValue; id += id < 2048 ? 1 : 37)
        {
            var number = (ushort)id;
            var reply = Knock(pair, First(builder => builder.Sa(Suite()).Ke((KeId)number, new byte[96]).Nonce(new byte[100])));
            // the group that we would take, or no key exchange at all
            if (number == (ushort)KeId.Curve25519) continue;
            Assert.True(View(reply!, out var view) && view.TryGetNotify(NotifyType.InvalidKePayload, out var wanted) && wanted.Data.SequenceEqual((ReadOnlySpan<byte>)[0, 31]));
            foreach (var type in new[] { TransformType.Encr, TransformType.Prf, TransformType.Integ, TransformType.Ke, (TransformType)(1 + (id % 255)) })
            {
                var transforms = Suite()[0].Proposal.Transforms.Where(transform => transform.Type != type).Append(new Transform(type, number, (ushort)(id % 3 == 0 ? 128 : 0)));
                Knock(pair, First(builder => builder.Sa([new OfferedProposal(1, 0, 0, new Proposal(ProtocolId.Ike, [.. transforms]))]).Ke(KeId.Ecp256, new byte[64]).Nonce(new byte[100])));
            }
        }

        pair.Run(TimeSpan.FromMinutes(2));
        Assert.Equal(0, pair.Right.Engine.Snapshot().HalfOpen);
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
    }

    [Theory]
    [InlineData("0000000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("0100000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")]
    [InlineData("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")]
    public void Points_of_small_order_make_no_state(string point)
    {
        // RFC 7748 section 6.1: the shared secret would be zero
        using var pair = Responder();
        var reply = Knock(pair, First(builder => builder.Sa(Suite()).Ke(KeId.Curve25519, Convert.FromHexString(point)).Nonce(new byte[200])));
        Assert.True(reply is null || (View(reply, out var view) && view.HasNotify(NotifyType.InvalidSyntax)));
        Assert.Equal(0, pair.Right.Engine.Snapshot().HalfOpen);
    }

    /// <summary>Each payload of each exchange left out, one and two at a time; each twice (strongSwan 4.3.0, CVE-2013-6467, CVE-2013-7294).</summary>
    [Theory]
    [InlineData(ExchangeType.IkeAuth)]
    [InlineData(ExchangeType.CreateChildSa)]
    [InlineData(ExchangeType.Informational)]
    public void Missing_and_doubled_payloads_behind_the_encryption(ExchangeType exchange)
    {
        PayloadType[] whole = exchange switch
        {
            ExchangeType.IkeAuth => [PayloadType.IdI, PayloadType.Auth, PayloadType.Sa, PayloadType.TsI, PayloadType.TsR],
            ExchangeType.CreateChildSa => [PayloadType.Sa, PayloadType.Nonce, PayloadType.Ke, PayloadType.TsI, PayloadType.TsR],
            _ => [PayloadType.Delete, PayloadType.Cp],
        };
        foreach (var types in Variants(whole))
        {
            using var impostor = new Impostor();
            var builder = new MessageBuilder();
            foreach (var type in types) builder.Add(type == PayloadType.Sa ? new OwnedPayload.Sa([new OfferedProposal(1, 0x0BADF00D, 4, new Proposal(ProtocolId.Esp, [Transform.Encr(EncrId.AesGcm16, 128), Transform.Esn(false)]))]) : s_generator.Legal(type));
            Assert.NotNull(impostor.Request(exchange, builder.First, builder.Chain));
            Assert.Equal(0, impostor.Victim.Engine.Snapshot().HalfOpen);
            Assert.InRange(impostor.Victim.Installed.Count, 0, 2);
        }
    }

    [Fact]
    public void Missing_and_doubled_payloads_in_the_first_message()
    {
        using var pair = Responder();
        foreach (var types in Variants([PayloadType.Sa, PayloadType.Ke, PayloadType.Nonce]))
        {
            var whole = types.Count == 3 && types.Distinct().Count() == 3;
            var reply = Knock(pair, First(builder =>
            {
                foreach (var type in types)
                {
                    if (type == PayloadType.Sa) builder.Sa(Suite());
                    else if (type == PayloadType.Ke) builder.Ke(KeId.Curve25519, Point());
                    else builder.Nonce(new byte[200]);
                }

                return builder;
            }));
            Assert.Equal(whole, reply is not null);
        }

        Assert.Equal(1, pair.Right.Engine.Snapshot().HalfOpen);
    }

    [Fact]
    public void An_unknown_critical_payload_in_the_first_message_is_named()
    {
        using var pair = Responder();
        var reply = Knock(pair, First(builder => builder.Raw((PayloadType)200, [1], critical: true).Sa(Suite()).Ke(KeId.Curve25519, Point()).Nonce(new byte[200])))!;
        Assert.True(View(reply, out var view) && view.TryGetNotify(NotifyType.UnsupportedCriticalPayload, out var notify) && notify.Data.SequenceEqual((ReadOnlySpan<byte>)[200]));
        Assert.Equal(0, pair.Right.Engine.Snapshot().HalfOpen);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_unknown_payload_before_SK_counts_when_it_is_critical(bool critical)
    {
        using var impostor = new Impostor();
        var answer = impostor.RequestBehind((PayloadType)54, critical);
        Assert.NotNull(answer);
        var chain = impostor.Open(answer, out var first);
        Assert.Equal(ParseError.None, MessageView.TryParse(first, chain, out var view));
        Assert.Equal(critical, view.TryGetNotify(NotifyType.UnsupportedCriticalPayload, out var notify) && notify.Data.SequenceEqual((ReadOnlySpan<byte>)[54]));
        Assert.True(impostor.IsUp);
    }

    [Fact]
    public void Replayed_and_old_requests_change_nothing()
    {
        using var impostor = new Impostor();
        var sealedRequest = impostor.Seal(ExchangeType.Informational, isResponse: false, 2, PayloadType.None, []);
        var host = impostor.Victim;
        host.Receive(impostor.Local, impostor.Remote, sealedRequest, impostor.Now);
        var first = host.Outbox.Dequeue().Message;
        for (var i = 0; i < 3; i++)
        {
            host.Receive(impostor.Local, new Endpoint(IpAddress.Parse("203.0.113.9"), 500), sealedRequest, impostor.Now);
            // the cached answer goes where the SA lives, not where a replay came from
            var again = host.Outbox.Dequeue();
            Assert.Equal(first, again.Message);
            Assert.Equal(impostor.Remote, again.Remote);
        }

        foreach (var id in new uint[] { 0, 1, 4, 5, uint.MaxValue })
        {
            host.Receive(impostor.Local, impostor.Remote, impostor.Seal(ExchangeType.Informational, isResponse: false, id, PayloadType.None, []), impostor.Now);
            Assert.Empty(host.Outbox);
            host.Receive(impostor.Local, impostor.Remote, impostor.Seal(ExchangeType.Informational, isResponse: true, id, PayloadType.None, []), impostor.Now);
            Assert.Empty(host.Outbox);
        }

        Assert.True(impostor.IsUp);
    }

    private static IEnumerable<List<PayloadType>> Variants(PayloadType[] whole)
    {
        yield return [.. whole];
        for (var a = 0; a < whole.Length; a++)
        {
            yield return [.. whole, whole[a]];
            for (var b = a; b < whole.Length; b++) yield return [.. whole.Where((_, i) => i != a && i != b)];
        }
    }

    private static EnginePair Responder()
    {
        var pair = new EnginePair(6, right: new EngineOptions { HalfOpenPerPrefix = 100_000, HalfOpenLimit = 100_000, CookieThreshold = 100_000 });
        pair.Load(null, EnginePair.RightGateway());
        return pair;
    }

    private static OfferedProposal[] Suite() =>
        [new OfferedProposal(1, 0, 0, new Proposal(ProtocolId.Ike, [Transform.Encr(EncrId.AesCbc, 128), Transform.Integ(IntegId.HmacSha256_128), Transform.Prf(PrfId.HmacSha256), Transform.Ke(KeId.Curve25519)]))];

    /// <summary>The base point of RFC 7748 section 4.1.</summary>
    private static byte[] Point() => [9, .. new byte[31]];

    private static byte[] First(Func<MessageBuilder, MessageBuilder> fill) =>
        fill(new MessageBuilder()).ToMessage(IkeHeader.V2(new IkeSpi(0x7777), default, ExchangeType.IkeSaInit, fromInitiator: true, isResponse: false, 0));

    private static byte[]? Knock(EnginePair pair, byte[] message)
    {
        pair.Right.Outbox.Clear();
        pair.Right.Receive(new Endpoint(pair.Right.Address, 500), new Endpoint(pair.Left.Address, 500), message, pair.Now);
        Assert.True(pair.Right.Outbox.Count <= 1);
        return pair.Right.Outbox.TryDequeue(out var sent) ? sent.Message : null;
    }

    private static bool View(byte[] message, out MessageView view)
    {
        view = default;
        return IkeHeader.TryRead(message, out var header) && MessageView.TryParse(header.NextPayload, message.AsSpan(IkeHeader.Length), out view) == ParseError.None;
    }
}
