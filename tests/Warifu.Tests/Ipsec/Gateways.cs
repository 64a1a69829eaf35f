using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Collections.Immutable;
using Warifu.Ipsec;
using Warifu.Primitives;

namespace Warifu.Tests.Ipsec;

/// <summary>Two packet paths with one pair of SAs between them: A protects 10.1/16 and fd01::/16, B 10.2/16 and fd02::/16.</summary>
internal sealed class Gateways
{
    public const uint PairId = 7;
    public static readonly Instant Now = new(1_000_000_000_000);

    private readonly byte[] _wire = new byte[70_000];

    public Gateways(Func<ChildSa, ChildSa>? adjust = null, EncrId encr = EncrId.AesGcm16, int bits = 128, IntegId integ = IntegId.None)
    {
        var a = MakeChild(encr, bits, integ, outbound: false);
        var b = MakeChild(encr, bits, integ, outbound: true);
        A.Install(adjust is null ? a : adjust(a));
        B.Install(adjust is null ? b : Mirror(adjust(Mirror(b))));
    }

    public PacketPath A { get; } = new(new CountingEntropy());

    public PacketPath B { get; } = new(new CountingEntropy());

    public IpsecSa SaA => A.Sad.ById(PairId)!;

    public IpsecSa SaB => B.Sad.ById(PairId)!;

    /// <summary>The ESP packet that went from A to B, SPI first.</summary>
    public byte[] Esp { get; private set; } = [];

    public OutboundResult Sent { get; private set; }

    public InboundResult Received { get; private set; }

    /// <summary>Seals at A and opens at B; returns what B would deliver, null when somebody dropped it.</summary>
    public byte[]? AToB(byte[] inner, byte? outerTos = null) => Send(A, inner) is { } esp ? Deliver(B, esp, outerTos ?? Sent.Tos, fromA: true) : null;

    public byte[]? BToA(byte[] inner) => Send(B, inner) is { } esp ? Deliver(A, esp, Sent.Tos, fromA: false) : null;

    public byte[]? Send(PacketPath path, byte[] inner, byte[]? reply = null)
    {
        inner.CopyTo(_wire, EspOverhead.Headroom);
        path.Outbound(_wire, EspOverhead.Headroom, inner.Length, null, Now, reply, out var result);
        Sent = result;
        if (result.Verdict != OutboundVerdict.Protect) return null;
        return Esp = _wire.AsSpan(result.Packet.Offset, result.Packet.Length).ToArray();
    }

    public byte[] HeaderOfSent() => _wire.AsSpan(Sent.Packet.Offset - Sent.Packet.HeaderLength, Sent.Packet.HeaderLength).ToArray();

    public byte[]? Deliver(PacketPath path, byte[] esp, byte tos = 0, bool fromA = true, Endpoint? from = null)
    {
        esp.CopyTo(_wire, EspOverhead.Headroom);
        var (local, remote) = fromA ? (OuterB, OuterA) : (OuterA, OuterB);
        path.Inbound(_wire, EspOverhead.Headroom, esp.Length, new OuterInfo(local, from ?? remote, tos), Now, out var result);
        Received = result;
        return result.Drop == PacketDrop.None ? _wire.AsSpan(result.Offset, result.Length).ToArray() : null;
    }

    public static readonly Endpoint OuterA = new(IpAddress.Parse("192.0.2.1"), 4500);
    public static readonly Endpoint OuterB = new(IpAddress.Parse("192.0.2.2"), 4500);

    public static TrafficSelector Selector(string prefix, byte protocol = 0, ushort first = 0, ushort last = ushort.MaxValue)
    {
        var parts = prefix.Split('/');
        var of = new IpPrefix(IpAddress.Parse(parts[0]), int.Parse(parts[1]));
        return new TrafficSelector(of.Address, of.Last, protocol, first, last);
    }

