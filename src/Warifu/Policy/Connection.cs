using System;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Linq;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>Everything the engine may negotiate: an immutable whole that is replaced, never edited. Secrets are handles only.</summary>
public sealed record PolicySet
{
    /// <summary>No connections.</summary>
    public static PolicySet Empty { get; } = new();

    /// <summary>Connections in the order of the configuration; names are unique.</summary>
    public ImmutableArray<Connection> Connections { get; init; } = [];

    /// <summary>Whom to trust in certificates.</summary>
    public TrustMaterial Trust { get; init; } = TrustMaterial.Empty;

    /// <summary>Addresses and attributes for clients; names are unique.</summary>
    public ImmutableArray<Pool> Pools { get; init; } = [];

    /// <summary>SAs without IKE; names are unique among connections, too.</summary>
    internal ImmutableArray<ManualSa> Manual { get; init; } = [];

    /// <summary>These connections.</summary>
    public static PolicySet Of(params ReadOnlySpan<Connection> connections) => new() { Connections = [.. connections] };
}

/// <summary>How to talk to one peer or one kind of peer: addresses, IKE proposals, authentication, and the children to negotiate. Times of zero mean "never".</summary>
public sealed record Connection
{
    /// <summary>Unique name.</summary>
    public required string Name { get; init; }

    /// <summary>Exactly one IKE version per peer (RFC 7296 section 2.5; no fallback in either direction).</summary>
    public IkeVersion Version { get; init; } = IkeVersion.V2;

    /// <summary>Own addresses; empty = any.</summary>
    public ImmutableArray<HostPattern> LocalAddresses { get; init; } = [];

    /// <summary>The peer's addresses; empty = any. Initiating needs one single address or name.</summary>
    public ImmutableArray<HostPattern> RemoteAddresses { get; init; } = [];

    /// <summary>Own UDP port; 0 = the daemon's.</summary>
    public ushort LocalPort { get; init; }

    /// <summary>The peer's UDP port; 500 moves to 4500 when NAT is found.</summary>
    public ushort RemotePort { get; init; } = 500;

    /// <summary>IKEv1: phase 1 in aggressive mode. Identities go in clear, and with a pre-shared key anybody who listens can guess it at leisure.</summary>
    public bool Aggressive { get; init; }

    /// <summary>IKEv1: answer aggressive mode with a pre-shared key, although it hands strangers what they need to guess it.</summary>
    public bool AggressivePsk { get; init; }

    /// <summary>IKE proposals in order of preference; the default is <see cref="ProposalKeywords.DefaultIke"/>.</summary>
    public ImmutableArray<Proposal> Proposals { get; init; } = ProposalKeywords.DefaultIke;

    /// <summary>Our authentication.</summary>
    public required LocalAuth Local { get; init; }

    /// <summary>What the peer must prove.</summary>
    public required RemoteAuth Remote { get; init; }

    /// <summary>Our further authentications after <see cref="Local"/>, in order (RFC 4739).</summary>
    public ImmutableArray<LocalAuth> LocalRounds { get; init; } = [];

    /// <summary>What the peer must prove after <see cref="Remote"/>, in order (RFC 4739).</summary>
    public ImmutableArray<RemoteAuth> RemoteRounds { get; init; } = [];

    /// <summary>When our certificates are sent.</summary>
    public SendCertificates SendCert { get; init; } = SendCertificates.IfAsked;

    /// <summary>Say by CERTREQ which authorities we trust.</summary>
    public bool SendCertReq { get; init; } = true;

    /// <summary>OCSP responses in IKE (RFC 4806).</summary>
    public OcspExchange Ocsp { get; init; } = OcspExchange.Reply;

    /// <summary>Name of the post-quantum pre-shared key that we use as initiator (RFC 8784); null = none.</summary>
    public Identity? PpkId { get; init; }

    /// <summary>Fail where no post-quantum pre-shared key is used.</summary>
    public bool PpkRequired { get; init; }

    /// <summary>Children; names are unique in the connection.</summary>
    public ImmutableArray<Child> Children { get; init; } = [];

    /// <summary>IKE SA soft lifetime until rekeying.</summary>
    public TimeSpan RekeyTime { get; init; } = TimeSpan.FromHours(4);

