using System;
using System.Collections.Generic;
using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Text;
using Warifu.Primitives;

namespace Warifu.Net.Linux;

/// <summary>A route of ours.</summary>
/// <param name="Destination">Prefix.</param>
/// <param name="Table">Routing table.</param>
/// <param name="Interface">Interface index; 0 = unreachable.</param>
/// <param name="Source">Preferred own address; none = the kernel's choice.</param>
/// <param name="Metric">Lower is better; 0 = the kernel's default.</param>
internal readonly record struct Route(IpPrefix Destination, uint Table, int Interface, IpAddress Source = default, uint Metric = 0);

/// <summary>A rule of ours: packets go to a table, unless they carry our mark, or when addresses, protocol and ports fit.</summary>
internal readonly record struct RoutingRule(int Family, uint Priority, uint Table, uint NotMark = 0, IpPrefix? From = null, IpPrefix? To = null, byte Protocol = 0, (ushort First, ushort Last)? SourcePorts = null, (ushort First, ushort Last)? DestinationPorts = null)
{
    public RuleAction Action { get; init; } = RuleAction.Lookup;

    /// <summary>Only packets with this mark; 0 = any.</summary>
    public uint Mark { get; init; }

    /// <summary>Priority that a <see cref="RuleAction.Jump"/> goes to.</summary>
    public uint Target { get; init; }

    /// <summary>Only packets that this machine itself sends.</summary>
    public bool OwnPackets { get; init; }
}

/// <summary>What a rule does (FR_ACT_*).</summary>
internal enum RuleAction : byte
{
    Lookup = 1,
    Jump = 2,
    None = 3,
}

/// <summary>An address of an interface.</summary>
internal readonly record struct InterfaceAddress(int Interface, IpAddress Address, int PrefixLength, bool IsGlobal);

/// <summary>Links, routes and rules by rtnetlink. Everything of ours carries protocol number 87, so that a restart finds exactly that.</summary>
internal sealed unsafe class Rtnetlink : IDisposable
{
    public const byte OwnProtocol = 87;
    public const ushort NewLink = 16, DelLink = 17, NewAddress = 20, DelAddress = 21, GetAddress = 22, NewRoute = 24, DelRoute = 25, GetRoute = 26, NewRule = 32, DelRule = 33, GetRule = 34;

    /// <summary>Octets before the attributes of a route, and of a rule.</summary>
    public const int RouteHeader = 12;

    private const byte Unicast = 1, Unreachable = 7;

    private readonly int _file;
    private uint _sequence = 1;

    public Rtnetlink()
    {
        _file = Libc.socket(Libc.AfNetlink, Libc.SockRaw | Libc.SockCloexec, 0);
        if (_file < 0) throw Libc.Error("rtnetlink");
        // the kernel answers at once; a lost answer must not hang the daemon
        var timeout = new Libc.TimeSpec { Seconds = 5 };
        _ = Libc.setsockopt(_file, Libc.SolSocket, Libc.SoRcvtimeo, &timeout, sizeof(Libc.TimeSpec));
    }

    public void SetLink(int index, bool up, int mtu)
    {
        var message = new NetlinkMessage();
        var start = message.Begin(NewLink, NetlinkMessage.Request | NetlinkMessage.Ack, _sequence);
        message.U8(0).U8(0).U16(0).U32((uint)index).U32(up ? 1u : 0).U32(1);
        if (mtu > 0) message.Attribute(4, (uint)mtu);
        Ask(message.End(start), "link");
    }

    /// <summary>A pair of virtual Ethernet devices, each end in the network namespace of a process.</summary>
    public void AddVeth(string name, int process, string peerName, int peerProcess)
    {
        var message = new NetlinkMessage();
        var start = message.Begin(NewLink, NetlinkMessage.Request | NetlinkMessage.Ack | NetlinkMessage.Create | NetlinkMessage.Excl, _sequence);
        message.Raw(new byte[16]).Attribute(3, name).Attribute(19, (uint)process);
        var info = message.BeginNested(18);
        message.Attribute(1, "veth");
        var data = message.BeginNested(2);
        var peer = message.BeginNested(1);
        message.Raw(new byte[16]).Attribute(3, peerName).Attribute(19, (uint)peerProcess).EndNested(peer).EndNested(data).EndNested(info);
        Ask(message.End(start), $"veth {name}");
    }

    /// <summary>An address of an interface, usable at once.</summary>
    public void AddAddress(int index, IpAddress address, int prefixLength)
    {
        const byte NoDad = 2;
        var message = new NetlinkMessage();
        var start = message.Begin(NewAddress, NetlinkMessage.Request | NetlinkMessage.Ack | NetlinkMessage.Create | NetlinkMessage.Replace, _sequence);
        message.U8((byte)(address.IsV6 ? Libc.AfInet6 : Libc.AfInet)).U8((byte)prefixLength).U8(address.IsV6 ? NoDad : (byte)0).U8(0).U32((uint)index).Attribute(2, address).Attribute(1, address);
        Ask(message.End(start), $"address {address}");
    }

