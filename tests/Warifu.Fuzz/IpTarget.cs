using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Warifu.Crypto;
using Warifu.Ipsec;
using Warifu.Primitives;
using Warifu.Simulation;

namespace Warifu.Fuzz;

/// <summary>IP packets against the data path: headers, outbound with fragments and ICMP answers, and inbound, where a peer with the right keys seals whatever it likes.</summary>
internal sealed class IpTarget : FuzzTarget
{
    private const uint Spi = 0xC0DE_0001;
    private static readonly Instant s_now = new(1_000_000_000_000);
    private static readonly Endpoint s_outer = new(IpAddress.Parse("192.0.2.1"), 4500);
    private static readonly Endpoint s_peer = new(IpAddress.Parse("192.0.2.2"), 4500);
    private static readonly TrafficSelector[] s_local = [Range("10.1.0.0", "10.1.255.255"), Range("fd01::", "fd01::ffff")];
    private static readonly TrafficSelector[] s_remote = [Range("10.2.0.0", "10.2.255.255"), Range("fd02::", "fd02::ffff")];

    private readonly byte[] _buffer = new byte[70_000];
    private readonly byte[] _reply = new byte[IcmpError.MaxLength];
    private readonly byte[] _piece = new byte[70_000];

    public override string Name => "ip";

    public override string What => "IP, ESP and AH packets against the user-space data path";

    public override void Try(ulong seed)
    {
        var luck = new SeededEntropy(seed);
        var mutator = new Mutator(luck);
        var path = new PacketPath(luck);
        var encrypted = luck.Chance(0.5);
        using var sealer = PacketCipher.Create(encrypted ? EncrId.AesGcm16 : EncrId.Null, encrypted ? 128 : 0, encrypted ? IntegId.None : IntegId.HmacSha256_128, new byte[encrypted ? 20 : 0], new byte[encrypted ? 0 : 32], luck);
        path.Install(Child(encrypted, luck));
        var ah = (Sealing: new PacketPath(luck), Checking: new PacketPath(luck));
        var (tunnel, extended) = (luck.Chance(0.5), luck.Chance(0.5));
        var integ = luck.Chance(0.5) ? IntegId.HmacSha256_128 : IntegId.Aes128Gmac;
        ah.Sealing.Install(AhChild(integ, tunnel, extended, s_peer, s_outer, s_remote, s_local));
        ah.Checking.Install(AhChild(integ, tunnel, extended, s_outer, s_peer, s_local, s_remote));
        var sequence = 0u;
        for (var i = 0; i < 40; i++)
        {
            var packet = Packet(luck, toPeer: luck.Chance(0.5));
            if (luck.Chance(0.7)) packet = mutator.Mutate(packet);
            if (packet.Length > 60_000) continue;
            Header(packet);
            if (luck.Chance(0.3)) Ah(ah, packet, mutator, luck);
            else if (luck.Chance(0.5)) Outbound(path, packet, luck);
            else Inbound(path, luck.Chance(0.15) ? mutator.Mutate(Esp(sealer, packet, ++sequence, luck)) : Esp(sealer, packet, ++sequence, luck), luck);
        }

        path.Remove(1);
        ah.Sealing.Remove(1);
        ah.Checking.Remove(1);
    }

    /// <summary>What a peer with the right key makes of the packet, as it is or spoiled on the way; and the packet as if it were such a one.</summary>
    private void Ah((PacketPath Sealing, PacketPath Checking) ah, byte[] packet, Mutator mutator, SeededEntropy luck)
    {
        packet.CopyTo(_buffer.AsSpan(EspOverhead.Headroom));
        ah.Sealing.Outbound(_buffer, EspOverhead.Headroom, packet.Length, null, s_now, default, out var result);
        var arrives = packet;
        if (result.Verdict == OutboundVerdict.Protect)
        {
            Must(result.Packet.Offset >= 0 && result.Packet.Offset + result.Packet.Length <= _buffer.Length, "a sealed packet outside of the buffer");
            arrives = _buffer.AsSpan(result.Packet.Offset, result.Packet.Length).ToArray();
            Must(IpHeader.TryParse(arrives, out var outer) && outer.Flow.Protocol == IpHeader.Ah, "a packet with AH that is none");
            if (luck.Chance(0.5)) arrives = mutator.Mutate(arrives);
        }

        if (arrives.Length > 60_000) return;
        arrives.CopyTo(_buffer.AsSpan(EspOverhead.Headroom));
        ah.Checking.InboundAh(_buffer, EspOverhead.Headroom, arrives.Length, s_now, out var taken);
        if (taken.Drop != PacketDrop.None) return;
        Must(taken.Offset >= 0 && taken.Length > 0 && taken.Offset + taken.Length <= _buffer.Length, "an inner packet outside of the buffer");
        Must(IpHeader.TryParse(_buffer.AsSpan(taken.Offset, taken.Length), out var header), "an inner packet that is none");
        Must(Covers(s_remote, header.Flow.Source) && Covers(s_local, header.Flow.Destination), $"{header.Flow.Source} to {header.Flow.Destination} came out of the SA");
    }

