using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>Mode Config of the gateway (draft-dukes-ike-mode-cfg-02): it answers the client's request, or pushes, out of the pools of the connection. Without pools nothing is answered.</summary>
internal static class ConfigurationServer
{
    private const int MostAddresses = 8;

    private const ConfigurationType LastOfUnity = (ConfigurationType)28682;

    /// <summary>What a pool may tell in IKEv1.</summary>
    private static readonly ConfigurationType[] s_supported =
    [
        ConfigurationType.InternalIp4Address, ConfigurationType.InternalIp4Netmask, ConfigurationType.InternalIp4Dns, ConfigurationType.InternalIp4Nbns, ConfigurationType.InternalIp4Dhcp, ConfigurationType.ApplicationVersion,
        ConfigurationType.InternalIp6Address, ConfigurationType.InternalIp6Netmask, ConfigurationType.InternalIp6Dns, ConfigurationType.InternalIp6Dhcp, ConfigurationType.InternalIp4Subnet, ConfigurationType.SupportedAttributes, ConfigurationType.InternalIp6Subnet,
        ConfigurationType.UnityBanner, ConfigurationType.UnitySavePassword, ConfigurationType.UnityDefaultDomain, ConfigurationType.UnitySplitDns, ConfigurationType.SplitInclude, ConfigurationType.SplitExclude,
    ];

    public static void OnRequest(PeerTransaction exchange, scoped in AttributesBody body)
    {
        var sa = exchange.Sa;
        if (sa.Connection.Pools.IsEmpty || !sa.Connection.Pull || sa.Access is { Stage: not AccessStage.Configuration })
        {
            exchange.Ignore();
            return;
        }

        var types = new HashSet<ConfigurationType>();
        var wanted = ImmutableArray.CreateBuilder<IpAddress>();
        var reader = new ConfigurationReader(body.Attributes);
        while (reader.TryNext(out var number, out var value))
        {
            var type = (ConfigurationType)number;
            types.Add(type);
            if (wanted.Count == MostAddresses) continue;
            if (type == ConfigurationType.InternalIp4Address) wanted.Add(value.Length == 4 ? IpAddress.FromOctets(value) : IpAddress.AnyV4);
            else if (type == ConfigurationType.InternalIp6Address) wanted.Add(value.Length >= 16 ? IpAddress.FromOctets(value[..16]) : IpAddress.AnyV6);
        }

        var identifier = body.Identifier;
        if (wanted.Count == 0 || sa.Virtual is not null)
        {
            Reply();
            return;
        }

        exchange.Wait(true);
        Lease(sa, wanted.ToImmutable(), failure =>
        {
            exchange.Wait(false);
            if (failure is not null) sa.Engine.ReportDone(sa, null, failure);
            Reply();
            sa.Reschedule();
        });

        void Reply() => exchange.Answer(ConfigurationKind.Reply, identifier, writer => Write(writer, sa, types));
    }

    /// <summary>CFG_SET with everything that the pools say; quick mode waits for CFG_ACK.</summary>
    public static void Push(IsakmpSa sa)
    {
        var pools = sa.Connection.Pools.SelectMany(name => sa.Engine.Policy.Pools.Where(pool => pool.Name == name)).ToArray();
        ImmutableArray<IpAddress> wanted = [.. pools.SelectMany(pool => pool.Addresses.Select(range => range.First).Concat(pool.Static.Select(lease => lease.Address))).Select(address => address.IsV4 ? IpAddress.AnyV4 : IpAddress.AnyV6).Distinct()];
        if (wanted.IsEmpty) Send(null);
        else Lease(sa, wanted, Send);

        void Send(NegotiationFailure? failure)
        {
            if (sa.Access is not { } access) return;
            if (failure is not null)
            {
                access.Fail(failure);
                return;
            }

            var identifier = (ushort)sa.Engine.Entropy.NextUInt32();
            OwnTransaction.Start(sa, Transaction.ModeConfig, ConfigurationKind.Set, identifier, writer => Write(writer, sa, null), (scoped in _) => sa.Access?.Finish(), _ => sa.Access?.Expire());
        }
    }

    /// <summary>The addresses, then what the pools say as far as it is asked for. Cisco's attributes go to those who know them.</summary>
    /// <param name="writer">Gets the attributes.</param>
    /// <param name="sa">Of the client.</param>
    /// <param name="asked">What the client asks for; null = all.</param>
    private static void Write(WireWriter writer, IsakmpSa sa, HashSet<ConfigurationType>? asked) =>
        Write(writer, sa.Virtual?.Remote ?? [], [.. sa.Connection.Pools.SelectMany(name => sa.Engine.Policy.Pools.Where(pool => pool.Name == name)).SelectMany(pool => pool.Attributes)], sa.Peer.Unity ? UnitySplit.Of(sa.Connection) : null, asked);

