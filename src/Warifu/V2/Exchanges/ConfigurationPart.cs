using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>CP on IKE_AUTH (RFC 7296 sections 2.19 and 3.15): the initiator asks for addresses and more, the responder gives them from its pools before it answers the first child.</summary>
internal sealed class ConfigurationPart : AuthPart
{
    public override void WriteRequest(IkeSa sa, MessageBuilder builder)
    {
        if (sa.Connection.VirtualIps.IsEmpty) return;
        builder.Configuration(ConfigurationKind.Request, ConfigurationRequest.Make(sa.Connection, sa.Engine.LastVirtualIps(sa.Connection.Name)).AsSpan());
    }

    public override void ReadRequest(IkeSa sa, scoped in MessageView view) => sa.Handshake!.Configuration = ConfigurationRequest.Read(view);

    public override void BeforeChild(IkeSa sa, Action next)
    {
        // without pools there is nothing to give: the payload is ignored (section 3.15.4)
        if (sa.Handshake!.Configuration is not { } request || sa.Connection.Pools.IsEmpty)
        {
            next();
            return;
        }

        if (request.Addresses.IsEmpty)
        {
            next();
            return;
        }

        Lease(sa, request, failure =>
        {
            sa.Handshake!.AddressFailure = failure;
            next();
        });
    }

    /// <summary>A request for a child may ask for an address later, too (section 2.19): it is given before the child is looked at. False: the request does not ask, or the client has one.</summary>
    public static bool LeaseLater(IkeSa sa, scoped in MessageView view, Action<NegotiationFailure?> next)
    {
        if (sa.Virtual is not null || sa.Connection.Pools.IsEmpty || ConfigurationRequest.Read(view) is not { Addresses.IsEmpty: false } request) return false;
        sa.HasConfiguration = true;
        Lease(sa, request, next);
        return true;
    }

    /// <summary>CFG_REQUEST in INFORMATIONAL (sections 2.20 and 3.15.1): information about what is there; nothing is given out.</summary>
    public static void Inform(IkeSa sa, scoped in MessageView view, MessageBuilder builder)
    {
        if (sa.State == IkeState.Established && ConfigurationRequest.Read(view) is { } request) builder.Configuration(ConfigurationKind.Reply, ConfigurationReply.Make(sa, request).AsSpan());
    }

    private static void Lease(IkeSa sa, ConfigurationRequest request, Action<NegotiationFailure?> next)
    {
        var wish = new LeaseWish(sa.RemoteId!, sa.Connection.Pools, request.Addresses, sa.Connection.Unique is UniquePolicy.Replace or UniquePolicy.Keep);
        sa.Engine.Ask(sa, new Ask.Lease(wish), answer =>
        {
            var leased = answer as Answer.Leased;
            ImmutableArray<IpAddress> given = leased is null ? [] : leased.Given.RemoveAll(address => address.IsNone);
            if (given.IsEmpty)
            {
                next(NoAddress(sa, request, (answer as Answer.Failed)?.Why));
                return;
            }

            sa.Share(new VirtualAddresses { Remote = given, Lease = leased!.Lease });
            sa.Report.Add(sa.Engine.Now, StepDirection.Here, $"{Identities.Print(sa.RemoteId)} gets {string.Join(", ", given)}");
            sa.Engine.Raise(new VirtualIpsGiven(given) { Connection = sa.Connection.Name, IkeId = sa.Id });
            next(null);
        });
    }

    public override void WriteResponse(IkeSa sa, MessageBuilder builder)
    {
        var handshake = sa.Handshake!;
        // never a CFG_REPLY without a CFG_REQUEST (section 2.19)
        if (handshake.Configuration is not { } request || sa.Connection.Pools.IsEmpty) return;
        if (handshake.AddressFailure is not null) builder.Notify(NotifyType.InternalAddressFailure);
        else builder.Configuration(ConfigurationKind.Reply, ConfigurationReply.Make(sa, request).AsSpan());
    }

    public override void ReadResponse(IkeSa sa, scoped in MessageView view)
    {
        var connection = sa.Connection;
        if (connection.VirtualIps.IsEmpty) return;
        var reply = ConfigurationReply.Read(view, connection.VirtualIps);
        if (reply.Addresses.IsEmpty)
        {
            sa.Handshake!.AddressFailure = NothingGiven(sa, view.HasNotify(NotifyType.InternalAddressFailure));
            return;
        }

        var client = new ClientConfiguration
        {
            Id = sa.Engine.NewId(),
            Connection = connection.Name,
            Interface = connection.Children.Select(child => child.BindInterface).FirstOrDefault(name => name is not null),
            Addresses = reply.Addresses,
            DnsServers = reply.DnsServers,
            Domains = reply.Domains,
        };
        sa.Share(new VirtualAddresses { Local = reply.Addresses, Client = client.Id });
        sa.Engine.RememberVirtualIps(connection.Name, reply.Addresses);
        sa.Engine.Emit(new IkeAction.Configure(client));
        sa.Report.Add(sa.Engine.Now, StepDirection.Here, $"the peer gave us {string.Join(", ", reply.Addresses)}");
        sa.Engine.Raise(new VirtualIpsReceived(reply.Addresses, reply.DnsServers, reply.Domains, reply.Lines) { Connection = connection.Name, IkeId = sa.Id });
    }

    private static NegotiationFailure NoAddress(IkeSa sa, ConfigurationRequest request, string? why) => new(
        "no-address",
        $"no pool of connection {sa.Connection.Name} has an address for {Identities.Print(sa.RemoteId)} (INTERNAL_ADDRESS_FAILURE){(why is null ? "" : ": " + why)}",
        [.. request.Addresses.Select(address => $"wanted: {(address.IsUnspecified ? $"any IPv{address.Version} address" : address.ToString())}")],
        [.. sa.Connection.Pools.Select(name => $"pool {name}: {PrintPool(sa.Engine.Policy.Pools.FirstOrDefault(pool => pool.Name == name))}")],
        [],
        $"here: make a pool of connections.{sa.Connection.Name}.pools larger, add one of the IP version that is wanted, or close clients that are not needed; or at the peer: ask for the other IP version");

    private static NegotiationFailure NothingGiven(IkeSa sa, bool refused) => new(
        "no-address",
        refused ? $"the peer has no virtual IP for us (INTERNAL_ADDRESS_FAILURE), connections.{sa.Connection.Name}.vips needs one" : $"the peer gave us no virtual IP, connections.{sa.Connection.Name}.vips needs one",
        [.. sa.Connection.VirtualIps.Select(address => $"wanted: {(address.IsUnspecified ? $"any IPv{address.Version} address" : address.ToString())}")],
        [],
        [],
        $"at the peer: {(refused ? "its pool is used up, or has none of this IP version" : "give its connection a pool of addresses")}; or here: remove connections.{sa.Connection.Name}.vips, if this peer needs none");

    private static string PrintPool(Pool? pool) => pool is null ? "is not there" : pool.HasAddresses ? string.Join(", ", pool.Addresses.Select(range => $"{range.First}-{range.Last}")) : "has no addresses";
}
