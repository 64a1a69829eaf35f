using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.ComponentModel;
using Warifu.Net.Linux;
using Warifu.Primitives;

namespace Warifu.Net.Host;

/// <summary>
/// The inbound half of "no clear text": a table <c>inet warifu</c> of our own drops and counts packets that a protect entry covers and that did not come out of a TUN of ours (RFC 4301 section 5.2: what
/// should have been protected and was not must go). Lookups are in sets of address ranges, so the number of tunnels costs nothing per packet. A crash leaves the table: closed rather than open; the next
/// start replaces it when it has loaded (<see cref="Enforce"/>), and a second table stands in while it does. Used by one thread at a time.
/// Where an entry names ports it also closes the gap of the outbound half: routing rules see no ports in fragments, the first one included, and lead them past our devices.
/// </summary>
internal sealed partial class ClearTextGuard : IDisposable
{
    public const string Table = "warifu";
    private const string Standby = "warifu-standby";
    private const string Tuns = "tuns", RoutedTuns = "routed", Counter = "unprotected", FragmentCounter = "fragments";
    private const uint Drop = 0, Accept = 1;
    private const int TypeAddress4 = 7, TypeAddress6 = 8, TypeProtocol = 12, TypePort = 13, TypeInterfaceName = 41;
    private const int Exists = 17, NotEmpty = 39;

    private const byte RoutingHeader = 43, FragmentHeader = 44, AuthenticationHeader = 51, DestinationOptions = 60;

    /// <summary>Sets per kind: ranges that overlap one another cannot be in one set.</summary>
    private const int MaxLevels = 16;

    /// <summary>Elements of one message: a list of attributes has at most 65,535 octets.</summary>
    private const int Chunk = 250;

    private readonly NfTables _tables = new();
    private readonly ushort[] _ports;
    private readonly Dictionary<Element, (int Count, int Level)> _elements = [];
    private readonly Dictionary<Kind, int> _levels = [];
    private readonly HashSet<string> _tuns = new(StringComparer.Ordinal);
    private readonly HashSet<string> _routed = new(StringComparer.Ordinal);
    private string _table = Table;
    private long _droppedBefore;
    private long _fragmentsBefore;
    private bool _enforced;
    private bool _watchesFragments;

    private enum Shape
    {
        Addresses,
        /// <summary>With protocol and ports.</summary>
        Flow,
        /// <summary>With the protocol that a fragment shows.</summary>
        Fragment,
    }

    /// <summary>Which set: what happens, which version, what of a packet is looked at.</summary>
    private readonly record struct Kind(bool Bypass, bool V6, Shape Shape)
    {
        public string Name(int level) => $"{(Bypass ? "bypass" : "protect")}{(V6 ? 6 : 4)}{Shape switch { Shape.Flow => "flow", Shape.Fragment => "fragment", _ => "" }}{(level == 0 ? "" : $"-{level}")}";
    }

    private readonly record struct Element(Kind Kind, TrafficSelector Remote, TrafficSelector Local);

    /// <param name="ports">UDP ports of IKE and ESP, which come in clear.</param>
    /// <exception cref="Win32Exception">No nf_tables, or no right to it.</exception>
    public ClearTextGuard(params ReadOnlySpan<ushort> ports)
    {
        _ports = ports.ToArray();
        try
        {
            Probe(_tables);
        }
        catch
        {
            _tables.Dispose();
            throw;
        }
    }

    /// <summary>Sees whether a table could be made, without making one.</summary>
    /// <exception cref="Win32Exception">No nf_tables, or no right to it.</exception>
    public static void Probe()
    {
        using var tables = new NfTables();
        Probe(tables);
    }

