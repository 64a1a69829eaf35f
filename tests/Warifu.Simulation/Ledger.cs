using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Primitives;

namespace Warifu.Simulation;

/// <summary>What all hosts together know of the SAs: both halves of a pair must have the same keys, and after a while there must be no half without the other.</summary>
internal sealed class Ledger(World world)
{
    private readonly Dictionary<(uint Inbound, uint Outbound), (SimHost Host, PlanePair Pair)> _halves = [];
    private readonly Dictionary<(ulong, ulong), (SimHost Host, UInt128 Keys)> _ikeKeys = [];

    /// <summary>Packets that found no SA.</summary>
    public int Lost { get; private set; }

    public void Installed(SimHost host, PlanePair pair)
    {
        var key = (pair.Sa.InboundSpi.Value, pair.Sa.OutboundSpi.Value);
        _halves[key] = (host, pair);
        if (!_halves.TryGetValue((key.Item2, key.Item1), out var other) || other.Host == host) return;
        var (ours, theirs) = (pair.Sa, other.Pair.Sa);
        if (pair.InboundKey != other.Pair.OutboundKey || pair.OutboundKey != other.Pair.InboundKey) world.Fail($"{host.Name} and {other.Host.Name} have different keys for {ours.Name} {ours.InboundSpi}/{ours.OutboundSpi}");
        if (ours.Name != theirs.Name || ours.Mode != theirs.Mode || ours.Esn != theirs.Esn || ours.Encr != theirs.Encr) world.Fail($"{host.Name} and {other.Host.Name} disagree about {ours.Name} {ours.InboundSpi}");
        if (!ours.LocalSelectors.SequenceEqual(theirs.RemoteSelectors) || !ours.RemoteSelectors.SequenceEqual(theirs.LocalSelectors)) world.Fail($"{host.Name} and {other.Host.Name} have different selectors for {ours.Name} {ours.InboundSpi}");
    }

    public void Keys(SimHost host, IkeAction.LogIkeKeys keys)
    {
        var both = PlanePair.FingerprintOf(keys.SkEi, keys.SkAi) ^ (PlanePair.FingerprintOf(keys.SkEr, keys.SkAr) << 1);
        foreach (var secret in (ReadOnlySpan<Secret>)[keys.SkEi, keys.SkEr, keys.SkAi, keys.SkAr]) secret.Dispose();
        var spis = (keys.Initiator.Value, keys.Responder.Value);
        if (!_ikeKeys.TryGetValue(spis, out var known)) _ikeKeys.Add(spis, (host, both));
        else if (known.Host != host && known.Keys != both) world.IkeKeysDiffer(keys.Initiator, keys.Responder);
    }

    /// <summary>Both ends of an IKE SA derived the same keys.</summary>
    public bool SameKeys(IkeSpi initiator, IkeSpi responder) => _ikeKeys.ContainsKey((initiator.Value, responder.Value));

    public bool BelongTogether(SimHost host, PlanePair pair, SimHost from) =>
        _halves.TryGetValue((pair.Sa.OutboundSpi.Value, pair.Sa.InboundSpi.Value), out var other) && other.Host == from && host != from;

    public void Astray(SimHost from, SimHost to, Packet packet)
    {
        Lost++;
        if (world.Plan.IsSeamless && world.IsRunning && to.Plane.HasHad(packet.Child)) world.Fail($"{to.Name} has no SA for a packet of {from.Name} for {packet.Child} on SPI {packet.Spi}: a rekeying lost traffic on a perfect network");
    }

    /// <summary>A replaced pair went on one side. While the peer has no other pair to send on, its answer may still be under way, and it goes on asking for 71 seconds.</summary>
    public void Retired(SimHost host, PlanePair pair)
    {
        // in IKEv1 nobody answers message 3 or a delete: only where nothing is lost there is always another way
        if (world.Plan.IsV1 && !world.Plan.IsPerfect) return;
        // what an operator closes goes at once
        if (world.Plan.Closes || world.HasDone(Deed.Reload) || world.HasDone(Deed.DropChild)) return;
        if (!_halves.TryGetValue((pair.Sa.OutboundSpi.Value, pair.Sa.InboundSpi.Value), out var other) || other.Host == host || !other.Host.Plane.Pairs.ContainsKey(other.Pair.Sa.Id)) return;
        var replacements = other.Host.Plane.Pairs.Values.Where(candidate => candidate != other.Pair && candidate.Sa.Name == pair.Sa.Name).ToArray();
        if (replacements.Any(candidate => candidate.OutboundReady)) return;
        // it closes the child
        if (replacements.Length == 0 && other.Host.Engine.IkeSas.Any(sa => sa.Children.TryGetValue(other.Pair.Sa.Id, out var child) && child.Phase == ChildPhase.Deleting)) return;
        // there was another one, which has come to its own end meanwhile
        if (other.Host.Plane.HadSuccessor(other.Pair.Sa.Id)) return;
        if (host.Plane.ReplacedAt(pair.Sa.Id) is { } at && world.Now - at < TimeSpan.FromSeconds(70)) world.Fail($"{host.Name} takes pair {pair.Sa.InboundSpi} away, which is the only one that {other.Host.Name} can send on");
    }

    /// <summary>What <paramref name="left"/> and <paramref name="right"/> have that the other has not; null when they mirror each other.</summary>
    public static string? Orphans(SimHost left, SimHost right)
    {
        var ours = left.Plane.Pairs.Values.Where(pair => right.Owns(pair.Remote.Address)).Select(pair => (In: pair.Sa.InboundSpi, Out: pair.Sa.OutboundSpi, pair.Sa.Name)).ToHashSet();
        var theirs = right.Plane.Pairs.Values.Where(pair => left.Owns(pair.Remote.Address)).Select(pair => (In: pair.Sa.OutboundSpi, Out: pair.Sa.InboundSpi, pair.Sa.Name)).ToHashSet();
        if (ours.SetEquals(theirs)) return null;
        var only = ours.Except(theirs).Select(pair => $"{left.Name}: {pair.Name} in {pair.In} out {pair.Out}").Concat(theirs.Except(ours).Select(pair => $"{right.Name}: {pair.Name} in {pair.Out} out {pair.In}"));
        return string.Join("; ", only);
    }
}
