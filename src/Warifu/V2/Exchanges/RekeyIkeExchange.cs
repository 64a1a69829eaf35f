using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;

namespace Warifu.V2.Exchanges;

/// <summary>CREATE_CHILD_SA that rekeys the IKE SA (RFC 7296 sections 1.3.2, 2.8 and 2.18): new SPIs and keys, message ids start at 0, children move, nobody is authenticated again. Both sides.</summary>
internal sealed class RekeyIkeExchange(CommandId command = default) : Exchange
{
    private KeyExchange? _keyExchange;
    private byte[] _nonce = [];
    private IkeSpi _spi;
    private KeId _method;
    private int _restarts;
    private int _tries;

    public override ExchangeType Type => ExchangeType.CreateChildSa;

    public override string Task => "IKE_REKEY";

    public override bool TryBuild(IkeSa sa, MessageBuilder builder)
    {
        if (sa.State != IkeState.Established)
        {
            sa.Engine.Complete(command, new CommandResult(false, "the IKE SA is not there any more"));
            return false;
        }

        sa.PeerRekey = null;

        if (sa.Report.Ended) sa.Report = new ReportBuilder(sa.Engine.Now, initiator: true);
        if (_method == KeId.None) _method = (KeId)sa.Proposal!.Find(TransformType.Ke).Id;
        _keyExchange?.Dispose();
        _keyExchange = KeyExchange.Generate(_method, sa.Engine.Entropy);
        sa.Engine.Counters.KeyExchanges++;
        _nonce = InitExchange.Nonce(sa);
        _spi = sa.Engine.NewIkeSpi();
        builder.Sa(InitExchange.Offer(sa.Connection.Proposals, _spi.Value, 8)).Nonce(_nonce).Ke(_method, _keyExchange.PublicValue);
        return true;
    }

    public override void OnResponse(IkeSa sa, scoped in MessageView view)
    {
        if (view.TryGetError(out var error))
        {
            OnError(sa, error.Type, error.Data.ToArray());
            return;
        }

        var complete = view.TryGet(PayloadType.Sa, out var saBody) & view.TryGet(PayloadType.Ke, out var keBody) & view.TryGet(PayloadType.Nonce, out var nonce);
        if (!complete || SaPayload.TryParse(saBody, out var answers) != ParseError.None || answers.Length != 1 || answers[0].SpiLength != 8 || answers[0].Spi == 0 || KeView.TryParse(keBody, out var ke) != ParseError.None)
        {
            GiveUp(sa, "the peer's answer to the IKE rekeying is incomplete");
            Lifetimes.DeleteButWant(sa, "invalid-syntax", "the peer's answer to the IKE rekeying is incomplete");
            return;
        }

        var chosen = answers[0].Proposal;
        if (ProposalSelection.CheckAnswer(sa.Connection.Proposals, chosen) is { } wrong)
        {
            // the peer has installed something that we do not have: only a new IKE SA puts both in step
            GiveUp(sa, wrong);
            Lifetimes.DeleteButWant(sa, "no-proposal", wrong);
            return;
        }

        if (ke.Method != _method || chosen.Find(TransformType.Ke).Id != (ushort)_method || !_keyExchange!.TryDerive(ke.Public, out var shared))
        {
            // RFC 6989 section 2.5
            GiveUp(sa, "the peer's key exchange does not fit");
            Lifetimes.DeleteButWant(sa, "invalid-key-exchange", "the peer's key exchange does not fit");
            return;
        }

        var nr = nonce.ToArray();
        IkeSa made;
        using (shared) made = Make(sa, initiator: true, _spi, new IkeSpi(answers[0].Spi), chosen, _nonce, nr, shared);
        CrashTokens.Read(made, view);
        _keyExchange.Dispose();
        sa.Engine.ReportDone(sa, null, null);
        sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
        if (sa.PeerRekey is { Made.State: IkeState.Established } theirs)
        {
            if (Collisions.OursIsRedundant(_nonce, nr, theirs.Ni, theirs.Nr))
            {
                // the peer's new IKE SA wins: it deletes the old one, we delete ours (section 2.8.2)
                Retire(sa, theirs.Made);
                Lifetimes.Delete(made, "redundant", "the peer rekeyed the IKE SA at the same time");
                return;
            }

            // the peer deletes its own; the children that went there come over to ours
            Retire(theirs.Made, made, isKnown: false);
        }

        Retire(sa, made);
        if (sa.Engine.Options.CrashSecret is not null) made.Window.Start(new CrashTokenExchange());
        sa.Window.Start(new DeleteIkeExchange("rekeyed", "replaced by a rekeyed IKE SA"));
    }

    public override void OnAbandoned(IkeSa sa, string reason, string text)
    {
        _keyExchange?.Dispose();
        // the peer's rekeying did what was asked
        var done = reason == "rekeyed";
        sa.Engine.Complete(command, new CommandResult(done, done ? "" : text, Matches: 1, Done: done ? 1 : 0));
    }

