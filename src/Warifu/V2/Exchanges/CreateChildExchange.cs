using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>CREATE_CHILD_SA for a new child (RFC 7296 section 1.3.1) and for rekeying one (section 1.3.3). This file: the initiator.</summary>
internal sealed class CreateChildExchange(ChildRequest request, ChildState? old = null) : Exchange
{
    private ChildOffer? _offer;
    private byte[] _nonce = [];
    private readonly List<ChildSpi> _closed = [];
    private KeId _method;
    private int _restarts;
    private int _tries;

    /// <summary>Those of <paramref name="exchanges"/> that make new children.</summary>
    public static IEnumerable<CreateChildExchange> NewOf(IEnumerable<Exchange> exchanges) => exchanges.OfType<CreateChildExchange>().Where(exchange => exchange.Old is null);

    public ChildRequest Request => request;

    /// <summary>The pair that is rekeyed; null = a new child.</summary>
    public ChildState? Old => old;

    /// <summary>The pair for the same child that the peer made while our request was under way.</summary>
    public ChildState? PeerMade { get; set; }

    /// <summary>The peer closes a pair that we do not know yet.</summary>
    public void PeerClosed(ChildSpi spi)
    {
        if (_closed.Count < 64) _closed.Add(spi);
    }

    public override ExchangeType Type => ExchangeType.CreateChildSa;

    public override string Task => old is null ? "CHILD_CREATE" : "CHILD_REKEY";

    /// <summary>New children with different names know nothing of each other. A rekeying, and the rest of a child that the peer takes apart, wait for what they follow.</summary>
    public override bool MayRunBeside(Exchange other) => old is null && other is CreateChildExchange { Old: null } creation && creation.Request.Config.Name != request.Config.Name;

    public override bool TryBuild(IkeSa sa, MessageBuilder builder)
    {
        // it was replaced or closed while this waited
        if (old is not null && (!sa.Children.Contains(old) || old.Phase != ChildPhase.Rekeying))
        {
            var replaced = sa.Children.HasLive(old.Config.Name);
            sa.Engine.Complete(request.Command, new CommandResult(replaced, replaced ? "" : "the child was closed meanwhile", Matches: 1, Done: replaced ? 1 : 0));
            return false;
        }

        // the same child twice is of no use: the peer's request may have come first
        if (old is null && IsThere(sa))
        {
            sa.Engine.Complete(request.Command, new CommandResult(true, Matches: 1, Done: 1));
            return false;
        }

        if (ChildFailures.AhInTheWay(sa, request.Config) is { } nat)
        {
            ChildFailures.NotAsked(sa, request, nat);
            return false;
        }

        PeerMade = null;
        if (old is not null) old.PeerRekey = null;
        _closed.Clear();
        if (sa.Report.Ended) sa.Report = new ReportBuilder(sa.Engine.Now, initiator: true);
        _nonce = InitExchange.Nonce(sa);
        _offer = ChildOffer.Make(sa, request, withoutKe: false, _method, old);
        if (old is not null) builder.Notify(old.Proposal.Protocol, old.Inbound, NotifyType.RekeySa);
        _offer.Write(builder, IsFirst: false, _nonce);
        return true;
    }

