using System;
using System.Collections.Concurrent;
using System.Threading;
using Warifu.Primitives;

namespace Warifu.Ipsec;

/// <summary>
/// Several peers behind one NAT in transport mode have one address and equal selectors: what goes to that address goes to the pair on which the flow came in. When two of them use the same port their flows look the same,
/// and nobody could tell whose an answer is: the first one has it as long as it uses it, and packets of the other do not get through (RFC 3948 section 5.2). Bounded: when there are too many all are forgotten, and each
/// is known again with its next packet.
/// </summary>
internal sealed class NatFlows
{
    private const int Most = 65_536;

    /// <summary>Whose flow was silent for so long has lost it: L2TP says hello each minute.</summary>
    private static readonly TimeSpan s_silence = TimeSpan.FromMinutes(2);

    private readonly ConcurrentDictionary<PacketFlow, Holder> _flows = new();
    private int _count;

    /// <summary>A packet came in on <paramref name="sa"/>. False: its flow is another peer's.</summary>
    public bool TryEnter(IpsecSa sa, ReadOnlySpan<byte> packet, Instant now)
    {
        if (!IpHeader.TryParse(packet, out var header)) return true;
        var back = Back(header.Flow);
        if (_flows.TryGetValue(back, out var known))
        {
            // without ports, as with ping, the last one that was heard has it
            if (!known.Is(sa) && back.HasPorts && known.Holds(sa, now)) return false;
            known.Use(sa, now);
            return true;
        }

        if (Volatile.Read(ref _count) >= Most)
        {
            _flows.Clear();
            Volatile.Write(ref _count, 0);
        }

        if (_flows.TryAdd(back, new Holder(sa, now))) Interlocked.Increment(ref _count);
        return true;
    }

    /// <summary>The pair for a packet that goes out; <paramref name="found"/> is what the SPD says.</summary>
    public IpsecSa Choose(IpsecSa found, in PacketFlow flow) =>
        _flows.TryGetValue(Key(flow), out var holder) && holder.Sa is var sa && sa.CarriesOutbound && sa.Selectors.CoversOutbound(flow) ? sa : found;

    public void Forget(IpsecSa sa)
    {
        foreach (var (flow, holder) in _flows)
        {
            if (holder.Is(sa) && _flows.TryRemove(new(flow, holder))) Interlocked.Decrement(ref _count);
        }
    }

    private static PacketFlow Back(in PacketFlow flow) => Key(new PacketFlow(flow.Destination, flow.Source, flow.Protocol, flow.DestinationPort, flow.SourcePort, flow.HasPorts));

    /// <summary>Type and code of ICMP differ between question and answer; fragments have no ports.</summary>
    private static PacketFlow Key(in PacketFlow flow) => flow.HasPorts && flow.Protocol is not (IpHeader.Icmp or IpHeader.IcmpV6) ? flow : flow with { SourcePort = 0, DestinationPort = 0, HasPorts = false };

    /// <summary>Whose a flow is. Changed in place: nothing is allocated per packet.</summary>
    private sealed class Holder(IpsecSa sa, Instant heard)
    {
        private IpsecSa _sa = sa;
        private long _heard = heard.Nanoseconds;

        public IpsecSa Sa => Volatile.Read(ref _sa);

        public bool Is(IpsecSa other) => ReferenceEquals(Sa, other);

        /// <summary>It is another peer's than that of <paramref name="other"/>, and in use. A pair to the same end, or under the same IKE SA, is one that replaces it.</summary>
        public bool Holds(IpsecSa other, Instant now)
        {
            var own = Sa;
            return own.CarriesOutbound && own.Child.IkeId != other.Child.IkeId && own.Path.Remote != other.Path.Remote && now - new Instant(Volatile.Read(ref _heard)) < s_silence;
        }

        public void Use(IpsecSa by, Instant now)
        {
            if (!Is(by)) Volatile.Write(ref _sa, by);
            Volatile.Write(ref _heard, now.Nanoseconds);
        }
    }
}
