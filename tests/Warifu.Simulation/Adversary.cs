using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Warifu.Primitives;
using Warifu.V1;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.Simulation;

/// <summary>Sees every message on the wire and sends what it likes from any address, but has no keys.</summary>
internal sealed class Adversary(World world)
{
    private const byte EncryptionFlag = 0x01;

    private readonly List<(SimHost To, Endpoint Local, Endpoint Remote, byte[] Message)> _seen = [];
    private readonly Dictionary<IpAddress, (int In, int Out)> _strangers = [];

    /// <summary>Messages and octets that a stranger's address sent and got.</summary>
    public void Overheard(SimHost to, Endpoint local, Endpoint remote, byte[] message)
    {
        if (_seen.Count < 400) _seen.Add((to, local, remote, message));
        else _seen[world.Luck.Below(_seen.Count)] = (to, local, remote, message);
        // the forged one arrives before the real one
        if (world.Luck.Chance(0.05) && IkeHeader.TryRead(message, out var sealedOne) && (world.Plan.IsV1 ? (sealedOne.Flags & EncryptionFlag) != 0 : sealedOne.NextPayload == PayloadType.Sk))
        {
            var spoiled = (byte[])message.Clone();
            spoiled[IkeHeader.Length + 4 + world.Luck.Below(spoiled.Length - IkeHeader.Length - 4)] ^= (byte)(1 << world.Luck.Below(8));
            world.Reach("sealed message spoiled");
            to.Receive(local, remote, spoiled, isForged: true);
        }

        // first messages are most worth forging
        if (world.IsRunning && IkeHeader.TryRead(message, out var header) && (header.Exchange == ExchangeType.IkeSaInit || (world.Plan.IsV1 && header.MessageId == 0 && (header.Flags & EncryptionFlag) == 0)) && world.Luck.Chance(0.3)) Answer(to, local, remote, header);
    }

    /// <summary>A host sent something to nobody's address. The pieces of one message of IKEv1 count as one.</summary>
    public void Reflected(SimHost from, IpAddress stranger, byte[] message)
    {
        const int PieceNumber = IkeHeader.Length + 6;
        if (world.Plan.IsV1 && IkeHeader.TryRead(message, out var header) && (PayloadV1)header.NextPayload == PayloadV1.Fragment && message[PieceNumber] > 1) return;
        var (sent, got) = _strangers.GetValueOrDefault(stranger);
        _strangers[stranger] = (sent, got + 1);
        if (got + 1 > sent) world.Fail($"{from.Name} sends more messages to a stranger than came from there");
        world.Reach("stranger answered");
    }

    /// <summary>One attack.</summary>
    public void Act()
    {
        if (_seen.Count == 0) return;
        var (to, local, remote, message) = _seen[world.Luck.Below(_seen.Count)];
        switch (world.Luck.Below(6))
        {
            case 0:
                world.Reach("message replayed");
                to.Receive(local, remote, message, isForged: true);
                break;
            case 1:
                world.Reach("message replayed from elsewhere");
                var elsewhere = Stranger();
                to.Receive(local, elsewhere, message, isForged: true);
                break;
            case 2:
                world.Reach("bit flipped");
                var flipped = (byte[])message.Clone();
                flipped[world.Luck.Below(flipped.Length)] ^= (byte)(1 << world.Luck.Below(8));
                // a clear first answer with a flipped bit wins a race that nobody can referee
                if (IkeHeader.TryRead(flipped, out var header) && (header is { Exchange: ExchangeType.IkeSaInit, IsResponse: true } || (world.Plan.IsV1 && (message[19] & EncryptionFlag) == 0))) break;
                to.Receive(local, remote, flipped, isForged: true);
                break;
            case 3:
                world.Reach("first message forged");
                for (var i = world.Luck.Below(30); i >= 0; i--) to.Receive(local, world.Luck.Chance(0.5) ? Stranger() : remote, FirstMessage(), isForged: true);
                break;
            case 4:
                world.Reach("message cut");
                to.Receive(local, remote, message[..world.Luck.Below(message.Length)], isForged: true);
                break;
            default:
                world.Reach("refusal forged");
                if (!IkeHeader.TryRead(message, out header)) break;
                if (world.Plan.IsV1)
                {
                    to.Receive(local, remote, RefusalV1(header, world.Luck.Chance(0.3)), isForged: true);
                    break;
                }

                var refusal = new MessageBuilder().Notify(world.Luck.Chance(0.5) ? NotifyType.AuthenticationFailed : NotifyType.InvalidIkeSpi);
                to.Receive(local, remote, refusal.ToMessage(IkeHeader.V2(header.InitiatorSpi, header.ResponderSpi, header.Exchange, header.FromInitiator, world.Luck.Chance(0.7), header.MessageId)), isForged: true);
                break;
        }
    }

