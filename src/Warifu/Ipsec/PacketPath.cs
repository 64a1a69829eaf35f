using System;
using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Threading;
using Warifu.Primitives;

namespace Warifu.Ipsec;

internal enum OutboundVerdict
{
    /// <summary>Send <see cref="OutboundResult.Packet"/> along <see cref="OutboundResult.Path"/>.</summary>
    Protect,
    /// <summary>Cut it with <see cref="Ipv4Fragmenter"/> at <see cref="OutboundResult.FragmentMtu"/> and give each piece to <see cref="PacketPath.ProtectFragment"/>.</summary>
    Fragment,
    /// <summary>The policy lets it pass in clear.</summary>
    Bypass,
    /// <summary>Dropped for <see cref="OutboundResult.Drop"/>; an ICMP error of <see cref="OutboundResult.ReplyLength"/> octets goes back to the sender.</summary>
    Discard,
}

/// <summary>What happens to a packet that goes out.</summary>
internal struct OutboundResult
{
    public OutboundVerdict Verdict;
    public PacketDrop Drop;
    public IpsecSa? Sa;
    public SaPath? Path;
    public SealedPacket Packet;

    /// <summary>Outer TOS or traffic class.</summary>
    public byte Tos;

    /// <summary>Outer DF (IPv4).</summary>
    public bool DontFragment;

    public int FragmentMtu;
    public int ReplyLength;
}

/// <summary>What happens to an ESP packet that came in: on <see cref="PacketDrop.None"/> an inner packet at <see cref="Offset"/> of the buffer.</summary>
internal struct InboundResult
{
    public PacketDrop Drop;
    public IpsecSa? Sa;
    public int Offset;
    public int Length;
}

/// <summary>What a socket says about an ESP packet beside its octets.</summary>
internal readonly record struct OuterInfo(Endpoint Local, Endpoint Remote, byte Tos = 0, byte HopLimit = 64);

/// <summary>
/// The way of packets through user-space ESP and AH: TUN -> IP header -> SPD -> SA -> seal -> wire, and back. The commands of <see cref="IDataPlane"/> come from one thread (the engine's); <see cref="Outbound"/>
/// and <see cref="Inbound"/> from any number of threads at the same time. Nothing is allocated per packet; peers cannot make it throw.
/// </summary>
internal sealed class PacketPath(IEntropy entropy) : IDataPlane
{
    private const int MaxEvents = 1024;

    /// <summary>So long a smaller path is believed in; then a large packet finds out whether it has become wider (RFC 1191 section 6.3, RFC 8201 section 5.3).</summary>
    public static TimeSpan PathMtuLife { get; } = TimeSpan.FromMinutes(10);

    private readonly Spd _spd = new();
    private readonly Sad _sad = new();
    private readonly ConcurrentDictionary<IpAddress, (int Mtu, Instant Learned)> _pathMtus = new();
    private readonly ConcurrentQueue<DataPlaneEvent> _events = new();
    private readonly long[] _drops = new long[(int)PacketDrop.Count];
    private readonly RateLimit _icmpRate = new(perSecond: 200, burst: 50);
    private readonly RateLimit _unknownSpiRate = new(perSecond: 10, burst: 10);
    private readonly NatFlows _natFlows = new();
    private long _lostEvents;

    /// <summary>MTU of paths that nothing is known of.</summary>
    public int DefaultPathMtu { get; init; } = 1500;

    /// <summary>Source addresses of ICMP errors; none = the address that could not be reached, which a local sender always accepts.</summary>
    public IpAddress IcmpSourceV4 { get; set; }

    public IpAddress IcmpSourceV6 { get; set; }

    /// <summary>Called, on a data thread, after an event was queued.</summary>
    public Action? EventRaised { get; set; }

    public Spd Spd => _spd;

    public Sad Sad => _sad;

    /// <summary>Events that found the queue full.</summary>
    public long LostEvents => Volatile.Read(ref _lostEvents);

    public ulong Drops(PacketDrop reason) => (ulong)Volatile.Read(ref _drops[(int)reason]);

    public bool TryDequeueEvent(out DataPlaneEvent? raised) => _events.TryDequeue(out raised);

    // ---- the engine's side

    public void InstallPolicy(TrafficPolicy policy) => _spd.Install(policy);

    public void RemovePolicy(string connection, string child) => _spd.Remove(connection, child);

