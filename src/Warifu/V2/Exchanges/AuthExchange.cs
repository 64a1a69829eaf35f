using System;
using System.Security.Cryptography;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>IKE_AUTH (RFC 7296 sections 1.2 and 2.15): each side proves its identity, and the first child is made. This file: the initiator.</summary>
internal sealed class AuthExchange(ReadOnlyMemory<byte> auth) : Exchange
{
    private ChildOffer? _child;

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

        sa.LocalId = connection.Local.Id ?? Identity.Of(sa.Local.Address);
        var guess = connection.Remote.Id.Exact ?? Identity.Of(sa.Remote.Address);
        sa.ExpireAt = sa.Engine.Now + TimeSpan.FromMinutes(3);
        sa.Engine.Ask(sa, new Ask.FindPsk(sa.LocalId, guess, connection.Name), found =>
        {
            if (found is not Answer.SecretHandle { Secret.IsNone: false } handle)
            {
                Lifetimes.Fail(sa, AuthSupport.NoPsk(sa, guess, found));
                return;
            }

            sa.Handshake!.SecretName = handle.Name;
            sa.Engine.Ask(sa, new Ask.PskAuth(handle.Secret, sa.Keys!.Prf, AuthSupport.OwnOctets(sa)), computed =>
            {
                if (computed is not Answer.Octets octets)
                {
                    Lifetimes.Fail(sa, "internal", "the secret keeper did not compute AUTH");
                    return;
                }

                var value = octets.Value.Span.ToArray();
                octets.Value.Dispose();
                sa.Window.Start(new AuthExchange(value));
                sa.Reschedule();
            });
        });
    }

    public override bool TryBuild(IkeSa sa, MessageBuilder builder)
    {
        var connection = sa.Connection;
        sa.AuthSent = true;
        builder.Id(PayloadType.IdI, sa.LocalId!);
        // the peer may have several identities: say which one we want (section 2.15)
        if (connection.Remote.Id.Exact is { } wanted) builder.Id(PayloadType.IdR, wanted);
        builder.Auth(AuthMethod.SharedKey, auth.Span);
        AuthPart.WriteRequests(sa, builder);
        if (!IsChildless(sa) && sa.Handshake!.Children.TryDequeue(out var request))
        {
            _child = ChildOffer.Make(sa, request, withoutKe: true);
            _child.Write(builder, IsFirst: true);
        }

        return true;
    }

    public override void OnResponse(IkeSa sa, scoped in MessageView view)
    {
        if (!view.TryGet(PayloadType.Auth, out var authBody) || !view.TryGet(PayloadType.IdR, out var idBody) || AuthView.TryParse(authBody, out var proof) != ParseError.None || IdPayload.TryParse(idBody, out var remoteId) != ParseError.None)
        {
            GiveBack(sa);
            if (sa.State == IkeState.Deleting) sa.Close("down", "closed from here");
            else Lifetimes.Fail(sa, AuthSupport.Refused(sa, view.TryGetError(out var error) ? error.Type : default));
            return;
        }

        sa.RemoteId = remoteId;
        if (!sa.Connection.Remote.Id.Matches(remoteId!))
        {
            Reject(sa, AuthSupport.WrongIdentity(sa, remoteId!));
            return;
        }

        if (proof.Method != AuthMethod.SharedKey)
        {
            Reject(sa, AuthSupport.WrongMethod(sa, proof.Method));
            return;
        }

        var given = proof.Data.ToArray();
        // the rest is kept until the peer is authenticated: nothing is installed before (R2)
        var response = view.Keep();
        var octets = AuthSupport.PeerOctets(sa, idBody);
        sa.Engine.Ask(sa, new Ask.FindPsk(sa.LocalId!, remoteId!, sa.Connection.Name), found =>
        {
            if (found is not Answer.SecretHandle { Secret.IsNone: false } handle)
            {
                Reject(sa, AuthSupport.NoPsk(sa, remoteId!, found));
                return;
            }

            if (sa.Handshake is { } handshake) handshake.SecretName = handle.Name;
            sa.Engine.Ask(sa, new Ask.PskAuth(handle.Secret, sa.Keys!.Prf, octets), computed => Verify(sa, computed, given, response));
        });
    }

    public override void OnAbandoned(IkeSa sa, string reason, string text) => GiveBack(sa);

    /// <summary>RFC 6023 section 3: all children are made by CREATE_CHILD_SA, where the peer takes that.</summary>
    private static bool IsChildless(IkeSa sa) => sa.Peer.Childless && sa.Connection.Childless is ChildlessPolicy.Prefer or ChildlessPolicy.Force;

    private void Verify(IkeSa sa, Answer computed, byte[] given, KeptMessage response)
    {
        if (computed is not Answer.Octets expected)
        {
            Reject(sa, new NegotiationFailure("internal", "the secret keeper did not compute AUTH", [], [], [], ""));
            return;
        }

        var good = CryptographicOperations.FixedTimeEquals(expected.Value.Span, given);
        expected.Value.Dispose();
        if (!good)
        {
            Reject(sa, AuthSupport.WrongSecret(sa));
            return;
        }

        if (sa.State == IkeState.Deleting)
        {
            // closed from here while the request was under way: the peer, which is who it says, is told
            GiveBack(sa);
            sa.Window.Start(new DeleteIkeExchange("down", "closed from here"));
            return;
        }

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
