using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>Quick crash detection (RFC 6290; item 2.9): a peer that lost everything proves it by a token that only it can make, and nobody else can.</summary>
[Trait("Item", "2.9")]
public sealed class CrashDetectionTests : IDisposable
{
    private readonly Secret _leftSecret = new("the left side's for ever"u8), _rightSecret = new("the right side's for ever"u8), _otherSecret = new("somebody else's"u8);
    private readonly EnginePair _pair;
    private readonly List<IDisposable> _owned = [];

    public CrashDetectionTests()
    {
        _pair = new EnginePair(left: new EngineOptions { CrashSecret = _leftSecret }, right: new EngineOptions { CrashSecret = _rightSecret });
        var left = EnginePair.LeftGateway();
        _pair.Load(left with { DpdDelay = TimeSpan.FromSeconds(10), Children = [left.Children[0] with { DpdAction = StartAction.Start }] }, EnginePair.RightGateway());
        Assert.True(_pair.Up().Success);
    }

    [Theory]
    [InlineData("")]
    [InlineData("left rekeys")]
    [InlineData("right rekeys")]
    [InlineData("authenticated anew")]
    public void A_peer_that_was_started_anew_is_found_at_the_first_request(string before)
    {
        if (before.Length > 0)
        {
            var host = before == "right rekeys" ? _pair.Right : _pair.Left;
            host.Command(id => before == "authenticated anew" ? new IkeCommand.Reauth(id, new SaTarget("net")) : new IkeCommand.Rekey(id, new SaTarget("net")), _pair.Now);
            _pair.Run();
        }

        var fresh = RestartRight(_rightSecret);
        _pair.Run(TimeSpan.FromSeconds(11));
        var down = _pair.Left.Events.OfType<IkeSaDown>().Single(down => down.Reason == "peer-restarted");
        Assert.Contains("as its token proves", down.Text, StringComparison.Ordinal);
        // dpd_action = restart: a new one is there within seconds
        _pair.Run(TimeSpan.FromSeconds(4));
        Assert.Single(_pair.Left.Installed);
        Assert.Single(fresh.Installed);
    }

    [Fact]
    public void Another_secret_proves_nothing()
    {
        RestartRight(_otherSecret);
        _pair.Run(TimeSpan.FromSeconds(60));
        Assert.DoesNotContain(_pair.Left.Events, happening => happening is IkeSaDown);
        Assert.Single(_pair.Left.Installed);
    }

    [Fact]
    public void A_living_IKE_SA_is_never_told_its_token()
    {
        // section 9.2: a message of the IKE SA with the wrong flag, or with its SPIs exchanged, must not fetch one
        _pair.Run(TimeSpan.FromSeconds(12));
        var requests = _pair.Sent.Where(sent => sent.From == _pair.Left && IkeHeader.TryRead(sent.Message.Message, out var header) && header is { IsResponse: false, NextPayload: PayloadType.Sk }).ToArray();
        Assert.NotEmpty(requests);
        foreach (var (_, send) in requests)
        {
            foreach (var change in new Action<byte[]>[] { octets => octets[19] ^= 0x08, octets => Exchange(octets, 0x00), octets => Exchange(octets, 0x08), octets => octets.AsSpan(0, 8).Clear() })
            {
                var forged = (byte[])send.Message.Clone();
                change(forged);
                _pair.Right.Receive(send.Remote, send.Local, forged, _pair.Now);
                Assert.Empty(_pair.Right.Outbox);
            }

            // even an engine that does not know the IKE SA makes another token for the other side's flag
            var stranger = Host(_rightSecret);
            var flipped = (byte[])send.Message.Clone();
            flipped[19] ^= 0x08;
            stranger.Receive(send.Remote, send.Local, flipped, _pair.Now);
            while (stranger.Outbox.TryDequeue(out var answer)) _pair.Left.Receive(answer.Remote, answer.Local, answer.Message, _pair.Now);
        }

        Assert.Single(_pair.Left.Engine.IkeSas);
        Assert.Single(_pair.Right.Engine.IkeSas);
    }

    [Fact]
    public void Forged_tokens_and_hints_end_nothing_and_cause_one_check_in_ten_seconds()
    {
        var sa = _pair.Left.Engine.IkeSas.Single();
        var probes = 0;
        _pair.Wire = (_, from, message) =>
        {
            if (from == _pair.Left && IkeHeader.TryRead(message.Message, out var header) && !header.IsResponse) probes++;
            return 1;
        };
        for (var i = 0; i < 100; i++)
        {
            var token = new byte[16 + i % 8];
            token[0] = (byte)i;
            var forged = new MessageBuilder().Notify(NotifyType.InvalidIkeSpi).NotifyIke(NotifyType.QuickCrashDetection, token)
                .ToMessage(IkeHeader.V2(sa.SpiI, sa.SpiR, ExchangeType.Informational, fromInitiator: false, isResponse: true, 7));
            _pair.Left.Receive(sa.Local, new Endpoint(IpAddress.Parse("203.0.113.5"), 500), forged, _pair.Now);
            _pair.Settle();
        }

        Assert.Equal(1, probes);
        Assert.Single(_pair.Left.Engine.IkeSas);
        Assert.Single(_pair.Left.Installed);
    }

