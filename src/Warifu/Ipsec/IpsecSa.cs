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
    private readonly EspOutbound _outbound;
    private readonly EspInbound _inbound;
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

    public IpsecSa(ChildSa child, PacketCipher outbound, PacketCipher inbound, int pathMtu)
    {
        _child = child;
        _outbound = new EspOutbound(child.OutboundSpi, child.Esn, outbound);
        _inbound = new EspInbound(inbound, new ReplayWindow(child.ReplayWindow, child.Esn), child.Esn);
        _path = new SaPath(child.Local, child.Remote, child.UdpEncapsulation, child.LocalBehindNat, pathMtu);
        _outboundReady = child.OutboundReady;
        Selectors = new SelectorSet(child.LocalSelectors, child.RemoteSelectors);
        Sent = new SaUsage(child.SoftBytes, child.HardBytes, child.SoftPackets, child.HardPackets);
        Received = new SaUsage(child.SoftBytes, child.HardBytes, child.SoftPackets, child.HardPackets);
    }

    /// <summary>The pair as installed. Its keys are not for use here: they are zeroed by <see cref="Dispose"/>.</summary>
    public ChildSa Child => _child;

    public uint Id => _child.Id;

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

    public EspOutbound Outbound => _outbound;

    public EspInbound Inbound => _inbound;

    public ChildCounters Counters => new(Received.Bytes, Received.Packets, Sent.Bytes, Sent.Packets, Received.Last, Sent.Last, Drops(PacketDrop.Replay), Drops(PacketDrop.Integrity), Drops(PacketDrop.Selector));

    public ulong Drops(PacketDrop reason) => (ulong)Volatile.Read(ref _drops[(int)reason]);

    public void Count(PacketDrop reason) => Interlocked.Increment(ref _drops[(int)reason]);

    public void UseOutbound() => _outboundReady = true;

    public void Move(Endpoint local, Endpoint remote, bool udpEncapsulation, bool localBehindNat) => _path = new SaPath(local, remote, udpEncapsulation, localBehindNat, _path.Mtu);

    public void SetPathMtu(int mtu) => _path = _path with { Mtu = Math.Max(mtu, _path.IsV6 ? 1280 : 576) };

    /// <summary>The largest inner packet that needs no fragmentation outside; the child's <c>mtu</c> caps it.</summary>
    public int InnerMtu(in IpHeader header)
    {
        var path = _path;
        var mtu = Mode == IpsecMode.Tunnel
            ? EspOverhead.MaxPayload(path.Mtu, EspOverhead.OuterIpLength(path.IsV6), path.UdpEncapsulation, _outbound.Cipher)
            : header.EspOffset + EspOverhead.MaxPayload(path.Mtu, header.EspOffset, path.UdpEncapsulation, _outbound.Cipher);
        return Options.Mtu > 0 ? Math.Min(mtu, Options.Mtu) : mtu;
    }

    /// <summary>MTU of a device for this pair alone; at least that of the inner protocol (RFC 791, RFC 8200 section 5).</summary>
    public int DeviceMtu
    {
        get
        {
            var path = _path;
            var ipLength = EspOverhead.OuterIpLength(path.IsV6);
            var mtu = EspOverhead.MaxPayload(path.Mtu, ipLength, path.UdpEncapsulation, _outbound.Cipher) + (Mode == IpsecMode.Tunnel ? 0 : ipLength);
            if (Options.Mtu > 0) mtu = Math.Min(mtu, Options.Mtu);
            return Math.Max(mtu, Selectors.HasV6 ? 1280 : 576);
        }
    }

    public PacketDrop Seal(Span<byte> buffer, int offset, in IpHeader header, Instant now, out EspPacket packet)
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

            var drop = Mode == IpsecMode.Tunnel
                ? _outbound.SealTunnel(buffer, offset, header.TotalLength, header.Version == 4 ? IpHeader.IpInIp : IpHeader.Ipv6InIp, out packet)
                : _outbound.SealTransport(buffer, offset, header, out packet);
            if (drop == PacketDrop.None) Sent.Add(header.TotalLength, now);
            else if (drop == PacketDrop.SequenceOverflow) _hardLimit = true;
            return drop;
        }
        finally
        {
            _outGate.Exit();
        }
    }

    /// <param name="esp">Decrypted in place.</param>
    /// <param name="from">Where it came from.</param>
    /// <param name="now">For the counters.</param>
    /// <param name="payload">What was inside.</param>
    /// <param name="nextHeader">What kind that is.</param>
    /// <param name="moved">True once per new address: an authentic newest packet came from elsewhere, and the peer is behind a NAT.</param>
    public PacketDrop Open(Span<byte> esp, Endpoint from, Instant now, out Range payload, out byte nextHeader, out bool moved)
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

            var drop = _inbound.Open(esp, out payload, out nextHeader, out var newest);
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
