using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>One IKE version per peer and no fallback, in either direction and either role (R9 to R12).</summary>
[Trait("Item", "2.6")]
public sealed class VersionTests
{
    private static readonly Endpoint s_left = Endpoint("192.0.2.2"), s_right = Endpoint("198.51.100.2");

    [Theory]
    // main mode, aggressive mode
    [InlineData(2)]
    [InlineData(4)]
    public void A_version_1_message_from_a_version_2_peer_makes_nothing(byte exchange)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        pair.Right.Receive(s_right, s_left, First(0x10, exchange), pair.Now);
        Assert.Empty(pair.Right.Outbox);
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
        Assert.Equal(1, pair.Right.Engine.Versions.Mismatches);
        Assert.Equal(1, pair.Right.Engine.Counters.Drops[(int)DropReason.Version1]);
        var notice = Assert.Single(pair.Right.Events.OfType<Notice>());
        Assert.Equal(NoticeLevel.Warning, notice.Level);
        Assert.Equal("net", notice.Connection);
        Assert.Contains("192.0.2.2[500] speaks IKEv1, connection net is IKEv2: refused, and nothing falls back", notice.Text, StringComparison.Ordinal);
        // and the real one goes on
        Assert.True(pair.Up().Success);
    }

    [Fact]
    public void The_event_comes_once_in_a_minute_for_each_peer()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        for (var i = 0; i < 100; i++) pair.Right.Receive(s_right, s_left, First(0x10, 2), pair.Now);
        pair.Right.Receive(s_right, Endpoint("192.0.2.9"), First(0x10, 2), pair.Now);
        Assert.Equal(101, pair.Right.Engine.Versions.Mismatches);
        Assert.Equal(2, pair.Right.Events.OfType<Notice>().Count());
        pair.Right.Receive(s_right, s_left, First(0x10, 2), pair.Now + TimeSpan.FromSeconds(61));
        Assert.Equal(3, pair.Right.Events.OfType<Notice>().Count());
    }

    [Fact]
    public void Many_forged_senders_cost_neither_memory_nor_log()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        for (var i = 0; i < 20_000; i++) pair.Right.Receive(s_right, Endpoint($"10.{i >> 16}.{(i >> 8) & 255}.{i & 255}"), First(0x10, 2), pair.Now);
        Assert.Equal(20_000, pair.Right.Engine.Versions.Mismatches);
        Assert.True(pair.Right.Events.Count <= 2 * (ProtocolTimes.RefusalReportsPerSecond + 1), $"{pair.Right.Events.Count} events");
    }

    [Fact]
    public void An_initiator_that_gets_version_1_never_answers_in_it()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        var id = pair.Left.Up("net", "net", pair.Now);
        var request = pair.Left.Outbox.Dequeue().Message;
        // an old peer's answer: an informational exchange of version 1 with INVALID-MAJOR-VERSION (RFC 2408 section 5.2)
        byte[] answer = [.. request[..8], .. new byte[8], 0x0B, 0x10, 5, 0, 0, 0, 0, 1, 0, 0, 0, 40, 0, 0, 0, 12, 0, 0, 0, 1, 1, 0, 0, 5];
        for (var i = 0; i < 10; i++) pair.Left.Receive(s_left, s_right, answer, pair.Now);
        Assert.Empty(pair.Left.Outbox);
        Assert.Equal(10, pair.Left.Engine.Versions.Mismatches);
        Assert.Single(pair.Left.Events.OfType<Notice>());
        // a forged answer does not end it: the real one may still come
        Assert.Single(pair.Left.Engine.Snapshot().IkeSas);
        Assert.False(pair.Left.Results.ContainsKey(id));
        pair.Wire = (_, _, _) => 0;
        pair.Run();
        // retransmissions until it gives up, all of version 2
        Assert.All(pair.Sent, sent => Assert.Equal(0x20, sent.Message.Message[17]));
        Assert.True(pair.Sent.Count > 3);
        Assert.False(pair.Left.Results[id].Success);
    }

    [Fact]
    public void A_version_1_connection_takes_and_sends_no_version_2()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway("aes128-sha256-ecp256") with { Version = IkeVersion.V1 });
        var id = pair.Left.Up("net", "net", pair.Now);
        pair.Settle();
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
        Assert.DoesNotContain(pair.Sent, sent => sent.From == pair.Right);
        Assert.True(pair.Right.Engine.Versions.Mismatches >= 1);
        Assert.Contains("speaks IKEv2, connection net is IKEv1", Assert.Single(pair.Right.Events.OfType<Notice>()).Text, StringComparison.Ordinal);
        Assert.False(pair.Left.Results.ContainsKey(id));
        // and the other way round: each asks in its own version until it gives up
        var up = pair.Right.Up("net", "net", pair.Now);
        pair.Run();
        Assert.False(pair.Right.Results[up].Success);
        Assert.All(pair.Sent.Where(sent => sent.From == pair.Right), sent => Assert.Equal(0x10, sent.Message.Message[17]));
        Assert.All(pair.Sent.Where(sent => sent.From == pair.Left), sent => Assert.Equal(0x20, sent.Message.Message[17]));
        Assert.True(pair.Left.Engine.Versions.Mismatches >= 1);
        Assert.Empty(pair.Left.Engine.Snapshot().IkeSas);
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
    }

    [Theory]
    [InlineData(0x30)]
    [InlineData(0x25)]
    public void A_higher_major_version_is_answered_and_a_higher_minor_one_is_taken(byte version)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway(), EnginePair.RightGateway());
        pair.Left.Up("net", "net", pair.Now);
        var request = pair.Left.Outbox.Dequeue().Message;
        request[17] = version;
        pair.Right.Receive(s_right, s_left, request, pair.Now);
        var answer = pair.Right.Outbox.Dequeue().Message;
        Assert.Equal(0x20, answer[17]);
        Assert.True(IkeHeader.TryRead(answer, out var header));
        Assert.Equal(ParseError.None, MessageView.TryParse(header.NextPayload, answer.AsSpan(IkeHeader.Length), out var view));
        if (version == 0x30)
        {
            // R12: in the form of version 2, with the highest version that we speak
            Assert.True(view.TryGetNotify(NotifyType.InvalidMajorVersion, out var notify));
            Assert.Equal([2], notify.Data.ToArray());
            Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
            Assert.Equal(1, pair.Right.Engine.Versions.Mismatches);
            Assert.Single(pair.Right.Events.OfType<Notice>());
            // its repetition is rate limited
            pair.Right.Receive(s_right, s_left, request, pair.Now);
            Assert.Empty(pair.Right.Outbox);
            return;
        }

        Assert.True(view.IndexOf(PayloadType.Sa) >= 0);
        Assert.Equal(0, pair.Right.Engine.Versions.Mismatches);
    }

    private static Endpoint Endpoint(string address) => new(IpAddress.Parse(address), 500);

    /// <summary>Header (RFC 2408 section 3.1) and an SA payload.</summary>
    private static byte[] First(byte version, byte exchange)
    {
        var payload = new byte[56];
        (payload[3], payload[7], payload[11]) = (56, 1, 1);
        byte[] message = [1, 2, 3, 4, 5, 6, 7, 8, .. new byte[8], 1, version, exchange, 0, 0, 0, 0, 0, 0, 0, 0, 0, .. payload];
        message[27] = (byte)message.Length;
        return message;
    }
}
