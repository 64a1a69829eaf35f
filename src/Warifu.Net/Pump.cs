using System;
using System.Buffers;
using System.Collections.Generic;
using System.Threading;
using Warifu.Engine;
using Warifu.Ipsec;
using Warifu.Primitives;

namespace Warifu.Net;

/// <summary>The event loop: one thread that owns one engine. Everything that concerns the engine goes through <see cref="Post(Action{IkeEngine, Instant})"/>; actions come out on this thread, in order.</summary>
internal sealed class Pump : IDisposable
{
    /// <summary>Received IKE messages that may wait; beyond that they are dropped (the peer retransmits).</summary>
    private const int DatagramLimit = 4096;

    /// <summary>IKE_SA_INIT requests among them: anybody can send those.</summary>
    private const int FirstsLimit = DatagramLimit / 2;

    private readonly IkeEngine _engine;
    private readonly Func<Instant> _clock;
    private readonly Action<IkeAction> _perform;
    private readonly Action<Exception> _failed;
    private readonly Thread _thread;
    private readonly object _gate = new();
    private readonly Queue<Work> _queue = new();
    private int _datagrams;
    private int _firsts;
    private bool _stopping;

    /// <param name="engine">Owned from now on.</param>
    /// <param name="clock">CLOCK_BOOTTIME.</param>
    /// <param name="perform">Carries out one action on the pump's thread; answers may be posted from inside.</param>
    /// <param name="failed">Told of exceptions of <paramref name="perform"/>: our own bugs; the pump goes on.</param>
    public Pump(IkeEngine engine, Func<Instant> clock, Action<IkeAction> perform, Action<Exception> failed)
    {
        _engine = engine;
        _clock = clock;
        _perform = perform;
        _failed = failed;
        _thread = new Thread(Run) { IsBackground = true, Name = "warifu-ike" };
    }

    /// <summary>IKE messages dropped because the queue was full.</summary>
    public long DroppedDatagrams { get; private set; }

    public void Start() => _thread.Start();

    /// <summary>Hands over a received IKE message (without the non-ESP marker). Callable from any thread; copies.</summary>
    public void Datagram(Endpoint local, Endpoint remote, ReadOnlySpan<byte> message)
    {
        lock (_gate)
        {
            if (_stopping) return;
            // a flood of first messages does not shut out those whom we know
            var isFirst = message.Length > 19 && message[18] == (byte)ExchangeType.IkeSaInit && (message[19] & 0x20) == 0;
            if (_datagrams >= DatagramLimit || (isFirst && _firsts >= FirstsLimit))
            {
                DroppedDatagrams++;
                return;
            }

            var buffer = ArrayPool<byte>.Shared.Rent(message.Length);
            message.CopyTo(buffer);
            _datagrams++;
            if (isFirst) _firsts++;
            _queue.Enqueue(new Work(null, buffer, message.Length, local, remote, isFirst));
            Monitor.Pulse(_gate);
        }
    }

    public void Post(DataPlaneEvent happening) => Post((engine, now) => engine.Handle(happening, now));

    public void Post(Answer answer) => Post((engine, now) => engine.Handle(answer, now));

    /// <summary>Runs <paramref name="work"/> on the engine's thread.</summary>
    public void Post(Action<IkeEngine, Instant> work)
    {
        lock (_gate)
        {
            if (_stopping) return;
            _queue.Enqueue(new Work(work, null, 0, default, default, false));
            Monitor.Pulse(_gate);
        }
    }

    /// <summary>Ends the thread after what is queued, then frees the engine and its keys.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_stopping) return;
            _stopping = true;
            Monitor.Pulse(_gate);
        }

        if (_thread.IsAlive && Thread.CurrentThread != _thread) _thread.Join();
        _engine.Dispose();
    }

    private void Run()
    {
        while (TryTake(out var work))
        {
            var now = _clock();
            if (work.Buffer is { } buffer)
            {
                _engine.HandleDatagram(work.Local, work.Remote, buffer.AsSpan(0, work.Length), now);
                ArrayPool<byte>.Shared.Return(buffer, clearArray: false);
            }
            else if (work.Call is { } call)
            {
                call(_engine, now);
            }

            if (_engine.NextTimeout <= now) _engine.HandleTimeout(now);
            while (_engine.TryDequeue(out var action)) Perform(action);
        }
    }

    private void Perform(IkeAction action)
    {
#pragma warning disable CA1031 // a bug in one action must not end the daemon
        try
        {
            _perform(action);
        }
        catch (Exception exception)
        {
            _failed(exception);
        }
#pragma warning restore CA1031
    }

    /// <summary>Waits for work or for the engine's next timeout; an empty work item stands for the timeout. False when stopping.</summary>
    private bool TryTake(out Work work)
    {
        lock (_gate)
        {
            while (_queue.Count == 0)
            {
                work = default;
                if (_stopping) return false;
                var next = _engine.NextTimeout;
                if (next == Instant.Never)
                {
                    Monitor.Wait(_gate);
                    continue;
                }

                var wait = next - _clock();
                if (wait <= TimeSpan.Zero) return true;
                // rounded up to the clock of Monitor: waking early would spin
                Monitor.Wait(_gate, TimeSpan.FromMilliseconds(Math.Min(Math.Ceiling(wait.TotalMilliseconds), 60_000)));
            }

            work = _queue.Dequeue();
            if (work.Buffer is not null) _datagrams--;
            if (work.IsFirst) _firsts--;
            return true;
        }
    }

    private readonly record struct Work(Action<IkeEngine, Instant>? Call, byte[]? Buffer, int Length, Endpoint Local, Endpoint Remote, bool IsFirst);
}
