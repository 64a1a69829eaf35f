using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.ComponentModel;
using Warifu.Ipsec;
using Warifu.Net.Linux;
using Warifu.Primitives;

namespace Warifu.Net.Host;

/// <summary>
/// Leads what must be protected into the TUN devices. One rule per family sends everything without our mark to our table, which holds a route per remote prefix; selectors with protocol or ports get a rule
/// of their own and the next table; bypass entries are rules to the main table before both. All of it carries protocol number 87 and is counted: what two children share goes with the last of them.
/// What a crash left stays until <see cref="ForgetLeftovers"/>, so that a restart opens no gap. Used by one thread at a time.
/// </summary>
internal sealed class HostRouting : IDisposable
{
    /// <summary>Our packets skip our rules; needed only while selector rules exist.</summary>
    public const uint SkipPriority = 8746;
    public const uint BypassPriority = 8748;
    public const uint SelectorPriority = 8749;
    public const uint Priority = 8750;
    public const uint SkipTarget = 8751;
    private const uint MainTable = 254;
    private const uint WorstMetric = 0xFFFFFFF0;

    private readonly Rtnetlink _netlink = new();
    private readonly uint _mark;
    private readonly uint _table;
    private readonly Dictionary<Slot, List<Holder>> _routes = [];
    private readonly Dictionary<RoutingRule, int> _rules = [];
    private readonly Dictionary<string, int> _devices = new(StringComparer.Ordinal);
    private readonly List<int> _families = [];
    private readonly List<(bool IsRule, byte[] Body)> _leftovers;
    private List<InterfaceAddress>? _addresses;

    /// <summary>Where a route stands: one prefix of one table, by a device or unreachable.</summary>
    private readonly record struct Slot(IpPrefix Destination, uint Table, bool Unreachable);

    /// <summary>Who wants a route; of several with different devices the first has it.</summary>
    private sealed class Holder(string device, ImmutableArray<TrafficSelector> local)
    {
        public string Device => device;

        /// <summary>Own sides of those that want it, the newest last: that one chooses the source, for a pair may be narrower than the policy that called for it.</summary>
        public List<ImmutableArray<TrafficSelector>> Locals { get; } = [local];
    }

    private sealed record HeldRoute(Slot Slot, string Device, ImmutableArray<TrafficSelector> Local);

    /// <exception cref="Win32Exception">No right to change routes.</exception>
    public HostRouting(uint mark, uint table)
    {
        (_mark, _table) = (mark, table);
        try
        {
            _leftovers = _netlink.Own();
            foreach (var family in new[] { Libc.AfInet, Libc.AfInet6 })
            {
                try
                {
                    _netlink.Add(Base(family));
                    _families.Add(family);
                }
                catch (Win32Exception) when (family == Libc.AfInet6)
                {
                    // a machine without IPv6
                }
            }
        }
        catch
        {
            _netlink.Dispose();
            throw;
        }
    }

    /// <summary>Told what could not be made; it is tried again when something changes.</summary>
    public Action<string>? Troubled { get; set; }

    /// <summary>Routes that name the device lead to this interface from now on.</summary>
    public void SetDevice(string name, int index)
    {
        if (_devices.TryGetValue(name, out var known) && known == index) return;
        _devices[name] = index;
        foreach (var (slot, holders) in _routes)
        {
            if (!slot.Unreachable && holders[0].Device == name) Apply(slot, holders[0]);
        }
    }

    /// <summary>Leads traffic between the selectors into a device.</summary>
    /// <param name="device">Name, made known by <see cref="SetDevice"/>.</param>
    /// <param name="local">Own side; the first own address inside becomes the source of what this machine sends.</param>
    /// <param name="remote">Peer's side.</param>
    /// <param name="options">Route-based children may leak.</param>
    /// <param name="keep">An unreachable route lies under each: should the device go (a crash), nothing leaves in clear.</param>
    /// <returns>What to give to <see cref="Release"/>.</returns>
    public ImmutableArray<object> Lead(string device, ImmutableArray<TrafficSelector> local, ImmutableArray<TrafficSelector> remote, ChildOptions options, bool keep)
    {
        var held = ImmutableArray.CreateBuilder<object>();
        var bound = options.BindInterface is not null;
        var closed = bound ? !options.Leak : keep;
        foreach (var to in remote)
        {
            if (!HasFamily(to)) continue;
            var narrow = Narrowest(local, to);
            // a bound interface with a selector of everything is led by the administrator's own routes
            if (bound && IsEverything(to)) continue;
            foreach (var prefix in PrefixSplit.Of(to.First, to.Last))
            {
                var table = narrow ? _table + 1 : _table;
                foreach (var half in Halves(prefix))
                {
                    if (closed) Hold(new Slot(half, table, Unreachable: true), device, local, held);
                    Hold(new Slot(half, table, Unreachable: false), device, local, held);
                }

                if (!narrow) continue;
                foreach (var rule in Rules(local, to, prefix, SelectorPriority, table, bypass: false)) Hold(rule, held);
            }
        }

        return held.ToImmutable();
    }

