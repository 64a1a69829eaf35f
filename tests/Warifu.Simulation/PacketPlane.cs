using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;
using Warifu.Ipsec;
using Warifu.Primitives;

namespace Warifu.Simulation;

/// <summary>A packet on the wire: what an ESP packet would tell whoever has the keys.</summary>
internal readonly record struct Packet(ChildSpi Spi, UInt128 Key, string Child);

/// <summary>A pair in a host's data plane.</summary>
internal sealed class PlanePair(ChildSa sa)
{
    public ChildSa Sa => sa;

    /// <summary>Fingerprints: keys never leave their owner.</summary>
    public UInt128 InboundKey { get; } = FingerprintOf(sa.InboundEncrKey, sa.InboundIntegKey);

    public UInt128 OutboundKey { get; } = FingerprintOf(sa.OutboundEncrKey, sa.OutboundIntegKey);

    public bool OutboundReady { get; set; } = sa.OutboundReady;

    public Endpoint Local { get; set; } = sa.Local;

    public Endpoint Remote { get; set; } = sa.Remote;

    public Instant LastIn { get; set; }

    public Instant LastOut { get; set; }

    public ulong Packets { get; set; }

    public bool SoftRaised { get; set; }

    public bool HardRaised { get; set; }

    public static UInt128 FingerprintOf(Secret encr, Secret integ)
    {
        Span<byte> digest = stackalloc byte[32];
        SHA256.HashData([.. encr.Span, 0x57, .. integ.Span], digest);
        return BinaryPrimitives.ReadUInt128BigEndian(digest);
    }
}

/// <summary>The fake data plane of a host: packets really go through the installed pairs, by SPI and with the right key, so that gaps and orphans show.</summary>
internal sealed class PacketPlane(SimHost host, World world)
{
    private readonly SortedDictionary<uint, PlanePair> _pairs = [];
    private readonly Dictionary<uint, PlanePair> _byInbound = [];
    private readonly HashSet<string> _had = new(StringComparer.Ordinal);
    private readonly Dictionary<uint, Instant> _replaced = [];
    private readonly HashSet<uint> _succeeded = [];
    private readonly List<PlanePair> _retired = [];

    public IReadOnlyDictionary<uint, PlanePair> Pairs => _pairs;

    public int Sent { get; private set; }

    public int Received { get; private set; }

    public void Install(ChildSa sa)
    {
        var pair = new PlanePair(sa);
        if (!_pairs.TryAdd(sa.Id, pair)) world.Fail($"{host.Name} installs pair {sa.Id} twice");
        if (!_byInbound.TryAdd(sa.InboundSpi.Value, pair)) world.Fail($"{host.Name} gives out SPI {sa.InboundSpi} twice");
        _had.Add(sa.Name);
        if (pair.OutboundReady) _succeeded.Add(sa.Replaces);
        world.Note(host.Name, $"  + pair {sa.Id} {sa.Name} in {sa.InboundSpi} out {sa.OutboundSpi}{(sa.Replaces == 0 ? "" : $" for {sa.Replaces}")}");
        world.Ledger.Installed(host, pair);
    }

    public void Rekeyed(uint id) => _replaced.TryAdd(id, world.Now);

    /// <summary>When it was rekeyed; null = never.</summary>
    public Instant? ReplacedAt(uint id) => _replaced.TryGetValue(id, out var at) ? at : null;

    /// <summary>Traffic could once move from it to the pair that replaces it.</summary>
    public bool HadSuccessor(uint id) => _succeeded.Contains(id);

    /// <summary>A pair for this child was there once.</summary>
    public bool HasHad(string child) => _had.Contains(child);

    public void UseOutbound(uint id)
    {
        if (_pairs.TryGetValue(id, out var pair)) Use(pair);
        else world.Fail($"{host.Name} wants to use pair {id}, which is not there");
    }

    public void Move(uint id, Endpoint local, Endpoint remote)
    {
        if (!_pairs.TryGetValue(id, out var pair)) world.Fail($"{host.Name} moves pair {id}, which is not there");
        else if (pair.Remote != remote) world.Reach("peer followed");
        if (pair is not null) (pair.Local, pair.Remote) = (local, remote);
    }

