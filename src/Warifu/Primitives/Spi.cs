using System.Globalization;

namespace Warifu.Primitives;

/// <summary>An IKE SA's SPI (RFC 7296 section 3.1), 8 octets in network order. The top byte of our own is the shard.</summary>
public readonly record struct IkeSpi(ulong Value)
{
    /// <summary>Zero: the responder's SPI in the first message.</summary>
    public bool IsZero => Value == 0;

    /// <summary>16 lower-case hex digits.</summary>
    public override string ToString() => Value.ToString("x16", CultureInfo.InvariantCulture);
}

/// <summary>An ESP or AH SPI (RFC 4303 section 2.1), 4 octets; 0 and 1..255 are reserved. The top byte of our own is the shard.</summary>
public readonly record struct ChildSpi(uint Value)
{
    /// <summary>Zero never goes on the wire.</summary>
    public bool IsZero => Value == 0;

    /// <summary>8 lower-case hex digits.</summary>
    public override string ToString() => Value.ToString("x8", CultureInfo.InvariantCulture);
}
