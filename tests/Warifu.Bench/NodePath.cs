using System;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;
using Warifu.Net;
using Warifu.Tests.Ipsec;

namespace Warifu.Bench;

/// <summary>The whole way without a kernel interface: packet port, seal, UDP socket, loopback, receive thread, open, packet port.</summary>
internal static class NodePath
{
    /// <summary>The smallest object is 24 octets: less than one per packet is what threads and timers do beside.</summary>
    private const double Nothing = 1;

    public static async Task RunAsync(Options options, Report report)
    {
        report.Table("two nodes in one process, packet port to packet port through UDP on loopback, aes128gcm16", "octets of the inner packet", "received pps", "Gbit/s", "lost %", "octets allocated per packet");
        using var secrets = new SecretStore();
        secrets.SetPsk("ike", "Tally-5tick/halves");
        var sink = new CountingPort();
        var source = new CountingPort();
        IkeNodeOptions Node(CountingPort port) => new() { Port = 0, PortNatT = 0, Packets = port, Secrets = secrets };
        await using var right = await IkeNode.StartAsync(Policies.Responder("aes128gcm16-prfsha256-x25519", encapsulate: true), Node(sink));
        await using var left = await IkeNode.StartAsync(Policies.Initiator(1, "aes128gcm16-prfsha256-x25519", "127.0.0.1", (ushort)right.PortNatT, encapsulate: true), Node(source));
        await left.UpAsync(Policies.Name(0));
        foreach (var size in new[] { 64, 576, 1400 })
        {
            var packet = Packets.V4("10.0.0.1", "172.16.0.1", 17, Packets.Udp(1000, 2000, size - 28));
            Send(source, sink, packet, TimeSpan.FromSeconds(0.3));
            var (sent, received, octets, seconds) = Send(source, sink, packet, TimeSpan.FromSeconds(options.Smoke ? 0.3 : options.Seconds ?? 2));
            var allocated = (double)octets / sent;
            report.Row(size, received / seconds, received * size * 8 / seconds / 1e9, 100.0 * (sent - received) / sent, allocated);
            report.Require(allocated < Nothing, $"the way through sockets allocates nothing per packet of {size} octets (it was {allocated:F2})");
            report.Require(received > 0, $"packets of {size} octets arrive");
        }
    }

    private static (long Sent, long Received, long Allocated, double Seconds) Send(CountingPort source, CountingPort sink, byte[] packet, TimeSpan span)
    {
        var before = sink.Received;
        var octets = GC.GetTotalAllocatedBytes(precise: true);
        var clock = Stopwatch.StartNew();
        long sent = 0;
        while (clock.Elapsed < span)
        {
            for (var i = 0; i < 64; i++)
            {
                if (source.Send(packet)) sent++;
            }

            // the receiver's socket holds a few thousand: running far ahead only measures drops
            while (sent - (sink.Received - before) > 1024 && clock.Elapsed < span) Thread.Yield();
        }

        Thread.Sleep(50);
        return (sent, sink.Received - before, GC.GetTotalAllocatedBytes(precise: true) - octets, span.TotalSeconds);
    }

    private sealed class CountingPort : IPacketPort
    {
        private PacketSink? _sink;
        private long _received;

        public long Received => Volatile.Read(ref _received);

        public bool Send(ReadOnlySpan<byte> packet) => _sink!(packet);

        public void Attach(PacketSink sink) => _sink = sink;

        public void Deliver(ReadOnlySpan<byte> packet) => Volatile.Write(ref _received, _received + 1);
    }
}