    public void Install(ChildSa sa)
    {
        var pair = new IpsecSa(sa, entropy, PathMtuOf(sa.Remote.Address));
        if (!_sad.TryAdd(pair))
        {
            pair.Dispose();
            throw new InvalidOperationException($"SPI {sa.InboundSpi} or pair {sa.Id} is taken");
        }

        _spd.Install(pair);
    }

    public void UseOutbound(uint id) => _sad.ById(id)?.UseOutbound();

    public void Move(uint id, Endpoint local, Endpoint remote, bool udpEncapsulation, bool localBehindNat)
    {
        if (_sad.ById(id) is not { } sa) return;
        // another way has an MTU of its own
        var mtu = sa.Path.Remote.Address == remote.Address && sa.Path.Local.Address == local.Address ? sa.Path.Mtu : PathMtuOf(remote.Address);
        sa.Move(local, remote, udpEncapsulation, localBehindNat, mtu);
    }

    public void Remove(uint id)
    {
        if (_sad.Remove(id) is not { } sa) return;
        _spd.Remove(sa);
        if (sa.SharesAddress) _natFlows.Forget(sa);
        sa.Dispose();
    }

    /// <summary>Nothing goes out on the pair any more; what was under way when it was replaced still comes in until it is removed.</summary>
    public void Retire(uint id)
    {
        if (_sad.ById(id) is { } sa) _spd.Remove(sa);
    }

    public bool TryQuery(uint id, out ChildCounters counters)
    {
        var sa = _sad.ById(id);
        counters = sa?.Counters ?? default;
        return sa is not null;
    }

    /// <summary>Numbers of all pairs.</summary>
    public List<uint> PairIds()
    {
        var ids = new List<uint>();
        foreach (var sa in _sad.All) ids.Add(sa.Id);
        return ids;
    }

    /// <summary>The largest inner packet that the pair takes without fragmentation outside; 0 when there is no such pair.</summary>
    public int InnerMtu(uint id) => _sad.ById(id)?.DeviceMtu ?? 0;

    /// <summary>A router on the way to <paramref name="remote"/> takes no larger packets. Taken from the kernel, which has checked the ICMP error; never below 576 or 1280 (RFC 4301 section 8.2.1).</summary>
    public void LearnPathMtu(IpAddress remote, int mtu, Instant now)
    {
        mtu = Math.Max(mtu, remote.IsV6 ? 1280 : 576);
        if (SetPathMtu(remote, mtu)) _pathMtus[remote] = (mtu, now);
    }

    /// <summary>What was learned long ago is forgotten. True when something was.</summary>
    public bool ForgetPathMtus(Instant now)
    {
        var forgot = false;
        foreach (var (remote, (_, learned)) in _pathMtus)
        {
            if (now < learned + PathMtuLife || !_pathMtus.TryRemove(remote, out _)) continue;
            SetPathMtu(remote, DefaultPathMtu);
            forgot = true;
        }

        return forgot;
    }

    private int PathMtuOf(IpAddress remote) => _pathMtus.TryGetValue(remote, out var learned) ? learned.Mtu : DefaultPathMtu;

    /// <returns>False when no pair goes there.</returns>
    private bool SetPathMtu(IpAddress remote, int mtu)
    {
        var used = false;
        foreach (var sa in _sad.All)
        {
            if (sa.Path.Remote.Address != remote) continue;
            used = true;
            if (sa.Path.Mtu != mtu) sa.SetPathMtu(mtu);
        }

        return used;
    }

    // ---- out

