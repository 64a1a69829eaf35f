namespace Warifu.Primitives;

// IANA "Internet Key Exchange Version 2 (IKEv2) Parameters". Values that are not named here are legal and preserved.

/// <summary>Exchange types.</summary>
public enum ExchangeType : byte
{
    /// <summary>IKEv1 main mode.</summary>
    IdentityProtection = 2,
    /// <summary>IKEv1 aggressive mode.</summary>
    Aggressive = 4,
    /// <summary>IKEv1 informational.</summary>
    InformationalV1 = 5,
    /// <summary>IKEv1 Mode Config.</summary>
    ModeConfig = 6,
    /// <summary>IKEv1 quick mode.</summary>
    QuickMode = 32,
    /// <summary>IKE_SA_INIT.</summary>
    IkeSaInit = 34,
    /// <summary>IKE_AUTH.</summary>
    IkeAuth = 35,
    /// <summary>CREATE_CHILD_SA.</summary>
    CreateChildSa = 36,
    /// <summary>INFORMATIONAL.</summary>
    Informational = 37,
    /// <summary>IKE_SESSION_RESUME (RFC 5723).</summary>
    IkeSessionResume = 38,
    /// <summary>IKE_INTERMEDIATE (RFC 9242).</summary>
    IkeIntermediate = 43,
    /// <summary>IKE_FOLLOWUP_KE (RFC 9370).</summary>
    IkeFollowupKe = 44,
}

/// <summary>IKEv2 payload types.</summary>
public enum PayloadType : byte
{
    /// <summary>No next payload.</summary>
    None = 0,
    /// <summary>SA.</summary>
    Sa = 33,
    /// <summary>KE.</summary>
    Ke = 34,
    /// <summary>IDi.</summary>
    IdI = 35,
    /// <summary>IDr.</summary>
    IdR = 36,
    /// <summary>CERT.</summary>
    Cert = 37,
    /// <summary>CERTREQ.</summary>
    CertReq = 38,
    /// <summary>AUTH.</summary>
    Auth = 39,
    /// <summary>Ni, Nr.</summary>
    Nonce = 40,
    /// <summary>N.</summary>
    Notify = 41,
    /// <summary>D.</summary>
    Delete = 42,
    /// <summary>V.</summary>
    VendorId = 43,
    /// <summary>TSi.</summary>
    TsI = 44,
    /// <summary>TSr.</summary>
    TsR = 45,
    /// <summary>SK.</summary>
    Sk = 46,
    /// <summary>CP.</summary>
    Cp = 47,
    /// <summary>EAP.</summary>
    Eap = 48,
    /// <summary>SKF (RFC 7383).</summary>
    Skf = 53,
}

/// <summary>Security protocol identifiers.</summary>
public enum ProtocolId : byte
{
    /// <summary>None.</summary>
    None = 0,
    /// <summary>IKE.</summary>
    Ike = 1,
    /// <summary>AH.</summary>
    Ah = 2,
    /// <summary>ESP.</summary>
    Esp = 3,
}

/// <summary>Transform types.</summary>
public enum TransformType : byte
{
    /// <summary>Encryption.</summary>
    Encr = 1,
    /// <summary>Pseudo-random function.</summary>
    Prf = 2,
    /// <summary>Integrity.</summary>
    Integ = 3,
    /// <summary>Key exchange method.</summary>
    Ke = 4,
    /// <summary>Extended sequence numbers.</summary>
    Esn = 5,
}

/// <summary>Transform type 1: encryption.</summary>
public enum EncrId : ushort
{
    /// <summary>None negotiated.</summary>
    None = 0,
    /// <summary>ENCR_DES.</summary>
    Des = 2,
    /// <summary>ENCR_3DES.</summary>
    TripleDes = 3,
    /// <summary>ENCR_NULL.</summary>
    Null = 11,
    /// <summary>ENCR_AES_CBC.</summary>
    AesCbc = 12,
    /// <summary>ENCR_AES_CTR.</summary>
    AesCtr = 13,
    /// <summary>ENCR_AES_CCM_8.</summary>
    AesCcm8 = 14,
    /// <summary>ENCR_AES_CCM_12.</summary>
    AesCcm12 = 15,
    /// <summary>ENCR_AES_CCM_16.</summary>
    AesCcm16 = 16,
    /// <summary>ENCR_AES_GCM_8.</summary>
    AesGcm8 = 18,
    /// <summary>ENCR_AES_GCM_12.</summary>
    AesGcm12 = 19,
    /// <summary>ENCR_AES_GCM_16.</summary>
    AesGcm16 = 20,
    /// <summary>ENCR_NULL_AUTH_AES_GMAC.</summary>
    NullAesGmac = 21,
    /// <summary>ENCR_CAMELLIA_CBC.</summary>
    CamelliaCbc = 23,
    /// <summary>ENCR_CHACHA20_POLY1305.</summary>
    ChaCha20Poly1305 = 28,
}