    public override void OnResponse(IkeSa sa, scoped in MessageView view)
    {
        var answer = ChildAnswer.Read(view);
        if (answer.Error is not null && old?.PeerRekey is { Made.Table: not null })
        {
            // the peer's own rekeying of this pair went through
            _offer!.Abandon(sa);
            old.PeerRekey = null;
            if (sa.Children.Contains(old)) Requests.Replaced(sa, old);
            sa.Engine.Complete(request.Command, new CommandResult(true, Matches: 1, Done: 1));
            return;
        }

        if (answer.Error == NotifyType.InvalidKePayload && answer.ErrorData.Length == 2)
        {
            var wanted = (KeId)((answer.ErrorData[0] << 8) | answer.ErrorData[1]);
            var offered = _offer!.Proposals.Any(proposal => proposal.Transforms.Contains(Transform.Ke(wanted)));
            if (offered && wanted != _offer.KeyExchange?.Info.Id && ++_restarts <= ProtocolTimes.InitRestarts)
            {
                _offer.Abandon(sa);
                _method = wanted;
                sa.Window.Start(this);
                return;
            }
        }

        if (answer.Error == NotifyType.TemporaryFailure)
        {
            _offer!.Abandon(sa);
            Retries.Later(sa, this, ++_tries, old?.ExpireAt ?? Instant.Never);
            return;
        }

        if (old is not null && answer.Error == NotifyType.ChildSaNotFound)
        {
            _offer!.Abandon(sa);
            Lost(sa, old);
            return;
        }

        if (answer.Error is null && _closed.Contains(answer.Spi))
        {
            _offer!.Abandon(sa);
            if (old is not null && sa.Children.Contains(old) && old.Phase == ChildPhase.Rekeying) Lifetimes.Delete(sa, old, "peer-deleted");
            else if (old is null && !sa.Children.HasLive(request.Config.Name)) sa.Engine.Act(sa.Connection, request.Config, request.Config.CloseAction);
            sa.Engine.Complete(request.Command, new CommandResult(false, "the peer closed the child at once"));
            return;
        }

        // a pair that goes again at once carries nothing
        var redundant = old is null ? PeerMade is { IsLive: true, Table: not null } : old.PeerRekey is { } crossing && Collisions.OursIsRedundant(_nonce, answer.Nonce, crossing.Ni, crossing.Nr);
        var made = answer.Take(sa, _offer!, _nonce, answer.Nonce, old, outboundReady: !redundant, out var child);
        if (old is null)
        {
            if (!made || !redundant) return;
            if (PeerMade is { } theirs && theirs.Local.SequenceEqual(child!.Local) && theirs.Remote.SequenceEqual(child.Remote))
            {
                // both sides made it at the same time: the responder of the IKE SA takes its own back
                Lifetimes.Delete(sa, child, "redundant");
                sa.Engine.Emit(new IkeAction.UseOutbound(theirs.Id));
            }
            else
            {
                sa.Engine.Emit(new IkeAction.UseOutbound(child!.Id));
            }

            return;
        }

        if (!made)
        {
            // what is there stays until its hard lifetime, and another try comes before
            if (old.Phase == ChildPhase.Rekeying && sa.State == IkeState.Established)
            {
                old.Phase = ChildPhase.Installed;
                old.RekeyFailed = true;
                old.RekeyAt = Lifetimes.RetryRekey(sa, old.ExpireAt);
            }

            return;
        }

        Settle(sa, child!, redundant);
    }

    public override bool TryMove(IkeSa from)
    {
        _offer?.Abandon(from);
        _offer = null;
        return true;
    }

    public override void OnAbandoned(IkeSa sa, string reason, string text)
    {
        _offer?.Abandon(sa);
        // a new authentication makes new keys too
        var done = reason == "rekeyed";
        sa.Engine.Complete(request.Command, new CommandResult(done, done ? "" : text, Matches: 1, Done: done ? 1 : 0));
    }

    private bool IsThere(IkeSa sa)
    {
        if (!sa.Children.HasLive(request.Config.Name)) return false;
        if (request.Part is { } part) return sa.Children.Values.Any(child => child.IsLive && child.Config.Name == request.Config.Name && Selectors.Covers(child.Local, part.Local) && Selectors.Covers(child.Remote, part.Remote));
        if (request is not { PacketLocal: { } local, PacketRemote: { } remote }) return true;
        return sa.Children.Values.Any(child => child.IsLive && child.Config.Name == request.Config.Name && Selectors.Covers(child.Local, [local]) && Selectors.Covers(child.Remote, [remote]));
    }

    /// <summary>The peer does not know the pair any more: ours goes without a word, and a new one is made unless one is there (section 2.25).</summary>
    private void Lost(IkeSa sa, ChildState gone)
    {
        var had = sa.Children.Contains(gone);
        sa.RemoveChild(gone, "peer-lost", "the peer does not know this child any more (CHILD_SA_NOT_FOUND)");
        if (had && !sa.Children.HasLive(gone.Config.Name)) sa.Window.Start(new CreateChildExchange(request));
        else sa.Engine.Complete(request.Command, new CommandResult(!had || sa.Children.HasLive(gone.Config.Name), had ? "" : "the child was closed meanwhile", Matches: 1, Done: 1));
    }

    /// <summary>Who deletes what after a rekeying, also when the peer rekeyed the same pair at the same time (section 2.8.1).</summary>
    private void Settle(IkeSa sa, ChildState made, bool redundant)
    {
        if (old!.PeerRekey is { Made: var other })
        {
            old.PeerRekey = null;
            // nonces decide also when the peer's pair was closed meanwhile: the peer, which may have closed it, counts on that
            if (redundant)
            {
                // the peer keeps its own and deletes the old pair; until then, or until it sends on its own, our answer may not have reached it (section 2.8)
                Lifetimes.Delete(sa, made, "redundant");
                if (sa.Children.Contains(old)) Requests.Replaced(sa, old);
                return;
            }

            // the peer deletes its redundant pair
            if (sa.Children.Contains(other)) Requests.Replaced(sa, other);
        }

        old.Successor = made;
        if (!sa.Children.Contains(old)) return;
        old.Phase = ChildPhase.Rekeyed;
        (old.RekeyAt, old.ExpireAt) = (Instant.Never, sa.Engine.Now + ProtocolTimes.DeleteWait);
        sa.Window.Start(new DeleteChildExchange(old, "rekeyed"));
    }
}
