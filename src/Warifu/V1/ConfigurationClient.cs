using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Text;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>Mode Config of the client (draft-dukes-ike-mode-cfg-02): it asks for addresses and more, or takes what is pushed to it.</summary>
internal static class ConfigurationClient
{
    private const int MostServers = 16, MostDomains = 256, MostLines = 64, MostNetworks = 256;

    /// <summary>CFG_REQUEST: what we had before is a wish, so that a new authentication changes nothing.</summary>
    public static void Request(IsakmpSa sa) => OwnTransaction.Start(
        sa, Transaction.ModeConfig, ConfigurationKind.Request, (ushort)sa.Engine.Entropy.NextUInt32(), writer => WriteRequest(writer, sa.Connection, sa.Engine.LastVirtualIps(sa.Connection.Name), sa.Peer.Unity),
        (scoped in body) => Take(sa, body), _ => sa.Access?.Expire());

    public static void WriteRequest(WireWriter writer, Connection connection, ImmutableArray<IpAddress> last, bool unity)
    {
        var asked = new HashSet<ConfigurationType>();
        var before = last.ToList();
        foreach (var wanted in connection.VirtualIps)
        {
            var wish = wanted.IsUnspecified ? before.Find(address => address.Version == wanted.Version) : wanted;
            before.Remove(wish);
            ConfigurationList.Octets(writer, (ushort)(wanted.IsV4 ? ConfigurationType.InternalIp4Address : ConfigurationType.InternalIp6Address), wish.IsNone ? [] : wish.ToOctets());
        }

        if (connection.VirtualIps.Any(address => address.IsV4)) Ask(ConfigurationType.InternalIp4Netmask, ConfigurationType.InternalIp4Dns, ConfigurationType.InternalIp4Nbns, ConfigurationType.InternalIp4Subnet);
        if (connection.VirtualIps.Any(address => address.IsV6)) Ask(ConfigurationType.InternalIp6Dns, ConfigurationType.InternalIp6Subnet);
        if (unity) Ask(ConfigurationType.UnityBanner, ConfigurationType.UnityDefaultDomain, ConfigurationType.UnitySplitDns, ConfigurationType.SplitInclude);
        Ask([.. connection.RequestAttributes]);

        void Ask(params ConfigurationType[] types)
        {
            foreach (var type in types.Where(asked.Add)) ConfigurationList.Octets(writer, (ushort)type, default);
        }
    }

    /// <summary>CFG_SET: taken while we wait for it, and only then.</summary>
    public static void OnSet(PeerTransaction exchange, scoped in AttributesBody body)
    {
        var sa = exchange.Sa;
        if (sa.Connection.Pull || sa.Connection.VirtualIps.IsEmpty || sa.Access is not { Stage: AccessStage.Configuration })
        {
            exchange.Ignore();
            return;
        }

        // what was accepted comes back without values
        var types = new List<ushort>();
        var reader = new ConfigurationReader(body.Attributes);
        while (reader.TryNext(out var type, out _)) types.Add(type);
        exchange.Answer(ConfigurationKind.Ack, body.Identifier, writer => WriteAck(writer, types));
        Take(sa, body);
    }

    public static void WriteAck(WireWriter writer, IEnumerable<ushort> types)
    {
        foreach (var type in types) ConfigurationList.Octets(writer, type, default);
    }

    private static void Take(IsakmpSa sa, scoped in AttributesBody body)
    {
        if (sa.Access is not { Stage: AccessStage.Configuration } access) return;
        var connection = sa.Connection;
        var (addresses, servers, domains, lines, networks) = (new List<IpAddress>(), new List<IpAddress>(), new List<string>(), new List<string>(), new List<TrafficSelector>());
        var reader = new ConfigurationReader(body.Attributes);
        while (reader.TryNext(out var number, out var value))
        {
            var type = (ConfigurationType)number;
            if (value.IsEmpty || type == ConfigurationType.InternalAddressExpiry) continue;
            if (lines.Count < MostLines) lines.Add(PoolText.Print(type, value));
            switch (type)
            {
                case ConfigurationType.InternalIp4Address when value.Length == 4:
                    TakeAddress(IpAddress.FromOctets(value));
                    break;
                // some write a prefix length behind it, as in IKEv2
                case ConfigurationType.InternalIp6Address when value.Length is 16 or 17:
                    TakeAddress(IpAddress.FromOctets(value[..16]));
                    break;
                case ConfigurationType.InternalIp4Dns when value.Length == 4 && servers.Count < MostServers:
                case ConfigurationType.InternalIp6Dns when value.Length == 16 && servers.Count < MostServers:
                    servers.Add(IpAddress.FromOctets(value));
                    break;
                case ConfigurationType.UnitySplitDns:
                    foreach (var name in Encoding.ASCII.GetString(value).Split([',', ' '], System.StringSplitOptions.RemoveEmptyEntries).Where(PoolText.IsDomain))
                    {
                        if (domains.Count < MostDomains) domains.Add(name.TrimEnd('.'));
                    }

                    break;
                case ConfigurationType.SplitInclude:
                    UnitySplit.Read(value, networks, MostNetworks);
                    break;
                case ConfigurationType.UnityBanner:
                    sa.Engine.Raise(new Notice(NoticeLevel.Info, $"the gateway says: {PoolText.Printable(value)}") { Connection = connection.Name, IkeId = sa.Id });
                    break;
            }
        }

        if (addresses.Count == 0)
        {
            access.Fail(NothingGiven(sa));
            return;
        }

        var client = new ClientConfiguration
        {
            Id = sa.Engine.NewId(),
            Connection = connection.Name,
            Interface = connection.Children.Select(child => child.BindInterface).FirstOrDefault(name => name is not null),
            Addresses = [.. addresses],
            DnsServers = [.. servers.Where(ClientConfiguration.IsUsable)],
            // a domain without a server would be led to nowhere
            Domains = servers.Count == 0 ? [] : [.. domains],
        };
        sa.Share(new VirtualAddresses { Local = client.Addresses, Client = client.Id });
        sa.SplitNetworks = sa.Peer.Unity ? [.. networks] : [];
        sa.Engine.RememberVirtualIps(connection.Name, client.Addresses);
        sa.Engine.Emit(new IkeAction.Configure(client));
        sa.Report.Add(sa.Engine.Now, StepDirection.Here, $"the peer gave us {string.Join(", ", client.Addresses)}");
        sa.Engine.Raise(new VirtualIpsReceived(client.Addresses, client.DnsServers, client.Domains, [.. lines]) { Connection = connection.Name, IkeId = sa.Id });
        access.Finish();

        void TakeAddress(IpAddress address)
        {
            if (ClientConfiguration.IsUsable(address) && !addresses.Contains(address) && addresses.Count(other => other.Version == address.Version) < connection.VirtualIps.Count(other => other.Version == address.Version)) addresses.Add(address);
        }
    }

    private static NegotiationFailure NothingGiven(IsakmpSa sa) => new(
        "no-address",
        $"the peer gave us no virtual IP, connections.{sa.Connection.Name}.vips needs one",
        [.. sa.Connection.VirtualIps.Select(address => $"wanted: {(address.IsUnspecified ? $"any IPv{address.Version} address" : address.ToString())}")],
        [],
        [],
        $"at the peer: give its connection a pool of addresses, or make the pool larger; or here: remove connections.{sa.Connection.Name}.vips, if this peer needs none");
}