    /// <summary>Time until full re-authentication.</summary>
    public TimeSpan ReauthTime { get; init; }

    /// <summary>Every so manieth rekeying of the IKE SA, of either side, is a full re-authentication instead: 1..100; 0 = never.</summary>
    public int ReauthFrequency { get; init; }

    /// <summary>Grace after the soft lifetime until the IKE SA is closed; null = 10 % of the larger of rekey and reauth time.</summary>
    public TimeSpan? OverTime { get; init; }

    /// <summary>Random part that is subtracted from the soft lifetime; null = <see cref="OverTime"/>, at most half the soft lifetime.</summary>
    public TimeSpan? RandTime { get; init; }

    /// <summary>Time after which liveness is probed; what must happen in it says <see cref="DpdMode"/>.</summary>
    public TimeSpan DpdDelay { get; init; }

    /// <summary>IKEv1: the peer is dead when nothing has come from it for so long; 0 = by <see cref="DpdThreshold"/> or the retransmissions.</summary>
    public TimeSpan DpdTimeout { get; init; }

    /// <summary>When liveness is probed.</summary>
    public DpdMode DpdMode { get; init; }

    /// <summary>The peer is dead after so many times <see cref="DpdDelay"/> without an answer; 0 = when all retransmissions are used up.</summary>
    public int DpdThreshold { get; init; }

    /// <summary>Rounds of retransmission of the first message; 0 = for ever.</summary>
    public int KeyingTries { get; init; } = 1;

    /// <summary>Duplicates of one peer identity.</summary>
    public UniquePolicy Unique { get; init; } = UniquePolicy.No;

    /// <summary>Pretend a NAT so that ESP travels in UDP.</summary>
    public bool ForceEncapsulation { get; init; }

    /// <summary>False: no NAT payloads are sent and a NAT makes the set-up fail (R160).</summary>
    public bool NatTraversal { get; init; } = true;

    /// <summary>Addresses of both ends may change (MOBIKE, RFC 4555); IKE goes on with port 4500 then.</summary>
    public bool Mobike { get; init; } = true;

    /// <summary>A gateway may send us to another one (RFC 5685); its identity must be acceptable all the same.</summary>
    public bool FollowRedirects { get; init; } = true;

    /// <summary>IKE_AUTH without a child (RFC 6023).</summary>
    public ChildlessPolicy Childless { get; init; } = ChildlessPolicy.Allow;

    /// <summary>IKE fragmentation (RFC 7383).</summary>
    public FragmentationPolicy Fragmentation { get; init; } = FragmentationPolicy.Yes;

    /// <summary>Octets of an IP packet above which our IKE messages are cut, 570..1320; 0 = 576 for IPv4, 1280 for IPv6.</summary>
    public int FragmentSize { get; init; }

    /// <summary>Pools of <see cref="PolicySet.Pools"/> from which this connection's clients get addresses and attributes.</summary>
    public ImmutableArray<string> Pools { get; init; } = [];

    /// <summary>Virtual addresses to ask the peer for (RFC 7296 section 2.19), one for each entry: 0.0.0.0 and :: are any, others a wish. Without one the connection does not come up.</summary>
    public ImmutableArray<IpAddress> VirtualIps { get; init; } = [];

    /// <summary>IKEv1: the client asks for addresses (request and reply); false = the gateway pushes them (set and acknowledgement).</summary>
    public bool Pull { get; init; } = true;

    /// <summary>Further configuration attributes to ask for beside addresses, netmask, name servers, NBNS, DHCP, subnets and domains.</summary>
    public ImmutableArray<ConfigurationType> RequestAttributes { get; init; } = [];

    /// <summary>Name of the suite whose IKE half <see cref="Proposals"/> are ("Suite-B-GCM-128"); empty = none.</summary>
    public string Suite { get; init; } = "";

    /// <summary>How strictly Suite B is kept (RFC 6380).</summary>
    public SuiteBPolicy SuiteB { get; init; }

    /// <summary>DSCP of IKE packets, 0..63.</summary>
    public byte Dscp { get; init; }

    /// <summary>Where it stands in its file, for messages ("file:line:column"); null when made in code.</summary>
    public string? Source { get; init; }
}

