using System.Collections.Generic;
using System.Linq;
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
            case ExchangeType.CreateChildSa when sa.State == IkeState.Connecting:
            case ExchangeType.Informational when sa.State == IkeState.Connecting && !view.TryGetError(out _) && view.IndexOf(PayloadType.Delete) < 0:
                sa.Refuse(exchange, NotifyType.InvalidSyntax);
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
        if (!isIke && view.TryGetNotify(NotifyType.RekeySa, out var rekey))
        {
            if (rekey.Spi.Length != 4)
            {
                sa.Refuse(ExchangeType.CreateChildSa, NotifyType.InvalidSyntax);
                return;
            }

            // the SPI is the one that the sender receives on: our outbound one (section 1.3.3)
            var spi = new ChildSpi((uint)((rekey.Spi[0] << 24) | (rekey.Spi[1] << 16) | (rekey.Spi[2] << 8) | rekey.Spi[3]));
            old = sa.ChildByOutbound(spi);
            if (old is null)
            {
                sa.Respond(ExchangeType.CreateChildSa, new MessageBuilder().Notify(ProtocolId.Esp, spi, NotifyType.ChildSaNotFound));
                return;
            }
        }

        var request = isIke ? PeerRequest.RekeyIke : old is null ? PeerRequest.CreateChild : PeerRequest.RekeyChild;
        var verdict = sa.State == IkeState.Rekeyed ? CollisionAnswer.Later : Collisions.Decide(request, OwnActivityOf(sa, old));
        if (verdict == CollisionAnswer.Later)
        {
            sa.Refuse(ExchangeType.CreateChildSa, NotifyType.TemporaryFailure);
            return;
        }

        if (isIke)
        {
            RekeyIkeExchange.OnRequest(sa, view);
            return;
        }

        if (!view.TryGet(PayloadType.Nonce, out var nonce) || ChildProposal.Read(view) is not { } proposal)
        {
            sa.Refuse(ExchangeType.CreateChildSa, NotifyType.InvalidSyntax);
            return;
        }

        var ni = nonce.ToArray();
        var nr = InitExchange.Nonce(sa);
        var builder = new MessageBuilder();
        var done = proposal.Answer(sa, builder, ni, nr, old, made =>
        {
            if (old is null) return;
            old.Successor = made.Id;
            if (verdict == CollisionAnswer.ProceedAndCompare)
            {
                old.PeerRekey = (ni, nr, made.Id);
                return;
            }

            // the initiator deletes the old pair; if it forgets, so do we
            old.Phase = ChildPhase.Rekeyed;
            old.RekeyAt = Instant.Never;
            old.ExpireAt = sa.Engine.Now + ProtocolTimes.DeleteWait;
        }, sa.Report);
        sa.Respond(ExchangeType.CreateChildSa, builder);
        done?.Invoke();
    }

    private static OwnActivity OwnActivityOf(IkeSa sa, ChildState? child) => (sa.State, sa.Window.Active) switch
    {
        (IkeState.Deleting, _) or (_, DeleteIkeExchange) => OwnActivity.DeletingIke,
        (_, RekeyIkeExchange) => OwnActivity.RekeyingIke,
        (_, CreateChildExchange { Old: { } old }) when child is not null && old.Id == child.Id => OwnActivity.RekeyingThisChild,
        (_, CreateChildExchange) => OwnActivity.CreatingChild,
        _ when child?.Phase == ChildPhase.Deleting => OwnActivity.DeletingThisChild,
        _ => OwnActivity.None,
    };

    private static void OnInformational(IkeSa sa, scoped in MessageView view)
    {
        var ours = new List<ChildSpi>();
        var gone = new List<ChildState>();
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
                if (sa.ChildByOutbound(spi) is not { } child || gone.Contains(child)) continue;
                gone.Add(child);
                // both delete the same pair: the answer is empty, our own delete is on its way (section 1.4.1)
                var deleting = sa.Window.Active is DeleteChildExchange && child.Phase == ChildPhase.Deleting;
                if (Collisions.Decide(PeerRequest.DeleteChild, deleting ? OwnActivity.DeletingThisChild : OwnActivity.None) != CollisionAnswer.AnswerEmpty) ours.Add(child.Inbound);
            }
        }

        if (view.TryGetError(out var error) && error.Type == NotifyType.AuthenticationFailed)
        {
            sa.Respond(ExchangeType.Informational, new MessageBuilder());
            if (sa.State == IkeState.Connecting) Lifetimes.Fail(sa, AuthSupport.Refused(sa, error.Type));
            else RejectedLate(sa);
            return;
        }

        var builder = new MessageBuilder();
        if (ours.Count > 0) builder.Delete(ProtocolId.Esp, ours.ToArray());
        sa.Respond(ExchangeType.Informational, builder);
        foreach (var child in gone) Gone(sa, child);
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
        var wasLive = child.Phase is ChildPhase.Installed or ChildPhase.Rekeying;
        sa.RemoveChild(child, child.Phase == ChildPhase.Rekeyed ? "rekeyed" : "peer-deleted", "the peer closed it");
        if (wasLive && !sa.Children.Values.Any(other => other.Config.Name == child.Config.Name && other.Phase == ChildPhase.Installed)) sa.Engine.Act(sa.Connection, child.Config, child.Config.CloseAction);
    }

    private static void OnIkeDelete(IkeSa sa)
    {
        sa.Respond(ExchangeType.Informational, new MessageBuilder());
        var (rekeyed, deleting, connection) = (sa.State == IkeState.Rekeyed, sa.State == IkeState.Deleting, sa.Connection);
        var children = sa.Children.Values.Where(child => child.Phase is ChildPhase.Installed or ChildPhase.Rekeying).Select(child => child.Config).ToArray();
        sa.Close(rekeyed ? "rekeyed" : "peer-deleted", "the peer closed it");
        if (rekeyed || deleting) return;
        foreach (var child in children) sa.Engine.Act(connection, child, child.CloseAction);
    }
}
