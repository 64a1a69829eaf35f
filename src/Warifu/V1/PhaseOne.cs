using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto;
using Warifu.Crypto.Signatures;
using Warifu.Engine;
using Warifu.Pki;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>What main and aggressive mode share: nonces, Diffie-Hellman, keys, identities. Its secrets end with it.</summary>
internal abstract class PhaseOne(IsakmpSa sa) : IDisposable
{
    private const int NonceLength = 32;

    private bool _told;

    protected IsakmpSa Sa { get; } = sa;

    public abstract ExchangeType Exchange { get; }

    /// <summary>Messages that were sent or taken by this side, in steps of the mode.</summary>
    public int Step { get; protected set; }

    /// <summary>An answer of the host is awaited.</summary>
    public bool IsBusy { get; protected set; }

    /// <summary>The message that is taken came encrypted.</summary>
    public bool WasSealed { get; set; }

    /// <summary>The message that may come next; null = none.</summary>
    public abstract MessageKind? Expected { get; }

    /// <summary>SA as the initiator sent it: both proofs cover it.</summary>
    public byte[] OfferOctets { get; protected set; } = [];

    public ImmutableArray<IsakmpSuite> Offered { get; protected set; } = [];

    public byte[] Ni { get; private set; } = [];

    public byte[] Nr { get; private set; } = [];

    public byte[] KeI { get; private set; } = [];

    public byte[] KeR { get; private set; } = [];

    /// <summary>ID payloads without their generic headers.</summary>
    public byte[] OwnIdBody { get; protected set; } = [];

    public byte[] PeerIdBody { get; protected set; } = [];

    /// <summary>The pre-shared key that the keys were made with.</summary>
    public SecretRef Psk { get; protected set; }

    public string SecretName { get; protected set; } = "";

    /// <summary>What we prove ourselves with, with signatures.</summary>
    public OwnSigner? Signer { get; set; }

    /// <summary>The peer sent a CERTREQ.</summary>
    public bool PeerAsked { get; private set; }

    /// <summary>What somebody, perhaps the peer, said without proof.</summary>
    public NotifyV1? Heard { get; private set; }

    /// <summary>What a message suggested that is no proof of anything: it may have been changed on the way.</summary>
    public NegotiationFailure? Suspect { get; private set; }

    /// <summary>A signature that was verified already, with which key, and over what.</summary>
    public (PublicKey Key, byte[] Signature, byte[] Proof)? Verified { get; set; }

    protected KeyExchange? KeyExchange { get; private set; }

    private Secret? Shared { get; set; }

    /// <summary>Sends the first message.</summary>
    public abstract void Start();

    /// <summary>The message that was expected.</summary>
    public abstract void Receive(scoped in ChainView view);

    /// <summary>The peer does not answer.</summary>
    public abstract void NoAnswer(int sent);

    public void Hear(NotifyV1 error) => Heard ??= error;

    /// <summary>
    /// A message came that is not authentic. It ends nothing: the true one may be on its way. With pre-shared keys that differ, so do the keys that encrypt, and all that comes is noise; so the first one is told.
    /// </summary>
    public void NotAuthentic(NegotiationFailure? why)
    {
        Suspect ??= why;
        if (_told || Sa.Initiator || (why is null && !Sa.Suite!.UsesPsk)) return;
        _told = true;
        Sa.Engine.ReportDone(Sa, null, why ?? PhaseFailures.WrongSecret(Sa, SecretName));
        // in clear, for the peer's log: it cannot read what we encrypt, or must not believe it
        Sa.Engine.TellInClear(Sa, why is null ? NotifyV1.PayloadMalformed : NotifyV1.AuthenticationFailed);
    }

    /// <summary>Our own key exchange or nonce: somebody sends our messages back to us.</summary>
    public bool IsReflected(MessageKind kind, scoped in ChainView view) =>
        kind is MessageKind.Main4 or MessageKind.Aggressive2 && ((view.TryGet(PayloadV1.Ke, out var ke) && ke.SequenceEqual(KeI)) || (view.TryGet(PayloadV1.Nonce, out var nonce) && nonce.SequenceEqual(Ni)));

    public void Dispose()
    {
        KeyExchange?.Dispose();
        KeyExchange = null;
        Shared?.Dispose();
        Shared = null;
    }

