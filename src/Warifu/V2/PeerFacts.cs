using System.Collections.Immutable;
using Warifu.Primitives;

namespace Warifu.V2;

/// <summary>What is known of the peer and of the way to it. It stays when the IKE SA is rekeyed.</summary>
internal sealed class PeerFacts
{
    /// <summary>Both sides announced IKE fragmentation (RFC 7383 section 2.3).</summary>
    public bool Fragmentation { get; set; }

    /// <summary>The largest IP packet that is known to get through where larger ones did not; 0 = none is known.</summary>
    public int PacketLength { get; set; }

    /// <summary>The peer sent NAT detection: it understands ESP in UDP.</summary>
    public bool NatTraversal { get; set; }

    /// <summary>The peer takes IKE_AUTH without a child (RFC 6023).</summary>
    public bool Childless { get; set; }

    /// <summary>Both sides announced MOBIKE (RFC 4555).</summary>
    public bool Mobike { get; set; }

    /// <summary>Addresses that the peer announced beside the one that it uses.</summary>
    public ImmutableArray<IpAddress> Addresses { get; set; } = [];

    /// <summary>Our own addresses as we announced them.</summary>
    public ImmutableArray<IpAddress> Announced { get; set; } = [];

    /// <summary>NAT_DETECTION_DESTINATION_IP as the peer sent it last: it changes with the mapping of our NAT (RFC 4555 section 3.8).</summary>
    public ImmutableArray<byte> SeenAs { get; set; } = [];

    /// <summary>When the peer sent it.</summary>
    public Instant MappingSeen { get; set; }
}
