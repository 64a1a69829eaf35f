using System;
using System.Collections.Frozen;
using System.Collections.Generic;
using System.Linq;
using Warifu.Policy;

namespace Warifu.App.Configuration;

/// <summary>Kinds of sections.</summary>
internal enum Scope
{
    Connection,
    Local,
    Remote,
    CertFile,
    Child,
    Secret,
    Pool,
    Authority,
    Daemon,
    Manual,
}

/// <summary>How a value is written.</summary>
internal enum ValueKind
{
    YesNo,
    /// <summary>Integer with optional s, m, h, d.</summary>
    Time,
    /// <summary>Integer with optional k, m, g (1024).</summary>
    Size,
    Number,
    Word,
    Words,
    Text,
    /// <summary>A list at commas.</summary>
    List,
    Hosts,
    Proposals,
    Selectors,
    IdentityName,
    /// <summary>Six binary digits.</summary>
    Dscp,
    Mark,
    InterfaceId,
    Octets,
    /// <summary>Names of files in a file, their contents afterwards: see <see cref="CredentialFiles"/>. Never text.</summary>
    Contents,
}

/// <summary>What this build does with a key.</summary>
internal enum Service
{
    /// <summary>Served.</summary>
    Yes,
    /// <summary>Valid, and a value other than the default is a limit.</summary>
    Later,
    /// <summary>Valid, and has no meaning here: a notice.</summary>
    NoEffect,
}

/// <summary>One key: where it stands, how it is written, what it means, and whether this build serves it.</summary>
internal sealed record KeyInfo(Scope Scope, string Name, ValueKind Kind, string Default, string Meaning)
{
    public Service Service { get; init; }

    /// <summary>What the limit says is not there yet.</summary>
    public string Missing { get; init; } = "";

    /// <summary>Words of <see cref="ValueKind.Word"/> and <see cref="ValueKind.Words"/>.</summary>
    public string[] Words { get; init; } = [];

    /// <summary>Inclusive limits of <see cref="ValueKind.Number"/>, and of <see cref="ValueKind.Time"/> in seconds.</summary>
    public long Least { get; init; }

    public long Most { get; init; } = uint.MaxValue;

    /// <summary>Ours, not swanctl.conf's.</summary>
    public bool Own { get; init; }

    /// <summary>Any name that begins with <see cref="Name"/>: secret1, id-left …</summary>
    public bool Prefix { get; init; }
}

/// <summary>Every key of swanctl.conf and our own, as data: parsing, messages and docs/configuration.md come from here.</summary>
internal static class KeyRegistry
{
    private const string NoTokens = "tokens", NoEap = "EAP", NoInterfaceId = "XFRM interface ids", NoMarks = "netfilter marks";

    public static IReadOnlyList<KeyInfo> All { get; } = [.. Connection(), .. Auth(), .. Child(), .. Credentials(), .. Daemon(), .. Manual()];

    private static readonly FrozenDictionary<Scope, KeyInfo[]> s_byScope = All.GroupBy(key => key.Scope).ToFrozenDictionary(group => group.Key, group => group.ToArray());

    private static readonly FrozenDictionary<(Scope, string), KeyInfo> s_exact = All.Where(key => !key.Prefix).ToFrozenDictionary(key => (key.Scope, key.Name));

    public static KeyInfo? Find(Scope scope, string key)
    {
        if (s_exact.TryGetValue((scope, key), out var found)) return found;
        foreach (var info in s_byScope[scope])
        {
            if (info.Prefix && key.StartsWith(info.Name, StringComparison.Ordinal)) return info;
        }

        return null;
    }

    /// <summary>The known key that is spelled most like <paramref name="key"/>.</summary>
    public static string Nearest(Scope scope, string key) => Spelling.Nearest(key, s_byScope[scope].Select(info => info.Name));

    /// <summary>Another kind of section that has the key; null when none has.</summary>
    public static string? PlaceOf(string key)
    {
        foreach (var info in All)
        {
            if (info.Name == key && PathOf(info.Scope) is { } path) return path;
        }

        return null;
    }

