using System.Buffers.Binary;
using System.Collections.Generic;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>Requests of the peer, once authentic and checked: each gets exactly one answer.</summary>
internal static class Requests
{
    public static void Dispatch(IkeSa sa, ExchangeType exchange, scoped in MessageView view)
    {
        switch (exchange)
        {
            case ExchangeType.IkeAuth:
                AuthResponder.OnRequest(sa, view);
                break;
            case ExchangeType.Informational when sa.State == IkeState.Connecting && !view.TryGetError(out _) && view.IndexOf(PayloadType.Delete) < 0:
                sa.Refuse(exchange, NotifyType.InvalidSyntax);
                Lifetimes.Fail(sa, "invalid-syntax", "the peer sent INFORMATIONAL before IKE_AUTH");
                break;
            case ExchangeType.CreateChildSa:
                OnCreateChild(sa, view);
                break;
            case ExchangeType.Informational:
                OnInformational(sa, view);
                break;
            default:
                sa.Refuse(exchange, NotifyType.InvalidSyntax);
                break;
        }
    }

    private static void OnCreateChild(IkeSa sa, scoped in MessageView view)
    {
        var isIke = view.IndexOf(PayloadType.TsI) < 0;
        ChildState? old = null;
        var (spi, rekeys, protocol) = (default(ChildSpi), false, ProtocolId.Esp);
        if (!isIke && view.TryGetNotify(NotifyType.RekeySa, out var rekey))
        {
            if (rekey.Spi.Length != 4)
            {
                Malformed(sa, "a REKEY_SA notify without an SPI");
                return;
            }

            // the SPI is the one that the sender receives on: our outbound one (section 1.3.3)
            (spi, rekeys, protocol) = (new ChildSpi(BinaryPrimitives.ReadUInt32BigEndian(rekey.Spi)), true, rekey.Protocol);
            old = sa.Children.ByOutbound(spi);
        }

        var request = isIke ? PeerRequest.RekeyIke : rekeys ? PeerRequest.RekeyChild : PeerRequest.CreateChild;
        var verdict = Judge(sa, request, old);
        if (verdict == CollisionAnswer.Later)
        {
            sa.Refuse(ExchangeType.CreateChildSa, NotifyType.TemporaryFailure);
            return;
        }

        if (rekeys && old is null)
        {
            // perhaps it is the pair that our own request makes: its answer may still be under way
            if (sa.Window.Active is CreateChildExchange)
            {
                sa.Refuse(ExchangeType.CreateChildSa, NotifyType.TemporaryFailure);
                return;
            }

            sa.Respond(ExchangeType.CreateChildSa, new MessageBuilder().Notify(protocol, spi, NotifyType.ChildSaNotFound));
            return;
        }

        if (isIke)
        {
            RekeyIkeExchange.OnRequest(sa, view);
            return;
        }

        if (!rekeys && AsksForAddress(sa, view)) return;
        if (!view.TryGet(PayloadType.Nonce, out var nonce) || ChildProposal.Read(view) is not { } proposal)
        {
            Malformed(sa, "a CREATE_CHILD_SA request without all of its payloads");
            return;
        }

        var ni = nonce.ToArray();
        var nr = InitExchange.Nonce(sa);
        var builder = new MessageBuilder();
        var done = proposal.Answer(sa, builder, ni, nr, old, made =>
        {
            if (old is null)
            {
                if (sa.Window.Creating(made.Config.Name) is { } active) active.PeerMade = made;
                return;
            }

            old.Successor = made;
            if (verdict == CollisionAnswer.ProceedAndCompare)
            {
                old.PeerRekey = (ni, nr, made);
                return;
            }

            Replaced(sa, old);
        }, sa.Report);
        sa.Respond(ExchangeType.CreateChildSa, builder);
        done?.Invoke();
    }

