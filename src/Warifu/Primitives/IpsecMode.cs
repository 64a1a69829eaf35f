namespace Warifu.Primitives;

/// <summary>How an IPsec SA wraps packets (RFC 4301 section 4.1).</summary>
public enum IpsecMode
{
    /// <summary>The whole IP packet is the payload.</summary>
    Tunnel,
    /// <summary>The transport header and data are the payload.</summary>
    Transport,
}

/// <summary>DF bit of the outer IPv4 header in tunnel mode (RFC 4301 section 8.1).</summary>
public enum DfPolicy
{
    /// <summary>As the inner header has it.</summary>
    Copy,
    /// <summary>Always set.</summary>
    Set,
    /// <summary>Always clear.</summary>
    Clear,
}