    /// <summary>Refusals and demands in clear for whoever asks for an IKE SA, before the real answer.</summary>
    private void Answer(SimHost to, Endpoint local, Endpoint remote, IkeHeader header)
    {
        if (header.IsResponse) return;
        foreach (var victim in world.Hosts)
        {
            if (!victim.Owns(remote.Address) || victim == to) continue;
            if (world.Plan.IsV1)
            {
                var clear = RefusalV1(header, isSealed: false);
                world.Reach("refusal of the first message forged");
                world.Network.Inject(local, remote, (host, own, peer) => host.Receive(own, peer, clear, isForged: true));
                continue;
            }

            NotifyType[] errors = [NotifyType.NoProposalChosen, NotifyType.InvalidSyntax, NotifyType.InvalidMajorVersion, NotifyType.InvalidKePayload];
            var error = errors[world.Luck.Below(errors.Length)];
            var forged = new MessageBuilder().Notify(error, error == NotifyType.InvalidKePayload ? [0, 2] : []).ToMessage(IkeHeader.V2(header.InitiatorSpi, default, ExchangeType.IkeSaInit, fromInitiator: false, isResponse: true, 0));
            world.Reach("refusal of the first message forged");
            world.Network.Inject(local, remote, (host, own, peer) => host.Receive(own, peer, forged, isForged: true));
        }
    }

    private Endpoint Stranger()
    {
        var number = (uint)world.Luck.Below(100);
        var address = world.Plan.HasV6 ? IpAddress.FromBits(IpAddress.Parse("2001:db8:ff::").Bits + number, 6) : IpAddress.V4(0xCB00_7180 + number);
        var (sent, got) = _strangers.GetValueOrDefault(address);
        _strangers[address] = (sent + 1, got);
        return new Endpoint(address, 500);
    }

    /// <summary>Errors and deletes of IKEv1 that nobody can authenticate: in clear, or as if they were encrypted.</summary>
    private byte[] RefusalV1(in IkeHeader header, bool isSealed)
    {
        NotifyV1[] errors = [NotifyV1.NoProposalChosen, NotifyV1.InvalidCookie, NotifyV1.AuthenticationFailed, NotifyV1.PayloadMalformed, NotifyV1.InitialContact];
        var cookies = new byte[16];
        BinaryPrimitives.WriteUInt64BigEndian(cookies, header.InitiatorSpi.Value);
        BinaryPrimitives.WriteUInt64BigEndian(cookies.AsSpan(8), header.ResponderSpi.Value);
        var builder = new ChainBuilder().Notify(ProtocolId.Ike, cookies, errors[world.Luck.Below(errors.Length)]).Delete(ProtocolId.Ike, cookies);
        var message = builder.ToMessage(new IkeHeader { InitiatorSpi = header.InitiatorSpi, ResponderSpi = header.ResponderSpi, MajorVersion = 1, Exchange = ExchangeType.InformationalV1, MessageId = (uint)world.Luck.Next() | 1 });
        if (isSealed) message[19] |= EncryptionFlag;
        return message;
    }

    /// <summary>A first message of IKEv1 with a proposal that the right side takes.</summary>
    private byte[] FirstMessageV1()
    {
        var connection = world.Plan.Policy(isLeft: true).Connections[0];
        var offer = SuiteChoice.Offer(SuiteChoice.Of(connection, PhaseOne.MethodsOf(connection, initiator: true)), 3600);
        var builder = new ChainBuilder().Sa(offer.AsSpan());
        if (world.Plan.Aggressive)
        {
            var (nonce, key) = (new byte[32], new byte[64]);
            world.Luck.Fill(nonce);
            world.Luck.Fill(key);
            builder.Raw(PayloadV1.Ke, key).Raw(PayloadV1.Nonce, nonce).Raw(PayloadV1.Id, [(byte)IdV1.Fqdn, 0, 0, 0, .. "left.example.org"u8]);
        }

        return builder.ToMessage(new IkeHeader { InitiatorSpi = new IkeSpi(world.Luck.Next() | 1), MajorVersion = 1, Exchange = world.Plan.Aggressive ? ExchangeType.Aggressive : ExchangeType.IdentityProtection });
    }

    private byte[] FirstMessage()
    {
        if (world.Plan.IsV1) return FirstMessageV1();
        var nonce = new byte[32];
        world.Luck.Fill(nonce);
        var key = new byte[32];
        world.Luck.Fill(key);
        var proposals = EnginePair.Proposals(ProtocolId.Ike, world.Plan.RightIke);
        var builder = new MessageBuilder().Sa([new OfferedProposal(1, 0, 0, proposals[0])]).Ke(KeId.Curve25519, key).Nonce(nonce);
        return builder.ToMessage(IkeHeader.V2(new IkeSpi(world.Luck.Next() | 1), default, ExchangeType.IkeSaInit, fromInitiator: true, isResponse: false, 0));
    }
}
