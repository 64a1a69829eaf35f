using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>CREATE_CHILD_SA with the tester asking: docs/conformance.md, R.1.2.1 to R.1.2.7.</summary>
[Trait("Item", "2.22")]
public sealed class ResponderChildTests
{
    private const ExchangeType Create = ExchangeType.CreateChildSa;
    private const ExchangeType Informational = ExchangeType.Informational;

    public static TheoryData<string> All => Setting.Names;

    [Theory]
    [MemberData(nameof(All))]
    public void The_answer_to_the_rekeying_of_a_child_has_the_form_of_the_RFC(string setting)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates: false);
        var wish = tester.ChildRequest(tester.Child);
        var answer = tester.Ask(Create, wish.Payloads);
        Assert.Equal(((byte)0x20, 2u, PayloadType.Sk), (answer.Header.Flags, answer.Header.MessageId, answer.Header.NextPayload));
        Assert.Equal(0, answer.Octets[IkeHeader.Length + 1]);
        Assert.All(answer.Payloads, payload => Assert.True(payload.IsPlain, $"reserved bits in {payload.Type}"));
        Assert.Equal([PayloadType.Sa, PayloadType.Nonce, PayloadType.TsI, PayloadType.TsR], answer.Essence);
        Assert.Equal(!tester.Setting.IsGateway, answer.Has(NotifyType.UseTransportMode));
        Assert.False(answer.Has(NotifyType.RekeySa));
        var chosen = Assert.Single(answer.Proposals);
        Assert.Equal((1, 4), (chosen.Number, chosen.SpiLength));
        Assert.Equal(tester.Esp, chosen.Proposal);
        Assert.InRange(answer.Nonce.Length, 24, 256);
        Assert.NotEqual(wish.Nonce, answer.Nonce);
        Assert.Equal([Tester.Traffic(tester.Setting.TesterTraffic)], answer.Ts(PayloadType.TsI));
        Assert.Equal([Tester.Traffic(tester.Setting.NodeTraffic)], answer.Ts(PayloadType.TsR));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_repeated_request_gets_the_same_answer_and_makes_nothing_more(string setting)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates: false);
        var wish = tester.ChildRequest(tester.Child);
        var request = tester.Send(tester.Sa, Create, wish.Payloads);
        var answer = tester.Expect(Create, isResponse: true);
        for (var i = 0; i < 3; i++)
        {
            tester.Wait(TimeSpan.FromSeconds(5));
            tester.ExpectSilence();
            tester.Deliver(request);
            Assert.Equal(answer.Octets, tester.Expect(Create, isResponse: true).Octets);
        }

        Assert.Equal(2, tester.Node.Installed.Count);
        tester.Holds(tester.TakeChild(wish, answer));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Old_and_new_child_work_until_the_old_one_is_deleted(string setting)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates: false);
        var old = tester.Child!;
        var made = tester.AskChild(old);
        EspCheck.BothWays(tester.Holds(old), old);
        var held = tester.Holds(made);
        // section 2.8: the responder goes on sending on the old one until something has come in on the new one
        Assert.False(held.OutboundReady);
        EspCheck.BothWays(held, made);
        Assert.Equal([old.Node], tester.Ask(Informational, Payload.Delete(old.Own)).Deleted(out _));
        tester.HoldsOnly(made);
        tester.ExpectSilence();
    }

    [Theory]
    [MemberData(nameof(All))]
    public void With_PFS_the_new_keys_come_from_a_key_exchange_of_their_own(string setting)
    {
        var setup = Setting.Of(setting);
        using var tester = new Tester(setting, connection => connection with { Children = [connection.Children[0] with { Proposals = EnginePair.Proposals(ProtocolId.Esp, $"{setup.Profile.Esp}-{setup.Profile.Group}") }] });
        tester.Establish(nodeInitiates: false);
        var made = tester.AskChild(tester.Child, tester.Pfs);
        EspCheck.BothWays(tester.Holds(made), made);
        // a peer without PFS is refused where it is required (R77)
        Assert.Equal(NotifyType.NoProposalChosen, tester.Ask(Create, tester.ChildRequest(made).Payloads).Error);
        // a KE of another group: INVALID_KE_PAYLOAD with ours (section 1.3)
        var wish = tester.ChildRequest(made, tester.Pfs);
        var index = wish.Payloads.FindIndex(payload => payload.Type == PayloadType.Ke);
        wish.Payloads[index] = Payload.Ke(KeId.Curve25519, tester.Random(32));
        var group = (ushort)Tester.GroupOf(tester.Pfs);
        Assert.Equal<byte>([(byte)(group >> 8), (byte)group], tester.Ask(Create, wish.Payloads).Notify(NotifyType.InvalidKePayload).Data);
        tester.IsAlive();
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Of_several_transforms_and_proposals_the_configured_one_is_chosen(string setting)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates: false);
        var first = EnginePair.Proposals(ProtocolId.Esp, "aes192-camellia128-sha512-sha384-esn-noesn")[0];
        // a proposal with the configured transforms among others
        var second = tester.Esp with { Transforms = [Transform.Encr(EncrId.CamelliaCbc, 192), .. tester.Esp.Transforms, Transform.Esn(true)] };
        second = second with { Transforms = [.. second.Transforms.OrderBy(transform => transform.Type)] };
        var wish = tester.ChildRequest(tester.Child, first, second);
        var answer = tester.Ask(Create, wish.Payloads);
        Assert.Equal(2, Assert.Single(answer.Proposals).Number);
        Assert.Equal(tester.Esp, answer.Proposals[0].Proposal);
        tester.Holds(tester.TakeChild(wish, answer));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Nothing_in_common_is_answered_with_NO_PROPOSAL_CHOSEN_and_all_stays(string setting)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates: false);
        foreach (var old in new[] { tester.Child, null })
        {
            var answer = tester.Ask(Create, tester.ChildRequest(old, EnginePair.Proposals(ProtocolId.Esp, "aes192-sha512")[0]).Payloads);
            Assert.Equal([PayloadType.Notify], answer.Types);
            Assert.Equal(NotifyType.NoProposalChosen, answer.Error);
        }

        Assert.Equal(NotifyType.NoProposalChosen, tester.Ask(Create, tester.IkeRequest(EnginePair.Proposals(ProtocolId.Ike, tester.Setting.Profile.OtherIke)[0]).Payloads).Error);
        tester.HoldsOnly(tester.Child!);
        tester.IsUp(sa);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_further_child_is_made(string setting)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates: false);
        var wish = tester.ChildRequest();
        // part of the traffic for itself
        var narrow = Tester.Traffic(tester.Setting.NodeTraffic) with { Protocol = 6, FirstPort = 443, LastPort = 443 };
        var index = wish.Payloads.FindIndex(payload => payload.Type == PayloadType.TsR);
        wish.Payloads[index] = Payload.Ts(PayloadType.TsR, narrow);
        var further = tester.TakeChild(wish, tester.Ask(Create, wish.Payloads));
        Assert.Equal([narrow], tester.Holds(further).LocalSelectors);
        EspCheck.BothWays(tester.Holds(further), further);
        tester.Holds(tester.Child!);
        Assert.Equal(2, tester.Node.Installed.Count);
    }

    [Fact]
    public void Beyond_its_limit_further_children_are_answered_with_NO_ADDITIONAL_SAS()
    {
        using var tester = new Tester(Parts.Of("limit", "aes128gcm16-prfsha256-x25519", "aes128gcm16")[0]);
        var sa = tester.Establish(nodeInitiates: false);
        for (var i = 1; i < ProtocolTimes.ChildrenPerIke; i++) Assert.Null(tester.Ask(Create, tester.ChildRequest().Payloads).Error);
        var answer = tester.Ask(Create, tester.ChildRequest().Payloads);
        Assert.Equal([PayloadType.Notify], answer.Types);
        Assert.Equal(NotifyType.NoAdditionalSas, answer.Error);
        Assert.Equal(ProtocolTimes.ChildrenPerIke, tester.Node.Installed.Count);
        // what is there can be rekeyed
        tester.AskChild(tester.Child);
        tester.IsAlive(sa);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_answer_to_the_rekeying_of_the_IKE_SA_has_the_form_of_the_RFC(string setting)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates: false);
        var wish = tester.IkeRequest();
        var answer = tester.Ask(Create, wish.Payloads);
        Assert.Equal([PayloadType.Sa, PayloadType.Nonce, PayloadType.Ke], answer.Essence);
        Assert.All(answer.Payloads, payload => Assert.True(payload.IsPlain, $"reserved bits in {payload.Type}"));
        var chosen = Assert.Single(answer.Proposals);
        Assert.Equal((1, 8), (chosen.Number, chosen.SpiLength));
        Assert.NotEqual(0ul, chosen.Spi);
        Assert.Equal(Parts.Set(tester.Ike), Parts.Set(chosen.Proposal));
        // nobody is authenticated again (section 2.8)
        Assert.False(answer.Has(PayloadType.Auth) || answer.Has(PayloadType.IdR));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_new_IKE_SA_inherits_the_children_and_its_message_ids_begin_at_0(string setting)
    {
        foreach (var nodeInitiates in new[] { false, true })
        {
            using var tester = new Tester(setting);
            var old = tester.Establish(nodeInitiates);
            var made = tester.AskIke();
            Assert.Equal(0u, made.NextRequest);
            // the old one answers until it is deleted
            tester.IsAlive(old);
            Assert.Empty(tester.Ask(old, Informational, Payload.DeleteIke()).Payloads);
            tester.IsGone(old);
            tester.IsUp(made);
            tester.HoldsOnly(tester.Child!);
            tester.IsAlive(made);
            // the tester began this one, whoever began the first
            tester.RekeyChild();
            var request = tester.ExpectRequest(Create);
            Assert.Equal((0u, false), (request.Header.MessageId, request.Header.FromInitiator));
            var child = tester.AnswerChild(request);
            EspCheck.BothWays(tester.Holds(child), child);
            tester.Answer(tester.ExpectRequest(Informational), Payload.Delete(tester.Child!.Own));
            tester.HoldsOnly(child);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_PRF_may_change_with_the_IKE_SA(string setting)
    {
        var profile = Setting.Of(setting).Profile;
        using var tester = new Tester(setting, connection => connection with { Proposals = [.. connection.Proposals, .. EnginePair.Proposals(ProtocolId.Ike, profile.OtherIke)] });
        var old = tester.Establish(nodeInitiates: false);
        var made = tester.AskIke(EnginePair.Proposals(ProtocolId.Ike, profile.OtherIke)[0]);
        tester.Ask(old, Informational, Payload.DeleteIke());
        tester.IsAlive(made);
        tester.Holds(tester.AskChild(tester.Child));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_KE_of_another_group_is_refused_with_the_right_one_when_the_IKE_SA_is_rekeyed(string setting)
    {
        using var tester = new Tester(setting);
        var old = tester.Establish(nodeInitiates: false);
        var wrong = Tester.GroupOf(EnginePair.Proposals(ProtocolId.Ike, $"aes128-sha1-{tester.Setting.Profile.OtherGroup}")[0]);
        var both = tester.Ike with { Transforms = [.. tester.Ike.Transforms.Where(transform => transform.Type != TransformType.Ke), Transform.Ke(wrong), Transform.Ke(Tester.GroupOf(tester.Ike))] };
        var group = (ushort)Tester.GroupOf(tester.Ike);
        var answer = tester.Ask(Create, tester.IkeRequest(both).Payloads);
        Assert.Equal<byte>([(byte)(group >> 8), (byte)group], answer.Notify(NotifyType.InvalidKePayload).Data);
        var made = tester.AskIke();
        tester.Ask(old, Informational, Payload.DeleteIke());
        tester.IsAlive(made);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Reserved_bits_of_the_requests_are_ignored(string setting)
    {
        using var tester = new Tester(setting);
        var old = tester.Establish(nodeInitiates: false);
        tester.Reserved = true;
        var child = tester.AskChild(tester.Child);
        tester.Holds(child);
        var made = tester.AskIke();
        tester.Ask(old, Informational, Payload.DeleteIke());
        tester.IsAlive(made);
        tester.Holds(child);
    }
}
