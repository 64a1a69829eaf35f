using System.Collections.Immutable;
using Warifu.Crypto.Signatures;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.V1;

/// <summary>Why phase 1 fails, in terms of settings.</summary>
internal static class PhaseFailures
{
    public static NegotiationFailure NoProposal(Connection connection, ImmutableArray<IsakmpSuite> ours, ImmutableArray<Wire.V1.ProposalV1> offers) => new(
        "no-proposal",
        $"the peer's phase 1 proposals have nothing in common with connections.{connection.Name}.proposals",
        SuiteChoice.Print(offers),
        SuiteChoice.Print(ours),
        SuiteChoice.WhyNot(ours, offers),
        $"here: add to connections.{connection.Name}.proposals what the peer offers, or change connections.{connection.Name}.local.auth and connections.{connection.Name}.remote.auth where it is the method that differs; or at the peer: add one of ours");

    /// <summary>The peer refused ours; in clear, so that it may also have been somebody else.</summary>
    public static NegotiationFailure Refused(IsakmpSa sa, ImmutableArray<IsakmpSuite> ours, NotifyV1 error, int sent) => error == NotifyV1.NoProposalChosen
        ? new NegotiationFailure("no-proposal", $"{sa.Remote} accepts none of our phase 1 proposals (NO-PROPOSAL-CHOSEN, {sent} times asked)", SuiteChoice.Print(ours), [], [], $"here: change connections.{sa.Connection.Name}.proposals, connections.{sa.Connection.Name}.aggressive or connections.{sa.Connection.Name}.local.auth to what the peer has; or at the peer: add one of ours")
        : sa.Connection.Aggressive && error is NotifyV1.AuthenticationFailed or NotifyV1.InvalidIdInformation
            ? new NegotiationFailure("refused", $"{sa.Remote} refused phase 1 with {MessageNames.NameOf(error)}: it has nothing for {Identities.Print(sa.LocalId)} in aggressive mode", [Identities.Print(sa.LocalId)], [], [], $"here: compare connections.{sa.Connection.Name}.local.id and connections.{sa.Connection.Name}.aggressive with what the peer has; or at the peer: its log shows why")
            : new NegotiationFailure("refused", $"{sa.Remote} refused phase 1 with {MessageNames.NameOf(error)}", [], [], [], "at the peer: its log shows why");

    public static NegotiationFailure WrongMode(Connection connection, bool peerIsAggressive) => new(
        "mode",
        $"the peer begins with {NameOf(peerIsAggressive)}, connection {connection.Name} is configured for {NameOf(!peerIsAggressive)}",
        [NameOf(peerIsAggressive)],
        [NameOf(!peerIsAggressive)],
        [],
        $"here: set connections.{connection.Name}.aggressive = {(peerIsAggressive ? "yes" : "no")}; or at the peer: use {NameOf(!peerIsAggressive)}");

    public static NegotiationFailure AggressivePsk(Connection connection) => new(
        "mode",
        $"the peer begins with aggressive mode and a pre-shared key: the answer would let it guess the key at leisure, and connections.{connection.Name}.aggressive_psk is no",
        [],
        [],
        [],
        $"here: set connections.{connection.Name}.aggressive_psk = yes if the key is long and random; or at the peer: use main mode or certificates");

    public static NegotiationFailure NoPsk(IsakmpSa sa, Identity own, Identity peer, string why) => new(
        "no-secret", why.Length > 0 ? why : $"no pre-shared key for {Identities.Print(own)} and {Identities.Print(peer)}", [], [],
        [$"wanted: {Identities.Print(own)} and {Identities.Print(peer)}{(sa.Connection.Aggressive ? "" : "; in main mode identities are not known yet when the key is needed, addresses are")}"],
        $"here: add secrets.ike-NAME {{ secret = …  id-1 = {Identities.Print(own)}  id-2 = {Identities.Print(peer)} }}");

    public static NegotiationFailure WrongSecret(IsakmpSa sa, string secret) => new(
        "authentication-failed",
        $"the pre-shared keys of {sa.Local.Address} and {sa.Remote.Address} differ: what {sa.Remote} encrypts with its own is noise to ours, or its HASH does not verify",
        [],
        [],
        [],
        $"here: correct {(secret.Length > 0 ? $"secrets.{secret}.secret" : "the secret for this peer")}; or at the peer: correct its secret for us; they must be the same to the letter: case, blanks and the end of the line count");

