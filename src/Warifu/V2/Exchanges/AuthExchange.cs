using System;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>IKE_AUTH (RFC 7296 sections 1.2 and 2.15, RFC 4739): each side proves its identity, once or in several rounds, and the first child is made. This file: the initiator. One object sends all requests.</summary>
internal sealed class AuthExchange : Exchange
{
    private readonly AuthRounds _rounds = new();
    private OwnProof? _proof;
    private ChildOffer? _child;
    private bool _begun;

    public override ExchangeType Type => ExchangeType.IkeAuth;

    public override string Task => "IKE_AUTH";

    /// <summary>After IKE_SA_INIT: finds the secret, computes our AUTH, then sends. The asks may take any time.</summary>
    public static void Begin(IkeSa sa)
    {
        var connection = sa.Connection;
        // NAT found, or perhaps later on another path: both sides go on with port 4500 (section 2.23, RFC 4555 section 3.3)
        if ((sa.LocalBehindNat || sa.RemoteBehindNat || sa.ForceEncapsulation || (connection.Mobike && sa.Peer.NatTraversal)) && sa.Remote.Port == 500)
            (sa.Local, sa.Remote) = (sa.Local with { Port = sa.Engine.Options.PortNatT }, sa.Remote with { Port = 4500 });
        if (connection.Childless == ChildlessPolicy.Force && !sa.Peer.Childless)
        {
            Lifetimes.Fail(sa, new NegotiationFailure("childless", "the peer does not take IKE_AUTH without a child (RFC 6023), which this connection demands", [], [], [], $"here: set connections.{connection.Name}.childless = prefer; or at the peer: allow childless initiation"));
            return;
        }

        sa.ExpireAt = sa.Engine.Now + TimeSpan.FromMinutes(3);
        if (!sa.Handshake!.PeerDoesRounds && (!connection.LocalRounds.IsEmpty || !connection.RemoteRounds.IsEmpty))
        {
            Lifetimes.Fail(sa, AuthSupport.NoRounds(sa));
            return;
        }

        PpkPart.Prepare(sa, () => new AuthExchange().Next(sa));
    }

    public override bool TryBuild(IkeSa sa, MessageBuilder builder)
    {
        var connection = sa.Connection;
        sa.AuthSent = true;
        _proof?.Write(builder, PayloadType.IdI, _begun ? null : WriteBeforeAuth);
        if (_proof is not null && _rounds.Own < AuthRounds.CountOwn(connection)) builder.Notify(NotifyType.AnotherAuthFollows);
        if (_begun) return true;
        _begun = true;
        sa.Handshake!.Auth = this;
        if (sa.Handshake.PeerDoesRounds) builder.Notify(NotifyType.MultipleAuthSupported);
        PpkPart.WriteIdentity(sa, builder);
        AuthPart.WriteRequests(sa, builder);
        while (sa.Handshake!.Children.TryPeek(out var first) && ChildFailures.AhInTheWay(sa, first.Config) is { } nat) ChildFailures.NotAsked(sa, sa.Handshake.Children.Dequeue(), nat);
        if (!IsChildless(sa) && sa.Handshake!.Children.TryDequeue(out var request))
        {
            _child = ChildOffer.Make(sa, request, withoutKe: true);
            _child.Write(builder, IsFirst: true);
        }

        return true;

        void WriteBeforeAuth(MessageBuilder builder)
        {
            CertPayloads.WriteRequests(sa.Engine, connection, builder);
            // the peer may have several identities: say which one we want (section 2.15)
            if (connection.Remote.Id.Exact is { } wanted) builder.Id(PayloadType.IdR, wanted);
        }
    }

    public override void OnResponse(IkeSa sa, scoped in MessageView view)
    {
        var awaited = _rounds.Peer == 0 || _rounds.PeerFollows;
        var proof = PeerProof.Read(view, PayloadType.IdR);
        if (awaited ? proof is null : view.TryGetError(out var refusal) && AuthSupport.Ends(refusal.Type))
        {
            GiveBack(sa);
            if (sa.State == IkeState.Deleting) sa.Close("down", "closed from here");
            else Lifetimes.Fail(sa, AuthSupport.Refused(sa, view.TryGetError(out var error) ? error.Type : default));
            return;
        }

        // the rest is kept until the peer is authenticated: nothing is installed before (R2)
        var response = view.Keep();
        if (!awaited)
        {
            Proceed(sa, response);
            return;
        }

        if (PpkPart.ReadAnswer(sa, view) is { } noPpk)
        {
            Reject(sa, noPpk);
            return;
        }

        var remote = AuthRounds.PeerOf(sa.Connection, _rounds.Peer);
        if (_rounds.Peer == 0) sa.RemoteId = proof!.Id;
        if (!remote.Id.Matches(proof!.Id))
        {
            Reject(sa, AuthSupport.WrongIdentity(sa, remote, proof.Id));
            return;
        }

        proof.Check(sa, _rounds.Peer, failure =>
        {
            if (failure is not null)
            {
                Reject(sa, failure);
                return;
            }

            _rounds.Peer++;
            _rounds.PeerFollows = response.View.HasNotify(NotifyType.AnotherAuthFollows);
            if (_rounds.PeerFollows != _rounds.Peer < AuthRounds.CountPeer(sa.Connection)) Reject(sa, AuthSupport.WrongRounds(sa, _rounds.Peer, _rounds.PeerFollows));
            else Proceed(sa, response);
        });
    }