    /// <summary>Sees whether the rule for bound interfaces could be made (nft_fib), without leaving one. False: this kernel does not have it.</summary>
    /// <exception cref="Win32Exception">No nf_tables, or no right to it.</exception>
    public static bool ProbeRouted()
    {
        const string Name = "warifu-probe";
        // never disposed: that removes the table of a daemon
        var guard = new ClearTextGuard { _table = Name };
        try
        {
            return guard._tables.TryCommit(
                new NfTables.Step(NfTables.NewTable, NetlinkMessage.Create, message => message.Attribute(1, Name)),
                guard.Chain("protect", null),
                guard.Rule("protect", [SourceRoute, Compare(1, ClearTextGuard.Name("lo")), Verdict(Drop)]),
                new NfTables.Step(NfTables.DeleteTable, 0, message => message.Attribute(1, Name))) == 0;
        }
        finally
        {
            guard._tables.Dispose();
        }
    }

    /// <summary>Packets that came unprotected and were dropped.</summary>
    public long Dropped => _droppedBefore + (_enforced ? _tables.ReadCounter(Table, Counter) : 0);

    /// <summary>Fragments that would have left in clear, to where packets with some ports are protected, and were dropped.</summary>
    public long DroppedFragments => _fragmentsBefore + (_enforced ? _tables.ReadCounter(Table, FragmentCounter) : 0);

    /// <summary>fwmark of our own packets.</summary>
    public uint Mark { get; init; }

    /// <summary>What comes out of this device is ours.</summary>
    public void AddTun(string name)
    {
        if (_tuns.Add(name) && _enforced) _tables.Commit("nftables", Elements(NfTables.NewElement, Tuns, [(Name(name), null)]));
    }

    /// <summary>Sources that the machine's routes lead into this device must come out of it: a bound interface whose selectors are everything, where only the administrator's routes tell what belongs inside.</summary>
    public void AddRoutedTun(string name)
    {
        if (!_routed.Add(name) || !_enforced) return;
        _ = _routed.Count == 1 ? _tables.TryCommit(RoutedSteps().ToArray()) : _tables.TryCommit(Elements(NfTables.NewElement, RoutedTuns, [(Name(name), null)]));
    }

    /// <summary>Packets between the selectors must come out of a TUN of ours. Counted: what is added twice stays until it is removed twice.</summary>
    public void Add(bool bypass, ImmutableArray<TrafficSelector> local, ImmutableArray<TrafficSelector> remote)
    {
        foreach (var element in Pairs(bypass, local, remote))
        {
            if (_elements.TryGetValue(element, out var held))
            {
                _elements[element] = held with { Count = held.Count + 1 };
                continue;
            }

            _elements[element] = (1, _enforced ? Insert(element) : 0);
        }
    }

    public void Remove(bool bypass, ImmutableArray<TrafficSelector> local, ImmutableArray<TrafficSelector> remote)
    {
        foreach (var element in Pairs(bypass, local, remote))
        {
            if (!_elements.TryGetValue(element, out var held)) continue;
            if (held.Count > 1)
            {
                _elements[element] = held with { Count = held.Count - 1 };
                continue;
            }

            _elements.Remove(element);
            if (_enforced) _ = _tables.TryCommit(Elements(NfTables.DeleteElement, element.Kind.Name(held.Level), [Key(element)]));
        }
    }

    /// <summary>From now on the table stands, with all that was added so far; what a crash left is replaced by it without a gap. Harmless when called again.</summary>
    public void Enforce()
    {
        if (_enforced) return;
        _enforced = true;
        Replace();
    }

    /// <summary>True when the message says that somebody else took away a part of the table.</summary>
    public bool IsTakenAway(in NetlinkReader message) => _enforced && message.Port != _tables.Port && NfTables.IsRemoval(message, Table);

    /// <summary>Makes the table anew, with everything that belongs in it.</summary>
    public void Restore()
    {
        if (!_enforced) return;
        _droppedBefore += _tables.ReadCounter(Table, Counter);
        _fragmentsBefore += _tables.ReadCounter(Table, FragmentCounter);
        Replace();
    }