/// <summary>IKE version of a connection.</summary>
public enum IkeVersion : byte
{
    /// <summary>IKEv1 (RFC 2409).</summary>
    V1 = 1,
    /// <summary>IKEv2 (RFC 7296).</summary>
    V2 = 2,
}

/// <summary>When liveness of a peer is probed.</summary>
public enum DpdMode
{
    /// <summary>When nothing came from the peer for the time.</summary>
    ProbeIdleTunnel,
    /// <summary>When something was sent to the peer and nothing came back within the time.</summary>
    Optimized,
    /// <summary>Always after the time, whatever the traffic.</summary>
    AlwaysSend,
}

/// <summary>What to do with a second IKE SA of the same peer identity.</summary>
public enum UniquePolicy
{
    /// <summary>Replace only when the peer says INITIAL_CONTACT.</summary>
    No,
    /// <summary>Ignore INITIAL_CONTACT too.</summary>
    Never,
    /// <summary>The new one replaces the old.</summary>
    Replace,
    /// <summary>The new one is refused.</summary>
    Keep,
}

/// <summary>IKE fragmentation (RFC 7383). It is used only when both sides announce it.</summary>
public enum FragmentationPolicy
{
    /// <summary>Announce it, take fragments, and cut large messages.</summary>
    Yes,
    /// <summary>Announce it and take fragments, but send messages whole.</summary>
    Accept,
    /// <summary>The same as <see cref="Yes"/> in IKEv2.</summary>
    Force,
    /// <summary>Do not announce it, take none.</summary>
    No,
}

/// <summary>Childless initiation (RFC 6023).</summary>
public enum ChildlessPolicy
{
    /// <summary>Accept as responder.</summary>
    Allow,
    /// <summary>Initiate childless when the peer supports it.</summary>
    Prefer,
    /// <summary>Require it.</summary>
    Force,
    /// <summary>Refuse it.</summary>
    Never,
}

/// <summary>A configured host: one address, a range, a prefix, a DNS name, or any.</summary>
public sealed record HostPattern
{
    private HostPattern()
    {
    }

    /// <summary>Lowest address; none for names and any.</summary>
    public IpAddress First { get; private init; }

    /// <summary>Highest address.</summary>
    public IpAddress Last { get; private init; }

    /// <summary>A name to be resolved at each use; null for addresses.</summary>
    public string? DnsName { get; private init; }

    /// <summary>Every address.</summary>
    public static HostPattern Any { get; } = new();

    /// <summary>Exactly one address.</summary>
    public static HostPattern Of(IpAddress address) => new() { First = address, Last = address };

    /// <summary>A prefix.</summary>
    public static HostPattern Of(IpPrefix prefix) => new() { First = prefix.Address, Last = prefix.Last };

    /// <summary>A range.</summary>
    public static HostPattern Range(IpAddress first, IpAddress last) => new() { First = first, Last = last };

    /// <summary>A DNS name.</summary>
    public static HostPattern Name(string name) => new() { DnsName = name };

    /// <summary>Reads "192.0.2.1", "192.0.2.0/24", "192.0.2.1-192.0.2.9", "%any" or a host name.</summary>
    /// <exception cref="FormatException">It is none of these; the message says what would be right.</exception>
    public static HostPattern Parse(string text) => TryParse(text, out var pattern, out var error) ? pattern : throw new FormatException(error);

    /// <summary>As <see cref="Parse"/>, without an exception.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out HostPattern? pattern, [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(text);
        (pattern, error) = (null, null);
        if (text is "%any" or "%any4" or "%any6" or "0.0.0.0" or "::" or "0.0.0.0/0" or "::/0") pattern = Any;
        else if (IsHostName(text)) pattern = Name(text);
        else if (Selectors.TryParseAddresses(text, out var first, out var last, out error)) pattern = Range(first, last);
        else if (!text.AsSpan().ContainsAny("/-:")) error = $"'{text}' is no address, range, subnet or host name";
        return pattern is not null;
    }

    /// <summary>True for <see cref="Any"/>.</summary>
    public bool IsAny => DnsName is null && First.IsNone;

    /// <summary>The address when it is exactly one.</summary>
    public IpAddress? Single => !First.IsNone && First == Last ? First : null;

    /// <summary>True when <paramref name="address"/> matches; names never match here (the host resolves them first).</summary>
    public bool Matches(IpAddress address) => IsAny || (!First.IsNone && address.Version == First.Version && address >= First && address <= Last);

    /// <summary>As configured.</summary>
    public override string ToString() => DnsName ?? (IsAny ? "%any" : First == Last ? First.ToString() : $"{First}-{Last}");

    /// <summary>Labels of letters, digits and hyphens, at least one of them with a letter (RFC 1123 section 2.1).</summary>
    private static bool IsHostName(string text) =>
        text.Length <= 253 && text.Any(char.IsAsciiLetter) && text.Split('.').All(label => label.Length is > 0 and <= 63 && label.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_'));
}

