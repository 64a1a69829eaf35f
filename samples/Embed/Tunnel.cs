using Warifu.Net;
using Warifu.Policy;

/// <summary>An IKEv2 tunnel in fifteen lines: no root, no TUN, packets in memory.</summary>
internal static class Tunnel
{
    public static async Task<IkeNode> OpenAsync(string gateway, int port, SecretStore secrets, IPacketPort packets)
    {
        var policy = PolicySet.Of(new Connection
        {
            Name = "office",
            RemoteAddresses = [HostPattern.Parse(gateway)],
            RemotePort = (ushort)port,
            Local = new() { Id = Identities.Parse("laptop@example.org") },
            Remote = new() { Id = IdentityPattern.Parse("vpn.example.org") },
            Children = [new() { Name = "lan", LocalSelectors = [SelectorPattern.Parse("10.9.0.1")], RemoteSelectors = [SelectorPattern.Parse("10.2.0.0/16")] }],
        });
        var node = await IkeNode.StartAsync(policy, new() { Port = 0, PortNatT = 0, Secrets = secrets, Packets = packets });
        await node.UpAsync("office");
        return node;
    }
}