    /// <summary>Takes an inner packet at <paramref name="offset"/> of <paramref name="buffer"/>, with <see cref="EspOverhead.Headroom"/> before it and <see cref="EspOverhead.Tailroom"/> behind.</summary>
    /// <param name="buffer">Sealed in place.</param>
    /// <param name="offset">Where the IP header is.</param>
    /// <param name="length">Octets of the packet.</param>
    /// <param name="boundInterface">The name of the TUN that it came from when connections are bound to that TUN; null for the shared one.</param>
    /// <param name="now">For counters and rate limits.</param>
    /// <param name="reply">Room for an ICMP error: <see cref="IcmpError.MaxLength"/>; empty = none wanted.</param>
    /// <param name="result">The verdict.</param>
    public void Outbound(Span<byte> buffer, int offset, int length, string? boundInterface, Instant now, Span<byte> reply, out OutboundResult result)
    {
        result = default;
        var packet = buffer.Slice(offset, length);
        if (!IpHeader.TryParse(packet, out var header))
        {
            Discard(PacketDrop.Malformed, null, ref result);
            return;
        }

        var entry = _spd.Table(boundInterface)?.Lookup(header.Flow);
        if (entry?.Sa is { } sa)
        {
            if (sa.SharesAddress) sa = _natFlows.Choose(sa, header.Flow);
            Protect(sa, buffer, offset, header, now, reply, ref result);
            return;
        }

        switch (entry?.Policy?.Policy.Action)
        {
            case TrafficAction.Bypass:
                result.Verdict = OutboundVerdict.Bypass;
                return;
            case TrafficAction.Protect:
                Discard(PacketDrop.NoSa, null, ref result);
                if (entry.Policy.TryAcquire(now)) RaiseAcquire(entry.Policy.Policy, header.Flow);
                return;
            default:
                Discard(entry is null ? PacketDrop.NoPolicy : PacketDrop.PolicyDiscard, null, ref result);
                if (!reply.IsEmpty && _icmpRate.TryTake(now)) result.ReplyLength = IcmpError.Prohibited(packet, header, IcmpSource(header.Version), reply);
                return;
        }
    }

    /// <summary>Seals a piece of a packet whose SA is known already: pieces are not looked up again, since only the first one has ports.</summary>
    public void ProtectFragment(IpsecSa sa, Span<byte> buffer, int offset, int length, Instant now, out OutboundResult result)
    {
        result = default;
        if (!IpHeader.TryParse(buffer.Slice(offset, length), out var header))
        {
            Discard(PacketDrop.Malformed, sa, ref result);
            return;
        }

        Seal(sa, buffer, offset, header, now, OuterDf(sa, header), ref result);
    }

    /// <summary>Seals a packet that follows <paramref name="first"/> in a run: of the same flow, no longer, and in all that the SPD and the path ask for the same. What was found for the first holds for it.</summary>
    public void ProtectNext(in OutboundResult first, Span<byte> buffer, int offset, int length, Instant now, out OutboundResult result)
    {
        result = default;
        if (!IpHeader.TryParse(buffer.Slice(offset, length), out var header)) Discard(PacketDrop.Malformed, first.Sa, ref result);
        else Seal(first.Sa!, buffer, offset, header, now, first.DontFragment, ref result);
    }

    private void Protect(IpsecSa sa, Span<byte> buffer, int offset, in IpHeader header, Instant now, Span<byte> reply, ref OutboundResult result)
    {
        var packet = buffer.Slice(offset, header.TotalLength);
        var mtu = sa.InnerMtu(header);
        ClampMss(sa, packet, header, mtu);
        var dontFragment = OuterDf(sa, header);
        if (header.TotalLength > mtu && sa.Options.Df != DfPolicy.Clear)
        {
            // RFC 4301 section 8.2.1: no host is told of less than the smallest MTU of its protocol; such packets are fragmented outside
            var told = Math.Max(mtu, header.Version == 4 ? 576 : 1280);
            if (header.DontFragment && header.TotalLength > told)
            {
                Discard(PacketDrop.TooBig, sa, ref result);
                if (!reply.IsEmpty && _icmpRate.TryTake(now)) result.ReplyLength = IcmpError.TooBig(packet, header, told, IcmpSource(header.Version), reply);
                return;
            }

            if (!header.DontFragment && sa.Mode == IpsecMode.Tunnel && sa.Selectors.TakesFragments && mtu >= header.UpperOffset + 8)
            {
                result.Verdict = OutboundVerdict.Fragment;
                result.Sa = sa;
                result.FragmentMtu = mtu;
                return;
            }

            dontFragment = false;
        }

        Seal(sa, buffer, offset, header, now, dontFragment, ref result);
    }

    private void Seal(IpsecSa sa, Span<byte> buffer, int offset, in IpHeader header, Instant now, bool dontFragment, ref OutboundResult result)
    {
        var tos = sa.Mode == IpsecMode.Tunnel ? TosField.Wrap(header.Tos, sa.Options.CopyDscpOut, sa.Options.CopyEcn) : header.Tos;
        var drop = sa.Seal(buffer, offset, header, tos, dontFragment, now, out result.Packet);
        RaiseLimits(sa);
        if (drop != PacketDrop.None)
        {
            Discard(drop, sa, ref result);
            return;
        }

        result.Verdict = OutboundVerdict.Protect;
        result.Sa = sa;
        result.Path = sa.Path;
        result.Tos = tos;
        result.DontFragment = dontFragment;
    }

