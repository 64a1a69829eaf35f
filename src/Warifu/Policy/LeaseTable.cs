using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>Number of a set of addresses that one client holds; zero = none.</summary>
internal readonly record struct LeaseId(ulong Value)
{
    public bool IsNone => Value == 0;
}

/// <summary>What a client wants of which pools.</summary>
/// <param name="Identity">The client, authenticated.</param>
/// <param name="Pools">Names, in the order in which they are asked.</param>
/// <param name="Wanted">One entry for each address: 0.0.0.0 and :: are any, others a wish.</param>
/// <param name="Share">The identity has one set of addresses however often it is connected; otherwise each connection gets its own.</param>
internal sealed record LeaseWish(Identity Identity, ImmutableArray<string> Pools, ImmutableArray<IpAddress> Wanted, bool Share);

/// <summary>Which client holds which address (RFC 7296 section 2.19). An address stays its client's after the end, until all others are taken: who comes back finds what it had. Used by one thread at a time.</summary>
internal sealed class LeaseTable
{
    /// <summary>Clients that are gone and whose addresses are remembered, of one pool: identities under one authority are without number.</summary>
    internal const int RememberedPerPool = 65_536;

    private readonly Dictionary<string, PoolState> _pools = new(StringComparer.Ordinal);
    private readonly Dictionary<ulong, List<(PoolState Pool, Entry Entry)>> _leases = [];
    private ulong _next = 1;

    /// <summary>Told when an address goes to another identity than before: what a host keeps on disk.</summary>
    public Action<string, IpAddress, Identity>? Changed { get; set; }

    /// <summary>Replaces the pools. Leases whose pool and address are still there stay; those that are in use stay until their end anyway.</summary>
    public void SetPools(ImmutableArray<Pool> pools)
    {
        foreach (var pool in pools)
        {
            if (_pools.TryGetValue(pool.Name, out var state)) state.Replace(pool);
            else _pools.Add(pool.Name, new PoolState(pool));
        }

        foreach (var name in _pools.Keys.Except(pools.Select(pool => pool.Name)).ToArray())
        {
            _pools[name].Replace(new Pool { Name = name });
            if (_pools[name].Online == 0) _pools.Remove(name);
        }
    }

    /// <summary>A lease of an earlier life of this host; later ones are newer.</summary>
    public void Remember(string pool, IpAddress address, Identity identity)
    {
        if (_pools.TryGetValue(pool, out var state)) state.Remember(address, Identities.Canonical(identity));
    }

    /// <summary>Every lease that <see cref="Remember"/> should be told again, oldest first.</summary>
    public IEnumerable<(string Pool, IpAddress Address, Identity Identity)> Remembered => _pools.SelectMany(pair => pair.Value.InOrder.Select(entry => (pair.Key, entry.Address, entry.Identity)));

    /// <summary>Gives addresses: one or none for each that is wanted, in order. No lease when there is none at all.</summary>
    public (LeaseId Lease, ImmutableArray<IpAddress> Addresses) Grant(LeaseWish wish)
    {
        var identity = Identities.Canonical(wish.Identity);
        var states = wish.Pools.Select(name => _pools.GetValueOrDefault(name)).OfType<PoolState>().ToArray();
        var held = new List<(PoolState Pool, Entry Entry)>();
        var given = ImmutableArray.CreateBuilder<IpAddress>(wish.Wanted.Length);
        foreach (var wanted in wish.Wanted)
        {
            var found = Find(states, identity, wanted, wish.Share, held);
            given.Add(found?.Entry.Address ?? default);
            if (found is not { } one) continue;
            held.Add(one);
            if (one.Pool.Take(one.Entry, identity)) Changed?.Invoke(one.Pool.Name, one.Entry.Address, identity);
        }

        if (held.Count == 0) return (default, given.MoveToImmutable());
        var id = new LeaseId(_next++);
        _leases.Add(id.Value, held);
        return (id, given.MoveToImmutable());
    }

    /// <summary>The client is gone.</summary>
    public void Release(LeaseId lease)
    {
        if (!_leases.Remove(lease.Value, out var held)) return;
        foreach (var (pool, entry) in held)
        {
            pool.Release(entry);
            if (pool is { Online: 0, IsGone: true }) _pools.Remove(pool.Name);
        }
    }