    /// <summary>Where the sections of a kind stand.</summary>
    public static string? PathOf(Scope scope) => scope switch
    {
        Scope.Connection => "connections.NAME",
        Scope.Local => "connections.NAME.local",
        Scope.Remote => "connections.NAME.remote",
        Scope.CertFile => "connections.NAME.local.cert",
        Scope.Child => "connections.NAME.children.NAME",
        Scope.Secret => "secrets.NAME",
        Scope.Pool => "pools.NAME",
        Scope.Authority => "authorities.NAME",
        Scope.Daemon => "daemon",
        Scope.Manual => "manual.NAME",
        _ => null,
    };

    private static KeyInfo[] Connection()
    {
        const Scope C = Scope.Connection;
        return
        [
            new(C, "version", ValueKind.Word, "2", "IKE version: 1 or 2, one per peer") { Words = ["1", "2"] },
            new(C, "local_addrs", ValueKind.Hosts, "%any", "own addresses, ranges, subnets or names"),
            new(C, "remote_addrs", ValueKind.Hosts, "%any", "the peer's addresses; initiating needs one concrete address or name"),
            new(C, "local_port", ValueKind.Number, "500", "own UDP port: the daemon's port or port_nat_t") { Most = 65535 },
            new(C, "remote_port", ValueKind.Number, "500", "the peer's UDP port; 500 moves to 4500 when a NAT is found") { Least = 1, Most = 65535 },
            new(C, "proposals", ValueKind.Proposals, "default", "IKE proposals"),
            new(C, "vips", ValueKind.List, "", "virtual addresses to ask the peer for: 0.0.0.0 and :: are any of their version"),
            new(C, "aggressive", ValueKind.YesNo, "no", "IKEv1: phase 1 in aggressive mode, with identities in clear"),
            new(C, "pull", ValueKind.YesNo, "yes", "IKEv1 Mode Config: the client asks for its address; no = the gateway pushes it"),
            new(C, "dscp", ValueKind.Dscp, "000000", "DSCP of IKE packets"),
            new(C, "encap", ValueKind.YesNo, "no", "ESP in UDP even without a NAT"),
            new(C, "mobike", ValueKind.YesNo, "yes", "MOBIKE (RFC 4555)"),
            new(C, "dpd_delay", ValueKind.Time, "0s", "liveness check after this idle time; 0 = off"),
            new(C, "dpd_timeout", ValueKind.Time, "0s", "IKEv1: the peer is dead when nothing has come from it for so long; 0 = by dpd_threshold, or by the retransmissions, as in IKEv2"),
            new(C, "fragmentation", ValueKind.Word, "yes", "IKE fragmentation (RFC 7383)") { Words = ["yes", "accept", "no", "force"] },
            new(C, "childless", ValueKind.Word, "allow", "childless initiation (RFC 6023)") { Words = ["allow", "prefer", "force", "never"] },
            new(C, "send_certreq", ValueKind.YesNo, "yes", "send certificate requests"),
            new(C, "send_cert", ValueKind.Word, "ifasked", "send certificates") { Words = ["ifasked", "always", "never"] },
            new(C, "ocsp", ValueKind.Word, "reply", "OCSP responses beside certificates (RFC 4806): reply = send ours when asked, request = ask the peer for its own") { Words = ["never", "reply", "request", "both"] },
            new(C, "ppk_id", ValueKind.IdentityName, "", "name of the post-quantum pre-shared key that we use as initiator (RFC 8784)"),
            new(C, "ppk_required", ValueKind.YesNo, "no", "fail without a post-quantum pre-shared key"),
            new(C, "keyingtries", ValueKind.Number, "1", "rounds of retransmission of the first message; 0 = for ever"),
            new(C, "unique", ValueKind.Word, "no", "a second IKE SA of one identity") { Words = ["no", "never", "keep", "replace"] },
            new(C, "reauth_time", ValueKind.Time, "0s", "full re-authentication; the peer is told by AUTH_LIFETIME (RFC 4478)"),
            new(C, "rekey_time", ValueKind.Time, "4h", "rekeying of the IKE SA"),
            new(C, "over_time", ValueKind.Time, "10 % of rekey_time", "grace after rekey_time until the IKE SA is closed"),
            new(C, "rand_time", ValueKind.Time, "over_time", "random part that is taken off rekey_time: at most half of it, in IKEv1 at most over_time"),
            new(C, "pools", ValueKind.List, "", "pools from which its clients get addresses and attributes"),
            new(C, "request", ValueKind.List, "", "further configuration attributes to ask for: numbers, version or supported") { Own = true },
            new(C, "if_id_in", ValueKind.InterfaceId, "0", "XFRM interface id") { Service = Service.Later, Missing = NoInterfaceId },
            new(C, "if_id_out", ValueKind.InterfaceId, "0", "XFRM interface id") { Service = Service.Later, Missing = NoInterfaceId },
            new(C, "mediation", ValueKind.YesNo, "no", "mediation server") { Service = Service.Later, Missing = "mediation" },
            new(C, "mediated_by", ValueKind.Text, "", "mediation connection") { Service = Service.Later, Missing = "mediation" },
            new(C, "mediation_peer", ValueKind.IdentityName, "", "peer at the mediation server") { Service = Service.Later, Missing = "mediation" },
            new(C, "psk_policy", ValueKind.Word, "the daemon's", "rules for pre-shared keys") { Words = ["strict", "warn", "off"], Own = true },
            new(C, "reauth_frequency", ValueKind.Number, "0", "at every Nth rekeying of the IKE SA the peers authenticate each other anew instead; 0 = never") { Most = 100, Own = true },
            new(C, "nat_traversal", ValueKind.YesNo, "yes", "no = no NAT payloads, and a NAT makes the set-up fail") { Own = true },
            new(C, "dpd_mode", ValueKind.Word, "probe-idle-tunnel", "when liveness is checked: when something was sent and nothing came back within dpd_delay; when nothing came for dpd_delay; always") { Words = ["optimized", "probe-idle-tunnel", "always-send"], Own = true },
            new(C, "dpd_threshold", ValueKind.Number, "0", "the peer is dead after so many times dpd_delay without an answer to a check; 0 = by the retransmissions") { Most = 100, Own = true },
            new(C, "keep", ValueKind.Word, "no", "up = start at load, after close and after a dead peer, for ever; on-demand = the same by traps") { Words = ["up", "on-demand", "no"], Own = true },
            new(C, "fragment_size", ValueKind.Number, "576", "largest IKE message as IP packet; 1280 for IPv6 when not set") { Least = 570, Most = 1320, Own = true },
            new(C, "aggressive_psk", ValueKind.YesNo, "no", "IKEv1: answer aggressive mode with a pre-shared key, which lets strangers guess it at leisure") { Own = true },
            new(C, "suite_b", ValueKind.Word, "", "Suite B rules (RFC 6380)") { Words = ["normal", "strict"], Own = true },
        ];
    }

