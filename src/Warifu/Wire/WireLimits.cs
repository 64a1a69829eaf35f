namespace Warifu.Wire;

/// <summary>Hard limits of the parser. A message beyond one of them is malformed for us, whatever it claims.</summary>
internal static class WireLimits
{
    /// <summary>Octets of an IKE message: what a UDP datagram can carry, and more than any reassembled message needs.</summary>
    public const int MessageLength = 65_535;

    public const int Payloads = 64;

    /// <summary>Per SA payload. A number is one octet on the wire.</summary>
    public const int Proposals = 64;

    /// <summary>Per proposal. Real peers stay below 60.</summary>
    public const int Transforms = 128;

    /// <summary>Per SA payload: what a peer may make us compare before it is authenticated. Real peers stay below 200.</summary>
    public const int TransformsInAll = 1024;

    public const int AttributesPerTransform = 8;

    /// <summary>IKEv1: per SA payload, and per transform; everything is an attribute there.</summary>
    public const int TransformsInAllV1 = 256;

    public const int AttributesOfTransformV1 = 32;

    /// <summary>RFC 2409 section 5: nonces of IKEv1 have 8 to 256 octets.</summary>
    public const int NonceMinV1 = 8;

    /// <summary>IKEv1: pieces of one message, each numbered by one octet.</summary>
    public const int FragmentsV1 = 64;

    /// <summary>Per TS payload: its count is one octet (RFC 7296 section 3.13).</summary>
    public const int Selectors = 255;

    /// <summary>Per CP payload: gateways push hundreds of subnets.</summary>
    public const int ConfigurationAttributes = 512;

    public const int SpisPerDelete = 256;

    /// <summary>RFC 7296 section 2.10: nonces have 16 to 256 octets.</summary>
    public const int NonceMin = 16;

    public const int NonceMax = 256;

    /// <summary>RFC 7296 section 2.6: a cookie has 1 to 64 octets.</summary>
    public const int CookieMax = 64;

    public const int IdentityLength = 4096;

    /// <summary>Fragments of one message (RFC 7383): at the smallest size still more than 30,000 octets.</summary>
    public const int Fragments = 64;
}

/// <summary>Why octets are not a message; the caller answers with INVALID_SYNTAX where it may answer at all.</summary>
internal enum ParseError : byte
{
    None,
    TooShort,
    BadLength,
    TooManyPayloads,
    TrailingOctets,
    BadProposal,
    BadTransform,
    BadKeyExchange,
    BadNonce,
    BadNotify,
    BadDelete,
    BadIdentity,
    BadAuthentication,
    BadCertificate,
    BadSelector,
    BadConfiguration,
    BadEap,
    BadEncrypted,
    BadHash,
    BadFragment,
}
