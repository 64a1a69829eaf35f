using System.Linq;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>CREATE_CHILD_SA for a new child (RFC 7296 section 1.3.1) and for rekeying one (section 1.3.3). This file: the initiator.</summary>
internal sealed class CreateChildExchange(ChildRequest request, ChildState? old = null) : Exchange
{
    private ChildOffer? _offer;
    private byte[] _nonce = [];
    private KeId _method;
    private int _restarts;
    private int _tries;

    public ChildRequest Request => request;

    /// <summary>The pair that is rekeyed; null = a new child.</summary>
    public ChildState? Old => old;

    public override ExchangeType Type => ExchangeType.CreateChildSa;

    public override string Task => old is null ? "CHILD_CREATE" : "CHILD_REKEY";

    public override bool TryBuild(IkeSa sa, MessageBuilder builder)
    {
        // it was closed while this waited
        if (old is not null && (!sa.Children.ContainsKey(old.Id) || old.Phase != ChildPhase.Rekeying))
        {
            return false;
        }

        // the same child twice is of no use: the peer's request may have come first
        if (old is null && sa.Children.Values.Any(child => child.Phase == ChildPhase.Installed && child.Config.Name == request.Config.Name && request.PacketLocal is null))
        {
            sa.Engine.Complete(request.Command, new CommandResult(true, Matches: 1, Done: 1));
            return false;
        }

        if (sa.Report.Ended) sa.Report = new ReportBuilder(sa.Engine.Now, initiator: true);
        _nonce = InitExchange.Nonce(sa);
        _offer = ChildOffer.Make(sa, request, withoutKe: false, _method);
        if (old is not null) builder.Notify(ProtocolId.Esp, old.Inbound, NotifyType.RekeySa);
        _offer.Write(builder, IsFirst: false, _nonce);
        return true;
    }

    public override void OnResponse(IkeSa sa, scoped in MessageView view)
    {
        var answer = ChildAnswer.Read(view);
        if (answer.Error == NotifyType.InvalidKePayload && answer.ErrorData.Length == 2)
        {
            var wanted = (KeId)((answer.ErrorData[0] << 8) | answer.ErrorData[1]);
            var offered = _offer!.Proposals.Any(proposal => proposal.Transforms.Contains(Transform.Ke(wanted)));
            if (offered && wanted != _offer.KeyExchange?.Info.Id && ++_restarts <= ProtocolTimes.InitRestarts)
            {
                _offer.Dispose();
                _method = wanted;
                sa.Window.Start(this);
                return;
            }
        }

        if (answer.Error == NotifyType.TemporaryFailure && ++_tries < ProtocolTimes.TemporaryFailureTries)
        {
            _offer!.Dispose();
            sa.Later.Add(this);
            sa.RetryAt = sa.Engine.Now + ProtocolTimes.TemporaryFailureWait + sa.Engine.Entropy.NextSpan(ProtocolTimes.TemporaryFailureWait);
            return;
        }

        if (old is not null && answer.Error == NotifyType.ChildSaNotFound)
        {
            // the peer has lost it: so have we (section 2.25.1)
            _offer!.Dispose();
            sa.RemoveChild(old, "peer-lost", "the peer does not know this child any more (CHILD_SA_NOT_FOUND)");
            return;
        }

        var made = answer.Take(sa, _offer!, _nonce, answer.Nonce, old, out var child);
        if (old is null) return;
        if (!made)
        {
            // what is there stays until its hard lifetime
            if (old.Phase == ChildPhase.Rekeying) old.Phase = ChildPhase.Installed;
            return;
        }

        Settle(sa, child!, answer.Nonce);
    }

    public override void OnAbandoned(IkeSa sa, string reason, string text)
    {
        _offer?.Dispose();
        sa.Engine.Complete(request.Command, new CommandResult(false, text));
    }

    /// <summary>Who deletes what after a rekeying, also when the peer rekeyed the same pair at the same time (section 2.8.1).</summary>
    private void Settle(IkeSa sa, ChildState made, byte[] nr)
    {
        if (old!.PeerRekey is { } theirs && sa.Children.TryGetValue(theirs.ChildId, out var other))
        {
            if (Collisions.OursIsRedundant(_nonce, nr, theirs.Ni, theirs.Nr))
            {
                // the peer keeps its own and deletes the old pair
                Lifetimes.Delete(sa, made, "redundant");
                sa.Engine.Emit(new IkeAction.UseOutbound(other.Id));
                if (sa.Children.ContainsKey(old.Id)) old.Phase = ChildPhase.Rekeyed;
                return;
            }

            // the peer deletes its redundant pair
            other.Phase = ChildPhase.Rekeyed;
            other.RekeyAt = Instant.Never;
            other.ExpireAt = sa.Engine.Now + ProtocolTimes.DeleteWait;
        }

        if (!sa.Children.ContainsKey(old.Id)) return;
        sa.Window.Start(new DeleteChildExchange(old, "rekeyed"));
        old.Phase = ChildPhase.Rekeyed;
    }
}
