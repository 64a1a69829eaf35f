using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Net.Tests.Lab;

/// <summary>One child of a <see cref="Site"/>, with selectors as people write them.</summary>
internal sealed record SiteChild(string Name, string[] Left, string[] Right)
{
    public string? Bind { get; init; }

    public ChildMode Mode { get; init; } = ChildMode.Tunnel;

    public StartAction LeftStart { get; init; }

    public StartAction RightStart { get; init; }

    public bool Leak { get; init; }

    public bool BypassLan { get; init; }

    public int Mtu { get; init; }

    public DfPolicy Df { get; init; } = DfPolicy.Copy;

    public string Esp { get; init; } = "aes128gcm16";
}

/// <summary>What both gateways of a <see cref="World"/> are told.</summary>
internal sealed record Site
{
    public const string Secret = "Zr8.kVq2-Wx7hTn4";

    public bool OuterV6 { get; init; }

    public bool Encapsulated { get; init; }

    public bool Mobike { get; init; }

    public SiteChild[] Children { get; init; } = [Lan(false)];

    public string LeftOuter { get; init; } = "";

    public string RightOuter { get; init; } = "";

    public TimeSpan Keepalive { get; init; } = TimeSpan.FromSeconds(20);

    public int KeyingTries { get; init; } = 1;

    public TimeSpan DpdDelay { get; init; }

    public static SiteChild Lan(bool v6, StartAction start = StartAction.None, string? bind = null) =>
        new("lan", [v6 ? "fd10:1::/64" : "10.10.1.0/24"], [v6 ? "fd10:2::/64" : "10.10.2.0/24"]) { LeftStart = start, Bind = bind };

    public PolicySet Policy(bool left) => new()
    {
        Connections =
        [
            new Connection
            {
                Name = "site",
                LocalAddresses = [HostPattern.Of(IpAddress.Parse(left ? LeftHost : RightHost))],
                RemoteAddresses = [HostPattern.Of(IpAddress.Parse(left ? RightHost : LeftHost))],
                Proposals = Parse(ProtocolId.Ike, "aes128gcm16-prfsha256-x25519"),
                ForceEncapsulation = Encapsulated,
                Mobike = Mobike,
                KeyingTries = KeyingTries,
                DpdDelay = DpdDelay,
                Local = new LocalAuth { Id = Identity.Fqdn(left ? "left.example" : "right.example") },
                Remote = new RemoteAuth { Id = IdentityPattern.Of(Identity.Fqdn(left ? "right.example" : "left.example")) },
                Children = [.. Children.Select(child => ChildOf(child, left))],
            },
        ],
    };

    public string LeftHost => LeftOuter.Length > 0 ? LeftOuter : OuterV6 ? "2001:db8:1::2" : "192.0.2.2";

    public string RightHost => RightOuter.Length > 0 ? RightOuter : OuterV6 ? "2001:db8:2::2" : "198.51.100.2";

    private static Child ChildOf(SiteChild child, bool left) => new()
    {
        Name = child.Name,
        Mode = child.Mode,
        Proposals = Parse(ProtocolId.Esp, child.Esp),
        LocalSelectors = [.. (left ? child.Left : child.Right).Select(SelectorPattern.Parse)],
        RemoteSelectors = [.. (left ? child.Right : child.Left).Select(SelectorPattern.Parse)],
        StartAction = left ? child.LeftStart : child.RightStart,
        BindInterface = child.Bind,
        Leak = child.Leak,
        BypassLan = child.BypassLan,
        Mtu = child.Mtu,
        Df = child.Df,
    };

    private static ImmutableArray<Proposal> Parse(ProtocolId protocol, string text) => ProposalKeywords.TryParse(protocol, text, out var proposals, out var error, out _) ? proposals : throw new FormatException(error);
}
