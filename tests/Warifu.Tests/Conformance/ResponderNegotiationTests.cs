using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>Algorithms, groups and selectors with the node as responder: docs/conformance.md, R.1.1.6 and R.1.1.7.</summary>
[Trait("Item", "2.22")]
public sealed class ResponderNegotiationTests
{
    private const ExchangeType Init = ExchangeType.IkeSaInit;

    public static TheoryData<string> All => Setting.Names;

    /// <summary>Part E of the programme is encryption without integrity; RFC 8221 section 5 forbids it.</summary>
    [Fact]
    public void Encryption_without_integrity_is_neither_configured_nor_chosen()
    {
        Assert.False(ProposalKeywords.TryParse(ProtocolId.Esp, "3des", out _, out _, out _));
        foreach (var setting in Parts.Of("E", "3des-sha1-modp1024", "3des-sha1"))
        {
            using var tester = new Tester(setting);
            tester.SendInit();
            tester.TakeInit();
            foreach (var integrity in new Transform[][] { [], [Transform.Integ(IntegId.None)] })
            {
                var bare = new Proposal(ProtocolId.Esp, [Transform.Encr(EncrId.TripleDes), .. integrity, Transform.Esn(false)]);
                if (tester.Sa.NextRequest == 1) Assert.Equal(NotifyType.NoProposalChosen, tester.AskAuth(tester.AuthRequest(bare)).Error);
                else Assert.Equal(NotifyType.NoProposalChosen, tester.Ask(ExchangeType.CreateChildSa, tester.ChildRequest(null, bare).Payloads).Error);
            }

            Assert.Empty(tester.Node.Installed);
            tester.IsUp(tester.Sa);
        }
    }

    /// <summary>RFC 8247 section 2.4: 22 MUST NOT, 23 and 24 SHOULD NOT.</summary>
    [Fact]
    public void Groups_22_to_24_are_used_only_when_somebody_names_them()
    {
        KeId[] subgroups = [KeId.Modp1024S160, KeId.Modp2048S224, KeId.Modp2048S256];
        Assert.DoesNotContain(ProposalKeywords.DefaultIke.Concat(ProposalKeywords.DefaultEsp).SelectMany(proposal => proposal.Transforms), transform => transform.Type == TransformType.Ke && subgroups.Contains((KeId)transform.Id));
        foreach (var group in new[] { "modp1024s160", "modp2048s256" })
        {
            using var tester = new Tester(Parts.Of("H", $"aes128-sha256-{group}", "aes128-sha256")[0], connection => connection with { Proposals = ProposalKeywords.DefaultIke });
            tester.SendInit();
            Assert.Equal(NotifyType.NoProposalChosen, tester.Expect(Init, isResponse: true).Error);
            tester.NodeHasNothing();
        }
    }

