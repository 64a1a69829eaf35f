using System;
using System.Linq;
using Warifu.Crypto;
using Warifu.Primitives;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>The initial exchanges with the node as initiator: docs/conformance.md, I.1.1.1 to I.1.1.4 and I.1.1.11.</summary>
[Trait("Item", "2.22")]
public sealed class InitiatorInitialTests
{
    private const ExchangeType Init = ExchangeType.IkeSaInit;

    /// <summary>Types that no payload of RFC 7296 has; 49, which the programme of 2008 takes for free, has been given away since.</summary>
    private static readonly int[] s_unknown = [1, 32, 55, 127, 255];

    public static TheoryData<string> All => Setting.Names;

    [Theory]
    [MemberData(nameof(All))]
    public void The_IKE_SA_INIT_request_has_the_form_of_the_RFC(string setting)
    {
        using var tester = new Tester(setting);
        var request = tester.Begin();
        var header = request.Header;
        // section 3.1
        Assert.False(header.InitiatorSpi.IsZero);
        Assert.True(header.ResponderSpi.IsZero);
        Assert.Equal((2, 0, (byte)0x08, 0u), (header.MajorVersion, header.MinorVersion, header.Flags, header.MessageId));
        Assert.Equal(request.Octets.Length, (int)header.TotalLength);
        // section 1.2: SA, KE, Ni
        Assert.Equal([PayloadType.Sa, PayloadType.Ke, PayloadType.Nonce], request.Essence);
        Assert.All(request.Payloads, payload => Assert.True(payload.IsPlain, $"reserved bits in {payload.Type}"));
        Assert.All(Heads(request), head => Assert.Equal(0, head));
        var offer = Assert.Single(request.Proposals);
        // section 3.3.1: numbered from 1, no SPI
        Assert.Equal((1, 0), (offer.Number, offer.SpiLength));
        Assert.Equal(tester.Ike, offer.Proposal);
        // section 3.4: the group is one of the proposal, the value has its length
        var (method, value) = request.Ke();
        Assert.Equal(Tester.GroupOf(tester.Ike), method);
        Assert.Equal(Algorithms.Ke[method].PublicLength, value.Length);
        // section 2.10: 16 to 256 octets and half the size of the PRF's key
        Assert.InRange(request.Nonce.Length, 24, 256);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_IKE_AUTH_request_has_the_form_of_the_RFC(string setting)
    {
        using var tester = new Tester(setting);
        tester.AnswerInit(tester.Begin());
        // AUTH is checked there
        var request = tester.TakeAuth();
        Assert.Equal(((byte)0x08, 1u, PayloadType.Sk), (request.Header.Flags, request.Header.MessageId, request.Header.NextPayload));
        Assert.Equal((tester.Sa.SpiI, tester.Sa.SpiR), (request.Header.InitiatorSpi, request.Header.ResponderSpi));
        Assert.Equal(0, request.Octets[IkeHeader.Length + 1]);
        Assert.All(request.Payloads, payload => Assert.True(payload.IsPlain, $"reserved bits in {payload.Type}"));
        PayloadType[] needed = [PayloadType.IdI, PayloadType.Auth, PayloadType.Sa, PayloadType.TsI, PayloadType.TsR];
        Assert.Empty(needed.Except(request.Types));
        Assert.Empty(request.Essence.Except([.. needed, PayloadType.IdR]));
        Assert.Equal<byte>([tester.Setting.Family == 4 ? (byte)IdType.Ipv4Addr : (byte)IdType.Ipv6Addr, 0, 0, 0, .. tester.Setting.Node.ToOctets()], request.Body(PayloadType.IdI));
        // section 1.3.1: transport mode is asked for by a notify without SPI and data
        Assert.Equal(!tester.Setting.IsGateway, request.Has(NotifyType.UseTransportMode));
        if (request.Has(NotifyType.UseTransportMode)) Assert.Equal((0, 0), (request.Notify(NotifyType.UseTransportMode).Spi.Length, request.Notify(NotifyType.UseTransportMode).Data.Length));
        var offer = Assert.Single(request.Proposals);
        Assert.Equal((1, 4), (offer.Number, offer.SpiLength));
        Assert.True(offer.Spi >= 256);
        Assert.Equal(tester.Esp, offer.Proposal);
        Assert.Equal([Tester.Traffic(tester.Setting.NodeTraffic)], request.Ts(PayloadType.TsI));
        Assert.Equal([Tester.Traffic(tester.Setting.TesterTraffic)], request.Ts(PayloadType.TsR));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_child_is_used_with_the_keys_and_selectors_that_were_agreed(string setting)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates: true);
        var held = tester.Holds(tester.Child!);
        Assert.True(held.OutboundReady);
        Assert.Equal([Tester.Traffic(tester.Setting.NodeTraffic)], held.LocalSelectors);
        Assert.Equal([Tester.Traffic(tester.Setting.TesterTraffic)], held.RemoteSelectors);
        Assert.Equal((tester.Setting.Node, tester.Setting.Tester), (held.Local.Address, held.Remote.Address));
        EspCheck.BothWays(held, tester.Child!);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_IKE_SA_INIT_request_is_sent_again_octet_for_octet(string setting)
    {
        using var tester = new Tester(setting);
        var first = tester.Begin();
        Repeats(tester, first);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void It_is_not_sent_again_once_it_was_answered(string setting)
    {
        using var tester = new Tester(setting);
        var request = tester.Begin();
        tester.Wait(TimeSpan.FromSeconds(1.5));
        Assert.Equal(request.Octets, tester.ExpectRequest(Init).Octets);
        tester.AnswerInit(request);
        tester.TakeAuth();
        tester.Wait(TimeSpan.FromSeconds(20));
        while (tester.Take() is { } more) Assert.Equal(ExchangeType.IkeAuth, more.Header.Exchange);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_IKE_AUTH_request_is_sent_again_octet_for_octet(string setting)
    {
        using var tester = new Tester(setting);
        tester.AnswerInit(tester.Begin());
        Repeats(tester, tester.TakeAuth());
    }

    [Theory]
    [MemberData(nameof(All))]
    public void It_is_not_sent_again_once_the_peer_has_authenticated(string setting)
    {
        using var tester = new Tester(setting);
        tester.AnswerInit(tester.Begin());
        var request = tester.TakeAuth();
        tester.Wait(TimeSpan.FromSeconds(1.5));
        Assert.Equal(request.Octets, tester.ExpectRequest(ExchangeType.IkeAuth).Octets);
        tester.Answer(request, tester.AuthAnswer(request));
        tester.Wait(TimeSpan.FromMinutes(2));
        tester.ExpectSilence();
        tester.IsAlive();
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Unknown_payloads_that_are_not_critical_are_passed_over(string setting)
    {
        foreach (var type in s_unknown)
        {
            using var tester = new Tester(setting);
            var unknown = new Payload((PayloadType)type, [1, 2, 3, 4]);
            var request = tester.Begin();
            // in front, in the middle and at the end (section 2.5)
            var payloads = tester.InitAnswer(request);
            tester.AnswerInit(request, [unknown, payloads[0], unknown, .. payloads[1..], unknown]);
            request = tester.TakeAuth();
            payloads = tester.AuthAnswer(request);
            tester.Answer(request, [unknown, payloads[0], unknown, .. payloads[1..], unknown]);
            tester.HoldsOnly(tester.Child!);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void An_answer_with_an_unknown_critical_payload_is_rejected(string setting)
    {
        foreach (var type in s_unknown)
        {
            using var tester = new Tester(setting);
            var unknown = new Payload((PayloadType)type, [1, 2, 3, 4], Critical: true);
            var request = tester.Begin();
            tester.AnswerInit(request, [.. tester.InitAnswer(request), unknown]);
            // nobody proved anything yet: the right answer may still come
            tester.ExpectSilence();
            tester.Wait(TimeSpan.FromSeconds(1.5));
            Assert.Equal(request.Octets, tester.ExpectRequest(Init).Octets);
            tester.AnswerInit(request);
            request = tester.TakeAuth();
            tester.Answer(request, [.. tester.AuthAnswer(request), unknown]);
            Assert.Empty(tester.Node.Installed);
            tester.IsGone(tester.Sa);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Reserved_bits_of_the_IKE_SA_INIT_answer_are_ignored(string setting)
    {
        using var tester = new Tester(setting) { Reserved = true };
        tester.AnswerInit(tester.Begin());
        tester.Reserved = false;
        var request = tester.TakeAuth();
        tester.Answer(request, tester.AuthAnswer(request));
        tester.HoldsOnly(tester.Child!);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Reserved_bits_of_the_IKE_AUTH_answer_are_ignored(string setting)
    {
        using var tester = new Tester(setting);
        tester.AnswerInit(tester.Begin());
        tester.Reserved = true;
        var request = tester.TakeAuth();
        // AUTH covers the reserved octets of ID as they were sent (section 2.15)
        tester.Answer(request, tester.AuthAnswer(request));
        tester.HoldsOnly(tester.Child!);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_version_flag_is_ignored_and_a_higher_minor_version_too(string setting)
    {
        using var tester = new Tester(setting);
        var request = tester.Begin();
        var payloads = tester.InitAnswer(request);
        Assert.Equal(0, request.Header.Flags & 0x10);
        var answer = tester.AnswerInit(request, payloads, header => header with { Flags = (byte)(header.Flags | 0x10), MinorVersion = 7 });
        Assert.Equal(0x27, answer[17]);
        request = tester.TakeAuth();
        Assert.Equal((0, 0), (request.Header.Flags & 0x10, request.Header.MinorVersion));
        tester.Answer(request, tester.AuthAnswer(request));
        tester.HoldsOnly(tester.Child!);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Unknown_status_notifies_are_passed_over(string setting)
    {
        using var tester = new Tester(setting);
        var unknown = Payload.Notify((NotifyType)65535, 1, 2, 3);
        var request = tester.Begin();
        tester.AnswerInit(request, [unknown, .. tester.InitAnswer(request)]);
        request = tester.TakeAuth();
        tester.Answer(request, [unknown, .. tester.AuthAnswer(request)]);
        tester.HoldsOnly(tester.Child!);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void An_unknown_error_notify_means_that_the_request_failed(string setting)
    {
        using var tester = new Tester(setting);
        var unknown = Payload.Notify((NotifyType)16383);
        var request = tester.Begin();
        // section 3.10.1; section 2.21.1: not on the word of one who proved nothing
        tester.Deliver(tester.Clear(IkeHeader.V2(request.Header.InitiatorSpi, default, Init, false, true, 0), unknown));
        tester.ExpectSilence();
        tester.AnswerInit(request);
        request = tester.TakeAuth();
        tester.Answer(request, unknown);
        Assert.Empty(tester.Node.Installed);
        tester.IsGone(tester.Sa);
        Assert.False(tester.Node.LastReport!.Success);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void An_unknown_error_notify_beside_a_child_means_that_the_child_failed(string setting)
    {
        using var tester = new Tester(setting);
        tester.AnswerInit(tester.Begin());
        var request = tester.TakeAuth();
        tester.Answer(request, [.. tester.AuthAnswer(request), Payload.Notify((NotifyType)16383)]);
        // "MUST assume that the corresponding request has failed entirely" (section 3.10.1)
        Assert.Empty(tester.Node.Installed);
        // the peer may have installed its half
        Assert.Equal([tester.Child!.Node], tester.ExpectRequest(ExchangeType.Informational).Deleted(out _));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void AUTHENTICATION_FAILED_ends_the_attempt(string setting)
    {
        using var tester = new Tester(setting);
        tester.AnswerInit(tester.Begin());
        var request = tester.TakeAuth();
        tester.Answer(request, Payload.Notify(NotifyType.AuthenticationFailed));
        tester.ExpectSilence();
        tester.NodeHasNothing();
        Assert.Equal("authentication-failed", tester.Node.LastReport!.Failure!.Reason);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_child_that_the_peer_refuses_leaves_the_IKE_SA_up(string setting)
    {
        using var tester = new Tester(setting);
        tester.AnswerInit(tester.Begin());
        var request = tester.TakeAuth();
        tester.Answer(request, [.. tester.AuthAnswer(request).Where(payload => payload.Type is PayloadType.IdR or PayloadType.Auth), Payload.Notify(NotifyType.NoProposalChosen)]);
        Assert.Empty(tester.Node.Installed);
        tester.IsUp(tester.Sa);
        tester.IsAlive();
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_wrong_AUTH_of_the_peer_is_not_believed(string setting)
    {
        using var tester = new Tester(setting) { Psk = [1, 2, 3] };
        tester.AnswerInit(tester.Begin());
        var request = tester.TakeAuth();
        tester.Answer(request, tester.AuthAnswer(request));
        Assert.Empty(tester.Node.Installed);
        // section 2.21.2: told under protection, in an exchange of its own
        var told = tester.ExpectRequest(ExchangeType.Informational);
        Assert.Equal(NotifyType.AuthenticationFailed, told.Error);
        tester.Answer(told);
        tester.NodeHasNothing();
    }

    /// <summary>Second octets of all generic payload headers.</summary>
    private static byte[] Heads(Message message)
    {
        var (position, heads) = (IkeHeader.Length, new byte[message.Payloads.Count]);
        for (var i = 0; i < heads.Length; i++)
        {
            heads[i] = message.Octets[position + 1];
            position += 4 + message.Payloads[i].Body.Length;
        }

        return heads;
    }

    /// <summary>Nobody answers: the same octets again, in growing intervals (section 2.4), and then no more.</summary>
    private static void Repeats(Tester tester, Message first)
    {
        tester.Wait(TimeSpan.FromMinutes(10));
        var (at, wait, copies) = (first.At, TimeSpan.Zero, 1);
        while (tester.Take() is { } again)
        {
            Assert.Equal(first.Octets, again.Octets);
            Assert.True(again.At - at > wait * 1.05, "the waits grow");
            // the last ones are as long as they get
            (wait, at, copies) = (again.At - at < TimeSpan.FromSeconds(15) ? again.At - at : TimeSpan.Zero, again.At, copies + 1);
        }

        Assert.InRange(copies, 4, 12);
        tester.NodeHasNothing();
        Assert.Equal("timeout", tester.Node.LastReport!.Failure!.Reason);
    }
}
