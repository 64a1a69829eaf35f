using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Fuzz;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.V1;
using Warifu.Wire;
using Warifu.Wire.V1;
using Xunit;

namespace Warifu.Tests.V1;

/// <summary>What quick mode can agree on beside plain ESP (item 3.4): AH, ESN, suites; what it refuses cleanly: IPComp, bundles.</summary>
[Trait("Item", "3.4")]
public sealed class QuickOfferTests
{
    /// <summary>R23: AH with every integrity algorithm, in both modes, with and without PFS and ESN.</summary>
    [Theory]
    [InlineData("md5", false)]
    [InlineData("sha1", true)]
    [InlineData("sha256", false)]
    [InlineData("sha256-esn", true)]
    [InlineData("sha384-ecp256", false)]
    [InlineData("sha512-modp2048", true)]
    [InlineData("aesxcbc", false)]
    [InlineData("aes128gmac", false)]
    [InlineData("aes192gmac", false)]
    [InlineData("aes256gmac-ecp384-esn", true)]
    public void AH_comes_up_is_rekeyed_and_deleted(string ah, bool transport)
    {
        using var pair = V1Pair.Up(Ah(V1Pair.Left(), ah, transport), Ah(V1Pair.Right(), ah, transport));
        V1Pair.AssertQuiet(pair);
        var left = pair.Left.Installed.Values.Single();
        Assert.Equal((ProtocolId.Ah, transport ? IpsecMode.Transport : IpsecMode.Tunnel, 0), (left.Protocol, left.Mode, left.InboundEncrKey.Length));
        Assert.True(left.InboundIntegKey.Length >= 16);
        Assert.False(left.InboundIntegKey.Span.SequenceEqual(left.OutboundIntegKey.Span));
        Assert.Equal(ah.EndsWith("esn", StringComparison.Ordinal), left.Esn);
        pair.Right.Command(id => new IkeCommand.Rekey(id, new SaTarget("net", "net")), pair.Now);
        pair.Run(TimeSpan.FromSeconds(20));
        V1Pair.AssertSame(pair);
        V1Pair.AssertQuiet(pair);
        pair.Left.Command(id => new IkeCommand.Down(id, new SaTarget("net", "net")), pair.Now);
        pair.Settle();
        Assert.Empty(pair.Right.Installed);
    }

    /// <summary>R158: behind a NAT, with UDP forced, or without raw sockets there is no AH; the side that knows says so.</summary>
    [Theory]
    [InlineData("nat", true)]
    [InlineData("encap", true)]
    [InlineData("no-ah", true)]
    [InlineData("no-ah", false)]
    public void AH_that_cannot_go_is_refused_and_the_reason_is_told(string why, bool here)
    {
        var cannot = new EngineOptions { HasAh = why != "no-ah" };
        using var pair = new EnginePair(left: here ? cannot : null, right: here ? null : cannot);
        if (why == "nat") pair.Nat = (from, message) => from == pair.Left ? (message.Local with { Port = (ushort)(message.Local.Port + 20_000) }, message.Remote) : (message.Local, message.Remote with { Port = (ushort)(message.Remote.Port - 20_000) });
        pair.Load(Ah(V1Pair.Left(), "sha256", false) with { ForceEncapsulation = why == "encap" }, Ah(V1Pair.Right(), "sha256", false));
        Assert.False(pair.Up().Success);
        var failure = (here ? pair.Left : pair.Right).LastReport!.Failure!;
        Assert.Equal(why == "encap" ? "nat" : why, failure.Reason);
        Assert.Contains("esp_proposals", failure.Remedy, StringComparison.Ordinal);
        Assert.Empty(pair.Left.Installed);
        Assert.Empty(pair.Right.Installed);
        if (here) Assert.DoesNotContain(pair.Sent, sent => sent.Message.Message[18] == (byte)ExchangeType.QuickMode);
    }

    [Fact]
    public void AH_and_ESP_have_nothing_in_common()
    {
        using var pair = new EnginePair();
        pair.Load(Ah(V1Pair.Left(), "sha256", false), V1Pair.Right());
        Assert.False(pair.Up().Success);
        Assert.Equal("no-proposal", pair.Right.LastReport!.Failure!.Reason);
        Assert.Contains("AH", string.Join(' ', pair.Right.LastReport.Failure.FirstDifference), StringComparison.Ordinal);
    }

