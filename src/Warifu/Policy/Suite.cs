using System;
using System.Collections.Frozen;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto.Signatures;
using Warifu.Primitives;

namespace Warifu.Policy;

/// <summary>
/// Algorithms under one name: Suite B (RFC 6379, RFC 6380), PRIME (the same with AES-GCM for IKE, RFC 5282), CNSA (RFC 9206), and the proposal sets of old gateways. The word stands alone in its list: in proposals for the IKE half, in
/// esp_proposals for the ESP half.
/// </summary>
public sealed record Suite
{
    private readonly string[] _ike;
    private readonly string[] _esp;

    private Suite(string word, string name, string? auth, int curve, string[] ike, string[] esp) => (Word, Name, Auth, Curve, _ike, _esp) = (word, name, auth is null ? null : AuthConstraints.ParseExact(auth), curve, ike, esp);

    /// <summary>The keyword.</summary>
    public string Word { get; }

    /// <summary>What people see: for Suite B exactly the names of RFC 6379 section 3.</summary>
    public string Name { get; }

    /// <summary>What we must authenticate with; null = the suite does not say.</summary>
    public AuthConstraints? Auth { get; }

    /// <summary>What a peer must authenticate with: the same; but at the level of 128 bits, Suite B takes ECDSA-384, too (RFC 6380 section 4.3: each side has the key that it has).</summary>
    internal AuthConstraints? PeerAuth => IsSuiteB && Curve == 256 ? s_eitherLevel : Auth;

    /// <summary>The same with <see cref="SuiteBPolicy.Strict"/>: certificates of the whole chain are of Suite B (RFC 6380 section 4.4).</summary>
    internal AuthConstraints? StrictPeerAuth => !IsSuiteB ? PeerAuth : Curve == 256 ? s_eitherLevelStrict : s_higherLevelStrict;

    /// <summary>Bits of the only curve that an ECDSA key may have; 0 = the suite does not say.</summary>
    public int Curve { get; }

    /// <summary>One of the four of RFC 6379.</summary>
    public bool IsSuiteB => Word.StartsWith("suiteb-", StringComparison.Ordinal);

    /// <summary>AEAD for IKE: there is no such thing in IKEv1.</summary>
    public bool NeedsVersion2 => Word.StartsWith("prime-", StringComparison.Ordinal) || Word == "cnsa";

    /// <summary>The IKE half.</summary>
    public ImmutableArray<Proposal> Ike => Parse(ProtocolId.Ike, _ike);

    /// <summary>The ESP half. Where the suite leaves PFS to the policy, both are acceptable: with the group of the IKE half (RFC 6380 section 8), and without.</summary>
    public ImmutableArray<Proposal> Esp => Parse(ProtocolId.Esp, _esp);

    private static readonly AuthConstraints s_eitherLevel = AuthConstraints.ParseExact("ike:ecdsa-256-sha256-ike:ecdsa-384-sha384");
    private static readonly AuthConstraints s_eitherLevelStrict = AuthConstraints.ParseExact("ecdsa-256-sha256-ecdsa-384-sha384");
    private static readonly AuthConstraints s_higherLevelStrict = AuthConstraints.ParseExact("ecdsa-384-sha384");

    // Contents: RFC 6379 sections 3.1 to 3.4, RFC 9206 sections 5.1 to 5.3; PRF_HMAC_SHA2_384 is "CNSA compliant if it is available" (section 8).
    private static readonly FrozenDictionary<string, Suite> s_all = new Suite[]
    {
        new("suiteb-gcm-128", "Suite-B-GCM-128", "ike:ecdsa-256-sha256", 256, ["aes128-sha256-ecp256"], ["aes128gcm16-ecp256-none"]),
        new("suiteb-gcm-256", "Suite-B-GCM-256", "ike:ecdsa-384-sha384", 384, ["aes256-sha384-ecp384"], ["aes256gcm16-ecp384-none"]),
        new("suiteb-gmac-128", "Suite-B-GMAC-128", "ike:ecdsa-256-sha256", 256, ["aes128-sha256-ecp256"], ["aes128gmac-ecp256-none"]),
        new("suiteb-gmac-256", "Suite-B-GMAC-256", "ike:ecdsa-384-sha384", 384, ["aes256-sha384-ecp384"], ["aes256gmac-ecp384-none"]),
        new("prime-128", "PRIME-128", "ike:ecdsa-256-sha256", 256, ["aes128gcm16-prfsha256-ecp256"], ["aes128gcm16-ecp256-none"]),
        new("prime-256", "PRIME-256", "ike:ecdsa-384-sha384", 384, ["aes256gcm16-prfsha384-ecp384"], ["aes256gcm16-ecp384-none"]),
        new(
            "cnsa", "CNSA", "ike:ecdsa-384-sha384-ike:rsa-3072-sha384", 384,
            ["aes256gcm16-prfsha512-ecp384", "aes256gcm16-prfsha512-modp3072", "aes256gcm16-prfsha512-modp4096", "aes256gcm16-prfsha384-ecp384-modp3072-modp4096"],
            ["aes256gcm16-ecp384-modp3072-modp4096-none"]),
        new("standard", "standard", null, 0, ["3des-sha1-modp1024", "aes128-sha1-modp1024"], ["3des-sha1-modp1024", "aes128-sha1-modp1024"]),
        new("compatible", "compatible", null, 0, ["3des-sha1-modp1024", "3des-md5-modp1024", "des-sha1-modp1024", "des-md5-modp1024"], ["3des-sha1", "3des-md5", "des-sha1", "des-md5"]),
        new("basic", "basic", null, 0, ["des-sha1-modp768", "des-md5-modp768"], ["des-sha1", "des-md5"]),
    }.ToFrozenDictionary(suite => suite.Word, StringComparer.OrdinalIgnoreCase);

    /// <summary>All of them, by word.</summary>
    public static IEnumerable<Suite> All => s_all.Values.OrderBy(suite => suite.Word, StringComparer.Ordinal);

    /// <summary>The suite of a word; null when it is none.</summary>
    public static Suite? Find(string word)
    {
        ArgumentNullException.ThrowIfNull(word);
        return s_all.GetValueOrDefault(word);
    }

    /// <summary>What <see cref="Auth"/> is in words.</summary>
    internal string WantedKey => Word == "cnsa" ? "an ECDSA key on P-384, or RSA of 3072 bits or more" : $"an ECDSA key on P-{Curve}";

    /// <summary>Why a key of ours does not fit; null = it does.</summary>
    internal string? Misfit(PublicKey key) => Auth is null || Auth.AllowsIkeKey(key) ? null : $"{Name} wants {WantedKey}, and this is {key}";

    /// <summary>Why a key of the peer's does not fit; null = it does.</summary>
    internal string? PeerMisfit(PublicKey key) => PeerAuth is null || PeerAuth.AllowsIkeKey(key) ? null : $"{Name} wants {(PeerAuth == Auth ? WantedKey : "an ECDSA key on P-256 or P-384")}, and this is {key}";

    private static ImmutableArray<Proposal> Parse(ProtocolId protocol, string[] texts) =>
        [.. texts.SelectMany(text => ProposalKeywords.TryParse(protocol, text, out var proposals, out var error, out _) ? proposals : throw new InvalidOperationException(error))];
}

/// <summary>How strictly Suite B is kept.</summary>
public enum SuiteBPolicy
{
    /// <summary>The suites are names for algorithms.</summary>
    Normal,
    /// <summary>RFC 6380: IKEv2 only, ECDSA only, and nothing but Suite B is offered or accepted.</summary>
    Strict,
}
