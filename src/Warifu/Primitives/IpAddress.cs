using System;
using System.Buffers.Binary;
using System.Net;

namespace Warifu.Primitives;

/// <summary>An IPv4 or IPv6 address as a value that lives on the stack (no allocation per packet).</summary>
public readonly struct IpAddress : IEquatable<IpAddress>, IComparable<IpAddress>
{
    private readonly UInt128 _bits;
    private readonly byte _version;

    private IpAddress(UInt128 bits, byte version) => (_bits, _version) = (bits, version);

    /// <summary>4, 6, or 0 for the default value ("no address").</summary>
    public int Version => _version;

    /// <summary>No address at all.</summary>
    public bool IsNone => _version == 0;

    /// <summary>True for IPv4.</summary>
    public bool IsV4 => _version == 4;

    /// <summary>True for IPv6.</summary>
    public bool IsV6 => _version == 6;

    /// <summary>0.0.0.0 or ::.</summary>
    public bool IsUnspecified => _version != 0 && _bits == 0;

    /// <summary>Octets on the wire: 4, 16, or 0.</summary>
    public int Length => _version switch { 4 => 4, 6 => 16, _ => 0 };

    /// <summary>Width in bits: 32, 128 or 0.</summary>
    public int BitLength => Length * 8;

    /// <summary>The address as a number.</summary>
    public UInt128 Bits => _bits;

    /// <summary>0.0.0.0.</summary>
    public static IpAddress AnyV4 => new(0, 4);

    /// <summary>::.</summary>
    public static IpAddress AnyV6 => new(0, 6);

    /// <summary>IPv4 from its number.</summary>
    public static IpAddress V4(uint bits) => new(bits, 4);

    /// <summary>IPv6 from its number.</summary>
    public static IpAddress V6(UInt128 bits) => new(bits, 6);

    /// <summary>From a number and a version of 4 or 6.</summary>
    public static IpAddress FromBits(UInt128 bits, int version) => version == 4 ? V4((uint)bits) : V6(bits);

    /// <summary>From 4 or 16 octets in network order; anything else gives the default value.</summary>
    public static IpAddress FromOctets(ReadOnlySpan<byte> octets) => octets.Length switch
    {
        4 => V4(BinaryPrimitives.ReadUInt32BigEndian(octets)),
        16 => V6(BinaryPrimitives.ReadUInt128BigEndian(octets)),
        _ => default,
    };

    /// <summary>From the platform's type; IPv4-mapped IPv6 becomes IPv4.</summary>
    public static IpAddress From(IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        if (address.IsIPv4MappedToIPv6) address = address.MapToIPv4();
        Span<byte> octets = stackalloc byte[16];
        address.TryWriteBytes(octets, out var length);
        return FromOctets(octets[..length]);
    }

    /// <summary>Text as inet_pton takes it: four decimal parts, or IPv6; no ports, brackets or zones.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out IpAddress address)
    {
        address = default;
        if (text.IsEmpty || text.Length > 45 || text.ContainsAny('[', ']', '%')) return false;
        var colon = text.Contains(':');
        if (!colon && text.Count('.') != 3) return false;
        if (!colon && text.ContainsAnyExceptInRange('.', '9')) return false;
        if (!IPAddress.TryParse(text, out var parsed)) return false;
        Span<byte> octets = stackalloc byte[16];
        parsed.TryWriteBytes(octets, out var length);
        address = FromOctets(octets[..length]);
        return true;
    }

    /// <summary>As <see cref="TryParse"/>; throws <see cref="FormatException"/>.</summary>
    public static IpAddress Parse(ReadOnlySpan<char> text) => TryParse(text, out var address) ? address : throw new FormatException($"'{text}' is not an IP address");

    /// <summary>Writes <see cref="Length"/> octets in network order.</summary>
    public void Write(Span<byte> destination)
    {
        if (_version == 4) BinaryPrimitives.WriteUInt32BigEndian(destination, (uint)_bits);
        else if (_version == 6) BinaryPrimitives.WriteUInt128BigEndian(destination, _bits);
    }

    /// <summary>The octets in network order.</summary>
    public byte[] ToOctets()
    {
        var octets = new byte[Length];
        Write(octets);
        return octets;
    }

    /// <summary>The platform's type.</summary>
    public IPAddress ToPlatform() => IsNone ? IPAddress.None : new IPAddress(ToOctets());

    /// <inheritdoc/>
    public bool Equals(IpAddress other) => _bits == other._bits && _version == other._version;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is IpAddress other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(_bits, _version);

    /// <summary>IPv4 before IPv6, then by number.</summary>
    public int CompareTo(IpAddress other) => _version != other._version ? _version.CompareTo(other._version) : _bits.CompareTo(other._bits);

    /// <summary>Equal version and bits.</summary>
    public static bool operator ==(IpAddress left, IpAddress right) => left.Equals(right);

    /// <summary>Not equal.</summary>
    public static bool operator !=(IpAddress left, IpAddress right) => !left.Equals(right);

    /// <summary>Order of <see cref="CompareTo"/>.</summary>
    public static bool operator <(IpAddress left, IpAddress right) => left.CompareTo(right) < 0;

    /// <summary>Order of <see cref="CompareTo"/>.</summary>
    public static bool operator >(IpAddress left, IpAddress right) => left.CompareTo(right) > 0;

    /// <summary>Order of <see cref="CompareTo"/>.</summary>
    public static bool operator <=(IpAddress left, IpAddress right) => left.CompareTo(right) <= 0;

    /// <summary>Order of <see cref="CompareTo"/>.</summary>
    public static bool operator >=(IpAddress left, IpAddress right) => left.CompareTo(right) >= 0;

    /// <summary>The usual text form (RFC 5952 for IPv6); "none" for the default value.</summary>
    public override string ToString() => IsNone ? "none" : ToPlatform().ToString();
}

/// <summary>An address prefix; host bits are always zero.</summary>
public readonly record struct IpPrefix
{
    /// <summary>Clears the host bits of <paramref name="address"/>.</summary>
    public IpPrefix(IpAddress address, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, address.BitLength);
        Length = length;
        var hostBits = address.BitLength - length;
        var mask = hostBits >= 128 ? UInt128.Zero : UInt128.MaxValue << hostBits;
        Address = IpAddress.FromBits(address.Bits & mask, address.Version);
    }

    /// <summary>The first address.</summary>
    public IpAddress Address { get; }

    /// <summary>0..32 or 0..128.</summary>
    public int Length { get; }

    /// <summary>The last address.</summary>
    public IpAddress Last
    {
        get
        {
            var hostBits = Address.BitLength - Length;
            var mask = hostBits >= 128 ? UInt128.MaxValue : (UInt128.One << hostBits) - 1;
            return IpAddress.FromBits(Address.Bits | mask, Address.Version);
        }
    }

    /// <summary>True when <paramref name="address"/> has the same version and lies inside.</summary>
    public bool Contains(IpAddress address) => address.Version == Address.Version && address >= Address && address <= Last;

    /// <summary>"10.0.0.0/8".</summary>
    public override string ToString() => $"{Address}/{Length}";
}

/// <summary>An IP address with a UDP port (port 0 where no port applies, as for ESP straight on IP).</summary>
public readonly record struct Endpoint(IpAddress Address, ushort Port)
{
    /// <summary>"192.0.2.1[500]", as IKE people write it.</summary>
    public override string ToString() => $"{Address}[{Port}]";
}
