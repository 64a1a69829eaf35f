using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Warifu.Crypto;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.V1;

/// <summary>Keys for a pair (RFC 2409 section 5.5), its lifetimes, and its way to the data plane.</summary>
internal static class QuickInstall
{
    /// <summary>RFC 2407 section 4.5: so long where nothing is said.</summary>
    public const ulong DefaultSeconds = 28_800;

    public static bool IsEncapsulated(IsakmpSa sa) => sa.IsBehindNat || (sa.ForceEncapsulation && sa.Connection.NatTraversal && sa.Peer.NatTraversal != VendorKind.Unknown);

    public static bool IsSameTraffic(ChildState one, ChildState other) => one.Config.Name == other.Config.Name && one.Local.SequenceEqual(other.Local) && one.Remote.SequenceEqual(other.Remote);

    /// <summary>Pairs that both sides have for the same traffic.</summary>
    public static IEnumerable<ChildState> PairsFor(IsakmpSa sa, ChildState child) => sa.Children.Like(child.Config.Name, child.Local[0], child.Remote[0]).Where(other => other.IsAnnounced && other.Phase != ChildPhase.Deleting && IsSameTraffic(other, child));

    /// <summary>The selectors that went over the wire.</summary>
    public static (ImmutableArray<TrafficSelector> Local, ImmutableArray<TrafficSelector> Remote) PartOf(ChildState child) => child.Negotiated is { } wire ? ([wire.Local], [wire.Remote]) : (child.Local, child.Remote);

    /// <summary>Seconds and kilobytes of our configuration; 0 = none.</summary>
    public static (ulong Seconds, ulong Kilobytes) LifetimesOf(Child config)
    {
        var hard = config.LifeTime ?? config.RekeyTime * 1.1;
        if (hard < config.RekeyTime) hard = config.RekeyTime;
        var octets = config.LifeBytes ?? config.RekeyBytes + (config.RekeyBytes / 10);
        return ((ulong)Math.Max(0, hard.TotalSeconds), octets / 1024);
    }

    /// <summary>The keys would be such that the cipher must not have (RFC 2405 section 3, RFC 2451 section 2.3).</summary>
    public static bool IsWeak(IsakmpSa sa, QuickSuite suite, Secret? shared, ChildSpi initiator, ChildSpi responder, byte[] ni, byte[] nr)
    {
        var encr = (EncrId)suite.AsProposal().Find(TransformType.Encr).Id;
        if (suite.Protocol != ProtocolId.Esp || encr is not (EncrId.Des or EncrId.TripleDes)) return false;
        var (encrLength, integLength) = suite.KeyLengths;
        var keys = KeyScheduleV1.DeriveChild(sa.Keys!, shared, suite.Protocol, initiator, responder, ni, nr, encrLength, integLength);
        var isWeak = WeakKeys.IsWeak(encr, keys.InitiatorEncr.Span) || WeakKeys.IsWeak(encr, keys.ResponderEncr.Span);
        foreach (var key in new[] { keys.InitiatorEncr, keys.InitiatorInteg, keys.ResponderEncr, keys.ResponderInteg }) key.Dispose();
        return isWeak;
    }

