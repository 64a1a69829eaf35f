using System;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Engine;
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
        if (soft > TimeSpan.Zero)
        {
            var over = connection.OverTime ?? soft * 0.1;
            var spread = connection.RandTime ?? over;
            if (spread > soft / 2) spread = soft / 2;
            // a random part, so that both sides rarely start together (RFC 7296 section 2.8)
            sa.RekeyAt = now + (soft - sa.Engine.Entropy.NextSpan(spread));
            sa.ExpireAt = now + soft + over;
        }

        if (connection.DpdDelay > TimeSpan.Zero) sa.DpdAt = now + connection.DpdDelay;
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

        if (sa.RekeyAt <= now)
        {
            sa.RekeyAt = Instant.Never;
            if (sa.State == IkeState.Established) sa.Window.Start(new RekeyIkeExchange());
        }

        if (sa.DpdAt <= now) Probe(sa, now);
        foreach (var child in sa.Children.Values.ToArray())
        {
            if (child.ExpireAt <= now)
            {
                child.ExpireAt = now + ProtocolTimes.DeleteWait;
                if (child.Phase is ChildPhase.Deleting or ChildPhase.Rekeyed) sa.RemoveChild(child, "expired", "its hard lifetime is over");
                else Delete(sa, child, "expired");
            }
            else if (child.RekeyAt <= now)
            {
                child.RekeyAt = Instant.Never;
                Rekey(sa, child);
            }
        }
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
        child.Phase = ChildPhase.Deleting;
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

        if (sa.State == IkeState.Connecting)
        {
            sa.Close(reason, text);
            sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
            return;
        }

        var rekeyed = sa.State == IkeState.Rekeyed;
        sa.State = rekeyed ? IkeState.Rekeyed : IkeState.Deleting;
        (sa.RekeyAt, sa.DpdAt) = (Instant.Never, Instant.Never);
        foreach (var waiting in sa.Window.TakeQueued().ToArray()) waiting.OnAbandoned(sa, reason, text);
        sa.Window.Start(new DeleteIkeExchange(reason, text, command));
    }

    /// <summary>The negotiation failed: the report is raised, whoever waits is told, the SA ends.</summary>
    public static void Fail(IkeSa sa, NegotiationFailure failure)
    {
        if (sa.State == IkeState.Closed) return;
        if (!sa.Report.Ended)
        {
            sa.Report.Add(sa.Engine.Now, StepDirection.Here, failure.Sentence);
            var report = sa.Report.Build(sa.Connection.Name, null, sa.Local, sa.Remote, sa.Engine.Now, failure);
            sa.Engine.Raise(new NegotiationEnded(report) { Connection = sa.Connection.Name, IkeId = sa.Id });
            var result = new CommandResult(false, failure.Sentence, Report: report);
            foreach (var command in sa.Waiting) sa.Engine.Complete(command, result);
            sa.Waiting.Clear();
            if (sa.Handshake is { } handshake)
            {
                foreach (var child in handshake.Children) sa.Engine.Complete(child.Command, result);
                handshake.Children.Clear();
            }
        }

        sa.Close(failure.Reason, failure.Sentence);
    }

    public static void Fail(IkeSa sa, string reason, string sentence, string remedy = "") => Fail(sa, new NegotiationFailure(reason, sentence, [], [], [], remedy));

    private static void PeerIsDead(IkeSa sa)
    {
        var tries = sa.Engine.Options.RetransmitTries + 1;
        if (sa.State == IkeState.Connecting)
        {
            var init = sa.Window.Active is InitExchange;
            if (init && (sa.Connection.KeyingTries == 0 || ++sa.Tries < sa.Connection.KeyingTries))
            {
                sa.Report.Add(sa.Engine.Now, StepDirection.Here, $"no answer after {tries} messages; trying again");
                ((InitExchange)sa.Window.Active!).Again(sa);
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

        var children = sa.Children.Values.Where(child => child.Phase != ChildPhase.Rekeyed).Select(child => child.Config).ToImmutableArray();
        var (deleting, rekeyed, connection) = (sa.State == IkeState.Deleting, sa.State == IkeState.Rekeyed, sa.Connection);
        sa.Close(deleting ? "down" : "dead-peer", $"{sa.Remote} does not answer any more: {tries} messages were sent");
        if (deleting || rekeyed) return;
        foreach (var child in children) sa.Engine.Act(connection, child, child.DpdAction);
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
                Delete(sa, "expired", "its hard lifetime is over");
                break;
            default:
                sa.Close("expired", "the peer did not finish the delete in time");
                break;
        }
    }

    private static void Probe(IkeSa sa, Instant now)
    {
        var delay = sa.Connection.DpdDelay;
        sa.DpdAt = Instant.Never;
        if (sa.State != IkeState.Established || delay <= TimeSpan.Zero) return;
        sa.Engine.Ask(sa, new Ask.LastTraffic([.. sa.Children.Keys]), answer =>
        {
            if (sa.State != IkeState.Established) return;
            var heard = answer is Answer.Traffic traffic && traffic.LastIn > sa.LastHeard ? traffic.LastIn : sa.LastHeard;
            // proof of life: nothing needs to be sent (RFC 7296 section 2.4)
            if (sa.Engine.Now - heard < delay)
            {
                sa.DpdAt = heard + delay;
            }
            else
            {
                sa.DpdAt = sa.Engine.Now + delay;
                if (sa.Window.IsIdle) sa.Window.Start(new LivenessExchange());
            }

            sa.Reschedule();
        });
    }
}
