using System;
using System.Collections.Immutable;
using Warifu.Crypto;
using Warifu.Crypto.Signatures;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>What both sides of IKE_AUTH share: signed octets, the step to "established", and the sentences of its failures.</summary>
internal static class AuthSupport
{
    /// <summary>What we sign (RFC 7296 section 2.15).</summary>
    /// <param name="sa">The IKE SA.</param>
    /// <param name="own">Our identity of this round.</param>
    /// <param name="withoutPpk">For NO_PPK_AUTH (RFC 8784 section 3).</param>
    public static ImmutableArray<byte> OwnOctets(IkeSa sa, Identity own, bool withoutPpk = false)
    {
        var handshake = sa.Handshake!;
        var (nonce, key) = sa.Initiator ? (handshake.Nr, handshake.Mixed is { } mixed && !withoutPpk ? mixed.SkPi : sa.Keys!.SkPi) : (handshake.Ni, sa.Keys!.SkPr);
        return [.. KeyScheduleV2.SignedOctets(sa.Keys!.Prf, handshake.OwnMessage, nonce, key, [(byte)own.Type, 0, 0, 0, .. own.Data])];
    }

    /// <summary>What the peer signed; its ID payload as it stood on the wire.</summary>
    public static ImmutableArray<byte> PeerOctets(IkeSa sa, ReadOnlySpan<byte> idPayload)
    {
        var handshake = sa.Handshake!;
        var (nonce, key) = sa.Initiator ? (handshake.Ni, sa.Keys!.SkPr) : (handshake.Nr, sa.Keys!.SkPi);
        return [.. KeyScheduleV2.SignedOctets(sa.Keys.Prf, handshake.PeerMessage, nonce, key, idPayload)];
    }

    /// <summary>The initiator proves itself twice where it would do without the PPK (RFC 8784 section 3).</summary>
    public static bool NeedsProofWithoutPpk(IkeSa sa, int round) => round == 0 && sa.Handshake!.Mixed is not null && !sa.Connection.PpkRequired;

    /// <summary>Errors that end an IKE SA that is being set up; those about the first child do not.</summary>
    public static bool Ends(NotifyType error) => error is NotifyType.AuthenticationFailed or NotifyType.InvalidSyntax or NotifyType.UnsupportedCriticalPayload or NotifyType.InvalidMajorVersion or NotifyType.InvalidIkeSpi or NotifyType.InvalidMessageId;

    /// <summary>Both sides are authenticated. The handshake's secrets end here, except what the first child needs.</summary>
    public static void Establish(IkeSa sa)
    {
        var engine = sa.Engine;
        (sa.Established, sa.Authenticated) = (engine.Now, engine.Now);
        sa.State = IkeState.Established;
        sa.ExpireAt = Instant.Never;
        engine.EndHalfOpen(sa);
        Lifetimes.Begin(sa);
        sa.Report.Add(engine.Now, StepDirection.Here, $"IKE SA established between {Identities.Print(sa.LocalId)} and {Identities.Print(sa.RemoteId)}");
        engine.Raise(new IkeSaUp(sa.Local, sa.Remote, Identities.Print(sa.LocalId), Identities.Print(sa.RemoteId), sa.Initiator) { Connection = sa.Connection.Name, IkeId = sa.Id });
        if (sa.LocalBehindNat) engine.Emit(new IkeAction.Keepalive(sa.Id, sa.Local, sa.Remote, true));
        engine.Established(sa);
    }

    /// <summary>The peer's identity is held by an IKE SA that we began, too; what the peer has lost, and says so, goes.</summary>
    public static void ClaimOwn(IkeSa sa, bool initialContact) => Claim(sa, sa.Connection.Unique == UniquePolicy.Keep ? UniquePolicy.Never : sa.Connection.Unique, initialContact, isBounded: false, _ => { });

    /// <param name="sa">The IKE SA.</param>
    /// <param name="policy">What becomes of others.</param>
    /// <param name="initialContact">The peer says that it has no other.</param>
    /// <param name="isBounded">There is a limit.</param>
    /// <param name="then">Gets null when it was granted, and others were replaced.</param>
    public static void Claim(IkeSa sa, UniquePolicy policy, bool initialContact, bool isBounded, Action<NegotiationFailure?> then)
    {
        var ask = new Ask.ClaimIdentity(sa.Id, sa.Connection.Name, sa.LocalId!, sa.RemoteId!, policy, initialContact) { SameHost = sa.Engine.SameHost(sa), Begun = sa.Created, IsBounded = isBounded };
        sa.HoldsIdentity = true;
        sa.Engine.Ask(sa, ask, answer =>
        {
            if (answer is not Answer.Claim { Granted: true } claim)
            {
                then(answer is Answer.Claim { Most: > 0 } full ? TooMany(sa, full.Most) : NotUnique(sa));
                return;
            }

            foreach (var old in claim.Replaces) sa.Engine.Replace(old, sa, initialContact);
            then(null);
        });
    }

