using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>IKE_AUTH (RFC 7296 sections 1.2 and 2.15, RFC 4739): the responder.</summary>
internal static class AuthResponder
{
    public static void OnRequest(IkeSa sa, scoped in MessageView view)
    {
        if (sa.State != IkeState.Connecting || sa.Initiator)
        {
            sa.Refuse(ExchangeType.IkeAuth, NotifyType.InvalidSyntax);
            Lifetimes.Fail(sa, "invalid-syntax", "the peer sent IKE_AUTH a second time");
            return;
        }

        if (sa.Handshake!.Rounds.Request is null) OnFirst(sa, view);
        else OnFurther(sa, view);
    }

    private static void OnFirst(IkeSa sa, scoped in MessageView view)
    {
        if (!view.TryGet(PayloadType.IdI, out var idBody) || IdPayload.TryParse(idBody, out var remoteId) != ParseError.None)
        {
            sa.Refuse(ExchangeType.IkeAuth, NotifyType.InvalidSyntax);
            Lifetimes.Fail(sa, "invalid-syntax", "the peer's IKE_AUTH request has no IDi");
            return;
        }

        Identity? wanted = null;
        if (view.TryGet(PayloadType.IdR, out var wantedBody) && IdPayload.TryParse(wantedBody, out wanted) != ParseError.None) wanted = null;
        sa.RemoteId = remoteId;
        var proof = PeerProof.Read(view, PayloadType.IdI);
        // the connection was guessed by address; identities decide (several peers may share addresses)
        if (Select(sa, remoteId!, wanted, proof?.Method) is not { } connection)
        {
            Refuse(sa, wanted is not null && sa.Connection.Local.Id is { } own && !IdentityPattern.Of(own).Matches(wanted) && sa.Connection.Remote.Id.Matches(remoteId!) ? WrongOwn(sa, wanted) : AuthSupport.WrongIdentity(sa, sa.Connection.Remote, remoteId!));
            return;
        }

        sa.Engine.Reassign(sa, connection);
        sa.LocalId = connection.Local.Id ?? wanted ?? Identity.Of(sa.Local.Address);
        if (proof is null)
        {
            // no AUTH means that the peer wants EAP (section 2.16)
            Refuse(sa, new NegotiationFailure("authentication-method", "the peer wants to authenticate with EAP", [], [connection.Remote.Kind.ToString()], [], "at the peer: use a pre-shared key (auth = psk) or a certificate (auth = pubkey)"));
            return;
        }

        var request = view.Keep();
        var handshake = sa.Handshake!;
        (handshake.Rounds.Request, handshake.Rounds.Wanted) = (request, wanted);
        handshake.PeerDoesRounds = view.HasNotify(NotifyType.MultipleAuthSupported);
        handshake.Wish.Read(view);
        if (!handshake.PeerDoesRounds && (!connection.LocalRounds.IsEmpty || !connection.RemoteRounds.IsEmpty))
        {
            Refuse(sa, AuthSupport.NoRounds(sa));
            return;
        }

        PpkPart.Judge(sa, proof, request, failure =>
        {
            if (failure is not null) Refuse(sa, failure);
            else Check(sa, proof, request);
        });
    }

    /// <summary>Another round (RFC 4739): a proof of the peer if it announced one, else nothing but the wish for our next one.</summary>
    private static void OnFurther(IkeSa sa, scoped in MessageView view)
    {
        var rounds = sa.Handshake!.Rounds;
        var message = view.Keep();
        if (!rounds.PeerFollows)
        {
            Answer(sa);
            return;
        }

        if (PeerProof.Read(view, PayloadType.IdI) is not { } proof)
        {
            Refuse(sa, new NegotiationFailure("authentication-method", "the peer announced another authentication (ANOTHER_AUTH_FOLLOWS) and sent none, or wants EAP", [], [], [], "at the peer: use a pre-shared key or a certificate in each round"));
            return;
        }

        var remote = AuthRounds.PeerOf(sa.Connection, rounds.Peer);
        if (remote.Id.Matches(proof.Id)) Check(sa, proof, message);
        else Refuse(sa, AuthSupport.WrongIdentity(sa, remote, proof.Id));
    }

    private static void Check(IkeSa sa, PeerProof proof, KeptMessage message)
    {
        var rounds = sa.Handshake!.Rounds;
        proof.Check(sa, rounds.Peer, failure =>
        {
            if (failure is not null)
            {
                Refuse(sa, failure);
                return;
            }

            rounds.Peer++;
            rounds.PeerFollows = message.View.HasNotify(NotifyType.AnotherAuthFollows);
            if (rounds.PeerFollows != rounds.Peer < AuthRounds.CountPeer(sa.Connection)) Refuse(sa, AuthSupport.WrongRounds(sa, rounds.Peer, rounds.PeerFollows));
            else Answer(sa);
        });
    }

    /// <summary>Our next proof, if there is one; and the end, when neither side has more to prove.</summary>
    private static void Answer(IkeSa sa)
    {
        // who may not come in learns nothing more of us; and what the peer has lost goes when it has proved all that it must
        if (sa.Handshake!.Rounds.PeerFollows || sa.HoldsIdentity) Prove(sa);
        else Claim(sa, () => Prove(sa));
    }

