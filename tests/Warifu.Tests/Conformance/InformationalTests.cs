using System;
using Warifu.Primitives;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>INFORMATIONAL in both roles: docs/conformance.md, I.1.3 and R.1.3.</summary>
[Trait("Item", "2.22")]
public sealed class InformationalTests
{
    private const ExchangeType Informational = ExchangeType.Informational;

    public static TheoryData<string, bool> All => StateSynchronizationTests.All;

    [Theory]
    [MemberData(nameof(All))]
    public void The_request_has_the_form_of_the_RFC(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates);
        tester.CloseChild();
        var request = tester.ExpectRequest(Informational);
        Assert.Equal((sa.SpiI, sa.SpiR), (request.Header.InitiatorSpi, request.Header.ResponderSpi));
        Assert.Equal((2, 0, PayloadType.Sk), (request.Header.MajorVersion, request.Header.MinorVersion, request.Header.NextPayload));
        Assert.Equal((nodeInitiates ? (byte)0x08 : (byte)0, nodeInitiates ? 2u : 0u), (request.Header.Flags, request.Header.MessageId));
        // section 3.11: protocol, SPI size, number of SPIs, SPIs
        var spi = tester.Child!.Node.Value;
        Assert.Equal<byte>([3, 4, 0, 1, (byte)(spi >> 24), (byte)(spi >> 16), (byte)(spi >> 8), (byte)spi], request.Body(PayloadType.Delete));
        Assert.Single(request.Payloads);
        Assert.Equal(0, request.Octets[IkeHeader.Length + 1]);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_answer_has_the_form_of_the_RFC(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates);
        var id = sa.NextRequest;
        var answer = tester.Ask(Informational, Payload.Delete(tester.Child!.Own));
        Assert.Equal((nodeInitiates ? (byte)0x28 : (byte)0x20, id, PayloadType.Sk), (answer.Header.Flags, answer.Header.MessageId, answer.Header.NextPayload));
        var spi = tester.Child!.Node.Value;
        Assert.Equal<byte>([3, 4, 0, 1, (byte)(spi >> 24), (byte)(spi >> 16), (byte)(spi >> 8), (byte)spi], answer.Body(PayloadType.Delete));
        Assert.Single(answer.Payloads);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_request_is_sent_again_octet_for_octet_until_it_is_answered(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates);
        tester.CloseChild();
        var request = tester.ExpectRequest(Informational);
        tester.Wait(TimeSpan.FromSeconds(7.5));
        for (var i = 0; i < 3; i++) Assert.Equal(request.Octets, tester.ExpectRequest(Informational).Octets);
        tester.Answer(request, Payload.Delete(tester.Child!.Own));
        tester.Wait(TimeSpan.FromMinutes(5));
        tester.ExpectSilence();
        tester.IsUp(sa);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_repeated_request_gets_the_same_answer(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates);
        var request = tester.Send(sa, Informational, Payload.Delete(tester.Child!.Own));
        var answer = tester.Expect(Informational, isResponse: true);
        for (var i = 0; i < 3; i++)
        {
            tester.Deliver(request);
            Assert.Equal(answer.Octets, tester.Expect(Informational, isResponse: true).Octets);
        }

        // the next request ends that: the old one is out of the window (section 2.3)
        tester.IsAlive(sa);
        tester.Deliver(request);
        tester.ExpectSilence();
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Reserved_bits_are_ignored(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting) { Reserved = true };
        var sa = tester.Establish(nodeInitiates);
        var answer = tester.Ask(Informational, Payload.Notify((NotifyType)40960, 1), new Payload(PayloadType.VendorId, [1, 2, 3]));
        Assert.Empty(answer.Payloads);
        Assert.Equal(0, answer.Header.Flags & 0xD7);
        tester.CloseChild();
        tester.Answer(tester.ExpectRequest(Informational), Payload.Delete(tester.Child!.Own));
        Assert.Empty(tester.Node.Installed);
        tester.IsUp(sa);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void INVALID_SPI_and_deletes_of_unknown_SPIs_change_nothing(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates);
        Assert.Empty(tester.Ask(Informational, Payload.Notify(NotifyType.InvalidSpi, 0xDE, 0xAD, 0xBE, 0xEF)).Payloads);
        Assert.Empty(tester.Ask(Informational, Payload.Delete(new ChildSpi(0xDEAD_BEEF), tester.Child!.Node)).Payloads);
        tester.HoldsOnly(tester.Child!);
        tester.IsAlive(sa);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Wrong_message_ids_wrong_lengths_and_forgeries_are_dropped(string setting, bool nodeInitiates)
    {
        using var tester = new Tester(setting);
        var sa = tester.Establish(nodeInitiates);
        var next = sa.NextRequest;
        foreach (var id in new[] { next + 1, next + 2, next + 1000, uint.MaxValue })
        {
            tester.Deliver(tester.Seal(sa, Informational, isResponse: false, id, Payload.DeleteIke()));
            tester.ExpectSilence();
        }

        // answers to nothing, in both numberings
        foreach (var id in new[] { 0u, next, 3u })
        {
            tester.Deliver(tester.Seal(sa, Informational, isResponse: true, id, Payload.DeleteIke()));
            tester.ExpectSilence();
        }

        var good = tester.Seal(sa, Informational, isResponse: false, next, Payload.DeleteIke());
        tester.Deliver([.. good, 0]);
        tester.Deliver(good[..^1]);
        var claims = (byte[])good.Clone();
        claims[27]++;
        tester.Deliver(claims);
        for (var i = 0; i < good.Length; i++)
        {
            var forged = (byte[])good.Clone();
            forged[i] ^= 0x01;
            tester.Deliver(forged);
        }

        // an exchange that does not exist
        tester.Deliver(tester.Seal(sa, sa.Header((ExchangeType)99, false, next), Payload.DeleteIke()));
        while (tester.Take() is { } clear) Assert.Equal(NotifyType.InvalidMajorVersion, clear.Error);
        tester.IsUp(sa);
        tester.HoldsOnly(tester.Child!);
        tester.IsAlive(sa);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Content_that_is_no_chain_of_payloads_is_answered_with_INVALID_SYNTAX_and_ends_the_SA(string setting, bool nodeInitiates)
    {
        // section 2.21.3: fatal in both peers
        foreach (var chain in new byte[][] { [0, 0, 0, 3], [0, 0, 0xFF, 0xFF, 1], [0, 0, 0, 4, 9], [41, 0, 0, 8, 0, 0, 0x40, 0] })
        {
            using var tester = new Tester(setting);
            var sa = tester.Establish(nodeInitiates);
            tester.Deliver(sa.Seal(sa.Header(Informational, false, sa.NextRequest), PayloadType.Notify, chain));
            Assert.Equal(NotifyType.InvalidSyntax, tester.Expect(Informational, isResponse: true).Error);
            tester.NodeHasNothing();
        }
    }
}
