using System;
using System.Linq;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>
/// Aggressive mode (RFC 2409 section 5): three messages, identities in clear, and one Diffie-Hellman group for all proposals. Off unless the connection asks for it: with a pre-shared key the second message lets
/// anybody guess the key at leisure.
/// </summary>
internal sealed class AggressiveMode(IsakmpSa sa) : PhaseOne(sa)
{
    /// <summary>Amplification: the one answer to an address that nobody verified may be so many times as long as what it answers.</summary>
    private const int Factor = 3;

    /// <summary>Octets of message 1 with certificates: a third of what an answer with a chain of two needs.</summary>
    private const int LeastWithCertificates = 1024;

    private int _requestLength;

    public override ExchangeType Exchange => ExchangeType.Aggressive;

    public override MessageKind? Expected => (Sa.Initiator, Step) switch
    {
        (true, 1) => MessageKind.Aggressive2,
        (false, 1) => MessageKind.Aggressive3,
        _ => null,
    };

    public override void Start()
    {
        if (MethodsOf(Sa.Connection, initiator: true) is not [var method, ..] || SuiteChoice.Of(Sa.Connection, method) is not { IsEmpty: false } suites)
        {
            Fail(PhaseLifetimes.NothingToOffer(Sa.Connection), null);
            return;
        }

        if (suites.FirstOrDefault(suite => suite.Group != suites[0].Group) is { } other)
        {
            Fail(PhaseLifetimes.MixedGroups(Sa.Connection, suites[0], other), null);
            return;
        }

        Offered = suites;
        Sa.Suite = suites[0];
        if (Sa.Suite.Signs(initiator: true)) Find(Send);
        else Send();

        void Send()
        {
            MakeKe();
            SetOwnIdentity();
            var writer = new WireWriter();
            SaBody.Write(writer, SuiteChoice.Offer(suites, PhaseLifetimes.SecondsOf(Sa.Connection)).AsSpan());
            OfferOctets = writer.ToArray();
            var builder = new ChainBuilder().Raw(PayloadV1.Sa, OfferOctets);
            WriteKe(builder);
            builder.Raw(PayloadV1.Id, OwnIdBody);
            WriteCertRequests(builder);
            VendorIds.Write(builder, Sa.Connection, null);
            // a responder that minds amplification can answer with its certificates only what is long enough
            if (Sa.Suite.Signs(initiator: false) && builder.Chain.Length < LeastWithCertificates) builder.VendorId(new byte[LeastWithCertificates - builder.Chain.Length]);
            Step = 1;
            Sa.SendPhaseOne(builder, MessageKind.Aggressive1, encrypted: false, timed: true);
        }
    }

    /// <summary>The responder's answer to message 1; it goes out when the host has answered what is asked of it.</summary>
    public DropReason Answer(IsakmpSuite suite, ProposalV1 answer, scoped in ChainView view, int requestLength)
    {
        ReadCommon(view);
        _requestLength = requestLength;
        view.TryGet(PayloadV1.Sa, out var offer);
        OfferOctets = offer.ToArray();
        view.TryGet(PayloadV1.Id, out var id);
        PeerIdBody = id.ToArray();
        Sa.Suite = suite;
        if (IdentityOf(id) is not { } peer || HasWrongPort(null)) return DropReason.Malformed;
        Sa.Report.Add(Sa.Engine.Now, StepDirection.Here, $"chose {suite}", [.. Sa.Peer.Names.Select(name => "the peer has " + name)]);
        TakeKe(view);
        Sa.RemoteId = peer;
        Step = 1;
        MakeKe();
        if (suite.Signs(initiator: false)) Find(Derive);
        else Derive();
        return DropReason.None;

        void Derive()
        {
            SetOwnIdentity();
            DeriveKeys([(Sa.LocalId!, peer), (Identity.Of(Sa.Local.Address), Identity.Of(Sa.Remote.Address))], () =>
            {
                var builder = new ChainBuilder().Sa([answer]);
                WriteKe(builder);
                builder.Raw(PayloadV1.Id, OwnIdBody);
                var tail = new ChainBuilder();
                WriteCertRequests(tail);
                NatDetectionV1.Write(tail, Sa);
                VendorIds.Write(tail, Sa.Connection, Sa.Peer);
                Prove((Factor * _requestLength) - IkeHeader.Length - builder.Chain.Length - tail.Chain.Length - 4, write =>
                {
                    write(builder);
                    WriteCertRequests(builder);
                    NatDetectionV1.Write(builder, Sa);
                    VendorIds.Write(builder, Sa.Connection, Sa.Peer);
                    if (IkeHeader.Length + builder.Chain.Length > Factor * _requestLength)
                    {
                        Sa.Engine.Counters.Drops[(int)DropReason.Amplification]++;
                        Fail(new NegotiationFailure("amplification", $"the answer to {Sa.Remote} would be more than three times as long as what it answers", [], [], [], "at the peer: use main mode"), null);
                        return;
                    }

                    Sa.SendPhaseOne(builder, MessageKind.Aggressive2, encrypted: false, timed: false);
                });
            });
        }
    }