    public static ChildSa MakeChild(EncrId encr = EncrId.AesGcm16, int bits = 128, IntegId integ = IntegId.None, bool outbound = false, uint id = PairId, uint spi = 0x1000)
    {
        var info = Warifu.Crypto.Algorithms.Encr[encr];
        var integLength = info.IsAead ? 0 : Warifu.Crypto.Algorithms.Integ[integ].KeyLength;
        Secret Key(int length, byte seed)
        {
            var secret = new Secret(length);
            for (var i = 0; i < length; i++) secret.Span[i] = (byte)(seed + (i * 7));
            return secret;
        }

        var encrLength = info.KeyMaterialLength(bits);
        var (sendSeed, receiveSeed) = outbound ? ((byte)0x51, (byte)0x11) : ((byte)0x11, (byte)0x51);
        var (local, remote) = outbound ? (OuterB, OuterA) : (OuterA, OuterB);
        var (near, far) = outbound ? ("2", "1") : ("1", "2");
        return new ChildSa
        {
            Id = id,
            IkeId = 1,
            Connection = "c",
            Name = "child",
            InboundSpi = new(outbound ? spi + 1 : spi),
            OutboundSpi = new(outbound ? spi : spi + 1),
            Encr = encr,
            EncrKeyBits = bits,
            Integ = integ,
            InboundEncrKey = Key(encrLength, receiveSeed),
            InboundIntegKey = Key(integLength, (byte)(receiveSeed + 1)),
            OutboundEncrKey = Key(encrLength, sendSeed),
            OutboundIntegKey = Key(integLength, (byte)(sendSeed + 1)),
            Local = local,
            Remote = remote,
            UdpEncapsulation = true,
            LocalSelectors = [Selector($"10.{near}.0.0/16"), Selector($"fd0{near}::/16")],
            RemoteSelectors = [Selector($"10.{far}.0.0/16"), Selector($"fd0{far}::/16")],
            Options = new ChildOptions(),
        };
    }

    /// <summary>A copy with some things changed; keys are shared with the original, which is then left alone.</summary>
    public static ChildSa With(ChildSa sa, IpsecMode? mode = null, bool? esn = null, int? window = null, ChildOptions? options = null, Endpoint? local = null, Endpoint? remote = null, bool? udp = null,
        ImmutableArray<TrafficSelector>? localSelectors = null, ImmutableArray<TrafficSelector>? remoteSelectors = null, bool? ready = null, uint? replaces = null, bool? behindNat = null,
        ulong softPackets = 0, ulong hardPackets = 0, ulong softBytes = 0, ulong hardBytes = 0) => new()
        {
            Id = sa.Id,
            IkeId = sa.IkeId,
            Connection = sa.Connection,
            Name = sa.Name,
            Mode = mode ?? sa.Mode,
            InboundSpi = sa.InboundSpi,
            OutboundSpi = sa.OutboundSpi,
            Encr = sa.Encr,
            EncrKeyBits = sa.EncrKeyBits,
            Integ = sa.Integ,
            Esn = esn ?? sa.Esn,
            InboundEncrKey = sa.InboundEncrKey,
            InboundIntegKey = sa.InboundIntegKey,
            OutboundEncrKey = sa.OutboundEncrKey,
            OutboundIntegKey = sa.OutboundIntegKey,
            Local = local ?? sa.Local,
            Remote = remote ?? sa.Remote,
            UdpEncapsulation = udp ?? sa.UdpEncapsulation,
            RemoteBehindNat = behindNat ?? sa.RemoteBehindNat,
            LocalSelectors = localSelectors ?? sa.LocalSelectors,
            RemoteSelectors = remoteSelectors ?? sa.RemoteSelectors,
            ReplayWindow = window ?? sa.ReplayWindow,
            SoftPackets = softPackets,
            HardPackets = hardPackets,
            SoftBytes = softBytes,
            HardBytes = hardBytes,
            OutboundReady = ready ?? sa.OutboundReady,
            Replaces = replaces ?? sa.Replaces,
            Options = options ?? sa.Options,
        };

    public static List<DataPlaneEvent> Events(PacketPath path)
    {
        var events = new List<DataPlaneEvent>();
        while (path.TryDequeueEvent(out var raised)) events.Add(raised!);
        return events;
    }

