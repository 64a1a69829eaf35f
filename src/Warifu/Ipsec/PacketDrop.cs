namespace Warifu.Ipsec;

/// <summary>Why a packet was not carried. One counter each, for every pair and for the whole data plane.</summary>
internal enum PacketDrop
{
    None,

    // going out
    /// <summary>Not an IP packet.</summary>
    Malformed,
    /// <summary>Nothing in the SPD covers it.</summary>
    NoPolicy,
    /// <summary>A discard entry covers it.</summary>
    PolicyDiscard,
    /// <summary>A protect entry covers it and there is no SA yet.</summary>
    NoSa,
    /// <summary>Larger than the tunnel takes and not to be fragmented: answered by ICMP.</summary>
    TooBig,
    /// <summary>Transport mode takes whole datagrams only (RFC 4303 section 3.3.4).</summary>
    TransportFragment,
    /// <summary>The sequence numbers of the SA are used up (RFC 4303 section 3.3.3).</summary>
    SequenceOverflow,
    /// <summary>The SA's hard limit is reached.</summary>
    HardLimit,
    /// <summary>The SA was removed while the packet was under way.</summary>
    SaGone,
    /// <summary>The caller's buffer lacks headroom or tailroom.</summary>
    NoRoom,

    // coming in
    /// <summary>Shorter than its headers.</summary>
    TooShort,
    /// <summary>Nobody has this SPI.</summary>
    UnknownSpi,
    /// <summary>Seen before, or left of the window.</summary>
    Replay,
    /// <summary>Wrong ICV.</summary>
    Integrity,
    /// <summary>Authentic, but padding or trailer are wrong.</summary>
    BadPadding,
    /// <summary>A dummy packet (RFC 4303 section 2.6): dropped without a word.</summary>
    Dummy,
    /// <summary>Next header does not fit the SA's mode.</summary>
    BadNextHeader,
    /// <summary>What was inside is not an IP packet.</summary>
    BadInner,
    /// <summary>A source address that no host has.</summary>
    BadSource,
    /// <summary>Outside the SA's traffic selectors (RFC 4301 section 5.2).</summary>
    Selector,
    /// <summary>Congestion marked on a packet that cannot carry the mark (RFC 6040).</summary>
    Ecn,
    /// <summary>A flow that another peer behind the same NAT has (RFC 3948 section 5.2): its answers would go to the wrong one of the two.</summary>
    OtherFlow,
    Count,
}
