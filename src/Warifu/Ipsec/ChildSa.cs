using System;
using System.Collections.Immutable;
using Warifu.Primitives;

namespace Warifu.Ipsec;

/// <summary>One pair of IPsec SAs as the engine hands it to a data plane, keys included. The data plane owns it from then on and disposes it when it is removed.</summary>
internal sealed class ChildSa : IDisposable
{
    /// <summary>Number of the pair, unique for the life of the daemon; a rekeyed pair gets a new one.</summary>
    public required uint Id { get; init; }

    /// <summary>Number of the IKE SA that made it.</summary>
    public required uint IkeId { get; init; }

    public required string Connection { get; init; }

    public required string Name { get; init; }

    public ProtocolId Protocol { get; init; } = ProtocolId.Esp;

    public IpsecMode Mode { get; init; } = IpsecMode.Tunnel;

    /// <summary>SPI of packets that come in (chosen by us).</summary>
    public required ChildSpi InboundSpi { get; init; }

    /// <summary>SPI of packets that go out (chosen by the peer).</summary>
    public required ChildSpi OutboundSpi { get; init; }

    public required EncrId Encr { get; init; }

    public int EncrKeyBits { get; init; }

    public IntegId Integ { get; init; }

    /// <summary>64-bit sequence numbers (RFC 4303 section 2.2.1).</summary>
    public bool Esn { get; init; }

    /// <summary>Without the check against replay the number on the wire begins anew behind its end (RFC 4302 section 3.3.2, RFC 4303 section 3.3.3): manual keys. IVs go on counting.</summary>
    public bool SequenceCycles { get; init; }

    /// <summary>Encryption key with the salt behind it, as KEYMAT gives it.</summary>
    public required Secret InboundEncrKey { get; init; }

    public required Secret InboundIntegKey { get; init; }

    public required Secret OutboundEncrKey { get; init; }

    public required Secret OutboundIntegKey { get; init; }

    /// <summary>Our tunnel end; the port is that of UDP encapsulation.</summary>
    public required Endpoint Local { get; init; }

    public required Endpoint Remote { get; init; }

    /// <summary>ESP in UDP (RFC 3948); false = IP protocol 50 or 51.</summary>
    public bool UdpEncapsulation { get; init; }

    /// <summary>We are behind a NAT: we send keepalives.</summary>
    public bool LocalBehindNat { get; init; }

    /// <summary>The peer is behind a NAT: its outer address is followed on authenticated packets when the engine says so.</summary>
    public bool RemoteBehindNat { get; init; }

    /// <summary>Transport mode behind a NAT: the addresses over which the peer computes TCP and UDP checksums (RFC 3948 section 3.1.2); none = those of the packets.</summary>
    public IpAddress OriginalRemote { get; init; }

    public IpAddress OriginalLocal { get; init; }

    public required ImmutableArray<TrafficSelector> LocalSelectors { get; init; }

    public required ImmutableArray<TrafficSelector> RemoteSelectors { get; init; }

    /// <summary>0 = no replay check, else 32..8192 packets.</summary>
    public int ReplayWindow { get; init; } = 64;

    /// <summary>Octets and packets; 0 = no limit. The soft limit raises an event once, the hard limit stops the SA.</summary>
    public ulong SoftBytes { get; init; }

    public ulong HardBytes { get; init; }

    public ulong SoftPackets { get; init; }

    public ulong HardPackets { get; init; }

    /// <summary>False: inbound works, outbound traffic stays on the pair that this one replaces until <see cref="IDataPlane.UseOutbound"/> or the first packet comes in (responder of a rekey, RFC 7296 section 2.8).</summary>
    public bool OutboundReady { get; init; } = true;

    /// <summary>Number of the pair that this one replaces; 0 = none.</summary>
    public uint Replaces { get; init; }

    public required ChildOptions Options { get; init; }

    public void Dispose()
    {
        InboundEncrKey.Dispose();
        InboundIntegKey.Dispose();
        OutboundEncrKey.Dispose();
        OutboundIntegKey.Dispose();
    }
}

