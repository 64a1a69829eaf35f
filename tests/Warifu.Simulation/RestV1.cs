using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Primitives;
using Warifu.V1;

namespace Warifu.Simulation;

/// <summary>What one side has when all is quiet.</summary>
/// <param name="Name">Of the side.</param>
/// <param name="Sas">Its phases 1 with the peer.</param>
/// <param name="Pairs">Its pairs with the peer, in the order in which they were made; whether they may send.</param>
internal sealed record RestingSide(string Name, IReadOnlyCollection<IsakmpSa> Sas, IReadOnlyCollection<(ChildSa Sa, bool Ready)> Pairs)
{
    /// <summary>The pair of a child that traffic leaves on: the newest one that may send.</summary>
    public ChildSa? SendingOn(string child) => Pairs.LastOrDefault(pair => pair.Ready && pair.Sa.Name == child).Sa;

    public ChildState? StateOf(ChildSa pair) => Sas.Select(sa => sa.Children.TryGetValue(pair.Id, out var child) ? child : null).FirstOrDefault(child => child is not null);
}

/// <summary>
/// When two sides of IKEv1 have come to rest. RFC 2408 and 2409 have no rule for what both sides begin at the same time, and nobody answers a delete; so this much is allowed, and no more:
/// <list type="bullet">
/// <item>Exactly one established phase 1, the same on both sides. One that was replaced may stay where the delete was lost, without children, until its lifetime is over.</item>
/// <item>Each child that is wanted has exactly one pair that counts as live on each side, and what either side sends on is there on the other side, with the same keys.</item>
/// <item>Further pairs for the same traffic are there on both sides (two quick modes that crossed: both pairs stay until their lifetime is over), or on one side only if a message was lost; they are on their way out:
/// nobody sends on them or rekeys them.</item>
/// </list>
/// </summary>
internal static class RestV1
{
    /// <summary>Nothing is under way.</summary>
    public static bool IsQuiet(IReadOnlyCollection<IsakmpSa> sas) =>
        sas.All(sa => sa.State is IsakmpState.Established or IsakmpState.Replaced && sa.Exchanges.All(exchange => exchange.IsDone) && sa.Wanted.Count == 0 && !sa.Probe.IsOpen && !sa.HasRenewal && sa.Children.Values.All(child => !IsRetiring(child)));

    /// <summary>We delete it soon. What the peer has replaced stays as long as the peer sends on it.</summary>
    private static bool IsRetiring(ChildState child) => child.RetireAt != Instant.Never && child.Successor is { IsInitiator: true };

    /// <summary>What is under way.</summary>
    public static string Busy(string side, IReadOnlyCollection<IsakmpSa> sas) => string.Join("; ", sas.Where(sa => !IsQuiet([sa])).Select(sa =>
        $"{side} {sa.CookieI} {sa.State}, {sa.Exchanges.Count(exchange => !exchange.IsDone)} exchanges, {sa.Wanted.Count} wanted{(sa.Probe.IsOpen ? ", R-U-THERE" : "")}{(sa.HasRenewal ? ", renewal" : "")}, {sa.Children.Values.Count(IsRetiring)} retiring"));

    /// <param name="left">One side.</param>
    /// <param name="right">The other side.</param>
    /// <param name="children">Names of those that are wanted; null = whatever both have.</param>
    /// <param name="isLossless">No message was lost: there is no half without the other, and no phase 1 but one.</param>
    public static string? WhatIsWrong(RestingSide left, RestingSide right, IEnumerable<string>? children, bool isLossless)
    {
        var hasNone = children is not null && !children.Any();
        foreach (var side in (ReadOnlySpan<RestingSide>)[left, right])
        {
            var established = side.Sas.Count(sa => sa.State == IsakmpState.Established);
            if (established > 1 || (established == 0 && !hasNone && !(children is null && side.Pairs.Count == 0))) return $"{side.Name} has {established} established phases 1";
            if (side.Sas.FirstOrDefault(sa => sa.State == IsakmpState.Replaced && sa.Children.Count > 0) is not null) return $"{side.Name} has a replaced phase 1 with children";
            if (isLossless && side.Sas.Count > established) return $"{side.Name} has {side.Sas.Count} phases 1, and none was lost";
        }

        if (Current(left) is { } ours && Current(right) is { } theirs && (ours.CookieI, ours.CookieR) != (theirs.CookieI, theirs.CookieR)) return $"{left.Name} and {right.Name} have different phases 1: {ours.CookieI} and {theirs.CookieI}";
        if ((Current(left) is null) != (Current(right) is null) && isLossless) return $"only one of {left.Name} and {right.Name} has phase 1";
        var wanted = (children ?? left.Pairs.Concat(right.Pairs).Select(pair => pair.Sa.Name)).ToHashSet();
        return Check(left, right, wanted, isLossless) ?? Check(right, left, wanted, isLossless);
    }

    private static IsakmpSa? Current(RestingSide side) => side.Sas.FirstOrDefault(sa => sa.State == IsakmpState.Established);

    private static string? Check(RestingSide side, RestingSide peer, HashSet<string> wanted, bool isLossless)
    {
        foreach (var name in wanted)
        {
            var live = side.Pairs.Count(pair => pair.Sa.Name == name && side.StateOf(pair.Sa) is { IsLive: true });
            if (live != 1) return $"{side.Name} has {live} live pairs for {name}";
            if (side.SendingOn(name) is not { } sending) return $"{side.Name} cannot send on any pair for {name}";
            if (OtherHalf(sending, peer) is not { } half) return $"{side.Name} sends {name} on {sending.OutboundSpi}, which {peer.Name} has not";
            if (!sending.OutboundEncrKey.FixedTimeEquals(half.InboundEncrKey.Span) || !sending.InboundEncrKey.FixedTimeEquals(half.OutboundEncrKey.Span)) return $"the keys of a pair for {name} differ";
        }

        foreach (var (sa, _) in side.Pairs)
        {
            if (!wanted.Contains(sa.Name)) return $"{side.Name} has a pair for {sa.Name}, which is closed";
            if (side.StateOf(sa) is not { } state) return $"{side.Name} has a pair for {sa.Name} that belongs to no phase 1";
            if (state is { IsLive: false } && state.RekeyAt != Instant.Never) return $"{side.Name} wants to rekey a pair for {sa.Name} that was replaced";
            if (OtherHalf(sa, peer) is null && (isLossless || state.IsLive)) return $"{peer.Name} has not the other half of {side.Name}'s pair for {sa.Name}, {sa.InboundSpi}";
        }

        return null;
    }

    private static ChildSa? OtherHalf(ChildSa sa, RestingSide peer) => peer.Pairs.Select(pair => pair.Sa).FirstOrDefault(other => other.InboundSpi == sa.OutboundSpi && other.OutboundSpi == sa.InboundSpi);
}
