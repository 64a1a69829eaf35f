using System;
using System.Linq;
using Warifu.Crypto;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>Cookies, groups, algorithms, selectors and identities with the node as initiator: docs/conformance.md, I.1.1.5 to I.1.1.9.</summary>
[Trait("Item", "2.22")]
public sealed class InitiatorNegotiationTests
{
    private const ExchangeType Init = ExchangeType.IkeSaInit;

    public static TheoryData<string> All => Setting.Names;

    [Theory]
    [MemberData(nameof(All))]
    public void A_cookie_is_returned_in_front_of_the_same_request(string setting)
    {
        using var tester = new Tester(setting);
        var first = tester.Begin();
        var cookie = tester.Random(64);
        Refuse(tester, first, default, Payload.Notify(NotifyType.Cookie, cookie));
        var again = tester.TakeFirst();
        // section 2.6: N(COOKIE) is the first payload, the rest is unchanged, and so is the SPI
        Assert.Equal(PayloadType.Notify, again.Payloads[0].Type);
        Assert.Equal(cookie, again.Notify(NotifyType.Cookie).Data);
        Assert.Empty(again.Notify(NotifyType.Cookie).Spi);
        Assert.Equal((first.Header.InitiatorSpi, 0u, true), (again.Header.InitiatorSpi, again.Header.MessageId, again.Header.ResponderSpi.IsZero));
        foreach (var type in new[] { PayloadType.Sa, PayloadType.Ke, PayloadType.Nonce }) Assert.Equal(first.Body(type), again.Body(type));
        GoOn(tester, again);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_cookie_and_then_another_group(string setting)
    {
        using var tester = TwoGroups(setting, out var other);
        var cookie = tester.Random(20);
        Refuse(tester, tester.Begin(), default, Payload.Notify(NotifyType.Cookie, cookie));
        Refuse(tester, tester.TakeFirst(), default, WantsGroup(other));
        var third = tester.TakeFirst();
        // section 2.6.1: the cookie comes along, so that a round trip is saved
        Assert.Equal(cookie, third.Notify(NotifyType.Cookie).Data);
        Assert.Equal(other, third.Ke().Method);
        GoOn(tester, third, OneGroup(tester, other));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_responder_that_wants_a_new_cookie_for_the_new_group_gets_it(string setting)
    {
        using var tester = TwoGroups(setting, out var other);
        var (first, second) = (tester.Random(20), tester.Random(20));
        Refuse(tester, tester.Begin(), default, Payload.Notify(NotifyType.Cookie, first));
        Refuse(tester, tester.TakeFirst(), default, WantsGroup(other));
        // it computed the cookie over KE too: the old one is not good any more
        Refuse(tester, tester.TakeFirst(), default, Payload.Notify(NotifyType.Cookie, second));
        var last = tester.TakeFirst();
        Assert.Equal(second, last.Notify(NotifyType.Cookie).Data);
        Assert.Equal(other, last.Ke().Method);
        GoOn(tester, last, OneGroup(tester, other));
    }

    [Theory]
    [InlineData("A encryption", "aes128-3des-sha1-modp1024", "3des-sha1-modp1024")]
    [InlineData("B PRF", "3des-sha1-prfsha256-prfsha1-modp1024", "3des-sha1-prfsha1-modp1024")]
    [InlineData("C integrity", "3des-sha256-sha1-prfsha1-modp1024", "3des-sha1-prfsha1-modp1024")]
    [InlineData("D groups", "3des-sha1-modp1024-modp2048", "3des-sha1-modp1024")]
    public void Several_IKE_transforms_are_offered_and_the_one_that_the_peer_chooses_is_used(string part, string offered, string chosen)
    {
        foreach (var setting in Parts.Of(part, chosen, "3des-sha1"))
        {
            using var tester = new Tester(setting, connection => connection with { Proposals = EnginePair.Proposals(ProtocolId.Ike, offered) });
            var request = tester.Begin();
            var offer = Assert.Single(request.Proposals);
            Assert.Equal(EnginePair.Proposals(ProtocolId.Ike, offered)[0], offer.Proposal);
            GoOn(tester, request);
            Assert.Equal(tester.Ike, tester.Node.Engine.Snapshot().IkeSas.Single().Proposal);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Several_IKE_proposals_are_offered_and_the_one_that_the_peer_chooses_is_used(string setting)
    {
        using var tester = new Tester(setting, connection => connection with { Proposals = [.. EnginePair.Proposals(ProtocolId.Ike, Setting.Of(setting).Profile.OtherIke), .. connection.Proposals] });
        var request = tester.Begin();
        Assert.Equal([1, 2], request.Proposals.Select(proposal => (int)proposal.Number));
        Assert.Equal(tester.Ike, request.Proposals[1].Proposal);
        var payloads = tester.InitAnswer(request);
        payloads[0] = Payload.Sa(new OfferedProposal(2, 0, 0, tester.Ike));
        tester.AnswerInit(request, payloads);
        request = tester.TakeAuth();
        tester.Answer(request, tester.AuthAnswer(request));
        tester.HoldsOnly(tester.Child!);
    }

    [Theory]
    [InlineData("A encryption", "aes128-3des-sha1", "3des-sha1")]
    [InlineData("B integrity", "3des-sha256-sha1", "3des-sha1")]
    [InlineData("C sequence numbers", "3des-sha1-esn-noesn", "3des-sha1")]
    public void Several_ESP_transforms_are_offered_and_the_one_that_the_peer_chooses_is_used(string part, string offered, string chosen)
    {
        foreach (var setting in Parts.Of(part, "3des-sha1-modp1024", chosen))
        {
            using var tester = new Tester(setting, connection => Offering(connection, offered));
            tester.AnswerInit(tester.Begin());
            var request = tester.TakeAuth();
            Assert.Equal(EnginePair.Proposals(ProtocolId.Esp, offered)[0], Assert.Single(request.Proposals).Proposal);
            tester.Answer(request, tester.AuthAnswer(request));
            tester.HoldsOnly(tester.Child!);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Several_ESP_proposals_are_offered_and_the_one_that_the_peer_chooses_is_used(string setting)
    {
        using var tester = new Tester(setting, connection => Offering(connection, "aes192-sha512", Setting.Of(setting).Profile.Esp));
        tester.AnswerInit(tester.Begin());
        var request = tester.TakeAuth();
        Assert.Equal([1, 2], request.Proposals.Select(proposal => (int)proposal.Number));
        // both name the same SPI: it is ours, whatever is chosen
        Assert.Single(request.Proposals.Select(proposal => proposal.Spi).Distinct());
        var payloads = tester.AuthAnswer(request);
        var sa = payloads.FindIndex(payload => payload.Type == PayloadType.Sa);
        payloads[sa] = Payload.Sa(new OfferedProposal(2, tester.Child!.Own.Value, 4, tester.Esp));
        tester.Answer(request, payloads);
        tester.HoldsOnly(tester.Child!);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void INVALID_KE_PAYLOAD_makes_it_use_the_other_group(string setting)
    {
        // A: the responder gave no SPI; B: it gave one (section 2.7 says nothing about it)
        foreach (var spi in new[] { default, new IkeSpi(0x0102_0304_0506_0708) })
        {
            using var tester = TwoGroups(setting, out var other);
            var first = tester.Begin();
            Refuse(tester, first, spi, WantsGroup(other));
            var again = tester.TakeFirst();
            Assert.Equal(other, again.Ke().Method);
            Assert.Equal(Algorithms.Ke[other].PublicLength, again.Ke().Public.Length);
            Assert.Equal((0u, true), (again.Header.MessageId, again.Header.ResponderSpi.IsZero));
            // section 1.2: the whole offer again, or an attacker could weaken it
            Assert.Equal(first.Body(PayloadType.Sa), again.Body(PayloadType.Sa));
            GoOn(tester, again, OneGroup(tester, other));
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_group_that_was_not_offered_is_not_used(string setting)
    {
        using var tester = new Tester(setting);
        var first = tester.Begin();
        Refuse(tester, first, default, WantsGroup(KeId.Modp768));
        tester.ExpectSilence();
        tester.Wait(TimeSpan.FromSeconds(1.5));
        Assert.Equal(first.Octets, tester.ExpectRequest(Init).Octets);
        GoOn(tester, first);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void NO_PROPOSAL_CHOSEN_ends_the_attempt_when_it_is_repeated(string setting)
    {
        using var tester = new Tester(setting);
        var request = tester.Begin();
        // anybody can send it: the first one is noted (section 2.21.1), the answer to the repeated request counts
        Refuse(tester, request, default, Payload.Notify(NotifyType.NoProposalChosen));
        tester.ExpectSilence();
        tester.Wait(TimeSpan.FromSeconds(1.5));
        tester.ExpectRequest(Init);
        Refuse(tester, request, default, Payload.Notify(NotifyType.NoProposalChosen));
        tester.Wait(TimeSpan.FromMinutes(1));
        tester.ExpectSilence();
        tester.NodeHasNothing();
        Assert.Equal("no-proposal", tester.Node.LastReport!.Failure!.Reason);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_choice_that_was_not_offered_is_not_taken_for_the_IKE_SA(string setting)
    {
        using var tester = new Tester(setting);
        var request = tester.Begin();
        var payloads = tester.InitAnswer(request);
        var other = EnginePair.Proposals(ProtocolId.Ike, tester.Setting.Profile.OtherIke)[0];
        foreach (var wrong in new[]
        {
            other,
            // more than one of a type, one too few, one too many
            tester.Ike with { Transforms = [.. tester.Ike.Transforms, other.Transforms[0]] },
            tester.Ike with { Transforms = tester.Ike.Transforms.RemoveAt(0) },
            tester.Ike with { Transforms = [.. tester.Ike.Transforms, Transform.Esn(true)] },
            tester.Ike with { Protocol = ProtocolId.Esp },
        })
        {
            payloads[0] = Payload.Sa(new OfferedProposal(1, 0, 0, wrong));
            tester.Deliver(tester.Clear(tester.InitAnswerHeader(request), payloads));
            tester.ExpectSilence();
        }

        // two at once
        payloads[0] = Payload.Sa(new OfferedProposal(1, 0, 0, tester.Ike), new OfferedProposal(2, 0, 0, tester.Ike));
        tester.Deliver(tester.Clear(tester.InitAnswerHeader(request), payloads));
        tester.ExpectSilence();
        GoOn(tester, request);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_choice_that_was_not_offered_is_not_taken_for_the_child(string setting)
    {
        var esp = EnginePair.Proposals(ProtocolId.Esp, Setting.Of(setting).Profile.Esp)[0];
        foreach (var wrong in new[]
        {
            EnginePair.Proposals(ProtocolId.Esp, "aes192-sha512")[0],
            esp with { Transforms = [.. esp.Transforms.Where(transform => transform.Type != TransformType.Esn), Transform.Esn(true)] },
            esp with { Transforms = [.. esp.Transforms, Transform.Ke(KeId.Modp2048)] },
            esp with { Protocol = ProtocolId.Ah },
        })
        {
            using var tester = new Tester(setting);
            tester.AnswerInit(tester.Begin());
            var request = tester.TakeAuth();
            var payloads = tester.AuthAnswer(request);
            var sa = payloads.FindIndex(payload => payload.Type == PayloadType.Sa);
            payloads[sa] = Payload.Sa(new OfferedProposal(1, tester.Child!.Own.Value, 4, wrong));
            tester.Answer(request, payloads);
            Assert.Empty(tester.Node.Installed);
            // the peer is rid of what it has installed
            var delete = tester.ExpectRequest(ExchangeType.Informational);
            Assert.Equal([tester.Child!.Node], delete.Deleted(out _));
            tester.Answer(delete);
            tester.IsUp(tester.Sa);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Narrowed_selectors_are_taken(string setting)
    {
        using var tester = new Tester(setting);
        var (narrow, wide) = tester.Setting.Family == 4 ? ("10.2.5.0/24", "10.0.0.0/8") : ("2001:db8:2:5::/64", "2001:db8::/32");
        if (!tester.Setting.IsGateway) narrow = $"{tester.Setting.Tester}[tcp/443]";
        tester.AnswerInit(tester.Begin());
        var request = tester.TakeAuth();
        var payloads = tester.AuthAnswer(request);
        payloads[^1] = Payload.Ts(PayloadType.TsR, Tester.Traffic(narrow));
        tester.Answer(request, payloads);
        Assert.Equal([Tester.Traffic(narrow)], tester.Holds(tester.Child!).RemoteSelectors);
        Assert.Equal([Tester.Traffic(tester.Setting.NodeTraffic)], tester.Holds(tester.Child!).LocalSelectors);

        using var greedy = new Tester(setting);
        greedy.AnswerInit(greedy.Begin());
        request = greedy.TakeAuth();
        payloads = greedy.AuthAnswer(request);
        payloads[^1] = Payload.Ts(PayloadType.TsR, Tester.Traffic(wide));
        greedy.Answer(request, payloads);
        // wider than what was asked for
        Assert.Empty(greedy.Node.Installed);
    }

    public static TheoryData<string, string> IdentityKinds => new()
    {
        { "ID_IPV4_ADDR", "192.0.2.77" },
        { "ID_IPV6_ADDR", "2001:db8::77" },
        { "ID_FQDN", "node.example.org" },
        { "ID_RFC822_ADDR", "node@example.org" },
        { "ID_KEY_ID", "@#0badc0de" },
        { "ID_DER_ASN1_DN", "C=JP, O=Example, CN=node" },
    };

    [Theory]
    [MemberData(nameof(IdentityKinds))]
    public void Each_kind_of_identity_is_sent_and_taken(string kind, string text)
    {
        foreach (var setting in Parts.Of(kind, "3des-sha1-modp1024", "3des-sha1"))
        {
            Assert.True(Identities.TryParse(text, out var identity, out var error), error);
            using var tester = new Tester(setting, connection => connection with { Local = connection.Local with { Id = identity }, Remote = connection.Remote with { Id = IdentityPattern.Of(identity) } });
            tester.AnswerInit(tester.Begin());
            var request = tester.TakeAuth();
            Assert.Equal(tester.IdBody(identity), request.Body(PayloadType.IdI));
            // a peer of another name is not taken for it
            var payloads = tester.AuthAnswer(request);
            payloads[0] = new Payload(PayloadType.IdR, tester.IdBody(identity));
            payloads[1] = tester.Auth(payloads[0].Body);
            tester.Answer(request, payloads);
            tester.HoldsOnly(tester.Child!);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Another_identity_than_the_configured_one_is_not_taken(string setting)
    {
        using var tester = new Tester(setting);
        tester.AnswerInit(tester.Begin());
        var request = tester.TakeAuth();
        var payloads = tester.AuthAnswer(request);
        payloads[0] = new Payload(PayloadType.IdR, tester.IdBody(Identity.Of(tester.Setting.Stranger)));
        payloads[1] = tester.Auth(payloads[0].Body);
        tester.Answer(request, payloads);
        Assert.Empty(tester.Node.Installed);
        Assert.Equal(NotifyType.AuthenticationFailed, tester.ExpectRequest(ExchangeType.Informational).Error);
    }

    private static Connection Offering(Connection connection, params string[] esp) => connection with { Children = [connection.Children[0] with { Proposals = EnginePair.Proposals(ProtocolId.Esp, esp) }] };

    private static Payload WantsGroup(KeId group) => Payload.Notify(NotifyType.InvalidKePayload, (byte)((ushort)group >> 8), (byte)group);

    /// <summary>A node that offers a second group.</summary>
    private static Tester TwoGroups(string setting, out KeId other)
    {
        var profile = Setting.Of(setting).Profile;
        other = Tester.GroupOf(EnginePair.Proposals(ProtocolId.Ike, $"aes128-sha1-{profile.OtherGroup}")[0]);
        return new Tester(setting, connection => connection with { Proposals = EnginePair.Proposals(ProtocolId.Ike, $"{profile.Ike}-{profile.OtherGroup}") });
    }

    private static Proposal OneGroup(Tester tester, KeId group) => tester.Ike with { Transforms = [.. tester.Ike.Transforms.Where(transform => transform.Type != TransformType.Ke), Transform.Ke(group)] };

    /// <summary>An answer that is no SA: errors and demands.</summary>
    private static void Refuse(Tester tester, Message request, IkeSpi spi, Payload notify) =>
        tester.Deliver(tester.Clear(IkeHeader.V2(request.Header.InitiatorSpi, spi, Init, fromInitiator: false, isResponse: true, 0), notify));

    private static void GoOn(Tester tester, Message request, Proposal? chosen = null)
    {
        tester.AnswerInit(request, chosen: chosen);
        request = tester.TakeAuth();
        tester.Answer(request, tester.AuthAnswer(request));
        tester.HoldsOnly(tester.Child!);
        tester.IsAlive();
    }
}

/// <summary>Parts of rows that are about one algorithm: both kinds of node, over both families.</summary>
internal static class Parts
{
    public static Setting[] Of(string part, string ike, string esp) =>
    [
        .. from gateway in new[] { false, true }
           from family in new[] { 4, 6 }
           select new Setting(gateway, family, new Profile(part, ike, esp, "", "", "")),
    ];

    /// <summary>A choice: the order of its transforms means nothing.</summary>
    public static Transform[] Set(Proposal chosen) => [.. chosen.Transforms.OrderBy(transform => transform.Type)];
}
