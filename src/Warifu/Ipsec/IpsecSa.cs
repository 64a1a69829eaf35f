using System;
using System.Threading;
using Warifu.Crypto;
using Warifu.Primitives;

namespace Warifu.Ipsec;

/// <summary>Outer addresses of a pair. Replaced as a whole: a reader never sees half a move.</summary>
internal sealed record SaPath(Endpoint Local, Endpoint Remote, bool UdpEncapsulation, bool LocalBehindNat, int Mtu)
{
    public bool IsV6 => Remote.Address.IsV6;
}

/// <summary>
/// A pair of SAs at work. Data threads look it up without locks and use a direction behind its <see cref="SaGate"/>; the engine's thread installs and closes it. After <see cref="Dispose"/> no packet
/// passes, and ciphers and keys are zeroed.
/// </summary>
internal sealed class IpsecSa : IDisposable
{
    private readonly ChildSa _child;
    private readonly SaOutbound _outbound;
    private readonly SaInbound _inbound;
    private readonly long[] _drops = new long[(int)PacketDrop.Count];
    private SaGate _outGate;
    private SaGate _inGate;
    private volatile SaPath _path;
    private volatile bool _outboundReady;
    private volatile bool _hardLimit;
    private int _softRaised;
    private int _hardRaised;
    private bool _moveReported;
    private Endpoint _reportedMove;

    public IpsecSa(ChildSa child, IEntropy entropy, int pathMtu)
    {
        _child = child;
        (_outbound, _inbound) = child.Protocol == ProtocolId.Ah ? Ah(child, entropy) : Esp(child, entropy);
        _path = new SaPath(child.Local, child.Remote, child.UdpEncapsulation, child.LocalBehindNat, pathMtu);
        _outboundReady = child.OutboundReady;
        Selectors = new SelectorSet(child.LocalSelectors, child.RemoteSelectors);
        Sent = new SaUsage(child.SoftBytes, child.HardBytes, child.SoftPackets, child.HardPackets);
        Received = new SaUsage(child.SoftBytes, child.HardBytes, child.SoftPackets, child.HardPackets);
    }

    /// <summary>The pair as installed. Its keys are not for use here: they are zeroed by <see cref="Dispose"/>.</summary>
    public ChildSa Child => _child;

    public uint Id => _child.Id;

    public ProtocolId Protocol => _child.Protocol;

    public IpsecMode Mode => _child.Mode;

    public bool IsBehindNat => _child.LocalBehindNat || _child.RemoteBehindNat;

    /// <summary>Others may be behind the same NAT and have the same address for us (RFC 3948 section 5.2).</summary>
    public bool SharesAddress => _child is { Mode: IpsecMode.Transport, RemoteBehindNat: true };

    public ChildOptions Options => _child.Options;

    public SelectorSet Selectors { get; }

    public SaUsage Sent { get; }

    public SaUsage Received { get; }

    public SaPath Path => _path;

    /// <summary>Packets may go out on this pair.</summary>
    public bool CarriesOutbound => _outboundReady && !_hardLimit && !_outGate.IsClosed;

    public SaOutbound Outbound => _outbound;

    public SaInbound Inbound => _inbound;

    public ChildCounters Counters => new(Received.Bytes, Received.Packets, Sent.Bytes, Sent.Packets, Received.Last, Sent.Last, Drops(PacketDrop.Replay), Drops(PacketDrop.Integrity), Drops(PacketDrop.Selector));

    public ulong Drops(PacketDrop reason) => (ulong)Volatile.Read(ref _drops[(int)reason]);

    public void Count(PacketDrop reason) => Interlocked.Increment(ref _drops[(int)reason]);

    public void UseOutbound() => _outboundReady = true;

    public void Move(Endpoint local, Endpoint remote, bool udpEncapsulation, bool localBehindNat, int pathMtu) => _path = new SaPath(local, remote, udpEncapsulation, localBehindNat, pathMtu);

    public void SetPathMtu(int mtu) => _path = _path with { Mtu = Math.Max(mtu, _path.IsV6 ? 1280 : 576) };

    /// <summary>The largest inner packet that needs no fragmentation outside; the child's <c>mtu</c> caps it.</summary>
    public int InnerMtu(in IpHeader header)
    {
        var path = _path;
        var mtu = Mode == IpsecMode.Tunnel
            ? _outbound.MaxPayload(path.Mtu, EspOverhead.OuterIpLength(path.IsV6), path.IsV6, path.UdpEncapsulation)
            : header.EspOffset + _outbound.MaxPayload(path.Mtu, header.EspOffset, path.IsV6, path.UdpEncapsulation);
        return Options.Mtu > 0 ? Math.Min(mtu, Options.Mtu) : mtu;
    }

    /// <summary>MTU of a device for this pair alone; at least that of the inner protocol (RFC 791, RFC 8200 section 5).</summary>
    public int DeviceMtu
    {
        get
        {
            var path = _path;
            var ipLength = EspOverhead.OuterIpLength(path.IsV6);
            var mtu = _outbound.MaxPayload(path.Mtu, ipLength, path.IsV6, path.UdpEncapsulation) + (Mode == IpsecMode.Tunnel ? 0 : ipLength);
            if (Options.Mtu > 0) mtu = Math.Min(mtu, Options.Mtu);
            return Math.Max(mtu, Selectors.HasV6 ? 1280 : 576);
        }
    }

