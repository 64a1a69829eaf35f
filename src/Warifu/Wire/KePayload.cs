using System;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>KE (RFC 7296 section 3.4). Whether the value fits the method is for the table of groups to say.</summary>
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
