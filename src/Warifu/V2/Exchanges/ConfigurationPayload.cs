using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Text;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>CFG_REQUEST.</summary>
internal sealed class ConfigurationRequest
{
    private readonly HashSet<ConfigurationType> _types = [];

    /// <summary>Addresses that the client wants, one entry for each.</summary>
    public ImmutableArray<IpAddress> Addresses { get; private init; } = [];

    public bool Asks(ConfigurationType type) => _types.Contains(type);

    /// <summary>Null when there is none; a CFG_SET has no meaning here and is ignored (section 3.15.1).</summary>
    public static ConfigurationRequest? Read(scoped in MessageView view)
    {
        if (!view.TryGet(PayloadType.Cp, out var body) || CpView.TryParse(body, out var cp) != ParseError.None || cp.Kind != ConfigurationKind.Request) return null;
        var addresses = ImmutableArray.CreateBuilder<IpAddress>();
        var types = new HashSet<ConfigurationType>();
        foreach (var attribute in cp)
        {
            if (!attribute.IsWellFormed) continue;
            types.Add(attribute.Type);
            var any = attribute.Type switch { ConfigurationType.InternalIp4Address => IpAddress.AnyV4, ConfigurationType.InternalIp6Address => IpAddress.AnyV6, _ => default };
            // nobody needs more, and each costs a lease
            if (any.IsNone || addresses.Count >= 8) continue;
            addresses.Add(attribute.Value.IsEmpty ? any : IpAddress.FromOctets(attribute.Value[..any.Length]));
        }

        var request = new ConfigurationRequest { Addresses = addresses.ToImmutable() };
        request._types.UnionWith(types);
        return request;
    }

    /// <summary>What we ask for: the addresses that the configuration wants (what we had before is a wish, so that a reconnect changes nothing), and all that may be told about the network behind the gateway.</summary>
    public static ImmutableArray<ConfigurationAttribute> Make(Connection connection, ImmutableArray<IpAddress> last)
    {
        var attributes = ImmutableArray.CreateBuilder<ConfigurationAttribute>();
        void Ask(ConfigurationType type) => attributes.Add(new ConfigurationAttribute((ushort)type, []));
        var before = last.ToList();
        foreach (var wanted in connection.VirtualIps)
        {
            var wish = wanted.IsUnspecified ? before.Find(address => address.Version == wanted.Version) : wanted;
            before.Remove(wish);
            var type = (ushort)(wanted.IsV4 ? ConfigurationType.InternalIp4Address : ConfigurationType.InternalIp6Address);
            attributes.Add(new ConfigurationAttribute(type, wish.IsNone ? [] : wanted.IsV4 ? [.. wish.ToOctets()] : [.. wish.ToOctets(), 128]));
        }

        if (connection.VirtualIps.Any(address => address.IsV4))
        {
            foreach (var type in new[] { ConfigurationType.InternalIp4Netmask, ConfigurationType.InternalIp4Dns, ConfigurationType.InternalIp4Nbns, ConfigurationType.InternalIp4Dhcp, ConfigurationType.InternalIp4Subnet }) Ask(type);
        }

        if (connection.VirtualIps.Any(address => address.IsV6))
        {
            foreach (var type in new[] { ConfigurationType.InternalIp6Dns, ConfigurationType.InternalIp6Dhcp, ConfigurationType.InternalIp6Subnet }) Ask(type);
        }

        // split DNS (RFC 8598 section 3.1); with it go name servers, which we asked for above
        Ask(ConfigurationType.InternalDnsDomain);
        foreach (var type in connection.RequestAttributes)
        {
            if (!attributes.Any(attribute => attribute.Type == (ushort)type)) Ask(type);
        }

        return attributes.ToImmutable();
    }
}

/// <summary>CFG_REPLY.</summary>
internal sealed record ConfigurationReply(ImmutableArray<IpAddress> Addresses, ImmutableArray<IpAddress> DnsServers, ImmutableArray<string> Domains, ImmutableArray<string> Lines)
{
    /// <summary>What a pool may tell. 5, 9 and 11 were removed by RFC 5996: they are never sent.</summary>
    private static readonly ConfigurationType[] s_supported =
    [
        ConfigurationType.InternalIp4Address, ConfigurationType.InternalIp4Netmask, ConfigurationType.InternalIp4Dns, ConfigurationType.InternalIp4Nbns, ConfigurationType.InternalIp4Dhcp, ConfigurationType.ApplicationVersion,
        ConfigurationType.InternalIp6Address, ConfigurationType.InternalIp6Dns, ConfigurationType.InternalIp6Dhcp, ConfigurationType.InternalIp4Subnet, ConfigurationType.SupportedAttributes, ConfigurationType.InternalIp6Subnet,
        ConfigurationType.PCscfIp4Address, ConfigurationType.PCscfIp6Address, ConfigurationType.InternalDnsDomain, ConfigurationType.InternalDnssecTa,
    ];

