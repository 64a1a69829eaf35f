using System;

namespace Warifu.Ipsec;

/// <summary>An IPsec packet inside the caller's buffer.</summary>
/// <param name="Offset">ESP: where the SPI is. AH: where the IP header is.</param>
/// <param name="Length">ESP: SPI to ICV. AH: the whole IP packet.</param>
/// <param name="HeaderLength">
/// ESP in transport mode: octets of IP header, options and extension headers right before <paramref name="Offset"/>, already changed to announce ESP (protocol, lengths, checksum); in tunnel mode 0.
/// AH: octets of the packet before AH.
/// </param>
internal readonly record struct SealedPacket(int Offset, int Length, int HeaderLength);

/// <summary>One direction out: the sequence numbers, which never cycle but with manual keys (RFC 4302 section 3.3.2, RFC 4303 section 3.3.3). Not thread-safe: <see cref="IpsecSa"/> has the gate.</summary>
internal abstract class SaOutbound(bool esn, bool cycles = false) : IDisposable
{
    /// <summary>Numbers that are left when the soft limit is raised: at a million packets per second still four minutes with 32 bits.</summary>
    private const ulong SoftDistance = 1UL << 28;

    // the last value is never used, so that counting on never wraps
    private readonly ulong _lastSequence = (esn || cycles ? ulong.MaxValue : uint.MaxValue) - 1;

    /// <summary>The last number used; the first packet has 1.</summary>
    public ulong Sequence { get; private set; }

    public bool SoftSequence => Sequence >= _lastSequence - SoftDistance;

    public bool Exhausted => Sequence >= _lastSequence;

    internal void StartAt(ulong lastUsed) => Sequence = lastUsed;

    /// <summary>The largest payload whose packet is at most <paramref name="pathMtu"/> octets, <paramref name="ipLength"/> octets of IP header included. Tunnel mode: that is the inner packet.</summary>
    public abstract int MaxPayload(int pathMtu, int ipLength, bool outerV6, bool udp);

    public abstract void Dispose();

    protected ulong NextSequence() => ++Sequence;

    /// <summary>What the ICV covers of the number beside what is sent.</summary>
    protected uint? HighHalf(ulong sequence) => esn ? (uint)(sequence >> 32) : null;
}

/// <summary>One direction in: its replay window. Not thread-safe: <see cref="IpsecSa"/> has the gate.</summary>
internal abstract class SaInbound(ReplayWindow window, bool esn) : IDisposable
{
    public ReplayWindow Window => window;

    public abstract void Dispose();

    protected uint? HighHalf(ulong sequence) => esn ? (uint)(sequence >> 32) : null;
}
