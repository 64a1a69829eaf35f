using System;
using System.Linq;
using Warifu.Primitives;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Wire;

/// <summary>Messages written by hand from the diagrams of RFC 7296 section 3 (item 1.5). Each is parsed field by field and built again.</summary>
[Trait("Item", "1.5")]
public sealed class GoldenTests
{
    // section 3.1: SPIs, next payload SA, version 2.0, IKE_SA_INIT, flag I, message 0, length 28 + 40 + 40 + 36 + 28 + 8 + 12 = 192
    private const string InitRequest =
        """
        0102030405060708 0000000000000000 21 20 22 08 00000000 000000c0
        # SA, 40 = 4 + 36: one proposal, number 1, IKE, no SPI, 3 transforms (section 3.3)
        22 00 0028
           00 00 0024  01 01 00 03
              03 00 000c  01 00 0014  800e 0100    # ENCR_AES_GCM_16, Key Length 256
              03 00 0008  02 00 0005               # PRF_HMAC_SHA2_256
              00 00 0008  04 00 001f               # curve25519
        # KE, 40: method 31, reserved, 32 octets (section 3.4)
        28 00 0028  001f 0000  a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf
        # Nonce, 36 (section 3.9)
        29 00 0024  c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf
        # Notify, 28: protocol 0, no SPI, NAT_DETECTION_SOURCE_IP 16388, a SHA-1 value (section 3.10)
        29 00 001c  00 00 4004  000102030405060708090a0b0c0d0e0f10111213
        # Notify, 8: IKEV2_FRAGMENTATION_SUPPORTED 16430, no data (RFC 7383 section 2.3)
        2b 00 0008  00 00 402e
        # Vendor ID, 12 (section 3.12)
        00 00 000c  7761726966752d31
        """;

    // what is inside the SK payload of an IKE_AUTH request, with nearly everything that may stand there
    private const string AuthChain =
        """
        # IDi, 24: ID_FQDN, reserved, "left.example.org" (section 3.5)
        25 00 0018  02 000000  6c6566742e6578616d706c652e6f7267
        # CERT, 9: X.509 signature, 4 octets (section 3.6)
        26 00 0009  04  30020500
        # CERTREQ, 25: X.509 signature, one SHA-1 of a public key (section 3.7)
        24 00 0019  04  e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3
        # IDr, 12: ID_IPV4_ADDR 198.51.100.2
        27 00 000c  01 000000  c6336402
        # AUTH, 16: shared key, reserved, 8 octets (section 3.8)
        29 00 0010  02 000000  1112131415161718
        # N(INITIAL_CONTACT) 16384
        2f 00 0008  00 00 4000
        # CP, 20: CFG_REQUEST, reserved; INTERNAL_IP4_ADDRESS empty, INTERNAL_IP4_DNS 192.0.2.53 (section 3.15)
        21 00 0014  01 000000  0001 0000  0003 0004 c0000235
        # SA, 44 = 4 + 40: proposal 1, ESP, SPI of 4 octets, 3 transforms
        2c 00 002c
           00 00 0028  01 03 04 03  c0ffee01
              03 00 000c  01 00 000c  800e 0080    # ENCR_AES_CBC, 128
              03 00 0008  03 00 000c               # AUTH_HMAC_SHA2_256_128
              00 00 0008  05 00 0000               # no extended sequence numbers
        # TSi, 24: one selector: IPv4 range, TCP, 16 octets, port 80, 10.1.0.0 to 10.1.255.255 (section 3.13)
        2d 00 0018  01 000000  07 06 0010 0050 0050 0a010000 0a01ffff
        # TSr, 64: two selectors: IPv4 range, ICMP echo request (type 8, codes 0 to 255), one address; IPv6 range, any protocol and port
        00 00 0040  02 000000  07 01 0010 0800 08ff 0a020001 0a020001
                               08 00 0028 0000 ffff 20010db8000000000000000000000000 20010db80000ffffffffffffffffffff
        """;

