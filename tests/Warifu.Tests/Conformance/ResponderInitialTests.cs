using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>The initial exchanges with the node as responder: docs/conformance.md, R.1.1.1 to R.1.1.11 and R.1.2.8.</summary>
[Trait("Item", "2.22")]
public sealed class ResponderInitialTests
{
    private const ExchangeType Init = ExchangeType.IkeSaInit;

    private static readonly int[] s_unknown = [1, 32, 55, 127, 255];

    public static TheoryData<string> All => Setting.Names;

    [Theory]
    [MemberData(nameof(All))]
    public void The_IKE_SA_INIT_answer_has_the_form_of_the_RFC(string setting)
    {
        using var tester = new Tester(setting);
        tester.SendInit();
        var answer = tester.TakeInit();
        Assert.Equal(tester.InitHeader.InitiatorSpi, answer.Header.InitiatorSpi);
        Assert.False(answer.Header.ResponderSpi.IsZero);
        Assert.Equal((2, 0, (byte)0x20, 0u), (answer.Header.MajorVersion, answer.Header.MinorVersion, answer.Header.Flags, answer.Header.MessageId));
        Assert.Equal([PayloadType.Sa, PayloadType.Ke, PayloadType.Nonce], answer.Essence.Where(type => type != PayloadType.CertReq));
        Assert.All(answer.Payloads, payload => Assert.True(payload.IsPlain, $"reserved bits in {payload.Type}"));
        var chosen = Assert.Single(answer.Proposals);
        Assert.Equal((1, 0), (chosen.Number, chosen.SpiLength));
        Assert.Equal(Parts.Set(tester.Ike), Parts.Set(chosen.Proposal));
        Assert.Equal(Tester.GroupOf(tester.Ike), answer.Ke().Method);
        Assert.InRange(answer.Nonce.Length, 24, 256);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_IKE_AUTH_answer_has_the_form_of_the_RFC(string setting)
    {
        using var tester = new Tester(setting);
        tester.SendInit();
        tester.TakeInit();
        // AUTH is checked there
        var answer = tester.AskAuth();
        Assert.Equal(((byte)0x20, 1u, PayloadType.Sk), (answer.Header.Flags, answer.Header.MessageId, answer.Header.NextPayload));
        Assert.Equal(0, answer.Octets[IkeHeader.Length + 1]);
        Assert.All(answer.Payloads, payload => Assert.True(payload.IsPlain, $"reserved bits in {payload.Type}"));
        PayloadType[] needed = [PayloadType.IdR, PayloadType.Auth, PayloadType.Sa, PayloadType.TsI, PayloadType.TsR];
        Assert.Equal(needed, answer.Essence);
        Assert.Equal<byte>([tester.Setting.Family == 4 ? (byte)IdType.Ipv4Addr : (byte)IdType.Ipv6Addr, 0, 0, 0, .. tester.Setting.Node.ToOctets()], answer.Body(PayloadType.IdR));
        Assert.Equal(!tester.Setting.IsGateway, answer.Has(NotifyType.UseTransportMode));
        var chosen = Assert.Single(answer.Proposals);
        Assert.Equal((1, 4), (chosen.Number, chosen.SpiLength));
        Assert.True(chosen.Spi >= 256);
        Assert.Equal(tester.Esp, chosen.Proposal);
        Assert.Equal([Tester.Traffic(tester.Setting.TesterTraffic)], answer.Ts(PayloadType.TsI));
        Assert.Equal([Tester.Traffic(tester.Setting.NodeTraffic)], answer.Ts(PayloadType.TsR));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_child_is_used_with_the_keys_and_selectors_that_were_agreed(string setting)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates: false);
        var held = tester.Holds(tester.Child!);
        Assert.Equal([Tester.Traffic(tester.Setting.NodeTraffic)], held.LocalSelectors);
        Assert.Equal([Tester.Traffic(tester.Setting.TesterTraffic)], held.RemoteSelectors);
        EspCheck.BothWays(held, tester.Child!);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_repeated_IKE_SA_INIT_request_gets_the_same_answer_and_none_comes_by_itself(string setting)
    {
        using var tester = new Tester(setting);
        var request = tester.SendInit();
        var answer = tester.TakeInit();
        tester.Wait(TimeSpan.FromSeconds(20));
        // a responder never repeats by a timer (section 2.1)
        tester.ExpectSilence();
        tester.Deliver(request);
        Assert.Equal(answer.Octets, tester.Expect(Init, isResponse: true).Octets);
        Assert.Single(tester.Node.Engine.Snapshot().IkeSas);
        Assert.Null(tester.AskAuth().Error);
        tester.HoldsOnly(tester.Child!);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_repeated_IKE_AUTH_request_gets_the_same_answer_and_none_comes_by_itself(string setting)
    {
        using var tester = new Tester(setting);
        tester.SendInit();
        tester.TakeInit();
        var request = tester.Send(tester.Sa, ExchangeType.IkeAuth, tester.AuthRequest());
        var answer = tester.Expect(ExchangeType.IkeAuth, isResponse: true);
        tester.Wait(TimeSpan.FromSeconds(60));
        tester.ExpectSilence();
        for (var i = 0; i < 3; i++)
        {
            tester.Deliver(request);
            Assert.Equal(answer.Octets, tester.Expect(ExchangeType.IkeAuth, isResponse: true).Octets);
        }

        Assert.Single(tester.Node.Installed);
        tester.IsAlive();
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_higher_minor_version_is_taken_for_ours(string setting)
    {
        using var tester = new Tester(setting);
        tester.InitRequest();
        var payloads = tester.InitRequest();
        tester.SendInit(payloads, header => header with { MinorVersion = 9 });
        var answer = tester.TakeInit();
        Assert.Equal((2, 0), (answer.Header.MajorVersion, answer.Header.MinorVersion));
        Assert.Null(tester.AskAuth().Error);
        tester.HoldsOnly(tester.Child!);
        tester.Deliver(tester.Seal(tester.Sa, tester.Sa.Header(ExchangeType.Informational, false, tester.Sa.NextRequest) with { MinorVersion = 15 }));
        Assert.Empty(tester.Expect(ExchangeType.Informational, isResponse: true).Payloads);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_higher_major_version_is_answered_with_INVALID_MAJOR_VERSION_and_makes_no_state(string setting)
    {
        using var tester = new Tester(setting);
        var request = tester.Clear(tester.InitHeader with { InitiatorSpi = new IkeSpi(77), MajorVersion = 3 }, tester.InitRequest());
        tester.Deliver(request);
        var answer = tester.Expect(Init, isResponse: true);
        Assert.Equal([PayloadType.Notify], answer.Types);
        // section 2.5: in the version that we speak, with the number of it
        Assert.Equal(((byte)2, (NotifyType?)NotifyType.InvalidMajorVersion), (answer.Header.MajorVersion, answer.Error));
        Assert.Equal<byte>([2], answer.Notify(NotifyType.InvalidMajorVersion).Data);
        Assert.Equal((77ul, 0u), (answer.Header.InitiatorSpi.Value, answer.Header.MessageId));
        Assert.True(answer.Octets.Length <= request.Length);
        tester.NodeHasNothing();
        // an answer of a higher version is no request
        tester.Wait(TimeSpan.FromSeconds(5));
        tester.Deliver(tester.Clear(tester.InitHeader with { MajorVersion = 3, Flags = 0x20 }, tester.InitRequest()));
        tester.ExpectSilence();
    }

    /// <summary>No fallback (R10): IKEv1 main and aggressive mode make no state, get no answer and are counted.</summary>
    [Theory]
    [MemberData(nameof(All))]
    public void A_version_1_message_makes_no_state_and_is_counted(string setting)
    {
        using var tester = new Tester(setting);
        foreach (var exchange in new[] { ExchangeType.IdentityProtection, ExchangeType.Aggressive })
        {
            // ISAKMP SA payload: DOI 1, situation 1, one proposal with one transform
            byte[] sa = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 40, 1, 1, 0, 1, 0, 0, 0, 32, 1, 1, 0, 0, 0x80, 1, 0, 5, 0x80, 2, 0, 2, 0x80, 3, 0, 1, 0x80, 4, 0, 2, 0x80, 11, 0, 1, 0x80, 12, 0x70, 0x80];
            var header = tester.InitHeader with { InitiatorSpi = new IkeSpi(99), MajorVersion = 1, Exchange = exchange, Flags = 0 };
            var message = tester.Clear(header, new Payload((PayloadType)1, sa));
            tester.Deliver(message);
            tester.ExpectSilence();
            tester.NodeHasNothing();
        }

        Assert.Equal(2, tester.Node.Engine.Counters.Drops[(int)DropReason.Version1]);
        // as initiator it never tries version 1 either
        tester.Begin();
        tester.Wait(TimeSpan.FromMinutes(10));
        while (tester.Take() is { } again) Assert.Equal((2, Init), (again.Header.MajorVersion, again.Header.Exchange));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Unknown_payloads_that_are_not_critical_are_passed_over(string setting)
    {
        foreach (var type in s_unknown)
        {
            using var tester = new Tester(setting);
            var unknown = new Payload((PayloadType)type, [1, 2, 3, 4]);
            var payloads = tester.InitRequest();
            tester.SendInit([unknown, payloads[0], unknown, .. payloads[1..], unknown]);
            tester.TakeInit();
            payloads = tester.AuthRequest();
            Assert.Null(tester.AskAuth([unknown, payloads[0], unknown, .. payloads[1..], unknown]).Error);
            tester.HoldsOnly(tester.Child!);
            Assert.Empty(tester.Ask(ExchangeType.Informational, unknown).Payloads);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Unknown_critical_payloads_are_answered_with_UNSUPPORTED_CRITICAL_PAYLOAD_and_their_type(string setting)
    {
        foreach (var type in s_unknown)
        {
            using var tester = new Tester(setting);
            var unknown = new Payload((PayloadType)type, [1, 2, 3, 4], Critical: true);
            tester.SendInit([.. tester.InitRequest(), unknown]);
            Refused(tester.Expect(Init, isResponse: true), type);
            tester.NodeHasNothing();
            tester.SendInit();
            tester.TakeInit();
            Refused(tester.AskAuth([.. tester.AuthRequest(), unknown]), type);
            Assert.Empty(tester.Node.Installed);
        }

        // on an established SA the request fails and the SA stays (section 2.21.3 names INVALID_SYNTAX and AUTHENTICATION_FAILED only)
        using var established = new Tester(setting);
        established.Establish(nodeInitiates: false);
        Refused(established.Ask(ExchangeType.Informational, new Payload((PayloadType)127, [], Critical: true), Payload.DeleteIke()), 127);
        established.IsAlive();

        static void Refused(Message answer, int type)
        {
            Assert.Equal([PayloadType.Notify], answer.Types);
            Assert.Equal<byte>([(byte)type], answer.Notify(NotifyType.UnsupportedCriticalPayload).Data);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_critical_bit_of_payloads_that_everybody_knows_is_ignored(string setting)
    {
        using var tester = new Tester(setting);
        tester.SendInit(tester.InitRequest().Select(payload => payload with { Critical = true }));
        tester.TakeInit();
        Assert.Null(tester.AskAuth(tester.AuthRequest().Select(payload => payload with { Critical = true })).Error);
        tester.HoldsOnly(tester.Child!);
    }

    /// <summary>The programme wants a refusal; RFC 7296 section 2.5: "the payloads … in any order".</summary>
    [Theory]
    [MemberData(nameof(All))]
    public void Payloads_may_come_in_any_order(string setting)
    {
        using var tester = new Tester(setting);
        tester.SendInit(Enumerable.Reverse(tester.InitRequest()));
        tester.TakeInit();
        Assert.Null(tester.AskAuth(Enumerable.Reverse(tester.AuthRequest())).Error);
        tester.HoldsOnly(tester.Child!);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Under_load_a_cookie_is_asked_for_and_only_the_right_one_helps(string setting)
    {
        using var tester = new Tester(setting, options: new EngineOptions { CookieThreshold = 0 });
        var payloads = tester.InitRequest();
        tester.SendInit(payloads);
        var demand = tester.Expect(Init, isResponse: true);
        // section 2.6: nothing but the cookie, and no SPI of ours
        Assert.Equal([PayloadType.Notify], demand.Types);
        Assert.True(demand.Header.ResponderSpi.IsZero);
        var cookie = demand.Notify(NotifyType.Cookie).Data;
        Assert.InRange(cookie.Length, 1, 64);
        tester.NodeHasNothing();
        Assert.Equal(0, tester.Node.Engine.Counters.KeyExchanges);
        // wrong, cut, long: another demand
        foreach (var wrong in new[] { [.. cookie.AsSpan(0, cookie.Length - 1), (byte)(cookie[^1] ^ 1)], cookie[..^1], [.. cookie, 0], new byte[1], tester.Random(64) })
        {
            tester.SendInit([Payload.Notify(NotifyType.Cookie, wrong), .. payloads]);
            Assert.Equal(cookie, tester.Expect(Init, isResponse: true).Notify(NotifyType.Cookie).Data);
            tester.NodeHasNothing();
        }

        // right, but of another nonce, or from elsewhere
        var nonce = payloads[2];
        payloads[2] = Payload.Nonce(tester.Random(32));
        tester.SendInit([Payload.Notify(NotifyType.Cookie, cookie), .. payloads]);
        Assert.True(tester.Expect(Init, isResponse: true).Has(NotifyType.Cookie));
        payloads[2] = nonce;
        tester.Deliver(tester.Clear(tester.InitHeader, [Payload.Notify(NotifyType.Cookie, cookie), .. payloads]), new Endpoint(tester.Setting.Stranger, 500));
        Assert.True(tester.Expect(Init, isResponse: true).Has(NotifyType.Cookie));
        tester.NodeHasNothing();
        Assert.Equal(0, tester.Node.Engine.Counters.KeyExchanges);
        tester.BackHome();
        tester.SendInit([Payload.Notify(NotifyType.Cookie, cookie), .. payloads]);
        tester.TakeInit();
        Assert.Null(tester.AskAuth().Error);
        tester.HoldsOnly(tester.Child!);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_cookie_and_another_group(string setting)
    {
        // one that keeps the cookie for the new group, and one that drops it and is asked again
        foreach (var keeps in new[] { true, false })
        {
            using var tester = new Tester(setting, options: new EngineOptions { CookieThreshold = 0 });
            var wrong = Tester.GroupOf(EnginePair.Proposals(ProtocolId.Ike, $"aes128-sha1-{tester.Setting.Profile.OtherGroup}")[0]);
            var both = tester.Ike with { Transforms = [.. tester.Ike.Transforms.Where(transform => transform.Type != TransformType.Ke), Transform.Ke(wrong), Transform.Ke(Tester.GroupOf(tester.Ike))] };
            var payloads = tester.InitRequest(both);
            tester.SendInit(payloads);
            var cookie = tester.Expect(Init, isResponse: true).Notify(NotifyType.Cookie).Data;
            tester.SendInit([Payload.Notify(NotifyType.Cookie, cookie), .. payloads]);
            var refusal = tester.Expect(Init, isResponse: true);
            Assert.Equal([PayloadType.Notify], refusal.Types);
            var group = (ushort)Tester.GroupOf(tester.Ike);
            Assert.Equal<byte>([(byte)(group >> 8), (byte)group], refusal.Notify(NotifyType.InvalidKePayload).Data);
            payloads[1] = tester.FreshKe(tester.Ike);
            if (!keeps)
            {
                tester.SendInit(payloads);
                cookie = tester.Expect(Init, isResponse: true).Notify(NotifyType.Cookie).Data;
            }

            tester.SendInit([Payload.Notify(NotifyType.Cookie, cookie), .. payloads]);
            tester.TakeInit();
            Assert.Null(tester.AskAuth().Error);
            tester.HoldsOnly(tester.Child!);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Reserved_bits_of_the_IKE_SA_INIT_request_are_ignored(string setting)
    {
        using var tester = new Tester(setting) { Reserved = true };
        tester.SendInit();
        tester.TakeInit();
        tester.Reserved = false;
        Assert.Null(tester.AskAuth().Error);
        tester.HoldsOnly(tester.Child!);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Reserved_bits_of_the_IKE_AUTH_request_are_ignored(string setting)
    {
        using var tester = new Tester(setting);
        tester.SendInit();
        tester.TakeInit();
        tester.Reserved = true;
        var answer = tester.AskAuth();
        Assert.Null(answer.Error);
        // and none of them comes back
        Assert.Equal(0x20, answer.Header.Flags);
        Assert.All(answer.Payloads, payload => Assert.True(payload.IsPlain));
        tester.HoldsOnly(tester.Child!);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_version_flag_is_ignored(string setting)
    {
        using var tester = new Tester(setting);
        tester.SendInit(header: header => header with { Flags = (byte)(header.Flags | 0x10) });
        Assert.Equal(0, tester.TakeInit().Header.Flags & 0x10);
        Assert.Null(tester.AskAuth().Error);
        tester.HoldsOnly(tester.Child!);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Requests_with_wrong_flags_are_dropped(string setting)
    {
        using var tester = new Tester(setting);
        var payloads = tester.InitRequest();
        // response; neither; response of the responder
        foreach (byte flags in new byte[] { 0x28, 0x00, 0x20 })
        {
            tester.Deliver(tester.Clear(tester.InitHeader with { Flags = flags }, payloads));
            tester.ExpectSilence();
            tester.NodeHasNothing();
        }

        tester.SendInit(payloads);
        tester.TakeInit();
        var auth = tester.AuthRequest();
        foreach (byte flags in new byte[] { 0x28, 0x00, 0x20 })
        {
            tester.Deliver(tester.Seal(tester.Sa, tester.Sa.Header(ExchangeType.IkeAuth, false, 1) with { Flags = flags }, auth));
            tester.ExpectSilence();
            Assert.Empty(tester.Node.Installed);
        }

        Assert.Null(tester.AskAuth(auth).Error);
        Assert.Single(tester.Node.Installed);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Unknown_notifies_in_requests_are_ignored(string setting)
    {
        // section 3.10.1: unknown errors in a request, and unknown states everywhere
        foreach (var type in new[] { 16383, 65535 })
        {
            using var tester = new Tester(setting);
            var unknown = Payload.Notify((NotifyType)type, 1, 2, 3);
            tester.SendInit([unknown, .. tester.InitRequest()]);
            tester.TakeInit();
            Assert.Null(tester.AskAuth([unknown, .. tester.AuthRequest()]).Error);
            tester.HoldsOnly(tester.Child!);
            Assert.Empty(tester.Ask(ExchangeType.Informational, unknown).Payloads);
            var wish = tester.ChildRequest(tester.Child);
            tester.TakeChild(wish, tester.Ask(ExchangeType.CreateChildSa, [unknown, .. wish.Payloads]));
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_wrong_AUTH_is_answered_with_AUTHENTICATION_FAILED(string setting)
    {
        using var tester = new Tester(setting);
        tester.SendInit();
        tester.TakeInit();
        var payloads = tester.AuthRequest();
        payloads[1].Body[^1] ^= 1;
        Refused(tester, tester.AskAuth(payloads));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Another_method_of_authentication_is_answered_with_AUTHENTICATION_FAILED(string setting)
    {
        foreach (var method in new byte[] { 1, 3, 9, 14, 13, 200, 0 })
        {
            using var tester = new Tester(setting);
            tester.SendInit();
            tester.TakeInit();
            var payloads = tester.AuthRequest();
            payloads[1].Body[0] = method;
            Refused(tester, tester.AskAuth(payloads));
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void An_identity_that_nobody_here_expects_is_answered_with_AUTHENTICATION_FAILED(string setting)
    {
        using var tester = new Tester(setting);
        tester.SendInit();
        tester.TakeInit();
        var payloads = tester.AuthRequest();
        payloads[0] = new Payload(PayloadType.IdI, tester.IdBody(Identity.Of(tester.Setting.Stranger)));
        payloads[1] = tester.Auth(payloads[0].Body);
        Refused(tester, tester.AskAuth(payloads));
    }

    [Theory]
    [MemberData(nameof(InitiatorNegotiationTests.IdentityKinds), MemberType = typeof(InitiatorNegotiationTests))]
    public void Each_kind_of_identity_is_taken_and_sent(string kind, string text)
    {
        foreach (var setting in Parts.Of(kind, "3des-sha1-modp1024", "3des-sha1"))
        {
            Assert.True(Identities.TryParse(text, out var identity, out var error), error);
            using var tester = new Tester(setting, connection => connection with { Local = connection.Local with { Id = identity }, Remote = connection.Remote with { Id = IdentityPattern.Of(identity) } });
            tester.SendInit();
            tester.TakeInit();
            var payloads = tester.AuthRequest();
            payloads[0] = new Payload(PayloadType.IdI, tester.IdBody(identity));
            payloads[1] = tester.Auth(payloads[0].Body);
            var answer = tester.AskAuth(payloads);
            Assert.Null(answer.Error);
            Assert.Equal(tester.IdBody(identity), answer.Body(PayloadType.IdR));
            tester.HoldsOnly(tester.Child!);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void IKE_AUTH_without_a_needed_payload_is_refused(string setting)
    {
        foreach (var missing in new[] { PayloadType.IdI, PayloadType.Sa, PayloadType.TsI, PayloadType.TsR })
        {
            using var tester = new Tester(setting);
            tester.SendInit();
            tester.TakeInit();
            var answer = tester.AskAuth(tester.AuthRequest().Where(payload => payload.Type != missing));
            Assert.Equal(NotifyType.InvalidSyntax, answer.Error);
            tester.NodeHasNothing();
        }
    }

    private static void Refused(Tester tester, Message answer)
    {
        Assert.Equal([PayloadType.Notify], answer.Types);
        Assert.Equal(NotifyType.AuthenticationFailed, answer.Error);
        tester.NodeHasNothing();
    }
}
