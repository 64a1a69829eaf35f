using System;
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.Wire;
using Warifu.Wire.V1;

namespace Warifu.V1;

/// <summary>Timers of phase 1 and its children, the ways in which they end, and what the two modes have in common around them.</summary>
internal static class PhaseLifetimes
{
    /// <summary>What we offer, and the longest that we keep it: soft lifetime and grace.</summary>
    public static ulong SecondsOf(Connection connection) => (ulong)Math.Max(0, (Soft(connection) + Over(connection)).TotalSeconds);

    /// <summary>Sets the timers of phase 1 that has just been established: the shorter of what both sides want.</summary>
    public static void Begin(IsakmpSa sa)
    {
        var (soft, over) = (Soft(sa.Connection), Over(sa.Connection));
        var hard = soft > TimeSpan.Zero ? soft + over : TimeSpan.Zero;
        if (sa.Suite!.Seconds > 0 && (hard == TimeSpan.Zero || TimeSpan.FromSeconds(sa.Suite.Seconds) < hard))
        {
            hard = TimeSpan.FromSeconds(Math.Min(sa.Suite.Seconds, uint.MaxValue));
            soft = hard * 0.9;
            over = hard - soft;
        }

        if (hard > TimeSpan.Zero)
        {
            var spread = sa.Connection.RandTime is { } random && random < over ? random : over;
            if (spread > soft / 2) spread = soft / 2;
            // in IKEv1 the initiator's messages and the responder's look the same: a random part keeps both from starting together
            sa.RekeyAt = IsTooShort(hard) || RemoteAccess.IsGateway(sa.Connection) ? Instant.Never : sa.Engine.Now + (soft - sa.Engine.Entropy.NextSpan(spread));
            sa.ExpireAt = sa.Engine.Now + hard;
        }
        else
        {
            sa.ExpireAt = Instant.Never;
        }

        sa.EndsAt = sa.ExpireAt;
        if (sa.Connection.DpdDelay > TimeSpan.Zero && sa.Peer.DeadPeerDetection) sa.DpdAt = sa.Engine.Now + sa.Connection.DpdDelay;
    }

    /// <summary>A peer that wants so short a lifetime does anew itself what it wants anew: it must not make us negotiate all the time.</summary>
    public static bool IsTooShort(TimeSpan lifetime) => lifetime < ProtocolTimes.ReauthLeast;

    /// <summary>When phase 1 may be done anew at the soonest.</summary>
    public static Instant SoonestRenewal(IsakmpSa sa) => sa.Established + ProtocolTimes.ReauthLeast > sa.Engine.Now ? sa.Established + ProtocolTimes.ReauthLeast : sa.Engine.Now;

    /// <summary>Nine tenths of a lifetime in kilobytes are used up.</summary>
    public static bool IsWorn(ulong octets, ulong kilobytes, out bool isOver)
    {
        isOver = octets / 1024 >= kilobytes;
        return octets >= kilobytes * 1024.0 * 0.9;
    }

    /// <summary>A phase 1 that was replaced is needed again, for the rest of its time.</summary>
    public static void Resume(IsakmpSa sa)
    {
        var now = sa.Engine.Now;
        sa.ExpireAt = sa.EndsAt;
        if (sa.EndsAt != Instant.Never) sa.RekeyAt = sa.EndsAt > now ? now + ((sa.EndsAt - now) * 0.5) : now;
        if (sa.Connection.DpdDelay > TimeSpan.Zero && sa.Peer.DeadPeerDetection) sa.DpdAt = now + sa.Connection.DpdDelay;
        sa.Reschedule();
    }

    public static void HandleTimeout(IsakmpSa sa, Instant now)
    {
        if (sa.ExpireAt <= now)
        {
            Expire(sa);
            if (sa.IsClosed) return;
        }

        if (sa.RekeyAt <= now)
        {
            sa.RekeyAt = Instant.Never;
            if (sa.State == IsakmpState.Established) Renew(sa);
        }

        if (sa.DpdAt <= now || sa.Probe.NextAt <= now) sa.Probe.Check(sa);
        while (!sa.IsClosed && sa.Children.TryTakeDue(now, out var child)) HandleTimeout(sa, child, now);
    }

