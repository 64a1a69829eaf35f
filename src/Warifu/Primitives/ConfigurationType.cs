namespace Warifu.Primitives;

/// <summary>Configuration attribute types (RFC 7296 section 3.15.1, RFC 5739, RFC 7651, RFC 8598, RFC 9464). Others are legal and preserved.</summary>
public enum ConfigurationType : ushort
{
    /// <summary>An address for the client.</summary>
    InternalIp4Address = 1,
    /// <summary>Netmask of the internal network.</summary>
    InternalIp4Netmask = 2,
    /// <summary>A name server.</summary>
    InternalIp4Dns = 3,
    /// <summary>A NetBIOS name server.</summary>
    InternalIp4Nbns = 4,
    /// <summary>RFC 4306: expiry of the address. Removed by RFC 5996: never sent, ignored when received.</summary>
    InternalAddressExpiry = 5,
    /// <summary>A DHCP server.</summary>
    InternalIp4Dhcp = 6,
    /// <summary>Software of the sender, printable ASCII.</summary>
    ApplicationVersion = 7,
    /// <summary>An address for the client and its prefix length.</summary>
    InternalIp6Address = 8,
    /// <summary>Reserved since RFC 4306: never sent, ignored when received.</summary>
    InternalIp6Netmask = 9,
    /// <summary>A name server.</summary>
    InternalIp6Dns = 10,
    /// <summary>RFC 4306: a NetBIOS name server over IPv6. Removed by RFC 5996: never sent, ignored when received.</summary>
    InternalIp6Nbns = 11,
    /// <summary>A DHCP server.</summary>
    InternalIp6Dhcp = 12,
    /// <summary>A network behind the gateway: address and netmask.</summary>
    InternalIp4Subnet = 13,
    /// <summary>Which attributes the sender supports.</summary>
    SupportedAttributes = 14,
    /// <summary>A network behind the gateway: address and prefix length.</summary>
    InternalIp6Subnet = 15,
    /// <summary>Mobile IPv6 home prefix (RFC 5026).</summary>
    Mip6HomePrefix = 16,
    /// <summary>Link of an IPv6 client (RFC 5739).</summary>
    InternalIp6Link = 17,
    /// <summary>Prefix of an IPv6 client (RFC 5739).</summary>
    InternalIp6Prefix = 18,
    /// <summary>Home agent (RFC 5026).</summary>
    HomeAgentAddress = 19,
    /// <summary>P-CSCF server (RFC 7651).</summary>
    PCscfIp4Address = 20,
    /// <summary>P-CSCF server (RFC 7651).</summary>
    PCscfIp6Address = 21,
    /// <summary>A domain that the internal name servers resolve (RFC 8598).</summary>
    InternalDnsDomain = 25,
    /// <summary>DNSSEC trust anchor of the domain before it (RFC 8598).</summary>
    InternalDnssecTa = 26,
    /// <summary>Encrypted DNS (RFC 9464).</summary>
    EncDnsIp4 = 27,
    /// <summary>Encrypted DNS (RFC 9464).</summary>
    EncDnsIp6 = 28,
    /// <summary>Digest of an encrypted DNS server's key (RFC 9464).</summary>
    EncDnsDigestInfo = 29,
    /// <summary>Microsoft's: a server of the internal network.</summary>
    InternalIp4Server = 23456,
    /// <summary>Microsoft's: a server of the internal network.</summary>
    InternalIp6Server = 23457,
    /// <summary>Cisco Unity: a text for the user.</summary>
    UnityBanner = 28672,
    /// <summary>Cisco Unity: the client may keep the password.</summary>
    UnitySavePassword = 28673,
    /// <summary>Cisco Unity: the domain that the client looks in first.</summary>
    UnityDefaultDomain = 28674,
    /// <summary>Cisco Unity: domains that the internal name servers resolve, separated by commas.</summary>
    UnitySplitDns = 28675,
    /// <summary>Cisco Unity: networks that go through the tunnel.</summary>
    SplitInclude = 28676,
    /// <summary>Cisco Unity: networks that do not.</summary>
    SplitExclude = 28678,
}