/// <summary>Ways to authenticate.</summary>
public enum AuthKind
{
    /// <summary>Pre-shared key.</summary>
    Psk,
    /// <summary>Digital signature with a certificate or raw key.</summary>
    PublicKey,
    /// <summary>EAP.</summary>
    Eap,
    /// <summary>IKEv1: a user name and a password after phase 1 (XAuth). As a round behind another it is added to it; alone it makes the authentication hybrid: the gateway proves itself by its certificate, the user by the password.</summary>
    Xauth,
}

/// <summary>Our side of an authentication.</summary>
public sealed record LocalAuth
{
    /// <summary>Method.</summary>
    public AuthKind Kind { get; init; } = AuthKind.Psk;

    /// <summary>Our identity; null = the subject of our certificate, else our IP address.</summary>
    public Identity? Id { get; init; }

    /// <summary>The user's name with <see cref="AuthKind.Xauth"/>; null = <see cref="Id"/>. Its password is in the host's store.</summary>
    public Identity? XauthId { get; init; }

    /// <summary>Own certificates to choose from, in DER, in order of preference; the private keys are in the host's store.</summary>
    public ImmutableArray<ImmutableArray<byte>> Certificates { get; init; } = [];

    /// <summary>Own raw public keys to choose from (SubjectPublicKeyInfo in DER, RFC 7670).</summary>
    public ImmutableArray<ImmutableArray<byte>> PublicKeys { get; init; } = [];

    /// <summary>Which keys and signature schemes we use.</summary>
    public AuthConstraints Schemes { get; init; } = AuthConstraints.Any;
}

/// <summary>The peer's side of an authentication.</summary>
public sealed record RemoteAuth
{
    /// <summary>Method that the peer must use.</summary>
    public AuthKind Kind { get; init; } = AuthKind.Psk;

    /// <summary>Which identities are acceptable.</summary>
    public IdentityPattern Id { get; init; } = IdentityPattern.Any;

    /// <summary>The peer must have one of these certificates (DER); empty = any that is trusted.</summary>
    public ImmutableArray<ImmutableArray<byte>> Certificates { get; init; } = [];

    /// <summary>The chain must end in one of these authorities (DER), which are trusted for this connection; empty = any that is trusted.</summary>
    public ImmutableArray<ImmutableArray<byte>> CaCertificates { get; init; } = [];

    /// <summary>Raw public keys (SubjectPublicKeyInfo in DER) of which the peer must have one (RFC 7670); they need no authority.</summary>
    public ImmutableArray<ImmutableArray<byte>> PublicKeys { get; init; } = [];

    /// <summary>A certificate authority that the chain must have, by its subject; null = any.</summary>
    public Identity? CaId { get; init; }

    /// <summary>How revocation is judged.</summary>
    public RevocationPolicy Revocation { get; init; } = RevocationPolicy.Relaxed;

    /// <summary>Certificate policies (OIDs) of which the chain must have one; empty = any.</summary>
    public ImmutableArray<string> CertPolicies { get; init; } = [];

    /// <summary>Which keys and signature schemes are accepted of the peer and in its chain.</summary>
    public AuthConstraints Constraints { get; init; } = AuthConstraints.Any;
}

/// <summary>When own certificates are sent.</summary>
public enum SendCertificates
{
    /// <summary>When the peer sent a CERTREQ.</summary>
    IfAsked,
    /// <summary>Always.</summary>
    Always,
    /// <summary>Never: the peer has them.</summary>
    Never,
}

