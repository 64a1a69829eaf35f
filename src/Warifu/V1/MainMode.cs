using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>
/// Main mode, "identity protection" (RFC 2409 section 5): SA, SA; KE Ni, KE Nr; then under encryption ID and proof of either side. Each message is sent again by the initiator until its answer is there, by the
/// responder when the same message comes again.
/// </summary>
internal sealed class MainMode(IsakmpSa sa) : PhaseOne(sa)
{
    public override ExchangeType Exchange => ExchangeType.IdentityProtection;

    public override MessageKind? Expected => (Sa.Initiator, Step) switch
    {
        (true, 1) => MessageKind.Main2,
        (true, 2) => MessageKind.Main4,
        (true, 3) => MessageKind.Main6,
        (false, 1) => MessageKind.Main3,
        (false, 2) => MessageKind.Main5,
        _ => null,
    };

    public override void Start()
    {
        if (MethodsOf(Sa.Connection, initiator: true) is not [var method, ..] || SuiteChoice.Of(Sa.Connection, method) is not { IsEmpty: false } suites)
        {
            Fail(PhaseLifetimes.NothingToOffer(Sa.Connection), null);
            return;
        }

        Offered = suites;
        var writer = new WireWriter();
        SaBody.Write(writer, SuiteChoice.Offer(suites, PhaseLifetimes.SecondsOf(Sa.Connection)).AsSpan());
        OfferOctets = writer.ToArray();
        var builder = new ChainBuilder().Raw(PayloadV1.Sa, OfferOctets);
        VendorIds.Write(builder, Sa.Connection, null);
        Step = 1;
        Sa.SendPhaseOne(builder, MessageKind.Main1, encrypted: false, timed: true);
    }

    /// <summary>The responder's answer to message 1.</summary>
    public DropReason Answer(IsakmpSuite suite, ProposalV1 answer, scoped in ChainView view, int requestLength)
    {
        ReadCommon(view);
        view.TryGet(PayloadV1.Sa, out var offer);
        OfferOctets = offer.ToArray();
        Sa.Suite = suite;
        Sa.Report.Add(Sa.Engine.Now, StepDirection.Here, $"chose {suite}", [.. Sa.Peer.Names.Select(name => "the peer has " + name)]);
        var builder = new ChainBuilder().Sa([answer]);
        VendorIds.Write(builder, Sa.Connection, Sa.Peer);
        // Amplification: the address is not verified yet
        if (IkeHeader.Length + builder.Chain.Length > requestLength) return DropReason.Amplification;
        Step = 1;
        Sa.SendPhaseOne(builder, MessageKind.Main2, encrypted: false, timed: false);
        return DropReason.None;
    }

    public override void Receive(scoped in ChainView view)
    {
        ReadCommon(view);
        switch (Expected)
        {
            case MessageKind.Main2:
                OnChoice(view);
                break;
            case MessageKind.Main3:
                OnInitiatorKe(view);
                break;
            case MessageKind.Main4:
                OnResponderKe(view);
                break;
            case MessageKind.Main5:
                OnInitiatorProof(view);
                break;
            case MessageKind.Main6:
                OnResponderProof(view);
                break;
        }
    }

    public override void NoAnswer(int sent)
    {
        if (Step == 1 && Heard is null && Sa.Renews is null && (Sa.Connection.KeyingTries == 0 || ++Sa.Tries < Sa.Connection.KeyingTries)) return;
        Fail(PhaseLifetimes.NoAnswer(Sa, this, sent), null);
    }

    private void OnChoice(scoped in ChainView view)
    {
        view.TryGet(PayloadV1.Sa, out var body);
        if (PhaseLifetimes.ReadChoice(Sa, Offered, OfferOctets, body) is not { } suite)
        {
            Fail(PhaseLifetimes.BadChoice(Sa, Offered, body), NotifyV1.BadProposalSyntax);
            return;
        }

        Sa.Suite = suite;
        Sa.Report.Add(Sa.Engine.Now, StepDirection.Here, $"the peer chose {suite}", [.. Sa.Peer.Names.Select(name => "the peer has " + name)]);
        MakeKe();
        var builder = new ChainBuilder();
        WriteKe(builder);
        WriteCertRequests(builder);
        NatDetectionV1.Write(builder, Sa);
        Step = 2;
        Sa.SendPhaseOne(builder, MessageKind.Main3, encrypted: false, timed: true);
    }

    private void OnInitiatorKe(scoped in ChainView view)
    {
        TakeKe(view);
        // our cookie came back: somebody is at this address
        Sa.Engine.Verified(Sa);
        NatDetectionV1.Read(Sa, view);
        if (Sa.IsBehindNat && !CheckNat()) return;
        MakeKe();
        // the keys first: a message 5 that follows at once can be read then
        DeriveKeys(Pairs(), () =>
        {
            var builder = new ChainBuilder();
            WriteKe(builder);
            WriteCertRequests(builder);
            NatDetectionV1.Write(builder, Sa);
            Step = 2;
            Sa.SendPhaseOne(builder, MessageKind.Main4, encrypted: false, timed: false);
        });
    }

