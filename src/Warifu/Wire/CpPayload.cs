using System;
using System.Buffers.Binary;
using System.Collections.Immutable;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>CFG type (RFC 7296 section 3.15).</summary>
internal enum ConfigurationKind : byte
{
    Request = 1,
    Reply = 2,
    Set = 3,
    Ack = 4,
}

/// <summary>One configuration attribute (RFC 7296 section 3.15.1). The reserved bit is not part of the type.</summary>
internal sealed record ConfigurationAttribute(ushort Type, ImmutableArray<byte> Value);

/// <summary>An attribute in a received payload.</summary>
internal readonly ref struct ConfigurationAttributeView
{
    public ConfigurationType Type { get; init; }

    public ReadOnlySpan<byte> Value { get; init; }

    /// <summary>The value has a length that the type may have; an empty one asks for a value. Always true of types that we do not know. Readers pass over attributes whose length is wrong.</summary>
    public bool IsWellFormed => Type switch
    {
        ConfigurationType.InternalIp4Address or ConfigurationType.InternalIp4Netmask or ConfigurationType.InternalIp4Dns or ConfigurationType.InternalIp4Nbns
            or ConfigurationType.InternalIp4Dhcp or ConfigurationType.PCscfIp4Address => Value.Length is 0 or 4,
        // 16 octets without a prefix length come from old peers
        ConfigurationType.InternalIp6Address => Value.Length is 0 or 16 or 17,
        ConfigurationType.InternalIp6Dns or ConfigurationType.InternalIp6Dhcp or ConfigurationType.PCscfIp6Address => Value.Length is 0 or 16,
        ConfigurationType.InternalIp4Subnet => Value.Length is 0 or 8,
        ConfigurationType.InternalIp6Subnet => Value.Length is 0 or 17,
        ConfigurationType.SupportedAttributes => Value.Length % 2 == 0,
        ConfigurationType.Mip6HomePrefix => Value.Length is 0 or 21,
        ConfigurationType.InternalIp6Link => Value.Length is 0 or >= 8,
        ConfigurationType.InternalIp6Prefix => Value.Length is 0 or 17,
        _ => true,
    };
}

/// <summary>CP (RFC 7296 section 3.15) over the octets of a message.</summary>
internal readonly ref struct CpView
{
    private const int HeadLength = 4;

    private readonly ReadOnlySpan<byte> _attributes;

    private CpView(ConfigurationKind kind, ReadOnlySpan<byte> attributes)
    {
        Kind = kind;
        _attributes = attributes;
    }

    public ConfigurationKind Kind { get; }

    public static ParseError TryParse(ReadOnlySpan<byte> body, out CpView view)
    {
        view = default;
        if (body.Length < HeadLength) return ParseError.BadConfiguration;
        var reader = new WireReader(body[HeadLength..]);
        for (var count = 0; reader.Remaining > 0; count++)
        {
            reader.U16();
            reader.Take(reader.U16());
            if (reader.Failed || count == WireLimits.ConfigurationAttributes) return ParseError.BadConfiguration;
        }

        view = new CpView((ConfigurationKind)body[0], body[HeadLength..]);
        return ParseError.None;
    }

    public Enumerator GetEnumerator() => new(_attributes);

    internal ref struct Enumerator(ReadOnlySpan<byte> attributes)
    {
        private ReadOnlySpan<byte> _rest = attributes;

        public ConfigurationAttributeView Current { get; private set; }

        public bool MoveNext()
        {
            if (_rest.IsEmpty) return false;
            var length = BinaryPrimitives.ReadUInt16BigEndian(_rest[2..]);
            Current = new ConfigurationAttributeView { Type = (ConfigurationType)(BinaryPrimitives.ReadUInt16BigEndian(_rest) & 0x7FFF), Value = _rest.Slice(4, length) };
            _rest = _rest[(4 + length)..];
            return true;
        }
    }
}

/// <summary>CP as owned values, and its form on the wire.</summary>
internal static class CpPayload
{
    public static ParseError TryParse(ReadOnlySpan<byte> body, out byte kind, out ImmutableArray<ConfigurationAttribute> attributes)
    {
        attributes = [];
        var error = CpView.TryParse(body, out var view);
        kind = (byte)view.Kind;
        if (error != ParseError.None) return error;
        var found = ImmutableArray.CreateBuilder<ConfigurationAttribute>();
        foreach (var attribute in view) found.Add(new ConfigurationAttribute((ushort)attribute.Type, [.. attribute.Value]));
        attributes = found.ToImmutable();
        return ParseError.None;
    }

    public static void Write(WireWriter writer, byte kind, ReadOnlySpan<ConfigurationAttribute> attributes)
    {
        writer.U8(kind);
        writer.Octets([0, 0, 0]);
        foreach (var attribute in attributes)
        {
            writer.U16((ushort)(attribute.Type & 0x7FFF));
            writer.U16(checked((ushort)attribute.Value.Length));
            writer.Octets(attribute.Value.AsSpan());
        }
    }
}