    private static List<KeyInfo> Auth()
    {
        var keys = new List<KeyInfo>();
        foreach (var scope in new[] { Scope.Local, Scope.Remote })
        {
            keys.AddRange(
            [
                new(scope, "round", ValueKind.Number, "0", "order of several authentications"),
                new(scope, "auth", ValueKind.Text, "pubkey", "psk, pubkey…, eap…, xauth…"),
                new(scope, "id", ValueKind.IdentityName, scope == Scope.Local ? "the own address" : "%any", scope == Scope.Local ? "own identity" : "acceptable identity, with wildcards"),
                new(scope, "eap_id", ValueKind.IdentityName, "id", "EAP identity") { Service = Service.Later, Missing = NoEap },
                new(scope, "certs", ValueKind.Contents, "", scope == Scope.Local ? "own certificates to choose from; files of x509, or 0x…, 0s…" : "the peer has one of these certificates; files of x509, or 0x…, 0s…"),
                new(scope, "pubkeys", ValueKind.Contents, "", scope == Scope.Local ? "own raw public keys (RFC 7670); files of pubkey, or 0x…, 0s…" : "the peer has one of these raw public keys (RFC 7670); files of pubkey, or 0x…, 0s…"),
            ]);
        }

        keys.AddRange(
        [
            new(Scope.Local, "aaa_id", ValueKind.IdentityName, "remote id", "identity of the EAP server") { Service = Service.Later, Missing = NoEap },
            new(Scope.Local, "xauth_id", ValueKind.IdentityName, "id", "IKEv1: our name as user, with auth = xauth"),
            new(Scope.Remote, "groups", ValueKind.List, "", "required groups") { Service = Service.Later, Missing = "groups" },
            new(Scope.Remote, "cert_policy", ValueKind.List, "", "certificate policies (OIDs) of which the chain must have one"),
            new(Scope.Remote, "cacerts", ValueKind.Contents, "", "the chain ends in one of these CAs, which are trusted for this connection; files of x509ca, or 0x…, 0s…"),
            new(Scope.Remote, "ca_id", ValueKind.IdentityName, "", "a CA that the chain must have, by its subject"),
            new(Scope.Remote, "revocation", ValueKind.Word, "relaxed", "when nobody says whether a certificate was revoked: strict = refuse, ifuri = refuse if it says whom to ask") { Words = ["strict", "ifuri", "relaxed"] },
        ]);
        keys.Add(new(Scope.CertFile, "file", ValueKind.Text, "", "path of the certificate"));
        foreach (var name in new[] { "handle", "slot", "module" }) keys.Add(new(Scope.CertFile, name, ValueKind.Text, "", "where the certificate is on a token") { Service = Service.Later, Missing = NoTokens });
        return keys;
    }

