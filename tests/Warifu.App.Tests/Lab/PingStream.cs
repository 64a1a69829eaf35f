using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Warifu.App.Tests.Lab;

/// <summary>A ping at 50 packets a second that runs until it is told to stop. Each packet is accounted for: it works in rounds of 25 that end when all answers are there, or 3 s after the last packet.</summary>
internal sealed class PingStream
{
    private readonly Task<(int Sent, int Received)> _running;
    private readonly List<DateTime> _lossy = [];
    private int _answered;
    private volatile bool _stopping;

    private PingStream(string ns, string from, string to, int size) => _running = RunAsync(ns, from, to, size);

    /// <summary>When the rounds began in which an answer is missing (local time); a round sends for half a second.</summary>
    public IReadOnlyList<DateTime> Lossy => _lossy;

    public int Answered => Volatile.Read(ref _answered);

    public static PingStream Start(string ns, string from, string to, int size = 56) => new(ns, from, to, size);

    public Task<(int Sent, int Received)> StopAsync()
    {
        _stopping = true;
        return _running;
    }

    private async Task<(int Sent, int Received)> RunAsync(string ns, string from, string to, int size)
    {
        var (sent, received) = (0, 0);
        while (!_stopping)
        {
            var began = DateTime.Now;
            var (more, answered) = await Topology.PingAsync(ns, from, to, count: 25, interval: 0.02, wait: 3, size);
            if (answered < more) _lossy.Add(began);
            (sent, received) = (sent + more, received + answered);
            Volatile.Write(ref _answered, received);
        }

        return (sent, received);
    }
}
