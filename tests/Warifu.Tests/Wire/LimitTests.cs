using System;
using System.Buffers.Binary;
using System.Linq;
using Warifu.Primitives;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Wire;

/// <summary>Hard limits (item 1.5): at the limit it goes, one more is malformed, and a claim alone costs nothing.</summary>
[Trait("Item", "1.5")]
public sealed class LimitTests
{
    private static readonly Transform s_aes = Transform.Encr(EncrId.AesGcm16, 128);

    [Fact]
    public void Payloads()
    {
        Assert.Equal(ParseError.None, Chain(WireLimits.Payloads));
        Assert.Equal(ParseError.TooManyPayloads, Chain(WireLimits.Payloads + 1));
        Assert.Equal(ParseError.TooManyPayloads, Chain(16_000));

        static ParseError Chain(int count)
        {
            var builder = new MessageBuilder();
            for (var i = 0; i < count; i++) builder.VendorId([]);
            return MessageView.TryParse(builder.First, builder.Chain, out _);
        }
    }

    [Fact]
    public void Proposals_and_transforms()
    {
        Assert.Equal(ParseError.None, Check(WireLimits.Proposals, 1));
        Assert.Equal(ParseError.BadProposal, Check(WireLimits.Proposals + 1, 1));
        Assert.Equal(ParseError.None, Check(1, WireLimits.Transforms));
        Assert.Equal(ParseError.BadProposal, Check(1, WireLimits.Transforms + 1));
        Assert.Equal(ParseError.None, Check(WireLimits.TransformsInAll / WireLimits.Transforms, WireLimits.Transforms));
        Assert.Equal(ParseError.BadProposal, Check((WireLimits.TransformsInAll / WireLimits.Transforms) + 1, WireLimits.Transforms));

        static ParseError Check(int proposals, int transforms)
        {
            var writer = new WireWriter();
            SaPayload.Write(writer, [.. Enumerable.Range(1, proposals).Select(number => new OfferedProposal((byte)number, 0, 0, new Proposal(ProtocolId.Ike, [.. Enumerable.Repeat(s_aes, transforms)])))]);
            Assert.Equal(SaPayload.Check(writer.Written), SaPayload.TryParse(writer.Written, out var parsed));
            if (SaPayload.Check(writer.Written) == ParseError.None) Assert.Equal((proposals, transforms), (parsed.Length, parsed[^1].Proposal.Transforms.Length));
            else Assert.Empty(parsed);
            return SaPayload.Check(writer.Written);
        }
    }

    [Fact]
    public void Attributes()
    {
        Assert.Equal(ParseError.None, Check(WireLimits.AttributesPerTransform));
        Assert.Equal(ParseError.BadTransform, Check(WireLimits.AttributesPerTransform + 1));

        static ParseError Check(int count)
        {
            var writer = new WireWriter();
            SaPayload.Write(writer, [new OfferedProposal(1, 0, 0, new Proposal(ProtocolId.Ike, [s_aes with { KeyBits = SaPayload.Unusable }])) { Attributes = [.. Enumerable.Range(0, count).Select(i => new TransformAttribute(0, (ushort)(0x8000 + i), [0, 1]))] }]);
            return SaPayload.Check(writer.Written);
        }
    }

    [Fact]
    public void Selectors_fill_their_count()
    {
        var selector = TrafficSelector.Of(IpAddress.Parse("192.0.2.1"));
        var writer = new WireWriter();
        TsPayload.Write(writer, [.. Enumerable.Repeat(selector, WireLimits.Selectors)]);
        Assert.Equal(ParseError.None, TsPayload.TryParse(writer.Written, out var selectors));
        Assert.Equal(255, selectors.Length);
        Assert.Throws<OverflowException>(() => TsPayload.Write(writer, [.. Enumerable.Repeat(selector, WireLimits.Selectors + 1)]));
    }

    [Fact]
    public void Deletes_attributes_nonces_identities()
    {
        Assert.Equal(ParseError.None, DeletePayload.Check(Delete(WireLimits.SpisPerDelete)));
        Assert.Equal(ParseError.BadDelete, DeletePayload.Check(Delete(WireLimits.SpisPerDelete + 1)));
        Assert.Equal(ParseError.None, CpView.TryParse(Cp(WireLimits.ConfigurationAttributes), out _));
        Assert.Equal(ParseError.BadConfiguration, CpView.TryParse(Cp(WireLimits.ConfigurationAttributes + 1), out _));
        // RFC 7296 section 3.9: "between 16 and 256 octets in size, inclusive"
        foreach (var (length, legal) in new[] { (15, false), (16, true), (256, true), (257, false) }) Assert.Equal(legal, NoncePayload.Check(new byte[length]) == ParseError.None);
        Assert.Equal(ParseError.None, IdPayload.Check(Id(WireLimits.IdentityLength)));
        Assert.Equal(ParseError.BadIdentity, IdPayload.Check(Id(WireLimits.IdentityLength + 1)));

        static byte[] Delete(int count)
        {
            var body = new byte[4 + (4 * count)];
            (body[0], body[1]) = (3, 4);
            BinaryPrimitives.WriteUInt16BigEndian(body.AsSpan(2), (ushort)count);
            return body;
        }

        static byte[] Cp(int count) => new byte[4 + (4 * count)];

        static byte[] Id(int length)
        {
            var body = new byte[length];
            body[0] = (byte)IdType.Fqdn;
            return body;
        }
    }

