using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.V1;
using Warifu.Wire;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>What a peer can do whose keys are there and whose proof is not (item 3.10): with signatures SKEYID comes from g^xy alone (RFC 2409 section 5), so that anybody has them who took part in the key exchange.</summary>
[Trait("Item", "3.10")]
public sealed class UnprovenPeerTests
{
    /// <summary>An informational message that fits the keys is no answer to message 5: that goes on until message 6 is there, or nobody would ever try anything else.</summary>
    [Theory]
    [InlineData((ushort)NotifyV1.RUThere)]
    [InlineData((ushort)NotifyV1.ReplayStatus)]
    [InlineData((ushort)40_500)]
    [Trait("Attack", "unauthenticated deletes and notifies")]
    public void An_informational_message_before_message_6_stops_no_repetition(ushort type)
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(), V1Pair.Right());
        var told = false;
        pair.Wire = (number, _, message) =>
        {
            // message 5 and the first message 6 are lost
            if (number is not (4 or 5)) return 1;
            if (told) return 0;
            told = true;
            var own = pair.Left.Engine.IsakmpSas.Single();
            pair.Left.Receive(message.Local, message.Remote, ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x31, new ChainBuilder().Notify(ProtocolId.Ike, own.Cookies(), (NotifyV1)type, [0, 0, 0, 1])), pair.Now);
            Assert.Equal(0, pair.Left.Engine.Counters.Drops[(int)DropReason.BadIntegrity]);
            return 0;
        };
        var result = pair.Up();
        Assert.True(told);
        Assert.True(result.Success, result.Message);
        V1Pair.AssertSame(pair);
    }

    /// <summary>The same while nobody answers at all: it ends, and whoever waits is told.</summary>
    [Fact]
    [Trait("Attack", "unauthenticated deletes and notifies")]
    public void Phase_1_ends_in_time_whatever_is_sent_to_it()
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(), V1Pair.Right());
        pair.Wire = (number, _, message) =>
        {
            if (number < 4) return 1;
            if (number == 4)
            {
                var own = pair.Left.Engine.IsakmpSas.Single();
                pair.Left.Receive(message.Local, message.Remote, ForgerV1.Hashed(own, ExchangeType.InformationalV1, 0x31, new ChainBuilder().VendorId([1])), pair.Now);
            }

            return 0;
        };
        Assert.False(pair.Up().Success);
        Assert.Empty(pair.Left.Engine.IsakmpSas);
    }

    /// <summary>A hybrid user has proved nothing before its password is right: what it may make us remember is little.</summary>
    [Fact]
    [Trait("Attack", "bounded memory")]
    public void Before_the_user_is_known_few_message_IDs_are_taken()
    {
        using var pair = RemoteAccessPair.Make(RemoteAccessPair.Client(AccessProof.Hybrid), RemoteAccessPair.Gateway(AccessProof.Hybrid));
        pair.Left.HeldAsks = [];
        pair.Left.Up("net", "net", pair.Now);
        for (var i = 0; i < 20; i++)
        {
            pair.Settle();
            foreach (var (id, question) in pair.Left.HeldAsks.Where(held => held.Question is not Ask.FindPassword).ToArray())
            {
                pair.Left.HeldAsks.RemoveAll(held => held.Id == id);
                pair.Left.Answer(id, question, pair.Now);
            }
        }

        // the user types
        var own = Assert.Single(pair.Left.Engine.IsakmpSas);
        var victim = Assert.Single(pair.Right.Engine.IsakmpSas);
        Assert.Equal(AccessStage.Xauth, victim.Access?.Stage);
        var more = new ChainBuilder().Attributes(ConfigurationKind.Request, 1, Attack.Attributes(((ushort)ConfigurationType.InternalIp4Address, 0)));
        for (var i = 0; i < 500; i++) Assert.Empty(Attack.Knock(pair, ForgerV1.Hashed(own, i % 2 == 0 ? ExchangeType.ModeConfig : ExchangeType.InformationalV1, 0x1000 + (uint)i, i % 2 == 0 ? more : new ChainBuilder().VendorId([1]))));
        Assert.InRange(victim.Exchanges.Count, 1, 64);
        Assert.InRange(pair.Right.Engine.Counters.Drops[(int)DropReason.OutOfWindow], 430, 500);

        // and the true user still gets in
        pair.Left.HeldAsks = null;
        Assert.Equal(IsakmpState.Connecting, victim.State);
    }

    /// <summary>Sixty-four steps of thirty-two lines of 255 characters would be a megabyte for each that is half open.</summary>
    [Fact]
    [Trait("Attack", "bounded memory")]
    public void A_report_of_long_messages_is_bounded()
    {
        var report = new ReportBuilder(default, initiator: false);
        for (var i = 0; i < 1000; i++) report.Add(default, StepDirection.In, "transaction [ HASH ATTR ]", [.. Enumerable.Repeat(new string('x', 255), 32)]);
        var built = report.Build("net", null, default, default, default, null);
        Assert.Equal(ProtocolTimes.ReportSteps, built.Steps.Length);
        Assert.Equal(32, built.Steps[0].Details.Length);
        Assert.InRange(built.Steps.Sum(step => step.Details.Sum(line => line.Length)), 8_000, ProtocolTimes.ReportCharacters);
    }
}
