using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using Warifu.Net.Tests.Lab;

namespace Warifu.App.Tests.Lab;

/// <summary>A flow of numbered UDP datagrams at an even pace from one namespace to another. Each that is lost is known with the time at which it was sent.</summary>
internal sealed class PacedFlow : IDisposable
{
    /// <summary>SO_RCVBUFFORCE: what arrives while this process waits for a processor must not count as lost.</summary>
    private const int ForceBuffer = 33;

    private const int Buffer = 32 << 20;

    private readonly Socket _from;
    private readonly Socket _to;
    private readonly Thread _sender;
    private readonly Thread _receiver;
    private readonly List<DateTime> _sent = [];
    private readonly HashSet<int> _arrived = [];
    private volatile bool _stopping;

    private PacedFlow(string fromNs, string from, string toNs, string to, double megabits, int size)
    {
        Size = size;
        _to = new Namespace(toNs).Udp(to, 0);
        _to.SetRawSocketOption(1, ForceBuffer, BitConverter.GetBytes(Buffer));
        _to.ReceiveTimeout = 200;
        _from = new Namespace(fromNs).Udp(from, 0);
        _from.Connect((IPEndPoint)_to.LocalEndPoint!);
        _sender = new Thread(() => Send(megabits * 1_000_000 / 8 / (size + 28), size)) { IsBackground = true };
        _receiver = new Thread(Receive) { IsBackground = true };
        _receiver.Start();
        _sender.Start();
    }

    public int Sent => _sent.Count;

    /// <summary>Octets of a datagram.</summary>
    public int Size { get; }

    /// <param name="fromNs">Namespace of the sender.</param>
    /// <param name="from">Its inner address.</param>
    /// <param name="toNs">Namespace of the receiver.</param>
    /// <param name="to">Its inner address.</param>
    /// <param name="megabits">IP packets of so many megabits in a second.</param>
    /// <param name="size">Octets of a datagram.</param>
    public static PacedFlow Start(string fromNs, string from, string toNs, string to, double megabits, int size = 1200) => new(fromNs, from, toNs, to, megabits, size);

    /// <summary>Ends the flow, waits for what is under way, and returns when the lost ones were sent (local time).</summary>
    public IReadOnlyList<DateTime> Stop()
    {
        _stopping = true;
        _sender.Join();
        _receiver.Join();
        var lost = new List<DateTime>();
        for (var number = 0; number < _sent.Count; number++)
        {
            if (!_arrived.Contains(number)) lost.Add(_sent[number]);
        }

        return lost;
    }

    public void Dispose()
    {
        _stopping = true;
        _from.Dispose();
        _to.Dispose();
    }

    private void Send(double perSecond, int size)
    {
        var datagram = new byte[size];
        var watch = Stopwatch.StartNew();
        while (!_stopping)
        {
            // late by a pause of this process: the rest is spread, not thrown out at once
            for (var burst = 0; _sent.Count < watch.Elapsed.TotalSeconds * perSecond && burst < 16; burst++)
            {
                BinaryPrimitives.WriteInt32BigEndian(datagram, _sent.Count);
                _sent.Add(DateTime.Now);
                try
                {
                    _from.Send(datagram);
                }
                catch (SocketException)
                {
                    // counted as lost
                }
            }

            Thread.Sleep(1);
        }
    }

    private void Receive()
    {
        var datagram = new byte[65536];
        var silent = 0;
        while (silent < 5)
        {
            try
            {
                if (_to.Receive(datagram) >= 4) _arrived.Add(BinaryPrimitives.ReadInt32BigEndian(datagram));
                silent = 0;
            }
            catch (SocketException)
            {
                // a second of silence after the end
                if (_stopping) silent++;
            }
        }
    }
}