    public void Dispose()
    {
        foreach (var name in new[] { Table, Standby }) Delete(name);
        _tables.Dispose();
    }

    private static void Probe(NfTables tables)
    {
        const string Name = "warifu-probe";
        tables.Commit("nftables", new NfTables.Step(NfTables.NewTable, NetlinkMessage.Create, message => message.Attribute(1, Name)), new NfTables.Step(NfTables.DeleteTable, 0, message => message.Attribute(1, Name)));
    }

    /// <summary>
    /// Puts the table in place of the one that was there. One batch is not one step for a packet under way: it can meet the new chains before the batch counts, when they are empty yet, and the old ones
    /// after, when they are empty already. So another table with all that belongs in it stands from before until after.
    /// </summary>
    private void Replace()
    {
        try
        {
            _table = Standby;
            Build();
        }
        finally
        {
            _table = Table;
        }

        Build();
        _droppedBefore += _tables.ReadCounter(Standby, Counter);
        _fragmentsBefore += _tables.ReadCounter(Standby, FragmentCounter);
        Delete(Standby);
    }

    private void Delete(string name)
    {
        // a table is made to exist so that it can be removed with all that is in it
        var table = new NfTables.Step(NfTables.NewTable, NetlinkMessage.Create, message => message.Attribute(1, name));
        _ = _tables.TryCommit(table, new NfTables.Step(NfTables.DeleteTable, 0, message => message.Attribute(1, name)));
    }

    private void Build()
    {
        var levels = new Dictionary<Kind, int>(_levels);
        _levels.Clear();
        var steps = Frame();
        foreach (var (kind, count) in levels)
        {
            for (var level = 0; level < count; level++) steps.AddRange(SetSteps(kind, level));
        }

        foreach (var element in _elements.Keys)
        {
            if (!levels.TryAdd(element.Kind, 1)) continue;
            steps.AddRange(SetSteps(element.Kind, 0));
        }

        var keys = new Dictionary<string, List<(byte[], byte[]?)>>(StringComparer.Ordinal);
        foreach (var (element, held) in _elements)
        {
            var name = element.Kind.Name(held.Level);
            if (!keys.TryGetValue(name, out var list)) keys[name] = list = [];
            list.Add(Key(element));
        }

        foreach (var (name, list) in keys)
        {
            for (var at = 0; at < list.Count; at += Chunk) steps.Add(Elements(NfTables.NewElement, name, [.. list.GetRange(at, Math.Min(Chunk, list.Count - at))]));
        }

        var error = _tables.TryCommit(steps.ToArray());
        if (error == 0)
        {
            foreach (var (kind, count) in levels) _levels[kind] = count;
        }
        else
        {
            // ranges that overlap: one by one, each to the first set that takes it
            _tables.Commit("nftables", Frame().ToArray());
            foreach (var element in new List<Element>(_elements.Keys)) _elements[element] = _elements[element] with { Level = Insert(element) };
        }

        // an own batch: a kernel without nft_fib has no such rule, and everything else still stands
        if (_routed.Count > 0) _ = _tables.TryCommit(RoutedSteps().ToArray());
    }