    /// <summary>Which ways to authenticate are open to us, the best first.</summary>
    /// <param name="connection">Whose.</param>
    /// <param name="initiator">We begin phase 1: the methods with XAuth say on which side the user is.</param>
    public static AuthV1[] MethodsOf(Connection connection, bool initiator)
    {
        var (isUser, hasUsers) = (RemoteAccess.IsUser(connection), RemoteAccess.HasUsers(connection));
        if (!isUser && !hasUsers) return BaseMethodsOf(connection);
        var userInitiates = isUser == initiator;
        var hybrid = userInitiates ? AuthV1.HybridInitRsa : AuthV1.HybridRespRsa;
        if (connection.Local.Kind == AuthKind.Xauth) return connection.Remote.Kind == AuthKind.PublicKey ? [hybrid] : [];
        if (connection.Remote.Kind == AuthKind.Xauth) return connection.Local.Kind == AuthKind.PublicKey && OwnSigner.Keys(connection.Local).Any(key => IsakmpSuite.AuthOf(key.Key) == AuthV1.Rsa) ? [hybrid] : [];
        return [.. BaseMethodsOf(connection).Select(method => IsakmpSuite.WithXauth(method, userInitiates)).Where(method => method != 0)];
    }

    private static AuthV1[] BaseMethodsOf(Connection connection)
    {
        if (connection.Remote.Kind == AuthKind.Psk && connection.Local.Kind == AuthKind.Psk) return [AuthV1.Psk];
        if (connection.Remote.Kind != AuthKind.PublicKey || connection.Local.Kind != AuthKind.PublicKey) return [];
        return [.. OwnSigner.Keys(connection.Local).Select(key => IsakmpSuite.AuthOf(key.Key)).Where(method => method != 0).Distinct()];
    }

    protected void ReadCommon(scoped in ChainView view)
    {
        Sa.Peer.Read(view);
        PeerAsked |= view.IndexOf(PayloadV1.CertReq) >= 0;
    }

    /// <summary>KE and nonce of the peer.</summary>
    protected void TakeKe(scoped in ChainView view)
    {
        view.TryGet(PayloadV1.Ke, out var ke);
        view.TryGet(PayloadV1.Nonce, out var nonce);
        if (Sa.Initiator) (KeR, Nr) = (ke.ToArray(), nonce.ToArray());
        else (KeI, Ni) = (ke.ToArray(), nonce.ToArray());
    }

    protected void MakeKe()
    {
        Sa.Engine.Counters.KeyExchanges++;
        KeyExchange = KeyExchange.Generate(Sa.Suite!.Group, Sa.Engine.Entropy);
        var nonce = new byte[NonceLength];
        Sa.Engine.Entropy.Fill(nonce);
        if (Sa.Initiator) (KeI, Ni) = (KeyExchange.PublicValue, nonce);
        else (KeR, Nr) = (KeyExchange.PublicValue, nonce);
    }

    protected void WriteKe(ChainBuilder builder) => builder.Raw(PayloadV1.Ke, Sa.Initiator ? KeI : KeR).Raw(PayloadV1.Nonce, Sa.Initiator ? Ni : Nr);

    /// <summary>g^xy, SKEYID and the keys behind it.</summary>
    /// <param name="identities">Pairs under which a pre-shared key is looked for, in order.</param>
    /// <param name="then">Goes on when the keys are there.</param>
    protected void DeriveKeys((Identity Own, Identity Peer)[] identities, Action then)
    {
        if (!KeyExchange!.TryDerive(Sa.Initiator ? KeR : KeI, out var shared))
        {
            Fail(new NegotiationFailure("invalid-key-exchange", "the peer's public value is not acceptable", [], [], [], "the peer breaks RFC 6989: its implementation must be repaired"), NotifyV1.InvalidKeyInformation);
            return;
        }

        Shared = shared;
        byte[] nonces = [.. Ni, .. Nr];
        if (!Sa.Suite!.UsesPsk)
        {
            Finish(KeyScheduleV1.SkeyidOfSignature(Sa.Suite.Prf, nonces, shared));
            return;
        }

        IsBusy = true;
        FindPsk(identities, 0, "", () => Sa.Engine.Ask(Sa, new Ask.PskSkeyid(Psk, Sa.Suite.Prf, [.. nonces]), answer =>
        {
            IsBusy = false;
            if (answer is Answer.Octets octets) Finish(octets.Value);
            else Fail(new NegotiationFailure("internal", "the secret keeper did not compute SKEYID", [], [], [], ""), null);
        }));

        void Finish(Secret skeyid)
        {
            var keys = KeyScheduleV1.Derive(Sa.Suite.Prf, skeyid, Shared!, Sa.Cookies(), Sa.Suite.Encr, Sa.Suite.KeyBits);
            Shared!.Dispose();
            Shared = null;
            if (keys is null)
            {
                Fail(PhaseFailures.WeakKey(Sa), null);
                return;
            }

            Sa.SetKeys(keys, KeI, KeR);
            then();
            Sa.Reschedule();
        }
    }

