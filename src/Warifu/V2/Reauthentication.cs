using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V2.Exchanges;
using Warifu.Wire;

namespace Warifu.V2;

/// <summary>
/// Re-authentication (RFC 7296 section 2.8.3): an IKE SA from scratch with children of its own, then the old one is deleted with its children: make before break. Who used the configuration payload must begin it;
/// the other side tells it when by AUTH_LIFETIME (RFC 4478).
/// </summary>
internal static class Reauthentication
{
    private const string Text = "the peers authenticated each other anew";

    /// <summary>Instead of its next rekeying the IKE SA is authenticated anew: the counter of completed rekeyings, of either side, would reach the frequency.</summary>
    public static bool IsDue(IkeSa sa) => sa.Connection.ReauthFrequency > 0 && sa.Rekeyings + 1 >= sa.Connection.ReauthFrequency;

    /// <summary>Sets the time of the next authentication; a rekeyed IKE SA keeps that of the one before.</summary>
    public static void Begin(IkeSa sa, TimeSpan over)
    {
        var connection = sa.Connection;
        if (connection.ReauthTime > TimeSpan.Zero && sa.Rekeyings == 0)
        {
            sa.ReauthAt = sa.Engine.Now + (connection.ReauthTime - sa.Engine.Entropy.NextSpan(Lifetimes.Spread(connection, connection.ReauthTime, over)));
            sa.AuthenticUntil = sa.Engine.Now + connection.ReauthTime + over;
        }

        sa.ExpireAt = Instant.Min(sa.ExpireAt, sa.AuthenticUntil);
        Keep(sa);
        // the peer's rekeyings have filled our counter
        if (connection.ReauthFrequency > 0 && sa.Rekeyings >= connection.ReauthFrequency) sa.ReauthAt = Instant.Min(sa.ReauthAt, sa.Engine.Now + ProtocolTimes.ReauthPause + sa.Engine.Entropy.NextSpan(ProtocolTimes.ReauthPause));
    }

    /// <summary>Seconds for AUTH_LIFETIME in IKE_AUTH; 0 = none is told.</summary>
    public static uint LifetimeToTell(IkeSa sa)
    {
        var connection = sa.Connection;
        if (connection.ReauthTime > TimeSpan.Zero) return (uint)Math.Ceiling(connection.ReauthTime.TotalSeconds);
        return connection.ReauthFrequency > 0 && sa.HasConfiguration ? (uint)Math.Min(Math.Ceiling((connection.RekeyTime * connection.ReauthFrequency).TotalSeconds), uint.MaxValue) : 0;
    }

    /// <summary>The original responder wants us to authenticate anew within this time (RFC 4478 section 2).</summary>
    public static void Told(IkeSa sa, ReadOnlySpan<byte> data)
    {
        if (data.Length != 4 || !sa.Origin.IsOurs) return;
        sa.LifetimeTold = TimeSpan.FromSeconds(BinaryPrimitives.ReadUInt32BigEndian(data));
        if (sa.State == IkeState.Established) Keep(sa);
    }

    private static void Keep(IkeSa sa)
    {
        if (sa.LifetimeTold is not { } lifetime) return;
        sa.LifetimeTold = null;
        // in time, and not all at once when it told many; a peer that asks again and again is served at a bounded rate
        var at = sa.Engine.Now + (lifetime * 0.9) - sa.Engine.Entropy.NextSpan(lifetime * 0.1);
        var least = sa.Authenticated + ProtocolTimes.ReauthLeast;
        sa.ReauthAt = Instant.Min(sa.ReauthAt, at > least ? at : least);
    }

    /// <summary>Queues it behind what is under way.</summary>
    public static void Want(IkeSa sa, CommandId command = default)
    {
        sa.Window.Start(new ReauthExchange(command));
        sa.Reschedule();
    }