    public override void OnAbandoned(IkeSa sa, string reason, string text) => GiveBack(sa);

    /// <summary>RFC 6023 section 3: all children are made by CREATE_CHILD_SA, where the peer takes that.</summary>
    private static bool IsChildless(IkeSa sa) => sa.Peer.Childless && sa.Connection.Childless is ChildlessPolicy.Prefer or ChildlessPolicy.Force;

    /// <summary>Makes our next proof, if there is one, and sends the next request.</summary>
    private void Next(IkeSa sa)
    {
        _proof = null;
        if (_rounds.Own == AuthRounds.CountOwn(sa.Connection))
        {
            Send(sa);
            return;
        }

        var peer = sa.RemoteId ?? sa.Connection.Remote.Id.Exact ?? Identity.Of(sa.Remote.Address);
        OwnProof.Make(sa, _rounds.Own, peer, null, proof =>
        {
            _proof = proof;
            _rounds.Own++;
            Send(sa);
        }, failure =>
        {
            if (_begun) Reject(sa, failure);
            else Lifetimes.Fail(sa, failure);
        });
    }

    private void Send(IkeSa sa)
    {
        sa.Window.Start(this);
        sa.Reschedule();
    }

    /// <summary>The peer is authenticated as far as this response goes: another round, or the end.</summary>
    private void Proceed(IkeSa sa, KeptMessage response)
    {
        if (sa.State == IkeState.Deleting)
        {
            // closed from here while the request was under way: the peer, which is who it says, is told
            GiveBack(sa);
            sa.Window.Start(new DeleteIkeExchange("down", "closed from here"));
            return;
        }

        if (_rounds.PeerFollows || _rounds.Own < AuthRounds.CountOwn(sa.Connection)) Next(sa);
        else Finish(sa, response);
    }

    private void Finish(IkeSa sa, KeptMessage response)
    {
        AuthPart.ReadResponses(sa, response.View);
        if (sa.Handshake!.RedirectedTo is { } gateway)
        {
            GiveBack(sa);
            AuthSupport.Establish(sa);
            sa.Engine.Redirect(sa, gateway);
            AuthResponder.AuthDone(sa, childless: false);
            return;
        }

        var answer = ChildAnswer.Read(response.View);
        var initialContact = sa.Handshake!.InitialContact;
        AuthSupport.Establish(sa);
        var further = sa.Handshake!.Children.ToArray();
        sa.Handshake.Children.Clear();
        if (_child is not null) answer.Take(sa, _child);
        else AuthResponder.AuthDone(sa, childless: true);
        _child = null;
        foreach (var request in further) sa.Window.Start(new CreateChildExchange(request));
        AuthSupport.ClaimOwn(sa, initialContact);
        sa.Engine.SettleDuplicates(sa);
        sa.Reschedule();
    }

    /// <summary>We do not believe the peer: it is told under protection, and the SA ends (section 2.21.2).</summary>
    private void Reject(IkeSa sa, NegotiationFailure failure)
    {
        GiveBack(sa);
        Lifetimes.Tell(sa, failure);
        sa.State = IkeState.Deleting;
        sa.Window.Start(new RejectExchange(failure.Reason, failure.Sentence));
        sa.Reschedule();
    }

    /// <summary>The child's command is told with the IKE SA's.</summary>
    private void GiveBack(IkeSa sa)
    {
        if (_child is null) return;
        if (sa.State == IkeState.Connecting && sa.Handshake is { } handshake) handshake.Children.Enqueue(_child.Request);
        else sa.Engine.Complete(_child.Request.Command, new CommandResult(false, "the IKE SA was not established"));
        _child.Abandon(sa);
        _child = null;
    }
}