    /// <summary>The table without elements, in place of the one that was there.</summary>
    private List<NfTables.Step> Frame()
    {
        var table = new NfTables.Step(NfTables.NewTable, NetlinkMessage.Create, message => message.Attribute(1, _table));
        var steps = new List<NfTables.Step>
        {
            table, new(NfTables.DeleteTable, 0, message => message.Attribute(1, _table)), table,
            NewCounter(Counter), NewCounter(FragmentCounter),
            Set(Tuns, TypeInterfaceName, 16, []),
            Chain("bypass", null), Chain("protect", null), Chain("outbypass", null), Chain("outprotect", null), Chain("input", 1), Chain("forward", 2),
        };
        if (_tuns.Count > 0)
        {
            var names = new List<(byte[], byte[]?)>();
            foreach (var name in _tuns) names.Add((Name(name), null));
            steps.Add(Elements(NfTables.NewElement, Tuns, [.. names]));
        }

        foreach (var chain in new[] { "input", "forward" })
        {
            steps.Add(Rule(chain, [Meta(6, 1), Compare(1, Name("lo")), Verdict(Accept)]));
            steps.Add(Rule(chain, [Meta(6, 1), Lookup(Tuns, 1), Verdict(Accept)]));
        }

        foreach (var protocol in new byte[] { 50, AuthenticationHeader }) steps.Add(Rule("input", [Meta(16, 1), Compare(1, [protocol]), Verdict(Accept)]));
        // neighbour discovery (RFC 4861): from the link itself, which hop limit 255 proves, and never protected here
        steps.Add(Rule("input", [Meta(15, 1), Compare(1, [10]), Meta(16, 1), Compare(1, [58]), Payload(1, 7, 1, 1), Compare(1, [255]), Payload(2, 0, 1, 1), Compare(1, [133], 5), Compare(1, [137], 3), Verdict(Accept)]));
        foreach (var port in _ports) steps.Add(Rule("input", [Meta(16, 1), Compare(1, [17]), Payload(2, 2, 2, 1), Compare(1, [(byte)(port >> 8), (byte)port]), Verdict(Accept)]));
        foreach (var chain in new[] { "input", "forward" })
        {
            steps.Add(Rule(chain, [Jump("bypass")]));
            steps.Add(Rule(chain, [Jump("protect")]));
        }

        _watchesFragments = false;
        foreach (var element in _elements.Keys)
        {
            if (element.Kind is not { Shape: Shape.Fragment, Bypass: false }) continue;
            steps.AddRange(FragmentSteps());
            break;
        }

        return steps;
    }

    /// <summary>Looks at fragments that leave, forwarded or made by a program of this machine; nothing where no entry asks for it.</summary>
    private List<NfTables.Step> FragmentSteps()
    {
        _watchesFragments = true;
        var steps = new List<NfTables.Step> { Chain("fragments", null), Chain("leaving", 2), Chain("sent", 3), Rule("sent", [Meta(3, 1), Compare(1, BitConverter.GetBytes(Mark)), Verdict(Accept)]) };
        foreach (var chain in new[] { "leaving", "sent" })
        {
            foreach (var v6 in new[] { false, true }) steps.Add(Rule(chain, [.. IsFragment(v6), Jump("fragments")]));
        }

        steps.Add(Rule("fragments", [Meta(7, 1), Compare(1, Name("lo")), Verdict(Accept)]));
        steps.Add(Rule("fragments", [Meta(7, 1), Lookup(Tuns, 1), Verdict(Accept)]));
        steps.Add(Rule("fragments", [Jump("outbypass")]));
        steps.Add(Rule("fragments", [Jump("outprotect")]));
        return steps;
    }

    /// <summary>Drops what comes from a source that would be answered through a bound interface (the strict reverse path of RFC 3704 section 2.2, for these interfaces only).</summary>
    private List<NfTables.Step> RoutedSteps()
    {
        var names = new List<(byte[], byte[]?)>();
        foreach (var name in _routed) names.Add((Name(name), null));
        return
        [
            Set(RoutedTuns, TypeInterfaceName, 16, []),
            Elements(NfTables.NewElement, RoutedTuns, [.. names]),
            Rule("protect", [SourceRoute, Lookup(RoutedTuns, 1), Count(Counter), Verdict(Drop)]),
        ];
    }

    /// <summary>fib: result 2 = name of the interface, flag 1 = of the source address.</summary>
    private static void SourceRoute(NetlinkMessage message) => Expression(message, "fib", () => message.Attribute(1, NfTables.Big(1)).Attribute(2, NfTables.Big(2)).Attribute(3, NfTables.Big(1)));

