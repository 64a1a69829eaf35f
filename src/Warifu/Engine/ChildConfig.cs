using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>What a finished negotiation of a pair comes to.</summary>
internal sealed record ChildTerms
{
    public required Child Config { get; init; }

    public required Proposal Proposal { get; init; }

    public required ChildSpi Inbound { get; init; }

    public required ChildSpi Outbound { get; init; }

    public required ImmutableArray<TrafficSelector> Local { get; init; }

    public required ImmutableArray<TrafficSelector> Remote { get; init; }

    public required IpsecMode Mode { get; init; }

    /// <summary>As in <see cref="ChildState.Negotiated"/>.</summary>
    public (TrafficSelector Local, TrafficSelector Remote)? Negotiated { get; init; }

    /// <summary>Transport mode behind a NAT: the addresses over which the peer computes checksums (RFC 3948 section 3.1.2).</summary>
    public IpAddress OriginalRemote { get; init; }

    public IpAddress OriginalLocal { get; init; }

    /// <summary>We sent the request of this exchange: our keys come first in KEYMAT.</summary>
    public required bool Initiator { get; init; }

    public ChildState? Replaces { get; init; }

    /// <summary>False: traffic must not move to this pair yet, or ever.</summary>
    public bool OutboundReady { get; init; } = true;
}

/// <summary>Between whom a pair goes.</summary>
internal readonly record struct ChildPath(uint IkeId, string Connection, Endpoint Local, Endpoint Remote, bool LocalBehindNat, bool RemoteBehindNat);

/// <summary>From the configuration of a child, and what was negotiated, to what the data plane gets: the same in both versions.</summary>
internal static class ChildConfig
{
    public static ChildSa PairOf(ChildPath path, ChildTerms terms, ChildState child, ChildKeys keys, IEntropy entropy, uint replaces, bool outboundReady)
    {
        var encr = terms.Proposal.Find(TransformType.Encr);
        var config = terms.Config;
        var (outEncr, outInteg, inEncr, inInteg) = terms.Initiator
            ? (keys.InitiatorEncr, keys.InitiatorInteg, keys.ResponderEncr, keys.ResponderInteg)
            : (keys.ResponderEncr, keys.ResponderInteg, keys.InitiatorEncr, keys.InitiatorInteg);
        var hardBytes = config.LifeBytes ?? config.RekeyBytes + (config.RekeyBytes / 10);
        var hardPackets = config.LifePackets ?? config.RekeyPackets + (config.RekeyPackets / 10);
        return new ChildSa
        {
            Id = child.Id,
            IkeId = path.IkeId,
            Connection = path.Connection,
            Name = config.Name,
            Protocol = terms.Proposal.Protocol,
            Mode = terms.Mode,
            InboundSpi = terms.Inbound,
            OutboundSpi = terms.Outbound,
            Encr = (EncrId)encr.Id,
            EncrKeyBits = encr.KeyBits,
            Integ = (IntegId)terms.Proposal.Find(TransformType.Integ).Id,
            Esn = terms.Proposal.Find(TransformType.Esn).Id == 1,
            InboundEncrKey = inEncr,
            InboundIntegKey = inInteg,
            OutboundEncrKey = outEncr,
            OutboundIntegKey = outInteg,
            Local = path.Local,
            Remote = path.Remote,
            UdpEncapsulation = child.Encapsulated,
            LocalBehindNat = path.LocalBehindNat,
            RemoteBehindNat = path.RemoteBehindNat,
            OriginalRemote = terms.OriginalRemote,
            OriginalLocal = terms.OriginalLocal,
            LocalSelectors = terms.Local,
            RemoteSelectors = terms.Remote,
            ReplayWindow = config.ReplayWindow,
            SoftBytes = Soft(entropy, config.RekeyBytes, hardBytes),
            HardBytes = hardBytes,
            SoftPackets = Soft(entropy, config.RekeyPackets, hardPackets),
            HardPackets = hardPackets,
            OutboundReady = outboundReady,
            Replaces = replaces,
            Options = OptionsOf(config),
        };
    }

    /// <summary>A limit in octets or packets, less a random part so that both sides rarely start together.</summary>
    public static ulong Soft(IEntropy entropy, ulong soft, ulong hard)
    {
        if (soft == 0) return 0;
        var spread = hard > soft ? Math.Min(hard - soft, soft / 2) : 0;
        return soft - (ulong)(entropy.NextDouble() * spread);
    }

    public static ChildOptions OptionsOf(Child config) => new()
    {
        BindInterface = config.BindInterface,
        Mtu = config.Mtu,
        Mss = config.Mss,
        Df = config.Df,
        CopyDscpOut = config.CopyDscpOut,
        CopyDscpIn = config.CopyDscpIn,
        CopyEcn = config.CopyEcn,
        Leak = config.Leak,
        BypassLan = config.BypassLan,
        Priority = config.Priority,
    };

    /// <summary>Configured selectors with the ends filled in for "dynamic": the tunnel's own or virtual addresses, one selector for each; none configured = the ends.</summary>
    public static ImmutableArray<TrafficSelector> Resolve(ImmutableArray<SelectorPattern> patterns, ImmutableArray<IpAddress> ends)
    {
        if (patterns.IsEmpty) return [.. ends.Select(TrafficSelector.Of)];
        return [.. patterns.SelectMany(pattern => pattern.IsDynamic ? ends.Select(pattern.Resolve) : [pattern.Selector])];
    }

    /// <summary>As <see cref="Resolve"/>, with all addresses of the IP versions of <paramref name="wanted"/> for "dynamic": they are not known yet.</summary>
    public static ImmutableArray<TrafficSelector> ResolveAll(ImmutableArray<SelectorPattern> patterns, ImmutableArray<IpAddress> wanted)
    {
        TrafficSelector All(SelectorPattern pattern, int version)
        {
            var everything = new IpPrefix(version == 4 ? IpAddress.AnyV4 : IpAddress.AnyV6, 0);
            return pattern.Selector with { First = everything.Address, Last = everything.Last };
        }

        var versions = wanted.Select(address => address.Version).Distinct().ToArray();
        if (patterns.IsEmpty) patterns = [SelectorPattern.Dynamic];
        return [.. patterns.SelectMany(pattern => pattern.IsDynamic ? versions.Select(version => All(pattern, version)) : [pattern.Selector])];
    }
}
