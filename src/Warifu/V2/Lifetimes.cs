using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V2.Exchanges;

namespace Warifu.V2;

/// <summary>Timers of an IKE SA and its children, and the ways in which it ends.</summary>
internal static class Lifetimes
{
    /// <summary>Sets the timers of an IKE SA that has just been established.</summary>
    public static void Begin(IkeSa sa)
    {
        var connection = sa.Connection;
        var now = sa.Engine.Now;
        var soft = connection.RekeyTime;
        var over = connection.OverTime ?? (soft > connection.ReauthTime ? soft : connection.ReauthTime) * 0.1;
        if (soft > TimeSpan.Zero)
        {
            // a random part, so that both sides rarely start together (RFC 7296 section 2.8)
            sa.RekeyAt = now + (soft - sa.Engine.Entropy.NextSpan(Spread(connection, soft, over)));
            sa.ExpireAt = now + soft + over;
        }

        Reauthentication.Begin(sa, over);
        if (connection.DpdDelay > TimeSpan.Zero) sa.DpdAt = now + connection.DpdDelay;
    }

    /// <summary>The random part of a lifetime: at most half of the smaller one.</summary>
    public static TimeSpan Spread(Connection connection, TimeSpan soft, TimeSpan over)
    {
        var spread = connection.RandTime ?? over;
        foreach (var life in (ReadOnlySpan<TimeSpan>)[soft, connection.RekeyTime, connection.ReauthTime])
        {
            if (life > TimeSpan.Zero && spread > life / 2) spread = life / 2;
        }

        return spread;
    }

    /// <summary>Sets the timers of a pair that has just been installed.</summary>
    public static void Begin(IkeSa sa, ChildState child)
    {
        var soft = child.Config.RekeyTime;
        if (soft > TimeSpan.Zero)
        {
            var life = child.Config.LifeTime ?? soft * 1.1;
            var spread = child.Config.RandTime ?? (life > soft ? life - soft : TimeSpan.Zero);
            if (spread > soft / 2) spread = soft / 2;
            child.RekeyAt = sa.Engine.Now + (soft - sa.Engine.Entropy.NextSpan(spread));
            child.ExpireAt = sa.Engine.Now + (life > soft ? life : soft);
        }
        else if (child.Config.LifeTime is { } life && life > TimeSpan.Zero)
        {
            child.ExpireAt = sa.Engine.Now + life;
        }

        if (child.Config.Inactivity > TimeSpan.Zero) child.IdleAt = sa.Engine.Now + child.Config.Inactivity;
    }

    /// <summary>A rekeying did not work: what is there stays, and another try comes before its hard lifetime ends.</summary>
    public static Instant RetryRekey(IkeSa sa, Instant expireAt)
    {
        var wait = ProtocolTimes.RekeyRetry;
        if (expireAt != Instant.Never && (expireAt - sa.Engine.Now) / 2 < wait) wait = (expireAt - sa.Engine.Now) / 2;
        if (wait < ProtocolTimes.TemporaryFailureWait) wait = ProtocolTimes.TemporaryFailureWait;
        return sa.Engine.Now + wait + sa.Engine.Entropy.NextSpan(wait / 4);
    }

    public static void HandleTimeout(IkeSa sa, Instant now)
    {
        if (sa.Window.RetransmitAt <= now && !sa.Window.Retransmit())
        {
            PeerIsDead(sa);
            return;
        }

        if (sa.ExpireAt <= now)
        {
            Expire(sa);
            return;
        }

        if (sa.RetryAt <= now)
        {
            sa.RetryAt = Instant.Never;
            var later = sa.Later.ToArray();
            sa.Later.Clear();
            foreach (var exchange in later) sa.Window.Start(exchange);
        }

        if (sa.ReplacedAt <= now) EndReplaced(sa);
        if (sa.ReplacedAt != Instant.Never)
        {
            // new keys for what is about to go are of no use
            if (sa.RekeyAt <= now) sa.RekeyAt = sa.ReplacedAt;
            if (sa.ReauthAt <= now) sa.ReauthAt = sa.ReplacedAt;
        }

        if (sa.RekeyAt <= now)
        {
            sa.RekeyAt = Instant.Never;
            if (sa.State == IkeState.Established) sa.Window.Start(Reauthentication.IsDue(sa) ? new ReauthExchange(default) : new RekeyIkeExchange());
        }

        if (sa.ReauthAt <= now)
        {
            sa.ReauthAt = Instant.Never;
            if (sa.State == IkeState.Established) Reauthentication.Want(sa);
        }

        if (sa.SettleAt <= now)
        {
            sa.SettleAt = Instant.Never;
            sa.Engine.SettleDuplicates(sa, isLate: true);
        }

        if (sa.DpdAt <= now) Liveness.Check(sa);
        while (sa.State != IkeState.Closed && sa.Children.TryTakeDue(now, out var child))
        {
            if (child.SendAt <= now)
            {
                child.SendAt = Instant.Never;
                if (child.IsLive) sa.Engine.Emit(new IkeAction.UseOutbound(child.Id));
            }

            if (child.IdleAt <= now)
            {
                child.IdleAt = Instant.Never;
                if (child.IsLive) Liveness.CheckIdle(sa, child);
            }

            if (child.ExpireAt <= now)
            {
                if (child.IsLive)
                {
                    End(sa, child);
                    continue;
                }

                sa.RemoveChild(child, child.Phase == ChildPhase.Rekeyed ? "rekeyed" : "expired", "the peer did not finish the delete in time");
                if (child.HasExpired && sa.State == IkeState.Established && !sa.Children.HasLive(child.Config.Name)) sa.Engine.Act(sa.Connection, child.Config, child.Config.CloseAction);
                continue;
            }

            if (child.RekeyAt > now)
            {
                sa.Children.Reset(child);
                continue;
            }

            child.RekeyAt = Instant.Never;
            Rekey(sa, child);
        }
    }

