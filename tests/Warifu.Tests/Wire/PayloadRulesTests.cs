using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Fuzz;
using Warifu.Primitives;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Wire;

/// <summary>Which payloads a message must, may and must not carry (RFC 7296 sections 1.2 to 1.5, 2.5 and appendix C; item 1.5).</summary>
[Trait("Item", "1.5")]
public sealed class PayloadRulesTests
{
    /// <summary>Rows by payload; 1 = must, ? = may, once; * = may, often; empty = must not. Columns: IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL; request and response each.</summary>
    private const string Table =
        """
        Sa       1 ? ? ? 1 ? . .
        Ke       1 ? . . ? ? . .
        IdI      . . ? . . . . .
        IdR      . . ? ? . . . .
        Cert     . . * * . . . .
        CertReq  * * * * . . . .
        Auth     . . ? ? . . . .
        Nonce    1 ? . . 1 ? . .
        Notify   * * * * * * * *
        Delete   . . . . . . * *
        VendorId * * * * * * * *
        TsI      . . ? ? ? ? . .
        TsR      . . ? ? ? ? . .
        Sk       . . . . . . . .
        Cp       . . ? ? ? ? ? ?
        Eap      . . ? ? . . . .
        Skf      . . . . . . . .
        """;

    private static readonly ExchangeType[] s_exchanges = [ExchangeType.IkeSaInit, ExchangeType.IkeAuth, ExchangeType.CreateChildSa, ExchangeType.Informational];

    private static readonly ChainGenerator s_generator = new(3);

    /// <summary>Payloads that make sense only together.</summary>
    private static readonly Dictionary<(ExchangeType, bool), PayloadType[]> s_together = new()
    {
        [(ExchangeType.IkeSaInit, true)] = [PayloadType.Sa, PayloadType.Ke, PayloadType.Nonce],
        [(ExchangeType.IkeAuth, false)] = [PayloadType.Sa, PayloadType.TsI, PayloadType.TsR],
        [(ExchangeType.IkeAuth, true)] = [PayloadType.Sa, PayloadType.TsI, PayloadType.TsR],
        [(ExchangeType.CreateChildSa, false)] = [PayloadType.TsI, PayloadType.TsR],
        [(ExchangeType.CreateChildSa, true)] = [PayloadType.TsI, PayloadType.TsR],
    };

    public static TheoryData<ExchangeType, bool, PayloadType, char> Cells
    {
        get
        {
            var cells = new TheoryData<ExchangeType, bool, PayloadType, char>();
            foreach (var line in Table.Split('\n'))
            {
                var parts = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                for (var column = 0; column < 8; column++) cells.Add(s_exchanges[column / 2], column % 2 == 1, Enum.Parse<PayloadType>(parts[0]), parts[column + 1][0]);
            }

            return cells;
        }
    }

    [Theory]
    [MemberData(nameof(Cells))]
    public void The_table_holds(ExchangeType exchange, bool isResponse, PayloadType type, char how)
    {
        var least = Least(exchange, isResponse).ToList();
        Assert.Null(Check(exchange, isResponse, least));
        var together = s_together.GetValueOrDefault((exchange, isResponse), []);
        var others = together.Contains(type) && !least.Contains(type) ? together.Where(other => other != type) : [];
        var without = least.Where(other => other != type).ToList();
        var once = without.Append(type).Concat(others).ToList();
        var twice = once.Append(type).ToList();
        // SK and SKF end a chain; what comes behind them is not looked at
        Assert.Equal(how == '1', Check(exchange, isResponse, without) is not null);
        Assert.Equal(how == '.', Check(exchange, isResponse, once) is not null);
        if (type is not (PayloadType.Sk or PayloadType.Skf)) Assert.Equal(how != '*', Check(exchange, isResponse, twice) is not null);
        if (how != '.') return;
        var violation = Check(exchange, isResponse, once)!.Value;
        Assert.Equal((NotifyType.InvalidSyntax, type), (violation.Error, violation.Payload));
    }

    [Theory]
    [InlineData(ExchangeType.IkeSaInit, true)]
    [InlineData(ExchangeType.IkeAuth, false)]
    [InlineData(ExchangeType.IkeAuth, true)]
    [InlineData(ExchangeType.CreateChildSa, false)]
    [InlineData(ExchangeType.CreateChildSa, true)]
    public void All_together_or_none(ExchangeType exchange, bool isResponse)
    {
        var together = s_together[(exchange, isResponse)];
        for (var set = 0; set < 1 << together.Length; set++)
        {
            var types = Least(exchange, isResponse).Concat(together.Where((_, i) => (set & (1 << i)) != 0)).ToList();
            Assert.Equal(set == 0 || set == (1 << together.Length) - 1, Check(exchange, isResponse, types) is null);
        }
    }

