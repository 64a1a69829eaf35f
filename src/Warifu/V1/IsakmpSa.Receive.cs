using System;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>The way of a message into an ISAKMP SA: pieces, exchange, repetition, decryption, payload rules, HASH.</summary>
internal sealed partial class IsakmpSa
{
    private const byte EncryptionFlag = 0x01;

    /// <summary>Exchanges that a peer may have open at the same time, and of which anything is kept.</summary>
    private const int MaxOpen = 256, MaxExchanges = 1024;

    /// <summary>Message IDs that are remembered: then phase 1 is done anew, long before anything repeats; and what a peer may fill that does not let it be done anew.</summary>
    private const int MaxMessageIds = 32_768, MostMessageIds = 2 * MaxMessageIds;

    /// <summary>The same before anybody is authenticated, or before the user is: XAuth and Mode Config need a dozen.</summary>
    private const int EarlyMessageIds = 64;

    /// <summary>HASHes that were computed over what came in: one for each message, whatever is wrong with it.</summary>
    public long HashChecks { get; private set; }

    private const int LongestEarly = 2048;

    private (IkeHeader Header, Endpoint Local, Endpoint Remote, byte[] Message)? _early;

    public DropReason Receive(in IkeHeader header, Endpoint local, Endpoint remote, ReadOnlySpan<byte> message)
    {
        if (State == IsakmpState.Passive && (Keys is null || header.Exchange != ExchangeType.InformationalV1)) return DropReason.NotEstablished;
        if ((PayloadV1)header.NextPayload == PayloadV1.Fragment) return Collect(header, local, remote, message);
        return header.Exchange switch
        {
            ExchangeType.IdentityProtection or ExchangeType.Aggressive => ReceivePhaseOne(header, local, remote, message),
            ExchangeType.QuickMode or ExchangeType.ModeConfig => ReceiveExchange(header, local, remote, message),
            ExchangeType.InformationalV1 => ReceiveInformational(header, local, remote, message),
            _ => DropReason.UnknownExchange,
        };
    }

    /// <summary>The first message, which made this SA.</summary>
    public DropReason Begin(MessageKind kind, scoped in ChainView view, UInt128 digest, IsakmpSuite suite, ProposalV1 answer, int length)
    {
        _phaseOne.Received = digest;
        Trace(StepDirection.In, kind, view);
        DropReason drop;
        if (kind == MessageKind.Main1)
        {
            var mode = new MainMode(this);
            Mode = mode;
            drop = mode.Answer(suite, answer, view, length);
        }
        else
        {
            var mode = new AggressiveMode(this);
            Mode = mode;
            drop = mode.Answer(suite, answer, view, length);
        }

        Reschedule();
        return drop;
    }

    /// <summary>The first message again: the answer goes again, once for each.</summary>
    public DropReason Repeat(Endpoint local, Endpoint remote)
    {
        if (_phaseOne.Messages.Length == 0 || remote != Remote || local != Local || Mode is not { Step: <= 1 }) return DropReason.InProgress;
        Transmit(_phaseOne.Messages);
        return DropReason.None;
    }