    [Theory]
    [InlineData("encryption", "aes128-3des-sha1-modp1024")]
    [InlineData("PRF", "3des-sha1-prfsha256-prfsha1-modp1024")]
    [InlineData("integrity", "3des-sha256-sha1-prfsha1-modp1024")]
    [InlineData("groups", "3des-sha1-modp1024-modp2048")]
    public void Of_several_IKE_transforms_the_one_that_is_configured_is_chosen(string part, string offered)
    {
        var chosen = "3des-sha1-modp1024";
        foreach (var setting in Parts.Of(part, chosen, "3des-sha1"))
        {
            using var tester = new Tester(setting);
            tester.SendInit(tester.InitRequest(EnginePair.Proposals(ProtocolId.Ike, offered)[0]));
            Assert.Equal(Parts.Set(tester.Ike), Parts.Set(Assert.Single(tester.TakeInit().Proposals).Proposal));
            Assert.Null(tester.AskAuth().Error);
            tester.HoldsOnly(tester.Child!);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Of_several_IKE_proposals_the_one_that_is_configured_is_chosen(string setting)
    {
        using var tester = new Tester(setting);
        tester.SendInit(tester.InitRequest(EnginePair.Proposals(ProtocolId.Ike, tester.Setting.Profile.OtherIke)[0], tester.Ike));
        // section 3.3.1: the number of the answer is that of the chosen one
        var chosen = Assert.Single(tester.TakeInit().Proposals);
        Assert.Equal(2, chosen.Number);
        Assert.Equal(Parts.Set(tester.Ike), Parts.Set(chosen.Proposal));
        Assert.Null(tester.AskAuth().Error);
        tester.HoldsOnly(tester.Child!);
    }

    [Theory]
    [InlineData("encryption", "aes128-3des-sha1")]
    [InlineData("integrity", "3des-sha256-sha1")]
    [InlineData("sequence numbers", "3des-sha1-esn-noesn")]
    public void Of_several_ESP_transforms_the_one_that_is_configured_is_chosen(string part, string offered)
    {
        foreach (var setting in Parts.Of(part, "3des-sha1-modp1024", "3des-sha1"))
        {
            using var tester = new Tester(setting);
            tester.SendInit();
            tester.TakeInit();
            Assert.Equal(tester.Esp, Assert.Single(tester.AskAuth(tester.AuthRequest(EnginePair.Proposals(ProtocolId.Esp, offered)[0])).Proposals).Proposal);
            tester.HoldsOnly(tester.Child!);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Of_several_ESP_proposals_the_one_that_is_configured_is_chosen(string setting)
    {
        using var tester = new Tester(setting);
        tester.SendInit();
        tester.TakeInit();
        var chosen = Assert.Single(tester.AskAuth(tester.AuthRequest(EnginePair.Proposals(ProtocolId.Esp, "aes192-sha512")[0], tester.Esp)).Proposals);
        Assert.Equal(2, chosen.Number);
        Assert.Equal(tester.Esp, chosen.Proposal);
        tester.HoldsOnly(tester.Child!);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_KE_of_another_group_is_answered_with_INVALID_KE_PAYLOAD_and_the_right_one(string setting)
    {
        using var tester = new Tester(setting);
        var wrong = Tester.GroupOf(EnginePair.Proposals(ProtocolId.Ike, $"aes128-sha1-{tester.Setting.Profile.OtherGroup}")[0]);
        var both = tester.Ike with { Transforms = [.. tester.Ike.Transforms.Where(transform => transform.Type != TransformType.Ke), Transform.Ke(wrong), Transform.Ke(Tester.GroupOf(tester.Ike))] };
        var request = tester.SendInit(tester.InitRequest(both));
        var refusal = tester.Expect(Init, isResponse: true);
        Assert.Equal([PayloadType.Notify], refusal.Types);
        Assert.True(refusal.Header.ResponderSpi.IsZero);
        Assert.True(refusal.Octets.Length <= request.Length);
        var group = (ushort)Tester.GroupOf(tester.Ike);
        Assert.Equal<byte>([(byte)(group >> 8), (byte)group], refusal.Notify(NotifyType.InvalidKePayload).Data);
        // nothing was computed and nothing is kept
        tester.NodeHasNothing();
        Assert.Equal(0, tester.Node.Engine.Counters.KeyExchanges);
        tester.SendInit();
        tester.TakeInit();
        Assert.Null(tester.AskAuth().Error);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Nothing_in_common_is_answered_with_NO_PROPOSAL_CHOSEN(string setting)
    {
        using var tester = new Tester(setting);
        tester.SendInit(tester.InitRequest(EnginePair.Proposals(ProtocolId.Ike, tester.Setting.Profile.OtherIke)[0]));
        var refusal = tester.Expect(Init, isResponse: true);
        Assert.Equal([PayloadType.Notify], refusal.Types);
        Assert.Equal(NotifyType.NoProposalChosen, refusal.Error);
        tester.NodeHasNothing();

        tester.SendInit();
        tester.TakeInit();
        var answer = tester.AskAuth(tester.AuthRequest(EnginePair.Proposals(ProtocolId.Esp, "aes192-sha512")[0]));
        // section 1.2: the peer is authenticated and the IKE SA stays
        Assert.Equal(NotifyType.NoProposalChosen, answer.Error);
        Assert.Equal([PayloadType.IdR, PayloadType.Auth], answer.Essence);
        Assert.Empty(tester.Node.Installed);
        tester.IsUp(tester.Sa);
        tester.IsAlive();
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Wider_selectors_are_narrowed(string setting)
    {
        using var tester = new Tester(setting);
        tester.SendInit();
        tester.TakeInit();
        var wide = Tester.Traffic(tester.Setting.Family == 4 ? "0.0.0.0/0" : "::/0");
        var payloads = tester.AuthRequest();
        payloads[^2] = Payload.Ts(PayloadType.TsI, wide);
        payloads[^1] = Payload.Ts(PayloadType.TsR, wide);
        var answer = tester.AskAuth(payloads);
        Assert.Equal([Tester.Traffic(tester.Setting.TesterTraffic)], answer.Ts(PayloadType.TsI));
        Assert.Equal([Tester.Traffic(tester.Setting.NodeTraffic)], answer.Ts(PayloadType.TsR));
        Assert.Equal([Tester.Traffic(tester.Setting.TesterTraffic)], tester.Holds(tester.Child!).RemoteSelectors);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Selectors_with_nothing_in_common_are_answered_with_TS_UNACCEPTABLE(string setting)
    {
        using var tester = new Tester(setting);
        tester.SendInit();
        tester.TakeInit();
        var payloads = tester.AuthRequest();
        payloads[^1] = Payload.Ts(PayloadType.TsR, Tester.Traffic(tester.Setting.Family == 4 ? "203.0.113.0/24" : "2001:db8:ffff::/48"));
        var answer = tester.AskAuth(payloads);
        Assert.Equal(NotifyType.TsUnacceptable, answer.Error);
        Assert.Equal([PayloadType.IdR, PayloadType.Auth], answer.Essence);
        Assert.Empty(tester.Node.Installed);
        tester.IsUp(tester.Sa);
        // the other family has nothing in common either
        answer = tester.Ask(ExchangeType.CreateChildSa, [.. tester.ChildRequest().Payloads.Where(payload => payload.Type != PayloadType.TsI), Payload.Ts(PayloadType.TsI, Tester.Traffic(tester.Setting.Family == 6 ? "10.2.0.0/16" : "2001:db8:2::/48"))]);
        Assert.Equal(NotifyType.TsUnacceptable, answer.Error);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Several_selectors_are_narrowed_each(string setting)
    {
        using var tester = new Tester(setting);
        var (mine, foreign) = (Tester.Traffic(tester.Setting.TesterTraffic), Tester.Traffic(tester.Setting.Family == 4 ? "203.0.113.0/24" : "2001:db8:ffff::/48"));
        var (tcp, udp) = (mine with { Protocol = 6, FirstPort = 80, LastPort = 90 }, mine with { Protocol = 17 });
        tester.SendInit();
        tester.TakeInit();
        var payloads = tester.AuthRequest();
        payloads[^2] = Payload.Ts(PayloadType.TsI, tcp, foreign, udp);
        var answer = tester.AskAuth(payloads);
        Assert.Equal([tcp, udp], answer.Ts(PayloadType.TsI));
        Assert.Equal([tcp, udp], tester.Holds(tester.Child!).RemoteSelectors);
    }
}
