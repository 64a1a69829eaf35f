using System;
using System.Collections.Immutable;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>KE (RFC 7296 section 3.4).</summary>
internal readonly ref struct KeView
{
    public KeId Method { get; private init; }

    public ReadOnlySpan<byte> Public { get; private init; }

    public static ParseError TryParse(ReadOnlySpan<byte> body, out KeView view)
    {
        var reader = new WireReader(body);
        var method = (KeId)reader.U16();
        reader.U16();
        view = new KeView { Method = method, Public = reader.Rest() };
        return reader.Failed || view.Public.IsEmpty ? ParseError.BadKeyExchange : ParseError.None;
    }
}

/// <summary>Ni, Nr (section 3.9).</summary>
internal static class NoncePayload
{
    public static ParseError Check(ReadOnlySpan<byte> body) => body.Length is >= WireLimits.NonceMin and <= WireLimits.NonceMax ? ParseError.None : ParseError.BadNonce;
}

/// <summary>IDi, IDr (section 3.5).</summary>
internal static class IdPayload
{
    public static ParseError TryParse(ReadOnlySpan<byte> body, out Identity? identity)
    {
        identity = null;
        if (body.Length is < 4 or > WireLimits.IdentityLength) return ParseError.BadIdentity;
        var type = (IdType)body[0];
        var data = body[4..];
        var lengthFits = type switch { IdType.Ipv4Addr => data.Length == 4, IdType.Ipv6Addr => data.Length == 16, IdType.Null => true, _ => data.Length > 0 };
        // zero is our own mark for "any" and reserved on the wire
        if (!lengthFits || type == IdType.Any) return ParseError.BadIdentity;
        identity = new Identity(type, [.. data]);
        return ParseError.None;
    }
}

/// <summary>AUTH (section 3.8).</summary>
internal readonly ref struct AuthView
{
    public AuthMethod Method { get; private init; }

    public ReadOnlySpan<byte> Data { get; private init; }

    public static ParseError TryParse(ReadOnlySpan<byte> body, out AuthView view)
    {
        view = default;
        if (body.Length < 5) return ParseError.BadAuthentication;
        view = new AuthView { Method = (AuthMethod)body[0], Data = body[4..] };
        return ParseError.None;
    }
}

/// <summary>CERT and CERTREQ (sections 3.6 and 3.7): an encoding and its data.</summary>
internal readonly ref struct CertView
{
    public byte Encoding { get; private init; }

    public ReadOnlySpan<byte> Data { get; private init; }

    public static ParseError TryParse(ReadOnlySpan<byte> body, out CertView view)
    {
        view = default;
        if (body.IsEmpty) return ParseError.BadCertificate;
        view = new CertView { Encoding = body[0], Data = body[1..] };
        return ParseError.None;
    }
}

/// <summary>N (section 3.10).</summary>
internal readonly ref struct NotifyView
{
    public ProtocolId Protocol { get; private init; }

    public ReadOnlySpan<byte> Spi { get; private init; }

    public NotifyType Type { get; private init; }

    public ReadOnlySpan<byte> Data { get; private init; }

    public static ParseError TryParse(ReadOnlySpan<byte> body, out NotifyView view)
    {
        var reader = new WireReader(body);
        var protocol = (ProtocolId)reader.U8();
        var spiLength = reader.U8();
        var type = (NotifyType)reader.U16();
        view = new NotifyView { Protocol = protocol, Type = type, Spi = reader.Take(spiLength), Data = reader.Rest() };
        return reader.Failed ? ParseError.BadNotify : ParseError.None;
    }
}

/// <summary>D (section 3.11): SPIs of one protocol; none for IKE.</summary>
internal static class DeletePayload
{
    public static ParseError TryParse(ReadOnlySpan<byte> body, out ProtocolId protocol, out ImmutableArray<ChildSpi> spis)
    {
        spis = [];
        var reader = new WireReader(body);
        protocol = (ProtocolId)reader.U8();
        var size = reader.U8();
        var count = reader.U16();
        if (reader.Failed || reader.Remaining != size * count || count > WireLimits.SpisPerDelete) return ParseError.BadDelete;
        if (protocol == ProtocolId.Ike) return size == 0 && count == 0 ? ParseError.None : ParseError.BadDelete;
        if (size != 4) return ParseError.BadDelete;
        var found = ImmutableArray.CreateBuilder<ChildSpi>();
        for (var i = 0; i < count; i++) found.Add(new ChildSpi(reader.U32()));
        spis = found.ToImmutable();
        return ParseError.None;
    }
}