    [Fact]
    public void IKE_SA_INIT_request()
    {
        var message = Octets(InitRequest);
        Assert.True(IkeHeader.TryRead(message, out var header));
        Assert.Equal((0x0102030405060708UL, 0UL), (header.InitiatorSpi.Value, header.ResponderSpi.Value));
        Assert.Equal((PayloadType.Sa, (byte)2, (byte)0, ExchangeType.IkeSaInit, 0u, 192u), (header.NextPayload, header.MajorVersion, header.MinorVersion, header.Exchange, header.MessageId, header.TotalLength));
        Assert.Equal((true, false, false), (header.FromInitiator, header.IsResponse, header.HigherVersion));
        Assert.Equal(ParseError.None, MessageView.TryParse(header.NextPayload, message.AsSpan(IkeHeader.Length), out var view));
        Assert.Equal(6, view.Count);
        Assert.Null(PayloadRules.Check(header.Exchange, header.IsResponse, view));
        Assert.Equal("IKE_SA_INIT request 0 [ SA KE No N(NATD_S_IP) N(IKEV2_FRAGMENTATION_SUPPORTED) V ]", MessageDescription.Describe(header, view));

        Assert.Equal(ParseError.None, SaPayload.TryParse(view.Body(0), out var proposals));
        var offered = Assert.Single(proposals);
        Assert.Equal(((byte)1, 0UL, (byte)0, ProtocolId.Ike), (offered.Number, offered.Spi, offered.SpiLength, offered.Proposal.Protocol));
        Assert.Equal([Transform.Encr(EncrId.AesGcm16, 256), Transform.Prf(PrfId.HmacSha256), Transform.Ke(KeId.Curve25519)], offered.Proposal.Transforms);
        Assert.Equal(ParseError.None, KeView.TryParse(view.Body(1), out var ke));
        Assert.Equal((KeId.Curve25519, 32, (byte)0xA0), (ke.Method, ke.Public.Length, ke.Public[0]));
        Assert.Equal(32, view.Body(2).Length);
        Assert.True(view.TryGetNotify(NotifyType.NatDetectionSourceIp, out var notify));
        Assert.Equal((ProtocolId.None, 0, 20), (notify.Protocol, notify.Spi.Length, notify.Data.Length));
        Assert.True(view.HasNotify(NotifyType.Ikev2FragmentationSupported));
        Assert.False(view.HasNotify(NotifyType.NatDetectionDestinationIp));
        Assert.False(view.TryGetError(out _));
        Assert.True(view.TryGet(PayloadType.VendorId, out var vendor));
        Assert.Equal("warifu-1"u8.ToArray(), vendor.ToArray());

        var built = new MessageBuilder()
            .Sa([new OfferedProposal(1, 0, 0, new Proposal(ProtocolId.Ike, [Transform.Encr(EncrId.AesGcm16, 256), Transform.Prf(PrfId.HmacSha256), Transform.Ke(KeId.Curve25519)]))])
            .Ke(KeId.Curve25519, Run(0xA0, 32))
            .Nonce(Run(0xC0, 32))
            .Notify(NotifyType.NatDetectionSourceIp, Run(0, 20))
            .Notify(NotifyType.Ikev2FragmentationSupported)
            .VendorId("warifu-1"u8)
            .ToMessage(IkeHeader.V2(new IkeSpi(0x0102030405060708), default, ExchangeType.IkeSaInit, fromInitiator: true, isResponse: false, 0));
        Assert.Equal(message, built);
    }