    /// <summary>Keeps whole networks out of the devices.</summary>
    public ImmutableArray<object> BypassNetworks(ImmutableArray<IpPrefix> networks)
    {
        var held = ImmutableArray.CreateBuilder<object>();
        foreach (var network in networks) Hold(new RoutingRule(network.Address.IsV6 ? Libc.AfInet6 : Libc.AfInet, BypassPriority, MainTable, To: network), held);
        return held.ToImmutable();
    }

    /// <summary>Keeps traffic between the selectors out of the devices.</summary>
    public ImmutableArray<object> Bypass(ImmutableArray<TrafficSelector> local, ImmutableArray<TrafficSelector> remote)
    {
        var held = ImmutableArray.CreateBuilder<object>();
        foreach (var to in remote)
        {
            if (!HasFamily(to)) continue;
            foreach (var prefix in PrefixSplit.Of(to.First, to.Last))
            {
                foreach (var rule in Rules(local, to, prefix, BypassPriority, MainTable, bypass: true)) Hold(rule, held);
            }
        }

        return held.ToImmutable();
    }

    /// <summary>Gives up what was held; routes and rules that nobody else holds go.</summary>
    public void Release(ImmutableArray<object> held)
    {
        foreach (var item in held)
        {
            if (item is HeldRoute route) Drop(route);
            else if (item is RoutingRule rule && Drop(rule)) Quietly(() => _netlink.Remove(rule));
        }

        if (_rules.Count == 0) Skip(on: false);
    }

    /// <summary>Removes what a crash left and nobody holds again.</summary>
    public void ForgetLeftovers()
    {
        foreach (var (isRule, body) in _leftovers)
        {
            if (isRule ? Rtnetlink.TryParse(body, out RoutingRule rule) && IsHeld(rule) : Rtnetlink.TryParse(body, out Route route) && _routes.ContainsKey(SlotOf(route))) continue;
            Quietly(() => _netlink.Remove(isRule, body));
        }

        _leftovers.Clear();
    }

    /// <summary>Somebody removed this route: it is put back when it is one of ours. True when it was.</summary>
    public bool PutBack(in Route removed)
    {
        if (!_routes.TryGetValue(SlotOf(removed), out var holders)) return false;
        // a route that was moved to another device is told of as removed from the old one
        if (removed.Interface != 0 && _devices.GetValueOrDefault(holders[0].Device) != removed.Interface) return false;
        Apply(SlotOf(removed), holders[0]);
        return true;
    }

    /// <summary>Somebody removed this rule: it is put back when it is one of ours. True when it was.</summary>
    public bool PutBack(RoutingRule removed)
    {
        if (!IsHeld(removed)) return false;
        Quietly(() => _netlink.Add(removed));
        return true;
    }

    /// <summary>An address came: the source of routes may be another one now. Advertisements that only renew addresses change nothing: false.</summary>
    public bool AddressCame()
    {
        var now = _netlink.Addresses();
        if (_addresses is { } before && before.Count == now.Count && before.TrueForAll(now.Contains)) return false;
        Restore();
        return true;
    }

    /// <summary>Puts everything back: who knows what was removed.</summary>
    public void Restore()
    {
        _addresses = null;
        foreach (var family in _families) Quietly(() => _netlink.Add(Base(family)));
        if (_rules.Count > 0) Skip(on: true);
        foreach (var rule in _rules.Keys) Quietly(() => _netlink.Add(rule));
        foreach (var (slot, holders) in _routes) Apply(slot, holders[0]);
    }

    public void Dispose()
    {
        ForgetLeftovers();
        foreach (var rule in _rules.Keys) Quietly(() => _netlink.Remove(rule));
        foreach (var (slot, holders) in _routes) Quietly(() => _netlink.Remove(RouteOf(slot, holders[0], default)));
        Skip(on: false);
        foreach (var family in _families) Quietly(() => _netlink.Remove(Base(family)));
        _netlink.Dispose();
    }

