using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Warifu.Wire;
using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>The initial exchanges, in both roles (RFC 7296 sections 1.2, 2.14 and 2.15).</summary>
internal sealed partial class Tester
{
    private KeyExchange? _keyExchange;
    private IkeSpi _spi;
    private byte[] _ownNonce = [];
    private byte[] _nodeNonce = [];
    private byte[] _ownFirst = [];
    private byte[] _nodeFirst = [];
    private ChildSpi _childSpi;
    private uint _spis;

    /// <summary>Octets of the pre-shared key that the tester uses.</summary>
    public byte[] Psk { get; set; } = Encoding.UTF8.GetBytes(EnginePair.Secret);

    /// <summary>The first pair of IPsec SAs.</summary>
    public TesterChild? Child { get; private set; }

    public Proposal Ike => EnginePair.Proposals(ProtocolId.Ike, Setting.Profile.Ike)[0];

    public Proposal Esp => EnginePair.Proposals(ProtocolId.Esp, Setting.Profile.Esp)[0];

    public static KeId GroupOf(Proposal proposal) => (KeId)proposal.Find(TransformType.Ke).Id;

    // The tester begins.

    /// <summary>Payloads of an IKE_SA_INIT request with a fresh key exchange.</summary>
    public List<Payload> InitRequest(params Proposal[] proposals)
    {
        if (proposals.Length == 0) proposals = [Ike];
        _keyExchange?.Dispose();
        _keyExchange = KeyExchange.Generate(GroupOf(proposals[0]), _luck);
        _spi = new IkeSpi(_luck.Next() | 1);
        _ownNonce = Random(32);
        return [Offer(proposals, 0, 0), Payload.Ke(_keyExchange.Info.Id, _keyExchange.PublicValue), Payload.Nonce(_ownNonce), .. NatDetection(_spi, default)];
    }

    public IkeHeader InitHeader => IkeHeader.V2(_spi, default, ExchangeType.IkeSaInit, fromInitiator: true, isResponse: false, 0);

    /// <summary>Sends an IKE_SA_INIT request.</summary>
    public byte[] SendInit(IEnumerable<Payload>? payloads = null, Func<IkeHeader, IkeHeader>? header = null)
    {
        payloads ??= InitRequest();
        _ownFirst = Clear(header is null ? InitHeader : header(InitHeader), payloads);
        Deliver(_ownFirst);
        return _ownFirst;
    }

    /// <summary>KE of another group for a request whose SPI and nonce stay.</summary>
    public Payload FreshKe(Proposal proposal)
    {
        _keyExchange?.Dispose();
        _keyExchange = KeyExchange.Generate(GroupOf(proposal), _luck);
        return Payload.Ke(_keyExchange.Info.Id, _keyExchange.PublicValue);
    }

    /// <summary>Takes the node's answer with SA, KE and nonce: the keys are there.</summary>
    public Message TakeInit()
    {
        var answer = Expect(ExchangeType.IkeSaInit, isResponse: true);
        Assert.Null(answer.Error);
        var chosen = Assert.Single(answer.Proposals).Proposal;
        Assert.True(_keyExchange!.TryDerive(answer.Ke().Public, out var shared));
        (_nodeNonce, _nodeFirst) = (answer.Nonce, answer.Octets);
        using (shared) _sas.Add(TesterSa.First(true, _spi, answer.Header.ResponderSpi, chosen, _ownNonce, _nodeNonce, shared));
        Sa.NextRequest = 1;
        return answer;
    }

    /// <summary>Payloads of an IKE_AUTH request with the first child.</summary>
    public List<Payload> AuthRequest(params Proposal[] esp)
    {
        if (esp.Length == 0) esp = [Esp];
        _childSpi = NewSpi();
        var id = IdBody();
        return
        [
            new Payload(PayloadType.IdI, id), Auth(id), .. Transport(),
            Offer(esp, _childSpi.Value, 4), Payload.Ts(PayloadType.TsI, Traffic(Setting.TesterTraffic)), Payload.Ts(PayloadType.TsR, Traffic(Setting.NodeTraffic)),
        ];
    }

