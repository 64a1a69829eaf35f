using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Threading;
using Warifu.Primitives;

namespace Warifu.Ipsec;

/// <summary>A policy in the SPD, with the state of its acquires.</summary>
internal sealed class SpdPolicy(TrafficPolicy policy)
{
    /// <summary>While one acquire is out, packets raise no other; a lost one is raised again after this.</summary>
    private static readonly TimeSpan AcquireHold = TimeSpan.FromSeconds(5);

    private long _acquireFreeAt = long.MinValue;

    public TrafficPolicy Policy => policy;

    /// <summary>True for one caller at a time.</summary>
    public bool TryAcquire(Instant now)
    {
        var freeAt = Volatile.Read(ref _acquireFreeAt);
        return now.Nanoseconds >= freeAt && Interlocked.CompareExchange(ref _acquireFreeAt, (now + AcquireHold).Nanoseconds, freeAt) == freeAt;
    }

    public void AcquireDone() => Volatile.Write(ref _acquireFreeAt, long.MinValue);
}

/// <summary>One pair of selectors of a policy or of an SA.</summary>
internal sealed class SpdEntry
{
    public required TrafficSelector Local { get; init; }

    public required TrafficSelector Remote { get; init; }

    /// <summary>Lower goes first.</summary>
    public required SpdRank Rank { get; init; }

    /// <summary>The SA that made this entry; null for a policy's.</summary>
    public IpsecSa? Sa { get; init; }

    public SpdPolicy? Policy { get; init; }

    public bool Covers(in PacketFlow flow) =>
        SelectorSet.Covers(Local, flow.Source, flow.Protocol, flow.SourcePort, flow.HasPorts) && SelectorSet.Covers(Remote, flow.Destination, flow.Protocol, flow.DestinationPort, flow.HasPorts);
}

/// <summary>
/// The order of entries (RFC 4301 section 4.4.1 wants one). First the child's <c>priority</c> where it is set; then, as swanctl's users expect, bypass, SAs, traps, discards; then the narrower selectors;
/// of SAs with equal selectors the newer.
/// </summary>
internal readonly record struct SpdRank(int Priority, byte Class, int Width, long Age) : IComparable<SpdRank>
{
    public const byte Bypass = 0, Sa = 1, Trap = 2, Discard = 3;
    public static SpdRank Last => new(int.MaxValue, byte.MaxValue, int.MaxValue, long.MaxValue);

    public int CompareTo(SpdRank other)
    {
        var order = Priority.CompareTo(other.Priority);
        if (order == 0) order = Class.CompareTo(other.Class);
        if (order == 0) order = Width.CompareTo(other.Width);
        return order != 0 ? order : Age.CompareTo(other.Age);
    }

    public static bool operator <(SpdRank left, SpdRank right) => left.CompareTo(right) < 0;

    public static bool operator >(SpdRank left, SpdRank right) => left.CompareTo(right) > 0;

    public static bool operator <=(SpdRank left, SpdRank right) => left.CompareTo(right) <= 0;

    public static bool operator >=(SpdRank left, SpdRank right) => left.CompareTo(right) >= 0;

    public static SpdRank Of(int priority, byte kind, in TrafficSelector local, in TrafficSelector remote, long age)
    {
        var width = Bits(local.First, local.Last) + Bits(remote.First, remote.Last) + (remote.Protocol == 0 ? 8 : 0) + PortBits(local) + PortBits(remote);
        return new(priority == 0 ? 1 << 30 : priority, kind, width, age);
    }

    private static int Bits(IpAddress first, IpAddress last) => 128 - (int)UInt128.LeadingZeroCount(last.Bits - first.Bits);

    private static int PortBits(in TrafficSelector selector) => selector.AnyPort ? 17 : selector.IsOpaque ? 16 : 32 - System.Numerics.BitOperations.LeadingZeroCount((uint)(selector.LastPort - selector.FirstPort));
}

/// <summary>
/// The SPD of one interface: tuple space search. Entries hang on the pair (local prefix, remote prefix); for each pair of prefix lengths that occurs there is one dictionary probe, however many entries there
/// are. The pairs of lengths are ordered by the best rank they hold, and the search ends when none can be better. Ranges that are no prefixes are cut into prefixes.
/// One writer (the engine's thread), readers without locks: buckets and the list of tuples are immutable arrays that are replaced whole.
/// </summary>
internal sealed class SpdTable
{
    private readonly ConcurrentDictionary<Key, SpdEntry[]> _buckets = new();
    private readonly Dictionary<(byte Version, byte Local, byte Remote), SortedDictionary<SpdRank, int>> _ranks = [];
    private volatile Tuple[] _tuples = [];