    /// <summary>HASH_I or HASH_R, or what a signature covers.</summary>
    public byte[] Proof(bool ofInitiator)
    {
        var (own, other) = ofInitiator ? (KeI, KeR) : (KeR, KeI);
        var (cookie, otherCookie) = ofInitiator ? (Sa.CookieI, Sa.CookieR) : (Sa.CookieR, Sa.CookieI);
        return KeyScheduleV1.Proof(Sa.Suite!.ProofPrf, Sa.Keys!.Skeyid, own, other, cookie, otherCookie, OfferOctets, ofInitiator == Sa.Initiator ? OwnIdBody : PeerIdBody);
    }

    /// <summary>HASH or signature is looked at before anything is believed: CBC protects nothing, and a copy that was changed on the way must not end what the true one would have finished. What cannot be judged yet passes.</summary>
    public bool IsAuthentic(MessageKind kind, scoped in ChainView view, out NegotiationFailure? why)
    {
        why = null;
        if (kind is not (MessageKind.Main5 or MessageKind.Main6 or MessageKind.Aggressive3) || Sa.Keys is null || PeerProof.Read(Sa, view) is not { } proof) return true;
        var before = PeerIdBody;
        if (view.TryGet(PayloadV1.Id, out var id)) PeerIdBody = id.ToArray();
        var fits = proof.MayBeRight(this, Sa, IdentityOf(PeerIdBody), out why);
        PeerIdBody = before;
        return fits;
    }

    /// <summary>Who we are to this peer; with signatures it comes from the certificate where the configuration does not say.</summary>
    protected void SetOwnIdentity()
    {
        Sa.LocalId = Sa.Connection.Local.Id ?? Signer?.Identity ?? Identity.Of(Sa.Local.Address);
        OwnIdBody = [(byte)Sa.LocalId.Type, 0, 0, 0, .. Sa.LocalId.Data];
    }

    /// <summary>Who the peer says it is. A hybrid user may leave it open (section 4.2 of the draft): then it is its address.</summary>
    protected Identity? IdentityOf(ReadOnlySpan<byte> body)
    {
        if (IdBody.TryParse(body, out var id) != ParseError.None) return null;
        if (id.Type != 0) return new Identity((IdType)id.Type, [.. id.Data]);
        return Sa.Suite is { IsHybrid: true } suite && suite.IsUser(!Sa.Initiator) ? Identity.Of(Sa.Remote.Address) : null;
    }

    /// <summary>Our proof, and with signatures our certificates before it.</summary>
    /// <param name="room">Octets that signature and certificates may take.</param>
    /// <param name="then">Gets what writes it.</param>
    protected void Prove(int room, Action<Action<ChainBuilder>> then)
    {
        var proof = Proof(Sa.Initiator);
        if (Signer is not { } signer)
        {
            then(builder =>
            {
                // a hybrid user answers the question for certificates with an empty one
                if (PeerAsked && Sa.Suite!.IsHybrid) builder.Cert((byte)CertEncoding.X509Signature, default);
                builder.Raw(PayloadV1.Hash, proof);
            });
            return;
        }

        IsBusy = true;
        Sa.Report.Add(Sa.Engine.Now, StepDirection.Here, $"signing with {signer.Name} ({signer.Key})");
        Sa.Engine.Ask(Sa, new Ask.Sign(signer.Handle, signer.Scheme, [.. proof]), answer =>
        {
            IsBusy = false;
            if (answer is not Answer.Octets octets)
            {
                Fail(new NegotiationFailure("no-secret", $"the signature with {signer.Name} was not made: {(answer as Answer.Failed)?.Why}", [], [], [], "here: check the private key"), null);
                return;
            }

            var signature = octets.Value.Span.ToArray();
            octets.Value.Dispose();
            var chain = signer.Chain(Sa, PeerAsked);
            // our own certificate comes first, and is the last to be left out
            var fit = chain.Length;
            while (fit > 0 && chain.Take(fit).Sum(der => der.Length + 5) > room - signature.Length) fit--;
            if (fit < chain.Length)
            {
                Sa.Engine.Raise(new Notice(NoticeLevel.Warning, $"our certificates would make the answer to {Sa.Remote} more than three times as long as what it answers: {(fit == 0 ? "they are left out" : "those of the authorities between are left out")}") { Connection = Sa.Connection.Name, IkeId = Sa.Id });
                chain = chain[..fit];
            }

            then(builder =>
            {
                foreach (var der in chain) builder.Cert((byte)CertEncoding.X509Signature, der.Span);
                builder.Raw(PayloadV1.Sig, signature);
            });
            Sa.Reschedule();
        });
    }