    /// <summary>Phase 1 anew beside this one, on the path that works (R114: that is how IKEv1 authenticates anew).</summary>
    public static void Renew(IsakmpSa sa, CommandId command = default)
    {
        if (sa.HasRenewal || sa.State != IsakmpState.Established)
        {
            sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
            return;
        }

        sa.HasRenewal = true;
        sa.Engine.Renew(sa, command);
    }

    /// <summary>Begins quick mode for traffic that a pair carries already.</summary>
    public static void Rekey(IsakmpSa sa, ChildState child, CommandId command = default)
    {
        if (child.Phase != ChildPhase.Installed)
        {
            // it is under way
            sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
            return;
        }

        child.Phase = ChildPhase.Rekeying;
        var request = new ChildRequest(child.Config, command) { Part = QuickInstall.PartOf(child) };
        if (sa.State == IsakmpState.Established) QuickInitiator.Start(sa, request, child);
        else sa.Engine.WantRekey(sa, request);
    }

    /// <summary>Closes a pair and tells the peer: there is no answer to a delete.</summary>
    public static void Delete(IsakmpSa sa, ChildState child, string reason, CommandId command = default)
    {
        var wanted = reason == "expired" ? child.Config.CloseAction : StartAction.None;
        // those that it replaced would carry on
        if (reason is "down" or "inactive" && child.IsLive)
        {
            foreach (var other in QuickInstall.PairsFor(sa, child).Where(other => other != child).ToArray())
            {
                TellDeleted(sa, other);
                sa.RemoveChild(other, "rekeyed", "closed with the pair that replaced it");
            }
        }

        if (reason == "down") IkeEngine.StopRekeying(sa, child);
        TellDeleted(sa, child);
        var replaced = child.Phase == ChildPhase.Rekeyed;
        sa.RemoveChild(child, reason, reason == "down" ? "closed from here" : "its lifetime is over");
        sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
        if (wanted != StartAction.None && !replaced && !sa.Children.HasLive(child.Config.Name)) sa.Engine.Act(sa.Connection, child.Config, wanted);
    }

    /// <summary>Tells the peer that what it sends on is gone; nobody answers that (RFC 2408 section 3.15).</summary>
    public static void TellDeleted(IsakmpSa sa, ProtocolId protocol, ChildSpi inbound)
    {
        var spi = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(spi, inbound.Value);
        sa.Engine.CarrierOf(sa)?.Inform(builder => builder.Delete(protocol, spi));
    }

    private static void TellDeleted(IsakmpSa sa, ChildState child) => TellDeleted(sa, child.Proposal.Protocol, child.Inbound);

    /// <summary>Closes phase 1 and its children, and tells the peer.</summary>
    public static void Delete(IsakmpSa sa, string reason, string text, CommandId command = default)
    {
        IkeEngine.EndReplacedBy(sa);
        if (sa.State is IsakmpState.Established or IsakmpState.Replaced)
        {
            foreach (var child in sa.Children.Values.ToArray()) TellDeleted(sa, child);
            sa.Inform(builder => builder.Delete(ProtocolId.Ike, sa.Cookies()));
        }
        else if (sa is { State: IsakmpState.Connecting, Initiator: true, Mode.WasSealed: true })
        {
            // the peer is done with phase 1 already
            sa.Inform(builder => builder.Delete(ProtocolId.Ike, sa.Cookies()));
        }

        sa.Close(reason, text);
        sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
    }

    /// <summary>Children that their actions want back after the end for <paramref name="reason"/>.</summary>
    public static ImmutableArray<(Child Child, StartAction Action)> WantedAfter(IsakmpSa sa, string reason)
    {
        if (sa.Established == default || sa.Successor is not null || reason is "down" or "shutdown" or "replaced" or "reauthenticated") return [];
        var wanted = ImmutableArray.CreateBuilder<(Child, StartAction)>();
        foreach (var config in sa.Children.Values.Where(child => child.IsLive).Select(child => child.Config).DistinctBy(config => config.Name))
        {
            var action = reason == "dead-peer" ? config.DpdAction : config.CloseAction;
            if (action != StartAction.None) wanted.Add((config, action));
        }

        return wanted.ToImmutable();
    }

