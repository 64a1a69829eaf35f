using System;
using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Linq;
using System.Numerics;
using System.Text;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>Pools as people write them (the keys of swanctl.conf, and ours for split DNS), and attributes as people read them.</summary>
public static class PoolText
{
    /// <summary>Keys of a pool beside addrs, and the attribute that each makes for IPv4 and IPv6.</summary>
    private static readonly FrozenDictionary<string, (ConfigurationType V4, ConfigurationType V6)> s_keys = new Dictionary<string, (ConfigurationType, ConfigurationType)>
    {
        ["address"] = (ConfigurationType.InternalIp4Address, ConfigurationType.InternalIp6Address),
        ["dns"] = (ConfigurationType.InternalIp4Dns, ConfigurationType.InternalIp6Dns),
        ["nbns"] = (ConfigurationType.InternalIp4Nbns, ConfigurationType.InternalIp6Nbns),
        ["dhcp"] = (ConfigurationType.InternalIp4Dhcp, ConfigurationType.InternalIp6Dhcp),
        ["netmask"] = (ConfigurationType.InternalIp4Netmask, ConfigurationType.InternalIp6Netmask),
        ["server"] = (ConfigurationType.InternalIp4Server, ConfigurationType.InternalIp6Server),
        ["subnet"] = (ConfigurationType.InternalIp4Subnet, ConfigurationType.InternalIp6Subnet),
        ["p_cscf"] = (ConfigurationType.PCscfIp4Address, ConfigurationType.PCscfIp6Address),
        ["split_include"] = (ConfigurationType.SplitInclude, ConfigurationType.SplitInclude),
        ["split_exclude"] = (ConfigurationType.SplitExclude, ConfigurationType.SplitExclude),
        ["dns_domain"] = (ConfigurationType.InternalDnsDomain, ConfigurationType.InternalDnsDomain),
        ["banner"] = (ConfigurationType.UnityBanner, ConfigurationType.UnityBanner),
        ["default_domain"] = (ConfigurationType.UnityDefaultDomain, ConfigurationType.UnityDefaultDomain),
    }.ToFrozenDictionary(StringComparer.Ordinal);

    private static readonly FrozenDictionary<ConfigurationType, string> s_names = new Dictionary<ConfigurationType, string>
    {
        [ConfigurationType.InternalIp4Address] = "INTERNAL_IP4_ADDRESS",
        [ConfigurationType.InternalIp4Netmask] = "INTERNAL_IP4_NETMASK",
        [ConfigurationType.InternalIp4Dns] = "INTERNAL_IP4_DNS",
        [ConfigurationType.InternalIp4Nbns] = "INTERNAL_IP4_NBNS",
        [ConfigurationType.InternalAddressExpiry] = "INTERNAL_ADDRESS_EXPIRY",
        [ConfigurationType.InternalIp4Dhcp] = "INTERNAL_IP4_DHCP",
        [ConfigurationType.ApplicationVersion] = "APPLICATION_VERSION",
        [ConfigurationType.InternalIp6Address] = "INTERNAL_IP6_ADDRESS",
        [ConfigurationType.InternalIp6Netmask] = "INTERNAL_IP6_NETMASK",
        [ConfigurationType.InternalIp6Dns] = "INTERNAL_IP6_DNS",
        [ConfigurationType.InternalIp6Nbns] = "INTERNAL_IP6_NBNS",
        [ConfigurationType.InternalIp6Dhcp] = "INTERNAL_IP6_DHCP",
        [ConfigurationType.InternalIp4Subnet] = "INTERNAL_IP4_SUBNET",
        [ConfigurationType.SupportedAttributes] = "SUPPORTED_ATTRIBUTES",
        [ConfigurationType.InternalIp6Subnet] = "INTERNAL_IP6_SUBNET",
        [ConfigurationType.Mip6HomePrefix] = "MIP6_HOME_PREFIX",
        [ConfigurationType.InternalIp6Link] = "INTERNAL_IP6_LINK",
        [ConfigurationType.InternalIp6Prefix] = "INTERNAL_IP6_PREFIX",
        [ConfigurationType.HomeAgentAddress] = "HOME_AGENT_ADDRESS",
        [ConfigurationType.PCscfIp4Address] = "P_CSCF_IP4_ADDRESS",
        [ConfigurationType.PCscfIp6Address] = "P_CSCF_IP6_ADDRESS",
        [ConfigurationType.InternalDnsDomain] = "INTERNAL_DNS_DOMAIN",
        [ConfigurationType.InternalDnssecTa] = "INTERNAL_DNSSEC_TA",
        [ConfigurationType.EncDnsIp4] = "ENCDNS_IP4",
        [ConfigurationType.EncDnsIp6] = "ENCDNS_IP6",
        [ConfigurationType.EncDnsDigestInfo] = "ENCDNS_DIGEST_INFO",
        [ConfigurationType.InternalIp4Server] = "INTERNAL_IP4_SERVER",
        [ConfigurationType.InternalIp6Server] = "INTERNAL_IP6_SERVER",
        [ConfigurationType.UnityBanner] = "UNITY_BANNER",
        [ConfigurationType.UnitySavePassword] = "UNITY_SAVE_PASSWD",
        [ConfigurationType.UnityDefaultDomain] = "UNITY_DEF_DOMAIN",
        [ConfigurationType.UnitySplitDns] = "UNITY_SPLITDNS_NAME",
        [ConfigurationType.SplitInclude] = "UNITY_SPLIT_INCLUDE",
        [ConfigurationType.SplitExclude] = "UNITY_LOCAL_LAN",
    }.ToFrozenDictionary();