    /// <summary>A pair has come to its end.</summary>
    public static void End(IkeSa sa, ChildState child)
    {
        if (child.RekeyFailed)
        {
            EndForChild(sa, child);
            return;
        }

        child.ExpireAt = sa.Engine.Now + ProtocolTimes.DeleteWait;
        // the peer has made another one already, and the answer to our own rekeying says who deletes this one
        if (child.PeerRekey is { Made.Table: not null }) return;
        Delete(sa, child, "expired");
    }

    /// <summary>A pair has come to its end and could not be rekeyed: the IKE SA ends with all its children, and what the configuration wants back is made on a new one (RFC 7296 section 2.8).</summary>
    private static void EndForChild(IkeSa sa, ChildState child)
    {
        child.ExpireAt = sa.Engine.Now + ProtocolTimes.DeleteWait;
        DeleteButWant(sa, "expired", $"child {child.Config.Name} has come to its end and the peer refused to rekey it");
    }

    /// <summary>Starts the rekeying of a pair, once.</summary>
    public static void Rekey(IkeSa sa, ChildState child)
    {
        if (sa.State != IkeState.Established || child.Phase != ChildPhase.Installed) return;
        child.Phase = ChildPhase.Rekeying;
        sa.Window.Start(new CreateChildExchange(new ChildRequest(child.Config, default), child));
    }

    /// <summary>Starts the delete of a pair.</summary>
    public static void Delete(IkeSa sa, ChildState child, string reason, CommandId command = default)
    {
        if (child.IsLive && reason is "down" or "inactive") Reauthentication.Drop(sa, child);
        child.Phase = ChildPhase.Deleting;
        child.HasExpired = reason is "expired" or "nat";
        child.RekeyAt = Instant.Never;
        sa.Window.Start(new DeleteChildExchange(child, reason, command));
    }

    /// <summary>Starts the delete of the IKE SA; everything that waits on it is given up.</summary>
    public static void Delete(IkeSa sa, string reason, string text, CommandId command = default)
    {
        if (sa.State is IkeState.Deleting or IkeState.Closed)
        {
            sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
            return;
        }

        if (sa.State == IkeState.Connecting && !sa.AuthSent)
        {
            sa.Close(reason, text);
            sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
            return;
        }

        if (sa.State == IkeState.Connecting)
        {
            // the peer may hold it for established by now: it is deleted as soon as its answer proves who it is
            sa.State = IkeState.Deleting;
            TellWaiting(sa, new CommandResult(false, text));
            sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
            return;
        }

        if (sa.State == IkeState.Rekeyed)
        {
            // its delete is on its way already, from here or from the peer
            sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
            return;
        }

        sa.Engine.Raise(new Notice(NoticeLevel.Debug, $"closing the IKE SA ({reason}): {text}") { Connection = sa.Connection.Name, IkeId = sa.Id });
        sa.State = IkeState.Deleting;
        (sa.RekeyAt, sa.DpdAt, sa.RetryAt, sa.ReauthAt) = (Instant.Never, Instant.Never, Instant.Never, Instant.Never);
        (sa.SettleAt, sa.ReplacedAt, sa.ReplacedBy) = (Instant.Never, Instant.Never, null);
        // if nothing else ends it, time does
        sa.ExpireAt = sa.Engine.Now + ProtocolTimes.DeleteWait;
        foreach (var waiting in sa.Window.TakeQueued().Concat(sa.Later).ToArray()) waiting.OnAbandoned(sa, reason, text);
        sa.Later.Clear();
        sa.Window.Start(new DeleteIkeExchange(reason, text, command));
        sa.Reschedule();
    }

    /// <summary>Children that their actions want back after an IKE SA ended for <paramref name="reason"/>: not those that somebody here closed.</summary>
    public static ImmutableArray<(Child Child, StartAction Action)> Wanted(IkeSa sa, string reason)
    {
        if (sa.Established == default || sa.State is IkeState.Rekeyed or IkeState.Deleting || reason is "down" or "shutdown" or "rekeyed" or "redundant" or "reauthenticated") return [];
        var making = sa.Window.Creations.Concat(CreateChildExchange.NewOf(sa.Later)).Select(exchange => exchange.Request.Config);
        var wanted = ImmutableArray.CreateBuilder<(Child, StartAction)>();
        foreach (var child in sa.Children.Values.Where(child => child.IsLive || child.HasExpired).Select(child => child.Config).Concat(making).DistinctBy(child => child.Name))
        {
            var action = reason is "dead-peer" or "peer-restarted" ? child.DpdAction : child.CloseAction;
            if (action != StartAction.None) wanted.Add((child, action));
        }

        return wanted.ToImmutable();
    }