    private static ChildSa Mirror(ChildSa sa) => new()
    {
        Id = sa.Id,
        IkeId = sa.IkeId,
        Connection = sa.Connection,
        Name = sa.Name,
        Mode = sa.Mode,
        InboundSpi = sa.OutboundSpi,
        OutboundSpi = sa.InboundSpi,
        Encr = sa.Encr,
        EncrKeyBits = sa.EncrKeyBits,
        Integ = sa.Integ,
        Esn = sa.Esn,
        InboundEncrKey = sa.OutboundEncrKey,
        InboundIntegKey = sa.OutboundIntegKey,
        OutboundEncrKey = sa.InboundEncrKey,
        OutboundIntegKey = sa.InboundIntegKey,
        Local = sa.Remote,
        Remote = sa.Local,
        UdpEncapsulation = sa.UdpEncapsulation,
        RemoteBehindNat = sa.RemoteBehindNat,
        LocalSelectors = sa.RemoteSelectors,
        RemoteSelectors = sa.LocalSelectors,
        ReplayWindow = sa.ReplayWindow,
        SoftPackets = sa.SoftPackets,
        HardPackets = sa.HardPackets,
        SoftBytes = sa.SoftBytes,
        HardBytes = sa.HardBytes,
        OutboundReady = sa.OutboundReady,
        Options = sa.Options,
    };
}

/// <summary>Luck without surprise.</summary>
internal sealed class CountingEntropy : IEntropy
{
    private byte _next;

    public void Fill(Span<byte> destination)
    {
        foreach (ref var octet in destination) octet = _next++;
    }
}

/// <summary>IP packets for tests, written without the code under test.</summary>
internal static class Packets
{
    public static byte[] V4(string from, string to, byte protocol, byte[] payload, byte tos = 0, bool df = false, int fragmentOffset = 0, bool more = false, byte[]? options = null)
    {
        options ??= [];
        var header = 20 + options.Length;
        var packet = new byte[header + payload.Length];
        packet[0] = (byte)(0x40 | (header / 4));
        packet[1] = tos;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)packet.Length);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), 0x1234);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(6), (ushort)((df ? 0x4000 : 0) | (more ? 0x2000 : 0) | (fragmentOffset / 8)));
        packet[8] = 63;
        packet[9] = protocol;
        IpAddress.Parse(from).ToOctets().CopyTo(packet, 12);
        IpAddress.Parse(to).ToOctets().CopyTo(packet, 16);
        options.CopyTo(packet, 20);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), SlowChecksum(packet.AsSpan(0, header)));
        payload.CopyTo(packet, header);
        return packet;
    }

    public static byte[] V6(string from, string to, byte next, byte[] payload, byte trafficClass = 0)
    {
        var packet = new byte[40 + payload.Length];
        BinaryPrimitives.WriteUInt32BigEndian(packet, 0x60000000u | ((uint)trafficClass << 20) | 0xABCDE);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), (ushort)payload.Length);
        packet[6] = next;
        packet[7] = 63;
        IpAddress.Parse(from).ToOctets().CopyTo(packet, 8);
        IpAddress.Parse(to).ToOctets().CopyTo(packet, 24);
        payload.CopyTo(packet, 40);
        return packet;
    }

    public static byte[] Udp(ushort from, ushort to, int data = 32)
    {
        var udp = new byte[8 + data];
        BinaryPrimitives.WriteUInt16BigEndian(udp, from);
        BinaryPrimitives.WriteUInt16BigEndian(udp.AsSpan(2), to);
        BinaryPrimitives.WriteUInt16BigEndian(udp.AsSpan(4), (ushort)udp.Length);
        for (var i = 8; i < udp.Length; i++) udp[i] = (byte)i;
        return udp;
    }

    public static byte[] Icmp(byte type, byte code) => [type, code, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

    /// <summary>RFC 1071 as its text has it, one word at a time.</summary>
    public static ushort SlowChecksum(ReadOnlySpan<byte> octets, uint initial = 0)
    {
        var sum = initial;
        for (var i = 0; i < octets.Length; i += 2)
        {
            sum += (uint)(octets[i] << 8) + (i + 1 < octets.Length ? octets[i + 1] : 0u);
            while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
        }

        return (ushort)~sum;
    }
}