    /// <summary>RFC 4301 section 8.1. An IPv6 packet inside counts as one with DF.</summary>
    private static bool OuterDf(IpsecSa sa, in IpHeader header) => sa.Mode == IpsecMode.Transport ? header.DontFragment : sa.Options.Df switch
    {
        DfPolicy.Set => true,
        DfPolicy.Clear => false,
        _ => header.DontFragment,
    };

    // ---- in

    /// <summary>The packet belongs to a pair in transport mode: <see cref="Inbound"/> will put an IP header before it.</summary>
    public bool RebuildsHeader(ReadOnlySpan<byte> esp) => esp.Length >= EspOverhead.HeaderLength && _sad.BySpi(ProtocolId.Esp, new ChildSpi(BinaryPrimitives.ReadUInt32BigEndian(esp))) is { Mode: IpsecMode.Transport };

    /// <summary>Takes an ESP packet (SPI to ICV) at <paramref name="offset"/> of <paramref name="buffer"/>, with <see cref="EspOverhead.Headroom"/> before it.</summary>
    public void Inbound(Span<byte> buffer, int offset, int length, in OuterInfo outer, Instant now, out InboundResult result)
    {
        result = default;
        var esp = buffer.Slice(offset, length);
        if (length < EspOverhead.HeaderLength)
        {
            Drop(PacketDrop.TooShort, null, ref result);
            return;
        }

        if (Find(ProtocolId.Esp, BinaryPrimitives.ReadUInt32BigEndian(esp), outer.Local, outer.Remote, now, ref result) is not { } sa) return;
        var drop = sa.Open(esp, default, outer.Remote, now, out var payload, out var nextHeader, out var moved);
        RaiseLimits(sa);
        if (moved) Raise(new DataPlaneEvent.PeerMoved(sa.Id, outer.Remote));
        if (drop == PacketDrop.None)
        {
            result.Offset = offset + payload.Start.Value;
            result.Length = payload.End.Value - payload.Start.Value;
            drop = sa.Mode == IpsecMode.Tunnel ? Unwrap(sa, buffer, nextHeader, outer, ref result) : Rebuild(sa, buffer, nextHeader, outer, ref result);
        }

        if (drop == PacketDrop.None && sa.SharesAddress && !_natFlows.TryEnter(sa, buffer.Slice(result.Offset, result.Length), now)) drop = PacketDrop.OtherFlow;
        if (drop != PacketDrop.None) Drop(drop, sa, ref result);
    }

    /// <summary>Takes a whole IP packet with AH at <paramref name="offset"/> of <paramref name="buffer"/>.</summary>
    public void InboundAh(Span<byte> buffer, int offset, int length, Instant now, out InboundResult result)
    {
        result = default;
        var packet = buffer.Slice(offset, length);
        if (!IpHeader.TryParse(packet, out var header) || header.Flow.Protocol != IpHeader.Ah || header.IsFragment)
        {
            Drop(PacketDrop.Malformed, null, ref result);
            return;
        }

        packet = packet[..header.TotalLength];
        if (header.FragmentHeaderOffset != 0)
        {
            AhCoverage.RemoveFragmentHeader(packet, header);
            InboundAh(buffer, offset + 8, header.TotalLength - 8, now, out result);
            return;
        }

        if (packet.Length - header.UpperOffset < AhOverhead.FixedLength)
        {
            Drop(PacketDrop.TooShort, null, ref result);
            return;
        }

        var outer = new OuterInfo(new Endpoint(header.Flow.Destination, 0), new Endpoint(header.Flow.Source, 0), header.Tos, header.HopLimit);
        if (Find(ProtocolId.Ah, BinaryPrimitives.ReadUInt32BigEndian(packet[(header.UpperOffset + 4)..]), outer.Local, outer.Remote, now, ref result) is not { } sa) return;
        var drop = sa.Open(packet, header, outer.Remote, now, out var payload, out var nextHeader, out _);
        RaiseLimits(sa);
        if (drop == PacketDrop.None)
        {
            result.Offset = offset + payload.Start.Value;
            result.Length = payload.End.Value - payload.Start.Value;
            drop = sa.Mode == IpsecMode.Tunnel ? Unwrap(sa, buffer, nextHeader, outer, ref result) : TakeOut(sa, buffer, offset, header, nextHeader, ref result);
        }

        if (drop != PacketDrop.None) Drop(drop, sa, ref result);
    }