    private DropReason ReceivePhaseOne(in IkeHeader header, Endpoint local, Endpoint remote, ReadOnlySpan<byte> message)
    {
        if (header.MessageId != 0 || remote.Address != Remote.Address) return DropReason.UnexpectedResponse;
        var digest = MessageDigest.Of(message);
        if (_phaseOne.Received == digest)
        {
            if (_phaseOne.Messages.Length == 0) return DropReason.InProgress;
            Transmit(_phaseOne.Messages);
            return DropReason.None;
        }

        if (Mode is not { } mode || mode.Exchange != header.Exchange || mode.Expected is not { } kind) return DropReason.OutOfWindow;
        if (mode.IsBusy) return DropReason.InProgress;
        var encrypted = (header.Flags & EncryptionFlag) != 0;
        // message 3 of aggressive mode may come in clear (RFC 2409 section 5)
        var mustBeEncrypted = kind is MessageKind.Main5 or MessageKind.Main6;
        if (encrypted ? !mustBeEncrypted && kind != MessageKind.Aggressive3 : mustBeEncrypted) return DropReason.Malformed;
        var chain = message[IkeHeader.Length..];
        var next = _iv;
        if (encrypted && !TryDecrypt(chain, _iv, out chain, out next)) return DropReason.Malformed;
        if (ChainView.TryParse((PayloadV1)header.NextPayload, chain, encrypted, out var view) != ParseError.None || MessageRules.Check(kind, view) is not null)
        {
            if (!encrypted) return DropReason.Malformed;
            mode.NotAuthentic(null);
            return DropReason.BadIntegrity;
        }

        if (mode.IsReflected(kind, view)) return DropReason.BadFlags;
        if (!mode.IsAuthentic(kind, view, out var why))
        {
            mode.NotAuthentic(why);
            return DropReason.BadIntegrity;
        }

        if (Initiator && CookieR.IsZero)
        {
            // our own cookie would be our own message
            if (header.ResponderSpi.IsZero || header.ResponderSpi == CookieI) return DropReason.BadFlags;
            CookieR = header.ResponderSpi;
        }

        _phaseOne.Received = digest;
        _phaseOne.Messages = [];
        _phaseOne.Land();
        _iv = next;
        LastHeard = Engine.Now;
        // from 500 to 4500 where there is a NAT (RFC 3947 section 4)
        if (!Initiator && kind is MessageKind.Main5 or MessageKind.Aggressive3) (Local, Remote) = (local, remote);
        Trace(StepDirection.In, kind, view);
        mode.WasSealed = encrypted;
        mode.Receive(view);
        Reschedule();
        return DropReason.None;
    }

    private DropReason ReceiveInformational(in IkeHeader header, Endpoint local, Endpoint remote, ReadOnlySpan<byte> message)
    {
        if ((header.Flags & EncryptionFlag) == 0)
        {
            // anybody may have sent it: it is never acted on, but helps to explain a failure
            if (ChainView.TryParse((PayloadV1)header.NextPayload, message[IkeHeader.Length..], decrypted: false, out var clear) == ParseError.None && clear.TryGetError(out var error) && remote.Address == Remote.Address) Mode?.Hear(error.Type);
            return DropReason.Unprotected;
        }

        if (Keys is null) return DropReason.NotEstablished;
        if (header.MessageId == 0 || IsUsed(header.MessageId)) return DropReason.OutOfWindow;
        var opened = Open(header, message[IkeHeader.Length..], ExchangeIv(header.MessageId), null, out var view, out _);
        // in aggressive mode it is the first that a peer with another pre-shared key encrypts
        if (opened == DropReason.BadIntegrity && Mode is AggressiveMode mode) mode.NotAuthentic(null);
        if (opened != DropReason.None) return opened;
        Accept(header.MessageId, local, remote);
        if (MessageRules.Check(MessageKind.Informational, view) is not null) return DropReason.Malformed;
        Trace(StepDirection.In, MessageKind.Informational, view);
        Informational.Receive(this, view);
        Reschedule();
        return DropReason.None;
    }