    private int Insert(in Element element)
    {
        var key = Key(element);
        for (var level = 0; level < MaxLevels; level++)
        {
            if (level >= _levels.GetValueOrDefault(element.Kind))
            {
                if (element.Kind is { Shape: Shape.Fragment, Bypass: false } && !_watchesFragments) _tables.Commit("nftables", FragmentSteps().ToArray());
                _tables.Commit("nftables", SetSteps(element.Kind, level));
                _levels[element.Kind] = level + 1;
            }

            var error = _tables.TryCommit(Elements(NfTables.NewElement, element.Kind.Name(level), [key]));
            if (error == 0) return level;
            if (error is not (Exists or NotEmpty)) throw new Win32Exception(error);
        }

        throw new Win32Exception(NotEmpty, "more than 16 traffic selectors overlap one another");
    }

    /// <summary>A set and the rules that ask it.</summary>
    private NfTables.Step[] SetSteps(Kind kind, int level)
    {
        var address = kind.V6 ? 16 : 4;
        int[] fields = kind.Shape switch { Shape.Flow => [address, address, 1, 2, 2], Shape.Fragment => [address, address, 1], _ => [address, address] };
        var type = kind.V6 ? TypeAddress6 : TypeAddress4;
        type = (type << 6) | type;
        if (kind.Shape != Shape.Addresses) type = (type << 6) | TypeProtocol;
        if (kind.Shape == Shape.Flow) type = (((type << 6) | TypePort) << 6) | TypePort;
        var set = Set(kind.Name(level), type, Array.ConvertAll(fields, Aligned), fields);
        NfTables.Step Ask(string chain, bool outbound, string counter) => Rule(chain, [.. Fields(kind, outbound), Lookup(kind.Name(level), 8), .. kind.Bypass ? Array.Empty<Action<NetlinkMessage>>() : [Count(counter)], Verdict(kind.Bypass ? Accept : Drop)]);
        return (kind.Bypass, kind.Shape) switch
        {
            (false, Shape.Fragment) => [set, Ask("protect", outbound: false, Counter), Ask("outprotect", outbound: true, FragmentCounter)],
            (true, Shape.Addresses) => [set, Ask("bypass", outbound: false, Counter), Ask("outbypass", outbound: true, FragmentCounter)],
            (true, _) => [set, Ask("bypass", outbound: false, Counter)],
            _ => [set, Ask("protect", outbound: false, Counter)],
        };
    }

    /// <summary>Loads what a set is asked for: the peer's address, ours, and what else belongs to the kind.</summary>
    private static IEnumerable<Action<NetlinkMessage>> Fields(Kind kind, bool outbound)
    {
        var (source, destination, length, words) = kind.V6 ? (8u, 24u, 16u, 4u) : (12u, 16u, 4u, 1u);
        // without this an IPv4 address would be read from an IPv6 header
        foreach (var expression in kind.Shape == Shape.Fragment ? IsFragment(kind.V6) : IsVersion(kind.V6)) yield return expression;
        yield return Payload(1, outbound ? destination : source, length, 8);
        yield return Payload(1, outbound ? source : destination, length, 8 + words);
        // IPv6: what the fragment header names, for behind it may be more headers, which only the first fragment has
        if (kind.Shape == Shape.Fragment) yield return kind.V6 ? Extension(FragmentHeader, 0, 1, 8 + (2 * words)) : Payload(1, 9, 1, 8 + (2 * words));
        if (kind.Shape != Shape.Flow) yield break;
        yield return Meta(16, 8 + (2 * words));
        yield return Payload(2, 0, 2, 9 + (2 * words));
        yield return Payload(2, 2, 2, 10 + (2 * words));
    }

    private static IEnumerable<Action<NetlinkMessage>> IsVersion(bool v6) => [Meta(15, 1), Compare(1, [v6 ? (byte)10 : (byte)2])];

