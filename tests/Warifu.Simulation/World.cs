using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V2;
using Warifu.Wire;

namespace Warifu.Simulation;

/// <summary>
/// One deterministic world: two gateways (sometimes an impostor), a network, an adversary, virtual time. It is played, then the weather clears and everybody leaves them alone; then everything must be up
/// and mirror each other, and in the end everything is closed and nothing may be left. Each step is checked.
/// </summary>
internal sealed class World : IDisposable
{
    private const string Secret = "Tally-5tick/halves";

    /// <summary>From the last deed until everything must be up again: dead peers are given up after 71 s, busy ones asked again for minutes, back-off doubles to 5 minutes.</summary>
    private static readonly TimeSpan s_calm = TimeSpan.FromMinutes(13);

    private static readonly TimeSpan s_close = TimeSpan.FromMinutes(13);

    private readonly PriorityQueue<Action, (Instant, long)> _events = new();
    private readonly ulong _seed;
    private readonly int _number;
    private readonly ulong _base;
    private readonly HashSet<string> _reached = new(StringComparer.Ordinal);
    private readonly HashSet<(ulong, ulong)> _differing = [];
    private readonly Adversary _adversary;
    private readonly HashSet<Deed> _done = [];
    private int _startled;
    private long _order;
    private ulong _hash = 14695981039346656037;

    public World(ulong seed, int number)
    {
        (_seed, _number) = (seed, number);
        _base = new SeededEntropy(seed ^ ((ulong)(uint)number * 0x9E3779B97F4A7C15)).Next();
        Luck = new SeededEntropy(SeedFor("luck", 0));
        Plan = new WorldPlan(new SeededEntropy(SeedFor("plan", 0)), VersionOf(number));
        Ledger = new Ledger(this);
        _adversary = new Adversary(this);
        Network = new Network(this, Plan.Network);
        var options = new EngineOptions { CookieThreshold = Plan.Cookies ? 0 : 30 };
        Left = new SimHost(this, "left", Plan.HasNat ? WorldPlan.Inner : Plan.Left, Plan.Right, Secret, options with { Shard = 16 });
        Right = new SimHost(this, "right", Plan.Right, Plan.HasNat ? Network.NatAddress : Plan.Left, Secret, options with { Shard = 32 });
        Hosts.Add(Left);
        Hosts.Add(Right);
        if (Plan.HasNat) Network.Behind = Left;
        if (!Plan.HasImpostor) return;
        Impostor = new SimHost(this, "impostor", Plan.Impostor, Plan.Right, "tally-5tick/halves", options with { Shard = 48 });
        Hosts.Add(Impostor);
    }

    /// <summary>A quarter of the worlds speaks IKEv1.</summary>
    public static IkeVersion VersionOf(int number) => number % 4 == 3 ? IkeVersion.V1 : IkeVersion.V2;

    public WorldPlan Plan { get; }

    public SeededEntropy Luck { get; }

    public Network Network { get; }

    public Ledger Ledger { get; }

    public SimHost Left { get; }

    public SimHost Right { get; }

    public SimHost? Impostor { get; }

    public List<SimHost> Hosts { get; } = [];

    public Instant Now { get; private set; } = new(1_000_000_000_000);

    public Instant Began { get; } = new(1_000_000_000_000);

    /// <summary>The script is being played.</summary>
    public bool IsRunning { get; private set; } = true;

    public IReadOnlyCollection<string> Reached => _reached;

    public long Steps { get; private set; }

    /// <summary>The same for the same seed and world: every message, event and command with its time went into it.</summary>
    public ulong TraceHash => _hash;

    /// <summary>Where the story is told, if it is.</summary>
    public TextWriter? Story { get; set; }

    public ulong SeedFor(string what, ulong number)
    {
        var hash = _base ^ number;
        foreach (var letter in what) hash = (hash ^ letter) * 1099511628211;
        return new SeededEntropy(hash).Next();
    }

    public void Run()
    {
        try
        {
            Play();
            Calm();
            Close();
        }
        catch (Exception bug) when (bug is not BadEnding)
        {
            throw new BadEnding(_seed, _number, $"at {Now - Began}: an exception: {bug}");
        }
    }