    [Fact]
    public void A_packet_for_a_lost_pair_makes_the_peer_ask_and_learn_it()
    {
        var fresh = RestartRight(_rightSecret);
        var child = _pair.Left.Installed.Values.Single();
        // what the left side sends finds nothing; no liveness check is due yet
        fresh.Engine.Handle(new Warifu.Ipsec.DataPlaneEvent.UnknownSpi(child.OutboundSpi, new Endpoint(fresh.Address, 0), new Endpoint(_pair.Left.Address, 0)), _pair.Now);
        fresh.Drain(_pair.Now);
        var hint = Assert.Single(fresh.Outbox);
        Assert.Equal(40, hint.Message.Length);
        Carry(fresh);
        _pair.Settle();
        Assert.Contains(_pair.Left.Events.OfType<IkeSaDown>(), down => down.Reason == "peer-restarted");
    }

    [Fact]
    public void Hints_of_others_are_not_taken()
    {
        var child = _pair.Left.Installed.Values.Single();
        Span<byte> spi = stackalloc byte[4];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(spi, child.OutboundSpi.Value);
        var message = new MessageBuilder().Notify(NotifyType.InvalidSpi, spi).ToMessage(IkeHeader.V2(default, default, ExchangeType.Informational, fromInitiator: true, isResponse: false, 0));
        _pair.Left.Receive(new Endpoint(_pair.Left.Address, 500), new Endpoint(IpAddress.Parse("203.0.113.5"), 500), message, _pair.Now);
        Assert.Empty(_pair.Left.Outbox);
    }

    [Fact]
    public void Answers_to_strangers_are_bounded()
    {
        var fresh = Host(_rightSecret);
        var request = _pair.Sent.First(sent => sent.From == _pair.Left && IkeHeader.TryRead(sent.Message.Message, out var header) && header.NextPayload == PayloadType.Sk).Message;
        for (var i = 0; i < 1000; i++)
        {
            var message = (byte[])request.Message.Clone();
            message[2] = (byte)(i >> 8);
            message[3] = (byte)i;
            fresh.Receive(request.Remote, request.Local, message, _pair.Now);
        }

        Assert.InRange(fresh.Outbox.Count, 50, 101);
        Assert.All(fresh.Outbox, answer => Assert.True(answer.Message.Length * 2 <= request.Message.Length * 3));
    }

    [Fact]
    public void The_responder_tells_its_reauth_time_and_the_initiator_keeps_it()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway() with { RekeyTime = TimeSpan.Zero }, EnginePair.RightGateway() with { RekeyTime = TimeSpan.Zero, ReauthTime = TimeSpan.FromMinutes(10), RandTime = TimeSpan.Zero });
        Assert.True(pair.Up().Success);
        Assert.InRange((pair.Left.Engine.IkeSas.Single().ReauthAt - pair.Now).TotalSeconds, 8 * 60, 9 * 60);
        pair.Run(TimeSpan.FromMinutes(11));
        Assert.Single(pair.Left.Events.OfType<IkeSaReauthenticated>());
        Assert.DoesNotContain(pair.Right.Events, happening => happening is IkeSaReauthenticated);
    }

    public void Dispose()
    {
        _pair.Dispose();
        foreach (var owned in _owned) owned.Dispose();
        foreach (var secret in new[] { _leftSecret, _rightSecret, _otherSecret }) secret.Dispose();
    }

    private EngineHost Host(Secret secret)
    {
        var host = new EngineHost(_pair.Right.Address, 4711, _pair.Now, new EngineOptions { CrashSecret = secret });
        host.SetPsk("ike-1", EnginePair.Secret);
        host.Load(new PolicySet { Connections = [EnginePair.RightGateway()] }, _pair.Now);
        _owned.Add(host);
        return host;
    }

    /// <summary>The right side lost everything and is there again, with what survives.</summary>
    private EngineHost RestartRight(Secret secret)
    {
        var fresh = Host(secret);
        _pair.Wire = (_, from, message) =>
        {
            if (from != _pair.Left) return 0;
            fresh.Receive(message.Remote, message.Local, message.Message, _pair.Now);
            Carry(fresh);
            return 0;
        };
        return fresh;
    }

    private void Carry(EngineHost fresh)
    {
        while (fresh.Outbox.TryDequeue(out var answer)) _pair.Left.Receive(answer.Remote, answer.Local, answer.Message, _pair.Now);
    }

    private static void Exchange(byte[] message, byte flag)
    {
        var initiator = message[..8];
        message.AsSpan(8, 8).CopyTo(message);
        initiator.CopyTo(message, 8);
        message[19] ^= flag;
    }
}