    /// <summary>Any part of a packet, the first one too; IPv6: also a whole one with a fragment header, in which routing rules see no ports either.</summary>
    private static IEnumerable<Action<NetlinkMessage>> IsFragment(bool v6) =>
        v6 ? [.. IsVersion(v6), Extension(FragmentHeader, 0, 1, 1)] : [.. IsVersion(v6), Payload(1, 6, 2, 1), Mask(1, [0x3F, 0xFF]), Compare(1, [0, 0], 1)];

    private static IEnumerable<Element> Pairs(bool bypass, ImmutableArray<TrafficSelector> local, ImmutableArray<TrafficSelector> remote)
    {
        foreach (var from in remote)
        {
            foreach (var to in local)
            {
                if (from.Version != to.Version || from.First.IsNone || (from.Protocol != 0 && to.Protocol != 0 && from.Protocol != to.Protocol)) continue;
                var narrow = from.Protocol != 0 || to.Protocol != 0 || !from.AnyPort || !to.AnyPort;
                yield return new Element(new Kind(bypass, from.Version == 6, narrow ? Shape.Flow : Shape.Addresses), from, to);
                if (bypass) continue;
                // IPv6 filters see packets before they are put together, and a later fragment of AH does not say that it is one: between hosts, where transport mode may be
                if (from.Version == 6 && from.First == from.Last && to.First == to.Last) yield return new Element(new Kind(true, true, Shape.Fragment), new TrafficSelector(from.First, from.Last, AuthenticationHeader), new TrafficSelector(to.First, to.Last));
                if (!narrow) continue;
                foreach (var protocol in Unseen(from, to)) yield return new Element(new Kind(false, from.Version == 6, Shape.Fragment), new TrafficSelector(from.First, from.Last, protocol), new TrafficSelector(to.First, to.Last));
            }
        }
    }

    /// <summary>What fragments name that routing rules do not lead into our devices although the entry covers their packets.</summary>
    private static IEnumerable<byte> Unseen(TrafficSelector remote, TrafficSelector local)
    {
        var protocol = remote.Protocol != 0 ? remote.Protocol : local.Protocol;
        if (HostRouting.HasPorts(protocol) && (HostRouting.Ports(remote) is not null || HostRouting.Ports(local) is not null)) yield return protocol;
        if (remote.Version == 4) yield break;
        foreach (var header in new[] { RoutingHeader, DestinationOptions })
        {
            if (header != protocol) yield return header;
        }
    }

    private static (byte[] First, byte[]? Last) Key(in Element element)
    {
        var (remote, local) = (element.Remote, element.Local);
        List<byte> first = [.. remote.First.ToOctets(), .. local.First.ToOctets()];
        List<byte> last = [.. remote.Last.ToOctets(), .. local.Last.ToOctets()];
        if (element.Kind.Shape != Shape.Addresses)
        {
            var protocol = remote.Protocol != 0 ? remote.Protocol : local.Protocol;
            first.AddRange([protocol, 0, 0, 0]);
            last.AddRange([protocol == 0 ? (byte)255 : protocol, 0, 0, 0]);
            if (element.Kind.Shape == Shape.Fragment) return ([.. first], [.. last]);
            // ICMP: type and code stand where the source port of others does, and the next two octets are a checksum
            var icmp = protocol is 1 or 58;
            AddPorts(icmp && remote.AnyPort ? local : remote);
            AddPorts(icmp ? default(TrafficSelector) with { LastPort = ushort.MaxValue } : local);
        }

        return ([.. first], [.. last]);

        void AddPorts(in TrafficSelector selector)
        {
            var (low, high) = selector.IsOpaque ? ((ushort)0, ushort.MaxValue) : (selector.FirstPort, selector.LastPort);
            first.AddRange([(byte)(low >> 8), (byte)low, 0, 0]);
            last.AddRange([(byte)(high >> 8), (byte)high, 0, 0]);
        }
    }

    private static int Aligned(int length) => (length + 3) & ~3;
}