    /// <param name="buffer">Sealed in place.</param>
    /// <param name="offset">Where the IP header is.</param>
    /// <param name="header">That header.</param>
    /// <param name="tos">Of the outer header.</param>
    /// <param name="dontFragment">Of the outer header.</param>
    /// <param name="now">For the counters.</param>
    /// <param name="packet">What to send.</param>
    public PacketDrop Seal(Span<byte> buffer, int offset, in IpHeader header, byte tos, bool dontFragment, Instant now, out SealedPacket packet)
    {
        packet = default;
        if (!_outGate.TryEnter()) return PacketDrop.SaGone;
        try
        {
            if (Sent.HardReached(header.TotalLength))
            {
                _hardLimit = true;
                return PacketDrop.HardLimit;
            }

            var drop = Seal(buffer, offset, header, new OuterHeader(_path.Local.Address, _path.Remote.Address, tos, dontFragment), out packet);
            if (drop == PacketDrop.None) Sent.Add(header.TotalLength, now);
            else if (drop == PacketDrop.SequenceOverflow) _hardLimit = true;
            return drop;
        }
        finally
        {
            _outGate.Exit();
        }
    }

    /// <param name="packet">ESP: SPI to ICV, decrypted in place. AH: the whole IP packet.</param>
    /// <param name="outer">AH: the IP header of the packet.</param>
    /// <param name="from">Where it came from.</param>
    /// <param name="now">For the counters.</param>
    /// <param name="payload">What was inside.</param>
    /// <param name="nextHeader">What kind that is.</param>
    /// <param name="moved">True once per new address: an authentic newest packet came from elsewhere, and the peer is behind a NAT.</param>
    public PacketDrop Open(Span<byte> packet, in IpHeader outer, Endpoint from, Instant now, out Range payload, out byte nextHeader, out bool moved)
    {
        payload = default;
        nextHeader = 0;
        moved = false;
        if (!_inGate.TryEnter()) return PacketDrop.UnknownSpi;
        try
        {
            if (Received.HardReached(0) || _hardLimit)
            {
                _hardLimit = true;
                return PacketDrop.HardLimit;
            }

            bool newest;
            var drop = _inbound is EspInbound esp ? esp.Open(packet, out payload, out nextHeader, out newest) : ((AhInbound)_inbound).Open(packet, outer, out payload, out nextHeader, out newest);
            if (drop is not (PacketDrop.None or PacketDrop.Dummy)) return drop;
            var dummy = drop == PacketDrop.Dummy;
            Received.Add(dummy ? 0 : payload.End.Value - payload.Start.Value, now);
            // RFC 7296 section 2.8: the peer uses the new SA, so may we
            if (!_outboundReady) _outboundReady = true;
            moved = newest && IsMove(from);
            return drop;
        }
        finally
        {
            _inGate.Exit();
        }
    }

    /// <summary>True the first time that a soft limit is found passed.</summary>
    public bool TakeSoftLimit() => (_outbound.SoftSequence || Sent.SoftReached || Received.SoftReached) && Volatile.Read(ref _softRaised) == 0 && Interlocked.Exchange(ref _softRaised, 1) == 0;

    /// <summary>True the first time that a hard limit is found reached.</summary>
    public bool TakeHardLimit() => _hardLimit && Volatile.Read(ref _hardRaised) == 0 && Interlocked.Exchange(ref _hardRaised, 1) == 0;

    /// <summary>Waits for packets under way in both directions, then zeroes ciphers and keys. Harmless when called again.</summary>
    public void Dispose()
    {
        if (_outGate.Close()) _outbound.Dispose();
        if (!_inGate.Close()) return;
        _inbound.Dispose();
        _child.Dispose();
    }

    private PacketDrop Seal(Span<byte> buffer, int offset, in IpHeader header, in OuterHeader outer, out SealedPacket packet)
    {
        var inside = header.Version == 4 ? IpHeader.IpInIp : IpHeader.Ipv6InIp;
        return (_outbound, Mode) switch
        {
            (EspOutbound esp, IpsecMode.Tunnel) => esp.SealTunnel(buffer, offset, header.TotalLength, inside, out packet),
            (EspOutbound esp, _) => esp.SealTransport(buffer, offset, header, out packet),
            (AhOutbound ah, IpsecMode.Tunnel) => ah.SealTunnel(buffer, offset, header.TotalLength, inside, outer, out packet),
            _ => ((AhOutbound)_outbound).SealTransport(buffer, offset, header, out packet),
        };
    }

    private static (SaOutbound, SaInbound) Esp(ChildSa child, IEntropy entropy)
    {
        var outbound = PacketCipher.Create(child.Encr, child.EncrKeyBits, child.Integ, child.OutboundEncrKey.Span, child.OutboundIntegKey.Span, entropy);
        var inbound = PacketCipher.Create(child.Encr, child.EncrKeyBits, child.Integ, child.InboundEncrKey.Span, child.InboundIntegKey.Span, entropy);
        return (new EspOutbound(child.OutboundSpi, child.Esn, outbound, child.SequenceCycles), new EspInbound(inbound, new ReplayWindow(child.ReplayWindow, child.Esn), child.Esn));
    }

    private static (SaOutbound, SaInbound) Ah(ChildSa child, IEntropy entropy)
    {
        var outbound = PacketMac.Create(child.Integ, child.OutboundIntegKey.Span);
        var inbound = PacketMac.Create(child.Integ, child.InboundIntegKey.Span);
        return (new AhOutbound(child.OutboundSpi, child.Esn, outbound, (ushort)entropy.NextUInt32(), child.SequenceCycles), new AhInbound(inbound, new ReplayWindow(child.ReplayWindow, child.Esn), child.Esn));
    }

    private bool IsMove(Endpoint from)
    {
        var path = _path;
        if (!_child.RemoteBehindNat || !path.UdpEncapsulation || from.Address.IsNone) return false;
        if (from == path.Remote)
        {
            _moveReported = false;
            return false;
        }

        if (_moveReported && from == _reportedMove) return false;
        _moveReported = true;
        _reportedMove = from;
        return true;
    }
}