    /// <summary>Begins it, now that nothing else is under way on the IKE SA and the peer has it, too.</summary>
    public static void Start(IkeSa sa, CommandId command)
    {
        if (sa.State != IkeState.Established)
        {
            sa.Engine.Complete(command, new CommandResult(false, "the IKE SA is not there any more"));
            return;
        }

        if (sa.Reauthenticates is not null)
        {
            // it is itself the new one of another, whose children are still on their way
            sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
            return;
        }

        if (sa.Renewal is { } running)
        {
            if (command.Value == 0) return;
            if (running.Established == default) running.Waiting.Add(command);
            else sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
            return;
        }

        if (sa.Engine.NewerOf(sa) is { } newer)
        {
            // the peer's own has come already
            Adopt(sa, newer);
            sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));
            return;
        }

        CancelRekeyings(sa);
        if (sa.HasConfiguration && !sa.Origin.IsOurs)
        {
            // its addresses are the peer's to ask for: it is told, and what it does not do in time is done by the hard lifetime
            var left = sa.ExpireAt == Instant.Never ? ProtocolTimes.RekeyRetry : sa.ExpireAt - sa.Engine.Now;
            sa.Window.Start(new AuthLifetimeExchange((uint)Math.Max(0, left.TotalSeconds / 2), command));
            return;
        }

        var children = sa.Children.Values.Where(child => IsWanted(sa, child)).OrderBy(child => child.Id).Select(child => RequestOf(sa, child)).ToList();
        if (sa.Engine.Options.BreakBeforeMake)
        {
            sa.Again = (children, command);
            Lifetimes.Delete(sa, "reauthenticated", "the peers authenticate each other anew");
            return;
        }

        sa.Renewal = sa.Engine.Renew(sa, children, command);
        sa.Renewal.Reauthenticates = sa;
    }

    /// <summary>A new authentication that came from elsewhere takes over. One that the peer began may be unknown to it yet, and it closes the old one itself once it is not: it gets the time for that.</summary>
    private static void Adopt(IkeSa old, IkeSa newer)
    {
        var until = newer.Established + ProtocolTimes.ReplacedPatience;
        if (!newer.Origin.IsOurs && old.Engine.Now < until)
        {
            old.ReauthAt = until;
            old.Reschedule();
            return;
        }

        (newer.Reauthenticates, old.Renewal) = (old, newer);
        old.Engine.AwaitRenewal(newer);
    }

    /// <summary>The new IKE SA is up. Once all its children are, the old one goes. True when that is done.</summary>
    public static bool TryFinish(IkeSa made)
    {
        if (made.Reauthenticates is not { } old) return true;
        if (made.State != IkeState.Established || old.State != IkeState.Established)
        {
            Failed(made, "redundant", "");
            return true;
        }

        var making = BeingMade(made);
        // what was closed on the old one meanwhile
        foreach (var name in made.Dropped.Where(name => !making.Contains(name)).ToArray())
        {
            made.Dropped.Remove(name);
            made.Renewed.Remove(name);
            foreach (var child in made.Children.Values.Where(child => child.IsLive && child.Config.Name == name).ToArray()) Lifetimes.Delete(made, child, "down");
        }

        if (made.Dropped.Count > 0) return false;
        // what came to it meanwhile, or is still to come
        foreach (var child in old.Children.Values.Where(child => IsWanted(old, child)).ToArray()) Want(child.Config.Name, () => RequestOf(old, child));
        foreach (var running in CreateChildExchange.NewOf(old.Window.Running)) Want(running.Request.Config.Name, () => running.Request with { Command = default });
        foreach (var waiting in old.Window.TakeCreations(old.Later)) made.Window.Start(waiting);
        if (BeingMade(made).Count > 0) return false;
        (made.Reauthenticates, old.Renewal) = (null, null);
        made.Engine.Raise(new IkeSaReauthenticated(made.Id) { Connection = old.Connection.Name, IkeId = old.Id });
        Lifetimes.Delete(old, "reauthenticated", Text);
        made.Reschedule();
        return true;

        void Want(string name, Func<ChildRequest> wish)
        {
            if (made.Children.HasLive(name) || making.Contains(name) || !made.Renewed.Add(name)) return;
            making.Add(name);
            made.Window.Start(new CreateChildExchange(wish()));
        }
    }

    private static HashSet<string> BeingMade(IkeSa sa) => sa.Window.Creations.Concat(CreateChildExchange.NewOf(sa.Later)).Select(exchange => exchange.Request.Config.Name).ToHashSet(StringComparer.Ordinal);

    /// <summary>The new IKE SA was not established. Credentials that are not good any more end the tunnel; for any other reason the old one stays until its hard lifetime, and another try comes before.</summary>
    public static void Failed(IkeSa attempt, string reason, string text)
    {
        if (attempt.Reauthenticates is not { } old) return;
        (attempt.Reauthenticates, old.Renewal) = (null, null);
        if (old.State != IkeState.Established) return;
        if (reason == "no-secret" || (attempt.AuthSent && reason is not ("timeout" or "down" or "shutdown" or "replaced" or "redundant" or "internal" or "refused" or "invalid-syntax")))
        {
            Lifetimes.DeleteButWant(old, "authentication-failed", $"re-authentication failed: {text}");
            return;
        }

        if (old.Engine.NewerOf(old) is { } newer)
        {
            // another new authentication did it, perhaps the peer's
            Adopt(old, newer);
            return;
        }

        old.ReauthAt = Lifetimes.RetryRekey(old, old.ExpireAt);
        foreach (var child in old.Children.Values.Where(child => child.Phase == ChildPhase.Installed && child.Config.RekeyTime > TimeSpan.Zero).ToArray()) child.RekeyAt = Lifetimes.RetryRekey(old, child.ExpireAt);
        old.Reschedule();
    }

    /// <summary>Somebody closes a child of the old one: the new one is not to keep it.</summary>
    public static void Drop(IkeSa old, ChildState child) => old.Renewal?.Dropped.Add(child.Config.Name);

    /// <summary>The old IKE SA was rekeyed while it is being replaced.</summary>
    public static void Follow(IkeSa from, IkeSa to)
    {
        if (from.Renewal is not { } renewal) return;
        (from.Renewal, to.Renewal, renewal.Reauthenticates) = (null, renewal, to);
    }

    /// <summary>Rekeyings that wait make keys that nobody will use.</summary>
    private static void CancelRekeyings(IkeSa sa)
    {
        (sa.RekeyAt, sa.ReauthAt) = (Instant.Never, Instant.Never);
        var waiting = sa.Window.TakeQueued().Concat(sa.Later).ToArray();
        sa.Later.Clear();
        sa.RetryAt = Instant.Never;
        foreach (var exchange in waiting)
        {
            if (exchange is RekeyIkeExchange or CreateChildExchange { Old: not null }) exchange.OnAbandoned(sa, "rekeyed", Text);
            else sa.Window.Start(exchange);
        }

        foreach (var child in sa.Children.Values.ToArray())
        {
            if (!child.IsLive) continue;
            child.RekeyAt = Instant.Never;
            if (sa.Window.Active is not CreateChildExchange { Old: { } old } || old != child) child.Phase = ChildPhase.Installed;
        }
    }

    /// <summary>It carries traffic, or its time is over and it is to come back.</summary>
    private static bool IsWanted(IkeSa sa, ChildState child) => child.IsLive || (child is { HasExpired: true, Config.CloseAction: StartAction.Start } && !sa.Children.HasLive(child.Config.Name));

    /// <summary>A child as it is: where a packet made it, its selectors go along.</summary>
    private static ChildRequest RequestOf(IkeSa sa, ChildState child)
    {
        var several = sa.Children.Values.Count(other => other.IsLive && other.Config.Name == child.Config.Name) > 1;
        return several ? new ChildRequest(child.Config, default, child.Local[0], child.Remote[0]) : new ChildRequest(child.Config, default);
    }
}

