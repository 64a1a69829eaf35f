using System.Collections.Immutable;
using System.Linq;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Net.Tests.Lab;

/// <summary>What both gateways of a <see cref="World"/> are told without IKE.</summary>
internal sealed record ManualSite
{
    public bool OuterV6 { get; init; }

    public ProtocolId Protocol { get; init; } = ProtocolId.Ah;

    public IpsecMode Mode { get; init; } = IpsecMode.Tunnel;

    public string[] Left { get; init; } = ["10.10.1.0/24", "fd10:1::/64"];

    public string[] Right { get; init; } = ["10.10.2.0/24", "fd10:2::/64"];

    /// <summary>Other keys and SPIs.</summary>
    public byte Generation { get; init; } = 1;

    public string LeftHost => OuterV6 ? "2001:db8:1::2" : "192.0.2.2";

    public string RightHost => OuterV6 ? "2001:db8:2::2" : "198.51.100.2";

    /// <summary>Its keys go to the store.</summary>
    public PolicySet Policy(bool left, SecretStore secrets)
    {
        var sa = new ManualSa
        {
            Name = "by-hand",
            Local = IpAddress.Parse(left ? LeftHost : RightHost),
            Remote = IpAddress.Parse(left ? RightHost : LeftHost),
            Protocol = Protocol,
            Mode = Mode,
            InboundSpi = new ChildSpi((left ? 0x1000u : 0x2000u) + Generation),
            OutboundSpi = new ChildSpi((left ? 0x2000u : 0x1000u) + Generation),
            Encr = Protocol == ProtocolId.Ah ? default : Transform.Encr(EncrId.AesCbc, 128),
            Integ = Transform.Integ(IntegId.HmacSha256_128),
            LocalSelectors = Selectors(left),
            RemoteSelectors = Selectors(!left),
        };
        var half = ManualSa.KeyLength(sa.Encr) + ManualSa.KeyLength(sa.Integ);
        byte[] keys = [.. Enumerable.Range(0, 2 * half).Select(i => (byte)(i + (Generation * 29)))];
        // what goes out here comes in there
        if (!left) keys = [.. keys[half..], .. keys[..half]];
        return new PolicySet { Manual = [sa with { Keys = secrets.SetManual(sa.Name, keys) }] };
    }

    private ImmutableArray<TrafficSelector> Selectors(bool left) => Mode == IpsecMode.Transport
        ? [TrafficSelector.Of(IpAddress.Parse(left ? LeftHost : RightHost))]
        : [.. (left ? Left : Right).Select(text => SelectorPattern.Parse(text).Selector)];
}
