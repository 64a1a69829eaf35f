using System;
using System.Collections.Generic;
using Warifu.Engine;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Simulation;

/// <summary>Two hosts and a wire between them, with a hook that may drop, repeat or change what passes. Time moves from wake-up to wake-up.</summary>
internal sealed class EnginePair : IDisposable
{
    public const string Secret = "Tally-5tick/halves";

    public EnginePair(ulong seed = 1, EngineOptions? left = null, EngineOptions? right = null)
    {
        Left = new EngineHost(IpAddress.Parse("192.0.2.2"), seed, Now, left);
        Right = new EngineHost(IpAddress.Parse("198.51.100.2"), seed ^ 0x5EED, Now, right);
        Left.SetPsk("ike-1", Secret);
        Right.SetPsk("ike-1", Secret);
    }

    public EngineHost Left { get; }

    public EngineHost Right { get; }

    public Instant Now { get; private set; } = new(1_000_000_000);

    /// <summary>What passes: return how often it arrives. Called with the message's number (from 0), its sender and the message.</summary>
    public Func<int, EngineHost, IkeAction.Send, int>? Wire { get; set; }

    /// <summary>What translates addresses on the way: source and target as the receiver sees them; null = nobody is there.</summary>
    public Func<EngineHost, IkeAction.Send, (Endpoint Source, Endpoint Target)?>? Nat { get; set; }

    /// <summary>Everything that was sent, in order.</summary>
    public List<(EngineHost From, IkeAction.Send Message)> Sent { get; } = [];

    public static Connection Gateway(string name, string local, string remote, string localTs, string remoteTs, string ike = "aes128-sha256-x25519", string esp = "aes128gcm16") => new()
    {
        Name = name,
        LocalAddresses = [HostPattern.Of(IpAddress.Parse(local))],
        RemoteAddresses = [HostPattern.Of(IpAddress.Parse(remote))],
        Proposals = Proposals(ProtocolId.Ike, ike),
        Mobike = false,
        Local = new LocalAuth { Id = Identity.Fqdn(local == "192.0.2.2" ? "left.example.org" : "right.example.org") },
        Remote = new RemoteAuth { Id = IdentityPattern.Of(Identity.Fqdn(local == "192.0.2.2" ? "right.example.org" : "left.example.org")) },
        Children = [new Child { Name = "net", Proposals = Proposals(ProtocolId.Esp, esp), LocalSelectors = [Ts(localTs)], RemoteSelectors = [Ts(remoteTs)] }],
    };

    public static Connection LeftGateway(string ike = "aes128-sha256-x25519", string esp = "aes128gcm16") => Gateway("net", "192.0.2.2", "198.51.100.2", "10.1.0.0/16", "10.2.0.0/16", ike, esp);

    public static Connection RightGateway(string ike = "aes128-sha256-x25519", string esp = "aes128gcm16") => Gateway("net", "198.51.100.2", "192.0.2.2", "10.2.0.0/16", "10.1.0.0/16", ike, esp);

    public static System.Collections.Immutable.ImmutableArray<Proposal> Proposals(ProtocolId protocol, params string[] texts)
    {
        var found = System.Collections.Immutable.ImmutableArray.CreateBuilder<Proposal>();
        foreach (var text in texts)
        {
            if (!ProposalKeywords.TryParse(protocol, text, out var proposals, out var error, out _)) throw new ArgumentException(error);
            found.AddRange(proposals);
        }

        return found.ToImmutable();
    }

    public static SelectorPattern Ts(string text) => Selectors.TryParse(text, out var selector, out var error) ? selector : throw new ArgumentException(error);

    public void Load(Connection? left, Connection? right)
    {
        Left.Load(new PolicySet { Connections = left is null ? [] : [left] }, Now);
        Right.Load(new PolicySet { Connections = right is null ? [] : [right] }, Now);
    }

    /// <summary>Brings up the left side's child and carries messages until nothing moves.</summary>
    public CommandResult Up(string child = "net")
    {
        var id = Left.Up("net", child, Now);
        Run();
        return Left.Results.TryGetValue(id, out var result) ? result : throw new InvalidOperationException("the command did not end");
    }

    /// <summary>Carries messages until none is under way; time stands still.</summary>
    public void Settle()
    {
        for (var steps = 0; Left.Outbox.Count + Right.Outbox.Count > 0; steps++)
        {
            if (steps > 10_000) throw new InvalidOperationException("the two talk for ever");
            Carry(Left, Right);
            Carry(Right, Left);
        }
    }

    /// <summary>Settles, and moves time from wake-up to wake-up for at most <paramref name="span"/> while exchanges are open.</summary>
    public void Run(TimeSpan? span = null)
    {
        var end = Now + (span ?? TimeSpan.FromMinutes(4));
        Settle();
        while (span is not null || Busy(Left) || Busy(Right))
        {
            var next = Instant.Min(Left.Engine.NextTimeout, Right.Engine.NextTimeout);
            if (next > end) break;
            Now = next > Now ? next : Now;
            Left.Wake(Now);
            Right.Wake(Now);
            Settle();
        }

        if (span is not null) Now = end;
    }

    public void Dispose()
    {
        Left.Dispose();
        Right.Dispose();
    }

    private static bool Busy(EngineHost host)
    {
        foreach (var sa in host.Engine.Snapshot().IkeSas)
        {
            if (!sa.TasksActive.IsEmpty || !sa.TasksQueued.IsEmpty) return true;
        }

        return false;
    }

    private void Carry(EngineHost from, EngineHost to)
    {
        while (from.Outbox.TryDequeue(out var message))
        {
            var copies = Wire?.Invoke(Sent.Count, from, message) ?? 1;
            Sent.Add((from, message));
            if ((Nat is null ? (message.Local, message.Remote) : Nat(from, message)) is not var (source, target)) continue;
            for (var i = 0; i < copies; i++) to.Receive(target, source, message.Message, Now);
        }
    }
}