    private static KeyInfo[] Child()
    {
        const Scope C = Scope.Child;
        string[] actions = ["none", "trap", "start", "clear", "route", "restart", "hold"];
        return
        [
            new(C, "ah_proposals", ValueKind.Proposals, "", "AH proposals: integrity without encryption, instead of esp_proposals"),
            new(C, "esp_proposals", ValueKind.Proposals, "default", "ESP proposals"),
            new(C, "sha256_96", ValueKind.YesNo, "no", "HMAC-SHA-256 cut to 96 bits") { Service = Service.Later, Missing = "the 96-bit truncation of HMAC-SHA-256" },
            new(C, "local_ts", ValueKind.Selectors, "dynamic", "own side's traffic"),
            new(C, "remote_ts", ValueKind.Selectors, "dynamic", "the peer's side"),
            new(C, "single_pair", ValueKind.YesNo, "no", "each pair of addresses gets SAs of its own; wider requests are refused with SINGLE_PAIR_REQUIRED") { Own = true },
            new(C, "rekey_time", ValueKind.Time, "1h", "rekeying"),
            new(C, "life_time", ValueKind.Time, "rekey_time x 1.1", "the pair is closed"),
            new(C, "rand_time", ValueKind.Time, "life_time - rekey_time", "random part that is taken off rekey_time: at most half of it"),
            new(C, "rekey_bytes", ValueKind.Size, "0", "rekeying after so many octets"),
            new(C, "life_bytes", ValueKind.Size, "rekey_bytes x 1.1", "the pair is closed after so many octets"),
            new(C, "rand_bytes", ValueKind.Size, "life_bytes - rekey_bytes", "random part") { Service = Service.NoEffect, Missing = "the random part is always the difference of life_bytes and rekey_bytes" },
            new(C, "rekey_packets", ValueKind.Number, "0", "rekeying after so many packets") { Most = long.MaxValue },
            new(C, "life_packets", ValueKind.Number, "rekey_packets x 1.1", "the pair is closed after so many packets") { Most = long.MaxValue },
            new(C, "rand_packets", ValueKind.Number, "life_packets - rekey_packets", "random part") { Most = long.MaxValue, Service = Service.NoEffect, Missing = "the random part is always the difference of life_packets and rekey_packets" },
            new(C, "updown", ValueKind.Text, "", "script for up and down") { Service = Service.Later, Missing = "updown scripts" },
            new(C, "hostaccess", ValueKind.YesNo, "no", "for updown scripts") { Service = Service.Later, Missing = "updown scripts" },
            new(C, "mode", ValueKind.Word, "tunnel", "tunnel, transport, pass (bypass) or drop (discard)") { Words = ["tunnel", "transport", "transport_proxy", "iptfs", "beet", "pass", "drop"] },
            new(C, "policies", ValueKind.YesNo, "yes", "install policies") { Service = Service.Later, Missing = "children without policies" },
            new(C, "policies_fwd_out", ValueKind.YesNo, "no", "outbound forward policies") { Service = Service.NoEffect, Missing = "user-space ESP has no forward policies" },
            new(C, "dpd_action", ValueKind.Word, "clear", "after the peer was found dead") { Words = actions },
            new(C, "ipcomp", ValueKind.YesNo, "no", "IP compression") { Service = Service.Later, Missing = "IPComp" },
            new(C, "inactivity", ValueKind.Time, "0s", "close when idle"),
            new(C, "reqid", ValueKind.Number, "0", "fixed number of the policies") { Service = Service.NoEffect, Missing = "user-space ESP has no reqid" },
            new(C, "priority", ValueKind.Number, "0", "order in the SPD, lower first; 0 = by selector") { Most = 65535 },
            new(C, "interface", ValueKind.Text, "", "restrict policies to an interface") { Service = Service.Later, Missing = "policies for one interface" },
            new(C, "mark_in", ValueKind.Mark, "0", "netfilter mark") { Service = Service.Later, Missing = NoMarks },
            new(C, "mark_out", ValueKind.Mark, "0", "netfilter mark") { Service = Service.Later, Missing = NoMarks },
            new(C, "mark_in_sa", ValueKind.YesNo, "no", "mark on the inbound SA") { Service = Service.Later, Missing = NoMarks },
            new(C, "set_mark_in", ValueKind.Mark, "0", "mark after processing") { Service = Service.Later, Missing = NoMarks },
            new(C, "set_mark_out", ValueKind.Mark, "0", "mark after processing") { Service = Service.Later, Missing = NoMarks },
            new(C, "if_id_in", ValueKind.InterfaceId, "0", "XFRM interface id") { Service = Service.Later, Missing = NoInterfaceId },
            new(C, "if_id_out", ValueKind.InterfaceId, "0", "XFRM interface id") { Service = Service.Later, Missing = NoInterfaceId },
            new(C, "label", ValueKind.Text, "", "security label (RFC 9478)") { Service = Service.Later, Missing = "security labels" },
            new(C, "label_mode", ValueKind.Word, "system", "kind of label") { Words = ["system", "simple", "selinux"], Service = Service.Later, Missing = "security labels" },
            new(C, "tfc_padding", ValueKind.Text, "0", "padding against traffic analysis: octets or 'mtu'") { Service = Service.Later, Missing = "sending TFC padding" },
            new(C, "replay_window", ValueKind.Number, "64", "anti-replay window in packets; 0 = off, else 32..8192") { Most = 8192 },
            new(C, "per_cpu_sas", ValueKind.Word, "no", "an SA per processor (RFC 9611)") { Words = ["yes", "no", "encap"], Service = Service.Later, Missing = "SAs per processor" },
            new(C, "hw_offload", ValueKind.Word, "no", "hardware") { Words = ["no", "yes", "crypto", "packet", "auto"], Service = Service.NoEffect, Missing = "user-space ESP uses no offload hardware" },
            new(C, "copy_df", ValueKind.YesNo, "yes", "copy the DF bit outside; no = clear"),
            new(C, "copy_ecn", ValueKind.YesNo, "yes", "ECN by RFC 6040"),
            new(C, "copy_dscp", ValueKind.Word, "out", "copy the DSCP") { Words = ["out", "in", "yes", "no"] },
            new(C, "icmp", ValueKind.YesNo, "no", "forward ICMP errors") { Service = Service.NoEffect, Missing = "ICMP errors are forwarded where the selectors cover them" },
            new(C, "start_action", ValueKind.Words, "none", "what happens at load: none, trap, start or trap|start") { Words = actions },
            new(C, "close_action", ValueKind.Word, "none", "after the peer closed it") { Words = actions },
            new(C, "keep", ValueKind.Word, "no", "as in the connection, for this child") { Words = ["up", "on-demand", "no"], Own = true },
            new(C, "bind_interface", ValueKind.Text, "", "name of the TUN: makes the child route-based") { Own = true },
            new(C, "mtu", ValueKind.Number, "0", "MTU of inner packets; 0 = by path") { Most = 65535, Own = true },
            new(C, "mss", ValueKind.Text, "auto", "TCP MSS clamp: a number, auto or no") { Own = true },
            new(C, "df", ValueKind.Word, "copy", "DF bit outside") { Words = ["copy", "set", "clear"], Own = true },
            new(C, "leak", ValueKind.YesNo, "no", "route-based: traffic may leave in clear while the child is down") { Own = true },
            new(C, "bypass_lan", ValueKind.YesNo, "no", "directly connected networks stay reachable beside a selector of everything") { Own = true },
        ];
    }