    public ImmutableArray<PoolStatus> Status() => [.. _pools.Values.Where(state => !state.IsGone).Select(state => state.Status())];

    /// <summary>What the identity has or had in any pool comes before something new in the first.</summary>
    private static (PoolState Pool, Entry Entry)? Find(PoolState[] states, Identity identity, IpAddress wanted, bool share, List<(PoolState Pool, Entry Entry)> held)
    {
        bool IsFree(Entry entry) => !held.Exists(have => have.Entry == entry);
        foreach (var state in states)
        {
            if (state.FindOwn(identity, wanted, share, IsFree) is { } own) return (state, own);
        }

        foreach (var state in states)
        {
            if (state.FindFree(wanted) is { } free) return (state, free);
        }

        foreach (var state in states)
        {
            if (state.FindForgotten(wanted.Version) is { } forgotten) return (state, forgotten);
        }

        foreach (var state in states)
        {
            if (state.FindAgain(wanted) is { } again) return (state, again);
        }

        return null;
    }

    private sealed class Entry(IpAddress address)
    {
        public IpAddress Address => address;

        public Identity Identity { get; set; } = null!;

        /// <summary>How many leases it is part of.</summary>
        public int Uses { get; set; }

        /// <summary>Its place among those that nobody uses.</summary>
        public LinkedListNode<Entry>? Offline { get; set; }
    }

    private sealed class PoolState
    {
        private readonly Dictionary<IpAddress, Entry> _byAddress = [];
        private readonly Dictionary<Identity, List<Entry>> _byIdentity = [];
        private readonly LinkedList<Entry> _offline = new();
        private Dictionary<IpAddress, Identity> _static = [];
        private Dictionary<Identity, List<IpAddress>> _staticByIdentity = [];
        private UInt128[] _fresh = [];
        private int _forgotten;
        private Pool _pool;

        public PoolState(Pool pool)
        {
            _pool = pool;
            Replace(pool);
        }

        public string Name => _pool.Name;

        public int Online { get; private set; }

        /// <summary>It is not configured any more.</summary>
        public bool IsGone => !_pool.HasAddresses && _pool.Attributes.IsEmpty;

        public IEnumerable<Entry> InOrder => _offline.Concat(_byAddress.Values.Where(entry => entry.Uses > 0));

        public void Replace(Pool pool)
        {
            _pool = pool;
            _fresh = new UInt128[pool.Addresses.Length];
            _static = pool.Static.DistinctBy(lease => lease.Address).ToDictionary(lease => lease.Address, lease => Identities.Canonical(lease.Identity));
            _staticByIdentity = _static.GroupBy(pair => pair.Value).ToDictionary(group => group.Key, group => group.Select(pair => pair.Key).ToList());
            foreach (var entry in _offline.Where(entry => !MayHold(entry.Address, entry.Identity)).ToArray()) Forget(entry);
        }

        public void Remember(IpAddress address, Identity identity)
        {
            if (!MayHold(address, identity)) return;
            if (_byAddress.TryGetValue(address, out var entry))
            {
                if (entry.Uses > 0) return;
                Forget(entry);
            }

            entry = new Entry(address) { Identity = identity };
            Keep(entry);
            GoOffline(entry);
        }

        /// <summary>A static lease, or what the identity has or had.</summary>
        public Entry? FindOwn(Identity identity, IpAddress wanted, bool share, Func<Entry, bool> isFree)
        {
            foreach (var address in _staticByIdentity.GetValueOrDefault(identity) ?? [])
            {
                if (address.Version != wanted.Version) continue;
                var entry = _byAddress.GetValueOrDefault(address);
                if (entry is null) return new Entry(address);
                if (isFree(entry) && (entry.Uses == 0 || Equals(entry.Identity, identity))) return entry;
            }

            if (!_byIdentity.TryGetValue(identity, out var own)) return null;
            // by name: also one that is in use, for whoever authenticates anew asks for what it has
            return own.Find(entry => entry.Address == wanted && isFree(entry))
                ?? own.Find(entry => entry.Uses == 0 && entry.Address.Version == wanted.Version && isFree(entry))
                ?? (share ? own.Find(entry => entry.Address.Version == wanted.Version && isFree(entry)) : null);
        }

