using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>
/// A pair of IPsec SAs whose keys were entered by hand at both ends (RFC 4301 section 4.5.1): no IKE, no rekeying, no lifetime, no check against replay, 32-bit sequence numbers that begin anew behind their end
/// (RFC 4303 sections 3.3.3 and 3.4.3). One model for every form of configuration.
/// </summary>
internal sealed record ManualSa
{
    /// <summary>Unique among connections, too.</summary>
    public required string Name { get; init; }

    public required IpAddress Local { get; init; }

    public required IpAddress Remote { get; init; }

    public required ProtocolId Protocol { get; init; }

    public required IpsecMode Mode { get; init; }

    public required ChildSpi InboundSpi { get; init; }

    public required ChildSpi OutboundSpi { get; init; }

    /// <summary>Cipher; None with AH.</summary>
    public required Transform Encr { get; init; }

    /// <summary>Integrity; NONE with AEAD.</summary>
    public required Transform Integ { get; init; }

    public required ManualKeys Keys { get; init; }

    public required ImmutableArray<TrafficSelector> LocalSelectors { get; init; }

    public required ImmutableArray<TrafficSelector> RemoteSelectors { get; init; }

    public string? BindInterface { get; init; }

    public int Mtu { get; init; }

    /// <summary>As a negotiated one would be listed.</summary>
    public Proposal Proposal => new(Protocol, [.. new[] { Encr, Integ }.Where(transform => transform.Id != 0)]);

    public bool Same(ManualSa other) =>
        this with { Keys = other.Keys, LocalSelectors = other.LocalSelectors, RemoteSelectors = other.RemoteSelectors } == other
        && Keys.Same(other.Keys) && LocalSelectors.SequenceEqual(other.LocalSelectors) && RemoteSelectors.SequenceEqual(other.RemoteSelectors);
}

/// <summary>The four keys; empty where the algorithm has none.</summary>
internal sealed class ManualKeys(Secret inboundEncr, Secret inboundInteg, Secret outboundEncr, Secret outboundInteg) : IDisposable
{
    public Secret InboundEncr => inboundEncr;

    public Secret InboundInteg => inboundInteg;

    public Secret OutboundEncr => outboundEncr;

    public Secret OutboundInteg => outboundInteg;

    public bool Same(ManualKeys other) =>
        inboundEncr.FixedTimeEquals(other.InboundEncr.Span) && inboundInteg.FixedTimeEquals(other.InboundInteg.Span) && outboundEncr.FixedTimeEquals(other.OutboundEncr.Span) && outboundInteg.FixedTimeEquals(other.OutboundInteg.Span);

    public ManualKeys Clone() => new(inboundEncr.Clone(), inboundInteg.Clone(), outboundEncr.Clone(), outboundInteg.Clone());

    public void Dispose()
    {
        foreach (var key in new[] { inboundEncr, inboundInteg, outboundEncr, outboundInteg }) key.Dispose();
    }
}