    [Fact]
    public void IKE_AUTH_request()
    {
        var chain = Octets(AuthChain);
        Assert.Equal(ParseError.None, MessageView.TryParse(PayloadType.IdI, chain, out var view));
        Assert.Equal(
            [PayloadType.IdI, PayloadType.Cert, PayloadType.CertReq, PayloadType.IdR, PayloadType.Auth, PayloadType.Notify, PayloadType.Cp, PayloadType.Sa, PayloadType.TsI, PayloadType.TsR],
            Types(view));
        Assert.Null(PayloadRules.Check(ExchangeType.IkeAuth, false, view));

        Assert.Equal(ParseError.None, IdPayload.TryParse(view.Body(0), out var idI));
        Assert.Equal(Identity.Fqdn("left.example.org"), idI);
        Assert.Equal(ParseError.None, CertView.TryParse(view.Body(1), out var cert));
        Assert.Equal((4, "30020500"), (cert.Encoding, Convert.ToHexString(cert.Data)));
        Assert.Equal(ParseError.None, CertView.TryParse(view.Body(2), out var request));
        Assert.Equal((4, 20), (request.Encoding, request.Data.Length));
        Assert.Equal(ParseError.None, IdPayload.TryParse(view.Body(3), out var idR));
        Assert.Equal(Identity.Of(IpAddress.Parse("198.51.100.2")), idR);
        Assert.Equal(ParseError.None, AuthView.TryParse(view.Body(4), out var auth));
        Assert.Equal((AuthMethod.SharedKey, "1112131415161718"), (auth.Method, Convert.ToHexString(auth.Data)));
        Assert.Equal(ParseError.None, CpView.TryParse(view.Body(6), out var cp));
        Assert.Equal(ConfigurationKind.Request, cp.Kind);
        var attributes = "";
        foreach (var attribute in cp) attributes += $"{attribute.Type} {Convert.ToHexString(attribute.Value)} {attribute.IsWellFormed};";
        Assert.Equal("InternalIp4Address  True;InternalIp4Dns C0000235 True;", attributes);
        Assert.Equal(ParseError.None, SaPayload.TryParse(view.Body(7), out var proposals));
        var esp = Assert.Single(proposals);
        Assert.Equal(((byte)1, 0xC0FFEE01UL, (byte)4, ProtocolId.Esp), (esp.Number, esp.Spi, esp.SpiLength, esp.Proposal.Protocol));
        Assert.Equal([Transform.Encr(EncrId.AesCbc, 128), Transform.Integ(IntegId.HmacSha256_128), Transform.Esn(false)], esp.Proposal.Transforms);
        Assert.Equal(ParseError.None, TsPayload.TryParse(view.Body(8), out var tsI));
        var web = new TrafficSelector(IpAddress.Parse("10.1.0.0"), IpAddress.Parse("10.1.255.255"), 6, 80, 80);
        Assert.Equal([web], tsI);
        Assert.Equal(ParseError.None, TsPayload.TryParse(view.Body(9), out var tsR));
        var ping = new TrafficSelector(IpAddress.Parse("10.2.0.1"), IpAddress.Parse("10.2.0.1"), 1, 0x0800, 0x08FF);
        var six = TrafficSelector.Of(new IpPrefix(IpAddress.Parse("2001:db8::"), 48));
        Assert.Equal([ping, six], tsR);

        var built = new MessageBuilder()
            .Id(PayloadType.IdI, Identity.Fqdn("left.example.org"))
            .Cert(PayloadType.Cert, 4, [0x30, 2, 5, 0])
            .CertReq(4, Run(0xE0, 20))
            .Id(PayloadType.IdR, Identity.Of(IpAddress.Parse("198.51.100.2")))
            .Auth(AuthMethod.SharedKey, Run(0x11, 8))
            .Notify(NotifyType.InitialContact)
            .Configuration(ConfigurationKind.Request, [new ConfigurationAttribute(1, []), new ConfigurationAttribute(3, [192, 0, 2, 53])])
            .Sa([esp])
            .Ts(PayloadType.TsI, [web])
            .Ts(PayloadType.TsR, [ping, six]);
        Assert.Equal(PayloadType.IdI, built.First);
        Assert.Equal(chain, built.Chain.ToArray());
    }

    [Fact]
    public void Rekeying_an_IKE_SA_carries_SPIs_of_eight_octets()
    {
        // SA, 96 = 4 + 48 + 44: two proposals, the first with 3 transforms, the second with 3
        var body = Octets(
            """
            02 00 0030  01 01 08 03  1122334455667788
               03 00 000c  01 00 0014  800e 0080
               03 00 0008  02 00 0006
               00 00 000c  04 00 0013  800e 0001   # an attribute where none belongs is kept, not understood away
            00 00 0028  02 01 08 03  1122334455667788
               03 00 0008  01 00 001c
               03 00 0008  02 00 0007
               00 00 0008  04 00 0020
            """);
        Assert.Equal(ParseError.None, SaPayload.TryParse(body, out var proposals));
        Assert.Equal(2, proposals.Length);
        Assert.All(proposals, proposal => Assert.Equal((0x1122334455667788UL, (byte)8), (proposal.Spi, proposal.SpiLength)));
        Assert.Equal(Transform.Encr(EncrId.ChaCha20Poly1305), proposals[1].Proposal.Transforms[0]);
        Assert.Equal(new Transform(TransformType.Ke, 19, 1), proposals[0].Proposal.Transforms[2]);
        Assert.Equal(body, Written(writer => SaPayload.Write(writer, proposals.AsSpan())));
    }