    public static void TellWaiting(IsakmpSa sa, CommandResult result)
    {
        foreach (var command in sa.Waiting) sa.Engine.Complete(command, result);
        sa.Waiting.Clear();
        foreach (var request in sa.Wanted)
        {
            // a pair that was to be rekeyed is tried again
            if (sa.Renews?.Holder is { } holder && IkeEngine.OldPairOf(holder, request) is { } old) QuickInstall.Revive(holder, old);
            sa.Engine.Complete(request.Command, result);
        }

        sa.Wanted.Clear();
    }

    /// <summary>Phase 1 failed: the report is raised, whoever waits is told, the SA ends.</summary>
    public static void Fail(IsakmpSa sa, NegotiationFailure failure)
    {
        if (sa.IsClosed) return;
        var report = sa.Engine.ReportDone(sa, null, failure);
        var passive = sa.Renews is { State: IsakmpState.Passive } old ? old : null;
        TellWaiting(sa, new CommandResult(false, failure.Sentence, Report: report));
        sa.Close(failure.Reason, failure.Sentence);
        // children whose phase 1 was over already
        if (failure.Reason == "timeout" && passive is { State: IsakmpState.Passive } && passive.Connection.DpdDelay > TimeSpan.Zero) passive.Close("dead-peer", failure.Sentence);
    }

    /// <summary>INITIAL-CONTACT (RFC 2407 section 4.6.3.3): we have no other phase 1 with this peer.</summary>
    public static bool SaysInitialContact(IsakmpSa sa) => sa.Connection.Unique != UniquePolicy.Never && sa.Renews is null && !sa.Engine.HasOther(sa);

    /// <summary>From port 500 to 4500 on both sides (RFC 3947 section 4).</summary>
    public static void Float(IsakmpSa sa)
    {
        if (sa.Local.Port == sa.Engine.Options.Port) sa.Local = sa.Local with { Port = sa.Engine.Options.PortNatT };
        if (sa.Remote.Port == 500) sa.Remote = sa.Remote with { Port = 4500 };
    }

    /// <summary>The responder's choice: one of ours, with its lifetimes; null = it is none.</summary>
    public static IsakmpSuite? ReadChoice(IsakmpSa sa, ImmutableArray<IsakmpSuite> offered, byte[] offer, ReadOnlySpan<byte> body)
    {
        if (SaBody.TryParse(body, out var answer) != ParseError.None || answer is not [{ Transforms: [var chosen], Protocol: ProtocolId.Ike }] || IsakmpSuite.Read(chosen) is not { } suite) return null;
        if (!offered.Any(suite.IsSame)) return null;
        // unchanged (RFC 2408 section 4.2), by value; a shorter lifetime than ours does no harm
        var seconds = SecondsOf(sa.Connection);
        return seconds > 0 && (suite.Seconds == 0 || suite.Seconds > seconds) ? suite with { Seconds = seconds } : suite;
    }

    public static NegotiationFailure BadChoice(IsakmpSa sa, ImmutableArray<IsakmpSuite> offered, ReadOnlySpan<byte> body) => new(
        "no-proposal",
        $"{sa.Remote} answered with something that we did not offer",
        SuiteChoice.Print(offered),
        SaBody.TryParse(body, out var answer) == ParseError.None ? SuiteChoice.Print(answer) : [],
        [],
        "at the peer: it breaks the protocol, its software must be repaired");

    public static NegotiationFailure Reflected(IsakmpSa sa) => new("reflected", $"our own values came back from {sa.Remote}: somebody sends our messages back to us", [], [], [], "between: find out who is there");

    public static NegotiationFailure NothingToOffer(Connection connection) => PhaseOne.MethodsOf(connection, initiator: true).Length == 0
        ? new NegotiationFailure("no-certificate", $"connection {connection.Name} has no way to authenticate in IKEv1", [], [], [], $"here: use a pre-shared key on both sides, or set connections.{connection.Name}.local.certs to an RSA or ECDSA certificate")
        : new NegotiationFailure("no-proposal", $"connections.{connection.Name}.proposals has nothing that IKEv1 can do: it has no AEAD, and no Curve25519", [], [], [], $"here: set connections.{connection.Name}.proposals = aes256-sha256-ecp256, for example");

