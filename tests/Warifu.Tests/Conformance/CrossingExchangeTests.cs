using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Primitives;
using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>
/// Exchanges that cross, with the tester in the order of the wire that hurts: docs/conformance.md, I.1.2.6. The programme takes them from RFC 4718 section 5.11; RFC 7296 section 2.25 says today what is to be answered.
/// </summary>
[Trait("Item", "2.22")]
public sealed class CrossingExchangeTests
{
    private const ExchangeType Create = ExchangeType.CreateChildSa;
    private const ExchangeType Informational = ExchangeType.Informational;

    public static TheoryData<string, bool> All => StateSynchronizationTests.All;

    [Theory]
    [MemberData(nameof(All))]
    public void Both_close_the_same_child(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates);
        tester.CloseChild();
        var request = tester.ExpectRequest(Informational);
        // section 1.4.1: no delete in the answer, it is on its way already
        Assert.Empty(tester.Ask(Informational, Payload.Delete(tester.Child!.Own)).Payloads);
        tester.Answer(request);
        Assert.Empty(tester.Node.Installed);
        tester.IsUp(sa);
        tester.IsAlive(sa);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Both_close_the_IKE_SA(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates);
        tester.CloseIke();
        var request = tester.ExpectRequest(Informational);
        Assert.Empty(tester.Ask(Informational, Payload.DeleteIke()).Payloads);
        tester.Answer(request);
        tester.NodeHasNothing();
        tester.Wait(TimeSpan.FromMinutes(2));
        tester.ExpectSilence();
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Both_rekey_the_same_child_and_the_lowest_nonce_loses(string setting, bool nodeInitiates)
    {
        foreach (var nodeLoses in new[] { true, false })
        {
            foreach (var repeats in new[] { 0, 2 })
            {
                using var tester = new Tester(setting);
                var sa = tester.Establish(nodeInitiates);
                var old = tester.Child!;
                tester.RekeyChild();
                var request = tester.ExpectRequest(Create);
                // the tester's nonces decide: above or below whatever the node drew
                var wish = Biased(tester.ChildRequest(old), nodeLoses ? (byte)0xFF : (byte)0);
                var own = tester.Seal(sa, Create, isResponse: false, sa.NextRequest++, wish.Payloads);
                tester.Deliver(own);
                var answer = tester.Expect(Create, isResponse: true);
                for (var i = 0; i < repeats; i++)
                {
                    tester.Deliver(own);
                    Assert.Equal(answer.Octets, tester.Expect(Create, isResponse: true).Octets);
                }

                var theirs = tester.TakeChild(wish, answer);
                // the lowest of the four is the tester's answer in the node's exchange, or its own request
                var (payloads, ours) = tester.ChildAnswer(request, nonce: nodeLoses ? new byte[32] : null);
                for (var i = 0; i <= repeats; i++) tester.Answer(request, payloads);
                // three pairs are there: the old one and two new ones
                var delete = tester.ExpectRequest(Informational);
                if (nodeLoses)
                {
                    // section 2.8.1: who created the redundant one closes it
                    Assert.Equal([ours.Node], delete.Deleted(out _));
                    tester.Answer(delete, Payload.Delete(ours.Own));
                    tester.Ask(Informational, Payload.Delete(old.Own));
                    tester.HoldsOnly(theirs);
                }
                else
                {
                    Assert.Equal([old.Node], delete.Deleted(out _));
                    tester.Answer(delete, Payload.Delete(old.Own));
                    tester.Ask(Informational, Payload.Delete(theirs.Own));
                    tester.HoldsOnly(ours);
                }

                tester.ExpectSilence();
                tester.IsAlive(sa);
            }
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Both_rekey_the_IKE_SA_and_the_lowest_nonce_loses(string setting, bool nodeInitiates)
    {
        foreach (var nodeLoses in new[] { true, false })
        {
            foreach (var repeats in new[] { 0, 2 })
            {
                using var tester = new Tester(setting);
                var old = tester.Establish(nodeInitiates);
                tester.RekeyIke();
                var request = tester.ExpectRequest(Create);
                var wish = Biased(tester.IkeRequest(), nodeLoses ? (byte)0xFF : (byte)0);
                var own = tester.Seal(old, Create, isResponse: false, old.NextRequest++, wish.Payloads);
                tester.Deliver(own);
                var answer = tester.Expect(Create, isResponse: true);
                for (var i = 0; i < repeats; i++)
                {
                    tester.Deliver(own);
                    Assert.Equal(answer.Octets, tester.Expect(Create, isResponse: true).Octets);
                }

                var theirs = tester.TakeIke(wish, answer, old);
                var (payloads, ours) = tester.IkeAnswer(request, nonce: nodeLoses ? new byte[32] : null);
                for (var i = 0; i <= repeats; i++) tester.Answer(request, payloads);
                var delete = tester.ExpectRequest(Informational);
                delete.Deleted(out var ike);
                Assert.True(ike);
                if (nodeLoses)
                {
                    // section 2.8.2: it deletes its own on that one; the tester deletes the old one
                    Assert.Same(ours, tester.SaOf(delete));
                    tester.Answer(delete);
                    tester.Ask(old, Informational, Payload.DeleteIke());
                }
                else
                {
                    Assert.Same(old, tester.SaOf(delete));
                    tester.Answer(delete);
                    tester.Ask(theirs, Informational, Payload.DeleteIke());
                }

                tester.ExpectSilence();
                var winner = nodeLoses ? theirs : ours;
                Assert.Single(tester.Node.Engine.Snapshot().IkeSas);
                tester.IsUp(winner);
                tester.HoldsOnly(tester.Child!);
                tester.IsAlive(winner);
            }
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_node_closes_a_child_that_the_tester_rekeys(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates);
        tester.CloseChild();
        var delete = tester.ExpectRequest(Informational);
        // section 2.25.1
        Assert.Equal(NotifyType.TemporaryFailure, tester.Ask(Create, tester.ChildRequest(tester.Child).Payloads).Error);
        tester.Answer(delete, Payload.Delete(tester.Child!.Own));
        Assert.Empty(tester.Node.Installed);
        // the next try finds nothing
        Assert.Equal(NotifyType.ChildSaNotFound, tester.Ask(Create, tester.ChildRequest(tester.Child).Payloads).Error);
        tester.IsUp(sa);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_tester_closes_a_child_that_the_node_rekeys(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates);
        tester.RekeyChild();
        var request = tester.ExpectRequest(Create);
        // section 2.25.1: "it SHOULD reply as usual, with a Delete payload"
        Assert.Equal([tester.Child!.Node], tester.Ask(Informational, Payload.Delete(tester.Child!.Own)).Deleted(out _));
        tester.Answer(request, Payload.Notify(ProtocolId.Esp, tester.Child!.Node, NotifyType.ChildSaNotFound));
        Assert.Empty(tester.Node.Installed);
        tester.IsUp(sa);
        tester.IsAlive(sa);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_tester_closes_the_new_child_before_the_node_knows_it(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates);
        tester.RekeyChild();
        var request = tester.ExpectRequest(Create);
        var (payloads, made) = tester.ChildAnswer(request);
        // the delete overtakes the answer
        Assert.Empty(tester.Ask(Informational, Payload.Delete(made.Own)).Payloads);
        tester.Answer(request, payloads);
        Settle(tester);
        Assert.False(tester.HoldsAny(made));
        tester.IsUp(sa);
        tester.IsAlive(sa);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_tester_rekeys_the_new_child_before_the_node_knows_it(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates);
        tester.RekeyChild();
        var request = tester.ExpectRequest(Create);
        var (payloads, made) = tester.ChildAnswer(request);
        // RFC 4718 section 5.11.7: unknown still, but perhaps only still
        var answer = tester.Ask(Create, tester.ChildRequest(made).Payloads);
        Assert.True(answer.Error is NotifyType.TemporaryFailure or NotifyType.ChildSaNotFound, $"{answer}");
        tester.Answer(request, payloads);
        var delete = tester.ExpectRequest(Informational);
        tester.Answer(delete, Payload.Delete(tester.Child!.Own));
        tester.HoldsOnly(made);
        tester.HoldsMore(tester.AskChild(made), made);
        tester.IsUp(sa);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void While_the_node_makes_or_rekeys_or_closes_a_child_the_IKE_SA_is_not_rekeyed(string setting, bool nodeInitiates)
    {
        foreach (var deed in new Action<Tester>[] { one => one.RekeyChild(), one => one.CloseChild(), one => one.Command(id => new IkeCommand.Up(id, "net", "second")) })
        {
            using var tester = new Tester(setting, connection => connection with { Children = [.. connection.Children, connection.Children[0] with { Name = "second" }] });
            var sa = tester.Establish(nodeInitiates);
            deed(tester);
            var request = tester.Take()!;
            // section 2.25.2
            Assert.Equal(NotifyType.TemporaryFailure, tester.Ask(Create, tester.IkeRequest().Payloads).Error);
            if (request.Header.Exchange == Create)
            {
                var made = tester.AnswerChild(request);
                Settle(tester, tester.Child!);
                tester.Holds(made);
            }
            else
            {
                tester.Answer(request, Payload.Delete(tester.Child!.Own));
            }

            // then it is
            var rekeyed = tester.AskIke();
            tester.Ask(sa, Informational, Payload.DeleteIke());
            tester.IsAlive(rekeyed);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void While_the_node_rekeys_the_IKE_SA_children_are_closed_but_not_made_or_rekeyed(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates);
        tester.RekeyIke();
        var request = tester.ExpectRequest(Create);
        Assert.Equal(NotifyType.TemporaryFailure, tester.Ask(Create, tester.ChildRequest().Payloads).Error);
        Assert.Equal(NotifyType.TemporaryFailure, tester.Ask(Create, tester.ChildRequest(tester.Child).Payloads).Error);
        Assert.Equal([tester.Child!.Node], tester.Ask(Informational, Payload.Delete(tester.Child!.Own)).Deleted(out _));
        tester.Use(tester.AnswerIke(request));
        Assert.Empty(tester.Node.Installed);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_tester_closes_the_IKE_SA_that_the_node_rekeys(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates);
        tester.RekeyIke();
        tester.ExpectRequest(Create);
        // RFC 7296 section 2.25.2: "as usual, and forget its own rekeying request"
        Assert.Empty(tester.Ask(Informational, Payload.DeleteIke()).Payloads);
        tester.NodeHasNothing();
        tester.Wait(TimeSpan.FromMinutes(2));
        tester.ExpectSilence();
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_tester_rekeys_the_IKE_SA_that_the_node_closes(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        tester.Establish(nodeInitiates);
        tester.CloseIke();
        var delete = tester.ExpectRequest(Informational);
        Assert.Equal(NotifyType.TemporaryFailure, tester.Ask(Create, tester.IkeRequest().Payloads).Error);
        tester.Answer(delete);
        tester.NodeHasNothing();
    }

    /// <summary>Answers deletes until the node says nothing more.</summary>
    private static void Settle(Tester tester, params TesterChild[] own)
    {
        for (var i = 0; tester.Take() is { } request; i++)
        {
            Assert.True(i < 8, $"no end of requests: {request}");
            Assert.False(request.Header.IsResponse);
            var gone = request.Deleted(out _);
            var other = own.Where(child => gone.Contains(child.Node)).Select(child => child.Own).ToArray();
            tester.Answer(request, other.Length == 0 ? [] : [Payload.Delete(other)]);
        }
    }

    /// <summary>The same request with a nonce that is the highest or the lowest of all.</summary>
    private static Wish Biased(Wish wish, byte octet)
    {
        var nonce = new byte[32];
        nonce.AsSpan().Fill(octet);
        var index = wish.Payloads.FindIndex(payload => payload.Type == PayloadType.Nonce);
        var payloads = wish.Payloads.ToList();
        payloads[index] = Payload.Nonce(nonce);
        return wish with { Payloads = payloads, Nonce = nonce };
    }
}
