using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.ComponentModel;
using System.Text;
using Warifu.Net.Linux;
using Warifu.Primitives;

namespace Warifu.Net.Host;

/// <summary>
/// The inbound half of "no clear text": a table <c>inet warifu</c> of our own drops and counts packets that a protect entry covers and that did not come out of a TUN of ours (RFC 4301 section 5.2: what
/// should have been protected and was not must go). Lookups are in sets of address ranges, so the number of tunnels costs nothing per packet. A crash leaves the table: closed rather than open; the next
/// start replaces it when it has loaded (<see cref="Enforce"/>), and a second table stands in while it does. Used by one thread at a time.
/// </summary>
internal sealed class ClearTextGuard : IDisposable
{
    public const string Table = "warifu";
    private const string Standby = "warifu-standby";
    private const string Tuns = "tuns", RoutedTuns = "routed", Counter = "unprotected";
    private const uint Drop = 0, Accept = 1;
    private const int TypeAddress4 = 7, TypeAddress6 = 8, TypeProtocol = 12, TypePort = 13, TypeInterfaceName = 41;
    private const int Exists = 17, NotEmpty = 39;

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
    private bool _enforced;

    /// <summary>Which set: what happens, which version, addresses only or with protocol and ports.</summary>
    private readonly record struct Kind(bool Bypass, bool V6, bool Narrow)
    {
        public string Name(int level) => $"{(Bypass ? "bypass" : "protect")}{(V6 ? 6 : 4)}{(Narrow ? "flow" : "")}{(level == 0 ? "" : $"-{level}")}";
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
            new(NfTables.NewObject, NetlinkMessage.Create, message =>
            {
                message.Attribute(1, _table).Attribute(2, Counter).Attribute(3, NfTables.Big(1));
                message.EndNested(message.BeginNested(4));
            }),
            Set(Tuns, TypeInterfaceName, 16, []),
            Chain("bypass", null), Chain("protect", null), Chain("input", 1), Chain("forward", 2),
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

        foreach (var protocol in new byte[] { 50, 51 }) steps.Add(Rule("input", [Meta(16, 1), Compare(1, [protocol]), Verdict(Accept)]));
        // neighbour discovery (RFC 4861): from the link itself, which hop limit 255 proves, and never protected here
        steps.Add(Rule("input", [Meta(15, 1), Compare(1, [10]), Meta(16, 1), Compare(1, [58]), Payload(1, 7, 1, 1), Compare(1, [255]), Payload(2, 0, 1, 1), Compare(1, [133], 5), Compare(1, [137], 3), Verdict(Accept)]));
        foreach (var port in _ports) steps.Add(Rule("input", [Meta(16, 1), Compare(1, [17]), Payload(2, 2, 2, 1), Compare(1, [(byte)(port >> 8), (byte)port]), Verdict(Accept)]));
        foreach (var chain in new[] { "input", "forward" })
        {
            steps.Add(Rule(chain, [Jump("bypass")]));
            steps.Add(Rule(chain, [Jump("protect")]));
        }

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
            Rule("protect", [SourceRoute, Lookup(RoutedTuns, 1), Count(), Verdict(Drop)]),
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
                _tables.Commit("nftables", SetSteps(element.Kind, level));
                _levels[element.Kind] = level + 1;
            }