    [Fact]
    public void A_transform_with_an_unknown_attribute_stays_in_the_proposal_and_is_unusable()
    {
        // section 3.3.6: "it MUST consider this transform unacceptable"; the type was offered all the same
        var body = Octets(
            """
            00 00 0038  01 03 04 03  c0ffee01
               03 00 0014  01 00 0014  800e 0080  0011 0004 deadbeef   # Key Length and type 17 in the long form
               03 00 000c  04 00 001f  8012 0001                       # type 18 in the short form
               00 00 000c  01 00 0014  800e 0080
            """);
        Assert.Equal(ParseError.None, SaPayload.TryParse(body, out var proposals));
        var transforms = proposals.Single().Proposal.Transforms;
        Assert.Equal([new Transform(TransformType.Encr, 20, SaPayload.Unusable), new Transform(TransformType.Ke, 31, SaPayload.Unusable), Transform.Encr(EncrId.AesGcm16, 128)], transforms);
        Assert.Equal(body, Written(writer => SaPayload.Write(writer, proposals.AsSpan())));
        // with the key exchange left out it would look like an offer without PFS
        var ours = new Proposal(ProtocolId.Esp, [Transform.Encr(EncrId.AesGcm16, 128)]);
        Assert.Null(Warifu.Policy.ProposalSelection.Select([ours], [proposals[0].Proposal]).Chosen);
        var without = proposals[0].Proposal with { Transforms = transforms.RemoveAt(1) };
        Assert.Equal(Transform.Encr(EncrId.AesGcm16, 128), Warifu.Policy.ProposalSelection.Select([ours], [without]).Chosen!.Transforms.Single());
    }

    [Fact]
    public void Rekeying_and_deleting_children()
    {
        // CREATE_CHILD_SA: N(REKEY_SA) 16393, ESP, SPI of 4 octets; INFORMATIONAL: D of two ESP SPIs (section 3.11), D of the IKE SA
        var chain = Octets(
            """
            2a 00 000c  03 04 4009  c0ffee01
            2a 00 0010  03 04 0002  0a0b0c0d 01020304
            00 00 0008  01 00 0000
            """);
        Assert.Equal(ParseError.None, MessageView.TryParse(PayloadType.Notify, chain, out var view));
        Assert.True(view.TryGetNotify(NotifyType.RekeySa, out var rekey));
        Assert.Equal((ProtocolId.Esp, "C0FFEE01", 0), (rekey.Protocol, Convert.ToHexString(rekey.Spi), rekey.Data.Length));
        Assert.Equal(ParseError.None, DeletePayload.TryParse(view.Body(1), out var protocol, out var spis));
        Assert.Equal(ProtocolId.Esp, protocol);
        Assert.Equal([new ChildSpi(0x0A0B0C0D), new ChildSpi(0x01020304)], spis);
        Assert.Equal(ParseError.None, DeletePayload.TryParse(view.Body(2), out protocol, out spis));
        Assert.Equal(ProtocolId.Ike, protocol);
        Assert.Empty(spis);
        var built = new MessageBuilder().Notify(ProtocolId.Esp, new ChildSpi(0xC0FFEE01), NotifyType.RekeySa).Delete(ProtocolId.Esp, [new ChildSpi(0x0A0B0C0D), new ChildSpi(0x01020304)]).DeleteIke();
        Assert.Equal(chain, built.Chain.ToArray());
    }

    [Fact]
    public void EAP_messages()
    {
        // section 3.16: Request, id 1, 10 octets, type 1 (Identity), "hello"; Response with type 26; Success of 4 octets
        var chain = Octets(
            """
            30 00 000e  01 01 000a 01  68656c6c6f
            30 00 000b  02 01 0007 1a  0203
            00 00 0008  03 02 0004
            """);
        Assert.Equal(ParseError.None, MessageView.TryParse(PayloadType.Eap, chain, out var view));
        Assert.Equal(ParseError.None, EapView.TryParse(view.Body(0), out var eap));
        Assert.Equal((EapCode.Request, (byte)1, (byte)1, "hello"), (eap.Code, eap.Identifier, eap.Type, System.Text.Encoding.ASCII.GetString(eap.Data)));
        Assert.Equal(ParseError.None, EapView.TryParse(view.Body(1), out eap));
        Assert.Equal((EapCode.Response, (byte)1, (byte)26, 2), (eap.Code, eap.Identifier, eap.Type, eap.Data.Length));
        Assert.Equal(ParseError.None, EapView.TryParse(view.Body(2), out eap));
        Assert.Equal((EapCode.Success, (byte)2, (byte)0, 0), (eap.Code, eap.Identifier, eap.Type, eap.Data.Length));
        var built = new MessageBuilder().Eap(EapCode.Request, 1, 1, "hello"u8).Eap(EapCode.Response, 1, 26, [2, 3]).Eap(EapCode.Success, 2);
        Assert.Equal(chain, built.Chain.ToArray());
    }

