using System;
using System.Text;
using Warifu.Net.Linux;

namespace Warifu.Net.Host;

/// <summary>The messages that make the table: numbers are those of linux/netfilter/nf_tables.h.</summary>
internal sealed partial class ClearTextGuard
{
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

    private NfTables.Step NewCounter(string name) => new(NfTables.NewObject, NetlinkMessage.Create, message =>
    {
        message.Attribute(1, _table).Attribute(2, name).Attribute(3, NfTables.Big(1));
        message.EndNested(message.BeginNested(4));
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

    private static Action<NetlinkMessage> Count(string counter) => message => Expression(message, "objref", () => message.Attribute(1, NfTables.Big(1)).Attribute(2, counter));

    private static Action<NetlinkMessage> Mask(uint register, byte[] mask) => message => Expression(message, "bitwise", () =>
    {
        message.Attribute(1, NfTables.Big(register)).Attribute(2, NfTables.Big(register)).Attribute(3, NfTables.Big((uint)mask.Length));
        foreach (var (kind, value) in new (ushort Type, byte[] Value)[] { (4, mask), (5, new byte[mask.Length]) })
        {
            var data = message.BeginNested(kind);
            message.Attribute(1, value).EndNested(data);
        }
    });

    /// <summary>A part of an IPv6 extension header; the rule ends where there is no such header.</summary>
    private static Action<NetlinkMessage> Extension(byte header, uint offset, uint length, uint register) => message => Expression(message, "exthdr", () =>
        message.Attribute(1, NfTables.Big(register)).Attribute(2, (ReadOnlySpan<byte>)[header]).Attribute(3, NfTables.Big(offset)).Attribute(4, NfTables.Big(length)));

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
