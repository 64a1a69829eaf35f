using System;
using System.Buffers.Binary;
using System.Collections.Immutable;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>D (RFC 7296 section 3.11): SPIs of one protocol; none for IKE. What is deleted of a protocol that we do not know cannot be ours: such a payload is legal and has no SPIs for us.</summary>
internal static class DeletePayload
{
    private const int HeadLength = 4;

    public static ParseError Check(ReadOnlySpan<byte> body)
    {
        if (body.Length < HeadLength) return ParseError.BadDelete;
        var (size, count) = (body[1], BinaryPrimitives.ReadUInt16BigEndian(body[2..]));
        if (count > WireLimits.SpisPerDelete || body.Length - HeadLength != size * count) return ParseError.BadDelete;
        var legal = (ProtocolId)body[0] switch
        {
            ProtocolId.Ike => size == 0 && count == 0,
            ProtocolId.Ah or ProtocolId.Esp => size == 4,
            _ => true,
        };
        return legal ? ParseError.None : ParseError.BadDelete;
    }

    public static ParseError TryParse(ReadOnlySpan<byte> body, out ProtocolId protocol, out ImmutableArray<ChildSpi> spis)
    {
        (protocol, spis) = (ProtocolId.None, []);
        var error = Check(body);
        if (error != ParseError.None) return error;
        protocol = (ProtocolId)body[0];
        if (protocol is not (ProtocolId.Ah or ProtocolId.Esp)) return ParseError.None;
        var found = ImmutableArray.CreateBuilder<ChildSpi>((body.Length - HeadLength) / 4);
        for (var at = HeadLength; at < body.Length; at += 4) found.Add(new ChildSpi(BinaryPrimitives.ReadUInt32BigEndian(body[at..])));
        spis = found.MoveToImmutable();
        return ParseError.None;
    }
}