    private static KeyInfo[] Credentials() =>
    [
        new(Scope.Secret, "secret", ValueKind.Octets, "", "the secret: text, 0x… or 0s…") { Prefix = true },
        new(Scope.Secret, "id", ValueKind.IdentityName, "any pair", "identities that share it") { Prefix = true },
        new(Scope.Secret, "file", ValueKind.Text, "", "file that the password opens"),
        new(Scope.Secret, "handle", ValueKind.Text, "", "object on a token"),
        new(Scope.Secret, "slot", ValueKind.Text, "", "slot of a token"),
        new(Scope.Secret, "module", ValueKind.Text, "", "module of a token"),
        new(Scope.Secret, "pin", ValueKind.Octets, "", "PIN of a token"),
        new(Scope.Pool, "addrs", ValueKind.Text, "", "subnet or range"),
        new(Scope.Pool, "static", ValueKind.List, "", "ADDRESS IDENTITY: addresses that belong to one identity") { Own = true },
        .. PoolText.Keys.Select(name => new KeyInfo(Scope.Pool, name, ValueKind.List, "", name switch { "dns_domain" => "domains for split DNS (RFC 8598), each with an optional DS record as trust anchor", "banner" => "IKEv1: a text for users of Cisco's clients", "default_domain" => "IKEv1: the domain that Cisco's clients look in first", _ => "attribute for clients" }) { Own = name is "dns_domain" or "banner" or "default_domain" }),
        new(Scope.Authority, "cacert", ValueKind.Contents, "", "the CA's certificate: a file of x509ca, or 0x…, 0s…"),
        new(Scope.Authority, "file", ValueKind.Contents, "", "the CA's certificate, by its path"),
        new(Scope.Authority, "handle", ValueKind.Text, "", "the CA's certificate on a token") { Service = Service.Later, Missing = NoTokens },
        new(Scope.Authority, "slot", ValueKind.Text, "", "slot of the token") { Service = Service.Later, Missing = NoTokens },
        new(Scope.Authority, "module", ValueKind.Text, "", "module of the token") { Service = Service.Later, Missing = NoTokens },
        new(Scope.Authority, "crl_uris", ValueKind.List, "", "where its CRLs are"),
        new(Scope.Authority, "ocsp_uris", ValueKind.List, "", "where its OCSP responders are"),
        new(Scope.Authority, "cert_uri_base", ValueKind.Text, "", "hash-and-URL base"),
    ];