        /// <summary>An address that nobody has had: the wish, with IPv6 its interface identifier in our network (section 3.15.3), or the next one.</summary>
        public Entry? FindFree(IpAddress wanted)
        {
            if (!wanted.IsUnspecified)
            {
                if (IsFresh(wanted)) return new Entry(wanted);
                foreach (var range in _pool.Addresses)
                {
                    if (!wanted.IsV6 || !range.First.IsV6) continue;
                    var sameHost = IpAddress.V6((range.First.Bits >> 64 << 64) | (ulong)wanted.Bits);
                    if (IsFresh(sameHost)) return new Entry(sameHost);
                }
            }

            for (var i = 0; i < _pool.Addresses.Length; i++)
            {
                var range = _pool.Addresses[i];
                if (range.First.Version != wanted.Version) continue;
                while (_fresh[i] < range.Size)
                {
                    var address = IpAddress.FromBits(range.First.Bits + _fresh[i]++, range.First.Version);
                    if (IsFresh(address)) return new Entry(address);
                }
            }

            return null;
        }

        /// <summary>An address that was given once and is not remembered any more.</summary>
        public Entry? FindAgain(IpAddress wanted)
        {
            if (_forgotten == 0) return null;
            (_forgotten, _fresh) = (0, new UInt128[_fresh.Length]);
            return FindFree(wanted);
        }

        /// <summary>The address of the client that has been gone for the longest time.</summary>
        public Entry? FindForgotten(int version)
        {
            for (var node = _offline.First; node is not null; node = node.Next)
            {
                if (node.Value.Address.Version == version && !_static.ContainsKey(node.Value.Address)) return node.Value;
            }

            return null;
        }

        /// <summary>True when the address belonged to another identity, or to nobody.</summary>
        public bool Take(Entry entry, Identity identity)
        {
            var isNew = !Equals(entry.Identity, identity);
            if (isNew)
            {
                if (entry.Identity is not null) Forget(entry);
                entry.Identity = identity;
                Keep(entry);
            }

            if (entry.Offline is { } node) _offline.Remove(node);
            entry.Offline = null;
            if (entry.Uses++ == 0) Online++;
            return isNew;
        }

        public void Release(Entry entry)
        {
            if (--entry.Uses > 0) return;
            Online--;
            if (MayHold(entry.Address, entry.Identity)) GoOffline(entry);
            else Forget(entry);
        }

        public PoolStatus Status()
        {
            ImmutableArray<LeaseStatus> leases = [.. _byAddress.Values.OrderBy(entry => entry.Address).Select(entry => new LeaseStatus(entry.Address, entry.Identity, entry.Uses > 0))];
            return new PoolStatus(_pool.Name, _pool.Addresses.IsEmpty ? default : _pool.Addresses[0].Base, _pool.Size, Online, _offline.Count, leases);
        }

        private bool IsFresh(IpAddress address) => !_byAddress.ContainsKey(address) && !_static.ContainsKey(address) && _pool.Addresses.Any(range => range.Contains(address));

        private bool MayHold(IpAddress address, Identity identity) => _static.TryGetValue(address, out var owner) ? Equals(owner, identity) : _pool.Addresses.Any(range => range.Contains(address));

        private void Keep(Entry entry)
        {
            _byAddress[entry.Address] = entry;
            if (!_byIdentity.TryGetValue(entry.Identity, out var own)) _byIdentity.Add(entry.Identity, own = []);
            own.Add(entry);
        }

        private void Forget(Entry entry)
        {
            if (entry.Offline is { } node) _offline.Remove(node);
            entry.Offline = null;
            _byAddress.Remove(entry.Address);
            _forgotten++;
            if (!_byIdentity.TryGetValue(entry.Identity, out var own)) return;
            own.Remove(entry);
            if (own.Count == 0) _byIdentity.Remove(entry.Identity);
        }

        private void GoOffline(Entry entry)
        {
            entry.Offline = _offline.AddLast(entry);
            if (_offline.Count > RememberedPerPool) Forget(_offline.First!.Value);
        }
    }
}

/// <summary>State of a pool.</summary>
internal sealed record PoolStatus(string Name, IpAddress Base, UInt128 Size, int Online, int Offline, ImmutableArray<LeaseStatus> Leases);

/// <summary>An address and its client.</summary>
internal sealed record LeaseStatus(IpAddress Address, Identity Identity, bool Online);
