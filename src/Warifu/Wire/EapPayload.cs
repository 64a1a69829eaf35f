using System;
using System.Buffers.Binary;

namespace Warifu.Wire;

/// <summary>EAP codes (RFC 3748 section 4). Others are legal here; the EAP layer discards them.</summary>
internal enum EapCode : byte
{
    Request = 1,
    Response = 2,
    Success = 3,
    Failure = 4,
}

/// <summary>EAP (RFC 7296 section 3.16): one EAP message, whose length field must be that of the payload's body.</summary>
internal readonly ref struct EapView
{
    public const int HeadLength = 4;

    public EapCode Code { get; private init; }

    public byte Identifier { get; private init; }

    /// <summary>EAP type; 0 in messages without one (Success, Failure).</summary>
    public byte Type { get; private init; }

    /// <summary>What follows the type.</summary>
    public ReadOnlySpan<byte> Data { get; private init; }

    public static ParseError TryParse(ReadOnlySpan<byte> body, out EapView view)
    {
        view = default;
        if (body.Length < HeadLength || BinaryPrimitives.ReadUInt16BigEndian(body[2..]) != body.Length) return ParseError.BadEap;
        var code = (EapCode)body[0];
        var hasType = code is EapCode.Request or EapCode.Response;
        if (hasType && body.Length == HeadLength) return ParseError.BadEap;
        if (code is EapCode.Success or EapCode.Failure && body.Length != HeadLength) return ParseError.BadEap;
        view = new EapView { Code = code, Identifier = body[1], Type = hasType ? body[HeadLength] : (byte)0, Data = body[(hasType ? HeadLength + 1 : HeadLength)..] };
        return ParseError.None;
    }
}

/// <summary>EAP: its form on the wire.</summary>
internal static class EapPayload
{
    public static ParseError Check(ReadOnlySpan<byte> body) => EapView.TryParse(body, out _);

    public static void Write(WireWriter writer, EapCode code, byte identifier, byte type, ReadOnlySpan<byte> data)
    {
        var hasType = code is EapCode.Request or EapCode.Response;
        writer.U8((byte)code);
        writer.U8(identifier);
        writer.U16(checked((ushort)(EapView.HeadLength + (hasType ? 1 : 0) + data.Length)));
        if (hasType) writer.U8(type);
        writer.Octets(data);
    }
}