    private static ChildSa AhChild(IntegId integ, bool tunnel, bool extended, Endpoint own, Endpoint peer, TrafficSelector[] local, TrafficSelector[] remote) => new()
    {
        Id = 1,
        IkeId = 1,
        Connection = "c",
        Name = "child",
        Protocol = ProtocolId.Ah,
        InboundSpi = new(Spi),
        OutboundSpi = new(Spi),
        Encr = EncrId.None,
        Integ = integ,
        Esn = extended,
        InboundEncrKey = new Secret(0),
        InboundIntegKey = new Secret(Algorithms.KeyLength(integ)),
        OutboundEncrKey = new Secret(0),
        OutboundIntegKey = new Secret(Algorithms.KeyLength(integ)),
        Local = own,
        Remote = peer,
        Mode = tunnel ? IpsecMode.Tunnel : IpsecMode.Transport,
        LocalSelectors = [.. local],
        RemoteSelectors = [.. remote],
        Options = new ChildOptions(),
    };

    private void Header(ReadOnlySpan<byte> packet)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var legal = IpHeader.TryParse(packet, out var header);
        Must(GC.GetAllocatedBytesForCurrentThread() == before, "the header parser allocates");
        if (!legal) return;
        Must(header.TotalLength <= packet.Length && header.UpperOffset <= header.TotalLength && header.EspOffset <= header.TotalLength && header.NextHeaderOffset < header.TotalLength, "offsets outside of the packet");
        Must(header.Flow.Source.Version == header.Version && header.Flow.Destination.Version == header.Version, "addresses of another version");
        packet.CopyTo(_piece);
        TcpMss.Clamp(_piece.AsSpan(0, packet.Length), header, 1200);
        Must(IcmpError.TooBig(packet, header, 1280, s_outer.Address, _reply) <= _reply.Length, "an ICMP error is too long");
        if (header.Version != 4 || header.TotalLength < 600) return;
        var (at, written) = (0, 0);
        for (var pieces = 0; ; pieces++)
        {
            Must(pieces < 1000, "fragments without end");
            var length = Ipv4Fragmenter.Next(packet, header, 576, ref at, _piece);
            if (length == 0) break;
            Must(length <= 576 && IpHeader.TryParse(_piece.AsSpan(0, length), out var piece) && piece.IsFragment, "a fragment that is none");
            written = at;
        }

