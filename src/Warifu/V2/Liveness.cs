using System;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V2.Exchanges;

namespace Warifu.V2;

/// <summary>Is the peer still there (RFC 7296 section 2.4), and does anybody use this pair? Both by what the data plane has seen.</summary>
internal static class Liveness
{
    /// <summary>Looks whether a check is due in the connection's mode, and when to look again.</summary>
    public static void Check(IkeSa sa)
    {
        sa.DpdAt = Instant.Never;
        if (sa.State != IkeState.Established || sa.Connection.DpdDelay <= TimeSpan.Zero) return;
        sa.Engine.Ask(sa, new Ask.LastTraffic([.. sa.Children.Keys]), answer =>
        {
            if (sa.State != IkeState.Established) return;
            var (lastIn, lastOut) = answer is Answer.Traffic traffic ? (traffic.LastIn, traffic.LastOut) : default;
            var now = sa.Engine.Now;
            var heard = lastIn > sa.LastHeard ? lastIn : sa.LastHeard;
            // that the peer answers does not say that it reaches us by itself (RFC 4555 section 3.8)
            if (sa.Connection.DpdMode != DpdMode.Optimized && Mobike.WatchesMapping(sa)) heard = Instant.Min(heard, sa.Peer.MappingSeen);
            (sa.DpdAt, sa.UnansweredSince) = LivenessClock.Next(sa.Connection.DpdMode, sa.Connection.DpdDelay, now, heard, lastOut, sa.UnansweredSince);
            if (sa.DpdAt <= now)
            {
                sa.DpdAt = now + (sa.Connection.DpdMode == DpdMode.Optimized ? sa.Connection.DpdDelay / LivenessClock.Looks : sa.Connection.DpdDelay);
                // a request that is under way asks the same question
                if (sa.Window.IsIdle) sa.Window.Start(new LivenessExchange());
            }

            sa.Reschedule();
        });
    }

    /// <summary>Somebody, perhaps the peer, perhaps a forger, says that the peer has lost us (section 2.21.4): it is asked, at a bounded rate.</summary>
    public static void Hint(IkeSa sa)
    {
        if (sa.State != IkeState.Established || sa.Engine.Now < sa.HintAt || !sa.Window.IsIdle) return;
        sa.HintAt = sa.Engine.Now + ProtocolTimes.HintInterval;
        sa.Window.Start(new LivenessExchange());
        sa.Reschedule();
    }

    /// <summary>Closes a pair that nothing has used for its time of inactivity.</summary>
    public static void CheckIdle(IkeSa asked, ChildState child) => asked.Engine.Ask(asked, new Ask.LastTraffic([child.Id]), answer =>
    {
        if (!child.IsLive || asked.Engine.OwnerOf(child) is not { State: IkeState.Established } sa) return;
        var used = Latest(child.UsedBefore == default ? child.Installed : child.UsedBefore, answer);
        if (sa.Engine.Now - used >= child.Config.Inactivity) Lifetimes.Delete(sa, child, "inactive");
        else child.IdleAt = used + child.Config.Inactivity;
        sa.Reschedule();
    });

    /// <summary>A rekeyed pair is as idle as the one that it replaced.</summary>
    public static void Inherit(IkeSa sa, ChildState old, ChildState made) => sa.Engine.Ask(sa, new Ask.LastTraffic([old.Id]), answer =>
    {
        made.UsedBefore = Latest(old.UsedBefore == default ? old.Installed : old.UsedBefore, answer);
        made.IdleAt = made.UsedBefore + made.Config.Inactivity;
        sa.Engine.OwnerOf(made)?.Reschedule();
    });

    private static Instant Latest(Instant used, Answer answer)
    {
        if (answer is not Answer.Traffic traffic) return used;
        if (traffic.LastIn > used) used = traffic.LastIn;
        return traffic.LastOut > used ? traffic.LastOut : used;
    }
}