    /// <summary>False when it was not there, or its device is gone.</summary>
    public bool RemoveAddress(int index, IpAddress address, int prefixLength)
    {
        var message = new NetlinkMessage();
        var start = message.Begin(DelAddress, NetlinkMessage.Request | NetlinkMessage.Ack, _sequence);
        message.U8((byte)(address.IsV6 ? Libc.AfInet6 : Libc.AfInet)).U8((byte)prefixLength).U8(0).U8(0).U32((uint)index).Attribute(2, address).Attribute(1, address);
        return Ask(message.End(start), $"address {address}", Libc.Enodev, Libc.Eaddrnotavail);
    }

    /// <summary>Addresses of all interfaces, in the kernel's order.</summary>
    public List<InterfaceAddress> Addresses()
    {
        var found = new List<InterfaceAddress>();
        foreach (var body in Dump(GetAddress, 8))
        {
            if (TryParseAddress(body, out var address)) found.Add(address);
        }

        return found;
    }

    public void Add(Route route) => Ask(Encode(NewRoute, NetlinkMessage.Create | NetlinkMessage.Replace, route, _sequence), $"route {route.Destination}");

    /// <summary>False when it was not there.</summary>
    public bool Remove(Route route) => Ask(Encode(DelRoute, 0, route, _sequence), $"route {route.Destination}", Libc.Esrch, Libc.Enoent);

    public void Add(RoutingRule rule) => Ask(Encode(NewRule, NetlinkMessage.Create | NetlinkMessage.Excl, rule, _sequence), $"rule {rule.Priority}", Libc.Eexist);

    public bool Remove(RoutingRule rule) => Ask(Encode(DelRule, 0, rule, _sequence), $"rule {rule.Priority}", Libc.Esrch, Libc.Enoent);

    /// <summary>Routes and rules with our protocol number, as the kernel gives them.</summary>
    public List<(bool IsRule, byte[] Body)> Own()
    {
        var own = new List<(bool, byte[])>();
        foreach (var isRule in new[] { true, false })
        {
            foreach (var body in Dump(isRule ? GetRule : GetRoute, RouteHeader))
            {
                if (IsOwn(isRule, body)) own.Add((isRule, body));
            }
        }

        return own;
    }

    /// <summary>Priorities of rules that are not ours and are asked before <paramref name="priority"/>; those of the kernel itself (0, and 1000 of l3mdev) do not count.</summary>
    public SortedSet<uint> ForeignRulesBefore(uint priority)
    {
        var found = new SortedSet<uint>();
        foreach (var body in Dump(GetRule, RouteHeader))
        {
            // protocol 2: the kernel made it itself
            if (IsOwn(true, body) || !TryParse(body, out RoutingRule rule) || rule.Priority == 0 || rule.Priority >= priority) continue;
            if (!NetlinkReader.TryFind(body.AsSpan(RouteHeader), 21, out ReadOnlySpan<byte> maker) || maker.IsEmpty || maker[0] != 2) found.Add(rule.Priority);
        }

        return found;
    }

    /// <summary>Removes what <see cref="Own"/> gave; false when it was gone.</summary>
    public bool Remove(bool isRule, ReadOnlySpan<byte> body)
    {
        var message = new NetlinkMessage();
        var start = message.Begin(isRule ? DelRule : DelRoute, NetlinkMessage.Request | NetlinkMessage.Ack, _sequence);
        return Ask(message.Raw(body).End(start), "leftover", Libc.Esrch, Libc.Enoent);
    }

    public void Dispose() => Libc.close(_file);

    /// <summary>Both headers keep the number at different places: rtm_protocol, or FRA_PROTOCOL.</summary>
    public static bool IsOwn(bool isRule, ReadOnlySpan<byte> body)
    {
        if (body.Length < RouteHeader) return false;
        return isRule ? NetlinkReader.TryFind(body[RouteHeader..], 21, out ReadOnlySpan<byte> protocol) && protocol is [OwnProtocol, ..] : body[5] == OwnProtocol;
    }