    /// <summary>AH in transport mode: the headers before it move to what is behind it.</summary>
    private static PacketDrop TakeOut(IpsecSa sa, Span<byte> buffer, int offset, in IpHeader outer, byte nextHeader, ref InboundResult result)
    {
        var headers = outer.UpperOffset;
        var start = result.Offset - headers;
        buffer.Slice(offset, headers).CopyTo(buffer[start..]);
        result.Offset = start;
        result.Length += headers;
        var inner = buffer.Slice(start, result.Length);
        inner[outer.ProtocolOffset] = nextHeader;
        if (outer.Version == 4)
        {
            BinaryPrimitives.WriteUInt16BigEndian(inner[2..], (ushort)inner.Length);
            IpHeader.WriteV4Checksum(inner[..headers]);
        }
        else
        {
            BinaryPrimitives.WriteUInt16BigEndian(inner[4..], (ushort)(inner.Length - 40));
        }

        return IpHeader.TryParse(inner, out var header) ? Admit(sa, inner, header) : PacketDrop.BadInner;
    }

    private IpsecSa? Find(ProtocolId protocol, uint value, Endpoint local, Endpoint remote, Instant now, ref InboundResult result)
    {
        var spi = new ChildSpi(value);
        result.Sa = _sad.BySpi(protocol, spi);
        if (result.Sa is { } sa) return sa;
        Drop(PacketDrop.UnknownSpi, null, ref result);
        if (value > 255 && _unknownSpiRate.TryTake(now)) Raise(new DataPlaneEvent.UnknownSpi(spi, local, remote) { Protocol = protocol });
        return null;
    }

    private static PacketDrop Unwrap(IpsecSa sa, Span<byte> buffer, byte nextHeader, in OuterInfo outer, ref InboundResult result)
    {
        var version = nextHeader switch { IpHeader.IpInIp => 4, IpHeader.Ipv6InIp => 6, _ => 0 };
        if (version == 0) return PacketDrop.BadNextHeader;
        if (!IpHeader.TryParse(buffer.Slice(result.Offset, result.Length), out var header) || header.Version != version) return PacketDrop.BadInner;
        // what lies behind the packet is TFC padding (RFC 4303 section 2.7)
        result.Length = header.TotalLength;
        if (!TosField.TryUnwrap(header.Tos, outer.Tos, sa.Options.CopyDscpIn, sa.Options.CopyEcn, out var tos)) return PacketDrop.Ecn;
        var inner = buffer.Slice(result.Offset, result.Length);
        if (tos != header.Tos) IpHeader.SetTos(inner, tos);
        return Admit(sa, inner, header);
    }

    /// <summary>Transport mode: puts an IP header with the outer addresses in front of the payload.</summary>
    private static PacketDrop Rebuild(IpsecSa sa, Span<byte> buffer, byte nextHeader, in OuterInfo outer, ref InboundResult result)
    {
        var path = sa.Path;
        // behind a NAT the outer address may change in the middle of a flow, which knows the one that was negotiated (RFC 7296 section 2.23.1)
        var source = sa.IsBehindNat && !sa.Selectors.OnlyRemote.IsNone ? sa.Selectors.OnlyRemote : outer.Remote.Address.IsNone ? path.Remote.Address : outer.Remote.Address;
        var destination = sa.IsBehindNat && !sa.Selectors.OnlyLocal.IsNone ? sa.Selectors.OnlyLocal : outer.Local.Address.IsNone ? path.Local.Address : outer.Local.Address;
        if (source.IsNone || source.Version != destination.Version) return PacketDrop.BadSource;
        var ipLength = EspOverhead.OuterIpLength(source.IsV6);
        if (result.Offset < ipLength) return PacketDrop.NoRoom;
        if (result.Length > ushort.MaxValue - ipLength) return PacketDrop.BadInner;
        var front = buffer.Slice(result.Offset - ipLength, ipLength);
        if (source.IsV4) IpHeader.WriteV4(front, ipLength + result.Length, outer.Tos, 0, true, outer.HopLimit, nextHeader, source, destination);
        else IpHeader.WriteV6(front, result.Length, outer.Tos, outer.HopLimit, nextHeader, source, destination);
        result.Offset -= ipLength;
        result.Length += ipLength;
        var inner = buffer.Slice(result.Offset, result.Length);
        if (!IpHeader.TryParse(inner, out var header)) return PacketDrop.BadInner;
        NatChecksum.Repair(inner, header, sa.Child.OriginalRemote, sa.Child.OriginalLocal);
        return Admit(sa, inner, header);
    }