    private static NegotiationFailure NotUnique(IkeSa sa) => new("unique", $"{Identities.Print(sa.RemoteId)} has an IKE SA already and unique = keep", [], [], [], $"here: set connections.{sa.Connection.Name}.unique = replace, or close the old one");

    private static NegotiationFailure TooMany(IkeSa sa, int most) => new(
        "too-many",
        $"{Identities.Print(sa.RemoteId)} has {most} IKE SAs already, the most of one identity",
        [],
        [],
        [],
        $"here: set connections.{sa.Connection.Name}.unique = replace, close old ones, or raise daemon.identity_limit; or at the peer: give each device an identity of its own");

    public static NegotiationFailure NoPsk(IkeSa sa, Identity own, Identity remote, Answer found)
    {
        var why = found is Answer.SecretHandle handle ? handle.WhyNot : found is Answer.Failed failed ? failed.Why : "no pre-shared key";
        return new NegotiationFailure(
            "no-secret", why, [], [], [$"wanted: {Identities.Print(own)} and {Identities.Print(remote)}"],
            $"here: add secrets.ike-NAME {{ secret = …  id-1 = {Identities.Print(own)}  id-2 = {Identities.Print(remote)} }}");
    }

    public static NegotiationFailure WrongSecret(IkeSa sa) => new(
        "authentication-failed",
        $"the pre-shared keys for {Identities.Print(sa.LocalId)} and {Identities.Print(sa.RemoteId)} differ: the peer's AUTH does not verify",
        [],
        [],
        [],
        $"here: correct {SecretOf(sa)}; or at the peer: correct its secret for these two identities; they must be the same to the letter: case, blanks and the end of the line count");

    public static NegotiationFailure WrongIdentity(IkeSa sa, RemoteAuth wanted, Identity remote) => new(
        "identity",
        $"the peer calls itself {Identities.Print(remote)}, connections.{sa.Connection.Name}.remote.id accepts {wanted.Id}",
        [Identities.Print(remote)],
        [wanted.Id.Text],
        [$"{Identities.Print(remote)} ({remote.Type}) against {wanted.Id}"],
        $"here: set connections.{sa.Connection.Name}.remote.id = {Identities.Print(remote)}; or at the peer: set its local id to {wanted.Id}");

    public static NegotiationFailure WrongMethod(IkeSa sa, RemoteAuth wanted, AuthMethod method) => new(
        "authentication-method",
        $"the peer authenticates with {NameOf(method)}, connections.{sa.Connection.Name}.remote.auth wants {NameOf(wanted)}",
        [NameOf(method)],
        [NameOf(wanted)],
        [],
        $"here: set connections.{sa.Connection.Name}.remote.auth = {(method == AuthMethod.SharedKey ? "psk" : "pubkey")}; or at the peer: {(wanted.Kind == AuthKind.Psk ? "use a pre-shared key (auth = psk)" : "use a certificate (auth = pubkey)")}");

    public static NegotiationFailure UnknownScheme(IkeSa sa, AuthMethod method) => new(
        "authentication-method",
        $"the peer signed in a way that is not known here ({NameOf(method)})",
        [NameOf(method)],
        [NameOf(sa.Connection.Remote)],
        [],
        "at the peer: sign with RSA, ECDSA on P-256, P-384 or P-521, Ed25519 or Ed448, and SHA-2");

    public static NegotiationFailure ForbiddenScheme(IkeSa sa, RemoteAuth wanted, PublicKey key, SignatureScheme scheme) => new(
        "authentication-method",
        $"the peer signed with {key} and {scheme}, connections.{sa.Connection.Name}.remote.auth = {wanted.Constraints} does not allow it",
        [$"{key}, {scheme}"],
        [wanted.Constraints.Text],
        [],
        $"here: set connections.{sa.Connection.Name}.remote.auth to something that allows it; or at the peer: use another key or signature scheme");

    public static NegotiationFailure WrongSignature(IkeSa sa, Identity peer, string name, string why) => new(
        "authentication-failed",
        $"the signature of {Identities.Print(peer)} does not verify with {name}: {why}",
        [],
        [],
        [],
        sa.Connection.Remote.PublicKeys.IsEmpty ? "at the peer: use the private key that belongs to its certificate" : $"here: give connections.{sa.Connection.Name}.remote.pubkeys the peer's public key; or at the peer: use the private key that belongs to it");