        Must(written <= header.TotalLength - header.UpperOffset, "fragments of more than there was");
    }

    private void Outbound(PacketPath path, ReadOnlySpan<byte> packet, SeededEntropy luck)
    {
        packet.CopyTo(_buffer.AsSpan(EspOverhead.Headroom));
        path.Outbound(_buffer, EspOverhead.Headroom, packet.Length, luck.Chance(0.1) ? "st0.1" : null, s_now, luck.Chance(0.5) ? _reply : default, out var result);
        Must(result.ReplyLength <= _reply.Length, "an ICMP error is too long");
        if (result.Verdict == OutboundVerdict.Protect) Must(result.Packet.Offset >= 0 && result.Packet.Offset + result.Packet.Length <= _buffer.Length, "a sealed packet outside of the buffer");
    }

    private void Inbound(PacketPath path, ReadOnlySpan<byte> esp, SeededEntropy luck)
    {
        if (esp.Length > _buffer.Length - EspOverhead.Headroom - EspOverhead.Tailroom) return;
        esp.CopyTo(_buffer.AsSpan(EspOverhead.Headroom));
        path.Inbound(_buffer, EspOverhead.Headroom, esp.Length, new OuterInfo(s_outer, s_peer, (byte)luck.Below(256)), s_now, out var result);
        if (result.Drop != PacketDrop.None) return;
        Must(result.Offset >= 0 && result.Length > 0 && result.Offset + result.Length <= _buffer.Length, "an inner packet outside of the buffer");
        var inner = _buffer.AsSpan(result.Offset, result.Length);
        Must(IpHeader.TryParse(inner, out var header), "an inner packet that is none");
        // RFC 4301 section 5.2: what comes out of an SA must fit its selectors
        Must(Covers(s_remote, header.Flow.Source) && Covers(s_local, header.Flow.Destination), $"{header.Flow.Source} to {header.Flow.Destination} came out of the SA");
    }

    private static bool Covers(TrafficSelector[] selectors, IpAddress address)
    {
        foreach (var selector in selectors)
        {
            if (selector.Version == address.Version && selector.First <= address && address <= selector.Last) return true;
        }

        return false;
    }

    /// <summary>RFC 4303 section 2 by hand: any payload under any next header, right or wrong padding, with a good ICV.</summary>
    private static byte[] Esp(PacketCipher sealer, ReadOnlySpan<byte> payload, uint sequence, SeededEntropy luck)
    {
        var padding = -(payload.Length + 2) & 3;
        if (luck.Chance(0.1)) padding += 4 * luck.Below(60);
        var esp = new byte[8 + sealer.IvLength + payload.Length + padding + 2 + sealer.IcvLength];
        BinaryPrimitives.WriteUInt32BigEndian(esp, Spi);
        BinaryPrimitives.WriteUInt32BigEndian(esp.AsSpan(4), sequence);
        var at = 8 + sealer.IvLength;
        payload.CopyTo(esp.AsSpan(at));
        at += payload.Length;
        for (var i = 1; i <= padding; i++) esp[at++] = (byte)(luck.Chance(0.01) ? 0 : i);
        esp[at++] = (byte)(luck.Chance(0.05) ? luck.Below(256) : padding);
        esp[at] = luck.Chance(0.1) ? (byte)luck.Below(256) : !payload.IsEmpty && payload[0] >> 4 == 6 ? IpHeader.Ipv6InIp : IpHeader.IpInIp;
        sealer.Seal(esp, 8, sequence);
        return esp;
    }

    private static ChildSa Child(bool encrypted, SeededEntropy luck) => new()
    {
        Id = 1,
        IkeId = 1,
        Connection = "c",
        Name = "child",
        InboundSpi = new(Spi),
        OutboundSpi = new(0xC0DE_0002),
        Encr = encrypted ? EncrId.AesGcm16 : EncrId.Null,
        EncrKeyBits = encrypted ? 128 : 0,
        Integ = encrypted ? IntegId.None : IntegId.HmacSha256_128,
        InboundEncrKey = new Secret(encrypted ? 20 : 0),
        InboundIntegKey = new Secret(encrypted ? 0 : 32),
        OutboundEncrKey = new Secret(encrypted ? 20 : 0),
        OutboundIntegKey = new Secret(encrypted ? 0 : 32),
        Local = s_outer,
        Remote = s_peer,
        Mode = luck.Chance(0.2) ? IpsecMode.Transport : IpsecMode.Tunnel,
        UdpEncapsulation = luck.Chance(0.5),
        LocalSelectors = [.. s_local],
        RemoteSelectors = [.. s_remote],
        Options = new ChildOptions(),
    };

    private static byte[] Packet(SeededEntropy luck, bool toPeer)
    {
        var version = luck.Chance(0.5) ? 4 : 6;
        var payload = new byte[luck.Below(luck.Chance(0.9) ? 120 : 3000)];
        luck.Fill(payload);
        var protocol = (byte[])[IpHeader.Tcp, IpHeader.Udp, IpHeader.Icmp, IpHeader.IcmpV6, IpHeader.Fragment, IpHeader.HopByHop, IpHeader.DestinationOptions, IpHeader.Routing, IpHeader.Esp, 51];
        var next = luck.Chance(0.9) ? protocol[luck.Below(protocol.Length)] : (byte)luck.Below(256);
        var (near, far) = version == 4 ? (IpAddress.V4(0x0A01_0000 + (uint)luck.Below(300)), IpAddress.V4(0x0A02_0000 + (uint)luck.Below(300))) : (IpAddress.Parse("fd01::7"), IpAddress.Parse("fd02::7"));
        var (source, target) = toPeer ? (near, far) : (far, near);
        if (version == 4)
        {
            var packet = new byte[20 + payload.Length];
            payload.CopyTo(packet, 20);
            IpHeader.WriteV4(packet, packet.Length, (byte)luck.Below(256), (ushort)luck.Below(65_536), luck.Chance(0.5), (byte)luck.Below(256), next, source, target);
            return packet;
        }

        var extensions = new List<byte>();
        var first = next;
        for (var left = luck.Below(4); left > 0; left--)
        {
            // an extension header of 8 octets before what is there (RFC 8200 section 4)
            extensions.InsertRange(0, [first, 0, 0, (byte)luck.Below(256), 1, 2, 0, 0]);
            first = (byte[])[IpHeader.HopByHop, IpHeader.Routing, IpHeader.Fragment, IpHeader.DestinationOptions] is var kinds ? kinds[luck.Below(4)] : first;
        }

        var six = new byte[40 + extensions.Count + payload.Length];
        six[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(six.AsSpan(4), (ushort)(six.Length - 40));
        (six[6], six[7]) = (first, 64);
        source.Write(six.AsSpan(8));
        target.Write(six.AsSpan(24));
        extensions.CopyTo(six, 40);
        payload.CopyTo(six, 40 + extensions.Count);
        return six;
    }

    private static TrafficSelector Range(string first, string last) => new(IpAddress.Parse(first), IpAddress.Parse(last));
}
