using System;
using System.Collections.Immutable;
using System.Globalization;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Bench;

/// <summary>Many initiators of one responder: number n protects a /24 of its own in 10/8, the responder 172.16/16.</summary>
internal static class Policies
{
    public const string Left = "192.0.2.2", Right = "198.51.100.2";

    public static PolicySet Initiator(int count, string ike, string remote = Right, ushort port = 500, bool encapsulate = false) => new()
    {
        Connections = [.. Enumerable.Range(0, count).Select(number => Make(Name(number), ike, HostPattern.Of(IpAddress.Parse(remote)), port, encapsulate, Name(number), IdentityPattern.Of(Identity.Fqdn("hub.example.org")),
            string.Create(CultureInfo.InvariantCulture, $"10.{number >> 8}.{number & 255}.0/24"), "172.16.0.0/16"))],
    };

    public static PolicySet Responder(string ike, bool encapsulate = false) => new()
    {
        Connections = [Make("hub", ike, null, 500, encapsulate, "hub", IdentityPattern.Any, "172.16.0.0/16", "10.0.0.0/8")],
    };

    /// <summary>The same in another version, and with other algorithms of the child.</summary>
    public static PolicySet As(PolicySet policy, IkeVersion version, bool aggressive, string esp, string? remoteTs = null) => policy with
    {
        Connections =
        [
            .. policy.Connections.Select(connection => connection with
            {
                Version = version,
                Aggressive = aggressive,
                AggressivePsk = aggressive,
                Children = [.. connection.Children.Select(child => child with { Proposals = Proposals(ProtocolId.Esp, esp), RemoteSelectors = remoteTs is null ? child.RemoteSelectors : [Ts(remoteTs)] })],
            }),
        ],
    };

    public static string Name(int number) => string.Create(CultureInfo.InvariantCulture, $"site{number}");

    private static Connection Make(string name, string ike, HostPattern? remote, ushort port, bool encapsulate, string id, IdentityPattern peer, string localTs, string remoteTs) => new()
    {
        Name = name,
        RemoteAddresses = remote is { } host ? [host] : [],
        RemotePort = port,
        ForceEncapsulation = encapsulate,
        Proposals = Proposals(ProtocolId.Ike, ike),
        Local = new LocalAuth { Id = Identity.Fqdn(id + ".example.org") },
        Remote = new RemoteAuth { Id = peer },
        Children = [new Child { Name = "net", Proposals = Proposals(ProtocolId.Esp, "aes128gcm16"), LocalSelectors = [Ts(localTs)], RemoteSelectors = [Ts(remoteTs)] }],
    };

    private static ImmutableArray<Proposal> Proposals(ProtocolId protocol, string text) =>
        ProposalKeywords.TryParse(protocol, text, out var proposals, out var error, out _) ? [.. proposals] : throw new ArgumentException(error);

    private static SelectorPattern Ts(string text) => Selectors.TryParse(text, out var selector, out var error) ? selector : throw new ArgumentException(error);
}
