using System;
using System.Collections.Immutable;
using Warifu.Crypto.Signatures;
using Warifu.Ipsec;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Engine;

/// <summary>What the engine wants done, in order. Data packets never travel here.</summary>
internal abstract record IkeAction
{
    private IkeAction()
    {
    }

    /// <summary>Send one IKE message. <paramref name="Marker"/>: four zero octets go before it (RFC 3948 section 2.2); they are not in <paramref name="Message"/>.</summary>
    internal sealed record Send(Endpoint Local, Endpoint Remote, byte[] Message, bool Marker, byte Dscp = 0) : IkeAction;

    internal sealed record InstallPolicy(TrafficPolicy Policy) : IkeAction;

    internal sealed record RemovePolicy(string Connection, string Child) : IkeAction;

    internal sealed record InstallChild(ChildSa Sa) : IkeAction;

    internal sealed record UseOutbound(uint ChildId) : IkeAction;

    internal sealed record MoveChild(uint ChildId, Endpoint Local, Endpoint Remote, bool UdpEncapsulation, bool LocalBehindNat) : IkeAction;

    /// <summary>A pair goes. <paramref name="StillInFlight"/>: it was replaced by a rekeying, and what the peer sent on it before may still arrive (RFC 7296 section 2.8): the host goes on receiving on it for a few seconds.</summary>
    internal sealed record RemoveChild(uint ChildId, bool StillInFlight = false) : IkeAction;

    /// <summary>Keepalives (RFC 3948 section 4) for an IKE SA whose near side is behind a NAT: start or stop. The host sends one octet 0xFF on idle paths.</summary>
    internal sealed record Keepalive(uint IkeId, Endpoint Local, Endpoint Remote, bool On) : IkeAction;

    /// <summary>A client is gone: its virtual addresses are free again.</summary>
    internal sealed record ReleaseLease(LeaseId Lease) : IkeAction;

    /// <summary>An IKE SA that had claimed identities (<see cref="Ask.ClaimIdentity"/>) is closed.</summary>
    internal sealed record ReleaseIdentity(uint IkeId) : IkeAction;

    /// <summary>We are a client: these addresses become ours, until <see cref="Unconfigure"/>.</summary>
    internal sealed record Configure(ClientConfiguration Client) : IkeAction;

    internal sealed record Unconfigure(uint Id) : IkeAction;

    internal sealed record RaiseAsk(AskId Id, Ask Question) : IkeAction;

    internal sealed record Raise(IkeEvent Event) : IkeAction;

    internal sealed record Complete(CommandId Id, CommandResult Result) : IkeAction;

    /// <summary>Keys of an IKE SA for a key log, only when <see cref="EngineOptions.KeyLog"/> is on.</summary>
    internal sealed record LogIkeKeys(IkeSpi Initiator, IkeSpi Responder, Secret SkEi, Secret SkEr, Secret SkAi, Secret SkAr, Transform Encr, Transform Integ) : IkeAction;

    /// <summary>The encryption key of an ISAKMP SA (IKEv1), likewise.</summary>
    internal sealed record LogIsakmpKey(IkeSpi Initiator, Secret Key) : IkeAction;
}

/// <summary>Number by which an answer finds its question.</summary>
internal readonly record struct AskId(ulong Value);

/// <summary>A question to the host about something slow, secret or global. Each gets exactly one <see cref="Answer"/>, in any order, at any time.</summary>
internal abstract record Ask
{
    private Ask()
    {
    }

    /// <summary>Which pre-shared key belongs to this pair of identities? Answer: <see cref="Answer.SecretHandle"/>.</summary>
    internal sealed record FindPsk(Identity Local, Identity Remote, string Connection) : Ask;

    /// <summary>prf(prf(PSK, "Key Pad for IKEv2"), octets) (RFC 7296 section 2.15). Answer: <see cref="Answer.Octets"/>.</summary>
    internal sealed record PskAuth(SecretRef Secret, PrfId Prf, ImmutableArray<byte> SignedOctets) : Ask;

    /// <summary>IKEv1: SKEYID = prf(pre-shared-key, Ni_b | Nr_b) (RFC 2409 section 5.4). Answer: <see cref="Answer.Octets"/>.</summary>
    internal sealed record PskSkeyid(SecretRef Secret, PrfId Prf, ImmutableArray<byte> Nonces) : Ask;

    /// <summary>XAuth: is this the password of the user? Compared in constant time, also where there is no such user. The host disposes the password. Answer: <see cref="Answer.PasswordChecked"/>.</summary>
    internal sealed record CheckPassword(Identity User, Secret Password, string Connection) : Ask;

    /// <summary>XAuth: our own password as this user. Answer: <see cref="Answer.Octets"/>, or <see cref="Answer.Failed"/> where there is none.</summary>
    internal sealed record FindPassword(Identity User, string Connection) : Ask;

    /// <summary>Which of these public keys (by the SHA-1 of their bit string) have their private key in the store? Answer: <see cref="Answer.Keys"/>, in the same order.</summary>
    internal sealed record FindKeys(ImmutableArray<ImmutableArray<byte>> KeyIds) : Ask;

    /// <summary>A signature. Answer: <see cref="Answer.Octets"/>.</summary>
    internal sealed record Sign(SecretRef Key, SignatureScheme Scheme, ImmutableArray<byte> Octets) : Ask;

    /// <summary>Is there a post-quantum pre-shared key of this name (RFC 8784)? Answer: <see cref="Answer.SecretHandle"/>.</summary>
    internal sealed record FindPpk(Identity Id) : Ask;

    /// <summary>prf+ (PPK, key) for SK_d, SK_pi and SK_pr (RFC 8784 section 3). The keys are copies that the host disposes. Answer: <see cref="Answer.MixedKeys"/>.</summary>
    internal sealed record PpkMix(SecretRef Ppk, PrfId Prf, Secret SkD, Secret SkPi, Secret SkPr) : Ask;

