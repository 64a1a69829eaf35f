using System;
using System.Buffers.Binary;
using Warifu.Primitives;

namespace Warifu.Wire.V1;

/// <summary>ID (RFC 2407 section 4.6.2): in phase 1 who somebody is, in phase 2 whose traffic.</summary>
internal readonly ref struct IdBody
{
    private const int HeadLength = 4;

    public IdV1 Type { get; private init; }

    public byte Protocol { get; private init; }

    public ushort Port { get; private init; }

    public ReadOnlySpan<byte> Data { get; private init; }

    public static ParseError TryParse(ReadOnlySpan<byte> body, out IdBody id)
    {
        id = default;
        if (body.Length is < HeadLength or > WireLimits.IdentityLength) return ParseError.BadIdentity;
        var type = (IdV1)body[0];
        var data = body[HeadLength..];
        var fits = type switch
        {
            // nobody, of hybrid users (draft-ietf-ipsec-isakmp-hybrid-auth-05 section 4.2)
            0 => data.IsEmpty,
            IdV1.Ipv4 => data.Length == 4,
            IdV1.Ipv6 => data.Length == 16,
            IdV1.Ipv4Subnet or IdV1.Ipv4Range => data.Length == 8,
            IdV1.Ipv6Subnet or IdV1.Ipv6Range => data.Length == 32,
            _ => data.Length > 0,
        };
        if (!fits) return ParseError.BadIdentity;
        id = new IdBody { Type = type, Protocol = body[1], Port = BinaryPrimitives.ReadUInt16BigEndian(body[2..]), Data = data };
        return ParseError.None;
    }
}

/// <summary>N (RFC 2408 section 3.14). Unknown types are preserved.</summary>
internal readonly ref struct NotifyBody
{
    private const ushort FirstStatus = 16384;

    public uint Doi { get; private init; }

    public ProtocolId Protocol { get; private init; }

    public NotifyV1 Type { get; private init; }

    public ReadOnlySpan<byte> Spi { get; private init; }

    public ReadOnlySpan<byte> Data { get; private init; }

    public bool IsError => (ushort)Type < FirstStatus;

    public static ParseError TryParse(ReadOnlySpan<byte> body, out NotifyBody notify)
    {
        var reader = new WireReader(body);
        var (doi, protocol, spiLength, type) = (reader.U32(), (ProtocolId)reader.U8(), reader.U8(), (NotifyV1)reader.U16());
        notify = new NotifyBody { Doi = doi, Protocol = protocol, Type = type, Spi = reader.Take(spiLength), Data = reader.Rest() };
        return reader.Failed ? ParseError.BadNotify : ParseError.None;
    }
}

/// <summary>D (RFC 2408 section 3.15): SPIs of one protocol; of ISAKMP both cookies.</summary>
internal readonly ref struct DeleteBody
{
    public ProtocolId Protocol { get; private init; }

    public int SpiLength { get; private init; }

    public int Count { get; private init; }

    private ReadOnlySpan<byte> Spis { get; init; }

    public ReadOnlySpan<byte> this[int index] => Spis.Slice(index * SpiLength, SpiLength);

    public static ParseError TryParse(ReadOnlySpan<byte> body, out DeleteBody delete)
    {
        var reader = new WireReader(body);
        reader.U32();
        var (protocol, spiLength, count) = ((ProtocolId)reader.U8(), reader.U8(), reader.U16());
        delete = default;
        if (reader.Failed || count > WireLimits.SpisPerDelete || spiLength > 16) return ParseError.BadDelete;
        var known = protocol switch { ProtocolId.Ike => spiLength == 16, ProtocolId.Ah or ProtocolId.Esp => spiLength == 4, _ => true };
        delete = new DeleteBody { Protocol = protocol, SpiLength = spiLength, Count = count, Spis = reader.Take(spiLength * count) };
        return known && reader.AtEnd ? ParseError.None : ParseError.BadDelete;
    }
}

/// <summary>ATTR of Mode Config and XAuth (draft-dukes-ike-mode-cfg-02 section 3.2).</summary>
internal readonly ref struct AttributesBody
{
    public ConfigurationKind Kind { get; private init; }

    public ushort Identifier { get; private init; }

    public ReadOnlySpan<byte> Attributes { get; private init; }

    public static ParseError TryParse(ReadOnlySpan<byte> body, out AttributesBody attributes)
    {
        var reader = new WireReader(body);
        var kind = (ConfigurationKind)reader.U8();
        reader.U8();
        var identifier = reader.U16();
        attributes = new AttributesBody { Kind = kind, Identifier = identifier, Attributes = reader.Rest() };
        return reader.Failed || !CheckAttributes(attributes.Attributes) ? ParseError.BadConfiguration : ParseError.None;
    }

    private static bool CheckAttributes(ReadOnlySpan<byte> octets)
    {
        var reader = new WireReader(octets);
        for (var i = 0; reader.Remaining > 0; i++)
        {
            if (i == WireLimits.ConfigurationAttributes) return false;
            var type = reader.U16();
            if ((type & AttributeList.ShortForm) != 0) reader.Take(2);
            else reader.Take(reader.U16());
        }

        return !reader.Failed;
    }
}

/// <summary>NAT-OA (RFC 3947 section 5.2): the address as its owner sees it.</summary>
internal static class NatOaBody
{
    public static ParseError TryParse(ReadOnlySpan<byte> body, out IpAddress address)
    {
        address = default;
        if (body.Length < 4) return ParseError.BadIdentity;
        var fits = (IdV1)body[0] switch { IdV1.Ipv4 => body.Length == 8, IdV1.Ipv6 => body.Length == 20, _ => false };
        if (!fits) return ParseError.BadIdentity;
        address = IpAddress.FromOctets(body[4..]);
        return ParseError.None;
    }
}

/// <summary>A piece of a whole message: there is no standard, but everybody who announces it does the same.</summary>
internal readonly ref struct FragmentBody
{
    private const byte LastFlag = 0x01;

    public ushort Id { get; private init; }

    /// <summary>From 1.</summary>
    public byte Number { get; private init; }

    public bool IsLast { get; private init; }

    public ReadOnlySpan<byte> Data { get; private init; }

    public static ParseError TryParse(ReadOnlySpan<byte> body, out FragmentBody fragment)
    {
        var reader = new WireReader(body);
        var (id, number, flags) = (reader.U16(), reader.U8(), reader.U8());
        fragment = new FragmentBody { Id = id, Number = number, IsLast = (flags & LastFlag) != 0, Data = reader.Rest() };
        return reader.Failed || number is 0 or > WireLimits.FragmentsV1 || fragment.Data.IsEmpty ? ParseError.BadFragment : ParseError.None;
    }

    public static void Write(WireWriter writer, ushort id, byte number, bool isLast, ReadOnlySpan<byte> data)
    {
        writer.U16(id);
        writer.U8(number);
        writer.U8(isLast ? LastFlag : (byte)0);
        writer.Octets(data);
    }
}

/// <summary>CERT and CERTREQ (RFC 2408 sections 3.9 and 3.10): an encoding and octets.</summary>
internal static class CertBody
{
    public static ParseError TryParse(ReadOnlySpan<byte> body, out byte encoding, out ReadOnlySpan<byte> data)
    {
        encoding = 0;
        data = default;
        if (body.IsEmpty) return ParseError.BadCertificate;
        encoding = body[0];
        data = body[1..];
        return ParseError.None;
    }
}