/// <summary>Transform type 2: PRF.</summary>
public enum PrfId : ushort
{
    /// <summary>None negotiated.</summary>
    None = 0,
    /// <summary>PRF_HMAC_MD5.</summary>
    HmacMd5 = 1,
    /// <summary>PRF_HMAC_SHA1.</summary>
    HmacSha1 = 2,
    /// <summary>PRF_AES128_XCBC.</summary>
    AesXcbc = 4,
    /// <summary>PRF_HMAC_SHA2_256.</summary>
    HmacSha256 = 5,
    /// <summary>PRF_HMAC_SHA2_384.</summary>
    HmacSha384 = 6,
    /// <summary>PRF_HMAC_SHA2_512.</summary>
    HmacSha512 = 7,
    /// <summary>PRF_AES128_CMAC.</summary>
    AesCmac = 8,
}

/// <summary>Transform type 3: integrity.</summary>
public enum IntegId : ushort
{
    /// <summary>NONE.</summary>
    None = 0,
    /// <summary>AUTH_HMAC_MD5_96.</summary>
    HmacMd5_96 = 1,
    /// <summary>AUTH_HMAC_SHA1_96.</summary>
    HmacSha1_96 = 2,
    /// <summary>AUTH_AES_XCBC_96.</summary>
    AesXcbc96 = 5,
    /// <summary>AUTH_AES_CMAC_96.</summary>
    AesCmac96 = 8,
    /// <summary>AUTH_AES_128_GMAC (AH).</summary>
    Aes128Gmac = 9,
    /// <summary>AUTH_AES_192_GMAC (AH).</summary>
    Aes192Gmac = 10,
    /// <summary>AUTH_AES_256_GMAC (AH).</summary>
    Aes256Gmac = 11,
    /// <summary>AUTH_HMAC_SHA2_256_128.</summary>
    HmacSha256_128 = 12,
    /// <summary>AUTH_HMAC_SHA2_384_192.</summary>
    HmacSha384_192 = 13,
    /// <summary>AUTH_HMAC_SHA2_512_256.</summary>
    HmacSha512_256 = 14,
}

/// <summary>Transform type 4: key exchange methods.</summary>
public enum KeId : ushort
{
    /// <summary>NONE.</summary>
    None = 0,
    /// <summary>768-bit MODP.</summary>
    Modp768 = 1,
    /// <summary>1024-bit MODP.</summary>
    Modp1024 = 2,
    /// <summary>1536-bit MODP.</summary>
    Modp1536 = 5,
    /// <summary>2048-bit MODP.</summary>
    Modp2048 = 14,
    /// <summary>3072-bit MODP.</summary>
    Modp3072 = 15,
    /// <summary>4096-bit MODP.</summary>
    Modp4096 = 16,
    /// <summary>6144-bit MODP.</summary>
    Modp6144 = 17,
    /// <summary>8192-bit MODP.</summary>
    Modp8192 = 18,
    /// <summary>NIST P-256.</summary>
    Ecp256 = 19,
    /// <summary>NIST P-384.</summary>
    Ecp384 = 20,
    /// <summary>NIST P-521.</summary>
    Ecp521 = 21,
    /// <summary>1024-bit MODP with 160-bit prime order subgroup.</summary>
    Modp1024S160 = 22,
    /// <summary>2048-bit MODP with 224-bit prime order subgroup.</summary>
    Modp2048S224 = 23,
    /// <summary>2048-bit MODP with 256-bit prime order subgroup.</summary>
    Modp2048S256 = 24,
    /// <summary>NIST P-192.</summary>
    Ecp192 = 25,
    /// <summary>NIST P-224.</summary>
    Ecp224 = 26,
    /// <summary>brainpoolP224r1.</summary>
    Brainpool224 = 27,
    /// <summary>brainpoolP256r1.</summary>
    Brainpool256 = 28,
    /// <summary>brainpoolP384r1.</summary>
    Brainpool384 = 29,
    /// <summary>brainpoolP512r1.</summary>
    Brainpool512 = 30,
    /// <summary>Curve25519.</summary>
    Curve25519 = 31,
    /// <summary>Curve448.</summary>
    Curve448 = 32,
    /// <summary>ML-KEM-512.</summary>
    MlKem512 = 35,
    /// <summary>ML-KEM-768.</summary>
    MlKem768 = 36,
    /// <summary>ML-KEM-1024.</summary>
    MlKem1024 = 37,
}