    internal static NetlinkMessage Encode(ushort type, ushort flags, Route route, uint sequence)
    {
        var message = new NetlinkMessage();
        var start = message.Begin(type, (ushort)(NetlinkMessage.Request | NetlinkMessage.Ack | flags), sequence);
        var unreachable = route.Interface == 0;
        message.U8((byte)(route.Destination.Address.IsV6 ? Libc.AfInet6 : Libc.AfInet)).U8((byte)route.Destination.Length).U8(0).U8(0)
            .U8(route.Table < 256 ? (byte)route.Table : (byte)0).U8(OwnProtocol)
            // a device route has link scope
            .U8(unreachable || route.Destination.Address.IsV6 ? (byte)0 : (byte)253)
            .U8(unreachable ? Unreachable : Unicast).U32(0);
        message.Attribute(15, route.Table);
        if (route.Destination.Length > 0) message.Attribute(1, route.Destination.Address);
        if (!unreachable) message.Attribute(4, (uint)route.Interface);
        if (!route.Source.IsNone) message.Attribute(7, route.Source);
        if (route.Metric != 0) message.Attribute(6, route.Metric);
        return message.End(start);
    }

    internal static NetlinkMessage Encode(ushort type, ushort flags, RoutingRule rule, uint sequence)
    {
        var message = new NetlinkMessage();
        var start = message.Begin(type, (ushort)(NetlinkMessage.Request | NetlinkMessage.Ack | flags), sequence);
        message.U8((byte)rule.Family).U8((byte)(rule.To?.Length ?? 0)).U8((byte)(rule.From?.Length ?? 0)).U8(0)
            .U8(rule.Table < 256 ? (byte)rule.Table : (byte)0).U8(0).U8(0).U8((byte)rule.Action)
            .U32(rule.NotMark != 0 ? 2u : 0);
        if (rule.Table != 0) message.Attribute(15, rule.Table);
        message.Attribute(6, rule.Priority).Attribute(21, OwnProtocol);
        if (rule.OwnPackets) message.Attribute(3, "lo");
        if (rule.Target != 0) message.Attribute(4, rule.Target);
        var mark = rule.NotMark != 0 ? rule.NotMark : rule.Mark;
        if (mark != 0) message.Attribute(10, mark).Attribute(16, uint.MaxValue);
        if (rule.To is { Length: > 0 } to) message.Attribute(1, to.Address);
        if (rule.From is { Length: > 0 } from) message.Attribute(2, from.Address);
        if (rule.Protocol != 0) message.Attribute(22, rule.Protocol);
        if (rule.SourcePorts is { } source) message.Attribute(23, Ports(source));
        if (rule.DestinationPorts is { } destination) message.Attribute(24, Ports(destination));
        return message.End(start);
    }

    /// <summary>A route of the kinds that <see cref="Encode(ushort, ushort, Route, uint)"/> writes.</summary>
    internal static bool TryParse(ReadOnlySpan<byte> body, out Route route)
    {
        route = default;
        if (body.Length < RouteHeader || body[7] is not (Unicast or Unreachable)) return false;
        var attributes = body[RouteHeader..];
        if (!TryPrefix(body[0], body[1], attributes, 1, out var destination)) return false;
        if (!NetlinkReader.TryFind(attributes, 15, out uint table)) table = body[4];
        _ = NetlinkReader.TryFind(attributes, 6, out uint metric);
        _ = NetlinkReader.TryFind(attributes, 4, out uint device);
        _ = NetlinkReader.TryFind(attributes, 7, out ReadOnlySpan<byte> source);
        route = new Route(destination, table, body[7] == Unreachable ? 0 : (int)device, IpAddress.FromOctets(source), metric);
        return true;
    }

    /// <summary>A rule of the kinds that <see cref="Encode(ushort, ushort, RoutingRule, uint)"/> writes.</summary>
    internal static bool TryParse(ReadOnlySpan<byte> body, out RoutingRule rule)
    {
        rule = default;
        if (body.Length < RouteHeader) return false;
        var attributes = body[RouteHeader..];
        if (!TryPrefix(body[0], body[1], attributes, 1, out var to) || !TryPrefix(body[0], body[2], attributes, 2, out var from)) return false;
        if (!NetlinkReader.TryFind(attributes, 15, out uint table)) table = body[4];
        _ = NetlinkReader.TryFind(attributes, 6, out uint priority);
        _ = NetlinkReader.TryFind(attributes, 4, out uint target);
        _ = NetlinkReader.TryFind(attributes, 10, out uint mark);
        _ = NetlinkReader.TryFind(attributes, 22, out ReadOnlySpan<byte> protocol);
        var inverted = (MemoryMarshal.Read<uint>(body[8..]) & 2) != 0;
        rule = new RoutingRule(body[0], priority, table, inverted ? mark : 0, from.Length > 0 ? from : null, to.Length > 0 ? to : null, protocol.IsEmpty ? (byte)0 : protocol[0], ReadPorts(attributes, 23), ReadPorts(attributes, 24))
        {
            Action = (RuleAction)body[7],
            Mark = inverted ? 0 : mark,
            Target = target,
            OwnPackets = NetlinkReader.TryFind(attributes, 3, out ReadOnlySpan<byte> name) && name.TrimEnd((byte)0).SequenceEqual("lo"u8),
        };
        return true;
    }