    private DropReason ReceiveExchange(in IkeHeader header, Endpoint local, Endpoint remote, ReadOnlySpan<byte> message)
    {
        if (Keys is null || (header.Flags & EncryptionFlag) == 0) return DropReason.NotEstablished;
        // the gateway's first question may be here while we look at its certificate; message 1 of quick mode while we look at message 3 of aggressive mode
        if (Mode is { IsBusy: true } mode && (header.Exchange == ExchangeType.ModeConfig ? mode.Expected is null or MessageKind.Main6 or MessageKind.Aggressive2 : mode.Expected is MessageKind.Aggressive3) && message.Length <= LongestEarly) _early ??= (header, local, remote, message.ToArray());
        // remote access: nothing but transactions before the user has proved itself
        if (State is not (IsakmpState.Established or IsakmpState.Replaced) && Access is null) return DropReason.NotEstablished;
        if (header.MessageId == 0) return DropReason.Malformed;
        var exchange = _exchanges.Find(header.MessageId);
        var isNew = exchange is null;
        if (isNew && Access is { Stage: AccessStage.Refused }) return DropReason.NotEstablished;
        if (isNew && (IsUsed(header.MessageId) || _exchanges.Open.Count >= MaxOpen)) return DropReason.OutOfWindow;
        var digest = MessageDigest.Of(message);
        if (exchange is not null)
        {
            if (exchange.Type != header.Exchange) return DropReason.UnexpectedResponse;
            if (exchange.Flight.Received == digest)
            {
                if (exchange.Flight.Messages.Length == 0 || remote.Address != Remote.Address) return DropReason.InProgress;
                Transmit(exchange.Flight.Messages);
                exchange.OnRepeated();
                return DropReason.None;
            }

            if (exchange.IsDone || exchange.IsBusy) return DropReason.OutOfWindow;
        }

        var opened = Open(header, message[IkeHeader.Length..], exchange?.Iv ?? ExchangeIv(header.MessageId), exchange, out var view, out var next);
        if (opened != DropReason.None) return opened;
        if (isNew)
        {
            // what follows upon the status of XAuth shows that it has arrived
            if (Access is { IsProven: true, Stage: AccessStage.Xauth } proven) proven.Configure();
            if (header.Exchange == ExchangeType.QuickMode && Access is not null) return DropReason.NotEstablished;
        }

        var kind = exchange?.Expected ?? (header.Exchange == ExchangeType.QuickMode ? MessageKind.Quick1 : MessageKind.Transaction);
        Accept(header.MessageId, local, remote);
        if (MessageRules.Check(kind, view) is not null)
        {
            Inform(builder => builder.Notify(ProtocolId.Ike, Cookies(), NotifyV1.PayloadMalformed));
            return DropReason.Malformed;
        }

        if (exchange is null)
        {
            if (Report.Ended && kind == MessageKind.Quick1) Report = new ReportBuilder(Engine.Now, initiator: false);
            if (_exchanges.Count >= MaxExchanges) _exchanges.ForgetOldest();
            exchange = kind == MessageKind.Quick1 ? new QuickResponder(this, header.MessageId) : new PeerTransaction(this, header.MessageId);
            _exchanges.Add(exchange);
        }

        exchange.Flight.Received = digest;
        exchange.Flight.Messages = [];
        exchange.Flight.Land();
        exchange.Iv = next;
        Trace(StepDirection.In, kind, view);
        exchange.Receive(view);
        Reschedule();
        return DropReason.None;
    }

    private bool IsUsed(uint messageId) => _messageIds.Contains(messageId) || _messageIds.Count >= (State == IsakmpState.Connecting ? EarlyMessageIds : MostMessageIds);

    /// <summary>Decrypts, and looks whether HASH fits: padding is never looked at, and as much is computed where lengths are wrong as where HASH is.</summary>
    /// <param name="header">Of the message.</param>
    /// <param name="sealedOctets">What is behind it.</param>
    /// <param name="iv">IV.</param>
    /// <param name="exchange">Says what HASH covers; null = HASH(1).</param>
    /// <param name="view">The chain.</param>
    /// <param name="next">IV of the next message.</param>
    private DropReason Open(in IkeHeader header, ReadOnlySpan<byte> sealedOctets, byte[] iv, Exchange? exchange, out ChainView view, out byte[] next)
    {
        view = default;
        if (!TryDecrypt(sealedOctets, iv, out var chain, out next)) return DropReason.Malformed;
        HashChecks++;
        var isChain = ChainView.TryParse((PayloadV1)header.NextPayload, chain, decrypted: true, out view) == ParseError.None && view.Count > 0 && view[0].Type == PayloadV1.Hash;
        if (!isChain)
        {
            Span<byte> wasted = stackalloc byte[64];
            KeyScheduleV1.Hash(Keys!, header.MessageId, default, chain, wasted[..HashLength]);
            return DropReason.BadIntegrity;
        }

        if (!(exchange is null ? CheckHash(header.MessageId, default, view) : exchange.CheckHash(view))) return DropReason.BadIntegrity;
        CountOctets(sealedOctets.Length);
        return DropReason.None;
    }