    public static NegotiationFailure MixedGroups(Connection connection, IsakmpSuite first, IsakmpSuite other) => new(
        "no-proposal",
        $"aggressive mode cannot negotiate the Diffie-Hellman group: {ProposalKeywords.Print(first.AsProposal())} and {ProposalKeywords.Print(other.AsProposal())} have different ones (RFC 2409 section 5)",
        [first.ToString(), other.ToString()],
        [],
        [],
        $"here: give all of connections.{connection.Name}.proposals one group, or use main mode");

    public static NegotiationFailure NoAnswer(IsakmpSa sa, PhaseOne mode, int sent)
    {
        if (mode.Step == 1 && mode.Heard is { } error) return PhaseFailures.Refused(sa, mode.Offered, error, sent);
        if (mode.Step == 1 && sa.Initiator)
        {
            return new NegotiationFailure(
                "timeout", $"{sa.Remote} did not answer: {sent} times {(sa.Connection.Aggressive ? "aggressive" : "main")} mode message 1 was sent", [], [], [],
                $"here: check that connections.{sa.Connection.Name}.remote_addrs is right; or at the peer: check that an IKE daemon listens there and does IKEv1 in {(sa.Connection.Aggressive ? "aggressive" : "main")} mode; or between: that no firewall drops UDP {sa.Remote.Port}");
        }

        if (mode.Suspect is { } suspect) return suspect;
        if (mode.Heard == NotifyV1.AuthenticationFailed && sa.Suite is { UsesPsk: false }) return PhaseFailures.Rejected(sa, NotifyV1.AuthenticationFailed);
        // message 5 of main mode is the first that the other key cannot read
        if (sa.Suite is { UsesPsk: true } && mode.Step == 3) return PhaseFailures.WrongSecret(sa, mode.SecretName) with { Sentence = $"{sa.Remote} does not answer what we encrypt{(mode.Heard is { } said ? $", and said {MessageNames.NameOf(said)}" : "")}: as a rule the pre-shared keys differ, or it does not accept our identity {Identities.Print(sa.LocalId)}" };
        return new NegotiationFailure("timeout", $"{sa.Remote} stopped to answer in the middle of phase 1", [], [], [], $"at the peer: its log shows why{(mode.Heard is { } heard ? $" (it said {MessageNames.NameOf(heard)})" : "")}; or between: check that no firewall drops UDP {sa.Remote.Port}, and that IP fragments pass");
    }

    /// <summary>RESPONDER-LIFETIME (RFC 2407 section 4.6.3.1): ours is shorter than what was offered.</summary>
    public static bool HasResponderLifetime(IsakmpSa sa) => SecondsOf(sa.Connection) is > 0 and var own && own < (sa.Suite!.Seconds == 0 ? QuickInstall.DefaultSeconds : sa.Suite.Seconds);

    public static void WriteResponderLifetime(IsakmpSa sa, ChainBuilder builder)
    {
        if (HasResponderLifetime(sa)) builder.Notify(ProtocolId.Ike, sa.Cookies(), NotifyV1.ResponderLifetime, Lifetime.Write((ushort)IsakmpAttribute.LifeType, SecondsOf(sa.Connection), 0));
    }

    public static void ReadResponderLifetime(IsakmpSa sa, scoped in ChainView view)
    {
        if (view.TryGetNotify(NotifyV1.ResponderLifetime, out var notify) && notify.Protocol == ProtocolId.Ike && AttributeList.Check(notify.Data)) OnResponderLifetime(sa, notify.Data);
    }

    /// <summary>The shorter one counts, also when it is told behind phase 1.</summary>
    public static void OnResponderLifetime(IsakmpSa sa, ReadOnlySpan<byte> attributes)
    {
        var (seconds, kilobytes) = Lifetime.Read((ushort)IsakmpAttribute.LifeType, AttributeList.Read(attributes));
        var (before, suite) = (sa.Suite!, sa.Suite!);
        sa.Suite = suite = suite with { Seconds = Lifetime.Shorter(suite.Seconds, seconds), Kilobytes = Lifetime.Shorter(suite.Kilobytes, kilobytes) };
        if (sa.State != IsakmpState.Established || suite.Seconds == before.Seconds) return;
        var hard = TimeSpan.FromSeconds(Math.Min(suite.Seconds, uint.MaxValue));
        sa.ExpireAt = Instant.Min(sa.ExpireAt, sa.Established + hard);
        if (sa.RekeyAt != Instant.Never) sa.RekeyAt = IsTooShort(hard) ? Instant.Never : Instant.Min(sa.RekeyAt, sa.Established + (hard * 0.9));
    }