    /// <summary>Networks that this machine is connected to.</summary>
    public IEnumerable<IpPrefix> ConnectedNetworks()
    {
        foreach (var own in OwnAddresses())
        {
            if (own.IsGlobal && own.PrefixLength < own.Address.BitLength) yield return new IpPrefix(own.Address, own.PrefixLength);
        }
    }

    private RoutingRule Base(int family) => new(family, Priority, _table, NotMark: _mark);

    private static RoutingRule Target(int family) => new(family, SkipTarget, 0) { Action = RuleAction.None };

    private RoutingRule SkipOver(int family) => new(family, SkipPriority, 0) { Action = RuleAction.Jump, Mark = _mark, Target = SkipTarget };

    private bool IsHeld(RoutingRule rule) => _rules.ContainsKey(rule) || rule == Base(rule.Family) || (_rules.Count > 0 && (rule == Target(rule.Family) || rule == SkipOver(rule.Family)));

    private static Slot SlotOf(in Route route) => new(route.Destination, route.Table, route.Interface == 0 || route.Metric == WorstMetric);

    private void Hold(Slot slot, string device, ImmutableArray<TrafficSelector> local, ImmutableArray<object>.Builder held)
    {
        held.Add(new HeldRoute(slot, device, local));
        if (!_routes.TryGetValue(slot, out var holders)) _routes[slot] = holders = [];
        if (holders.Find(other => other.Device == device) is { } known)
        {
            known.Locals.Add(local);
            if (known == holders[0] && !slot.Unreachable) Apply(slot, known);
            return;
        }

        holders.Add(new Holder(device, local));
        if (holders.Count == 1) Apply(slot, holders[0]);
    }

    private void Drop(HeldRoute held)
    {
        if (!_routes.TryGetValue(held.Slot, out var holders) || holders.Find(other => other.Device == held.Device) is not { } holder) return;
        var active = holders[0] == holder;
        holder.Locals.RemoveAt(Math.Max(0, holder.Locals.LastIndexOf(held.Local)));
        if (holder.Locals.Count > 0)
        {
            if (active && !held.Slot.Unreachable) Apply(held.Slot, holder);
            return;
        }

        holders.Remove(holder);
        if (holders.Count == 0)
        {
            _routes.Remove(held.Slot);
            Quietly(() => _netlink.Remove(RouteOf(held.Slot, holder, default)));
        }
        else if (active)
        {
            Apply(held.Slot, holders[0]);
        }
    }

    private void Apply(Slot slot, Holder holder)
    {
        var source = slot.Unreachable ? default : SourceOf(holder, slot.Destination.Address.Version);
        try
        {
            try
            {
                _netlink.Add(RouteOf(slot, holder, source));
            }
            catch (Win32Exception) when (!source.IsNone)
            {
                // an IPv6 address that is still being tried (duplicate address detection) cannot be a source yet
                _netlink.Add(RouteOf(slot, holder, default));
            }
        }
        catch (Win32Exception exception)
        {
            Troubled?.Invoke($"the route to {slot.Destination} cannot be made: {exception.Message}; it is tried again when the machine's links or addresses change");
        }
    }

    private IpAddress SourceOf(Holder holder, int version)
    {
        for (var i = holder.Locals.Count - 1; i >= 0; i--)
        {
            if (OwnAddress(holder.Locals[i], version) is { IsNone: false } own) return own;
        }

        return default;
    }

    private Route RouteOf(Slot slot, Holder holder, IpAddress source) => slot.Unreachable
        ? new Route(slot.Destination, slot.Table, 0, Metric: WorstMetric)
        : new Route(slot.Destination, slot.Table, _devices.GetValueOrDefault(holder.Device), source);

    private void Hold(RoutingRule rule, ImmutableArray<object>.Builder held)
    {
        if (_rules.Count == 0) Skip(on: true);
        held.Add(rule);
        var count = _rules.GetValueOrDefault(rule) + 1;
        _rules[rule] = count;
        if (count > 1) return;
        try
        {
            _netlink.Add(rule);
        }
        catch (Win32Exception exception)
        {
            Troubled?.Invoke($"a routing rule cannot be made: {exception.Message}");
        }
    }

    private bool Drop(RoutingRule rule)
    {
        if (!_rules.TryGetValue(rule, out var count)) return false;
        if (count > 1) _rules[rule] = count - 1;
        else _rules.Remove(rule);
        return count == 1;
    }

    /// <summary>The kernel's "not" would turn a whole rule around, so our own packets jump over the rules that name selectors.</summary>
    private void Skip(bool on)
    {
        foreach (var family in _families)
        {
            if (on)
            {
                Quietly(() => _netlink.Add(Target(family)));
                Quietly(() => _netlink.Add(SkipOver(family)));
            }
            else
            {
                Quietly(() => _netlink.Remove(SkipOver(family)));
                Quietly(() => _netlink.Remove(Target(family)));
            }
        }
    }