    /// <summary>Phase 1 is over: what came of the next exchange meanwhile.</summary>
    public void TakeEarly()
    {
        if (_early is not var (header, local, remote, message)) return;
        _early = null;
        Receive(header, local, remote, message);
    }

    /// <summary>An authentic message with a message ID that is not to come again.</summary>
    private void Accept(uint messageId, Endpoint local, Endpoint remote)
    {
        _messageIds.Add(messageId);
        // the client of a gateway renews phase 1 itself
        if (_messageIds.Count >= MaxMessageIds && State == IsakmpState.Established && !HasRenewal && !RemoteAccess.IsGateway(Connection)) RekeyAt = PhaseLifetimes.SoonestRenewal(this);
        LastHeard = Engine.Now;
        // before phase 1 is over its keys prove nothing (with signatures anybody has them): only its own next message stops its timer
        if (Mode is null) _phaseOne.Land();
        Follow(local, remote);
    }

    /// <summary>Behind a NAT the mapping may change: the address of authentic and new messages is followed.</summary>
    private void Follow(Endpoint local, Endpoint remote)
    {
        if (State != IsakmpState.Established || !RemoteBehindNat || LocalBehindNat || (remote == Remote && local == Local)) return;
        (Local, Remote) = (local, remote);
        MoveChildren();
    }

    /// <summary>An authentic and new ESP packet came from another address.</summary>
    public void PeerMoved(Endpoint remote)
    {
        if (State != IsakmpState.Established || !RemoteBehindNat || LocalBehindNat || remote == Remote) return;
        Remote = remote;
        MoveChildren();
    }

    private void MoveChildren()
    {
        foreach (var child in Children.Values) Engine.Emit(new IkeAction.MoveChild(child.Id, Local, Remote, child.Encapsulated, LocalBehindNat));
        Engine.Raise(new PathChanged(Local, Remote) { Connection = Connection.Name, IkeId = Id });
    }

    /// <summary>A piece of a message: it becomes whole before anybody can tell whether it is authentic.</summary>
    private DropReason Collect(in IkeHeader header, Endpoint local, Endpoint remote, ReadOnlySpan<byte> message)
    {
        if (Connection.Fragmentation == Warifu.Policy.FragmentationPolicy.No || remote.Address != Remote.Address) return DropReason.UnwantedFragment;
        if (ChainView.TryParse(PayloadV1.Fragment, message[IkeHeader.Length..], decrypted: false, out var view) != ParseError.None || view.Count != 1 || FragmentBody.TryParse(view.Body(0), out var fragment) != ParseError.None) return DropReason.Malformed;
        var whole = _pieces.Add(fragment, Established == default ? ProtocolTimes.FragmentedOctetsBefore : WireLimits.MessageLength, Engine.Now, out var drop);
        if (whole is null)
        {
            Reschedule();
            return drop;
        }

        if (!IkeHeader.TryRead(whole, out var inner) || inner.MajorVersion != 1 || (PayloadV1)inner.NextPayload == PayloadV1.Fragment || inner.InitiatorSpi != header.InitiatorSpi || inner.ResponderSpi != header.ResponderSpi) return DropReason.Malformed;
        return Receive(inner, local, remote, whole);
    }

    private bool TryDecrypt(ReadOnlySpan<byte> sealedOctets, byte[] iv, out ReadOnlySpan<byte> chain, out byte[] next)
    {
        chain = default;
        next = [];
        if (_cipher is null || sealedOctets.IsEmpty || sealedOctets.Length % _cipher.BlockLength != 0 || sealedOctets.Length > WireLimits.MessageLength) return false;
        var copy = Engine.Borrow(sealedOctets.Length);
        sealedOctets.CopyTo(copy);
        next = _cipher.Decrypt(iv, copy);
        chain = copy;
        return true;
    }
}
