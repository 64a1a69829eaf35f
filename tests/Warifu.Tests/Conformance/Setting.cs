using System.Collections.Generic;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Simulation;
using Xunit;

namespace Warifu.Tests.Conformance;

/// <summary>Algorithms of one run of the tests.</summary>
/// <param name="Name">"tahi-legacy" is what the IPv6 Ready tests of 2008 use.</param>
/// <param name="Ike">IKE proposal.</param>
/// <param name="Esp">ESP proposal.</param>
/// <param name="Group">Group word of the IKE proposal, for PFS.</param>
/// <param name="OtherIke">A second IKE proposal without a transform in common, but with the same group.</param>
/// <param name="OtherGroup">A second group.</param>
internal sealed record Profile(string Name, string Ike, string Esp, string Group, string OtherIke, string OtherGroup)
{
    public static Profile[] All { get; } =
    [
        new("tahi-legacy", "3des-sha1-modp1024", "3des-sha1", "modp1024", "aes128-sha256-modp1024", "modp2048"),
        new("classic", "aes128-sha256-modp2048", "aes128-sha256", "modp2048", "3des-sha1-modp2048", "modp1024"),
        new("modern", "aes256gcm16-prfsha384-ecp384", "aes256gcm16", "ecp384", "aes128gcm16-prfsha256-ecp384", "ecp256"),
    ];
}

/// <summary>What is under test: an end node (transport mode) or a security gateway (tunnel mode), over IPv4 or IPv6, with one profile.</summary>
internal sealed record Setting(bool IsGateway, int Family, Profile Profile)
{
    /// <summary>All twelve, by name.</summary>
    public static TheoryData<string> Names => [.. All.Select(setting => setting.ToString())];

    private static IEnumerable<Setting> All =>
        from gateway in new[] { false, true }
        from family in new[] { 4, 6 }
        from profile in Profile.All
        select new Setting(gateway, family, profile);

    public IpAddress Node => IpAddress.Parse(Family == 4 ? "192.0.2.2" : "2001:db8:0:1::2");

    public IpAddress Tester => IpAddress.Parse(Family == 4 ? "198.51.100.2" : "2001:db8:0:2::2");

    /// <summary>A third machine.</summary>
    public IpAddress Stranger => IpAddress.Parse(Family == 4 ? "203.0.113.66" : "2001:db8:0:66::66");

    /// <summary>Traffic on the node's side: itself, or the network behind it.</summary>
    public string NodeTraffic
    {
        get => field ?? (IsGateway, Family) switch { (true, 4) => "10.1.0.0/16", (true, _) => "2001:db8:1::/48", _ => Node.ToString() };
        init;
    }

    public string TesterTraffic
    {
        get => field ?? (IsGateway, Family) switch { (true, 4) => "10.2.0.0/16", (true, _) => "2001:db8:2::/48", _ => Tester.ToString() };
        init;
    }

    public static Setting Of(string name) => All.Single(setting => setting.ToString() == name);

    /// <summary>The node's configuration.</summary>
    public Connection Connection() => new()
    {
        Name = "net",
        LocalAddresses = [HostPattern.Of(Node)],
        RemoteAddresses = [HostPattern.Of(Tester)],
        Proposals = EnginePair.Proposals(ProtocolId.Ike, Profile.Ike),
        Local = new LocalAuth { Id = Identity.Of(Node) },
        Remote = new RemoteAuth { Id = IdentityPattern.Of(Identity.Of(Tester)) },
        Children =
        [
            new Child
            {
                Name = "net",
                Mode = IsGateway ? ChildMode.Tunnel : ChildMode.Transport,
                Proposals = EnginePair.Proposals(ProtocolId.Esp, Profile.Esp),
                LocalSelectors = [EnginePair.Ts(NodeTraffic)],
                RemoteSelectors = [EnginePair.Ts(TesterTraffic)],
            },
        ],
    };

    public override string ToString() => $"{(IsGateway ? "gateway" : "end node")}, IPv{Family}, {Profile.Name}";
}