    private bool HasFamily(in TrafficSelector selector) => _families.Contains(selector.Version == 6 ? Libc.AfInet6 : Libc.AfInet);

    /// <summary>True when whole prefixes would take too much: some selector names a protocol or ports.</summary>
    private static bool Narrowest(ImmutableArray<TrafficSelector> local, in TrafficSelector remote)
    {
        if (remote.Protocol != 0 || !remote.AnyPort) return true;
        foreach (var from in local)
        {
            if (from.Version == remote.Version && (from.Protocol != 0 || !from.AnyPort)) return true;
        }

        return false;
    }

    private IEnumerable<RoutingRule> Rules(ImmutableArray<TrafficSelector> local, TrafficSelector remote, IpPrefix to, uint priority, uint table, bool bypass)
    {
        var family = remote.Version == 6 ? Libc.AfInet6 : Libc.AfInet;
        foreach (var from in local)
        {
            if (from.Version != remote.Version || (from.Protocol != 0 && remote.Protocol != 0 && from.Protocol != remote.Protocol)) continue;
            var protocol = remote.Protocol != 0 ? remote.Protocol : from.Protocol;
            // for the rest the SPD decides inside the TUN. A bypass that cannot be said exactly is none: nothing may leave in clear that is not meant to.
            var hasPorts = HasPorts(protocol);
            if (bypass && !hasPorts && !(from.AnyPort && remote.AnyPort)) continue;
            if (bypass && (from.IsOpaque || remote.IsOpaque)) continue;
            var rule = new RoutingRule(family, priority, table, To: to, Protocol: protocol, SourcePorts: hasPorts ? Ports(from) : null, DestinationPorts: hasPorts ? Ports(remote) : null);
            foreach (var prefix in PrefixSplit.Of(from.First, from.Last)) yield return rule with { From = prefix.Length == 0 ? null : prefix };
            // this machine's packets are routed before they have a source address: they match no "from"
            if (!IsWhole(from) && (!bypass || IsOwn(from))) yield return rule with { OwnPackets = true };
        }
    }

    private static bool IsWhole(in TrafficSelector selector) => selector.TryGetPrefix(out var prefix) && prefix.Length == 0;

    /// <summary>The kernel's rules know the ports of these three.</summary>
    public static bool HasPorts(byte protocol) => protocol is 6 or 17 or 132;

    /// <summary>What a rule says of ports; null = all.</summary>
    public static (ushort, ushort)? Ports(in TrafficSelector selector) => selector.AnyPort || selector.IsOpaque ? null : (selector.FirstPort == 0 ? (ushort)1 : selector.FirstPort, selector.LastPort);

    public static bool IsEverything(TrafficSelector selector) => selector.TryGetPrefix(out var prefix) && prefix.Length == 0 && selector.Protocol == 0 && selector.AnyPort;

    /// <summary>Everything is led as two halves, so that the table has no default route: programs that look for one find the administrator's.</summary>
    private static IEnumerable<IpPrefix> Halves(IpPrefix prefix)
    {
        if (prefix.Length > 0)
        {
            yield return prefix;
            yield break;
        }

        var width = prefix.Address.BitLength;
        yield return new IpPrefix(prefix.Address, 1);
        yield return new IpPrefix(IpAddress.FromBits(UInt128.One << (width - 1), prefix.Address.Version), 1);
    }

    private bool IsOwn(in TrafficSelector selector)
    {
        foreach (var own in OwnAddresses())
        {
            if (Contains(selector, own.Address)) return true;
        }

        return false;
    }

    private IpAddress OwnAddress(ImmutableArray<TrafficSelector> local, int version)
    {
        foreach (var selector in local)
        {
            if (selector.Version != version) continue;
            foreach (var own in OwnAddresses())
            {
                if (own.IsGlobal && Contains(selector, own.Address)) return own.Address;
            }
        }

        return default;
    }

    private static bool Contains(in TrafficSelector selector, IpAddress address) => address.Version == selector.Version && address >= selector.First && address <= selector.Last;

    private List<InterfaceAddress> OwnAddresses() => _addresses ??= _netlink.Addresses();

    /// <summary>Removing what is gone already (with its device, by an administrator) is no failure.</summary>
    private static void Quietly(Action action)
    {
        try
        {
            action();
        }
        catch (Win32Exception)
        {
        }
    }

    private static void Quietly(Func<bool> action) => Quietly(() => { _ = action(); });
}