    public void Fail(string what) => throw new BadEnding(_seed, _number, $"at {Now - Began}: {what}");

    public void Reach(string state) => _reached.Add(state);

    /// <summary>Something that closes or loses SAs was done; peers may count as dead.</summary>
    public void Did(Deed deed) => _done.Add(deed);

    public bool HasDone(Deed deed) => _done.Contains(deed);

    /// <summary>Something has just come up, and somebody acts at once.</summary>
    public void Startle(SimHost host, string child)
    {
        if (!IsRunning || !Plan.IsNervous || _startled >= 12 || !Luck.Chance(0.12)) return;
        _startled++;
        var deed = WorldScript.Nervous(Plan, Luck);
        var number = Plan.ChildNames.ToList().IndexOf(child);
        Reach("acted at once");
        After(Luck.Chance(0.5) ? TimeSpan.Zero : TimeSpan.FromTicks((long)(Luck.Next() % (ulong)Math.Max(1, Plan.Network.Delay.Ticks))), () => Deeds.Do(this, new Act(default, Luck.Chance(0.5) ? host == Left : host != Left, deed, number < 0 ? Luck.Below(Plan.Children) : number), _adversary));
    }

    public void After(TimeSpan delay, Action what) => _events.Enqueue(what, (Now + delay, _order++));

    public TimeSpan AskDelay() => Luck.Chance(0.5) ? TimeSpan.Zero : TimeSpan.FromMilliseconds(Luck.Below(Plan.SlowAsks && Luck.Chance(0.2) ? 4000 : 60));

    /// <summary>Nobody of this world lives there.</summary>
    public bool IsNobody(IpAddress address) => !Hosts.Exists(host => host.Owns(address));

    public void Send(SimHost from, IkeAction.Send send)
    {
        Note(from.Name, "sends", send.Message);
        if (IsNobody(send.Remote.Address)) _adversary.Reflected(from, send.Remote.Address, send.Message);
        IkeHeader.TryRead(send.Message, out var header);
        Network.Carry(from, send.Local, send.Remote, send.Message.Length, header is { IsResponse: true, Exchange: ExchangeType.CreateChildSa }, (to, local, remote) =>
        {
            if (Plan.HasAdversary && IsRunning) _adversary.Overheard(to, local, remote, send.Message);
            to.Receive(local, remote, send.Message, isForged: false);
        });
    }

    /// <summary>Checks that hold at every moment.</summary>
    public void CheckStep(SimHost host)
    {
        Steps++;
        var holdings = host.Engine.Holdings;
        if (holdings.Children != host.Plane.Pairs.Count) Fail($"{host.Name} knows {holdings.Children} pairs, its data plane has {host.Plane.Pairs.Count}");
        if (holdings.Timers > holdings.IkeSas) Fail($"{host.Name} has {holdings.Timers} timers for {holdings.IkeSas} IKE SAs");
        if (holdings.ChildSpis > holdings.Children + ((1 + ProtocolTimes.RequestsAtOnce) * holdings.IkeSas)) Fail($"{host.Name} holds {holdings.ChildSpis} SPIs for {holdings.Children} pairs");
        if (holdings.Asks > 4 * (holdings.IkeSas + 1)) Fail($"{host.Name} holds {holdings.Asks} questions");
        if (host.Plane.Pairs.Count > 12 * Plan.Children) Fail($"{host.Name} piles up {host.Plane.Pairs.Count} pairs");
    }

    public void IkeKeysDiffer(IkeSpi initiator, IkeSpi responder) => _differing.Add((initiator.Value, responder.Value));

    public void Note(string who, string what, ReadOnlySpan<byte> message = default)
    {
        Mix((ulong)Now.Nanoseconds);
        foreach (var letter in who) Mix(letter);
        if (message.IsEmpty) foreach (var letter in what) Mix(letter);
        foreach (var octet in message) Mix(octet);
        if (Story is null) return;
        var title = message.IsEmpty ? "" : IkeHeader.TryRead(message, out var header) ? $" {MessageDescription.NameOf(header.Exchange)} {(header.IsResponse ? "response" : "request")} {header.MessageId} of {header.InitiatorSpi}/{header.ResponderSpi}, {message.Length} octets" : " junk";
        Story.WriteLine($"{(Now - Began).TotalSeconds,10:F3} {who,-8} {what}{title}");
    }

