using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.ComponentModel;
using System.Net.NetworkInformation;
using Warifu.Ipsec;
using Warifu.Net.Linux;
using Warifu.Primitives;

namespace Warifu.Net.Host;

/// <summary>
/// Leads what must be protected into the TUN devices. One rule per family sends everything without our mark to our table, which holds a route per remote prefix; selectors with protocol or ports get a rule
/// of their own and the next table; bypass entries are rules to the main table before both. All of it carries protocol number 87 and is counted: what two children share goes with the last of them.
/// Used by one thread.
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
    private readonly Dictionary<Route, int> _routes = [];
    private readonly Dictionary<RoutingRule, int> _rules = [];
    private readonly List<int> _families = [];

    /// <exception cref="Win32Exception">No right to change routes.</exception>
    public HostRouting(uint mark, uint table)
    {
        (_mark, _table) = (mark, table);
        try
        {
            _ = _netlink.RemoveLeftovers();
            foreach (var family in new[] { Libc.AfInet, Libc.AfInet6 })
            {
                try
                {
                    _netlink.Add(new RoutingRule(family, Priority, table, NotMark: mark));
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

    /// <summary>Leads traffic between the selectors into a device.</summary>
    /// <param name="device">Interface index.</param>
    /// <param name="local">Own side; the first own address inside becomes the source of what this machine sends.</param>
    /// <param name="remote">Peer's side.</param>
    /// <param name="options">Route-based children keep an unreachable route under it unless they may leak.</param>
    /// <returns>What to give to <see cref="Release"/>.</returns>
    public ImmutableArray<object> Lead(int device, ImmutableArray<TrafficSelector> local, ImmutableArray<TrafficSelector> remote, ChildOptions options)
    {
        var held = ImmutableArray.CreateBuilder<object>();
        var bound = options.BindInterface is not null;
        foreach (var to in remote)
        {
            if (!HasFamily(to)) continue;
            var narrow = Narrowest(local, to);
            // a bound interface with a selector of everything is led by the administrator's own routes
            if (bound && IsEverything(to)) continue;
            foreach (var prefix in PrefixSplit.Of(to.First, to.Last))
            {
                if (!narrow)
                {
                    foreach (var half in Halves(prefix)) Hold(new Route(half, _table, device, OwnAddress(local, to.Version)), held);
                    if (bound && !options.Leak) Hold(new Route(prefix, _table, 0, Metric: WorstMetric), held);
                    continue;
                }

                foreach (var half in Halves(prefix)) Hold(new Route(half, _table + 1, device, OwnAddress(local, to.Version)), held);
                foreach (var rule in Rules(local, to, prefix, SelectorPriority, _table + 1)) Hold(rule, held);
            }
        }

        if (options.BypassLan)
        {
            foreach (var network in ConnectedNetworks()) Hold(new RoutingRule(network.Address.IsV6 ? Libc.AfInet6 : Libc.AfInet, BypassPriority, MainTable, To: network), held);
        }

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
                foreach (var rule in Rules(local, to, prefix, BypassPriority, MainTable)) Hold(rule, held);
            }
        }

        return held.ToImmutable();
    }

    /// <summary>Gives up what was held; routes and rules that nobody else holds go.</summary>
    public void Release(ImmutableArray<object> held)
    {
        foreach (var item in held)
        {
            if (item is Route route && Drop(_routes, route)) Quietly(() => _netlink.Remove(route));
            else if (item is RoutingRule rule && Drop(_rules, rule)) Quietly(() => _netlink.Remove(rule));
        }

        if (_rules.Count == 0) Skip(on: false);
    }

    /// <summary>Puts back what somebody removed.</summary>
    public void Restore()
    {
        foreach (var family in _families) Quietly(() => _netlink.Add(new RoutingRule(family, Priority, _table, NotMark: _mark)));
        foreach (var route in _routes.Keys) Quietly(() => _netlink.Add(route));
        foreach (var rule in _rules.Keys) Quietly(() => _netlink.Add(rule));
    }

    public void Dispose()
    {
        foreach (var rule in _rules.Keys) Quietly(() => _netlink.Remove(rule));
        foreach (var route in _routes.Keys) Quietly(() => _netlink.Remove(route));
        Skip(on: false);
        foreach (var family in _families) Quietly(() => _netlink.Remove(new RoutingRule(family, Priority, _table, NotMark: _mark)));
        _netlink.Dispose();
    }

    private void Hold(Route route, ImmutableArray<object>.Builder held)
    {
        if (Add(_routes, route)) _netlink.Add(route);
        held.Add(route);
    }

    private void Hold(RoutingRule rule, ImmutableArray<object>.Builder held)
    {
        if (_rules.Count == 0) Skip(on: true);
        if (Add(_rules, rule)) _netlink.Add(rule);
        held.Add(rule);
    }

    /// <summary>The kernel's "not" would turn a whole rule around, so our own packets jump over the rules that name selectors.</summary>
    private void Skip(bool on)
    {
        foreach (var family in _families)
        {
            var target = new RoutingRule(family, SkipTarget, 0) { Action = RuleAction.None };
            var jump = new RoutingRule(family, SkipPriority, 0) { Action = RuleAction.Jump, Mark = _mark, Target = SkipTarget };
            if (on)
            {
                _netlink.Add(target);
                _netlink.Add(jump);
            }
            else
            {
                Quietly(() => _netlink.Remove(jump));
                Quietly(() => _netlink.Remove(target));
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

    private static IEnumerable<RoutingRule> Rules(ImmutableArray<TrafficSelector> local, TrafficSelector remote, IpPrefix to, uint priority, uint table)
    {
        var family = remote.Version == 6 ? Libc.AfInet6 : Libc.AfInet;
        foreach (var from in local)
        {
            if (from.Version != remote.Version) continue;
            var protocol = remote.Protocol != 0 ? remote.Protocol : from.Protocol;
            // the kernel's rules know the ports of these three; for the rest the SPD decides inside the TUN
            var hasPorts = protocol is 6 or 17 or 132;
            foreach (var prefix in PrefixSplit.Of(from.First, from.Last))
            {
                // packets of this machine are routed before they have a source address: a rule of everything must not ask for one
                yield return new RoutingRule(family, priority, table, From: IsOwn(from) ? null : prefix, To: to, Protocol: protocol,
                    SourcePorts: hasPorts ? Ports(from) : null, DestinationPorts: hasPorts ? Ports(remote) : null);
            }
        }
    }

    private static (ushort, ushort)? Ports(in TrafficSelector selector) => selector.AnyPort || selector.IsOpaque ? null : (selector.FirstPort == 0 ? (ushort)1 : selector.FirstPort, selector.LastPort);

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

    private static bool IsOwn(in TrafficSelector selector)
    {
        foreach (var (address, _) in OwnAddresses())
        {
            if (address.Version == selector.Version && address >= selector.First && address <= selector.Last) return true;
        }

        return false;
    }

    private static IpAddress OwnAddress(ImmutableArray<TrafficSelector> local, int version)
    {
        foreach (var selector in local)
        {
            if (selector.Version != version) continue;
            foreach (var (address, _) in OwnAddresses())
            {
                if (address.Version == version && address >= selector.First && address <= selector.Last) return address;
            }
        }

        return default;
    }

    private static IEnumerable<IpPrefix> ConnectedNetworks()
    {
        foreach (var (address, length) in OwnAddresses())
        {
            if (length < address.BitLength) yield return new IpPrefix(address, length);
        }
    }

    /// <summary>Addresses of this machine's interfaces; not loopback's and no link-local ones.</summary>
    private static List<(IpAddress Address, int PrefixLength)> OwnAddresses()
    {
        var found = new List<(IpAddress, int)>();
        foreach (var network in NetworkInterface.GetAllNetworkInterfaces())
        {
            if (network.OperationalStatus is not (OperationalStatus.Up or OperationalStatus.Unknown)) continue;
            foreach (var unicast in network.GetIPProperties().UnicastAddresses)
            {
                var address = IpAddress.From(unicast.Address);
                var loopback = address.IsV4 ? (uint)address.Bits >> 24 == 127 : address.Bits == 1;
                if (!loopback && !unicast.Address.IsIPv6LinkLocal) found.Add((address, unicast.PrefixLength));
            }
        }

        return found;
    }

    private static bool Add<T>(Dictionary<T, int> counts, T item) where T : notnull
    {
        var count = counts.GetValueOrDefault(item) + 1;
        counts[item] = count;
        return count == 1;
    }

    private static bool Drop<T>(Dictionary<T, int> counts, T item) where T : notnull
    {
        if (!counts.TryGetValue(item, out var count)) return false;
        if (count > 1) counts[item] = count - 1;
        else counts.Remove(item);
        return count == 1;
    }

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
