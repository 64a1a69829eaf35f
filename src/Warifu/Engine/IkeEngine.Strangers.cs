using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Warifu.Ipsec;
using Warifu.Primitives;
using Warifu.V2;
using Warifu.Wire;

namespace Warifu.Engine;

/// <summary>Messages and packets of SAs that nobody here knows: after a crash the peer is told (RFC 7296 sections 1.5 and 2.21.4, RFC 6290); what others tell us so is a hint, or proof.</summary>
internal sealed partial class IkeEngine
{
    private readonly Dictionary<uint, uint> _byOutbound = [];
    private readonly Instant _began;
    private Instant _strangerAt;

    /// <summary>The IKE SA that a pair belongs to.</summary>
    public IkeSa? OwnerOf(ChildState child) => _byChild.GetValueOrDefault(child.Id);

    /// <summary>A request of an IKE SA that is gone or never was: INVALID_IKE_SPI with the token that this IKE SA had, if it is lost.</summary>
    private DropReason TellLost(in IkeHeader header, IkeSpi own, Endpoint local, Endpoint remote, int requestLength)
    {
        if (Options.CrashSecret is not { } secret || header.IsResponse || header.NextPayload is not (PayloadType.Sk or PayloadType.Skf) || own.Value >> 56 != Options.Shard) return DropReason.UnknownSpi;
        // never for an IKE SA that lives, whichever of its SPIs is ours (RFC 6290 section 9.2)
        if (_bySpi.ContainsKey(header.InitiatorSpi.Value) || _bySpi.ContainsKey(header.ResponderSpi.Value) || !MayAnswerStranger()) return DropReason.UnknownSpi;
        var token = CrashTokens.Make(secret, !header.FromInitiator, header.InitiatorSpi, header.ResponderSpi);
        var answer = new MessageBuilder().Notify(NotifyType.InvalidIkeSpi).NotifyIke(NotifyType.QuickCrashDetection, token)
            .ToMessage(IkeHeader.V2(header.InitiatorSpi, header.ResponderSpi, header.Exchange, !header.FromInitiator, isResponse: true, header.MessageId));
        // Amplification: the shortest request is a little shorter than this
        if (answer.Length * 2 > requestLength * 3) return DropReason.Amplification;
        Emit(new IkeAction.Send(local, remote, answer, NeedsMarker(local)));
        return DropReason.UnknownSpi;
    }

    /// <summary>A packet on a pair that nobody knows: soon after our start the peer may not know that we have lost it.</summary>
    private void TellLost(DataPlaneEvent.UnknownSpi packet)
    {
        if (Options.CrashSecret is null || Now - _began > ProtocolTimes.RestartSpan || _childSpis.Contains(packet.Spi.Value) || !MayAnswerStranger()) return;
        Span<byte> spi = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(spi, packet.Spi.Value);
        var message = new MessageBuilder().Notify(NotifyType.InvalidSpi, spi).ToMessage(IkeHeader.V2(default, default, ExchangeType.Informational, fromInitiator: true, isResponse: false, 0));
        var (local, remote) = packet.Local.Port == 0 ? (packet.Local with { Port = Options.Port }, packet.Remote with { Port = 500 }) : (packet.Local, packet.Remote);
        Emit(new IkeAction.Send(local, remote, message, NeedsMarker(local)));
    }

    /// <summary>INVALID_SPI outside of any IKE SA: nothing but a hint, never answered (section 1.5).</summary>
    private DropReason ReceiveHint(in IkeHeader header, Endpoint remote, ReadOnlySpan<byte> message)
    {
        if (MessageView.TryParse(header.NextPayload, message[IkeHeader.Length..], out var view) != ParseError.None || !view.TryGetNotify(NotifyType.InvalidSpi, out var invalid) || invalid.Data.Length != 4) return DropReason.UnknownSpi;
        if (_byOutbound.TryGetValue(BinaryPrimitives.ReadUInt32BigEndian(invalid.Data), out var id) && _byChild.TryGetValue(id, out var sa) && sa.Remote.Address == remote.Address) Liveness.Hint(sa);
        return DropReason.UnknownSpi;
    }

    /// <summary>A bucket that holds one second; long after our start a lost IKE SA is the exception (RFC 6290 section 9.3).</summary>
    private bool MayAnswerStranger()
    {
        if (_strangerAt > Now + TimeSpan.FromSeconds(1)) return false;
        var rate = Now - _began > ProtocolTimes.RestartSpan ? 1 : ProtocolTimes.StrangersPerSecond;
        _strangerAt = (_strangerAt > Now ? _strangerAt : Now) + TimeSpan.FromSeconds(1.0 / rate);
        return true;
    }
}