    private static void Prove(IkeSa sa)
    {
        var rounds = sa.Handshake!.Rounds;
        if (rounds.Own == AuthRounds.CountOwn(sa.Connection))
        {
            Proceed(sa, new MessageBuilder());
            return;
        }

        OwnProof.Make(sa, rounds.Own, sa.RemoteId!, rounds.Wanted, proof =>
        {
            rounds.Own++;
            var builder = new MessageBuilder();
            proof.Write(builder, PayloadType.IdR);
            if (rounds.Own < AuthRounds.CountOwn(sa.Connection)) builder.Notify(NotifyType.AnotherAuthFollows);
            // that we use the PPK, too (RFC 8784 section 3)
            if (rounds.Own == 1 && sa.Handshake.PpkUsed) builder.Notify(NotifyType.PpkIdentity);
            Proceed(sa, builder);
        }, failure => Refuse(sa, failure));
    }

    private static void Proceed(IkeSa sa, MessageBuilder builder)
    {
        var rounds = sa.Handshake!.Rounds;
        if (!rounds.PeerFollows && rounds.Own == AuthRounds.CountOwn(sa.Connection))
        {
            AuthPart.BeforeChildren(sa, () => Finish(sa, builder));
            return;
        }

        sa.Respond(ExchangeType.IkeAuth, builder);
        sa.Reschedule();
    }

    private static void Claim(IkeSa sa, System.Action next)
    {
        AuthPart.ReadRequests(sa, sa.Handshake!.Rounds.Request!.View);
        AuthSupport.Claim(sa, sa.Connection.Unique, sa.Handshake.InitialContact, isBounded: true, failure =>
        {
            if (failure is not null) Refuse(sa, failure);
            else next();
        });
    }

    private static void Finish(IkeSa sa, MessageBuilder builder)
    {
        var child = ChildProposal.Read(sa.Handshake!.Rounds.Request!.View);
        AuthSupport.Establish(sa);
        AuthPart.WriteResponses(sa, builder);
        // a child that fails leaves the IKE SA up (section 1.2)
        var made = child?.Answer(sa, builder, sa.Handshake.Ni, sa.Handshake.Nr, null, null, sa.Report);
        sa.Respond(ExchangeType.IkeAuth, builder);
        made?.Invoke();
        AuthDone(sa, child is null);
        sa.Engine.SettleDuplicates(sa);
    }

    /// <summary>Ends the handshake; a report without a child is complete here.</summary>
    internal static void AuthDone(IkeSa sa, bool childless)
    {
        sa.Handshake?.Dispose();
        sa.Handshake = null;
        if (childless)
        {
            sa.Engine.ReportDone(sa, null, null);
            sa.Engine.Succeeded(sa.Connection);
        }

        sa.Reschedule();
    }

    /// <summary>The best connection for these identities, which must accept the proposal that IKE_SA_INIT chose; one whose method the peer uses before others.</summary>
    private static Connection? Select(IkeSa sa, Identity remote, Identity? wanted, AuthMethod? method)
    {
        var kind = method switch { null => AuthKind.Eap, AuthMethod.SharedKey => AuthKind.Psk, _ => AuthKind.PublicKey };
        var best = (Score: -1, Connection: (Connection?)null);
        foreach (var candidate in sa.Engine.Index.Candidates(sa.Local.Address, sa.Remote.Address, IkeVersion.V2, remote))
        {
            var theirs = candidate.Remote.Id.Match(remote);
            if (theirs == IdentityMatch.No) continue;
            var ours = wanted is null || candidate.Local.Id is null ? IdentityMatch.Any : IdentityPattern.Of(candidate.Local.Id).Match(wanted);
            if (ours == IdentityMatch.No) continue;
            if (ProposalSelection.CheckAnswer(candidate.Proposals, sa.Proposal!) is not null) continue;
            var score = ((int)theirs * 8) + (int)ours + (candidate.Remote.Kind == kind ? 64 : 0);
            if (score > best.Score) best = (score, candidate);
        }

        return best.Connection;
    }

    private static NegotiationFailure WrongOwn(IkeSa sa, Identity wanted) => new(
        "identity",
        $"the peer asks for {Identities.Print(wanted)}, connections.{sa.Connection.Name}.local.id is {Identities.Print(sa.Connection.Local.Id)}",
        [Identities.Print(wanted)],
        [Identities.Print(sa.Connection.Local.Id)],
        [],
        $"here: set connections.{sa.Connection.Name}.local.id = {Identities.Print(wanted)}; or at the peer: set its remote id to {Identities.Print(sa.Connection.Local.Id)}");

    /// <summary>One answer for everything that is wrong with a peer's identity: it learns nothing (section 2.21.2).</summary>
    private static void Refuse(IkeSa sa, NegotiationFailure failure)
    {
        sa.Refuse(ExchangeType.IkeAuth, NotifyType.AuthenticationFailed);
        Lifetimes.Fail(sa, failure);
    }
}