/// <summary>Identification types.</summary>
public enum IdType : byte
{
    /// <summary>Our own mark for "any" in policy; never on the wire.</summary>
    Any = 0,
    /// <summary>ID_IPV4_ADDR.</summary>
    Ipv4Addr = 1,
    /// <summary>ID_FQDN.</summary>
    Fqdn = 2,
    /// <summary>ID_RFC822_ADDR.</summary>
    Rfc822Addr = 3,
    /// <summary>ID_IPV6_ADDR.</summary>
    Ipv6Addr = 5,
    /// <summary>ID_DER_ASN1_DN.</summary>
    DerAsn1Dn = 9,
    /// <summary>ID_DER_ASN1_GN.</summary>
    DerAsn1Gn = 10,
    /// <summary>ID_KEY_ID.</summary>
    KeyId = 11,
    /// <summary>ID_NULL (RFC 7619).</summary>
    Null = 13,
}

/// <summary>Authentication methods.</summary>
public enum AuthMethod : byte
{
    /// <summary>RSA Digital Signature.</summary>
    Rsa = 1,
    /// <summary>Shared Key Message Integrity Code.</summary>
    SharedKey = 2,
    /// <summary>DSS Digital Signature.</summary>
    Dss = 3,
    /// <summary>ECDSA with SHA-256 on P-256.</summary>
    Ecdsa256 = 9,
    /// <summary>ECDSA with SHA-384 on P-384.</summary>
    Ecdsa384 = 10,
    /// <summary>ECDSA with SHA-512 on P-521.</summary>
    Ecdsa521 = 11,
    /// <summary>NULL (RFC 7619).</summary>
    Null = 13,
    /// <summary>Digital Signature (RFC 7427).</summary>
    DigitalSignature = 14,
}