    /// <summary>Sends the IKE_AUTH request and takes the node's answer.</summary>
    public Message AskAuth(IEnumerable<Payload>? payloads = null)
    {
        var answer = Ask(ExchangeType.IkeAuth, payloads ?? AuthRequest());
        if (answer.Has(PayloadType.Auth)) CheckAuth(answer, PayloadType.IdR);
        if (answer.Has(PayloadType.Sa)) Child = TakeChild(Sa, answer, _childSpi, testerInitiated: true, _ownNonce, _nodeNonce, null);
        return answer;
    }

    // The node begins.

    /// <summary>Tells the node to bring the child up and takes its IKE_SA_INIT request.</summary>
    public Message Begin()
    {
        Command(id => new IkeCommand.Up(id, "net", "net"));
        return TakeFirst();
    }

    /// <summary>An IKE_SA_INIT request: the first or a further one.</summary>
    public Message TakeFirst()
    {
        var request = ExpectRequest(ExchangeType.IkeSaInit);
        (_nodeNonce, _nodeFirst) = (request.Nonce, request.Octets);
        return request;
    }

    /// <summary>Payloads of the answer to an IKE_SA_INIT request, with a fresh key exchange.</summary>
    public List<Payload> InitAnswer(Message request, Proposal? chosen = null)
    {
        chosen ??= Ike;
        _keyExchange?.Dispose();
        _keyExchange = KeyExchange.Generate(GroupOf(chosen), _luck);
        _spi = new IkeSpi(_luck.Next() | 1);
        _ownNonce = Random(32);
        return [Offer([chosen], 0, 0), Payload.Ke(_keyExchange.Info.Id, _keyExchange.PublicValue), Payload.Nonce(_ownNonce), .. NatDetection(request.Header.InitiatorSpi, _spi)];
    }

    public IkeHeader InitAnswerHeader(Message request) => IkeHeader.V2(request.Header.InitiatorSpi, _spi, ExchangeType.IkeSaInit, fromInitiator: false, isResponse: true, 0);

    /// <summary>Answers the IKE_SA_INIT request: the keys are there.</summary>
    public byte[] AnswerInit(Message request, IEnumerable<Payload>? payloads = null, Func<IkeHeader, IkeHeader>? header = null, Proposal? chosen = null)
    {
        payloads ??= InitAnswer(request, chosen);
        var head = InitAnswerHeader(request);
        _ownFirst = Clear(header is null ? head : header(head), payloads);
        Assert.True(_keyExchange!.TryDerive(request.Ke().Public, out var shared));
        using (shared) _sas.Add(TesterSa.First(false, request.Header.InitiatorSpi, _spi, chosen ?? Ike, _nodeNonce, _ownNonce, shared));
        Deliver(_ownFirst);
        return _ownFirst;
    }

    /// <summary>The node's IKE_AUTH request, whose AUTH is checked.</summary>
    public Message TakeAuth()
    {
        var request = ExpectRequest(ExchangeType.IkeAuth);
        CheckAuth(request, PayloadType.IdI);
        return request;
    }

    /// <summary>Payloads of the answer to an IKE_AUTH request, with the child that the node wants.</summary>
    public List<Payload> AuthAnswer(Message request, Proposal? chosen = null)
    {
        var id = IdBody();
        chosen ??= Esp;
        _childSpi = NewSpi();
        Child = MakeChild(Sa, _childSpi, new ChildSpi((uint)request.Proposals[0].Spi), chosen, testerInitiated: false, _nodeNonce, _ownNonce, null);
        return
        [
            new Payload(PayloadType.IdR, id), Auth(id), .. Transport(),
            Offer([chosen], _childSpi.Value, 4), Payload.Ts(PayloadType.TsI, Traffic(Setting.NodeTraffic)), Payload.Ts(PayloadType.TsR, Traffic(Setting.TesterTraffic)),
        ];
    }