    /// <summary>As the other overload.</summary>
    /// <param name="writer">Gets the attributes.</param>
    /// <param name="given">The client's addresses.</param>
    /// <param name="told">Of the pools.</param>
    /// <param name="unity">Networks for a client that knows Cisco's attributes, unless the pools name some; null = it does not know them.</param>
    /// <param name="asked">What the client asks for; null = all.</param>
    public static void Write(WireWriter writer, ImmutableArray<IpAddress> given, ImmutableArray<PoolAttribute> told, List<byte>? unity, HashSet<ConfigurationType>? asked)
    {
        var count = 0;
        foreach (var address in given)
        {
            var type = address.IsV4 ? ConfigurationType.InternalIp4Address : ConfigurationType.InternalIp6Address;
            if (IsWanted(type)) Add(type, address.ToOctets());
        }

        var single = new HashSet<ConfigurationType>();
        var splits = new Dictionary<ConfigurationType, List<byte>>();
        foreach (var one in told)
        {
            switch (one.Type)
            {
                case ConfigurationType.InternalIp4Address or ConfigurationType.InternalIp6Address or ConfigurationType.InternalAddressExpiry:
                    break;
                // a netmask only beside an address, and only one (section 3.4)
                case ConfigurationType.InternalIp4Netmask or ConfigurationType.InternalIp6Netmask:
                    if (given.Any(address => address.IsV4 == (one.Type == ConfigurationType.InternalIp4Netmask)) && IsWanted(one.Type) && single.Add(one.Type)) Add(one.Type, one.Value.AsSpan());
                    break;
                case ConfigurationType.SplitInclude or ConfigurationType.SplitExclude:
                    if (unity is null || !IsWanted(one.Type)) break;
                    if (!splits.TryGetValue(one.Type, out var list)) splits.Add(one.Type, list = []);
                    list.AddRange(one.Value);
                    break;
                case >= ConfigurationType.UnityBanner and <= LastOfUnity:
                    if (unity is not null && IsWanted(one.Type)) Add(one.Type, one.Value.AsSpan());
                    break;
                default:
                    // zero-length values must not be sent in an answer
                    if (IsWanted(one.Type) && !one.Value.IsEmpty) Add(one.Type, one.Value.AsSpan());
                    break;
            }
        }

        if (unity is { Count: > 0 } && IsWanted(ConfigurationType.SplitInclude)) splits.TryAdd(ConfigurationType.SplitInclude, unity);
        // all networks in one attribute: some clients read only the last of several
        foreach (var (type, octets) in splits) Add(type, octets.ToArray());
        if (asked?.Contains(ConfigurationType.SupportedAttributes) == true) Add(ConfigurationType.SupportedAttributes, [.. s_supported.SelectMany(type => new[] { (byte)((ushort)type >> 8), (byte)type })]);

        bool IsWanted(ConfigurationType type) => asked?.Contains(type) != false;

        void Add(ConfigurationType type, ReadOnlySpan<byte> value)
        {
            if (++count <= WireLimits.ConfigurationAttributes) ConfigurationList.Octets(writer, (ushort)type, value);
        }
    }

    private static void Lease(IsakmpSa sa, ImmutableArray<IpAddress> wanted, Action<NegotiationFailure?> next)
    {
        var wish = new LeaseWish(sa.PeerId!, sa.Connection.Pools, wanted, sa.Connection.Unique is UniquePolicy.Replace or UniquePolicy.Keep);
        sa.Engine.Ask(sa, new Ask.Lease(wish), answer =>
        {
            var leased = answer as Answer.Leased;
            ImmutableArray<IpAddress> given = leased is null ? [] : leased.Given.RemoveAll(address => address.IsNone);
            if (given.IsEmpty)
            {
                next(NoAddress(sa, wanted, (answer as Answer.Failed)?.Why));
                return;
            }

            sa.Share(new VirtualAddresses { Remote = given, Lease = leased!.Lease });
            sa.Report.Add(sa.Engine.Now, StepDirection.Here, $"{Identities.Print(sa.PeerId)} gets {string.Join(", ", given)}");
            sa.Engine.Raise(new VirtualIpsGiven(given) { Connection = sa.Connection.Name, IkeId = sa.Id });
            next(null);
        });
    }

    private static NegotiationFailure NoAddress(IsakmpSa sa, ImmutableArray<IpAddress> wanted, string? why) => new(
        "no-address",
        $"no pool of connection {sa.Connection.Name} has an address for {Identities.Print(sa.PeerId)}{(why is null ? "" : ": " + why)}",
        [.. wanted.Select(address => $"wanted: {(address.IsUnspecified ? $"any IPv{address.Version} address" : address.ToString())}")],
        [.. sa.Connection.Pools.Select(name => $"pool {name}{(sa.Engine.Policy.Pools.Any(pool => pool.Name == name) ? "" : ", which is not there")}")],
        [],
        $"here: make a pool of connections.{sa.Connection.Name}.pools larger, or close clients that are not needed");
}
