using System;
using System.Collections.Concurrent;
using System.Threading;

namespace Warifu.Ipsec;

/// <summary>
/// Several peers behind one NAT in transport mode have one address and equal selectors: what goes to that address goes to the pair on which the flow last came in (RFC 3948 section 5.2). Bounded: when there are
/// too many all are forgotten, and each is known again with its next packet.
/// </summary>
internal sealed class NatFlows
{
    private const int Most = 65_536;

    private readonly ConcurrentDictionary<PacketFlow, IpsecSa> _flows = new();
    private int _count;

    /// <summary>A packet came in on <paramref name="sa"/>.</summary>
    public void Saw(IpsecSa sa, ReadOnlySpan<byte> packet)
    {
        if (!IpHeader.TryParse(packet, out var header)) return;
        var back = Back(header.Flow);
        if (_flows.TryGetValue(back, out var known))
        {
            if (!ReferenceEquals(known, sa)) _flows[back] = sa;
            return;
        }

        if (Volatile.Read(ref _count) >= Most)
        {
            _flows.Clear();
            Volatile.Write(ref _count, 0);
        }

        if (_flows.TryAdd(back, sa)) Interlocked.Increment(ref _count);
    }

    /// <summary>The pair for a packet that goes out; <paramref name="found"/> is what the SPD says.</summary>
    public IpsecSa Choose(IpsecSa found, in PacketFlow flow) =>
        _flows.TryGetValue(Key(flow), out var sa) && sa.CarriesOutbound && sa.Selectors.CoversOutbound(flow) ? sa : found;

    public void Forget(IpsecSa sa)
    {
        foreach (var (flow, other) in _flows)
        {
            if (ReferenceEquals(other, sa) && _flows.TryRemove(new(flow, other))) Interlocked.Decrement(ref _count);
        }
    }

    private static PacketFlow Back(in PacketFlow flow) => Key(new PacketFlow(flow.Destination, flow.Source, flow.Protocol, flow.DestinationPort, flow.SourcePort, flow.HasPorts));

    /// <summary>Type and code of ICMP differ between question and answer; fragments have no ports.</summary>
    private static PacketFlow Key(in PacketFlow flow) => flow.HasPorts && flow.Protocol is not (IpHeader.Icmp or IpHeader.IcmpV6) ? flow : flow with { SourcePort = 0, DestinationPort = 0, HasPorts = false };
}