    /// <summary>Addresses of a host name. Answer: <see cref="Answer.Addresses"/>.</summary>
    internal sealed record Resolve(string Name) : Ask;

    /// <summary>Which own address would reach the peer, for connections without a local address. Answer: <see cref="Answer.Addresses"/> with one entry or none.</summary>
    internal sealed record SourceAddress(IpAddress Remote) : Ask;

    /// <summary>What time is it in the world? For certificates and leases. Answer: <see cref="Answer.WallTime"/>.</summary>
    internal sealed record WallTime : Ask;

    /// <summary>Gets a document: a CRL, an OCSP response to <paramref name="Request"/>, or a certificate that a peer named. The host bounds time and size. Answer: <see cref="Answer.RevocationList"/> for a CRL, else <see cref="Answer.Document"/>.</summary>
    internal sealed record Fetch(string Uri, DocumentKind Kind, ImmutableArray<byte> Request) : Ask
    {
        /// <summary>A CRL counts only when one of these (SubjectPublicKeyInfo) signed it: the host checks, since hashing megabytes takes its time.</summary>
        public ImmutableArray<ReadOnlyMemory<byte>> Signers { get; init; } = [];
    }

    /// <summary>When did a pair last receive? For liveness and inactivity. Answer: <see cref="Answer.Traffic"/>.</summary>
    internal sealed record LastTraffic(ImmutableArray<uint> ChildIds) : Ask;

    /// <summary>Claims a peer identity for an IKE SA among all shards (unique policy, INITIAL_CONTACT). Answer: <see cref="Answer.Claim"/>.</summary>
    /// <param name="IkeId">Whose.</param>
    /// <param name="Connection">Of which connection.</param>
    /// <param name="Local">Own identity.</param>
    /// <param name="Remote">The identity that is claimed.</param>
    /// <param name="Policy">What becomes of others.</param>
    /// <param name="InitialContact">The peer says that it has no other.</param>
    internal sealed record ClaimIdentity(uint IkeId, string Connection, Identity Local, Identity Remote, UniquePolicy Policy, bool InitialContact) : Ask
    {
        /// <summary>IKE SAs with the same peer at the same address: this may be its new authentication, which <see cref="UniquePolicy.Keep"/> does not refuse.</summary>
        public ImmutableArray<uint> SameHost { get; init; } = [];

        /// <summary>When this IKE SA was begun: what was authenticated later is no older one of the same peer.</summary>
        public Instant Begun { get; init; }

        /// <summary>The peer began, so there is a limit.</summary>
        public bool IsBounded { get; init; }
    }

    /// <summary>Virtual addresses for a client (RFC 7296 section 2.19). Answer: <see cref="Answer.Leased"/>.</summary>
    internal sealed record Lease(LeaseWish Wish) : Ask;
}

/// <summary>A host's answer.</summary>
internal abstract record Answer(AskId Id)
{
    /// <summary>A handle and its name in the configuration, or none when there is no such secret; <paramref name="WhyNot"/> says what was searched for and what there is.</summary>
    internal sealed record SecretHandle(AskId Id, SecretRef Secret, string WhyNot = "", string Name = "") : Answer(Id);

    internal sealed record Octets(AskId Id, Secret Value) : Answer(Id);

    /// <summary>Whether it is right; <paramref name="WhyNot"/> is for our own log, never for the peer.</summary>
    internal sealed record PasswordChecked(AskId Id, bool IsRight, string WhyNot = "") : Answer(Id);

    /// <summary>Handles in the order of the question; none where there is no private key.</summary>
    internal sealed record Keys(AskId Id, ImmutableArray<SecretRef> Handles) : Answer(Id);

    /// <summary>SK_d, SK_pi and SK_pr; the engine disposes them.</summary>
    internal sealed record MixedKeys(AskId Id, Secret SkD, Secret SkPi, Secret SkPr) : Answer(Id);

    internal sealed record Addresses(AskId Id, ImmutableArray<IpAddress> Values) : Answer(Id);

    /// <summary>Latest inbound and outbound packet of the pairs asked for, and octets in and out in sum.</summary>
    internal sealed record Traffic(AskId Id, Instant LastIn, Instant LastOut) : Answer(Id);

    /// <summary>Granted, and which other IKE SAs must go; or refused. Ends with <see cref="IkeAction.ReleaseIdentity"/>.</summary>
    internal sealed record Claim(AskId Id, bool Granted, ImmutableArray<uint> Replaces) : Answer(Id)
    {
        /// <summary>Refused because the identity has so many already; 0 = for another reason.</summary>
        public int Most { get; init; }

        /// <summary>For the host: commands to the engines of those <see cref="Replaces"/> that are not of the one that asked (by the top byte of their numbers).</summary>
        public ImmutableArray<IkeCommand.Replace> Elsewhere { get; init; } = [];
    }

    internal sealed record WallTime(AskId Id, DateTimeOffset Time) : Answer(Id);

    internal sealed record Document(AskId Id, ReadOnlyMemory<byte> Content) : Answer(Id);

    /// <summary>A CRL, read and verified outside of the engine: it may have megabytes.</summary>
    internal sealed record RevocationList(AskId Id, Crl List) : Answer(Id);

    /// <summary>An address or none for each that was wanted; no lease when there is none at all. Ends with <see cref="IkeAction.ReleaseLease"/>.</summary>
    internal sealed record Leased(AskId Id, LeaseId Lease, ImmutableArray<IpAddress> Given) : Answer(Id);

    /// <summary>The host could not answer.</summary>
    internal sealed record Failed(AskId Id, string Why) : Answer(Id);
}
