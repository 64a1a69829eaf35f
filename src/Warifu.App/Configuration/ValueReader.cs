using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Linq;
using System.Text;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.App.Configuration;

/// <summary>The forms of values. Each method says what is wrong and what would be right.</summary>
internal static class ValueReader
{
    private static readonly Dictionary<string, byte> s_protocols = new(StringComparer.OrdinalIgnoreCase)
    {
        ["any"] = 0,
        ["icmp"] = 1,
        ["igmp"] = 2,
        ["ipip"] = 4,
        ["ipencap"] = 4,
        ["tcp"] = 6,
        ["udp"] = 17,
        ["ipv6"] = 41,
        ["gre"] = 47,
        ["esp"] = 50,
        ["ah"] = 51,
        ["ipv6-icmp"] = 58,
        ["icmpv6"] = 58,
        ["ospf"] = 89,
        ["pim"] = 103,
        ["vrrp"] = 112,
        ["l2tp"] = 115,
        ["sctp"] = 132,
    };

    private static readonly Dictionary<string, ushort> s_services = new(StringComparer.OrdinalIgnoreCase)
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
        ["ldaps"] = 636,
        ["imaps"] = 993,
        ["pop3s"] = 995,
        ["l2f"] = 1701,
        ["l2tp"] = 1701,
        ["radius"] = 1812,
        ["ipsec-nat-t"] = 4500,
    };

    public static bool TryYesNo(string text, out bool value)
    {
        value = text.ToLowerInvariant() is "1" or "yes" or "true" or "enabled";
        return value || text.ToLowerInvariant() is "0" or "no" or "false" or "disabled";
    }

    public static bool TryTime(string text, out TimeSpan value)
    {
        value = default;
        if (!TryScaled(text, [('s', 1), ('m', 60), ('h', 3600), ('d', 86400)], out var seconds) || seconds > 10L * 366 * 86400) return false;
        value = TimeSpan.FromSeconds(seconds);
        return true;
    }

    public static bool TrySize(string text, out long value) => TryScaled(text, [('k', 1L << 10), ('m', 1L << 20), ('g', 1L << 30)], out value);

    /// <summary>Decimal, 0x hexadecimal, or octal with a leading 0.</summary>
    public static bool TryNumber(string text, out long value)
    {
        if (text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)) return long.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value) && value >= 0;
        if (text.Length <= 1 || text[0] != '0') return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);
        value = 0;
        foreach (var digit in text)
        {
            if (digit is < '0' or > '7' || value > long.MaxValue >> 3) return false;
            value = (value << 3) | (uint)(digit - '0');
        }

        return true;
    }

    public static IEnumerable<string> Items(ConfigSetting setting) =>
        (setting.Values.Count == 1 ? Encoding.UTF8.GetString(setting.Values[0]).Split(',') : setting.Values.Select(Encoding.UTF8.GetString)).Select(item => item.Trim()).Where(item => item.Length > 0);

    /// <summary>An address, a range, a prefix, %any, or a name.</summary>
    public static bool TryHost(string text, [NotNullWhen(true)] out HostPattern? host, [NotNullWhen(false)] out string? error)
    {
        (host, error) = (null, null);
        if (text is "%any" or "%any4" or "%any6" or "0.0.0.0" or "::" or "0.0.0.0/0" or "::/0")
        {
            host = HostPattern.Any;
            return true;
        }

        if (TryRange(text, out var first, out var last, out error))
        {
            host = HostPattern.Range(first, last);
            return true;
        }

        if (error is not null) return false;
        if (text.Length <= 253 && text.Split('.').All(label => label.Length is > 0 and <= 63 && label.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_')) && !text.All(letter => char.IsAsciiDigit(letter) || letter == '.'))
        {
            host = HostPattern.Name(text);
            return true;
        }

        error = $"'{text}' is no address, range, subnet or host name";
        return false;
    }

    /// <summary>One traffic selector: <c>dynamic | ADDR | ADDR/PREFIX | ADDR-ADDR</c>, then <c>[PROTO/PORT]</c>.</summary>
    public static bool TrySelector(string text, out SelectorPattern selector, [NotNullWhen(false)] out string? error)
    {
        (selector, error) = (default, null);
        var bracket = text.IndexOf('[', StringComparison.Ordinal);
        var (addresses, rest) = bracket < 0 ? (text, "") : (text[..bracket].Trim(), text[bracket..]);
        var limits = default(TrafficSelector) with { LastPort = ushort.MaxValue };
        if (rest.Length > 0 && !TryLimits(rest, ref limits, out error)) return false;
        if (addresses is "dynamic" or "%dynamic")
        {
            selector = new SelectorPattern(true, limits);
            return true;
        }

        if (TryRange(addresses, out var first, out var last, out error))
        {
            selector = SelectorPattern.Of(limits with { First = first, Last = last });
            return true;
        }

        error ??= $"'{addresses}' is no traffic selector; write dynamic, an address, ADDRESS/PREFIX or ADDRESS-ADDRESS, and [PROTOCOL/PORT] behind it";
        return false;
    }

    /// <summary>A secret: <c>0x</c> hexadecimal, <c>0s</c> base64, else the octets themselves.</summary>
    public static bool TrySecret(ReadOnlySpan<byte> value, [NotNullWhen(true)] out byte[]? secret, out bool isKey, [NotNullWhen(false)] out string? error)
    {
        (secret, isKey, error) = (null, false, null);
        if (value.StartsWith("0x"u8))
        {
            isKey = true;
            var digits = value[2..];
            var octets = new byte[(digits.Length + 1) / 2];
            // an odd number of digits has a zero in front
            var shift = digits.Length & 1;
            for (var i = 0; i < digits.Length; i++)
            {
                var digit = Nibble(digits[i]);
                if (digit < 0)
                {
                    error = "a value that begins with 0x may hold hexadecimal digits only";
                    return false;
                }

                octets[(i + shift) / 2] |= (byte)(((i + shift) & 1) == 0 ? digit << 4 : digit);
            }

            secret = octets;
            return true;
        }

        if (value.StartsWith("0s"u8))
        {
            isKey = true;
            var octets = new byte[System.Buffers.Text.Base64.GetMaxDecodedFromUtf8Length(value.Length + 4)];
            var padded = new byte[(value.Length - 2 + 3) / 4 * 4];
            padded.AsSpan().Fill((byte)'=');
            value[2..].CopyTo(padded);
            var status = System.Buffers.Text.Base64.DecodeFromUtf8(padded, octets, out _, out var written);
            System.Security.Cryptography.CryptographicOperations.ZeroMemory(padded);
            if (status != System.Buffers.OperationStatus.Done)
            {
                error = "a value that begins with 0s must be base64";
                return false;
            }

            secret = octets[..written];
            System.Security.Cryptography.CryptographicOperations.ZeroMemory(octets);
            return true;
        }

        secret = value.ToArray();
        return true;
    }

    private static int Nibble(byte digit) => digit switch
    {
        >= (byte)'0' and <= (byte)'9' => digit - '0',
        >= (byte)'a' and <= (byte)'f' => digit - 'a' + 10,
        >= (byte)'A' and <= (byte)'F' => digit - 'A' + 10,
        _ => -1,
    };

    private static bool TryScaled(string text, (char Suffix, long Factor)[] units, out long value)
    {
        value = 0;
        if (text.Length == 0) return false;
        var factor = 1L;
        foreach (var (suffix, by) in units)
        {
            if (char.ToLowerInvariant(text[^1]) != suffix) continue;
            factor = by;
            text = text[..^1].TrimEnd();
            break;
        }

        if (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number > long.MaxValue / factor) return false;
        value = number * factor;
        return true;
    }

    /// <summary>False without an error: it is none of these forms.</summary>
    private static bool TryRange(string text, out IpAddress first, out IpAddress last, out string? error)
    {
        (first, last, error) = (default, default, null);
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        if (slash > 0)
        {
            if (!IpAddress.TryParse(text.AsSpan(0, slash), out var address)) return false;
            if (!int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var length) || length > address.BitLength)
            {
                error = $"'{text}': the prefix length must be 0..{address.BitLength}";
                return false;
            }

            var prefix = new IpPrefix(address, length);
            (first, last) = (prefix.Address, prefix.Last);
            return true;
        }

        var dash = text.IndexOf('-', StringComparison.Ordinal);
        if (dash > 0 && IpAddress.TryParse(text.AsSpan(0, dash).Trim(), out first))
        {
            if (!IpAddress.TryParse(text.AsSpan(dash + 1).Trim(), out last) || last.Version != first.Version || last < first)
            {
                error = $"'{text}': a range needs two addresses of one version, the lower one first";
                return false;
            }

            return true;
        }

        if (!IpAddress.TryParse(text, out first)) return false;
        last = first;
        return true;
    }

    private static bool TryLimits(string text, ref TrafficSelector limits, [NotNullWhen(false)] out string? error)
    {
        error = $"'{text}' should be [PROTOCOL] or [PROTOCOL/PORT], for example [tcp/443] or [udp/1000-2000]";
        if (text.Length < 3 || text[^1] != ']') return false;
        var parts = text[1..^1].Split('/', 2);
        var name = parts[0].Trim();
        byte protocol;
        if (TryNumber(name, out var number) && number <= 255)
        {
            protocol = (byte)number;
        }
        else if (!s_protocols.TryGetValue(name, out protocol))
        {
            error = $"unknown protocol '{name}'; write its number";
            return false;
        }

        limits = limits with { Protocol = protocol };
        error = null;
        if (parts.Length == 1) return true;
        var port = parts[1].Trim();
        if (port.Equals("any", StringComparison.OrdinalIgnoreCase)) return true;
        if (port.Equals("opaque", StringComparison.OrdinalIgnoreCase))
        {
            limits = limits with { FirstPort = ushort.MaxValue, LastPort = 0 };
            return true;
        }

        var dash = port.IndexOf('-', 1);
        if (!TryPort(dash < 0 ? port : port[..dash], protocol, out var low) || !TryPort(dash < 0 ? port : port[(dash + 1)..], protocol, out var high) || high < low)
        {
            error = $"'{port}' is no port, range of ports or known service";
            return false;
        }

        // ICMP: below 256 it is a type with any code, else type and code
        if (protocol is 1 or 58)
        {
            if (low < 256) low = (ushort)(low << 8);
            high = high < 256 ? (ushort)((high << 8) | 0xFF) : high;
        }

        limits = limits with { FirstPort = low, LastPort = high };
        return true;
    }

    private static bool TryPort(string text, byte protocol, out ushort port)
    {
        text = text.Trim();
        port = 0;
        // TYPE(CODE), as listings print it
        var bracket = text.IndexOf('(', StringComparison.Ordinal);
        if (protocol is 1 or 58 && bracket > 0 && text[^1] == ')')
        {
            if (!byte.TryParse(text.AsSpan(0, bracket), out var type) || !byte.TryParse(text.AsSpan(bracket + 1, text.Length - bracket - 2), out var code)) return false;
            port = (ushort)((type << 8) | code);
            return true;
        }

        if (TryNumber(text, out var number))
        {
            port = (ushort)number;
            return number <= ushort.MaxValue;
        }

        return s_services.TryGetValue(text, out port);
    }
}