    public void Dispose()
    {
        foreach (var host in Hosts) host.Dispose();
        Plan.Proofs?.Dispose();
    }

    private void Mix(ulong value) => _hash = (_hash ^ value) * 1099511628211;

    private void Play()
    {
        Left.Load(Plan.Policy(isLeft: true));
        After(TimeSpan.FromMilliseconds(Luck.Chance(0.5) ? 0 : Luck.Below(3000)), () => Right.Load(Plan.Policy(isLeft: false)));
        Impostor?.Load(Impersonation());
        if (Impostor is not null) After(TimeSpan.FromSeconds(Luck.Below(30)), () => Impostor.Command("up all", id => new IkeCommand.Up(id, "net", null)));
        foreach (var act in Plan.Script) After(act.At, () => Deeds.Do(this, act, _adversary));
        After(TimeSpan.FromSeconds(1), Traffic);
        Until(Began + Plan.Length + TimeSpan.FromSeconds(5));
    }

    /// <summary>Packets of every child, both ways.</summary>
    private void Traffic()
    {
        if (_closing || Plan.IsQuiet) return;
        foreach (var host in Hosts)
        {
            foreach (var child in Plan.ChildNames) host.Plane.Send(child);
        }

        After(TimeSpan.FromMilliseconds(1000 + Luck.Below(4000)), Traffic);
    }

    /// <summary>In a world where rekeying must lose nothing a packet goes both ways at the very moment when a pair comes or goes.</summary>
    public void SendNow(string child)
    {
        if (!Plan.IsSeamless || !IsRunning || _closing || Plan.IsQuiet) return;
        foreach (var host in Hosts) host.Plane.Send(child);
    }

    private PolicySet Impersonation()
    {
        var policy = Plan.Policy(isLeft: true);
        var connection = policy.Connections[0];
        return policy with { Connections = [connection with { LocalAddresses = [HostPattern.Of(Plan.Impostor)] }] };
    }

    private bool _closing;

    /// <summary>The weather clears. What somebody keeps up must come up by itself; then an operator brings up all, and after a while both sides mirror each other.</summary>
    private void Calm()
    {
        IsRunning = false;
        Network.Healed = true;
        if (Impostor is not null) Impostor.Load(PolicySet.Empty);
        Until(Now + s_calm);
        if ((Plan.LeftKeeps || Plan.RightKeeps) && !HasDone(Deed.DownChild) && !HasDone(Deed.DownIke)) Expect("without anybody's help");
        var up = Left.Command("up all, at last", id => new IkeCommand.Up(id, "net", null));
        Until(Now + TimeSpan.FromMinutes(3));
        if (Left.ResultOf(up) is not { } result) Fail("'up' does not end on a perfect network");
        else if (!result.Success) Fail($"'up' fails on a perfect network: {result.Message}");
        Until(Now + ProtocolTimes.DeleteWait);
        Expect("after 'up'");
        foreach (var host in Hosts)
        {
            if (host.RekeyedChildren > 0) Reach("child rekeyed");
            if (host.RekeyedIkes > 0) Reach("IKE SA rekeyed");
            for (var reason = 0; reason < 64; reason++)
            {
                if (host.Engine.Sum(counters => counters.Drops[reason]) > 0) Reach("drop " + (DropReason)reason);
            }

            for (var cell = 0; cell < Collisions.Requests * Collisions.Activities; cell++)
            {
                if (host.Engine.Sum(counters => counters.Crossings[cell]) > 0) Reach($"{(PeerRequest)(cell / Collisions.Activities)} while {(OwnActivity)(cell % Collisions.Activities)}");
            }
        }

        // in aggressive mode the responder proves itself first, and with certificates to anybody
        var mayKnowRight = Plan is { Aggressive: true, Proofs: not null };
        if (Impostor is { } impostor && ((impostor.Authenticated.Count > 0 && !mayKnowRight) || Right.Authenticated.Contains(impostor.Address))) Fail("the impostor was believed");
        if (Plan.HasImpostor) Reach("impostor refused");
    }