    private static KeyInfo[] Daemon()
    {
        const Scope D = Scope.Daemon;
        return
        [
            new(D, "port", ValueKind.Number, "500", "UDP port of IKE") { Least = 0, Most = 65535, Own = true },
            new(D, "port_nat_t", ValueKind.Number, "4500", "UDP port that IKE shares with ESP") { Least = 0, Most = 65535, Own = true },
            new(D, "socket", ValueKind.List, "/run/warifu/vici.sock", "VICI sockets") { Own = true },
            new(D, "dataplane", ValueKind.Word, "auto", "where packets are protected") { Words = ["auto", "tun", "xfrm", "none"], Own = true },
            new(D, "psk_policy", ValueKind.Word, "strict", "rules for pre-shared keys") { Words = ["strict", "warn", "off"], Own = true },
            new(D, "psk_words", ValueKind.Text, "", "a further word list") { Own = true },
            new(D, "cookie_threshold", ValueKind.Number, "30", "half-open IKE SAs beyond which cookies are demanded") { Most = 1_000_000, Own = true },
            new(D, "half_open_limit", ValueKind.Number, "1000", "half-open IKE SAs beyond which first messages are dropped") { Least = 1, Most = 1_000_000, Own = true },
            new(D, "half_open_timeout", ValueKind.Time, "30s", "life of a half-open IKE SA") { Least = 1, Most = 3600, Own = true },
            new(D, "half_open_per_prefix", ValueKind.Number, "20", "half-open IKE SAs of one address or /64") { Least = 1, Most = 1_000_000, Own = true },
            new(D, "identity_limit", ValueKind.Number, "1024", "IKE SAs that peers of one identity may set up") { Least = 1, Most = 1_000_000, Own = true },
            new(D, "retransmit_timeout", ValueKind.Time, "1s", "wait before a request is sent again") { Least = 1, Most = 60, Own = true },
            new(D, "retransmit_tries", ValueKind.Number, "6", "retransmissions before the peer is dead") { Most = 100, Own = true },
            new(D, "make_before_break", ValueKind.YesNo, "yes", "re-authentication makes the new IKE SA first; no = it deletes the old one first") { Own = true },
            new(D, "crash_detection", ValueKind.YesNo, "yes", "quick crash detection (RFC 6290): tokens by which peers learn at once that we were started anew; needs state_dir") { Own = true },
            new(D, "keep_alive", ValueKind.Time, "20s", "interval of NAT keepalives; 0 = none") { Most = 3600, Own = true },
            new(D, "fwmark", ValueKind.Number, "0x57", "mark of our own packets") { Least = 1, Own = true },
            new(D, "table", ValueKind.Number, "8757", "our routing table; the next one is used too") { Least = 1, Most = uint.MaxValue - 1, Own = true },
            new(D, "hash_and_url", ValueKind.YesNo, "no", "fetch certificates that peers name by hash and URL (RFC 7296 section 3.6): this host then asks where strangers want") { Own = true },
            new(D, "hash_and_url_private", ValueKind.YesNo, "no", "also from private networks and this host") { Own = true },
            new(D, "state_dir", ValueKind.Text, "/var/lib/warifu", "what survives a restart") { Own = true },
            new(D, "keylog", ValueKind.Text, "", "folder for key tables in Wireshark's form: whoever reads them reads the traffic") { Own = true },
        ];
    }

