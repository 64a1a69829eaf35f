using System;

namespace Warifu.Wire;

/// <summary>Ni, Nr (RFC 7296 section 3.9).</summary>
internal static class NoncePayload
{
    public static ParseError Check(ReadOnlySpan<byte> body) => body.Length is >= WireLimits.NonceMin and <= WireLimits.NonceMax ? ParseError.None : ParseError.BadNonce;
}