    /// <summary>RFC 2407 section 4.6.2: port and protocol of a phase 1 identity are zero or UDP port 500, else it must be refused; behind a NAT a few peers say 4500.</summary>
    protected bool HasWrongPort(NotifyV1? notify)
    {
        if (IdBody.TryParse(PeerIdBody, out var id) != ParseError.None || (id.Protocol is 0 or 17 && id.Port is 0 or 500 or 4500)) return false;
        Fail(PhaseFailures.WrongPort(Sa, id.Protocol, id.Port), notify);
        return true;
    }

    /// <summary>Claims the peer's identity; meanwhile nothing else is taken.</summary>
    protected void Claim(bool initialContact, Action then)
    {
        IsBusy = true;
        Sa.Engine.Claim(Sa, initialContact, () =>
        {
            IsBusy = false;
            then();
        }, failure =>
        {
            IsBusy = false;
            Fail(failure, NotifyV1.AuthenticationFailed);
        });
    }

    /// <summary>Both sides are authenticated.</summary>
    protected void Establish(bool initialContact)
    {
        Sa.Mode = null;
        Dispose();
        Sa.Engine.Establish(Sa, initialContact);
    }

    /// <summary>It failed: the peer is told, the report goes out, the SA ends.</summary>
    public void Fail(NegotiationFailure failure, NotifyV1? notify)
    {
        if (Sa.IsClosed) return;
        if (notify is { } error)
        {
            if (Sa.Keys is not null) Sa.Inform(builder => builder.Notify(ProtocolId.Ike, Sa.Cookies(), error));
            else Sa.Engine.TellInClear(Sa, error);
        }

        PhaseLifetimes.Fail(Sa, failure);
    }

    /// <summary>Authorities whose certificates we want to see; an empty one where we do not say.</summary>
    protected void WriteCertRequests(ChainBuilder builder)
    {
        const int Most = 8;
        if (!Sa.Suite!.Signs(!Sa.Initiator) || !Sa.Connection.SendCertReq) return;
        var remote = Sa.Connection.Remote;
        var authorities = remote.CaCertificates.IsEmpty ? Sa.Engine.Trust.StoreOf(Sa.Engine.Policy).Authorities : ConfiguredCertificates.AuthoritiesOf(remote);
        foreach (var authority in authorities.Take(Most)) builder.CertReq((byte)CertEncoding.X509Signature, authority.Subject.Der.Span);
        if (!authorities.Any() && remote.PublicKeys.IsEmpty) builder.CertReq((byte)CertEncoding.X509Signature, default);
    }

    private void FindPsk((Identity Own, Identity Peer)[] identities, int index, string why, Action found)
    {
        if (index == identities.Length)
        {
            IsBusy = false;
            Fail(PhaseFailures.NoPsk(Sa, identities[0].Own, identities[0].Peer, why), Sa.Initiator ? null : NotifyV1.AuthenticationFailed);
            return;
        }

        Sa.Engine.Ask(Sa, new Ask.FindPsk(identities[index].Own, identities[index].Peer, Sa.Connection.Name), answer =>
        {
            if (answer is Answer.SecretHandle { Secret.IsNone: false } handle)
            {
                (Psk, SecretName) = (handle.Secret, handle.Name);
                found();
                return;
            }

            FindPsk(identities, index + 1, why.Length > 0 ? why : answer is Answer.SecretHandle none ? none.WhyNot : (answer as Answer.Failed)?.Why ?? "", found);
        });
    }
}