    /// <summary>The soft lifetime is reauth_time: it is set, and not longer than rekey_time.</summary>
    public static bool IsByReauthTime(Connection connection) => connection.ReauthTime > TimeSpan.Zero && (connection.RekeyTime == TimeSpan.Zero || connection.ReauthTime < connection.RekeyTime);

    private static TimeSpan Soft(Connection connection) => IsByReauthTime(connection) ? connection.ReauthTime : connection.RekeyTime;

    private static TimeSpan Over(Connection connection) => connection.OverTime ?? Soft(connection) * 0.1;

    private static void Expire(IsakmpSa sa)
    {
        sa.ExpireAt = Instant.Never;
        switch (sa.State)
        {
            case IsakmpState.Connecting when sa.Access is { } access:
                access.Expire();
                break;
            case IsakmpState.Connecting:
                Fail(sa, sa.Initiator || sa.Mode is null ? new NegotiationFailure("timeout", $"{sa.Remote} did not finish phase 1 in time", [], [], [], "at the peer: its log shows why") : NoAnswer(sa, sa.Mode, 1) with { Reason = "timeout", Sentence = $"{sa.Remote} did not finish phase 1 in time" });
                break;
            case IsakmpState.Replaced:
                sa.Inform(builder => builder.Delete(ProtocolId.Ike, sa.Cookies()));
                sa.Close("reauthenticated", "replaced by a newer phase 1");
                break;
            case IsakmpState.Passive:
                sa.Wipe();
                break;
            case IsakmpState.Established:
                sa.Inform(builder => builder.Delete(ProtocolId.Ike, sa.Cookies()));
                sa.Retire("expired", "its lifetime is over");
                break;
        }
    }

    private static void HandleTimeout(IsakmpSa sa, ChildState child, Instant now)
    {
        if (child.RetireAt <= now)
        {
            child.RetireAt = Instant.Never;
            QuickInstall.Retire(sa, child);
            return;
        }

        if (child.IdleAt <= now)
        {
            child.IdleAt = Instant.Never;
            if (child.IsLive) QuickInstall.CheckIdle(sa, child);
        }

        if (child.ExpireAt <= now)
        {
            Delete(sa, child, child.Phase == ChildPhase.Rekeyed ? "rekeyed" : "expired");
            return;
        }

        if (child.RekeyAt <= now)
        {
            child.RekeyAt = Instant.Never;
            Rekey(sa, child);
            return;
        }

        sa.Children.Reset(child);
    }
}

/// <summary>Lifetimes in attributes: a life type, and the duration behind it.</summary>
internal static class Lifetime
{
    public static byte[] Write(ushort lifeType, ulong seconds, ulong kilobytes)
    {
        var writer = new WireWriter(32);
        if (seconds > 0)
        {
            AttributeList.Write(writer, lifeType, (uint)LifeTypeV1.Seconds);
            AttributeList.Write(writer, (ushort)(lifeType + 1), (uint)Math.Min(seconds, uint.MaxValue));
        }

        if (kilobytes > 0)
        {
            AttributeList.Write(writer, lifeType, (uint)LifeTypeV1.Kilobytes);
            AttributeList.Write(writer, (ushort)(lifeType + 1), (uint)Math.Min(kilobytes, uint.MaxValue));
        }

        return writer.ToArray();
    }

    /// <summary>Of two; 0 = none.</summary>
    public static ulong Shorter(ulong one, ulong other) => one == 0 ? other : other == 0 ? one : Math.Min(one, other);

    public static (ulong Seconds, ulong Kilobytes) Read(ushort lifeType, ImmutableArray<AttributeV1> attributes)
    {
        var (unit, seconds, kilobytes) = ((LifeTypeV1)0, 0UL, 0UL);
        foreach (var attribute in attributes)
        {
            if (attribute.Type == lifeType) unit = (LifeTypeV1)attribute.Value;
            else if (attribute.Type == lifeType + 1 && unit == LifeTypeV1.Seconds) seconds = attribute.Value;
            else if (attribute.Type == lifeType + 1 && unit == LifeTypeV1.Kilobytes) kilobytes = attribute.Value;
        }

        return (seconds, kilobytes);
    }
}
