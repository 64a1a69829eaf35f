using System;

namespace Warifu.Wire;

/// <summary>CERT and CERTREQ (RFC 7296 sections 3.6 and 3.7): an encoding and its data. A CERTREQ may have no data (RFC 4806, RFC 7670), a CERT may not.</summary>
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

    /// <summary>The body of a CERT.</summary>
    public static ParseError CheckCert(ReadOnlySpan<byte> body) => body.Length >= 2 ? ParseError.None : ParseError.BadCertificate;
}
