namespace Warifu.Primitives;

// The registries of IKEv1 (RFC 2407, RFC 2408, RFC 2409, RFC 3706, RFC 3947 and drafts that peers still speak). The registry is closed (RFC 9395); unknown values are legal and preserved.

/// <summary>Payload types of IKEv1.</summary>
internal enum PayloadV1 : byte
{
    None = 0,
    Sa = 1,
    Proposal = 2,
    Transform = 3,
    Ke = 4,
    Id = 5,
    Cert = 6,
    CertReq = 7,
    Hash = 8,
    Sig = 9,
    Nonce = 10,
    Notify = 11,
    Delete = 12,
    VendorId = 13,

    /// <summary>Mode Config and XAuth (draft-dukes-ike-mode-cfg-02).</summary>
    Attributes = 14,

    /// <summary>RFC 3947.</summary>
    NatD = 20,
    NatOa = 21,

    /// <summary>draft-ietf-ipsec-nat-t-ike-02 and -03.</summary>
    NatDDraft = 130,
    NatOaDraft = 131,

    /// <summary>Fragmentation of whole messages, without a standard; negotiated by vendor ID.</summary>
    Fragment = 132,
}

/// <summary>Notify types of IKEv1. Below 16384: errors.</summary>
internal enum NotifyV1 : ushort
{
    InvalidPayloadType = 1,
    DoiNotSupported = 2,
    SituationNotSupported = 3,
    InvalidCookie = 4,
    InvalidMajorVersion = 5,
    InvalidMinorVersion = 6,
    InvalidExchangeType = 7,
    InvalidFlags = 8,
    InvalidMessageId = 9,
    InvalidProtocolId = 10,
    InvalidSpi = 11,
    InvalidTransformId = 12,
    AttributesNotSupported = 13,
    NoProposalChosen = 14,
    BadProposalSyntax = 15,
    PayloadMalformed = 16,
    InvalidKeyInformation = 17,
    InvalidIdInformation = 18,
    InvalidCertEncoding = 19,
    InvalidCertificate = 20,
    CertTypeUnsupported = 21,
    InvalidCertAuthority = 22,
    InvalidHashInformation = 23,
    AuthenticationFailed = 24,
    InvalidSignature = 25,
    AddressNotification = 26,
    NotifySaLifetime = 27,
    CertificateUnavailable = 28,
    UnsupportedExchangeType = 29,
    UnequalPayloadLengths = 30,
    Connected = 16384,
    ResponderLifetime = 24576,
    ReplayStatus = 24577,
    InitialContact = 24578,

    /// <summary>RFC 3706.</summary>
    RUThere = 36136,
    RUThereAck = 36137,
}

/// <summary>Attribute 1 of phase 1.</summary>
internal enum EncrV1 : ushort
{
    DesCbc = 1,
    TripleDesCbc = 5,
    AesCbc = 7,
    CamelliaCbc = 8,
}

/// <summary>Attribute 2 of phase 1.</summary>
internal enum HashV1 : ushort
{
    Md5 = 1,
    Sha1 = 2,
    Sha256 = 4,
    Sha384 = 5,
    Sha512 = 6,
}

/// <summary>Attribute 3 of phase 1.</summary>
internal enum AuthV1 : ushort
{
    Psk = 1,
    Dss = 2,
    Rsa = 3,
    RsaEncryption = 4,
    RevisedRsaEncryption = 5,

    /// <summary>RFC 4754.</summary>
    Ecdsa256 = 9,
    Ecdsa384 = 10,
    Ecdsa521 = 11,

    /// <summary>draft-ietf-ipsec-isakmp-hybrid-auth-05: only the responder proves itself; the user follows by XAuth.</summary>
    HybridInitRsa = 64221,
    HybridRespRsa = 64222,

    /// <summary>draft-ietf-ipsra-isakmp-xauth-06.</summary>
    XauthInitPsk = 65001,
    XauthRespPsk = 65002,
    XauthInitDss = 65003,
    XauthRespDss = 65004,
    XauthInitRsa = 65005,
    XauthRespRsa = 65006,
}

/// <summary>Attributes of a phase 1 transform (RFC 2409 appendix A).</summary>
internal enum IsakmpAttribute : ushort
{
    Encryption = 1,
    Hash = 2,
    AuthMethod = 3,
    Group = 4,
    GroupType = 5,
    LifeType = 11,
    LifeDuration = 12,
    Prf = 13,
    KeyLength = 14,
}

/// <summary>Attributes of a phase 2 transform (RFC 2407 section 4.5, RFC 4304).</summary>
internal enum IpsecAttribute : ushort
{
    LifeType = 1,
    LifeDuration = 2,
    Group = 3,
    Mode = 4,
    AuthAlgorithm = 5,
    KeyLength = 6,
    KeyRounds = 7,
    Ecn = 10,
    Esn = 11,
}

/// <summary>Values of <see cref="IpsecAttribute.AuthAlgorithm"/>.</summary>
internal enum AuthAlgorithmV1 : ushort
{
    HmacMd5 = 1,
    HmacSha1 = 2,
    HmacSha256 = 5,
    HmacSha384 = 6,
    HmacSha512 = 7,
    AesXcbc = 9,
    Aes128Gmac = 11,
    Aes192Gmac = 12,
    Aes256Gmac = 13,
}

/// <summary>Values of <see cref="IpsecAttribute.Mode"/>.</summary>
internal enum EncapsulationV1 : ushort
{
    Tunnel = 1,
    Transport = 2,

    /// <summary>RFC 3947.</summary>
    UdpTunnel = 3,
    UdpTransport = 4,

    /// <summary>draft-ietf-ipsec-nat-t-ike-02 and -03.</summary>
    UdpTunnelDraft = 61443,
    UdpTransportDraft = 61444,
}

/// <summary>Units of lifetimes, in both phases.</summary>
internal enum LifeTypeV1 : ushort
{
    Seconds = 1,
    Kilobytes = 2,
}

/// <summary>Identities of phase 2 beyond those that both versions have (RFC 2407 section 4.6.2.1).</summary>
internal enum IdV1 : byte
{
    Ipv4 = 1,
    Fqdn = 2,
    UserFqdn = 3,
    Ipv4Subnet = 4,
    Ipv6 = 5,
    Ipv6Subnet = 6,
    Ipv4Range = 7,
    Ipv6Range = 8,
    DerAsn1Dn = 9,
    DerAsn1Gn = 10,
    KeyId = 11,
}

/// <summary>Attributes of XAuth (draft-beaulieu-ike-xauth-02 section 6.2).</summary>
internal enum XauthAttribute : ushort
{
    Type = 16520,
    UserName = 16521,
    UserPassword = 16522,
    Passcode = 16523,
    Message = 16524,
    Challenge = 16525,
    Domain = 16526,
    Status = 16527,
    NextPin = 16528,
    Answer = 16529,
}