    /// <param name="sa">Under which quick mode ran; the pair goes to the newest phase 1 of its line.</param>
    /// <param name="terms">What was negotiated.</param>
    /// <param name="suite">Algorithms and lifetimes as they were chosen.</param>
    /// <param name="shared">With PFS.</param>
    /// <param name="ni">Nonce of the initiator.</param>
    /// <param name="nr">Nonce of the responder.</param>
    /// <param name="udp">ESP in UDP.</param>
    public static ChildState Install(IsakmpSa sa, ChildTerms terms, QuickSuite suite, Secret? shared, byte[] ni, byte[] nr, bool udp)
    {
        var holder = sa.Holder;
        var engine = sa.Engine;
        var (encrLength, integLength) = suite.KeyLengths;
        var (initiatorSpi, responderSpi) = terms.Initiator ? (terms.Inbound, terms.Outbound) : (terms.Outbound, terms.Inbound);
        var keys = KeyScheduleV1.DeriveChild(sa.Keys!, shared, suite.Protocol, initiatorSpi, responderSpi, ni, nr, encrLength, integLength);
        var child = new ChildState
        {
            Id = engine.NewId(),
            Config = terms.Config,
            Inbound = terms.Inbound,
            Outbound = terms.Outbound,
            Proposal = terms.Proposal,
            Mode = terms.Mode,
            Encapsulated = udp,
            Local = terms.Local,
            Remote = terms.Remote,
            Installed = engine.Now,
            Made = engine.Moment,
            IsInitiator = terms.Initiator,
            Negotiated = terms.Negotiated,
            IsAnnounced = false,
        };
        // what the data plane counts: the shorter of both lifetimes in kilobytes
        var path = new ChildPath(holder.Id, sa.Connection.Name, sa.Local, sa.Remote, sa.LocalBehindNat, sa.RemoteBehindNat);
        var limited = terms.Config with { LifeBytes = null, RekeyBytes = terms.Config.RekeyBytes };
        var (_, kilobytes) = LifetimesOf(terms.Config);
        var hard = Lifetime.Shorter(kilobytes, suite.Kilobytes);
        if (hard > 0 && hard < ulong.MaxValue / 2048) limited = limited with { LifeBytes = hard * 1024, RekeyBytes = terms.Config.RekeyBytes > 0 && terms.Config.RekeyBytes < hard * 1024 ? terms.Config.RekeyBytes : hard * 1024 / 10 * 9 };
        var pair = ChildConfig.PairOf(path, terms with { Config = limited }, child, keys, engine.Entropy, terms.Replaces?.Id ?? 0, terms.OutboundReady);
        holder.Children.Add(child);
        engine.AddChild(holder, child);
        Begin(sa, child, suite.Seconds);
        engine.Emit(new IkeAction.InstallChild(pair));
        return child;
    }

    /// <summary>
    /// Both sides have it. Of several pairs for the same traffic the newest carries it, and those that are older on both sides go. Whoever begins a quick mode when a pair is there, or answers one, has it as the older
    /// one, and so has the peer, which had it before. Two quick modes that crossed are in another order on the other side, where each has its own as the newest: both pairs stay, and go with the next rekeying.
    /// </summary>
    /// <param name="sa">Under which quick mode ran.</param>
    /// <param name="child">The new pair.</param>
    /// <param name="began">When its quick mode began, in moments of the engine.</param>
    public static void Confirm(IsakmpSa sa, ChildState child, long began)
    {
        var holder = sa.Holder;
        child.IsAnnounced = true;
        var pairs = PairsFor(holder, child).OrderByDescending(pair => pair.Id).ToArray();
        var old = pairs.FirstOrDefault(other => other != child && other.IsLive);
        foreach (var other in pairs.Skip(1))
        {
            if (other.IsLive) (other.Phase, other.RekeyAt, other.Successor) = (ChildPhase.Rekeyed, Instant.Never, pairs[0]);
            // who began the new one deletes the old ones; the other side does it when that delete is lost
            if (pairs[0] == child && other.Made < began && other.RetireAt == Instant.Never) other.RetireAt = sa.Engine.Now + (child.IsInitiator ? ProtocolTimes.RetireSoon : ProtocolTimes.RetireUnused);
        }

        sa.Report.Add(sa.Engine.Now, StepDirection.Here, $"child {child.Config.Name} installed: {ProposalKeywords.Print(child.Proposal)}, {Selectors.Print(child.Local)} === {Selectors.Print(child.Remote)}");
        sa.Engine.Succeeded(sa.Connection);
        if (pairs[0] != child)
        {
            sa.Report.Add(sa.Engine.Now, StepDirection.Here, "the peer's quick mode and ours crossed: traffic stays on the other pair");
        }
        else if (old is null)
        {
            sa.Engine.Raise(new ChildUp(child.Config.Name, child.Id, child.Inbound.ToString(), child.Outbound.ToString(), child.Local, child.Remote) { Connection = sa.Connection.Name, IkeId = holder.Id });
        }
        else
        {
            sa.Engine.Counters.ChildRekey++;
            sa.Engine.CountersOf(sa.Connection.Name).ChildRekey++;
            sa.Engine.Raise(new ChildRekeyed(child.Config.Name, old.Id, child.Id) { Connection = sa.Connection.Name, IkeId = holder.Id });
        }

        sa.Engine.ReportDone(sa, child.Config.Name, null);
        holder.Reschedule();
    }