/// <summary>What the configuration says about a child's packets.</summary>
internal sealed record ChildOptions
{
    /// <summary>Name of the TUN; null = policy-based.</summary>
    public string? BindInterface { get; init; }

    public int Mtu { get; init; }

    /// <summary>TCP MSS clamp; 0 = by MTU, -1 = off.</summary>
    public int Mss { get; init; }

    public DfPolicy Df { get; init; } = DfPolicy.Copy;

    public bool CopyDscpOut { get; init; } = true;

    public bool CopyDscpIn { get; init; }

    public bool CopyEcn { get; init; } = true;

    public bool Leak { get; init; }

    public bool BypassLan { get; init; }

    public int Priority { get; init; }
}

internal enum TrafficAction
{
    Protect,
    Bypass,
    Discard,
}

/// <summary>An SPD entry that exists without an SA: a trap, or a shunt. Names identify it.</summary>
internal sealed record TrafficPolicy
{
    public required string Connection { get; init; }

    public required string Child { get; init; }

    public required TrafficAction Action { get; init; }

    public IpsecMode Mode { get; init; }

    public required ImmutableArray<TrafficSelector> LocalSelectors { get; init; }

    public required ImmutableArray<TrafficSelector> RemoteSelectors { get; init; }

    /// <summary>The peer's outer address when it is known (transport mode rules).</summary>
    public IpAddress Remote { get; init; }

    public required ChildOptions Options { get; init; }
}

/// <summary>Counters of one pair.</summary>
internal readonly record struct ChildCounters(ulong BytesIn, ulong PacketsIn, ulong BytesOut, ulong PacketsOut, Instant LastIn, Instant LastOut, ulong ReplayDrops, ulong IntegrityDrops, ulong SelectorDrops);

/// <summary>Where packets are protected. Implementations: user-space ESP, Linux XFRM, and the simulator's fake. Calls come from the engine's thread and never block for long.</summary>
internal interface IDataPlane
{
    /// <summary>Adds or replaces an entry of the SPD.</summary>
    void InstallPolicy(TrafficPolicy policy);

    void RemovePolicy(string connection, string child);

    /// <summary>Adds a pair. Inbound packets are accepted when this returns. Takes ownership of <paramref name="sa"/>.</summary>
    void Install(ChildSa sa);

    /// <summary>Outbound traffic moves to this pair.</summary>
    void UseOutbound(uint id);

    /// <summary>New outer addresses of a pair (NAT mapping changed, MOBIKE).</summary>
    void Move(uint id, Endpoint local, Endpoint remote, bool udpEncapsulation, bool localBehindNat);

    /// <summary>Removes a pair. The SPD entry stays when a trap or keep asks for it.</summary>
    void Remove(uint id);

    /// <summary>False when there is no such pair.</summary>
    bool TryQuery(uint id, out ChildCounters counters);
}

/// <summary>What a data plane tells the engine.</summary>
internal abstract record DataPlaneEvent
{
    private DataPlaneEvent()
    {
    }

    /// <summary>A packet matched a protect entry without an SA.</summary>
    internal sealed record Acquire(string Connection, string Child, TrafficSelector Local, TrafficSelector Remote) : DataPlaneEvent;

    /// <summary>A soft limit in octets, packets or sequence numbers is reached: rekey.</summary>
    internal sealed record SoftLimit(uint Id) : DataPlaneEvent;

    /// <summary>A hard limit is reached: the pair carries nothing any more.</summary>
    internal sealed record HardLimit(uint Id) : DataPlaneEvent;

    /// <summary>An authenticated packet came from another outer address.</summary>
    internal sealed record PeerMoved(uint Id, Endpoint Remote) : DataPlaneEvent;

    /// <summary>A packet with an SPI that nobody has.</summary>
    internal sealed record UnknownSpi(ChildSpi Spi, Endpoint Local, Endpoint Remote) : DataPlaneEvent
    {
        /// <summary>ESP or AH.</summary>
        public ProtocolId Protocol { get; init; } = ProtocolId.Esp;
    }
}
