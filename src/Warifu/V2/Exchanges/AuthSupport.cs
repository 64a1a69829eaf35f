using System;
using System.Collections.Immutable;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>What both sides of IKE_AUTH share: signed octets, the step to "established", and the sentences of its failures.</summary>
internal static class AuthSupport
{
    /// <summary>What we sign (RFC 7296 section 2.15).</summary>
    public static ImmutableArray<byte> OwnOctets(IkeSa sa)
    {
        var handshake = sa.Handshake!;
        var (nonce, key) = sa.Initiator ? (handshake.Nr, sa.Keys!.SkPi) : (handshake.Ni, sa.Keys!.SkPr);
        return [.. KeyScheduleV2.SignedOctets(sa.Keys.Prf, handshake.OwnMessage, nonce, key, [(byte)sa.LocalId!.Type, 0, 0, 0, .. sa.LocalId.Data])];
    }

    /// <summary>What the peer signed; its ID payload as it stood on the wire.</summary>
    public static ImmutableArray<byte> PeerOctets(IkeSa sa, ReadOnlySpan<byte> idPayload)
    {
        var handshake = sa.Handshake!;
        var (nonce, key) = sa.Initiator ? (handshake.Ni, sa.Keys!.SkPr) : (handshake.Nr, sa.Keys!.SkPi);
        return [.. KeyScheduleV2.SignedOctets(sa.Keys.Prf, handshake.PeerMessage, nonce, key, idPayload)];
    }

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
    public static void ClaimOwn(IkeSa sa, bool initialContact) =>
        sa.Engine.Ask(sa, new Ask.ClaimIdentity(sa.Id, sa.Connection.Name, sa.LocalId!, sa.RemoteId!, sa.Connection.Unique == UniquePolicy.Keep ? UniquePolicy.Never : sa.Connection.Unique, initialContact), answer =>
        {
            if (answer is not Answer.Claim claim) return;
            foreach (var old in claim.Replaces) sa.Engine.Replace(old, sa, initialContact);
        });

    public static NegotiationFailure NoPsk(IkeSa sa, Identity remote, Answer found)
    {
        var why = found is Answer.SecretHandle handle ? handle.WhyNot : found is Answer.Failed failed ? failed.Why : "no pre-shared key";
        return new NegotiationFailure(
            "no-secret", why, [], [], [$"wanted: {Identities.Print(sa.LocalId)} and {Identities.Print(remote)}"],
            $"here: add secrets.ike-NAME {{ secret = …  id-1 = {Identities.Print(sa.LocalId)}  id-2 = {Identities.Print(remote)} }}");
    }

    public static NegotiationFailure WrongSecret(IkeSa sa) => new(
        "authentication-failed",
        $"the pre-shared keys for {Identities.Print(sa.LocalId)} and {Identities.Print(sa.RemoteId)} differ: the peer's AUTH does not verify",
        [],
        [],
        [],
        $"here: correct {SecretOf(sa)}; or at the peer: correct its secret for these two identities; they must be the same to the letter: case, blanks and the end of the line count");

    public static NegotiationFailure WrongIdentity(IkeSa sa, Identity remote) => new(
        "identity",
        $"the peer calls itself {Identities.Print(remote)}, connections.{sa.Connection.Name}.remote.id accepts {sa.Connection.Remote.Id}",
        [Identities.Print(remote)],
        [sa.Connection.Remote.Id.Text],
        [$"{Identities.Print(remote)} ({remote.Type}) against {sa.Connection.Remote.Id}"],
        $"here: set connections.{sa.Connection.Name}.remote.id = {Identities.Print(remote)}; or at the peer: set its local id to {sa.Connection.Remote.Id}");

    public static NegotiationFailure WrongMethod(IkeSa sa, AuthMethod method) => new(
        "authentication-method",
        $"the peer authenticates with {method}, connections.{sa.Connection.Name}.remote.auth wants {sa.Connection.Remote.Kind}",
        [method.ToString()],
        [sa.Connection.Remote.Kind.ToString()],
        [],
        $"here: set connections.{sa.Connection.Name}.remote.auth to what the peer uses; or at the peer: use a pre-shared key (auth = psk)");

    /// <summary>The peer refused our IKE_AUTH.</summary>
    public static NegotiationFailure Refused(IkeSa sa, NotifyType error) => error switch
    {
        NotifyType.AuthenticationFailed => new NegotiationFailure(
            "authentication-failed",
            $"the peer refused us (AUTHENTICATION_FAILED): we are {Identities.Print(sa.LocalId)}, and asked for {sa.Connection.Remote.Id}",
            [Identities.Print(sa.LocalId)],
            [],
            ["the peer does not say which it is, so that strangers learn nothing: the pre-shared key differs, or it does not know our identity, or it has another one than we asked for"],
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

    private static string SecretOf(IkeSa sa) => sa.Handshake is { SecretName: { Length: > 0 } name } ? $"secrets.{name}.secret" : "the secret of these two identities";
}
