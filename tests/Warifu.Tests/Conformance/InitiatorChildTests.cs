using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>CREATE_CHILD_SA with the node asking: docs/conformance.md, I.1.2.1 to I.1.2.5, I.1.2.7 and I.1.2.8.</summary>
[Trait("Item", "2.22")]
public sealed class InitiatorChildTests
{
    private const ExchangeType Create = ExchangeType.CreateChildSa;
    private const ExchangeType Informational = ExchangeType.Informational;

    public static TheoryData<string> All => Setting.Names;

    [Theory]
    [MemberData(nameof(All))]
    public void The_request_to_rekey_a_child_has_the_form_of_the_RFC(string setting)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates: true);
        tester.RekeyChild();
        var request = tester.ExpectRequest(Create);
        Assert.Equal(((byte)0x08, 2u, PayloadType.Sk), (request.Header.Flags, request.Header.MessageId, request.Header.NextPayload));
        Assert.All(request.Payloads, payload => Assert.True(payload.IsPlain, $"reserved bits in {payload.Type}"));
        Assert.Equal([PayloadType.Sa, PayloadType.Nonce, PayloadType.TsI, PayloadType.TsR], request.Essence);
        // section 1.3.3: the SPI that the sender of the notify receives on
        var rekey = request.Payloads.Single(payload => payload.Type == PayloadType.Notify && payload.Body[2] == 0x40 && payload.Body[3] == 0x09);
        var old = tester.Child!.Node.Value;
        Assert.Equal<byte>([3, 4, 0x40, 0x09, (byte)(old >> 24), (byte)(old >> 16), (byte)(old >> 8), (byte)old], rekey.Body);
        Assert.Equal(!tester.Setting.IsGateway, request.Has(NotifyType.UseTransportMode));
        var offer = Assert.Single(request.Proposals);
        Assert.Equal((1, 4), (offer.Number, offer.SpiLength));
        Assert.NotEqual(old, (uint)offer.Spi);
        Assert.Equal(tester.Esp, offer.Proposal);
        Assert.InRange(request.Nonce.Length, 24, 256);
        Assert.Equal([Tester.Traffic(tester.Setting.NodeTraffic)], request.Ts(PayloadType.TsI));
        Assert.Equal([Tester.Traffic(tester.Setting.TesterTraffic)], request.Ts(PayloadType.TsR));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void It_is_sent_again_octet_for_octet_until_it_is_answered(string setting)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates: true);
        tester.RekeyChild();
        var request = tester.ExpectRequest(Create);
        tester.Wait(TimeSpan.FromSeconds(7.5));
        for (var i = 0; i < 3; i++) Assert.Equal(request.Octets, tester.ExpectRequest(Create).Octets);
        tester.AnswerChild(request);
        var delete = tester.ExpectRequest(Informational);
        tester.Answer(delete, Payload.Delete(tester.Child!.Own));
        tester.Wait(TimeSpan.FromMinutes(2));
        tester.ExpectSilence();
        tester.IsUp(sa);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Without_an_answer_the_peer_counts_as_dead(string setting)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates: true);
        tester.RekeyChild();
        var request = tester.ExpectRequest(Create);
        tester.Wait(TimeSpan.FromMinutes(10));
        while (tester.Take() is { } again) Assert.Equal(request.Octets, again.Octets);
        tester.NodeHasNothing();
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_replaced_child_is_deleted_and_the_new_one_used(string setting)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates: true);
        var old = tester.Child!;
        tester.RekeyChild();
        var made = tester.AnswerChild(tester.ExpectRequest(Create));
        // make before break: both are there
        tester.Holds(old);
        var held = tester.Holds(made);
        Assert.True(held.OutboundReady);
        EspCheck.BothWays(held, made);
        var delete = tester.ExpectRequest(Informational);
        Assert.Equal([old.Node], delete.Deleted(out var ike));
        Assert.False(ike);
        tester.Answer(delete, Payload.Delete(old.Own));
        tester.HoldsOnly(made);
        tester.IsAlive(sa);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_child_whose_time_comes_is_rekeyed_and_one_that_nobody_rekeys_ends(string setting)
    {
        using var tester = new Tester(setting, connection => connection with { Children = [connection.Children[0] with { RekeyTime = TimeSpan.FromSeconds(60), LifeTime = TimeSpan.FromSeconds(80), RandTime = TimeSpan.FromSeconds(10) }] });
        tester.Establish(nodeInitiates: true);
        var old = tester.Child!;
        tester.Wait(TimeSpan.FromSeconds(49));
        tester.ExpectSilence();
        var request = tester.Await(Create, TimeSpan.FromSeconds(12));
        Assert.True(request.Has(NotifyType.RekeySa));
        // the peer will not
        tester.Answer(request, Payload.Notify(NotifyType.NoProposalChosen));
        tester.Holds(old);
        var until = tester.Now + TimeSpan.FromSeconds(35);
        while (tester.Now < until && tester.HoldsAny(old))
        {
            tester.Wait(TimeSpan.FromSeconds(1));
            while (tester.Take() is { } next)
            {
                if (next.Header.Exchange == Create) tester.Answer(next, Payload.Notify(NotifyType.NoProposalChosen));
                else tester.Answer(next);
            }
        }

        // section 2.8: where no rekeying works, the IKE SA ends with what it protects
        tester.NodeHasNothing();
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Several_transforms_and_proposals_are_offered_for_the_new_child(string setting)
    {
        var profile = Setting.Of(setting).Profile;
        using var tester = new Tester(setting, connection => connection with { Children = [connection.Children[0] with { Proposals = EnginePair.Proposals(ProtocolId.Esp, "aes192-camellia128-sha512-sha384-esn-noesn", profile.Esp) }] });
        tester.AnswerInit(tester.Begin());
        var auth = tester.TakeAuth();
        tester.Answer(auth, tester.AuthAnswer(auth));
        tester.RekeyChild();
        var request = tester.ExpectRequest(Create);
        Assert.Equal(EnginePair.Proposals(ProtocolId.Esp, "aes192-camellia128-sha512-sha384-esn-noesn"), [request.Proposals[0].Proposal]);
        Assert.Equal([1, 2], request.Proposals.Select(proposal => (int)proposal.Number));
        // one transform of the first, which is not the first of any type
        var chosen = EnginePair.Proposals(ProtocolId.Esp, "camellia128-sha384")[0];
        var made = tester.AnswerChild(request, chosen);
        EspCheck.BothWays(tester.Holds(made), made);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_refused_rekeying_leaves_the_old_child_and_is_tried_again(string setting)
    {
        foreach (var error in new[] { NotifyType.NoProposalChosen, NotifyType.TemporaryFailure, NotifyType.NoAdditionalSas, (NotifyType)16383 })
        {
            using var tester = new Tester(setting);
            var sa = tester.Establish(nodeInitiates: true);
            tester.RekeyChild();
            tester.Answer(tester.ExpectRequest(Create), Payload.Notify(error));
            tester.ExpectSilence();
            tester.HoldsOnly(tester.Child!);
            var made = tester.AnswerChild(tester.Await(Create, TimeSpan.FromMinutes(2)));
            tester.Answer(tester.ExpectRequest(Informational), Payload.Delete(tester.Child!.Own));
            tester.HoldsOnly(made);
            tester.IsUp(sa);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void With_PFS_the_new_keys_come_from_a_key_exchange_of_their_own(string setting)
    {
        var setup = Setting.Of(setting);
        using var tester = new Tester(setting, connection => connection with { Children = [connection.Children[0] with { Proposals = EnginePair.Proposals(ProtocolId.Esp, $"{setup.Profile.Esp}-{setup.Profile.Group}") }] });
        tester.AnswerInit(tester.Begin());
        var auth = tester.TakeAuth();
        // section 1.2: none in IKE_AUTH
        Assert.False(auth.Has(PayloadType.Ke));
        Assert.Equal(tester.Esp, Assert.Single(auth.Proposals).Proposal);
        tester.Answer(auth, tester.AuthAnswer(auth));
        tester.RekeyChild();
        var request = tester.ExpectRequest(Create);
        Assert.Equal(Tester.GroupOf(tester.Ike), request.Ke().Method);
        var made = tester.AnswerChild(request, tester.Pfs);
        EspCheck.BothWays(tester.Holds(made), made);
        tester.Answer(tester.ExpectRequest(Informational), Payload.Delete(tester.Child!.Own));

        // an answer without KE is none (R77)
        tester.RekeyChild();
        request = tester.ExpectRequest(Create);
        tester.Answer(request, tester.ChildAnswer(request, tester.Esp).Payloads);
        Assert.Single(tester.Node.Installed);
        tester.Holds(made);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_replaced_IKE_SA_is_deleted_and_the_new_one_used(string setting)
    {
        using var tester = new Tester(setting);
        var old = tester.Establish(nodeInitiates: true);
        tester.RekeyIke();
        var request = tester.ExpectRequest(Create);
        Assert.Equal([PayloadType.Sa, PayloadType.Nonce, PayloadType.Ke], request.Essence);
        var offer = Assert.Single(request.Proposals);
        Assert.Equal((1, 8), (offer.Number, offer.SpiLength));
        Assert.Equal(tester.Ike, offer.Proposal);
        var made = tester.AnswerIke(request);
        // section 2.8: the old one is deleted on itself
        var delete = tester.ExpectRequest(Informational);
        Assert.Equal((old.SpiI, old.SpiR, 3u), (delete.Header.InitiatorSpi, delete.Header.ResponderSpi, delete.Header.MessageId));
        Assert.Empty(delete.Deleted(out var ike));
        Assert.True(ike);
        tester.Answer(delete);
        tester.IsGone(old);
        tester.IsUp(made);
        // the child went along
        tester.HoldsOnly(tester.Child!);
        // section 2.2: numbers start at 0 in both directions
        tester.IsAlive(made);
        tester.RekeyChild();
        request = tester.ExpectRequest(Create);
        Assert.Equal((made.SpiI, 0u, true), (request.Header.InitiatorSpi, request.Header.MessageId, request.Header.FromInitiator));
        var child = tester.AnswerChild(request);
        EspCheck.BothWays(tester.Holds(child), child);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void An_IKE_SA_whose_time_comes_is_rekeyed_and_one_that_nobody_rekeys_ends(string setting)
    {
        using var tester = new Tester(setting, connection => connection with { RekeyTime = TimeSpan.FromSeconds(600), OverTime = TimeSpan.FromSeconds(200), RandTime = TimeSpan.FromSeconds(60) });
        var sa = tester.Establish(nodeInitiates: true);
        tester.Wait(TimeSpan.FromSeconds(539));
        tester.ExpectSilence();
        var request = tester.Await(Create, TimeSpan.FromSeconds(62));
        Assert.False(request.Has(PayloadType.TsI));
        tester.Answer(request, Payload.Notify(NotifyType.NoProposalChosen));
        tester.IsUp(sa);
        var deleted = false;
        for (var i = 0; i < 300 && !deleted; i++)
        {
            tester.Wait(TimeSpan.FromSeconds(1));
            while (tester.Take() is { } next)
            {
                if (next.Header.Exchange == Create)
                {
                    tester.Answer(next, Payload.Notify(NotifyType.NoProposalChosen));
                    continue;
                }

                next.Deleted(out deleted);
                tester.Answer(next);
            }
        }

        Assert.True(deleted);
        tester.NodeHasNothing();
    }

    [Theory]
    [InlineData("A encryption", "aes128-3des-sha1-modp1024", "3des-sha1-modp1024")]
    [InlineData("B PRF", "3des-sha1-prfsha256-prfsha1-modp1024", "3des-sha1-prfsha1-modp1024")]
    [InlineData("C integrity", "3des-sha256-sha1-prfsha1-modp1024", "3des-sha1-prfsha1-modp1024")]
    [InlineData("D groups", "3des-sha1-modp1024-modp2048", "3des-sha1-modp1024")]
    public void Several_transforms_are_offered_for_the_new_IKE_SA(string part, string offered, string chosen)
    {
        foreach (var setting in Parts.Of(part, chosen, "3des-sha1"))
        {
            using var tester = new Tester(setting, connection => connection with { Proposals = EnginePair.Proposals(ProtocolId.Ike, offered) });
            tester.Establish(nodeInitiates: true);
            tester.RekeyIke();
            var request = tester.ExpectRequest(Create);
            Assert.Equal(EnginePair.Proposals(ProtocolId.Ike, offered)[0], Assert.Single(request.Proposals).Proposal);
            // what is in use comes first: the group of KE is that of the old one
            Assert.Equal(Tester.GroupOf(tester.Ike), request.Ke().Method);
            tester.Use(tester.AnswerIke(request));
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Several_proposals_are_offered_for_the_new_IKE_SA_and_its_PRF_may_be_another(string setting)
    {
        var profile = Setting.Of(setting).Profile;
        using var tester = new Tester(setting, connection => connection with { Proposals = [.. connection.Proposals, .. EnginePair.Proposals(ProtocolId.Ike, profile.OtherIke)] });
        tester.Establish(nodeInitiates: true);
        tester.RekeyIke();
        var request = tester.ExpectRequest(Create);
        Assert.Equal([1, 2], request.Proposals.Select(proposal => (int)proposal.Number));
        var other = EnginePair.Proposals(ProtocolId.Ike, profile.OtherIke)[0];
        Assert.NotEqual(tester.Ike.Find(TransformType.Prf), other.Find(TransformType.Prf));
        // section 2.18: SKEYSEED with the old PRF, everything else with the new one
        tester.Use(tester.AnswerIke(request, other));
        tester.RekeyChild();
        var child = tester.AnswerChild(tester.ExpectRequest(Create));
        tester.Holds(child);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_further_child_is_made_and_a_peer_that_takes_no_more_is_left_alone(string setting)
    {
        using var tester = new Tester(setting, Second);
        var sa = tester.Establish(nodeInitiates: true);
        var id = tester.Command(command => new IkeCommand.Up(command, "net", "second"));
        var request = tester.ExpectRequest(Create);
        Assert.False(request.Has(NotifyType.RekeySa));
        Assert.Equal([PayloadType.Sa, PayloadType.Nonce, PayloadType.TsI, PayloadType.TsR], request.Essence);
        tester.Answer(request, Payload.Notify(NotifyType.NoAdditionalSas));
        Assert.False(tester.Node.Results[id].Success);
        tester.HoldsOnly(tester.Child!);
        tester.IsAlive(sa);

        id = tester.Command(command => new IkeCommand.Up(command, "net", "second"));
        request = tester.ExpectRequest(Create);
        var (payloads, child) = tester.ChildAnswer(request);
        payloads[2] = Payload.Ts(PayloadType.TsI, request.Ts(PayloadType.TsI));
        payloads[3] = Payload.Ts(PayloadType.TsR, request.Ts(PayloadType.TsR));
        tester.Answer(request, payloads);
        Assert.True(tester.Node.Results[id].Success);
        EspCheck.BothWays(tester.Holds(child), child);
        tester.Holds(tester.Child!);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Reserved_bits_of_the_answers_are_ignored(string setting)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates: true);
        tester.Reserved = true;
        tester.RekeyChild();
        var made = tester.AnswerChild(tester.ExpectRequest(Create));
        tester.Answer(tester.ExpectRequest(Informational), Payload.Delete(tester.Child!.Own));
        tester.HoldsOnly(made);
        tester.RekeyIke();
        tester.Use(tester.AnswerIke(tester.ExpectRequest(Create)));
        tester.HoldsOnly(made);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Errors_that_end_the_IKE_SA_end_it(string setting)
    {
        // section 2.21.3
        foreach (var error in new[] { NotifyType.InvalidSyntax, NotifyType.AuthenticationFailed })
        {
            using var tester = new Tester(setting);
            tester.Establish(nodeInitiates: true);
            tester.RekeyChild();
            tester.Answer(tester.ExpectRequest(Create), Payload.Notify(error));
            tester.ExpectSilence();
            tester.NodeHasNothing();
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void CHILD_SA_NOT_FOUND_makes_a_new_child_in_the_place_of_the_lost_one(string setting)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates: true);
        tester.RekeyChild();
        tester.Answer(tester.ExpectRequest(Create), Payload.Notify(ProtocolId.Esp, tester.Child!.Node, NotifyType.ChildSaNotFound));
        // section 2.25: the old one goes without a word
        var request = tester.ExpectRequest(Create);
        Assert.False(request.Has(NotifyType.RekeySa));
        Assert.False(tester.HoldsAny(tester.Child!));
        tester.HoldsOnly(tester.AnswerChild(request));
    }

    private static Connection Second(Connection connection)
    {
        var child = connection.Children[0];
        var narrower = child.LocalSelectors[0].Selector with { Protocol = 17, FirstPort = 53, LastPort = 53 };
        return connection with { Children = [child, child with { Name = "second", LocalSelectors = [SelectorPattern.Of(narrower)] }] };
    }
}