    /// <summary>The responder.</summary>
    public static void OnRequest(IkeSa sa, scoped in MessageView view)
    {
        var parsed = view.TryGet(PayloadType.Sa, out var saBody) & view.TryGet(PayloadType.Ke, out var keBody) & view.TryGet(PayloadType.Nonce, out var nonce);
        if (!parsed || SaPayload.TryParse(saBody, out var offers) != ParseError.None || KeView.TryParse(keBody, out var ke) != ParseError.None)
        {
            Requests.Malformed(sa, "a request to rekey the IKE SA without all of its payloads");
            return;
        }

        var choice = ProposalSelection.Select(sa.Connection.Proposals, [.. offers.Select(offer => offer.Proposal)]);
        if (choice.Chosen is not { } chosen || offers[choice.OfferIndex] is not { SpiLength: 8, Spi: not 0 } offer)
        {
            sa.Refuse(ExchangeType.CreateChildSa, NotifyType.NoProposalChosen);
            sa.Engine.ReportDone(sa, null, InitExchange.NoProposal(sa.Connection, [.. offers.Select(given => given.Proposal)], choice.WhyNot));
            return;
        }

        var method = (KeId)chosen.Find(TransformType.Ke).Id;
        if (ke.Method != method)
        {
            sa.Refuse(ExchangeType.CreateChildSa, NotifyType.InvalidKePayload, [(byte)((ushort)method >> 8), (byte)method]);
            return;
        }

        using var keyExchange = KeyExchange.Generate(method, sa.Engine.Entropy);
        sa.Engine.Counters.KeyExchanges++;
        if (!keyExchange.TryDerive(ke.Public, out var shared))
        {
            // RFC 6989 section 2.5
            Requests.Malformed(sa, "a public value that is not acceptable");
            return;
        }

        var ni = nonce.ToArray();
        var nr = InitExchange.Nonce(sa);
        var spi = sa.Engine.NewIkeSpi();
        var builder = new MessageBuilder().Sa([new OfferedProposal(offer.Number, spi.Value, 8, chosen)]).Nonce(nr).Ke(method, keyExchange.PublicValue);
        // RFC 6290 section 4.3
        if (sa.Engine.Options.CrashSecret is { } secret) builder.NotifyIke(NotifyType.QuickCrashDetection, CrashTokens.Make(secret, isInitiator: false, new IkeSpi(offer.Spi), spi));
        sa.Respond(ExchangeType.CreateChildSa, builder);
        IkeSa made;
        using (shared) made = Make(sa, initiator: false, new IkeSpi(offer.Spi), spi, chosen, ni, nr, shared);
        sa.Engine.ReportDone(sa, null, null);
        if (sa.Window.Active is RekeyIkeExchange)
        {
            // ours is under way: nonces decide when it ends
            sa.PeerRekey = (ni, nr, made);
            made.Rival = sa;
            Move(sa, made);
            return;
        }

        // the initiator deletes the old one; if it forgets, so do we
        Retire(sa, made);
    }

    private static IkeSa Make(IkeSa old, bool initiator, IkeSpi spiI, IkeSpi spiR, Proposal chosen, byte[] ni, byte[] nr, Secret shared)
    {
        var made = old.Engine.NewSa(old.Connection, initiator, old.Local, old.Remote);
        (made.SpiI, made.SpiR, made.Proposal, made.LocalId, made.RemoteId) = (spiI, spiR, chosen, old.LocalId, old.RemoteId);
        (made.Peer, made.Moves) = (old.Peer, old.Moves);
        (made.LocalBehindNat, made.RemoteBehindNat, made.LastHeard) = (old.LocalBehindNat, old.RemoteBehindNat, old.Engine.Now);
        var encr = chosen.Find(TransformType.Encr);
        var prf = (PrfId)chosen.Find(TransformType.Prf).Id;
        using var seed = KeyScheduleV2.SkeySeedRekey(old.Keys!.Prf, old.Keys.SkD, ni, nr, shared);
        made.SetKeys(KeyScheduleV2.Derive(prf, (EncrId)encr.Id, encr.KeyBits, (IntegId)chosen.Find(TransformType.Integ).Id, seed, ni, nr, spiI, spiR));
        (made.Origin, made.Began, made.Proven, made.HasConfiguration, made.Rekeyings, made.IsRenewal) = (old.Origin, old.Began, old.Proven, old.HasConfiguration, old.Rekeyings + 1, old.IsRenewal);
        (made.Established, made.Authenticated, made.ReauthAt, made.AuthenticUntil) = (old.Engine.Now, old.Authenticated, old.ReauthAt, old.AuthenticUntil);
        made.Share(old.Virtual);
        made.State = IkeState.Established;
        old.Engine.Add(made);
        foreach (var counters in new[] { old.Engine.Counters, old.Engine.CountersOf(old.Connection.Name) })
        {
            if (initiator) counters.IkeRekeyInit++;
            else counters.IkeRekeyResp++;
        }

        Lifetimes.Begin(made);
        made.Reschedule();
        return made;
    }