/// <summary>An empty INFORMATIONAL before an IKE SA is authenticated anew: one that only we hold any more must not become a second connection beside the one that the peer holds.</summary>
internal sealed class ReauthExchange(CommandId command) : Exchange
{
    public override ExchangeType Type => ExchangeType.Informational;

    public override string Task => "IKE_REAUTH";

    public override bool TryBuild(IkeSa sa, MessageBuilder builder)
    {
        if (sa.State == IkeState.Established) return true;
        sa.Engine.Complete(command, new CommandResult(false, "the IKE SA is not there any more"));
        return false;
    }

    public override void OnResponse(IkeSa sa, scoped in MessageView view) => Reauthentication.Start(sa, command);

    public override bool TryMove(IkeSa from) => from.Successor is not null;

    /// <summary>The peer's own did what was asked.</summary>
    public override void OnAbandoned(IkeSa sa, string reason, string text) => sa.Engine.Complete(command, new CommandResult(reason == "rekeyed", reason == "rekeyed" ? "" : text, Matches: 1, Done: reason == "rekeyed" ? 1 : 0));
}

/// <summary>INFORMATIONAL with AUTH_LIFETIME (RFC 4478 section 2): the original initiator is asked to authenticate anew.</summary>
internal sealed class AuthLifetimeExchange(uint seconds, CommandId command) : Exchange
{
    public override ExchangeType Type => ExchangeType.Informational;

    public override string Task => "IKE_AUTH_LIFETIME";

    public override bool TryBuild(IkeSa sa, MessageBuilder builder)
    {
        Span<byte> data = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(data, seconds);
        builder.Notify(NotifyType.AuthLifetime, data);
        return true;
    }

    public override void OnResponse(IkeSa sa, scoped in MessageView view) => sa.Engine.Complete(command, new CommandResult(true, Matches: 1, Done: 1));

    public override bool TryMove(IkeSa from) => true;

    public override void OnAbandoned(IkeSa sa, string reason, string text) => sa.Engine.Complete(command, new CommandResult(false, text, Matches: 1));
}
