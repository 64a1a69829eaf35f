using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V2;
using Warifu.Wire;

namespace Warifu.Simulation;

/// <summary>How a crossing of IKEv1 is played.</summary>
/// <param name="Aggressive">Phase 1 is aggressive mode.</param>
/// <param name="Pfs">Quick mode has a Diffie-Hellman exchange of its own.</param>
internal readonly record struct KindV1(bool Aggressive, bool Pfs)
{
    public static KindV1[] All { get; } = [new(false, false), new(true, false), new(false, true), new(true, true)];
}

/// <summary>
/// Two engines whose messages arrive when the test says so: in any order of the two directions, twice, or never. Three children: a and b are up, c is not. After each step packets go both ways on each child that
/// nobody closes, and must find an SA.
/// </summary>
internal sealed class CrossingPair : IDisposable
{
    private readonly KindV1? _v1;
    private readonly LinkedList<IkeAction.Send> _toLeft = [], _toRight = [];
    private readonly HashSet<string> _closing = new(StringComparer.Ordinal);

    /// <param name="seed">Of the pair.</param>
    /// <param name="traffic">Packets that arrive make the responder of a rekeying use the new pair.</param>
    /// <param name="isUp">The IKE SA with a and b is up; otherwise nothing is.</param>
    /// <param name="v1">Both speak IKEv1; null = IKEv2.</param>
    public CrossingPair(ulong seed = 1, bool traffic = true, bool isUp = true, KindV1? v1 = null)
    {
        (HasTraffic, _v1) = (traffic, v1);
        Pair = new EnginePair(seed);
        Pair.Load(Of(EnginePair.LeftGateway(), isLeft: true, v1), Of(EnginePair.RightGateway(), isLeft: false, v1));
        if (!isUp)
        {
            _closing.UnionWith(["a", "b"]);
            return;
        }

        foreach (var child in new[] { "a", "b" })
        {
            if (!Pair.Up(child).Success) throw new InvalidOperationException(child);
        }

        Pair.Run(TimeSpan.FromSeconds(1));
    }

    public EnginePair Pair { get; }

    public EngineHost Left => Pair.Left;

    public EngineHost Right => Pair.Right;

    public Instant Now { get; private set; }

    public bool HasTraffic { get; }

    /// <summary>The first packet that found no way.</summary>
    public string? Gap { get; private set; }

    public int Delivered { get; private set; }

    public bool IsSilent => _toLeft.Count + _toRight.Count == 0;

    /// <summary>What was done and what passed, for the message of a failure.</summary>
    public List<string> Story { get; } = [];

    public EngineHost Of(bool isLeft) => isLeft ? Left : Right;

    /// <summary>A command on one side; its messages wait.</summary>
    public ulong Do(bool onLeft, string deed)
    {
        if (Now == default) Now = Pair.Now;
        if (deed is "down a" or "down b") _closing.Add(deed[5..]);
        if (deed == "down") _closing.UnionWith(["a", "b", "c"]);
        var host = Of(onLeft);
        Story.Add($"{(onLeft ? "left" : "right")}: {deed}");
        if (deed == "probe")
        {
            if (host.Engine.IkeSas.FirstOrDefault(sa => sa.State == IkeState.Established) is { } sa) sa.Window.Start(new V2.Exchanges.LivenessExchange());
            host.Drain(Now);
            Collect();
            return 0;
        }

        var command = host.Command(
            id => deed switch
            {
                "rekey a" or "rekey b" => new IkeCommand.Rekey(id, new SaTarget("net", deed[6..])),
                "rekey" => new IkeCommand.Rekey(id, new SaTarget("net")),
                "down a" or "down b" => new IkeCommand.Down(id, new SaTarget("net", deed[5..])),
                "down" => new IkeCommand.Down(id, new SaTarget("net")),
                "up a" or "up b" or "up c" => new IkeCommand.Up(id, "net", deed[3..]),
                "reauth" => new IkeCommand.Reauth(id, new SaTarget("net")),
                _ => throw new ArgumentException(deed),
            },
            Now);
        Collect();
        return command;
    }

    /// <summary>The oldest message to one side arrives, so many times; or the one behind it, which overtakes it.</summary>
    public bool Deliver(bool toLeft, int times = 1, bool overtakes = false)
    {
        var queue = toLeft ? _toLeft : _toRight;
        if (queue.First is not { } first) return false;
        if (overtakes && first.Next is { } next) first = next;
        queue.Remove(first);
        Delivered++;
        var message = first.Value;
        IkeHeader.TryRead(message.Message, out var header);
        if (header.Exchange != ExchangeType.InformationalV1 || Delivered < 60) Story.Add($"{(toLeft ? "left" : "right")} gets {header.Exchange} {(_v1 is not null ? "message" : header.IsResponse ? "response" : "request")} {header.MessageId} of {header.InitiatorSpi}{(times == 1 ? "" : $" x {times}")}");
        for (var i = 0; i < times; i++) Of(toLeft).Receive(message.Remote, message.Local, message.Message, Now);
        Collect();
        return true;
    }