/// <summary>TSi, TSr (section 3.13). Selectors of types that we do not know are left out, as if they were not offered.</summary>
internal static class TsPayload
{
    private const byte Ipv4Range = 7;
    private const byte Ipv6Range = 8;

    public static ParseError TryParse(ReadOnlySpan<byte> body, out ImmutableArray<TrafficSelector> selectors)
    {
        selectors = [];
        var reader = new WireReader(body);
        var count = reader.U8();
        reader.Take(3);
        var found = ImmutableArray.CreateBuilder<TrafficSelector>();
        for (var i = 0; i < count; i++)
        {
            var type = reader.U8();
            var protocol = reader.U8();
            var length = reader.U16();
            if (reader.Failed || length < 8) return ParseError.BadSelector;
            var inner = new WireReader(reader.Take(length - 4));
            if (type is not (Ipv4Range or Ipv6Range)) continue;
            var size = type == Ipv4Range ? 4 : 16;
            var first = inner.U16();
            var last = inner.U16();
            var low = IpAddress.FromOctets(inner.Take(size));
            var high = IpAddress.FromOctets(inner.Take(size));
            if (!inner.AtEnd || low > high || (first > last && !(first == ushort.MaxValue && last == 0))) return ParseError.BadSelector;
            found.Add(new TrafficSelector(low, high, protocol, first, last));
        }

        if (!reader.AtEnd || count == 0) return ParseError.BadSelector;
        selectors = found.ToImmutable();
        return ParseError.None;
    }

    public static void Write(WireWriter writer, ReadOnlySpan<TrafficSelector> selectors)
    {
        writer.U8((byte)selectors.Length);
        writer.Octets([0, 0, 0]);
        foreach (var selector in selectors)
        {
            var size = selector.First.Length;
            writer.U8(size == 4 ? Ipv4Range : Ipv6Range);
            writer.U8(selector.Protocol);
            writer.U16((ushort)(8 + (2 * size)));
            writer.U16(selector.FirstPort);
            writer.U16(selector.LastPort);
            selector.First.Write(writer.Reserve(size));
            selector.Last.Write(writer.Reserve(size));
        }
    }
}

/// <summary>One configuration attribute (section 3.15.1).</summary>
internal sealed record ConfigurationAttribute(ushort Type, ImmutableArray<byte> Value);

/// <summary>CP (section 3.15).</summary>
internal static class CpPayload
{
    public static ParseError TryParse(ReadOnlySpan<byte> body, out byte kind, out ImmutableArray<ConfigurationAttribute> attributes)
    {
        attributes = [];
        var reader = new WireReader(body);
        kind = reader.U8();
        reader.Take(3);
        var found = ImmutableArray.CreateBuilder<ConfigurationAttribute>();
        while (!reader.Failed && reader.Remaining > 0)
        {
            if (found.Count == WireLimits.ConfigurationAttributes) return ParseError.BadConfiguration;
            var type = (ushort)(reader.U16() & 0x7FFF);
            var length = reader.U16();
            found.Add(new ConfigurationAttribute(type, [.. reader.Take(length)]));
        }

        if (reader.Failed) return ParseError.BadConfiguration;
        attributes = found.ToImmutable();
        return ParseError.None;
    }

    public static void Write(WireWriter writer, byte kind, ReadOnlySpan<ConfigurationAttribute> attributes)
    {
        writer.U8(kind);
        writer.Octets([0, 0, 0]);
        foreach (var attribute in attributes)
        {
            writer.U16(attribute.Type);
            writer.U16((ushort)attribute.Value.Length);
            writer.Octets(attribute.Value.AsSpan());
        }
    }
}

/// <summary>EAP (section 3.16): one EAP message whose length field must fit.</summary>
internal static class EapPayload
{
    public static ParseError Check(ReadOnlySpan<byte> body) =>
        body.Length >= 4 && ((body[2] << 8) | body[3]) == body.Length && body[0] is >= 1 and <= 4 && (body[0] > 2 ? body.Length == 4 : body.Length >= 5) ? ParseError.None : ParseError.BadEap;
}
