using System.Threading;
using Warifu.Primitives;

namespace Warifu.Ipsec;

/// <summary>What one direction of an SA has carried, against its limits. Written by whoever holds the gate, read by anyone.</summary>
internal sealed class SaUsage(ulong softBytes, ulong hardBytes, ulong softPackets, ulong hardPackets)
{
    private ulong _bytes;
    private ulong _packets;
    private long _last;

    public ulong Bytes => Volatile.Read(ref _bytes);

    public ulong Packets => Volatile.Read(ref _packets);

    public Instant Last => new(Volatile.Read(ref _last));

    public bool SoftReached => (softBytes != 0 && _bytes >= softBytes) || (softPackets != 0 && _packets >= softPackets);

    /// <summary>A packet of this size does not go any more.</summary>
    public bool HardReached(int octets) => (hardBytes != 0 && _bytes + (ulong)octets > hardBytes) || (hardPackets != 0 && _packets >= hardPackets);

    public void Add(int octets, Instant now)
    {
        Volatile.Write(ref _bytes, _bytes + (ulong)octets);
        Volatile.Write(ref _packets, _packets + 1);
        Volatile.Write(ref _last, now.Nanoseconds);
    }
}