    /// <summary>The IKE SA is deleted, though nobody wants its children closed: what the configuration wants back comes back.</summary>
    public static void DeleteButWant(IkeSa sa, string reason, string text)
    {
        var wanted = Wanted(sa, reason);
        Delete(sa, reason, text);
        foreach (var (child, action) in wanted) sa.Engine.Act(sa.Connection, child, action);
    }

    /// <summary>Ends the commands that wait for this IKE SA.</summary>
    public static void TellWaiting(IkeSa sa, CommandResult result)
    {
        foreach (var command in sa.Waiting) sa.Engine.Complete(command, result);
        sa.Waiting.Clear();
        if (sa.Handshake is not { } handshake) return;
        foreach (var child in handshake.Children) sa.Engine.Complete(child.Command, result);
        handshake.Children.Clear();
    }

    /// <summary>The negotiation failed: the report is raised, whoever waits is told, the SA ends.</summary>
    public static void Fail(IkeSa sa, NegotiationFailure failure)
    {
        if (sa.State == IkeState.Closed) return;
        Tell(sa, failure);
        sa.Close(failure.Reason, failure.Sentence);
    }

    /// <summary>The report of a failed negotiation, to the log and to whoever waits.</summary>
    public static void Tell(IkeSa sa, NegotiationFailure failure)
    {
        var report = sa.Engine.ReportDone(sa, null, failure);
        TellWaiting(sa, new CommandResult(false, failure.Sentence, Report: report));
    }

    public static void Fail(IkeSa sa, string reason, string sentence, string remedy = "") => Fail(sa, new NegotiationFailure(reason, sentence, [], [], [], remedy));

    private static void PeerIsDead(IkeSa sa)
    {
        var tries = sa.Window.Sent;
        if (sa.State == IkeState.Connecting)
        {
            var init = sa.Window.Active is InitExchange;
            // beside an IKE SA that is up one round is enough: its own liveness tells the rest
            if (init && sa.Reauthenticates is null && (sa.Connection.KeyingTries == 0 || ++sa.Tries < sa.Connection.KeyingTries))
            {
                sa.Report.Add(sa.Engine.Now, StepDirection.Here, $"no answer after {tries} messages; trying again");
                sa.Engine.TryAgain(sa, (InitExchange)sa.Window.Active!);
                return;
            }

            Fail(sa, new NegotiationFailure(
                "timeout",
                $"{sa.Remote} did not answer: {tries} {(init ? "IKE_SA_INIT" : "IKE_AUTH")} requests were sent",
                [],
                [],
                [],
                init
                    ? $"here: check that connections.{sa.Connection.Name}.remote_addrs is right; or at the peer: check that an IKE daemon listens there; or between: that no firewall drops UDP {sa.Remote.Port}"
                    : $"between: IKE_SA_INIT was answered but IKE_AUTH was not: check that no firewall drops UDP {sa.Remote.Port}, and that IP fragments pass"));
            return;
        }

        if (sa.PeerRekey is { } theirs)
        {
            // the peer's rekeying went through, ours did not: theirs stays
            RekeyIkeExchange.Retire(sa, theirs.Made);
            sa.Close("rekeyed", "replaced by a rekeyed IKE SA");
            return;
        }

        sa.Close(sa.State == IkeState.Deleting ? "down" : "dead-peer", $"{sa.Remote} does not answer any more: {tries} messages were sent");
    }

    /// <summary>A newer IKE SA of the same peer replaces this one, unless the peer has taken the newer one back: both sides may have begun at the same time.</summary>
    private static void EndReplaced(IkeSa sa)
    {
        var by = sa.ReplacedBy;
        // without one it is another engine's
        var isElsewhere = by is null;
        (sa.ReplacedBy, sa.ReplacedAt) = (null, Instant.Never);
        while (by is { State: IkeState.Rekeyed or IkeState.Closed, Successor: { } successor }) by = successor;
        if ((isElsewhere || (by is { State: IkeState.Established } && by != sa)) && sa.State == IkeState.Established) DeleteButWant(sa, "replaced", "the same peer connected anew");
    }

    private static void Expire(IkeSa sa)
    {
        sa.ExpireAt = sa.Engine.Now + ProtocolTimes.DeleteWait;
        switch (sa.State)
        {
            case IkeState.Connecting:
                Fail(sa, "timeout", $"{sa.Remote} did not finish the negotiation in time", "at the peer: its log shows why it did not send the next message (no secret for these identities is the usual reason)");
                break;
            case IkeState.Established:
                // no rekeying worked (section 2.8)
                DeleteButWant(sa, "expired", "its hard lifetime is over");
                break;
            default:
                sa.Close("expired", "the peer did not finish the delete in time");
                break;
        }
    }
}