    [Fact]
    public void A_refusal_carries_notifies_only()
    {
        foreach (var exchange in s_exchanges) Assert.Null(Check(exchange, true, [PayloadType.Notify]));
        // an error notify does not excuse a request: unknown errors in requests are to be ignored (section 3.10.1)
        var builder = new MessageBuilder().Notify(NotifyType.NoProposalChosen);
        Assert.Equal(ParseError.None, MessageView.TryParse(builder.First, builder.Chain, out var view));
        Assert.NotNull(PayloadRules.Check(ExchangeType.CreateChildSa, false, view));
        Assert.NotNull(PayloadRules.Check(ExchangeType.IkeSaInit, false, view));
    }

    [Fact]
    public void Order_does_not_matter()
    {
        // section 2.5: "implementations SHOULD NOT reject as invalid a message with payloads in any other order"
        PayloadType[] types = [PayloadType.IdI, PayloadType.Cert, PayloadType.CertReq, PayloadType.IdR, PayloadType.Auth, PayloadType.Cp, PayloadType.Sa, PayloadType.TsI, PayloadType.TsR, PayloadType.Notify];
        for (var i = 0; i < 50; i++)
        {
            var order = types.OrderBy(_ => s_generator.Luck.Next()).ToList();
            Assert.Null(Check(ExchangeType.IkeAuth, false, order));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(32)]
    [InlineData(49)]
    [InlineData(52)]
    [InlineData(54)]
    [InlineData(127)]
    [InlineData(255)]
    public void An_unknown_payload_is_passed_over_unless_it_is_critical(byte type)
    {
        foreach (var exchange in s_exchanges)
        {
            foreach (var isResponse in new[] { false, true })
            {
                foreach (var critical in new[] { false, true })
                {
                    var builder = new MessageBuilder();
                    foreach (var least in Least(exchange, isResponse)) builder.Add(s_generator.Legal(least));
                    builder.Raw((PayloadType)type, [1, 2, 3], critical).Notify(NotifyType.InitialContact);
                    Assert.Equal(ParseError.None, MessageView.TryParse(builder.First, builder.Chain, out var view));
                    var violation = PayloadRules.Check(exchange, isResponse, view);
                    if (critical) Assert.Equal(new RuleViolation(NotifyType.UnsupportedCriticalPayload, (PayloadType)type, ParseError.None), violation);
                    else Assert.Null(violation);
                }
            }
        }
    }

    [Fact]
    public void The_critical_bit_of_known_payloads_is_ignored()
    {
        var builder = new MessageBuilder();
        foreach (var type in Least(ExchangeType.IkeSaInit, false))
        {
            var writer = new WireWriter();
            s_generator.Legal(type).Write(writer);
            builder.Raw(type, writer.Written, critical: true);
        }

        Assert.Equal(ParseError.None, MessageView.TryParse(builder.First, builder.Chain, out var view));
        Assert.True(view[0].Critical);
        Assert.Null(PayloadRules.Check(ExchangeType.IkeSaInit, false, view));
    }

    /// <summary>Bodies that break section 3, each alone in a message where it may stand.</summary>
    [Theory]
    [InlineData(PayloadType.Sa, "", nameof(ParseError.BadProposal), "no proposal")]
    [InlineData(PayloadType.Sa, "000000080101000100000008", nameof(ParseError.BadTransform), "the proposal ends before its transform")]
    [InlineData(PayloadType.Sa, "0000000801010000ff", nameof(ParseError.BadProposal), "an octet behind the last proposal")]
    [InlineData(PayloadType.Sa, "0200000801010000", nameof(ParseError.BadProposal), "more proposals announced, none there")]
    [InlineData(PayloadType.Sa, "0100000801010000", nameof(ParseError.BadProposal), "neither last nor more")]
    [InlineData(PayloadType.Sa, "0000000701010000", nameof(ParseError.BadProposal), "shorter than a proposal's head")]
    [InlineData(PayloadType.Sa, "0000001001010001" + "0300000801000014", nameof(ParseError.BadTransform), "the last transform says that more follow")]
    [InlineData(PayloadType.Sa, "0000001801010002" + "0000000801000014" + "0000000802000005", nameof(ParseError.BadTransform), "a last transform before the last")]
    [InlineData(PayloadType.Sa, "0000001001010001" + "0000000701000014", nameof(ParseError.BadTransform), "shorter than a transform's head")]
    [InlineData(PayloadType.Sa, "0000001001010001" + "0000000901000014", nameof(ParseError.BadTransform), "longer than the proposal")]
    [InlineData(PayloadType.Sa, "0000001201010001" + "0000000a01000014" + "800e", nameof(ParseError.BadTransform), "half an attribute")]
    [InlineData(PayloadType.Sa, "0000001401010001" + "0000000c01000014" + "00110001", nameof(ParseError.BadTransform), "a long attribute without its octet")]
    [InlineData(PayloadType.Sa, "0200000801010000" + "0000000801010000", nameof(ParseError.BadProposal), "the same number twice")]
    [InlineData(PayloadType.Sa, "000000110101090000000000000000000000", nameof(ParseError.BadProposal), "an SPI of nine octets")]
    [InlineData(PayloadType.Ke, "001f0000", nameof(ParseError.BadKeyExchange), "no value")]
    [InlineData(PayloadType.Ke, "001f", nameof(ParseError.BadKeyExchange), "no reserved field")]
    [InlineData(PayloadType.Nonce, "000102030405060708090a0b0c0d0e", nameof(ParseError.BadNonce), "15 octets (section 3.9)")]
    [InlineData(PayloadType.IdI, "020000", nameof(ParseError.BadIdentity), "no head")]
    [InlineData(PayloadType.IdI, "02000000", nameof(ParseError.BadIdentity), "a name without a name")]
    [InlineData(PayloadType.IdI, "01000000c00002", nameof(ParseError.BadIdentity), "three octets of an IPv4 address")]
    [InlineData(PayloadType.IdI, "01000000c000020100", nameof(ParseError.BadIdentity), "five of them")]
    [InlineData(PayloadType.IdI, "0500000020010db8", nameof(ParseError.BadIdentity), "four octets of an IPv6 address")]
    [InlineData(PayloadType.IdI, "00000000c0000201", nameof(ParseError.BadIdentity), "type 0 is reserved")]
    [InlineData(PayloadType.IdI, "0d00000041", nameof(ParseError.BadIdentity), "ID_NULL has no data (RFC 7619)")]
    [InlineData(PayloadType.Auth, "02000000", nameof(ParseError.BadAuthentication), "no data")]
    [InlineData(PayloadType.Cert, "04", nameof(ParseError.BadCertificate), "a certificate without octets")]
    [InlineData(PayloadType.CertReq, "", nameof(ParseError.BadCertificate), "no encoding")]
    [InlineData(PayloadType.Notify, "000040", nameof(ParseError.BadNotify), "no type")]
    [InlineData(PayloadType.Notify, "03044009c0ffee", nameof(ParseError.BadNotify), "SPI size of 4, three octets there")]
    [InlineData(PayloadType.Notify, "00004009", nameof(ParseError.BadNotify), "REKEY_SA of nothing (section 1.3.3)")]
    [InlineData(PayloadType.Notify, "01044009c0ffee01", nameof(ParseError.BadNotify), "REKEY_SA of the IKE SA")]
    [InlineData(PayloadType.Delete, "030400", nameof(ParseError.BadDelete), "no count")]
    [InlineData(PayloadType.Delete, "03040002c0ffee01", nameof(ParseError.BadDelete), "two SPIs, one there")]
    [InlineData(PayloadType.Delete, "03040001c0ffee0100", nameof(ParseError.BadDelete), "an octet too many")]
    [InlineData(PayloadType.Delete, "03080001c0ffee01c0ffee02", nameof(ParseError.BadDelete), "ESP with SPIs of eight octets")]
    [InlineData(PayloadType.Delete, "010800010102030405060708", nameof(ParseError.BadDelete), "IKE with an SPI")]
    [InlineData(PayloadType.TsI, "00000000", nameof(ParseError.BadSelector), "no selector")]
    [InlineData(PayloadType.TsI, "020000000700001000000000ffff0a0000000a0000ff", nameof(ParseError.BadSelector), "two selectors, one there")]
    [InlineData(PayloadType.TsI, "01000000070000100000ffff0a0000000a0000ff00", nameof(ParseError.BadSelector), "an octet too many")]
    [InlineData(PayloadType.TsI, "01000000070000280000ffff20010db800000000000000000000000020010db80000ffffffffffffffffffff", nameof(ParseError.BadSelector), "IPv4 with the length of IPv6")]
    [InlineData(PayloadType.TsI, "01000000080000100000ffff0a0000000a0000ff", nameof(ParseError.BadSelector), "IPv6 with the length of IPv4")]
    [InlineData(PayloadType.TsI, "01000000070000100000ffff0a0000ff0a000000", nameof(ParseError.BadSelector), "addresses in the wrong order")]
    [InlineData(PayloadType.TsI, "0100000007060010005100500a0000000a0000ff", nameof(ParseError.BadSelector), "ports in the wrong order")]
    [InlineData(PayloadType.TsI, "01000000070000030000ffff0a0000000a0000ff", nameof(ParseError.BadSelector), "shorter than its head")]
    [InlineData(PayloadType.Cp, "010000", nameof(ParseError.BadConfiguration), "no head")]
    [InlineData(PayloadType.Cp, "010000000001", nameof(ParseError.BadConfiguration), "half an attribute")]
    [InlineData(PayloadType.Cp, "0100000000010004c00002", nameof(ParseError.BadConfiguration), "three of four octets")]
    [InlineData(PayloadType.Eap, "010100", nameof(ParseError.BadEap), "no length")]
    [InlineData(PayloadType.Eap, "0101000601", nameof(ParseError.BadEap), "the length of another message (section 3.16)")]
    [InlineData(PayloadType.Eap, "01010004", nameof(ParseError.BadEap), "a request without a type")]
    [InlineData(PayloadType.Eap, "0301000500", nameof(ParseError.BadEap), "a success with data")]
    public void Malformed_bodies_are_refused(PayloadType type, string body, string expected, string why)
    {
        var exchange = type switch { PayloadType.Delete => ExchangeType.Informational, PayloadType.Ke or PayloadType.Nonce => ExchangeType.CreateChildSa, _ => ExchangeType.IkeAuth };
        var builder = new MessageBuilder().Raw(type, Convert.FromHexString(body));
        Assert.Equal(ParseError.None, MessageView.TryParse(builder.First, builder.Chain, out var view));
        var violation = PayloadRules.Check(exchange, false, view);
        Assert.True(violation is not null, why);
        Assert.Equal((NotifyType.InvalidSyntax, type, expected), (violation.Value.Error, violation.Value.Payload, violation.Value.Detail.ToString()));
    }

    /// <summary>The sizes that the documents prescribe; what does not have them is passed over by who asks for the type.</summary>
    [Theory]
    [InlineData(NotifyType.UnsupportedCriticalPayload, 1, 1, "RFC 7296 section 3.10.1")]
    [InlineData(NotifyType.InvalidMessageId, 4, 4, "RFC 7296 section 2.3")]
    [InlineData(NotifyType.InvalidKePayload, 2, 2, "RFC 7296 section 3.10.1")]
    [InlineData(NotifyType.SetWindowSize, 4, 4, "RFC 7296 section 3.10.1")]
    [InlineData(NotifyType.NatDetectionSourceIp, 20, 20, "RFC 7296 section 2.23")]
    [InlineData(NotifyType.NatDetectionDestinationIp, 20, 20, "RFC 7296 section 2.23")]
    [InlineData(NotifyType.Cookie, 1, 64, "RFC 7296 section 2.6")]
    [InlineData(NotifyType.AdditionalIp4Address, 4, 4, "RFC 4555 section 4.2.2")]
    [InlineData(NotifyType.AdditionalIp6Address, 16, 16, "RFC 4555 section 4.2.2")]
    [InlineData(NotifyType.Cookie2, 8, 64, "RFC 4555 section 4.2.5")]
    [InlineData(NotifyType.AuthLifetime, 4, 4, "RFC 4478 section 3")]
    [InlineData(NotifyType.QuickCrashDetection, 16, 128, "RFC 6290 section 5.1")]
    [InlineData(NotifyType.IpcompSupported, 3, 200, "RFC 7296 section 3.10.1")]
    [InlineData(NotifyType.MobikeSupported, 0, 200, "RFC 4555 section 4.1: data MUST be ignored")]
    [InlineData((NotifyType)40_000, 0, 200, "nothing is known")]
    public void Notifies_with_data_of_another_size_do_not_count(NotifyType type, int least, int most, string source)
    {
        for (var length = 0; length <= 200; length++)
        {
            var builder = new MessageBuilder().Notify(type, new byte[length]);
            Assert.Equal(ParseError.None, MessageView.TryParse(builder.First, builder.Chain, out var view));
            Assert.True(view.HasNotify(type) == (length >= least && length <= most), $"{length}: {source}");
            // an error stays an error
            Assert.Equal((ushort)type < 16384, view.TryGetError(out _));
        }
    }

    [Theory]
    [InlineData(NotifyType.Redirect, "0104c0000201", true)]
    [InlineData(NotifyType.Redirect, "0104c0000201000102030405060708090a0b0c0d0e0f", true)]
    [InlineData(NotifyType.Redirect, "0104c00002010001", false)]
    [InlineData(NotifyType.Redirect, "0103c00002", false)]
    [InlineData(NotifyType.Redirect, "021020010db8000000000000000000000001", true)]
    [InlineData(NotifyType.Redirect, "0305612e62", false)]
    [InlineData(NotifyType.Redirect, "0303612e62", true)]
    [InlineData(NotifyType.Redirect, "0300", false)]
    [InlineData(NotifyType.Redirect, "01", false)]
    [InlineData(NotifyType.RedirectedFrom, "0104c0000201", true)]
    [InlineData(NotifyType.RedirectedFrom, "0104c0000201000102030405060708090a0b0c0d0e0f", false)]
    [InlineData(NotifyType.SignatureHashAlgorithms, "00020003", true)]
    [InlineData(NotifyType.SignatureHashAlgorithms, "000200", false)]
    [InlineData(NotifyType.SignatureHashAlgorithms, "", false)]
    [InlineData(NotifyType.NoNatsAllowed, "c0000201c633640201f411d7", false)]
    [InlineData(NotifyType.NoNatsAllowed, "c0000201c633640201f411d4", true)]
    public void Forms_of_notifies(NotifyType type, string data, bool legal)
    {
        // RFC 4555 section 4.2.6 prescribes 12 octets for IPv4; what they say is for MOBIKE to compare
        if (data.EndsWith("11d7", StringComparison.Ordinal)) data += "00";
        var builder = new MessageBuilder().Notify(type, Convert.FromHexString(data));
        Assert.Equal(ParseError.None, MessageView.TryParse(builder.First, builder.Chain, out var view));
        Assert.Equal(legal, view.HasNotify(type));
    }

    [Theory]
    [InlineData(1, new[] { 0, 4 })]
    [InlineData(8, new[] { 0, 16, 17 })]
    [InlineData(10, new[] { 0, 16 })]
    [InlineData(13, new[] { 0, 8 })]
    [InlineData(15, new[] { 0, 17 })]
    [InlineData(14, new[] { 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20 })]
    public void Configuration_attributes_have_their_lengths(ushort type, int[] lengths)
    {
        // RFC 7296 section 3.15.1
        for (var length = 0; length <= 20; length++)
        {
            var writer = new WireWriter();
            CpPayload.Write(writer, 2, [new ConfigurationAttribute(type, [.. new byte[length]])]);
            Assert.Equal(ParseError.None, CpView.TryParse(writer.Written, out var view));
            foreach (var attribute in view) Assert.Equal(lengths.Contains(length), attribute.IsWellFormed);
        }
    }

    private static IEnumerable<PayloadType> Least(ExchangeType exchange, bool isResponse) => (exchange, isResponse) switch
    {
        (ExchangeType.IkeSaInit, false) => [PayloadType.Sa, PayloadType.Ke, PayloadType.Nonce],
        (ExchangeType.CreateChildSa, false) => [PayloadType.Sa, PayloadType.Nonce],
        _ => [],
    };

    private static RuleViolation? Check(ExchangeType exchange, bool isResponse, IReadOnlyList<PayloadType> types)
    {
        var builder = new MessageBuilder();
        foreach (var type in types)
        {
            if (type is PayloadType.Sk or PayloadType.Skf) builder.Raw(type, new byte[32]);
            else if (type == PayloadType.Notify) builder.Notify(NotifyType.InitialContact);
            else builder.Add(s_generator.Legal(type));
        }

        Assert.Equal(ParseError.None, MessageView.TryParse(builder.First, builder.Chain, out var view));
        return PayloadRules.Check(exchange, isResponse, view);
    }
}