    /// <summary>RFC 4304: 64-bit numbers only where both want them, and a peer that offers both gets what is configured.</summary>
    [Theory]
    [InlineData("aes128-sha256-esn", "aes128-sha256", null)]
    [InlineData("aes128-sha256", "aes128-sha256-esn", null)]
    [InlineData("aes128-sha256-esn-noesn", "aes128-sha256", false)]
    [InlineData("aes128-sha256-esn-noesn", "aes128-sha256-esn", true)]
    public void ESN_is_what_both_sides_allow(string left, string right, bool? expected)
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(esp: left), V1Pair.Right(esp: right));
        Assert.Equal(expected is not null, pair.Up().Success);
        if (expected is { } esn) Assert.All(pair.Left.Installed.Values.Concat(pair.Right.Installed.Values), sa => Assert.Equal(esn, sa.Esn));
    }

    /// <summary>Proposals of one number belong together (RFC 2408 section 4.2): with IPComp or AH beside ESP they are refused, and an alternative without is taken.</summary>
    [Theory]
    [InlineData((ProtocolId)4, (byte)3)]
    [InlineData(ProtocolId.Ah, (byte)5)]
    public void Bundles_are_refused_cleanly_and_an_alternative_is_taken(ProtocolId with, byte transform)
    {
        using var pair = Attack.Peer(out var own);
        var esp = new TransformV1(1, 12, [.. Attack.Attributes((4, 1), (5, 5), (6, 128))]);
        var other = new ProposalV1(1, with, [0, 0, 0x77, 0x77], [new TransformV1(1, transform, [.. Attack.Attributes((4, 1), (5, 5))])]);
        Assert.Single(Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, 0x61, Quick(own, new ProposalV1(1, ProtocolId.Esp, [0, 0, 0x55, 0x01], [esp]), other))));
        Assert.Equal("no-proposal", pair.Right.LastReport!.Failure!.Reason);
        Assert.Contains("IPComp", pair.Right.LastReport.Failure.Sentence, StringComparison.Ordinal);
        Assert.Single(pair.Right.Installed);
        var answer = Assert.Single(Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, 0x62, Quick(own, new ProposalV1(1, ProtocolId.Esp, [0, 0, 0x55, 0x02], [esp]), other, new ProposalV1(2, ProtocolId.Esp, [0, 0, 0x55, 0x03], [esp])))));
        Assert.Equal((byte)ExchangeType.QuickMode, answer[18]);
        Assert.Equal(0x5503u, pair.Right.Installed.Values.Last().OutboundSpi.Value);
    }

    /// <summary>A few peers leave the key length of AES out and mean 128 bits (RFC 3602 section 2.2 calls that the default): nothing longer comes of it, and the transform goes back as it came.</summary>
    [Theory]
    [InlineData("aes128", true)]
    [InlineData("aes256", false)]
    public void Without_a_key_length_AES_has_128_bits(string cipher, bool isRight)
    {
        using var stranger = Attack.Stranger(right => right with { Proposals = EnginePair.Proposals(ProtocolId.Ike, cipher + "-sha256-ecp256") });
        var answer = Attack.View(Assert.Single(Attack.Knock(stranger, Attack.First(builder => builder.Sa(Attack.Offer(Attack.Suite((IsakmpAttribute.KeyLength, 0)))), padding: 40))));
        Assert.Equal(isRight, answer.TryGet(PayloadV1.Sa, out var body));
        if (isRight)
        {
            Assert.Equal(ParseError.None, SaBody.TryParse(body, out var chosen));
            Assert.DoesNotContain(chosen[0].Transforms[0].Attributes, attribute => attribute.Type == (ushort)IsakmpAttribute.KeyLength);
            Assert.Equal(128, stranger.Right.Engine.IsakmpSas.Single().Suite!.KeyBits);
        }

        using var pair = Attack.Peer(out var own, connection => connection with { Children = [connection.Children[0] with { Proposals = EnginePair.Proposals(ProtocolId.Esp, cipher + "-sha256") }] });
        Attack.Knock(pair, ForgerV1.Hashed(own, ExchangeType.QuickMode, 0x63, Quick(own, new ProposalV1(1, ProtocolId.Esp, [0, 0, 0x55, 0x04], [new TransformV1(1, 12, [.. Attack.Attributes((4, 1), (5, 5))])]))));
        Assert.Equal(isRight ? 2 : 1, pair.Right.Installed.Count);
        Assert.All(pair.Right.Installed.Values, sa => Assert.Equal(isRight ? 128 : 256, sa.EncrKeyBits));
    }

    /// <summary>R65: the commit bit is tolerated, and so is CONNECTED, which comes under the message ID of quick mode (RFC 2408 section 3.1).</summary>
    [Fact]
    public void The_commit_bit_is_tolerated()
    {
        using var pair = new EnginePair();
        pair.Load(V1Pair.Left(), V1Pair.Right());
        var id = 0u;
        pair.Wire = (_, _, message) =>
        {
            if (message.Message[18] != (byte)ExchangeType.QuickMode) return 1;
            message.Message[19] |= 2;
            IkeHeader.TryRead(message.Message, out var header);
            id = header.MessageId;
            return 1;
        };
        Assert.True(pair.Up().Success);
        V1Pair.AssertQuiet(pair);
        var theirs = pair.Right.Engine.IsakmpSas.Single();
        pair.Left.Receive(Attack.Left, Attack.Right, ForgerV1.Hashed(theirs, ExchangeType.InformationalV1, id, new ChainBuilder().Notify(ProtocolId.Esp, [1, 2, 3, 4], NotifyV1.Connected)), pair.Now);
        Assert.Empty(pair.Left.Outbox);
        V1Pair.AssertSame(pair);
    }

    /// <summary>R40, R41, R167: the predefined sets of old gateways and Suite B come up in IKEv1; R168: what has AEAD for IKE is never offered.</summary>
    [Theory]
    [Trait("Item", "3.2")]
    [InlineData("standard", true)]
    [InlineData("compatible", true)]
    [InlineData("basic", true)]
    [InlineData("suiteb-gcm-128", true)]
    [InlineData("suiteb-gcm-256", true)]
    [InlineData("suiteb-gmac-128", true)]
    [InlineData("suiteb-gmac-256", true)]
    [InlineData("prime-128", false)]
    [InlineData("prime-256", false)]
    public void Predefined_sets_come_up_and_PRIME_is_never_offered(string word, bool works)
    {
        var suite = Suite.All.Single(suite => suite.Word == word);
        Connection With(Connection connection) => connection with { Proposals = suite.Ike, Children = [connection.Children[0] with { Proposals = suite.Esp }] };
        using var pair = new EnginePair();
        pair.Load(With(V1Pair.Left()), With(V1Pair.Right()));
        Assert.Equal(works, pair.Up().Success);
        if (!works)
        {
            Assert.Empty(pair.Sent);
            Assert.Contains("AEAD", pair.Left.LastReport!.Failure!.Sentence, StringComparison.Ordinal);
            return;
        }

        V1Pair.AssertQuiet(pair);
        // as many transforms as the set has proposals, in order
        Assert.True(Attack.View(pair.Sent[0].Message.Message).TryGet(PayloadV1.Sa, out var body));
        Assert.Equal(ParseError.None, SaBody.TryParse(body, out var offer));
        Assert.Equal(suite.Ike.Length, Assert.Single(offer).Transforms.Length);
    }

    /// <summary>Everything that can be offered can be negotiated (CVE-2016-3071: a cipher that was offered and not there).</summary>
    [Fact]
    [Trait("Item", "3.1")]
    public void Whatever_has_a_number_comes_up()
    {
        var esps = new[] { "des-md5", "3des-sha1", "null-sha1", "aes128-sha256", "aes192-sha384", "aes256-sha512", "aes128ctr-sha256", "aes192ctr-sha1", "aes256ctr-aesxcbc", "aes128ccm8", "aes192ccm12", "aes256ccm16", "aes128gcm8", "aes192gcm12", "aes256gcm16", "camellia128-sha1", "camellia192-sha1", "camellia256-sha256", "aes128gmac", "aes192gmac", "aes256gmac" };
        foreach (var esp in esps)
        {
            using var pair = V1Pair.Up(V1Pair.Left(esp: esp), V1Pair.Right(esp: esp));
            V1Pair.AssertQuiet(pair);
        }

        var groups = Enum.GetValues<KeId>().Where(IsakmpSuite.HasGroup).Where(group => group is not (KeId.Modp6144 or KeId.Modp8192)).Distinct().ToArray();
        Assert.True(groups.Length >= 14);
        foreach (var group in groups)
        {
            var ike = $"aes128-sha256-{ProposalKeywords.Word(Transform.Ke(group))}";
            using var pair = V1Pair.Up(V1Pair.Left(ike), V1Pair.Right(ike));
            V1Pair.AssertQuiet(pair);
        }
    }

    private static ChainBuilder Quick(IsakmpSa own, params ProposalV1[] proposals)
    {
        var child = own.Connection.Children[0];
        var offer = ForgerV1.QuickOffer(child, new ChildSpi(0x5555), new byte[16], child.LocalSelectors[0].Selector, child.RemoteSelectors[0].Selector);
        Assert.Equal(ParseError.None, ChainView.TryParse(offer.First, offer.Chain, false, out var view));
        var writer = new WireWriter();
        SaBody.Write(writer, proposals);
        return ForgerV1.Rebuild(view, (_, type, body) => (type, type == PayloadV1.Sa ? writer.ToArray() : body));
    }

    private static Connection Ah(Connection connection, string ah, bool transport) => connection with
    {
        Children = [connection.Children[0] with { Proposals = EnginePair.Proposals(ProtocolId.Ah, ah), Mode = transport ? ChildMode.Transport : ChildMode.Tunnel, LocalSelectors = transport ? [] : connection.Children[0].LocalSelectors, RemoteSelectors = transport ? [] : connection.Children[0].RemoteSelectors }],
    };
}
