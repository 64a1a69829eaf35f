using System;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>IDi, IDr (RFC 7296 section 3.5). Unknown types are preserved.</summary>
internal static class IdPayload
{
    private const int HeadLength = 4;

    public static ParseError Check(ReadOnlySpan<byte> body)
    {
        if (body.Length is < HeadLength or > WireLimits.IdentityLength) return ParseError.BadIdentity;
        var length = body.Length - HeadLength;
        return (IdType)body[0] switch
        {
            // zero is our own mark for "any" and reserved on the wire
            IdType.Any => ParseError.BadIdentity,
            IdType.Ipv4Addr => length == 4 ? ParseError.None : ParseError.BadIdentity,
            IdType.Ipv6Addr => length == 16 ? ParseError.None : ParseError.BadIdentity,
            // RFC 7619 section 2.2
            IdType.Null => length == 0 ? ParseError.None : ParseError.BadIdentity,
            _ => length > 0 ? ParseError.None : ParseError.BadIdentity,
        };
    }

    public static ParseError TryParse(ReadOnlySpan<byte> body, out Identity? identity)
    {
        var error = Check(body);
        identity = error == ParseError.None ? new Identity((IdType)body[0], [.. body[HeadLength..]]) : null;
        return error;
    }
}