    /// <summary>The request waits for the address that it asks for, then it is looked at anew: what goes on may be something else by then.</summary>
    private static bool AsksForAddress(IkeSa sa, scoped in MessageView view)
    {
        if (view.IndexOf(PayloadType.Cp) < 0) return false;
        var request = view.Keep();
        return ConfigurationPart.LeaseLater(sa, view, failure =>
        {
            if (failure is null)
            {
                OnCreateChild(sa, request.View);
            }
            else
            {
                sa.Refuse(ExchangeType.CreateChildSa, NotifyType.InternalAddressFailure);
                sa.Engine.ReportDone(sa, null, failure);
            }

            sa.Reschedule();
        });
    }

    /// <summary>The peer deletes the old pair; if it forgets, so do we.</summary>
    internal static void Replaced(IkeSa sa, ChildState old)
    {
        old.Phase = ChildPhase.Rekeyed;
        old.RekeyAt = Instant.Never;
        old.ExpireAt = sa.Engine.Now + ProtocolTimes.DeleteWait;
    }

    internal static void Malformed(IkeSa sa, string what)
    {
        sa.Refuse(ExchangeType.CreateChildSa, NotifyType.InvalidSyntax);
        Lifetimes.Fail(sa, "invalid-syntax", $"the peer sent {what}");
    }

    private static CollisionAnswer Judge(IkeSa sa, PeerRequest request, ChildState? child)
    {
        var own = OwnActivityOf(sa, child);
        sa.Engine.Counters.Crossings[((int)request * Collisions.Activities) + (int)own]++;
        return Collisions.Decide(request, own);
    }

    private static OwnActivity OwnActivityOf(IkeSa sa, ChildState? child) => (sa.State, sa.Window.Active) switch
    {
        (IkeState.Deleting or IkeState.Rekeyed, _) or (_, DeleteIkeExchange) => OwnActivity.DeletingIke,
        (_, RekeyIkeExchange) => OwnActivity.RekeyingIke,
        // a pair that waits for its delete is being closed, whatever else goes on
        _ when child is { IsLive: false } => OwnActivity.DeletingThisChild,
        (_, CreateChildExchange { Old: null }) => OwnActivity.CreatingChild,
        (_, CreateChildExchange { Old: { } old }) => old == child ? OwnActivity.RekeyingThisChild : OwnActivity.RekeyingOtherChild,
        (_, DeleteChildExchange exchange) => exchange.Child == child ? OwnActivity.DeletingThisChild : OwnActivity.DeletingOtherChild,
        _ => OwnActivity.None,
    };

    private static void OnInformational(IkeSa sa, scoped in MessageView view)
    {
        var (ours, oursOfAh) = (new List<ChildSpi>(), new List<ChildSpi>());
        var gone = new List<(IkeSa Owner, ChildState Child)>();
        HashSet<uint>? seen = null;
        for (var i = 0; i < view.Count; i++)
        {
            if (view[i].Type != PayloadType.Delete || DeletePayload.TryParse(view.Body(i), out var protocol, out var spis) != ParseError.None) continue;
            if (protocol == ProtocolId.Ike)
            {
                OnIkeDelete(sa);
                return;
            }

            foreach (var spi in spis)
            {
                if (sa.ChildByOutbound(spi) is not { } found)
                {
                    // perhaps the pair that our own request makes, closed before its answer arrived
                    foreach (var running in sa.Window.Running) (running as CreateChildExchange)?.PeerClosed(spi);
                    continue;
                }

                if (!(seen ??= []).Add(found.Child.Id)) continue;
                gone.Add(found);
                // both delete the same pair: the answer is empty, our own delete is on its way (section 1.4.1)
                var own = sa.Window.Active is DeleteChildExchange exchange && exchange.Child == found.Child ? OwnActivity.DeletingThisChild : OwnActivityOf(sa, null);
                sa.Engine.Counters.Crossings[((int)PeerRequest.DeleteChild * Collisions.Activities) + (int)own]++;
                if (Collisions.Decide(PeerRequest.DeleteChild, own) != CollisionAnswer.AnswerEmpty) (found.Child.Config.IsAh ? oursOfAh : ours).Add(found.Child.Inbound);
            }
        }

        if (view.TryGetError(out var error) && error.Type == NotifyType.AuthenticationFailed)
        {
            sa.Respond(ExchangeType.Informational, new MessageBuilder());
            if (sa.State == IkeState.Connecting) Lifetimes.Fail(sa, AuthSupport.Refused(sa, error.Type));
            else RejectedLate(sa);
            return;
        }

        CrashTokens.Read(sa, view);
        if (view.TryGetNotify(NotifyType.AuthLifetime, out var lifetime)) Reauthentication.Told(sa, lifetime.Data);
        var builder = new MessageBuilder();
        var (local, remote) = sa.RequestPath;
        ConfigurationPart.Inform(sa, view, builder);
        Mobike.OnRequest(sa, view, builder, local, remote);
        if (ours.Count > 0) builder.Delete(ProtocolId.Esp, ours.ToArray());
        if (oursOfAh.Count > 0) builder.Delete(ProtocolId.Ah, oursOfAh.ToArray());
        foreach (var (owner, child) in gone) ChildInstall.LeaveOutbound(owner, child, ends: false);
        sa.Respond(ExchangeType.Informational, builder);
        foreach (var (owner, child) in gone) Gone(owner, child);
        // RFC 5685 section 5: the gateway wants to serve us elsewhere
        if (sa is { State: IkeState.Established, Origin.IsOurs: true, Connection.FollowRedirects: true } && view.TryGetNotify(NotifyType.Redirect, out var redirect) && IkeEngine.GatewayOf(redirect, out _) is { } gateway) sa.Engine.Redirect(sa, gateway);
    }

