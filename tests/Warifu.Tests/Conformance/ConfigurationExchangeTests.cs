using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>The configuration payload message by message: docs/conformance.md, EN.I.2.1.2 and SGW.2.1.2.</summary>
[Trait("Item", "2.22")]
public sealed class ConfigurationExchangeTests
{
    /// <summary>A type that nobody has given a meaning.</summary>
    private const ushort Unknown = 0x3FFF;

    public static TheoryData<int, string> All => EndToGatewayTests.All;

    [Theory]
    [MemberData(nameof(All))]
    public void An_end_node_asks_for_an_address_and_uses_what_it_gets(int family, string profile)
    {
        var (type, address) = Inner(family);
        using var tester = new Tester(Base(family, profile) with { NodeTraffic = address }, connection => connection with
        {
            VirtualIps = [family == 4 ? IpAddress.AnyV4 : IpAddress.AnyV6],
            Children = [connection.Children[0] with { LocalSelectors = [] }],
        });
        tester.AnswerInit(tester.Begin());
        var request = tester.TakeAuth();
        // section 2.19: CP goes before SA
        Assert.True(request.Types.ToList().IndexOf(PayloadType.Cp) < request.Types.ToList().IndexOf(PayloadType.Sa));
        var cp = request.Payloads.Single(payload => payload.Type == PayloadType.Cp);
        Assert.True(cp.IsPlain);
        Assert.Equal((byte)ConfigurationKind.Request, cp.Body[0]);
        Assert.Empty(Attributes(cp).Single(attribute => attribute.Type == type).Value);
        // an address, something unknown, something empty; all reserved bits set
        tester.Reserved = true;
        var octets = IpAddress.Parse(address).ToOctets();
        tester.Answer(request, With(tester.AuthAnswer(request), Cp(ConfigurationKind.Reply, (type, family == 4 ? octets : [.. octets, 128]), (Unknown, [1, 2, 3]), (Unknown, []))));
        tester.Reserved = false;
        tester.HoldsOnly(tester.Child!);
        Assert.Equal([Tester.Traffic(address)], tester.Holds(tester.Child!).LocalSelectors);
        Assert.Equal([IpAddress.Parse(address)], tester.Node.Engine.Snapshot().IkeSas.Single().LocalVips);
        tester.IsAlive();
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_gateway_gives_an_address_and_passes_over_what_it_does_not_know(int family, string profile)
    {
        var (type, address) = Inner(family);
        Assert.True(PoolText.TryParseAddresses(family == 4 ? "10.3.0.0/24" : "2001:db8:3::/112", out var range, out var error), error);
        using var tester = new Tester(
            Base(family, profile) with { TesterTraffic = address },
            connection => connection with { Pools = ["inner"], Children = [connection.Children[0] with { RemoteSelectors = [] }] },
            pools: new Pool { Name = "inner", Addresses = [range] });
        tester.SendInit();
        tester.TakeInit();
        tester.Reserved = true;
        var payloads = tester.AuthRequest();
        var index = payloads.FindIndex(payload => payload.Type == PayloadType.TsI);
        payloads[index] = Payload.Ts(PayloadType.TsI, Tester.Traffic(family == 4 ? "0.0.0.0/0" : "::/0"));
        var answer = tester.AskAuth(With(payloads, Cp(ConfigurationKind.Request, (type, []), (Unknown, []), (Unknown, [9, 9]))));
        Assert.Null(answer.Error);
        var cp = answer.Payloads.Single(payload => payload.Type == PayloadType.Cp);
        Assert.True(cp.IsPlain);
        Assert.Equal((byte)ConfigurationKind.Reply, cp.Body[0]);
        var given = Assert.Single(Attributes(cp));
        // section 3.15.1: 4 octets, or 16 and the length of the prefix
        Assert.Equal((type, family == 4 ? 4 : 17), (given.Type, given.Value.Length));
        Assert.Equal(IpAddress.Parse(address).ToOctets(), given.Value.AsSpan(0, family == 4 ? 4 : 16).ToArray());
        Assert.Equal([Tester.Traffic(address)], answer.Ts(PayloadType.TsI));
        Assert.Equal([Tester.Traffic(address)], tester.Holds(tester.Child!).RemoteSelectors);
    }

    private static (ushort Type, string Address) Inner(int family) => family == 4 ? ((ushort)1, "10.3.0.1") : ((ushort)8, "2001:db8:3::1");

    private static Setting Base(int family, string profile) => new(true, family, Profile.All.Single(one => one.Name == profile));

    private static List<Payload> With(List<Payload> payloads, Payload cp)
    {
        payloads.Insert(payloads.FindIndex(payload => payload.Type == PayloadType.Sa), cp);
        return payloads;
    }

    private static Payload Cp(ConfigurationKind kind, params (ushort Type, byte[] Value)[] attributes)
    {
        var builder = new MessageBuilder().Configuration(kind, [.. attributes.Select(attribute => new ConfigurationAttribute(attribute.Type, [.. attribute.Value]))]);
        return Payload.Parse(builder.First, builder.Chain).Single();
    }

    private static List<(ushort Type, byte[] Value)> Attributes(Payload cp)
    {
        var found = new List<(ushort, byte[])>();
        for (var position = 4; position < cp.Body.Length;)
        {
            var (type, length) = (BinaryPrimitives.ReadUInt16BigEndian(cp.Body.AsSpan(position)), BinaryPrimitives.ReadUInt16BigEndian(cp.Body.AsSpan(position + 2)));
            found.Add((type, cp.Body.AsSpan(position + 4, length).ToArray()));
            position += 4 + length;
        }

        return found;
    }
}