    /// <summary>All that waits to one side.</summary>
    public void DeliverAll(bool toLeft)
    {
        while (Deliver(toLeft))
        {
            // until none is left
        }
    }

    /// <summary>Everything that waits and what comes of it, in the order of the directions that <paramref name="leftFirst"/> says.</summary>
    public void Settle(Func<bool>? leftFirst = null)
    {
        for (var steps = 0; !IsSilent; steps++)
        {
            if (steps > 500) throw new InvalidOperationException("the two talk for ever:\n" + string.Join('\n', Story.TakeLast(40)));
            var left = leftFirst?.Invoke() ?? true;
            if (!Deliver(left)) Deliver(!left);
        }
    }

    /// <summary>The oldest message to one side is lost.</summary>
    public bool Drop(bool toLeft) => Deliver(toLeft, times: 0);

    /// <summary>Time goes on to the next wake-up, at most to <paramref name="end"/>; false when nothing wants to wake until then.</summary>
    public bool Wait(Instant end)
    {
        var next = Instant.Min(Left.Engine.NextTimeout, Right.Engine.NextTimeout);
        if (next > end)
        {
            Now = end;
            return false;
        }

        Now = next > Now ? next : Now;
        Left.Wake(Now);
        Right.Wake(Now);
        Collect();
        return true;
    }

    /// <summary>Nothing is lost any more, and time goes on until nothing is under way.</summary>
    public void ComeToRest(Func<bool>? leftFirst = null)
    {
        if (Now == default) Now = Pair.Now;
        var end = Now + TimeSpan.FromMinutes(30);
        Settle(leftFirst);
        while (IsBusy && Wait(end)) Settle(leftFirst);
        // replaced pairs and IKE SAs whose delete was lost go after four minutes, late retries and answers earlier
        end = Now + TimeSpan.FromMinutes(6);
        while (Wait(end)) Settle(leftFirst);
        if (_v1 is null) return;
        // whoever sends on a pair that the other side has not is told so
        TellUnknown();
        Settle(leftFirst);
    }

    public void Dispose() => Pair.Dispose();

    /// <summary>The rekeyed SA that is there in the end was begun by the left side.</summary>
    public bool SurvivorIsLefts(string deed)
    {
        var sa = Left.Engine.IkeSas.Single();
        return deed == "rekey" ? sa.Initiator : sa.Children.Values.Single(child => child.Config.Name == deed[6..]).IsInitiator;
    }

    /// <summary>What is wrong in IKEv1 when all is quiet, by the rules of <see cref="RestV1"/>.</summary>
    public string? WhatIsWrongV1(IReadOnlyCollection<string>? children, bool isLossless)
    {
        if (Gap is not null) return Gap;
        foreach (var host in new[] { Left, Right })
        {
            var side = host == Left ? "left" : "right";
            if (!RestV1.IsQuiet(host.Engine.IsakmpSas) && !(children is null && !isLossless)) return $"{side} does not come to rest: {string.Join(", ", host.Engine.IsakmpSas.Select(sa => sa.State))}";
            if (host.Engine.Holdings.ChildSpis != host.Installed.Count) return $"{side} holds {host.Engine.Holdings.ChildSpis} SPIs for {host.Installed.Count} pairs";
        }

        return RestV1.WhatIsWrong(Rest(Left), Rest(Right), children, isLossless);
    }

    /// <summary>Either side has a pair for this child.</summary>
    public bool Has(string child) => Left.Installed.Values.Concat(Right.Installed.Values).Any(sa => sa.Name == child);

    private RestingSide Rest(EngineHost host) => new(host == Left ? "left" : "right", host.Engine.IsakmpSas, [.. host.Installed.Values.Select(sa => (sa, host.Ready.Contains(sa.Id)))]);