    /// <summary>RFC 4301 section 5.2 step 4: an authentic packet still has to be one that the SA was made for.</summary>
    private static PacketDrop Admit(IpsecSa sa, Span<byte> inner, in IpHeader header)
    {
        if (!sa.Selectors.CoversInbound(header.Flow)) return PacketDrop.Selector;
        if (!IsHostAddress(header.Flow.Source)) return PacketDrop.BadSource;
        if (header.Flow.Protocol == IpHeader.Tcp) ClampMss(sa, inner, header, sa.InnerMtu(header));
        return PacketDrop.None;
    }

    private static void ClampMss(IpsecSa sa, Span<byte> packet, in IpHeader header, int mtu)
    {
        if (sa.Options.Mss < 0 || header.Flow.Protocol != IpHeader.Tcp) return;
        TcpMss.Clamp(packet, header, sa.Options.Mss > 0 ? sa.Options.Mss : TcpMss.ForMtu(mtu, header.Version));
    }

    /// <summary>Not a group, not everybody, not nobody, not loopback.</summary>
    private static bool IsHostAddress(IpAddress address) =>
        !address.IsUnspecified && !IcmpError.IsGroup(address) && (address.IsV4 ? (uint)address.Bits >> 24 is not (0 or 127) : address.Bits != 1 && address.Bits >> 32 != 0xFFFF);

    // ---- counters and events

    private void Discard(PacketDrop reason, IpsecSa? sa, ref OutboundResult result)
    {
        Count(reason, sa);
        result.Verdict = OutboundVerdict.Discard;
        result.Drop = reason;
        result.Sa = sa;
    }

    private void Drop(PacketDrop reason, IpsecSa? sa, ref InboundResult result)
    {
        Count(reason, sa);
        result.Drop = reason;
        result.Length = 0;
    }

    private void Count(PacketDrop reason, IpsecSa? sa)
    {
        Interlocked.Increment(ref _drops[(int)reason]);
        sa?.Count(reason);
    }

    private void RaiseLimits(IpsecSa sa)
    {
        if (sa.TakeSoftLimit()) Raise(new DataPlaneEvent.SoftLimit(sa.Id));
        if (sa.TakeHardLimit()) Raise(new DataPlaneEvent.HardLimit(sa.Id));
    }

    private void RaiseAcquire(TrafficPolicy policy, in PacketFlow flow) => Raise(new DataPlaneEvent.Acquire(policy.Connection, policy.Child, Exactly(flow, flow.Source, flow.SourcePort), Exactly(flow, flow.Destination, flow.DestinationPort)));

    private static TrafficSelector Exactly(in PacketFlow flow, IpAddress address, ushort port) => flow.HasPorts ? new(address, address, flow.Protocol, port, port) : new(address, address, flow.Protocol);

    private void Raise(DataPlaneEvent raised)
    {
        if (_events.Count >= MaxEvents)
        {
            Interlocked.Increment(ref _lostEvents);
            return;
        }

        _events.Enqueue(raised);
        EventRaised?.Invoke();
    }

    private IpAddress IcmpSource(int version) => version == 4 ? IcmpSourceV4 : IcmpSourceV6;

    /// <summary>So many per second, and so many at once; any thread.</summary>
    private sealed class RateLimit(int perSecond, int burst)
    {
        private readonly long _interval = 1_000_000_000L / perSecond;
        private long _free = long.MinValue / 2;

        public bool TryTake(Instant now)
        {
            var free = Volatile.Read(ref _free);
            var earliest = now.Nanoseconds - (_interval * burst);
            var next = Math.Max(free, earliest) + _interval;
            return next <= now.Nanoseconds && Interlocked.CompareExchange(ref _free, next, free) == free;
        }
    }
}