    [Fact]
    public void A_header_whose_length_is_not_that_of_the_datagram_is_refused()
    {
        var message = GoldenTests.Octets("0102030405060708 0000000000000000 00 20 25 08 00000000 0000001c");
        Assert.True(IkeHeader.TryRead(message, out _));
        foreach (var claim in new uint[] { 0, 27, 29, 28 << 8, 0x8000_001C, uint.MaxValue })
        {
            BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(24), claim);
            Assert.False(IkeHeader.TryRead(message, out _));
        }

        Assert.False(IkeHeader.TryRead(message.AsSpan(0, 27), out _));
        var huge = new byte[65_536];
        BinaryPrimitives.WriteUInt32BigEndian(huge.AsSpan(24), 65_536);
        Assert.False(IkeHeader.TryRead(huge, out _));
        BinaryPrimitives.WriteUInt32BigEndian(huge.AsSpan(24), 65_535);
        Assert.True(IkeHeader.TryRead(huge.AsSpan(0, 65_535), out _));
    }

    [Theory]
    [InlineData("00000000", ParseErrorIs.BadLength)]
    [InlineData("00000003", ParseErrorIs.BadLength)]
    [InlineData("0000ffff", ParseErrorIs.BadLength)]
    [InlineData("00000005", ParseErrorIs.BadLength)]
    [InlineData("2b000004", ParseErrorIs.TooShort)]
    [InlineData("2b00000400000008", ParseErrorIs.BadLength)]
    [InlineData("0000000400", ParseErrorIs.TrailingOctets)]
    [InlineData("000000", ParseErrorIs.TooShort)]
    [InlineData("", ParseErrorIs.TooShort)]
    [InlineData("00000004", ParseErrorIs.None)]
    public void Generic_headers(string chain, ParseErrorIs expected) => Assert.Equal(expected.ToString(), MessageView.TryParse(PayloadType.VendorId, Convert.FromHexString(chain), out _).ToString());

    [Fact]
    public void An_empty_chain_has_no_payload()
    {
        Assert.Equal(ParseError.None, MessageView.TryParse(PayloadType.None, [], out var view));
        Assert.Equal(0, view.Count);
        Assert.Equal(ParseError.TrailingOctets, MessageView.TryParse(PayloadType.None, [0], out _));
    }

    /// <summary>Lengths and counts that promise 64 KiB and hold nothing: no octet is allocated for the promise.</summary>
    [Fact]
    public void Claims_cost_nothing()
    {
        byte[][] sa = [Convert.FromHexString("0000ffff01010080"), Convert.FromHexString("02000008010100ff"), Convert.FromHexString("0000001001010001030000ff01000014")];
        byte[][] delete = [Convert.FromHexString("0304ffff"), Convert.FromHexString("03040100c0ffee01"), Convert.FromHexString("0400ffff")];
        byte[][] ts = [Convert.FromHexString("ff000000"), Convert.FromHexString("ff0000000700ffff"), Convert.FromHexString("010000000a00ffff")];
        byte[][] cp = [Convert.FromHexString("010000000001ffff"), Convert.FromHexString("02000000ffffffff")];
        byte[][] eap = [Convert.FromHexString("0101ffff01")];
        Try();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++) Try();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Try()
        {
            foreach (var body in sa) Refused(SaPayload.Check(body));
            foreach (var body in delete) Refused(DeletePayload.TryParse(body, out _, out _));
            foreach (var body in ts) Refused(TsPayload.Check(body));
            foreach (var body in cp) Refused(CpView.TryParse(body, out _));
            foreach (var body in eap) Refused(EapPayload.Check(body));
        }

        static void Refused(ParseError error)
        {
            if (error == ParseError.None) throw new InvalidOperationException("accepted");
        }
    }

    public enum ParseErrorIs
    {
        None,
        TooShort,
        BadLength,
        TrailingOctets,
    }
}
