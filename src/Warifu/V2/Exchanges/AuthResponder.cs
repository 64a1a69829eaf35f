using System.Security.Cryptography;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>IKE_AUTH (RFC 7296 sections 1.2 and 2.15): the responder.</summary>
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

        if (!view.TryGet(PayloadType.IdI, out var idBody) || IdPayload.TryParse(idBody, out var remoteId) != ParseError.None)
        {
            sa.Refuse(ExchangeType.IkeAuth, NotifyType.InvalidSyntax);
            Lifetimes.Fail(sa, "invalid-syntax", "the peer's IKE_AUTH request has no IDi");
            return;
        }

        Identity? wanted = null;
        if (view.TryGet(PayloadType.IdR, out var wantedBody) && IdPayload.TryParse(wantedBody, out wanted) != ParseError.None) wanted = null;
        sa.RemoteId = remoteId;
        // the connection was guessed by address; identities decide (several peers may share addresses)
        if (Select(sa, remoteId!, wanted) is not { } connection)
        {
            Refuse(sa, wanted is not null && sa.Connection.Local.Id is { } own && !IdentityPattern.Of(own).Matches(wanted) && sa.Connection.Remote.Id.Matches(remoteId!) ? WrongOwn(sa, wanted) : AuthSupport.WrongIdentity(sa, remoteId!));
            return;
        }

        sa.Engine.Reassign(sa, connection);
        sa.LocalId = connection.Local.Id ?? wanted ?? Identity.Of(sa.Local.Address);
        if (!view.TryGet(PayloadType.Auth, out var authBody) || AuthView.TryParse(authBody, out var proof) != ParseError.None)
        {
            // no AUTH means that the peer wants EAP (section 2.16)
            Refuse(sa, new NegotiationFailure("authentication-method", "the peer wants to authenticate with EAP", [], [connection.Remote.Kind.ToString()], [], "at the peer: use a pre-shared key (auth = psk)"));
            return;
        }

        if (proof.Method != AuthMethod.SharedKey)
        {
            Refuse(sa, AuthSupport.WrongMethod(sa, proof.Method));
            return;
        }

        var given = proof.Data.ToArray();
        var request = view.Keep();
        var octets = AuthSupport.PeerOctets(sa, idBody);
        sa.Engine.Ask(sa, new Ask.FindPsk(sa.LocalId, remoteId!, connection.Name), found =>
        {
            if (found is not Answer.SecretHandle { Secret.IsNone: false } handle)
            {
                Refuse(sa, AuthSupport.NoPsk(sa, remoteId!, found));
                return;
            }

            sa.Handshake!.SecretName = handle.Name;
            sa.Engine.Ask(sa, new Ask.PskAuth(handle.Secret, sa.Keys!.Prf, octets), computed =>
            {
                var good = false;
                if (computed is Answer.Octets expected)
                {
                    good = CryptographicOperations.FixedTimeEquals(expected.Value.Span, given);
                    expected.Value.Dispose();
                }

                if (!good)
                {
                    Refuse(sa, AuthSupport.WrongSecret(sa));
                    return;
                }

                Claim(sa, handle.Secret, request);
            });
        });
    }

    private static void Claim(IkeSa sa, SecretRef secret, KeptMessage request)
    {
        AuthPart.ReadRequests(sa, request.View);
        var initialContact = sa.Handshake!.InitialContact;
        var ask = new Ask.ClaimIdentity(sa.Id, sa.Connection.Name, sa.LocalId!, sa.RemoteId!, sa.Connection.Unique, initialContact) { SameHost = sa.Engine.SameHost(sa) };
        sa.Engine.Ask(sa, ask, answer =>
        {
            if (answer is not Answer.Claim { Granted: true } claim)
            {
                Refuse(sa, new NegotiationFailure("unique", $"{Identities.Print(sa.RemoteId)} has an IKE SA already and unique = keep", [], [], [], $"here: set connections.{sa.Connection.Name}.unique = replace, or close the old one"));
                return;
            }

            foreach (var old in claim.Replaces) sa.Engine.Replace(old, sa, initialContact);
            sa.Engine.Ask(sa, new Ask.PskAuth(secret, sa.Keys!.Prf, AuthSupport.OwnOctets(sa)), computed =>
            {
                if (computed is not Answer.Octets own)
                {
                    Refuse(sa, new NegotiationFailure("internal", "the secret keeper did not compute AUTH", [], [], [], ""));
                    return;
                }

                AuthPart.BeforeChildren(sa, () => Finish(sa, own, request));
            });
        });
    }

    private static void Finish(IkeSa sa, Answer.Octets own, KeptMessage request)
    {
        var child = ChildProposal.Read(request.View);
        var builder = new MessageBuilder().Id(PayloadType.IdR, sa.LocalId!).Auth(AuthMethod.SharedKey, own.Value.Span);
        own.Value.Dispose();
        AuthSupport.Establish(sa);
        AuthPart.WriteResponses(sa, builder);
        // a child that fails leaves the IKE SA up (section 1.2)
        var made = child?.Answer(sa, builder, sa.Handshake!.Ni, sa.Handshake.Nr, null, null, sa.Report);
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

    /// <summary>The best connection for these identities, which must accept the proposal that IKE_SA_INIT chose.</summary>
    private static Connection? Select(IkeSa sa, Identity remote, Identity? wanted)
    {
        var best = (Score: -1, Connection: (Connection?)null);
        foreach (var candidate in sa.Engine.Index.Candidates(sa.Local.Address, sa.Remote.Address, IkeVersion.V2, remote))
        {
            var theirs = candidate.Remote.Id.Match(remote);
            if (theirs == IdentityMatch.No) continue;
            var ours = wanted is null || candidate.Local.Id is null ? IdentityMatch.Any : IdentityPattern.Of(candidate.Local.Id).Match(wanted);
            if (ours == IdentityMatch.No) continue;
            if (ProposalSelection.CheckAnswer(candidate.Proposals, sa.Proposal!) is not null) continue;
            var score = ((int)theirs * 8) + (int)ours;
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
