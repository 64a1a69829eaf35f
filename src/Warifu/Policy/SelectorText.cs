using System;
using System.Collections.Frozen;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>The bracket behind the addresses of a traffic selector: [tcp/443], [udp/domain], [icmp/8], [sctp/opaque].</summary>
internal static class SelectorText
{
    private const byte Icmp = 1, Tcp = 6, Udp = 17, Dccp = 33, IcmpV6 = 58, Sctp = 132, MobilityHeader = 135, UdpLite = 136;

    private static readonly FrozenDictionary<string, byte> s_protocols = new Dictionary<string, byte>
    {
        ["any"] = 0,
        ["icmp"] = Icmp,
        ["igmp"] = 2,
        ["ipip"] = 4,
        ["ipencap"] = 4,
        ["tcp"] = Tcp,
        ["egp"] = 8,
        ["udp"] = Udp,
        ["dccp"] = Dccp,
        ["ipv6"] = 41,
        ["rsvp"] = 46,
        ["gre"] = 47,
        ["esp"] = 50,
        ["ah"] = 51,
        ["ipv6-icmp"] = IcmpV6,
        ["icmpv6"] = IcmpV6,
        ["eigrp"] = 88,
        ["ospf"] = 89,
        ["pim"] = 103,
        ["vrrp"] = 112,
        ["l2tp"] = 115,
        ["sctp"] = Sctp,
        ["mobility-header"] = MobilityHeader,
        ["udplite"] = UdpLite,
    }.ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);

    private static readonly FrozenDictionary<string, ushort> s_services = new Dictionary<string, ushort>
    {
        ["ftp"] = 21,
        ["ssh"] = 22,
        ["telnet"] = 23,
        ["smtp"] = 25,
        ["domain"] = 53,
        ["dns"] = 53,
        ["bootps"] = 67,
        ["bootpc"] = 68,
        ["tftp"] = 69,
        ["http"] = 80,
        ["www"] = 80,
        ["kerberos"] = 88,
        ["pop3"] = 110,
        ["sunrpc"] = 111,
        ["ntp"] = 123,
        ["netbios-ns"] = 137,
        ["netbios-dgm"] = 138,
        ["netbios-ssn"] = 139,
        ["imap2"] = 143,
        ["imap"] = 143,
        ["snmp"] = 161,
        ["snmp-trap"] = 162,
        ["bgp"] = 179,
        ["ldap"] = 389,
        ["https"] = 443,
        ["microsoft-ds"] = 445,
        ["isakmp"] = 500,
        ["syslog"] = 514,
        ["submission"] = 587,
        ["ldaps"] = 636,
        ["imaps"] = 993,
        ["pop3s"] = 995,
        ["l2f"] = 1701,
        ["l2tp"] = 1701,
        ["radius"] = 1812,
        ["radius-acct"] = 1813,
        ["nfs"] = 2049,
        ["mysql"] = 3306,
        ["ms-wbt-server"] = 3389,
        ["ipsec-nat-t"] = 4500,
        ["sip"] = 5060,
        ["postgresql"] = 5432,
    }.ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);

    /// <summary>Reads the bracket into protocol and ports.</summary>
    public static bool TryParseLimits(string text, ref TrafficSelector limits, [NotNullWhen(false)] out string? error)
    {
        error = $"'{text}' should be [PROTOCOL] or [PROTOCOL/PORT], for example [tcp/443] or [udp/1000-2000]";
        if (text.Length < 3 || text[^1] != ']') return false;
        var parts = text[1..^1].Split('/', 2);
        var name = parts[0].Trim();
        if (!TryParseProtocol(name, out var protocol))
        {
            error = $"unknown protocol '{name}'; write a number of 0..255, or icmp, tcp, udp, ipv6-icmp, gre, sctp …";
            return false;
        }

        limits = limits with { Protocol = protocol };
        error = null;
        if (parts.Length == 1) return true;
        var port = parts[1].Trim();
        if (port.Equals("any", StringComparison.OrdinalIgnoreCase)) return true;
        // RFC 7296 section 3.13.1: where ports are not defined, protocol 0 included, there is only the full range
        if (protocol is not (Icmp or Tcp or Udp or Dccp or IcmpV6 or Sctp or MobilityHeader or UdpLite))
        {
            error = protocol == 0 ? $"port '{port}' without a protocol; write [tcp/{port}] or [udp/{port}], or both as two selectors" : $"protocol '{name}' has no ports; write [{name}]";
            return false;
        }

        if (port.Equals("opaque", StringComparison.OrdinalIgnoreCase))
        {
            limits = limits with { FirstPort = ushort.MaxValue, LastPort = 0 };
            return true;
        }

        if (TryParsePorts(port, protocol is Icmp or IcmpV6, out var first, out var last))
        {
            limits = limits with { FirstPort = first, LastPort = last };
            return true;
        }

        error = protocol is Icmp or IcmpV6
            ? $"'{port}' is no ICMP type; write TYPE, TYPE(CODE), or a range of them, each 0..255"
            : $"'{port}' is no port, range of ports or known service; write 0..65535, FROM-TO, any or opaque";
        return false;
    }

    private static bool TryParseProtocol(string name, out byte protocol)
    {
        protocol = 0;
        if (s_protocols.TryGetValue(name, out protocol)) return true;
        if (!TryParseNumber(name, out var number) || number > 255) return false;
        protocol = (byte)number;
        return true;
    }

    private static bool TryParsePorts(string text, bool icmp, out ushort first, out ushort last)
    {
        // a dash may be part of the name of a service
        if (TryParsePort(text, icmp, out first, out last)) return true;
        for (var dash = text.IndexOf('-', StringComparison.Ordinal); dash > 0; dash = text.IndexOf('-', dash + 1))
        {
            if (TryParsePort(text[..dash], icmp, out first, out _) && TryParsePort(text[(dash + 1)..], icmp, out _, out last)) return first <= last;
        }

        return false;
    }

    /// <summary>ICMP: below 256 it is a type with any code, else type * 256 + code; or TYPE(CODE), as listings print it.</summary>
    private static bool TryParsePort(string text, bool icmp, out ushort first, out ushort last)
    {
        text = text.Trim();
        (first, last) = (0, 0);
        var bracket = text.IndexOf('(', StringComparison.Ordinal);
        if (icmp && bracket > 0 && text[^1] == ')')
        {
            if (!byte.TryParse(text.AsSpan(0, bracket), NumberStyles.None, CultureInfo.InvariantCulture, out var type) || !byte.TryParse(text.AsSpan(bracket + 1, text.Length - bracket - 2), NumberStyles.None, CultureInfo.InvariantCulture, out var code)) return false;
            first = last = (ushort)((type << 8) | code);
            return true;
        }

        if (TryParseNumber(text, out var number))
        {
            if (number > ushort.MaxValue) return false;
            (first, last) = icmp && number < 256 ? ((ushort)(number << 8), (ushort)((number << 8) | 0xFF)) : ((ushort)number, (ushort)number);
            return true;
        }

        if (icmp || !s_services.TryGetValue(text, out first)) return false;
        last = first;
        return true;
    }

    /// <summary>Decimal, or hexadecimal with 0x.</summary>
    private static bool TryParseNumber(string text, out int number) => text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
        ? int.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out number) && number >= 0
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);
}
