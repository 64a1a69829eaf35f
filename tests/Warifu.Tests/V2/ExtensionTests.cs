using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.V2;

/// <summary>Smaller extensions of IKEv2: childless initiation (RFC 6023), redirects (RFC 5685), message id synchronisation (RFC 6311); SPIs that collide or are zero.</summary>
[Trait("Item", "2.15")]
public sealed class ExtensionTests
{
    [Theory]
    [InlineData(ChildlessPolicy.Allow, ChildlessPolicy.Allow, true)]
    [InlineData(ChildlessPolicy.Prefer, ChildlessPolicy.Allow, false)]
    [InlineData(ChildlessPolicy.Prefer, ChildlessPolicy.Never, true)]
    [InlineData(ChildlessPolicy.Force, ChildlessPolicy.Allow, false)]
    [InlineData(ChildlessPolicy.Force, ChildlessPolicy.Force, false)]
    public void The_first_child_is_in_IKE_AUTH_or_in_an_exchange_of_its_own(ChildlessPolicy left, ChildlessPolicy right, bool inAuth)
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway() with { Childless = left }, EnginePair.RightGateway() with { Childless = right });
        Assert.True(pair.Up().Success);
        Assert.Equal(inAuth ? 4 : 6, pair.Sent.Count);
        Assert.Single(pair.Left.Installed);
        Assert.Single(pair.Right.Installed);
    }

    [Fact]
    public void Who_demands_it_is_told_when_the_other_cannot()
    {
        using var pair = new EnginePair();
        pair.Load(EnginePair.LeftGateway() with { Childless = ChildlessPolicy.Force }, EnginePair.RightGateway() with { Childless = ChildlessPolicy.Never });
        Assert.False(pair.Up().Success);
        Assert.Equal("childless", pair.Left.LastReport!.Failure!.Reason);
        Assert.Empty(pair.Left.Engine.Snapshot().IkeSas);
        using var other = new EnginePair();
        other.Load(EnginePair.LeftGateway(), EnginePair.RightGateway() with { Childless = ChildlessPolicy.Force });
        Assert.False(other.Up().Success);
        Assert.Equal("childless", other.Right.LastReport!.Failure!.Reason);
        // section 1.2 of RFC 7296: the IKE SA stays
        Assert.Equal("ESTABLISHED", Assert.Single(other.Left.Engine.Snapshot().IkeSas).State);
    }

    [Theory]
    [InlineData(1, "203.0.113.7")]
    [InlineData(2, "2001:db8::7")]
    [InlineData(3, "203.0.113.7")]
    public void A_gateway_that_sends_us_on_is_left_for_the_other(byte kind, string address)
    {
        using var client = new Client();
        var first = client.Start();
        var nonce = client.NonceOf(first);
        // RFC 5685 section 3: without the nonce, or with another one, anybody could have said so
        client.Answer(first, new MessageBuilder().Notify(NotifyType.Redirect, Gateway(kind, address)));
        client.Answer(first, new MessageBuilder().Notify(NotifyType.Redirect, [.. Gateway(kind, address), .. nonce.Reverse()]));
        Assert.Empty(client.Host.Outbox);
        client.Answer(first, new MessageBuilder().Notify(NotifyType.Redirect, [.. Gateway(kind, address), .. nonce]));
        var second = Assert.Single(client.Host.Outbox);
        Assert.Equal(new Endpoint(IpAddress.Parse(address), 500), second.Remote);
        Assert.True(Client.View(second.Message, out var view));
        Assert.True(view.TryGetNotify(NotifyType.RedirectedFrom, out var from));
        Assert.Equal(new byte[] { 1, 4, 198, 51, 100, 2 }, from.Data.ToArray());
        Assert.Single(client.Host.Engine.Snapshot().IkeSas);
        Assert.Null(client.Result);
    }

    [Fact]
    public void A_circle_of_gateways_is_left_after_five()
    {
        using var client = new Client();
        var request = client.Start();
        for (var i = 0; i < ProtocolTimes.Redirects; i++)
        {
            client.Answer(request, new MessageBuilder().Notify(NotifyType.Redirect, [.. Gateway(1, $"203.0.113.{i + 1}"), .. client.NonceOf(request)]));
            request = Assert.Single(client.Host.Outbox);
        }

        client.Answer(request, new MessageBuilder().Notify(NotifyType.Redirect, [.. Gateway(1, "203.0.113.99"), .. client.NonceOf(request)]));
        Assert.Empty(client.Host.Outbox);
        Assert.Equal("redirect", client.Host.LastReport!.Failure!.Reason);
        Assert.False(client.Result!.Success);
        Assert.Equal(0, client.Host.Engine.Holdings.IkeSas);
    }

    [Fact]
    public void Who_does_not_want_to_be_redirected_does_not_say_that_he_can_be()
    {
        using var client = new Client(connection => connection with { FollowRedirects = false });
        var request = client.Start();
        Assert.True(Client.View(request.Message, out var view));
        Assert.False(view.HasNotify(NotifyType.RedirectSupported));
        client.Answer(request, new MessageBuilder().Notify(NotifyType.Redirect, [.. Gateway(1, "203.0.113.7"), .. client.NonceOf(request)]));
        Assert.Empty(client.Host.Outbox);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(ProtocolTimes.Redirects + 1)]
    public void A_gateway_may_send_us_on_once_it_has_proved_who_it_is(int times)
    {
        using var pair = new EnginePair(1, new EngineOptions { KeyLog = true }, new EngineOptions());
        // all gateways are one host here
        pair.Load(EnginePair.LeftGateway() with { LocalAddresses = [] }, EnginePair.RightGateway() with { LocalAddresses = [] });
        var (left, sent) = (times, 0);
        pair.Wire = (_, from, message) =>
        {
            if (from == pair.Left || !IkeHeader.TryRead(message.Message, out var header) || header.Exchange != ExchangeType.IkeAuth || left-- <= 0) return 1;
            // RFC 5685 section 6: identity and proof, but no child
            var keys = pair.Left.IkeKeys[^1];
            var answer = Sealing.ProofOf(keys, message.Message).Notify(NotifyType.Redirect, Gateway(1, $"203.0.113.{++sent}"));
            pair.Left.Receive(message.Remote, message.Local, Sealing.Replace(keys, message.Message, answer.First, answer.Chain), pair.Now);
            return 0;
        };
        var result = pair.Up();
        Assert.Equal(times == 1, result.Success);
        if (times > 1)
        {
            Assert.Equal("redirect", pair.Left.LastReport!.Failure!.Reason);
            pair.Run(TimeSpan.FromSeconds(1));
            Assert.Empty(pair.Left.Engine.IkeSas);
            // all that were left are closed there, too
            Assert.Empty(pair.Right.Engine.IkeSas);
            return;
        }

        pair.Run(TimeSpan.FromSeconds(1));
        Assert.Equal("203.0.113.1", Assert.Single(pair.Left.Engine.IkeSas).Remote.Address.ToString());
        Assert.Equal("203.0.113.1", Assert.Single(pair.Left.Installed.Values).Remote.Address.ToString());
        Assert.Single(pair.Right.Engine.IkeSas);
        var first = pair.Sent.First(one => one.From == pair.Left && one.Message.Remote.Address == IpAddress.Parse("203.0.113.1"));
        Assert.True(Client.View(first.Message.Message, out var view));
        Assert.True(view.TryGetNotify(NotifyType.RedirectedFrom, out var old));
        Assert.Equal(new byte[] { 1, 4, 198, 51, 100, 2 }, old.Data.ToArray());
    }

    [Fact]
    public void A_redirect_of_a_gateway_that_proves_nothing_is_not_followed()
    {
        using var pair = new EnginePair(1, new EngineOptions { KeyLog = true }, new EngineOptions());
        pair.Load(EnginePair.LeftGateway() with { LocalAddresses = [] }, EnginePair.RightGateway() with { LocalAddresses = [] });
        pair.Wire = (_, from, message) =>
        {
            if (from == pair.Left || !IkeHeader.TryRead(message.Message, out var header) || header.Exchange != ExchangeType.IkeAuth) return 1;
            var keys = pair.Left.IkeKeys[^1];
            var answer = Sealing.ProofOf(keys, message.Message, spoil: true).Notify(NotifyType.Redirect, Gateway(1, "203.0.113.1"));
            pair.Left.Receive(message.Remote, message.Local, Sealing.Replace(keys, message.Message, answer.First, answer.Chain), pair.Now);
            return 0;
        };
        Assert.False(pair.Up().Success);
        Assert.DoesNotContain(pair.Sent, one => one.Message.Remote.Address == IpAddress.Parse("203.0.113.1"));
    }

    [Fact]
    public void An_established_gateway_may_send_us_on_with_all_that_is_up()
    {
        using var pair = new EnginePair(1, new EngineOptions { KeyLog = true }, new EngineOptions());
        pair.Load(EnginePair.LeftGateway() with { RemoteAddresses = [HostPattern.Of(pair.Right.Address)] }, EnginePair.RightGateway());
        Assert.True(pair.Up().Success);
        var keys = pair.Left.IkeKeys.Single();
        using var cipher = Sealing.CipherOf(keys, ofInitiator: false);
        var redirect = new MessageBuilder().Notify(NotifyType.Redirect, Gateway(1, "203.0.113.7"));
        var message = Sealing.Seal(cipher, IkeHeader.V2(keys.Initiator, keys.Responder, ExchangeType.Informational, fromInitiator: false, isResponse: false, 0), redirect.First, redirect.Chain, 1UL << 41);
        pair.Left.Receive(new Endpoint(pair.Left.Address, 500), new Endpoint(pair.Right.Address, 500), message, pair.Now);
        // the answer, a delete for the old gateway, a first message for the new one
        var sent = pair.Left.Outbox.ToArray();
        Assert.Equal(3, sent.Length);
        Assert.Contains(sent, one => one.Remote.Address == IpAddress.Parse("203.0.113.7"));
        pair.Run(TimeSpan.FromSeconds(1));
        Assert.Empty(pair.Right.Engine.Snapshot().IkeSas);
    }

    [Fact]
    public void Message_id_synchronisation_that_we_did_not_offer_does_no_harm()
    {
        using var impostor = new Impostor();
        // RFC 6311 section 5: INFORMATIONAL with message id 0, any number of times
        var sync = new MessageBuilder().Notify(NotifyType.Ikev2MessageIdSyncSupported + 2, new byte[16]);
        for (var i = 0; i < 3; i++)
        {
            impostor.Victim.Outbox.Clear();
            impostor.Victim.Receive(impostor.Local, impostor.Remote, impostor.Seal(ExchangeType.Informational, isResponse: false, 0, sync.First, sync.Chain), impostor.Now);
            Assert.Empty(impostor.Victim.Outbox);
        }

        // in its place in the window it is an INFORMATIONAL like any other
        Assert.NotNull(impostor.Request(ExchangeType.Informational, sync.First, sync.Chain));
        Assert.NotNull(impostor.Request(ExchangeType.Informational, PayloadType.None, []));
        Assert.True(impostor.IsUp);
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(4u)]
    [InlineData(uint.MaxValue)]
    [InlineData(0u)]
    public void A_window_size_of_the_peer_is_never_exceeded(uint size)
    {
        using var impostor = new Impostor();
        var window = new MessageBuilder().Notify(NotifyType.SetWindowSize, [(byte)(size >> 24), (byte)(size >> 16), (byte)(size >> 8), (byte)size]);
        Assert.NotNull(impostor.Request(ExchangeType.Informational, window.First, window.Chain));
        impostor.Victim.Outbox.Clear();
        for (var i = 0; i < 5; i++) impostor.Victim.Command(id => new IkeCommand.Rekey(id, new SaTarget("net")), impostor.Now);
        Assert.Single(impostor.Victim.Outbox, sent => IkeHeader.TryRead(sent.Message, out var header) && !header.IsResponse);
    }

    [Fact]
    public void Numbers_that_are_taken_or_forbidden_are_not_given_out()
    {
        var host = new EngineHost(IpAddress.Parse("192.0.2.2"), 1, new Instant(1));
        using (host)
        {
            var engine = new IkeEngine(new EngineOptions { Shard = 0 }, new Stuck(), new Instant(1));
            // the same random number again and again: each SPI is given out once
            Assert.NotEqual(0UL, engine.NewIkeSpi().Value);
            var spis = Enumerable.Range(0, 100).Select(_ => engine.NewChildSpi().Value).ToArray();
            Assert.Equal(100, spis.Distinct().Count());
            Assert.All(spis, spi => Assert.True(spi > 255));
        }
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(255u)]
    public void A_child_with_a_reserved_SPI_is_refused(uint spi)
    {
        using var impostor = new Impostor();
        var chain = new MessageBuilder().Sa([new OfferedProposal(1, spi, 4, EnginePair.Proposals(ProtocolId.Esp, "aes128gcm16")[0])]).Nonce(new byte[32])
            .Ts(PayloadType.TsI, [TrafficSelector.Of(new IpPrefix(IpAddress.Parse("10.1.0.0"), 16))]).Ts(PayloadType.TsR, [TrafficSelector.Of(new IpPrefix(IpAddress.Parse("10.2.0.0"), 16))]);
        var answer = impostor.Open(impostor.Request(ExchangeType.CreateChildSa, chain.First, chain.Chain)!, out var first);
        Assert.Equal(ParseError.None, MessageView.TryParse(first, answer, out var view));
        Assert.True(view.TryGetError(out _));
        Assert.Single(impostor.Victim.Installed);
        Assert.True(impostor.IsUp);
    }

    [Fact]
    public void An_IKE_rekeying_with_SPI_0_is_refused()
    {
        using var impostor = new Impostor();
        var point = new byte[32];
        point[0] = 9;
        var chain = new MessageBuilder().Sa([new OfferedProposal(1, 0, 8, EnginePair.Proposals(ProtocolId.Ike, "aes128gcm16-prfsha256-x25519")[0])]).Nonce(new byte[32]).Ke(KeId.Curve25519, point);
        var answer = impostor.Open(impostor.Request(ExchangeType.CreateChildSa, chain.First, chain.Chain)!, out var first);
        Assert.Equal(ParseError.None, MessageView.TryParse(first, answer, out var view));
        Assert.True(view.TryGetError(out _));
        Assert.Single(impostor.Victim.Engine.Snapshot().IkeSas);
    }

    private static byte[] Gateway(byte kind, string address)
    {
        var octets = kind == 3 ? Encoding.ASCII.GetBytes(address) : IpAddress.Parse(address).ToOctets();
        return [kind, (byte)octets.Length, .. octets];
    }

    /// <summary>The left side alone; a test answers.</summary>
    private sealed class Client : IDisposable
    {
        private static readonly Instant s_now = new(1_000_000_000);

        public Client(Func<Connection, Connection>? change = null)
        {
            var connection = EnginePair.LeftGateway() with { LocalAddresses = [] };
            Host.SetPsk("ike-1", EnginePair.Secret);
            Host.Load(PolicySet.Of(change?.Invoke(connection) ?? connection), s_now);
        }

        private ulong _up;

        public CommandResult? Result => Host.Results.GetValueOrDefault(_up);

        public EngineHost Host { get; } = new(IpAddress.Parse("192.0.2.2"), 9, s_now);

        public IkeAction.Send Start()
        {
            _up = Host.Up("net", "net", s_now);
            return Assert.Single(Host.Outbox);
        }

        public byte[] NonceOf(IkeAction.Send request)
        {
            Host.Outbox.Clear();
            Assert.True(View(request.Message, out var view));
            Assert.True(view.TryGet(PayloadType.Nonce, out var nonce));
            return nonce.ToArray();
        }

        /// <summary>An answer in clear, without an SPI of the responder.</summary>
        public void Answer(IkeAction.Send request, MessageBuilder answer)
        {
            Assert.True(IkeHeader.TryRead(request.Message, out var header));
            Host.Receive(request.Local, request.Remote, answer.ToMessage(IkeHeader.V2(header.InitiatorSpi, default, ExchangeType.IkeSaInit, fromInitiator: false, isResponse: true, 0)), s_now);
        }

        public static bool View(byte[] message, out MessageView view)
        {
            view = default;
            return IkeHeader.TryRead(message, out var header) && MessageView.TryParse(header.NextPayload, message.AsSpan(IkeHeader.Length), out view) == ParseError.None;
        }

        public void Dispose() => Host.Dispose();
    }

    /// <summary>Gives each number many times, and zero first.</summary>
    private sealed class Stuck : IEntropy
    {
        private int _calls;

        public void Fill(Span<byte> destination) => destination.Fill((byte)(_calls++ / 7));
    }
}