    internal static bool TryParseAddress(ReadOnlySpan<byte> body, out InterfaceAddress address)
    {
        address = default;
        if (body.Length < 8 || body[0] is not (Libc.AfInet or Libc.AfInet6)) return false;
        // IFA_LOCAL where there is one: on point-to-point links IFA_ADDRESS is the other end's
        if (!NetlinkReader.TryFind(body[8..], 2, out ReadOnlySpan<byte> octets) && !NetlinkReader.TryFind(body[8..], 1, out octets)) return false;
        var value = IpAddress.FromOctets(octets);
        if (value.IsNone || body[1] > value.BitLength) return false;
        address = new InterfaceAddress((int)MemoryMarshal.Read<uint>(body[4..]), value, body[1], body[3] < 253);
        return true;
    }

    /// <summary>The name that a link message carries.</summary>
    internal static string LinkName(ReadOnlySpan<byte> body) =>
        body.Length > 16 && NetlinkReader.TryFind(body[16..], 3, out ReadOnlySpan<byte> name) ? Encoding.ASCII.GetString(name.TrimEnd((byte)0)) : "";

    internal static int LinkIndex(ReadOnlySpan<byte> body) => body.Length >= 16 ? MemoryMarshal.Read<int>(body[4..]) : 0;

    internal static bool IsUp(ReadOnlySpan<byte> body) => body.Length >= 16 && (MemoryMarshal.Read<uint>(body[8..]) & 1) != 0;

    private static bool TryPrefix(byte family, byte length, ReadOnlySpan<byte> attributes, ushort attribute, out IpPrefix prefix)
    {
        prefix = default;
        if (family is not (Libc.AfInet or Libc.AfInet6)) return false;
        var address = family == Libc.AfInet6 ? IpAddress.AnyV6 : IpAddress.AnyV4;
        if (length > address.BitLength) return false;
        if (length > 0)
        {
            if (!NetlinkReader.TryFind(attributes, attribute, out ReadOnlySpan<byte> octets) || octets.Length != address.Length) return false;
            address = IpAddress.FromOctets(octets);
        }

        prefix = new IpPrefix(address, length);
        return true;
    }

    private static byte[] Ports((ushort First, ushort Last) ports)
    {
        var octets = new byte[4];
        MemoryMarshal.Write(octets, ports.First);
        MemoryMarshal.Write(octets.AsSpan(2), ports.Last);
        return octets;
    }

    private static (ushort, ushort)? ReadPorts(ReadOnlySpan<byte> attributes, ushort attribute) =>
        NetlinkReader.TryFind(attributes, attribute, out ReadOnlySpan<byte> octets) && octets.Length >= 4 ? (MemoryMarshal.Read<ushort>(octets), MemoryMarshal.Read<ushort>(octets[2..])) : null;

    private List<byte[]> Dump(ushort type, int headLength)
    {
        var found = new List<byte[]>();
        var message = new NetlinkMessage();
        var sequence = _sequence++;
        var start = message.Begin(type, NetlinkMessage.Request | NetlinkMessage.Root | NetlinkMessage.Match, sequence);
        Send(message.Raw(new byte[headLength]).End(start));
        var buffer = new byte[65536];
        while (true)
        {
            var reader = new NetlinkReader(buffer.AsSpan(0, Receive(buffer)));
            while (reader.TryNext())
            {
                if (reader.Sequence != sequence) continue;
                if (reader.Type is NetlinkReader.Done or NetlinkReader.Error) return found;
                if (reader.Body.Length >= headLength) found.Add(reader.Body.ToArray());
            }
        }
    }

    private bool Ask(NetlinkMessage message, string what, params ReadOnlySpan<int> tolerated)
    {
        var sequence = _sequence++;
        Send(message);
        var buffer = new byte[8192];
        while (true)
        {
            var reader = new NetlinkReader(buffer.AsSpan(0, Receive(buffer)));
            while (reader.TryNext())
            {
                if (reader.Sequence != sequence || !reader.TryReadAnswer(out var error)) continue;
                if (error == 0) return true;
                if (tolerated.Contains(error)) return false;
                throw new Win32Exception(error, $"{what}: {Marshal.GetPInvokeErrorMessage(error)}");
            }
        }
    }

    private void Send(NetlinkMessage message)
    {
        fixed (byte* data = message.Octets)
        {
            if (Libc.send(_file, data, message.Length, 0) != message.Length) throw Libc.Error("rtnetlink");
        }
    }

    private int Receive(byte[] buffer)
    {
        fixed (byte* data = buffer)
        {
            while (true)
            {
                var length = (int)Libc.recv(_file, data, buffer.Length, 0);
                if (length > 0) return length;
                if (length == 0 || Marshal.GetLastPInvokeError() != Libc.Eintr) throw Libc.Error("rtnetlink");
            }
        }
    }
}