    private static KeyInfo[] Manual()
    {
        return
        [
            new(Scope.Manual, "local", ValueKind.Text, "", "our address") { Own = true },
            new(Scope.Manual, "remote", ValueKind.Text, "", "the peer's address") { Own = true },
            new(Scope.Manual, "protocol", ValueKind.Word, "esp", "ESP, or AH: integrity alone, header included") { Own = true, Words = ["esp", "ah"] },
            new(Scope.Manual, "mode", ValueKind.Word, "tunnel", "tunnel, or transport between the two ends") { Own = true, Words = ["tunnel", "transport"] },
            new(Scope.Manual, "spi", ValueKind.Number, "", "SPI of both directions") { Own = true, Least = 256 },
            new(Scope.Manual, "spi_in", ValueKind.Number, "", "SPI of packets that come in; below 0xc0000000") { Own = true, Least = 256 },
            new(Scope.Manual, "spi_out", ValueKind.Number, "", "SPI of packets that go out") { Own = true, Least = 256 },
            new(Scope.Manual, "encr", ValueKind.Text, "", "cipher of ESP: aes128, aes192, aes256, camellia…, 3des, des, null") { Own = true },
            new(Scope.Manual, "integ", ValueKind.Text, "", "integrity: sha256, sha384, sha512, sha1, md5, aesxcbc, aescmac") { Own = true },
            new(Scope.Manual, "encr_key", ValueKind.Octets, "", "key of encr for both directions: text, or hexadecimal digits behind 0x, of exactly its length") { Own = true },
            new(Scope.Manual, "encr_key_in", ValueKind.Octets, "", "for packets that come in") { Own = true },
            new(Scope.Manual, "encr_key_out", ValueKind.Octets, "", "for packets that go out") { Own = true },
            new(Scope.Manual, "integ_key", ValueKind.Octets, "", "key of integ for both directions, likewise") { Own = true },
            new(Scope.Manual, "integ_key_in", ValueKind.Octets, "", "for packets that come in") { Own = true },
            new(Scope.Manual, "integ_key_out", ValueKind.Octets, "", "for packets that go out") { Own = true },
            new(Scope.Manual, ManualBuilder.Danger, ValueKind.YesNo, "no", "allow AES-GCM, CCM, GMAC, CTR and ChaCha20-Poly1305, whose IVs repeat after a restart: traffic is given away and can be forged") { Own = true },
            new(Scope.Manual, "local_ts", ValueKind.Selectors, "dynamic", "own side's traffic; dynamic = local") { Own = true },
            new(Scope.Manual, "remote_ts", ValueKind.Selectors, "dynamic", "the peer's side; dynamic = remote") { Own = true },
            new(Scope.Manual, "bind_interface", ValueKind.Text, "", "name of a TUN: route-based") { Own = true },
            new(Scope.Manual, "mtu", ValueKind.Number, "0", "largest packet inside; 0 = by path") { Own = true, Most = 65535 },
        ];
    }
}