    public override void Receive(scoped in ChainView view)
    {
        ReadCommon(view);
        if (Sa.Initiator) OnResponderProof(view);
        else OnInitiatorProof(view);
    }

    public override void NoAnswer(int sent)
    {
        if (Step == 1 && Heard is null && Sa.Renews is null && (Sa.Connection.KeyingTries == 0 || ++Sa.Tries < Sa.Connection.KeyingTries)) return;
        Fail(PhaseLifetimes.NoAnswer(Sa, this, sent), null);
    }

    private void OnResponderProof(scoped in ChainView view)
    {
        view.TryGet(PayloadV1.Sa, out var body);
        if (PhaseLifetimes.ReadChoice(Sa, Offered, OfferOctets, body) is not { } suite)
        {
            Fail(PhaseLifetimes.BadChoice(Sa, Offered, body), NotifyV1.BadProposalSyntax);
            return;
        }

        Sa.Suite = suite;
        view.TryGet(PayloadV1.Id, out var id);
        PeerIdBody = id.ToArray();
        TakeKe(view);
        if (IdentityOf(id) is not { } peer || PeerProof.Read(Sa, view) is not { } proof)
        {
            Fail(PhaseFailures.NoProof(Sa), null);
            return;
        }

        if (HasWrongPort(null)) return;
        if (!Sa.Connection.Remote.Id.Matches(peer))
        {
            Fail(PhaseFailures.WrongIdentity(Sa, peer), null);
            return;
        }

        Sa.Report.Add(Sa.Engine.Now, StepDirection.Here, $"the peer chose {suite}", [.. Sa.Peer.Names.Select(name => "the peer has " + name)]);
        NatDetectionV1.Read(Sa, view);
        if (Sa.IsBehindNat && (!Sa.Connection.NatTraversal || Sa.Peer.NatTraversal == VendorKind.Unknown))
        {
            Fail(PhaseFailures.NatForbidden(Sa), null);
            return;
        }

        DeriveKeys([(Sa.LocalId!, peer), (Identity.Of(Sa.Local.Address), Identity.Of(Sa.Remote.Address))], () =>
        {
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
                Prove(int.MaxValue, write =>
                {
                    // this message goes by the new ports already, and its hashes are of them (RFC 3947 section 4)
                    if (Sa.IsBehindNat || (Sa.ForceEncapsulation && Sa.Peer.NatTraversal != VendorKind.Unknown)) PhaseLifetimes.Float(Sa);
                    var builder = new ChainBuilder();
                    write(builder);
                    NatDetectionV1.Write(builder, Sa);
                    if (PhaseLifetimes.SaysInitialContact(Sa)) builder.Notify(ProtocolId.Ike, Sa.Cookies(), NotifyV1.InitialContact);
                    Step = 2;
                    Sa.SendPhaseOne(builder, MessageKind.Aggressive3, encrypted: true, timed: true);
                    Establish(initialContact: false);
                });
            });
        });
    }

    private void OnInitiatorProof(scoped in ChainView view)
    {
        // the proof does not cover notifies: in clear anybody may have put it there (RFC 2407 section 4.6.3)
        var initialContact = WasSealed && view.TryGetNotify(NotifyV1.InitialContact, out _);
        if (PeerProof.Read(Sa, view) is not { } proof)
        {
            Fail(PhaseFailures.NoProof(Sa), NotifyV1.InvalidHashInformation);
            return;
        }

        Sa.Engine.Verified(Sa);
        NatDetectionV1.Read(Sa, view);
        if (Sa.IsBehindNat && (!Sa.Connection.NatTraversal || Sa.Peer.NatTraversal == VendorKind.Unknown))
        {
            Fail(PhaseFailures.NatForbidden(Sa), null);
            return;
        }

        IsBusy = true;
        proof.Check(this, Sa, Sa.RemoteId!, failure =>
        {
            IsBusy = false;
            if (failure is not null) Fail(failure, NotifyV1.AuthenticationFailed);
            else Claim(initialContact, Finish);
            Sa.Reschedule();
        });

        void Finish()
        {
            Establish(initialContact);
            // message 2 went in clear, where a lifetime has no place
            if (PhaseLifetimes.HasResponderLifetime(Sa)) Sa.Inform(builder => PhaseLifetimes.WriteResponderLifetime(Sa, builder));
        }
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
            Fail(failure, null);
        });
    }
}
