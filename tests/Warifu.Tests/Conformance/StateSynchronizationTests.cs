using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>State in step with the peer: docs/conformance.md, I.1.1.3 and R.1.1.3. The node has begun the IKE SA, or the tester has.</summary>
[Trait("Item", "2.22")]
public sealed class StateSynchronizationTests
{
    private const ExchangeType Informational = ExchangeType.Informational;

    public static TheoryData<string, bool> All
    {
        get
        {
            var data = new TheoryData<string, bool>();
            foreach (var name in Setting.Names)
            {
                data.Add(name, true);
                data.Add(name, false);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Messages_in_clear_do_not_end_an_SA(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates);
        foreach (var type in new[] { NotifyType.InvalidIkeSpi, NotifyType.InvalidSyntax, NotifyType.InvalidMajorVersion, NotifyType.InvalidMessageId, NotifyType.AuthenticationFailed, NotifyType.InvalidSpi })
        {
            foreach (var isResponse in new[] { false, true })
            {
                foreach (var id in new uint[] { 0, 1, 2 })
                {
                    var header = sa.Header(Informational, isResponse, id);
                    tester.Deliver(tester.Clear(header, Payload.Notify(type)));
                    tester.Deliver(tester.Clear(header with { Exchange = ExchangeType.IkeAuth }, Payload.Notify(type)));
                    tester.Deliver(tester.Clear(header with { Exchange = ExchangeType.IkeSaInit }, Payload.Notify(type)));
                    tester.Deliver(tester.Clear(header, Payload.DeleteIke()));
                    tester.Deliver(tester.Clear(header, Payload.Delete(tester.Child!.Own)));
                }
            }
        }

        // whatever it asks to find out whether the peer is there is answered
        while (tester.Take() is { } asked)
        {
            Assert.False(asked.Header.IsResponse);
            tester.Answer(asked);
        }

        tester.IsUp(sa);
        tester.HoldsOnly(tester.Child!);
        tester.IsAlive(sa);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_peer_that_does_not_answer_is_given_up(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting, connection => connection with { DpdDelay = TimeSpan.FromSeconds(10) });
        var sa = tester.Establish(nodeInitiates);
        var probe = tester.Await(Informational, TimeSpan.FromSeconds(12));
        var copies = 1;
        tester.Wait(TimeSpan.FromMinutes(10));
        while (tester.Take() is { } again)
        {
            // the same probe, never anything else on this SA
            Assert.Equal(probe.Octets, again.Octets);
            copies++;
        }

        Assert.InRange(copies, 4, 12);
        tester.IsGone(sa);
        Assert.Empty(tester.Node.Installed);
        Assert.Contains(tester.Node.Events.OfType<IkeSaDown>(), down => down.Reason == "dead-peer");
    }

    [Theory]
    [MemberData(nameof(All))]
    public void INITIAL_CONTACT_closes_the_older_SA_and_nothing_else_does(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        var old = tester.Establish(nodeInitiates);
        var oldChild = tester.Child!;
        tester.Wait(TimeSpan.FromSeconds(5));
        tester.SendInit();
        tester.TakeInit();
        Assert.True(tester.IsHeld(old));
        Assert.Null(tester.AskAuth([.. tester.AuthRequest(), Payload.Notify(NotifyType.InitialContact)]).Error);
        tester.IsUp(tester.Sa);
        tester.IsGone(old);
        Assert.False(tester.HoldsAny(oldChild));
        tester.HoldsOnly(tester.Child!);
        tester.IsAlive();
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_quiet_peer_is_asked_whether_it_is_there(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting, connection => connection with { DpdDelay = TimeSpan.FromSeconds(10) });
        var sa = tester.Establish(nodeInitiates);
        tester.Wait(TimeSpan.FromSeconds(9));
        tester.ExpectSilence();
        var probe = tester.Await(Informational, TimeSpan.FromSeconds(2));
        Assert.Empty(probe.Payloads);
        Assert.Equal(nodeInitiates ? 2u : 0u, probe.Header.MessageId);
        Assert.Equal(!sa.IsInitiator, probe.Header.FromInitiator);
        tester.Answer(probe);
        tester.Wait(TimeSpan.FromSeconds(9));
        tester.ExpectSilence();
        // a fresh message is proof enough (section 2.4)
        tester.IsAlive(sa);
        tester.Wait(TimeSpan.FromSeconds(9));
        tester.ExpectSilence();
        tester.Answer(tester.Await(Informational, TimeSpan.FromSeconds(2)));
        tester.IsUp(sa);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_liveness_check_is_answered_with_an_empty_message(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates);
        for (var i = 0; i < 3; i++)
        {
            var id = sa.NextRequest;
            var answer = tester.Ask(sa, Informational);
            Assert.Empty(answer.Payloads);
            Assert.Equal((true, !sa.IsInitiator, id), (answer.Header.IsResponse, answer.Header.FromInitiator, answer.Header.MessageId));
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Closing_the_IKE_SA_sends_a_delete_of_it(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates);
        tester.CloseIke();
        var request = tester.ExpectRequest(Informational);
        Assert.Equal([PayloadType.Delete], request.Types);
        // section 3.11: protocol 1, SPI size 0, no SPIs
        Assert.Equal<byte>([1, 0, 0, 0], request.Body(PayloadType.Delete));
        tester.Answer(request);
        tester.NodeHasNothing();
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Closing_a_child_sends_a_delete_of_the_own_SPI(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates);
        tester.CloseChild();
        var request = tester.ExpectRequest(Informational);
        Assert.Equal([tester.Child!.Node], request.Deleted(out var ike));
        Assert.False(ike);
        tester.Answer(request, Payload.Delete(tester.Child!.Own));
        Assert.Empty(tester.Node.Installed);
        tester.IsUp(sa);
        tester.IsAlive(sa);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_delete_of_the_IKE_SA_is_answered_and_ends_it(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates);
        Assert.Empty(tester.Ask(Informational, Payload.DeleteIke()).Payloads);
        tester.NodeHasNothing();
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_delete_of_a_child_is_answered_with_the_other_half(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates);
        var answer = tester.Ask(Informational, Payload.Delete(tester.Child!.Own));
        Assert.Equal([tester.Child!.Node], answer.Deleted(out _));
        Assert.Empty(tester.Node.Installed);
        tester.IsUp(sa);
        tester.IsAlive(sa);
    }

    /// <summary>Section 2.21.4: such messages are a hint; a few probes, and no state changes.</summary>
    [Theory]
    [MemberData(nameof(All))]
    public void A_message_in_clear_that_says_that_the_SA_is_lost_makes_the_node_ask_the_peer(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates);
        tester.Wait(TimeSpan.FromSeconds(30));
        for (var i = 0; i < 20; i++) tester.Deliver(tester.Clear(sa.Header(Informational, isResponse: true, 0), Payload.Notify(NotifyType.InvalidIkeSpi)));
        var probe = tester.ExpectRequest(Informational);
        Assert.Empty(probe.Payloads);
        tester.ExpectSilence();
        tester.Answer(probe);
        tester.IsUp(sa);
        // not for each of them
        for (var i = 0; i < 20; i++) tester.Deliver(tester.Clear(sa.Header(Informational, isResponse: true, 0), Payload.Notify(NotifyType.InvalidIkeSpi)));
        tester.ExpectSilence();
    }
}