    /// <summary>At some quiet moment each child has exactly one pair on each side, and no half is without the other.</summary>
    private void Expect(string when)
    {
        string? wrong = null;
        var quiet = 0;
        for (var tries = 0; tries < 40; tries++)
        {
            if (IsQuiet())
            {
                quiet++;
                wrong = WhatIsWrong();
                if (wrong is null) return;
            }

            Until(Now + TimeSpan.FromMilliseconds(700 + Luck.Below(2000)));
        }

        var busy = Plan.IsV1 ? string.Join("; ", Hosts.Select(host => RestV1.Busy(host.Name, host.Engine.IsakmpSas))) : "";
        Fail($"{when}: {wrong ?? $"the two never come to rest ({quiet} quiet moments): {busy}"}");
    }

    private bool IsQuiet() => Plan.IsV1 ? Hosts.TrueForAll(host => host.Engine.Holdings.Asks == 0 && RestV1.IsQuiet(host.Engine.IsakmpSas)) : Hosts.TrueForAll(host => host.Engine.Holdings.Asks == 0 && host.Engine.IkeSas.All(sa => sa.State == IkeState.Established && sa.Window.IsIdle && sa.Later.Count == 0));

    private string? WhatIsWrong()
    {
        if (Plan.IsV1) return RestV1.WhatIsWrong(Left.Rest(Right), Right.Rest(Left), Plan.ChildNames, Plan.IsPerfect && !_done.Any(deed => deed is Deed.Crash or Deed.Outage));
        foreach (var (host, peer) in (ReadOnlySpan<(SimHost, SimHost)>)[(Left, Right), (Right, Left)])
        {
            var sas = host.Engine.IkeSas;
            if (Plan.Unique != UniquePolicy.Never && sas.Count != 1) return $"{host.Name} has {sas.Count} IKE SAs";
            if (sas.Any(sa => _differing.Contains((sa.SpiI.Value, sa.SpiR.Value)))) return $"{host.Name} has an IKE SA whose keys differ from the peer's";
            foreach (var child in Plan.ChildNames)
            {
                var pairs = host.Plane.Pairs.Values.Count(pair => pair.Sa.Name == child);
                if (pairs != 1 && (Plan.Unique != UniquePolicy.Never || pairs == 0)) return $"{host.Name} has {pairs} pairs for {child}";
            }
        }

        return Ledger.Orphans(Left, Right);
    }

    /// <summary>Everything is closed, in one of the ways in which that is done. Nothing may be left.</summary>
    private void Close()
    {
        _closing = true;
        var (first, second) = Luck.Chance(0.5) ? (Left, Right) : (Right, Left);
        var byShutdown = Luck.Chance(0.3);
        Network.Healed = Luck.Chance(0.7);
        void End(SimHost host)
        {
            if (byShutdown) host.Command("shutdown", id => new IkeCommand.Shutdown(id));
            else host.Load(PolicySet.Empty);
        }

        End(first);
        After(TimeSpan.FromMilliseconds(Luck.Chance(0.3) ? 0 : Luck.Below(2000)), () => End(second));
        if (byShutdown) After(TimeSpan.FromSeconds(100), () => Hosts.ForEach(host => host.Load(PolicySet.Empty)));
        Until(Now + s_close);
        foreach (var host in Hosts)
        {
            if (host.Leftovers() is { } left) Fail("after everything was closed " + left);
        }
    }

    private void Until(Instant end)
    {
        while (true)
        {
            var next = _events.TryPeek(out _, out var first) ? first.Item1 : Instant.Never;
            SimHost? wakes = null;
            foreach (var host in Hosts)
            {
                if (host.Engine.NextTimeout >= next && next != Instant.Never) continue;
                if (host.Engine.NextTimeout == Instant.Never || (wakes is not null && host.Engine.NextTimeout >= wakes.Engine.NextTimeout)) continue;
                wakes = host;
            }

            var at = wakes is null ? next : wakes.Engine.NextTimeout;
            if (at > end) break;
            if (at > Now) (Now, _still) = (at, 0);
            if (++_still > 20_000) Fail("time stands still");
            if (wakes is not null) wakes.Wake();
            else _events.Dequeue()();
        }

        Now = end;
        _still = 0;
    }

    private int _still;
}