/// <summary>Notify message types. Below 16384: errors; the rest: status.</summary>
public enum NotifyType : ushort
{
    /// <summary>UNSUPPORTED_CRITICAL_PAYLOAD.</summary>
    UnsupportedCriticalPayload = 1,
    /// <summary>INVALID_IKE_SPI.</summary>
    InvalidIkeSpi = 4,
    /// <summary>INVALID_MAJOR_VERSION.</summary>
    InvalidMajorVersion = 5,
    /// <summary>INVALID_SYNTAX.</summary>
    InvalidSyntax = 7,
    /// <summary>INVALID_MESSAGE_ID.</summary>
    InvalidMessageId = 9,
    /// <summary>INVALID_SPI.</summary>
    InvalidSpi = 11,
    /// <summary>NO_PROPOSAL_CHOSEN.</summary>
    NoProposalChosen = 14,
    /// <summary>INVALID_KE_PAYLOAD.</summary>
    InvalidKePayload = 17,
    /// <summary>AUTHENTICATION_FAILED.</summary>
    AuthenticationFailed = 24,
    /// <summary>SINGLE_PAIR_REQUIRED.</summary>
    SinglePairRequired = 34,
    /// <summary>NO_ADDITIONAL_SAS.</summary>
    NoAdditionalSas = 35,
    /// <summary>INTERNAL_ADDRESS_FAILURE.</summary>
    InternalAddressFailure = 36,
    /// <summary>FAILED_CP_REQUIRED.</summary>
    FailedCpRequired = 37,
    /// <summary>TS_UNACCEPTABLE.</summary>
    TsUnacceptable = 38,
    /// <summary>INVALID_SELECTORS.</summary>
    InvalidSelectors = 39,
    /// <summary>UNACCEPTABLE_ADDRESSES (RFC 4555).</summary>
    UnacceptableAddresses = 40,
    /// <summary>UNEXPECTED_NAT_DETECTED (RFC 4555).</summary>
    UnexpectedNatDetected = 41,
    /// <summary>TEMPORARY_FAILURE.</summary>
    TemporaryFailure = 43,
    /// <summary>CHILD_SA_NOT_FOUND.</summary>
    ChildSaNotFound = 44,
    /// <summary>INITIAL_CONTACT.</summary>
    InitialContact = 16384,
    /// <summary>SET_WINDOW_SIZE.</summary>
    SetWindowSize = 16385,
    /// <summary>ADDITIONAL_TS_POSSIBLE.</summary>
    AdditionalTsPossible = 16386,
    /// <summary>IPCOMP_SUPPORTED.</summary>
    IpcompSupported = 16387,
    /// <summary>NAT_DETECTION_SOURCE_IP.</summary>
    NatDetectionSourceIp = 16388,
    /// <summary>NAT_DETECTION_DESTINATION_IP.</summary>
    NatDetectionDestinationIp = 16389,
    /// <summary>COOKIE.</summary>
    Cookie = 16390,
    /// <summary>USE_TRANSPORT_MODE.</summary>
    UseTransportMode = 16391,
    /// <summary>HTTP_CERT_LOOKUP_SUPPORTED.</summary>
    HttpCertLookupSupported = 16392,
    /// <summary>REKEY_SA.</summary>
    RekeySa = 16393,
    /// <summary>ESP_TFC_PADDING_NOT_SUPPORTED.</summary>
    EspTfcPaddingNotSupported = 16394,
    /// <summary>NON_FIRST_FRAGMENTS_ALSO.</summary>
    NonFirstFragmentsAlso = 16395,
    /// <summary>MOBIKE_SUPPORTED (RFC 4555).</summary>
    MobikeSupported = 16396,
    /// <summary>ADDITIONAL_IP4_ADDRESS.</summary>
    AdditionalIp4Address = 16397,
    /// <summary>ADDITIONAL_IP6_ADDRESS.</summary>
    AdditionalIp6Address = 16398,
    /// <summary>NO_ADDITIONAL_ADDRESSES.</summary>
    NoAdditionalAddresses = 16399,
    /// <summary>UPDATE_SA_ADDRESSES.</summary>
    UpdateSaAddresses = 16400,
    /// <summary>COOKIE2.</summary>
    Cookie2 = 16401,
    /// <summary>NO_NATS_ALLOWED.</summary>
    NoNatsAllowed = 16402,
    /// <summary>AUTH_LIFETIME (RFC 4478).</summary>
    AuthLifetime = 16403,
    /// <summary>MULTIPLE_AUTH_SUPPORTED (RFC 4739).</summary>
    MultipleAuthSupported = 16404,
    /// <summary>ANOTHER_AUTH_FOLLOWS (RFC 4739).</summary>
    AnotherAuthFollows = 16405,
    /// <summary>REDIRECT_SUPPORTED (RFC 5685).</summary>
    RedirectSupported = 16406,
    /// <summary>REDIRECT (RFC 5685).</summary>
    Redirect = 16407,
    /// <summary>REDIRECTED_FROM (RFC 5685).</summary>
    RedirectedFrom = 16408,
    /// <summary>EAP_ONLY_AUTHENTICATION (RFC 5998).</summary>
    EapOnlyAuthentication = 16417,
    /// <summary>CHILDLESS_IKEV2_SUPPORTED (RFC 6023).</summary>
    ChildlessIkev2Supported = 16418,
    /// <summary>QUICK_CRASH_DETECTION (RFC 6290).</summary>
    QuickCrashDetection = 16419,
    /// <summary>IKEV2_MESSAGE_ID_SYNC_SUPPORTED (RFC 6311).</summary>
    Ikev2MessageIdSyncSupported = 16420,
    /// <summary>IKEV2_FRAGMENTATION_SUPPORTED (RFC 7383).</summary>
    Ikev2FragmentationSupported = 16430,
    /// <summary>SIGNATURE_HASH_ALGORITHMS (RFC 7427).</summary>
    SignatureHashAlgorithms = 16431,
    /// <summary>USE_PPK (RFC 8784).</summary>
    UsePpk = 16435,
    /// <summary>PPK_IDENTITY (RFC 8784).</summary>
    PpkIdentity = 16436,
    /// <summary>NO_PPK_AUTH (RFC 8784).</summary>
    NoPpkAuth = 16437,
    /// <summary>INTERMEDIATE_EXCHANGE_SUPPORTED (RFC 9242).</summary>
    IntermediateExchangeSupported = 16438,
    /// <summary>ADDITIONAL_KEY_EXCHANGE (RFC 9370).</summary>
    AdditionalKeyExchange = 16441,
}

/// <summary>Hash algorithms of digital signatures (RFC 7427 section 7, RFC 8420).</summary>
public enum HashId : ushort
{
    /// <summary>None, or an unknown one.</summary>
    None = 0,
    /// <summary>SHA1.</summary>
    Sha1 = 1,
    /// <summary>SHA2-256.</summary>
    Sha256 = 2,
    /// <summary>SHA2-384.</summary>
    Sha384 = 3,
    /// <summary>SHA2-512.</summary>
    Sha512 = 4,
    /// <summary>Identity: the scheme hashes itself (EdDSA).</summary>
    Identity = 5,
}
