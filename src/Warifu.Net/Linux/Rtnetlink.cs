using System;
using System.Collections.Generic;
using System.ComponentModel;
using System.Runtime.InteropServices;
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
}

/// <summary>What a rule does (FR_ACT_*).</summary>
internal enum RuleAction : byte
{
    Lookup = 1,
    Jump = 2,
    None = 3,
}

/// <summary>Links, routes and rules by rtnetlink. Everything of ours carries protocol number 87, so that a restart finds exactly that.</summary>
internal sealed unsafe class Rtnetlink : IDisposable
{
    public const byte OwnProtocol = 87;

    private const ushort NewLink = 16, NewAddress = 20, NewRoute = 24, DelRoute = 25, GetRoute = 26, NewRule = 32, DelRule = 33, GetRule = 34, DoneMessage = 3, ErrorMessage = 2;

    private readonly int _file;
    private uint _sequence = 1;

    public Rtnetlink()
    {
        _file = Libc.socket(Libc.AfNetlink, Libc.SockRaw | Libc.SockCloexec, 0);
        if (_file < 0) throw Libc.Error("rtnetlink");
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

    public void Add(Route route) => Ask(Encode(NewRoute, NetlinkMessage.Create | NetlinkMessage.Replace, route, _sequence), $"route {route.Destination}");

    /// <summary>False when it was not there.</summary>
    public bool Remove(Route route) => Ask(Encode(DelRoute, 0, route, _sequence), $"route {route.Destination}", Libc.Esrch, Libc.Enoent);

    public void Add(RoutingRule rule) => Ask(Encode(NewRule, NetlinkMessage.Create | NetlinkMessage.Excl, rule, _sequence), $"rule {rule.Priority}", Libc.Eexist);

    public bool Remove(RoutingRule rule) => Ask(Encode(DelRule, 0, rule, _sequence), $"rule {rule.Priority}", Libc.Esrch, Libc.Enoent);

    /// <summary>Removes every route and rule with our protocol number: leftovers of a crash.</summary>
    public int RemoveLeftovers()
    {
        var removed = 0;
        foreach (var (getType, deleteType) in new[] { (GetRule, DelRule), (GetRoute, DelRoute) })
        {
            foreach (var body in Dump(getType, 12))
            {
                // both headers keep the number at different places: rtm_protocol, or FRA_PROTOCOL
                var ours = getType == GetRoute ? body[5] == OwnProtocol : FindAttribute(body.AsSpan(12), 21) is [OwnProtocol, ..];
                if (!ours) continue;
                var message = new NetlinkMessage();
                var start = message.Begin(deleteType, NetlinkMessage.Request | NetlinkMessage.Ack, _sequence);
                if (Ask(message.Raw(body).End(start), "leftover", Libc.Esrch, Libc.Enoent)) removed++;
            }
        }

        return removed;
    }

    public void Dispose() => Libc.close(_file);

    internal static NetlinkMessage Encode(ushort type, ushort flags, Route route, uint sequence)
    {
        var message = new NetlinkMessage();
        var start = message.Begin(type, (ushort)(NetlinkMessage.Request | NetlinkMessage.Ack | flags), sequence);
        var unreachable = route.Interface == 0;
        message.U8((byte)(route.Destination.Address.IsV6 ? Libc.AfInet6 : Libc.AfInet)).U8((byte)route.Destination.Length).U8(0).U8(0)
            .U8(route.Table < 256 ? (byte)route.Table : (byte)0).U8(OwnProtocol)
            // a device route has link scope
            .U8(unreachable || route.Destination.Address.IsV6 ? (byte)0 : (byte)253)
            .U8(unreachable ? (byte)7 : (byte)1).U32(0);
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

    private static byte[] Ports((ushort First, ushort Last) ports)
    {
        var octets = new byte[4];
        MemoryMarshal.Write(octets, ports.First);
        MemoryMarshal.Write(octets.AsSpan(2), ports.Last);
        return octets;
    }

    private static byte[]? FindAttribute(ReadOnlySpan<byte> attributes, ushort wanted)
    {
        while (attributes.Length >= 4)
        {
            var length = MemoryMarshal.Read<ushort>(attributes);
            if (length < 4 || length > attributes.Length) return null;
            if ((MemoryMarshal.Read<ushort>(attributes[2..]) & 0x3FFF) == wanted) return attributes[4..length].ToArray();
            attributes = attributes[Math.Min((length + 3) & ~3, attributes.Length)..];
        }

        return null;
    }

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
            var length = Receive(buffer);
            for (var at = 0; at + 16 <= length;)
            {
                var size = MemoryMarshal.Read<int>(buffer.AsSpan(at));
                var kind = MemoryMarshal.Read<ushort>(buffer.AsSpan(at + 4));
                if (size < 16 || at + size > length) return found;
                if (kind is DoneMessage or ErrorMessage) return found;
                if (size >= 16 + headLength) found.Add(buffer[(at + 16)..(at + size)]);
                at += (size + 3) & ~3;
            }
        }
    }

    private bool Ask(NetlinkMessage message, string what, params ReadOnlySpan<int> tolerated)
    {
        _sequence++;
        Send(message);
        var buffer = new byte[8192];
        while (true)
        {
            var length = Receive(buffer);
            if (length < 20 || MemoryMarshal.Read<ushort>(buffer.AsSpan(4)) != ErrorMessage) continue;
            var error = -MemoryMarshal.Read<int>(buffer.AsSpan(16));
            if (error == 0) return true;
            if (tolerated.Contains(error)) return false;
            throw new Win32Exception(error, $"{what}: {Marshal.GetPInvokeErrorMessage(error)}");
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
            var length = (int)Libc.recv(_file, data, buffer.Length, 0);
            return length > 0 ? length : throw Libc.Error("rtnetlink");
        }
    }
}