    /// <summary>Children are inherited (section 2.8); what waits on the old one goes on there too. The old one waits for its delete.</summary>
    /// <param name="old">The replaced one.</param>
    /// <param name="made">The new one.</param>
    /// <param name="isKnown">False: nobody was told of <paramref name="old"/>, the result of a rekeying that crossed ours and lost.</param>
    public static void Retire(IkeSa old, IkeSa made, bool isKnown = true)
    {
        Move(old, made);
        // one that waits since an earlier rekeying has waited enough: a peer cannot pile them up
        old.Predecessor?.Close("rekeyed", "replaced by a rekeyed IKE SA");
        if (isKnown) made.Predecessor = old;
        (old.Successor, old.PeerRekey, old.Rival, made.Rival) = (made, null, null, null);
        old.State = IkeState.Rekeyed;
        (old.RekeyAt, old.DpdAt, old.RetryAt, old.ExpireAt) = (Instant.Never, Instant.Never, Instant.Never, old.Engine.Now + ProtocolTimes.DeleteWait);
        made.SettleAt = Instant.Min(made.SettleAt, old.SettleAt);
        if (old.ReplacedAt < made.ReplacedAt) (made.ReplacedBy, made.ReplacedAt) = (old.ReplacedBy, old.ReplacedAt);
        (old.ReauthAt, old.SettleAt, old.ReplacedAt, old.ReplacedBy) = (Instant.Never, Instant.Never, Instant.Never, null);
        Reauthentication.Follow(old, made);
        foreach (var waiting in old.Window.TakeQueued().Concat(old.Later).ToArray())
        {
            if (waiting is RekeyIkeExchange) waiting.OnAbandoned(old, "rekeyed", "");
            else made.Window.Start(waiting);
        }

        old.Later.Clear();
        old.Reschedule();
        if (!isKnown) return;
        (made.HoldsIdentity, old.HoldsIdentity) = (old.HoldsIdentity, false);
        old.Engine.Raise(new IkeSaRekeyed(made.Id) { Connection = old.Connection.Name, IkeId = old.Id });
        if (old.LocalBehindNat) old.Engine.Emit(new IkeAction.Keepalive(old.Id, old.Local, old.Remote, false));
        if (made.State == IkeState.Closed)
        {
            // it was closed while nobody knew yet which of two stays
            if (made.HoldsIdentity) old.Engine.Emit(new IkeAction.ReleaseIdentity(made.Id));
            made.HoldsIdentity = false;
        }
        else if (made.LocalBehindNat)
        {
            old.Engine.Emit(new IkeAction.Keepalive(made.Id, made.Local, made.Remote, true));
        }
    }

    public static void Move(IkeSa from, IkeSa to)
    {
        foreach (var child in from.Children.Values.ToImmutableArray())
        {
            from.Children.Remove(child);
            to.Children.Add(child);
            to.Engine.AddChild(to, child);
            // a question that was under way is lost with the old one
            if (child.Config.Inactivity > System.TimeSpan.Zero && child.IdleAt == Instant.Never) child.IdleAt = to.Engine.Now + child.Config.Inactivity;
        }

        to.Reschedule();
    }

    private void OnError(IkeSa sa, NotifyType error, byte[] data)
    {
        if (sa.PeerRekey is { Made.State: IkeState.Established } theirs)
        {
            // the peer's own rekeying went through
            _keyExchange?.Dispose();
            Retire(sa, theirs.Made);
            sa.Engine.ReportDone(sa, null, null);
            sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
            return;
        }

        if (error == NotifyType.InvalidKePayload && data.Length == 2)
        {
            var wanted = (KeId)((data[0] << 8) | data[1]);
            if (wanted != _method && sa.Connection.Proposals.Any(proposal => proposal.Transforms.Contains(Transform.Ke(wanted))) && ++_restarts <= ProtocolTimes.InitRestarts)
            {
                _method = wanted;
                sa.Window.Start(this);
                return;
            }
        }

        if (error == NotifyType.TemporaryFailure)
        {
            Retries.Later(sa, this, ++_tries, sa.ExpireAt);
            return;
        }

        GiveUp(sa, $"the peer refused the IKE rekeying with {MessageDescription.NameOf(error)}");
    }

    /// <summary>The old IKE SA stays until its hard lifetime; another try comes before.</summary>
    private void GiveUp(IkeSa sa, string why)
    {
        _keyExchange?.Dispose();
        if (sa.ExpireAt != Instant.Never) sa.RekeyAt = Lifetimes.RetryRekey(sa, sa.ExpireAt);
        var report = sa.Engine.ReportDone(sa, null, new NegotiationFailure("rekey", why, InitExchange.Print(sa.Connection.Proposals), [], [], $"here: change connections.{sa.Connection.Name}.proposals; or at the peer: change its IKE proposals, so that they have one in common also for rekeying; its log shows why"));
        sa.Engine.Complete(command, new CommandResult(false, why, Matches: 1, Report: report));
    }
}
