using System;
using Warifu.Primitives;

namespace Warifu.Wire;

/// <summary>AUTH (RFC 7296 section 3.8). Unknown methods are preserved.</summary>
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