    public static NegotiationFailure UnknownRawKey(IkeSa sa, Identity peer) => new(
        "authentication-failed",
        $"{Identities.Print(peer)} sent a raw public key that is not one of connections.{sa.Connection.Name}.remote.pubkeys",
        [],
        [],
        [],
        $"here: add the peer's public key to connections.{sa.Connection.Name}.remote.pubkeys; or at the peer: use the key that is known here");

    /// <summary>Several authentications are configured, and the peer does not do that.</summary>
    public static NegotiationFailure NoRounds(IkeSa sa) => new(
        "authentication-rounds",
        $"connection {sa.Connection.Name} wants several authentications, and the peer does not do that (MULTIPLE_AUTH_SUPPORTED, RFC 4739)",
        [],
        [],
        [],
        $"here: keep one section local and one section remote in connections.{sa.Connection.Name}; or at the peer: enable multiple authentication");

    public static NegotiationFailure WrongRounds(IkeSa sa, int done, bool more) => new(
        "authentication-rounds",
        more ? $"the peer wants to authenticate more than {done} times, connection {sa.Connection.Name} has {done} sections remote" : $"the peer authenticated {done} times, connection {sa.Connection.Name} has {AuthRounds.CountPeer(sa.Connection)} sections remote",
        [],
        [],
        [],
        $"here: {(more ? "add" : "remove")} a section remote in connections.{sa.Connection.Name}; or at the peer: {(more ? "remove" : "add")} a section local");

    /// <summary>The peer refused our IKE_AUTH.</summary>
    public static NegotiationFailure Refused(IkeSa sa, NotifyType error) => error switch
    {
        NotifyType.AuthenticationFailed => new NegotiationFailure(
            "authentication-failed",
            $"the peer refused us (AUTHENTICATION_FAILED): we are {Identities.Print(sa.LocalId)}, and asked for {sa.Connection.Remote.Id}",
            [Identities.Print(sa.LocalId)],
            [],
            [sa.Connection.Local.Kind == AuthKind.Psk
                ? "the peer does not say which it is, so that strangers learn nothing: the pre-shared key differs, or it does not know our identity, or it has another one than we asked for"
                : "the peer does not say which it is, so that strangers learn nothing: it does not trust our certificate, or it does not know our identity, or our identity is not in our certificate, or it has another one than we asked for"],
            $"here: compare {SecretOf(sa)}, connections.{sa.Connection.Name}.local.id ({Identities.Print(sa.LocalId)}) and connections.{sa.Connection.Name}.remote.id ({sa.Connection.Remote.Id}) with the peer's; or at the peer: its log shows which of the three it is"),
        _ => new NegotiationFailure("refused", $"the peer refused IKE_AUTH with {MessageDescription.NameOf(error)}", [], [], [], "at the peer: its log shows why"),
    };

    /// <summary>The initiator refused our proof, after we had accepted its own.</summary>
    public static NegotiationFailure Rejected(IkeSa sa) => new(
        "authentication-failed",
        $"the peer could not authenticate us (AUTHENTICATION_FAILED): we are {Identities.Print(sa.LocalId)}, its identity {Identities.Print(sa.RemoteId)} was right",
        [Identities.Print(sa.LocalId)],
        [],
        [],
        $"here: set connections.{sa.Connection.Name}.local.id to what the peer expects; or at the peer: make its remote id accept {Identities.Print(sa.LocalId)}, and compare {SecretOf(sa)}");

    private static string NameOf(RemoteAuth wanted) => wanted.Kind switch { AuthKind.Psk => "a pre-shared key", AuthKind.PublicKey => $"a signature ({wanted.Constraints})", _ => "EAP" };

    private static string NameOf(AuthMethod method) => method switch
    {
        AuthMethod.SharedKey => "a pre-shared key",
        AuthMethod.Rsa => "an RSA signature",
        AuthMethod.Dss => "a DSS signature",
        AuthMethod.Ecdsa256 or AuthMethod.Ecdsa384 or AuthMethod.Ecdsa521 => "an ECDSA signature",
        AuthMethod.Null => "nothing (NULL)",
        AuthMethod.DigitalSignature => "a digital signature (RFC 7427)",
        _ => $"method {(byte)method}",
    };

    private static string SecretOf(IkeSa sa) => sa.Connection.Local.Kind == AuthKind.PublicKey ? $"connections.{sa.Connection.Name}.local.certs" : sa.Handshake is { SecretName: { Length: > 0 } name } ? $"secrets.{name}.secret" : "the secret of these two identities";
}