            var error = _tables.TryCommit(Elements(NfTables.NewElement, element.Kind.Name(level), [key]));
            if (error == 0) return level;
            if (error is not (Exists or NotEmpty)) throw new Win32Exception(error);
        }

        throw new Win32Exception(NotEmpty, "more than 16 traffic selectors overlap one another");
    }

    /// <summary>A set and the rule that asks it.</summary>
    private NfTables.Step[] SetSteps(Kind kind, int level)
    {
        int[] fields = kind.Narrow ? [kind.V6 ? 16 : 4, kind.V6 ? 16 : 4, 1, 2, 2] : [kind.V6 ? 16 : 4, kind.V6 ? 16 : 4];
        var address = kind.V6 ? TypeAddress6 : TypeAddress4;
        var type = (address << 6) | address;
        if (kind.Narrow) type = (((((type << 6) | TypeProtocol) << 6) | TypePort) << 6) | TypePort;
        var words = kind.V6 ? 4u : 1u;
        var expressions = new List<Action<NetlinkMessage>>
        {
            // without this an IPv4 address would be read from an IPv6 header
            Meta(15, 1), Compare(1, [kind.V6 ? (byte)10 : (byte)2]),
            Payload(1, kind.V6 ? 8u : 12u, kind.V6 ? 16u : 4u, 8),
            Payload(1, kind.V6 ? 24u : 16u, kind.V6 ? 16u : 4u, 8 + words),
        };
        if (kind.Narrow)
        {
            expressions.Add(Meta(16, 8 + (2 * words)));
            expressions.Add(Payload(2, 0, 2, 9 + (2 * words)));
            expressions.Add(Payload(2, 2, 2, 10 + (2 * words)));
        }

        expressions.Add(Lookup(kind.Name(level), 8));
        if (!kind.Bypass) expressions.Add(Count());
        expressions.Add(Verdict(kind.Bypass ? Accept : Drop));
        return [Set(kind.Name(level), type, Array.ConvertAll(fields, Aligned), fields), Rule(kind.Bypass ? "bypass" : "protect", [.. expressions])];
    }

    private static IEnumerable<Element> Pairs(bool bypass, ImmutableArray<TrafficSelector> local, ImmutableArray<TrafficSelector> remote)
    {
        foreach (var from in remote)
        {
            foreach (var to in local)
            {
                if (from.Version != to.Version || from.First.IsNone || (from.Protocol != 0 && to.Protocol != 0 && from.Protocol != to.Protocol)) continue;
                var narrow = from.Protocol != 0 || to.Protocol != 0 || !from.AnyPort || !to.AnyPort;
                yield return new Element(new Kind(bypass, from.Version == 6, narrow), from, to);
            }
        }
    }

    private static (byte[] First, byte[]? Last) Key(in Element element)
    {
        var (remote, local) = (element.Remote, element.Local);
        List<byte> first = [.. remote.First.ToOctets(), .. local.First.ToOctets()];
        List<byte> last = [.. remote.Last.ToOctets(), .. local.Last.ToOctets()];
        if (element.Kind.Narrow)
        {
            var protocol = remote.Protocol != 0 ? remote.Protocol : local.Protocol;
            first.AddRange([protocol, 0, 0, 0]);
            last.AddRange([protocol == 0 ? (byte)255 : protocol, 0, 0, 0]);
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

    // ---- messages: numbers are those of linux/netfilter/nf_tables.h

    private NfTables.Step Set(string name, int type, int[] aligned, int[] fields)
    {
        var length = 0;
        foreach (var part in aligned) length += part;
        return Set(name, type, length, fields);
    }

    private NfTables.Step Set(string name, int type, int length, int[] fields) => new(NfTables.NewSet, NetlinkMessage.Create, message =>
    {
        message.Attribute(1, _table).Attribute(2, name).Attribute(3, NfTables.Big(fields.Length > 0 ? 0x84u : 0)).Attribute(4, NfTables.Big((uint)type)).Attribute(5, NfTables.Big((uint)length)).Attribute(10, NfTables.Big(1));
        if (fields.Length == 0)
        {
            // for listings: names are in the order of the host
            message.Attribute(13, (ReadOnlySpan<byte>)[0, 4, 1, 0, 0, 0]);
            return;
        }

        var description = message.BeginNested(9);
        var concatenation = message.BeginNested(2);
        foreach (var field in fields)
        {
            var entry = message.BeginNested(1);
            message.Attribute(1, NfTables.Big((uint)field)).EndNested(entry);
        }

        message.EndNested(concatenation).EndNested(description);
    });

    private NfTables.Step Chain(string name, int? hook) => new(NfTables.NewChain, NetlinkMessage.Create, message =>
    {
        message.Attribute(1, _table).Attribute(3, name);
        if (hook is not { } number) return;
        var nested = message.BeginNested(4);
        message.Attribute(1, NfTables.Big((uint)number)).Attribute(2, NfTables.Big(unchecked((uint)-150))).EndNested(nested);
        message.Attribute(5, NfTables.Big(Accept)).Attribute(7, "filter");
    });

    private NfTables.Step Rule(string chain, Action<NetlinkMessage>[] expressions) => new(NfTables.NewRule, NetlinkMessage.Create | NetlinkMessage.Append, message =>
    {
        message.Attribute(1, _table).Attribute(2, chain);
        var list = message.BeginNested(4);
        foreach (var expression in expressions) expression(message);
        message.EndNested(list);
    });

    private NfTables.Step Elements(ushort type, string set, (byte[] First, byte[]? Last)[] keys) => new(type, NetlinkMessage.Create | NetlinkMessage.Excl, message =>
    {
        message.Attribute(1, _table).Attribute(2, set);
        var list = message.BeginNested(3);
        foreach (var (first, last) in keys)
        {
            var element = message.BeginNested(1);
            var key = message.BeginNested(1);
            message.Attribute(1, first).EndNested(key);
            if (last is not null)
            {
                key = message.BeginNested(10);
                message.Attribute(1, last).EndNested(key);
            }

            message.EndNested(element);
        }

        message.EndNested(list);
    });

    private static void Expression(NetlinkMessage message, string name, Action attributes)
    {
        var element = message.BeginNested(1);
        message.Attribute(1, name);
        var data = message.BeginNested(2);
        attributes();
        message.EndNested(data).EndNested(element);
    }

    private static Action<NetlinkMessage> Meta(uint key, uint register) => message => Expression(message, "meta", () => message.Attribute(1, NfTables.Big(register)).Attribute(2, NfTables.Big(key)));

    private static Action<NetlinkMessage> Payload(uint layer, uint offset, uint length, uint register) => message => Expression(message, "payload", () =>
        message.Attribute(1, NfTables.Big(register)).Attribute(2, NfTables.Big(layer)).Attribute(3, NfTables.Big(offset)).Attribute(4, NfTables.Big(length)));

    private static Action<NetlinkMessage> Compare(uint register, byte[] value, uint operation = 0) => message => Expression(message, "cmp", () =>
    {
        message.Attribute(1, NfTables.Big(register)).Attribute(2, NfTables.Big(operation));
        var data = message.BeginNested(3);
        message.Attribute(1, value).EndNested(data);
    });

    private static Action<NetlinkMessage> Lookup(string set, uint register) => message => Expression(message, "lookup", () => message.Attribute(1, set).Attribute(2, NfTables.Big(register)));

    private static Action<NetlinkMessage> Count() => message => Expression(message, "objref", () => message.Attribute(1, NfTables.Big(1)).Attribute(2, Counter));

    private static Action<NetlinkMessage> Verdict(uint code) => Immediate(message => message.Attribute(1, NfTables.Big(code)));

    private static Action<NetlinkMessage> Jump(string chain) => Immediate(message => message.Attribute(1, NfTables.Big(unchecked((uint)-3))).Attribute(2, chain));

    private static Action<NetlinkMessage> Immediate(Action<NetlinkMessage> verdict) => message => Expression(message, "immediate", () =>
    {
        message.Attribute(1, NfTables.Big(0));
        var data = message.BeginNested(2);
        var nested = message.BeginNested(2);
        verdict(message);
        message.EndNested(nested).EndNested(data);
    });

    private static byte[] Name(string name)
    {
        var octets = new byte[16];
        Encoding.ASCII.GetBytes(name, octets);
        return octets;
    }
}