    /// <summary>Brings the node up.</summary>
    /// <param name="nodeInitiates">Who begins.</param>
    public TesterSa Establish(bool nodeInitiates)
    {
        if (nodeInitiates)
        {
            AnswerInit(Begin());
            var request = TakeAuth();
            Answer(request, AuthAnswer(request));
        }
        else
        {
            SendInit();
            TakeInit();
            Assert.Null(AskAuth().Error);
        }

        IsUp(Sa);
        Holds(Child!);
        return Sa;
    }

    /// <summary>The node holds this IKE SA for established.</summary>
    public void IsUp(TesterSa sa) => Assert.Contains(Node.Engine.Snapshot().IkeSas, held => held.InitiatorSpi == sa.SpiI && held.ResponderSpi == sa.SpiR && held.State is "ESTABLISHED" or "REKEYING");

    public void IsGone(TesterSa sa) => Assert.DoesNotContain(Node.Engine.Snapshot().IkeSas, held => held.InitiatorSpi == sa.SpiI);

    public bool IsHeld(TesterSa sa) => Node.Engine.Snapshot().IkeSas.Any(held => held.InitiatorSpi == sa.SpiI);

    // Pieces.

    public static Payload Offer(Proposal[] proposals, ulong spi, byte spiLength) => Payload.Sa([.. proposals.Select((proposal, index) => new OfferedProposal((byte)(index + 1), spi, spiLength, proposal))]);

    public static TrafficSelector Traffic(string text) => EnginePair.Ts(text).Resolve(default);

    public ChildSpi NewSpi() => new(0x7E57_0000 + ++_spis);

    /// <summary>N(USE_TRANSPORT_MODE), for end nodes.</summary>
    public Payload[] Transport() => Setting.IsGateway ? [] : [Payload.Notify(NotifyType.UseTransportMode)];

    /// <summary>The body of the tester's ID payload.</summary>
    public byte[] IdBody(Identity? identity = null)
    {
        identity ??= Identity.Of(Setting.Tester);
        byte[] body = [(byte)identity.Type, 0, 0, 0, .. identity.Data];
        if (Reserved) Payload.SetReserved(PayloadType.IdI, body);
        return body;
    }

    /// <summary>The tester's AUTH payload over its ID body.</summary>
    public Payload Auth(byte[] id)
    {
        var octets = KeyScheduleV2.SignedOctets(Sa.Prf, _ownFirst, _nodeNonce, Sa.IsInitiator ? Sa.Keys.SkPi : Sa.Keys.SkPr, id);
        using var secret = new Secret(Psk);
        using var value = KeyScheduleV2.SharedKeyAuth(Sa.Prf, secret, octets);
        return new Payload(PayloadType.Auth, [(byte)AuthMethod.SharedKey, 0, 0, 0, .. value.Span]);
    }

    /// <summary>The node's AUTH is right.</summary>
    private void CheckAuth(Message message, PayloadType side)
    {
        var octets = KeyScheduleV2.SignedOctets(Sa.Prf, _nodeFirst, _ownNonce, Sa.IsInitiator ? Sa.Keys.SkPr : Sa.Keys.SkPi, message.Body(side));
        using var secret = new Secret(Encoding.UTF8.GetBytes(EnginePair.Secret));
        using var value = KeyScheduleV2.SharedKeyAuth(Sa.Prf, secret, octets);
        Assert.Equal<byte>([(byte)AuthMethod.SharedKey, 0, 0, 0, .. value.Span], message.Body(PayloadType.Auth));
    }

    /// <summary>No NAT between the two (RFC 7296 section 2.23).</summary>
    private Payload[] NatDetection(IkeSpi spiI, IkeSpi spiR)
    {
        return [Payload.Notify(NotifyType.NatDetectionSourceIp, Hash(_own)), Payload.Notify(NotifyType.NatDetectionDestinationIp, Hash(_node))];

        byte[] Hash(Endpoint end)
        {
            var spis = new byte[16];
            BinaryPrimitives.WriteUInt64BigEndian(spis, spiI.Value);
            BinaryPrimitives.WriteUInt64BigEndian(spis.AsSpan(8), spiR.Value);
            return SHA1.HashData([.. spis, .. end.Address.ToOctets(), (byte)(end.Port >> 8), (byte)end.Port]);
        }
    }
}
