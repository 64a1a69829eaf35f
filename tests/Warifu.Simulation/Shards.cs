using System;
using System.Collections.Generic;
using System.Linq;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Policy;
using Warifu.Primitives;
using Warifu.V1;
using Warifu.V2;
using Warifu.Wire;

namespace Warifu.Simulation;

/// <summary>
/// One or several engines of a host, as a host with several processors would run them: messages go by the top byte of our own SPI, first messages by the address of the peer, events of the data plane by the top byte of
/// the pair's number. Each connection is begun by one of them only.
/// </summary>
internal sealed class Shards : IDisposable
{
    private readonly IkeEngine[] _engines;
    private readonly IpAddress _peer;
    private readonly Dictionary<ulong, (int Left, CommandResult? Worst)> _commands = [];

    /// <param name="options">Of the first engine; the others have the following shards.</param>
    /// <param name="count">How many.</param>
    /// <param name="entropy">Of each.</param>
    /// <param name="peer">As which address the peer of the connections is seen: its engine begins them.</param>
    /// <param name="now">The time.</param>
    public Shards(EngineOptions options, int count, Func<int, IEntropy> entropy, IpAddress peer, Instant now)
    {
        _peer = peer;
        _engines = [.. Enumerable.Range(0, count).Select(number => new IkeEngine(options with { Shard = (byte)(options.Shard + number) }, entropy(number), now))];
    }

    public IReadOnlyCollection<IkeSa> IkeSas => _engines.Length == 1 ? _engines[0].IkeSas : [.. _engines.SelectMany(engine => engine.IkeSas)];

    /// <summary>Those of IKEv1.</summary>
    public IReadOnlyCollection<IsakmpSa> IsakmpSas => _engines.Length == 1 ? _engines[0].IsakmpSas : [.. _engines.SelectMany(engine => engine.IsakmpSas)];

    public Instant NextTimeout => _engines.Min(engine => engine.NextTimeout);

    public EngineHoldings Holdings => _engines.Select(engine => engine.Holdings).Aggregate((sum, one) => new EngineHoldings(
        sum.IkeSas + one.IkeSas,
        sum.HalfOpen + one.HalfOpen,
        sum.Children + one.Children,
        sum.ChildSpis + one.ChildSpis,
        sum.Asks + one.Asks,
        sum.Timers + one.Timers,
        sum.FirstMessages + one.FirstMessages,
        sum.Connections + one.Connections,
        sum.Commands + one.Commands,
        sum.Initiating + one.Initiating,
        sum.Retries + one.Retries,
        sum.Lingering + one.Lingering,
        sum.Contacts + one.Contacts));

    /// <summary>Sum of a counter.</summary>
    public long Sum(Func<EngineCounters, long> counter) => _engines.Sum(engine => counter(engine.Counters));

    public void HandleDatagram(Endpoint local, Endpoint remote, byte[] message, Instant now) => Of(message, remote.Address).HandleDatagram(local, remote, message, now);

    public void HandleTimeout(Instant now)
    {
        foreach (var engine in _engines) engine.HandleTimeout(now);
    }

    public void Handle(IkeCommand command, Instant now)
    {
        if (_engines.Length == 1 || command is not (IkeCommand.Load or IkeCommand.Addresses or IkeCommand.Shutdown))
        {
            Owner.Handle(command, now);
            return;
        }

        _commands[command.Id.Value] = (_engines.Length, null);
        foreach (var engine in _engines) engine.Handle(command is IkeCommand.Load load && engine != Owner ? load with { Policy = Waiting(load.Policy) } : command, now);
    }

    public void Handle(DataPlaneEvent happening, Instant now)
    {
        var id = happening switch { DataPlaneEvent.SoftLimit soft => soft.Id, DataPlaneEvent.HardLimit hard => hard.Id, DataPlaneEvent.PeerMoved moved => moved.Id, _ => 0u };
        (_engines.FirstOrDefault(engine => engine.Options.Shard == id >> 24) ?? Owner).Handle(happening, now);
    }

    public void Handle(Answer answer, Instant now)
    {
        // the number of the engine stands above that of its question
        var engine = _engines[answer.Id.Value >> 56];
        engine.Handle(answer with { Id = new AskId(answer.Id.Value & 0x00FF_FFFF_FFFF_FFFF) }, now);
        if (answer is not Answer.Claim claim) return;
        foreach (var command in claim.Elsewhere) Array.Find(_engines, other => other.Options.Shard == command.IkeId >> 24)?.Handle(command, now);
    }

    public bool TryDequeue(out IkeAction action)
    {
        for (var number = 0; number < _engines.Length; number++)
        {
            while (_engines[number].TryDequeue(out action))
            {
                if (action is IkeAction.RaiseAsk ask) action = ask with { Id = new AskId(ask.Id.Value | ((ulong)number << 56)) };
                // nobody waits for what this class itself commands
                if (action is IkeAction.Complete { Id.Value: 0 }) continue;
                if (action is not IkeAction.Complete complete || !_commands.TryGetValue(complete.Id.Value, out var waiting)) return true;
                // the last one ends it, with the worst result
                var worst = waiting.Worst is { Success: false } ? waiting.Worst : complete.Result;
                _commands[complete.Id.Value] = (waiting.Left - 1, worst);
                if (waiting.Left > 1) continue;
                _commands.Remove(complete.Id.Value);
                action = complete with { Result = worst };
                return true;
            }
        }

        action = null!;
        return false;
    }

    /// <summary>Which engine gets the first messages of this address.</summary>
    public int NumberOf(IpAddress address) => (int)((ulong)(address.Bits ^ (address.Bits >> 64)) * 0x9E37_79B9_7F4A_7C15 >> 33) % _engines.Length;

    public void Dispose()
    {
        foreach (var engine in _engines) engine.Dispose();
    }

    private IkeEngine Owner => OfAddress(_peer);

    private IkeEngine OfAddress(IpAddress address) => _engines[NumberOf(address)];

    private IkeEngine Of(ReadOnlySpan<byte> message, IpAddress remote)
    {
        if (_engines.Length > 1 && IkeHeader.TryRead(message, out var header) && !(header is { Exchange: ExchangeType.IkeSaInit, IsResponse: false }))
        {
            // in IKEv1 no flag tells whose message it is: one of the two cookies is ours
            if (header.MajorVersion == 1)
            {
                return Array.Find(_engines, engine => !header.ResponderSpi.IsZero && engine.Options.Shard == (byte)(header.ResponderSpi.Value >> 56))
                    ?? Array.Find(_engines, engine => engine.Options.Shard == (byte)(header.InitiatorSpi.Value >> 56)) ?? OfAddress(remote);
            }

            var own = (header.FromInitiator ? header.ResponderSpi : header.InitiatorSpi).Value >> 56;
            if (Array.Find(_engines, engine => engine.Options.Shard == (byte)own) is { } engine) return engine;
        }

        return OfAddress(remote);
    }

    /// <summary>The policy of an engine that begins nothing.</summary>
    private static PolicySet Waiting(PolicySet policy) => policy with { Connections = [.. policy.Connections.Select(connection => connection with { Children = [.. connection.Children.Select(child => child with { StartAction = StartAction.None })] })] };
}
