using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto;
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

    /// <summary>The four keys in one: <see cref="Split"/>. None: nobody keeps them yet.</summary>
    public SecretRef Keys { get; init; }

    public required ImmutableArray<TrafficSelector> LocalSelectors { get; init; }

    public required ImmutableArray<TrafficSelector> RemoteSelectors { get; init; }

    public string? BindInterface { get; init; }

    public int Mtu { get; init; }

    /// <summary>As a negotiated one would be listed.</summary>
    public Proposal Proposal => new(Protocol, [.. new[] { Encr, Integ }.Where(transform => transform.Id != 0)]);

    /// <summary>Octets of a key of an algorithm, salt included.</summary>
    public static int KeyLength(Transform transform) => transform.Id == 0 ? 0
        : transform.Type == TransformType.Encr ? Algorithms.Encr[(EncrId)transform.Id].KeyMaterialLength(transform.KeyBits) : Algorithms.KeyLength((IntegId)transform.Id);

    /// <summary>Copies of the single keys.</summary>
    /// <param name="keys">Inbound cipher, inbound integrity, outbound cipher, outbound integrity.</param>
    public (Secret InboundEncr, Secret InboundInteg, Secret OutboundEncr, Secret OutboundInteg) Split(ReadOnlySpan<byte> keys)
    {
        var (encr, integ) = (KeyLength(Encr), KeyLength(Integ));
        var outbound = keys[(encr + integ)..];
        return (new Secret(keys[..encr]), new Secret(keys[encr..(encr + integ)]), new Secret(outbound[..encr]), new Secret(outbound[encr..]));
    }

    public bool Same(ManualSa other) =>
        this with { LocalSelectors = other.LocalSelectors, RemoteSelectors = other.RemoteSelectors } == other && LocalSelectors.SequenceEqual(other.LocalSelectors) && RemoteSelectors.SequenceEqual(other.RemoteSelectors);

    /// <summary>The child of a connection that is for the same two gateways and meets the same traffic, by the same interface; null when there is none.</summary>
    public Child? Meets(Connection connection)
    {
        // who may be anywhere is another one
        if (!connection.RemoteAddresses.Any(pattern => !pattern.IsAny && pattern.Matches(Remote))) return null;
        if (!connection.LocalAddresses.IsEmpty && !connection.LocalAddresses.Any(pattern => pattern.Matches(Local))) return null;
        return connection.Children.FirstOrDefault(child => child.Mode is ChildMode.Tunnel or ChildMode.Transport && child.BindInterface == BindInterface
            && Overlap(LocalSelectors, child.LocalSelectors, Local, !connection.VirtualIps.IsEmpty) && Overlap(RemoteSelectors, child.RemoteSelectors, Remote, !connection.Pools.IsEmpty));
    }

    /// <param name="own">Here.</param>
    /// <param name="patterns">There; none = dynamic.</param>
    /// <param name="end">The gateway on that side.</param>
    /// <param name="isVirtual">"dynamic" is an address that is given later.</param>
    private static bool Overlap(ImmutableArray<TrafficSelector> own, ImmutableArray<SelectorPattern> patterns, IpAddress end, bool isVirtual)
    {
        IEnumerable<SelectorPattern> others = patterns.IsEmpty ? [SelectorPattern.Dynamic] : patterns;
        return others.Where(other => !other.IsDynamic || !isVirtual).Any(other => own.Any(one => Selectors.Intersect(one, other.IsDynamic ? other.Resolve(end) : other.Selector) is not null));
    }
}