    private readonly record struct Key(UInt128 Local, UInt128 Remote, byte Version, byte LocalLength, byte RemoteLength);

    private sealed record Tuple(byte Version, byte LocalLength, byte RemoteLength, UInt128 LocalMask, UInt128 RemoteMask, SpdRank Best);

    public bool IsEmpty => _tuples.Length == 0;

    public void Add(SpdEntry entry)
    {
        foreach (var key in Keys(entry))
        {
            var bucket = _buckets.GetValueOrDefault(key) ?? [];
            var at = Array.FindIndex(bucket, other => entry.Rank < other.Rank);
            if (at < 0) at = bucket.Length;
            _buckets[key] = [.. bucket.AsSpan(0, at), entry, .. bucket.AsSpan(at)];
            Note(key, entry.Rank, +1);
        }

        Publish();
    }

    public void Remove(SpdEntry entry)
    {
        foreach (var key in Keys(entry))
        {
            if (!_buckets.TryGetValue(key, out var bucket)) continue;
            var left = Array.FindAll(bucket, other => !ReferenceEquals(other, entry));
            if (left.Length == bucket.Length) continue;
            if (left.Length == 0) _buckets.TryRemove(key, out _);
            else _buckets[key] = left;
            Note(key, entry.Rank, -1);
        }

        Publish();
    }

    /// <summary>The first entry that covers the packet; entries of SAs that carry nothing (not yet, or no more) are passed over.</summary>
    public SpdEntry? Lookup(in PacketFlow flow) => Lookup(flow, out _);

    /// <param name="flow">The packet.</param>
    /// <param name="compared">Entries that were looked at.</param>
    public SpdEntry? Lookup(in PacketFlow flow, out int compared)
    {
        SpdEntry? best = null;
        var bestRank = SpdRank.Last;
        compared = 0;
        foreach (var tuple in _tuples)
        {
            if (tuple.Best >= bestRank) break;
            if (tuple.Version != flow.Source.Version) continue;
            if (!_buckets.TryGetValue(new Key(flow.Source.Bits & tuple.LocalMask, flow.Destination.Bits & tuple.RemoteMask, tuple.Version, tuple.LocalLength, tuple.RemoteLength), out var bucket)) continue;
            foreach (var entry in bucket)
            {
                compared++;
                if (entry.Rank >= bestRank) break;
                if (entry.Sa is { CarriesOutbound: false } || !entry.Covers(flow)) continue;
                best = entry;
                bestRank = entry.Rank;
                break;
            }
        }

        return best;
    }

    private void Note(Key key, SpdRank rank, int change)
    {
        var tuple = (key.Version, key.LocalLength, key.RemoteLength);
        if (!_ranks.TryGetValue(tuple, out var ranks)) _ranks[tuple] = ranks = [];
        ranks[rank] = ranks.GetValueOrDefault(rank) + change;
        if (ranks[rank] == 0) ranks.Remove(rank);
        if (ranks.Count == 0) _ranks.Remove(tuple);
    }

    private void Publish()
    {
        var tuples = new List<Tuple>(_ranks.Count);
        foreach (var ((version, local, remote), ranks) in _ranks)
        {
            using var first = ranks.GetEnumerator();
            first.MoveNext();
            tuples.Add(new Tuple(version, local, remote, Mask(version, local), Mask(version, remote), first.Current.Key));
        }

        tuples.Sort((left, right) => left.Best.CompareTo(right.Best));
        _tuples = [.. tuples];
    }

    private static UInt128 Mask(int version, int length)
    {
        var width = version == 4 ? 32 : 128;
        var all = version == 4 ? (UInt128)uint.MaxValue : UInt128.MaxValue;
        return length == 0 ? UInt128.Zero : all & (UInt128.MaxValue << (width - length));
    }

    private static List<Key> Keys(SpdEntry entry)
    {
        var keys = new List<Key>();
        if (entry.Local.Version != entry.Remote.Version) return keys;
        foreach (var local in Prefixes(entry.Local))
        {
            foreach (var remote in Prefixes(entry.Remote)) keys.Add(new Key(local.Address.Bits, remote.Address.Bits, (byte)entry.Local.Version, (byte)local.Length, (byte)remote.Length));
        }

        return keys;
    }

