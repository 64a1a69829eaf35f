using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>How far both sides have proved themselves: one proof each, or several (RFC 4739).</summary>
internal sealed class AuthRounds
{
    /// <summary>Proofs that we sent.</summary>
    public int Own { get; set; }

    /// <summary>Proofs of the peer that were right.</summary>
    public int Peer { get; set; }

    /// <summary>The peer said that it wants to give another proof.</summary>
    public bool PeerFollows { get; set; }

    /// <summary>The responder: the first request, which brings child, configuration and more.</summary>
    public KeptMessage? Request { get; set; }

    /// <summary>What the initiator called us in its first request.</summary>
    public Identity? Wanted { get; set; }

    public static int CountOwn(Connection connection) => 1 + connection.LocalRounds.Length;

    public static int CountPeer(Connection connection) => 1 + connection.RemoteRounds.Length;

    public static LocalAuth OwnOf(Connection connection, int round) => round == 0 ? connection.Local : connection.LocalRounds[round - 1];

    public static RemoteAuth PeerOf(Connection connection, int round) => round == 0 ? connection.Remote : connection.RemoteRounds[round - 1];

    /// <summary>Signatures are used by one side at least.</summary>
    public static bool UseSignatures(Connection connection) => OwnUsesSignatures(connection) || PeerUsesSignatures(connection);

    public static bool PeerUsesSignatures(Connection connection)
    {
        for (var i = 0; i < CountPeer(connection); i++)
        {
            if (PeerOf(connection, i).Kind == AuthKind.PublicKey) return true;
        }

        return false;
    }

    private static bool OwnUsesSignatures(Connection connection)
    {
        for (var i = 0; i < CountOwn(connection); i++)
        {
            if (OwnOf(connection, i).Kind == AuthKind.PublicKey) return true;
        }

        return false;
    }
}

/// <summary>MULTIPLE_AUTH_SUPPORTED in the responder's answer (RFC 4739 section 2.1); the initiator says it in IKE_AUTH.</summary>
internal sealed class MultipleAuthPart : InitPart
{
    public override void WriteResponse(IkeSa sa, MessageBuilder builder) => builder.Notify(NotifyType.MultipleAuthSupported);

    public override void ReadResponse(IkeSa sa, scoped in MessageView view) => sa.Handshake!.PeerDoesRounds = view.HasNotify(NotifyType.MultipleAuthSupported);

    public override int ResponseLength(Connection connection, scoped in MessageView request) => 8;
}
