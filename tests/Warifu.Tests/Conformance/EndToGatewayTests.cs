using System.Linq;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>A tunnel between an end node and a gateway: docs/conformance.md, EN.I.2.1.1, EN.R.2.1.1 and SGW.2.1.1. The inner addresses of one side are its own.</summary>
[Trait("Item", "2.22")]
public sealed class EndToGatewayTests
{
    public static TheoryData<int, string> All
    {
        get
        {
            var data = new TheoryData<int, string>();
            foreach (var profile in Profile.All)
            {
                data.Add(4, profile.Name);
                data.Add(6, profile.Name);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_end_node_asks_for_a_tunnel_to_the_network_behind_the_gateway(int family, string profile)
    {
        using var tester = new Tester(EndNode(family, profile));
        NodeAsks(tester);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_end_node_answers_a_gateway_that_asks_for_a_tunnel_to_it(int family, string profile)
    {
        using var tester = new Tester(EndNode(family, profile));
        NodeAnswers(tester);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_gateway_asks_for_a_tunnel_to_an_end_node(int family, string profile)
    {
        using var tester = new Tester(Gateway(family, profile));
        NodeAsks(tester);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_gateway_answers_an_end_node_that_asks_for_a_tunnel(int family, string profile)
    {
        using var tester = new Tester(Gateway(family, profile));
        NodeAnswers(tester);
    }

    private static Setting EndNode(int family, string profile)
    {
        var setting = Base(family, profile);
        return setting with { NodeTraffic = setting.Node.ToString() };
    }

    private static Setting Gateway(int family, string profile)
    {
        var setting = Base(family, profile);
        return setting with { TesterTraffic = setting.Tester.ToString() };
    }

    private static Setting Base(int family, string profile) => new(true, family, Profile.All.Single(one => one.Name == profile));

    private static void NodeAsks(Tester tester)
    {
        tester.AnswerInit(tester.Begin());
        var request = tester.TakeAuth();
        Assert.False(request.Has(NotifyType.UseTransportMode));
        Assert.Equal([Tester.Traffic(tester.Setting.NodeTraffic)], request.Ts(PayloadType.TsI));
        Assert.Equal([Tester.Traffic(tester.Setting.TesterTraffic)], request.Ts(PayloadType.TsR));
        Assert.Equal(tester.Esp, Assert.Single(request.Proposals).Proposal);
        Assert.Equal(tester.IdBody(Identity.Of(tester.Setting.Node)), request.Body(PayloadType.IdI));
        tester.Answer(request, tester.AuthAnswer(request));
        Check(tester);
    }

    private static void NodeAnswers(Tester tester)
    {
        tester.SendInit();
        tester.TakeInit();
        var answer = tester.AskAuth();
        Assert.Null(answer.Error);
        Assert.False(answer.Has(NotifyType.UseTransportMode));
        Assert.Equal([Tester.Traffic(tester.Setting.TesterTraffic)], answer.Ts(PayloadType.TsI));
        Assert.Equal([Tester.Traffic(tester.Setting.NodeTraffic)], answer.Ts(PayloadType.TsR));
        Assert.Equal(tester.IdBody(Identity.Of(tester.Setting.Node)), answer.Body(PayloadType.IdR));
        Check(tester);
    }

    private static void Check(Tester tester)
    {
        tester.HoldsOnly(tester.Child!);
        var held = tester.Holds(tester.Child!);
        Assert.Equal(IpsecMode.Tunnel, held.Mode);
        Assert.Equal([Tester.Traffic(tester.Setting.NodeTraffic)], held.LocalSelectors);
        Assert.Equal([Tester.Traffic(tester.Setting.TesterTraffic)], held.RemoteSelectors);
        EspCheck.BothWays(held, tester.Child!);
        tester.IsAlive();
    }
}