/// <summary>OCSP responses beside certificates in IKE (RFC 4806).</summary>
public enum OcspExchange
{
    /// <summary>Send ours to peers that ask for it.</summary>
    Reply,
    /// <summary>Ask the peer for its own.</summary>
    Request,
    /// <summary>Ask, and send to those who ask.</summary>
    Both,
    /// <summary>Neither.</summary>
    Never,
}

/// <summary>How revocation is judged.</summary>
public enum RevocationPolicy
{
    /// <summary>Only a certificate known to be revoked is refused.</summary>
    Relaxed,
    /// <summary>Where the certificate says whom to ask, an answer is needed.</summary>
    IfUri,
    /// <summary>An answer is always needed.</summary>
    Strict,
}

/// <summary>Certificates, authorities and revocation lists that a policy brings along.</summary>
public sealed record TrustMaterial
{
    /// <summary>Nothing: no certificate is trusted.</summary>
    public static TrustMaterial Empty { get; } = new();

    /// <summary>Trusted authorities.</summary>
    public ImmutableArray<Authority> Authorities { get; init; } = [];

    /// <summary>Further certificates in DER for building paths: intermediate authorities.</summary>
    public ImmutableArray<ImmutableArray<byte>> Certificates { get; init; } = [];

    /// <summary>Certificate revocation lists in DER.</summary>
    public ImmutableArray<ImmutableArray<byte>> Crls { get; init; } = [];
}

/// <summary>A trusted authority and where to ask about what it issued.</summary>
public sealed record Authority
{
    /// <summary>Name in the configuration.</summary>
    public required string Name { get; init; }

    /// <summary>Its certificate in DER.</summary>
    public required ImmutableArray<byte> Certificate { get; init; }

    /// <summary>Where its revocation lists are, beside what certificates say.</summary>
    public ImmutableArray<string> CrlUris { get; init; } = [];

    /// <summary>Its OCSP responders, beside what certificates say.</summary>
    public ImmutableArray<string> OcspUris { get; init; } = [];

    /// <summary>Where the certificates that it issued can be fetched by their SHA-1 (hash and URL, RFC 7296 section 3.6); null = nowhere.</summary>
    public string? CertUriBase { get; init; }
}

/// <summary>One pair of IPsec SAs to negotiate and the traffic that it takes. Limits of zero mean "none".</summary>
public sealed record Child
{
    /// <summary>Unique name inside the connection.</summary>
    public required string Name { get; init; }

    /// <summary>ESP (or AH) proposals in order of preference; the default is <see cref="ProposalKeywords.DefaultEsp"/>.</summary>
    public ImmutableArray<Proposal> Proposals { get; init; } = ProposalKeywords.DefaultEsp;

    internal bool IsAh => Proposals is [{ Protocol: ProtocolId.Ah }, ..];

    /// <summary>Our side's traffic; empty = the local address ("dynamic").</summary>
    public ImmutableArray<SelectorPattern> LocalSelectors { get; init; } = [];

    /// <summary>The peer's side.</summary>
    public ImmutableArray<SelectorPattern> RemoteSelectors { get; init; } = [];

    /// <summary>Name of the suite whose ESP half <see cref="Proposals"/> are; empty = none.</summary>
    public string Suite { get; init; } = "";

    /// <summary>Each pair of addresses gets SAs of its own: wider requests are answered with SINGLE_PAIR_REQUIRED (RFC 7296 section 2.9).</summary>
    public bool SinglePair { get; init; }

    /// <summary>Tunnel, transport, or the shunts pass and drop.</summary>
    public ChildMode Mode { get; init; } = ChildMode.Tunnel;