    /// <summary>The grace after a rekeying is over: the old pair goes. What the peer has replaced goes only when it does not use it any more.</summary>
    public static void Retire(IsakmpSa sa, ChildState child)
    {
        if (child.IsLive) return;
        if (child.Successor is { IsInitiator: true })
        {
            PhaseLifetimes.Delete(sa, child, "rekeyed");
            return;
        }

        sa.Engine.Ask(sa, new Ask.LastTraffic([child.Id]), answer =>
        {
            if (child.IsLive || child.Table is null) return;
            var holder = sa.Holder;
            if (answer is Answer.Traffic { LastIn: var last } && sa.Engine.Now - last < ProtocolTimes.RetireUnused && last > child.Installed) child.RetireAt = sa.Engine.Now + ProtocolTimes.RetireUnused;
            else PhaseLifetimes.Delete(holder, child, "rekeyed");
            holder.Reschedule();
        });
    }

    /// <summary>What was to replace it is gone: it carries on, and is rekeyed before its lifetime ends.</summary>
    public static void Revive(IsakmpSa sa, ChildState child)
    {
        (child.Phase, child.RetireAt, child.Successor) = (ChildPhase.Installed, Instant.Never, null);
        var left = child.ExpireAt == Instant.Never ? ProtocolTimes.RekeyRetry : (child.ExpireAt - sa.Engine.Now) / 2;
        child.RekeyAt = left < ProtocolTimes.TemporaryFailureWait ? Instant.Never : sa.Engine.Now + (left < ProtocolTimes.RekeyRetry ? left : ProtocolTimes.RekeyRetry);
    }

    /// <summary>The peer keeps it for less time than was offered.</summary>
    public static void Shorten(IsakmpSa sa, ChildState child, ulong seconds)
    {
        var hard = child.Installed + TimeSpan.FromSeconds(Math.Min(seconds, uint.MaxValue));
        if (hard >= child.ExpireAt) return;
        child.ExpireAt = hard;
        var soft = child.Installed + (TimeSpan.FromSeconds(Math.Min(seconds, uint.MaxValue)) * 0.9);
        if (soft < child.RekeyAt) child.RekeyAt = PhaseLifetimes.IsTooShort(hard - child.Installed) ? Instant.Never : soft;
        sa.Holder.Reschedule();
    }

    /// <summary>Closes a pair that nothing has used for its time of inactivity.</summary>
    public static void CheckIdle(IsakmpSa sa, ChildState child) => sa.Engine.Ask(sa, new Ask.LastTraffic([child.Id]), answer =>
    {
        if (!child.IsLive || child.Table is null) return;
        var used = child.Installed;
        if (answer is Answer.Traffic traffic)
        {
            if (traffic.LastIn > used) used = traffic.LastIn;
            if (traffic.LastOut > used) used = traffic.LastOut;
        }

        var holder = sa.Holder;
        if (sa.Engine.Now - used >= child.Config.Inactivity) PhaseLifetimes.Delete(holder, child, "inactive");
        else child.IdleAt = used + child.Config.Inactivity;
        holder.Reschedule();
    });

    private static void Begin(IsakmpSa sa, ChildState child, ulong offered)
    {
        var config = child.Config;
        var (own, _) = LifetimesOf(config);
        if (offered == 0) offered = DefaultSeconds;
        var now = sa.Engine.Now;
        if (own == 0 || offered < own)
        {
            // the peer's is the shorter one, or the only one
            var hard = TimeSpan.FromSeconds(Math.Min(offered, uint.MaxValue));
            child.ExpireAt = now + hard;
            if (!PhaseLifetimes.IsTooShort(hard)) child.RekeyAt = now + ((hard * 0.9) - sa.Engine.Entropy.NextSpan(hard * 0.1));
        }
        else
        {
            var hard = TimeSpan.FromSeconds(own);
            child.ExpireAt = now + hard;
            if (config.RekeyTime > TimeSpan.Zero)
            {
                var spread = config.RandTime ?? (hard > config.RekeyTime ? hard - config.RekeyTime : TimeSpan.Zero);
                if (spread > config.RekeyTime / 2) spread = config.RekeyTime / 2;
                child.RekeyAt = now + (config.RekeyTime - sa.Engine.Entropy.NextSpan(spread));
            }
        }

        if (config.Inactivity > TimeSpan.Zero) child.IdleAt = now + config.Inactivity;
    }
}