    /// <summary>A range as prefixes: at most 62 (IPv4) or 254 (IPv6). A range of more than 16 is covered by its common prefix instead; <see cref="SpdEntry.Covers"/> decides anyway.</summary>
    private static List<IpPrefix> Prefixes(in TrafficSelector selector)
    {
        var prefixes = new List<IpPrefix>();
        var width = selector.First.BitLength;
        var version = selector.Version;
        var at = selector.First.Bits;
        var last = selector.Last.Bits;
        while (at <= last)
        {
            if (prefixes.Count == 16)
            {
                var common = width - (128 - (int)UInt128.LeadingZeroCount(selector.First.Bits ^ last));
                return [new IpPrefix(selector.First, common)];
            }

            var hostBits = at == 0 ? width : Math.Min(width, (int)UInt128.TrailingZeroCount(at));
            while (hostBits > 0 && LastOf(at, hostBits) > last) hostBits--;
            prefixes.Add(new IpPrefix(IpAddress.FromBits(at, version), width - hostBits));
            var end = LastOf(at, hostBits);
            if (end >= last) break;
            at = end + 1;
        }

        return prefixes;
    }

    private static UInt128 LastOf(UInt128 first, int hostBits) => hostBits >= 128 ? UInt128.MaxValue : first | ((UInt128.One << hostBits) - 1);
}

/// <summary>The SPD (RFC 4301 section 4.4.1): one table for the policy-based interface and one for each interface that a connection is bound to. Written by the engine's thread only.</summary>
internal sealed class Spd
{
    private readonly ConcurrentDictionary<string, SpdTable> _bound = new(StringComparer.Ordinal);
    private readonly Dictionary<(string, string), (SpdPolicy Policy, List<SpdEntry> Entries)> _policies = [];
    private readonly Dictionary<uint, List<SpdEntry>> _sas = [];
    private long _installed;

    /// <summary>The table of packets that no interface name comes with.</summary>
    public SpdTable Shared { get; } = new();

    public SpdTable? Table(string? boundInterface) => boundInterface is null ? Shared : _bound.GetValueOrDefault(boundInterface);

    public void Install(TrafficPolicy policy)
    {
        Remove(policy.Connection, policy.Child);
        var state = new SpdPolicy(policy);
        var kind = policy.Action switch { TrafficAction.Bypass => SpdRank.Bypass, TrafficAction.Protect => SpdRank.Trap, _ => SpdRank.Discard };
        _policies[(policy.Connection, policy.Child)] = (state, AddEntries(policy.Options, policy.LocalSelectors, policy.RemoteSelectors, kind, ++_installed, state, null));
    }

    public void Remove(string connection, string child)
    {
        if (_policies.Remove((connection, child), out var found)) RemoveEntries(found.Policy.Policy.Options, found.Entries);
    }

    public void Install(IpsecSa sa)
    {
        // the newer first: age counts down
        _sas[sa.Id] = AddEntries(sa.Options, sa.Child.LocalSelectors, sa.Child.RemoteSelectors, SpdRank.Sa, -++_installed, null, sa);
        if (_policies.TryGetValue((sa.Child.Connection, sa.Child.Name), out var found)) found.Policy.AcquireDone();
    }

    public void Remove(IpsecSa sa)
    {
        if (_sas.Remove(sa.Id, out var entries)) RemoveEntries(sa.Options, entries);
    }

    private List<SpdEntry> AddEntries(ChildOptions options, ImmutableArray<TrafficSelector> locals, ImmutableArray<TrafficSelector> remotes, byte kind, long age, SpdPolicy? policy, IpsecSa? sa)
    {
        var table = options.BindInterface is { } name ? _bound.GetOrAdd(name, _ => new SpdTable()) : Shared;
        var entries = new List<SpdEntry>();
        foreach (var local in locals)
        {
            foreach (var remote in remotes)
            {
                if (local.Version != remote.Version || (local.Protocol != 0 && remote.Protocol != 0 && local.Protocol != remote.Protocol)) continue;
                var entry = new SpdEntry { Local = local, Remote = remote, Rank = SpdRank.Of(options.Priority, kind, local, remote, age), Policy = policy, Sa = sa };
                table.Add(entry);
                entries.Add(entry);
            }
        }

        return entries;
    }

    private void RemoveEntries(ChildOptions options, List<SpdEntry> entries)
    {
        var table = Table(options.BindInterface);
        foreach (var entry in entries) table?.Remove(entry);
        if (options.BindInterface is { } name && table is { IsEmpty: true }) _bound.TryRemove(name, out _);
    }
}