    /// <summary>The initiator does not believe what we answered (section 2.21.2): for us the SA was up already.</summary>
    private static void RejectedLate(IkeSa sa)
    {
        var failure = AuthSupport.Rejected(sa);
        sa.Report.Add(sa.Engine.Now, StepDirection.Here, failure.Sentence);
        var report = sa.Report.Build(sa.Connection.Name, null, sa.Local, sa.Remote, sa.Engine.Now, failure);
        sa.Engine.Raise(new NegotiationEnded(report) { Connection = sa.Connection.Name, IkeId = sa.Id });
        sa.Close(failure.Reason, failure.Sentence);
    }

    private static void Gone(IkeSa sa, ChildState child)
    {
        var wasWanted = child.IsLive || child.HasExpired;
        if (child.IsLive) Reauthentication.Drop(sa, child);
        if (child.Unfit is { } why) sa.RemoveChild(child, "nat", why);
        else sa.RemoveChild(child, child.Successor is { Table: not null } || child.Phase == ChildPhase.Rekeyed ? "rekeyed" : "peer-deleted", "the peer closed it");
        sa.Reschedule();
        if (wasWanted && !sa.Children.HasLive(child.Config.Name)) sa.Engine.Act(sa.Connection, child.Config, child.Config.CloseAction);
    }

    private static void OnIkeDelete(IkeSa sa)
    {
        var own = OwnActivityOf(sa, null);
        sa.Engine.Counters.Crossings[((int)PeerRequest.DeleteIke * Collisions.Activities) + (int)own]++;
        foreach (var child in sa.Children.Values) ChildInstall.LeaveOutbound(sa, child, ends: true);
        sa.Respond(ExchangeType.Informational, new MessageBuilder());
        if (sa.PeerRekey is { } theirs)
        {
            // the peer did not see our rekeying: its own stays, ours is forgotten (section 2.8.2)
            RekeyIkeExchange.Retire(sa, theirs.Made);
        }
        else if (sa.Rival is { State: IkeState.Established, Window.Active: RekeyIkeExchange } rival)
        {
            // the peer knows already that its rekeying was the redundant one; our answer to tell us so is still under way
            rival.PeerRekey = null;
            RekeyIkeExchange.Move(sa, rival);
            sa.Close("redundant", "both sides rekeyed the IKE SA at the same time");
            return;
        }

        sa.Close(sa.State == IkeState.Rekeyed ? "rekeyed" : "peer-deleted", "the peer closed it");
    }
}