    /// <summary>Soft lifetime until rekeying.</summary>
    public TimeSpan RekeyTime { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Hard lifetime; null = rekey time x 1.1.</summary>
    public TimeSpan? LifeTime { get; init; }

    /// <summary>Random part that is subtracted from the soft lifetime; null = life time - rekey time.</summary>
    public TimeSpan? RandTime { get; init; }

    /// <summary>Soft limit in octets.</summary>
    public ulong RekeyBytes { get; init; }

    /// <summary>Hard limit in octets; null = soft x 1.1.</summary>
    public ulong? LifeBytes { get; init; }

    /// <summary>Soft limit in packets.</summary>
    public ulong RekeyPackets { get; init; }

    /// <summary>Hard limit in packets; null = soft x 1.1.</summary>
    public ulong? LifePackets { get; init; }

    /// <summary>What happens when the configuration is loaded.</summary>
    public StartAction StartAction { get; init; }

    /// <summary>What happens after the peer closed it.</summary>
    public StartAction CloseAction { get; init; }

    /// <summary>What happens after the peer was found dead: none = clear, trap, start = restart.</summary>
    public StartAction DpdAction { get; init; }

    /// <summary>Closed after this much time without traffic.</summary>
    public TimeSpan Inactivity { get; init; }

    /// <summary>Anti-replay window in packets, 0 (off) or 32..8192.</summary>
    public int ReplayWindow { get; init; } = 64;

    /// <summary>Name of the TUN that makes it route-based; null = policy-based.</summary>
    public string? BindInterface { get; init; }

    /// <summary>MTU of the inner packets; 0 = by path.</summary>
    public int Mtu { get; init; }

    /// <summary>TCP MSS clamp; 0 = by MTU, -1 = off.</summary>
    public int Mss { get; init; }

    /// <summary>DF bit of the outer header (RFC 4301 section 8.1).</summary>
    public DfPolicy Df { get; init; } = DfPolicy.Copy;

    /// <summary>Copy the DSCP to the outer header.</summary>
    public bool CopyDscpOut { get; init; } = true;

    /// <summary>Copy the DSCP back to the inner header.</summary>
    public bool CopyDscpIn { get; init; }

    /// <summary>ECN by RFC 6040 normal mode; false = compatibility mode.</summary>
    public bool CopyEcn { get; init; } = true;

    /// <summary>Traffic may leave in clear while the child is down (route-based only).</summary>
    public bool Leak { get; init; }

    /// <summary>Directly connected networks stay reachable when the selector is everything.</summary>
    public bool BypassLan { get; init; }

    /// <summary>Order in the SPD; lower first, 0 = by selector.</summary>
    public int Priority { get; init; }
}

/// <summary>IPsec mode of a child, or a shunt.</summary>
public enum ChildMode
{
    /// <summary>Tunnel mode.</summary>
    Tunnel,
    /// <summary>Transport mode.</summary>
    Transport,
    /// <summary>Bypass: matching traffic passes in clear.</summary>
    Pass,
    /// <summary>Discard.</summary>
    Drop,
}

/// <summary>Actions for start, close and dead peers.</summary>
public enum StartAction
{
    /// <summary>Nothing.</summary>
    None,
    /// <summary>Install a trap: the first packet starts the negotiation.</summary>
    Trap,
    /// <summary>Negotiate at once.</summary>
    Start,
    /// <summary>Both.</summary>
    TrapAndStart,
}

/// <summary>A configured traffic selector: fixed, or "dynamic" (the address of the tunnel end or the virtual IP, known at negotiation) with protocol and ports.</summary>
/// <param name="IsDynamic">The addresses are filled in at negotiation.</param>
/// <param name="Selector">The selector; for dynamic ones only protocol and ports count.</param>
public readonly record struct SelectorPattern(bool IsDynamic, TrafficSelector Selector)
{
    /// <summary>The end's own address, all protocols and ports.</summary>
    public static SelectorPattern Dynamic => new(true, default(TrafficSelector) with { LastPort = ushort.MaxValue });

    /// <summary>A fixed selector.</summary>
    public static SelectorPattern Of(TrafficSelector selector) => new(false, selector);

    /// <summary>Reads "10.1.0.0/16", "10.1.0.1-10.1.0.9", "dynamic", each with an optional "[protocol/port]".</summary>
    /// <exception cref="FormatException">It is none of these; the message says what would be right.</exception>
    public static SelectorPattern Parse(string text) => Selectors.TryParse(text, out var selector, out var error) ? selector : throw new FormatException(error);

    /// <summary>A fixed prefix.</summary>
    public static SelectorPattern Of(IpPrefix prefix) => new(false, TrafficSelector.Of(prefix));

    /// <summary>The selector with the end's address put in for "dynamic".</summary>
    public TrafficSelector Resolve(IpAddress address) => IsDynamic ? Selector with { First = address, Last = address } : Selector;
}