    /// <summary>What is wrong when all is quiet; null = both sides mirror each other and have exactly <paramref name="children"/>.</summary>
    public string? WhatIsWrong(IReadOnlyCollection<string>? children)
    {
        if (Gap is not null) return Gap;
        var (left, right) = (Left.Installed.Values, Right.Installed.Values);
        foreach (var host in new[] { Left, Right })
        {
            var side = host == Left ? "left" : "right";
            var sas = host.Engine.IkeSas;
            if (sas.Count > 1) return $"{side} has {sas.Count} IKE SAs";
            if (sas.Any(sa => sa.State != IkeState.Established || !sa.Window.IsIdle || sa.Later.Count > 0)) return $"{side} does not come to rest";
            var names = host.Installed.Values.Select(sa => sa.Name).Order().ToArray();
            if (names.Distinct().Count() != names.Length) return $"{side} has two pairs: {string.Join(' ', names)}";
            if (children is not null && !names.SequenceEqual(children.Order())) return $"{side} has {string.Join(' ', names)}, not {string.Join(' ', children)}";
            if (host.Installed.Values.FirstOrDefault(sa => !host.Ready.Contains(sa.Id)) is { } idle) return $"{side} does not send on {idle.Name}";
            if (host.Engine.Holdings.ChildSpis != host.Installed.Count) return $"{side} holds {host.Engine.Holdings.ChildSpis} SPIs for {host.Installed.Count} pairs";
        }

        if (!left.Select(sa => (sa.InboundSpi, sa.OutboundSpi)).ToHashSet().SetEquals(right.Select(sa => (sa.OutboundSpi, sa.InboundSpi)))) return "one side has a half that the other has not";
        if (!Left.Engine.IkeSas.Select(sa => (sa.SpiI, sa.SpiR)).SequenceEqual(Right.Engine.IkeSas.Select(sa => (sa.SpiI, sa.SpiR)))) return "the two sides have different IKE SAs";
        foreach (var one in left)
        {
            var other = right.Single(sa => sa.InboundSpi == one.OutboundSpi);
            if (!one.OutboundEncrKey.FixedTimeEquals(other.InboundEncrKey.Span) || !one.InboundEncrKey.FixedTimeEquals(other.OutboundEncrKey.Span)) return "the keys of a pair differ";
        }

        return null;
    }

    private static Connection Of(Connection gateway, bool isLeft, KindV1? v1)
    {
        var esp = v1 is { Pfs: true } ? "aes128gcm16-ecp256" : "aes128gcm16";
        Child Child(string name, int number) => gateway.Children[0] with
        {
            Name = name,
            LocalSelectors = [EnginePair.Ts($"10.{(isLeft ? 1 : 2)}.{number}.0/24")],
            RemoteSelectors = [EnginePair.Ts($"10.{(isLeft ? 2 : 1)}.{number}.0/24")],
            RekeyTime = TimeSpan.FromHours(4),
            Proposals = EnginePair.Proposals(ProtocolId.Esp, esp),
        };
        gateway = gateway with { Children = [Child("a", 1), Child("b", 2), Child("c", 3)] };
        if (v1 is not { } kind) return gateway;
        // nobody answers a delete: a phase 1 that only one side has is found by dead peer detection
        return gateway with { Version = IkeVersion.V1, Aggressive = kind.Aggressive, AggressivePsk = kind.Aggressive, Proposals = EnginePair.Proposals(ProtocolId.Ike, "aes128-sha256-ecp256"), DpdDelay = TimeSpan.FromSeconds(20) };
    }

    private bool IsBusy => _v1 is null ? IsBusyV2 : !RestV1.IsQuiet(Left.Engine.IsakmpSas) || !RestV1.IsQuiet(Right.Engine.IsakmpSas);

    private bool IsBusyV2 => new[] { Left, Right }.Any(host => host.Engine.IkeSas.Any(sa => sa.State != IkeState.Established || !sa.Window.IsIdle || sa.Later.Count > 0 || sa.Renewal is not null));

    /// <summary>A packet goes on each pair that may send; who has no SA for it tells its engine.</summary>
    private void TellUnknown()
    {
        foreach (var (from, to) in new[] { (Left, Right), (Right, Left) })
        {
            foreach (var sa in from.Installed.Values.Where(sa => from.Ready.Contains(sa.Id) && !to.Receiving.Contains(sa.OutboundSpi.Value)).ToArray())
            {
                to.Engine.Handle(new DataPlaneEvent.UnknownSpi(sa.OutboundSpi, new Endpoint(to.Address, 0), new Endpoint(from.Address, 0)), Now);
                to.Drain(Now);
            }
        }

        Collect();
    }

    private void Collect()
    {
        while (Left.Outbox.TryDequeue(out var message)) _toRight.AddLast(message);
        while (Right.Outbox.TryDequeue(out var message)) _toLeft.AddLast(message);
        foreach (var child in new[] { "a", "b" })
        {
            if (_closing.Contains(child)) continue;
            foreach (var (from, to) in new[] { (Left, Right), (Right, Left) })
            {
                var ready = from.Installed.Values.LastOrDefault(sa => sa.Name == child && from.Ready.Contains(sa.Id));
                if (ready is null || !to.Receiving.Contains(ready.OutboundSpi.Value))
                {
                    Gap ??= $"after '{Story.LastOrDefault()}' a packet of {child} from {(from == Left ? "left" : "right")} finds {(ready is null ? "no pair" : $"no SA {ready.OutboundSpi}")}";
                    continue;
                }

                // what comes in on a pair makes it the one to send on
                if (HasTraffic && to.Installed.Values.FirstOrDefault(sa => sa.InboundSpi == ready.OutboundSpi) is { } taken) to.Ready.Add(taken.Id);
            }
        }
    }
}