    [Fact]
    public void What_we_do_not_know_is_preserved()
    {
        var chain = Octets(
            """
            36 80 0006  0102                                           # payload 55, critical
            2d 00 0005  ff                                             # payload 54
            00 00 0028  02 000000  0a 00 0010 0001 0008 73656372 65742121   # TSr: a label (RFC 9478) and a range
                                   07 00 0010 0000 ffff 0a000000 0a0000ff 00000000
            """);
        // the first selector takes 16 octets, the second 16: 8 + 16 + 16 = 40; the 4 zero octets belong to neither
        Assert.Equal(ParseError.TrailingOctets, Parse((PayloadType)55, chain));
        chain = Octets(
            """
            36 80 0006  0102
            2d 00 0005  ff
            2f 00 0028  02 000000  0a 00 0010 0001 0008 73656372 65742121
                                   07 00 0010 0000 ffff 0a000000 0a0000ff
            29 00 0014  02 000000  0001 0000  6fff 0004 c0ffee00        # CP: CFG_REPLY, attribute 28671
            00 00 000b  00 00 9fff  abcdef                              # notify 40959
            """);
        Assert.Equal(ParseError.None, MessageView.TryParse((PayloadType)55, chain, out var view));
        Assert.Equal([(PayloadType)55, (PayloadType)54, PayloadType.TsR, PayloadType.Cp, PayloadType.Notify], Types(view));
        Assert.Equal((true, false), (view[0].Critical, view[1].Critical));
        Assert.Equal(ParseError.None, TsPayload.TryParse(view.Body(2), out var selectors, out var unknown));
        Assert.Equal(TrafficSelector.Of(new IpPrefix(IpAddress.Parse("10.0.0.0"), 24)), Assert.Single(selectors));
        Assert.Equal((10, 12), (Assert.Single(unknown).Type, unknown[0].Octets.Length));
        var builder = new MessageBuilder();
        for (var i = 0; i < view.Count; i++)
        {
            Assert.Equal(ParseError.None, OwnedPayload.TryParse(view[i], view.Body(i), out var payload));
            builder.Add(payload!);
        }

        // known selectors are written first; all else stands where it stood
        Assert.Equal(chain.Length, builder.Chain.Length);
        Assert.Equal(ParseError.None, MessageView.TryParse((PayloadType)55, builder.Chain, out var again));
        Assert.Equal(chain[..11], builder.Chain[..11].ToArray());
        Assert.Equal(chain[51..], builder.Chain[51..].ToArray());
        Assert.Equal(ParseError.None, TsPayload.TryParse(again.Body(2), out var same, out var sameUnknown));
        Assert.Equal(selectors, same);
        Assert.Equal(unknown[0].Octets, sameUnknown[0].Octets);
    }

    [Fact]
    public void Reserved_fields_are_ignored_on_receipt()
    {
        // section 3.2: "MUST be ignored on receipt"; ones wherever the diagrams say RESERVED, minor version 1, all undefined header flags
        var message = Octets(InitRequest);
        message[17] = 0x21;
        message[19] |= 0xC7;
        foreach (var at in new[] { 29, 33, 41, 45, 69, 74, 75 }) message[at] = 0xFF;
        Assert.True(IkeHeader.TryRead(message, out var header));
        Assert.Equal((true, false, (byte)1), (header.FromInitiator, header.IsResponse, header.MinorVersion));
        Assert.Equal(ParseError.None, MessageView.TryParse(header.NextPayload, message.AsSpan(IkeHeader.Length), out var view));
        Assert.Null(PayloadRules.Check(header.Exchange, false, view));
        Assert.Equal(ParseError.None, SaPayload.TryParse(view.Body(0), out var proposals));
        Assert.Equal(Transform.Encr(EncrId.AesGcm16, 256), proposals[0].Proposal.Transforms[0]);
        // the reserved bit of an attribute type (section 3.15.1)
        Assert.Equal(ParseError.None, CpPayload.TryParse(Octets("02 ffffff 8001 0004 0a000001"), out var kind, out var attributes));
        Assert.Equal(((byte)2, (ushort)1), (kind, attributes.Single().Type));
    }

    private static ParseError Parse(PayloadType first, byte[] chain) => MessageView.TryParse(first, chain, out _);

    private static PayloadType[] Types(scoped in MessageView view)
    {
        var types = new PayloadType[view.Count];
        for (var i = 0; i < view.Count; i++) types[i] = view[i].Type;
        return types;
    }

    private static byte[] Run(int from, int count) => [.. Enumerable.Range(from, count).Select(value => (byte)value)];

    private static byte[] Written(Action<WireWriter> write)
    {
        var writer = new WireWriter();
        write(writer);
        return writer.ToArray();
    }

    /// <summary>Hexadecimal with white space and comments.</summary>
    internal static byte[] Octets(string text) => Convert.FromHexString(string.Concat(text.Split('\n').Select(line => line.Split('#')[0])).Replace(" ", "", StringComparison.Ordinal).Replace("\r", "", StringComparison.Ordinal));
}