    /// <summary>A pair goes; what is still under way on it may arrive for five seconds more.</summary>
    public void Remove(uint id, bool stillInFlight)
    {
        if (!_pairs.Remove(id, out var pair))
        {
            world.Fail($"{host.Name} removes pair {id}, which is not there");
            return;
        }

        world.Note(host.Name, $"  - pair {id} {pair.Sa.Name} in {pair.Sa.InboundSpi} out {pair.Sa.OutboundSpi}");
        if (stillInFlight) _retired.Add(pair);
        pair.Sa.Dispose();
        if (stillInFlight) world.After(TimeSpan.FromSeconds(5), () => Forget(pair));
        else Forget(pair);
    }

    /// <summary>The end of a step: was it right that replaced pairs went in it? Those of a peer that counts as dead are no question.</summary>
    public void CheckRetired(bool isPeerDead)
    {
        if (!isPeerDead) _retired.ForEach(pair => world.Ledger.Retired(host, pair));
        _retired.Clear();
    }

    private void Forget(PlanePair pair)
    {
        if (_byInbound.TryGetValue(pair.Sa.InboundSpi.Value, out var there) && there == pair) _byInbound.Remove(pair.Sa.InboundSpi.Value);
    }

    public void Clear()
    {
        foreach (var pair in _pairs.Values) pair.Sa.Dispose();
        _pairs.Clear();
        _byInbound.Clear();
    }

    public Instant LastIn(IEnumerable<uint> ids)
    {
        var last = default(Instant);
        foreach (var id in ids)
        {
            if (_pairs.TryGetValue(id, out var pair) && pair.LastIn > last) last = pair.LastIn;
        }

        return last;
    }

    public Instant LastOut(IEnumerable<uint> ids)
    {
        var last = default(Instant);
        foreach (var id in ids)
        {
            if (_pairs.TryGetValue(id, out var pair) && pair.LastOut > last) last = pair.LastOut;
        }

        return last;
    }

    /// <summary>Sends a packet of a child's traffic on the newest pair that may send.</summary>
    public void Send(string child)
    {
        var pair = _pairs.Values.LastOrDefault(pair => pair.Sa.Name == child && pair.OutboundReady && !pair.HardRaised);
        if (pair is null) return;
        Sent++;
        pair.LastOut = world.Now;
        Count(pair);
        var packet = new Packet(pair.Sa.OutboundSpi, pair.OutboundKey, child);
        world.Network.Carry(host, pair.Local, pair.Remote, 120, false, (to, local, remote) => to.Plane.Receive(host, packet, local, remote));
    }

    public void Receive(SimHost from, Packet packet, Endpoint local, Endpoint remote)
    {
        if (!_byInbound.TryGetValue(packet.Spi.Value, out var pair))
        {
            world.Ledger.Astray(from, host, packet);
            if (world.Plan.IsV1) host.Tell(new DataPlaneEvent.UnknownSpi(packet.Spi, local, remote));
            return;
        }

        if (pair.InboundKey != packet.Key)
        {
            // another host's pair by chance, or a pair that was made with other keys
            if (world.Ledger.BelongTogether(host, pair, from)) world.Fail($"{host.Name} cannot decrypt what {from.Name} sends on SPI {packet.Spi}: the keys of the pair differ");
            return;
        }

        if (pair.HardRaised) return;
        Received++;
        pair.LastIn = world.Now;
        Use(pair);
        Count(pair);
        if (pair.Sa.RemoteBehindNat && remote != pair.Remote) host.Tell(new DataPlaneEvent.PeerMoved(pair.Sa.Id, remote));
    }

    private void Use(PlanePair pair)
    {
        pair.OutboundReady = true;
        _succeeded.Add(pair.Sa.Replaces);
    }

    private void Count(PlanePair pair)
    {
        pair.Packets++;
        if (!pair.SoftRaised && pair.Sa.SoftPackets != 0 && pair.Packets >= pair.Sa.SoftPackets)
        {
            pair.SoftRaised = true;
            world.Reach("soft limit of packets");
            host.Tell(new DataPlaneEvent.SoftLimit(pair.Sa.Id));
        }

        if (!pair.HardRaised && pair.Sa.HardPackets != 0 && pair.Packets >= pair.Sa.HardPackets)
        {
            pair.HardRaised = true;
            world.Reach("hard limit of packets");
            host.Tell(new DataPlaneEvent.HardLimit(pair.Sa.Id));
        }
    }
}