    /// <summary>Keys that make attributes; a decimal number is one too.</summary>
    public static IEnumerable<string> Keys => s_keys.Keys.Order(StringComparer.Ordinal);

    /// <summary>Reads the value of addrs: "10.3.0.0/24" (without the network's address and the broadcast address, and without those below the given host part), or "10.3.0.10-10.3.0.99".</summary>
    /// <param name="text">One subnet or range.</param>
    /// <param name="range">What clients may get.</param>
    /// <param name="error">What is wrong and what would be right.</param>
    public static bool TryParseAddresses(string text, out AddressRange range, [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(text);
        range = default;
        text = text.Trim();
        if (!Selectors.TryParseAddresses(text, out var first, out var last, out error)) return false;
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        if (slash < 0)
        {
            range = new AddressRange(first, last, first);
            return true;
        }

        var given = IpAddress.Parse(text.AsSpan(0, slash));
        var size = last.Bits - first.Bits + 1;
        // a subnet of one or two addresses has no room for a network's and a broadcast address (RFC 3021)
        if (size <= 2)
        {
            range = new AddressRange(given > first ? given : first, last, first);
            return true;
        }

        var lowest = given == first ? IpAddress.FromBits(first.Bits + 1, first.Version) : given;
        var highest = IpAddress.FromBits(last.Bits - 1, last.Version);
        if (lowest > highest)
        {
            error = $"'{text}' leaves no address; write the network's address, {first}/{text[(slash + 1)..]}";
            return false;
        }

        range = new AddressRange(lowest, highest, given);
        return true;
    }

    /// <summary>Reads one value of a key of a pool.</summary>
    /// <param name="key">dns, nbns, dhcp, netmask, server, subnet, p_cscf, split_include, split_exclude, address, dns_domain, banner, default_domain, or a decimal attribute type.</param>
    /// <param name="value">An address; a subnet for subnet and split_…; for dns_domain a domain, and behind it the four fields of a DS record (RFC 4034) when it has a trust anchor; for a number an address, a subnet, 0x and hexadecimal digits, or text.</param>
    /// <param name="attributes">What it stands for: one, or a domain and its trust anchor.</param>
    /// <param name="error">What is wrong and what would be right.</param>
    public static bool TryParseAttribute(string key, string value, out ImmutableArray<PoolAttribute> attributes, [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(value);
        (attributes, error) = ([], null);
        value = value.Trim();
        if (ushort.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out var number)) return TryParseNumbered(number, value, out attributes, out error);
        if (!s_keys.TryGetValue(key, out var types)) return Fail($"unknown attribute '{key}'; nearest known key: '{Spelling.Nearest(key, s_keys.Keys)}'", out error);
        if (key == "dns_domain") return TryParseDomain(value, out attributes, out error);
        if (key == "default_domain" && !IsDomain(value)) return Fail($"'{value}' is no domain; write for example corp.example", out error);
        if (key is "default_domain" or "banner")
        {
            attributes = [new PoolAttribute(types.V4, [.. Encoding.UTF8.GetBytes(value)])];
            return true;
        }

        var isSubnet = key is "subnet" or "split_include" or "split_exclude";
        if (!TryReadPrefix(value, isSubnet, out var prefix)) return Fail(isSubnet ? $"'{value}' is no subnet; write for example 10.1.0.0/16" : $"'{value}' is no IP address; write for example 10.1.0.53", out error);
        if (key.StartsWith("split_", StringComparison.Ordinal) && prefix.Address.IsV6) return Fail($"{key} knows IPv4 only; write subnet = {value}", out error);
        var type = prefix.Address.IsV4 ? types.V4 : types.V6;
        if (type is ConfigurationType.InternalIp6Nbns) return Fail("there is no NBNS over IPv6 (RFC 5996); leave it out", out error);
        attributes = [new PoolAttribute(type, isSubnet ? Subnet(type, prefix) : [.. prefix.Address.ToOctets()])];
        return true;
    }

    /// <summary>Name of an attribute type, or its number.</summary>
    public static string NameOf(ConfigurationType type) => s_names.TryGetValue(type, out var name) ? name : ((ushort)type).ToString(CultureInfo.InvariantCulture);

    /// <summary>"INTERNAL_IP4_DNS 10.1.0.53"; control characters never come out.</summary>
    public static string Print(ConfigurationType type, ReadOnlySpan<byte> value)
    {
        if (value.IsEmpty) return NameOf(type);
        var text = (type, value.Length) switch
        {
            (ConfigurationType.SupportedAttributes, _) when value.Length % 2 == 0 => PrintTypes(value),
            (ConfigurationType.InternalIp4Subnet or ConfigurationType.SplitInclude or ConfigurationType.SplitExclude, >= 8) => PrintSubnet(value),
            (ConfigurationType.InternalIp6Address or ConfigurationType.InternalIp6Subnet or ConfigurationType.InternalIp6Prefix, 17) => $"{IpAddress.FromOctets(value[..16])}/{value[16]}",
            (ConfigurationType.ApplicationVersion or ConfigurationType.InternalDnsDomain or (>= ConfigurationType.UnityBanner and <= ConfigurationType.UnitySplitDns), _) => Printable(value),
            (ConfigurationType.InternalDnssecTa, > 4) => $"{BinaryPrimitives.ReadUInt16BigEndian(value)} {value[2]} {value[3]} {Printable(value[4..])}",
            ( <= ConfigurationType.PCscfIp6Address or ConfigurationType.InternalIp4Server or ConfigurationType.InternalIp6Server, 4 or 16) => IpAddress.FromOctets(value).ToString(),
            _ => Convert.ToHexStringLower(value[..Math.Min(value.Length, 64)]),
        };
        return $"{NameOf(type)} {text}";
    }

    private static bool TryParseNumbered(ushort number, string value, out ImmutableArray<PoolAttribute> attributes, [NotNullWhen(false)] out string? error)
    {
        (attributes, error) = ([], null);
        if (number is 0 or > 0x7FFF) return Fail($"{number} is no attribute type; write 1..32767", out error);
        var type = (ConfigurationType)number;
        if (value.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
        {
            var digits = value.AsSpan(2);
            if (digits.Length % 2 != 0 || !IsHex(digits)) return Fail($"'{value}' is not hexadecimal; write pairs of digits behind 0x", out error);
            attributes = [new PoolAttribute(type, [.. Convert.FromHexString(digits)])];
        }
        else if (TryReadPrefix(value, subnet: false, out var address)) attributes = [new PoolAttribute(type, [.. address.Address.ToOctets()])];
        else if (TryReadPrefix(value, subnet: true, out var prefix)) attributes = [new PoolAttribute(type, Subnet(type, prefix))];
        else attributes = [new PoolAttribute(type, [.. Encoding.UTF8.GetBytes(value)])];
        return true;
    }

    /// <summary>"corp.example", or "corp.example 43547 8 1 B6225AB2…" with a trust anchor.</summary>
    private static bool TryParseDomain(string value, out ImmutableArray<PoolAttribute> attributes, [NotNullWhen(false)] out string? error)
    {
        (attributes, error) = ([], null);
        var parts = value.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (parts.Length == 0 || !IsDomain(parts[0])) return Fail($"'{value}' is no domain; write for example corp.example", out error);
        var domain = new PoolAttribute(ConfigurationType.InternalDnsDomain, [.. Encoding.ASCII.GetBytes(parts[0])]);
        attributes = [domain];
        if (parts.Length == 1) return true;
        if (parts.Length < 5 || !ushort.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var tag) || !byte.TryParse(parts[2], NumberStyles.None, CultureInfo.InvariantCulture, out var algorithm)
            || !byte.TryParse(parts[3], NumberStyles.None, CultureInfo.InvariantCulture, out var digestType) || string.Concat(parts[4..]) is not { Length: > 0 } digest || !IsHex(digest))
            return Fail($"'{value}' has no trust anchor behind the domain; write KEYTAG ALGORITHM DIGEST-TYPE DIGEST as in a DS record", out error);
        // the digest goes in presentation format (RFC 8598 section 4.2)
        attributes = [domain, new PoolAttribute(ConfigurationType.InternalDnssecTa, [(byte)(tag >> 8), (byte)tag, algorithm, digestType, .. Encoding.ASCII.GetBytes(digest)])];
        return true;
    }

    /// <summary>Labels of letters, digits, hyphens and underscores (A-labels, RFC 5890), with or without the root's dot.</summary>
    internal static bool IsDomain(string text)
    {
        var name = text.EndsWith('.') ? text[..^1] : text;
        return name.Length is > 0 and <= 253 && name.Split('.').All(label => label.Length is > 0 and <= 63 && label.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_'));
    }

    private static bool IsHex(ReadOnlySpan<char> digits)
    {
        foreach (var digit in digits)
        {
            if (!char.IsAsciiHexDigit(digit)) return false;
        }

        return true;
    }

    private static bool TryReadPrefix(string text, bool subnet, out IpPrefix prefix)
    {
        prefix = default;
        if (text.Contains('-', StringComparison.Ordinal) || text.Contains("..", StringComparison.Ordinal)) return false;
        if (text.Contains('/', StringComparison.Ordinal) && !subnet) return false;
        return Selectors.TryParseAddresses(text, out var first, out var last, out _) && new TrafficSelector(first, last).TryGetPrefix(out prefix);
    }

    /// <summary>IPv4: address and netmask; IPv6: address and prefix length. Cisco's have six more octets (protocol and ports).</summary>
    private static ImmutableArray<byte> Subnet(ConfigurationType type, IpPrefix prefix)
    {
        if (prefix.Address.IsV6) return [.. prefix.Address.ToOctets(), (byte)prefix.Length];
        Span<byte> mask = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(mask, prefix.Length == 0 ? 0 : uint.MaxValue << (32 - prefix.Length));
        ImmutableArray<byte> octets = [.. prefix.Address.ToOctets(), .. mask];
        return type is ConfigurationType.SplitInclude or ConfigurationType.SplitExclude ? [.. octets, 0, 0, 0, 0, 0, 0] : octets;
    }

    private static string PrintSubnet(ReadOnlySpan<byte> value)
    {
        var mask = BinaryPrimitives.ReadUInt32BigEndian(value[4..]);
        var bits = BitOperations.LeadingZeroCount(~mask);
        return bits == 32 || mask << bits == 0 ? $"{IpAddress.FromOctets(value[..4])}/{bits}" : $"{IpAddress.FromOctets(value[..4])} {IpAddress.FromOctets(value[4..8])}";
    }

    private static string PrintTypes(ReadOnlySpan<byte> value)
    {
        var names = new List<string>();
        for (var at = 0; at < value.Length && names.Count < 64; at += 2) names.Add(NameOf((ConfigurationType)BinaryPrimitives.ReadUInt16BigEndian(value[at..])));
        return string.Join(' ', names);
    }

    internal static string Printable(ReadOnlySpan<byte> value)
    {
        var text = new StringBuilder(value.Length);
        foreach (var octet in value[..Math.Min(value.Length, 255)]) text.Append(octet is >= 0x20 and < 0x7F ? (char)octet : '?');
        return text.ToString();
    }

    private static bool Fail(string message, out string? error)
    {
        error = message;
        return false;
    }
}
