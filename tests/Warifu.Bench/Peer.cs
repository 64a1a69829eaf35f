using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Warifu.Crypto;
using Warifu.Crypto.Signatures;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Net;
using Warifu.Net.Linux;
using Warifu.Policy;
using Warifu.Primitives;

namespace Warifu.Bench;

/// <summary>An engine with a real data path behind it and a host that answers at once; it counts the CPU time and the memory that its side takes.</summary>
internal sealed class Peer : IDisposable
{
    private static readonly SystemEntropy s_entropy = new();
    private readonly Secret _psk = new(Encoding.ASCII.GetBytes("Tally-5tick/halves"));
    private readonly PskIndex _secrets = new([new PskEntry(new SecretRef(1), "ike", [])]);
    private readonly IpAddress _address;
    private readonly PrivateKey? _key;
    private ulong _commands;
    private long _cpuFrom;
    private long _allocatedFrom;

    /// <param name="address">Own address.</param>
    /// <param name="policy">Connections.</param>
    /// <param name="key">With certificates: the private key, which this disposes.</param>
    public Peer(string address, PolicySet policy, PrivateKey? key = null)
    {
        _address = IpAddress.Parse(address);
        _key = key;
        Engine = new IkeEngine(new EngineOptions { RethrowBugs = true }, s_entropy, Libc.Now());
        Engine.Handle(new IkeCommand.Load(new CommandId(++_commands), policy), Libc.Now());
        Drain(Libc.Now());
    }

    public IkeEngine Engine { get; }

    public PacketPath Path { get; } = new(s_entropy);

    public Queue<IkeAction.Send> Outbox { get; } = new();

    public CommandResult? LastResult { get; private set; }

    /// <summary>Nanoseconds of CPU that this side took.</summary>
    public long Cpu { get; private set; }

    /// <summary>Octets that this side allocated.</summary>
    public long Allocated { get; private set; }

    public void Up(string connection) => Command(new IkeCommand.Up(new CommandId(++_commands), connection, "net"));

    public void Down(string connection) => Command(new IkeCommand.Down(new CommandId(++_commands), new SaTarget(connection, null)));

    public void Rekey(string connection) => Command(new IkeCommand.Rekey(new CommandId(++_commands), new SaTarget(connection, "net")));

    public void ResetCounters() => (Cpu, Allocated) = (0, 0);

    /// <summary>Carries messages between two sides until none is under way.</summary>
    public static void Settle(Peer one, Peer other)
    {
        while (one.Outbox.Count + other.Outbox.Count > 0)
        {
            while (one.Outbox.TryDequeue(out var message)) other.Receive(message);
            while (other.Outbox.TryDequeue(out var message)) one.Receive(message);
        }
    }

    /// <summary>As <see cref="Settle"/>, but all that waits in one direction travels together; counts until <paramref name="isDone"/>, or until none is under way.</summary>
    public static (int Messages, int Trips) Count(Peer one, Peer other, Func<bool> isDone)
    {
        var (messages, trips) = (0, 0);
        for (var from = one; one.Outbox.Count + other.Outbox.Count > 0 && !isDone(); from = from == one ? other : one)
        {
            if (from.Outbox.Count == 0) continue;
            trips++;
            for (var left = from.Outbox.Count; left > 0; left--, messages++) (from == one ? other : one).Receive(from.Outbox.Dequeue());
        }

        return (messages, trips);
    }

    public void Dispose()
    {
        foreach (var id in Path.PairIds()) Path.Remove(id);
        Engine.Dispose();
        _key?.Dispose();
        _psk.Dispose();
    }

    private void Command(IkeCommand command)
    {
        LastResult = null;
        Begin();
        var now = Libc.Now();
        Engine.Handle(command, now);
        Drain(now);
        End();
    }

    private void Receive(IkeAction.Send message)
    {
        Begin();
        var now = Libc.Now();
        Engine.HandleDatagram(message.Remote, message.Local, message.Message, now);
        Drain(now);
        End();
    }

    private void Begin()
    {
        _allocatedFrom = GC.GetAllocatedBytesForCurrentThread();
        _cpuFrom = Clock.Thread();
    }

    private void End()
    {
        Cpu += Clock.Thread() - _cpuFrom;
        Allocated += GC.GetAllocatedBytesForCurrentThread() - _allocatedFrom;
    }

    private void Drain(Instant now)
    {
        while (Engine.TryDequeue(out var action))
        {
            switch (action)
            {
                case IkeAction.Send send:
                    Outbox.Enqueue(send);
                    break;
                case IkeAction.InstallChild install:
                    Path.Install(install.Sa);
                    break;
                case IkeAction.UseOutbound use:
                    Path.UseOutbound(use.ChildId);
                    break;
                case IkeAction.RemoveChild remove:
                    Path.Remove(remove.ChildId);
                    break;
                case IkeAction.InstallPolicy install:
                    Path.InstallPolicy(install.Policy);
                    break;
                case IkeAction.RemovePolicy remove:
                    Path.RemovePolicy(remove.Connection, remove.Child);
                    break;
                case IkeAction.RaiseAsk ask:
                    Engine.Handle(AnswerTo(ask.Id, ask.Question), now);
                    break;
                case IkeAction.Complete complete:
                    LastResult = complete.Result;
                    break;
            }
        }
    }

    private Answer AnswerTo(AskId id, Ask question)
    {
        switch (question)
        {
            case Ask.FindPsk find:
                var (secret, whyNot) = _secrets.Find(find.Local, find.Remote);
                return new Answer.SecretHandle(id, secret, whyNot);
            case Ask.PskAuth auth:
                return new Answer.Octets(id, KeyScheduleV2.SharedKeyAuth(auth.Prf, _psk, auth.SignedOctets.AsSpan()));
            case Ask.PskSkeyid skeyid:
                return new Answer.Octets(id, KeyScheduleV1.SkeyidOfPsk(skeyid.Prf, _psk, skeyid.Nonces.AsSpan()));
            case Ask.FindKeys keys:
                return new Answer.Keys(id, [.. keys.KeyIds.Select(wanted => _key!.Public.KeyId.Span.SequenceEqual(wanted.AsSpan()) ? new SecretRef(2) : default)]);
            case Ask.Sign sign:
                return new Answer.Octets(id, new Secret(_key!.Sign(sign.Scheme, sign.Octets.AsSpan())));
            case Ask.WallTime:
                return new Answer.WallTime(id, DateTimeOffset.UtcNow);
            case Ask.SourceAddress:
                return new Answer.Addresses(id, [_address]);
            case Ask.LastTraffic:
                return new Answer.Traffic(id, default, default);
            case Ask.ClaimIdentity:
                return new Answer.Claim(id, true, []);
            default:
                return new Answer.Failed(id, "not in this benchmark");
        }
    }
}

/// <summary>Nanoseconds.</summary>
internal static unsafe class Clock
{
    private const int ThreadCpu = 3;

    /// <summary>CPU time of this thread.</summary>
    public static long Thread()
    {
        Libc.TimeSpec time;
        return Libc.clock_gettime(ThreadCpu, &time) == 0 ? (time.Seconds * 1_000_000_000) + time.Nanoseconds : throw Libc.Error("clock_gettime");
    }
}