    public static NegotiationFailure WrongIdentity(IsakmpSa sa, Identity peer) => new(
        "identity",
        $"the peer calls itself {Identities.Print(peer)}, connections.{sa.Connection.Name}.remote.id accepts {sa.Connection.Remote.Id}",
        [Identities.Print(peer)],
        [sa.Connection.Remote.Id.Text],
        [$"{Identities.Print(peer)} ({peer.Type}) against {sa.Connection.Remote.Id}"],
        $"here: set connections.{sa.Connection.Name}.remote.id = {Identities.Print(peer)}; or at the peer: set its local id to {sa.Connection.Remote.Id}");

    public static NegotiationFailure OtherSecret(IsakmpSa sa, Identity peer, string secret) => new(
        "identity",
        $"{Identities.Print(peer)} has a pre-shared key of its own (secrets.{secret}), and the peer at {sa.Remote} used the one that belongs to its address",
        [],
        [],
        [],
        $"here: give that secret the address {sa.Remote.Address}: in main mode the key is found by address (RFC 2409 section 5.4)");

    public static NegotiationFailure WrongSignature(IsakmpSa sa, Identity peer, string name) => new(
        "authentication-failed",
        $"the signature of {Identities.Print(peer)} does not verify with {name}",
        [],
        [],
        [],
        sa.Connection.Remote.PublicKeys.IsEmpty ? "at the peer: use the private key that belongs to its certificate" : $"here: give connections.{sa.Connection.Name}.remote.pubkeys the peer's public key; or at the peer: use the private key that belongs to it");

    public static NegotiationFailure ForbiddenKey(IsakmpSa sa, RemoteAuth wanted, PublicKey key) => new(
        "authentication-method",
        $"the peer signed with {key}, connections.{sa.Connection.Name}.remote.auth = {wanted.Constraints} does not allow it",
        [key.ToString()],
        [wanted.Constraints.Text],
        [],
        $"here: set connections.{sa.Connection.Name}.remote.auth to something that allows it; or at the peer: use another key");

    public static NegotiationFailure WrongPort(IsakmpSa sa, byte protocol, ushort port) => new(
        "identity",
        $"the identity of {sa.Remote} carries protocol {protocol} and port {port}; in phase 1 these are zero, or UDP port 500 (RFC 2407 section 4.6.2)",
        [],
        [],
        [],
        "at the peer: it breaks the protocol, its software must be repaired");

    public static NegotiationFailure NoProof(IsakmpSa sa) => new("authentication-failed", $"the peer sent no proof of the kind that was negotiated ({IsakmpSuite.NameOf(sa.Suite!.Auth)})", [], [], [], "at the peer: it breaks the protocol, its software must be repaired");

    public static NegotiationFailure Rejected(IsakmpSa sa, NotifyV1 error) => new(
        "authentication-failed",
        $"the peer refused us with {MessageNames.NameOf(error)}: we are {Identities.Print(sa.LocalId)}, and wanted {sa.Connection.Remote.Id}",
        [Identities.Print(sa.LocalId)],
        [],
        [$"the peer does not say which it is: the secret or certificate, our identity, which it does not accept, or {NameOf(sa.Connection.Aggressive)}, where it wants {NameOf(!sa.Connection.Aggressive)}"],
        $"here: compare connections.{sa.Connection.Name}.local.id ({Identities.Print(sa.LocalId)}), .aggressive, and the secret or certificate with the peer's; or at the peer: its log shows why");

    /// <summary>Chance gave one of a few keys that the cipher must not have; another try has others.</summary>
    public static NegotiationFailure WeakKey(IsakmpSa sa) => new("weak-key", $"the negotiated key would be a weak one of {ProposalKeywords.Word(sa.Suite!.AsProposal().Find(Primitives.TransformType.Encr))}: another try will have another", [], [], [], "");

    public static NegotiationFailure NatForbidden(IsakmpSa sa) => new(
        "nat",
        $"there is a NAT between us and {sa.Remote}, and {(sa.Connection.NatTraversal ? "the peer does not do NAT traversal" : $"connections.{sa.Connection.Name}.nat_traversal = no")}",
        [],
        [],
        [],
        sa.Connection.NatTraversal ? "at the peer: enable NAT traversal (RFC 3947)" : $"here: set connections.{sa.Connection.Name}.nat_traversal = yes");

    private static string NameOf(bool aggressive) => aggressive ? "aggressive mode" : "main mode";
}