    /// <summary>The responder's: the addresses of the lease, then what the pools of the connection say, in their order, as far as it was asked for. Subnets go with every address: they say what belongs into the tunnel.</summary>
    public static ImmutableArray<ConfigurationAttribute> Make(IkeSa sa, ConfigurationRequest request)
    {
        var attributes = ImmutableArray.CreateBuilder<ConfigurationAttribute>();
        void Add(ConfigurationType type, ReadOnlySpan<byte> value)
        {
            if (attributes.Count < WireLimits.ConfigurationAttributes) attributes.Add(new ConfigurationAttribute((ushort)type, [.. value]));
        }

        ImmutableArray<PoolAttribute> told = [.. sa.Connection.Pools.SelectMany(name => sa.Engine.Policy.Pools.Where(pool => pool.Name == name)).SelectMany(pool => pool.Attributes)];
        ImmutableArray<IpAddress> given = [.. (sa.Virtual?.Remote ?? []).Where(address => request.Asks(address.IsV4 ? ConfigurationType.InternalIp4Address : ConfigurationType.InternalIp6Address))];
        foreach (var address in given)
        {
            if (address.IsV4) Add(ConfigurationType.InternalIp4Address, address.ToOctets());
            else Add(ConfigurationType.InternalIp6Address, [.. address.ToOctets(), PrefixLength(told)]);
        }

        // a netmask only beside an address, and only one (section 3.15.1)
        var single = new HashSet<ConfigurationType>();
        if (!given.Any(address => address.IsV4)) single.Add(ConfigurationType.InternalIp4Netmask);
        // a domain only beside a name server, and only to whom knows split DNS (RFC 8598 section 3)
        var domains = request.Asks(ConfigurationType.InternalDnsDomain) && told.Any(one => IsDns(one.Type) && request.Asks(one.Type));
        foreach (var one in told)
        {
            switch (one.Type)
            {
                case ConfigurationType.InternalIp4Address or ConfigurationType.InternalIp6Address:
                    break;
                case ConfigurationType.InternalAddressExpiry or ConfigurationType.InternalIp6Netmask or ConfigurationType.InternalIp6Nbns:
                    break;
                case ConfigurationType.InternalIp4Netmask or ConfigurationType.ApplicationVersion:
                    if (request.Asks(one.Type) && single.Add(one.Type)) Add(one.Type, one.Value.AsSpan());
                    break;
                case ConfigurationType.InternalIp4Subnet or ConfigurationType.InternalIp6Subnet:
                    if (!request.Addresses.IsEmpty || request.Asks(one.Type)) Add(one.Type, one.Value.AsSpan());
                    break;
                case ConfigurationType.InternalDnsDomain:
                    if (domains) Add(one.Type, one.Value.AsSpan());
                    break;
                case ConfigurationType.InternalDnssecTa:
                    if (domains && request.Asks(one.Type)) Add(one.Type, one.Value.AsSpan());
                    break;
                default:
                    if (request.Asks(one.Type)) Add(one.Type, one.Value.AsSpan());
                    break;
            }
        }

        // who does not tell its version says so by an empty one (section 2.20)
        if (request.Asks(ConfigurationType.ApplicationVersion) && single.Add(ConfigurationType.ApplicationVersion)) Add(ConfigurationType.ApplicationVersion, []);
        if (request.Asks(ConfigurationType.SupportedAttributes)) Add(ConfigurationType.SupportedAttributes, [.. s_supported.SelectMany(type => new[] { (byte)((ushort)type >> 8), (byte)type })]);
        return attributes.ToImmutable();
    }

    /// <summary>The initiator's: addresses at most as many as were asked for; what is unknown, empty or of a wrong length is passed over.</summary>
    public static ConfigurationReply Read(scoped in MessageView view, ImmutableArray<IpAddress> wanted)
    {
        if (!view.TryGet(PayloadType.Cp, out var body) || CpView.TryParse(body, out var cp) != ParseError.None || cp.Kind != ConfigurationKind.Reply) return new ConfigurationReply([], [], [], []);
        var (addresses, servers) = (new List<IpAddress>(), new List<IpAddress>());
        var (domains, lines) = (new List<string>(), new List<string>());
        foreach (var attribute in cp)
        {
            if (!attribute.IsWellFormed || attribute.Value.IsEmpty) continue;
            if (attribute.Type is ConfigurationType.InternalAddressExpiry or ConfigurationType.InternalIp6Netmask or ConfigurationType.InternalIp6Nbns) continue;
            if (lines.Count < 64) lines.Add(PoolText.Print(attribute.Type, attribute.Value));
            switch (attribute.Type)
            {
                case ConfigurationType.InternalIp4Address:
                    Take(IpAddress.FromOctets(attribute.Value));
                    break;
                case ConfigurationType.InternalIp6Address:
                    Take(IpAddress.FromOctets(attribute.Value[..16]));
                    break;
                case ConfigurationType.InternalIp4Dns or ConfigurationType.InternalIp6Dns when servers.Count < 16:
                    servers.Add(IpAddress.FromOctets(attribute.Value));
                    break;
                case ConfigurationType.InternalDnsDomain when domains.Count < 256:
                    var name = Encoding.ASCII.GetString(attribute.Value);
                    if (PoolText.IsDomain(name)) domains.Add(name.TrimEnd('.'));
                    break;
            }
        }

        // a domain without a server would be led to nowhere
        return new ConfigurationReply([.. addresses], [.. servers.Where(ClientConfiguration.IsUsable)], servers.Count == 0 ? [] : [.. domains], [.. lines]);

        void Take(IpAddress address)
        {
            if (ClientConfiguration.IsUsable(address) && !addresses.Contains(address) && addresses.Count(other => other.Version == address.Version) < wanted.Count(other => other.Version == address.Version)) addresses.Add(address);
        }
    }

    private static bool IsDns(ConfigurationType type) => type is ConfigurationType.InternalIp4Dns or ConfigurationType.InternalIp6Dns;

    /// <summary>The prefix length of an IPv6 address says what the netmask says with IPv4 (section 3.15.3); 128 = only itself.</summary>
    private static byte PrefixLength(ImmutableArray<PoolAttribute> told)
    {
        foreach (var one in told)
        {
            if (one.Type == ConfigurationType.InternalIp6Netmask && one.Value.Length == 16) return (byte)UInt128.LeadingZeroCount(~IpAddress.FromOctets(one.Value.AsSpan()).Bits);
        }

        return 128;
    }
}
