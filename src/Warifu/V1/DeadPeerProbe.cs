using System;
using System.Buffers.Binary;
using Warifu.Engine;
using Warifu.Primitives;

namespace Warifu.V1;

/// <summary>Dead peer detection (RFC 3706): R-U-THERE with a number, which R-U-THERE-ACK repeats.</summary>
internal sealed class DeadPeerProbe
{
    private uint _sequence;
    private int _sent;
    private Instant _began;
    private Instant _deadAt;

    /// <summary>When the question goes again; <see cref="Instant.Never"/> = none is open.</summary>
    public Instant NextAt { get; private set; } = Instant.Never;

    public bool IsOpen => NextAt != Instant.Never;

    public void Stop() => NextAt = Instant.Never;

    /// <summary>Looks whether a question is due, or due again.</summary>
    public void Check(IsakmpSa sa)
    {
        var now = sa.Engine.Now;
        // a new configuration may have turned it off while a question was open
        if (sa.Connection.DpdDelay <= TimeSpan.Zero) Stop();
        if (IsOpen)
        {
            // an open question is the same question
            if (sa.DpdAt <= now) sa.DpdAt = NextAt > now ? NextAt : now + sa.Connection.DpdDelay;
            if (NextAt > now) return;
            if (sa.LastHeard > _began)
            {
                Stop();
                return;
            }

            var most = sa.Connection.DpdThreshold > 0 ? sa.Connection.DpdThreshold : sa.Engine.Options.RetransmitTries;
            if (sa.Connection.DpdTimeout > TimeSpan.Zero ? _deadAt <= now : _sent > most)
            {
                Stop();
                GiveUp(sa);
                return;
            }

            Send(sa);
            return;
        }

        sa.DpdAt = Instant.Never;
        if (sa.State == IsakmpState.Passive) CheckPassive(sa);
        if (sa.State != IsakmpState.Established || sa.Connection.DpdDelay <= TimeSpan.Zero) return;
        sa.Engine.Ask(sa, new Ask.LastTraffic([.. sa.Children.Keys]), answer =>
        {
            if (sa.State != IsakmpState.Established) return;
            var (lastIn, lastOut) = answer is Answer.Traffic traffic ? (traffic.LastIn, traffic.LastOut) : default;
            var at = sa.Engine.Now;
            var heard = lastIn > sa.LastHeard ? lastIn : sa.LastHeard;
            (sa.DpdAt, sa.UnansweredSince) = LivenessClock.Next(sa.Connection.DpdMode, sa.Connection.DpdDelay, at, heard, lastOut, sa.UnansweredSince);
            if (sa.DpdAt <= at)
            {
                sa.DpdAt = at + (sa.Connection.DpdMode == Policy.DpdMode.Optimized ? sa.Connection.DpdDelay / LivenessClock.Looks : sa.Connection.DpdDelay);
                if (!IsOpen) Begin(sa, heard);
            }

            sa.Reschedule();
        });
    }

    /// <summary>Phase 1 is over and its children live on: when nothing comes in by them, only a new phase 1 can tell whether the peer is there.</summary>
    private static void CheckPassive(IsakmpSa sa)
    {
        if (sa.Connection.DpdDelay <= TimeSpan.Zero || RemoteAccess.IsGateway(sa.Connection)) return;
        sa.DpdAt = sa.Engine.Now + sa.Connection.DpdDelay;
        sa.Engine.Ask(sa, new Ask.LastTraffic([.. sa.Children.Keys]), answer =>
        {
            if (sa.State != IsakmpState.Passive || sa.HasRenewal) return;
            if (answer is Answer.Traffic { LastIn: var last } && last > sa.Engine.Now - sa.Connection.DpdDelay) return;
            sa.HasRenewal = true;
            sa.Engine.Renew(sa, default);
        });
    }

    /// <summary>The peer answered.</summary>
    public void Heard(ReadOnlySpan<byte> data)
    {
        if (IsOpen && data.Length == 4 && BinaryPrimitives.ReadUInt32BigEndian(data) == _sequence) Stop();
    }

    /// <summary>Packets that come in are proof of life, too (RFC 3706 section 5).</summary>
    private void GiveUp(IsakmpSa sa) => sa.Engine.Ask(sa, new Ask.LastTraffic([.. sa.Children.Keys]), answer =>
    {
        if (sa.LastHeard > _began || (answer is Answer.Traffic { LastIn: var last } && last > _began))
        {
            sa.DpdAt = sa.Engine.Now + sa.Connection.DpdDelay;
            // it lives, and has lost this phase 1; with remote access the client begins another one
            if (sa.LastHeard <= _began && !RemoteAccess.IsGateway(sa.Connection)) PhaseLifetimes.Renew(sa);
            sa.Reschedule();
            return;
        }

        var time = sa.Connection.DpdTimeout > TimeSpan.Zero ? $" in dpd_timeout = {sa.Connection.DpdTimeout.TotalSeconds:0}s" : "";
        sa.Close("dead-peer", $"{sa.Remote} does not answer any more: R-U-THERE was sent {_sent} times{time}");
    });

    private void Begin(IsakmpSa sa, Instant heard)
    {
        // section 6.2: random at first, then one more for each
        _sequence = _sequence == 0 ? sa.Engine.Entropy.NextUInt32() & 0x7FFF_FFFF : _sequence + 1;
        (_sent, _began) = (0, sa.Engine.Now);
        // a timeout that is shorter than the delay leaves one question time for its answer
        var soonest = sa.Engine.Now + sa.Engine.Options.RetransmitTimeout;
        _deadAt = heard + sa.Connection.DpdTimeout > soonest ? heard + sa.Connection.DpdTimeout : soonest;
        Send(sa);
    }

    private void Send(IsakmpSa sa)
    {
        _sent++;
        var data = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(data, _sequence);
        sa.Inform(builder => builder.Notify(ProtocolId.Ike, sa.Cookies(), NotifyV1.RUThere, data));
        var wait = sa.Engine.Options.RetransmitTimeout * Math.Pow(ProtocolTimes.RetransmitFactor, _sent - 1);
        if (wait > ProtocolTimes.RetransmitLongest) wait = ProtocolTimes.RetransmitLongest;
        if (sa.Connection.DpdThreshold > 0 || sa.Connection.DpdTimeout > TimeSpan.Zero) wait = sa.Connection.DpdDelay;
        NextAt = sa.Engine.Now + wait;
        if (sa.Connection.DpdTimeout > TimeSpan.Zero) NextAt = Instant.Min(NextAt, _deadAt);
    }
}