    private void OnResponderKe(scoped in ChainView view)
    {
        TakeKe(view);
        NatDetectionV1.Read(Sa, view);
        if (Sa.IsBehindNat && !CheckNat()) return;
        DeriveKeys(Pairs(), () =>
        {
            if (Sa.IsBehindNat || (Sa.ForceEncapsulation && Sa.Peer.NatTraversal != VendorKind.Unknown)) PhaseLifetimes.Float(Sa);
            if (Sa.Suite!.Signs(initiator: true)) Find(SendProof);
            else SendProof();
        });

        void SendProof()
        {
            SetOwnIdentity();
            Prove(int.MaxValue, write =>
            {
                var builder = new ChainBuilder().Raw(PayloadV1.Id, OwnIdBody);
                write(builder);
                if (PhaseLifetimes.SaysInitialContact(Sa)) builder.Notify(ProtocolId.Ike, Sa.Cookies(), NotifyV1.InitialContact);
                Step = 3;
                Sa.SendPhaseOne(builder, MessageKind.Main5, encrypted: true, timed: true);
            });
        }
    }

    private void OnInitiatorProof(scoped in ChainView view)
    {
        view.TryGet(PayloadV1.Id, out var id);
        PeerIdBody = id.ToArray();
        var initialContact = view.TryGetNotify(NotifyV1.InitialContact, out _);
        if (IdentityOf(id) is not { } peer || PeerProof.Read(Sa, view) is not { } proof)
        {
            Fail(PhaseFailures.NoProof(Sa), NotifyV1.InvalidHashInformation);
            return;
        }

        if (HasWrongPort(NotifyV1.InvalidIdInformation)) return;
        // which connection it is shows only now (RFC 2409 section 5.4: with pre-shared keys the address has said so already)
        if (!Sa.Engine.TryAssign(Sa, peer, aggressive: false))
        {
            Fail(PhaseFailures.WrongIdentity(Sa, peer), NotifyV1.InvalidIdInformation);
            return;
        }

        IsBusy = true;
        proof.Check(this, Sa, peer, failure =>
        {
            IsBusy = false;
            if (failure is not null) Fail(failure, NotifyV1.AuthenticationFailed);
            else CheckSecret(peer, () => AnswerProof(peer, initialContact));
            Sa.Reschedule();
        });
    }

    /// <summary>The key was found by the address. A peer whose identity has another one must not get by with it.</summary>
    private void CheckSecret(Identity peer, Action then)
    {
        if (!Sa.Suite!.UsesPsk)
        {
            then();
            return;
        }

        IsBusy = true;
        SetOwnIdentity();
        Sa.Engine.Ask(Sa, new Ask.FindPsk(Sa.LocalId!, peer, Sa.Connection.Name), answer =>
        {
            IsBusy = false;
            if (answer is Answer.SecretHandle { Secret.IsNone: false } handle && handle.Secret != Psk) Fail(PhaseFailures.OtherSecret(Sa, peer, handle.Name), NotifyV1.AuthenticationFailed);
            else then();
            Sa.Reschedule();
        });
    }

    private void AnswerProof(Identity peer, bool initialContact)
    {
        Sa.RemoteId = peer;
        if (Sa.Suite!.Signs(initiator: false)) Find(Send);
        else Send();

        void Send()
        {
            SetOwnIdentity();
            Prove(int.MaxValue, write => Claim(initialContact, () =>
            {
                var builder = new ChainBuilder().Raw(PayloadV1.Id, OwnIdBody);
                write(builder);
                PhaseLifetimes.WriteResponderLifetime(Sa, builder);
                Step = 3;
                Sa.SendPhaseOne(builder, MessageKind.Main6, encrypted: true, timed: false);
                Establish(initialContact);
            }));
        }
    }

    private void OnResponderProof(scoped in ChainView view)
    {
        view.TryGet(PayloadV1.Id, out var id);
        PeerIdBody = id.ToArray();
        PhaseLifetimes.ReadResponderLifetime(Sa, view);
        if (IdentityOf(id) is not { } peer || PeerProof.Read(Sa, view) is not { } proof)
        {
            Fail(PhaseFailures.NoProof(Sa), NotifyV1.InvalidHashInformation);
            return;
        }

        if (HasWrongPort(NotifyV1.InvalidIdInformation)) return;
        if (!Sa.Connection.Remote.Id.Matches(peer))
        {
            Fail(PhaseFailures.WrongIdentity(Sa, peer), NotifyV1.InvalidIdInformation);
            return;
        }

        IsBusy = true;
        proof.Check(this, Sa, peer, failure =>
        {
            IsBusy = false;
            if (failure is not null)
            {
                Fail(failure, NotifyV1.AuthenticationFailed);
                return;
            }

            Sa.RemoteId = peer;
            Establish(initialContact: false);
            Sa.Reschedule();
        });
    }

    /// <summary>Under which identities the pre-shared key is looked for: those of the connection where they are definite, then the addresses.</summary>
    private (Identity Own, Identity Peer)[] Pairs()
    {
        var addresses = (Identity.Of(Sa.Local.Address), Identity.Of(Sa.Remote.Address));
        var own = Sa.Connection.Local.Id ?? addresses.Item1;
        return Sa.Connection.Remote.Id.Exact is { } peer && !Sa.Connection.RemoteAddresses.IsEmpty ? [(own, peer), addresses] : [addresses];
    }

    private bool CheckNat()
    {
        if (Sa.Connection.NatTraversal && Sa.Peer.NatTraversal != VendorKind.Unknown) return true;
        Fail(PhaseFailures.NatForbidden(Sa), null);
        return false;
    }

    private void Find(Action then)
    {
        IsBusy = true;
        OwnSigner.Find(Sa, signer =>
        {
            (Signer, IsBusy) = (signer, false);
            then();
            Sa.Reschedule();
        }, failure =>
        {
            IsBusy = false;
            Fail(failure, Sa.Initiator ? null : NotifyV1.AuthenticationFailed);
        });
    }
}
